/* Leases in a worker's session: from LEASE to a settled result, and every way out. */
#include "session_fixture.h"

#include "data.h"

/* ---- the plain way --------------------------------------------------------------------------
 */

/* A lease is given to the pool in the turn in which it came, with all that belongs to it. */
static void test_lease_is_given_to_the_pool(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_lease_entry entry = fixture_entry(1, 1, "payload");
    entry.meta = drv_str_of("trace");
    fixture_lease_group(f, fixture_group("sleep", 0), &entry, 1);
    memset(&entry, 0xee, sizeof entry);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    assert_string_equal(f->seen.runs[0].type, "sleep");
    assert_string_equal(f->seen.runs[0].payload, "payload");
    assert_string_equal(f->seen.runs[0].meta, "trace");
    assert_int_equal(f->seen.runs[0].timeout_ms, 5000);
    assert_int_equal(f->seen.runs[0].ref.id.bytes[15], 1);
    assert_int_equal(f->seen.reports, 0);
    fixture_destroy(f);
}

/* A result is reported in the turn in which it came and kept until it is settled. */
static void test_lease_result_is_kept_until_settled(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    uint64_t key = fixture_run(f, 1);
    fixture_finish(f, key, "nine");
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    assert_string_equal(f->seen.results[0].value, "nine");
    assert_int_equal(f->seen.results[0].ref.handle, 101);
    assert_int_equal(f->seen.results[0].outcome, DRV_OUTCOME_SUCCEEDED);
    assert_int_equal(f->seen.started_count, 0);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 1);
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 0);
    assert_int_equal(numbers.held_bytes, 0);
    assert_int_equal(numbers.payload_bytes, 0);
    assert_int_equal(f->seen.reports, 0);
    fixture_destroy(f);
}

/* The error of a failed attempt is reported whole. */
static void test_lease_failure_is_reported_with_its_error(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_fail(f, key, DRV_OUTCOME_FAILED, DROVER_ERROR_CRASH);
    fixture_turn(f);
    assert_int_equal(f->seen.results[0].outcome, DRV_OUTCOME_FAILED);
    assert_int_equal(f->seen.results[0].error_kind, DROVER_ERROR_CRASH);
    assert_string_equal(f->seen.results[0].text, "why");
    assert_string_equal(f->seen.results[0].stderr_tail, "tail");
    fixture_destroy(f);
}

/* Settling one REPORT frees its results and no others. */
static void test_lease_settling_frees_only_that_report(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    uint64_t first = fixture_run(f, 1);
    uint64_t second = fixture_run(f, 2);
    fixture_finish(f, first, "one");
    fixture_turn(f);
    uint64_t token = f->seen.token;
    fixture_finish(f, second, "two");
    fixture_turn(f);
    worker_session_settled(f->session, token);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 1);
    worker_session_settled(f->session, token + 100);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 1);
    worker_session_settled(f->session, token + 1);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 0);
    fixture_destroy(f);
}

/* The pool gets no more than it takes; the rest waits in order. */
static void test_lease_pool_gets_no_more_than_it_takes(void **state)
{
    struct fixture *f = fixture_serving();
    for (uint8_t task = 1; task <= 5; task++) {
        fixture_lease(f, task, 0);
    }
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 2);
    uint64_t key = f->seen.runs[0].key;
    fixture_finish(f, key, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    assert_int_equal(f->seen.runs[0].ref.id.bytes[15], 3);
    fixture_destroy(f);
}

