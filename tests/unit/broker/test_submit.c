/*
 * Submits: what is refused and why, what is the same, limits.
 */
#include "fixture.h"

static void restart_with(struct bench *bench)
{
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
}

static uint32_t note_code(struct bench *bench, size_t position)
{
    const struct drv_reply *answer = reply(bench, 1);
    for (size_t i = 0; i < answer->note_count; i++) {
        if (answer->notes[i].position == position) {
            return answer->notes[i].code;
        }
    }
    return DROVER_OK;
}

static void expect_refused(struct bench *bench, const struct drv_spec *spec,
                           drover_status status)
{
    submit(bench, 1, spec, 100);
    bench_turn(bench);
    assert_int_equal(note_code(bench, 0), status);
    assert_int_equal(counters(bench).submitted, 0);
}

/* The same id with the same content is the same task. */
static void test_same_submit_is_one_task(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    client(bench, 2);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    submit(bench, 2, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_ok(bench, 2);
    assert_int_equal(counters(bench).submitted, 1);
}

/* The same id with other content is a conflict, also after the task has succeeded. */
static void test_same_id_with_other_content_is_a_conflict(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 1, "one");
    bench_turn(bench);
    expect_ok(bench, 1);
    submit_many(bench, 1, &spec, 100, 1, "two");
    bench_turn(bench);
    assert_int_equal(note_code(bench, 0), DROVER_CONFLICT);
    struct drv_spec other = spec_of("work");
    other.priority = 1;
    submit_many(bench, 1, &other, 100, 1, "one");
    bench_turn(bench);
    assert_int_equal(note_code(bench, 0), DROVER_CONFLICT);
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), "");
    bench_turn(bench);
    submit_many(bench, 1, &spec, 100, 1, "two");
    bench_turn(bench);
    assert_int_equal(note_code(bench, 0), DROVER_CONFLICT);
    submit_many(bench, 1, &spec, 100, 1, "one");
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* A second submitter that watches is told, too. */
static void test_second_submitter_is_told(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    client(bench, 3);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    submit(bench, 3, &spec, 100);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    (void)result(bench, 1);
    (void)result(bench, 3);
}

/* Who waits for the end is not woken for less: the reply goes with the result... */
static void test_reply_that_nobody_waits_for_goes_with_the_result(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    assert_null(next(bench, 1));
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    assert_int_equal(next(bench, 1)->kind, DRV_REPLY);
    assert_int_equal(next(bench, 1)->kind, DRV_RESULTS);
    bench_pass(bench, 10000);
    expect_none(bench, 1, DRV_REPLY);
}

/* ... or soon, should nothing else come; and at once when somebody waits, or it is no yes. */
static void test_reply_that_nobody_waits_for_waits_a_millisecond(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    bench_pass(bench, 1000);
    expect_ok(bench, 1);
    struct drv_spec plain = spec_of("work");
    submit(bench, 1, &plain, 101);
    bench_turn(bench);
    expect_ok(bench, 1);
    spec.priority = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    assert_int_equal(note_code(bench, 0), DROVER_CONFLICT);
}

/* A client that goes and comes back meanwhile is answered all the same. */
static void test_reply_that_waits_survives_the_connection(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    gone(bench, 1);
    bench_pass(bench, 5000);
    assert_int_equal(counters(bench).submitted, 1);
}

/* A level that the store cannot give is refused; no wish gets what there is. */
static void test_level_beyond_the_store_is_refused(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.durability = DROVER_DURABILITY_SYNCED;
    expect_refused(bench, &spec, DROVER_REFUSED);
    spec.durability = DROVER_DURABILITY_MEMORY;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_MEMORY);
}

