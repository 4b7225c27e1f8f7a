/* The client library against a real broker and workers: futures, callbacks, completions, maps.
 */
#include "programs.h"
#include "test.h"

#include <drover/client.h>

#include <pthread.h>
#include <stdatomic.h>

#define SOON 30000

struct story {
    struct test_fleet fleet;
    drover_client *client;
};

static int setup(void **state)
{
    static struct story story;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    test_fleet_start(&story.fleet, 2, "2");
    options.connect_timeout_ms = (uint64_t)test_deadline_ms(SOON);
    assert_ok(drover_client_open(story.fleet.endpoint, &options, &story.client));
    *state = &story;
    return 0;
}

static int teardown(void **state)
{
    struct story *story = *state;
    drover_client_close(&story->client);
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

/* ---- futures and callbacks --------------------------------------------------------------- */

/* Many futures at once, read in the order of submission. */
static void test_futures_bring_their_results(void **state)
{
    struct story *story = *state;
    enum { COUNT = 3000 };
    drover_future **futures = calloc(COUNT, sizeof(drover_future *));
    for (int i = 0; i < COUNT; i++) {
        drover_value *in = integer(i);
        assert_ok(drover_submit_future(story->client, "square", in, NULL, &futures[i]));
        drover_value_destroy(&in);
    }
    for (int i = 0; i < COUNT; i++) {
        drover_value *out = NULL;
        assert_ok(drover_future_result(futures[i], SOON, &out));
        assert_true(drover_future_is_done(futures[i]));
        assert_int_equal(number_of(out), (int64_t)i * i);
        drover_value_destroy(&out);
        drover_future_destroy(&futures[i]);
    }
    free(futures);
}

/* A future of a task that was submitted by someone else; and of one that does not exist. */
static void test_future_of_known_task(void **state)
{
    struct story *story = *state;
    drover_id id;
    drover_future *future = NULL;
    const drover_outcome *outcome = NULL;
    drover_value *in = integer(4);
    assert_ok(drover_submit(story->client, "square", in, NULL, &id));
    assert_ok(drover_future_of(story->client, &id, DROVER_INDEX_NONE, &future));
    assert_ok(drover_future_outcome(future, SOON, &outcome));
    assert_int_equal(number_of(drover_outcome_value(outcome)), 16);
    drover_future_destroy(&future);
    assert_ok(drover_id_new(&id));
    assert_ok(drover_future_of(story->client, &id, DROVER_INDEX_NONE, &future));
    assert_int_equal(drover_future_wait(future, SOON), DROVER_UNKNOWN);
    drover_future_destroy(&future);
    drover_value_destroy(&in);
}

/* Cancelling through the future ends it; destroying one leaves the task alone. */
static void test_future_cancel_ends_it(void **state)
{
    struct story *story = *state;
    drover_future *future = NULL;
    const drover_outcome *outcome = NULL;
    drover_value *in = integer(60000);
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    options.keep_ms = 60000;
    assert_ok(drover_submit_future(story->client, "sleep", in, &options, &future));
    assert_int_equal(drover_future_wait(future, 20), DROVER_TIMEOUT);
    assert_ok(drover_future_cancel(future));
    assert_ok(drover_future_outcome(future, SOON, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_CANCELLED);
    drover_future_destroy(&future);

    assert_ok(drover_submit_future(story->client, "sleep", in, &options, &future));
    drover_id id = drover_future_id(future);
    assert_int_equal(drover_future_wait(future, 20), DROVER_TIMEOUT);
    drover_future_destroy(&future);
    assert_int_equal(drover_wait(story->client, &id, DROVER_INDEX_NONE, 20, NULL),
                     DROVER_TIMEOUT);
    assert_ok(drover_cancel(story->client, &id, DROVER_INDEX_NONE, NULL, SOON, NULL));
    drover_value_destroy(&in);
}

struct heard { /* what callbacks told */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    int64_t sum;
    pthread_t thread;
    bool one_thread;
    drover_client *client;
    drover_status last;
};

static void on_done(void *context, drover_status status, const drover_outcome *outcome)
{
    struct heard *heard = context;
    int64_t number = 0;
    if (status == DROVER_OK && heard->client != NULL) {
        /* a callback may call the client, blocking calls too */
        drover_value *out = NULL;
        if (drover_call(heard->client, "noop", NULL, SOON, &out) == DROVER_OK) {
            drover_value_destroy(&out);
        } else {
            status = DROVER_INTERNAL;
        }
    }
    (void)pthread_mutex_lock(&heard->lock);
    if (status == DROVER_OK &&
        drover_value_get_int(drover_outcome_value(outcome), &number) == DROVER_OK) {
        heard->sum += number;
    }
    if (heard->count == 0) {
        heard->thread = pthread_self();
    }
    heard->one_thread = heard->one_thread && pthread_equal(heard->thread, pthread_self()) &&
                        (outcome != NULL) == (status == DROVER_OK || status == DROVER_FAILED);
    heard->count++;
    heard->last = status;
    (void)pthread_cond_signal(&heard->changed);
    (void)pthread_mutex_unlock(&heard->lock);
}

static void heard_init(struct heard *heard)
{
    memset(heard, 0, sizeof(*heard));
    (void)pthread_mutex_init(&heard->lock, NULL);
    (void)pthread_cond_init(&heard->changed, NULL);
    heard->one_thread = true;
}

static void heard_await(struct heard *heard, int count)
{
    (void)pthread_mutex_lock(&heard->lock);
    while (heard->count < count) {
        (void)pthread_cond_wait(&heard->changed, &heard->lock);
    }
    (void)pthread_mutex_unlock(&heard->lock);
}

/* Callbacks run once each, all on one thread that is not ours, and may call the client. */
static void test_callbacks_run_on_the_library_thread(void **state)
{
    struct story *story = *state;
    enum { COUNT = 200 };
    struct heard heard;
    heard_init(&heard);
    heard.client = story->client;
    for (int i = 0; i < COUNT; i++) {
        drover_value *in = integer(i);
        assert_ok(
            drover_submit_callback(story->client, "square", in, NULL, on_done, &heard, NULL));
        drover_value_destroy(&in);
    }
    heard_await(&heard, COUNT);
    assert_true(heard.one_thread);
    assert_false(pthread_equal(heard.thread, pthread_self()));
    int64_t sum = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        sum += i * i;
    }
    assert_int_equal(heard.sum, sum);
}

/* on_done of a future that is done already, of a failed task, of a refused submit; none after
 * the future was destroyed. */
static void test_callback_of_future(void **state)
{
    struct story *story = *state;
    struct heard heard;
    drover_future *future = NULL;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    heard_init(&heard);
    drover_value *in = integer(2);
    assert_ok(drover_submit_future(story->client, "square", in, NULL, &future));
    assert_ok(drover_future_wait(future, SOON));
    assert_ok(drover_future_on_done(future, on_done, &heard));
    assert_int_equal(drover_future_on_done(future, on_done, &heard), DROVER_CONFLICT);
    heard_await(&heard, 1);
    assert_int_equal(heard.sum, 4);
    drover_future_destroy(&future);
    drover_value_destroy(&in);

    assert_ok(drover_value_new_text("no", &in));
    assert_ok(drover_submit_callback(story->client, "fail", in, NULL, on_done, &heard, NULL));
    heard_await(&heard, 2);
    assert_int_equal(heard.last, DROVER_FAILED);
    options.strict = true;
    assert_ok(
        drover_submit_callback(story->client, "nobody", in, &options, on_done, &heard, NULL));
    heard_await(&heard, 3);
    assert_int_equal(heard.last, DROVER_REFUSED);
    assert_true(heard.one_thread);
    drover_value_destroy(&in);

    in = integer(60000);
    assert_ok(drover_submit_future(story->client, "sleep", in, NULL, &future));
    drover_id id = drover_future_id(future);
    assert_ok(drover_future_on_done(future, on_done, &heard));
    assert_int_equal(drover_future_wait(future, 20), DROVER_TIMEOUT);
    drover_future_destroy(&future);
    assert_ok(drover_cancel(story->client, &id, DROVER_INDEX_NONE, NULL, SOON, NULL));
    assert_int_equal(heard.count, 3);
    drover_value_destroy(&in);
}

/* Results that nobody takes are bounded: more futures are refused until some were read. */
static void test_futures_unread_results_are_bounded(void **state)
{
    struct story *story = *state;
    enum { SIZE = 100 * 1000 };
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    drover_future *futures[64] = {NULL};
    drover_value *in = NULL;
    size_t count = 0;
    drover_status status = DROVER_OK;
    options.unread_bytes_max = 5 * SIZE;
    uint8_t *bytes = calloc(1, SIZE);
    assert_ok(drover_value_new_binary(bytes, SIZE, &in));
    assert_ok(drover_client_open(story->fleet.endpoint, &options, &client));
    for (; count < 64 && status == DROVER_OK; count++) {
        status = drover_submit_future(client, "echo", in, NULL, &futures[count]);
        if (status == DROVER_OK) {
            assert_ok(drover_future_wait(futures[count], SOON));
        }
    }
    assert_int_equal(status, DROVER_BUSY);
    assert_in_range(count, 5, 8);
    for (size_t i = 0; i < count; i++) {
        drover_future_destroy(&futures[i]);
    }
    assert_ok(drover_submit_future(client, "echo", in, NULL, &futures[0]));
    assert_ok(drover_future_wait(futures[0], SOON));
    drover_future_destroy(&futures[0]);
    drover_client_close(&client);
    drover_value_destroy(&in);
    free(bytes);
}

/* ---- completions ------------------------------------------------------------------------- */

/* Whichever ends next; refused and unknown ones come too. */
static void test_completions_tell_all(void **state)
{
    struct story *story = *state;
    enum { COUNT = 500 };
    drover_completions *completions = NULL;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    drover_id unknown;
    drover_id refused;
    int64_t sum = 0;
    int others = 0;
    options.strict = true;
    assert_ok(drover_completions_new(story->client, DROVER_COMPLETIONS_VALUES, &completions));
    for (int i = 0; i < COUNT; i++) {
        drover_value *in = integer(i);
        assert_ok(drover_completions_submit(completions, "square", in, NULL, NULL));
        drover_value_destroy(&in);
    }
    assert_ok(drover_id_new(&unknown));
    assert_ok(drover_completions_add(completions, &unknown, DROVER_INDEX_NONE));
    assert_ok(drover_completions_submit(completions, "nobody", NULL, &options, &refused));
    assert_int_equal(drover_completions_count(completions), COUNT + 2);
    drover_outcome *outcome = NULL;
    drover_status status;
    while ((status = drover_completions_next(completions, SOON, &outcome)) == DROVER_OK) {
        drover_id id = drover_outcome_id(outcome);
        if (drover_outcome_status(outcome) == DROVER_OK) {
            sum += number_of(drover_outcome_value(outcome));
        } else if (drover_id_equal(&id, &unknown)) {
            assert_int_equal(drover_outcome_status(outcome), DROVER_UNKNOWN);
            others += 1;
        } else {
            assert_true(drover_id_equal(&id, &refused));
            assert_int_equal(drover_outcome_status(outcome), DROVER_REFUSED);
            assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_REFUSED);
            others += 10;
        }
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(status, DROVER_UNKNOWN);
    assert_int_equal(others, 11);
    assert_int_equal(sum, 41541750); /* the squares below 500 */
    drover_completions_destroy(&completions);
}

/* The quick one comes before the slow one; what was not read is dropped with the set. */
static void test_completions_come_in_order_of_completion(void **state)
{
    struct story *story = *state;
    drover_completions *completions = NULL;
    drover_outcome *outcome = NULL;
    drover_value *slow = integer(60000);
    drover_value *quick = integer(1);
    drover_id slow_id;
    drover_id quick_id;
    assert_ok(drover_completions_new(story->client, DROVER_COMPLETIONS_STATES, &completions));
    assert_ok(drover_completions_submit(completions, "sleep", slow, NULL, &slow_id));
    assert_ok(drover_completions_submit(completions, "sleep", quick, NULL, &quick_id));
    assert_ok(drover_completions_next(completions, SOON, &outcome));
    drover_id id = drover_outcome_id(outcome);
    assert_true(drover_id_equal(&id, &quick_id));
    drover_outcome_destroy(&outcome);
    assert_int_equal(drover_completions_next(completions, 20, &outcome), DROVER_TIMEOUT);
    assert_int_equal(drover_completions_count(completions), 1);
    drover_completions_destroy(&completions);
    assert_ok(drover_cancel(story->client, &slow_id, DROVER_INDEX_NONE, NULL, SOON, NULL));
    drover_value_destroy(&slow);
    drover_value_destroy(&quick);
}

/* ---- maps -------------------------------------------------------------------------------- */

struct numbers { /* a source */
    int64_t next;
    int64_t count;
    int64_t bad;     /* no number, 0: all are */
    int64_t unready; /* calls that give nothing yet */
    drover_status error_at_end;
};

static drover_status next_number(void *context, drover_value **out_item)
{
    struct numbers *numbers = context;
    if (numbers->unready > 0) {
        numbers->unready--;
        return DROVER_NOT_READY;
    }
    if (numbers->next == numbers->count) {
        return numbers->error_at_end != DROVER_OK ? numbers->error_at_end : DROVER_UNKNOWN;
    }
    if (numbers->bad != 0 && numbers->next == numbers->bad) {
        numbers->next++;
        return drover_value_new_text("no number", out_item);
    }
    return drover_value_new_int(numbers->next++, out_item);
}

/* Results in input order, far more of them than the window holds. */
static void test_map_keeps_order(void **state)
{
    struct story *story = *state;
    enum { COUNT = 20000 };
    struct numbers numbers = {.count = COUNT, .unready = 2};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    drover_map_progress progress;
    options.window = 3000;
    assert_ok(drover_map_open(story->client, "square", next_number, &numbers, &options, &map));
    for (int64_t i = 0; i < COUNT; i++) {
        assert_ok(drover_map_next(map, SOON, &outcome));
        assert_int_equal(drover_outcome_index(outcome), i);
        assert_int_equal(number_of(drover_outcome_value(outcome)), i * i);
        drover_outcome_destroy(&outcome);
        drover_map_get_progress(map, &progress);
        assert_int_equal(progress.delivered, i + 1);
        assert_true(numbers.next <= i + 1 + 3000 + 1);
    }
    assert_int_equal(drover_map_next(map, SOON, &outcome), DROVER_UNKNOWN);
    drover_map_get_progress(map, &progress);
    assert_int_equal(progress.total, COUNT);
    assert_int_equal(progress.submitted, COUNT);
    assert_int_equal(progress.ended, COUNT);
    assert_int_equal(progress.failed, 0);
    drover_map_close(&map);
}

/* An empty map ends at once, and the array with it. */
static void test_map_of_nothing_ends(void **state)
{
    struct story *story = *state;
    struct numbers numbers = {.count = 0};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    assert_ok(drover_map_open(story->client, "square", next_number, &numbers, NULL, &map));
    assert_int_equal(drover_map_next(map, SOON, &outcome), DROVER_UNKNOWN);
    drover_map_close(&map);
}

/* Failed elements are outcomes in their place. */
static void test_map_failed_elements_stand_in_line(void **state)
{
    struct story *story = *state;
    enum { COUNT = 9 };
    drover_value *items[COUNT];
    drover_outcome *outcomes[COUNT] = {NULL};
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 1) {
            assert_ok(drover_value_new_text("odd one", &items[i]));
        } else {
            items[i] = integer(i);
        }
    }
    assert_ok(drover_map_all(story->client, "square", (const drover_value *const *)items, COUNT,
                             NULL, SOON, outcomes));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(drover_outcome_index(outcomes[i]), i);
        assert_int_equal(drover_outcome_status(outcomes[i]),
                         i % 3 == 1 ? DROVER_FAILED : DROVER_OK);
        drover_outcome_destroy(&outcomes[i]);
        drover_value_destroy(&items[i]);
    }
}

