/* History and times: what was, in steps; how long things took; bounded, and cheap. */
#include "fixture.h"

#include "broker.h"
#include "history_queue.h"

#include <drover/value.h>

/* One look, as the shell takes it every second. */
static void look(struct bench *bench, double cpu)
{
    struct core_event self = {.kind = CORE_EVENT_SELF,
                              .self = {.rss_bytes = 1000, .cpu_percent = cpu, .loop_us = 1500}};
    bench_event(bench, &self);
    bench_turn(bench);
}

/* Seconds pass, each with a look; worker 2 is heard of, if it is there. */
static void seconds(struct bench *bench, unsigned count, bool has_worker)
{
    for (unsigned i = 0; i < count; i++) {
        bench_pass(bench, SECOND);
        if (has_worker) {
            heartbeat(bench, 2);
        }
        look(bench, 50);
        drop_all(bench, 1);
    }
}

static drover_value *ask(struct bench *bench, const struct drv_query *query,
                         struct drv_str *out_cursor)
{
    drover_value *value = NULL;
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = *query;
    speak(bench, 1, &message);
    bench_turn(bench);
    const struct drv_document *document = &expect(bench, 1, DRV_DOCUMENT)->document;
    assert_int_equal(document->code, DROVER_OK);
    assert_int_equal(drover_value_from_msgpack(document->body.ptr, document->body.len, &value),
                     DROVER_OK);
    if (out_cursor != NULL) {
        *out_cursor = document->cursor;
    }
    return value;
}

static drover_value *get(drover_value *map, const char *key)
{
    drover_value *item = NULL;
    assert_int_equal(drover_value_map_get(map, key, &item), DROVER_OK);
    return item;
}

static double number(drover_value *map, const char *key)
{
    double real = 0;
    drover_value *item = get(map, key);
    assert_int_equal(drover_value_get_double(item, &real), DROVER_OK);
    drover_value_destroy(&item);
    return real;
}

/* Entry `at` of a series; -1 where nothing is known. */
static double sample(drover_value *history, const char *series, size_t at)
{
    double real = -1;
    drover_value *all = get(history, "series");
    drover_value *list = get(all, series);
    drover_value *item = NULL;
    assert_int_equal(drover_value_array_get(list, at, &item), DROVER_OK);
    if (drover_value_get_double(item, &real) != DROVER_OK) {
        real = -1;
    }
    drover_value_destroy(&item);
    drover_value_destroy(&list);
    drover_value_destroy(&all);
    return real;
}

static const struct drv_query hour = {.topic = DRV_TOPIC_HISTORY, .index = DROVER_INDEX_NONE};

/* A step holds what came in it, and how it stood at its end; without looks there is none. */
static void test_history_steps_hold_counts_and_levels(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    drover_value *history = ask(bench, &hour, NULL);
    assert_true(number(history, "count") == 0);
    drover_value_destroy(&history);
    seconds(bench, 6, false); /* the first look begins a step */
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    submit(bench, 1, &spec, 101);
    seconds(bench, 5, false);
    history = ask(bench, &hour, NULL);
    assert_true(number(history, "count") == 2);
    assert_true(number(history, "step_ms") == 5000);
    assert_true(sample(history, "submitted", 0) == 0);
    assert_true(sample(history, "submitted", 1) == 2);
    assert_true(sample(history, "queued", 1) == 2);
    assert_true(sample(history, "cpu_percent", 1) == 50);
    assert_true(sample(history, "loop_ms", 1) == 1.5);
    assert_true(sample(history, "oldest_age_ms", 1) > 4000);
    drover_value_destroy(&history);
}

/* A cursor brings only what is new. */
static void test_history_cursor_brings_what_is_new(void **state)
{
    struct bench *bench = *state;
    struct drv_str cursor;
    uint8_t kept[8];
    client(bench, 1);
    seconds(bench, 21, false);
    drover_value *history = ask(bench, &hour, &cursor);
    assert_true(number(history, "count") == 4);
    drover_value_destroy(&history);
    assert_int_equal(cursor.len, sizeof kept);
    memcpy(kept, cursor.ptr, sizeof kept);
    seconds(bench, 5, false);
    struct drv_query more = hour;
    more.cursor = (struct drv_str){(const char *)kept, sizeof kept};
    history = ask(bench, &more, NULL);
    assert_true(number(history, "count") == 1);
    assert_true(number(history, "number") == 5);
    drover_value_destroy(&history);
}

