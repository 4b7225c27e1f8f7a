/*
 * drover-worker.
 *
 *   main.c        this
 *   program.c     options, log, exit codes; own.c for programs that are their own workers
 *   settings.c    command line, environment, file -> struct worker_settings
 *   handler.c     [handler.TYPE] sections -> commands
 *   agent.c       the loop between broker, pool, signals and time; bridge.c between session and
 * pool connection.c  one connection: socket, monitor, link session*.c    every decision about
 * leases, pure (session.h); lease.c its books, effect.c what it wants done, question.c requests
 * of handlers, shared.c values of arrays pulse.c roll.c stat/ statistics notify.c      service
 * manager pool.c        the agent's side of the processes that run handlers (pool.h); zygote.c
 * loads modules and forks, executor.c runs, model/ how, ring.c and lane.c between them
 */
#include "program.h"

#include <stddef.h>

int main(int argc, char **argv)
{
    return worker_program(argc, argv, NULL);
}
