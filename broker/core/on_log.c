/*
 * on_log.c: LOG: output of a running attempt.
 */
#include "broker.h"
#include "handlers.h"

void on_log(struct core *core, struct peer *peer, const struct drv_message *message)
{
    struct lease *lease = lease_find(core, &message->log.ref);
    if (lease != NULL && lease->worker == peer->session->worker) {
        output_log(core, lease, &message->log);
    }
}
