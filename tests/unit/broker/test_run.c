/*
 * The elements of a run: what they cost while they wait, and what happens to all at once, by
 * itself and after a restart.
 */
#include "restore_story.h"

enum { MANY = 8 * 1024 };

static void array_many(struct bench *bench, const struct drv_spec *spec, uint32_t count)
{
    array_opened(bench, 1, spec, 100);
    for (uint32_t first = 0; first < count; first += ARRAY_ITEMS_MAX) {
        array_items(bench, 1, 100, first, ARRAY_ITEMS_MAX, "8 bytes.");
        expect_ok(bench, 1);
    }
    array_sealed(bench, 1, 100, count);
}

static double bytes_each(const struct bench *bench, uint64_t before, uint32_t count)
{
    return (double)(core_memory_bytes(bench->core) - before) / count;
}

/* An element that waits costs its payload and next to nothing beside it. */
static void test_waiting_elements_are_small(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    bench_turn(bench);
    uint64_t before = core_memory_bytes(bench->core);
    array_many(bench, &spec, MANY);
    assert_true(bytes_each(bench, before, MANY) < 8 + 2);
    assert_int_equal(counters(bench).queued, MANY);
    expect_restorable(bench);
}

/* Elements that never ran and are cancelled share one error, and say it each. */
static void test_cancelled_elements_share_their_error(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    client(bench, 1);
    bench_turn(bench);
    uint64_t before = core_memory_bytes(bench->core);
    array_many(bench, &spec, MANY);
    cancel(bench, 1, 100);
    bench->boxes[1].holds_tokens = true; /* what is pushed stays out of the measure */
    for (int i = 0; i < 100 && counters(bench).cancelled < MANY; i++) {
        bench_tick(bench);
    }
    assert_int_equal(counters(bench).cancelled, MANY);
    assert_true(bytes_each(bench, before, MANY) < 8 + 7);
    bench->boxes[1].holds_tokens = false;
    bench_settle(bench, 1);
    size_t count = 0;
    bool is_over = false;
    while (!is_over) {
        bench_turn(bench);
        const struct drv_message *message = find(bench, 1, DRV_RESULTS);
        assert_non_null(message);
        for (size_t i = 0; i < message->results.entry_count; i++) {
            const struct drv_outcome *entry = &message->results.entries[i];
            is_over = is_over || entry->index == DROVER_INDEX_NONE;
            count += entry->index != DROVER_INDEX_NONE;
            assert_int_equal(entry->state, DROVER_STATE_CANCELLED);
            assert_int_equal(entry->error.kind, DROVER_ERROR_CANCELLED);
        }
    }
    assert_int_equal(count, MANY);
}

/* Some run, some were cancelled alone, the rest is cancelled with the array: all of it is so
 * after a restart. */
static void test_mixed_end_is_restored(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[4];
    setup_peers(bench, 2);
    array_of(bench, 1, &spec, 100, 2000);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    targets_request(bench, 1, DRV_CANCEL, 100, 1500);
    bench_turn(bench);
    expect_ok(bench, 1);
    report_done(bench, 2, refs[1], "done");
    bench_turn(bench);
    expect_restorable(bench);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_restorable(bench);
    assert_int_equal(counters(bench).cancelled, 1998 - (counters(bench).queued > 0));
    reborn(bench);
    bench_check(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_true(counters(bench).cancelled >= 1997);
}

/* An element that ended with the others can be retried, forgotten and waited for alone. */
static void test_one_of_those_that_ended_together(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_of(bench, 1, &spec, 100, 10);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_message message = request(bench, 1, DRV_RETRY);
    struct drv_target target = {.id = id_of(100), .index = 3, .new_id = id_of(200)};
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    targets_request(bench, 1, DRV_FORGET, 100, 4);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_restorable(bench);
    targets_request(bench, 1, DRV_WATCH, 100, 4);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    targets_request(bench, 1, DRV_WATCH, 100, 5);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(result(bench, 1)->error.kind, DROVER_ERROR_CANCELLED);
    reborn(bench);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 10);
    assert_int_equal(counters(bench).queued, 1);
}

