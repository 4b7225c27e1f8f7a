/*
 * prefork.c: a process runs one function of a module after the other.
 */
#include "model/function.h"
#include "model/model.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* Children that handlers have left, and that have ended. */
static void reap_strays(struct executor *executor)
{
    (void)executor;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

const struct model MODEL_PREFORK = {
    .id = POOL_MODEL_PREFORK,
    .name = "prefork",
    .serve = executor_serve_alone,
    .run = function_run_alone,
    .rest = reap_strays,
    .usage_who = RUSAGE_SELF,
};
