/*
 * Which work goes where: order, credit, prefetch, recall, limits of workers.
 */
#include "fixture.h"

static void submit_with(struct bench *bench, uint32_t number, int priority, const char *queue)
{
    struct drv_spec spec = spec_of("work");
    spec.priority = priority;
    if (queue != NULL) {
        spec.queue = text(queue);
    }
    submit(bench, 1, &spec, number);
}

/* The only worker takes one task after the other; gives their numbers. */
static void run_all(struct bench *bench, uint32_t *out_order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_ref ref = leased(bench, 2);
        out_order[i] = number_of(ref.id);
        report_done(bench, 2, ref, "");
        bench_turn(bench);
    }
}

static void expect_order(const uint32_t *order, const uint32_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(order[i], wanted[i]);
    }
}

/* First in, first out; higher priorities before that. */
static void test_order_is_priority_then_arrival(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    submit_with(bench, 101, 0, NULL);
    submit_with(bench, 102, 5, NULL);
    submit_with(bench, 103, 0, NULL);
    submit_with(bench, 104, -3, NULL);
    submit_with(bench, 105, 5, NULL);
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    uint32_t order[5];
    const uint32_t wanted[] = {102, 105, 101, 103, 104};
    run_all(bench, order, 5);
    expect_order(order, wanted, 5);
}

/* What a worker gives back takes its old place again. */
static void test_returned_task_keeps_its_place(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    for (uint32_t i = 0; i < 3; i++) {
        submit_with(bench, 100 + i, 0, NULL);
        bench_turn(bench);
    }
    report_returned(bench, 2, leased(bench, 2));
    bench_turn(bench);
    uint32_t order[3];
    const uint32_t wanted[] = {100, 101, 102};
    run_all(bench, order, 3);
    expect_order(order, wanted, 3);
}

/* Queues share a worker by their weights. */
static void test_queues_share_by_weight(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_SET,
                                               .queue = text("heavy"),
                                               .has_settings = true,
                                               .settings = {3, -1, -1, -1, -1, -1, -1, -1, -1}};
    speak(bench, 1, &message);
    for (uint32_t i = 0; i < 40; i++) {
        submit_with(bench, 100 + i, 0, "heavy");
        submit_with(bench, 200 + i, 0, "light");
    }
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    uint32_t order[40];
    run_all(bench, order, 40);
    int heavy = 0;
    for (int i = 0; i < 40; i++) {
        heavy += order[i] < 200;
    }
    assert_int_equal(heavy, 30);
}

/* A paused queue starts nothing; what comes after it is resumed does. */
static void test_paused_queue_rests(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE, .queue = text("slow")};
    speak(bench, 1, &message);
    submit_with(bench, 100, 9, "slow");
    submit_with(bench, 101, 0, NULL);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(number_of(ref.id), 101);
    report_done(bench, 2, ref, "");
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_RESUME, .queue = text("slow")};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 2).id), 100);
}

/* A delayed task starts when its time has come, not before. */
static void test_delayed_task_waits(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 500;
    submit(bench, 1, &spec, 100);
    bench_pass(bench, 499 * MS);
    assert_int_equal(counters(bench).delayed, 1);
    expect_none(bench, 2, DRV_LEASE);
    bench_pass(bench, 1 * MS);
    assert_int_equal(number_of(leased(bench, 2).id), 100);
}

/* A task that did not start in time expires, whether it was delayed before or not. */
static void test_task_expires(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.expire_ms = 300;
    submit(bench, 1, &spec, 100);
    spec.delay_ms = 299;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    drop_all(bench, 1);
    bench_pass(bench, 299 * MS);
    assert_int_equal(counters(bench).expired, 0);
    bench_pass(bench, 1 * MS);
    assert_int_equal(counters(bench).expired, 2);
    const struct drv_message *message = expect(bench, 1, DRV_RESULTS);
    assert_int_equal(message->results.entry_count, 2);
    assert_int_equal(message->results.entries[0].state, DROVER_STATE_EXPIRED);
    assert_int_equal(message->results.entries[0].error.kind, DROVER_ERROR_EXPIRED);
}

/* A task that started once does not expire when it is tried again. */
static void test_started_task_does_not_expire(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    spec.expire_ms = 300;
    spec.retries = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(leased(bench, 2).attempt, 2);
}

/* A worker never holds more than its slots of a type that is not known to be short. */
static void test_leases_fill_free_slots_only(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 2, .credit = 100};
    worker_with(bench, 2, &options);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 10, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 2);
}

