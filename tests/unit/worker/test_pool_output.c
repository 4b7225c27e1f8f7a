/*
 * What handlers and commands print, log and emit: whose it is, that it is bounded, and that
 * what is missing is counted.
 */
#include "log.h"
#include "pool_fixture.h"
#include "reader.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static struct fixture *open_slots(size_t slots)
{
    struct pool_config config = {.slots = slots};
    return fixture_new(&config);
}

static void assert_printed(const struct seen *seen, enum pool_stream stream,
                           const char *expected)
{
    const struct drv_buffer *printed = &seen->output[stream];
    assert_int_equal(printed->len, strlen(expected));
    if (printed->len > 0) {
        assert_memory_equal(printed->bytes, expected, printed->len);
    }
    assert_int_equal(seen->output_missed[stream], 0);
}

/* stdout and stderr of a handler are told apart. */
static void test_output_streams_are_told_apart(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "speak", "\"hello\"");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_printed(seen, POOL_STREAM_STDOUT, "out hello\n");
    assert_printed(seen, POOL_STREAM_STDERR, "err hello\n");
    fixture_free(fixture);
}

/* Attempts that follow each other without a pause in one process keep apart what they print. */
static void test_output_belongs_to_the_attempt_that_printed_it(void **state)
{
    enum { COUNT = 500 };
    struct fixture *fixture = open_slots(2);
    for (unsigned i = 1; i <= COUNT; i++) {
        char json[32];
        (void)snprintf(json, sizeof(json), "\"number %u\"", i);
        fixture_submit(fixture, i, i % 3 == 0 ? "speak" : "print", json);
        if (i % 16 == 0) {
            assert_ok(fixture_turn(fixture, fixture_now_us()));
        }
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    for (unsigned i = 1; i <= COUNT; i++) {
        char out[32] = "";
        char err[32];
        if (i % 3 == 0) {
            (void)snprintf(out, sizeof(out), "out number %u\n", i);
            (void)snprintf(err, sizeof(err), "err number %u\n", i);
        } else {
            (void)snprintf(err, sizeof(err), "number %u\n", i);
        }
        assert_printed(&fixture->seen[i], POOL_STREAM_STDOUT, out);
        assert_printed(&fixture->seen[i], POOL_STREAM_STDERR, err);
    }
    fixture_free(fixture);
}

/* What stands in a buffer of stdio when the handler returns is its own too. */
static void test_output_without_a_line_end_is_not_left_to_the_next(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "mumble", NULL);
    assert_printed(fixture_finish(fixture, 1), POOL_STREAM_STDOUT, "half a li");
    fixture_submit(fixture, 2, "square", "2");
    assert_printed(fixture_finish(fixture, 2), POOL_STREAM_STDOUT, "");
    fixture_free(fixture);
}

/* What a process with threads prints counts for every attempt that runs in it. */
static void test_output_of_threads_belongs_to_all_of_them(void **state)
{
    struct pool_config config = {.slots = 2, .model = POOL_MODEL_THREAD, .threads = 2};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "sleep", "600000");
    FIXTURE_UNTIL(fixture, fixture->seen[1].started);
    fixture_submit(fixture, 2, "print", "\"by one of them\"");
    assert_printed(fixture_finish(fixture, 2), POOL_STREAM_STDERR, "by one of them\n");
    assert_printed(&fixture->seen[1], POOL_STREAM_STDERR, "by one of them\n");
    assert_ok(pool_abort(fixture->pool, 1, 100000, 100000, fixture_now_us()));
    (void)fixture_finish(fixture, 1);
    fixture_free(fixture);
}

/* The last words before a crash come before the news of it. */
static void test_output_of_a_crash_comes_first(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "crash", NULL);
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->signal, SIGSEGV);
    assert_printed(seen, POOL_STREAM_STDERR, "demo: about to crash, attempt 1\n");
    fixture_free(fixture);
}

