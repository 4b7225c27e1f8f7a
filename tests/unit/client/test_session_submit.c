/* Submissions: coalescing, refusals, busy brokers, lost connections and sessions. */
#include "session_rig.h"

static void expect_taken(const struct rig_task *task, drover_status status)
{
    assert_int_equal(task->taken, 1);
    assert_int_equal(task->taken_status, status);
}

/* What is ready goes into one message; a new group begins where the spec changes. */
static void test_submit_ready_ones_travel_together(void **state)
{
    struct rig rig;
    struct rig_task tasks[4];
    struct drv_task_spec *square = rig_spec("square", -1, 0);
    struct drv_task_spec *cube = rig_spec("cube", -1, 0);
    rig_up(&rig);
    rig_submit(&rig, &tasks[0], 1, square);
    rig_submit(&rig, &tasks[1], 2, square);
    rig_submit(&rig, &tasks[2], 3, cube);
    rig_submit(&rig, &tasks[3], 4, square);
    rig_step(&rig, 0);
    assert_int_equal(rig.seen_count, 1);
    assert_int_equal(rig.seen[0].count, 4);
    assert_int_equal(rig.seen[0].group_count, 3);
    rig_reply_notes(&rig, 1, DROVER_OK, DROVER_DURABILITY_WRITTEN, NULL, 0);
    for (size_t i = 0; i < 4; i++) {
        expect_taken(&tasks[i], DROVER_OK);
        assert_int_equal(tasks[i].level, DROVER_DURABILITY_WRITTEN);
        rig_task_fini(&tasks[i]);
    }
    assert_int_equal(drv_session_submissions(rig.session), 0);
    assert_int_equal(drv_session_submission_bytes(rig.session), 0);
    drv_task_spec_unref(&square);
    drv_task_spec_unref(&cube);
    rig_close(&rig);
}

/* Tasks that ask for different levels travel apart: an answer names one level for all. */
static void test_submit_levels_travel_apart(void **state)
{
    static const drover_durability LEVELS[] = {DROVER_DURABILITY_DEFAULT,
                                               DROVER_DURABILITY_MEMORY};
    struct rig rig;
    struct rig_task tasks[2];
    rig_up(&rig);
    for (unsigned i = 0; i < 2; i++) {
        drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
        struct drv_task_spec *spec = NULL;
        options.durability = LEVELS[i];
        assert_ok(drv_task_spec_ensure(NULL, "square", &options, 0, &spec));
        rig_submit(&rig, &tasks[i], i + 1, spec);
        drv_task_spec_unref(&spec);
    }
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 2);
    rig_reply_notes(&rig, 1, DROVER_OK, DROVER_DURABILITY_SYNCED, NULL, 0);
    rig_reply_notes(&rig, 2, DROVER_OK, DROVER_DURABILITY_MEMORY, NULL, 0);
    assert_int_equal(tasks[0].level, DROVER_DURABILITY_SYNCED);
    assert_int_equal(tasks[1].level, DROVER_DURABILITY_MEMORY);
    for (unsigned i = 0; i < 2; i++) {
        rig_task_fini(&tasks[i]);
    }
    rig_close(&rig);
}

/* A message holds at most a batch. */
static void test_submit_many_fill_several_messages(void **state)
{
    enum { MANY = 2500 };
    struct rig rig;
    struct rig_task *tasks = calloc(MANY, sizeof(*tasks));
    struct drv_task_spec *spec = rig_spec("square", -1, 0);
    rig_up(&rig);
    for (unsigned i = 0; i < MANY; i++) {
        rig_submit(&rig, &tasks[i], i, spec);
    }
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 3);
    assert_int_equal(rig.seen[0].count, DRV_BATCH_MAX);
    assert_int_equal(rig.seen[2].count, MANY - 2 * DRV_BATCH_MAX);
    for (uint64_t i = 1; i <= 3; i++) {
        rig_reply(&rig, i, DROVER_OK);
    }
    for (unsigned i = 0; i < MANY; i++) {
        expect_taken(&tasks[i], DROVER_OK);
        rig_task_fini(&tasks[i]);
    }
    free(tasks);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Notes refuse single entries; the others are taken. */
