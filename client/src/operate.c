/*
 * operate.c: shared data, documents, queues, workers: one request and its answer each.
 */
#include "ask.h"

#include "utf8.h"

#include <stddef.h>
#include <string.h>

#define ROWS_MAX 1000

static drover_status run(struct drv_ask *ask, int64_t timeout_ms)
{
    drover_status status = drv_ask_call(ask, timeout_ms);
    drv_ask_fini(ask);
    return status;
}

/* ---- shared data ------------------------------------------------------------------------- */

static bool key_is_valid(const char *key)
{
    size_t len = key != NULL ? strlen(key) : 0;
    return len > 0 && len <= DRV_KEY_MAX && drv_utf8_is_valid((const uint8_t *)key, len);
}

static drover_status kv_init(struct drv_ask *ask, drover_client *client, enum drv_kv_op op,
                             const char *key)
{
    if (!key_is_valid(key)) {
        return DROVER_INVALID;
    }
    drv_ask_init(ask, client, DRV_KV);
    ask->pending.message.kv.op = op;
    ask->pending.message.kv.key = drv_str_of(key);
    ask->pending.message.kv.val.is_nil = true;
    return DROVER_OK;
}

drover_status drover_kv_get(drover_client *client, const char *key, int64_t timeout_ms,
                            drover_value **out_value, uint64_t *out_version)
{
    struct drv_ask ask;
    drover_status status = kv_init(&ask, client, DRV_KV_GET, key);
    if (status != DROVER_OK) {
        return status;
    }
    ask.wants_value = true;
    status = drv_ask_call(&ask, timeout_ms);
    if (status == DROVER_OK) {
        if (out_value != NULL) {
            *out_value = ask.value;
            ask.value = NULL;
        }
        if (out_version != NULL) {
            *out_version = (uint64_t)ask.number;
        }
    }
    drv_ask_fini(&ask);
    return status;
}

drover_status drover_kv_set(drover_client *client, const char *key, const drover_value *value,
                            uint64_t ttl_ms, int64_t timeout_ms, uint64_t *out_version)
{
    struct drv_ask ask;
    drover_status status = kv_init(&ask, client, DRV_KV_SET, key);
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.kv.val = drv_ask_val(value);
    ask.pending.message.kv.ttl_ms = ttl_ms;
    if (ask.pending.message.kv.val.len > DRV_KV_VALUE_MAX) {
        return DROVER_TOO_BIG;
    }
    status = run(&ask, timeout_ms);
    if (status == DROVER_OK && out_version != NULL) {
        *out_version = (uint64_t)ask.number;
    }
    return status;
}

drover_status drover_kv_delete(drover_client *client, const char *key, int64_t timeout_ms)
{
    struct drv_ask ask;
    drover_status status = kv_init(&ask, client, DRV_KV_DELETE, key);
    return status != DROVER_OK ? status : run(&ask, timeout_ms);
}

drover_status drover_kv_increment(drover_client *client, const char *key, int64_t by,
                                  uint64_t ttl_ms, int64_t timeout_ms, int64_t *out_number)
{
    struct drv_ask ask;
    drover_status status = kv_init(&ask, client, DRV_KV_INCREMENT, key);
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.kv.number = by;
    ask.pending.message.kv.ttl_ms = ttl_ms;
    status = run(&ask, timeout_ms);
    if (status == DROVER_OK && out_number != NULL) {
        *out_number = ask.number;
    }
    return status;
}

drover_status drover_kv_compare_and_set(drover_client *client, const char *key,
                                        uint64_t expected, const drover_value *value,
                                        uint64_t ttl_ms, int64_t timeout_ms,
                                        uint64_t *out_version)
{
    struct drv_ask ask;
    drover_status status = kv_init(&ask, client, DRV_KV_CAS, key);
    if (status != DROVER_OK || expected > INT64_MAX) {
        return DROVER_INVALID;
    }
    ask.pending.message.kv.val = drv_ask_val(value);
    ask.pending.message.kv.number = (int64_t)expected;
    ask.pending.message.kv.ttl_ms = ttl_ms;
    if (ask.pending.message.kv.val.len > DRV_KV_VALUE_MAX) {
        return DROVER_TOO_BIG;
    }
    status = run(&ask, timeout_ms);
    if ((status == DROVER_OK || status == DROVER_CONFLICT) && out_version != NULL) {
        *out_version = (uint64_t)ask.number;
    }
    return status;
}

