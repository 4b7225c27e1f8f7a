/*
 * save_task.c: the records of tasks, arrays, their runs and elements.
 */
#include "broker.h"
#include "check.h"
#include "save_parts.h"

enum {
    UNIT_KEPT = UNIT_SUSPECT | UNIT_CANCELLING | UNIT_STARTED | UNIT_REPORTED | UNIT_DROPPED,
    TASK_KEPT = TASK_IS_ARRAY | TASK_WATCHED | TASK_STATES | TASK_RELEASE | TASK_DISCARD
};

/* --- options ----------------------------------------------------------------------------- */

void save_put_spec(struct record_writer *writer, const struct spec *spec,
                   const struct claim *claim)
{
    const struct spec_numbers *numbers = &spec->numbers;
    _Static_assert(sizeof(struct spec_numbers) == 152,
                   "a new option goes into the record, too");
    const struct {
        unsigned bit;
        uint64_t number;
    } parts[] = {
        {SPEC_DELAY, (uint64_t)numbers->delay_us},
        {SPEC_EXPIRE, (uint64_t)numbers->expire_us},
        {SPEC_TIMEOUT, numbers->timeout_ms},
        {SPEC_BACKOFF, numbers->backoff_ms},
        {SPEC_BACKOFF_MAX, numbers->backoff_max_ms},
        {SPEC_KEEP, (uint64_t)(numbers->keep_us + 1)},
        {SPEC_RETRIES, numbers->retries},
        {SPEC_LOSSES, (uint64_t)(uint32_t)numbers->loss_budget},
        {SPEC_PRIORITY, (uint64_t)(uint8_t)(numbers->priority + 128) ^ 128},
        {SPEC_REQUIRE, numbers->require_len},
        {SPEC_TAGS, numbers->tags_len},
        {SPEC_META, numbers->meta_len},
        {SPEC_NEEDS, numbers->needs_len},
        {SPEC_FAIRNESS, numbers->fairness_len},
        {SPEC_MEMORY, numbers->limits[SPEC_LIMIT_MEMORY]},
        {SPEC_CPU, numbers->limits[SPEC_LIMIT_CPU]},
        {SPEC_OUTPUT, numbers->limits[SPEC_LIMIT_OUTPUT]},
        {SPEC_PROCESSES, numbers->limits[SPEC_LIMIT_PROCESSES]},
        {SPEC_FILES, numbers->limits[SPEC_LIMIT_FILES]},
        {SPEC_SCHEDULE, numbers->schedule_len},
        {SPEC_GROUP, numbers->group_len},
        {SPEC_KEY, claim == NULL ? 0 : claim->key->text_len},
        {SPEC_KEY_WINDOW, claim == NULL ? 0 : (uint64_t)claim->window_us},
        {SPEC_KEY_SERIAL, claim == NULL ? 0 : claim->serial},
        {SPEC_OWNER, numbers->owner_len},
    };
    unsigned mask = 0;
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts); i++) {
        mask |= parts[i].number != 0 ? parts[i].bit : 0;
    }
    record_put_uint(writer, mask);
    record_put_u8(writer, (uint8_t)numbers->level);
    record_put_uint(writer, numbers->type_len);
    record_put_uint(writer, numbers->queue_len);
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts); i++) {
        if (mask & parts[i].bit) {
            record_put_uint(writer, parts[i].number);
        }
    }
    record_put_raw(writer, spec->tail, spec->tail_len);
    if (claim != NULL) {
        record_put_raw(writer, key_word(claim->key).ptr, claim->key->text_len);
    }
}

/* --- what most have not ------------------------------------------------------------------ */

static void put_error(struct record_writer *writer, const struct failure *failure)
{
    struct drv_error error = failure_view(failure);
    record_put_uint(writer, error.kind);
    record_put_uint(writer, error.flags);
    record_put_int(writer, error.exit_code);
    record_put_uint(writer, error.signal);
    record_put_str(writer, error.code);
    record_put_str(writer, error.text);
    record_put_str(writer, error.stderr_tail);
}

