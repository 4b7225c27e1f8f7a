/*
 * on_heartbeat.c: signs of life, with what the peer knows of itself.
 */
#include "broker.h"
#include "handlers.h"

static void heartbeat_keep(struct core *core, struct worker *worker,
                           const struct drv_heartbeat *heartbeat)
{
    if (heartbeat->has_host) {
        worker->has_host = true;
        worker->host = heartbeat->host;
        worker_weigh(core, worker);
    }
    if (heartbeat->details.len > 0) {
        worker_set_details(core, worker, heartbeat->details);
    }
}

/* What it runs although that was given to somebody else is counted, and it is told to stop. */
static void heartbeat_check(struct core *core, struct worker *worker,
                            const struct drv_heartbeat *heartbeat)
{
    for (size_t i = 0; i < heartbeat->running_count; i++) {
        const struct drv_ref *ref = &heartbeat->running[i].ref;
        const struct lease *lease = lease_find(core, ref);
        if ((lease == NULL || lease->worker != worker) && item_is_superseded(core, ref)) {
            core->counters.stale_heartbeats++;
            worker_add_stale(core, worker, &ref->id, ref->index, ref->attempt);
        }
    }
}

void on_heartbeat(struct core *core, struct peer *peer, const struct drv_message *message)
{
    if (peer->session->worker != NULL) {
        heartbeat_keep(core, peer->session->worker, &message->heartbeat);
    }
    if (!peer_is_open(peer)) {
        return; /* it does not read: what it would be told must not gather */
    }
    if (peer->session->worker != NULL) {
        heartbeat_check(core, peer->session->worker, &message->heartbeat);
    }
    effects_send(core, peer, effects_message(core, DRV_HEARTBEAT), 0);
}
