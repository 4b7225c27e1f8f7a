/*
 * graph_doc.c: how graphs stand in the shared data:
 *
 *   graph/NAME   {id, name, nodes: [{name, type, id, after: [[position, always]]}]}
 *   graph/ID     the same, when the name is another one
 *
 * Nodes come after their parents. Both go by themselves after a week.
 */
#include "graph.h"
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS ((uint64_t)7 * 24 * 3600 * 1000)

enum { GRAPH_KEY_MAX = DRV_NAME_MAX + sizeof "graph/" };

static char *key_of(const char *name, char out_key[GRAPH_KEY_MAX])
{
    (void)snprintf(out_key, GRAPH_KEY_MAX, "graph/%s", name);
    return out_key;
}

static void pack_id(struct drv_pack *pack, const char *key, const drover_id *id)
{
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(id, text);
    drv_pack_key(pack, key);
    drv_pack_text(pack, text);
}

static void pack_node(struct drv_pack *pack, const struct graph_node *node)
{
    drv_pack_map(pack, 4);
    drv_pack_key(pack, "name");
    drv_pack_text(pack, node->name);
    drv_pack_key(pack, "type");
    drv_pack_text(pack, node->type);
    pack_id(pack, "id", &node->id);
    drv_pack_key(pack, "after");
    drv_pack_array(pack, node->edge_count);
    for (size_t i = 0; i < node->edge_count; i++) {
        drv_pack_array(pack, 2);
        drv_pack_uint(pack, node->edges[i].position);
        drv_pack_bool(pack, node->edges[i].always);
    }
}

static drover_status document_of(const drover_graph *graph, drover_value **out_document)
{
    struct drv_buffer bytes;
    struct drv_pack pack;
    drv_buffer_init(&bytes);
    drv_pack_init(&pack, &bytes);
    drv_pack_map(&pack, 3);
    pack_id(&pack, "id", &graph->id);
    drv_pack_key(&pack, "name");
    drv_pack_text(&pack, graph->name);
    drv_pack_key(&pack, "nodes");
    drv_pack_array(&pack, graph->count);
    for (size_t i = 0; i < graph->count; i++) {
        pack_node(&pack, &graph->nodes[i]);
    }
    drover_status status = drv_pack_status(&pack);
    if (!status) {
        status = drover_value_from_msgpack(bytes.bytes, bytes.len, out_document);
    }
    drv_buffer_fini(&bytes);
    return status;
}

drover_status graph_save(drover_client *client, drover_graph *graph, bool is_new,
                         int64_t timeout_ms)
{
    char key[GRAPH_KEY_MAX], id[DROVER_ID_TEXT_LEN + 1];
    drover_value *document = NULL;
    drover_status status = document_of(graph, &document);
    if (!status) {
        key_of(graph->name, key);
        status = is_new ? drover_kv_compare_and_set(client, key, 0, document, KEEP_MS,
                                                    timeout_ms, NULL)
                        : drover_kv_set(client, key, document, KEEP_MS, timeout_ms, NULL);
    }
    if (status == DROVER_CONFLICT) {
        status = graph_say(graph, status, "there is a graph %s already", graph->name);
    }
    drover_id_format(&graph->id, id);
    if (!status && strcmp(id, graph->name) != 0) {
        status = drover_kv_set(client, key_of(id, key), document, KEEP_MS, timeout_ms, NULL);
    }
    drover_value_destroy(&document);
    return status;
}

void graph_unsave(drover_client *client, const drover_graph *graph, int64_t timeout_ms)
{
    char key[GRAPH_KEY_MAX], id[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&graph->id, id);
    (void)!drover_kv_delete(client, key_of(graph->name, key), timeout_ms);
    if (strcmp(id, graph->name) != 0) {
        (void)!drover_kv_delete(client, key_of(id, key), timeout_ms);
    }
}

/* ---- reading ----------------------------------------------------------------------------- */

