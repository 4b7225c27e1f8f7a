/* task_options.c: see task_options.h. */
#include "task_options.h"

#include "check.h"
#include "doc.h"
#include "instant.h"
#include "target.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { META_MAX = 1024, TAG_VALUE_MAX = 128, YEAR_S = 366 * 86400 };

static const int64_t year_ms = (int64_t)YEAR_S * 1000;

static const char *const durability_names[] = {"memory", "written", "synced", NULL};

const struct drv_option task_option_list[] = {
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help = "the queue, \"default\" if none is said"},
    {.name = "priority",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "higher first, -128 to 127",
     .min = -128,
     .max = 127},
    {.name = "delay",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "do not start before"},
    {.name = "not-before",
     .kind = DRV_OPTION_STRING,
     .argument = "INSTANT",
     .help = "the same by the clock of this machine: 2026-11-27T22:00:00Z"},
    {.name = "expire",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "give it up unless it has started by then"},
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long one attempt may run"},
    {.name = "retries",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "further attempts after a failure",
     .min = 0,
     .max = INT32_MAX},
    {.name = "losses",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "attempts that may be lost with their worker (3 if none is said)",
     .min = 0,
     .max = INT32_MAX},
    {.name = "backoff",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "wait before the first retry, doubles (1s if none is said)"},
    {.name = "backoff-max",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "wait no longer than this between attempts (1m if none is said)"},
    {.name = "key",
     .kind = DRV_OPTION_STRING,
     .argument = "KEY",
     .help = "the only active task of its queue with this key: a second one attaches to it"},
    {.name = "key-window",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "the key stays taken for so long after the submit, also when the task has ended"},
    {.name = "after",
     .kind = DRV_OPTION_STRING,
     .argument = "ID",
     .help = "start when this task (or key:NAME) has succeeded; if it does not, end as failed",
     .repeatable = true},
    {.name = "after-any",
     .kind = DRV_OPTION_STRING,
     .argument = "ID",
     .help = "start when this task has ended, in whatever way",
     .repeatable = true},
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "a name for several tasks: to count, list, await and cancel them"},
    {.name = "tag",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "a word about the task",
     .repeatable = true},
    {.name = "fairness-key",
     .kind = DRV_OPTION_STRING,
     .argument = "KEY",
     .help = "tasks of different keys take turns in their queue"},
    {.name = "need",
     .kind = DRV_OPTION_STRING,
     .argument = "NAME=N",
     .help = "what the worker must have free: gpu=1, cpus=2, memory=4G",
     .repeatable = true},
    {.name = "limit",
     .kind = DRV_OPTION_STRING,
     .argument = "WHAT=N",
     .help = "what an attempt may use: memory=1G, cpu=30s, output=1M, processes=10, files=100",
     .repeatable = true},
    {.name = "require",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "a label that the worker must have",
     .repeatable = true},
    {.name = "durability",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "what the task survives",
     .choices = durability_names},
    {.name = "keep",
     .kind = DRV_OPTION_STRING,
     .argument = "TIME|auto",
     .help = "how long the broker keeps the result (auto: an hour, or until it was taken)"},
    {.name = "strict", .kind = DRV_OPTION_FLAG, .help = "refuse a type that no worker offers"},
    {.name = "meta",
     .kind = DRV_OPTION_STRING,
     .argument = "TEXT",
     .help = "up to 1024 bytes that travel with the task"},
    {.name = "busy-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long to try while the broker is at a limit (0: exit 75 at once)"},
};
const size_t task_option_count = DRV_ARRAY_LEN(task_option_list);

/* Splits "NAME=VALUE" at the first '='; the name becomes the options'. */
static int split_pair(struct task_options *options, const char *option, const char *text,
                      const char **out_name, const char **out_value)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL) {
        return cli_say(CLI_USAGE, "--%s: '%s' has no '='", option, text);
    }
    char *name = strndup(text, (size_t)(equals - text));
    if (name == NULL) {
        return cli_no_memory();
    }
    options->names[options->name_count++] = name;
    if (!drover_name_is_valid(name)) {
        return cli_say(CLI_USAGE, "--%s: '%s' does not begin with a name", option, text);
    }
    *out_name = name;
    *out_value = equals + 1;
    return CLI_OK;
}

