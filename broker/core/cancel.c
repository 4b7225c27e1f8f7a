#include "cancel.h"

#include "broker.h"

static void record_cancel(struct core *core, const struct item *item)
{
    effects_record_item(core, CORE_RECORD_CANCEL, item, NULL);
}

enum cancel_verdict cancel_item(struct core *core, const struct item *item, const char *text)
{
    struct unit *unit = item->unit;
    if (unit_is_terminal(unit)) {
        return CANCEL_ENDED_BEFORE;
    }
    if (task_is_array(item->task) && item->index == DROVER_INDEX_NONE) {
        record_cancel(core, item);
        array_cancel(core, item->task->array, text);
        return CANCEL_RUNNING;
    }
    struct lease *lease = unit->lease;
    if (lease == NULL || lease->worker == NULL) {
        item_cancel(core, item, text);
        return CANCEL_ENDED;
    }
    if (!(unit->flags & UNIT_CANCELLING)) {
        bool is_assigned = (lease->flags & LEASE_STARTED) == 0;
        record_cancel(core, item);
        if (core->config.defects.start_after_cancel && is_assigned) {
            return CANCEL_RUNNING; /* defect: the worker is not asked, and may start it */
        }
        lease_abort(core, lease);
    }
    if (lease->flags & LEASE_STARTED) {
        return CANCEL_RUNNING;
    }
    return CANCEL_ASSIGNED;
}
