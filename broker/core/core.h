/*
 * The core: every decision of the broker, as a pure state machine.
 *
 *      events                     core                         effects
 *   message from peer ──step──> tables, queues, leases ──> send message to peer
 *   peer gone / blocked         sessions, timers           close peer
 *   settled token               counters, shared data      record (for the store)
 *   time ────────────── tick ─> dispatch, flush
 *
 * One turn of the broker: core_step for each input of the turn, then core_tick once (timers,
 * dispatch, flushing of batches), then what the turn's core_saves hold goes to the store, then
 * the effects are applied in order, each as soon as these records have its level, and
 * core_effects_clear is called. Nothing inside calls the operating system: no sockets, no
 * clock, no disk, no logging, no randomness but the seed. Time is microseconds of a monotonic
 * clock, passed in; the wall clock, for what must survive the broker, too.
 *
 * What never breaks (checked by core_check in tests after every step): the conservation law of
 * the counters; a task is in exactly one place; a lease has one task and one worker, both know
 * it; the heap holds each timer once; credit is never exceeded.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

struct core;

/* Deliberate defects, for the simulation to prove that it would notice. All false in
 * production. */
struct core_defects {
    bool accept_stale_result; /* promise 2 */
    bool start_after_cancel;  /* promise 5: acknowledges a cancel without recalling */
    bool forget_on_requeue;   /* promise 1/3: a lost worker's task disappears */
    bool double_lease;        /* a recalled lease is handed out before its answer */
    bool ignore_credit;       /* sends more leases than the worker's credit */
    bool reuse_attempt;       /* attempt number is not raised */
    bool repeat_request;      /* a resent request takes effect again */
    bool miscount;            /* a counter is not moved */
    bool lifo;                /* promise 6 */
    bool result_changes;      /* a terminal state is overwritten by a later result */
    bool charge_unstarted;    /* an unstarted task of a lost worker is charged */
    bool charge_interrupted;  /* what was interrupted through no fault of its own is charged */
    bool trust_suspects;      /* a suspect runs without its start being recorded first */
    bool adopt_nothing;       /* reattached leases are requeued although they run */
    bool grow_unbounded;      /* promise 7: ignores queue limits */
    bool stall_ready;         /* a runnable task is not dispatched although a slot is free */
    bool starve_one;          /* a task that came back is passed over; its kind is not */
    bool ignore_limits;       /* of concurrency, per key and by rate */
    bool ignore_aging;        /* what has waited gains no priority */
    bool ignore_needs;        /* leases beyond what a worker has */
    bool ignore_labels;       /* leases to workers without the labels that were asked for */
    bool ignore_memory;       /* leases to hosts over the memory mark */
    bool lose_event;          /* a subscriber is not told, and the gap is not counted */
    bool early_ack;           /* promise 1: replies do not wait for what they speak of */
    bool forget_reply;        /* promise 4: replies are not kept over a restart */
    bool share_key;           /* promise 4: two tasks at a time have the same key */
    bool admit_strangers;     /* a key that is not in the table may do everything */
    bool forget_instant;      /* a schedule does not know what it has run */
    bool skip_instant;        /* a schedule leaves out an instant now and then */
    bool early_child;         /* a task does not wait for its parents */
    bool forget_await;        /* what awaits others is not told of their end after a restart */
    bool early_elements;      /* elements do not wait for the parents of their array */
};

/* The task that is being handled, told where it can be read after a crash (hand.h). */
struct core_hand {
    drover_id id;
    uint32_t index;
    uint32_t is_held; /* 0: none is */
};

enum { CORE_ASIDE_MAX = 16 }; /* tasks set aside; more are not noticed when they come again */

