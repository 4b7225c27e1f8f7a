/*
 * Why something that could run does not: what is ahead of it, what its workers have no more of,
 * what holds the rest of an array.
 */
#include "answer.h"
#include "array_story.h"

#include <stdio.h>

static void expect_why(struct bench *bench, uint32_t task, const char *reason,
                       const char *words)
{
    struct drv_query query = {
        .topic = DRV_TOPIC_WHY, .has_id = true, .id = id_of(task), .index = DROVER_INDEX_NONE};
    struct answer answer = ask(bench, &query);
    assert_ok(answer.document.code);
    const msgpack_object *code = at(&answer.unpacked.data, "reason");
    const msgpack_object *line = at(&answer.unpacked.data, "text");
    char told[1024];
    (void)snprintf(told, sizeof told, "%.*s: %.*s", (int)code->via.str.size, code->via.str.ptr,
                   (int)line->via.str.size, line->via.str.ptr);
    answer_free(&answer);
    char wanted[1024];
    (void)snprintf(wanted, sizeof wanted, "%s: %s", reason, words);
    assert_string_equal(told, wanted);
}

static void submit_typed(struct bench *bench, uint32_t first, uint32_t count, const char *type,
                         const char *key)
{
    struct drv_spec spec = spec_of(type);
    spec.fairness = key == NULL ? spec.fairness : text(key);
    submit_many(bench, 1, &spec, first, count, "x");
    bench_turn(bench);
}

/* --- who is ahead ------------------------------------------------------------------------ */

static void set_up_types(struct bench *bench)
{
    struct worker_options options = {.types = {"sleep", "square"}, .slots = 1};
    client(bench, 1);
    worker_with(bench, 2, &options);
}

/* Whoever came earlier is ahead, of whatever type; who came later is not. */
static void test_other_types_are_ahead(void **state)
{
    struct bench *bench = *state;
    set_up_types(bench);
    submit_typed(bench, 100, 7, "sleep", NULL);
    submit_typed(bench, 200, 1, "square", NULL);
    submit_typed(bench, 110, 3, "sleep", NULL);
    (void)leased(bench, 2);
    expect_why(bench, 200, "ahead", "6 ahead of it in queue default");
    expect_why(bench, 112, "ahead", "9 ahead of it in queue default");
    expect_why(bench, 101, "no_slot",
               "next in queue default: the 1 worker(s) for type sleep are busy");
}

/* What came back stands where it was before. */
static void test_what_came_back_is_ahead(void **state)
{
    struct bench *bench = *state;
    set_up_types(bench);
    submit_typed(bench, 100, 1, "sleep", NULL);
    struct drv_ref ref = leased(bench, 2);
    submit_typed(bench, 200, 1, "square", NULL);
    submit_typed(bench, 101, 1, "sleep", NULL);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {0, 1 << 20}};
    speak(bench, 2, &credit);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    expect_why(bench, 200, "ahead", "1 ahead of it in queue default");
    expect_why(bench, 101, "ahead", "2 ahead of it in queue default");
    expect_why(bench, 100, "no_slot",
               "next in queue default: the 1 worker(s) for type sleep are busy");
}

/* Keys take turns: an earlier task of another one is not ahead, whatever its type. */
static void test_other_keys_are_not_ahead(void **state)
{
    struct bench *bench = *state;
    set_up_types(bench);
    submit_typed(bench, 100, 4, "sleep", "a");
    submit_typed(bench, 200, 1, "square", "b");
    submit_typed(bench, 201, 1, "square", "a");
    expect_why(bench, 200, "no_slot",
               "next in queue default: the 1 worker(s) for type square are busy");
    expect_why(bench, 201, "ahead", "3 ahead of it in queue default");
}

/* Other workers' work is not ahead. */
static void test_work_of_others_is_not_ahead(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "sleep", 1);
    worker(bench, 3, "square", 1);
    submit_typed(bench, 100, 3, "sleep", NULL);
    submit_typed(bench, 200, 2, "square", NULL);
    expect_why(bench, 201, "no_slot",
               "next in queue default: the 1 worker(s) for type square are busy");
}

/* An array is as many as its elements that wait, and waits itself for what came earlier. */
static void test_arrays_are_ahead_and_behind(void **state)
{
    struct bench *bench = *state;
    set_up_types(bench);
    struct drv_spec spec = spec_of("sleep");
    submit_typed(bench, 100, 3, "square", NULL);
    array_of(bench, 1, &spec, 300, 5);
    submit_typed(bench, 200, 1, "square", NULL);
    expect_why(bench, 300, "ahead", "2 ahead of it in queue default");
    expect_why(bench, 200, "ahead", "7 ahead of it in queue default");
}

