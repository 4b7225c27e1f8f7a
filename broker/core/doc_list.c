/*
 * doc_list.c: rows of queues, workers, tasks and shared data.
 *
 * A page looks at DOCUMENT_SCAN entries at most, so that a filter that matches nothing stalls
 * nobody: the page is then short, or empty, and has a cursor all the same.
 */
#include "document.h"

#include "broker.h"
#include "guard.h"
#include "history_queue.h"

void document_queue(struct document *document, const struct queue *queue)
{
    static const char *const placements[] = {"auto", "spread", "pack"};
    int64_t oldest = queue_oldest_us(queue);
    document_map(document, NULL);
    document_str(document, "name", queue_name(queue));
    document_uint(document, "depth", queue->queued);
    document_uint(document, "running", queue->running);
    document_uint(document, "delayed", queue->delayed);
    document_uint(document, "oldest_age_ms",
                  oldest == 0 ? 0 : ms_of_us(document->core->now_us - oldest));
    document_bool(document, "paused", queue->is_paused);
    document_uint(document, "weight", queue->weight);
    document_uint(document, "bytes", queue->bytes);
    document_double(document, "ended_per_s", queue_history_rate(queue->history));
    document_times(document, queue->times);
    document_text(document, "durability",
                  drover_durability_name((enum drover_durability)queue->level));
    document_uint(document, "max_count", queue->max_count == UINT64_MAX ? 0 : queue->max_count);
    document_uint(document, "max_bytes", queue->max_bytes == UINT64_MAX ? 0 : queue->max_bytes);
    struct throttle_limits limits = queue_limits(queue);
    document_uint(document, "leases", queue->held);
    document_double(document, "rate", (double)limits.rate / 3600.0);
    document_uint(document, "concurrency", limits.concurrency);
    document_uint(document, "per_key", limits.per_key);
    document_uint(document, "aging_ms", queue->aging_us / 1000);
    document_text(document, "placement", placements[queue->placement]);
    document_end(document);
}

bool document_queues(struct document *document, struct drv_table_cursor *cursor, uint32_t rows)
{
    while (rows > 0 && !document_is_full(document)) {
        const struct queue *queue = drv_table_next(&document->core->queues, cursor);
        if (queue == NULL) {
            return false;
        }
        document_queue(document, queue);
        rows--;
    }
    return true;
}

bool document_workers(struct document *document, struct drv_table_cursor *cursor, uint32_t rows)
{
    while (rows > 0 && !document_is_full(document)) {
        const struct worker *worker = drv_table_next(&document->core->workers_by_name, cursor);
        if (worker == NULL) {
            return false;
        }
        document_worker(document, worker, false);
        rows--;
    }
    return true;
}

bool document_all_statistics(struct document *document, struct drv_table_cursor *cursor,
                             uint32_t rows)
{
    while (rows > 0 && !document_is_full(document)) {
        const struct worker *worker = drv_table_next(&document->core->workers_by_name, cursor);
        if (worker == NULL) {
            return false;
        }
        document_statistics(document, worker);
        rows--;
    }
    return true;
}

static bool matches(const struct core *core, const struct task *task,
                    const struct drv_query *query)
{
    if (!guard_may(core, task)) {
        return false;
    }
    if (query->tag_name.ptr != NULL &&
        !spec_has_tag(task->spec, query->tag_name, query->tag_value)) {
        return false;
    }
    const struct line *line = task->spec->line;
    uint32_t state = task_is_array(task) ? array_state(task->array) : task->unit.state;
    if (query->states != 0 && (query->states & (1U << state)) == 0) {
        return false;
    }
    if (query->name.ptr != NULL && !str_equals(query->name, queue_name(line->queue))) {
        return false;
    }
    return query->text.ptr == NULL || str_equals(query->text, type_name(line->type));
}

