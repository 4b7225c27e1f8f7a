#include "stat/procfile.h"

#include "stat/rate.h"
#include "stat/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Fields behind the name, see proc(5), "/proc/pid/stat". */
enum {
    FIELD_PARENT = 1, /* 0 is the state */
    FIELD_USER = 11,
    FIELD_SYSTEM,
    FIELD_CHILD_USER,
    FIELD_CHILD_SYSTEM,
    FIELD_THREADS = 17,
    FIELD_STARTED = 19,
    FIELD_RSS = 21, /* pages */
    FIELDS,
};

enum {
    FILE_MAX = 4096, /* a line of PID/stat has some 300 bytes */
    PIDS_MAX = 4096, /* bytes of a list of children */
};

uint64_t stat_process_tick_rate(void)
{
    long rate = sysconf(_SC_CLK_TCK);
    return rate > 0 ? (uint64_t)rate : 100;
}

double stat_process_cpu_percent(uint64_t ticks_before, uint64_t ticks_now, int64_t elapsed_us)
{
    double ticks = stat_rate(ticks_before, ticks_now, elapsed_us);
    return stat_is_known(ticks) ? 100.0 * ticks / (double)stat_process_tick_rate()
                                : STAT_UNKNOWN;
}

/* Some fields are negative (tpgid, priority): those are none that are used. */
static bool parse_fields(const char *at, uint64_t fields[FIELDS])
{
    for (size_t i = 1; i < FIELDS; i++) {
        at += strspn(at, " ");
        if (*at == '-') {
            at++;
        }
        if (!stat_text_number(&at, &fields[i])) {
            return false;
        }
    }
    return true;
}

/* "PID (NAME) S PARENT ...": the name ends with the last parenthesis. */
bool stat_process_parse(const char *text, struct stat_process *out_process)
{
    uint64_t fields[FIELDS];
    uint64_t pid = 0;
    const char *at = text;
    const char *open = strchr(text, '(');
    const char *close = strrchr(text, ')');
    if (!stat_text_number(&at, &pid) || pid > INT32_MAX || open == NULL || close < open ||
        close[1] != ' ' || close[2] == '\0' || !parse_fields(close + 3, fields)) {
        return false;
    }
    *out_process = (struct stat_process){
        .pid = (int32_t)pid,
        .parent = fields[FIELD_PARENT] > INT32_MAX ? 0 : (int32_t)fields[FIELD_PARENT],
        .state = close[2] >= 'A' && close[2] <= 'z' ? close[2] : '?',
        .ticks = fields[FIELD_USER] + fields[FIELD_SYSTEM],
        .child_ticks = fields[FIELD_CHILD_USER] + fields[FIELD_CHILD_SYSTEM],
        .started = fields[FIELD_STARTED],
        .rss_bytes = fields[FIELD_RSS] * (uint64_t)sysconf(_SC_PAGESIZE),
        .threads = (uint32_t)fields[FIELD_THREADS],
        .cpu_percent = STAT_UNKNOWN,
    };
    (void)stat_text_utf8(open + 1, (size_t)(close - open - 1), out_process->name,
                         sizeof out_process->name);
    return true;
}

/* At most size - 1 bytes; false when it cannot be read. */
static bool read_at(int proc_fd, const char *path, char *out_text, size_t size)
{
    int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, out_text, size - 1);
    (void)close(fd);
    out_text[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

bool stat_process_read(int proc_fd, int32_t pid, struct stat_process *out_process)
{
    char path[64];
    char text[FILE_MAX];
    (void)snprintf(path, sizeof path, "%" PRId32 "/stat", pid);
    return read_at(proc_fd, path, text, sizeof text) && stat_process_parse(text, out_process);
}

/* ---- trees ----------------------------------------------------------------------------------
 */

struct tree {
    int32_t pids[STAT_TREE_MAX]; /* found so far; those from `next` on were not looked at */
    size_t count, next;
};

static void add_children(int proc_fd, int32_t pid, struct tree *tree)
{
    char path[64];
    char text[PIDS_MAX];
    uint64_t child = 0;
    (void)snprintf(path, sizeof path, "%" PRId32 "/task/%" PRId32 "/children", pid, pid);
    const char *at = text;
    if (!read_at(proc_fd, path, text, sizeof text)) {
        return;
    }
    while (tree->count < STAT_TREE_MAX && stat_text_number(&at, &child) && child <= INT32_MAX) {
        tree->pids[tree->count++] = (int32_t)child;
    }
}

bool stat_process_read_tree(int proc_fd, int32_t pid, struct stat_process *out_process)
{
    struct tree tree = {.count = 0};
    struct stat_process top;
    if (!stat_process_read(proc_fd, pid, &top)) {
        return false;
    }
    top.ticks += top.child_ticks;
    top.processes = 1;
    add_children(proc_fd, pid, &tree);
    while (tree.next < tree.count) {
        struct stat_process below;
        int32_t next = tree.pids[tree.next++];
        if (stat_process_read(proc_fd, next, &below)) {
            top.ticks += below.ticks + below.child_ticks;
            top.rss_bytes += below.rss_bytes;
            top.threads += below.threads;
            top.processes += below.state != 'Z';
            add_children(proc_fd, next, &tree);
        }
    }
    *out_process = top;
    return true;
}

int stat_process_open(const char *root)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/proc", root);
    return len > 0 && (size_t)len < sizeof path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                                : -1;
}
