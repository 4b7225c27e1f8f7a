/* The client library when things go wrong: no broker, lost brokers, many threads, fork, close.
 */
#include "programs.h"
#include "test.h"

#include <drover/client.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOON 30000

static drover_client *open_client(const char *endpoint)
{
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.connect_timeout_ms = (uint64_t)test_deadline_ms(SOON);
    assert_ok(drover_client_open(endpoint, &options, &client));
    return client;
}

static int64_t now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static drover_value *integer(int64_t number)
{
    drover_value *value = NULL;
    assert_ok(drover_value_new_int(number, &value));
    return value;
}

/* Nobody there: a clear text when the time is over, not before and not much later. */
static void test_open_without_broker_is_unavailable(void **state)
{
    static const char *const ENDPOINTS[] = {"tcp://127.0.0.1:1", "ipc:///tmp/drover-no-broker"};
    for (size_t i = 0; i < 2; i++) {
        char text[300] = "";
        drover_client *client = NULL;
        drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
        options.connect_timeout_ms = 300;
        options.error_text = text;
        options.error_size = sizeof(text);
        int64_t start_ms = now_ms();
        assert_int_equal(drover_client_open(ENDPOINTS[i], &options, &client),
                         DROVER_UNAVAILABLE);
        assert_null(client);
        assert_in_range(now_ms() - start_ms, 300, test_deadline_ms(2000));
        assert_non_null(strstr(text, ENDPOINTS[i]));
    }
}

/* Endpoints that are none, and a private pool without anything to run. */
static void test_open_bad_endpoint_is_refused(void **state)
{
    static const char *const BAD[] = {"",          "tcp://",         "tcp://host",
                                      "tcp://:7",  "tcp://host:0",   "tcp://host:70000",
                                      "ipc://",    "tcp://host:x",   "http://host:80",
                                      "host:7710", "inproc://broker"};
    drover_client *client = NULL;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_int_equal(drover_client_open(BAD[i], NULL, &client), DROVER_INVALID);
    }
    assert_int_equal(drover_client_open(NULL, NULL, &client), DROVER_INVALID);
    char text[200] = "";
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.error_text = text;
    options.error_size = sizeof(text);
    assert_int_equal(drover_client_open("local://4", &options, &client), DROVER_INVALID);
    assert_non_null(strstr(text, "nothing to run"));
    options.name = "two words";
    assert_int_equal(drover_client_open("tcp://host:1", &options, &client), DROVER_INVALID);
    assert_null(client);
}

/* The port for workers: refused at once, and the text names the right one. */
static void test_open_worker_endpoint_names_the_right_one(void **state)
{
    struct test_fleet fleet;
    char text[600] = "";
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.error_text = text;
    options.error_size = sizeof(text);
    options.connect_timeout_ms = SOON;
    test_fleet_start(&fleet, 0, "1");
    assert_int_equal(drover_client_open(fleet.worker_endpoint, &options, &client),
                     DROVER_WRONG_ENDPOINT);
    assert_non_null(strstr(text, fleet.endpoint));
    test_fleet_stop(&fleet);
}