/* Strict: a type that nobody offers is refused. */
static void test_strict_refuses_what_nobody_offers(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.flags = DRV_SPEC_STRICT;
    expect_refused(bench, &spec, DROVER_REFUSED);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* A full queue: busy from there on, in the order of the message. */
static void test_full_queue_is_busy_from_there_on(void **state)
{
    struct bench *bench = *state;
    bench->config.queue_count_max = 2;
    restart_with(bench);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 4, "x");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(answer->notes[i].position, 2 + i);
        assert_int_equal(answer->notes[i].code, DROVER_BUSY);
        assert_true(answer->notes[i].retry_after_ms > 0);
    }
    /* Another queue has room, but what stands behind a refused entry is refused, too. */
    struct drv_entry entries[] = {{id_of(200), val_of("x")}, {id_of(201), val_of("x")}};
    struct drv_submit_group groups[2] = {
        {.spec = spec, .entries = entries, .entry_count = 1},
        {.spec = spec_of("work"), .entries = entries + 1, .entry_count = 1}};
    groups[1].spec.queue = text("other");
    struct drv_message message = request(bench, 1, DRV_SUBMIT);
    message.submit.groups = groups;
    message.submit.group_count = 2;
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(note_code(bench, 1), DROVER_BUSY);
}

/* A limit in bytes per queue, and one per client. */
static void test_limits_in_bytes(void **state)
{
    struct bench *bench = *state;
    bench->config.queue_bytes_max = 10;
    restart_with(bench);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "12345");
    bench_turn(bench);
    assert_int_equal(note_code(bench, 2), DROVER_BUSY);
    bench->config.queue_bytes_max = 1000;
    bench->config.client_bytes_max = 10;
    gone(bench, 1);
    restart_with(bench);
    submit_many(bench, 1, &spec, 100, 3, "12345");
    bench_turn(bench);
    assert_int_equal(note_code(bench, 2), DROVER_BUSY);
    /* What has ended does not count. */
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), "");
    submit_many(bench, 1, &spec, 102, 1, "12345");
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* Memory as a whole is bounded, and given back. */
static void test_memory_is_bounded_and_given_back(void **state)
{
    struct bench *bench = *state;
    bench->config.memory_max = 200 * 1000;
    restart_with(bench);
    uint64_t before = core_memory_bytes(bench->core);
    char payload[1001];
    memset(payload, 'x', 1000);
    payload[1000] = '\0';
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 100, payload);
    submit_many(bench, 1, &spec, 200, 200, payload);
    bench_turn(bench);
    uint64_t taken = counters(bench).submitted;
    assert_in_range(taken, 100, 199);
    assert_true(core_memory_bytes(bench->core) <= bench->config.memory_max + 100 * 1000);
    drop_all(bench, 1);
    for (uint32_t i = 0; i < taken; i++) {
        cancel(bench, 1, 100 + i);
        targets_request(bench, 1, DRV_FORGET, 100 + i, DROVER_INDEX_NONE);
        bench_turn(bench);
    }
    drop_all(bench, 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.request.floor = message.request.req;
    message.kv = (struct drv_kv){.op = DRV_KV_GET, .key = text("none"), .val = val_nil()};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_in_range(core_memory_bytes(bench->core), 0, before + 2000);
}

static drover_status answer_to(struct bench *bench, const struct drv_spec *spec)
{
    submit(bench, 1, spec, 7);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    return answer->note_count > 0 ? answer->notes[0].code : answer->code;
}

/* Nobody would ever run it. */
static void test_what_expires_before_it_is_due_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    spec.delay_ms = 2000;
    spec.expire_ms = 1000;
    assert_int_equal(answer_to(bench, &spec), DROVER_INVALID);
    spec.expire_ms = 2000;
    assert_int_equal(answer_to(bench, &spec), DROVER_INVALID);
    spec.expire_ms = 2001;
    assert_int_equal(answer_to(bench, &spec), DROVER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_same_submit_is_one_task),
        BENCH_TEST(test_same_id_with_other_content_is_a_conflict),
        BENCH_TEST(test_second_submitter_is_told),
        BENCH_TEST(test_reply_that_nobody_waits_for_goes_with_the_result),
        BENCH_TEST(test_reply_that_nobody_waits_for_waits_a_millisecond),
        BENCH_TEST(test_reply_that_waits_survives_the_connection),
        BENCH_TEST(test_level_beyond_the_store_is_refused),
        BENCH_TEST(test_strict_refuses_what_nobody_offers),
        BENCH_TEST(test_full_queue_is_busy_from_there_on),
        BENCH_TEST(test_limits_in_bytes),
        BENCH_TEST(test_memory_is_bounded_and_given_back),
        BENCH_TEST(test_what_expires_before_it_is_due_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
