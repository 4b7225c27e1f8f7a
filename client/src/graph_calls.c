/*
 * graph_calls.c: what is done with a whole graph: submit, wait, cancel, retry.
 */
#include "ask.h"
#include "graph.h"

#include <stdlib.h>
#include <string.h>

/* ---- submit ------------------------------------------------------------------------------ */

/* The message, for as long as the call lasts. */
struct parcel {
    struct drv_submit_group *groups;
    struct drv_entry *entries;
    struct drv_after *after; /* of all nodes */
};

static void parcel_fini(struct parcel *parcel)
{
    free(parcel->groups);
    free(parcel->entries);
    free(parcel->after);
}

static size_t count_after(const drover_graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->count; i++) {
        count += graph->nodes[i].edge_count + graph->nodes[i].spec->spec.after_count;
    }
    return count;
}

/* What it waits for outside the graph, then inside. */
static size_t list_after(const drover_graph *graph, const struct graph_node *node,
                         struct drv_after *after)
{
    size_t count = node->spec->spec.after_count;
    if (count > 0) {
        memcpy(after, node->spec->spec.after, count * sizeof *after);
    }
    for (size_t i = 0; i < node->edge_count; i++) {
        const struct graph_edge *edge = &node->edges[i];
        after[count++] = (struct drv_after){.id = graph->nodes[edge->position].id,
                                            .index = DROVER_INDEX_NONE,
                                            .when = edge->always ? 2 : 1};
    }
    return count;
}

/* Entries of the message: a node, and the elements of an array behind it. */
static size_t count_entries(const drover_graph *graph)
{
    size_t count = graph->count;
    for (size_t i = 0; i < graph->count; i++) {
        count += graph->nodes[i].item_count;
    }
    return count;
}

/* The entries of a node, with what they weigh. False: too much for one message. */
static bool pack_entries(const struct graph_node *node, struct drv_submit_group *group,
                         struct drv_entry *entries, struct drv_meter *meter)
{
    enum { ENTRY_BYTES = 32 };
    size_t head_bytes = node->spec->head_bytes + ENTRY_BYTES + group->spec.after_count * 32;
    entries[0] = (struct drv_entry){node->id, drv_payload_val(&node->payload)};
    bool fits = drv_meter_fits(meter, head_bytes, &entries[0].val);
    for (size_t i = 0; fits && i < node->item_count; i++) {
        entries[i + 1] = (struct drv_entry){.val = drv_payload_val(&node->items[i])};
        fits = drv_meter_fits(meter, ENTRY_BYTES, &entries[i + 1].val);
    }
    group->entries = entries;
    group->entry_count = 1 + node->item_count;
    group->spec.flags |= node->is_array ? (uint32_t)DRV_SPEC_ARRAY : 0;
    return fits;
}

static drover_status pack_parcel(drover_graph *graph, struct parcel *parcel)
{
    struct drv_meter meter;
    struct drv_after *after;
    size_t entry_count = count_entries(graph);
    if (entry_count > DROVER_GRAPH_NODES_MAX) {
        return graph_say(graph, DROVER_LIMIT, "more than %d nodes and elements",
                         DROVER_GRAPH_NODES_MAX);
    }
    parcel->groups = calloc(graph->count, sizeof *parcel->groups);
    parcel->entries = calloc(entry_count, sizeof *parcel->entries);
    parcel->after = after = calloc(count_after(graph) + 1, sizeof *parcel->after);
    if (parcel->groups == NULL || parcel->entries == NULL || after == NULL) {
        return DROVER_NOMEM;
    }
    drv_meter_reset(&meter);
    struct drv_entry *entries = parcel->entries;
    for (size_t i = 0; i < graph->count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        struct drv_submit_group *group = &parcel->groups[i];
        *group = (struct drv_submit_group){.spec = node->spec->spec};
        group->spec.after = after;
        group->spec.after_count = list_after(graph, node, after);
        after += group->spec.after_count;
        if (!pack_entries(node, group, entries, &meter)) {
            return graph_say(graph, DROVER_TOO_BIG,
                             "node %s: the graph does not fit into one message", node->name);
        }
        entries += group->entry_count;
    }
    return DROVER_OK;
}

/* The node of an entry; NULL: there is no such entry. */
static const struct graph_node *node_of(const drover_graph *graph, size_t position)
{
    for (size_t i = 0; i < graph->count; i++) {
        if (position <= graph->nodes[i].item_count) {
            return &graph->nodes[i];
        }
        position -= 1 + graph->nodes[i].item_count;
    }
    return NULL;
}

