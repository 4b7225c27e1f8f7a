/*
 * Keys: one task of a queue at a time, whoever submits it, also over restarts and after it was
 * forgotten.
 */
#include "restore_story.h"

static struct drv_spec keyed(const char *key)
{
    struct drv_spec spec = watched("work");
    spec.key = text(key);
    return spec;
}

/* The reply to the last request is that the key is another task's. */
static void expect_attached(struct bench *bench, uint32_t peer, uint32_t number)
{
    const struct drv_reply *answer = reply(bench, peer);
    assert_ok(answer->code);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].code, DROVER_ATTACHED);
    assert_true(answer->notes[0].has_id);
    assert_int_equal(number_of(answer->notes[0].id), number);
}

static void submitted(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                      uint32_t number)
{
    submit(bench, peer, spec, number);
    bench_turn(bench);
    expect_ok(bench, peer);
}

static void attached(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                     uint32_t number, uint32_t first)
{
    submit(bench, peer, spec, number);
    bench_turn(bench);
    expect_attached(bench, peer, first);
}

/* Worker 3 does what is next. */
static void done(struct bench *bench)
{
    report_done(bench, 3, leased(bench, 3), "result");
    bench_turn(bench);
}

static void forget(struct bench *bench, uint32_t number)
{
    targets_request(bench, 1, DRV_FORGET, number, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* Two clients at once, each with its own id and payload: one task, and both get its result. */
static void test_second_submit_with_a_key_attaches_to_the_first(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("invoice 7");
    client(bench, 1);
    client(bench, 2);
    submit_many(bench, 1, &spec, 100, 1, "one");
    submit_many(bench, 2, &spec, 200, 1, "two");
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_attached(bench, 2, 100);
    assert_int_equal(counters(bench).submitted, 1);
    assert_int_equal(counters(bench).attached, 1);
    assert_int_equal(counters(bench).refused, 0);
    targets_request(bench, 2, DRV_WATCH, 100, DROVER_INDEX_NONE);
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    done(bench);
    assert_int_equal(number_of(result(bench, 1)->id), 100);
    assert_true(val_is(&result(bench, 2)->val, "result"));
}

/* Another key, another queue, or no key at all: other tasks. */
static void test_key_counts_in_its_queue_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec first = keyed("k"), other = keyed("l"), side = keyed("k");
    struct drv_spec none = watched("work");
    client(bench, 1);
    side.queue = text("side");
    submitted(bench, 1, &first, 100);
    submitted(bench, 1, &other, 101);
    submitted(bench, 1, &side, 102);
    submitted(bench, 1, &none, 103);
    attached(bench, 1, &side, 104, 102);
    assert_int_equal(counters(bench).submitted, 4);
}

/* Once the task has ended the key is free, and the next one has it. */
static void test_key_is_free_when_its_task_has_ended(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    client(bench, 1);
    worker(bench, 3, "work", 1);
    submitted(bench, 1, &spec, 100);
    attached(bench, 1, &spec, 101, 100);
    done(bench);
    submitted(bench, 1, &spec, 102);
    attached(bench, 1, &spec, 103, 102);
    forget(bench, 100);
    attached(bench, 1, &spec, 104, 102);
}

/* The window keeps the key though the task has ended, and though it is forgotten. */
static void test_window_outlives_the_task(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    spec.key_window_ms = 60000;
    client(bench, 1);
    worker(bench, 3, "work", 1);
    submitted(bench, 1, &spec, 100);
    done(bench);
    bench_pass(bench, 20 * SECOND);
    attached(bench, 1, &spec, 101, 100);
    forget(bench, 100);
    attached(bench, 1, &spec, 102, 100);
    bench_pass(bench, 39 * SECOND);
    attached(bench, 1, &spec, 103, 100);
    bench_pass(bench, 2 * SECOND);
    submitted(bench, 1, &spec, 104);
    assert_int_equal(counters(bench).submitted, 2);
}

/* What has a key is kept although its submitter wanted it released: others may come for it. */
static void test_result_of_a_key_is_kept_for_others(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k"), plain = watched("work");
    spec.flags |= DRV_SPEC_RELEASE;
    plain.flags |= DRV_SPEC_RELEASE;
    spec.key_window_ms = 60000;
    client(bench, 1);
    client(bench, 2);
    worker(bench, 3, "work", 1);
    submitted(bench, 1, &spec, 100);
    done(bench);
    submitted(bench, 1, &plain, 101);
    done(bench);
    attached(bench, 2, &spec, 102, 100);
    targets_request(bench, 2, DRV_WATCH, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 2);
    targets_request(bench, 2, DRV_WATCH, 101, DROVER_INDEX_NONE);
    bench_turn(bench);
    assert_int_equal(reply(bench, 2)->notes[0].code, DROVER_UNKNOWN);
}

/* The same id with another key, or with none, is other content. */
static void test_same_id_with_another_key_is_a_conflict(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k"), other = keyed("l"), none = watched("work");
    client(bench, 1);
    submitted(bench, 1, &spec, 100);
    submitted(bench, 1, &spec, 100);
    submit(bench, 1, &other, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_CONFLICT);
    submit(bench, 1, &none, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_CONFLICT);
}

/* A request that comes again is answered as before, also when the key is free by then. */
static void test_attached_answer_is_kept(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    client(bench, 1);
    worker(bench, 3, "work", 1);
    submitted(bench, 1, &spec, 100);
    attached(bench, 1, &spec, 101, 100);
    done(bench);
    bench->boxes[1].req--;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    expect_attached(bench, 1, 100);
    assert_int_equal(counters(bench).submitted, 1);
}

/* Many tasks under one key make no sense, nor does an empty key or a window without one. */
static void test_keys_that_make_no_sense_are_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k"), empty = keyed(""), window = watched("work");
    client(bench, 1);
    submit_many(bench, 1, &spec, 100, 3, "payload");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 3);
    assert_int_equal(answer->notes[2].code, DROVER_INVALID);
    assert_true(str_is(answer->notes[2].text, "a key is for one task alone"));
    submit(bench, 1, &empty, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_INVALID);
    window.key_window_ms = 1;
    submit(bench, 1, &window, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_INVALID);
    assert_int_equal(counters(bench).submitted, 0);
}

