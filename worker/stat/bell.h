/*
 * bell.h: one thread wakes another, which waits; an eventfd.
 */
#ifndef WORKER_STAT_BELL_H
#define WORKER_STAT_BELL_H

#include <drover/status.h>

#include <stdbool.h>

/* A descriptor that is readable once rung. OK or IO. */
DROVER_MUST_USE drover_status stat_bell_open(int *out_fd);
void stat_bell_close(int *fd);

void stat_bell_ring(int fd);

/* Waits up to timeout_ms (-1: for ever) until it has been rung since the last wait; rings that
 * come together are one. */
bool stat_bell_wait(int fd, int timeout_ms);

#endif
