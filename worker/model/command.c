#include "model/command.h"

#include "bound.h"
#include "check.h"
#include "clock.h"
#include "conceal.h"
#include "group.h"
#include "model/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { READ_MAX = 64 * 1024 };

/* ---- environment --------------------------------------------------------------------------
 */

static const char *const DEFAULT_NAMES[] = {"PATH", "HOME",   "USER",     "LOGNAME", "SHELL",
                                            "LANG", "LC_ALL", "LC_CTYPE", "TZ",      "TMPDIR"};

/* What tasks may set when nothing is configured. */
static const char *const HARMLESS_NAMES[] = {"LANG", "LC_ALL", "LC_CTYPE", "TZ"};

void command_environment_fini(struct command_environment *environment)
{
    for (size_t i = 0; i < environment->count; i++) {
        free(environment->items[i]);
    }
    free(environment->items);
    *environment = (struct command_environment){0};
}

static char **find_variable(const struct command_environment *environment, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < environment->count; i++) {
        const char *item = environment->items[i];
        if (strncmp(item, name, len) == 0 && item[len] == '=') {
            return &environment->items[i];
        }
    }
    return NULL;
}

static bool make_room(struct command_environment *environment)
{
    if (environment->count + 2 <= environment->capacity) {
        return true;
    }
    size_t capacity = environment->capacity == 0 ? 16 : environment->capacity * 2;
    char **items = realloc(environment->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    environment->items = items;
    environment->capacity = capacity;
    return true;
}

drover_status command_environment_set(struct command_environment *environment, const char *name,
                                      const char *value)
{
    char *item;
    if (asprintf(&item, "%s=%s", name, value) < 0) {
        return DROVER_NOMEM;
    }
    char **old = find_variable(environment, name);
    if (old != NULL) {
        free(*old);
        *old = item;
        return DROVER_OK;
    }
    if (!make_room(environment)) {
        free(item);
        return DROVER_NOMEM;
    }
    environment->items[environment->count++] = item;
    environment->items[environment->count] = NULL;
    return DROVER_OK;
}

bool command_environment_allows(const struct pool_config *config, const char *name)
{
    /* What a task sets must not decide which code runs. */
    if (strcmp(name, "PATH") == 0 || strncmp(name, "LD_", 3) == 0) {
        return false;
    }
    const char *const *names = HARMLESS_NAMES;
    size_t count = DRV_ARRAY_LEN(HARMLESS_NAMES);
    if (config->environment != NULL) {
        names = config->environment;
        count = config->environment_count;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static drover_status pass_on(struct command_environment *environment, const char *const *names,
                             size_t count)
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) {
            status = command_environment_set(environment, names[i], value);
        }
    }
    return status;
}

drover_status command_environment_inherit(struct command_environment *environment,
                                          const struct pool_config *config,
                                          const char *const *more, size_t more_count)
{
    const char *const *names = DEFAULT_NAMES;
    size_t count = DRV_ARRAY_LEN(DEFAULT_NAMES);
    if (config->environment != NULL) {
        names = config->environment;
        count = config->environment_count;
    }
    drover_status status = pass_on(environment, names, count);
    return status ? status : pass_on(environment, more, more_count);
}

static bool is_set(const struct command_environment *environment, const char *name)
{
    char **found = find_variable(environment, name);
    return found != NULL;
}

drover_status command_become_user(struct command_environment *environment,
                                  const struct confine *confine, const char *directory)
{
    if (confine == NULL || confine->user == NULL) {
        return DROVER_OK;
    }
    const struct {
        const char *name, *value;
    } variables[] = {
        {"USER", confine->user_name}, {"LOGNAME", confine->user_name}, {"HOME", confine->home}};
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < DRV_ARRAY_LEN(variables); i++) {
        if (is_set(environment, variables[i].name) && variables[i].value != NULL) {
            status = command_environment_set(environment, variables[i].name,
                                             variables[i].value);
        }
    }
    if (!status && directory[0] != '\0' && chown(directory, confine->uid, confine->gid) != 0) {
        status = DROVER_IO;
    }
    return status;
}

/* ---- starting -----------------------------------------------------------------------------
 */

/* A relative path means the worker's directory, not the fresh one that the command runs in. */
static drover_status resolve_program(const char *program, char out_path[PATH_MAX])
{
    char directory[PATH_MAX] = "";
    bool is_relative = strchr(program, '/') != NULL && program[0] != '/';
    if (is_relative && getcwd(directory, sizeof(directory)) == NULL) {
        return DROVER_IO;
    }
    int len = snprintf(out_path, PATH_MAX, "%s%s%s", directory, is_relative ? "/" : "",
                       program);
    if (len < 0 || len >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return DROVER_IO;
    }
    return DROVER_OK;
}

