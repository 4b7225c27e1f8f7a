/* local.c: see local.h. */
#include "local.h"

#include "bindir.h"
#include "check.h"
#include "clock.h"
#include "detached.h"
#include "keeper.h"
#include "local_spec.h"
#include "own.h"
#include "tmpdir.h"

#include <drover/drover.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLOSE_MS = 10 * 1000 }; /* patience with the end of the pool */

struct drv_local {
    int link;       /* to the keeper */
    int keeper;     /* its process descriptor; -1: not known yet, or there is none to have */
    pid_t pid;      /* of the keeper; 0: not known yet */
    char stage[64]; /* what the keeper waits for */
    char endpoint[KEEPER_TEXT_MAX];
};

const char *drv_local_endpoint(const struct drv_local *local)
{
    return local->endpoint;
}

pid_t drv_local_keeper(const struct drv_local *local)
{
    return local->pid;
}

/* A process descriptor; -1 where the kernel or its guards have none to give. */
static int open_process(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- from the keeper --------------------------------------------------------------------- */

static drover_status on_report(struct drv_local *local, struct keeper_report *report,
                               struct drv_problem *problem)
{
    report->text[sizeof(report->text) - 1] = '\0';
    local->pid = report->pid;
    if (local->keeper < 0) {
        local->keeper = open_process(report->pid);
    }
    if (report->version != DROVER_VERSION_NUMBER) {
        return drv_problem_set(problem, DROVER_VERSION,
                               "%s is of version %u.%u.%u, this library of %s", KEEPER_PROGRAM,
                               report->version >> 16, report->version >> 8 & 0xff,
                               report->version & 0xff, DROVER_VERSION_STRING);
    }
    switch (report->kind) {
    case KEEPER_STAGE:
        (void)snprintf(local->stage, sizeof(local->stage), "%.60s", report->text);
        return DROVER_NOT_READY;
    case KEEPER_READY:
        (void)snprintf(local->endpoint, sizeof(local->endpoint), "%s", report->text);
        return DROVER_OK;
    default:
        return drv_problem_set(
            problem, report->status != 0 ? (drover_status)report->status : DROVER_INTERNAL,
            "%s", report->text);
    }
}

/* OK: it serves. NOT_READY: it has nothing to say, or a stage. Else it failed or is gone. */
static drover_status receive(struct drv_local *local, struct drv_problem *problem)
{
    struct keeper_report report;
    ssize_t got;
    do {
        got = recv(local->link, &report, sizeof(report), MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof(report)) {
        return on_report(local, &report, problem);
    }
    if (got < 0 && errno == EAGAIN) {
        return DROVER_NOT_READY;
    }
    if (got > 0) {
        return drv_problem_set(problem, DROVER_VERSION,
                               "%s is of another version than this library, %s", KEEPER_PROGRAM,
                               DROVER_VERSION_STRING);
    }
    return drv_problem_set(problem, DROVER_UNAVAILABLE, "%s has ended", KEEPER_PROGRAM);
}

static drover_status await_ready(struct drv_local *local, int64_t deadline_us,
                                 struct drv_problem *problem)
{
    struct pollfd fd = {.fd = local->link, .events = POLLIN};
    for (;;) {
        drover_status status = receive(local, problem);
        if (status != DROVER_NOT_READY) {
            return status;
        }
        int64_t left_us = deadline_us - (int64_t)drv_clock_now_us();
        if (left_us <= 0) {
            return drv_problem_set(problem, DROVER_UNAVAILABLE,
                                   "the private pool was not ready in time, still waiting for "
                                   "%s",
                                   local->stage);
        }
        int64_t left_ms = left_us / 1000 + 1;
        (void)poll(&fd, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
    }
}

bool drv_local_has_ended(struct drv_local *local, struct drv_problem *problem)
{
    return receive(local, problem) != DROVER_NOT_READY;
}

/* ---- starting ---------------------------------------------------------------------------- */

/* What the keeper is to run. */
struct plan {
    struct local_spec spec;
    bool is_own; /* the worker is this very program */
    char directory[BINDIR_MAX];
    char keeper[BINDIR_MAX + 32];
    char broker[BINDIR_MAX + 32];
    char worker[BINDIR_MAX + 32];
};

static drover_status find_self(struct plan *plan, struct drv_problem *problem)
{
    ssize_t len = readlink("/proc/self/exe", plan->worker, sizeof(plan->worker) - 1);
    plan->worker[len > 0 ? len : 0] = '\0';
    if (len <= 0 || access(plan->worker, X_OK) != 0) {
        return drv_problem_set(problem, DROVER_UNAVAILABLE,
                               "this program cannot be started again as a worker: %s: %s",
                               plan->worker, strerror(errno));
    }
    return DROVER_OK;
}

static drover_status make_plan(struct plan *plan, const char *endpoint,
                               struct drv_problem *problem)
{
    static const char *const names[] = {KEEPER_PROGRAM, "drover-broker", "drover-worker"};
    drover_status status = local_spec_parse(endpoint, &plan->spec, problem);
    if (status != DROVER_OK) {
        return status;
    }
    plan->is_own = !plan->spec.has_load && drv_own_is_declared();
    if (!plan->is_own && !plan->spec.has_load && !plan->spec.has_commands) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "%s: nothing to run: name a module with ?load=FILE.so or a "
                               "command with ?allow-exec=CMD, or begin main with "
                               "drover_worker_main",
                               endpoint);
    }
    status = bindir_find(names, plan->is_own ? 2 : 3, plan->directory, problem);
    if (status != DROVER_OK) {
        return status;
    }
    (void)snprintf(plan->keeper, sizeof(plan->keeper), "%s/%s", plan->directory, names[0]);
    (void)snprintf(plan->broker, sizeof(plan->broker), "%s/%s", plan->directory, names[1]);
    (void)snprintf(plan->worker, sizeof(plan->worker), "%s/%s", plan->directory, names[2]);
    return plan->is_own ? find_self(plan, problem) : DROVER_OK;
}

/* The keeper with its two descriptors. */
static drover_status start_keeper(const struct plan *plan, int link, int caller)
{
    char link_text[16];
    char caller_text[16];
    const int keep[2] = {link, caller};
    char **arguments = calloc(KEEPER_OPTIONS + plan->spec.count + 1, sizeof(*arguments));
    if (arguments == NULL) {
        return DROVER_NOMEM;
    }
    (void)snprintf(link_text, sizeof(link_text), "%d", link);
    (void)snprintf(caller_text, sizeof(caller_text), "%d", caller);
    const char *const fixed[KEEPER_OPTIONS] = {
        [0] = KEEPER_PROGRAM,
        [KEEPER_LINK] = link_text,
        [KEEPER_CALLER] = caller_text,
        [KEEPER_OWN] = plan->is_own ? "own" : "worker",
        [KEEPER_LOG_LEVEL] = plan->spec.log_level,
        [KEEPER_TRANSPORT] = plan->spec.is_tcp ? "tcp" : "ipc",
        [KEEPER_DATA] = plan->spec.data != NULL ? plan->spec.data : "",
        [KEEPER_BROKER] = plan->broker,
        [KEEPER_WORKER] = plan->worker,
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(fixed); i++) {
        arguments[i] = (char *)(uintptr_t)fixed[i];
    }
    for (size_t i = 0; i < plan->spec.count; i++) {
        arguments[KEEPER_OPTIONS + i] = plan->spec.arguments[i];
    }
    drover_status status = drv_detached_start(plan->keeper, arguments, keep,
                                              caller >= 0 ? 2 : 1);
    free(arguments);
    return status;
}

static drover_status start(struct drv_local *local, const struct plan *plan,
                           struct drv_problem *problem)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return drv_problem_set(problem, DROVER_LIMIT, "socket: %s", strerror(errno));
    }
    local->link = ends[0];
    int caller = open_process(getpid());
    drover_status status = start_keeper(plan, ends[1], caller);
    (void)close(ends[1]);
    if (caller >= 0) {
        (void)close(caller);
    }
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "%s cannot be started: %s", plan->keeper,
                               drover_status_text(status));
    }
    return DROVER_OK;
}

