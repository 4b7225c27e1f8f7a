#include "model/function.h"

#include "proctree.h"

void function_run(struct drover_job *job, const struct module_handler *handler,
                  const drover_value *payload, struct job_outcome *outcome)
{
    drover_value *result = NULL;
    drover_status status = handler->function(job, payload, &result);
    if (!status) {
        outcome->value = result;
        return;
    }
    drover_value_destroy(&result);
    if (drover_job_is_cancelled(job)) {
        outcome->outcome = RECORD_STOPPED;
    } else if (job->awaited != NULL && status == DROVER_NOT_READY) {
        outcome->outcome = RECORD_AWAITS;
        outcome->value = job->awaited;
        job->awaited = NULL;
    } else if (job->has_failed && status == DROVER_FAILED) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, job->code, "%s", job->text);
        outcome->is_permanent = job->is_permanent;
    } else {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, drover_status_name(status), "%s",
                         drover_status_text(status));
    }
}

void function_run_alone(struct drover_job *job, const struct module_handler *handler,
                        const drover_value *payload, struct job_outcome *outcome)
{
    function_run(job, handler, payload, outcome);
    if (outcome->outcome == RECORD_STOPPED) {
        drv_proctree_end_children(NULL, NULL);
    }
}