/* Large items travel in pieces, more of them than may be on the way at once. */
static void test_map_large_items(void **state)
{
    struct story *story = *state;
    enum { COUNT = 40, SIZE = 700 * 1000 };
    drover_value *items[COUNT];
    drover_outcome *outcomes[COUNT] = {NULL};
    uint8_t *bytes = calloc(1, SIZE);
    for (int i = 0; i < COUNT; i++) {
        bytes[SIZE - 1] = (uint8_t)i;
        assert_ok(drover_value_new_binary(bytes, SIZE, &items[i]));
    }
    assert_ok(drover_map_all(story->client, "echo", (const drover_value *const *)items, COUNT,
                             NULL, SOON, outcomes));
    for (int i = 0; i < COUNT; i++) {
        const void *back = NULL;
        size_t len = 0;
        assert_ok(drover_value_get_binary(drover_outcome_value(outcomes[i]), &back, &len));
        assert_int_equal(len, SIZE);
        assert_int_equal(((const uint8_t *)back)[SIZE - 1], i);
        drover_outcome_destroy(&outcomes[i]);
        drover_value_destroy(&items[i]);
    }
    free(bytes);
}

/* Twenty items in batches of five: a group begins when the one before has ended. */
static void test_batch_goes_group_after_group(void **state)
{
    struct story *story = *state;
    struct numbers numbers = {.count = 20};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    options.batch = 5;
    assert_ok(drover_map_open(story->client, "sleep", next_number, &numbers, &options, &map));
    for (int64_t i = 0; i < 20; i++) {
        drover_map_progress progress;
        assert_ok(drover_map_next(map, SOON, &outcome));
        drover_outcome_destroy(&outcome);
        drover_map_get_progress(map, &progress);
        assert_true(numbers.next <= (int64_t)progress.ended / 5 * 5 + 5);
    }
    assert_int_equal(drover_map_next(map, SOON, &outcome), DROVER_UNKNOWN);
    drover_map_close(&map);

    const drover_value *items[20] = {NULL};
    drover_outcome *outcomes[20] = {NULL};
    assert_ok(drover_batch(story->client, "noop", items, 20, 5, SOON, outcomes));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(drover_outcome_status(outcomes[i]), DROVER_OK);
        drover_outcome_destroy(&outcomes[i]);
    }
    assert_int_equal(drover_batch(story->client, "noop", items, 20, 0, SOON, outcomes),
                     DROVER_INVALID);
}

