/*
 * Aging and placement of a queue: waiting is worth priority, and hosts are filled or spared.
 */
#include "restore_story.h"

static void set_order(struct bench *bench, int64_t aging_ms, int64_t placement)
{
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){
        .op = DRV_QUEUE_SET,
        .queue = text("default"),
        .has_settings = true,
        .settings = {-1, -1, -1, -1, -1, -1, -1, aging_ms, placement}};
    speak(bench, 1, &message);
    bench_turn(bench);
}

static void submit_at(struct bench *bench, uint32_t number, int32_t priority)
{
    struct drv_spec spec = spec_of("work");
    spec.priority = priority;
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* One after the other, as the only worker gets them. */
static void expect_run(struct bench *bench, const uint32_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(number_of(ref.id), wanted[i]);
        report_done(bench, 2, ref, "");
        bench_turn(bench);
    }
}

/* Three old ones of priority 0, two that are younger by 2.5 s, of priority 2 and 3. */
static void submit_ages(struct bench *bench)
{
    submit_at(bench, 1, 0);
    bench_pass(bench, 1000000);
    submit_at(bench, 2, 0);
    bench_pass(bench, 1500000);
    submit_at(bench, 3, 2);
    submit_at(bench, 4, 3);
}

/* --- aging ------------------------------------------------------------------------------- */

/* A step of priority a second: 2.5 s are more than two steps, 1.5 s are less. */
static void test_waiting_is_worth_priority(void **state)
{
    struct bench *bench = *state;
    const uint32_t wanted[] = {4, 1, 3, 2};
    client(bench, 1);
    set_order(bench, 1000, -1);
    expect_ok(bench, 1);
    submit_ages(bench);
    worker(bench, 2, "work", 1);
    expect_run(bench, wanted, 4);
}

static void test_without_aging_priority_comes_first(void **state)
{
    struct bench *bench = *state;
    const uint32_t wanted[] = {4, 3, 1, 2};
    client(bench, 1);
    submit_ages(bench);
    worker(bench, 2, "work", 1);
    expect_run(bench, wanted, 4);
}

/* What stands in line when aging comes, or goes, is in the new order at once. */
static void test_aging_comes_and_goes(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_at(bench, 9, 0);
    struct drv_ref first = leased(bench, 2);
    submit_ages(bench);
    set_order(bench, 1000, -1);
    expect_ok(bench, 1);
    report_done(bench, 2, first, "");
    bench_turn(bench);
    struct drv_ref second = leased(bench, 2);
    assert_int_equal(number_of(second.id), 4);
    set_order(bench, 0, -1);
    expect_ok(bench, 1);
    report_done(bench, 2, second, "");
    bench_turn(bench);
    const uint32_t rest[] = {3, 1, 2};
    expect_run(bench, rest, 3);
}

/* A delay that was asked for is no waiting. */
static void test_a_delay_does_not_age(void **state)
{
    struct bench *bench = *state;
    const uint32_t wanted[] = {2, 1};
    client(bench, 1);
    set_order(bench, 1000, -1);
    expect_ok(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 10000;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    expect_ok(bench, 1);
    bench_pass(bench, 10500000);
    submit_at(bench, 2, 1);
    worker(bench, 2, "work", 1);
    expect_run(bench, wanted, 2);
}

/* The settings and what has waited outlive the broker. */
static void test_aging_survives_a_restart(void **state)
{
    struct bench *bench = *state;
    const uint32_t wanted[] = {4, 1, 3, 2};
    client(bench, 1);
    set_order(bench, 1000, DRV_PLACEMENT_PACK);
    expect_ok(bench, 1);
    submit_ages(bench);
    expect_restorable(bench);
    reborn(bench);
    worker(bench, 2, "work", 1);
    expect_run(bench, wanted, 4);
    expect_restorable(bench);
}

static void submit_keyed(struct bench *bench, uint32_t number, int32_t priority,
                         const char *key)
{
    struct drv_spec spec = spec_of("work");
    spec.priority = priority;
    spec.fairness = text(key);
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* After so long that nothing is given behind a busy slot. */
static void end_slowly(struct bench *bench, struct drv_ref ref)
{
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_nil(),
                              .error = {.exit_code = -1},
                              .run_us = 1000000};
    report(bench, 2, &done);
    bench_turn(bench);
}

static void expect_slow_run(struct bench *bench, const uint32_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(number_of(ref.id), wanted[i]);
        end_slowly(bench, ref);
    }
}

