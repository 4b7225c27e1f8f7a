/* cmd_result.c: result. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "elements.h"
#include "print.h"
#include "stream.h"
#include "target.h"

#include <stdlib.h>

enum { CHAIN_MAX = 1000 };

static const struct drv_option options[] = {
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long to wait for the end (0: only ask), then exit 124"},
    {.name = "latest",
     .kind = DRV_OPTION_FLAG,
     .help = "of a task that was retried, the result of its last retry"},
    {.name = "raw", .kind = DRV_OPTION_FLAG, .help = "print text and binary as bytes"},
};

static int unknown(const drover_task_ref *task, drover_status status, const struct cli *cli)
{
    char text[TARGET_TEXT_MAX];
    target_format(&task->id, task->index, text);
    if (status == DROVER_UNKNOWN) {
        return cli_say(CLI_FAILED, "%s: no such task, or it is forgotten", text);
    }
    if (status == DROVER_TIMEOUT) {
        return cli_say(CLI_TIMEOUT, "%s has not ended yet", text);
    }
    return cli_failed(cli, status, text);
}

static int print_plain(const struct cli *cli, const drover_outcome *outcome)
{
    struct json_out json;
    bool succeeded = drover_outcome_status(outcome) == DROVER_OK;
    int code = succeeded ? CLI_OK : print_outcome_error(outcome);
    if (cli->json) {
        json_begin(&json);
        print_outcome_json(&json, outcome);
        return cli_worse(code, json_print(&json));
    }
    return succeeded ? print_value(drover_outcome_value(outcome),
                                   drv_options_flag(cli->options, "raw"))
                     : code;
}

static int emit(void *context, const drover_outcome *outcome)
{
    struct elements *elements = context;
    return elements_print(elements, outcome);
}

static int result_of_array(struct cli *cli, const drover_task_ref *task,
                           struct deadline deadline)
{
    drover_map *map = NULL;
    struct elements elements = {.json = cli->json};
    struct stream stream = {.what = "result",
                            .context = &elements,
                            .timeout_ms = deadline_left(deadline),
                            .emit = emit};
    drover_status status = drover_map_attach(cli->client, &task->id, CLI_ASK_MS, &map);
    if (status != DROVER_OK) {
        return unknown(task, status, cli);
    }
    int code = stream_read(cli, &stream, &map);
    return code == CLI_OK && elements.failed > 0
               ? cli_say(CLI_FAILED, "%llu elements did not succeed",
                         (unsigned long long)elements.failed)
               : code;
}

static int result_of_task(struct cli *cli, const drover_task_ref *task,
                          struct deadline deadline)
{
    drover_outcome *outcome = NULL;
    drover_status status = drover_result(cli->client, &task->id, task->index,
                                         deadline_left(deadline), &outcome);
    if (status != DROVER_OK) {
        return unknown(task, status, cli);
    }
    int code = print_plain(cli, outcome);
    drover_outcome_destroy(&outcome);
    return code;
}

/* Follows the retries; *task becomes the last one. */
static int follow(struct cli *cli, drover_task_ref *task)
{
    char id[DROVER_ID_TEXT_LEN + 2];
    for (size_t i = 0; i < CHAIN_MAX; i++) {
        drover_value *document = NULL;
        drover_status status = drover_task_show(cli->client, &task->id, task->index, CLI_ASK_MS,
                                                &document);
        if (status != DROVER_OK) {
            return unknown(task, status, cli);
        }
        (void)doc_text(document, "retried_as", id, sizeof(id));
        drover_value_destroy(&document);
        if (drover_id_parse(id, &task->id) != DROVER_OK) {
            return CLI_OK;
        }
        task->index = DROVER_INDEX_NONE;
    }
    return cli_say(CLI_FAILED, "more than %d retries in a row", CHAIN_MAX);
}

static bool is_array(struct cli *cli, const drover_task_ref *task)
{
    drover_value *document = NULL;
    bool found = false;
    if (task->index == DROVER_INDEX_NONE &&
        drover_task_show(cli->client, &task->id, task->index, CLI_ASK_MS, &document) ==
            DROVER_OK) {
        found = doc_has(document, "count");
    }
    drover_value_destroy(&document);
    return found;
}

static int print_one(struct cli *cli, drover_task_ref task, struct deadline deadline)
{
    if (drv_options_flag(cli->options, "latest")) {
        int code = follow(cli, &task);
        if (code != CLI_OK) {
            return code;
        }
    }
    return is_array(cli, &task) ? result_of_array(cli, &task, deadline)
                                : result_of_task(cli, &task, deadline);
}

static int run(struct cli *cli)
{
    drover_task_ref *tasks = NULL;
    size_t count = 0;
    int code = target_operands(cli, 0, &tasks, &count);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    struct deadline deadline = deadline_in(cli_duration(cli, "timeout"));
    int worst = code;
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        worst = cli_worse(worst, print_one(cli, tasks[i], deadline));
    }
    free(tasks);
    return worst;
}

const struct cli_command cmd_result = {
    .name = "result",
    .summary = "print the results of tasks, waiting for them",
    .usage = "ID|ID.N... [--latest] [--timeout TIME] [--raw]",
    .about =
        "Waits for the end of each task and prints its result as JSON, or the bytes of a\n"
        "result that has a content type of its own. An array prints a line per element, as\n"
        "map does. A task that did not succeed is told on stderr and exits with 1.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = run,
};
