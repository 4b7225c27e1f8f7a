/* json.h: JSON to msgpack and back; jansson is the oracle where it can be. */
#include "test.h"

#include "json.h"
#include "pack.h"
#include "reader.h"
#include "rng.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>

static drover_status read_json(const char *text, size_t len, struct drv_buffer *out,
                               struct drv_problem *problem)
{
    /* An allocation of its own, so that the address sanitizer sees every byte read too far. */
    char *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, text, len);
    drover_status status = drv_json_read(drv_view_of(copy, len), out, problem);
    free(copy);
    return status;
}

static void assert_reads(const char *text, const char *msgpack, size_t msgpack_len)
{
    struct drv_buffer out;
    drv_buffer_init(&out);
    assert_ok(read_json(text, strlen(text), &out, NULL));
    assert_int_equal(out.len, msgpack_len);
    assert_memory_equal(out.bytes, msgpack, msgpack_len);
    assert_ok(drv_validate(out.bytes, out.len, &DRV_VALIDATE_VALUE));
    drv_buffer_fini(&out);
}

static void assert_refused(const char *text, size_t len, const char *expected)
{
    struct drv_buffer out;
    struct drv_problem problem = {.text = ""};
    drv_buffer_init(&out);
    assert_int_equal(read_json(text, len, &out, &problem), DROVER_MALFORMED);
    assert_string_equal(problem.text, expected);
    drv_buffer_fini(&out);
}

