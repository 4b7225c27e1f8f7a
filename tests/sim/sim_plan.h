/*
 * sim_plan.h: what a handler will do, and the bytes that belong to a task.
 *
 * All of it is a pure function of the task's serial number and the attempt, so that workers
 * need no more than the payload, and the checker can tell true bytes from false ones.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

enum sim_type { SIM_ALPHA, SIM_BETA, SIM_GAMMA, SIM_NOBODY, SIM_TYPE_COUNT };
enum sim_queue { SIM_DEFAULT, SIM_SIDE, SIM_TIGHT, SIM_LIMITED, SIM_QUEUE_COUNT };

enum {                      /* what is set of the limited queue, sooner or later */
       SIM_LIMIT_RATE = 50, /* a second, as many at once */
       SIM_LIMIT_CONCURRENCY = 4,
       SIM_LIMIT_PER_KEY = 2,
       SIM_LIMIT_AGING_MS = 20, /* a step of priority */
};

const char *sim_type_name(unsigned type);   /* alpha: microseconds, beta: milliseconds,
                                               gamma: long, nobody: no worker offers it */
const char *sim_queue_name(unsigned queue); /* tight: has a small limit in some runs;
                                               limited: in leases, once somebody says so */

enum sim_behaviour {
    SIM_SUCCEEDS,
    SIM_FAILS,
    SIM_FAILS_FOR_GOOD, /* says that a retry is of no use */
    SIM_CRASHES,        /* its executor dies with it */
};

struct sim_plan {
    enum sim_behaviour behaviour;
    int64_t run_us;
    bool obeys_cancel; /* else it needs SIGKILL */
    bool awaits;       /* its children, if it has any, rather than to succeed */
};

/* `payload` is the serial number that the payload carries. */
struct sim_plan sim_plan_of(uint64_t seed, uint32_t payload, unsigned type, uint32_t attempt);

/* A payload: the serial number and noise that follows from it; 0 bytes: no value. */
void sim_payload_write(struct drv_buffer *out, uint32_t payload, size_t len);
/* The serial number, or UINT32_MAX when the bytes are not what was submitted. */
uint32_t sim_payload_read(const uint8_t *bytes, size_t len);

/* The result of an attempt; `name` is a hash of the task's id and index. */
void sim_result_write(struct drv_buffer *out, uint32_t name, uint32_t attempt);
bool sim_result_is(const uint8_t *bytes, size_t len, uint32_t name, uint32_t attempt);

/* The one mixing function of the simulator. */
uint64_t sim_mix(uint64_t a, uint64_t b);

#endif
