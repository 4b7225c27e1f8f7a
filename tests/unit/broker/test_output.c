/*
 * Output of tasks: who follows it, what is kept of it.
 */
#include "array_story.h"
#include "stream_story.h"

enum { ALL_STREAMS = 0xfffffffe & 0x1e, NONE = 0 };

#define WHOLE DROVER_INDEX_NONE

static struct drv_ref start(struct bench *bench, uint32_t task)
{
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, task);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    bench_turn(bench);
    return ref;
}

static void begin(struct bench *bench)
{
    client(bench, 1);
    logging_worker(bench, 2, "work", 4, 0);
    (void)welcomed(bench, 2);
}

/* Nobody follows: the worker is not asked, and what it sends all the same goes nowhere. */
static void test_output_that_nobody_follows_is_not_asked_for(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 0, "hello\n", 0);
    expect_none(bench, 2, DRV_FOLLOW);
}

/* A follower gets the worker's tail, then what comes, then the end; every byte once, also when
 * the result brings its tail along. */
static void test_follower_gets_every_byte_once(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    assert_int_equal(followed(bench, 2, ref), ALL_STREAMS);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 4, "tail ", DRV_LOG_TAIL_END);
    const struct drv_logs *logs = expect_logs(bench, 1, "tail ", 0);
    assert_int_equal(logs->pieces[0].offset, 4);
    assert_int_equal(logs->pieces[0].attempt, 1);
    assert_int_equal(logs->pieces[0].stream, DRV_OUTPUT_STDOUT);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 9, "live ", 0);
    (void)expect_logs(bench, 1, "live ", 0);
    report_done_with(bench, 2, ref, 4, "tail live last");
    logs = expect_logs(bench, 1, "last", DROVER_STATE_SUCCEEDED);
    assert_int_equal(logs->pieces[0].offset, 14);
    expect_none(bench, 1, DRV_LOGS);
    taken(bench, 1, 1, 4);
    struct drv_subscribe again = {.subscription = 1,
                                  .stream = DRV_STREAM_LOGS,
                                  .has_id = true,
                                  .id = id_of(100),
                                  .index = WHOLE};
    assert_int_equal(subscribe(bench, 1, &again)->number, 0); /* the old one is over */
}

/* One who follows a task that waits is told from its beginning: the worker is asked with the
 * lease. */
static void test_follower_waits_for_the_start(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    logging_worker(bench, 2, "work", 1, 0);
    (void)welcomed(bench, 2);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(followed(bench, 2, ref), ALL_STREAMS);
    say(bench, 2, ref, DRV_OUTPUT_STDERR, 0, "", DRV_LOG_TAIL_END);
    say(bench, 2, ref, DRV_OUTPUT_STDERR, 0, "first", 0);
    (void)expect_logs(bench, 1, "first", 0);
    report_done(bench, 2, ref, "x");
    bench_turn(bench);
    (void)expect_logs(bench, 1, "", DROVER_STATE_SUCCEEDED);
}

/* The second one gets the tail of its own, the first one nothing twice. */
static void test_second_follower_gets_the_tail_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    client(bench, 3);
    struct drv_ref ref = start(bench, 100);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 0, "abc", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 1, "abc", 0);
    (void)followed(bench, 2, ref);
    subscribe_logs(bench, 3, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    (void)followed(bench, 2, ref);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 1, "bc", 0);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 3, "def", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 3, "bc", 0);
    (void)expect_logs(bench, 3, "def", 0);
    (void)expect_logs(bench, 1, "def", 0);
    expect_none(bench, 1, DRV_LOGS);
}

/* Streams that nobody wants are not asked for; when the last follower goes, the worker hears of
 * it with the next output. */
static void test_streams_and_the_end_of_following(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_LOGS,
                                   .flags = DRV_SUBSCRIBE_FOLLOW,
                                   .mask = 1u << DRV_OUTPUT_DATA,
                                   .has_id = true,
                                   .id = id_of(100),
                                   .index = WHOLE};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    assert_int_equal(followed(bench, 2, ref), 1u << DRV_OUTPUT_DATA);
    say(bench, 2, ref, DRV_OUTPUT_DATA, 0, "", DRV_LOG_TAIL_END);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 0, "unasked", 0);
    expect_none(bench, 1, DRV_LOGS);
    wanted.stream = DRV_STREAM_END;
    assert_ok(subscribe(bench, 1, &wanted)->code);
    say(bench, 2, ref, DRV_OUTPUT_DATA, 0, "x", 0);
    assert_int_equal(followed(bench, 2, ref), NONE);
    say(bench, 2, ref, DRV_OUTPUT_DATA, 1, "y", 0);
    expect_none(bench, 2, DRV_FOLLOW);
}

