#include "backoff.h"

uint64_t drv_backoff_delay_ms(const struct drv_backoff *backoff, uint32_t retry,
                              struct drv_rng *rng)
{
    uint64_t full = backoff->max_ms;
    if (retry < 64 && backoff->base_ms <= backoff->max_ms >> retry) {
        full = backoff->base_ms << retry;
    }
    return drv_rng_between(rng, full / 2, full);
}
