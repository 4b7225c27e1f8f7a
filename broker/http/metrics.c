/* metrics.c: see metrics.h. */
#include "metrics.h"

#include "check.h"
#include "json.h"

#include <drover/value.h>

#include <inttypes.h>
#include <string.h>

struct writer {
    struct drv_buffer *out;
    drover_status status;
};

/* Where a number stands in a map, and what it becomes. */
struct metric {
    const char *name;
    const char *type;
    const char *help;
    const char *group; /* key of a map inside the map; NULL: the map itself */
    const char *key;
    double scale;
};

static const struct metric broker_metrics[] = {
    {"drover_uptime_seconds", "gauge", "Time since the broker started.", "broker", "uptime_ms",
     1e-3},
    {"drover_epoch", "gauge", "Number of this life of the broker.", "broker", "epoch", 1},
    {"drover_resident_memory_bytes", "gauge", "Resident memory of the broker.", "broker",
     "rss_bytes", 1},
    {"drover_cpu_ratio", "gauge", "Processors that the broker keeps busy.", "broker",
     "cpu_percent", 1e-2},
    {"drover_accounted_memory_bytes", "gauge",
     "Tasks, payloads, results and what belongs to them.", "broker", "memory_bytes", 1},
    {"drover_accounted_memory_limit_bytes", "gauge",
     "Accounted memory beyond which submits are refused.", "broker", "memory_max", 1},
    {"drover_sessions", "gauge", "Sessions of clients and workers.", "broker", "sessions", 1},
    {"drover_clients", "gauge", "Clients that are connected.", "broker", "clients", 1},
    {"drover_draining", "gauge", "1 while the broker goes down.", "broker", "draining", 1},
    {"drover_queues", "gauge", "Queues that there are.", NULL, "queue_count", 1},
    {"drover_workers", "gauge", "Workers that are known.", NULL, "worker_count", 1},
    {"drover_workers_lost_total", "counter", "Workers that were lost; those that left are not.",
     NULL, "workers_lost", 1},
    {"drover_truncated", "gauge", "1 when there are more rows than are told here.", NULL,
     "truncated", 1},
    {"drover_submitted_total", "counter", "Tasks and elements that were accepted.", "tasks",
     "submitted", 1},
    {"drover_retried_total", "counter", "Attempts that failed and were followed by another.",
     "tasks", "retried", 1},
    {"drover_charged_total", "counter", "Attempts lost with their worker, charged.", "tasks",
     "charged", 1},
    {"drover_requeued_free_total", "counter", "Attempts given back free of charge.", "tasks",
     "requeued_free", 1},
    {"drover_stale_results_total", "counter", "Results of attempts that do not count any more.",
     "tasks", "stale_results", 1},
    {"drover_duplicate_results_total", "counter", "Results that were there already.", "tasks",
     "duplicate_results", 1},
    {"drover_unknown_results_total", "counter", "Results of forgotten tasks.", "tasks",
     "unknown_results", 1},
    {"drover_stale_writes_total", "counter", "Writes of shared data behind the fence.", "tasks",
     "stale_writes", 1},
    {"drover_refused_total", "counter", "Submits that were refused.", "tasks", "refused", 1},
    {"drover_denied_total", "counter", "Messages and connections that were not allowed.",
     "tasks", "denied", 1},
    {"drover_malformed_total", "counter", "Messages that were none.", "tasks", "malformed", 1},
    {"drover_late_total", "counter", "Messages of connections that had been given up.", "tasks",
     "late", 1},
    {"drover_oldest_task_age_seconds", "gauge", "Age of the task that waits longest.", NULL,
     "oldest_age_ms", 1e-3},
    {"drover_loop_seconds", "gauge", "Longest turn of the loop in the last second.", "broker",
     "loop_ms", 1e-3},
    {"drover_journal_seconds", "gauge", "Longest wait for the journal in the last second.",
     "broker", "journal_ms", 1e-3},
    {"drover_disk_ratio", "gauge", "Used share of the disk that the store is on; 0: none.",
     "broker", "disk_percent", 1e-2},
    {"drover_alert_actions_done_total", "counter",
     "Commands and webhooks of alerts that went well.", "alert_actions", "done", 1},
    {"drover_alert_actions_failed_total", "counter",
     "Commands and webhooks of alerts that were given up.", "alert_actions", "failed", 1},
    {"drover_alert_actions_dropped_total", "counter",
     "Alerts for whose commands and webhooks there was no room.", "alert_actions", "dropped",
     1},
    {"drover_alert_actions_waiting", "gauge",
     "Commands and webhooks of alerts that are under way, or wait for another try.",
     "alert_actions", "waiting", 1},
    {"drover_alerts_dropped_total", "counter", "Alerts for which there was no room.", NULL,
     "alerts_dropped", 1},
};

