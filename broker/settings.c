/* settings.c: see settings.h. */
#include "settings.h"

#include "accounts.h"
#include "check.h"
#include "identity.h"

#include <string.h>

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};

static const struct drv_option serving_options[] = {
    {.name = "bind",
     .kind = DRV_OPTION_STRING,
     .argument = "ENDPOINT",
     .help = "where clients connect; port * picks a free one",
     .fallback = "tcp://127.0.0.1:7710"},
    {.name = "bind-workers",
     .kind = DRV_OPTION_STRING,
     .argument = "ENDPOINT",
     .help = "where workers connect",
     .fallback = "tcp://127.0.0.1:7711"},
    {.name = "http",
     .kind = DRV_OPTION_STRING,
     .argument = "HOST:PORT",
     .help = "where the page, the API and the metrics are; port 0 picks a free one; off: "
             "nowhere",
     .fallback = "127.0.0.1:7780"},
    {.name = "no-http", .kind = DRV_OPTION_FLAG, .help = "the same as --http off"},
    {.name = "http-token-file",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "a secret, one line: whoever sends it as bearer token may cancel, retry, pause "
             "and drain over HTTP. With --accounts nothing is read without it either, and "
             "there is no HTTP if there is no such file"},
    {.name = "http-metrics-token-file",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "another secret, for Prometheus: whoever sends it may read /metrics, and nothing "
             "else"},
    {.name = "http-allow-host",
     .kind = DRV_OPTION_STRING,
     .argument = "NAME",
     .repeatable = true,
     .help = "a host name by which the page may be asked for, besides addresses and localhost"},
    {.name = "data",
     .kind = DRV_OPTION_STRING,
     .argument = "DIR",
     .help = "where everything is kept; made if missing (default $STATE_DIRECTORY, else "
             "/var/lib/drover for root, else ~/.local/state/drover)"},
    {.name = "memory",
     .kind = DRV_OPTION_FLAG,
     .help = "keep everything in memory: nothing survives the broker"},
    {.name = "identity",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "own key pair, as `drover keygen` makes it: connections are encrypted, and only "
             "keys of --accounts are let in"},
    {.name = "accounts",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "the table of keys, and what each may do; SIGHUP reads it again"},
    {.name = "insecure",
     .kind = DRV_OPTION_FLAG,
     .help = "allow binding to addresses that others can reach, without keys or a token; with "
             "--accounts HTTP wants the token all the same"},
    {.name = "grace",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long SIGTERM waits for running tasks",
     .fallback = "10s"},
    {.name = "log-level",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "what is logged",
     .fallback = "info",
     .choices = log_levels},
};

static const struct drv_option limit_options[] = {
    {.name = "heartbeat",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .min = 10,
     .max = 60000,
     .help = "interval at which workers report",
     .fallback = "1s"},
    {.name = "lease",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .min = 50,
     .max = 3600000,
     .help = "a worker silent for this long is lost",
     .fallback = "10s"},
    {.name = "reconnect-grace",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3600000,
     .help = "a worker whose connection is gone is lost after this",
     .fallback = "3s"},
    {.name = "reattach",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3600000,
     .help = "after a start, how long workers may take to come back",
     .fallback = "15s"},
    {.name = "session",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .min = 100,
     .max = INT64_MAX / 1000,
     .help = "a session without a connection ends after this",
     .fallback = "1h"},
    {.name = "keep",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "retention of results that nobody has taken",
     .fallback = "1h"},
    {.name = "keep-failed",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "retention of failed tasks",
     .fallback = "7d"},
    {.name = "memory-mark",
     .kind = DRV_OPTION_INT,
     .argument = "PERCENT",
     .min = 0,
     .max = 100,
     .help = "a host with more of its memory in use gets nothing new, until it is 5 below; "
             "0: never",
     .fallback = "95"},
    {.name = "max-memory",
     .kind = DRV_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1 << 20,
     .max = INT64_MAX,
     .help = "tasks, payloads and results together; beyond it submits are busy (default 4G)"},
    {.name = "max-queue",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "unfinished tasks per queue (default 10000000)"},
    {.name = "max-queue-size",
     .kind = DRV_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1,
     .max = INT64_MAX,
     .help = "unfinished payload bytes per queue"},
    {.name = "max-client-tasks",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "unfinished tasks per client (default: as its queue)"},
    {.name = "max-client-size",
     .kind = DRV_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1,
     .max = INT64_MAX,
     .help = "unfinished payload bytes per client (default 1G)"},
    {.name = "max-client-rate",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = 1000000000,
     .help = "tasks a second per client, of which a second's may come at once (default: any)"},
    {.name = "max-client-results",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "finished results that a client has not read (default 1000000)"},
    {.name = "max-client-keys",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "keys of tasks (--key) per client, while they are kept (default: as for all)"},
    {.name = "max-connections",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = 1000000,
     .help = "clients and workers together",
     .fallback = "20000"},
};

static const char *const severities[] = {"info", "warning", "critical", NULL};

