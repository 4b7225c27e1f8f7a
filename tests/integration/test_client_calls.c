/* The client library against a real broker and worker: calls about single tasks. */
#include "programs.h"
#include "test.h"

#include <drover/client.h>

#include <signal.h>

#define SOON 20000

struct story {
    struct test_fleet fleet;
    drover_client *client;
};

static int setup(void **state)
{
    static struct story story;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    test_fleet_start(&story.fleet, 1, "4");
    options.connect_timeout_ms = (uint64_t)test_deadline_ms(SOON);
    assert_ok(drover_client_open(story.fleet.endpoint, &options, &story.client));
    *state = &story;
    return 0;
}

static int teardown(void **state)
{
    struct story *story = *state;
    drover_client_close(&story->client);
    assert_null(story->client);
    test_fleet_stop(&story->fleet);
    return 0;
}

static drover_value *integer(int64_t number)
{
    drover_value *value = NULL;
    assert_ok(drover_value_new_int(number, &value));
    return value;
}

static int64_t number_of(const drover_value *value)
{
    int64_t number = INT64_MIN;
    assert_ok(drover_value_get_int(value, &number));
    return number;
}

static drover_id submit_sleep(drover_client *client, int64_t ms)
{
    drover_id id;
    drover_value *in = integer(ms);
    assert_ok(drover_submit(client, "sleep", in, NULL, &id));
    drover_value_destroy(&in);
    return id;
}

/* The first thing everybody tries. */
static void test_call_returns_result(void **state)
{
    struct story *story = *state;
    drover_value *in = integer(5);
    drover_value *out = NULL;
    assert_ok(drover_call(story->client, "square", in, SOON, &out));
    assert_int_equal(number_of(out), 25);
    assert_true(drover_client_is_connected(story->client));
    drover_value_destroy(&in);
    drover_value_destroy(&out);
}

/* A failed task: status, and kind, code and text in words. */
static void test_call_failure_tells_error(void **state)
{
    struct story *story = *state;
    drover_value *in = NULL;
    drover_value *out = NULL;
    drover_outcome *outcome = NULL;
    char text[256];
    assert_ok(drover_value_new_text("no milk today", &in));
    assert_int_equal(drover_call(story->client, "fail", in, SOON, &out), DROVER_FAILED);
    assert_null(out);
    drover_client_error_text(story->client, text, sizeof(text));
    assert_non_null(strstr(text, "no milk today"));
    assert_ok(drover_call_outcome(story->client, "fail", in, NULL, SOON, &outcome));
    assert_int_equal(drover_outcome_state(outcome), DROVER_STATE_FAILED);
    assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_HANDLER);
    assert_string_equal(drover_outcome_error_text(outcome), "no milk today");
    assert_int_equal(drover_outcome_attempt(outcome), 1);
    drover_outcome_destroy(&outcome);
    drover_value_destroy(&in);
}

/* A crash has its signal and the last words. */
static void test_call_crash_tells_signal(void **state)
{
    struct story *story = *state;
    drover_outcome *outcome = NULL;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    assert_ok(drover_call_outcome(story->client, "crash", NULL, &options, SOON, &outcome));
    assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_CRASH);
    assert_int_equal(drover_outcome_signal(outcome), SIGSEGV);
    const void *bytes = NULL;
    size_t len = 0;
    drover_outcome_stderr(outcome, &bytes, &len);
    assert_true(len > 0);
    drover_outcome_destroy(&outcome);
}

/* A run-time limit ends the attempt with the kind `timeout`. */
static void test_call_over_its_limit_is_timeout(void **state)
{
    struct story *story = *state;
    drover_outcome *outcome = NULL;
    drover_value *in = integer(60000);
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    options.timeout_ms = 100;
    assert_ok(drover_call_outcome(story->client, "sleep", in, &options, SOON, &outcome));
    assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_TIMEOUT);
    drover_outcome_destroy(&outcome);
    drover_value_destroy(&in);
}

