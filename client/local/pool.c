/* pool.c: see pool.h. */
#include "pool.h"

#include "child.h"
#include "clock.h"
#include "own.h"
#include "proctree.h"
#include "tmpdir.h"

#include <drover/drover.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "drover-local-"
#define CLIENTS "clients" /* names of the sockets */
#define WORKERS "workers"
#define IPC "ipc://"
#define TCP "tcp://127.0.0.1:*"

enum {
    SOCKET_PATH_MAX = 107, /* the system's bound on the path of a unix socket */
    END_MS = 5 * 1000,     /* how long the worker's own processes may take to clean up */
    SETTLE_MS = 10,
};

struct pool {
    struct pool_ends ends;
    char *const *arguments; /* keeper.h */
    size_t argument_count;
    char directory[DRV_TMPDIR_PATH_MAX]; /* "": none */
    char bind[DRV_TMPDIR_PATH_MAX + 64]; /* options of the broker */
    char bind_workers[DRV_TMPDIR_PATH_MAX + 64];
    char connect[DRV_TMPDIR_PATH_MAX + 64]; /* of the worker */
    char log_level[64];                     /* of both */
    struct child broker;
    struct child worker;
    bool is_told;  /* READY was sent */
    bool is_ended; /* nothing more is to be done but to end it */
};

/* ---- to the caller ----------------------------------------------------------------------- */

