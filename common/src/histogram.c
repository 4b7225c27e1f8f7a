/* histogram.c: see histogram.h. */
#include "histogram.h"

#include "check.h"

#include <string.h>

#define PARTS ((uint64_t)1 << DRV_HISTOGRAM_BITS)
#define VALUE_MAX (((uint64_t)1 << DRV_HISTOGRAM_VALUE_BITS) - 1)

static size_t bucket_of(uint64_t value)
{
    if (value < PARTS) {
        return (size_t)value;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - DRV_HISTOGRAM_BITS;
    return (size_t)(shift * PARTS + (value >> shift));
}

static uint64_t bucket_end(size_t bucket)
{
    if (bucket < 2 * PARTS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / PARTS) - 1U;
    uint64_t part = bucket - shift * PARTS;
    return ((part + 1) << shift) - 1;
}

void drv_histogram_reset(struct drv_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void drv_histogram_record(struct drv_histogram *histogram, uint64_t value)
{
    uint64_t bounded = value > VALUE_MAX ? VALUE_MAX : value;
    histogram->buckets[bucket_of(bounded)]++;
    histogram->count++;
    histogram->sum += bounded;
    if (bounded > histogram->max) {
        histogram->max = bounded;
    }
}

void drv_histogram_add(struct drv_histogram *histogram, const struct drv_histogram *other)
{
    for (size_t i = 0; i < DRV_HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] += other->buckets[i];
    }
    histogram->count += other->count;
    histogram->sum += other->sum;
    if (other->max > histogram->max) {
        histogram->max = other->max;
    }
}

uint64_t drv_histogram_permille(const struct drv_histogram *histogram, unsigned permille)
{
    DRV_ASSERT(permille <= 1000);
    uint64_t wanted = histogram->count / 1000 * permille +
                      (histogram->count % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < DRV_HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted && seen > 0) {
            uint64_t end = bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t drv_histogram_bucket(const struct drv_histogram *histogram, size_t i,
                              uint64_t *out_upto)
{
    DRV_ASSERT(i < DRV_HISTOGRAM_BUCKETS);
    *out_upto = bucket_end(i);
    return histogram->buckets[i];
}
