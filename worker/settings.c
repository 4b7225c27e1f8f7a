#include "settings.h"

#include "check.h"
#include "identity.h"
#include "name.h"
#include "session.h"
#include "stat/host.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RESOURCES_MAX = DRV_LABELS_MAX,
    OWN_RESOURCES = 2, /* cpus, memory */
    SECTIONS = 2,      /* of the file, beside [worker] */
};

/* ---- options --------------------------------------------------------------------------------
 */

static const char *const models[] = {"prefork", "thread", "fork", NULL};
static const char *const cgroups[] = {"auto", "off", "require", NULL};
static const char *const hidings[] = {"auto", "off", "require", NULL};
static const char *const outputs[] = {"log", "drop", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};

static const struct drv_option serving_options[] = {
    {.name = "broker",
     .letter = 'b',
     .kind = DRV_OPTION_STRING,
     .argument = "ENDPOINT",
     .help = "worker endpoint of the broker; several are tried in turn",
     .fallback = "tcp://127.0.0.1:7711",
     .repeatable = true},
    {.name = "identity",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE|fd:N",
     .help = "own key pair, as `drover keygen` makes it; also from DROVER_IDENTITY; fd:N is a "
             "descriptor that is open, of a file that handlers cannot open",
     .env = "DROVER_IDENTITY"},
    {.name = "hide-key",
     .kind = DRV_OPTION_CHOICE,
     .argument = "MODE",
     .help = "keep handlers from reading the identity: where the kernel can, never, or end if "
             "it cannot",
     .fallback = "auto",
     .choices = hidings},
    {.name = "broker-key",
     .kind = DRV_OPTION_STRING,
     .argument = "KEY|FILE",
     .help = "public key of the broker; also from DROVER_BROKER_KEY; may stand in the identity",
     .env = "DROVER_BROKER_KEY"},
    {.name = "name",
     .kind = DRV_OPTION_STRING,
     .argument = "N",
     .help = "name of this worker; the host's by default"},
    {.name = "slots",
     .letter = 'n',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "tasks at a time; the usable processors by default",
     .min = 1,
     .max = WORKER_SLOTS_MAX},
    {.name = "model",
     .kind = DRV_OPTION_CHOICE,
     .argument = "MODEL",
     .help =
         "how functions of modules run: in a pool of processes, in threads of processes, or "
         "each in a process of its own",
     .fallback = "prefork",
     .choices = models},
    {.name = "threads",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "threads of an executor of model thread; 8 by default, or as many as slots",
     .min = 1,
     .max = POOL_THREADS_MAX},
    {.name = "type",
     .kind = DRV_OPTION_STRING,
     .argument = "NAME:KEY=VALUE",
     .help = "how one task type runs: model=MODEL, concurrency=N tasks at a time, and what it "
             "is kept to (seccomp, user, read...); several after commas",
     .repeatable = true},
    {.name = "max-tasks",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "replace an executor after N tasks; 0: never",
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX},
    {.name = "max-memory",
     .kind = DRV_OPTION_SIZE,
     .argument = "SIZE",
     .help = "replace an executor that has more resident memory after a task; 0: never",
     .fallback = "0"},
    {.name = "min-executors",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "executors of a model that are started at once and stay when idle; by default all "
             "that the slots need",
     .min = 0,
     .max = POOL_EXECUTORS_ALL},
    {.name = "idle-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "end other executors when they have been idle for so long; 0s: never",
     .fallback = "1m"},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "Q",
     .help = "serve this queue, and others named so; all by default",
     .repeatable = true},
    {.name = "label",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "a label that tasks may require",
     .repeatable = true},
    {.name = "resource",
     .kind = DRV_OPTION_STRING,
     .argument = "NAME=N",
     .help = "how many of something tasks may need; cpus and memory (bytes) are what the "
             "machine leaves the worker, unless named",
     .repeatable = true},
    {.name = "prefetch",
     .kind = DRV_OPTION_STRING,
     .argument = "auto|N",
     .help = "tasks held ready beyond the slots, at most; auto leaves it to the broker",
     .fallback = "auto"},
    {.name = "cgroup",
     .kind = DRV_OPTION_CHOICE,
     .argument = "MODE",
     .help =
         "keep limits of tasks by control groups (v2): where that can be had, never, or end "
         "if it cannot",
     .fallback = "auto",
     .choices = cgroups},
    {.name = "grace",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long SIGTERM lets running tasks run on",
     .fallback = "30s"},
    {.name = "stats",
     .kind = DRV_OPTION_STRING,
     .argument = "GROUPS",
     .help = "statistics that are told, between commas: host, net, disk, cgroup, executors, "
             "processes[:N|:all], all, none",
     .fallback = "all"},
    {.name = "stats-interval",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how often what is more than the host's own numbers is gathered",
     .fallback = "5s",
     .min = 100,
     .max = 3600000},
    {.name = "task-output",
     .kind = DRV_OPTION_CHOICE,
     .argument = "WHERE",
     .help = "where goes what tasks print and say besides to who follows them with drover "
             "logs",
     .fallback = "log",
     .choices = outputs},
    {.name = "log-level",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "what is logged",
     .fallback = "info",
     .choices = log_levels},
};

