/*
 * sim_world.c: setting up a run, the loop over its events, the steps to its end.
 */
#include "sim_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "sim_client.h"
#include "sim_deps.h"
#include "sim_faults.h"
#include "sim_plan.h"
#include "sim_worker.h"

enum {
    ARENA_KEEP = 256 * 1024,
    PHASE_GAP_US = 100000,
    PROBE_GAP_US = 100000,
    ACTIVE_MAX_US = 40000000,
    END_MAX_US = 120000000, /* for one step of the end */
    LAST_WAIT_US = 500000,
};

/* ---- helpers
 * ------------------------------------------------------------------------------------- */

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failed) {
        return;
    }
    sim->failed = true;
    int used = snprintf(sim->reason, sizeof sim->reason,
                        "at %.6f s: ", (double)sim->now_us / 1e6);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sim->reason + used, sizeof sim->reason - (size_t)used, format, arguments);
    va_end(arguments);
}

void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t hash = sim_mix(sim->trace_hash, (uint64_t)sim->now_us);
    for (const char *at = what; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    sim->trace_hash = sim_mix(sim_mix(sim_mix(hash, a), b), c);
    if (sim->config.trace) {
        printf("%12.6f %-18s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (double)sim->now_us / 1e6,
               what, a, b, c);
    }
}

bool sim_once_in(struct sim *sim, uint64_t n)
{
    return n > 0 && drv_rng_below(&sim->rng, n) == 0;
}

int64_t sim_between(struct sim *sim, int64_t min, int64_t max)
{
    return max <= min ? min
                      : min + (int64_t)drv_rng_below(&sim->rng, (uint64_t)(max - min) + 1);
}

void sim_schedule(struct sim *sim, enum sim_event_kind kind, int64_t delay_us, uint32_t who,
                  uint64_t arg)
{
    sim_events_add(&sim->events,
                   (struct sim_event){.at_us = sim->now_us + (delay_us > 0 ? delay_us : 0),
                                      .kind = kind,
                                      .who = who,
                                      .arg = arg});
}

void sim_new_id(struct sim *sim, drover_id *out_id)
{
    uint64_t words[2] = {drv_rng_next(&sim->rng), drv_rng_next(&sim->rng)};
    memcpy(out_id->bytes, words, sizeof words);
    /* Ids begin with milliseconds, most significant byte first. */
    uint64_t ms = UINT64_C(1700000000000) + (uint64_t)sim->now_us / 1000;
    for (unsigned i = 0; i < 6; i++) {
        out_id->bytes[i] = (uint8_t)(ms >> (8 * (5 - i)));
    }
}

/* ---- setting up
 * ------------------------------------------------------------------------------------ */

static void peer_add(struct sim *sim, enum sim_role role)
{
    DRV_ASSERT(sim->peer_count < SIM_PEERS_MAX);
    struct sim_peer *peer = &sim->peers[sim->peer_count];
    *peer = (struct sim_peer){.number = sim->peer_count, .role = role, .state = SIM_IDLE};
    sim->peer_count++;
    sim_peer_new_session(sim, peer);
    if (role != SIM_STRANGER) {
        sim_peer_connect_later(sim, peer, sim_between(sim, 0, 30000));
    }
}

static void world_begin(struct sim *sim)
{
    const struct sim_profile *profile = &sim->profile;
    sim_store_init(sim);
    sim_clock_init(sim);
    sim_broker_start(sim);
    sim->client_count = profile->clients;
    sim->worker_count = profile->workers;
    for (uint32_t i = 0; i < profile->clients; i++) {
        uint32_t quota = profile->tasks / profile->clients;
        quota += i == 0 ? profile->tasks % profile->clients : 0;
        sim->peers[sim->peer_count].client = NULL;
        peer_add(sim, SIM_CLIENT);
        sim->peers[i].client = sim_client_new(sim, quota);
        sim_schedule(sim, SIM_EVENT_ACTION, sim_between(sim, 0, profile->think_us), i, 0);
    }
    for (uint32_t i = 0; i < profile->workers; i++) {
        peer_add(sim, SIM_WORKER);
        sim_worker_at(sim, i)->worker = sim_worker_new(sim, i == 0);
    }
    peer_add(sim, SIM_STRANGER);
    sim_schedule(sim, SIM_EVENT_FAULT, sim_between(sim, 0, profile->fault_gap_us), 0, 0);
    sim_schedule(sim, SIM_EVENT_PROBE, PROBE_GAP_US, 0, 0);
    sim_schedule(sim, SIM_EVENT_PHASE, PHASE_GAP_US, 0, 0);
}

