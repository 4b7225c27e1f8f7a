/*
 * pool.h: runs attempts in other processes, seen from the agent.
 *
 *   agent ──pool_submit──> [pending] ──> executor's ring ──> handler or command
 *         <──pool_poll──── STARTED, PROGRESS, KV, OUTPUT, FINISHED
 *
 *   agent ── zygote ──┬── executor (functions of modules)        every child is ended when its
 *    (loads modules,  ├── executor (the same, several threads)   parent dies; the zygote ends
 *     forks, reaps)   └── executor (commands) ── command         everything when the agent dies
 *
 * Life of an attempt, by token:
 *
 *   submit ──> pending ──> placed ──────> started ──> FINISHED (exactly once, then the token
 *                 |        (in a ring)       |                   is free)
 *                 └── pool_recall: gone,     └── pool_abort: flag, TERM, KILL, FINISHED
 *                     no event
 *
 * Guarantees
 *   - A recalled attempt never ran and never will. One that pool_recall answers with BUSY has
 *     started.
 *   - FINISHED comes after STARTED or without it (then it implies it), exactly once per token.
 *     With POOL_CANCELLED, and with kinds `timeout` and `crash`, it comes when all processes of
 *     the attempt are gone, those that left its process group included.
 *   - When an executor dies, only the attempt that is to blame is charged (kind `crash`). What
 *     ran beside it in the same process (model thread) is RETURNED; what was placed behind goes
 *     back to pending by itself. When it cannot be known who is to blame, all that ran there
 * are RETURNED, and the caller runs them alone (is_alone) before they may run together again.
 *   - A task type has no more attempts placed than its rule says; a range counts as one.
 *   - Recycling and shrinking end no executor that runs something.
 *   - Nothing an executor does can crash or block the agent: it is read through bounded,
 *     checked copies, and one that breaks the rules is killed.
 *   - When the agent dies in whatever way, all processes of the pool end.
 *   - When the zygote dies, what ran is told as RETURNED and lost, what did not as unstarted.
 *
 * A range is one token for many attempts: elements of an array that run one after the other
 * (lane_range.h). It becomes less from both ends: PART tells of the first that have succeeded,
 * REST gives the last ones back, which were never run. Whatever else there is to tell (STARTED,
 * output, a failure) is told when there is only the element left that it is about.
 *
 *        told by PART | in the pool | given back by REST, pool_recall_range
 *
 * Leaves out: leases, the network, retries. One thread; nothing but pool_new, pool_close and
 * pool_call blocks.
 */
#ifndef POOL_H
#define POOL_H

#include "confine.h"
#include "data.h"
#include "message.h"
#include "view.h"

#include <drover/drover.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct drv_log;
struct drover_module;
struct drv_problem;
struct pool;
struct record_parent;

enum {
    POOL_SLOTS_MAX = 1024,
    POOL_PLACES_MAX = 1024 * 1024,      /* of attempts, see pool_attempt.token */
    POOL_STDERR_MAX = 8192,             /* bytes of the stderr tail of an error */
    POOL_OUTPUT_MAX = 16 * 1024 * 1024, /* default limit on what a command prints */
    POOL_PARENTS_MAX = 64 + 1024,       /* of an attempt: submitted with, and awaited */
    POOL_VALUE_MAX = 64 * 1024 * 1024,  /* bytes of a payload, a shared value, a result */
    POOL_DEPTH_MAX = 512,               /* attempts placed in one executor at a time */
    POOL_THREADS_MAX = 32,              /* of an executor of model thread */
    POOL_THREADS_DEFAULT = 8,           /* but no more than there are slots */
};

/* How attempts are run. thread: executors with several threads each; fork: a process for every
 * attempt; exec: commands. */
enum pool_model { POOL_MODEL_PREFORK = 1, POOL_MODEL_THREAD, POOL_MODEL_FORK, POOL_MODEL_EXEC };

/* The word for it in options; "model" for none of them. */
const char *pool_model_name(enum pool_model model);

/* ---- configuration --------------------------------------------------------------------------
 */

enum pool_stdin {                  /* what a command reads */
                  POOL_STDIN_JSON, /* msgpack values as one line of JSON, raw values as they
                                      are, nil: nothing */
                  POOL_STDIN_TEXT, /* as JSON, but strings and binaries as their plain bytes */
                  POOL_STDIN_MSGPACK, /* the encoded bytes */
                  POOL_STDIN_NONE,    /* nothing */
};

