/* outcome.h: how a task ended: one piece of memory, shared, and used again. */
#include "test.h"

#include "outcome.h"

#include <pthread.h>

enum { ROUNDS = 5000, BATCH = 16 };

static const uint8_t TEXT[] = {0xa3, 'a', 'b', 'c'};

static struct drv_outcome entry_of(const uint8_t *bytes, size_t len)
{
    struct drv_outcome entry = {.index = DROVER_INDEX_NONE,
                                .state = DROVER_STATE_SUCCEEDED,
                                .attempt = 1,
                                .val = {.bytes = bytes, .len = len}};
    entry.error.exit_code = -1;
    return entry;
}

static drover_outcome *outcome_of(struct drv_outcome_pool *pool, const uint8_t *bytes,
                                  size_t len)
{
    struct drv_outcome entry = entry_of(bytes, len);
    drover_outcome *outcome = NULL;
    assert_ok(drv_outcome_new(pool, &entry, &outcome));
    return outcome;
}

static void expect_text(const drover_value *value)
{
    const char *text = NULL;
    size_t len = 0;
    assert_ok(drover_value_get_string(value, &text, &len));
    assert_int_equal(len, 3);
    assert_string_equal(text, "abc"); /* terminated, though nothing in the message was */
}

/* A long bin value: its header says how many zeros follow. */
static uint8_t *long_value(size_t *out_len)
{
    uint8_t *bytes = calloc(1, 3 + 5000);
    assert_non_null(bytes);
    bytes[0] = 0xc5;
    bytes[1] = 5000 >> 8;
    bytes[2] = 5000 & 0xff;
    *out_len = 3 + 5000;
    return bytes;
}

/* A short value lies in the outcome and is read as any other; nothing is said of an error. */
static void test_outcome_holds_a_short_value(void **state)
{
    const void *tail = NULL;
    size_t len = 1;
    drover_outcome *outcome = outcome_of(NULL, TEXT, sizeof(TEXT));
    expect_text(drover_outcome_value(outcome));
    assert_int_equal(drover_outcome_exit_code(outcome), -1);
    assert_string_equal(drover_outcome_error_text(outcome), "");
    drover_outcome_stderr(outcome, &tail, &len);
    assert_int_equal(len, 0);
    drover_outcome_destroy(&outcome);
}

/* Value and error stand side by side; the strings of the error are terminated. */
static void test_outcome_holds_value_and_error(void **state)
{
    struct drv_outcome entry = entry_of(TEXT, sizeof(TEXT));
    drover_outcome *outcome = NULL;
    entry.state = DROVER_STATE_FAILED;
    entry.error.kind = DROVER_ERROR_HANDLER;
    entry.error.exit_code = 3;
    entry.error.code = drv_str_of("odd");
    entry.error.text = drv_str_of("it is odd");
    assert_ok(drv_outcome_new(NULL, &entry, &outcome));
    expect_text(drover_outcome_value(outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_FAILED);
    assert_int_equal(drover_outcome_exit_code(outcome), 3);
    assert_string_equal(drover_outcome_error_code(outcome), "odd");
    assert_string_equal(drover_outcome_error_text(outcome), "it is odd");
    drover_outcome_destroy(&outcome);
}

/* What is taken out of an outcome outlives it, short or long, shared or not. */
static void test_outcome_value_taken_outlives_the_outcome(void **state)
{
    size_t len = 0;
    uint8_t *bytes = long_value(&len);
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        drover_value *small = NULL;
        drover_value *large = NULL;
        const void *got = NULL;
        size_t got_len = 0;
        drover_outcome *a = outcome_of(NULL, TEXT, sizeof(TEXT));
        drover_outcome *b = outcome_of(NULL, bytes, len);
        drover_outcome *second = is_shared ? drv_outcome_ref(b) : NULL;
        assert_ok(drv_outcome_take_value(a, &small));
        assert_ok(drv_outcome_take_value(b, &large));
        drover_outcome_destroy(&a);
        drover_outcome_destroy(&b);
        if (is_shared) {
            assert_non_null(drover_outcome_value(second));
        }
        drover_outcome_destroy(&second);
        expect_text(small);
        assert_ok(drover_value_get_binary(large, &got, &got_len));
        assert_int_equal(got_len, 5000);
        drover_value_destroy(&small);
        drover_value_destroy(&large);
    }
    free(bytes);
}

