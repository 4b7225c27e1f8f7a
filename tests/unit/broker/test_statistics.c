/*
 * Statistics of workers: the latest are kept and handed out, for one worker and, page by page,
 * for all; however much they are, the broker's memory is bounded.
 */
#include "fixture.h"

#include <msgpack.h>

enum { BIG = DRV_HEARTBEAT_BLOB_MAX };

static void worker_named(struct bench *bench, uint32_t peer, const char *name)
{
    struct worker_options options = {.types = {"work"}, .slots = 1, .name = name};
    worker_with(bench, peer, &options);
}

static void beat(struct bench *bench, uint32_t peer, const void *details, size_t len)
{
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    message.heartbeat.details = (struct drv_str){details, len};
    speak(bench, peer, &message);
    bench_turn(bench);
    drop_all(bench, peer);
}

/* {"a": bin}, `len` bytes in all. */
static void beat_with(struct bench *bench, uint32_t peer, size_t len)
{
    uint8_t *bytes = calloc(1, len);
    const uint8_t head[] = {
        0x81, 0xa1, 'a', 0xc5, (uint8_t)((len - 6) >> 8), (uint8_t)((len - 6) & 0xff)};
    assert_non_null(bytes);
    memcpy(bytes, head, sizeof head);
    beat(bench, peer, bytes, len);
    free(bytes);
}

static const struct drv_document *ask(struct bench *bench, const struct drv_query *query)
{
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = *query;
    speak(bench, 1, &message);
    bench_turn(bench);
    return &expect(bench, 1, DRV_DOCUMENT)->document;
}

static const msgpack_object *find_key(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (pair->key.via.str.size == strlen(key) &&
            memcmp(pair->key.via.str.ptr, key, strlen(key)) == 0) {
            return &pair->val;
        }
    }
    return NULL;
}

struct page {
    msgpack_unpacked unpacked;
    const msgpack_object *workers;
    struct drv_str cursor;
};

static void page_ask(struct bench *bench, struct drv_str cursor, uint32_t limit,
                     struct page *out_page)
{
    struct drv_query query = {.topic = DRV_TOPIC_STATISTICS, .limit = limit, .cursor = cursor};
    const struct drv_document *document = ask(bench, &query);
    size_t offset = 0;
    assert_ok(document->code);
    assert_true(document->body.len <= DRV_BLOB_MAX);
    msgpack_unpacked_init(&out_page->unpacked);
    assert_int_equal(msgpack_unpack_next(&out_page->unpacked, document->body.ptr,
                                         document->body.len, &offset),
                     MSGPACK_UNPACK_SUCCESS);
    out_page->workers = find_key(&out_page->unpacked.data, "workers");
    out_page->cursor = document->cursor;
    assert_non_null(out_page->workers);
}

/* The first worker's row of the first page, when there is one worker. */
static const msgpack_object *only_row(struct bench *bench, struct page *page)
{
    page_ask(bench, (struct drv_str){NULL, 0}, 0, page);
    assert_int_equal(page->workers->via.array.size, 1);
    return &page->workers->via.array.ptr[0];
}

/* The latest details stay when a heartbeat has none, with their age. */
static void test_statistics_latest_are_kept(void **state)
{
    struct bench *bench = *state;
    struct page page;
    client(bench, 1);
    worker_named(bench, 2, "one");
    const msgpack_object *row = only_row(bench, &page);
    assert_null(find_key(row, "details"));
    assert_null(find_key(row, "details_age_ms"));
    msgpack_unpacked_destroy(&page.unpacked);
    beat(bench, 2, "\x81\xa4load\x07", 7);
    beat(bench, 2, "\x81\xa4load\x08", 7);
    bench_pass(bench, 500000);
    beat(bench, 2, NULL, 0);
    row = only_row(bench, &page);
    assert_int_equal(find_key(find_key(row, "details"), "load")->via.u64, 8);
    assert_int_equal(find_key(row, "details_age_ms")->via.u64, 500);
    assert_non_null(find_key(row, "host"));
    msgpack_unpacked_destroy(&page.unpacked);
}

/* All workers come, each once, in pages that fit into one message however large their rows. */
static void test_statistics_of_all_workers_are_paged(void **state)
{
    struct bench *bench = *state;
    enum { WORKERS = 11 };
    unsigned seen = 0;
    unsigned pages = 0;
    client(bench, 1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "w%u", i);
        worker_named(bench, 2 + i, name);
        beat_with(bench, 2 + i, BIG);
    }
    uint8_t cursor[64];
    size_t cursor_len = 0;
    do {
        struct page page;
        page_ask(bench, (struct drv_str){(const char *)cursor, cursor_len}, 0, &page);
        for (uint32_t i = 0; i < page.workers->via.array.size; i++) {
            const msgpack_object *row = &page.workers->via.array.ptr[i];
            seen |= 1u << strtoul(find_key(row, "name")->via.str.ptr + 1, NULL, 10);
            assert_non_null(find_key(row, "details"));
        }
        pages++;
        cursor_len = page.cursor.len;
        assert_true(cursor_len <= sizeof cursor);
        if (cursor_len > 0) {
            memcpy(cursor, page.cursor.ptr, cursor_len);
        }
        msgpack_unpacked_destroy(&page.unpacked);
    } while (cursor_len > 0);
    assert_int_equal(seen, (1u << WORKERS) - 1);
    assert_true(pages > 1);
}

/* What does not fit beside the others' is not kept, which is told; what they gave back is there
 * for it the next time. */
static void test_statistics_are_bounded_over_all_workers(void **state)
{
    struct bench *bench = *state;
    struct page page;
    bench->config.details_bytes_max = 1000;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    worker_named(bench, 2, "one");
    beat_with(bench, 2, 1000);
    const msgpack_object *row = only_row(bench, &page);
    assert_non_null(find_key(row, "details"));
    assert_null(find_key(row, "details_dropped"));
    msgpack_unpacked_destroy(&page.unpacked);
    beat_with(bench, 2, 1001);
    row = only_row(bench, &page);
    assert_null(find_key(row, "details"));
    assert_true(find_key(row, "details_dropped")->via.boolean);
    msgpack_unpacked_destroy(&page.unpacked);
    worker_named(bench, 3, "two");
    beat_with(bench, 3, 600);
    beat_with(bench, 2, 500);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 3, &goodbye);
    bench_turn(bench);
    assert_null(find_key(only_row(bench, &page), "details"));
    msgpack_unpacked_destroy(&page.unpacked);
    beat_with(bench, 2, 500);
    assert_non_null(find_key(only_row(bench, &page), "details"));
    msgpack_unpacked_destroy(&page.unpacked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_statistics_latest_are_kept),
        BENCH_TEST(test_statistics_of_all_workers_are_paged),
        BENCH_TEST(test_statistics_are_bounded_over_all_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
