/*
 * check_deps.c: who waits for whom: both sides know it, and their counts agree.
 */
#include "check_core.h"

static void check_child(struct check *check, const struct edge *edge, const struct task *parent,
                        uint32_t index, bool is_told)
{
    const struct deps *child = edge->child;
    expect(check, edge->parent == parent && edge->index == index,
           "a task is named by an edge to another");
    expect(check, edge->is_over == is_told,
           "an edge does not know whether its parent has ended");
    expect(check,
           child->edges != NULL && edge >= child->edges &&
               edge < child->edges + child->edge_count,
           "an edge is of another child");
    check->edges_named++;
}

/* Of what has ended: it holds nobody any more. */
static void check_past(struct check *check, const struct deps *deps, const struct unit *unit)
{
    expect(check,
           unit_is_terminal(unit) && unit->state != DROVER_STATE_SUCCEEDED &&
               deps->edges != NULL && deps->edge_count > 0 && deps->left == 0,
           "what a task was submitted with is known of one that nobody can retry");
    for (uint32_t i = 0; deps->edges != NULL && i < deps->edge_count; i++) {
        expect(check, deps->edges[i].parent == NULL,
               "a task that has ended holds what it waited for");
    }
}

static void check_parents(struct check *check, const struct deps *deps, const struct unit *unit)
{
    uint32_t left = 0;
    bool has_failed = false;
    for (uint32_t i = 0; deps->edges != NULL && i < deps->edge_count; i++) {
        const struct edge *edge = &deps->edges[i];
        expect(check, edge->child == deps && edge->parent != NULL, "an edge leads nowhere");
        if (check->broken != NULL) {
            return;
        }
        struct item parent = edge_parent(edge);
        bool has_ended = unit_is_terminal(parent.unit);
        left += !edge->is_over;
        has_failed |= edge->is_over && edge->when == DEPS_SUCCEEDED &&
                      parent.unit->state != DROVER_STATE_SUCCEEDED;
        expect(check, !edge->is_over || has_ended, "an edge to what runs counts as over");
        expect(check,
               edge->is_over || !has_ended || drv_list_is_linked(&parent.unit->more->deps->due),
               "a task has ended and nobody will tell what waits for it");
        expect(check, parent.task->spec->numbers.level >= deps->task->spec->numbers.level,
               "a task waits for one that is less durable");
        check->edges++;
    }
    expect(check, deps->edges == NULL || deps->left == left,
           "a task miscounts what it waits for");
    expect(check, unit_is_terminal(unit) || deps->has_failed == has_failed,
           "a task does not know that what it waited for has failed");
}

void check_deps(struct check *check, const struct task *task, const struct unit *unit,
                uint32_t index)
{
    const struct deps *deps = unit->more->deps;
    if (deps == NULL) {
        return;
    }
    expect(check, deps->task == task && deps->index == index, "deps are of another task");
    check->deps_due += drv_list_is_linked(&deps->due);
    expect(check,
           !unit_is_terminal(unit) || drv_list_is_linked(&deps->due) ||
               ((deps->edges == NULL || deps->is_past) && drv_list_is_empty(&deps->waiting)),
           "what follows from an end is not done, and nobody is about to");
    DRV_LIST_EACH(link, &deps->waiting)
    {
        check_child(check, DRV_LIST_ITEM(link, struct edge, link), task, index, false);
    }
    DRV_LIST_EACH(link, &deps->told)
    {
        check_child(check, DRV_LIST_ITEM(link, struct edge, link), task, index, true);
    }
    if (deps->is_past) {
        check_past(check, deps, unit);
    } else {
        check_parents(check, deps, unit);
    }
}

void check_edges(struct check *check)
{
    const struct core *core = check->core;
    /* What is taken apart in slices cannot be found any more. */
    expect(check, !check->is_exact || check->edges == check->edges_named,
           "edges that only one side knows");
    expect(check, check->deps_due <= check_list_count(&core->deps_due),
           "the sweep looks at what is gone");
    expect(check, drv_list_is_empty(&core->deps_due) || sweep_is_running(&core->deps_sweep),
           "nobody does what follows from an end");
}
