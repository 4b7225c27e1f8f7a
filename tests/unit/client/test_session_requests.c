/* Requests: numbers, the floor, sending again, the answers. */
#include "session_rig.h"

static void ask(struct rig *rig, struct rig_ask *what, enum drv_kind kind, unsigned number)
{
    rig_ask_init(what, kind, rig_id(number));
    drv_session_ask(rig->session, &what->pending);
}

/* Numbers grow from 1; the floor is the lowest that is not answered. */
static void test_requests_floor_follows_replies(void **state)
{
    struct rig rig;
    struct rig_ask asks[4];
    rig_up(&rig);
    for (unsigned i = 0; i < 3; i++) {
        ask(&rig, &asks[i], DRV_CANCEL, i + 1);
        rig_step(&rig, 0);
        assert_int_equal(rig_last(&rig, DRV_CANCEL)->request.req, i + 1);
        assert_int_equal(rig_last(&rig, DRV_CANCEL)->request.floor, 1);
    }
    rig_reply(&rig, 2, DROVER_OK);
    rig_reply(&rig, 1, DROVER_UNKNOWN);
    ask(&rig, &asks[3], DRV_CANCEL, 4);
    rig_step(&rig, 0);
    assert_int_equal(rig_last(&rig, DRV_CANCEL)->request.req, 4);
    assert_int_equal(rig_last(&rig, DRV_CANCEL)->request.floor, 3);
    assert_int_equal(asks[0].status, DROVER_UNKNOWN);
    assert_int_equal(asks[1].status, DROVER_OK);
    assert_int_equal(asks[2].answers, 0);
    rig_close(&rig);
}

/* The budget is what is left of the caller's time, 0 when there is no bound. */
static void test_requests_budget_shrinks_with_time(void **state)
{
    struct rig rig;
    struct rig_ask bounded;
    struct rig_ask free_of_time;
    rig_up(&rig);
    rig_ask_init(&bounded, DRV_CANCEL, rig_id(1));
    bounded.pending.deadline_us = rig.now_us + 2 * RIG_SECOND;
    drv_session_ask(rig.session, &bounded.pending);
    rig_step(&rig, RIG_SECOND / 2);
    assert_in_range(rig_last(&rig, DRV_CANCEL)->request.budget_ms, 1490, 1510);
    rig_reconnect(&rig, true);
    assert_in_range(rig_last(&rig, DRV_CANCEL)->request.budget_ms, 1390, 1410);
    ask(&rig, &free_of_time, DRV_CANCEL, 2);
    rig_step(&rig, 0);
    assert_int_equal(rig_last(&rig, DRV_CANCEL)->request.budget_ms, 0);
    rig_close(&rig);
}

/* After a reconnect everything unanswered is sent again, in order, under the same numbers. */
static void test_requests_unanswered_are_sent_again(void **state)
{
    struct rig rig;
    struct rig_ask asks[5];
    rig_up(&rig);
    for (unsigned i = 0; i < 4; i++) {
        ask(&rig, &asks[i], i == 2 ? DRV_QUERY : DRV_CANCEL, i + 1);
    }
    rig_step(&rig, 0);
    rig_reply(&rig, 2, DROVER_OK);
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    ask(&rig, &asks[4], DRV_CANCEL, 5);
    rig.seen_count = 0;
    rig.next_us = 0;
    rig_run(&rig, 100000);
    assert_int_equal(rig.seen_count, 1);
    rig_welcome(&rig, true);
    assert_int_equal(rig.seen_count, 5);
    const uint64_t expected[] = {1, 3, 4, 5};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rig.seen[i + 1].request.req, expected[i]);
    }
    assert_int_equal(asks[1].answers, 1);
    for (size_t i = 0; i < 4; i++) {
        rig_reply(&rig, expected[i], DROVER_OK);
    }
    assert_int_equal(asks[0].answers + asks[1].answers + asks[3].answers + asks[4].answers, 4);
    assert_int_equal(asks[2].answers, 0); /* a REPLY is no answer to a QUERY */
    rig_close(&rig);
}

/* Every request is answered once, whatever the broker says twice. */
static void test_requests_second_answer_is_ignored(void **state)
{
    struct rig rig;
    struct rig_ask what;
    rig_up(&rig);
    ask(&rig, &what, DRV_CANCEL, 1);
    rig_step(&rig, 0);
    rig_reply(&rig, 1, DROVER_OK);
    rig_reply(&rig, 1, DROVER_UNKNOWN);
    rig_reply(&rig, 77, DROVER_OK);
    assert_int_equal(what.answers, 1);
    assert_int_equal(what.status, DROVER_OK);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* Who gave up hears nothing more, and what was asked is not sent again. */
static void test_requests_withdrawn_is_forgotten(void **state)
{
    struct rig rig;
    struct rig_ask sent;
    struct rig_ask unsent;
    rig_up(&rig);
    ask(&rig, &sent, DRV_CANCEL, 1);
    rig_step(&rig, 0);
    ask(&rig, &unsent, DRV_CANCEL, 2);
    drv_session_withdraw(rig.session, &sent.pending);
    drv_session_withdraw(rig.session, &unsent.pending);
    drv_session_withdraw(rig.session, &unsent.pending);
    rig_reply(&rig, 1, DROVER_OK);
    rig.seen_count = 0;
    rig_reconnect(&rig, true);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), 0);
    assert_int_equal(sent.answers + unsent.answers, 0);
    assert_false(drv_session_is_awaiting(rig.session));
    rig_close(&rig);
}