struct core_config {
    uint64_t seed;
    uint64_t salt; /* secret of the store: the same in all its lives */
    drover_id broker_id;
    uint64_t epoch;                        /* grows with every start */
    const char *software;                  /* version text, borrowed for the core's life */
    const char *store_name;                /* "memory"... */
    enum drover_durability durability_max; /* what the store can give, and the default of tasks;
                                              MEMORY: nothing is to be kept */
    const char *const *client_endpoints;   /* borrowed, for WELCOME and wrong_endpoint */
    size_t client_endpoint_count;
    const char *const *worker_endpoints;
    size_t worker_endpoint_count;
    int64_t heartbeat_us;       /* 1 s */
    int64_t lease_us;           /* 10 s */
    int64_t reconnect_grace_us; /* 3 s: a worker whose connection is seen gone */
    int64_t reattach_us;        /* 15 s after start */
    int64_t session_us;         /* 1 h */
    int64_t keep_us;            /* 1 h: results with retention auto that nobody settled */
    int64_t keep_failed_us;     /* 7 d */
    uint64_t keep_bytes_max;    /* results and payloads of what has ended; oldest go first */
    uint64_t keep_count_max;
    int64_t cancel_term_us, cancel_kill_us; /* 2 s, 5 s */
    uint64_t memory_max; /* accounted bytes of tasks, payloads, results, shared data */
    uint64_t queue_count_max, queue_bytes_max; /* default limits of a queue */
    /* Of one session; what comes when it has as much is busy. UINT64_MAX: none but those of
       queues and accounts. */
    uint64_t client_tasks_max;   /* tasks and elements that have not ended */
    uint64_t client_bytes_max;   /* of their payloads; one task may always be there */
    uint64_t client_rate;        /* tasks a second; as many may come at once */
    uint64_t client_results_max; /* finished and not read */
    uint64_t client_keys_max;    /* keys of its tasks */
    uint64_t details_bytes_max;  /* further statistics of all workers together */
    uint64_t kv_count_max, kv_bytes_max;
    uint64_t stream_bytes_max; /* windows of all subscriptions, together */
    uint64_t output_bytes_max; /* output of tasks that is kept; the oldest goes first */
    uint64_t keys_max;         /* of tasks, those whose window is not over included */
    uint32_t sessions_max;
    uint64_t credit_bytes;        /* byte window offered to peers in WELCOME: 16 MiB */
    uint32_t memory_mark_percent; /* of a host; from there on it gets nothing new, until it is 5
                                     below; 0: never */
    uint32_t prefetch_max;        /* leases per worker beyond its slots */
    int64_t
        prefetch_run_us; /* types whose mean run time is longer are never prefetched: 10 ms */
    int64_t prefetch_work_us; /* work in hand per slot that prefetch aims at: 2 ms */
    int64_t range_run_us;  /* elements of types whose mean run time is longer travel one by one:
                              200 us */
    int64_t range_work_us; /* so much of them in one entry: 1 ms */
    bool alerts;           /* whether rules are looked at, once a second */
    bool tells_records;    /* CORE_RECORD effects are wanted; false: nobody follows them */
    struct core_hand *hand; /* borrowed for the core's life; NULL: nobody wants to know */
    struct core_defects defects;
};

/* Defaults of every number above; broker_id, epoch, seed and texts stay for the caller to set.
 */
void core_config_init(struct core_config *config);

DROVER_MUST_USE drover_status core_new(const struct core_config *config, int64_t now_us,
                                       struct core **out_core);
void core_destroy(struct core **core);

enum core_port { CORE_PORT_CLIENT = 1, CORE_PORT_WORKER = 2 };

enum core_event_kind {
    CORE_EVENT_MESSAGE =
        1,           /* a decoded message from a peer; the first of a peer must be HELLO */
    CORE_EVENT_GONE, /* the peer's connection is gone (or broke the protocol); the number may be
                        reused after this */
    CORE_EVENT_SETTLED, /* the peer settled the message sent with `token` (tokens come in order)
                         */
    CORE_EVENT_BLOCKED, /* the peer does not read: its outbox is full. Sends to it may be
                           refused until UNBLOCKED */
    CORE_EVENT_UNBLOCKED,
    CORE_EVENT_SELF,   /* the shell's own numbers, about once a second: what the history is
                          sampled by */
    CORE_EVENT_ACCESS, /* another table of keys and roles (access.h); before the first message
                          of a broker that asks for keys */
};

