/*
 * roll.h: who the executors are and what they run, for the statistics.
 */
#ifndef WORKER_ROLL_H
#define WORKER_ROLL_H

#include "pool.h"
#include "session.h"
#include "stat/executor.h"

/* All executors of the pool with their tasks, as the session knows these; to be given to
 * free(). NULL when out of memory. */
struct stat_roll *worker_roll_new(const struct pool *pool, const struct worker_session *session,
                                  int64_t now_us);

#endif