/* What the broker said of a node. */
static drover_status say_node(drover_graph *graph, const struct drv_ask *ask,
                              drover_status status)
{
    const struct graph_node *node = ask->has_note ? node_of(graph, ask->position) : NULL;
    if (node != NULL) {
        return graph_say(graph, status, "node %s: %s", node->name,
                         ask->text[0] != '\0' ? ask->text : drover_status_text(status));
    }
    return graph_say(graph, status, "%s",
                     ask->text[0] != '\0' ? ask->text : drover_status_text(status));
}

static drover_status send_parcel(drover_client *client, drover_graph *graph,
                                 const struct parcel *parcel, int64_t timeout_ms)
{
    struct drv_ask ask;
    drv_ask_init(&ask, client, DRV_GRAPH);
    ask.pending.message.submit = (struct drv_submit){parcel->groups, graph->count};
    drover_status status = drv_ask_call(&ask, timeout_ms);
    if (status) {
        (void)say_node(graph, &ask, status);
    }
    drv_ask_fini(&ask);
    return status;
}

static bool is_made(const drover_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        if (graph->nodes[i].spec == NULL) {
            return false;
        }
    }
    return true;
}

drover_status drover_graph_submit(drover_client *client, drover_graph *graph,
                                  int64_t timeout_ms)
{
    struct parcel parcel = {NULL, NULL, NULL};
    if (!is_made(graph)) {
        return graph_say(graph, DROVER_INVALID, "the graph was submitted before");
    }
    drover_status status = drover_graph_check(graph);
    if (!status) {
        status = pack_parcel(graph, &parcel);
    }
    /* Its name first: a graph that cannot be found again must not run. */
    if (!status) {
        status = graph_save(client, graph, true, timeout_ms);
        if (!status) {
            status = send_parcel(client, graph, &parcel, timeout_ms);
            if (status && status != DROVER_TIMEOUT && status != DROVER_OUTCOME_UNKNOWN) {
                graph_unsave(client, graph, timeout_ms);
            }
        }
    }
    parcel_fini(&parcel);
    return status;
}

/* ---- parts of it ------------------------------------------------------------------------- */

/* Which nodes are meant: one and what waits for it, or all. NULL: no memory. */
static bool *choose(const drover_graph *graph, size_t from)
{
    bool *is_chosen = calloc(graph->count + 1, sizeof *is_chosen);
    for (size_t i = 0; is_chosen != NULL && i < graph->count; i++) {
        is_chosen[i] = from == SIZE_MAX || i == from;
        for (size_t j = 0; j < graph->nodes[i].edge_count; j++) {
            is_chosen[i] |= is_chosen[graph->nodes[i].edges[j].position];
        }
    }
    return is_chosen;
}

/* OK with *out_from SIZE_MAX: all; UNKNOWN. */
static drover_status find_from(const drover_graph *graph, const char *node, size_t *out_from)
{
    *out_from = SIZE_MAX;
    if (node == NULL) {
        return DROVER_OK;
    }
    *out_from = drover_graph_position(graph, node);
    return *out_from == SIZE_MAX ? DROVER_UNKNOWN : DROVER_OK;
}

static drover_status ask_targets(drover_client *client, drover_graph *graph, enum drv_kind kind,
                                 const struct drv_target *targets, size_t count,
                                 const char *reason, int64_t timeout_ms)
{
    struct drv_ask ask;
    drv_ask_init(&ask, client, kind);
    ask.pending.message.targets = (struct drv_targets){
        .targets = targets, .target_count = count, .text = drv_str_of(reason)};
    drover_status status = drv_ask_call(&ask, timeout_ms);
    if (status && graph != NULL) {
        (void)graph_say(graph, status, "%s",
                        ask.text[0] != '\0' ? ask.text : drover_status_text(status));
    }
    drv_ask_fini(&ask);
    return status;
}

drover_status drover_graph_cancel(drover_client *client, const drover_graph *graph,
                                  const char *node, const char *reason, int64_t timeout_ms)
{
    size_t from, count = 0;
    drover_status status = find_from(graph, node, &from);
    if (status) {
        return status;
    }
    bool *is_chosen = choose(graph, from);
    struct drv_target *targets = calloc(graph->count + 1, sizeof *targets);
    if (is_chosen == NULL || targets == NULL) {
        status = DROVER_NOMEM;
    }
    /* The last ones first, so that none fails for want of what it waits for. */
    for (size_t i = graph->count; !status && i > 0; i--) {
        if (is_chosen[i - 1]) {
            targets[count++] = (struct drv_target){.id = graph->nodes[i - 1].id,
                                                   .index = DROVER_INDEX_NONE};
        }
    }
    if (!status) {
        status = ask_targets(client, NULL, DRV_CANCEL, targets, count, reason, timeout_ms);
    }
    free(is_chosen);
    free(targets);
    return status;
}

