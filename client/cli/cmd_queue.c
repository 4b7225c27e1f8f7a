/* cmd_queue.c: queue ls, pause, resume, purge, set. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"
#include "overview.h"
#include "print.h"
#include "rate.h"
#include "units.h"
#include "watch.h"

#include <inttypes.h>
#include <string.h>

static int check_name(const char *name)
{
    return drover_name_is_valid(name)
               ? CLI_OK
               : cli_say(CLI_USAGE, "'%s' is no queue (letters, digits and . _ : -)", name);
}

static int failed(const struct cli *cli, drover_status status, const char *queue)
{
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no queue '%s'", queue)
               : cli_failed(cli, status, queue);
}

static int print_done(const struct cli *cli, const char *queue, const char *key,
                      const char *value)
{
    struct json_out json;
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "queue", queue);
        json_key_text(&json, key, value);
        return json_print(&json);
    }
    (void)printf("%s %s\n", queue, value);
    return CLI_OK;
}

/* ---- ls ---------------------------------------------------------------------------------- */

/* Starts per second; what is less than one a second, per minute or hour. */
static void rate_limit(struct grid *grid, const drover_value *queue)
{
    double rate = doc_double(queue, "rate");
    char text[48];
    if (rate <= 0) {
        grid_text(grid, "-");
        return;
    }
    const char *unit = rate >= 1 ? "s" : rate * 60 >= 1 ? "m" : "h";
    rate *= rate >= 1 ? 1 : rate * 60 >= 1 ? 60 : 3600;
    (void)snprintf(text, sizeof(text), "%.4g/%s", rate, unit);
    grid_text(grid, text);
}

/* A limit, "-" for none. */
static void limit(struct grid *grid, const drover_value *queue, const char *key, bool bytes)
{
    int64_t number = doc_int(queue, key);
    if (number <= 0) {
        grid_text(grid, "-");
    } else if (bytes) {
        grid_bytes(grid, number);
    } else {
        grid_int(grid, number);
    }
}

static void aging(struct grid *grid, const drover_value *queue)
{
    char text[HUMAN_TEXT_MAX];
    int64_t ms = doc_int(queue, "aging_ms");
    grid_text(grid, ms > 0 ? human_us(ms * 1000, text) : "-");
}

static void place(struct grid *grid, const drover_value *queue)
{
    char text[DOC_TEXT_MAX];
    grid_text(grid, doc_has(queue, "placement")
                        ? doc_text(queue, "placement", text, sizeof text)
                        : "-");
}

static void row(struct grid *grid, const drover_value *queue)
{
    overview_queue_row(grid, queue);
    grid_int(grid, doc_int(queue, "weight"));
    limit(grid, queue, "max_count", false);
    limit(grid, queue, "max_bytes", true);
    rate_limit(grid, queue);
    limit(grid, queue, "concurrency", false);
    limit(grid, queue, "per_key", false);
    aging(grid, queue);
    place(grid, queue);
}

static int print_list(const drover_value *document)
{
    static const struct grid_column columns[] = {{.name = "QUEUE"},
                                                 {.name = "DEPTH", .right = true},
                                                 {.name = "RUNNING", .right = true},
                                                 {.name = "DELAYED", .right = true},
                                                 {.name = "ENDED/S", .right = true},
                                                 {.name = "OLDEST", .right = true},
                                                 {.name = "WAIT P99", .right = true},
                                                 {.name = "RUN P99", .right = true},
                                                 {.name = "STATE"},
                                                 {.name = "WEIGHT", .right = true},
                                                 {.name = "MAX", .right = true},
                                                 {.name = "MAX BYTES", .right = true},
                                                 {.name = "RATE", .right = true},
                                                 {.name = "CONC", .right = true},
                                                 {.name = "PER KEY", .right = true},
                                                 {.name = "AGING", .right = true},
                                                 {.name = "PLACE"}};
    struct grid grid;
    drover_value *queues = doc_get(document, "queues");
    drover_value *item = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    if (queues != NULL) {
        drover_value_iter_init(&iter, queues);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&queues);
    return grid_print(&grid);
}

static int list_once(struct cli *cli)
{
    drover_value *document = NULL;
    drover_status status = drover_queue_list(cli->client, watch_ask_ms(cli), &document);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "queue ls");
    }
    int code = cli->json ? print_document(document) : print_list(document);
    drover_value_destroy(&document);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

static const struct drv_option list_options[] = {WATCH_OPTION};

const struct cli_command cmd_queue_list = {
    .group = "queue",
    .name = "ls",
    .summary = "list the queues",
    .usage = WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 1,
    .run = list,
};

/* ---- pause, resume, purge ---------------------------------------------------------------- */

typedef drover_status (*change_fn)(drover_client *client, const char *queue,
                                   int64_t timeout_ms);

