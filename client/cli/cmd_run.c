/* cmd_run.c: run. */
#include "command.h"

#include "check.h"
#include "clock.h"
#include "exec.h"
#include "input.h"
#include "interrupt.h"
#include "live.h"
#include "print.h"
#include "target.h"
#include "task_options.h"

#include <string.h>

enum { WAIT_MS = 200, WARN_AFTER_MS = 500, CANCEL_MS = 10000, LAST_WORDS_MS = 2000 };

static const struct drv_option options[] = {
    {.name = "stdin", .kind = DRV_OPTION_FLAG, .help = "send stdin to the command"},
    {.name = "wait-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "cancel it after TIME, exit 124"},
};

static int build_payload(const struct cli *cli, drover_value *input, drover_value **out_payload)
{
    drover_value *argv = NULL;
    drover_status status = drover_value_array_new(&argv);
    for (size_t i = 0; status == DROVER_OK && i < cli_operand_count(cli); i++) {
        drover_value *word = NULL;
        const char *text = cli_operand(cli, i);
        status = exec_word(text, strlen(text), &word);
        if (status == DROVER_OK) {
            status = drover_value_array_append(argv, &word);
        }
    }
    if (status == DROVER_OK) {
        status = exec_payload(&argv, &input, out_payload);
    }
    drover_value_destroy(&argv);
    drover_value_destroy(&input);
    return status == DROVER_OK ? CLI_OK
                               : cli_say_status(cli_exit_code(status), status, "run: %s",
                                                drover_status_text(status));
}

static int read_stdin(const struct cli *cli, drover_value **out_input)
{
    struct drv_buffer buffer;
    if (!drv_options_flag(cli->options, "stdin")) {
        return CLI_OK;
    }
    drv_buffer_init(&buffer);
    int code = input_read_all("-", INPUT_BYTES_MAX, &buffer);
    if (code == CLI_OK) {
        drover_status status = drover_value_new_binary(buffer.bytes, buffer.len, out_input);
        if (status != DROVER_OK) {
            code = cli_say_status(cli_exit_code(status), status, "stdin: %s",
                                  drover_status_text(status));
        }
    }
    drv_buffer_fini(&buffer);
    return code;
}

/* What a command that ran exits with; else the failure in words. */
static int conclude(const struct cli *cli, const drover_outcome *outcome,
                    const struct live *live)
{
    struct exec_result result;
    uint32_t attempt = drover_outcome_attempt(outcome);
    struct json_out json;
    exec_result_init(&result, outcome);
    int code = CLI_OK;
    if (cli->json) {
        json_begin(&json);
        print_outcome_json(&json, outcome, false);
        exec_result_json(&result, &json);
        code = json_print(&json);
    } else {
        code = exec_result_print(&result, live_printed(live, LIVE_OUT, attempt),
                                 live_printed(live, LIVE_ERR, attempt));
    }
    if (code == CLI_OK) {
        code = result.is_known ? exec_result_code(&result) : print_outcome_error(outcome);
    }
    exec_result_fini(&result);
    return code;
}

/* Cancels it, so that nothing of it runs when this command has ended. */
static int give_up(drover_future *future, int code, const char *reason)
{
    drover_status status = drover_future_cancel(future);
    if (status == DROVER_OK) {
        status = drover_future_wait(future, CANCEL_MS);
    }
    return cli_say(code, "run: %s%s", reason,
                   status == DROVER_OK ? ", the command was cancelled" : "");
}

/* For a moment: prints what comes, or waits for the end. OK: it has ended; TIMEOUT: not yet.
 * *out_code: nothing more can be printed. */
static drover_status wait_a_moment(drover_future *future, struct live *live, int *out_code)
{
    if (live->stream == NULL) {
        return drover_future_wait(future, WAIT_MS);
    }
    *out_code = live_next(live, WAIT_MS);
    /* Its end comes after its output; but who has the result needs no more of that. */
    return drover_future_wait(future, 0);
}

static int wait_for_end(const struct cli *cli, drover_future *future, const char *type,
                        struct live *live, struct interrupt *interrupt)
{
    int64_t timeout_ms = cli_duration(cli, "wait-timeout");
    uint64_t begin_ms = drv_clock_now_ms();
    bool warned = false;
    for (;;) {
        int code = CLI_OK;
        drover_status status = wait_a_moment(future, live, &code);
        uint64_t elapsed_ms = drv_clock_now_ms() - begin_ms;
        if (code != CLI_OK) {
            return give_up(future, code, "nothing more can be printed");
        }
        if (status == DROVER_OK) {
            return CLI_OK;
        }
        if (status != DROVER_TIMEOUT) {
            return cli_failed(cli, status, "run");
        }
        if (interrupt_has_come(interrupt)) {
            return give_up(future, interrupt_exit_code(interrupt), "interrupted");
        }
        if (timeout_ms >= 0 && elapsed_ms >= (uint64_t)timeout_ms) {
            return give_up(future, CLI_TIMEOUT, "the time is over");
        }
        if (!warned && elapsed_ms >= WARN_AFTER_MS) {
            drover_id id = drover_future_id(future);
            warned = true;
            task_warn_unoffered(cli, &id, type);
        }
    }
}

/* A command that left no result has said what it said: the rest of that, soon. */
static void print_last_words(struct live *live, const drover_outcome *outcome)
{
    const drover_value *value = drover_outcome_value(outcome);
    uint64_t until_ms = drv_clock_now_ms() + LAST_WORDS_MS;
    bool has_all = value != NULL && drover_value_get_type(value) == DROVER_VALUE_MAP;
    while (!has_all && live->stream != NULL && drv_clock_now_ms() < until_ms &&
           live_next(live, WAIT_MS) == CLI_OK) {
    }
}

static int follow(struct cli *cli, drover_future *future, const char *type, struct live *live)
{
    const drover_outcome *outcome = NULL;
    struct interrupt interrupt;
    interrupt_open(&interrupt);
    int code = wait_for_end(cli, future, type, live, &interrupt);
    if (code == CLI_OK) {
        drover_status status = drover_future_outcome(future, 0, &outcome);
        code = status == DROVER_OK ? CLI_OK : cli_failed(cli, status, "run");
    }
    if (code == CLI_OK) {
        print_last_words(live, outcome);
        code = conclude(cli, outcome, live);
    }
    interrupt_close(&interrupt);
    return code;
}

static int run_task(struct cli *cli, const char *type, const drover_value *payload,
                    const drover_submit_options *submit)
{
    drover_future *future = NULL;
    struct live live = {.stream = NULL};
    int code = cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_submit_future(cli->client, type, payload, submit, &future);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "run");
    }
    if (!cli->json) {
        drover_id id = drover_future_id(future);
        live_open(&live, cli->client, &id);
    }
    code = follow(cli, future, type, &live);
    live_close(&live);
    drover_future_destroy(&future);
    return code;
}

static int run(struct cli *cli)
{
    char type[EXEC_TYPE_MAX];
    struct task_options task;
    drover_value *input = NULL;
    drover_value *payload = NULL;
    int code = task_options_init(&task, cli, TASK_BUSY_MS);
    cli->program = cli_operand(cli, 0);
    if (code == CLI_OK) {
        code = exec_type(cli->program, type);
    }
    if (code == CLI_OK) {
        code = read_stdin(cli, &input);
    }
    if (code == CLI_OK) {
        code = build_payload(cli, input, &payload);
    }
    if (code == CLI_OK) {
        code = run_task(cli, type, payload, &task.submit);
    }
    drover_value_destroy(&payload);
    task_options_fini(&task);
    return code;
}

const struct cli_command cmd_run = {
    .name = "run",
    .summary = "run a command on the fleet, exit as it does",
    .usage = "[OPTION...] [--] CMD [ARG...]",
    .about =
        "Runs a command on a worker that allows it (drover-worker --allow-exec CMD), in a\n"
        "fresh directory and without a shell. What it writes to stdout and stderr is printed\n"
        "while it runs, and all of it; the exit code is the command's own, 128 + N for signal\n"
        "N.\n"
        "Ctrl-C cancels it.",
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