/* An array of values in, an array of values out; or the first failure. */
static void test_map_values_in_one_call(void **state)
{
    struct story *story = *state;
    drover_value *items = NULL;
    drover_value *results = NULL;
    assert_ok(drover_value_array_new(&items));
    for (int64_t i = 0; i < 10; i++) {
        drover_value *item = integer(i);
        assert_ok(drover_value_array_append(items, &item));
    }
    assert_ok(drover_map_values(story->client, "square", items, SOON, &results));
    char *text = NULL;
    assert_ok(drover_value_to_json(results, DROVER_JSON_COMPACT, &text));
    assert_string_equal(text, "[0,1,4,9,16,25,36,49,64,81]");
    free(text);
    drover_value_destroy(&results);
    drover_value *bad = NULL;
    assert_ok(drover_value_new_text("x", &bad));
    assert_ok(drover_value_array_append(items, &bad));
    assert_int_equal(drover_map_values(story->client, "square", items, SOON, &results),
                     DROVER_FAILED);
    assert_null(results);
    drover_value_destroy(&items);
}

/* A map that was cancelled hands out what was submitted, then ends. */
static void test_map_cancel_stops_it(void **state)
{
    struct story *story = *state;
    struct numbers numbers = {.next = 60000, .count = 60100};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    int64_t count = 0;
    assert_ok(drover_map_open(story->client, "sleep", next_number, &numbers, NULL, &map));
    assert_int_equal(drover_map_next(map, 50, &outcome), DROVER_TIMEOUT);
    assert_ok(drover_map_cancel(map));
    drover_status status;
    while ((status = drover_map_next(map, SOON, &outcome)) == DROVER_OK) {
        assert_int_equal(drover_outcome_status(outcome), DROVER_CANCELLED);
        drover_outcome_destroy(&outcome);
        count++;
    }
    assert_int_equal(status, DROVER_UNKNOWN);
    assert_int_equal(count, 100);
    drover_map_close(&map);
}