struct launch { /* what the child needs between fork and exec */
    const struct command *command;
    const char *program;
    int fds[3];
    int report; /* closed by a successful exec, else gets errno */
    pid_t executor;
    bool must_join; /* its control group, in which it was not born */
};

static bool enter(const struct launch *launch)
{
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != launch->executor) {
        return false;
    }
    (void)signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++) {
        if (dup2(launch->fds[i], i) < 0) {
            return false;
        }
    }
    const struct command *command = launch->command;
    if (launch->must_join && !group_join(command->group_dir, command->group)) {
        return false;
    }
    if (command->limits != NULL) {
        bound_self(command->limits, true);
    }
    return chdir(command->cwd) == 0 &&
           (command->concealed == NULL || conceal_enter(command->concealed)) &&
           (command->confine == NULL ||
            confine_enter(command->confine, command->scratch, launch->executor));
}

static _Noreturn void launch_child(const struct launch *launch)
{
    if (enter(launch)) {
        (void)execvpe(launch->program, launch->command->argv,
                      launch->command->environment->items);
    }
    int why = errno;
    (void)!write(launch->report, &why, sizeof(why));
    _exit(127);
}

/* A fork of this process, which has one thread, into a control group: to be born there costs
 * nothing, where to move there holds up every fork of the system. -1: that cannot be had. The
 * child calls nothing that asks the library who it is. */
