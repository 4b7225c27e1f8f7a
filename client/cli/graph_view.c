/* graph_view.c: see graph_view.h. */
#include "graph_view.h"

#include "doc.h"
#include "human.h"
#include "pack.h"
#include "print.h"
#include "watch.h"

#include <drover/operate.h>

#include <stdlib.h>
#include <string.h>

/* ---- what the broker knows --------------------------------------------------------------- */

static int read_node(const struct cli *cli, const drover_id *id, struct graph_view_node *node)
{
    drover_value *document = NULL;
    drover_status status = drover_task_show(cli->client, id, DROVER_INDEX_NONE,
                                            watch_ask_ms(cli), &document);
    *node = (struct graph_view_node){.state = "unknown", .run_ms = -1, .before = SIZE_MAX};
    if (status == DROVER_UNKNOWN) {
        return CLI_OK;
    }
    if (status) {
        return cli_failed(cli, status, "graph show");
    }
    (void)doc_text(document, "state", node->state, sizeof node->state);
    (void)doc_text(document, "why", node->reason, sizeof node->reason);
    if (strcmp(node->state, "failed") == 0 || strcmp(node->state, "cancelled") == 0) {
        drover_value *error = doc_get(document, "error");
        if (error != NULL) {
            (void)doc_text(error, "text", node->reason, sizeof node->reason);
        }
        drover_value_destroy(&error);
    }
    if (doc_has(document, "run_ms") && doc_int(document, "attempt") > 0) {
        node->run_ms = doc_int(document, "run_ms");
    } else if (doc_has(document, "started_age_ms")) {
        node->run_ms = doc_int(document, "started_age_ms");
    }
    node->is_array = doc_has(document, "sealed");
    node->count = node->is_array ? doc_int(document, "count") : 0;
    node->ended = node->is_array ? doc_int(document, "ended") : 0;
    drover_value_destroy(&document);
    return CLI_OK;
}

/* Parents come first, so one walk finds the longest way to each node. */
static void find_path(struct graph_view *view)
{
    size_t count = drover_graph_count(view->graph), last = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct graph_view_node *node = &view->nodes[i];
        size_t parent;
        for (size_t n = 0; (parent = drover_graph_parent(view->graph, i, n, NULL)) != SIZE_MAX;
             n++) {
            if (node->before == SIZE_MAX ||
                view->nodes[parent].path_ms > view->nodes[node->before].path_ms) {
                node->before = parent;
            }
        }
        node->path_ms = (node->before == SIZE_MAX ? 0 : view->nodes[node->before].path_ms) +
                        (node->run_ms > 0 ? node->run_ms : 0);
        if (last == SIZE_MAX || node->path_ms > view->nodes[last].path_ms) {
            last = i;
        }
    }
    view->path_ms = last == SIZE_MAX ? 0 : view->nodes[last].path_ms;
    for (; last != SIZE_MAX && view->path_ms > 0; last = view->nodes[last].before) {
        view->nodes[last].is_critical = true;
    }
}

int graph_view_init(struct graph_view *view, const struct cli *cli, const drover_graph *graph)
{
    size_t count = drover_graph_count(graph);
    int code = CLI_OK;
    *view = (struct graph_view){.graph = graph,
                                .nodes = calloc(count + 1, sizeof *view->nodes)};
    if (view->nodes == NULL) {
        return cli_no_memory();
    }
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        drover_graph_node node;
        (void)drover_graph_node_at(graph, i, &node);
        code = read_node(cli, &node.id, &view->nodes[i]);
    }
    if (code == CLI_OK) {
        find_path(view);
    }
    return code;
}

void graph_view_fini(struct graph_view *view)
{
    free(view->nodes);
    view->nodes = NULL;
}

/* ---- for people -------------------------------------------------------------------------- */

/* A node stands below the parent that comes last, which is the one it waits for longest. */
static size_t tree_parent(const drover_graph *graph, size_t position)
{
    size_t parent, last = SIZE_MAX;
    for (size_t n = 0; (parent = drover_graph_parent(graph, position, n, NULL)) != SIZE_MAX;
         n++) {
        last = last == SIZE_MAX || parent > last ? parent : last;
    }
    return last;
}

