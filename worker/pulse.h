/*
 * pulse.h: the agent's side of the statistics: when they are asked for, and when they are told.
 *
 *     ... heartbeat ──────────────────── ask ── 50 ms ── take, heartbeat ── ...
 *
 * Nothing here waits, but for worker_pulse_begin at the start of the worker.
 */
#ifndef WORKER_PULSE_H
#define WORKER_PULSE_H

#include "pool.h"
#include "problem.h"
#include "sandbox.h"
#include "session.h"
#include "settings.h"
#include "stat/sampler.h"

struct worker_pulse {
    struct stat_sampler *sampler; /* owned; NULL: no statistics */
    bool has_executors;           /* they are among the groups */
    bool is_asked;                /* for the heartbeat to come */
    int64_t asked_at_us;
};

/* Takes the first sample of the processors; before anything is forked. The settings and what
 * the sandbox tells are borrowed. OK, NOMEM. */
DROVER_MUST_USE drover_status worker_pulse_open(struct worker_pulse *pulse,
                                                const struct worker_settings *settings,
                                                const struct sandbox *sandbox,
                                                struct drv_problem *problem);
void worker_pulse_fini(struct worker_pulse *pulse);

/* Starts the threads, and waits a quarter of a second at most for the first numbers, so that
 * the first heartbeat has some. pool NULL: gone. OK, NOMEM, IO. */
DROVER_MUST_USE drover_status worker_pulse_begin(struct worker_pulse *pulse,
                                                 const struct pool *pool,
                                                 const struct worker_session *session,
                                                 int64_t now_us, struct drv_problem *problem);

/* Before the session's tick: what there is goes with a heartbeat that is due. */
void worker_pulse_tell(struct worker_pulse *pulse, struct worker_session *session,
                       int64_t now_us);

/* After it: asks for the next ones in time. Returns when it wants to be called again. */
int64_t worker_pulse_ask(struct worker_pulse *pulse, const struct pool *pool,
                         const struct worker_session *session, int64_t now_us);

#endif