/* Steps in which the broker stood still are rows of nothing; the rings stay as long as they
 * are.
 */
static void test_history_of_a_standstill_is_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    seconds(bench, 6, false);
    bench_pass(bench, 60LL * SECOND);
    look(bench, 10);
    drop_all(bench, 1);
    drover_value *history = ask(bench, &hour, NULL);
    size_t count = (size_t)number(history, "count");
    assert_true(count >= 12);
    assert_true(sample(history, "cpu_percent", count - 2) == -1);
    drover_value_destroy(&history);
    bench_pass(bench, 2LL * 24 * 3600 * SECOND);
    look(bench, 10);
    uint64_t rows = bench->core->history.rings[HISTORY_HOUR].number;
    assert_true(rows > count + HISTORY_ROWS - 2 && rows <= count + 1 + HISTORY_ROWS);
}

/* A worker has a history of its own, which goes with it. */
static void test_history_of_a_worker_goes_with_it(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 4);
    seconds(bench, 2, true);
    for (unsigned i = 0; i < 20; i++) {
        struct drv_message beat = {.kind = DRV_HEARTBEAT};
        beat.heartbeat.has_host = true;
        beat.heartbeat.host = (struct drv_host){
            .cpu_percent = 25, .memory_percent = 40.5, .bytes_sent = 1000 * (i + 1)};
        bench_pass(bench, SECOND);
        speak(bench, 2, &beat);
        look(bench, 1);
        drop_all(bench, 2);
    }
    assert_int_equal(bench->core->history.worker_count, 1);
    drop_all(bench, 1);
    struct drv_query query = hour;
    const struct worker *one = DRV_LIST_ITEM(drv_list_first(&bench->core->workers),
                                             struct worker, link);
    query.name = worker_name(one);
    drover_value *history = ask(bench, &query, NULL);
    size_t last = (size_t)number(history, "count") - 1;
    assert_true(sample(history, "cpu_percent", last) == 25);
    assert_true(sample(history, "memory_percent", last) == 40.5);
    double sent = sample(history, "bytes_sent_per_s", last);
    assert_true(sent > 990 && sent < 1010);
    drover_value_destroy(&history);
    struct drv_message bye = {.kind = DRV_GOODBYE};
    speak(bench, 2, &bye);
    bench_turn(bench);
    assert_int_equal(bench->core->history.worker_count, 0);
}

static const struct drv_query queue_hour = {
    .topic = DRV_TOPIC_QUEUE_HISTORY, .index = DROVER_INDEX_NONE, .name = {"default", 7}};

/* A worker takes what there is, and says that each took 300 ms. */
static void do_all(struct bench *bench, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bench_turn(bench);
        struct drv_result done = {.ref = leased(bench, 2),
                                  .outcome = DRV_OUTCOME_SUCCEEDED,
                                  .val = val_nil(),
                                  .error = {.exit_code = -1},
                                  .run_us = 300 * 1000};
        report(bench, 2, &done);
        bench_turn(bench);
        drop_all(bench, 1);
    }
}

static bool is_near(double number, double wanted, double error)
{
    return number > wanted * (1 - error) && number < wanted * (1 + error);
}

/* Of each queue: what waits and since when, what ended in the step, how long it waited and
 * ran; a status tells how many end a second. */
