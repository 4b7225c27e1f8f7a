/*
 * drover-worker.
 *
 *   main.c        this
 *   program.c     options, log, exit codes; own.c for programs that are their own workers
 *   settings.c    command line, environment, file -> struct worker_settings
 *   conceal.c     what keeps handlers from reading the key; confine*.c what else they are kept
 * to handler.c     sections [handler.TYPE] -> commands rule.c        sections [type.NAME],
 * --type -> how single types run agent.c       the loop between broker, pool, signals and time
 *   bridge.c      between session and pool
 *   connection.c  one connection: socket, monitor, link
 *   session*.c    every decision about leases, pure (session.h)
 *   lease.c       its books
 *   effect.c      what it wants done
 *   question.c    requests of handlers
 *   shared.c      values of arrays
 *   pulse.c, roll.c  statistics: for heartbeats, of executors; stat/ numbers of the host
 *   notify.c      service manager
 *   pool*.c       the agent's side of the processes that run handlers (pool.h)
 *   zygote.c      loads modules (module.c) and forks
 *   executor.c    runs what it is given
 *   model/        how: prefork, thread, fork, exec (model.h)
 *   ring.c, lane.c  between agent and executors
 */
#include "program.h"

#include <stddef.h>

int main(int argc, char **argv)
{
    return worker_program(argc, argv, NULL);
}
