/* Histograms: exact below 128, within 1/128 above, and what is asked of them. */
#include "test.h"

#include "histogram.h"
#include "rng.h"

#include <stdlib.h>

static struct drv_histogram histogram;

static int start(void **state)
{
    drv_histogram_reset(&histogram);
    return 0;
}

/* Nothing recorded: every percentile is 0. */
static void test_histogram_empty_gives_zero(void **state)
{
    assert_int_equal(drv_histogram_permille(&histogram, 0), 0);
    assert_int_equal(drv_histogram_permille(&histogram, 500), 0);
    assert_int_equal(drv_histogram_permille(&histogram, 1000), 0);
}

/* Small values come back as they were. */
static void test_histogram_small_values_are_exact(void **state)
{
    for (uint64_t value = 1; value <= 100; value++) {
        drv_histogram_record(&histogram, value);
    }
    assert_int_equal(drv_histogram_permille(&histogram, 10), 1);
    assert_int_equal(drv_histogram_permille(&histogram, 500), 50);
    assert_int_equal(drv_histogram_permille(&histogram, 990), 99);
    assert_int_equal(drv_histogram_permille(&histogram, 1000), 100);
    assert_int_equal(histogram.sum, 5050);
}

/* Whatever is recorded lies in the bucket that says so, and that bucket is narrow. */
static void test_histogram_error_is_bounded(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t value = drv_rng_next(&rng) >> (16 + drv_rng_next(&rng) % 48);
        drv_histogram_reset(&histogram);
        drv_histogram_record(&histogram, value);
        drv_histogram_record(&histogram, UINT64_MAX); /* so that the maximum does not help */
        uint64_t told = drv_histogram_permille(&histogram, 500);
        assert_true(told >= value);
        assert_true(told - value <= value / 128);
    }
}

/* Buckets follow each other without gaps: the end of one is less than that of the next. */
static void test_histogram_buckets_are_in_order(void **state)
{
    uint64_t last = 0;
    assert_int_equal(drv_histogram_bucket(&histogram, 0, &last), 0);
    for (size_t i = 1; i < DRV_HISTOGRAM_BUCKETS; i++) {
        uint64_t end;
        (void)drv_histogram_bucket(&histogram, i, &end);
        assert_true(end > last);
        drv_histogram_record(&histogram, last + 1); /* the first that is in this bucket */
        assert_int_equal(drv_histogram_bucket(&histogram, i, &end), 1);
        last = end;
    }
    assert_int_equal(last, (UINT64_C(1) << 48) - 1);
}

/* What is beyond the range counts as the largest value. */
static void test_histogram_huge_values_are_cut(void **state)
{
    drv_histogram_record(&histogram, UINT64_MAX);
    assert_int_equal(drv_histogram_permille(&histogram, 1000), (UINT64_C(1) << 48) - 1);
}

/* Adding two is as if one had seen everything. */
static void test_histogram_add(void **state)
{
    static struct drv_histogram other;
    drv_histogram_reset(&other);
    for (uint64_t value = 1; value <= 50; value++) {
        drv_histogram_record(&histogram, value);
        drv_histogram_record(&other, value + 50);
    }
    drv_histogram_add(&histogram, &other);
    assert_int_equal(histogram.count, 100);
    assert_int_equal(histogram.max, 100);
    assert_int_equal(drv_histogram_permille(&histogram, 750), 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_histogram_empty_gives_zero, start),
        cmocka_unit_test_setup(test_histogram_small_values_are_exact, start),
        cmocka_unit_test_setup(test_histogram_error_is_bounded, start),
        cmocka_unit_test_setup(test_histogram_buckets_are_in_order, start),
        cmocka_unit_test_setup(test_histogram_huge_values_are_cut, start),
        cmocka_unit_test_setup(test_histogram_add, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
