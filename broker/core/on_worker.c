/*
 * on_worker.c: draining and resuming a worker.
 */
#include "broker.h"
#include "handlers.h"

void on_worker(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    const struct drv_worker_request *request = &message->worker;
    if (request->op != DRV_WORKER_DRAIN && request->op != DRV_WORKER_RESUME) {
        reply_fail(core, reply, DROVER_INVALID, "no such operation");
        return;
    }
    struct worker *worker = worker_find(core, request->worker);
    if (worker == NULL) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such worker");
        return;
    }
    worker_drain(core, worker, request->op == DRV_WORKER_DRAIN);
    reply_answer(core, reply);
}
