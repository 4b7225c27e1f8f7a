/* overview.c: see overview.h. */
#include "overview.h"

#include "check.h"
#include "doc.h"
#include "fleet_hosts.h"
#include "grid.h"
#include "human.h"

#include <stdio.h>

/* ---- queues ------------------------------------------------------------------------------ */

/* What 99 of 100 attempts lately took at most; "-" when there were none. */
static void grid_time(struct grid *grid, const drover_value *queue, const char *key)
{
    char text[HUMAN_TEXT_MAX];
    drover_value *times = doc_get(queue, key);
    bool is_told = times != NULL && doc_int(times, "count") > 0;
    grid_text(grid,
              is_told ? human_us((int64_t)(doc_double(times, "p99_ms") * 1000), text) : "-");
    drover_value_destroy(&times);
}

/* "-" of a broker that does not tell it. */
static void grid_per_second(struct grid *grid, const drover_value *queue, const char *key)
{
    char text[32] = "-";
    if (doc_has(queue, key)) {
        double rate = doc_double(queue, key);
        (void)snprintf(text, sizeof text, rate > 0 && rate < 10 ? "%.1f" : "%.0f", rate);
    }
    grid_text(grid, text);
}

void overview_queue_row(struct grid *grid, const drover_value *queue)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(queue, "name", text, sizeof(text)));
    grid_int(grid, doc_int(queue, "depth"));
    grid_int(grid, doc_int(queue, "running"));
    grid_int(grid, doc_int(queue, "delayed"));
    grid_per_second(grid, queue, "ended_per_s");
    grid_age(grid, doc_int(queue, "depth") > 0 ? doc_int(queue, "oldest_age_ms") : -1);
    grid_time(grid, queue, "wait");
    grid_time(grid, queue, "run");
    grid_state(grid, doc_bool(queue, "paused") ? "paused" : "open");
}

int overview_queues(const drover_value *queues)
{
    static const struct grid_column columns[] = {{.name = "QUEUE"},
                                                 {.name = "DEPTH", .right = true},
                                                 {.name = "RUNNING", .right = true},
                                                 {.name = "DELAYED", .right = true},
                                                 {.name = "ENDED/S", .right = true},
                                                 {.name = "OLDEST", .right = true},
                                                 {.name = "WAIT P99", .right = true},
                                                 {.name = "RUN P99", .right = true},
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

static void host_row(struct grid *grid, const struct fleet_host *host)
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

static int print_hosts(const struct fleet_hosts *hosts)
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
        struct fleet_host sum = fleet_hosts_sum(hosts);
        host_row(&grid, &sum);
    }
    return grid_print(&grid);
}

int overview_hosts(const drover_value *workers)
{
    struct fleet_hosts hosts = {NULL, 0};
    drover_value *item = NULL;
    drover_value_iter iter;
    bool ok = true;
    drover_value_iter_init(&iter, workers);
    while (ok && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        ok = fleet_hosts_add(&hosts, item);
        drover_value_destroy(&item);
    }
    int code = ok ? print_hosts(&hosts) : cli_no_memory();
    fleet_hosts_fini(&hosts);
    return code;
}
