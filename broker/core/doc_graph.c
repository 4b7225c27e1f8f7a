/*
 * doc_graph.c: topics graphs and graph: tasks that wait for each other, seen as one.
 *
 * What belongs together stands in the shared data, where the client library has put it
 * (client/src/graph_doc.c): graph/NAME and graph/ID hold {id, name, nodes: [{name, type, id,
 * after: [[position, always]]}]}, nodes behind their parents. Anybody may write there, so it is
 * read as what a stranger says: what does not look like a graph is none.
 */
#include "document.h"

#include "body.h"
#include "broker.h"
#include "guard.h"
#include "kv.h"
#include "name.h"
#include "reader.h"
#include "utf8.h"
#include "why.h"

#include <stdlib.h>

enum {
    GRAPH_NODES_MAX = 1024,
    GRAPH_EDGES_MAX = 8192,
    GRAPH_SCAN = 4096,   /* nodes looked at for one page of a list */
    GRAPH_WHY_MAX = 64,  /* nodes of which it is told why they stand still */
    GRAPH_TEXT_MAX = 256 /* bytes of an error */
};

static const char prefix[] = "graph/";
enum { PREFIX_LEN = sizeof prefix - 1 };

struct node {
    struct drv_str name, type; /* borrowed from the value */
    struct drv_view after;     /* the same, encoded */
    drover_id id;
    bool is_there;
    struct item item; /* when it is */
    int64_t run_us;   /* of its last attempt, or so far; -1: none */
    int64_t path_us;  /* the longest way through it, in run times */
    size_t before;    /* the node before it on that way; SIZE_MAX: none */
    bool is_critical;
};

struct graph_plan {
    struct drv_str name;
    drover_id id;
    struct node *nodes; /* owned */
    size_t count;
    int64_t path_us;
    int64_t submitted_us; /* when its first task came that is still there; 0: none is */
    uint64_t states[DROVER_STATE_LOST + 1];
};

/* ---- reading ----------------------------------------------------------------------------- */

static bool is_key(struct drv_view key, const char *name)
{
    return drv_view_is_text(key, name);
}

static struct drv_str read_name(struct drv_cursor *cursor)
{
    struct drv_view name = drv_cursor_str(cursor);
    if (!drv_name_is_valid(name)) {
        drv_cursor_fail(cursor);
    }
    return str_of((const char *)name.bytes, name.len);
}

static void read_id(struct drv_cursor *cursor, drover_id *out_id)
{
    char text[DROVER_ID_TEXT_LEN + 1] = "";
    struct drv_view view = drv_cursor_str(cursor);
    if (view.len == DROVER_ID_TEXT_LEN) {
        memcpy(text, view.bytes, view.len);
    }
    if (drover_id_parse(text, out_id) != DROVER_OK) {
        drv_cursor_fail(cursor);
    }
}

/* Its parents stand before it. */
static void check_edges(struct drv_view after, size_t position, size_t *edges,
                        struct drv_cursor *outer)
{
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, after.bytes, after.len);
    uint32_t count = drv_cursor_array(&cursor);
    for (uint32_t i = 0; i < count && drv_cursor_is_ok(&cursor); i++) {
        bool is_pair = drv_cursor_array(&cursor) == 2;
        bool is_before = drv_cursor_uint(&cursor) < position;
        (void)drv_cursor_bool(&cursor);
        if (!is_pair || !is_before || ++*edges > GRAPH_EDGES_MAX) {
            drv_cursor_fail(&cursor);
        }
    }
    if (!drv_cursor_is_ok(&cursor)) {
        drv_cursor_fail(outer);
    }
}

static void read_node(struct drv_cursor *cursor, struct node *node)
{
    uint32_t pairs = drv_cursor_map(cursor);
    *node = (struct node){.run_us = -1, .before = SIZE_MAX};
    for (uint32_t i = 0; i < pairs && drv_cursor_is_ok(cursor); i++) {
        struct drv_view key = drv_cursor_str(cursor);
        if (is_key(key, "name")) {
            node->name = read_name(cursor);
        } else if (is_key(key, "type")) {
            node->type = read_name(cursor);
        } else if (is_key(key, "id")) {
            read_id(cursor, &node->id);
        } else if (is_key(key, "after")) {
            node->after = drv_cursor_value(cursor);
        } else {
            drv_cursor_skip(cursor);
        }
    }
    if (node->name.ptr == NULL || node->type.ptr == NULL || node->after.bytes == NULL) {
        drv_cursor_fail(cursor);
    }
}

static drover_status read_nodes(struct drv_cursor *cursor, struct graph_plan *plan)
{
    size_t count = drv_cursor_array(cursor);
    size_t edges = 0;
    if (count == 0 || count > GRAPH_NODES_MAX || plan->nodes != NULL) {
        drv_cursor_fail(cursor);
        return DROVER_OK;
    }
    plan->nodes = calloc(count, sizeof *plan->nodes);
    if (plan->nodes == NULL) {
        return DROVER_NOMEM;
    }
    for (; plan->count < count && drv_cursor_is_ok(cursor); plan->count++) {
        read_node(cursor, &plan->nodes[plan->count]);
        if (drv_cursor_is_ok(cursor)) {
            check_edges(plan->nodes[plan->count].after, plan->count, &edges, cursor);
        }
    }
    return DROVER_OK;
}