static int check_count(const struct cli *cli, const char *option, size_t *out_count)
{
    *out_count = drv_options_count(cli->options, option);
    if (*out_count > TASK_OPTION_LIST_MAX) {
        return cli_say(CLI_USAGE, "--%s: more than %d of them", option, TASK_OPTION_LIST_MAX);
    }
    return CLI_OK;
}

static int read_pairs(struct task_options *options, const struct cli *cli, const char *option,
                      drover_pair *out_pairs, size_t *out_count)
{
    int code = check_count(cli, option, out_count);
    for (size_t i = 0; code == CLI_OK && i < *out_count; i++) {
        const char *text = drv_options_at(cli->options, option, i);
        code = split_pair(options, option, text, &out_pairs[i].name, &out_pairs[i].value);
        if (code == CLI_OK && strlen(out_pairs[i].value) > TAG_VALUE_MAX) {
            code = cli_say(CLI_USAGE, "--%s: a value is longer than %d bytes", option,
                           TAG_VALUE_MAX);
        }
    }
    return code;
}

bool task_need_parse(const char *name, const char *text, uint64_t *out_count)
{
    drover_status status = strcmp(name, "memory") == 0 ? drv_size_parse(text, out_count)
                                                       : drv_uint_parse(text, out_count);
    return status == DROVER_OK;
}

static int read_needs(struct task_options *options, const struct cli *cli)
{
    int code = check_count(cli, "need", &options->submit.need_count);
    for (size_t i = 0; code == CLI_OK && i < options->submit.need_count; i++) {
        const char *text = drv_options_at(cli->options, "need", i);
        const char *count = NULL;
        code = split_pair(options, "need", text, &options->needs[i].name, &count);
        if (code == CLI_OK &&
            !task_need_parse(options->needs[i].name, count, &options->needs[i].count)) {
            code = cli_say(CLI_USAGE, "--need: '%s' does not end in a number", text);
        }
    }
    return code;
}

bool task_limit_parse(drover_submit_options *submit, const char *text)
{
    const struct {
        const char *name;
        uint64_t *number;
        drover_status (*parse)(const char *text, uint64_t *out_number);
    } limits[] = {
        {"memory=", &submit->limit_memory_bytes, drv_size_parse},
        {"cpu=", &submit->limit_cpu_ms, drv_duration_parse},
        {"output=", &submit->limit_output_bytes, drv_size_parse},
        {"processes=", &submit->limit_processes, drv_uint_parse},
        {"files=", &submit->limit_files, drv_uint_parse},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(limits); i++) {
        size_t len = strlen(limits[i].name);
        if (strncmp(text, limits[i].name, len) == 0 &&
            limits[i].parse(text + len, limits[i].number) == DROVER_OK) {
            return true;
        }
    }
    return false;
}

static int read_limits(struct task_options *options, const struct cli *cli)
{
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < drv_options_count(cli->options, "limit"); i++) {
        const char *text = drv_options_at(cli->options, "limit", i);
        code = task_limit_parse(&options->submit, text)
                   ? CLI_OK
                   : cli_say(CLI_USAGE,
                             "--limit: '%s' is no limit, such as memory=1G, cpu=30s, "
                             "output=1M, processes=10 or files=100",
                             text);
    }
    return code;
}