static void assert_writes(const char *msgpack, size_t len, bool pretty, const char *expected)
{
    struct drv_buffer out;
    drv_buffer_init(&out);
    assert_ok(drv_json_write(drv_view_of(msgpack, len), pretty, &out));
    assert_true(drv_view_is_text(drv_buffer_view(&out), expected));
    drv_buffer_fini(&out);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Every kind of JSON becomes the shortest msgpack of its kind. */
static void test_json_read_gives_shortest_msgpack(void **state)
{
    assert_reads("null", "\xc0", 1);
    assert_reads(" true ", "\xc3", 1);
    assert_reads("\tfalse\r\n", "\xc2", 1);
    assert_reads("0", "\x00", 1);
    assert_reads("-0", "\x00", 1);
    assert_reads("-1", "\xff", 1);
    assert_reads("300", "\xcd\x01\x2c", 3);
    assert_reads("1.0", "\xcb\x3f\xf0\0\0\0\0\0\0", 9);
    assert_reads("1e0", "\xcb\x3f\xf0\0\0\0\0\0\0", 9);
    assert_reads("\"\"", "\xa0", 1);
    assert_reads("\"abc\"",
                 "\xa3"
                 "abc",
                 4);
    assert_reads("[]", "\x90", 1);
    assert_reads("{}", "\x80", 1);
    assert_reads("[1,[2,{}],\"x\"]", "\x93\x01\x92\x02\x80\xa1x", 7);
    assert_reads("{\"a\":{\"b\":[null]},\"c\":1}",
                 "\x82\xa1"
                 "a\x81\xa1"
                 "b\x91\xc0\xa1"
                 "c\x01",
                 11);
}

/* Integers are exact in the range of int64 and uint64 and refused beyond. */
static void test_json_read_integers_are_exact(void **state)
{
    assert_reads("18446744073709551615", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_reads("9223372036854775808", "\xcf\x80\0\0\0\0\0\0\0", 9);
    assert_reads("-9223372036854775808", "\xd3\x80\0\0\0\0\0\0\0", 9);
    assert_refused("18446744073709551616", 20, "line 1, column 1: integer beyond 64 bits");
    assert_refused("[1, -9223372036854775809]", 25, "line 1, column 5: integer beyond 64 bits");
}

/* Escapes, surrogate pairs and NUL come out as the characters they stand for. */
static void test_json_read_escapes(void **state)
{
    assert_reads("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\xa8\"\\/\b\f\n\r\t", 9);
    assert_reads("\"\\u00fc\\u20ac\\ud83d\\ude00\\u0000\"",
                 "\xaa\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\0", 11);
    assert_refused("\"\\ud83d\"", 8, "line 1, column 8: a surrogate stands alone");
    assert_refused("\"\\ude00\\ud83d\"", 14, "line 1, column 8: a surrogate stands alone");
    assert_refused("\"\\u12g4\"", 8, "line 1, column 6: expected four hex digits");
    assert_refused("\"\\x\"", 4, "line 1, column 3: unknown escape");
}

/* Errors name the place in characters and what is wrong, in one line. */
static void test_json_read_errors_name_line_and_column(void **state)
{
    assert_refused("", 0, "line 1, column 1: expected a value, found the end");
    assert_refused("nul", 3, "line 1, column 1: expected a value");
    assert_refused("[1,\n 2,\n  oops]", 15, "line 3, column 3: expected a value");
    assert_refused("[1,]", 4, "line 1, column 4: expected a value");
    assert_refused("[1 2]", 5, "line 1, column 4: expected ',' or ']'");
    assert_refused("{\"a\" 1}", 7, "line 1, column 6: expected ':'");
    assert_refused("{\"a\":1,}", 8, "line 1, column 8: expected a key in quotes");
    assert_refused("{1:1}", 5, "line 1, column 2: expected a key in quotes");
    assert_refused("{\"a\":1", 6, "line 1, column 7: expected ',' or '}', found the end");
    assert_refused("1 2", 3, "line 1, column 3: expected the end");
    assert_refused("01", 2, "line 1, column 3: malformed number");
    assert_refused("-", 1, "line 1, column 2: malformed number");
    assert_refused("1.", 2, "line 1, column 3: malformed number");
    assert_refused("1e+", 3, "line 1, column 4: malformed number");
    assert_refused("1e999", 5, "line 1, column 1: number too large");
    assert_refused("\"abc", 4, "line 1, column 1: the string does not end");
    assert_refused("\"a\nb\"", 5, "line 1, column 3: control character in a string");
    assert_refused("\"\xc3\xbc\xc3\xbc\" x", 8, "line 1, column 6: expected the end");
    assert_refused("\"\xc3\xbc\xff\"", 5, "line 1, column 3: bytes that are not UTF-8");
    assert_refused("\0", 1, "line 1, column 1: expected a value");
    assert_refused("'a'", 3, "line 1, column 1: expected a value");
}

/* A key that comes twice is refused, also when its spelling differs or it is deep inside. */
static void test_json_read_refuses_duplicate_keys(void **state)
{
    assert_refused("{\"a\":1,\"a\":2}", 13,
                   "line 1, column 13: a key comes twice in this object");
    assert_refused("[{\"b\":{\"x\":0,\"a\":1,\"\\u0061\":2}}]", 32,
                   "line 1, column 30: a key comes twice in this object");
    assert_reads("{\"a\":1,\"A\":1,\"aa\":1}",
                 "\x83\xa1"
                 "a\x01\xa1"
                 "A\x01\xa2"
                 "aa\x01",
                 11);
}

/* Depth is limited by a status of its own, not by the stack. */
static void test_json_read_limits_depth(void **state)
{
    char text[200000];
    struct drv_buffer out;
    struct drv_problem problem;
    drv_buffer_init(&out);
    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    assert_ok(read_json(text, 64, &out, &problem));
    memset(text, '[', sizeof text);
    assert_int_equal(read_json(text, sizeof text, &out, &problem), DROVER_LIMIT);
    assert_string_equal(problem.text, "line 1, column 33: nested too deep");
    drv_buffer_fini(&out);
}

/* A number of absurd length is refused before it is copied. */
static void test_json_read_refuses_endless_numbers(void **state)
{
    char text[5000];
    struct drv_buffer out;
    drv_buffer_init(&out);
    memset(text, '1', sizeof text);
    text[1] = '.';
    assert_int_equal(read_json(text, sizeof text, &out, NULL), DROVER_MALFORMED);
    assert_ok(read_json(text, 1000, &out, NULL));
    drv_buffer_fini(&out);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Every type has its JSON; what JSON does not have becomes what is documented. */
static void test_json_write_every_type(void **state)
{
    assert_writes("\xc0", 1, false, "null");
    assert_writes("\x93\xc3\xc2\xe0", 4, false, "[true,false,-32]");
    assert_writes("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, false, "18446744073709551615");
    assert_writes("\xd3\x80\0\0\0\0\0\0\0", 9, false, "-9223372036854775808");
    assert_writes("\xca\x3f\x80\0\0", 5, false, "1.0");
    assert_writes("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", 9, false, "0.1");
    assert_writes("\xcb\x7f\xf0\0\0\0\0\0\0", 9, false, "null");
    assert_writes("\xcb\xff\xf8\0\0\0\0\0\0", 9, false, "null");
    assert_writes("\xc4\x03"
                  "foo",
                  5, false, "\"Zm9v\"");
    assert_writes("\x82\x01\x02\xc0\x80", 5, false, "{\"1\":2,\"null\":{}}");
    assert_writes("\x81\x91\x05\x06", 4, false, "{\"kQU=\":6}");
}

/* Quotes, controls and what fools a terminal are escaped. */
static void test_json_write_strings_are_safe(void **state)
{
    assert_writes("\xa9\"\\/\b\f\n\r\t\x1b", 10, false, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001b\"");
    assert_writes("\xa3\xe2\x80\xae", 4, false, "\"\\u202e\"");
    assert_writes("\xa4\xf3\xa0\x80\x81", 5, false, "\"\\udb40\\udc01\"");
    assert_writes("\xa2\xc3\xbc", 3, false, "\"\xc3\xbc\"");
    struct drv_buffer out;
    drv_buffer_init(&out);
    assert_ok(drv_json_write_string(drv_view_of("a\xff", 2), &out));
    assert_true(drv_view_is_text(drv_buffer_view(&out), "\"a\xef\xbf\xbd\""));
    drv_buffer_fini(&out);
}

/* Pretty output indents by two and keeps empty containers on one line. */
static void test_json_write_pretty(void **state)
{
    assert_writes("\x82\xa1"
                  "a\x92\x01\x90\xa1"
                  "b\x80",
                  9, true, "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}");
}

/* Keys inside keys inside keys do not multiply their quoting. */
static void test_json_write_nested_keys_stay_small(void **state)
{
    char msgpack[64];
    struct drv_buffer out;
    memset(msgpack, 0x81, 31);
    memset(msgpack + 31, 0xc0, 32);
    drv_buffer_init(&out);
    assert_ok(drv_validate((const uint8_t *)msgpack, 63, &DRV_VALIDATE_VALUE));
    assert_ok(drv_json_write(drv_view_of(msgpack, 63), false, &out));
    assert_true(out.len < 200);
    drv_buffer_fini(&out);
}

/* Bytes that would not pass the validator end in an error, not outside of them. */
static void test_json_write_of_invalid_bytes_is_an_error(void **state)
{
    struct drv_buffer out;
    drv_buffer_init(&out);
    assert_int_equal(drv_json_write(drv_view_of("\x92\x01", 2), false, &out), DROVER_MALFORMED);
    assert_int_equal(drv_json_write(drv_view_of("\xc1", 1), false, &out), DROVER_MALFORMED);
    assert_int_equal(drv_json_write(drv_view_of("", 0), false, &out), DROVER_MALFORMED);
    assert_int_equal(drv_json_write(drv_view_of("\x01\x02", 2), false, &out), DROVER_MALFORMED);
    char deep[80];
    memset(deep, 0x91, sizeof deep);
    assert_int_equal(drv_json_write(drv_view_of(deep, sizeof deep), false, &out),
                     DROVER_MALFORMED);
    drv_buffer_fini(&out);
}

/* Any finite double comes back equal, also where the decimal point is a comma. */
static void test_json_doubles_round_trip_in_any_locale(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    /* Where no such locale is installed this changes nothing and the test is weaker. */
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = drv_rng_next(&rng);
        double number;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number)) {
            continue;
        }
        struct drv_buffer text;
        struct drv_buffer packed;
        struct drv_cursor cursor;
        drv_buffer_init(&text);
        drv_buffer_init(&packed);
        assert_ok(drv_json_write_double(number, &text));
        assert_ok(drv_json_read(drv_buffer_view(&text), &packed, NULL));
        drv_cursor_init(&cursor, packed.bytes, packed.len);
        assert_int_equal(drv_cursor_peek(&cursor), DRV_TYPE_DOUBLE);
        assert_true(drv_cursor_double(&cursor) == number);
        drv_buffer_fini(&text);
        drv_buffer_fini(&packed);
    }
    (void)setlocale(LC_ALL, "C");
}

/* What has few digits is written as the C library writes it. */
static void test_json_numbers_have_no_more_digits_than_they_need(void **state)
{
    struct drv_rng rng;
    (void)state;
    drv_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t digits = drv_rng_next(&rng) >> (drv_rng_next(&rng) % 64);
        double number = (double)(digits % UINT64_C(1000000000000000)) / (i % 4 == 0   ? 1
                                                                         : i % 4 == 1 ? 10
                                                                         : i % 4 == 2 ? 1000
                                                                                      : 10000);
        number = i % 5 == 0 ? -number : number;
        char wanted[64];
        struct drv_buffer text;
        drv_buffer_init(&text);
        (void)snprintf(wanted, sizeof wanted, "%.15g", number);
        if (strpbrk(wanted, ".e") == NULL) {
            (void)strcat(wanted, ".0");
        }
        assert_ok(drv_json_write_double(number, &text));
        assert_string_equal((const char *)text.bytes, wanted);
        drv_buffer_fini(&text);
    }
}

