/* doc_status.c: topic status: the broker, its counters, queues, workers and types. */
#include "document.h"

#include "broker.h"
#include "guard.h"

#include <limits.h>

/* Rows of each list in a status document; the lists themselves come whole by topics 5 and 6. */
enum {
    STATUS_QUEUES_MAX = 200,
    STATUS_WORKERS_MAX = 200,
    STATUS_TYPES_MAX = 200,
    STATUS_ALERTS_MAX = 100
};

static uint64_t count_clients(const struct core *core, uint64_t *out_sessions)
{
    uint64_t clients = 0;
    *out_sessions = 0;
    for (uint32_t i = 0; i < core->sessions.slot_count; i++) {
        const struct session *session = core->sessions.slots[i];
        if (session != NULL) {
            (*out_sessions)++;
            clients += session->role == DRV_ROLE_CLIENT && session->peer != NULL;
        }
    }
    return clients;
}

static void put_broker(struct document *document)
{
    const struct core *core = document->core;
    uint64_t sessions = 0;
    uint64_t clients = count_clients(core, &sessions);
    document_map(document, "broker");
    document_id(document, "id", &core->config.broker_id);
    document_text(document, "version", core->config.software);
    document_uint(document, "epoch", core->config.epoch);
    document_age(document, "uptime_ms", core->started_us);
    document_uint(document, "rss_bytes", core->self.rss_bytes);
    document_double(document, "cpu_percent", core->self.cpu_percent);
    document_double(document, "loop_ms", (double)core->self.loop_us / 1000.0);
    document_double(document, "journal_ms", (double)core->self.journal_us / 1000.0);
    document_double(document, "disk_percent", core->self.disk_percent);
    document_text(document, "store", core->config.store_name);
    document_text(document, "durability", drover_durability_name(core->config.durability_max));
    document_uint(document, "memory_bytes", core->memory_bytes);
    document_uint(document, "memory_max", core->config.memory_max);
    document_uint(document, "sessions", sessions);
    document_uint(document, "clients", clients);
    document_bool(document, "draining", core->is_draining);
    if (core->config.client_endpoint_count > 0) {
        document_text(document, "endpoint", core->config.client_endpoints[0]);
    }
    if (core->config.worker_endpoint_count > 0) {
        document_text(document, "worker_endpoint", core->config.worker_endpoints[0]);
    }
    document_end(document);
}

static void put_counters(struct document *document)
{
    const struct core_counters *c = &document->core->counters;
    const struct {
        const char *key;
        uint64_t number;
    } rows[] = {
        {"submitted", c->submitted},
        {"waiting", c->waiting},
        {"delayed", c->delayed},
        {"queued", c->queued},
        {"running", c->running},
        {"succeeded", c->succeeded},
        {"failed", c->failed},
        {"cancelled", c->cancelled},
        {"expired", c->expired},
        {"lost_at_restart", c->lost_at_restart},
        {"retried", c->retried},
        {"stale_results", c->stale_results},
        {"duplicate_results", c->duplicate_results},
        {"unknown_results", c->unknown_results},
        {"malformed", c->malformed},
        {"denied", c->denied},
        {"late", c->late},
        {"refused", c->refused},
        {"charged", c->charged},
        {"requeued_free", c->requeued_free},
        {"stale_writes", c->stale_writes},
        {"stale_progress", c->stale_progress},
        {"stale_heartbeats", c->stale_heartbeats},
        {"attached", c->attached},
    };
    document_map(document, "tasks");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        document_uint(document, rows[i].key, rows[i].number);
    }
    document_end(document);
}

bool document_types(struct document *document, uint32_t rows)
{
    struct core *core = document->core;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct type *type;
    document_array(document, "types");
    while (rows > 0 && !document_is_full(document) &&
           (type = drv_table_next(&core->types, &cursor)) != NULL) {
        uint64_t workers = 0;
        DRV_LIST_EACH(link, &type->offers)
        {
            workers += DRV_LIST_ITEM(link, struct offer, in_type)->class->references;
        }
        document_map(document, NULL);
        document_str(document, "name", type_name(type));
        document_uint(document, "workers", workers);
        document_uint(document, "depth", type->queued);
        document_uint(document, "running", type->running);
        if (type->run_us >= 0) {
            document_double(document, "run_ms", (double)type->run_us / 1000.0);
        }
        document_times(document, type->times);
        document_end(document);
        rows--;
    }
    document_end(document);
    return rows == 0 || document_is_full(document);
}

/* What the history has counted: rates, what runs where, how long things take. */
static void put_aggregates(struct document *document)
{
    const struct history *history = &document->core->history;
    struct history_rates rates = history_rates(document->core);
    document_map(document, "rates");
    document_double(document, "submitted_per_s", rates.submitted);
    document_double(document, "succeeded_per_s", rates.succeeded);
    document_double(document, "failed_per_s", rates.failed);
    document_end(document);
    document_map(document, "times");
    document_times(document, history->all);
    document_end(document);
    document_uint(document, "slots", history->slots);
    document_uint(document, "busy", history->busy);
    document_uint(
        document, "oldest_age_ms",
        history->oldest_us == 0 ? 0 : ms_of_us(document->core->now_us - history->oldest_us));
}

void document_status(struct document *document)
{
    struct core *core = document->core;
    struct drv_table_cursor queues = DRV_TABLE_CURSOR_INIT;
    struct drv_table_cursor workers = DRV_TABLE_CURSOR_INIT;
    document_map(document, NULL);
    put_broker(document);
    put_counters(document);
    document_array(document, "queues");
    bool truncated = document_queues(document, &queues, STATUS_QUEUES_MAX);
    document_end(document);
    bool is_own = guard_only(core) != NULL; /* whose numbers, but not whose machines */
    document_array(document, "workers");
    truncated = (!is_own && document_workers(document, &workers, STATUS_WORKERS_MAX)) ||
                truncated;
    document_end(document);
    truncated = document_types(document, STATUS_TYPES_MAX) || truncated;
    put_aggregates(document);
    document_array(document, "alerts");
    truncated = (!is_own && document_alerts(document, STATUS_ALERTS_MAX)) || truncated;
    document_end(document);
    document_alert_counts(document);
    document_uint(document, "queue_count", drv_table_count(&core->queues));
    document_uint(document, "worker_count", drv_table_count(&core->workers_by_name));
    document_uint(document, "workers_lost", core->workers_lost);
    document_uint(document, "key_count", drv_table_count(&core->keys));
    document_uint(document, "group_count", drv_table_count(&core->groups));
    document_bool(document, "truncated", truncated);
    document_end(document);
}
