/* test_journal_chain.c: the way of records from one thread to the other. */
#include "chain.h"
#include "rng.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

enum { ITEMS = 60000, LEN_MAX = 3000 };

/* What both sides expect of an item, from its number. */
static uint32_t len_of(uint64_t seed, uint64_t number)
{
    struct drv_rng rng;
    drv_rng_init(&rng, seed ^ number);
    return (uint32_t)(drv_rng_below(&rng, 500) == 0 ? 400000 : drv_rng_below(&rng, LEN_MAX));
}

static void push(struct chain *chain, uint64_t seed, uint64_t number, struct drv_data *data)
{
    uint8_t *bytes = NULL;
    const struct chain_item item = {.lsn = number,
                                    .kind = (uint16_t)number,
                                    .len = len_of(seed, number),
                                    .data = drv_data_ref(data)};
    assert_ok(chain_push(chain, &item, &bytes));
    memset(bytes, (int)(number & 0xffU), item.len);
}

static void check(const struct chain_item *item, uint64_t seed, uint64_t number)
{
    const uint8_t *bytes = chain_bytes(item);
    const uint8_t value = (uint8_t)(number & 0xffU);
    assert_int_equal(item->lsn, number);
    assert_int_equal(item->len, len_of(seed, number));
    assert_true(item->len == 0 || (bytes[0] == value && bytes[item->len - 1] == value));
}

/* Items come out as they went in, but not before they are published. */
static void test_chain_keeps_order_and_waits_for_publish(void **state)
{
    struct chain chain;
    assert_ok(chain_init(&chain));
    assert_null(chain_peek(&chain));
    for (uint64_t number = 1; number <= 10; number++) {
        push(&chain, 7, number, NULL);
        assert_null(chain_peek(&chain));
    }
    assert_true(chain_publish(&chain));
    assert_false(chain_publish(&chain));
    for (uint64_t number = 1; number <= 10; number++) {
        check(chain_peek(&chain), 7, number);
        chain_pop(&chain);
    }
    assert_null(chain_peek(&chain));
    assert_int_equal(chain_len(&chain), 0);
    chain_fini(&chain);
}

/* What a rush has left for reuse goes, a half at a time. */
static void test_chain_gives_up_what_a_rush_has_left(void **state)
{
    enum { RUSH = 4000 };
    struct chain chain;
    assert_ok(chain_init(&chain));
    for (uint64_t number = 1; number <= RUSH; number++) {
        push(&chain, 7, number, NULL);
    }
    assert_true(chain_publish(&chain));
    assert_int_equal(chain_trim(&chain), 0); /* all are in use */
    for (uint64_t number = 1; number <= RUSH; number++) {
        check(chain_peek(&chain), 7, number);
        chain_pop(&chain);
    }
    size_t left = chain_trim(&chain);
    assert_in_range(left, 5, 64);
    for (size_t i = 0; i < 7; i++) {
        size_t now = chain_trim(&chain);
        assert_int_equal(now, left / 2);
        left = now;
    }
    assert_int_equal(left, 0);
    push(&chain, 7, RUSH + 1, NULL); /* it goes on */
    assert_true(chain_publish(&chain));
    check(chain_peek(&chain), 7, RUSH + 1);
    chain_pop(&chain);
    chain_fini(&chain);
}

/* Data goes by reference: one while it is on its way, none when it was taken or thrown away. */
static void test_chain_gives_references_back(void **state)
{
    struct chain chain;
    struct drv_data *data = NULL;
    assert_ok(drv_data_new(100000, &data));
    assert_ok(chain_init(&chain));
    push(&chain, 1, 1, data);
    push(&chain, 1, 2, data);
    assert_int_equal(atomic_load(&data->references), 3);
    assert_true(chain_len(&chain) > 200000);
    (void)chain_publish(&chain);
    chain_pop(&chain);
    assert_int_equal(atomic_load(&data->references), 2);
    chain_fini(&chain);
    assert_int_equal(atomic_load(&data->references), 1);
    drv_data_unref(&data);
}

struct both {
    struct chain chain;
    uint64_t seed;
};

static void *consume(void *argument)
{
    struct both *both = argument;
    for (uint64_t number = 1; number <= ITEMS;) {
        const struct chain_item *item = chain_peek(&both->chain);
        if (item == NULL) {
            (void)sched_yield();
            continue;
        }
        check(item, both->seed, number++);
        chain_pop(&both->chain);
    }
    return NULL;
}

/* Two threads at full speed; blocks are used again and again. */
static void test_chain_two_threads(void **state)
{
    struct both both = {.seed = test_seed()};
    pthread_t thread;
    assert_ok(chain_init(&both.chain));
    assert_int_equal(pthread_create(&thread, NULL, consume, &both), 0);
    for (uint64_t number = 1; number <= ITEMS; number++) {
        push(&both.chain, both.seed, number, NULL);
        if (number % 7 == 0 || number == ITEMS) {
            (void)chain_publish(&both.chain);
        }
        while (chain_len(&both.chain) > (uint64_t)4 * 1024 * 1024) {
            (void)sched_yield();
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(chain_len(&both.chain), 0);
    chain_fini(&both.chain);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_chain_keeps_order_and_waits_for_publish),
    cmocka_unit_test(test_chain_gives_up_what_a_rush_has_left),
    cmocka_unit_test(test_chain_gives_references_back),
    cmocka_unit_test(test_chain_two_threads),
};

TEST_MAIN(tests)
