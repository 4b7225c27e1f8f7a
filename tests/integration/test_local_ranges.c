/*
 * A large array of short elements, among them some that fail, crash, print, take long, or have
 * large results: through the library, a broker and two executors, each is what it would be
 * alone.
 */
#include "test.h"

#include <drover/client.h>

#include <inttypes.h>
#include <signal.h>

enum { ELEMENTS = 200 * 1000, WAIT_MS = 60000 };

/* What is different; NULL: a number. Short stretches, so that ranges begin and end with it. */
static const char *word_of(uint32_t index)
{
    switch (index % 10007) {
    case 9:
        return "fail";
    case 500:
    case 501:
        return "print";
    case 2000:
        return "big";
    case 3000:
    case 3001:
        return "raw";
    case 4000:
        return "log";
    case 5000:
        return index < 60000 ? "slow" : NULL;
    case 6000:
        return index < 60000 ? "crash" : NULL;
    case 7000:
        return index < 30000 ? "incr" : NULL;
    default:
        return NULL;
    }
}

static bool is_nil(uint32_t index)
{
    return index % 1000 == 77;
}

static drover_status source(void *context, drover_value **out_item)
{
    uint32_t *next = context;
    uint32_t index = *next;
    const char *word = word_of(index);
    if (index == ELEMENTS) {
        return DROVER_UNKNOWN;
    }
    (*next)++;
    if (word != NULL) {
        return drover_value_new_text(word, out_item);
    }
    if (is_nil(index)) {
        *out_item = NULL;
        return DROVER_OK;
    }
    return drover_value_new_int(index, out_item);
}

static void check_number(const drover_outcome *outcome, int64_t expected)
{
    int64_t number = -1;
    assert_int_equal(drover_outcome_state(outcome), DROVER_STATE_SUCCEEDED);
    assert_ok(drover_value_get_int(drover_outcome_value(outcome), &number));
    assert_int_equal(number, expected);
}

static void check_failed(const drover_outcome *outcome, uint32_t index)
{
    char text[64];
    assert_int_equal(drover_outcome_state(outcome), DROVER_STATE_FAILED);
    if (strcmp(word_of(index), "crash") == 0) {
        assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_CRASH);
        assert_int_equal(drover_outcome_signal(outcome), SIGSEGV);
        return;
    }
    (void)snprintf(text, sizeof text, "element %" PRIu32 " fails", index);
    assert_string_equal(drover_outcome_error_text(outcome), text);
}

static void check(const drover_outcome *outcome, uint32_t index)
{
    const char *word = word_of(index);
    const void *bytes = NULL;
    size_t len = 0;
    assert_int_equal(drover_outcome_index(outcome), index);
    assert_int_equal(drover_outcome_attempt(outcome), 1); /* nobody runs twice for another */
    if (word == NULL && is_nil(index)) {
        const drover_value *value = drover_outcome_value(outcome);
        assert_true(value == NULL || drover_value_get_type(value) == DROVER_VALUE_NIL);
    } else if (word == NULL) {
        check_number(outcome, (int64_t)index * index);
    } else if (strcmp(word, "fail") == 0 || strcmp(word, "crash") == 0) {
        check_failed(outcome, index);
    } else if (strcmp(word, "big") == 0 || strcmp(word, "raw") == 0) {
        drover_value_bytes(drover_outcome_value(outcome), &bytes, &len);
        assert_int_equal(len, word[0] == 'b' ? 20003 : 3);
    } else if (strcmp(word, "incr") == 0) {
        assert_int_equal(drover_outcome_state(outcome), DROVER_STATE_SUCCEEDED);
    } else { /* it says who it thinks it is */
        check_number(outcome, index);
    }
}

/* Every outcome of the array is there, in order, and its own. */
static void test_local_ranges_of_mixed_elements_are_exact(void **state)
{
    char endpoint[1024];
    char why[512] = "";
    drover_client *client = NULL;
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    uint32_t next = 0;
    const char *modules = getenv("DROVER_TEST_MODULE_DIR");
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.error_text = why;
    options.error_size = sizeof why;
    assert_non_null(modules);
    (void)snprintf(endpoint, sizeof endpoint, "local://2?load=%s/mixed.so", modules);
    if (drover_client_open(endpoint, &options, &client) != DROVER_OK) {
        fail_msg("%s", why);
    }
    assert_ok(drover_map_open(client, "mixed", source, &next, NULL, &map));
    for (uint32_t index = 0; index < ELEMENTS; index++) {
        assert_ok(drover_map_next(map, test_deadline_ms(WAIT_MS), &outcome));
        check(outcome, index);
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(drover_map_next(map, test_deadline_ms(WAIT_MS), &outcome), DROVER_UNKNOWN);
    drover_map_close(&map);
    drover_client_close(&client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_local_ranges_of_mixed_elements_are_exact),
};

TEST_MAIN(tests)
