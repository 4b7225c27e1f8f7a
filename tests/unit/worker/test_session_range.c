/* What a worker's session makes of leases that are ranges: HELLO, LEASE, REPORT, RECALL, ABORT,
 * FOLLOW, ATTACH, drain. */
#include "session_fixture.h"

#include "lengths.h"
#include "pieces.h"

enum { ARRAY = 7, COUNT = 10 };

static const bool TAKES_RANGES[] = {true, true, false};

static struct fixture *serving(void)
{
    struct fixture *f = fixture_new();
    f->config.takes_ranges = TAKES_RANGES;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    return f;
}

static struct drv_ref ref_of(uint32_t index)
{
    struct drv_ref ref = fixture_ref(ARRAY, 1);
    ref.index = index;
    return ref;
}

/* "0123456789", a digit for each element, but for number 4, which is nil. */
static void lease_after(struct fixture *f, const char *type, const struct drv_parent *parent)
{
    static const char payloads[] = "012356789";
    static const char lengths[COUNT] = {2, 2, 2, 2, 0, 2, 2, 2, 2, 2};
    struct drv_lease_entry entry = {
        .ref = ref_of(0),
        .val = {.bytes = (const uint8_t *)payloads, .len = sizeof payloads - 1},
        .range = {COUNT, {lengths, sizeof lengths}},
        .parents = parent,
        .parent_count = parent != NULL ? 1 : 0};
    struct drv_lease_group group = fixture_group(type, 0);
    static const struct drv_count need = {{"gpu", 3}, 1};
    group.timeout_ms = 0;
    group.needs = &need;
    group.need_count = 1;
    fixture_lease_group(f, group, &entry, 1);
}

static void lease(struct fixture *f, const char *type)
{
    lease_after(f, type, NULL);
}

/* One that the pool has; its key. */
static uint64_t given(struct fixture *f)
{
    lease(f, "echo");
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    assert_int_equal(f->seen.runs[0].count, COUNT);
    return f->seen.runs[0].key;
}

/* The next ones have succeeded, each with an x. */
static void part(struct fixture *f, uint64_t key, uint32_t count)
{
    static const char values[] = "xxxxxxxxxx";
    static const char lengths[] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    const struct drv_result result = {.outcome = DRV_OUTCOME_SUCCEEDED,
                                      .val = {.bytes = (const uint8_t *)values, .len = count},
                                      .run_us = 100,
                                      .range = {count, {lengths, count}}};
    worker_session_task_part(f->session, key, &result, f->now);
}

static void rest(struct fixture *f, uint64_t key, uint32_t index)
{
    worker_session_task_rest(f->session, key, index, f->now);
}

static void say_abort(struct fixture *f, uint32_t index, uint32_t more, drover_status code)
{
    struct drv_abort_entry entry = {.ref = ref_of(index), .code = (uint32_t)code, .more = more};
    struct drv_message message = {.kind = DRV_ABORT,
                                  .abort = {.leases = &entry, .lease_count = 1}};
    fixture_receive(f, &message);
}

static void say_recall(struct fixture *f, uint32_t first, uint32_t count)
{
    struct drv_ref refs[COUNT];
    for (uint32_t i = 0; i < count; i++) {
        refs[i] = ref_of(first + i);
        refs[i].handle = 0; /* as a broker does that was started anew */
    }
    struct drv_message message = {.kind = DRV_RECALL,
                                  .leases = {.leases = refs, .lease_count = count}};
    fixture_receive(f, &message);
}

#define ASSERT_RESULT(f, n, first, elements, what)               \
    do {                                                         \
        assert_true((n) < (f)->seen.result_count);               \
        assert_int_equal((f)->seen.results[n].ref.index, first); \
        assert_int_equal((f)->seen.results[n].count, elements);  \
        assert_string_equal((f)->seen.results[n].value, what);   \
    } while (0)

#define ASSERT_RETURNED(f, n, first, elements, why)                 \
    do {                                                            \
        assert_true((n) < (f)->seen.returned_count);                \
        assert_int_equal((f)->seen.returned[n].ref.index, first);   \
        assert_int_equal((f)->seen.returned[n].more + 1, elements); \
        assert_int_equal((f)->seen.returned[n].reason, why);        \
    } while (0)

