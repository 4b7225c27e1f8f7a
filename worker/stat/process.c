#include "stat/process.h"

#include "stat/rate.h"
#include "stat/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the scan -------------------------------------------------------------------------------
 */

/* The number that the name of a directory entry is; 0: it is none. */
static int32_t pid_of(const char *name)
{
    uint64_t pid = 0;
    const char *at = name;
    return *at != ' ' && stat_text_number(&at, &pid) && *at == '\0' && pid <= INT32_MAX
               ? (int32_t)pid
               : 0;
}

typedef bool (*visit_fn)(void *context, int proc_fd, int32_t pid);

/* Calls visit for every process; false when visit did not go on. */
static bool each_process(const char *root, visit_fn visit, void *context)
{
    bool goes_on = true;
    int fd = stat_process_open(root);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return true;
    }
    for (struct dirent *entry = readdir(directory); goes_on && entry != NULL;
         entry = readdir(directory)) {
        int32_t pid = pid_of(entry->d_name);
        goes_on = pid == 0 || visit(context, fd, pid);
    }
    (void)closedir(directory);
    return goes_on;
}

static bool count_one(void *context, int proc_fd, int32_t pid)
{
    uint64_t *count = context;
    (void)proc_fd;
    (void)pid;
    (*count)++;
    return true;
}

uint64_t stat_processes_count(const char *root)
{
    uint64_t count = 0;
    (void)each_process(root, count_one, &count);
    return count;
}

static bool take_one(void *context, int proc_fd, int32_t pid)
{
    struct stat_processes *processes = context;
    processes->total++;
    if (processes->count == STAT_PROCESSES_MAX) {
        return true;
    }
    if (processes->count == processes->capacity) {
        size_t capacity = processes->capacity == 0 ? 256 : processes->capacity * 2;
        struct stat_process *list = realloc(processes->list, capacity * sizeof *list);
        if (list == NULL) {
            return false;
        }
        processes->list = list;
        processes->capacity = capacity;
    }
    if (stat_process_read(proc_fd, pid, &processes->list[processes->count])) {
        processes->count++;
    }
    return true;
}

/* ---- between two scans ----------------------------------------------------------------------
 */

