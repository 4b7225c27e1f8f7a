/* cmd_submit.c: submit. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "endpoint.h"
#include "input.h"
#include "print.h"
#include "target.h"
#include "task_meter.h"
#include "task_options.h"

static const struct drv_option options[] = {
    {.name = "wait", .kind = DRV_OPTION_FLAG, .help = "wait for the end and print the result"},
    {.name = "wait-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop waiting after TIME, exit 124; the task goes on"},
    INPUT_PAYLOAD_OPTIONS,
};

/* Whoever has the key was submitted before: that is the task. */
static void tell_attached(const drover_submit_options *submit_options, const drover_id *id)
{
    char text[TARGET_TEXT_MAX];
    target_format(id, DROVER_INDEX_NONE, text);
    (void)cli_say(CLI_OK, "attached to %s: that task has the key '%s' already", text,
                  submit_options->key);
}

static int print_id(const struct cli *cli, const drover_id *id, bool attached)
{
    char text[TARGET_TEXT_MAX];
    struct json_out json;
    target_format(id, DROVER_INDEX_NONE, text);
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "id", text);
        if (attached) {
            json_key_bool(&json, "attached", true);
        }
        return json_print(&json);
    }
    (void)puts(text);
    return CLI_OK;
}

/* Waits for the end, and shows meanwhile how far it is. */
static drover_status await(const struct cli *cli, drover_future *future,
                           const drover_outcome **out_outcome)
{
    struct deadline deadline = deadline_in(cli_duration(cli, "wait-timeout"));
    drover_task_ref task = {drover_future_id(future), DROVER_INDEX_NONE};
    struct task_meter meter;
    drover_status status;
    task_meter_open(&meter);
    for (;;) {
        int64_t left_ms = deadline_left(deadline);
        int64_t slice_ms = task_meter_slice(&meter, left_ms);
        status = drover_future_outcome(future, slice_ms, out_outcome);
        if (status != DROVER_TIMEOUT || slice_ms == left_ms) {
            break;
        }
        task_meter_update(&meter, cli, &task);
    }
    task_meter_hide(&meter);
    return status;
}

/* Submit and watch in one: the result is released once it came, and a restart is told as
 * `lost`. */
static int submit_and_wait(struct cli *cli, const char *type, const drover_value *payload,
                           const drover_submit_options *submit_options)
{
    char text[TARGET_TEXT_MAX];
    char what[TARGET_TEXT_MAX + 32];
    drover_future *future = NULL;
    const drover_outcome *outcome = NULL;
    drover_status status = drover_submit_future(cli->client, type, payload, submit_options,
                                                &future);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "submit");
    }
    drover_id id = drover_future_id(future);
    task_warn_unoffered(cli, &id, type);
    status = await(cli, future, &outcome);
    id = drover_future_id(future);
    if (drover_future_is_attached(future)) {
        tell_attached(submit_options, &id);
    }
    target_format(&id, DROVER_INDEX_NONE, text);
    (void)snprintf(what, sizeof(what), "task %s has not ended", text);
    int code = CLI_OK;
    if (status == DROVER_OK) {
        code = print_outcome(cli, outcome, false);
    } else {
        code = cli_failed(cli, status, status == DROVER_TIMEOUT ? what : "submit");
    }
    drover_future_destroy(&future);
    return code;
}

static int submit(struct cli *cli, const char *type, const drover_value *payload,
                  const drover_submit_options *submit_options)
{
    drover_id id;
    int code = cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    if (drv_options_flag(cli->options, "wait")) {
        return submit_and_wait(cli, type, payload, submit_options);
    }
    drover_submit_options named = *submit_options;
    drover_id own;
    drover_status status = drover_id_new(&own);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "submit");
    }
    named.id = &own;
    status = drover_submit(cli->client, type, payload, &named, &id);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "submit");
    }
    bool attached = !drover_id_equal(&own, &id);
    if (attached) {
        tell_attached(submit_options, &id);
    }
    task_warn_unoffered(cli, &id, type);
    return print_id(cli, &id, attached);
}

static int run(struct cli *cli)
{
    struct task_options task;
    drover_value *payload = NULL;
    const char *type = cli_operand(cli, 0);
    if (endpoint_ends_with_command(cli) && !drv_options_flag(cli->options, "wait")) {
        return cli_say(CLI_USAGE, "submit: a private pool ends with this command, and the task "
                                  "with it: say --wait");
    }
    int code = task_options_init(&task, cli, TASK_BUSY_MS);
    if (code == CLI_OK) {
        code = task_type_check(type);
    }
    if (code == CLI_OK) {
        code = input_payload(cli, cli_operand(cli, 1), &payload);
    }
    if (code == CLI_OK) {
        code = submit(cli, type, payload, &task.submit);
    }
    drover_value_destroy(&payload);
    task_options_fini(&task);
    return code;
}

const struct cli_command cmd_submit = {
    .name = "submit",
    .summary = "send a task, print its id",
    .usage = "TYPE [JSON|-|--file FILE|--raw FILE] [--wait] [OPTION...]",
    .about =
        "Sends a task of the given type; its payload is JSON, from stdin with -, or bytes;\n"
        "nothing: null. Prints the task's id. With --wait it prints the result instead, as\n"
        "JSON, or the bytes of a result that has a content type of its own; a task that\n"
        "does not succeed is told on stderr and exits with 1.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .submits = true,
    .operand_min = 1,
    .operand_max = 2,
    .first = CLI_WORD_TYPE,
    .run = run,
};