static void test_history_of_a_queue_is_its_own(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work"), other = spec_of("work");
    other.queue = (struct drv_str){"other", 5};
    client(bench, 1);
    seconds(bench, 1, false);
    submit(bench, 1, &spec, 100);
    submit(bench, 1, &spec, 101);
    submit(bench, 1, &other, 102);
    seconds(bench, 5, false);
    drover_value *history = ask(bench, &queue_hour, NULL);
    assert_true(number(history, "count") == 1);
    assert_true(sample(history, "queued", 0) == 2);
    assert_true(sample(history, "ended", 0) == 0);
    assert_true(is_near(sample(history, "oldest_age_ms", 0), 5000, 0.3));
    assert_true(sample(history, "wait_ms", 0) == -1); /* nothing has ended */
    drover_value_destroy(&history);
    struct drv_query query = {
        .topic = DRV_TOPIC_QUEUES, .index = DROVER_INDEX_NONE, .name = {"default", 7}};
    worker(bench, 2, "work", 1);
    do_all(bench, 3); /* the other queue takes its turn */
    seconds(bench, 1, true);
    drover_value *document = ask(bench, &query, NULL);
    drover_value *queues = get(document, "queues");
    drover_value *row = NULL;
    assert_int_equal(drover_value_count(queues), 1);
    assert_int_equal(drover_value_array_get(queues, 0, &row), DROVER_OK);
    assert_true(number(row, "ended_per_s") > 0.3);
    drover_value_destroy(&row);
    drover_value_destroy(&queues);
    drover_value_destroy(&document);
    seconds(bench, 4, true);
    history = ask(bench, &queue_hour, NULL);
    assert_true(number(history, "count") == 2);
    assert_true(sample(history, "queued", 1) == 0);
    assert_true(sample(history, "ended", 1) == 2);
    assert_true(sample(history, "oldest_age_ms", 1) == 0);
    assert_true(is_near(sample(history, "wait_ms", 1), 5000, 0.3));
    assert_true(is_near(sample(history, "wait_p99_ms", 1), 5000, 0.3));
    assert_true(is_near(sample(history, "run_ms", 1), 300, 0.01));
    drover_value_destroy(&history);
    drop_all(bench, 1);
    query.name = (struct drv_str){"nobody", 6};
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = query;
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(expect(bench, 1, DRV_DOCUMENT)->document.code, DROVER_UNKNOWN);
    message.query.topic = DRV_TOPIC_QUEUE_HISTORY;
    message.request.req++;
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(expect(bench, 1, DRV_DOCUMENT)->document.code, DROVER_UNKNOWN);
}

/* A queue that is there, as one with settings is. */
static struct queue *keep(struct bench *bench, const char *name)
{
    struct queue *queue = queue_ensure(bench->core, drv_str_of(name));
    queue_keep(bench->core, queue, true);
    queue_release(bench->core, queue);
    return queue;
}

/* A queue goes with its last task and comes back with the next one: what was is still there,
 * and what it did between two looks is counted. After a day without it it is forgotten. */
static void test_history_of_a_queue_outlives_it(void **state)
{
    struct bench *bench = *state;
    struct drv_str name = {"default", 7};
    client(bench, 1);
    seconds(bench, 1, false);
    queue_keep(bench->core, keep(bench, "default"), false); /* between looks: nothing */
    assert_null(queue_history_find(bench->core, name));
    struct queue *queue = keep(bench, "default");
    seconds(bench, 5, false);
    for (int i = 0; i < 2; i++) {
        history_measure(bench->core, &queue->times, &queue->times, 1000, 1000, 1);
        queue_keep(bench->core, queue, false);
        core_effects_clear(bench->core);
        queue = keep(bench, "default");
    }
    const struct queue_history *history = queue_history_find(bench->core, name);
    assert_ptr_equal(queue->history, history);
    queue_keep(bench->core, queue, false);
    assert_null(core_check(bench->core));
    seconds(bench, 5, false);
    assert_null(history->queue);
    drover_value *told = ask(bench, &queue_hour, NULL);
    assert_true(number(told, "count") == 2);
    assert_true(sample(told, "queued", 1) == 0);
    assert_true(sample(told, "ended", 1) >= 2);
    drover_value_destroy(&told);
    bench_pass(bench, HISTORY_GONE_US);
    look(bench, 1);
    assert_null(queue_history_find(bench->core, name));
}

/* So many have one; of those that are gone the oldest makes room for what is new. */
static void test_histories_of_queues_are_bounded(void **state)
{
    struct bench *bench = *state;
    static struct queue *queues[HISTORY_QUEUES_MAX + 4];
    char name[16];
    client(bench, 1);
    for (size_t i = 0; i < DRV_ARRAY_LEN(queues); i++) {
        (void)snprintf(name, sizeof name, "q%zu", i);
        queues[i] = keep(bench, name);
    }
    seconds(bench, HISTORY_QUEUES_MAX / HISTORY_NEW_MAX + 2, false);
    assert_int_equal(bench->core->history.queue_count, HISTORY_QUEUES_MAX);
    size_t without = 0, with = 0;
    for (size_t i = 0; i < DRV_ARRAY_LEN(queues); i++) {
        *(queues[i]->history == NULL ? &without : &with) = i;
    }
    assert_null(queues[without]->history);
    queue_keep(bench->core, queues[with], false);
    seconds(bench, 2, false);
    assert_int_equal(bench->core->history.queue_count, HISTORY_QUEUES_MAX);
    for (size_t i = 0; i < DRV_ARRAY_LEN(queues); i++) {
        if (i != with) {
            queue_keep(bench->core, queues[i], false);
        }
    }
    assert_null(core_check(bench->core));
}