/* What its type keeps back is passed over by other types. */
static void test_full_types_are_passed_over(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {
        .types = {"sleep", "square"}, .slots = 2, .concurrency = 1};
    client(bench, 1);
    worker_with(bench, 2, &options);
    submit_typed(bench, 100, 3, "sleep", NULL);
    submit_typed(bench, 200, 2, "square", NULL);
    expect_why(bench, 102, "ahead", "1 ahead of it in queue default");
    expect_why(bench, 201, "type_full",
               "next in queue default: the 1 worker(s) for type square run as many of this "
               "type as each may at once");
}

/* --- what workers have no more of -------------------------------------------------------- */

static struct drv_spec needy(const struct drv_count *need)
{
    struct drv_spec spec = spec_of("work");
    spec.needs = need;
    spec.need_count = 1;
    return spec;
}

static void submit_spec(struct bench *bench, uint32_t task, const struct drv_spec *spec)
{
    submit(bench, 1, spec, task);
    bench_turn(bench);
}

/* A slot is free, but what it needs is in use; without a slot free the worker is busy. What
 * waits for more of it, or for something else, is not ahead. */
static void test_need_in_use_is_told_from_busy(void **state)
{
    struct bench *bench = *state;
    struct drv_count has = {text("gpu"), 2}, one = {text("gpu"), 1}, two = {text("gpu"), 2};
    struct worker_options options = {
        .types = {"work"}, .slots = 3, .resources = &has, .resource_count = 1};
    struct drv_spec single = needy(&one), both = needy(&two);
    client(bench, 1);
    worker_with(bench, 2, &options);
    submit_spec(bench, 100, &single);
    submit_spec(bench, 101, &both);
    submit_spec(bench, 102, &single);
    submit_spec(bench, 103, &single);
    expect_why(bench, 101, "no_slot",
               "next in queue default: 1 of the 1 worker(s) for type work have a slot free, "
               "but not gpu=2");
    expect_why(bench, 103, "no_slot",
               "next in queue default: 1 of the 1 worker(s) for type work have a slot free, "
               "but not gpu=1");
    struct drv_spec plain = spec_of("work");
    submit_spec(bench, 200, &plain);
    submit_spec(bench, 201, &plain);
    expect_why(bench, 101, "no_slot",
               "next in queue default: the 1 worker(s) for type work with gpu=2 are busy");
    expect_why(bench, 201, "no_slot",
               "next in queue default: the 1 worker(s) for type work are busy");
}

/* Its byte window is full: slots are free all the same. */
static void test_full_window_is_told_from_busy(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 8);
    worker(bench, 3, "other", 8);
    struct drv_message credit = {.kind = DRV_CREDIT, .credit = {8, 100}};
    speak(bench, 2, &credit);
    bench->boxes[2].holds_tokens = true;
    char payload[65];
    memset(payload, 'x', 64);
    payload[64] = '\0';
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, payload);
    bench_turn(bench);
    expect_why(bench, 101, "no_slot",
               "next in queue default: 1 of the 1 worker(s) for type work have a slot free, "
               "but take no more bytes just now");
}

/* Nor is one busy that has gone, or does not read. */
static void test_absent_worker_is_told_from_busy(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    worker(bench, 2, "work", 1);
    worker(bench, 3, "work", 1);
    blocked(bench, 2, true);
    submit_spec(bench, 100, &spec);
    (void)leased(bench, 3);
    submit_spec(bench, 101, &spec);
    const char *words = "next in queue default: 1 of the 2 worker(s) for type work have a slot "
                        "free, but are away or do not read";
    expect_why(bench, 101, "no_slot", words);
    gone(bench, 2);
    expect_why(bench, 101, "no_slot", words);
}

/* Asked in the turn in which it came, with a worker free. */
static void test_what_is_about_to_go_is_told_from_busy(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    worker(bench, 2, "work", 2);
    submit(bench, 1, &spec, 100);
    expect_why(bench, 100, "no_slot",
               "next in queue default: 1 of the 1 worker(s) for type work have a slot free, "
               "and it goes to one of them");
    (void)leased(bench, 2);
}

/* --- arrays ------------------------------------------------------------------------------ */

