/*
 * net.h: network interfaces of the host: totals since boot, and rates.
 *
 * The kernel's own counters of /proc/net/dev. The sum is over all interfaces but lo; a bridge
 * and its ports count the same packet twice, as in every tool that reads this file. Rates are
 * kept per name: an interface that is new, or whose counters went backwards, has none yet.
 */
#ifndef WORKER_STAT_NET_H
#define WORKER_STAT_NET_H

#include "stat/details.h"

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

enum { STAT_INTERFACES_MAX = 256 }; /* that are told one by one; the sum is over all */

struct stat_counters {
    uint64_t bytes_sent, bytes_recv, packets_sent, packets_recv;
};

/* Per second; STAT_UNKNOWN before the second sample. */
struct stat_rates {
    double bytes_sent, bytes_recv, packets_sent, packets_recv;
};

struct stat_interface {
    char name[IF_NAMESIZE];
    struct stat_counters counters;
    struct stat_rates rates;
};

struct stat_net {
    const char *root; /* borrowed */
    struct drv_buffer text;
    struct stat_counters total; /* over all but lo */
    struct stat_rates rates;    /* of the sum */
    struct stat_interface interfaces[STAT_INTERFACES_MAX], before[STAT_INTERFACES_MAX];
    size_t count, before_count;
    size_t more; /* interfaces beyond STAT_INTERFACES_MAX */
    bool has_sample;
    int64_t at_us;
};

void stat_net_init(struct stat_net *net, const char *root);
void stat_net_fini(struct stat_net *net);

/* Reads root + "/proc/net/dev"; without it there are no interfaces. now_us: monotonic. Lines
 * that are no interface are skipped. */
void stat_net_read(struct stat_net *net, int64_t now_us);

/* The map `net` of a heartbeat's details. */
void stat_net_write(const struct stat_net *net, struct stat_details *details);

#endif
