#include "purge.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"

struct purge {
    struct sweep sweep;
    struct drv_list in_queue; /* queue->sweeps */
    struct queue *queue;      /* referenced */
    struct drv_table_cursor cursor;
    bool is_in_array; /* the cursor is past this array, whose elements are not done */
    drover_id array_id;
    uint32_t index;   /* of the next element */
    uint64_t arrival; /* last arrival number and timer before the purge */
    uint64_t armed;
    int64_t since_us;
    uint64_t purged;
};

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
    const struct array *array = task->array;
    const struct run *run = array->runs[array_element(array, item->index)->run];
    return is_older(core, purge, run->arrived_us, &run->place, &run->timer);
}

static bool item_waits(const struct item *item)
{
    uint8_t state = item->unit->state;
    return (state == DROVER_STATE_QUEUED || state == DROVER_STATE_DELAYED ||
            state == DROVER_STATE_WAITING) &&
           !(item->unit->flags & UNIT_CANCELLING);
}

/* Everybody who waits for the purge also waits for this worker's answer. */
static bool wait_for_answer(struct core *core, const struct purge *purge, struct lease *lease)
{
    DRV_LIST_EACH(link, &purge->sweep.waiters)
    {
        struct waiter *waiter = DRV_LIST_ITEM(link, struct waiter, in_cause);
        if (!reply_wait(core, waiter->reply, &lease->waiters)) {
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
    if (lease != NULL && lease->worker != NULL && !wait_for_answer(core, purge, lease)) {
        return false;
    }
    (void)cancel_item(core, item, "its queue was purged");
    purge->purged++;
    return true;
}

/* --- the walk ---------------------------------------------------------------------------- */

/* The next task of the queue, NULL: none is left or the budget is used up. */
static struct task *purge_next(struct core *core, struct purge *purge, uint32_t *budget,
                               bool *out_at_end)
{
    while (*budget > 0) {
        struct task *task = drv_table_next(&core->tasks, &purge->cursor);
        *out_at_end = task == NULL;
        if (task == NULL) {
            return NULL;
        }
        (*budget)--;
        if (task->spec->line->queue == purge->queue && !unit_is_terminal(&task->unit)) {
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
        if (array_element(array, purge->index) == NULL) {
            continue;
        }
        struct item item = array_item(array, purge->index);
        if (!purge_item(core, purge, &item)) {
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
    event_queue(core, DRV_EVENT_QUEUE_PURGED, purge->queue, purge->purged);
    sweep_done(core, &purge->sweep);
    drv_list_remove(&purge->in_queue);
    queue_release(core, purge->queue);
    core_free(core, purge, sizeof *purge);
}

static void purge_step(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct purge *purge = DRV_CONTAINER_OF(sweep, struct purge, sweep);
    bool is_at_end = queue_count(purge->queue) == 0;
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

static bool queue_is_too_busy(const struct queue *queue)
{
    int count = 0;
    DRV_LIST_EACH(link, &queue->sweeps)
    {
        count++;
    }
    return count >= PURGES_MAX;
}

static struct purge *purge_new(struct core *core, struct queue *queue)
{
    struct purge *purge = core_alloc(core, sizeof *purge);
    if (purge == NULL) {
        return NULL;
    }
    sweep_init(&purge->sweep, purge_step);
    queue->references++;
    purge->queue = queue;
    purge->cursor = DRV_TABLE_CURSOR_INIT;
    purge->arrival = core->arrival;
    purge->armed = core->timers.sequence;
    purge->since_us = core->now_us;
    drv_list_push_back(&queue->sweeps, &purge->in_queue);
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
    if (queue_is_too_busy(queue)) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, DROVER_BUSY, "the queue is being purged too often already");
        return;
    }
    struct purge *purge = purge_new(core, queue);
    if (purge == NULL || !reply_wait(core, reply, &purge->sweep.waiters)) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
    }
}
