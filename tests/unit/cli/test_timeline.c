/* test_timeline.c: the picture of an attempt's time, and its words. */
#include "human.h"
#include "test.h"

#include <string.h>

static size_t count(const char *text, char sign)
{
    size_t found = 0;
    for (; *text != '\0'; text++) {
        found += *text == sign ? 1 : 0;
    }
    return found;
}

/* Parts are as long as their time. */
static void test_timeline_draw_is_in_proportion(void **state)
{
    char text[TIMELINE_TEXT_MAX];
    struct timeline timeline = {.us = {2000, 1000, 6000, 1000}};
    assert_string_equal(timeline_draw(&timeline, 20, text), "|....>>============<<|");
}

/* What took next to nothing is seen all the same, and the width is kept. */
static void test_timeline_draw_shows_every_part(void **state)
{
    static const struct timeline cases[] = {
        {.us = {1, 1, INT64_MAX, 1}},
        {.us = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}},
        {.us = {1, 1, 1, 1}},
        {.us = {999, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TIMELINE_TEXT_MAX];
        for (size_t width = TIMELINE_PARTS; width < 60; width++) {
            (void)timeline_draw(&cases[i], width, text);
            assert_int_equal(strlen(text), width + 2);
            assert_true(count(text, '.') > 0 && count(text, '>') > 0);
            assert_true(count(text, '=') > 0 && count(text, '<') > 0);
        }
    }
}

/* An attempt that still runs has no return; one that has only just come has nothing. */
static void test_timeline_draw_ends_where_the_attempt_is(void **state)
{
    char text[TIMELINE_TEXT_MAX];
    struct timeline running = {.us = {5000, 0, 5000, -1}};
    assert_string_equal(timeline_draw(&running, 10, text), "|.....=====|");
    struct timeline fresh = {.us = {0, 0, -1, -1}};
    assert_string_equal(timeline_draw(&fresh, 10, text), "||");
}

/* The words name what has a length, with the sign of the picture or without. */
static void test_timeline_words_name_the_parts(void **state)
{
    char text[TIMELINE_TEXT_MAX];
    struct timeline timeline = {.us = {1200000, 3000, 900, -1}};
    assert_string_equal(timeline_words(&timeline, false, text),
                        "queued 1.2 s, transfer 3 ms, run 900 us");
    assert_string_equal(timeline_words(&timeline, true, text),
                        ". queued 1.2 s  > transfer 3 ms  = run 900 us");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline_draw_is_in_proportion),
        cmocka_unit_test(test_timeline_draw_shows_every_part),
        cmocka_unit_test(test_timeline_draw_ends_where_the_attempt_is),
        cmocka_unit_test(test_timeline_words_name_the_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