/* The worker says that it knows ranges, if there is a type that it can run as such. */
static void test_range_capability_is_said(void **state)
{
    struct fixture *f = fixture_new();
    f->config.takes_ranges = TAKES_RANGES;
    fixture_start(f);
    assert_int_equal(f->seen.hello.capability_count, 3);
    assert_string_equal(f->seen.hello.capabilities[1].ptr, "rows");
    assert_string_equal(f->seen.hello.capabilities[2].ptr, "ranges");
    fixture_destroy(f);
    f = fixture_new();
    fixture_start(f);
    assert_int_equal(f->seen.hello.capability_count, 2);
    fixture_destroy(f);
}

/* One lease, one task of the pool, one result. */
static void test_range_is_one_task_and_one_result(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    struct worker_session_numbers numbers;
    assert_string_equal(f->seen.runs[0].payload, "012356789");
    part(f, key, COUNT);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    ASSERT_RESULT(f, 0, 0, COUNT, "xxxxxxxxxx");
    assert_int_equal(f->seen.results[0].ref.handle, 107);
    worker_session_settled(f->session, f->seen.token);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held + numbers.given + numbers.payload_bytes, 0);
    assert_int_equal(numbers.finished, COUNT);
    fixture_destroy(f);
}

/* A type whose pool takes no ranges gets as many leases; the nil one has no payload. */
static void test_range_of_another_model_becomes_leases(void **state)
{
    struct fixture *f = fixture_new();
    f->config.takes_ranges = TAKES_RANGES;
    f->config.run_max = COUNT;
    fixture_start(f);
    fixture_welcome_as(f, false);
    lease(f, "sleep");
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        const char digit[] = {i == 4 ? '\0' : (char)('0' + i), '\0'};
        assert_int_equal(f->seen.runs[i].ref.index, i);
        assert_int_equal(f->seen.runs[i].count, 0);
        assert_string_equal(f->seen.runs[i].payload, digit);
    }
    fixture_destroy(f);
}

/* Payloads that came in pieces are put together: as one task, and as many. */
static void test_range_in_pieces_is_put_together(void **state)
{
    static const char lengths[] = {2, 2, 3};
    struct drv_data *data = NULL;
    assert_ok(drv_pieces_new(&data));
    assert_ok(drv_pieces_copy(data, drv_view_text("01")));
    assert_ok(drv_pieces_copy(data, drv_view_text("23")));
    const char *const types[] = {"echo", "sleep"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = serving();
        struct drv_lease_entry entry = {.ref = ref_of(0),
                                        .val = {.len = data->len, .data = data},
                                        .range = {3, {lengths, sizeof lengths}}};
        struct drv_lease_group group = fixture_group(types[i], 0);
        group.timeout_ms = 0;
        fixture_lease_group(f, group, &entry, 1);
        fixture_turn(f);
        assert_true(f->seen.run_count > 0);
        assert_int_equal(f->seen.runs[0].count, i == 0 ? 3 : 0);
        assert_string_equal(f->seen.runs[0].payload, i == 0 ? "0123" : "0");
        fixture_destroy(f);
    }
    assert_true(drv_data_is_pieces(data)); /* and nobody else's were touched */
    assert_int_equal(data->references, 1);
    drv_data_unref(&data);
}

/* A payload that came in pieces stays so until an executor gets it. */
static void test_range_free_lease_stays_in_pieces(void **state)
{
    struct fixture *f = serving();
    struct drv_data *data = NULL;
    assert_ok(drv_pieces_new(&data));
    assert_ok(drv_pieces_copy(data, drv_view_text("01")));
    struct drv_lease_entry entry = fixture_entry(1, 1, "");
    entry.val = (struct drv_val){.len = data->len, .data = data};
    fixture_lease_group(f, fixture_group("echo", 0), &entry, 1);
    assert_int_equal(data->references, 2);
    fixture_destroy(f);
    assert_int_equal(data->references, 1);
    drv_data_unref(&data);
}

/* What has waited for others runs one by one, each element with all of the parents. */
static void test_range_with_parents_becomes_leases(void **state)
{
    const struct drv_parent parent = {
        .id = {{9}}, .index = DROVER_INDEX_NONE, .state = DROVER_STATE_SUCCEEDED};
    struct fixture *f = fixture_new();
    f->config.takes_ranges = TAKES_RANGES;
    f->config.run_max = COUNT;
    fixture_start(f);
    fixture_welcome_as(f, false);
    lease_after(f, "echo", &parent);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(f->seen.runs[i].ref.index, i);
        assert_int_equal(f->seen.runs[i].count, 0);
        assert_int_equal(f->seen.runs[i].parent_count, 1);
    }
    fixture_destroy(f);
}

