/*
 * meter.h: what attempts used and printed, at a price that short ones can bear.
 *
 * Both are known from system calls, which cost more than a short attempt. So they are asked
 * when it matters, and what was not asked is not lost:
 *
 *   used      after an attempt when a millisecond has passed since the last answer; the whole
 *             difference counts for that attempt. Sums are exact; a single attempt is charged
 *             with at most a millisecond that shorter ones before it have used.
 *   printed   after every attempt of a handler until METER_SILENT of them in a row have printed
 *             nothing; then when nothing else is there to be run, or when METER_LOOK_US have
 *             passed. What is found then counts for the last attempt, and from there on every
 *             one is looked at again.
 *
 * One meter per thread of an executor.
 */
#ifndef METER_H
#define METER_H

#include "lane.h"
#include "record.h"

#include <sys/resource.h>

enum {
    METER_USAGE_US = 1000,
    METER_LOOK_US = 100,
    METER_SILENT = 256,
};

struct meter {
    const struct lane *lane; /* borrowed */
    const int *output_fds;   /* borrowed; NULL: what is printed is not this thread's alone */
    int usage_who;           /* for getrusage */
    uint32_t pid;
    struct rusage usage; /* the last answer */
    int64_t usage_at_us;
    uint64_t printed[LANE_PIPES]; /* the last answer */
    int64_t printed_at_us;
    uint16_t *silent; /* owned; by handler: how many in a row have printed nothing */
    size_t handler_count;
};

void meter_init(struct meter *meter, const struct lane *lane, const int *output_fds,
                int usage_who, size_t handler_count, int64_t now_us);

/* Fills pid and what the process used since the last time, zeros when it was not asked. */
void meter_read_usage(struct meter *meter, int64_t now_us, struct record_finished *head);

/* Looks whether something was printed since the last look, when it is time to. is_last: nothing
 * else waits to be run. */
bool meter_look(struct meter *meter, uint32_t handler, bool is_last, int64_t now_us);

/* The same, and fills how much was printed. */
void meter_read_printed(struct meter *meter, uint32_t handler, bool is_last, int64_t now_us,
                        struct record_finished *head);

/* Peak of the resident memory, as of the last answer. */
uint64_t meter_peak_bytes(const struct meter *meter);

#endif
