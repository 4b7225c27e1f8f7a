/* pages.h: pages for allocators above. */
#include "test.h"

#include "pages.h"

#include <stdint.h>
#include <string.h>

enum { COUNT = 200 };

static void take_all(struct drv_pages *pages, void *taken[COUNT])
{
    for (size_t i = 0; i < COUNT; i++) {
        taken[i] = drv_pages_take(pages);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % DRV_PAGE_BYTES, 0);
        memset(taken[i], (int)i, DRV_PAGE_BYTES);
    }
}

/* Pages are aligned to their size and apart. */
static void test_pages_are_aligned_and_apart(void **state)
{
    struct drv_pages pages;
    void *taken[COUNT];
    drv_pages_init(&pages);
    take_all(&pages, taken);
    for (size_t i = 0; i < COUNT; i++) {
        const uint8_t *page = taken[i];
        assert_int_equal(page[0], (uint8_t)i);
        assert_int_equal(page[DRV_PAGE_BYTES - 1], (uint8_t)i);
        drv_pages_give(&pages, taken[i]);
    }
    drv_pages_fini(&pages);
}

/* What was given back is given out again, and all but the last region goes to the system. */
static void test_pages_follow_the_load_down(void **state)
{
    struct drv_pages pages;
    void *taken[COUNT];
    drv_pages_init(&pages);
    take_all(&pages, taken);
    size_t peak = pages.count;
    for (size_t i = 0; i < COUNT; i += 2) {
        drv_pages_give(&pages, taken[i]);
    }
    assert_int_equal(pages.count, peak); /* each still has a page in use */
    assert_true(pages.resident > 0 && pages.resident <= DRV_PAGES_SPARE);
    drv_pages_trim(&pages);
    assert_int_equal(pages.resident, 0);
    for (size_t i = 0; i < COUNT; i += 2) {
        taken[i] = drv_pages_take(&pages);
        assert_non_null(taken[i]);
    }
    assert_int_equal(pages.count, peak);
    for (size_t i = 0; i < COUNT; i++) {
        drv_pages_give(&pages, taken[i]);
    }
    assert_true(peak > 1);
    assert_int_equal(pages.count, 1);
    drv_pages_fini(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_are_aligned_and_apart),
        cmocka_unit_test(test_pages_follow_the_load_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
