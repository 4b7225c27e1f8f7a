/*
 * on_query.c: QUERY, answered with DOCUMENT.
 *
 * A cursor is the hash at which a walk of a table goes on, in eight bytes: what was there
 * during the whole walk is seen once, and nothing about the broker's memory leaves it. It is
 * veiled: who knows a key and its hash could look for the seed of the table, and for the salt
 * of the store. A walk through all tasks has a longer one (recent.h).
 */
#include "handlers.h"

#include "account.h"
#include "broker.h"
#include "document.h"
#include "guard.h"
#include "history_queue.h"
#include "why.h"

enum { CURSOR_LEN = 8, WALK_LEN = 1 + 2 * CURSOR_LEN, VEIL_ROUNDS = 4 };

struct page {
    struct core *core;
    const struct drv_query *query;
    struct drv_table_cursor cursor;
    uint32_t rows;
    bool has_more;
    bool is_numbered; /* the cursor is the number of a row */
    uint64_t number;
    bool is_walk; /* the cursor is where this stands */
    struct recent_walk walk;
};

static uint32_t veil_half(const struct core *core, unsigned round, uint32_t half)
{
    const struct drv_table keyed = {.seed = core->config.seed + round + 1};
    const uint32_t text[] = {half, round};
    return (uint32_t)drv_table_hash(&keyed, text, sizeof text);
}

/* A Feistel network, keyed for the life of the core. */
static uint64_t veil(const struct core *core, uint64_t hash)
{
    uint32_t left = (uint32_t)(hash >> 32U), right = (uint32_t)hash;
    for (unsigned round = 0; round < VEIL_ROUNDS; round++) {
        uint32_t next = left ^ veil_half(core, round, right);
        left = right;
        right = next;
    }
    return (uint64_t)left << 32U | right;
}

static uint64_t unveil(const struct core *core, uint64_t veiled)
{
    uint32_t left = (uint32_t)(veiled >> 32U), right = (uint32_t)veiled;
    for (unsigned round = VEIL_ROUNDS; round-- > 0;) {
        uint32_t before = right ^ veil_half(core, round, left);
        right = left;
        left = before;
    }
    return (uint64_t)left << 32U | right;
}

static void put_number(char *bytes, uint64_t number)
{
    for (size_t i = 0; i < CURSOR_LEN; i++) {
        bytes[i] = (char)(uint8_t)(number >> (8 * (CURSOR_LEN - 1 - i)));
    }
}

static uint64_t get_number(const char *bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < CURSOR_LEN; i++) {
        number = number << 8U | (uint8_t)bytes[i];
    }
    return number;
}

static bool read_cursor(struct page *page)
{
    struct drv_str bytes = page->query->cursor;
    page->cursor = DRV_TABLE_CURSOR_INIT;
    if (bytes.ptr == NULL || bytes.len == 0) {
        return true;
    }
    if (bytes.len != CURSOR_LEN) {
        return false;
    }
    page->cursor.order = unveil(page->core, get_number(bytes.ptr));
    page->cursor.after = UINTPTR_MAX;
    return true;
}

static struct drv_str write_cursor(struct core *core, uint64_t number)
{
    char *bytes = effects_alloc(core, CURSOR_LEN, 1);
    if (bytes != NULL) {
        put_number(bytes, number);
    }
    return str_of(bytes, bytes == NULL ? 0 : CURSOR_LEN);
}

static bool read_walk(struct page *page)
{
    struct drv_str bytes = page->query->cursor;
    struct recent_walk *walk = &page->walk;
    *walk = recent_walk_begin(page->core);
    if (bytes.ptr == NULL || bytes.len == 0) {
        return true;
    }
    if (bytes.len != WALK_LEN || (uint8_t)bytes.ptr[0] > 1) {
        return false;
    }
    uint64_t number = get_number(bytes.ptr + 1);
    walk->is_below = bytes.ptr[0] != 0;
    walk->bound_us = (int64_t)get_number(bytes.ptr + 1 + CURSOR_LEN);
    if (walk->is_below) {
        walk->table = (struct drv_table_cursor){.order = unveil(page->core, number),
                                                .after = UINTPTR_MAX};
    } else {
        walk->number = number;
    }
    return true;
}

