#include "array.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements that are taken apart at once; larger arrays go in slices. */
enum { DISMANTLE_AT_ONCE = 8 * ARRAY_PAGE };

static void array_sweep(struct core *core, struct sweep *sweep, uint32_t budget);

drover_status array_open(struct core *core, struct task *task, const struct drv_val *with)
{
    struct array *array = core_alloc(core, sizeof *array);
    if (array == NULL) {
        return DROVER_NOMEM;
    }
    if (body_new(core, with, &array->with)) {
        core_free(core, array, sizeof *array);
        return DROVER_NOMEM;
    }
    array->task = task;
    drv_list_init(&array->shares);
    drv_list_init(&array->watches);
    drv_list_init(&array->open_link);
    sweep_init(&array->sweep, array_sweep);
    task->array = array;
    task->flags |= TASK_IS_ARRAY;
    task->payload_len = (uint32_t)body_len(array->with);
    task->unit.state = DROVER_STATE_QUEUED;
    return DROVER_OK;
}

/* --- access ------------------------------------------------------------------------------ */

uint32_t array_ended_at(const struct array *array, uint32_t position)
{
    DRV_ASSERT(position < array->ended);
    return array->order[position / ARRAY_PAGE][position % ARRAY_PAGE];
}

enum drover_state array_state(const struct array *array)
{
    if (unit_is_terminal(&array->task->unit)) {
        return (enum drover_state)array->task->unit.state;
    }
    bool is_held = array_holds_back(array) && array->failure == NULL;
    if (is_held && array->states[DROVER_STATE_RUNNING] == 0) {
        return DROVER_STATE_WAITING;
    }
    if (array->states[DROVER_STATE_RUNNING] > 0 || array->ended > 0) {
        return DROVER_STATE_RUNNING;
    }
    if (array->states[DROVER_STATE_QUEUED] == 0 && array->states[DROVER_STATE_DELAYED] > 0) {
        return DROVER_STATE_DELAYED;
    }
    if (array->states[DROVER_STATE_QUEUED] == 0 && array->states[DROVER_STATE_WAITING] > 0) {
        return DROVER_STATE_WAITING;
    }
    return DROVER_STATE_QUEUED;
}

/* --- the end of elements and of the array ------------------------------------------------ */

static enum drover_state array_outcome(const struct array *array)
{
    if (array->is_cancelled || array->states[DROVER_STATE_CANCELLED] > 0) {
        return DROVER_STATE_CANCELLED;
    }
    if (array->failure != NULL) {
        return DROVER_STATE_FAILED;
    }
    return array->states[DROVER_STATE_SUCCEEDED] == array->seal ? DROVER_STATE_SUCCEEDED
                                                                : DROVER_STATE_FAILED;
}

/* Why it ended like this; NULL: it succeeded. */
static struct failure *array_error(struct core *core, struct array *array,
                                   enum drover_state state)
{
    struct failure *failure = array->failure;
    if (state == DROVER_STATE_FAILED && failure != NULL) {
        array->failure = NULL;
        return failure;
    }
    if (state == DROVER_STATE_SUCCEEDED) {
        return NULL;
    }
    char text[96];
    (void)snprintf(text, sizeof text, "%u of %u elements did not succeed",
                   array->seal - array->states[DROVER_STATE_SUCCEEDED], array->seal);
    return failure_of(
        core, state == DROVER_STATE_CANCELLED ? DROVER_ERROR_CANCELLED : DROVER_ERROR_HANDLER,
        0, text);
}

static void array_check_end(struct core *core, struct array *array)
{
    bool may_end = !array_holds_back(array) || array->is_cancelled || array->failure != NULL;
    if (!array->is_sealed || array->ended < array->seal || !may_end ||
        unit_is_terminal(&array->task->unit)) {
        return;
    }
    shared_drop_array(core, array);
    struct item item = item_of_task(array->task);
    enum drover_state state = array_outcome(array);
    struct failure *error = array_error(core, array, state);
    item_end(core, &item, state, NULL, &error);
}

/* The element does not wait in its run any more. */
void element_mark_taken(struct core *core, struct array *array, struct element *element)
{
    if (element->flags & ELEMENT_TAKEN) {
        return;
    }
    struct run *run = array->runs[element->run];
    element->flags |= ELEMENT_TAKEN;
    run_skip_taken(run);
    if (--run->waiting == 0) {
        line_remove(array->task->spec->line, &run->place);
        timer_disarm(core, &run->timer);
    }
}

void element_release_payload(struct core *core, struct array *array, struct element *element)
{
    struct run *run = array->runs[element->run];
    if (element->flags & ELEMENT_FREED) {
        return;
    }
    struct drv_val val = element_payload(array, element);
    uint32_t hash = (uint32_t)core_stable_hash(core, val.bytes, val.len);
    if (element->flags & ELEMENT_LARGE) {
        body_release(core, &run->large[element->offset]);
    }
    element->flags |= ELEMENT_FREED;
    element->offset = hash;
    if (--run->live == 0) {
        body_release(core, &run->data);
    }
}

