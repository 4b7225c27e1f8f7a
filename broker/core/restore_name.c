/* restore_name.c: reads the records of keys and groups; see save_name.c. */
#include "broker.h"
#include "name.h"
#include "restore.h"

static bool name_is_fine(struct drv_str name)
{
    return name.len > 0 && drv_name_is_valid(drv_view_of(name.ptr, name.len));
}

bool restore_key(struct restore *restore, const struct core_saved *saved,
                 struct record_reader *reader)
{
    struct drv_str queue = record_str(reader, DRV_NAME_MAX);
    struct drv_str text = record_str(reader, DRV_TEXT_MAX);
    drover_id id = record_id(reader);
    uint64_t serial = record_uint(reader);
    uint64_t left_us = record_uint(reader);
    int64_t wall_us = record_fixed(reader);
    (void)saved;
    if (!name_is_fine(queue) || text.len == 0 || serial == 0 || drover_id_is_zero(&id) ||
        reader->failed) {
        return restore_wrong(restore, "a key without queue, text or task");
    }
    return key_restore(restore->core, queue, text, &id, serial,
                       restore_due(restore, wall_us, left_us), restore->mark);
}

bool restore_key_end(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    struct drv_str queue = record_str(reader, DRV_NAME_MAX);
    struct drv_str text = record_str(reader, DRV_TEXT_MAX);
    uint64_t serial = record_uint(reader);
    (void)saved;
    if (queue.len == 0 || text.len == 0 || reader->failed) {
        return restore_wrong(restore, "a key without queue or text");
    }
    key_restore_end(restore->core, queue, text, serial);
    return true;
}

bool restore_group(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader)
{
    struct core *core = restore->core;
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    (void)saved;
    if (!name_is_fine(name) || reader->failed) {
        return restore_wrong(restore, "a group without a name");
    }
    struct group *group = group_ensure(core, name);
    if (group == NULL) {
        return false;
    }
    if (group->is_held) {
        group_release(core, group); /* it has that reference already */
    }
    group->is_held = true;
    group->is_saved = true;
    group->mark = restore->mark;
    for (unsigned state = DROVER_STATE_SUCCEEDED; state <= DROVER_STATE_LOST; state++) {
        group->gone[state] = record_uint(reader);
    }
    return true;
}
