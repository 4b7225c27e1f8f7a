/* test_input.c: records from files and pipes, tasks from operands. */
#include "test.h"

#include "input.h"
#include "target.h"

#include <fcntl.h>
#include <unistd.h>

/* A file in memory with this content, at its beginning. */
static int file_with(const char *bytes, size_t len)
{
    char path[] = "/tmp/drover-input-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void open_fd(struct input_records *records, int fd, char separator)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    assert_int_equal(input_records_open(records, path, separator), CLI_OK);
}

static void expect(struct input_records *records, const char *text)
{
    const char *record = NULL;
    size_t len = 0;
    int code = CLI_OK;
    assert_int_equal(input_records_next(records, false, &record, &len, &code), INPUT_RECORD);
    assert_int_equal(len, strlen(text));
    assert_string_equal(record, text);
}

static void expect_end(struct input_records *records)
{
    const char *record = NULL;
    size_t len = 0;
    int code = CLI_OK;
    assert_int_equal(input_records_next(records, false, &record, &len, &code), INPUT_END);
}

/* The last record need not be ended; empty ones count. */
static void test_input_records_are_split(void **state)
{
    struct input_records records;
    int fd = file_with("one\n\nthree", 10);
    open_fd(&records, fd, '\n');
    expect(&records, "one");
    expect(&records, "");
    expect(&records, "three");
    assert_int_equal(records.number, 3);
    expect_end(&records);
    expect_end(&records);
    input_records_close(&records);
    assert_int_equal(close(fd), 0);
}

static void test_input_records_end_with_nul(void **state)
{
    struct input_records records;
    int fd = file_with("a\nb\0c\0", 6);
    open_fd(&records, fd, '\0');
    expect(&records, "a\nb");
    expect(&records, "c");
    expect_end(&records);
    input_records_close(&records);
    assert_int_equal(close(fd), 0);
}

/* A record longer than what one read gives comes whole, and so do its neighbours. */
static void test_input_long_record_comes_whole(void **state)
{
    enum { LEN = 200000 };
    struct input_records records;
    char *bytes = malloc(LEN + 3);
    assert_non_null(bytes);
    memset(bytes, 'x', LEN);
    bytes[LEN] = '\n';
    bytes[LEN + 1] = 'y';
    bytes[LEN + 2] = '\0';
    int fd = file_with(bytes, LEN + 2);
    open_fd(&records, fd, '\n');
    bytes[LEN] = '\0';
    expect(&records, bytes);
    expect(&records, "y");
    expect_end(&records);
    input_records_close(&records);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

/* Half a record in a pipe is not ready, and waits for nobody. */
static void test_input_pipe_without_record_is_not_ready(void **state)
{
    struct input_records records;
    const char *record = NULL;
    size_t len = 0;
    int code = CLI_OK;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    open_fd(&records, ends[0], '\n');
    assert_int_equal(input_records_next(&records, false, &record, &len, &code),
                     INPUT_NOT_READY);
    assert_int_equal(write(ends[1], "ha", 2), 2);
    assert_int_equal(input_records_next(&records, false, &record, &len, &code),
                     INPUT_NOT_READY);
    assert_int_equal(write(ends[1], "lf\nrest", 7), 7);
    expect(&records, "half");
    assert_int_equal(close(ends[1]), 0);
    expect(&records, "rest");
    expect_end(&records);
    input_records_close(&records);
    assert_int_equal(close(ends[0]), 0);
}

/* Tasks are ids, with the number of an element behind a point. */
static void test_target_parse_reads_elements(void **state)
{
    drover_task_ref task;
    char text[TARGET_TEXT_MAX];
    assert_int_equal(target_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", &task), CLI_OK);
    assert_int_equal(task.index, DROVER_INDEX_NONE);
    assert_int_equal(target_parse("01arz3ndektsv4rrffq69g5fav.17", &task), CLI_OK);
    assert_int_equal(task.index, 17);
    target_format(&task.id, task.index, text);
    assert_string_equal(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV.17");
}

static void test_target_parse_refuses_other_text(void **state)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "x",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FA",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAV.",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAV.x",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAV.-1",
                                      "01ARZ3NDEKTSV4RRFFQ69G5FAV.4294967295",
                                      "key:name"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        drover_task_ref task;
        assert_int_equal(target_parse(bad[i], &task), CLI_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_records_are_split),
        cmocka_unit_test(test_input_records_end_with_nul),
        cmocka_unit_test(test_input_long_record_comes_whole),
        cmocka_unit_test(test_input_pipe_without_record_is_not_ready),
        cmocka_unit_test(test_target_parse_reads_elements),
        cmocka_unit_test(test_target_parse_refuses_other_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