enum pool_stdout {                   /* what becomes of what it prints */
                   POOL_STDOUT_AUTO, /* a string when it is UTF-8, else a binary */
                   POOL_STDOUT_TEXT, /* a string without its last newline; not UTF-8: failed,
                                        code bad-output */
                   POOL_STDOUT_JSON, /* one JSON text, read; else failed, code bad-output */
                   POOL_STDOUT_RAW,  /* raw bytes with content_type */
};

/* One configured command: a handler that is a program. Everything is borrowed for pool_new. */
struct pool_command {
    const char *type;        /* task type */
    const char *const *argv; /* argc templates; in each of them, replaced wherever they stand:
                                {} the payload (a string as it is, other values as JSON), {id},
                                {index}, {attempt}, {type}. argv[0] is never replaced in. */
    size_t argc;             /* at least 1 */
    bool persist;            /* stays, and speaks length-prefixed msgpack (worker/README.md) */
    enum pool_stdin stdin_mode;     /* not for persist */
    enum pool_stdout stdout_mode;   /* not for persist */
    const char *content_type;       /* for POOL_STDOUT_RAW; NULL: application/octet-stream */
    const char *cwd;                /* NULL: a fresh temporary directory, removed afterwards */
    const char *const *environment; /* names passed on besides config->environment */
    size_t environment_count;
    size_t output_max;      /* bytes; 0: POOL_OUTPUT_MAX */
    struct confine confine; /* its fresh temporary directory can be changed, too */
};

/* How one task type is run. */
struct pool_rule {
    const char *type;
    enum pool_model model;  /* 0: the pool's for functions, exec for commands */
    uint32_t concurrency;   /* attempts at once; 0: as many as slots */
    struct confine confine; /* not for configured commands, which have their own. A function
                               with any has a process of its own, as in model fork */
};

enum { POOL_EXECUTORS_ALL = POOL_SLOTS_MAX }; /* for executors_min: as many as can be busy */

struct concealed; /* conceal.h */

struct pool_config {                 /* borrowed for pool_new, but for `log` */
    const struct drover_module *own; /* handlers of this very program; NULL: none */
    const char *const *modules;      /* paths of shared objects */
    size_t module_count;
    const struct pool_command *commands;
    size_t command_count;
    const char *const *allow_exec; /* commands that tasks may name: argv[0] exactly. Each adds
                                      the type "exec:" CMD with '/' replaced by ':' */
    size_t allow_exec_count;
    const char *exec_dir; /* where they run; NULL: in a fresh temporary directory each */
    const struct concealed *concealed; /* a key that handlers must not read; borrowed for the
                                          life of the pool; NULL: none */
    const char *const *environment;    /* names that commands get from the worker's environment;
                                          NULL: PATH HOME USER LOGNAME SHELL LANG LC_ALL LC_CTYPE
                                          TZ TMPDIR. Tasks of type exec: may set the configured
                                          names (NULL: LANG LC_ALL LC_CTYPE TZ) but never PATH and
                                          LD_* */
    size_t environment_count;
    const char *tmp_dir;   /* where temporary directories are made; NULL: $TMPDIR or /tmp */
    size_t slots;          /* attempts that run at once, 1..POOL_SLOTS_MAX */
    enum pool_model model; /* of functions; 0: prefork. With thread, functions that are not
                              DROVER_THREAD_SAFE run as prefork */
    const struct pool_rule *rules; /* types that are run otherwise; each of them must exist */
    size_t rule_count;
    size_t threads;        /* of an executor of model thread, up to POOL_THREADS_MAX; 0:
                              POOL_THREADS_DEFAULT */
    size_t executors_min;  /* of each model of functions, started at once and kept when idle;
                              the others, and those of commands, as they are needed */
    uint64_t idle_ms;      /* then they end after being idle for so long; 0: they stay */
    uint64_t tasks_max;    /* attempts of one executor, then a new one takes its place; 0: no
                              limit */
    uint64_t memory_max;   /* resident bytes of an executor, looked at after each attempt: one
                              that has more is replaced; 0: no limit */
    bool drops_output;     /* what handlers print and log stays out of `log` */
    const char *group_dir; /* of a group_tree (group.h) that outlives the pool; NULL or "": no
                              control groups, and limits are kept by other means */
    const struct drv_log *log; /* borrowed for the life of the pool; NULL: silent */
};

