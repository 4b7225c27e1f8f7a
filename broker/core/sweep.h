/*
 * sweep.h: long work in slices, so that cancelling ten million elements stalls nobody.
 */
#ifndef CORE_SWEEP_H
#define CORE_SWEEP_H

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct sweep;

/* Does up to `budget` pieces of the work and remembers in `at` how far it is; calls sweep_done
 * at the end, after which the sweep may go away. */
typedef void (*sweep_fn)(struct core *core, struct sweep *sweep, uint32_t budget);

struct sweep {
    struct drv_list link;    /* in core->sweeps while it runs */
    struct drv_list waiters; /* requests that wait for the end */
    sweep_fn step;
    uint64_t at; /* how far it has come */
};

void sweep_init(struct sweep *sweep, sweep_fn step);
void sweep_start(struct core *core, struct sweep *sweep);
/* Not running any more; requests that waited are answered. */
void sweep_done(struct core *core, struct sweep *sweep);
static inline bool sweep_is_running(const struct sweep *sweep)
{
    return drv_list_is_linked(&sweep->link);
}

/* A bounded amount of all that runs; true when something is left. */
bool sweeps_run(struct core *core);

#endif
