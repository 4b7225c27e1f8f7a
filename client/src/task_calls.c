/*
 * task_calls.c: blocking calls about tasks: submit, call, result, wait, cancel, retry, forget.
 */
#include "ask.h"
#include "future.h"

#include <drover/graph.h>

#include <stdlib.h>
#include <string.h>

/* ---- submit and call --------------------------------------------------------------------- */

static void fill_receipt(drover_receipt *receipt, const struct drover_future *future,
                         drover_status status)
{
    receipt->status = future->is_done ? future->status : status;
    receipt->level = future->is_done ? future->level : DROVER_DURABILITY_DEFAULT;
    receipt->id = future->id;
    receipt->attached = future->submission.is_attached;
}

/* The acknowledgement of one submit; one that was never sent is taken back when time is over.
 */
static drover_status await_taken(struct drover_future *future, int64_t deadline_us)
{
    drover_status status = drv_future_await(future, deadline_us);
    if (status == DROVER_OK) {
        return drv_future_explain(future);
    }
    bool never_sent = drv_session_take_back(future->client->session, &future->submission);
    if (never_sent) {
        bool was_busy = drv_session_is_busy(future->client->session);
        future->references--; /* the session's */
        return status == DROVER_TIMEOUT && was_busy ? DROVER_BUSY : status;
    }
    return status;
}

drover_status drover_submit(drover_client *client, const char *type, const drover_value *in,
                            const drover_submit_options *options, drover_id *out_id)
{
    struct drv_draft draft;
    struct drover_future *future = NULL;
    drover_status status = drv_draft_enter(client, &draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_future_submit(client, type, &draft, DRV_SUBMIT_ONLY, &future);
    if (status == DROVER_OK) {
        status = await_taken(future, drv_deadline_us(draft.options.ack_timeout_ms));
        draft.id = future->id;
        drv_future_drop(&future);
    }
    if (status == DROVER_OK && out_id != NULL) {
        *out_id = draft.id;
    }
    drv_draft_fini(&draft);
    return drv_client_leave(client, status);
}

/* Submits items[from..] as far as there is room; returns how many in all. */
static drover_status submit_some(drover_client *client, const char *type,
                                 const drover_value *const *items, size_t count,
                                 const drover_submit_options *options,
                                 struct drover_future **futures, drover_receipt *receipts)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_draft draft;
        drover_status status = drv_draft_init(client, &draft, items[i], options);
        if (status != DROVER_OK) {
            return status;
        }
        status = drv_client_enter(client);
        if (status == DROVER_OK) {
            status = drv_future_make_room(client, draft.options.wait_ms);
            if (status == DROVER_OK) {
                status = drv_future_submit(client, type, &draft, DRV_SUBMIT_ONLY, &futures[i]);
            }
            status = drv_client_leave(client, status);
        }
        receipts[i].id = draft.id;
        drv_draft_fini(&draft);
        if (status != DROVER_OK) {
            receipts[i].status = status;
            return status;
        }
    }
    return DROVER_OK;
}

static drover_status await_all_taken(drover_client *client, struct drover_future **futures,
                                     size_t count, int64_t deadline_us,
                                     drover_receipt *receipts)
{
    drover_status first = DROVER_OK;
    drv_client_enter_always(client);
    for (size_t i = 0; i < count; i++) {
        if (futures[i] == NULL) {
            continue;
        }
        drover_status status = await_taken(futures[i], deadline_us);
        fill_receipt(&receipts[i], futures[i], status);
        first = first != DROVER_OK ? first : status;
        drv_future_drop(&futures[i]);
    }
    return drv_client_leave(client, first);
}

drover_status drover_submit_all(drover_client *client, const char *type,
                                const drover_value *const *items, size_t count,
                                const drover_submit_options *options,
                                drover_receipt *out_receipts)
{
    drover_submit_options resolved;
    const char *reason = NULL;
    drover_status status = drv_options_resolve(options, &resolved, &reason);
    bool is_for_one = resolved.id != NULL || resolved.key != NULL;
    if (status != DROVER_OK || (is_for_one && count > 1)) {
        return status != DROVER_OK ? status : DROVER_INVALID;
    }
    if (!drover_name_is_valid(type)) {
        return DROVER_INVALID;
    }
    struct drover_future **futures = calloc(count + 1, sizeof(struct drover_future *));
    if (futures == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        out_receipts[i] = (drover_receipt){.status = DROVER_NOT_READY};
    }
    int64_t deadline_us = drv_deadline_us(resolved.ack_timeout_ms);
    drover_status submitted = submit_some(client, type, items, count, options, futures,
                                          out_receipts);
    status = await_all_taken(client, futures, count, deadline_us, out_receipts);
    free(futures);
    return status != DROVER_OK ? status : submitted;
}

