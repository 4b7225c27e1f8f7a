/*
 * future_calls.c: the calls of futures: submit, wait, take, be told, cancel.
 */
#include "ask.h"
#include "future.h"

/* For somebody who may not wait at all: the library's thread sees to it. */
static drover_status submit_draft(drover_client *client, const char *type,
                                  struct drv_draft *draft, struct drover_future **out_future)
{
    drover_status status = drv_client_ensure_thread(client);
    if (status == DROVER_OK) {
        status = drv_future_make_room(client, draft->options.wait_ms);
    }
    if (status == DROVER_OK) {
        status = drv_future_submit(client, type, draft, DRV_SUBMIT_VALUES, out_future);
    }
    return status;
}

drover_status drover_submit_future(drover_client *client, const char *type,
                                   const drover_value *in, const drover_submit_options *options,
                                   drover_future **out_future)
{
    struct drv_draft draft;
    struct drover_future *future = NULL;
    drover_status status = drv_draft_enter(client, &draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    status = submit_draft(client, type, &draft, &future);
    if (status == DROVER_OK) {
        future->is_kept = true;
        drv_client_offer(client, drv_payload_len(&future->submission.payload), false);
        *out_future = future;
    }
    drv_draft_fini(&draft);
    return drv_client_leave(client, status);
}

drover_status drover_submit_callback(drover_client *client, const char *type,
                                     const drover_value *in,
                                     const drover_submit_options *options, drover_done_fn done,
                                     void *context, drover_id *out_id)
{
    struct drv_draft draft;
    struct drover_future *future = NULL;
    if (done == NULL) {
        return DROVER_INVALID;
    }
    drover_status status = drv_draft_enter(client, &draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    drover_id id = draft.id;
    status = submit_draft(client, type, &draft, &future);
    if (status == DROVER_OK) {
        future->has_callback = true;
        future->done = done;
        future->context = context;
        future->is_unattended = true;
        drv_client_offer(client, drv_payload_len(&future->submission.payload), false);
        if (out_id != NULL) {
            *out_id = id;
        }
    }
    drv_draft_fini(&draft);
    return drv_client_leave(client, status);
}

drover_status drover_future_of(drover_client *client, const drover_id *id, uint32_t index,
                               drover_future **out_future)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    struct drover_future *future = NULL;
    status = drv_client_ensure_thread(client);
    if (status == DROVER_OK) {
        status = drv_future_watch(client, id, index, true, &future);
    }
    if (status == DROVER_OK) {
        future->is_kept = true;
        drv_client_offer(client, 0, false);
        *out_future = future;
    }
    return drv_client_leave(client, status);
}

drover_id drover_future_id(const drover_future *future)
{
    drover_client *client = future->client;
    if (drv_client_is_foreign(client)) {
        return future->id;
    }
    (void)pthread_mutex_lock(&client->lock);
    drover_id id = future->id; /* changes when it is attached to another task */
    (void)pthread_mutex_unlock(&client->lock);
    return id;
}

bool drover_future_is_attached(const drover_future *future)
{
    drover_client *client = future->client;
    if (drv_client_is_foreign(client)) {
        return false;
    }
    (void)pthread_mutex_lock(&client->lock);
    bool attached = future->submission.is_attached;
    (void)pthread_mutex_unlock(&client->lock);
    return attached;
}

bool drover_future_is_done(const drover_future *future)
{
    drover_client *client = future->client;
    if (drv_client_is_foreign(client)) {
        return false;
    }
    (void)pthread_mutex_lock(&client->lock);
    bool done = future->is_done;
    (void)pthread_mutex_unlock(&client->lock);
    return done;
}

drover_status drover_future_wait(drover_future *future, int64_t timeout_ms)
{
    drover_status status = drv_client_enter(future->client);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_future_await(future, drv_deadline_us(timeout_ms));
    if (status == DROVER_OK) {
        status = drv_future_explain(future);
    }
    return drv_client_leave(future->client, status);
}

/* Waits, and says what went wrong when there is no outcome. The lock is held. */
static drover_status await_outcome(drover_future *future, int64_t timeout_ms)
{
    drover_status status = drv_future_await(future, drv_deadline_us(timeout_ms));
    if (status == DROVER_OK) {
        status = drv_future_explain(future);
    }
    if (status == DROVER_OK) {
        drv_future_mark_read(future);
    }
    return status;
}

drover_status drover_future_outcome(drover_future *future, int64_t timeout_ms,
                                    const drover_outcome **out_outcome)
{
    drover_status status = drv_client_enter(future->client);
    if (status != DROVER_OK) {
        return status;
    }
    status = await_outcome(future, timeout_ms);
    if (status == DROVER_OK) {
        *out_outcome = future->outcome;
    }
    return drv_client_leave(future->client, status);
}

drover_status drover_future_result(drover_future *future, int64_t timeout_ms,
                                   drover_value **out_result)
{
    drover_status status = drv_client_enter(future->client);
    if (status != DROVER_OK) {
        return status;
    }
    status = await_outcome(future, timeout_ms);
    if (status == DROVER_OK) {
        status = drv_outcome_explain(future->client, future->outcome);
    }
    if (status == DROVER_OK && out_result != NULL) {
        status = drover_value_copy(future->outcome->value, out_result);
    }
    return drv_client_leave(future->client, status);
}

drover_status drover_future_on_done(drover_future *future, drover_done_fn done, void *context)
{
    if (done == NULL) {
        return DROVER_INVALID;
    }
    drover_status status = drv_client_enter(future->client);
    if (status != DROVER_OK) {
        return status;
    }
    if (future->has_callback) {
        status = drv_client_say(future->client, DROVER_CONFLICT, "there is a callback already");
    } else {
        future->has_callback = true;
        future->done = done;
        future->context = context;
        drv_future_mark_read(future);
        if (future->is_done) {
            drv_future_queue_callback(future);
        }
    }
    return drv_client_leave(future->client, status);
}

drover_status drover_future_cancel(drover_future *future)
{
    drover_client *client = future->client;
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    struct drv_submission *submission = &future->submission;
    if (future->is_done) {
        /* too late */
    } else if (drv_future_take_back(future)) {
        drv_future_complete(future, DROVER_CANCELLED, NULL);
    } else if (submission->state == DRV_SUBMISSION_SENT) {
        future->cancel_wanted = true;
    } else {
        drv_ask_cancel_unattended(client, &future->id, future->index, NULL);
        drv_client_nudge(client);
    }
    return drv_client_leave(client, status);
}

void drover_future_destroy(drover_future **future)
{
    if (future == NULL || *future == NULL) {
        return;
    }
    drover_client *client = (*future)->client;
    if (drv_client_is_foreign(client)) {
        *future = NULL;
        return;
    }
    drv_client_enter_always(client);
    drv_future_drop(future);
    drv_client_end_call(client, DROVER_OK);
}
