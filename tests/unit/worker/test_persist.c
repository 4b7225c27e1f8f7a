/*
 * Commands that stay and answer frames (persist_echo.py is one).
 */
#include "pool_fixture.h"

#include <signal.h>

static struct fixture *open_slots(size_t slots)
{
    static char script[1024];
    static const char *const argv[] = {"/usr/bin/python3", script};
    const struct pool_command commands[] = {
        {.type = "stay", .argv = argv, .argc = 2, .persist = true, .output_max = 1000000}};
    struct pool_config config = {.slots = slots, .commands = commands, .command_count = 1};
    const char *source = getenv("DROVER_SOURCE_DIR");
    assert_non_null(source);
    (void)snprintf(script, sizeof(script), "%s/tests/unit/worker/persist_echo.py", source);
    return fixture_new(&config);
}

static struct seen *run(struct fixture *fixture, uint64_t token, const char *json)
{
    fixture_submit(fixture, token, "stay", json);
    return fixture_finish(fixture, token);
}

/* The pid of the program, which tells of the task besides. */
static int64_t ask_pid(struct fixture *fixture, uint64_t token)
{
    drover_value *item;
    int64_t pid;
    struct seen *seen = run(fixture, token, "{\"do\":\"pid\"}");
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_ok(drover_value_array_get(seen->value, 0, &item));
    assert_ok(drover_value_get_int(item, &pid));
    drover_value_destroy(&item);
    return pid;
}

/* One process answers attempt after attempt; it is told what it runs. */
static void test_persist_program_stays(void **state)
{
    struct fixture *fixture = open_slots(1);
    int64_t pid = ask_pid(fixture, 1);
    assert_int_equal(ask_pid(fixture, 2), pid);
    struct pool_attempt attempt = fixture_attempt(3, "stay");
    char id[DROVER_ID_TEXT_LEN + 1];
    char expected[128];
    attempt.index = 4;
    attempt.attempt = 2;
    drover_id_format(&attempt.id, id);
    (void)snprintf(expected, sizeof(expected), "[%" PRId64 ",\"%s\",4,2,\"stay\"]", pid, id);
    fixture_submit_as(fixture, &attempt, "{\"do\":\"pid\"}");
    fixture_assert_json(fixture_finish(fixture, 3)->value, expected);
    fixture_assert_json(run(fixture, 4, "{\"do\":\"echo\",\"value\":{\"a\":[1,null]}}")->value,
                        "{\"a\":[1,null]}");
    fixture_free(fixture);
}

/* Errors, progress and log lines of the program are those of the attempt. */
static void test_persist_errors_and_progress(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct seen *seen = run(fixture, 1, "{\"do\":\"error\"}");
    assert_int_equal(seen->kind, DROVER_ERROR_HANDLER);
    assert_string_equal(seen->code, "sorry");
    assert_string_equal(seen->text, "as asked");
    assert_true(seen->permanent);
    seen = run(fixture, 2, "{\"do\":\"progress\"}");
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_null(seen->value);
    assert_int_equal(seen->progress_count, 1);
    assert_string_equal(seen->log, "half way");
    assert_int_equal(seen->output_len[POOL_STREAM_DATA], 4);
    assert_memory_equal(seen->output[POOL_STREAM_DATA].bytes,
                        "\x92\x01\xa1"
                        "a",
                        4);
    assert_int_equal(seen->output_len[POOL_STREAM_STDERR], 10);
    fixture_free(fixture);
}

/* A raw payload arrives as bytes with its content type. */
static void test_persist_raw_payload(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct drv_data *data;
    assert_ok(drv_data_new(1000000, &data));
    memset(data->bytes, 0, data->len);
    struct pool_attempt attempt = fixture_attempt(1, "stay");
    attempt.payload = (struct pool_value){.data = data,
                                          .view = drv_data_view(data),
                                          .content_type = drv_view_text("image/x-test")};
    assert_ok(pool_submit(fixture->pool, &attempt));
    drv_data_unref(&data);
    fixture_assert_json(fixture_finish(fixture, 1)->value, "[\"image/x-test\",1000000]");
    fixture_free(fixture);
}

/* A program that ends is a crash of that attempt only; the next one starts it anew. */
static void test_persist_end_of_program_is_a_crash(void **state)
{
    struct fixture *fixture = open_slots(1);
    int64_t pid = ask_pid(fixture, 1);
    struct seen *seen = run(fixture, 2, "{\"do\":\"exit\",\"code\":5}");
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_int_equal(seen->exit_code, 5);
    assert_string_equal(seen->stderr_tail, "going\n");
    assert_true(ask_pid(fixture, 3) != pid);
    fixture_free(fixture);
}

