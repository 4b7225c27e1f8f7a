/*
 * graph.c: making a graph, and whether it makes sense.
 */
#include "graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

drover_status graph_say(drover_graph *graph, drover_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(graph->problem, sizeof graph->problem, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- life -------------------------------------------------------------------------------- */

drover_status drover_graph_new(const char *name, drover_graph **out_graph)
{
    if (name != NULL && !drover_name_is_valid(name)) {
        return DROVER_INVALID;
    }
    drover_graph *graph = calloc(1, sizeof *graph);
    drover_status status = graph == NULL ? DROVER_NOMEM : drover_id_new(&graph->id);
    if (status) {
        free(graph);
        return status;
    }
    if (name != NULL) {
        memcpy(graph->name, name, strlen(name) + 1);
    } else {
        drover_id_format(&graph->id, graph->name);
    }
    *out_graph = graph;
    return DROVER_OK;
}

void graph_node_fini(struct graph_node *node)
{
    for (size_t i = 0; i < node->edge_count; i++) {
        free(node->edges[i].name);
    }
    free(node->edges);
    free(node->name);
    free(node->type);
    if (node->spec != NULL) {
        drv_task_spec_unref(&node->spec);
    }
    drv_payload_fini(&node->payload);
    for (size_t i = 0; i < node->item_count; i++) {
        drv_payload_fini(&node->items[i]);
    }
    free(node->items);
}

void drover_graph_destroy(drover_graph **graph)
{
    if (graph == NULL || *graph == NULL) {
        return;
    }
    for (size_t i = 0; i < (*graph)->count; i++) {
        graph_node_fini(&(*graph)->nodes[i]);
    }
    free((*graph)->nodes);
    free(*graph);
    *graph = NULL;
}

struct graph_node *graph_room(drover_graph *graph)
{
    if (graph->count == graph->capacity) {
        size_t capacity = graph->capacity == 0 ? 16 : graph->capacity * 2;
        struct graph_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) {
            return NULL;
        }
        graph->nodes = nodes;
        graph->capacity = capacity;
    }
    struct graph_node *node = &graph->nodes[graph->count];
    memset(node, 0, sizeof *node);
    return node;
}

/* ---- adding ------------------------------------------------------------------------------ */

static drover_status check_node(drover_graph *graph, const char *name, const char *type,
                                const drover_submit_options *options, size_t edge_count)
{
    if (name == NULL || !drover_name_is_valid(name)) {
        return graph_say(graph, DROVER_INVALID, "a node's name is no name");
    }
    if (type == NULL || !drover_name_is_valid(type)) {
        return graph_say(graph, DROVER_INVALID, "node %s: its type is no name", name);
    }
    if (options->id != NULL) {
        return graph_say(graph, DROVER_INVALID, "node %s: it gets its id by itself", name);
    }
    if (edge_count + options->after_count > DROVER_GRAPH_AFTER_MAX) {
        return graph_say(graph, DROVER_LIMIT, "node %s: it waits for more than %d tasks", name,
                         DROVER_GRAPH_AFTER_MAX);
    }
    if (graph->count == DROVER_GRAPH_NODES_MAX) {
        return graph_say(graph, DROVER_LIMIT, "node %s: more than %d nodes", name,
                         DROVER_GRAPH_NODES_MAX);
    }
    if (drover_graph_position(graph, name) != SIZE_MAX) {
        return graph_say(graph, DROVER_CONFLICT, "node %s: there are two of that name", name);
    }
    return DROVER_OK;
}

static drover_status copy_edges(struct graph_node *node, const drover_graph_edge *after,
                                size_t count)
{
    node->edges = calloc(count + 1, sizeof *node->edges);
    if (node->edges == NULL) {
        return DROVER_NOMEM;
    }
    for (; node->edge_count < count; node->edge_count++) {
        struct graph_edge *edge = &node->edges[node->edge_count];
        const drover_graph_edge *from = &after[node->edge_count];
        *edge = (struct graph_edge){.name = strdup(from->node == NULL ? "" : from->node),
                                    .position = SIZE_MAX,
                                    .always = from->always};
        if (edge->name == NULL) {
            return DROVER_NOMEM;
        }
    }
    return DROVER_OK;
}

static drover_status fill_node(struct graph_node *node, const char *name, const char *type,
                               const drover_value *in, const drover_submit_options *options,
                               const drover_graph_edge *after, size_t count)
{
    node->name = strdup(name);
    node->type = strdup(type);
    if (node->name == NULL || node->type == NULL) {
        return DROVER_NOMEM;
    }
    drover_status status = drover_id_new(&node->id);
    if (!status) {
        status = drv_payload_init(&node->payload, in);
    }
    if (!status) {
        status = drv_task_spec_ensure(NULL, type, options, 0, &node->spec);
    }
    return status ? status : copy_edges(node, after, count);
}

static drover_status fill_items(struct graph_node *node, const drover_value *const *items,
                                size_t count)
{
    drover_status status = DROVER_OK;
    node->is_array = true;
    node->items = calloc(count + 1, sizeof *node->items);
    if (node->items == NULL) {
        return DROVER_NOMEM;
    }
    for (; !status && node->item_count < count; node->item_count += !status) {
        status = drv_payload_init(&node->items[node->item_count], items[node->item_count]);
    }
    return status;
}

/* What a node is made of. */
struct filling {
    const drover_value *in;
    bool is_array;
    const drover_value *const *items;
    size_t item_count;
};

static drover_status add(drover_graph *graph, const char *node, const char *type,
                         const struct filling *filling, const drover_submit_options *options,
                         const drover_graph_edge *after, size_t count)
{
    drover_submit_options resolved;
    const char *reason = "";
    drover_status status = drv_options_resolve(options, &resolved, &reason);
    if (status) {
        return graph_say(graph, status, "node %s: %s", node == NULL ? "" : node, reason);
    }
    status = check_node(graph, node, type, &resolved, count);
    if (status) {
        return status;
    }
    struct graph_node *room = graph_room(graph);
    if (room == NULL) {
        return DROVER_NOMEM;
    }
    status = fill_node(room, node, type, filling->in, &resolved, after, count);
    if (!status && filling->is_array) {
        status = fill_items(room, filling->items, filling->item_count);
    }
    if (status) {
        graph_node_fini(room);
        return status == DROVER_TOO_BIG
                   ? graph_say(graph, status, "node %s: its payload is too long", node)
                   : status;
    }
    graph->count++;
    graph->is_checked = false;
    graph->problem[0] = '\0';
    return DROVER_OK;
}

drover_status drover_graph_add(drover_graph *graph, const char *node, const char *type,
                               const drover_value *in, const drover_submit_options *options,
                               const drover_graph_edge *after, size_t count)
{
    struct filling filling = {.in = in};
    return add(graph, node, type, &filling, options, after, count);
}

drover_status drover_graph_add_array(drover_graph *graph, const char *node, const char *type,
                                     const drover_value *with, const drover_value *const *items,
                                     size_t item_count, const drover_submit_options *options,
                                     const drover_graph_edge *after, size_t count)
{
    struct filling filling = {with, true, items, item_count};
    if (item_count > DROVER_GRAPH_NODES_MAX) {
        return graph_say(graph, DROVER_LIMIT, "node %s: more than %d elements",
                         node == NULL ? "" : node, DROVER_GRAPH_NODES_MAX);
    }
    return add(graph, node, type, &filling, options, after, count);
}

/* ---- does it make sense ------------------------------------------------------------------ */

static drover_status resolve_edges(drover_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        struct graph_node *node = &graph->nodes[i];
        for (size_t j = 0; j < node->edge_count; j++) {
            struct graph_edge *edge = &node->edges[j];
            edge->position = drover_graph_position(graph, edge->name);
            if (edge->position == SIZE_MAX) {
                return graph_say(graph, DROVER_INVALID,
                                 "node %s: there is no node %s to wait for", node->name,
                                 edge->name);
            }
        }
    }
    return DROVER_OK;
}

