#include "hand.h"

#include "array.h"
#include "lease.h"

static const char ASIDE[] = "set aside: the broker crashed more than once with it in hand";

bool hand_is_aside(const struct core *core, const drover_id *id)
{
    for (size_t i = 0; i < core->aside_count; i++) {
        if (drover_id_equal(&core->aside[i], id)) {
            return true;
        }
    }
    return false;
}

static void item_set_aside(struct core *core, const struct item *item)
{
    struct lease *lease = unit_lease(item->unit);
    if (lease != NULL && lease->worker != NULL) {
        lease_reclaim(core, lease);
    }
    if (!unit_is_terminal(item->unit)) {
        item_end_with(core, item, DROVER_STATE_FAILED, DROVER_ERROR_REFUSED,
                      DRV_ERROR_PERMANENT, ASIDE);
    }
}

void core_set_aside(struct core *core, const drover_id *id, uint32_t index, int64_t now_us)
{
    struct item item;
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    if (core->aside_count < CORE_ASIDE_MAX && !hand_is_aside(core, id)) {
        core->aside[core->aside_count++] = *id;
    }
    if (item_find(core, id, index, &item) && !unit_is_terminal(item.unit)) {
        if (task_is_array(item.task) && index == DROVER_INDEX_NONE) {
            array_cancel(core, item.task->array, ASIDE);
        } else if (item_own(core, &item)) { /* else it is put aside when it is dispatched */
            item_set_aside(core, &item);
        }
    }
    hand_put_down(core);
}
