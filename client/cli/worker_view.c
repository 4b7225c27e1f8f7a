/* worker_view.c: see worker_view.h. */
#include "worker_view.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"
#include "sandbox_view.h"
#include "target.h"

#include <inttypes.h>
#include <string.h>

enum { BAR_WIDTH = 10, CORES_PER_LINE = 4 };

char *worker_view_bar(double percent, char out_text[WORKER_BAR_MAX])
{
    static const char full[] = "##########";
    static const char empty[] = "..........";
    if (percent < 0) {
        (void)snprintf(out_text, WORKER_BAR_MAX, "-");
        return out_text;
    }
    int width = percent >= 100 ? BAR_WIDTH : (int)(percent * BAR_WIDTH / 100 + 0.5);
    (void)snprintf(out_text, WORKER_BAR_MAX, "[%.*s%.*s] %5.1f %%", width, full,
                   BAR_WIDTH - width, empty, percent);
    return out_text;
}

/* ---- numbers ----------------------------------------------------------------------------- */

static char *bytes_text(const drover_value *map, const char *key, char *out_text)
{
    if (!doc_has(map, key)) {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "-");
        return out_text;
    }
    return human_bytes(doc_int(map, key), out_text);
}

/* "USED of TOTAL (P %)" */
static void print_part(const char *name, int64_t used, int64_t total)
{
    char used_text[HUMAN_TEXT_MAX];
    char total_text[HUMAN_TEXT_MAX];
    char bar[WORKER_BAR_MAX];
    double percent = total > 0 ? 100.0 * (double)used / (double)total : 0;
    (void)printf("%-14s %s  %s of %s\n", name, worker_view_bar(percent, bar),
                 human_bytes(used, used_text), human_bytes(total, total_text));
}

/* A rate in bytes; "-" while it is not known. */
static void put_rate(struct grid *grid, const drover_value *map, const char *key)
{
    char text[HUMAN_TEXT_MAX];
    if (doc_has(map, key)) {
        grid_text(grid, human_bytes((int64_t)doc_double(map, key), text));
    } else {
        grid_text(grid, "-");
    }
}

/* ---- host -------------------------------------------------------------------------------- */

static void print_cores(const drover_value *host)
{
    char bar[WORKER_BAR_MAX];
    drover_value *cores = doc_get(host, "core_percent");
    drover_value *item = NULL;
    drover_value_iter iter;
    unsigned number = 0;
    if (cores == NULL) {
        return;
    }
    drover_value_iter_init(&iter, cores);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        double percent = 0;
        bool is_known = drover_value_get_double(item, &percent) == DROVER_OK;
        (void)printf("%s%3u %-21s",
                     number == 0                    ? "cores         "
                     : number % CORES_PER_LINE == 0 ? "\n              "
                                                    : " ",
                     number, worker_view_bar(is_known ? percent : -1, bar));
        number++;
        drover_value_destroy(&item);
    }
    (void)fputs(number > 0 ? "\n" : "", stdout);
    drover_value_destroy(&cores);
}

/* H, which every heartbeat has. */
static void print_host(const drover_value *stats)
{
    char bar[WORKER_BAR_MAX];
    char up[HUMAN_TEXT_MAX];
    (void)printf("\n%-14s %s  %" PRId64 " processors  %" PRId64 " processes  up %s\n", "cpu",
                 worker_view_bar(doc_double(stats, "cpu_percent"), bar),
                 doc_int(stats, "cpu_count"), doc_int(stats, "process_count"),
                 human_age(doc_int(stats, "uptime_ms"), up));
    print_part("memory", doc_int(stats, "memory_used"), doc_int(stats, "memory_total"));
    (void)printf("%-14s %s\n", "disk /",
                 worker_view_bar(doc_double(stats, "disk_percent"), bar));
}

static int print_host_details(const drover_value *host)
{
    print_part("swap", doc_int(host, "swap_used"), doc_int(host, "swap_total"));
    (void)printf("%-14s %.2f  %.2f  %.2f\n", "load", doc_double(host, "load1"),
                 doc_double(host, "load5"), doc_double(host, "load15"));
    print_cores(host);
    return CLI_OK;
}

/* ---- lists ------------------------------------------------------------------------------- */

typedef void (*row_fn)(struct grid *grid, const drover_value *row);

