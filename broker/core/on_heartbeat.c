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
        struct drv_val val = {.bytes = (const uint8_t *)heartbeat->details.ptr,
                              .len = heartbeat->details.len};
        struct body *details;
        if (body_new(core, &val, &details) == DROVER_OK) {
            body_release(core, &worker->details);
            worker->details = details;
        }
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
