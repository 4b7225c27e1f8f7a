/*
 * sim_stuck.c: whatever can run does, each task by itself: one that could run, while a worker
 * that takes it has a slot free all the time and nothing forbids it, is leased within STUCK_US
 * of simulated time, however many others of its kind are.
 */
#include "sim_book.h"
#include "sim_checker.h"
#include "sim_deps.h"
#include "sim_worker.h"
#include "sim_world.h"

#include <string.h>

enum { STUCK_US = 1000000 };

static bool peer_is_well(struct sim *sim, const struct sim_peer *peer)
{
    const struct sim_seat *seat = &sim->checker.seats[peer->number];
    const struct sim_conn *conn = sim_peer_conn(sim, peer);
    bool linked = conn != NULL && conn->id == seat->conn && conn->ends[SIM_BROKER_SIDE].open;
    return peer->state == SIM_READY && linked && !peer->stopped && !peer->deaf &&
           !peer->cut_in && !peer->cut_out && !peer->worker->leaving &&
           !peer->worker->drained && sim->now_us >= peer->held_until_us;
}

static bool peer_takes(struct sim *sim, const struct sim_peer *peer,
                       const struct sim_task_spec *spec)
{
    const struct sim_worker *worker = peer->worker;
    const struct sim_seat *seat = &sim->checker.seats[peer->number];
    return sim_worker_fits(worker, spec) && !seat->is_heavy && !seat->was_heavy &&
           seat->live < worker->slots && seat->live < seat->credit &&
           worker->running < worker->slots;
}

/* A worker that could run such work at once, or NULL. */
static const struct sim_peer *free_worker(struct sim *sim, const struct sim_task_spec *spec)
{
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        const struct sim_peer *peer = sim_worker_at(sim, i);
        if (peer_is_well(sim, peer) && peer_takes(sim, peer, spec)) {
            return peer;
        }
    }
    return NULL;
}

/* Assigned and not started, in the book of a worker that could answer a recall. */
static bool is_stuck_behind(struct sim *sim, const struct sim_task *task)
{
    const struct sim_peer *peer = &sim->peers[task->holder];
    struct drv_ref ref = {.id = task->id, .index = task->index, .attempt = task->attempt};
    if (!peer_is_well(sim, peer) || peer->session_number != task->holder_session) {
        return false;
    }
    const struct sim_lease *lease = sim_book_find(peer->worker, &ref);
    return lease != NULL && lease->state == SIM_UNSTARTED;
}

static bool is_runnable(struct sim *sim, const struct sim_task *task)
{
    if (!task->known || task->epoch != sim->broker.epoch || task->elements > 0 ||
        sim_state_is_terminal(task->state) || task->cancel_asked || task->cascade_asked ||
        sim->now_us < task->due_us) {
        return false;
    }
    if (task->hold == SIM_HOLD_LIVE) {
        return is_stuck_behind(sim, task);
    }
    return !sim_checker_is_held_back(sim, task) && sim_deps_are_over(sim, task);
}

static void fail_stuck(struct sim *sim, uint32_t serial, const struct sim_peer *worker)
{
    char text[SIM_REASON_MAX / 2];
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    uint64_t leases = sim->checker.leases[task->spec.queue][task->spec.type];
    sim_task_describe(sim, serial, text, sizeof text);
    sim_fail(sim,
             "stands still although a slot of worker %u is free (%llu others of its queue and "
             "type were leased): %s",
             worker->number, (unsigned long long)(leases - task->stands_leases), text);
}

static const struct sim_peer *could_run_at(struct sim *sim, const struct sim_task *task)
{
    bool may = !sim->checker.paused[task->spec.queue] && !sim->broker.draining;
    return may && is_runnable(sim, task) ? free_worker(sim, &task->spec) : NULL;
}

static void probe_task(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    const struct sim_peer *worker = could_run_at(sim, task);
    if (worker == NULL || !task->stands || task->stands_attempt != task->attempt) {
        task->stands = worker != NULL;
        task->stands_us = sim->now_us;
        task->stands_attempt = task->attempt;
        task->stands_leases = sim->checker.leases[task->spec.queue][task->spec.type];
    } else if (sim->now_us - task->stands_us > STUCK_US) {
        fail_stuck(sim, serial, worker);
    }
}

void sim_checker_forget_stuck(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        sim_model_task(&sim->model, i)->stands = false;
    }
}

void sim_checker_probe(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->model.count && sim->broker.core != NULL; i++) {
        probe_task(sim, i);
    }
}
