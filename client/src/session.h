/*
 * session.h: one client's session with the broker, as a pure state machine.
 *
 *   submissions ─┐                                      ┌─> frames  (drv_session_next)
 *   requests ────┼─> [ numbered, resent, answered ] ────┤
 *   watchers ────┘      drv_session                     └─> a connection is wanted or not
 *                          ^      ^
 *         frames received ─┘      └─ time (drv_session_tick)
 *
 *            tick, due              WELCOME
 *    ┌─> DOWN ───────> CONNECTING ───────────> UP      FATAL: the first contact was refused for
 *    │                     │                   │              good (version, wrong endpoint)
 *    └──── lost, silent ───┴─── lost, silent ──┘       ENDED: drv_session_end
 *
 * Guarantees: every request is answered exactly once, unless withdrawn: by the broker, or by
 * OUTCOME_UNKNOWN when the broker has lost the session; never sent again under another
 * session. Questions are sent again freely. A submission that was never sent is never lost with
 * a session. What is watched is looked up again in a fresh session. Results are taken once.
 * No connection is believed dead while anything was heard within the lease time; none is kept
 * beyond it while something is awaited.
 *
 * No sockets, clock or threads: time is passed in (monotonic microseconds), one caller at a
 * time. Callbacks run inside drv_session_receive, _tick and _end, and may call everything
 * here but these three. Objects are the caller's; the session borrows them until their
 * callback.
 */
#ifndef DRV_CLIENT_SESSION_H
#define DRV_CLIENT_SESSION_H

#include "link.h"
#include "list.h"
#include "message.h"
#include "outcome.h"
#include "spec.h"

struct drv_session;

struct drv_session_config {
    uint64_t seed;             /* for jitter and the hash of the watches; random */
    const char *endpoint;      /* copied */
    const char *name;          /* copied */
    uint64_t unread_bytes_max; /* beyond it results are left unsettled while nobody reads */
    /* Makes the 128 random bits of a session. OK or IO. */
    drover_status (*random_id)(drover_id *out_id);
};

DROVER_MUST_USE drover_status drv_session_new(const struct drv_session_config *config,
                                              struct drv_session **out_session);

/* Nothing may be outstanding: call drv_session_end first. */
void drv_session_destroy(struct drv_session **session);

/* ---- the connection ---------------------------------------------------------------------- */

/*
 * The number of the connection that should exist now, 0 for none. When it differs from the
 * one the shell has, the shell destroys its socket and makes a new one to
 * drv_session_endpoint.
 */
uint64_t drv_session_connection(const struct drv_session *session);
const char *drv_session_endpoint(const struct drv_session *session);

/* The shell saw the connection of this number break (or could not make it). */
void drv_session_lost(struct drv_session *session, uint64_t connection, const char *why,
                      int64_t now_us);

/* The shell knows that there will never be a broker again: everything outstanding, and what
 * comes later, ends with this status (not OK). */
void drv_session_fail(struct drv_session *session, drover_status status, const char *why);

/*
 * One received message of the present connection, borrowed (drv_link_receive_bytes). Whatever
 * it is, the session deals with it (a broken message breaks the connection).
 */
void drv_session_receive(struct drv_session *session, const uint8_t *head, size_t head_len,
                         const uint8_t *blob, size_t blob_len, int64_t now_us);

/* Frames for the socket; and one pair given back that the socket refused. */
bool drv_session_next(struct drv_session *session, struct drv_frames *out_frames);
void drv_session_unsend(struct drv_session *session, struct drv_frames *frames);

/* Timers, coalescing, everything that is ready into the link. Call after receiving and after
 * new work, before drv_session_next. Returns when it wants to be called again (INT64_MAX:
 * never). */
int64_t drv_session_tick(struct drv_session *session, int64_t now_us);

bool drv_session_is_up(const struct drv_session *session);
bool drv_session_was_up(const struct drv_session *session); /* welcomed at least once */
bool drv_session_has_capability(const struct drv_session *session, const char *name);

/* Why the session will never work (VERSION, WRONG_ENDPOINT, DENIED, or what drv_session_fail
 * said), else OK. */
