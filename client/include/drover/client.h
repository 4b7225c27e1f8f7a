/*
 * client.h: submit tasks to a drover broker and get their results.
 *
 *     drover_client *client = NULL;
 *     drover_value *five = NULL, *out = NULL;
 *     if (drover_client_open("tcp://127.0.0.1:7710", NULL, &client) == DROVER_OK &&
 *         drover_value_new_int(5, &five) == DROVER_OK &&
 *         drover_call(client, "square", five, 5000, &out) == DROVER_OK) { ... }
 *
 * A client is one session with one broker. The session outlives connections: when the
 * connection breaks or the broker restarts, the library reconnects (after 50 ms, doubling to
 * 2 s), asks again for what was not answered and goes on waiting; callers notice nothing but
 * time. When the broker has lost the session, calls that were not answered end with
 * DROVER_OUTCOME_UNKNOWN (nothing is ever sent twice blindly), and what is waited for is
 * looked up again.
 *
 * Threads. One handle may be used by any number of threads at once. Blocking calls drive the
 * socket in the calling thread; when several wait, one drives and hands over when it leaves.
 * A thread of the library, started at the first need, drives while something is outstanding
 * and nobody waits (futures, callbacks, acknowledgements), and runs all callbacks: one at a
 * time, in the order of completion, never inside a call of yours and with no lock held, so
 * that a callback may call everything here but drover_client_close; while one runs the others
 * wait. Signal handlers and masks are not touched (the library's threads block all
 * signals), and EINTR never ends a call early. Each client has a ZeroMQ context of its own.
 * Objects made from a client (futures, maps, completions) may be used by one thread at a time
 * each, unless said otherwise, and must be destroyed before the client is closed.
 *
 * fork(). A client belongs to the process that opened it. In a child every call on it returns
 * DROVER_CLOSED and closing or destroying does nothing (the child's copy of the memory is
 * left alone), so that exec, _exit and a fresh drover_client_open are all safe there.
 *
 * Time. Every *_ms is in milliseconds. A timeout of DROVER_FOREVER (-1) has no bound, 0 asks
 * and does not wait for the task, though it waits for the broker's answer for up to one
 * second. Timeouts run on the monotonic clock.
 *
 * Ownership. Inputs are borrowed for the call and copied where needed. Objects come through
 * out_ parameters, which are untouched on failure, and are given back to the destroy
 * function that is named with them (which accept NULL and pointers to NULL).
 *
 * Status. Besides what a function names, every call on a client may return
 *   DROVER_NOMEM        here or at the broker
 *   DROVER_INVALID      an argument that makes no sense, found before anything was sent
 *   DROVER_TIMEOUT      the time is over. A change that was asked for may still happen
 *   DROVER_OUTCOME_UNKNOWN  sent, not answered, and the broker has lost the session
 *   DROVER_CLOSED       the client is being closed, or belongs to another process
 *   DROVER_DENIED       not allowed for this client
 *   DROVER_UNSUPPORTED  an option or request that this broker does not serve
 *   DROVER_DRAINING     the broker is going down
 * drover_client_error_text tells the details in words.
 */
#ifndef DROVER_CLIENT_H
#define DROVER_CLIENT_H

#include <drover/alert.h>
#include <drover/drover.h>
#include <drover/operate.h>
#include <drover/outcome.h>
#include <drover/schedule.h>
#include <drover/stream.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No bound on a timeout. */
#define DROVER_FOREVER (-1)

/* ---- the client -------------------------------------------------------------------------- */

/* Start with DROVER_CLIENT_OPTIONS_INIT. */
typedef struct drover_client_options {
    size_t size;                 /* sizeof(drover_client_options) */
    const char *name;            /* shown by the broker, a name; NULL: "client-<pid>" */
    uint64_t connect_timeout_ms; /* until the first contact; 0: 5000 */
    uint64_t unread_bytes_max;   /* results that came and were not taken, see
                                    drover_submit_future; 0: 64 MiB */
    char *error_text;            /* receives one line when opening fails; may be NULL */
    size_t error_size;           /* bytes at error_text, NUL included */
    const char *identity;        /* file with the own key pair, of `drover keygen`; NULL: no
                                    keys. A pool of local:// has none, and ignores these two */
    const char *broker_key;      /* public key of the broker, 64 hexadecimal digits, or a file
                                    with it; NULL: the line `broker` of the identity */
} drover_client_options;

