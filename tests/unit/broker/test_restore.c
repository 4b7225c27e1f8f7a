/* Restore: what was written down makes the same broker again. */
#include "check.h"
#include "restore_story.h"

/* --- stories ----------------------------------------------------------------------------- */

/* A task that waits is there again, with its options and its payload, and runs. */
static void test_task_waiting_runs_after_restart(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.priority = -7;
    spec.retries = 3;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(number_of(ref.id), 1);
    report_done(bench, 2, ref, "answer");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    expect_restorable(bench);
}

/* The owner gets the result of what ended while it was away, once. */
static void test_result_unread_is_delivered_after_restart(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    bench->boxes[1].holds_tokens = true;
    report_done(bench, 2, leased(bench, 2), "answer");
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    assert_true(welcomed(bench, 1)->resumed);
    assert_true(val_is(&result(bench, 1)->val, "answer"));
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    expect_none(bench, 1, DRV_RESULTS);
}

static void attach(struct bench *bench, uint32_t peer, const struct drv_attached *leases,
                   size_t count)
{
    struct worker_options options = {
        .types = {"work"}, .slots = 4, .lease_count = (uint32_t)count};
    hello_worker(bench, peer, 8002, &options);
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach.leases = leases;
    message.attach.lease_count = count;
    speak(bench, peer, &message);
    bench_turn(bench);
    (void)welcomed(bench, peer);
}

/* Running work is adopted; what was never delivered goes back free of charge. */
static void test_lease_listed_is_adopted_unlisted_is_free(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    struct drv_spec spec = watched("work");
    submit_many(bench, 1, &spec, 1, 2, "payload");
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).running, 1);
    struct drv_attached listed = {
        .id = refs[0].id, .index = refs[0].index, .attempt = refs[0].attempt, .state = 2};
    attach(bench, 3, &listed, 1);
    assert_int_equal(counters(bench).running, 1);
    assert_int_equal(counters(bench).requeued_free, 1);
    struct drv_ref again = leased(bench, 3);
    assert_int_equal(number_of(again.id), number_of(refs[1].id));
    assert_int_equal(again.attempt, 2);
    report_done(bench, 3, refs[0], "answer");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).charged, 0);
    expect_restorable(bench);
}

/* A worker that does not come back is lost when the window closes: what ran is charged. */
static void test_worker_missing_is_lost_after_window(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    report_started(bench, 2, leased(bench, 2));
    bench_turn(bench);
    reborn(bench);
    bench_pass(bench, bench->config.reattach_us - SECOND);
    assert_int_equal(counters(bench).running, 1);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).queued, 1);
    assert_int_equal(counters(bench).charged, 1);
    expect_restorable(bench);
}

/* A request that is sent again is answered from what was kept, and has no second effect. */
static void test_request_resent_takes_effect_once(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 5};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 5);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 5};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 5);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 6);
    expect_restorable(bench);
}

/* An array is opened and watched in one request; sent again after a restart it is not opened
 * again, but watched. */
static void test_request_resent_watches_again(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    array_open_with(bench, 1, &spec, 1, val_nil());
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    array_open_with(bench, 1, &spec, 1, val_nil());
    expect_ok(bench, 1);
    array_filled(bench, 1, 1, 0, 1);
    array_sealed(bench, 1, 1, 1);
    cancel(bench, 1, 1);
    bench_turn(bench);
    struct drv_outcome ends[4];
    assert_int_equal(outcomes(bench, 1, ends, 4), 2);
}

/* What ended before a crash is not dropped for room before the client that waits for it had
 * time to come back and watch it again; then it may be. */
static void test_what_ended_awaits_its_watcher(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    array_open_with(bench, 1, &spec, 1, val_nil());
    expect_ok(bench, 1);
    bench->boxes[1].holds_tokens = true;
    cancel(bench, 1, 1);
    bench_turn(bench);
    bench_pass(bench, SECOND);
    bench->config.keep_count_max = 0;
    reborn(bench);
    bench_pass(bench, SECOND);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    array_open_with(bench, 1, &spec, 1, val_nil());
    expect_ok(bench, 1);
    bench_turn(bench);
    struct drv_outcome ends[4];
    assert_int_equal(outcomes(bench, 1, ends, 4), 1);
    assert_int_equal(ends[0].state, DROVER_STATE_CANCELLED);
}