/* A type that the worker does not offer goes back as such. */
static void test_lease_of_unknown_type_goes_back(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_lease_entry entry = fixture_entry(1, 1, "");
    fixture_lease_group(f, fixture_group("nothing", 0), &entry, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    assert_int_equal(f->seen.returned_count, 1);
    assert_int_equal(f->seen.returned[0].reason, DRV_RETURN_NO_HANDLER);
    fixture_destroy(f);
}

/* The same attempt sent twice runs once. */
static void test_lease_sent_twice_runs_once(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_destroy(f);
}

/* Keys of ended leases find nothing, whatever the pool says about them. */
static void test_lease_late_word_of_the_pool_is_ignored(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    fixture_finish(f, key, "x");
    fixture_turn(f);
    worker_session_settled(f->session, f->seen.token);
    fixture_lease(f, 2, 0); /* takes the same slot */
    fixture_turn(f);
    assert_true(f->seen.runs[0].key != key);
    fixture_finish(f, key, "again");
    worker_session_task_started(f->session, key, f->now);
    worker_session_task_returned(f->session, key, f->now);
    worker_session_task_progress(f->session, key, 1, drv_str_of("x"), f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    fixture_destroy(f);
}

/* A value that came in one buffer is kept by reference, not copied. */
static void test_lease_large_values_are_kept_by_reference(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_data *data = NULL;
    assert_ok(drv_data_copy("large", 5, &data));
    struct drv_lease_entry entry = fixture_entry(1, 1, "");
    entry.val = (struct drv_val){.bytes = data->bytes, .len = 5, .data = data};
    fixture_lease_group(f, fixture_group("echo", 0), &entry, 1);
    assert_int_equal(atomic_load(&data->references), 2);
    fixture_turn(f);
    uint64_t key = f->seen.runs[0].key;
    struct drv_result result = {.outcome = DRV_OUTCOME_SUCCEEDED, .val = entry.val};
    worker_session_task_finished(f->session, key, &result, f->now);
    assert_int_equal(atomic_load(&data->references), 2); /* the result, not the payload */
    fixture_turn(f);
    worker_session_settled(f->session, f->seen.token);
    assert_int_equal(atomic_load(&data->references), 1);
    drv_data_unref(&data);
    fixture_destroy(f);
}

/* ---- STARTED, progress, batches -------------------------------------------------------------
 */

/* STARTED goes alone after a millisecond, not before. */
static void test_lease_started_goes_after_a_millisecond(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    assert_int_equal(f->next, f->now + MS);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 1);
    assert_int_equal(f->seen.started_count, 1);
    f->now += 5 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    fixture_destroy(f);
}

/* STARTED rides on a REPORT that goes anyway. */
static void test_lease_started_rides_on_a_result(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t first = fixture_run(f, 1);
    (void)fixture_run(f, 2);
    fixture_finish(f, first, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 1);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.started_count, 1);
    assert_int_equal(f->seen.started[0].id.bytes[15], 2);
    fixture_destroy(f);
}

/* Progress is thinned to one in 50 ms, and the last one counts. */
static void test_lease_progress_is_thinned(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    worker_session_task_progress(f->session, key, 100, drv_str_of("a"), f->now);
    worker_session_task_progress(f->session, key, 200, drv_str_of("b"), f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.progress_count, 1);
    assert_int_equal(f->seen.progress[0].permille, 200);
    assert_string_equal(f->seen.progress_text, "b");
    worker_session_task_progress(f->session, key, 300, drv_str_of("c"), f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.progress_count, 0);
    assert_int_equal(f->next, f->now + 50 * MS);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.progress_count, 1);
    assert_int_equal(f->seen.progress[0].permille, 300);
    fixture_destroy(f);
}

/* What speaks of its progress has started, also when the pool tells that later. */
static void test_lease_progress_tells_the_start_first(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    uint64_t key = f->seen.runs[0].key;
    worker_session_task_progress(f->session, key, 100, drv_str_of("a"), f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.progress_count, 1);
    assert_int_equal(f->seen.started_count, 1);
    worker_session_task_started(f->session, key, f->now);
    f->now += 100 * MS;
    fixture_turn(f);
    assert_int_equal(f->seen.started_count, 0);
    fixture_destroy(f);
}

/* Many results go in batches within the limits of one message. */
static void test_lease_results_go_in_batches(void **state)
{
    struct fixture *f = fixture_new();
    enum { COUNT = 1500 };
    static uint64_t keys[COUNT];
    f->config.slots = 1024;
    f->config.run_max = COUNT;
    fixture_start(f);
    fixture_welcome_as(f, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct drv_lease_entry entry = fixture_entry(1, 1, "p");
        entry.ref.index = i;
        fixture_lease_group(f, fixture_group("echo", 0), &entry, 1);
    }
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = f->seen.runs[i].key;
    }
    for (size_t i = 0; i < COUNT; i++) {
        fixture_finish(f, keys[i], "r");
    }
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, COUNT);
    assert_true(f->seen.reports >= 2);
    assert_true(f->seen.entries_max <= DRV_BATCH_MAX);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(f->seen.results[i].ref.index, i);
    }
    fixture_destroy(f);
}

