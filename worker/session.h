/*
 * Session: what a worker owes its broker, as a pure state machine.
 *
 *    broker ──message, settled, broken──>┌─────────┐──CONNECT, DISCONNECT, SEND, SETTLE──> link
 *                                        │ session │
 *    pool ──started, finished, asks─────>└─────────┘──RUN, REVOKE, CANCEL, ANSWER──> pool
 *
 * The connection:
 *
 *               OPEN             WELCOME
 *      IDLE ──────────> GREETING ───────> SERVING         every state but STOPPED:
 *                        ^    │ BREAK        │               FATAL, LEAVE ──> STOPPED
 *                   OPEN │    v              │ BREAK
 *                       WAITING <────────────┘
 *
 * A lease, or a part of a range whose elements stand alike (states of worker/lease.h):
 *
 *      QUEUED ──(confirm)──> CONFIRMING ──GO──┐
 *        │ RUN                                v
 *        └──────────────────────────────> GIVEN ──started──> RUNNING ──finished──> FINISHED
 *                 <──returned by the pool──┘                                          │ REPORT
 *                                                            gone <──settled── REPORTED
 *
 * One turn: feed every input that is there, then worker_session_tick once (deadlines, starts,
 * the batched REPORT), then apply the effects in order and call worker_session_effects_clear.
 *
 * Guarantees: a result is kept, and sent again on every new connection, until the broker has
 * settled it; nothing starts without a working connection or without contact for the lease
 * time; a lease that was returned or dropped never starts; every lease given to the pool is
 * asked back or cancelled at most once per reason; held results, waiting payloads, shared
 * values, open requests and output are bounded; output never delays a result.
 *
 * Leaves out: sockets, sequence numbers, chunks and byte windows (link.h), processes and time
 * limits of attempts (the pool). Time is microseconds of a monotonic clock, passed in. One
 * thread. Out of memory is sticky: worker_session_is_broke turns true and the shell gives up,
 * which the broker sees as a lost worker.
 */
#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include "message.h"
#include "view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_session;

enum worker_session_state {
    WORKER_SESSION_IDLE,     /* made, not started */
    WORKER_SESSION_WAITING,  /* between two connections */
    WORKER_SESSION_GREETING, /* HELLO and ATTACH sent, no WELCOME yet */
    WORKER_SESSION_SERVING,
    WORKER_SESSION_STOPPED, /* the end */
};

enum {
    WORKER_PREFETCH_AUTO = 1024, /* leases beyond the slots that a worker is ready to hold; how
                                    many it gets is the broker's decision */
    WORKER_SLOTS_MAX = 1024,
};

struct worker_session_config {
    uint64_t seed;     /* for the jitter of the back-off */
    drover_id session; /* 128 random bits */
    struct drv_str name, host, software;
    uint32_t slots, pid, model;    /* model: enum drv_model */
    uint32_t prefetch;             /* leases beyond the slots */
    uint32_t run_max;              /* leases that the pool gets at a time */
    const struct drv_offer *types; /* this and what follows: borrowed for the session's life */
    const bool *takes_ranges;      /* by type: the pool runs ranges of it; NULL: of none */
    size_t type_count;
    const struct drv_str *queues;
    size_t queue_count;
    const struct drv_pair *labels;
    size_t label_count;
    const struct drv_count *resources;
    size_t resource_count;
    const struct drv_str *endpoints; /* at least one */
    size_t endpoint_count;
    uint64_t credit_bytes;      /* window for what the broker sends: 4 MiB */
    uint64_t held_count_max;    /* results not settled, beyond which nothing starts: 16,384 */
    uint64_t held_bytes_max;    /* the same in bytes: 256 MiB */
    uint64_t payload_bytes_max; /* payloads of what has not started, beyond which messages of
                                   the broker are not settled: 64 MiB */
    uint64_t shared_bytes_max;  /* shared values of arrays without a lease here: 256 MiB */
    uint64_t report_bytes_max;  /* results reported in one turn: 8 MiB, or one result */
    int64_t started_after_us;   /* STARTED goes on its own after this: 1 ms */
    int64_t offline_us;         /* without a connection nothing starts after this: 1 s */
    int64_t progress_every_us;  /* progress is sent no more often: 50 ms */
    int64_t output_every_us;    /* the same of output that is followed: 20 ms */
    uint64_t output_bytes_max;  /* output kept in all, beyond which nobody may lag: 32 MiB */
    int64_t greeting_us;        /* WELCOME must come within: 5 s */
    int64_t heartbeat_us;       /* until WELCOME says otherwise: 1 s */
    int64_t lease_us;           /* the same: 10 s */
    int64_t grace_us;           /* a drain lets work run on for: 30 s */
    int64_t settle_us;          /* a drain waits for a broker to take the last results: 10 s */
    uint64_t backoff_ms, backoff_max_ms; /* between connections: 50 ms to 2 s */
};

