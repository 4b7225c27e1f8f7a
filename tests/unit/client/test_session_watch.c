/* Watches: who is told how a task ended, across lost connections and sessions. */
#include "session_rig.h"

static void watch(struct rig *rig, struct rig_task *task, unsigned number, bool wants_value)
{
    drover_id id = rig_id(number);
    rig_watcher_init(task, wants_value);
    assert_ok(drv_session_watch(rig->session, &task->watcher, &id, DROVER_INDEX_NONE, false));
}

/* Watches that are ready travel together; each is told once. */
static void test_watch_result_ends_it_once(void **state)
{
    struct rig rig;
    struct rig_task first;
    struct rig_task second;
    rig_up(&rig);
    watch(&rig, &first, 1, true);
    watch(&rig, &second, 2, true);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 1);
    assert_int_equal(rig_last(&rig, DRV_WATCH)->count, 2);
    rig_reply(&rig, 1, DROVER_OK);
    rig_result(&rig, rig_id(2), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 7);
    rig_result(&rig, rig_id(2), DROVER_INDEX_NONE, DROVER_STATE_FAILED, -1);
    assert_int_equal(first.ended, 0);
    assert_int_equal(second.ended, 1);
    assert_int_equal(second.end_status, DROVER_OK);
    int64_t number = 0;
    assert_ok(drover_value_get_int(drover_outcome_value(second.outcome), &number));
    assert_int_equal(number, 7);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_FAILED, -1);
    assert_int_equal(drover_outcome_status(first.outcome), DROVER_FAILED);
    assert_int_equal(drover_outcome_error_kind(first.outcome), DROVER_ERROR_HANDLER);
    assert_string_equal(drover_outcome_error_code(first.outcome), "bad");
    assert_string_equal(drover_outcome_error_text(first.outcome), "no good");
    assert_int_equal(drover_outcome_exit_code(first.outcome), -1);
    assert_null(drover_outcome_value(first.outcome));
    assert_false(drv_session_is_awaiting(rig.session));
    rig_task_fini(&first);
    rig_task_fini(&second);
    rig_close(&rig);
}

/* A note `unknown` ends a watch without an outcome. */
static void test_watch_unknown_task_is_told(void **state)
{
    struct rig rig;
    struct rig_task tasks[2];
    struct drv_note note = {.position = 1, .code = DROVER_UNKNOWN};
    rig_up(&rig);
    watch(&rig, &tasks[0], 1, true);
    watch(&rig, &tasks[1], 2, true);
    rig_step(&rig, 0);
    rig_reply_notes(&rig, 1, DROVER_OK, 0, &note, 1);
    assert_int_equal(tasks[0].ended, 0);
    assert_int_equal(tasks[1].ended, 1);
    assert_int_equal(tasks[1].end_status, DROVER_UNKNOWN);
    rig_task_fini(&tasks[0]);
    rig_task_fini(&tasks[1]);
    rig_close(&rig);
}

/* Several watchers share one watch. */
static void test_watch_is_shared(void **state)
{
    struct rig rig;
    struct rig_task first;
    struct rig_task second;
    rig_up(&rig);
    watch(&rig, &first, 1, true);
    rig_step(&rig, 0);
    watch(&rig, &second, 1, true);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 1);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 1);
    assert_int_equal(first.ended, 1);
    assert_int_equal(second.ended, 1);
    assert_ptr_equal(first.outcome, second.outcome);
    rig_task_fini(&first);
    rig_task_fini(&second);
    rig_close(&rig);
}

/* When the last watcher leaves, the broker is told. */
static void test_watch_last_leaver_unwatches(void **state)
{
    struct rig rig;
    struct rig_task first;
    struct rig_task second;
    rig_up(&rig);
    watch(&rig, &first, 1, true);
    watch(&rig, &second, 1, true);
    rig_step(&rig, 0);
    drv_session_unwatch(rig.session, &first.watcher);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_UNWATCH), 0);
    drv_session_unwatch(rig.session, &second.watcher);
    drv_session_unwatch(rig.session, &second.watcher);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_UNWATCH), 1);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 1);
    assert_int_equal(first.ended + second.ended, 0);
    rig_close(&rig);
}

/* States first, values later: a nil that may be no value is asked for again. */
static void test_watch_states_then_values_asks_again(void **state)
{
    struct rig rig;
    struct rig_task states;
    struct rig_task values;
    rig_up(&rig);
    watch(&rig, &states, 1, false);
    rig_step(&rig, 0);
    assert_int_equal(rig_last(&rig, DRV_WATCH)->flags & DRV_WATCH_STATES, DRV_WATCH_STATES);
    watch(&rig, &values, 1, true);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 2);
    assert_int_equal(rig_last(&rig, DRV_WATCH)->flags & DRV_WATCH_STATES, 0);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, -1);
    assert_int_equal(values.ended, 0);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 3);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 5);
    assert_int_equal(values.ended, 1);
    assert_int_equal(states.ended, 1);
    assert_int_equal(drover_value_get_type(drover_outcome_value(values.outcome)),
                     DROVER_VALUE_INT);
    rig_task_fini(&states);
    rig_task_fini(&values);
    rig_close(&rig);
}