static void test_submit_note_refuses_one(void **state)
{
    struct rig rig;
    struct rig_task tasks[3];
    struct drv_task_spec *spec = rig_spec("square", -1, 0);
    rig_up(&rig);
    for (unsigned i = 0; i < 3; i++) {
        rig_submit(&rig, &tasks[i], i + 1, spec);
    }
    rig_step(&rig, 0);
    struct drv_note notes[] = {{.position = 1, .code = DROVER_CONFLICT},
                               {.position = 9, .code = DROVER_CONFLICT}};
    rig_reply_notes(&rig, 1, DROVER_OK, 1, notes, 2);
    expect_taken(&tasks[0], DROVER_OK);
    expect_taken(&tasks[1], DROVER_CONFLICT);
    expect_taken(&tasks[2], DROVER_OK);
    for (size_t i = 0; i < 3; i++) {
        rig_task_fini(&tasks[i]);
    }
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Busy: tried again after the pause that the broker named, in the old order, before newer
 * ones. */
static void test_submit_busy_is_tried_again_in_order(void **state)
{
    struct rig rig;
    struct rig_task tasks[4];
    struct drv_task_spec *spec = rig_spec("square", -1, 0);
    rig_up(&rig);
    for (unsigned i = 0; i < 3; i++) {
        rig_submit(&rig, &tasks[i], i + 1, spec);
    }
    rig_step(&rig, 0);
    struct drv_note notes[] = {
        {.position = 2, .code = DROVER_BUSY, .retry_after_ms = 300},
        {.position = 1, .code = DROVER_BUSY, .retry_after_ms = 300},
    };
    rig_reply_notes(&rig, 1, DROVER_OK, 1, notes, 2);
    assert_true(drv_session_is_busy(rig.session));
    expect_taken(&tasks[0], DROVER_OK);
    rig_submit(&rig, &tasks[3], 4, spec);
    rig.seen_count = 0;
    rig_run(&rig, 290000);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 0);
    rig_run(&rig, 20000);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 1);
    const struct rig_seen *again = rig_last(&rig, DRV_SUBMIT);
    drover_id second = rig_id(2);
    drover_id fourth = rig_id(4);
    assert_int_equal(again->count, 3);
    assert_true(drover_id_equal(&again->id, &second));
    assert_true(drover_id_equal(&again->last_id, &fourth));
    assert_int_equal(again->request.req, 2);
    rig_reply(&rig, 2, DROVER_OK);
    assert_false(drv_session_is_busy(rig.session));
    for (size_t i = 0; i < 4; i++) {
        expect_taken(&tasks[i], DROVER_OK);
        rig_task_fini(&tasks[i]);
    }
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Who does not want to wait for a busy broker, or not that long, is told. */
static void test_submit_busy_ends_with_the_patience(void **state)
{
    struct rig rig;
    struct rig_task now;
    struct rig_task soon;
    struct rig_task behind;
    struct drv_task_spec *at_once = rig_spec("square", 0, 0);
    struct drv_task_spec *second = rig_spec("square", 1000, 0);
    rig_up(&rig);
    rig_submit(&rig, &now, 1, at_once);
    rig_submit(&rig, &soon, 2, second);
    rig_step(&rig, 0);
    rig_reply(&rig, 1, DROVER_BUSY);
    expect_taken(&now, DROVER_BUSY);
    assert_int_equal(soon.taken, 0);
    rig_submit(&rig, &behind, 3, second);
    for (uint64_t req = 2; soon.taken == 0; req++) {
        rig_run(&rig, 210000);
        if (soon.taken == 0) {
            rig_reply(&rig, req, DROVER_BUSY);
        }
        assert_true(req < 10);
    }
    expect_taken(&soon, DROVER_BUSY);
    rig_run(&rig, RIG_SECOND);
    if (behind.taken == 0) { /* it was on its way when its time was over */
        rig_reply(&rig, rig_last(&rig, DRV_SUBMIT)->request.req, DROVER_BUSY);
    }
    expect_taken(&behind, DROVER_BUSY);
    assert_int_equal(drv_session_submissions(rig.session), 0);
    rig_task_fini(&now);
    rig_task_fini(&soon);
    rig_task_fini(&behind);
    drv_task_spec_unref(&at_once);
    drv_task_spec_unref(&second);
    rig_close(&rig);
}

