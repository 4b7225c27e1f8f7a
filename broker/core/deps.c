#include "deps.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"
#include "hand.h"

#include <stdio.h>
#include <string.h>

static void deps_step(struct core *core, struct sweep *sweep, uint32_t budget);

void deps_init(struct core *core)
{
    drv_list_init(&core->deps_due);
    drv_list_init(&core->deps_unsaved);
    sweep_init(&core->deps_sweep, deps_step);
}

/* --- finding ----------------------------------------------------------------------------- */

static struct deps *unit_deps(const struct unit *unit)
{
    return unit->more == NULL ? NULL : unit->more->deps;
}

static struct item deps_item(const struct deps *deps)
{
    return deps->index == DROVER_INDEX_NONE ? item_of_task(deps->task)
                                            : array_item(deps->task->array, deps->index);
}

static bool is_whole_array(const struct item *item)
{
    return item->index == DROVER_INDEX_NONE && task_is_array(item->task);
}

struct item edge_parent(const struct edge *edge)
{
    return edge->index == DROVER_INDEX_NONE ? item_of_task(edge->parent)
                                            : array_item(edge->parent->array, edge->index);
}

size_t deps_edges(const struct unit *unit, const struct edge **out_edges)
{
    const struct deps *deps = unit_deps(unit);
    if (deps == NULL || deps->edges == NULL || deps->is_past) {
        return 0;
    }
    *out_edges = deps->edges;
    return deps->edge_count;
}

/* The edges it was submitted with come first. */
static uint32_t submitted_count(const struct deps *deps)
{
    uint32_t count = 0;
    while (deps->edges != NULL && count < deps->edge_count &&
           deps->edges[count].when != DEPS_AWAITED) {
        count++;
    }
    return count;
}

bool deps_origin(const struct unit *unit, size_t i, struct drv_after *out_after)
{
    const struct deps *deps = unit_deps(unit);
    if (deps == NULL || i >= submitted_count(deps)) {
        return false;
    }
    const struct edge *edge = &deps->edges[i];
    *out_after = (struct drv_after){.id = edge->parent == NULL ? edge->id : edge->parent->id,
                                    .index = edge->index,
                                    .when = edge->when};
    return true;
}

static size_t list_count(const struct drv_list *list)
{
    size_t count = 0;
    DRV_LIST_EACH(link, list)
    {
        count++;
    }
    return count;
}

size_t deps_child_count(const struct unit *unit)
{
    const struct deps *deps = unit_deps(unit);
    return deps == NULL ? 0 : list_count(&deps->waiting) + list_count(&deps->told);
}

static bool deps_are_named(const struct deps *deps)
{
    return deps != NULL &&
           (!drv_list_is_empty(&deps->waiting) || !drv_list_is_empty(&deps->told));
}

bool task_is_pinned(const struct task *task)
{
    return (task_is_array(task) && task->array->pins > 0) ||
           deps_are_named(unit_deps(&task->unit));
}

bool element_is_pinned(const struct task *task, const struct unit *unit)
{
    return deps_are_named(unit_deps(&task->unit)) || deps_are_named(unit_deps(unit));
}

bool deps_hold(const struct unit *unit)
{
    const struct deps *deps = unit_deps(unit);
    return deps != NULL && (deps->left > 0 || deps->has_failed);
}

/* At least the level of what the unit waited for. */
static enum drover_durability level_with(const struct core *core, const struct unit *unit,
                                         enum drover_durability level)
{
    const struct edge *edges = NULL;
    size_t count = deps_edges(unit, &edges);
    for (size_t i = 0; i < count; i++) {
        enum drover_durability parent = save_level_of(core, edges[i].parent);
        level = parent > level ? parent : level;
    }
    return level;
}

enum drover_durability deps_level(const struct core *core, const struct item *item)
{
    enum drover_durability level = save_level_of(core, item->task);
    if (item->unit != &item->task->unit) {
        level = level_with(core, &item->task->unit, level); /* of an array, for its elements */
    }
    return level_with(core, item->unit, level);
}

/* --- life -------------------------------------------------------------------------------- */

