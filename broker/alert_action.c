/* alert_action.c: see alert_action.h. */
#include "alert_private.h"

#include "check.h"
#include "civil.h"
#include "clock.h"
#include "escape.h"
#include "json.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

bool alert_action_is_about_the_same(const struct action *a, const struct action *b)
{
    return a->subject != NULL && b->subject != NULL && strcmp(a->subject, b->subject) == 0;
}

static void *act(void *context)
{
    struct alert_actions *actions = context;
    if (actions->command != NULL) {
        alert_command_run(actions);
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
