/*
 * Parents and children, over the worker's session: what a lease brings, what is fetched and
 * submitted for handlers, and attempts that end to wait.
 */
#include "child.h"
#include "record.h"
#include "session_fixture.h"

static void finish_awaiting(struct fixture *f, uint64_t key, const drover_id *ids, size_t count)
{
    struct drv_result result = {
        .outcome = WORKER_OUTCOME_AWAITS,
        .val = {.bytes = (const uint8_t *)ids, .len = count * sizeof *ids}};
    worker_session_task_finished(f->session, key, &result, f->now);
}

/* AWAIT is a message of its own, kept until it was settled, as a result is. */
static void test_await_is_sent_until_it_is_settled(void **state)
{
    struct fixture *f = fixture_serving();
    const drover_id ids[2] = {{{1}}, {{2}}};
    uint64_t first = fixture_run(f, 1), second = fixture_run(f, 2);
    finish_awaiting(f, first, ids, 2);
    fixture_finish(f, second, "four");
    fixture_turn(f);
    assert_int_equal(f->seen.awaits, 1);
    assert_int_equal(f->seen.await_count, 2);
    assert_int_equal(f->seen.await_ref.id.bytes[15], fixture_ref(1, 1).id.bytes[15]);
    assert_int_equal(f->seen.await_first.bytes[0], 1);
    assert_int_equal(f->seen.reports, 1);
    assert_int_equal(f->seen.result_count, 1);
    fixture_reconnect(f);
    assert_int_equal(f->seen.attached_count, 2);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.awaits, 1);
    assert_int_equal(f->seen.result_count, 1);
    worker_session_settled(f->session, f->seen.token);
    fixture_turn(f);
    struct worker_session_numbers numbers;
    worker_session_get_numbers(f->session, &numbers);
    assert_int_equal(numbers.held, 0);
    assert_int_equal(numbers.held_bytes, 0);
    fixture_destroy(f);
}

/* A byte behind the ids are the flags. */
static void test_await_says_what_is_owned(void **state)
{
    struct fixture *f = fixture_serving();
    drover_id ids[3] = {{{1}}, {{2}}, {{DRV_AWAIT_ALONG}}};
    finish_awaiting(f, fixture_run(f, 1), ids, 2);
    fixture_turn(f);
    assert_int_equal(f->seen.await_count, 2);
    assert_int_equal(f->seen.await_flags, 0);
    struct drv_result result = {
        .outcome = WORKER_OUTCOME_AWAITS,
        .val = {.bytes = (const uint8_t *)ids, .len = 2 * sizeof *ids + 1}};
    worker_session_task_finished(f->session, fixture_run(f, 2), &result, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.await_count, 2);
    assert_int_equal(f->seen.await_flags, DRV_AWAIT_ALONG);
    fixture_destroy(f);
}

/* A broker that does not know AWAIT is told a failure. */
static void test_await_fails_where_it_is_not_served(void **state)
{
    struct fixture *f = fixture_new();
    f->knows_no_await = true;
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    const drover_id id = {{1}};
    finish_awaiting(f, fixture_run(f, 1), &id, 1);
    fixture_turn(f);
    assert_int_equal(f->seen.awaits, 0);
    assert_int_equal(f->seen.result_count, 1);
    assert_int_equal(f->seen.results[0].outcome, DRV_OUTCOME_FAILED);
    fixture_destroy(f);
}

static void answer(struct fixture *f, const struct drv_reply *reply)
{
    struct drv_message message = {.kind = DRV_REPLY,
                                  .reply = {.replies = reply, .reply_count = 1}};
    fixture_receive(f, &message);
    fixture_turn(f);
}

/* A fetch is a question of its own kind; an error is told as a map. */
static void test_fetch_brings_a_value_or_an_error(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    struct record_fetch wanted = {.id = {{7}}, .index = 3};
    struct drv_kv question = {.op = WORKER_ASK_FETCH,
                              .key = {(const char *)&wanted, sizeof wanted},
                              .val = {.is_nil = true}};
    worker_session_task_kv(f->session, key, 5, &question, 1000, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.fetches, 1);
    assert_int_equal(f->seen.fetch.id.bytes[0], 7);
    assert_int_equal(f->seen.fetch.index, 3);
    const struct drv_reply reply = {.req = f->seen.fetch_req,
                                    .number = DROVER_STATE_FAILED,
                                    .val = {.is_nil = true},
                                    .error = {.kind = DROVER_ERROR_CRASH,
                                              .text = drv_str_of("gone"),
                                              .exit_code = -1,
                                              .signal = 11}};
    answer(f, &reply);
    assert_int_equal(f->seen.answer_count, 1);
    assert_int_equal(f->seen.answers[0].number, DROVER_STATE_FAILED);
    assert_non_null(strstr(f->seen.answer_value, "crash"));
    assert_non_null(strstr(f->seen.answer_value, "gone"));
    fixture_destroy(f);
}

