/*
 * sim_model.h: what is true about every task, from three sides.
 *
 *   client side   what was asked for, what was acknowledged, what was told
 *   broker side   what the core recorded
 *   worker side   what ran
 *
 * Tasks, elements and arrays stand in one table and are named by their serial number in it.
 * The elements of an array follow it: array serial + 1 + index.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drover/task.h"
#include "message.h"

#define SIM_NO_TASK UINT32_MAX

enum { SIM_KEY_COUNT = 4, SIM_GROUP_COUNT = 3 }; /* 0: none */

enum sim_submit {                     /* client side */
                  SIM_SUBMIT_NEW,     /* not sent, or refused as busy and to be sent again */
                  SIM_SUBMIT_SENT,    /* no answer yet */
                  SIM_SUBMIT_ACKED,   /* the broker promised it */
                  SIM_SUBMIT_REFUSED, /* the broker will not have it */
                  SIM_SUBMIT_UNKNOWN, /* the session ended before the answer */
};

enum sim_hold {                /* broker side: the latest lease */
                SIM_HOLD_NONE, /* never leased */
                SIM_HOLD_LIVE,
                SIM_HOLD_RETURNED, /* came back unstarted */
                SIM_HOLD_FAILED,   /* its attempt failed and was taken into the books */
                SIM_HOLD_AWAITS,   /* its attempt ended to wait for others */
                SIM_HOLD_LOST,     /* taken away: the worker was lost; it may yet run there */
                SIM_HOLD_ENDED,    /* the task ended with it */
};

enum { SIM_TENANTS = 3, SIM_ZONES = 3, SIM_KINDS = 2 * SIM_ZONES * SIM_TENANTS };
enum { SIM_AFTER_MAX = 3, SIM_CHILDREN_MAX = 3 };

struct sim_after {
    uint32_t parent; /* serial */
    uint32_t when;   /* 1: until it has succeeded, 2: until it has ended */
};

struct sim_task_spec {
    unsigned type, queue;
    int32_t priority;
    uint64_t delay_ms, expire_ms, timeout_ms, backoff_ms;
    uint32_t retries;
    int32_t loss_budget;
    uint32_t durability, flags;
    int64_t keep_ms;
    unsigned key; /* 0: none */
    uint64_t key_window_ms;
    unsigned group;     /* 0: none; tasks of a group have a tag, too */
    size_t payload_len; /* 0: no value (elements and arrays only) */
    unsigned tenant;    /* fairness key, below SIM_TENANTS; 0: none */
    bool needs_gpu;     /* of which some workers have one */
    unsigned zone;      /* label that the worker must have, below SIM_ZONES; 0: none */
    uint32_t after_count;
    struct sim_after after[SIM_AFTER_MAX];
};

struct sim_outcome_seen { /* a RESULTS entry */
    uint32_t state, attempt, error_kind;
};

struct sim_task {
    drover_id id;
    uint32_t index;
    uint32_t payload;  /* serial number in its payload; its own unless it is a retry */
    uint32_t array;    /* serial of the array of an element; SIM_NO_TASK */
    uint32_t elements; /* of an array; 0: not an array */
    uint32_t owner;    /* client */
    struct sim_task_spec spec;
    uint32_t child_count; /* what its handler awaits, if it awaits anything */
    uint32_t children[SIM_CHILDREN_MAX];
    bool is_scheduled; /* nobody has submitted it but the broker */

