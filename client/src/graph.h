/*
 * graph.h: the inside of a graph, for graph*.c alone.
 */
#ifndef DRV_CLIENT_GRAPH_H
#define DRV_CLIENT_GRAPH_H

#include "spec.h"

#include <drover/graph.h>

struct graph_edge {
    char *name;      /* owned; NULL once it was resolved by a document */
    size_t position; /* of the node; known once the graph was checked */
    bool always;
};

struct graph_node {
    char *name; /* owned */
    char *type; /* owned */
    drover_id id;
    struct drv_task_spec *spec; /* owned; NULL: it was found, not made */
    struct drv_payload payload; /* owned; of an array what its elements share */
    struct drv_payload *items;  /* owned; of its elements */
    size_t item_count;
    bool is_array;
    struct graph_edge *edges; /* owned */
    size_t edge_count;
};

struct drover_graph {
    drover_id id;
    char name[DRV_NAME_MAX + 1];
    struct graph_node *nodes; /* owned; once checked in an order in which parents come first */
    size_t count, capacity;
    bool is_checked;
    char problem[512];
};

/* Says what is wrong and returns the status. */
drover_status graph_say(drover_graph *graph, drover_status status, const char *format, ...)
    DROVER_PRINTF(3, 4);

/* Room for one more node, zeroed, which counts once `count` is raised. NULL: no memory. */
struct graph_node *graph_room(drover_graph *graph);
void graph_node_fini(struct graph_node *node);

/* graph_doc.c: how it stands in the shared data. */
DROVER_MUST_USE drover_status graph_save(drover_client *client, drover_graph *graph,
                                         bool is_new, int64_t timeout_ms);
void graph_unsave(drover_client *client, const drover_graph *graph, int64_t timeout_ms);

#endif
