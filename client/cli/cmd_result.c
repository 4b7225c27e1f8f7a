/* cmd_result.c: result. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "elements.h"
#include "print.h"
#include "stream.h"
#include "target.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CHAIN_MAX = 64 }; /* retries of retries that --latest follows */

static const struct drv_option options[] = {
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long to wait for the end (0: only ask), then exit 124"},
    {.name = "latest",
     .kind = DRV_OPTION_FLAG,
     .help = "of a task that was retried, the result of its last retry"},
    {.name = "raw", .kind = DRV_OPTION_FLAG, .help = "print text and binary as bytes"},
    TARGET_QUEUE_OPTION,
};

static int unknown(const drover_task_ref *task, drover_status status, const struct cli *cli)
{
    char text[TARGET_TEXT_MAX];
    target_format(&task->id, task->index, text);
    if (status == DROVER_UNKNOWN) {
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                              "%s: no such task, or it is forgotten", text);
    }
    if (status == DROVER_TIMEOUT) {
        return cli_say(CLI_TIMEOUT, "%s has not ended yet", text);
    }
    return cli_failed(cli, status, text);
}

/* ---- arrays ------------------------------------------------------------------------------ */

/*
 * An array and, with --latest, its retries: each has the elements of the one before that did
 * not succeed, in their order.
 */
struct chain {
    struct elements elements;
    drover_map *retries[CHAIN_MAX]; /* owned */
    size_t count;
    size_t at;            /* 0: the array itself, else retries[at - 1] is asked next */
    drover_outcome *held; /* owned; what is printed when no retry has the element */
};

static int emit(void *context, const drover_outcome *outcome)
{
    struct chain *chain = context;
    return elements_print(&chain->elements, outcome);
}

/* The element's last outcome. */
static drover_status next_latest(void *context, drover_map *map, int64_t timeout_ms,
                                 drover_outcome **out_outcome)
{
    struct chain *chain = context;
    for (;;) {
        drover_outcome *outcome = NULL;
        drover_status status = drover_map_next(
            chain->at == 0 ? map : chain->retries[chain->at - 1], timeout_ms, &outcome);
        if (status == DROVER_OK) {
            drover_outcome_destroy(&chain->held);
            chain->held = outcome;
        } else if (status != DROVER_UNKNOWN || chain->at == 0) {
            return status;
        } else {
            chain->at = chain->count; /* there are no more in that one */
        }
        if (drover_outcome_status(chain->held) == DROVER_OK || chain->at == chain->count) {
            *out_outcome = chain->held;
            chain->held = NULL;
            chain->at = 0;
            return DROVER_OK;
        }
        chain->at++;
    }
}

/* The task that this one was retried as. UNKNOWN: none. */
static drover_status find_retry(const struct cli *cli, drover_task_ref *task)
{
    char id[DROVER_ID_TEXT_LEN + 2];
    drover_value *document = NULL;
    drover_status status = drover_task_show(cli->client, &task->id, task->index, CLI_ASK_MS,
                                            &document);
    if (status == DROVER_OK) {
        (void)doc_text(document, "retried_as", id, sizeof(id));
        status = drover_id_parse(id, &task->id) == DROVER_OK ? DROVER_OK : DROVER_UNKNOWN;
        task->index = status == DROVER_OK ? DROVER_INDEX_NONE : task->index;
    }
    drover_value_destroy(&document);
    return status;
}

static drover_status open_retries(const struct cli *cli, drover_task_ref task,
                                  struct chain *chain)
{
    drover_status status = find_retry(cli, &task);
    while (status == DROVER_OK && chain->count < CHAIN_MAX) {
        status = drover_map_attach(cli->client, &task.id, CLI_ASK_MS,
                                   &chain->retries[chain->count]);
        if (status == DROVER_OK) {
            chain->count++;
            status = find_retry(cli, &task);
        }
    }
    return status == DROVER_UNKNOWN ? DROVER_OK : status;
}

static int result_of_array(struct cli *cli, const drover_task_ref *task,
                           struct deadline deadline)
{
    drover_map *map = NULL;
    struct chain chain = {.elements = {.json = cli->json}};
    struct stream stream = {.what = "result",
                            .context = &chain,
                            .next = next_latest,
                            .timeout_ms = deadline_left(deadline),
                            .emit = emit};
    drover_status status = drover_map_attach(cli->client, &task->id, CLI_ASK_MS, &map);
    if (status == DROVER_OK && drv_options_flag(cli->options, "latest")) {
        status = open_retries(cli, *task, &chain);
    }
    int code = status == DROVER_OK ? stream_read(cli, &stream, &map)
                                   : unknown(task, status, cli);
    for (size_t i = 0; i < chain.count; i++) {
        drover_map_close(&chain.retries[i]);
    }
    drover_map_close(&map);
    drover_outcome_destroy(&chain.held);
    return code == CLI_OK && chain.elements.failed > 0
               ? cli_say(CLI_FAILED, "%" PRIu64 " elements did not succeed",
                         chain.elements.failed)
               : code;
}

/* ---- tasks ------------------------------------------------------------------------------- */

static int result_of_task(struct cli *cli, const drover_task_ref *task,
                          struct deadline deadline)
{
    drover_outcome *outcome = NULL;
    drover_status status = drover_result(cli->client, &task->id, task->index,
                                         deadline_left(deadline), &outcome);
    if (status != DROVER_OK) {
        return unknown(task, status, cli);
    }
    int code = print_outcome(cli, outcome, drv_options_flag(cli->options, "raw"));
    drover_outcome_destroy(&outcome);
    return code;
}

/* Follows the retries; *task becomes the last one. */
static int follow(struct cli *cli, drover_task_ref *task)
{
    drover_status status = find_retry(cli, task);
    for (size_t i = 0; status == DROVER_OK && i < CHAIN_MAX; i++) {
        status = find_retry(cli, task);
    }
    return status == DROVER_UNKNOWN ? CLI_OK : unknown(task, status, cli);
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
    int code = CLI_OK;
    if (!is_array(cli, &task) && drv_options_flag(cli->options, "latest")) {
        code = follow(cli, &task);
    }
    if (code != CLI_OK) {
        return code;
    }
    /* An element may have been retried as an array of one. */
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
    .usage = "ID|ID.N|key:NAME... [--latest] [--timeout TIME] [--raw]",
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