/* What came with the result is kept with the task, and told to those who ask later. */
static void test_tail_is_kept_with_the_task(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    report_done_with(bench, 2, ref, 7, "the last words");
    subscribe_logs(bench, 1, 1, 100, WHOLE, 0);
    const struct drv_logs *logs = expect_logs(bench, 1, "the last words",
                                              DROVER_STATE_SUCCEEDED);
    assert_int_equal(logs->pieces[0].offset, 7);
    targets_request(bench, 1, DRV_FORGET, 100, WHOLE);
    bench_turn(bench);
    struct drv_subscribe wanted = {.subscription = 2,
                                   .stream = DRV_STREAM_LOGS,
                                   .has_id = true,
                                   .id = id_of(100),
                                   .index = WHOLE};
    drop_all(bench, 1);
    assert_int_equal(subscribe(bench, 1, &wanted)->code, DROVER_UNKNOWN);
}

/* Without following one gets what a running attempt has said so far, and the end. */
static void test_reader_of_a_running_task_gets_its_tail(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    subscribe_logs(bench, 1, 1, 100, WHOLE, 0);
    (void)followed(bench, 2, ref);
    say(bench, 2, ref, DRV_OUTPUT_LOG, 0, "so far", 0);
    (void)expect_logs(bench, 1, "so far", 0);
    say(bench, 2, ref, DRV_OUTPUT_LOG, 6, "", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 1, "", DROVER_STATE_RUNNING);
}

/* A worker that is lost while it is asked does not hold its reader up. */
static void test_reader_is_not_held_up_by_a_lost_worker(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    (void)start(bench, 100);
    subscribe_logs(bench, 1, 1, 100, WHOLE, 0);
    gone(bench, 2);
    bench_pass(bench, 11 * SECOND);
    (void)expect_logs(bench, 1, "", DROVER_STATE_QUEUED);
}

/* A worker that comes back is asked again; what it repeats is cut off. */
static void test_worker_that_is_back_is_asked_again(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 0, "abc", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 1, "abc", 0);
    gone(bench, 2);
    bench_turn(bench);
    logging_worker(bench, 2, "work", 4, 1);
    struct drv_attached attached = {ref.id, ref.index, ref.attempt, 2, 0};
    struct drv_message message = {.kind = DRV_ATTACH, .attach = {&attached, 1}};
    speak(bench, 2, &message);
    bench_turn(bench);
    (void)welcomed(bench, 2);
    (void)followed(bench, 2, ref);
    say(bench, 2, ref, DRV_OUTPUT_STDOUT, 1, "bcdef", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 1, "def", 0);
}

/* Kept output is bounded: the oldest goes, and whoever asks is told that something is missing.
 */
static void test_kept_output_is_bounded(void **state)
{
    struct bench *bench = *state;
    bench->config.output_bytes_max = 400;
    core_destroy(&bench->core);
    bench_start(bench);
    begin(bench);
    for (uint32_t task = 100; task < 110; task++) {
        report_done_with(bench, 2, start(bench, task), 0, "something that was printed");
    }
    subscribe_logs(bench, 1, 1, 109, WHOLE, 0);
    (void)expect_logs(bench, 1, "something that was printed", DROVER_STATE_SUCCEEDED);
    subscribe_logs(bench, 1, 2, 100, WHOLE, 0);
    const struct drv_logs *logs = expect_logs(bench, 1, "", DROVER_STATE_SUCCEEDED);
    assert_int_equal(logs->first, 2);
}

/* A failed attempt's output can be read while the task waits for the next one. */
static void test_output_of_a_failed_attempt_is_kept_until_the_next(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_piece piece = {.stream = DRV_OUTPUT_STDERR, .len = 4};
    struct drv_result failed = {.ref = leased(bench, 2),
                                .outcome = DRV_OUTCOME_FAILED,
                                .val = val_nil(),
                                .error = {.kind = DROVER_ERROR_HANDLER, .exit_code = -1},
                                .tail = {&piece, 1, text("oops")}};
    report(bench, 2, &failed);
    bench_turn(bench);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    (void)expect_logs(bench, 1, "oops", 0);
    bench_pass(bench, 2 * SECOND);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(ref.attempt, 2);
    report_done_with(bench, 2, ref, 0, "fine");
    const struct drv_logs *logs = expect_logs(bench, 1, "fine", DROVER_STATE_SUCCEEDED);
    assert_int_equal(logs->pieces[0].attempt, 2);
}

/* Of an array: what is kept, element after element, then what runs, and the end with the last.
 */
