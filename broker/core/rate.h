/*
 * rate.h: a bucket out of which a number a second may be taken, kept as one instant.
 *
 * It holds what comes in a second, and is full at first. A full one gives whatever is asked for
 * at once, and fills up only when all of that has been made up for: what comes in one piece
 * gets through, and the rate is kept all the same.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_SECOND_NS = 1000000000 };

struct rate_bucket {
    int64_t full_at_ns; /* when it is full again */
};

static inline int64_t rate_full_at_ns(const struct rate_bucket *bucket, int64_t now_us)
{
    int64_t now_ns = now_us * 1000;
    return bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns;
}

/* What `count` take, with `rate` a second. */
static inline int64_t rate_cost_ns(uint64_t rate, uint64_t count)
{
    uint64_t most = (uint64_t)INT64_MAX / 4 / RATE_SECOND_NS;
    return (int64_t)((count < most ? count : most) * RATE_SECOND_NS / (rate > 0 ? rate : 1));
}

/* Whether `count` are more than may come now. */
static inline bool rate_is_over(const struct rate_bucket *bucket, int64_t now_us, uint64_t rate,
                                uint64_t count)
{
    int64_t level_ns = rate_full_at_ns(bucket, now_us) - now_us * 1000;
    return level_ns > 0 && level_ns + rate_cost_ns(rate, count) > RATE_SECOND_NS;
}

/* They came. */
static inline void rate_take(struct rate_bucket *bucket, int64_t now_us, uint64_t rate,
                             uint64_t count)
{
    bucket->full_at_ns = rate_full_at_ns(bucket, now_us) + rate_cost_ns(rate, count);
}

#endif
