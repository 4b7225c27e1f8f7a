/* reader.h, pack.h: validation and reading of msgpack from strangers, and its writer. */
#include "test.h"

#include "check.h"
#include "pack.h"
#include "reader.h"
#include "rng.h"

#include <math.h>
#include <msgpack.h>

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static drover_status validate(const uint8_t *bytes, size_t len)
{
    /* An allocation of its own, so that the address sanitizer sees every byte read too far. */
    uint8_t *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    drover_status status = drv_validate(copy, len, &DRV_VALIDATE_VALUE);
    free(copy);
    return status;
}

/* ---- validation -------------------------------------------------------------------------- */

/* One value of every known type passes. */
static void test_validate_accepts_every_known_type(void **state)
{
    assert_ok(validate(BYTES(0x00)));
    assert_ok(validate(BYTES(0x7f)));
    assert_ok(validate(BYTES(0x80)));
    assert_ok(validate(BYTES(0x90)));
    assert_ok(validate(BYTES(0xa0)));
    assert_ok(validate(BYTES(0xc0)));
    assert_ok(validate(BYTES(0xc2)));
    assert_ok(validate(BYTES(0xc3)));
    assert_ok(validate(BYTES(0xc4, 1, 0xff)));
    assert_ok(validate(BYTES(0xc5, 0, 0)));
    assert_ok(validate(BYTES(0xc6, 0, 0, 0, 1, 7)));
    assert_ok(validate(BYTES(0xca, 1, 2, 3, 4)));
    assert_ok(validate(BYTES(0xcb, 1, 2, 3, 4, 5, 6, 7, 8)));
    assert_ok(validate(BYTES(0xcc, 1)));
    assert_ok(validate(BYTES(0xcf, 1, 2, 3, 4, 5, 6, 7, 8)));
    assert_ok(validate(BYTES(0xd0, 1)));
    assert_ok(validate(BYTES(0xd3, 1, 2, 3, 4, 5, 6, 7, 8)));
    assert_ok(validate(BYTES(0xd9, 2, 'o', 'k')));
    assert_ok(validate(BYTES(0xda, 0, 1, 'k')));
    assert_ok(validate(BYTES(0xdb, 0, 0, 0, 0)));
    assert_ok(validate(BYTES(0xdc, 0, 1, 0xc0)));
    assert_ok(validate(BYTES(0xdd, 0, 0, 0, 0)));
    assert_ok(validate(BYTES(0xde, 0, 1, 1, 2)));
    assert_ok(validate(BYTES(0xdf, 0, 0, 0, 0)));
    assert_ok(validate(BYTES(0xe0)));
    assert_ok(validate(BYTES(0x92, 0x81, 0xa1, 'k', 0x91, 0xff, 0xc0)));
}

/* Ext types and the byte that means nothing are refused, at the top and inside. */
static void test_validate_refuses_ext_and_c1(void **state)
{
    static const uint8_t leads[] = {0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8};
    for (size_t i = 0; i < sizeof leads; i++) {
        uint8_t bytes[24] = {leads[i]};
        assert_int_equal(validate(bytes, sizeof bytes), DROVER_MALFORMED);
        uint8_t inside[24] = {0x91, leads[i]};
        assert_int_equal(validate(inside, sizeof inside), DROVER_MALFORMED);
    }
}

/* Every beginning of a value, and every value with a byte behind it, is malformed. */
static void test_validate_refuses_cut_and_trailing_bytes(void **state)
{
    static const uint8_t bytes[] = {0x96, 0xc4, 2,    1,    2, 0xd9, 1, 'x',  0xcb,
                                    1,    2,    3,    4,    5, 6,    7, 8,    0x81,
                                    0xa1, 'k',  0x91, 0xcd, 1, 2,    1, 0xc0, 0};
    assert_ok(validate(bytes, sizeof bytes - 1));
    for (size_t len = 0; len < sizeof bytes - 1; len++) {
        assert_int_equal(validate(bytes, len), DROVER_MALFORMED);
    }
    assert_int_equal(validate(bytes, sizeof bytes), DROVER_MALFORMED);
}

