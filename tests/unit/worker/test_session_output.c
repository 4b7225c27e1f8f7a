/*
 * What attempts print: kept for the result, told to those who follow, never in the way.
 */
#include "session_fixture.h"
#include "spool.h"

#include <string.h>

enum { EVERY = 2 + 4 + 8 + 16 }; /* every stream */

static const enum drv_output OUT = DRV_OUTPUT_STDOUT;
static const enum drv_output ERR = DRV_OUTPUT_STDERR;

static const int64_t PAUSE = 20 * 1000; /* config.output_every_us */

static void print_bytes(struct fixture *f, uint64_t key, enum drv_output stream, size_t len)
{
    static char bytes[256 * 1024];
    assert_true(len <= sizeof bytes);
    worker_session_task_output(f->session, key, stream, 0, (struct drv_str){bytes, len});
}

static void settle_all(struct fixture *f)
{
    if (f->seen.log_count > 0) {
        worker_session_settled(f->session, f->seen.logs[f->seen.log_count - 1].token);
    }
}

static uint64_t output_bytes(const struct fixture *f)
{
    struct worker_session_numbers numbers;
    worker_session_get_numbers(f->session, &numbers);
    return numbers.output_bytes;
}

/* Nobody follows: nothing is sent, and the result brings the last of it in its order. */
static void test_output_goes_with_the_result(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_print(f, key, OUT, "one\n");
    fixture_print(f, key, ERR, "two\n");
    worker_session_task_output(f->session, key, OUT, 5, drv_str_of("three\n"));
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    fixture_finish(f, key, "v");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_string_equal(f->seen.results[0].tail, "1:0 one\n; 2:0 two\n; 1:9 three\n");
    assert_int_equal(output_bytes(f), 0);
    fixture_destroy(f);
}

/* Of much output a result carries a bounded part. */
static void test_output_with_the_result_is_bounded(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    for (int i = 0; i < 100; i++) {
        print_bytes(f, key, OUT, 100000);
        print_bytes(f, key, ERR, 3);
        assert_true(output_bytes(f) <= 2 * WORKER_SPOOL_KEEP);
    }
    fixture_fail(f, key, DRV_OUTCOME_FAILED, DROVER_ERROR_HANDLER);
    fixture_turn(f);
    assert_true(f->seen.results[0].tail_len > 7000);
    assert_true(f->seen.results[0].tail_len <= DRV_TAIL_MAX);
    fixture_destroy(f);
}

/* Who follows gets what there is, the end of that marked, and then what comes. */
static void test_output_tail_comes_first_and_is_marked(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_print(f, key, OUT, "early ");
    fixture_print(f, key, ERR, "oops");
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 2);
    assert_string_equal(f->seen.logs[0].text, "early ");
    assert_int_equal(f->seen.logs[0].flags, 0);
    assert_int_equal(f->seen.logs[0].ref.handle, 101);
    assert_string_equal(f->seen.logs[1].text, "oops");
    assert_int_equal(f->seen.logs[1].stream, ERR);
    assert_int_equal(f->seen.logs[1].flags, DRV_LOG_TAIL_END);
    fixture_print(f, key, OUT, "late");
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_string_equal(f->seen.logs[0].text, "late");
    assert_int_equal(f->seen.logs[0].offset, 6);
    assert_int_equal(f->seen.logs[0].flags, 0);
    fixture_destroy(f);
}

/* Without a tail an empty message says that there is none. */
static void test_output_empty_tail_is_marked(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_follow(f, 1, 1U << ERR);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_int_equal(f->seen.logs[0].len, 0);
    assert_int_equal(f->seen.logs[0].stream, ERR);
    assert_int_equal(f->seen.logs[0].flags, DRV_LOG_TAIL_END);
    fixture_destroy(f);
}