/* Waits and run times of a queue and a type, within the promised error. */
static void test_status_has_times_of_queue_and_type(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_pass(bench, 2 * SECOND);
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_nil(),
                              .error = {.exit_code = -1},
                              .run_us = 300 * 1000};
    report(bench, 2, &done);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_query query = {.topic = DRV_TOPIC_STATUS, .index = DROVER_INDEX_NONE};
    drover_value *status = ask(bench, &query, NULL);
    drover_value *types = get(status, "types");
    drover_value *type = NULL;
    assert_int_equal(drover_value_array_get(types, 0, &type), DROVER_OK);
    drover_value *run = get(type, "run");
    drover_value *wait = get(type, "wait");
    assert_true(number(run, "count") == 1);
    assert_true(number(run, "p50_ms") > 300 * 0.94 && number(run, "p50_ms") < 300 * 1.06);
    assert_true(number(wait, "p99_ms") > 2000 * 0.94 && number(wait, "p99_ms") < 2000 * 1.1);
    drover_value_destroy(&run);
    drover_value_destroy(&wait);
    drover_value_destroy(&type);
    drover_value_destroy(&types);
    drover_value_destroy(&status);
}

static uint64_t permille_of(const struct times *times, enum times_kind kind, unsigned permille)
{
    uint64_t us;
    times_permilles(times, kind, &permille, &us, 1);
    return us;
}

/* Percentiles are within 6 %, of the last two windows, and places are bounded. */
static void test_times_are_near_recent_and_bounded(void **state)
{
    (void)state;
    struct times_registry registry;
    struct times *times = NULL;
    static struct times *many[TIMES_MAX + 8];
    times_registry_init(&registry);
    times_turn(&registry, 1);
    for (uint64_t us = 1; us <= 100000; us++) {
        times_record(&registry, &times, TIMES_RUN, times_bucket(us), 1);
    }
    for (unsigned permille = 10; permille <= 1000; permille += 10) {
        double wanted = permille * 100.0;
        double got = (double)permille_of(times, TIMES_RUN, permille);
        assert_true(got > wanted * 0.93 && got < wanted * 1.07);
    }
    assert_int_equal(times_count(times, TIMES_WAIT), 0);
    assert_int_equal(permille_of(times, TIMES_WAIT, 500), 0);
    times_record(&registry, &times, TIMES_WAIT, times_bucket(UINT64_MAX), 1);
    assert_true(permille_of(times, TIMES_WAIT, 1000) > 100000LL * SECOND);
    times_turn(&registry, 1 + TIMES_WINDOW_US);
    assert_int_equal(times_count(times, TIMES_RUN), 100000);
    times_turn(&registry, 1 + 2 * (int64_t)TIMES_WINDOW_US);
    assert_int_equal(times_count(times, TIMES_RUN), 0);
    for (size_t i = 0; i < TIMES_MAX + 8; i++) {
        times_record(&registry, &many[i], TIMES_RUN, times_bucket(1), 1);
    }
    assert_int_equal(registry.count, TIMES_MAX);
    assert_null(many[TIMES_MAX + 7]);
    times_registry_fini(&registry);
    assert_null(times);
}

/* Values of a task, as msgpack when they are, as bytes when not. */
static void test_values_are_payload_and_result(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_query query = {.topic = DRV_TOPIC_VALUES,
                              .has_id = true,
                              .id = id_of(100),
                              .index = DROVER_INDEX_NONE};
    drover_value *values = ask(bench, &query, NULL);
    drover_value *payload = get(values, "payload");
    assert_true(number(payload, "bytes") > 0);
    drover_value_destroy(&payload);
    drover_value_destroy(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_history_steps_hold_counts_and_levels, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_history_cursor_brings_what_is_new, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_history_of_a_standstill_is_nothing, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_history_of_a_worker_goes_with_it, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_history_of_a_queue_is_its_own, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_history_of_a_queue_outlives_it, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_histories_of_queues_are_bounded, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_status_has_times_of_queue_and_type, bench_setup,
                                        bench_teardown),
        cmocka_unit_test(test_times_are_near_recent_and_bounded),
        cmocka_unit_test_setup_teardown(test_values_are_payload_and_result, bench_setup,
                                        bench_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
