/* cmd_schedule.c: schedule add, ls, show, rm, pause, resume, run. */
#include "command.h"

#include "check.h"
#include "cron.h"
#include "doc.h"
#include "endpoint.h"
#include "grid.h"
#include "human.h"
#include "input.h"
#include "pages.h"
#include "print.h"
#include "target.h"
#include "task_options.h"
#include "watch.h"

#include <string.h>

static int check_name(const char *name)
{
    return drover_name_is_valid(name)
               ? CLI_OK
               : cli_say(CLI_USAGE, "'%s' is no name (letters, digits and . _ : -)", name);
}

static int failed(const struct cli *cli, drover_status status, const char *name)
{
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no schedule '%s'", name)
               : cli_failed(cli, status, name);
}

/* ---- add --------------------------------------------------------------------------------- */

/* In the order of drover_overlap and drover_missed. */
static const char *const overlap_names[] = {"skip", "queue", "replace", "allow", NULL};
static const char *const missed_names[] = {"run", "skip", NULL};

static const struct drv_option add_options[] = {
    {.name = "every",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "run at this interval, from now on, instead of by a cron expression",
     .min = 1000,
     .max = INT64_MAX},
    {.name = "tz",
     .kind = DRV_OPTION_STRING,
     .argument = "ZONE",
     .help = "the time zone of the expression, such as Europe/Berlin (UTC if none is said)"},
    {.name = "overlap",
     .kind = DRV_OPTION_CHOICE,
     .argument = "POLICY",
     .help = "when the run before has not ended",
     .fallback = "skip",
     .choices = overlap_names},
    {.name = "missed",
     .kind = DRV_OPTION_CHOICE,
     .argument = "POLICY",
     .help = "what becomes of the last one missed while the broker was down, by more than 60 s",
     .fallback = "run",
     .choices = missed_names},
    {.name = "late",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "a run that the broker comes to later than this does not run, with any --missed"},
    {.name = "jitter",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "begin each run later by up to this much"},
    {.name = "replace",
     .kind = DRV_OPTION_FLAG,
     .help = "take the place of a schedule with this name"},
    {.name = "paused", .kind = DRV_OPTION_FLAG, .help = "do not run before it is resumed"},
    INPUT_PAYLOAD_OPTIONS,
};

static uint64_t duration(const struct cli *cli, const char *option)
{
    return drv_options_is_set(cli->options, option)
               ? (uint64_t)drv_options_int(cli->options, option)
               : 0;
}

/* NAME CRON TYPE [JSON], or with --every NAME TYPE [JSON]: the operand with the type. */
static int read_times(const struct cli *cli, drover_schedule_plan *plan, size_t *out_type)
{
    struct drv_problem problem = {""};
    struct drv_cron cron;
    plan->every_ms = duration(cli, "every");
    plan->zone = drv_options_string(cli->options, "tz");
    plan->overlap = (drover_overlap)drv_options_choice(cli->options, "overlap");
    plan->missed = (drover_missed)drv_options_choice(cli->options, "missed");
    plan->late_ms = duration(cli, "late");
    plan->jitter_ms = duration(cli, "jitter");
    plan->replace = drv_options_flag(cli->options, "replace");
    plan->paused = drv_options_flag(cli->options, "paused");
    *out_type = plan->every_ms > 0 ? 1 : 2;
    if (plan->every_ms == 0) {
        plan->cron = cli_operand(cli, 1);
    } else if (plan->zone != NULL) {
        return cli_say(CLI_USAGE, "schedule add: an interval has no time zone");
    }
    if (cli_operand(cli, *out_type) == NULL) {
        return cli_say(CLI_USAGE, "schedule add: NAME 'CRON' TYPE, or NAME --every TIME TYPE");
    }
    if (plan->cron != NULL &&
        drv_cron_parse(plan->cron, strlen(plan->cron), &cron, &problem) != DROVER_OK) {
        return cli_say(CLI_USAGE, "schedule add: '%s': %s", plan->cron, problem.text);
    }
    return CLI_OK;
}

