/* What the broker makes of its command line. */
#include "test.h"

#include "settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static drover_status read_line(const char *const *argv, int argc, struct settings *settings,
                               struct drv_problem *problem)
{
    struct drv_options *options = NULL;
    assert_int_equal(drv_options_new(&settings_program, &options), DROVER_OK);
    drover_status status = drv_options_load(options, argc, argv, no_environment, problem);
    if (status == DROVER_OK) {
        status = settings_read(options, settings, problem);
    }
    drv_options_destroy(&options);
    return status;
}

#define READ(settings, problem, ...)                                                         \
    read_line(                                                                               \
        (const char *const[]){"drover-broker", __VA_ARGS__},                                 \
        (int)(sizeof((const char *const[]){"drover-broker", __VA_ARGS__}) / sizeof(char *)), \
        (settings), (problem))

/* Without options it listens on loopback with the documented times. */
static void test_settings_defaults_are_loopback_and_the_documented_times(void **state)
{
    (void)state;
    struct settings settings;
    struct drv_problem problem = {""};
    assert_int_equal(READ(&settings, &problem, "--memory"), DROVER_OK);
    assert_string_equal(settings.client_bind, "tcp://127.0.0.1:7710");
    assert_string_equal(settings.worker_bind, "tcp://127.0.0.1:7711");
    assert_int_equal(settings.core.heartbeat_us, 1000000);
    assert_int_equal(settings.core.lease_us, 10000000);
    assert_int_equal(settings.core.reattach_us, 15000000);
    assert_int_equal(settings.core.session_us, 3600LL * 1000000);
    assert_int_equal(settings.core.keep_us, 3600LL * 1000000);
    assert_int_equal(settings.core.keep_failed_us, 7LL * 24 * 3600 * 1000000);
}

/* Every limit given on the command line reaches the core. */
static void test_settings_limits_reach_the_core(void **state)
{
    (void)state;
    struct settings settings;
    struct drv_problem problem = {""};
    assert_int_equal(READ(&settings, &problem, "--max-memory=64M", "--max-queue", "7",
                          "--max-queue-size=1M", "--max-client-size=2M",
                          "--max-client-results=9", "--max-client-tasks=8",
                          "--max-client-rate=5", "--max-client-keys=4", "--lease", "300ms",
                          "--heartbeat=100ms", "--grace", "1s", "--max-connections=10"),
                     DROVER_OK);
    assert_int_equal(settings.core.memory_max, 64 << 20);
    assert_int_equal(settings.core.queue_count_max, 7);
    assert_int_equal(settings.core.queue_bytes_max, 1 << 20);
    assert_int_equal(settings.core.client_bytes_max, 2 << 20);
    assert_int_equal(settings.core.client_results_max, 9);
    assert_int_equal(settings.core.client_tasks_max, 8);
    assert_int_equal(settings.core.client_rate, 5);
    assert_int_equal(settings.core.client_keys_max, 4);
    assert_int_equal(settings.core.lease_us, 300000);
    assert_int_equal(settings.core.heartbeat_us, 100000);
    assert_int_equal(settings.grace_us, 1000000);
    assert_int_equal(settings.peers_max, 10);
}

/* Data is kept unless it is said otherwise; both at once make no sense. */
static void test_settings_data_is_a_directory_or_memory(void **state)
{
    (void)state;
    struct settings settings;
    struct drv_problem problem = {""};
    assert_int_equal(READ(&settings, &problem, "--bind=ipc:///nowhere"), DROVER_OK);
    assert_false(settings.is_memory);
    assert_string_equal(settings.data, "");
    assert_int_equal(READ(&settings, &problem, "--data", "/nowhere"), DROVER_OK);
    assert_string_equal(settings.data, "/nowhere");
    assert_int_equal(READ(&settings, &problem, "--memory"), DROVER_OK);
    assert_true(settings.is_memory);
    assert_int_equal(READ(&settings, &problem, "--memory", "--data", "/nowhere"),
                     DROVER_INVALID);
    assert_non_null(strstr(problem.text, "one of them"));
}

/* The place for the data: what was asked for, what the service manager gives, the usual one. */
static void test_data_dir_follows_environment(void **state)
{
    (void)state;
    char path[DATA_DIR_MAX];
    struct drv_problem problem = {""};
    assert_int_equal(setenv("STATE_DIRECTORY", "/first:/second", 1), 0);
    assert_int_equal(data_dir_choose("/asked", path, &problem), DROVER_OK);
    assert_string_equal(path, "/asked");
    assert_int_equal(data_dir_choose("", path, &problem), DROVER_OK);
    assert_string_equal(path, "/first");
    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
    if (geteuid() == 0) {
        assert_int_equal(data_dir_choose(NULL, path, &problem), DROVER_OK);
        assert_string_equal(path, "/var/lib/drover");
    }
}

/* A lease that one lost heartbeat would end makes no sense. */
static void test_settings_lease_shorter_than_two_heartbeats_is_invalid(void **state)
{
    (void)state;
    struct settings settings;
    struct drv_problem problem = {""};
    assert_int_equal(READ(&settings, &problem, "--lease=1s", "--heartbeat=900ms"),
                     DROVER_INVALID);
}

/* Foreign addresses need --insecure on either port. */
static void test_settings_open_bind_needs_insecure(void **state)
{
    (void)state;
    struct settings settings;
    struct drv_problem problem = {""};
    assert_int_equal(READ(&settings, &problem, "--bind-workers=tcp://0.0.0.0:7711"),
                     DROVER_REFUSED);
    assert_int_equal(
        READ(&settings, &problem, "--bind-workers=tcp://0.0.0.0:7711", "--insecure"),
        DROVER_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_defaults_are_loopback_and_the_documented_times),
        cmocka_unit_test(test_settings_limits_reach_the_core),
        cmocka_unit_test(test_settings_data_is_a_directory_or_memory),
        cmocka_unit_test(test_data_dir_follows_environment),
        cmocka_unit_test(test_settings_lease_shorter_than_two_heartbeats_is_invalid),
        cmocka_unit_test(test_settings_open_bind_needs_insecure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