    /* client side */
    enum sim_submit submit;
    uint64_t acked_epoch;
    uint32_t level;
    bool is_retry, is_alone; /* alone: it waits for nothing that its origin waited for */
    uint32_t origin;         /* of a retry: serial */
    uint32_t retried_as;     /* serial of its retry; 0: none */
    bool seal_asked, sealed_acked, cancel_asked, forget_asked, retry_asked;
    bool abandoned;        /* array: will not be sealed */
    bool cascade_asked;    /* something that awaits it is cancelled with all it awaits */
    uint32_t graph;        /* the first of those it was submitted with, all or none; or NONE */
    int64_t busy_until_us; /* array: elements were refused as busy */
    bool states_watched;   /* some watch of it wants no values */
    bool resolved;         /* the owner knows how it ended */
    bool seen;
    uint64_t seen_epoch;
    struct sim_outcome_seen outcome; /* when seen */
    uint64_t watched_by;             /* session number under which it is watched */
    uint64_t forgotten_by;           /* the same for the forget of the end */
    int64_t end_cancelled_us;        /* cancelled at the end; 0: not yet */

    /* broker side: of the present incarnation */
    bool known; /* the core has recorded it */
    uint64_t epoch;
    uint32_t state;
    uint64_t arrival; /* order among all submits */
    int64_t submitted_us, leased_us;
    int64_t due_us;  /* may run from then on, at the latest */
    bool seal_heard; /* array: its SEAL has arrived */
    bool voided;     /* array: to be cancelled, though its elements may still stand in line */
    bool in_line;    /* has never been leased and is in the list of its class */
    bool ever_started;
    bool stands; /* could run and was not leased, since when; leases of its kind by then */
    int64_t stands_us;
    uint32_t stands_attempt;
    uint64_t stands_leases;
    uint32_t listed_conn; /* connection on which its holder listed it last */
    uint32_t attempt;     /* of the latest lease */
    enum sim_hold hold;
    uint32_t holder;           /* worker */
    uint32_t holder_session;   /* number of its session */
    bool started;              /* recorded for the latest lease */
    bool suspect;              /* was interrupted, and no attempt has ended since */
    uint32_t failures, losses; /* charges */
    bool cancel_acked;         /* from here on nothing may start */
    bool awaits;               /* its last attempt did, and none has begun since */
    bool failed_by_parent;
    bool forgotten;
    int64_t ended_us;
    uint32_t ended_attempt;
    uint32_t next_waiting, prev_waiting; /* FIFO list of its class, SIM_NO_TASK at the ends */

    /* worker side: of the present incarnation */
    uint32_t started_attempt;  /* highest attempt whose handler started */
    uint32_t reported_attempt; /* of the last result that left a worker */
    uint32_t reported_outcome, reported_by;
    bool reported_permanent;
    uint32_t await_attempt;    /* highest attempt that said so */
    uint32_t broken_attempt;   /* highest attempt that came back though it had started */
    bool interrupted;          /* that one: through no fault of its own */
    uint32_t returned_attempt; /* highest attempt that a worker gave back */
    uint32_t told_attempt;     /* highest attempt that a worker called started */
};

struct sim_model {
    struct sim_task *tasks; /* owned */
    uint32_t count, capacity;
    uint32_t *slots; /* owned; hash of (id, index) to serial + 1 */
    size_t slot_count;
};

void sim_model_init(struct sim_model *model);
void sim_model_fini(struct sim_model *model);

/* A new task with the next serial number; everything else zero. */
uint32_t sim_model_add(struct sim_model *model, const drover_id *id, uint32_t index);
/* Serial number, or SIM_NO_TASK. */
uint32_t sim_model_find(const struct sim_model *model, const drover_id *id, uint32_t index);
/* The broker takes it as new: its broker and worker sides start afresh. */
void sim_model_begin(struct sim_task *task, uint64_t epoch);
static inline struct sim_task *sim_model_task(struct sim_model *model, uint32_t serial)
{
    return &model->tasks[serial];
}

/* A hash of the name, for results. */
uint32_t sim_name_hash(const drover_id *id, uint32_t index);

/* The label of a zone, which is not 0. */
struct drv_pair sim_zone_label(unsigned zone);

/* The spec as it goes over the wire. */
void sim_spec_build(const struct sim_task_spec *from, struct drv_spec *out_spec);

static inline bool sim_state_is_terminal(uint32_t state)
{
    return state >= (uint32_t)DROVER_STATE_SUCCEEDED;
}

#endif