/* ---- jansson as the oracle --------------------------------------------------------------- */

static const char *const pieces[] = {"{",           "}",
                                     "[",           "]",
                                     ",",           ":",
                                     "\"a\"",       "\"b\"",
                                     "\"\\n\"",     "null",
                                     "1",           "-2",
                                     "3.5",         "1e5",
                                     "true",        " ",
                                     "\"\\u00e9\"", "\"",
                                     "\\",          "tru",
                                     "0x1",         "\"\xc3\xbc\"",
                                     "\n",          "\"\\ud83d\\ude00\"",
                                     "0",           "-",
                                     "+1",          ".5"};

/* A text that is often JSON: brackets are mostly closed, commas mostly stand right. */
static void random_text(struct drv_rng *rng, unsigned depth, struct drv_buffer *out)
{
    uint64_t kind = drv_rng_below(rng, 12);
    if (kind == 0) {
        size_t piece = drv_rng_below(rng, sizeof pieces / sizeof pieces[0]);
        assert_ok(drv_buffer_append_text(out, pieces[piece]));
    } else if (kind < 7 || depth == 0) {
        static const char *const scalars[] = {"1",      "null",  "\"x\"",
                                              "-2.5e3", "false", "\"\\t\""};
        assert_ok(drv_buffer_append_text(out, scalars[drv_rng_below(rng, 6)]));
    } else {
        bool is_map = kind >= 10;
        size_t count = drv_rng_below(rng, 4);
        assert_ok(drv_buffer_append_text(out, is_map ? "{" : "["));
        for (size_t i = 0; i < count; i++) {
            if (is_map) {
                assert_ok(drv_buffer_printf(out, "\"k%zu\":", i));
            }
            random_text(rng, depth - 1, out);
            if (i + 1 < count || drv_rng_below(rng, 30) == 0) {
                assert_ok(drv_buffer_append_text(out, ","));
            }
        }
        if (drv_rng_below(rng, 30) > 0) {
            assert_ok(drv_buffer_append_text(out, is_map ? "}" : "]"));
        }
    }
}

