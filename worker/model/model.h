/*
 * model.h: the ways of running attempts, behind one interface.
 *
 *   prefork   a process runs one function of a module after the other
 *   thread    a process with several threads, each of which does that
 *   fork      a process for every attempt, forked ahead of it
 *   exec      a process that starts commands and looks after them
 *
 * One table per model, in its own file, serves both sides: the pool asks it how to treat the
 * executors, an executor what to do. The zygote forks all of them alike.
 */
#ifndef MODEL_H
#define MODEL_H

#include "job.h"
#include "module.h"

struct model {
    enum pool_model id;
    const char *name;
    bool is_on_demand; /* no executors are kept when there is nothing to do */
    bool has_threads;  /* several seats in a process */
    bool ends_itself; /* the executor ends what it was told to stop, by SIGTERM at once; else it
                         looks at a flag first, and the agent sends the signals */
    uint64_t tasks_max; /* attempts of one process, whatever is configured; 0: as configured */

    /* In the executor: all of its life; never returns. */
    void (*serve)(const struct executor_config *config);
    /* Runs one attempt. */
    void (*run)(struct drover_job *job, const struct module_handler *handler,
                const drover_value *payload, struct job_outcome *outcome);
    /* Has nothing to do for now; NULL: nothing then either. */
    void (*rest)(struct executor *executor);
    int usage_who; /* for getrusage: what the attempt used is the difference before and after */
};

extern const struct model MODEL_PREFORK, MODEL_THREAD, MODEL_FORK, MODEL_EXEC;

enum { POOL_MODELS = 4 };

static inline const struct model *model_of(enum pool_model id)
{
    static const struct model *const models[POOL_MODELS] = {&MODEL_PREFORK, &MODEL_THREAD,
                                                            &MODEL_FORK, &MODEL_EXEC};
    return models[id - POOL_MODEL_PREFORK];
}

#endif
