/* cmd_graph.c: graph submit, ls, show, wait, cancel, retry, forget. */
#include "command.h"

#include "check.h"
#include "deadline.h"
#include "doc.h"
#include "graph_file.h"
#include "graph_view.h"
#include "grid.h"
#include "json_out.h"
#include "print.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

static const char *const no_graph = "there is no graph '%s' (graphs are found for 7 days)";

/* Says what went wrong with a graph, in its own words if it has some. */
static int failed(const struct cli *cli, const drover_graph *graph, drover_status status,
                  const char *what)
{
    const char *problem = graph == NULL ? "" : drover_graph_problem(graph);
    return problem[0] != '\0'
               ? cli_say_status(cli_exit_code(status), status, "%s: %s", what, problem)
               : cli_failed(cli, status, what);
}

/* Connects and looks the first operand up. */
static int find(struct cli *cli, drover_graph **out_graph)
{
    const char *name = cli_operand(cli, 0);
    if (!drover_name_is_valid(name)) {
        return cli_say(CLI_USAGE, "'%s' is no name of a graph", name);
    }
    int code = cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_graph_find(cli->client, name, watch_ask_ms(cli), out_graph);
    if (status == DROVER_UNKNOWN) {
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN, no_graph, name);
    }
    return status == DROVER_OK ? CLI_OK : cli_failed(cli, status, name);
}

/* ---- wait -------------------------------------------------------------------------------- */

/* 0 when all have succeeded. */
static int await(struct cli *cli, const drover_graph *graph, int64_t timeout_ms)
{
    size_t count = drover_graph_count(graph), bad = 0;
    drover_state *states = calloc(count + 1, sizeof *states);
    if (states == NULL) {
        return cli_no_memory();
    }
    drover_status status = drover_graph_wait(cli->client, graph, timeout_ms, states);
    for (size_t i = 0; i < count; i++) {
        bad += states[i] != DROVER_STATE_SUCCEEDED;
    }
    free(states);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, drover_graph_name(graph));
    }
    return bad == 0 ? CLI_OK
                    : cli_say(CLI_FAILED, "%zu of %zu nodes of graph %s did not succeed", bad,
                              count, drover_graph_name(graph));
}

static int wait_graph(struct cli *cli)
{
    drover_graph *graph = NULL;
    int code = find(cli, &graph);
    if (code == CLI_OK) {
        code = await(cli, graph, cli_duration(cli, "timeout"));
    }
    drover_graph_destroy(&graph);
    return code;
}

static const struct drv_option wait_options[] = {
    {.name = "timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "stop waiting after TIME, exit 124; the graph goes on"},
};

const struct cli_command cmd_graph_wait = {
    .group = "graph",
    .name = "wait",
    .summary = "wait for the end of a graph; exit 1 unless all succeeded",
    .usage = "NAME|ID [--timeout TIME]",
    .options = wait_options,
    .option_count = DRV_ARRAY_LEN(wait_options),
    .operand_min = 1,
    .operand_max = 1,
    .run = wait_graph,
};

/* ---- submit ------------------------------------------------------------------------------ */

static int print_submitted(const struct cli *cli, const drover_graph *graph)
{
    struct json_out json;
    drover_graph_node node;
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id graph_id = drover_graph_id(graph);
    drover_id_format(&graph_id, id);
    if (!cli->json) {
        (void)printf("%s\n", id);
        return cli_flush(CLI_OK);
    }
    json_begin(&json);
    json_key_text(&json, "id", id);
    json_key_text(&json, "name", drover_graph_name(graph));
    json_key_object(&json, "nodes");
    for (size_t i = 0; drover_graph_node_at(graph, i, &node); i++) {
        drover_id_format(&node.id, id);
        json_key_text(&json, node.name, id);
    }
    json_end_object(&json);
    return json_print(&json);
}

/* A graph of the same name goes first, if all of it has ended. */
static int make_room(struct cli *cli, const drover_graph *graph)
{
    drover_graph *old = NULL;
    drover_status status = drover_graph_find(cli->client, drover_graph_name(graph), CLI_ASK_MS,
                                             &old);
    int code = CLI_OK;
    if (status == DROVER_OK) {
        status = drover_graph_forget(cli->client, old, CLI_ASK_MS);
        code = status == DROVER_OK ? CLI_OK : failed(cli, old, status, "--replace");
    } else if (status != DROVER_UNKNOWN) {
        code = cli_failed(cli, status, "--replace");
    } else {
        /* there is none */
    }
    drover_graph_destroy(&old);
    return code;
}

static int submit_graph(struct cli *cli)
{
    drover_graph *graph = NULL;
    const char *name = drv_options_string(cli->options, "name");
    if (name != NULL && !drover_name_is_valid(name)) {
        return cli_say(CLI_USAGE, "--name: '%s' is no name", name);
    }
    int code = graph_file_read(cli, cli_operand(cli, 0), name, &graph);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK && drv_options_flag(cli->options, "replace")) {
        code = make_room(cli, graph);
    }
    if (code == CLI_OK) {
        drover_status status = drover_graph_submit(cli->client, graph, CLI_ASK_MS);
        code = status == DROVER_OK ? print_submitted(cli, graph)
                                   : failed(cli, graph, status, "graph submit");
    }
    if (code == CLI_OK && drv_options_flag(cli->options, "wait")) {
        code = await(cli, graph, DROVER_FOREVER);
    }
    drover_graph_destroy(&graph);
    return code;
}