#define DROVER_CLIENT_OPTIONS_INIT                                      \
    {                                                                   \
        sizeof(drover_client_options), NULL, 0, 0, NULL, 0, NULL, NULL, \
    }

/*
 * Opens a session with the broker at endpoint: "tcp://HOST:PORT" or "ipc://PATH"; or with a
 * private pool, see below. options may be NULL. Blocks until the broker has welcomed the client
 * or connect_timeout_ms is over; only this first contact has that bound, later calls wait
 * through a restart of the broker until their own deadlines.
 *
 * "local://[N][?KEY=VALUE[&KEY=VALUE]...]" starts a broker and a worker with N slots (none, or
 * 0: as many as there are usable processors) that live for this client: a process pool in one
 * line. They talk over unix sockets in a fresh directory of this user's, keep everything in
 * memory (or see data=), and end with the client: when it is closed, when the process exits, is
 * killed in whatever way or becomes another program. Nothing is left then: no process, no
 * socket, no directory. Closing waits for that. What a forked child holds does not keep them
 * alive.
 *
 *   load=FILE.so         handlers from a module; several
 *   allow-exec=CMD       lets tasks run a command; several
 *   transport=tcp        loopback TCP, which every user of the host can reach, instead of unix
 *                        sockets: to measure
 *   data=DIR             keeps what is submitted in a journal there, which the next pool with
 *                        the same directory goes on with
 *   config=FILE          a configuration file of drover-worker, for commands as handlers
 *   log-level=LEVEL      what the two say on this program's stderr; "warn"
 *   model=thread         how handlers run: prefork, thread or fork
 *   exec-dir idle-timeout label max-memory max-tasks min-executors name prefetch queue
 *   resource stats stats-interval task-output threads type
 *                        as the options of drover-worker of the same names
 *
 * In a value %XX stands for a byte. Without load= the handlers are the program's own, if its
 * main begins with drover_worker_main (worker.h). The programs drover-local, drover-broker and
 * drover-worker are looked for in $DROVER_BIN_DIR if that is set, else beside the executable,
 * else where they were installed with the library. The host program's signal handlers, signal
 * mask, children and wait() are not touched. When a part of the pool dies, the pool ends, and
 * calls return DROVER_UNAVAILABLE with words about it.
 *
 * Returns DROVER_OK; DROVER_INVALID (endpoint, name; with local://, a key, module or option);
 * DROVER_UNAVAILABLE (no broker answered in time; with local://, programs not found or not
 * ready in time); DROVER_WRONG_ENDPOINT (the port for workers; the text names the right one);
 * DROVER_VERSION; DROVER_DENIED (the broker wants a key, or does not know this one);
 * DROVER_REFUSED (others can reach the secret in the identity file); DROVER_IO, DROVER_INVALID
 * (a key or its file); DROVER_LIMIT (no more threads, processes, sockets or file
 * descriptors); DROVER_NOMEM.
 */
DROVER_API DROVER_MUST_USE drover_status drover_client_open(
    const char *endpoint, const drover_client_options *options, drover_client **out_client);

/*
 * Ends the session and releases *client. Calls of other threads that still run return
 * DROVER_CLOSED first; callbacks that were not run yet are not run. Tasks go on, but those
 * submitted with cancel_on_disconnect, and results that nobody took are kept by the broker as
 * long as their retention says. Submits that were not acknowledged are given up. Blocks for at
 * most about 300 ms, and for a callback that is running. Must not be called from a callback
 * (does nothing there).
 */
DROVER_API void drover_client_close(drover_client **client);

/*
 * Copies one line about what went wrong last: for the calling thread's last failed call on
 * this client if that left words, else about the connection; "" when nothing did. Cut to
 * size bytes with the NUL. Never blocks; any thread.
 */