static struct drv_str write_walk(struct core *core, const struct recent_walk *walk)
{
    char *bytes = effects_alloc(core, WALK_LEN, 1);
    if (bytes != NULL) {
        bytes[0] = (char)walk->is_below;
        put_number(bytes + 1, walk->is_below ? veil(core, walk->table.order) : walk->number);
        put_number(bytes + 1 + CURSOR_LEN, (uint64_t)walk->bound_us);
    }
    return str_of(bytes, bytes == NULL ? 0 : WALK_LEN);
}

static drover_status put_status(struct page *page, struct document *document)
{
    (void)page;
    document_status(document);
    return DROVER_OK;
}

static drover_status find_item(const struct page *page, struct item *out_item)
{
    if (!page->query->has_id) {
        return DROVER_INVALID;
    }
    if (!item_find(page->core, &page->query->id, page->query->index, out_item)) {
        return DROVER_UNKNOWN;
    }
    return guard_admits_task(page->core, out_item->task) ? DROVER_OK : DROVER_DENIED;
}

static drover_status put_task(struct page *page, struct document *document)
{
    struct item item;
    drover_status status = find_item(page, &item);
    if (status == DROVER_OK) {
        document_task(document, &item);
    }
    return status;
}

enum { OFFERED_MAX = 64 };

static int by_name(const void *a, const void *b)
{
    const struct drv_str *left = a;
    const struct drv_str *right = b;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->ptr, right->ptr, len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

static void put_offered(struct document *document)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct type *type;
    struct drv_str names[OFFERED_MAX];
    size_t count = 0;
    while (count < OFFERED_MAX &&
           (type = drv_table_next(&document->core->types, &cursor)) != NULL) {
        if (!drv_list_is_empty(&type->offers)) {
            names[count++] = type_name(type);
        }
    }
    qsort(names, count, sizeof *names, by_name);
    document_array(document, "offered");
    for (size_t i = 0; i < count; i++) {
        document_str(document, NULL, names[i]);
    }
    document_end(document);
}

static drover_status put_why(struct page *page, struct document *document)
{
    struct item item;
    struct why why;
    drover_status status = find_item(page, &item);
    if (status != DROVER_OK) {
        return status;
    }
    why_item(page->core, &item, &why);
    bool is_array = task_is_array(item.task) && item.index == DROVER_INDEX_NONE;
    document_map(document, NULL);
    document_id(document, "id", &item.task->id);
    document_int(document, "index", item.index == DROVER_INDEX_NONE ? -1 : (int64_t)item.index);
    document_text(document, "state",
                  drover_state_name(is_array ? array_state(item.task->array)
                                             : (enum drover_state)item.unit->state));
    if (item.task->spec->schedule != NULL) {
        document_str(document, "schedule", schedule_name(item.task->spec->schedule));
    }
    document_text(document, "reason", why.reason);
    document_text(document, "text", why.text);
    if (strcmp(why.reason, "no_type") == 0) {
        put_offered(document);
    }
    document_end(document);
    return DROVER_OK;
}

