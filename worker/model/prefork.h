/*
 * prefork.h: handlers that are functions of modules, called in the executor itself.
 */
#ifndef PREFORK_H
#define PREFORK_H

#include "job.h"

/*
 * Calls the handler and translates what it returns. Any failure after the job was told to stop
 * counts as stopping; then what the handler has left running is ended too.
 */
void prefork_run(struct drover_job *job, const struct module_handler *handler,
                 const drover_value *payload, struct job_outcome *outcome);

#endif
