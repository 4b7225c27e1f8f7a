#include "check.h"

#include "broker.h"

/* The conservation law. */
static const char *check_counters(const struct core *core)
{
    const struct core_counters *counters = &core->counters;
    uint64_t sum = counters->waiting + counters->delayed + counters->queued +
                   counters->running + counters->succeeded + counters->failed +
                   counters->cancelled + counters->expired + counters->lost_at_restart;
    return sum == counters->submitted ? NULL : "the states do not add up to what was submitted";
}

const char *core_check(const struct core *core)
{
    return check_counters(core);
}