/* Bytes that are no msgpack come as a raw value, whatever their length. */
static void test_outcome_of_broken_msgpack_is_raw(void **state)
{
    static const uint8_t BROKEN[] = {0xc1, 0xff};
    drover_outcome *outcome = outcome_of(NULL, BROKEN, sizeof(BROKEN));
    assert_int_equal(drover_value_get_type(drover_outcome_value(outcome)), DROVER_VALUE_RAW);
    drover_outcome_destroy(&outcome);
}

/* Memory of an outcome is used again, and outcomes may be kept when their pool is let go. */
static void test_outcome_pool_reuses_and_is_outlived(void **state)
{
    struct drv_outcome_pool *pool = NULL;
    assert_ok(drv_outcome_pool_new(&pool));
    drover_outcome *first = outcome_of(pool, TEXT, sizeof(TEXT));
    uintptr_t where = (uintptr_t)first;
    drover_outcome_destroy(&first);
    drover_outcome *again = outcome_of(pool, TEXT, sizeof(TEXT));
    assert_true((uintptr_t)again == where);
    drover_outcome *kept = outcome_of(pool, TEXT, sizeof(TEXT));
    drover_outcome_destroy(&again);
    drv_outcome_pool_release(&pool);
    assert_null(pool);
    expect_text(drover_outcome_value(kept));
    drover_outcome_destroy(&kept);
}

struct hand {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    drover_outcome *batch[BATCH]; /* empty when the first is NULL */
    bool is_over;
};

static void *destroy_all(void *context)
{
    struct hand *hand = context;
    (void)pthread_mutex_lock(&hand->mutex);
    for (;;) {
        while (hand->batch[0] == NULL && !hand->is_over) {
            (void)pthread_cond_wait(&hand->changed, &hand->mutex);
        }
        if (hand->batch[0] == NULL) {
            break;
        }
        drover_outcome *batch[BATCH];
        memcpy(batch, hand->batch, sizeof(batch));
        hand->batch[0] = NULL;
        (void)pthread_cond_signal(&hand->changed);
        (void)pthread_mutex_unlock(&hand->mutex);
        for (size_t i = 0; i < BATCH; i++) {
            drover_outcome_destroy(&batch[i]);
        }
        (void)pthread_mutex_lock(&hand->mutex);
    }
    (void)pthread_mutex_unlock(&hand->mutex);
    return NULL;
}

/* One thread makes outcomes while another one destroys those before. */
static void test_outcome_pool_is_given_back_to_by_other_threads(void **state)
{
    struct drv_outcome_pool *pool = NULL;
    struct hand hand = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    assert_ok(drv_outcome_pool_new(&pool));
    assert_int_equal(pthread_create(&thread, NULL, destroy_all, &hand), 0);
    for (int round = 0; round < ROUNDS; round++) {
        drover_outcome *batch[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            batch[i] = outcome_of(pool, TEXT, sizeof(TEXT));
            expect_text(drover_outcome_value(batch[i]));
        }
        (void)pthread_mutex_lock(&hand.mutex);
        while (hand.batch[0] != NULL) {
            (void)pthread_cond_wait(&hand.changed, &hand.mutex);
        }
        memcpy(hand.batch, batch, sizeof(batch));
        (void)pthread_cond_signal(&hand.changed);
        (void)pthread_mutex_unlock(&hand.mutex);
    }
    (void)pthread_mutex_lock(&hand.mutex);
    hand.is_over = true;
    (void)pthread_cond_signal(&hand.changed);
    (void)pthread_mutex_unlock(&hand.mutex);
    assert_int_equal(pthread_join(thread, NULL), 0);
    drv_outcome_pool_release(&pool);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_outcome_holds_a_short_value),
    cmocka_unit_test(test_outcome_holds_value_and_error),
    cmocka_unit_test(test_outcome_value_taken_outlives_the_outcome),
    cmocka_unit_test(test_outcome_of_broken_msgpack_is_raw),
    cmocka_unit_test(test_outcome_pool_reuses_and_is_outlived),
    cmocka_unit_test(test_outcome_pool_is_given_back_to_by_other_threads),
};

TEST_MAIN(tests)
