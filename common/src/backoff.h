/*
 * backoff.h: how long to wait before the next try.
 *
 * Exponential with "equal jitter": half of the delay is fixed, half random, so that peers
 * that failed together do not come back together and none comes back at once. Pure.
 */
#ifndef DRV_BACKOFF_H
#define DRV_BACKOFF_H

#include "rng.h"

#include <stdint.h>

struct drv_backoff {
    uint64_t base_ms; /* full delay before the first retry */
    uint64_t max_ms;  /* no full delay is longer */
};

/*
 * The delay in milliseconds before retry number `retry` (from 0): random between d/2 and d,
 * where d = min(base_ms * 2^retry, max_ms). No overflow for any retry.
 */
uint64_t drv_backoff_delay_ms(const struct drv_backoff *backoff, uint32_t retry,
                              struct drv_rng *rng);

#endif
