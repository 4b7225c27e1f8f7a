/*
 * graph_calls.c: what is done with a whole graph: submit, wait, cancel, retry, forget, list.
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

/* The node whose task is meant; NULL: none. */
static const struct graph_node *node_with(const drover_graph *graph, const drover_id *id)
{
    for (size_t i = 0; i < graph->count; i++) {
        if (drover_id_equal(&graph->nodes[i].id, id)) {
            return &graph->nodes[i];
        }
    }
    return NULL;
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
        const char *text = ask.text[0] != '\0' ? ask.text : drover_status_text(status);
        const struct graph_node *node = ask.has_note && ask.position < count
                                            ? node_with(graph, &targets[ask.position].id)
                                            : NULL;
        (void)(node == NULL ? graph_say(graph, status, "%s", text)
                            : graph_say(graph, status, "node %s: %s", node->name, text));
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

/* ---- how a node is ----------------------------------------------------------------------- */

static drover_state state_of(const drover_value *document)
{
    drover_value *item = NULL;
    const char *text = NULL;
    drover_state state = DROVER_STATE_WAITING;
    if (drover_value_map_get(document, "state", &item) == DROVER_OK &&
        drover_value_get_string(item, &text, NULL) == DROVER_OK) {
        while (state < DROVER_STATE_LOST && strcmp(drover_state_name(state), text) != 0) {
            state++;
        }
    }
    drover_value_destroy(&item);
    return state;
}

/* The state in which a node has ended. OK; NOT_READY and UNKNOWN, with words; others. */
static drover_status look_at(drover_client *client, drover_graph *graph,
                             const struct graph_node *node, int64_t timeout_ms,
                             drover_state *out_state)
{
    drover_value *document = NULL;
    drover_status status = drover_task_show(client, &node->id, DROVER_INDEX_NONE, timeout_ms,
                                            &document);
    if (status == DROVER_UNKNOWN) {
        return graph_say(graph, status, "node %s: its task is not there any more", node->name);
    }
    if (status) {
        return graph_say(graph, status, "node %s: %s", node->name, drover_status_text(status));
    }
    *out_state = state_of(document);
    drover_value_destroy(&document);
    return drover_state_is_terminal(*out_state)
               ? DROVER_OK
               : graph_say(graph, DROVER_NOT_READY, "node %s has not ended", node->name);
}

/* ---- retry ------------------------------------------------------------------------------- */

struct retry {
    drover_state *states;
    bool *is_chosen;
    struct drv_target *targets;
    drover_id *ids; /* of all nodes, as they will be */
    size_t count;
};

static void retry_fini(struct retry *retry)
{
    free(retry->states);
    free(retry->is_chosen);
    free(retry->targets);
    free(retry->ids);
}

static bool retry_init(struct retry *retry, const drover_graph *graph, size_t from)
{
    *retry = (struct retry){.states = calloc(graph->count + 1, sizeof *retry->states),
                            .is_chosen = choose(graph, from),
                            .targets = calloc(graph->count + 1, sizeof *retry->targets),
                            .ids = calloc(graph->count + 1, sizeof *retry->ids)};
    return retry->states != NULL && retry->is_chosen != NULL && retry->targets != NULL &&
           retry->ids != NULL;
}

/* Parents first. The broker knows what each of them waited for, and which of these have been
 * retried meanwhile. */
static drover_status plan_retry(struct retry *retry, const drover_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        retry->ids[i] = node->id;
        if (!retry->is_chosen[i] || retry->states[i] == DROVER_STATE_SUCCEEDED) {
            continue;
        }
        struct drv_target *target = &retry->targets[retry->count++];
        *target = (struct drv_target){.id = node->id, .index = DROVER_INDEX_NONE};
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
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < graph->count; i++) {
        if (retry->is_chosen[i]) {
            status = look_at(client, graph, &graph->nodes[i], timeout_ms, &retry->states[i]);
        }
    }
    if (!status) {
        status = plan_retry(retry, graph);
    }
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

/* ---- all graphs -------------------------------------------------------------------------- */

drover_status drover_graph_list(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                int64_t timeout_ms, drover_value **out_document)
{
    return drv_ask_rows(client, DRV_TOPIC_GRAPHS, NULL, limit, cursor, timeout_ms,
                        out_document);
}

/* The last ones first, since what is waited for is kept. Those that are gone are no mistake. */
static drover_status forget_tasks(drover_client *client, drover_graph *graph,
                                  int64_t timeout_ms)
{
    drover_status status = DROVER_OK;
    for (size_t i = graph->count; !status && i > 0; i--) {
        const struct graph_node *node = &graph->nodes[i - 1];
        status = drover_forget(client, &node->id, DROVER_INDEX_NONE, timeout_ms);
        if (status == DROVER_UNKNOWN) {
            status = DROVER_OK;
        } else if (status) {
            (void)graph_say(graph, status, "node %s: %s", node->name,
                            drover_status_text(status));
        } else {
            /* forgotten */
        }
    }
    return status;
}

drover_status drover_graph_forget(drover_client *client, drover_graph *graph,
                                  int64_t timeout_ms)
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < graph->count; i++) {
        drover_state state;
        status = look_at(client, graph, &graph->nodes[i], timeout_ms, &state);
        status = status == DROVER_UNKNOWN ? DROVER_OK : status;
    }
    if (!status) {
        status = forget_tasks(client, graph, timeout_ms);
    }
    if (!status) {
        graph->problem[0] = '\0';
        graph_unsave(client, graph, timeout_ms);
    }
    return status;
}