static const struct drv_option handler_options[] = {
    {.name = "load",
     .letter = 'l',
     .kind = DRV_OPTION_STRING,
     .argument = "FILE.so",
     .help = "load handlers from a module",
     .repeatable = true},
    {.name = "allow-exec",
     .kind = DRV_OPTION_STRING,
     .argument = "CMD",
     .help = "let tasks run this command, named exactly so",
     .repeatable = true},
    {.name = "exec-dir",
     .kind = DRV_OPTION_STRING,
     .argument = "DIR",
     .help = "where those commands run; each in a fresh temporary directory by default"},
    {.name = "call",
     .kind = DRV_OPTION_STRING,
     .argument = "TYPE",
     .help = "run one handler, a function in this very process, with the JSON that follows (-: "
             "stdin), print its result, and end: for debuggers"},
};

static const char epilog[] =
    "Commands as handlers are sections [handler.TYPE] of the file, with the keys command,\n"
    "argument, persist, stdin, stdout, content-type, cwd, environment, max-output, read,\n"
    "write, limit-memory, limit-cpu, limit-files, limit-file-size, seccomp, user. Sections\n"
    "[type.NAME] say how one type runs, with the keys of --type.\n"
    "When the broker has welcomed it, it prints `ready worker=ID name=N types=...`.\n"
    "SIGTERM and SIGINT return what has not started, let running tasks end within --grace,\n"
    "and end it; a second signal ends the grace.\n"
    "Exit codes: 0; 64 usage, a module that cannot be loaded, an endpoint for something\n"
    "else; 69 no broker took the last results, or it speaks another protocol version; 74 the\n"
    "executors are gone; 77 denied.";

/* ---- reading --------------------------------------------------------------------------------
 */

static drover_status out_of_memory(struct drv_problem *problem)
{
    return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
}

static bool is_port(const char *text)
{
    uint64_t port = 0;
    return drv_uint_parse(text, &port) == DROVER_OK && port >= 1 && port <= 65535;
}

/* Whether it can be connected to: tcp://HOST:PORT or ipc://PATH. */
static bool endpoint_is_valid(const char *endpoint)
{
    if (strlen(endpoint) > DRV_TEXT_MAX) {
        return false;
    }
    if (strncmp(endpoint, "ipc://", 6) == 0) {
        return endpoint[6] != '\0' && endpoint[6] != '*';
    }
    if (strncmp(endpoint, "tcp://", 6) != 0) {
        return false;
    }
    const char *host = endpoint + 6;
    const char *colon = strrchr(host, ':');
    return colon != NULL && colon != host && *host != '*' && is_port(colon + 1);
}

