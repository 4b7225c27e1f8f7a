/*
 * standstill.c: a broker that was stopped, suspended or starved for a while, and goes on.
 *
 * Whatever its workers said meanwhile lies in the sockets, or was said to nobody and is said
 * again over new connections. So their silence proves nothing, and none of them is lost for it:
 * everyone gets the whole time again in which to be heard.
 */
#include "broker.h"

static void worker_forgive(struct core *core, struct worker *worker)
{
    const struct core_config *config = &core->config;
    worker->heard_us = core->now_us;
    if (timer_is_armed(&worker->timer)) {
        bool is_here = worker->session->peer != NULL;
        int64_t time_us = worker->is_awaited ? config->reattach_us
                          : is_here          ? config->lease_us
                                             : config->reconnect_grace_us;
        timer_arm(core, &worker->timer, core->now_us + time_us);
    }
}

void core_stood_still(struct core *core, int64_t now_us)
{
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    DRV_LIST_EACH(link, &core->workers)
    {
        worker_forgive(core, DRV_LIST_ITEM(link, struct worker, link));
    }
    if (timer_is_armed(&core->reattach_timer)) {
        timer_arm(core, &core->reattach_timer, core->now_us + core->config.reattach_us);
    }
}
