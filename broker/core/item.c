/*
 * item.c: how attempts and tasks end.
 */
#include "array.h"
#include "backoff.h"
#include "broker.h"
#include "cancel.h"
#include "check.h"

static uint32_t payload_hash(const struct core *core, const struct drv_val *val)
{
    return (uint32_t)core_stable_hash(core, val->bytes, val->len);
}

bool task_payload_equals(const struct core *core, const struct task *task,
                         const struct drv_val *val)
{
    if (task->unit.state != DROVER_STATE_SUCCEEDED) {
        return body_equals(task->payload, val);
    }
    return task->payload_len == val->len && task->payload_hash == payload_hash(core, val);
}

void task_give_up_payload(struct core *core, struct task *task)
{
    struct drv_val val = body_val(task->payload);
    task->payload_hash = payload_hash(core, &val);
    body_release(core, &task->payload);
}

static void item_store(struct core *core, const struct item *item, struct body **result,
                       struct failure **error)
{
    item->unit->result = result == NULL ? NULL : *result;
    if (result != NULL) {
        *result = NULL;
    }
    bool is_element = item->index != DROVER_INDEX_NONE;
    bool has_error = error != NULL && *error != NULL;
    if (is_element && !has_error && item->unit->more == NULL) {
        return; /* an element that just succeeded stays small */
    }
    struct more *more = unit_more(core, item->unit);
    if (more == NULL) {
        if (has_error) {
            failure_free(core, error);
        }
        return;
    }
    more->ended_us = core->now_us;
    if (has_error) {
        more->error = *error;
        *error = NULL;
    }
}

void item_end(struct core *core, const struct item *item, enum drover_state state,
              struct body **result, struct failure **error)
{
    DRV_ASSERT(!unit_is_terminal(item->unit));
    item_unplace(core, item);
    struct lease *lease = item->unit->lease;
    if (lease != NULL) {
        lease_free(core, lease);
    }
    item_store(core, item, result, error);
    item_set_state(core, item, state);
    item->unit->flags &= (uint8_t) ~(UNIT_SUSPECT | UNIT_CANCELLING);
    effects_record_item(core, CORE_RECORD_ENDED, item, NULL);
    event_item(core, DRV_EVENT_TASK_ENDED, item);
    output_ended(core, item);
    if (item->unit->more != NULL && item->unit->more->deps != NULL) {
        deps_ended(core, item);
    }
    if (item->index != DROVER_INDEX_NONE) {
        array_note_end(core, item->task->array, item->index);
        return;
    }
    if (!task_is_array(item->task) && state == DROVER_STATE_SUCCEEDED) {
        task_give_up_payload(core, item->task);
    }
    if (item->task->spec->schedule != NULL) {
        schedule_task_ended(core, item->task);
    }
    unit_untie(core, item->unit);
    watch_ended(core, item);
    task_retain(core, item->task);
}

void item_end_with(struct core *core, const struct item *item, enum drover_state state,
                   enum drover_error_kind kind, uint32_t flags, const char *text)
{
    struct failure *error = failure_of(core, kind, flags, text);
    item_end(core, item, state, NULL, &error);
}

void item_cancel(struct core *core, const struct item *item, const char *text)
{
    item_end_with(core, item, DROVER_STATE_CANCELLED, DROVER_ERROR_CANCELLED, 0, text);
}

void item_expire(struct core *core, const struct item *item)
{
    item_end_with(core, item, DROVER_STATE_EXPIRED, DROVER_ERROR_EXPIRED, 0, ITEM_EXPIRED_TEXT);
}

/* --- attempts ---------------------------------------------------------------------------- */

int64_t item_ready_us(const struct item *item)
{
    const struct more *more = item->unit->more;
    return more != NULL && more->history_count > 0
               ? more->history[more->history_count - 1].ended_us
               : item->task->submitted_us;
}

static uint64_t between(int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (uint64_t)(to_us - from_us) : 0;
}