/* A header that claims more than there are bytes is refused at once, whatever it claims. */
static void test_validate_refuses_counts_beyond_the_bytes(void **state)
{
    assert_int_equal(validate(BYTES(0xdd, 0xff, 0xff, 0xff, 0xff, 0)), DROVER_MALFORMED);
    assert_int_equal(validate(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0)), DROVER_MALFORMED);
    assert_int_equal(validate(BYTES(0xdf, 0x80, 0, 0, 0, 0)), DROVER_MALFORMED);
    assert_int_equal(validate(BYTES(0xdb, 0xff, 0xff, 0xff, 0xff, 0)), DROVER_MALFORMED);
    assert_int_equal(validate(BYTES(0xc6, 0xff, 0xff, 0xff, 0xff, 0)), DROVER_MALFORMED);
    assert_int_equal(validate(BYTES(0x82, 0, 0, 0)), DROVER_MALFORMED);
}

/* A str must be UTF-8; a bin may be anything. */
static void test_validate_checks_utf8_of_str(void **state)
{
    assert_int_equal(validate(BYTES(0xa2, 0xc3, 0x28)), DROVER_MALFORMED);
    assert_ok(validate(BYTES(0xc4, 2, 0xc3, 0x28)));
    assert_ok(validate(BYTES(0xa2, 0xc3, 0xbc)));
}

static drover_status validate_nested(size_t containers, uint8_t lead, uint32_t depth)
{
    uint8_t bytes[200];
    size_t len = 0;
    for (size_t i = 0; i < containers; i++) {
        bytes[len++] = lead;
        if (lead == 0x81) {
            bytes[len++] = 0; /* a key */
        }
    }
    bytes[len++] = 0xc0;
    const struct drv_validate_limits limits = {.depth = depth, .nodes = 1000};
    return drv_validate(bytes, len, &limits);
}

/* Depth is counted in containers, exactly. */
static void test_validate_limits_depth(void **state)
{
    static const uint8_t leads[] = {0x91, 0x81};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(validate_nested(16, leads[i], 16));
        assert_int_equal(validate_nested(17, leads[i], 16), DROVER_LIMIT);
        assert_ok(validate_nested(0, leads[i], 0));
        assert_int_equal(validate_nested(1, leads[i], 0), DROVER_LIMIT);
        assert_ok(validate_nested(64, leads[i], 64));
        assert_int_equal(validate_nested(65, leads[i], 64), DROVER_LIMIT);
    }
}

/* Nodes are counted over the whole value, containers and keys included. */
static void test_validate_limits_nodes(void **state)
{
    static const uint8_t bytes[] = {0x92, 0x91, 1, 0x81, 2, 3};
    const struct drv_validate_limits enough = {.depth = 16, .nodes = 6};
    const struct drv_validate_limits few = {.depth = 16, .nodes = 5};
    assert_ok(drv_validate(bytes, sizeof bytes, &enough));
    assert_int_equal(drv_validate(bytes, sizeof bytes, &few), DROVER_LIMIT);
}

/* ---- cursor and writer ------------------------------------------------------------------- */

struct writer {
    struct drv_buffer buffer;
    struct drv_pack pack;
};

static void writer_init(struct writer *writer)
{
    drv_buffer_init(&writer->buffer);
    drv_pack_init(&writer->pack, &writer->buffer);
}

static struct drv_cursor cursor_over(const struct writer *writer)
{
    struct drv_cursor cursor;
    assert_ok(drv_pack_status(&writer->pack));
    assert_ok(drv_validate(writer->buffer.bytes, writer->buffer.len, &DRV_VALIDATE_HEAD));
    drv_cursor_init(&cursor, writer->buffer.bytes, writer->buffer.len);
    return cursor;
}

