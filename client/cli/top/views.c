/* views.c: see views.h. */
#include "top/views.h"

#include "check.h"
#include "human.h"
#include "target.h"
#include "worker_view.h"

#include <inttypes.h>
#include <string.h>

enum { NUMBER_MAX = 32 };

static const struct listing_column host_columns[] = {
    {.name = "HOST", .width = 32},
    {.name = "CPU %", .right = true},
    {.name = "MEMORY %", .right = true},
    {.name = "DISK %", .right = true, .rank = 3},
    {.name = "LOAD", .right = true, .rank = 4},
    {.name = "WORKERS", .right = true, .rank = 2},
    {.name = "SLOTS", .right = true, .rank = 1},
    {.name = "RUNNING", .right = true, .rank = 1},
    {.name = "CPUS", .right = true, .rank = 5},
    {.name = "PROCESSES", .right = true, .rank = 6},
    {.name = "SENT", .right = true, .rank = 7},
    {.name = "RECEIVED", .right = true, .rank = 7},
};

static const struct listing_column worker_columns[] = {
    {.name = "WORKER", .width = 32},
    {.name = "STATE"},
    {.name = "SLOTS", .right = true, .rank = 2},
    {.name = "RUNNING", .right = true, .rank = 1},
    {.name = "DONE", .right = true, .rank = 3},
    {.name = "CPU %", .right = true, .rank = 4},
    {.name = "MEMORY %", .right = true, .rank = 6},
    {.name = "HEARD", .right = true, .rank = 5},
    {.name = "HOST", .width = 24, .rank = 7},
    {.name = "PID", .right = true, .rank = 9},
    {.name = "MODEL", .rank = 10},
    {.name = "TYPES", .width = 40, .rank = 11},
};

static const struct listing_column executor_columns[] = {
    {.name = "PID", .right = true},
    {.name = "WORKER", .width = 24, .rank = 2},
    {.name = "STATE", .rank = 1},
    {.name = "TYPE", .width = 24},
    {.name = "FOR", .right = true, .rank = 3},
    {.name = "CPU %", .right = true, .rank = 4},
    {.name = "RSS", .right = true, .rank = 5},
    {.name = "DONE", .right = true, .rank = 6},
    {.name = "UP", .right = true, .rank = 8},
    {.name = "CRASHES", .right = true, .rank = 9},
    {.name = "TASK", .rank = 7},
    {.name = "HOST", .width = 24, .rank = 10},
};

static const struct listing_column queue_columns[] = {
    {.name = "QUEUE", .width = 32},
    {.name = "DEPTH", .right = true},
    {.name = "RUNNING", .right = true, .rank = 1},
    {.name = "DELAYED", .right = true, .rank = 3},
    {.name = "ENDED/s", .right = true, .rank = 2},
    {.name = "OLDEST", .right = true, .rank = 2},
    {.name = "STATE", .rank = 1},
    {.name = "WAIT P99", .right = true, .rank = 4},
    {.name = "RUN P99", .right = true, .rank = 5},
    {.name = "WEIGHT", .right = true, .rank = 7},
    {.name = "RATE/s", .right = true, .rank = 8},
    {.name = "AT ONCE", .right = true, .rank = 8},
};

static const struct listing_column task_columns[] = {
    {.name = "TASK"},
    {.name = "TYPE", .width = 24},
    {.name = "STATE"},
    {.name = "AGE", .right = true, .rank = 1},
    {.name = "QUEUE", .width = 16, .rank = 2},
    {.name = "WORKER", .width = 24, .rank = 4},
    {.name = "ATTEMPT", .right = true, .rank = 3},
    {.name = "PRIORITY", .right = true, .rank = 6},
    {.name = "GROUP", .width = 24, .rank = 5},
};