static void order_add(struct array *array, uint32_t index)
{
    array->order[array->ended / ARRAY_PAGE][array->ended % ARRAY_PAGE] = index;
    array->ended++;
}

bool array_restore_end(struct core *core, struct array *array, uint32_t index)
{
    if (!array_reserve_order(core, array, array->ended + 1)) {
        return false;
    }
    order_add(array, index);
    return true;
}

void array_note_run_end(struct core *core, struct array *array, struct run *run)
{
    uint32_t before = array->ended;
    array->claimed += run->shared;
    for (uint32_t index = run->first; index < run->first + run->count; index++) {
        if (array_element(array, index) == NULL) {
            struct item item = {array->task, &run->unit, index};
            effects_record_item(core, CORE_RECORD_ENDED, &item, NULL);
            event_item(core, DRV_EVENT_TASK_ENDED, &item);
            order_add(array, index);
        }
    }
    watch_array(core, array, array->ended - before);
    array_check_end(core, array);
}

void array_note_end(struct core *core, struct array *array, uint32_t index)
{
    struct item item = array_item(array, index);
    struct element *element = array_element(array, index);
    element_mark_taken(core, array, element);
    if (item.unit->state == DROVER_STATE_SUCCEEDED && !array->keeps_payloads) {
        element_release_payload(core, array, element);
    }
    order_add(array, index);
    array->result_bytes += body_len(item.unit->result);
    watch_ended(core, &item);
    watch_array(core, array, 1);
    array_check_end(core, array);
}

void element_drop_result(struct core *core, struct array *array, uint32_t index)
{
    struct item item = array_item(array, index);
    struct unit *unit = item.unit;
    if (unit->flags & UNIT_DROPPED || unit_is_shared(unit) ||
        element_is_pinned(array->task, unit)) {
        return; /* of what is needed, or ended without a value: goes with the array */
    }
    uint64_t bytes = body_len(unit->result);
    struct more *more = array->task->unit.more;
    array->result_bytes -= bytes;
    if (more != NULL && drv_list_is_linked(&more->kept)) {
        core->kept_bytes -= bytes;
    }
    body_release(core, &unit->result);
    if (unit->more != NULL) {
        tail_drop(core, unit->more);
    }
    unit->flags |= UNIT_DROPPED;
    effects_record_item(core, CORE_RECORD_FORGOTTEN, &item, NULL);
}

/* --- sealing and cancelling -------------------------------------------------------------- */

void array_seal(struct core *core, struct array *array, uint32_t count)
{
    array->is_sealed = true;
    array->seal = count;
    drv_list_remove(&array->open_link);
    struct item item = item_of_task(array->task);
    effects_record_item(core, CORE_RECORD_ARRAY_SEALED, &item, NULL);
    array_check_end(core, array);
}

void array_cancel(struct core *core, struct array *array, const char *text)
{
    if (unit_is_terminal(&array->task->unit) || array->is_cancelled) {
        return;
    }
    array->is_cancelled = true;
    array->cancel_text = cancel_text_new(core, text);
    sweep_start(core, &array->sweep);
    if (!array->is_sealed) {
        array_seal(core, array, array->count);
    } else {
        array_check_end(core, array); /* it may be empty, and have waited */
    }
}

bool array_is_still(const struct array *array)
{
    return !sweep_is_running(&array->sweep) && array->states[DROVER_STATE_QUEUED] == 0;
}

void array_note_state(struct core *core, struct array *array)
{
    if (array->is_cancelled && array_is_still(array)) {
        waiters_release(core, &array->sweep.waiters);
    }
}

const char *array_cancel_text(const struct array *array)
{
    return array->cancel_text != NULL ? array->cancel_text
                                      : "cancelled before the broker was restarted";
}

/* All of the run that has not ended. False: out of memory, to be tried again. */
static bool run_cancel(struct core *core, struct array *array, struct run *run)
{
    struct drv_error error = error_of(DROVER_ERROR_CANCELLED, array_cancel_text(array));
    for (uint32_t index = run->first; index < run->first + run->count; index++) {
        struct element *element = array_element(array, index);
        if (element != NULL && !unit_is_terminal(&element->unit)) {
            struct item item = {array->task, &element->unit, index};
            (void)cancel_item(core, &item, array_cancel_text(array));
        }
    }
    return run_end_shared(core, run, DROVER_STATE_CANCELLED, &error);
}

/* All of the run that waits fails with the array. False: as above. */
static bool run_fail(struct core *core, struct array *array, struct run *run)
{
    struct drv_error error = failure_view(array->failure);
    for (uint32_t index = run->first;
         run->waiting > run->shared && index - run->first < run->count; index++) {
        struct element *element = array_element(array, index);
        if (element != NULL && !(element->flags & ELEMENT_TAKEN)) {
            struct item item = {array->task, &element->unit, index};
            struct failure *failure = failure_new(core, &error);
            item_end(core, &item, DROVER_STATE_FAILED, NULL, &failure);
        }
    }
    return run_end_shared(core, run, DROVER_STATE_FAILED, &error);
}