/* Only what is asked for is sent; another FOLLOW brings the tail again; 0 ends it. */
static void test_output_follows_the_streams_asked_for(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_print(f, key, OUT, "out");
    fixture_print(f, key, ERR, "err");
    fixture_follow(f, 1, 1U << ERR);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_string_equal(f->seen.logs[0].text, "err");
    fixture_follow(f, 1, EVERY);
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 2);
    assert_string_equal(f->seen.logs[0].text, "out");
    assert_string_equal(f->seen.logs[1].text, "err");
    assert_int_equal(f->seen.logs[1].flags, DRV_LOG_TAIL_END);
    fixture_follow(f, 1, 0);
    fixture_print(f, key, OUT, "more");
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    fixture_destroy(f);
}

/* What is printed in small pieces is gathered for a moment. */
static void test_output_is_gathered(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    for (int i = 0; i < 100; i++) {
        fixture_print(f, key, OUT, "x");
        fixture_turn(f);
        assert_int_equal(f->seen.log_count, 0);
    }
    assert_true(f->next <= f->now + PAUSE);
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_int_equal(f->seen.logs[0].len, 100);
    fixture_destroy(f);
}

/* A reader that does not settle stops the output, not the results; what is dropped meanwhile
 * shows as a jump of the offset. */
static void test_output_is_bounded_by_what_is_unsettled(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    size_t sent = 0;
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    settle_all(f);
    for (int i = 0; i < 40; i++) {
        print_bytes(f, key, OUT, 50000);
        f->now += PAUSE;
        fixture_turn(f);
        sent += f->seen.log_bytes;
        assert_true(output_bytes(f) <= WORKER_SPOOL_LAG);
    }
    assert_true(sent >= 200 * 1024 && sent <= 272 * 1024);
    assert_int_equal(f->seen.log_count, 0);
    assert_true(f->next > f->now + PAUSE); /* it does not try again and again */

    uint64_t other = fixture_run(f, 2);
    fixture_finish(f, other, "quick");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);

    worker_session_settled(f->session, UINT64_MAX);
    f->now += PAUSE;
    fixture_turn(f);
    assert_true(f->seen.log_count > 0);
    assert_true(f->seen.logs[0].offset > sent);
    fixture_destroy(f);
}

/* A small window is not filled with output by more than its half. */
static void test_output_takes_half_of_a_small_window(void **state)
{
    struct fixture *f = fixture_new();
    f->window = 64 * 1024;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    print_bytes(f, key, OUT, 100000);
    f->now += PAUSE;
    fixture_turn(f);
    assert_true(f->seen.log_bytes > 0 && f->seen.log_bytes < 48 * 1024);
    fixture_destroy(f);
}

/* A link that has enough to do gets no output. */
static void test_output_waits_for_a_blocked_link(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    worker_session_set_blocked(f->session, true);
    fixture_print(f, key, OUT, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    worker_session_set_blocked(f->session, false);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    fixture_destroy(f);
}

/* The last words leave before the result does. */
static void test_output_leaves_before_the_result(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    fixture_print(f, key, OUT, "last words");
    fixture_finish(f, key, "v");
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_string_equal(f->seen.logs[0].text, "last words");
    assert_int_equal(f->seen.reports, 1);
    assert_true(f->seen.logs[0].order < f->seen.report_order);
    assert_string_equal(f->seen.results[0].tail, "1:0 last words");
    fixture_destroy(f);
}

/* The last words of an attempt that was interrupted are not lost on who follows. */
static void test_output_leaves_before_an_interrupted_lease(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    fixture_print(f, key, ERR, "ouch");
    worker_session_task_interrupted(f->session, key, false, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_string_equal(f->seen.logs[0].text, "ouch");
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(output_bytes(f), 0);
    fixture_destroy(f);
}

/* Following ends with the connection, and begins anew when the broker asks again. */
static void test_output_is_not_followed_over_a_reconnect(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    print_bytes(f, key, OUT, 60000);
    fixture_turn(f);
    assert_true(f->seen.log_count > 0); /* never settled */
    fixture_reconnect(f);
    fixture_welcome_as(f, true);
    fixture_print(f, key, OUT, "new");
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    assert_true(output_bytes(f) <= WORKER_SPOOL_KEEP);
    struct drv_follow_entry entry = {.ref = fixture_ref(1, 1), .streams = EVERY};
    entry.ref.handle = 0;
    struct drv_message message = {.kind = DRV_FOLLOW,
                                  .follow = {.leases = &entry, .lease_count = 1}};
    fixture_receive(f, &message);
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 1);
    assert_int_equal(f->seen.logs[0].offset + f->seen.logs[0].len, 60003);
    assert_int_equal(f->seen.logs[0].ref.handle, 0);
    fixture_destroy(f);
}

/* Attempts that print at once take turns. */
static void test_output_of_several_takes_turns(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t first = fixture_run(f, 1);
    uint64_t second = fixture_run(f, 2);
    fixture_follow(f, 1, EVERY);
    fixture_follow(f, 2, EVERY);
    fixture_turn(f);
    settle_all(f);
    print_bytes(f, first, OUT, 60000);
    print_bytes(f, second, OUT, 60000);
    f->now += PAUSE;
    fixture_turn(f);
    assert_true(f->seen.log_count >= 6);
    for (size_t i = 1; i < 6; i++) {
        assert_true(f->seen.logs[i].ref.id.bytes[15] != f->seen.logs[i - 1].ref.id.bytes[15]);
    }
    fixture_destroy(f);
}

/* Of values none is cut or joined with another. */
static void test_output_values_travel_one_by_one(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 1, EVERY);
    fixture_turn(f);
    fixture_print(f, key, DRV_OUTPUT_DATA, "v1");
    fixture_print(f, key, DRV_OUTPUT_DATA, "v2");
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 2);
    assert_string_equal(f->seen.logs[1].text, "v2");
    fixture_destroy(f);
}