static long resident_kib(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file)); /* "SIZE RESIDENT ...", in pages */
    (void)fclose(file);
    return strtol(strchr(line, ' '), NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A handler that prints without end is slowed by its pipe: the agent keeps its memory, and
 * other attempts go through while it prints. */
static void test_output_at_full_speed_stays_bounded(void **state)
{
    enum { TURN_MAX = 2 * 65536 };
    long len = (1L << 30) / test_deadline_ms(1);
    struct fixture *fixture = open_slots(2);
    char json[32];
    (void)snprintf(json, sizeof(json), "%ld", len);
    fixture_submit(fixture, 1, "flood", json);
    FIXTURE_UNTIL(fixture, fixture->seen[1].output_len[POOL_STREAM_STDOUT] > 0);
    long before_kib = resident_kib();
    unsigned others = 0;
    while (!fixture->seen[1].finished) {
        uint64_t had = fixture->seen[1].output_len[POOL_STREAM_STDOUT];
        bool is_free = others == 0 || fixture->seen[1 + others].finished;
        if (is_free && others < 100) {
            fixture_submit(fixture, 1 + ++others, "square", "3");
        }
        assert_ok(fixture_turn(fixture, fixture_now_us() + test_deadline_ms(20000) * 1000));
        if (!fixture->seen[1].finished) {
            assert_true(fixture->seen[1].output_len[POOL_STREAM_STDOUT] - had <= TURN_MAX);
        }
    }
    assert_int_equal(others, 100);
    assert_int_equal(fixture_finish(fixture, 101)->outcome, POOL_SUCCEEDED);
    assert_int_equal(fixture->seen[1].output_len[POOL_STREAM_STDOUT], len);
    assert_int_equal(fixture->seen[1].output_missed[POOL_STREAM_STDOUT], 0);
    assert_true(resident_kib() - before_kib < 8 * 1024);
    fixture_free(fixture);
}

/* Lines of the log that come faster than they are read are dropped and counted. */
static void test_output_log_lines_that_are_dropped_are_counted(void **state)
{
    enum { COUNT = 20000 };
    size_t expected = 0;
    for (int i = 0; i < COUNT; i++) {
        expected += (size_t)snprintf(NULL, 0, "line %d\n", i);
    }
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "chatter", "20000");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_true(seen->output_len[POOL_STREAM_LOG] > 0);
    assert_int_equal(seen->output_len[POOL_STREAM_LOG] + seen->output_missed[POOL_STREAM_LOG],
                     expected);
    fixture_free(fixture);
}

/* Emitted values come whole and in order; one that is too long is refused. */
static void test_output_emitted_values_come_whole_and_in_order(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "spout", "100");
    fixture_submit(fixture, 2, "spout", "0");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(fixture_number(seen), 0);
    assert_int_equal(seen->output_len[POOL_STREAM_DATA], 100); /* small integers: a byte each */
    assert_int_equal(seen->output_events[POOL_STREAM_DATA], 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(seen->output[POOL_STREAM_DATA].bytes[i], i);
    }
    seen = fixture_finish(fixture, 2);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_string_equal(seen->code, drover_status_name(DROVER_TOO_BIG));
    fixture_free(fixture);
}

/* Values that come too fast are dropped whole, and counted. */
static void test_output_emitted_values_that_are_dropped_are_counted(void **state)
{
    enum { COUNT = 30000 };
    size_t expected = 128 + 128 * 2 + (COUNT - 256) * 3; /* bytes of 0 to COUNT - 1 */
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "spout", "30000");
    struct seen *seen = fixture_finish(fixture, 1);
    uint64_t lost = (uint64_t)fixture_number(seen);
    assert_int_equal(seen->output_len[POOL_STREAM_DATA] + seen->output_missed[POOL_STREAM_DATA],
                     expected);
    assert_true((lost > 0) == (seen->output_missed[POOL_STREAM_DATA] > 0));
    assert_true(seen->output_events[POOL_STREAM_DATA] >= COUNT - lost);
    fixture_free(fixture);
}

static struct fixture *open_shell(const char *script, enum pool_stdout mode)
{
    const char *argv[] = {"sh", "-c", script, "sh", "{}"};
    const struct pool_command command = {
        .type = "shell", .argv = argv, .argc = 5, .stdout_mode = mode};
    struct pool_config config = {.slots = 1, .commands = &command, .command_count = 1};
    return fixture_new(&config);
}