static int print_added(const struct cli *cli, const char *name, int64_t next_ms)
{
    struct json_out json;
    char text[HUMAN_TEXT_MAX];
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "schedule", name);
        if (next_ms >= 0) {
            json_key_int(&json, "next_in_ms", next_ms);
        }
        return json_print(&json);
    }
    if (next_ms >= 0) {
        (void)printf("%s runs in %s\n", name, human_age(next_ms, text));
    } else {
        (void)printf("%s paused\n", name);
    }
    return CLI_OK;
}

static int send_plan(struct cli *cli, const char *name, drover_schedule_plan *plan,
                     const char *payload)
{
    drover_value *value = NULL;
    int64_t next_ms = -1;
    int code = input_payload(cli, payload, &value);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK) {
        plan->payload = value;
        drover_status status = drover_schedule_add(cli->client, name, plan, CLI_ASK_MS,
                                                   &next_ms);
        code = status == DROVER_OK ? print_added(cli, name, next_ms)
                                   : cli_failed(cli, status, name);
    }
    drover_value_destroy(&value);
    return code;
}

static int add(struct cli *cli)
{
    drover_schedule_plan plan = DROVER_SCHEDULE_PLAN_INIT;
    struct task_options task;
    size_t type = 0;
    const char *name = cli_operand(cli, 0);
    if (endpoint_ends_with_command(cli)) {
        return cli_say(CLI_USAGE, "schedule: a private pool ends with this command, and its "
                                  "schedules with it");
    }
    int code = task_options_init(&task, cli, TASK_BUSY_MS);
    if (code == CLI_OK) {
        code = check_name(name);
    }
    if (code == CLI_OK) {
        code = read_times(cli, &plan, &type);
    }
    if (code == CLI_OK) {
        plan.type = cli_operand(cli, type);
        plan.options = &task.submit;
        code = task_type_check(plan.type);
    }
    if (code == CLI_OK && cli_operand(cli, type + 1) != NULL &&
        cli_operand(cli, type + 2) != NULL) {
        code = cli_say(CLI_USAGE,
                       "schedule add: '%s' is one operand too many; an expression "
                       "wants quotes",
                       cli_operand(cli, type + 2));
    }
    if (code == CLI_OK) {
        code = send_plan(cli, name, &plan, cli_operand(cli, type + 1));
    }
    task_options_fini(&task);
    return code;
}

const struct cli_command cmd_schedule_add = {
    .group = "schedule",
    .name = "add",
    .summary = "run a task again and again",
    .usage = "NAME 'CRON'|--every TIME TYPE [JSON|-|--file FILE|--raw FILE] [OPTION...]",
    .about =
        "The broker submits a task whenever the expression is due: minute, hour, day of the\n"
        "month, month and day of the week, as in '30 2 * * mon-fri' (with seconds before them\n"
        "if there are six), or @hourly, @daily, @weekly, @monthly, @yearly. Each of its times\n"
        "is run once, whatever becomes of the broker and its clock. A time that the clock\n"
        "leaves out when it is set forwards runs at the end of the gap. Its tasks have no\n"
        "--key and wait for no others: --key, --after and --after-any are refused.",
    .options = add_options,
    .option_count = DRV_ARRAY_LEN(add_options),
    .submits = true,
    .operand_min = 2,
    .operand_max = SIZE_MAX,
    .run = add,
};

/* ---- ls, show ---------------------------------------------------------------------------- */

static void cell_when(struct grid *grid, const drover_value *schedule)
{
    char text[DOC_TEXT_MAX], cron[DOC_TEXT_MAX], zone[DOC_TEXT_MAX];
    char every[HUMAN_TEXT_MAX];
    if (doc_has(schedule, "cron")) {
        (void)doc_text(schedule, "cron", cron, sizeof cron);
        (void)doc_text(schedule, "zone", zone, sizeof zone);
        bool is_utc = strcmp(zone, "UTC") == 0;
        (void)snprintf(text, sizeof text, "%.180s%s%.60s", cron, is_utc ? "" : " ",
                       is_utc ? "" : zone);
    } else {
        (void)snprintf(text, sizeof text, "every %s",
                       human_age(doc_int(schedule, "every_ms"), every));
    }
    grid_text(grid, text);
}

