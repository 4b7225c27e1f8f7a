/* core/admit.h: what a client may have at a time, with keys and without, and after a restart.
 */
#include "array_story.h"
#include "restore_story.h"

enum { CLIENT = 1, WORKER, OTHER };

static void begin(struct bench *bench)
{
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, CLIENT);
    client(bench, OTHER);
}

/* Submits `count` tasks with 4 bytes each and gives how many were refused as busy, the first of
 * them for a reason that names the option. */
static uint32_t refused_of(struct bench *bench, uint32_t peer, uint32_t first, uint32_t count,
                           const char *option)
{
    struct drv_spec spec = spec_of("work");
    submit_many(bench, peer, &spec, first, count, "four");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, peer);
    for (size_t i = 0; i < answer->note_count; i++) {
        assert_int_equal(answer->notes[i].code, DROVER_BUSY);
        assert_true(answer->notes[i].retry_after_ms > 0);
    }
    if (answer->note_count > 0) {
        char said[128];
        struct drv_str why = answer->notes[0].text;
        snprintf(said, sizeof said, "%.*s", (int)why.len, why.ptr);
        assert_non_null(strstr(said, option));
    }
    return (uint32_t)answer->note_count;
}

static void graph(struct bench *bench, uint32_t first, uint32_t count)
{
    struct drv_entry entries[64];
    struct drv_submit_group group = {
        .spec = spec_of("work"), .entries = entries, .entry_count = count};
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct drv_entry){.id = id_of(first + i), .val = val_of("x")};
    }
    struct drv_message message = request(bench, CLIENT, DRV_GRAPH);
    message.submit.groups = &group;
    message.submit.group_count = 1;
    speak(bench, CLIENT, &message);
    bench_turn(bench);
}

/* Each client has as much as any other, what ends makes room, and the reason names the option.
 */
static void test_limit_of_unfinished_tasks(void **state)
{
    struct bench *bench = *state;
    bench->config.client_tasks_max = 3;
    begin(bench);
    assert_int_equal(refused_of(bench, CLIENT, 100, 5, "--max-client-tasks"), 2);
    assert_int_equal(refused_of(bench, OTHER, 200, 3, ""), 0);
    cancel(bench, CLIENT, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    assert_int_equal(refused_of(bench, CLIENT, 110, 2, "--max-client-tasks"), 1);
}

/* Elements count, within one message, too, and so do their bytes. */
static void test_limits_count_elements(void **state)
{
    struct bench *bench = *state;
    bench->config.client_tasks_max = 3;
    bench->config.client_bytes_max = 10;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    array_opened(bench, CLIENT, &spec, 100);
    array_items(bench, CLIENT, 100, 0, 5, "x");
    assert_int_equal(reply(bench, CLIENT)->note_count, 2);
    array_opened(bench, OTHER, &spec, 200);
    array_items(bench, OTHER, 200, 0, 1, "four");
    expect_ok(bench, OTHER);
    array_items(bench, OTHER, 200, 1, 2, "four");
    assert_int_equal(reply(bench, OTHER)->note_count, 1);
}

/* Unfinished bytes; one task may always be there. */
static void test_limit_of_unfinished_bytes(void **state)
{
    struct bench *bench = *state;
    bench->config.client_bytes_max = 3;
    begin(bench);
    assert_int_equal(refused_of(bench, CLIENT, 100, 2, "--max-client-size"), 1);
}

/* As many as a second brings at once, then no faster than that. */
static void test_limit_of_rate_opens_with_time(void **state)
{
    struct bench *bench = *state;
    bench->config.client_rate = 10;
    begin(bench);
    assert_int_equal(refused_of(bench, CLIENT, 100, 20, "--max-client-rate"), 10);
    assert_int_equal(refused_of(bench, CLIENT, 120, 1, "--max-client-rate"), 1);
    assert_int_equal(refused_of(bench, OTHER, 200, 10, ""), 0);
    bench_pass(bench, 500 * MS);
    assert_int_equal(refused_of(bench, CLIENT, 130, 20, "--max-client-rate"), 15);
    bench_pass(bench, 10 * SECOND);
    assert_int_equal(refused_of(bench, CLIENT, 150, 20, "--max-client-rate"), 10);
}

/* A graph counts once for each of its tasks; one that is larger than a second's tasks gets in
 * when nothing has come for a while, and keeps others out until the time for it is over. */
static void test_rate_takes_a_graph_whole(void **state)
{
    struct bench *bench = *state;
    bench->config.client_rate = 10;
    begin(bench);
    graph(bench, 100, 5);
    expect_ok(bench, CLIENT);
    assert_int_equal(refused_of(bench, CLIENT, 110, 6, "--max-client-rate"), 1);
    bench_pass(bench, 2 * SECOND);
    graph(bench, 200, 30);
    expect_ok(bench, CLIENT);
    bench_pass(bench, 1900 * MS);
    assert_int_equal(refused_of(bench, CLIENT, 120, 1, "--max-client-rate"), 1);
    bench_pass(bench, 300 * MS);
    assert_int_equal(refused_of(bench, CLIENT, 130, 1, ""), 0);
}

/* What could not be taken whole however long it waits is told so. */
static void test_graph_beyond_the_limit_is_refused_for_good(void **state)
{
    struct bench *bench = *state;
    bench->config.client_tasks_max = 3;
    begin(bench);
    graph(bench, 100, 4);
    const struct drv_reply *answer = reply(bench, CLIENT);
    assert_int_equal(answer->note_count, 4);
    assert_int_equal(answer->notes[0].code, DROVER_LIMIT);
    graph(bench, 100, 3);
    expect_ok(bench, CLIENT);
}

static void retry(struct bench *bench, uint32_t number, uint32_t new_number)
{
    struct drv_target target = {
        .id = id_of(number), .index = DROVER_INDEX_NONE, .new_id = id_of(new_number)};
    struct drv_message message = request(bench, CLIENT, DRV_RETRY);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, CLIENT, &message);
    bench_turn(bench);
}