static int change(struct cli *cli, change_fn function, const char *state)
{
    int worst = CLI_OK;
    for (size_t i = 0; worst == CLI_OK && i < cli_operand_count(cli); i++) {
        worst = check_name(cli_operand(cli, i));
    }
    if (worst == CLI_OK) {
        worst = cli_connect(cli);
    }
    if (worst != CLI_OK) {
        return worst;
    }
    for (size_t i = 0; i < cli_operand_count(cli); i++) {
        const char *queue = cli_operand(cli, i);
        drover_status status = function(cli->client, queue, CLI_ASK_MS);
        worst = cli_worse(worst, status == DROVER_OK ? print_done(cli, queue, "state", state)
                                                     : failed(cli, status, queue));
    }
    return worst;
}

static int pause_queue(struct cli *cli)
{
    return change(cli, drover_queue_pause, "paused");
}

static int resume_queue(struct cli *cli)
{
    return change(cli, drover_queue_resume, "open");
}

static int purge_queue(struct cli *cli)
{
    uint64_t count = 0;
    struct json_out json;
    const char *queue = cli_operand(cli, 0);
    int code = check_name(queue);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_queue_purge(cli->client, queue, CLI_ASK_MS, &count);
    if (status != DROVER_OK) {
        return failed(cli, status, queue);
    }
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "queue", queue);
        json_key_uint(&json, "cancelled", count);
        return json_print(&json);
    }
    (void)printf("%s: %" PRIu64 " cancelled\n", queue, count);
    return CLI_OK;
}

const struct cli_command cmd_queue_pause = {
    .group = "queue",
    .name = "pause",
    .summary = "start no tasks of queues, go on taking them",
    .usage = "QUEUE...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_QUEUE,
    .rest = CLI_WORD_QUEUE,
    .run = pause_queue,
};

const struct cli_command cmd_queue_resume = {
    .group = "queue",
    .name = "resume",
    .summary = "end of a pause",
    .usage = "QUEUE...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_QUEUE,
    .rest = CLI_WORD_QUEUE,
    .run = resume_queue,
};

const struct cli_command cmd_queue_purge = {
    .group = "queue",
    .name = "purge",
    .summary = "cancel what waits in a queue, not what runs",
    .usage = "QUEUE",
    .operand_min = 1,
    .operand_max = 1,
    .first = CLI_WORD_QUEUE,
    .run = purge_queue,
};

/* ---- set --------------------------------------------------------------------------------- */

/* In the order of enum drover_durability. */
static const char *const durability_names[] = {"default", "memory", "written", "synced", NULL};

/* In the order of drover_placement. */
static const char *const placement_names[] = {"auto", "spread", "pack", NULL};

static const struct drv_option set_options[] = {
    {.name = "weight",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "share of the workers against other queues",
     .min = 1,
     .max = 1000000},
    {.name = "max-count",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "tasks in it, beyond which submits are busy; 0: no limit",
     .min = 0,
     .max = INT64_MAX},
    {.name = "max-bytes",
     .kind = DRV_OPTION_SIZE,
     .argument = "SIZE",
     .help = "the same in bytes; 0: no limit"},
    {.name = "rate",
     .kind = DRV_OPTION_STRING,
     .argument = "RATE",
     .help = "starts per time: 10/s, 30/m, 100/h; 0: no limit"},
    {.name = "concurrency",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "tasks that workers hold at once; 0: no limit",
     .min = 0,
     .max = INT64_MAX},
    {.name = "per-key",
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "the same per fairness key; 0: no limit",
     .min = 0,
     .max = INT64_MAX},
    {.name = "durability",
     .kind = DRV_OPTION_CHOICE,
     .argument = "LEVEL",
     .help = "of tasks that do not ask for one",
     .choices = durability_names},
    {.name = "aging",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "so much waiting is worth a step of priority; 0s: none is"},
    {.name = "placement",
     .kind = DRV_OPTION_CHOICE,
     .argument = "HOW",
     .help = "of workers that are alike: the least loaded, one of the emptiest host, or one of "
             "the fullest that has a slot free",
     .choices = placement_names},
};

/* ---- NAME=VALUE: the options, written another way ---------------------------------------- */

static int read_number(const char *text, int64_t *out)
{
    uint64_t number = 0;
    if (drv_uint_parse(text, &number) != DROVER_OK || number > INT64_MAX) {
        return cli_say(CLI_USAGE, "'%s' is no number", text);
    }
    *out = (int64_t)number;
    return CLI_OK;
}

static int read_size(const char *text, int64_t *out)
{
    uint64_t bytes = 0;
    if (drv_size_parse(text, &bytes) != DROVER_OK || bytes > INT64_MAX) {
        return cli_say(CLI_USAGE, "'%s' is no size, such as 64M", text);
    }
    *out = (int64_t)bytes;
    return CLI_OK;
}

