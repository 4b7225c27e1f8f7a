/*
 * unresolved.c: a module that needs a function which nobody has.
 */
#include <drover/worker.h>

DROVER_API int drover_test_function_that_nobody_has(void);

static drover_status nothing(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)job;
    (void)in;
    (void)out_result;
    return drover_test_function_that_nobody_has() == 0 ? DROVER_OK : DROVER_FAILED;
}

DROVER_MODULE("unresolved", "1", {"nothing", nothing, 0});