/* An array has a key as a task has; who attaches is told the id of the first. */
static void test_array_has_a_key(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.key = text("k");
    client(bench, 1);
    array_of(bench, 1, &spec, 100, 3);
    array_open_with(bench, 1, &spec, 200, val_nil());
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->code, DROVER_ATTACHED);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(number_of(answer->notes[0].id), 100);
    attached(bench, 1, &spec, 201, 100);
    array_open_with(bench, 1, &spec, 100, val_nil());
    assert_ok(reply(bench, 1)->code);
    cancel(bench, 1, 100);
    bench_turn(bench);
    array_of(bench, 1, &spec, 202, 1);
    forget(bench, 100);
    attached(bench, 1, &spec, 203, 202);
}

/* Beyond the bound new keys are busy; those that are there serve on. */
static void test_keys_are_bounded(void **state)
{
    struct bench *bench = *state;
    core_destroy(&bench->core);
    bench->config.keys_max = 2;
    bench_start(bench);
    client(bench, 1);
    struct drv_spec a = keyed("a"), b = keyed("b"), c = keyed("c");
    submitted(bench, 1, &a, 100);
    submitted(bench, 1, &b, 101);
    attached(bench, 1, &b, 102, 101);
    submit(bench, 1, &c, 103);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_BUSY);
    cancel(bench, 1, 100);
    bench_turn(bench);
    forget(bench, 100);
    submitted(bench, 1, &c, 103);
}

static void retry(struct bench *bench, uint32_t number, uint32_t new_number)
{
    struct drv_target target = {
        .id = id_of(number), .index = DROVER_INDEX_NONE, .new_id = id_of(new_number)};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, 1, &message);
    bench_turn(bench);
}

/* A retry takes the key along, unless another task has it by then. */
static void test_retry_takes_the_key_along(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    client(bench, 1);
    submitted(bench, 1, &spec, 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    retry(bench, 100, 101);
    expect_ok(bench, 1);
    attached(bench, 1, &spec, 102, 101);
    cancel(bench, 1, 101);
    bench_turn(bench);
    drop_all(bench, 1);
    submitted(bench, 1, &spec, 103);
    retry(bench, 101, 104);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_CONFLICT);
    assert_int_equal(counters(bench).submitted, 3);
}

static const struct drv_document *asked(struct bench *bench, uint32_t peer, const char *queue,
                                        const char *key)
{
    struct drv_message message = request(bench, peer, DRV_QUERY);
    message.query = (struct drv_query){.topic = DRV_TOPIC_KEY,
                                       .index = DROVER_INDEX_NONE,
                                       .name = text(queue),
                                       .text = text(key)};
    speak(bench, peer, &message);
    bench_turn(bench);
    return &expect(bench, peer, DRV_DOCUMENT)->document;
}

static void expect_found(struct bench *bench, uint32_t peer, const char *key, uint32_t number)
{
    char wanted[DROVER_ID_TEXT_LEN + 1];
    drover_id id = id_of(number);
    drover_id_format(&id, wanted);
    const struct drv_document *document = asked(bench, peer, NULL, key);
    assert_ok(document->code);
    assert_non_null(memmem(document->body.ptr, document->body.len, wanted, strlen(wanted)));
}

