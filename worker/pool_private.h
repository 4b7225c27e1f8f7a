/*
 * pool_private.h: the parts of the pool, shared by pool*.c.
 *
 *   run:   one attempt.   waiting ──> pending ──place──> placed ──taken──> started ──> ended
 *                        (its type      ^─────revoke──────┘ (recall, a long run ahead, the
 *                         is at its                            executor died or was told to
 * end) limit) seat:  where runs are placed: one lane to one thread of an executor. proc:  one
 * executor process with its seats: one, or as many as threads (model thread). down ──> starting
 * ──> idle <──> busy ──> stopping ──> down crew:  the executors of one model: grows when runs
 * are pending, shrinks when procs are idle for long, never below its minimum.
 *
 * Who has a run is decided by its claim (lane.h). STARTED costs no message: a seat whose head
 * was not seen to finish within WATCH_US is looked at, and what stands behind a long run is
 * taken back, so that a short task never waits for a long one while a slot is free.
 *
 * A seat is in its crew's idle list exactly while its proc is open (up, not doomed, not spent)
 * and nothing is placed in it. A proc is in its crew's spare list exactly while it is open and
 * nothing is placed in any of its seats. One that is no longer open is killed as soon as it has
 * nothing to do.
 */
#ifndef POOL_PRIVATE_H
#define POOL_PRIVATE_H

#include "backoff.h"
#include "buffer.h"
#include "heap.h"
#include "lane.h"
#include "list.h"
#include "log.h"
#include "model/model.h"
#include "pool.h"
#include "slab.h"
#include "zygote.h"

enum {
    POOL_WATCH_US = 1000,       /* a run that takes longer is reported STARTED */
    POOL_BACKLOG_US = 2000,     /* expected run time that may be placed in one seat */
    POOL_TRIM_US = 1000 * 1000, /* memory files keep what was used of them in so long */
    POOL_RETRY_US = 1000,       /* until something that could not be sent is tried again */
    POOL_LOOK_US = 200000,      /* progress and logs do not always call; they are looked for */
    POOL_RECORDS_MAX = 1024,    /* records read from one seat in one poll */
    POOL_LOOKS_MAX = 8,         /* busy seats that are asked whether they take one more */
    POOL_LINE_MAX = 1024,       /* bytes of a line of output in the log */
    POOL_OUTPUT_TURN = 65536,   /* bytes read from one pipe in one poll */
    POOL_OUTPUT_LAST = 1024 * 1024, /* the same when an attempt ends; no pipe holds more */
    POOL_LOG_LINES = 4096,          /* of output that go to the log in a second */
    POOL_LOG_SPAN_US = 1000 * 1000,
    POOL_BACKSTOP_MS = 2000, /* patience with an executor that has to kill its command */
};

enum run_state { RUN_PENDING, RUN_PLACED, RUN_STARTED, RUN_DROPPED };
enum run_stop { STOP_NONE, STOP_CANCEL, STOP_TIMEOUT, STOP_LIMIT };
enum run_step { STEP_TIMEOUT, STEP_TERM, STEP_KILL }; /* what is due at due_us */

struct seat;
struct proc;
struct crew;

struct run {
    struct drv_list link; /* in crew.pending, type.waiting, seat.placed or pool.dropped */
    uint64_t token;
    drover_id id;
    uint32_t index, attempt;
    uint32_t handler;
    struct crew *crew; /* who runs it */

    bool is_range;
    bool is_single;                /* a range of which one element is left, which has started */
    uint32_t count;                /* elements of a range that are not given back; else 1 */
    uint32_t told;                 /* the first of them that are told as succeeded; never all */
    uint32_t looked;               /* elements claimed when it was looked at last */
    uint64_t told_run_us;          /* run time of those that were told */
    bool is_hurried;               /* which one runs is to be told soon */
    struct drv_data *lengths_data; /* owned reference; what lengths points into */
    struct drv_view lengths;       /* of the payloads */