/* A watch that came with a submit asks nothing; a resumed session keeps it. */
static void test_watch_of_submit_survives_reconnect(void **state)
{
    struct rig rig;
    struct rig_task task;
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_up(&rig);
    rig_submit(&rig, &task, 1, spec);
    rig_step(&rig, 0);
    rig_reply(&rig, 1, DROVER_OK);
    rig_reconnect(&rig, true);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 0);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 1);
    assert_int_equal(task.ended, 1);
    rig_task_fini(&task);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* In a fresh session it is asked for with the epoch and level of the acknowledgement, and a
 * task that the restart took ends with the kind `lost`. */
static void test_watch_after_lost_session_tells_lost(void **state)
{
    struct rig rig;
    struct rig_task task;
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_up(&rig);
    rig_submit(&rig, &task, 1, spec);
    rig_step(&rig, 0);
    rig_reply_notes(&rig, 1, DROVER_OK, DROVER_DURABILITY_MEMORY, NULL, 0);
    rig.epoch = 4;
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    rig.next_us = 0;
    rig_run(&rig, 60000);
    rig_error(&rig, DROVER_SESSION_EXPIRED, "unknown", NULL, DRV_HELLO);
    rig_step(&rig, 0);
    rig_welcome(&rig, false);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 1);
    assert_int_equal(rig_last(&rig, DRV_WATCH)->target_epoch, 3);
    assert_int_equal(rig_last(&rig, DRV_WATCH)->target_level, DROVER_DURABILITY_MEMORY);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_LOST, -1);
    assert_int_equal(task.ended, 1);
    assert_int_equal(drover_outcome_status(task.outcome), DROVER_LOST);
    assert_int_equal(drover_outcome_error_kind(task.outcome), DROVER_ERROR_LOST);
    assert_int_not_equal(drover_outcome_error_text(task.outcome)[0], '\0');
    rig_task_fini(&task);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* A result may be faster than the acknowledgement of its submit. */
static void test_watch_result_before_reply_counts(void **state)
{
    struct rig rig;
    struct rig_task task;
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_up(&rig);
    rig_submit(&rig, &task, 1, spec);
    rig_step(&rig, 0);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 1);
    assert_int_equal(task.ended, 1);
    assert_int_equal(task.taken, 0);
    rig_reply(&rig, 1, DROVER_OK);
    assert_int_equal(task.taken, 1);
    assert_false(drv_session_is_awaiting(rig.session));
    rig_task_fini(&task);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Elements of a watched array are told one by one, the array last. */
static void test_watch_array_tells_elements(void **state)
{
    struct rig rig;
    struct rig_task array;
    struct rig_task single;
    rig_up(&rig);
    watch(&rig, &array, 1, true);
    array.watcher.on_element = rig_on_element;
    rig_watcher_init(&single, true);
    drover_id id = rig_id(1);
    assert_ok(drv_session_watch(rig.session, &single.watcher, &id, 1, false));
    rig_step(&rig, 0);
    for (uint32_t i = 0; i < 3; i++) {
        rig_result(&rig, rig_id(1), i, DROVER_STATE_SUCCEEDED, (int)i);
    }
    assert_int_equal(array.elements, 3);
    assert_int_equal(array.ended, 0);
    assert_int_equal(single.ended, 1);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, -1);
    assert_int_equal(array.ended, 1);
    rig_task_fini(&array);
    rig_task_fini(&single);
    rig_close(&rig);
}

/* Those that come in one entry too, with a value or none each; also to who watches one alone.
 */