static void report(const struct pool *pool, enum keeper_report_kind kind, drover_status status,
                   const char *text)
{
    struct keeper_report message = {.version = DROVER_VERSION_NUMBER,
                                    .kind = kind,
                                    .status = (uint32_t)status,
                                    .pid = getpid()};
    (void)snprintf(message.text, sizeof(message.text), "%s", text);
    (void)send(pool->ends.link, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void fail(struct pool *pool, drover_status status, const char *text)
{
    if (!pool->is_ended) {
        pool->is_ended = true;
        report(pool, KEEPER_FAILED, status, text);
    }
}

/* ---- starting ---------------------------------------------------------------------------- */

/* In $TMPDIR, unless the sockets' paths would become too long there. */
static drover_status make_directory(struct pool *pool)
{
    const char *parent = getenv("TMPDIR");
    size_t tail = strlen("/" PREFIX "XXXXXX/" CLIENTS);
    drover_status status = DROVER_IO;
    if (parent != NULL && parent[0] == '/' && strlen(parent) + tail <= SOCKET_PATH_MAX) {
        status = drv_tmpdir_new(parent, PREFIX, pool->directory);
    }
    if (status != DROVER_OK) {
        status = drv_tmpdir_new("/tmp", PREFIX, pool->directory);
    }
    if (status != DROVER_OK) {
        pool->directory[0] = '\0';
    }
    return status;
}

static void start_broker(struct pool *pool)
{
    char memory[] = "--memory";
    char no_http[] = "--no-http";
    char data_option[] = "--data";
    char *data = pool->arguments[KEEPER_DATA];
    bool is_kept = data[0] != '\0';
    char name[] = "drover-broker";
    bool is_tcp = strcmp(pool->arguments[KEEPER_TRANSPORT], "tcp") == 0;
    (void)snprintf(pool->bind, sizeof(pool->bind), "--bind=%s%s%s", is_tcp ? TCP : IPC,
                   is_tcp ? "" : pool->directory, is_tcp ? "" : "/" CLIENTS);
    (void)snprintf(pool->bind_workers, sizeof(pool->bind_workers), "--bind-workers=%s%s%s",
                   is_tcp ? TCP : IPC, is_tcp ? "" : pool->directory,
                   is_tcp ? "" : "/" WORKERS);
    char *const arguments[] = {name,
                               pool->bind,
                               pool->bind_workers,
                               pool->log_level,
                               no_http,
                               is_kept ? data_option : memory,
                               is_kept ? data : NULL,
                               NULL};
    report(pool, KEEPER_STAGE, DROVER_OK, "the broker");
    if (child_start(&pool->broker, pool->arguments[KEEPER_BROKER], arguments, NULL) !=
        DROVER_OK) {
        fail(pool, DROVER_LIMIT, "no more processes or file descriptors");
    }
}

static void start_worker(struct pool *pool)
{
    size_t options = pool->argument_count - KEEPER_OPTIONS;
    bool is_own = strcmp(pool->arguments[KEEPER_OWN], "own") == 0;
    char **arguments = calloc(options + 4, sizeof(*arguments));
    char endpoint[DRV_TMPDIR_PATH_MAX + 16];
    child_ready_value(&pool->broker, "worker_endpoint", endpoint, sizeof(endpoint));
    (void)snprintf(pool->connect, sizeof(pool->connect), "--broker=%s", endpoint);
    if (arguments != NULL) {
        arguments[0] = pool->arguments[KEEPER_WORKER];
        arguments[1] = pool->connect;
        arguments[2] = pool->log_level; /* a later one counts more */
        for (size_t i = 0; i < options; i++) {
            arguments[3 + i] = pool->arguments[KEEPER_OPTIONS + i];
        }
    }
    report(pool, KEEPER_STAGE, DROVER_OK, "the worker");
    if (arguments == NULL ||
        child_start(&pool->worker, pool->arguments[KEEPER_WORKER], arguments,
                    is_own ? DRV_OWN_MARK : NULL) != DROVER_OK) {
        fail(pool, DROVER_LIMIT, "no more processes, memory or file descriptors");
    }
    free(arguments);
}

/* ---- serving ----------------------------------------------------------------------------- */

static void on_words(struct pool *pool)
{
    child_read_out(&pool->broker);
    child_read_out(&pool->worker);
    child_read_err(&pool->broker);
    child_read_err(&pool->worker);
    if (pool->broker.is_ready && pool->worker.pid == 0 && !pool->is_ended) {
        start_worker(pool);
    }
    if (pool->worker.is_ready && !pool->is_told) {
        char endpoint[KEEPER_TEXT_MAX];
        child_ready_value(&pool->broker, "endpoint", endpoint, sizeof(endpoint));
        pool->is_told = true;
        report(pool, KEEPER_READY, DROVER_OK, endpoint);
    }
}

static void on_end_of(struct pool *pool, struct child *child, int wait_status)
{
    char text[KEEPER_TEXT_MAX];
    child->pid = 0;
    drover_status status = child_explain(child, wait_status, text, sizeof(text));
    fail(pool, pool->is_told ? DROVER_UNAVAILABLE : status, text);
}

static void reap(struct pool *pool)
{
    int wait_status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        if (pid == pool->broker.pid) {
            on_end_of(pool, &pool->broker, wait_status);
        } else if (pid == pool->worker.pid) {
            on_end_of(pool, &pool->worker, wait_status);
        } else {
            /* it has lost its parent and came to us */
        }
    }
}

static void on_signals(struct pool *pool)
{
    struct signalfd_siginfo info;
    while (read(pool->ends.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) {
            fail(pool, DROVER_UNAVAILABLE, "drover-local was told to end by a signal");
        }
    }
    reap(pool);
}

/* Whether the caller has let go of the link. It says nothing else there. */
static bool has_let_go(const struct pool *pool)
{
    char nothing;
    ssize_t got = recv(pool->ends.link, &nothing, sizeof(nothing), MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static void show_words(struct pool *pool)
{
    if (child_has_words(&pool->broker)) {
        child_show(&pool->broker);
    }
    if (child_has_words(&pool->worker)) {
        child_show(&pool->worker);
    }
}

static void serve(struct pool *pool)
{
    enum { LINK, CALLER, SIGNALS, BROKER_OUT, BROKER_ERR, WORKER_OUT, WORKER_ERR, STDERR, ALL };
    while (!pool->is_ended) {
        bool has_words = child_has_words(&pool->broker) || child_has_words(&pool->worker);
        struct pollfd fds[ALL] = {
            [LINK] = {.fd = pool->ends.link, .events = POLLIN},
            [CALLER] = {.fd = pool->ends.caller, .events = POLLIN},
            [SIGNALS] = {.fd = pool->ends.signals, .events = POLLIN},
            [BROKER_OUT] = {.fd = pool->broker.out, .events = POLLIN},
            [BROKER_ERR] = {.fd = child_wants_err(&pool->broker) ? pool->broker.err : -1,
                            .events = POLLIN},
            [WORKER_OUT] = {.fd = pool->worker.out, .events = POLLIN},
            [WORKER_ERR] = {.fd = child_wants_err(&pool->worker) ? pool->worker.err : -1,
                            .events = POLLIN},
            [STDERR] = {.fd = has_words ? STDERR_FILENO : -1, .events = POLLOUT},
        };
        (void)poll(fds, ALL, -1);
        if ((fds[LINK].revents != 0 && has_let_go(pool)) || fds[CALLER].revents != 0) {
            return;
        }
        on_words(pool);
        if (fds[STDERR].revents != 0) {
            show_words(pool);
        }
        if (fds[SIGNALS].revents != 0) {
            on_signals(pool);
        }
    }
}

/* ---- ending ------------------------------------------------------------------------------ */

static void end(struct pool *pool)
{
    uint64_t until_ms = drv_clock_now_ms() + END_MS;
    struct pollfd fd = {.fd = pool->ends.signals, .events = POLLIN};
    if (pool->worker.pid > 0) {
        (void)kill(pool->worker.pid, SIGKILL);
    }
    if (pool->broker.pid > 0) {
        (void)kill(pool->broker.pid, SIGKILL);
    }
    /* What was below the worker's agent ends with it, cleans up, and comes to us meanwhile. */
    while (waitpid(-1, NULL, WNOHANG) >= 0 || errno == EINTR) {
        struct signalfd_siginfo info;
        if (drv_clock_now_ms() >= until_ms) {
            break;
        }
        (void)poll(&fd, 1, SETTLE_MS);
        while (read(pool->ends.signals, &info, sizeof(info)) > 0) {
        }
    }
    drv_proctree_end_children(NULL, NULL);
    if (pool->directory[0] != '\0') {
        (void)!drv_tmpdir_remove(pool->directory);
    }
    child_fini(&pool->broker);
    child_fini(&pool->worker);
    (void)shutdown(pool->ends.link, SHUT_RDWR);
}

int pool_keep(const struct pool_ends *ends, char *const *arguments, size_t count)
{
    static struct pool pool; /* too big for some stacks */
    pool.ends = *ends;
    pool.arguments = arguments;
    pool.argument_count = count;
    child_init(&pool.broker, "the pool's drover-broker");
    child_init(&pool.worker, "the pool's drover-worker");
    (void)snprintf(pool.log_level, sizeof(pool.log_level), "--log-level=%.40s",
                   arguments[KEEPER_LOG_LEVEL]);
    if (make_directory(&pool) != DROVER_OK) {
        fail(&pool, DROVER_IO, "no directory for the sockets can be made in /tmp");
    } else {
        start_broker(&pool);
    }
    serve(&pool);
    end(&pool);
    return EXIT_SUCCESS;
}