static drover_status read_brokers(struct worker_settings *settings, struct drv_problem *problem)
{
    size_t count = drv_options_count(settings->options, "broker");
    struct drv_str *brokers = drv_arena_alloc(&settings->arena, count, sizeof *brokers);
    if (brokers == NULL) {
        return out_of_memory(problem);
    }
    if (count > DRV_ENDPOINTS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "--broker: more than %d",
                               DRV_ENDPOINTS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const char *endpoint = drv_options_at(settings->options, "broker", i);
        if (!endpoint_is_valid(endpoint)) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "--broker %s: expected tcp://HOST:PORT or ipc://PATH",
                                   endpoint);
        }
        brokers[i] = drv_str_of(endpoint);
    }
    settings->brokers = brokers;
    settings->broker_count = count;
    return DROVER_OK;
}

/* The host's name with what a name must not hold replaced. */
static drover_status default_name(struct worker_settings *settings, struct drv_problem *problem)
{
    char host[DRV_NAME_MAX + 1];
    if (gethostname(host, sizeof host) != 0) {
        host[0] = '\0';
    }
    host[sizeof host - 1] = '\0';
    for (char *at = host; *at != '\0'; at++) {
        if (!drv_name_is_valid(drv_view_of(at, 1))) {
            *at = '-';
        }
    }
    const char *name = *host == '\0' ? "worker" : host;
    settings->name = drv_arena_copy(&settings->arena, name, strlen(name) + 1);
    return settings->name == NULL ? out_of_memory(problem) : DROVER_OK;
}

static drover_status read_name(struct worker_settings *settings, struct drv_problem *problem)
{
    settings->name = drv_options_string(settings->options, "name");
    if (settings->name == NULL) {
        return default_name(settings, problem);
    }
    if (!drover_name_is_valid(settings->name)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--name %s: 1 to 128 letters, digits, . _ : -", settings->name);
    }
    return DROVER_OK;
}

static drover_status read_texts(struct worker_settings *settings, const char *option,
                                const char *const **out_texts, size_t *out_count,
                                struct drv_problem *problem)
{
    size_t count = drv_options_count(settings->options, option);
    const char **texts = drv_arena_alloc(&settings->arena, count, sizeof *texts);
    if (texts == NULL) {
        return out_of_memory(problem);
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = drv_options_at(settings->options, option, i);
        if (texts[i][0] == '\0') {
            return drv_problem_set(problem, DROVER_INVALID, "--%s is empty", option);
        }
    }
    *out_texts = texts;
    *out_count = count;
    return DROVER_OK;
}

static drover_status read_queues(struct worker_settings *settings, struct drv_problem *problem)
{
    size_t count = drv_options_count(settings->options, "queue");
    struct drv_str *queues = drv_arena_alloc(&settings->arena, count, sizeof *queues);
    if (queues == NULL) {
        return out_of_memory(problem);
    }
    for (size_t i = 0; i < count; i++) {
        const char *queue = drv_options_at(settings->options, "queue", i);
        if (!drover_name_is_valid(queue)) {
            return drv_problem_set(problem, DROVER_INVALID, "--queue %s: not a name", queue);
        }
        queues[i] = drv_str_of(queue);
    }
    settings->queues = queues;
    settings->queue_count = count;
    return DROVER_OK;
}

/* "K=V" to views; false when there is no '=' or K is no name. */
static bool split_pair(const char *text, struct drv_str *out_name, struct drv_str *out_value)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || !drv_name_is_valid(drv_view_of(text, (size_t)(equals - text)))) {
        return false;
    }
    *out_name = (struct drv_str){text, (size_t)(equals - text)};
    *out_value = drv_str_of(equals + 1);
    return true;
}