/* Submits, waits for the end, and lends the outcome with a reference. */
static drover_status call(drover_client *client, const char *type, struct drv_draft *draft,
                          int64_t timeout_ms, drover_outcome **out_outcome)
{
    struct drover_future *future = NULL;
    int64_t deadline_us = drv_deadline_us(timeout_ms);
    drover_status status = drv_future_submit(client, type, draft, DRV_SUBMIT_VALUES, &future);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_future_await(future, deadline_us);
    if (status == DROVER_OK) {
        status = drv_future_explain(future);
    } else {
        (void)drv_future_take_back(future);
    }
    if (status == DROVER_OK) {
        *out_outcome = drv_outcome_ref(future->outcome);
    }
    drv_future_drop(&future);
    return status;
}

drover_status drover_call_outcome(drover_client *client, const char *type,
                                  const drover_value *in, const drover_submit_options *options,
                                  int64_t timeout_ms, drover_outcome **out_outcome)
{
    struct drv_draft draft;
    drover_status status = drv_draft_init(client, &draft, in, options);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_client_enter(client);
    if (status == DROVER_OK) {
        status = call(client, type, &draft, timeout_ms, out_outcome);
        status = drv_client_leave(client, status);
    }
    drv_draft_fini(&draft);
    return status;
}

drover_status drover_call(drover_client *client, const char *type, const drover_value *in,
                          int64_t timeout_ms, drover_value **out_result)
{
    struct drv_draft draft;
    drover_outcome *outcome = NULL;
    drover_status status = drv_draft_init(client, &draft, in, NULL);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_client_enter(client);
    if (status == DROVER_OK) {
        status = call(client, type, &draft, timeout_ms, &outcome);
        if (status == DROVER_OK) {
            status = drv_outcome_explain(client, outcome);
        }
        status = drv_client_leave(client, status);
    }
    if (status == DROVER_OK && out_result != NULL) {
        status = drv_outcome_take_value(outcome, out_result);
    }
    drover_outcome_destroy(&outcome);
    drv_draft_fini(&draft);
    return status;
}

/* ---- results ----------------------------------------------------------------------------- */

/* With a timeout of 0: whether it has ended, by a question, since there is nothing to wait for.
 * OK, TIMEOUT (it has not), UNKNOWN. The lock is held. */
static drover_status ask_ended(drover_client *client, const drover_id *id, uint32_t index)
{
    struct drv_ask ask;
    drv_ask_init(&ask, client, DRV_QUERY);
    ask.pending.message.query = (struct drv_query){
        .topic = DRV_TOPIC_WHY, .has_id = true, .id = *id, .index = index};
    drover_value *state = NULL;
    const char *name = NULL;
    drover_status status = drv_ask_run(&ask, drv_deadline_us(CLIENT_ANSWER_MS));
    if (status == DROVER_OK) {
        status = drover_value_map_get(ask.value, "state", &state);
    }
    if (status == DROVER_OK) {
        status = drover_value_get_string(state, &name, NULL);
    }
    if (status == DROVER_OK) {
        status = DROVER_TIMEOUT;
        for (int i = DROVER_STATE_SUCCEEDED; i <= DROVER_STATE_LOST; i++) {
            if (strcmp(name, drover_state_name((drover_state)i)) == 0) {
                status = DROVER_OK;
            }
        }
    }
    drover_value_destroy(&state);
    drv_ask_fini(&ask);
    return status;
}

/* Waits for the end of one task. The lock is held. */
static drover_status await_end(drover_client *client, const drover_id *id, uint32_t index,
                               bool wants_value, int64_t timeout_ms,
                               drover_outcome **out_outcome)
{
    struct drover_future *future = NULL;
    drover_status status = DROVER_OK;
    if (timeout_ms == 0) {
        status = ask_ended(client, id, index);
    }
    if (status == DROVER_OK) {
        status = drv_future_watch(client, id, index, wants_value, &future);
    }
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_future_await(future, drv_answer_deadline_us(timeout_ms));
    if (status == DROVER_OK) {
        status = drv_future_explain(future);
    }
    if (status == DROVER_OK) {
        *out_outcome = drv_outcome_ref(future->outcome);
    }
    drv_future_drop(&future);
    return status;
}

