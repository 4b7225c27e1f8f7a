#include "program.h"

#include "agent.h"
#include "allocator.h"
#include "call.h"
#include "module.h"
#include "pool.h"
#include "sandbox.h"
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_USAGE_ERROR = 64,
    EXIT_UNAVAILABLE = 69,
    EXIT_IO = 74,
    EXIT_DENIED = 77,
};

static int complain(const struct drv_problem *problem, int code)
{
    (void)fprintf(stderr, "drover-worker: %s\n", problem->text);
    return code;
}

/* Handlers that cannot be had are wrong arguments; anything else is the machine's fault. */
static int code_of_start(drover_status status)
{
    switch ((int)status) {
    case DROVER_INVALID:
    case DROVER_IO:
    case DROVER_VERSION:
    case DROVER_CONFLICT:
    case DROVER_UNKNOWN:
    case DROVER_UNSUPPORTED:
        return EXIT_USAGE_ERROR;
    default:
        return EXIT_IO;
    }
}

static int code_of_end(drover_status status)
{
    switch ((int)status) {
    case DROVER_OK:
        return EXIT_SUCCESS;
    case DROVER_WRONG_ENDPOINT:
    case DROVER_TOO_BIG:
        return EXIT_USAGE_ERROR;
    case DROVER_VERSION:
    case DROVER_UNAVAILABLE:
        return EXIT_UNAVAILABLE;
    case DROVER_DENIED:
        return EXIT_DENIED;
    default:
        return EXIT_IO;
    }
}

static int serve(const struct worker_settings *settings)
{
    struct drv_log log;
    struct drv_problem problem = {""};
    struct worker_agent *agent = NULL;
    drv_log_init(&log, "drover-worker", settings->log_level);
    drover_status status = worker_agent_new(settings, &log, &agent, &problem);
    if (status != DROVER_OK) {
        return complain(&problem, code_of_start(status));
    }
    status = worker_agent_run(agent, &problem);
    worker_agent_destroy(&agent);
    return status == DROVER_OK ? EXIT_SUCCESS : complain(&problem, code_of_end(status));
}

/* What handlers there are, for a look at them or one call. */
static struct pool_config describe(const struct worker_settings *settings,
                                   const struct drv_log *log)
{
    return (struct pool_config){.own = settings->own,
                                .modules = settings->modules,
                                .module_count = settings->module_count,
                                .commands = settings->handlers.commands,
                                .command_count = settings->handlers.count,
                                .allow_exec = settings->allow_exec,
                                .allow_exec_count = settings->allow_exec_count,
                                .exec_dir = settings->exec_dir,
                                .rules = settings->rules.items,
                                .rule_count = settings->rules.count,
                                .slots = 1,
                                .drops_output = true,
                                .log = log};
}

/* --check-config: the options are right; are the modules? */
static int check(const struct worker_settings *settings)
{
    struct drv_problem problem = {""};
    struct module_set set;
    const struct pool_config config = describe(settings, NULL);
    drover_status status = module_set_load(&set, &config, &problem);
    if (status != DROVER_OK) {
        return complain(&problem, code_of_start(status));
    }
    module_set_fini(&set);
    return EXIT_SUCCESS;
}

/* --call: one handler, without a broker. */
static int call(const struct worker_settings *settings)
{
    struct drv_log log;
    drv_log_init(&log, "drover-worker", settings->log_level);
    const struct pool_config config = describe(settings, &log);
    return worker_call(&config, settings->call_type, settings->call_json);
}

static int obey(const struct worker_settings *settings, enum worker_order order)
{
    switch (order) {
    case WORKER_ORDER_SERVE:
        return serve(settings);
    case WORKER_ORDER_CALL:
        return call(settings);
    case WORKER_ORDER_HELP:
        drv_options_help(settings->options, stdout);
        return EXIT_SUCCESS;
    case WORKER_ORDER_VERSION:
        (void)printf("drover-worker %s\n", DROVER_VERSION_STRING);
        return EXIT_SUCCESS;
    case WORKER_ORDER_CHECK:
        return check(settings);
    }
    return EXIT_USAGE_ERROR;
}

int worker_program(int argc, char **argv, const drover_module *own)
{
    struct worker_settings settings;
    struct drv_problem problem = {""};
    enum worker_order order = WORKER_ORDER_SERVE;
    drv_allocator_tune();
    drover_status status = worker_settings_load(&settings, own, argc, (const char *const *)argv,
                                                NULL, &order, &problem);
    int code = status == DROVER_OK ? obey(&settings, order)
                                   : complain(&problem, EXIT_USAGE_ERROR);
    worker_settings_fini(&settings);
    return code;
}
