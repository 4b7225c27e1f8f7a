/*
 * sim_profile.h: what kind of world a seed makes.
 *
 * Each seed turns a random subset of the faults and of the workload on (swarm testing), so
 * that rare combinations get room that an even mix would never give them.
 */
#ifndef SIM_PROFILE_H
#define SIM_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"

struct drv_rng;

enum sim_fault_kind { /* faults that strike from time to time */
                      SIM_FAULT_BREAK,
                      SIM_FAULT_PARTITION,
                      SIM_FAULT_STALL,
                      SIM_FAULT_PAUSE,
                      SIM_FAULT_HANG,
                      SIM_FAULT_CRASH,
                      SIM_FAULT_EXECUTOR,
                      SIM_FAULT_WORKER_BYE,
                      SIM_FAULT_WORKER_DEAF,
                      SIM_FAULT_CLIENT_DEAF,
                      SIM_FAULT_CLIENT_GONE,
                      SIM_FAULT_CLIENT_BYE,
                      SIM_FAULT_STRANGER,
                      SIM_FAULT_FORGE,
                      SIM_FAULT_BROKER_CRASH,
                      SIM_FAULT_BROKER_DRAIN,
                      SIM_FAULT_CLOCK,
                      SIM_FAULT_KIND_COUNT
};

enum sim_deed { /* what clients do */
                SIM_DO_SUBMIT,
                SIM_DO_ARRAY,
                SIM_DO_GRAPH,
                SIM_DO_CANCEL,
                SIM_DO_RETRY,
                SIM_DO_FORGET,
                SIM_DO_WATCH,
                SIM_DO_QUERY,
                SIM_DO_INCREMENT,
                SIM_DO_SWAP,
                SIM_DO_PAUSE,
                SIM_DO_PURGE,
                SIM_DO_WORKER,
                SIM_DO_CONFLICT,
                SIM_DO_CREDIT,
                SIM_DO_SCHEDULE,
                SIM_DEED_COUNT
};

struct sim_clockwork { /* the plan of the one schedule in a world */
    bool is_cron;      /* else an interval */
    int64_t period_ms; /* between two instants; of a cron expression they are its multiples */
    int64_t jitter_ms; /* at most */
    unsigned overlap, missed, type;
};

struct sim_profile {
    uint32_t clients, workers, tasks;
    int64_t delay_us, jitter_us; /* of frames */
    int64_t turn_us;             /* how long a turn of the broker gathers */
    unsigned direct_percent;     /* connections without link */
    uint64_t drop_in, duplicate_in, reorder_in, garble_in; /* one frame in so many; 0 never */
    unsigned socket_frames;                                /* high-water mark of a socket */
    size_t blocked_at, unblocked_at;                       /* messages held back */
    uint32_t faults;                                       /* bit per sim_fault_kind */
    int64_t fault_gap_us;                                  /* mean time between faults */
    int64_t fault_until_us;
    unsigned broker_ends_max; /* how often the broker may go down */
    uint32_t weights[SIM_DEED_COUNT];
    int64_t think_us;  /* mean time between deeds of a client */
    bool families;     /* tasks wait for each other */
    bool has_schedule; /* one of the plan below */
    struct sim_clockwork clockwork;
    bool fancy_specs;  /* delays, expiries, timeouts, retries */
    bool slow_reader;  /* clients take results over late */
    bool small_window; /* workers and clients give little byte credit */
    bool large_payloads;
    bool tight;              /* small limits in the core */
    bool short_keep;         /* results are kept for seconds */
    bool durable;            /* the broker has a journal */
    bool ranges;             /* workers and clients take elements in ranges */
    bool has_keys;           /* the broker asks for them (sim_keys.h) */
    bool ages;               /* most stand in the limited queue, of every priority */
    bool has_tenants;        /* tasks have fairness keys */
    struct core_config core; /* without id, epoch, names */
};

void sim_profile_make(struct drv_rng *rng, struct sim_profile *out_profile);

#endif
