/* cmd_wait.c: wait. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "group.h"
#include "print.h"
#include "target.h"
#include "task_meter.h"
#include "tasks.h"

#include <stdlib.h>

enum { ROUND_MAX = 1000 }; /* tasks waited for at a time by --all and the like */

static const struct drv_option options[] = {
    {.name = "all",
     .letter = 'a',
     .kind = DRV_OPTION_FLAG,
     .help = "until no task is active any more"},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help =
         "until the queue has no active task any more; with key:NAME, the queue of the key"},
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "until the group has no active task any more"},
    {.name = "tag",
     .kind = DRV_OPTION_STRING,
     .argument = "K=V",
     .help = "until no task with this tag is active any more"},
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop waiting after TIME, exit 124"},
};

struct round {
    drover_completions *completions;
    size_t count;
};

struct progress {
    struct task_meter meter;
    drover_map_progress ends; /* of several tasks */
};

static int print_end(const struct cli *cli, const drover_outcome *outcome)
{
    char task[TARGET_TEXT_MAX];
    struct json_out json;
    drover_id id = drover_outcome_id(outcome);
    drover_status status = drover_outcome_status(outcome);
    target_format(&id, drover_outcome_index(outcome), task);
    if (status == DROVER_UNKNOWN) {
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                              "%s: no such task, or it is forgotten", task);
    }
    if (status == DROVER_DENIED) {
        return cli_say(CLI_DENIED, "%s: permission denied: the task belongs to another account",
                       task);
    }
    const char *state = drover_state_name(drover_outcome_state(outcome));
    int code = status == DROVER_OK ? CLI_OK : CLI_FAILED;
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "task", task);
        json_key_text(&json, "state", state);
        return cli_worse(code, json_print(&json));
    }
    (void)printf("%s %s\n", task, state);
    return code;
}

/* The next end. Meanwhile a terminal shows how far the one task is, or how many have ended. */
static drover_status next_end(const struct cli *cli, drover_completions *completions,
                              struct deadline deadline, const drover_task_ref *only,
                              struct progress *progress, drover_outcome **out_outcome)
{
    for (;;) {
        int64_t left_ms = deadline_left(deadline);
        int64_t slice_ms = task_meter_slice(&progress->meter, left_ms);
        drover_status status = drover_completions_next(completions, slice_ms, out_outcome);
        if (status != DROVER_TIMEOUT || slice_ms == left_ms) {
            task_meter_hide(&progress->meter);
            return status;
        }
        if (only != NULL) {
            task_meter_update(&progress->meter, cli, only);
        } else {
            progress->ends.ended = progress->ends.total - drover_completions_count(completions);
            meter_update(&progress->meter.meter, &progress->ends);
        }
    }
}

/* Prints the ends as they come; only: the task, if it is one. */
static int wait_round(const struct cli *cli, drover_completions *completions,
                      struct deadline deadline, const drover_task_ref *only)
{
    int worst = CLI_OK;
    struct progress progress = {.ends.total = drover_completions_count(completions)};
    task_meter_open(&progress.meter);
    for (;;) {
        drover_outcome *outcome = NULL;
        drover_status status = next_end(cli, completions, deadline, only, &progress, &outcome);
        if (status == DROVER_UNKNOWN) {
            return worst;
        }
        if (status == DROVER_TIMEOUT) {
            return cli_say(CLI_TIMEOUT, "wait: the time is over, %zu tasks have not ended",
                           drover_completions_count(completions));
        }
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "wait");
        }
        worst = cli_worse(worst, print_end(cli, outcome));
        drover_outcome_destroy(&outcome);
        (void)fflush(stdout);
    }
}

/* ---- tasks by name ----------------------------------------------------------------------- */

