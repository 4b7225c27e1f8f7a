/*
 * exec.h: handlers that are programs, started anew for each attempt.
 *
 * Two kinds: configured commands (argv templates, worker/README.md), and programs that the task
 * names itself, of those that --allow-exec lists.
 */
#ifndef EXEC_H
#define EXEC_H

#include "buffer.h"
#include "job.h"

void exec_run_command(struct drover_job *job, const struct pool_command *command,
                      const drover_value *payload, struct job_outcome *outcome);

/* payload: a map {"argv": [str...], "stdin"?: bin or str, "env"?: {str: str}}; argv[0] must be
 * `program`. The value, also of a failure: {"exit", "signal", "stdout", "stderr"}. */
void exec_run_program(struct drover_job *job, const char *program, const drover_value *payload,
                      struct job_outcome *outcome);

/* ---- shared with persist.c ------------------------------------------------------------------
 */

/* Says how a process ended that should not have ended so: kind handler for an exit code, crash
 * for a signal. */
void exec_fail_by_status(struct job_outcome *outcome, int wait_status);

/* Says that a program could not be started. */
void exec_fail_to_start(struct job_outcome *outcome, const char *program, int start_errno);

#endif
