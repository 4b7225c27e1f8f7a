/*
 * sim_limits.c: limits on leases, and what workers have, counted from outside.
 *
 * The limited queue is given always the same limits, at some time. What is held is counted anew
 * for each lease, by the records.
 */
#include "sim_checker.h"

#include "sim_worker.h"
#include "sim_world.h"

enum { TOKEN = 1000000, TOKENS_MAX = SIM_LIMIT_RATE * TOKEN };

struct held {
    uint32_t limited, of_key; /* leases of the limited queue, and of one key in it */
    uint32_t gpus;            /* of one worker */
};

static bool is_held(const struct sim *sim, const struct sim_task *task)
{
    return task->known && task->epoch == sim->broker.epoch && task->hold == SIM_HOLD_LIVE &&
           task->elements == 0;
}

static struct held count_held(struct sim *sim, unsigned tenant, uint32_t worker,
                              uint32_t session)
{
    struct held held = {0};
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, i);
        if (!is_held(sim, task)) {
            continue;
        }
        bool is_limited = task->spec.queue == SIM_LIMITED;
        held.limited += is_limited;
        held.of_key += is_limited && task->spec.tenant == tenant;
        held.gpus += task->spec.needs_gpu && task->holder == worker &&
                     task->holder_session == session;
    }
    return held;
}

/* What the bucket may hold at most by now. */
static void fill(struct sim *sim)
{
    struct sim_checker *checker = &sim->checker;
    int64_t tokens = checker->tokens + (sim->now_us - checker->tokens_us) * SIM_LIMIT_RATE;
    checker->tokens = tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
    checker->tokens_us = sim->now_us;
}

void sim_checker_on_limits(struct sim *sim)
{
    struct sim_checker *checker = &sim->checker;
    if (!checker->limits_in_force) {
        checker->limits_in_force = true;
        checker->tokens = TOKENS_MAX;
        checker->tokens_us = sim->now_us;
        sim_count(sim, SIM_LIMITED_SEEN);
    }
}

void sim_checker_on_refund(struct sim *sim, const struct sim_task *task)
{
    if (task->spec.queue == SIM_LIMITED && sim->checker.limits_in_force) {
        fill(sim);
        sim->checker.tokens += TOKEN;
    }
}

static void accuse_limit(struct sim *sim, uint32_t serial, const char *what)
{
    char text[SIM_REASON_MAX / 2];
    sim_task_describe(sim, serial, text, sizeof text);
    sim_fail(sim, "leased beyond %s: %s", what, text);
}

bool sim_worker_fits(const struct sim_worker *worker, const struct sim_task_spec *spec)
{
    return (!spec->needs_gpu || worker->has_gpu) && (worker->types & 1u << spec->type) != 0 &&
           (worker->queues == 0 || (worker->queues & 1u << spec->queue) != 0) &&
           (spec->zone == 0 || (worker->zones & 1u << spec->zone) != 0);
}

/* Never where it does not fit, nor where memory is scarce. */
static void check_place(struct sim *sim, uint32_t serial, uint32_t worker)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    char text[SIM_REASON_MAX / 2];
    sim_task_describe(sim, serial, text, sizeof text);
    sim_count_if(sim, task->spec.zone != 0, SIM_ZONED_SEEN);
    if (!sim_worker_fits(sim->peers[worker].worker, &task->spec)) {
        sim_fail(sim, "leased to worker %u, where it does not fit: %s", worker, text);
    } else if (sim->checker.seats[worker].is_heavy) {
        sim_fail(sim, "leased to worker %u, whose host has no memory: %s", worker, text);
    } else {
        /* well placed */
    }
}

void sim_checker_on_dispatch(struct sim *sim, uint32_t serial, uint32_t worker,
                             uint32_t session)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    check_place(sim, serial, worker);
    struct held held = count_held(sim, task->spec.tenant, worker, session);
    if (task->spec.needs_gpu) {
        sim_count(sim, SIM_NEEDY_SEEN);
        if (held.gpus > 0 || !sim->peers[worker].worker->has_gpu) {
            accuse_limit(sim, serial, "what its worker has");
        }
    }
    if (task->spec.queue != SIM_LIMITED || !sim->checker.limits_in_force) {
        return;
    }
    fill(sim);
    sim->checker.tokens -= TOKEN;
    sim_count_if(sim, held.limited + 1 == SIM_LIMIT_CONCURRENCY, SIM_CONCURRENCY_SEEN);
    sim_count_if(sim, task->spec.tenant > 0 && held.of_key + 1 == SIM_LIMIT_PER_KEY,
                 SIM_PER_KEY_SEEN);
    if (held.limited >= SIM_LIMIT_CONCURRENCY) {
        accuse_limit(sim, serial, "the concurrency of its queue");
    } else if (task->spec.tenant > 0 && held.of_key >= SIM_LIMIT_PER_KEY) {
        accuse_limit(sim, serial, "the concurrency of its key");
    } else if (sim->checker.tokens < -TOKEN) {
        accuse_limit(sim, serial, "the rate of its queue");
    }
}

bool sim_checker_is_held_back(struct sim *sim, const struct sim_task *task)
{
    if (task->spec.needs_gpu) {
        for (uint32_t i = 0; i < sim->model.count; i++) {
            const struct sim_task *other = sim_model_task(&sim->model, i);
            if (is_held(sim, other) && other->spec.needs_gpu) {
                return true;
            }
        }
    }
    if (task->spec.queue != SIM_LIMITED || !sim->checker.limits_heard) {
        return false;
    }
    if (sim->checker.limits_in_force) {
        fill(sim);
        if (sim->checker.tokens < TOKEN) {
            return true; /* the next token is for whoever is next */
        }
    }
    struct held held = count_held(sim, task->spec.tenant, UINT32_MAX, 0);
    return held.limited >= SIM_LIMIT_CONCURRENCY ||
           (task->spec.tenant > 0 && held.of_key >= SIM_LIMIT_PER_KEY);
}
