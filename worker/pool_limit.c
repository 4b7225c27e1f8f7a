/*
 * pool_limit.c: attempts that use more than they may.
 *
 * What runs with a limit on memory, processor time or processes is looked at every SAMPLE_US:
 * the process that runs it and everything below it; of a command everything below its executor.
 * The offender alone is stopped. The kernel is told, too (bound.h), so that nothing goes far
 * beyond a limit between two looks. Without such attempts nothing here costs anything.
 *
 * Where it has a control group (group.h) the kernel keeps the limit on memory, and the group
 * is looked at for the rest: less work, and nothing is missed that has come and gone.
 */
#include "pool_private.h"

#include "bound.h"
#include "group.h"
#include "stat/procfile.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SAMPLE_US (INT64_C(50) * 1000)
/* From SIGTERM to SIGKILL: what has run away with the memory of a host gets no long grace. */
enum { LIMIT_KILL_MS = 500 };

static bool is_sampled(const struct drv_bounds *limits)
{
    return limits->memory_bytes != 0 || limits->cpu_ms != 0 || limits->processes != 0;
}

/* What the processes of an attempt use. */
struct found {
    bool is_grouped;
    uint64_t cpu_us;
    uint64_t rss_bytes; /* not of a group, where the kernel sees to it */
    uint64_t processes;
};

/* A group that is empty is none yet, or none any more. */
static bool measure_group(const struct pool *pool, const struct run *run,
                          struct found *out_found)
{
    struct group_use use;
    if (pool->group_dir == NULL || run->seat->proc->crew->model->has_threads ||
        !group_read(pool->group_dir, run->seat->proc->number, &use) || use.processes == 0) {
        return false;
    }
    *out_found = (struct found){
        .is_grouped = true, .cpu_us = use.cpu_us, .processes = use.processes};
    return true;
}

/* An executor that runs a command is none of its processes. */
static bool measure(const struct pool *pool, const struct run *run, struct found *out_found)
{
    const struct proc *proc = run->seat->proc;
    struct stat_process tree;
    struct stat_process self;
    if (measure_group(pool, run, out_found)) {
        return true;
    }
    if (pool->proc_fd < 0 || !stat_process_read_tree(pool->proc_fd, proc->pid, &tree)) {
        return false;
    }
    if (proc->crew->model->ends_itself && stat_process_read(pool->proc_fd, proc->pid, &self)) {
        tree.rss_bytes -= self.rss_bytes < tree.rss_bytes ? self.rss_bytes : tree.rss_bytes;
        tree.processes--;
    }
    *out_found = (struct found){.cpu_us = tree.ticks * 1000000U / stat_process_tick_rate(),
                                .rss_bytes = tree.rss_bytes,
                                .processes = tree.processes};
    return true;
}

void pool_limit_begin(struct pool *pool, struct run *run, int64_t now_us)
{
    struct found found;
    if (!is_sampled(&run->limits)) {
        return;
    }
    if (pool->proc_fd < 0) {
        pool->proc_fd = stat_process_open("");
    }
    /* A process of its own has used nothing before, nor has a group. */
    bool is_reused = run->seat->proc->crew->model->ends_itself;
    run->base_cpu_us = is_reused && measure(pool, run, &found) && !found.is_grouped
                           ? found.cpu_us
                           : 0;
    drv_list_push_back(&pool->limited, &run->limited);
    int64_t due_us = now_us + SAMPLE_US;
    pool->sample_at_us = due_us < pool->sample_at_us ? due_us : pool->sample_at_us;
}

static void exceed(struct run *run, const char *what, uint64_t found)
{
    run->exceeded = what;
    run->exceeded_by = found;
}

static bool is_over(struct run *run, const struct found *found)
{
    const struct drv_bounds *limits = &run->limits;
    uint64_t base_us = found->is_grouped ? 0 : run->base_cpu_us;
    uint64_t cpu_ms = found->cpu_us > base_us ? (found->cpu_us - base_us) / 1000 : 0;
    run->is_grouped = found->is_grouped;
    if (limits->memory_bytes != 0 && found->rss_bytes > limits->memory_bytes) {
        exceed(run, "memory", found->rss_bytes);
    } else if (limits->cpu_ms != 0 && cpu_ms > limits->cpu_ms) {
        exceed(run, "cpu", cpu_ms);
    } else if (limits->processes != 0 && found->processes > limits->processes) {
        exceed(run, "processes", found->processes);
    }
    return run->exceeded != NULL;
}

