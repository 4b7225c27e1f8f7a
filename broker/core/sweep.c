#include "sweep.h"

#include "broker.h"
#include "check.h"

/* Pieces of work in one tick, over all sweeps. */
enum { SWEEP_BUDGET = 4096 };

void sweep_init(struct sweep *sweep, sweep_fn step)
{
    drv_list_init(&sweep->link);
    drv_list_init(&sweep->waiters);
    sweep->step = step;
    sweep->at = 0;
}

void sweep_start(struct core *core, struct sweep *sweep)
{
    sweep->at = 0;
    if (!sweep_is_running(sweep)) {
        drv_list_push_back(&core->sweeps, &sweep->link);
    }
}

void sweep_done(struct core *core, struct sweep *sweep)
{
    drv_list_remove(&sweep->link);
    waiters_release(core, &sweep->waiters);
}

bool sweeps_run(struct core *core)
{
    struct drv_list *link = drv_list_pop_front(&core->sweeps);
    if (link == NULL) {
        return false;
    }
    /* One per tick, in turn, so that a long one does not hold up the others. */
    struct sweep *sweep = DRV_LIST_ITEM(link, struct sweep, link);
    drv_list_push_back(&core->sweeps, link);
    sweep->step(core, sweep, SWEEP_BUDGET);
    return !drv_list_is_empty(&core->sweeps);
}
