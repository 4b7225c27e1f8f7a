/* table.h */
#include "test.h"

#include "rng.h"
#include "table.h"

#include <sys/mman.h>

struct item {
    uint64_t key;
    uint64_t hash;
    bool is_in;
    unsigned seen;
    bool was_in_throughout;
};

static bool has_key(const void *entry, const void *key)
{
    return ((const struct item *)entry)->key == *(const uint64_t *)key;
}

static struct item *make_items(struct drv_table *table, size_t count)
{
    struct item *items = calloc(count, sizeof *items);
    assert_non_null(items);
    for (size_t i = 0; i < count; i++) {
        items[i].key = i;
        items[i].hash = drv_table_hash(table, &items[i].key, sizeof items[i].key);
    }
    return items;
}

static void toggle(struct drv_table *table, struct item *item)
{
    if (item->is_in) {
        assert_ptr_equal(drv_table_remove(table, item->hash, &item->key), item);
    } else {
        assert_ok(drv_table_insert(table, item->hash, item));
    }
    item->is_in = !item->is_in;
}

static void assert_same(const struct drv_table *table, const struct item *items, size_t count)
{
    size_t expected = 0;
    for (size_t i = 0; i < count; i++) {
        const void *found = drv_table_find(table, items[i].hash, &items[i].key);
        assert_ptr_equal(found, items[i].is_in ? &items[i] : NULL);
        expected += items[i].is_in;
    }
    assert_int_equal(drv_table_count(table), expected);
}

#define ITEMS 3000

/* Through growth and shrinking the table holds exactly what a plain array says. */
static void test_table_random_operations_match_a_model(void **state)
{
    struct drv_rng rng;
    struct drv_table table;
    drv_rng_init(&rng, test_seed());
    drv_table_init(&table, drv_rng_next(&rng), has_key);
    struct item *items = make_items(&table, ITEMS);
    for (int wave = 0; wave < 12; wave++) {
        size_t span = wave % 2 == 0 ? ITEMS : 20; /* fill it, then thin it out */
        for (size_t step = 0; step < 2000; step++) {
            struct item *item = &items[drv_rng_below(&rng, ITEMS)];
            if (wave % 2 == 0 || item->is_in || drv_rng_below(&rng, ITEMS) < span) {
                toggle(&table, item);
            }
            if (step % 500 == 0) {
                assert_same(&table, items, ITEMS);
            }
        }
        assert_same(&table, items, ITEMS);
    }
    drv_table_fini(&table);
    free(items);
}

/* With few distinct hashes everything collides and wraps around, and is still right. */
static void test_table_colliding_hashes_stay_correct(void **state)
{
    struct drv_rng rng;
    struct drv_table table;
    drv_rng_init(&rng, test_seed());
    drv_table_init(&table, 0, has_key);
    struct item *items = make_items(&table, 200);
    for (size_t i = 0; i < 200; i++) {
        /* homes at both ends of the array, some hashes wholly equal */
        items[i].hash = drv_rng_below(&rng, 2) == 0 ? UINT64_MAX - drv_rng_below(&rng, 3)
                                                    : drv_rng_below(&rng, 3) << 60;
    }
    for (size_t step = 0; step < 20000; step++) {
        toggle(&table, &items[drv_rng_below(&rng, 200)]);
        if (step % 50 == 0) {
            assert_same(&table, items, 200);
        }
    }
    drv_table_fini(&table);
    free(items);
}

static size_t slots_of(const struct drv_table *table)
{
    return (size_t)1 << table->now.bits;
}

/* Growing moves a bounded number of slots at a time and is over before the next growth. */
static void test_table_growth_is_spread_over_operations(void **state)
{
    struct drv_table table;
    size_t resting = 0;
    drv_table_init(&table, 1, has_key);
    struct item *items = make_items(&table, 50000);
    for (size_t i = 0; i < 50000; i++) {
        size_t old_used = table.from.used;
        size_t old_slots = table.now.slots == NULL ? 0 : slots_of(&table);
        toggle(&table, &items[i]);
        if (old_slots == slots_of(&table)) {
            assert_true(old_used - table.from.used <= DRV_TABLE_MOVE_SLOTS);
        } else {
            assert_int_equal(old_used, 0); /* the growth before was over */
        }
        resting += table.from.slots == NULL;
    }
    assert_true(resting > 0);
    drv_table_fini(&table);
    free(items);
}