static const struct drv_option submit_options[] = {
    {.name = "name",
     .kind = DRV_OPTION_STRING,
     .argument = "NAME",
     .help = "by which it is found, instead of the one in the file"},
    {.name = "replace",
     .kind = DRV_OPTION_FLAG,
     .help = "forget the graph of this name first, if all of it has ended"},
    {.name = "wait",
     .kind = DRV_OPTION_FLAG,
     .help = "wait until all have ended; exit 1 unless all succeeded"},
};

const struct cli_command cmd_graph_submit = {
    .group = "graph",
    .name = "submit",
    .summary = "submit tasks that wait for each other, all or none",
    .usage = "FILE.json|- [--name NAME] [--replace] [--wait]",
    .about =
        "The file: {\"name\": NAME, \"nodes\": [{\"name\": N, \"type\": TYPE, "
        "\"payload\": JSON,\n\"after\": [N, {\"name\": N, \"always\": true}, {\"task\": "
        "ID}], ...}]}. A node with\n\"elements\": [JSON, ...], and maybe \"with\": JSON, is an "
        "array. A node may have queue,\n"
        "priority, delay, not-before, expire, timeout, retries, losses, backoff, backoff-max,\n"
        "keep, durability, group, fairness-key, tags, require, needs, limits, meta and\n"
        "strict, as the options of submit; tags, require, needs and limits are maps, such as\n"
        "{\"gpu\": 1}. It has no key. A graph goes in one message: at most 1,024 nodes and "
        "elements, 64\n"
        "parents a node, 256 KiB of payloads, names and options up to 64 KiB each, and 16\n"
        "larger payloads; larger arrays are a map with --after, larger graphs several that\n"
        "wait for each other by {\"task\": ID}. The name is taken until graph forget, or 7\n"
        "days. Prints the graph's id.",
    .options = submit_options,
    .option_count = DRV_ARRAY_LEN(submit_options),
    .operand_min = 1,
    .operand_max = 1,
    .first = CLI_WORD_FILE,
    .run = submit_graph,
};

/* ---- show -------------------------------------------------------------------------------- */

static int show_once(struct cli *cli)
{
    struct graph_view view = {.nodes = NULL};
    drover_graph *graph = NULL;
    int code = find(cli, &graph);
    if (code == CLI_OK) {
        code = graph_view_init(&view, cli, graph);
    }
    if (code == CLI_OK) {
        code = cli->json ? graph_view_json(&view) : graph_view_print(&view);
    }
    graph_view_fini(&view);
    drover_graph_destroy(&graph);
    return code;
}

static int show_graph(struct cli *cli)
{
    return watch_run(cli, 1, 1, show_once);
}

static const struct drv_option show_options[] = {WATCH_OPTION};

const struct cli_command cmd_graph_show = {
    .group = "graph",
    .name = "show",
    .summary = "a graph as a tree: states, run times, the critical path",
    .usage = "NAME|ID " WATCH_USAGE,
    .options = show_options,
    .option_count = DRV_ARRAY_LEN(show_options),
    .operand_min = 1,
    .operand_max = 2,
    .run = show_graph,
};

