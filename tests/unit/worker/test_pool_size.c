/*
 * How many executors there are, and for how long: recycling by tasks and memory, pools that
 * grow and shrink.
 */
#include "pool_fixture.h"

static void begin(struct fixture *fixture, uint64_t token, const char *type, const char *json)
{
    fixture_submit(fixture, token, type, json);
    FIXTURE_UNTIL(fixture, fixture->seen[token].progress_count);
}

static void abort_now(struct fixture *fixture, uint64_t token, uint64_t term_ms)
{
    assert_ok(pool_abort(fixture->pool, token, term_ms, 50, fixture_now_us()));
}

static size_t live_count(const struct fixture *fixture)
{
    size_t count = 0;
    for (size_t i = 0; i < pool_executor_count(fixture->pool); i++) {
        struct pool_executor_info info;
        pool_executor_at(fixture->pool, i, &info);
        count += info.pid != 0 && info.thread == 0 ? 1 : 0;
    }
    return count;
}

/* ---- recycling ----------------------------------------------------------------------------
 */

/* An executor is replaced after so many attempts, however they are placed. */
static void test_recycling_by_tasks(void **state)
{
    static const enum pool_model models[] = {POOL_MODEL_PREFORK, POOL_MODEL_THREAD};
    for (size_t i = 0; i < 2; i++) {
        struct pool_config config = {
            .slots = 2, .model = models[i], .threads = 2, .tasks_max = 5};
        struct fixture *fixture = fixture_new(&config);
        for (uint64_t token = 1; token <= 100; token++) {
            fixture_submit(fixture, token, "tally", NULL);
        }
        for (uint64_t token = 1; token <= 100; token++) {
            assert_true(fixture_number(fixture_finish(fixture, token)) <= 5);
        }
        struct pool_executor_info info;
        pool_executor_at(fixture->pool, 0, &info);
        assert_int_equal(info.crashes, 0);
        fixture_free(fixture);
    }
}

/* An executor that has grown is replaced when its attempt is over, and not before; one that has
 * given its memory back is kept. */
static void test_recycling_by_memory(void **state)
{
    struct pool_config config = {.slots = 1, .memory_max = (uint64_t)128 << 20};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "tally", NULL);
    fixture_submit(fixture, 2, "keep", "-150000000"); /* gives it back */
    fixture_submit(fixture, 3, "keep", "150000000");
    fixture_submit(fixture, 4, "tally", NULL);
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_SUCCEEDED);
    assert_int_equal(fixture_finish(fixture, 3)->outcome, POOL_SUCCEEDED);
    assert_int_equal(fixture->seen[1].usage.pid, fixture->seen[3].usage.pid);
    assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 1);
    assert_int_not_equal(fixture->seen[4].usage.pid, fixture->seen[3].usage.pid);
    fixture_free(fixture);
}

/* The same for one of several threads: its neighbours run to their end. */
static void test_recycling_by_memory_waits_for_neighbours(void **state)
{
    struct pool_config config = {.slots = 3,
                                 .model = POOL_MODEL_THREAD,
                                 .threads = 3,
                                 .memory_max = (uint64_t)128 << 20};
    struct fixture *fixture = fixture_new(&config);
    begin(fixture, 1, "hold", NULL);
    fixture_submit(fixture, 2, "keep", "150000000");
    (void)fixture_finish(fixture, 2);
    struct pids pids = {.count = 0};
    pids_open(&pids, fixture->seen[1].progress);
    fixture_submit(fixture, 3, "square", "3");
    FIXTURE_UNTIL(fixture, pool_waiting_count(fixture->pool) == 1); /* nobody takes it there */
    assert_false(pids_are_gone(&pids, 0));
    abort_now(fixture, 1, 100000);
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    assert_int_equal(fixture_number(fixture_finish(fixture, 3)), 9);
    assert_int_not_equal(fixture->seen[3].usage.pid, fixture->seen[2].usage.pid);
    pids_close(&pids);
    fixture_free(fixture);
}

/* ---- how many -----------------------------------------------------------------------------
 */

/* Executors come as they are needed, and go down to the minimum when they are idle. */
static void test_pool_grows_and_shrinks(void **state)
{
    struct pool_config config = {.slots = 4, .executors_min = 1, .idle_ms = 20};
    struct fixture *fixture = fixture_new(&config);
    FIXTURE_UNTIL(fixture, live_count(fixture) == 1);
    for (uint64_t token = 1; token <= 4; token++) {
        fixture_submit(fixture, token, "hold", NULL);
    }
    FIXTURE_UNTIL(fixture, fixture->seen[1].started && fixture->seen[2].started &&
                               fixture->seen[3].started && fixture->seen[4].started);
    assert_int_equal(live_count(fixture), 4);
    for (uint64_t token = 1; token <= 4; token++) {
        abort_now(fixture, token, 100000);
    }
    FIXTURE_UNTIL(fixture, live_count(fixture) == 1);
    for (size_t i = 0; i < pool_executor_count(fixture->pool); i++) {
        struct pool_executor_info info;
        pool_executor_at(fixture->pool, i, &info);
        assert_int_equal(info.crashes, 0);
    }
    fixture_free(fixture);
}

/* Without a time they stay, and with a minimum they are there from the start. */
static void test_pool_keeps_its_minimum(void **state)
{
    struct pool_config config = {.slots = 3, .executors_min = POOL_EXECUTORS_ALL, .idle_ms = 1};
    struct fixture *fixture = fixture_new(&config);
    FIXTURE_UNTIL(fixture, live_count(fixture) == 3);
    assert_int_equal(pool_deadline_us(fixture->pool), INT64_MAX); /* nothing is to be done */
    fixture_free(fixture);
}

/* An executor that runs something is not idle, however long it takes. */
static void test_pool_shrinks_around_what_runs(void **state)
{
    struct pool_config config = {.slots = 2, .idle_ms = 5};
    struct fixture *fixture = fixture_new(&config);
    begin(fixture, 1, "hold", NULL);
    fixture_submit(fixture, 2, "square", "3");
    (void)fixture_finish(fixture, 2);
    FIXTURE_UNTIL(fixture, live_count(fixture) == 1);
    assert_int_equal(fixture->seen[1].finished, 0);
    abort_now(fixture, 1, 100000);
    FIXTURE_UNTIL(fixture, live_count(fixture) == 0);
    assert_int_equal(fixture->seen[1].outcome, POOL_CANCELLED);
    fixture_free(fixture);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_recycling_by_tasks),
    cmocka_unit_test(test_recycling_by_memory),
    cmocka_unit_test(test_recycling_by_memory_waits_for_neighbours),
    cmocka_unit_test(test_pool_grows_and_shrinks),
    cmocka_unit_test(test_pool_keeps_its_minimum),
    cmocka_unit_test(test_pool_shrinks_around_what_runs),
};

TEST_MAIN(tests)