static drover_status read_labels(struct worker_settings *settings, struct drv_problem *problem)
{
    size_t count = drv_options_count(settings->options, "label");
    struct drv_pair *labels = drv_arena_alloc(&settings->arena, count, sizeof *labels);
    if (labels == NULL) {
        return out_of_memory(problem);
    }
    if (count > DRV_LABELS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "--label: more than %d",
                               DRV_LABELS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = drv_options_at(settings->options, "label", i);
        if (!split_pair(text, &labels[i].name, &labels[i].value) ||
            labels[i].value.len > DRV_LABEL_VALUE_MAX) {
            return drv_problem_set(
                problem, DROVER_INVALID,
                "--label %s: expected NAME=VALUE, the value at most %d bytes", text,
                DRV_LABEL_VALUE_MAX);
        }
    }
    settings->labels = labels;
    settings->label_count = count;
    return DROVER_OK;
}

static bool has_resource(const struct drv_count *resources, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (resources[i].name.len == strlen(name) &&
            memcmp(resources[i].name.ptr, name, resources[i].name.len) == 0) {
            return true;
        }
    }
    return false;
}

/* What every worker has: the operator's word for it, or what the machine leaves it. */
static void add_own_resources(struct drv_count *resources, size_t *count)
{
    const struct {
        const char *name;
        uint64_t count;
    } own[OWN_RESOURCES] = {{"cpus", stat_host_usable_cpus("")},
                            {"memory", stat_host_usable_memory("")}};
    for (size_t i = 0; i < OWN_RESOURCES && *count < RESOURCES_MAX; i++) {
        if (own[i].count > 0 && !has_resource(resources, *count, own[i].name)) {
            resources[(*count)++] = (struct drv_count){drv_str_of(own[i].name), own[i].count};
        }
    }
}

static drover_status read_resources(struct worker_settings *settings,
                                    struct drv_problem *problem)
{
    size_t count = drv_options_count(settings->options, "resource");
    struct drv_count *resources = drv_arena_alloc(&settings->arena, count + OWN_RESOURCES,
                                                  sizeof *resources);
    if (resources == NULL) {
        return out_of_memory(problem);
    }
    if (count > RESOURCES_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "--resource: more than %d",
                               RESOURCES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = drv_options_at(settings->options, "resource", i);
        struct drv_str number;
        if (!split_pair(text, &resources[i].name, &number) ||
            drv_uint_parse(number.ptr, &resources[i].count) != DROVER_OK) {
            return drv_problem_set(problem, DROVER_INVALID, "--resource %s: expected NAME=N",
                                   text);
        }
    }
    add_own_resources(resources, &count);
    settings->resources = resources;
    settings->resource_count = count;
    return DROVER_OK;
}

static drover_status read_prefetch(struct worker_settings *settings,
                                   struct drv_problem *problem)
{
    const char *text = drv_options_string(settings->options, "prefetch");
    uint64_t number = WORKER_PREFETCH_AUTO;
    if (strcmp(text, "auto") != 0 &&
        (drv_uint_parse(text, &number) != DROVER_OK || number > WORKER_PREFETCH_AUTO)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--prefetch %s: expected auto or a number up to %d", text,
                               WORKER_PREFETCH_AUTO);
    }
    settings->prefetch = (uint32_t)number;
    return DROVER_OK;
}

static drover_status read_stats(struct worker_settings *settings, struct drv_problem *problem)
{
    const struct drv_options *options = settings->options;
    settings->stats_interval_us = drv_options_int(options, "stats-interval") * 1000;
    return stat_groups_parse(drv_options_string(options, "stats"), &settings->stats, problem);
}

static drover_status read_rules(struct worker_settings *settings, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    size_t count = drv_options_count(settings->options, "type");
    for (size_t i = 0; status == DROVER_OK && i < count; i++) {
        status = worker_rules_option(&settings->rules,
                                     drv_options_at(settings->options, "type", i), problem);
    }
    return status;
}

