/* value.h */
#include "test.h"

#include <drover/value.h>

#include <math.h>

static drover_value *from_json(const char *text)
{
    drover_value *value = NULL;
    char error[200] = "";
    drover_status status = drover_value_from_json(text, strlen(text), &value, error,
                                                  sizeof error);
    assert_string_equal(error, "");
    assert_ok(status);
    return value;
}

static void assert_json(const drover_value *value, const char *expected)
{
    char *text = NULL;
    assert_ok(drover_value_to_json(value, DROVER_JSON_COMPACT, &text));
    assert_string_equal(text, expected);
    free(text);
}

static drover_value *new_int(int64_t number)
{
    drover_value *value = NULL;
    assert_ok(drover_value_new_int(number, &value));
    return value;
}

/* Each scalar comes back through its own reader and no other. */
static void test_value_scalars_read_back(void **state)
{
    static const char *const texts[] = {"null", "true", "-7", "0.5", "\"text\"", "[1]", "{}"};
    static const drover_value_type types[] = {
        DROVER_VALUE_NIL,    DROVER_VALUE_BOOL,  DROVER_VALUE_INT, DROVER_VALUE_DOUBLE,
        DROVER_VALUE_STRING, DROVER_VALUE_ARRAY, DROVER_VALUE_MAP};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        drover_value *value = from_json(texts[i]);
        bool flag;
        int64_t number;
        uint64_t large;
        double real;
        const char *text;
        const void *bytes;
        size_t len;
        assert_int_equal(drover_value_get_type(value), types[i]);
        assert_int_equal(drover_value_get_bool(value, &flag), i == 1 ? 0 : DROVER_INVALID);
        assert_int_equal(drover_value_get_int(value, &number), i == 2 ? 0 : DROVER_INVALID);
        assert_int_equal(drover_value_get_uint(value, &large), DROVER_INVALID);
        assert_int_equal(drover_value_get_double(value, &real),
                         i == 2 || i == 3 ? 0 : DROVER_INVALID);
        assert_int_equal(drover_value_get_string(value, &text, NULL),
                         i == 4 ? 0 : DROVER_INVALID);
        assert_int_equal(drover_value_get_binary(value, &bytes, &len), DROVER_INVALID);
        drover_value_destroy(&value);
        assert_null(value);
    }
}

/* Integers keep all their bits; each reader refuses what does not fit. */
static void test_value_integers_at_the_borders(void **state)
{
    drover_value *value;
    int64_t number = 0;
    uint64_t large = 0;
    assert_ok(drover_value_new_uint(UINT64_MAX, &value));
    assert_ok(drover_value_get_uint(value, &large));
    assert_true(large == UINT64_MAX);
    assert_int_equal(drover_value_get_int(value, &number), DROVER_INVALID);
    drover_value_destroy(&value);
    value = new_int(INT64_MIN);
    assert_ok(drover_value_get_int(value, &number));
    assert_true(number == INT64_MIN);
    assert_json(value, "-9223372036854775808");
    drover_value_destroy(&value);
}