/* One run after the other. True: all have been gone through. */
static bool array_walk_runs(struct core *core, struct array *array, uint32_t budget)
{
    struct sweep *sweep = &array->sweep;
    while (budget > 0 && sweep->at < array->run_count) {
        struct run *run = array->runs[sweep->at];
        if (array->is_cancelled) {
            if (!run_cancel(core, array, run)) {
                return false;
            }
        } else if (array->failure != NULL) {
            if (!run_fail(core, array, run)) {
                return false;
            }
        } else {
            run_release(core, run);
        }
        budget -= budget < run->count ? budget : run->count;
        sweep->at++;
    }
    return sweep->at >= array->run_count;
}

static void array_runs_step(struct core *core, struct array *array, uint32_t budget)
{
    struct sweep *sweep = &array->sweep;
    if (!array_walk_runs(core, array, budget)) {
        return;
    }
    drv_list_remove(&sweep->link); /* who waits may still wait for workers */
    array_note_state(core, array);
    if (core->config.defects.start_after_cancel) {
        waiters_release(core, &sweep->waiters); /* defect: what is assigned may start */
    }
}

/* --- parents ----------------------------------------------------------------------------- */

void array_release(struct core *core, struct array *array)
{
    struct item item = item_of_task(array->task);
    item_set_state(core, &item, DROVER_STATE_QUEUED);
    if (!array->is_cancelled) {
        sweep_start(core, &array->sweep);
    }
    array_check_end(core, array); /* it may be empty */
}

bool array_fail(struct core *core, struct array *array, const char *text)
{
    if (array->is_cancelled || array->failure != NULL) {
        return true;
    }
    array->failure = failure_of(core, DROVER_ERROR_DEPENDENCY, 0, text);
    if (array->failure == NULL) {
        return false;
    }
    sweep_start(core, &array->sweep);
    array_check_end(core, array);
    return true;
}

void array_note_run(struct core *core, struct array *array, const struct run *run)
{
    bool is_running = sweep_is_running(&array->sweep);
    if (array->failure == NULL || (is_running && array->sweep.at <= run->number)) {
        return;
    }
    if (!is_running) {
        sweep_start(core, &array->sweep);
    }
    array->sweep.at = run->number;
}

/* --- taking apart ------------------------------------------------------------------------ */

static void element_discard(struct core *core, struct array *array, struct element *element)
{
    struct unit *unit = &element->unit;
    if (unit->state == 0) {
        return;
    }
    watch_drop_unit(core, unit);
    if (unit_is_terminal(unit)) {
        body_release(core, &unit->result);
    } else if (unit->lease != NULL) {
        line_remove(array->task->spec->line, &unit->lease->place);
        lease_free(core, unit->lease);
    }
    unit_drop_more(core, unit);
}

static void page_free(struct core *core, struct array *array, struct element_page *page)
{
    for (uint32_t i = 0; page->elements != NULL && i < ARRAY_PAGE; i++) {
        element_discard(core, array, &page->elements[i]);
    }
    core_free(core, page->elements, ARRAY_PAGE * sizeof *page->elements);
    core_free(core, page->runs, page->run_capacity * sizeof *page->runs);
    *page = (struct element_page){0};
}

/* Frees up to `budget` elements or runs; true when nothing is left. */
static bool array_free_step(struct core *core, struct array *array, uint32_t budget)
{
    struct sweep *sweep = &array->sweep;
    for (; sweep->at < array->page_count; sweep->at++) {
        if (budget < ARRAY_PAGE) {
            return false;
        }
        page_free(core, array, &array->pages[sweep->at]);
        budget -= ARRAY_PAGE;
    }
    for (; array->run_count > 0; array->run_count--) {
        if (budget-- == 0) {
            return false;
        }
        run_free(core, array->runs[array->run_count - 1]);
    }
    for (; array->order_count > 0; array->order_count--) {
        core_free(core, array->order[array->order_count - 1], ARRAY_PAGE * sizeof(uint32_t));
    }
    return true;
}

static void array_free(struct core *core, struct array *array)
{
    shared_drop_array(core, array);
    drv_list_remove(&array->open_link);
    output_close(core, array->output, array_state(array));
    sweep_done(core, &array->sweep);
    body_release(core, &array->with);
    failure_free(core, &array->failure);
    cancel_text_free(core, &array->cancel_text);
    core_free(core, array->pages, array->page_count * sizeof(struct element_page));
    core_free(core, array->runs, array->run_capacity * sizeof(struct run *));
    free(array->order);
    core_free(core, array, sizeof *array);
}

bool array_dismantle(struct core *core, struct array *array)
{
    if (!array->is_dismantled) {
        array->is_dismantled = true;
        sweep_done(core, &array->sweep);
        array->sweep.at = 0;
        if (array->count > DISMANTLE_AT_ONCE) {
            sweep_start(core, &array->sweep);
            return false;
        }
    }
    while (!array_free_step(core, array, UINT32_MAX)) {
    }
    array_free(core, array);
    return true;
}

static void array_sweep(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct array *array = DRV_CONTAINER_OF(sweep, struct array, sweep);
    if (!array->is_dismantled) {
        array_runs_step(core, array, budget);
    } else if (array_free_step(core, array, budget)) {
        task_dismantle(core, array->task);
    }
}