/* What has been checked already. */
static void read_executors(struct worker_settings *settings)
{
    static const enum pool_model numbers[] = {POOL_MODEL_PREFORK, POOL_MODEL_THREAD,
                                              POOL_MODEL_FORK};
    const struct drv_options *options = settings->options;
    settings->model = numbers[drv_options_choice(options, "model")];
    settings->threads = drv_options_is_set(options, "threads")
                            ? (uint32_t)drv_options_int(options, "threads")
                            : POOL_THREADS_DEFAULT;
    settings->executors_min = drv_options_is_set(options, "min-executors")
                                  ? (uint32_t)drv_options_int(options, "min-executors")
                                  : POOL_EXECUTORS_ALL;
    settings->idle_ms = (uint64_t)drv_options_int(options, "idle-timeout");
    settings->tasks_max = (uint64_t)drv_options_int(options, "max-tasks");
    settings->memory_max = (uint64_t)drv_options_int(options, "max-memory");
}

static drover_status read_operands(struct worker_settings *settings,
                                   struct drv_problem *problem)
{
    size_t count = drv_options_operand_count(settings->options);
    settings->call_type = drv_options_string(settings->options, "call");
    if (count > (settings->call_type != NULL ? 1U : 0U)) {
        return drv_problem_set(problem, DROVER_INVALID, "unexpected argument: %s",
                               drv_options_operand(settings->options, count - 1));
    }
    settings->call_json = count == 1 ? drv_options_operand(settings->options, 0) : NULL;
    return DROVER_OK;
}

static drover_status check_handlers(struct worker_settings *settings,
                                    struct drv_problem *problem)
{
    if (settings->own == NULL &&
        settings->module_count + settings->allow_exec_count + settings->handlers.count == 0) {
        return drv_problem_set(
            problem, DROVER_INVALID,
            "nothing to run: --load a module, --allow-exec a command, or configure a handler");
    }
    drover_status status = worker_handlers_check(&settings->handlers, &settings->programs,
                                                 problem);
    return status ? status : worker_rules_check(&settings->rules, &settings->programs, problem);
}

static drover_status read_modules(struct worker_settings *settings, struct drv_problem *problem)
{
    return read_texts(settings, "load", &settings->modules, &settings->module_count, problem);
}

static drover_status read_allow_exec(struct worker_settings *settings,
                                     struct drv_problem *problem)
{
    settings->exec_dir = drv_options_string(settings->options, "exec-dir");
    if (settings->exec_dir != NULL && access(settings->exec_dir, X_OK) != 0) {
        return drv_problem_set(problem, DROVER_INVALID, "--exec-dir %s: %s", settings->exec_dir,
                               strerror(errno));
    }
    return read_texts(settings, "allow-exec", &settings->allow_exec,
                      &settings->allow_exec_count, problem);
}

/* Looked at here, so that what is wrong is said at once, and forgotten again. */
static drover_status read_identity(struct worker_settings *settings,
                                   struct drv_problem *problem)
{
    struct drv_identity identity;
    settings->identity = drv_options_string(settings->options, "identity");
    settings->broker_key = drv_options_string(settings->options, "broker-key");
    if (settings->call_type != NULL) {
        return DROVER_OK; /* there is no broker */
    }
    drover_status status = drv_identity_load(&identity, settings->identity,
                                             settings->broker_key, problem);
    drv_identity_wipe(&identity);
    return status;
}

static drover_status read_all(struct worker_settings *settings, struct drv_problem *problem)
{
    static drover_status (*const steps[])(struct worker_settings *, struct drv_problem *) = {
        read_operands,   read_rules,     read_brokers,  read_name,  read_queues,
        read_labels,     read_resources, read_prefetch, read_stats, read_modules,
        read_allow_exec, check_handlers, read_identity,
    };
    const struct drv_options *options = settings->options;
    for (size_t i = 0; i < DRV_ARRAY_LEN(steps); i++) {
        drover_status status = steps[i](settings, problem);
        if (status != DROVER_OK) {
            return status;
        }
    }
    settings->slots = (uint32_t)drv_options_int(options, "slots");
    if (!drv_options_is_set(options, "slots")) {
        uint32_t cpus = stat_host_usable_cpus("");
        settings->slots = cpus < WORKER_SLOTS_MAX ? cpus : WORKER_SLOTS_MAX;
    }
    read_executors(settings);
    settings->grace_us = drv_options_int(options, "grace") * 1000;
    settings->cgroup = (enum worker_cgroup)drv_options_choice(options, "cgroup");
    settings->hide_key = (enum conceal_mode)drv_options_choice(options, "hide-key");
    settings->drops_output = drv_options_choice(options, "task-output") == 1;
    settings->log_level = (enum drv_log_level)drv_options_choice(options, "log-level");
    return DROVER_OK;
}

