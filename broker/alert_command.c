/*
 * alert_command.c: runs a command for each alert, one at a time, again and again; see
 * alert_action.h.
 *
 *   ring ──> pending ──the longest due──> runs ──exit 0──> done
 *               ^                          │ failed, timeout │ cannot be started, or too late
 *               └──────── pause ───────────┘                 └──────────> failed
 *
 * What waits for another try keeps nobody from the first one: whose turn came first goes first.
 */
#include "alert_private.h"

#include "check.h"
#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct runner {
    struct alert_actions *actions;
    struct drv_list pending; /* struct action.link, as they came */
    size_t count;
    bool is_stopping;
    int64_t stop_ms; /* then it is over */
};

enum outcome { OUTCOME_FINE, OUTCOME_AGAIN, OUTCOME_NEVER };

static int64_t now_ms(void)
{
    return (int64_t)drv_clock_now_ms();
}

static void end(struct runner *runner, struct action *action, bool is_fine)
{
    drv_list_remove(&action->link);
    runner->count--;
    atomic_fetch_add(is_fine ? &runner->actions->done : &runner->actions->failed, 1);
    alert_action_free(action);
}

/* ---- in ---------------------------------------------------------------------------------- */

/* What waits to tell something older of it tells nothing any more. */
static void supersede(struct runner *runner, const struct action *newer)
{
    DRV_LIST_EACH_SAFE(link, &runner->pending)
    {
        struct action *action = DRV_LIST_ITEM(link, struct action, link);
        if (action->was_tried && alert_action_is_about_the_same(action, newer)) {
            end(runner, action, false);
        }
    }
}

static void take_in(struct runner *runner)
{
    struct action *action;
    uint64_t number;
    (void)!read(runner->actions->wake_fd, &number, sizeof number);
    while (runner->count < ALERT_PENDING_MAX &&
           (action = alert_action_take(runner->actions)) != NULL) {
        supersede(runner, action);
        action->due_ms = action->told_ms;
        action->pause_ms = runner->actions->backoff_ms;
        drv_list_push_back(&runner->pending, &action->link);
        runner->count++;
    }
}

/* False: it is over. */
static bool go_on(struct runner *runner)
{
    if (!runner->is_stopping && atomic_load(&runner->actions->is_stopped)) {
        runner->is_stopping = true;
        runner->stop_ms = now_ms() + runner->actions->stop_ms;
    }
    return !runner->is_stopping || (runner->count > 0 && now_ms() < runner->stop_ms);
}

/* ---- waiting ----------------------------------------------------------------------------- */

/* Until news come, the broker ends, or then. */
static void wait_for_news(const struct runner *runner, int64_t until_ms)
{
    bool has_room = runner->count < ALERT_PENDING_MAX;
    int64_t left = until_ms - now_ms();
    struct pollfd items[] = {
        {.fd = has_room ? runner->actions->wake_fd : -1, .events = POLLIN},
        {.fd = runner->actions->stop_fd, .events = POLLIN},
    };
    (void)poll(items, DRV_ARRAY_LEN(items), left > 0 ? (int)left : 0);
}

/* Until the process of that descriptor has ended, or takes too long; less long once the broker
 * ends. */
static void wait_for_process(struct runner *runner, int fd)
{
    int64_t until_ms = now_ms() + ALERT_COMMAND_MS;
    for (;;) {
        (void)go_on(runner);
        if (runner->is_stopping && runner->stop_ms < until_ms) {
            until_ms = runner->stop_ms;
        }
        struct pollfd items[] = {
            {.fd = fd, .events = POLLIN},
            {.fd = runner->is_stopping ? -1 : runner->actions->stop_fd, .events = POLLIN},
        };
        int64_t left = until_ms - now_ms();
        int ready = poll(items, DRV_ARRAY_LEN(items), left > 0 ? (int)left : 0);
        if (left <= 0 || (ready > 0 && items[0].revents != 0)) {
            return;
        }
    }
}

/* ---- a command --------------------------------------------------------------------------- */

/* The environment of the broker, and the variables. Owned by the caller, the texts are not. */
static char **environment(const struct action *action)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **all = calloc(count + ALERT_VARIABLES + 1, sizeof *all);
    if (all != NULL) {
        memcpy(all, environ, count * sizeof *all);
        memcpy(all + count, action->variables, sizeof action->variables);
    }
    return all;
}

