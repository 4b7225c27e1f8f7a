/* recent.c: see recent.h. */
#include "recent.h"

#include "broker.h"

#include <stdlib.h>
#include <string.h>

bool recent_init(struct core *core)
{
    core->recent.floor_us = INT64_MIN;
    core->recent.ring = calloc(RECENT_MAX, sizeof *core->recent.ring);
    return core->recent.ring != NULL;
}

void recent_fini(struct core *core)
{
    free(core->recent.ring);
    core->recent.ring = NULL;
}

void recent_add(struct core *core, const struct task *task)
{
    struct recent *recent = &core->recent;
    struct recent_entry *entry = &recent->ring[recent->next % RECENT_MAX];
    if (recent->next >= RECENT_MAX) {
        recent->floor_us = entry->at_us;
    }
    *entry = (struct recent_entry){.id = task->id, .at_us = task->submitted_us};
    recent->next++;
}

/* ---- restoring: a heap, the oldest on top ------------------------------------------------ */

static void sift_up(struct recent_entry *heap, uint64_t at)
{
    while (at > 0 && heap[at].at_us < heap[(at - 1) / 2].at_us) {
        struct recent_entry entry = heap[at];
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
        heap[at] = entry;
    }
}

static void sift_down(struct recent_entry *heap, uint64_t count)
{
    uint64_t at = 0;
    for (;;) {
        uint64_t least = 2 * at + 1;
        if (least + 1 < count && heap[least + 1].at_us < heap[least].at_us) {
            least++;
        }
        if (least >= count || heap[at].at_us <= heap[least].at_us) {
            return;
        }
        struct recent_entry entry = heap[at];
        heap[at] = heap[least];
        heap[least] = entry;
        at = least;
    }
}

static void raise_floor(struct recent *recent, int64_t at_us)
{
    recent->floor_us = at_us > recent->floor_us ? at_us : recent->floor_us;
}

void recent_restore(struct core *core, const struct task *task)
{
    struct recent *recent = &core->recent;
    struct recent_entry entry = {.id = task->id, .at_us = task->submitted_us};
    if (recent->next < RECENT_MAX) {
        recent->ring[recent->next] = entry;
        sift_up(recent->ring, recent->next++);
    } else if (entry.at_us > recent->ring[0].at_us) {
        raise_floor(recent, recent->ring[0].at_us);
        recent->ring[0] = entry;
        sift_down(recent->ring, RECENT_MAX);
    } else {
        raise_floor(recent, entry.at_us);
    }
}

static int by_age(const void *a, const void *b)
{
    const struct recent_entry *left = a;
    const struct recent_entry *right = b;
    if (left->at_us != right->at_us) {
        return left->at_us < right->at_us ? -1 : 1;
    }
    return memcmp(left->id.bytes, right->id.bytes, sizeof left->id.bytes);
}

void recent_restored(struct core *core)
{
    struct recent *recent = &core->recent;
    uint64_t count = 0;
    qsort(recent->ring, recent->next, sizeof *recent->ring, by_age);
    for (uint64_t i = 0; i < recent->next; i++) {
        if (count == 0 || by_age(&recent->ring[count - 1], &recent->ring[i]) != 0) {
            recent->ring[count++] = recent->ring[i];
        }
    }
    recent->next = count;
}

/* ---- walking ------------------------------------------------------------------------------
 */

struct recent_walk recent_walk_begin(const struct core *core)
{
    return (struct recent_walk){
        .number = core->recent.next, .bound_us = INT64_MAX, .table = DRV_TABLE_CURSOR_INIT};
}

static bool next_below(const struct core *core, struct recent_walk *walk,
                       struct task **out_task)
{
    struct task *task = drv_table_next(&core->tasks, &walk->table);
    if (task == NULL) {
        return false;
    }
    *out_task = task->submitted_us > walk->bound_us ? NULL : task;
    return true;
}

bool recent_walk_next(const struct core *core, struct recent_walk *walk, struct task **out_task)
{
    const struct recent *recent = &core->recent;
    uint64_t oldest = recent->next > RECENT_MAX ? recent->next - RECENT_MAX : 0;
    *out_task = NULL;
    if (walk->is_below) {
        return next_below(core, walk, out_task);
    }
    if (walk->number > recent->next) { /* a cursor of an earlier life */
        walk->number = recent->next;
    }
    const struct recent_entry *entry = walk->number > oldest
                                           ? &recent->ring[(walk->number - 1) % RECENT_MAX]
                                           : NULL;
    if (entry == NULL || entry->at_us <= recent->floor_us) {
        walk->is_below = true;
        walk->table = DRV_TABLE_CURSOR_INIT;
        walk->bound_us = recent->floor_us < walk->bound_us ? recent->floor_us : walk->bound_us;
        return recent->floor_us != INT64_MIN;
    }
    walk->number--;
    walk->bound_us = entry->at_us;
    struct task *task = task_peek(core, &entry->id);
    *out_task = task != NULL && task->submitted_us == entry->at_us ? task : NULL;
    return true;
}
