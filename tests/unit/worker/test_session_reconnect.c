/* What a worker's session keeps, drops and says again when contact is lost and comes back; its
 * drain. */
#include "session_fixture.h"

/* ---- contact --------------------------------------------------------------------------------
 */

/* After a reconnect every lease is listed with where it stands, without handles, and held
 * results are sent again. */
static void test_reconnect_attaches_all_and_resends_results(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    f->now += MS;
    fixture_turn(f);
    uint64_t done = fixture_run(f, 2);
    fixture_finish(f, done, "kept");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    fixture_lease(f, 3, 0);
    fixture_lease(f, 4, 0);
    fixture_turn(f);
    fixture_reconnect(f);
    assert_int_equal(f->seen.hello.worker.lease_count, 4);
    assert_int_equal(f->seen.attached_count, 4);
    for (size_t i = 0; i < 4; i++) {
        static const uint32_t states[] = {0, 2, 3, 1, 1};
        uint8_t task = f->seen.attached[i].id.bytes[15];
        assert_in_range(task, 1, 4);
        assert_int_equal(f->seen.attached[i].state, states[task]);
        assert_int_equal(f->seen.attached[i].attempt, 1);
    }
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_string_equal(f->seen.results[0].value, "kept");
    assert_int_equal(f->seen.results[0].ref.handle, 0);
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    fixture_destroy(f);
}

/* A settlement that the lost connection brought late changes nothing. */
static void test_reconnect_ignores_tokens_of_the_old_connection(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    fixture_finish(f, fixture_run(f, 1), "x");
    fixture_turn(f);
    uint64_t old = f->seen.token;
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    worker_session_settled(f->session, old);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 1);
    fixture_destroy(f);
}

/* More leases than fit into one message are listed in several. */
static void test_reconnect_attaches_in_batches(void **state)
{
    struct fixture *f = fixture_serving();
    for (uint32_t i = 0; i < 1500; i++) {
        struct drv_lease_entry entry = fixture_entry(1, 1, "p");
        entry.ref.index = i;
        fixture_lease_group(f, fixture_group("echo", 0), &entry, 1);
    }
    fixture_turn(f);
    fixture_reconnect(f);
    assert_int_equal(f->seen.attached_count, 1500);
    assert_int_equal(f->seen.attaches, 2);
    fixture_destroy(f);
}

/* Running work runs on without a broker; its result waits for the next connection. */
static void test_lost_broker_leaves_running_work_alone(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    worker_session_broken(f->session, "cut", f->now);
    for (int i = 0; i < 60; i++) {
        f->now += SECOND;
        fixture_turn(f);
        assert_int_equal(f->seen.cancel_count, 0);
        assert_int_equal(f->seen.revoke_count, 0);
        if (worker_session_get_state(f->session) == WORKER_SESSION_GREETING) {
            worker_session_broken(f->session, "refused", f->now);
        }
    }
    fixture_finish(f, key, "x");
    fixture_turn(f);
    f->now += 3 * SECOND;
    fixture_turn(f);
    assert_int_equal(f->seen.attached_count, 1);
    assert_int_equal(f->seen.attached[0].state, 3);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    fixture_destroy(f);
}

/* Soon after the connection is gone nothing starts any more, in the pool neither; what was
 * asked back starts when it is there again. */
static void test_lost_broker_holds_back_what_has_not_started(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    uint64_t key = f->seen.runs[0].key;
    worker_session_broken(f->session, "cut", f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 0);
    f->now += 1100 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 1);
    assert_int_equal(f->seen.revoked[0], key);
    worker_session_task_returned(f->session, key, f->now);
    worker_session_broken(f->session, "refused", f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.attached_count, 1);
    assert_int_equal(f->seen.attached[0].state, 1);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    assert_string_equal(f->seen.runs[0].payload, "payload");
    fixture_destroy(f);
}

/* After the lease time without contact what has not started is dropped: ATTACH does not list
 * it, so it goes back free of charge. */
static void test_no_contact_for_lease_time_drops_unstarted(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    fixture_lease(f, 2, 0);
    fixture_lease(f, 3, 0);
    fixture_turn(f);
    uint64_t given = f->seen.runs[0].key;
    worker_session_broken(f->session, "cut", f->now);
    fixture_turn(f);
    f->now += 1100 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 1);
    f->now += 10 * SECOND;
    worker_session_broken(f->session, "refused", f->now);
    fixture_turn(f);
    worker_session_task_returned(f->session, given, f->now);
    f->now += 3 * SECOND;
    fixture_turn(f);
    assert_int_equal(f->seen.attached_count, 1);
    assert_int_equal(f->seen.attached[0].id.bytes[15], 1);
    assert_int_equal(f->seen.attached[0].state, 2);
    fixture_destroy(f);
}

