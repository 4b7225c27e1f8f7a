/*
 * circle.c: whether what is about to be awaited waits itself.
 *
 * Only AWAIT can close a circle: what has just been submitted is named by nobody yet. Followed
 * are the waits of what waits, from the child upwards to its parents; a whole array waits for
 * what its elements wait for. The search is breadth first, over a list that runs through the
 * deps themselves, so that it needs no memory, and bounded.
 */
#include "array.h"
#include "broker.h"

struct search {
    const struct item *wanted;
    uint64_t number;
    uint32_t budget;
    struct deps *first, *last; /* to be looked at */
};

/* Waiting for the item, or for all of the array that it is an element of. */
static bool is_wanted(const struct search *search, const struct item *item)
{
    return item->task == search->wanted->task &&
           (item->index == search->wanted->index || item->index == DROVER_INDEX_NONE);
}

static void search_add(struct search *search, const struct unit *unit)
{
    struct deps *deps = unit->more == NULL ? NULL : unit->more->deps;
    if (deps == NULL || deps->left == 0 || deps->seen == search->number) {
        return;
    }
    deps->seen = search->number;
    deps->next = NULL;
    if (search->first == NULL) {
        search->first = deps;
    } else {
        search->last->next = deps;
    }
    search->last = deps;
}

/* What keeps this one from ending. True: the wanted item does. */
static bool search_from(struct search *search, const struct item *item)
{
    if (is_wanted(search, item)) {
        return true;
    }
    if (unit_is_terminal(item->unit)) {
        return false;
    }
    search_add(search, item->unit);
    if (task_is_array(item->task) && array_holds_back(item->task->array)) {
        search_add(search, &item->task->unit); /* nothing of it has begun */
    } else if (task_is_array(item->task) && item->index == DROVER_INDEX_NONE) {
        const struct array *array = item->task->array;
        uint32_t waiting = array->states[DROVER_STATE_WAITING];
        for (uint32_t i = 0; waiting > 0 && i < array->index_end && search->budget > 0; i++) {
            const struct element *element = array_element(array, i);
            search->budget--;
            if (element != NULL && element->unit.state == DROVER_STATE_WAITING) {
                search_add(search, &element->unit);
                waiting--;
            }
        }
    }
    return false;
}

static bool leads_back(struct search *search, const struct item *child)
{
    if (search_from(search, child)) {
        return true;
    }
    for (; search->first != NULL; search->first = search->first->next) {
        const struct deps *deps = search->first;
        for (uint32_t i = 0; deps->edges != NULL && i < deps->edge_count; i++) {
            if (deps->edges[i].is_over) {
                continue;
            }
            if (search->budget == 0) {
                return false;
            }
            search->budget--;
            struct item parent = edge_parent(&deps->edges[i]);
            if (search_from(search, &parent)) {
                return true;
            }
        }
    }
    return false;
}

int deps_find_circle(struct core *core, const struct item *item, const struct parents *parents)
{
    struct search search = {
        .wanted = item, .number = ++core->deps_searches, .budget = CIRCLE_WAITS_MAX};
    for (size_t i = 0; i < parents->count; i++) {
        if (leads_back(&search, &parents->items[i])) {
            return (int)i;
        }
        search.first = NULL;
    }
    return -1;
}
