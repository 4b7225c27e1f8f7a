/*
 * Shared data.
 */
#include "fixture.h"

static const struct drv_reply *ask(struct bench *bench, uint32_t peer, const struct drv_kv *kv)
{
    struct drv_message message = request(bench, peer, DRV_KV);
    message.kv = *kv;
    speak(bench, peer, &message);
    bench_turn(bench);
    return reply(bench, peer);
}

static const struct drv_reply *get(struct bench *bench, const char *key)
{
    struct drv_kv kv = {.op = DRV_KV_GET, .key = text(key), .val = val_nil()};
    return ask(bench, 1, &kv);
}

static const struct drv_reply *set(struct bench *bench, const char *key, const char *value,
                                   uint64_t ttl_ms)
{
    struct drv_kv kv = {
        .op = DRV_KV_SET, .key = text(key), .val = val_of(value), .ttl_ms = ttl_ms};
    return ask(bench, 1, &kv);
}

static const struct drv_reply *cas(struct bench *bench, const char *key, const char *value,
                                   int64_t version)
{
    struct drv_kv kv = {
        .op = DRV_KV_CAS, .key = text(key), .val = val_of(value), .number = version};
    return ask(bench, 1, &kv);
}

static const struct drv_reply *increment(struct bench *bench, const char *key, int64_t by)
{
    struct drv_kv kv = {
        .op = DRV_KV_INCREMENT, .key = text(key), .val = val_nil(), .number = by};
    return ask(bench, 1, &kv);
}

/* What was set is got, with its version. */
static void test_set_and_get(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    assert_int_equal(get(bench, "a")->code, DROVER_UNKNOWN);
    int64_t version = set(bench, "a", "one", 0)->number;
    const struct drv_reply *answer = get(bench, "a");
    assert_true(val_is(&answer->val, "one"));
    assert_int_equal(answer->number, version);
    assert_true(set(bench, "a", "two", 0)->number > version);
    assert_true(val_is(&get(bench, "a")->val, "two"));
}

/* Deleting what is there works once; its versions never come again. */
static void test_delete(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    int64_t version = set(bench, "a", "one", 0)->number;
    struct drv_kv kv = {.op = DRV_KV_DELETE, .key = text("a"), .val = val_nil()};
    assert_ok(ask(bench, 1, &kv)->code);
    assert_int_equal(ask(bench, 1, &kv)->code, DROVER_UNKNOWN);
    assert_true(set(bench, "a", "one", 0)->number > version);
}

/* Compare and set needs the present version; 0 is absent. */
static void test_compare_and_set(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    assert_int_equal(cas(bench, "a", "x", 7)->code, DROVER_CONFLICT);
    const struct drv_reply *answer = cas(bench, "a", "one", 0);
    assert_ok(answer->code);
    int64_t version = answer->number;
    answer = cas(bench, "a", "two", 0);
    assert_int_equal(answer->code, DROVER_CONFLICT);
    assert_int_equal(answer->number, version);
    assert_ok(cas(bench, "a", "two", version)->code);
    assert_int_equal(cas(bench, "a", "three", version)->code, DROVER_CONFLICT);
    assert_true(val_is(&get(bench, "a")->val, "two"));
}

/* Counting begins at nothing; what is no integer is refused; nothing wraps around. */
static void test_increment(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    assert_int_equal(increment(bench, "n", 5)->number, 5);
    assert_int_equal(increment(bench, "n", -7)->number, -2);
    (void)set(bench, "t", "\xa1x", 0);
    assert_int_equal(increment(bench, "t", 1)->code, DROVER_INVALID);
    (void)increment(bench, "m", INT64_MAX);
    assert_int_equal(increment(bench, "m", 1)->code, DROVER_INVALID);
    const struct drv_reply *answer = get(bench, "n");
    assert_int_equal(answer->val.len, 1);
    assert_int_equal(answer->val.bytes[0], 0xfe); /* -2 in msgpack */
}

/* After its time to live a key is gone; setting it anew without one keeps it. */
static void test_time_to_live(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    (void)set(bench, "a", "x", 1000);
    (void)set(bench, "b", "x", 1000);
    (void)set(bench, "b", "y", 0);
    bench_pass(bench, 999 * MS);
    assert_ok(get(bench, "a")->code);
    bench_pass(bench, 1 * MS);
    assert_int_equal(get(bench, "a")->code, DROVER_UNKNOWN);
    assert_ok(get(bench, "b")->code);
}

/* A write with a fence counts while its attempt holds the lease. */
static void test_fenced_write(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_ref ref = leased(bench, 2);
    struct drv_kv kv = {.op = DRV_KV_SET,
                        .key = text("a"),
                        .val = val_of("x"),
                        .has_fence = true,
                        .fence = ref};
    kv.fence.handle = 0;
    assert_ok(ask(bench, 2, &kv)->code);
    kv.fence.attempt = 7;
    assert_int_equal(ask(bench, 2, &kv)->code, DROVER_STALE);
    kv.fence.attempt = ref.attempt;
    report_done(bench, 2, ref, "");
    assert_int_equal(ask(bench, 2, &kv)->code, DROVER_STALE);
}

/* Number and bytes are bounded. */
static void test_shared_data_is_bounded(void **state)
{
    struct bench *bench = *state;
    bench->config.kv_count_max = 2;
    bench->config.kv_bytes_max = 20;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    assert_ok(set(bench, "a", "12345", 0)->code);
    assert_ok(set(bench, "b", "12345", 0)->code);
    assert_int_equal(set(bench, "c", "1", 0)->code, DROVER_BUSY);
    assert_int_equal(set(bench, "a", "12345678901234567890", 0)->code, DROVER_BUSY);
    assert_ok(set(bench, "a", "1234567890", 0)->code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_set_and_get),
        BENCH_TEST(test_delete),
        BENCH_TEST(test_compare_and_set),
        BENCH_TEST(test_increment),
        BENCH_TEST(test_time_to_live),
        BENCH_TEST(test_fenced_write),
        BENCH_TEST(test_shared_data_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
