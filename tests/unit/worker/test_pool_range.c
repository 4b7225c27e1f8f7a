/*
 * Ranges through real executors: every element ends exactly once, with what became of it alone,
 * whatever happens between them.
 */
#include "pool_fixture.h"

#include "lengths.h"
#include "rng.h"

#include <signal.h>

enum { ELEMENTS_MAX = 1024, TOKENS_MAX = 8192 };

struct element {
    const char *json; /* payload; NULL: nil */
    unsigned ended, started;
    enum pool_outcome outcome;
    enum drover_error_kind kind;
    char text[256];
    int64_t number; /* INT64_MIN: its result is none */
    size_t value_len;
    bool is_raw;
    char output[256];
    uint64_t run_us;
};

struct stretch { /* of the elements, by token */
    uint32_t first, count;
};

struct array {
    struct pool *pool;
    size_t count;
    struct element elements[ELEMENTS_MAX];
    struct stretch stretches[TOKENS_MAX];
    uint64_t tokens;
    unsigned parts, rests, ranges;
    bool holds_back; /* what is given back stays here: */
    struct stretch held;
    int64_t counter; /* what handlers count in shared data */
    size_t left;
};

static struct array *open_array(size_t slots, size_t count, const char *json)
{
    char path[1024];
    const char *modules[] = {
        fixture_module("DROVER_TEST_MODULE_DIR", "mixed", path, sizeof(path))};
    struct pool_config config = {.slots = slots,
                                 .modules = modules,
                                 .module_count = 1,
                                 .executors_min = POOL_EXECUTORS_ALL};
    struct drv_problem problem = {.text = ""};
    struct array *array = calloc(1, sizeof(*array));
    assert_non_null(array);
    if (pool_new(&config, &problem, &array->pool)) {
        fail_msg("%s", problem.text);
    }
    array->count = array->left = count;
    for (size_t i = 0; i < count; i++) {
        array->elements[i].json = json;
    }
    return array;
}

static void close_array(struct array *array)
{
    pool_close(&array->pool);
    free(array);
}

static void pack(struct drv_buffer *bytes, struct drv_buffer *lengths, const char *json)
{
    uint8_t head[DRV_LENGTH_BYTES_MAX];
    char why[256];
    drover_value *value = NULL;
    const void *encoded = NULL;
    size_t len = 0;
    if (json != NULL) {
        assert_ok(drover_value_from_json(json, strlen(json), &value, why, sizeof(why)));
        drover_value_bytes(value, &encoded, &len);
        assert_ok(drv_buffer_append(bytes, encoded, len));
    }
    assert_ok(drv_buffer_append(lengths, head, drv_lengths_put(head, json == NULL, len)));
    drover_value_destroy(&value);
}

static struct pool_value value_of(struct drv_buffer *bytes)
{
    struct drv_data *data = NULL;
    assert_ok(drv_data_copy(bytes->bytes, bytes->len, &data));
    drv_buffer_fini(bytes);
    return (struct pool_value){.data = data, .view = drv_data_view(data)};
}

/* Elements from `first` on as one range, or as a single attempt when it is one. */
static uint64_t submit(struct array *array, uint32_t first, uint32_t count)
{
    struct drv_buffer bytes;
    struct drv_buffer lengths;
    struct pool_attempt attempt = fixture_attempt(++array->tokens, "mixed");
    drv_buffer_init(&bytes);
    drv_buffer_init(&lengths);
    assert_true(array->tokens < TOKENS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        pack(&bytes, &lengths, array->elements[first + i].json);
    }
    memset(&attempt.id, 1, sizeof(attempt.id));
    attempt.index = first;
    bool is_nil = bytes.len == 0;
    attempt.payload = value_of(&bytes);
    attempt.lengths = value_of(&lengths);
    struct drv_data *datas[] = {attempt.payload.data, attempt.lengths.data};
    if (is_nil) {
        attempt.payload = (struct pool_value){.data = NULL};
    }
    attempt.count = count > 1 ? count : 0;
    array->ranges += count > 1 ? 1 : 0;
    array->stretches[array->tokens] = (struct stretch){first, count};
    assert_ok(pool_submit(array->pool, &attempt));
    drv_data_unref(&datas[0]);
    drv_data_unref(&datas[1]);
    return array->tokens;
}

/* ---- what the pool tells --------------------------------------------------------------------
 */