/* What was packed is read back, in order, to the last byte. */
static void test_cursor_reads_back_what_was_packed(void **state)
{
    struct writer writer;
    uint8_t id[16] = {1, 2, 3};
    writer_init(&writer);
    drv_pack_array(&writer.pack, 9);
    drv_pack_uint(&writer.pack, UINT64_MAX);
    drv_pack_int(&writer.pack, -5);
    drv_pack_bool(&writer.pack, true);
    drv_pack_double(&writer.pack, 0.5);
    drv_pack_text(&writer.pack, "text");
    drv_pack_bin(&writer.pack, id, sizeof id);
    drv_pack_nil(&writer.pack);
    drv_pack_map(&writer.pack, 1);
    drv_pack_key(&writer.pack, "key");
    drv_pack_raw(&writer.pack, "\x91\x05", 2);
    drv_pack_view(&writer.pack, drv_view_of("a\0b", 3));
    struct drv_cursor cursor = cursor_over(&writer);
    uint8_t copy[16];
    assert_int_equal(drv_cursor_array(&cursor), 9);
    assert_true(drv_cursor_uint(&cursor) == UINT64_MAX);
    assert_int_equal(drv_cursor_int(&cursor), -5);
    assert_true(drv_cursor_bool(&cursor));
    assert_true(drv_cursor_double(&cursor) == 0.5);
    assert_true(drv_view_is_text(drv_cursor_str(&cursor), "text"));
    drv_cursor_bin_exact(&cursor, copy, sizeof copy);
    assert_memory_equal(copy, id, sizeof id);
    assert_true(drv_cursor_is_nil(&cursor));
    drv_cursor_nil(&cursor);
    assert_int_equal(drv_cursor_peek(&cursor), DRV_TYPE_MAP);
    assert_int_equal(drv_cursor_map(&cursor), 1);
    assert_true(drv_view_is_text(drv_cursor_str(&cursor), "key"));
    assert_true(drv_view_equal(drv_cursor_value(&cursor), drv_view_of("\x91\x05", 2)));
    assert_true(drv_view_equal(drv_cursor_str(&cursor), drv_view_of("a\0b", 3)));
    assert_true(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
    assert_int_equal(drv_cursor_peek(&cursor), DRV_TYPE_END);
    drv_buffer_fini(&writer.buffer);
}

/* Integers read back at the borders of every width, whatever reader fits. */
static void test_cursor_integers_at_every_border(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int offset = -1; offset <= 1; offset++) {
            struct writer writer;
            uint64_t number = (UINT64_C(1) << bit) + (uint64_t)(int64_t)offset;
            writer_init(&writer);
            drv_pack_array(&writer.pack, 2);
            drv_pack_uint(&writer.pack, number);
            drv_pack_int(&writer.pack, (int64_t)(0 - number));
            struct drv_cursor cursor = cursor_over(&writer);
            (void)drv_cursor_array(&cursor);
            assert_true(drv_cursor_uint(&cursor) == number);
            assert_true(drv_cursor_int(&cursor) == (int64_t)(0 - number));
            assert_true(drv_cursor_is_ok(&cursor));
            drv_buffer_fini(&writer.buffer);
        }
    }
}

/* A number of the wrong sign or beyond the range fails and reads as zero. */
static void test_cursor_numbers_out_of_range_fail(void **state)
{
    static const uint8_t negative[] = {0xff};
    static const uint8_t large[] = {0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t signed_five[] = {0xd3, 0, 0, 0, 0, 0, 0, 0, 5};
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, negative, sizeof negative);
    assert_true(drv_cursor_uint(&cursor) == 0 && !drv_cursor_is_ok(&cursor));
    drv_cursor_init(&cursor, large, sizeof large);
    assert_true(drv_cursor_int(&cursor) == 0 && !drv_cursor_is_ok(&cursor));
    drv_cursor_init(&cursor, signed_five, sizeof signed_five);
    assert_true(drv_cursor_uint(&cursor) == 5 && drv_cursor_is_ok(&cursor));
    drv_cursor_init(&cursor, signed_five, sizeof signed_five);
    assert_true(drv_cursor_uint_max(&cursor, 4) == 0 && !drv_cursor_is_ok(&cursor));
    drv_cursor_init(&cursor, signed_five, sizeof signed_five);
    assert_true(drv_cursor_int_range(&cursor, 6, 9) == 0 && !drv_cursor_is_ok(&cursor));
    drv_cursor_init(&cursor, large, sizeof large);
    assert_true(drv_cursor_u32(&cursor) == 0 && !drv_cursor_is_ok(&cursor));
}

