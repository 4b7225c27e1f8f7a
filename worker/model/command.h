/*
 * command.h: starting programs for attempts, and seeing one through from input to last output.
 *
 * A program gets a process group of its own, dies with its executor, has no new privileges, an
 * environment that was put together for it, and no descriptors but stdin, stdout, stderr. No
 * shell is involved. When it ends, whatever it has left running is ended before its output is
 * read to the end, so nothing outlives the attempt.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "buffer.h"
#include "executor.h"

#include <stdbool.h>
#include <sys/resource.h>

/* Variables of the form NAME=value. */
struct command_environment {
    char **items; /* owned, NULL-terminated once not empty */
    size_t count;
    size_t capacity;
};

void command_environment_fini(struct command_environment *environment);

/* Sets one variable, replacing one of that name. OK, NOMEM. */
DROVER_MUST_USE drover_status command_environment_set(struct command_environment *environment,
                                                      const char *name, const char *value);

/* Whether a task may set a variable: the configured names, or the locale and time zone when
 * none are configured; never PATH and LD_*. */
bool command_environment_allows(const struct pool_config *config, const char *name);

/* Passes on what the worker's list (and `more`, may be NULL) names and is set. OK, NOMEM. */
DROVER_MUST_USE drover_status command_environment_inherit(
    struct command_environment *environment, const struct pool_config *config,
    const char *const *more, size_t more_count);

/* For a command that another user runs: says so in the variables that name one, where they are
 * set, and gives it its directory ("": none). Nothing when it is the worker's own. OK, NOMEM,
 * IO. */
DROVER_MUST_USE drover_status command_become_user(struct command_environment *environment,
                                                  const struct confine *confine,
                                                  const char *directory);

struct command {
    char *const *argv; /* NULL-terminated; argv[0] is looked up in the worker's PATH */
    const struct command_environment *environment;
    const char *cwd;
    const struct confine *confine;     /* NULL: nothing but what holds for the executor */
    const char *scratch;               /* can be changed in any case; NULL: none */
    const struct concealed *concealed; /* a key that it must not read; NULL: none */
    const struct drv_bounds *limits;   /* NULL: none */
    const char *group_dir;             /* NULL: no control group; else it starts in this one */
    uint32_t group;
};

/*
 * Starts it with the given descriptors, which stay the caller's. stderr_fd -1: the executor's.
 * OK, or IO with *out_errno: the errno of fork, chdir, conceal_enter,
 * confine_enter or exec.
 */
DROVER_MUST_USE drover_status command_start(const struct command *command, int stdin_fd,
                                            int stdout_fd, int stderr_fd, pid_t *out_pid,
                                            int *out_errno);

enum { COMMAND_STDERR_TAIL = POOL_STDERR_MAX };

/* What it has printed into one pipe, and how much of that was told to the agent while it ran.
 */
struct command_output {
    struct drv_buffer bytes; /* owned, see command_run_fini */
    size_t told;             /* of bytes */
    struct executor_stream stream;
};

struct command_run {
    struct drv_view input; /* written to its stdin, as far as it reads */
    size_t output_max;     /* bytes of stdout; more ends it */
    bool keeps_stderr;     /* all of it, within output_max; else the tail only */
    uint64_t serial;       /* of the attempt, whose cancel it obeys */

    struct command_output out, err;
    pid_t pid; /* 0: it never ran, start_errno says why */
    int start_errno;
    int wait_status;
    struct rusage usage;
    bool was_stopped; /* got SIGTERM because of a cancel, before it ended */
    bool is_over_limit;
    bool is_grouped;    /* it ran in a control group, whose times are in `usage` */
    uint64_t oom_kills; /* there */
};

/*
 * Runs a command to its end. What it prints is streamed as well, as far as there is room: the
 * command never waits for that, and what is left at the end is cut to the last of it. On cancel
 * it gets SIGTERM, and SIGKILL executor_kill_ms later. All its processes are gone on return.
 * Blocks. OK (look at `run`), NOMEM, IO.
 */
DROVER_MUST_USE drover_status command_run(struct executor *executor,
                                          const struct command *command,
                                          struct command_run *run);
void command_run_fini(struct command_run *run);

/* SIGTERM to a process group, stopped or not. */
void command_terminate(pid_t pid);

/* The tail that goes into an error: at most COMMAND_STDERR_TAIL bytes. */
struct drv_view command_tail(const struct drv_buffer *printed);

#endif