struct core_self {
    uint64_t rss_bytes;
    double cpu_percent;
    uint64_t loop_us;    /* the longest turn since the last SELF */
    uint64_t journal_us; /* the longest wait for the store since then */
    double disk_percent; /* used of the disk that the store is on; 0: it is on none */
    /* Of what CORE_ALERT asked for, since the start: came to its end; was given up; found no
       room; is under way. */
    uint64_t alerts_done, alerts_failed, alerts_dropped, alerts_waiting;
};

struct access;

struct core_event {
    enum core_event_kind kind;
    uint32_t peer;                     /* shell's number of the connection, small integers */
    enum core_port port;               /* MESSAGE: where it came in */
    const struct drv_message *message; /* MESSAGE: borrowed for the call */
    uint64_t token;                    /* SETTLED */
    struct core_self self;             /* SELF */
    const uint8_t *key;     /* MESSAGE, the first of a peer: the key that it has proved to have,
                               32 bytes; NULL: none */
    bool is_inside;         /* the same: a part of this very program */
    struct access **access; /* ACCESS: taken */
};

/* One event. Never fails: out of memory refuses the request with an error to the peer. */
void core_step(struct core *core, const struct core_event *event, int64_t now_us);

/* Due timers, dispatch, flush of what was gathered. Returns the instant at which it wants to be
 * called next (INT64_MAX: never). */
int64_t core_tick(struct core *core, int64_t now_us);

enum core_effect_kind {
    CORE_SEND = 1, /* encode `message` for `peer`; token != 0: report when settled */
    CORE_CLOSE,    /* forget the connection after sending what is queued for it */
    CORE_SETTLE,   /* everything received from `peer` up to message number `seq` is dealt with:
                      acknowledge it */
    CORE_RECORD,   /* something happened to a task or a session: a history, for those who follow
                      it (config.tells_records); nothing depends on it */
    CORE_ALERT,    /* an alert begins to fire, or is over: for who acts on it */
    CORE_NOTICE,   /* something that an operator wants to read in the log */
};

struct core_notice {     /* about a worker, or an account that was refused something */
    const char *text;    /* static: what happened */
    struct drv_str name; /* its name; valid until core_effects_clear */
    struct drv_str host;
    uint32_t leases;    /* held when it happened */
    const char *denied; /* static: the kind of message that was refused; NULL: a worker */
};

/* Of an observation, not of a state that anybody was promised: it waits for no record. */
struct core_alert {
    struct drv_str rule, subject, text; /* valid until core_effects_clear */
    const char *severity, *metric;      /* static */
    const char *state;                  /* "firing", "resolved" */
    double value, threshold;
    bool is_test;
};

enum core_record_kind {
    CORE_RECORD_SUBMIT = 1,
    CORE_RECORD_LEASE,
    CORE_RECORD_STARTED,
    CORE_RECORD_RETURNED,
    CORE_RECORD_REQUEUED,
    CORE_RECORD_ENDED,
    CORE_RECORD_FORGOTTEN,
    CORE_RECORD_SESSION,
    CORE_RECORD_SESSION_END,
    CORE_RECORD_REPLY,
    CORE_RECORD_KV,
    CORE_RECORD_QUEUE,
    CORE_RECORD_ARRAY_SEALED,
    CORE_RECORD_CANCEL,
};

struct core_record { /* what changed; enough for a history */
    enum core_record_kind kind;
    drover_id id; /* task, session or broker id */
    uint32_t index;
    uint32_t attempt;
    uint32_t state;    /* enum drover_state after the change */
    bool charged;      /* REQUEUED: a budget was charged */
    drover_id session; /* LEASE, STARTED, RETURNED, ENDED: worker's session; SUBMIT, REPLY: the
                          client's */
    uint64_t req;      /* REPLY */
};

struct core_effect {
    enum core_effect_kind kind;
    uint32_t peer;
    enum drover_durability level; /* SEND, SETTLE: held back until the records of this turn have
                                     it; MEMORY: may leave at once */
    const struct drv_message *message; /* SEND: valid until core_effects_clear */
    uint64_t token;
    uint64_t seq;
    struct core_record record;
    struct core_notice notice;
    struct core_alert alert;
};

