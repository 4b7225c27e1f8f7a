/*
 * restore_deps.c: what waits for what, as records say. They are kept until the end, when all
 * tasks are there: the last one of each task or element counts.
 */
#include "broker.h"
#include "check.h"
#include "restore.h"
#include "save_parts.h"

#include <stdlib.h>

struct restored_edges {
    drover_id id;
    uint32_t index;
    struct restored_edges *next; /* of another element of the same array; owned */
    uint16_t mark;
    bool is_cascade;
    uint32_t count;
    struct drv_after after[];
};

static bool is_of(const void *entry, const void *key)
{
    return drover_id_equal(&((const struct restored_edges *)entry)->id, key);
}

void restore_deps_init(struct restore *restore)
{
    drv_table_init(&restore->edges, restore->core->config.seed, is_of);
}

static uint64_t hash_of(const struct restore *restore, const drover_id *id)
{
    return drv_table_hash(&restore->edges, id->bytes, sizeof id->bytes);
}

static void chain_free(struct restored_edges *edges)
{
    while (edges != NULL) {
        struct restored_edges *next = edges->next;
        free(edges);
        edges = next;
    }
}

void restore_deps_fini(struct restore *restore)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct restored_edges *edges;
    while ((edges = drv_table_next(&restore->edges, &cursor)) != NULL) {
        chain_free(edges);
    }
    drv_table_fini(&restore->edges);
}

void restore_deps_forget(struct restore *restore, const drover_id *id)
{
    struct restored_edges *edges = drv_table_find(&restore->edges, hash_of(restore, id), id);
    if (edges != NULL) {
        drv_table_remove_entry(&restore->edges, hash_of(restore, id), edges);
        chain_free(edges);
    }
}

/* --- records ----------------------------------------------------------------------------- */

static struct restored_edges *read_edges(struct restore *restore,
                                         const struct core_saved *saved,
                                         struct record_reader *reader)
{
    uint8_t bits = record_u8(reader);
    uint32_t count = (uint32_t)record_uint_max(reader, DEPS_EDGES_MAX);
    struct restored_edges *edges = calloc(1, sizeof *edges + count * sizeof *edges->after);
    if (edges == NULL) {
        return NULL;
    }
    *edges = (struct restored_edges){.id = saved->id,
                                     .index = saved->index,
                                     .mark = restore->mark,
                                     .is_cascade = (bits & AFTER_CASCADE) != 0,
                                     .count = count};
    bool is_fine = true;
    for (uint32_t i = 0; i < count; i++) {
        struct drv_after *after = &edges->after[i];
        after->id = record_id(reader);
        after->index = record_u32(reader) - 1;
        after->when = record_u8(reader);
        is_fine = is_fine && after->when >= DEPS_SUCCEEDED && after->when <= DEPS_AWAITED;
    }
    if (!is_fine || reader->failed) {
        free(edges);
        (void)restore_wrong(restore, "a task waits for nothing that can be");
        return NULL;
    }
    return edges;
}

/* In place of what was known of the same task or element. */
static bool keep_edges(struct restore *restore, struct restored_edges *edges)
{
    uint64_t hash = hash_of(restore, &edges->id);
    struct restored_edges *known = drv_table_find(&restore->edges, hash, &edges->id);
    if (known == NULL) {
        return drv_table_insert(&restore->edges, hash, edges) == DROVER_OK;
    }
    if (known->index == edges->index) {
        drv_table_remove_entry(&restore->edges, hash, known);
        edges->next = known->next;
        known->next = NULL;
        chain_free(known);
        return drv_table_insert(&restore->edges, hash, edges) == DROVER_OK;
    }
    struct restored_edges **at = &known->next;
    while (*at != NULL && (*at)->index != edges->index) {
        at = &(*at)->next;
    }
    struct restored_edges *old = *at;
    edges->next = old == NULL ? NULL : old->next;
    *at = edges;
    free(old);
    return true;
}

bool restore_after(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader)
{
    struct restored_edges *edges = read_edges(restore, saved, reader);
    if (edges != NULL && !keep_edges(restore, edges)) {
        chain_free(edges);
        edges = NULL;
    }
    return edges != NULL;
}

/* --- the end ----------------------------------------------------------------------------- */

bool restore_waits(const struct restore *restore, const struct item *item)
{
    const struct restored_edges *edges = drv_table_find(
        &restore->edges, hash_of(restore, &item->task->id), &item->task->id);
    while (edges != NULL && edges->index != item->index) {
        edges = edges->next;
    }
    return edges != NULL && edges->count > 0;
}

/* It has ended, and may be retried: what it was submitted with stands first. */
static bool finish_past(struct restore *restore, const struct item *item,
                        const struct restored_edges *edges)
{
    size_t count = 0;
    while (count < edges->count && edges->after[count].when != DEPS_AWAITED) {
        count++;
    }
    if (count == 0 || item->index != DROVER_INDEX_NONE ||
        item->unit->state == DROVER_STATE_SUCCEEDED) {
        return true;
    }
    return deps_restore_past(restore->core, item, edges->after, count, edges->mark);
}

static bool finish_edges(struct restore *restore, const struct restored_edges *edges)
{
    struct core *core = restore->core;
    struct item item;
    struct parents parents;
    char text[DEPS_TEXT_MAX];
    if (!item_find(core, &edges->id, edges->index, &item)) {
        return true; /* it was forgotten */
    }
    if (unit_is_terminal(item.unit)) {
        return finish_past(restore, &item, edges);
    }
    if (unit_is_shared(item.unit)) { /* what awaits has been given, and stands alone since */
        return edges->count == 0 ||
               restore_wrong(restore, "an element that was never given waits for others");
    }
    parents.count = 0;
    for (uint32_t i = 0; i < edges->count; i++) {
        const struct drv_after *after = &edges->after[i];
        if (deps_look_up(core, &after->id, after->index, (uint8_t)after->when,
                         item.task->spec->numbers.level, &parents, text)) {
            return restore_wrong(restore, "a task waits for one that cannot be waited for");
        }
    }
    return deps_restore(core, &item, &parents, edges->is_cascade, edges->mark);
}

bool restore_finish_deps(struct restore *restore)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct restored_edges *edges;
    while ((edges = drv_table_next(&restore->edges, &cursor)) != NULL) {
        for (; edges != NULL; edges = edges->next) {
            if (!finish_edges(restore, edges)) {
                return false;
            }
        }
    }
    return true;
}
