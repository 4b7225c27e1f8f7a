/* buffer.h, data.h, b64.h, view.h */
#include "test.h"

#include "b64.h"
#include "buffer.h"
#include "data.h"

#include <pthread.h>

/* What is appended is there, in order, and a NUL follows. */
static void test_buffer_appends_and_terminates(void **state)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    assert_ok(drv_buffer_append(&buffer, "ab", 2));
    assert_ok(drv_buffer_append_byte(&buffer, 'c'));
    assert_ok(drv_buffer_append_text(&buffer, "de"));
    assert_ok(drv_buffer_printf(&buffer, "%03d %s", 7,
                                "a text that is longer than the first "
                                "allocation, so that it has to grow"));
    assert_ok(drv_buffer_append(&buffer, NULL, 0));
    assert_string_equal((const char *)buffer.bytes,
                        "abcde007 a text that is longer than the first allocation, so that it "
                        "has to grow");
    assert_int_equal(buffer.len, strlen((const char *)buffer.bytes));
    drv_buffer_fini(&buffer);
}

/* A length that no machine has is out of memory, not an overflow. */
static void test_buffer_absurd_length_is_nomem(void **state)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    assert_ok(drv_buffer_append(&buffer, "x", 1));
    assert_int_equal(drv_buffer_reserve(&buffer, SIZE_MAX), DROVER_NOMEM);
    assert_int_equal(drv_buffer_reserve(&buffer, SIZE_MAX / 2), DROVER_NOMEM);
    assert_string_equal((const char *)buffer.bytes, "x");
    drv_buffer_fini(&buffer);
}

/* Splicing replaces a middle part, longer or shorter, and at both ends. */
static void test_buffer_splice_replaces_a_part(void **state)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    assert_ok(drv_buffer_append_text(&buffer, "hello world"));
    assert_ok(drv_buffer_splice(&buffer, 6, 5, "everybody", 9));
    assert_string_equal((const char *)buffer.bytes, "hello everybody");
    assert_ok(drv_buffer_splice(&buffer, 0, 6, NULL, 0));
    assert_ok(drv_buffer_splice(&buffer, 9, 0, "!", 1));
    assert_string_equal((const char *)buffer.bytes, "everybody!");
    drv_buffer_fini(&buffer);
}

/* Detaching hands the text over, an empty one too. */
static void test_buffer_detach_hands_over(void **state)
{
    struct drv_buffer buffer;
    uint8_t *bytes;
    size_t len;
    drv_buffer_init(&buffer);
    assert_ok(drv_buffer_detach(&buffer, &bytes, &len));
    assert_string_equal((const char *)bytes, "");
    assert_int_equal(len, 0);
    free(bytes);
    assert_ok(drv_buffer_append_text(&buffer, "x"));
    assert_ok(drv_buffer_detach(&buffer, &bytes, NULL));
    assert_string_equal((const char *)bytes, "x");
    assert_null(buffer.bytes);
    free(bytes);
    drv_buffer_fini(&buffer);
}

static void *drop_references(void *context)
{
    for (int i = 0; i < 20000; i++) {
        struct drv_data *mine = drv_data_ref(context);
        drv_data_unref(&mine);
    }
    struct drv_data *last = context;
    drv_data_unref(&last);
    return NULL;
}

/* References may be taken and given back by several threads; the last one frees. */
static void test_data_is_shared_between_threads(void **state)
{
    pthread_t threads[4];
    struct drv_data *data;
    assert_ok(drv_data_copy("bytes", 5, &data));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, drop_references, drv_data_ref(data)),
                         0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&data->references), 1);
    assert_true(drv_view_is_text(drv_data_view(data), "bytes"));
    drv_data_unref(&data);
    assert_null(data);
}

/* No data is fine everywhere; data without bytes too. */
static void test_data_null_and_empty(void **state)
{
    struct drv_data *data = NULL;
    drv_data_unref(&data);
    drv_data_unref(NULL);
    assert_null(drv_data_ref(NULL));
    assert_int_equal(drv_data_view(NULL).len, 0);
    assert_ok(drv_data_copy(NULL, 0, &data));
    assert_int_equal(drv_data_view(data).len, 0);
    drv_data_unref(&data);
    assert_int_equal(drv_data_new(SIZE_MAX, &data), DROVER_NOMEM);
}

static void assert_b64(const char *plain, const char *encoded)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    assert_ok(drv_b64_encode(drv_view_text(plain), &buffer));
    assert_true(drv_view_is_text(drv_buffer_view(&buffer), encoded));
    drv_buffer_clear(&buffer);
    assert_ok(drv_b64_decode(drv_view_text(encoded), &buffer));
    assert_true(drv_view_is_text(drv_buffer_view(&buffer), plain));
    drv_buffer_fini(&buffer);
}

/* The vectors of RFC 4648. */
static void test_b64_vectors_of_the_rfc(void **state)
{
    assert_b64("", "");
    assert_b64("f", "Zg==");
    assert_b64("fo", "Zm8=");
    assert_b64("foo", "Zm9v");
    assert_b64("foob", "Zm9vYg==");
    assert_b64("fooba", "Zm9vYmE=");
    assert_b64("foobar", "Zm9vYmFy");
    assert_b64("\xfb\xff\xfe", "+//+");
}

/* Two texts never stand for the same bytes: anything but the canonical form is refused. */
static void test_b64_decode_is_strict(void **state)
{
    static const char *const texts[] = {"Zg",   "Zg=",  "Zh==",     "Zm9=",     "Z===", "====",
                                        "Zm 9", "Zm9-", "Zg==Zg==", "Zm9vZg=a", "Zg=v"};
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    assert_ok(drv_buffer_append_text(&buffer, "kept"));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(drv_b64_decode(drv_view_text(texts[i]), &buffer), DROVER_MALFORMED);
        assert_true(drv_view_is_text(drv_buffer_view(&buffer), "kept"));
    }
    drv_buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_appends_and_terminates),
        cmocka_unit_test(test_buffer_absurd_length_is_nomem),
        cmocka_unit_test(test_buffer_splice_replaces_a_part),
        cmocka_unit_test(test_buffer_detach_hands_over),
        cmocka_unit_test(test_data_is_shared_between_threads),
        cmocka_unit_test(test_data_null_and_empty),
        cmocka_unit_test(test_b64_vectors_of_the_rfc),
        cmocka_unit_test(test_b64_decode_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