drover_status drover_result(drover_client *client, const drover_id *id, uint32_t index,
                            int64_t timeout_ms, drover_outcome **out_outcome)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    status = await_end(client, id, index, true, timeout_ms, out_outcome);
    return drv_client_leave(client, status);
}

/* The same for the state alone. The lock is held. */
static drover_status await_state(drover_client *client, const drover_id *id, uint32_t index,
                                 int64_t timeout_ms, drover_state *out_state)
{
    drover_outcome *outcome = NULL;
    drover_status status = await_end(client, id, index, false, timeout_ms, &outcome);
    if (status == DROVER_OK && out_state != NULL) {
        *out_state = outcome->state;
    }
    drover_outcome_destroy(&outcome);
    return status;
}

drover_status drover_wait(drover_client *client, const drover_id *id, uint32_t index,
                          int64_t timeout_ms, drover_state *out_state)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    status = await_state(client, id, index, timeout_ms, out_state);
    return drv_client_leave(client, status);
}

static drover_status watch_all(drover_client *client, const drover_task_ref *tasks,
                               size_t count, struct drover_future **futures)
{
    for (size_t i = 0; i < count; i++) {
        drover_status status = drv_future_watch(client, &tasks[i].id, tasks[i].index, false,
                                                &futures[i]);
        if (status != DROVER_OK) {
            return status;
        }
    }
    return DROVER_OK;
}

/* The worst of all: TIMEOUT and the like end the waiting, UNKNOWN is told at the end. */
static drover_status await_all(struct drover_future **futures, size_t count,
                               int64_t deadline_us)
{
    drover_status result = DROVER_OK;
    for (size_t i = 0; i < count; i++) {
        drover_status status = drv_future_await(futures[i], deadline_us);
        if (status != DROVER_OK) {
            return status;
        }
        if (result == DROVER_OK) {
            result = drv_future_explain(futures[i]);
        }
    }
    return result;
}

drover_status drover_wait_all(drover_client *client, const drover_task_ref *tasks, size_t count,
                              int64_t timeout_ms, drover_state *out_states)
{
    int64_t deadline_us = drv_answer_deadline_us(timeout_ms);
    struct drover_future **futures = calloc(count + 1, sizeof(struct drover_future *));
    if (futures == NULL) {
        return DROVER_NOMEM;
    }
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        free(futures);
        return status;
    }
    status = watch_all(client, tasks, count, futures);
    if (status == DROVER_OK) {
        status = await_all(futures, count, deadline_us);
    }
    for (size_t i = 0; i < count; i++) {
        if (out_states != NULL) {
            bool ended = futures[i] != NULL && futures[i]->outcome != NULL;
            out_states[i] = ended ? futures[i]->outcome->state : (drover_state)0;
        }
        if (futures[i] != NULL) {
            drv_future_drop(&futures[i]);
        }
    }
    free(futures);
    return drv_client_leave(client, status);
}

/* ---- cancel, retry, forget --------------------------------------------------------------- */

/* One request about one task. The lock is held. */
static drover_status run_on_target(struct drv_ask *ask, const struct drv_target *target,
                                   const char *reason, int64_t deadline_us)
{
    ask->pending.message.targets = (struct drv_targets){
        .targets = target, .target_count = 1, .text = drv_str_of(reason)};
    return drv_ask_run(ask, deadline_us);
}

/* out_ended: how many had already ended. The lock is held. */
static drover_status cancel(drover_client *client, const drover_id *id, uint32_t index,
                            const char *reason, int64_t deadline_us, int64_t *out_ended)
{
    struct drv_ask ask;
    struct drv_target target = {.id = *id, .index = index};
    drv_ask_init(&ask, client, DRV_CANCEL);
    drover_status status = run_on_target(&ask, &target, reason, deadline_us);
    *out_ended = ask.number;
    drv_ask_fini(&ask);
    return status;
}

drover_status drover_cancel_request(drover_client *client, const drover_id *id, uint32_t index,
                                    const char *reason, int64_t timeout_ms)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    int64_t ended;
    status = cancel(client, id, index, reason, drv_answer_deadline_us(timeout_ms), &ended);
    return drv_client_leave(client, status);
}

/*
 * Waits for the end of what was cancelled. Forgotten before its end could be seen: the cancel
 * was taken while it had not ended, so that is how it ended. The lock is held.
 */
