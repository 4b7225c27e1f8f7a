/*
 * After a restart: leases that only their workers remember.
 *
 * The store of these stories keeps nothing: after a restart every task is unknown until it is
 * submitted again.
 */
#include "array_story.h"

/* A worker comes with one lease. state: 1 not started, 2 running, 3 finished. */
static void worker_with_lease(struct bench *bench, uint32_t peer, struct drv_ref ref,
                              uint32_t state, uint32_t slots)
{
    struct worker_options options = {.types = {"work"}, .slots = slots, .lease_count = 1};
    hello_worker(bench, peer, 8000 + peer, &options);
    struct drv_attached lease = {
        .id = ref.id, .index = ref.index, .attempt = ref.attempt, .state = state};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach = (struct drv_attach){.leases = &lease, .lease_count = 1};
    speak(bench, peer, &message);
    bench_turn(bench);
    (void)welcomed(bench, peer);
}

static struct drv_ref ref_of(uint32_t number, uint32_t index, uint32_t attempt)
{
    return (struct drv_ref){.id = id_of(number), .index = index, .attempt = attempt};
}

static void submit_now(struct bench *bench, uint32_t number)
{
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void expect_stale(struct bench *bench, uint32_t peer, uint32_t number)
{
    const struct drv_message *message = expect(bench, peer, DRV_ABORT);
    assert_int_equal(message->abort.lease_count, 1);
    assert_int_equal(message->abort.leases[0].code, DROVER_STALE);
    assert_int_equal(number_of(message->abort.leases[0].ref.id), number);
}

/* The client asks for what an earlier life of the broker acknowledged. */
static void watch_from_before(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_target target = {.id = id_of(number),
                                .index = DROVER_INDEX_NONE,
                                .epoch = bench->config.epoch - 1,
                                .level = DROVER_DURABILITY_MEMORY};
    struct drv_message message = request(bench, peer, DRV_WATCH);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* --- adopting ---------------------------------------------------------------------------- */

/* A submit that comes again attaches to the attempt that runs; nothing runs twice. */
static void test_submit_again_adopts_running_attempt(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 7);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 2, 4);
    expect_none(bench, 2, DRV_ABORT);
    client(bench, 1);
    submit_now(bench, 100);
    assert_int_equal(counters(bench).running, 1);
    expect_none(bench, 2, DRV_LEASE);
    report_done(bench, 2, ref, "done");
    bench_turn(bench);
    expect_none(bench, 2, DRV_ACK);
    const struct drv_outcome *end = result(bench, 1);
    assert_int_equal(end->state, DROVER_STATE_SUCCEEDED);
    assert_int_equal(end->attempt, 7);
    assert_true(val_is(&end->val, "done"));
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).lost_at_restart, 0);
    assert_int_equal(counters(bench).submitted, 1);
}

/* One that has not started is adopted as assigned; it can still be cancelled before it starts.
 */
static void test_submit_again_adopts_assigned_attempt(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 1, 4);
    client(bench, 1);
    submit_now(bench, 100);
    assert_int_equal(counters(bench).queued, 1);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    (void)expect(bench, 2, DRV_ABORT);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* What a worker said to have started while its lease was parked is known when it is adopted. */
static void test_started_while_parked_is_remembered(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 1, 4);
    report_started(bench, 2, ref);
    client(bench, 1);
    submit_now(bench, 100);
    assert_int_equal(counters(bench).running, 1);
}

/* The same when it says so by attaching anew. */
static void test_started_before_reconnect_is_remembered(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 1, 4);
    gone(bench, 2);
    worker_with_lease(bench, 2, ref, 2, 4);
    client(bench, 1);
    submit_now(bench, 100);
    assert_int_equal(counters(bench).running, 1);
}

/* One that waits for GO gets it when it is adopted, and again when it asks again. */
static void test_adopted_lease_that_waits_for_go_may_run(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 1, 4);
    report_started(bench, 2, ref);
    bench_turn(bench);
    expect_none(bench, 2, DRV_GO);
    client(bench, 1);
    submit_now(bench, 100);
    const struct drv_message *go = expect(bench, 2, DRV_GO);
    assert_int_equal(go->leases.lease_count, 1);
    assert_int_equal(number_of(go->leases.leases[0].id), 100);
    report_started(bench, 2, ref);
    bench_turn(bench);
    (void)expect(bench, 2, DRV_GO);
    report_done(bench, 2, ref, "done");
    bench_turn(bench);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_SUCCEEDED);
}

