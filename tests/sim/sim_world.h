/*
 * sim_world.h: one run of the simulation, from its seed to its verdict.
 *
 *   clients ─┐                       ┌─ core (the real one)
 *   workers ─┼── network, faults ── broker
 *   stranger ┘                       └─ checker <── model of every task
 *
 * Everything happens on one thread in virtual time and every choice comes from one generator,
 * so a seed repeats exactly. A run has an active phase (work and faults) and an end: faults
 * are healed, everything must end, be told, be forgotten, and leave the broker empty.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "core.h"
#include "rng.h"
#include "sim_broker.h"
#include "sim_checker.h"
#include "sim_clock.h"
#include "sim_events.h"
#include "sim_model.h"
#include "sim_net.h"
#include "sim_peer.h"
#include "sim_profile.h"
#include "sim_stats.h"

struct sim_config {
    uint64_t seed;
    bool trace;           /* print every event */
    unsigned check_every; /* core_check after every n-th step; 1: after each */
    struct core_defects defects;
};

enum { SIM_REASON_MAX = 600, SIM_PEERS_MAX = 16 };

struct sim_outcome {
    bool failed;
    char reason[SIM_REASON_MAX];
    uint64_t trace_hash;
    struct sim_stats stats;
};

enum sim_phase {
    SIM_ACTIVE,     /* work and faults */
    SIM_HEALED,     /* no more faults; everything has to end */
    SIM_FORGETTING, /* all has ended; results are given back */
    SIM_LEAVING,    /* everyone says goodbye */
    SIM_OVER,
};

struct sim {
    struct sim_config config;
    struct sim_profile profile;
    struct drv_rng rng;
    int64_t now_us;
    enum sim_phase phase;
    int64_t phase_since_us;
    struct sim_events events;
    struct drv_arena arena; /* of the message being delivered */
    struct sim_stats stats;
    uint64_t trace_hash;
    bool failed;
    char reason[SIM_REASON_MAX];

    struct sim_net net;
    struct sim_broker broker;
    struct sim_model model;
    struct sim_checker checker;
    struct sim_clock clock;
    struct sim_ends ends;
    struct sim_peer peers[SIM_PEERS_MAX];
    uint32_t peer_count; /* clients first, then workers, last the stranger */
    uint32_t client_count, worker_count;
    uint8_t keys[SIM_PEERS_MAX][32]; /* of sim_keys.c */
};

/* Runs one seed to its end. Never fails itself: what goes wrong stands in the outcome. */
void sim_run(const struct sim_config *config, struct sim_outcome *out_outcome);

/* The first violation counts; the run ends after the present event. */
void sim_fail(struct sim *sim, const char *format, ...) DROVER_PRINTF(2, 3);

/* One line of the trace: goes into the hash, and to stdout when asked. */
void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c);

static inline void sim_count(struct sim *sim, enum sim_stat stat)
{
    sim->stats.counts[stat]++;
}

static inline void sim_count_if(struct sim *sim, bool condition, enum sim_stat stat)
{
    sim->stats.counts[stat] += condition;
}

/* True once in `n` times; n 0: never. */
bool sim_once_in(struct sim *sim, uint64_t n);
int64_t sim_between(struct sim *sim, int64_t min, int64_t max);

void sim_schedule(struct sim *sim, enum sim_event_kind kind, int64_t delay_us, uint32_t who,
                  uint64_t arg);
void sim_new_id(struct sim *sim, drover_id *out_id);

static inline struct sim_peer *sim_worker_at(struct sim *sim, uint32_t n)
{
    return &sim->peers[sim->client_count + n];
}

#endif
