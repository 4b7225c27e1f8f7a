/*
 * Limits of attempts: what goes beyond one is ended, alone, and is told which.
 */
#include "pool_fixture.h"

#include "group.h"
#include "group_fixture.h"

#define SHELL(script) .argv = (const char *const[]){"sh", "-c", script}, .argc = 3
#define UNREAD .stdin_mode = POOL_STDIN_NONE
#define TEXT .stdout_mode = POOL_STDOUT_TEXT

static const struct pool_command COMMANDS[] = {
    {.type = "busy", SHELL("while :; do :; done"), UNREAD},
    {.type = "many", SHELL("for i in 1 2 3 4 5; do sleep 1000 & done; wait"), UNREAD},
    {.type = "files", SHELL("ulimit -n"), UNREAD, TEXT},
    {.type = "endless", SHELL("yes"), UNREAD},
    {.type = "desert", SHELL("setsid sleep 1000 & setsid sleep 1000 & echo $$"), UNREAD, TEXT},
};

static struct fixture *open_grouped_pool(enum pool_model model, const char *group_dir)
{
    struct pool_config config = {.slots = 3,
                                 .model = model,
                                 .threads = 3,
                                 .group_dir = group_dir,
                                 .commands = COMMANDS,
                                 .command_count = sizeof COMMANDS / sizeof COMMANDS[0]};
    return fixture_new(&config);
}

static struct fixture *open_pool(enum pool_model model)
{
    return open_grouped_pool(model, NULL);
}

static void submit(struct fixture *fixture, uint64_t token, const char *type, const char *json,
                   struct drv_bounds limits)
{
    struct pool_attempt attempt = fixture_attempt(token, type);
    attempt.limits = limits;
    fixture_submit_as(fixture, &attempt, json);
}

static void expect_limit(struct fixture *fixture, uint64_t token, const char *code)
{
    const struct seen *seen = fixture_finish(fixture, token);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_LIMIT);
    assert_int_not_equal(seen->usage.kept, DRV_KEPT_NOTHING);
    assert_string_equal(seen->code, code);
    assert_non_null(strstr(seen->text, "its limit"));
}

/* Only the one that uses too much ends; what runs beside it, in whatever model, goes on. */
static void only_the_offender_ends(enum pool_model model)
{
    struct fixture *fixture = open_pool(model);
    fixture_submit(fixture, 1, "hold", NULL);
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count);
    submit(fixture, 2, "hoard", "90000000", (struct drv_bounds){.memory_bytes = 60000000});
    submit(fixture, 3, "spin", "60000", (struct drv_bounds){.cpu_ms = 60});
    expect_limit(fixture, 2, "memory");
    expect_limit(fixture, 3, "cpu");
    assert_int_equal(fixture->seen[1].finished + fixture->seen[1].returned, 0);
    assert_int_not_equal(fixture->seen[2].usage.pid,
                         strtol(fixture->seen[1].progress, NULL, 10));
    assert_ok(pool_abort(fixture->pool, 1, 100000, 50, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    /* Within its limits an attempt ends as it would without. */
    submit(fixture, 4, "square", "12",
           (struct drv_bounds){.memory_bytes = UINT64_C(1) << 33,
                               .cpu_ms = 60000,
                               .processes = 10,
                               .files = 10,
                               .output_bytes = 100});
    assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 144);
    fixture_free(fixture);
}

static void test_only_the_offender_ends_prefork(void **state)
{
    only_the_offender_ends(POOL_MODEL_PREFORK);
}

static void test_only_the_offender_ends_thread(void **state)
{
    only_the_offender_ends(POOL_MODEL_THREAD);
}

/* The kernel refuses what is far beyond the limit before anybody looks. */
static void test_far_too_much_memory_is_refused_at_once(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their allocators end the process then */
#endif
    struct fixture *fixture = open_pool(POOL_MODEL_PREFORK);
    submit(fixture, 1, "alloc", "2000000000", (struct drv_bounds){.memory_bytes = 60000000});
    const struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_LIMIT);
    assert_string_equal(seen->code, "memory");
    assert_non_null(strstr(seen->text, "refused memory beyond its limit of 60000000 bytes"));
    fixture_free(fixture);
}

/* Without a limit it is what the handler says it is. */
static void test_want_of_memory_without_a_limit_is_the_handlers(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their allocators end the process then */
#endif
    (void)state;
    struct fixture *fixture = open_pool(POOL_MODEL_FORK);
    submit(fixture, 1, "alloc", "1000000000000", (struct drv_bounds){.cpu_ms = 60000});
    const struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_HANDLER);
    assert_string_equal(seen->code, "nomem");
    fixture_free(fixture);
}