static void put_task(struct document *document, struct task *task)
{
    const struct lease *lease = unit_lease(&task->unit);
    bool is_array = task_is_array(task);
    document_map(document, NULL);
    document_id(document, "id", &task->id);
    document_int(document, "index", -1);
    document_str(document, "type", type_name(task->spec->line->type));
    document_str(document, "queue", queue_name(task->spec->line->queue));
    document_text(document, "state",
                  drover_state_name(is_array ? array_state(task->array)
                                             : (enum drover_state)task->unit.state));
    document_int(document, "priority", task->spec->numbers.priority);
    document_uint(document, "attempt", task->unit.attempt);
    document_age(document, "age_ms", task->submitted_us);
    if (is_array) {
        document_uint(document, "count", task->array->count);
    } else if (lease != NULL && lease->worker != NULL) {
        document_str(document, "worker", worker_name(lease->worker));
    }
    if (task->spec->group != NULL) {
        document_str(document, "group", group_name(task->spec->group));
    }
    document_str(document, "account", account_name(task->spec->account));
    if (task->unit.more != NULL && task->unit.more->has_retried_as) {
        document_id(document, "retried_as", &task->unit.more->retried_as);
    }
    if (is_array) {
        document_retry_left(document, task->array);
    }
    document_end(document);
}

bool document_group_tasks(struct document *document, const struct drv_query *query,
                          struct drv_table_cursor *cursor, uint32_t rows)
{
    const struct group *group = group_find(document->core, query->group);
    for (int scanned = 0; group != NULL && scanned < DOCUMENT_SCAN; scanned++) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        struct task *task = drv_table_next(&group->tasks, cursor);
        if (task == NULL) {
            return false;
        }
        if (matches(document->core, task, query)) {
            put_task(document, task);
            rows--;
        }
    }
    return group != NULL;
}

/* What the ring remembers and is forgotten costs less than a task that is there. */
bool document_tasks(struct document *document, const struct drv_query *query,
                    struct recent_walk *walk, uint32_t rows)
{
    enum { PASSED = 1, LOOKED_AT = 4 };
    struct task *task;
    for (int scanned = 0; scanned < LOOKED_AT * DOCUMENT_SCAN;) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        if (!recent_walk_next(document->core, walk, &task)) {
            return false;
        }
        scanned += task == NULL && !walk->is_below ? PASSED : LOOKED_AT;
        if (task != NULL && matches(document->core, task, query)) {
            put_task(document, task);
            rows--;
        }
    }
    return true;
}

void document_group(struct document *document, const struct group *group)
{
    uint64_t gone = 0;
    document_map(document, NULL);
    document_str(document, "name", group_name(group));
    document_uint(document, "tasks", drv_table_count(&group->tasks));
    document_map(document, "states");
    for (unsigned state = DROVER_STATE_WAITING; state <= DROVER_STATE_LOST; state++) {
        gone += group->gone[state];
        if (state < DROVER_STATE_LOST) {
            document_uint(document, drover_state_name((enum drover_state)state),
                          group->states[state]);
        }
    }
    document_end(document);
    document_uint(document, "submitted", group_submitted(group));
    document_uint(document, "active", group_active(group));
    document_uint(document, "forgotten", gone);
    document_end(document);
}

bool document_groups(struct document *document, struct drv_table_cursor *cursor, uint32_t rows)
{
    while (rows > 0 && !document_is_full(document)) {
        const struct group *group = drv_table_next(&document->core->groups, cursor);
        if (group == NULL) {
            return false;
        }
        document_group(document, group);
        rows--;
    }
    return true;
}

void document_key(struct document *document, const struct key *key)
{
    const struct task *task = key->task;
    int64_t left_us = key->until_us - document->core->now_us;
    document_map(document, NULL);
    document_id(document, "id", &key->id);
    document_str(document, "queue", key_queue(key));
    document_str(document, "key", key_word(key));
    if (task != NULL) {
        document_text(document, "state",
                      drover_state_name(task_is_array(task)
                                            ? array_state(task->array)
                                            : (enum drover_state)task->unit.state));
    }
    if (left_us > 0) {
        document_uint(document, "window_left_ms", ms_of_us(left_us));
    }
    document_end(document);
}

bool document_kv(struct document *document, struct drv_str prefix,
                 struct drv_table_cursor *cursor, uint32_t rows)
{
    for (int scanned = 0; scanned < DOCUMENT_SCAN; scanned++) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        const struct kv_entry *entry = drv_table_next(&document->core->kv, cursor);
        if (entry == NULL) {
            return false;
        }
        if (entry->key_len < prefix.len ||
            (prefix.len > 0 && memcmp(entry->key, prefix.ptr, prefix.len) != 0)) {
            continue;
        }
        document_map(document, NULL);
        document_str(document, "key", str_of(entry->key, entry->key_len));
        document_uint(document, "version", entry->version);
        document_uint(document, "bytes", body_len(entry->val));
        document_end(document);
        rows--;
    }
    return true;
}
