/*
 * retain.c: how long ended tasks are kept.
 *
 * By time (explicit, or by how it ended), and in all by number and bytes: the oldest go first.
 * What a client still waits for is passed over.
 *
 * Whose time follows from how they ended stand on a shelf, in the order in which they ended, so
 * that only the first one of each needs a timer. Others have one of their own.
 */
#include "array.h"
#include "broker.h"
#include "check.h"

/* In one tick: tasks that are forgotten, and tasks passed over because somebody waits for them.
 */
enum { RETAIN_FORGET_MAX = 4096, RETAIN_PASS_MAX = 64 };
/* Tasks of a shelf that are looked at when its timer fires. */
enum { SHELF_SLICE = 256 };

static uint64_t array_payload_bytes(const struct array *array)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < array->run_count; i++) {
        const struct run *run = array->runs[i];
        bytes += body_len(run->data);
        for (uint32_t j = 0; j < run->large_count; j++) {
            bytes += body_len(run->large[j]);
        }
    }
    return bytes;
}

uint64_t task_kept_bytes(const struct task *task)
{
    if (!unit_is_terminal(&task->unit)) {
        return 0;
    }
    return task_is_array(task)
               ? task->array->result_bytes + array_payload_bytes(task->array)
               : (uint64_t)body_len(task->unit.result) + body_len(task->payload);
}

bool shelves_init(struct core *core)
{
    core->shelves[SHELF_ENDED].keep_us = core->config.keep_us;
    core->shelves[SHELF_FAILED].keep_us = core->config.keep_failed_us;
    for (size_t i = 0; i < SHELVES; i++) {
        drv_list_init(&core->shelves[i].list);
    }
    return timer_init(core, &core->shelves[SHELF_ENDED].timer, TIMER_SHELF) &&
           timer_init(core, &core->shelves[SHELF_FAILED].timer, TIMER_SHELF);
}

void shelves_fini(struct core *core)
{
    for (size_t i = 0; i < SHELVES; i++) {
        timer_fini(core, &core->shelves[i].timer);
    }
}

static struct shelf *shelf_of(struct core *core, const struct task *task)
{
    return &core->shelves[task->unit.state == DROVER_STATE_FAILED ? SHELF_FAILED : SHELF_ENDED];
}

static struct more *shelf_first(const struct shelf *shelf)
{
    struct drv_list *link = drv_list_first(&shelf->list);
    return link == NULL ? NULL : DRV_LIST_ITEM(link, struct more, kept);
}

/* On the shelf of its kind, if it is the youngest there. */
static bool shelf_take(struct core *core, struct task *task, struct more *more)
{
    struct shelf *shelf = shelf_of(core, task);
    if (!drv_list_is_empty(&shelf->list) &&
        DRV_LIST_ITEM(shelf->list.prev, struct more, kept)->ended_us > more->ended_us) {
        return false;
    }
    drv_list_push_back(&shelf->list, &more->kept);
    if (!timer_is_armed(&shelf->timer)) {
        timer_arm(core, &shelf->timer, more->ended_us + shelf->keep_us);
    }
    return true;
}

/* Off its shelf, with a time of its own. */
static void shelf_leave(struct core *core, struct more *more, int64_t until_us)
{
    drv_list_remove(&more->kept);
    drv_list_push_back(&core->kept, &more->kept);
    timer_arm(core, &more->task->timer, until_us);
}

/* What it is kept for beyond its time are tasks that wait for it, and nothing else. */
static void discard_if_pinned(struct core *core, struct task *task)
{
    if (task_is_pinned(task)) {
        task_discard_later(core, task);
    }
}

void shelf_due(struct core *core, struct shelf *shelf)
{
    struct more *more;
    for (int i = 0; i < SHELF_SLICE && (more = shelf_first(shelf)) != NULL &&
                    more->ended_us + shelf->keep_us <= core->now_us;
         i++) {
        core->timers.extra++;
        if (watch_is_pending(more->task)) {
            discard_if_pinned(core, more->task);
            shelf_leave(core, more, core->now_us + core->config.keep_us);
        } else {
            task_forget(core, more->task);
        }
    }
    if ((more = shelf_first(shelf)) != NULL) {
        timer_arm(core, &shelf->timer, more->ended_us + shelf->keep_us);
    }
}

