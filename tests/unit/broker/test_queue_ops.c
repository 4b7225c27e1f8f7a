/*
 * What can be done to a queue: pause, resume, purge, limits.
 */
#include "array_story.h"

static void queue_ask(struct bench *bench, uint32_t peer, uint32_t op, const char *queue,
                      const struct drv_queue_settings *settings)
{
    struct drv_message message = request(bench, peer, DRV_QUEUE);
    message.queue = (struct drv_queue_request){
        .op = op, .queue = text(queue), .has_settings = settings != NULL};
    if (settings != NULL) {
        message.queue.settings = *settings;
    }
    speak(bench, peer, &message);
}

static void queue_done(struct bench *bench, uint32_t op, const char *queue)
{
    queue_ask(bench, 1, op, queue, NULL);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static struct drv_queue_settings unchanged(void)
{
    return (struct drv_queue_settings){-1, -1, -1, -1, -1, -1, -1, -1, -1};
}

static void queue_set(struct bench *bench, const char *queue,
                      struct drv_queue_settings settings)
{
    queue_ask(bench, 1, DRV_QUEUE_SET, queue, &settings);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static struct drv_spec spec_in(const char *queue)
{
    struct drv_spec spec = watched("work");
    spec.queue = text(queue);
    return spec;
}

static uint64_t purged(struct bench *bench)
{
    const struct drv_reply *answer = reply(bench, 1);
    assert_ok(answer->code);
    return (uint64_t)answer->number;
}

/* --- pause ------------------------------------------------------------------------------- */

/* A paused queue takes tasks and starts none; others go on; resumed it goes on where it was. */
static void test_paused_queue_starts_nothing_until_resumed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec paused = spec_in("paused"), other = spec_in("other");
    struct drv_ref refs[4];
    client(bench, 1);
    queue_done(bench, DRV_QUEUE_PAUSE, "paused");
    worker(bench, 2, "work", 4);
    submit(bench, 1, &paused, 100);
    submit(bench, 1, &paused, 101);
    submit(bench, 1, &other, 102);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    assert_int_equal(number_of(refs[0].id), 102);
    drop_all(bench, 1);
    queue_done(bench, DRV_QUEUE_RESUME, "paused");
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    assert_int_equal(number_of(refs[0].id), 100);
    assert_int_equal(number_of(refs[1].id), 101);
}

/* The pause outlives the last task of the queue. */
static void test_pause_is_kept_while_queue_is_empty(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    drop_all(bench, 1);
    queue_done(bench, DRV_QUEUE_PAUSE, "side");
    report_done(bench, 2, ref, "done");
    bench_turn(bench);
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
}

/* Only a queue that is there, if that is asked for: a mistyped name makes none. */
static void test_pause_of_a_known_queue_makes_none(void **state)
{
    struct bench *bench = *state;
    static const uint32_t ops[] = {DRV_QUEUE_PAUSE_KNOWN, DRV_QUEUE_RESUME_KNOWN};
    client(bench, 1);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        queue_ask(bench, 1, ops[i], "typo", NULL);
        bench_turn(bench);
        assert_int_equal(reply(bench, 1)->code, DROVER_UNKNOWN);
    }
    struct drv_spec spec = spec_in("side");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    queue_done(bench, DRV_QUEUE_PAUSE_KNOWN, "side");
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    queue_done(bench, DRV_QUEUE_RESUME_KNOWN, "side");
    (void)leased(bench, 2);
}

/* What is pushed back by a lost worker does not leave a paused queue either. */
static void test_paused_queue_keeps_what_comes_back(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    (void)leased(bench, 2);
    drop_all(bench, 1);
    queue_done(bench, DRV_QUEUE_PAUSE, "side");
    gone(bench, 2);
    worker(bench, 3, "work", 1);
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(counters(bench).requeued_free, 1);
    expect_none(bench, 3, DRV_LEASE);
}

/* --- purge ------------------------------------------------------------------------------- */

/* What waits is cancelled, what runs goes on, other queues are left alone. */
static void test_purge_cancels_what_waits(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side"), later = spec_in("side"), other = spec_in("other");
    later.delay_ms = 60000;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_many(bench, 1, &spec, 100, 3, "payload");
    submit(bench, 1, &later, 110);
    submit(bench, 1, &other, 120);
    bench_turn(bench);
    report_started(bench, 2, leased(bench, 2));
    bench_turn(bench);
    drop_all(bench, 1);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    bench_turn(bench);
    assert_int_equal(purged(bench), 3);
    struct core_counters now = counters(bench);
    assert_int_equal(now.cancelled, 3);
    assert_int_equal(now.running, 1);
    assert_int_equal(now.queued, 1);
    assert_int_equal(now.delayed, 0);
}

