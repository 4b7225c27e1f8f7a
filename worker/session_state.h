/*
 * The inside of a session, shared by the files that make it up:
 *
 *    session.c         life, connection, drain, one turn
 *    session_broker.c  one handler per message of the broker
 *    session_pool.c    what is given to the pool, asked back from it, and what it says
 *    session_send.c    HELLO, ATTACH, REPORT, HEARTBEAT, requests
 *    session_range.c   ranges: coming, splitting, what the pool says of their parts
 *    session_stats.c   what HEARTBEAT carries besides
 *    session_output.c  what attempts print, for those who follow
 */
#ifndef WORKER_SESSION_STATE_H
#define WORKER_SESSION_STATE_H

#include "buffer.h"
#include "effect.h"
#include "lease.h"
#include "question.h"
#include "rng.h"
#include "session.h"
#include "shared.h"

enum worker_drain { WORKER_DRAIN_NONE, WORKER_DRAIN_GRACEFUL, WORKER_DRAIN_NOW };

struct worker_returned {
    struct drv_returned *items; /* owned */
    size_t count, capacity;
};

enum { WORKER_LOGS_MAX = 256 }; /* LOG messages on their way */

/* LOG messages of this connection; those with numbers up to `settled` have arrived. */
struct worker_logs {
    uint64_t sent, settled;
    uint64_t bytes;                 /* of those on their way */
    uint32_t lens[WORKER_LOGS_MAX]; /* by number */
};

struct worker_session {
    struct worker_session_config config;
    enum worker_session_state state;
    struct drv_rng rng;
    struct worker_effects effects;
    struct worker_book book;
    struct worker_shelf shelf;
    struct worker_questions questions;
    struct worker_returned returned; /* to be reported on this connection */
    uint32_t *types_sorted;          /* owned; indexes into config.types, by name */
    uint32_t *oddness;               /* owned; by type; see session_range.c */
    bool is_broke;

    /* where the broker may be: config.endpoints, then what it told us (owned copies) */
    struct drv_str *told; /* owned, with the texts */
    size_t told_count;
    size_t endpoint; /* number of the one in use */

    /* the connection */
    int64_t retry_at_us;    /* WAITING */
    int64_t greeting_at_us; /* GREETING: WELCOME must have come by then */
    int64_t welcomed_at_us; /* SERVING: since */
    int64_t heard_at_us;    /* last contact */
    int64_t lost_at_us;     /* end of the last connection */
    int64_t heartbeat_at_us;
    uint32_t failures; /* connections without success in a row */
    bool was_welcomed; /* ever: HELLO asks to resume */
    bool was_heard;    /* ever: contact means something */
    bool is_blocked;
    bool is_expired;       /* no contact for lease_us: nothing waits here any more */
    uint64_t seq_received; /* of this connection */
    uint64_t seq_settled;
    uint64_t requests_max;
    int64_t heartbeat_us, lease_us;
    int64_t silence_us;   /* that it may bear while it holds nothing, if more than lease_us */
    uint64_t credit_told; /* items last told to the broker */
    uint64_t window;      /* bytes the broker takes unsettled */

    /* what is to be reported */
    uint64_t reports, reports_settled; /* numbers of the last one */
    int64_t start_flush_at_us;         /* INT64_MAX: none waits */
    int64_t progress_flush_at_us;      /* earliest instant */
    bool has_progress;                 /* some lease has some to report */

    /* statistics for the next heartbeat */
    bool has_host;
    bool details_due; /* not told on this connection */
    struct drv_host host;
    struct drv_buffer details; /* owned; a msgpack map */

    /* output that is followed */
    struct drv_list unsent; /* leases whose followers are to be told something, in turn */
    struct worker_logs logs;
    int64_t output_flush_at_us; /* earliest instant */

    /* the end */
    bool is_broker_draining;
    bool has_await; /* the broker takes AWAIT */
    enum worker_drain drain;
    int64_t drain_at_us;  /* what runs is cancelled */
    int64_t settle_at_us; /* waiting for a broker ends; INT64_MAX: does not run yet */

    uint64_t finished_total, returned_total, stale_total;
};

struct worker_saying;

/* ---- session.c ---- */

/* The connection cannot be used (any more): back to WAITING, at the earliest after `pause_ms`.
 */
void worker_session_break(struct worker_session *session, struct drv_str reason,
                          uint64_t pause_ms, int64_t now_us);
void worker_session_stop(struct worker_session *session, drover_status status,
                         struct drv_str reason);
/* Sticky: out of memory. */
void worker_session_go_broke(struct worker_session *session);
/* GREETING to SERVING; false when that is not where it stands. */
bool worker_session_welcome(struct worker_session *session);
/* Leases the broker may leave with us, in all. */
uint64_t worker_session_credit(const struct worker_session *session);
/* Replaces the endpoints that the broker told. */
void worker_session_set_told(struct worker_session *session, const struct drv_str *endpoints,
                             size_t count);

/* Order of names as bytes. */
int worker_session_compare_names(struct drv_str a, struct drv_str b);

/* ---- session_broker.c ---- */

void worker_session_on_message(struct worker_session *session,
                               const struct drv_message *message, int64_t now_us);

/* ---- session_pool.c ---- */

