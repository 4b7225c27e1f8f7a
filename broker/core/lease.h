/*
 * lease.h: who holds which attempt.
 *
 *             ┌──────────── returned, lost (free) ───────────┐
 *   queued ──dispatch──> held ──STARTED──> started ──result──> ended, or waits for a retry
 *                          └──────────── result ─────────────^
 *
 * A lease has one unit and, while it is held, one worker; both know it. Its handle is what the
 * worker gives back with every report. For an element of an array the lease also is its place
 * in the line and its timer while it waits for another attempt, so that putting an element back
 * never needs memory.
 */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "queue.h"
#include "task.h"
#include "timer.h"

struct offer;
struct session;
struct worker;

enum { /* lease flags */
       LEASE_STARTED = 1,
       LEASE_CONFIRM = 2,    /* must ask before it runs */
       LEASE_RECALLED = 4,   /* asked back */
       LEASE_CANCELLING = 8, /* to be aborted */
       LEASE_LONG = 16,      /* of a type that is not known to be short: takes its slot whole */
       LEASE_GONE_OUT = 32,  /* sent to the worker */
       LEASE_ROOM = 64,      /* takes room of a limited offer */
};
enum { /* notices to the worker that have not been sent */
       NOTICE_ABORT = 1,
       NOTICE_RECALL = 2,
       NOTICE_GO = 4,
       NOTICE_FOLLOW = 8,
};

struct lease {
    uint32_t slot;
    uint32_t generation;
    struct task *task;
    struct unit *unit;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself */
    uint8_t flags;
    uint8_t notices;
    struct timer timer;        /* elements: back-off, expiry */
    uint32_t attached;         /* round of ATTACH that listed it */
    struct worker *worker;     /* NULL: not held */
    struct drv_list in_worker; /* by age */
    struct drv_list link;      /* in worker->fresh or worker->notices */
    struct drv_list waiters;   /* cancels that wait for the worker's answer */
    struct place place;        /* elements: while they wait in line again */
    int64_t since_us;          /* leased */
    int64_t started_us;        /* 0: not started */
    struct follow *follow;     /* owned: its worker sends output; NULL: nobody reads it */
};

struct lease_slot {
    struct lease *lease; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* while free; UINT32_MAX: none */
};

struct leases {
    struct lease_slot *slots; /* owned */
    uint32_t capacity;
    uint32_t first_free; /* UINT32_MAX: none */
    uint32_t used;       /* slots from here on were never used */
    uint32_t count;      /* leases alive */
};

static inline uint64_t lease_handle(const struct lease *lease)
{
    return (uint64_t)lease->generation << 32 | lease->slot;
}

void leases_fini(struct core *core);

/* A lease for a unit that has none, held by nobody; NULL when out of memory. */
struct lease *lease_new(struct core *core, const struct item *item);
/* Not held any more, and away. */
void lease_free(struct core *core, struct lease *lease);
/* Give it to a worker: next attempt. */
void lease_give(struct core *core, struct lease *lease, struct worker *worker);
/* The worker held it in an earlier life; flags and instants are in the lease. */
void lease_restore(struct lease *lease, struct worker *worker);
/* It was given in an earlier life, before the limits that it may break. */
void lease_excuse(struct lease *lease);
/* It takes room of a limited offer, until it is taken. */
void lease_use_room(struct lease *lease, struct offer *offer);
/* Take it from its worker; waiters are told. */
void lease_take(struct core *core, struct lease *lease);

struct item lease_item(const struct lease *lease);
struct lease *lease_by_handle(const struct core *core, uint64_t handle);

/* Hints for what is about to be looked up by handle: whoever's lease is in the slot. */
const struct lease *lease_by_slot(const struct core *core, uint64_t handle);
void lease_prefetch_slot(const struct core *core, uint64_t handle);

/* The lease that a worker means, whoever holds it; NULL: no such lease. */
struct lease *lease_find(const struct core *core, const struct drv_ref *ref);
struct drv_ref lease_ref(const struct lease *lease);

/* The worker says that it runs, or asks whether it may. */
void lease_start(struct core *core, struct lease *lease);
/* Its result says so: it is taken from the worker at once. */
void lease_start_and_end(struct core *core, struct lease *lease);
/* It says so again: what it was told may have been lost with a connection. */
void lease_start_again(struct core *core, struct lease *lease);
/* The worker gives it back, not started: into line, free of charge. */
void lease_return(struct core *core, struct lease *lease);
/* The worker is there and does not have it: it was never delivered (or its worker left in
 * order). What had started is lost with it. */
void lease_reclaim(struct core *core, struct lease *lease);
/* It ran and was ended through no fault of its own: into line, free of charge, a suspect. */
void lease_interrupt(struct core *core, struct lease *lease);
/* The worker is lost. */
void lease_lose(struct core *core, struct lease *lease);
/* To be told to the worker with the next flush. */
void lease_notify(struct core *core, struct lease *lease, uint8_t notice);
/* Ask the worker to stop, because the task is cancelled. */
void lease_abort(struct core *core, struct lease *lease);

#endif