/* The broker has lost the session: what was sent has an unknown outcome and is never sent
 * again; questions are asked anew; what was not sent yet goes under the new session. */
static void test_requests_lost_session_is_outcome_unknown(void **state)
{
    struct rig rig;
    struct rig_ask change;
    struct rig_ask question;
    struct rig_ask later;
    rig_up(&rig);
    ask(&rig, &change, DRV_CANCEL, 1);
    ask(&rig, &question, DRV_QUERY, 2);
    rig_step(&rig, 0);
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    ask(&rig, &later, DRV_FORGET, 3);
    rig.next_us = 0;
    rig_run(&rig, 60000);
    rig_error(&rig, DROVER_SESSION_EXPIRED, "unknown", NULL, DRV_HELLO);
    assert_int_equal(change.status, DROVER_OUTCOME_UNKNOWN);
    assert_int_equal(question.answers, 0);
    rig.seen_count = 0;
    rig_step(&rig, 0);
    rig_welcome(&rig, false);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), 0);
    assert_int_equal(rig_last(&rig, DRV_QUERY)->request.req, 1);
    assert_int_equal(rig_last(&rig, DRV_FORGET)->request.req, 2);
    assert_int_equal(rig_last(&rig, DRV_FORGET)->request.floor, 1);
    rig_reply(&rig, 2, DROVER_OK);
    assert_int_equal(later.status, DROVER_OK);
    rig_close(&rig);
}

/* The same when the broker welcomes and says that it resumed nothing. */
static void test_requests_unresumed_welcome_is_outcome_unknown(void **state)
{
    struct rig rig;
    struct rig_ask change;
    rig_up(&rig);
    ask(&rig, &change, DRV_CANCEL, 1);
    rig_step(&rig, 0);
    rig_reconnect(&rig, false);
    assert_int_equal(change.status, DROVER_OUTCOME_UNKNOWN);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), 1);
    rig_close(&rig);
}

/* No more numbers are outstanding than the broker keeps replies for. */
static void test_requests_window_is_kept(void **state)
{
    enum { MANY = 1100 };
    struct rig rig;
    struct rig_ask *asks = calloc(MANY, sizeof(*asks));
    rig_up(&rig);
    for (unsigned i = 0; i < MANY; i++) {
        ask(&rig, &asks[i], DRV_CANCEL, i);
    }
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), DRV_REQUESTS_MAX);
    rig_reply(&rig, 2, DROVER_OK);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), DRV_REQUESTS_MAX);
    rig_reply(&rig, 1, DROVER_OK);
    assert_int_equal(rig_count(&rig, DRV_CANCEL), DRV_REQUESTS_MAX + 2);
    for (uint64_t req = 3; req <= MANY; req++) {
        rig_reply(&rig, req, DROVER_OK);
    }
    assert_int_equal(rig_count(&rig, DRV_CANCEL), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(asks[i].answers, 1);
    }
    rig_close(&rig);
    free(asks);
}

/* An ERROR about a kind that the broker does not know ends the request of that kind. */
static void test_requests_unsupported_kind_is_refused(void **state)
{
    struct rig rig;
    struct rig_ask cancel;
    struct rig_ask query;
    rig_up(&rig);
    ask(&rig, &cancel, DRV_CANCEL, 1);
    ask(&rig, &query, DRV_QUERY, 2);
    rig_step(&rig, 0);
    rig_error(&rig, DROVER_UNSUPPORTED, "what is a query", NULL, DRV_QUERY);
    assert_int_equal(query.status, DROVER_UNSUPPORTED);
    assert_int_equal(cancel.answers, 0);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* A DOCUMENT answers a QUERY. */
static void test_requests_document_answers_query(void **state)
{
    struct rig rig;
    struct rig_ask query;
    struct drv_message document = {.kind = DRV_DOCUMENT};
    rig_up(&rig);
    ask(&rig, &query, DRV_QUERY, 1);
    rig_step(&rig, 0);
    document.document.req = 1;
    document.document.body = drv_str_of("\x80");
    rig_send(&rig, &document);
    assert_int_equal(query.answers, 1);
    assert_int_equal(query.status, DROVER_OK);
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_requests_floor_follows_replies),
    cmocka_unit_test(test_requests_budget_shrinks_with_time),
    cmocka_unit_test(test_requests_unanswered_are_sent_again),
    cmocka_unit_test(test_requests_second_answer_is_ignored),
    cmocka_unit_test(test_requests_withdrawn_is_forgotten),
    cmocka_unit_test(test_requests_lost_session_is_outcome_unknown),
    cmocka_unit_test(test_requests_unresumed_welcome_is_outcome_unknown),
    cmocka_unit_test(test_requests_window_is_kept),
    cmocka_unit_test(test_requests_unsupported_kind_is_refused),
    cmocka_unit_test(test_requests_document_answers_query),
};

TEST_MAIN(tests)