/* ---- cancel, retry ----------------------------------------------------------------------- */

/* What has not ended yet will, as soon as what runs of it has been stopped. */
static int print_cancelled(const struct cli *cli, const drover_graph_node *node,
                           const char *state)
{
    struct json_out json;
    char id[DROVER_ID_TEXT_LEN + 1];
    bool has_ended = strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 ||
                     strcmp(state, "cancelled") == 0 || strcmp(state, "expired") == 0;
    bool is_gone = strcmp(state, "unknown") == 0;
    const char *told = has_ended || is_gone ? state : "cancelling";
    if (!cli->json) {
        (void)printf("%s %s\n", node->name, told);
        return CLI_OK;
    }
    drover_id_format(&node->id, id);
    json_begin(&json);
    json_key_text(&json, "node", node->name);
    json_key_text(&json, "task", id);
    json_key_text(&json, "state", told);
    return json_print(&json);
}

/* The node and what waits for it, each behind what it waits for; NULL: all. */
static int tell_cancelled(const struct cli *cli, const drover_graph *graph, const char *name)
{
    struct graph_view view;
    size_t from = name == NULL ? SIZE_MAX : drover_graph_position(graph, name);
    size_t count = drover_graph_count(graph), parent;
    bool *is_cancelled = calloc(count + 1, sizeof *is_cancelled);
    if (is_cancelled == NULL) {
        return cli_no_memory();
    }
    int code = graph_view_init(&view, cli, graph);
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        drover_graph_node node;
        is_cancelled[i] = name == NULL || i == from;
        for (size_t n = 0; (parent = drover_graph_parent(graph, i, n, NULL)) != SIZE_MAX; n++) {
            is_cancelled[i] = is_cancelled[i] || is_cancelled[parent];
        }
        if (is_cancelled[i] && drover_graph_node_at(graph, i, &node)) {
            code = print_cancelled(cli, &node, view.nodes[i].state);
        }
    }
    graph_view_fini(&view);
    free(is_cancelled);
    return code == CLI_OK ? cli_flush(code) : code;
}

static int cancel_graph(struct cli *cli)
{
    drover_graph *graph = NULL;
    const char *node = cli_operand(cli, 1);
    int code = find(cli, &graph);
    if (code == CLI_OK) {
        drover_status status = drover_graph_cancel(cli->client, graph, node,
                                                   "its graph was cancelled", CLI_ASK_MS);
        code = status == DROVER_UNKNOWN && node != NULL &&
                       drover_graph_position(graph, node) == SIZE_MAX
                   ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "graph %s has no node %s",
                                    cli_operand(cli, 0), node)
               : status == DROVER_OK ? tell_cancelled(cli, graph, node)
                                     : failed(cli, graph, status, "graph cancel");
    }
    drover_graph_destroy(&graph);
    return code;
}

const struct cli_command cmd_graph_cancel = {
    .group = "graph",
    .name = "cancel",
    .summary = "cancel a graph, or a node and what waits for it",
    .usage = "NAME|ID [NODE]",
    .about =
        "Prints each node and its state: cancelled, cancelling while something of it still\n"
        "runs, which is not waited for, or how it had ended before.",
    .operand_min = 1,
    .operand_max = 2,
    .run = cancel_graph,
};

static int retry_graph(struct cli *cli)
{
    struct json_out json;
    size_t count = 0;
    drover_graph *graph = NULL;
    int code = find(cli, &graph);
    if (code == CLI_OK) {
        drover_status status = drover_graph_retry(cli->client, graph, cli_operand(cli, 1),
                                                  CLI_ASK_MS, &count);
        code = status == DROVER_OK ? CLI_OK : failed(cli, graph, status, "graph retry");
    }
    drover_graph_destroy(&graph);
    if (code == CLI_OK && cli->json) {
        json_begin(&json);
        json_key_uint(&json, "retried", count);
        code = json_print(&json);
    } else if (code == CLI_OK) {
        (void)printf("%zu tasks run again\n", count);
        code = cli_flush(CLI_OK);
    }
    return code;
}

