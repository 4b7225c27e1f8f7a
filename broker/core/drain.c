/*
 * drain.c: a graceful end of the broker.
 *
 * Intake stops, what has not started comes back, what runs may finish.
 */
#include "broker.h"

void core_drain(struct core *core, int64_t now_us)
{
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    if (core->is_draining) {
        return;
    }
    core->is_draining = true;
    event_draining(core);
    DRV_LIST_EACH(worker_link, &core->workers)
    {
        struct worker *worker = DRV_LIST_ITEM(worker_link, struct worker, link);
        worker_update(core, worker);
        DRV_LIST_EACH(link, &worker->leases)
        {
            struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
            if (!(lease->flags & (LEASE_STARTED | LEASE_RECALLED)) &&
                !(lease->unit->flags & UNIT_CANCELLING)) {
                lease->flags |= LEASE_RECALLED;
                lease_notify(core, lease, NOTICE_RECALL);
            }
        }
    }
}

/* A client that waits sends heartbeats. */
static bool session_is_here(const struct core *core, const struct session *session)
{
    return peer_is_open(session->peer) &&
           core->now_us - session->heard_us < core->config.lease_us;
}

/* Whether all that ended has been handed to the clients that are here. */
static bool results_are_handed_out(const struct core *core)
{
    for (uint32_t slot = 0; slot < core->sessions.slot_count; slot++) {
        const struct session *session = core->sessions.slots[slot];
        if (session != NULL && session_is_here(core, session) &&
            (!drv_list_is_empty(&session->due) || session->items_in_flight > 0)) {
            return false;
        }
    }
    return true;
}

bool core_is_drained(const struct core *core)
{
    if (!core->is_draining) {
        return false;
    }
    DRV_LIST_EACH(link, &core->workers)
    {
        if (!drv_list_is_empty(&DRV_LIST_ITEM(link, struct worker, link)->leases)) {
            return false;
        }
    }
    return results_are_handed_out(core);
}
