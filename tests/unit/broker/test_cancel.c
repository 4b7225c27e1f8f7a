/*
 * Cancel: its races, each decided both ways.
 */
#include "array_story.h"

static void setup_pair(struct bench *bench)
{
    client(bench, 1);
    worker(bench, 2, "work", 1);
}

static struct drv_ref begin(struct bench *bench, uint32_t number)
{
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    drop_all(bench, 1);
    return leased(bench, 2);
}

static void expect_abort(struct bench *bench, uint32_t peer, struct drv_ref ref, uint32_t code)
{
    const struct drv_message *message = expect(bench, peer, DRV_ABORT);
    assert_int_equal(message->abort.lease_count, 1);
    assert_int_equal(message->abort.leases[0].code, code);
    assert_int_equal(number_of(message->abort.leases[0].ref.id), number_of(ref.id));
    assert_int_equal(message->abort.leases[0].ref.attempt, ref.attempt);
}

/* A task that waits in line ends at once and never runs. */
static void test_cancel_of_queued_task_ends_it_at_once(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_CANCELLED);
    assert_int_equal(outcome->error.kind, DROVER_ERROR_CANCELLED);
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
}

/* The reply waits for the worker: it had not started, so the task ends without having run. */
static void test_cancel_of_assigned_task_returned_is_cancelled(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    expect_abort(bench, 2, ref, DROVER_CANCELLED);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_CANCELLED);
}

/* It had started: the reply comes, the task is cancelled when the worker says that it is gone.
 */
static void test_cancel_of_assigned_task_started_is_cancelling(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    report_started(bench, 2, ref);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).running, 1);
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_CANCELLED);
}

/* A running task is told; a result that comes after the cancel does not count. */
static void test_cancel_before_result_wins(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    report_started(bench, 2, ref);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_abort(bench, 2, ref, DROVER_CANCELLED);
    report_done(bench, 2, ref, "too late");
    bench_turn(bench);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_CANCELLED);
    assert_true(outcome->val.is_nil);
    expect_none(bench, 2, DRV_ACK);
}

/* A result that was recorded before the cancel stays. */
static void test_result_before_cancel_wins(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    report_done(bench, 2, ref, "in time");
    cancel(bench, 1, 100);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_ok(answer->code);
    assert_int_equal(answer->number, 1); /* had ended already */
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_SUCCEEDED);
}

/* A worker that is lost while it should stop leaves the end unconfirmed. */
static void test_cancel_on_lost_worker_is_unconfirmed(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    report_started(bench, 2, ref);
    cancel(bench, 1, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    gone(bench, 2);
    bench_pass(bench, 4 * SECOND);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_CANCELLED);
    assert_true(outcome->error.flags & DRV_ERROR_UNCONFIRMED);
}

/* The reply about an assigned task also comes when its worker is lost. */
static void test_cancel_reply_comes_when_worker_is_lost(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    (void)begin(bench, 100);
    cancel(bench, 1, 100);
    gone(bench, 2);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    bench_pass(bench, 4 * SECOND);
    expect_ok(bench, 1);
}

/* Two who cancel the same assigned task both wait for the same answer. */
static void test_cancel_twice_both_wait(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    client(bench, 3);
    struct drv_ref ref = begin(bench, 100);
    cancel(bench, 1, 100);
    cancel(bench, 3, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    expect_none(bench, 3, DRV_REPLY);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_ok(bench, 3);
}

/* A cancel whose time is used up while it waits is answered `timeout`; the cancel stands. */
static void test_cancel_budget_runs_out(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_ref ref = begin(bench, 100);
    expect_ok(bench, 1);
    struct drv_target target = {.id = id_of(100), .index = DROVER_INDEX_NONE};
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.request.budget_ms = 200;
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, 1, &message);
    bench_pass(bench, 199 * MS);
    expect_none(bench, 1, DRV_REPLY);
    bench_pass(bench, 2 * MS);
    assert_int_equal(reply(bench, 1)->code, DROVER_TIMEOUT);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* What is not known gets a note, the rest is cancelled. */
static void test_cancel_of_unknown_task_is_noted(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_target targets[] = {{.id = id_of(1), .index = DROVER_INDEX_NONE},
                                   {.id = id_of(100), .index = DROVER_INDEX_NONE}};
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.targets.targets = targets;
    message.targets.target_count = 2;
    speak(bench, 1, &message);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].position, 0);
    assert_int_equal(answer->notes[0].code, DROVER_UNKNOWN);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* A task that waits for its retry is cancelled at once. */
static void test_cancel_of_task_waiting_for_retry(void **state)
{
    struct bench *bench = *state;
    setup_pair(bench);
    struct drv_spec spec = watched("work");
    spec.retries = 3;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0);
    bench_turn(bench);
    drop_all(bench, 1);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_CANCELLED);
}

