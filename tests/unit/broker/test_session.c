/*
 * Sessions: requests that come again, connections that go and come, ends.
 */
#include "fixture.h"

static struct drv_message increment(struct bench *bench, uint32_t peer)
{
    struct drv_message message = request(bench, peer, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 1};
    message.kv.val.is_nil = true;
    return message;
}

/* A request that is sent again is answered again and has no second effect. */
static void test_repeated_request_is_answered_from_the_books(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = increment(bench, 1);
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 1);
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 1);
}

/* The same over another connection, after the first is gone. */
static void test_request_is_answered_after_reconnect(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    struct drv_message message = increment(bench, 1);
    speak(bench, 1, &message);
    gone(bench, 1); /* before the reply */
    hello_client(bench, 2, 9001, true);
    assert_true(welcomed(bench, 2)->resumed);
    speak(bench, 2, &message);
    bench_turn(bench);
    bench->boxes[2].req = message.request.req;
    assert_int_equal(reply(bench, 2)->number, 1);
}

/* Below the floor nothing is kept and nothing is answered. */
static void test_request_below_the_floor_is_ignored(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message first = increment(bench, 1);
    speak(bench, 1, &first);
    bench_turn(bench);
    (void)reply(bench, 1);
    struct drv_message second = increment(bench, 1);
    second.request.floor = 2;
    speak(bench, 1, &second);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 2);
    speak(bench, 1, &first);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    struct drv_message third = increment(bench, 1);
    speak(bench, 1, &third);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 3);
}

/* So many unreleased requests and no more: busy, without effect; releasing makes room. */
static void test_requests_are_bounded(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    for (int i = 0; i < DRV_REQUESTS_MAX; i++) {
        struct drv_message message = increment(bench, 1);
        speak(bench, 1, &message);
        if (i % 100 == 0) {
            bench_turn(bench);
        }
    }
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_message message = increment(bench, 1);
    speak(bench, 1, &message);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->code, DROVER_BUSY);
    assert_true(answer->retry_after_ms > 0);
    message.request.floor = 10;
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, DRV_REQUESTS_MAX + 1);
}

/* A session that is not known any more is told so. */
static void test_resume_of_unknown_session_has_expired(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, true);
    assert_int_equal(expect(bench, 1, DRV_ERROR)->failure.code, DROVER_SESSION_EXPIRED);
    assert_true(bench->boxes[1].is_closed);
}

/* Without a connection a session ends after its time; with one it does not. */
static void test_session_expires(void **state)
{
    struct bench *bench = *state;
    bench->config.session_us = 10 * SECOND;
    core_destroy(&bench->core);
    bench_start(bench);
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    bench_pass(bench, 20 * SECOND);
    gone(bench, 1);
    bench_pass(bench, 9 * SECOND);
    hello_client(bench, 2, 9001, true);
    (void)welcomed(bench, 2);
    gone(bench, 2);
    bench_pass(bench, 10 * SECOND);
    hello_client(bench, 3, 9001, true);
    assert_int_equal(expect(bench, 3, DRV_ERROR)->failure.code, DROVER_SESSION_EXPIRED);
}

/* After GOODBYE the session is gone at once. */
static void test_goodbye_ends_the_session(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 1, &goodbye);
    bench_turn(bench);
    assert_true(bench->boxes[1].is_closed);
    assert_int_equal(bench->boxes[1].settled, bench->boxes[1].seq);
    hello_client(bench, 2, 9001, true);
    assert_int_equal(expect(bench, 2, DRV_ERROR)->failure.code, DROVER_SESSION_EXPIRED);
}

/* A second connection of the session takes over; the first is told and does not count. */
static void test_takeover(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    hello_client(bench, 2, 9001, true);
    assert_true(welcomed(bench, 2)->resumed);
    assert_int_equal(expect(bench, 1, DRV_ERROR)->failure.code, DROVER_CLOSED);
    assert_true(bench->boxes[1].is_closed);
}

/* The result of a client that went away waits for its return. */
static void test_result_waits_for_the_client(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    gone(bench, 1);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    hello_client(bench, 3, 9001, true);
    (void)welcomed(bench, 3);
    bench_turn(bench);
    assert_int_equal(result(bench, 3)->state, DROVER_STATE_SUCCEEDED);
}

/* A result that was sent but not settled is sent again. */
static void test_unsettled_result_is_sent_again(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    worker(bench, 2, "work", 1);
    bench->boxes[1].holds_tokens = true;
    struct drv_spec spec = watched("work");
    spec.flags |= DRV_SPEC_RELEASE;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    (void)result(bench, 1);
    gone(bench, 1);
    hello_client(bench, 3, 9001, true);
    (void)welcomed(bench, 3);
    bench_turn(bench);
    assert_true(val_is(&result(bench, 3)->val, "1"));
}

/* Sessions are bounded. */
static void test_sessions_are_bounded(void **state)
{
    struct bench *bench = *state;
    bench->config.sessions_max = 2;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    client(bench, 2);
    hello_client(bench, 3, 9003, false);
    assert_int_equal(expect(bench, 3, DRV_ERROR)->failure.code, DROVER_BUSY);
}

/* Where there is no more room, the session that is away for the longest makes some; one that
 * may only be reconnecting does not. */
static void test_session_long_away_makes_room(void **state)
{
    struct bench *bench = *state;
    bench->config.sessions_max = 2;
    core_destroy(&bench->core);
    bench_start(bench);
    hello_client(bench, 1, 9001, false);
    hello_client(bench, 2, 9002, false);
    gone(bench, 2);
    gone(bench, 1);
    bench_pass(bench, bench->config.lease_us - 1);
    hello_client(bench, 3, 9003, false);
    assert_int_equal(expect(bench, 3, DRV_ERROR)->failure.code, DROVER_BUSY);
    bench_pass(bench, 1);
    hello_client(bench, 4, 9004, false);
    (void)welcomed(bench, 4);
    hello_client(bench, 5, 9001, true);
    assert_true(welcomed(bench, 5)->resumed);
    hello_client(bench, 6, 9002, true);
    assert_int_equal(expect(bench, 6, DRV_ERROR)->failure.code, DROVER_SESSION_EXPIRED);
}

/* Every message received is reported as dealt with. */
static void test_messages_are_settled(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    for (int i = 0; i < 5; i++) {
        struct drv_message message = increment(bench, 1);
        speak(bench, 1, &message);
    }
    bench_turn(bench);
    assert_int_equal(bench->boxes[1].settled, bench->boxes[1].seq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_repeated_request_is_answered_from_the_books),
        BENCH_TEST(test_request_is_answered_after_reconnect),
        BENCH_TEST(test_request_below_the_floor_is_ignored),
        BENCH_TEST(test_requests_are_bounded),
        BENCH_TEST(test_resume_of_unknown_session_has_expired),
        BENCH_TEST(test_session_expires),
        BENCH_TEST(test_goodbye_ends_the_session),
        BENCH_TEST(test_takeover),
        BENCH_TEST(test_result_waits_for_the_client),
        BENCH_TEST(test_unsettled_result_is_sent_again),
        BENCH_TEST(test_sessions_are_bounded),
        BENCH_TEST(test_session_long_away_makes_room),
        BENCH_TEST(test_messages_are_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