static void world_init(struct sim *sim, const struct sim_config *config)
{
    memset(sim, 0, sizeof *sim);
    sim->config = *config;
    if (sim->config.check_every == 0) {
        sim->config.check_every = 1;
    }
    drv_rng_init(&sim->rng, config->seed);
    sim_profile_make(&sim->rng, &sim->profile);
    sim->profile.has_keys = config->seed % 2 == 0;
    sim_events_init(&sim->events);
    sim_model_init(&sim->model);
    drv_arena_init(&sim->arena, ARENA_KEEP);
}

static void world_fini(struct sim *sim)
{
    struct sim_event event;
    while (sim_events_next(&sim->events, &event)) {
        if (event.kind == SIM_EVENT_ARRIVE) {
            sim_net_free_frame(sim, event.object);
        }
    }
    sim_events_fini(&sim->events);
    sim_broker_fini(sim);
    sim_net_fini(sim);
    for (uint32_t i = 0; i < sim->peer_count; i++) {
        sim_peer_fini(&sim->peers[i]);
    }
    sim_model_fini(&sim->model);
    sim_ends_fini(sim);
    drv_arena_fini(&sim->arena);
}

/* ---- the steps to the end
 * ----------------------------------------------------------------------------- */

static void phase_enter(struct sim *sim, enum sim_phase phase)
{
    sim_trace(sim, "phase", phase, 0, 0);
    sim->phase = phase;
    sim->phase_since_us = sim->now_us;
}

static bool all_submitted(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        if (sim->peers[i].client->quota > 0) {
            return false;
        }
    }
    return true;
}

static void phase_active(struct sim *sim)
{
    bool over = all_submitted(sim) && sim->now_us >= sim->profile.fault_until_us;
    if (sim->now_us > ACTIVE_MAX_US && !over) {
        sim_fail(sim, "the clients could not submit their tasks");
    } else if (over) {
        phase_enter(sim, SIM_HEALED);
        sim_faults_heal(sim);
    }
}

static bool all_content(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        if (!sim_client_is_content(sim, &sim->peers[i])) {
            return false;
        }
    }
    return true;
}

static void fail_unsettled(struct sim *sim)
{
    char text[SIM_REASON_MAX / 2] = "";
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_peer *peer = &sim->peers[i];
        uint32_t serial = sim_client_waits_for(sim, peer);
        if (serial != SIM_NO_TASK) {
            sim_task_describe(sim, serial, text, sizeof text);
            sim_fail(sim, "client %u is never told of %s", i, text);
        } else if (peer->client->request_count > 0) {
            sim_fail(sim, "client %u is never answered: %s %" PRIu64, i,
                     drv_kind_name(peer->client->requests[0].kind),
                     peer->client->requests[0].req);
        }
    }
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->known && task->epoch == sim->broker.epoch &&
            !sim_state_is_terminal(task->state)) {
            sim_task_describe(sim, i, text, sizeof text);
            sim_fail(sim, "never ends: %s", text);
        } else if (sim->phase == SIM_FORGETTING && sim_end_is_kept(sim, task)) {
            sim_task_describe(sim, i, text, sizeof text);
            sim_fail(sim, "is not forgotten: %s", text);
        }
    }
    sim_fail(sim, "the end is never reached, phase %d", sim->phase);
}

/* What the network held back may still arrive. */
static bool all_arrived(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->peer_count; i++) {
        if (sim->now_us < sim->peers[i].held_until_us + PHASE_GAP_US) {
            return false;
        }
    }
    return true;
}

static void phase_healed(struct sim *sim)
{
    if (all_arrived(sim) && sim->broker.core != NULL && !sim->broker.draining &&
        !sim->clock.is_heard && sim_checker_all_ended(sim) && all_content(sim)) {
        phase_enter(sim, SIM_FORGETTING);
    }
}

static void phase_forgetting(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        if (!sim_end_is_done(sim, &sim->peers[i])) {
            return;
        }
    }
    phase_enter(sim, SIM_LEAVING);
}