static void cell_next(struct grid *grid, const drover_value *schedule)
{
    if (doc_has(schedule, "next_in_ms")) {
        grid_age(grid, doc_int(schedule, "next_in_ms"));
    } else {
        grid_text(grid, doc_bool(schedule, "paused") ? "paused" : "-");
    }
}

static void cells_last(struct grid *grid, const drover_value *schedule)
{
    char text[DOC_TEXT_MAX];
    drover_value *last = doc_get(schedule, "last");
    if (last == NULL) {
        grid_text(grid, "-");
        grid_text(grid, "-");
        return;
    }
    grid_age(grid, doc_int(last, "age_ms"));
    grid_state(grid, doc_text(last, "state", text, sizeof text));
    drover_value_destroy(&last);
}

static void row(struct grid *grid, const drover_value *schedule)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(schedule, "name", text, sizeof text));
    cell_when(grid, schedule);
    grid_text(grid, doc_text(schedule, "type", text, sizeof text));
    cell_next(grid, schedule);
    cells_last(grid, schedule);
    grid_int(grid, doc_int(schedule, "runs"));
    grid_int(grid, doc_int(schedule, "skipped"));
    grid_text(grid, doc_has(schedule, "trouble")
                        ? doc_text(schedule, "trouble", text, sizeof text)
                        : "");
}

static int print_list(const drover_value *document)
{
    static const struct grid_column columns[] = {{.name = "SCHEDULE"},
                                                 {.name = "WHEN"},
                                                 {.name = "TYPE"},
                                                 {.name = "NEXT IN", .right = true},
                                                 {.name = "LAST AGO", .right = true},
                                                 {.name = "STATE"},
                                                 {.name = "RUNS", .right = true},
                                                 {.name = "SKIPPED", .right = true},
                                                 {.name = "TROUBLE", .cut = true}};
    struct grid grid;
    drover_value *schedules = doc_get(document, "schedules");
    drover_value *item = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    if (schedules != NULL) {
        drover_value_iter_init(&iter, schedules);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&schedules);
    grid_sort(&grid);
    return grid_print(&grid);
}

static int list_once(struct cli *cli)
{
    drover_value *document = NULL;
    int code = pages_collect(cli, drover_schedule_list, "schedules", "schedule ls", &document);
    if (code == CLI_OK) {
        code = cli->json ? print_document(document) : print_list(document);
    }
    drover_value_destroy(&document);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

static const struct drv_option list_options[] = {WATCH_OPTION};

const struct cli_command cmd_schedule_list = {
    .group = "schedule",
    .name = "ls",
    .summary = "list the schedules, their next and their last runs",
    .usage = WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 1,
    .run = list,
};

static int show_one(struct cli *cli, const char *name)
{
    drover_value *document = NULL;
    drover_value *schedules = NULL;
    drover_value *schedule = NULL;
    drover_status status = drover_schedule_show(cli->client, name, watch_ask_ms(cli),
                                                &document);
    if (status != DROVER_OK) {
        return failed(cli, status, name);
    }
    schedules = doc_get(document, "schedules");
    int code = CLI_FAILED;
    if (schedules != NULL && drover_value_array_get(schedules, 0, &schedule) == DROVER_OK) {
        code = print_document(schedule);
    }
    drover_value_destroy(&schedule);
    drover_value_destroy(&schedules);
    drover_value_destroy(&document);
    return code;
}

typedef int (*each_fn)(struct cli *cli, const char *name);

/* For every operand. */
static int each(struct cli *cli, each_fn function)
{
    int worst = CLI_OK;
    for (size_t i = 0; worst == CLI_OK && i < cli_operand_count(cli); i++) {
        worst = check_name(cli_operand(cli, i));
    }
    if (worst == CLI_OK) {
        worst = cli_connect(cli);
    }
    if (worst != CLI_OK) {
        return worst;
    }
    for (size_t i = 0; i < cli_operand_count(cli); i++) {
        worst = cli_worse(worst, function(cli, cli_operand(cli, i)));
    }
    return worst;
}

static int show_once(struct cli *cli)
{
    int worst = CLI_OK;
    for (size_t i = 0; i < cli_operand_count(cli); i++) {
        worst = cli_worse(worst, show_one(cli, cli_operand(cli, i)));
    }
    return worst;
}

/* What is no name is told before a broker is asked, unless the last one may be the interval. */
static int show(struct cli *cli)
{
    size_t count = cli_operand_count(cli);
    size_t names = watch_takes_last(cli) && count > 1 ? count - 1 : count;
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < names; i++) {
        code = check_name(cli_operand(cli, i));
    }
    return code == CLI_OK ? watch_run(cli, 1, SIZE_MAX, show_once) : code;
}

