/* detached.c: see detached.h. */
#include "detached.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of each of the two processes that run on memory of ours. */
#define STACK_SIZE (64UL * 1024)

/*
 * Between clone and exec there are bare system calls and nothing else: the memory is the
 * caller's, and what else the C library, or a sanitizer in its place, would note there about a
 * call that never returns it would note for the caller. Their stack is not one it knows.
 */
#define BARE __attribute__((no_sanitize("address", "thread", "undefined")))

/* The thread sanitizer takes clone for a fork and readies its state for the life of a child,
 * which here is the caller's state. It does not know the function by its other name. */
#ifdef __SANITIZE_THREAD__
int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);
#define CLONE __clone
#else
#define CLONE clone
#endif

struct start {
    const char *path;
    char *const *arguments;
    const int *keep;
    size_t keep_count;
    char *stacks; /* for the two steps; they grow downwards */
};

static BARE int become_program(void *context)
{
    const struct start *start = context;
    (void)syscall(SYS_setsid); /* what is typed in the host's terminal is for the host */
    for (size_t i = 0; i < start->keep_count; i++) {
        (void)syscall(SYS_fcntl, start->keep[i], F_SETFD, 0);
    }
    (void)syscall(SYS_execve, start->path, start->arguments, environ);
    (void)syscall(SYS_exit_group, 127);
    return 127;
}

static BARE int step_between(void *context)
{
    const struct start *start = context;
    pid_t child = CLONE(become_program, start->stacks + 2 * STACK_SIZE,
                        CLONE_VM | CLONE_VFORK | SIGCHLD, context);
    (void)syscall(SYS_exit_group, child < 0 ? 1 : 0);
    return 1;
}

static bool reap(pid_t child)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(child, &status, __WALL);
    } while (got < 0 && errno == EINTR);
    return got == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

drover_status drv_detached_start(const char *path, char *const *arguments, const int *keep,
                                 size_t keep_count)
{
    struct start start = {
        .path = path, .arguments = arguments, .keep = keep, .keep_count = keep_count};
    sigset_t all;
    sigset_t before;
    start.stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (start.stacks == MAP_FAILED) {
        return DROVER_LIMIT;
    }
    /* No handler of the host may run on its memory in another process. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = CLONE(step_between, start.stacks + STACK_SIZE, CLONE_VM | CLONE_VFORK,
                        &start);
    bool is_started = child > 0 && reap(child);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)munmap(start.stacks, 2 * STACK_SIZE);
    return is_started ? DROVER_OK : DROVER_LIMIT;
}
