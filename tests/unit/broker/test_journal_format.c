/* test_journal_format.c: the bytes on the disk are those of broker/store/README.md. */
#include "format.h"
#include "journal.h"
#include "rng.h"
#include "test.h"

#include <ctype.h>

static const drover_id store = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* The batch that the document shows. */
static size_t example(uint8_t *bytes)
{
    const uint64_t seed = format_seed(&store);
    struct format_record record = {.lsn = 1, .index = 7, .kind = 3, .len = 5};
    memset(record.id.bytes, 0xaa, sizeof record.id.bytes);
    memset(bytes, 0, FORMAT_BATCH_HEADER + FORMAT_RECORD_HEADER + 8);
    memcpy(bytes + FORMAT_BATCH_HEADER + FORMAT_RECORD_HEADER, "hello", 5);
    format_record_write(&record, seed, bytes + FORMAT_BATCH_HEADER);
    const struct format_batch batch = {.length = FORMAT_BLOCK,
                                       .used = FORMAT_BATCH_HEADER + FORMAT_RECORD_HEADER + 8,
                                       .count = 1,
                                       .segment = 1,
                                       .offset = FORMAT_SEGMENT_START,
                                       .epoch = 1,
                                       .first_lsn = 1,
                                       .durable = 0};
    format_batch_write(&batch, seed, bytes);
    return batch.used;
}

/* The hex digits of the first ```hex block of the document. */
static size_t documented(uint8_t *bytes, size_t size)
{
    static char text[64 * 1024];
    char path[512];
    const char *root = getenv("DROVER_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/broker/store/README.md", root != NULL ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *at = strstr(text, "```hex\n");
    assert_non_null(at);
    size_t count = 0;
    for (at += 7; *at != '`' && *at != '\0' && count < size; at++) {
        if (isxdigit((unsigned char)*at)) {
            const char digits[] = {at[0], at[1], '\0'};
            bytes[count++] = (uint8_t)strtoul(digits, NULL, 16);
            at++;
        }
    }
    return count;
}

/* The document's example, byte for byte. */
static void test_format_batch_is_as_documented(void **state)
{
    uint8_t expected[512];
    uint8_t bytes[512];
    const size_t len = example(bytes);
    const size_t count = documented(expected, sizeof expected);
    if (count != len || memcmp(bytes, expected, len) != 0) {
        for (size_t i = 0; i < len; i++) {
            print_message("%02x%s", bytes[i], i % 16 == 15 ? "\n" : " ");
        }
        fail_msg("the document says otherwise");
    }
}

/* What is written is read back: slot, segment header, batch, record. */
static void test_format_round_trip(void **state)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    uint32_t version = 0;
    struct format_slot slot = {
        .store = store, .generation = 3, .epoch = 4, .oldest = 5, .newest = 6, .durable = 7};
    struct format_slot slot_read;
    memset(&slot_read, 0, sizeof slot_read);
    format_slot_write(&slot, bytes);
    assert_int_equal(format_slot_read(bytes, &slot_read, &version), FORMAT_GOOD);
    assert_memory_equal(&slot, &slot_read, sizeof slot);
    struct format_segment segment = {
        .store = store, .number = 3, .first_lsn = 4, .epoch = 5, .bytes = 65536};
    struct format_segment segment_read;
    format_segment_write(&segment, bytes);
    assert_int_equal(format_segment_read(bytes, &segment_read, &version), FORMAT_GOOD);
    assert_memory_equal(&segment, &segment_read, sizeof segment);
    assert_int_equal(format_slot_read(bytes, &slot_read, &version), FORMAT_FOREIGN);
}

/* Any flipped bit of a header or record is seen. */
static void test_format_every_flipped_bit_is_seen(void **state)
{
    uint8_t bytes[512];
    struct format_batch batch;
    struct format_record record;
    const uint64_t seed = format_seed(&store);
    const size_t len = example(bytes) - 3; /* the last three pad the record */
    assert_true(format_batch_read(bytes, seed, &batch));
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const bool good = bit < (size_t)FORMAT_BATCH_HEADER * 8
                              ? format_batch_read(bytes, seed, &batch)
                              : format_record_read(bytes + FORMAT_BATCH_HEADER,
                                                   len + 3 - FORMAT_BATCH_HEADER, seed,
                                                   &record);
        assert_false(good);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_false(format_batch_read(bytes, seed + 1, &batch)); /* another store */
    assert_false(format_record_read(bytes + FORMAT_BATCH_HEADER, 50, seed, &record));
    assert_false(format_record_read(bytes + FORMAT_BATCH_HEADER, 20, seed, &record));
}

/* Random bytes are nothing. */
static void test_format_random_bytes_are_refused(void **state)
{
    uint8_t bytes[256];
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        struct format_batch batch;
        struct format_record record;
        for (size_t j = 0; j < sizeof bytes; j += 8) {
            const uint64_t word = drv_rng_next(&rng);
            memcpy(bytes + j, &word, 8);
        }
        memcpy(bytes + 8, "DRVB", 4);
        assert_false(format_batch_read(bytes, 1, &batch));
        memset(bytes + 9, 0, 7);
        assert_false(format_record_read(bytes, sizeof bytes, 1, &record));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format_batch_is_as_documented),
    cmocka_unit_test(test_format_round_trip),
    cmocka_unit_test(test_format_every_flipped_bit_is_seen),
    cmocka_unit_test(test_format_random_bytes_are_refused),
};

TEST_MAIN(tests)