/* After the first mismatch everything reads as nothing; the code asks once. */
static void test_cursor_failure_is_sticky(void **state)
{
    static const uint8_t bytes[] = {0x93, 1, 0xa1, 'x', 2};
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, bytes, sizeof bytes);
    (void)drv_cursor_array(&cursor);
    assert_int_equal(drv_cursor_str(&cursor).len, 0); /* it is a 1 */
    assert_int_equal(drv_cursor_uint(&cursor), 0);
    assert_int_equal(drv_cursor_array(&cursor), 0);
    assert_int_equal(drv_cursor_map(&cursor), 0);
    assert_int_equal(drv_cursor_bin(&cursor).len, 0);
    assert_false(drv_cursor_bool(&cursor));
    assert_int_equal(drv_cursor_value(&cursor).len, 0);
    assert_false(drv_cursor_take_nil(&cursor));
    assert_int_equal(drv_cursor_peek(&cursor), DRV_TYPE_END);
    assert_false(drv_cursor_is_ok(&cursor));
}

/* Fields of a newer version are stepped over, nested ones too. */
static void test_cursor_skip_steps_over_whole_values(void **state)
{
    static const uint8_t bytes[] = {0x94, 1, 0x92, 0x81, 0xa1, 'k',  0x91,
                                    7,    8, 0xc4, 2,    0x92, 0x92, 3};
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, bytes, sizeof bytes);
    uint32_t count = drv_cursor_array(&cursor);
    (void)drv_cursor_uint(&cursor);
    drv_cursor_skip(&cursor);
    drv_cursor_skip(&cursor);
    assert_int_equal(drv_cursor_uint(&cursor), 3);
    assert_true(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
    drv_cursor_init(&cursor, bytes + 1, sizeof bytes - 1);
    drv_cursor_skip_many(&cursor, count);
    assert_true(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
    drv_cursor_skip(&cursor);
    assert_false(drv_cursor_is_ok(&cursor));
}

/* A bin of another length than wanted fails and leaves the output alone. */
static void test_cursor_bin_exact_refuses_other_lengths(void **state)
{
    static const uint8_t bytes[] = {0xc4, 2, 1, 2};
    uint8_t out[3] = {9, 9, 9};
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, bytes, sizeof bytes);
    drv_cursor_bin_exact(&cursor, out, 3);
    assert_false(drv_cursor_is_ok(&cursor));
    assert_int_equal(out[0], 9);
}

/* Even bytes that were never validated cannot lead a cursor outside of them. */
static void test_cursor_on_unvalidated_bytes_stays_inside(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 20000; round++) {
        size_t len = drv_rng_below(&rng, 12);
        uint8_t *bytes = malloc(len + (len == 0));
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)drv_rng_next(&rng);
        }
        struct drv_cursor cursor;
        drv_cursor_init(&cursor, bytes, len);
        for (int reads = 0; reads < 6; reads++) {
            struct drv_view view = {0};
            switch (drv_rng_below(&rng, 8)) {
            case 0:
                view = drv_cursor_str(&cursor);
                break;
            case 1:
                view = drv_cursor_bin(&cursor);
                break;
            case 2:
                view = drv_cursor_value(&cursor);
                break;
            case 3:
                (void)drv_cursor_double(&cursor);
                break;
            case 4:
                (void)drv_cursor_int(&cursor);
                break;
            case 5:
                drv_cursor_skip_many(&cursor, UINT64_MAX);
                break;
            case 6:
                (void)drv_cursor_map(&cursor);
                break;
            default:
                (void)drv_cursor_array(&cursor);
                break;
            }
            assert_true(view.len <= len);
            assert_true(cursor.at >= bytes && cursor.at <= bytes + len);
        }
        free(bytes);
    }
}

/* An array whose count comes later is the same as one whose count was known. */
static void test_pack_array_open_takes_its_count_later(void **state)
{
    struct writer writer;
    writer_init(&writer);
    drv_pack_array(&writer.pack, 2);
    size_t position = drv_pack_array_open(&writer.pack);
    for (unsigned i = 0; i < 300; i++) {
        drv_pack_uint(&writer.pack, i);
    }
    drv_pack_array_close(&writer.pack, position, 300);
    drv_pack_text(&writer.pack, "behind");
    struct drv_cursor cursor = cursor_over(&writer);
    (void)drv_cursor_array(&cursor);
    assert_int_equal(drv_cursor_array(&cursor), 300);
    drv_cursor_skip_many(&cursor, 300);
    assert_true(drv_view_is_text(drv_cursor_str(&cursor), "behind"));
    drv_buffer_fini(&writer.buffer);
}

