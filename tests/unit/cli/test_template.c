/* test_template.c: {} in the command of xargs. */
#include "test.h"

#include "template.h"

/* The argv as JSON for the given words (NULL-terminated) and records. */
static char *expand(size_t record_max, const char *const *words, const char *const *records)
{
    struct template template;
    drover_value *argv = NULL;
    char *json = NULL;
    template_init(&template, record_max);
    for (; *words != NULL; words++) {
        assert_true(template_word(&template, *words));
    }
    assert_true(template_is_sound(&template));
    for (; *records != NULL; records++) {
        assert_true(template_add(&template, *records, strlen(*records)));
    }
    assert_ok(template_expand(&template, &argv));
    assert_true(template_is_empty(&template));
    assert_ok(drover_value_to_json(argv, DROVER_JSON_COMPACT, &json));
    drover_value_destroy(&argv);
    template_fini(&template);
    return json;
}

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void check(size_t record_max, const char *const *words, const char *const *records,
                  const char *expected)
{
    char *json = expand(record_max, words, records);
    assert_string_equal(json, expected);
    free(json);
}

/* Without a place the record comes last. */
static void test_template_without_place_appends(void **state)
{
    check(1, WORDS("cat", "-n"), WORDS("a b"), "[\"cat\",\"-n\",\"a b\"]");
    check(3, WORDS("cat"), WORDS("a", "b"), "[\"cat\",\"a\",\"b\"]");
}

/* The place is filled wherever it stands, as often as it stands, but in the program's name. */
static void test_template_place_is_filled(void **state)
{
    check(1, WORDS("cp", "{}", "/tmp/{}.{}"), WORDS("x"), "[\"cp\",\"x\",\"/tmp/x.x\"]");
    check(1, WORDS("{}", "a"), WORDS("x"), "[\"{}\",\"a\",\"x\"]");
}

/* What is filled in is not searched for places again. */
static void test_template_record_with_place_is_plain(void **state)
{
    check(1, WORDS("echo", "{}{}"), WORDS("{}"), "[\"echo\",\"{}{}\"]");
}

/* With several records, a word that is the place becomes as many words. */
static void test_template_many_records_make_many_words(void **state)
{
    check(3, WORDS("cp", "{}", "dir"), WORDS("a", "b", "c"),
          "[\"cp\",\"a\",\"b\",\"c\",\"dir\"]");
}

/* A place inside a word has no meaning for several records. */
static void test_template_inner_place_with_many_is_unsound(void **state)
{
    struct template template;
    template_init(&template, 2);
    assert_true(template_word(&template, "cp"));
    assert_true(template_word(&template, "x{}"));
    assert_false(template_is_sound(&template));
    template_fini(&template);
}

/* Bytes that are no UTF-8 travel as they are. */
static void test_template_record_that_is_not_utf8_is_binary(void **state)
{
    check(1, WORDS("cat"), WORDS("\xff"), "[\"cat\",\"/w==\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_without_place_appends),
        cmocka_unit_test(test_template_place_is_filled),
        cmocka_unit_test(test_template_record_with_place_is_plain),
        cmocka_unit_test(test_template_many_records_make_many_words),
        cmocka_unit_test(test_template_inner_place_with_many_is_unsound),
        cmocka_unit_test(test_template_record_that_is_not_utf8_is_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