/* ---- documents --------------------------------------------------------------------------- */

static drover_status query(drover_client *client, const struct drv_query *query,
                           drover_cursor *cursor, int64_t timeout_ms,
                           drover_value **out_document)
{
    struct drv_ask ask;
    drv_ask_init(&ask, client, DRV_QUERY);
    ask.pending.message.query = *query;
    ask.cursor = cursor;
    if (cursor != NULL && cursor->len > 0) {
        if (cursor->len > DROVER_CURSOR_MAX) {
            return DROVER_INVALID;
        }
        ask.pending.message.query.cursor = (struct drv_str){(const char *)cursor->bytes,
                                                            cursor->len};
    }
    drover_status status = drv_ask_call(&ask, timeout_ms);
    if (status == DROVER_OK) {
        *out_document = ask.value;
        ask.value = NULL;
    }
    drv_ask_fini(&ask);
    return status;
}

drover_status drover_status_get(drover_client *client, int64_t timeout_ms,
                                drover_value **out_document)
{
    struct drv_query q = {.topic = DRV_TOPIC_STATUS, .index = DROVER_INDEX_NONE};
    return query(client, &q, NULL, timeout_ms, out_document);
}

static drover_status query_task(drover_client *client, enum drv_topic topic,
                                const drover_id *id, uint32_t index, int64_t timeout_ms,
                                drover_value **out_document)
{
    struct drv_query q = {.topic = topic, .has_id = true, .id = *id, .index = index};
    return query(client, &q, NULL, timeout_ms, out_document);
}

drover_status drover_task_show(drover_client *client, const drover_id *id, uint32_t index,
                               int64_t timeout_ms, drover_value **out_document)
{
    return query_task(client, DRV_TOPIC_TASK, id, index, timeout_ms, out_document);
}

drover_status drover_task_why(drover_client *client, const drover_id *id, uint32_t index,
                              int64_t timeout_ms, drover_value **out_document)
{
    return query_task(client, DRV_TOPIC_WHY, id, index, timeout_ms, out_document);
}

static bool text_is_valid(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len <= max && drv_utf8_is_valid((const uint8_t *)text, len);
}

static bool optional_name_is_valid(const char *name)
{
    return name == NULL || drover_name_is_valid(name);
}

drover_status drover_task_list(drover_client *client, const drover_task_filter *filter,
                               drover_cursor *cursor, int64_t timeout_ms,
                               drover_value **out_document)
{
    static const drover_task_filter ALL = DROVER_TASK_FILTER_INIT;
    const drover_task_filter *f = filter != NULL ? filter : &ALL;
    bool has_tag = f->tag != NULL;
    if (f->size < sizeof(*f) || f->limit > ROWS_MAX || !optional_name_is_valid(f->queue) ||
        !optional_name_is_valid(f->type) || !optional_name_is_valid(f->group) ||
        !optional_name_is_valid(f->tag) || has_tag != (f->tag_value != NULL) ||
        (has_tag && !text_is_valid(f->tag_value, DRV_LABEL_VALUE_MAX))) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = DRV_TOPIC_TASKS,
        .index = DROVER_INDEX_NONE,
        .name = drv_str_of(f->queue),
        .text = drv_str_of(f->type),
        .states = f->states,
        .limit = f->limit != 0 ? f->limit : ROWS_MAX,
        .group = drv_str_of(f->group),
        .tag_name = drv_str_of(f->tag),
        .tag_value = drv_str_of(f->tag_value),
    };
    return query(client, &q, cursor, timeout_ms, out_document);
}

drover_status drover_queue_list(drover_client *client, int64_t timeout_ms,
                                drover_value **out_document)
{
    struct drv_query q = {.topic = DRV_TOPIC_QUEUES, .index = DROVER_INDEX_NONE};
    return query(client, &q, NULL, timeout_ms, out_document);
}