/* Tasks outlive the client that submitted them, and others can have the result. */
static void test_result_outlives_its_client(void **state)
{
    struct test_fleet fleet;
    drover_id id;
    drover_id bound;
    drover_outcome *outcome = NULL;
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    test_fleet_start(&fleet, 1, "2");
    drover_client *first = open_client(fleet.endpoint);
    drover_value *in = integer(100);
    drover_value *long_time = integer(60000);
    assert_ok(drover_submit(first, "sleep", in, NULL, &id));
    options.cancel_on_disconnect = true;
    assert_ok(drover_submit(first, "sleep", long_time, &options, &bound));
    drover_client_close(&first);
    drover_client *second = open_client(fleet.endpoint);
    assert_ok(drover_result(second, &id, DROVER_INDEX_NONE, SOON, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_OK);
    drover_outcome_destroy(&outcome);
    assert_ok(drover_result(second, &bound, DROVER_INDEX_NONE, SOON, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_CANCELLED);
    drover_outcome_destroy(&outcome);
    drover_client_close(&second);
    drover_value_destroy(&in);
    drover_value_destroy(&long_time);
    test_fleet_stop(&fleet);
}

/* The broker dies and comes back without its memory: who waits is told that the task is lost,
 * and the same client goes on working. */
static void test_broker_restart_tells_lost_and_goes_on(void **state)
{
    struct test_fleet fleet;
    drover_future *waiting = NULL;
    drover_future *meanwhile = NULL;
    drover_value *out = NULL;
    int64_t number = 0;
    test_fleet_start(&fleet, 1, "2");
    drover_client *client = open_client(fleet.endpoint);
    drover_value *long_time = integer(60000);
    drover_value *in = integer(6);
    assert_ok(drover_submit_future(client, "sleep", long_time, NULL, &waiting));
    assert_int_equal(drover_future_wait(waiting, 100), DROVER_TIMEOUT);
    test_fleet_kill_broker(&fleet);
    assert_int_equal(drover_future_wait(waiting, 200), DROVER_TIMEOUT);
    assert_false(drover_client_is_connected(client));
    assert_ok(drover_submit_future(client, "square", in, NULL, &meanwhile));
    assert_int_equal(drover_future_wait(meanwhile, 50), DROVER_TIMEOUT);
    test_fleet_start_broker(&fleet);
    const drover_outcome *outcome = NULL;
    assert_ok(drover_future_outcome(waiting, SOON, &outcome));
    assert_int_equal(drover_outcome_status(outcome), DROVER_LOST);
    assert_int_equal(drover_outcome_error_kind(outcome), DROVER_ERROR_LOST);
    assert_ok(drover_future_result(meanwhile, SOON, &out));
    assert_ok(drover_value_get_int(out, &number));
    assert_int_equal(number, 36);
    assert_true(drover_client_is_connected(client));
    drover_future_destroy(&waiting);
    drover_future_destroy(&meanwhile);
    drover_value_destroy(&out);
    drover_value_destroy(&in);
    drover_value_destroy(&long_time);
    drover_client_close(&client);
    test_fleet_stop(&fleet);
}

static drover_status thirty_sleeps(void *context, drover_value **out_item)
{
    int *count = context;
    return (*count)++ < 30 ? drover_value_new_int(60000, out_item) : DROVER_NOT_READY;
}

/* A map that was being fed when the broker lost it breaks, and says so. */
static void test_broker_restart_breaks_an_open_map(void **state)
{
    struct test_fleet fleet;
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    int count = 0;
    test_fleet_start(&fleet, 1, "2");
    drover_client *client = open_client(fleet.endpoint);
    assert_ok(drover_map_open(client, "sleep", thirty_sleeps, &count, NULL, &map));
    assert_int_equal(drover_map_next(map, 100, &outcome), DROVER_TIMEOUT);
    test_fleet_kill_broker(&fleet);
    test_fleet_start_broker(&fleet);
    drover_status status;
    int lost = 0;
    while ((status = drover_map_next(map, SOON, &outcome)) == DROVER_OK) {
        lost += drover_outcome_status(outcome) == DROVER_LOST;
        drover_outcome_destroy(&outcome);
    }
    assert_true(status == DROVER_LOST || status == DROVER_OUTCOME_UNKNOWN);
    assert_int_equal(lost, 30);
    drover_map_close(&map);
    drover_client_close(&client);
    test_fleet_stop(&fleet);
}

/* ---- threads ----------------------------------------------------------------------------- */

struct crowd {
    drover_client *client;
    atomic_int failures;
    int rounds;
};

static drover_status one_call(drover_client *client, int64_t number, int64_t *out_square)
{
    drover_value *in = NULL;
    drover_value *out = NULL;
    drover_status status = drover_value_new_int(number, &in);
    if (status == DROVER_OK) {
        status = drover_call(client, "square", in, SOON, &out);
    }
    if (status == DROVER_OK) {
        status = drover_value_get_int(out, out_square);
    }
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    return status;
}

static void *call_often(void *context)
{
    struct crowd *crowd = context;
    for (int64_t i = 0; i < crowd->rounds; i++) {
        int64_t square = -1;
        if (one_call(crowd->client, i, &square) != DROVER_OK || square != i * i) {
            (void)atomic_fetch_add(&crowd->failures, 1);
        }
    }
    return NULL;
}

static void *use_futures(void *context)
{
    struct crowd *crowd = context;
    for (int i = 0; i < crowd->rounds; i++) {
        drover_future *future = NULL;
        if (drover_submit_future(crowd->client, "noop", NULL, NULL, &future) != DROVER_OK ||
            (i % 3 != 0 && drover_future_wait(future, SOON) != DROVER_OK)) {
            (void)atomic_fetch_add(&crowd->failures, 1);
        }
        drover_future_destroy(&future);
    }
    return NULL;
}

static void count_done(void *context, drover_status status, const drover_outcome *outcome)
{
    struct crowd *crowd = context;
    if (status != DROVER_OK || outcome == NULL) {
        (void)atomic_fetch_add(&crowd->failures, 1);
    }
}

static void *use_callbacks_and_questions(void *context)
{
    struct crowd *crowd = context;
    for (int i = 0; i < crowd->rounds; i++) {
        drover_value *document = NULL;
        int64_t sum = 0;
        if (drover_submit_callback(crowd->client, "noop", NULL, NULL, count_done, crowd,
                                   NULL) != DROVER_OK ||
            drover_kv_increment(crowd->client, "crowd", 1, 0, SOON, &sum) != DROVER_OK ||
            (i % 10 == 0 && drover_status_get(crowd->client, SOON, &document) != DROVER_OK)) {
            (void)atomic_fetch_add(&crowd->failures, 1);
        }
        drover_value_destroy(&document);
    }
    return NULL;
}

/* One handle, many threads, everything at once. */
static void test_threads_share_a_client(void **state)
{
    enum { THREADS = 9 };
    static void *(*const WORK[])(void *) = {call_often, use_futures,
                                            use_callbacks_and_questions};
    struct test_fleet fleet;
    pthread_t threads[THREADS];
    struct crowd crowd = {.rounds = 60};
    int64_t sum = 0;
    test_fleet_start(&fleet, 1, "2");
    crowd.client = open_client(fleet.endpoint);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, WORK[i % 3], &crowd), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&crowd.failures), 0);
    assert_ok(drover_kv_increment(crowd.client, "crowd", 0, 0, SOON, &sum));
    assert_int_equal(sum, 3 * crowd.rounds);
    drover_client_close(&crowd.client);
    assert_int_equal(atomic_load(&crowd.failures), 0);
    test_fleet_stop(&fleet);
}

