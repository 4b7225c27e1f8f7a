#include "pulse.h"

#include "roll.h"

#include <stdlib.h>

enum {
    LEAD_US = 50 * 1000,   /* statistics are asked for so long before a heartbeat */
    IDLE_US = 1000 * 1000, /* and so often without a connection */
    FIRST_MS = 250,        /* patience with the first ones */
};

drover_status worker_pulse_open(struct worker_pulse *pulse,
                                const struct worker_settings *settings,
                                const struct sandbox *sandbox, struct drv_problem *problem)
{
    const struct stat_groups *groups = &settings->stats;
    const struct stat_sampler_config config = {.root = "",
                                               .groups = *groups,
                                               .interval_us = settings->stats_interval_us,
                                               .more = sandbox_write,
                                               .context = sandbox};
    *pulse = (struct worker_pulse){.has_executors = groups->executors};
    if (stat_groups_is_none(groups)) {
        return DROVER_OK;
    }
    drover_status status = stat_sampler_new(&config, &pulse->sampler);
    return status == DROVER_OK ? DROVER_OK : drv_problem_set(problem, status, "out of memory");
}

void worker_pulse_fini(struct worker_pulse *pulse)
{
    stat_sampler_destroy(&pulse->sampler);
}

static void ask(struct worker_pulse *pulse, const struct pool *pool,
                const struct worker_session *session, int64_t now_us)
{
    struct stat_roll *roll = pulse->has_executors && pool != NULL
                                 ? worker_roll_new(pool, session, now_us)
                                 : NULL;
    stat_sampler_ask(pulse->sampler, &roll);
    pulse->asked_at_us = now_us;
    pulse->is_asked = true;
}

drover_status worker_pulse_begin(struct worker_pulse *pulse, const struct pool *pool,
                                 const struct worker_session *session, int64_t now_us,
                                 struct drv_problem *problem)
{
    if (pulse->sampler == NULL) {
        return DROVER_OK;
    }
    drover_status status = stat_sampler_start(pulse->sampler);
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "no thread for the statistics");
    }
    ask(pulse, pool, session, now_us);
    (void)stat_sampler_wait(pulse->sampler, FIRST_MS);
    return DROVER_OK;
}

void worker_pulse_tell(struct worker_pulse *pulse, struct worker_session *session,
                       int64_t now_us)
{
    if (pulse->sampler == NULL || !worker_session_wants_stats(session, now_us)) {
        return;
    }
    struct stat_sample *sample = stat_sampler_take(pulse->sampler);
    pulse->is_asked = false;
    if (sample != NULL && sample->has_host) {
        worker_session_set_host(session, &sample->host);
    }
    if (sample != NULL && sample->details_len > 0) {
        worker_session_set_details(session, drv_view_of(sample->details, sample->details_len));
    }
    free(sample);
}

/* Shortly before the next heartbeat; without a connection now and then, so that the next one
 * begins with fresh numbers. */
static int64_t next_us(const struct worker_pulse *pulse, const struct worker_session *session)
{
    int64_t heartbeat_us = worker_session_heartbeat_at_us(session);
    if (heartbeat_us == INT64_MAX) {
        return pulse->asked_at_us + IDLE_US;
    }
    return pulse->is_asked ? INT64_MAX : heartbeat_us - LEAD_US;
}

int64_t worker_pulse_ask(struct worker_pulse *pulse, const struct pool *pool,
                         const struct worker_session *session, int64_t now_us)
{
    if (pulse->sampler == NULL) {
        return INT64_MAX;
    }
    if (now_us >= next_us(pulse, session)) {
        ask(pulse, pool, session, now_us);
    }
    return next_us(pulse, session);
}