    struct drv_data *meta;    /* owned reference; NULL: none */
    struct drv_data *parents; /* owned reference: struct record_parent; NULL: none */
    struct drv_data *needs;   /* owned reference: as in need.h; NULL: none */
    struct pool_value payload, shared;
    char payload_type[DROVER_CONTENT_TYPE_MAX + 1]; /* what payload.content_type points to */
    char shared_type[DROVER_CONTENT_TYPE_MAX + 1];
    uint64_t timeout_ms, term_ms, kill_ms;
    struct drv_bounds limits;
    struct drv_list limited; /* in pool.limited while it runs and is sampled */
    uint64_t base_cpu_us;    /* processor time of its processes before it */
    const char *exceeded;    /* with STOP_LIMIT: what, static */
    uint64_t exceeded_by;    /* what was found */
    bool is_grouped;         /* a control group keeps its limits, as was seen when looking */
    enum run_state state;
    bool is_admitted; /* counts for the limit of its type; pending ones that do not: waiting */

    struct seat *seat; /* placed or started: where */
    uint32_t claim;
    uint64_t serial;
    uint64_t expected_us; /* part of seat.backlog_us */
    int64_t started_us;

    bool is_blamed; /* ended its process, as that says itself */
    enum run_stop stop;
    enum run_step step;
    int64_t due_us; /* of the step */
    int64_t kill_at_us;
    struct drv_heap_node timer;
};

struct output_pipe {
    int fd;                 /* owned, not blocking; -1: none */
    uint64_t read;          /* bytes ever */
    uint64_t mark;          /* what stands before it may be read once the ring was */
    struct drv_buffer line; /* not a whole line yet */
};

/* What a process prints. */
struct output {
    struct output_pipe pipes[LANE_PIPES];
    bool is_ready;          /* marks were taken and not read up to */
    uint64_t after;         /* position in the ring that must have been read before */
    bool has_ended;         /* one of them has no writer any more */
    struct drv_buffer tail; /* the last of both, for a certificate */
};

struct seat {
    uint32_t number; /* among all seats */
    struct proc *proc;
    struct lane lane;
    struct drv_list placed; /* runs, in the order of the ring */
    size_t placed_count;
    bool owes_call; /* something was put into the ring since it was called */
    struct run *claims[POOL_DEPTH_MAX]; /* by claim; NULL: free */
    uint32_t next_claim;                /* to be tried first */
    uint64_t backlog_us;
    struct drv_list idle;  /* in crew.idle */
    struct drv_list watch; /* in pool.watched */
    int64_t watch_at_us;

    bool has_shared; /* the thread has the value of shared_id */
    drover_id shared_id;

    bool is_asking; /* a handler waits for shared data */
    uint64_t question;
    struct {
        bool is_set; /* the ring was full */
        uint32_t status;
        int64_t number;
        struct pool_value value; /* owned reference */
        char content_type[DROVER_CONTENT_TYPE_MAX + 1];
    } answer;
    uint64_t done;
};

struct proc {
    uint32_t number; /* among all procs; its slot at the zygote */
    struct crew *crew;
    struct seat *seats; /* crew.threads of them */
    enum pool_executor_state state;
    bool is_doomed;      /* got a signal: gets no more work, ends */
    bool is_spent;       /* is too big, or outdated: the same, when it is idle */
    bool is_clean;       /* has nothing below it */
    bool must_kill;      /* the request could not be sent yet */
    uint16_t generation; /* for requests of its handlers */
    pid_t pid;
    struct output output;
    size_t busy_seats;           /* in which something is placed */
    uint64_t given;              /* attempts placed in this process and not taken back */
    struct drv_list spare;       /* in crew.spare */
    int64_t spare_at_us;         /* since when */
    uint64_t user_us, system_us; /* reported by this process so far */
    int64_t started_at_us;
    int64_t start_at_us; /* down: not before */
    uint32_t failures;   /* starts in a row that came to nothing */
    uint64_t done_here;  /* attempts of this process */
    uint64_t crashes;
};

struct crew {
    const struct model *model;
    struct proc *procs; /* part of pool.procs; proc_count: its maximum */
    size_t proc_count;
    struct seat *seats; /* part of pool.seats */
    size_t seat_count;
    size_t threads;          /* seats of a proc */
    size_t min;              /* procs that are kept when idle */
    uint64_t tasks_max;      /* attempts of one process; 0: no limit */
    size_t up, starting;     /* procs that are starting, idle or busy; the first of these */
    struct drv_list idle;    /* seats, the last used first */
    struct drv_list spare;   /* procs, the longest idle first */
    struct drv_list pending; /* runs */
    size_t pending_count;
    size_t next_look; /* seat to ask first */
    bool is_standby;  /* no type runs here, only what has to run alone */
};