/* The effects of this turn, in the order in which they must be applied. */
const struct core_effect *core_effects(const struct core *core, size_t *out_count);
void core_effects_clear(struct core *core);

/* What the store has to keep of a turn. */
enum core_save_kind {
    CORE_SAVE_BROKER = 1,   /* counters and the like */
    CORE_SAVE_TASK,         /* a task or an array, whole */
    CORE_SAVE_UNIT,         /* where a task or an element stands */
    CORE_SAVE_RUN,          /* elements that came in one message, whole */
    CORE_SAVE_RUN_DUE,      /* their delay is over */
    CORE_SAVE_RETRIED,      /* which task does it again */
    CORE_SAVE_FORGET,       /* of a task or an array */
    CORE_SAVE_SESSION,      /* with its replies, whole */
    CORE_SAVE_REPLIES,      /* new ones, and the floor */
    CORE_SAVE_SESSION_END,  /* */
    CORE_SAVE_KV,           /* an entry of the shared data */
    CORE_SAVE_KV_DELETE,    /* */
    CORE_SAVE_QUEUE,        /* settings */
    CORE_SAVE_SCHEDULE,     /* whole */
    CORE_SAVE_SCHEDULE_RUN, /* what it has run, and when it runs next */
    CORE_SAVE_SCHEDULE_END, /* it was removed */
    CORE_SAVE_AFTER,        /* what a task or an element waits for */
    CORE_SAVE_KEY,          /* that its task is forgotten and its window is not over */
    CORE_SAVE_KEY_END,      /* */
    CORE_SAVE_GROUP,        /* what it counts of tasks that are forgotten */
    CORE_SAVE_ALERT_RULE,   /* one that was added by request */
    CORE_SAVE_ALERT_SILENCE,
    CORE_SAVE_ALERT,   /* that fires */
    CORE_SAVE_RUN_END, /* what never ran of them has ended, all alike */
    CORE_SAVE_KINDS
};

/* "task"; NULL for a kind that there is not. */
const char *core_save_kind_name(uint16_t kind);

struct core_save {
    uint16_t kind; /* enum core_save_kind */
    uint32_t index;
    drover_id id;
    const uint8_t *head; /* the body: head, then tail; both valid until core_effects_clear */
    size_t head_len;
    const uint8_t *tail; /* NULL: none */
    size_t tail_len;
    struct drv_data *tail_data; /* the owner of the tail's bytes, if it can be shared */
    bool is_copy;               /* made by core_rewrite: says nothing new */
    size_t head_at;             /* of the core */
};

/* The records of this turn, complete after core_tick, to be appended in this order. They are
 * one group: after a crash all of them count or none. */
const struct core_save *core_saves(const struct core *core, size_t *out_count);

/* A record could not be made for lack of memory: the broker must end. */
bool core_has_failed(const struct core *core);

/* The epoch, if it was not known for the configuration; before anything but core_restore. */
void core_set_epoch(struct core *core, uint64_t epoch);

/* The store is full: new work is refused as busy, what ends work goes on. */
void core_set_full(struct core *core, bool is_full);

/* The broker has crashed more than once with this task in hand: it ends as failed, if it is
 * there, and is refused when it is submitted again. Before the first step, after
 * core_restore_end. */
void core_set_aside(struct core *core, const drover_id *id, uint32_t index, int64_t now_us);

/* The broker itself did not run for longer than it ever waits (stopped, suspended, starved):
 * the silence of workers meanwhile costs none of them its leases. */
void core_stood_still(struct core *core, int64_t now_us);

/* How the wall clock stands now; before core_restore, and with every turn. */
void core_set_wall(struct core *core, int64_t now_us, int64_t wall_us);

