/*
 * timer.h: everything in the core that is due at an instant, in one heap.
 *
 * Timers that are due at the same instant fire in the order in which they were armed. Whoever
 * owns a timer reserves its place when it is created, so that arming cannot fail.
 */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
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
    TIMER_KEY,      /* the window of a key whose task is forgotten is over */
    TIMER_SHELF,    /* the oldest result of its kind reaches the end of its retention */
    TIMER_ALERT,    /* rules are looked at */
    TIMER_SCHEDULE, /* a run is due */
    TIMER_THROTTLE, /* a queue may start something again */
    TIMER_REATTACH, /* the window after the start closes */
    TIMER_KINDS
};

enum { TIMER_OUT = (1 << 28) - 1 };

struct timer {
    uint32_t position : 28; /* in the heap; TIMER_OUT: not armed */
    uint32_t kind : 4;      /* enum timer_kind */
};

/* What is compared lies in the heap itself, so that sifting touches no owner. */
struct timer_entry {
    int64_t at_us;
    uint64_t sequence; /* of arming */
    struct timer *timer;
};

struct timers {
    struct timer_entry *entries; /* owned: a heap of four children each, the earliest first */
    size_t count, capacity;
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
void timer_take(struct core *core, struct timer *timer); /* one that is armed */

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->position != TIMER_OUT;
}

static inline void timer_disarm(struct core *core, struct timer *timer)
{
    if (timer_is_armed(timer)) {
        timer_take(core, timer);
    }
}

/* A timer that is never armed and has no place reserved: neither timer_init nor timer_fini. */
static inline void timer_none(struct timer *timer)
{
    timer->position = TIMER_OUT;
}

static inline enum timer_kind timer_kind_of(const struct timer *timer)
{
    return (enum timer_kind)timer->kind;
}

/* When an armed timer is due. */
int64_t timer_at_us(const struct core *core, const struct timer *timer);
/* When it was armed, in the order of all arming. */
uint64_t timer_sequence(const struct core *core, const struct timer *timer);

/* Fires what is due, at most a bounded number; true when more is due. */
bool timers_run(struct core *core);

/* The next instant at which something is due, INT64_MAX for none. */
int64_t timers_deadline_us(const struct core *core);

#endif
