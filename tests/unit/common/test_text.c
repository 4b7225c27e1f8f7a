/* utf8.h, escape.h, name.h, units.h, problem.h */
#include "test.h"

#include "escape.h"
#include "name.h"
#include "problem.h"
#include "units.h"
#include "utf8.h"

#include <drover/drover.h>

/* ---- utf8.h ------------------------------------------------------------------------------ */

/* Every code point survives encoding and decoding; surrogates and beyond are refused. */
static void test_utf8_every_code_point_round_trips(void **state)
{
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t bytes[DRV_UTF8_LEN_MAX];
        uint32_t back = 0;
        size_t len = drv_utf8_encode(code, bytes);
        bool is_valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        assert_int_equal(drv_utf8_decode(bytes, len, &back), is_valid ? len : 0);
        if (is_valid) {
            assert_int_equal(back, code);
            assert_int_equal(drv_utf8_decode(bytes, len - 1, &back), 0); /* cut short */
        }
    }
}

/* The usual malformed sequences are refused wherever they stand. */
static void test_utf8_malformed_sequences_are_refused(void **state)
{
    static const char *const texts[] = {"\x80",
                                        "\xc3",
                                        "\xc0\xaf",
                                        "\xc1\xbf",
                                        "\xe0\x80\xaf",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf8\x88\x80",
                                        "\xff",
                                        "\xe2\x82",
                                        "\xe2\x28\xa1",
                                        "\xc3\x28",
                                        "\xf0\x9f\x98\x78",
                                        "\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[64];
        for (size_t before = 0; before < 17; before++) {
            int len = snprintf(text, sizeof text, "%.*s%s%s", (int)before, "aaaaaaaaaaaaaaaaa",
                               texts[i], "bbbbbbbbb");
            assert_false(drv_utf8_is_valid((const uint8_t *)text, (size_t)len));
        }
    }
    assert_true(drv_utf8_is_valid((const uint8_t *)"gr\xc3\xbc\xc3\x9f, \xf0\x9f\x98\x80", 12));
    assert_true(drv_utf8_is_valid(NULL, 0));
}

/* ---- escape.h ---------------------------------------------------------------------------- */

static void assert_escaped(const char *text, size_t len, const char *expected)
{
    char out[256];
    struct drv_buffer buffer;
    assert_int_equal(drv_escape(drv_view_of(text, len), out, sizeof out), strlen(expected));
    assert_string_equal(out, expected);
    drv_buffer_init(&buffer);
    assert_ok(drv_escape_append(drv_view_of(text, len), &buffer));
    assert_true(drv_view_is_text(drv_buffer_view(&buffer), expected));
    drv_buffer_fini(&buffer);
}

/* Nothing that moves a cursor, changes a colour, reorders or hides text gets through. */
static void test_escape_neutralises_hostile_text(void **state)
{
    assert_escaped("plain text", 10, "plain text");
    assert_escaped("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    assert_escaped("a\nb\r\tc\\d", 8, "a\\nb\\r\\tc\\\\d");
    assert_escaped("\x1b[31mred\x07", 9, "\\x1b[31mred\\x07");
    assert_escaped("\0\x7f", 2, "\\x00\\u{7f}");
    assert_escaped("\xc2\x9b", 2, "\\u{9b}");
    assert_escaped("\xff\xc3", 2, "\\xff\\xc3");
    assert_escaped("\xe2\x80\xae", 3, "\\u{202e}");
    assert_escaped("\xe2\x81\xa6", 3, "\\u{2066}");
    assert_escaped("\xe2\x80\xa8", 3, "\\u{2028}");
    assert_escaped("\xf3\xa0\x80\x81", 4, "\\u{e0001}");
    assert_escaped("\xf4\x8f\xbf\xbf", 4, "\\u{10ffff}");
}

/* Code points at the borders of the special ranges. */
static void test_escape_plain_code_points(void **state)
{
    static const struct {
        uint32_t code;
        bool plain;
    } cases[] = {{0x1f, false},   {0x20, true},      {0x7e, true},      {0x7f, false},
                 {0x9f, false},   {0xa0, true},      {0xad, false},     {0x2027, true},
                 {0x2028, false}, {0x202f, true},    {0x1f600, true},   {0x1fffe, false},
                 {0xd7ff, true},  {0x10ffff, false}, {0x110000, false}, {0xfffd, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(drv_escape_is_plain(cases[i].code), cases[i].plain);
    }
}

/* No input byte becomes more than the promised number of bytes. */
static void test_escape_growth_is_bounded(void **state)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint8_t bytes[DRV_UTF8_LEN_MAX];
        char out[64];
        size_t len = drv_utf8_encode(code, bytes);
        size_t escaped = drv_escape(drv_view_of(bytes, len), out, sizeof out);
        assert_true(escaped <= len * DRV_ESCAPE_GROWTH_MAX);
        assert_true(drv_utf8_is_valid((const uint8_t *)out, escaped));
    }
}

