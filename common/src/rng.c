#include "rng.h"

#include "check.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

void drv_rng_init(struct drv_rng *rng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        rng->state[i] = splitmix(&seed);
    }
}

uint64_t drv_rng_next(struct drv_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t drv_rng_below(struct drv_rng *rng, uint64_t bound)
{
    if (bound == 0) {
        return 0;
    }
    /* Refuse the first 2^64 mod bound values, so that the rest divides evenly. */
    uint64_t refused = (0 - bound) % bound;
    uint64_t number;
    do {
        number = drv_rng_next(rng);
    } while (number < refused);
    return number % bound;
}

uint64_t drv_rng_between(struct drv_rng *rng, uint64_t min, uint64_t max)
{
    DRV_ASSERT(min <= max);
    uint64_t span = max - min + 1; /* 0: the whole range */
    return span == 0 ? drv_rng_next(rng) : min + drv_rng_below(rng, span);
}

double drv_rng_unit(struct drv_rng *rng)
{
    return (double)(drv_rng_next(rng) >> 11) * 0x1.0p-53;
}
