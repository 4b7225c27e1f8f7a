#include "stat/host.h"

#include "check.h"
#include "stat/cgroup.h"
#include "stat/net.h"

#include <ctype.h>
#include <dirent.h>
#include <libproc2/meminfo.h>
#include <libproc2/misc.h>
#include <libproc2/stat.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct ticks {
    uint64_t busy, all;
};

struct stat_host {
    struct stat_info *stat;       /* owned; NULL: not available */
    struct meminfo_info *meminfo; /* owned; NULL: not available */
    struct ticks before;
    double cpu_percent; /* of the last interval */
};

/* Both are asked for in one selection, which reads the file anew; single items would be served
 * from a reading up to a second old, and not the same for both. The results are read as plain
 * fields, since the convenience macros differ between releases. */
static struct ticks read_ticks(struct stat_info *info)
{
    enum stat_item items[] = {STAT_TIC_SUM_BUSY, STAT_TIC_SUM_TOTAL};
    struct ticks ticks = {0, 0};
    const struct stat_stack *stack = info == NULL ? NULL
                                                  : procps_stat_select(info, items,
                                                                       DRV_ARRAY_LEN(items));
    if (stack != NULL) {
        ticks.busy = stack->head[0].result.ull_int;
        ticks.all = stack->head[1].result.ull_int;
    }
    return ticks;
}

drover_status stat_host_new(struct stat_host **out_host)
{
    struct stat_host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        return DROVER_NOMEM;
    }
    if (procps_stat_new(&host->stat) < 0) {
        host->stat = NULL;
    }
    if (procps_meminfo_new(&host->meminfo) < 0) {
        host->meminfo = NULL;
    }
    host->before = read_ticks(host->stat);
    *out_host = host;
    return DROVER_OK;
}

void stat_host_destroy(struct stat_host **host)
{
    if (*host == NULL) {
        return;
    }
    if ((*host)->stat != NULL) {
        (void)procps_stat_unref(&(*host)->stat);
    }
    if ((*host)->meminfo != NULL) {
        (void)procps_meminfo_unref(&(*host)->meminfo);
    }
    free(*host);
    *host = NULL;
}

double stat_host_cpu_percent(uint64_t busy_before, uint64_t all_before, uint64_t busy_now,
                             uint64_t all_now, double previous)
{
    if (all_now <= all_before) {
        return previous;
    }
    if (busy_now <= busy_before) {
        return 0;
    }
    double percent = 100.0 * (double)(busy_now - busy_before) / (double)(all_now - all_before);
    return percent > 100 ? 100 : percent;
}

uint64_t stat_host_process_count(const char *root)
{
    char path[PATH_MAX];
    uint64_t count = 0;
    int len = snprintf(path, sizeof path, "%s/proc", root);
    DIR *directory = len > 0 && (size_t)len < sizeof path ? opendir(path) : NULL;
    if (directory == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += isdigit((unsigned char)entry->d_name[0]) ? 1 : 0;
    }
    (void)closedir(directory);
    return count;
}

double stat_host_disk_percent(const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0 || disk.f_blocks < disk.f_bfree) {
        return 0;
    }
    double used = (double)(disk.f_blocks - disk.f_bfree);
    double reachable = used + (double)disk.f_bavail;
    return reachable > 0 ? 100.0 * used / reachable : 0;
}

uint32_t stat_host_usable_cpus(const char *root)
{
    cpu_set_t set;
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    }
    double quota = stat_cgroup_cpus(root);
    if (quota > 0 && ceil(quota) < (double)count) {
        count = (long)ceil(quota);
    }
    return count < 1 ? 1 : (uint32_t)count;
}

static void read_host_memory(struct meminfo_info *info, struct drv_host *numbers)
{
    enum meminfo_item items[] = {MEMINFO_MEM_TOTAL, MEMINFO_MEM_USED};
    const struct meminfo_stack *stack = info == NULL ? NULL
                                                     : procps_meminfo_select(
                                                           info, items, DRV_ARRAY_LEN(items));
    if (stack == NULL) {
        return;
    }
    numbers->memory_total = (uint64_t)stack->head[0].result.ul_int * 1024;
    numbers->memory_used = (uint64_t)stack->head[1].result.ul_int * 1024;
    if (numbers->memory_total > 0) {
        numbers->memory_percent = 100.0 * (double)numbers->memory_used /
                                  (double)numbers->memory_total;
    }
}

static void read_host_cpu(struct stat_host *host, struct drv_host *numbers)
{
    struct ticks now = read_ticks(host->stat);
    host->cpu_percent = stat_host_cpu_percent(host->before.busy, host->before.all, now.busy,
                                              now.all, host->cpu_percent);
    host->before = now;
    numbers->cpu_percent = host->cpu_percent;
}

void stat_host_read(struct stat_host *host, struct drv_host *out_numbers)
{
    struct drv_host numbers = {0};
    struct stat_net net = {0};
    double uptime_s = 0;
    read_host_cpu(host, &numbers);
    read_host_memory(host->meminfo, &numbers);
    numbers.disk_percent = stat_host_disk_percent("/");
    numbers.process_count = stat_host_process_count("");
    if (procps_loadavg(&numbers.load1, NULL, NULL) < 0) {
        numbers.load1 = 0;
    }
    if (stat_net_read("", &net) == DROVER_OK) {
        numbers.bytes_sent = net.bytes_sent;
        numbers.bytes_recv = net.bytes_recv;
        numbers.packets_sent = net.packets_sent;
        numbers.packets_recv = net.packets_recv;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    numbers.cpu_count = cpus > 0 ? (uint64_t)cpus : 0;
    if (procps_uptime(&uptime_s, NULL) >= 0 && uptime_s > 0) {
        numbers.uptime_ms = (uint64_t)(uptime_s * 1000.0);
    }
    *out_numbers = numbers;
}
