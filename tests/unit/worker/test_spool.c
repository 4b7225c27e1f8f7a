/*
 * The spool of an attempt: order, bounds, offsets, the tail.
 */
#include "data.h"
#include "rng.h"
#include "spool.h"
#include "test.h"

enum { ALL = 2 + 4 + 8 + 16, MAX = 16 * 1024 }; /* every stream; bytes of a message */

static const enum drv_output OUT = DRV_OUTPUT_STDOUT;
static const enum drv_output ERR = DRV_OUTPUT_STDERR;
static const enum drv_output DATA = DRV_OUTPUT_DATA;

static void add(struct worker_spool *spool, enum drv_output stream, const char *text)
{
    assert_ok(worker_spool_add(spool, stream, 0, drv_str_of(text), WORKER_SPOOL_KEEP));
}

/* "1:0 abc; 2:0 x": what is not sent yet, as it would be sent. */
static void assert_unsent(struct worker_spool *spool, uint32_t streams, const char *expected)
{
    char text[1024] = "";
    size_t len = 0;
    struct worker_spool_view view;
    while (worker_spool_next(spool, streams, MAX, &view)) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d:%d %.*s",
                                len > 0 ? "; " : "", (int)view.stream, (int)view.offset,
                                (int)view.text.len, view.text.ptr);
        worker_spool_sent(spool, &view);
    }
    assert_string_equal(text, expected);
}

/* What is printed comes out in the order of its arrival, bytes that follow each other together.
 */
static void test_spool_keeps_the_order_of_arrival(void **state)
{
    struct worker_spool spool = {0};
    add(&spool, OUT, "a");
    add(&spool, OUT, "b");
    add(&spool, ERR, "x");
    add(&spool, OUT, "c");
    assert_unsent(&spool, ALL, "1:0 ab; 2:0 x; 1:2 c");
    assert_unsent(&spool, ALL, "");
    add(&spool, OUT, "d");
    assert_unsent(&spool, ALL, "1:3 d");
    worker_spool_rewind(&spool);
    assert_unsent(&spool, 1U << OUT, "1:0 ab; 1:2 cd");
    assert_unsent(&spool, ALL, "2:0 x");
    worker_spool_fini(&spool);
}

/* What was lost before it came here shows in the offsets. */
static void test_spool_counts_what_was_missed(void **state)
{
    struct worker_spool spool = {0};
    add(&spool, OUT, "abc");
    assert_ok(worker_spool_add(&spool, OUT, 100, drv_str_of("d"), WORKER_SPOOL_KEEP));
    assert_ok(worker_spool_add(&spool, OUT, 7, drv_str_of(""), WORKER_SPOOL_KEEP));
    add(&spool, OUT, "e");
    assert_unsent(&spool, ALL, "1:0 abc; 1:103 d; 1:111 e");
    worker_spool_fini(&spool);
}

/* Values stay apart, and come whole or not at all. */
static void test_spool_values_come_whole(void **state)
{
    char value[601];
    struct worker_spool spool = {0};
    add(&spool, DATA, "one");
    add(&spool, DATA, "two");
    assert_unsent(&spool, ALL, "4:0 one; 4:3 two");
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        add(&spool, DATA, value);
    }
    struct worker_spool_view view;
    assert_true(worker_spool_next(&spool, ALL, MAX, &view));
    assert_int_equal(view.text.len, 600);
    assert_int_equal((view.offset - 6) % 600, 0);
    assert_true(worker_spool_size(&spool) <= WORKER_SPOOL_KEEP);
    worker_spool_fini(&spool);
}

/* A value that is longer than what is kept stays until the next comes. */
static void test_spool_long_value_stays_alone(void **state)
{
    static char value[WORKER_SPOOL_KEEP * 2];
    struct worker_spool spool = {0};
    struct worker_spool_view view;
    struct drv_str text = {value, sizeof(value)};
    add(&spool, DATA, "first");
    assert_ok(worker_spool_add(&spool, DRV_OUTPUT_DATA, 0, text, WORKER_SPOOL_KEEP));
    assert_true(worker_spool_next(&spool, ALL, MAX, &view));
    assert_int_equal(view.text.len, sizeof(value));
    assert_int_equal(view.offset, 5);
    add(&spool, DATA, "next");
    assert_unsent(&spool, ALL, "4:16389 next");
    worker_spool_fini(&spool);
}

/* Of too much the last is kept, of each stream for itself. */
static void test_spool_keeps_the_last_of_each_stream(void **state)
{
    static char flood[100000];
    struct worker_spool spool = {0};
    struct worker_spool_view view;
    memset(flood, 'f', sizeof(flood));
    memcpy(flood + sizeof(flood) - 3, "end", 3);
    add(&spool, ERR, "quiet");
    assert_ok(worker_spool_add(&spool, DRV_OUTPUT_STDOUT, 0,
                               (struct drv_str){flood, sizeof(flood)}, WORKER_SPOOL_KEEP));
    assert_true(worker_spool_next(&spool, ALL, MAX, &view));
    assert_int_equal(view.stream, ERR);
    worker_spool_sent(&spool, &view);
    assert_true(worker_spool_next(&spool, ALL, MAX, &view));
    assert_int_equal(view.offset + view.text.len, sizeof(flood));
    assert_true(view.text.len > WORKER_SPOOL_KEEP - 512);
    assert_memory_equal(view.text.ptr + view.text.len - 3, "end", 3);
    worker_spool_fini(&spool);
}

