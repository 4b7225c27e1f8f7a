/*
 * Commands as handlers: what they get, what becomes of what they print, how they end.
 */
#include "pool_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define SHELL(script) \
    .argv = (const char *const[]){"sh", "-c", script, "sh", "{}", "{index}"}, .argc = 6
#define UNREAD .stdin_mode = POOL_STDIN_NONE
#define TEXT .stdout_mode = POOL_STDOUT_TEXT

/* Ignores SIGTERM, and so does a child in a session of its own. */
static const char DEAF[] = "trap '' TERM; mkfifo never; setsid sh -c 'echo $$ > pid.new; "
                           "mv pid.new pid; read -r x < never' & "
                           "while ! [ -e pid ]; do sleep 0.01; done; "
                           "echo \"$$ $(cat pid)\" > \"$1\"; read -r x < never";

static const struct pool_command COMMANDS[] = {
    {.type = "plain", SHELL("cat")},
    {.type = "text", SHELL("printf '%s-%s\\n' \"$1\" \"$2\""), UNREAD, TEXT},
    {.type = "json", SHELL("cat"), .stdout_mode = POOL_STDOUT_JSON},
    {.type = "words", SHELL("cat"), .stdin_mode = POOL_STDIN_TEXT, TEXT},
    {.type = "packed",
     SHELL("cat"),
     .stdin_mode = POOL_STDIN_MSGPACK,
     .stdout_mode = POOL_STDOUT_RAW,
     .content_type = "application/x-packed"},
    {.type = "bytes", SHELL("printf '\\377\\376'"), UNREAD},
    {.type = "failing", SHELL("echo out; echo complaint >&2; exit 7"), UNREAD},
    {.type = "killed", SHELL("echo last words >&2; kill -9 $$"), UNREAD},
    {.type = "endless", SHELL("yes"), UNREAD, .output_max = 100000},
    {.type = "where",
     SHELL("pwd; ls -A; echo x > file; mkdir -p a/b; chmod 0 a"),
     UNREAD,
     TEXT},
    {.type = "whole", .argv = (const char *const[]){"cat"}, .argc = 1},
    {.type = "ignorant", .argv = (const char *const[]){"true"}, .argc = 1},
    {.type = "there", SHELL("pwd"), UNREAD, TEXT, .cwd = "/"},
    {.type = "variables", SHELL("env | sort"), UNREAD},
    {.type = "more_variables",
     SHELL("env | sort"),
     UNREAD,
     .environment = (const char *const[]){"DROVER_TEST_EXTRA"},
     .environment_count = 1},
    {.type = "deaf_shell", SHELL(DEAF), UNREAD},
    /* Ends with 0 on SIGTERM. */
    {.type = "polite",
     SHELL("trap 'exit 0' TERM; echo $$ > \"$1\"; while :; do sleep 0.01; done"),
     UNREAD},
    {.type = "leaving", SHELL("setsid sleep 1000 & echo $! > \"$1\"; echo done"), UNREAD, TEXT},
    {.type = "missing", .argv = (const char *const[]){"/nonexistent/program"}, .argc = 1},
};

struct stage {
    struct fixture *fixture;
    char directory[64]; /* a fresh one; also tmp_dir of the pool */
};

static struct stage open_stage(size_t slots)
{
    struct stage stage = {.directory = "/tmp/drover-test-XXXXXX"};
    static const char *const allowed[] = {"sh", "/bin/cat", "nonexistent-program"};
    assert_non_null(mkdtemp(stage.directory));
    struct pool_config config = {.slots = slots,
                                 .commands = COMMANDS,
                                 .command_count = sizeof(COMMANDS) / sizeof(COMMANDS[0]),
                                 .allow_exec = allowed,
                                 .allow_exec_count = 3,
                                 .tmp_dir = stage.directory};
    stage.fixture = fixture_new(&config);
    return stage;
}

static size_t count_entries(const char *path)
{
    DIR *directory = opendir(path);
    size_t count = 0;
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count - 2;
}

/* Nothing may be left in the directory but what the test put there. */
static void close_stage(struct stage *stage)
{
    fixture_free(stage->fixture);
    assert_int_equal(count_entries(stage->directory), 0);
    assert_int_equal(rmdir(stage->directory), 0);
}

