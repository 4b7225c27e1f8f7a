/* cmd_show.c: show, why, task ls. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "escape.h"
#include "grid.h"
#include "group.h"
#include "human.h"
#include "print.h"
#include "target.h"
#include "task_facts.h"
#include "tasks.h"
#include "watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMELINE_WIDTH = 50 };

/* ---- for show and why -------------------------------------------------------------------- */

typedef drover_status (*ask_fn)(drover_client *client, const drover_id *id, uint32_t index,
                                int64_t timeout_ms, drover_value **out_document);

static int ask(const struct cli *cli, ask_fn question, const drover_task_ref *task,
               drover_value **out_document)
{
    char text[TARGET_TEXT_MAX];
    drover_status status = question(cli->client, &task->id, task->index, CLI_ASK_MS,
                                    out_document);
    if (status == DROVER_OK) {
        return CLI_OK;
    }
    target_format(&task->id, task->index, text);
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                                "%s: no such task, or it is forgotten", text)
               : cli_failed(cli, status, text);
}

static int ask_each(struct cli *cli, ask_fn question,
                    int (*print)(const struct cli *cli, const drover_value *document))
{
    drover_task_ref *tasks = NULL;
    size_t count = 0;
    int code = target_operands(cli, 0, &tasks, &count);
    int worst = code;
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        drover_value *document = NULL;
        int one = ask(cli, question, &tasks[i], &document);
        if (one == CLI_OK) {
            one = cli->json ? print_document(document) : print(cli, document);
        }
        drover_value_destroy(&document);
        worst = cli_worse(worst, one);
    }
    free(tasks);
    return worst;
}

/* Once, or as --watch says. What is no task is told before a broker is asked, unless the last
 * operand may be an interval. */
static int watch_each(struct cli *cli, watch_show_fn once)
{
    drover_task_ref *tasks = NULL;
    size_t count = 0;
    int code = watch_takes_last(cli) ? CLI_OK : target_operands(cli, 0, &tasks, &count);
    free(tasks);
    return code == CLI_OK ? watch_run(cli, 1, SIZE_MAX, once) : code;
}

/* ---- show -------------------------------------------------------------------------------- */

static void print_line(const char *name, const char *text)
{
    if (text[0] != '\0') {
        (void)printf("%-14s %s\n", name, text);
    }
}

static void print_text(const drover_value *document, const char *key)
{
    char text[1024];
    print_line(key, doc_text(document, key, text, sizeof(text)));
}

static void print_age(const drover_value *document, const char *name, const char *key,
                      const char *after)
{
    char text[HUMAN_TEXT_MAX + 8];
    char age[HUMAN_TEXT_MAX];
    if (doc_has(document, key)) {
        (void)snprintf(text, sizeof(text), "%s%s", human_age(doc_int(document, key), age),
                       after);
        print_line(name, text);
    }
}

static void print_task_name(const drover_value *document)
{
    char text[TARGET_TEXT_MAX];
    drover_task_ref task;
    if (doc_task(document, &task)) {
        target_format(&task.id, task.index, text);
        print_line(doc_has(document, "count") ? "array" : "task", text);
    }
}

static void print_place(const drover_value *document)
{
    char worker[DOC_TEXT_MAX];
    char host[DOC_TEXT_MAX];
    char text[2 * DOC_TEXT_MAX + 8];
    (void)doc_text(document, "worker", worker, sizeof(worker));
    (void)doc_text(document, "host", host, sizeof(host));
    if (worker[0] != '\0') {
        (void)snprintf(text, sizeof(text), "%s on %s", worker, host);
        print_line("worker", text);
    }
}

static void print_progress(const drover_value *document)
{
    char text[DOC_TEXT_MAX];
    drover_value *progress = doc_get(document, "progress");
    if (progress != NULL && drover_value_get_type(progress) == DROVER_VALUE_MAP) {
        (void)doc_text(progress, "text", text, sizeof(text));
        (void)printf("%-14s %.1f %% %s\n", "progress",
                     (double)doc_int(progress, "permille") / 10, text);
    }
    drover_value_destroy(&progress);
}

/* Line by line; of a line that is longer than a terminal is wide by far, its beginning. */
static void print_last_words(const drover_value *error, const char *key)
{
    char line[1024];
    drover_value *printed = doc_get(error, key);
    struct drv_view left = doc_bytes(printed);
    const char *name = "stderr";
    while (left.len > 0) {
        const uint8_t *end = memchr(left.bytes, '\n', left.len);
        size_t len = end == NULL ? left.len : (size_t)(end - left.bytes);
        (void)drv_escape(drv_view_of(left.bytes, len), line, sizeof(line));
        (void)printf("%-14s %s\n", name, line);
        name = "";
        len += end == NULL ? 0 : 1;
        left = drv_view_of(left.bytes + len, left.len - len);
    }
    drover_value_destroy(&printed);
}

