/* cmd_alert.c: alert ls, rules, add, rm, ack, silence, test. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"
#include "print.h"
#include "watch.h"

#include <inttypes.h>
#include <string.h>

static int failed(const struct cli *cli, drover_status status, const char *what)
{
    return cli_failed(cli, status, what != NULL ? what : "alert");
}

static int told(const struct cli *cli, const char *rule, const char *state)
{
    struct json_out json;
    const char *name = rule != NULL ? rule : "all";
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "rule", name);
        json_key_text(&json, "state", state);
        return json_print(&json);
    }
    (void)printf("%s %s\n", name, state);
    return CLI_OK;
}

/* "-" and nothing stand for all. */
static const char *operand_or_all(const struct cli *cli, size_t index)
{
    const char *text = cli_operand(cli, index);
    return text == NULL || strcmp(text, "-") == 0 ? NULL : text;
}

/* Rule and subject. CLI_OK, or says what is wrong. */
static int check_names(const struct cli *cli, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = operand_or_all(cli, i);
        if (text != NULL && !drover_name_is_valid(text)) {
            return cli_say(CLI_USAGE, "'%s' is no name (letters, digits and . _ : -)", text);
        }
    }
    return CLI_OK;
}

/* ---- ls, rules --------------------------------------------------------------------------- */

typedef void (*row_fn)(struct grid *grid, const drover_value *item);

static void rows(struct grid *grid, const drover_value *document, const char *key, row_fn row)
{
    drover_value *list = doc_get(document, key);
    drover_value *item = NULL;
    drover_value_iter iter;
    if (list == NULL) {
        return;
    }
    drover_value_iter_init(&iter, list);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        row(grid, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&list);
}

static void cell(struct grid *grid, const drover_value *item, const char *key)
{
    char text[DOC_TEXT_MAX];
    grid_text(grid, doc_text(item, key, text, sizeof text));
}

static void alert_row(struct grid *grid, const drover_value *alert)
{
    char state[DOC_TEXT_MAX];
    grid_row(grid);
    cell(grid, alert, "rule");
    cell(grid, alert, "subject");
    cell(grid, alert, "severity");
    (void)doc_text(alert, "state", state, sizeof state);
    if (doc_bool(alert, "acknowledged")) {
        grid_text(grid, "acknowledged");
    } else if (doc_bool(alert, "silenced") && strcmp(state, "firing") == 0) {
        grid_text(grid, "silenced");
    } else {
        grid_state(grid, state);
    }
    grid_age(grid, doc_int(alert, "since_age_ms"));
    cell(grid, alert, "text");
}

static int print_alerts(const drover_value *document)
{
    static const struct grid_column columns[] = {{.name = "RULE"},
                                                 {.name = "SUBJECT"},
                                                 {.name = "SEVERITY"},
                                                 {.name = "STATE"},
                                                 {.name = "FOR", .right = true},
                                                 {.name = "WHAT", .cut = true}};
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    rows(&grid, document, "alerts", alert_row);
    return grid_print(&grid);
}