const struct view views[VIEW_COUNT] = {
    {"hosts", "workers", host_columns, DRV_ARRAY_LEN(host_columns), 0, false},
    {"workers", "workers", worker_columns, DRV_ARRAY_LEN(worker_columns), 0, false},
    {"executors", "workers", executor_columns, DRV_ARRAY_LEN(executor_columns), 5, false},
    {"queues", "queues", queue_columns, DRV_ARRAY_LEN(queue_columns), 1, false},
    {"tasks", "tasks", task_columns, DRV_ARRAY_LEN(task_columns), 3, false},
};

/* ---- which tasks ------------------------------------------------------------------------- */

const char *view_tasks_name(enum view_tasks tasks)
{
    static const char *const names[VIEW_TASKS_SORTS] = {"active", "running", "failed", "all"};
    return names[tasks];
}

uint32_t view_tasks_states(enum view_tasks tasks)
{
    uint32_t active = 1u << DROVER_STATE_WAITING | 1u << DROVER_STATE_DELAYED |
                      1u << DROVER_STATE_QUEUED | 1u << DROVER_STATE_RUNNING;
    const uint32_t states[VIEW_TASKS_SORTS] = {active, 1u << DROVER_STATE_RUNNING,
                                               1u << DROVER_STATE_FAILED, 0};
    return states[tasks];
}

/* ---- cells ------------------------------------------------------------------------------- */

static void put_int(struct listing *table, struct listing_row *row, int64_t number)
{
    char text[NUMBER_MAX];
    (void)snprintf(text, sizeof(text), "%" PRId64, number);
    listing_number(table, row, (double)number, text);
}

/* Zero says nothing here. */
static void put_limit(struct listing *table, struct listing_row *row, double number)
{
    char text[NUMBER_MAX];
    (void)snprintf(text, sizeof(text), "%.4g", number);
    listing_number(table, row, number > 0 ? number : -1, number > 0 ? text : "-");
}

static void put_age(struct listing *table, struct listing_row *row, int64_t ms)
{
    char text[HUMAN_TEXT_MAX];
    listing_number(table, row, (double)ms, ms < 0 ? "-" : human_age(ms, text));
}

static void put_bytes(struct listing *table, struct listing_row *row, int64_t bytes)
{
    char text[HUMAN_TEXT_MAX];
    listing_number(table, row, (double)bytes, bytes < 0 ? "-" : human_bytes(bytes, text));
}

/* A share is high from here on, and very high. */
static enum cell_style share_style(double percent)
{
    return percent >= 95 ? CELL_BAD : percent >= 80 ? CELL_WARN : CELL_PLAIN;
}

static void put_percent(struct listing *table, struct listing_row *row, double percent)
{
    char text[NUMBER_MAX] = "-";
    if (percent >= 0) {
        (void)snprintf(text, sizeof(text), "%.1f", percent);
    }
    listing_number(table, row, percent, text);
}

/* One of a host, which has a good and a bad end, as a picture too. */
static void put_share(struct listing *table, struct listing_row *row, double percent)
{
    char bar[WORKER_BAR_MAX];
    listing_number(table, row, percent, worker_view_bar(percent, bar));
    if (row != NULL) {
        row->cells[row->next - 1].style = (uint8_t)share_style(percent);
    }
}

static double known(const drover_value *map, const char *key)
{
    return map != NULL && doc_has(map, key) ? doc_double(map, key) : -1;
}

static int64_t known_int(const drover_value *map, const char *key)
{
    return map != NULL && doc_has(map, key) ? doc_int(map, key) : -1;
}

static void put_rate(struct listing *table, struct listing_row *row, double rate)
{
    char text[NUMBER_MAX] = "-";
    if (rate >= 0) {
        (void)snprintf(text, sizeof(text), rate > 0 && rate < 10 ? "%.1f" : "%.0f", rate);
    }
    listing_number(table, row, rate, text);
}

static void put_doc(struct listing *table, struct listing_row *row, const drover_value *map,
                    const char *key)
{
    char text[DOC_TEXT_MAX];
    listing_text(table, row, doc_text(map, key, text, sizeof(text)));
}

