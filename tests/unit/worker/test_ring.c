/*
 * The ring: what goes in comes out; a peer that lies gets nowhere; nobody sleeps through a
 * call.
 */
#include "ring.h"
#include "rng.h"

#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CAPACITY = 1024 };

struct pair {
    struct ring_shared *shared; /* owned */
    struct ring_writer writer;
    struct ring_reader reader;
    struct drv_buffer record;
};

static struct pair pair_new(size_t capacity)
{
    struct pair pair;
    pair.shared = aligned_alloc(64, (ring_size(capacity) + 63) / 64 * 64);
    assert_non_null(pair.shared);
    ring_init(pair.shared);
    ring_writer_init(&pair.writer, pair.shared, capacity);
    ring_reader_init(&pair.reader, pair.shared, capacity);
    drv_buffer_init(&pair.record);
    return pair;
}

static void pair_free(struct pair *pair)
{
    drv_buffer_fini(&pair->record);
    free(pair->shared);
}

/* Bytes that tell their record and their place in it. */
static void fill(uint8_t *bytes, size_t len, uint64_t number)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(number * 131 + i * 7);
    }
}

static void check(const struct drv_buffer *record, size_t len, uint64_t number)
{
    assert_int_equal(record->len, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(record->bytes[i], (uint8_t)(number * 131 + i * 7));
    }
}

/* Any sequence of writes and reads of any sizes gives back what was put in, in order; BUSY
 * comes exactly when there is no room. */
static void test_ring_random_records_come_back(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    struct pair pair = pair_new(CAPACITY);
    size_t lens[CAPACITY];
    uint64_t written = 0;
    uint64_t read_count = 0;
    size_t used = 0;
    uint8_t bytes[CAPACITY];
    for (unsigned step = 0; step < 200000; step++) {
        if (drv_rng_below(&rng, 2) == 0) {
            size_t limit = drv_rng_below(&rng, 8) == 0 ? ring_record_max(CAPACITY) + 1 : 80;
            size_t len = (size_t)drv_rng_below(&rng, limit);
            size_t first = (size_t)drv_rng_below(&rng, len + 1);
            size_t need = (len + 4 + 7) / 8 * 8;
            fill(bytes, len, written);
            struct drv_view parts[] = {drv_view_of(bytes, first),
                                       drv_view_of(bytes + first, len - first)};
            drover_status status = ring_write(&pair.writer, parts, 2);
            assert_int_equal(status, used + need <= CAPACITY ? DROVER_OK : DROVER_BUSY);
            if (!status) {
                lens[written++ % CAPACITY] = len;
                used += need;
            }
        } else {
            drover_status status = ring_read(&pair.reader, &pair.record);
            assert_int_equal(status, written > read_count ? DROVER_OK : DROVER_NOT_READY);
            if (!status) {
                size_t len = lens[read_count % CAPACITY];
                check(&pair.record, len, read_count++);
                used -= (len + 4 + 7) / 8 * 8;
            }
        }
        assert_int_equal(ring_writer_used(&pair.writer), used);
    }
    pair_free(&pair);
}

/* A record that can never fit is refused as such. */
static void test_ring_record_of_any_size_is_judged(void **state)
{
    struct pair pair = pair_new(CAPACITY);
    uint8_t bytes[CAPACITY * 2] = {0};
    struct drv_view part = drv_view_of(bytes, ring_record_max(CAPACITY));
    assert_ok(ring_write(&pair.writer, &part, 1));
    assert_ok(ring_read(&pair.reader, &pair.record));
    for (size_t len = ring_record_max(CAPACITY) + 1; len < sizeof(bytes); len += 97) {
        part = drv_view_of(bytes, len);
        assert_int_equal(ring_write(&pair.writer, &part, 1), DROVER_TOO_BIG);
    }
    pair_free(&pair);
}

/* Impossible positions and lengths are seen as such by both ends. */
static void test_ring_impossible_words_are_malformed(void **state)
{
    struct pair pair = pair_new(CAPACITY);
    uint8_t bytes[64] = {0};
    struct drv_view part = drv_view_of(bytes, 40);
    assert_ok(ring_write(&pair.writer, &part, 1));

    static const uint64_t TAILS[] = {CAPACITY + 8, 4, 41, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof(TAILS) / sizeof(TAILS[0]); i++) {
        atomic_store(&pair.shared->tail, TAILS[i]);
        assert_int_equal(ring_read(&pair.reader, &pair.record), DROVER_MALFORMED);
    }
    atomic_store(&pair.shared->tail, 48);
    static const uint32_t LENGTHS[] = {41 + 4,     CAPACITY,       CAPACITY - 7,
                                       UINT32_MAX, UINT32_MAX - 3, 0x80000000};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        memcpy(pair.shared->bytes, &LENGTHS[i], sizeof(LENGTHS[i]));
        assert_int_equal(ring_read(&pair.reader, &pair.record), DROVER_MALFORMED);
    }
    static const uint64_t HEADS[] = {56, 1, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof(HEADS) / sizeof(HEADS[0]); i++) {
        atomic_store(&pair.shared->head, HEADS[i]);
        part = drv_view_of(bytes, ring_record_max(CAPACITY));
        assert_int_equal(ring_write(&pair.writer, &part, 1), DROVER_MALFORMED);
        assert_int_equal(ring_writer_used(&pair.writer), CAPACITY);
    }
    pair_free(&pair);
}

