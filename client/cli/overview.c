/* overview.c: see overview.h. */
#include "overview.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"

#include <stdlib.h>
#include <string.h>

/* ---- queues ------------------------------------------------------------------------------ */

void overview_queue_row(struct grid *grid, const drover_value *queue)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(queue, "name", text, sizeof(text)));
    grid_int(grid, doc_int(queue, "depth"));
    grid_int(grid, doc_int(queue, "running"));
    grid_int(grid, doc_int(queue, "delayed"));
    grid_age(grid, doc_int(queue, "depth") > 0 ? doc_int(queue, "oldest_age_ms") : -1);
    grid_state(grid, doc_bool(queue, "paused") ? "paused" : "open");
}

int overview_queues(const drover_value *queues)
{
    static const struct grid_column columns[] = {{.name = "QUEUE"},
                                                 {.name = "DEPTH", .right = true},
                                                 {.name = "RUNNING", .right = true},
                                                 {.name = "DELAYED", .right = true},
                                                 {.name = "OLDEST", .right = true},
                                                 {.name = "STATE"}};
    drover_value *item = NULL;
    drover_value_iter iter;
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    drover_value_iter_init(&iter, queues);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        overview_queue_row(&grid, item);
        drover_value_destroy(&item);
    }
    return grid_print(&grid);
}

/* ---- workers ----------------------------------------------------------------------------- */

static void worker_row(struct grid *grid, const drover_value *worker)
{
    char text[4 * DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(worker, "name", text, sizeof(text)));
    grid_text(grid, doc_text(worker, "host", text, sizeof(text)));
    grid_int(grid, doc_int(worker, "pid"));
    grid_state(grid, doc_text(worker, "state", text, sizeof(text)));
    grid_int(grid, doc_int(worker, "slots"));
    grid_int(grid, doc_int(worker, "running"));
    grid_int(grid, doc_int(worker, "tasks_done"));
    grid_text(grid, doc_text(worker, "model", text, sizeof(text)));
    grid_age(grid, doc_int(worker, "heartbeat_age_ms"));
    drover_value *stats = doc_get(worker, "stats");
    grid_known(grid, stats, "cpu_percent");
    grid_known(grid, stats, "memory_percent");
    drover_value_destroy(&stats);
    grid_text(grid, doc_join(worker, "labels", text, sizeof(text)));
    grid_text(grid, doc_join(worker, "types", text, sizeof(text)));
}

int overview_workers(const drover_value *workers)
{
    static const struct grid_column columns[] = {{.name = "WORKER"},
                                                 {.name = "HOST", .cut = true},
                                                 {.name = "PID", .right = true},
                                                 {.name = "STATE"},
                                                 {.name = "SLOTS", .right = true},
                                                 {.name = "RUNNING", .right = true},
                                                 {.name = "DONE", .right = true},
                                                 {.name = "MODEL"},
                                                 {.name = "HEARD", .right = true},
                                                 {.name = "CPU %", .right = true},
                                                 {.name = "MEMORY %", .right = true},
                                                 {.name = "LABELS", .cut = true},
                                                 {.name = "TYPES", .cut = true}};
    drover_value *item = NULL;
    drover_value_iter iter;
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    drover_value_iter_init(&iter, workers);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        worker_row(&grid, item);
        drover_value_destroy(&item);
    }
    return grid_print(&grid);
}

/* ---- hosts ------------------------------------------------------------------------------- */

/* The numbers of a host are the same for all its workers; the last one heard of counts. */
struct host {
    char name[DOC_TEXT_MAX];
    int64_t workers;
    int64_t slots;
    int64_t running;
    int64_t heard_ms;
    bool has_stats;
    double cpu_percent;
    double memory_percent;
    double disk_percent;
    double load1;
    int64_t processes;
    int64_t cpus;
    int64_t memory_used, memory_total;
    int64_t bytes_sent;
    int64_t bytes_recv;
};

struct hosts {
    struct host *list; /* owned */
    size_t count;
};

static struct host *host_ensure(struct hosts *hosts, const char *name)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (strcmp(hosts->list[i].name, name) == 0) {
            return &hosts->list[i];
        }
    }
    struct host *list = realloc(hosts->list, (hosts->count + 1) * sizeof(*list));
    if (list == NULL) {
        return NULL;
    }
    hosts->list = list;
    struct host *host = &list[hosts->count++];
    memset(host, 0, sizeof(*host));
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    return host;
}