/* One turn reports a bounded number of bytes; the next turn is due at once. */
static void test_lease_large_results_take_turns(void **state)
{
    struct fixture *f = fixture_new();
    static char large[60000];
    uint64_t keys[4];
    memset(large, 'x', sizeof large - 1);
    f->config.slots = f->config.run_max = 4;
    f->config.report_bytes_max = 100000;
    fixture_start(f);
    fixture_welcome_as(f, false);
    for (size_t i = 0; i < 4; i++) {
        fixture_lease(f, (uint8_t)(i + 1), 0);
    }
    fixture_turn(f);
    for (size_t i = 0; i < 4; i++) {
        keys[i] = f->seen.runs[i].key;
    }
    for (size_t i = 0; i < 4; i++) {
        fixture_finish(f, keys[i], large);
    }
    size_t results = 0;
    for (int turn = 0; turn < 4 && results < 4; turn++) {
        fixture_turn(f);
        results += f->seen.result_count;
        assert_true(f->seen.result_count <= 4);
        assert_true(results == 4 || f->next <= f->now);
    }
    assert_int_equal(results, 4);
    fixture_destroy(f);
}

/* While the link is full nothing is reported; nothing is lost by that. */
static void test_lease_blocked_link_delays_reports(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    worker_session_set_blocked(f->session, true);
    fixture_finish(f, key, "x");
    fixture_turn(f);
    assert_int_equal(f->seen.reports, 0);
    assert_true(f->next > f->now);
    worker_session_set_blocked(f->session, false);
    fixture_turn(f);
    assert_int_equal(f->seen.result_count, 1);
    fixture_destroy(f);
}

/* ---- shared values --------------------------------------------------------------------------
 */

static void share(struct fixture *f, uint8_t task, const char *value)
{
    struct drv_message message = {.kind = DRV_SHARED};
    message.shared.id = fixture_ref(task, 1).id;
    message.shared.val = value == NULL ? (struct drv_val){.is_nil = true}
                                       : (struct drv_val){.bytes = (const uint8_t *)value,
                                                          .len = strlen(value)};
    fixture_receive(f, &message);
}

/* Elements get what their array shares, until it is dropped. */
static void test_shared_value_comes_with_its_elements(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    share(f, 1, "common");
    fixture_lease(f, 1, DRV_LEASE_SHARED);
    fixture_lease(f, 2, 0);
    fixture_turn(f);
    assert_string_equal(f->seen.runs[0].shared, "common");
    assert_string_equal(f->seen.runs[1].shared, "");
    share(f, 1, NULL);
    fixture_turn(f);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.shared_bytes, 0);
    fixture_destroy(f);
}

/* A lease that waits keeps what it shares, although it was dropped meanwhile. */
static void test_shared_value_lives_as_long_as_a_lease_needs_it(void **state)
{
    struct fixture *f = fixture_serving();
    share(f, 3, "common");
    fixture_lease(f, 1, 0);
    fixture_lease(f, 2, 0);
    fixture_lease(f, 3, DRV_LEASE_SHARED);
    share(f, 3, NULL);
    fixture_turn(f);
    fixture_finish(f, f->seen.runs[0].key, "x");
    fixture_turn(f);
    assert_string_equal(f->seen.runs[0].shared, "common");
    fixture_destroy(f);
}

/* What no lease needs is forgotten beyond the bound, the longest unused first; a lease that
 * needs it then makes the worker ask again by a new connection. */
static void test_shared_values_are_bounded(void **state)
{
    struct fixture *f = fixture_new();
    struct worker_session_numbers numbers;
    f->config.shared_bytes_max = 12;
    fixture_start(f);
    fixture_welcome_as(f, false);
    share(f, 1, "111111");
    share(f, 2, "222222");
    share(f, 3, "333333");
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.shared_bytes, 12);
    fixture_lease(f, 3, DRV_LEASE_SHARED);
    fixture_turn(f);
    assert_string_equal(f->seen.runs[0].shared, "333333");
    fixture_lease(f, 1, DRV_LEASE_SHARED);
    fixture_turn(f);
    assert_int_equal(f->seen.losses, 1);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.attached_count, 1); /* the missing one goes back */
    assert_int_equal(f->seen.attached[0].id.bytes[15], 3);
    fixture_destroy(f);
}

/* ---- bounds ---------------------------------------------------------------------------------
 */

