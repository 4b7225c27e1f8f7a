/* fleet_cpu.c: see fleet_cpu.h. */
#include "fleet_cpu.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FIELD_PARENT = 0, FIELD_USER = 10, FIELD_SYSTEM = 11, FIELDS = 12 };
enum { PROCESSES_MAX = 4096, DEPTH_MAX = 16, STAT_MAX = 1024 };

static const char BROKER[] = "drover-broker";

struct process {
    pid_t pid, parent;
    uint64_t used_us;
    bool is_broker;
};

/* Those behind the name and the state, a letter; see proc(5). Negative ones come out wrong. */
static bool read_fields(const char *text, uint64_t fields[FIELDS])
{
    char *at = NULL;
    size_t skipped = strspn(text, " ");
    if (text[skipped] == '\0') {
        return false;
    }
    text += skipped + 1;
    for (size_t i = 0; i < FIELDS; i++) {
        fields[i] = strtoull(text, &at, 10);
        if (at == text) {
            return false;
        }
        text = at;
    }
    return true;
}

/* /proc/PID/stat; the name, in parentheses, may hold anything. */
static bool read_process(pid_t pid, struct process *out_process)
{
    char path[64];
    char text[STAT_MAX];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false; /* it has ended meanwhile */
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *name = strchr(text, '(');
    const char *end = strrchr(text, ')');
    uint64_t fields[FIELDS];
    if (name == NULL || end == NULL || !read_fields(end + 1, fields)) {
        return false;
    }
    uint64_t tick_us = 1000000U / (uint64_t)sysconf(_SC_CLK_TCK);
    size_t name_len = (size_t)(end - name - 1);
    *out_process = (struct process){
        .pid = pid,
        .parent = (pid_t)fields[FIELD_PARENT],
        .used_us = (fields[FIELD_USER] + fields[FIELD_SYSTEM]) * tick_us,
        .is_broker = name_len == strlen(BROKER) && memcmp(name + 1, BROKER, name_len) == 0};
    return true;
}

static size_t read_processes(struct process *processes)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    while (proc != NULL && count < PROCESSES_MAX && (entry = readdir(proc)) != NULL) {
        char *end = NULL;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid > 0 && *end == '\0' && read_process((pid_t)pid, &processes[count])) {
            count++;
        }
    }
    if (proc != NULL) {
        (void)closedir(proc);
    }
    return count;
}

static const struct process *find(const struct process *processes, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (processes[i].pid == pid) {
            return &processes[i];
        }
    }
    return NULL;
}

static bool is_below(const struct process *processes, size_t count,
                     const struct process *process, pid_t keeper)
{
    for (int depth = 0; process != NULL && depth < DEPTH_MAX; depth++) {
        if (process->parent == keeper) {
            return true;
        }
        process = find(processes, count, process->parent);
    }
    return false;
}

static uint64_t own_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000U +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void fleet_cpu_read(pid_t keeper, struct fleet_cpu *out_cpu)
{
    *out_cpu = (struct fleet_cpu){.client_us = own_us()};
    struct process *processes = keeper > 0 ? calloc(PROCESSES_MAX, sizeof *processes) : NULL;
    if (processes == NULL) {
        return;
    }
    size_t count = read_processes(processes);
    for (size_t i = 0; i < count; i++) {
        if (is_below(processes, count, &processes[i], keeper)) {
            *(processes[i].is_broker ? &out_cpu->broker_us
                                     : &out_cpu->worker_us) += processes[i].used_us;
        }
    }
    free(processes);
}