static void set_queue(struct bench *bench, uint32_t op, int64_t concurrency)
{
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = op, .queue = text("default")};
    message.queue.has_settings = op == DRV_QUEUE_SET;
    message.queue.settings = (struct drv_queue_settings){-1, -1, -1, -1, -1, -1, -1, -1, -1};
    message.queue.settings.concurrency = concurrency;
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* That some of it run does not tell why the others do not. */
static void test_array_tells_what_holds_the_rest(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    worker(bench, 2, "work", 2);
    array_of(bench, 1, &spec, 100, 5);
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_started(bench, 2, refs[0]);
    report_started(bench, 2, refs[1]);
    expect_why(bench, 100, "running", "2 running, 3 queued, 0 of 5 ended");
    set_queue(bench, DRV_QUEUE_SET, 2);
    expect_why(bench, 100, "running",
               "2 running, 3 queued, 0 of 5 ended; concurrency 2 of 2 in queue default");
    set_queue(bench, DRV_QUEUE_PAUSE, -1);
    expect_why(bench, 100, "running",
               "2 running, 3 queued, 0 of 5 ended; queue default is paused");
    set_queue(bench, DRV_QUEUE_RESUME, -1);
    set_queue(bench, DRV_QUEUE_SET, 0);
    struct drv_message drain = request(bench, 1, DRV_WORKER);
    drain.worker = (struct drv_worker_request){DRV_WORKER_DRAIN, text("worker")};
    speak(bench, 1, &drain);
    bench_turn(bench);
    expect_why(bench, 100, "running",
               "2 running, 3 queued, 0 of 5 ended; next in queue default: the 1 worker(s) for "
               "type work take nothing new (draining)");
    core_drain(bench->core, bench->now);
    expect_why(bench, 100, "running",
               "2 running, 3 queued, 0 of 5 ended; the broker is going down: what waits starts "
               "after its restart");
}

/* When the first of them goes on, whether it waits for its delay or its next attempt. */
static void test_array_tells_when_it_goes_on(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 10000;
    spec.retries = 1;
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    array_filled(bench, 1, 100, 0, 1);
    bench_pass(bench, 4 * SECOND);
    array_filled(bench, 1, 100, 1, 2);
    array_sealed(bench, 1, 100, 3);
    expect_why(bench, 100, "delayed",
               "3 elements wait for their delay or back-off, the first for 6.0 s");
    bench_pass(bench, 6 * SECOND);
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    report_failed(bench, 2, leased(bench, 2), 0); /* again in a second or so, not in four */
    bench_turn(bench);
    struct drv_query query = {
        .topic = DRV_TOPIC_WHY, .has_id = true, .id = id_of(100), .index = 0};
    struct answer answer = ask(bench, &query);
    const msgpack_object *line = at(&answer.unpacked.data, "text");
    char told[64], words[128];
    (void)snprintf(told, sizeof told, "%.*s", (int)line->via.str.size, line->via.str.ptr);
    answer_free(&answer);
    static const char retry[] = "retry 1 of 1 in ";
    assert_memory_equal(told, retry, sizeof retry - 1);
    assert_true(told[sizeof retry - 1] < '4' && told[sizeof retry] == '.');
    (void)snprintf(words, sizeof words,
                   "3 elements wait for their delay or back-off, the first for %s",
                   told + sizeof retry - 1);
    expect_why(bench, 100, "delayed", words);
}

/* One that was never dispatched wakes with the others of its message. */
static void test_element_tells_when_it_goes_on(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 10000;
    client(bench, 1);
    array_opened(bench, 1, &spec, 100);
    bench_pass(bench, 4 * SECOND);
    array_filled(bench, 1, 100, 0, 2);
    bench_pass(bench, 1 * SECOND);
    struct drv_query query = {
        .topic = DRV_TOPIC_WHY, .has_id = true, .id = id_of(100), .index = 1};
    struct answer answer = ask(bench, &query);
    const msgpack_object *line = at(&answer.unpacked.data, "text");
    static const char words[] = "starts in 9.0 s at the earliest";
    assert_int_equal(line->via.str.size, sizeof words - 1);
    assert_memory_equal(line->via.str.ptr, words, sizeof words - 1);
    answer_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_other_types_are_ahead),
        BENCH_TEST(test_what_came_back_is_ahead),
        BENCH_TEST(test_other_keys_are_not_ahead),
        BENCH_TEST(test_work_of_others_is_not_ahead),
        BENCH_TEST(test_arrays_are_ahead_and_behind),
        BENCH_TEST(test_full_types_are_passed_over),
        BENCH_TEST(test_need_in_use_is_told_from_busy),
        BENCH_TEST(test_full_window_is_told_from_busy),
        BENCH_TEST(test_absent_worker_is_told_from_busy),
        BENCH_TEST(test_what_is_about_to_go_is_told_from_busy),
        BENCH_TEST(test_array_tells_what_holds_the_rest),
        BENCH_TEST(test_array_tells_when_it_goes_on),
        BENCH_TEST(test_element_tells_when_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