/* How long it is kept if that was asked for; -1: as others that ended like it. */
static int64_t keep_us(const struct core *core, const struct task *task)
{
    int64_t asked = task->spec->numbers.keep_us;
    if (asked != 0) {
        return asked;
    }
    return watch_is_pending(task) ? core->config.keep_us : 0;
}

void task_retain(struct core *core, struct task *task)
{
    task_retain_since(core, task, core->now_us);
}

void task_retain_since(struct core *core, struct task *task, int64_t ended_us)
{
    if (task->spec->numbers.keep_us == 0) {
        task->flags |= TASK_RELEASE;
    }
    int64_t wanted_us = keep_us(core, task);
    struct more *more = unit_more(core, &task->unit);
    if (more != NULL) {
        more->task = task;
        more->ended_us = ended_us;
        core->kept_count++;
        core->kept_bytes += task_kept_bytes(task);
        if (wanted_us < 0 && shelf_take(core, task, more)) {
            return;
        }
        drv_list_push_back(&core->kept, &more->kept);
    }
    int64_t age_us = core->now_us - ended_us;
    int64_t left_us = (wanted_us < 0 ? shelf_of(core, task)->keep_us : wanted_us) - age_us;
    timer_arm(core, &task->timer, core->now_us + (left_us > 0 ? left_us : 0));
}

void task_unretain(struct core *core, struct task *task)
{
    struct more *more = task->unit.more;
    if (more != NULL && drv_list_is_linked(&more->kept)) {
        drv_list_remove(&more->kept);
        core->kept_count--;
        core->kept_bytes -= task_kept_bytes(task);
    }
    timer_disarm(core, &task->timer);
}

void task_outlived(struct core *core, struct task *task)
{
    if (watch_is_pending(task)) {
        /* The end of the waiting session or task, at the latest, ends this. */
        discard_if_pinned(core, task);
        timer_arm(core, &task->timer, core->now_us + core->config.keep_us);
    } else {
        task_forget(core, task);
    }
}

void task_discard_later(struct core *core, struct task *task)
{
    struct item item = item_of_task(task);
    task->flags |= TASK_DISCARD;
    save_item(core, &item);
}

static bool is_over_limit(const struct core *core)
{
    return core->kept_count > core->config.keep_count_max ||
           core->kept_bytes > core->config.keep_bytes_max;
}

/* What has been kept for longest, of all; NULL: nothing is. */
static struct more *oldest(const struct core *core)
{
    struct drv_list *link = drv_list_first(&core->kept);
    struct more *found = link == NULL ? NULL : DRV_LIST_ITEM(link, struct more, kept);
    for (size_t i = 0; i < SHELVES; i++) {
        struct more *first = shelf_first(&core->shelves[i]);
        if (first != NULL && (found == NULL || first->ended_us < found->ended_us)) {
            found = first;
        }
    }
    return found;
}

/* Somebody waits for it: behind the others. */
static void pass_over(struct core *core, struct more *more)
{
    if (timer_is_armed(&more->task->timer)) {
        drv_list_remove(&more->kept);
        drv_list_push_back(&core->kept, &more->kept);
    } else {
        shelf_leave(core, more, more->ended_us + shelf_of(core, more->task)->keep_us);
    }
}

/* Nobody watches yet what ended in an earlier life: who waits for it has to come back first,
 * and to ask again. */
static bool awaits_watchers(const struct core *core, const struct more *more)
{
    return more->ended_us < core->started_us &&
           core->now_us - core->started_us < core->config.reattach_us;
}

void retention_enforce(struct core *core)
{
    int forgotten = 0, passed = 0;
    struct more *more;
    while (is_over_limit(core) && passed < RETAIN_PASS_MAX && (more = oldest(core)) != NULL) {
        if (awaits_watchers(core, more)) {
            return;
        }
        if (forgotten == RETAIN_FORGET_MAX) {
            core->wants_tick = true;
            return;
        }
        if (watch_is_pending(more->task)) {
            pass_over(core, more);
            passed++;
        } else {
            task_forget(core, more->task);
            forgotten++;
        }
    }
}