static void phase_leaving(struct sim *sim)
{
    bool all = true;
    for (uint32_t i = 0; i + 1 < sim->peer_count; i++) {
        struct sim_peer *peer = &sim->peers[i];
        if (peer->role == SIM_WORKER && peer->state == SIM_READY) {
            sim_worker_leave(sim, peer);
        } else if (peer->role == SIM_CLIENT && peer->state == SIM_READY) {
            sim_peer_goodbye(sim, peer);
            sim_peer_disconnect(sim, peer, false);
            peer->state = SIM_FINISHED;
        }
        if (peer->state != SIM_FINISHED) {
            all = false;
            sim->phase_since_us = sim->now_us;
        }
    }
    if (!all || sim->now_us - sim->phase_since_us < LAST_WAIT_US) {
        return;
    }
    if (!sim->broker.draining) {
        sim_checker_final(sim);
        sim->broker.draining = true;
        core_drain(sim->broker.core, sim->now_us);
        sim_broker_on_turn(sim);
    }
    if (core_is_drained(sim->broker.core)) {
        phase_enter(sim, SIM_OVER);
    }
}

static void world_on_phase(struct sim *sim)
{
    enum sim_phase before = sim->phase;
    switch (sim->phase) {
    case SIM_ACTIVE:
        phase_active(sim);
        break;
    case SIM_HEALED:
        phase_healed(sim);
        break;
    case SIM_FORGETTING:
        phase_forgetting(sim);
        break;
    case SIM_LEAVING:
        phase_leaving(sim);
        break;
    case SIM_OVER:
        return;
    }
    if (sim->phase == before && sim->phase > SIM_ACTIVE &&
        sim->now_us - sim->phase_since_us > END_MAX_US) {
        fail_unsettled(sim);
    }
    sim_schedule(sim, SIM_EVENT_PHASE, PHASE_GAP_US, 0, 0);
}

/* ---- the loop
 * --------------------------------------------------------------------------------------------
 */

static void world_on_probe(struct sim *sim)
{
    sim_checker_probe(sim);
    sim_clock_probe(sim);
    sim_deps_probe(sim);
    sim_schedule(sim, SIM_EVENT_PROBE, PROBE_GAP_US, 0, 0);
}

static void world_on_event(struct sim *sim, const struct sim_event *event)
{
    enum sim_side side = (enum sim_side)(event->arg & 1);
    switch ((unsigned)event->kind) {
    case SIM_EVENT_ARRIVE:
        sim_net_on_arrive(sim, event->object);
        break;
    case SIM_EVENT_LINK_TICK:
        sim_net_on_tick(sim, event->who, side);
        break;
    case SIM_EVENT_ACK:
        sim_net_on_ack(sim, event->who, side, event->arg >> 1);
        break;
    case SIM_EVENT_BREAK:
        sim_net_on_break(sim, event->who, side, (event->arg & 2) != 0);
        break;
    case SIM_EVENT_TURN:
        if (event->arg == sim->broker.wire) {
            sim_broker_on_turn(sim);
        }
        break;
    case SIM_EVENT_WAKE:
        sim_broker_on_wake(sim, event->arg);
        break;
    case SIM_EVENT_RESTART:
        sim_broker_on_restart(sim, event->arg);
        break;
    case SIM_EVENT_FAULT:
        sim_faults_strike(sim);
        break;
    case SIM_EVENT_MEND:
        sim_faults_mend(sim, &sim->peers[event->who]);
        break;
    case SIM_EVENT_PROBE:
        world_on_probe(sim);
        break;
    case SIM_EVENT_PHASE:
        world_on_phase(sim);
        break;
    default:
        sim_peer_on_event(sim, event);
        break;
    }
}

void sim_run(const struct sim_config *config, struct sim_outcome *out_outcome)
{
    struct sim sim;
    struct sim_event event;
    world_init(&sim, config);
    world_begin(&sim);
    while (!sim.failed && sim.phase != SIM_OVER && sim_events_next(&sim.events, &event)) {
        sim.now_us = event.at_us;
        sim.stats.events++;
        world_on_event(&sim, &event);
        sim_net_reap(&sim);
    }
    sim.stats.runs = 1;
    sim.stats.virtual_us = sim.now_us;
    *out_outcome = (struct sim_outcome){
        .failed = sim.failed, .trace_hash = sim.trace_hash, .stats = sim.stats};
    memcpy(out_outcome->reason, sim.reason, sizeof sim.reason);
    world_fini(&sim);
}