static size_t resident_pages(const struct drv_table *table)
{
    enum { PAGE = 4096 };
    size_t pages = sizeof *table->now.slots * slots_of(table) / PAGE, count = 0;
    unsigned char *resident = malloc(pages);
    assert_non_null(resident);
    assert_int_equal(mincore(table->now.slots, pages * PAGE, resident), 0);
    for (size_t i = 0; i < pages; i++) {
        count += resident[i] & 1;
    }
    free(resident);
    return count;
}

/* A fresh large array costs an insert no more than the pages that it touches: neither is it
 * zeroed at once, nor does a touch bring two megabytes. */
static void test_table_growth_touches_no_more_than_it_moves(void **state)
{
    enum { COUNT = 800000 };
    struct drv_table table;
    size_t grown = 0;
    drv_table_init(&table, 1, has_key);
    struct item *items = make_items(&table, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        size_t old_bits = table.now.bits;
        toggle(&table, &items[i]);
        if (table.now.bits > 18 && table.now.bits != old_bits) {
            assert_in_range(resident_pages(&table), 0, DRV_TABLE_MOVE_SLOTS + 1);
            grown++;
        }
    }
    assert_int_equal(grown, 3);
    drv_table_fini(&table);
    free(items);
}

/* A table that was large gives its memory back when it empties. */
static void test_table_shrinks_when_it_empties(void **state)
{
    struct drv_table table;
    drv_table_init(&table, 2, has_key);
    struct item *items = make_items(&table, 20000);
    for (size_t i = 0; i < 20000; i++) {
        toggle(&table, &items[i]);
    }
    size_t peak = slots_of(&table);
    for (size_t i = 0; i < 20000; i++) {
        toggle(&table, &items[i]);
    }
    assert_int_equal(drv_table_count(&table), 0);
    assert_true(slots_of(&table) <= DRV_TABLE_KEPT_SLOTS && peak > 16384);
    drv_table_fini(&table);
    free(items);
}

/* A table large enough to give pages back while it moves still holds everything. */
static void test_table_large_growth_loses_nothing(void **state)
{
    const size_t count = 100000; /* arrays of several stretches that are released one by one */
    struct drv_table table;
    drv_table_init(&table, 4, has_key);
    struct item *items = make_items(&table, count);
    for (size_t i = 0; i < count; i++) {
        toggle(&table, &items[i]);
        if (table.from.slots != NULL && i % 1024 == 0) {
            assert_same(&table, items, i + 1);
        }
    }
    assert_same(&table, items, count);
    drv_table_fini(&table);
    free(items);
}

/* A walk sees everything once, at whatever moment of a growth it happens. */
static void test_table_walk_sees_every_entry_once(void **state)
{
    struct drv_table table;
    drv_table_init(&table, 3, has_key);
    struct item *items = make_items(&table, 600);
    for (size_t i = 0; i < 600; i++) {
        toggle(&table, &items[i]);
        struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
        size_t count = 0;
        for (struct item *item; (item = drv_table_next(&table, &cursor)) != NULL; count++) {
            assert_int_equal(item->seen++, 0);
        }
        assert_int_equal(count, i + 1);
        for (size_t k = 0; k <= i; k++) {
            items[k].seen = 0;
        }
    }
    drv_table_fini(&table);
    free(items);
}

/* Between the steps of a walk anything may be inserted and removed: what was there throughout
 * is seen exactly once, nothing is seen twice, even if it goes and comes back. */