static struct element *end(struct array *array, uint32_t index)
{
    struct element *element = &array->elements[index];
    assert_true(index < array->count);
    assert_int_equal(element->ended++, 0);
    array->left--;
    element->number = INT64_MIN;
    return element;
}

static void take_value(struct element *element, const struct drv_val *val)
{
    drover_value *value = NULL;
    element->value_len = val->is_nil ? 0 : val->len;
    if (!val->is_nil) {
        assert_ok(drover_value_from_msgpack(val->bytes, val->len, &value));
        (void)!drover_value_get_int(value, &element->number);
        drover_value_destroy(&value);
    }
}

static void on_part(struct array *array, const struct pool_event *event)
{
    struct stretch *stretch = &array->stretches[event->token];
    const struct drv_str lengths = {(const char *)event->part.lengths.bytes,
                                    event->part.lengths.len};
    struct drv_lengths walk = drv_lengths_of(lengths, event->part.bytes.bytes,
                                             event->part.bytes.len);
    array->parts++;
    assert_in_range(event->part.count, 1, stretch->count);
    assert_int_equal(drv_lengths_count(lengths, event->part.bytes.len), event->part.count);
    for (uint32_t i = 0; i < event->part.count; i++) {
        struct drv_val val;
        struct element *element = end(array, stretch->first + i);
        assert_true(drv_lengths_next(&walk, &val));
        element->outcome = POOL_SUCCEEDED;
        element->run_us = event->part.run_us;
        take_value(element, &val);
    }
    stretch->first += event->part.count;
    stretch->count -= event->part.count;
    assert_int_equal(event->part.is_last, stretch->count == 0);
}

static void on_finished(struct array *array, const struct pool_event *event)
{
    const struct stretch *stretch = &array->stretches[event->token];
    const struct pool_value *value = &event->finished.value;
    assert_int_equal(stretch->count, 1);
    struct element *element = end(array, stretch->first);
    element->outcome = event->finished.outcome;
    element->kind = event->finished.error_kind;
    element->run_us = event->finished.run_us;
    fixture_copy(element->text, sizeof(element->text), event->finished.text);
    if (value->content_type.len > 0 || element->outcome == POOL_AWAITS) {
        element->is_raw = true;
        element->value_len = value->view.len;
    } else {
        const struct drv_val val = {
            .bytes = value->view.bytes, .len = value->view.len, .is_nil = value->data == NULL};
        take_value(element, &val);
    }
}

static void on_rest(struct array *array, const struct pool_event *event)
{
    struct stretch *stretch = &array->stretches[event->token];
    uint32_t kept = event->rest.index - stretch->first;
    array->rests++;
    assert_true(event->rest.index > stretch->first);
    assert_int_equal(event->rest.index + event->rest.count, stretch->first + stretch->count);
    stretch->count = kept;
    if (array->holds_back) {
        array->held = (struct stretch){event->rest.index, event->rest.count};
    } else {
        (void)submit(array, event->rest.index, event->rest.count);
    }
}

/* Whose turn it is to run the element. Any element takes long on a busy machine, and what
 * stands behind it is given back then: it need not be the range that was submitted. */
static uint64_t token_at(const struct array *array, uint32_t index)
{
    for (uint64_t token = array->tokens; token > 0; token--) {
        const struct stretch *stretch = &array->stretches[token];
        if (stretch->first == index && stretch->count > 0) {
            return token;
        }
    }
    fail_msg("element %u is in no range", (unsigned)index);
    return 0;
}

static void on_event(void *context, const struct pool_event *event)
{
    struct array *array = context;
    struct stretch *stretch = &array->stretches[event->token];
    struct element *element = &array->elements[stretch->first];
    assert_true(event->token > 0 && event->token <= array->tokens);
    switch (event->kind) {
    case POOL_PART:
        on_part(array, event);
        return;
    case POOL_REST:
        on_rest(array, event);
        return;
    case POOL_FINISHED:
        on_finished(array, event);
        return;
    case POOL_RETURNED:
        assert_int_equal(event->returned.how, POOL_RETURN_UNSTARTED);
        (void)submit(array, stretch->first, stretch->count);
        return;
    case POOL_STARTED:
        assert_int_equal(stretch->count, 1);
        element->started++;
        return;
    case POOL_KV:
        assert_int_equal(stretch->count, 1);
        pool_kv_reply(array->pool, event->kv.request, DROVER_OK, NULL, ++array->counter);
        return;
    case POOL_PROGRESS:
        assert_int_equal(stretch->count, 1);
        (void)snprintf(element->output, sizeof(element->output), "progress");
        return;
    case POOL_OUTPUT:
        assert_int_equal(stretch->count, 1);
        fixture_copy(element->output, sizeof(element->output), event->output.bytes);
        return;
    }
}

