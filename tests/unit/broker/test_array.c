/*
 * Arrays: elements come in any order and again, run before the seal, end with the array.
 */
#include "array_story.h"

/* --- coming in --------------------------------------------------------------------------- */

/* Results are pushed in the order in which elements end, and last the array itself. */
static void test_elements_run_before_seal_and_end_with_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    setup_peers(bench, 4);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 3);
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    report_done(bench, 2, refs[2], "two");
    report_done(bench, 2, refs[0], "zero");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 2);
    assert_int_equal(ends[0].index, 2);
    assert_int_equal(ends[1].index, 0);
    assert_true(val_is(&ends[1].val, "zero"));
    array_sealed(bench, 1, 100, 3);
    report_done(bench, 2, refs[1], "one");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 2);
    assert_int_equal(ends[0].index, 1);
    assert_int_equal(ends[1].index, DROVER_INDEX_NONE);
    assert_int_equal(ends[1].state, DROVER_STATE_SUCCEEDED);
    assert_int_equal(counters(bench).succeeded, 3);
    assert_int_equal(counters(bench).submitted, 3);
}

/* What came before and is the same is taken again; another value at the same index is not. */
static void test_items_again_are_taken_and_others_conflict(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 4);
    array_filled(bench, 1, 100, 2, 4);
    assert_int_equal(counters(bench).submitted, 6);
    const struct drv_val vals[] = {val_of("item"), val_of("else"), val_of("item")};
    array_vals(bench, 1, 100, 0, vals, 3);
    expect_note(bench, 1, 1, DROVER_CONFLICT);
    assert_int_equal(counters(bench).submitted, 6);
    array_sealed(bench, 1, 100, 6);
}

/* The same holds for what has succeeded, of which only a hash is kept. */
static void test_items_again_after_success_are_compared(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 1);
    report_done(bench, 2, leased(bench, 2), "done");
    bench_turn(bench);
    array_filled(bench, 1, 100, 0, 1);
    array_items(bench, 1, 100, 0, 1, "else");
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    assert_int_equal(counters(bench).submitted, 1);
}

/* Elements may come in any order; a seal that does not match what came is refused. */
static void test_seal_needs_all_elements(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 5000, 2);
    array_filled(bench, 1, 100, 1, 3);
    array_seal_as(bench, 1, 100, 5);
    expect_refused(bench, 1, DROVER_INVALID);
    array_opened(bench, 1, &spec, 101);
    array_filled(bench, 1, 101, 1, 2);
    array_filled(bench, 1, 101, 0, 1);
    array_seal_as(bench, 1, 101, 2);
    expect_refused(bench, 1, DROVER_INVALID);
    array_sealed(bench, 1, 101, 3);
    array_sealed(bench, 1, 101, 3);
    array_seal_as(bench, 1, 101, 4);
    expect_refused(bench, 1, DROVER_CONFLICT);
    array_items(bench, 1, 101, 3, 1, "item");
    expect_note(bench, 1, 0, DROVER_CONFLICT);
}

static void test_empty_array_succeeds_when_sealed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_seal_as(bench, 1, 100, 0);
    const struct drv_outcome *end = result(bench, 1);
    assert_int_equal(end->index, DROVER_INDEX_NONE);
    assert_int_equal(end->state, DROVER_STATE_SUCCEEDED);
}

/* Opening again with the same content joins; anything else under this id is a conflict. */
static void test_open_again_is_same_or_conflicts(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_open_with(bench, 1, &spec, 100, val_of("with"));
    expect_ok(bench, 1);
    array_open_with(bench, 1, &spec, 100, val_of("with"));
    expect_ok(bench, 1);
    array_open_with(bench, 1, &spec, 100, val_of("without"));
    expect_refused(bench, 1, DROVER_CONFLICT);
    spec.priority = 1;
    array_open_with(bench, 1, &spec, 100, val_of("with"));
    expect_refused(bench, 1, DROVER_CONFLICT);
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    expect_ok(bench, 1);
    array_open_with(bench, 1, &spec, 101, val_nil());
    expect_refused(bench, 1, DROVER_CONFLICT);
    assert_int_equal(counters(bench).submitted, 1);
}

static void test_messages_about_no_array_are_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_items(bench, 1, 100, 0, 1, "item");
    expect_refused(bench, 1, DROVER_UNKNOWN);
    array_seal_as(bench, 1, 100, 0);
    expect_refused(bench, 1, DROVER_UNKNOWN);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    array_items(bench, 1, 100, 0, 1, "item");
    expect_refused(bench, 1, DROVER_UNKNOWN);
    spec.flags = DRV_SPEC_STRICT;
    array_open_with(bench, 1, &spec, 101, val_nil());
    expect_refused(bench, 1, DROVER_REFUSED);
}

