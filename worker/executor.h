/*
 * executor.h: the process that runs attempts, one after the other in each of its threads.
 *
 *   ring ──read──> local queue ──claim──> handler ──> FINISHED ──ring──> agent
 *                     ^                      |
 *                     └── answers and shared values are picked out while a handler waits
 *
 * What the models have in common; what differs is in model/. An executor here is one thread
 * with its lane; most processes have one.
 *
 * The process leads a process group of its own, is a subreaper, dies with the zygote, has
 * default signal handling and no new privileges, /dev/null as stdin, and pipes to the agent as
 * stdout and stderr. It trusts the agent.
 */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "lane.h"
#include "module.h"

#include <poll.h>

struct model;
struct executor;

struct executor_config { /* all borrowed for ever: the process never returns */
    const struct module_set *set;
    const struct pool_config *pool;
    const char *tmp_base; /* where an executor of commands makes its directory; "" for none */
    uint32_t slot;
    const struct model *model;
    pid_t zygote;
    const struct lane_ends *ends; /* of each thread */
    size_t lane_count;
    int output_fds[LANE_PIPES]; /* stdout, stderr */
    int rules;                  /* that keep functions from the key (conceal.h); -1: none */
};

/* What the child of the zygote runs. */
_Noreturn void executor_main(const struct executor_config *config);

/* Ends the process, which cannot go on; the agent sees it as a crash with this text as stderr.
 */
_Noreturn void executor_die(const char *why);

/* ---- for model/: serving -------------------------------------------------------------------
 */

/* What the threads of a process share. */
struct executor_process {
    const struct executor_config *config;
    _Atomic bool is_spent; /* takes nothing more: too big */
};

void executor_process_init(struct executor_process *process,
                           const struct executor_config *config);

/* Runs the attempts of one lane for ever. state: the model's own, see executor_state;
 * *out_executor is set before the first attempt; NULL: not wanted. */
_Noreturn void executor_serve(struct executor_process *process, size_t lane, void *state,
                              struct executor **out_executor);

/* A process with one lane and no state. */
void executor_serve_alone(const struct executor_config *config);

/* Writes down that what runs here is to blame for the end of the process. Safe in signal
 * handlers. */
void executor_blame(struct executor *executor);

/* ---- for job.c and model/: while an attempt runs --------------------------------------------
 */

/* Whether the attempt with this serial is to stop; false for 0. */
bool executor_is_cancelled(const struct executor *executor, uint64_t serial);

/* Milliseconds from SIGTERM to SIGKILL that the agent has asked for with the cancel. */
uint64_t executor_kill_ms(const struct executor *executor);

/*
 * Blocks until the attempt is to stop, an answer has come, a descriptor is ready, or until_us
 * is reached (INT64_MAX: never). fds[0] belongs to this function; the others are the caller's,
 * with `count` over all.
 */
void executor_wait(struct executor *executor, uint64_t serial, struct pollfd *fds, size_t count,
                   int64_t until_us);

/* Sends a record that may be dropped: it is when the ring is half full. False: dropped. */
bool executor_tell(struct executor *executor, const struct lane_record *record);

/* One stream of an attempt on its way to the agent. */
struct executor_stream {
    uint64_t serial;
    enum pool_stream stream;
    uint64_t missed; /* bytes dropped since the last that were sent */
};

/* Sends bytes (at most RECORD_OUTPUT_MAX) as they are, all or none: false when there is no room
 * now. Never blocks. */
bool executor_print(struct executor *executor, struct executor_stream *stream,
                    struct drv_view bytes);

/* Sends them, blocking for room: for the last of a stream. Empty bytes only say what was
 * missed, if anything was. */
void executor_print_last(struct executor *executor, struct executor_stream *stream,
                         struct drv_view bytes);

struct executor_answer {
    drover_status status;
    int64_t number;
    drover_value *value; /* owned by the receiver; NULL: none */
};

/*
 * Sends a request (its serial, op, numbers filled in) and waits for the answer of the broker.
 * OK with *out_answer, TIMEOUT, CANCELLED, TOO_BIG, NOMEM, IO.
 */
DROVER_MUST_USE drover_status executor_ask(struct executor *executor, struct record_kv *request,
                                           struct drv_view key, const drover_value *value,
                                           struct executor_answer *out_answer);

const struct pool_config *executor_pool_config(const struct executor *executor);

/* Whether there are control groups, and the number of that of this executor, or of what it
 * starts. */
bool executor_has_groups(const struct executor_config *config);
bool executor_group(const struct executor *executor, uint32_t *out_number);

/* Resident memory of a process, 0: of this one; 0 when it cannot be known. */
uint64_t executor_resident_bytes(pid_t pid);

/* What executor_serve got. */
void *executor_state(const struct executor *executor);

#endif