struct pool_type_entry {
    char *name; /* owned */
    size_t name_len;
    enum pool_model model;
    unsigned flags;
    uint32_t concurrency; /* 0: no limit */
    uint32_t admitted;    /* runs of it that are pending, placed or started */
    struct drv_list waiting;
    double mean_us; /* moving average of run times; 0: none yet */
};

struct pool {
    struct zygote zygote;
    bool is_broken; /* the zygote is gone */
    const struct drv_log *log;
    bool drops_output;
    int64_t log_until_us; /* end of the second whose lines are counted */
    uint32_t lines_logged;
    uint64_t lines_dropped;
    char tmp_base[1024]; /* removed at the end, should the zygote not have */
    struct pool_type_entry *types;
    size_t type_count, type_capacity;
    uint32_t *sorted; /* numbers of types by name */

    struct crew crews[POOL_MODELS]; /* by model, see pool_crew */
    struct proc *procs;
    struct seat *seats;
    size_t proc_count, seat_count, slots, busy_count;
    size_t next_crew;        /* whose turn it is */
    int64_t idle_us;         /* a proc beyond the minimum is kept for; INT64_MAX: for ever */
    struct drv_list watched; /* seats, by watch_at_us */

    struct run **runs; /* owned; by the low half of the token; NULL: free */
    size_t runs_capacity, run_count;
    struct drv_pages pages;
    struct drv_slab run_slab;
    uint32_t last_type;      /* what pool_submit has found last */
    struct drv_list dropped; /* aborted before they started; reported by the next poll */
    struct drv_heap timers;
    uint64_t serial;

    int epoll_fd, call_fd;
    bool has_work;       /* poll again at once */
    bool must_place;     /* pool_commit has something to do */
    int64_t retry_at_us; /* INT64_MAX: nothing to be sent again */
    int64_t start_at_us; /* INT64_MAX: no start waits for its time */
    int64_t look_at_us;  /* INT64_MAX: nothing runs */
    int64_t trim_at_us;  /* INT64_MAX: no lane has memory that could go back */
    bool has_spare;      /* one has */

    const struct concealed *concealed; /* borrowed; NULL: executors are never outdated */
    uint64_t stamp;                    /* of its folders, when last looked at */
    int64_t stamp_at_us;               /* when to look again; INT64_MAX: never */
    int64_t stamp_wait_us;             /* so long after the last look */
    char *group_dir;                   /* owned; NULL: no control groups */
    struct drv_list limited;           /* struct run.limited */
    int64_t sample_at_us;              /* INT64_MAX: none of them */
    int proc_fd;                       /* owned: /proc; -1 before it is needed */
    struct drv_rng rng;
    struct drv_buffer record;

    pid_t *strangers; /* children this process had before */
    size_t stranger_count;
};

/* Where events go during one poll. */
struct pool_sink {
    pool_event_fn on_event;
    void *context;
};

static inline struct crew *pool_crew(struct pool *pool, enum pool_model model)
{
    return &pool->crews[model - POOL_MODEL_PREFORK];
}

static inline bool proc_is_up(const struct proc *proc)
{
    return proc->state == POOL_EXECUTOR_IDLE || proc->state == POOL_EXECUTOR_BUSY;
}

/* Whether it may get work. */
static inline bool proc_is_open(const struct proc *proc)
{
    return proc_is_up(proc) && !proc->is_doomed && !proc->is_spent &&
           (proc->crew->tasks_max == 0 || proc->given < proc->crew->tasks_max);
}

/* Whether it stands for several elements, or for one that is not known to have started. */
static inline bool run_is_many(const struct run *run)
{
    return run->is_range && !run->is_single;
}

/* ---- pool_range.c ---------------------------------------------------------------------------
 */

/* A range is looked at, having run for a while: an element that takes long is told, and loses
 * the rest; so does a range while executors are idle. */
void pool_range_look(struct pool *pool, struct seat *seat, struct run *run,
                     const struct pool_sink *sink, int64_t now_us);

/* Tells which element runs, and gives back what has not started. False: not now. */
bool pool_range_isolate(struct pool *pool, struct seat *seat, struct run *run,
                        const struct pool_sink *sink, int64_t now_us);

/* Its element in progress is about to be told as ended: nothing comes behind it. */
void pool_range_end(struct run *run, const struct pool_sink *sink);