/* A child is submitted with the session's numbers; a note is the answer. */
static void test_submit_of_a_child_is_asked_and_answered(void **state)
{
    struct fixture *f = fixture_serving();
    uint64_t key = fixture_run(f, 1);
    const drover_child_options options = DROVER_CHILD_OPTIONS_INIT;
    const drover_id id = {{9}};
    struct drv_buffer child;
    drv_buffer_init(&child);
    assert_ok(child_write(&child, "echo", &options, &id));
    assert_int_equal(child_write(&child, "no name", &options, &id), DROVER_INVALID);
    struct drv_kv question = {.op = WORKER_ASK_SUBMIT,
                              .key = {(const char *)child.bytes, child.len},
                              .val = {.bytes = (const uint8_t *)"5", .len = 1}};
    worker_session_task_kv(f->session, key, 5, &question, 1000, f->now);
    fixture_turn(f);
    assert_int_equal(f->seen.submits, 1);
    assert_string_equal(f->seen.submit_type, "echo");
    assert_int_equal(f->seen.submit_id.bytes[0], 9);
    const struct drv_note note = {.code = DROVER_BUSY};
    const struct drv_reply reply = {
        .req = f->seen.submit_req, .notes = &note, .note_count = 1, .val = {.is_nil = true}};
    answer(f, &reply);
    assert_int_equal(f->seen.answers[0].code, DROVER_BUSY);
    drv_buffer_fini(&child);
    fixture_destroy(f);
}

/* Whatever an executor writes, a child is read within its bytes or refused. */
static void test_child_is_read_within_its_bytes(void **state)
{
    const drover_child_after after = {.id = {{3}}, .index = DROVER_INDEX_NONE, .always = true};
    drover_child_options options = DROVER_CHILD_OPTIONS_INIT;
    const drover_id id = {{9}};
    struct drv_after read[DRV_AFTER_MAX];
    struct drv_spec spec;
    drover_id read_id;
    struct drv_buffer child;
    options.queue = "side";
    options.after = &after;
    options.after_count = 1;
    drv_buffer_init(&child);
    assert_ok(child_write(&child, "echo", &options, &id));
    assert_true(child_read(drv_buffer_view(&child), &read_id, &spec, read));
    assert_int_equal(spec.queue.len, 4);
    assert_int_equal(spec.after_count, 1);
    assert_int_equal(spec.after[0].when, 2);
    for (size_t len = 0; len < child.len; len++) {
        uint8_t *copy = malloc(len + 1); /* so that the sanitizer sees what is read beyond */
        assert_non_null(copy);
        memcpy(copy, child.bytes, len);
        assert_false(child_read(drv_view_of(copy, len), &read_id, &spec, read));
        free(copy);
    }
    drv_buffer_fini(&child);
}

/* Ids of children repeat, and differ from each other. */
static void test_child_ids_follow_from_their_parents(void **state)
{
    const drover_id parent = {{1, 2, 3, 4, 5, 6, 7}};
    drover_id one = drover_child_id(&parent, DROVER_INDEX_NONE, 0);
    drover_id again = drover_child_id(&parent, DROVER_INDEX_NONE, 0);
    drover_id other = drover_child_id(&parent, DROVER_INDEX_NONE, 1);
    drover_id element = drover_child_id(&parent, 0, 0);
    assert_true(drover_id_equal(&one, &again));
    assert_false(drover_id_equal(&one, &other));
    assert_false(drover_id_equal(&one, &element));
    assert_memory_equal(one.bytes, parent.bytes, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_await_is_sent_until_it_is_settled),
        cmocka_unit_test(test_await_says_what_is_owned),
        cmocka_unit_test(test_await_fails_where_it_is_not_served),
        cmocka_unit_test(test_fetch_brings_a_value_or_an_error),
        cmocka_unit_test(test_submit_of_a_child_is_asked_and_answered),
        cmocka_unit_test(test_child_is_read_within_its_bytes),
        cmocka_unit_test(test_child_ids_follow_from_their_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