/* Attempts go on from the number that the worker knows. */
static void test_attempts_go_on_after_adoption(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 3), 2, 1);
    client(bench, 1);
    submit_now(bench, 100);
    gone(bench, 2);
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(counters(bench).charged, 1);
    worker(bench, 4, "work", 1);
    bench_turn(bench);
    assert_int_equal(leased(bench, 4).attempt, 4);
}

/* Elements are adopted as they come; the others are handed out. */
static void test_items_again_adopt_running_elements(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_ref refs[4];
    struct drv_outcome ends[4];
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, 1, 2), 2, 2);
    client(bench, 1);
    array_open_with(bench, 1, &spec, 100, val_of("shared"));
    expect_ok(bench, 1);
    array_filled(bench, 1, 100, 0, 3);
    array_sealed(bench, 1, 100, 3);
    assert_int_equal(counters(bench).running, 1);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    assert_int_equal(refs[0].index, 0);
    report_done(bench, 2, ref_of(100, 1, 2), "done");
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs + 1, 3), 1);
    assert_int_equal(refs[1].index, 2);
    report_done(bench, 2, refs[0], "done");
    report_done(bench, 2, refs[1], "done");
    bench_turn(bench);
    assert_int_equal(outcomes(bench, 1, ends, 4), 4);
    assert_int_equal(ends[0].index, 1);
    assert_int_equal(ends[0].attempt, 2);
    assert_int_equal(ends[3].state, DROVER_STATE_SUCCEEDED);
}

/* An adopted lease takes the room of a type with a limit. */
static void test_adopted_lease_counts_against_limit_of_type(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    struct worker_options options = {
        .types = {"work"}, .slots = 4, .lease_count = 1, .concurrency = 1};
    bench_restart(bench);
    hello_worker(bench, 2, 8002, &options);
    struct drv_attached lease = {.id = ref.id, .index = ref.index, .attempt = 1, .state = 2};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach = (struct drv_attach){.leases = &lease, .lease_count = 1};
    speak(bench, 2, &message);
    bench_turn(bench);
    (void)welcomed(bench, 2);
    client(bench, 1);
    submit_now(bench, 100);
    submit_now(bench, 101);
    expect_none(bench, 2, DRV_LEASE);
    report_done(bench, 2, ref, "done");
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
}

/* --- losing ------------------------------------------------------------------------------ */

/* What nobody submits again before the window closes is stopped, and counted as lost once. */
static void test_parked_lease_is_lost_when_window_closes(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 2, 4);
    for (int i = 0; i < 14; i++) {
        heartbeat(bench, 2);
        bench_pass(bench, SECOND);
    }
    expect_none(bench, 2, DRV_ABORT);
    assert_int_equal(counters(bench).submitted, 0);
    heartbeat(bench, 2);
    bench_pass(bench, 2 * SECOND);
    expect_stale(bench, 2, 100);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    assert_int_equal(counters(bench).submitted, 1);
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    const struct drv_message *note = expect(bench, 2, DRV_ACK);
    assert_int_equal(note->ack_notes.notes[0].code, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).lost_at_restart, 1);
}

/* Until then it takes a slot of its worker. */
static void test_parked_lease_takes_a_slot(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[4];
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 1), 2, 2);
    client(bench, 1);
    submit_now(bench, 200);
    submit_now(bench, 201);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
    heartbeat(bench, 2);
    bench_pass(bench, 8 * SECOND);
    heartbeat(bench, 2);
    bench_pass(bench, 8 * SECOND);
    assert_int_equal(leases(bench, 2, refs, 4), 1);
}

/* A lease that comes when the window is over is stopped at once; it may be long forgotten. */
static void test_unknown_lease_after_window_is_stopped(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    bench_pass(bench, 16 * SECOND);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 1), 2, 4);
    bench_turn(bench);
    expect_stale(bench, 2, 100);
    assert_int_equal(counters(bench).lost_at_restart, 0);
}

/* The worker of a parked lease dies: nobody will ever know what became of the task. */
static void test_parked_lease_is_lost_with_its_worker(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 1), 2, 4);
    gone(bench, 2);
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    assert_int_equal(counters(bench).submitted, 1);
}

