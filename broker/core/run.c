/*
 * run.c: the life of the elements of one ITEMS message: taking them in, handing them out, and
 * what happens to all at once.
 */
#include "array.h"
#include "broker.h"
#include "check.h"

/* Values that are at least this long and came as chunks are kept by reference. */
enum { RUN_SHARE_MIN = 4096 };

/* When there was no memory to end what has expired. */
#define RUN_AGAIN_US ((int64_t)100 * 1000)

static struct value_size size_of(const struct drv_val *val)
{
    struct value_size size = {0};
    if (val->is_nil) {
        size.flags = ELEMENT_NIL;
        return size;
    }
    size.len = (uint32_t)val->len;
    if (val->data != NULL && val->len >= RUN_SHARE_MIN) {
        size.flags = ELEMENT_LARGE;
    } else if (val->content_type.ptr != NULL) {
        size.type_len = (uint8_t)val->content_type.len;
    }
    return size;
}

/* --- taking in --------------------------------------------------------------------------- */

/* Its end of waiting: of the delay, or of all patience. */
static void run_arm(struct core *core, struct run *run)
{
    bool is_asleep = run->is_delayed && !run->is_held;
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    int64_t expires_us = numbers->expire_us > 0 ? run->arrived_us + numbers->expire_us
                                                : INT64_MAX;
    int64_t due_us = is_asleep ? run->arrived_us + numbers->delay_us : INT64_MAX;
    due_us = expires_us < due_us ? expires_us : due_us;
    if (due_us != INT64_MAX) {
        timer_arm(core, &run->timer, due_us);
    }
}

enum drover_state run_state(const struct run *run)
{
    return run->is_held      ? DROVER_STATE_WAITING
           : run->is_delayed ? DROVER_STATE_DELAYED
                             : DROVER_STATE_QUEUED;
}

/* Into line, unless it waits for its delay or for other tasks. */
static void run_enter(struct core *core, struct run *run)
{
    if (!run->is_delayed && !run->is_held) {
        line_push(core, run->task->spec->line, &run->place);
        core->arrival += run->count; /* one number for each element */
    }
    run_arm(core, run);
}

void run_restore(struct core *core, struct run *run)
{
    run->next = run->first;
    run_skip_taken(run);
    if (run->waiting == 0) {
        return;
    }
    if (!run->is_delayed && !run->is_held && run->place.arrival > 0) {
        line_restore(core, run->task->spec->line, &run->place);
        run_arm(core, run);
    } else {
        run_enter(core, run);
    }
}

/* Workers may have some of them in hand, or have lost them, from an earlier life of a broker
 * that kept nothing: these need records. False: out of memory. */
static bool run_reserve_known(struct core *core, struct array *array, uint32_t first,
                              uint32_t count)
{
    if (drv_table_count(&core->parked) == 0 && drv_table_count(&core->tombs) == 0) {
        return true;
    }
    for (uint32_t index = first; index < first + count; index++) {
        if ((park_find(core, &array->task->id, index) != NULL ||
             tomb_is_known(core, &array->task->id, index)) &&
            !array_reserve_record(core, array, index)) {
            return false;
        }
    }
    return array_reserve_order(core, array, array->claimed + count);
}

static void run_revive(struct core *core, struct run *run)
{
    struct array *array = run->task->array;
    for (uint32_t i = 0; drv_table_count(&core->tombs) > 0 && i < run->count; i++) {
        struct item item = array_item(array, run->first + i);
        if (tomb_is_known(core, &array->task->id, item.index) && item_own(core, &item)) {
            tomb_revive(core, &item);
        }
    }
}

static void run_adopt(struct core *core, struct run *run)
{
    struct array *array = run->task->array;
    for (uint32_t i = 0; drv_table_count(&core->parked) > 0 && i < run->count; i++) {
        struct item item = array_item(array, run->first + i);
        if (park_find(core, &array->task->id, item.index) != NULL && item_own(core, &item)) {
            (void)park_adopt(core, &item);
        }
    }
}

static void run_tell_submitted(struct core *core, const struct run *run)
{
    for (uint32_t i = 0; core->config.tells_records && i < run->count; i++) {
        struct item item = array_item(run->task->array, run->first + i);
        effects_record_item(core, CORE_RECORD_SUBMIT, &item, NULL);
    }
}

static void run_begin(struct core *core, struct run *run)
{
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    run->arrived_us = core->now_us;
    run->is_held = array_holds_back(run->task->array) && !core->config.defects.early_elements;
    run->is_delayed = numbers->delay_us > 0;
    run->waiting = run->live = run->count;
    run_set_state(core, run, run_state(run));
    run_revive(core, run);
    run_tell_submitted(core, run);
    run_enter(core, run);
    save_run(core, run);
    run_adopt(core, run);
}

