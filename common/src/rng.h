/*
 * rng.h: reproducible random numbers (xoshiro256**, seeded by splitmix64).
 *
 * Pure: the same seed gives the same sequence everywhere. Not for secrets.
 * Source: Blackman and Vigna, https://prng.di.unimi.it/
 */
#ifndef DRV_RNG_H
#define DRV_RNG_H

#include <stdint.h>

struct drv_rng {
    uint64_t state[4];
};

void drv_rng_init(struct drv_rng *rng, uint64_t seed);

/* 64 random bits. */
uint64_t drv_rng_next(struct drv_rng *rng);

/* A number from 0 to bound - 1, all equally likely; 0 for bound 0. */
uint64_t drv_rng_below(struct drv_rng *rng, uint64_t bound);

/* A number from min to max, both included; min <= max. */
uint64_t drv_rng_between(struct drv_rng *rng, uint64_t min, uint64_t max);

/* A number from 0 (included) to 1 (excluded). */
double drv_rng_unit(struct drv_rng *rng);

#endif
