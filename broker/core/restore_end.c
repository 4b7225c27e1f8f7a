/*
 * restore_end.c: from what the records say to a core at work.
 */
#include "broker.h"
#include "check.h"
#include "copy.h"
#include "restore.h"

#include <stdlib.h>
#include <string.h>

/* --- sessions by number ------------------------------------------------------------------ */

static int number_compare(const void *left, const void *right)
{
    const struct session_number *a = left, *b = right;
    return (a->generation > b->generation) - (a->generation < b->generation);
}

static bool number_sessions(struct restore *restore)
{
    struct core *core = restore->core;
    size_t count = drv_table_count(&core->sessions_by_id);
    restore->numbers = calloc(count + 1, sizeof *restore->numbers);
    if (restore->numbers == NULL) {
        return false;
    }
    for (uint32_t slot = 0; slot < core->sessions.slot_count; slot++) {
        struct session *session = core->sessions.slots[slot];
        if (session == NULL) {
            continue;
        }
        restore->numbers[restore->number_count++] = (struct session_number){
            session->handle.generation, slot};
    }
    qsort(restore->numbers, restore->number_count, sizeof *restore->numbers, number_compare);
    return true;
}

struct session *restore_session(const struct restore *restore, uint32_t generation)
{
    struct session_number key = {.generation = generation};
    const struct session_number *found = bsearch(&key, restore->numbers, restore->number_count,
                                                 sizeof key, number_compare);
    return found == NULL ? NULL : restore->core->sessions.slots[found->slot];
}

/* All are away. Those that held nothing come into the roster when they say HELLO. */
static bool finish_sessions(struct restore *restore)
{
    struct core *core = restore->core;
    for (size_t i = 0; i < restore->number_count; i++) {
        struct session *session = core->sessions.slots[restore->numbers[i].slot];
        session->is_saved = true;
        session->heard_us = core->now_us;
        timer_arm(core, &session->timer, core->now_us + core->config.session_us);
        drv_list_push_back(&core->sessions.away, &session->away);
        if (session->was_draining && session->worker == NULL &&
            worker_restore(core, session) == NULL) {
            return false;
        }
        session->was_draining = false;
    }
    return true;
}

static void resolve_owner(struct restore *restore, struct task *task)
{
    struct session *owner = restore_session(restore, task->owner.generation);
    task->owner = owner == NULL ? (struct handle){0} : owner->handle;
    key_owned(restore->core, task);
}

/* --- units ------------------------------------------------------------------------------- */

/* As if it had come to be so: all counters follow. */
static void count_state(struct core *core, const struct item *item, enum drover_state state)
{
    item->unit->state = 0;
    if (state >= DROVER_STATE_SUCCEEDED) {
        item_set_state(core, item, DROVER_STATE_QUEUED);
    }
    item_set_state(core, item, state);
}

/* To the worker that held it. False: out of memory. */
static bool finish_lease(struct restore *restore, const struct item *item)
{
    struct core *core = restore->core;
    struct lease *lease = unit_lease(item->unit);
    struct session *session = restore_session(restore, lease->attached);
    lease->attached = 0;
    if (session == NULL || session->role != DRV_ROLE_WORKER) {
        return true; /* nobody's */
    }
    struct worker *worker = session->worker != NULL ? session->worker
                                                    : worker_restore(core, session);
    if (worker == NULL ||
        (task_is_array(item->task) && !shared_use(core, worker, item->task->array))) {
        return false;
    }
    lease_restore(lease, worker);
    worker_update(core, worker);
    return true;
}

/* Numbers that no broker gets to. */
static bool unit_is_fine(struct restore *restore, const struct item *item)
{
    const struct unit *unit = item->unit;
    const struct spec_numbers *numbers = &item->task->spec->numbers;
    bool is_tired = unit->failures > numbers->retries ||
                    (int64_t)unit->losses > (int64_t)numbers->loss_budget + 1;
    const struct lease *lease = unit_lease(unit);
    bool is_held = lease != NULL && lease->attached != 0;
    if (is_tired || (is_held && unit->attempt == 0)) {
        return restore_wrong(restore, "a task with impossible attempts");
    }
    return true;
}

/* What has not ended: held, in line, or asleep. */
static bool finish_live(struct restore *restore, const struct item *item)
{
    struct unit *unit = item->unit;
    if (!unit_is_fine(restore, item)) {
        return false;
    }
    if (unit_lease(unit) != NULL && unit->lease->attached != 0 &&
        !finish_lease(restore, item)) {
        return false;
    }
    struct lease *lease = unit_lease(unit);
    bool is_held = lease != NULL && lease->worker != NULL;
    enum drover_state state = (enum drover_state)unit->state;
    if (!is_held && state == DROVER_STATE_WAITING && !restore_waits(restore, item)) {
        return restore_wrong(restore, "a task waits for nothing");
    }
    if (is_held) {
        state = lease->flags & LEASE_STARTED ? DROVER_STATE_RUNNING : DROVER_STATE_QUEUED;
    } else if (state == DROVER_STATE_RUNNING) {
        state = DROVER_STATE_QUEUED; /* its worker is not known: as after a loss */
        unit->flags |= UNIT_SUSPECT;
    }
    count_state(restore->core, item, state);
    if (!is_held) {
        item_restore_place(restore->core, item);
    }
    return true;
}

