/*
 * Retry: a new task does again what an ended one did not do.
 */
#include "check.h"
#include "restore_story.h"

/* Asks for a retry of a task, an element or an array as `new_number`. */
static void retry_by(struct bench *bench, uint32_t peer, uint32_t number, uint32_t index,
                     uint32_t new_number)
{
    struct drv_target target = {
        .id = id_of(number), .index = index, .new_id = id_of(new_number)};
    struct drv_message message = request(bench, peer, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static void retry(struct bench *bench, uint32_t number, uint32_t index, uint32_t new_number)
{
    retry_by(bench, 1, number, index, new_number);
}

static void watch(struct bench *bench, uint32_t number)
{
    targets_request(bench, 1, DRV_WATCH, number, DROVER_INDEX_NONE);
    bench_turn(bench);
}

/* A task that has failed. */
static void fail_task(struct bench *bench, const struct drv_spec *spec, uint32_t number)
{
    submit_many(bench, 1, spec, number, 1, "question");
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
    drop_all(bench, 1);
}

/* An array of `count` elements in which the odd ones have failed. */
static void fail_odd(struct bench *bench, uint32_t number, uint32_t count, struct drv_val with)
{
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[16];
    struct drv_val vals[16];
    static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    assert_true(count <= DRV_ARRAY_LEN(texts));
    for (uint32_t i = 0; i < count; i++) {
        vals[i] = val_of(texts[i]);
    }
    array_open_with(bench, 1, &spec, number, with);
    array_vals(bench, 1, number, 0, vals, count);
    array_seal_as(bench, 1, number, count);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 16), count);
    for (uint32_t i = 0; i < count; i++) {
        if (i % 2 == 1) {
            report_failed(bench, 2, refs[i], 0);
        } else {
            report_done(bench, 2, refs[i], "done");
        }
    }
    bench_turn(bench);
    drop_all(bench, 1);
    drop_all(bench, 2);
}

/* The new task has the payload and the options of the old one, which stays as it ended. */
static void test_failed_task_runs_again_as_new_task(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.timeout_ms = 1234;
    spec.queue = text("side");
    setup_peers(bench, 1);
    fail_task(bench, &spec, 100);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    watch(bench, 200);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_int_equal(group->timeout_ms, 1234);
    assert_true(str_is(group->queue, "side"));
    assert_true(val_is(&group->entries[0].val, "question"));
    assert_int_equal(number_of(group->entries[0].ref.id), 200);
    assert_int_equal(group->entries[0].ref.attempt, 1);
    report_done(bench, 2, group->entries[0].ref, "answer");
    bench_turn(bench);
    const struct drv_outcome *end = result(bench, 1);
    assert_int_equal(number_of(end->id), 200);
    assert_int_equal(end->state, DROVER_STATE_SUCCEEDED);
    assert_int_equal(counters(bench).failed, 1);
    assert_int_equal(counters(bench).submitted, 2);
}

static void test_retry_is_refused_while_it_makes_no_sense(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_NOT_READY);
    report_done(bench, 2, leased(bench, 2), "done");
    bench_turn(bench);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    retry(bench, 100, 3, 200);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).submitted, 1);
}

/* Asking again for the same retry is fine; the new id must not mean something else. */
static void test_retry_again_is_same_task(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    fail_task(bench, &spec, 100);
    fail_task(bench, &spec, 101);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).submitted, 3);
    retry(bench, 101, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    retry(bench, 101, DROVER_INDEX_NONE, 100);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    assert_int_equal(counters(bench).submitted, 3);
}

/* Cancelled and expired tasks can be tried again, too. */
static void test_cancelled_task_can_be_retried(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("nobody");
    spec.expire_ms = 1000;
    setup_peers(bench, 1);
    submit_many(bench, 1, &spec, 100, 2, "payload");
    bench_turn(bench);
    cancel(bench, 1, 100);
    bench_pass(bench, 2 * SECOND);
    drop_all(bench, 1);
    assert_int_equal(counters(bench).expired, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    retry(bench, 101, DROVER_INDEX_NONE, 201);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).queued, 2);
}

/* A full queue refuses a retry as it would refuse a submit. */
static void test_retry_into_full_queue_is_busy(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    bench->config.queue_count_max = 1;
    core_destroy(&bench->core);
    bench_start(bench);
    setup_peers(bench, 1);
    fail_task(bench, &spec, 100);
    struct drv_spec other = spec_of("nobody");
    submit(bench, 1, &other, 101);
    bench_turn(bench);
    drop_all(bench, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_BUSY);
}

/* --- arrays ------------------------------------------------------------------------------ */

/* The new array has what did not succeed, in order, from 0, and is sealed. */
static void test_retry_of_array_takes_what_did_not_succeed(void **state)
{
    struct bench *bench = *state;
    struct drv_outcome ends[8];
    setup_peers(bench, 8);
    fail_odd(bench, 100, 7, val_nil());
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    watch(bench, 200);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_int_equal(group->entry_count, 3);
    assert_true(val_is(&group->entries[0].val, "b"));
    assert_true(val_is(&group->entries[1].val, "d"));
    assert_true(val_is(&group->entries[2].val, "f"));
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(group->entries[i].ref.index, i);
        assert_int_equal(number_of(group->entries[i].ref.id), 200);
    }
    for (uint32_t i = 0; i < 3; i++) {
        report_done(bench, 2, group->entries[i].ref, "done");
    }
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 4);
    assert_int_equal(ends[3].index, DROVER_INDEX_NONE);
    assert_int_equal(ends[3].state, DROVER_STATE_SUCCEEDED);
}

