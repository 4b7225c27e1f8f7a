/*
 * sim_profile.c: the dice that make a world.
 */
#include "sim_profile.h"

#include "rng.h"

enum { SECOND_US = 1000000 };

static uint64_t one_of(struct drv_rng *rng, const uint64_t *choices, size_t count)
{
    return choices[drv_rng_below(rng, count)];
}
#define ONE_OF(rng, ...)                           \
    one_of((rng), (const uint64_t[]){__VA_ARGS__}, \
           sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static bool coin(struct drv_rng *rng, uint64_t one_in)
{
    return drv_rng_below(rng, one_in) == 0;
}

static void make_core(struct drv_rng *rng, struct sim_profile *profile)
{
    struct core_config *core = &profile->core;
    core_config_init(core);
    core->tells_records = true;
    core->heartbeat_us = SECOND_US;
    core->lease_us = 3 * SECOND_US;
    core->reconnect_grace_us = SECOND_US;
    core->reattach_us = 4 * SECOND_US;
    core->session_us = 12 * SECOND_US;
    core->cancel_term_us = SECOND_US / 5;
    core->cancel_kill_us = SECOND_US / 2;
    if (profile->short_keep) {
        core->keep_us = 3 * SECOND_US;
        core->keep_failed_us = 3 * SECOND_US;
    }
    if (profile->tight) {
        core->queue_count_max = drv_rng_between(rng, 8, 40);
        core->queue_bytes_max = 64 * 1024;
        core->memory_max = 1024 * 1024;
        core->client_bytes_max = 32 * 1024;
        core->client_results_max = drv_rng_between(rng, 10, 60);
        core->keep_count_max = drv_rng_between(rng, 10, 60);
        core->kv_count_max = 3;
    }
}

/* What a client may have, in some runs. Drawn last, so that all else is as without. */
static void make_shares(struct drv_rng *rng, struct sim_profile *profile)
{
    struct core_config *core = &profile->core;
    if (coin(rng, 4)) {
        core->client_tasks_max = drv_rng_between(rng, 12, 80);
        core->client_rate = ONE_OF(rng, UINT64_MAX, 40, 200);
        if (profile->short_keep) { /* a key is kept as long as its task */
            core->client_keys_max = ONE_OF(rng, UINT64_MAX, 2, 4);
        }
    }
}

static void make_net(struct drv_rng *rng, struct sim_profile *profile)
{
    profile->delay_us = (int64_t)drv_rng_between(rng, 30, 400);
    profile->jitter_us = (int64_t)ONE_OF(rng, 50, 500, 4000);
    profile->turn_us = (int64_t)ONE_OF(rng, 0, 100, 1000);
    profile->direct_percent = (unsigned)ONE_OF(rng, 0, 0, 30, 100);
    profile->drop_in = ONE_OF(rng, 0, 0, 1000, 200);
    profile->duplicate_in = ONE_OF(rng, 0, 200, 40);
    profile->reorder_in = ONE_OF(rng, 0, 0, 400, 60);
    profile->garble_in = ONE_OF(rng, 0, 0, 0, 500);
    bool narrow = coin(rng, 4);
    profile->socket_frames = narrow ? 4 : 64;
    profile->blocked_at = narrow ? 6 : 96;
    profile->unblocked_at = narrow ? 1 : 16;
}

static void make_clockwork(struct drv_rng *rng, struct sim_clockwork *clockwork)
{
    *clockwork = (struct sim_clockwork){
        .is_cron = coin(rng, 2),
        .period_ms = (int64_t)ONE_OF(rng, 1, 2) * 1000,
        .jitter_ms = (int64_t)ONE_OF(rng, 0, 0, 300),
        .overlap = (unsigned)drv_rng_below(rng, DRV_OVERLAPS),
        .missed = (unsigned)drv_rng_below(rng, DRV_MISSED_POLICIES),
        .type = (unsigned)drv_rng_below(rng, 3),
    };
}

static void make_work(struct drv_rng *rng, struct sim_profile *profile)
{
    static const uint32_t weights[SIM_DEED_COUNT] = {
        [SIM_DO_SUBMIT] = 40,  [SIM_DO_ARRAY] = 8,      [SIM_DO_CANCEL] = 8,
        [SIM_DO_RETRY] = 5,    [SIM_DO_FORGET] = 5,     [SIM_DO_WATCH] = 6,
        [SIM_DO_QUERY] = 5,    [SIM_DO_INCREMENT] = 10, [SIM_DO_SWAP] = 6,
        [SIM_DO_PAUSE] = 4,    [SIM_DO_PURGE] = 1,      [SIM_DO_WORKER] = 3,
        [SIM_DO_CONFLICT] = 4, [SIM_DO_CREDIT] = 3,     [SIM_DO_GRAPH] = 6,
        [SIM_DO_SCHEDULE] = 6,
    };
    for (unsigned i = 0; i < SIM_DEED_COUNT; i++) {
        bool kept = i == SIM_DO_SUBMIT || i == SIM_DO_ARRAY || i == SIM_DO_SCHEDULE ||
                    !coin(rng, 3);
        profile->weights[i] = kept ? weights[i] : 0;
    }
    profile->think_us = (int64_t)drv_rng_between(rng, 8000, 80000);
    profile->fancy_specs = !coin(rng, 4);
    profile->families = !coin(rng, 3);
    profile->has_schedule = coin(rng, 3);
    make_clockwork(rng, &profile->clockwork);
    profile->slow_reader = coin(rng, 3);
    profile->small_window = coin(rng, 3);
    profile->tight = coin(rng, 4);
    profile->short_keep = profile->tight || coin(rng, 6);
    profile->large_payloads = !profile->tight && coin(rng, 3);
}

void sim_profile_make(struct drv_rng *rng, struct sim_profile *out_profile)
{
    struct sim_profile *profile = out_profile;
    *profile = (struct sim_profile){
        .clients = (uint32_t)drv_rng_between(rng, 1, 4),
        .workers = (uint32_t)drv_rng_between(rng, 1, 5),
        .tasks = (uint32_t)drv_rng_between(rng, 200, 240),
        .fault_gap_us = (int64_t)drv_rng_between(rng, 100000, 900000),
        .fault_until_us = (int64_t)drv_rng_between(rng, 3, 8) * SECOND_US,
        .broker_ends_max = (unsigned)ONE_OF(rng, 0, 1, 2),
    };
    if (!coin(rng, 8)) { /* else a calm one */
        profile->faults = (uint32_t)drv_rng_below(rng, 1u << SIM_FAULT_KIND_COUNT);
    }
    make_net(rng, profile);
    make_work(rng, profile);
    make_core(rng, profile);
    profile->durable = coin(rng, 3);
    profile->ranges = coin(rng, 2);
    if (profile->ranges) { /* however long they run */
        profile->core.prefetch_run_us = SECOND_US / 20;
        profile->core.prefetch_work_us = SECOND_US;
        profile->core.range_run_us = 10 * SECOND_US;
        profile->core.range_work_us = 100 * SECOND_US;
    }
    if (profile->has_schedule && coin(rng, 2)) {
        profile->faults |= 1u << SIM_FAULT_CLOCK;
    }
    if (profile->durable) {
        profile->broker_ends_max += 3;
        profile->faults |= profile->faults == 0 ? 0 : 1u << SIM_FAULT_BROKER_CRASH;
    }
    make_shares(rng, profile);
    profile->ages = coin(rng, 3);
    profile->has_tenants = !profile->ages || coin(rng, 2);
}