DROVER_API void drover_client_error_text(const drover_client *client, char *out_text,
                                         size_t size);

/*
 * Whether the broker announced a capability ("keys", "after", "groups", "fairness", "needs",
 * "labels", "limits", "await", "logs", "events", "schedules", "alerts") when it was last
 * connected to.
 */
DROVER_API bool drover_client_has_capability(const drover_client *client, const char *name);

/* Whether there is a connection with the broker right now, as far as this side knows. */
DROVER_API bool drover_client_is_connected(const drover_client *client);

/* ---- options of a task ------------------------------------------------------------------- */

/* A label or tag. */
typedef struct drover_pair {
    const char *name;  /* a name */
    const char *value; /* up to 128 bytes of UTF-8 */
} drover_pair;

/* A counted need. */
typedef struct drover_need {
    const char *name; /* a name: "cpus", "gpu"... */
    uint64_t count;
} drover_need;

/* A task that must have ended before this one starts. */
typedef struct drover_dependency {
    drover_id id;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself, or all of an array */
    bool always;    /* false: it must have succeeded; true: ended in any way */
} drover_dependency;

/*
 * What may be said about a task. Start with DROVER_SUBMIT_OPTIONS_INIT, then set fields; the
 * comment names the initial value. Everything pointed to is borrowed for the call.
 */
typedef struct drover_submit_options {
    size_t size;                  /* sizeof(drover_submit_options) */
    const char *queue;            /* NULL: "default" */
    int priority;                 /* 0; -128..127, higher first */
    uint64_t delay_ms;            /* 0; do not start before */
    uint64_t expire_ms;           /* 0: never; expires unless started by then */
    uint64_t timeout_ms;          /* 0: none; run time of one attempt */
    uint32_t retries;             /* 0; further attempts after a failure */
    uint64_t backoff_ms;          /* 1000; before the first retry, doubles, with jitter */
    uint64_t backoff_max_ms;      /* 60000 */
    int32_t loss_budget;          /* 3; attempts that may be lost with their worker */
    drover_durability durability; /* DROVER_DURABILITY_DEFAULT */
    int64_t keep_ms;              /* -1: auto; how long the result is kept */
    const char *key;              /* NULL: none; up to 1024 bytes of UTF-8: the only task of its
                                     queue with this key while it is active... */
    uint64_t key_window_ms;       /* 0; ...and until this long after the submit */
    const drover_dependency *after; /* NULL */
    size_t after_count;             /* 0 */
    const char *group;              /* NULL: none */
    const drover_pair *tags;        /* NULL */
    size_t tag_count;               /* 0; up to 64 */
    const char *fairness;           /* NULL: none */
    const drover_need *needs;       /* NULL */
    size_t need_count;              /* 0; up to 64 */
    const drover_pair *require;     /* NULL; labels a worker must have */
    size_t require_count;           /* 0; up to 64 */
    uint64_t limit_memory_bytes;    /* 0: none; of an attempt, as the following: it ends with an
                                       error of kind DROVER_ERROR_LIMIT that names which */
    uint64_t limit_cpu_ms;          /* 0: none */
    uint64_t limit_output_bytes;    /* 0: none; of its result */
    const void *meta;               /* NULL: none; opaque bytes that travel with the task */
    size_t meta_len;                /* 0; up to 1024 */
    bool strict;                    /* false; refuse a type that no worker offers */
    bool cancel_on_disconnect;      /* false; cancel when this client's session ends */
    const drover_id *id;      /* NULL: a new id; else this one: submitting the same id with
                                 the same content again is the same task */
    int64_t wait_ms;          /* DROVER_FOREVER; how long to go on trying, in order, while
                                 the broker answers `busy`; 0: return DROVER_BUSY at once */
    int64_t ack_timeout_ms;   /* 30000; how long drover_submit waits for the
                                 acknowledgement in all. Calls with a timeout of their own
                                 and futures ignore it */
    uint64_t limit_processes; /* 0: none */
    uint64_t limit_files;     /* 0: none; open at once */
} drover_submit_options;