drover_status drv_ask_rows(drover_client *client, enum drv_topic topic, const char *name,
                           uint32_t limit, drover_cursor *cursor, int64_t timeout_ms,
                           drover_value **out_document)
{
    if (limit > ROWS_MAX) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = topic,
        .index = DROVER_INDEX_NONE,
        .name = drv_str_of(name),
        .limit = limit != 0 ? limit : ROWS_MAX,
    };
    return query(client, &q, cursor, timeout_ms, out_document);
}

static drover_status query_rows(drover_client *client, enum drv_topic topic, const char *text,
                                uint32_t limit, drover_cursor *cursor, int64_t timeout_ms,
                                drover_value **out_document)
{
    if (limit > ROWS_MAX) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = topic,
        .index = DROVER_INDEX_NONE,
        .text = drv_str_of(text),
        .limit = limit != 0 ? limit : ROWS_MAX,
    };
    return query(client, &q, cursor, timeout_ms, out_document);
}

drover_status drover_worker_list(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                 int64_t timeout_ms, drover_value **out_document)
{
    return query_rows(client, DRV_TOPIC_WORKERS, NULL, limit, cursor, timeout_ms, out_document);
}

drover_status drover_worker_statistics(drover_client *client, uint32_t limit,
                                       drover_cursor *cursor, int64_t timeout_ms,
                                       drover_value **out_document)
{
    return query_rows(client, DRV_TOPIC_STATISTICS, NULL, limit, cursor, timeout_ms,
                      out_document);
}

drover_status drover_kv_list(drover_client *client, const char *prefix, uint32_t limit,
                             drover_cursor *cursor, int64_t timeout_ms,
                             drover_value **out_document)
{
    if (prefix != NULL && prefix[0] != '\0' && !key_is_valid(prefix)) {
        return DROVER_INVALID;
    }
    return query_rows(client, DRV_TOPIC_KV, prefix, limit, cursor, timeout_ms, out_document);
}

drover_status drover_worker_show(drover_client *client, const char *worker, int64_t timeout_ms,
                                 drover_value **out_document)
{
    if (!drover_name_is_valid(worker)) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = DRV_TOPIC_WORKER, .index = DROVER_INDEX_NONE, .name = drv_str_of(worker)};
    return query(client, &q, NULL, timeout_ms, out_document);
}

drover_status drover_account_list(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                  int64_t timeout_ms, drover_value **out_document)
{
    return query_rows(client, DRV_TOPIC_ACCOUNTS, NULL, limit, cursor, timeout_ms,
                      out_document);
}

drover_status drover_account_show(drover_client *client, const char *account,
                                  int64_t timeout_ms, drover_value **out_document)
{
    if (!drover_name_is_valid(account)) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = DRV_TOPIC_ACCOUNTS, .index = DROVER_INDEX_NONE, .name = drv_str_of(account)};
    return query(client, &q, NULL, timeout_ms, out_document);
}

drover_status drover_group_list(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                int64_t timeout_ms, drover_value **out_document)
{
    return query_rows(client, DRV_TOPIC_GROUPS, NULL, limit, cursor, timeout_ms, out_document);
}

drover_status drover_group_show(drover_client *client, const char *group, int64_t timeout_ms,
                                drover_value **out_document)
{
    if (!drover_name_is_valid(group)) {
        return DROVER_INVALID;
    }
    struct drv_query q = {
        .topic = DRV_TOPIC_GROUPS, .index = DROVER_INDEX_NONE, .name = drv_str_of(group)};
    return query(client, &q, NULL, timeout_ms, out_document);
}

/* The id in a document about a key. */
static drover_status id_of(const drover_value *document, drover_id *out_id)
{
    drover_value *value = NULL;
    const char *text = NULL;
    drover_status status = drover_value_map_get(document, "id", &value);
    if (status == DROVER_OK) {
        status = drover_value_get_string(value, &text, NULL);
    }
    if (status == DROVER_OK) {
        status = drover_id_parse(text, out_id);
    }
    drover_value_destroy(&value);
    return status == DROVER_OK ? DROVER_OK : DROVER_PROTOCOL;
}

