/*
 * retain.c: how long ended tasks are kept.
 *
 * By time (explicit, or by how it ended), and in all by number and bytes: the oldest go first.
 * What a client still waits for is passed over.
 */
#include "broker.h"
#include "check.h"

/* In one tick: tasks that are forgotten, and tasks passed over because somebody waits for them.
 */
enum { RETAIN_FORGET_MAX = 4096, RETAIN_PASS_MAX = 64 };

uint64_t task_result_bytes(const struct task *task)
{
    if (!unit_is_terminal(&task->unit)) {
        return 0;
    }
    return task_is_array(task) ? task->array->result_bytes : body_len(task->unit.result);
}

static int64_t keep_us(const struct core *core, const struct task *task)
{
    int64_t asked = task->spec->numbers.keep_us;
    if (asked > 0) {
        return asked;
    }
    if (asked == 0) {
        return watch_is_pending(task) ? core->config.keep_us : 0;
    }
    return task->unit.state == DROVER_STATE_FAILED ? core->config.keep_failed_us
                                                   : core->config.keep_us;
}

void task_retain(struct core *core, struct task *task)
{
    task_retain_since(core, task, core->now_us);
}

void task_retain_since(struct core *core, struct task *task, int64_t ended_us)
{
    int64_t age_us = core->now_us - ended_us;
    int64_t left_us = keep_us(core, task) - age_us;
    if (task->spec->numbers.keep_us == 0) {
        task->flags |= TASK_RELEASE;
    }
    timer_arm(core, &task->timer, core->now_us + (left_us > 0 ? left_us : 0));
    struct more *more = unit_more(core, &task->unit);
    if (more != NULL) {
        more->task = task;
        drv_list_push_back(&core->kept, &more->kept);
        core->kept_count++;
        core->kept_bytes += task_result_bytes(task);
    }
}

void task_unretain(struct core *core, struct task *task)
{
    struct more *more = task->unit.more;
    if (more != NULL && drv_list_is_linked(&more->kept)) {
        drv_list_remove(&more->kept);
        core->kept_count--;
        core->kept_bytes -= task_result_bytes(task);
    }
    timer_disarm(core, &task->timer);
}

void task_outlived(struct core *core, struct task *task)
{
    if (watch_is_pending(task)) {
        /* The end of the waiting session, at the latest, ends this. */
        timer_arm(core, &task->timer, core->now_us + core->config.keep_us);
    } else {
        task_forget(core, task);
    }
}

static bool is_over_limit(const struct core *core)
{
    return core->kept_count > core->config.keep_count_max ||
           core->kept_bytes > core->config.keep_bytes_max;
}

void retention_enforce(struct core *core)
{
    int forgotten = 0, passed = 0;
    while (is_over_limit(core) && passed < RETAIN_PASS_MAX) {
        struct drv_list *link = drv_list_first(&core->kept);
        if (link == NULL) {
            return;
        }
        if (forgotten == RETAIN_FORGET_MAX) {
            core->wants_tick = true;
            return;
        }
        struct task *task = DRV_LIST_ITEM(link, struct more, kept)->task;
        if (watch_is_pending(task)) {
            drv_list_remove(link);
            drv_list_push_back(&core->kept, link);
            passed++;
        } else {
            task_forget(core, task);
            forgotten++;
        }
    }
}