/* What is not here, has ended or is void is neither followed nor listened to. */
static void test_output_of_what_is_not_here_is_ignored(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_follow(f, 9, EVERY);
    fixture_finish(f, key, "v");
    fixture_follow(f, 1, EVERY);
    fixture_print(f, key, OUT, "too late");
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    assert_int_equal(f->seen.results[0].tail_pieces, 0);
    key = fixture_run(f, 2);
    fixture_follow(f, 2, EVERY);
    fixture_abort(f, 2, DROVER_STALE);
    fixture_print(f, key, OUT, "of a void lease");
    f->now += PAUSE;
    fixture_turn(f);
    assert_int_equal(f->seen.log_count, 0);
    fixture_destroy(f);
}

/* Many followers that lag are not let lag at the expense of all memory. */
static void test_output_of_many_followers_is_bounded(void **state)
{
    struct fixture *f = fixture_new();
    f->config.output_bytes_max = 100 * 1024;
    f->config.slots = f->config.run_max = 16;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    uint64_t keys[16];
    worker_session_set_blocked(f->session, true);
    for (uint8_t i = 0; i < 16; i++) {
        keys[i] = fixture_run(f, (uint8_t)(i + 1));
        fixture_follow(f, (uint8_t)(i + 1), EVERY);
        print_bytes(f, keys[i], OUT, 100000);
    }
    fixture_turn(f);
    assert_true(output_bytes(f) <= 100 * 1024 + 64 * 1024 + 16 * 8 * 1024);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_goes_with_the_result),
        cmocka_unit_test(test_output_with_the_result_is_bounded),
        cmocka_unit_test(test_output_tail_comes_first_and_is_marked),
        cmocka_unit_test(test_output_empty_tail_is_marked),
        cmocka_unit_test(test_output_follows_the_streams_asked_for),
        cmocka_unit_test(test_output_is_gathered),
        cmocka_unit_test(test_output_is_bounded_by_what_is_unsettled),
        cmocka_unit_test(test_output_takes_half_of_a_small_window),
        cmocka_unit_test(test_output_waits_for_a_blocked_link),
        cmocka_unit_test(test_output_leaves_before_the_result),
        cmocka_unit_test(test_output_leaves_before_an_interrupted_lease),
        cmocka_unit_test(test_output_is_not_followed_over_a_reconnect),
        cmocka_unit_test(test_output_of_several_takes_turns),
        cmocka_unit_test(test_output_values_travel_one_by_one),
        cmocka_unit_test(test_output_of_what_is_not_here_is_ignored),
        cmocka_unit_test(test_output_of_many_followers_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
