#include "zygote.h"

#include "check.h"
#include "clock.h"
#include "conceal.h"
#include "executor.h"
#include "group.h"
#include "model/model.h"
#include "module.h"
#include "proctree.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LANE_FDS = 3,                                       /* descriptors of a lane in a SPAWN */
    SHARED_FDS = LANE_PIPES + 1,                        /* the pipes, call */
    FDS_MAX = SHARED_FDS + LANE_FDS * POOL_THREADS_MAX, /* the kernel takes 253 */
    SETTLE_MS = 20,      /* between looks for remainders, besides SIGCHLD */
    STOP_MS = 10 * 1000, /* patience with a zygote that is to end */
};

enum request_kind { REQUEST_SPAWN = 1, REQUEST_SIGNAL, REQUEST_END };

struct request {
    uint32_t kind;
    uint32_t slot;
    int32_t pid;
    int32_t signal;
    uint32_t model;
};

/* ---- the agent's side ---------------------------------------------------------------------
 */

static drover_status send_request(struct zygote *zygote, const struct request *request,
                                  const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)request, .iov_len = sizeof(*request)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    while (sendmsg(zygote->control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) {
            return DROVER_BUSY;
        }
        if (errno != EINTR) {
            return DROVER_CLOSED;
        }
    }
    return DROVER_OK;
}

drover_status zygote_spawn(struct zygote *zygote, uint32_t slot, enum pool_model model,
                           const struct lane_ends *ends, size_t lane_count,
                           const int output_fds[LANE_PIPES])
{
    struct request request = {.kind = REQUEST_SPAWN, .slot = slot, .model = (uint32_t)model};
    int fds[FDS_MAX] = {output_fds[0], output_fds[1], ends[0].call_fd};
    DRV_ASSERT(lane_count >= 1 && lane_count <= POOL_THREADS_MAX);
    for (size_t i = 0; i < lane_count; i++) {
        int *of_lane = &fds[SHARED_FDS + LANE_FDS * i];
        of_lane[0] = ends[i].memory_fd;
        of_lane[1] = ends[i].wake_fd;
        of_lane[2] = ends[i].values_fd;
    }
    return send_request(zygote, &request, fds, SHARED_FDS + LANE_FDS * lane_count);
}

drover_status zygote_signal(struct zygote *zygote, uint32_t slot, pid_t pid, int signal)
{
    struct request request = {
        .kind = REQUEST_SIGNAL, .slot = slot, .pid = pid, .signal = signal};
    return send_request(zygote, &request, NULL, 0);
}

drover_status zygote_end(struct zygote *zygote, uint32_t slot, pid_t pid)
{
    struct request request = {.kind = REQUEST_END, .slot = slot, .pid = pid};
    return send_request(zygote, &request, NULL, 0);
}

drover_status zygote_receive(struct zygote *zygote, int timeout_ms,
                             struct zygote_reply *out_reply)
{
    struct pollfd fd = {.fd = zygote->control, .events = POLLIN};
    for (;;) {
        ssize_t got = recv(zygote->control, out_reply, sizeof(*out_reply), MSG_DONTWAIT);
        if (got == (ssize_t)sizeof(*out_reply)) {
            out_reply->text[sizeof(out_reply->text) - 1] = '\0';
            return DROVER_OK;
        }
        if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {
            return DROVER_CLOSED;
        }
        if (errno == EAGAIN && (timeout_ms == 0 || poll(&fd, 1, timeout_ms) == 0)) {
            return DROVER_NOT_READY;
        }
    }
}

static bool has_ended(pid_t pid)
{
    pid_t got;
    do {
        got = waitpid(pid, NULL, WNOHANG);
    } while (got < 0 && errno == EINTR);
    return got != 0;
}