/* The only slot is taken by 9, but there is credit for more, so that it is looked at who is
 * next whenever something changes. Key a's turn is before key b's; of a there is an old task
 * and a young one, of b one that is nearly as old as the first. */
static struct drv_ref submit_keys(struct bench *bench)
{
    client(bench, 1);
    set_order(bench, 1000, -1);
    expect_ok(bench, 1);
    worker_with(bench, 2, &(struct worker_options){.types = {"work"}, .slots = 1, .credit = 8});
    submit_at(bench, 9, 0);
    struct drv_ref first = leased(bench, 2);
    submit_keyed(bench, 1, 0, "a");
    bench_pass(bench, 1000000);
    submit_keyed(bench, 2, 0, "b");
    bench_pass(bench, 4000000);
    submit_keyed(bench, 3, 0, "a");
    return first;
}

/* A priority is as old as the head whose turn it is, also when another one's turn comes for
 * want of a task. */
static void test_the_age_of_a_cancelled_head_goes_with_it(void **state)
{
    struct bench *bench = *state;
    struct drv_ref first = submit_keys(bench);
    cancel(bench, 1, 1);
    bench_turn(bench);
    bench_pass(bench, 1000000);
    submit_at(bench, 4, 3); /* older than 3, not than 2 */
    cancel(bench, 1, 3);
    bench_turn(bench);
    bench_pass(bench, 1000);
    end_slowly(bench, first);
    expect_slow_run(bench, (const uint32_t[]){2, 4}, 2);
}

/* Nor does it matter whether it was cancelled or has run. */
static void test_the_next_key_is_as_old_as_its_own_head(void **state)
{
    struct bench *bench = *state;
    struct drv_ref first = submit_keys(bench);
    cancel(bench, 1, 1);
    bench_turn(bench);
    end_slowly(bench, first);
    struct drv_ref third = leased(bench, 2);
    assert_int_equal(number_of(third.id), 3);
    submit_keyed(bench, 5, 0, "a");
    submit_at(bench, 4, 3);
    end_slowly(bench, third);
    expect_slow_run(bench, (const uint32_t[]){2, 4, 5}, 3);
}

static void test_nonsense_is_refused(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    set_order(bench, DRV_AGING_MAX_MS + 1, -1);
    assert_int_equal(reply(bench, 1)->code, DROVER_INVALID);
    set_order(bench, -1, DRV_PLACEMENT_PACK + 1);
    assert_int_equal(reply(bench, 1)->code, DROVER_INVALID);
    set_order(bench, DRV_AGING_MAX_MS, DRV_PLACEMENT_SPREAD);
    expect_ok(bench, 1);
}

/* --- placement --------------------------------------------------------------------------- */

static void worker_of(struct bench *bench, uint32_t peer, const char *host, uint32_t slots)
{
    struct worker_options options = {.types = {"work"}, .slots = slots, .host = host};
    worker_with(bench, peer, &options);
}

/* So many leases that each of the workers 2, 3, ... has got by now. */
static void expect_held(struct bench *bench, const size_t *wanted, size_t count)
{
    struct drv_ref refs[32];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(leases(bench, (uint32_t)(2 + i), refs, 32), wanted[i]);
    }
}

/* Host a has two workers with two slots each, host b one with two. */
static void place_three(struct bench *bench, int64_t placement, const size_t wanted[3])
{
    client(bench, 1);
    set_order(bench, -1, placement);
    expect_ok(bench, 1);
    worker_of(bench, 2, "a", 2);
    worker_of(bench, 3, "a", 2);
    worker_of(bench, 4, "b", 2);
    for (uint32_t number = 1; number <= 3; number++) {
        submit_at(bench, number, 0);
    }
    expect_held(bench, wanted, 3);
}

