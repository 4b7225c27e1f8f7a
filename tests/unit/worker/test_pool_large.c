/*
 * pool.h: payloads and results that are larger than a ring, in one piece of memory and in many.
 */
#include "pieces.h"
#include "pool_fixture.h"

static struct fixture *open_slots(size_t slots)
{
    struct pool_config config = {.slots = slots};
    return fixture_new(&config);
}

/* Values far larger than a ring go both ways. */
static void test_pool_payload_of_64_mib_comes_back(void **state)
{
    const size_t len = (size_t)POOL_VALUE_MAX;
    struct fixture *fixture = open_slots(1);
    struct drv_data *data;
    assert_ok(drv_data_new(len, &data));
    for (size_t i = 0; i < len; i++) {
        data->bytes[i] = (uint8_t)(i * 31 >> 3);
    }
    struct pool_attempt attempt = fixture_attempt(1, "echo");
    attempt.payload = (struct pool_value){.data = data,
                                          .view = drv_data_view(data),
                                          .content_type = drv_view_text("application/x-big")};
    assert_ok(pool_submit(fixture->pool, &attempt));
    struct seen *seen = fixture_finish(fixture, 1);
    const void *bytes;
    size_t got;
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_string_equal(seen->content_type, "application/x-big");
    drover_value_bytes(seen->value, &bytes, &got);
    assert_int_equal(got, len);
    assert_int_equal(memcmp(bytes, data->bytes, len), 0);
    drv_data_unref(&data);
    fixture_free(fixture);
}

/* The same in pieces. */
static struct drv_data *pieces_of(const struct drv_data *data)
{
    enum { PIECE = 256 * 1024 };
    struct drv_data *pieces = NULL;
    assert_ok(drv_pieces_new(&pieces));
    for (size_t at = 0; at < data->len; at += PIECE) {
        size_t len = data->len - at < PIECE ? data->len - at : PIECE;
        assert_ok(drv_pieces_copy(pieces, drv_view_of(data->bytes + at, len)));
    }
    return pieces;
}

/* Many large payloads at once, in the pieces they came in: each comes back as it was, also what
 * has to wait, and what finds no file free. A shared value in pieces is refused. */
static void test_pool_payloads_in_pieces_come_back(void **state)
{
    enum { TASKS = 24 };
    const size_t len = (size_t)1024 * 1024 + 5;
    struct fixture *fixture = open_slots(2);
    struct drv_data *data;
    assert_ok(drv_data_new(len, &data));
    memset(data->bytes, 0xa5, len);
    for (uint64_t token = 1; token <= TASKS; token++) {
        struct pool_attempt attempt = fixture_attempt(token, "echo");
        data->bytes[len - 1] = (uint8_t)token;
        struct drv_data *pieces = pieces_of(data);
        attempt.payload = (struct pool_value){.data = pieces,
                                              .view = drv_pieces_view(pieces),
                                              .content_type = drv_view_text("x/big")};
        assert_ok(pool_submit(fixture->pool, &attempt));
        attempt.token = TASKS + 1;
        attempt.shared = attempt.payload;
        assert_int_equal(pool_submit(fixture->pool, &attempt), DROVER_INVALID);
        drv_data_unref(&pieces);
    }
    for (uint64_t token = 1; token <= TASKS; token++) {
        struct seen *seen = fixture_finish(fixture, token);
        const void *bytes;
        size_t got;
        assert_int_equal(seen->outcome, POOL_SUCCEEDED);
        drover_value_bytes(seen->value, &bytes, &got);
        assert_int_equal(got, len);
        data->bytes[len - 1] = (uint8_t)token;
        assert_memory_equal(bytes, data->bytes, len);
    }
    drv_data_unref(&data);
    fixture_free(fixture);
}

/* Results of all sizes around the limit of a ring come whole. */
static void test_pool_results_around_inline_limit(void **state)
{
    struct fixture *fixture = open_slots(1);
    for (unsigned i = 0; i < 64; i++) {
        char json[32];
        size_t len = (size_t)32 * 1024 - 32 + i;
        (void)snprintf(json, sizeof(json), "%zu", len);
        fixture_submit(fixture, i + 1, "bulk", json);
        const void *bytes;
        size_t got;
        struct seen *seen = fixture_finish(fixture, i + 1);
        drover_value_bytes(seen->value, &bytes, &got);
        assert_int_equal(got, len);
    }
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_payload_of_64_mib_comes_back),
        cmocka_unit_test(test_pool_payloads_in_pieces_come_back),
        cmocka_unit_test(test_pool_results_around_inline_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