/* Credit below the slots bounds the leases; a new level counts at once. */
static void test_credit_bounds_leases(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 4, .credit = 1};
    worker_with(bench, 2, &options);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 10, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 1);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {3, 1 << 20}};
    speak(bench, 2, &credit);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 10), 2);
}

/* Makes the type known as one that takes `run_us`. */
static void teach(struct bench *bench, uint32_t peer, uint64_t run_us)
{
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    struct drv_result done = {.ref = leased(bench, peer),
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_nil(),
                              .error = {.exit_code = -1},
                              .run_us = run_us};
    report(bench, peer, &done);
    bench_turn(bench);
}

/* Short tasks are queued behind busy slots, for about two milliseconds of work. */
static void test_short_tasks_are_prefetched(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 2, .credit = 1000};
    worker_with(bench, 2, &options);
    teach(bench, 2, 200);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 100, "x");
    bench_turn(bench);
    struct drv_ref refs[100];
    assert_int_equal(leases(bench, 2, refs, 100), 2 * (1 + 10));
}

/* Tasks that run for long are not. */
static void test_long_tasks_are_not_prefetched(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 2, .credit = 1000};
    worker_with(bench, 2, &options);
    teach(bench, 2, 11 * 1000);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 100, "x");
    bench_turn(bench);
    struct drv_ref refs[100];
    assert_int_equal(leases(bench, 2, refs, 100), 2);
}

/* Work behind a busy slot is asked back when a slot is free elsewhere, and goes there. */
static void test_recall_moves_work_to_a_free_slot(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1, .credit = 1000};
    worker_with(bench, 2, &options);
    teach(bench, 2, 1000);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 3);
    report_started(bench, 2, refs[0]);
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    expect_none(bench, 2, DRV_RECALL); /* it may be done in a moment */
    bench_pass(bench, 3 * MS);
    const struct drv_message *message = expect(bench, 2, DRV_RECALL);
    assert_int_equal(message->leases.lease_count, 1);
    assert_int_equal(number_of(message->leases.leases[0].id), 102); /* the youngest */
    expect_none(bench, 3, DRV_LEASE);                               /* not before the answer */
    report_returned(bench, 2, refs[2]);
    bench_turn(bench);
    struct drv_ref moved = leased(bench, 3);
    assert_int_equal(number_of(moved.id), 102);
    assert_int_equal(moved.attempt, 2);
}

/* Also when the worker began with a younger one: what does not run is asked back. */
static void test_recall_moves_what_does_not_run(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1, .credit = 1000};
    worker_with(bench, 2, &options);
    teach(bench, 2, 1000);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 2);
    report_started(bench, 2, refs[1]);
    worker(bench, 3, "work", 1);
    bench_pass(bench, 3 * MS);
    const struct drv_message *message = expect(bench, 2, DRV_RECALL);
    assert_int_equal(message->leases.lease_count, 1);
    assert_int_equal(number_of(message->leases.leases[0].id), 100);
}

/* A recalled task that has started stays where it is. */
static void test_recall_answered_started_leaves_it(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1, .credit = 1000};
    worker_with(bench, 2, &options);
    teach(bench, 2, 1000);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 2);
    worker(bench, 3, "work", 1);
    bench_pass(bench, 3 * MS);
    (void)expect(bench, 2, DRV_RECALL);
    report_done(bench, 2, refs[0], "");
    report_started(bench, 2, refs[1]);
    bench_pass(bench, 10 * MS);
    expect_none(bench, 3, DRV_LEASE);
    assert_int_equal(counters(bench).running, 1);
}

/* Work goes to the worker with the most free slots; no more workers are woken than needed. */
static void test_freest_worker_is_chosen(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    worker(bench, 3, "work", 4);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 0);
    assert_int_equal(leases(bench, 3, refs, 10), 3);
}

/* Workers with different offers share the work that both can do. */
static void test_classes_share_common_work(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options both = {.types = {"work", "other"}, .slots = 4};
    worker(bench, 2, "work", 4);
    worker_with(bench, 3, &both);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 4, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 2);
    assert_int_equal(leases(bench, 3, refs, 10), 2);
}