/* The same when it happens after ATTACH has listed them: then they are returned. */
static void test_no_contact_while_greeting_returns_unstarted(void **state)
{
    struct fixture *f = fixture_new();
    f->config.greeting_us = 60 * SECOND;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    for (uint8_t task = 1; task <= 3; task++) {
        fixture_lease(f, task, 0);
    }
    fixture_turn(f);
    fixture_reconnect(f);
    assert_int_equal(f->seen.attached_count, 3);
    f->now += 11 * SECOND;
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 2);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].ref.id.bytes[15], 3);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_NO_CONTACT);
    fixture_destroy(f);
}

/* A suspect that was announced but not confirmed is announced again. */
static void test_reconnect_announces_suspects_again(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, DRV_LEASE_CONFIRM);
    fixture_turn(f);
    fixture_reconnect(f);
    assert_int_equal(f->seen.attached[0].state, 1);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.run_count, 0);
    fixture_destroy(f);
}

/* Handles are the old broker's: none is used on a new connection. */
static void test_reconnect_forgets_handles(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.running_count, 1);
    assert_int_equal(f->seen.running[0].ref.handle, 0);
    fixture_name_leases(f, DRV_RECALL, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.started[0].handle, 0);
    fixture_destroy(f);
}

/* A return that did not get out is not said later: ATTACH has said it. */
static void test_reconnect_drops_returns_that_waited(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_run(f, 1);
    fixture_run(f, 2);
    fixture_lease(f, 3, 0);
    worker_session_set_blocked(f->session, true);
    fixture_turn(f);
    fixture_name_leases(f, DRV_RECALL, 3);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_reconnect(f);
    assert_int_equal(f->seen.attached_count, 2);
    fixture_welcome_as(f, true);
    f->now += 5 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_destroy(f);
}

/* A REPORT that was lost with its connection, and held no result, is not waited for. */
static void test_reconnect_forgets_reports_without_results(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_lease_entry entry = fixture_entry(1, 1, "");
    fixture_lease_group(f, fixture_group("nothing", 0), &entry, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 1);
    fixture_destroy(f);
}

/* GO of a lost connection does not count: the suspect is announced again. */
static void test_reconnect_forgets_go(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t first = fixture_run(f, 1);
    fixture_lease(f, 2, DRV_LEASE_CONFIRM);
    fixture_turn(f);
    fixture_lease(f, 3, 0); /* takes what the pool takes at a time */
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_name_leases(f, DRV_GO, 2);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    fixture_finish(f, first, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.started[0].id.bytes[15], 2);
    fixture_destroy(f);
}

/* DRAIN belongs to the connection: whoever comes after may have forgotten it. */
static void test_reconnect_forgets_the_brokers_drain(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_message drain = {.kind = DRV_DRAIN, .drain = {.on = true}};
    fixture_receive(f, &drain);
    fixture_turn(f);
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_destroy(f);
}

/* ---- drain ----------------------------------------------------------------------------------
 */

/* The broker's DRAIN returns what has not started, takes nothing new, and ends. */
static void test_broker_drain_returns_unstarted(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_message drain = {.kind = DRV_DRAIN, .drain = {.on = true}};
    (void)fixture_run(f, 1);
    fixture_lease(f, 2, 0);
    fixture_lease(f, 3, 0);
    fixture_turn(f);
    uint64_t given = f->seen.runs[0].key;
    fixture_receive(f, &drain);
    fixture_lease(f, 4, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 2);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_DRAINING);
    assert_int_equal(f->seen.revoke_count, 1);
    worker_session_task_returned(f->session, given, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    drain.drain.on = false;
    fixture_receive(f, &drain);
    fixture_lease(f, 5, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_destroy(f);
}

/* Asked to end: no credit, unstarted work goes back, running work ends, its result is settled,
 * then GOODBYE. */
static void test_drain_finishes_running_work_and_says_goodbye(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_run(f, 2);
    fixture_lease(f, 3, 0);
    fixture_turn(f);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.credits, 1);
    assert_int_equal(f->seen.credit, 0);
    assert_int_equal(f->seen.returned_count, 1);
    uint64_t token = f->seen.token;
    worker_session_settled(f->session, token);
    fixture_finish(f, key, "one");
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 0);
    fixture_pass(f, 29 * SECOND);
    assert_int_equal(f->seen.cancel_count, 0);
    worker_session_settled(f->session, token + 1);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 0);
    fixture_pass(f, SECOND);
    assert_int_equal(f->seen.cancel_count, 1);
    fixture_destroy(f);
}

