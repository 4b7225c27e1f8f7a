/*
 * history_queue.h: how it was with each queue; the same steps as history.h.
 *
 *     begun by a look ──> of a queue ──queue goes──> kept by its name ──a day, or no room──>
 * forgotten ^                            │ └──the queue comes back──────┘
 *
 * A queue that only has tasks now and then comes and goes; its history stays meanwhile, for a
 * day, with rows in which nothing waits. Up to HISTORY_QUEUES_MAX have one; the one whose queue
 * has been gone for the longest makes room. Nothing is counted for it while tasks run: it looks
 * at what the queue and its times count anyway.
 */
#ifndef CORE_HISTORY_QUEUE_H
#define CORE_HISTORY_QUEUE_H

#include "history.h"
#include "message.h"

struct queue;

#define HISTORY_GONE_US (INT64_C(24) * 3600 * 1000 * 1000)

/* A row of a queue, in 20 bytes; 16-bit ones are the upper half of a float. */
struct history_load {
    float queued, running; /* at its end; NAN: nothing is known */
    uint16_t delayed;      /* and waiting */
    uint16_t ended;        /* attempts in the step */
    uint16_t oldest_ms;    /* at its end */
    uint16_t wait_ms;      /* mean of the first attempts that ended in the step; NAN: none */
    uint16_t run_ms;       /* mean of the attempts that ended in the step; NAN: none */
    uint16_t wait_p99_ms;  /* of the last minutes, at its end; NAN: none */
};

struct history_tally { /* attempts that ended, and how long they waited and ran */
    uint64_t waited, ran, wait_us, run_us;
};

struct queue_history {
    struct queue *queue; /* borrowed; NULL: it is not there now */
    int64_t gone_us;     /* since when it is not */
    int64_t oldest_us;   /* arrival of what waits longest, at the last look; 0: nothing waits */
    bool is_oldest_known;                    /* the look came so far */
    struct history_tally counted;            /* of the times of the queue, at the last look */
    struct history_tally sum[HISTORY_SPANS]; /* in the present step */
    uint64_t ended;                          /* attempts, since it was begun */
    struct {
        int64_t at_us;
        uint64_t ended;
    } rates[HISTORY_RATE_SAMPLES];
    uint32_t rate_count;
    uint64_t since[HISTORY_SPANS]; /* number of its first row */
    uint8_t name_len;
    char name[DRV_NAME_MAX];
    struct history_load hour[HISTORY_ROWS];
    struct history_load day[HISTORY_LONG_ROWS];
};

/* A queue is made: what is kept of its name is its history. */
void queue_history_join(struct core *core, struct queue *queue);
/* It goes; its times are still there. */
void queue_history_leave(struct core *core, struct queue *queue);

/* In the look at everything: what each queue has, and has done; begins histories. Gives the
 * arrival of the task that waits longest, 0 when none does. */
int64_t queue_history_look(struct core *core);
/* A step ends. */
void queue_history_put(struct core *core, enum history_span span, uint64_t number, bool known);

/* By the name of its queue, which need not be there; NULL: there is none. */
const struct queue_history *queue_history_find(const struct core *core, struct drv_str name);
/* Attempts that ended a second, over the last seconds. Fine with NULL. */
double queue_history_rate(const struct queue_history *history);

void queue_history_fini(struct core *core);

#endif
