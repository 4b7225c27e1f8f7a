/*
 * alert_webhook.c: posts alerts, several at a time, again and again; see alert_action.h.
 *
 *   ring ──> pending ──due──> under way ──fine──> done
 *               ^                 │ may help        │ does not help, or too late
 *               └──── pause ──────┘                 └──────────> failed
 */
#include "alert_private.h"

#include "check.h"
#include "clock.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hook {
    struct alert_actions *actions;
    CURLM *multi;
    struct curl_slist *headers;
    struct drv_list pending; /* struct action.link, as they came */
    size_t count, under_way;
    bool is_stopping;
    int64_t stop_ms; /* then it is over */
};

static int64_t now_ms(void)
{
    return (int64_t)drv_clock_now_ms();
}

static void end(struct hook *hook, struct action *action, bool is_fine)
{
    drv_list_remove(&action->link);
    hook->count--;
    atomic_fetch_add(is_fine ? &hook->actions->done : &hook->actions->failed, 1);
    alert_action_free(action);
}

/* ---- in ---------------------------------------------------------------------------------- */

/* What waits to tell something older of it tells nothing any more. */
static void supersede(struct hook *hook, const struct action *newer)
{
    DRV_LIST_EACH_SAFE(link, &hook->pending)
    {
        struct action *action = DRV_LIST_ITEM(link, struct action, link);
        if (!alert_action_is_about_the_same(action, newer)) {
            continue;
        }
        if (action->transfer != NULL) {
            action->is_superseded = true;
        } else {
            end(hook, action, false);
        }
    }
}

static void take_in(struct hook *hook)
{
    struct action *action;
    uint64_t number;
    (void)!read(hook->actions->wake_fd, &number, sizeof number);
    while (hook->count < ALERT_PENDING_MAX &&
           (action = alert_action_take(hook->actions)) != NULL) {
        supersede(hook, action);
        action->due_ms = action->told_ms;
        action->pause_ms = hook->actions->backoff_ms;
        drv_list_push_back(&hook->pending, &action->link);
        hook->count++;
    }
}

/* ---- a transfer -------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-non-const-parameter): curl has it so */
static size_t on_answer(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count; /* nobody reads it */
}

/* Redirects are not followed: the header with the secret is for this address only. */
static void begin(struct hook *hook, struct action *action)
{
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        action->due_ms = now_ms() + action->pause_ms;
        return;
    }
    (void)curl_easy_setopt(curl, CURLOPT_URL, hook->actions->webhook);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, hook->headers);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)action->json.bytes);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)action->json.len);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ALERT_WEBHOOK_MS);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(curl, CURLOPT_PRIVATE, action);
    if (curl_multi_add_handle(hook->multi, curl) != CURLM_OK) {
        curl_easy_cleanup(curl);
        action->due_ms = now_ms() + action->pause_ms;
        return;
    }
    action->transfer = curl;
    action->is_last = hook->is_stopping;
    hook->under_way++;
}

static void drop_transfer(struct hook *hook, struct action *action)
{
    if (action->transfer != NULL) {
        (void)curl_multi_remove_handle(hook->multi, action->transfer);
        curl_easy_cleanup(action->transfer);
        action->transfer = NULL;
        hook->under_way--;
    }
}

static bool must_wait(const struct hook *hook, const struct action *action)
{
    DRV_LIST_EACH(link, &hook->pending)
    {
        const struct action *other = DRV_LIST_ITEM(link, struct action, link);
        if (other->transfer != NULL && alert_action_is_about_the_same(other, action)) {
            return true;
        }
    }
    return false;
}

static void begin_due(struct hook *hook)
{
    int64_t now = now_ms();
    DRV_LIST_EACH(link, &hook->pending)
    {
        struct action *action = DRV_LIST_ITEM(link, struct action, link);
        if (hook->under_way == ALERT_WEBHOOKS_AT_ONCE) {
            return;
        }
        if (action->transfer == NULL && (action->due_ms <= now || hook->is_stopping) &&
            !must_wait(hook, action)) {
            begin(hook, action);
        }
    }
}