static void test_output_of_an_array(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 100, 3);
    drop_all(bench, 1);
    struct drv_ref refs[3];
    assert_int_equal(leases(bench, 2, refs, 3), 3);
    report_done_with(bench, 2, refs[1], 0, "one");
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    subscribe_logs(bench, 1, 1, 100, WHOLE, DRV_SUBSCRIBE_FOLLOW);
    const struct drv_logs *logs = expect_logs(bench, 1, "one", 0);
    assert_int_equal(logs->pieces[0].index, 1);
    assert_int_equal(expect(bench, 2, DRV_FOLLOW)->follow.lease_count, 2);
    say(bench, 2, refs[0], DRV_OUTPUT_STDOUT, 0, "zero", DRV_LOG_TAIL_END);
    logs = expect_logs(bench, 1, "zero", 0);
    assert_int_equal(logs->pieces[0].index, 0);
    report_done_with(bench, 2, refs[0], 0, "zero");
    report_done_with(bench, 2, refs[2], 0, "two");
    (void)expect_logs(bench, 1, "two", DROVER_STATE_SUCCEEDED);
    subscribe_logs(bench, 1, 2, 100, WHOLE, 0);
    (void)expect_logs(bench, 1, "zeroonetwo", DROVER_STATE_SUCCEEDED);
    subscribe_logs(bench, 1, 3, 100, 2, 0);
    (void)expect_logs(bench, 1, "two", DROVER_STATE_SUCCEEDED);
}

/* Without following, running elements are asked one after the other. */
static void test_output_of_an_array_that_runs_element_by_element(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 100, 2);
    drop_all(bench, 1);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_started(bench, 2, refs[0]);
    report_started(bench, 2, refs[1]);
    bench_turn(bench);
    subscribe_logs(bench, 1, 1, 100, WHOLE, 0);
    (void)followed(bench, 2, refs[0]);
    say(bench, 2, refs[0], DRV_OUTPUT_STDOUT, 0, "zero", DRV_LOG_TAIL_END);
    (void)followed(bench, 2, refs[1]);
    say(bench, 2, refs[1], DRV_OUTPUT_STDOUT, 0, "one", DRV_LOG_TAIL_END);
    (void)expect_logs(bench, 1, "zero", 0);
    (void)expect_logs(bench, 1, "one", DROVER_STATE_RUNNING);
}

/* A reader whose window is full gets what is kept as it takes, and misses what comes. */
static void test_reader_that_is_slow_gets_what_is_kept(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    struct drv_piece pieces[] = {{.stream = DRV_OUTPUT_STDOUT, .len = 1},
                                 {.stream = DRV_OUTPUT_STDERR, .len = 1},
                                 {.stream = DRV_OUTPUT_STDOUT, .offset = 1, .len = 1}};
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_nil(),
                              .error = {.exit_code = -1},
                              .tail = {pieces, 3, text("abc")}};
    report(bench, 2, &done);
    bench_turn(bench);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_LOGS,
                                   .items = 1,
                                   .has_id = true,
                                   .id = id_of(100),
                                   .index = WHOLE};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    (void)expect_logs(bench, 1, "a", 0);
    expect_none(bench, 1, DRV_LOGS);
    taken(bench, 1, 1, 1);
    bench_turn(bench);
    (void)expect_logs(bench, 1, "b", 0);
    taken(bench, 1, 1, 2);
    bench_turn(bench);
    (void)expect_logs(bench, 1, "c", DROVER_STATE_SUCCEEDED);
}

/* A task that is forgotten under its reader ends the reading. */
static void test_task_that_is_forgotten_ends_its_readers(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_ref ref = start(bench, 100);
    report_done_with(bench, 2, ref, 0, "a");
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_LOGS,
                                   .has_id = true,
                                   .id = id_of(100),
                                   .index = WHOLE};
    struct drv_message message = request(bench, 1, DRV_SUBSCRIBE);
    message.subscribe = wanted;
    speak(bench, 1, &message);
    targets_request(bench, 1, DRV_FORGET, 100, WHOLE); /* before anything could be sent */
    bench_turn(bench);
    const struct drv_logs *logs = expect_logs(bench, 1, "", DROVER_STATE_SUCCEEDED);
    assert_int_equal(logs->first, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_output_that_nobody_follows_is_not_asked_for),
        BENCH_TEST(test_follower_gets_every_byte_once),
        BENCH_TEST(test_follower_waits_for_the_start),
        BENCH_TEST(test_second_follower_gets_the_tail_alone),
        BENCH_TEST(test_streams_and_the_end_of_following),
        BENCH_TEST(test_tail_is_kept_with_the_task),
        BENCH_TEST(test_reader_of_a_running_task_gets_its_tail),
        BENCH_TEST(test_reader_is_not_held_up_by_a_lost_worker),
        BENCH_TEST(test_worker_that_is_back_is_asked_again),
        BENCH_TEST(test_kept_output_is_bounded),
        BENCH_TEST(test_output_of_a_failed_attempt_is_kept_until_the_next),
        BENCH_TEST(test_output_of_an_array),
        BENCH_TEST(test_output_of_an_array_that_runs_element_by_element),
        BENCH_TEST(test_reader_that_is_slow_gets_what_is_kept),
        BENCH_TEST(test_task_that_is_forgotten_ends_its_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