/* One for each host, and then for the one that has more left. */
static void test_spread_takes_the_emptiest_host(void **state)
{
    const size_t wanted[] = {1, 1, 1};
    place_three(*state, DRV_PLACEMENT_SPREAD, wanted);
}

/* All for the host that was begun with; of its workers the freest. The other stays empty. */
static void test_pack_takes_the_fullest_host(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    set_order(bench, -1, DRV_PLACEMENT_PACK);
    expect_ok(bench, 1);
    worker_of(bench, 2, "a", 2);
    worker_of(bench, 3, "a", 2);
    worker_of(bench, 4, "b", 4);
    submit_at(bench, 1, 0);
    bool is_first_b = leases(bench, 4, refs, 8) == 1;
    for (uint32_t number = 2; number <= 4; number++) {
        submit_at(bench, number, 0);
    }
    size_t of_a = leases(bench, 2, refs, 8) + leases(bench, 3, refs, 8);
    size_t of_b = leases(bench, 4, refs, 8);
    assert_int_equal(is_first_b ? of_b : of_a, is_first_b ? 3 : 4);
    assert_int_equal(is_first_b ? of_a : of_b, 0);
    /* It is full: what comes now goes to the other. */
    submit_at(bench, 5, 0);
    of_a = leases(bench, 2, refs, 8) + leases(bench, 3, refs, 8);
    of_b = leases(bench, 4, refs, 8);
    assert_int_equal(is_first_b ? of_a : of_b, 1);
    assert_int_equal(is_first_b ? of_b : of_a, 0);
}

/* A worker that is gone is not counted any more, and the rest of its host still is. */
static void test_a_worker_that_left_leaves_its_host(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    set_order(bench, -1, DRV_PLACEMENT_SPREAD);
    expect_ok(bench, 1);
    worker_of(bench, 2, "a", 1);
    worker_of(bench, 3, "a", 1);
    worker_of(bench, 4, "b", 2);
    struct drv_message bye = {.kind = DRV_GOODBYE};
    speak(bench, 3, &bye);
    bench_turn(bench);
    submit_at(bench, 1, 0);
    submit_at(bench, 2, 0);
    assert_int_equal(leases(bench, 2, refs, 8), 1);
    assert_int_equal(leases(bench, 4, refs, 8), 1);
}

/* With a limit on the type nobody gets more than that, full host or not. */
static void test_pack_keeps_to_the_room_of_a_type(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    set_order(bench, -1, DRV_PLACEMENT_PACK);
    expect_ok(bench, 1);
    for (uint32_t peer = 2; peer <= 3; peer++) {
        struct worker_options options = {
            .types = {"work"}, .slots = 4, .concurrency = 1, .host = peer == 2 ? "a" : "b"};
        worker_with(bench, peer, &options);
    }
    for (uint32_t number = 1; number <= 3; number++) {
        submit_at(bench, number, 0);
    }
    assert_int_equal(leases(bench, 2, refs, 8), 1);
    assert_int_equal(leases(bench, 3, refs, 8), 1);
    report_done(bench, 3, refs[0], "");
    bench_turn(bench);
    assert_int_equal(leases(bench, 3, refs, 8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_waiting_is_worth_priority),
        BENCH_TEST(test_without_aging_priority_comes_first),
        BENCH_TEST(test_aging_comes_and_goes),
        BENCH_TEST(test_a_delay_does_not_age),
        DURABLE_TEST(test_aging_survives_a_restart),
        BENCH_TEST(test_the_age_of_a_cancelled_head_goes_with_it),
        BENCH_TEST(test_the_next_key_is_as_old_as_its_own_head),
        BENCH_TEST(test_nonsense_is_refused),
        BENCH_TEST(test_spread_takes_the_emptiest_host),
        BENCH_TEST(test_pack_takes_the_fullest_host),
        BENCH_TEST(test_a_worker_that_left_leaves_its_host),
        BENCH_TEST(test_pack_keeps_to_the_room_of_a_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