static int list_once(struct cli *cli)
{
    drover_value *document = NULL;
    drover_status status = drover_alert_list(cli->client, watch_ask_ms(cli), &document);
    if (status != DROVER_OK) {
        return failed(cli, status, "alert ls");
    }
    int code = cli->json ? print_document(document) : print_alerts(document);
    drover_value_destroy(&document);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

static const struct drv_option list_options[] = {WATCH_OPTION};

const struct cli_command cmd_alert_list = {
    .group = "alert",
    .name = "ls",
    .summary = "list what fires, is about to, or was over a moment ago",
    .usage = WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 1,
    .run = list,
};

static void duration_cell(struct grid *grid, const drover_value *rule, const char *key)
{
    char text[HUMAN_TEXT_MAX];
    int64_t ms = doc_int(rule, key);
    grid_text(grid, ms > 0 ? human_age(ms, text) : "-");
}

static void rule_row(struct grid *grid, const drover_value *rule)
{
    char metric[DOC_TEXT_MAX], comparison[DOC_TEXT_MAX], unit[DOC_TEXT_MAX];
    char text[DOC_TEXT_MAX];
    (void)doc_text(rule, "metric", metric, sizeof metric);
    (void)doc_text(rule, "comparison", comparison, sizeof comparison);
    (void)doc_text(rule, "unit", unit, sizeof unit);
    (void)snprintf(text, sizeof text, "%.100s %.2s %g %.8s", metric, comparison,
                   doc_double(rule, "threshold"), unit);
    grid_row(grid);
    cell(grid, rule, "name");
    grid_text(grid, text);
    grid_double(grid, doc_double(rule, "clear"));
    duration_cell(grid, rule, "for_ms");
    duration_cell(grid, rule, "clear_for_ms");
    cell(grid, rule, "severity");
    cell(grid, rule, "origin");
}

static void silence_row(struct grid *grid, const drover_value *silence)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    (void)doc_text(silence, "rule", text, sizeof text);
    grid_text(grid, text[0] != '\0' ? text : "all");
    (void)doc_text(silence, "subject", text, sizeof text);
    grid_text(grid, text[0] != '\0' ? text : "all");
    grid_age(grid, doc_int(silence, "left_ms"));
}

static int print_rules(const drover_value *document)
{
    static const struct grid_column columns[] = {
        {.name = "RULE"}, {.name = "WHEN"},      {.name = "CLEAR", .right = true},
        {.name = "FOR"},  {.name = "CLEAR FOR"}, {.name = "SEVERITY"},
        {.name = "FROM"}};
    static const struct grid_column silence_columns[] = {
        {.name = "SILENCED"}, {.name = "SUBJECT"}, {.name = "FOR", .right = true}};
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    rows(&grid, document, "rules", rule_row);
    int code = grid_print(&grid);
    drover_value *silences = doc_get(document, "silences");
    if (code == CLI_OK && silences != NULL && drover_value_count(silences) > 0) {
        (void)putchar('\n');
        grid_open(&grid, silence_columns, DRV_ARRAY_LEN(silence_columns));
        rows(&grid, document, "silences", silence_row);
        code = grid_print(&grid);
    }
    drover_value_destroy(&silences);
    return code;
}

static int rules_once(struct cli *cli)
{
    drover_value *document = NULL;
    drover_status status = drover_alert_rules(cli->client, watch_ask_ms(cli), &document);
    if (status != DROVER_OK) {
        return failed(cli, status, "alert rules");
    }
    int code = cli->json ? print_document(document) : print_rules(document);
    drover_value_destroy(&document);
    return code;
}

static int rules(struct cli *cli)
{
    return watch_run(cli, 0, 0, rules_once);
}

const struct cli_command cmd_alert_rules = {
    .group = "alert",
    .name = "rules",
    .summary = "list the rules and the silences",
    .usage = WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 1,
    .run = rules,
};

/* ---- add, rm, test ----------------------------------------------------------------------- */

static int add(struct cli *cli)
{
    const char *name = cli_operand(cli, 0);
    char condition[512] = "";
    size_t len = 0;
    int code = check_names(cli, 1);
    for (size_t i = 1; code == CLI_OK && i < cli_operand_count(cli); i++) {
        int more = snprintf(condition + len, sizeof condition - len, "%s%s", i > 1 ? " " : "",
                            cli_operand(cli, i));
        if (more < 0 || (size_t)more >= sizeof condition - len) {
            code = cli_say(CLI_USAGE, "alert add: the condition is too long");
        } else {
            len += (size_t)more;
        }
    }
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_alert_rule_add(cli->client, name, condition, CLI_ASK_MS);
    return status == DROVER_OK ? told(cli, name, "added") : failed(cli, status, name);
}

