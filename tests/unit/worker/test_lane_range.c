/*
 * lane_range.h: claims and results of a range between an executor and an agent; the first may
 * be hostile. Both ends are here.
 */
#include "lane_range.h"

#include "data.h"
#include "test.h"

#include <pthread.h>

enum { SERIAL = 77, COUNT = 10 };

static int open_range(void **state)
{
    struct lane_range *range = aligned_alloc(64, sizeof(*range));
    assert_non_null(range);
    memset(range, 0, sizeof(*range));
    *state = range;
    return 0;
}

static int close_range(void **state)
{
    free(*state);
    return 0;
}

static void run(struct lane_range_writer *writer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left;
        char value = (char)('0' + writer->done);
        assert_true(lane_range_claim(writer, &left));
        assert_true(lane_range_put(writer, drv_view_of(&value, 1), writer->done == 1));
    }
}

/* What was claimed runs, the rest can be taken back, and no element is both. */
static void test_lane_range_cut_takes_what_was_not_claimed(void **state)
{
    struct lane_range *range = *state;
    struct lane_range_writer writer;
    struct lane_range_place place;
    uint32_t kept;
    uint32_t left;
    assert_int_equal(lane_range_look(range, SERIAL, COUNT, &place), DROVER_NOT_READY);
    assert_int_equal(lane_range_cut(range, SERIAL, COUNT, 0, &kept), DROVER_NOT_READY);
    lane_range_begin(range, SERIAL, COUNT, &writer);
    run(&writer, 3);
    assert_true(lane_range_claim(&writer, &left));
    assert_int_equal(left, 6);
    assert_ok(lane_range_look(range, SERIAL, COUNT, &place));
    assert_int_equal(place.done, 3);
    assert_int_equal(place.next, 4);
    assert_int_equal(place.limit, COUNT);
    assert_ok(lane_range_cut(range, SERIAL, COUNT, 7, &kept));
    assert_int_equal(kept, 7);
    assert_ok(lane_range_cut(range, SERIAL, 7, 9, &kept)); /* nothing grows again */
    assert_int_equal(kept, 7);
    assert_ok(lane_range_cut(range, SERIAL, 7, 0, &kept));
    assert_int_equal(kept, 4);
    assert_false(lane_range_claim(&writer, &left));
    lane_range_begin(range, SERIAL + 1, COUNT, &writer);
    assert_int_equal(lane_range_look(range, SERIAL, 4, &place), DROVER_NOT_READY);
}

/* Results are read from any element on, and are those that were put. */
static void test_lane_range_results_can_be_read_meanwhile(void **state)
{
    struct lane_range *range = *state;
    struct lane_range_writer writer;
    struct lane_range_results results;
    lane_range_begin(range, SERIAL, COUNT, &writer);
    run(&writer, 4);
    assert_ok(lane_range_read(range, SERIAL, 1, 4, &results));
    assert_int_equal(results.lengths.len, 3);
    assert_memory_equal(results.lengths.bytes, "\0\2\2", 3);
    assert_int_equal(results.bytes.len, 2);
    drv_data_unref(&results.data);
    assert_int_equal(lane_range_read(range, SERIAL, 0, 5, &results), DROVER_NOT_READY);
    assert_int_equal(lane_range_read(range, SERIAL + 1, 0, 1, &results), DROVER_NOT_READY);
    assert_ok(lane_range_read(range, SERIAL, 4, 4, &results));
    assert_int_equal(results.lengths.len + results.bytes.len, 0);
    drv_data_unref(&results.data);
}

/* There is room for so much; what does not fit is refused and nothing is lost. */
static void test_lane_range_room_is_bounded(void **state)
{
    static const uint8_t bytes[LANE_RANGE_BYTES + 1];
    struct lane_range *range = *state;
    struct lane_range_writer writer;
    lane_range_begin(range, SERIAL, LANE_RANGE_MAX, &writer);
    assert_false(lane_range_put(&writer, drv_view_of(bytes, LANE_RANGE_BYTES + 1), false));
    assert_true(lane_range_put(&writer, drv_view_of(bytes, LANE_RANGE_BYTES), false));
    assert_false(lane_range_put(&writer, drv_view_of(bytes, 1), false));
    for (uint32_t i = 1; i < LANE_RANGE_MAX; i++) {
        assert_true(lane_range_put(&writer, drv_view_of(NULL, 0), true));
    }
    assert_false(lane_range_put(&writer, drv_view_of(NULL, 0), true));
    assert_true(writer.lengths_len <= LANE_RANGE_LENGTHS);
}