static void read_stats(struct host *host, const drover_value *worker)
{
    drover_value *stats = doc_get(worker, "stats");
    int64_t heard_ms = doc_int(worker, "heartbeat_age_ms");
    if (stats != NULL && drover_value_count(stats) > 0 &&
        (!host->has_stats || heard_ms < host->heard_ms)) {
        host->has_stats = true;
        host->heard_ms = heard_ms;
        host->cpu_percent = doc_double(stats, "cpu_percent");
        host->memory_percent = doc_double(stats, "memory_percent");
        host->disk_percent = doc_double(stats, "disk_percent");
        host->load1 = doc_double(stats, "load1");
        host->processes = doc_int(stats, "process_count");
        host->cpus = doc_int(stats, "cpu_count");
        host->memory_used = doc_int(stats, "memory_used");
        host->memory_total = doc_int(stats, "memory_total");
        host->bytes_sent = doc_int(stats, "bytes_sent");
        host->bytes_recv = doc_int(stats, "bytes_recv");
    }
    drover_value_destroy(&stats);
}

static bool hosts_add(struct hosts *hosts, const drover_value *worker)
{
    char name[DOC_TEXT_MAX];
    struct host *host = host_ensure(hosts, doc_text(worker, "host", name, sizeof(name)));
    if (host == NULL) {
        return false;
    }
    host->workers++;
    host->slots += doc_int(worker, "slots");
    host->running += doc_int(worker, "running");
    read_stats(host, worker);
    return true;
}

/* What can be summed is. A large host counts for more: processors are weighted by how many
 * there are, memory by its bytes; of disks, whose sizes are not known here, it is the mean. */
static struct host hosts_sum(const struct hosts *hosts)
{
    struct host sum = {.name = "all hosts"};
    double with_stats = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host *host = &hosts->list[i];
        sum.workers += host->workers;
        sum.slots += host->slots;
        sum.running += host->running;
        sum.processes += host->processes;
        sum.bytes_sent += host->bytes_sent;
        sum.bytes_recv += host->bytes_recv;
        sum.cpus += host->cpus;
        sum.memory_used += host->memory_used;
        sum.memory_total += host->memory_total;
        sum.cpu_percent += host->cpu_percent * (double)host->cpus;
        sum.disk_percent += host->disk_percent;
        sum.load1 += host->load1;
        with_stats += host->has_stats ? 1 : 0;
    }
    sum.has_stats = with_stats > 0;
    if (sum.has_stats) {
        sum.cpu_percent = sum.cpus > 0 ? sum.cpu_percent / (double)sum.cpus : 0;
        sum.memory_percent = sum.memory_total > 0
                                 ? 100.0 * (double)sum.memory_used / (double)sum.memory_total
                                 : 0;
        sum.disk_percent /= with_stats;
    }
    return sum;
}

static void host_row(struct grid *grid, const struct host *host)
{
    grid_row(grid);
    grid_text(grid, host->name);
    grid_int(grid, host->workers);
    grid_int(grid, host->slots);
    grid_int(grid, host->running);
    if (host->has_stats) {
        grid_int(grid, host->cpus);
        grid_double(grid, host->cpu_percent);
        grid_double(grid, host->memory_percent);
        grid_double(grid, host->disk_percent);
        grid_double(grid, host->load1);
        grid_int(grid, host->processes);
        grid_bytes(grid, host->bytes_sent);
        grid_bytes(grid, host->bytes_recv);
    }
}

static int print_hosts(const struct hosts *hosts)
{
    static const struct grid_column columns[] = {{.name = "HOST"},
                                                 {.name = "WORKERS", .right = true},
                                                 {.name = "SLOTS", .right = true},
                                                 {.name = "RUNNING", .right = true},
                                                 {.name = "CPUS", .right = true},
                                                 {.name = "CPU %", .right = true},
                                                 {.name = "MEMORY %", .right = true},
                                                 {.name = "DISK %", .right = true},
                                                 {.name = "LOAD", .right = true},
                                                 {.name = "PROCESSES", .right = true},
                                                 {.name = "SENT", .right = true},
                                                 {.name = "RECEIVED", .right = true}};
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    for (size_t i = 0; i < hosts->count; i++) {
        host_row(&grid, &hosts->list[i]);
    }
    if (hosts->count > 0) {
        struct host sum = hosts_sum(hosts);
        host_row(&grid, &sum);
    }
    return grid_print(&grid);
}

int overview_hosts(const drover_value *workers)
{
    struct hosts hosts = {NULL, 0};
    drover_value *item = NULL;
    drover_value_iter iter;
    bool ok = true;
    drover_value_iter_init(&iter, workers);
    while (ok && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        ok = hosts_add(&hosts, item);
        drover_value_destroy(&item);
    }
    int code = ok ? print_hosts(&hosts) : cli_no_memory();
    free(hosts.list);
    return code;
}
