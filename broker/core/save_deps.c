/*
 * save_deps.c: the record of what a task or an element waits for.
 */
#include "broker.h"
#include "save_parts.h"

void save_deps(struct core *core, struct deps *deps)
{
    if (!save_wants(core, deps->task)) {
        return;
    }
    deps->is_copy = drv_list_is_linked(&deps->unsaved) ? deps->is_copy && core->save.is_copying
                                                       : core->save.is_copying;
    if (!drv_list_is_linked(&deps->unsaved)) {
        drv_list_push_back(&core->deps_unsaved, &deps->unsaved);
    }
}

/* Of what has ended only what it was submitted with counts, and that stands first. */
static void put_deps(struct core *core, struct deps *deps)
{
    core->save.is_copying = deps->is_copy;
    struct record_writer writer = save_begin(core, CORE_SAVE_AFTER, &deps->task->id,
                                             deps->index);
    record_put_u8(&writer, deps->is_cascade ? AFTER_CASCADE : 0);
    record_put_uint(&writer, deps->edges == NULL ? 0 : deps->edge_count);
    for (uint32_t i = 0; deps->edges != NULL && i < deps->edge_count; i++) {
        const struct edge *edge = &deps->edges[i];
        record_put_id(&writer, deps->is_past ? &edge->id : &edge->parent->id);
        record_put_uint(&writer, (uint32_t)(edge->index + 1));
        record_put_u8(&writer, edge->when);
    }
    save_end(core, &writer, NULL);
    deps->mark = save_mark(core);
    core->save.is_copying = false;
}

void save_flush_deps(struct core *core)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&core->deps_unsaved)) != NULL) {
        struct deps *deps = DRV_LIST_ITEM(link, struct deps, unsaved);
        const struct unit *unit = deps->index == DROVER_INDEX_NONE
                                      ? &deps->task->unit
                                      : array_item(deps->task->array, deps->index).unit;
        if (!unit_is_terminal(unit) ||
            (deps->edges != NULL && unit->state != DROVER_STATE_SUCCEEDED)) {
            put_deps(core, deps); /* of what has succeeded nobody asks */
        }
    }
}
