/*
 * Arrays: who is told of their elements, and what is forgotten.
 */
#include "array_story.h"

/* One element can be watched alone, also by another client. */
static void test_watch_on_one_element(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[4];
    setup_peers(bench, 3);
    client(bench, 4);
    array_of(bench, 1, &spec, 100, 3);
    struct drv_target target = {.id = id_of(100), .index = 1};
    struct drv_message message = request(bench, 4, DRV_WATCH);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 4, &message);
    bench_turn(bench);
    expect_ok(bench, 4);
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    for (uint32_t i = 0; i < 3; i++) {
        report_done(bench, 2, refs[i], "done");
    }
    bench_turn(bench);
    assert_int_equal(result(bench, 4)->index, 1);
    expect_none(bench, 4, DRV_RESULTS);
    expect_none(bench, 1, DRV_RESULTS);
}

/* With `release`, results go as the client settles them, and the array with the last. */
static void test_release_forgets_what_was_settled(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    spec.flags |= DRV_SPEC_RELEASE;
    setup_peers(bench, 2);
    bench_turn(bench);
    array_of(bench, 1, &spec, 100, 2);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_done(bench, 2, refs[0], "done");
    report_done(bench, 2, refs[1], "done");
    bench_turn(bench);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).succeeded, 2);
}

/* An array that has failed stays, as failed tasks do: what failed in it can be done again. */
static void test_release_keeps_an_array_that_has_failed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    spec.flags |= DRV_SPEC_RELEASE;
    setup_peers(bench, 2);
    bench_turn(bench);
    array_of(bench, 1, &spec, 100, 2);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_done(bench, 2, refs[0], "done");
    report_failed(bench, 2, refs[1], 0);
    bench_turn(bench);
    struct drv_target target = {
        .id = id_of(100), .index = DROVER_INDEX_NONE, .new_id = id_of(200)};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_ref again = leased(bench, 2);
    assert_int_equal(number_of(again.id), 200);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* A large array is forgotten in slices; its memory comes back. */
static void test_forgetting_large_array_gives_memory_back(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 20 * ARRAY_ITEMS_MAX;
    client(bench, 1);
    bench_turn(bench);
    uint64_t before = core_memory_bytes(bench->core);
    array_of(bench, 1, &spec, 100, count);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).cancelled, count);
    uint64_t full = core_memory_bytes(bench->core);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_tick(bench);
    assert_true(bench->wants <= bench->now); /* more is to be done */
    assert_true(core_memory_bytes(bench->core) > full - (full - before) / 2);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.request.floor = message.request.req; /* releases the replies */
    struct drv_target target = {.id = id_of(100), .index = DROVER_INDEX_NONE};
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    assert_true(core_memory_bytes(bench->core) < before + 4096);
}

/* A connection that comes back finds what was not settled, each element once. */
static void test_unsettled_elements_come_again_after_reconnect(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    setup_peers(bench, 3);
    array_of(bench, 1, &spec, 100, 3);
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    report_done(bench, 2, refs[1], "one");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 1);
    bench->boxes[1].holds_tokens = true;
    report_done(bench, 2, refs[0], "zero");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 1);
    gone(bench, 1);
    report_done(bench, 2, refs[2], "two");
    bench_turn(bench);
    hello_client(bench, 5, 9001, true);
    (void)welcomed(bench, 5);
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 5, ends, 8), 3);
    assert_int_equal(ends[0].index, 0);
    assert_int_equal(ends[1].index, 2);
    assert_int_equal(ends[2].index, DROVER_INDEX_NONE);
}

/* Who stops watching and begins again gets everything again, whatever was in flight before. */
static void test_new_watch_on_array_begins_at_its_beginning(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    setup_peers(bench, 3);
    array_of(bench, 1, &spec, 100, 3);
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    bench->boxes[1].holds_tokens = true;
    report_done(bench, 2, refs[0], "zero");
    report_done(bench, 2, refs[1], "one");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 2);
    targets_request(bench, 1, DRV_UNWATCH, 100, DROVER_INDEX_NONE);
    targets_request(bench, 1, DRV_WATCH, 100, DROVER_INDEX_NONE);
    bench_settle(bench, 1);
    bench->boxes[1].holds_tokens = false;
    report_done(bench, 2, refs[2], "two");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 4);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(ends[i].index, i);
    }
    assert_int_equal(ends[3].index, DROVER_INDEX_NONE);
}

/* What was dropped while the message before it was full does not stop the rest. */
static void test_dropped_elements_do_not_stop_a_watch(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    setup_peers(bench, 4);
    array_of(bench, 1, &spec, 100, 4);
    assert_int_equal(leases(bench, 2, refs, 4), 4);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {.items = 1, .bytes = 1 << 20}};
    speak(bench, 1, &credit);
    bench->boxes[1].holds_tokens = true;
    for (uint32_t i = 0; i < 4; i++) {
        report_done(bench, 2, refs[i], "done");
    }
    targets_request(bench, 1, DRV_FORGET, 100, 1);
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 1); /* that is all its credit */
    targets_request(bench, 1, DRV_FORGET, 100, 2);
    bench->boxes[1].holds_tokens = false;
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 2);
    assert_int_equal(ends[0].index, 3);
    assert_int_equal(ends[1].index, DROVER_INDEX_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_watch_on_one_element),
        BENCH_TEST(test_release_forgets_what_was_settled),
        BENCH_TEST(test_release_keeps_an_array_that_has_failed),
        BENCH_TEST(test_forgetting_large_array_gives_memory_back),
        BENCH_TEST(test_unsettled_elements_come_again_after_reconnect),
        BENCH_TEST(test_new_watch_on_array_begins_at_its_beginning),
        BENCH_TEST(test_dropped_elements_do_not_stop_a_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