/* Whatever is written over the whole of the shared memory, reading ends, with records that are
 * not longer than the ring, and no byte outside is touched. */
static void test_ring_hostile_writer_gets_nowhere(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (unsigned round = 0; round < 20000; round++) {
        struct pair pair = pair_new(64);
        uint8_t *raw = (uint8_t *)pair.shared;
        size_t first = drv_rng_below(&rng, 2) == 0 ? 0 : sizeof(struct ring_shared);
        for (size_t i = first; i < ring_size(64); i++) {
            raw[i] = (uint8_t)(drv_rng_below(&rng, 4) == 0 ? drv_rng_next(&rng) : 0);
        }
        if (first > 0) {
            atomic_store(&pair.shared->tail, drv_rng_below(&rng, 10) * 8);
        }
        unsigned count = 0;
        drover_status status = ring_read(&pair.reader, &pair.record);
        for (; !status; status = ring_read(&pair.reader, &pair.record)) {
            assert_true(pair.record.len <= ring_record_max(64));
            assert_true(++count <= 8);
        }
        assert_true(status == DROVER_NOT_READY || status == DROVER_MALFORMED);
        pair_free(&pair);
    }
}

/* ---- two threads ----------------------------------------------------------------------------
 */

struct talk {
    struct pair *pair;
    int to_reader, to_writer; /* eventfds */
    uint64_t count;
    uint64_t seed;
};

static void call(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void await_call(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    uint64_t count;
    assert_int_equal(poll(&entry, 1, (int)test_deadline_ms(10000)), 1);
    assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
}

static void *produce(void *argument)
{
    struct talk *talk = argument;
    struct drv_rng rng;
    uint8_t bytes[128];
    drv_rng_init(&rng, talk->seed);
    for (uint64_t i = 0; i < talk->count; i++) {
        size_t len = (size_t)drv_rng_below(&rng, sizeof(bytes));
        struct drv_view part = drv_view_of(bytes, len);
        fill(bytes, len, i);
        drover_status status = ring_write(&talk->pair->writer, &part, 1);
        while (status == DROVER_BUSY) {
            if (ring_writer_wait(&talk->pair->writer, len)) {
                await_call(talk->to_writer);
            }
            status = ring_write(&talk->pair->writer, &part, 1);
        }
        assert_ok(status);
        if (ring_writer_must_wake(&talk->pair->writer)) {
            call(talk->to_reader);
        }
    }
    return NULL;
}

/* Two threads that both block now and then: every record arrives, no call is missed (a missed
 * one would end in the deadline of await_call). */
static void test_ring_two_sides_wake_each_other(void **state)
{
    struct pair pair = pair_new(256);
    struct talk talk = {.pair = &pair,
                        .to_reader = eventfd(0, EFD_CLOEXEC),
                        .to_writer = eventfd(0, EFD_CLOEXEC),
                        .count = 50000,
                        .seed = test_seed()};
    pthread_t thread;
    struct drv_rng rng;
    drv_rng_init(&rng, talk.seed);
    assert_int_equal(pthread_create(&thread, NULL, produce, &talk), 0);
    for (uint64_t i = 0; i < talk.count; i++) {
        drover_status status = ring_read(&pair.reader, &pair.record);
        while (status == DROVER_NOT_READY) {
            if (ring_reader_sleep(&pair.reader)) {
                await_call(talk.to_reader);
                ring_reader_wake(&pair.reader);
            }
            status = ring_read(&pair.reader, &pair.record);
        }
        assert_ok(status);
        check(&pair.record, (size_t)drv_rng_below(&rng, 128), i);
        if (ring_reader_must_wake(&pair.reader)) {
            call(talk.to_writer);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ring_read(&pair.reader, &pair.record), DROVER_NOT_READY);
    (void)close(talk.to_reader);
    (void)close(talk.to_writer);
    pair_free(&pair);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ring_random_records_come_back),
    cmocka_unit_test(test_ring_record_of_any_size_is_judged),
    cmocka_unit_test(test_ring_impossible_words_are_malformed),
    cmocka_unit_test(test_ring_hostile_writer_gets_nowhere),
    cmocka_unit_test(test_ring_two_sides_wake_each_other),
};

TEST_MAIN(tests)
