/* status.h, drover.h: the names and marks that are part of the wire contract. */
#include "test.h"

#include <drover/drover.h>

/* The registry of numbers is frozen: these pairs are in other people's programs. */
static void test_status_numbers_are_frozen(void **state)
{
    assert_int_equal(DROVER_OK, 0);
    assert_int_equal(DROVER_BUSY, 6);
    assert_int_equal(DROVER_STALE, 9);
    assert_int_equal(DROVER_MALFORMED, 23);
    assert_int_equal(DROVER_DEPENDENCY, 31);
    assert_int_equal(DROVER_ATTACHED, 32);
    assert_string_equal(drover_status_name(DROVER_TOO_BIG), "too_big");
    assert_string_equal(drover_status_name(DROVER_WRONG_ENDPOINT), "wrong_endpoint");
}

/* Only a busy and a draining broker promise that the same request may work later. */
static void test_status_retryable_marks(void **state)
{
    for (int number = 0; number <= 31; number++) {
        bool expected = number == DROVER_BUSY || number == DROVER_DRAINING;
        assert_int_equal(drover_status_is_retryable((drover_status)number), expected);
    }
}

/* A number from a newer peer gives a text, not a crash. */
static void test_status_foreign_number_has_a_text(void **state)
{
    assert_string_equal(drover_status_name((drover_status)33), "status");
    assert_string_equal(drover_status_text((drover_status)4000000), "unknown status");
    assert_false(drover_status_is_retryable((drover_status)33));
}

/* Every status has a name of its own and a text. */
static void test_status_names_are_unique(void **state)
{
    for (int a = 0; a <= 32; a++) {
        assert_true(strlen(drover_status_text((drover_status)a)) > 0);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(drover_status_name((drover_status)a),
                                    drover_status_name((drover_status)b));
        }
    }
}

/* The version as text is the version as numbers, and the one of the library. */
static void test_version_text_matches_its_numbers(void **state)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%d.%d.%d", DROVER_VERSION_MAJOR, DROVER_VERSION_MINOR,
                   DROVER_VERSION_PATCH);
    assert_string_equal(drover_version(), text);
    assert_string_equal(DROVER_VERSION_STRING, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_numbers_are_frozen),
        cmocka_unit_test(test_status_retryable_marks),
        cmocka_unit_test(test_status_foreign_number_has_a_text),
        cmocka_unit_test(test_status_names_are_unique),
        cmocka_unit_test(test_version_text_matches_its_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