static void test_watch_ranges_tell_elements(void **state)
{
    struct rig rig;
    struct rig_task array;
    struct rig_task single;
    static const uint8_t VALUES[] = {7, 8}, LENGTHS[] = {2, 0, 2};
    rig_up(&rig);
    watch(&rig, &array, 1, true);
    array.watcher.on_element = rig_on_element;
    rig_watcher_init(&single, true);
    drover_id id = rig_id(1);
    assert_ok(drv_session_watch(rig.session, &single.watcher, &id, 12, false));
    rig_step(&rig, 0);
    struct drv_outcome entries[3] = {{.id = id, .index = 9, .state = DROVER_STATE_SUCCEEDED},
                                     {.id = id, .index = 10, .state = DROVER_STATE_SUCCEEDED},
                                     {.id = id, .index = 13, .state = DROVER_STATE_SUCCEEDED}};
    for (size_t i = 0; i < 3; i++) {
        entries[i].error.exit_code = -1;
        entries[i].val.is_nil = true;
    }
    entries[1].val = (struct drv_val){.bytes = VALUES, .len = 2};
    entries[1].range = (struct drv_range){3, {(const char *)LENGTHS, 3}};
    struct drv_message message = {.kind = DRV_RESULTS};
    message.results = (struct drv_results){entries, 3};
    rig_send(&rig, &message);
    assert_int_equal(array.elements, 5);
    assert_int_equal(single.ended, 1);
    int64_t number = 0;
    assert_ok(drover_value_get_int(drover_outcome_value(single.outcome), &number));
    assert_int_equal(number, 8);
    rig_task_fini(&array);
    rig_task_fini(&single);
    rig_close(&rig);
}

/* The acknowledgement of the last message received, as the broker sees it. */
static bool is_settled(struct rig *rig)
{
    rig_step(rig, 0);
    rig_run(rig, 5000);
    uint64_t token;
    bool settled = false;
    while (drv_link_settled(rig->link, &token)) {
        settled = true;
    }
    return settled;
}

static void send_result_with_token(struct rig *rig, unsigned number)
{
    uint8_t byte = 1;
    struct drv_outcome entry = {
        .id = rig_id(number), .index = DROVER_INDEX_NONE, .state = DROVER_STATE_SUCCEEDED};
    entry.val.bytes = &byte;
    entry.val.len = 1;
    entry.error.exit_code = -1;
    struct drv_message message = {.kind = DRV_RESULTS};
    message.results = (struct drv_results){&entry, 1};
    assert_ok(drv_link_send(rig->link, &message, number));
    rig_deliver(rig);
}

/* Results are settled when taken over, but not while unread ones are over the bound, unless
 * somebody waits for results. */
static void test_watch_unread_results_are_not_settled(void **state)
{
    struct rig rig;
    struct rig_task tasks[3];
    rig_up(&rig);
    for (unsigned i = 0; i < 3; i++) {
        watch(&rig, &tasks[i], i + 1, true);
    }
    rig_step(&rig, 0);
    send_result_with_token(&rig, 1);
    assert_true(is_settled(&rig));
    drv_session_count_unread(rig.session, 2000);
    assert_true(drv_session_is_over_unread(rig.session));
    send_result_with_token(&rig, 2);
    assert_false(is_settled(&rig));
    drv_session_count_readers(rig.session, 1);
    assert_true(is_settled(&rig));
    drv_session_count_readers(rig.session, -1);
    send_result_with_token(&rig, 3);
    assert_false(is_settled(&rig));
    drv_session_count_unread(rig.session, -1500);
    assert_true(is_settled(&rig));
    drv_session_count_unread(rig.session, -500);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tasks[i].ended, 1);
        rig_task_fini(&tasks[i]);
    }
    rig_close(&rig);
}

/* Bytes that claim to be msgpack and are not come as raw bytes. */
static void test_watch_odd_result_is_raw(void **state)
{
    struct rig rig;
    struct rig_task task;
    static const uint8_t ODD[] = {0xc1, 0xff};
    rig_up(&rig);
    watch(&rig, &task, 1, true);
    rig_step(&rig, 0);
    struct drv_outcome entry = {
        .id = rig_id(1), .index = DROVER_INDEX_NONE, .state = DROVER_STATE_SUCCEEDED};
    entry.val.bytes = ODD;
    entry.val.len = sizeof(ODD);
    entry.error.exit_code = -1;
    struct drv_message message = {.kind = DRV_RESULTS};
    message.results = (struct drv_results){&entry, 1};
    rig_send(&rig, &message);
    assert_int_equal(task.ended, 1);
    assert_string_equal(drover_value_content_type(drover_outcome_value(task.outcome)),
                        "application/octet-stream");
    rig_task_fini(&task);
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_watch_result_ends_it_once),
    cmocka_unit_test(test_watch_unknown_task_is_told),
    cmocka_unit_test(test_watch_is_shared),
    cmocka_unit_test(test_watch_last_leaver_unwatches),
    cmocka_unit_test(test_watch_states_then_values_asks_again),
    cmocka_unit_test(test_watch_of_submit_survives_reconnect),
    cmocka_unit_test(test_watch_after_lost_session_tells_lost),
    cmocka_unit_test(test_watch_result_before_reply_counts),
    cmocka_unit_test(test_watch_array_tells_elements),
    cmocka_unit_test(test_watch_ranges_tell_elements),
    cmocka_unit_test(test_watch_unread_results_are_not_settled),
    cmocka_unit_test(test_watch_odd_result_is_raw),
};

TEST_MAIN(tests)
