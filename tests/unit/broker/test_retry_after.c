/*
 * Retry of what was submitted with parents: the new task waits for the same ones, reads their
 * results, and follows those that were retried themselves.
 */
#include "after_story.h"

static void retry_by(struct bench *bench, uint32_t peer, uint32_t number, uint32_t index,
                     uint32_t new_number, uint32_t flags)
{
    struct drv_target target = {
        .id = id_of(number), .index = index, .new_id = id_of(new_number), .flags = flags};
    struct drv_message message = request(bench, peer, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static void retry_with(struct bench *bench, uint32_t number, uint32_t index,
                       uint32_t new_number, uint32_t flags)
{
    retry_by(bench, 1, number, index, new_number, flags);
}

static void retry_as(struct bench *bench, uint32_t number, uint32_t new_number)
{
    retry_with(bench, number, DROVER_INDEX_NONE, new_number, 0);
    expect_ok(bench, 1);
}

/* The next lease fails. */
static void fail_next(struct bench *bench)
{
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
}

/* 100 and 101 have succeeded; 200, which waited for both, has failed by itself. */
static void child_fails(struct bench *bench)
{
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    struct drv_after after[] = {after_of(101, DROVER_INDEX_NONE, 2),
                                after_of(100, DROVER_INDEX_NONE, 1)};
    submit_after(bench, 1, 200, after, 2);
    done(bench, 2, leased(bench, 2));
    done(bench, 2, leased(bench, 2));
    fail_next(bench);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    drop_all(bench, 1);
}

/* Lease of `number` with the parents 101 and 100, in the order of the submit. */
static void expect_both_parents(const struct drv_lease_entry *entry, uint32_t number)
{
    assert_int_equal(number_of(entry->ref.id), number);
    assert_int_equal(entry->parent_count, 2);
    assert_int_equal(number_of(entry->parents[0].id), 101);
    assert_int_equal(entry->parents[0].when, 2);
    assert_int_equal(number_of(entry->parents[1].id), 100);
    assert_int_equal(entry->parents[1].when, 1);
}

/* However often, and of the retry of a retry. */
static void test_child_that_failed_keeps_its_parents(void **state)
{
    struct bench *bench = *state;
    child_fails(bench);
    for (uint32_t number = 200; number < 203; number++) {
        expect_restorable(bench);
        retry_as(bench, number, number + 1);
        const struct drv_lease_entry *entry = lease_entry(bench, 2);
        expect_both_parents(entry, number + 1);
        report_failed(bench, 2, entry->ref, 0);
        bench_turn(bench);
    }
    retry_with(bench, 203, DROVER_INDEX_NONE, 204, DRV_RETRY_ALONE);
    expect_ok(bench, 1);
    assert_int_equal(lease_entry(bench, 2)->parent_count, 0);
}

/* What ended names nobody: its parents can go, and are missed by name. */
static void test_parents_of_what_has_ended_are_not_held(void **state)
{
    struct bench *bench = *state;
    child_fails(bench);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_state(bench, 1, 100, 0);
    retry_with(bench, 200, DROVER_INDEX_NONE, 201, 0);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
    assert_int_equal(counters(bench).submitted, 3);
    retry_with(bench, 200, DROVER_INDEX_NONE, 201, DRV_RETRY_ALONE);
    expect_ok(bench, 1);
}

static void test_parents_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    child_fails(bench);
    reborn(bench);
    expect_restorable(bench);
    client(bench, 4);
    bench_pass(bench, 20 * SECOND);
    worker(bench, 3, "work", 1);
    drop_all(bench, 4);
    retry_by(bench, 4, 200, DROVER_INDEX_NONE, 201, 0);
    expect_ok(bench, 4);
    expect_both_parents(lease_entry(bench, 3), 201);
}

/* What failed for want of a parent waits for the retry of that; without one it is refused. */
static void test_retried_parent_stands_for_the_first(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    submit_child(bench, 1, 200, 100);
    submit_child(bench, 1, 300, 200);
    fail_next(bench);
    expect_state(bench, 1, 300, DROVER_STATE_FAILED);
    drop_all(bench, 1);
    retry_with(bench, 200, DROVER_INDEX_NONE, 201, 0);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
    expect_restorable(bench);
    retry_as(bench, 100, 101);
    fail_next(bench);
    retry_as(bench, 101, 102); /* of the retry */
    retry_as(bench, 200, 201);
    retry_as(bench, 300, 301);
    expect_state(bench, 1, 201, DROVER_STATE_WAITING);
    expect_state(bench, 1, 301, DROVER_STATE_WAITING);
    expect_restorable(bench);
    done(bench, 2, leased(bench, 2));
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 201);
    assert_int_equal(number_of(entry->parents[0].id), 102);
    done(bench, 2, entry->ref);
    entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 301);
    assert_int_equal(number_of(entry->parents[0].id), 201);
}

