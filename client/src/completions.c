/*
 * completions.c: a set of futures and the line of those that are done.
 */
#include "future.h"

#include "check.h"

#include <stdlib.h>

struct drover_completions {
    drover_client *client;
    bool wants_values;
    struct drv_list outstanding; /* of struct drover_future, by owner_link */
    struct drv_list ready;       /* the same, in the order of completion */
    size_t count;                /* in both */
    size_t taken;                /* by the user since the last submit */
};

static void on_done(struct drover_future *future)
{
    struct drover_completions *completions = future->owner;
    drv_list_remove(&future->owner_link);
    drv_list_push_back(&completions->ready, &future->owner_link);
}

/* Who takes several results before the next submit goes round in a loop: there will be more
 * submits, and then a wait. */
static bool will_go_on(struct drover_completions *completions)
{
    bool is_loop = completions->taken > 1;
    completions->taken = 0;
    return is_loop;
}

static void adopt(struct drover_completions *completions, struct drover_future *future)
{
    future->owner = completions;
    future->on_done = on_done;
    future->is_kept = true;
    completions->count++;
    drv_list_push_back(&completions->outstanding, &future->owner_link);
}

drover_status drover_completions_new(drover_client *client, unsigned flags,
                                     drover_completions **out_completions)
{
    if (flags != DROVER_COMPLETIONS_VALUES && flags != DROVER_COMPLETIONS_STATES) {
        return DROVER_INVALID;
    }
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    drover_completions *completions = calloc(1, sizeof(*completions));
    status = completions == NULL ? DROVER_NOMEM : drv_client_ensure_thread(client);
    if (status == DROVER_OK) {
        completions->client = client;
        completions->wants_values = flags == DROVER_COMPLETIONS_VALUES;
        drv_list_init(&completions->outstanding);
        drv_list_init(&completions->ready);
        *out_completions = completions;
    } else {
        free(completions);
    }
    return drv_client_leave(client, status);
}

drover_status drover_completions_add(drover_completions *completions, const drover_id *id,
                                     uint32_t index)
{
    drover_client *client = completions->client;
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    struct drover_future *future = NULL;
    status = drv_future_watch(client, id, index, completions->wants_values, &future);
    if (status == DROVER_OK) {
        adopt(completions, future);
        drv_client_offer(client, 0, false);
    }
    return drv_client_leave(client, status);
}

drover_status drover_completions_submit(drover_completions *completions, const char *type,
                                        const drover_value *in,
                                        const drover_submit_options *options, drover_id *out_id)
{
    drover_client *client = completions->client;
    struct drv_draft draft;
    struct drover_future *future = NULL;
    drover_status status = drv_draft_enter(client, &draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_future_make_room(client, draft.options.wait_ms);
    if (status == DROVER_OK) {
        status = drv_future_submit(
            client, type, &draft,
            completions->wants_values ? DRV_SUBMIT_VALUES : DRV_SUBMIT_STATES, &future);
    }
    if (status == DROVER_OK) {
        adopt(completions, future);
        drv_client_offer(client, drv_payload_len(&future->submission.payload),
                         will_go_on(completions));
        if (out_id != NULL) {
            *out_id = draft.id;
        }
    }
    drv_draft_fini(&draft);
    return drv_client_leave(client, status);
}

static bool has_ready(void *context)
{
    const struct drover_completions *completions = context;
    return !drv_list_is_empty(&completions->ready);
}

/* The outcome of a future that is done, made up when there was no task. */
static drover_status outcome_of(struct drover_future *future, drover_outcome **out_outcome)
{
    if (future->outcome != NULL) {
        *out_outcome = drv_outcome_ref(future->outcome);
        return DROVER_OK;
    }
    const char *text = future->text != NULL ? future->text : drover_status_text(future->status);
    return drv_outcome_new_refused(&future->id, future->index, future->status, text,
                                   out_outcome);
}

drover_status drover_completions_next(drover_completions *completions, int64_t timeout_ms,
                                      drover_outcome **out_outcome)
{
    drover_client *client = completions->client;
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    if (completions->count == 0) {
        return drv_client_leave(
            client, drv_client_say(client, DROVER_UNKNOWN, "nothing is left to wait for"));
    }
    if (!has_ready(completions)) {
        status = drv_client_wait(client, has_ready, completions, drv_deadline_us(timeout_ms));
    }
    if (status == DROVER_OK) {
        struct drover_future *future = DRV_LIST_ITEM(drv_list_first(&completions->ready),
                                                     struct drover_future, owner_link);
        status = outcome_of(future, out_outcome);
        if (status == DROVER_OK) {
            completions->count--;
            completions->taken++;
            drv_future_drop(&future);
        }
    }
    return drv_client_leave(client, status);
}

size_t drover_completions_count(const drover_completions *completions)
{
    return completions->count;
}

static void drop_all(struct drv_list *head)
{
    struct drv_list *link;
    while ((link = drv_list_first(head)) != NULL) {
        struct drover_future *future = DRV_LIST_ITEM(link, struct drover_future, owner_link);
        drv_future_drop(&future);
    }
}

void drover_completions_destroy(drover_completions **completions)
{
    if (completions == NULL || *completions == NULL) {
        return;
    }
    drover_completions *c = *completions;
    *completions = NULL;
    if (drv_client_is_foreign(c->client)) {
        return;
    }
    drv_client_enter_always(c->client);
    drop_all(&c->outstanding);
    drop_all(&c->ready);
    drv_client_end_call(c->client, DROVER_OK);
    free(c);
}