static void turn(struct array *array, int64_t until_us)
{
    int64_t due_us = pool_deadline_us(array->pool);
    int64_t left_us = (due_us < until_us ? due_us : until_us) - fixture_now_us();
    struct pollfd fd = {.fd = pool_fd(array->pool), .events = POLLIN};
    if (left_us > 0) {
        (void)poll(&fd, 1, (int)((left_us + 999) / 1000));
    }
    assert_ok(pool_poll(array->pool, fixture_now_us(), on_event, array));
}

#define ARRAY_UNTIL(array, condition)                                                   \
    do {                                                                                \
        int64_t until_us = fixture_now_us() + test_deadline_ms(FIXTURE_WAIT_MS) * 1000; \
        while (!(condition)) {                                                          \
            turn((array), until_us);                                                    \
            if (fixture_now_us() >= until_us) {                                         \
                fail_msg("waited in vain for: %s", #condition);                         \
            }                                                                           \
        }                                                                               \
    } while (0)

static void run_all(struct array *array, uint32_t per_range)
{
    for (uint32_t at = 0; at < array->count; at += per_range) {
        uint32_t left = (uint32_t)array->count - at;
        (void)submit(array, at, left < per_range ? left : per_range);
    }
    ARRAY_UNTIL(array, array->left == 0 && pool_attempt_count(array->pool) == 0);
}

/* All but those that are named by their payload have succeeded with their square. */
static void assert_others(const struct array *array)
{
    for (size_t i = 0; i < array->count; i++) {
        const struct element *element = &array->elements[i];
        assert_int_equal(element->ended, 1);
        if (element->json != NULL && element->json[0] != '"') {
            int64_t number = strtoll(element->json, NULL, 10);
            assert_int_equal(element->outcome, POOL_SUCCEEDED);
            assert_int_equal(element->number, number * number);
        } else if (element->json == NULL) {
            assert_int_equal(element->value_len, 0);
        }
    }
}

/* ---- one behaviour each ---------------------------------------------------------------------
 */

/* A range of a thousand is one record down and one up. */
static void test_pool_range_succeeds_as_a_whole(void **state)
{
    struct array *array = open_array(1, 1000, "7");
    array->elements[3].json = array->elements[999].json = NULL;
    run_all(array, 1000);
    assert_others(array);
    assert_true(array->parts < 20); /* more than one, where the machine stood still meanwhile */
    assert_int_equal(array->elements[1].number, 49);
    close_array(array);
}

/* Of what is different, only the one that is so is told of, and with its own index. */
static void test_pool_range_offender_is_told_alone(void **state)
{
    static const struct {
        const char *json;
        enum pool_outcome outcome;
        enum drover_error_kind kind;
        const char *text, *output;
    } cases[] = {
        {"\"fail\"", POOL_FAILED, DROVER_ERROR_HANDLER, "element 5 fails", NULL},
        {"\"crash\"", POOL_FAILED, DROVER_ERROR_CRASH, "SEGV", "element 5 crashes\n"},
        {"\"exit\"", POOL_FAILED, DROVER_ERROR_CRASH, "exit code 7", NULL},
        {"\"print\"", POOL_SUCCEEDED, DROVER_ERROR_NONE, NULL, "element 5 prints\n"},
        {"\"log\"", POOL_SUCCEEDED, DROVER_ERROR_NONE, NULL, "element 5 logs\n"},
        {"\"progress\"", POOL_SUCCEEDED, DROVER_ERROR_NONE, NULL, "progress"},
        {"\"incr\"", POOL_SUCCEEDED, DROVER_ERROR_NONE, NULL, NULL},
        {"\"await\"", POOL_AWAITS, DROVER_ERROR_NONE, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct array *array = open_array(1, 12, "3");
        array->elements[5].json = cases[i].json;
        run_all(array, 12);
        assert_others(array);
        const struct element *element = &array->elements[5];
        assert_int_equal(element->outcome, cases[i].outcome);
        assert_int_equal(element->kind, cases[i].kind);
        if (cases[i].text != NULL && strstr(element->text, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].json, element->text);
        }
        if (cases[i].output != NULL) {
            assert_string_equal(element->output, cases[i].output);
        }
        for (size_t j = 0; j < array->count; j++) {
            assert_true(j == 5 || array->elements[j].output[0] == '\0');
        }
        close_array(array);
    }
}

/* Results that the shared memory has no room for, and raw ones, end the range and are whole. */
static void test_pool_range_large_and_raw_results_arrive(void **state)
{
    struct array *array = open_array(1, 20, "2");
    for (uint32_t i = 4; i < 10; i++) {
        array->elements[i].json = "\"big\"";
    }
    array->elements[15].json = "\"raw\"";
    run_all(array, 20);
    assert_others(array);
    for (uint32_t i = 4; i < 10; i++) {
        assert_int_equal(array->elements[i].value_len, 20003);
    }
    assert_true(array->elements[15].is_raw && array->elements[15].value_len == 3);
    close_array(array);
}

/* An element that takes long is told as started, and those behind it run elsewhere meanwhile.
 */
static void test_pool_range_long_element_frees_the_rest(void **state)
{
    struct array *array = open_array(2, 50, "4");
    array->elements[10].json = "\"wait\"";
    (void)submit(array, 0, 50);
    ARRAY_UNTIL(array, array->left == 1);
    assert_int_equal(array->elements[10].started, 1);
    assert_ok(pool_abort(array->pool, token_at(array, 10), 1000, 1000, fixture_now_us()));
    ARRAY_UNTIL(array, array->left == 0);
    assert_int_equal(array->elements[10].outcome, POOL_CANCELLED);
    assert_others(array);
    close_array(array);
}

/* A process that idles gets half of what another has before it. */
static void test_pool_range_is_shared_with_idle_executors(void **state)
{
    struct array *array = open_array(2, 400, "1");
    run_all(array, 400); /* now the type is known */
    for (size_t i = 0; i < array->count; i++) {
        array->elements[i] = (struct element){.json = i % 100 == 50 ? "\"slow\"" : "1"};
    }
    array->left = array->count;
    unsigned before = array->rests;
    run_all(array, 400);
    assert_true(array->rests > before);
    close_array(array);
}

/* Until the element is told as started; what is held before that goes on. */
static void until_started(struct array *array, uint32_t index)
{
    while (!array->elements[index].started) {
        ARRAY_UNTIL(array, array->elements[index].started || array->held.count > 0);
        if (array->held.count > 0 && array->held.first <= index) {
            struct stretch held = array->held;
            array->held.count = 0;
            (void)submit(array, held.first, held.count);
            pool_commit(array->pool, fixture_now_us());
        }
    }
}

/* What is recalled before it is placed, and what was not claimed yet, comes back; the others
 * run. */
static void test_pool_range_recall_gives_back_what_has_not_started(void **state)
{
    struct array *array = open_array(1, 60, "4");
    uint32_t index = 0;
    array->holds_back = true;
    array->elements[10].json = "\"wait\"";
    uint64_t token = submit(array, 0, 40);
    assert_int_equal(pool_abort(array->pool, token, 0, 0, fixture_now_us()), DROVER_NOT_READY);
    assert_ok(pool_recall_range(array->pool, token, 30, fixture_now_us(), &index));
    assert_int_equal(index, 30);
    array->stretches[token].count = 30;
    pool_commit(array->pool, fixture_now_us());
    until_started(array, 10);
    token = token_at(array, 10);
    assert_int_equal(array->elements[9].ended, 1);
    assert_int_equal(pool_recall_range(array->pool, token, 20, fixture_now_us(), &index),
                     DROVER_BUSY);
    uint64_t behind = submit(array, 40, 20);
    assert_ok(pool_recall_range(array->pool, behind, 40, fixture_now_us(), &index));
    assert_int_equal(index, 40);
    assert_int_equal(pool_recall_range(array->pool, behind, 40, fixture_now_us(), &index),
                     DROVER_UNKNOWN);
    assert_int_equal(pool_recall_range(array->pool, token, 0, fixture_now_us(), &index),
                     DROVER_BUSY);
    assert_ok(pool_abort(array->pool, token, 1000, 1000, fixture_now_us()));
    ARRAY_UNTIL(array, pool_attempt_count(array->pool) == 0);
    assert_int_equal(array->elements[10].outcome, POOL_CANCELLED);
    close_array(array);
}

/* An executor that scribbles over all it shares costs what it ran; the agent and others go on.
 */
static void test_pool_range_of_a_hostile_executor(void **state)
{
    struct array *array = open_array(2, 100, "6");
    array->elements[0].json = "\"scribble\"";
    array->elements[60].json = "\"scribble\"";
    (void)submit(array, 0, 50);
    (void)submit(array, 50, 50);
    ARRAY_UNTIL(array, array->left == 0 && pool_attempt_count(array->pool) == 0);
    assert_int_equal(array->elements[0].outcome, POOL_FAILED);
    for (size_t i = 0; i < array->count; i++) {
        const struct element *element = &array->elements[i];
        assert_true(element->outcome == POOL_FAILED || i == 60 || element->number == 36);
    }
    close_array(array);
}

/* What is no range is refused. */
static void test_pool_range_that_does_not_add_up_is_refused(void **state)
{
    struct array *array = open_array(1, 2, "1");
    struct drv_data *data = NULL;
    assert_ok(drv_data_copy("\x02\x02\x01\x02", 4, &data));
    struct pool_attempt attempt = fixture_attempt(1, "mixed");
    attempt.index = 0;
    attempt.count = 2;
    attempt.lengths = (struct pool_value){.data = data, .view = drv_view_of(data->bytes, 2)};
    attempt.payload = (struct pool_value){.data = data,
                                          .view = drv_view_of(data->bytes + 2, 1)};
    assert_int_equal(pool_submit(array->pool, &attempt), DROVER_INVALID);
    attempt.payload.view.len = 2;
    attempt.timeout_ms = 1;
    assert_int_equal(pool_submit(array->pool, &attempt), DROVER_INVALID);
    attempt.timeout_ms = 0;
    attempt.index = DROVER_INDEX_NONE - 1;
    assert_int_equal(pool_submit(array->pool, &attempt), DROVER_INVALID);
    drv_data_unref(&data);
    close_array(array);
}

/* Whatever is in an array, and however it is cut: each element ends once, as it should. */
static void test_pool_range_random_arrays_are_exact(void **state)
{
    static const char *const odd[] = {"\"fail\"", "\"crash\"", "\"print\"",
                                      "\"log\"",  "\"slow\"",  "\"big\"",
                                      "\"raw\"",  "\"exit\"",  "\"incr\""};
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    struct array *array = open_array(2, ELEMENTS_MAX, "5");
    for (size_t i = 0; i < 30; i++) {
        array->elements[drv_rng_below(&rng, ELEMENTS_MAX)].json =
            odd[drv_rng_below(&rng, sizeof(odd) / sizeof(odd[0]))];
    }
    run_all(array, 2 + (uint32_t)drv_rng_below(&rng, 300));
    assert_others(array);
    for (size_t i = 0; i < array->count; i++) {
        const struct element *element = &array->elements[i];
        const char *word = element->json;
        bool fails = strcmp(word, "\"fail\"") == 0 || strcmp(word, "\"crash\"") == 0 ||
                     strcmp(word, "\"exit\"") == 0;
        assert_int_equal(element->outcome, fails ? POOL_FAILED : POOL_SUCCEEDED);
        if (strcmp(word, "\"print\"") == 0 || strcmp(word, "\"slow\"") == 0) {
            assert_int_equal(element->number, (int64_t)i);
        }
    }
    close_array(array);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pool_range_succeeds_as_a_whole),
    cmocka_unit_test(test_pool_range_offender_is_told_alone),
    cmocka_unit_test(test_pool_range_large_and_raw_results_arrive),
    cmocka_unit_test(test_pool_range_long_element_frees_the_rest),
    cmocka_unit_test(test_pool_range_is_shared_with_idle_executors),
    cmocka_unit_test(test_pool_range_recall_gives_back_what_has_not_started),
    cmocka_unit_test(test_pool_range_of_a_hostile_executor),
    cmocka_unit_test(test_pool_range_that_does_not_add_up_is_refused),
    cmocka_unit_test(test_pool_range_random_arrays_are_exact),
};

TEST_MAIN(tests)
