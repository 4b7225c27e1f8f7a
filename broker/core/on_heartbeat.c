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
    }
    if (heartbeat->details.len > 0) {
        worker_set_details(core, worker, heartbeat->details);
    }
}

void on_heartbeat(struct core *core, struct peer *peer, const struct drv_message *message)
{
    if (peer->session->worker != NULL) {
        heartbeat_keep(core, peer->session->worker, &message->heartbeat);
    }
    if (!peer_is_open(peer)) {
        return; /* it does not read */
    }
    effects_send(core, peer, effects_message(core, DRV_HEARTBEAT), 0);
}
