/*
 * sim_end.c: what clients do once the faults are healed: bring everything to its end, hear
 * about it, give everything back.
 */
#include "check.h"
#include "sim_client.h"
#include "sim_plan.h"
#include "sim_world.h"

enum { REPAIR_GAP_US = 4000000, CANCEL_AGAIN_US = 3000000 };

enum { /* steps of the first client once everything is healed */
       STEP_RESUME = SIM_QUEUE_COUNT,
       STEP_LIFT = STEP_RESUME + 1,
       STEP_SCHEDULE = STEP_LIFT + SIM_PEERS_MAX,
       STEP_WORKERS = STEP_SCHEDULE + 1,
};

/* ---- the fleet works again
 * -------------------------------------------------------------------- */

static bool end_queue(struct sim *sim, struct sim_peer *peer, unsigned queue,
                      enum drv_queue_op op)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_QUEUE);
    if (request != NULL) {
        request->queue = queue;
        request->op = op;
        request->number = 0; /* SET: lifts the limit */
        sim_request_send(sim, peer, request);
    }
    return request != NULL;
}

static bool end_worker(struct sim *sim, struct sim_peer *peer, uint32_t number)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_WORKER);
    if (request != NULL) {
        request->op = DRV_WORKER_RESUME;
        request->worker = sim_worker_at(sim, number)->session;
        sim_request_send(sim, peer, request);
    }
    return request != NULL;
}

/* One step at a time; true when there was something to do. */
static bool end_repair(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    if (peer->number != 0) {
        return false;
    }
    if (client->step >= STEP_WORKERS) {
        if (sim->now_us < client->repaired_us + REPAIR_GAP_US) {
            return false;
        }
        client->step = 0; /* others may have had pauses on their way */
    }
    uint32_t step = client->step;
    bool sent = true;
    if (step < STEP_RESUME) {
        sent = end_queue(sim, peer, step, DRV_QUEUE_RESUME);
    } else if (step < STEP_LIFT) {
        sent = end_queue(sim, peer, SIM_TIGHT, DRV_QUEUE_SET);
    } else if (step == STEP_SCHEDULE) {
        sim_clock_remove(sim, peer);
    } else if (step - STEP_LIFT < sim->worker_count) {
        sent = end_worker(sim, peer, step - STEP_LIFT);
    }
    client->repaired_us = sim->now_us;
    client->step += sent; /* else too many requests are open: once more */
    return true;
}

/* ---- what cannot end by itself
 * ------------------------------------------------------------------ */

static bool never_ends(const struct sim *sim, const struct sim_task *task)
{
    bool stuck = task->spec.type == SIM_NOBODY || (task->elements > 0 && task->abandoned);
    bool sent = task->submit == SIM_SUBMIT_ACKED || task->submit == SIM_SUBMIT_UNKNOWN;
    /* A submit of an earlier session may have arrived after all. */
    bool stands = task->known && task->epoch == sim->broker.epoch &&
                  !sim_state_is_terminal(task->state);
    bool asked = task->end_cancelled_us != 0 &&
                 (!stands || sim->now_us < task->end_cancelled_us + CANCEL_AGAIN_US);
    return stuck && task->array == SIM_NO_TASK && ((sent && !task->resolved) || stands) &&
           !asked;
}

static bool end_cancel(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = NULL;
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->owner != peer->number || !never_ends(sim, task)) {
            continue;
        }
        if (request == NULL && (request = sim_request_new(sim, peer, DRV_CANCEL)) == NULL) {
            return true;
        }
        request->budget_ms = 0;
        task->end_cancelled_us = sim->now_us;
        request->targets[request->count++] = i;
        for (uint32_t j = 0; j <= task->elements; j++) {
            task[j].cancel_asked = true;
        }
        if (request->count == SIM_TARGETS_MAX) {
            break;
        }
    }
    if (request != NULL) {
        sim_request_send(sim, peer, request);
    }
    return request != NULL;
}

