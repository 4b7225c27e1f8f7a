/*
 * drover-local: keeps the broker and the worker of a private pool (local://N) for the process
 * that has asked for it, and ends them with it. Started by the client library only.
 *
 *   main.c    this: alone with its descriptors
 *   pool.c    the two programs from start to end
 *   child.c   one of them
 *   keeper.h  in client/src: what the library and this program say to each other
 */
#include "pool.h"

#include "units.h"

#include <drover/drover.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_USAGE_ERROR = 64, EXIT_IO = 74 };

/* The host's service manager and the options of other fleets are not for this pool. */
static void clean_environment(char **environment)
{
    static const char *const foreign[] = {
        "DROVER_WORKER_", "DROVER_BROKER_", "DROVER_IDENTITY=", "NOTIFY_SOCKET=",
        "WATCHDOG_",      "LISTEN_PID=",    "LISTEN_FD"};
    size_t kept = 0;
    for (size_t i = 0; environment[i] != NULL; i++) {
        bool is_foreign = false;
        for (size_t k = 0; k < sizeof(foreign) / sizeof(foreign[0]); k++) {
            is_foreign = is_foreign ||
                         strncmp(environment[i], foreign[k], strlen(foreign[k])) == 0;
        }
        if (!is_foreign) {
            environment[kept++] = environment[i];
        }
    }
    environment[kept] = NULL;
}

/* Reads the number of a descriptor that is open; -1 otherwise. */
static int read_fd(const char *text)
{
    uint64_t number = 0;
    if (drv_uint_parse(text, &number) != DROVER_OK || number > INT_MAX) {
        return -1;
    }
    int fd = (int)number;
    return fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

static bool is_link(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_SEQPACKET;
}

/* Moves a descriptor, which may be none, to a number of its own beyond those that are kept. */
static int move_up(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 16);
}

/* Nothing that the host program had open but stderr stays open. */
static bool isolate(struct pool_ends *ends)
{
    int link = move_up(ends->link);
    int caller = move_up(ends->caller);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (link < 0 || null < 0) {
        return false;
    }
    null = fcntl(null, F_DUPFD_CLOEXEC, 16);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0) ||
        dup3(link, 3, O_CLOEXEC) < 0) {
        return false;
    }
    ends->link = 3;
    if (caller >= 0 && dup3(caller, 4, O_CLOEXEC) < 0) {
        return false;
    }
    ends->caller = caller >= 0 ? 4 : -1;
    return close_range(caller >= 0 ? 5 : 4, ~0U, 0) == 0;
}

/* Default handling whatever the host program had, and the signals of interest as input. */
static bool open_signals(struct pool_ends *ends)
{
    sigset_t wanted;
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGHUP);
    if (sigprocmask(SIG_SETMASK, &wanted, NULL) != 0) {
        return false;
    }
    ends->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return ends->signals >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

int main(int argc, char **argv)
{
    struct pool_ends ends = {.link = -1, .caller = -1, .signals = -1};
    if (argc >= KEEPER_OPTIONS) {
        ends.link = read_fd(argv[KEEPER_LINK]);
        ends.caller = read_fd(argv[KEEPER_CALLER]);
    }
    if (!is_link(ends.link)) {
        (void)fprintf(stderr,
                      "drover-local %s: started by the client library for local:// endpoints\n",
                      DROVER_VERSION_STRING);
        return EXIT_USAGE_ERROR;
    }
    clean_environment(environ);
    if (!isolate(&ends) || !open_signals(&ends)) {
        (void)fprintf(stderr, "drover-local: %s\n", strerror(errno));
        return EXIT_IO;
    }
    return pool_keep(&ends, argv, (size_t)argc);
}
