/*
 * graph.h: tasks that wait for each other, submitted in one call, all of them or none.
 *
 *     drover_graph *graph = NULL;
 *     drover_graph_edge after[] = {{"left", false}, {"right", false}};
 *     drover_graph_new("nightly", &graph);
 *     drover_graph_add(graph, "left", "fetch", a, NULL, NULL, 0);
 *     drover_graph_add(graph, "right", "fetch", b, NULL, NULL, 0);
 *     drover_graph_add(graph, "merge", "merge", NULL, NULL, after, 2);
 *     drover_graph_submit(client, graph, 5000);
 *     drover_graph_wait(client, graph, DROVER_FOREVER, NULL);
 *
 * Nodes have names, in any order; what makes no sense (a name that is not there, or twice, a
 * circle) is found before anything is sent. Each node is a task of its own, with an id.
 *
 * A graph that was submitted can be found by its name or id for seven days, also by other
 * clients: it stands in the shared data under `graph/NAME` and `graph/ID`.
 *
 * A graph may be used by one thread at a time. Rules for time, ownership and status are those
 * of client.h.
 */
#ifndef DROVER_GRAPH_H
#define DROVER_GRAPH_H

#include <drover/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DROVER_GRAPH_NODES_MAX 1024
#define DROVER_GRAPH_AFTER_MAX \
    64 /* what one node waits for, tasks outside the graph included */

typedef struct drover_graph drover_graph;

/* What a node waits for. */
typedef struct drover_graph_edge {
    const char *node; /* name of another node */
    bool always;      /* false: it must have succeeded; true: ended in any way */
} drover_graph_edge;

/* An empty one. name: a name; NULL: its id. Returns DROVER_OK, DROVER_INVALID, DROVER_NOMEM. */
DROVER_API DROVER_MUST_USE drover_status drover_graph_new(const char *name,
                                                          drover_graph **out_graph);

/*
 * Adds a node: a task of this type with this payload (NULL: nil) that waits for `after`, count
 * edges to nodes that may be added later; options (NULL: defaults) are copied, options->after
 * names tasks outside the graph, options->id must be NULL. Sends nothing.
 * Returns DROVER_OK; DROVER_INVALID, DROVER_CONFLICT (two nodes of one name), DROVER_LIMIT,
 * DROVER_TOO_BIG, with words in drover_graph_problem; DROVER_NOMEM.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_add(
    drover_graph *graph, const char *node, const char *type, const drover_value *in,
    const drover_submit_options *options, const drover_graph_edge *after, size_t count);

/*
 * Adds an array: a node with `item_count` elements, each with one of `items` (NULL among them:
 * nil) as its payload, and `with` (NULL: none), which they share. They wait for `after`
 * together; what waits for the node waits for all of them, and can read the result of each. All
 * nodes of a graph and all elements of its arrays together are at most 1,024: a larger array is
 * a drover_map_open whose options have `after`. Else as drover_graph_add.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_add_array(
    drover_graph *graph, const char *node, const char *type, const drover_value *with,
    const drover_value *const *items, size_t item_count, const drover_submit_options *options,
    const drover_graph_edge *after, size_t count);

/*
 * Whether it makes sense: DROVER_OK; DROVER_INVALID (no nodes, an edge to a node that is not
 * there, a circle), with words in drover_graph_problem that name the node. Sends nothing.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_check(drover_graph *graph);

/* What was wrong last, naming the node; "" when nothing was. Borrowed until the next call. */
DROVER_API const char *drover_graph_problem(const drover_graph *graph);

/*
 * Submits all nodes in one message and waits until the broker has taken them: all, or none. A
 * message has room for 1,024 nodes, elements included, and 256 KiB of payloads up to 64 KiB,
 * and for 16 that are larger. Returns DROVER_OK; what drover_graph_check returns;
 * DROVER_CONFLICT: there is a graph of this name; DROVER_TOO_BIG; DROVER_DEPENDENCY,
 * DROVER_BUSY, DROVER_REFUSED... as the broker says of a node, which drover_graph_problem
 * names.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_submit(drover_client *client,
                                                             drover_graph *graph,
                                                             int64_t timeout_ms);

/* A graph that was submitted, by its name or the text of its id. Returns DROVER_OK, or
 * DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_graph_find(drover_client *client,
                                                           const char *name, int64_t timeout_ms,
                                                           drover_graph **out_graph);

/* ---- what is in it: never blocks, all is borrowed -----------------------------------------
 */