static int read_rate(const char *text, int64_t *out)
{
    return rate_parse(text, out)
               ? CLI_OK
               : cli_say(CLI_USAGE, "'%s' is no rate, such as 10/s, 30/m or 0", text);
}

static int read_time(const char *text, int64_t *out)
{
    uint64_t ms = 0;
    if (drv_duration_parse(text, &ms) != DROVER_OK || ms > INT64_MAX) {
        return cli_say(CLI_USAGE, "'%s' is no time, such as 30s", text);
    }
    *out = (int64_t)ms;
    return CLI_OK;
}

static int read_name(const char *const *names, const char *text, int64_t *out)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return CLI_OK;
        }
    }
    return cli_say(CLI_USAGE, "'%s' is not to choose from, see drover queue set --help", text);
}

static int read_durability(const char *text, int64_t *out)
{
    return read_name(durability_names, text, out);
}

static int read_placement(const char *text, int64_t *out)
{
    return read_name(placement_names, text, out);
}

static int read_operand(const char *text, drover_queue_settings *out)
{
    const struct {
        const char *name;
        int (*read)(const char *text, int64_t *out);
        int64_t *number;
    } settings[] = {
        {"weight", read_number, &out->weight},
        {"max-count", read_number, &out->max_count},
        {"max-bytes", read_size, &out->max_bytes},
        {"rate", read_rate, &out->rate},
        {"concurrency", read_number, &out->concurrency},
        {"per-key", read_number, &out->per_key},
        {"durability", read_durability, &out->durability},
        {"aging", read_time, &out->aging_ms},
        {"placement", read_placement, &out->placement},
    };
    const char *value = strchr(text, '=');
    size_t len = value == NULL ? strlen(text) : (size_t)(value - text);
    for (size_t i = 0; value != NULL && i < DRV_ARRAY_LEN(settings); i++) {
        if (strlen(settings[i].name) == len && strncmp(settings[i].name, text, len) == 0) {
            return settings[i].read(value + 1, settings[i].number);
        }
    }
    return cli_say(CLI_USAGE, "queue set: '%s' is no setting, see drover queue set --help",
                   text);
}

static int64_t setting(const struct cli *cli, const char *option)
{
    return drv_options_is_set(cli->options, option) ? drv_options_int(cli->options, option)
                                                    : -1;
}

static int read_settings(const struct cli *cli, drover_queue_settings *out)
{
    const char *rate = drv_options_string(cli->options, "rate");
    out->weight = setting(cli, "weight");
    out->max_count = setting(cli, "max-count");
    out->max_bytes = setting(cli, "max-bytes");
    out->concurrency = setting(cli, "concurrency");
    out->per_key = setting(cli, "per-key");
    if (drv_options_is_set(cli->options, "durability")) {
        out->durability = drv_options_choice(cli->options, "durability");
    }
    out->aging_ms = setting(cli, "aging");
    if (drv_options_is_set(cli->options, "placement")) {
        out->placement = drv_options_choice(cli->options, "placement");
    }
    if (rate != NULL && !rate_parse(rate, &out->rate)) {
        return cli_say(CLI_USAGE, "--rate: '%s' is no rate, such as 10/s, 30/m or 0", rate);
    }
    for (size_t i = 1; i < cli_operand_count(cli); i++) {
        int code = read_operand(cli_operand(cli, i), out);
        if (code != CLI_OK) {
            return code;
        }
    }
    if (cli_operand_count(cli) > 1) {
        return CLI_OK;
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(set_options); i++) {
        if (drv_options_is_set(cli->options, set_options[i].name)) {
            return CLI_OK;
        }
    }
    return cli_say(CLI_USAGE, "queue set: nothing to set, see drover queue set --help");
}

static int set(struct cli *cli)
{
    const char *queue = cli_operand(cli, 0);
    drover_queue_settings settings = DROVER_QUEUE_SETTINGS_INIT;
    int code = check_name(queue);
    if (code == CLI_OK) {
        code = read_settings(cli, &settings);
    }
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_queue_set(cli->client, queue, &settings, CLI_ASK_MS);
    return status == DROVER_OK ? print_done(cli, queue, "state", "set")
                               : failed(cli, status, queue);
}

const struct cli_command cmd_queue_set = {
    .group = "queue",
    .name = "set",
    .summary = "weight, limits, durability, aging and placement of a queue",
    .usage =
        "QUEUE [NAME=VALUE...] [--weight N] [--max-count N] [--max-bytes SIZE] "
        "[--rate RATE] [--concurrency N] [--per-key N] [--aging TIME] [--placement HOW] ...",
    .options = set_options,
    .option_count = DRV_ARRAY_LEN(set_options),
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_QUEUE,
    .run = set,
};
