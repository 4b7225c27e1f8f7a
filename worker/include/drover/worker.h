/*
 * worker.h: what a handler module needs.
 *
 * A module is a shared object that drover-worker loads with --load. It names its handlers with
 * DROVER_MODULE; everything else it calls is exported by the program that loads it, so a module
 * links against nothing of drover's:
 *
 *     static drover_status square(drover_job *job, const drover_value *in,
 *                                 drover_value **out_result)
 *     {
 *         int64_t n;
 *         if (drover_value_get_int(in, &n)) {
 *             return drover_job_fail(job, "bad-arg", "integer wanted");
 *         }
 *         return drover_value_new_int(n * n, out_result);
 *     }
 *     DROVER_MODULE("demo", "1.0", {"square", square, DROVER_THREAD_SAFE});
 *
 * The calls of one job belong to the thread that runs the handler. A job ends when its handler
 * returns; nothing of it may be used after that.
 */
#ifndef DROVER_WORKER_H
#define DROVER_WORKER_H

#include <drover/drover.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One attempt of one task, seen from its handler. */
typedef struct drover_job drover_job;

/*
 * Runs one attempt.
 *
 * in: the payload, borrowed; a nil value when the task has none.
 * out_result: the result, handed over; may stay unset, which is nil. Ignored unless DROVER_OK.
 *
 * Returns DROVER_OK: the task succeeded. What drover_job_fail returns: it failed with that code
 * and text. DROVER_CANCELLED after drover_job_is_cancelled was seen: it stopped as asked. Any
 * other status: it failed, the name of the status is the code.
 */
typedef drover_status (*drover_handler_fn)(drover_job *job, const drover_value *in,
                                           drover_value **out_result);

enum drover_handler_flags {
    DROVER_THREAD_SAFE = 1, /* may run in several threads of one process at once */
};

typedef struct drover_handler {
    const char *name;           /* task type, see drover_name_is_valid */
    drover_handler_fn function; /* never NULL */
    unsigned flags;             /* enum drover_handler_flags */
} drover_handler;

/* Grows when a module of the old kind can no longer be loaded. */
#define DROVER_MODULE_ABI 1u

/* What DROVER_MODULE defines; looked up by its name, drover_module_entry. */
typedef struct drover_module {
    uint32_t abi;                   /* DROVER_MODULE_ABI of the build */
    uint32_t handler_size;          /* sizeof(drover_handler) of the build */
    const char *name;               /* of the module */
    const char *version;            /* of the module, free text */
    const drover_handler *handlers; /* handler_count of them */
    size_t handler_count;
} drover_module;

#ifdef __cplusplus
#define DROVER_MODULE_LINKAGE extern "C"
#else
#define DROVER_MODULE_LINKAGE extern
#endif

/* DROVER_MODULE("name", "version", {"type", function, flags}...); once in a shared object. */
#define DROVER_MODULE(module_name, module_version, ...)                       \
    DROVER_MODULE_LINKAGE DROVER_API const drover_module drover_module_entry; \
    static const drover_handler drover_module_handlers[] = {__VA_ARGS__};     \
    const drover_module drover_module_entry = {                               \
        DROVER_MODULE_ABI,                                                    \
        (uint32_t)sizeof(drover_handler),                                     \
        (module_name),                                                        \
        (module_version),                                                     \
        drover_module_handlers,                                               \
        sizeof(drover_module_handlers) / sizeof(drover_module_handlers[0])}

/* ---- what the job is ----------------------------------------------------------------------
 */

/* The task's id; an array's when the task is an element. Never blocks, like all of these. */
DROVER_API drover_id drover_job_id(const drover_job *job);

/* The number of the element, or DROVER_INDEX_NONE. */
DROVER_API uint32_t drover_job_index(const drover_job *job);

/* The number of this attempt, from 1. (id, index, attempt) is the fencing token. */
DROVER_API uint32_t drover_job_attempt(const drover_job *job);

/* The task type, borrowed. */
DROVER_API const char *drover_job_type(const drover_job *job);

/* The value that all elements of the array share, borrowed; NULL when there is none. */
DROVER_API const drover_value *drover_job_shared(const drover_job *job);

/* The task's metadata, borrowed: opaque bytes, at most 1 KiB. *out_len is 0 without any. */
DROVER_API const void *drover_job_meta(const drover_job *job, size_t *out_len);

/* Milliseconds until this attempt times out, 0 when it is over; INT64_MAX without a timeout. */
DROVER_API int64_t drover_job_left_ms(const drover_job *job);

/*
 * Whether the handler should stop: the task was cancelled or the attempt timed out. A handler
 * that runs for long asks now and then (it costs next to nothing) and returns DROVER_CANCELLED.
 * One that does not is ended by SIGTERM and then SIGKILL, with its process.
 */
