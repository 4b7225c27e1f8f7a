/*
 * sim_events.h: what is going to happen, in order of virtual time.
 *
 * Events of one instant come out in the order in which they were added, so a run depends on
 * nothing but its seed. Events are values; nothing is allocated per event once the heap has
 * grown.
 */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_event_kind {
    SIM_EVENT_ARRIVE = 1, /* object: frame that reaches the other end */
    SIM_EVENT_LINK_TICK,  /* who: connection, arg: side; acknowledgement due */
    SIM_EVENT_ACK,      /* direct connections; who: connection, arg: frames settled and side */
    SIM_EVENT_BREAK,    /* who: connection, arg: side that learns that it is gone, + 2: alone */
    SIM_EVENT_TURN,     /* end of a turn of the broker */
    SIM_EVENT_WAKE,     /* the core's own deadline */
    SIM_EVENT_RESTART,  /* the broker is back */
    SIM_EVENT_CONNECT,  /* who: peer */
    SIM_EVENT_PATIENCE, /* who: peer; no WELCOME came */
    SIM_EVENT_HEARTBEAT, /* who: peer */
    SIM_EVENT_AWAKE,     /* who: peer; its stop is over */
    SIM_EVENT_LISTEN,    /* who: peer; reads again */
    SIM_EVENT_ACTION,    /* who: client; does the next thing */
    SIM_EVENT_RESUBMIT,  /* who: client, arg: task that was refused as busy */
    SIM_EVENT_SETTLE,    /* who: client, arg: message taken over by a slow reader */
    SIM_EVENT_FLUSH,     /* who: worker; sends its report */
    SIM_EVENT_FINISH,    /* who: worker, arg: lease whose handler ends */
    SIM_EVENT_REVIVE,    /* who: peer; a new process after a crash */
    SIM_EVENT_FAULT,     /* the next fault */
    SIM_EVENT_MEND,      /* who: peer that is cut off no longer */
    SIM_EVENT_PROBE,     /* is anything stuck? */
    SIM_EVENT_PHASE,     /* end of the faults, further steps of the end */
};

struct sim_event {
    int64_t at_us;
    uint64_t order; /* ties: first in, first out */
    enum sim_event_kind kind;
    uint32_t who;
    uint64_t arg;
    uint64_t generation; /* timers of peers: outdated when it is not the peer's */
    void *object;
};

struct sim_events {
    struct sim_event *heap; /* owned */
    size_t count, capacity;
    uint64_t next_order;
};

void sim_events_init(struct sim_events *events);
void sim_events_fini(
    struct sim_events *events); /* objects of waiting events are the caller's */
void sim_events_add(struct sim_events *events, struct sim_event event);
bool sim_events_next(struct sim_events *events, struct sim_event *out_event);

#endif