drover_status array_add(struct core *core, struct array *array, uint32_t first,
                        const struct drv_val *items, uint32_t count)
{
    struct value_size *sizes = effects_take(core, count, sizeof *sizes);
    for (uint32_t i = 0; sizes != NULL && i < count; i++) {
        sizes[i] = size_of(&items[i]);
    }
    if (sizes == NULL || !array_reserve_run(core, array, first, count) ||
        !run_reserve_known(core, array, first, count)) {
        return DROVER_NOMEM;
    }
    struct run *run = run_new(core, array, first, sizes, count);
    if (run == NULL) {
        return DROVER_NOMEM;
    }
    struct spot spot = run->spot;
    for (uint32_t i = 0; i < count; i++) {
        if (run_put_value(core, run, &spot, &items[i])) {
            run_free(core, run);
            return DROVER_NOMEM;
        }
    }
    array_insert_run(array, run);
    run_begin(core, run);
    array_note_run(core, array, run);
    return DROVER_OK;
}

/* --- all at once ------------------------------------------------------------------------- */

bool run_end_shared(struct core *core, struct run *run, enum drover_state state,
                    const struct drv_error *error)
{
    struct array *array = run->task->array;
    uint32_t count = run->shared;
    struct unit ended = {.state = (uint8_t)state};
    if (count == 0 || unit_is_terminal(&run->unit)) {
        return true;
    }
    struct more *more = unit_more(core, &ended);
    struct failure *failure = more == NULL ? NULL : failure_new(core, error);
    if (failure == NULL || !array_reserve_order(core, array, array->claimed + count)) {
        failure_free(core, &failure);
        unit_drop_more(core, &ended);
        return false;
    }
    more->error = failure;
    more->ended_us = core->now_us;
    run->unit.more = more;
    run_set_state(core, run, state);
    run_skip_taken(run);
    run->waiting -= count;
    if (run->waiting == 0) {
        line_remove(run->task->spec->line, &run->place);
        timer_disarm(core, &run->timer);
    }
    save_run_end(core, run);
    array_note_run_end(core, array, run);
    return true;
}

static void run_expire(struct core *core, struct run *run)
{
    struct drv_error error = error_of(DROVER_ERROR_EXPIRED, ITEM_EXPIRED_TEXT);
    struct array *array = run->task->array;
    if (!run_end_shared(core, run, DROVER_STATE_EXPIRED, &error)) {
        timer_arm(core, &run->timer, core->now_us + RUN_AGAIN_US);
        return;
    }
    while (run->waiting > 0) {
        struct item item = array_item(array, run->next);
        item_expire(core, &item);
    }
}

/* What never was dispatched is in another state now. */
static void run_change(struct core *core, struct run *run, enum drv_event event)
{
    enum drover_state state = run_state(run);
    if (!unit_is_terminal(&run->unit)) {
        run_set_state(core, run, state);
    }
    for (uint32_t index = run->next; index < run->first + run->count; index++) {
        struct element *element = array_element(run->task->array, index);
        struct item item = array_item(run->task->array, index);
        if (element != NULL ? element->flags & ELEMENT_TAKEN : run->unit.state != state) {
            continue;
        }
        if (element != NULL) {
            item_set_state(core, &item, state);
        }
        event_item(core, event, &item);
    }
}

void run_due(struct core *core, struct run *run)
{
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    core->timers.extra = run->waiting;
    if (numbers->expire_us > 0 && run->arrived_us + numbers->expire_us <= core->now_us) {
        run_expire(core, run);
        return;
    }
    run->is_delayed = false;
    run_change(core, run, DRV_EVENT_TASK_QUEUED);
    run_enter(core, run);
    save_run_due(core, run);
}

void run_release(struct core *core, struct run *run)
{
    if (!run->is_held) {
        return;
    }
    run->is_held = false;
    run->is_delayed = run->arrived_us + run->task->spec->numbers.delay_us > core->now_us;
    if (run->waiting == 0) {
        return;
    }
    timer_disarm(core, &run->timer);
    run_change(core, run, DRV_EVENT_TASK_RELEASED);
    run_enter(core, run);
    if (!run->is_delayed) {
        save_run_due(core, run);
    }
}

/* --- handing out ------------------------------------------------------------------------- */

void run_skip_taken(struct run *run)
{
    const struct array *array = run->task->array;
    bool are_over = unit_is_terminal(&run->unit);
    while (run->next < run->first + run->count) {
        const struct element *element = array_element(array, run->next);
        if (element == NULL ? !are_over : !(element->flags & ELEMENT_TAKEN)) {
            return;
        }
        run->next++;
        run->place.arrival++;
    }
}

uint32_t run_next_len(struct run *run)
{
    const struct element *element = array_element(run->task->array, run->next);
    return element != NULL ? element->len : run_element(run, run->next).len;
}

bool run_take(struct core *core, struct run *run, struct item *out_item)
{
    struct array *array = run->task->array;
    DRV_ASSERT(run->waiting > 0);
    struct element *element = run_own(core, run, run->next);
    if (element == NULL) {
        return false;
    }
    *out_item = (struct item){array->task, &element->unit, run->next};
    struct lease *lease = lease_new(core, out_item);
    if (lease == NULL) {
        return false;
    }
    lease->place.arrival = run->place.arrival;
    element_mark_taken(core, array, element);
    return true;
}