static uint32_t retried(struct bench *bench, uint32_t number, uint32_t new_number)
{
    retry(bench, number, new_number);
    const struct drv_reply *answer = reply(bench, CLIENT);
    return answer->note_count == 0 ? DROVER_OK : answer->notes[0].code;
}

/* The elements of an array that is run again must find room together, and come at once. */
static void test_limits_count_an_array_that_is_run_again(void **state)
{
    struct bench *bench = *state;
    bench->config.client_tasks_max = 5;
    bench->config.client_rate = 4;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    array_of(bench, CLIENT, &spec, 100, 3);
    cancel(bench, CLIENT, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    assert_int_equal(retried(bench, 100, 200), DROVER_BUSY); /* the rate */
    bench_pass(bench, SECOND);
    assert_int_equal(retried(bench, 100, 200), DROVER_OK);
    bench_pass(bench, SECOND);
    assert_int_equal(retried(bench, 100, 300), DROVER_BUSY); /* the tasks */
    cancel(bench, CLIENT, 200);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    assert_int_equal(retried(bench, 100, 300), DROVER_OK);
}

/* Keys of tasks count as long as they are kept; the same one again is no further one. */
static void test_limit_of_keys(void **state)
{
    struct bench *bench = *state;
    bench->config.client_keys_max = 1;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    spec.key = text("k1");
    spec.key_window_ms = 60000;
    submit(bench, CLIENT, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    struct drv_spec next = spec_of("work");
    next.key = text("k2");
    submit(bench, CLIENT, &next, 101);
    bench_turn(bench);
    assert_int_equal(reply(bench, CLIENT)->notes[0].code, DROVER_BUSY);
    submit(bench, OTHER, &next, 102);
    bench_turn(bench);
    expect_ok(bench, OTHER);
    cancel(bench, CLIENT, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    targets_request(bench, CLIENT, DRV_FORGET, 100, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    next.key = text("k3");
    submit(bench, CLIENT, &next, 103); /* the window is not over */
    bench_turn(bench);
    assert_int_equal(reply(bench, CLIENT)->notes[0].code, DROVER_BUSY);
    bench_pass(bench, 61 * SECOND);
    submit(bench, CLIENT, &next, 103);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    cancel(bench, CLIENT, 103);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    submit(bench, CLIENT, &next, 104); /* the same key again */
    bench_turn(bench);
    expect_ok(bench, CLIENT);
}

/* A key that another client's task gets is counted there. */
static void test_key_counts_for_who_had_it_last(void **state)
{
    struct bench *bench = *state;
    bench->config.client_keys_max = 1;
    begin(bench);
    struct drv_spec first = spec_of("work"), second = spec_of("work");
    first.key = text("k1");
    second.key = text("k2");
    submit(bench, CLIENT, &first, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    cancel(bench, CLIENT, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    submit(bench, OTHER, &first, 200);
    bench_turn(bench);
    expect_ok(bench, OTHER);
    submit(bench, CLIENT, &second, 101);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    second.key = text("k3");
    submit(bench, OTHER, &second, 201);
    bench_turn(bench);
    assert_int_equal(reply(bench, OTHER)->notes[0].code, DROVER_BUSY);
}

/* What a client has is counted again after a restart. */
static void test_limits_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    bench->config.client_tasks_max = 3;
    bench->config.client_keys_max = 1;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    spec.key = text("k1");
    submit(bench, CLIENT, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, CLIENT);
    assert_int_equal(refused_of(bench, CLIENT, 110, 1, ""), 0);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, CLIENT, 9000 + CLIENT, true);
    assert_true(welcomed(bench, CLIENT)->resumed);
    bench->boxes[CLIENT].req = 10;
    spec.key = text("k2");
    submit(bench, CLIENT, &spec, 101);
    bench_turn(bench);
    assert_int_equal(reply(bench, CLIENT)->notes[0].code, DROVER_BUSY);
    assert_int_equal(refused_of(bench, CLIENT, 120, 2, "--max-client-tasks"), 1);
}

/* Without a limit there is none. */
static void test_clients_are_not_limited_by_default(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    assert_int_equal(refused_of(bench, CLIENT, 100, 64, ""), 0);
    assert_true(bench->config.client_tasks_max == UINT64_MAX);
    assert_true(bench->config.client_rate == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_limit_of_unfinished_tasks),
        BENCH_TEST(test_limits_count_elements),
        BENCH_TEST(test_limit_of_unfinished_bytes),
        BENCH_TEST(test_limit_of_rate_opens_with_time),
        BENCH_TEST(test_rate_takes_a_graph_whole),
        BENCH_TEST(test_graph_beyond_the_limit_is_refused_for_good),
        BENCH_TEST(test_limits_count_an_array_that_is_run_again),
        BENCH_TEST(test_limit_of_keys),
        BENCH_TEST(test_key_counts_for_who_had_it_last),
        DURABLE_TEST(test_limits_survive_a_restart),
        BENCH_TEST(test_clients_are_not_limited_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
