#include "future.h"

#include "ask.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define FUTURE_SUBMISSIONS_MAX 65536
#define FUTURE_BYTES_MAX (64u * 1024 * 1024)
#define FUTURE_SPARES_MAX 4096 /* whose memory is kept for the next ones */

/* ---- life -------------------------------------------------------------------------------- */

static struct drover_future *future_new(drover_client *client, const drover_id *id,
                                        uint32_t index)
{
    struct drv_list *spare = drv_list_pop_front(&client->spare_futures);
    struct drover_future *future = NULL;
    if (spare != NULL) {
        future = DRV_LIST_ITEM(spare, struct drover_future, callback);
        client->spare_future_count--;
        memset(future, 0, sizeof(*future));
    } else {
        future = calloc(1, sizeof(*future));
    }
    if (future == NULL) {
        return NULL;
    }
    drv_list_init(&future->callback);
    drv_list_init(&future->owner_link);
    drv_list_init(&future->submission.link);
    drv_watcher_init(&future->watcher);
    future->client = client;
    future->references = 1;
    future->id = *id;
    future->index = index;
    return future;
}

/* What was to be sent is not needed any more. */
static void submission_fini(struct drover_future *future)
{
    future->is_submission = false;
    drv_payload_fini(&future->submission.payload);
    drv_task_spec_unref(&future->submission.spec);
}

static void unref(struct drover_future *future)
{
    if (--future->references > 0) {
        return;
    }
    if (future->is_submission) {
        submission_fini(future);
    }
    drover_outcome_destroy(&future->outcome);
    free(future->text);
    drover_client *client = future->client;
    if (client->spare_future_count == FUTURE_SPARES_MAX) {
        free(future);
        return;
    }
    client->spare_future_count++;
    drv_list_push_front(&client->spare_futures, &future->callback);
}

void drv_future_spares_drop(drover_client *client)
{
    DRV_LIST_EACH_SAFE(link, &client->spare_futures)
    {
        free(DRV_LIST_ITEM(link, struct drover_future, callback));
    }
    drv_list_init(&client->spare_futures);
    client->spare_future_count = 0;
}

void drv_future_mark_read(struct drover_future *future)
{
    if (future->is_counted) {
        future->is_counted = false;
        drv_session_count_unread(future->client->session, -(int64_t)future->outcome->cost);
    }
}

void drv_future_queue_callback(struct drover_future *future)
{
    if (!future->is_unattended) {
        future->references++; /* else the user's reference becomes the thread's */
    }
    future->callback_state = DRV_CALLBACK_QUEUED;
    drv_list_push_back(&future->client->callbacks, &future->callback);
    drv_client_wake_thread(future->client);
}

void drv_future_complete(struct drover_future *future, drover_status status,
                         drover_outcome *outcome)
{
    if (future->is_done) {
        return;
    }
    future->is_done = true;
    future->status = status;
    future->outcome = drv_outcome_ref(outcome);
    future->client->progress++;
    if (outcome != NULL && future->is_kept && !future->has_callback) {
        future->is_counted = true;
        drv_session_count_unread(future->client->session, (int64_t)outcome->cost);
    }
    if (future->on_done != NULL) {
        future->on_done(future);
    }
    if (future->has_callback) {
        drv_future_queue_callback(future);
    }
}

static void on_end(struct drv_watcher *watcher, drover_status status, drover_outcome *outcome)
{
    drv_future_complete(DRV_CONTAINER_OF(watcher, struct drover_future, watcher), status,
                        outcome);
}

static void on_taken(struct drv_submission *submission, drover_status status,
                     drover_durability level, struct drv_str text)
{
    struct drover_future *future = DRV_CONTAINER_OF(submission, struct drover_future,
                                                    submission);
    future->id = submission->id; /* of the task that had the key, perhaps */
    submission_fini(future);
    future->level = level;
    if (status != DROVER_OK) {
        future->text = text.len > 0 ? strndup(text.ptr, text.len) : NULL;
        drv_future_complete(future, status, NULL);
    } else if (!future->wants_end) {
        drv_future_complete(future, DROVER_OK, NULL);
    } else if (future->cancel_wanted && !future->is_done) {
        drv_ask_cancel_unattended(future->client, &future->id, future->index, NULL);
    } else {
        /* the end is to come */
    }
    unref(future);
}

/* ---- submitting -------------------------------------------------------------------------- */

