/*
 * on_heartbeat.c: signs of life, with what the peer knows of itself.
 */
#include "broker.h"
#include "handlers.h"

enum {
    HEARTBEATS_PER_S = 400,      /* of all workers together, where their lease allows it */
    IDLE_HEARTBEATS_PER_S = 100, /* the same of workers that hold nothing */
    MOMENT_US = 250 * 1000,      /* heartbeats come together, so far apart at least */
    MOMENTS_MAX = 8,             /* of an interval */
};

/* So that all workers together send so many a second, where that is often enough. */
static int64_t fair_heartbeat_us(const struct core *core, int64_t per_s, int64_t longest_us)
{
    int64_t fair_us = (int64_t)drv_table_count(&core->workers_by_name) * (1000 * 1000 / per_s);
    int64_t wanted_us = fair_us < longest_us ? fair_us : longest_us;
    return wanted_us > core->config.heartbeat_us ? wanted_us : core->config.heartbeat_us;
}

int64_t core_heartbeat_us(const struct core *core)
{
    return fair_heartbeat_us(core, HEARTBEATS_PER_S, core->config.lease_us / 4);
}

int64_t core_idle_heartbeat_us(const struct core *core)
{
    return fair_heartbeat_us(core, IDLE_HEARTBEATS_PER_S, core->config.lease_us);
}

/* When the next one shall come, from now: an interval, an eighth longer or up to so much
 * shorter that each worker has its moment, and those of many workers come together. */
static int64_t next_heartbeat_us(const struct core *core, const struct worker *worker,
                                 int64_t interval_us)
{
    int64_t moment_us = interval_us / MOMENTS_MAX;
    moment_us = moment_us > MOMENT_US ? moment_us : MOMENT_US;
    int64_t moments = interval_us / moment_us;
    if (moments < 2) {
        return interval_us;
    }
    interval_us = moments * moment_us;
    uint64_t number;
    memcpy(&number, &worker->session->id, sizeof(number));
    int64_t phase_us = (int64_t)(number % (uint64_t)moments) * moment_us;
    int64_t since_us = (core->now_us + interval_us - phase_us) % interval_us;
    int64_t next_us = interval_us - since_us;
    return next_us < interval_us / 8 ? next_us + interval_us : next_us;
}

/* Who holds nothing has nothing to renew: it may be silent for two of its intervals, until it
 * is given something (worker_lost_at). */
static uint64_t tell_next(const struct core *core, struct worker *worker)
{
    int64_t interval_us = core_heartbeat_us(core);
    worker->silence_us = 0;
    if (worker->held == 0) {
        interval_us = core_idle_heartbeat_us(core);
        worker->silence_us = 2 * interval_us;
    }
    return (uint64_t)next_heartbeat_us(core, worker, interval_us);
}

static void heartbeat_keep(struct core *core, struct worker *worker,
                           const struct drv_heartbeat *heartbeat)
{
    if (heartbeat->has_host) {
        worker->has_host = true;
        worker->host = heartbeat->host;
        worker_weigh(core, worker);
    }
    if (heartbeat->details.len > 0) {
        worker_set_details(core, worker, heartbeat->details);
    }
}

/* What it runs although that was given to somebody else is counted, and it is told to stop. */
static void heartbeat_check(struct core *core, struct worker *worker,
                            const struct drv_heartbeat *heartbeat)
{
    for (size_t i = 0; i < heartbeat->running_count; i++) {
        const struct drv_ref *ref = &heartbeat->running[i].ref;
        const struct lease *lease = lease_find(core, ref);
        if ((lease == NULL || lease->worker != worker) && item_is_superseded(core, ref)) {
            core->counters.stale_heartbeats++;
            worker_add_stale(core, worker, &ref->id, ref->index, ref->attempt);
        }
    }
}

void on_heartbeat(struct core *core, struct peer *peer, const struct drv_message *message)
{
    if (peer->session->worker != NULL) {
        heartbeat_keep(core, peer->session->worker, &message->heartbeat);
    }
    if (!peer_is_open(peer)) {
        return; /* it does not read: what it would be told must not gather */
    }
    struct drv_message *answer = effects_message(core, DRV_HEARTBEAT);
    if (peer->session->worker != NULL) {
        heartbeat_check(core, peer->session->worker, &message->heartbeat);
        if (answer != NULL) {
            answer->heartbeat.next_us = tell_next(core, peer->session->worker);
        }
    }
    effects_send(core, peer, answer, 0);
}