/* --- tasks ------------------------------------------------------------------------------- */

static void finish_tie(struct restore *restore, struct task *task)
{
    struct core *core = restore->core;
    struct session *owner = session_by_handle(core, task->owner);
    bool is_tied = (task->flags & TASK_TIED) != 0 && !unit_is_terminal(&task->unit);
    task->flags &= (uint8_t)~TASK_TIED;
    if (!is_tied) {
        return;
    }
    if (owner != NULL) {
        core->save.has_failed |= !unit_tie(core, task, owner);
        return;
    }
    struct more *more = unit_more(core, &task->unit);
    struct tie *tie = more == NULL ? NULL : core_alloc(core, sizeof *tie);
    if (tie != NULL) {
        tie->task = task;
        more->tie = tie;
        drv_list_push_back(&restore->orphans, &tie->link);
    }
}

static void finish_ended(struct core *core, struct task *task)
{
    const struct more *more = task->unit.more;
    task_retain_since(core, task, more == NULL ? core->now_us : more->ended_us);
}

static bool finish_task(struct restore *restore, struct task *task)
{
    struct core *core = restore->core;
    struct item item = item_of_task(task);
    resolve_owner(restore, task);
    if (task->spec == restore->nobody) {
        return restore_wrong(restore, "elements of an array that is not there");
    }
    if (task_is_array(task)) {
        return task->spec->schedule == NULL || /* the rest when its runs are done */
               restore_wrong(restore, "an array of a schedule");
    }
    if (task->spec->schedule != NULL && !unit_is_terminal(&task->unit)) {
        schedule_task_begun(core, task);
    }
    task->unit.flags |= unit_is_terminal(&task->unit) ? UNIT_SAVED : 0;
    if (!unit_is_fine(restore, &item)) {
        return false;
    }
    if (unit_is_terminal(&task->unit)) {
        count_state(core, &item, (enum drover_state)task->unit.state);
        watch_restore(core, task);
        finish_ended(core, task);
    } else if (!finish_live(restore, &item)) {
        return false;
    }
    finish_tie(restore, task);
    return true;
}

/* --- runs -------------------------------------------------------------------------------- */

static bool finish_element(struct restore *restore, struct run *run, uint32_t index)
{
    struct core *core = restore->core;
    struct array *array = run->task->array;
    struct element *element = array_element(array, index);
    struct item item = array_item(array, index);
    struct unit *unit = &element->unit;
    if (!unit_is_fine(restore, &item)) {
        return false;
    }
    if (array->keeps_payloads && element->flags & ELEMENT_FREED) {
        return restore_wrong(restore, "an array that keeps its values lacks one");
    }
    if (unit_is_terminal(unit)) {
        element->flags |= ELEMENT_TAKEN;
        unit->flags |= UNIT_SAVED;
        array->result_bytes += body_len(unit->result);
        count_state(core, &item, (enum drover_state)unit->state);
        if (unit->state == DROVER_STATE_SUCCEEDED && !array->keeps_payloads) {
            element_release_payload(core, array, element);
        }
        return true;
    }
    if (element->flags & ELEMENT_FREED) {
        return restore_wrong(restore, "an element has not ended and no value");
    }
    if (unit->lease != NULL) {
        element->flags |= ELEMENT_TAKEN;
        return finish_live(restore, &item);
    }
    run->waiting++;
    count_state(core, &item, run_state(run));
    return true;
}

/* What of it has no record. False: out of memory. */
static bool finish_shared(struct restore *restore, struct run *run)
{
    struct core *core = restore->core;
    struct array *array = run->task->array;
    enum drover_state state = (enum drover_state)run->unit.state;
    run->unit.state = 0;
    if (state < DROVER_STATE_SUCCEEDED) {
        run->waiting += run->shared;
        run_set_state(core, run, run_state(run));
        return true;
    }
    if (!array_reserve_order(core, array, array->claimed + run->shared)) {
        return false;
    }
    array->claimed += run->shared;
    for (uint32_t i = 0; i < run->count; i++) {
        if (array_element(array, run->first + i) == NULL &&
            !array_restore_end(core, array, run->first + i)) {
            return false;
        }
    }
    run_set_state(core, run, DROVER_STATE_QUEUED); /* as if it had come to be so */
    run_set_state(core, run, state);
    return true;
}

static bool finish_run(struct restore *restore, struct run *run)
{
    struct array *array = run->task->array;
    if (run->task->spec == restore->nobody) {
        return restore_wrong(restore, "elements of an array that is not there");
    }
    run->is_held = array_holds_back(array);
    run->live = run->count;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct element *element = array_element(array, run->first + i);
        run->live -= element != NULL && (element->flags & ELEMENT_FREED);
    }
    if (run->live == 0) {
        body_release(restore->core, &run->data);
    }
    for (uint32_t i = 0; i < run->count; i++) {
        if (array_element(array, run->first + i) != NULL &&
            !finish_element(restore, run, run->first + i)) {
            return false;
        }
    }
    if (!finish_shared(restore, run)) {
        return false;
    }
    run_restore(restore->core, run);
    return true;
}

