/* graph_file.c: see graph_file.h. */
#include "graph_file.h"

#include "buffer.h"
#include "check.h"
#include "doc.h"
#include "input.h"
#include "target.h"
#include "task_options.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 * 1024 * 1024, LIST_MAX = 64 };

/* One node, while it is read; texts borrow from values. */
struct node {
    struct cli *cli; /* borrowed: who asks for keys */
    const drover_value *map;
    const char *name;
    drover_submit_options options;
    drover_value *held[32]; /* owned: what texts borrow from */
    size_t held_count;
    drover_graph_edge edges[LIST_MAX];
    size_t edge_count;
    drover_dependency outside[LIST_MAX];
    drover_pair tags[LIST_MAX], require[LIST_MAX];
    drover_need needs[LIST_MAX];
    drover_value *tag_map[2];  /* owned */
    char *words[6 * LIST_MAX]; /* owned: names and values of tags, names of edges and needs */
    size_t word_count;
};

static const char *name_of(const struct node *node)
{
    return node->name == NULL ? "?" : node->name;
}

/* The text under a key, held by the node; NULL: there is none. */
static int read_text(struct node *node, const char *key, const char **out_text)
{
    drover_value *value = doc_get(node->map, key);
    *out_text = NULL;
    if (value == NULL) {
        return CLI_OK;
    }
    if (drover_value_get_string(value, out_text, NULL) != DROVER_OK) {
        drover_value_destroy(&value);
        return cli_say(CLI_USAGE, "node %s: %s is no text", name_of(node), key);
    }
    node->held[node->held_count++] = value;
    return CLI_OK;
}

static int read_int(const struct node *node, const char *key, int64_t min, int64_t max,
                    int64_t *out_number)
{
    drover_value *value = doc_get(node->map, key);
    int64_t number = 0;
    if (value == NULL) {
        return CLI_OK;
    }
    drover_status status = drover_value_get_int(value, &number);
    drover_value_destroy(&value);
    if (status || number < min || number > max) {
        return cli_say(CLI_USAGE, "node %s: %s is no number from %lld to %lld", name_of(node),
                       key, (long long)min, (long long)max);
    }
    *out_number = number;
    return CLI_OK;
}

/* "5s", or a number of milliseconds. */
static int read_time(const struct node *node, const char *key, uint64_t *out_ms)
{
    drover_value *value = doc_get(node->map, key);
    const char *text = NULL;
    if (value == NULL) {
        return CLI_OK;
    }
    drover_status status = drover_value_get_string(value, &text, NULL) == DROVER_OK
                               ? drv_duration_parse(text, out_ms)
                               : drover_value_get_uint(value, out_ms);
    drover_value_destroy(&value);
    return status == DROVER_OK ? CLI_OK
                               : cli_say(CLI_USAGE, "node %s: %s is no time, such as \"5s\"",
                                         name_of(node), key);
}

static char *keep_word(struct node *node, const char *word)
{
    char *copy = node->word_count < DRV_ARRAY_LEN(node->words) ? strdup(word) : NULL;
    if (copy != NULL) {
        node->words[node->word_count++] = copy;
    }
    return copy;
}

/* ---- lists ------------------------------------------------------------------------------- */

/* A task outside of the graph, by id or key; the key is one of the node's queue, unless it
 * names another. */
static int read_outside(struct node *node, const drover_value *item, bool always)
{
    char queue[DROVER_NAME_MAX + 1] = "";
    const char *text = "";
    drover_task_ref task;
    if (node->options.after_count == LIST_MAX) {
        return cli_say(CLI_USAGE, "node %s: it waits for more than %d tasks", name_of(node),
                       LIST_MAX);
    }
    if (doc_has(node->map, "queue")) {
        (void)doc_text(node->map, "queue", queue, sizeof queue);
    }
    drover_value *value = doc_get(item, "task");
    (void)!drover_value_get_string(value, &text, NULL);
    int code = target_find_in(node->cli, text, queue[0] != '\0' ? queue : NULL, &task);
    drover_value_destroy(&value);
    if (code == CLI_OK) {
        node->outside[node->options.after_count++] = (drover_dependency){
            .id = task.id, .index = task.index, .always = always};
    }
    return code;
}