/* A key is one of the task's own queue, unless it names another. */
static int read_parents(struct task_options *options, struct cli *cli, const char *option,
                        bool always)
{
    size_t *count = &options->submit.after_count;
    size_t given = drv_options_count(cli->options, option);
    int code = given <= TASK_OPTION_LIST_MAX - *count
                   ? CLI_OK
                   : cli_say(CLI_USAGE, "--%s: more than %d tasks to wait for", option,
                             TASK_OPTION_LIST_MAX);
    for (size_t i = 0; code == CLI_OK && i < given; i++) {
        drover_task_ref task;
        code = target_find_in(cli, drv_options_at(cli->options, option, i),
                              options->submit.queue, &task);
        if (code == CLI_OK) {
            options->after[(*count)++] = (drover_dependency){
                .id = task.id, .index = task.index, .always = always};
        }
    }
    return code;
}

static int read_after(struct task_options *options, struct cli *cli)
{
    int code = read_parents(options, cli, "after", false);
    return code == CLI_OK ? read_parents(options, cli, "after-any", true) : code;
}

static int read_lists(struct task_options *options, struct cli *cli)
{
    drover_submit_options *submit = &options->submit;
    int code = read_pairs(options, cli, "tag", options->tags, &submit->tag_count);
    if (code == CLI_OK) {
        code = read_pairs(options, cli, "require", options->require, &submit->require_count);
    }
    if (code == CLI_OK) {
        code = read_needs(options, cli);
    }
    if (code == CLI_OK) {
        code = read_after(options, cli);
    }
    if (code == CLI_OK) {
        code = read_limits(options, cli);
    }
    submit->tags = options->tags;
    submit->require = options->require;
    submit->needs = options->needs;
    submit->after = options->after;
    return code;
}

static int read_name(const struct cli *cli, const char *option, const char **out_name)
{
    const char *name = drv_options_string(cli->options, option);
    if (name != NULL && !drover_name_is_valid(name)) {
        return cli_say(CLI_USAGE, "--%s: '%s' is no name (letters, digits and . _ : -)", option,
                       name);
    }
    *out_name = name;
    return CLI_OK;
}

static void read_plain(drover_submit_options *submit, const struct drv_options *options)
{
    submit->priority = (int)drv_options_int(options, "priority");
    submit->delay_ms = (uint64_t)drv_options_int(options, "delay");
    submit->expire_ms = (uint64_t)drv_options_int(options, "expire");
    submit->timeout_ms = (uint64_t)drv_options_int(options, "timeout");
    submit->retries = (uint32_t)drv_options_int(options, "retries");
    if (drv_options_is_set(options, "losses")) {
        submit->loss_budget = (int32_t)drv_options_int(options, "losses");
    }
    if (drv_options_is_set(options, "backoff")) {
        submit->backoff_ms = (uint64_t)drv_options_int(options, "backoff");
    }
    if (drv_options_is_set(options, "backoff-max")) {
        submit->backoff_max_ms = (uint64_t)drv_options_int(options, "backoff-max");
    } else if (submit->backoff_max_ms < submit->backoff_ms) {
        submit->backoff_max_ms = submit->backoff_ms;
    } else {
        /* the usual bound */
    }
    submit->key = drv_options_string(options, "key");
    submit->key_window_ms = (uint64_t)drv_options_int(options, "key-window");
    submit->fairness = drv_options_string(options, "fairness-key");
    submit->strict = drv_options_flag(options, "strict");
    submit->durability = (drover_durability)(drv_options_choice(options, "durability") + 1);
    submit->meta = drv_options_string(options, "meta");
    submit->meta_len = submit->meta != NULL ? strlen(submit->meta) : 0;
}

