/*
 * histogram.h: how many values fell where, with a relative error under 1/128.
 *
 * Values below 128 are counted exactly; above, every power of two is cut into 128 equal parts
 * (the layout of HdrHistogram, hdrhistogram.org). Values from 2^48 on count as 2^48 - 1.
 * Recording costs a few instructions and never allocates. 43 KiB; embed it, or allocate it.
 */
#ifndef DRV_HISTOGRAM_H
#define DRV_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    DRV_HISTOGRAM_BITS = 7,        /* of precision */
    DRV_HISTOGRAM_VALUE_BITS = 48, /* of the largest value */
    DRV_HISTOGRAM_BUCKETS = (DRV_HISTOGRAM_VALUE_BITS - DRV_HISTOGRAM_BITS + 1)
                            << DRV_HISTOGRAM_BITS,
};

struct drv_histogram {
    uint64_t count;
    uint64_t max; /* exact; 0 when empty */
    uint64_t sum;
    uint64_t buckets[DRV_HISTOGRAM_BUCKETS];
};

/* Empty again. */
void drv_histogram_reset(struct drv_histogram *histogram);

void drv_histogram_record(struct drv_histogram *histogram, uint64_t value);

/* Adds what `other` has counted. */
void drv_histogram_add(struct drv_histogram *histogram, const struct drv_histogram *other);

/*
 * The smallest value that `permille` of the recorded ones do not exceed, up to the precision;
 * 1000 gives the exact maximum; 0 when nothing was recorded. permille: 0 to 1000.
 */
uint64_t drv_histogram_permille(const struct drv_histogram *histogram, unsigned permille);

/* For drawing: the number of values in bucket i, and the largest value that falls into it. */
uint64_t drv_histogram_bucket(const struct drv_histogram *histogram, size_t i,
                              uint64_t *out_upto);

#endif
