/*
 * fork.c: a process for every attempt. It is forked ahead, so that the attempt need not wait
 * for that, runs one function of a module, and is ended with all that it has left.
 */
#include "model/function.h"
#include "model/model.h"

#include <sys/resource.h>

const struct model MODEL_FORK = {
    .id = POOL_MODEL_FORK,
    .name = "fork",
    .tasks_max = 1,
    .serve = executor_serve_alone,
    .run = function_run_alone,
    .usage_who = RUSAGE_SELF,
};