#define DROVER_SUBMIT_OPTIONS_INIT                                                         \
    {                                                                                      \
        sizeof(drover_submit_options), NULL, 0, 0, 0, 0, 0, 1000, 60000, 3,                \
            DROVER_DURABILITY_DEFAULT, -1, NULL, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, 0, \
            NULL, 0, 0, 0, 0, NULL, 0, false, false, NULL, DROVER_FOREVER, 30000, 0, 0,    \
    }

/* ---- submit and call --------------------------------------------------------------------- */

/*
 * Submits a task of the given type (a name) with payload in (NULL: nil) and waits until the
 * broker has taken it, as durably as asked. options may be NULL. out_id may be NULL.
 *
 * With options->key, when another task has that key: nothing is submitted, *out_id is the id of
 * that task, and the call returns DROVER_OK (who wants to know gives options->id and compares).
 * Content and options may differ: the first wins. Calls that wait for the result get the
 * result of that task. A task with a key is not forgotten when its result was fetched.
 *
 * Blocks for at most options->ack_timeout_ms. After DROVER_TIMEOUT or DROVER_OUTCOME_UNKNOWN
 * the task may exist or not; submitting again under the same id (options->id) is safe.
 * Returns DROVER_OK; DROVER_BUSY (a limit of the broker, for longer than options->wait_ms);
 * DROVER_CONFLICT (the id exists with other content); DROVER_REFUSED (durability that the
 * store cannot give; with strict, a type nobody offers); DROVER_TOO_BIG (payload over 64 MiB,
 * meta over 1 KiB); DROVER_LIMIT.
 */
DROVER_API DROVER_MUST_USE drover_status drover_submit(drover_client *client, const char *type,
                                                       const drover_value *in,
                                                       const drover_submit_options *options,
                                                       drover_id *out_id);

/* What drover_submit_all tells about each task. */
typedef struct drover_receipt {
    drover_id id;
    drover_status status;    /* as drover_submit returns it */
    drover_durability level; /* what the task survives; DEFAULT when it was not taken */
    bool attached;           /* another task had the key: id is that one's */
} drover_receipt;

/*
 * Submits count tasks of one type in few messages and waits for all acknowledgements together;
 * order is kept. items[i] may be NULL for nil; options->id and options->key must be NULL when
 * count is not 1.
 * out_receipts has room for count. Returns DROVER_OK when all were taken, else the first
 * failure in order; the receipts are filled in either case, but for DROVER_INVALID.
 */
DROVER_API DROVER_MUST_USE drover_status drover_submit_all(
    drover_client *client, const char *type, const drover_value *const *items, size_t count,
    const drover_submit_options *options, drover_receipt *out_receipts);

/*
 * Submits a task, waits for its end and hands over the result: one round trip. The result is
 * forgotten by the broker afterwards. out_result may be NULL.
 *
 * When timeout_ms is over the call returns DROVER_TIMEOUT and the task goes on; who wants it to
 * stop then uses drover_submit_future and drover_future_cancel, or an expiry or a run-time
 * limit (drover_call_outcome takes options). Returns DROVER_OK; what drover_submit returns;
 * DROVER_FAILED, DROVER_CANCELLED, DROVER_EXPIRED, DROVER_LOST as the task ended
 * (drover_client_error_text has its error).
 */
DROVER_API DROVER_MUST_USE drover_status drover_call(drover_client *client, const char *type,
                                                     const drover_value *in, int64_t timeout_ms,
                                                     drover_value **out_result);

/*
 * The same with options and the whole outcome. Returns DROVER_OK whenever the task has ended,
 * in whatever state (drover_outcome_status), else as drover_submit, or DROVER_TIMEOUT.
 */
DROVER_API DROVER_MUST_USE drover_status drover_call_outcome(
    drover_client *client, const char *type, const drover_value *in,
    const drover_submit_options *options, int64_t timeout_ms, drover_outcome **out_outcome);

/* ---- results of tasks known by id -------------------------------------------------------- */

/*
 * Everywhere below a task is (id, index): index is DROVER_INDEX_NONE for a plain task and for
 * an array as a whole, else the number of an element.
 */