/* The wall clock is asked once, here: the broker gets a delay. */
bool task_delay_until(const char *text, uint64_t *out_delay_ms)
{
    int64_t at_ms;
    struct timespec now;
    if (!instant_parse(text, &at_ms)) {
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    *out_delay_ms = at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0;
    return true;
}

static int read_not_before(const struct cli *cli, drover_submit_options *submit)
{
    const char *text = drv_options_string(cli->options, "not-before");
    if (text == NULL) {
        return CLI_OK;
    }
    if (drv_options_is_set(cli->options, "delay")) {
        return cli_say(CLI_USAGE, "say either --delay or --not-before");
    }
    if (!task_delay_until(text, &submit->delay_ms)) {
        return cli_say(CLI_USAGE,
                       "--not-before: '%s' is no instant, such as 2026-11-27T22:00:00Z or "
                       "2026-11-27T23:00:00+01:00",
                       text);
    }
    return CLI_OK;
}

bool task_keep_parse(const char *text, int64_t *out_keep_ms)
{
    uint64_t keep_ms;
    if (strcmp(text, "auto") == 0) {
        *out_keep_ms = -1;
        return true;
    }
    if (drv_duration_parse(text, &keep_ms) != DROVER_OK || keep_ms > INT64_MAX) {
        return false;
    }
    *out_keep_ms = (int64_t)keep_ms;
    return true;
}

static int read_keep(const struct cli *cli, drover_submit_options *submit)
{
    const char *text = drv_options_string(cli->options, "keep");
    return text == NULL || task_keep_parse(text, &submit->keep_ms)
               ? CLI_OK
               : cli_say(CLI_USAGE, "--keep: '%s' is no time, such as 7d, nor auto", text);
}

static int check_key(const drover_submit_options *submit)
{
    if (submit->key != NULL && submit->key[0] == '\0') {
        return cli_say(CLI_USAGE, "--key: it is empty");
    }
    if (submit->key == NULL && submit->key_window_ms > 0) {
        return cli_say(CLI_USAGE, "--key-window: the window of which key? Say --key");
    }
    return CLI_OK;
}

int task_options_init(struct task_options *options, struct cli *cli, int64_t busy_ms)
{
    memset(options, 0, sizeof(*options));
    options->submit = (drover_submit_options)DROVER_SUBMIT_OPTIONS_INIT;
    drover_submit_options *submit = &options->submit;
    read_plain(submit, cli->options);
    if (submit->meta_len > META_MAX) {
        return cli_say(CLI_USAGE, "--meta: longer than %d bytes", META_MAX);
    }
    submit->wait_ms = drv_options_is_set(cli->options, "busy-timeout")
                          ? drv_options_int(cli->options, "busy-timeout")
                          : busy_ms;
    if (submit->wait_ms > year_ms) {
        return cli_say(CLI_USAGE, "--busy-timeout: more than a year");
    }
    if (submit->wait_ms > 0) {
        submit->ack_timeout_ms += submit->wait_ms;
    }
    int code = check_key(submit);
    if (code == CLI_OK) {
        code = read_keep(cli, submit);
    }
    if (code == CLI_OK) {
        code = read_not_before(cli, submit);
    }
    if (code == CLI_OK) {
        code = read_name(cli, "queue", &submit->queue);
    }
    if (code == CLI_OK) {
        code = read_name(cli, "group", &submit->group);
    }
    return code == CLI_OK ? read_lists(options, cli) : code;
}

void task_options_fini(struct task_options *options)
{
    for (size_t i = 0; i < options->name_count; i++) {
        free(options->names[i]);
    }
    options->name_count = 0;
}

int task_type_check(const char *type)
{
    if (!drover_name_is_valid(type)) {
        return cli_say(CLI_USAGE, "'%s' is no type (letters, digits and . _ : -, up to 128)",
                       type);
    }
    return CLI_OK;
}

void task_warn_unoffered(const struct cli *cli, const drover_id *id, const char *type)
{
    char reason[32];
    char offered[1024];
    drover_value *why = NULL;
    drover_status status = drover_task_why(cli->client, id, DROVER_INDEX_NONE, CLI_ASK_MS,
                                           &why);
    if (status == DROVER_OK &&
        strcmp(doc_text(why, "reason", reason, sizeof(reason)), "no_type") == 0) {
        (void)doc_join(why, "offered", offered, sizeof(offered));
        (void)fprintf(stderr, "drover: warning: no worker offers '%s', so it waits; %s%s\n",
                      type, offered[0] != '\0' ? "offered: " : "nothing is offered", offered);
    }
    drover_value_destroy(&why);
}
