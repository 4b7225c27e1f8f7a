#include "stat/host.h"

#include "stat/cgroup.h"
#include "stat/rate.h"
#include "stat/text.h"

#include <math.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* Columns of a line of /proc/stat. Guests are part of user and nice, and not read. */
enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, TICKS };

static const char *load(struct stat_host *host, const char *path)
{
    return stat_text_load(host->root, path, &host->text) == DROVER_OK
               ? (const char *)host->text.bytes
               : "";
}

/* ---- processors -----------------------------------------------------------------------------
 */

/* Kernels leave columns out, never in the middle. */
static bool parse_ticks(const char *at, struct stat_ticks *out_ticks)
{
    uint64_t columns[TICKS] = {0};
    size_t count = 0;
    while (count < TICKS && stat_text_number(&at, &columns[count])) {
        count++;
    }
    if (count <= IDLE) {
        return false;
    }
    *out_ticks = (struct stat_ticks){0, 0};
    for (size_t i = 0; i < TICKS; i++) {
        out_ticks->all += columns[i];
        out_ticks->busy += i == IDLE || i == IOWAIT ? 0 : columns[i];
    }
    return true;
}

double stat_host_cpu_percent(struct stat_ticks before, struct stat_ticks now, double previous)
{
    if (now.all <= before.all) {
        return previous;
    }
    if (now.busy <= before.busy) {
        return 0;
    }
    return stat_percent(now.busy - before.busy, now.all - before.all);
}

static void take_core(struct stat_host *host, const char *line)
{
    struct stat_ticks now;
    uint64_t number = 0;
    if (!stat_text_number(&line, &number) || number >= STAT_CORES_MAX ||
        !parse_ticks(line, &now)) {
        return;
    }
    struct stat_ticks *before = &host->cores[number];
    while (host->core_count <= number) {
        host->core_percent[host->core_count++] = STAT_UNKNOWN;
    }
    host->cpu_count++;
    host->core_percent[number] = before->all == 0
                                     ? STAT_UNKNOWN
                                     : stat_host_cpu_percent(*before, now,
                                                             host->core_percent[number]);
    *before = now;
}

/* Processors that went away are told as unknown, and forgotten. */
static void drop_missing(struct stat_host *host, const bool *is_there)
{
    for (size_t i = 0; i < host->core_count; i++) {
        if (!is_there[i]) {
            host->cores[i] = (struct stat_ticks){0, 0};
            host->core_percent[i] = STAT_UNKNOWN;
        }
    }
}

static void read_cpu(struct stat_host *host)
{
    bool is_there[STAT_CORES_MAX] = {false};
    host->cpu_count = 0;
    for (const char *line = load(host, "/proc/stat");
         line != NULL && strncmp(line, "cpu", 3) == 0; line = stat_text_next_line(line)) {
        const char *at = line + 3;
        struct stat_ticks now;
        uint64_t number = 0;
        if (*at == ' ' && parse_ticks(at, &now)) {
            host->cpu_percent = stat_host_cpu_percent(host->total, now, host->cpu_percent);
            host->total = now;
        } else if (*at != ' ' && stat_text_number(&at, &number) && number < STAT_CORES_MAX) {
            is_there[number] = true;
            take_core(host, line + 3);
        } else {
            /* a line that makes no sense */
        }
    }
    drop_missing(host, is_there);
}

/* ---- the rest -------------------------------------------------------------------------------
 */

static uint64_t bytes_of(const char *text, const char *key)
{
    uint64_t kib = 0;
    return stat_text_find(text, key, &kib) && kib <= UINT64_MAX / 1024 ? kib * 1024 : 0;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void read_memory(struct stat_host *host)
{
    const char *text = load(host, "/proc/meminfo");
    host->memory_total = bytes_of(text, "MemTotal:");
    host->memory_free = bytes_of(text, "MemFree:");
    host->memory_cached = bytes_of(text, "Cached:");
    host->memory_available = bytes_of(text, "MemAvailable:");
    if (host->memory_available == 0) { /* before Linux 3.14 */
        host->memory_available = host->memory_free + host->memory_cached;
    }
    host->memory_used = less(host->memory_total, host->memory_available);
    host->swap_total = bytes_of(text, "SwapTotal:");
    host->swap_used = less(host->swap_total, bytes_of(text, "SwapFree:"));
}

static void read_load(struct stat_host *host)
{
    const char *at = load(host, "/proc/loadavg");
    host->load1 = host->load5 = host->load15 = 0;
    if (stat_text_real(&at, &host->load1) && stat_text_real(&at, &host->load5)) {
        (void)stat_text_real(&at, &host->load15);
    }
}

static void read_uptime(struct stat_host *host)
{
    const char *at = load(host, "/proc/uptime");
    double seconds = 0;
    host->uptime_ms = stat_text_real(&at, &seconds) ? (uint64_t)(seconds * 1000) : 0;
}

void stat_host_init(struct stat_host *host, const char *root)
{
    memset(host, 0, sizeof *host);
    host->root = root;
    drv_buffer_init(&host->text);
    read_cpu(host);
    host->cpu_percent = 0; /* the mean since the start of the machine is not asked for */
}

void stat_host_fini(struct stat_host *host)
{
    drv_buffer_fini(&host->text);
}

void stat_host_read(struct stat_host *host)
{
    read_cpu(host);
    read_memory(host);
    read_load(host);
    read_uptime(host);
}

void stat_host_write(const struct stat_host *host, struct stat_details *details)
{
    stat_details_map(details, "host");
    stat_details_list(details, "core_percent");
    for (size_t i = 0; i < host->core_count; i++) {
        stat_details_real(details, NULL, host->core_percent[i]);
    }
    stat_details_end(details);
    stat_details_uint(details, "cpu_count", host->cpu_count);
    stat_details_real(details, "load1", host->load1);
    stat_details_real(details, "load5", host->load5);
    stat_details_real(details, "load15", host->load15);
    stat_details_uint(details, "memory_total", host->memory_total);
    stat_details_uint(details, "memory_used", host->memory_used);
    stat_details_uint(details, "memory_free", host->memory_free);
    stat_details_uint(details, "memory_available", host->memory_available);
    stat_details_uint(details, "memory_cached", host->memory_cached);
    stat_details_uint(details, "swap_total", host->swap_total);
    stat_details_uint(details, "swap_used", host->swap_used);
    stat_details_uint(details, "uptime_ms", host->uptime_ms);
    stat_details_end(details);
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

uint64_t stat_host_usable_memory(const char *root)
{
    char text[16 * 1024];
    struct stat_cgroup group;
    uint64_t total = 0;
    if (stat_text_read(root, "/proc/meminfo", text, sizeof text) == DROVER_OK) {
        total = bytes_of(text, "MemTotal:");
    }
    stat_cgroup_init(&group, root);
    stat_cgroup_read(&group, 0);
    bool is_less = group.memory.is_known && group.memory.limit != STAT_NO_LIMIT &&
                   (total == 0 || group.memory.limit < total);
    return is_less ? group.memory.limit : total;
}
