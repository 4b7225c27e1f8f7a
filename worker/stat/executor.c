#include "stat/executor.h"

#include "stat/rate.h"

#include <string.h>
#include <unistd.h>

void stat_executors_init(struct stat_executors *executors, const char *root)
{
    memset(executors, 0, sizeof *executors);
    executors->root = root;
}

/* Executors keep their places, so the mark is where the executor is, unless some came or went.
 */
static const struct stat_executor_mark *find_mark(const struct stat_executors *executors,
                                                  size_t place, int32_t pid)
{
    for (size_t i = 0; i < executors->mark_count; i++) {
        const struct stat_executor_mark *mark =
            &executors->marks[(place + i) % executors->mark_count];
        if (mark->pid == pid) {
            return mark;
        }
    }
    return NULL;
}

static void write_use(struct stat_details *details, const struct stat_process *process)
{
    stat_details_real(details, "cpu_percent", process->cpu_percent);
    stat_details_uint(details, "rss_bytes", process->rss_bytes);
}

static void write_task(struct stat_details *details, const struct stat_executor *executor)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&executor->id, id);
    stat_details_text(details, "type", executor->type);
    stat_details_text(details, "id", id);
    if (executor->index != DROVER_INDEX_NONE) {
        stat_details_uint(details, "index", executor->index);
    }
    stat_details_uint(details, "attempt", executor->attempt);
    stat_details_uint(details, "task_ms", executor->task_ms);
}

static bool write_row(struct stat_details *details, const struct stat_executor *executor,
                      const struct stat_process *process)
{
    stat_details_row(details);
    stat_details_uint(details, "pid", (uint64_t)executor->pid);
    if (executor->thread > 0) {
        stat_details_uint(details, "thread", executor->thread);
    }
    stat_details_text(details, "state", executor->state);
    stat_details_text(details, "model", executor->model);
    stat_details_uint(details, "done", executor->done);
    stat_details_uint(details, "crashes", executor->crashes);
    if (process != NULL) {
        stat_details_text(details, "name", process->name);
        stat_details_uint(details, "uptime_ms", executor->uptime_ms);
        write_use(details, process);
    }
    if (executor->has_task) {
        write_task(details, executor);
    }
    return stat_details_keep(details);
}

/* Its use now; false when it has ended meanwhile. Leaves the mark for the next time. */
static bool measure(const struct stat_executors *executors, size_t place, int proc_fd,
                    int32_t pid, int64_t elapsed_us, struct stat_process *out_process,
                    struct stat_executor_mark *out_mark)
{
    if (pid <= 0 || !stat_process_read_tree(proc_fd, pid, out_process)) {
        return false;
    }
    const struct stat_executor_mark *mark = find_mark(executors, place, pid);
    if (mark != NULL && mark->started == out_process->started) {
        out_process->cpu_percent = stat_process_cpu_percent(mark->ticks, out_process->ticks,
                                                            elapsed_us);
    }
    *out_mark = (struct stat_executor_mark){
        .pid = pid, .started = out_process->started, .ticks = out_process->ticks};
    return true;
}

void stat_executors_write(struct stat_executors *executors, const struct stat_roll *roll,
                          int64_t now_us, struct stat_details *details)
{
    struct stat_executor_mark marks[STAT_EXECUTORS_MAX];
    size_t mark_count = 0;
    size_t count = roll == NULL ? 0 : roll->count;
    int proc_fd = stat_process_open(executors->root);
    bool fits = true;
    stat_details_map(details, "executors");
    stat_details_uint(details, "count", count);
    stat_details_list(details, "list");
    for (size_t i = 0; fits && i < count && i < STAT_EXECUTORS_MAX; i++) {
        struct stat_process process;
        const struct stat_executor *executor = &roll->list[i];
        bool lives = executor->thread == 0 && /* threads use what their process does */
                     measure(executors, mark_count, proc_fd, executor->pid,
                             now_us - executors->at_us, &process, &marks[mark_count]);
        mark_count += lives ? 1 : 0;
        fits = write_row(details, executor, lives ? &process : NULL);
    }
    stat_details_end(details);
    stat_details_bool(details, "truncated", !fits || count > STAT_EXECUTORS_MAX);
    stat_details_end(details);
    memcpy(executors->marks, marks, mark_count * sizeof marks[0]);
    executors->mark_count = mark_count;
    executors->at_us = now_us;
    if (proc_fd >= 0) {
        (void)close(proc_fd);
    }
}
