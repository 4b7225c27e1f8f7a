/*
 * thread.c: a process with several threads, each of which runs functions of modules.
 *
 *   agent ══ lane ══> thread 0 ─┐
 *         ══ lane ══> thread 1 ─┼─ one process: one crash ends them all
 *         ══ lane ══> ...      ─┘
 *
 * Threads share nothing of ours: each has its own lane and its own loop, as a process has. Who
 * has crashed is known: the thread that gets a fatal signal of its own making, or calls exit(),
 * puts its attempt's serial into its lane as the one to blame, and then the process dies as it
 * would have. What ends the process otherwise (SIGKILL, _exit, a thread that a handler has
 * made) blames nobody; then the agent runs each of those that were in it alone.
 *
 * Children that a handler leaves stay until the process ends: whose they are cannot be told.
 */
#include "model/function.h"
#include "model/model.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SIGNAL_STACK = 64 * 1024 };

/* What the thread runs attempts with; signal handlers have no other way to know. */
static _Thread_local struct executor *here;

struct hand { /* one thread */
    struct executor_process *process;
    size_t number;
};

/* ---- whose fault it is --------------------------------------------------------------------
 */

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    /* A signal that someone else has sent is nobody's fault. */
    bool is_own = info->si_code > 0 || info->si_pid == getpid();
    if (here != NULL && is_own) {
        executor_blame(here);
    }
    (void)raise(number); /* as if it had not been caught: the default action is back in place */
}

static void on_exit_called(void)
{
    if (here != NULL) {
        executor_blame(here);
    }
}

static void watch_for_crashes(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    action.sa_sigaction = on_fatal;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        (void)sigaction(fatal[i], &action, NULL);
    }
    (void)atexit(on_exit_called);
}

/* So that one that has used up its stack can still say so. */
static void use_signal_stack(void)
{
    stack_t stack = {.ss_sp = malloc(SIGNAL_STACK), .ss_size = SIGNAL_STACK};
    if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) {
        executor_die("no memory for a signal stack");
    }
}

/* ---- threads ------------------------------------------------------------------------------
 */

static void *work(void *argument)
{
    const struct hand *hand = argument;
    use_signal_stack();
    executor_serve(hand->process, hand->number, NULL, &here);
}

static void serve(const struct executor_config *config)
{
    struct executor_process process;
    struct hand hands[POOL_THREADS_MAX];
    executor_process_init(&process, config);
    watch_for_crashes();
    for (size_t i = 1; i < config->lane_count; i++) {
        pthread_t thread;
        hands[i] = (struct hand){.process = &process, .number = i};
        if (pthread_create(&thread, NULL, work, &hands[i]) != 0) {
            executor_die("cannot start a thread");
        }
        (void)pthread_detach(thread);
    }
    hands[0] = (struct hand){.process = &process};
    (void)work(&hands[0]);
}

const struct model MODEL_THREAD = {
    .id = POOL_MODEL_THREAD,
    .name = "thread",
    .has_threads = true,
    .serve = serve,
    .run = function_run,
    .usage_who = RUSAGE_THREAD,
};