/* An array that has ended and was forgotten before its client came back for the answer: nothing
 * would ever come of it, so the answer says that it is not known. */
static void test_what_was_forgotten_is_not_waited_for(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.keep_ms = 1000;
    array_open_with(bench, 1, &spec, 1, val_nil());
    cancel(bench, 1, 1);
    bench_turn(bench);
    reborn(bench);
    bench_pass(bench, 5 * SECOND);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    array_open_with(bench, 1, &spec, 1, val_nil());
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->code, DROVER_UNKNOWN);
}

/* The same of a task. */
static void test_task_that_was_forgotten_is_not_waited_for(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.keep_ms = 1000;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    client(bench, 2);
    cancel(bench, 2, 1);
    bench_turn(bench);
    reborn(bench);
    bench_pass(bench, 5 * SECOND);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
}

/* Remarks of a refused entry come again with their texts. */
static void test_reply_keeps_remarks(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    drop_all(bench, 1);
    submit_many(bench, 1, &spec, 1, 2, "another");
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench->boxes[1].req = 1;
    submit_many(bench, 1, &spec, 1, 2, "another");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 1);
    assert_true(str_is(answer->notes[0].text, "there is another task with this id"));
}

/* Elements in every state: succeeded, failed, held, waiting for another attempt, not begun. */
static void test_array_in_all_states_is_restored(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    array_open_with(bench, 1, &spec, 1, val_of("shared"));
    expect_ok(bench, 1);
    array_filled(bench, 1, 1, 0, 10);
    array_filled(bench, 1, 1, 10, 3);
    bench_turn(bench);
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 4);
    report_done(bench, 2, refs[0], "result");
    report_failed(bench, 2, refs[1], DRV_ERROR_PERMANENT);
    report_failed(bench, 2, refs[2], 0);
    report_started(bench, 2, refs[3]);
    bench_turn(bench);
    expect_restorable(bench);
    array_sealed(bench, 1, 1, 13);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).failed, 1);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench->boxes[1].req = 100;
    targets_request(bench, 1, DRV_CANCEL, 1, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_restorable(bench);
    bench_pass(bench, bench->config.reattach_us + SECOND);
    assert_int_equal(counters(bench).cancelled, 11);
    expect_restorable(bench);
}

/* An array whose client is gone for good before it was sealed is cancelled, also when the
 * broker died before it had come to that. */
static void test_array_open_of_ended_session_is_cancelled(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    array_opened(bench, 1, &spec, 1);
    array_filled(bench, 1, 1, 0, 5);
    size_t count = bench->log.count;
    struct drv_message message = {.kind = DRV_GOODBYE};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_true(bench->log.count > count);
    expect_restorable(bench);
    reborn(bench);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 5);
    expect_restorable(bench);
}

/* Delays go on by the wall clock, and never for longer than they were. */
static void test_delay_goes_on_by_the_wall_clock(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 10000;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    bench->now += 4 * SECOND; /* the broker is down */
    reborn(bench);
    assert_int_equal(counters(bench).delayed, 1);
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(counters(bench).delayed, 1);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).queued, 1);
    expect_restorable(bench);
}

/* Shared data keep version and time to live; a deleted key does not come back, and its
 * versions are not used again. */
static void test_shared_data_keep_versions(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){
        .op = DRV_KV_SET, .key = text("a"), .val = val_of("1"), .ttl_ms = 5000};
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("b"), .val = val_of("2")};
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_DELETE, .key = text("b"), .val = val_nil()};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    client(bench, 3);
    message = request(bench, 3, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("b"), .val = val_of("3")};
    speak(bench, 3, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 3)->number, 3);
    bench_pass(bench, 6 * SECOND);
    message = request(bench, 3, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_GET, .key = text("a"), .val = val_nil()};
    speak(bench, 3, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 3)->code, DROVER_UNKNOWN);
}