/* "NAME", {"name": NAME, "always": true}, or a task outside: {"task": ID or key:NAME}. */
static int read_parent(struct node *node, const drover_value *item)
{
    const char *name = NULL;
    char text[160] = "";
    bool always = false;
    if (drover_value_get_string(item, &name, NULL) != DROVER_OK) {
        always = doc_bool(item, "always");
        if (doc_has(item, "task")) {
            return read_outside(node, item, always);
        }
        name = doc_text(item, "name", text, sizeof text);
    }
    if (node->edge_count == LIST_MAX) {
        return cli_say(CLI_USAGE, "node %s: it waits for more than %d tasks", name_of(node),
                       LIST_MAX);
    }
    name = keep_word(node, name);
    if (name == NULL) {
        return cli_no_memory();
    }
    node->edges[node->edge_count++] = (drover_graph_edge){name, always};
    return CLI_OK;
}

static int read_parents(struct node *node)
{
    drover_value *list = doc_get(node->map, "after");
    drover_value *item = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    if (list == NULL) {
        return CLI_OK;
    }
    if (drover_value_get_type(list) != DROVER_VALUE_ARRAY) {
        code = cli_say(CLI_USAGE, "node %s: after is no list", name_of(node));
    }
    drover_value_iter_init(&iter, list);
    while (code == CLI_OK && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        code = read_parent(node, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&list);
    return code;
}

static int read_pairs(struct node *node, const char *key, drover_pair *out_pairs,
                      size_t *out_count)
{
    drover_value *map = doc_get(node->map, key);
    drover_value *name = NULL, *item = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    if (map == NULL) {
        return CLI_OK;
    }
    drover_value_iter_init(&iter, map);
    while (code == CLI_OK && drover_value_iter_next(&iter, &name, &item) == DROVER_OK) {
        const char *left = NULL, *right = NULL;
        if (*out_count == LIST_MAX || drover_value_get_string(name, &left, NULL) != DROVER_OK ||
            drover_value_get_string(item, &right, NULL) != DROVER_OK) {
            code = cli_say(CLI_USAGE, "node %s: %s is no map of up to %d texts", name_of(node),
                           key, LIST_MAX);
        } else {
            out_pairs[*out_count].name = keep_word(node, left);
            out_pairs[*out_count].value = keep_word(node, right);
            code = out_pairs[*out_count].name == NULL || out_pairs[*out_count].value == NULL
                       ? cli_no_memory()
                       : CLI_OK;
            (*out_count)++;
        }
        drover_value_destroy(&name);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&map);
    return code;
}

/* ---- a node ------------------------------------------------------------------------------ */

/* A number, or "4G" of memory. */
static bool read_need(const char *name, const drover_value *item, uint64_t *out_count)
{
    const char *text = NULL;
    return drover_value_get_string(item, &text, NULL) == DROVER_OK
               ? task_need_parse(name, text, out_count)
               : drover_value_get_uint(item, out_count) == DROVER_OK;
}

/* {"gpu": 1, "memory": "4G"} */
static int read_needs(struct node *node)
{
    drover_value *map = doc_get(node->map, "needs");
    drover_value *name = NULL, *item = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    size_t *count = &node->options.need_count;
    if (map == NULL) {
        return CLI_OK;
    }
    if (drover_value_get_type(map) != DROVER_VALUE_MAP) {
        drover_value_destroy(&map);
        return cli_say(CLI_USAGE, "node %s: needs is no map", name_of(node));
    }
    drover_value_iter_init(&iter, map);
    while (code == CLI_OK && drover_value_iter_next(&iter, &name, &item) == DROVER_OK) {
        const char *text = NULL;
        if (*count == LIST_MAX || drover_value_get_string(name, &text, NULL) != DROVER_OK ||
            !read_need(text, item, &node->needs[*count].count)) {
            code = cli_say(CLI_USAGE, "node %s: needs is no map of up to %d numbers",
                           name_of(node), LIST_MAX);
        } else {
            node->needs[*count].name = keep_word(node, text);
            code = node->needs[(*count)++].name != NULL ? CLI_OK : cli_no_memory();
        }
        drover_value_destroy(&name);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&map);
    node->options.needs = node->needs;
    return code;
}

/* {"memory": "1G", "cpu": "30s", "files": 100} */
static int read_limits(struct node *node)
{
    drover_value *map = doc_get(node->map, "limits");
    drover_value *name = NULL, *item = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    if (map == NULL) {
        return CLI_OK;
    }
    if (drover_value_get_type(map) != DROVER_VALUE_MAP) {
        drover_value_destroy(&map);
        return cli_say(CLI_USAGE, "node %s: limits is no map", name_of(node));
    }
    drover_value_iter_init(&iter, map);
    while (code == CLI_OK && drover_value_iter_next(&iter, &name, &item) == DROVER_OK) {
        const char *text = "";
        char limit[128], number[64];
        (void)!drover_value_get_string(name, &text, NULL);
        (void)snprintf(limit, sizeof limit, "%.40s=%s", text,
                       doc_text(map, text, number, sizeof number));
        if (!task_limit_parse(&node->options, limit)) {
            code = cli_say(CLI_USAGE, "node %s: limits: %s is no limit, such as memory=1G",
                           name_of(node), limit);
        }
        drover_value_destroy(&name);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&map);
    return code;
}

static const char *const node_keys[] = {
    "name",   "type",         "payload",    "after",       "queue",  "priority", "delay",
    "expire", "timeout",      "retries",    "durability",  "keep",   "tags",     "require",
    "strict", "meta",         "backoff",    "elements",    "with",   "group",    "needs",
    "limits", "fairness-key", "not-before", "backoff-max", "losses",
};

/* A key that means nothing is a mistake. */
static int check_keys(const struct node *node)
{
    drover_value_iter iter;
    drover_value *key = NULL, *item = NULL;
    int code = CLI_OK;
    drover_value_iter_init(&iter, node->map);
    while (code == CLI_OK && drover_value_iter_next(&iter, &key, &item) == DROVER_OK) {
        const char *text = "";
        bool is_known = false;
        (void)!drover_value_get_string(key, &text, NULL);
        for (size_t i = 0; i < DRV_ARRAY_LEN(node_keys); i++) {
            is_known = is_known || strcmp(node_keys[i], text) == 0;
        }
        if (strcmp(text, "key") == 0) {
            code = cli_say(CLI_USAGE, "node %s: a task of a graph has no key", name_of(node));
        } else if (!is_known) {
            code = cli_say(CLI_USAGE, "node %s: '%s' means nothing", name_of(node), text);
        }
        drover_value_destroy(&key);
        drover_value_destroy(&item);
    }
    return code;
}

/* What the options of submit call --not-before. */
static int read_not_before(struct node *node)
{
    const char *text = NULL;
    int code = read_text(node, "not-before", &text);
    if (code != CLI_OK || text == NULL) {
        return code;
    }
    if (doc_has(node->map, "delay")) {
        return cli_say(CLI_USAGE, "node %s: say either delay or not-before", name_of(node));
    }
    return task_delay_until(text, &node->options.delay_ms)
               ? CLI_OK
               : cli_say(CLI_USAGE,
                         "node %s: not-before is no instant, such as 2026-11-27T22:00:00Z",
                         name_of(node));
}

/* "7d", "auto", or a number of milliseconds. */
static int read_keep(struct node *node)
{
    char text[16] = "";
    uint64_t keep_ms = 0;
    if (strcmp(doc_text(node->map, "keep", text, sizeof text), "auto") == 0) {
        return CLI_OK;
    }
    int code = read_time(node, "keep", &keep_ms);
    if (code == CLI_OK && doc_has(node->map, "keep")) {
        node->options.keep_ms = (int64_t)keep_ms;
    }
    return code;
}

static int read_options(struct node *node)
{
    drover_submit_options *options = &node->options;
    const char *durability = NULL, *meta = NULL;
    int64_t priority = 0, retries = 0, losses = options->loss_budget;
    int code = read_text(node, "queue", &options->queue);
    code = code == CLI_OK ? read_text(node, "group", &options->group) : code;
    code = code == CLI_OK ? read_text(node, "fairness-key", &options->fairness) : code;
    code = code == CLI_OK ? read_text(node, "durability", &durability) : code;
    code = code == CLI_OK ? read_text(node, "meta", &meta) : code;
    code = code == CLI_OK ? read_int(node, "priority", -128, 127, &priority) : code;
    code = code == CLI_OK ? read_int(node, "retries", 0, INT32_MAX, &retries) : code;
    code = code == CLI_OK ? read_int(node, "losses", 0, INT32_MAX, &losses) : code;
    code = code == CLI_OK ? read_time(node, "delay", &options->delay_ms) : code;
    code = code == CLI_OK ? read_time(node, "expire", &options->expire_ms) : code;
    code = code == CLI_OK ? read_time(node, "timeout", &options->timeout_ms) : code;
    code = code == CLI_OK ? read_time(node, "backoff", &options->backoff_ms) : code;
    code = code == CLI_OK ? read_time(node, "backoff-max", &options->backoff_max_ms) : code;
    code = code == CLI_OK ? read_keep(node) : code;
    code = code == CLI_OK ? read_not_before(node) : code;
    code = code == CLI_OK ? read_needs(node) : code;
    code = code == CLI_OK ? read_limits(node) : code;
    if (code != CLI_OK) {
        return code;
    }
    options->meta = meta;
    options->meta_len = meta == NULL ? 0 : strlen(meta);
    options->priority = (int)priority;
    options->retries = (uint32_t)retries;
    options->loss_budget = (int32_t)losses;
    options->strict = doc_bool(node->map, "strict");
    if (options->backoff_max_ms < options->backoff_ms && !doc_has(node->map, "backoff-max")) {
        options->backoff_max_ms = options->backoff_ms;
    }
    if (durability != NULL &&
        drover_durability_parse(durability, &options->durability) != DROVER_OK) {
        return cli_say(CLI_USAGE, "node %s: there is no durability %s", name_of(node),
                       durability);
    }
    return CLI_OK;
}

static void node_fini(struct node *node)
{
    for (size_t i = 0; i < node->held_count; i++) {
        drover_value_destroy(&node->held[i]);
    }
    for (size_t i = 0; i < node->word_count; i++) {
        free(node->words[i]);
    }
}

/* A node with a list of elements: an array. */
static drover_status add_elements(drover_graph *graph, const struct node *node,
                                  const char *type, const drover_value *list)
{
    size_t count = drover_value_count(list), taken = 0;
    drover_value **items = calloc(count + 1, sizeof *items);
    drover_value *with = doc_get(node->map, "with");
    drover_status status = items == NULL ? DROVER_NOMEM : DROVER_OK;
    drover_value_iter iter;
    drover_value_iter_init(&iter, list);
    while (!status && taken < count &&
           drover_value_iter_next(&iter, NULL, &items[taken]) == DROVER_OK) {
        taken++;
    }
    if (!status) {
        status = drover_graph_add_array(graph, node->name, type, with,
                                        (const drover_value *const *)items, taken,
                                        &node->options, node->edges, node->edge_count);
    }
    for (size_t i = 0; i < taken; i++) {
        drover_value_destroy(&items[i]);
    }
    free(items);
    drover_value_destroy(&with);
    return status;
}

/* A task, or an array. */
static int add_work(drover_graph *graph, const struct node *node, const char *type)
{
    drover_value *list = doc_get(node->map, "elements");
    drover_value *payload = doc_get(node->map, "payload");
    drover_status status;
    int code = CLI_OK;
    if (list == NULL && doc_has(node->map, "with")) {
        code = cli_say(CLI_USAGE, "node %s: with is what elements share", name_of(node));
    } else if (list != NULL &&
               (payload != NULL || drover_value_get_type(list) != DROVER_VALUE_ARRAY)) {
        code = cli_say(CLI_USAGE, "node %s: elements are a list, in place of a payload",
                       name_of(node));
    } else {
        status = list != NULL ? add_elements(graph, node, type, list)
                              : drover_graph_add(graph, node->name, type, payload,
                                                 &node->options, node->edges, node->edge_count);
        code = status == DROVER_OK ? CLI_OK
               : status == DROVER_NOMEM
                   ? cli_no_memory()
                   : cli_say_status(CLI_USAGE, status, "%s", drover_graph_problem(graph));
    }
    drover_value_destroy(&list);
    drover_value_destroy(&payload);
    return code;
}

static int add_node(drover_graph *graph, struct node *node)
{
    const char *type = NULL;
    drover_submit_options *options = &node->options;
    int code = read_text(node, "name", &node->name);
    code = code == CLI_OK ? check_keys(node) : code;
    code = code == CLI_OK ? read_text(node, "type", &type) : code;
    code = code == CLI_OK ? read_options(node) : code;
    code = code == CLI_OK ? read_parents(node) : code;
    code = code == CLI_OK ? read_pairs(node, "tags", node->tags, &options->tag_count) : code;
    code = code == CLI_OK ? read_pairs(node, "require", node->require, &options->require_count)
                          : code;
    if (code != CLI_OK) {
        return code;
    }
    if (node->name == NULL || type == NULL) {
        return cli_say(CLI_USAGE, "node %s: a node has a name and a type", name_of(node));
    }
    options->after = node->outside;
    options->tags = node->tags;
    options->require = node->require;
    return add_work(graph, node, type);
}

static int add_nodes(struct cli *cli, drover_graph *graph, const drover_value *list)
{
    drover_value *item = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    struct node *node = malloc(sizeof *node);
    if (node == NULL) {
        return cli_no_memory();
    }
    drover_value_iter_init(&iter, list);
    while (code == CLI_OK && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        memset(node, 0, sizeof *node);
        node->cli = cli;
        node->map = item;
        node->options = (drover_submit_options)DROVER_SUBMIT_OPTIONS_INIT;
        code = add_node(graph, node);
        node_fini(node);
        drover_value_destroy(&item);
    }
    free(node);
    return code;
}

static int read_graph(struct cli *cli, const drover_value *document, const char *path,
                      const char *name, drover_graph **out_graph)
{
    char own[DROVER_NAME_MAX + 1] = "";
    drover_value *nodes = doc_get(document, "nodes");
    if (nodes == NULL || drover_value_get_type(nodes) != DROVER_VALUE_ARRAY) {
        drover_value_destroy(&nodes);
        return cli_say(CLI_USAGE, "%s: a graph is {\"name\": ..., \"nodes\": [...]}", path);
    }
    if (name == NULL && doc_has(document, "name")) {
        name = doc_text(document, "name", own, sizeof own);
    }
    drover_status status = drover_graph_new(name, out_graph);
    int code = status == DROVER_OK        ? add_nodes(cli, *out_graph, nodes)
               : status == DROVER_INVALID ? cli_say(CLI_USAGE, "'%s' is no name", name)
                                          : cli_no_memory();
    drover_value_destroy(&nodes);
    if (code == CLI_OK) {
        status = drover_graph_check(*out_graph);
        code = status == DROVER_OK
                   ? CLI_OK
                   : cli_say_status(CLI_USAGE, status, "%s", drover_graph_problem(*out_graph));
    }
    return code;
}

int graph_file_read(struct cli *cli, const char *path, const char *name,
                    drover_graph **out_graph)
{
    struct drv_buffer bytes;
    drover_value *document = NULL;
    drover_graph *graph = NULL;
    drv_buffer_init(&bytes);
    int code = input_read_all(path, FILE_MAX, &bytes);
    if (code == CLI_OK) {
        code = input_json((const char *)bytes.bytes, bytes.len, path, &document);
    }
    if (code == CLI_OK) {
        code = read_graph(cli, document, path, name, &graph);
    }
    drover_value_destroy(&document);
    drv_buffer_fini(&bytes);
    if (code != CLI_OK) {
        drover_graph_destroy(&graph);
    }
    *out_graph = graph;
    return code;
}
