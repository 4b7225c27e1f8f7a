/*
 * group.h: names for many tasks.
 *
 *   spec ──> group ──> table of its tasks, by the hash of their ids: lists and cancels walk it
 *                 └──> tasks and elements by state, those that were forgotten included
 *
 * A group is there as long as some task is; options name it, so it costs a task nothing but its
 * place in that table.
 */
#ifndef CORE_GROUP_H
#define CORE_GROUP_H

#include "core.h"
#include "list.h"
#include "table.h"
#include "text.h"

struct reply;
struct task;

/* Cancels of one group that may go on at the same time. */
enum { GROUP_CANCELS_MAX = 8 };

struct group {
    uint32_t references; /* specs; cancels that go on */
    uint64_t hash;
    uint64_t states[DROVER_STATE_LOST + 1]; /* tasks and elements, ever; 0 is not used */
    uint64_t gone[DROVER_STATE_LOST + 1];   /* of those: forgotten */
    struct drv_table tasks;                 /* struct task, that are not forgotten */
    struct drv_list sweeps;                 /* cancels that go on */
    struct drv_list unsaved;                /* in core->save.groups until it is recorded */
    uint16_t mark;                          /* when it was last recorded (save.h) */
    bool is_saved;                          /* there is a record of it */
    bool is_held;                           /* by a record that was read: a reference */
    uint8_t name_len;
    char name[];
};

static inline struct drv_str group_name(const struct group *group)
{
    return str_of(group->name, group->name_len);
}

/* NULL: there is none. */
struct group *group_find(const struct core *core, struct drv_str name);
/* With a reference; NULL when out of memory. */
struct group *group_ensure(struct core *core, struct drv_str name);
void group_release(struct core *core, struct group *group);

/* A task comes and goes. False: out of memory. */
bool group_add(struct core *core, struct group *group, struct task *task);
void group_remove(struct core *core, struct group *group, struct task *task);
/* So many of its tasks or elements are in another state; before 0: they are new. */
static inline void group_count(struct group *group, uint64_t count, unsigned before,
                               unsigned state)
{
    group->states[before] -= before != 0 ? count : 0;
    group->states[state] += count;
}
/* So many of its tasks and elements in a state are forgotten. */
void group_forget(struct core *core, struct group *group, unsigned state, uint64_t count);
/* Tasks and elements that have not ended; that there ever were. */
uint64_t group_active(const struct group *group);
uint64_t group_submitted(const struct group *group);

/* What records name it by, and back. */
drover_id group_saved_id(const struct core *core, const struct group *group);
struct group *group_find_saved(const struct core *core, const drover_id *id);
/* All records are in: what they held goes unless it has tasks. */
void groups_restore_end(struct core *core);

#endif
