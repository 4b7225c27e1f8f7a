/*
 * host.h: the numbers of the host that ride on every heartbeat (H in common/PROTOCOL.md).
 *
 * libproc2 gives processor ticks, memory, load and uptime; it is wrapped in this one pair of
 * files because its macros change between releases. What it has no call for is read from /proc
 * directly: the number of processes (its pids interface would read files of every one) and the
 * network totals (net.h). One sample costs some ten system calls and one directory walk.
 *
 * A number that cannot be read is 0: statistics never stop work. One thread at a time.
 */
#ifndef WORKER_STAT_HOST_H
#define WORKER_STAT_HOST_H

#include "message.h"

#include <stdint.h>

struct stat_host;

/* OK or NOMEM. Takes the first sample of the processor ticks. */
DROVER_MUST_USE drover_status stat_host_new(struct stat_host **out_host);
void stat_host_destroy(struct stat_host **host);

/*
 * The host now. cpu_percent is the mean since the previous call, or since stat_host_new; calls
 * that follow within one tick (10 ms) repeat the last number.
 */
void stat_host_read(struct stat_host *host, struct drv_host *out_numbers);

/* Share of busy ticks in all ticks between two samples, 0 to 100. Ticks that run backwards
 * (a processor was taken away) count as none. Returns `previous` when no tick has passed. */
double stat_host_cpu_percent(uint64_t busy_before, uint64_t all_before, uint64_t busy_now,
                             uint64_t all_now, double previous);

/* Directories of root + "/proc" whose name is a number: processes; 0 when unreadable. */
uint64_t stat_host_process_count(const char *root);

/* Used share of the file system that holds path, as df shows it (reserved blocks are neither
 * used nor free); 0 when unreadable. */
double stat_host_disk_percent(const char *path);

/* Processors this process may run on: the least of its affinity and its control group's quota
 * (rounded up), at least 1. root as in cgroup.h. */
uint32_t stat_host_usable_cpus(const char *root);

#endif
