#include "task.h"

#include "backoff.h"
#include "broker.h"
#include "check.h"
#include "hand.h"

/* --- finding ----------------------------------------------------------------------------- */

static bool task_is(const void *entry, const void *key)
{
    return drover_id_equal(&((const struct task *)entry)->id, key);
}

void task_table_init(struct core *core)
{
    drv_table_init(&core->tasks, core->config.seed, task_is);
}

uint64_t task_hash(const struct core *core, const drover_id *id)
{
    return drv_table_hash(&core->tasks, id->bytes, sizeof id->bytes);
}

struct task *task_peek(const struct core *core, const drover_id *id)
{
    return drv_table_find(&core->tasks, task_hash(core, id), id);
}

struct task *task_find(const struct core *core, const drover_id *id)
{
    hand_take(core, id, DROVER_INDEX_NONE);
    return task_peek(core, id);
}

struct item item_of_task(struct task *task)
{
    return (struct item){.task = task, .unit = &task->unit, .index = DROVER_INDEX_NONE};
}

bool item_find(const struct core *core, const drover_id *id, uint32_t index,
               struct item *out_item)
{
    struct task *task = task_find(core, id);
    if (task == NULL) {
        return false;
    }
    if (index == DROVER_INDEX_NONE) {
        *out_item = item_of_task(task);
        return true;
    }
    if (!task_is_array(task) || !array_has(task->array, index)) {
        return false;
    }
    hand_take(core, id, index);
    *out_item = array_item(task->array, index);
    return true;
}

bool item_is_superseded(const struct core *core, const struct drv_ref *ref)
{
    struct item item;
    return item_find(core, &ref->id, ref->index, &item) && item.unit->attempt != ref->attempt;
}

struct drv_val item_payload(const struct item *item)
{
    if (!task_is_array(item->task)) {
        return body_val(item->task->payload);
    }
    return array_payload(item->task->array, item->index);
}

uint32_t item_payload_len(const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE) {
        return item->task->payload_len;
    }
    return array_payload_len(item->task->array, item->index);
}

/* --- states and counters ----------------------------------------------------------------- */

static uint64_t *counter_of(struct core_counters *counters, enum drover_state state)
{
    switch (state) {
    case DROVER_STATE_WAITING:
        return &counters->waiting;
    case DROVER_STATE_DELAYED:
        return &counters->delayed;
    case DROVER_STATE_QUEUED:
        return &counters->queued;
    case DROVER_STATE_RUNNING:
        return &counters->running;
    case DROVER_STATE_SUCCEEDED:
        return &counters->succeeded;
    case DROVER_STATE_FAILED:
        return &counters->failed;
    case DROVER_STATE_CANCELLED:
        return &counters->cancelled;
    case DROVER_STATE_EXPIRED:
        return &counters->expired;
    case DROVER_STATE_LOST:
        return &counters->lost_at_restart;
    }
    DRV_UNREACHABLE();
}

/* Adds `by` to what queue and type count for the state. */
static void line_count(struct line *line, enum drover_state state, uint64_t by)
{
    if (state == DROVER_STATE_WAITING) {
        line->queue->waiting += by;
    } else if (state == DROVER_STATE_DELAYED) {
        line->queue->delayed += by;
    } else if (state == DROVER_STATE_QUEUED) {
        line->queue->queued += by;
        line->type->queued += by;
    } else if (state == DROVER_STATE_RUNNING) {
        line->queue->running += by;
        line->type->running += by;
    }
}

/* What has not ended, and its bytes: its queue and its submitter are charged. */
static void payload_charge(struct core *core, const struct task *task, uint64_t count,
                           uint64_t bytes, bool charge)
{
    struct session *owner = session_by_handle(core, task->owner);
    struct queue *queue = task->spec->line->queue;
    queue->bytes += charge ? bytes : 0 - bytes;
    if (owner != NULL) {
        owner->unfinished_tasks += charge ? count : 0 - count;
        owner->unfinished_bytes += charge ? bytes : 0 - bytes;
    }
    if (task->spec->account != NULL) {
        account_charge(task->spec->account, count, bytes, charge);
    }
}

/* So many of the task or of its elements are in another state; before 0: they are new. */
static inline void count_change(struct core *core, const struct task *task, uint64_t count,
                                enum drover_state before, enum drover_state state)
{
    struct core_counters *counters = &core->counters;
    if (before == 0) {
        counters->submitted += count;
    } else {
        *counter_of(counters, before) -= count;
        line_count(task->spec->line, before, 0 - count);
    }
    if (core->config.defects.miscount && state == DROVER_STATE_SUCCEEDED) {
        return; /* defect: an ended task is not counted */
    }
    *counter_of(counters, state) += count;
    line_count(task->spec->line, state, count);
    if (task->spec->group != NULL) {
        group_count(task->spec->group, count, before, state);
    }
}

static void array_count(struct core *core, struct array *array, uint32_t count,
                        enum drover_state before, enum drover_state state)
{
    if (before != 0) {
        array->states[before] -= count;
    }
    array->states[state] += count;
    array_note_state(core, array);
}