static drover_status put_tasks(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "tasks");
    if (page->is_walk) {
        page->has_more = document_tasks(document, page->query, &page->walk, page->rows);
    } else {
        page->has_more = document_group_tasks(document, page->query, &page->cursor, page->rows);
    }
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_queues(struct page *page, struct document *document)
{
    struct drv_str name = page->query->name;
    const struct queue *one = name.ptr == NULL ? NULL : queue_find(page->core, name);
    if (name.ptr != NULL && one == NULL) {
        return DROVER_UNKNOWN;
    }
    document_map(document, NULL);
    document_array(document, "queues");
    if (one != NULL) {
        document_queue(document, one);
    } else {
        page->has_more = document_queues(document, &page->cursor, page->rows);
    }
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_workers(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "workers");
    page->has_more = document_workers(document, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_kv(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "entries");
    page->has_more = document_kv(document, page->query->text, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_worker(struct page *page, struct document *document)
{
    const struct worker *worker = worker_find(page->core, page->query->name);
    if (worker == NULL) {
        return DROVER_UNKNOWN;
    }
    document_worker(document, worker, true);
    return DROVER_OK;
}

static drover_status put_statistics(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "workers");
    page->has_more = document_all_statistics(document, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_schedules(struct page *page, struct document *document)
{
    struct drv_str name = page->query->name;
    const struct schedule *one = name.ptr == NULL ? NULL : schedule_find(page->core, name);
    if (name.ptr != NULL && (one == NULL || one->plan == NULL)) {
        return DROVER_UNKNOWN;
    }
    if (one != NULL && !guard_admits_spec(page->core, one->plan->spec)) {
        return DROVER_DENIED;
    }
    document_map(document, NULL);
    document_array(document, "schedules");
    page->has_more = document_schedules(document, name, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_arrays(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "arrays");
    page->has_more = document_arrays(document, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

/* Here a cursor is the index at which it goes on. */
static drover_status put_elements(struct page *page, struct document *document)
{
    const struct drv_query *query = page->query;
    struct item item;
    uint64_t index = 0;
    drover_status status = find_item(page, &item);
    if (status != DROVER_OK) {
        return status;
    }
    for (size_t i = 0; i < query->cursor.len; i++) {
        index = index << 8U | (uint8_t)query->cursor.ptr[i];
    }
    if (!task_is_array(item.task) || query->index != DROVER_INDEX_NONE || index > UINT32_MAX) {
        return DROVER_INVALID;
    }
    uint32_t at = (uint32_t)index;
    document_map(document, NULL);
    document_id(document, "id", &item.task->id);
    document_array(document, "elements");
    page->is_numbered = document_elements(document, item.task->array, query->states, &at,
                                          page->rows);
    document_end(document);
    document_end(document);
    page->number = at;
    return DROVER_OK;
}

static drover_status put_values(struct page *page, struct document *document)
{
    struct item item;
    drover_status status = find_item(page, &item);
    if (status == DROVER_OK) {
        document_values(document, &item);
    }
    return status;
}

/* Here a cursor is the number of the last row, and there always is one. */
static drover_status put_rows(struct page *page, struct document *document,
                              const struct history_owner *owner)
{
    const struct drv_query *query = page->query;
    bool is_day = str_equals(query->text, str_of("day", 3));
    uint64_t after = 0;
    if (query->text.ptr != NULL && !is_day && !str_equals(query->text, str_of("hour", 4))) {
        return DROVER_INVALID;
    }
    for (size_t i = 0; i < query->cursor.len; i++) {
        after = after << 8U | (uint8_t)query->cursor.ptr[i];
    }
    page->number = document_history(document, is_day ? HISTORY_DAY : HISTORY_HOUR, owner, after,
                                    query->limit);
    page->is_numbered = true;
    return DROVER_OK;
}

static drover_status put_history(struct page *page, struct document *document)
{
    struct history_owner owner = {NULL, NULL};
    if (page->query->name.ptr != NULL) {
        owner.worker = worker_find(page->core, page->query->name);
        if (owner.worker == NULL) {
            return DROVER_UNKNOWN;
        }
    }
    return put_rows(page, document, &owner);
}

static drover_status put_queue_history(struct page *page, struct document *document)
{
    struct drv_str name = page->query->name;
    struct history_owner owner = {
        NULL, name.ptr == NULL ? NULL : queue_history_find(page->core, name)};
    return owner.queue == NULL ? DROVER_UNKNOWN : put_rows(page, document, &owner);
}

static drover_status put_key(struct page *page, struct document *document)
{
    const struct drv_query *query = page->query;
    struct drv_str queue = query->name.ptr == NULL ? drv_str_of("default") : query->name;
    const struct key *key = query->text.ptr == NULL ? NULL
                                                    : key_find(page->core, queue, query->text);
    if (key == NULL) {
        return DROVER_UNKNOWN;
    }
    if (key->task != NULL && !guard_admits_task(page->core, key->task)) {
        return DROVER_DENIED;
    }
    document_key(document, key);
    return DROVER_OK;
}

static drover_status put_groups(struct page *page, struct document *document)
{
    const struct group *group = NULL;
    if (page->query->name.ptr != NULL) {
        group = group_find(page->core, page->query->name);
        if (group == NULL) {
            return DROVER_UNKNOWN;
        }
    }
    document_map(document, NULL);
    document_array(document, "groups");
    if (group != NULL) {
        document_group(document, group);
    } else {
        page->has_more = document_groups(document, &page->cursor, page->rows);
    }
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_accounts(struct page *page, struct document *document)
{
    struct account *account = NULL;
    struct core *core = page->core;
    if (page->query->name.ptr != NULL) {
        account = account_find(core, page->query->name);
        if (guard_only(core) != NULL && guard_only(core) != account) {
            core->has_denied = true; /* whether it is there or not */
            return DROVER_DENIED;
        }
        if (account == NULL) {
            return DROVER_UNKNOWN;
        }
    }
    document_map(document, NULL);
    document_array(document, "accounts");
    if (account != NULL) {
        document_account(document, account);
    } else {
        page->has_more = document_accounts(document, &page->cursor, page->rows);
    }
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_graphs(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "graphs");
    page->has_more = document_graphs(document, &page->cursor, page->rows);
    document_end(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_graph(struct page *page, struct document *document)
{
    return document_graph(document, page->query->name);
}

static drover_status put_alerts(struct page *page, struct document *document)
{
    document_map(document, NULL);
    document_array(document, "alerts");
    bool has_more = document_alerts(document, page->rows);
    document_end(document);
    document_bool(document, "truncated", has_more);
    document_end(document);
    return DROVER_OK;
}

static drover_status put_alert_rules(struct page *page, struct document *document)
{
    (void)page;
    document_map(document, NULL);
    document_alert_rules(document);
    document_end(document);
    return DROVER_OK;
}

static drover_status answer(struct page *page, struct document *document)
{
    static drover_status (*const topics[])(struct page *, struct document *) = {
        [DRV_TOPIC_STATUS] = put_status,
        [DRV_TOPIC_TASK] = put_task,
        [DRV_TOPIC_WHY] = put_why,
        [DRV_TOPIC_TASKS] = put_tasks,
        [DRV_TOPIC_QUEUES] = put_queues,
        [DRV_TOPIC_WORKERS] = put_workers,
        [DRV_TOPIC_KV] = put_kv,
        [DRV_TOPIC_WORKER] = put_worker,
        [DRV_TOPIC_STATISTICS] = put_statistics,
        [DRV_TOPIC_SCHEDULES] = put_schedules,
        [DRV_TOPIC_ALERTS] = put_alerts,
        [DRV_TOPIC_ALERT_RULES] = put_alert_rules,
        [DRV_TOPIC_HISTORY] = put_history,
        [DRV_TOPIC_ARRAYS] = put_arrays,
        [DRV_TOPIC_VALUES] = put_values,
        [DRV_TOPIC_KEY] = put_key,
        [DRV_TOPIC_GROUPS] = put_groups,
        [DRV_TOPIC_GRAPHS] = put_graphs,
        [DRV_TOPIC_GRAPH] = put_graph,
        [DRV_TOPIC_ELEMENTS] = put_elements,
        [DRV_TOPIC_QUEUE_HISTORY] = put_queue_history,
        [DRV_TOPIC_ACCOUNTS] = put_accounts,
    };
    uint32_t topic = page->query->topic;
    if (topic >= sizeof(topics) / sizeof(topics[0]) || topics[topic] == NULL) {
        return DROVER_UNSUPPORTED;
    }
    page->is_walk = topic == DRV_TOPIC_TASKS && page->query->group.ptr == NULL;
    bool is_fine = page->is_walk ? read_walk(page) : read_cursor(page);
    return is_fine ? topics[topic](page, document) : DROVER_INVALID;
}

void on_query(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_query *query = &message->query;
    struct page page = {.core = core, .query = query, .rows = query->limit};
    struct document document;
    struct drv_str body = {0};
    if (page.rows == 0 || page.rows > DRV_QUERY_ROWS_MAX) {
        page.rows = DRV_QUERY_ROWS_MAX;
    }
    document_begin(&document, core);
    drover_status status = answer(&page, &document);
    if (status == DROVER_OK) {
        status = document_finish(&document, &body);
    }
    struct drv_message *reply = effects_message(core, DRV_DOCUMENT);
    if (reply != NULL) {
        reply->document.req = message->request.req;
        reply->document.code = (uint32_t)status;
        if (status == DROVER_OK) {
            reply->document.body = effects_text(core, body);
            if (page.has_more && page.is_walk) {
                reply->document.cursor = write_walk(core, &page.walk);
            } else if (page.has_more || page.is_numbered) {
                reply->document.cursor = write_cursor(
                    core, page.is_numbered ? page.number : veil(core, page.cursor.order));
            }
        } else {
            reply->document.text = drv_str_of(drover_status_text(status));
        }
    }
    effects_send(core, peer, reply, 0);
}
