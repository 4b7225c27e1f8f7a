/*
 * on_fetch.c: FETCH: how one task ended, and its value. What waited for a task reads its result
 * like this, when it needs it: leases stay small whatever they waited for.
 */
#include "broker.h"
#include "guard.h"
#include "handlers.h"

void on_fetch(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_fetch *fetch = &message->fetch;
    struct reply *reply = request_ask(core, peer, message->request.req);
    struct item item;
    if (reply == NULL) {
        return;
    }
    if (!item_find(core, &fetch->id, fetch->index, &item)) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such task");
        return;
    }
    const struct worker *worker = peer->session->worker;
    bool may = guard_may(core, item.task) || (worker != NULL && guard_is_parent(worker, &item));
    if (!may && !guard_admits_task(core, item.task)) {
        reply_fail(core, reply, DROVER_DENIED, GUARD_FOREIGN);
        return;
    }
    const struct unit *unit = item.unit;
    reply->number = unit->state;
    reply->level = save_level_of(core, item.task);
    if (!unit_is_terminal(unit)) {
        reply_fail(core, reply, DROVER_NOT_READY, "the task has not ended");
        return;
    }
    if (unit->flags & UNIT_DROPPED) {
        reply_fail(core, reply, DROVER_UNKNOWN, "its result is not kept any more");
        return;
    }
    if (unit->result != NULL) {
        reply->val = body_ref(unit->result);
        reply->code = reply->val == NULL ? DROVER_NOMEM : DROVER_OK;
    }
    if (unit->more != NULL && unit->more->error != NULL) {
        struct drv_error error = failure_view(unit->more->error);
        reply->error = failure_new(core, &error);
        reply->code = reply->error == NULL ? DROVER_NOMEM : reply->code;
    }
    reply_answer(core, reply);
}
