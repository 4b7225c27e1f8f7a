/*
 * Events: who is told what, in which order, and what is told of what could not be told.
 */
#include "stream_story.h"

#define BIT(kind) (UINT64_C(1) << (kind))
#define TASKS (BIT(DRV_EVENT_WORKER_CONNECTED) - 2)

/* A task from submit to end is told in its order. */
static void test_events_of_a_task_in_order(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    subscribe_events(bench, 1, 1, TASKS);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "task.submitted");
    assert_int_equal(events->subscription, 1);
    assert_int_equal(events->first, 1);
    assert_true(map_has(event_map(events, 0), "\xa4type\xa4work"));
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    report_done(bench, 2, ref, "x");
    bench_turn(bench);
    events = EXPECT_EVENTS(bench, 1, "task.started", "task.ended");
    assert_int_equal(events->first, 2);
    assert_true(map_has(event_map(events, 0), "\xa6worker\xa6worker"));
    assert_true(map_has(event_map(events, 1), "\xa5state\xa9succeeded"));
    assert_true(map_has(event_map(events, 1), "\xa6worker\xa6worker"));
}

/* A failure with retries left, a back-off that ends, a cancel of what runs. */
static void test_events_of_a_retry_and_a_cancel(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    subscribe_events(bench, 1, 1, TASKS);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "task.started", "task.retried");
    assert_true(map_has(event_map(events, 1), "\xa5"
                                              "error\xa7handler"));
    bench_pass(bench, 2 * SECOND);
    (void)EXPECT_EVENTS(bench, 1, "task.queued");
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    bench_turn(bench);
    cancel(bench, 1, 100);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "task.started");
    (void)EXPECT_EVENTS(bench, 1, "task.cancelling");
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    events = EXPECT_EVENTS(bench, 1, "task.ended");
    assert_true(map_has(event_map(events, 0), "\xa5state\xa9"
                                              "cancelled"));
}

/* Workers come, are away, come back, are lost with what they ran, or leave. */
static void test_events_of_workers(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    subscribe_events(bench, 1, 1, ~UINT64_C(0));
    worker(bench, 2, "work", 1);
    (void)EXPECT_EVENTS(bench, 1, "worker.connected");
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_started(bench, 2, leased(bench, 2));
    bench_turn(bench);
    gone(bench, 2);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "task.submitted");
    (void)EXPECT_EVENTS(bench, 1, "task.started");
    (void)EXPECT_EVENTS(bench, 1, "worker.away");
    bench_pass(bench, 4 * SECOND);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "worker.lost", "task.requeued");
    assert_true(map_has(event_map(events, 1), "\xa7"
                                              "charged\xc3"));
    assert_true(map_has(event_map(events, 1), "\xa6worker\xa6worker"));
    worker(bench, 3, "other", 1);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 3, &goodbye);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "worker.connected");
    (void)EXPECT_EVENTS(bench, 1, "worker.left");
}

static void queue_request(struct bench *bench, uint32_t op, bool has_settings)
{
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = op,
                                               .queue = text("bulk"),
                                               .has_settings = has_settings,
                                               .settings = {.weight = 3,
                                                            .max_count = -1,
                                                            .max_bytes = -1,
                                                            .rate = -1,
                                                            .concurrency = -1,
                                                            .per_key = -1,
                                                            .aging_ms = -1,
                                                            .placement = -1,
                                                            .durability = -1}};
    speak(bench, 1, &message);
    bench_turn(bench);
}

/* Queues are paused, set, purged; the broker goes down. */
static void test_events_of_queues_and_the_broker(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    subscribe_events(bench, 1, 1, ~TASKS);
    queue_request(bench, DRV_QUEUE_PAUSE, false);
    (void)EXPECT_EVENTS(bench, 1, "queue.paused");
    struct drv_spec spec = spec_of("work");
    spec.queue = text("bulk");
    submit_many(bench, 1, &spec, 100, 3, "x");
    queue_request(bench, DRV_QUEUE_SET, true);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "queue.set");
    assert_true(map_has(event_map(events, 0), "\xa6weight\x03"));
    queue_request(bench, DRV_QUEUE_PURGE, false);
    events = EXPECT_EVENTS(bench, 1, "queue.purged");
    assert_true(map_has(event_map(events, 0), "\xa5"
                                              "count\x03"));
    queue_request(bench, DRV_QUEUE_RESUME, false);
    (void)EXPECT_EVENTS(bench, 1, "queue.resumed");
    core_drain(bench->core, bench->now);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "broker.draining");
}

