/* alert_action.c: see alert_action.h. */
#include "alert_private.h"

#include "check.h"
#include "civil.h"
#include "clock.h"
#include "escape.h"
#include "json.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- one alert ----------------------------------------------------------------------------
 */

void alert_action_free(struct action *action)
{
    if (action != NULL) {
        drv_buffer_fini(&action->json);
        for (size_t i = 0; i < ALERT_VARIABLES; i++) {
            free(action->variables[i]);
        }
        free(action->subject);
        free(action);
    }
}

static struct drv_view view_of(struct drv_str text)
{
    return drv_view_of(text.ptr == NULL ? "" : text.ptr, text.len);
}

static bool put_text(struct drv_buffer *json, const char *key, struct drv_str text)
{
    return drv_buffer_printf(json, "\"%s\":", key) == DROVER_OK &&
           drv_json_write_string(view_of(text), json) == DROVER_OK &&
           drv_buffer_append_byte(json, ',') == DROVER_OK;
}

static bool put_time(struct drv_buffer *json)
{
    uint64_t ms = drv_clock_wall_ms();
    struct drv_civil at = drv_civil_of((int64_t)(ms / 1000));
    return drv_buffer_printf(json, "\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",", at.year,
                             at.month, at.day, at.hour, at.minute, at.second,
                             (int)(ms % 1000)) == DROVER_OK;
}

static bool put_json(const struct alert_actions *actions, struct drv_buffer *json,
                     const struct core_alert *alert)
{
    return drv_buffer_append_byte(json, '{') == DROVER_OK && put_time(json) &&
           put_text(json, "broker", drv_str_of(actions->broker)) &&
           put_text(json, "broker_host", drv_str_of(actions->host)) &&
           put_text(json, "rule", alert->rule) && put_text(json, "subject", alert->subject) &&
           put_text(json, "state", drv_str_of(alert->state)) &&
           put_text(json, "severity", drv_str_of(alert->severity)) &&
           put_text(json, "metric", drv_str_of(alert->metric)) &&
           put_text(json, "text", alert->text) &&
           drv_buffer_printf(json, "\"value\":%.17g,\"threshold\":%.17g,\"test\":%s}\n",
                             alert->value, alert->threshold,
                             alert->is_test ? "true" : "false") == DROVER_OK;
}

/* Names and texts come from peers: no control characters, one line. */
static char *variable(const char *name, struct drv_str text)
{
    char escaped[2048];
    char *made = NULL;
    (void)drv_escape(view_of(text), escaped, sizeof escaped);
    return asprintf(&made, "DROVER_ALERT_%s=%s", name, escaped) < 0 ? NULL : made;
}

/* False: out of memory. */
static bool name_subject(struct action *action, const struct core_alert *alert)
{
    return alert->is_test ||
           asprintf(&action->subject, "%.*s\n%.*s", (int)alert->rule.len, alert->rule.ptr,
                    (int)alert->subject.len, alert->subject.ptr) >= 0;
}

static struct action *action_new(const struct alert_actions *actions,
                                 const struct core_alert *alert)
{
    struct action *action = calloc(1, sizeof *action);
    if (action == NULL) {
        return NULL;
    }
    drv_buffer_init(&action->json);
    drv_list_init(&action->link);
    action->told_ms = (int64_t)drv_clock_now_ms();
    action->variables[0] = variable("RULE", alert->rule);
    action->variables[1] = variable("SUBJECT", alert->subject);
    action->variables[2] = variable("STATE", drv_str_of(alert->state));
    action->variables[3] = variable("SEVERITY", drv_str_of(alert->severity));
    action->variables[4] = variable("TEXT", alert->text);
    bool is_whole = put_json(actions, &action->json, alert) && name_subject(action, alert);
    for (size_t i = 0; i < ALERT_VARIABLES; i++) {
        is_whole = is_whole && action->variables[i] != NULL;
    }
    if (!is_whole) {
        alert_action_free(action);
        return NULL;
    }
    return action;
}

/* ---- waiting ----------------------------------------------------------------------------- */

