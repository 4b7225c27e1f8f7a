/*
 * throttle.h: how much of a queue may be on the way at once, and how often something starts.
 *
 *   concurrency   leases of the queue, those behind busy slots included
 *   per key       the same of each fairness key; tasks without a key are not bounded by it
 *   rate          leases made, by a bucket that fills steadily and holds what a second brings,
 *                 at least one; what comes back unstarted is put back into it
 *
 * A queue that may start nothing is out of the ring of every class (share->shut) until a lease
 * ends or, by the timer, the bucket has filled up to one. Limits are about leases: what was
 * held when they were set or read from the store may be more, and only shrinks.
 */
#ifndef CORE_THROTTLE_H
#define CORE_THROTTLE_H

#include "list.h"
#include "timer.h"

#include "queue.h"

struct share;

/* One lease, in the unit in which a bucket with a rate per hour fills by the microsecond. */
#define THROTTLE_TOKEN ((int64_t)3600 * 1000 * 1000)
/* A million leases a second. */
#define THROTTLE_RATE_MAX ((int64_t)1000 * 1000 * 3600)

struct throttle {
    struct queue *queue;
    uint64_t rate;        /* leases per hour, 0: no limit */
    uint64_t concurrency; /* 0: no limit */
    uint64_t per_key;     /* 0: no limit */
    int64_t level;        /* of the bucket */
    int64_t filled_us;    /* when it was that full */
    uint64_t excess;      /* leases held when the limit came */
    struct timer timer;   /* armed while shares wait for the bucket */
    struct drv_list shut; /* struct share.shut */
    struct drv_list full; /* struct tenant.in_throttle */
};

/* A fairness key of a queue. */
struct tenant {
    struct queue *queue;
    uint32_t references; /* lines */
    uint64_t held;       /* leases */
    uint64_t excess;     /* those held when the limit came */
    uint64_t hash;
    struct drv_list turns;       /* struct turn.in_tenant */
    struct drv_list full;        /* struct lane.full */
    struct drv_list in_throttle; /* in throttle->full while there are some */
    uint16_t len;
    char text[];
};

/* With a reference; NULL when out of memory. */
struct tenant *tenant_ensure(struct core *core, struct queue *queue, struct drv_str text);
void tenant_release(struct core *core, struct tenant *tenant);

struct throttle_limits {
    uint64_t rate, concurrency, per_key;
};

static inline struct throttle_limits queue_limits(const struct queue *queue)
{
    const struct throttle *throttle = queue->throttle;
    struct throttle_limits none = {0};
    return throttle == NULL ? none
                            : (struct throttle_limits){throttle->rate, throttle->concurrency,
                                                       throttle->per_key};
}

/* Sets all three; the bucket is full after that, or as full as it was. OK or NOMEM. */
DROVER_MUST_USE drover_status queue_limit(struct core *core, struct queue *queue,
                                          const struct throttle_limits *limits);
/* The bucket begins empty: an earlier life may just have emptied it. */
void throttle_empty(struct core *core, struct throttle *throttle);
void throttle_free(struct core *core, struct queue *queue);

/* Whether the queue may start something now. */
bool throttle_is_open(const struct core *core, const struct throttle *throttle);
bool throttle_tenant_is_full(const struct core *core, const struct tenant *tenant);
/* When the bucket holds a lease, now or later; INT64_MAX: there is no rate. */
int64_t throttle_opens_us(const struct core *core, const struct throttle *throttle);
/* The share waits for it to open. */
void throttle_shut(struct core *core, struct share *share);
void throttle_note_full(struct tenant *tenant);
/* A lease was made. */
void throttle_take(struct core *core, struct throttle *throttle);
/* Its timer. */
void throttle_due(struct core *core, struct throttle *throttle);

/* The line has a lease more, or less. */
void line_held(struct line *line);
/* What is held by now is no offence: an earlier life gave it. */
void line_excuse(struct line *line);
void line_given_back(struct core *core, struct line *line);
/* What was leased came back and never ran: it does not count as a start. */
void line_refund(struct core *core, const struct line *line);

#endif
