/* doc_worker.c: one worker: who it is, what it offers, what it holds, how its host is. */
#include "document.h"

#include "broker.h"

#include <stdio.h>

/* Leases listed for one worker. */
enum { LEASES_MAX = 256 };

static const char *state_of(const struct worker *worker)
{
    if (worker->session == NULL || worker->session->peer == NULL) {
        return "reattaching";
    }
    if (worker->is_draining) {
        return "draining";
    }
    if (worker->session->peer->is_blocked) {
        return "blocked";
    }
    return worker->is_heavy ? "memory" : "connected";
}

static const char *model_name(uint32_t model)
{
    static const char *const names[] = {"", "prefork", "thread", "fork", "exec"};
    return model < sizeof(names) / sizeof(names[0]) ? names[model] : "";
}

static void put_class(struct document *document, const struct class *class)
{
    document_array(document, "types");
    for (size_t i = 0; i < class->offer_count && i < DOCUMENT_NAMES_MAX; i++) {
        document_str(document, NULL, type_name(class->offers[i].type));
    }
    document_end(document);
    document_uint(document, "type_count", class->offer_count);
    document_array(document, "queues");
    for (size_t i = 0; i < class->queue_count && i < DOCUMENT_NAMES_MAX; i++) {
        document_str(document, NULL, class->queues[i]);
    }
    document_end(document);
    document_map(document, "labels");
    for (size_t i = 0; i < class->label_count && i < DOCUMENT_NAMES_MAX; i++) {
        document_entry(document, class->labels[i].name, class->labels[i].value);
    }
    document_end(document);
}

static void put_resources(struct document *document, const struct worker *worker)
{
    const struct class *class = worker->class;
    document_map(document, "resources");
    for (size_t i = 0; i < class->resource_count && i < DOCUMENT_NAMES_MAX; i++) {
        char name[DRV_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "%.*s", (int)class->resources[i].len,
                       class->resources[i].ptr);
        document_map(document, name);
        document_uint(document, "total", worker->stocks[i].total);
        document_uint(document, "used", worker->stocks[i].used);
        document_end(document);
    }
    document_end(document);
}

static void put_host(struct document *document, const struct drv_host *host)
{
    document_map(document, "stats");
    document_double(document, "cpu_percent", host->cpu_percent);
    document_double(document, "memory_percent", host->memory_percent);
    document_double(document, "disk_percent", host->disk_percent);
    document_uint(document, "process_count", host->process_count);
    document_double(document, "load1", host->load1);
    document_uint(document, "bytes_sent", host->bytes_sent);
    document_uint(document, "bytes_recv", host->bytes_recv);
    document_uint(document, "packets_sent", host->packets_sent);
    document_uint(document, "packets_recv", host->packets_recv);
    document_uint(document, "memory_total", host->memory_total);
    document_uint(document, "memory_used", host->memory_used);
    document_uint(document, "cpu_count", host->cpu_count);
    document_uint(document, "uptime_ms", host->uptime_ms);
    document_end(document);
}

static void put_details(struct document *document, const struct worker *worker)
{
    if (worker->has_dropped_details) {
        document_bool(document, "details_dropped", true);
    }
    if (worker->details != NULL) {
        struct drv_val details = body_val(worker->details);
        document_age(document, "details_age_ms", worker->details_at_us);
        document_raw(document, "details", str_of((const char *)details.bytes, details.len));
    }
}

/* How its types run. A model that the worker does not give for the type is its own. */
static void put_offers(struct document *document, const struct class *class)
{
    document_array(document, "offers");
    for (size_t i = 0; i < class->offer_count && i < DOCUMENT_NAMES_MAX; i++) {
        const struct offer *offer = &class->offers[i];
        document_map(document, NULL);
        document_str(document, "type", type_name(offer->type));
        document_text(document, "model",
                      model_name(offer->model != 0 ? offer->model : class->model));
        document_uint(document, "concurrency", offer->concurrency);
        document_end(document);
    }
    document_end(document);
}

static void put_leases(struct document *document, const struct worker *worker)
{
    unsigned listed = 0;
    document_array(document, "leases");
    DRV_LIST_EACH(link, &worker->leases)
    {
        const struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        if (listed++ == LEASES_MAX || document_is_full(document)) {
            break;
        }
        document_map(document, NULL);
        document_id(document, "id", &lease->task->id);
        document_int(document, "index",
                     lease->index == DROVER_INDEX_NONE ? -1 : (int64_t)lease->index);
        document_uint(document, "attempt", lease->unit->attempt);
        document_str(document, "type", type_name(lease->task->spec->line->type));
        document_bool(document, "started", (lease->flags & LEASE_STARTED) != 0);
        document_age(document, "age_ms", lease->since_us);
        document_end(document);
    }
    document_end(document);
}

void document_worker(struct document *document, const struct worker *worker, bool with_leases)
{
    document_map(document, NULL);
    document_id(document, "id", &worker->who->session);
    document_str(document, "name", worker_name(worker));
    document_str(document, "host", worker_host(worker));
    document_str(document, "account", account_name(worker->session->account));
    document_uint(document, "pid", worker->pid);
    document_text(document, "state", state_of(worker));
    document_uint(document, "slots", worker->slots);
    document_uint(document, "running", worker->started);
    document_uint(document, "assigned", worker->held - worker->started);
    document_text(document, "model", model_name(worker->class->model));
    put_class(document, worker->class);
    put_resources(document, worker);
    document_age(document, "heartbeat_age_ms", worker->heard_us);
    document_uint(document, "tasks_done", worker->tasks_done);
    if (worker->has_host) {
        put_host(document, &worker->host);
    }
    if (with_leases) {
        put_details(document, worker);
        put_offers(document, worker->class);
        put_leases(document, worker);
    }
    document_end(document);
}

void document_statistics(struct document *document, const struct worker *worker)
{
    document_map(document, NULL);
    document_id(document, "id", &worker->who->session);
    document_str(document, "name", worker_name(worker));
    document_str(document, "host", worker_host(worker));
    document_uint(document, "pid", worker->pid);
    document_text(document, "state", state_of(worker));
    document_age(document, "heartbeat_age_ms", worker->heard_us);
    put_details(document, worker);
    document_end(document);
}