/* A length beyond the format is a sticky failure. */
static void test_pack_failure_is_sticky(void **state)
{
    struct writer writer;
    writer_init(&writer);
    drv_pack_array(&writer.pack, (size_t)UINT32_MAX + 1);
    drv_pack_nil(&writer.pack);
    drv_pack_text(&writer.pack, "x");
    assert_int_equal(drv_pack_status(&writer.pack), DROVER_NOMEM);
    assert_int_equal(writer.buffer.len, 0);
    drv_buffer_fini(&writer.buffer);
}

/* ---- msgpack-c as the oracle ------------------------------------------------------------- */

/* Whether the cursor reads what msgpack-c unpacked; both are at the same value. */
static bool agrees(struct drv_cursor *cursor, const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return drv_cursor_take_nil(cursor);
    case MSGPACK_OBJECT_BOOLEAN:
        return drv_cursor_bool(cursor) == object->via.boolean;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return drv_cursor_uint(cursor) == object->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return drv_cursor_int(cursor) == object->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: {
        double number = drv_cursor_double(cursor);
        return number == object->via.f64 || (isnan(number) && isnan(object->via.f64));
    }
    case MSGPACK_OBJECT_STR:
        return drv_view_equal(drv_cursor_str(cursor),
                              drv_view_of(object->via.str.ptr, object->via.str.size));
    case MSGPACK_OBJECT_BIN:
        return drv_view_equal(drv_cursor_bin(cursor),
                              drv_view_of(object->via.bin.ptr, object->via.bin.size));
    case MSGPACK_OBJECT_ARRAY:
        if (drv_cursor_array(cursor) != object->via.array.size) {
            return false;
        }
        for (uint32_t i = 0; i < object->via.array.size; i++) {
            if (!agrees(cursor, &object->via.array.ptr[i])) {
                return false;
            }
        }
        return true;
    case MSGPACK_OBJECT_MAP:
        if (drv_cursor_map(cursor) != object->via.map.size) {
            return false;
        }
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            if (!agrees(cursor, &object->via.map.ptr[i].key) ||
                !agrees(cursor, &object->via.map.ptr[i].val)) {
                return false;
            }
        }
        return true;
    case MSGPACK_OBJECT_EXT:
        return false;
    }
    return false;
}

/* Packs a random value; depth bounds the nesting. */
static void pack_random(struct drv_pack *pack, struct drv_rng *rng, unsigned depth)
{
    static const char text[] =
        "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 and more than 31 bytes of it";
    size_t len = drv_rng_below(rng, 2) == 0 ? 11 : sizeof text - 1;
    uint64_t number = drv_rng_next(rng) >> drv_rng_below(rng, 64);
    switch (drv_rng_below(rng, depth == 0 ? 7 : 10)) {
    case 0:
        drv_pack_nil(pack);
        break;
    case 1:
        drv_pack_bool(pack, number % 2 == 0);
        break;
    case 2:
        drv_pack_uint(pack, number);
        break;
    case 3:
        drv_pack_int(pack, (int64_t)(0 - number));
        break;
    case 4:
        drv_pack_double(pack, (double)number / 3);
        break;
    case 5:
        drv_pack_str(pack, text, len);
        break;
    case 6:
        drv_pack_bin(pack, text, drv_rng_below(rng, sizeof text));
        break;
    case 7: {
        size_t count = drv_rng_below(rng, 20);
        drv_pack_map(pack, count);
        for (size_t i = 0; i < count * 2; i++) {
            pack_random(pack, rng, depth - 1);
        }
        break;
    }
    default: {
        size_t count = drv_rng_below(rng, 20);
        drv_pack_array(pack, count);
        for (size_t i = 0; i < count; i++) {
            pack_random(pack, rng, depth - 1);
        }
        break;
    }
    }
}