/* An executor that says what cannot be is found out, whatever it says. */
static void test_lane_range_hostile_words_are_refused(void **state)
{
    static const uint64_t words[] = {
        (uint64_t)SERIAL << 32 | 10 << 16 | 11, /* ran more than there are */
        (uint64_t)SERIAL << 32 | 3 << 16 | 4,   /* more than it may */
        (uint64_t)SERIAL << 32 | 1 << 16,       /* fewer than have ended */
        (uint64_t)SERIAL << 32 | UINT64_C(0xffff) << 16 | 5,
    };
    struct lane_range *range = *state;
    struct lane_range_writer writer;
    struct lane_range_place place;
    struct lane_range_results results;
    uint32_t kept;
    lane_range_begin(range, SERIAL, COUNT, &writer);
    run(&writer, 2);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        atomic_store(&range->word, words[i]);
        assert_int_equal(lane_range_look(range, SERIAL, COUNT, &place), DROVER_MALFORMED);
    }
    assert_int_equal(lane_range_cut(range, SERIAL, COUNT, 0, &kept), DROVER_MALFORMED);
    memset(range->lengths, 0xff, sizeof(range->lengths));
    assert_int_equal(lane_range_read(range, SERIAL, 0, 2, &results), DROVER_MALFORMED);
    memset(range->lengths, 0x7f, sizeof(range->lengths)); /* longer than all there is, in sum */
    atomic_store(&range->done, (uint64_t)SERIAL << 32 | 1024);
    assert_int_equal(lane_range_read(range, SERIAL, 0, 1024, &results), DROVER_MALFORMED);
    assert_int_equal(
        lane_range_pick(drv_view_of("\2\2", 2), drv_view_of("ab", 2), 0, 3, &results),
        DROVER_MALFORMED);
    assert_int_equal(
        lane_range_pick(drv_view_of("\2\2", 2), drv_view_of("abc", 3), 0, 2, &results),
        DROVER_MALFORMED);
    assert_int_equal(
        lane_range_pick(drv_view_of("\2\2", 2), drv_view_of("ab", 2), 2, 1, &results),
        DROVER_MALFORMED);
    assert_ok(lane_range_pick(drv_view_of("\2\2", 2), drv_view_of("ab", 2), 1, 2, &results));
    assert_memory_equal(results.bytes.bytes, "b", 1);
    drv_data_unref(&results.data);
}

struct race {
    struct lane_range *range;
    uint32_t ran;
};

static void *claim_all(void *argument)
{
    struct race *race = argument;
    struct lane_range_writer writer = {.range = race->range, .serial = SERIAL};
    uint32_t left;
    while (lane_range_claim(&writer, &left)) {
        race->ran++;
    }
    return NULL;
}

/* However both hurry: what was run and what was taken back are all, and nothing twice. */
static void test_lane_range_claims_and_cuts_race(void **state)
{
    struct lane_range *range = *state;
    struct lane_range_writer writer;
    for (int i = 0; i < 200; i++) {
        struct race race = {.range = range};
        pthread_t thread;
        uint32_t kept = LANE_RANGE_MAX;
        lane_range_begin(range, SERIAL, LANE_RANGE_MAX, &writer);
        assert_int_equal(pthread_create(&thread, NULL, claim_all, &race), 0);
        for (uint32_t keep = LANE_RANGE_MAX; keep > 0; keep /= 2) {
            uint32_t now = kept;
            if (lane_range_cut(range, SERIAL, kept, keep, &now) == DROVER_OK) {
                kept = now;
            }
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(race.ran, kept);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_lane_range_cut_takes_what_was_not_claimed, open_range,
                                    close_range),
    cmocka_unit_test_setup_teardown(test_lane_range_results_can_be_read_meanwhile, open_range,
                                    close_range),
    cmocka_unit_test_setup_teardown(test_lane_range_room_is_bounded, open_range, close_range),
    cmocka_unit_test_setup_teardown(test_lane_range_hostile_words_are_refused, open_range,
                                    close_range),
    cmocka_unit_test_setup_teardown(test_lane_range_claims_and_cuts_race, open_range,
                                    close_range),
};

TEST_MAIN(tests)
