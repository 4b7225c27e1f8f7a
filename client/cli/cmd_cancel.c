/* cmd_cancel.c: cancel, retry, forget. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "print.h"
#include "target.h"
#include "tasks.h"

#include <stdlib.h>

/* What one of the commands does with each task. */
typedef int (*each_fn)(struct cli *cli, const drover_task_ref *task, struct deadline deadline);

static int for_each(struct cli *cli, each_fn each, int64_t timeout_ms)
{
    drover_task_ref *tasks = NULL;
    size_t count = 0;
    int code = target_operands(cli, 0, &tasks, &count);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    int worst = code;
    if (code == CLI_OK) {
        struct deadline deadline = deadline_in(timeout_ms);
        for (size_t i = 0; i < count; i++) {
            worst = cli_worse(worst, each(cli, &tasks[i], deadline));
        }
    }
    free(tasks);
    return worst;
}

static int print_pair(const struct cli *cli, const char *task, const char *key,
                      const char *value)
{
    struct json_out json;
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "task", task);
        json_key_text(&json, key, value);
        return json_print(&json);
    }
    (void)printf("%s %s\n", task, value);
    return CLI_OK;
}

static int refused(const struct cli *cli, const drover_task_ref *task, drover_status status)
{
    char text[TARGET_TEXT_MAX];
    target_format(&task->id, task->index, text);
    if (status == DROVER_UNKNOWN) {
        return cli_say(CLI_FAILED, "%s: no such task, or it is forgotten", text);
    }
    if (status == DROVER_NOT_READY) {
        return cli_say(CLI_FAILED, "%s has not ended yet", text);
    }
    if (status == DROVER_CONFLICT) {
        return cli_say(CLI_FAILED, "%s has succeeded, there is nothing to retry", text);
    }
    return cli_failed(cli, status, text);
}

/* ---- cancel ------------------------------------------------------------------------------ */

static const struct drv_option cancel_options[] = {
    {.name = "no-wait",
     .kind = DRV_OPTION_FLAG,
     .help = "do not wait until what runs has been stopped"},
    {.name = "reason",
     .kind = DRV_OPTION_STRING,
     .argument = "TEXT",
     .help = "shown to people with the task"},
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop waiting after TIME, exit 124; the cancel stands"},
};

static int cancel_one(struct cli *cli, const drover_task_ref *task, struct deadline deadline)
{
    char text[TARGET_TEXT_MAX];
    drover_state state = DROVER_STATE_CANCELLED;
    const char *reason = drv_options_string(cli->options, "reason");
    bool no_wait = drv_options_flag(cli->options, "no-wait");
    drover_status status = no_wait ? drover_cancel_request(cli->client, &task->id, task->index,
                                                           reason, CLI_ASK_MS)
                                   : drover_cancel(cli->client, &task->id, task->index, reason,
                                                   deadline_left(deadline), &state);
    if (status != DROVER_OK) {
        return refused(cli, task, status);
    }
    target_format(&task->id, task->index, text);
    return print_pair(cli, text, "state", no_wait ? "cancelling" : drover_state_name(state));
}

static int cancel(struct cli *cli)
{
    return for_each(cli, cancel_one, cli_duration(cli, "timeout"));
}

const struct cli_command cmd_cancel = {
    .name = "cancel",
    .summary = "cancel tasks and arrays, wait until nothing of them runs",
    .usage = "ID|ID.N... [--no-wait] [--reason TEXT] [--timeout TIME]",
    .about = "Prints each task and the state in which it ended, which is another one than\n"
             "cancelled when it was faster.",
    .options = cancel_options,
    .option_count = DRV_ARRAY_LEN(cancel_options),
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = cancel,
};

/* ---- retry ------------------------------------------------------------------------------- */

static const struct drv_option retry_options[] = {
    {.name = "failed", .kind = DRV_OPTION_FLAG, .help = "every task that has failed"},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help = "with --failed: of this queue only"},
};

static int retry_one(struct cli *cli, const drover_task_ref *task, struct deadline deadline)
{
    char text[TARGET_TEXT_MAX];
    char new_text[TARGET_TEXT_MAX];
    drover_id id;
    (void)deadline;
    drover_status status = drover_retry(cli->client, &task->id, task->index, CLI_ASK_MS, &id);
    if (status != DROVER_OK) {
        return refused(cli, task, status);
    }
    target_format(&task->id, task->index, text);
    target_format(&id, DROVER_INDEX_NONE, new_text);
    return print_pair(cli, text, "retried_as", new_text);
}

static int retry_row(void *context, const drover_value *row)
{
    struct cli *cli = context;
    drover_task_ref task;
    return doc_task(row, &task) ? retry_one(cli, &task, deadline_in(DROVER_FOREVER)) : CLI_OK;
}

static int retry_failed(struct cli *cli)
{
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    filter.queue = drv_options_string(cli->options, "queue");
    filter.states = 1U << DROVER_STATE_FAILED;
    int code = cli_connect(cli);
    return code == CLI_OK ? tasks_walk(cli, &filter, UINT64_MAX, retry_row, cli) : code;
}

static int retry(struct cli *cli)
{
    bool failed = drv_options_flag(cli->options, "failed");
    if (failed == (cli_operand_count(cli) > 0)) {
        return cli_say(CLI_USAGE, "retry: say either tasks or --failed");
    }
    return failed ? retry_failed(cli) : for_each(cli, retry_one, DROVER_FOREVER);
}

const struct cli_command cmd_retry = {
    .name = "retry",
    .summary = "submit tasks that did not succeed again",
    .usage = "ID|ID.N...|--failed [--queue QUEUE]",
    .about =
        "Prints each task and the id of the new one. Of an array the elements that did not\n"
        "succeed are retried, as a new array.",
    .options = retry_options,
    .option_count = DRV_ARRAY_LEN(retry_options),
    .operand_max = SIZE_MAX,
    .run = retry,
};

/* ---- forget ------------------------------------------------------------------------------ */

static int forget_one(struct cli *cli, const drover_task_ref *task, struct deadline deadline)
{
    char text[TARGET_TEXT_MAX];
    (void)deadline;
    drover_status status = drover_forget(cli->client, &task->id, task->index, CLI_ASK_MS);
    if (status != DROVER_OK) {
        return refused(cli, task, status);
    }
    target_format(&task->id, task->index, text);
    return print_pair(cli, text, "state", "forgotten");
}

static int forget(struct cli *cli)
{
    return for_each(cli, forget_one, DROVER_FOREVER);
}

const struct cli_command cmd_forget = {
    .name = "forget",
    .summary = "drop ended tasks and their results now",
    .usage = "ID|ID.N...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = forget,
};