/* The caller's time is over, the task goes on, can be looked up and cancelled. */
static void test_wait_timeout_leaves_task_running(void **state)
{
    struct story *story = *state;
    drover_state ended = (drover_state)0;
    drover_outcome *outcome = NULL;
    drover_id id = submit_sleep(story->client, 60000);
    assert_int_equal(drover_wait(story->client, &id, DROVER_INDEX_NONE, 50, NULL),
                     DROVER_TIMEOUT);
    assert_int_equal(drover_result(story->client, &id, DROVER_INDEX_NONE, 0, &outcome),
                     DROVER_TIMEOUT);
    assert_null(outcome);
    assert_ok(drover_cancel(story->client, &id, DROVER_INDEX_NONE, "enough", SOON, &ended));
    assert_int_equal(ended, DROVER_STATE_CANCELLED);
    assert_ok(drover_result(story->client, &id, DROVER_INDEX_NONE, 0, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_CANCELLED);
    drover_outcome_destroy(&outcome);
}

/* A result can be fetched as often as one likes, until it is forgotten. */
static void test_result_stays_until_forgotten(void **state)
{
    struct story *story = *state;
    drover_id id;
    drover_outcome *outcome = NULL;
    drover_value *in = integer(7);
    assert_ok(drover_submit(story->client, "square", in, NULL, &id));
    for (int i = 0; i < 3; i++) {
        assert_ok(drover_result(story->client, &id, DROVER_INDEX_NONE, SOON, &outcome));
        assert_int_equal(number_of(drover_outcome_value(outcome)), 49);
        drover_outcome_destroy(&outcome);
    }
    assert_ok(drover_forget(story->client, &id, DROVER_INDEX_NONE, SOON));
    assert_int_equal(drover_result(story->client, &id, DROVER_INDEX_NONE, SOON, &outcome),
                     DROVER_UNKNOWN);
    assert_int_equal(drover_result(story->client, &id, DROVER_INDEX_NONE, 0, &outcome),
                     DROVER_UNKNOWN);
    drover_value_destroy(&in);
}

/* Waiting for many. */
static void test_wait_all_waits_for_the_last(void **state)
{
    struct story *story = *state;
    enum { COUNT = 6 };
    drover_task_ref tasks[COUNT];
    drover_state states[COUNT];
    for (int i = 0; i < COUNT; i++) {
        tasks[i].id = submit_sleep(story->client, i * 20);
        tasks[i].index = DROVER_INDEX_NONE;
    }
    assert_ok(drover_wait_all(story->client, tasks, COUNT, SOON, states));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(states[i], DROVER_STATE_SUCCEEDED);
    }
    tasks[2].id = submit_sleep(story->client, 60000);
    assert_ok(drover_id_new(&tasks[3].id));
    assert_int_equal(drover_wait_all(story->client, tasks, COUNT, 100, states), DROVER_TIMEOUT);
    assert_int_equal(states[2], 0);
    assert_int_equal(states[5], DROVER_STATE_SUCCEEDED);
    assert_ok(drover_cancel(story->client, &tasks[2].id, DROVER_INDEX_NONE, NULL, SOON, NULL));
    assert_int_equal(drover_wait_all(story->client, tasks, COUNT, SOON, states),
                     DROVER_UNKNOWN);
    assert_int_equal(states[2], DROVER_STATE_CANCELLED);
    assert_int_equal(states[3], 0);
}

/* The same submit twice is one task; other content under the same id is a conflict. */
static void test_submit_same_id_is_same_task(void **state)
{
    struct story *story = *state;
    drover_id id;
    drover_value *in = integer(3);
    drover_value *other = integer(4);
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    assert_ok(drover_id_new(&id));
    options.id = &id;
    assert_ok(drover_submit(story->client, "square", in, &options, NULL));
    assert_ok(drover_submit(story->client, "square", in, &options, NULL));
    assert_int_equal(drover_submit(story->client, "square", other, &options, NULL),
                     DROVER_CONFLICT);
    drover_value_destroy(&in);
    drover_value_destroy(&other);
}

/* What the store cannot give, and with `strict` a type that nobody offers, is refused. */
static void test_submit_impossible_is_refused(void **state)
{
    struct story *story = *state;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    char text[256];
    options.durability = DROVER_DURABILITY_SYNCED;
    assert_int_equal(drover_submit(story->client, "noop", NULL, &options, NULL),
                     DROVER_REFUSED);
    options.durability = DROVER_DURABILITY_DEFAULT;
    options.strict = true;
    assert_int_equal(drover_submit(story->client, "nobody", NULL, &options, NULL),
                     DROVER_REFUSED);
    drover_client_error_text(story->client, text, sizeof(text));
    assert_int_not_equal(text[0], '\0');
    assert_int_equal(drover_submit(story->client, "no name", NULL, NULL, NULL), DROVER_INVALID);
}