/* ---- rows -------------------------------------------------------------------------------- */

static void host_row(struct listing *table, const struct fleet_host *host, const char *key)
{
    struct listing_row *row = listing_row(table, key, host->name);
    bool has = host->has_stats;
    listing_text(table, row, host->name);
    put_share(table, row, has ? host->cpu_percent : -1);
    put_share(table, row, has ? host->memory_percent : -1);
    put_percent(table, row, has ? host->disk_percent : -1);
    if (row != NULL && has) {
        row->cells[row->next - 1].style = (uint8_t)share_style(host->disk_percent);
    }
    put_percent(table, row, has ? host->load1 : -1);
    put_int(table, row, host->workers);
    put_int(table, row, host->slots);
    put_int(table, row, host->running);
    put_int(table, row, host->cpus);
    put_int(table, row, host->processes);
    put_bytes(table, row, has ? host->bytes_sent : -1);
    put_bytes(table, row, has ? host->bytes_recv : -1);
}

static void worker_row(struct listing *table, const drover_value *worker)
{
    char id[DOC_TEXT_MAX];
    char text[4 * DOC_TEXT_MAX];
    (void)doc_text(worker, "id", id, sizeof(id));
    struct listing_row *row = listing_row(table, id, id);
    put_doc(table, row, worker, "name");
    listing_state(table, row, doc_text(worker, "state", text, sizeof(text)));
    put_int(table, row, doc_int(worker, "slots"));
    put_int(table, row, doc_int(worker, "running"));
    put_int(table, row, doc_int(worker, "tasks_done"));
    drover_value *stats = doc_get(worker, "stats");
    put_percent(table, row, known(stats, "cpu_percent"));
    put_percent(table, row, known(stats, "memory_percent"));
    drover_value_destroy(&stats);
    put_age(table, row, doc_int(worker, "heartbeat_age_ms"));
    put_doc(table, row, worker, "host");
    put_int(table, row, doc_int(worker, "pid"));
    put_doc(table, row, worker, "model");
    listing_text(table, row, doc_join(worker, "types", text, sizeof(text)));
}

static void executor_row(struct listing *table, const drover_value *worker,
                         const drover_value *executor)
{
    char key[2 * DOC_TEXT_MAX];
    char id[DOC_TEXT_MAX];
    char text[DOC_TEXT_MAX];
    drover_task_ref task;
    bool has_task = doc_task(executor, &task);
    (void)snprintf(key, sizeof(key), "%s:%" PRId64 ":%" PRId64,
                   doc_text(worker, "id", id, sizeof(id)), doc_int(executor, "pid"),
                   doc_int(executor, "thread"));
    struct listing_row *row = listing_row(table, key, id);
    if (row != NULL && has_task) {
        row->has_task = true;
        row->task = task;
    }
    put_int(table, row, doc_int(executor, "pid"));
    put_doc(table, row, worker, "name");
    listing_state(table, row, doc_text(executor, "state", text, sizeof(text)));
    put_doc(table, row, executor, "type");
    put_age(table, row, has_task ? known_int(executor, "task_ms") : -1);
    put_percent(table, row, known(executor, "cpu_percent"));
    put_bytes(table, row, known_int(executor, "rss_bytes"));
    put_int(table, row, doc_int(executor, "done"));
    put_age(table, row, known_int(executor, "uptime_ms"));
    put_int(table, row, doc_int(executor, "crashes"));
    if (has_task) {
        target_format(&task.id, task.index, text);
    }
    listing_text(table, row, has_task ? text : "");
    put_doc(table, row, worker, "host");
}