static void put_attempt(struct record_writer *writer, const struct attempt *attempt,
                        int64_t ended_us)
{
    const struct who *who = attempt->who;
    record_put_uint(writer, attempt->attempt);
    record_put_u8(writer, attempt->outcome);
    record_put_u8(writer, (uint8_t)((attempt->was_started ? ATTEMPT_STARTED : 0) |
                                    (attempt->has_usage ? ATTEMPT_USAGE : 0) |
                                    (who != NULL ? ATTEMPT_WHO : 0) |
                                    attempt->kept << ATTEMPT_KEPT_SHIFT));
    record_put_uint(writer, attempt->queued_us);
    record_put_uint(writer, attempt->transfer_us);
    record_put_uint(writer, attempt->run_us);
    record_put_uint(writer, attempt->return_us);
    record_put_int(writer, attempt->exit_code);
    record_put_uint(writer, attempt->signal);
    record_put_int(writer, ended_us - attempt->ended_us);
    if (attempt->has_usage) {
        record_put_uint(writer, attempt->user_us);
        record_put_uint(writer, attempt->system_us);
        record_put_uint(writer, attempt->peak_rss_bytes);
    }
    if (who != NULL) {
        record_put_str(writer, str_of(who->text, who->name_len));
        record_put_str(writer, str_of(who->text + who->name_len, who->host_len));
    }
}

static void put_more(struct core *core, struct record_writer *writer, const struct more *more)
{
    int64_t base_us = more->ended_us != 0 ? more->ended_us : core->now_us;
    record_put_u8(writer, (uint8_t)((more->error != NULL ? MORE_ERROR : 0) |
                                    (more->history_count > 0 ? MORE_HISTORY : 0) |
                                    (more->has_retry_of ? MORE_RETRY_OF : 0) |
                                    (more->has_retried_as ? MORE_RETRIED : 0) |
                                    (more->rounds > 0 ? MORE_ROUNDS : 0)));
    record_put_fixed(writer, save_wall(core, base_us));
    if (more->error != NULL) {
        put_error(writer, more->error);
    }
    if (more->history_count > 0) {
        record_put_u8(writer, more->history_count);
    }
    for (unsigned i = 0; i < more->history_count; i++) {
        put_attempt(writer, &more->history[i], base_us);
    }
    if (more->has_retry_of) {
        record_put_id(writer, &more->retry_of);
        record_put_uint(writer, more->retry_of_index);
    }
    if (more->has_retried_as) {
        record_put_id(writer, &more->retried_as);
    }
    if (more->rounds > 0) {
        record_put_u8(writer, more->rounds);
    }
}

static bool more_is_worth_it(const struct unit *unit)
{
    const struct more *more = unit->more;
    if (more == NULL || unit->flags & UNIT_SAVED) {
        return false;
    }
    return more->error != NULL || more->history_count > 0 || more->has_retry_of ||
           more->has_retried_as || more->ended_us != 0;
}

/* --- units ------------------------------------------------------------------------------- */

static void put_lease(struct core *core, struct record_writer *writer,
                      const struct lease *lease)
{
    record_put_uint(writer, lease->worker->session->handle.generation);
    record_put_u8(writer, lease->flags & (LEASE_STARTED | LEASE_CONFIRM));
    record_put_fixed(writer, save_wall(core, lease->since_us));
    if (lease->flags & LEASE_STARTED) {
        record_put_int(writer, lease->started_us - lease->since_us);
    }
}

static void put_array(struct record_writer *writer, const struct array *array)
{
    record_put_u8(writer, (uint8_t)((array->is_sealed ? ARRAY_PART_SEALED : 0) |
                                    (array->is_cancelled ? ARRAY_PART_CANCELLED : 0) |
                                    (array->keeps_payloads ? ARRAY_PART_KEEPS : 0)));
    record_put_uint(writer, array->seal);
}

/* Until when it is delayed: by the wall clock, and how long from now. */
static void put_timer(struct core *core, struct record_writer *writer,
                      const struct timer *timer)
{
    int64_t at_us = timer_at_us(core, timer);
    record_put_fixed(writer, save_wall(core, at_us));
    record_put_uint(writer, at_us > core->now_us ? (uint64_t)(at_us - core->now_us) : 0);
}

static const struct place *place_of(const struct item *item)
{
    const struct lease *lease = unit_lease(item->unit);
    if (item->index == DROVER_INDEX_NONE) {
        return unit_is_terminal(item->unit) ? NULL : &item->task->place;
    }
    return lease == NULL ? NULL : &lease->place;
}

static const struct timer *delay_of(const struct item *item)
{
    const struct lease *lease = unit_lease(item->unit);
    const struct timer *timer = NULL;
    if (item->unit->state == DROVER_STATE_DELAYED && item->index == DROVER_INDEX_NONE) {
        timer = &item->task->timer;
    } else if (item->unit->state == DROVER_STATE_DELAYED && lease != NULL) {
        timer = &lease->timer;
    }
    return timer != NULL && timer_is_armed(timer) ? timer : NULL;
}