DROVER_API bool drover_job_is_cancelled(const drover_job *job);

/*
 * Waits until ms milliseconds have passed or the job is cancelled, whichever is first.
 * Blocks. Returns DROVER_OK when the time has passed, DROVER_CANCELLED.
 */
DROVER_API DROVER_MUST_USE drover_status drover_job_sleep_ms(drover_job *job, uint64_t ms);

/* ---- how it fails -------------------------------------------------------------------------
 */

/* A code longer than this, or a text longer than that, is cut. Bytes. */
#define DROVER_JOB_CODE_MAX 64
#define DROVER_JOB_TEXT_MAX 4096

/*
 * Says why the job fails: a short code for programs and a text, printf-like, for people. The
 * last call counts, and only if the handler does not return DROVER_OK.
 * Returns DROVER_FAILED always, so that one writes `return drover_job_fail(job, ...)`.
 */
DROVER_API drover_status drover_job_fail(drover_job *job, const char *code, const char *format,
                                         ...) DROVER_PRINTF(3, 4);

/* The same, and retrying would not help: retries that are left are not used. */
DROVER_API drover_status drover_job_fail_permanent(drover_job *job, const char *code,
                                                   const char *format, ...) DROVER_PRINTF(3, 4);

/* ---- what it tells ------------------------------------------------------------------------
 */

/*
 * Reports progress: permille from 0 to 1000 (more is 1000) and a text of at most 1,024 bytes
 * (longer is cut; NULL: none). Reports are dropped when they come faster than they are read;
 * never blocks.
 */
DROVER_API void drover_job_progress(drover_job *job, unsigned permille, const char *text);

/*
 * Writes one line to the task's log, printf-like, at most 1,024 bytes: to the worker's log, and
 * to those who follow the task (`drover logs -f`). Like progress it is dropped rather than
 * waited for; what was dropped is counted.
 *
 * What a handler prints to stdout or stderr goes the same ways, and the last 8 KiB of each
 * stream are kept with the result. Where several threads of one process run tasks at the same
 * time, what is printed is taken for the output of each of them; lines of drover_job_log always
 * belong to their own task.
 */
DROVER_API void drover_job_log(drover_job *job, const char *format, ...) DROVER_PRINTF(2, 3);

/* Bytes of an emitted value, encoded. */
#define DROVER_JOB_EMIT_MAX 16384

/*
 * Streams a part of the result to those who follow the task, while it runs: a row, a picture,
 * the state of a model. Values arrive in order and whole. The result itself is not touched:
 * who only waits for that sees none of them. A raw value arrives as a binary.
 *
 * Never blocks. Returns DROVER_OK, which promises no reader; DROVER_BUSY: dropped, because
 * values come faster than they are read, and counted, so that followers see the gap;
 * DROVER_TOO_BIG: more than DROVER_JOB_EMIT_MAX bytes; DROVER_NOMEM.
 */
DROVER_API drover_status drover_job_emit(drover_job *job, const drover_value *value);

/* ---- what it has waited for ---------------------------------------------------------------
 */

/* What the job has of a resource of its worker while it runs: what the task was submitted with
 * as a need (gpu=1), 0 for all others. Units are those of the worker's --resource; `memory` is
 * in bytes, `cpus` in processors. The broker counts them; nobody else keeps the job to them.
 * Never blocks, like the next one. */
DROVER_API uint64_t drover_job_need(const drover_job *job, const char *name);

/* The resources that it needs, from 0, by name. False: there are not so many. The name is valid
 * as long as the job. */
DROVER_API bool drover_job_need_at(const drover_job *job, size_t position,
                                   const char **out_name, uint64_t *out_count);

/* A task that this one has waited for. */
typedef struct drover_parent {
    drover_id id;
    uint32_t index;     /* DROVER_INDEX_NONE: the task itself, or a whole array */
    drover_state state; /* how it ended */
    bool is_awaited;    /* by drover_job_await; false: the task was submitted with it */
} drover_parent;

/* How many there are: those that the task was submitted with (`after`), in their order, then
 * those of the last drover_job_await, in theirs. Never blocks, like the next two. */
DROVER_API size_t drover_job_parent_count(const drover_job *job);

/* One of them, from 0. False: there are not so many. */
DROVER_API bool drover_job_parent(const drover_job *job, size_t position,
                                  drover_parent *out_parent);

/* Whether the job goes on after drover_job_await: all that it awaited has ended. */
DROVER_API bool drover_job_is_resumed(const drover_job *job);

