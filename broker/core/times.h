/*
 * times.h: how long tasks of a queue, or of a type, waited and ran in the last minutes.
 *
 *     record ──> [ this window ]   [ the window before ] <── percentiles are of both
 *                     └── every TIMES_WINDOW_US ──^
 *
 * Values below 8 us are counted exactly; above, every power of two is cut into 8 parts, so a
 * percentile is off by 6 % at most: what common/src/histogram.h tells exactly costs 43 KiB
 * there, and 4.3 here, for up to TIMES_MAX queues and types. What has no place is not measured.
 */
#ifndef CORE_TIMES_H
#define CORE_TIMES_H

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TIMES_MAX = 1024, /* queues and types that are measured */
    TIMES_BITS = 3,
    TIMES_VALUE_BITS = 37, /* longer than a day is a day and a half */
    TIMES_BUCKETS = (TIMES_VALUE_BITS - TIMES_BITS + 1) << TIMES_BITS,
    TIMES_WINDOW_US = 120 * 1000 * 1000,
};

enum times_kind { TIMES_WAIT, TIMES_RUN, TIMES_KINDS };

struct times {
    struct drv_list link;                             /* in the registry */
    struct times **owner;                             /* where it is known; borrowed */
    uint64_t total[TIMES_KINDS], sum_us[TIMES_KINDS]; /* since it was made */
    uint32_t counts[TIMES_KINDS][2];
    uint32_t buckets[TIMES_KINDS][2][TIMES_BUCKETS]; /* by window: now, before */
};

struct times_registry {
    struct drv_list all;
    uint32_t count;
    unsigned now;       /* which window is filled */
    int64_t turn_at_us; /* when the windows change; 0: with the next look */
};

void times_registry_init(struct times_registry *registry);
void times_registry_fini(struct times_registry *registry);
/* The windows change when it is time. */
void times_turn(struct times_registry *registry, int64_t now_us);

/* Where a time is counted. */
unsigned times_bucket(uint64_t us);
/* Counts so many; *times is made when it is NULL and there is a place. */
void times_record(struct times_registry *registry, struct times **times, enum times_kind kind,
                  unsigned bucket, uint32_t count);
/* So many took so long each. Fine with NULL. */
static inline void times_add(struct times *times, enum times_kind kind, uint64_t us,
                             uint32_t count)
{
    if (times != NULL) {
        times->total[kind] += count;
        times->sum_us[kind] += us * count;
    }
}
/* Fine with NULL. */
void times_free(struct times_registry *registry, struct times **times);

uint64_t times_count(const struct times *times, enum times_kind kind);
/* The times in microseconds that so many of a thousand did not exceed, of ascending permilles
 * in one pass; 0 where nothing was counted. */
void times_permilles(const struct times *times, enum times_kind kind, const unsigned *permilles,
                     uint64_t *out_us, unsigned count);

#endif