/* Changes, inserts or drops a few bytes. */
static void mutate(struct drv_buffer *buffer, struct drv_rng *rng)
{
    for (uint64_t count = drv_rng_between(rng, 1, 3); count > 0; count--) {
        size_t at = drv_rng_below(rng, buffer->len + 1);
        size_t cut = at < buffer->len ? drv_rng_below(rng, 2) : 0;
        uint8_t byte = (uint8_t)(drv_rng_below(rng, 2) == 0 ? drv_rng_next(rng)
                                                            : 0xc0 + drv_rng_below(rng, 32));
        assert_ok(drv_buffer_splice(buffer, at, cut, &byte, drv_rng_below(rng, 4) > 0));
    }
}

/* Hands validated bytes to both readers; returns whether the bytes were valid. */
static bool compare_with_oracle(const uint8_t *bytes, size_t len)
{
    const struct drv_validate_limits limits = {.depth = 16, .nodes = 100000};
    if (drv_validate(bytes, len, &limits)) {
        return false;
    }
    msgpack_unpacked unpacked;
    size_t offset = 0;
    msgpack_unpacked_init(&unpacked);
    assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)bytes, len, &offset),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(offset, len);
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, bytes, len);
    assert_true(agrees(&cursor, &unpacked.data));
    assert_true(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
    drv_cursor_init(&cursor, bytes, len);
    assert_int_equal(drv_cursor_value(&cursor).len, len);
    msgpack_unpacked_destroy(&unpacked);
    return true;
}

/* Whatever the validator accepts, the cursor reads as msgpack-c does. */
static void test_reader_agrees_with_msgpack_c(void **state)
{
    struct drv_rng rng;
    unsigned valid = 0;
    unsigned invalid = 0;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 4000; round++) {
        struct writer writer;
        writer_init(&writer);
        pack_random(&writer.pack, &rng, (unsigned)drv_rng_below(&rng, 4));
        assert_ok(drv_pack_status(&writer.pack));
        assert_true(compare_with_oracle(writer.buffer.bytes, writer.buffer.len));
        for (int i = 0; i < 10; i++) {
            mutate(&writer.buffer, &rng);
            if (compare_with_oracle(writer.buffer.bytes, writer.buffer.len)) {
                valid++;
            } else {
                invalid++;
            }
        }
        drv_buffer_fini(&writer.buffer);
    }
    assert_true(valid > 500 && invalid > 500); /* or the mutations prove nothing */
}

/* Short inputs exhaustively: every one and two bytes, and a third from the lead bytes. */
static void test_reader_agrees_on_all_short_inputs(void **state)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            const uint8_t bytes[] = {(uint8_t)a, (uint8_t)b, 0xc0};
            (void)compare_with_oracle(bytes, 1);
            (void)compare_with_oracle(bytes, 2);
            (void)compare_with_oracle(bytes, 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validate_accepts_every_known_type),
        cmocka_unit_test(test_validate_refuses_ext_and_c1),
        cmocka_unit_test(test_validate_refuses_cut_and_trailing_bytes),
        cmocka_unit_test(test_validate_refuses_counts_beyond_the_bytes),
        cmocka_unit_test(test_validate_checks_utf8_of_str),
        cmocka_unit_test(test_validate_limits_depth),
        cmocka_unit_test(test_validate_limits_nodes),
        cmocka_unit_test(test_cursor_reads_back_what_was_packed),
        cmocka_unit_test(test_cursor_integers_at_every_border),
        cmocka_unit_test(test_cursor_numbers_out_of_range_fail),
        cmocka_unit_test(test_cursor_failure_is_sticky),
        cmocka_unit_test(test_cursor_skip_steps_over_whole_values),
        cmocka_unit_test(test_cursor_bin_exact_refuses_other_lengths),
        cmocka_unit_test(test_cursor_on_unvalidated_bytes_stays_inside),
        cmocka_unit_test(test_pack_array_open_takes_its_count_later),
        cmocka_unit_test(test_pack_failure_is_sticky),
        cmocka_unit_test(test_reader_agrees_with_msgpack_c),
        cmocka_unit_test(test_reader_agrees_on_all_short_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