/* Until fd (negative: none) is readable, the time is over, or all is: true in the last case. */
static bool wait_for(const struct alert_actions *actions, int fd, int64_t ms)
{
    int64_t until_ms = (int64_t)drv_clock_now_ms() + ms;
    for (;;) {
        struct pollfd items[] = {{.fd = actions->stop_fd, .events = POLLIN},
                                 {.fd = fd, .events = POLLIN}};
        int64_t left_ms = until_ms - (int64_t)drv_clock_now_ms();
        int ready = poll(items, 2, ms < 0 ? -1 : left_ms > 0 ? (int)left_ms : 0);
        if (ready >= 0 || errno != EINTR) {
            return atomic_load(&actions->is_stopped);
        }
    }
}

/* ---- command ----------------------------------------------------------------------------- */

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

static bool spawn(const struct alert_actions *actions, const struct action *action,
                  pid_t *out_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    char **variables = environment(action);
    int input = open_input(action);
    bool is_fine = variables != NULL && input >= 0 &&
                   posix_spawn_file_actions_init(&files) == 0;
    if (is_fine) {
        (void)sigemptyset(&none);
        (void)posix_spawnattr_init(&attributes);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setflags(&attributes,
                                       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        is_fine = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO) == 0 &&
                  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO) == 0 &&
                  posix_spawnp(out_pid, actions->words[0], &files, &attributes, actions->words,
                               variables) == 0;
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&files);
    }
    if (input >= 0) {
        (void)close(input);
    }
    free(variables);
    return is_fine;
}

static bool run_command(const struct alert_actions *actions, const struct action *action)
{
    pid_t pid;
    int status = 0;
    if (!spawn(actions, action, &pid)) {
        drv_log_warn(actions->log, "the command for alerts cannot be started",
                     drv_log_str("command", actions->words[0]));
        return false;
    }
    int fd = pidfd_open(pid, 0);
    (void)wait_for(actions, fd, fd < 0 ? 0 : ALERT_COMMAND_MS);
    pid_t ended = waitpid(pid, &status, fd < 0 ? 0 : WNOHANG);
    if (ended != pid) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    bool is_fine = ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_fine) {
        drv_log_warn(actions->log, "the command for alerts has failed",
                     drv_log_str("command", actions->words[0]), drv_log_int("status", status));
    }
    return is_fine;
}

/* ---- the thread ---------------------------------------------------------------------------
 */

struct action *alert_action_take(struct alert_actions *actions)
{
    size_t at = atomic_load_explicit(&actions->read, memory_order_relaxed);
    if (at == atomic_load_explicit(&actions->written, memory_order_acquire)) {
        return NULL;
    }
    struct action *action = actions->ring[at % ALERT_ACTIONS_MAX];
    atomic_store_explicit(&actions->read, at + 1, memory_order_release);
    return action;
}

static void run_commands(struct alert_actions *actions)
{
    uint64_t number;
    while (!wait_for(actions, actions->wake_fd, -1)) {
        struct action *action;
        (void)!read(actions->wake_fd, &number, sizeof number);
        while (!atomic_load(&actions->is_stopped) &&
               (action = alert_action_take(actions)) != NULL) {
            bool is_fine = run_command(actions, action);
            atomic_fetch_add(is_fine ? &actions->done : &actions->failed, 1);
            alert_action_free(action);
        }
    }
}

static void *act(void *context)
{
    struct alert_actions *actions = context;
    if (actions->command != NULL) {
        run_commands(actions);
    } else {
        alert_webhook_run(actions);
    }
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------
 */

static bool cut_command(struct alert_actions *actions)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(actions->command, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest)) {
        if (count == ALERT_COMMAND_WORDS) {
            return false;
        }
        actions->words[count++] = word;
    }
    return count > 0;
}