static struct deps *deps_ensure(struct core *core, const struct item *item)
{
    struct more *more = unit_more(core, item->unit);
    if (more == NULL || more->deps != NULL) {
        return more == NULL ? NULL : more->deps;
    }
    struct deps *deps = core_alloc(core, sizeof *deps);
    if (deps == NULL) {
        return NULL;
    }
    drv_list_init(&deps->waiting);
    drv_list_init(&deps->told);
    drv_list_init(&deps->due);
    drv_list_init(&deps->unsaved);
    deps->task = item->task;
    deps->index = item->index;
    more->deps = deps;
    return deps;
}

static void edge_pin(struct edge *edge, int by)
{
    if (edge->index != DROVER_INDEX_NONE) {
        edge->parent->array->pins += (uint32_t)by;
    }
}

/* Off its parent. */
static void edge_cut(struct edge *edge)
{
    if (edge->parent != NULL) {
        edge_pin(edge, -1);
        drv_list_remove(&edge->link);
        edge->parent = NULL;
    }
}

/* Its parent goes away: only when everything does. */
static void edges_orphan(struct drv_list *edges)
{
    struct drv_list *link;
    while ((link = drv_list_first(edges)) != NULL) {
        edge_cut(DRV_LIST_ITEM(link, struct edge, link));
    }
}

static void edges_free(struct core *core, struct edge **edges, uint32_t count)
{
    for (uint32_t i = 0; *edges != NULL && i < count; i++) {
        edge_cut(&(*edges)[i]);
    }
    core_free(core, *edges, count * sizeof **edges);
    *edges = NULL;
}

void deps_drop(struct core *core, struct more *more)
{
    struct deps *deps = more->deps;
    if (deps == NULL) {
        return;
    }
    more->deps = NULL;
    edges_free(core, &deps->edges, deps->edge_count);
    edges_orphan(&deps->waiting);
    edges_orphan(&deps->told);
    drv_list_remove(&deps->due);
    drv_list_remove(&deps->unsaved);
    core_free(core, deps, sizeof *deps);
}

/* It is over and named by nobody: away, and its task too if that is all it was kept for. */
static void deps_retire(struct core *core, struct task *task, struct unit *unit)
{
    struct deps *deps = unit_deps(unit);
    if (deps != NULL && !deps_are_named(deps) && deps->edges == NULL &&
        !drv_list_is_linked(&deps->due)) {
        deps_drop(core, unit->more);
    }
    if (unit_is_terminal(&task->unit) && task->flags & TASK_DISCARD &&
        !watch_is_pending(task)) {
        task_forget(core, task);
    }
}

/* Off their parents, some of which were kept for them alone. */
static void edges_release(struct core *core, struct edge **edges, uint32_t count)
{
    for (uint32_t i = 0; *edges != NULL && i < count; i++) {
        struct edge *edge = &(*edges)[i];
        struct item parent = edge_parent(edge);
        edge_cut(edge);
        deps_retire(core, parent.task, parent.unit);
    }
    edges_free(core, edges, count);
}

static void deps_make_due(struct core *core, struct deps *deps)
{
    if (!drv_list_is_linked(&deps->due)) {
        drv_list_push_back(&core->deps_due, &deps->due);
    }
    if (!sweep_is_running(&core->deps_sweep)) {
        sweep_start(core, &core->deps_sweep);
    }
}

/* --- naming parents ---------------------------------------------------------------------- */