static const char *text_of(const struct seen *seen)
{
    const char *text;
    assert_non_null(seen->value);
    assert_ok(drover_value_get_string(seen->value, &text, NULL));
    return text;
}

static struct seen *run(struct stage *stage, uint64_t token, const char *type, const char *json)
{
    fixture_submit(stage->fixture, token, type, json);
    return fixture_finish(stage->fixture, token);
}

/* Payload in on stdin or as an argument, output back, in each of the forms. */
static void test_exec_input_and_output_forms(void **state)
{
    struct stage stage = open_stage(1);
    assert_string_equal(text_of(run(&stage, 1, "plain", "{\"a\":[1,2]}")), "{\"a\":[1,2]}\n");
    assert_string_equal(text_of(run(&stage, 2, "plain", NULL)), "");
    assert_string_equal(text_of(run(&stage, 3, "text", "\"$(rm -rf /) '\"")), "$(rm -rf /) '-");
    assert_string_equal(text_of(run(&stage, 4, "text", "[1]")), "[1]-");
    fixture_assert_json(run(&stage, 5, "json", "{\"b\":true}")->value, "{\"b\":true}");
    assert_string_equal(text_of(run(&stage, 6, "words", "\"two words\\n\"")), "two words");
    struct seen *seen = run(&stage, 7, "packed", "[1,\"x\"]");
    assert_string_equal(seen->content_type, "application/x-packed");
    const void *bytes_seen;
    size_t len;
    drover_value_bytes(seen->value, &bytes_seen, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(bytes_seen, "\x92\x01\xa1x", 4);
    seen = run(&stage, 8, "bytes", NULL);
    assert_int_equal(drover_value_get_type(seen->value), DROVER_VALUE_BINARY);
    close_stage(&stage);
}

/* Output that is not what the configuration says is a failure. */
static void test_exec_bad_output_fails(void **state)
{
    struct stage stage = open_stage(1);
    fixture_submit(stage.fixture, 1, "json", NULL); /* cat prints nothing: no JSON */
    assert_string_equal(fixture_finish(stage.fixture, 1)->code, "bad-output");
    close_stage(&stage);
}

/* An exit code is a failure of the handler with the last of stderr; a signal is a crash. */
static void test_exec_exit_code_and_signal(void **state)
{
    struct stage stage = open_stage(1);
    struct seen *seen = run(&stage, 1, "failing", NULL);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_HANDLER);
    assert_int_equal(seen->exit_code, 7);
    assert_string_equal(seen->stderr_tail, "complaint\n");
    assert_null(seen->value);
    assert_true(seen->usage.pid > 0 && seen->usage.peak_rss_bytes > 0);
    seen = run(&stage, 2, "killed", NULL);
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_int_equal(seen->signal, SIGKILL);
    assert_int_equal(seen->exit_code, -1);
    assert_string_equal(seen->stderr_tail, "last words\n");
    seen = run(&stage, 3, "missing", NULL);
    assert_int_equal(seen->kind, DROVER_ERROR_HANDLER);
    assert_int_equal(seen->exit_code, 127);
    assert_non_null(strstr(seen->text, "No such file"));
    close_stage(&stage);
}

/* More output than is allowed ends the command. */
static void test_exec_output_limit(void **state)
{
    struct stage stage = open_stage(1);
    struct seen *seen = run(&stage, 1, "endless", NULL);
    assert_int_equal(seen->kind, DROVER_ERROR_LIMIT);
    assert_non_null(strstr(seen->text, "100000 bytes"));
    close_stage(&stage);
}

/* Every attempt has an empty directory of its own, which is gone afterwards. */
static void test_exec_directory_is_fresh_and_removed(void **state)
{
    struct stage stage = open_stage(1);
    char first[256];
    (void)snprintf(first, sizeof(first), "%s", text_of(run(&stage, 1, "where", NULL)));
    assert_int_equal(strncmp(first, stage.directory, strlen(stage.directory)), 0);
    assert_null(strchr(first, '\n')); /* the listing was empty */
    assert_int_equal(access(first, F_OK), -1);
    assert_string_not_equal(text_of(run(&stage, 2, "where", NULL)), first);
    assert_string_equal(text_of(run(&stage, 3, "there", NULL)), "/");
    close_stage(&stage);
}

