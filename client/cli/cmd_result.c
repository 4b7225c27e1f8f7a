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
 * not succeed, in their order, without those that were retried by themselves before; or all of
 * them, when the array is of a graph.
 */
struct level {
    drover_id id;
    drover_map *map; /* owned; of the first borrowed */
    int64_t count;
    bool has_own;  /* elements that were retried by themselves */
    bool is_whole; /* has all elements of the one before */
};

struct chain {
    const struct cli *cli;
    struct elements elements;
    struct level levels[CHAIN_MAX];
    size_t count;
    size_t at;            /* the level that is asked next */
    drover_outcome *held; /* owned; what is printed when no retry has the element */
    drover_task_ref own;  /* what the element was retried as by itself */
    bool waits_for_own;
};

static int emit(void *context, const drover_outcome *outcome)
{
    struct chain *chain = context;
    return elements_print(&chain->elements, outcome);
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

/* Follows the retries; *task becomes the last one. */
static drover_status find_last(const struct cli *cli, drover_task_ref *task)
{
    drover_status status = find_retry(cli, task);
    for (size_t i = 0; status == DROVER_OK && i < CHAIN_MAX; i++) {
        status = find_retry(cli, task);
    }
    return status == DROVER_UNKNOWN ? DROVER_OK : status;
}

static bool is_array(const struct cli *cli, const drover_task_ref *task)
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

/* Whether the element that is held was retried by itself, and is in no later retry. */
static bool has_own_retry(struct chain *chain)
{
    const struct level *level = &chain->levels[chain->at];
    drover_value *document = NULL;
    bool found = false;
    chain->own = (drover_task_ref){level->id, drover_outcome_index(chain->held)};
    if (level->has_own && drover_task_show(chain->cli->client, &chain->own.id, chain->own.index,
                                           CLI_ASK_MS, &document) == DROVER_OK) {
        found = doc_has(document, "retried_as") &&
                (doc_bool(document, "left_out") || chain->at + 1 == chain->count);
    }
    drover_value_destroy(&document);
    found = found && find_last(chain->cli, &chain->own) == DROVER_OK;
    if (found && is_array(chain->cli, &chain->own)) {
        chain->own.index = 0; /* it shares a value: an array of one */
    }
    return found;
}

/* The end of what the element was retried as; what is forgotten leaves what is held. */
static drover_status take_own(struct chain *chain, int64_t timeout_ms)
{
    drover_outcome *outcome = NULL;
    drover_status status = drover_result(chain->cli->client, &chain->own.id, chain->own.index,
                                         timeout_ms, &outcome);
    if (status == DROVER_OK) {
        drover_outcome_destroy(&chain->held);
        chain->held = outcome;
    }
    return status == DROVER_UNKNOWN ? DROVER_OK : status;
}

static bool goes_on(const struct chain *chain)
{
    return chain->at + 1 < chain->count && (chain->levels[chain->at + 1].is_whole ||
                                            drover_outcome_status(chain->held) != DROVER_OK);
}

/* The element's last outcome. */
static drover_status next_latest(void *context, drover_map *map, int64_t timeout_ms,
                                 drover_outcome **out_outcome)
{
    struct chain *chain = context;
    chain->levels[0].map = map;
    while (!chain->waits_for_own) {
        drover_outcome *outcome = NULL;
        drover_status status = drover_map_next(chain->levels[chain->at].map, timeout_ms,
                                               &outcome);
        if (status != DROVER_OK && (status != DROVER_UNKNOWN || chain->at == 0)) {
            return status;
        }
        if (status == DROVER_OK) {
            drover_outcome_destroy(&chain->held);
            chain->held = outcome;
            chain->waits_for_own = drover_outcome_status(outcome) != DROVER_OK &&
                                   has_own_retry(chain);
        }
        if (chain->waits_for_own || status == DROVER_UNKNOWN || !goes_on(chain)) {
            break;
        }
        chain->at++;
    }
    drover_status status = chain->waits_for_own ? take_own(chain, timeout_ms) : DROVER_OK;
    if (status == DROVER_OK) {
        *out_outcome = chain->held;
        chain->held = NULL;
        chain->at = 0;
        chain->waits_for_own = false;
    }
    return status;
}

/* What the broker says about the last level. */
static drover_status read_level(struct chain *chain)
{
    struct level *level = &chain->levels[chain->count - 1];
    drover_value *document = NULL;
    drover_status status = drover_task_show(chain->cli->client, &level->id, DROVER_INDEX_NONE,
                                            CLI_ASK_MS, &document);
    if (status == DROVER_OK) {
        level->count = doc_int(document, "count");
        level->has_own = doc_has(document, "retry_left");
        level->is_whole = chain->count > 1 && level->count == level[-1].count;
    }
    drover_value_destroy(&document);
    return status;
}

static drover_status open_retries(struct chain *chain)
{
    drover_task_ref task = {chain->levels[0].id, DROVER_INDEX_NONE};
    drover_status status = read_level(chain);
    while (status == DROVER_OK && chain->count < CHAIN_MAX &&
           (status = find_retry(chain->cli, &task)) == DROVER_OK) {
        struct level *level = &chain->levels[chain->count];
        level->id = task.id;
        status = drover_map_attach(chain->cli->client, &task.id, CLI_ASK_MS, &level->map);
        if (status == DROVER_OK) {
            chain->count++;
            status = read_level(chain);
        }
    }
    return status == DROVER_UNKNOWN ? DROVER_OK : status;
}

static int result_of_array(struct cli *cli, const drover_task_ref *task,
                           struct deadline deadline)
{
    drover_map *map = NULL;
    struct chain chain = {
        .cli = cli, .elements = {.json = cli->json}, .levels = {{.id = task->id}}, .count = 1};
    struct stream stream = {.what = "result",
                            .context = &chain,
                            .next = next_latest,
                            .timeout_ms = deadline_left(deadline),
                            .emit = emit};
    drover_status status = drover_map_attach(cli->client, &task->id, CLI_ASK_MS, &map);
    if (status == DROVER_OK && drv_options_flag(cli->options, "latest")) {
        status = open_retries(&chain);
    }
    int code = status == DROVER_OK ? stream_read(cli, &stream, &map)
                                   : unknown(task, status, cli);
    for (size_t i = 1; i < chain.count; i++) {
        drover_map_close(&chain.levels[i].map);
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

static int print_one(struct cli *cli, drover_task_ref task, struct deadline deadline)
{
    int code = CLI_OK;
    if (!is_array(cli, &task) && drv_options_flag(cli->options, "latest")) {
        drover_task_ref last = task;
        drover_status status = find_last(cli, &last);
        code = status == DROVER_OK ? CLI_OK : unknown(&task, status, cli);
        task = last;
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
