/* What the broker wants of leases that a worker's session holds: RECALL, ABORT, GO. */
#include "session_fixture.h"

/* Recalled before it was given: returned. */
static void test_recall_of_a_waiting_lease_returns_it(void **state)
{
    struct fixture *f = fixture_serving();
    for (uint8_t task = 1; task <= 3; task++) {
        fixture_lease(f, task, 0);
    }
    fixture_turn(f);
    fixture_name_leases(f, DRV_RECALL, 3);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].ref.id.bytes[15], 3);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_RECALLED);
    fixture_destroy(f);
}

/* Recalled while the pool has it: the pool decides, and is asked once. */
static void test_recall_of_a_given_lease_asks_the_pool(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_lease(f, 2, 0);
    fixture_turn(f);
    uint64_t first = f->seen.runs[0].key;
    uint64_t second = f->seen.runs[1].key;
    fixture_name_leases(f, DRV_RECALL, 1);
    fixture_name_leases(f, DRV_RECALL, 1);
    fixture_name_leases(f, DRV_RECALL, 2);
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 2);
    assert_int_equal(f->seen.reports, 0);
    worker_session_task_returned(f->session, first, f->now);
    worker_session_task_started(f->session, second, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].ref.id.bytes[15], 1);
    assert_int_equal(f->seen.started_count, 1); /* at once: somebody waits for it */
    assert_int_equal(f->seen.started[0].id.bytes[15], 2);
    fixture_destroy(f);
}

/* Recalled while it runs: answered as started, even if that was said before. */
static void test_recall_of_a_running_lease_says_started(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    f->now += MS;
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 1);
    fixture_name_leases(f, DRV_RECALL, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_destroy(f);
}

/* Recalled after it ended: its result is the answer. Recalled when it is not here: returned. */
static void test_recall_that_crosses(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_finish(f, key, "x");
    fixture_name_leases(f, DRV_RECALL, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_name_leases(f, DRV_RECALL, 9);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    fixture_destroy(f);
}

/* Cancelled before it started: returned, never run. */
static void test_abort_of_a_waiting_lease_returns_it(void **state)
{
    struct fixture *f = fixture_serving();
    for (uint8_t task = 1; task <= 3; task++) {
        fixture_lease(f, task, 0);
    }
    fixture_turn(f);
    uint64_t given = f->seen.runs[0].key;
    fixture_abort(f, 3, DROVER_CANCELLED);
    fixture_abort(f, 1, DROVER_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_ABORTED);
    assert_int_equal(f->seen.revoke_count, 1);
    worker_session_task_returned(f->session, given, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_ABORTED);
    assert_int_equal(f->seen.cancel_count, 0);
    fixture_destroy(f);
}

/* Cancelled while it runs: the pool cancels once, and its outcome is reported as it is. */
static void test_abort_of_a_running_lease_cancels_it(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_abort(f, 1, DROVER_CANCELLED);
    fixture_abort(f, 1, DROVER_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 1);
    assert_int_equal(f->seen.cancelled[0], key);
    assert_int_equal(f->seen.term_ms, 2000);
    assert_int_equal(f->seen.kill_ms, 5000);
    fixture_fail(f, key, DRV_OUTCOME_CANCELLED, DROVER_ERROR_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.results[0].outcome, DRV_OUTCOME_CANCELLED);
    fixture_destroy(f);
}

/* Cancelled while the pool has it, which then says that it started: cancelled as running. */
static void test_abort_that_meets_a_start_cancels(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    uint64_t key = f->seen.runs[0].key;
    fixture_abort(f, 1, DROVER_CANCELLED);
    fixture_turn(f);
    worker_session_task_started(f->session, key, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 1);
    assert_int_equal(f->seen.started_count, 1);
    fixture_destroy(f);
}

/* Recalled first and then cancelled or stale, and it had started: it is cancelled. */
static void test_abort_after_a_recall_cancels(void **state)
{
    static const drover_status codes[] = {DROVER_CANCELLED, DROVER_STALE};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_serving();
        fixture_lease(f, 1, 0);
        fixture_turn(f);
        uint64_t key = f->seen.runs[0].key;
        fixture_name_leases(f, DRV_RECALL, 1);
        fixture_abort(f, 1, codes[i]);
        fixture_turn(f);
        assert_int_equal(f->seen.revoke_count, 1);
        worker_session_task_started(f->session, key, f->now);
        fixture_turn(f);
        assert_int_equal(f->seen.cancel_count, 1);
        fixture_destroy(f);
    }
}

