/*
 * on_await.c: AWAIT: what a worker runs waits for others: its lease ends, its slot is free, and
 * it is leased again when they have ended.
 *
 * Like a result it counts only from the session that holds the lease, with its attempt, and the
 * worker keeps it until it has been settled. What is awaited must be there, be at least as
 * durable, and not wait for the task itself, or else the attempt fails.
 */
#include "broker.h"
#include "hand.h"
#include "handlers.h"

#include <stdio.h>

/* A worker may make a task wait for its own children, and for tasks of the same owner. */
static bool may_await(const struct core *core, const struct lease *lease, const drover_id *id)
{
    const struct task *child = core->scope == ACCESS_ALL ? NULL : task_peek(core, id);
    return child == NULL || child->spec->account == core->actor ||
           child->spec->account == lease->task->spec->account;
}

static drover_status look_up(struct core *core, const struct lease *lease,
                             const struct drv_await *await, struct parents *parents,
                             char text[DEPS_TEXT_MAX])
{
    uint32_t level = lease->task->spec->numbers.level;
    drover_status status = DROVER_OK;
    parents->count = 0;
    for (size_t i = 0; status == DROVER_OK && i < await->child_count; i++) {
        const drover_id *id = &await->children[i];
        if (drover_id_equal(id, &lease->task->id)) {
            (void)snprintf(text, DEPS_TEXT_MAX, "a task cannot wait for itself");
            return DROVER_DEPENDENCY;
        }
        if (!may_await(core, lease, id)) {
            (void)snprintf(text, DEPS_TEXT_MAX, "a task cannot wait for one of others");
            return DROVER_DEPENDENCY;
        }
        status = deps_look_up(core, id, DROVER_INDEX_NONE, DEPS_AWAITED, level, parents, text);
    }
    return status;
}

static drover_status refuse_circle(struct core *core, const struct item *item,
                                   const struct parents *parents, char text[DEPS_TEXT_MAX])
{
    char name[DROVER_ID_TEXT_LEN + 1];
    int position = deps_find_circle(core, item, parents);
    if (position < 0) {
        return DROVER_OK;
    }
    drover_id_format(&parents->items[position].task->id, name);
    (void)snprintf(text, DEPS_TEXT_MAX,
                   "a circle through task %s: it waits for the task that is to await it", name);
    return DROVER_DEPENDENCY;
}

/* A way to fail that no retry would help. */
static void fail(struct core *core, const struct item *item, struct who *who, const char *text)
{
    const struct drv_result result = {
        .outcome = DRV_OUTCOME_FAILED,
        .val = {.is_nil = true},
        .error = {.kind = DROVER_ERROR_DEPENDENCY,
                  .text = drv_str_of(text),
                  .exit_code = -1,
                  .flags = DRV_ERROR_PERMANENT},
    };
    item_result(core, item, &result, NULL, who);
}

static void refuse(struct core *core, struct peer *peer, const struct drv_message *message)
{
    drover_status verdict = report_verdict(core, peer, &message->await.ref);
    if (verdict) {
        peer_note(core, peer, message->seq, 0, verdict);
    }
}

void on_await(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_await *await = &message->await;
    struct lease *lease = peer->session->worker == NULL ? NULL
                                                        : report_lease(core, peer, &await->ref);
    struct parents parents;
    char text[DEPS_TEXT_MAX];
    if (lease == NULL) {
        if (peer->session->worker != NULL) {
            refuse(core, peer, message);
        }
        return;
    }
    struct item item = lease_item(lease);
    drover_status status = look_up(core, lease, await, &parents, text);
    if (status == DROVER_OK) {
        status = refuse_circle(core, &item, &parents, text);
    }
    bool is_along = (await->flags & DRV_AWAIT_ALONG) != 0;
    hand_take(core, &item.task->id, item.index);
    if (status == DROVER_OK &&
        (!deps_set(core, &item, &parents) || (is_along && !deps_cascade(core, &item)))) {
        peer->seq--; /* not settled: it comes again over the next connection */
        peer_refuse(core, peer, DROVER_NOMEM, "out of memory");
        return;
    }
    struct who *who = lease->worker->who;
    report_settles(peer, save_level_of(core, item.task));
    lease_start(core, lease);
    lease_take(core, lease);
    core->reporter = who;
    if (status == DROVER_OK) {
        item_awaits(core, &item, who);
    } else {
        fail(core, &item, who, text);
    }
    core->reporter = NULL;
}