/* What a command prints is heard of while it runs. */
static void test_output_of_a_command_comes_while_it_runs(void **state)
{
    char path[] = "/tmp/drover-test-XXXXXX";
    char fifo[64];
    char json[80];
    assert_non_null(mkdtemp(path));
    (void)snprintf(fifo, sizeof(fifo), "%s/fifo", path);
    (void)snprintf(json, sizeof(json), "\"%s\"", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct fixture *fixture = open_shell("echo one; echo uno >&2; read x < \"$1\"; echo two",
                                         POOL_STDOUT_AUTO);
    fixture_submit(fixture, 1, "shell", json);
    struct seen *seen = &fixture->seen[1];
    FIXTURE_UNTIL(fixture, seen->output_len[POOL_STREAM_STDOUT] == 4 &&
                               seen->output_len[POOL_STREAM_STDERR] == 4);
    assert_int_equal(seen->finished, 0);
    int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\n", 1), 1);
    (void)close(fd);
    (void)fixture_finish(fixture, 1);
    assert_printed(seen, POOL_STREAM_STDOUT, "one\ntwo\n");
    assert_printed(seen, POOL_STREAM_STDERR, "uno\n");
    fixture_assert_json(seen->value, "\"one\\ntwo\\n\"");
    fixture_free(fixture);
    (void)unlink(fifo);
    (void)rmdir(path);
}

/* Of much output the result has all, the stream what there was room for and the last of it. */
static void test_output_of_a_command_never_slows_its_result(void **state)
{
    enum { LEN = 8 * 1024 * 1024 };
    struct fixture *fixture = open_shell(
        "head -c 8388600 /dev/zero; head -c 100000 /dev/zero >&2; printf 'the end\\n'",
        POOL_STDOUT_RAW);
    fixture_submit(fixture, 1, "shell", NULL);
    struct seen *seen = fixture_finish(fixture, 1);
    const void *bytes;
    size_t len;
    drover_value_bytes(seen->value, &bytes, &len);
    assert_int_equal(len, LEN);
    assert_int_equal(
        seen->output_len[POOL_STREAM_STDOUT] + seen->output_missed[POOL_STREAM_STDOUT], LEN);
    assert_int_equal(
        seen->output_len[POOL_STREAM_STDERR] + seen->output_missed[POOL_STREAM_STDERR], 100000);
    const struct drv_buffer *out = &seen->output[POOL_STREAM_STDOUT];
    assert_memory_equal(out->bytes + out->len - 8, "the end\n", 8);
    fixture_free(fixture);
}

/* Lines of a log that goes to a file. */
struct logged {
    char path[32];
    struct drv_log log;
};

static void open_log(struct logged *logged)
{
    (void)snprintf(logged->path, sizeof(logged->path), "/tmp/drover-test-XXXXXX");
    drv_log_init(&logged->log, "test", DRV_LOG_INFO);
    logged->log.fd = mkstemp(logged->path);
    assert_true(logged->log.fd >= 0);
}

static size_t count_logged(struct logged *logged, const char *text)
{
    size_t count = 0;
    char line[DRV_LOG_LINE_MAX + 1];
    FILE *file = fopen(logged->path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        count += strstr(line, text) != NULL ? 1 : 0;
    }
    (void)fclose(file);
    return count;
}

static void close_log(struct logged *logged)
{
    (void)close(logged->log.fd);
    (void)unlink(logged->path);
}

/* Every line goes to the log with the id of its task; too many of them do not. */
static void test_output_goes_to_the_log_line_by_line(void **state)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    char expected[128];
    struct logged logged;
    open_log(&logged);
    struct pool_config config = {.slots = 1, .log = &logged.log};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "speak", "\"a\\nb\"");
    (void)fixture_finish(fixture, 1);
    struct pool_attempt attempt = fixture_attempt(1, "speak");
    drover_id_format(&attempt.id, id);
    (void)snprintf(expected, sizeof(expected), "msg=output id=%s", id);
    assert_int_equal(count_logged(&logged, expected), 4);
    assert_int_equal(count_logged(&logged, "stream=stdout text=\"out a\""), 1);
    assert_int_equal(count_logged(&logged, "stream=stdout text=b"), 1);
    fixture_submit(fixture, 2, "chatter", "1");
    (void)fixture_finish(fixture, 2);
    assert_int_equal(count_logged(&logged, "msg=handler"), 1);
    fixture_free(fixture);
    close_log(&logged);
}

/* Lines beyond what a log should hold are left out of it. */
static void test_output_does_not_flood_the_log(void **state)
{
    struct logged logged;
    open_log(&logged);
    struct pool_config config = {.slots = 1, .log = &logged.log};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "flood", "33554432"); /* cut into lines of 1 KiB */
    int64_t begin_us = fixture_now_us();
    (void)fixture_finish(fixture, 1);
    int64_t seconds = 2 + (fixture_now_us() - begin_us) / 1000000;
    size_t lines = count_logged(&logged, "msg=output");
    assert_true(lines > 0 && lines <= (size_t)seconds * 4096);
    fixture_free(fixture);
    close_log(&logged);
}

/* A pool that is told to be quiet about tasks is. */
static void test_output_stays_out_of_a_log_that_does_not_want_it(void **state)
{
    struct logged logged;
    open_log(&logged);
    struct pool_config config = {.slots = 1, .log = &logged.log, .drops_output = true};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "speak", "\"a\"");
    fixture_submit(fixture, 2, "chatter", "1");
    assert_printed(fixture_finish(fixture, 1), POOL_STREAM_STDOUT, "out a\n");
    assert_int_equal(fixture_finish(fixture, 2)->log_count, 1);
    assert_int_equal(count_logged(&logged, "text="), 0);
    fixture_free(fixture);
    close_log(&logged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_streams_are_told_apart),
        cmocka_unit_test(test_output_belongs_to_the_attempt_that_printed_it),
        cmocka_unit_test(test_output_without_a_line_end_is_not_left_to_the_next),
        cmocka_unit_test(test_output_of_threads_belongs_to_all_of_them),
        cmocka_unit_test(test_output_of_a_crash_comes_first),
        cmocka_unit_test(test_output_at_full_speed_stays_bounded),
        cmocka_unit_test(test_output_log_lines_that_are_dropped_are_counted),
        cmocka_unit_test(test_output_emitted_values_come_whole_and_in_order),
        cmocka_unit_test(test_output_emitted_values_that_are_dropped_are_counted),
        cmocka_unit_test(test_output_of_a_command_comes_while_it_runs),
        cmocka_unit_test(test_output_of_a_command_never_slows_its_result),
        cmocka_unit_test(test_output_goes_to_the_log_line_by_line),
        cmocka_unit_test(test_output_does_not_flood_the_log),
        cmocka_unit_test(test_output_stays_out_of_a_log_that_does_not_want_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