drover_status drover_key_find(drover_client *client, const char *queue, const char *key,
                              int64_t timeout_ms, drover_id *out_id)
{
    drover_value *document = NULL;
    if (!optional_name_is_valid(queue) || key == NULL || key[0] == '\0' ||
        !text_is_valid(key, DRV_TEXT_MAX)) {
        return DROVER_INVALID;
    }
    struct drv_query q = {.topic = DRV_TOPIC_KEY,
                          .index = DROVER_INDEX_NONE,
                          .name = drv_str_of(queue),
                          .text = drv_str_of(key)};
    drover_status status = query(client, &q, NULL, timeout_ms, &document);
    if (status == DROVER_OK) {
        status = id_of(document, out_id);
    }
    drover_value_destroy(&document);
    return status;
}

/* ---- queues and workers ------------------------------------------------------------------ */

static drover_status queue_call(drover_client *client, enum drv_queue_op op, const char *queue,
                                const struct drv_queue_settings *settings, int64_t timeout_ms,
                                uint64_t *out_count)
{
    if (!drover_name_is_valid(queue)) {
        return DROVER_INVALID;
    }
    struct drv_ask ask;
    drv_ask_init(&ask, client, DRV_QUEUE);
    ask.pending.message.queue.op = op;
    ask.pending.message.queue.queue = drv_str_of(queue);
    if (settings != NULL) {
        ask.pending.message.queue.has_settings = true;
        ask.pending.message.queue.settings = *settings;
    }
    drover_status status = run(&ask, timeout_ms);
    if (status == DROVER_OK && out_count != NULL) {
        *out_count = (uint64_t)ask.number;
    }
    return status;
}

drover_status drover_queue_pause(drover_client *client, const char *queue, int64_t timeout_ms)
{
    return queue_call(client, DRV_QUEUE_PAUSE, queue, NULL, timeout_ms, NULL);
}

drover_status drover_queue_resume(drover_client *client, const char *queue, int64_t timeout_ms)
{
    return queue_call(client, DRV_QUEUE_RESUME, queue, NULL, timeout_ms, NULL);
}

drover_status drover_queue_purge(drover_client *client, const char *queue, int64_t timeout_ms,
                                 uint64_t *out_count)
{
    return queue_call(client, DRV_QUEUE_PURGE, queue, NULL, timeout_ms, out_count);
}

drover_status drover_queue_set(drover_client *client, const char *queue,
                               const drover_queue_settings *settings, int64_t timeout_ms)
{
    drover_queue_settings all = DROVER_QUEUE_SETTINGS_INIT;
    if (settings == NULL || settings->size < offsetof(drover_queue_settings, aging_ms)) {
        return DROVER_INVALID;
    }
    /* Who was built with an older header has fewer. */
    memcpy(&all, settings, settings->size < sizeof all ? settings->size : sizeof all);
    settings = &all;
    struct drv_queue_settings wanted = {
        .weight = settings->weight,
        .max_count = settings->max_count,
        .max_bytes = settings->max_bytes,
        .rate = settings->rate,
        .concurrency = settings->concurrency,
        .per_key = settings->per_key,
        .durability = settings->durability,
        .aging_ms = settings->aging_ms,
        .placement = settings->placement,
    };
    return queue_call(client, DRV_QUEUE_SET, queue, &wanted, timeout_ms, NULL);
}

static drover_status worker_call(drover_client *client, enum drv_worker_op op,
                                 const char *worker, int64_t timeout_ms)
{
    if (!drover_name_is_valid(worker)) {
        return DROVER_INVALID;
    }
    struct drv_ask ask;
    drv_ask_init(&ask, client, DRV_WORKER);
    ask.pending.message.worker.op = op;
    ask.pending.message.worker.worker = drv_str_of(worker);
    return run(&ask, timeout_ms);
}

drover_status drover_worker_drain(drover_client *client, const char *worker, int64_t timeout_ms)
{
    return worker_call(client, DRV_WORKER_DRAIN, worker, timeout_ms);
}

drover_status drover_worker_resume(drover_client *client, const char *worker,
                                   int64_t timeout_ms)
{
    return worker_call(client, DRV_WORKER_RESUME, worker, timeout_ms);
}