drover_status drv_draft_init(drover_client *client, struct drv_draft *draft,
                             const drover_value *in, const drover_submit_options *options)
{
    const char *reason = NULL;
    draft->payload = DRV_PAYLOAD_NONE;
    drover_status status = drv_options_resolve(options, &draft->options, &reason);
    if (status == DROVER_OK) {
        status = drv_payload_init(&draft->payload, in);
        reason = "the payload is over 64 MiB";
    }
    if (status == DROVER_OK && draft->options.id != NULL) {
        draft->id = *draft->options.id;
    } else if (status == DROVER_OK) {
        status = drover_id_new(&draft->id);
        reason = "no random bytes";
    } else {
        /* refused */
    }
    if (status != DROVER_OK) {
        drv_draft_fini(draft);
        if (drv_client_enter(client) == DROVER_OK) {
            drv_client_words(client, "%s", reason);
            drv_client_end_call(client, status);
        }
    }
    return status;
}

void drv_draft_fini(struct drv_draft *draft)
{
    drv_payload_fini(&draft->payload);
}

drover_status drv_draft_enter(drover_client *client, struct drv_draft *draft,
                              const drover_value *in, const drover_submit_options *options)
{
    drover_status status = drv_draft_init(client, draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_client_enter(client);
    if (status != DROVER_OK) {
        drv_draft_fini(draft);
    }
    return status;
}

static uint32_t flags_of(const drover_submit_options *options, enum drv_submit_how how)
{
    if (how == DRV_SUBMIT_ONLY) {
        return 0;
    }
    if (how == DRV_SUBMIT_STATES) {
        return DRV_SPEC_WATCH | DRV_SPEC_WATCH_STATES;
    }
    /* Others may come for the result of what has a key. */
    bool release = options->keep_ms < 0 && options->key == NULL;
    return DRV_SPEC_WATCH | (release ? DRV_SPEC_RELEASE : 0U);
}

static drover_status ensure_spec(drover_client *client, const char *type,
                                 const drover_submit_options *options, uint32_t flags,
                                 struct drv_task_spec **out_spec)
{
    drover_status status = drv_task_spec_ensure(client->last_spec, type, options, flags,
                                                out_spec);
    if (status == DROVER_INVALID) {
        return drv_client_say(client, status, "the type's name is no name");
    }
    if (status == DROVER_OK && *out_spec != client->last_spec) {
        drv_task_spec_unref(&client->last_spec);
        client->last_spec = drv_task_spec_ref(*out_spec);
    }
    return status;
}

drover_status drv_future_submit(drover_client *client, const char *type,
                                struct drv_draft *draft, enum drv_submit_how how,
                                struct drover_future **out_future)
{
    uint32_t flags = flags_of(&draft->options, how);
    if (draft->options.wait_ms == 0 && drv_session_is_busy(client->session)) {
        return drv_client_say(client, DROVER_BUSY, "earlier submits wait for the busy broker");
    }
    struct drover_future *future = future_new(client, &draft->id, DROVER_INDEX_NONE);
    if (future == NULL) {
        return DROVER_NOMEM;
    }
    struct drv_submission *submission = &future->submission;
    future->is_submission = true;
    drover_status status = ensure_spec(client, type, &draft->options, flags, &submission->spec);
    if (status != DROVER_OK) {
        goto out;
    }
    submission->id = draft->id;
    submission->on_taken = on_taken;
    future->wants_end = how != DRV_SUBMIT_ONLY;
    if (future->wants_end) {
        future->watcher.on_end = on_end;
        future->watcher.wants_value = how == DRV_SUBMIT_VALUES;
        status = drv_session_watch_new(client->session, &future->watcher, &draft->id,
                                       (flags & DRV_SPEC_RELEASE) != 0);
        if (status != DROVER_OK) {
            goto out;
        }
        submission->watcher = &future->watcher;
    }
    drv_payload_move(&submission->payload, &draft->payload);
    future->references++;
    int64_t now_us = drv_session_is_busy(client->session) ? drv_now_us() : 0;
    drv_session_submit(client->session, submission, now_us);
    *out_future = future;
    return DROVER_OK;
out:
    unref(future);
    return status;
}

static bool has_room(void *context)
{
    const drover_client *client = context;
    return drv_session_submissions(client->session) < FUTURE_SUBMISSIONS_MAX &&
           drv_session_submission_bytes(client->session) < FUTURE_BYTES_MAX;
}

drover_status drv_future_make_room(drover_client *client, int64_t wait_ms)
{
    if (drv_session_is_over_unread(client->session)) {
        return drv_client_say(client, DROVER_BUSY,
                              "results that nobody took are over unread_bytes_max");
    }
    if (has_room(client)) {
        return DROVER_OK;
    }
    drover_status status = drv_client_wait(client, has_room, client, drv_deadline_us(wait_ms));
    if (status == DROVER_TIMEOUT) {
        return drv_client_say(client, DROVER_BUSY, "too many submits wait for the broker");
    }
    return status;
}

drover_status drv_future_watch(drover_client *client, const drover_id *id, uint32_t index,
                               bool wants_value, struct drover_future **out_future)
{
    struct drover_future *future = future_new(client, id, index);
    if (future == NULL) {
        return DROVER_NOMEM;
    }
    future->wants_end = true;
    future->watcher.on_end = on_end;
    future->watcher.wants_value = wants_value;
    drover_status status = drv_session_watch(client->session, &future->watcher, id, index,
                                             false);
    if (status != DROVER_OK) {
        unref(future);
        return status;
    }
    *out_future = future;
    return DROVER_OK;
}

/* ---- waiting ----------------------------------------------------------------------------- */

static bool is_done(void *context)
{
    const struct drover_future *future = context;
    return future->is_done;
}

drover_status drv_future_await(struct drover_future *future, int64_t deadline_us)
{
    return future->is_done ? DROVER_OK
                           : drv_client_wait(future->client, is_done, future, deadline_us);
}

bool drv_future_take_back(struct drover_future *future)
{
    if (!drv_session_take_back(future->client->session, &future->submission)) {
        return false;
    }
    DRV_ASSERT(future->references > 1);
    future->references--; /* the session's; the user's remains */
    return true;
}

drover_status drv_future_explain(struct drover_future *future)
{
    if (future->status != DROVER_OK && future->text != NULL && future->text[0] != '\0') {
        return drv_client_say(future->client, future->status, "%s: %s",
                              drover_status_text(future->status), future->text);
    }
    return future->status;
}

drover_status drv_outcome_explain(drover_client *client, const drover_outcome *outcome)
{
    if (outcome->status != DROVER_OK) {
        drv_client_words(client, "%s%s%s%s%s", drover_error_kind_name(outcome->kind),
                         outcome->error->code[0] != '\0' ? " " : "", outcome->error->code,
                         outcome->error->text[0] != '\0' ? ": " : "", outcome->error->text);
    }
    return outcome->status;
}

/* ---- callbacks --------------------------------------------------------------------------- */

/* What a callback is told: how the task ended, or why there is none. */
static drover_status told_status(const struct drover_future *future)
{
    return future->outcome != NULL ? future->outcome->status : future->status;
}

void drv_future_run_callback(drover_client *client, struct drover_future *future)
{
    future->callback_state = DRV_CALLBACK_RUNNING;
    client->running = future;
    (void)pthread_mutex_unlock(&client->lock);
    future->done(future->context, told_status(future), future->outcome);
    (void)pthread_mutex_lock(&client->lock);
    client->running = NULL;
    future->callback_state = DRV_CALLBACK_NONE;
    (void)pthread_cond_broadcast(&client->changed);
    unref(future);
}

void drv_future_discard_callbacks(drover_client *client)
{
    DRV_LIST_EACH_SAFE(link, &client->callbacks)
    {
        drv_list_init(link);
        unref(DRV_LIST_ITEM(link, struct drover_future, callback));
    }
    drv_list_init(&client->callbacks);
}

static bool callback_is_over(const struct drover_future *future)
{
    return future->callback_state != DRV_CALLBACK_RUNNING;
}

/* The callback is not run any more, and does not run when this returns. */
static void end_callback(struct drover_future *future)
{
    drover_client *client = future->client;
    future->has_callback = false;
    if (future->callback_state == DRV_CALLBACK_QUEUED) {
        drv_list_remove(&future->callback);
        future->callback_state = DRV_CALLBACK_NONE;
        DRV_ASSERT(future->references > 1);
        future->references--; /* the thread's; the user's remains */
    }
    if (!pthread_equal(pthread_self(), client->thread)) {
        while (!callback_is_over(future)) {
            (void)pthread_cond_wait(&client->changed, &client->lock);
        }
    }
}

void drv_future_drop(struct drover_future **future)
{
    struct drover_future *f = *future;
    *future = NULL;
    f->on_done = NULL;
    f->is_kept = false;
    drv_list_remove(&f->owner_link);
    if (f->has_callback) {
        end_callback(f);
    }
    drv_session_unwatch(f->client->session, &f->watcher);
    drv_future_mark_read(f);
    unref(f);
}
