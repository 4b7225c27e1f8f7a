/* cmd_cancel.c: cancel, retry, forget. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "print.h"
#include "target.h"
#include "tasks.h"

#include <drover/graph.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                              "%s: no such task, or it is forgotten", text);
    }
    if (status == DROVER_NOT_READY) {
        return cli_say_status(CLI_FAILED, DROVER_NOT_READY, "%s has not ended yet", text);
    }
    if (status == DROVER_CONFLICT) {
        return cli_say_status(
            CLI_FAILED, DROVER_CONFLICT,
            "%s has succeeded or was retried, there is nothing to retry (or another task has "
            "its key)",
            text);
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
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "everything in the group that has not ended"},
    {.name = "tag",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "every task with this tag that has not ended, of the group if one is said"},
    TARGET_QUEUE_OPTION,
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

struct refs {
    drover_task_ref *items; /* owned */
    size_t count, capacity;
};

static int keep_row(void *context, const drover_value *row)
{
    struct refs *refs = context;
    if (refs->count == refs->capacity) {
        size_t capacity = refs->capacity == 0 ? 256 : refs->capacity * 2;
        drover_task_ref *items = realloc(refs->items, capacity * sizeof(*items));
        if (items == NULL) {
            return cli_no_memory();
        }
        refs->items = items;
        refs->capacity = capacity;
    }
    refs->count += doc_task(row, &refs->items[refs->count]);
    return CLI_OK;
}

/* What has not ended of all that the filter names; of that the rest of the time is waited for.
 */
static int await_rest(struct cli *cli, drover_task_filter *filter, struct deadline deadline)
{
    struct refs refs = {0};
    filter->states = TASKS_ACTIVE;
    int code = tasks_walk(cli, filter, UINT64_MAX, keep_row, &refs);
    if (code == CLI_OK && refs.count > 0) {
        drover_status status = drover_wait_all(cli->client, refs.items, refs.count,
                                               deadline_left(deadline), NULL);
        if (status == DROVER_TIMEOUT) {
            code = cli_say(CLI_TIMEOUT, "cancel: the time is over, not all of it has ended");
        } else if (status != DROVER_OK && status != DROVER_UNKNOWN) {
            code = cli_failed(cli, status, "cancel");
        } else {
            /* ended, or forgotten since */
        }
    }
    free(refs.items);
    return code;
}

static int print_cancelled(const struct cli *cli, const char *group, uint64_t count)
{
    struct json_out json;
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "group", group);
        json_key_int(&json, "cancelled", (int64_t)count);
        return json_print(&json);
    }
    (void)printf("%s: %" PRIu64 " cancelled\n", group, count);
    return CLI_OK;
}

static int group_failed(const struct cli *cli, drover_status status, const char *group)
{
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no group '%s'", group)
               : cli_failed(cli, status, group);
}

static int cancel_group(struct cli *cli, drover_task_filter *filter, struct deadline deadline)
{
    uint64_t count = 0;
    drover_status status = drover_group_cancel(cli->client, filter->group,
                                               drv_options_string(cli->options, "reason"),
                                               CLI_ASK_MS, &count);
    if (status != DROVER_OK) {
        return group_failed(cli, status, filter->group);
    }
    int code = drv_options_flag(cli->options, "no-wait") ? CLI_OK
                                                         : await_rest(cli, filter, deadline);
    return cli_worse(code, print_cancelled(cli, filter->group, count));
}

/* All at once are gone through before the first is cancelled: the list is one of what has not
 * ended. */
static int cancel_tag(struct cli *cli, drover_task_filter *filter, struct deadline deadline)
{
    struct refs refs = {0};
    filter->states = TASKS_ACTIVE;
    int worst = tasks_walk(cli, filter, UINT64_MAX, keep_row, &refs);
    for (size_t i = 0; worst <= CLI_FAILED && i < refs.count; i++) {
        worst = cli_worse(worst, cancel_one(cli, &refs.items[i], deadline));
    }
    free(refs.items);
    return worst;
}