/*
 * The time zone of this name, as the bytes of its file (zone.h): before a schedule that names
 * it is added, and for those of core_zone after core_restore_end. The last one is kept for the
 * next message, the others as long as a schedule counts by them. OK; INVALID: no name;
 * MALFORMED, UNSUPPORTED: no such bytes; NOMEM.
 */
DROVER_MUST_USE drover_status core_set_zone(struct core *core, const char *name,
                                            const void *bytes, size_t len);
/* The names of the zones that are in use; NULL behind the last one. */
const char *core_zone(const struct core *core, size_t index);

/* Rules of the configuration, and those that are there without one; before core_restore.
 * subject NULL or "": all. OK, INVALID, BUSY, NOMEM. */
DROVER_MUST_USE drover_status core_add_alert_rule(struct core *core, const char *name,
                                                  const char *subject,
                                                  const struct drv_alert_rule *what);
DROVER_MUST_USE drover_status core_add_default_alerts(struct core *core);

/* A record as the store gives it back. */
struct core_saved {
    uint64_t lsn; /* growing by one */
    uint16_t kind;
    uint32_t index;
    drover_id id;
    const uint8_t *body; /* borrowed for the call */
    size_t len;
};

/*
 * Takes in a record of an earlier life, in the order in which they were written, into a core
 * that has seen nothing yet. OK; MALFORMED: no such record can have been written; VERSION: a
 * newer broker wrote it; NOMEM. The text is static.
 */
DROVER_MUST_USE drover_status core_restore(struct core *core, const struct core_saved *saved,
                                           const char **out_text);

/*
 * All are in: tasks stand in their lines, timers run, what workers held waits for them until
 * the reattach window is over. Always called, also when there was no record. OK; MALFORMED with
 * a static text; NOMEM.
 */
DROVER_MUST_USE drover_status core_restore_end(struct core *core, int64_t now_us,
                                               const char **out_text);

/*
 * Compaction: everything up to the record `lsn` is about to go away; this is what one record of
 * it named. What is alive and has no younger copy becomes a record of the next turn.
 */
void core_rewrite(struct core *core, uint16_t kind, const drover_id *id, uint32_t index,
                  uint64_t lsn);

/* A whole copy of everything with the next tick. O(size): tests and backups. */
void core_save_all(struct core *core);

struct core_counters { /* cumulative but for waiting..running; see DESIGN.md */
    uint64_t submitted, waiting, delayed, queued, running, succeeded, failed, cancelled,
        expired, lost_at_restart;
    uint64_t denied; /* in this life */
    uint64_t retried, stale_results, duplicate_results, unknown_results, malformed, refused,
        charged, requeued_free, stale_writes, stale_progress, stale_heartbeats, attached, late;
};
void core_counters_get(const struct core *core, struct core_counters *out_counters);
void core_count_denied(struct core *core, uint64_t count); /* strangers turned away */
void core_count_malformed(struct core *core); /* the shell dropped bytes that were no message */
/* The shell dropped a message of a connection that had been given up: a link that was cut has
 * held it back. */
void core_count_late(struct core *core);

/* The interval between heartbeats that is told to who connects now: the configured one, longer
 * for large fleets (400 a second are enough), up to a quarter of the lease time. */
int64_t core_heartbeat_us(const struct core *core);
/* The same for a worker that holds nothing (100 a second), up to the lease time: such a worker
 * is lost after two of these. */
int64_t core_idle_heartbeat_us(const struct core *core);
/* Whether no worker holds anything: all that they say is that they are there. */
bool core_is_idle(const struct core *core);

/* Bytes accounted for tasks, payloads, results, shared data, sessions. */
uint64_t core_memory_bytes(const struct core *core);

/* Memory that is free and kept for what may come goes back to the system. */
void core_trim(struct core *core);

/* No work left: nothing leased, all replies handed out (for a graceful end). core_drain stops
 * intake: submits are answered DRAINING, leases stop. */
void core_drain(struct core *core, int64_t now_us);
bool core_is_drained(const struct core *core);

/* Walks every structure; returns NULL when all invariants hold, else a static text naming the
 * broken one. O(size): tests only. */
const char *core_check(const struct core *core);

#endif
