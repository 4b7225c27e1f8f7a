/*
 * timer.h: everything in the core that is due at an instant, in one heap.
 *
 * Timers that are due at the same instant fire in the order in which they were armed. Whoever
 * owns a timer reserves its place when it is created, so that arming cannot fail.
 */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "heap.h"

#include <stdbool.h>
#include <stdint.h>

struct core;

enum timer_kind {
    TIMER_TASK,     /* delay, backoff, expiry, retention: what it is follows from the state */
    TIMER_LEASE,    /* the same for an element that waits for another attempt */
    TIMER_RUN,      /* delay or expiry of the elements of one ITEMS message */
    TIMER_SESSION,  /* a session without connection ends */
    TIMER_WORKER,   /* a silent worker is lost */
    TIMER_REPLY,    /* the budget of a waiting request is used up */
    TIMER_KV,       /* shared data reaches the end of its time to live */
    TIMER_SHELF,    /* the oldest result of its kind reaches the end of its retention */
    TIMER_REATTACH, /* the window after the start closes */
    TIMER_KINDS
};

struct timer {
    struct drv_heap_node node;
    int64_t at_us;
    uint64_t order; /* sequence << 8 | kind */
};

struct timers {
    struct drv_heap heap;
    size_t reserved;   /* owners that exist */
    uint64_t sequence; /* of arming */
    uint32_t extra;    /* what fired did so much beyond one piece of work */
};

void timers_init(struct timers *timers);
void timers_fini(struct timers *timers);

/* Make an owner's timer known; false when out of memory. */
bool timer_init(struct core *core, struct timer *timer, enum timer_kind kind);
/* Disarms and gives the place back. */
void timer_fini(struct core *core, struct timer *timer);

void timer_arm(struct core *core, struct timer *timer, int64_t at_us);
void timer_disarm(struct core *core, struct timer *timer);

static inline bool timer_is_armed(const struct timer *timer)
{
    return drv_heap_node_is_in(&timer->node);
}

static inline enum timer_kind timer_kind_of(const struct timer *timer)
{
    return (enum timer_kind)(timer->order & 0xff);
}

/* Fires what is due, at most a bounded number; true when more is due. */
bool timers_run(struct core *core);

/* The next instant at which something is due, INT64_MAX for none. */
int64_t timers_deadline_us(const struct core *core);

#endif