/* A node of a circle: whoever goes from child to parent long enough is in one. */
static const char *find_circle(const drover_graph *graph, const bool *is_placed)
{
    size_t at = 0;
    while (is_placed[at]) {
        at++;
    }
    for (size_t steps = 0; steps < graph->count; steps++) {
        const struct graph_node *node = &graph->nodes[at];
        for (size_t j = 0; j < node->edge_count; j++) {
            if (!is_placed[node->edges[j].position]) {
                at = node->edges[j].position;
                break;
            }
        }
    }
    return graph->nodes[at].name;
}

static bool is_ready(const struct graph_node *node, const bool *is_placed)
{
    for (size_t j = 0; j < node->edge_count; j++) {
        if (!is_placed[node->edges[j].position]) {
            return false;
        }
    }
    return true;
}

/* order[n]: which node comes as number n. False: there is a circle. */
static bool order_nodes(const drover_graph *graph, bool *is_placed, size_t *order)
{
    size_t count = 0;
    bool has_moved = true;
    while (has_moved && count < graph->count) {
        has_moved = false;
        for (size_t i = 0; i < graph->count; i++) {
            if (!is_placed[i] && is_ready(&graph->nodes[i], is_placed)) {
                is_placed[i] = true;
                order[count++] = i;
                has_moved = true;
            }
        }
    }
    return count == graph->count;
}