void zygote_stop(struct zygote *zygote)
{
    if (zygote->control < 0) {
        return;
    }
    struct zygote_reply reply;
    (void)shutdown(zygote->control, SHUT_WR);
    uint64_t until_ms = drv_clock_now_ms() + STOP_MS;
    /* Its last replies are read until the socket ends, which it does when the process does. */
    while (drv_clock_now_ms() < until_ms) {
        if (zygote_receive(zygote, SETTLE_MS, &reply) == DROVER_CLOSED) {
            break;
        }
    }
    while (drv_clock_now_ms() < until_ms && !has_ended(zygote->pid)) {
        (void)poll(NULL, 0, 1);
    }
    if (drv_clock_now_ms() >= until_ms) {
        (void)kill(zygote->pid, SIGKILL);
        (void)waitpid(zygote->pid, NULL, 0);
    }
    (void)close(zygote->control);
    zygote->control = -1;
}

/* ---- the zygote itself --------------------------------------------------------------------
 */

struct child {
    pid_t pid;       /* 0: none */
    bool is_clean;   /* leaves nothing behind */
    bool is_dying;   /* reaped, and remainders are looked for */
    int wait_status; /* once reaped */
    struct rusage usage;
};

struct self {
    int control;
    int signals; /* signalfd */
    pid_t agent;
    const struct pool_config *config;
    struct module_set set;
    char tmp_base[DRV_TMPDIR_PATH_MAX]; /* "" without commands */
    struct child *children;             /* by slot */
    size_t slots;
    int rules;            /* that keep functions from the key; -1: none */
    uint64_t rules_stamp; /* what they were made for */
};