/* ---- life -----------------------------------------------------------------------------------
 */

/* The program's description; it borrows `sections`, which know where handlers and rules are
 * kept.
 */
static struct drv_program describe(const struct drv_option_section *sections)
{
    return (struct drv_program){
        .name = "drover-worker",
        .usage = "[options]",
        .about = "Runs tasks for a broker: handlers of modules, and commands.",
        .epilog = epilog,
        .section = "worker",
        .tables = {{.options = serving_options,
                    .count = DRV_ARRAY_LEN(serving_options),
                    .env_prefix = "DROVER_WORKER_",
                    .in_file = true},
                   {.title = "Handlers",
                    .options = handler_options,
                    .count = DRV_ARRAY_LEN(handler_options),
                    .env_prefix = "DROVER_WORKER_",
                    .in_file = true}},
        .table_count = 2,
        .sections = sections,
        .section_count = SECTIONS,
    };
}

struct description {
    struct drv_option_section sections[SECTIONS];
    struct drv_program program;
};

static drover_status make_options(struct worker_settings *settings)
{
    struct description *description = drv_arena_alloc(&settings->arena, 1, sizeof *description);
    if (description == NULL) {
        return DROVER_NOMEM;
    }
    description->sections[0] = (struct drv_option_section){.prefix = "handler.",
                                                           .callback = worker_handlers_entry,
                                                           .context = &settings->handlers};
    description->sections[1] = (struct drv_option_section){
        .prefix = "type.", .callback = worker_rules_entry, .context = &settings->rules};
    description->program = describe(description->sections);
    return drv_options_new(&description->program, &settings->options);
}

static enum worker_order find_order(const struct worker_settings *settings)
{
    if (drv_options_flag(settings->options, "help")) {
        return WORKER_ORDER_HELP;
    }
    if (drv_options_flag(settings->options, "version")) {
        return WORKER_ORDER_VERSION;
    }
    if (drv_options_flag(settings->options, "check-config")) {
        return WORKER_ORDER_CHECK;
    }
    return settings->call_type != NULL ? WORKER_ORDER_CALL : WORKER_ORDER_SERVE;
}

drover_status worker_settings_load(struct worker_settings *settings, const drover_module *own,
                                   int argc, const char *const *argv, drv_options_env_fn env,
                                   enum worker_order *out_order, struct drv_problem *problem)
{
    memset(settings, 0, sizeof *settings);
    settings->own = own;
    drv_arena_init(&settings->arena, 0);
    worker_handlers_init(&settings->handlers);
    worker_rules_init(&settings->rules);
    if (make_options(settings) != DROVER_OK) {
        return out_of_memory(problem);
    }
    drover_status status = drv_options_load(settings->options, argc, argv, env, problem);
    if (status != DROVER_OK) {
        return status;
    }
    enum worker_order order = find_order(settings);
    if (order != WORKER_ORDER_HELP && order != WORKER_ORDER_VERSION) {
        status = read_all(settings, problem);
        order = find_order(settings);
    }
    if (status == DROVER_OK) {
        *out_order = order;
    }
    return status;
}

void worker_settings_fini(struct worker_settings *settings)
{
    drv_options_destroy(&settings->options);
    worker_handlers_fini(&settings->handlers);
    worker_rules_fini(&settings->rules);
    confine_programs_fini(&settings->programs);
    drv_arena_fini(&settings->arena);
    memset(settings, 0, sizeof *settings);
}