/* Who does not look whether it got what it asked for crashes: nobody knows why, and it says so.
 */
static void test_crash_under_a_memory_limit_names_it(void **state)
{
    (void)state;
    struct fixture *fixture = open_pool(POOL_MODEL_PREFORK);
    submit(fixture, 1, "crash", NULL, (struct drv_bounds){.memory_bytes = 60000000});
    submit(fixture, 2, "crash", NULL, (struct drv_bounds){.cpu_ms = 60000});
    const struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_non_null(strstr(seen->text, "its limit of 60000000 bytes"));
    assert_null(strstr(fixture_finish(fixture, 2)->text, "limit"));
    fixture_free(fixture);
}

static void test_result_that_is_too_long(void **state)
{
    struct fixture *fixture = open_pool(POOL_MODEL_PREFORK);
    submit(fixture, 1, "echo", "\"0123456789\"", (struct drv_bounds){.output_bytes = 10});
    submit(fixture, 2, "echo", "\"0123456789\"", (struct drv_bounds){.output_bytes = 11});
    submit(fixture, 3, "endless", NULL, (struct drv_bounds){.output_bytes = 5000});
    const struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_LIMIT);
    assert_string_equal(seen->code, "output");
    assert_null(seen->value);
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_SUCCEEDED);
    seen = fixture_finish(fixture, 3);
    assert_int_equal(seen->kind, DROVER_ERROR_LIMIT);
    assert_string_equal(seen->code, "output");
    fixture_free(fixture);
}

/* Of a command all its processes count, and not its executor. */
static void test_commands(void **state)
{
    struct fixture *fixture = open_pool(POOL_MODEL_PREFORK);
    submit(fixture, 1, "busy", NULL, (struct drv_bounds){.cpu_ms = 60});
    submit(fixture, 2, "many", NULL, (struct drv_bounds){.processes = 4});
    submit(fixture, 3, "files", NULL, (struct drv_bounds){.files = 7});
    expect_limit(fixture, 1, "cpu");
    expect_limit(fixture, 2, "processes");
    fixture_assert_json(fixture_finish(fixture, 3)->value, "\"10\"");
    /* The next one of the same executor is not held to that. */
    fixture_submit(fixture, 4, "files", NULL);
    FIXTURE_UNTIL(fixture, fixture->seen[4].finished);
    const char *text;
    size_t len;
    assert_ok(drover_value_get_string(fixture->seen[4].value, &text, &len));
    assert_true(len > 2);
    fixture_free(fixture);
}

/* In control groups: what runs is in one of its own, its use is that of the group, and who kept
 * the limit is told. Nothing is left of them. */
static void test_limits_in_control_groups(void **state)
{
    char dir[256];
    if (!real_group_make(dir, sizeof dir)) {
        skip();
    }
    struct fixture *fixture = open_grouped_pool(POOL_MODEL_PREFORK, dir);
    submit(fixture, 1, "spin", "60000", (struct drv_bounds){.cpu_ms = 60});
    submit(fixture, 2, "busy", NULL, (struct drv_bounds){.cpu_ms = 60});
    expect_limit(fixture, 1, "cpu");
    expect_limit(fixture, 2, "cpu");
    for (uint64_t token = 1; token <= 2; token++) {
        const struct seen *seen = &fixture->seen[token];
        assert_non_null(strstr(seen->text, "(cgroup)"));
        assert_int_equal(seen->usage.kept, DRV_KEPT_CGROUP);
    }
    /* What leaves its process group and its session is in the control group all the same. */
    fixture_submit(fixture, 3, "desert", NULL);
    assert_int_equal(fixture_finish(fixture, 3)->outcome, POOL_SUCCEEDED);
    assert_int_equal(fixture->seen[3].usage.kept, DRV_KEPT_NOTHING);
    submit(fixture, 4, "square", "12", (struct drv_bounds){.cpu_ms = 60000});
    assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 144);
    assert_int_equal(fixture->seen[4].usage.kept, DRV_KEPT_CGROUP);
    fixture_free(fixture);
    /* Those of executors that were ended with the zygote are left to who made the tree. */
    for (uint32_t number = 0; number < 3 * POOL_MODEL_EXEC; number++) {
        assert_true(group_make(dir, number) && group_remove(dir, number));
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_offender_ends_prefork),
        cmocka_unit_test(test_only_the_offender_ends_thread),
        cmocka_unit_test(test_far_too_much_memory_is_refused_at_once),
        cmocka_unit_test(test_want_of_memory_without_a_limit_is_the_handlers),
        cmocka_unit_test(test_crash_under_a_memory_limit_names_it),
        cmocka_unit_test(test_result_that_is_too_long),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_limits_in_control_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