/* The value that the elements share goes with them. */
static void test_retry_of_array_keeps_shared_value(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 8);
    fail_odd(bench, 100, 4, val_of("shared"));
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_ok(bench, 1);
    const struct drv_message *message = expect(bench, 2, DRV_SHARED);
    assert_int_equal(number_of(message->shared.id), 200);
    assert_true(val_is(&message->shared.val, "shared"));
}

/* One element becomes what needs its payload only, while its array may still be running. */
static void test_retry_of_element(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[4];
    setup_peers(bench, 2);
    array_of(bench, 1, &spec, 100, 2);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_failed(bench, 2, refs[1], 0);
    bench_turn(bench);
    retry(bench, 100, 0, 200);
    expect_note(bench, 1, 0, DROVER_NOT_READY);
    retry(bench, 100, DROVER_INDEX_NONE, 200);
    expect_note(bench, 1, 0, DROVER_NOT_READY);
    retry(bench, 100, 1, 200);
    expect_ok(bench, 1);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_entry *entry = &message->lease.groups[0].entries[0];
    assert_int_equal(number_of(entry->ref.id), 200);
    assert_true(val_is(&entry->val, "item"));
}

/* An element that shares a value with others has it when it is retried alone, too. */
static void test_retry_of_element_keeps_shared_value(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 8);
    fail_odd(bench, 100, 4, val_of("shared"));
    retry(bench, 100, 3, 200);
    expect_ok(bench, 1);
    const struct drv_message *message = expect(bench, 2, DRV_SHARED);
    assert_int_equal(number_of(message->shared.id), 200);
    assert_true(val_is(&message->shared.val, "shared"));
    message = expect(bench, 2, DRV_LEASE);
    assert_int_equal(message->lease.groups[0].entry_count, 1);
    assert_true(val_is(&message->lease.groups[0].entries[0].val, "d"));
}

static void expect_elements(struct bench *bench, uint32_t number, const char *const *vals,
                            uint32_t count)
{
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_int_equal(message->lease.group_count, 1);
    assert_int_equal(group->entry_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(number_of(group->entries[i].ref.id), number);
        assert_true(val_is(&group->entries[i].val, vals[i]));
    }
}

/* What was retried by itself does not run once more with the rest of its array, also when the
 * broker was restarted meanwhile. */
static void test_retry_of_array_leaves_out_what_was_retried(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 16);
    fail_odd(bench, 100, 8, val_nil());
    retry(bench, 100, 3, 200);
    expect_ok(bench, 1);
    expect_elements(bench, 200, (const char *const[]){"d"}, 1);
    retry(bench, 100, 3, 201); /* once more, as it was said */
    expect_ok(bench, 1);
    expect_elements(bench, 201, (const char *const[]){"d"}, 1);
    expect_restorable(bench);
    reborn(bench);
    client(bench, 3);
    worker(bench, 2, "work", 16);
    bench_turn(bench);
    drop_all(bench, 2); /* 200 and 201 once more */
    retry_by(bench, 3, 100, DROVER_INDEX_NONE, 300);
    expect_ok(bench, 3);
    expect_elements(bench, 300, (const char *const[]){"b", "f", "h"}, 3);
    retry_by(bench, 3, 100, 5, 301);
    expect_ok(bench, 3);
    expect_restorable(bench); /* also which was before and which after that */
}

static void test_retry_of_array_without_anything_left_is_refused(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 8);
    fail_odd(bench, 100, 4, val_nil());
    retry(bench, 100, 1, 201);
    expect_ok(bench, 1);
    retry(bench, 100, 3, 203);
    expect_ok(bench, 1);
    retry(bench, 100, DROVER_INDEX_NONE, 300);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
}

/* A large array is copied in slices; the reply comes when it is complete. */
static void test_retry_of_large_array_goes_in_slices(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 20 * ARRAY_ITEMS_MAX;
    client(bench, 1);
    client(bench, 3);
    array_of(bench, 1, &spec, 100, count);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_target target = {
        .id = id_of(100), .index = DROVER_INDEX_NONE, .new_id = id_of(200)};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_tick(bench);
    expect_none(bench, 1, DRV_REPLY);
    assert_true(bench->wants <= bench->now);
    assert_true(counters(bench).queued < count);
    targets_request(bench, 3, DRV_RETRY, 100, 0); /* it may be among those that are copied */
    bench_tick(bench);
    expect_note(bench, 3, 0, DROVER_BUSY);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).queued, count);
    assert_int_equal(counters(bench).cancelled, count);
}

/* The old array goes while it is copied: what was copied is cancelled, and the reply says why.
 */
static void test_retry_of_array_that_is_forgotten_meanwhile(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 9 * ARRAY_ITEMS_MAX;
    client(bench, 1);
    client(bench, 3);
    array_of(bench, 1, &spec, 100, count);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_target target = {
        .id = id_of(100), .index = DROVER_INDEX_NONE, .new_id = id_of(200)};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_tick(bench);
    targets_request(bench, 3, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).queued, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_failed_task_runs_again_as_new_task),
        BENCH_TEST(test_retry_is_refused_while_it_makes_no_sense),
        BENCH_TEST(test_retry_again_is_same_task),
        BENCH_TEST(test_cancelled_task_can_be_retried),
        BENCH_TEST(test_retry_into_full_queue_is_busy),
        BENCH_TEST(test_retry_of_array_takes_what_did_not_succeed),
        BENCH_TEST(test_retry_of_array_keeps_shared_value),
        BENCH_TEST(test_retry_of_element),
        BENCH_TEST(test_retry_of_element_keeps_shared_value),
        DURABLE_TEST(test_retry_of_array_leaves_out_what_was_retried),
        BENCH_TEST(test_retry_of_array_without_anything_left_is_refused),
        BENCH_TEST(test_retry_of_large_array_goes_in_slices),
        BENCH_TEST(test_retry_of_array_that_is_forgotten_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