static uint8_t unit_parts(const struct item *item)
{
    const struct unit *unit = item->unit;
    const struct lease *lease = unit_lease(unit);
    const struct place *place = place_of(item);
    bool is_task = item->index == DROVER_INDEX_NONE;
    bool is_new_end = unit_is_terminal(unit) && !(unit->flags & UNIT_SAVED);
    return (uint8_t)((is_task ? PART_FLAGS : 0) |
                     (is_task && task_is_array(item->task) ? PART_ARRAY : 0) |
                     (lease != NULL && lease->worker != NULL ? PART_LEASE : 0) |
                     (place != NULL && place->arrival > 0 ? PART_ARRIVAL : 0) |
                     (delay_of(item) != NULL ? PART_TIMER : 0) |
                     (more_is_worth_it(unit) ? PART_MORE : 0) |
                     (is_new_end && unit->result != NULL ? PART_RESULT : 0) |
                     (!is_task && lease != NULL ? PART_POSITION : 0));
}

/* All but the result, whose bytes stand at the end of the record. */
static uint8_t put_unit(struct core *core, struct record_writer *writer,
                        const struct item *item)
{
    struct unit *unit = item->unit;
    uint8_t parts = unit_parts(item);
    record_put_u8(writer, parts);
    record_put_u8(writer, unit->state);
    record_put_u8(writer, unit->flags & UNIT_KEPT);
    record_put_uint(writer, unit->attempt);
    record_put_uint(writer, unit->failures);
    record_put_uint(writer, unit->losses);
    record_put_uint(writer, unit->run_us);
    if (parts & PART_FLAGS) {
        bool is_tied = unit->more != NULL && unit->more->tie != NULL;
        record_put_u8(writer,
                      (uint8_t)((item->task->flags & TASK_KEPT) | (is_tied ? TASK_TIED : 0)));
    }
    if (parts & PART_ARRAY) {
        put_array(writer, item->task->array);
    }
    if (parts & PART_LEASE) {
        put_lease(core, writer, unit->lease);
    }
    if (parts & PART_ARRIVAL) {
        record_put_uint(writer, place_of(item)->arrival);
    }
    if (parts & PART_TIMER) {
        put_timer(core, writer, delay_of(item));
    }
    if (parts & PART_MORE) {
        put_more(core, writer, unit->more);
    }
    unit->flags |= unit_is_terminal(unit) ? UNIT_SAVED : 0;
    return parts;
}

void save_put_unit(struct core *core, const struct item *item)
{
    struct record_writer writer = save_begin(core, CORE_SAVE_UNIT, &item->task->id,
                                             item->index);
    struct drv_val result = {.is_nil = true};
    if (put_unit(core, &writer, item) & PART_RESULT) {
        result = body_val(item->unit->result);
        record_put_val_head(&writer, &result);
    }
    save_end(core, &writer, &result);
    if (item->index != DROVER_INDEX_NONE) {
        item->unit->mark = save_mark(core);
    }
}

/* --- tasks ------------------------------------------------------------------------------- */

void save_put_task(struct core *core, struct task *task)
{
    struct item item = item_of_task(task);
    struct session *owner = session_by_handle(core, task->owner);
    struct record_writer writer = save_begin(core, CORE_SAVE_TASK, &task->id,
                                             DROVER_INDEX_NONE);
    save_put_spec(&writer, task->spec, task_claim(task));
    record_put_uint(&writer, owner == NULL ? 0 : owner->handle.generation);
    record_put_fixed(&writer, save_wall(core, task->submitted_us));
    record_put_uint(&writer, task->payload_len);
    record_put_uint(&writer, task->payload_hash);
    if (put_unit(core, &writer, &item) & PART_RESULT) {
        struct drv_val result = body_val(task->unit.result);
        record_put_val(&writer, &result);
    }
    struct drv_val payload = body_val(task_is_array(task) ? task->array->with : task->payload);
    record_put_val_head(&writer, &payload);
    save_end(core, &writer, &payload);
    task->flags |= TASK_SAVED;
    task->unit.mark = save_mark(core);
}

static void count_gone(struct core *core, const struct task *task, unsigned state,
                       uint64_t count)
{
    core->gone[state] += count;
    if (task->spec->group != NULL) {
        group_forget(core, task->spec->group, state, count);
    }
}