struct sleeper {
    drover_client *client;
    atomic_bool started;
    drover_status status;
};

static void *sleep_long(void *context)
{
    struct sleeper *sleeper = context;
    drover_value *in = NULL;
    drover_value *out = NULL;
    if (drover_value_new_int(60000, &in) == DROVER_OK) {
        atomic_store(&sleeper->started, true);
        sleeper->status = drover_call(sleeper->client, "sleep", in, DROVER_FOREVER, &out);
    }
    drover_value_destroy(&in);
    return NULL;
}

/* Closing wakes those who wait. */
static void test_close_wakes_waiting_threads(void **state)
{
    enum { THREADS = 4 };
    struct test_fleet fleet;
    pthread_t threads[THREADS];
    struct sleeper sleepers[THREADS];
    test_fleet_start(&fleet, 1, "2");
    drover_client *client = open_client(fleet.endpoint);
    for (size_t i = 0; i < THREADS; i++) {
        sleepers[i].client = client;
        atomic_init(&sleepers[i].started, false);
        sleepers[i].status = DROVER_INTERNAL;
        assert_int_equal(pthread_create(&threads[i], NULL, sleep_long, &sleepers[i]), 0);
    }
    /* All are inside their calls when the broker knows of their tasks. */
    uint64_t submitted = 0;
    while (submitted < THREADS) {
        drover_value *document = NULL;
        drover_value *tasks = NULL;
        drover_value *count = NULL;
        assert_ok(drover_status_get(client, SOON, &document));
        assert_ok(drover_value_map_get(document, "tasks", &tasks));
        assert_ok(drover_value_map_get(tasks, "submitted", &count));
        assert_ok(drover_value_get_uint(count, &submitted));
        drover_value_destroy(&count);
        drover_value_destroy(&tasks);
        drover_value_destroy(&document);
    }
    drover_client_close(&client);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(sleepers[i].status, DROVER_CLOSED);
    }
    test_fleet_stop(&fleet);
}

