/*
 * sampler.h: the statistics of a worker, gathered in a thread of their own.
 *
 *     agent ──ask (roll of executors)──> (thread: sampler) ──sample──> agent ──> heartbeat
 *                                             └──ask──> (thread: diskwatch, may hang)
 *
 * Every question is answered with the host's numbers (some file reads); the further groups come
 * with it when their interval has passed, and never so often that they cost more than a
 * thousandth of one processor: what a round took is measured, and the next one waits for a
 * thousand times as long, STAT_INTERVAL_MAX_US at most. The agent never waits: it takes what is
 * there when a heartbeat is due.
 */
#ifndef WORKER_STAT_SAMPLER_H
#define WORKER_STAT_SAMPLER_H

#include "message.h"
#include "stat/disk.h"
#include "stat/executor.h"
#include "stat/groups.h"

enum {
    STAT_INTERVAL_MAX_US = 60 * 1000 * 1000,
    STAT_COST_SHARE = 1000, /* a round's cost is at most this part of the time to the next */
};

struct stat_sampler;

/* Adds a group that does not change, as far as anybody knows; in the sampler's thread. */
typedef void (*stat_more_fn)(const void *context, struct stat_details *details);

struct stat_sampler_config {
    const char *root; /* of /proc, /sys and /etc: "" but for tests; copied */
    struct stat_groups groups;
    int64_t interval_us;  /* of the further groups; with every question when it is shorter */
    stat_disk_ask_fn ask; /* NULL: statvfs */
    stat_more_fn more;    /* NULL: nothing more */
    const void *context;  /* of `more`; borrowed for the life of the sampler */
};

/* One answer, to be given to free(). */
struct stat_sample {
    bool has_host;
    struct drv_host host;
    size_t details_len; /* 0: not this time */
    uint8_t details[];  /* msgpack map */
};

/* Takes the first sample of the processors, against which the first answer is measured. Starts
 * nothing and opens nothing: a fork may follow. OK, NOMEM. */
DROVER_MUST_USE drover_status stat_sampler_new(const struct stat_sampler_config *config,
                                               struct stat_sampler **out_sampler);

/* Starts the threads. OK, NOMEM, IO. */
DROVER_MUST_USE drover_status stat_sampler_start(struct stat_sampler *sampler);

/* Waits for the thread (which never waits long), not for file systems. NULL is fine. */
void stat_sampler_destroy(struct stat_sampler **sampler);

/* Asks for a sample and takes *roll (may be NULL: nothing is known of executors). */
void stat_sampler_ask(struct stat_sampler *sampler, struct stat_roll **roll);

/* The newest sample since the last call; NULL: none. One that was never taken leaves its
 * details to the next. */
struct stat_sample *stat_sampler_take(struct stat_sampler *sampler);

/* Waits up to timeout_ms for the answer to the last question; for the start of a worker, and
 * for tests. */
bool stat_sampler_wait(struct stat_sampler *sampler, int timeout_ms);

#endif