static void finish(struct hook *hook, struct action *action, CURLcode status)
{
    long code = 0;
    (void)curl_easy_getinfo(action->transfer, CURLINFO_RESPONSE_CODE, &code);
    drop_transfer(hook, action);
    int64_t now = now_ms();
    bool is_fine = status == CURLE_OK && code >= 200 && code < 300;
    bool may_help = status != CURLE_OK || code >= 500 || code == 408 || code == 429;
    bool is_over = is_fine || !may_help || action->is_superseded || action->is_last ||
                   now - action->told_ms >= ALERT_RETRY_MS;
    if (!is_fine) {
        drv_log_warn(
            hook->actions->log,
            is_over ? "the webhook for alerts has failed, it is given up"
                    : "the webhook for alerts has failed, it is tried again",
            drv_log_str("why", status == CURLE_OK ? "status" : curl_easy_strerror(status)),
            drv_log_int("code", code), drv_log_int("pause_ms", is_over ? 0 : action->pause_ms));
    }
    if (is_over) {
        end(hook, action, is_fine);
        return;
    }
    action->due_ms = now + action->pause_ms;
    action->pause_ms *= 2;
    action->pause_ms = action->pause_ms > ALERT_BACKOFF_MAX_MS ? ALERT_BACKOFF_MAX_MS
                                                               : action->pause_ms;
}

static void finish_all(struct hook *hook)
{
    CURLMsg *message;
    int left = 0, running = 0;
    (void)curl_multi_perform(hook->multi, &running);
    while ((message = curl_multi_info_read(hook->multi, &left)) != NULL) {
        char *context = NULL;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context) == CURLE_OK) {
            finish(hook, (struct action *)(void *)context, message->data.result);
        }
    }
}

/* ---- the thread -------------------------------------------------------------------------- */

static void wait_for_news(struct hook *hook)
{
    if (hook->is_stopping && hook->count == 0) {
        return;
    }
    int64_t now = now_ms();
    int64_t until = hook->is_stopping ? hook->stop_ms : now + ALERT_BACKOFF_MAX_MS;
    DRV_LIST_EACH(link, &hook->pending)
    {
        const struct action *action = DRV_LIST_ITEM(link, struct action, link);
        if (action->transfer == NULL && hook->under_way < ALERT_WEBHOOKS_AT_ONCE &&
            action->due_ms > now && action->due_ms < until) {
            until = action->due_ms;
        }
    }
    struct curl_waitfd fds[] = {
        {.fd = hook->actions->wake_fd, .events = CURL_WAIT_POLLIN},
        {.fd = hook->actions->stop_fd, .events = CURL_WAIT_POLLIN},
    };
    unsigned count = hook->is_stopping ? 0 : DRV_ARRAY_LEN(fds);
    if (count > 0 && hook->count == ALERT_PENDING_MAX) {
        fds[0] = fds[--count]; /* nothing is taken in */
    }
    (void)curl_multi_poll(hook->multi, fds, count, until > now ? (int)(until - now) : 0, NULL);
}

/* False: it is over. */
static bool go_on(struct hook *hook)
{
    if (!hook->is_stopping && atomic_load(&hook->actions->is_stopped)) {
        hook->is_stopping = true;
        hook->stop_ms = now_ms() + hook->actions->stop_ms;
    }
    return !hook->is_stopping || (hook->count > 0 && now_ms() < hook->stop_ms);
}

static void give_up(struct hook *hook)
{
    struct drv_list *link;
    size_t count = hook->count;
    while ((link = drv_list_first(&hook->pending)) != NULL) {
        struct action *action = DRV_LIST_ITEM(link, struct action, link);
        drop_transfer(hook, action);
        end(hook, action, false);
    }
    if (count > 0) {
        drv_log_warn(hook->actions->log, "the end has come before the webhook was told of all",
                     drv_log_uint("alerts", count));
    }
}

static bool open_hook(struct hook *hook)
{
    hook->multi = curl_multi_init();
    hook->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (hook->headers != NULL && hook->actions->authorization != NULL) {
        struct curl_slist *more = curl_slist_append(hook->headers,
                                                    hook->actions->authorization);
        if (more == NULL) {
            return false;
        }
    }
    return hook->multi != NULL && hook->headers != NULL;
}

void alert_webhook_run(struct alert_actions *actions)
{
    struct hook hook = {.actions = actions};
    drv_list_init(&hook.pending);
    if (open_hook(&hook)) {
        for (;;) {
            take_in(&hook);
            if (!go_on(&hook)) {
                break;
            }
            begin_due(&hook);
            finish_all(&hook);
            begin_due(&hook);
            wait_for_news(&hook);
        }
        give_up(&hook);
    } else {
        drv_log_error(actions->log, "no webhook for alerts: out of memory", drv_log_end());
    }
    curl_slist_free_all(hook.headers);
    (void)curl_multi_cleanup(hook.multi);
}