/* What the worker has no handler for, or no time, goes back in one entry. */
static void test_range_that_cannot_be_taken_goes_back(void **state)
{
    struct fixture *f = serving();
    lease(f, "unheard-of");
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    ASSERT_RETURNED(f, 0, 0, COUNT, DRV_RETURN_NO_HANDLER);
    worker_session_drain(f->session, f->now);
    lease(f, "echo");
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    ASSERT_RETURNED(f, 0, 0, COUNT, DRV_RETURN_DRAINING);
    fixture_destroy(f);
}

/* An element that fails: those before it are one result, it is its own, those behind run again.
 */
static void test_range_failure_in_the_middle(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    rest(f, key, 5);
    part(f, key, 4);
    fixture_fail(f, key, DRV_OUTCOME_FAILED, DROVER_ERROR_CRASH);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 2);
    ASSERT_RESULT(f, 0, 0, 4, "xxxx");
    ASSERT_RESULT(f, 1, 4, 0, "");
    assert_int_equal(f->seen.results[1].outcome, DRV_OUTCOME_FAILED);
    assert_string_equal(f->seen.results[1].text, "why");
    assert_int_equal(f->seen.run_count, 1);
    assert_int_equal(f->seen.runs[0].ref.index, 5);
    assert_int_equal(f->seen.runs[0].count, 5);
    assert_string_equal(f->seen.runs[0].payload, "56789");
    assert_true(f->seen.runs[0].needs_len > 0); /* every part has them */
    fixture_destroy(f);
}

/* An element that takes long is the only one that is said to have started. */
static void test_range_long_element_is_said_to_have_started(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    rest(f, key, 9);
    part(f, key, 8);
    worker_session_task_started(f->session, key, f->now);
    f->now += MS;
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.started[0].index, 8);
    ASSERT_RESULT(f, 0, 0, 8, "xxxxxxxx");
    assert_int_equal(f->seen.run_count, 1); /* number 9, on its own: it is no range */
    assert_int_equal(f->seen.runs[0].count, 0);
    assert_string_equal(f->seen.runs[0].payload, "9");
    fixture_print(f, key, DRV_OUTPUT_STDOUT, "abc");
    part(f, key, 1);
    fixture_turn(f);
    ASSERT_RESULT(f, 0, 8, 0, "x");
    assert_string_equal(f->seen.results[0].tail, "1:0 abc");
    fixture_destroy(f);
}

/* A range that the pool refuses fails in each of its elements. */
static void test_range_that_the_pool_refuses(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    fixture_fail(f, key, DRV_OUTCOME_FAILED, DROVER_ERROR_REFUSED);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(f->seen.results[i].ref.index, i);
        assert_int_equal(f->seen.results[i].error_kind, DROVER_ERROR_REFUSED);
    }
    fixture_destroy(f);
}

/* Where every element ends its range, they run one by one before long; and, when enough have
 * done so, together again. */
static void test_range_of_odd_elements_runs_one_by_one(void **state)
{
    enum { ODD_MANY = 20, ODD_MAX = 2000 }; /* elements that fail; ranges that come meanwhile */
    struct fixture *f = fixture_new();
    f->config.takes_ranges = TAKES_RANGES;
    f->config.run_max = 2 * COUNT;
    fixture_start(f);
    fixture_welcome_as(f, false);
    int failures = 0;
    int ranges = 0;
    bool is_over = false;
    while (!is_over) {
        lease(f, "echo");
        fixture_turn(f);
        uint32_t first_count = f->seen.runs[0].count;
        ranges++;
        assert_true(ranges < ODD_MAX + 10);
        is_over = first_count > 0 && ranges > ODD_MANY;
        while (f->seen.run_count > 0) {
            struct seen_task runs[2 * COUNT];
            size_t count = f->seen.run_count;
            memcpy(runs, f->seen.runs, count * sizeof runs[0]);
            for (size_t i = 0; i < count; i++) {
                if (runs[i].count > 0) {
                    rest(f, runs[i].key, runs[i].ref.index + 1);
                    failures++;
                }
                fixture_fail(f, runs[i].key, DRV_OUTCOME_FAILED, DROVER_ERROR_HANDLER);
            }
            fixture_turn(f);
            worker_session_settled(f->session, f->seen.token);
        }
        assert_true(failures <= ODD_MANY || is_over);
    }
    assert_in_range(ranges, ODD_MAX - 10, ODD_MAX + 10);
    fixture_destroy(f);
}

