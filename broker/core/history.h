/*
 * history.h: how it was: an hour in steps of 5 s, a day in steps of a minute.
 *
 *     CORE_EVENT_SELF, once a second ──> sums ──every step──> row of each ring
 *
 * One ring pair is the broker's, one belongs to each of up to HISTORY_WORKERS_MAX workers and
 * goes with it, one to each of the queues (history_queue.h). Rows are numbered; a step in which
 * nobody looked (the broker stood still) is a row of nothing. Nothing is recorded: after a
 * restart the history begins anew. Without CORE_EVENT_SELF there is none, and no memory is
 * taken.
 *
 * Rates are counted by this module too: over the last few seconds.
 */
#ifndef CORE_HISTORY_H
#define CORE_HISTORY_H

#include "times.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct drv_host;
struct queue_history;
struct worker;

enum {
    HISTORY_STEP_US = 5 * 1000 * 1000,
    HISTORY_ROWS = 720, /* an hour */
    HISTORY_LONG_STEP_US = 60 * 1000 * 1000,
    HISTORY_LONG_ROWS = 1440, /* a day */
    HISTORY_WORKERS_MAX = 1024,
    HISTORY_QUEUES_MAX = 256,
    HISTORY_NEW_MAX = 8, /* histories begun in one look: their memory takes a while to come */
    HISTORY_RATE_SAMPLES = 6, /* seconds over which rates are counted */
    HISTORY_LINES_MAX = 4096, /* queues and lines looked at for the oldest task */
};

enum history_span { HISTORY_HOUR, HISTORY_DAY, HISTORY_SPANS };

/* What a row of the broker holds. */
enum history_series {
    HISTORY_SUBMITTED, /* in the step */
    HISTORY_SUCCEEDED,
    HISTORY_FAILED,
    HISTORY_WAITING, /* waiting, delayed and queued, at its end */
    HISTORY_QUEUED,
    HISTORY_RUNNING,
    HISTORY_WORKERS,
    HISTORY_SLOTS,
    HISTORY_BUSY,
    HISTORY_OLDEST_MS,
    HISTORY_CPU, /* mean */
    HISTORY_RSS,
    HISTORY_LOOP_MS, /* the longest */
    HISTORY_JOURNAL_MS,
    HISTORY_SERIES
};

/* A row of a worker, in 8 bytes. */
struct history_host {
    uint8_t cpu, memory, disk; /* half percents; UINT8_MAX: nothing is known */
    uint8_t busy;              /* slots, of 250 */
    uint16_t sent, received;   /* bytes a second, as the upper half of a float */
};

struct worker_history {
    struct history_host hour[HISTORY_ROWS];
    struct history_host day[HISTORY_LONG_ROWS];
    uint64_t since[HISTORY_SPANS]; /* number of its first row */
    uint64_t sent, received;       /* totals at the row before, by span of 5 s */
    float sent_per_s, received_per_s;
    int64_t at_us; /* of these totals; 0: none */
};

struct history_sum {
    double value[HISTORY_SERIES];
    uint32_t seconds; /* samples in it */
};

struct history_ring {
    float (*rows)[HISTORY_SERIES]; /* owned */
    uint64_t number;               /* of the newest row; from 1; 0: none */
    int64_t due_us;                /* the end of the present step; 0: not begun */
    struct history_sum sum;
};

struct history_rate { /* a second's look at the counters */
    int64_t at_us;
    uint64_t submitted, succeeded, failed, started;
};

struct history {
    struct history_ring rings[HISTORY_SPANS];
    struct history_rate rates[HISTORY_RATE_SAMPLES];
    uint32_t rate_count; /* samples taken so far */
    uint64_t counted[3]; /* submitted, succeeded, failed at the last look */
    uint64_t slots, busy, workers;
    int64_t oldest_us;     /* arrival of the task that waits longest; 0: none waits */
    uint32_t worker_count; /* that have a history */
    struct queue_history *queues[HISTORY_QUEUES_MAX]; /* owned */
    uint32_t queue_count;
    struct times_registry times;
    struct times *all; /* of all tasks */
};

void history_init(struct core *core);
void history_fini(struct core *core);

/* The look at everything; about once a second. */
void history_sample(struct core *core);

/* So many attempts, which were the first of their tasks, waited so long (-1: they were not the
 * first), and ran so long. */
void history_measure(struct core *core, struct times **queue, struct times **type,
                     int64_t wait_us, uint64_t run_us, uint32_t count);

/* A worker goes. */
void history_forget(struct core *core, struct worker *worker);

/* Tasks a second over the last seconds. */
struct history_rates {
    double submitted, succeeded, failed;
};
struct history_rates history_rates(const struct core *core);

static inline uint32_t history_rows(enum history_span span)
{
    return span == HISTORY_HOUR ? (uint32_t)HISTORY_ROWS : (uint32_t)HISTORY_LONG_ROWS;
}
static inline int64_t history_step_us(enum history_span span)
{
    return span == HISTORY_HOUR ? (int64_t)HISTORY_STEP_US : (int64_t)HISTORY_LONG_STEP_US;
}

/* The upper half of a float, which keeps two or three digits. */
uint16_t history_half(float number);
/* The value of a 16-bit half of a float; of a byte of half percents, NAN when not known. */
float history_float(uint16_t half);
float history_percent(uint8_t halves);

#endif