/* A copy of the text under a key. NULL: there is none. */
static char *text_at(const drover_value *map, const char *key)
{
    drover_value *item = NULL;
    const char *text = NULL;
    char *copy = NULL;
    if (drover_value_map_get(map, key, &item) == DROVER_OK &&
        drover_value_get_string(item, &text, NULL) == DROVER_OK) {
        copy = strdup(text);
    }
    drover_value_destroy(&item);
    return copy;
}

static bool id_at(const drover_value *map, drover_id *out_id)
{
    char *text = text_at(map, "id");
    bool is_fine = text != NULL && drover_id_parse(text, out_id) == DROVER_OK;
    free(text);
    return is_fine;
}

static bool read_edge(const drover_value *item, size_t before, struct graph_edge *edge)
{
    drover_value *position = NULL, *always = NULL;
    uint64_t number = SIZE_MAX;
    bool is_fine = drover_value_array_get(item, 0, &position) == DROVER_OK &&
                   drover_value_array_get(item, 1, &always) == DROVER_OK &&
                   drover_value_get_uint(position, &number) == DROVER_OK &&
                   drover_value_get_bool(always, &edge->always) == DROVER_OK && number < before;
    edge->position = (size_t)number;
    drover_value_destroy(&position);
    drover_value_destroy(&always);
    return is_fine;
}

static bool read_edges(const drover_value *map, size_t before, struct graph_node *node)
{
    drover_value *list = NULL, *item = NULL;
    drover_value_iter iter;
    bool is_fine = drover_value_map_get(map, "after", &list) == DROVER_OK;
    size_t count = is_fine ? drover_value_count(list) : 0;
    node->edges = calloc(count + 1, sizeof *node->edges);
    is_fine = is_fine && node->edges != NULL;
    if (is_fine) {
        drover_value_iter_init(&iter, list);
        while (is_fine && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            is_fine = read_edge(item, before, &node->edges[node->edge_count]);
            node->edge_count += is_fine;
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    return is_fine;
}

static bool read_node(drover_graph *graph, const drover_value *map)
{
    struct graph_node *node = graph_room(graph);
    if (node == NULL) {
        return false;
    }
    node->name = text_at(map, "name");
    node->type = text_at(map, "type");
    if (node->name == NULL || node->type == NULL || !id_at(map, &node->id) ||
        !read_edges(map, graph->count, node)) {
        graph_node_fini(node);
        return false;
    }
    graph->count++;
    return true;
}

static bool read_nodes(drover_graph *graph, const drover_value *document)
{
    drover_value *list = NULL, *item = NULL;
    drover_value_iter iter;
    bool is_fine = drover_value_map_get(document, "nodes", &list) == DROVER_OK;
    if (is_fine) {
        drover_value_iter_init(&iter, list);
        while (is_fine && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            is_fine = graph->count < DROVER_GRAPH_NODES_MAX && read_node(graph, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    return is_fine && graph->count > 0;
}

/* Anybody may write shared data: what does not look like a graph is none. */
static drover_status graph_of(const drover_value *document, drover_graph **out_graph)
{
    drover_graph *graph = NULL;
    char *name = text_at(document, "name");
    drover_status status = name == NULL ? DROVER_UNKNOWN : drover_graph_new(name, &graph);
    free(name);
    if (!status && (!id_at(document, &graph->id) || !read_nodes(graph, document))) {
        status = DROVER_UNKNOWN;
    }
    if (status) {
        drover_graph_destroy(&graph);
        return status == DROVER_NOMEM ? status : DROVER_UNKNOWN;
    }
    graph->is_checked = true;
    *out_graph = graph;
    return DROVER_OK;
}

drover_status drover_graph_find(drover_client *client, const char *name, int64_t timeout_ms,
                                drover_graph **out_graph)
{
    char key[GRAPH_KEY_MAX];
    drover_value *document = NULL;
    if (name == NULL || !drover_name_is_valid(name)) {
        return DROVER_INVALID;
    }
    drover_status status = drover_kv_get(client, key_of(name, key), timeout_ms, &document,
                                         NULL);
    if (!status) {
        status = graph_of(document, out_graph);
    }
    drover_value_destroy(&document);
    return status;
}