/* The environment is what the lists name, and the task. */
static void test_exec_environment_is_a_list(void **state)
{
    assert_int_equal(setenv("DROVER_TEST_EXTRA", "passed on", 1), 0);
    assert_int_equal(setenv("DROVER_TEST_SECRET", "not passed on", 1), 0);
    struct stage stage = open_stage(1);
    struct pool_attempt attempt = fixture_attempt(1, "variables");
    attempt.index = 17;
    attempt.attempt = 4;
    fixture_submit_as(stage.fixture, &attempt, NULL);
    const char *text_seen = text_of(fixture_finish(stage.fixture, 1));
    char id[DROVER_ID_TEXT_LEN + 1];
    char line[128];
    drover_id_format(&attempt.id, id);
    (void)snprintf(line, sizeof(line), "DROVER_TASK_ID=%s\n", id);
    assert_non_null(strstr(text_seen, line));
    assert_non_null(strstr(text_seen, "DROVER_INDEX=17\n"));
    assert_non_null(strstr(text_seen, "DROVER_ATTEMPT=4\n"));
    assert_non_null(strstr(text_seen, "PATH="));
    assert_null(strstr(text_seen, "SECRET"));
    assert_null(strstr(text_seen, "EXTRA"));
    text_seen = text_of(run(&stage, 2, "more_variables", NULL));
    assert_non_null(strstr(text_seen, "DROVER_TEST_EXTRA=passed on\n"));
    assert_null(strstr(text_seen, "DROVER_INDEX"));
    close_stage(&stage);
}

/* Waits until a command has written a file, whole. */
static void await_file(struct stage *stage, const char *path)
{
    struct stat info;
    int watch = inotify_init1(IN_CLOEXEC);
    assert_true(watch >= 0);
    assert_true(inotify_add_watch(watch, stage->directory, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0);
    int64_t until_us = fixture_now_us() + test_deadline_ms(FIXTURE_WAIT_MS) * 1000;
    while (stat(path, &info) != 0 || info.st_size == 0) {
        char event[4096];
        struct pollfd fds[2] = {{.fd = pool_fd(stage->fixture->pool), .events = POLLIN},
                                {.fd = watch, .events = POLLIN}};
        int64_t due_us = pool_deadline_us(stage->fixture->pool);
        int64_t left_us = (due_us < until_us ? due_us : until_us) - fixture_now_us();
        (void)poll(fds, 2, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
        assert_ok(pool_poll(stage->fixture->pool, fixture_now_us(), fixture_on_event,
                            stage->fixture));
        assert_true(fixture_now_us() < until_us);
        if (fds[1].revents != 0) {
            assert_true(read(watch, event, sizeof(event)) > 0);
        }
    }
    (void)close(watch);
}

static void read_file(const char *path, char *text_read, size_t size)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text_read, 1, size - 1, file);
    text_read[len] = '\0';
    (void)fclose(file);
    (void)unlink(path);
}

/* Cancel ends a command that ignores SIGTERM, and what it started in a session of its own. */
static void test_exec_cancel_ends_the_whole_tree(void **state)
{
    struct stage stage = open_stage(1);
    struct pids pids = {.count = 0};
    char path[128];
    char json_path[160];
    char text_read[64];
    (void)snprintf(path, sizeof(path), "%s/pids", stage.directory);
    (void)snprintf(json_path, sizeof(json_path), "\"%s\"", path);
    fixture_submit(stage.fixture, 1, "deaf_shell", json_path);
    await_file(&stage, path);
    read_file(path, text_read, sizeof(text_read));
    pids_open(&pids, text_read);
    assert_int_equal(pids.count, 2);
    assert_ok(pool_abort(stage.fixture->pool, 1, 100000, 50, fixture_now_us()));
    struct seen *seen = fixture_finish(stage.fixture, 1);
    assert_int_equal(seen->outcome, POOL_CANCELLED);
    assert_int_equal(seen->signal, SIGKILL);
    assert_true(pids_are_gone(&pids, 0));
    pids_close(&pids);
    close_stage(&stage);
}

/* A command has no flag to look at: it gets SIGTERM at once, and an exit with 0 after that is
 * no success. Time over is the same with another kind. */