static void name_item(const drover_id *id, uint32_t index, char *out_text, size_t size)
{
    char name[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(id, name);
    if (index == DROVER_INDEX_NONE) {
        (void)snprintf(out_text, size, "%s", name);
    } else {
        (void)snprintf(out_text, size, "%s.%u", name, (unsigned)index);
    }
}

drover_status deps_look_up(struct core *core, const drover_id *id, uint32_t index, uint8_t when,
                           uint32_t level, struct parents *parents,
                           char out_text[DEPS_TEXT_MAX])
{
    char name[DROVER_ID_TEXT_LEN + 12];
    struct item *item = &parents->items[parents->count];
    DRV_ASSERT(parents->count < DEPS_EDGES_MAX);
    name_item(id, index, name, sizeof name);
    if (!item_find(core, id, index, item)) {
        (void)snprintf(out_text, DEPS_TEXT_MAX, "there is no task %s to wait for", name);
        return DROVER_DEPENDENCY;
    }
    if (core->restore == NULL && (item->unit->flags & UNIT_DROPPED)) {
        (void)snprintf(out_text, DEPS_TEXT_MAX, "the result of task %s is not kept any more",
                       name);
        return DROVER_DEPENDENCY;
    }
    if (item->task->spec->numbers.level < level) {
        (void)snprintf(out_text, DEPS_TEXT_MAX,
                       "task %s is less durable than what is to wait for it", name);
        return DROVER_DEPENDENCY;
    }
    if (!item_own(core, item)) {
        return DROVER_NOMEM;
    }
    parents->when[parents->count++] = when;
    return DROVER_OK;
}

static bool parent_has_failed(const struct edge *edge)
{
    const struct item parent = edge_parent(edge);
    return edge->when == DEPS_SUCCEEDED && parent.unit->state != DROVER_STATE_SUCCEEDED;
}

/* The parent has, or is given, deps. */
static void edge_tie(struct edge *edge, struct deps *child, const struct item *parent,
                     uint8_t when)
{
    bool has_ended = unit_is_terminal(parent->unit);
    struct deps *deps = parent->unit->more->deps;
    *edge = (struct edge){.child = child,
                          .parent = parent->task,
                          .index = parent->index,
                          .when = when,
                          .is_over = has_ended};
    drv_list_init(&edge->link);
    drv_list_push_back(has_ended ? &deps->told : &deps->waiting, &edge->link);
    edge_pin(edge, 1);
    child->left += !has_ended;
    child->has_failed |= has_ended && parent_has_failed(edge);
}

bool deps_set(struct core *core, const struct item *item, const struct parents *parents)
{
    struct deps *deps = deps_ensure(core, item);
    for (size_t i = 0; deps != NULL && i < parents->count; i++) {
        if (deps_ensure(core, &parents->items[i]) == NULL) {
            return false; /* those made are of no harm, and go with their tasks */
        }
    }
    uint32_t kept = deps == NULL ? 0 : submitted_count(deps);
    size_t count = kept + parents->count;
    struct edge *edges = deps == NULL ? NULL : core_alloc(core, count * sizeof *edges);
    if (edges == NULL) {
        return false;
    }
    struct edge *before = deps->edges;
    uint32_t before_count = deps->edge_count;
    deps->edges = edges;
    deps->edge_count = (uint32_t)count;
    deps->left = 0;
    for (uint32_t i = 0; i < kept; i++) {
        struct item parent = edge_parent(&before[i]);
        edge_tie(&edges[i], deps, &parent, before[i].when);
    }
    for (size_t i = 0; i < parents->count; i++) {
        edge_tie(&edges[kept + i], deps, &parents->items[i], parents->when[i]);
    }
    edges_release(core, &before, before_count);
    save_deps(core, deps);
    return true;
}

bool deps_are(const struct unit *unit, const struct drv_after *after, size_t count)
{
    const struct deps *deps = unit_deps(unit);
    uint32_t named = deps == NULL || deps->is_past ? 0 : submitted_count(deps);
    bool is_same = named == count;
    for (uint32_t i = 0; is_same && i < named; i++) {
        const struct edge *edge = &deps->edges[i];
        is_same = drover_id_equal(&edge->parent->id, &after[i].id) &&
                  edge->index == after[i].index && edge->when == after[i].when;
    }
    return is_same;
}

/* --- what follows from an end ------------------------------------------------------------ */

void deps_wait(struct core *core, const struct item *item)
{
    struct deps *deps = unit_deps(item->unit);
    if (is_whole_array(item)) {
        item_set_state(core, item,
                       DROVER_STATE_WAITING); /* its elements expire by themselves */
    } else {
        item_wait(core, item);
    }
    if (deps->has_failed || deps->left == 0 || core->config.defects.early_child) {
        deps_make_due(core, deps);
    }
}

void deps_ended(struct core *core, const struct item *item)
{
    deps_make_due(core, unit_deps(item->unit));
}

static const struct edge *first_failed(const struct deps *deps)
{
    for (uint32_t i = 0; i < deps->edge_count; i++) {
        if (deps->edges[i].is_over && parent_has_failed(&deps->edges[i])) {
            return &deps->edges[i];
        }
    }
    return NULL;
}

/* False: out of memory; only an array needs some to fail. */
static bool deps_fail(struct core *core, const struct item *item, const struct edge *edge)
{
    char name[DROVER_ID_TEXT_LEN + 12], text[DEPS_TEXT_MAX];
    struct item parent = edge_parent(edge);
    name_item(&parent.task->id, parent.index, name, sizeof name);
    (void)snprintf(text, sizeof text, "task %s, which it waited for, is %s", name,
                   drover_state_name((enum drover_state)parent.unit->state));
    if (is_whole_array(item)) {
        return array_fail(core, item->task->array, text);
    }
    item_end_with(core, item, DROVER_STATE_FAILED, DROVER_ERROR_DEPENDENCY, 0, text);
    return true;
}

static void deps_release(struct core *core, const struct item *item)
{
    if (is_whole_array(item)) {
        array_release(core, item->task->array);
    } else {
        item_release(core, item);
    }
    event_item(core, DRV_EVENT_TASK_RELEASED, item);
}

/* What waits may be ready now, or never be. */
static void deps_look(struct core *core, struct deps *deps)
{
    struct item item = deps_item(deps);
    if (item.unit->state != DROVER_STATE_WAITING) {
        return;
    }
    hand_take(core, &item.task->id, item.index);
    const struct edge *failed = deps->has_failed ? first_failed(deps) : NULL;
    if (failed != NULL) {
        if (!deps_fail(core, &item, failed)) {
            deps_make_due(core, deps); /* again */
        }
    } else if (deps->left == 0 || core->config.defects.early_child) { /* defect */
        deps_release(core, &item);
    }
}

/* Up to `budget` children learn of the end. True: all have. */
static bool deps_tell(struct core *core, struct deps *deps, uint32_t *budget)
{
    struct drv_list *link;
    while (*budget > 0 && (link = drv_list_pop_front(&deps->waiting)) != NULL) {
        struct edge *edge = DRV_LIST_ITEM(link, struct edge, link);
        drv_list_push_back(&deps->told, link);
        edge->is_over = true;
        edge->child->left--;
        edge->child->has_failed |= parent_has_failed(edge);
        deps_look(core, edge->child);
        (*budget)--;
    }
    return drv_list_is_empty(&deps->waiting);
}

/* What a cancelled one awaits is cancelled with it. */
static void deps_pass_cancel(struct core *core, const struct deps *deps)
{
    for (uint32_t i = 0; i < deps->edge_count && !deps->is_past; i++) {
        if (deps->edges[i].when != DEPS_AWAITED) {
            continue;
        }
        struct item child = edge_parent(&deps->edges[i]);
        if (!unit_is_terminal(child.unit)) {
            (void)deps_cascade(core, &child);
            (void)cancel_item(core, &child, "cancelled with the task that awaited it");
        }
    }
}

/* Waiting or running for others no more: what it named need not be kept for it. */
static void deps_let_go(struct core *core, struct deps *deps)
{
    edges_release(core, &deps->edges, deps->edge_count);
    deps->edge_count = 0;
    deps->left = 0;
}

/* Only the first ones are needed. Out of memory: the others stay, and mean nothing. */
static void edges_shrink(struct core *core, struct deps *deps, uint32_t count)
{
    size_t size = count * sizeof *deps->edges;
    struct edge *edges = count == deps->edge_count ? NULL : core_alloc(core, size);
    if (edges != NULL) {
        memcpy(edges, deps->edges, size);
        core_free(core, deps->edges, deps->edge_count * sizeof *edges);
        deps->edges = edges;
        deps->edge_count = count;
    }
}

/* The same, but it stays known what it was submitted with. */
static void deps_become_past(struct core *core, struct deps *deps)
{
    uint32_t count = deps->is_past ? 0 : deps->edge_count;
    for (uint32_t i = 0; i < count; i++) {
        struct edge *edge = &deps->edges[i];
        struct item parent = edge_parent(edge);
        drover_id id = parent.task->id;
        edge_cut(edge);
        edge->id = id;
        deps_retire(core, parent.task, parent.unit);
    }
    deps->is_past = true;
    deps->is_cascade = false;
    deps->left = 0;
    edges_shrink(core, deps, submitted_count(deps));
}

static void deps_finish(struct core *core, struct deps *deps, const struct item *item)
{
    drv_list_remove(&deps->due);
    if (deps->is_cascade && item->unit->state == DROVER_STATE_CANCELLED) {
        deps_pass_cancel(core, deps);
    }
    if (item->unit->state == DROVER_STATE_SUCCEEDED || submitted_count(deps) == 0) {
        deps_let_go(core, deps);
    } else {
        deps_become_past(core, deps);
    }
    deps_retire(core, item->task, item->unit);
}

void deps_settle(struct core *core, const struct item *item)
{
    struct deps *deps = unit_deps(item->unit);
    if (deps != NULL) {
        DRV_ASSERT(drv_list_is_empty(&deps->waiting));
        drv_list_remove(&deps->due);
        deps_let_go(core, deps);
        deps_drop(core, item->unit->more);
    }
}

static void deps_step(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct drv_list *link;
    while (budget > 0 && (link = drv_list_first(&core->deps_due)) != NULL) {
        struct deps *deps = DRV_LIST_ITEM(link, struct deps, due);
        struct item item = deps_item(deps);
        uint32_t cost = 1 + deps->edge_count;
        if (!unit_is_terminal(item.unit)) {
            drv_list_remove(link);
            deps_look(core, deps);
        } else if (deps_tell(core, deps, &budget)) {
            deps_finish(core, deps, &item);
        }
        budget -= budget < cost ? budget : cost;
    }
    if (drv_list_is_empty(&core->deps_due)) {
        sweep_done(core, sweep);
    }
}

bool deps_cascade(struct core *core, const struct item *item)
{
    struct deps *deps = deps_ensure(core, item);
    if (deps != NULL) {
        deps->is_cascade = true;
        save_deps(core, deps);
    }
    return deps != NULL;
}

/* The defect: nobody will tell it. */
static void forget_awaited(struct deps *deps)
{
    for (uint32_t i = 0; i < deps->edge_count; i++) {
        struct edge *edge = &deps->edges[i];
        if (edge->when == DEPS_AWAITED && !edge->is_over) {
            struct item parent = edge_parent(edge);
            drv_list_remove(&edge->link);
            drv_list_push_back(&unit_deps(parent.unit)->told, &edge->link);
        }
    }
}

bool deps_restore(struct core *core, const struct item *item, const struct parents *parents,
                  bool is_cascade, uint16_t mark)
{
    if (!deps_set(core, item, parents)) {
        return false;
    }
    struct deps *deps = unit_deps(item->unit);
    deps->is_cascade = is_cascade;
    deps->mark = mark;
    if (core->config.defects.forget_await) {
        forget_awaited(deps);
    }
    if (item->unit->state == DROVER_STATE_WAITING && (deps->left == 0 || deps->has_failed)) {
        deps_make_due(core, deps);
    }
    return true;
}

bool deps_restore_past(struct core *core, const struct item *item,
                       const struct drv_after *after, size_t count, uint16_t mark)
{
    struct deps *deps = deps_ensure(core, item);
    struct edge *edges = deps == NULL ? NULL : core_alloc(core, count * sizeof *edges);
    if (edges == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        edges[i] = (struct edge){.child = deps,
                                 .index = after[i].index,
                                 .when = (uint8_t)after[i].when,
                                 .is_over = true};
        edges[i].id = after[i].id;
    }
    deps->edges = edges;
    deps->edge_count = (uint32_t)count;
    deps->is_past = true;
    deps->mark = mark;
    return true;
}