typedef struct drover_graph_node {
    const char *name;
    const char *type;
    drover_id id; /* of its task; its last retry's */
    size_t parent_count;
} drover_graph_node;

DROVER_API const char *drover_graph_name(const drover_graph *graph);
DROVER_API drover_id drover_graph_id(const drover_graph *graph);
DROVER_API size_t drover_graph_count(const drover_graph *graph);

/* One node; once the graph was checked each comes after its parents. False: not so many. */
DROVER_API bool drover_graph_node_at(const drover_graph *graph, size_t position,
                                     drover_graph_node *out_node);

/* The position of parent `n` of the node at `position`; SIZE_MAX: not so many. */
DROVER_API size_t drover_graph_parent(const drover_graph *graph, size_t position, size_t n,
                                      bool *out_always);

/* The position of the node of this name; SIZE_MAX: there is none. */
DROVER_API size_t drover_graph_position(const drover_graph *graph, const char *node);

/* ---- a graph as a whole -------------------------------------------------------------------
 */

/*
 * Waits until all nodes have ended. out_states (may be NULL) has room for one state per node,
 * in their order; 0: it has not ended. Returns DROVER_OK, in whatever states they ended;
 * DROVER_TIMEOUT; DROVER_UNKNOWN: some task is not there any more.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_wait(drover_client *client,
                                                           const drover_graph *graph,
                                                           int64_t timeout_ms,
                                                           drover_state *out_states);

/*
 * Cancels `node` and everything that waits for it, directly or not; NULL: all nodes. Does not
 * wait for the ends. Returns DROVER_OK, DROVER_UNKNOWN (no such node).
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_cancel(drover_client *client,
                                                             const drover_graph *graph,
                                                             const char *node,
                                                             const char *reason,
                                                             int64_t timeout_ms);

/*
 * Runs again what did not succeed: of `node` and everything that waits for it, or of all nodes
 * (NULL). New tasks with the payloads and options of the old ones take their places and wait
 * for each other, and for the others, as before, tasks outside the graph included; an array of
 * which some elements did not succeed runs again whole. The rest of the graph may go on
 * meanwhile. out_count (may be NULL): how many. Returns DROVER_OK;
 * DROVER_NOT_READY: something of it has not ended; DROVER_UNKNOWN: a task of it is not there
 * any more, or no such node; DROVER_DEPENDENCY: what a node waits for is not there any more, or
 * has failed and is not retried with it;
 * DROVER_BUSY and the like. Then nothing was done; drover_graph_problem names the node.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_retry(drover_client *client,
                                                            drover_graph *graph,
                                                            const char *node,
                                                            int64_t timeout_ms,
                                                            size_t *out_count);

/*
 * As drover_retry (client.h), but the new task waits for `after` in place of what the old one
 * waited for; after_count 0: for nothing. Of a node of a graph the new task is not.
 */
DROVER_API DROVER_MUST_USE drover_status drover_retry_after(
    drover_client *client, const drover_id *id, uint32_t index, const drover_dependency *after,
    size_t after_count, int64_t timeout_ms, drover_id *out_new_id);

/*
 * Lets the broker drop a graph all of which has ended: its tasks, their results, its name,
 * which another one may then have. Returns DROVER_OK; DROVER_NOT_READY: something has not
 * ended, see drover_graph_problem.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_forget(drover_client *client,
                                                             drover_graph *graph,
                                                             int64_t timeout_ms);

/*
 * One page of `graphs`, in no order: `id`, `name`, `state`, `count` (of nodes), `age_ms?`,
 * `states{}` (nodes by state); limit and cursor as for drover_task_list.
 */
DROVER_API DROVER_MUST_USE drover_status drover_graph_list(drover_client *client,
                                                           uint32_t limit,
                                                           drover_cursor *cursor,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/* The tasks go on. NULL and a pointer to NULL are fine. */
DROVER_API void drover_graph_destroy(drover_graph **graph);

#ifdef __cplusplus
}
#endif

#endif