const struct cli_command cmd_schedule_show = {
    .group = "schedule",
    .name = "show",
    .summary = "everything about schedules, as JSON",
    .usage = "NAME... " WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = show,
};

/* ---- rm, pause, resume, run -------------------------------------------------------------- */

static int told(const struct cli *cli, drover_status status, const char *name,
                const char *state)
{
    struct json_out json;
    if (status != DROVER_OK) {
        return failed(cli, status, name);
    }
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "schedule", name);
        json_key_text(&json, "state", state);
        return json_print(&json);
    }
    (void)printf("%s %s\n", name, state);
    return CLI_OK;
}

static int remove_one(struct cli *cli, const char *name)
{
    return told(cli, drover_schedule_remove(cli->client, name, CLI_ASK_MS), name, "removed");
}

static int pause_one(struct cli *cli, const char *name)
{
    return told(cli, drover_schedule_pause(cli->client, name, CLI_ASK_MS), name, "paused");
}

static int resume_one(struct cli *cli, const char *name)
{
    return told(cli, drover_schedule_resume(cli->client, name, CLI_ASK_MS), name, "resumed");
}

static int run_one(struct cli *cli, const char *name)
{
    drover_id id;
    char text[TARGET_TEXT_MAX];
    struct json_out json;
    drover_status status = drover_schedule_run(cli->client, name, CLI_ASK_MS, &id);
    if (status != DROVER_OK) {
        return failed(cli, status, name);
    }
    target_format(&id, DROVER_INDEX_NONE, text);
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "schedule", name);
        json_key_text(&json, "id", text);
        return json_print(&json);
    }
    (void)puts(text);
    return CLI_OK;
}

static int remove_all(struct cli *cli)
{
    return each(cli, remove_one);
}

static int pause_all(struct cli *cli)
{
    return each(cli, pause_one);
}

static int resume_all(struct cli *cli)
{
    return each(cli, resume_one);
}

static int run_all(struct cli *cli)
{
    return each(cli, run_one);
}

const struct cli_command cmd_schedule_remove = {
    .group = "schedule",
    .name = "rm",
    .summary = "remove schedules; their tasks go on",
    .usage = "NAME...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = remove_all,
};

const struct cli_command cmd_schedule_pause = {
    .group = "schedule",
    .name = "pause",
    .summary = "run nothing until they are resumed, nor make up for it",
    .usage = "NAME...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = pause_all,
};

const struct cli_command cmd_schedule_resume = {
    .group = "schedule",
    .name = "resume",
    .summary = "end of a pause",
    .usage = "NAME...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = resume_all,
};

const struct cli_command cmd_schedule_run = {
    .group = "schedule",
    .name = "run",
    .summary = "run schedules once, now; prints the ids of the tasks",
    .usage = "NAME...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = run_all,
};