static bool is_said(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* False: out of memory. */
static bool copy_texts(struct alert_actions *actions, const struct alert_actions_config *config)
{
    bool has_header = is_said(config->authorization);
    actions->command = is_said(config->command) ? strdup(config->command) : NULL;
    actions->webhook = is_said(config->webhook) ? strdup(config->webhook) : NULL;
    actions->broker = strdup(is_said(config->broker) ? config->broker : "");
    actions->host = strdup(is_said(config->host) ? config->host : "");
    if (has_header &&
        asprintf(&actions->authorization, "Authorization: %s", config->authorization) < 0) {
        actions->authorization = NULL;
    }
    return (actions->command != NULL || actions->webhook != NULL) && actions->broker != NULL &&
           actions->host != NULL && has_header == (actions->authorization != NULL);
}

drover_status alert_actions_new(const struct alert_actions_config *config,
                                struct alert_actions **out_actions)
{
    *out_actions = NULL;
    if (!is_said(config->command) && !is_said(config->webhook)) {
        return DROVER_OK;
    }
    DRV_ASSERT(!is_said(config->command) || !is_said(config->webhook));
    struct alert_actions *actions = calloc(1, sizeof *actions);
    if (actions == NULL) {
        return DROVER_NOMEM;
    }
    actions->log = config->log;
    actions->severity = config->severity;
    actions->backoff_ms = config->backoff_ms > 0 ? config->backoff_ms : ALERT_BACKOFF_MS;
    actions->stop_ms = config->stop_ms > 0 ? config->stop_ms : ALERT_STOP_MS;
    actions->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    actions->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    drover_status status = actions->wake_fd < 0 || actions->stop_fd < 0 ? DROVER_IO : DROVER_OK;
    if (status == DROVER_OK && !copy_texts(actions, config)) {
        status = DROVER_NOMEM;
    }
    if (status == DROVER_OK && actions->command != NULL && !cut_command(actions)) {
        status = DROVER_INVALID;
    }
    if (status == DROVER_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        status = DROVER_NOMEM;
    }
    if (status == DROVER_OK) {
        actions->has_thread = pthread_create(&actions->thread, NULL, act, actions) == 0;
        status = actions->has_thread ? DROVER_OK : DROVER_NOMEM;
    }
    if (status != DROVER_OK) {
        alert_actions_destroy(&actions);
        return status;
    }
    *out_actions = actions;
    return DROVER_OK;
}

void alert_actions_destroy(struct alert_actions **actions)
{
    struct alert_actions *gone = *actions;
    uint64_t one = 1;
    struct action *action;
    *actions = NULL;
    if (gone == NULL) {
        return;
    }
    atomic_store(&gone->is_stopped, true);
    if (gone->has_thread) {
        (void)!write(gone->stop_fd, &one, sizeof one);
        (void)pthread_join(gone->thread, NULL);
    }
    size_t lost = 0;
    while ((action = alert_action_take(gone)) != NULL) {
        alert_action_free(action);
        lost++;
    }
    if (lost > 0) {
        drv_log_warn(gone->log, "the end has come before all alerts were told",
                     drv_log_uint("alerts", lost));
    }
    int fds[] = {gone->wake_fd, gone->stop_fd};
    for (size_t i = 0; i < DRV_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    free(gone->command);
    free(gone->webhook);
    free(gone->authorization);
    free(gone->broker);
    free(gone->host);
    free(gone);
}

static uint32_t severity_of(const struct core_alert *alert)
{
    const char *name;
    for (uint32_t i = 1; (name = drv_severity_name(i)) != NULL; i++) {
        if (strcmp(name, alert->severity) == 0) {
            return i;
        }
    }
    return 0;
}

void alert_actions_tell(struct alert_actions *actions, const struct core_alert *alert)
{
    uint64_t one = 1;
    if (actions == NULL || severity_of(alert) < actions->severity) {
        return;
    }
    size_t at = atomic_load_explicit(&actions->written, memory_order_relaxed);
    size_t read_at = atomic_load_explicit(&actions->read, memory_order_acquire);
    struct action *action = at - read_at == ALERT_ACTIONS_MAX ? NULL
                                                              : action_new(actions, alert);
    if (action == NULL) {
        uint64_t dropped = atomic_fetch_add(&actions->dropped, 1) + 1;
        drv_log_warn(actions->log, "nobody is told of an alert: too much waits to be told",
                     drv_log_view("rule", view_of(alert->rule)),
                     drv_log_view("subject", view_of(alert->subject)),
                     drv_log_str("state", alert->state), drv_log_uint("dropped", dropped));
        return;
    }
    actions->ring[at % ALERT_ACTIONS_MAX] = action;
    atomic_store_explicit(&actions->written, at + 1, memory_order_release);
    (void)!write(actions->wake_fd, &one, sizeof one);
}

struct alert_action_counts alert_actions_counts(const struct alert_actions *actions)
{
    struct alert_action_counts counts = {0};
    if (actions != NULL) {
        counts.done = atomic_load(&actions->done);
        counts.failed = atomic_load(&actions->failed);
        counts.dropped = atomic_load(&actions->dropped);
        uint64_t ended = counts.done + counts.failed;
        uint64_t written = atomic_load(&actions->written);
        counts.waiting = written > ended ? written - ended : 0;
    }
    return counts;
}