/*
 * Starts the zygote and, through it, the executors. To be called before the process has a
 * ZeroMQ context or a second thread. Loads the modules in the zygote, and waits for that
 * (blocks, 60 s at most). Makes this process a subreaper: children that it has now are left
 * alone, all that come later are taken for remains of the pool and ended by pool_close.
 *
 * On failure *problem says why in one line: the text of dlerror() for a module that cannot be
 * loaded, both versions when its ABI is another, the name of a type that comes twice.
 * Returns OK, INVALID (configuration), IO (module not loadable, fork...), VERSION (module ABI),
 * CONFLICT (type offered twice), TIMEOUT, NOMEM.
 */
DROVER_MUST_USE drover_status pool_new(const struct pool_config *config,
                                       struct drv_problem *problem, struct pool **out_pool);

/* Ends every process of the pool, waits until they are gone (SIGKILL: no grace; recall and
 * abort first for that), and frees it. *pool may be NULL. */
void pool_close(struct pool **pool);

/* ---- what it offers -------------------------------------------------------------------------
 */

struct pool_type {
    const char *name; /* borrowed from the pool */
    enum pool_model model;
    uint32_t concurrency; /* 0: as many as slots */
    unsigned flags;       /* enum drover_handler_flags */
    bool takes_ranges; /* those of model prefork, when no limit on tasks ends its processes */
};

size_t pool_type_count(const struct pool *pool);
struct pool_type pool_type_at(const struct pool *pool, size_t position);

/* ---- attempts -------------------------------------------------------------------------------
 */

/* Bytes inside a drv_data. The pool takes its own reference. */
struct pool_value {
    struct drv_data *data;        /* NULL: nil, then view is empty */
    struct drv_view view;         /* within data */
    struct drv_view content_type; /* empty: msgpack; at most DROVER_CONTENT_TYPE_MAX bytes */
};

struct pool_attempt {
    uint64_t token; /* the caller's name for it; never 0. The low half is the number of a place
                       in the caller's books, below POOL_PLACES_MAX, unique among those in the
                       pool; the high half tells apart what has used the same place. */
    drover_id id;
    uint32_t index; /* or DROVER_INDEX_NONE */
    uint32_t attempt;
    struct drv_view type;                /* copied */
    struct drv_view meta;                /* copied; at most 1,024 bytes */
    struct drv_view needs;               /* copied; as in need.h; what it has of resources */
    const struct record_parent *parents; /* copied; what it has waited for */
    size_t parent_count;
    struct pool_value payload; /* may be in pieces (pieces.h), its view is without bytes then */
    struct pool_value shared;  /* array's shared value; sent once per executor and id */
    uint64_t timeout_ms; /* run time; 0: none. Then as an abort, outcome failed, kind timeout */
    uint64_t term_ms;    /* grace from flag to SIGTERM when it times out */
    uint64_t kill_ms;    /* grace from SIGTERM to SIGKILL */
    struct drv_bounds limits; /* of what it may use, see worker/README.md; with one on memory,
                                 cpu, processes or files a function gets a process of its own */
    bool is_alone;            /* a suspect: in a process without neighbours */

    uint32_t
        count; /* 0: one attempt. Else a range of the elements index, index + 1, ...: 2 to
                  LANE_RANGE_MAX of them, of a type that takes ranges, without meta, parents,
                  limits, time limit, not alone. The payload is theirs one after the other */
    struct pool_value lengths; /* of a range: where each payload ends (lengths.h) */
};

/*
 * Takes an attempt, which is placed by pool_commit or the next pool_poll: at once when an
 * executor is idle; behind a running one when what runs there is known to be short (up to
 * POOL_DEPTH_MAX, taken back when it turns out not to be); else it is pending. The pool takes
 * any number; how many is the caller's policy. Returns OK,
 * UNKNOWN (no such type), CONFLICT (place in use), INVALID, UNSUPPORTED (a range, but the type
 * takes none), TOO_BIG, CLOSED (the zygote is gone), NOMEM.
 */
DROVER_MUST_USE drover_status pool_submit(struct pool *pool,
                                          const struct pool_attempt *attempt);

/* After some of pool_submit, pool_recall, pool_abort: places what is to be placed. */
void pool_commit(struct pool *pool, int64_t now_us);

/*
 * Takes an attempt back that has not started.
 * Returns OK: it never runs, its token is free, no event follows. BUSY: it has started (STARTED
 * comes with the next pool_poll unless it came already). UNKNOWN: no such token.
 */