drover_status drv_local_open(const char *endpoint, int64_t deadline_us,
                             struct drv_local **out_local, struct drv_problem *problem)
{
    struct drv_local *local = calloc(1, sizeof(*local));
    struct plan *plan = calloc(1, sizeof(*plan));
    drover_status status = DROVER_NOMEM;
    if (local == NULL || plan == NULL) {
        (void)drv_problem_set(problem, status, "out of memory");
        goto out;
    }
    local->link = -1;
    local->keeper = -1;
    (void)snprintf(local->stage, sizeof(local->stage), "%s", KEEPER_PROGRAM);
    status = make_plan(plan, endpoint, problem);
    if (status == DROVER_OK) {
        status = start(local, plan, problem);
    }
    if (status == DROVER_OK) {
        status = await_ready(local, deadline_us, problem);
    }
    if (status == DROVER_OK) {
        *out_local = local;
        local = NULL;
    }
out:
    drv_local_close(&local);
    if (plan != NULL) {
        local_spec_fini(&plan->spec);
    }
    free(plan);
    return status;
}

/* ---- letting go -------------------------------------------------------------------------- */

static void await_end(const struct drv_local *local)
{
    struct keeper_report report;
    struct pollfd fd = {.fd = local->link, .events = POLLIN};
    int64_t until_us = (int64_t)drv_clock_now_us() + CLOSE_MS * 1000;
    for (;;) {
        ssize_t got = recv(local->link, &report, sizeof(report), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return;
        }
        int64_t left_us = until_us - (int64_t)drv_clock_now_us();
        if (left_us <= 0) {
            return;
        }
        (void)poll(&fd, 1, (int)(left_us / 1000) + 1);
    }
}

/* A subreaper, or process 1, is given the keeper when that has lost its parent. */
static void reap_orphan(const struct drv_local *local)
{
    siginfo_t info;
    struct pollfd fd = {.fd = local->keeper, .events = POLLIN};
    if (local->keeper >= 0 && poll(&fd, 1, CLOSE_MS) > 0) {
        (void)waitid(P_PIDFD, (id_t)local->keeper, &info, WEXITED | WNOHANG);
    }
}

/* A keeper that was killed has left it. */
static void remove_directory(const struct drv_local *local)
{
    char path[KEEPER_TEXT_MAX];
    const char *scheme = "ipc://";
    if (strncmp(local->endpoint, scheme, strlen(scheme)) != 0) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s", local->endpoint + strlen(scheme));
    char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        *slash = '\0';
        (void)!drv_tmpdir_remove(path);
    }
}

void drv_local_close(struct drv_local **local)
{
    struct drv_local *gone = *local;
    *local = NULL;
    if (gone == NULL) {
        return;
    }
    if (gone->link >= 0) {
        (void)shutdown(gone->link, SHUT_WR);
        await_end(gone);
        (void)close(gone->link);
        reap_orphan(gone);
        remove_directory(gone);
    }
    if (gone->keeper >= 0) {
        (void)close(gone->keeper);
    }
    free(gone);
}