void item_set_state(struct core *core, const struct item *item, enum drover_state state)
{
    struct unit *unit = item->unit;
    enum drover_state before = (enum drover_state)unit->state;
    DRV_ASSERT(!unit_is_shared(unit));
    unit->state = (uint8_t)state;
    save_item(core, item);
    bool is_whole_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    if (before == state || is_whole_array) {
        return;
    }
    if (unit->state >= DROVER_STATE_SUCCEEDED || before == 0) {
        payload_charge(core, item->task, 1, item_payload_len(item), before == 0);
    }
    count_change(core, item->task, 1, before, state);
    if (item->index != DROVER_INDEX_NONE) {
        array_count(core, item->task->array, 1, before, state);
    }
}

void run_set_state(struct core *core, struct run *run, enum drover_state state)
{
    enum drover_state before = (enum drover_state)run->unit.state;
    run->unit.state = (uint8_t)state;
    if (before == state || run->shared == 0) {
        return;
    }
    if (state >= DROVER_STATE_SUCCEEDED || before == 0) {
        payload_charge(core, run->task, run->shared, run->shared_bytes, before == 0);
    }
    count_change(core, run->task, run->shared, before, state);
    array_count(core, run->task->array, run->shared, before, state);
}

void item_overwrite_state(struct core *core, const struct item *item, enum drover_state state)
{
    enum drover_state before = (enum drover_state)item->unit->state;
    (*counter_of(&core->counters, before))--;
    (*counter_of(&core->counters, state))++;
    item->unit->state = (uint8_t)state;
}

/* --- places ------------------------------------------------------------------------------ */

static struct place *item_place(const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE) {
        return &item->task->place;
    }
    struct lease *lease = unit_lease(item->unit);
    return lease == NULL ? NULL : &lease->place;
}

static struct timer *item_timer(const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE) {
        return &item->task->timer;
    }
    struct lease *lease = unit_lease(item->unit);
    return lease == NULL ? NULL : &lease->timer;
}

static int64_t item_since_us(const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE) {
        return item->task->submitted_us;
    }
    return array_since_us(item->task->array, item->index);
}

bool item_expires(const struct item *item, int64_t *out_at_us)
{
    const struct spec *spec = item->task->spec;
    *out_at_us = item_since_us(item) + spec->numbers.expire_us;
    return spec->numbers.expire_us > 0 && !(item->unit->flags & UNIT_STARTED);
}

void item_queue(struct core *core, const struct item *item, bool keeps_place)
{
    struct place *place = item_place(item);
    item_set_state(core, item, DROVER_STATE_QUEUED);
    timer_disarm(core, item_timer(item));
    if (keeps_place && place->arrival > 0) {
        line_return(core, item->task->spec->line, place);
    } else {
        line_push(core, item->task->spec->line, place);
    }
    int64_t expires_us;
    if (item_expires(item, &expires_us)) {
        timer_arm(core, item_timer(item), expires_us);
    }
}

void item_restore_place(struct core *core, const struct item *item)
{
    struct place *place = item_place(item);
    int64_t expires_us;
    if (item->unit->state == DROVER_STATE_WAITING) {
        if (item_expires(item, &expires_us)) {
            timer_arm(core, item_timer(item), expires_us);
        }
        return;
    }
    if (item->unit->state == DROVER_STATE_DELAYED) {
        if (!timer_is_armed(item_timer(item))) {
            timer_arm(core, item_timer(item), core->now_us);
        }
        return;
    }
    if (place->arrival > 0) {
        line_restore(core, item->task->spec->line, place);
    } else {
        line_push(core, item->task->spec->line, place);
    }
    if (item_expires(item, &expires_us)) {
        timer_arm(core, item_timer(item), expires_us);
    }
}

void item_delay(struct core *core, const struct item *item, int64_t until_us)
{
    int64_t expires_us;
    item_set_state(core, item, DROVER_STATE_DELAYED);
    bool is_first = item_expires(item, &expires_us) && expires_us < until_us;
    timer_arm(core, item_timer(item), is_first ? expires_us : until_us);
}

void item_wait(struct core *core, const struct item *item)
{
    int64_t expires_us;
    item_set_state(core, item, DROVER_STATE_WAITING);
    if (item_expires(item, &expires_us)) {
        timer_arm(core, item_timer(item), expires_us);
    }
}

/* Its delay began when it came. */
void item_release(struct core *core, const struct item *item)
{
    int64_t until_us = item_since_us(item) + item->task->spec->numbers.delay_us;
    if (until_us > core->now_us && item->unit->attempt == 0) {
        item_delay(core, item, until_us);
    } else {
        item_queue(core, item, true);
    }
}

void item_unplace(struct core *core, const struct item *item)
{
    struct place *place = item_place(item);
    if (place == NULL) {
        return;
    }
    line_remove(item->task->spec->line, place);
    timer_disarm(core, item_timer(item));
}