DROVER_MUST_USE drover_status pool_recall(struct pool *pool, uint64_t token, int64_t now_us);

/*
 * The same of a range, for the elements from `index` on. OK: those from *out_index on, which is
 * no less, never run; when there is none before it, the token is free. BUSY: all of them have
 * started; the last of these is told as STARTED with the next pool_poll, unless it ends before.
 */
DROVER_MUST_USE drover_status pool_recall_range(struct pool *pool, uint64_t token,
                                                uint32_t index, int64_t now_us,
                                                uint32_t *out_index);

/*
 * Stops an attempt. If it had not started, FINISHED with POOL_CANCELLED comes with the next
 * pool_poll. If it runs: its flag is set now, SIGTERM to its process group follows after
 * term_ms, SIGKILL to all its processes kill_ms later. A command has no flag to look at and
 * gets SIGTERM now (and an exit with 0 after that is no success). FINISHED follows when all is
 * gone: POOL_CANCELLED, or the real outcome when it ended by itself first. A second abort can
 * only shorten the times. Returns OK, UNKNOWN; NOT_READY: it is a range, of which no element
 * was told to be the one that runs.
 */
DROVER_MUST_USE drover_status pool_abort(struct pool *pool, uint64_t token, uint64_t term_ms,
                                         uint64_t kill_ms, int64_t now_us);

/* Attempts that are in the pool: submitted and not FINISHED or recalled. */
size_t pool_attempt_count(const struct pool *pool);
/* Those of them that no executor has taken yet, as far as is known. */
size_t pool_waiting_count(const struct pool *pool);
/* How many more attempts would start at once. */
size_t pool_idle_count(const struct pool *pool);

/* ---- events ---------------------------------------------------------------------------------
 */

enum pool_event_kind {
    POOL_STARTED,  /* for attempts that run for longer than about 1 ms, and all commands */
    POOL_FINISHED, /* the last of its token */
    POOL_RETURNED, /* the last of its token, too: it has to be run again, elsewhere */
    POOL_PROGRESS,
    POOL_KV,     /* the handler wants shared data and waits: answer with pool_kv_reply */
    POOL_OUTPUT, /* bytes of one of its streams; before FINISHED, after or before STARTED */
    POOL_PART,   /* the next elements of a range have succeeded; it may be the last of its token
                  */
    POOL_REST,   /* the last elements of a range are given back: they were never run */
};

/* The same numbers as on the wire. */
enum pool_stream {
    POOL_STREAM_STDOUT = 1,
    POOL_STREAM_STDERR,
    POOL_STREAM_LOG,  /* lines of drover_job_log, each with its newline */
    POOL_STREAM_DATA, /* values of drover_job_emit: each event is one, encoded */
};

/* As on the wire; AWAITS: its value are ids, maybe with a byte of flags of AWAIT behind them,
 * and it is to run again when these have ended. */
enum pool_outcome { POOL_SUCCEEDED = 1, POOL_FAILED, POOL_CANCELLED, POOL_AWAITS };

enum pool_return {
    POOL_RETURN_UNSTARTED = 1, /* it never ran */
    POOL_RETURN_INTERRUPTED,   /* it ran and was ended with its process by another's fault */
    POOL_RETURN_LOST,          /* it ran, and the pool is gone */
};

struct pool_usage {
    uint64_t user_us, system_us, peak_rss_bytes;
    uint32_t pid;
    uint32_t kept; /* enum drv_kept: what kept its limits */
};

/* X(number, NAME): the same numbers as on the wire. */
enum pool_kv_op {
    POOL_KV_GET = 1,
    POOL_KV_SET,
    POOL_KV_DEL,
    POOL_KV_INCR,
    POOL_KV_CAS,
    POOL_ASK_FETCH,  /* key: struct record_fetch; the number of the answer is the state */
    POOL_ASK_SUBMIT, /* key: a child (child.h), value: its payload */
};

