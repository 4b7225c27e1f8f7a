#include "purge.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"
#include "guard.h"

struct purge {
    struct sweep sweep;
    struct drv_list in_owner; /* queue->sweeps or group->sweeps */
    struct queue *queue;      /* referenced; NULL: it is a cancel of the group */
    struct group *group;      /* referenced; NULL: it is a purge of the queue */
    struct account *only;     /* referenced: the tasks of this account; NULL: all */
    struct drv_table_cursor cursor;
    bool is_in_array; /* the cursor is past this array, whose elements are not done */
    drover_id array_id;
    uint32_t index;   /* of the next element */
    uint64_t arrival; /* last arrival number and timer before the purge */
    uint64_t armed;
    int64_t since_us;
    uint64_t purged;
    char text[CANCEL_TEXT_MAX]; /* why the group is cancelled; empty: nothing was said */
};

#define PURGED "its queue was purged"
static const char GROUP_CANCELLED[] = "its group was cancelled";

/* --- what is purged ---------------------------------------------------------------------- */

/* Whether it was there when the purge began. What has no arrival number yet has a timer. */
static bool is_older(const struct core *core, const struct purge *purge, int64_t since_us,
                     const struct place *place, const struct timer *timer)
{
    if (since_us != purge->since_us) {
        return since_us < purge->since_us;
    }
    if (place->arrival > 0) {
        return place->arrival <= purge->arrival;
    }
    return !timer_is_armed(timer) || timer_sequence(core, timer) <= purge->armed;
}

static bool item_is_older(const struct core *core, const struct purge *purge,
                          const struct item *item)
{
    const struct task *task = item->task;
    if (item->index == DROVER_INDEX_NONE) {
        return is_older(core, purge, task->submitted_us, &task->place, &task->timer);
    }
    const struct run *run = array_run(task->array, item->index);
    return is_older(core, purge, run->arrived_us, &run->place, &run->timer);
}

static bool item_waits(const struct item *item)
{
    uint8_t state = item->unit->state;
    return (state == DROVER_STATE_QUEUED || state == DROVER_STATE_DELAYED ||
            state == DROVER_STATE_WAITING) &&
           !(item->unit->flags & UNIT_CANCELLING);
}

/* Everybody who waits for the purge also waits for this: a worker's answer, another sweep. */
static bool wait_for(struct core *core, const struct purge *purge, struct drv_list *cause)
{
    DRV_LIST_EACH(link, &purge->sweep.waiters)
    {
        struct waiter *waiter = DRV_LIST_ITEM(link, struct waiter, in_cause);
        if (!reply_wait(core, waiter->reply, cause)) {
            return false;
        }
    }
    return true;
}

/* False: out of memory, to be tried again. */
static bool purge_item(struct core *core, struct purge *purge, const struct item *item)
{
    if (!item_waits(item) || !item_is_older(core, purge, item)) {
        return true;
    }
    struct lease *lease = item->unit->lease;
    if (lease != NULL && lease->worker != NULL && !wait_for(core, purge, &lease->waiters)) {
        return false;
    }
    (void)cancel_item(core, item, PURGED);
    purge->purged++;
    return true;
}

/* All of a run that has no record, with the first of them that is come by. */
static bool purge_shared(struct core *core, struct purge *purge, const struct item *item)
{
    struct drv_error error = error_of(DROVER_ERROR_CANCELLED, PURGED);
    struct run *run = array_run(item->task->array, item->index);
    if (!item_waits(item) || !item_is_older(core, purge, item)) {
        return true;
    }
    uint32_t count = run->shared;
    if (!run_end_shared(core, run, DROVER_STATE_CANCELLED, &error)) {
        return false;
    }
    purge->purged += count;
    return true;
}

static const char *purge_text(const struct purge *purge)
{
    return purge->text[0] != '\0' ? purge->text : GROUP_CANCELLED;
}

static uint64_t elements_active(const struct array *array)
{
    uint64_t active = 0;
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_RUNNING; state++) {
        active += array->states[state];
    }
    return active;
}

/* An array of the group, as a whole. False: out of memory, to be tried again. */
static bool cancel_array(struct core *core, struct purge *purge, struct array *array)
{
    struct task *task = array->task;
    if (!is_older(core, purge, task->submitted_us, &task->place, &task->timer) ||
        (array->is_cancelled && array_is_still(array))) {
        return true;
    }
    if (!wait_for(core, purge, &array->sweep.waiters)) {
        return false;
    }
    if (!array->is_cancelled) {
        struct item item = item_of_task(task);
        purge->purged += elements_active(array);
        (void)cancel_item(core, &item, purge_text(purge));
    }
    return true;
}

/* A task of the group. False: out of memory, to be tried again. */
static bool cancel_task(struct core *core, struct purge *purge, struct task *task)
{
    struct item item = item_of_task(task);
    if (task_is_array(task)) {
        return cancel_array(core, purge, task->array);
    }
    if (!item_is_older(core, purge, &item)) {
        return true;
    }
    struct lease *lease = task->unit.lease;
    bool is_assigned = lease != NULL && lease->worker != NULL &&
                       !(lease->flags & LEASE_STARTED);
    if (is_assigned && !wait_for(core, purge, &lease->waiters)) {
        return false;
    }
    if (!(task->unit.flags & UNIT_CANCELLING)) {
        (void)cancel_item(core, &item, purge_text(purge));
        purge->purged++;
    }
    return true;
}

/* --- the walk ---------------------------------------------------------------------------- */

