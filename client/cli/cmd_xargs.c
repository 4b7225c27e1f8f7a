/* cmd_xargs.c: xargs. */
#include "command.h"

#include "check.h"
#include "exec.h"
#include "input.h"
#include "print.h"
#include "stream.h"
#include "task_options.h"
#include "template.h"

#include <inttypes.h>
#include <string.h>

enum { WINDOW = 1024 }; /* commands under way when -P does not say */

static const struct drv_option options[] = {
    {.name = "null",
     .letter = '0',
     .kind = DRV_OPTION_FLAG,
     .help = "records end with NUL bytes instead of newlines"},
    {.name = "max-args",
     .letter = 'n',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "records per command",
     .fallback = "1",
     .min = 1,
     .max = 4096},
    {.name = "max-procs",
     .letter = 'P',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "commands under way at once (1024 if none is said)",
     .min = 1,
     .max = 65536},
    {.name = "from",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "read the records from FILE instead of stdin"},
    {.name = "wait-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "cancel what has not ended after TIME, exit 124"},
};

struct xargs {
    const struct cli *cli;
    struct input_records input;
    struct template template;
    uint64_t failed;
    uint64_t number; /* of the last command printed, from 1 */
    int code;        /* what the source has complained about */
};

/* ---- commands in ------------------------------------------------------------------------- */

static int add_record(struct xargs *xargs, const char *record, size_t len)
{
    if (memchr(record, 0, len) != NULL) {
        return cli_say(CLI_USAGE, "%s:%" PRIu64 ": no argument can hold a NUL byte (-0?)",
                       xargs->input.name, xargs->input.number);
    }
    return len == 0 || template_add(&xargs->template, record, len) ? CLI_OK : cli_no_memory();
}

/* Collects the records of the next command. OK, NOT_READY, UNKNOWN at the end, or failed. */
static drover_status collect(struct xargs *xargs)
{
    const char *record = NULL;
    size_t len = 0;
    while (!template_is_full(&xargs->template)) {
        switch (input_records_next(&xargs->input, false, &record, &len, &xargs->code)) {
        case INPUT_RECORD:
            xargs->code = add_record(xargs, record, len);
            if (xargs->code != CLI_OK) {
                return DROVER_INVALID;
            }
            break;
        case INPUT_NOT_READY:
            return DROVER_NOT_READY;
        case INPUT_END:
            return template_is_empty(&xargs->template) ? DROVER_UNKNOWN : DROVER_OK;
        case INPUT_FAILED:
            return DROVER_IO;
        }
    }
    return DROVER_OK;
}

static drover_status next_command(void *context, drover_value **out_item)
{
    struct xargs *xargs = context;
    drover_value *argv = NULL;
    drover_value *input = NULL;
    drover_status status = collect(xargs);
    if (status != DROVER_OK) {
        return status;
    }
    status = template_expand(&xargs->template, &argv);
    if (status == DROVER_OK) {
        status = exec_payload(&argv, &input, out_item);
    }
    if (status != DROVER_OK) {
        xargs->code = cli_say_status(cli_exit_code(status), status, "%s:%" PRIu64 ": %s",
                                     xargs->input.name, xargs->input.number,
                                     drover_status_text(status));
        return DROVER_INVALID;
    }
    return DROVER_OK;
}

/* ---- results out ------------------------------------------------------------------------- */

static int emit_json(const drover_outcome *outcome, const struct exec_result *result)
{
    struct json_out json;
    json_begin(&json);
    json_key_int(&json, "index", drover_outcome_index(outcome));
    json_key_text(&json, "state", drover_state_name(drover_outcome_state(outcome)));
    exec_result_json(result, &json);
    if (drover_outcome_status(outcome) != DROVER_OK) {
        print_error_json(&json, outcome);
    }
    return json_print(&json);
}

static int emit(void *context, const drover_outcome *outcome)
{
    char text[2048];
    struct xargs *xargs = context;
    struct exec_result result;
    exec_result_init(&result, outcome);
    xargs->number++;
    int code = xargs->cli->json ? emit_json(outcome, &result)
                                : exec_result_print(&result, 0, 0);
    if (drover_outcome_status(outcome) != DROVER_OK) {
        xargs->failed++;
        print_error_text(outcome, text, sizeof(text));
        (void)cli_say(CLI_XARGS_FAILED, "xargs: command %" PRIu64 ": %s", xargs->number, text);
    }
    exec_result_fini(&result);
    return code;
}

/* ---- the command ------------------------------------------------------------------------- */

static int run_commands(struct cli *cli, struct xargs *xargs, const char *type,
                        const drover_map_options *map_options)
{
    struct stream stream = {.what = "xargs",
                            .type = type,
                            .source = next_command,
                            .context = xargs,
                            .options = map_options,
                            .source_code = &xargs->code,
                            .timeout_ms = cli_duration(cli, "wait-timeout"),
                            .emit = emit};
    char separator = drv_options_flag(cli->options, "null") ? '\0' : '\n';
    int code = input_records_open(&xargs->input, drv_options_string(cli->options, "from"),
                                  separator);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK) {
        code = stream_run(cli, &stream);
    }
    input_records_close(&xargs->input);
    return code == CLI_OK && xargs->failed > 0 ? CLI_XARGS_FAILED : code;
}

static int prepare_template(const struct cli *cli, struct template *template)
{
    template_init(template, (size_t)drv_options_int(cli->options, "max-args"));
    for (size_t i = 0; i < cli_operand_count(cli); i++) {
        if (!template_word(template, cli_operand(cli, i))) {
            return cli_no_memory();
        }
    }
    if (!template_is_sound(template)) {
        return cli_say(CLI_USAGE, "xargs: with -n over 1, {} must be an argument of its own");
    }
    return CLI_OK;
}

static int run(struct cli *cli)
{
    char type[EXEC_TYPE_MAX];
    struct task_options task;
    struct xargs xargs = {.cli = cli};
    drover_map_options map_options = DROVER_MAP_OPTIONS_INIT;
    int code = task_options_init(&task, cli, DROVER_FOREVER);
    map_options.submit = &task.submit;
    map_options.window = drv_options_is_set(cli->options, "max-procs")
                             ? (uint32_t)drv_options_int(cli->options, "max-procs")
                             : WINDOW;
    cli->program = cli_operand(cli, 0);
    if (code == CLI_OK) {
        code = exec_type(cli->program, type);
    }
    if (code == CLI_OK) {
        code = prepare_template(cli, &xargs.template);
    }
    if (code == CLI_OK) {
        code = run_commands(cli, &xargs, type, &map_options);
    }
    template_fini(&xargs.template);
    task_options_fini(&task);
    return code;
}

const struct cli_command cmd_xargs = {
    .name = "xargs",
    .summary = "run a command on the fleet for each line of input",
    .usage = "[-0] [-n N] [-P N] [--from FILE] [OPTION...] CMD [ARG...]",
    .about = "Runs CMD once per record of the input on workers that allow it (drover-worker\n"
             "--allow-exec CMD). {} in an argument stands for the record; without one it is\n"
             "appended. Empty records are skipped. What the commands wrote to stdout comes in\n"
             "the order of the input, what they wrote to stderr with it. Exit code 123 when a\n"
             "command failed. Ctrl-C cancels what has not ended.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .submits = true,
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .stop_after = 1,
    .first = CLI_WORD_PROGRAM,
    .rest = CLI_WORD_FILE,
    .run = run,
};