/* As many items as the queue has room for are taken; the rest is busy and may come again. */
static void test_full_queue_takes_front_of_message(void **state)
{
    struct bench *bench = *state;
    bench->config.queue_count_max = 5;
    core_destroy(&bench->core);
    bench_start(bench);
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_items(bench, 1, 100, 0, 8, "item");
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(answer->notes[i].position, 5 + i);
        assert_int_equal(answer->notes[i].code, DROVER_BUSY);
        assert_true(answer->notes[i].retry_after_ms > 0);
    }
    assert_int_equal(counters(bench).queued, 5);
    worker(bench, 2, "work", 8);
    struct drv_ref refs[8];
    assert_int_equal(leases(bench, 2, refs, 8), 5);
    for (uint32_t i = 0; i < 5; i++) {
        report_done(bench, 2, refs[i], "done");
    }
    bench_turn(bench);
    array_filled(bench, 1, 100, 5, 3);
    array_sealed(bench, 1, 100, 8);
}

/* --- values ------------------------------------------------------------------------------ */

static void expect_entry(const struct drv_lease_entry *entry, uint32_t index, const char *value)
{
    assert_int_equal(entry->ref.index, index);
    if (value == NULL) {
        assert_true(entry->val.is_nil);
    } else {
        assert_true(val_is(&entry->val, value));
    }
}

/* Nothing, an empty value and a content type arrive as they were given. */
static void test_values_reach_the_worker_as_given(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_val typed = val_of("plain");
    typed.content_type = text("text/plain");
    const struct drv_val vals[] = {val_of("first"), val_nil(), typed, val_of("")};
    setup_peers(bench, 4);
    array_opened(bench, 1, &spec, 100);
    array_vals(bench, 1, 100, 0, vals, 4);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    assert_int_equal(message->lease.group_count, 1);
    assert_int_equal(message->lease.groups[0].entry_count, 4);
    const struct drv_lease_entry *entries = message->lease.groups[0].entries;
    expect_entry(&entries[0], 0, "first");
    expect_entry(&entries[1], 1, NULL);
    expect_entry(&entries[2], 2, "plain");
    expect_entry(&entries[3], 3, "");
    assert_true(str_is(entries[2].val.content_type, "text/plain"));
    assert_null(entries[0].val.content_type.ptr);
}

/* A large value among small ones is kept by reference and given up like them. */
static void test_large_value_is_kept_by_reference(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    size_t len = DRV_INLINE_MAX + 1000;
    uint8_t *bytes = calloc(1, len);
    assert_non_null(bytes);
    const struct drv_val vals[] = {val_of("small"), {.bytes = bytes, .len = len}};
    setup_peers(bench, 2);
    uint64_t before = core_memory_bytes(bench->core);
    array_opened(bench, 1, &spec, 100);
    array_vals(bench, 1, 100, 0, vals, 2);
    expect_ok(bench, 1);
    assert_true(core_memory_bytes(bench->core) >= before + len);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_done(bench, 2, refs[1], "done");
    report_done(bench, 2, refs[0], "done");
    bench_turn(bench);
    assert_true(core_memory_bytes(bench->core) < before + len);
    array_vals(bench, 1, 100, 0, vals, 2); /* compared by their hashes */
    expect_ok(bench, 1);
    free(bytes);
}

/* The shared value goes once, before the first lease that needs it, and is dropped at the end.
 */
static void test_shared_value_goes_once_before_leases(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 2);
    array_open_with(bench, 1, &spec, 100, val_of("shared"));
    expect_ok(bench, 1);
    array_filled(bench, 1, 100, 0, 3);
    array_sealed(bench, 1, 100, 3);
    const struct drv_message *message = next(bench, 2);
    assert_int_equal(message->kind, DRV_SHARED);
    assert_true(val_is(&message->shared.val, "shared"));
    message = next(bench, 2);
    assert_int_equal(message->kind, DRV_LEASE);
    assert_true(message->lease.groups[0].flags & DRV_LEASE_SHARED);
    struct drv_ref first = message->lease.groups[0].entries[0].ref;
    struct drv_ref second = message->lease.groups[0].entries[1].ref;
    report_done(bench, 2, first, "done");
    bench_turn(bench);
    message = next(bench, 2);
    assert_int_equal(message->kind, DRV_LEASE);
    report_done(bench, 2, message->lease.groups[0].entries[0].ref, "done");
    report_done(bench, 2, second, "done");
    bench_turn(bench);
    message = expect(bench, 2, DRV_SHARED);
    assert_true(message->shared.val.is_nil);
}

