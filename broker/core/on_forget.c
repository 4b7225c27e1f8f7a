/* on_forget.c: FORGET: results that are not wanted any more. */
#include "handlers.h"

#include "broker.h"
#include "guard.h"

/* An element goes with its array: only its result can be dropped before. */
static drover_status forget(struct core *core, const struct drv_target *target)
{
    struct item item;
    if (!item_find(core, &target->id, target->index, &item)) {
        return DROVER_UNKNOWN;
    }
    if (!guard_admits_task(core, item.task)) {
        return DROVER_DENIED;
    }
    if (!unit_is_terminal(item.unit)) {
        return DROVER_NOT_READY;
    }
    if (!item_own(core, &item)) {
        return DROVER_NOMEM;
    }
    if (item.index == DROVER_INDEX_NONE && watch_is_pending(item.task)) {
        task_discard_later(core, item.task); /* once those who wait for it have it */
    } else if (item.index == DROVER_INDEX_NONE) {
        task_forget(core, item.task);
    } else {
        element_drop_result(core, item.task->array, item.index);
    }
    return DROVER_OK;
}

void on_forget(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    const struct drv_targets *targets = &message->targets;
    for (size_t i = 0; i < targets->target_count; i++) {
        drover_status status = forget(core, &targets->targets[i]);
        if (status != DROVER_OK) {
            reply_note(reply, i, status, NULL, 0);
        }
    }
    reply_answer(core, reply);
}
