/*
 * test.h: what every C test includes instead of <cmocka.h>.
 *
 * Brings in cmocka with the headers it forgets, the seed that every random choice must come
 * from, and deadlines that grow where the build is instrumented.
 */
#ifndef DROVER_TEST_H
#define DROVER_TEST_H

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

/*
 * The static analyzer does not know that cmocka's checks return only when they hold, and would
 * follow every test past its failed ones.
 */
#ifdef __clang_analyzer__
#define TEST_CHECK(condition) ((condition) ? (void)0 : abort())
#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#define assert_true(c) TEST_CHECK(c)
#define assert_false(c) TEST_CHECK(!(c))
#define assert_null(p) TEST_CHECK((p) == NULL)
#define assert_non_null(p) TEST_CHECK((p) != NULL)
#define assert_int_equal(a, b) TEST_CHECK((LargestIntegralType)(a) == (LargestIntegralType)(b))
#define assert_int_not_equal(a, b) \
    TEST_CHECK((LargestIntegralType)(a) != (LargestIntegralType)(b))
#endif

/* Any drover_status is success; shows the number otherwise. */
#define assert_ok(status) assert_int_equal((int)(status), 0)

/* `TEST_MAIN(tests)` ends a test file whose array of struct CMUnitTest is `tests`. */
#define TEST_MAIN(tests)                                  \
    int main(void)                                        \
    {                                                     \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

/*
 * The seed of this test run: DROVER_TEST_SEED when it is set, which repeats an earlier run,
 * else a fresh one. It is printed each time it is asked for, so that a failure always names it.
 */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("DROVER_TEST_SEED");
    uint64_t seed = 0;
    if (text) {
        seed = strtoull(text, NULL, 0);
    } else {
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
            abort();
        }
    }
    fprintf(stderr, "DROVER_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* A deadline of `ms` milliseconds on a plain build, longer under a sanitizer. */
static inline int64_t test_deadline_ms(int64_t ms)
{
    const char *text = getenv("DROVER_TEST_TIME_SCALE");
    int64_t scale = text ? strtoll(text, NULL, 10) : 1;
    return scale > 1 ? ms * scale : ms;
}

#endif