static void print_error(const drover_value *document)
{
    char kind[DOC_TEXT_MAX];
    char code[DOC_TEXT_MAX];
    char text[2048];
    drover_value *error = doc_get(document, "error");
    if (error != NULL && drover_value_get_type(error) == DROVER_VALUE_MAP) {
        (void)doc_text(error, "kind", kind, sizeof(kind));
        (void)doc_text(error, "code", code, sizeof(code));
        (void)doc_text(error, "text", text, sizeof(text));
        (void)printf("%-14s %s: %s%s%s%s\n", "error", kind, text, code[0] != '\0' ? " (" : "",
                     code, code[0] != '\0' ? ")" : "");
        print_text(error, "exit_code");
        print_text(error, "signal");
        print_last_words(error, "stderr");
        print_last_words(error, "stderr_bytes");
    }
    drover_value_destroy(&error);
}

static void read_timeline(struct timeline *timeline, const drover_value *map)
{
    static const char *const keys[TIMELINE_PARTS] = {[TIMELINE_QUEUED] = "queued_us",
                                                     [TIMELINE_TRANSFER] = "transfer_us",
                                                     [TIMELINE_RUN] = "run_us",
                                                     [TIMELINE_RETURN] = "return_us"};
    for (size_t i = 0; i < TIMELINE_PARTS; i++) {
        timeline->us[i] = doc_has(map, keys[i]) ? doc_int(map, keys[i]) : -1;
    }
}

/* A picture is for people; who reads lines gets the words. */
static void print_timeline(const drover_value *document)
{
    char text[TIMELINE_TEXT_MAX];
    struct timeline timeline;
    drover_value *map = doc_get(document, "timeline");
    if (map != NULL && drover_value_get_type(map) == DROVER_VALUE_MAP) {
        bool is_terminal = isatty(STDOUT_FILENO) != 0;
        read_timeline(&timeline, map);
        if (is_terminal) {
            print_line("timeline", timeline_draw(&timeline, TIMELINE_WIDTH, text));
        }
        print_line(is_terminal ? "" : "timeline", timeline_words(&timeline, is_terminal, text));
    }
    drover_value_destroy(&map);
}

static void attempt_row(struct grid *grid, const drover_value *attempt)
{
    char text[DOC_TEXT_MAX];
    char ran[HUMAN_TEXT_MAX];
    grid_row(grid);
    grid_int(grid, doc_int(attempt, "attempt"));
    grid_text(grid, doc_text(attempt, "worker", text, sizeof(text)));
    grid_text(grid, doc_text(attempt, "host", text, sizeof(text)));
    grid_state(grid, doc_text(attempt, "outcome", text, sizeof(text)));
    grid_text(grid, human_us(doc_int(attempt, "run_us"), ran));
    grid_text(grid, doc_text(attempt, "exit_code", text, sizeof(text)));
    grid_text(grid, doc_text(attempt, "signal", text, sizeof(text)));
    grid_bytes(grid,
               doc_has(attempt, "peak_rss_bytes") ? doc_int(attempt, "peak_rss_bytes") : -1);
    grid_text(grid, doc_text(attempt, "limits_kept_by", text, sizeof(text)));
    grid_age(grid, doc_int(attempt, "age_ms"));
}

static int print_attempts(const drover_value *document)
{
    static const struct grid_column columns[] = {{.name = "ATTEMPT", .right = true},
                                                 {.name = "WORKER"},
                                                 {.name = "HOST"},
                                                 {.name = "OUTCOME"},
                                                 {.name = "RAN", .right = true},
                                                 {.name = "EXIT", .right = true},
                                                 {.name = "SIGNAL", .right = true},
                                                 {.name = "PEAK RSS", .right = true},
                                                 {.name = "LIMITS"},
                                                 {.name = "AGO", .right = true}};
    drover_value *attempts = doc_get(document, "attempts");
    drover_value *item = NULL;
    drover_value_iter iter;
    struct grid grid;
    if (attempts == NULL || drover_value_count(attempts) == 0) {
        drover_value_destroy(&attempts);
        return CLI_OK;
    }
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    drover_value_iter_init(&iter, attempts);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        attempt_row(&grid, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&attempts);
    (void)putchar('\n');
    return grid_print(&grid);
}

static void print_fact(void *context, const char *name, const char *text)
{
    (void)context;
    print_line(name, text);
}

