/*
 * on_fetch.c: FETCH: how one task ended, and its value. What waited for a task reads its result
 * like this, when it needs it: leases stay small whatever they waited for.
 */
#include "array.h"
#include "broker.h"
#include "guard.h"
#include "handlers.h"
#include "pack.h"

/* The value of an array as a whole: how many elements ended how. */
static void put_summary(struct core *core, struct reply *reply, const struct array *array)
{
    struct drv_buffer buffer;
    struct drv_pack pack;
    drv_buffer_init(&buffer);
    drv_pack_init(&pack, &buffer);
    drv_pack_map(&pack, 2 + DROVER_STATE_EXPIRED - DROVER_STATE_SUCCEEDED);
    drv_pack_key(&pack, "count");
    drv_pack_uint(&pack, array->count);
    for (unsigned state = DROVER_STATE_SUCCEEDED; state <= DROVER_STATE_EXPIRED; state++) {
        drv_pack_key(&pack, drover_state_name((enum drover_state)state));
        drv_pack_uint(&pack, array->states[state]);
    }
    struct drv_val val = {.bytes = buffer.bytes, .len = buffer.len};
    bool is_fine = drv_pack_status(&pack) == DROVER_OK &&
                   body_new(core, &val, &reply->val) == DROVER_OK;
    reply->code = is_fine ? DROVER_OK : DROVER_NOMEM;
    drv_buffer_fini(&buffer);
}

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
    if (task_is_array(item.task) && item.index == DROVER_INDEX_NONE) {
        put_summary(core, reply, item.task->array);
    } else if (unit->result != NULL) {
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
