/*
 * sim_checker.h: watches everything and compares it with what must be true.
 *
 *   records of the core ──┐
 *   messages it sends ────┼── model of every task ── first contradiction: sim_fail
 *   what workers start ───┤
 *   what clients are told ┘
 *
 * Checked here: tasks that were promised exist and end; one end per task, backed by what the
 * worker of that very attempt said; attempts grow; one live lease per task; nothing starts
 * after an acknowledged cancel or after it was given back; leases are taken away only for a
 * reason; charges only for what had started; order of arrival and of priorities; credit;
 * limits of queues and memory; requests take effect once; counters agree with the history;
 * whatever can run does, each task by itself.
 */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "sim_client.h"
#include "sim_model.h"
#include "sim_plan.h"

struct sim;
struct sim_peer;
struct sim_conn;
struct sim_lease;

enum {
    SIM_PRIORITIES = 4,
    SIM_SEATS = 16,          /* peers */
    SIM_REQUEST_BITS = 4096, /* requests of a session whose effect is counted */
    SIM_SWAPS_MAX = 1024,
    SIM_CONTROLS_MAX = 256,
};

struct sim_line { /* tasks that have not been leased yet, in the order of their arrival */
    uint32_t first, last; /* SIM_NO_TASK: empty */
};

struct sim_seat {     /* a peer as the broker sees it */
    int64_t heard_us; /* last message that reached the broker */
    int64_t gone_us;  /* its connection was seen to be gone; INT64_MAX: it is not */
    int64_t hello_us;
    uint32_t conn;   /* connection of its last HELLO */
    uint64_t credit; /* last told */
    uint32_t live;   /* leases that its session holds by the records */
    uint32_t live_session;
    bool said_goodbye;
    bool is_heavy;  /* its host is over the memory mark: said on this connection */
    bool was_heavy; /* the same, on whichever it was said last */
    uint8_t effects[SIM_REQUEST_BITS / 8]; /* requests that took effect */
    uint32_t effects_session;
};

struct sim_control { /* a queue request that has arrived */
    uint32_t peer, session;
    uint64_t req;
    unsigned queue;
    uint32_t op;
};

struct sim_checker {
    struct sim_line lines[SIM_QUEUE_COUNT][SIM_TYPE_COUNT][SIM_PRIORITIES][SIM_KINDS];
    struct sim_seat seats[SIM_SEATS];
    uint64_t leases[SIM_QUEUE_COUNT][SIM_TYPE_COUNT]; /* LEASE records */
    uint64_t next_arrival;
    uint64_t submitted; /* of this epoch, by the records */
    uint64_t by_state[DROVER_STATE_LOST + 1];
    uint64_t depth[SIM_QUEUE_COUNT];
    bool paused[SIM_QUEUE_COUNT];                  /* a pause has taken effect */
    bool purged[SIM_QUEUE_COUNT];                  /* ever */
    struct sim_control controls[SIM_CONTROLS_MAX]; /* ring */
    uint32_t control_count;
    bool limit_set;                     /* the limit of the tight queue was changed */
    bool limits_heard, limits_in_force; /* of the limited queue: may be, are */
    int64_t tokens, tokens_us;          /* of its rate, in millionths; when that was */
    int64_t increments[SIM_COUNTERS], increments_unknown[SIM_COUNTERS];
    uint64_t swapped[SIM_SWAPS_MAX]; /* versions that were replaced */
    uint32_t swapped_count;
};

/* ---- the broker ---- */
/* goes_on: with everything that it knew. */
void sim_checker_on_broker_start(struct sim *sim, bool goes_on);
void sim_checker_on_heard(struct sim *sim, const struct sim_conn *conn,
                          const struct drv_message *message);
void sim_checker_on_gone(struct sim *sim, const struct sim_conn *conn);
void sim_checker_on_record(struct sim *sim, const struct core_record *record);
void sim_checker_on_send(struct sim *sim, const struct sim_conn *conn,
                         const struct drv_message *message);
void sim_checker_after_step(struct sim *sim);
void sim_checker_after_turn(struct sim *sim);

/* ---- limits on leases (sim_limits.c) ---- */
/* What is about to be leased to the holder of that session. */
void sim_checker_on_dispatch(struct sim *sim, uint32_t serial, uint32_t worker,
                             uint32_t session);
/* It came back and had not started. */
void sim_checker_on_refund(struct sim *sim, const struct sim_task *task);
/* Limits are in force from now on. */
void sim_checker_on_limits(struct sim *sim);
/* A limit of its queue, or what it needs, may be a reason to wait. */
bool sim_checker_is_held_back(struct sim *sim, const struct sim_task *task);

/* ---- workers ---- */
void sim_checker_on_lease(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                          uint32_t payload, bool confirm);
void sim_checker_on_start(struct sim *sim, struct sim_peer *peer,
                          const struct sim_lease *lease);
void sim_checker_on_told_started(struct sim *sim, struct sim_peer *peer,
                                 const struct drv_ref *ref);
void sim_checker_on_told_returned(struct sim *sim, struct sim_peer *peer,
                                  const struct drv_returned *returned);
void sim_checker_on_told_result(struct sim *sim, struct sim_peer *peer,
                                const struct sim_lease *lease);
void sim_checker_on_attach(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                           uint32_t state);
void sim_checker_on_shared(struct sim *sim, const struct drv_shared *shared);
/* The task when this very attempt is the worker's by the records, else NULL. */
struct sim_task *sim_checker_task_held(struct sim *sim, const struct sim_peer *peer,
                                       const struct drv_ref *ref);
/* Leases in its book that are its own by the records. */
uint64_t sim_checker_held(struct sim *sim, const struct sim_peer *peer);
/* Some attempt that another worker holds. */
bool sim_checker_pick_foreign_lease(struct sim *sim, struct sim_peer *peer,
                                    struct drv_ref *out_ref);

/* ---- clients ---- */
void sim_checker_on_promise(struct sim *sim, struct sim_task *task);
void sim_checker_on_outcome(struct sim *sim, struct sim_peer *peer, uint32_t serial,
                            const struct drv_outcome *entry);
void sim_checker_on_increment(struct sim *sim, struct sim_peer *peer, unsigned key,
                              int64_t number, int64_t value);
void sim_checker_on_increment_unknown(struct sim *sim, struct sim_peer *peer, unsigned key,
                                      int64_t number);
void sim_checker_on_swap(struct sim *sim, struct sim_peer *peer, uint64_t expected);

/* ---- whatever can run does (sim_stuck.c) ---- */
void sim_checker_probe(struct sim *sim);
/* Nothing stands still yet. */
void sim_checker_forget_stuck(struct sim *sim);

/* ---- the whole ---- */
/* Every task the broker knows has ended. */
bool sim_checker_all_ended(struct sim *sim);
void sim_checker_final(struct sim *sim);
/* The record does not fit the model: the run fails. */
void sim_checker_accuse(struct sim *sim, uint32_t serial, const char *what);
void sim_task_describe(struct sim *sim, uint32_t serial, char *out_text, size_t len);

#endif