/* A limit on a type at a worker holds, and does not stand in the way of other types. */
static void test_concurrency_of_a_type_is_kept(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work", "other"}, .slots = 4, .concurrency = 1};
    worker_with(bench, 2, &options);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    struct drv_spec other = spec_of("other");
    submit_many(bench, 1, &other, 200, 3, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 2);
    uint32_t first = number_of(refs[0].id), second = number_of(refs[1].id);
    assert_true((first == 100 && second == 200) || (first == 200 && second == 100));
    report_done(bench, 2, refs[0], "");
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 10), 1);
}

/* A worker that serves one queue gets nothing from others. */
static void test_worker_serves_its_queues_only(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 4, .queue = "mine"};
    worker_with(bench, 2, &options);
    submit_with(bench, 100, 0, "yours");
    submit_with(bench, 101, 0, "mine");
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
    expect_none(bench, 2, DRV_LEASE);
}

/* Required labels choose the worker. */
static void test_required_labels_choose_the_worker(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_pair eu = {text("zone"), text("eu")}, us = {text("zone"), text("us")};
    struct worker_options in_us = {
        .types = {"work"}, .slots = 1, .labels = &us, .label_count = 1};
    struct worker_options in_eu = {
        .types = {"work"}, .slots = 1, .labels = &eu, .label_count = 1};
    struct drv_spec spec = spec_of("work");
    spec.require = &eu;
    spec.require_count = 1;
    worker_with(bench, 2, &in_us);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    worker_with(bench, 3, &in_eu);
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 3).id), 100);
}

/* Leases wait while the worker's byte window is full; one may always be in flight. */
static void test_byte_window_bounds_leases(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 8};
    worker_with(bench, 2, &options);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {8, 100}};
    speak(bench, 2, &credit);
    bench->boxes[2].holds_tokens = true;
    char payload[65];
    memset(payload, 'x', 64);
    payload[64] = '\0';
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, payload);
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 1);
    bench_settle(bench, 2);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 10), 1);
    assert_int_equal(counters(bench).queued, 3);
}

/* A worker that does not read gets no more; its work goes elsewhere. */
static void test_blocked_worker_gets_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 4);
    worker(bench, 3, "work", 1);
    blocked(bench, 2, true);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "x");
    bench_turn(bench);
    struct drv_ref refs[10];
    assert_int_equal(leases(bench, 2, refs, 10), 0);
    assert_int_equal(leases(bench, 3, refs, 10), 1);
    blocked(bench, 2, false);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 10), 1);
}

/* Three thousand tasks in line are handed out in order. */
static void test_depth_does_not_matter(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    for (uint32_t i = 0; i < 3; i++) {
        submit_many(bench, 1, &spec, 1000 + i * 1000, 1000, "x");
        bench_turn(bench);
        drop_all(bench, 1);
    }
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    for (uint32_t i = 0; i < 100; i++) {
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(number_of(ref.id), 1000 + i);
        struct drv_result done = {.ref = ref,
                                  .outcome = DRV_OUTCOME_SUCCEEDED,
                                  .val = val_nil(),
                                  .error = {.exit_code = -1},
                                  .run_us = 1000 * 1000};
        struct drv_message message = {.kind = DRV_REPORT};
        message.report.results = &done;
        message.report.result_count = 1;
        speak(bench, 2, &message);
        bench_turn(bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_order_is_priority_then_arrival),
        BENCH_TEST(test_returned_task_keeps_its_place),
        BENCH_TEST(test_queues_share_by_weight),
        BENCH_TEST(test_paused_queue_rests),
        BENCH_TEST(test_delayed_task_waits),
        BENCH_TEST(test_task_expires),
        BENCH_TEST(test_started_task_does_not_expire),
        BENCH_TEST(test_leases_fill_free_slots_only),
        BENCH_TEST(test_credit_bounds_leases),
        BENCH_TEST(test_short_tasks_are_prefetched),
        BENCH_TEST(test_long_tasks_are_not_prefetched),
        BENCH_TEST(test_recall_moves_work_to_a_free_slot),
        BENCH_TEST(test_recall_moves_what_does_not_run),
        BENCH_TEST(test_recall_answered_started_leaves_it),
        BENCH_TEST(test_freest_worker_is_chosen),
        BENCH_TEST(test_classes_share_common_work),
        BENCH_TEST(test_concurrency_of_a_type_is_kept),
        BENCH_TEST(test_worker_serves_its_queues_only),
        BENCH_TEST(test_required_labels_choose_the_worker),
        BENCH_TEST(test_byte_window_bounds_leases),
        BENCH_TEST(test_blocked_worker_gets_nothing),
        BENCH_TEST(test_depth_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