/* What failed in its turn or not: the input ends, what runs is cancelled, and nothing hangs. */
static void test_map_stops_on_the_first_error(void **state)
{
    enum { BAD = 1 };
    struct story *story = *state;
    struct numbers numbers = {.next = 60000, .count = 10000000, .bad = 60000 + BAD};
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    uint64_t failed = 0;
    options.stop_on_error = true;
    options.window = 64;
    assert_ok(drover_map_open(story->client, "sleep", next_number, &numbers, &options, &map));
    drover_status status;
    while ((status = drover_map_next(map, SOON, &outcome)) == DROVER_OK) {
        bool is_bad = drover_outcome_index(outcome) == BAD;
        assert_int_equal(drover_outcome_status(outcome),
                         is_bad ? DROVER_FAILED : DROVER_CANCELLED);
        failed += is_bad;
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(status, DROVER_UNKNOWN);
    assert_int_equal(failed, 1);
    drover_map_close(&map);
}

/* All outcomes are there, also of what was not submitted any more. */
static void test_map_in_one_call_stops_on_the_first_error(void **state)
{
    enum { COUNT = 1000 };
    struct story *story = *state;
    drover_value *items[COUNT] = {NULL};
    drover_outcome *outcomes[COUNT] = {NULL};
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    options.stop_on_error = true;
    options.window = 32;
    for (int i = 0; i < COUNT; i++) {
        assert_ok(i == 1 ? drover_value_new_text("bad", &items[i])
                         : drover_value_new_int(60000, &items[i]));
    }
    assert_ok(drover_map_all(story->client, "sleep", (const drover_value *const *)items, COUNT,
                             &options, SOON, outcomes));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(drover_outcome_status(outcomes[i]),
                         i == 1 ? DROVER_FAILED : DROVER_CANCELLED);
        assert_int_equal(drover_outcome_index(outcomes[i]), i);
        drover_outcome_destroy(&outcomes[i]);
        drover_value_destroy(&items[i]);
    }
}