/* At the bound of held results, in number, nothing new starts. */
static void test_held_results_are_bounded_in_number(void **state)
{
    struct fixture *f = fixture_new();
    f->config.held_count_max = 2;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_finish(f, fixture_run(f, 1), "x");
    fixture_finish(f, fixture_run(f, 2), "x");
    fixture_turn(f);
    uint64_t token = f->seen.token;
    fixture_lease(f, 3, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    worker_session_settled(f->session, token);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_destroy(f);
}

/* The same in bytes. */
static void test_held_results_are_bounded_in_bytes(void **state)
{
    struct fixture *f = fixture_new();
    f->config.held_bytes_max = 1000;
    static char large[2000];
    memset(large, 'x', sizeof large - 1);
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_finish(f, fixture_run(f, 1), large);
    fixture_turn(f);
    uint64_t token = f->seen.token;
    fixture_lease(f, 2, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    worker_session_settled(f->session, token);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    fixture_destroy(f);
}

/* Too many bytes of payload waiting: messages stay unsettled, which closes the window. */
static void test_waiting_payloads_close_the_window(void **state)
{
    struct fixture *f = fixture_new();
    f->config.payload_bytes_max = 15;
    fixture_start(f);
    fixture_welcome_as(f, false);
    for (uint8_t task = 1; task <= 4; task++) {
        fixture_lease(f, task, 0); /* 7 bytes each */
    }
    fixture_turn(f);
    assert_int_equal(f->seen.settled, 0);
    worker_session_task_started(f->session, f->seen.runs[0].key, f->now);
    worker_session_task_started(f->session, f->seen.runs[1].key, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.settled, 5);
    fixture_destroy(f);
}

/* Refused results are dropped like taken ones, and counted. */
static void test_stale_results_are_counted(void **state)
{
    struct fixture *f = fixture_serving();
    struct worker_session_numbers numbers;
    const struct drv_note note = {.seq = 3, .code = DROVER_STALE};
    struct drv_message ack = {.kind = DRV_ACK, .ack_notes = {.notes = &note, .note_count = 1}};
    fixture_receive(f, &ack);
    fixture_turn(f);
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.stale, 1);
    fixture_destroy(f);
}

/* What a waiting lease shares stays for the rest of its array, bound or not. */
static void test_shared_values_in_use_stay(void **state)
{
    struct fixture *f = fixture_new();
    f->config.shared_bytes_max = 6;
    fixture_start(f);
    fixture_welcome_as(f, false);
    share(f, 1, "111111");
    fixture_lease(f, 1, DRV_LEASE_SHARED);
    share(f, 2, "222222");
    struct drv_lease_entry entry = fixture_entry(1, 2, "p");
    fixture_lease_group(f, fixture_group("echo", DRV_LEASE_SHARED), &entry, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 2);
    assert_string_equal(f->seen.runs[1].shared, "111111");
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_is_given_to_the_pool),
        cmocka_unit_test(test_lease_result_is_kept_until_settled),
        cmocka_unit_test(test_lease_failure_is_reported_with_its_error),
        cmocka_unit_test(test_lease_settling_frees_only_that_report),
        cmocka_unit_test(test_lease_pool_gets_no_more_than_it_takes),
        cmocka_unit_test(test_lease_of_unknown_type_goes_back),
        cmocka_unit_test(test_lease_sent_twice_runs_once),
        cmocka_unit_test(test_lease_late_word_of_the_pool_is_ignored),
        cmocka_unit_test(test_lease_large_values_are_kept_by_reference),
        cmocka_unit_test(test_lease_started_goes_after_a_millisecond),
        cmocka_unit_test(test_lease_started_rides_on_a_result),
        cmocka_unit_test(test_lease_progress_is_thinned),
        cmocka_unit_test(test_lease_progress_tells_the_start_first),
        cmocka_unit_test(test_lease_results_go_in_batches),
        cmocka_unit_test(test_lease_large_results_take_turns),
        cmocka_unit_test(test_lease_blocked_link_delays_reports),
        cmocka_unit_test(test_shared_value_comes_with_its_elements),
        cmocka_unit_test(test_shared_value_lives_as_long_as_a_lease_needs_it),
        cmocka_unit_test(test_shared_values_are_bounded),
        cmocka_unit_test(test_held_results_are_bounded_in_number),
        cmocka_unit_test(test_held_results_are_bounded_in_bytes),
        cmocka_unit_test(test_waiting_payloads_close_the_window),
        cmocka_unit_test(test_stale_results_are_counted),
        cmocka_unit_test(test_shared_values_in_use_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
