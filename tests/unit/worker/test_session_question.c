/*
 * Questions of handlers: shared data, asked over the worker's session.
 */
#include "session_fixture.h"

static void ask(struct fixture *f, uint64_t key, uint64_t call, uint32_t op)
{
    struct drv_kv kv = {.op = op,
                        .key = drv_str_of("counter"),
                        .val = {.bytes = (const uint8_t *)"5", .len = 1}};
    worker_session_task_kv(f->session, key, call, &kv, 3000, f->now);
}

static void reply(struct fixture *f, uint64_t req, drover_status code)
{
    const struct drv_reply one = {.req = req,
                                  .code = (uint32_t)code,
                                  .number = 11,
                                  .val = {.bytes = (const uint8_t *)"val", .len = 3}};
    struct drv_message message = {.kind = DRV_REPLY,
                                  .reply = {.replies = &one, .reply_count = 1}};
    fixture_receive(f, &message);
}

/* A question goes out with number, floor, budget and fence; its answer goes to who asked. */
static void test_question_is_asked_and_answered(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 77, DRV_KV_SET);
    f->now += 500 * MS;
    worker_session_heard(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 1);
    assert_int_equal(f->seen.questions[0].request.req, 1);
    assert_int_equal(f->seen.questions[0].request.floor, 1);
    assert_int_equal(f->seen.questions[0].request.budget_ms, 2500);
    assert_string_equal(f->seen.questions[0].key, "counter");
    assert_string_equal(f->seen.questions[0].value, "5");
    assert_true(f->seen.questions[0].kv.has_fence);
    assert_int_equal(f->seen.questions[0].kv.fence.attempt, 1);
    reply(f, 1, DROVER_OK);
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answer_keys[0], key);
    assert_int_equal(f->seen.answers[0].call, 77);
    assert_int_equal(f->seen.answers[0].number, 11);
    assert_string_equal(f->seen.answer_value, "val");
    reply(f, 1, DROVER_OK);
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 0);
    fixture_destroy(f);
}

/* The floor is the lowest number that is still open; reads carry no fence. */
static void test_question_floor_follows_answers(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 1, DRV_KV_GET);
    ask(f, key, 2, DRV_KV_GET);
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 2);
    assert_false(f->seen.questions[0].kv.has_fence);
    reply(f, 2, DROVER_OK);
    ask(f, key, 3, DRV_KV_GET);
    fixture_turn(f);
    assert_int_equal(f->seen.questions[0].request.req, 3);
    assert_int_equal(f->seen.questions[0].request.floor, 1);
    reply(f, 1, DROVER_OK);
    reply(f, 3, DROVER_OK);
    ask(f, key, 4, DRV_KV_GET);
    fixture_turn(f);
    assert_int_equal(f->seen.questions[0].request.floor, 4);
    fixture_destroy(f);
}

/* Asked again with the same number after a reconnect of the session. */
static void test_question_is_asked_again_after_reconnect(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 1, DRV_KV_INCREMENT);
    fixture_turn(f);
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 1);
    assert_int_equal(f->seen.questions[0].request.req, 1);
    fixture_destroy(f);
}

/* When the broker does not know the session any more, the outcome of a write is unknown; a read
 * and what was never sent are asked. */
static void test_question_of_a_lost_session_has_no_known_outcome(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 1, DRV_KV_INCREMENT);
    ask(f, key, 2, DRV_KV_GET);
    fixture_turn(f);
    worker_session_broken(f->session, "cut", f->now);
    fixture_turn(f);
    ask(f, key, 3, DRV_KV_SET);
    f->now = f->next;
    fixture_turn(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answers[0].call, 1);
    assert_int_equal(f->seen.answers[0].code, DROVER_OUTCOME_UNKNOWN);
    assert_int_equal(f->seen.question_count, 2);
    fixture_destroy(f);
}

/* A broker that says so at HELLO is asked for a new session, and what the old one was asked is
 * as unknown. */
static void test_question_of_an_expired_session_is_not_asked_again(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 1, DRV_KV_INCREMENT);
    fixture_turn(f);
    fixture_reconnect(f);
    assert_true(f->seen.hello.resume);
    fixture_error(f, DROVER_SESSION_EXPIRED, "not known");
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answers[0].code, DROVER_OUTCOME_UNKNOWN);
    f->now = f->next;
    fixture_turn(f);
    assert_false(f->seen.hello.resume);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 0);
    fixture_destroy(f);
}

/* A handler waits no longer than it said, with or without a broker. */
static void test_question_times_out(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 8, DRV_KV_GET);
    worker_session_broken(f->session, "cut", f->now);
    int64_t since = f->now;
    fixture_turn(f);
    while (f->seen.answer_count == 0) {
        assert_true(f->now <= since + 3 * SECOND);
        f->now = f->next > f->now ? f->next : f->now + 1;
        fixture_turn(f);
    }
    assert_int_equal(f->now, since + 3 * SECOND);
    assert_int_equal(f->seen.answers[0].code, DROVER_TIMEOUT);
    fixture_destroy(f);
}

/* What an attempt that no longer counts writes is for the broker to refuse, and to count. */
static void test_writes_of_a_void_lease_are_left_to_the_broker(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    ask(f, key, 1, DRV_KV_SET);
    fixture_abort(f, 1, DROVER_STALE);
    ask(f, key, 2, DRV_KV_SET);
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(f->seen.questions[i].kv.has_fence);
        assert_int_equal(f->seen.questions[i].kv.fence.attempt, 1);
    }
    reply(f, 1, DROVER_STALE);
    reply(f, 2, DROVER_STALE);
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 2);
    assert_int_equal(f->seen.answers[1].code, DROVER_STALE);
    fixture_destroy(f);
}

/* Beyond the broker's limit (4 here) a question is refused, and asked by nobody who ended. */
static void test_questions_are_bounded_and_end_with_their_lease(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    for (uint64_t call = 1; call <= 5; call++) {
        ask(f, key, call, DRV_KV_GET);
    }
    fixture_turn(f);
    assert_int_equal(f->seen.question_count, 4);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answers[0].call, 5);
    assert_int_equal(f->seen.answers[0].code, DROVER_BUSY);
    fixture_finish(f, key, "x");
    reply(f, 1, DROVER_OK);
    ask(f, key, 6, DRV_KV_GET);
    fixture_turn(f);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answers[0].call, 6);
    assert_int_equal(f->seen.answers[0].code, DROVER_STALE);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_is_asked_and_answered),
        cmocka_unit_test(test_question_floor_follows_answers),
        cmocka_unit_test(test_question_is_asked_again_after_reconnect),
        cmocka_unit_test(test_question_of_a_lost_session_has_no_known_outcome),
        cmocka_unit_test(test_question_of_an_expired_session_is_not_asked_again),
        cmocka_unit_test(test_question_times_out),
        cmocka_unit_test(test_writes_of_a_void_lease_are_left_to_the_broker),
        cmocka_unit_test(test_questions_are_bounded_and_end_with_their_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