/* The reply waits for what a worker holds and has not started; that counts as purged, too. */
static void test_purge_asks_back_what_is_assigned(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_many(bench, 1, &spec, 100, 2, "payload");
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_ref ref = leased(bench, 2);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 1);
    expect_none(bench, 1, DRV_REPLY);
    (void)expect(bench, 2, DRV_ABORT);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(purged(bench), 2);
    assert_int_equal(counters(bench).cancelled, 2);
    expect_none(bench, 2, DRV_LEASE);
}

/* What was submitted behind the purge stays, even in the same turn and with a delay. */
static void test_purge_spares_what_came_later(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side"), later = spec_in("side");
    later.delay_ms = 1000;
    client(bench, 1);
    submit(bench, 1, &spec, 100);
    submit(bench, 1, &later, 101);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    submit(bench, 1, &spec, 102);
    submit(bench, 1, &later, 103);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 2);
    assert_int_equal(counters(bench).queued, 1);
    assert_int_equal(counters(bench).delayed, 1);
}

/* Elements that wait are purged; those that run and those to come are not. */
static void test_purge_of_array_elements(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    struct drv_ref refs[4];
    struct drv_outcome ends[16];
    client(bench, 1);
    worker(bench, 2, "work", 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 5);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    bench_turn(bench);
    assert_int_equal(purged(bench), 4);
    array_filled(bench, 1, 100, 5, 1);
    array_sealed(bench, 1, 100, 6);
    drop_all(bench, 1);
    report_done(bench, 2, refs[0], "done");
    bench_turn(bench);
    struct drv_ref last = leased(bench, 2);
    assert_int_equal(last.index, 5);
    report_done(bench, 2, last, "done");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 16), 3);
    assert_int_equal(ends[2].index, DROVER_INDEX_NONE);
    assert_int_equal(counters(bench).succeeded, 2);
    assert_int_equal(counters(bench).cancelled, 4);
}

/* A deep queue is purged in slices, between which others are served. */
static void test_purge_of_deep_queue_goes_in_slices(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side"), other = spec_in("other");
    const uint32_t count = 20 * 1024;
    client(bench, 1);
    client(bench, 3);
    spec.flags = other.flags = 0;
    for (uint32_t first = 0; first < count; first += 1024) {
        submit_many(bench, 1, &spec, 1000 + first, 1024, "payload");
        bench_turn(bench);
        expect_ok(bench, 1);
    }
    array_of(bench, 1, &spec, 100, count);
    bench_turn(bench);
    drop_all(bench, 1);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    bench_tick(bench);
    assert_true(bench->wants <= bench->now);
    assert_true(counters(bench).cancelled < count);
    submit(bench, 3, &other, 1);
    bench_tick(bench);
    expect_ok(bench, 3);
    expect_none(bench, 1, DRV_REPLY);
    bench_turn(bench);
    assert_int_equal(purged(bench), 2 * count);
    assert_int_equal(counters(bench).queued, 1);
}

/* Nobody waits any more, and the purge goes on. */
static void test_purge_goes_on_when_its_client_is_gone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    const uint32_t count = 12 * 1024;
    client(bench, 1);
    array_of(bench, 1, &spec, 100, count);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 1, &goodbye);
    bench_turn(bench);
    assert_int_equal(counters(bench).queued, 0);
    assert_int_equal(counters(bench).cancelled, count);
}

static void test_purge_of_empty_queue_is_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "nowhere", NULL);
    bench_turn(bench);
    assert_int_equal(purged(bench), 0);
}

/* Too many purges of one queue at the same time are busy. */
static void test_too_many_purges_are_busy(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    client(bench, 1);
    client(bench, 3);
    array_of(bench, 1, &spec, 100, 12 * 1024);
    for (int i = 0; i < 8; i++) {
        queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    }
    queue_ask(bench, 3, DRV_QUEUE_PURGE, "side", NULL);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 3);
    assert_int_equal(answer->code, DROVER_BUSY);
    assert_true(answer->retry_after_ms > 0);
    assert_int_equal(counters(bench).queued, 0);
}

/* A broker without memory for more can still be told to purge what fills it. */
static void test_full_broker_can_be_purged(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    client(bench, 1);
    bench_turn(bench);
    bench->config.memory_max = core_memory_bytes(bench->core) + 64 * 1024;
    core_destroy(&bench->core);
    drop_all(bench, 1);
    memset(&bench->boxes[1], 0, sizeof bench->boxes[1]);
    bench_start(bench);
    client(bench, 1);
    submit_many(bench, 1, &spec, 100, 1000, "payload");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_true(answer->note_count > 0);
    assert_int_equal(answer->notes[0].code, DROVER_BUSY);
    queue_ask(bench, 1, DRV_QUEUE_PAUSE, "another", NULL);
    bench_turn(bench);
    expect_refused(bench, 1, DROVER_BUSY);
    queue_ask(bench, 1, DRV_QUEUE_PURGE, "side", NULL);
    bench_turn(bench);
    assert_int_equal(purged(bench), counters(bench).cancelled);
    assert_int_equal(counters(bench).queued, 0);
}

