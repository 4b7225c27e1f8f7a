/*
 * save_name.c: the records of keys that outlive their tasks, and of what groups count of tasks
 * that are forgotten. A key that has its task stands in the record of the task.
 */
#include "broker.h"
#include "check.h"

/* --- keys -------------------------------------------------------------------------------- */

void save_key(struct core *core, struct key *key)
{
    if (!core->save.is_on) {
        return;
    }
    drover_id id = key_saved_id(core, key);
    int64_t left_us = key->until_us - core->now_us;
    struct record_writer writer = save_begin(core, CORE_SAVE_KEY, &id, 0);
    record_put_str(&writer, key_queue(key));
    record_put_str(&writer, key_word(key));
    record_put_id(&writer, &key->id);
    record_put_uint(&writer, key->serial);
    record_put_uint(&writer, left_us < 0 ? 0 : (uint64_t)left_us);
    record_put_fixed(&writer, save_wall(core, key->until_us));
    save_end(core, &writer, NULL);
    key->mark = save_mark(core);
    key->is_saved = true;
}

void save_key_end(struct core *core, const struct key *key)
{
    if (core->save.is_on) {
        drover_id id = key_saved_id(core, key);
        struct record_writer writer = save_begin(core, CORE_SAVE_KEY_END, &id, 0);
        record_put_str(&writer, key_queue(key));
        record_put_str(&writer, key_word(key));
        record_put_uint(&writer, key->serial);
        save_end(core, &writer, NULL);
    }
}

/* --- groups ------------------------------------------------------------------------------ */

static void put_group(struct core *core, const struct group *group, bool is_there)
{
    drover_id id = group_saved_id(core, group);
    struct record_writer writer = save_begin(core, CORE_SAVE_GROUP, &id, 0);
    record_put_str(&writer, group_name(group));
    for (unsigned state = DROVER_STATE_SUCCEEDED; state <= DROVER_STATE_LOST; state++) {
        record_put_uint(&writer, is_there ? group->gone[state] : 0);
    }
    save_end(core, &writer, NULL);
}

void save_group(struct core *core, struct group *group)
{
    if (core->save.is_on && !drv_list_is_linked(&group->unsaved)) {
        drv_list_push_back(&core->save.groups, &group->unsaved);
    }
}

void save_put_group(struct core *core, struct group *group)
{
    put_group(core, group, true);
    group->mark = save_mark(core);
    group->is_saved = true;
}

void save_group_end(struct core *core, const struct group *group)
{
    if (core->save.is_on) {
        put_group(core, group, false);
    }
}
