/*
 * net.h: network totals of the host.
 *
 * The kernel's own counters since boot, summed over all interfaces but lo. A bridge and its
 * ports count the same packet twice, as in every tool that reads this file.
 */
#ifndef WORKER_STAT_NET_H
#define WORKER_STAT_NET_H

#include <drover/status.h>

#include <stdint.h>

struct stat_net {
    uint64_t bytes_sent, bytes_recv, packets_sent, packets_recv;
};

/* Sums the text of /proc/net/dev. Lines that are no interface are skipped; an empty text gives
 * zeros. */
void stat_net_parse(const char *text, struct stat_net *out_net);

/* Reads root + "/proc/net/dev". OK, UNKNOWN, IO. */
DROVER_MUST_USE drover_status stat_net_read(const char *root, struct stat_net *out_net);

#endif
