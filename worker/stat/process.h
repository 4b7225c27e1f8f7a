/*
 * process.h: the processes of the host, the busiest and the largest of them, or all.
 *
 * One scan reads a file of every process (10 to 20 us each): it belongs into the sampler's
 * thread. Processor shares are the difference to the scan before; a process that is new to it
 * has none yet. Processes that appear or end while the scan runs are in it or not.
 */
#ifndef WORKER_STAT_PROCESS_H
#define WORKER_STAT_PROCESS_H

#include "stat/details.h"
#include "stat/procfile.h"

#include <drover/status.h>

enum {
    STAT_PROCESSES_MAX = 32768, /* looked at in one scan; more are only counted */
    STAT_PROCESSES_TOP = 10,    /* shown unless another number is asked for */
};

/* What is remembered of a scan. */
struct stat_process_mark {
    int32_t pid;
    uint64_t started, ticks;
};

struct stat_processes {
    const char *root;          /* borrowed */
    struct stat_process *list; /* owned; of the last scan, by what they use */
    size_t count, capacity;
    struct stat_process_mark *marks; /* owned; of the scan before, by pid */
    size_t mark_count, mark_capacity;
    uint64_t total;           /* processes on the host */
    struct drv_buffer passwd; /* names of users */
    bool has_sample;
    int64_t at_us;
};

void stat_processes_init(struct stat_processes *processes, const char *root);
void stat_processes_fini(struct stat_processes *processes);

/* Reads all. now_us: monotonic. OK, or NOMEM with what there was before gone. */
DROVER_MUST_USE drover_status stat_processes_scan(struct stat_processes *processes,
                                                  int64_t now_us);

/* Processes below root + "/proc", only counted; 0 when unreadable. */
uint64_t stat_processes_count(const char *root);

/*
 * The map `processes` of a heartbeat's details: the `top` that use most of the processors and
 * the `top` that use most memory (SIZE_MAX: all), the busiest first.
 */
void stat_processes_write(struct stat_processes *processes, size_t top, uint64_t memory_total,
                          struct stat_details *details);

#endif
