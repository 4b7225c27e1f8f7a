/* test_human.c: numbers for people: ages, sizes, rates, the progress line. */
#include "test.h"

#include "human.h"
#include "meter.h"
#include "rate.h"

/* Ages have the two units that matter. */
static void test_human_age_has_two_units(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-1, ""},           {0, "0 ms"},         {999, "999 ms"},   {1000, "1.0 s"},
        {3290, "3.2 s"},    {59999, "59.9 s"},   {60000, "1m 0s"},  {3599999, "59m 59s"},
        {3600000, "1h 0m"}, {90061000, "1d 1h"}, {INT64_MAX, NULL},
    };
    for (size_t i = 0; cases[i].text != NULL; i++) {
        char text[HUMAN_TEXT_MAX];
        assert_string_equal(human_age(cases[i].ms, text), cases[i].text);
    }
    char text[HUMAN_TEXT_MAX];
    assert_non_null(strchr(human_age(INT64_MAX, text), 'd'));
}

/* Sizes never show 1024 of a unit. */
static void test_human_bytes_moves_to_the_next_unit(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        {-1, ""},          {0, "0 B"},           {1023, "1023 B"},      {1024, "1.0 KiB"},
        {1536, "1.5 KiB"}, {1048575, "1.0 MiB"}, {INT64_MAX, "8.0 EiB"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HUMAN_TEXT_MAX];
        assert_string_equal(human_bytes(cases[i].bytes, text), cases[i].text);
    }
}

/* Rates become starts per hour, exactly. */
static void test_rate_parse_reads_units(void **state)
{
    static const struct {
        const char *text;
        int64_t rate;
    } cases[] = {
        {"0", 0},       {"0/s", 0}, {"10/s", 36000},           {"30/m", 1800},
        {"100/h", 100}, {"1/h", 1}, {"1000000/s", 3600000000}, {"3600000000/h", 3600000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t rate = -1;
        assert_true(rate_parse(cases[i].text, &rate));
        assert_int_equal(rate, cases[i].rate);
    }
}

static void test_rate_parse_refuses_other_text(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "/s",
                                      "-1/s",
                                      "1/d",
                                      "1/ss",
                                      "1 /s",
                                      "1.5/s",
                                      "1000001/s",
                                      "3600000001/h",
                                      "99999999999999999999/s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t rate = 0;
        assert_false(rate_parse(bad[i], &rate));
    }
}

/* The line of progress has a bar once the total is known, and fits the terminal. */
static void test_meter_format_fits_the_width(void **state)
{
    char text[256];
    drover_map_progress progress = {.ended = 5, .failed = 1, .total = 10};
    meter_format(&progress, 1000, 200, text, sizeof(text));
    assert_string_equal(text, "[###############               ] 5 of 10, 1 failed, 5/s, 1.0 s");
    meter_format(&progress, 1000, 20, text, sizeof(text));
    assert_int_equal(strlen(text), 20);
    progress.total = 0;
    progress.failed = 0;
    meter_format(&progress, 0, 200, text, sizeof(text));
    assert_string_equal(text, "5 of ..., 0/s, 0 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_human_age_has_two_units),
        cmocka_unit_test(test_human_bytes_moves_to_the_next_unit),
        cmocka_unit_test(test_rate_parse_reads_units),
        cmocka_unit_test(test_rate_parse_refuses_other_text),
        cmocka_unit_test(test_meter_format_fits_the_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