drover_status drv_session_fatal(const struct drv_session *session);

/* The last trouble with the connection, one escaped line, "" for none. */
const char *drv_session_problem(const struct drv_session *session);

/* Whether anything is outstanding that needs the connection to be looked after. */
bool drv_session_is_awaiting(const struct drv_session *session);

/* Whether an answer is outstanding, or there is no connection yet that could bring one: what is
 * new may wait for it. */
bool drv_session_is_expecting(const struct drv_session *session);

/* Whether there is something to be sent, an acknowledgement perhaps. */
bool drv_session_owes(const struct drv_session *session);

/* Queues GOODBYE; everything outstanding ends with `status`. Send what drv_session_next gives,
 * then close. */
void drv_session_end(struct drv_session *session, drover_status status, int64_t now_us);

/* ---- requests and questions -------------------------------------------------------------- */

struct drv_answer {
    drover_status status;                /* the broker's code, or why there is none */
    const struct drv_reply *reply;       /* borrowed; NULL when there is none */
    const struct drv_document *document; /* borrowed; NULL but for QUERY */
    struct drv_str text;                 /* borrowed */
    uint64_t retry_after_ms;
};

struct drv_pending {
    struct drv_list link;       /* private */
    uint64_t req;               /* private; 0 until first sent */
    uint64_t order;             /* private; among everything that was asked and submitted */
    bool is_sent;               /* private; on this connection */
    int64_t deadline_us;        /* budget of the request; INT64_MAX none */
    struct drv_message message; /* filled by the owner; borrowed until answered or withdrawn */
    void (*on_answer)(struct drv_pending *pending, const struct drv_answer *answer);
};

/* Everything zero but the kind and the callback; no deadline. */
void drv_pending_init(struct drv_pending *pending, enum drv_kind kind,
                      void (*on_answer)(struct drv_pending *pending,
                                        const struct drv_answer *answer));

/* A request (kinds 16 to 28) or a question (WATCH, UNWATCH, QUERY). */
void drv_session_ask(struct drv_session *session, struct drv_pending *pending);

/* Nobody wants the answer any more; harmless when it came. The change may still happen. */
void drv_session_withdraw(struct drv_session *session, struct drv_pending *pending);

/* ---- the end of tasks -------------------------------------------------------------------- */

struct drv_watch; /* private */

struct drv_watcher {
    struct drv_list link;    /* private */
    struct drv_watch *watch; /* private; NULL when not watching */
    bool wants_value;        /* false: states only */
    /* The task has ended: OK with the outcome (borrowed), or UNKNOWN, NOMEM, ... without. */
    void (*on_end)(struct drv_watcher *watcher, drover_status status, drover_outcome *outcome);
    /* NULL, or elements of the array that is watched (index none); before on_end. */
    void (*on_element)(struct drv_watcher *watcher, drover_outcome *outcome);
};

/* Initialises; to be called once before any use of a watcher. */
void drv_watcher_init(struct drv_watcher *watcher);

/* Watches a task that exists. release: the broker forgets it once the result was settled. OK or
 * NOMEM. */
DROVER_MUST_USE drover_status drv_session_watch(struct drv_session *session,
                                                struct drv_watcher *watcher,
                                                const drover_id *id, uint32_t index,
                                                bool release);

/* Asks for what was watched so far before anything that is asked from now on. */
void drv_session_watch_first(struct drv_session *session);

/* The same for a task or array whose submit carries the watch flag: nothing is asked until
 * drv_session_watch_taken tells that it exists. */
DROVER_MUST_USE drover_status drv_session_watch_new(struct drv_session *session,
                                                    struct drv_watcher *watcher,
                                                    const drover_id *id, bool release);
void drv_session_watch_taken(struct drv_session *session, struct drv_watcher *watcher,
                             uint32_t level);

/* The submit was refused: stops watching, there is nothing to unwatch. */
void drv_session_watch_refused(struct drv_session *session, struct drv_watcher *watcher);