/* RECALL names an element: it and what is behind it go back, before it runs and while it does.
 */
static void test_range_recall_takes_the_end(void **state)
{
    struct fixture *f = serving();
    f->now += 2 * SECOND; /* heard of lately: it is given at once */
    worker_session_heard(f->session, f->now);
    uint64_t key = given(f);
    say_recall(f, 6, 3);
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 1);
    assert_int_equal(f->seen.revoked_from[0], 6);
    assert_int_equal(f->seen.returned_count, 0);
    rest(f, key, 7); /* number 6 had started */
    worker_session_task_part(
        f->session, key,
        &(struct drv_result){.outcome = DRV_OUTCOME_SUCCEEDED,
                             .val = {.bytes = (const uint8_t *)"abcdef", .len = 6},
                             .range = {6, {"\2\2\2\2\2\2", 6}}},
        f->now);
    worker_session_task_started(f->session, key, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 1);
    ASSERT_RETURNED(f, 0, 7, 3, DRV_RETURN_RECALLED);
    ASSERT_RESULT(f, 0, 0, 6, "abcdef");
    assert_int_equal(f->seen.started_count, 1); /* at once: somebody waits for the answer */
    assert_int_equal(f->seen.started[0].index, 6);
    fixture_destroy(f);
}

/* The same while it waits here, also when it has been split since. */
static void test_range_recall_of_a_waiting_one(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    rest(f, key, 3);
    fixture_turn(f); /* two parts in the pool */
    assert_int_equal(f->seen.run_count, 1);
    uint64_t second = f->seen.runs[0].key;
    say_recall(f, 1, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 2);
    assert_int_equal(f->seen.revoked_from[0], 1);
    assert_int_equal(f->seen.revoked_from[1], 3);
    rest(f, second, 3);
    rest(f, key, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 2);
    ASSERT_RETURNED(f, 0, 3, 7, DRV_RETURN_RECALLED);
    ASSERT_RETURNED(f, 1, 1, 2, DRV_RETURN_RECALLED);
    part(f, key, 1);
    fixture_turn(f);
    ASSERT_RESULT(f, 0, 0, 0, "x");
    fixture_destroy(f);
}

/* ABORT of some: they go back, those behind them wait here again. */
static void test_range_abort_of_some_elements(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    say_abort(f, 3, 1, DROVER_CANCELLED);
    say_abort(f, 8, 0, DROVER_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.revoked_from[0], 3);
    rest(f, key, 3);
    fixture_turn(f);
    assert_int_equal(f->seen.returned_count, 2);
    ASSERT_RETURNED(f, 0, 3, 2, DRV_RETURN_ABORTED);
    ASSERT_RETURNED(f, 1, 8, 1, DRV_RETURN_ABORTED);
    assert_int_equal(f->seen.run_count, 1); /* no more than run_max at a time */
    assert_string_equal(f->seen.runs[0].payload, "567");
    part(f, key, 3);
    fixture_turn(f);
    assert_string_equal(f->seen.runs[0].payload, "9");
    fixture_destroy(f);
}

/* ABORT of the one that runs: it is cancelled, once it is known which that is. */
static void test_range_abort_of_the_running_element(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    say_abort(f, 2, 0, DROVER_CANCELLED);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 0);
    rest(f, key, 3);
    part(f, key, 2);
    worker_session_task_started(f->session, key, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.cancel_count, 1);
    assert_int_equal(f->seen.cancelled[0], key);
    fixture_fail(f, key, DRV_OUTCOME_CANCELLED, DROVER_ERROR_CANCELLED);
    fixture_turn(f);
    ASSERT_RESULT(f, 0, 2, 0, "");
    assert_int_equal(f->seen.results[0].outcome, DRV_OUTCOME_CANCELLED);
    fixture_destroy(f);
}

/* ABORT stale of some: nobody is told of their results. */
static void test_range_stale_elements_are_not_reported(void **state)
{
    struct fixture *f = serving();
    struct worker_session_numbers numbers;
    uint64_t key = given(f);
    say_abort(f, 1, 1, DROVER_STALE);
    fixture_turn(f);
    part(f, key, 5); /* it was too late to ask anything back */
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 2);
    ASSERT_RESULT(f, 0, 0, 0, "x");
    ASSERT_RESULT(f, 1, 3, 2, "xx");
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.stale, 2);
    fixture_destroy(f);
}

