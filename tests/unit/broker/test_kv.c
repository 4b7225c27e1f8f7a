/*
 * Shared data.
 */
#include "stream_story.h"
#include "table.h"

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

/* Whether these bytes are the salted hash of one of the keys, in either order. */
static bool tells_a_hash(const struct bench *bench, struct drv_str bytes,
                         const char *const *keys, size_t count)
{
    const struct drv_table salted = {.seed = bench->config.salt};
    uint64_t big = 0, little = 0;
    assert_int_equal(bytes.len, sizeof big);
    for (size_t i = 0; i < sizeof big; i++) {
        big = big << 8U | (uint8_t)bytes.ptr[i];
        little |= (uint64_t)(uint8_t)bytes.ptr[i] << (8 * i);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = drv_table_hash(&salted, keys[i], strlen(keys[i]));
        if (hash == big || hash == little) {
            return true;
        }
    }
    return false;
}

/* The hashes of keys are salted with a secret of the store; the cursors of lists, which clients
 * see, do not tell them, and still lead to every entry once. */
static void test_cursor_tells_no_salted_hash(void **state)
{
    static const char *const keys[] = {"one", "two", "three", "four", "five"};
    enum { KEYS = sizeof keys / sizeof *keys };
    struct bench *bench = *state;
    char cursor[8];
    size_t pages = 0;
    client(bench, 1);
    for (size_t i = 0; i < KEYS; i++) {
        (void)set(bench, keys[i], "value", 0);
    }
    struct drv_message message;
    for (struct drv_str next = {"", 0}; pages == 0 || next.len > 0; pages++) {
        struct drv_query query = {.topic = DRV_TOPIC_KV, .limit = 1, .cursor = next};
        message = request(bench, 1, DRV_QUERY);
        message.query = query;
        speak(bench, 1, &message);
        bench_turn(bench);
        next = expect(bench, 1, DRV_DOCUMENT)->document.cursor;
        if (next.len > 0) {
            assert_false(tells_a_hash(bench, next, keys, KEYS));
            memcpy(cursor, next.ptr, sizeof cursor);
            next.ptr = cursor;
        }
    }
    assert_in_range(pages, KEYS, KEYS + 1);
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

/* A write with a fence counts while its attempt holds the lease; others are refused and
 * counted. */
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
    assert_int_equal(counters(bench).stale_writes, 2);
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

/* A watcher of a prefix is told what is there, that this was all, and every change. */
static void test_watch_by_prefix(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    (void)set(bench, "a/1", "one", 0);
    (void)set(bench, "b", "else", 0);
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_KV,
                                   .flags = DRV_SUBSCRIBE_PREFIX | DRV_SUBSCRIBE_PRESENT,
                                   .index = DROVER_INDEX_NONE,
                                   .text = text("a/")};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "kv.present", "kv.ready");
    assert_true(map_has(event_map(events, 0), "\xa3key\xa3"
                                              "a/1"));
    assert_true(map_has(event_map(events, 0), "\xa5value\xc4\x03one"));
    drop_all(bench, 1);
    struct drv_kv gone = {.op = DRV_KV_DELETE, .key = text("a/1"), .val = val_nil()};
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = gone;
    speak(bench, 1, &message);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "kv.deleted");
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){
        .op = DRV_KV_SET, .key = text("a/2"), .val = val_of("two"), .ttl_ms = 1000};
    speak(bench, 1, &message);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "kv.set");
    bench_pass(bench, SECOND);
    (void)EXPECT_EVENTS(bench, 1, "kv.expired");
    (void)set(bench, "b", "other", 0);
    expect_none(bench, 1, DRV_EVENTS);
}

/* A watch of one key is of that key alone; a long value is named and not sent. */
static void test_watch_of_one_key(void **state)
{
    struct bench *bench = *state;
    struct drv_subscribe wanted = {
        .subscription = 1, .stream = DRV_STREAM_KV, .index = DROVER_INDEX_NONE};
    client(bench, 1);
    assert_int_equal(subscribe(bench, 1, &wanted)->code, DROVER_INVALID);
    wanted.text = text("a");
    assert_ok(subscribe(bench, 1, &wanted)->code);
    char *large = calloc(1, DRV_INLINE_MAX + 2);
    memset(large, 'x', DRV_INLINE_MAX + 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("a"), .val = val_of(large)};
    speak(bench, 1, &message);
    free(large);
    bench_turn(bench);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "kv.set");
    assert_true(map_has(event_map(events, 0), "\xa5"
                                              "bytes\xce"));
    assert_false(map_has(event_map(events, 0), "\xa5value"));
    (void)set(bench, "ab", "x", 0);
    expect_none(bench, 1, DRV_EVENTS);
}

/* What is there is told as far as the window takes it, and goes on as the reader takes. */
static void test_watch_of_much_with_a_small_window(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        (void)set(bench, key, "x", 0);
    }
    struct drv_subscribe wanted = {.subscription = 1,
                                   .stream = DRV_STREAM_KV,
                                   .items = 4,
                                   .flags = DRV_SUBSCRIBE_PREFIX | DRV_SUBSCRIBE_PRESENT,
                                   .index = DROVER_INDEX_NONE};
    assert_ok(subscribe(bench, 1, &wanted)->code);
    uint64_t told = 0;
    for (int i = 0; told < 11 && i < 11; i++) {
        const struct drv_events *events = &expect(bench, 1, DRV_EVENTS)->events;
        assert_int_equal(events->first, told + 1);
        assert_in_range(events->entry_count, 1, 4);
        told += events->entry_count;
        taken(bench, 1, 1, told);
        bench_turn(bench);
    }
    assert_int_equal(told, 11); /* ten, and that they were all */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_cursor_tells_no_salted_hash),
        BENCH_TEST(test_set_and_get),
        BENCH_TEST(test_delete),
        BENCH_TEST(test_compare_and_set),
        BENCH_TEST(test_increment),
        BENCH_TEST(test_time_to_live),
        BENCH_TEST(test_fenced_write),
        BENCH_TEST(test_shared_data_is_bounded),
        BENCH_TEST(test_watch_by_prefix),
        BENCH_TEST(test_watch_of_one_key),
        BENCH_TEST(test_watch_of_much_with_a_small_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