/* Tasks that are to end with their session do. */
static void test_cancel_with_session(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.flags = DRV_SPEC_CANCEL_WITH_SESSION;
    submit(bench, 1, &spec, 100);
    struct drv_spec other = spec_of("work");
    submit(bench, 1, &other, 101);
    bench_turn(bench);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 1, &goodbye);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 1);
    assert_int_equal(counters(bench).queued, 1);
    assert_true(bench->boxes[1].is_closed);
}

/* However many they are: in slices, so that nobody waits for it. */
static void test_cancel_with_session_of_many(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.flags = DRV_SPEC_CANCEL_WITH_SESSION;
    for (uint32_t i = 0; i < 6; i++) {
        submit_many(bench, 1, &spec, 1000 + i * 1000, 1000, "x");
    }
    bench_turn(bench);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 1, &goodbye);
    bench_tick(bench);
    assert_in_range(counters(bench).cancelled, 1, 5999);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 6000);
}

/* --- reasons ----------------------------------------------------------------------------- */

static void cancel_because(struct bench *bench, uint32_t number, const char *group,
                           const char *reason)
{
    struct drv_target target = {.id = id_of(number), .index = DROVER_INDEX_NONE};
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.targets = (struct drv_targets){.targets = &target,
                                           .target_count = group == NULL,
                                           .text = text(reason),
                                           .group = text(group)};
    speak(bench, 1, &message);
    bench_turn(bench);
}

static void expect_reason(struct bench *bench, size_t count, const char *wanted)
{
    struct drv_outcome ends[8];
    assert_int_equal(outcomes(bench, 1, ends, 8), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ends[i].state, DROVER_STATE_CANCELLED);
        if (count < 4 || ends[i].index != DROVER_INDEX_NONE) { /* an array counts */
            assert_int_equal(ends[i].error.text.len, strlen(wanted));
            assert_memory_equal(ends[i].error.text.ptr, wanted, strlen(wanted));
        }
    }
}

/* What waits and what runs, which has to be stopped first. */
static void test_reason_is_told(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    client(bench, 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    cancel_because(bench, 100, NULL, "enough");
    expect_reason(bench, 1, "cancelled by request: enough");
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    bench_turn(bench);
    cancel_because(bench, 101, NULL, "not wanted");
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    expect_reason(bench, 1, "cancelled by request: not wanted");
}

/* Of an array and of a group, whose elements and tasks are many. */
static void test_reason_is_told_to_all(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    client(bench, 1);
    array_of(bench, 1, &spec, 100, 3);
    bench_turn(bench);
    cancel_because(bench, 100, NULL, "wrong input");
    expect_reason(bench, 4, "cancelled by request: wrong input");
    spec.group = text("g");
    submit_many(bench, 1, &spec, 201, 2, "x");
    bench_turn(bench);
    cancel_because(bench, 0, "g", "late");
    expect_reason(bench, 2, "cancelled by request: late");
}

/* One that is too long ends with a whole character. */
static void test_long_reason_is_cut(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    struct drv_outcome end;
    char reason[1001] = "";
    for (size_t i = 0; i < 1000; i += 2) {
        memcpy(reason + i, "\xC3\xA4", 2);
    }
    client(bench, 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    cancel_because(bench, 100, NULL, reason);
    assert_int_equal(outcomes(bench, 1, &end, 1), 1);
    assert_in_range(end.error.text.len, 300, 320);
    assert_true((end.error.text.len - strlen("cancelled by request: ")) % 2 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_cancel_of_queued_task_ends_it_at_once),
        BENCH_TEST(test_cancel_of_assigned_task_returned_is_cancelled),
        BENCH_TEST(test_cancel_of_assigned_task_started_is_cancelling),
        BENCH_TEST(test_cancel_before_result_wins),
        BENCH_TEST(test_result_before_cancel_wins),
        BENCH_TEST(test_cancel_on_lost_worker_is_unconfirmed),
        BENCH_TEST(test_cancel_reply_comes_when_worker_is_lost),
        BENCH_TEST(test_cancel_twice_both_wait),
        BENCH_TEST(test_cancel_budget_runs_out),
        BENCH_TEST(test_cancel_of_unknown_task_is_noted),
        BENCH_TEST(test_cancel_of_task_waiting_for_retry),
        BENCH_TEST(test_cancel_with_session),
        BENCH_TEST(test_cancel_with_session_of_many),
        BENCH_TEST(test_reason_is_told),
        BENCH_TEST(test_reason_is_told_to_all),
        BENCH_TEST(test_long_reason_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
