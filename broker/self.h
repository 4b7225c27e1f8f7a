/*
 * self.h: what the broker itself uses: resident memory and cpu.
 */
#ifndef BROKER_SELF_H
#define BROKER_SELF_H

#include "core.h"

struct self_meter {
    uint64_t cpu_us; /* at the last reading */
    int64_t at_us;   /* 0: none yet */
};

/* Reads /proc/self/statm and getrusage; cpu_percent is of one core since the last reading, 0 at
 * the first. */
struct core_self self_read(struct self_meter *meter, int64_t now_us);

#endif