/* ---- hearing about it
 * ----------------------------------------------------------------------------- */

/* Elements are told through their array. */
static bool is_owed(struct sim *sim, const struct sim_peer *peer, const struct sim_task *task)
{
    bool sent = task->submit == SIM_SUBMIT_ACKED || task->submit == SIM_SUBMIT_UNKNOWN;
    (void)sim;
    return task->owner == peer->number && task->index == DROVER_INDEX_NONE && sent &&
           !task->resolved && task->watched_by != peer->session_number;
}

static bool end_watch(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = NULL;
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        if (!is_owed(sim, peer, task)) {
            continue;
        }
        if (request == NULL && (request = sim_request_new(sim, peer, DRV_WATCH)) == NULL) {
            return true;
        }
        task->watched_by = peer->session_number;
        request->targets[request->count++] = i;
        if (request->count == SIM_TARGETS_MAX) {
            break;
        }
    }
    if (request != NULL) {
        sim_request_send(sim, peer, request);
    }
    return request != NULL;
}

/* ---- giving it back
 * --------------------------------------------------------------------------------- */

bool sim_end_is_kept(const struct sim *sim, const struct sim_task *task)
{
    return task->known && task->epoch == sim->broker.epoch && !task->forgotten &&
           task->array == SIM_NO_TASK;
}

static bool end_forget(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = NULL;
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        if (!sim_end_is_kept(sim, task) || task->forgotten_by == peer->session_number) {
            continue;
        }
        if (request == NULL && (request = sim_request_new(sim, peer, DRV_FORGET)) == NULL) {
            return true;
        }
        task->forgotten_by = peer->session_number;
        for (uint32_t j = 0; j <= task->elements; j++) {
            task[j].forget_asked = true;
        }
        request->targets[request->count++] = i;
        if (request->count == SIM_TARGETS_MAX) {
            break;
        }
    }
    if (request != NULL) {
        sim_request_send(sim, peer, request);
    }
    return request != NULL;
}

/* Adding nothing reads a counter. */
static bool end_read_counters(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    if (client->counters_read == SIM_COUNTERS) {
        return false;
    }
    struct sim_request *request = sim_request_new(sim, peer, DRV_KV);
    if (request != NULL) {
        request->op = DRV_KV_INCREMENT;
        request->key = client->counters_read++;
        sim_request_send(sim, peer, request);
    }
    return true;
}

/* The last thing: shared data goes too. */
static bool end_delete(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    if (client->keys_deleted > SIM_COUNTERS) {
        return false;
    }
    struct sim_request *request = sim_request_new(sim, peer, DRV_KV);
    if (request != NULL) {
        request->op = DRV_KV_DELETE;
        request->deletes_swap = client->keys_deleted == SIM_COUNTERS;
        request->key = request->deletes_swap ? 0 : client->keys_deleted;
        client->keys_deleted++;
        sim_request_send(sim, peer, request);
    }
    return true;
}

void sim_end_next(struct sim *sim, struct sim_peer *peer)
{
    if (peer->state != SIM_READY) {
        return;
    }
    if (sim->phase == SIM_HEALED) {
        if (!end_repair(sim, peer) && !end_cancel(sim, peer)) {
            (void)end_watch(sim, peer);
        }
    } else if (sim->phase == SIM_FORGETTING && peer->number == 0) {
        if (!end_forget(sim, peer) && !end_read_counters(sim, peer)) {
            (void)end_delete(sim, peer);
        }
    }
}

bool sim_end_is_done(struct sim *sim, const struct sim_peer *peer)
{
    const struct sim_client *client = peer->client;
    if (peer->number != 0) {
        return client->request_count == 0;
    }
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, i);
        if (sim_end_is_kept(sim, task)) {
            return false;
        }
    }
    return client->keys_deleted > SIM_COUNTERS && client->request_count == 0;
}
