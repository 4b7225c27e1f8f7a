/*
 * host.h: processor, load, memory, swap and uptime of the host.
 *
 * Read from /proc below a root, so that tests bring their own tree; one reading costs five
 * small files. A number that cannot be read is 0, or STAT_UNKNOWN where it is a percentage:
 * statistics never stop work. One thread at a time.
 */
#ifndef WORKER_STAT_HOST_H
#define WORKER_STAT_HOST_H

#include "buffer.h"
#include "stat/details.h"

#include <stddef.h>
#include <stdint.h>

enum { STAT_CORES_MAX = 1024 }; /* processors whose share is told, by number */

struct stat_ticks {
    uint64_t busy, all;
};

struct stat_host {
    const char *root;                               /* borrowed */
    struct drv_buffer text;                         /* the file being read */
    struct stat_ticks total, cores[STAT_CORES_MAX]; /* of the last reading */

    double cpu_percent; /* since the reading before; 0 to 100 of the whole host */
    double core_percent[STAT_CORES_MAX]; /* the same of each; STAT_UNKNOWN: not there, or new */
    size_t core_count;                   /* one more than the highest number */
    size_t cpu_count;                    /* processors that are there */
    double load1, load5, load15;
    uint64_t memory_total, memory_used, memory_free, memory_available, memory_cached;
    uint64_t swap_total, swap_used; /* bytes, as all of memory; used: total less available */
    uint64_t uptime_ms;
};

/* Takes the first sample of the ticks: the first reading tells what happened since. */
void stat_host_init(struct stat_host *host, const char *root);
void stat_host_fini(struct stat_host *host);

/* Reads everything. cpu_percent keeps what it was when no tick (10 ms) has passed. */
void stat_host_read(struct stat_host *host);

/* The map `host` of a heartbeat's details. */
void stat_host_write(const struct stat_host *host, struct stat_details *details);

/* Share of busy ticks in all ticks between two samples, 0 to 100. Ticks that run backwards
 * (a processor was taken away) count as none. Returns `previous` when no tick has passed. */
double stat_host_cpu_percent(struct stat_ticks before, struct stat_ticks now, double previous);

/* Processors this process may run on: the least of its affinity and its control group's quota
 * (rounded up), at least 1. root as in cgroup.h. */
uint32_t stat_host_usable_cpus(const char *root);

/* Bytes of memory that this process can use: the host's, or the limit of its control group if
 * that is less; 0: not known. */
uint64_t stat_host_usable_memory(const char *root);

#endif