static const struct metric queue_metrics[] = {
    {"drover_queue_depth", "gauge", "Tasks that wait in the queue.", NULL, "depth", 1},
    {"drover_queue_running", "gauge", "Tasks of the queue that run.", NULL, "running", 1},
    {"drover_queue_delayed", "gauge", "Tasks of the queue that are not due.", NULL, "delayed",
     1},
    {"drover_queue_oldest_age_seconds", "gauge", "Age of the task that waits longest.", NULL,
     "oldest_age_ms", 1e-3},
    {"drover_queue_paused", "gauge", "1 while the queue is paused.", NULL, "paused", 1},
    {"drover_queue_bytes", "gauge", "Payload bytes of unfinished tasks.", NULL, "bytes", 1},
};

static const struct metric worker_metrics[] = {
    {"drover_worker_slots", "gauge", "Tasks that the worker takes at a time.", NULL, "slots",
     1},
    {"drover_worker_running", "gauge", "Tasks that run there.", NULL, "running", 1},
    {"drover_worker_assigned", "gauge", "Tasks leased to it that have not started.", NULL,
     "assigned", 1},
    {"drover_worker_tasks_done_total", "counter", "Results taken from it.", NULL, "tasks_done",
     1},
    {"drover_worker_heartbeat_age_seconds", "gauge", "Time since it was heard of.", NULL,
     "heartbeat_age_ms", 1e-3},
    {"drover_worker_host_cpu_ratio", "gauge", "Busy share of its host's processors.", "stats",
     "cpu_percent", 1e-2},
    {"drover_worker_host_memory_ratio", "gauge", "Used share of its host's memory.", "stats",
     "memory_percent", 1e-2},
    {"drover_worker_host_disk_ratio", "gauge", "Used share of its host's root file system.",
     "stats", "disk_percent", 1e-2},
    {"drover_worker_host_processes", "gauge", "Processes on its host.", "stats",
     "process_count", 1},
    {"drover_worker_host_load1", "gauge", "Load of its host over a minute.", "stats", "load1",
     1},
    {"drover_worker_host_sent_bytes_total", "counter", "Sent by its host since it started.",
     "stats", "bytes_sent", 1},
    {"drover_worker_host_received_bytes_total", "counter",
     "Received by its host since it started.", "stats", "bytes_recv", 1},
};

static const struct metric type_metrics[] = {
    {"drover_type_workers", "gauge", "Workers that offer the type.", NULL, "workers", 1},
    {"drover_type_depth", "gauge", "Tasks of the type that wait.", NULL, "depth", 1},
    {"drover_type_running", "gauge", "Tasks of the type that run.", NULL, "running", 1},
    {"drover_type_run_seconds", "gauge", "Mean run time, recent runs counting more.", NULL,
     "run_ms", 1e-3},
};

/* ---- reading ----------------------------------------------------------------------------- */

static drover_value *get(const drover_value *map, const char *key)
{
    drover_value *item = NULL;
    return map != NULL && drover_value_map_get(map, key, &item) == DROVER_OK ? item : NULL;
}

static bool to_number(const drover_value *value, double *out_number)
{
    bool flag = false;
    if (value == NULL) {
        return false;
    }
    if (drover_value_get_bool(value, &flag) == DROVER_OK) {
        *out_number = flag ? 1 : 0;
        return true;
    }
    return drover_value_get_double(value, out_number) == DROVER_OK;
}