static void reply(struct self *self, struct zygote_reply *message)
{
    while (send(self->control, message, sizeof(*message), MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

static bool is_executor(void *context, pid_t pid)
{
    const struct self *self = context;
    for (size_t i = 0; i < self->slots; i++) {
        if (self->children[i].pid == pid && !self->children[i].is_dying) {
            return true;
        }
    }
    return false;
}

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000U + (uint64_t)time.tv_usec;
}

static bool has_groups(const struct self *self)
{
    return self->config->group_dir != NULL && self->config->group_dir[0] != '\0';
}

/* All that is in the group of a slot, at once. */
static void kill_group(const struct self *self, size_t slot)
{
    if (has_groups(self)) {
        group_kill(self->config->group_dir, (uint32_t)slot);
    }
}

/* What its group has counted, which goes with it. One that cannot be removed yet is ended and
 * removed by who makes the next. */
static void close_group(const struct self *self, struct zygote_reply *message)
{
    struct group_use use;
    const char *dir = self->config->group_dir;
    if (!has_groups(self) || !group_read(dir, message->slot, &use)) {
        return;
    }
    message->is_grouped = 1;
    message->oom_kills = use.oom_kills;
    group_kill(dir, message->slot);
    (void)group_remove(dir, message->slot);
}

static void report_gone(struct self *self, size_t slot)
{
    struct child *child = &self->children[slot];
    struct zygote_reply message = {
        .kind = ZYGOTE_GONE,
        .slot = (uint32_t)slot,
        .pid = child->pid,
        .wait_status = child->wait_status,
        .user_us = micros(child->usage.ru_utime),
        .system_us = micros(child->usage.ru_stime),
        .peak_rss_bytes = (uint64_t)child->usage.ru_maxrss * 1024U,
    };
    *child = (struct child){0};
    close_group(self, &message);
    reply(self, &message);
}

static void reap(struct self *self)
{
    int status;
    struct rusage usage;
    for (;;) {
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid <= 0) {
            return;
        }
        for (size_t i = 0; i < self->slots; i++) {
            struct child *child = &self->children[i];
            if (child->pid == pid && !child->is_dying) {
                child->is_dying = true;
                child->wait_status = status;
                child->usage = usage;
                kill_group(self, i); /* the remainders */
                if (child->is_clean) {
                    report_gone(self, i);
                }
            }
        }
    }
}

/* Ends the remainders of dead executors. Returns whether some are still being waited for. */
static bool settle(struct self *self)
{
    size_t dying = 0;
    for (size_t i = 0; i < self->slots; i++) {
        dying += self->children[i].is_dying ? 1 : 0;
    }
    if (dying == 0) {
        return false;
    }
    if (drv_proctree_kill_children(is_executor, self) > 0) {
        return true;
    }
    for (size_t i = 0; i < self->slots; i++) {
        if (self->children[i].is_dying) {
            report_gone(self, i);
        }
    }
    return false;
}

static _Noreturn void become_executor(struct self *self, const struct request *request,
                                      const int *fds, size_t fd_count, pid_t zygote)
{
    struct lane_ends ends[POOL_THREADS_MAX];
    struct executor_config config = {
        .set = &self->set,
        .pool = self->config,
        .tmp_base = self->tmp_base,
        .slot = request->slot,
        .model = model_of((enum pool_model)request->model),
        .zygote = zygote,
        .ends = ends,
        .lane_count = (fd_count - SHARED_FDS) / LANE_FDS,
        .output_fds = {fds[0], fds[1]},
        .rules = self->rules,
    };
    for (size_t i = 0; i < config.lane_count; i++) {
        const int *of_lane = &fds[SHARED_FDS + LANE_FDS * i];
        ends[i] = (struct lane_ends){.memory_fd = of_lane[0],
                                     .wake_fd = of_lane[1],
                                     .call_fd = fds[2],
                                     .values_fd = of_lane[2]};
    }
    (void)close(self->control);
    (void)close(self->signals);
    executor_main(&config);
}

/* An executor that finds none ends, and says so. */
static void renew_rules(struct self *self)
{
    const struct concealed *key = self->config->concealed;
    if (key == NULL) {
        return;
    }
    uint64_t stamp = conceal_stamp(key);
    if (self->rules >= 0 && self->rules_stamp == stamp) {
        return;
    }
    if (self->rules >= 0) {
        (void)close(self->rules);
    }
    self->rules = conceal_rules(key);
    self->rules_stamp = stamp;
}

static void spawn(struct self *self, const struct request *request, const int *fds,
                  size_t fd_count)
{
    pid_t zygote = getpid();
    renew_rules(self);
    pid_t pid = fork();
    if (pid == 0) {
        become_executor(self, request, fds, fd_count, zygote);
    }
    struct zygote_reply message = {.kind = ZYGOTE_SPAWNED, .slot = request->slot};
    if (pid < 0) {
        message.wait_status = errno;
    } else {
        (void)setpgid(pid, pid); /* it does so too: whoever comes first */
        message.pid = pid;
        self->children[request->slot] = (struct child){.pid = pid};
    }
    reply(self, &message);
}

static void serve(struct self *self, const struct request *request, const int *fds,
                  size_t fd_count)
{
    if (request->slot >= self->slots) {
        return;
    }
    struct child *child = &self->children[request->slot];
    bool is_alive = child->pid > 0 && child->pid == request->pid && !child->is_dying;
    if (request->kind == REQUEST_SPAWN && fd_count >= SHARED_FDS + LANE_FDS &&
        child->pid == 0) {
        spawn(self, request, fds, fd_count);
    } else if (request->kind == REQUEST_END && is_alive) {
        child->is_clean = true;
        (void)kill(child->pid, SIGKILL);
    } else if (request->kind == REQUEST_SIGNAL && is_alive) {
        (void)kill(-child->pid, request->signal);
        if (request->signal == SIGKILL) {
            (void)kill(child->pid, SIGKILL); /* in case it has left its own group */
            kill_group(self, request->slot);
        } else {
            (void)kill(-child->pid, SIGCONT); /* a stopped process sees no SIGTERM */
        }
    }
}

/* One request; false when the agent is gone. */
static bool receive(struct self *self)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct request request;
    struct iovec part = {.iov_base = &request, .iov_len = sizeof(request)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t got = recvmsg(self->control, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (got != (ssize_t)sizeof(request)) {
        return false;
    }
    int fds[FDS_MAX];
    size_t fd_count = 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
        fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(header), fd_count * sizeof(int));
    }
    serve(self, &request, fds, fd_count);
    for (size_t i = 0; i < fd_count; i++) {
        (void)close(fds[i]);
    }
    return true;
}

static _Noreturn void end(struct self *self)
{
    drv_proctree_end_children(NULL, NULL);
    if (self->tmp_base[0] != '\0') {
        (void)!drv_tmpdir_remove(self->tmp_base);
    }
    _exit(0);
}

static void drain_signals(struct self *self)
{
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    }
}