/* A result for a task that nobody submitted again is for nobody. */
static void test_result_of_parked_lease_is_unknown(void **state)
{
    struct bench *bench = *state;
    struct drv_ref ref = ref_of(100, DROVER_INDEX_NONE, 1);
    bench_restart(bench);
    worker_with_lease(bench, 2, ref, 2, 4);
    report_done(bench, 2, ref, "done");
    bench_turn(bench);
    const struct drv_message *note = expect(bench, 2, DRV_ACK);
    assert_int_equal(note->ack_notes.notes[0].code, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    assert_int_equal(counters(bench).unknown_results, 1);
}

/* Two workers cannot hold the same task: the second is told to stop. */
static void test_second_claim_is_stopped(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 2), 2, 4);
    worker_with_lease(bench, 3, ref_of(100, DROVER_INDEX_NONE, 1), 2, 4);
    bench_turn(bench);
    expect_stale(bench, 3, 100);
    expect_none(bench, 2, DRV_ABORT);
}

/* --- those who wait ---------------------------------------------------------------------- */

/* Who waits for a task that the restart took learns that, and it is counted once. */
static void test_watch_of_task_that_restart_took_is_lost(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    client(bench, 1);
    client(bench, 3);
    watch_from_before(bench, 1, 100);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_LOST);
    watch_from_before(bench, 3, 100);
    const struct drv_outcome *end = result(bench, 3);
    assert_int_equal(end->state, DROVER_STATE_LOST);
    assert_int_equal(end->error.kind, DROVER_ERROR_LOST);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    assert_int_equal(counters(bench).submitted, 1);
}

/* With the lease parked it is counted when that is decided, not before. */
static void test_watch_and_parked_lease_are_counted_once(void **state)
{
    struct bench *bench = *state;
    bench_restart(bench);
    worker_with_lease(bench, 2, ref_of(100, DROVER_INDEX_NONE, 1), 2, 4);
    client(bench, 1);
    watch_from_before(bench, 1, 100);
    assert_int_equal(counters(bench).lost_at_restart, 0);
    gone(bench, 2);
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).lost_at_restart, 1);
}

/* However many tasks were taken, what is remembered of them is bounded. */
static void test_memory_of_lost_tasks_is_bounded(void **state)
{
    struct bench *bench = *state;
    enum { BATCHES = 68 };
    static struct drv_target targets[DRV_BATCH_MAX];
    uint64_t full = 0;
    bench_restart(bench);
    client(bench, 1);
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        struct drv_message message = request(bench, 1, DRV_WATCH);
        for (uint32_t i = 0; i < DRV_BATCH_MAX; i++) {
            targets[i] = (struct drv_target){.id = id_of(batch * DRV_BATCH_MAX + i),
                                             .index = DROVER_INDEX_NONE,
                                             .epoch = bench->config.epoch - 1,
                                             .level = DROVER_DURABILITY_MEMORY};
        }
        message.targets = (struct drv_targets){.targets = targets,
                                               .target_count = DRV_BATCH_MAX};
        speak(bench, 1, &message);
        bench_turn(bench);
        drop_all(bench, 1);
        full = batch == BATCHES - 3 ? core_memory_bytes(bench->core) : full;
    }
    assert_int_equal(counters(bench).lost_at_restart, BATCHES * DRV_BATCH_MAX);
    assert_true(core_memory_bytes(bench->core) <= full + 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_submit_again_adopts_running_attempt),
        BENCH_TEST(test_submit_again_adopts_assigned_attempt),
        BENCH_TEST(test_started_while_parked_is_remembered),
        BENCH_TEST(test_started_before_reconnect_is_remembered),
        BENCH_TEST(test_adopted_lease_that_waits_for_go_may_run),
        BENCH_TEST(test_attempts_go_on_after_adoption),
        BENCH_TEST(test_items_again_adopt_running_elements),
        BENCH_TEST(test_adopted_lease_counts_against_limit_of_type),
        BENCH_TEST(test_parked_lease_is_lost_when_window_closes),
        BENCH_TEST(test_parked_lease_takes_a_slot),
        BENCH_TEST(test_unknown_lease_after_window_is_stopped),
        BENCH_TEST(test_parked_lease_is_lost_with_its_worker),
        BENCH_TEST(test_result_of_parked_lease_is_unknown),
        BENCH_TEST(test_second_claim_is_stopped),
        BENCH_TEST(test_watch_of_task_that_restart_took_is_lost),
        BENCH_TEST(test_watch_and_parked_lease_are_counted_once),
        BENCH_TEST(test_memory_of_lost_tasks_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
