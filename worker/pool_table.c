/*
 * pool_table.c: the table of executors, for statistics.
 */
#include "pool_private.h"

#include "check.h"

/* Places that stand by are no executors while nothing runs in them. */
static bool is_listed(const struct seat *seat)
{
    return !seat->proc->crew->is_standby || seat->proc->pid > 0;
}

static const struct seat *listed_seat(const struct pool *pool, size_t position)
{
    for (size_t i = 0; i < pool->seat_count; i++) {
        if (is_listed(&pool->seats[i]) && position-- == 0) {
            return &pool->seats[i];
        }
    }
    DRV_UNREACHABLE();
}

size_t pool_executor_count(const struct pool *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->seat_count; i++) {
        count += is_listed(&pool->seats[i]) ? 1 : 0;
    }
    return count;
}

void pool_executor_at(const struct pool *pool, size_t position,
                      struct pool_executor_info *out_info)
{
    const struct seat *seat = listed_seat(pool, position);
    const struct proc *proc = seat->proc;
    *out_info = (struct pool_executor_info){.pid = proc->pid,
                                            .thread = (unsigned)(seat - proc->seats),
                                            .model = proc->crew->model->id,
                                            .state = proc->state,
                                            .done = seat->done,
                                            .crashes = proc->crashes,
                                            .started_at_us = proc->started_at_us};
    if (proc_is_up(proc)) {
        out_info->state = seat->placed_count > 0 ? POOL_EXECUTOR_BUSY : POOL_EXECUTOR_IDLE;
    }
    const struct drv_list *link = drv_list_first(&seat->placed);
    if (link != NULL) {
        const struct run *run = DRV_LIST_ITEM((struct drv_list *)(uintptr_t)link, struct run,
                                              link);
        out_info->token = run->token;
        out_info->type = pool->types[run->handler].name;
    }
}