/* A reply that refuses the message refuses every entry. */
static void test_submit_refused_message_refuses_all(void **state)
{
    struct rig rig;
    struct rig_task tasks[2];
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_up(&rig);
    rig_submit(&rig, &tasks[0], 1, spec);
    rig_submit(&rig, &tasks[1], 2, spec);
    rig_step(&rig, 0);
    rig_reply(&rig, 1, DROVER_REFUSED);
    for (size_t i = 0; i < 2; i++) {
        expect_taken(&tasks[i], DROVER_REFUSED);
        assert_int_equal(tasks[i].ended, 0);
        rig_task_fini(&tasks[i]);
    }
    assert_false(drv_session_is_awaiting(rig.session));
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* A lost connection: the same message again. A lost session: unknown, but what was never sent
 * is sent under the new one. */
static void test_submit_is_never_sent_twice_blindly(void **state)
{
    struct rig rig;
    struct rig_task sent;
    struct rig_task unsent;
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_up(&rig);
    rig_submit(&rig, &sent, 1, spec);
    rig_step(&rig, 0);
    rig_reconnect(&rig, true);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 2);
    assert_int_equal(rig_last(&rig, DRV_SUBMIT)->request.req, 1);
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    rig_submit(&rig, &unsent, 2, spec);
    rig.next_us = 0;
    rig_run(&rig, 100000);
    rig_error(&rig, DROVER_SESSION_EXPIRED, "unknown", NULL, DRV_HELLO);
    expect_taken(&sent, DROVER_OUTCOME_UNKNOWN);
    rig.seen_count = 0;
    rig_step(&rig, 0);
    rig_welcome(&rig, false);
    drover_id second = rig_id(2);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 1);
    assert_true(drover_id_equal(&rig_last(&rig, DRV_SUBMIT)->id, &second));
    assert_int_equal(rig_last(&rig, DRV_SUBMIT)->request.req, 1);
    assert_int_equal(rig_count(&rig, DRV_WATCH), 0);
    rig_reply(&rig, 1, DROVER_OK);
    expect_taken(&unsent, DROVER_OK);
    rig_result(&rig, second, DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 4);
    assert_int_equal(unsent.ended, 1);
    rig_task_fini(&sent);
    rig_task_fini(&unsent);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Until it is sent, a submission can be taken back. */