static int cancel_many(struct cli *cli)
{
    struct tasks_label label;
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    int code = tasks_label(cli, &filter, &label);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    struct deadline deadline = deadline_in(cli_duration(cli, "timeout"));
    if (code != CLI_OK) {
        return code;
    }
    return filter.tag != NULL ? cancel_tag(cli, &filter, deadline)
                              : cancel_group(cli, &filter, deadline);
}

static int cancel(struct cli *cli)
{
    bool many = drv_options_is_set(cli->options, "group") ||
                drv_options_is_set(cli->options, "tag");
    if (many == (cli_operand_count(cli) > 0)) {
        return cli_say(CLI_USAGE, "cancel: say either tasks, --group or --tag");
    }
    return many ? cancel_many(cli) : for_each(cli, cancel_one, cli_duration(cli, "timeout"));
}

const struct cli_command cmd_cancel = {
    .name = "cancel",
    .summary = "cancel tasks and arrays, wait until nothing of them runs",
    .usage = "ID|ID.N|key:NAME...|--group GROUP|--tag K=V [--no-wait] [--reason TEXT] "
             "[--timeout TIME]",
    .about =
        "Prints each task and the state in which it ended, which is another one than\n"
        "cancelled when it was faster. --group cancels all of a group at once and prints how\n"
        "many; what comes into it meanwhile is not touched.",
    .options = cancel_options,
    .option_count = DRV_ARRAY_LEN(cancel_options),
    .operand_max = SIZE_MAX,
    .run = cancel,
};

/* ---- retry ------------------------------------------------------------------------------- */

static const struct drv_option retry_options[] = {
    {.name = "failed",
     .kind = DRV_OPTION_FLAG,
     .help = "every task that has failed and was not retried yet"},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help = "with --failed: of this queue only; else the queue of key:NAME"},
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "with --failed: of this group only"},
    {.name = "tag",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "with --failed: with this tag only"},
    {.name = "alone",
     .kind = DRV_OPTION_FLAG,
     .help = "the new task waits for nothing, whatever the old one waited for"},
};

/* Says what came of it. */
static int tell_retry(struct cli *cli, const drover_task_ref *task, drover_status status,
                      const drover_id *id)
{
    char text[TARGET_TEXT_MAX];
    char new_text[TARGET_TEXT_MAX];
    char reason[512];
    target_format(&task->id, task->index, text);
    if (status == DROVER_DEPENDENCY) {
        drover_client_error_text(cli->client, reason, sizeof(reason));
        return cli_say_status(CLI_FAILED, status,
                              "%s: %s (retry that first, or say --alone, which waits for none)",
                              text, reason);
    }
    if (status != DROVER_OK) {
        return refused(cli, task, status);
    }
    target_format(id, DROVER_INDEX_NONE, new_text);
    return print_pair(cli, text, "retried_as", new_text);
}

static drover_status ask_retry(struct cli *cli, const drover_task_ref *task, drover_id *out_id)
{
    return drv_options_flag(cli->options, "alone")
               ? drover_retry_after(cli->client, &task->id, task->index, NULL, 0, CLI_ASK_MS,
                                    out_id)
               : drover_retry(cli->client, &task->id, task->index, CLI_ASK_MS, out_id);
}

static int retry_one(struct cli *cli, const drover_task_ref *task, struct deadline deadline)
{
    drover_id id;
    (void)deadline;
    drover_status status = ask_retry(cli, task, &id);
    return tell_retry(cli, task, status, &id);
}

/* Every failed task that was not retried yet. What waits for another one of them comes after
 * it, in whatever order they are listed: those that were refused for want of one are tried
 * again, as long as that helps.
 */
struct retry_walk {
    struct cli *cli;
    int worst;
    drover_task_ref *left; /* owned */
    size_t count, room;
};