/* Stops watching; harmless when it has ended. */
void drv_session_unwatch(struct drv_session *session, struct drv_watcher *watcher);

/* ---- submissions ------------------------------------------------------------------------- */

enum drv_submission_state {
    DRV_SUBMISSION_IDLE,    /* not with the session */
    DRV_SUBMISSION_WAITING, /* to be sent */
    DRV_SUBMISSION_SENT,    /* on its way or taken, not answered */
};

struct drv_submission {
    struct drv_list link; /* private */
    enum drv_submission_state state;
    uint64_t order;              /* private */
    int64_t busy_until_us;       /* private; give up then; INT64_MIN: was not refused yet */
    drover_id id;                /* filled by the owner, as what follows */
    struct drv_payload payload;  /* owned */
    struct drv_task_spec *spec;  /* owned reference */
    struct drv_watcher *watcher; /* borrowed; NULL: the spec has no watch flag */
    bool is_attached;            /* another task had the key: `id` is that one's now */
    /* Taken (OK, with the level) or not. */
    void (*on_taken)(struct drv_submission *submission, drover_status status,
                     drover_durability level, struct drv_str text);
};

/* Queues it. The watcher, if any, must be watching (drv_session_watch_new). */
void drv_session_submit(struct drv_session *session, struct drv_submission *submission,
                        int64_t now_us);

/* Takes one back that is WAITING. False when it was sent. */
bool drv_session_take_back(struct drv_session *session, struct drv_submission *submission);

/* Submissions not answered, and their payload bytes: for backpressure. */
size_t drv_session_submissions(const struct drv_session *session);
uint64_t drv_session_submission_bytes(const struct drv_session *session);

/* The broker refused submissions for now; new ones wait behind them. */
bool drv_session_is_busy(const struct drv_session *session);

/* ---- results that nobody took ------------------------------------------------------------ */

/* Bytes of outcomes that were handed over (positive) or taken by the user (negative). */
void drv_session_count_unread(struct drv_session *session, int64_t bytes);
bool drv_session_is_over_unread(const struct drv_session *session);

/* A thread waits for results (+1) or has stopped (-1): then everything is settled. */
void drv_session_count_readers(struct drv_session *session, int change);

/* ---- streams ----------------------------------------------------------------------------- */

/* What came of a subscription with one message. */
struct drv_arrival {
    const struct drv_message
        *message;    /* EVENTS or LOGS; borrowed; NULL: only that some is lost */
    size_t skip;     /* entries at its beginning that came before */
    uint64_t missed; /* entries before it that were dropped */
    bool is_anew;    /* the broker has forgotten the subscription: nobody knows how many */
};

/*
 * What a client is told while it happens. The session asks for it over every connection, and
 * goes on where the last one has ended.
 */
struct drv_subscription {
    struct drv_list link;       /* private */
    struct drv_pending pending; /* private */
    struct drv_session *session;
    struct drv_subscribe wanted; /* filled by the owner, but for subscription and taken */
    uint64_t received;           /* private: number of the last entry that came */
    uint64_t taken, told_taken;  /* private: the last that the owner took; that TAKEN said */
    uint64_t taken_bytes;        /* private: since TAKEN was sent last */
    bool is_asked;               /* private: the broker has it, over this connection */
    bool was_asked;              /* private: over an earlier one */
    bool has_ended;              /* private: the last entry has come */
    void (*on_arrival)(struct drv_subscription *subscription,
                       const struct drv_arrival *arrival);
    /* It is over, not by the owner's will. OK: the end of an output; else why it was refused.
     */
    void (*on_end)(struct drv_subscription *subscription, drover_status status,
                   struct drv_str text);
};

/* Begins; the owner keeps it until drv_session_unsubscribe, which may follow on_end. */
void drv_session_subscribe(struct drv_session *session, struct drv_subscription *subscription);
/* The owner is done with this many entries, of so many bytes, the missed ones included. */
void drv_session_take(struct drv_subscription *subscription, uint64_t entries, size_t bytes);
void drv_session_unsubscribe(struct drv_session *session,
                             struct drv_subscription *subscription);

#endif