static void test_table_walk_survives_changes_between_steps(void **state)
{
    struct drv_rng rng;
    struct drv_table table;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 30; round++) {
        drv_table_init(&table, drv_rng_next(&rng), has_key);
        struct item *items = make_items(&table, ITEMS);
        for (size_t i = 0; i < ITEMS; i++) {
            if (round % 3 == 0) {
                items[i].hash &= UINT64_C(0xf00000000000000f); /* many ties */
            }
            if (drv_rng_below(&rng, 2) == 0) {
                toggle(&table, &items[i]);
            }
            items[i].was_in_throughout = items[i].is_in;
        }
        struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
        size_t removals = (size_t)round % 5 * 2;
        for (struct item *item; (item = drv_table_next(&table, &cursor)) != NULL;) {
            assert_int_equal(item->seen++, 0);
            for (size_t k = 0; k < 6; k++) {
                struct item *other = &items[drv_rng_below(&rng, ITEMS)];
                if (!other->is_in || k < removals) {
                    other->was_in_throughout = false;
                    toggle(&table, other);
                }
            }
            if (item->is_in && drv_rng_below(&rng, 4) == 0) {
                drv_table_remove_entry(&table, item->hash, item); /* the current one */
                item->is_in = false;
            }
        }
        for (size_t i = 0; i < ITEMS; i++) {
            assert_true(!items[i].was_in_throughout || items[i].seen == 1);
        }
        drv_table_fini(&table);
        free(items);
    }
}

static size_t longest_run(const struct drv_table_array *array)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; array->slots != NULL && i < (size_t)1 << array->bits; i++) {
        run = array->slots[i].entry == NULL ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* What removes all that it walks over does not crowd the rest together when the table shrinks:
 * the work of each removal is the length of a run of slots. */
static void test_table_walk_that_removes_leaves_no_crowd(void **state)
{
    enum { COUNT = 1 << 17 };
    struct drv_table table;
    drv_table_init(&table, 5, has_key);
    struct item *items = make_items(&table, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        toggle(&table, &items[i]);
    }
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    size_t left = COUNT;
    for (struct item *item; (item = drv_table_next(&table, &cursor)) != NULL; left--) {
        drv_table_remove_entry(&table, item->hash, item);
        if (left % 1024 == 0) {
            assert_true(longest_run(&table.now) < 256 + 8 * COUNT / left);
        }
    }
    assert_int_equal(left, 0);
    drv_table_fini(&table);
    free(items);
}

/* An entry may be removed by identity when its key is not unique. */
static void test_table_remove_entry_takes_that_very_entry(void **state)
{
    struct drv_table table;
    struct item twins[2] = {{.key = 1, .hash = 5}, {.key = 1, .hash = 5}};
    drv_table_init(&table, 0, has_key);
    assert_ok(drv_table_insert(&table, 5, &twins[0]));
    assert_ok(drv_table_insert(&table, 5, &twins[1]));
    drv_table_remove_entry(&table, 5, &twins[0]);
    assert_ptr_equal(drv_table_find(&table, 5, &twins[1].key), &twins[1]);
    assert_int_equal(drv_table_count(&table), 1);
    drv_table_fini(&table);
}

/* An empty table finds, removes and walks nothing; a hash depends on the seed. */
static void test_table_empty_and_seed(void **state)
{
    struct drv_table a;
    struct drv_table b;
    uint64_t key = 7;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    drv_table_init(&a, 1, has_key);
    drv_table_init(&b, 2, has_key);
    assert_null(drv_table_find(&a, 1, &key));
    assert_null(drv_table_remove(&a, 1, &key));
    assert_null(drv_table_next(&a, &cursor));
    assert_true(drv_table_hash(&a, &key, sizeof key) != drv_table_hash(&b, &key, sizeof key));
    drv_table_fini(&a);
    drv_table_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_random_operations_match_a_model),
        cmocka_unit_test(test_table_colliding_hashes_stay_correct),
        cmocka_unit_test(test_table_growth_is_spread_over_operations),
        cmocka_unit_test(test_table_growth_touches_no_more_than_it_moves),
        cmocka_unit_test(test_table_shrinks_when_it_empties),
        cmocka_unit_test(test_table_large_growth_loses_nothing),
        cmocka_unit_test(test_table_walk_sees_every_entry_once),
        cmocka_unit_test(test_table_walk_survives_changes_between_steps),
        cmocka_unit_test(test_table_walk_that_removes_leaves_no_crowd),
        cmocka_unit_test(test_table_remove_entry_takes_that_very_entry),
        cmocka_unit_test(test_table_empty_and_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
