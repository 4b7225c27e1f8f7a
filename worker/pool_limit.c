/*
 * pool_limit.c: attempts that use more than they may.
 *
 * What runs with a limit on memory, processor time or processes is looked at every SAMPLE_US:
 * the process that runs it and everything below it; of a command everything below its executor.
 * The offender alone is stopped. The kernel is told, too (bound.h), so that nothing goes far
 * beyond a limit between two looks. Without such attempts nothing here costs anything.
 */
#include "pool_private.h"

#include "stat/procfile.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SAMPLE_US (INT64_C(50) * 1000)
/* From SIGTERM to SIGKILL: what has run away with the memory of a host gets no long grace. */
enum { LIMIT_KILL_MS = 500 };

static bool is_sampled(const struct drv_bounds *limits)
{
    return limits->memory_bytes != 0 || limits->cpu_ms != 0 || limits->processes != 0;
}

bool pool_limits_processes(const struct drv_bounds *limits)
{
    return is_sampled(limits) || limits->files != 0;
}

/* What its processes use; an executor that runs a command is none of them. */
static bool measure(const struct pool *pool, const struct run *run,
                    struct stat_process *out_tree)
{
    const struct proc *proc = run->seat->proc;
    struct stat_process self;
    if (pool->proc_fd < 0 || !stat_process_read_tree(pool->proc_fd, proc->pid, out_tree)) {
        return false;
    }
    if (proc->crew->model->ends_itself && stat_process_read(pool->proc_fd, proc->pid, &self)) {
        out_tree->rss_bytes -= self.rss_bytes < out_tree->rss_bytes ? self.rss_bytes
                                                                    : out_tree->rss_bytes;
        out_tree->processes--;
    }
    return true;
}

void pool_limit_begin(struct pool *pool, struct run *run, int64_t now_us)
{
    struct stat_process tree;
    if (!is_sampled(&run->limits)) {
        return;
    }
    if (pool->proc_fd < 0) {
        pool->proc_fd = stat_process_open("");
    }
    /* A process of its own has used nothing before. */
    bool is_reused = run->seat->proc->crew->model->ends_itself;
    run->base_ticks = is_reused && measure(pool, run, &tree) ? tree.ticks : 0;
    drv_list_push_back(&pool->limited, &run->limited);
    int64_t due_us = now_us + SAMPLE_US;
    pool->sample_at_us = due_us < pool->sample_at_us ? due_us : pool->sample_at_us;
}

static void exceed(struct run *run, const char *what, uint64_t found)
{
    run->exceeded = what;
    run->exceeded_by = found;
}

static bool is_over(struct run *run, const struct stat_process *tree)
{
    const struct drv_bounds *limits = &run->limits;
    uint64_t ticks = tree->ticks > run->base_ticks ? tree->ticks - run->base_ticks : 0;
    uint64_t cpu_ms = ticks * 1000 / stat_process_tick_rate();
    if (limits->memory_bytes != 0 && tree->rss_bytes > limits->memory_bytes) {
        exceed(run, "memory", tree->rss_bytes);
    } else if (limits->cpu_ms != 0 && cpu_ms > limits->cpu_ms) {
        exceed(run, "cpu", cpu_ms);
    } else if (limits->processes != 0 && tree->processes > limits->processes) {
        exceed(run, "processes", tree->processes);
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
        struct stat_process tree;
        if (run->stop == STOP_NONE && measure(pool, run, &tree) && is_over(run, &tree)) {
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
    if (run->exceeded[0] == 'm') {
        (void)snprintf(text, size,
                       "used more memory than its limit of %" PRIu64 " bytes: %" PRIu64
                       " resident in its processes (sampled)",
                       limits->memory_bytes, run->exceeded_by);
    } else if (run->exceeded[0] == 'c') {
        (void)snprintf(text, size,
                       "used more processor time than its limit of %" PRIu64 " ms: %" PRIu64
                       " ms (sampled)",
                       limits->cpu_ms, run->exceeded_by);
    } else {
        (void)snprintf(text, size,
                       "had more processes than its limit of %" PRIu64 ": %" PRIu64
                       " (sampled)",
                       limits->processes, run->exceeded_by);
    }
}

bool pool_limit_explains(const struct run *run, uint32_t signal, uint64_t peak_rss_bytes,
                         char *text, size_t size)
{
    const struct drv_bounds *limits = &run->limits;
    if (limits->cpu_ms != 0 && signal == SIGXCPU) {
        (void)snprintf(text, size,
                       "used more processor time than its limit of %" PRIu64 " ms (RLIMIT_CPU)",
                       limits->cpu_ms);
        return true;
    }
    if (limits->memory_bytes != 0 && peak_rss_bytes > limits->memory_bytes) {
        (void)snprintf(text, size,
                       "failed, having used more memory than its limit of %" PRIu64
                       " bytes: %" PRIu64 " at its peak",
                       limits->memory_bytes, peak_rss_bytes);
        return true;
    }
    return false;
}
