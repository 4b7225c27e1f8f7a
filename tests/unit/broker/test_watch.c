/*
 * Results on their way to clients: credit, release, late watches, tasks that a restart took.
 */
#include "fixture.h"

static void watch(struct bench *bench, uint32_t peer, struct drv_target target, uint32_t flags)
{
    struct drv_message message = request(bench, peer, DRV_WATCH);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    message.targets.flags = flags;
    speak(bench, peer, &message);
    bench_turn(bench);
}

static struct drv_target target_of(uint32_t number)
{
    return (struct drv_target){.id = id_of(number), .index = DROVER_INDEX_NONE};
}

/* Runs tasks first..first+count-1 to their end. */
static void run_tasks(struct bench *bench, const struct drv_spec *spec, uint32_t first,
                      uint32_t count)
{
    submit_many(bench, 1, spec, first, count, "x");
    bench_turn(bench);
    for (uint32_t i = 0; i < count; i++) {
        report_done(bench, 2, leased(bench, 2), "12345678");
        bench_turn(bench);
    }
}

static size_t count_results(struct bench *bench, uint32_t peer)
{
    size_t count = 0;
    const struct drv_message *message;
    while ((message = find(bench, peer, DRV_RESULTS)) != NULL) {
        count += message->results.entry_count;
    }
    return count;
}

static bool is_known(struct bench *bench, uint32_t number)
{
    client(bench, 50);
    struct drv_message message = request(bench, 50, DRV_QUERY);
    message.query = (struct drv_query){.topic = DRV_TOPIC_TASK,
                                       .has_id = true,
                                       .id = id_of(number),
                                       .index = DROVER_INDEX_NONE};
    speak(bench, 50, &message);
    bench_turn(bench);
    uint32_t code = expect(bench, 50, DRV_DOCUMENT)->document.code;
    gone(bench, 50);
    return code == DROVER_OK;
}

static void setup_peers(struct bench *bench)
{
    client(bench, 1);
    worker(bench, 2, "work", 1);
}

/* A watch of a task that has ended is answered at once. */
static void test_late_watch_gets_the_result(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    run_tasks(bench, &spec, 100, 1);
    drop_all(bench, 1);
    expect_none(bench, 1, DRV_RESULTS);
    watch(bench, 1, target_of(100), 0);
    assert_true(val_is(&result(bench, 1)->val, "12345678"));
}

/* Any client may wait for any task, and everyone who waits is told. */
static void test_all_who_watch_are_told(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    client(bench, 3);
    client(bench, 4);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    watch(bench, 3, target_of(100), 0);
    watch(bench, 4, target_of(100), DRV_WATCH_STATES);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    assert_true(val_is(&result(bench, 1)->val, "1"));
    assert_true(val_is(&result(bench, 3)->val, "1"));
    const struct drv_outcome *outcome = result(bench, 4);
    assert_int_equal(outcome->state, DROVER_STATE_SUCCEEDED);
    assert_true(outcome->val.is_nil);
}

/* Who has changed its mind is not told. */
static void test_unwatch(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    targets_request(bench, 1, DRV_UNWATCH, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    expect_none(bench, 1, DRV_RESULTS);
}

/* A task that is to be released is forgotten when its result was settled, not before. */
static void test_released_task_is_forgotten_once_settled(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    bench->boxes[1].holds_tokens = true;
    struct drv_spec spec = watched("work");
    spec.flags |= DRV_SPEC_RELEASE;
    run_tasks(bench, &spec, 100, 1);
    assert_true(is_known(bench, 100));
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_false(is_known(bench, 100));
    assert_int_equal(counters(bench).succeeded, 1); /* counts go on */
}

/* One that has failed stays: somebody may want to know why, or to do it again. */
static void test_released_task_that_failed_stays(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = watched("work");
    spec.flags |= DRV_SPEC_RELEASE;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
    assert_int_equal(count_results(bench, 1), 1);
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_true(is_known(bench, 100));
    spec.keep_ms = 0;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_false(is_known(bench, 101));
}

/* A task without release stays although its result was settled. */
static void test_kept_task_stays(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 1);
    assert_true(is_known(bench, 100));
}

/* No more unsettled entries than the client's credit. */
static void test_credit_items_bound_results(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {3, 1 << 20}};
    speak(bench, 1, &credit);
    bench->boxes[1].holds_tokens = true;
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 10);
    assert_int_equal(count_results(bench, 1), 3);
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_int_equal(count_results(bench, 1), 3);
}