static const struct drv_option alert_options[] = {
    {.name = "alert-rule",
     .kind = DRV_OPTION_STRING,
     .repeatable = true,
     .argument = "RULE",
     .help =
         "NAME METRIC > NUMBER [clear N] [for TIME] [clear-for TIME] [severity S] [only X]"},
    {.name = "alert-command",
     .kind = DRV_OPTION_STRING,
     .argument = "COMMAND",
     .help =
         "run when an alert fires or is over, with the alert as JSON on its stdin, again for "
         "10 minutes if it fails; no shell"},
    {.name = "alert-webhook",
     .kind = DRV_OPTION_STRING,
     .argument = "URL",
     .help = "the alert is posted there as JSON, again for 10 minutes if it fails"},
    {.name = "alert-webhook-auth-file",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "its first line is sent along as Authorization; mode 600"},
    {.name = "alert-webhook-severity",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "nothing below it is posted",
     .fallback = "info",
     .choices = severities},
    {.name = "alert-command-severity",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "the command is not run for anything below it",
     .fallback = "info",
     .choices = severities},
    {.name = "no-default-alerts",
     .kind = DRV_OPTION_FLAG,
     .help = "only the rules that are said, not those that come with the broker"},
};

const struct drv_program settings_program = {
    .name = "drover-broker",
    .usage = "[options] | journal verify|dump|repair|backup ...",
    .about = "Takes tasks from clients, hands them to workers, and brings the results back.",
    .epilog = "When it serves it prints `ready endpoint=... worker_endpoint=... http=...`\n"
              "on stdout.\n"
              "SIGTERM and SIGINT stop the intake, wait for running tasks up to --grace,\n"
              "and end it; a second signal ends it at once.",
    .section = "broker",
    .tables = {{.options = serving_options,
                .count = DRV_ARRAY_LEN(serving_options),
                .env_prefix = "DROVER_BROKER_",
                .in_file = true},
               {.title = "Times and limits",
                .options = limit_options,
                .count = DRV_ARRAY_LEN(limit_options),
                .env_prefix = "DROVER_BROKER_",
                .in_file = true},
               {.title = "Alerts",
                .options = alert_options,
                .count = DRV_ARRAY_LEN(alert_options),
                .env_prefix = "DROVER_BROKER_",
                .in_file = true}},
    .table_count = 3,
};

static void read_limits(const struct drv_options *options, struct core_config *core)
{
    core->heartbeat_us = drv_options_int(options, "heartbeat") * 1000;
    core->lease_us = drv_options_int(options, "lease") * 1000;
    core->reconnect_grace_us = drv_options_int(options, "reconnect-grace") * 1000;
    core->reattach_us = drv_options_int(options, "reattach") * 1000;
    core->session_us = drv_options_int(options, "session") * 1000;
    core->keep_us = drv_options_int(options, "keep") * 1000;
    core->keep_failed_us = drv_options_int(options, "keep-failed") * 1000;
    static const struct {
        const char *name;
        size_t offset;
    } optional[] = {
        {"max-memory", offsetof(struct core_config, memory_max)},
        {"max-queue", offsetof(struct core_config, queue_count_max)},
        {"max-queue-size", offsetof(struct core_config, queue_bytes_max)},
        {"max-client-tasks", offsetof(struct core_config, client_tasks_max)},
        {"max-client-size", offsetof(struct core_config, client_bytes_max)},
        {"max-client-rate", offsetof(struct core_config, client_rate)},
        {"max-client-results", offsetof(struct core_config, client_results_max)},
        {"max-client-keys", offsetof(struct core_config, client_keys_max)},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(optional); i++) {
        if (drv_options_is_set(options, optional[i].name)) {
            uint64_t value = (uint64_t)drv_options_int(options, optional[i].name);
            memcpy((char *)core + optional[i].offset, &value, sizeof(value));
        }
    }
}

static drover_status read_tokens(const struct drv_options *options, struct http_config *http,
                                 struct drv_problem *problem)
{
    const char *path = drv_options_string(options, "http-token-file");
    const char *metrics = drv_options_string(options, "http-metrics-token-file");
    drover_status status = path == NULL ? DROVER_OK : http_config_token(http, path, problem);
    if (status == DROVER_OK && metrics != NULL) {
        status = http_config_metrics_token(http, metrics, problem);
    }
    if (status == DROVER_OK && metrics != NULL &&
        (path == NULL || strcmp(http->token, http->metrics_token) == 0)) {
        status = drv_problem_set(problem, DROVER_INVALID,
                                 "--http-metrics-token-file wants a --http-token-file as well, "
                                 "with another token");
    }
    return status;
}

/* Who may read what it shows: whoever reaches it, if that is this machine and it has no keys,
 * or
 * --insecure was said; else who has the token. With keys there is no HTTP by default without
 * it.
 */