static void rearrange(drover_graph *graph, struct graph_node *nodes, const size_t *order)
{
    size_t *places = (size_t *)order + graph->count; /* the other way round */
    for (size_t i = 0; i < graph->count; i++) {
        nodes[i] = graph->nodes[order[i]];
        places[order[i]] = i;
    }
    for (size_t i = 0; i < graph->count; i++) {
        for (size_t j = 0; j < nodes[i].edge_count; j++) {
            nodes[i].edges[j].position = places[nodes[i].edges[j].position];
        }
    }
    memcpy(graph->nodes, nodes, graph->count * sizeof *nodes);
}

drover_status drover_graph_check(drover_graph *graph)
{
    if (graph->is_checked) {
        return DROVER_OK;
    }
    if (graph->count == 0) {
        return graph_say(graph, DROVER_INVALID, "the graph has no nodes");
    }
    drover_status status = resolve_edges(graph);
    if (status) {
        return status;
    }
    bool *is_placed = calloc(graph->count, sizeof *is_placed);
    size_t *order = calloc(2 * graph->count, sizeof *order);
    struct graph_node *nodes = calloc(graph->count, sizeof *nodes);
    if (is_placed == NULL || order == NULL || nodes == NULL) {
        status = DROVER_NOMEM;
    } else if (order_nodes(graph, is_placed, order)) {
        rearrange(graph, nodes, order);
        graph->is_checked = true;
        graph->problem[0] = '\0';
    } else {
        status = graph_say(graph, DROVER_INVALID,
                           "node %s waits for itself, by way of what it waits for",
                           find_circle(graph, is_placed));
    }
    free(is_placed);
    free(order);
    free(nodes);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------- */

const char *drover_graph_problem(const drover_graph *graph)
{
    return graph->problem;
}

const char *drover_graph_name(const drover_graph *graph)
{
    return graph->name;
}

drover_id drover_graph_id(const drover_graph *graph)
{
    return graph->id;
}

size_t drover_graph_count(const drover_graph *graph)
{
    return graph->count;
}

bool drover_graph_node_at(const drover_graph *graph, size_t position,
                          drover_graph_node *out_node)
{
    if (position >= graph->count) {
        return false;
    }
    const struct graph_node *node = &graph->nodes[position];
    *out_node = (drover_graph_node){node->name, node->type, node->id, node->edge_count};
    return true;
}

size_t drover_graph_parent(const drover_graph *graph, size_t position, size_t n,
                           bool *out_always)
{
    if (position >= graph->count || n >= graph->nodes[position].edge_count) {
        return SIZE_MAX;
    }
    const struct graph_edge *edge = &graph->nodes[position].edges[n];
    if (out_always != NULL) {
        *out_always = edge->always;
    }
    return edge->position;
}

size_t drover_graph_position(const drover_graph *graph, const char *node)
{
    for (size_t i = 0; i < graph->count; i++) {
        if (strcmp(graph->nodes[i].name, node) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}