/* A file in memory with the JSON, to be read from its beginning. */
static int open_input(const struct action *action)
{
    int fd = memfd_create("alert", MFD_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (write(fd, action->json.bytes, action->json.len) != (ssize_t)action->json.len ||
        lseek(fd, 0, SEEK_SET) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* 0, or why not: an errno. */
static int spawn(const struct alert_actions *actions, const struct action *action,
                 pid_t *out_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    char **variables = environment(action);
    int input = open_input(action);
    int error = variables == NULL || input < 0 ? ENOMEM : posix_spawn_file_actions_init(&files);
    if (error == 0) {
        (void)sigemptyset(&none);
        (void)posix_spawnattr_init(&attributes);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setflags(&attributes,
                                       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        error = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
        if (error == 0) {
            error = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
        }
        if (error == 0) {
            error = posix_spawnp(out_pid, actions->words[0], &files, &attributes,
                                 actions->words, variables);
        }
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&files);
    }
    if (input >= 0) {
        (void)close(input);
    }
    free(variables);
    return error;
}

/* True when it has ended well; else it is gone, with its process group. */
static bool has_ended_well(struct runner *runner, pid_t pid)
{
    int status = 0;
    int fd = pidfd_open(pid, 0);
    if (fd >= 0) {
        wait_for_process(runner, fd);
        (void)close(fd);
    }
    pid_t ended = waitpid(pid, &status, fd < 0 ? 0 : WNOHANG);
    if (ended != pid) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    bool is_fine = ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_fine) {
        drv_log_warn(runner->actions->log, "the command for alerts has failed",
                     drv_log_str("command", runner->actions->words[0]),
                     drv_log_int("status", status));
    }
    return is_fine;
}

static enum outcome run(struct runner *runner, const struct action *action)
{
    const struct alert_actions *actions = runner->actions;
    pid_t pid;
    int error = spawn(actions, action, &pid);
    if (error != 0) {
        drv_log_warn(actions->log, "the command for alerts cannot be started",
                     drv_log_str("command", actions->words[0]),
                     drv_log_str("why", strerror(error)));
        bool may_help = error == ENOMEM || error == EAGAIN || error == EMFILE ||
                        error == ENFILE;
        return may_help ? OUTCOME_AGAIN : OUTCOME_NEVER;
    }
    return has_ended_well(runner, pid) ? OUTCOME_FINE : OUTCOME_AGAIN;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* Whose turn is or will be the first; NULL: nothing waits. */
static struct action *first_due(const struct runner *runner)
{
    struct action *first = NULL;
    DRV_LIST_EACH(link, &runner->pending)
    {
        struct action *action = DRV_LIST_ITEM(link, struct action, link);
        if (first == NULL || action->due_ms < first->due_ms) {
            first = action;
        }
    }
    return first;
}

static void attempt(struct runner *runner, struct action *action)
{
    action->was_tried = true;
    action->is_last = runner->is_stopping;
    enum outcome outcome = run(runner, action);
    int64_t now = now_ms();
    if (outcome != OUTCOME_AGAIN || action->is_last ||
        now - action->told_ms >= ALERT_RETRY_MS) {
        end(runner, action, outcome == OUTCOME_FINE);
        return;
    }
    action->due_ms = now + action->pause_ms;
    action->pause_ms *= 2;
    action->pause_ms = action->pause_ms > ALERT_BACKOFF_MAX_MS ? ALERT_BACKOFF_MAX_MS
                                                               : action->pause_ms;
}

static void give_up(struct runner *runner)
{
    struct drv_list *link;
    size_t count = runner->count;
    while ((link = drv_list_first(&runner->pending)) != NULL) {
        end(runner, DRV_LIST_ITEM(link, struct action, link), false);
    }
    if (count > 0) {
        drv_log_warn(runner->actions->log,
                     "the end has come before the command was told of all",
                     drv_log_uint("alerts", count));
    }
}

void alert_command_run(struct alert_actions *actions)
{
    struct runner runner = {.actions = actions};
    drv_list_init(&runner.pending);
    for (;;) {
        take_in(&runner);
        if (!go_on(&runner)) {
            break;
        }
        struct action *next = first_due(&runner);
        if (next != NULL && (runner.is_stopping || next->due_ms <= now_ms())) {
            attempt(&runner, next);
        } else {
            wait_for_news(&runner,
                          next != NULL ? next->due_ms : now_ms() + ALERT_BACKOFF_MAX_MS);
        }
    }
    give_up(&runner);
}