/* Of an attempt that nothing is known of but that it ended. */
static struct attempt attempt_now(const struct core *core, const struct item *item,
                                  struct who *who, uint8_t outcome, bool was_started)
{
    const struct lease *lease = item->unit->lease;
    return (struct attempt){
        .who = who,
        .queued_us = lease == NULL ? 0 : between(item_ready_us(item), lease->since_us),
        .ended_us = core->now_us,
        .attempt = item->unit->attempt,
        .exit_code = -1,
        .outcome = outcome,
        .was_started = was_started,
    };
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

/*
 * Where the time since the lease has gone. The worker says by its own clock how long the
 * attempt waited there, ran, and was held; what it does not account for was spent on the way,
 * there and back, and is halved: clocks of two machines are never compared.
 */
static void divide_time(struct attempt *attempt, const struct drv_result *result,
                        uint64_t total_us)
{
    uint64_t left_us = total_us - at_most(result->run_us, total_us);
    uint64_t wait_us = at_most(result->wait_us, left_us);
    uint64_t hold_us = at_most(result->hold_us, left_us - wait_us);
    left_us -= wait_us + hold_us;
    attempt->transfer_us = wait_us + left_us / 2;
    attempt->return_us = hold_us + left_us - left_us / 2;
}

static void remember_result(struct core *core, const struct item *item,
                            const struct drv_result *result, struct who *who)
{
    struct attempt attempt = attempt_now(core, item, who, (uint8_t)result->outcome, true);
    attempt.run_us = result->run_us;
    attempt.exit_code = result->error.kind == 0 ? -1 : result->error.exit_code;
    attempt.signal = result->error.signal;
    attempt.has_usage = result->has_usage;
    attempt.user_us = result->usage.user_us;
    attempt.system_us = result->usage.system_us;
    attempt.peak_rss_bytes = result->usage.peak_rss_bytes;
    attempt.kept = (uint8_t)result->usage.kept;
    if (item->unit->lease != NULL) {
        divide_time(&attempt, result, between(item->unit->lease->since_us, core->now_us));
    }
    history_add(core, item->unit, &attempt);
}

static const char WHILE_IT_RAN[] = "cancelled while it ran"; /* as workers say it, too */

static void item_end_cancelled(struct core *core, const struct item *item,
                               const struct drv_result *result)
{
    struct drv_error error = result->error;
    error.kind = DROVER_ERROR_CANCELLED;
    error.flags = 0;
    if (error.text.len == 0 || str_equals(error.text, drv_str_of(WHILE_IT_RAN))) {
        error.text = drv_str_of(cancel_text_of(item->unit, WHILE_IT_RAN));
    }
    if (result->error.kind == 0) {
        error.exit_code = -1;
    }
    struct failure *failure = failure_new(core, &error);
    item_end(core, item, DROVER_STATE_CANCELLED, NULL, &failure);
}

static void item_retry_later(struct core *core, const struct item *item, uint32_t error_kind)
{
    const struct spec_numbers *numbers = &item->task->spec->numbers;
    struct drv_backoff backoff = {.base_ms = numbers->backoff_ms,
                                  .max_ms = numbers->backoff_max_ms};
    uint64_t delay_ms = drv_backoff_delay_ms(&backoff, item->unit->failures, &core->rng);
    if (item->unit->failures < UINT16_MAX) {
        item->unit->failures++;
    }
    core->counters.retried++;
    item_delay(core, item, core->now_us + us_of_ms(delay_ms));
    struct core_record record = {
        .kind = CORE_RECORD_REQUEUED,
        .id = item->task->id,
        .index = item->index,
        .attempt = item->unit->attempt,
        .state = item->unit->state,
        .charged = true,
    };
    effects_record(core, &record);
    event_retried(core, item, error_kind, delay_ms);
}

/* A failure may leave a value too: what a command printed that did not exit with 0. */
static void item_failed(struct core *core, const struct item *item,
                        const struct drv_result *result, struct body **val)
{
    struct drv_error error = result->error;
    if (error.kind == DROVER_ERROR_NONE || error.kind > DROVER_ERROR_EXPIRED) {
        error.kind = DROVER_ERROR_HANDLER;
    }
    bool may_retry = item->unit->failures < item->task->spec->numbers.retries &&
                     !(error.flags & DRV_ERROR_PERMANENT);
    if (may_retry) {
        item_retry_later(core, item, error.kind);
        return;
    }
    struct failure *failure = failure_new(core, &error);
    item_end(core, item, DROVER_STATE_FAILED, val, &failure);
}

void item_result(struct core *core, const struct item *item, const struct drv_result *result,
                 struct body **val, struct who *who)
{
    struct unit *unit = item->unit;
    unit->flags |= UNIT_REPORTED;
    unit->flags &= (uint8_t)~UNIT_SUSPECT;
    unit->run_us = result->run_us > UINT32_MAX ? UINT32_MAX : (uint32_t)result->run_us;
    bool is_plain = item->index != DROVER_INDEX_NONE && unit->attempt == 1 &&
                    result->outcome == DRV_OUTCOME_SUCCEEDED;
    if (!is_plain) {
        remember_result(core, item, result, who);
    }
    if (unit->flags & UNIT_CANCELLING) {
        item_end_cancelled(core, item, result);
    } else if (result->outcome == DRV_OUTCOME_SUCCEEDED) {
        item_end(core, item, DROVER_STATE_SUCCEEDED, val, NULL);
    } else {
        item_failed(core, item, result, val);
    }
}

/* The record of an attempt that was taken away, free of charge or not. */
static void record_taken(struct core *core, const struct item *item, bool charged,
                         const struct who *who)
{
    struct core_record record = {
        .kind = CORE_RECORD_REQUEUED,
        .id = item->task->id,
        .index = item->index,
        .attempt = item->unit->attempt,
        .state = DROVER_STATE_QUEUED,
        .charged = charged,
        .session = who->session,
    };
    effects_record(core, &record);
    save_item(core, item);
}

static void record_awaits(struct core *core, const struct item *item, const struct who *who)
{
    struct core_record record = {
        .kind = CORE_RECORD_REQUEUED,
        .id = item->task->id,
        .index = item->index,
        .attempt = item->unit->attempt,
        .state = DROVER_STATE_WAITING,
        .session = who->session,
    };
    effects_record(core, &record);
}

void item_awaits(struct core *core, const struct item *item, struct who *who)
{
    struct attempt attempt = attempt_now(core, item, who, OUTCOME_AWAITED, true);
    history_add(core, item->unit, &attempt);
    item->unit->flags |= UNIT_REPORTED;
    item->unit->flags &= (uint8_t)~UNIT_SUSPECT;
    if (item->unit->flags & UNIT_CANCELLING) {
        item_cancel(core, item, cancel_text_of(item->unit, WHILE_IT_RAN));
        return;
    }
    record_awaits(core, item, who);
    deps_wait(core, item);
    event_item(core, DRV_EVENT_TASK_WAITING, item);
}

void item_interrupted(struct core *core, const struct item *item, struct who *who)
{
    struct attempt attempt = attempt_now(core, item, who, OUTCOME_INTERRUPTED, true);
    history_add(core, item->unit, &attempt);
    if (item->unit->flags & UNIT_CANCELLING) {
        item_cancel(core, item, cancel_text_of(item->unit, WHILE_IT_RAN));
        return;
    }
    item->unit->flags |= UNIT_SUSPECT;
    core->counters.requeued_free++;
    record_taken(core, item, core->config.defects.charge_interrupted, who); /* defect */
    item_queue(core, item, true);
}

void item_lost(struct core *core, const struct item *item, bool was_started, struct who *who)
{
    struct unit *unit = item->unit;
    struct attempt attempt = attempt_now(core, item, who, OUTCOME_LOST, was_started);
    history_add(core, unit, &attempt);
    if (unit->flags & UNIT_CANCELLING) {
        item_end_with(core, item, DROVER_STATE_CANCELLED, DROVER_ERROR_CANCELLED,
                      DRV_ERROR_UNCONFIRMED, "cancelled; the worker that held it was lost");
        return;
    }
    if (core->config.defects.forget_on_requeue) {
        return; /* defect: in no line, so it never runs */
    }
    bool charged = was_started || core->config.defects.charge_unstarted; /* defect */
    if (charged) {
        unit->losses++;
        core->counters.charged++;
    } else {
        unit->flags |= UNIT_SUSPECT;
        core->counters.requeued_free++;
    }
    record_taken(core, item, charged, who);
    if (charged && unit->losses > item->task->spec->numbers.loss_budget) {
        item_end_with(core, item, DROVER_STATE_FAILED, DROVER_ERROR_LOST, 0,
                      "the worker was lost while it ran, once too often");
        return;
    }
    item_queue(core, item, true);
    event_requeued(core, item, charged);
}
