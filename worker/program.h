/*
 * program.h: the worker as a program, from its arguments to its exit code. It is what main of
 * drover-worker calls, and drover_worker_main of programs that are their own workers.
 */
#ifndef WORKER_PROGRAM_H
#define WORKER_PROGRAM_H

#include <drover/worker.h>

/* Serves until it is told to end. own: handlers beside those of the arguments; NULL: none. No
 * thread and no ZeroMQ context may exist yet. Returns the exit code. */
int worker_program(int argc, char **argv, const drover_module *own);

#endif