/* --- attempts ---------------------------------------------------------------------------- */

/* What a worker gives back comes before what was never handed out, in the order of indexes. */
static void test_returned_elements_keep_their_place(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[8];
    setup_peers(bench, 3);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 6);
    assert_int_equal(leases(bench, 2, refs, 8), 3);
    gone(bench, 2);
    bench_pass(bench, 11 * SECOND);
    worker(bench, 3, "work", 6);
    bench_turn(bench);
    assert_int_equal(leases(bench, 3, refs, 8), 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(refs[i].index, i);
        assert_int_equal(refs[i].attempt, i < 3 ? 2 : 1);
    }
}

/* A failed element is tried again; when it may not be, the array fails with it. */
static void test_failed_element_is_retried_and_fails_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[4];
    spec.retries = 1;
    spec.backoff_ms = 100;
    setup_peers(bench, 2);
    array_of(bench, 1, &spec, 100, 2);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_done(bench, 2, refs[0], "done");
    report_failed(bench, 2, refs[1], 0);
    bench_turn(bench);
    assert_int_equal(counters(bench).delayed, 1);
    bench_pass(bench, 200 * MS);
    struct drv_ref again = leased(bench, 2);
    assert_int_equal(again.index, 1);
    assert_int_equal(again.attempt, 2);
    report_failed(bench, 2, again, 0);
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 4), 3);
    assert_int_equal(ends[1].state, DROVER_STATE_FAILED);
    assert_int_equal(ends[1].error.kind, DROVER_ERROR_HANDLER);
    assert_int_equal(ends[2].index, DROVER_INDEX_NONE);
    assert_int_equal(ends[2].state, DROVER_STATE_FAILED);
}

/* The delay counts from the arrival of the items, and so does the time to start in. */
static void test_delay_and_expiry_count_from_arrival(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    spec.delay_ms = 1000;
    spec.expire_ms = 3000;
    setup_peers(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 1);
    bench_pass(bench, 500 * MS);
    array_filled(bench, 1, 100, 1, 2);
    assert_int_equal(counters(bench).delayed, 3);
    bench_pass(bench, 600 * MS);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    assert_int_equal(refs[0].index, 0);
    assert_int_equal(counters(bench).delayed, 2);
    bench_pass(bench, 500 * MS);
    assert_int_equal(counters(bench).delayed, 0);
    heartbeat(bench, 2);
    bench_pass(bench, 1500 * MS);
    assert_int_equal(counters(bench).expired, 0);
    bench_pass(bench, 500 * MS);
    assert_int_equal(counters(bench).expired, 2);
    assert_int_equal(counters(bench).queued, 1);
}

/* Elements that are due together come in slices, so that nobody else waits for all of them. */
static void test_due_elements_come_in_slices(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 10 * ARRAY_ITEMS_MAX;
    spec.delay_ms = 1000;
    client(bench, 1);
    array_of(bench, 1, &spec, 100, count);
    assert_int_equal(counters(bench).delayed, count);
    bench->now += 2 * SECOND;
    bench_tick(bench);
    assert_true(bench->wants <= bench->now);
    assert_in_range(counters(bench).queued, 1, count - 1);
    bench_turn(bench);
    assert_int_equal(counters(bench).queued, count);
}

/* --- watching and keeping ---------------------------------------------------------------- */

/* --- cancelling -------------------------------------------------------------------------- */

/* What nobody holds ends at once; the reply waits for what a worker holds and has not started.
 */
static void test_cancel_of_array_waits_for_assigned_elements(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    setup_peers(bench, 2);
    array_of(bench, 1, &spec, 100, 4);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_started(bench, 2, refs[0]);
    cancel(bench, 1, 100);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 2);
    expect_none(bench, 1, DRV_REPLY);
    const struct drv_message *stop = expect(bench, 2, DRV_ABORT);
    assert_int_equal(stop->abort.lease_count, 2);
    report_returned(bench, 2, refs[1]);
    bench_turn(bench);
    expect_ok(bench, 1);
    drop_all(bench, 1);
    assert_int_equal(counters(bench).running, 1);
    report_cancelled(bench, 2, refs[0]);
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 2);
    assert_int_equal(ends[0].index, 0);
    assert_int_equal(ends[1].index, DROVER_INDEX_NONE);
    assert_int_equal(ends[1].state, DROVER_STATE_CANCELLED);
    assert_int_equal(counters(bench).cancelled, 4);
}

