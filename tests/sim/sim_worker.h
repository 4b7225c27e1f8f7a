/*
 * sim_worker.h: a worker: a book of leases, slots, handlers that take virtual time.
 *
 *   UNSTARTED ──slot free──> RUNNING ──handler ends──> DONE ──settled──> gone
 *      │  └─ASKING (STARTED sent, GO awaited)─^  └──ABORT stale──> ZOMBIE ──> gone
 *      └──recall, abort, drain, no contact──> gone
 */
#ifndef SIM_WORKER_H
#define SIM_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "sim_model.h"
#include "sim_peer.h"
#include "sim_plan.h"

struct sim;
struct sim_event;

enum sim_lease_state { SIM_UNSTARTED, SIM_ASKING, SIM_RUNNING, SIM_ZOMBIE, SIM_DONE };

struct sim_lease {
    uint64_t serial; /* never used again; order of arrival */
    struct drv_ref ref;
    uint64_t epoch; /* life of the broker that gave it */
    uint64_t wire;  /* its epoch in messages */
    enum sim_lease_state state;
    unsigned type;
    uint32_t payload;
    bool confirm;
    uint64_t timeout_ms, term_ms, kill_ms;
    struct sim_plan plan;
    bool aborted;     /* told to stop because of a cancel */
    uint32_t outcome; /* when DONE: enum drv_attempt_outcome */
    uint32_t error_kind;
    bool permanent;
    uint32_t parents[SIM_AFTER_MAX + SIM_CHILDREN_MAX]; /* serials */
    uint32_t parent_count;
    bool awaits;    /* when DONE: it ended to wait for its children */
    bool times_out; /* its end is its time limit */
    int64_t began_us, natural_end_us, ends_at_us;
    uint64_t token; /* of the report that carries the result; 0: not sent on this connection */
    bool sent_before; /* on an earlier connection */
};

enum {
    SIM_BOOK_MAX = 256,
    SIM_GONE_MAX = 512, /* leases remembered after they left the book */
    SIM_OUT_MAX = 64,
};

struct sim_gone {       /* what an attempt was that is no longer in the book */
    struct drv_ref ref; /* the handle tells it from an earlier life of the same task */
    uint64_t epoch;
};

struct sim_question { /* how a parent has ended */
    uint64_t req;
    struct drv_ref ref; /* the lease of who asks */
    uint32_t parent;    /* serial */
};

struct sim_worker {
    uint32_t slots;
    uint32_t types;  /* bit per type offered */
    uint32_t queues; /* bit per queue; 0: all */
    bool has_gpu;
    uint32_t zones; /* bit per label that it has */
    bool is_light;  /* its host always has memory */
    uint64_t credit_items, credit_high, credit_bytes;
    struct sim_lease book[SIM_BOOK_MAX];
    uint32_t book_count;
    uint64_t next_serial;
    uint32_t running; /* slots in use */
    bool drained;     /* takes no work */
    bool doomed;      /* dies as soon as it holds something unstarted */
    bool leaving;     /* ends when nothing runs */
    bool flush_scheduled;
    uint64_t next_req;
    struct sim_question question; /* the last one */
    uint64_t next_token;
    struct drv_ref started[SIM_OUT_MAX];
    uint32_t started_count;
    struct drv_returned returned[SIM_BOOK_MAX];
    uint32_t returned_count;
    struct sim_gone gone[SIM_GONE_MAX]; /* ring */
    uint32_t gone_next;
    drover_id shared[SIM_OUT_MAX]; /* arrays whose shared value is here */
    uint32_t shared_count;
};

struct sim_worker *sim_worker_new(struct sim *sim, bool offers_all);
void sim_worker_destroy(struct sim_worker **worker);

/* The process dies: everything in it is gone. It comes back as a new session. */
void sim_worker_crash(struct sim *sim, struct sim_peer *peer, bool told);
/* SIGTERM: gives back what has not started, finishes the rest, says goodbye. */
void sim_worker_leave(struct sim *sim, struct sim_peer *peer);
/* Sends a result for an attempt that it does not hold. */
void sim_worker_forge(struct sim *sim, struct sim_peer *peer);
/* Whether it offers what such a task wants of a worker: type, queue, labels, resources. */
bool sim_worker_fits(const struct sim_worker *worker, const struct sim_task_spec *spec);
void sim_worker_set_credit(struct sim *sim, struct sim_peer *peer, uint64_t items);
/* Leases that it holds and has not reported. */
uint32_t sim_worker_held(const struct sim_worker *worker);

void sim_worker_greet(struct sim *sim, struct sim_peer *peer);
void sim_worker_on_welcome(struct sim *sim, struct sim_peer *peer, bool resumed);
void sim_worker_on_disconnect(struct sim *sim, struct sim_peer *peer);
void sim_worker_on_message(struct sim *sim, struct sim_peer *peer,
                           const struct drv_message *message);
void sim_worker_on_settled(struct sim *sim, struct sim_peer *peer, uint64_t token);
void sim_worker_on_event(struct sim *sim, struct sim_peer *peer, const struct sim_event *event);
void sim_worker_heartbeat(struct sim *sim, struct sim_peer *peer);

#endif