const struct cli_command cmd_alert_add = {
    .group = "alert",
    .name = "add",
    .summary = "add a rule, or change one that was added so",
    .usage =
        "NAME 'METRIC > NUMBER [clear N] [for TIME] [clear-for TIME] [severity S] [only X]'",
    .about =
        "Metrics: worker_lost, host_cpu, host_memory, host_disk (percent), queue_oldest\n"
        "(seconds), queue_depth, failed (tasks in 5 minutes), failure_rate (percent of them),\n"
        "journal (ms), loop (ms), broker_memory, broker_disk (percent), disk_full, workers,\n"
        "type_unserved (tasks of a type that no worker offers). An alert fires for each\n"
        "worker, host, queue or type once the value has been beyond the number for the time, "
        "and is\n"
        "over once it has been on the other side of clear for clear-for.",
    .operand_min = 2,
    .operand_max = SIZE_MAX,
    .run = add,
};

typedef drover_status (*rule_fn)(drover_client *client, const char *rule, int64_t timeout_ms);

static int change(struct cli *cli, rule_fn function, const char *state)
{
    const char *name = cli_operand(cli, 0);
    int code = check_names(cli, 1);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = function(cli->client, name, CLI_ASK_MS);
    return status == DROVER_OK ? told(cli, name, state) : failed(cli, status, name);
}

static int remove_rule(struct cli *cli)
{
    return change(cli, drover_alert_rule_remove, "removed");
}

static int test(struct cli *cli)
{
    return change(cli, drover_alert_test, "tested");
}

const struct cli_command cmd_alert_remove = {
    .group = "alert",
    .name = "rm",
    .summary = "remove a rule that was added",
    .usage = "NAME",
    .operand_min = 1,
    .operand_max = 1,
    .run = remove_rule,
};

const struct cli_command cmd_alert_test = {
    .group = "alert",
    .name = "test",
    .summary = "do what the broker does when the rule fires",
    .usage = "NAME",
    .operand_min = 1,
    .operand_max = 1,
    .run = test,
};

/* ---- ack, silence ------------------------------------------------------------------------ */

static int acknowledge(struct cli *cli)
{
    uint64_t count = 0;
    const char *rule = operand_or_all(cli, 0);
    struct json_out json;
    int code = check_names(cli, 2);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_alert_acknowledge(cli->client, rule, operand_or_all(cli, 1),
                                                    CLI_ASK_MS, &count);
    if (status != DROVER_OK) {
        return failed(cli, status, rule);
    }
    if (cli->json) {
        json_begin(&json);
        json_key_uint(&json, "acknowledged", count);
        return json_print(&json);
    }
    (void)printf("%" PRIu64 " acknowledged\n", count);
    return CLI_OK;
}

const struct cli_command cmd_alert_ack = {
    .group = "alert",
    .name = "ack",
    .summary = "say that somebody knows; - stands for all rules",
    .usage = "RULE|- [SUBJECT]",
    .operand_min = 1,
    .operand_max = 2,
    .run = acknowledge,
};

static const struct drv_option silence_options[] = {
    {.name = "for",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long; 0 ends a silence",
     .fallback = "1h"},
};

static int silence(struct cli *cli)
{
    const char *rule = operand_or_all(cli, 0);
    int64_t ms = drv_options_int(cli->options, "for");
    int code = check_names(cli, 2);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_alert_silence(cli->client, rule, operand_or_all(cli, 1),
                                                (uint64_t)ms, CLI_ASK_MS);
    if (status != DROVER_OK) {
        return failed(cli, status, rule);
    }
    return told(cli, rule, ms > 0 ? "silenced" : "heard again");
}

const struct cli_command cmd_alert_silence = {
    .group = "alert",
    .name = "silence",
    .summary = "no commands and webhooks for a time; - is all rules",
    .usage = "RULE|- [SUBJECT] [--for TIME]",
    .options = silence_options,
    .option_count = DRV_ARRAY_LEN(silence_options),
    .operand_min = 1,
    .operand_max = 2,
    .run = silence,
};
