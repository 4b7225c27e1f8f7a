/* group.c: see group.h. */
#include "group.h"

#include "broker.h"
#include "check.h"

#include <stddef.h>

struct group_key {
    struct drv_str name;
    const uint64_t *check; /* NULL: by its name; else by a second hash of it */
};

static uint64_t name_check(struct drv_str name)
{
    const struct drv_table other = {.seed = 0};
    return drv_table_hash(&other, name.ptr, name.len);
}

static bool group_is(const void *entry, const void *key)
{
    const struct group *group = entry;
    const struct group_key *wanted = key;
    return wanted->check != NULL ? name_check(group_name(group)) == *wanted->check
                                 : str_equals(group_name(group), wanted->name);
}

void group_table_init(struct core *core)
{
    drv_table_init(&core->groups, core->config.seed, group_is);
}

static bool is_same_task(const void *entry, const void *key)
{
    return entry == key;
}

struct group *group_find(const struct core *core, struct drv_str name)
{
    struct group_key wanted = {.name = name};
    return drv_table_find(&core->groups, core_stable_hash(core, name.ptr, name.len), &wanted);
}

drover_id group_saved_id(const struct core *core, const struct group *group)
{
    (void)core;
    uint64_t halves[2] = {group->hash, name_check(group_name(group))};
    drover_id id;
    memcpy(id.bytes, halves, sizeof id.bytes);
    return id;
}

struct group *group_find_saved(const struct core *core, const drover_id *id)
{
    uint64_t halves[2];
    memcpy(halves, id->bytes, sizeof halves);
    struct group_key wanted = {.check = &halves[1]};
    return drv_table_find(&core->groups, halves[0], &wanted);
}

struct group *group_ensure(struct core *core, struct drv_str name)
{
    struct group *group = group_find(core, name);
    if (group != NULL) {
        group->references++;
        return group;
    }
    group = core_alloc(core, sizeof *group + name.len);
    if (group == NULL) {
        return NULL;
    }
    group->references = 1;
    group->hash = core_stable_hash(core, name.ptr, name.len);
    group->name_len = (uint8_t)name.len;
    memcpy(group->name, name.ptr, name.len);
    drv_list_init(&group->sweeps);
    drv_list_init(&group->unsaved);
    drv_table_init(&group->tasks, core->config.seed, is_same_task);
    if (drv_table_insert(&core->groups, group->hash, group)) {
        core_free(core, group, sizeof *group + name.len);
        return NULL;
    }
    return group;
}

void group_release(struct core *core, struct group *group)
{
    if (group == NULL || --group->references > 0) {
        return;
    }
    DRV_ASSERT(drv_table_count(&group->tasks) == 0 && drv_list_is_empty(&group->sweeps));
    if (group->is_saved) {
        save_group_end(core, group);
    }
    drv_list_remove(&group->unsaved);
    drv_table_remove_entry(&core->groups, group->hash, group);
    drv_table_fini(&group->tasks);
    core_free(core, group, sizeof *group + group->name_len);
}

bool group_add(struct core *core, struct group *group, struct task *task)
{
    return drv_table_insert(&group->tasks, task_hash(core, &task->id), task) == DROVER_OK;
}

void group_remove(struct core *core, struct group *group, struct task *task)
{
    drv_table_remove_entry(&group->tasks, task_hash(core, &task->id), task);
}

void group_forget(struct core *core, struct group *group, unsigned state, uint64_t count)
{
    if (count > 0) {
        group->gone[state] += count;
        save_group(core, group);
    }
}

uint64_t group_active(const struct group *group)
{
    uint64_t active = 0;
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_RUNNING; state++) {
        active += group->states[state];
    }
    return active;
}

uint64_t group_submitted(const struct group *group)
{
    uint64_t submitted = 0;
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
        submitted += group->states[state];
    }
    return submitted;
}

void groups_restore_end(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct group *group;
    while ((group = drv_table_next(&core->groups, &cursor)) != NULL) {
        for (unsigned state = 0; state <= DROVER_STATE_LOST; state++) {
            group->states[state] += group->gone[state];
        }
        if (group->is_held) {
            group->is_held = false;
            group_release(core, group);
        }
    }
}
