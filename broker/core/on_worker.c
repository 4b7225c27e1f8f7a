/* on_worker.c: WORKER: drain a worker, or end that. */
#include "handlers.h"

#include "broker.h"

void on_worker(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    const struct drv_worker_request *request = &message->worker;
    struct worker *worker = worker_find(core, request->worker);
    if (request->op != DRV_WORKER_DRAIN && request->op != DRV_WORKER_RESUME) {
        reply_fail(core, reply, DROVER_INVALID, "op is 1 drain or 2 resume");
    } else if (worker == NULL) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such worker");
    } else {
        worker_drain(core, worker, request->op == DRV_WORKER_DRAIN);
        reply_answer(core, reply);
    }
}