/* The latest task of a key is found by it, ended or not. */
static void test_latest_task_of_a_key_is_found(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    client(bench, 1);
    assert_int_equal(asked(bench, 1, NULL, "k")->code, DROVER_UNKNOWN);
    submitted(bench, 1, &spec, 100);
    expect_found(bench, 1, "k", 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_found(bench, 1, "k", 100);
    submitted(bench, 1, &spec, 101);
    expect_found(bench, 1, "k", 101);
    assert_int_equal(asked(bench, 1, "side", "k")->code, DROVER_UNKNOWN);
    assert_int_equal(asked(bench, 1, NULL, NULL)->code, DROVER_UNKNOWN);
}

/* --- restarts ---------------------------------------------------------------------------- */

/* Keys, windows and who has them last are as they were after a restart. */
static void test_keys_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    struct drv_spec active = keyed("active"), ended = keyed("ended"), gone = keyed("gone");
    ended.key_window_ms = gone.key_window_ms = 60000;
    struct drv_spec again = keyed("again"), with = spec_of("work");
    with.key = text("array");
    client(bench, 1);
    submitted(bench, 1, &active, 100);
    submitted(bench, 1, &ended, 101);
    cancel(bench, 1, 101);
    submitted(bench, 1, &gone, 102);
    cancel(bench, 1, 102);
    bench_turn(bench);
    forget(bench, 102);
    submitted(bench, 1, &again, 103);
    cancel(bench, 1, 103);
    submitted(bench, 1, &again, 104);
    array_of(bench, 1, &with, 105, 2);
    expect_restorable(bench);
    reborn(bench);
    client(bench, 4);
    attached(bench, 4, &active, 200, 100);
    attached(bench, 4, &ended, 201, 101);
    attached(bench, 4, &gone, 202, 102);
    attached(bench, 4, &again, 203, 104);
    attached(bench, 4, &with, 204, 105);
    expect_found(bench, 4, "gone", 102);
    bench_pass(bench, 61 * SECOND);
    expect_restorable(bench);
    submitted(bench, 4, &gone, 300);
    submitted(bench, 4, &ended, 301);
    attached(bench, 4, &active, 302, 100);
    expect_restorable(bench);
}

/* The answer that a second submitter got is kept, with the id in it. */
static void test_attached_answer_survives_a_restart(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    client(bench, 1);
    submitted(bench, 1, &spec, 100);
    attached(bench, 1, &spec, 101, 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    uint64_t req = bench->boxes[1].req - 1;
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench->boxes[1].req = req - 1;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    expect_attached(bench, 1, 100);
}

/* A window that is over is over in the records, too: a younger task has the key since. */
static void test_key_that_was_given_on_is_not_remembered(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k"), short_one = keyed("k");
    spec.key_window_ms = 1000;
    client(bench, 1);
    submitted(bench, 1, &spec, 100);
    cancel(bench, 1, 100);
    bench_turn(bench);
    forget(bench, 100);
    bench_pass(bench, 2 * SECOND);
    submitted(bench, 1, &short_one, 101);
    cancel(bench, 1, 101);
    bench_turn(bench);
    forget(bench, 101);
    reborn(bench);
    client(bench, 4);
    assert_int_equal(asked(bench, 4, NULL, "k")->code, DROVER_UNKNOWN);
    submitted(bench, 4, &spec, 102);
}

/* A task that the store does not keep leaves no key behind. */
static void test_key_of_a_weak_task_goes_with_it(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = keyed("k");
    spec.durability = DROVER_DURABILITY_MEMORY;
    spec.key_window_ms = 60000;
    client(bench, 1);
    submitted(bench, 1, &spec, 100);
    reborn(bench);
    client(bench, 4);
    submitted(bench, 4, &spec, 101);
    cancel(bench, 4, 101);
    bench_turn(bench);
    targets_request(bench, 4, DRV_FORGET, 101, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 4);
    reborn(bench);
    client(bench, 5);
    submitted(bench, 5, &spec, 102);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_second_submit_with_a_key_attaches_to_the_first),
        BENCH_TEST(test_key_counts_in_its_queue_alone),
        BENCH_TEST(test_key_is_free_when_its_task_has_ended),
        BENCH_TEST(test_window_outlives_the_task),
        BENCH_TEST(test_result_of_a_key_is_kept_for_others),
        BENCH_TEST(test_same_id_with_another_key_is_a_conflict),
        BENCH_TEST(test_attached_answer_is_kept),
        BENCH_TEST(test_keys_that_make_no_sense_are_refused),
        BENCH_TEST(test_array_has_a_key),
        BENCH_TEST(test_keys_are_bounded),
        BENCH_TEST(test_retry_takes_the_key_along),
        BENCH_TEST(test_latest_task_of_a_key_is_found),
        DURABLE_TEST(test_keys_survive_a_restart),
        DURABLE_TEST(test_attached_answer_survives_a_restart),
        DURABLE_TEST(test_key_that_was_given_on_is_not_remembered),
        DURABLE_TEST(test_key_of_a_weak_task_goes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