/* Nothing of a large array starts once it is being cancelled, though that takes many ticks. */
static void test_cancel_of_large_array_stops_dispatch_at_once(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 12 * ARRAY_ITEMS_MAX;
    client(bench, 1);
    array_of(bench, 1, &spec, 100, count);
    cancel(bench, 1, 100);
    bench_tick(bench);
    assert_true(bench->wants <= bench->now);
    assert_true(counters(bench).cancelled < count);
    expect_none(bench, 1, DRV_REPLY);
    struct worker_options options = {.types = {"work"}, .slots = 4};
    bench->boxes[2].port = CORE_PORT_WORKER;
    hello_worker(bench, 2, 8002, &options);
    (void)welcomed(bench, 2);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).cancelled, count);
}

/* A second cancel waits for the same answers, however far the first has come; asking for it
 * again and again does not hold it up. */
static void test_second_cancel_of_array_waits_for_same_answers(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    const uint32_t count = 12 * ARRAY_ITEMS_MAX;
    setup_peers(bench, 1);
    client(bench, 3);
    array_of(bench, 1, &spec, 100, count);
    struct drv_ref ref = leased(bench, 2);
    for (int i = 0; i < 8; i++) {
        cancel(bench, i % 2 == 0 ? 1 : 3, 100);
        bench_tick(bench);
    }
    assert_int_equal(counters(bench).cancelled, count - 1);
    cancel(bench, 3, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    expect_none(bench, 3, DRV_REPLY);
    report_started(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(expect(bench, 1, DRV_REPLY)->reply.reply_count, 4);
    assert_int_equal(expect(bench, 3, DRV_REPLY)->reply.reply_count, 5);
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, count);
}

/* A cancelled array takes nothing more; an open one is thereby closed. */
static void test_cancelled_array_takes_no_items(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_outcome ends[8];
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 2);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(outcomes(bench, 1, ends, 8), 3);
    assert_int_equal(ends[2].index, DROVER_INDEX_NONE);
    array_items(bench, 1, 100, 2, 1, "item");
    expect_note(bench, 1, 0, DROVER_CANCELLED);
    array_sealed(bench, 1, 100, 2); /* nothing is left to be said */
}

/* An element can be cancelled before it was ever handed out; the others go on. */
static void test_cancel_of_one_element(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[8];
    client(bench, 1);
    array_of(bench, 1, &spec, 100, 3);
    targets_request(bench, 1, DRV_CANCEL, 100, 0);
    bench_turn(bench);
    drop_all(bench, 1);
    worker(bench, 2, "work", 3);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    assert_int_equal(refs[0].index, 1);
    report_done(bench, 2, refs[0], "done");
    report_done(bench, 2, refs[1], "done");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 8), 3);
    assert_int_equal(ends[2].index, DROVER_INDEX_NONE);
    assert_int_equal(ends[2].state, DROVER_STATE_CANCELLED);
}

/* A session that expires before the seal takes its array with it; after the seal it stays. */
static void test_session_expiry_cancels_open_arrays(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 2);
    array_of(bench, 1, &spec, 101, 3);
    gone(bench, 1);
    bench_pass(bench, 3599 * SECOND);
    assert_int_equal(counters(bench).cancelled, 0);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).cancelled, 2);
    assert_int_equal(counters(bench).queued, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_elements_run_before_seal_and_end_with_array),
        BENCH_TEST(test_items_again_are_taken_and_others_conflict),
        BENCH_TEST(test_items_again_after_success_are_compared),
        BENCH_TEST(test_seal_needs_all_elements),
        BENCH_TEST(test_empty_array_succeeds_when_sealed),
        BENCH_TEST(test_open_again_is_same_or_conflicts),
        BENCH_TEST(test_messages_about_no_array_are_refused),
        BENCH_TEST(test_full_queue_takes_front_of_message),
        BENCH_TEST(test_values_reach_the_worker_as_given),
        BENCH_TEST(test_large_value_is_kept_by_reference),
        BENCH_TEST(test_shared_value_goes_once_before_leases),
        BENCH_TEST(test_returned_elements_keep_their_place),
        BENCH_TEST(test_failed_element_is_retried_and_fails_array),
        BENCH_TEST(test_delay_and_expiry_count_from_arrival),
        BENCH_TEST(test_due_elements_come_in_slices),
        BENCH_TEST(test_cancel_of_array_waits_for_assigned_elements),
        BENCH_TEST(test_cancel_of_large_array_stops_dispatch_at_once),
        BENCH_TEST(test_second_cancel_of_array_waits_for_same_answers),
        BENCH_TEST(test_cancelled_array_takes_no_items),
        BENCH_TEST(test_cancel_of_one_element),
        BENCH_TEST(test_session_expiry_cancels_open_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