/* What the end of the grace time cancels goes back to the broker; nobody wished it cancelled.
 */
static void test_drain_returns_what_it_cancelled(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t stopped = fixture_run(f, 1);
    uint64_t finished = fixture_run(f, 2);
    worker_session_drain(f->session, f->now);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 2);
    fixture_fail(f, stopped, DRV_OUTCOME_CANCELLED, DROVER_ERROR_CANCELLED);
    fixture_finish(f, finished, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_INTERRUPTED);
    assert_int_equal(f->seen.goodbyes, 0);
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 1);
    assert_int_equal(f->seen.flushes, 1);
    assert_int_equal(f->seen.stops, 1);
    assert_int_equal(f->seen.status, DROVER_OK);
    fixture_destroy(f);
}

/* A task that its user cancelled stays cancelled when the drain cancels the rest. */
static void test_drain_keeps_the_users_cancel(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_abort(f, 1, DROVER_CANCELLED);
    worker_session_drain(f->session, f->now);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 1);
    fixture_fail(f, key, DRV_OUTCOME_CANCELLED, DROVER_ERROR_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_destroy(f);
}

/* A cancel of the user that meets the end of the grace time still counts. */
static void test_drain_then_cancel_reports_the_cancel(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    worker_session_drain(f->session, f->now);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    fixture_abort(f, 1, DROVER_CANCELLED);
    fixture_fail(f, key, DRV_OUTCOME_CANCELLED, DROVER_ERROR_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.returned_count, 0);
    fixture_destroy(f);
}

/* An idle worker ends at once; one that never reached a broker too, without GOODBYE. */
static void test_drain_of_an_idle_worker_ends_at_once(void **state)
{
    struct fixture *f = fixture_serving();
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 1);
    assert_int_equal(f->seen.stops, 1);
    fixture_destroy(f);
    f = fixture_new();
    fixture_start(f);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 0);
    assert_int_equal(f->seen.stops, 1);
    assert_int_equal(f->seen.status, DROVER_OK);
    fixture_destroy(f);
}

/* Results that no broker takes are waited for, but not for ever. */
static void test_drain_without_broker_gives_up(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_finish(f, fixture_run(f, 1), "x");
    worker_session_broken(f->session, "cut", f->now);
    worker_session_drain(f->session, f->now);
    int64_t since = f->now;
    fixture_turn(f);
    while (f->seen.stops == 0) {
        assert_true(f->now <= since + 10 * SECOND);
        f->now = f->next > f->now ? f->next : f->now + 1;
        fixture_turn(f);
    }
    assert_int_equal(f->now, since + 10 * SECOND);
    assert_int_equal(f->seen.status, DROVER_UNAVAILABLE);
    fixture_destroy(f);
}

/* A worker that drains reconnects with no credit and still delivers. */
static void test_drain_delivers_after_a_reconnect(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    fixture_reconnect(f);
    assert_int_equal(f->seen.hello.credit_items, 0);
    fixture_welcome_as(f, true);
    fixture_finish(f, key, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 1);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reconnect_attaches_all_and_resends_results),
        cmocka_unit_test(test_reconnect_ignores_tokens_of_the_old_connection),
        cmocka_unit_test(test_reconnect_attaches_in_batches),
        cmocka_unit_test(test_lost_broker_leaves_running_work_alone),
        cmocka_unit_test(test_lost_broker_holds_back_what_has_not_started),
        cmocka_unit_test(test_no_contact_for_lease_time_drops_unstarted),
        cmocka_unit_test(test_no_contact_while_greeting_returns_unstarted),
        cmocka_unit_test(test_reconnect_announces_suspects_again),
        cmocka_unit_test(test_broker_drain_returns_unstarted),
        cmocka_unit_test(test_drain_finishes_running_work_and_says_goodbye),
        cmocka_unit_test(test_drain_returns_what_it_cancelled),
        cmocka_unit_test(test_drain_keeps_the_users_cancel),
        cmocka_unit_test(test_drain_of_an_idle_worker_ends_at_once),
        cmocka_unit_test(test_drain_without_broker_gives_up),
        cmocka_unit_test(test_drain_delivers_after_a_reconnect),
        cmocka_unit_test(test_reconnect_forgets_handles),
        cmocka_unit_test(test_reconnect_drops_returns_that_waited),
        cmocka_unit_test(test_reconnect_forgets_reports_without_results),
        cmocka_unit_test(test_reconnect_forgets_go),
        cmocka_unit_test(test_reconnect_forgets_the_brokers_drain),
        cmocka_unit_test(test_drain_then_cancel_reports_the_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
