/*
 * deadline.h: one limit of time over several calls.
 */
#ifndef CLI_DEADLINE_H
#define CLI_DEADLINE_H

#include "clock.h"

#include <drover/client.h>

struct deadline {
    int64_t at_ms; /* DROVER_FOREVER: none */
};

static inline struct deadline deadline_in(int64_t timeout_ms)
{
    return (struct deadline){
        .at_ms = timeout_ms < 0 ? DROVER_FOREVER : (int64_t)drv_clock_now_ms() + timeout_ms};
}

/* What is left of it, at least 0, or DROVER_FOREVER. */
static inline int64_t deadline_left(struct deadline deadline)
{
    int64_t left = deadline.at_ms - (int64_t)drv_clock_now_ms();
    return deadline.at_ms < 0 ? DROVER_FOREVER : left > 0 ? left : 0;
}

#endif