/* The time of a run is over: those in hand go on, the others expire together. */
static void test_elements_expire_together(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[4];
    spec.expire_ms = 1000;
    setup_peers(bench, 1);
    array_of(bench, 1, &spec, 100, 500);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    report_started(bench, 2, refs[0]);
    targets_request(bench, 1, DRV_WATCH, 100, 77);
    bench_turn(bench);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).expired, 499);
    assert_int_equal(counters(bench).running, 1);
    const struct drv_outcome *entry = result(bench, 1);
    assert_int_equal(entry->index, 77);
    assert_int_equal(entry->state, DROVER_STATE_EXPIRED);
    expect_restorable(bench);
}

/* The delay of a run is over, for those that somebody watches, too. */
static void test_elements_end_their_delay_together(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[8];
    spec.delay_ms = 1000;
    setup_peers(bench, 8);
    array_of(bench, 1, &spec, 100, 8);
    targets_request(bench, 1, DRV_WATCH, 100, 5);
    bench_turn(bench);
    assert_int_equal(counters(bench).delayed, 8);
    expect_restorable(bench);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(leases(bench, 2, refs, 8), 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(refs[i].index, i);
    }
}

/* A long stretch of values of all sorts, some asked for out of order: each is what was given.
 */
static void test_values_of_all_sorts_keep_their_places(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    static char texts[300][301];
    struct drv_val vals[300];
    client(bench, 1);
    for (uint32_t i = 0; i < 300; i++) {
        memset(texts[i], 'a' + (int)(i % 26), i);
        vals[i] = i % 7 == 3 ? val_nil() : val_of(texts[i]);
        if (i % 5 == 1 && !vals[i].is_nil) {
            vals[i].content_type = text("text/plain");
        }
    }
    array_opened(bench, 1, &spec, 100);
    array_vals(bench, 1, 100, 0, vals, 300);
    expect_ok(bench, 1);
    array_vals(bench, 1, 100, 200, vals + 200, 50); /* the same again is the same */
    expect_ok(bench, 1);
    array_vals(bench, 1, 100, 50, vals + 50, 100);
    expect_ok(bench, 1);
    array_vals(bench, 1, 100, 10, vals + 11, 1);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    expect_restorable(bench);
    worker(bench, 2, "work", 300);
    bench_turn(bench);
    uint32_t seen = 0;
    const struct drv_message *message;
    while ((message = find(bench, 2, DRV_LEASE)) != NULL) {
        for (size_t i = 0; i < message->lease.groups[0].entry_count; i++, seen++) {
            const struct drv_lease_entry *entry = &message->lease.groups[0].entries[i];
            assert_int_equal(entry->ref.index, seen);
            assert_int_equal(entry->val.is_nil, vals[seen].is_nil);
            assert_int_equal(entry->val.content_type.len, vals[seen].content_type.len);
            assert_true(vals[seen].is_nil || val_is(&entry->val, texts[seen]));
        }
    }
    assert_int_equal(seen, 300);
}

/* Runs in any order, with holes that are filled later. */
static void test_runs_come_in_any_order(void **state)
{
    static const uint32_t firsts[] = {2000, 0, 1500, 10, 1000};
    static const uint32_t counts[] = {48, 10, 500, 990, 500};
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    for (size_t i = 0; i < 5; i++) {
        array_filled(bench, 1, 100, firsts[i], counts[i]);
        expect_restorable(bench);
    }
    array_sealed(bench, 1, 100, 2048);
    targets_request(bench, 1, DRV_CANCEL, 100, 1499);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).queued, 2047);
    expect_restorable(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_waiting_elements_are_small),
        BENCH_TEST(test_cancelled_elements_share_their_error),
        DURABLE_TEST(test_mixed_end_is_restored),
        DURABLE_TEST(test_one_of_those_that_ended_together),
        DURABLE_TEST(test_elements_expire_together),
        DURABLE_TEST(test_elements_end_their_delay_together),
        DURABLE_TEST(test_values_of_all_sorts_keep_their_places),
        DURABLE_TEST(test_runs_come_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