/* Gives what may start to the pool; asks back what may not. */
void worker_session_start_leases(struct worker_session *session, int64_t now_us);
/* An unstarted lease ends here and is returned for that reason. */
void worker_session_return(struct worker_session *session, struct worker_lease *lease,
                           enum drv_return_reason reason);
/* All that has not started goes back for that reason. */
void worker_session_return_unstarted(struct worker_session *session,
                                     enum drv_return_reason reason);
/* The broker's ABORT of a lease with code `stale`, and another. */
void worker_session_abort_stale(struct worker_session *session, struct worker_lease *lease,
                                const struct worker_saying *saying);
void worker_session_abort(struct worker_session *session, struct worker_lease *lease,
                          const struct worker_saying *saying);
/* Asks a GIVEN lease back, of a range what comes from `index` on. */
void worker_session_revoke(struct worker_session *session, struct worker_lease *lease,
                           uint32_t index, enum worker_revoke why);
/* Cancels a RUNNING one, once. */
void worker_session_cancel(struct worker_session *session, struct worker_lease *lease);
void worker_session_cancel_all(struct worker_session *session);
/* No contact for the lease time: forget or ask back what has not started. */
void worker_session_expire_unstarted(struct worker_session *session);
void worker_session_mark_started(struct worker_session *session, struct worker_lease *lease,
                                 int64_t report_at_us);
void worker_session_answer(struct worker_session *session,
                           const struct worker_question *question,
                           const struct worker_answer *answer);

/* In the pool, and found by its key; else NULL. */
struct worker_lease *worker_session_find_in_pool(const struct worker_session *session,
                                                 uint64_t key);
/* A lease that has not started was given back by the pool: what becomes of it follows from why
 * it was asked back. */
void worker_session_give_up(struct worker_session *session, struct worker_lease *lease,
                            enum worker_revoke revoke);
/* Its result is kept, or what else becomes of it. */
void worker_session_keep(struct worker_session *session, struct worker_lease *lease,
                         const struct drv_result *result, int64_t now_us);

/* ---- session_range.c ---- */

/* Takes an entry of LEASE into the books; a range whose type the pool runs as single attempts
 * becomes as many leases. shared: borrowed; NULL: nothing. */
void worker_session_take(struct worker_session *session, const struct drv_lease_group *group,
                         const struct drv_lease_entry *entry, uint32_t type,
                         struct worker_shared *shared, int64_t now_us);

/*
 * What the broker says of attempts: of a task, or of elements of an array. Every lease that has
 * some of them is found, and split where it has others besides.
 */
struct worker_saying {
    struct drv_ref ref; /* the first */
    uint32_t count;     /* elements from there on */
    /* For each lease, or part of one, of these attempts alone; the lease may end. Not for
     * ranges that the pool has: these are asked back from there on, for the reason `revoke`,
     * and get the marks; nor for parts of those that have ended. */
    void (*on_part)(struct worker_session *session, struct worker_lease *lease,
                    const struct worker_saying *saying);
    enum worker_revoke revoke;
    uint8_t unmark, mark; /* enum worker_mark; 0: none */
    /* For each stretch of attempts that are not here; NULL: nothing. */
    void (*on_none)(struct worker_session *session, const struct drv_ref *ref, uint32_t count);
    enum drv_return_reason reason; /* for on_part */
    uint32_t streams;              /* the same */
    int64_t now_us;
};
void worker_session_say(struct worker_session *session, const struct worker_saying *saying);

/* What was marked of the only element of a lease, which has started. */
void worker_session_apply_marks(struct worker_session *session, struct worker_lease *lease);

/* ---- session_stats.c ---- */

/* The details if the broker has not had them; borrowed until they are set again. */
struct drv_str worker_session_take_details(struct worker_session *session);

/* ---- session_send.c ---- */

void worker_session_send_hello(struct worker_session *session);
void worker_session_send_reports(struct worker_session *session, int64_t now_us);
void worker_session_send_heartbeat(struct worker_session *session, int64_t now_us);
void worker_session_send_questions(struct worker_session *session, int64_t now_us);
/* Answers `timeout` to those whose handler waits no longer. */
void worker_session_expire_questions(struct worker_session *session, int64_t now_us);
void worker_session_send_credit(struct worker_session *session);
void worker_session_add_returned(struct worker_session *session, const struct drv_ref *ref,
                                 uint32_t count, enum drv_return_reason reason);

/* ---- session_output.c ---- */

void worker_session_on_follow(struct worker_session *session, const struct drv_message *message,
                              int64_t now_us);
/* These streams of a single lease are followed from now on. */
void worker_session_follow(struct worker_session *session, struct worker_lease *lease,
                           uint32_t streams);
/* The connection is gone, and with it those who followed. */
void worker_session_unfollow_all(struct worker_session *session);
/* LOG messages, as far as there is room. */
void worker_session_send_output(struct worker_session *session, int64_t now_us);
/* The attempt has ended: what it has printed goes now, or with the tail of its result. */
void worker_session_finish_output(struct worker_session *session, struct worker_lease *lease);
/* Whether the token was that of a LOG, which is settled then. */
bool worker_session_settle_output(struct worker_session *session, uint64_t token);
/* When output can be sent; INT64_MAX: there is none, or no room. */
int64_t worker_session_output_deadline(const struct worker_session *session);

#endif