const struct cli_command cmd_graph_retry = {
    .group = "graph",
    .name = "retry",
    .summary = "run again what did not succeed in a graph, or in a part",
    .usage = "NAME|ID [NODE]",
    .about =
        "Of NODE and what waits for it, or of all; that has to have ended, the rest may go\n"
        "on. The new tasks wait for each other and for the others as the old ones did. An\n"
        "array of which some elements failed runs again whole, for what reads it.",
    .operand_min = 1,
    .operand_max = 2,
    .run = retry_graph,
};

/* ---- forget ------------------------------------------------------------------------------ */

static int forget_graph(struct cli *cli)
{
    drover_graph *graph = NULL;
    int code = find(cli, &graph);
    if (code == CLI_OK) {
        drover_status status = drover_graph_forget(cli->client, graph, CLI_ASK_MS);
        code = status == DROVER_OK ? CLI_OK : failed(cli, graph, status, "graph forget");
    }
    drover_graph_destroy(&graph);
    return code;
}

const struct cli_command cmd_graph_forget = {
    .group = "graph",
    .name = "forget",
    .summary = "drop a graph that has ended, its results and its name",
    .usage = "NAME|ID",
    .operand_min = 1,
    .operand_max = 1,
    .run = forget_graph,
};

/* ---- ls ---------------------------------------------------------------------------------- */

/* The rows of a page, into the grid or into the list. */
static int add_page(struct grid *grid, drover_value *list, const drover_value *page)
{
    drover_value *graphs = doc_get(page, "graphs");
    drover_value *row = NULL;
    drover_value_iter iter;
    char text[DOC_TEXT_MAX];
    int code = CLI_OK;
    if (graphs == NULL) {
        return CLI_OK;
    }
    drover_value_iter_init(&iter, graphs);
    while (code == CLI_OK && drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
        if (list != NULL) {
            code = drover_value_array_append(list, &row) == DROVER_OK ? CLI_OK
                                                                      : cli_no_memory();
        } else {
            drover_value *states = doc_get(row, "states");
            grid_row(grid);
            grid_text(grid, doc_text(row, "name", text, sizeof text));
            grid_text(grid, doc_text(row, "state", text, sizeof text));
            grid_int(grid, doc_int(row, "count"));
            grid_int(grid, states == NULL ? 0 : doc_int(states, "succeeded"));
            grid_text(grid, doc_text(row, "id", text, sizeof text));
            drover_value_destroy(&states);
        }
        drover_value_destroy(&row);
    }
    drover_value_destroy(&graphs);
    return code;
}

static int walk(const struct cli *cli, struct grid *grid, drover_value *list)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    int code = CLI_OK;
    do {
        drover_value *page = NULL;
        drover_status status = drover_graph_list(cli->client, 0, &cursor, watch_ask_ms(cli),
                                                 &page);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "graph ls");
        }
        code = add_page(grid, list, page);
        drover_value_destroy(&page);
    } while (code == CLI_OK && cursor.len > 0);
    return code;
}

static int list_json(const struct cli *cli)
{
    drover_value *list = NULL, *document = NULL;
    int code = drover_value_array_new(&list) == DROVER_OK ? walk(cli, NULL, list)
                                                          : cli_no_memory();
    if (code == CLI_OK) {
        code = drover_value_map_new(&document) == DROVER_OK &&
                       drover_value_map_set(document, "graphs", &list) == DROVER_OK
                   ? print_document(document)
                   : cli_no_memory();
    }
    drover_value_destroy(&list);
    drover_value_destroy(&document);
    return code;
}

static int list_once(struct cli *cli)
{
    static const struct grid_column columns[] = {{.name = "NAME"},
                                                 {.name = "STATE"},
                                                 {.name = "NODES", .right = true},
                                                 {.name = "SUCCEEDED", .right = true},
                                                 {.name = "ID"}};
    struct grid grid;
    if (cli->json) {
        return list_json(cli);
    }
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    int code = walk(cli, &grid, NULL);
    grid_sort(&grid);
    return cli_worse(code, grid_print(&grid));
}

static int list_graphs(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

const struct cli_command cmd_graph_list = {
    .group = "graph",
    .name = "ls",
    .summary = "list graphs and how far they are",
    .usage = WATCH_USAGE,
    .options = show_options,
    .option_count = DRV_ARRAY_LEN(show_options),
    .operand_max = 1,
    .run = list_graphs,
};
