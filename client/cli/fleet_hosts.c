/* fleet_hosts.c: see fleet_hosts.h. */
#include "fleet_hosts.h"

#include <stdlib.h>
#include <string.h>

void fleet_hosts_fini(struct fleet_hosts *hosts)
{
    free(hosts->list);
    *hosts = (struct fleet_hosts){NULL, 0};
}

static struct fleet_host *host_ensure(struct fleet_hosts *hosts, const char *name)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (strcmp(hosts->list[i].name, name) == 0) {
            return &hosts->list[i];
        }
    }
    struct fleet_host *list = realloc(hosts->list, (hosts->count + 1) * sizeof(*list));
    if (list == NULL) {
        return NULL;
    }
    hosts->list = list;
    struct fleet_host *host = &list[hosts->count++];
    memset(host, 0, sizeof(*host));
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    return host;
}

static void read_stats(struct fleet_host *host, const drover_value *worker)
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

bool fleet_hosts_add(struct fleet_hosts *hosts, const drover_value *worker)
{
    char name[DOC_TEXT_MAX];
    struct fleet_host *host = host_ensure(hosts, doc_text(worker, "host", name, sizeof(name)));
    if (host == NULL) {
        return false;
    }
    host->workers++;
    host->slots += doc_int(worker, "slots");
    host->running += doc_int(worker, "running");
    read_stats(host, worker);
    return true;
}

struct fleet_host fleet_hosts_sum(const struct fleet_hosts *hosts)
{
    struct fleet_host sum = {.name = "all hosts"};
    double with_stats = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct fleet_host *host = &hosts->list[i];
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
