/*
 * Results: which count, which do not, and what a failure leads to.
 */
#include "check.h"
#include "fixture.h"

static void setup_peers(struct bench *bench)
{
    client(bench, 1);
    worker(bench, 2, "work", 1);
}

/* Submits one task and gives its lease at worker 2. */
static struct drv_ref begin(struct bench *bench, const struct drv_spec *spec, uint32_t number)
{
    submit(bench, 1, spec, number);
    bench_turn(bench);
    drop_all(bench, 1);
    return leased(bench, 2);
}

static const struct drv_note *only_note(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = expect(bench, peer, DRV_ACK);
    assert_int_equal(message->ack_notes.note_count, 1);
    return &message->ack_notes.notes[0];
}

/* A result that comes twice is settled without a word and changes nothing. */
static void test_result_repeated_is_ok(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    report_done(bench, 2, ref, "1");
    report_done(bench, 2, ref, "2");
    bench_turn(bench);
    expect_none(bench, 2, DRV_ACK);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).duplicate_results, 1);
}

/* A result of an attempt that was given to somebody else is stale. */
static void test_result_of_earlier_attempt_is_stale(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    struct drv_ref again = leased(bench, 2);
    assert_int_equal(again.attempt, 2);
    report_done(bench, 2, ref, "late");
    bench_turn(bench);
    const struct drv_note *note = only_note(bench, 2);
    assert_int_equal(note->code, DROVER_STALE);
    assert_int_equal(note->position, 0);
    assert_int_equal(note->seq, bench->boxes[2].seq);
    assert_int_equal(counters(bench).stale_results, 1);
    assert_int_equal(counters(bench).succeeded, 0);
}

static void report_progress(struct bench *bench, struct drv_ref ref, uint32_t permille)
{
    struct drv_progress progress = {.ref = ref, .permille = permille, .text = text("so far")};
    struct drv_message message = {.kind = DRV_REPORT};
    message.report.progress = &progress;
    message.report.progress_count = 1;
    speak(bench, 2, &message);
    bench_turn(bench);
}

/* Progress of an attempt that was given to somebody else is refused and counted; that of an
 * attempt which has just ended is a last word and no more. */
static void test_progress_of_earlier_attempt_is_stale(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    report_progress(bench, ref, 100);
    assert_int_equal(counters(bench).stale_progress, 0);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    struct drv_ref again = leased(bench, 2);
    report_progress(bench, ref, 900);
    assert_int_equal(counters(bench).stale_progress, 1);
    report_done(bench, 2, again, "answer");
    bench_turn(bench);
    report_progress(bench, again, 1000);
    assert_int_equal(counters(bench).stale_progress, 1);
}

/* An attempt that goes on although it was given to somebody else is counted, and told to stop.
 */
static void test_heartbeat_of_earlier_attempt_is_stale(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    struct drv_running running = {.ref = ref, .elapsed_ms = 1};
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    message.heartbeat.running = &running;
    message.heartbeat.running_count = 1;
    speak(bench, 2, &message);
    bench_turn(bench);
    assert_int_equal(counters(bench).stale_heartbeats, 0);
    expect_none(bench, 2, DRV_ABORT);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    (void)leased(bench, 2);
    speak(bench, 2, &message);
    bench_turn(bench);
    assert_int_equal(counters(bench).stale_heartbeats, 1);
    const struct drv_message *told = expect(bench, 2, DRV_ABORT);
    assert_int_equal(told->abort.lease_count, 1);
    assert_int_equal(told->abort.leases[0].code, DROVER_STALE);
    assert_int_equal(told->abort.leases[0].ref.attempt, ref.attempt);
}

/* One that does not read cannot make the broker gather what it would have to be told. */
static void test_stale_heartbeats_of_a_blocked_worker_cost_nothing(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_running running[64];
    struct drv_ref ref = begin(bench, &spec, 100);
    ref.attempt += 7;
    for (size_t i = 0; i < DRV_ARRAY_LEN(running); i++) {
        running[i] = (struct drv_running){.ref = ref, .elapsed_ms = 1};
    }
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    message.heartbeat.running = running;
    message.heartbeat.running_count = DRV_ARRAY_LEN(running);
    blocked(bench, 2, true);
    bench_turn(bench);
    uint64_t before = core_memory_bytes(bench->core);
    for (int i = 0; i < 20; i++) {
        speak(bench, 2, &message);
        bench_turn(bench);
    }
    assert_int_equal(core_memory_bytes(bench->core), before);
}

/* A result for a lease that another session holds is denied. */
static void test_result_from_other_session_is_denied(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    worker(bench, 3, "other", 1);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    report_done(bench, 3, ref, "forged");
    bench_turn(bench);
    assert_int_equal(only_note(bench, 3)->code, DROVER_DENIED);
    assert_int_equal(counters(bench).succeeded, 0);
    report_done(bench, 2, ref, "true");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
}

/* A result for a task that nobody knows is unknown. */
static void test_result_of_unknown_task_is_unknown(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_ref ref = {.id = id_of(1), .index = DROVER_INDEX_NONE, .attempt = 1};
    report_done(bench, 2, ref, "what");
    bench_turn(bench);
    assert_int_equal(only_note(bench, 2)->code, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).unknown_results, 1);
}

/* After a reconnect a worker gives no handle: id and attempt are enough. */
static void test_result_without_handle_is_taken(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    ref.handle = 0;
    report_done(bench, 2, ref, "1");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
}