static drover_status await_cancelled(struct drover_future *future, bool had_ended,
                                     int64_t deadline_us, drover_state *out_state)
{
    drover_status status = drv_future_await(future, deadline_us);
    if (status != DROVER_OK) {
        return status;
    }
    if (future->status == DROVER_UNKNOWN && !had_ended) {
        *out_state = DROVER_STATE_CANCELLED;
        return DROVER_OK;
    }
    status = drv_future_explain(future);
    if (status == DROVER_OK) {
        *out_state = future->outcome->state;
    }
    return status;
}

/* Watched before it is cancelled: whoever submitted it may have it forgotten as soon as it has
 * ended. The lock is held. */
static drover_status watch_and_cancel(drover_client *client, const drover_id *id,
                                      uint32_t index, const char *reason, int64_t deadline_us,
                                      drover_state *out_state)
{
    struct drover_future *future = NULL;
    int64_t ended = 0;
    drover_status status = drv_future_watch(client, id, index, false, &future);
    if (status != DROVER_OK) {
        return status;
    }
    drv_session_watch_first(client->session);
    status = cancel(client, id, index, reason, deadline_us, &ended);
    if (status == DROVER_OK) {
        status = await_cancelled(future, ended > 0, deadline_us, out_state);
    }
    drv_future_drop(&future);
    return status;
}

drover_status drover_cancel(drover_client *client, const drover_id *id, uint32_t index,
                            const char *reason, int64_t timeout_ms, drover_state *out_state)
{
    drover_state state;
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    status = watch_and_cancel(client, id, index, reason, drv_answer_deadline_us(timeout_ms),
                              out_state == NULL ? &state : out_state);
    return drv_client_leave(client, status);
}

drover_status drover_group_cancel(drover_client *client, const char *group, const char *reason,
                                  int64_t timeout_ms, uint64_t *out_count)
{
    struct drv_ask ask;
    if (!drover_name_is_valid(group)) {
        return DROVER_INVALID;
    }
    drv_ask_init(&ask, client, DRV_CANCEL);
    ask.pending.message.targets = (struct drv_targets){.text = drv_str_of(reason),
                                                       .group = drv_str_of(group)};
    drover_status status = drv_ask_call(&ask, timeout_ms);
    if (status == DROVER_OK && out_count != NULL) {
        *out_count = (uint64_t)ask.number;
    }
    drv_ask_fini(&ask);
    return status;
}

/* The target gets its new id. */
static drover_status retry(drover_client *client, struct drv_target *target, int64_t timeout_ms,
                           drover_id *out_new_id)
{
    struct drv_ask ask;
    drover_status status = drover_id_new(&target->new_id);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    drv_ask_init(&ask, client, DRV_RETRY);
    status = run_on_target(&ask, target, NULL, drv_answer_deadline_us(timeout_ms));
    drv_ask_fini(&ask);
    if (status == DROVER_OK && out_new_id != NULL) {
        *out_new_id = target->new_id;
    }
    return drv_client_leave(client, status);
}

drover_status drover_retry(drover_client *client, const drover_id *id, uint32_t index,
                           int64_t timeout_ms, drover_id *out_new_id)
{
    struct drv_target target = {.id = *id, .index = index};
    return retry(client, &target, timeout_ms, out_new_id);
}

drover_status drover_retry_after(drover_client *client, const drover_id *id, uint32_t index,
                                 const drover_dependency *after, size_t after_count,
                                 int64_t timeout_ms, drover_id *out_new_id)
{
    struct drv_after parents[DRV_AFTER_MAX];
    struct drv_target target = {.id = *id,
                                .index = index,
                                .after = parents,
                                .after_count = after_count,
                                .flags = DRV_RETRY_ALONE};
    if (after_count > DRV_AFTER_MAX) {
        return DROVER_INVALID;
    }
    for (size_t i = 0; i < after_count; i++) {
        parents[i] = (struct drv_after){
            .id = after[i].id, .index = after[i].index, .when = after[i].always ? 2 : 1};
    }
    return retry(client, &target, timeout_ms, out_new_id);
}

drover_status drover_forget(drover_client *client, const drover_id *id, uint32_t index,
                            int64_t timeout_ms)
{
    struct drv_ask ask;
    struct drv_target target = {.id = *id, .index = index};
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    drv_ask_init(&ask, client, DRV_FORGET);
    status = run_on_target(&ask, &target, NULL, drv_answer_deadline_us(timeout_ms));
    drv_ask_fini(&ask);
    return drv_client_leave(client, status);
}