/* What does not fit is cut between characters and marked. */
static void test_escape_cuts_whole_characters(void **state)
{
    char out[16];
    assert_int_equal(drv_escape(drv_view_text("abcdef"), out, 7), 6);
    assert_string_equal(out, "abcdef");
    (void)drv_escape(drv_view_text("abcdefg"), out, 7);
    assert_string_equal(out, "abc...");
    (void)drv_escape(drv_view_text("ab\ncdefg"), out, 7);
    assert_string_equal(out, "ab...");
    (void)drv_escape(drv_view_text("\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"), out, 7);
    assert_string_equal(out, "\xc3\xbc...");
    (void)drv_escape(drv_view_text("abc"), out, 3);
    assert_string_equal(out, "");
    (void)drv_escape(drv_view_text("abc"), out, 1);
    assert_string_equal(out, "");
}

/* ---- problem.h --------------------------------------------------------------------------- */

/* The text is one safe line, with a prefix that is escaped only once. */
static void test_problem_text_is_safe_and_prefixed(void **state)
{
    struct drv_problem problem;
    assert_int_equal(drv_problem_set(&problem, DROVER_INVALID, "bad '%s'", "a\nb"),
                     DROVER_INVALID);
    assert_string_equal(problem.text, "bad 'a\\nb'");
    drv_problem_prefix(&problem, "%s:%d: ", "f\x1b", 3);
    assert_string_equal(problem.text, "f\\x1b:3: bad 'a\\nb'");
    assert_int_equal(drv_problem_set(NULL, DROVER_IO, "x"), DROVER_IO);
    drv_problem_prefix(NULL, "x");
}

/* A text that is too long is cut, with a prefix too. */
static void test_problem_long_text_is_cut(void **state)
{
    char text[2000];
    struct drv_problem problem;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)drv_problem_set(&problem, DROVER_INVALID, "%s", text);
    drv_problem_prefix(&problem, "%s", text);
    assert_true(strlen(problem.text) < sizeof problem.text);
}

/* ---- name.h ------------------------------------------------------------------------------ */

