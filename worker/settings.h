/*
 * settings.h: what the command line, the environment and the file say about this worker.
 */
#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include "arena.h"
#include "conceal.h"
#include "handler.h"
#include "log.h"
#include "message.h"
#include "options.h"
#include "problem.h"
#include "rule.h"
#include "stat/groups.h"

#include <drover/worker.h>

#include <stdbool.h>
#include <stdint.h>

enum worker_cgroup { WORKER_CGROUP_AUTO, WORKER_CGROUP_OFF, WORKER_CGROUP_REQUIRE };

struct worker_settings {
    struct drv_options *options; /* owned; what the texts below are borrowed from */
    struct worker_handlers handlers;
    struct worker_rules rules;        /* of single types */
    struct confine_programs programs; /* what both keep to */
    struct drv_arena arena;           /* the lists below */
    const struct drv_str *brokers;    /* endpoints, at least one */
    size_t broker_count;
    const char *identity, *broker_key; /* NULL: none; read again by who connects */
    const char *name;
    uint32_t slots, prefetch;
    const drover_module *own; /* borrowed; handlers of the program itself; NULL: none */
    enum pool_model model;
    uint32_t threads;       /* of an executor of model thread */
    uint32_t executors_min; /* kept when idle */
    uint64_t idle_ms;       /* the others end after that; 0: never */
    uint64_t tasks_max;     /* of an executor; 0: no limit */
    uint64_t memory_max;    /* of an executor, bytes; 0: no limit */
    const char *const *modules;
    size_t module_count;
    const char *const *allow_exec;
    size_t allow_exec_count;
    const char *exec_dir; /* NULL: a fresh one for each */
    const struct drv_str *queues;
    size_t queue_count;
    const struct drv_pair *labels;
    size_t label_count;
    const struct drv_count *resources;
    size_t resource_count;
    enum worker_cgroup cgroup;  /* whether limits are kept by control groups */
    enum conceal_mode hide_key; /* whether handlers are kept from the identity */
    int64_t grace_us;
    bool drops_output;        /* what tasks print stays out of the log */
    struct stat_groups stats; /* what heartbeats carry */
    int64_t stats_interval_us;
    enum drv_log_level log_level;
    const char *call_type; /* --call: run this handler here; NULL: serve */
    const char *call_json; /* its payload; NULL: nil */
};

/* What the program is to do. */
enum worker_order {
    WORKER_ORDER_SERVE,
    WORKER_ORDER_CALL,
    WORKER_ORDER_HELP,
    WORKER_ORDER_VERSION,
    WORKER_ORDER_CHECK, /* --check-config: load the handlers, and nothing more */
};

/*
 * Reads everything. own: the program's own handlers, or NULL. env: getenv when NULL. Blocks on
 * the file. OK; INVALID, UNSUPPORTED, IO, TOO_BIG, NOMEM with one line in *problem.
 * worker_settings_fini is due in every case.
 */
DROVER_MUST_USE drover_status worker_settings_load(struct worker_settings *settings,
                                                   const drover_module *own, int argc,
                                                   const char *const *argv,
                                                   drv_options_env_fn env,
                                                   enum worker_order *out_order,
                                                   struct drv_problem *problem);
void worker_settings_fini(struct worker_settings *settings);

#endif