/* Stale: stopped, and nothing is reported of it, in whatever state it was. */
static void test_abort_stale_reports_nothing(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    uint64_t running = fixture_run(f, 1);
    f->now += MS;
    fixture_turn(f);
    uint64_t finished = fixture_run(f, 2);
    fixture_finish(f, finished, "x");
    fixture_turn(f);
    fixture_lease(f, 3, 0);
    fixture_turn(f);
    uint64_t given = f->seen.runs[0].key;
    fixture_lease(f, 4, 0);
    fixture_turn(f);
    for (uint8_t task = 1; task <= 4; task++) {
        fixture_abort(f, task, DROVER_STALE);
    }
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 1);
    assert_int_equal(f->seen.cancelled[0], running);
    assert_int_equal(f->seen.revoke_count, 1);
    assert_int_equal(f->seen.revoked[0], given);
    worker_session_task_progress(f->session, running, 1, drv_str_of("x"), f->now);
    fixture_finish(f, running, "late");
    worker_session_task_returned(f->session, given, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.queued + numbers.given + numbers.running + numbers.held, 0);
    fixture_destroy(f);
}

/* While a stale attempt is being stopped, the next attempt of the same task may come. */
static void test_abort_stale_leaves_the_next_attempt_alone(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t old = fixture_run(f, 1);
    fixture_abort(f, 1, DROVER_STALE);
    struct drv_lease_entry entry = fixture_entry(1, 2, "again");
    fixture_lease_group(f, fixture_group("echo", 0), &entry, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    uint64_t key = f->seen.runs[0].key;
    fixture_finish(f, old, "old");
    fixture_finish(f, key, "new");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.results[0].ref.attempt, 2);
    assert_string_equal(f->seen.results[0].value, "new");
    fixture_destroy(f);
}

/* A suspect's STARTED goes at once; it runs when GO has come, and is not reported again. */
static void test_confirm_waits_for_go(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, DRV_LEASE_CONFIRM);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    assert_int_equal(f->seen.started_count, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    fixture_name_leases(f, DRV_GO, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    worker_session_task_started(f->session, f->seen.runs[0].key, f->now);
    f->now += 10 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 0);
    fixture_destroy(f);
}

/* A suspect is announced only when a slot is free for it; others pass it. */
static void test_confirm_is_announced_when_it_could_start(void **state)
{
    struct fixture *f = fixture_new();
    f->config.run_max = 6;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_lease(f, 1, 0);
    fixture_lease(f, 2, 0);
    fixture_lease(f, 3, DRV_LEASE_CONFIRM);
    fixture_lease(f, 4, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 3);
    assert_int_equal(f->seen.started_count, 0);
    uint64_t keys[3] = {f->seen.runs[0].key, f->seen.runs[1].key, f->seen.runs[2].key};
    fixture_finish(f, keys[0], "x");
    fixture_finish(f, keys[1], "x");
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.started[0].id.bytes[15], 3);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recall_of_a_waiting_lease_returns_it),
        cmocka_unit_test(test_recall_of_a_given_lease_asks_the_pool),
        cmocka_unit_test(test_recall_of_a_running_lease_says_started),
        cmocka_unit_test(test_recall_that_crosses),
        cmocka_unit_test(test_abort_of_a_waiting_lease_returns_it),
        cmocka_unit_test(test_abort_of_a_running_lease_cancels_it),
        cmocka_unit_test(test_abort_that_meets_a_start_cancels),
        cmocka_unit_test(test_abort_stale_reports_nothing),
        cmocka_unit_test(test_abort_stale_leaves_the_next_attempt_alone),
        cmocka_unit_test(test_confirm_waits_for_go),
        cmocka_unit_test(test_confirm_is_announced_when_it_could_start),
        cmocka_unit_test(test_abort_after_a_recall_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