static void plan_fini(struct graph_plan *plan)
{
    free(plan->nodes);
    plan->nodes = NULL;
}

/* OK; UNKNOWN: it is no graph; NOMEM. */
static drover_status plan_read(const struct kv_entry *entry, struct graph_plan *plan)
{
    struct drv_val val = body_val(entry->val);
    struct drv_cursor cursor;
    drover_status status = DROVER_OK;
    memset(plan, 0, sizeof *plan);
    if (val.content_type.len > 0 ||
        drv_validate(val.bytes, val.len, &DRV_VALIDATE_VALUE) != DROVER_OK) {
        return DROVER_UNKNOWN;
    }
    drv_cursor_init(&cursor, val.bytes, val.len);
    uint32_t pairs = drv_cursor_map(&cursor);
    for (uint32_t i = 0; !status && i < pairs && drv_cursor_is_ok(&cursor); i++) {
        struct drv_view key = drv_cursor_str(&cursor);
        if (is_key(key, "name")) {
            plan->name = read_name(&cursor);
        } else if (is_key(key, "id")) {
            read_id(&cursor, &plan->id);
        } else if (is_key(key, "nodes")) {
            status = read_nodes(&cursor, plan);
        } else {
            drv_cursor_skip(&cursor);
        }
    }
    if (!status && (!drv_cursor_is_ok(&cursor) || plan->name.ptr == NULL || plan->count == 0)) {
        status = DROVER_UNKNOWN;
    }
    if (status) {
        plan_fini(plan);
    }
    return status;
}

/* ---- what has become of it --------------------------------------------------------------- */

static enum drover_state node_state(const struct node *node)
{
    return task_is_array(node->item.task) ? array_state(node->item.task->array)
                                          : (enum drover_state)node->item.unit->state;
}

static int64_t node_run_us(const struct core *core, const struct node *node)
{
    const struct unit *unit = node->item.unit;
    const struct lease *lease = unit_lease(unit);
    if (unit_is_terminal(unit)) {
        return unit->attempt > 0 ? (int64_t)unit->run_us : -1;
    }
    return lease != NULL && lease->started_us != 0 ? core->now_us - lease->started_us : -1;
}

static void look_up(const struct core *core, struct graph_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct node *node = &plan->nodes[i];
        node->is_there = item_find(core, &node->id, DROVER_INDEX_NONE, &node->item) &&
                         guard_may(core, node->item.task); /* ids in there are anybody's */
        plan->states[node->is_there ? node_state(node) : DROVER_STATE_LOST]++;
        if (node->is_there) {
            int64_t at_us = node->item.task->submitted_us;
            node->run_us = node_run_us(core, node);
            plan->submitted_us = plan->submitted_us == 0 || at_us < plan->submitted_us
                                     ? at_us
                                     : plan->submitted_us;
        }
    }
}

/* Parents come first, so one walk finds the longest way to each node. */
static void find_path(struct graph_plan *plan)
{
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < plan->count; i++) {
        struct node *node = &plan->nodes[i];
        struct drv_cursor cursor;
        drv_cursor_init(&cursor, node->after.bytes, node->after.len);
        for (uint32_t left = drv_cursor_array(&cursor); left > 0; left--) {
            (void)drv_cursor_array(&cursor);
            size_t parent = (size_t)drv_cursor_uint(&cursor);
            (void)drv_cursor_bool(&cursor);
            if (node->before == SIZE_MAX ||
                plan->nodes[parent].path_us > plan->nodes[node->before].path_us) {
                node->before = parent;
            }
        }
        node->path_us = (node->before == SIZE_MAX ? 0 : plan->nodes[node->before].path_us) +
                        (node->run_us > 0 ? node->run_us : 0);
        last = last == SIZE_MAX || node->path_us > plan->nodes[last].path_us ? i : last;
    }
    plan->path_us = plan->nodes[last].path_us;
    for (; last != SIZE_MAX && plan->path_us > 0; last = plan->nodes[last].before) {
        plan->nodes[last].is_critical = true;
    }
}

/* The graph as one: what goes on counts most, then what went wrong. */
static const char *plan_state(const struct graph_plan *plan)
{
    const uint64_t *states = plan->states;
    if (states[DROVER_STATE_RUNNING] > 0) {
        return "running";
    }
    if (states[DROVER_STATE_QUEUED] > 0 || states[DROVER_STATE_DELAYED] > 0) {
        return "queued";
    }
    if (states[DROVER_STATE_WAITING] > 0) {
        return "waiting";
    }
    if (states[DROVER_STATE_FAILED] > 0 || states[DROVER_STATE_EXPIRED] > 0) {
        return "failed";
    }
    return states[DROVER_STATE_CANCELLED] > 0 ? "cancelled"
           : states[DROVER_STATE_LOST] > 0    ? "unknown"
                                              : "succeeded";
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put_summary(struct document *document, const struct graph_plan *plan)
{
    document_id(document, "id", &plan->id);
    document_str(document, "name", plan->name);
    document_text(document, "state", plan_state(plan));
    document_uint(document, "count", plan->count);
    if (plan->submitted_us != 0) {
        document_age(document, "age_ms", plan->submitted_us);
    }
    document_map(document, "states");
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
        if (plan->states[state] > 0) {
            document_uint(document,
                          state == DROVER_STATE_LOST
                              ? "unknown"
                              : drover_state_name((enum drover_state)state),
                          plan->states[state]);
        }
    }
    document_end(document);
}