/* --- arrays ------------------------------------------------------------------------------ */

static bool array_is_whole(const struct array *array)
{
    for (uint32_t index = 0; index < array->index_end; index++) {
        const struct element *element = array_element(array, index);
        if (element != NULL && element->run == RUN_NONE) {
            return false;
        }
    }
    return true;
}

static bool finish_array(struct restore *restore, struct array *array)
{
    struct core *core = restore->core;
    struct task *task = array->task;
    struct session *owner = session_by_handle(core, task->owner);
    bool is_over = array->is_sealed && array->ended == array->seal;
    bool may_end = !array_holds_back(array) || array->is_cancelled;
    bool is_beyond = array->is_sealed && array->index_end > array->seal && !array->is_cancelled;
    if (task->unit.state == 0 || !array_is_whole(array) ||
        (array->is_sealed && array->count != array->seal)) {
        return restore_wrong(restore, "an array whose elements are missing");
    }
    if (is_beyond) {
        return restore_wrong(restore, "an array with elements beyond its end");
    }
    struct item item = item_of_task(task);
    if (array_holds_back(array) && !restore_waits(restore, &item)) {
        return restore_wrong(restore, "an array waits for nothing");
    }
    if (unit_is_terminal(&task->unit) ? !is_over : is_over && may_end) {
        return restore_wrong(restore, "an array and its elements do not end together");
    }
    if (unit_is_terminal(&task->unit)) {
        task->unit.flags |= UNIT_SAVED;
        finish_ended(core, task);
    } else if (!array->is_sealed && owner != NULL) {
        drv_list_push_back(&owner->arrays, &array->open_link);
    }
    finish_tie(restore, task);
    return true;
}

/* What an earlier life had begun and not brought to its end. From here on all is recorded. */
static void array_go_on(struct core *core, struct array *array)
{
    const struct more *more = array->task->unit.more;
    if (unit_is_terminal(&array->task->unit)) {
        return;
    }
    if (array->is_cancelled) {
        sweep_start(core, &array->sweep);
    } else if (!array->is_sealed && !drv_list_is_linked(&array->open_link)) {
        array_cancel(core, array, "its session has ended before it was sealed");
    } else if (!array->is_sealed && more != NULL && more->has_retry_of) {
        copy_resume(core, array);
    }
}

/* They were gathered, since to look for them among a million tasks takes as long as the rest.
 */
static void arrays_go_on(struct restore *restore)
{
    const struct drv_buffer *arrays = &restore->scratch;
    for (size_t at = 0; at < arrays->len; at += sizeof(struct array *)) {
        struct array *array;
        memcpy(&array, arrays->bytes + at, sizeof array);
        array_go_on(restore->core, array);
    }
}

static bool finish_arrays(struct restore *restore)
{
    struct drv_list *link;
    drv_buffer_clear(&restore->scratch);
    while ((link = drv_list_pop_front(&restore->arrays)) != NULL) {
        struct array *array = DRV_LIST_ITEM(link, struct array, open_link);
        if (drv_buffer_append(&restore->scratch, &array, sizeof array) ||
            !finish_array(restore, array)) {
            return false;
        }
    }
    return true;
}

/* --- all --------------------------------------------------------------------------------- */

static bool finish_order(struct restore *restore)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&restore->order)) != NULL) {
        struct place *place = DRV_LIST_ITEM(link, struct place, link);
        bool is_fine = place->kind == PLACE_RUN
                           ? finish_run(restore, DRV_CONTAINER_OF(place, struct run, place))
                           : finish_task(restore, DRV_CONTAINER_OF(place, struct task, place));
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

/* What was forgotten counts on. */
static void count_gone(struct core *core)
{
    struct core_counters *counters = &core->counters;
    uint64_t *states[] = {&counters->succeeded, &counters->failed, &counters->cancelled,
                          &counters->expired, &counters->lost_at_restart};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(states); i++) {
        uint64_t gone = core->gone[DROVER_STATE_SUCCEEDED + i];
        *states[i] += gone;
        counters->submitted += gone;
    }
}

bool restore_finish(struct restore *restore)
{
    struct core *core = restore->core;
    if (!number_sessions(restore) || !finish_order(restore) || !finish_arrays(restore) ||
        !restore_finish_deps(restore) || !finish_sessions(restore)) {
        return false;
    }
    count_gone(core);
    recent_restored(core);
    core->save.is_on = core->config.durability_max > DROVER_DURABILITY_MEMORY;
    groups_restore_end(core);
    arrays_go_on(restore);
    schedules_restored(core);
    alerts_restored(core);
    ties_cancel(core, &restore->orphans);
    return true;
}