static drover_status read_reach(const struct drv_options *options, const char *address,
                                bool has_keys, struct http_config *http,
                                struct drv_problem *problem)
{
    if (http->is_off || (!has_keys && http_config_is_loopback(http))) {
        return DROVER_OK;
    }
    http->is_open = http->token_len > 0;
    if (http->is_open || (!has_keys && drv_options_flag(options, "insecure"))) {
        return DROVER_OK;
    }
    if (!has_keys) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "--http %s is not loopback, and there is no --http-token-file: "
                               "anyone who reaches it could read everything; say --insecure to "
                               "listen there all the same",
                               address);
    }
    if (http->is_asked) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "--http %s: with --accounts it wants a --http-token-file, since "
                               "whoever has no key would read everything there",
                               address);
    }
    http->is_off = true;
    http->lacks_token = true;
    return DROVER_OK;
}

static drover_status read_http(const struct drv_options *options, bool has_keys,
                               struct http_config *http, struct drv_problem *problem)
{
    const char *address = drv_options_flag(options, "no-http")
                              ? "off"
                              : drv_options_string(options, "http");
    http->is_asked = drv_options_is_set(options, "http");
    drover_status status = http_config_address(http, address, problem);
    for (size_t i = 0; status == DROVER_OK && i < drv_options_count(options, "http-allow-host");
         i++) {
        status = http_config_allow(http, drv_options_at(options, "http-allow-host", i),
                                   problem);
    }
    if (status == DROVER_OK) {
        status = read_tokens(options, http, problem);
    }
    return status == DROVER_OK ? read_reach(options, address, has_keys, http, problem) : status;
}

/* The rules must make sense before the broker starts. */
static drover_status check_alerts(const struct drv_options *options,
                                  struct drv_problem *problem)
{
    for (size_t i = 0; i < drv_options_count(options, "alert-rule"); i++) {
        char name[DRV_ALERT_TEXT_MAX], subject[DRV_ALERT_TEXT_MAX];
        struct drv_alert_rule rule;
        drover_status status = drv_alert_rule_parse(drv_options_at(options, "alert-rule", i),
                                                    &rule, name, subject, problem);
        if (status != DROVER_OK) {
            drv_problem_prefix(problem,
                               "--alert-rule %s: ", drv_options_at(options, "alert-rule", i));
            return status;
        }
    }
    return DROVER_OK;
}

/* Looked at here, so that what is wrong is said at once, and read again by the server. */
static drover_status read_keys(const struct drv_options *options, struct settings *settings,
                               struct drv_problem *problem)
{
    struct drv_identity identity;
    struct access *access = NULL;
    settings->identity = drv_options_string(options, "identity");
    settings->accounts = drv_options_string(options, "accounts");
    if ((settings->identity == NULL) != (settings->accounts == NULL)) {
        return drv_problem_set(problem, DROVER_INVALID, "%s",
                               settings->identity == NULL
                                   ? "--accounts needs an own key as well: --identity"
                                   : "--identity needs the table of keys as well: --accounts");
    }
    if (settings->identity == NULL) {
        return DROVER_OK;
    }
    drover_status status = drv_identity_read(&identity, "--identity", settings->identity,
                                             problem);
    drv_identity_wipe(&identity);
    if (status == DROVER_OK) {
        status = accounts_read(settings->accounts, 0, &access, problem);
        access_destroy(&access);
    }
    return status;
}

drover_status settings_read(const struct drv_options *options, struct settings *out_settings,
                            struct drv_problem *problem)
{
    struct settings settings = {
        .options = options,
        .grace_us = drv_options_int(options, "grace") * 1000,
        .peers_max = (size_t)drv_options_int(options, "max-connections")};
    settings.is_memory = drv_options_flag(options, "memory");
    bool has_data = drv_options_is_set(options, "data");
    if (settings.is_memory && has_data) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--memory keeps nothing in --data %s: say one of them",
                               drv_options_string(options, "data"));
    }
    settings.data[0] = '\0';
    if (has_data) {
        const char *data = drv_options_string(options, "data");
        size_t len = strlen(data);
        if (len == 0 || len >= DATA_DIR_MAX) {
            return drv_problem_set(problem, DROVER_INVALID, "--data: not a path");
        }
        memcpy(settings.data, data, len + 1);
    }
    settings.log_level = (enum drv_log_level)drv_options_choice(options, "log-level");
    core_config_init(&settings.core);
    read_limits(options, &settings.core);
    if (settings.core.lease_us < 2 * settings.core.heartbeat_us) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--lease must be at least twice --heartbeat");
    }
    drover_status alerts = check_alerts(options, problem);
    if (alerts != DROVER_OK) {
        return alerts;
    }
    settings.core.alerts = true;
    settings.core.memory_mark_percent = (uint32_t)drv_options_int(options, "memory-mark");
    drover_status keys = read_keys(options, &settings, problem);
    if (keys != DROVER_OK) {
        return keys;
    }
    bool insecure = drv_options_flag(options, "insecure") || settings.accounts != NULL;
    drover_status http = read_http(options, settings.accounts != NULL, &settings.http, problem);
    if (http != DROVER_OK) {
        return http;
    }
    drover_status status = endpoint_check(drv_options_string(options, "bind"), insecure,
                                          settings.client_bind, problem);
    if (status == DROVER_OK) {
        status = endpoint_check(drv_options_string(options, "bind-workers"), insecure,
                                settings.worker_bind, problem);
    }
    if (status == DROVER_OK) {
        *out_settings = settings;
    }
    return status;
}