/* A limit that refuses submits is told, and not again within a second. */
static void test_event_of_a_limit_is_told_once_a_second(void **state)
{
    struct bench *bench = *state;
    bench->config.queue_count_max = 1;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    subscribe_events(bench, 1, 1, BIT(DRV_EVENT_BROKER_LIMIT));
    struct drv_spec spec = spec_of("work");
    for (uint32_t i = 0; i < 4; i++) {
        submit(bench, 1, &spec, 100 + i);
    }
    bench_turn(bench);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "broker.limit");
    assert_true(map_has(event_map(events, 0), "\xa5limit\xb1the queue is full"));
    bench_pass(bench, SECOND);
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "broker.limit");
}

/* Every filter that is given must let an event through. */
static void test_filters_are_all_applied(void **state)
{
    struct bench *bench = *state;
    struct drv_pair tags[] = {{text("env"), text("prod")}, {text("who"), text("me")}};
    client(bench, 1);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_EVENTS,
                                   .mask = BIT(DRV_EVENT_TASK_SUBMITTED),
                                   .index = DROVER_INDEX_NONE,
                                   .queue = text("bulk"),
                                   .type = text("work"),
                                   .tag_name = text("who"),
                                   .tag_value = text("me")};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100); /* other queue */
    spec.queue = text("bulk");
    submit(bench, 1, &spec, 101); /* no tags */
    spec.tags = tags;
    spec.tag_count = 1;
    submit(bench, 1, &spec, 102); /* other tag */
    spec.tag_count = 2;
    spec.type = text("else");
    submit(bench, 1, &spec, 103); /* other type */
    spec.type = text("work");
    submit(bench, 1, &spec, 104);
    bench_turn(bench);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "task.submitted");
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id number = id_of(104);
    drover_id_format(&number, id);
    assert_true(map_has(event_map(events, 0), id));
    wanted = (struct drv_subscribe){.subscription = 2,
                                    .stream = DRV_STREAM_EVENTS,
                                    .has_id = true,
                                    .id = id_of(101),
                                    .index = DROVER_INDEX_NONE,
                                    .worker = text("worker-9")};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    cancel(bench, 1, 101);
    bench_turn(bench);
    expect_none(bench, 1, DRV_EVENTS); /* no worker had it */
    wanted.subscription = 3;
    wanted.worker = text(NULL);
    wanted.id = id_of(104);
    assert_ok(subscribe(bench, 1, &wanted)->code);
    cancel(bench, 1, 104);
    cancel(bench, 1, 103);
    bench_turn(bench);
    assert_int_equal(EXPECT_EVENTS(bench, 1, "task.ended")->subscription, 3);
    expect_none(bench, 1, DRV_EVENTS);
}

/* A reader that takes nothing costs its window and no more; what it missed is a gap in the
 * numbers, told when it takes again. */
static void test_slow_reader_is_told_how_much_it_missed(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_EVENTS,
                                   .items = 3,
                                   .mask = BIT(DRV_EVENT_TASK_SUBMITTED),
                                   .index = DROVER_INDEX_NONE};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 10, "x");
    bench_turn(bench);
    const struct drv_events *events = &expect(bench, 1, DRV_EVENTS)->events;
    assert_int_equal(events->first, 1);
    assert_int_equal(events->entry_count, 3);
    expect_none(bench, 1, DRV_EVENTS);
    uint64_t memory = core_memory_bytes(bench->core);
    submit_many(bench, 1, &spec, 100, 10, "x"); /* the same again: no event */
    taken(bench, 1, 1, 2);
    bench_turn(bench);
    assert_true(core_memory_bytes(bench->core) < memory);
    events = &expect(bench, 1, DRV_EVENTS)->events;
    assert_int_equal(events->entry_count, 0);
    assert_int_equal(events->first, 11);
    submit_many(bench, 1, &spec, 200, 1, "x");
    bench_turn(bench);
    events = &expect(bench, 1, DRV_EVENTS)->events;
    assert_int_equal(events->first, 11);
    assert_int_equal(events->entry_count, 1);
}

/* The window in bytes bounds as well, but one entry always goes. */
static void test_window_in_bytes_bounds(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_EVENTS,
                                   .bytes = 1,
                                   .mask = BIT(DRV_EVENT_TASK_SUBMITTED),
                                   .index = DROVER_INDEX_NONE};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "task.submitted");
    taken(bench, 1, 1, UINT64_MAX); /* more than was told means all that was */
    submit_many(bench, 1, &spec, 200, 1, "x");
    bench_turn(bench);
    assert_int_equal(expect(bench, 1, DRV_EVENTS)->events.first, 4);
}

