/*
 * odd_abi.c: a module from another time.
 */
#include <drover/worker.h>

static drover_status nothing(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)job;
    (void)in;
    (void)out_result;
    return DROVER_OK;
}

static const drover_handler handlers[] = {{"nothing", nothing, 0}};

extern DROVER_API const drover_module drover_module_entry;
const drover_module drover_module_entry = {
    DROVER_MODULE_ABI + 1, sizeof(drover_handler), "odd_abi", "1", handlers, 1};
