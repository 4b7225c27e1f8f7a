/* value_share.h: values whose bytes are somewhere else. */
#include "test.h"

#include "value_share.h"

#define LONG_LEN ((size_t)100 * 1000)

static const void *bytes_of(const drover_value *value)
{
    const void *bytes;
    size_t len;
    drover_value_bytes(value, &bytes, &len);
    return bytes;
}

/* An array of so many nils, in a data of its own. */
static struct drv_data *array_data(uint16_t count)
{
    struct drv_data *data = NULL;
    assert_ok(drv_data_new((size_t)count + 3, &data));
    memset(data->bytes, 0xc0, data->len);
    data->bytes[0] = 0xdc;
    data->bytes[1] = (uint8_t)(count >> 8);
    data->bytes[2] = (uint8_t)count;
    return data;
}

/* A copy of a long value, whatever it was made of, is the same bytes. */
static void test_value_long_copies_share_their_bytes(void **state)
{
    uint8_t *content = calloc(1, LONG_LEN);
    drover_value *values[2] = {NULL, NULL};
    assert_non_null(content);
    assert_ok(drover_value_new_binary(content, LONG_LEN, &values[0]));
    assert_ok(drover_value_new_raw(content, LONG_LEN, "image/png", &values[1]));
    for (size_t i = 0; i < 2; i++) {
        drover_value *copy = NULL;
        const void *read;
        size_t len;
        assert_ok(drover_value_copy(values[i], &copy));
        assert_ptr_equal(bytes_of(copy), bytes_of(values[i]));
        assert_ptr_equal(drv_value_data(copy), drv_value_data(values[i]));
        assert_string_equal(drover_value_content_type(copy),
                            drover_value_content_type(values[i]));
        drover_value_destroy(&values[i]);
        assert_ok(drover_value_get_binary(copy, &read, &len));
        assert_int_equal(len, LONG_LEN);
        assert_memory_equal(read, content, len);
        drover_value_destroy(&copy);
    }
    free(content);
}

/* A short one has bytes of its own, for which it needs no second block. */
static void test_value_short_ones_share_nothing(void **state)
{
    drover_value *value = NULL;
    assert_ok(drover_value_new_binary("abc", 3, &value));
    assert_null(drv_value_data(value));
    drover_value_destroy(&value);
}

/* Who shares bytes does not see that another one changes. */
static void test_value_that_changes_gets_bytes_of_its_own(void **state)
{
    struct drv_data *data = array_data(1000);
    drover_value *first = NULL;
    drover_value *second = NULL;
    drover_value *item = NULL;
    assert_ok(drv_value_from_data(data, NULL, &first));
    assert_ok(drover_value_copy(first, &second));
    assert_ptr_equal(drv_value_data(second), data);
    assert_ok(drover_value_new_int(7, &item));
    assert_ok(drover_value_array_append(first, &item));
    assert_int_equal(drover_value_count(first), 1001);
    assert_int_equal(drover_value_count(second), 1000);
    assert_null(drv_value_data(first));
    assert_ptr_equal(bytes_of(second), data->bytes);
    assert_int_equal(atomic_load(&data->references), 2);
    drover_value_destroy(&first);
    drover_value_destroy(&second);
    drv_data_unref(&data);
}

/* What is no msgpack is no value, unless it has a type; nothing is kept of what is refused. */
static void test_value_from_data_is_checked(void **state)
{
    struct drv_data *data = array_data(3);
    drover_value *value = NULL;
    data->bytes[2] = 4;
    assert_int_equal(drv_value_from_data(data, NULL, &value), DROVER_MALFORMED);
    assert_int_equal(drv_value_from_data(data, "bad\ntype", &value), DROVER_INVALID);
    assert_int_equal(drv_value_lend(data->bytes, data->len, NULL, &value), DROVER_MALFORMED);
    assert_int_equal(atomic_load(&data->references), 1);
    assert_ok(drv_value_from_data(data, "text/plain", &value));
    assert_ptr_equal(bytes_of(value), data->bytes);
    drover_value_destroy(&value);
    drv_data_unref(&data);
}

/* Bytes that are lent are read in place; a copy does not need them. */
static void test_value_lent_is_read_in_place_and_copied_whole(void **state)
{
    static uint8_t memory[] = {0xa3, 'a', 'b', 'c', '\0'};
    drover_value *value = NULL;
    drover_value *copy = NULL;
    const char *text;
    assert_ok(drv_value_lend(memory, 4, NULL, &value));
    assert_ok(drover_value_copy(value, &copy));
    assert_ok(drover_value_get_string(value, &text, NULL));
    assert_ptr_equal(text, memory + 1);
    assert_null(drv_value_data(value));
    drover_value_destroy(&value);
    memory[1] = 'x';
    assert_ok(drover_value_get_string(copy, &text, NULL));
    assert_string_equal(text, "abc");
    drover_value_destroy(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_long_copies_share_their_bytes),
        cmocka_unit_test(test_value_short_ones_share_nothing),
        cmocka_unit_test(test_value_that_changes_gets_bytes_of_its_own),
        cmocka_unit_test(test_value_from_data_is_checked),
        cmocka_unit_test(test_value_lent_is_read_in_place_and_copied_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