/* Nothing is lost with a connection: what was not taken comes again over the next one, once it
 * was asked for. */
static void test_events_go_on_over_another_connection(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    client(bench, 2);
    subscribe_events(bench, 1, 7, BIT(DRV_EVENT_TASK_SUBMITTED));
    struct drv_spec spec = spec_of("work");
    submit(bench, 2, &spec, 100);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "task.submitted");
    submit(bench, 2, &spec, 101);
    bench_turn(bench);
    gone(bench, 1); /* with the second one on its way */
    submit(bench, 2, &spec, 102);
    bench_turn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench_turn(bench);
    expect_none(bench, 1, DRV_EVENTS);
    struct drv_subscribe wanted = {.subscription = 7,
                                   .stream = DRV_STREAM_EVENTS,
                                   .taken = 1,
                                   .mask = BIT(DRV_EVENT_TASK_SUBMITTED),
                                   .index = DROVER_INDEX_NONE};
    bench->boxes[1].req = 50;
    assert_int_equal(subscribe(bench, 1, &wanted)->number, 1);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "task.submitted",
                                                    "task.submitted");
    assert_int_equal(events->first, 2);
    wanted.stream = DRV_STREAM_KV;
    wanted.text = text("a");
    assert_int_equal(subscribe(bench, 1, &wanted)->code, DROVER_CONFLICT);
}

/* A subscription ends, and what it could not take is given back; a second end is fine. */
static void test_subscription_ends(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    subscribe_events(bench, 1, 1, ~UINT64_C(0));
    struct drv_subscribe end = {.subscription = 1, .index = DROVER_INDEX_NONE};
    assert_ok(subscribe(bench, 1, &end)->code);
    assert_ok(subscribe(bench, 1, &end)->code);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_EVENTS);
}

/* Subscriptions and their windows are bounded by session and in all. */
static void test_subscriptions_are_bounded(void **state)
{
    struct bench *bench = *state;
    bench->config.stream_bytes_max = (uint64_t)DRV_STREAM_BYTES_MAX * 5;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    client(bench, 2);
    struct drv_subscribe wanted = {.stream = DRV_STREAM_EVENTS, .index = DROVER_INDEX_NONE};
    for (uint64_t i = 1; i <= DRV_SUBSCRIPTIONS_MAX; i++) {
        wanted.subscription = i;
        wanted.bytes = 1000;
        assert_ok(subscribe(bench, 1, &wanted)->code);
    }
    wanted.subscription++;
    assert_int_equal(subscribe(bench, 1, &wanted)->code, DROVER_BUSY);
    wanted.bytes = UINT64_MAX;
    for (uint64_t i = 1; i <= 4; i++) {
        wanted.subscription = i;
        assert_ok(subscribe(bench, 2, &wanted)->code);
    }
    wanted.subscription = 5;
    assert_int_equal(subscribe(bench, 2, &wanted)->code, DROVER_BUSY); /* of the session */
    client(bench, 3);
    assert_int_equal(subscribe(bench, 3, &wanted)->code, DROVER_BUSY); /* of all */
    wanted.stream = 9;
    assert_int_equal(subscribe(bench, 3, &wanted)->code, DROVER_UNSUPPORTED);
}

/* One who does not read is sent nothing more, and others are not held up. */
static void test_blocked_reader_holds_nobody_up(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    client(bench, 2);
    subscribe_events(bench, 1, 1, BIT(DRV_EVENT_TASK_SUBMITTED));
    subscribe_events(bench, 2, 1, BIT(DRV_EVENT_TASK_SUBMITTED));
    blocked(bench, 1, true);
    struct drv_spec spec = spec_of("work");
    submit(bench, 2, &spec, 100);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 2, "task.submitted");
    expect_none(bench, 1, DRV_EVENTS);
    blocked(bench, 1, false);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "task.submitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_events_of_a_task_in_order),
        BENCH_TEST(test_events_of_a_retry_and_a_cancel),
        BENCH_TEST(test_events_of_workers),
        BENCH_TEST(test_events_of_queues_and_the_broker),
        BENCH_TEST(test_event_of_a_limit_is_told_once_a_second),
        BENCH_TEST(test_filters_are_all_applied),
        BENCH_TEST(test_slow_reader_is_told_how_much_it_missed),
        BENCH_TEST(test_window_in_bytes_bounds),
        BENCH_TEST(test_events_go_on_over_another_connection),
        BENCH_TEST(test_subscription_ends),
        BENCH_TEST(test_subscriptions_are_bounded),
        BENCH_TEST(test_blocked_reader_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