static bool get_number(const drover_value *map, const struct metric *metric, double *out_number)
{
    drover_value *group = metric->group == NULL ? NULL : get(map, metric->group);
    drover_value *item = NULL;
    if (metric->group == NULL || group != NULL) {
        item = get(group != NULL ? group : map, metric->key);
    }
    bool is_number = to_number(item, out_number);
    drover_value_destroy(&item);
    drover_value_destroy(&group);
    *out_number *= metric->scale;
    return is_number;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put(struct writer *writer, const char *text)
{
    if (writer->status == DROVER_OK) {
        writer->status = drv_buffer_append_text(writer->out, text);
    }
}

static void put_byte(struct writer *writer, char byte)
{
    if (writer->status == DROVER_OK) {
        writer->status = drv_buffer_append_byte(writer->out, (uint8_t)byte);
    }
}

static void put_double(struct writer *writer, double number)
{
    if (writer->status == DROVER_OK) {
        writer->status = drv_json_write_double(number, writer->out);
    }
}

static void put_head(struct writer *writer, const char *name, const char *type,
                     const char *help)
{
    const char *const words[] = {"# HELP ", name, " ",  help, "\n# TYPE ",
                                 name,      " ",  type, "\n"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(words); i++) {
        put(writer, words[i]);
    }
}

/* name="text of the map", escaped. */
static void put_label(struct writer *writer, const char *name, const drover_value *map,
                      const char *key)
{
    drover_value *item = get(map, key);
    const char *text = "";
    size_t len = 0;
    if (item != NULL && drover_value_get_string(item, &text, &len) != DROVER_OK) {
        len = 0;
    }
    put(writer, name);
    put(writer, "=\"");
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            put(writer, "\\n");
            continue;
        }
        if (text[i] == '\\' || text[i] == '"') {
            put_byte(writer, '\\');
        }
        put_byte(writer, text[i]);
    }
    put(writer, "\"");
    drover_value_destroy(&item);
}

struct label {
    const char *name;
    const char *key;
};

static void put_labels(struct writer *writer, const drover_value *row,
                       const struct label *labels)
{
    for (; labels->name != NULL; labels++) {
        put_label(writer, labels->name, row, labels->key);
        put(writer, labels[1].name != NULL ? "," : "");
    }
}

static void put_series(struct writer *writer, const char *name, const drover_value *row,
                       const struct label *labels, const char *more, double number)
{
    put(writer, name);
    if (labels->name != NULL || more != NULL) {
        put(writer, "{");
        put_labels(writer, row, labels);
        put(writer, labels->name != NULL && more != NULL ? "," : "");
        put(writer, more != NULL ? more : "");
        put(writer, "}");
    }
    put(writer, " ");
    put_double(writer, number);
    put(writer, "\n");
}

static const struct label no_labels[] = {{NULL, NULL}};
static const struct label queue_labels[] = {{"queue", "name"}, {NULL, NULL}};
static const struct label type_labels[] = {{"type", "name"}, {NULL, NULL}};
static const struct label worker_labels[] = {
    {"worker", "name"}, {"host", "host"}, {NULL, NULL}};

/* One family over the rows of a list. */
static void put_family(struct writer *writer, const drover_value *rows,
                       const struct metric *metric, const struct label *labels)
{
    drover_value_iter iter;
    drover_value *row = NULL;
    double number = 0;
    bool is_first = true;
    drover_value_iter_init(&iter, rows);
    while (drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
        if (get_number(row, metric, &number)) {
            if (is_first) {
                put_head(writer, metric->name, metric->type, metric->help);
            }
            is_first = false;
            put_series(writer, metric->name, row, labels, NULL, number);
        }
        drover_value_destroy(&row);
    }
}

struct summary {
    const char *list; /* of the status */
    const char *name, *help;
    const char *group, *total, *sum; /* keys of its rows */
    const struct label *labels;
};

#define WAIT_HELP                                                                          \
    "Wait of first attempts for a lease: quantiles of the last minutes, sum and count of " \
    "all."
#define RUN_HELP "Run time of attempts: quantiles of the last minutes, sum and count of all."

static const struct summary summaries[] = {
    {"queues", "drover_queue_wait_seconds", WAIT_HELP, "wait", "wait_total", "wait_sum_ms",
     queue_labels},
    {"queues", "drover_queue_run_seconds", RUN_HELP, "run", "run_total", "run_sum_ms",
     queue_labels},
    {"types", "drover_type_wait_seconds", WAIT_HELP, "wait", "wait_total", "wait_sum_ms",
     type_labels},
    {"types", "drover_type_recent_run_seconds", RUN_HELP, "run", "run_total", "run_sum_ms",
     type_labels},
};