/* All views are valid during the callback only; `value.data` may be kept with drv_data_ref. */
struct pool_event {
    enum pool_event_kind kind;
    uint64_t token;
    union {
        struct {
            enum pool_outcome outcome;
            struct pool_value value;           /* result; with exec: types also when failed */
            enum drover_error_kind error_kind; /* NONE when it succeeded */
            struct drv_view code;              /* UTF-8, at most 64 bytes */
            struct drv_view text;              /* UTF-8, at most 4,096 bytes */
            int32_t exit_code;                 /* -1 when it did not exit */
            uint32_t signal;                   /* 0 for none */
            bool permanent;
            struct drv_view stderr_tail; /* at most POOL_STDERR_MAX bytes */
            uint64_t run_us;
            bool has_usage;
            struct pool_usage usage;
        } finished;
        struct {
            enum pool_return how;
        } returned;
        struct {
            uint32_t count;                 /* elements */
            bool is_last;                   /* the token is free */
            struct drv_view lengths, bytes; /* their results, as in an attempt; in `data` */
            struct drv_data *data;
            uint64_t run_us; /* of all together */
            struct pool_usage usage;
        } part;
        struct {
            uint32_t index; /* of the first that is given back */
            uint32_t count;
        } rest;
        struct {
            uint32_t permille;
            struct drv_view text;
        } progress;
        struct {
            uint64_t request; /* for pool_kv_reply */
            enum pool_kv_op op;
            struct drv_view key;
            struct pool_value value; /* SET, CAS */
            int64_t number;          /* INCR: delta; CAS: expected version */
            uint64_t ttl_ms;
            uint64_t timeout_ms; /* how long the handler waits */
        } kv;
        struct {
            enum pool_stream stream;
            struct drv_view bytes; /* may be empty, when some are missed */
            uint64_t missed;       /* bytes that were dropped before these */
        } output;
    };
};

typedef void (*pool_event_fn)(void *context, const struct pool_event *event);

/* Becomes readable when pool_poll has something to do; level-triggered; fits poll(), epoll and
 * zmq_poll(). Borrowed. */
int pool_fd(const struct pool *pool);

/* When pool_poll must be called at the latest even if pool_fd is silent; INT64_MAX: never. */
int64_t pool_deadline_us(const struct pool *pool);

/*
 * Does what is due and tells what has happened, in order per token. The callback may call
 * pool_submit, pool_recall, pool_abort and pool_kv_reply, but neither pool_poll nor pool_close.
 * A bounded amount of work per call; what is left makes pool_deadline_us fall due at once.
 * Returns OK, or CLOSED: the zygote is gone (killed from outside), all attempts were reported
 * FINISHED or RETURNED, and the pool can only be closed.
 */
DROVER_MUST_USE drover_status pool_poll(struct pool *pool, int64_t now_us,
                                        pool_event_fn on_event, void *context);

/*
 * Answers a POOL_KV event. `value` may be NULL. An answer for a handler that is gone or has
 * given up is dropped.
 */
void pool_kv_reply(struct pool *pool, uint64_t request, drover_status status,
                   const struct pool_value *value, int64_t number);

/* ---- statistics -----------------------------------------------------------------------------
 */

enum pool_executor_state {
    POOL_EXECUTOR_STARTING,
    POOL_EXECUTOR_IDLE,
    POOL_EXECUTOR_BUSY,
    POOL_EXECUTOR_STOPPING, /* being ended */
    POOL_EXECUTOR_DOWN,     /* waits until it is started (again) */
};

/* One place for an attempt: an executor, or a thread of one. */
struct pool_executor_info {
    pid_t pid;       /* 0 when there is none */
    unsigned thread; /* number in its process; 0 for the first or only one */
    enum pool_model model;
    enum pool_executor_state state;
    uint64_t token;        /* of what runs; 0: nothing */
    const char *type;      /* of what runs, borrowed until the next call; NULL */
    uint64_t done;         /* attempts that ended in this place */
    uint64_t crashes;      /* executors that died in this place */
    int64_t started_at_us; /* of the process */
};

size_t pool_executor_count(const struct pool *pool);
void pool_executor_at(const struct pool *pool, size_t position,
                      struct pool_executor_info *out_info);
pid_t pool_zygote_pid(const struct pool *pool);

const char *pool_executor_state_name(enum pool_executor_state state);

/* ---- one call, for debuggers ----------------------------------------------------------------
 */

/*
 * Loads the modules into this very process and runs one handler of a module here: for gdb,
 * valgrind, perf. Shared data answers `unavailable`; progress and logs go to stderr. Blocks.
 * Returns what the handler returned with *out_result, or with *problem; UNKNOWN (no such type),
 * UNSUPPORTED (the type is a command), or as pool_new.
 */
DROVER_MUST_USE drover_status pool_call(const struct pool_config *config, const char *type,
                                        const drover_value *payload,
                                        struct drv_problem *problem, drover_value **out_result);

#endif