/* A record of kind RANGE. False: it breaks the rules. */
bool pool_range_on_record(struct pool *pool, struct seat *seat, struct drv_view record,
                          const struct pool_sink *sink, int64_t now_us);

/* The process is gone: what is left of the run is the element that ran then, or nothing. */
void pool_range_bury(struct pool *pool, struct seat *seat, struct run *run,
                     const struct pool_sink *sink, int64_t now_us);

/* Less of a range that has not been placed: its first `keep` elements. */
void pool_range_shorten(struct run *run, uint32_t keep);

/* ---- pool_run.c -----------------------------------------------------------------------------
 */

/* Forgets a run that is in no list. */
void pool_run_free(struct pool *pool, struct run *run);

/* Takes a run out of the pending ones, or those that wait for the limit of their type. */
void pool_run_leave(struct pool *pool, struct run *run);

/* Sets what is due for a run, and when. */
void pool_run_set_timer(struct pool *pool, struct run *run, enum run_step step, int64_t due_us);

/* Stops a run as pool_abort does, for a reason. */
void pool_run_stop(struct pool *pool, struct run *run, enum run_stop why, uint64_t term_ms,
                   uint64_t kill_ms, int64_t now_us);

/* ---- pool_limit.c --------------------------------------------------------------------------
 */

/* It has started: from now on it is looked at. */
void pool_limit_begin(struct pool *pool, struct run *run, int64_t now_us);
/* Looks at those that are due, and stops what uses too much. */
void pool_limit_sample(struct pool *pool, int64_t now_us);
void pool_limit_end(struct pool *pool);
/* Words for what it has exceeded. */
void pool_limit_describe(const struct run *run, char *text, size_t size);
/* A failure that a limit explains becomes one of kind limit: the signal that the kernel sends,
 * or memory beyond it. oom_kills: in its control group. True when it was one; *out_code: which.
 */
bool pool_limit_explains(const struct run *run, uint32_t signal, uint64_t peak_rss_bytes,
                         uint64_t oom_kills, const char **out_code, char *text, size_t size);
/*
 * The same for a function that says that it ran out of memory (the code is the name of
 * DROVER_NOMEM): under a limit on memory that is the limit's doing, since the kernel refuses
 * what goes far beyond it (bound.h). What a command or another code means by failing, nobody
 * but its author knows.
 */
bool pool_limit_refused(const struct run *run, struct drv_view code, char *text, size_t size);
/* Adds to the words about a crash that a refusal of memory may be its reason, if it may. */
void pool_limit_hint(const struct run *run, uint32_t signal, char *text, size_t size);
/* Who kept them: enum drv_kept. */
uint32_t pool_limit_keeper(const struct run *run, bool is_grouped);

/* ---- pool_run.c again ----------------------------------------------------------------------
 */

/* It is known to run: STARTED, and nobody waits behind it. */
void pool_run_started(struct pool *pool, struct seat *seat, struct run *run,
                      const struct pool_sink *sink, int64_t now_us);

/* What is due: STARTED, timeouts, signals. */
void pool_run_timers(struct pool *pool, const struct pool_sink *sink, int64_t now_us);

/* Reports runs that were aborted before they started. */
void pool_report_dropped(struct pool *pool, const struct pool_sink *sink);

/* ---- pool_place.c ---------------------------------------------------------------------------
 */

/* Puts pending runs into rings as far as there is room, and starts executors for the rest. */
void pool_place(struct pool *pool, int64_t now_us);

/* The run that a seat is at, NULL: none. */
struct run *pool_head(const struct seat *seat);

/* Looks at a seat again after POOL_WATCH_US. */
void pool_watch(struct pool *pool, struct seat *seat, int64_t now_us);

/* Takes a run out of its seat, whose proc may thereby become idle, or end. It belongs to nobody
 * then. */
void pool_unseat(struct pool *pool, struct run *run, int64_t now_us);

/* Takes a placed run back: true, and it is in no list; false: it was taken. */
bool pool_revoke(struct pool *pool, struct run *run, int64_t now_us);

/* Takes back everything in the seat, or in all seats of the proc, that was not taken. */
void pool_take_back(struct pool *pool, struct seat *seat, int64_t now_us);
void pool_take_back_all(struct pool *pool, struct proc *proc, int64_t now_us);