static _Noreturn void run(struct self *self)
{
    struct pollfd fds[2] = {{.fd = self->control, .events = POLLIN},
                            {.fd = self->signals, .events = POLLIN}};
    bool is_settling = false;
    for (;;) {
        (void)poll(fds, 2, is_settling ? SETTLE_MS : -1);
        drain_signals(self);
        if (getppid() != self->agent) {
            end(self);
        }
        reap(self);
        is_settling = settle(self);
        if (fds[0].revents != 0 && !receive(self)) {
            end(self);
        }
    }
}

static drover_status make_tmp_base(struct self *self, struct drv_problem *problem)
{
    if (self->config->command_count == 0 && self->config->allow_exec_count == 0) {
        return DROVER_OK;
    }
    const char *parent = self->config->tmp_dir;
    if (parent == NULL) {
        parent = getenv("TMPDIR");
    }
    if (parent == NULL || parent[0] != '/') {
        parent = "/tmp";
    }
    drover_status status = drv_tmpdir_new(parent, "drover-worker-", self->tmp_base);
    if (!status && chmod(self->tmp_base, 0711) != 0) { /* other users' are below it */
        status = DROVER_IO;
    }
    if (status) {
        return drv_problem_set(problem, status, "temporary directory in %s: %s", parent,
                               status == DROVER_IO ? strerror(errno) : "path too long");
    }
    return DROVER_OK;
}

static drover_status prepare(struct self *self, struct drv_problem *problem)
{
    drover_status status = module_set_load(&self->set, self->config, problem);
    if (status) {
        return status;
    }
    self->children = calloc(self->slots, sizeof(*self->children));
    if (self->children == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    return make_tmp_base(self, problem);
}

static void announce(struct self *self)
{
    for (size_t i = 0; i < self->set.count; i++) {
        const struct module_handler *handler = &self->set.handlers[i];
        struct zygote_reply message = {.kind = ZYGOTE_TYPE,
                                       .model = (uint32_t)handler->model,
                                       .concurrency = handler->concurrency,
                                       .flags = handler->flags};
        (void)snprintf(message.text, sizeof(message.text), "%s", handler->type);
        reply(self, &message);
    }
    struct zygote_reply message = {.kind = ZYGOTE_READY};
    (void)snprintf(message.text, sizeof(message.text), "%s", self->tmp_base);
    reply(self, &message);
}

/* Own process group (the terminal's signals are for the agent), no stdin, nothing that the
 * agent had open but stderr. */
static bool detach(struct self *self)
{
    sigset_t all;
    sigset_t wanted;
    (void)sigfillset(&all);
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    if (sigprocmask(SIG_SETMASK, &all, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        getppid() != self->agent || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return false;
    }
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "drover-zygote");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return false;
    }
    int control = fcntl(self->control, F_DUPFD_CLOEXEC, 3);
    if (control < 0 || dup2(control, 3) < 0) {
        return false;
    }
    self->control = 3;
    (void)fcntl(self->control, F_SETFD, FD_CLOEXEC);
    (void)close_range(4, ~0U, 0);
    self->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->signals >= 0;
}

static _Noreturn void zygote_main(struct self *self)
{
    struct drv_problem problem = {.text = ""};
    if (!detach(self)) {
        _exit(1);
    }
    drover_status status = prepare(self, &problem);
    if (status) {
        struct zygote_reply message = {.kind = ZYGOTE_FAILED, .status = (uint32_t)status};
        (void)snprintf(message.text, sizeof(message.text), "%s", problem.text);
        reply(self, &message);
        _exit(1);
    }
    /* From here on the agent's death is ours to handle: everything below has to end first. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    announce(self);
    run(self);
}

drover_status zygote_start(struct zygote *zygote, const struct pool_config *config,
                           size_t slots)
{
    int sockets[2];
    *zygote = (struct zygote){.control = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return DROVER_IO;
    }
    struct self self = {.control = sockets[1],
                        .agent = getpid(),
                        .config = config,
                        .slots = slots,
                        .rules = -1};
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(sockets[0]);
        zygote_main(&self);
    }
    (void)close(sockets[1]);
    if (pid < 0) {
        (void)close(sockets[0]);
        return DROVER_IO;
    }
    zygote->pid = pid;
    zygote->control = sockets[0];
    return DROVER_OK;
}