/* A failure with retries left waits for its back-off and runs again with the next attempt. */
static void test_failure_is_retried_after_backoff(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = watched("work");
    spec.retries = 1;
    spec.backoff_ms = 2000;
    struct drv_ref ref = begin(bench, &spec, 100);
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    assert_int_equal(counters(bench).delayed, 1);
    assert_int_equal(counters(bench).retried, 1);
    expect_none(bench, 2, DRV_LEASE);
    bench_pass(bench, 999 * MS);
    expect_none(bench, 2, DRV_LEASE); /* at least half of the delay */
    bench_pass(bench, 1001 * MS);
    ref = leased(bench, 2);
    assert_int_equal(ref.attempt, 2);
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_FAILED);
    assert_int_equal(outcome->attempt, 2);
    assert_int_equal(outcome->error.kind, DROVER_ERROR_HANDLER);
    assert_true(str_is(outcome->error.code, "bad"));
    assert_true(str_is(outcome->error.text, "it failed"));
}

/* Delays double up to their maximum. */
static void test_backoff_doubles_up_to_its_maximum(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    spec.retries = 3;
    spec.backoff_ms = 1000;
    spec.backoff_max_ms = 2000;
    struct drv_ref ref = begin(bench, &spec, 100);
    const int64_t least[] = {500, 1000, 1000};
    const int64_t most[] = {1000, 2000, 2000};
    for (int i = 0; i < 3; i++) {
        report_failed(bench, 2, ref, 0);
        bench_turn(bench);
        int64_t failed = bench->now;
        const struct drv_message *message = NULL;
        while ((message = find(bench, 2, DRV_LEASE)) == NULL) {
            heartbeat(bench, 2);
            bench_pass(bench, 10 * MS);
        }
        ref = message->lease.groups[0].entries[0].ref;
        assert_in_range(bench->now - failed, least[i] * MS, (most[i] + 10) * MS);
    }
}

/* A permanent failure is not retried. */
static void test_permanent_failure_is_final(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    spec.retries = 5;
    struct drv_ref ref = begin(bench, &spec, 100);
    report_failed(bench, 2, ref, DRV_ERROR_PERMANENT);
    bench_turn(bench);
    assert_int_equal(counters(bench).failed, 1);
    assert_int_equal(counters(bench).retried, 0);
}

/* Results larger than what travels in one blob come back whole. */
static void test_large_result_comes_back(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = watched("work");
    struct drv_ref ref = begin(bench, &spec, 100);
    size_t len = 300 * 1024;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    struct drv_result done = {
        .ref = ref,
        .outcome = DRV_OUTCOME_SUCCEEDED,
        .val = {.bytes = bytes, .len = len, .content_type = text("application/octet-stream")},
        .error = {.exit_code = -1}};
    report(bench, 2, &done);
    bench_turn(bench);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->val.len, len);
    assert_memory_equal(outcome->val.bytes, bytes, len);
    assert_true(str_is(outcome->val.content_type, "application/octet-stream"));
    free(bytes);
}

/* What is kept goes when its time is over. */
static void test_result_is_forgotten_after_retention(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    spec.keep_ms = 5000;
    report_done(bench, 2, begin(bench, &spec, 100), "1");
    bench_pass(bench, 4900 * MS);
    struct drv_spec again = spec_of("work");
    submit(bench, 1, &again, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_CONFLICT);
    heartbeat(bench, 2);
    bench_pass(bench, 200 * MS);
    submit(bench, 1, &again, 100);
    bench_turn(bench);
    expect_ok(bench, 1); /* the id is free again */
    assert_int_equal(counters(bench).submitted, 2);
}

/* Too many results: the oldest go first. */
static void test_results_beyond_the_number_go_oldest_first(void **state)
{
    struct bench *bench = *state;
    core_destroy(&bench->core);
    bench->config.keep_count_max = 2;
    bench_start(bench);
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    for (uint32_t i = 0; i < 3; i++) {
        report_done(bench, 2, begin(bench, &spec, 100 + i), "1");
        bench_turn(bench);
    }
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_UNKNOWN);
    targets_request(bench, 1, DRV_FORGET, 101, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* What is kept for a retry counts as what is kept of a result does. */
static void test_payloads_for_a_retry_count_as_kept(void **state)
{
    struct bench *bench = *state;
    core_destroy(&bench->core);
    bench->config.keep_bytes_max = 20;
    bench_start(bench);
    setup_peers(bench);
    struct drv_spec spec = spec_of("work");
    for (uint32_t i = 0; i < 3; i++) { /* 7 bytes each: "payload" */
        report_failed(bench, 2, begin(bench, &spec, 100 + i), 0);
        bench_turn(bench);
    }
    targets_request(bench, 1, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_UNKNOWN);
    targets_request(bench, 1, DRV_FORGET, 101, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_payloads_for_a_retry_count_as_kept),
        BENCH_TEST(test_result_repeated_is_ok),
        BENCH_TEST(test_progress_of_earlier_attempt_is_stale),
        BENCH_TEST(test_heartbeat_of_earlier_attempt_is_stale),
        BENCH_TEST(test_stale_heartbeats_of_a_blocked_worker_cost_nothing),
        BENCH_TEST(test_result_of_earlier_attempt_is_stale),
        BENCH_TEST(test_result_from_other_session_is_denied),
        BENCH_TEST(test_result_of_unknown_task_is_unknown),
        BENCH_TEST(test_result_without_handle_is_taken),
        BENCH_TEST(test_failure_is_retried_after_backoff),
        BENCH_TEST(test_backoff_doubles_up_to_its_maximum),
        BENCH_TEST(test_permanent_failure_is_final),
        BENCH_TEST(test_large_result_comes_back),
        BENCH_TEST(test_result_is_forgotten_after_retention),
        BENCH_TEST(test_results_beyond_the_number_go_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