drover_status drover_graph_wait(drover_client *client, const drover_graph *graph,
                                int64_t timeout_ms, drover_state *out_states)
{
    drover_task_ref *tasks = calloc(graph->count + 1, sizeof *tasks);
    if (tasks == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < graph->count; i++) {
        tasks[i] = (drover_task_ref){.id = graph->nodes[i].id, .index = DROVER_INDEX_NONE};
    }
    drover_status status = drover_wait_all(client, tasks, graph->count, timeout_ms, out_states);
    free(tasks);
    return status;
}

/* ---- retry ------------------------------------------------------------------------------- */

struct retry {
    drover_state *states;
    bool *is_chosen;
    struct drv_target *targets;
    struct drv_after *after;
    drover_id *ids; /* of all nodes, as they will be */
    size_t count;
};

static void retry_fini(struct retry *retry)
{
    free(retry->states);
    free(retry->is_chosen);
    free(retry->targets);
    free(retry->after);
    free(retry->ids);
}

static bool retry_init(struct retry *retry, const drover_graph *graph, size_t from)
{
    size_t edges = 0;
    for (size_t i = 0; i < graph->count; i++) {
        edges += graph->nodes[i].edge_count;
    }
    *retry = (struct retry){.states = calloc(graph->count + 1, sizeof *retry->states),
                            .is_chosen = choose(graph, from),
                            .targets = calloc(graph->count + 1, sizeof *retry->targets),
                            .after = calloc(edges + 1, sizeof *retry->after),
                            .ids = calloc(graph->count + 1, sizeof *retry->ids)};
    return retry->states != NULL && retry->is_chosen != NULL && retry->targets != NULL &&
           retry->after != NULL && retry->ids != NULL;
}

static drover_status plan_retry(struct retry *retry, const drover_graph *graph)
{
    struct drv_after *after = retry->after;
    for (size_t i = 0; i < graph->count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        retry->ids[i] = node->id;
        if (!retry->is_chosen[i] || retry->states[i] == DROVER_STATE_SUCCEEDED) {
            continue;
        }
        struct drv_target *target = &retry->targets[retry->count++];
        *target = (struct drv_target){.id = node->id,
                                      .index = DROVER_INDEX_NONE,
                                      .after = after,
                                      .after_count = node->edge_count};
        for (size_t j = 0; j < node->edge_count; j++) {
            const struct graph_edge *edge = &node->edges[j];
            *after++ = (struct drv_after){.id = retry->ids[edge->position],
                                          .index = DROVER_INDEX_NONE,
                                          .when = edge->always ? 2 : 1};
        }
        drover_status status = drover_id_new(&target->new_id);
        if (status) {
            return status;
        }
        retry->ids[i] = target->new_id;
    }
    return DROVER_OK;
}

/* One was refused: the others must not run alone. */
static void take_back(drover_client *client, const struct retry *retry, int64_t timeout_ms)
{
    struct drv_target *made = calloc(retry->count + 1, sizeof *made);
    for (size_t i = 0; made != NULL && i < retry->count; i++) {
        made[i] = (struct drv_target){.id = retry->targets[retry->count - 1 - i].new_id,
                                      .index = DROVER_INDEX_NONE};
    }
    if (made != NULL) {
        (void)!ask_targets(client, NULL, DRV_CANCEL, made, retry->count,
                           "another retry of the graph was refused", timeout_ms);
    }
    free(made);
}

static drover_status run_retry(drover_client *client, drover_graph *graph, struct retry *retry,
                               int64_t timeout_ms)
{
    drover_status status = drover_graph_wait(client, graph, CLIENT_ANSWER_MS, retry->states);
    if (status) {
        return status == DROVER_TIMEOUT
                   ? graph_say(graph, DROVER_NOT_READY, "something has not ended")
                   : status;
    }
    status = plan_retry(retry, graph);
    if (status || retry->count == 0) {
        return status;
    }
    status = ask_targets(client, graph, DRV_RETRY, retry->targets, retry->count, NULL,
                         timeout_ms);
    if (status) {
        take_back(client, retry, timeout_ms);
        return status;
    }
    for (size_t i = 0; i < graph->count; i++) {
        graph->nodes[i].id = retry->ids[i];
    }
    return graph_save(client, graph, false, timeout_ms);
}

drover_status drover_graph_retry(drover_client *client, drover_graph *graph, const char *node,
                                 int64_t timeout_ms, size_t *out_count)
{
    struct retry retry;
    size_t from;
    drover_status status = find_from(graph, node, &from);
    if (status) {
        return graph_say(graph, status, "there is no node %s", node);
    }
    status = retry_init(&retry, graph, from) ? run_retry(client, graph, &retry, timeout_ms)
                                             : DROVER_NOMEM;
    if (!status && out_count != NULL) {
        *out_count = retry.count;
    }
    retry_fini(&retry);
    return status;
}
