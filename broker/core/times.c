/* times.c: see times.h. */
#include "times.h"

#include <stdlib.h>
#include <string.h>

void times_registry_init(struct times_registry *registry)
{
    memset(registry, 0, sizeof *registry);
    drv_list_init(&registry->all);
}

void times_registry_fini(struct times_registry *registry)
{
    struct drv_list *link;
    while ((link = drv_list_first(&registry->all)) != NULL) {
        times_free(registry, DRV_LIST_ITEM(link, struct times, link)->owner);
    }
}

void times_turn(struct times_registry *registry, int64_t now_us)
{
    if (now_us < registry->turn_at_us) {
        return;
    }
    registry->turn_at_us = now_us + TIMES_WINDOW_US;
    registry->now = 1 - registry->now;
    DRV_LIST_EACH(link, &registry->all)
    {
        struct times *times = DRV_LIST_ITEM(link, struct times, link);
        for (int kind = 0; kind < TIMES_KINDS; kind++) {
            times->counts[kind][registry->now] = 0;
            memset(times->buckets[kind][registry->now], 0, sizeof times->buckets[0][0]);
        }
    }
}

unsigned times_bucket(uint64_t us)
{
    const uint64_t max = (UINT64_C(1) << TIMES_VALUE_BITS) - 1;
    us = us > max ? max : us;
    unsigned shift = us < (1U << (TIMES_BITS + 1))
                         ? 0
                         : 63U - (unsigned)__builtin_clzll(us) - TIMES_BITS;
    return (shift << TIMES_BITS) + (unsigned)(us >> shift);
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
    if (bucket < (1U << (TIMES_BITS + 1))) {
        return bucket;
    }
    unsigned shift = (bucket >> TIMES_BITS) - 1;
    uint64_t low = (uint64_t)((bucket & ((1U << TIMES_BITS) - 1)) + (1U << TIMES_BITS))
                   << shift;
    return low + (UINT64_C(1) << shift) / 2;
}

static struct times *ensure(struct times_registry *registry, struct times **times)
{
    if (*times == NULL && registry->count < TIMES_MAX) {
        *times = calloc(1, sizeof **times);
        if (*times != NULL) {
            (*times)->owner = times;
            drv_list_push_back(&registry->all, &(*times)->link);
            registry->count++;
        }
    }
    return *times;
}

void times_record(struct times_registry *registry, struct times **times, enum times_kind kind,
                  unsigned bucket, uint32_t count)
{
    struct times *t = *times != NULL ? *times : ensure(registry, times);
    if (t != NULL) {
        t->counts[kind][registry->now] += count;
        t->buckets[kind][registry->now][bucket] += count;
    }
}

void times_free(struct times_registry *registry, struct times **times)
{
    struct times *t = *times;
    *times = NULL;
    if (t != NULL) {
        drv_list_remove(&t->link);
        registry->count--;
        free(t);
    }
}

uint64_t times_count(const struct times *times, enum times_kind kind)
{
    return times == NULL ? 0 : (uint64_t)times->counts[kind][0] + times->counts[kind][1];
}

void times_permilles(const struct times *times, enum times_kind kind, const unsigned *permilles,
                     uint64_t *out_us, unsigned count)
{
    uint64_t all = times_count(times, kind);
    uint64_t seen = 0;
    unsigned at = 0;
    memset(out_us, 0, count * sizeof *out_us);
    for (unsigned i = 0; all > 0 && at < count && i < TIMES_BUCKETS; i++) {
        seen += (uint64_t)times->buckets[kind][0][i] + times->buckets[kind][1][i];
        while (at < count && seen > 0 && seen * 1000 >= all * permilles[at]) {
            out_us[at++] = value_of(i);
        }
    }
}
