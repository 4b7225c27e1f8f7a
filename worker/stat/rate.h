/*
 * rate.h: how fast a counter of the kernel grows.
 *
 * A rate needs two samples. What cannot be told, because there is only one, because no time has
 * passed, or because the counter went backwards (a device that came anew, a 32-bit counter that
 * wrapped, a clock that stood still), is STAT_UNKNOWN and goes out as nil: never a guess.
 */
#ifndef WORKER_STAT_RATE_H
#define WORKER_STAT_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* No number: all real ones are 0 or more. */
#define STAT_UNKNOWN (-1.0)

static inline bool stat_is_known(double number)
{
    return number >= 0;
}

/* Units per second between two samples of a counter. */
static inline double stat_rate(uint64_t before, uint64_t now, int64_t elapsed_us)
{
    if (elapsed_us <= 0 || now < before) {
        return STAT_UNKNOWN;
    }
    return (double)(now - before) * 1e6 / (double)elapsed_us;
}

/* Part in whole as a percentage, 0 to 100. */
static inline double stat_percent(uint64_t part, uint64_t whole)
{
    if (whole == 0) {
        return STAT_UNKNOWN;
    }
    return part >= whole ? 100 : 100.0 * (double)part / (double)whole;
}

#endif
