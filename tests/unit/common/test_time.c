/* clock.h, rng.h, backoff.h */
#include "test.h"

#include "backoff.h"
#include "clock.h"
#include "rng.h"

/* The monotonic clock does not go back; the wall clock is in this century, in milliseconds. */
static void test_clock_moves_forward(void **state)
{
    uint64_t previous = drv_clock_now_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = drv_clock_now_us();
        assert_true(now >= previous);
        previous = now;
    }
    uint64_t ms = drv_clock_now_ms();
    assert_true(ms >= previous / 1000 && ms - previous / 1000 < 60000);
    assert_true(drv_clock_wall_ms() > UINT64_C(1500000000000));
    assert_true(drv_clock_wall_ms() < UINT64_C(4102444800000));
}

/* xoshiro256** seeded by splitmix64: the values of the reference implementation. */
static void test_rng_sequence_is_the_reference(void **state)
{
    struct drv_rng rng = {.state = {1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (size_t i = 0; i < 4; i++) {
        assert_true(drv_rng_next(&rng) == expected[i]);
    }
    drv_rng_init(&rng, 0);
    assert_true(rng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng.state[1] == UINT64_C(0x6e789e6aa1b965f4));
}

/* Numbers below a bound are below it and all come up; the same seed repeats them. */
static void test_rng_below_is_bounded_and_even(void **state)
{
    struct drv_rng rng;
    struct drv_rng twin;
    unsigned counts[7] = {0};
    drv_rng_init(&rng, 42);
    drv_rng_init(&twin, 42);
    for (int i = 0; i < 70000; i++) {
        uint64_t number = drv_rng_below(&rng, 7);
        assert_true(number < 7);
        assert_true(number == drv_rng_below(&twin, 7));
        counts[number]++;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    assert_int_equal(drv_rng_below(&rng, 0), 0);
    assert_int_equal(drv_rng_below(&rng, 1), 0);
}

/* Ranges include both ends, up to the whole of 64 bits. */
static void test_rng_between_and_unit(void **state)
{
    struct drv_rng rng;
    bool low = false;
    bool high = false;
    drv_rng_init(&rng, 7);
    for (int i = 0; i < 1000; i++) {
        uint64_t number = drv_rng_between(&rng, 5, 8);
        double unit = drv_rng_unit(&rng);
        assert_in_range(number, 5, 8);
        assert_true(unit >= 0 && unit < 1);
        low = low || number == 5;
        high = high || number == 8;
    }
    assert_true(low && high);
    assert_int_equal(drv_rng_between(&rng, 3, 3), 3);
    (void)drv_rng_between(&rng, 0, UINT64_MAX);
}

/* Delays double up to the maximum and lie in the upper half of each step. */
static void test_backoff_doubles_to_the_maximum(void **state)
{
    const struct drv_backoff backoff = {.base_ms = 50, .max_ms = 2000};
    struct drv_rng rng;
    drv_rng_init(&rng, 1);
    for (uint32_t retry = 0; retry < 200; retry++) {
        uint64_t full = retry < 6 ? UINT64_C(50) << retry : 2000;
        for (int i = 0; i < 50; i++) {
            assert_in_range(drv_backoff_delay_ms(&backoff, retry, &rng), full / 2, full);
        }
    }
    assert_in_range(drv_backoff_delay_ms(&backoff, UINT32_MAX, &rng), 1000, 2000);
}

/* Extreme settings neither overflow nor divide by zero. */
static void test_backoff_extreme_settings(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, 1);
    const struct drv_backoff zero = {.base_ms = 0, .max_ms = 0};
    const struct drv_backoff huge = {.base_ms = UINT64_MAX, .max_ms = UINT64_MAX};
    const struct drv_backoff crossed = {.base_ms = 100, .max_ms = 10};
    assert_int_equal(drv_backoff_delay_ms(&zero, 5, &rng), 0);
    assert_true(drv_backoff_delay_ms(&huge, 1, &rng) >= UINT64_MAX / 2);
    assert_in_range(drv_backoff_delay_ms(&crossed, 0, &rng), 5, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_moves_forward),
        cmocka_unit_test(test_rng_sequence_is_the_reference),
        cmocka_unit_test(test_rng_below_is_bounded_and_even),
        cmocka_unit_test(test_rng_between_and_unit),
        cmocka_unit_test(test_backoff_doubles_to_the_maximum),
        cmocka_unit_test(test_backoff_extreme_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