/* The tail has everything in order, or the newest that fits. */
static void test_spool_tail_is_the_newest_in_order(void **state)
{
    struct worker_spool spool = {0};
    struct drv_data *block = NULL;
    struct drv_tail tail;
    assert_ok(worker_spool_tail(&spool, &block, &tail));
    assert_null(block);
    assert_int_equal(tail.piece_count, 0);
    add(&spool, OUT, "ab");
    add(&spool, ERR, "x");
    add(&spool, OUT, "c");
    assert_ok(worker_spool_tail(&spool, &block, &tail));
    assert_int_equal(tail.piece_count, 3);
    assert_int_equal(tail.text.len, 4);
    assert_memory_equal(tail.text.ptr, "abxc", 4);
    assert_int_equal(tail.pieces[1].stream, ERR);
    assert_int_equal(tail.pieces[2].offset, 2);
    drv_data_unref(&block);
    for (int i = 0; i < 2000; i++) { /* more pieces than fit */
        add(&spool, i % 2 == 0 ? OUT : ERR, i % 2 == 0 ? "o" : "e");
    }
    assert_ok(worker_spool_tail(&spool, &block, &tail));
    assert_true(tail.piece_count <= DRV_TAIL_PIECES_MAX);
    assert_int_equal(tail.pieces[tail.piece_count - 1].offset, 1000);
    assert_memory_equal(tail.text.ptr + tail.text.len - 4, "oeoe", 4);
    drv_data_unref(&block);
    worker_spool_fini(&spool);
}

/* A model of one stream: all bytes that were ever printed, or missed. */
struct model {
    uint64_t end;
    uint64_t sent; /* next offset that may come */
};

static char byte_of(enum drv_output stream, uint64_t offset)
{
    return (char)(offset * 31 + (uint64_t)stream * 7);
}

static void add_random(struct worker_spool *spool, struct model *models, struct drv_rng *rng,
                       size_t keep)
{
    static char bytes[20000];
    enum drv_output stream = (enum drv_output)(1 + drv_rng_below(rng, 4));
    struct model *model = &models[stream];
    uint64_t missed = drv_rng_below(rng, 8) == 0 ? drv_rng_below(rng, 1000) : 0;
    size_t len = drv_rng_below(rng, 10) == 0 ? drv_rng_below(rng, sizeof(bytes))
                                             : drv_rng_below(rng, 100);
    model->end += missed;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_of(stream, model->end + i);
    }
    model->end += len;
    assert_ok(worker_spool_add(spool, stream, missed, (struct drv_str){bytes, len}, keep));
    assert_int_equal(spool->streams[stream - 1].end, model->end);
}

static void send_random(struct worker_spool *spool, struct model *models, struct drv_rng *rng)
{
    struct worker_spool_view view;
    uint32_t streams = (uint32_t)drv_rng_below(rng, 32);
    if (!worker_spool_next(spool, streams, MAX, &view)) {
        return;
    }
    struct model *model = &models[view.stream];
    assert_true((streams >> view.stream & 1) != 0);
    assert_true(view.offset >= model->sent);
    assert_true(view.offset + view.text.len <= model->end);
    for (size_t i = 0; i < view.text.len; i++) {
        assert_int_equal(view.text.ptr[i], byte_of(view.stream, view.offset + i));
    }
    model->sent = view.offset + view.text.len;
    worker_spool_sent(spool, &view);
}

static void check_tail(const struct worker_spool *spool, const struct model *models)
{
    struct drv_data *block = NULL;
    struct drv_tail tail;
    assert_ok(worker_spool_tail(spool, &block, &tail));
    assert_true(tail.piece_count <= DRV_TAIL_PIECES_MAX && tail.text.len <= DRV_TAIL_MAX);
    size_t at = 0;
    for (size_t i = 0; i < tail.piece_count; i++) {
        const struct drv_piece *piece = &tail.pieces[i];
        assert_true(piece->offset + piece->len <= models[piece->stream].end);
        for (size_t k = 0; k < piece->len; k++) {
            assert_int_equal(tail.text.ptr[at++],
                             byte_of((enum drv_output)piece->stream, piece->offset + k));
        }
    }
    assert_int_equal(at, tail.text.len);
    drv_data_unref(&block);
}

/* Whatever comes, is sent and is dropped: every byte is at its offset, no stream exceeds its
 * bound, nothing is sent twice but after a rewind. */
static void test_spool_random_use_never_shifts_a_byte(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 50; round++) {
        struct worker_spool spool = {0};
        struct model models[WORKER_SPOOL_STREAMS + 1] = {{0}};
        for (int step = 0; step < 400; step++) {
            size_t keep = drv_rng_below(&rng, 2) == 0 ? WORKER_SPOOL_KEEP : WORKER_SPOOL_LAG;
            add_random(&spool, models, &rng, keep);
            for (uint64_t i = drv_rng_below(&rng, 4); i > 0; i--) {
                send_random(&spool, models, &rng);
            }
            if (drv_rng_below(&rng, 50) == 0) {
                worker_spool_rewind(&spool);
                for (size_t i = 0; i <= WORKER_SPOOL_STREAMS; i++) {
                    models[i].sent = 0;
                }
            }
        }
        worker_spool_trim(&spool, WORKER_SPOOL_KEEP);
        assert_true(worker_spool_size(&spool) <= 3 * WORKER_SPOOL_KEEP + 20000 + 32);
        check_tail(&spool, models);
        worker_spool_fini(&spool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spool_keeps_the_order_of_arrival),
        cmocka_unit_test(test_spool_counts_what_was_missed),
        cmocka_unit_test(test_spool_values_come_whole),
        cmocka_unit_test(test_spool_long_value_stays_alone),
        cmocka_unit_test(test_spool_keeps_the_last_of_each_stream),
        cmocka_unit_test(test_spool_tail_is_the_newest_in_order),
        cmocka_unit_test(test_spool_random_use_never_shifts_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