/* The next task of the queue, NULL: none is left or the budget is used up. */
static struct task *purge_next(struct core *core, struct purge *purge, uint32_t *budget,
                               bool *out_at_end)
{
    const struct drv_table *tasks = purge->group != NULL ? &purge->group->tasks : &core->tasks;
    while (*budget > 0) {
        struct task *task = drv_table_next(tasks, &purge->cursor);
        *out_at_end = task == NULL;
        if (task == NULL) {
            return NULL;
        }
        (*budget)--;
        bool is_wanted = (purge->group != NULL || task->spec->line->queue == purge->queue) &&
                         (purge->only == NULL || task->spec->account == purge->only);
        if (is_wanted && !unit_is_terminal(&task->unit)) {
            return task;
        }
    }
    return NULL;
}

/* What is left of the array at hand. False: not done in this slice. */
static bool purge_array(struct core *core, struct purge *purge, uint32_t *budget)
{
    struct task *task = task_find(core, &purge->array_id);
    if (task == NULL || !task_is_array(task)) {
        return true; /* forgotten meanwhile */
    }
    struct array *array = task->array;
    for (; purge->index < array->index_end; purge->index++) {
        if (array->states[DROVER_STATE_QUEUED] + array->states[DROVER_STATE_DELAYED] +
                array->states[DROVER_STATE_WAITING] ==
            0) {
            return true;
        }
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        if (!array_has(array, purge->index)) {
            continue;
        }
        struct item item = array_item(array, purge->index);
        if (!(unit_is_shared(item.unit) ? purge_shared(core, purge, &item)
                                        : purge_item(core, purge, &item))) {
            *budget = 0;
            return false;
        }
    }
    return true;
}

static void purge_end(struct core *core, struct purge *purge)
{
    DRV_LIST_EACH(link, &purge->sweep.waiters)
    {
        DRV_LIST_ITEM(link, struct waiter, in_cause)->reply->number = (int64_t)purge->purged;
    }
    if (purge->queue != NULL) {
        event_queue(core, DRV_EVENT_QUEUE_PURGED, purge->queue, purge->purged);
    }
    sweep_done(core, &purge->sweep);
    drv_list_remove(&purge->in_owner);
    if (purge->queue != NULL) {
        queue_release(core, purge->queue);
    }
    group_release(core, purge->group);
    account_release(core, purge->only);
    core_free(core, purge, sizeof *purge);
}

static void purge_step(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct purge *purge = DRV_CONTAINER_OF(sweep, struct purge, sweep);
    bool is_at_end = purge->queue != NULL && queue_count(purge->queue) == 0;
    while (budget > 0 && !is_at_end) {
        if (purge->is_in_array) {
            purge->is_in_array = !purge_array(core, purge, &budget);
            continue;
        }
        struct drv_table_cursor before = purge->cursor;
        struct task *task = purge_next(core, purge, &budget, &is_at_end);
        if (task == NULL) {
            continue;
        }
        if (purge->group != NULL) {
            if (!cancel_task(core, purge, task)) {
                purge->cursor = before;
                return;
            }
            continue;
        }
        if (task_is_array(task)) {
            purge->is_in_array = true;
            purge->array_id = task->id;
            purge->index = 0;
            continue;
        }
        struct item item = item_of_task(task);
        if (!purge_item(core, purge, &item)) {
            purge->cursor = before;
            return;
        }
    }
    if (is_at_end) {
        purge_end(core, purge);
    }
}

/* --- begin ------------------------------------------------------------------------------- */

static bool is_too_busy(const struct drv_list *sweeps, int max)
{
    int count = 0;
    DRV_LIST_EACH(link, sweeps)
    {
        count++;
    }
    return count >= max;
}

/* Of a queue or of a group. */
static struct purge *purge_new(struct core *core, struct queue *queue, struct group *group)
{
    struct purge *purge = core_alloc(core, sizeof *purge);
    if (purge == NULL) {
        return NULL;
    }
    sweep_init(&purge->sweep, purge_step);
    purge->queue = queue;
    purge->group = group;
    if (queue != NULL) {
        queue->references++;
        drv_list_push_back(&queue->sweeps, &purge->in_owner);
    } else {
        group->references++;
        drv_list_push_back(&group->sweeps, &purge->in_owner);
    }
    purge->cursor = DRV_TABLE_CURSOR_INIT;
    purge->arrival = core->arrival;
    purge->armed = core->timers.sequence;
    purge->since_us = core->now_us;
    sweep_start(core, &purge->sweep);
    return purge;
}

void queue_purge(struct core *core, struct queue *queue, struct reply *reply)
{
    if (queue_count(queue) == 0) {
        event_queue(core, DRV_EVENT_QUEUE_PURGED, queue, 0);
        reply_answer(core, reply);
        return;
    }
    if (is_too_busy(&queue->sweeps, PURGES_MAX)) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, DROVER_BUSY, "the queue is being purged too often already");
        return;
    }
    struct purge *purge = purge_new(core, queue, NULL);
    if (purge == NULL || !reply_wait(core, reply, &purge->sweep.waiters)) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
    }
}

void group_cancel(struct core *core, struct group *group, struct drv_str reason,
                  struct reply *reply)
{
    if (is_too_busy(&group->sweeps, GROUP_CANCELS_MAX)) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, DROVER_BUSY, "the group is being cancelled too often already");
        return;
    }
    struct purge *purge = purge_new(core, NULL, group);
    const struct account *only = guard_only(core);
    if (purge != NULL && reason.len > 0) {
        (void)cancel_words(reason, purge->text);
    }
    if (purge != NULL && only != NULL) {
        purge->only = account_ref(core->actor);
    }
    if (purge == NULL || !reply_wait(core, reply, &purge->sweep.waiters)) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
    }
}