/* A paused queue stays paused. */
static void test_queue_settings_are_kept(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE, .queue = text("default")};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_restorable(bench);
    reborn(bench);
    worker(bench, 2, "work", 1);
    client(bench, 3);
    struct drv_spec spec = spec_of("work");
    submit(bench, 3, &spec, 1);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    expect_restorable(bench);
}

/* Tasks of level memory cost the store nothing, and do not wait for it. */
static void test_memory_task_is_not_recorded(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = watched("work");
    spec.durability = DROVER_DURABILITY_MEMORY;
    size_t before = bench->log.count;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    for (size_t i = before; i < bench->log.count; i++) {
        assert_int_not_equal(bench->log.records[i].kind, CORE_SAVE_TASK);
    }
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_MEMORY);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
}

/* A turn of which not all records are there did not happen; nor does it happen later. */
static void test_turn_cut_short_did_not_happen(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    size_t before = bench->log.count;
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 1, 3, "payload");
    bench_turn(bench);
    assert_true(bench->log.count >= before + 4); /* three tasks and the reply */
    while (bench->log.count > before + 2) {
        free((void *)bench->log.records[--bench->log.count].body);
        bench->log.lsn--;
    }
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
    bench_turn(bench);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
}

/* An element that shares its state with its run cannot wait for anything: only what was given
 * to a worker can, by AWAIT. Records that say so are damaged. */
static void test_edges_of_an_element_never_given_are_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    array_of(bench, 1, &spec, 300, 3);
    submit(bench, 1, &spec, 100);
    struct drv_after after = {.id = id_of(100), .index = DROVER_INDEX_NONE, .when = 1};
    spec.after = &after;
    spec.after_count = 1;
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    targets_request(bench, 1, DRV_CANCEL, 200, DROVER_INDEX_NONE);
    bench_turn(bench);
    size_t edges = 0; /* that the cancelled one does not miss */
    for (size_t i = 0; i < bench->log.count; i++) {
        struct core_saved *saved = &bench->log.records[i];
        if (saved->kind == CORE_SAVE_AFTER) {
            saved->id = id_of(300);
            saved->index = 1;
            edges++;
        }
    }
    assert_true(edges > 0);
    struct core *core = NULL;
    const char *why = NULL;
    assert_int_equal(restored(bench, bench->log.count, &core, &why), DROVER_MALFORMED);
    assert_string_equal(why, "an element that was never given waits for others");
    core_destroy(&core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_edges_of_an_element_never_given_are_refused),
        DURABLE_TEST(test_task_waiting_runs_after_restart),
        DURABLE_TEST(test_result_unread_is_delivered_after_restart),
        DURABLE_TEST(test_lease_listed_is_adopted_unlisted_is_free),
        DURABLE_TEST(test_worker_missing_is_lost_after_window),
        DURABLE_TEST(test_request_resent_takes_effect_once),
        DURABLE_TEST(test_request_resent_watches_again),
        DURABLE_TEST(test_what_was_forgotten_is_not_waited_for),
        DURABLE_TEST(test_task_that_was_forgotten_is_not_waited_for),
        DURABLE_TEST(test_what_ended_awaits_its_watcher),
        DURABLE_TEST(test_reply_keeps_remarks),
        DURABLE_TEST(test_array_in_all_states_is_restored),
        DURABLE_TEST(test_array_open_of_ended_session_is_cancelled),
        DURABLE_TEST(test_delay_goes_on_by_the_wall_clock),
        DURABLE_TEST(test_shared_data_keep_versions),
        DURABLE_TEST(test_queue_settings_are_kept),
        DURABLE_TEST(test_memory_task_is_not_recorded),
        DURABLE_TEST(test_turn_cut_short_did_not_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
