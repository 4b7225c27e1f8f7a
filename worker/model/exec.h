/*
 * exec.h: what the files of model exec share.
 *
 *   exec.c      the model: configured commands (argv templates, worker/README.md), and programs
 *               that the task names itself, of those that --allow-exec lists
 *   persist.c   commands that stay
 *   command.c   starting a program, and seeing it through
 */
#ifndef EXEC_H
#define EXEC_H

#include "job.h"

#include <sys/types.h>

/* Where this executor makes directories for its commands. */
const char *exec_tmp(const struct executor *executor);

/* Kills and reaps what the attempt has left, sparing commands that stay. Blocks. */
void exec_end_children(struct executor *executor);

/* Says how a process ended that should not have ended so: kind handler for an exit code, crash
 * for a signal. */
void exec_fail_by_status(struct job_outcome *outcome, int wait_status);

/* Says that a program could not be started. */
void exec_fail_to_start(struct job_outcome *outcome, const char *program, int start_errno);

#endif