static int wait_named(struct cli *cli, const drover_task_ref *tasks, size_t count,
                      struct deadline deadline)
{
    drover_completions *completions = NULL;
    drover_status status = drover_completions_new(cli->client, DROVER_COMPLETIONS_STATES,
                                                  &completions);
    for (size_t i = 0; status == DROVER_OK && i < count; i++) {
        status = drover_completions_add(completions, &tasks[i].id, tasks[i].index);
    }
    int code = status == DROVER_OK
                   ? wait_round(cli, completions, deadline, count == 1 ? tasks : NULL)
                   : cli_failed(cli, status, "wait");
    drover_completions_destroy(&completions);
    return code;
}

/* ---- all that are active ----------------------------------------------------------------- */

static int add_row(void *context, const drover_value *row)
{
    struct round *round = context;
    drover_task_ref task;
    if (!doc_task(row, &task)) {
        return CLI_OK;
    }
    round->count++;
    return drover_completions_add(round->completions, &task.id, task.index) == DROVER_OK
               ? CLI_OK
               : cli_no_memory();
}

/* One page of what is active now, and its end. *out_count 0: nothing is active. */
static int wait_page(struct cli *cli, const drover_task_filter *filter,
                     struct deadline deadline, size_t *out_count)
{
    struct round round = {NULL, 0};
    drover_status status = drover_completions_new(cli->client, DROVER_COMPLETIONS_STATES,
                                                  &round.completions);
    int code = status == DROVER_OK ? tasks_walk(cli, filter, ROUND_MAX, add_row, &round)
                                   : cli_failed(cli, status, "wait");
    if (code == CLI_OK) {
        code = wait_round(cli, round.completions, deadline, NULL);
    }
    drover_completions_destroy(&round.completions);
    *out_count = round.count;
    return code;
}

static int wait_active(struct cli *cli, struct deadline deadline)
{
    size_t count;
    struct tasks_label label;
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    int worst = tasks_label(cli, &filter, &label);
    bool has_tag = drv_options_is_set(cli->options, "tag");
    filter.queue = drv_options_string(cli->options, "queue");
    filter.states = TASKS_ACTIVE;
    if (worst != CLI_OK) {
        return worst;
    }
    bool was_there = false;
    do {
        worst = cli_worse(worst, wait_page(cli, &filter, deadline, &count));
        was_there = was_there || count > 0;
    } while (count > 0 && worst <= CLI_FAILED);
    if (worst == CLI_OK && filter.group != NULL && filter.queue == NULL && !has_tag) {
        worst = group_verdict(cli, filter.group,
                              was_there); /* what had ended before counts as well */
    }
    return worst;
}

/* ---- the command ------------------------------------------------------------------------- */

static int check(const struct cli *cli)
{
    bool has_tasks = cli_operand_count(cli) > 0;
    bool all = drv_options_flag(cli->options, "all") ||
               drv_options_is_set(cli->options, "group") ||
               drv_options_is_set(cli->options, "tag") ||
               (!has_tasks && drv_options_is_set(cli->options, "queue"));
    if (all == has_tasks) {
        return cli_say(CLI_USAGE, "wait: say either tasks, --all, --queue, --group or --tag");
    }
    return CLI_OK;
}

static int run(struct cli *cli)
{
    drover_task_ref *tasks = NULL;
    size_t count = 0;
    int code = check(cli);
    if (code == CLI_OK) {
        code = target_operands(cli, 0, &tasks, &count);
    }
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK) {
        struct deadline deadline = deadline_in(cli_duration(cli, "timeout"));
        code = count > 0 ? wait_named(cli, tasks, count, deadline) : wait_active(cli, deadline);
    }
    free(tasks);
    return code;
}

const struct cli_command cmd_wait = {
    .name = "wait",
    .summary = "wait for the end of tasks",
    .usage = "ID|ID.N|key:NAME...|--all|--queue QUEUE|--group GROUP|--tag K=V [--timeout TIME]",
    .about =
        "Prints each task and its state as it ends. Exit code 1 when one of them did not\n"
        "succeed. --all, --queue, --group and --tag, which may be combined, go on until "
        "nothing\n"
        "is active, new tasks included. With --group alone what had ended before counts as "
        "well.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_max = SIZE_MAX,
    .run = run,
};
