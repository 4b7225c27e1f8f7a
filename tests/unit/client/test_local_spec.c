/* What local:// endpoints ask for, and where programs are looked for. */
#include "bindir.h"
#include "local_spec.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static struct local_spec parse(const char *endpoint)
{
    struct local_spec spec;
    struct drv_problem problem = {""};
    if (local_spec_parse(endpoint, &spec, &problem) != DROVER_OK) {
        fail_msg("%s: %s", endpoint, problem.text);
    }
    return spec;
}

static void refuse(const char *endpoint, const char *words)
{
    struct local_spec spec;
    struct drv_problem problem = {""};
    assert_int_equal(local_spec_parse(endpoint, &spec, &problem), DROVER_INVALID);
    if (strstr(problem.text, words) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", endpoint, problem.text, words);
    }
    assert_null(spec.arguments);
}

/* Keys become options of the worker, in order. */
static void test_local_spec_keys_are_options(void **state)
{
    struct local_spec spec = parse("local://4?load=a.so&load=b.so&queue=fast&label=zone=eu");
    assert_int_equal(spec.count, 5);
    assert_string_equal(spec.arguments[0], "--slots=4");
    assert_string_equal(spec.arguments[1], "--load=a.so");
    assert_string_equal(spec.arguments[2], "--load=b.so");
    assert_string_equal(spec.arguments[3], "--queue=fast");
    assert_string_equal(spec.arguments[4], "--label=zone=eu");
    assert_true(spec.has_load);
    assert_false(spec.has_commands);
    assert_string_equal(spec.log_level, "warn");
    local_spec_fini(&spec);
}

/* Without N, or with 0, the worker finds out how many slots. */
static void test_local_spec_slots_may_be_left_out(void **state)
{
    static const char *const forms[] = {"local://", "local://0", "local://?allow-exec=true",
                                        "local://0?allow-exec=true"};
    for (size_t i = 0; i < 4; i++) {
        struct local_spec spec = parse(forms[i]);
        assert_int_equal(spec.count, i < 2 ? 0 : 1);
        assert_int_equal(spec.has_commands, i >= 2);
        local_spec_fini(&spec);
    }
}

/* %XX is a byte, whatever it means elsewhere in the endpoint. */
static void test_local_spec_values_are_decoded(void **state)
{
    struct local_spec spec = parse("local://?load=%2ftmp%2Fa%26b%3Dc%25.so&log-level=debug");
    assert_string_equal(spec.arguments[0], "--load=/tmp/a&b=c%.so");
    assert_string_equal(spec.arguments[1], "--log-level=debug");
    assert_string_equal(spec.log_level, "debug");
    local_spec_fini(&spec);
}

/* Where the journal is concerns the broker, not the worker. */
static void test_local_spec_data_is_the_brokers(void **state)
{
    struct local_spec spec = parse("local://2?data=%2Fvar%2Fa&load=x.so&data=b%20c");
    assert_string_equal(spec.data, "b c");
    assert_int_equal(spec.count, 2);
    assert_string_equal(spec.arguments[1], "--load=x.so");
    local_spec_fini(&spec);
    assert_null(spec.data);
}

/* What makes no sense is refused with words about it. */
static void test_local_spec_mistakes_are_told(void **state)
{
    refuse("local://many", "'many'");
    refuse("local://-1", "'-1'");
    refuse("local://1025", "'1025'");
    refuse("local://4?slots=5", "unknown key 'slots'; there are allow-exec");
    refuse("local://4?broker=tcp://x:1", "unknown key 'broker'");
    refuse("local://4?load", "'load' wants =VALUE");
    refuse("local://4?load=", "'load' wants =VALUE");
    refuse("local://4?load=%", "'load' wants");
    refuse("local://4?load=%2", "'load' wants");
    refuse("local://4?load=%zz", "'load' wants");
    refuse("local://4?load=a%00b", "'load' wants");
    refuse("local://4?&load=x", "unknown key ''");
    refuse("local://4?\033[31m", "\\x1b");
    refuse("local://4?transport=udp", "'udp' is no transport: ipc or tcp");
}

/* The size of what is asked for is bounded. */
static void test_local_spec_is_bounded(void **state)
{
    static char text[LOCAL_SPEC_MAX + 64] = LOCAL_SCHEME "?";
    size_t len = strlen(text);
    for (size_t i = 0; i <= LOCAL_KEYS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "queue=a&");
    }
    refuse(text, "more than 256 keys");
    memset(text + strlen(LOCAL_SCHEME), 'x', LOCAL_SPEC_MAX);
    refuse(text, "longer than");
}

/* Only these are meant. */
static void test_local_spec_others_are_not_meant(void **state)
{
    assert_true(local_spec_is_meant("local://"));
    assert_false(local_spec_is_meant("local:/4"));
    assert_false(local_spec_is_meant("tcp://local:1"));
    assert_false(local_spec_is_meant(NULL));
}

/* ---- where programs are ------------------------------------------------------------------ */

/* DROVER_BIN_DIR, when it is set, is the only place. */
static void test_bindir_is_what_the_environment_says(void **state)
{
    static const char *const names[] = {"sh", "env"};
    static const char *const missing[] = {"sh", "drover-nothing"};
    char directory[BINDIR_MAX];
    struct drv_problem problem = {""};
    char *said = getenv("DROVER_BIN_DIR");
    char *before = said != NULL ? strdup(said) : NULL;
    assert_int_equal(setenv("DROVER_BIN_DIR", "/usr/bin", 1), 0);
    assert_ok(bindir_find(names, 2, directory, &problem));
    assert_string_equal(directory, "/usr/bin");
    assert_int_equal(bindir_find(missing, 2, directory, &problem), DROVER_UNAVAILABLE);
    assert_non_null(strstr(problem.text, "sh and drover-nothing are not in /usr/bin"));
    if (before != NULL) {
        assert_int_equal(setenv("DROVER_BIN_DIR", before, 1), 0);
        free(before);
    }
}

/* Without it the directory of the program comes first. */
static void test_bindir_is_beside_the_program(void **state)
{
    char self[BINDIR_MAX];
    char directory[BINDIR_MAX];
    struct drv_problem problem = {""};
    char *said = getenv("DROVER_BIN_DIR");
    char *before = said != NULL ? strdup(said) : NULL;
    (void)unsetenv("DROVER_BIN_DIR");
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    *slash = '\0';
    const char *const names[] = {slash + 1};
    assert_ok(bindir_find(names, 1, directory, &problem));
    assert_string_equal(directory, self);
    const char *const missing[] = {"drover-nothing"};
    assert_int_equal(bindir_find(missing, 1, directory, &problem), DROVER_UNAVAILABLE);
    assert_non_null(strstr(problem.text, "(beside the program)"));
    assert_non_null(strstr(problem.text, "set DROVER_BIN_DIR"));
    if (before != NULL) {
        assert_int_equal(setenv("DROVER_BIN_DIR", before, 1), 0);
        free(before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_spec_keys_are_options),
        cmocka_unit_test(test_local_spec_slots_may_be_left_out),
        cmocka_unit_test(test_local_spec_values_are_decoded),
        cmocka_unit_test(test_local_spec_data_is_the_brokers),
        cmocka_unit_test(test_local_spec_mistakes_are_told),
        cmocka_unit_test(test_local_spec_is_bounded),
        cmocka_unit_test(test_local_spec_others_are_not_meant),
        cmocka_unit_test(test_bindir_is_what_the_environment_says),
        cmocka_unit_test(test_bindir_is_beside_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