void save_forget(struct core *core, const struct task *task)
{
    if (!task_is_array(task)) {
        count_gone(core, task, task->unit.state, 1);
    }
    for (unsigned state = 0; task_is_array(task) && state <= DROVER_STATE_LOST; state++) {
        count_gone(core, task, state, task->array->states[state]);
    }
    if (!save_wants(core, task)) {
        return;
    }
    struct record_writer writer = save_begin(core, CORE_SAVE_FORGET, &task->id,
                                             DROVER_INDEX_NONE);
    record_put_u8(&writer, task_is_array(task) ? 0 : task->unit.state);
    for (unsigned state = DROVER_STATE_SUCCEEDED;
         task_is_array(task) && state <= DROVER_STATE_LOST; state++) {
        record_put_uint(&writer, task->array->states[state]);
    }
    save_end(core, &writer, NULL);
}

void save_retried(struct core *core, const struct item *item)
{
    if (save_wants(core, item->task)) {
        struct record_writer writer = save_begin(core, CORE_SAVE_RETRIED, &item->task->id,
                                                 item->index);
        record_put_id(&writer, &item->unit->more->retried_as);
        record_put_u8(&writer, item->unit->more->rounds);
        save_end(core, &writer, NULL);
    }
}

/* --- runs -------------------------------------------------------------------------------- */

/* The arrival number of its first element; 0: none yet. */
static uint64_t run_arrival(const struct run *run)
{
    return run->place.arrival == 0 ? 0 : run->place.arrival - (run->next - run->first);
}

/* Its record, or what that would say of the value. */
static struct element element_of(struct run *run, uint32_t index)
{
    const struct element *element = array_element(run->task->array, index);
    return element != NULL ? *element : run_element(run, index);
}

/* The bytes of all values that are still needed, one behind the other. */
static void put_values(struct record_writer *writer, struct run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        struct element element = element_of(run, run->first + i);
        if (!(element.flags & (ELEMENT_FREED | ELEMENT_NIL))) {
            struct drv_val val = element_payload(run->task->array, &element);
            record_put_raw(writer, val.content_type.ptr, val.content_type.len);
            record_put_raw(writer, val.bytes, val.len);
        }
    }
}

static void put_element(struct record_writer *writer, const struct array *array,
                        const struct element *element)
{
    bool is_freed = (element->flags & ELEMENT_FREED) != 0;
    struct drv_val val = element_payload(array, element);
    record_put_u8(writer, element->flags & (ELEMENT_FREED | ELEMENT_NIL));
    record_put_uint(writer, is_freed ? 0 : val.content_type.len);
    record_put_uint(writer, element->len);
    if (is_freed) {
        record_put_uint(writer, element->offset);
    }
}

/* How all has ended that has no record. */
static void put_end(struct core *core, struct record_writer *writer, const struct run *run)
{
    record_put_u8(writer, run->unit.state);
    record_put_fixed(writer, save_wall(core, run->unit.more->ended_us));
    put_error(writer, run->unit.more->error);
}

void save_run_end(struct core *core, const struct run *run)
{
    if (save_wants(core, run->task)) {
        struct record_writer writer = save_begin(core, CORE_SAVE_RUN_END, &run->task->id,
                                                 run->first);
        put_end(core, &writer, run);
        save_end(core, &writer, NULL);
    }
}

void save_run(struct core *core, struct run *run)
{
    struct task *task = run->task;
    if (!save_wants(core, task)) {
        return;
    }
    struct record_writer writer = save_begin(core, CORE_SAVE_RUN, &task->id, run->first);
    bool has_ended = unit_is_terminal(&run->unit);
    record_put_u8(&writer,
                  (uint8_t)((run->is_delayed ? RUN_DELAYED : 0) | (has_ended ? RUN_ENDED : 0)));
    record_put_uint(&writer, run->count);
    record_put_uint(&writer, run_arrival(run));
    record_put_fixed(&writer, save_wall(core, run->arrived_us));
    if (has_ended) {
        put_end(core, &writer, run);
    }
    for (uint32_t i = 0; i < run->count; i++) {
        struct element element = element_of(run, run->first + i);
        put_element(&writer, task->array, &element);
    }
    bool is_untouched = run->large_count == 0 && run->live == run->count && run->data != NULL;
    struct drv_val data = {.is_nil = !is_untouched};
    if (is_untouched) {
        data = body_val(run->data);
    } else {
        put_values(&writer, run);
    }
    save_end(core, &writer, &data);
    run->mark = save_mark(core);
}

void save_run_due(struct core *core, const struct run *run)
{
    if (save_wants(core, run->task)) {
        struct record_writer writer = save_begin(core, CORE_SAVE_RUN_DUE, &run->task->id,
                                                 run->first);
        record_put_uint(&writer, run_arrival(run));
        save_end(core, &writer, NULL);
    }
}