/*
 * What came of one of them. The broker is asked for it: nothing of it was sent before, and it
 * is kept until this task has ended, however large. Of a whole array, however it ended, there
 * is a map with `count`, `succeeded`, `failed`, `cancelled` and `expired`; drover_job_fetch
 * reads the results of its elements, by their indexes from 0.
 *
 * Blocks for at most timeout_ms. Returns DROVER_OK: it succeeded, *out_value is its result.
 * DROVER_FAILED, DROVER_CANCELLED, DROVER_EXPIRED, DROVER_LOST: it ended like that, *out_value
 * is a map with `kind`, `code` and `text` (also `exit_code`, `signal`), or what it left as a
 * value. The caller destroys *out_value after any of these. DROVER_UNKNOWN: there are not so
 * many. Else as the calls for shared data.
 */
DROVER_API DROVER_MUST_USE drover_status drover_job_parent_result(drover_job *job,
                                                                  size_t position,
                                                                  uint64_t timeout_ms,
                                                                  drover_value **out_value);

/* The same of any task or element that has ended. DROVER_UNKNOWN: it is not there, or its
 * result is not kept any more. DROVER_NOT_READY: it has not ended. */
DROVER_API DROVER_MUST_USE drover_status drover_job_fetch(drover_job *job, const drover_id *id,
                                                          uint32_t index, uint64_t timeout_ms,
                                                          drover_value **out_value);

/* ---- children -----------------------------------------------------------------------------
 */

/* Something that a child waits for. */
typedef struct drover_child_after {
    drover_id id;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself, or a whole array */
    bool always;    /* however it ends; false: it must succeed */
} drover_child_after;

/* Start with DROVER_CHILD_OPTIONS_INIT. Everything as in drover_submit_options of client.h. */
typedef struct drover_child_options {
    size_t size;                     /* sizeof(drover_child_options) */
    const char *queue;               /* NULL: "default" */
    int priority;                    /* 0 */
    uint32_t retries;                /* 0 */
    uint64_t delay_ms;               /* 0 */
    uint64_t expire_ms;              /* 0: never */
    uint64_t timeout_ms;             /* 0: none */
    uint64_t backoff_ms;             /* 1,000 */
    uint64_t backoff_max_ms;         /* 60,000 */
    int64_t keep_ms;                 /* -1: as the broker does by default */
    drover_durability durability;    /* DROVER_DURABILITY_DEFAULT */
    const drover_child_after *after; /* NULL */
    size_t after_count;              /* 0; at most 64 */
} drover_child_options;

#define DROVER_CHILD_OPTIONS_INIT                                           \
    {                                                                       \
        sizeof(drover_child_options), NULL, 0, 0, 0, 0, 0, 1000, 60000, -1, \
            DROVER_DURABILITY_DEFAULT, NULL, 0,                             \
    }

/*
 * The id of child number n of a task, or of an element of an array (index DROVER_INDEX_NONE: of
 * the task itself): always the same, so that a handler that runs again submits the same tasks
 * again, which changes nothing. It sorts with its parent's time. Any thread; never blocks.
 */
DROVER_API drover_id drover_child_id(const drover_id *parent, uint32_t index, uint64_t n);

/* The id of child n of this job's task: the same in every attempt (drover_child_id). */
DROVER_API drover_id drover_job_child_id(const drover_job *job, uint64_t n);

/*
 * Submits a task as child n of this one. When the job runs again, after a loss or a failure,
 * the same call finds the same task: give every child its own n, and the same one every time.
 *
 * payload: borrowed; NULL: nil. options: NULL for the defaults. out_id may be NULL.
 * Blocks for at most timeout_ms, waiting while the broker is busy. Returns DROVER_OK: it is
 * there, as durable as asked; DROVER_CONFLICT: child n is another task; DROVER_DEPENDENCY: what
 * it is to wait for is not there; DROVER_INVALID: an option that makes no sense; DROVER_BUSY,
 * DROVER_TIMEOUT, DROVER_REFUSED... as the broker says; else as the calls for shared data.
 */
DROVER_API DROVER_MUST_USE drover_status
drover_job_submit(drover_job *job, uint64_t n, const char *type, const drover_value *payload,
                  const drover_child_options *options, uint64_t timeout_ms, drover_id *out_id);

#define DROVER_JOB_AWAIT_MAX 1024 /* tasks that one call names */