typedef struct drover_task_ref {
    drover_id id;
    uint32_t index;
} drover_task_ref;

/*
 * Waits for the end of a task and hands over its outcome. The result stays with the broker.
 * An array as a whole has a state and no value; see drover_map_attach for its elements.
 * Returns DROVER_OK when the task has ended, in whatever state; DROVER_TIMEOUT (with timeout 0:
 * it has not ended yet); DROVER_UNKNOWN (no such task, or forgotten).
 */
DROVER_API DROVER_MUST_USE drover_status drover_result(drover_client *client,
                                                       const drover_id *id, uint32_t index,
                                                       int64_t timeout_ms,
                                                       drover_outcome **out_outcome);

/* The same without moving the value. out_state may be NULL. */
DROVER_API DROVER_MUST_USE drover_status drover_wait(drover_client *client, const drover_id *id,
                                                     uint32_t index, int64_t timeout_ms,
                                                     drover_state *out_state);

/*
 * Waits until all count tasks have ended, without moving values. out_states (room for count, or
 * NULL) tells how; 0 for those not ended or unknown.
 * Returns DROVER_OK when all ended in whatever state; DROVER_TIMEOUT; DROVER_UNKNOWN when a
 * task is not known (the others are waited for first).
 */
DROVER_API DROVER_MUST_USE drover_status drover_wait_all(drover_client *client,
                                                         const drover_task_ref *tasks,
                                                         size_t count, int64_t timeout_ms,
                                                         drover_state *out_states);

/*
 * Cancels a task or array and waits until it has ended: nothing of it runs any more, all its
 * processes are gone. reason (NULL: none) is shown to people. out_state (may be NULL) tells how
 * it ended, which is another state than cancelled when it was faster.
 * Returns DROVER_OK when it has ended; DROVER_TIMEOUT (the cancel stands); DROVER_UNKNOWN, also
 * for a submit that still waits because the broker is busy (drover_future_cancel takes it
 * back).
 */
DROVER_API DROVER_MUST_USE drover_status drover_cancel(drover_client *client,
                                                       const drover_id *id, uint32_t index,
                                                       const char *reason, int64_t timeout_ms,
                                                       drover_state *out_state);

/*
 * The same, but waits for the acknowledgement only: from then on nothing of it starts; what
 * runs is being stopped.
 */
DROVER_API DROVER_MUST_USE drover_status drover_cancel_request(drover_client *client,
                                                               const drover_id *id,
                                                               uint32_t index,
                                                               const char *reason,
                                                               int64_t timeout_ms);

/*
 * Cancels everything in a group that has not ended, running tasks and arrays included, and
 * waits for the acknowledgement: from then on nothing of it starts; what runs is being stopped.
 * What comes into the group meanwhile is not touched. reason (NULL: none) is shown to people;
 * out_count (may be NULL): how many tasks and elements. Returns DROVER_OK; DROVER_UNKNOWN (no
 * such group); DROVER_INVALID (no name); DROVER_BUSY (too many cancels of it go on).
 */
DROVER_API DROVER_MUST_USE drover_status drover_group_cancel(drover_client *client,
                                                             const char *group,
                                                             const char *reason,
                                                             int64_t timeout_ms,
                                                             uint64_t *out_count);

/*
 * Submits a task that has not succeeded again, as a new task; of an array its failed elements
 * that were not retried alone, as an array. A key goes along; it waits for, and reads, what the
 * old one did, or retries of that. Returns DROVER_OK; DROVER_UNKNOWN; DROVER_NOT_READY (not
 * ended); DROVER_CONFLICT (nothing is left to retry, or another task has its key by now);
 * DROVER_DEPENDENCY (what it waited for is gone or has failed: drover_retry_after, graph.h).
 */
DROVER_API DROVER_MUST_USE drover_status drover_retry(drover_client *client,
                                                      const drover_id *id, uint32_t index,
                                                      int64_t timeout_ms,
                                                      drover_id *out_new_id);

/*
 * Lets the broker drop an ended task and its result before the retention is over.
 * Returns DROVER_OK; DROVER_UNKNOWN; DROVER_NOT_READY.
 */