/* The list under key as a table; `group` says when it is cut or old. */
static int print_list(const drover_value *group, const char *key,
                      const struct grid_column *columns, size_t count, row_fn row)
{
    struct grid grid;
    drover_value *list = doc_get(group, key);
    drover_value *item = NULL;
    drover_value_iter iter;
    (void)putchar('\n');
    grid_open(&grid, columns, count);
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    int code = grid_print(&grid);
    if (doc_bool(group, "stale")) {
        (void)puts("some file system does not answer: these numbers are old");
    }
    if (doc_bool(group, "truncated")) {
        (void)puts("the list is cut: there are more");
    }
    return code;
}

static void mount_row(struct grid *grid, const drover_value *mount)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(mount, "path", text, sizeof(text)));
    grid_text(grid, doc_text(mount, "type", text, sizeof(text)));
    if (doc_bool(mount, "remote")) {
        grid_text(grid, "remote");
        return;
    }
    grid_known(grid, mount, "percent");
    grid_text(grid, bytes_text(mount, "used", text));
    grid_text(grid, bytes_text(mount, "available", text));
    grid_text(grid, bytes_text(mount, "total", text));
}

static int print_disk(const drover_value *disk)
{
    static const struct grid_column columns[] = {{.name = "MOUNT"},
                                                 {.name = "TYPE"},
                                                 {.name = "USED %", .right = true},
                                                 {.name = "USED", .right = true},
                                                 {.name = "FREE", .right = true},
                                                 {.name = "SIZE", .right = true}};
    return print_list(disk, "mounts", columns, DRV_ARRAY_LEN(columns), mount_row);
}

static void interface_row(struct grid *grid, const drover_value *interface)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(interface, "name", text, sizeof(text)));
    grid_text(grid, bytes_text(interface, "bytes_sent", text));
    grid_text(grid, bytes_text(interface, "bytes_recv", text));
    put_rate(grid, interface, "bytes_sent_per_s");
    put_rate(grid, interface, "bytes_recv_per_s");
    grid_known(grid, interface, "packets_sent_per_s");
    grid_known(grid, interface, "packets_recv_per_s");
}

static int print_net(const drover_value *net)
{
    static const struct grid_column columns[] = {{.name = "INTERFACE"},
                                                 {.name = "SENT", .right = true},
                                                 {.name = "RECEIVED", .right = true},
                                                 {.name = "SENT/s", .right = true},
                                                 {.name = "RECEIVED/s", .right = true},
                                                 {.name = "PACKETS OUT/s", .right = true},
                                                 {.name = "PACKETS IN/s", .right = true}};
    return print_list(net, "interfaces", columns, DRV_ARRAY_LEN(columns), interface_row);
}

static void executor_row(struct grid *grid, const drover_value *executor)
{
    char text[DOC_TEXT_MAX];
    drover_task_ref task;
    grid_row(grid);
    grid_int(grid, doc_int(executor, "pid"));
    grid_text(grid, doc_text(executor, "state", text, sizeof(text)));
    grid_text(grid, doc_text(executor, "model", text, sizeof(text)));
    grid_known(grid, executor, "cpu_percent");
    grid_text(grid, bytes_text(executor, "rss_bytes", text));
    grid_int(grid, doc_int(executor, "done"));
    grid_int(grid, doc_int(executor, "crashes"));
    grid_age(grid, doc_has(executor, "uptime_ms") ? doc_int(executor, "uptime_ms") : -1);
    if (doc_task(executor, &task)) {
        target_format(&task.id, task.index, text);
        grid_text(grid, text);
        grid_text(grid, doc_text(executor, "type", text, sizeof(text)));
        grid_age(grid, doc_int(executor, "task_ms"));
    }
}

static int print_executors(const drover_value *executors)
{
    static const struct grid_column columns[] = {{.name = "EXECUTOR", .right = true},
                                                 {.name = "STATE"},
                                                 {.name = "MODEL"},
                                                 {.name = "CPU %", .right = true},
                                                 {.name = "RSS", .right = true},
                                                 {.name = "DONE", .right = true},
                                                 {.name = "CRASHES", .right = true},
                                                 {.name = "UP", .right = true},
                                                 {.name = "TASK"},
                                                 {.name = "TYPE"},
                                                 {.name = "FOR", .right = true}};
    return print_list(executors, "list", columns, DRV_ARRAY_LEN(columns), executor_row);
}