/* Beside enum drv_attempt_outcome: told to the broker as AWAIT. */
enum { WORKER_OUTCOME_AWAITS = 4 };

/* Beside enum drv_kv_op: questions that are no operations on shared data. The key of FETCH is a
 * struct record_fetch (record.h), that of SUBMIT a child (child.h), whose payload is the value.
 */
enum { WORKER_ASK_FETCH = 6, WORKER_ASK_SUBMIT = 7 };

/* Defaults of every number above; zero and empty for the rest. */
void worker_session_config_init(struct worker_session_config *config);

/* OK; INVALID (no endpoint, no slot); NOMEM. */
DROVER_MUST_USE drover_status worker_session_new(const struct worker_session_config *config,
                                                 struct worker_session **out_session);
void worker_session_destroy(struct worker_session **session);

/* ---- inputs --------------------------------------------------------------------------------
 */

/* Makes the first connection. */
void worker_session_start(struct worker_session *session, int64_t now_us);

/* Anything valid was received: contact. Chunks and acknowledgements, which the link keeps to
 * itself, count too. */
void worker_session_heard(struct worker_session *session, int64_t now_us);

/* A message of the broker, decoded; borrowed for the call. */
void worker_session_message(struct worker_session *session, const struct drv_message *message,
                            int64_t now_us);

/* The broker has settled the message that was sent with `token`; tokens come in order. */
void worker_session_settled(struct worker_session *session, uint64_t token);

/* The connection is gone or cannot be used any more; reason: a few words, borrowed. */
void worker_session_broken(struct worker_session *session, const char *reason, int64_t now_us);

/* Whether the link has as much waiting to be sent as it should: REPORTs wait then. */
void worker_session_set_blocked(struct worker_session *session, bool is_blocked);

/* When the next heartbeat is due; INT64_MAX without a connection. */
int64_t worker_session_heartbeat_at_us(const struct worker_session *session);
/* Whether the next tick will send a heartbeat: the moment to set what it carries. */
bool worker_session_wants_stats(const struct worker_session *session, int64_t now_us);
/* Told with every heartbeat from now on. */
void worker_session_set_host(struct worker_session *session, const struct drv_host *host);
/* Further statistics, a msgpack map of at most DRV_HEARTBEAT_BLOB_MAX bytes; copied. Told once
 * on every connection, until there are new ones. */
void worker_session_set_details(struct worker_session *session, struct drv_view details);

/* From the pool, about the lease that RUN named by `key`. A key that is not known (any more)
 * is ignored. */
void worker_session_task_started(struct worker_session *session, uint64_t key, int64_t now_us);
/* It has ended and none of its processes is left, or waits for others (outcome
 * WORKER_OUTCOME_AWAITS: the value are their ids, one after the other, and maybe a byte with
 * the flags of AWAIT); result->ref is ignored, everything in it is borrowed for the call
 * (val.data, when given, is kept by reference). */
void worker_session_task_finished(struct worker_session *session, uint64_t key,
                                  const struct drv_result *result, int64_t now_us);
/* The next elements of a range have succeeded, range->count of them (0: one): as task_finished;
 * the key stays that of the elements behind them. */
void worker_session_task_part(struct worker_session *session, uint64_t key,
                              const struct drv_result *result, int64_t now_us);
/* The pool gives back the elements of a range from `index` on, not started. */
void worker_session_task_rest(struct worker_session *session, uint64_t key, uint32_t index,
                              int64_t now_us);
/* The pool gives it back, not started: after REVOKE, or because it could not start it now. */
void worker_session_task_returned(struct worker_session *session, uint64_t key, int64_t now_us);
/* It had started and was ended with what ran it, by no fault of its own: it goes back to the
 * broker, uncharged; or, when the pool is gone, charged as the loss of the worker. */
void worker_session_task_interrupted(struct worker_session *session, uint64_t key, bool is_lost,
                                     int64_t now_us);
void worker_session_task_progress(struct worker_session *session, uint64_t key,
                                  uint32_t permille, struct drv_str text, int64_t now_us);
/* It printed `bytes` to one of its streams, after `missed` that were lost. What is kept of them
 * is bounded (spool.h). */
void worker_session_task_output(struct worker_session *session, uint64_t key,
                                enum drv_output stream, uint64_t missed, struct drv_str bytes);