DROVER_API DROVER_MUST_USE drover_status drover_forget(drover_client *client,
                                                       const drover_id *id, uint32_t index,
                                                       int64_t timeout_ms);

/* ---- futures and callbacks --------------------------------------------------------------- */

/* The end of one task, to come. One thread may wait while others ask is_done. */
typedef struct drover_future drover_future;

/*
 * Runs on the library's thread once the task has ended, or could not be submitted. outcome is
 * borrowed for the call, NULL when status is none of OK, FAILED, CANCELLED, EXPIRED, LOST.
 */
typedef void (*drover_done_fn)(void *context, drover_status status,
                               const drover_outcome *outcome);

/*
 * Submits a task without waiting for anything but room: blocks only while 65,536 submits or
 * 64 MiB of them wait for the broker, for up to options->wait_ms, then DROVER_BUSY; at once
 * DROVER_BUSY while results that came and were not taken (waited for with drover_future_outcome
 * or _result, read by drover_completions_next, or dropped with their future) are more than
 * unread_bytes_max. What is submitted faster than the broker answers travels together.
 * A refusal by the broker shows up in the future. The result is forgotten by the broker once it
 * came, unless options->keep_ms says otherwise. Returns DROVER_OK or what could be found out at
 * once (DROVER_INVALID, DROVER_TOO_BIG, DROVER_BUSY, DROVER_LIMIT: no more threads).
 */
DROVER_API DROVER_MUST_USE drover_status
drover_submit_future(drover_client *client, const char *type, const drover_value *in,
                     const drover_submit_options *options, drover_future **out_future);

/* A future for a task that exists. */
DROVER_API DROVER_MUST_USE drover_status drover_future_of(drover_client *client,
                                                          const drover_id *id, uint32_t index,
                                                          drover_future **out_future);

/*
 * Submits without waiting, as drover_submit_future, and calls done exactly once unless the
 * client is closed first. out_id may be NULL.
 */
DROVER_API DROVER_MUST_USE drover_status
drover_submit_callback(drover_client *client, const char *type, const drover_value *in,
                       const drover_submit_options *options, drover_done_fn done, void *context,
                       drover_id *out_id);

/* The id of the task; another one once the broker has said that a task with this key is there
 * already. Never blocks. */
DROVER_API drover_id drover_future_id(const drover_future *future);

/* Whether that was so: the future ends as that task does, whoever submitted it; to cancel it
 * cancels that task. Known once it is done, mostly earlier. Never blocks. */
DROVER_API bool drover_future_is_attached(const drover_future *future);

/* Whether waiting would not block. Never blocks; also drives nothing. */
DROVER_API bool drover_future_is_done(const drover_future *future);

/*
 * Waits until the task has ended. Returns DROVER_OK when it has, in whatever state;
 * DROVER_TIMEOUT; or why there is no such task: what drover_submit returns, DROVER_UNKNOWN.
 */
DROVER_API DROVER_MUST_USE drover_status drover_future_wait(drover_future *future,
                                                            int64_t timeout_ms);

/*
 * Waits, then lends the outcome, which lives as long as the future. Returns as
 * drover_future_wait.
 */
DROVER_API DROVER_MUST_USE drover_status drover_future_outcome(
    drover_future *future, int64_t timeout_ms, const drover_outcome **out_outcome);

/*
 * Waits, then copies the result. Returns as drover_call does.
 */
DROVER_API DROVER_MUST_USE drover_status drover_future_result(drover_future *future,
                                                              int64_t timeout_ms,
                                                              drover_value **out_result);

/*
 * Has done called on the library's thread when the task has ended; soon when it has already.
 * One callback per future: DROVER_CONFLICT for a second one.
 */
DROVER_API DROVER_MUST_USE drover_status drover_future_on_done(drover_future *future,
                                                               drover_done_fn done,
                                                               void *context);

/*
 * Asks for the task to be cancelled and does not wait; the future ends when the task has. A
 * submit that was not sent yet is taken back, and the future ends with DROVER_CANCELLED.
 */