/* The rule for names, at its borders. */
static void test_name_rule(void **state)
{
    char name[DROVER_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[DROVER_NAME_MAX] = '\0';
    assert_true(drover_name_is_valid(name));
    name[DROVER_NAME_MAX] = 'n';
    name[DROVER_NAME_MAX + 1] = '\0';
    assert_false(drover_name_is_valid(name));
    assert_true(drover_name_is_valid("aZ09._:-"));
    assert_false(drover_name_is_valid(""));
    assert_false(drover_name_is_valid(NULL));
    for (int c = 1; c < 256; c++) {
        char text[2] = {(char)c, '\0'};
        bool expected = c < 128 && (strchr("._:-", c) != NULL || (c >= '0' && c <= '9') ||
                                    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
        assert_int_equal(drover_name_is_valid(text), expected);
    }
    assert_false(drv_name_is_valid(drv_view_of("a\0b", 3)));
}

/* ---- units.h ----------------------------------------------------------------------------- */

/* Durations as people write them, at the border of 64 bits too. */
static void test_duration_parse_and_format(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {{"250ms", 250},   {"5s", 5000},
                 {"2m", 120000},   {"1h", 3600000},
                 {"1d", 86400000}, {"90s", 90000},
                 {"1500ms", 1500}, {"18446744073709551615ms", UINT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 1;
        char text[DRV_UNITS_TEXT_MAX];
        assert_ok(drv_duration_parse(cases[i].text, &ms));
        assert_int_equal(ms, cases[i].ms);
        drv_duration_format(ms, text);
        assert_string_equal(text, cases[i].text);
    }
    uint64_t ms = 1;
    char text[DRV_UNITS_TEXT_MAX];
    assert_ok(drv_duration_parse("0", &ms));
    assert_int_equal(ms, 0);
    drv_duration_format(0, text);
    assert_string_equal(text, "0ms");
}

/* Nothing but one number and one unit is a duration. */
static void test_duration_parse_is_strict(void **state)
{
    static const char *const texts[] = {"",
                                        "5",
                                        "s",
                                        " 5s",
                                        "5s ",
                                        "5 s",
                                        "-5s",
                                        "+5s",
                                        "1.5s",
                                        "5S",
                                        "1h1m",
                                        "5sec",
                                        "0x5s",
                                        "5ms5",
                                        "18446744073709551616ms",
                                        "18446744073709552s",
                                        "99999999999999999999d"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t ms = 77;
        assert_int_equal(drv_duration_parse(texts[i], &ms), DROVER_INVALID);
        assert_int_equal(ms, 77);
    }
}

/* Sizes in powers of 1024. */
static void test_size_parse_and_format(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"512", 512},
                 {"64K", 65536},
                 {"16M", 16777216},
                 {"1G", 1 << 30},
                 {"2T", UINT64_C(1) << 41},
                 {"1025", 1025},
                 {"0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 1;
        char text[DRV_UNITS_TEXT_MAX];
        assert_ok(drv_size_parse(cases[i].text, &bytes));
        assert_int_equal(bytes, cases[i].bytes);
        drv_size_format(bytes, text);
        assert_string_equal(text, cases[i].text);
    }
    static const char *const bad[] = {"", "K", "1k", "1KB", "-1", "1.5G", "16777216T", "1 K"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;
        assert_int_equal(drv_size_parse(bad[i], &bytes), DROVER_INVALID);
    }
}

/* Integers at the borders of their types. */
static void test_integers_parse(void **state)
{
    int64_t number;
    uint64_t large;
    assert_ok(drv_int_parse("-9223372036854775808", &number));
    assert_true(number == INT64_MIN);
    assert_ok(drv_int_parse("9223372036854775807", &number));
    assert_true(number == INT64_MAX);
    assert_ok(drv_int_parse("-0", &number));
    assert_true(number == 0);
    assert_int_equal(drv_int_parse("9223372036854775808", &number), DROVER_INVALID);
    assert_int_equal(drv_int_parse("-9223372036854775809", &number), DROVER_INVALID);
    assert_int_equal(drv_int_parse("--1", &number), DROVER_INVALID);
    assert_int_equal(drv_int_parse("-", &number), DROVER_INVALID);
    assert_int_equal(drv_int_parse("1x", &number), DROVER_INVALID);
    assert_ok(drv_uint_parse("18446744073709551615", &large));
    assert_true(large == UINT64_MAX);
    assert_int_equal(drv_uint_parse("-1", &large), DROVER_INVALID);
}

/* Truth in four spellings. */
static void test_bool_parse(void **state)
{
    bool flag = false;
    assert_ok(drv_bool_parse("yes", &flag));
    assert_true(flag);
    assert_ok(drv_bool_parse("off", &flag));
    assert_false(flag);
    assert_ok(drv_bool_parse("1", &flag));
    assert_true(flag);
    assert_int_equal(drv_bool_parse("True", &flag), DROVER_INVALID);
    assert_int_equal(drv_bool_parse("", &flag), DROVER_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_every_code_point_round_trips),
        cmocka_unit_test(test_utf8_malformed_sequences_are_refused),
        cmocka_unit_test(test_escape_neutralises_hostile_text),
        cmocka_unit_test(test_escape_plain_code_points),
        cmocka_unit_test(test_escape_growth_is_bounded),
        cmocka_unit_test(test_escape_cuts_whole_characters),
        cmocka_unit_test(test_problem_text_is_safe_and_prefixed),
        cmocka_unit_test(test_problem_long_text_is_cut),
        cmocka_unit_test(test_name_rule),
        cmocka_unit_test(test_duration_parse_and_format),
        cmocka_unit_test(test_duration_parse_is_strict),
        cmocka_unit_test(test_size_parse_and_format),
        cmocka_unit_test(test_integers_parse),
        cmocka_unit_test(test_bool_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