static void close_it(void *context, drover_status status, const drover_outcome *outcome)
{
    drover_client **client = context;
    drover_client_close(client);
}

/* From a callback close does nothing. */
static void test_close_in_callback_does_nothing(void **state)
{
    struct test_fleet fleet;
    drover_future *future = NULL;
    test_fleet_start(&fleet, 1, "2");
    drover_client *client = open_client(fleet.endpoint);
    drover_client *same = client;
    assert_ok(drover_submit_callback(client, "noop", NULL, NULL, close_it, &same, NULL));
    assert_ok(drover_submit_future(client, "noop", NULL, NULL, &future));
    assert_ok(drover_future_wait(future, SOON));
    drover_future_destroy(&future);
    drover_client_close(&client); /* waits for the callback */
    assert_non_null(same);
    test_fleet_stop(&fleet);
}

/* What the child of a fork sees of its parent's client; 0 when all is as promised. */
static int act_as_child(drover_client *client, drover_future *future, const char *endpoint)
{
    if (drover_submit(client, "noop", NULL, NULL, NULL) != DROVER_CLOSED ||
        drover_future_wait(future, 0) != DROVER_CLOSED || drover_client_is_connected(client)) {
        return 1;
    }
    drover_future_destroy(&future);
    drover_client_close(&client);
#ifdef __SANITIZE_THREAD__
    (void)endpoint; /* the sanitizer allows no threads after a fork in a threaded program */
#else
    int64_t square = 0;
    drover_client *own = NULL;
    if (drover_client_open(endpoint, NULL, &own) != DROVER_OK ||
        one_call(own, 3, &square) != DROVER_OK || square != 9) {
        return 2;
    }
    drover_client_close(&own);
#endif
    return 0;
}

/* A child cannot use its parent's client, nor harm it, and may open its own. */
static void test_fork_leaves_the_client_to_the_parent(void **state)
{
    struct test_fleet fleet;
    drover_future *future = NULL;
    int64_t square = 0;
    int ended = -1;
    test_fleet_start(&fleet, 1, "2");
    drover_client *client = open_client(fleet.endpoint);
    assert_ok(drover_submit_future(client, "noop", NULL, NULL, &future));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(act_as_child(client, future, fleet.endpoint));
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
    assert_ok(drover_future_wait(future, SOON));
    assert_ok(one_call(client, 4, &square));
    assert_int_equal(square, 16);
    drover_future_destroy(&future);
    drover_client_close(&client);
    test_fleet_stop(&fleet);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_open_without_broker_is_unavailable),
    cmocka_unit_test(test_open_bad_endpoint_is_refused),
    cmocka_unit_test(test_open_worker_endpoint_names_the_right_one),
    cmocka_unit_test(test_result_outlives_its_client),
    cmocka_unit_test(test_broker_restart_tells_lost_and_goes_on),
    cmocka_unit_test(test_broker_restart_breaks_an_open_map),
    cmocka_unit_test(test_threads_share_a_client),
    cmocka_unit_test(test_close_wakes_waiting_threads),
    cmocka_unit_test(test_close_in_callback_does_nothing),
    cmocka_unit_test(test_fork_leaves_the_client_to_the_parent),
};

TEST_MAIN(tests)
