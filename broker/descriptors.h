/*
 * descriptors.h: how many files and sockets the broker may have open, and who comes first.
 *
 * A connection takes a descriptor, and about 14 KiB of memory, from the moment the kernel
 * accepts it: before its handshake, whoever it is. So their number is bounded here, a little
 * beyond
 * --max-connections; those who come then wait until others are done, or are given up after
 * ten seconds. The journal goes beyond the bound when it has to (files.h): what strangers do
 * must not keep the broker from its disk.
 */
#ifndef BROKER_DESCRIPTORS_H
#define BROKER_DESCRIPTORS_H

#include "log.h"

/* Sets the bound of this process for so many connections, within what the system allows; once,
 * before any socket is opened. */
void descriptors_bound(size_t connections_max, const struct drv_log *log);

#endif