/* --- limits ------------------------------------------------------------------------------ */

/* A limit refuses what is beyond it as busy; lifted it does not. */
static void test_length_limit_refuses_until_lifted(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    struct drv_queue_settings settings = unchanged();
    client(bench, 1);
    settings.max_count = 2;
    queue_set(bench, "side", settings);
    submit_many(bench, 1, &spec, 100, 3, "payload");
    bench_turn(bench);
    expect_note(bench, 1, 2, DROVER_BUSY);
    settings.max_count = 0;
    queue_set(bench, "side", settings);
    submit_many(bench, 1, &spec, 102, 3, "payload");
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).queued, 5);
}

/* The bytes of what has not ended are limited, too. */
static void test_byte_limit_refuses(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_in("side");
    struct drv_queue_settings settings = unchanged();
    client(bench, 1);
    settings.max_bytes = 10;
    queue_set(bench, "side", settings);
    submit_many(bench, 1, &spec, 100, 3, "1234");
    bench_turn(bench);
    expect_note(bench, 1, 2, DROVER_BUSY);
}

/* Queues share a worker as their weights say. */
static void test_weights_share_the_workers(void **state)
{
    struct bench *bench = *state;
    struct drv_spec heavy = spec_in("heavy"), light = spec_in("light");
    struct drv_queue_settings settings = unchanged();
    unsigned counts[2] = {0, 0};
    client(bench, 1);
    settings.weight = 3;
    queue_set(bench, "heavy", settings);
    submit_many(bench, 1, &heavy, 1000, 40, "payload");
    submit_many(bench, 1, &light, 2000, 40, "payload");
    bench_turn(bench);
    worker(bench, 2, "work", 1);
    for (int i = 0; i < 40; i++) {
        struct drv_ref ref = leased(bench, 2);
        counts[number_of(ref.id) >= 2000]++;
        struct drv_result done = {.ref = ref,
                                  .outcome = DRV_OUTCOME_SUCCEEDED,
                                  .val = val_nil(),
                                  .error = {.exit_code = -1},
                                  .run_us = 1000000}; /* too long to be prefetched */
        report(bench, 2, &done);
        bench_turn(bench);
    }
    assert_in_range(counts[0], 29, 31);
    assert_in_range(counts[1], 9, 11);
}

static void test_what_makes_no_sense_is_said(void **state)
{
    struct bench *bench = *state;
    struct drv_queue_settings settings = unchanged();
    client(bench, 1);
    settings.rate = INT64_MAX;
    queue_ask(bench, 1, DRV_QUEUE_SET, "side", &settings);
    bench_turn(bench);
    expect_refused(bench, 1, DROVER_INVALID);
    queue_ask(bench, 1, DRV_QUEUE_SET, "side", NULL);
    bench_turn(bench);
    expect_refused(bench, 1, DROVER_INVALID);
    queue_ask(bench, 1, 17, "side", NULL);
    bench_turn(bench);
    assert_int_not_equal(reply(bench, 1)->code, DROVER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_paused_queue_starts_nothing_until_resumed),
        BENCH_TEST(test_pause_is_kept_while_queue_is_empty),
        BENCH_TEST(test_pause_of_a_known_queue_makes_none),
        BENCH_TEST(test_paused_queue_keeps_what_comes_back),
        BENCH_TEST(test_purge_cancels_what_waits),
        BENCH_TEST(test_purge_asks_back_what_is_assigned),
        BENCH_TEST(test_purge_spares_what_came_later),
        BENCH_TEST(test_purge_of_array_elements),
        BENCH_TEST(test_purge_of_deep_queue_goes_in_slices),
        BENCH_TEST(test_purge_goes_on_when_its_client_is_gone),
        BENCH_TEST(test_purge_of_empty_queue_is_nothing),
        BENCH_TEST(test_too_many_purges_are_busy),
        BENCH_TEST(test_full_broker_can_be_purged),
        BENCH_TEST(test_length_limit_refuses_until_lifted),
        BENCH_TEST(test_byte_limit_refuses),
        BENCH_TEST(test_weights_share_the_workers),
        BENCH_TEST(test_what_makes_no_sense_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
