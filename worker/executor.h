/*
 * executor.h: the process that runs attempts, one after the other.
 *
 *   ring ──read──> local queue ──claim──> handler ──> FINISHED ──ring──> agent
 *                     ^                      |
 *                     └── answers and shared values are picked out while a handler waits
 *
 * Executors of model prefork call functions of modules; those of model exec start commands and
 * look after them. Both are this loop; what differs is in model/.
 *
 * It leads a process group of its own, is a subreaper, dies with the zygote, has default signal
 * handling and no new privileges, /dev/null as stdin, and pipes to the agent as stdout and
 * stderr. It trusts the agent.
 */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "lane.h"
#include "module.h"

#include <poll.h>

struct executor_config { /* all borrowed for ever: the process never returns */
    const struct module_set *set;
    const struct pool_config *pool;
    const char *tmp_base; /* where an executor of commands makes its directory; "" for none */
    uint32_t slot;
    enum pool_model model;
    pid_t zygote;
    struct lane_ends ends;
    int output_fds[LANE_PIPES]; /* stdout, stderr */
};

/* What the child of the zygote runs. */
_Noreturn void executor_main(const struct executor_config *config);

/* ---- for job.c and model/: while an attempt runs --------------------------------------------
 */

struct executor;

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

/* Where this executor makes directories for its commands. */
const char *executor_tmp(const struct executor *executor);

/* Kills and reaps what the attempt has left, sparing persistent commands. Blocks. */
void executor_end_children(struct executor *executor);

#endif
