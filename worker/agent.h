/*
 * agent.h: the shell of a worker: one thread between the broker, the pool, signals and time.
 *
 *     one turn:  read the clock
 *                broker:  frames -> link -> session          connection.c
 *                pool:    events -> session
 *                session: tick; its effects to link and pool, until it has no more
 *                link -> socket
 *                wait for broker, pool, a signal, or the next deadline
 *
 * Decides nothing about leases: that is the session's (session.h). The pool's processes are
 * forked before a ZeroMQ context exists and never touch it.
 */
#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include "log.h"
#include "problem.h"
#include "settings.h"

#include <drover/status.h>

struct worker_agent;

/*
 * Loads the handlers and starts the pool. Blocks SIGTERM, SIGINT and SIGHUP. settings and log
 * are borrowed for life. Returns OK, or what pool_new returns, INTERNAL, with a problem.
 */
DROVER_MUST_USE drover_status worker_agent_new(const struct worker_settings *settings,
                                               const struct drv_log *log,
                                               struct worker_agent **out_agent,
                                               struct drv_problem *problem);
void worker_agent_destroy(struct worker_agent **agent);

/*
 * Serves until it is told to end, or cannot go on. Prints the ready line on stdout once.
 * Returns OK: drained. UNAVAILABLE: drained, but no broker took the last results. What a broker
 * said that nothing can cure: WRONG_ENDPOINT, VERSION, DENIED. IO: the executors are gone.
 * NOMEM. With a problem unless OK.
 */
DROVER_MUST_USE drover_status worker_agent_run(struct worker_agent *agent,
                                               struct drv_problem *problem);

#endif