DROVER_API DROVER_MUST_USE drover_status drover_future_cancel(drover_future *future);

/*
 * Releases the future; the task goes on. Its callback is not run any more; when it is running
 * in the library's thread, this waits for its end (not when called from the callback).
 */
DROVER_API void drover_future_destroy(drover_future **future);

/* ---- completions: many tasks, whichever ends next ---------------------------------------- */

typedef struct drover_completions drover_completions;

enum drover_completions_flags {
    DROVER_COMPLETIONS_VALUES = 0, /* outcomes with their results */
    DROVER_COMPLETIONS_STATES = 1, /* states only: nothing large is moved */
};

DROVER_API DROVER_MUST_USE drover_status drover_completions_new(
    drover_client *client, unsigned flags, drover_completions **out_completions);

/* Adds a task that exists; one that ended already comes at once. Does not wait. */
DROVER_API DROVER_MUST_USE drover_status drover_completions_add(drover_completions *completions,
                                                                const drover_id *id,
                                                                uint32_t index);

/*
 * Submits a task without waiting, as drover_submit_future, and adds it. out_id may be NULL.
 */
DROVER_API DROVER_MUST_USE drover_status drover_completions_submit(
    drover_completions *completions, const char *type, const drover_value *in,
    const drover_submit_options *options, drover_id *out_id);

/*
 * The next outcome in the order of completion; waits for it. Tasks that are unknown or were
 * refused come as outcomes in state FAILED whose drover_outcome_status says why.
 * Returns DROVER_OK; DROVER_TIMEOUT; DROVER_UNKNOWN when nothing is left to wait for.
 */
DROVER_API DROVER_MUST_USE drover_status drover_completions_next(
    drover_completions *completions, int64_t timeout_ms, drover_outcome **out_outcome);

/* Tasks added whose outcome was not handed out yet. */
DROVER_API size_t drover_completions_count(const drover_completions *completions);

/* The tasks go on. */
DROVER_API void drover_completions_destroy(drover_completions **completions);

/* ---- shared data ------------------------------------------------------------------------- */

/*
 * Small values under keys (1 to 256 bytes of UTF-8), shared by clients and handlers; up to
 * 1 MiB each. Every change gives the entry a new, larger version. ttl_ms 0 keeps it for ever.
 */

/*
 * Reads an entry; out_version may be NULL. Returns DROVER_OK or DROVER_UNKNOWN (no such key).
 */
DROVER_API DROVER_MUST_USE drover_status drover_kv_get(drover_client *client, const char *key,
                                                       int64_t timeout_ms,
                                                       drover_value **out_value,
                                                       uint64_t *out_version);

/* Sets an entry. out_version may be NULL. Returns DROVER_OK; DROVER_TOO_BIG; DROVER_BUSY. */
DROVER_API DROVER_MUST_USE drover_status drover_kv_set(drover_client *client, const char *key,
                                                       const drover_value *value,
                                                       uint64_t ttl_ms, int64_t timeout_ms,
                                                       uint64_t *out_version);

/* Returns DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_kv_delete(drover_client *client,
                                                          const char *key, int64_t timeout_ms);

/*
 * Adds `by` to an integer entry, which starts at 0. Returns DROVER_OK; DROVER_CONFLICT or
 * DROVER_INVALID when the entry is no integer or the sum overflows.
 */
DROVER_API DROVER_MUST_USE drover_status drover_kv_increment(drover_client *client,
                                                             const char *key, int64_t by,
                                                             uint64_t ttl_ms,
                                                             int64_t timeout_ms,
                                                             int64_t *out_number);

/*
 * Sets an entry if its version is still `expected` (0: if there is none). out_version (may be
 * NULL) receives the new version, and with DROVER_CONFLICT the present one.
 */
DROVER_API DROVER_MUST_USE drover_status drover_kv_compare_and_set(
    drover_client *client, const char *key, uint64_t expected, const drover_value *value,
    uint64_t ttl_ms, int64_t timeout_ms, uint64_t *out_version);

#ifdef __cplusplus
}
#endif

#include <drover/map.h> /* many tasks as one array; wants what stands above */

#endif
