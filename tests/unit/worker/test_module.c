/*
 * What a pool says about modules and commands that it cannot use.
 */
#include "pool_fixture.h"

#include <fcntl.h>

static drover_status try_config(struct pool_config *config, char text[DRV_PROBLEM_TEXT_MAX])
{
    struct drv_problem problem = {.text = ""};
    struct pool *pool = NULL;
    config->slots = 1;
    drover_status status = pool_new(config, &problem, &pool);
    assert_true((status == DROVER_OK) == (pool != NULL));
    pool_close(&pool);
    (void)snprintf(text, DRV_PROBLEM_TEXT_MAX, "%s", problem.text);
    return status;
}

static drover_status try_modules(const char *const *paths, size_t count,
                                 char text[DRV_PROBLEM_TEXT_MAX])
{
    struct pool_config config = {.modules = paths, .module_count = count};
    return try_config(&config, text);
}

static drover_status try_module(const char *path, char text[DRV_PROBLEM_TEXT_MAX])
{
    return try_modules(&path, 1, text);
}

/* A file that is missing, or no module, or has open ends, gives the text of dlerror(). */
static void test_module_load_error_is_dlerror(void **state)
{
    char text[DRV_PROBLEM_TEXT_MAX];
    char path[1024];
    assert_int_equal(try_module("/nonexistent/m.so", text), DROVER_IO);
    assert_non_null(strstr(text, "/nonexistent/m.so: cannot open shared object file"));
    assert_int_equal(try_module("/etc/passwd", text), DROVER_IO);
    assert_non_null(strstr(text, "/etc/passwd"));
    fixture_module("DROVER_TEST_MODULE_DIR", "unresolved", path, sizeof(path));
    assert_int_equal(try_module(path, text), DROVER_IO);
    assert_non_null(strstr(text, "drover_test_function_that_nobody_has"));
}

/* A library without DROVER_MODULE, a module of another ABI. */
static void test_module_foreign_library_is_refused(void **state)
{
    char text[DRV_PROBLEM_TEXT_MAX];
    char path[1024];
    assert_int_equal(try_module("/lib/x86_64-linux-gnu/libm.so.6", text),
                     access("/lib/x86_64-linux-gnu/libm.so.6", F_OK) == 0 ? DROVER_INVALID
                                                                          : DROVER_IO);
    fixture_module("DROVER_TEST_MODULE_DIR", "odd_abi", path, sizeof(path));
    assert_int_equal(try_module(path, text), DROVER_VERSION);
    assert_non_null(strstr(text, "built for ABI 2, this worker has ABI 1"));
}

/* Two handlers of one type: nobody could say which is meant. */
static void test_module_type_twice_is_a_conflict(void **state)
{
    char text[DRV_PROBLEM_TEXT_MAX];
    char path[1024];
    const char *const argv[] = {"true"};
    const struct pool_command command = {.type = "square", .argv = argv, .argc = 1};
    fixture_module("DROVER_MODULE_DIR", "demo", path, sizeof(path));
    const char *paths[] = {path};
    struct pool_config config = {
        .modules = paths, .module_count = 1, .commands = &command, .command_count = 1};
    assert_int_equal(try_config(&config, text), DROVER_CONFLICT);
    assert_non_null(strstr(text, "square"));
}

/* Configurations that make no sense. */
static void test_module_bad_configuration_is_refused(void **state)
{
    char text[DRV_PROBLEM_TEXT_MAX];
    const char *const argv[] = {"true"};
    struct pool_command command = {.type = "bad type", .argv = argv, .argc = 1};
    struct pool_config config = {.commands = &command, .command_count = 1};
    assert_int_equal(try_config(&config, text), DROVER_INVALID);
    command = (struct pool_command){.type = "t", .argv = argv, .argc = 0};
    assert_int_equal(try_config(&config, text), DROVER_INVALID);
    const char *const allowed[] = {"some program"};
    config = (struct pool_config){.allow_exec = allowed, .allow_exec_count = 1};
    assert_int_equal(try_config(&config, text), DROVER_INVALID);
    config = (struct pool_config){
        .commands = &command, .command_count = 1, .tmp_dir = "/nonexistent"};
    command.argc = 1;
    assert_int_equal(try_config(&config, text), DROVER_IO);
    assert_non_null(strstr(text, "/nonexistent"));
    struct drv_problem problem = {.text = ""};
    struct pool *pool = NULL;
    config = (struct pool_config){.slots = POOL_SLOTS_MAX + 1};
    assert_int_equal(pool_new(&config, &problem, &pool), DROVER_INVALID);
}

/* What is offered, with its model. */
static void test_module_types_are_listed(void **state)
{
    const char *const argv[] = {"true"};
    const struct pool_command command = {.type = "thumb", .argv = argv, .argc = 1};
    const char *const allowed[] = {"/usr/bin/env", "sh"};
    struct pool_config config = {.slots = 1,
                                 .commands = &command,
                                 .command_count = 1,
                                 .allow_exec = allowed,
                                 .allow_exec_count = 2};
    struct fixture *fixture = fixture_new(&config);
    unsigned found = 0;
    for (size_t i = 0; i < pool_type_count(fixture->pool); i++) {
        struct pool_type type = pool_type_at(fixture->pool, i);
        if (strcmp(type.name, "square") == 0) {
            assert_int_equal(type.model, POOL_MODEL_PREFORK);
            assert_int_equal(type.flags, 1); /* DROVER_THREAD_SAFE */
            found++;
        } else if (strcmp(type.name, "thumb") == 0 || strcmp(type.name, "exec:sh") == 0 ||
                   strcmp(type.name, "exec::usr:bin:env") == 0) {
            assert_int_equal(type.model, POOL_MODEL_EXEC);
            found++;
        }
    }
    assert_int_equal(found, 4);
    fixture_free(fixture);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_module_load_error_is_dlerror),
    cmocka_unit_test(test_module_foreign_library_is_refused),
    cmocka_unit_test(test_module_type_twice_is_a_conflict),
    cmocka_unit_test(test_module_bad_configuration_is_refused),
    cmocka_unit_test(test_module_types_are_listed),
};

TEST_MAIN(tests)
