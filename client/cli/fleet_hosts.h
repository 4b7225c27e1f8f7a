/*
 * fleet_hosts.h: the hosts of the fleet, put together from what its workers tell.
 *
 * The numbers of a host are the same for all its workers; the last one heard of counts.
 */
#ifndef CLI_FLEET_HOSTS_H
#define CLI_FLEET_HOSTS_H

#include "cli.h"

#include "doc.h"

struct fleet_host {
    char name[DOC_TEXT_MAX]; /* escaped */
    int64_t workers;
    int64_t slots;
    int64_t running;
    int64_t heard_ms;
    bool has_stats;
    double cpu_percent;
    double memory_percent;
    double disk_percent;
    double load1;
    int64_t processes;
    int64_t cpus;
    int64_t memory_used, memory_total;
    int64_t bytes_sent;
    int64_t bytes_recv;
};

struct fleet_hosts {
    struct fleet_host *list; /* owned */
    size_t count;
};

/* Takes one of the `workers` of document 1 or 6. False: no memory. */
bool fleet_hosts_add(struct fleet_hosts *hosts, const drover_value *worker);

/* All of them in one. What can be summed is. A large host counts for more: processors are
 * weighted by how many there are, memory by its bytes; of disks, whose sizes are not known
 * here, it is the mean. */
struct fleet_host fleet_hosts_sum(const struct fleet_hosts *hosts);

void fleet_hosts_fini(struct fleet_hosts *hosts);

#endif