static void executor_rows(struct listing *table, const drover_value *worker)
{
    drover_value *details = doc_get(worker, "details");
    drover_value *group = details != NULL ? doc_get(details, "executors") : NULL;
    drover_value *list = group != NULL ? doc_get(group, "list") : NULL;
    drover_value *item = NULL;
    drover_value_iter iter;
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            executor_row(table, worker, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    drover_value_destroy(&group);
    drover_value_destroy(&details);
}

static void put_p99(struct listing *table, struct listing_row *row, const drover_value *queue,
                    const char *key)
{
    drover_value *times = doc_get(queue, key);
    put_age(table, row, known_int(times, "p99_ms"));
    drover_value_destroy(&times);
}

static void queue_row(struct listing *table, const drover_value *queue)
{
    char name[DOC_TEXT_MAX];
    int64_t depth = doc_int(queue, "depth");
    (void)doc_text(queue, "name", name, sizeof(name));
    struct listing_row *row = listing_row(table, name, name);
    listing_text(table, row, name);
    put_int(table, row, depth);
    put_int(table, row, doc_int(queue, "running"));
    put_int(table, row, doc_int(queue, "delayed"));
    put_rate(table, row, known(queue, "ended_per_s"));
    put_age(table, row, depth > 0 ? doc_int(queue, "oldest_age_ms") : -1);
    listing_state(table, row, doc_bool(queue, "paused") ? "paused" : "open");
    put_p99(table, row, queue, "wait");
    put_p99(table, row, queue, "run");
    put_int(table, row, doc_int(queue, "weight"));
    put_limit(table, row, doc_double(queue, "rate"));
    put_limit(table, row, doc_double(queue, "concurrency"));
}

static void task_row(struct listing *table, const drover_value *task)
{
    char name[DOC_TEXT_MAX];
    char text[DOC_TEXT_MAX];
    drover_task_ref ref;
    if (!doc_task(task, &ref)) {
        return;
    }
    target_format(&ref.id, ref.index, name);
    struct listing_row *row = listing_row(table, name, name);
    if (row != NULL) {
        row->has_task = true;
        row->task = ref;
    }
    listing_text(table, row, name);
    put_doc(table, row, task, "type");
    listing_state(table, row, doc_text(task, "state", text, sizeof(text)));
    put_age(table, row, doc_int(task, "age_ms"));
    put_doc(table, row, task, "queue");
    put_doc(table, row, task, "worker");
    put_int(table, row, doc_int(task, "attempt"));
    put_int(table, row, doc_int(task, "priority"));
    put_doc(table, row, task, "group");
}

/* ---- documents --------------------------------------------------------------------------- */

void view_begin(struct view_builder *builder, enum view_id view)
{
    memset(builder, 0, sizeof(*builder));
    builder->view = view;
    listing_init(&builder->table, views[view].columns, views[view].column_count);
}

static void add(struct view_builder *builder, const drover_value *item)
{
    struct listing *table = &builder->table;
    switch (builder->view) {
    case VIEW_HOSTS:
        table->failed = !fleet_hosts_add(&builder->hosts, item) || table->failed;
        break;
    case VIEW_WORKERS:
        worker_row(table, item);
        break;
    case VIEW_EXECUTORS:
        executor_rows(table, item);
        break;
    case VIEW_QUEUES:
        queue_row(table, item);
        break;
    case VIEW_TASKS:
        task_row(table, item);
        break;
    case VIEW_COUNT:
        break;
    }
}

void view_add(struct view_builder *builder, const drover_value *page)
{
    drover_value *rows = doc_get(page, views[builder->view].list);
    drover_value *item = NULL;
    drover_value_iter iter;
    if (rows == NULL) {
        return;
    }
    drover_value_iter_init(&iter, rows);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        add(builder, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&rows);
}

void view_end(struct view_builder *builder)
{
    for (size_t i = 0; i < builder->hosts.count; i++) {
        const struct fleet_host *host = &builder->hosts.list[i];
        host_row(&builder->table, host, host->name);
    }
}

void view_fini(struct view_builder *builder)
{
    fleet_hosts_fini(&builder->hosts);
    listing_fini(&builder->table);
}