static int print_show(const struct cli *cli, const drover_value *document)
{
    static const char *const first[] = {"type", "queue", "priority", "count"};
    static const char *const last[] = {"attempt",       "retries_left", "losses_left", "level",
                                       "payload_bytes", "result_bytes", "retry_of",    "why"};
    char text[DOC_TEXT_MAX];
    (void)cli;
    print_task_name(document);
    print_line("state", doc_text(document, "state", text, sizeof(text)));
    print_line("elements", doc_join(document, "states", text, sizeof(text)));
    for (size_t i = 0; i < DRV_ARRAY_LEN(first); i++) {
        print_text(document, first[i]);
    }
    if (strcmp(doc_text(document, "account", text, sizeof(text)), "none") != 0) {
        print_line("account", text); /* "none": of a broker without keys */
    }
    task_facts_tell(document, print_fact, NULL);
    task_facts_tell_parents(document, print_fact, NULL);
    print_place(document);
    print_progress(document);
    print_error(document);
    print_age(document, "submitted", "submitted_age_ms", " ago");
    print_age(document, "started", "started_age_ms", " ago");
    print_age(document, "ended", "ended_age_ms", " ago");
    print_age(document, "ran", "run_ms", "");
    print_timeline(document);
    for (size_t i = 0; i < DRV_ARRAY_LEN(last); i++) {
        print_text(document, last[i]);
    }
    return print_attempts(document);
}

static int show_once(struct cli *cli)
{
    return ask_each(cli, drover_task_show, print_show);
}

static int show(struct cli *cli)
{
    const char *group = drv_options_string(cli->options, "group");
    if ((group != NULL) == (cli_operand_count(cli) > 0)) {
        return cli_say(CLI_USAGE, "show: say either tasks or --group");
    }
    if (group != NULL && drv_options_flag(cli->options, "watch")) {
        return cli_say(CLI_USAGE, "show: a group is watched by group show GROUP --watch");
    }
    return group != NULL ? group_show(cli, group) : watch_each(cli, show_once);
}

static const struct drv_option show_options[] = {
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "how far a group is"},
    TARGET_QUEUE_OPTION,
    WATCH_OPTION,
};
static const struct drv_option why_options[] = {TARGET_QUEUE_OPTION, WATCH_OPTION};

const struct cli_command cmd_show = {
    .name = "show",
    .summary = "everything about tasks and arrays",
    .usage = "ID|ID.N|key:NAME...|--group GROUP " WATCH_USAGE,
    .about =
        "Prints where a task stands, its options, its attempts with their workers and ends,\n"
        "and what it printed last if it failed. ID.N is one element of an array, key:NAME\n"
        "the latest task with that key. --group tells how far the tasks of a group are.",
    .options = show_options,
    .option_count = DRV_ARRAY_LEN(show_options),
    .operand_max = SIZE_MAX,
    .run = show,
};

/* ---- why --------------------------------------------------------------------------------- */

static int print_why(const struct cli *cli, const drover_value *document)
{
    char text[1024];
    char offered[1024];
    (void)cli;
    (void)doc_text(document, "text", text, sizeof(text));
    (void)doc_join(document, "offered", offered, sizeof(offered));
    (void)printf("%s%s%s%s\n", text, offered[0] != '\0' ? " (offered: " : "", offered,
                 offered[0] != '\0' ? ")" : "");
    return CLI_OK;
}

static int why_once(struct cli *cli)
{
    return ask_each(cli, drover_task_why, print_why);
}

static int why(struct cli *cli)
{
    return watch_each(cli, why_once);
}

const struct cli_command cmd_why = {
    .name = "why",
    .summary = "why a task is where it is and what will move it",
    .usage = "ID|ID.N|key:NAME... " WATCH_USAGE,
    .options = why_options,
    .option_count = DRV_ARRAY_LEN(why_options),
    .about =
        "One line per task: what it waits for, who runs it, or how it ended. With --json the\n"
        "reason is also a short code that stays the same.",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .run = why,
};

/* ---- task ls ----------------------------------------------------------------------------- */

static const char *const state_names[] = {"waiting",   "delayed",   "queued",
                                          "running",   "succeeded", "failed",
                                          "cancelled", "expired",   NULL};

static const struct drv_option list_options[] = {
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "QUEUE",
     .help = "only of this queue"},
    {.name = "type",
     .letter = 't',
     .kind = DRV_OPTION_STRING,
     .argument = "TYPE",
     .help = "only of this type"},
    {.name = "state",
     .letter = 's',
     .kind = DRV_OPTION_CHOICE,
     .argument = "STATE",
     .help = "only in this state",
     .choices = state_names,
     .repeatable = true},
    {.name = "group",
     .letter = 'g',
     .kind = DRV_OPTION_STRING,
     .argument = "GROUP",
     .help = "only of this group"},
    {.name = "tag", .kind = DRV_OPTION_STRING, .argument = "K=V", .help = "only with this tag"},
    {.name = "limit",
     .letter = 'l',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "at most N tasks",
     .fallback = "1000",
     .min = 1,
     .max = 1000000},
    WATCH_OPTION,
};