void pool_limit_sample(struct pool *pool, int64_t now_us)
{
    if (pool->sample_at_us > now_us) {
        return;
    }
    DRV_LIST_EACH_SAFE(link, &pool->limited)
    {
        struct run *run = DRV_LIST_ITEM(link, struct run, limited);
        struct found found;
        if (run->stop == STOP_NONE && measure(pool, run, &found) && is_over(run, &found)) {
            pool_run_stop(pool, run, STOP_LIMIT, 0, LIMIT_KILL_MS, now_us);
        }
    }
    pool->sample_at_us = drv_list_is_empty(&pool->limited) ? INT64_MAX : now_us + SAMPLE_US;
}

void pool_limit_end(struct pool *pool)
{
    if (pool->proc_fd >= 0) {
        (void)close(pool->proc_fd);
        pool->proc_fd = -1;
    }
}

void pool_limit_describe(const struct run *run, char *text, size_t size)
{
    const struct drv_bounds *limits = &run->limits;
    const char *how = run->is_grouped ? "cgroup" : "sampled";
    if (run->exceeded[0] == 'm') {
        (void)snprintf(text, size,
                       "used more memory than its limit of %" PRIu64 " bytes: %" PRIu64
                       " resident in its processes (%s)",
                       limits->memory_bytes, run->exceeded_by, how);
    } else if (run->exceeded[0] == 'c') {
        (void)snprintf(text, size,
                       "used more processor time than its limit of %" PRIu64 " ms: %" PRIu64
                       " ms (%s)",
                       limits->cpu_ms, run->exceeded_by, how);
    } else {
        (void)snprintf(text, size,
                       "had more processes than its limit of %" PRIu64 ": %" PRIu64 " (%s)",
                       limits->processes, run->exceeded_by, how);
    }
}

bool pool_limit_explains(const struct run *run, uint32_t signal, uint64_t peak_rss_bytes,
                         uint64_t oom_kills, const char **out_code, char *text, size_t size)
{
    const struct drv_bounds *limits = &run->limits;
    *out_code = "";
    if (limits->memory_bytes != 0 && oom_kills > 0) {
        *out_code = "memory";
        (void)snprintf(text, size,
                       "used more memory than its limit of %" PRIu64
                       " bytes, and the kernel ended it (cgroup)",
                       limits->memory_bytes);
        return true;
    }
    if (limits->cpu_ms != 0 && signal == SIGXCPU) {
        *out_code = "cpu";
        (void)snprintf(text, size,
                       "used more processor time than its limit of %" PRIu64 " ms (RLIMIT_CPU)",
                       limits->cpu_ms);
        return true;
    }
    if (limits->memory_bytes != 0 && peak_rss_bytes > limits->memory_bytes) {
        *out_code = "memory";
        (void)snprintf(text, size,
                       "failed, having used more memory than its limit of %" PRIu64
                       " bytes: %" PRIu64 " at its peak",
                       limits->memory_bytes, peak_rss_bytes);
        return true;
    }
    return false;
}

bool pool_limit_refused(const struct run *run, struct drv_view code, char *text, size_t size)
{
    if (run->limits.memory_bytes == 0 || run->seat->proc->crew->model->ends_itself ||
        !drv_view_is_text(code, drover_status_name(DROVER_NOMEM))) {
        return false;
    }
    (void)snprintf(text, size,
                   "was refused memory beyond its limit of %" PRIu64 " bytes (RLIMIT_DATA)",
                   run->limits.memory_bytes);
    return true;
}

void pool_limit_hint(const struct run *run, uint32_t signal, char *text, size_t size)
{
    size_t len = strlen(text);
    if (run->limits.memory_bytes != 0 &&
        (signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS)) {
        (void)snprintf(text + len, size - len,
                       "; memory far beyond its limit of %" PRIu64
                       " bytes was refused, which may be why",
                       run->limits.memory_bytes);
    }
}

uint32_t pool_limit_keeper(const struct run *run, bool is_grouped)
{
    if (!bound_needs_process(&run->limits)) {
        return DRV_KEPT_NOTHING;
    }
    return is_grouped ? DRV_KEPT_CGROUP : DRV_KEPT_RLIMIT;
}
