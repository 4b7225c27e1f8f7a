/*
 * on_watch.c: WATCH and UNWATCH.
 */
#include "broker.h"
#include "guard.h"
#include "handlers.h"

/* Whether the target was acknowledged by an earlier life of a broker that could not keep it. */
static bool was_taken_by_restart(const struct core *core, const struct drv_target *target)
{
    if (target->epoch == core->config.epoch) {
        return false;
    }
    if (tomb_has(core, &target->id, target->index)) {
        return true;
    }
    /* What this store does not reach did not survive; a level that it reaches is on its disk.
     */
    bool is_weak = target->level == DROVER_DURABILITY_MEMORY ||
                   target->level > (uint32_t)core->config.durability_max;
    return target->epoch != 0 && target->epoch < core->config.epoch && is_weak;
}

static drover_status watch_missing(struct core *core, struct session *session,
                                   const struct drv_target *target)
{
    if (!was_taken_by_restart(core, target)) {
        return DROVER_UNKNOWN;
    }
    /* Counted as lost once; while a worker still has it, that is decided later. */
    if (park_find(core, &target->id, target->index) == NULL) {
        tomb_add(core, &target->id, target->index, 0);
    }
    return watch_add_lost(core, session, target);
}

static drover_status watch_target(struct core *core, struct session *session,
                                  const struct drv_target *target, uint32_t flags)
{
    struct item item;
    if (session->unread > core->config.client_results_max ||
        !core_has_memory(core, sizeof(struct watch))) {
        return DROVER_BUSY;
    }
    if (!item_find(core, &target->id, target->index, &item)) {
        return watch_missing(core, session, target);
    }
    if (!guard_admits_task(core, item.task)) {
        return DROVER_DENIED;
    }
    uint32_t watch = (flags & DRV_WATCH_STATES ? (uint32_t)WATCH_STATES : 0) |
                     (flags & DRV_WATCH_RELEASE ? (uint32_t)WATCH_RELEASE : 0);
    return watch_add(core, session, &item, (uint8_t)watch);
}

void on_watch(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_targets *targets = &message->targets;
    struct reply *reply = request_ask(core, peer, message->request.req);
    if (reply == NULL) {
        return;
    }
    for (size_t i = 0; i < targets->target_count; i++) {
        drover_status status = watch_target(core, peer->session, &targets->targets[i],
                                            targets->flags);
        if (status) {
            reply_note(reply, i, status, NULL,
                       drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0);
        }
    }
    reply_answer(core, reply);
}

void on_unwatch(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_targets *targets = &message->targets;
    struct reply *reply = request_ask(core, peer, message->request.req);
    if (reply == NULL) {
        return;
    }
    for (size_t i = 0; i < targets->target_count; i++) {
        struct item item;
        if (item_find(core, &targets->targets[i].id, targets->targets[i].index, &item)) {
            watch_remove(core, peer->session, &item);
        }
    }
    reply_answer(core, reply);
}