/* No more unsettled bytes than the client's window; one message may always go. */
static void test_credit_bytes_bound_results(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    bench->boxes[1].holds_tokens = true;
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {100, 20}};
    speak(bench, 1, &credit);
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 10); /* of 8 bytes each */
    assert_int_equal(count_results(bench, 1), 2);
    credit.credit.bytes = 1;
    speak(bench, 1, &credit);
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_int_equal(count_results(bench, 1), 1);
}

/* A client that does not read costs links only, and cannot submit without end. */
static void test_client_that_does_not_read_is_busy(void **state)
{
    struct bench *bench = *state;
    bench->config.client_results_max = 5;
    core_destroy(&bench->core);
    bench_start(bench);
    setup_peers(bench);
    bench->boxes[1].holds_tokens = true;
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {1, 1 << 20}};
    speak(bench, 1, &credit);
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 6);
    drop_all(bench, 1);
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_BUSY);
    client(bench, 3);
    submit(bench, 3, &spec, 201);
    bench_turn(bench);
    expect_ok(bench, 3); /* nobody else is affected */
}

/* A watch of something that never was is noted. */
static void test_watch_of_unknown_task(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_target target = target_of(100);
    target.epoch = bench->config.epoch;
    target.level = DROVER_DURABILITY_MEMORY;
    watch(bench, 1, target, 0);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_UNKNOWN);
}

/* A task that was acknowledged by an earlier life is told as lost, and counted once. */
static void test_watch_of_task_that_a_restart_took(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_target target = target_of(100);
    target.epoch = bench->config.epoch - 1;
    target.level = DROVER_DURABILITY_MEMORY;
    watch(bench, 1, target, 0);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_LOST);
    assert_int_equal(outcome->error.kind, DROVER_ERROR_LOST);
    watch(bench, 1, target, 0);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_LOST);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    assert_int_equal(counters(bench).submitted, 1);
}

/* A task that was lost, submitted again and forgotten is not lost any more, but unknown. */
static void test_task_submitted_again_is_not_lost(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_target target = target_of(100);
    target.epoch = bench->config.epoch - 1;
    target.level = DROVER_DURABILITY_MEMORY;
    watch(bench, 1, target, 0);
    (void)result(bench, 1);
    struct drv_spec spec = spec_of("work");
    run_tasks(bench, &spec, 100, 1);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    drop_all(bench, 1);
    target.epoch = bench->config.epoch;
    watch(bench, 1, target, 0);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_UNKNOWN);
}

/* Forgetting a task that somebody waits for takes effect when that one has it. */
static void test_forget_waits_for_those_who_wait(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    client(bench, 3);
    bench->boxes[1].holds_tokens = true;
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 1);
    (void)result(bench, 1);
    targets_request(bench, 3, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 3);
    bench_settle(bench, 1);
    bench_turn(bench);
    assert_false(is_known(bench, 100));
}

/* A client with results in flight that is silent for a lease time has lost its connection. */
static void test_silent_client_is_closed(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    bench->boxes[1].holds_tokens = true;
    struct drv_spec spec = watched("work");
    run_tasks(bench, &spec, 100, 1);
    bench_pass(bench, 11 * SECOND);
    assert_true(bench->boxes[1].is_closed);
}

/* A client that waits for nothing may be silent. */
static void test_idle_client_may_be_silent(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    bench_pass(bench, 3000 * SECOND);
    assert_false(bench->boxes[1].is_closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_late_watch_gets_the_result),
        BENCH_TEST(test_all_who_watch_are_told),
        BENCH_TEST(test_unwatch),
        BENCH_TEST(test_released_task_is_forgotten_once_settled),
        BENCH_TEST(test_released_task_that_failed_stays),
        BENCH_TEST(test_kept_task_stays),
        BENCH_TEST(test_credit_items_bound_results),
        BENCH_TEST(test_credit_bytes_bound_results),
        BENCH_TEST(test_client_that_does_not_read_is_busy),
        BENCH_TEST(test_watch_of_unknown_task),
        BENCH_TEST(test_watch_of_task_that_a_restart_took),
        BENCH_TEST(test_task_submitted_again_is_not_lost),
        BENCH_TEST(test_forget_waits_for_those_who_wait),
        BENCH_TEST(test_silent_client_is_closed),
        BENCH_TEST(test_idle_client_may_be_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