/* The text of its error, or why it stands still. */
static void put_reason(struct document *document, const struct node *node, unsigned *left)
{
    const struct more *more = node->item.unit->more;
    enum drover_state state = node_state(node);
    struct why why;
    if (more != NULL && more->error != NULL) {
        struct drv_error error = failure_view(more->error);
        size_t len = error.text.len < GRAPH_TEXT_MAX ? error.text.len : GRAPH_TEXT_MAX;
        while (len > 0 && len < error.text.len &&
               ((uint8_t)error.text.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
        document_str(document, "why", str_of(error.text.ptr, len));
    } else if ((state == DROVER_STATE_QUEUED || state == DROVER_STATE_DELAYED) && *left > 0) {
        (*left)--;
        why_item(document->core, &node->item, &why);
        document_text(document, "why", why.text);
    }
}

static void put_node(struct document *document, const struct node *node, unsigned *whys_left)
{
    document_map(document, NULL);
    document_str(document, "name", node->name);
    document_str(document, "type", node->type);
    document_id(document, "id", &node->id);
    document_text(document, "state",
                  node->is_there ? drover_state_name(node_state(node)) : "unknown");
    document_raw(document, "after", str_of((const char *)node->after.bytes, node->after.len));
    if (node->run_us >= 0) {
        document_double(document, "run_ms", (double)node->run_us / 1000.0);
    }
    if (node->is_critical) {
        document_bool(document, "critical", true);
    }
    if (node->is_there && task_is_array(node->item.task)) {
        document_uint(document, "count", node->item.task->array->count);
        document_uint(document, "ended", node->item.task->array->ended);
    }
    if (node->is_there) {
        put_reason(document, node, whys_left);
    }
    document_end(document);
}

static void put_plan(struct document *document, const struct graph_plan *plan)
{
    unsigned whys_left = GRAPH_WHY_MAX;
    size_t i = 0;
    document_map(document, NULL);
    put_summary(document, plan);
    document_double(document, "critical_path_ms", (double)plan->path_us / 1000.0);
    document_array(document, "nodes");
    for (; i < plan->count && !document_is_full(document); i++) {
        put_node(document, &plan->nodes[i], &whys_left);
    }
    document_end(document);
    document_bool(document, "truncated", i < plan->count);
    document_end(document);
}

drover_status document_graph(struct document *document, struct drv_str name)
{
    char key[PREFIX_LEN + DRV_NAME_MAX];
    struct graph_plan plan;
    if (name.ptr == NULL || name.len > DRV_NAME_MAX) {
        return DROVER_UNKNOWN;
    }
    memcpy(key, prefix, PREFIX_LEN);
    memcpy(key + PREFIX_LEN, name.ptr, name.len);
    const struct kv_entry *entry = kv_find(document->core, str_of(key, PREFIX_LEN + name.len));
    drover_status status = entry == NULL ? DROVER_UNKNOWN : plan_read(entry, &plan);
    if (status) {
        return status;
    }
    look_up(document->core, &plan);
    find_path(&plan);
    put_plan(document, &plan);
    plan_fini(&plan);
    return DROVER_OK;
}

/* Under its name alone: it stands under its id too. */
static bool is_under_name(const struct kv_entry *entry, const struct graph_plan *plan)
{
    return entry->key_len == PREFIX_LEN + plan->name.len &&
           memcmp(entry->key + PREFIX_LEN, plan->name.ptr, plan->name.len) == 0;
}

/* Returns how many nodes were looked at. */
static size_t put_row(struct document *document, const struct kv_entry *entry, uint32_t *rows)
{
    struct graph_plan plan;
    size_t looked = 1;
    if (entry->key_len < PREFIX_LEN || memcmp(entry->key, prefix, PREFIX_LEN) != 0 ||
        plan_read(entry, &plan) != DROVER_OK) {
        return looked;
    }
    if (is_under_name(entry, &plan)) {
        look_up(document->core, &plan);
        document_map(document, NULL);
        put_summary(document, &plan);
        document_end(document);
        (*rows)--;
    }
    looked += plan.count;
    plan_fini(&plan);
    return looked;
}

bool document_graphs(struct document *document, struct drv_table_cursor *cursor, uint32_t rows)
{
    for (size_t looked = 0; looked < GRAPH_SCAN;) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        const struct kv_entry *entry = drv_table_next(&document->core->kv, cursor);
        if (entry == NULL) {
            return false;
        }
        looked += put_row(document, entry, &rows);
    }
    return true;
}