/* An array of three whose element 1 fails; 200 waits for all of it, 201 for that element. */
static void array_fails_in_part(struct bench *bench)
{
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[3];
    setup_peers(bench, 3);
    array_of(bench, 1, &spec, 100, 3);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 3), 3);
    submit_child(bench, 1, 200, 100);
    struct drv_after after = after_of(100, 1, 1);
    submit_after(bench, 1, 201, &after, 1);
    done(bench, 2, refs[0]);
    report_failed(bench, 2, refs[1], 0);
    done(bench, 2, refs[2]);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    expect_state(bench, 1, 201, DROVER_STATE_FAILED);
    drop_all(bench, 1);
}

/* Elements have other numbers in a retry of some of them, so nothing can read them there. */
static void test_array_retried_in_part_stands_for_nothing(void **state)
{
    struct bench *bench = *state;
    array_fails_in_part(bench);
    retry_as(bench, 100, 101);
    done(bench, 2, leased(bench, 2));
    retry_with(bench, 200, DROVER_INDEX_NONE, 300, 0);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
    retry_with(bench, 201, DROVER_INDEX_NONE, 301, 0);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
}

/* One that was retried by itself does. */
static void test_retried_element_stands_for_the_first(void **state)
{
    struct bench *bench = *state;
    array_fails_in_part(bench);
    retry_with(bench, 100, 1, 101, 0);
    expect_ok(bench, 1);
    done(bench, 2, leased(bench, 2));
    retry_as(bench, 201, 301);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 301);
    assert_int_equal(number_of(entry->parents[0].id), 101);
    assert_int_equal(entry->parents[0].index, DROVER_INDEX_NONE);
}

/* The elements of an array that waited wait again, one retried and the rest of them. */
static void test_elements_keep_the_parents_of_their_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[2];
    setup_peers(bench, 2);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    done(bench, 2, leased(bench, 2));
    struct drv_after after = after_of(100, DROVER_INDEX_NONE, 1);
    spec.after = &after;
    spec.after_count = 1;
    array_of(bench, 1, &spec, 200, 2);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_failed(bench, 2, refs[0], 0);
    bench_turn(bench);
    drop_all(bench, 1);
    retry_with(bench, 200, 0, 201, 0); /* while the other one runs */
    expect_ok(bench, 1);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->parents[0].id), 100);
    done(bench, 2, entry->ref);
    report_failed(bench, 2, refs[1], 0);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    drop_all(bench, 1);
    expect_restorable(bench);
    retry_as(bench, 200, 202);
    entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 202);
    assert_int_equal(entry->parent_count, 1);
    assert_int_equal(number_of(entry->parents[0].id), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_child_that_failed_keeps_its_parents),
        DURABLE_TEST(test_parents_of_what_has_ended_are_not_held),
        DURABLE_TEST(test_parents_survive_a_restart),
        DURABLE_TEST(test_retried_parent_stands_for_the_first),
        DURABLE_TEST(test_array_retried_in_part_stands_for_nothing),
        DURABLE_TEST(test_retried_element_stands_for_the_first),
        DURABLE_TEST(test_elements_keep_the_parents_of_their_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
