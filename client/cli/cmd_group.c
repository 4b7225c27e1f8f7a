/* cmd_group.c: group ls, show. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "group.h"
#include "print.h"
#include "watch.h"

#include <inttypes.h>

static const struct grid_column columns[] = {
    {.name = "GROUP"},
    {.name = "TASKS", .right = true},
    {.name = "ACTIVE", .right = true},
    {.name = "WAITING", .right = true},
    {.name = "DELAYED", .right = true},
    {.name = "QUEUED", .right = true},
    {.name = "RUNNING", .right = true},
    {.name = "SUCCEEDED", .right = true},
    {.name = "FAILED", .right = true},
    {.name = "CANCELLED", .right = true},
    {.name = "EXPIRED", .right = true},
};

static void group_row(struct grid *grid, const drover_value *group)
{
    static const char *const keys[] = {"waiting",   "delayed", "queued",    "running",
                                       "succeeded", "failed",  "cancelled", "expired"};
    char text[DOC_TEXT_MAX];
    drover_value *states = doc_get(group, "states");
    grid_row(grid);
    grid_text(grid, doc_text(group, "name", text, sizeof(text)));
    grid_int(grid, doc_int(group, "submitted"));
    grid_int(grid, doc_int(group, "active"));
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        grid_int(grid, states == NULL ? 0 : doc_int(states, keys[i]));
    }
    drover_value_destroy(&states);
}

static void add_rows(struct grid *grid, const drover_value *document)
{
    drover_value *groups = doc_get(document, "groups");
    drover_value *item = NULL;
    drover_value_iter iter;
    if (groups == NULL) {
        return;
    }
    drover_value_iter_init(&iter, groups);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        group_row(grid, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&groups);
}

/* ---- verdict ----------------------------------------------------------------------------- */

int group_verdict(const struct cli *cli, const char *group, bool was_there)
{
    static const char *const bad[] = {"failed", "cancelled", "expired"};
    drover_value *document = NULL;
    drover_value *row = NULL;
    int64_t counts[DRV_ARRAY_LEN(bad)] = {0};
    drover_status status = drover_group_show(cli->client, group, watch_ask_ms(cli), &document);
    if (status == DROVER_UNKNOWN) { /* forgotten as soon as it had ended */
        return was_there ? CLI_OK
                         : cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no group '%s'",
                                          group);
    }
    if (status != DROVER_OK) {
        return cli_failed(cli, status, group);
    }
    drover_value *groups = doc_get(document, "groups");
    if (groups != NULL && drover_value_array_get(groups, 0, &row) == DROVER_OK) {
        drover_value *states = doc_get(row, "states");
        for (size_t i = 0; states != NULL && i < DRV_ARRAY_LEN(bad); i++) {
            counts[i] = doc_int(states, bad[i]);
        }
        drover_value_destroy(&states);
    }
    drover_value_destroy(&row);
    drover_value_destroy(&groups);
    drover_value_destroy(&document);
    if (counts[0] + counts[1] + counts[2] == 0) {
        return CLI_OK;
    }
    return cli_say(CLI_FAILED,
                   "group %s: %" PRId64 " failed, %" PRId64 " cancelled, %" PRId64 " expired",
                   group, counts[0], counts[1], counts[2]);
}

/* ---- show -------------------------------------------------------------------------------- */

static int show_once(const struct cli *cli, const char *group)
{
    drover_value *document = NULL;
    struct grid grid;
    drover_status status = drover_group_show(cli->client, group, watch_ask_ms(cli), &document);
    if (status == DROVER_INVALID) {
        return cli_say(CLI_USAGE, "'%s' is no group (letters, digits and . _ : -)", group);
    }
    if (status == DROVER_UNKNOWN) {
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no group '%s'", group);
    }
    if (status != DROVER_OK) {
        return cli_failed(cli, status, group);
    }
    int code = CLI_OK;
    if (cli->json) {
        code = print_document(document);
    } else {
        grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
        add_rows(&grid, document);
        code = grid_print(&grid);
    }
    drover_value_destroy(&document);
    return code;
}

int group_show(struct cli *cli, const char *group)
{
    int code = cli_connect(cli);
    return code == CLI_OK ? show_once(cli, group) : code;
}

static int show_watched(struct cli *cli)
{
    return show_once(cli, cli_operand(cli, 0));
}

static int show(struct cli *cli)
{
    return watch_run(cli, 1, 1, show_watched);
}

static const struct drv_option options[] = {WATCH_OPTION};

const struct cli_command cmd_group_show = {
    .group = "group",
    .name = "show",
    .summary = "how far the tasks of a group are",
    .usage = "GROUP " WATCH_USAGE,
    .about = "Tasks and elements by state. Those that were forgotten count on until the last\n"
             "task of the group goes, and the group with it.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_min = 1,
    .operand_max = 2,
    .first = CLI_WORD_GROUP,
    .run = show,
};

/* ---- ls ---------------------------------------------------------------------------------- */

static int append_groups(drover_value *list, const drover_value *document)
{
    drover_value *groups = doc_get(document, "groups");
    drover_value *item = NULL;
    drover_value_iter iter;
    drover_status status = DROVER_OK;
    if (groups == NULL) {
        return CLI_OK;
    }
    drover_value_iter_init(&iter, groups);
    while (status == DROVER_OK && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        status = drover_value_array_append(list, &item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&groups);
    return status == DROVER_OK ? CLI_OK : cli_no_memory();
}

static int print_json(drover_value **list)
{
    drover_value *document = NULL;
    int code = CLI_OK;
    if (drover_value_map_new(&document) != DROVER_OK ||
        drover_value_map_set(document, "groups", list) != DROVER_OK) {
        code = cli_no_memory();
    } else {
        code = print_document(document);
    }
    drover_value_destroy(&document);
    return code;
}

/* Page after page, into the grid or into the list. */
static int walk(const struct cli *cli, struct grid *grid, drover_value *list)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    int code = CLI_OK;
    do {
        drover_value *document = NULL;
        drover_status status = drover_group_list(cli->client, 0, &cursor, watch_ask_ms(cli),
                                                 &document);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "group ls");
        }
        if (list != NULL) {
            code = append_groups(list, document);
        } else {
            add_rows(grid, document);
        }
        drover_value_destroy(&document);
    } while (code == CLI_OK && cursor.len > 0);
    return code;
}

static int list_once(struct cli *cli)
{
    struct grid grid;
    drover_value *list = NULL;
    if (!cli->json) {
        grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
        int code = walk(cli, &grid, NULL);
        return cli_worse(code, grid_print(&grid));
    }
    if (drover_value_array_new(&list) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = walk(cli, NULL, list);
    if (code == CLI_OK) {
        code = print_json(&list);
    }
    drover_value_destroy(&list);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

const struct cli_command cmd_group_list = {
    .group = "group",
    .name = "ls",
    .summary = "list groups and how far they are",
    .usage = WATCH_USAGE,
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_max = 1,
    .run = list,
};
