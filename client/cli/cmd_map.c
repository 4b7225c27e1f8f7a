/* cmd_map.c: map. */
#include "command.h"

#include "check.h"
#include "elements.h"
#include "input.h"
#include "stream.h"
#include "task_options.h"

#include <inttypes.h>
#include <string.h>

static const struct drv_option options[] = {
    {.name = "with",
     .kind = DRV_OPTION_STRING,
     .argument = "JSON",
     .help = "a value sent once that all elements share"},
    {.name = "batch",
     .letter = 'b',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "at most N elements outstanding, group after group",
     .min = 1,
     .max = 1000000},
    {.name = "wait-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "cancel what has not ended after TIME, exit 124"},
    {.name = "stop-on-error",
     .kind = DRV_OPTION_FLAG,
     .help = "cancel what has not ended when an element did not succeed"},
};

struct map {
    struct input_records input;
    struct elements elements;
    drover_id id; /* of the array, once something of it has ended */
    bool stops;
    int code; /* what the source has complained about */
};

static bool is_blank(const char *line, size_t len)
{
    return strspn(line, " \t\r") == len;
}

/* Item by item from the lines; blank ones are no items. */
static drover_status next_item(void *context, drover_value **out_item)
{
    struct map *map = context;
    const char *line = NULL;
    size_t len = 0;
    char where[512];
    enum input_next next;
    do {
        next = input_records_next(&map->input, false, &line, &len, &map->code);
    } while (next == INPUT_RECORD && is_blank(line, len));
    switch (next) {
    case INPUT_RECORD:
        break;
    case INPUT_NOT_READY:
        return DROVER_NOT_READY;
    case INPUT_END:
        return DROVER_UNKNOWN;
    case INPUT_FAILED:
        return DROVER_IO;
    }
    (void)snprintf(where, sizeof(where), "%s:%" PRIu64, map->input.name, map->input.number);
    map->code = input_json(line, len, where, out_item);
    return map->code == CLI_OK ? DROVER_OK : DROVER_INVALID;
}

static int emit(void *context, const drover_outcome *outcome)
{
    struct map *map = context;
    map->id = drover_outcome_id(outcome);
    int code = elements_print(&map->elements, outcome);
    if (code == CLI_OK && map->stops && map->elements.failed > 0) {
        return cli_say(CLI_FAILED,
                       "map: element %" PRIu32
                       " did not succeed, what has not ended is cancelled",
                       drover_outcome_index(outcome));
    }
    return code;
}

static int read_options(const struct cli *cli, drover_map_options *map_options,
                        drover_value **out_with)
{
    const char *with = drv_options_string(cli->options, "with");
    map_options->batch = (uint32_t)drv_options_int(cli->options, "batch");
    map_options->stop_on_error = drv_options_flag(cli->options, "stop-on-error");
    if (with == NULL) {
        return CLI_OK;
    }
    int code = input_json(with, strlen(with), "--with", out_with);
    map_options->with = *out_with;
    return code;
}

static int run_map(struct cli *cli, const char *type, const drover_map_options *map_options)
{
    struct map map = {.elements = {.json = cli->json}, .stops = map_options->stop_on_error};
    struct stream stream = {.what = "map",
                            .type = type,
                            .source = next_item,
                            .context = &map,
                            .options = map_options,
                            .source_code = &map.code,
                            .timeout_ms = cli_duration(cli, "wait-timeout"),
                            .emit = emit,
                            .stop_reason = map.stops ? "an element did not succeed" : NULL};
    int code = input_records_open(&map.input, cli_operand(cli, 1), '\n');
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK) {
        code = stream_run(cli, &stream);
    }
    input_records_close(&map.input);
    if (code == CLI_OK && map.elements.failed > 0) {
        char array[DROVER_ID_TEXT_LEN + 1];
        drover_id_format(&map.id, array);
        return cli_say(CLI_FAILED, "map: %" PRIu64 " elements did not succeed (of array %s)",
                       map.elements.failed, array);
    }
    return code;
}

static int run(struct cli *cli)
{
    struct task_options task;
    drover_value *with = NULL;
    drover_map_options map_options = DROVER_MAP_OPTIONS_INIT;
    const char *type = cli_operand(cli, 0);
    int code = task_options_init(&task, cli, DROVER_FOREVER);
    map_options.submit = &task.submit;
    if (code == CLI_OK) {
        code = task_type_check(type);
    }
    if (code == CLI_OK) {
        code = read_options(cli, &map_options, &with);
    }
    if (code == CLI_OK) {
        code = run_map(cli, type, &map_options);
    }
    drover_value_destroy(&with);
    task_options_fini(&task);
    return code;
}

const struct cli_command cmd_map = {
    .name = "map",
    .summary = "one task per line of JSON, results in input order",
    .usage = "TYPE [FILE|-] [--with JSON] [--batch N] [--stop-on-error] [OPTION...]",
    .about =
        "Reads one JSON value per line from FILE or stdin, blank lines apart, and prints\n"
        "one result per line in the order of the input, as they come. An element that does\n"
        "not succeed prints {\"error\":{...}} and makes the exit code 1. A malformed line\n"
        "ends the map with FILE:LINE on stderr and exit code 64; like Ctrl-C it cancels\n"
        "what has not ended. Memory does not grow with the input. --stop-on-error ends\n"
        "it within a second of the first element that did not succeed, wherever that stands.\n"
        "An array of which all has succeeded is forgotten with its last line. One with\n"
        "failures stays as long as the broker keeps failed tasks, for show and for retry,\n"
        "which runs again what failed in it. --keep keeps the results, too.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .submits = true,
    .operand_min = 1,
    .operand_max = 2,
    .first = CLI_WORD_TYPE,
    .rest = CLI_WORD_FILE,
    .run = run,
};
