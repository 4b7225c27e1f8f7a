#include "clock.h"

#include "check.h"

#include <time.h>

static uint64_t read_clock(clockid_t clock, uint64_t per_second)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    DRV_ASSERT(failed == 0);
    return (uint64_t)now.tv_sec * per_second +
           (uint64_t)now.tv_nsec / (UINT64_C(1000000000) / per_second);
}

uint64_t drv_clock_now_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

uint64_t drv_clock_now_ms(void)
{
    return drv_clock_now_us() / 1000;
}

uint64_t drv_clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

uint64_t drv_clock_wall_tick_ms(void)
{
    return read_clock(CLOCK_REALTIME_COARSE, 1000);
}