/* --- life of a task ---------------------------------------------------------------------- */

/* Into the table, and into that of its group. False: out of memory. */
static bool task_register(struct core *core, struct task *task, struct group *group)
{
    uint64_t hash = task_hash(core, &task->id);
    if (drv_table_insert(&core->tasks, hash, task)) {
        return false;
    }
    if (group != NULL && !group_add(core, group, task)) {
        drv_table_remove_entry(&core->tasks, hash, task);
        return false;
    }
    return true;
}

struct task *task_new(struct core *core, const drover_id *id, struct spec *spec)
{
    struct task *task = drv_slab_alloc(&core->task_slab);
    if (task == NULL) {
        return NULL;
    }
    if (!timer_init(core, &task->timer, TIMER_TASK)) {
        drv_slab_free(&core->task_slab, task);
        return NULL;
    }
    task->id = *id;
    if (!task_register(core, task, spec->group)) {
        timer_fini(core, &task->timer);
        drv_slab_free(&core->task_slab, task);
        return NULL;
    }
    task->spec = spec_ref(spec);
    task->submitted_us = core->now_us;
    place_init(&task->place, PLACE_TASK);
    core->memory_bytes += sizeof *task;
    return task;
}

void task_free(struct core *core, struct task *task)
{
    drv_table_remove_entry(&core->tasks, task_hash(core, &task->id), task);
    if (task->spec->group != NULL) {
        group_remove(core, task->spec->group, task);
    }
    key_leave(core, task);
    save_drop(core, task);
    task_dismantle(core, task);
}

void task_dismantle(struct core *core, struct task *task)
{
    struct item item = item_of_task(task);
    if (task_is_array(task)) {
        if (!array_dismantle(core, task->array)) {
            return; /* goes on in slices, and comes back here */
        }
    } else {
        body_release(core, &task->payload);
    }
    if (unit_is_terminal(&task->unit)) {
        body_release(core, &task->unit.result);
    } else {
        item_unplace(core, &item);
        if (task->unit.lease != NULL) {
            lease_free(core, task->unit.lease);
        }
    }
    unit_drop_more(core, &task->unit);
    timer_fini(core, &task->timer);
    spec_release(core, &task->spec);
    drv_slab_free(&core->task_slab, task);
    core->memory_bytes -= sizeof *task;
}

void task_forget(struct core *core, struct task *task)
{
    struct item item = item_of_task(task);
    effects_record_item(core, CORE_RECORD_FORGOTTEN, &item, NULL);
    save_forget(core, task);
    key_remember(core, task);
    watch_drop_task(core, task);
    task_unretain(core, task);
    task_free(core, task);
}

void task_begin(struct core *core, struct task *task, const struct session *session)
{
    struct item item = item_of_task(task);
    int64_t delay_us = task->spec->numbers.delay_us;
    enum drover_state state = deps_hold(&task->unit) ? DROVER_STATE_WAITING
                              : delay_us > 0         ? DROVER_STATE_DELAYED
                                                     : DROVER_STATE_QUEUED;
    tomb_revive(core, &item);
    struct core_record record = {
        .kind = CORE_RECORD_SUBMIT,
        .id = task->id,
        .index = item.index,
        .attempt = task->unit.attempt,
        .state = state,
    };
    if (session != NULL) {
        record.session = session->id;
    }
    if (task->spec->schedule != NULL) {
        schedule_task_begun(core, task);
    }
    effects_record(core, &record);
    save_item(core, &item);
    recent_add(core, task);
    if (task_is_array(task)) {
        /* Its elements begin when they come, or when it has waited. */
        if (state == DROVER_STATE_WAITING) {
            deps_wait(core, &item);
        }
    } else if (!park_adopt(core, &item)) { /* an adopted task runs already */
        if (state == DROVER_STATE_WAITING) {
            deps_wait(core, &item);
        } else if (state == DROVER_STATE_DELAYED) {
            item_delay(core, &item, core->now_us + delay_us);
        } else {
            item_queue(core, &item, false);
        }
    }
    event_item(core, DRV_EVENT_TASK_SUBMITTED, &item);
}

/* An element or a task whose delay or time is over. */
static void item_due(struct core *core, const struct item *item)
{
    int64_t expires_us;
    if (item_expires(item, &expires_us) && expires_us <= core->now_us) {
        item_expire(core, item);
    } else if (item->unit->state == DROVER_STATE_DELAYED) {
        item_queue(core, item, false);
        event_item(core, DRV_EVENT_TASK_QUEUED, item);
    }
}

void task_due(struct core *core, struct task *task)
{
    hand_take(core, &task->id, DROVER_INDEX_NONE);
    if (unit_is_terminal(&task->unit)) {
        task_outlived(core, task);
        return;
    }
    struct item item = item_of_task(task);
    item_due(core, &item);
}

void lease_due(struct core *core, struct lease *lease)
{
    struct item item = lease_item(lease);
    hand_take(core, &item.task->id, item.index);
    item_due(core, &item);
}
