/*
 * bound.h: limits of an attempt as the kernel keeps them, in the process that runs it.
 *
 *   memory   RLIMIT_DATA, with something to spare: what is counted is reserved, not resident
 *   cpu      RLIMIT_CPU, in whole seconds and with one to spare: SIGXCPU
 *   files    RLIMIT_NOFILE, beyond those that are open
 *
 * They hold for each process alone; the agent looks at all of them together (pool_limit.c).
 */
#ifndef WORKER_BOUND_H
#define WORKER_BOUND_H

#include "message.h"

/* Whether a function with these limits needs a process of its own. */
bool bound_needs_process(const struct drv_bounds *limits);

/* Of the calling process and what it will fork, for good. Async-signal-safe but for reading
 * /proc; `is_fresh`: it is about to exec, and has nothing of its own yet. */
void bound_self(const struct drv_bounds *limits, bool is_fresh);

#endif