/* Its handler asks for shared data; `call` comes back with ANSWER. The fence is filled in here.
 * budget_ms: how long the handler waits, 0 for as long as it takes. */
void worker_session_task_kv(struct worker_session *session, uint64_t key, uint64_t call,
                            const struct drv_kv *kv, uint64_t budget_ms, int64_t now_us);

/*
 * The worker is asked to end. The first call returns what has not started, lets what runs run
 * on for grace_us, cancels it then (it goes back to the broker, uncharged), waits until the
 * broker has all results, and says GOODBYE; the second call cuts the grace short.
 */
void worker_session_drain(struct worker_session *session, int64_t now_us);

/* Deadlines, starts, batches. Returns when it wants to be called next (INT64_MAX: never). */
int64_t worker_session_tick(struct worker_session *session, int64_t now_us);

/* ---- effects -------------------------------------------------------------------------------
 */

enum worker_effect_kind {
    WORKER_CONNECT = 1, /* destroy socket and link, make new ones for the endpoint in `text` */
    WORKER_DISCONNECT,  /* destroy socket and link; `number` 1: after what is queued was sent,
                           bounded by a second */
    WORKER_SEND,        /* `message`; token != 0: report when settled. A failure to queue it is
                           a broken connection */
    WORKER_SETTLE,      /* everything received up to `number` is dealt with */
    WORKER_RUN,         /* `task` to the pool, which copies what it keeps */
    WORKER_REVOKE,      /* give `key` back unless it has started; of a range the elements from
                           index `number` on */
    WORKER_CANCEL,      /* `key` runs: cancel flag, SIGTERM after term_ms, SIGKILL after kill_ms
                           more, then task_finished */
    WORKER_ANSWER,      /* `answer` to the handler of `key` */
    WORKER_WELCOMED,    /* for the log and the ready line: `text` is the name in force, `id` the
                           broker, `number` 1 when the session was resumed */
    WORKER_LOST,      /* for the log: why, in `text`; `number`: milliseconds to the next try */
    WORKER_COMPLAINT, /* for the log: an ERROR of the broker that does not end the connection */
    WORKER_STOPPED,   /* the end: `status` and words in `text` */
};

struct worker_task {
    uint64_t key; /* name of the lease between session and pool; never used twice */
    struct drv_ref ref;
    struct drv_str type; /* as everything here: borrowed until effects_clear */
    uint64_t timeout_ms, term_ms, kill_ms;
    struct drv_bounds limits;
    struct drv_val val;     /* val.data is set unless it is nil: it may be kept by reference */
    struct drv_range range; /* of a range; its lengths are in `lengths` */
    struct drv_data *lengths;
    struct drv_val shared; /* of the whole array, the same; nil: none */
    struct drv_str meta;
    struct drv_view needs;            /* as in need.h */
    const struct drv_parent *parents; /* what it has waited for */
    size_t parent_count;
    bool is_suspect; /* to be run where it can harm nobody else */
};

struct worker_answer {
    uint64_t call;
    uint32_t code; /* drover_status */
    int64_t number;
    struct drv_str text;
    struct drv_val val;
};

struct worker_effect {
    enum worker_effect_kind kind;
    drover_status status;
    uint64_t token, number, key;
    uint64_t term_ms, kill_ms;
    drover_id id;
    struct drv_str text;
    const struct drv_message *message; /* valid until effects_clear */
    const struct worker_task *task;
    const struct worker_answer *answer;
};

const struct worker_effect *worker_session_effects(const struct worker_session *session,
                                                   size_t *out_count);
void worker_session_effects_clear(struct worker_session *session);

/* ---- looking in ----------------------------------------------------------------------------
 */

struct worker_session_numbers {
    uint64_t queued, given, running,
        held; /* leases, a range is one; given includes confirming */
    uint64_t held_bytes, payload_bytes, shared_bytes, output_bytes;
    uint64_t finished, returned, stale; /* attempts since the start; stale: whose results came
                                           too late */
};

enum worker_session_state worker_session_get_state(const struct worker_session *session);
void worker_session_get_numbers(const struct worker_session *session,
                                struct worker_session_numbers *out_numbers);
bool worker_session_is_draining(const struct worker_session *session);

/* Which task the pool knows by `key`, and for how long it has run; false when there is none. */
bool worker_session_find_task(const struct worker_session *session, uint64_t key,
                              int64_t now_us, struct drv_ref *out_ref, int64_t *out_run_us);
bool worker_session_is_broke(const struct worker_session *session);

/* Walks the books; NULL when every invariant holds, else what does not. Tests only. */
const char *worker_session_check(const struct worker_session *session);

#endif