static uint32_t wanted_states(const struct cli *cli)
{
    uint32_t states = 0;
    for (size_t i = 0; i < drv_options_count(cli->options, "state"); i++) {
        const char *name = drv_options_at(cli->options, "state", i);
        for (uint32_t state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
            if (strcmp(drover_state_name((drover_state)state), name) == 0) {
                states |= 1U << state;
            }
        }
    }
    return states;
}

struct list_view {
    struct grid grid;
    bool has_accounts; /* whose tasks they are is shown to who has a key */
};

static int list_row(void *context, const drover_value *row)
{
    struct list_view *view = context;
    struct grid *grid = &view->grid;
    char text[DOC_TEXT_MAX];
    drover_task_ref task;
    if (!doc_task(row, &task)) {
        return CLI_OK;
    }
    target_format(&task.id, task.index, text);
    grid_row(grid);
    grid_text(grid, text);
    grid_text(grid, doc_text(row, "type", text, sizeof(text)));
    grid_text(grid, doc_text(row, "queue", text, sizeof(text)));
    grid_state(grid, doc_text(row, "state", text, sizeof(text)));
    grid_int(grid, doc_int(row, "attempt"));
    grid_age(grid, doc_int(row, "age_ms"));
    grid_text(grid, doc_text(row, "worker", text, sizeof(text)));
    if (view->has_accounts) {
        grid_text(grid, doc_text(row, "account", text, sizeof(text)));
    }
    return CLI_OK;
}

static int append_row(void *context, const drover_value *row)
{
    drover_value *list = context;
    drover_value *copy = NULL;
    drover_status status = drover_value_copy(row, &copy);
    if (status == DROVER_OK) {
        status = drover_value_array_append(list, &copy);
    }
    return status == DROVER_OK ? CLI_OK : cli_no_memory();
}

static int list_json(const struct cli *cli, const drover_task_filter *filter, uint64_t limit)
{
    drover_value *list = NULL;
    drover_value *document = NULL;
    if (drover_value_array_new(&list) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = tasks_walk(cli, filter, limit, append_row, list);
    if (code == CLI_OK && (drover_value_map_new(&document) != DROVER_OK ||
                           drover_value_map_set(document, "tasks", &list) != DROVER_OK)) {
        code = cli_no_memory();
    }
    if (code == CLI_OK) {
        code = print_document(document);
    }
    drover_value_destroy(&list);
    drover_value_destroy(&document);
    return code;
}

static int list_grid(const struct cli *cli, const drover_task_filter *filter, uint64_t limit)
{
    static const struct grid_column columns[] = {{.name = "TASK"},
                                                 {.name = "TYPE"},
                                                 {.name = "QUEUE"},
                                                 {.name = "STATE"},
                                                 {.name = "ATTEMPT", .right = true},
                                                 {.name = "AGE", .right = true},
                                                 {.name = "WORKER"},
                                                 {.name = "ACCOUNT"}};
    struct list_view view = {.has_accounts = drv_options_is_set(cli->options, "identity")};
    grid_open(&view.grid, columns, DRV_ARRAY_LEN(columns) - (view.has_accounts ? 0 : 1));
    int code = tasks_walk(cli, filter, limit, list_row, &view);
    return cli_worse(code, grid_print(&view.grid));
}

static int list_once(struct cli *cli)
{
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    uint64_t limit = (uint64_t)drv_options_int(cli->options, "limit");
    filter.queue = drv_options_string(cli->options, "queue");
    filter.type = drv_options_string(cli->options, "type");
    filter.states = wanted_states(cli);
    struct tasks_label label;
    int code = tasks_label(cli, &filter, &label);
    if (code != CLI_OK) {
        return code;
    }
    return cli->json ? list_json(cli, &filter, limit) : list_grid(cli, &filter, limit);
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

const struct cli_command cmd_task_list = {
    .group = "task",
    .name = "ls",
    .summary = "list tasks",
    .usage = "[--queue QUEUE] [--type TYPE] [--state STATE]... [--group GROUP] [--tag K=V] "
             "[--limit N] " WATCH_USAGE,
    .about =
        "The newest come first, as far as the latest 8,192 that were submitted go; what is\n"
        "older follows in no order that means anything, as do those of a --group.",
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 1,
    .run = list,
};