/* Compares what we read and wrote again with what jansson makes of the text. */
static bool compare_with_oracle(struct drv_view text)
{
    struct drv_buffer packed;
    struct drv_buffer again;
    json_error_t error;
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    json_t *expected = json_loadb((const char *)text.bytes, text.len, flags, &error);
    drv_buffer_init(&packed);
    drv_buffer_init(&again);
    drover_status status = drv_json_read(text, &packed, NULL);
    assert_int_equal(status == DROVER_OK, expected != NULL);
    if (expected != NULL) {
        assert_ok(drv_validate(packed.bytes, packed.len, &DRV_VALIDATE_VALUE));
        assert_ok(
            drv_json_write(drv_buffer_view(&packed), drv_view_is_text(text, "1"), &again));
        json_t *found = json_loadb((const char *)again.bytes, again.len, flags, &error);
        assert_non_null(found);
        assert_true(json_equal(found, expected));
        json_decref(found);
    }
    drv_buffer_fini(&packed);
    drv_buffer_fini(&again);
    bool valid = expected != NULL;
    json_decref(expected);
    return valid;
}

/* We accept what jansson accepts, refuse what it refuses, and mean the same. */
static void test_json_agrees_with_jansson(void **state)
{
    struct drv_rng rng;
    unsigned valid = 0;
    unsigned invalid = 0;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 30000; round++) {
        struct drv_buffer text;
        drv_buffer_init(&text);
        random_text(&rng, 4, &text);
        if (compare_with_oracle(drv_buffer_view(&text))) {
            valid++;
        } else {
            invalid++;
        }
        drv_buffer_fini(&text);
    }
    assert_true(valid > 1000 && invalid > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_read_gives_shortest_msgpack),
        cmocka_unit_test(test_json_read_integers_are_exact),
        cmocka_unit_test(test_json_read_escapes),
        cmocka_unit_test(test_json_read_errors_name_line_and_column),
        cmocka_unit_test(test_json_read_refuses_duplicate_keys),
        cmocka_unit_test(test_json_read_limits_depth),
        cmocka_unit_test(test_json_read_refuses_endless_numbers),
        cmocka_unit_test(test_json_write_every_type),
        cmocka_unit_test(test_json_write_strings_are_safe),
        cmocka_unit_test(test_json_write_pretty),
        cmocka_unit_test(test_json_write_nested_keys_stay_small),
        cmocka_unit_test(test_json_write_of_invalid_bytes_is_an_error),
        cmocka_unit_test(test_json_doubles_round_trip_in_any_locale),
        cmocka_unit_test(test_json_numbers_have_no_more_digits_than_they_need),
        cmocka_unit_test(test_json_agrees_with_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