static void test_exec_cancel_and_timeout_of_polite_command(void **state)
{
    struct stage stage = open_stage(1);
    char path[128];
    char json_path[160];
    char text_read[64];
    (void)snprintf(path, sizeof(path), "%s/pid", stage.directory);
    (void)snprintf(json_path, sizeof(json_path), "\"%s\"", path);
    fixture_submit(stage.fixture, 1, "polite", json_path);
    await_file(&stage, path);
    assert_int_equal(stage.fixture->seen[1].started, 1);
    assert_ok(pool_abort(stage.fixture->pool, 1, 100000, 100000, fixture_now_us()));
    assert_int_equal(fixture_finish(stage.fixture, 1)->outcome, POOL_CANCELLED);

    struct pool_attempt attempt = fixture_attempt(2, "polite");
    attempt.timeout_ms = 300;
    attempt.term_ms = attempt.kill_ms = 100000;
    fixture_submit_as(stage.fixture, &attempt, json_path);
    struct seen *seen = fixture_finish(stage.fixture, 2);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_TIMEOUT);
    read_file(path, text_read, sizeof(text_read));
    close_stage(&stage);
}

/* What a command leaves running ends with it, even though it holds the output open. */
static void test_exec_remainders_are_ended(void **state)
{
    struct stage stage = open_stage(1);
    char path[128];
    char json_path[160];
    char text_read[64];
    (void)snprintf(path, sizeof(path), "%s/pid", stage.directory);
    (void)snprintf(json_path, sizeof(json_path), "\"%s\"", path);
    assert_string_equal(text_of(run(&stage, 1, "leaving", json_path)), "done");
    read_file(path, text_read, sizeof(text_read));
    assert_int_equal(kill((pid_t)strtol(text_read, NULL, 10), 0), -1);
    close_stage(&stage);
}

/* A program that the task names: all of its output comes back, also when it fails. */
static void test_exec_named_program(void **state)
{
    struct stage stage = open_stage(1);
    struct seen *seen = run(&stage, 1, "exec:sh",
                            "{\"argv\":[\"sh\",\"-c\",\"cat; echo e >&2; exit $0\",\"0\"],"
                            "\"stdin\":\"in\"}");
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    fixture_assert_json(seen->value,
                        "{\"exit\":0,\"signal\":0,\"stdout\":\"aW4=\",\"stderr\":\"ZQo=\"}");
    seen = run(&stage, 2, "exec:sh", "{\"argv\":[\"sh\",\"-c\",\"echo out; exit 9\"]}");
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->exit_code, 9);
    fixture_assert_json(seen->value,
                        "{\"exit\":9,\"signal\":0,\"stdout\":\"b3V0Cg==\",\"stderr\":\"\"}");
    seen = run(&stage, 3, "exec::bin:cat", "{\"argv\":[\"/bin/cat\"],\"stdin\":\"x\"}");
    fixture_assert_json(seen->value,
                        "{\"exit\":0,\"signal\":0,\"stdout\":\"eA==\",\"stderr\":\"\"}");
    seen = run(&stage, 4, "exec:nonexistent-program", "{\"argv\":[\"nonexistent-program\"]}");
    assert_int_equal(seen->exit_code, 127);
    close_stage(&stage);
}

/* Only exactly what --allow-exec names runs, and nothing decides which code that is. */
static void test_exec_named_program_refusals(void **state)
{
    static const char *const DENIED[] = {
        "{\"argv\":[\"/bin/sh\",\"-c\",\"true\"]}",
        "{\"argv\":[\"cat\"]}",
        "{\"argv\":[\"sh\",\"-c\",\"true\"],\"env\":{\"LD_PRELOAD\":\"x\"}}",
        "{\"argv\":[\"sh\",\"-c\",\"true\"],\"env\":{\"PATH\":\"/tmp\"}}",
        "{\"argv\":[\"sh\",\"-c\",\"true\"],\"env\":{\"BASH_ENV\":\"x\"}}",
    };
    static const char *const BAD[] = {"{\"argv\":[]}",
                                      "{\"argv\":\"sh\"}",
                                      "[\"sh\"]",
                                      "{}",
                                      "{\"argv\":[\"sh\",1]}",
                                      "{\"argv\":[\"sh\",\"a\\u0000b\"]}"};
    struct stage stage = open_stage(1);
    uint64_t token = 1;
    for (size_t i = 0; i < sizeof(DENIED) / sizeof(DENIED[0]); i++, token++) {
        struct seen *seen = run(&stage, token, "exec:sh", DENIED[i]);
        assert_int_equal(seen->kind, DROVER_ERROR_REFUSED);
        assert_true(seen->permanent);
    }
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++, token++) {
        struct seen *seen = run(&stage, token, "exec:sh", BAD[i]);
        assert_string_equal(seen->code, "bad-arg");
        assert_true(seen->permanent);
    }
    struct seen *seen = run(
        &stage, token, "exec:sh",
        "{\"argv\":[\"sh\",\"-c\",\"printf %s $TZ\"],\"env\":{\"TZ\":\"UTC-9\"}}");
    fixture_assert_json(seen->value, "{\"exit\":0,\"signal\":0,\"stdout\":\"VVRDLTk=\","
                                     "\"stderr\":\"\"}");
    close_stage(&stage);
}