/*
 * Lets the job wait for tasks, its children most often, without holding its slot:
 *
 *     if (!drover_job_is_resumed(job)) {
 *         ... drover_job_submit(job, 0, ...), drover_job_submit(job, 1, ...)
 *         return drover_job_await(job, ids, 2);
 *     }
 *     ... drover_job_parent_result(job, 0, ...)
 *
 * The attempt ends when the handler returns what this returned. When all of them have ended, in
 * whatever way, the handler is called again from its beginning, as the next attempt, maybe in
 * another process on another host; nothing is charged to its retries. What it knew is gone but
 * for its payload: it asks drover_job_is_resumed, or looks at how far its children are.
 * Each such call names what it waits for anew; those of an earlier one are only kept if they
 * are named again. A task that waits for itself, directly or not, waits until it is cancelled.
 *
 * ids: count of them, from 1 to DROVER_JOB_AWAIT_MAX; they must be there, and be at least as
 * durable as this task: else it fails for good, kind `dependency`. An array counts as one.
 * Never blocks. Returns DROVER_NOT_READY, or a failure to be returned as well.
 */
DROVER_API drover_status drover_job_await(drover_job *job, const drover_id *ids, size_t count);

/*
 * The same for tasks that are of no use without this one: when it is cancelled while it waits
 * for them, they are cancelled too, with what they await in turn. (After drover_job_await they
 * run on.) The cancel of what awaits is answered at once and does not wait for theirs.
 */
DROVER_API drover_status drover_job_await_owned(drover_job *job, const drover_id *ids,
                                                size_t count);

/* ---- shared data --------------------------------------------------------------------------
 */

/*
 * Shared data lives in the broker under keys of at most 256 bytes of UTF-8; a value has at most
 * 1 MiB; every write gives the key a new version. Writes carry the job's fencing token: those
 * of an attempt that no longer counts are refused with DROVER_STALE.
 *
 * All of these block until the broker has answered, timeout_ms have passed (DROVER_TIMEOUT; a
 * write may still have happened), or the job is cancelled (DROVER_CANCELLED; the same). Besides
 * they return DROVER_INVALID for a bad key, DROVER_TOO_BIG, and what the broker says:
 * DROVER_BUSY, DROVER_DENIED, DROVER_UNAVAILABLE... ttl_ms: the entry ends after that time; 0:
 * never. out_version may be NULL.
 */
/* DROVER_UNKNOWN when there is no such key. The caller destroys *out_value. */
DROVER_API DROVER_MUST_USE drover_status drover_job_kv_get(drover_job *job, const char *key,
                                                           uint64_t timeout_ms,
                                                           drover_value **out_value,
                                                           int64_t *out_version);
DROVER_API DROVER_MUST_USE drover_status drover_job_kv_set(drover_job *job, const char *key,
                                                           const drover_value *value,
                                                           uint64_t ttl_ms, uint64_t timeout_ms,
                                                           int64_t *out_version);
/* Adds to the integer under the key, 0 when absent. DROVER_INVALID when it is no integer. */
DROVER_API DROVER_MUST_USE drover_status drover_job_kv_incr(drover_job *job, const char *key,
                                                            int64_t delta, uint64_t timeout_ms,
                                                            int64_t *out_number);
/*
 * Sets the value if the key's version is still `expected` (0: it must be absent).
 * DROVER_CONFLICT otherwise, with the present version in *out_version.
 */
DROVER_API DROVER_MUST_USE drover_status drover_job_kv_cas(drover_job *job, const char *key,
                                                           const drover_value *value,
                                                           int64_t expected, uint64_t ttl_ms,
                                                           uint64_t timeout_ms,
                                                           int64_t *out_version);
/* DROVER_UNKNOWN when there is no such key. */
DROVER_API DROVER_MUST_USE drover_status drover_job_kv_del(drover_job *job, const char *key,
                                                           uint64_t timeout_ms);

/* ---- programs that are their own workers --------------------------------------------------
 */

/*
 * Lets a program run its own handlers in other processes. First in main:
 *
 *     DROVER_MODULE("mine", "1.0", {"square", square, DROVER_THREAD_SAFE});
 *
 *     int main(int argc, char **argv)
 *     {
 *         drover_worker_main(&argc, argv, &drover_module_entry);
 *         drover_client *client = NULL;
 *         if (drover_client_open("local://4", NULL, &client) == DROVER_OK) { ... }
 *     }
 *
 * A pool that drover_client_open("local://...") makes without load= starts this program a
 * second time; there the call serves as the worker and never returns (it ends with exit, when
 * the pool does). Everywhere else it returns at once and changes nothing, arguments included.
 *
 * Call it before the program starts a thread, opens a ZeroMQ context, or does anything that the
 * worker must not do again. The handlers run in processes forked from the second start: they
 * see what constructors have made, and nothing that main does after this call.
 *
 * A program that runs with more rights than its caller (setuid, file capabilities) never
 * becomes a worker.
 *
 * argc, argv: main's own. module: borrowed for ever.
 */
DROVER_API void drover_worker_main(const int *argc, char **argv, const drover_module *module);

#ifdef __cplusplus
}
#endif

#endif