static bool retry_later(struct retry_walk *retry, const drover_task_ref *task)
{
    if (retry->count == retry->room) {
        size_t room = retry->room == 0 ? 64 : retry->room * 2;
        drover_task_ref *left = realloc(retry->left, room * sizeof(*left));
        if (left == NULL) {
            return false;
        }
        retry->left = left;
        retry->room = room;
    }
    retry->left[retry->count++] = *task;
    return true;
}

/* All are listed before the first is retried, so that none that fails again at once is. */
static int retry_row(void *context, const drover_value *row)
{
    struct retry_walk *retry = context;
    drover_task_ref task;
    if (!doc_task(row, &task) || doc_has(row, "retried_as") ||
        (doc_has(row, "retry_left") && doc_int(row, "retry_left") == 0)) {
        return CLI_OK; /* its retry is in the list for itself, if it has failed, too */
    }
    return retry_later(retry, &task) ? CLI_OK : cli_no_memory();
}

/* One round over those that are left. True: some of them are not any more. */
static bool retry_left(struct retry_walk *retry, bool is_last)
{
    size_t before = retry->count;
    retry->count = 0;
    for (size_t i = 0; i < before && retry->worst <= CLI_FAILED; i++) {
        drover_id id;
        drover_task_ref task = retry->left[i];
        drover_status status = ask_retry(retry->cli, &task, &id);
        if (status == DROVER_DEPENDENCY && !is_last) {
            retry->left[retry->count++] = task;
            continue;
        }
        int code = tell_retry(retry->cli, &task, status, &id);
        retry->worst = cli_worse(retry->worst, code);
    }
    return retry->count < before;
}

/* The list of the tasks of no group is empty, too. */
static int check_group(const struct cli *cli, const char *group)
{
    drover_value *document = NULL;
    drover_status status = drover_group_show(cli->client, group, CLI_ASK_MS, &document);
    drover_value_destroy(&document);
    return status == DROVER_OK ? CLI_OK : group_failed(cli, status, group);
}

static int retry_failed(struct cli *cli)
{
    struct tasks_label label;
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    int code = tasks_label(cli, &filter, &label);
    filter.queue = drv_options_string(cli->options, "queue");
    filter.states = 1U << DROVER_STATE_FAILED;
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK && filter.group != NULL) {
        code = check_group(cli, filter.group);
    }
    struct retry_walk walk = {.cli = cli, .worst = CLI_OK};
    if (code == CLI_OK) {
        code = tasks_walk(cli, &filter, UINT64_MAX, retry_row, &walk);
    }
    while (code == CLI_OK && walk.count > 0 && retry_left(&walk, false)) {
    }
    if (code == CLI_OK && walk.count > 0) {
        (void)retry_left(&walk, true);
    }
    free(walk.left);
    return cli_worse(code, walk.worst);
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
    .usage = "ID|ID.N|key:NAME...|--failed [--queue QUEUE] [--group GROUP] [--tag K=V] "
             "[--alone]",
    .about =
        "Prints each task and the id of the new one. Of an array the elements that did not\n"
        "succeed are retried, as a new array, but for those that were retried by themselves;\n"
        "of an array of a graph all of them are.\n"
        "--failed leaves out what was retried before: its last retry counts. An ID that is\n"
        "said is retried again.\n"
        "The new task waits for what the old one waited for, or the retry of that, and reads\n"
        "its results. When one of those is gone or has failed, the retry is refused without\n"
        "--alone. Only with 'graph retry' does a node of a graph keep its place in it.",
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

static const struct drv_option forget_options[] = {TARGET_QUEUE_OPTION};

static int forget(struct cli *cli)
{
    return for_each(cli, forget_one, DROVER_FOREVER);
}

const struct cli_command cmd_forget = {
    .name = "forget",
    .summary = "drop ended tasks and their results now",
    .usage = "ID|ID.N|key:NAME...",
    .options = forget_options,
    .option_count = DRV_ARRAY_LEN(forget_options),
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = forget,
};