static pid_t fork_into(int group_fd)
{
    struct clone_args arguments = {.flags = CLONE_INTO_CGROUP,
                                   .exit_signal = SIGCHLD,
                                   .cgroup = (unsigned long long)(unsigned)group_fd};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static pid_t fork_child(struct launch *launch)
{
    const struct command *command = launch->command;
    int group_fd = command->group_dir != NULL ? group_open(command->group_dir, command->group)
                                              : -1;
    pid_t pid = group_fd >= 0 ? fork_into(group_fd) : -1;
    if (pid < 0) {
        launch->must_join = command->group_dir != NULL;
        pid = fork();
    }
    if (pid == 0) {
        launch_child(launch);
    }
    if (group_fd >= 0) {
        (void)close(group_fd);
    }
    return pid;
}

static drover_status collect_launch(pid_t pid, int report, int *out_errno)
{
    int why;
    ssize_t got;
    do {
        got = read(report, &why, sizeof(why));
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        return DROVER_OK;
    }
    (void)waitpid(pid, NULL, 0);
    *out_errno = got == (ssize_t)sizeof(why) ? why : EIO;
    return DROVER_IO;
}

/* Descriptors below 3 would be overwritten while they are being put in place. */
static int lift(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

drover_status command_start(const struct command *command, int stdin_fd, int stdout_fd,
                            int stderr_fd, pid_t *out_pid, int *out_errno)
{
    char program[PATH_MAX];
    int report[2] = {-1, -1};
    struct launch launch = {.command = command, .program = program, .executor = getpid()};
    *out_errno = 0;
    launch.fds[0] = lift(stdin_fd);
    launch.fds[1] = lift(stdout_fd);
    launch.fds[2] = lift(stderr_fd >= 0 ? stderr_fd : STDERR_FILENO);
    drover_status status = DROVER_IO;
    if (launch.fds[0] >= 0 && launch.fds[1] >= 0 && launch.fds[2] >= 0 &&
        !resolve_program(command->argv[0], program) && pipe2(report, O_CLOEXEC) == 0) {
        launch.report = report[1];
        pid_t pid = fork_child(&launch);
        if (pid > 0) {
            (void)setpgid(pid, pid);
            (void)close(report[1]);
            report[1] = -1;
            *out_pid = pid;
            status = collect_launch(pid, report[0], out_errno);
        }
    }
    if (status && *out_errno == 0) {
        *out_errno = errno;
    }
    int fds[] = {launch.fds[0], launch.fds[1], launch.fds[2], report[0], report[1]};
    for (size_t i = 0; i < DRV_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return status;
}

void command_terminate(pid_t pid)
{
    (void)kill(-pid, SIGTERM);
    (void)kill(-pid, SIGCONT);
}

/* ---- from input to last output --------------------------------------------------------------
 */

enum { FD_WAKE, FD_IN, FD_OUT, FD_ERR, FD_PID, FD_COUNT };

struct stream {
    struct executor *executor;
    struct command_run *run;
    struct pollfd fds[FD_COUNT]; /* fd -1: closed, which poll() skips */
    struct drv_view input;       /* not written yet */
    int64_t kill_at_us;          /* INT64_MAX: not due */
    bool is_reaped;              /* its pid may be someone else's */
    const char *group_dir;       /* NULL: it has no control group */
    uint32_t group;
    drover_status status;
};

static void close_end(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void end_by_force(struct stream *stream)
{
    if (!stream->is_reaped) {
        (void)kill(-stream->run->pid, SIGKILL);
        (void)kill(stream->run->pid, SIGKILL);
    }
    if (stream->group_dir != NULL) {
        group_kill(stream->group_dir, stream->group);
    }
    stream->kill_at_us = INT64_MAX;
}

static void write_input(struct stream *stream)
{
    struct pollfd *fd = &stream->fds[FD_IN];
    while (stream->input.len > 0) {
        ssize_t done = write(fd->fd, stream->input.bytes, stream->input.len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN) {
            return;
        }
        if (done < 0) { /* it does not want more */
            break;
        }
        stream->input = drv_view_of(stream->input.bytes + done,
                                    stream->input.len - (size_t)done);
    }
    close_end(&fd->fd);
}

struct drv_view command_tail(const struct drv_buffer *printed)
{
    size_t len = printed->len < COMMAND_STDERR_TAIL ? printed->len : COMMAND_STDERR_TAIL;
    return len == 0 ? drv_view_of(NULL, 0)
                    : drv_view_of(printed->bytes + printed->len - len, len);
}

/* Takes bytes off the front; those that were not told are missed. */
static void cut_front(struct command_output *output, size_t len)
{
    struct drv_buffer *bytes = &output->bytes;
    size_t untold = output->told < len ? len - output->told : 0;
    output->stream.missed += untold;
    output->told -= len - untold;
    memmove(bytes->bytes, bytes->bytes + len, bytes->len - len);
    bytes->len -= len;
}

static struct drv_view next_piece(const struct command_output *output)
{
    size_t left = output->bytes.len - output->told;
    return left == 0 ? drv_view_of(NULL, 0)
                     : drv_view_of(output->bytes.bytes + output->told,
                                   left < RECORD_OUTPUT_MAX ? left : RECORD_OUTPUT_MAX);
}

static void tell_output(struct stream *stream, struct command_output *output)
{
    struct drv_view piece = next_piece(output);
    while (piece.len > 0 && executor_print(stream->executor, &output->stream, piece)) {
        output->told += piece.len;
        piece = next_piece(output);
    }
}

static void tell_last(struct stream *stream, struct command_output *output)
{
    tell_output(stream, output);
    size_t left = output->bytes.len - output->told;
    if (left > COMMAND_STDERR_TAIL) {
        output->stream.missed += left - COMMAND_STDERR_TAIL;
        output->told += left - COMMAND_STDERR_TAIL;
    }
    executor_print_last(stream->executor, &output->stream, next_piece(output));
}

static void take_output(struct stream *stream, struct command_output *output,
                        const uint8_t *bytes, size_t len)
{
    struct command_run *run = stream->run;
    bool is_tail = output == &run->err && !run->keeps_stderr;
    if (!is_tail && len > run->output_max - output->bytes.len) {
        len = run->output_max - output->bytes.len;
        run->is_over_limit = true;
        end_by_force(stream);
    }
    if (drv_buffer_append(&output->bytes, bytes, len) != DROVER_OK) {
        stream->status = DROVER_NOMEM;
        end_by_force(stream);
    }
    tell_output(stream, output);
    if (is_tail && output->bytes.len > (size_t)2 * READ_MAX) {
        cut_front(output, output->bytes.len - COMMAND_STDERR_TAIL);
    }
}

/* Reads what is there, a bounded amount unless `all`. */
static void read_output(struct stream *stream, int which, bool all)
{
    uint8_t bytes[READ_MAX];
    struct command_output *output = which == FD_OUT ? &stream->run->out : &stream->run->err;
    int *fd = &stream->fds[which].fd;
    while (*fd >= 0) {
        ssize_t got = read(*fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            close_end(fd);
            return;
        }
        take_output(stream, output, bytes, (size_t)got);
        if (!all) {
            return;
        }
    }
}

static void obey_cancel(struct stream *stream)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (!stream->run->was_stopped &&
        executor_is_cancelled(stream->executor, stream->run->serial)) {
        stream->run->was_stopped = true;
        command_terminate(stream->run->pid);
        uint64_t kill_ms = executor_kill_ms(stream->executor);
        stream->kill_at_us = kill_ms < (uint64_t)(INT64_MAX - now_us) / 1000U
                                 ? now_us + (int64_t)kill_ms * 1000
                                 : INT64_MAX;
    }
    if (now_us >= stream->kill_at_us) {
        end_by_force(stream);
    }
}

static void pump(struct stream *stream)
{
    for (;;) {
        executor_wait(stream->executor, stream->run->was_stopped ? 0 : stream->run->serial,
                      stream->fds, FD_COUNT, stream->kill_at_us);
        if (stream->fds[FD_PID].revents != 0) {
            return;
        }
        obey_cancel(stream);
        if (stream->fds[FD_IN].revents != 0) {
            write_input(stream);
        }
        if (stream->fds[FD_OUT].revents != 0) {
            read_output(stream, FD_OUT, false);
        }
        if (stream->fds[FD_ERR].revents != 0) {
            read_output(stream, FD_ERR, false);
        }
    }
}

static struct timeval time_of(uint64_t us)
{
    return (struct timeval){.tv_sec = (time_t)(us / 1000000U),
                            .tv_usec = (suseconds_t)(us % 1000000U)};
}

/* What the group has counted, of those too that nobody has waited for; what is left in it goes
 * at once. The group itself goes when the last of them was reaped. */
static void close_group(struct stream *stream)
{
    struct command_run *run = stream->run;
    struct group_use use;
    if (stream->group_dir == NULL || !group_read(stream->group_dir, stream->group, &use)) {
        return;
    }
    run->is_grouped = true;
    run->oom_kills = use.oom_kills;
    run->usage.ru_utime = time_of(use.user_us);
    run->usage.ru_stime = time_of(use.system_us);
    group_kill(stream->group_dir, stream->group);
}

/* A group for what is about to start. Without one it runs as where there are none. */
static void open_group(struct stream *stream, struct command *command)
{
    uint32_t number;
    const char *dir = executor_pool_config(stream->executor)->group_dir;
    if (!executor_group(stream->executor, &number)) {
        return;
    }
    if (!group_make(dir, number) ||
        (command->limits != NULL && !group_limit(dir, number, command->limits))) {
        (void)fprintf(stderr, "executor: no control group: %s\n", strerror(errno));
        return;
    }
    command->group_dir = stream->group_dir = dir;
    command->group = stream->group = number;
}

static void collect(struct stream *stream)
{
    struct command_run *run = stream->run;
    while (wait4(run->pid, &run->wait_status, 0, &run->usage) < 0 && errno == EINTR) {
    }
    stream->is_reaped = true;
    close_group(stream);
    exec_end_children(stream->executor);
    read_output(stream, FD_OUT, true);
    read_output(stream, FD_ERR, true);
    tell_last(stream, &run->out);
    tell_last(stream, &run->err);
}

static void init_output(struct command_output *output, uint64_t serial, enum pool_stream stream)
{
    *output = (struct command_output){.stream = {.serial = serial, .stream = stream}};
    drv_buffer_init(&output->bytes);
}

static bool unblock(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

drover_status command_run(struct executor *executor, const struct command *command,
                          struct command_run *run)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    int err[2] = {-1, -1};
    struct stream stream = {
        .executor = executor, .run = run, .input = run->input, .kill_at_us = INT64_MAX};
    struct command start = *command;
    open_group(&stream, &start);
    init_output(&run->out, run->serial, POOL_STREAM_STDOUT);
    init_output(&run->err, run->serial, POOL_STREAM_STDERR);
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 ||
        !unblock(in[1]) || !unblock(out[0]) || !unblock(err[0])) {
        stream.status = DROVER_IO;
    } else if (command_start(&start, in[0], out[1], err[1], &run->pid, &run->start_errno) !=
               DROVER_OK) {
        run->pid = 0;
    }
    close_end(&in[0]);
    close_end(&out[1]);
    close_end(&err[1]);
    int pidfd = run->pid > 0 ? pidfd_open(run->pid, 0) : -1;
    if (pidfd >= 0) {
        int fds[FD_COUNT] = {-1, in[1], out[0], err[0], pidfd};
        for (size_t i = FD_IN; i < FD_COUNT; i++) {
            stream.fds[i] = (struct pollfd){.fd = fds[i],
                                            .events = i == FD_IN ? POLLOUT : POLLIN};
        }
        pump(&stream);
        collect(&stream);
        in[1] = stream.fds[FD_IN].fd;
        out[0] = stream.fds[FD_OUT].fd;
        err[0] = stream.fds[FD_ERR].fd;
        (void)close(pidfd);
    } else if (run->pid > 0) {
        end_by_force(&stream);
        (void)waitpid(run->pid, NULL, 0);
        stream.status = DROVER_IO;
    }
    close_end(&in[1]);
    close_end(&out[0]);
    close_end(&err[0]);
    if (stream.group_dir != NULL) { /* else the next one does it */
        (void)group_remove(stream.group_dir, stream.group);
    }
    return stream.status;
}

void command_run_fini(struct command_run *run)
{
    drv_buffer_fini(&run->out.bytes);
    drv_buffer_fini(&run->err.bytes);
}
