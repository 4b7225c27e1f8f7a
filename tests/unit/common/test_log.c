/* log.h */
#include "test.h"

#include "log.h"

#include <unistd.h>

static uint64_t fixed_wall_ms(void)
{
    return UINT64_C(1936681689012); /* 2031-05-16T07:08:09.012Z */
}

struct capture {
    struct drv_log log;
    int pipes[2];
    char text[4 * DRV_LOG_LINE_MAX];
};

static void capture_init(struct capture *capture, enum drv_log_level level)
{
    assert_int_equal(pipe(capture->pipes), 0);
    drv_log_init(&capture->log, "drover-test", level);
    capture->log.fd = capture->pipes[1];
    capture->log.wall_ms = fixed_wall_ms;
}

/* What was written; one read sees exactly one write of a pipe this small. */
static const char *capture_fini(struct capture *capture)
{
    (void)close(capture->pipes[1]);
    ssize_t len = read(capture->pipes[0], capture->text, sizeof capture->text - 1);
    assert_true(len >= 0);
    capture->text[len] = '\0';
    (void)close(capture->pipes[0]);
    return capture->text;
}

#define HEAD "ts=2031-05-16T07:08:09.012Z level="

/* A line has time, level, program, message and its pairs, in this order. */
static void test_log_line_has_all_parts(void **state)
{
    struct capture capture;
    drover_id id;
    capture_init(&capture, DRV_LOG_INFO);
    assert_ok(drover_id_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", &id));
    drv_log_info(&capture.log, "worker lost", drv_log_str("name", "w1"),
                 drv_log_int("delta", -4), drv_log_uint("bytes", UINT64_MAX),
                 drv_log_bool("charged", true), drv_log_id("task", &id),
                 drv_log_status("status", DROVER_STALE), drv_log_str("host", NULL));
    assert_string_equal(capture_fini(&capture),
                        HEAD "info program=drover-test msg=\"worker lost\" name=w1 delta=-4 "
                             "bytes=18446744073709551615 charged=true "
                             "task=01ARZ3NDEKTSV4RRFFQ69G5FAV status=stale host=-\n");
}

/* Text of a peer can neither end a line nor forge a pair. */
static void test_log_values_cannot_forge(void **state)
{
    struct capture capture;
    capture_init(&capture, DRV_LOG_DEBUG);
    drv_log_warn(&capture.log, "x", drv_log_str("name", "a\nts=1 level=error msg=\"b\\\""),
                 drv_log_str("empty", ""),
                 drv_log_view("bin", drv_view_of("\x1b[2J\0\xff", 6)));
    assert_string_equal(capture_fini(&capture),
                        HEAD "warn program=drover-test msg=x "
                             "name=\"a\\nts=1 level=error msg=\\\"b\\\\\\\"\" empty=\"\" "
                             "bin=\\x1b[2J\\x00\\xff\n");
}

/* Lines below the threshold, and a log that is not there, write nothing. */
static void test_log_threshold_drops_lines(void **state)
{
    struct capture capture;
    capture_init(&capture, DRV_LOG_WARN);
    drv_log_debug(&capture.log, "no");
    drv_log_info(&capture.log, "no");
    drv_log_error(&capture.log, "yes");
    drv_log_error(NULL, "no");
    assert_string_equal(capture_fini(&capture), HEAD "error program=drover-test msg=yes\n");
    capture_init(&capture, DRV_LOG_OFF);
    drv_log_error(&capture.log, "no");
    assert_string_equal(capture_fini(&capture), "");
}

/* A line that is too long keeps its beginning, whole pairs only, and says that it was cut. */
static void test_log_long_line_is_cut_and_marked(void **state)
{
    struct capture capture;
    char text[3000];
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture_init(&capture, DRV_LOG_INFO);
    drv_log_info(&capture.log, "x", drv_log_str("a", text), drv_log_str("b", text),
                 drv_log_str("c", text), drv_log_int("d", 1));
    const char *line = capture_fini(&capture);
    size_t len = strlen(line);
    assert_true(len <= DRV_LOG_LINE_MAX);
    assert_string_equal(line + len - strlen("\" cut=1\n"), "\" cut=1\n");
    assert_non_null(strstr(line, " a=\""));
    assert_null(strstr(line, " c=\""));
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

/* Levels are read by the names they are shown with. */
static void test_log_level_names(void **state)
{
    enum drv_log_level level = DRV_LOG_DEBUG;
    for (int i = DRV_LOG_DEBUG; i <= DRV_LOG_OFF; i++) {
        assert_ok(drv_log_level_parse(drv_log_level_name((enum drv_log_level)i), &level));
        assert_int_equal(level, i);
    }
    assert_int_equal(drv_log_level_parse("WARN", &level), DROVER_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line_has_all_parts),
        cmocka_unit_test(test_log_values_cannot_forge),
        cmocka_unit_test(test_log_threshold_drops_lines),
        cmocka_unit_test(test_log_long_line_is_cut_and_marked),
        cmocka_unit_test(test_log_level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