/* A new connection: one entry for each part, and what is held comes again. */
static void test_range_reconnect_lists_and_repeats(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    rest(f, key, 6);
    part(f, key, 4);
    fixture_turn(f);
    ASSERT_RESULT(f, 0, 0, 4, "xxxx");
    fixture_reconnect(f);
    assert_int_equal(f->seen.hello.worker.lease_count, 3);
    assert_int_equal(f->seen.attached_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct drv_attached *attached = &f->seen.attached[i];
        assert_int_equal(attached->state, attached->index == 0 ? 3 : 1);
        assert_int_equal(attached->more, attached->index == 0   ? 3
                                         : attached->index == 4 ? 1
                                                                : 3);
    }
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    ASSERT_RESULT(f, 0, 0, 4, "xxxx");
    assert_int_equal(f->seen.results[0].ref.handle, 0);
    fixture_destroy(f);
}

/* The same lease twice is one; elements that are here already are not taken again. */
static void test_range_that_comes_twice_is_taken_once(void **state)
{
    struct fixture *f = serving();
    struct worker_session_numbers numbers;
    uint64_t key = given(f);
    lease(f, "echo");
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    part(f, key, 2);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.queued + numbers.given, 1);
    fixture_destroy(f);
}

/* Without contact nothing of it starts; with it again it does. */
static void test_range_is_held_back_without_contact(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    worker_session_broken(f->session, "cut", f->now);
    f->now += 3 * SECOND;
    fixture_turn(f);
    assert_int_equal(f->seen.revoke_count, 1);
    rest(f, key, 2);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    assert_string_equal(f->seen.runs[0].payload, "2356789");
    fixture_destroy(f);
}

/* FOLLOW of an element that waits in a range of the pool is remembered until it runs. */
static void test_range_follow_of_an_element(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    struct drv_follow_entry entry = {.ref = ref_of(5), .streams = 1U << DRV_OUTPUT_STDOUT};
    struct drv_message message = {.kind = DRV_FOLLOW,
                                  .follow = {.leases = &entry, .lease_count = 1}};
    fixture_receive(f, &message);
    rest(f, key, 6);
    part(f, key, 5);
    worker_session_task_started(f->session, key, f->now);
    fixture_print(f, key, DRV_OUTPUT_STDOUT, "abc");
    f->now += 50 * MS;
    fixture_turn(f);
    assert_true(f->seen.log_count > 0);
    assert_int_equal(f->seen.logs[0].ref.index, 5);
    fixture_destroy(f);
}

/* A drain: what has not started goes back, what runs may end. */
static void test_range_drain(void **state)
{
    struct fixture *f = serving();
    uint64_t key = given(f);
    worker_session_drain(f->session, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.revoked_from[0], 0);
    rest(f, key, 3);
    fixture_turn(f);
    ASSERT_RETURNED(f, 0, 3, 7, DRV_RETURN_DRAINING);
    part(f, key, 3);
    fixture_turn(f);
    ASSERT_RESULT(f, 0, 0, 3, "xxx");
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    assert_int_equal(f->seen.goodbyes, 1);
    fixture_destroy(f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_range_capability_is_said),
    cmocka_unit_test(test_range_is_one_task_and_one_result),
    cmocka_unit_test(test_range_of_another_model_becomes_leases),
    cmocka_unit_test(test_range_with_parents_becomes_leases),
    cmocka_unit_test(test_range_in_pieces_is_put_together),
    cmocka_unit_test(test_range_free_lease_stays_in_pieces),
    cmocka_unit_test(test_range_that_cannot_be_taken_goes_back),
    cmocka_unit_test(test_range_failure_in_the_middle),
    cmocka_unit_test(test_range_long_element_is_said_to_have_started),
    cmocka_unit_test(test_range_that_the_pool_refuses),
    cmocka_unit_test(test_range_of_odd_elements_runs_one_by_one),
    cmocka_unit_test(test_range_recall_takes_the_end),
    cmocka_unit_test(test_range_recall_of_a_waiting_one),
    cmocka_unit_test(test_range_abort_of_some_elements),
    cmocka_unit_test(test_range_abort_of_the_running_element),
    cmocka_unit_test(test_range_stale_elements_are_not_reported),
    cmocka_unit_test(test_range_reconnect_lists_and_repeats),
    cmocka_unit_test(test_range_that_comes_twice_is_taken_once),
    cmocka_unit_test(test_range_is_held_back_without_contact),
    cmocka_unit_test(test_range_follow_of_an_element),
    cmocka_unit_test(test_range_drain),
};

TEST_MAIN(tests)
