/*
 * local.h: a private pool: a broker and a worker that live for one client of this process.
 *
 * The pool is kept by another process (keeper.h), which ends it with this one, however that
 * ends. Here is the caller's side: starting it, and letting go.
 */
#ifndef DRV_CLIENT_LOCAL_H
#define DRV_CLIENT_LOCAL_H

#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct drv_local;

/*
 * Starts the pool that a local:// endpoint asks for and waits until it serves, until
 * deadline_us (monotonic) at the latest. OK; INVALID (the endpoint, or what the worker says
 * about a module or option); UNAVAILABLE (programs not found, not ready in time, ended);
 * VERSION (the programs are of another version); LIMIT; NOMEM. With a problem.
 */
DROVER_MUST_USE drover_status drv_local_open(const char *endpoint, int64_t deadline_us,
                                             struct drv_local **out_local,
                                             struct drv_problem *problem);

/* Ends the pool and waits until all of it is gone, for a few seconds at most. */
void drv_local_close(struct drv_local **local);

/* Where its broker listens. Borrowed. */
const char *drv_local_endpoint(const struct drv_local *local);

/* The process that keeps the pool: all its others are below it. */
pid_t drv_local_keeper(const struct drv_local *local);

/* Whether the pool has ended by itself, and why. Never blocks. */
bool drv_local_has_ended(struct drv_local *local, struct drv_problem *problem);

#endif
