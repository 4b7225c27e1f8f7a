/* config.h */
#include "test.h"

#include "buffer.h"
#include "config.h"

#include <unistd.h>

/* Collects entries as "section/key=value@line;"; a key "stop" is refused. */
static drover_status collect(void *context, const struct drv_config_entry *entry,
                             struct drv_problem *problem)
{
    struct drv_buffer *out = context;
    if (strcmp(entry->key, "stop") == 0) {
        return drv_problem_set(problem, DROVER_DENIED, "no '%s' here", entry->key);
    }
    return drv_buffer_printf(out, "%s/%s=%s@%u;", entry->section, entry->key, entry->value,
                             entry->line);
}

static drover_status parse(const char *text, size_t len, struct drv_buffer *out,
                           struct drv_problem *problem)
{
    drv_buffer_init(out);
    problem->text[0] = '\0';
    return drv_config_parse(drv_view_of(text, len), "x.ini", collect, out, problem);
}

static void assert_entries(const char *text, const char *expected)
{
    struct drv_buffer out;
    struct drv_problem problem;
    drover_status status = parse(text, strlen(text), &out, &problem);
    assert_string_equal(problem.text, "");
    assert_ok(status);
    assert_true(drv_view_is_text(drv_buffer_view(&out), expected));
    drv_buffer_fini(&out);
}

static void assert_refused(const char *text, const char *expected)
{
    struct drv_buffer out;
    struct drv_problem problem;
    assert_int_equal(parse(text, strlen(text), &out, &problem), DROVER_INVALID);
    assert_string_equal(problem.text, expected);
    drv_buffer_fini(&out);
}

/* Sections, spaces, comments, both separators, repeated keys, missing last newline. */
static void test_config_entries_come_in_order(void **state)
{
    assert_entries("", "");
    assert_entries(
        "a = 1\n\n; comment\n# comment\n  [s]  \n\tb:2\r\n b = x = y \n[handler.n]\nc=",
        "/a=1@1;s/b=2@6;s/b=x = y@7;handler.n/c=@9;");
    assert_entries("\xef\xbb\xbfk=v;w # x\n", "/k=v;w # x@1;");
    assert_entries("url = tcp://127.0.0.1:7710\n", "/url=tcp://127.0.0.1:7710@1;");
}

/* An indented line is a line, not one more value of the key above. */
static void test_config_indented_lines_are_entries(void **state)
{
    assert_entries("[w]\n  a = 1\n    b = 2\n", "w/a=1@2;w/b=2@3;");
}

/* What libinih would skip or change in silence is refused with file and line. */
static void test_config_refuses_what_libinih_would_change(void **state)
{
    assert_refused("a=1\nb\n", "x.ini:2: expected key = value or [section]");
    assert_refused("=1\n", "x.ini:1: expected key = value or [section]");
    assert_refused("[open\na=1\n", "x.ini:1: a section is written [name], alone on its line");
    assert_refused("[s] a=1\n", "x.ini:1: a section is written [name], alone on its line");
    assert_refused(
        "command = sh -c 'a ; b'\n",
        "x.ini:1: ' ;' would begin a comment: write the comment on a line of its own");
    assert_refused("a = \xff\n", "x.ini:1: the line is not text");
}

static void test_config_at_length(const char *before, size_t count, const char *after,
                                  bool fits, const char *why)
{
    char text[1000];
    char filler[600];
    char expected[200];
    struct drv_buffer out;
    struct drv_problem problem;
    memset(filler, 'x', count);
    filler[count] = '\0';
    int len = snprintf(text, sizeof text, "%s%s%s\nlast=1\n", before, filler, after);
    (void)snprintf(expected, sizeof expected, "x.ini:1: %s", why);
    assert_int_equal(parse(text, (size_t)len, &out, &problem), fits ? 0 : DROVER_INVALID);
    assert_string_equal(problem.text, fits ? "" : expected);
    if (fits && before[0] != '[' && before[0] != ';') {
        assert_non_null(strstr((const char *)out.bytes, filler)); /* nothing was cut */
    }
    drv_buffer_fini(&out);
}

/* Lines, sections and keys at their limits arrive whole, beyond them are refused. */
static void test_config_lengths_at_their_limits(void **state)
{
    const char *line = "the line is too long";
    const char *section = "the section name is too long";
    const char *key = "the key is too long";
    test_config_at_length("a=", DRV_CONFIG_LINE_MAX - 2, "", true, line);
    test_config_at_length("a=", DRV_CONFIG_LINE_MAX - 1, "", false, line);
    test_config_at_length("a=", 500, "", false, line);
    test_config_at_length("[", DRV_CONFIG_SECTION_MAX, "]", true, section);
    test_config_at_length("[", DRV_CONFIG_SECTION_MAX + 1, "]", false, section);
    test_config_at_length("", DRV_CONFIG_KEY_MAX, "=1", true, key);
    test_config_at_length("", DRV_CONFIG_KEY_MAX + 1, "=1", false, key);
    test_config_at_length(";", 500, "", true, line); /* comments may be long */
}

/* A NUL does not hide the rest of the file. */
static void test_config_refuses_nul(void **state)
{
    struct drv_buffer out;
    struct drv_problem problem;
    assert_int_equal(parse("a=1\nb=\0\nc=3\n", 12, &out, &problem), DROVER_INVALID);
    assert_string_equal(problem.text, "x.ini:2: the line is not text");
    drv_buffer_fini(&out);
}

/* A callback that refuses stops the reading; its words get file and line in front. */
static void test_config_callback_stops_reading(void **state)
{
    struct drv_buffer out;
    struct drv_problem problem;
    const char *text = "a=1\nstop=1\nb=2\nnonsense\n";
    assert_int_equal(parse(text, strlen(text), &out, &problem), DROVER_DENIED);
    assert_string_equal(problem.text, "x.ini:2: no 'stop' here");
    assert_true(drv_view_is_text(drv_buffer_view(&out), "/a=1@1;"));
    drv_buffer_fini(&out);
}

/* A file is read from disk; one that cannot be, or is huge, is reported by name. */
static void test_config_load_reads_a_file(void **state)
{
    char path[] = "/tmp/drover-test-config-XXXXXX";
    struct drv_buffer out;
    struct drv_problem problem;
    char expected[200];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a=1\n", 4), 4);
    drv_buffer_init(&out);
    assert_ok(drv_config_load(path, collect, &out, &problem));
    assert_true(drv_view_is_text(drv_buffer_view(&out), "/a=1@1;"));
    assert_int_equal(ftruncate(fd, DRV_CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(drv_config_load(path, collect, &out, &problem), DROVER_TOO_BIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(drv_config_load(path, collect, &out, &problem), DROVER_IO);
    (void)snprintf(expected, sizeof expected, "%s: No such file or directory", path);
    assert_string_equal(problem.text, expected);
    assert_int_equal(drv_config_load("/tmp", collect, &out, &problem), DROVER_IO);
    (void)close(fd);
    drv_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_entries_come_in_order),
        cmocka_unit_test(test_config_indented_lines_are_entries),
        cmocka_unit_test(test_config_refuses_what_libinih_would_change),
        cmocka_unit_test(test_config_lengths_at_their_limits),
        cmocka_unit_test(test_config_refuses_nul),
        cmocka_unit_test(test_config_callback_stops_reading),
        cmocka_unit_test(test_config_load_reads_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