static int by_pid(const void *a, const void *b)
{
    const struct stat_process_mark *left = a;
    const struct stat_process_mark *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static void compare(struct stat_processes *processes, int64_t elapsed_us)
{
    for (size_t i = 0; i < processes->count && processes->mark_count > 0; i++) {
        struct stat_process *process = &processes->list[i];
        const struct stat_process_mark key = {.pid = process->pid};
        const struct stat_process_mark *mark = bsearch(
            &key, processes->marks, processes->mark_count, sizeof key, by_pid);
        if (mark != NULL && mark->started == process->started) {
            process->cpu_percent = stat_process_cpu_percent(mark->ticks, process->ticks,
                                                            elapsed_us);
        }
    }
}

static bool remember(struct stat_processes *processes)
{
    if (processes->count > processes->mark_capacity) {
        struct stat_process_mark *marks = realloc(processes->marks,
                                                  processes->count * sizeof *marks);
        if (marks == NULL) {
            return false;
        }
        processes->marks = marks;
        processes->mark_capacity = processes->count;
    }
    for (size_t i = 0; i < processes->count; i++) {
        const struct stat_process *process = &processes->list[i];
        processes->marks[i] = (struct stat_process_mark){
            .pid = process->pid, .started = process->started, .ticks = process->ticks};
    }
    processes->mark_count = processes->count;
    if (processes->mark_count > 0) {
        qsort(processes->marks, processes->mark_count, sizeof *processes->marks, by_pid);
    }
    return true;
}

void stat_processes_init(struct stat_processes *processes, const char *root)
{
    *processes = (struct stat_processes){.root = root};
    drv_buffer_init(&processes->passwd);
}

void stat_processes_fini(struct stat_processes *processes)
{
    free(processes->list);
    free(processes->marks);
    drv_buffer_fini(&processes->passwd);
}

drover_status stat_processes_scan(struct stat_processes *processes, int64_t now_us)
{
    processes->count = 0;
    processes->total = 0;
    if (!each_process(processes->root, take_one, processes)) {
        processes->count = processes->mark_count = 0;
        return DROVER_NOMEM;
    }
    compare(processes, processes->has_sample ? now_us - processes->at_us : 0);
    processes->has_sample = true;
    processes->at_us = now_us;
    if (!remember(processes)) {
        processes->mark_count = 0;
        return DROVER_NOMEM;
    }
    return DROVER_OK;
}

/* ---- writing --------------------------------------------------------------------------------
 */

static int by_memory(const void *a, const void *b)
{
    const struct stat_process *left = a;
    const struct stat_process *right = b;
    if (left->rss_bytes != right->rss_bytes) {
        return left->rss_bytes < right->rss_bytes ? 1 : -1;
    }
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static int by_cpu(const void *a, const void *b)
{
    const struct stat_process *left = a;
    const struct stat_process *right = b;
    if (left->cpu_percent < right->cpu_percent) {
        return 1;
    }
    return left->cpu_percent > right->cpu_percent ? -1 : by_memory(a, b);
}

/* Leaves the `top` largest and the `top` busiest in the list, the busiest first. */
static void select_top(struct stat_processes *processes, size_t top)
{
    struct stat_process *list = processes->list;
    size_t count = processes->count;
    if (count > top) {
        qsort(list, count, sizeof *list, by_memory);
        qsort(list + top, count - top, sizeof *list, by_cpu);
        count = count - top > top ? 2 * top : count;
    }
    if (count > 0) {
        qsort(list, count, sizeof *list, by_cpu);
    }
    processes->count = count;
}

/* The name in "NAME:x:UID:..." of passwd, or the number. */
static void user_name(const char *passwd, uint64_t uid, char *out_text, size_t size)
{
    for (const char *line = passwd; line != NULL; line = stat_text_next_line(line)) {
        uint64_t number = 0;
        size_t len = strcspn(line, ":\n");
        const char *at = line + len;
        if (*at++ != ':') {
            continue;
        }
        at += strcspn(at, ":\n");
        if (*at++ == ':' && stat_text_number(&at, &number) && number == uid) {
            (void)stat_text_utf8(line, len, out_text, size);
            return;
        }
    }
    (void)snprintf(out_text, size, "%" PRIu64, uid);
}

/* The directory of a process belongs to who it runs as. */
static void write_user(struct stat_details *details, const char *passwd, int proc_fd,
                       int32_t pid)
{
    struct stat status;
    char path[32];
    char name[STAT_PROCESS_NAME_MAX];
    (void)snprintf(path, sizeof path, "%" PRId32, pid);
    if (fstatat(proc_fd, path, &status, 0) == 0) {
        user_name(passwd, status.st_uid, name, sizeof name);
        stat_details_text(details, "user", name);
    }
}

static void write_row(struct stat_details *details, const struct stat_process *process,
                      uint64_t memory_total)
{
    const char state[] = {process->state, '\0'};
    stat_details_uint(details, "pid", (uint64_t)process->pid);
    stat_details_uint(details, "parent", (uint64_t)process->parent);
    stat_details_text(details, "name", process->name);
    stat_details_text(details, "state", state);
    stat_details_real(details, "cpu_percent", process->cpu_percent);
    stat_details_real(details, "memory_percent",
                      stat_percent(process->rss_bytes, memory_total));
    stat_details_uint(details, "rss_bytes", process->rss_bytes);
    stat_details_uint(details, "threads", process->threads);
}

void stat_processes_write(struct stat_processes *processes, size_t top, uint64_t memory_total,
                          struct stat_details *details)
{
    bool fits = true;
    bool is_cut = processes->total > STAT_PROCESSES_MAX;
    int proc_fd = stat_process_open(processes->root);
    const char *passwd = stat_text_load(processes->root, "/etc/passwd", &processes->passwd) ==
                                 DROVER_OK
                             ? (const char *)processes->passwd.bytes
                             : NULL;
    select_top(processes, top);
    stat_details_map(details, "processes");
    stat_details_uint(details, "count", processes->total);
    stat_details_list(details, "list");
    for (size_t i = 0; fits && i < processes->count; i++) {
        stat_details_row(details);
        write_row(details, &processes->list[i], memory_total);
        write_user(details, passwd, proc_fd, processes->list[i].pid);
        fits = stat_details_keep(details);
    }
    stat_details_end(details);
    stat_details_bool(details, "truncated", !fits || is_cut);
    stat_details_end(details);
    if (proc_fd >= 0) {
        (void)close(proc_fd);
    }
}