/* A string is UTF-8, may hold a NUL, and is followed by one. */
static void test_value_string_is_utf8_and_terminated(void **state)
{
    drover_value *value = NULL;
    const char *text;
    size_t len;
    assert_ok(drover_value_new_string("a\0b", 3, &value));
    assert_ok(drover_value_get_string(value, &text, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 4);
    drover_value_destroy(&value);
    assert_ok(drover_value_new_text("", &value));
    assert_ok(drover_value_get_string(value, &text, &len));
    assert_string_equal(text, "");
    drover_value_destroy(&value);
    assert_int_equal(drover_value_new_string("\xff", 1, &value), DROVER_INVALID);
    assert_null(value);
}

/* Raw bytes keep their content type and are msgpack to nobody. */
static void test_value_raw_keeps_its_content_type(void **state)
{
    drover_value *value = NULL;
    drover_value *copy = NULL;
    const void *bytes;
    size_t len;
    int64_t number;
    char long_type[DROVER_CONTENT_TYPE_MAX + 2];
    assert_ok(drover_value_new_raw("\x01", 1, "image/png", &value));
    assert_ok(drover_value_copy(value, &copy));
    drover_value_destroy(&value);
    assert_int_equal(drover_value_get_type(copy), DROVER_VALUE_RAW);
    assert_string_equal(drover_value_content_type(copy), "image/png");
    assert_ok(drover_value_get_binary(copy, &bytes, &len));
    assert_int_equal(len, 1);
    assert_int_equal(drover_value_get_int(copy, &number), DROVER_INVALID);
    assert_int_equal(drover_value_count(copy), 0);
    assert_json(copy, "\"AQ==\"");
    drover_value_destroy(&copy);
    memset(long_type, 'x', sizeof long_type);
    long_type[sizeof long_type - 1] = '\0';
    assert_int_equal(drover_value_new_raw("", 0, long_type, &value), DROVER_INVALID);
    assert_int_equal(drover_value_new_raw("", 0, "", &value), DROVER_INVALID);
    assert_int_equal(drover_value_new_raw("", 0, "a\nb", &value), DROVER_INVALID);
    assert_ok(drover_value_new_raw(NULL, 0, "text/plain", &value));
    assert_json(value, "\"\"");
    drover_value_destroy(&value);
}

/* Arrays grow over every width of their header and stay readable all the time. */
static void test_value_array_grows_over_header_widths(void **state)
{
    drover_value *array = NULL;
    assert_ok(drover_value_array_new(&array));
    for (int64_t i = 0; i < 70000; i++) {
        drover_value *item = new_int(i % 100);
        assert_ok(drover_value_array_append(array, &item));
        assert_null(item);
        if (i < 20 || i > 65530) {
            size_t count = 0;
            assert_ok(drover_value_array_len(array, &count));
            assert_int_equal(count, i + 1);
        }
    }
    const void *bytes;
    size_t len;
    drover_value_bytes(array, &bytes, &len);
    assert_int_equal(len, 70005);
    drover_value *again = NULL;
    assert_ok(drover_value_from_msgpack(bytes, len, &again));
    drover_value *item = NULL;
    int64_t number = 0;
    assert_ok(drover_value_array_get(again, 69999, &item));
    assert_ok(drover_value_get_int(item, &number));
    assert_int_equal(number, 99);
    drover_value_destroy(&item);
    assert_int_equal(drover_value_array_get(again, 70000, &item), DROVER_UNKNOWN);
    drover_value_destroy(&again);
    drover_value_destroy(&array);
}

/* A received array, whatever its header looks like, can be appended to. */
static void test_value_append_to_a_received_array(void **state)
{
    static const char *const forms[] = {"\x91\x05", "\xdc\0\x01\x05", "\xdd\0\0\0\x01\x05"};
    static const size_t lens[] = {2, 4, 6};
    for (size_t i = 0; i < 3; i++) {
        drover_value *array = NULL;
        assert_ok(drover_value_from_msgpack(forms[i], lens[i], &array));
        for (int n = 0; n < 20; n++) {
            drover_value *item = new_int(n);
            assert_ok(drover_value_array_append(array, &item));
        }
        assert_json(array, "[5,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]");
        drover_value_destroy(&array);
    }
}

/* Setting a key adds it or replaces what is under it, in place. */
static void test_value_map_set_adds_and_replaces(void **state)
{
    drover_value *map = from_json("{\"a\":1,\"b\":[2,3],\"c\":null}");
    drover_value *item = from_json("{\"deep\":\"er\"}");
    assert_ok(drover_value_map_set(map, "b", &item));
    item = new_int(9);
    assert_ok(drover_value_map_set(map, "d", &item));
    item = new_int(8);
    assert_ok(drover_value_map_set(map, "", &item));
    assert_json(map, "{\"a\":1,\"b\":{\"deep\":\"er\"},\"c\":null,\"d\":9,\"\":8}");
    assert_ok(drover_value_map_get(map, "d", &item));
    assert_json(item, "9");
    drover_value_destroy(&item);
    assert_int_equal(drover_value_map_get(map, "deep", &item), DROVER_UNKNOWN);
    assert_int_equal(drover_value_count(map), 5);
    drover_value_destroy(&map);
}

/* Misuse is answered, takes the item as promised and changes nothing. */
static void test_value_building_refuses_misuse(void **state)
{
    drover_value *number = new_int(1);
    drover_value *array = from_json("[1]");
    drover_value *map = from_json("{}");
    drover_value *item = new_int(2);
    assert_int_equal(drover_value_array_append(number, &item), DROVER_INVALID);
    assert_null(item);
    assert_ok(drover_value_new_raw("x", 1, "text/plain", &item));
    assert_int_equal(drover_value_array_append(array, &item), DROVER_INVALID);
    assert_null(item);
    assert_int_equal(drover_value_array_append(array, &item), DROVER_INVALID);
    item = new_int(2);
    assert_int_equal(drover_value_map_set(array, "k", &item), DROVER_INVALID);
    assert_null(item);
    item = new_int(2);
    assert_int_equal(drover_value_map_set(map, "\xff", &item), DROVER_INVALID);
    item = array;
    assert_int_equal(drover_value_array_append(array, &item), DROVER_INVALID);
    assert_json(array, "[1]");
    assert_json(map, "{}");
    assert_int_equal(drover_value_array_get(map, 0, &item), DROVER_INVALID);
    assert_int_equal(drover_value_map_get(array, "k", &item), DROVER_INVALID);
    drover_value_destroy(&number);
    drover_value_destroy(&array);
    drover_value_destroy(&map);
}

/* Containers cannot be nested deeper than a reader would accept. */
static void test_value_nesting_is_limited(void **state)
{
    drover_value *value = NULL;
    assert_ok(drover_value_array_new(&value));
    for (int depth = 1; depth < DROVER_VALUE_DEPTH_MAX; depth++) {
        drover_value *outer = NULL;
        assert_ok(drover_value_array_new(&outer));
        assert_ok(drover_value_array_append(outer, &value));
        value = outer;
    }
    drover_value *outer = NULL;
    const void *bytes = NULL;
    size_t len = 0;
    drover_value *copy = NULL;
    drover_value_bytes(value, &bytes, &len);
    assert_ok(drover_value_from_msgpack(bytes, len, &copy));
    assert_ok(drover_value_array_new(&outer));
    assert_int_equal(drover_value_array_append(outer, &value), DROVER_LIMIT);
    assert_null(value);
    assert_ok(drover_value_map_new(&value));
    assert_int_equal(drover_value_map_set(value, "k", &copy), DROVER_LIMIT);
    assert_json(outer, "[]");
    drover_value_destroy(&outer);
    drover_value_destroy(&value);
}

/* A walk gives all items in order, with keys in a map. */
static void test_value_iter_walks_arrays_and_maps(void **state)
{
    static const char *const texts[] = {"[1,\"x\",[2]]", "{\"a\":1,\"b\":\"x\",\"c\":[2]}",
                                        "7"};
    static const char *const items[] = {"1", "\"x\"", "[2]"};
    static const char *const keys[] = {"\"a\"", "\"b\"", "\"c\""};
    for (size_t t = 0; t < 3; t++) {
        drover_value *value = from_json(texts[t]);
        drover_value *key = NULL;
        drover_value *item = NULL;
        drover_value_iter iter;
        size_t count = 0;
        drover_value_iter_init(&iter, value);
        while (count < 3 && drover_value_iter_next(&iter, &key, &item) == DROVER_OK) {
            assert_json(item, items[count]);
            if (t == 1) {
                assert_json(key, keys[count]);
            } else {
                assert_null(key);
            }
            drover_value_destroy(&key);
            drover_value_destroy(&item);
            count++;
        }
        assert_int_equal(count, t == 2 ? 0 : 3);
        assert_int_equal(drover_value_iter_next(&iter, &key, &item), DROVER_UNKNOWN);
        assert_int_equal(drover_value_count(value), count);
        drover_value_destroy(&value);
    }
}

/* Received bytes are checked; what is malformed, too deep or too big has its own answer. */
static void test_value_from_msgpack_checks(void **state)
{
    drover_value *value = NULL;
    char deep[40];
    memset(deep, 0x91, sizeof deep);
    deep[33] = 0;
    assert_int_equal(drover_value_from_msgpack("\x92\x01", 2, &value), DROVER_MALFORMED);
    assert_int_equal(drover_value_from_msgpack("\x01\x02", 2, &value), DROVER_MALFORMED);
    assert_int_equal(drover_value_from_msgpack("", 0, &value), DROVER_MALFORMED);
    assert_int_equal(drover_value_from_msgpack(deep, 34, &value), DROVER_LIMIT);
    assert_int_equal(
        drover_value_from_msgpack(deep, (size_t)DROVER_VALUE_BYTES_MAX + 1, &value),
        DROVER_TOO_BIG);
    assert_null(value);
}

/* The message for bad JSON is one line, cut to the room there is. */
static void test_value_from_json_reports_errors(void **state)
{
    drover_value *value = NULL;
    char error[100];
    assert_int_equal(drover_value_from_json("[1,\n x]", 7, &value, error, sizeof error),
                     DROVER_MALFORMED);
    assert_string_equal(error, "line 2, column 2: expected a value");
    assert_int_equal(drover_value_from_json("[", 1, &value, error, 5), DROVER_MALFORMED);
    assert_string_equal(error, "line");
    assert_int_equal(drover_value_from_json("[", 1, &value, NULL, 0), DROVER_MALFORMED);
    assert_int_equal(
        drover_value_from_json("", (size_t)DROVER_VALUE_BYTES_MAX + 1, &value, error, 100),
        DROVER_TOO_BIG);
    assert_string_equal(error, "more than 67108864 bytes");
    assert_null(value);
}

/* Pretty text has line breaks; unknown flags are refused. */
static void test_value_to_json_flags(void **state)
{
    drover_value *value = from_json("{\"a\":[1]}");
    char *text = NULL;
    assert_ok(drover_value_to_json(value, DROVER_JSON_PRETTY, &text));
    assert_string_equal(text, "{\n  \"a\": [\n    1\n  ]\n}");
    free(text);
    assert_int_equal(drover_value_to_json(value, 2, &text), DROVER_INVALID);
    drover_value_destroy(&value);
    assert_ok(drover_value_new_double(NAN, &value));
    assert_json(value, "null");
    drover_value_destroy(&value);
    assert_ok(drover_value_new_binary("foo", 3, &value));
    assert_json(value, "\"Zm9v\"");
    drover_value_destroy(&value);
    assert_ok(drover_value_new_bool(true, &value));
    assert_json(value, "true");
    drover_value_destroy(&value);
    assert_ok(drover_value_new_nil(&value));
    assert_json(value, "null");
    assert_string_equal(drover_value_content_type(value), "");
    drover_value_destroy(&value);
    drover_value_destroy(&value);
    drover_value_destroy(NULL);
}

/* A value larger than the limit is refused before it is copied. */
static void test_value_size_limit(void **state)
{
    drover_value *value = NULL;
    size_t len = (size_t)DROVER_VALUE_BYTES_MAX + 1;
    assert_int_equal(drover_value_new_string("", len, &value), DROVER_TOO_BIG);
    assert_int_equal(drover_value_new_binary("", len, &value), DROVER_TOO_BIG);
    assert_int_equal(drover_value_new_raw("", len, "a/b", &value), DROVER_TOO_BIG);
    assert_null(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_scalars_read_back),
        cmocka_unit_test(test_value_integers_at_the_borders),
        cmocka_unit_test(test_value_string_is_utf8_and_terminated),
        cmocka_unit_test(test_value_raw_keeps_its_content_type),
        cmocka_unit_test(test_value_array_grows_over_header_widths),
        cmocka_unit_test(test_value_append_to_a_received_array),
        cmocka_unit_test(test_value_map_set_adds_and_replaces),
        cmocka_unit_test(test_value_building_refuses_misuse),
        cmocka_unit_test(test_value_nesting_is_limited),
        cmocka_unit_test(test_value_iter_walks_arrays_and_maps),
        cmocka_unit_test(test_value_from_msgpack_checks),
        cmocka_unit_test(test_value_from_json_reports_errors),
        cmocka_unit_test(test_value_to_json_flags),
        cmocka_unit_test(test_value_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