/* ---- pool_proc.c ----------------------------------------------------------------------------
 */

void pool_proc_init(struct proc *proc, uint32_t number, struct crew *crew, struct seat *seats,
                    uint32_t first_seat);
void pool_proc_fini(struct pool *pool, struct proc *proc);

/* Whether it gets work has changed, or what is placed in one of its seats. */
void pool_proc_settle(struct pool *pool, struct proc *proc, int64_t now_us);

/* Starts what should run and does not. */
void pool_start_procs(struct pool *pool, int64_t now_us);

/* Ends procs that have been idle for long. */
void pool_shrink(struct pool *pool, int64_t now_us);

/* When pool_shrink has something to do; INT64_MAX: never. */
int64_t pool_shrink_at_us(const struct pool *pool);

/* Executors that cannot read what has come to be beside the worker's key since their start end
 * when they are idle (conceal.h). */
void pool_renew(struct pool *pool, int64_t now_us);

/* Ends a process and all below it; ZYGOTE_GONE follows. */
void pool_kill(struct pool *pool, struct proc *proc);

/* Replies of the zygote. CLOSED when it is gone. */
DROVER_MUST_USE drover_status pool_read_zygote(struct pool *pool, const struct pool_sink *sink,
                                               int64_t now_us);

/* Reports everything in the pool, when there is nothing left to run it. */
void pool_give_up(struct pool *pool, const struct pool_sink *sink, int64_t now_us);

/* ---- pool_output.c --------------------------------------------------------------------------
 */

void pool_output_init(struct output *output);
void pool_output_fini(struct output *output);

/* Pipes for a process that is to start; out_ends (owned by the caller, -1: none) are its. */
DROVER_MUST_USE drover_status pool_output_open(struct pool *pool, struct proc *proc,
                                               int out_ends[LANE_PIPES]);
void pool_output_close(struct pool *pool, struct proc *proc);

/* There is something in a pipe, or it has ended: to be called before the ring is read. */
void pool_output_note(struct proc *proc, bool has_ended);

/* After the ring: what was there belongs to what runs. */
void pool_output_read(struct pool *pool, struct proc *proc, const struct pool_sink *sink,
                      int64_t now_us);

/* The run ends, having printed so much. It must be the one that runs, or with threads one of
 * them; then what is there is read. */
void pool_output_settle(struct pool *pool, struct seat *seat, const struct run *run,
                        const uint64_t printed[LANE_PIPES], const struct pool_sink *sink,
                        int64_t now_us);

/* The process is gone: what it has left. */
void pool_output_drain(struct pool *pool, struct proc *proc, const struct pool_sink *sink,
                       int64_t now_us);

/* A line for the log; run may be NULL. */
void pool_log_line(struct pool *pool, const struct proc *proc, const struct run *run,
                   enum pool_stream stream, struct drv_view text, int64_t now_us);

/* ---- pool_read.c ----------------------------------------------------------------------------
 */

/* Announces that the agent will look at the ring only when it is called. */
void pool_arm(struct pool *pool, struct seat *seat);

/* Records of one seat, a bounded number of them. */
void pool_read_seat(struct pool *pool, struct seat *seat, const struct pool_sink *sink,
                    int64_t now_us);

/* What a seat is running; NULL: nothing. */
struct run *pool_running(const struct seat *seat);

/* The run that a record is about, if the executor may speak of it; else NULL. */
struct run *pool_run_of(const struct seat *seat, uint32_t claim, uint64_t serial);

/* How long `count` attempts of a type have taken together. */
void pool_learn_run_time(struct pool_type_entry *type, uint64_t run_us, uint32_t count);

/* The process ends when what runs in it has ended. why: a line for the log, static. */
void pool_retire(struct pool *pool, struct proc *proc, const char *why, int64_t now_us);

/* Sends an answer that found the ring full. */
void pool_send_answer(struct pool *pool, struct seat *seat, int64_t now_us);

/* Reports a run that has to be run again; one that was to be stopped has been. */
void pool_report_returned(struct pool *pool, struct run *run, enum pool_return how,
                          const struct pool_sink *sink);

/* Reports a run that ended with its executor and is charged with it. */
void pool_report_crash(struct pool *pool, struct run *run, const struct zygote_reply *gone,
                       const struct pool_sink *sink, int64_t now_us);

#endif