static void put_quantiles(struct writer *writer, const drover_value *row,
                          const struct summary *summary)
{
    static const struct {
        const char *key;
        const char *label;
    } quantiles[] = {{"p50_ms", "quantile=\"0.5\""},
                     {"p90_ms", "quantile=\"0.9\""},
                     {"p99_ms", "quantile=\"0.99\""}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(quantiles); i++) {
        const struct metric metric = {
            .group = summary->group, .key = quantiles[i].key, .scale = 1e-3};
        double number = 0;
        if (get_number(row, &metric, &number)) {
            put_series(writer, summary->name, row, summary->labels, quantiles[i].label, number);
        }
    }
}

/* Counts and sums go on while nothing is measured, quantiles do not. */
static void put_summary(struct writer *writer, const drover_value *rows,
                        const struct summary *summary)
{
    const struct metric total = {.key = summary->total, .scale = 1};
    const struct metric sum = {.key = summary->sum, .scale = 1e-3};
    drover_value_iter iter;
    drover_value *row = NULL;
    bool is_first = true;
    drover_value_iter_init(&iter, rows);
    while (drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
        double count = 0, seconds = 0;
        char name[64];
        if (get_number(row, &total, &count) && get_number(row, &sum, &seconds)) {
            if (is_first) {
                put_head(writer, summary->name, "summary", summary->help);
            }
            is_first = false;
            put_quantiles(writer, row, summary);
            (void)snprintf(name, sizeof(name), "%s_sum", summary->name);
            put_series(writer, name, row, summary->labels, NULL, seconds);
            (void)snprintf(name, sizeof(name), "%s_count", summary->name);
            put_series(writer, name, row, summary->labels, NULL, count);
        }
        drover_value_destroy(&row);
    }
}

static void put_list(struct writer *writer, const drover_value *status, const char *key,
                     const struct metric *metrics, size_t count, const struct label *labels)
{
    drover_value *rows = get(status, key);
    for (size_t i = 0; rows != NULL && i < count; i++) {
        put_family(writer, rows, &metrics[i], labels);
    }
    drover_value_destroy(&rows);
}

static const char *const now[] = {"waiting", "delayed", "queued", "running"};
static const char *const ended[] = {"succeeded", "failed", "cancelled", "expired",
                                    "lost_at_restart"};
static const struct by_state {
    const char *name;
    const char *type;
    const char *help;
    const char *const *states;
    size_t count;
} by_state[] = {
    {"drover_tasks", "gauge", "Tasks and elements that have not ended, by state.", now,
     DRV_ARRAY_LEN(now)},
    {"drover_tasks_ended_total", "counter",
     "Tasks and elements that have ended, by how, forgotten ones included.", ended,
     DRV_ARRAY_LEN(ended)},
};

static void put_states(struct writer *writer, const drover_value *status)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(by_state); i++) {
        put_head(writer, by_state[i].name, by_state[i].type, by_state[i].help);
        for (size_t k = 0; k < by_state[i].count; k++) {
            const struct metric metric = {
                .group = "tasks", .key = by_state[i].states[k], .scale = 1};
            char label[40];
            double number = 0;
            (void)get_number(status, &metric, &number);
            (void)snprintf(label, sizeof(label), "state=\"%s\"", by_state[i].states[k]);
            put_series(writer, by_state[i].name, NULL, no_labels, label, number);
        }
    }
}

#define INFO_NAME "drover_info"
#define INFO_HELP "What the broker is; always 1."
#define ALERTS_NAME "drover_alerts"
#define ALERTS_HELP "Alerts by rule, severity and state."

/* At most so many series as there may be rules (128), twice. */
static void put_alerts(struct writer *writer, const drover_value *status)
{
    static const char *const states[] = {"pending", "firing"};
    static const struct label labels[] = {
        {"rule", "rule"}, {"severity", "severity"}, {NULL, NULL}};
    drover_value *rows = get(status, "alert_counts");
    drover_value_iter iter;
    drover_value *row = NULL;
    bool is_first = true;
    if (rows == NULL) {
        return;
    }
    drover_value_iter_init(&iter, rows);
    while (drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
        for (size_t i = 0; i < DRV_ARRAY_LEN(states); i++) {
            const struct metric metric = {.key = states[i], .scale = 1};
            char label[40];
            double number = 0;
            (void)get_number(row, &metric, &number);
            if (is_first) {
                put_head(writer, ALERTS_NAME, "gauge", ALERTS_HELP);
            }
            is_first = false;
            (void)snprintf(label, sizeof(label), "state=\"%s\"", states[i]);
            put_series(writer, ALERTS_NAME, row, labels, label, number);
        }
        drover_value_destroy(&row);
    }
    drover_value_destroy(&rows);
}