static void process_row(struct grid *grid, const drover_value *process)
{
    char text[DOC_TEXT_MAX];
    grid_row(grid);
    grid_int(grid, doc_int(process, "pid"));
    grid_text(grid, doc_text(process, "user", text, sizeof(text)));
    grid_text(grid, doc_text(process, "state", text, sizeof(text)));
    grid_known(grid, process, "cpu_percent");
    grid_known(grid, process, "memory_percent");
    grid_text(grid, bytes_text(process, "rss_bytes", text));
    grid_int(grid, doc_int(process, "threads"));
    grid_text(grid, doc_text(process, "name", text, sizeof(text)));
}

static int print_processes(const drover_value *processes)
{
    static const struct grid_column columns[] = {{.name = "PROCESS", .right = true},
                                                 {.name = "USER"},
                                                 {.name = "S"},
                                                 {.name = "CPU %", .right = true},
                                                 {.name = "MEMORY %", .right = true},
                                                 {.name = "RSS", .right = true},
                                                 {.name = "THREADS", .right = true},
                                                 {.name = "NAME", .cut = true}};
    return print_list(processes, "list", columns, DRV_ARRAY_LEN(columns), process_row);
}

/* ---- control group ----------------------------------------------------------------------- */

static void print_bound(const drover_value *cgroup, const char *key, bool is_bytes)
{
    char used[HUMAN_TEXT_MAX];
    char limit[HUMAN_TEXT_MAX] = "no limit";
    drover_value *bound = doc_get(cgroup, key);
    if (bound == NULL) {
        return;
    }
    if (is_bytes) {
        (void)bytes_text(bound, "used", used);
    } else {
        (void)snprintf(used, sizeof(used), "%" PRId64, doc_int(bound, "used"));
    }
    if (doc_has(bound, "limit") && is_bytes) {
        (void)bytes_text(bound, "limit", limit);
    } else if (doc_has(bound, "limit")) {
        (void)snprintf(limit, sizeof(limit), "%" PRId64, doc_int(bound, "limit"));
    } else {
        /* as it stands */
    }
    (void)printf("  %s %s of %s", key, used, limit);
    drover_value_destroy(&bound);
}

static int print_cgroup(const drover_value *cgroup)
{
    (void)printf("%-14s v%" PRId64, "control group", doc_int(cgroup, "version"));
    if (doc_has(cgroup, "cpu_percent")) {
        (void)printf("  cpu %.1f %%", doc_double(cgroup, "cpu_percent"));
    }
    if (doc_has(cgroup, "cpus")) {
        (void)printf(" of %.2f processors, throttled %" PRId64 " times",
                     doc_double(cgroup, "cpus"), doc_int(cgroup, "throttled"));
    }
    print_bound(cgroup, "memory", true);
    print_bound(cgroup, "swap", true);
    print_bound(cgroup, "pids", false);
    (void)putchar('\n');
    return CLI_OK;
}

/* ---- all --------------------------------------------------------------------------------- */

int worker_view_print(const drover_value *worker)
{
    static const struct {
        const char *key;
        int (*print)(const drover_value *group);
    } groups[] = {{"host", print_host_details},
                  {"cgroup", print_cgroup},
                  {"sandbox", sandbox_view_print},
                  {"disk", print_disk},
                  {"net", print_net},
                  {"executors", print_executors},
                  {"processes", print_processes}};
    char age[HUMAN_TEXT_MAX];
    int code = CLI_OK;
    drover_value *stats = doc_get(worker, "stats");
    drover_value *details = doc_get(worker, "details");
    if (stats != NULL) {
        print_host(stats);
    }
    for (size_t i = 0; details != NULL && i < DRV_ARRAY_LEN(groups); i++) {
        drover_value *group = doc_get(details, groups[i].key);
        if (group != NULL) {
            code = cli_worse(code, groups[i].print(group));
        }
        drover_value_destroy(&group);
    }
    if (details != NULL) {
        (void)printf("\nas of %s ago\n", human_age(doc_int(worker, "details_age_ms"), age));
    } else if (doc_bool(worker, "details_dropped")) {
        (void)puts("\nits details are more than the broker keeps");
    } else {
        /* it tells none */
    }
    drover_value_destroy(&stats);
    drover_value_destroy(&details);
    return code;
}