/* Frames that are none, or far too long, end the program and the attempt. */
static void test_persist_bad_frames_fail(void **state)
{
    struct fixture *fixture = open_slots(1);
    assert_string_equal(run(fixture, 1, "{\"do\":\"garbage\"}")->code, "bad-frame");
    assert_int_equal(run(fixture, 2, "{\"do\":\"huge\"}")->kind, DROVER_ERROR_LIMIT);
    (void)ask_pid(fixture, 3);
    fixture_free(fixture);
}

/* Waits until the program has made this file (NULL: none), or is gone. */
static void until_said(struct fixture *fixture, const char *path, pid_t pid)
{
    int64_t until_us = fixture_now_us() + test_deadline_ms(FIXTURE_WAIT_MS) * 1000;
    while (path != NULL && access(path, F_OK) != 0 && kill(pid, 0) == 0) {
        assert_true(fixture_now_us() < until_us);
        assert_ok(fixture_turn(fixture, fixture_now_us() + 5000));
    }
}

/* What a program says beyond its answer answers nothing that is asked later: it is started
 * anew. */
static void expect_surplus_is_dropped(struct fixture *fixture, uint64_t token, const char *json,
                                      const char *path)
{
    int64_t pid = ask_pid(fixture, token);
    fixture_assert_json(run(fixture, token + 1, json)->value, "\"said\"");
    until_said(fixture, path, (pid_t)pid);
    fixture_assert_json(run(fixture, token + 2, "{\"do\":\"echo\",\"value\":7}")->value, "7");
    assert_int_not_equal(ask_pid(fixture, token + 3), pid);
}

static void test_persist_surplus_frames_answer_nothing(void **state)
{
    char directory[] = "/tmp/drover-test-XXXXXX";
    char path[64];
    char later[128];
    struct fixture *fixture = open_slots(1);
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/said", directory);
    (void)snprintf(later, sizeof(later), "{\"do\":\"later\",\"path\":\"%s\"}", path);
    expect_surplus_is_dropped(fixture, 1, "{\"do\":\"twice\"}", NULL);
    expect_surplus_is_dropped(fixture, 5, "{\"do\":\"aside\"}", NULL);
    expect_surplus_is_dropped(fixture, 9, later, path);
    fixture_free(fixture);
    (void)unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

/* A program that answers before it has read the whole question would take the rest of it for
 * the next one. */
static void test_persist_hasty_answer_does_not_shift_the_next(void **state)
{
    enum { LONG = 1200000 };
    struct fixture *fixture = open_slots(1);
    char *json = malloc(LONG + 3);
    assert_non_null(json);
    memset(json, 'x', LONG + 2);
    json[0] = json[LONG + 1] = '"';
    json[LONG + 2] = '\0';
    fixture_assert_json(run(fixture, 1, json)->value, "\"hasty\"");
    fixture_assert_json(run(fixture, 2, "{\"do\":\"echo\",\"value\":7}")->value, "7");
    free(json);
    fixture_free(fixture);
}

/* Cancel and timeout end the program, by force if need be. */
static void test_persist_cancel_ends_the_program(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pids pids = {.count = 0};
    fixture_submit(fixture, 1, "stay", "{\"do\":\"hang\"}");
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count);
    pids_open(&pids, fixture->seen[1].progress);
    assert_ok(pool_abort(fixture->pool, 1, 0, 100000, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    assert_int_equal(fixture->seen[1].signal, SIGTERM);
    fixture_submit(fixture, 2, "stay", "{\"do\":\"stubborn\"}");
    FIXTURE_UNTIL(fixture, fixture->seen[2].progress_count);
    pids_open(&pids, fixture->seen[2].progress);
    assert_ok(pool_abort(fixture->pool, 2, 0, 20, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_CANCELLED);
    assert_int_equal(fixture->seen[2].signal, SIGKILL);
    assert_true(pids_are_gone(&pids, 0));
    pids_close(&pids);
    fixture_free(fixture);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_persist_program_stays),
    cmocka_unit_test(test_persist_errors_and_progress),
    cmocka_unit_test(test_persist_raw_payload),
    cmocka_unit_test(test_persist_end_of_program_is_a_crash),
    cmocka_unit_test(test_persist_bad_frames_fail),
    cmocka_unit_test(test_persist_surplus_frames_answer_nothing),
    cmocka_unit_test(test_persist_hasty_answer_does_not_shift_the_next),
    cmocka_unit_test(test_persist_cancel_ends_the_program),
};

TEST_MAIN(tests)