/* A full queue: an error at once, or waiting until there is room. */
static void test_submit_busy_waits_as_asked(void **state)
{
    struct story *story = *state;
    drover_queue_settings settings = DROVER_QUEUE_SETTINGS_INIT;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    options.queue = "small";
    settings.max_count = 2;
    assert_ok(drover_queue_set(story->client, "small", &settings, SOON));
    assert_ok(drover_queue_pause(story->client, "small", SOON));
    assert_ok(drover_submit(story->client, "noop", NULL, &options, NULL));
    assert_ok(drover_submit(story->client, "noop", NULL, &options, NULL));
    options.wait_ms = 0;
    assert_int_equal(drover_submit(story->client, "noop", NULL, &options, NULL), DROVER_BUSY);
    options.wait_ms = 200;
    assert_int_equal(drover_submit(story->client, "noop", NULL, &options, NULL), DROVER_BUSY);
    drover_future *future = NULL;
    options.wait_ms = DROVER_FOREVER;
    assert_ok(drover_submit_future(story->client, "noop", NULL, &options, &future));
    assert_int_equal(drover_future_wait(future, 50), DROVER_TIMEOUT);
    assert_ok(drover_queue_resume(story->client, "small", SOON));
    assert_ok(drover_future_wait(future, SOON));
    drover_future_destroy(&future);
}

/* Payloads and results of many megabytes. */
static void test_call_large_values(void **state)
{
    struct story *story = *state;
    enum { LARGE = 9 * 1024 * 1024 + 17 };
    uint8_t *bytes = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 12));
    }
    drover_value *in = NULL;
    drover_value *out = NULL;
    const void *back = NULL;
    size_t len = 0;
    assert_ok(drover_value_new_raw(bytes, LARGE, "image/png", &in));
    assert_ok(drover_call(story->client, "echo", in, SOON, &out));
    assert_ok(drover_value_get_binary(out, &back, &len));
    assert_int_equal(len, LARGE);
    assert_memory_equal(back, bytes, LARGE);
    assert_string_equal(drover_value_content_type(out), "image/png");
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    free(bytes);
}