/* Commands and functions share the slots. */
static void test_exec_shares_slots_with_functions(void **state)
{
    struct stage stage = open_stage(1);
    char path[128];
    char json_path[160];
    char text_read[64];
    (void)snprintf(path, sizeof(path), "%s/pid", stage.directory);
    (void)snprintf(json_path, sizeof(json_path), "\"%s\"", path);
    fixture_submit(stage.fixture, 1, "polite", json_path);
    await_file(&stage, path);
    fixture_submit(stage.fixture, 2, "square", "3");
    fixture_submit(stage.fixture, 3, "plain", "3");
    assert_int_equal(pool_idle_count(stage.fixture->pool), 0);
    assert_int_equal(pool_waiting_count(stage.fixture->pool), 2);
    assert_ok(pool_abort(stage.fixture->pool, 1, 0, 100000, fixture_now_us()));
    assert_int_equal(fixture_number(fixture_finish(stage.fixture, 2)), 9);
    assert_string_equal(text_of(fixture_finish(stage.fixture, 3)), "3\n");
    assert_int_equal(stage.fixture->order[0], 1);
    read_file(path, text_read, sizeof(text_read));
    close_stage(&stage);
}

/* Input of many megabytes goes in while output comes out, and need not be read. */
static void test_exec_large_input_does_not_block(void **state)
{
    static const char *const TYPES[] = {"whole", "ignorant", "plain"};
    struct stage stage = open_stage(1);
    const size_t len = (size_t)8 * 1024 * 1024;
    struct drv_data *data;
    assert_ok(drv_data_new(len, &data));
    memset(data->bytes, 'i', len);
    for (size_t i = 0; i < 3; i++) {
        struct pool_attempt attempt = fixture_attempt(i + 1, TYPES[i]);
        attempt.payload = (struct pool_value){.data = data,
                                              .view = drv_data_view(data),
                                              .content_type = drv_view_text("text/plain")};
        assert_ok(pool_submit(stage.fixture->pool, &attempt));
    }
    drv_data_unref(&data);
    assert_int_equal(strlen(text_of(fixture_finish(stage.fixture, 1))), len);
    assert_string_equal(text_of(fixture_finish(stage.fixture, 2)), "");
    /* As an argument it is more than the system takes. */
    assert_non_null(strstr(fixture_finish(stage.fixture, 3)->text, "Argument list too long"));
    close_stage(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_exec_input_and_output_forms),
    cmocka_unit_test(test_exec_bad_output_fails),
    cmocka_unit_test(test_exec_exit_code_and_signal),
    cmocka_unit_test(test_exec_output_limit),
    cmocka_unit_test(test_exec_directory_is_fresh_and_removed),
    cmocka_unit_test(test_exec_environment_is_a_list),
    cmocka_unit_test(test_exec_cancel_ends_the_whole_tree),
    cmocka_unit_test(test_exec_cancel_and_timeout_of_polite_command),
    cmocka_unit_test(test_exec_remainders_are_ended),
    cmocka_unit_test(test_exec_named_program),
    cmocka_unit_test(test_exec_named_program_refusals),
    cmocka_unit_test(test_exec_shares_slots_with_functions),
    cmocka_unit_test(test_exec_large_input_does_not_block),
};

TEST_MAIN(tests)
