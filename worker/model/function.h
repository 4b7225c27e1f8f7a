/*
 * function.h: calling a handler that is a function of a module.
 */
#ifndef FUNCTION_H
#define FUNCTION_H

#include "job.h"
#include "module.h"

/* Calls the handler and translates what it returns. Any failure after the job was told to stop
 * counts as stopping. */
void function_run(struct drover_job *job, const struct module_handler *handler,
                  const drover_value *payload, struct job_outcome *outcome);

/* The same; then what the handler has left running is ended too, if it was stopped. For
 * processes that run one attempt at a time. */
void function_run_alone(struct drover_job *job, const struct module_handler *handler,
                        const drover_value *payload, struct job_outcome *outcome);

#endif
