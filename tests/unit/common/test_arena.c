/* arena.h: memory of one message or step. */
#include "test.h"

#include "arena.h"
#include "rng.h"

#include <stdalign.h>

/* What is given out is zeroed, aligned and apart from everything else given out. */
static void test_arena_pieces_are_zeroed_aligned_and_apart(void **state)
{
    enum { COUNT = 2000 };
    struct drv_rng rng;
    struct drv_arena arena;
    uint8_t *pieces[COUNT];
    size_t lens[COUNT];
    drv_rng_init(&rng, test_seed());
    drv_arena_init(&arena, 64 * 1024);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            lens[i] = (size_t)drv_rng_below(&rng, i % 100 == 0 ? 40000 : 200);
            pieces[i] = drv_arena_alloc(&arena, lens[i], 1);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            for (size_t k = 0; k < lens[i]; k++) {
                assert_int_equal(pieces[i][k], 0);
                pieces[i][k] = (uint8_t)i;
            }
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < lens[i]; k++) {
                assert_int_equal(pieces[i][k], (uint8_t)i);
            }
        }
        drv_arena_reset(&arena);
    }
    drv_arena_fini(&arena);
}

/* A count of nothing is not a failure. */
static void test_arena_nothing_is_a_valid_pointer(void **state)
{
    struct drv_arena arena;
    drv_arena_init(&arena, 4096);
    assert_non_null(drv_arena_alloc(&arena, 0, 100));
    assert_non_null(drv_arena_alloc(&arena, 100, 0));
    assert_non_null(drv_arena_copy(&arena, NULL, 0));
    drv_arena_fini(&arena);
}

/* A product that overflows, or a size that no machine has, is refused. */
static void test_arena_overflow_is_refused(void **state)
{
    struct drv_arena arena;
    drv_arena_init(&arena, 4096);
    assert_null(drv_arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(drv_arena_alloc(&arena, SIZE_MAX, 1));
    assert_null(drv_arena_alloc(&arena, SIZE_MAX - 20, 1));
    assert_non_null(drv_arena_alloc(&arena, 1, 1));
    drv_arena_fini(&arena);
}

/* A copy is the same bytes elsewhere. */
static void test_arena_copy_is_its_own(void **state)
{
    struct drv_arena arena;
    char text[] = "some bytes";
    drv_arena_init(&arena, 4096);
    char *copy = drv_arena_copy(&arena, text, sizeof text);
    assert_non_null(copy);
    text[0] = 'S';
    assert_string_equal(copy, "some bytes");
    drv_arena_fini(&arena);
}

/* The second round of a loop gets the memory of the first. */
static void test_arena_reset_keeps_memory_within_its_bound(void **state)
{
    struct drv_arena arena;
    drv_arena_init(&arena, 16 * 1024);
    void *first = drv_arena_alloc(&arena, 1000, 1);
    assert_non_null(first);
    drv_arena_reset(&arena);
    assert_ptr_equal(drv_arena_alloc(&arena, 1000, 1), first);

    /* Far beyond the bound: given back to the system, so that the first block is kept. */
    assert_non_null(drv_arena_alloc(&arena, 1024 * 1024, 1));
    drv_arena_reset(&arena);
    assert_ptr_equal(drv_arena_alloc(&arena, 1000, 1), first);
    assert_non_null(drv_arena_alloc(&arena, 8000, 1));
    drv_arena_fini(&arena);
    drv_arena_fini(&arena);
}

/* An arena that keeps nothing still works after a reset. */
static void test_arena_without_keeping_starts_over(void **state)
{
    struct drv_arena arena;
    drv_arena_init(&arena, 0);
    assert_non_null(drv_arena_alloc(&arena, 100, 1));
    drv_arena_reset(&arena);
    assert_null(arena.first);
    assert_non_null(drv_arena_alloc(&arena, 100, 1));
    drv_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_arena_nothing_is_a_valid_pointer),
        cmocka_unit_test(test_arena_overflow_is_refused),
        cmocka_unit_test(test_arena_copy_is_its_own),
        cmocka_unit_test(test_arena_reset_keeps_memory_within_its_bound),
        cmocka_unit_test(test_arena_without_keeping_starts_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