static void put_broker(struct writer *writer, const drover_value *status)
{
    static const struct label labels[] = {
        {"version", "version"}, {"store", "store"}, {"durability", "durability"}, {NULL, NULL}};
    drover_value *broker = get(status, "broker");
    put_head(writer, INFO_NAME, "gauge", INFO_HELP);
    put_series(writer, INFO_NAME, broker, labels, NULL, 1);
    drover_value_destroy(&broker);
    for (size_t i = 0; i < DRV_ARRAY_LEN(broker_metrics); i++) {
        const struct metric *metric = &broker_metrics[i];
        double number = 0;
        if (get_number(status, metric, &number)) {
            put_head(writer, metric->name, metric->type, metric->help);
            put_series(writer, metric->name, NULL, no_labels, NULL, number);
        }
    }
}

static void put_times(struct writer *writer, const drover_value *status)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(summaries); i++) {
        drover_value *rows = get(status, summaries[i].list);
        if (rows != NULL) {
            put_summary(writer, rows, &summaries[i]);
        }
        drover_value_destroy(&rows);
    }
}

drover_status metrics_write(struct drv_view status, struct drv_buffer *out)
{
    struct writer writer = {.out = out};
    drover_value *document = NULL;
    drover_status read = drover_value_from_msgpack(status.bytes, status.len, &document);
    if (read != DROVER_OK) {
        return read;
    }
    if (drover_value_get_type(document) != DROVER_VALUE_MAP) {
        drover_value_destroy(&document);
        return DROVER_MALFORMED;
    }
    put_broker(&writer, document);
    put_states(&writer, document);
    put_alerts(&writer, document);
    put_list(&writer, document, "queues", queue_metrics, DRV_ARRAY_LEN(queue_metrics),
             queue_labels);
    put_list(&writer, document, "workers", worker_metrics, DRV_ARRAY_LEN(worker_metrics),
             worker_labels);
    put_list(&writer, document, "types", type_metrics, DRV_ARRAY_LEN(type_metrics),
             type_labels);
    put_times(&writer, document);
    drover_value_destroy(&document);
    return writer.status;
}

/* ---- describing -------------------------------------------------------------------------- */

struct telling {
    metrics_tell_fn tell;
    void *context;
};

static void tell(const struct telling *telling, const char *name, const char *type,
                 const char *labels, const char *help)
{
    const struct metrics_family family = {name, type, labels, help};
    telling->tell(telling->context, &family);
}

static void tell_all(const struct telling *telling, const struct metric *metrics, size_t count,
                     const char *labels)
{
    for (size_t i = 0; i < count; i++) {
        tell(telling, metrics[i].name, metrics[i].type, labels, metrics[i].help);
    }
}

void metrics_describe(metrics_tell_fn function, void *context)
{
    const struct telling telling = {function, context};
    tell(&telling, INFO_NAME, "gauge", "version, store, durability", INFO_HELP);
    tell_all(&telling, broker_metrics, DRV_ARRAY_LEN(broker_metrics), "");
    for (size_t i = 0; i < DRV_ARRAY_LEN(by_state); i++) {
        tell(&telling, by_state[i].name, by_state[i].type, "state", by_state[i].help);
    }
    tell(&telling, ALERTS_NAME, "gauge", "rule, severity, state", ALERTS_HELP);
    tell_all(&telling, queue_metrics, DRV_ARRAY_LEN(queue_metrics), "queue");
    tell_all(&telling, worker_metrics, DRV_ARRAY_LEN(worker_metrics), "worker, host");
    tell_all(&telling, type_metrics, DRV_ARRAY_LEN(type_metrics), "type");
    for (size_t i = 0; i < DRV_ARRAY_LEN(summaries); i++) {
        bool is_queue = summaries[i].labels == queue_labels;
        tell(&telling, summaries[i].name, "summary",
             is_queue ? "queue, quantile" : "type, quantile", summaries[i].help);
    }
}