static size_t next_below(const drover_graph *graph, size_t parent, size_t from)
{
    for (size_t i = from; i < drover_graph_count(graph); i++) {
        if (tree_parent(graph, i) == parent) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* "also after a, b": the parents under which it does not stand. */
static void print_others(const drover_graph *graph, size_t position)
{
    size_t parent, shown = tree_parent(graph, position);
    const char *before = "  also after ";
    for (size_t n = 0; (parent = drover_graph_parent(graph, position, n, NULL)) != SIZE_MAX;
         n++) {
        drover_graph_node node;
        if (parent != shown && drover_graph_node_at(graph, parent, &node)) {
            (void)printf("%s%s", before, node.name);
            before = ", ";
        }
    }
}

static void print_node(const struct graph_view *view, size_t position)
{
    const struct graph_view_node *state = &view->nodes[position];
    drover_graph_node node;
    char time[HUMAN_TEXT_MAX], id[DROVER_ID_TEXT_LEN + 1];
    (void)drover_graph_node_at(view->graph, position, &node);
    drover_id_format(&node.id, id);
    (void)printf("%s%s  %s", state->is_critical ? "* " : "", node.name, state->state);
    if (state->is_array) {
        (void)printf(" %lld/%lld", (long long)state->ended, (long long)state->count);
    }
    if (state->run_ms >= 0) {
        (void)printf(" %s", human_age(state->run_ms, time));
    }
    (void)printf("  %s  %s", node.type, id);
    print_others(view->graph, position);
    bool has_reason = strcmp(state->state, "succeeded") != 0 &&
                      strcmp(state->state, "unknown") != 0 && state->reason[0] != '\0';
    (void)printf("%s%s\n", has_reason ? "  " : "", has_reason ? state->reason : "");
}

/* The nodes below one, without recursion: `trail` holds the way down. */
static void print_tree(const struct graph_view *view, size_t root, size_t *trail)
{
    const drover_graph *graph = view->graph;
    size_t depth = 0;
    print_node(view, root);
    trail[0] = root;
    size_t at = next_below(graph, root, 0);
    for (;;) {
        while (at == SIZE_MAX) {
            if (depth == 0) {
                return;
            }
            depth--;
            at = next_below(graph, trail[depth], trail[depth + 1] + 1);
        }
        for (size_t i = 0; i < depth; i++) {
            bool goes_on = next_below(graph, trail[i], trail[i + 1] + 1) != SIZE_MAX;
            (void)fputs(goes_on ? "│  " : "   ", stdout);
        }
        bool is_last = next_below(graph, trail[depth], at + 1) == SIZE_MAX;
        (void)fputs(is_last ? "└─ " : "├─ ", stdout);
        print_node(view, at);
        trail[++depth] = at;
        at = next_below(graph, at, 0);
    }
}

int graph_view_print(const struct graph_view *view)
{
    size_t count = drover_graph_count(view->graph);
    size_t *trail = calloc(count + 1, sizeof *trail);
    char id[DROVER_ID_TEXT_LEN + 1], time[HUMAN_TEXT_MAX];
    drover_id graph_id = drover_graph_id(view->graph);
    if (trail == NULL) {
        return cli_no_memory();
    }
    drover_id_format(&graph_id, id);
    (void)printf("graph %s  %s  %zu nodes\n", drover_graph_name(view->graph), id, count);
    for (size_t root = next_below(view->graph, SIZE_MAX, 0); root != SIZE_MAX;
         root = next_below(view->graph, SIZE_MAX, root + 1)) {
        print_tree(view, root, trail);
    }
    free(trail);
    if (view->path_ms > 0) {
        const char *before = "critical path (*): ";
        for (size_t i = 0; i < count; i++) {
            drover_graph_node node;
            if (view->nodes[i].is_critical && drover_graph_node_at(view->graph, i, &node)) {
                (void)printf("%s%s", before, node.name);
                before = " > ";
            }
        }
        (void)printf(", %s\n", human_age(view->path_ms, time));
    }
    return cli_flush(CLI_OK);
}

/* ---- for programs ------------------------------------------------------------------------ */

static void pack_node(struct drv_pack *pack, const struct graph_view *view, size_t position)
{
    const struct graph_view_node *state = &view->nodes[position];
    drover_graph_node node;
    char id[DROVER_ID_TEXT_LEN + 1];
    bool always;
    size_t parent;
    (void)drover_graph_node_at(view->graph, position, &node);
    drover_id_format(&node.id, id);
    drv_pack_map(pack, 7U + (state->run_ms >= 0 ? 1U : 0U) + (state->is_array ? 2U : 0U));
    drv_pack_key(pack, "name");
    drv_pack_text(pack, node.name);
    drv_pack_key(pack, "type");
    drv_pack_text(pack, node.type);
    drv_pack_key(pack, "id");
    drv_pack_text(pack, id);
    drv_pack_key(pack, "state");
    drv_pack_text(pack, state->state);
    drv_pack_key(pack, "why");
    drv_pack_text(pack, state->reason);
    drv_pack_key(pack, "critical");
    drv_pack_bool(pack, state->is_critical);
    drv_pack_key(pack, "after");
    drv_pack_array(pack, node.parent_count);
    for (size_t n = 0;
         (parent = drover_graph_parent(view->graph, position, n, &always)) != SIZE_MAX; n++) {
        drover_graph_node other;
        (void)drover_graph_node_at(view->graph, parent, &other);
        drv_pack_map(pack, 2);
        drv_pack_key(pack, "name");
        drv_pack_text(pack, other.name);
        drv_pack_key(pack, "always");
        drv_pack_bool(pack, always);
    }
    if (state->run_ms >= 0) {
        drv_pack_key(pack, "run_ms");
        drv_pack_int(pack, state->run_ms);
    }
    if (state->is_array) {
        drv_pack_key(pack, "count");
        drv_pack_int(pack, state->count);
        drv_pack_key(pack, "ended");
        drv_pack_int(pack, state->ended);
    }
}

int graph_view_json(const struct graph_view *view)
{
    size_t count = drover_graph_count(view->graph);
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id graph_id = drover_graph_id(view->graph);
    drover_value *document = NULL;
    struct drv_buffer bytes;
    struct drv_pack pack;
    drv_buffer_init(&bytes);
    drv_pack_init(&pack, &bytes);
    drover_id_format(&graph_id, id);
    drv_pack_map(&pack, 4);
    drv_pack_key(&pack, "id");
    drv_pack_text(&pack, id);
    drv_pack_key(&pack, "name");
    drv_pack_text(&pack, drover_graph_name(view->graph));
    drv_pack_key(&pack, "critical_path_ms");
    drv_pack_int(&pack, view->path_ms);
    drv_pack_key(&pack, "nodes");
    drv_pack_array(&pack, count);
    for (size_t i = 0; i < count; i++) {
        pack_node(&pack, view, i);
    }
    drover_status status = drv_pack_status(&pack);
    if (!status) {
        status = drover_value_from_msgpack(bytes.bytes, bytes.len, &document);
    }
    drv_buffer_fini(&bytes);
    int code = status ? cli_no_memory() : print_document(document);
    drover_value_destroy(&document);
    return code;
}
