/*
 * graph_view.h: what a graph looks like while it runs: its nodes with states and times, and the
 * path that decides how long it takes.
 */
#ifndef CLI_GRAPH_VIEW_H
#define CLI_GRAPH_VIEW_H

#include "cli.h"

#include <drover/graph.h>

struct graph_view_node {
    char state[24]; /* "unknown": it is not there any more */
    char reason[256];
    int64_t run_ms;  /* of the attempt that ended it, or so far; -1: none */
    int64_t path_ms; /* run times from a root to its end, at their longest */
    size_t before;   /* the parent on that path; SIZE_MAX: none */
    bool is_critical;
    bool is_array;
    int64_t count, ended; /* elements of an array */
};

struct graph_view {
    const drover_graph *graph;     /* borrowed */
    struct graph_view_node *nodes; /* owned */
    int64_t path_ms;               /* of the critical path */
};

/* Asks the broker for all nodes. CLI_OK, or says why not. */
int graph_view_init(struct graph_view *view, const struct cli *cli, const drover_graph *graph);
void graph_view_fini(struct graph_view *view);

/* A tree for people, or one document. CLI_OK, or says why not. */
int graph_view_print(const struct graph_view *view);
int graph_view_json(const struct graph_view *view);

#endif