/* A source that fails ends the map with its status; the array is cancelled. */
static void test_map_source_failure_ends_it(void **state)
{
    struct story *story = *state;
    struct numbers numbers = {.count = 3, .error_at_end = DROVER_IO};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    drover_status status;
    assert_ok(drover_map_open(story->client, "square", next_number, &numbers, NULL, &map));
    drover_id id = drover_map_id(map);
    while ((status = drover_map_next(map, SOON, &outcome)) == DROVER_OK) {
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(status, DROVER_IO);
    drover_map_close(&map);
    drover_state ended = (drover_state)0;
    assert_ok(drover_wait(story->client, &id, DROVER_INDEX_NONE, SOON, &ended));
    assert_int_equal(ended, DROVER_STATE_CANCELLED);
}

/* The results of an array that was kept can be read by whoever knows its id, and its failed
 * elements retried. */
static void test_map_attach_reads_an_array(void **state)
{
    struct story *story = *state;
    enum { COUNT = 3000 };
    struct numbers numbers = {.count = COUNT};
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    options.keep = true;
    assert_ok(drover_map_open(story->client, "square", next_number, &numbers, &options, &map));
    drover_id id = drover_map_id(map);
    drover_status status;
    while ((status = drover_map_next(map, SOON, &outcome)) == DROVER_OK) {
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(status, DROVER_UNKNOWN);
    drover_map_close(&map);
    assert_ok(drover_map_attach(story->client, &id, SOON, &map));
    for (int64_t i = 0; i < COUNT; i++) {
        assert_ok(drover_map_next(map, SOON, &outcome));
        assert_int_equal(drover_outcome_index(outcome), i);
        assert_int_equal(number_of(drover_outcome_value(outcome)), i * i);
        drover_outcome_destroy(&outcome);
    }
    assert_int_equal(drover_map_next(map, SOON, &outcome), DROVER_UNKNOWN);
    drover_map_close(&map);
    assert_ok(drover_result(story->client, &id, 17, SOON, &outcome));
    assert_int_equal(number_of(drover_outcome_value(outcome)), 289);
    drover_outcome_destroy(&outcome);
    assert_ok(drover_id_new(&id));
    assert_int_equal(drover_map_attach(story->client, &id, SOON, &map), DROVER_UNKNOWN);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_futures_bring_their_results),
    cmocka_unit_test(test_future_of_known_task),
    cmocka_unit_test(test_future_cancel_ends_it),
    cmocka_unit_test(test_callbacks_run_on_the_library_thread),
    cmocka_unit_test(test_callback_of_future),
    cmocka_unit_test(test_futures_unread_results_are_bounded),
    cmocka_unit_test(test_completions_tell_all),
    cmocka_unit_test(test_completions_come_in_order_of_completion),
    cmocka_unit_test(test_map_keeps_order),
    cmocka_unit_test(test_map_of_nothing_ends),
    cmocka_unit_test(test_map_failed_elements_stand_in_line),
    cmocka_unit_test(test_map_large_items),
    cmocka_unit_test(test_batch_goes_group_after_group),
    cmocka_unit_test(test_map_values_in_one_call),
    cmocka_unit_test(test_map_cancel_stops_it),
    cmocka_unit_test(test_map_stops_on_the_first_error),
    cmocka_unit_test(test_map_in_one_call_stops_on_the_first_error),
    cmocka_unit_test(test_map_source_failure_ends_it),
    cmocka_unit_test(test_map_attach_reads_an_array),
};

int main(void)
{
    return cmocka_run_group_tests(tests, setup, teardown);
}