/* A failed task can be submitted again, one that succeeded or runs cannot. */
static void test_retry_makes_a_new_task(void **state)
{
    struct story *story = *state;
    drover_id id;
    drover_id again;
    drover_outcome *outcome = NULL;
    drover_value *in = NULL;
    assert_ok(drover_value_new_text("x", &in));
    assert_ok(drover_submit(story->client, "fail", in, NULL, &id));
    assert_ok(drover_wait(story->client, &id, DROVER_INDEX_NONE, SOON, NULL));
    assert_ok(drover_retry(story->client, &id, DROVER_INDEX_NONE, SOON, &again));
    assert_false(drover_id_equal(&id, &again));
    assert_ok(drover_result(story->client, &again, DROVER_INDEX_NONE, SOON, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_FAILED);
    drover_outcome_destroy(&outcome);
    id = submit_sleep(story->client, 60000);
    assert_int_equal(drover_retry(story->client, &id, DROVER_INDEX_NONE, SOON, &again),
                     DROVER_NOT_READY);
    assert_ok(drover_cancel(story->client, &id, DROVER_INDEX_NONE, NULL, SOON, NULL));
    assert_ok(drover_id_new(&id));
    assert_int_equal(drover_retry(story->client, &id, DROVER_INDEX_NONE, SOON, &again),
                     DROVER_UNKNOWN);
    drover_value_destroy(&in);
}

/* Shared data: versions, compare and set, numbers, deletion, listing. */
static void test_kv_holds_values(void **state)
{
    struct story *story = *state;
    drover_client *client = story->client;
    drover_value *one = integer(1);
    drover_value *got = NULL;
    uint64_t first = 0;
    uint64_t second = 0;
    int64_t sum = 0;
    assert_int_equal(drover_kv_get(client, "k", SOON, &got, NULL), DROVER_UNKNOWN);
    assert_ok(drover_kv_set(client, "k", one, 0, SOON, &first));
    assert_ok(drover_kv_increment(client, "k", 41, 0, SOON, &sum));
    assert_int_equal(sum, 42);
    assert_ok(drover_kv_get(client, "k", SOON, &got, &second));
    assert_int_equal(number_of(got), 42);
    assert_true(second > first);
    drover_value_destroy(&got);
    assert_int_equal(drover_kv_compare_and_set(client, "k", first, one, 0, SOON, &first),
                     DROVER_CONFLICT);
    assert_int_equal(first, second);
    assert_ok(drover_kv_compare_and_set(client, "k", second, one, 0, SOON, &first));
    assert_int_equal(drover_kv_compare_and_set(client, "k", 0, one, 0, SOON, NULL),
                     DROVER_CONFLICT);
    assert_ok(drover_kv_list(client, "k", 0, NULL, SOON, &got));
    drover_value *entries = NULL;
    assert_ok(drover_value_map_get(got, "entries", &entries));
    assert_int_equal(drover_value_count(entries), 1);
    assert_ok(drover_kv_delete(client, "k", SOON));
    assert_int_equal(drover_kv_delete(client, "k", SOON), DROVER_UNKNOWN);
    assert_int_equal(drover_kv_set(client, "", one, 0, SOON, NULL), DROVER_INVALID);
    drover_value_destroy(&entries);
    drover_value_destroy(&got);
    drover_value_destroy(&one);
}

static void expect_key(const drover_value *document, const char *key)
{
    drover_value *item = NULL;
    if (drover_value_map_get(document, key, &item) != DROVER_OK) {
        fail_msg("the document has no %s", key);
    }
    drover_value_destroy(&item);
}

/* The documents have what they promise. */
static void test_documents_have_their_keys(void **state)
{
    struct story *story = *state;
    drover_client *client = story->client;
    drover_value *document = NULL;
    drover_id id = submit_sleep(client, 60000);
    static const char *const STATUS[] = {"broker", "tasks", "queues", "workers", "types"};
    assert_ok(drover_status_get(client, SOON, &document));
    for (size_t i = 0; i < sizeof(STATUS) / sizeof(STATUS[0]); i++) {
        expect_key(document, STATUS[i]);
    }
    drover_value_destroy(&document);
    assert_ok(drover_task_show(client, &id, DROVER_INDEX_NONE, SOON, &document));
    expect_key(document, "state");
    expect_key(document, "type");
    drover_value_destroy(&document);
    assert_ok(drover_task_why(client, &id, DROVER_INDEX_NONE, SOON, &document));
    expect_key(document, "reason");
    drover_value_destroy(&document);
    assert_ok(drover_queue_list(client, SOON, &document));
    expect_key(document, "queues");
    drover_value_destroy(&document);
    assert_ok(drover_worker_list(client, 0, NULL, SOON, &document));
    expect_key(document, "workers");
    drover_value_destroy(&document);
    assert_int_equal(drover_worker_show(client, "nobody", SOON, &document), DROVER_UNKNOWN);
    assert_int_equal(drover_queue_pause(client, "two words", SOON), DROVER_INVALID);
    assert_ok(drover_cancel(client, &id, DROVER_INDEX_NONE, NULL, SOON, NULL));
}

/* A long list comes in pages, every task once. */
static void test_task_list_comes_in_pages(void **state)
{
    struct story *story = *state;
    enum { COUNT = 25 };
    drover_client *client = story->client;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    drover_task_filter filter = DROVER_TASK_FILTER_INIT;
    drover_cursor cursor = DROVER_CURSOR_INIT;
    const drover_value *items[COUNT] = {NULL};
    drover_receipt receipts[COUNT];
    size_t rows = 0;
    options.queue = "listed";
    assert_ok(drover_queue_pause(client, "listed", SOON));
    assert_ok(drover_submit_all(client, "noop", items, COUNT, &options, receipts));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(receipts[i].status, DROVER_OK);
        assert_int_equal(receipts[i].level, DROVER_DURABILITY_MEMORY);
    }
    filter.queue = "listed";
    filter.limit = 10;
    do {
        drover_value *document = NULL;
        drover_value *tasks = NULL;
        assert_ok(drover_task_list(client, &filter, &cursor, SOON, &document));
        assert_ok(drover_value_map_get(document, "tasks", &tasks));
        assert_true(drover_value_count(tasks) <= 10);
        rows += drover_value_count(tasks);
        drover_value_destroy(&tasks);
        drover_value_destroy(&document);
    } while (cursor.len > 0);
    assert_int_equal(rows, COUNT);
    uint64_t purged = 0;
    assert_ok(drover_queue_purge(client, "listed", SOON, &purged));
    assert_int_equal(purged, COUNT);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_call_returns_result),
    cmocka_unit_test(test_call_failure_tells_error),
    cmocka_unit_test(test_call_crash_tells_signal),
    cmocka_unit_test(test_call_over_its_limit_is_timeout),
    cmocka_unit_test(test_wait_timeout_leaves_task_running),
    cmocka_unit_test(test_result_stays_until_forgotten),
    cmocka_unit_test(test_wait_all_waits_for_the_last),
    cmocka_unit_test(test_submit_same_id_is_same_task),
    cmocka_unit_test(test_submit_impossible_is_refused),
    cmocka_unit_test(test_submit_busy_waits_as_asked),
    cmocka_unit_test(test_call_large_values),
    cmocka_unit_test(test_retry_makes_a_new_task),
    cmocka_unit_test(test_kv_holds_values),
    cmocka_unit_test(test_documents_have_their_keys),
    cmocka_unit_test(test_task_list_comes_in_pages),
};

int main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