static void test_submit_unsent_is_taken_back(void **state)
{
    struct rig rig;
    struct rig_task task;
    struct drv_task_spec *spec = rig_spec("square", -1, DRV_SPEC_WATCH);
    rig_open(&rig);
    rig_submit(&rig, &task, 1, spec);
    assert_true(drv_session_take_back(rig.session, &task.submission));
    assert_false(drv_session_take_back(rig.session, &task.submission));
    assert_false(drv_session_is_awaiting(rig.session));
    rig_step(&rig, 0);
    rig_welcome(&rig, false);
    assert_int_equal(rig_count(&rig, DRV_SUBMIT), 0);
    assert_int_equal(task.taken, 0);
    rig_task_fini(&task);
    rig_submit(&rig, &task, 1, spec);
    rig_step(&rig, 0);
    assert_false(drv_session_take_back(rig.session, &task.submission));
    rig_reply(&rig, 1, DROVER_OK);
    rig_result(&rig, rig_id(1), DROVER_INDEX_NONE, DROVER_STATE_SUCCEEDED, 4);
    rig_task_fini(&task);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* What is asked about a task after it was submitted leaves after the submit, connected or not.
 */
static void test_submit_leaves_before_what_is_asked_later(void **state)
{
    for (int is_up = 0; is_up < 2; is_up++) {
        struct rig rig;
        struct rig_task task;
        struct rig_ask early;
        struct rig_ask late;
        struct drv_task_spec *spec = rig_spec("square", -1, 0);
        rig_open(&rig);
        if (is_up) {
            rig_step(&rig, 0);
            rig_welcome(&rig, false);
        }
        rig_ask_init(&early, DRV_FORGET, rig_id(2));
        drv_session_ask(rig.session, &early.pending);
        rig_submit(&rig, &task, 1, spec);
        rig_ask_init(&late, DRV_CANCEL, rig_id(1));
        drv_session_ask(rig.session, &late.pending);
        if (!is_up) {
            rig_step(&rig, 0);
            rig_welcome(&rig, false);
        }
        rig_step(&rig, 0);
        size_t count = rig.seen_count;
        assert_true(count >= 3);
        assert_int_equal(rig.seen[count - 3].kind, DRV_FORGET);
        assert_int_equal(rig.seen[count - 2].kind, DRV_SUBMIT);
        assert_int_equal(rig.seen[count - 1].kind, DRV_CANCEL);
        for (uint64_t req = 1; req <= 3; req++) {
            rig_reply(&rig, req, DROVER_OK);
        }
        expect_taken(&task, DROVER_OK);
        rig_task_fini(&task);
        drv_task_spec_unref(&spec);
        rig_close(&rig);
    }
}

/* A large payload travels in pieces and arrives whole. */
static void test_submit_large_payload_arrives(void **state)
{
    enum { LARGE = 3 * 1024 * 1024 };
    struct rig rig;
    struct rig_task task;
    struct drv_task_spec *spec = rig_spec("square", -1, 0);
    uint8_t *bytes = calloc(1, LARGE);
    drover_value *value = NULL;
    rig_up(&rig);
    bytes[LARGE - 1] = 42;
    assert_ok(drover_value_new_raw(bytes, LARGE, "image/png", &value));
    rig_submit(&rig, &task, 1, spec);
    assert_true(drv_session_take_back(rig.session, &task.submission));
    drv_payload_fini(&task.submission.payload);
    assert_ok(drv_payload_init(&task.submission.payload, value));
    drv_session_submit(rig.session, &task.submission, rig.now_us);
    rig_step(&rig, 0);
    for (int i = 0; i < 100 && rig_count(&rig, DRV_SUBMIT) == 0; i++) {
        rig_step(&rig, 1000); /* acknowledgements make room in the window */
        drv_link_tick(rig.link, rig.now_us);
        rig_deliver(&rig);
    }
    assert_int_equal(rig_last(&rig, DRV_SUBMIT)->value_len, LARGE);
    assert_int_equal(rig_last(&rig, DRV_SUBMIT)->value_last, 42);
    rig_reply(&rig, 1, DROVER_OK);
    expect_taken(&task, DROVER_OK);
    drover_value_destroy(&value);
    free(bytes);
    rig_task_fini(&task);
    drv_task_spec_unref(&spec);
    rig_close(&rig);
}

/* Specs are shared for equal options and not for others. */
static void test_submit_spec_is_shared_when_equal(void **state)
{
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    struct drv_task_spec *first = NULL;
    struct drv_task_spec *other = NULL;
    drover_pair tag = {"a", "b"};
    assert_ok(drv_task_spec_ensure(NULL, "square", &options, 0, &first));
    assert_ok(drv_task_spec_ensure(first, "square", &options, 0, &other));
    assert_ptr_equal(first, other);
    drv_task_spec_unref(&other);
    options.priority = 1;
    assert_ok(drv_task_spec_ensure(first, "square", &options, 0, &other));
    assert_ptr_not_equal(first, other);
    drv_task_spec_unref(&other);
    options.priority = 0;
    options.tags = &tag;
    options.tag_count = 1;
    assert_ok(drv_task_spec_ensure(first, "square", &options, 0, &other));
    assert_ptr_not_equal(first, other);
    assert_int_equal(other->spec.tag_count, 1);
    drv_task_spec_unref(&other);
    drv_task_spec_unref(&first);
    assert_int_equal(drv_task_spec_ensure(NULL, "no type", &options, 0, &first),
                     DROVER_INVALID);
}

/* Options that make no sense are refused before anything is sent. */
static void test_submit_bad_options_are_refused(void **state)
{
    static const drover_submit_options DEFAULTS = DROVER_SUBMIT_OPTIONS_INIT;
    drover_submit_options out;
    const char *reason = NULL;
    drover_submit_options options = DEFAULTS;
    assert_ok(drv_options_resolve(NULL, &out, &reason));
    assert_int_equal(out.loss_budget, 3);
    assert_int_equal(out.keep_ms, -1);
    assert_int_equal(out.wait_ms, -1);
    assert_int_equal(out.ack_timeout_ms, 30000);
    assert_int_equal(out.backoff_max_ms, 60000);
    options.priority = 128;
    assert_int_equal(drv_options_resolve(&options, &out, &reason), DROVER_INVALID);
    options = DEFAULTS;
    options.queue = "two words";
    assert_int_equal(drv_options_resolve(&options, &out, &reason), DROVER_INVALID);
    options = DEFAULTS;
    options.meta = "x";
    options.meta_len = 1025;
    assert_int_equal(drv_options_resolve(&options, &out, &reason), DROVER_TOO_BIG);
    options = DEFAULTS;
    options.tag_count = 65;
    assert_int_equal(drv_options_resolve(&options, &out, &reason), DROVER_LIMIT);
    options = DEFAULTS;
    options.size = 0;
    assert_int_equal(drv_options_resolve(&options, &out, &reason), DROVER_INVALID);
    assert_non_null(reason);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_submit_ready_ones_travel_together),
    cmocka_unit_test(test_submit_levels_travel_apart),
    cmocka_unit_test(test_submit_many_fill_several_messages),
    cmocka_unit_test(test_submit_note_refuses_one),
    cmocka_unit_test(test_submit_busy_is_tried_again_in_order),
    cmocka_unit_test(test_submit_busy_ends_with_the_patience),
    cmocka_unit_test(test_submit_refused_message_refuses_all),
    cmocka_unit_test(test_submit_is_never_sent_twice_blindly),
    cmocka_unit_test(test_submit_unsent_is_taken_back),
    cmocka_unit_test(test_submit_leaves_before_what_is_asked_later),
    cmocka_unit_test(test_submit_large_payload_arrives),
    cmocka_unit_test(test_submit_spec_is_shared_when_equal),
    cmocka_unit_test(test_submit_bad_options_are_refused),
};

TEST_MAIN(tests)
