/*
 * on_cancel.c: CANCEL.
 *
 * The reply to a cancel says that nothing of it starts any more: it waits until every worker
 * that had a target in hand but had not reported it as started has said what became of it.
 */
#include "broker.h"
#include "cancel.h"
#include "guard.h"
#include "handlers.h"
#include "purge.h"

/* False when the reply cannot wait as it must: out of memory. */
static bool cancel_target(struct core *core, struct reply *reply, const struct item *item,
                          uint32_t flags, const char *text)
{
    if (flags & DRV_CANCEL_AWAITED && !unit_is_terminal(item->unit) &&
        !deps_cascade(core, item)) {
        return false;
    }
    bool is_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    enum cancel_verdict verdict = cancel_item(core, item, text);
    if (verdict == CANCEL_ENDED_BEFORE) {
        reply->number++;
        return true;
    }
    if (is_array) {
        struct array *array = item->task->array;
        return array_is_still(array) || reply_wait(core, reply, &array->sweep.waiters);
    }
    return verdict != CANCEL_ASSIGNED || reply_wait(core, reply, &item->unit->lease->waiters);
}

static void cancel_group(struct core *core, struct reply *reply,
                         const struct drv_targets *targets)
{
    struct group *group = group_find(core, targets->group);
    if (targets->target_count > 0) {
        reply_fail(core, reply, DROVER_INVALID, "either tasks or a group");
    } else if (group == NULL) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such group");
    } else {
        group_cancel(core, group, targets->text, reply);
    }
}

void on_cancel(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    const struct drv_targets *targets = &message->targets;
    char room[CANCEL_TEXT_MAX];
    const char *text = cancel_words(targets->text, room);
    if (targets->group.ptr != NULL) {
        cancel_group(core, reply, targets);
        return;
    }
    reply->is_gathering = true;
    for (size_t i = 0; i < targets->target_count; i++) {
        const struct drv_target *target = &targets->targets[i];
        struct item item;
        if (!item_find(core, &target->id, target->index, &item)) {
            reply_note(reply, i, DROVER_UNKNOWN, "no such task", 0);
        } else if (!guard_admits_task(core, item.task)) {
            reply_note(reply, i, DROVER_DENIED, GUARD_FOREIGN, 0);
        } else if (!item_own(core, &item) ||
                   !cancel_target(core, reply, &item, targets->flags, text)) {
            reply->code = DROVER_NOMEM;
        }
    }
    reply->is_gathering = false;
    reply_answer(core, reply);
}
