/*
 * The models: what runs beside what, who is charged when a process ends, what rules do.
 */
#include "pool_fixture.h"

#include <drover/worker.h>

#include <signal.h>

/* Everything that runs has said who it is by its progress. */
static pid_t pid_of(const struct fixture *fixture, uint64_t token)
{
    return (pid_t)strtol(fixture->seen[token].progress, NULL, 10);
}

static void begin(struct fixture *fixture, uint64_t token, const char *type, const char *json)
{
    fixture_submit(fixture, token, type, json);
    FIXTURE_UNTIL(fixture, fixture->seen[token].progress_count);
}

static void abort_now(struct fixture *fixture, uint64_t token, uint64_t term_ms)
{
    assert_ok(pool_abort(fixture->pool, token, term_ms, 50, fixture_now_us()));
}

static struct fixture *open_threads(size_t threads)
{
    struct pool_config config = {
        .slots = threads, .model = POOL_MODEL_THREAD, .threads = threads};
    return fixture_new(&config);
}

/* ---- threads ------------------------------------------------------------------------------
 */

/* Handlers run side by side in one process, and each gets its own result. */
static void test_thread_attempts_share_a_process(void **state)
{
    struct fixture *fixture = open_threads(3);
    for (uint64_t token = 1; token <= 3; token++) {
        begin(fixture, token, "hold", NULL);
    }
    assert_int_equal(pid_of(fixture, 1), pid_of(fixture, 2));
    assert_int_equal(pid_of(fixture, 1), pid_of(fixture, 3));
    for (uint64_t token = 1; token <= 3; token++) {
        abort_now(fixture, token, 100000);
        assert_int_equal(fixture_finish(fixture, token)->outcome, POOL_CANCELLED);
    }
    for (uint64_t token = 11; token <= 300; token++) {
        fixture_submit(fixture, token, "square", "12");
    }
    for (uint64_t token = 11; token <= 300; token++) {
        assert_int_equal(fixture_number(fixture_finish(fixture, token)), 144);
        assert_int_equal(fixture->seen[token].usage.pid, pid_of(fixture, 1));
    }
    fixture_free(fixture);
}

/* A handler that is not marked thread-safe gets a process to itself. */
static void test_thread_unsafe_handler_runs_in_a_process(void **state)
{
    struct fixture *fixture = open_threads(2);
    for (size_t i = 0; i < pool_type_count(fixture->pool); i++) {
        struct pool_type type = pool_type_at(fixture->pool, i);
        bool is_safe = (type.flags & DROVER_THREAD_SAFE) != 0;
        assert_int_equal(type.model, is_safe ? POOL_MODEL_THREAD : POOL_MODEL_PREFORK);
    }
    begin(fixture, 1, "hold", NULL);
    begin(fixture, 2, "deaf", NULL);
    assert_int_not_equal(pid_of(fixture, 1), pid_of(fixture, 2));
    fixture_free(fixture);
}

static void expect_interrupted(struct fixture *fixture, uint64_t token)
{
    FIXTURE_UNTIL(fixture, fixture->seen[token].returned);
    assert_int_equal(fixture->seen[token].how, POOL_RETURN_INTERRUPTED);
}

/* What crashes in a thread is charged, with its signal; its neighbours go back. */
static void test_thread_crash_is_charged_to_one(void **state)
{
    static const struct {
        const char *how;
        int signal, exit_code;
    } ways[] = {{"\"segv\"", SIGSEGV, -1},
                {"\"abort\"", SIGABRT, -1},
                {"\"stack\"", SIGSEGV, -1},
                {"\"exit\"", 0, 3}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct fixture *fixture = open_threads(3);
        begin(fixture, 1, "hold", NULL);
        begin(fixture, 2, "hold", NULL);
        fixture_submit(fixture, 3, "perish", ways[i].how);
        struct seen *seen = fixture_finish(fixture, 3);
        assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
        assert_int_equal(seen->signal, ways[i].signal);
        assert_int_equal(seen->exit_code, ways[i].exit_code);
        assert_non_null(strstr(seen->stderr_tail, "perishing"));
        expect_interrupted(fixture, 1);
        expect_interrupted(fixture, 2);
        fixture_submit(fixture, 4, "square", "3");
        assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 9);
        fixture_free(fixture);
    }
}

/* What had been printed before anything of it ran is nobody's last words. */
static void test_thread_last_words_are_of_those_that_run(void **state)
{
    struct fixture *fixture = open_threads(3);
    fixture_submit(fixture, 1, "print", "\"long ago\"");
    (void)fixture_finish(fixture, 1);
    fixture_submit(fixture, 2, "perish", "\"segv\"");
    assert_string_equal(fixture_finish(fixture, 2)->stderr_tail, "perishing\n");
    fixture_free(fixture);
}

/* When a process with several threads is killed, nobody is charged; run alone, whoever it was
 * is. */
static void test_thread_unexplained_end_is_charged_alone(void **state)
{
    static const char *const ways[] = {"\"kill\"", "\"quick\""};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct fixture *fixture = open_threads(3);
        begin(fixture, 1, "hold", NULL);
        fixture_submit(fixture, 2, "perish", ways[i]);
        expect_interrupted(fixture, 1);
        expect_interrupted(fixture, 2);
        begin(fixture, 3, "hold", NULL);
        struct pool_attempt attempt = fixture_attempt(4, "perish");
        attempt.is_alone = true;
        fixture_submit_as(fixture, &attempt, ways[i]);
        struct seen *seen = fixture_finish(fixture, 4);
        assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
        assert_int_equal(seen->signal, i == 0 ? SIGKILL : 0);
        assert_int_equal(seen->exit_code, i == 0 ? -1 : 3);
        assert_int_equal(fixture->seen[3].returned, 0); /* it was elsewhere */
        fixture_free(fixture);
    }
}

/* A thread that sees no flag costs its process, and its neighbours nothing. */
static void test_thread_deaf_handler_ends_the_process(void **state)
{
    struct fixture *fixture = open_threads(3);
    begin(fixture, 1, "hold", NULL);
    begin(fixture, 2, "numb", NULL);
    struct pool_attempt attempt = fixture_attempt(3, "numb");
    attempt.timeout_ms = 50;
    fixture_submit_as(fixture, &attempt, NULL);
    assert_int_equal(fixture_finish(fixture, 3)->kind, DROVER_ERROR_TIMEOUT);
    expect_interrupted(fixture, 1);
    expect_interrupted(fixture, 2);
    begin(fixture, 4, "hold", NULL);
    begin(fixture, 5, "numb", NULL);
    abort_now(fixture, 5, 10);
    assert_int_equal(fixture_finish(fixture, 5)->outcome, POOL_CANCELLED);
    expect_interrupted(fixture, 4);
    fixture_free(fixture);
}

/* A cancelled neighbour is cancelled, whoever ended the process. */
static void test_thread_cancelled_neighbour_of_a_crash_is_cancelled(void **state)
{
    struct fixture *fixture = open_threads(2);
    begin(fixture, 1, "numb", NULL);
    abort_now(fixture, 1, 100000);
    fixture_submit(fixture, 2, "perish", "\"segv\"");
    assert_int_equal(fixture_finish(fixture, 2)->kind, DROVER_ERROR_CRASH);
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    fixture_free(fixture);
}

/* What was placed behind an attempt in a process that ends runs in the next one. */
static void test_thread_unstarted_attempts_survive_a_crash(void **state)
{
    struct fixture *fixture = open_threads(2);
    for (uint64_t token = 1; token <= 40; token++) { /* so that the type is known to be short */
        fixture_submit(fixture, token, "square", "2");
        (void)fixture_finish(fixture, token);
    }
    fixture_submit(fixture, 100, "perish", "\"segv\"");
    for (uint64_t token = 101; token <= 200; token++) {
        fixture_submit(fixture, token, "square", "2");
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    for (uint64_t token = 101; token <= 200; token++) {
        const struct seen *seen = &fixture->seen[token];
        assert_true(seen->outcome == POOL_SUCCEEDED || seen->how == POOL_RETURN_INTERRUPTED);
    }
    fixture_free(fixture);
}

/* ---- fork ---------------------------------------------------------------------------------
 */

/* Every attempt has a process of its own, which is gone before the next one is. */
static void test_fork_attempt_has_a_fresh_process(void **state)
{
    struct pool_config config = {.slots = 2, .model = POOL_MODEL_FORK};
    struct fixture *fixture = fixture_new(&config);
    for (uint64_t token = 1; token <= 20; token++) {
        fixture_submit(fixture, token, "tally", NULL);
    }
    for (uint64_t token = 1; token <= 20; token++) {
        assert_int_equal(fixture_number(fixture_finish(fixture, token)), 1);
    }
    fixture_free(fixture);
}

/* ---- rules --------------------------------------------------------------------------------
 */

/* Each type runs as its rule says, and no more of them at once. */
static void test_rule_bounds_a_type(void **state)
{
    static const struct pool_rule rules[] = {{.type = "hold", .concurrency = 2},
                                             {.type = "tally", .model = POOL_MODEL_FORK}};
    struct pool_config config = {.slots = 4, .rules = rules, .rule_count = 2};
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "hold", NULL);
    fixture_submit(fixture, 2, "hold", NULL);
    fixture_submit(fixture, 3, "hold", NULL);
    fixture_submit(fixture, 4, "hold", NULL);
    fixture_submit(fixture, 5, "tally", NULL);
    fixture_submit(fixture, 6, "tally", NULL);
    assert_int_equal(fixture_number(fixture_finish(fixture, 5)), 1);
    assert_int_equal(fixture_number(fixture_finish(fixture, 6)), 1);
    FIXTURE_UNTIL(fixture, fixture->seen[1].started && fixture->seen[2].started);
    assert_ok(pool_recall(fixture->pool, 3, fixture_now_us())); /* it waits */
    abort_now(fixture, 1, 100000);
    (void)fixture_finish(fixture, 1);
    FIXTURE_UNTIL(fixture, fixture->seen[4].started);
    fixture_free(fixture);
}

static void expect_refused(const struct pool_rule *rule, const char *part)
{
    char path[1024];
    static const char *const argv[] = {"true"};
    static const struct pool_command command = {.type = "true", .argv = argv, .argc = 1};
    const char *modules[] = {
        fixture_module("DROVER_TEST_MODULE_DIR", "rough", path, sizeof(path))};
    struct pool_config config = {.slots = 1,
                                 .modules = modules,
                                 .module_count = 1,
                                 .commands = &command,
                                 .command_count = 1,
                                 .rules = rule,
                                 .rule_count = 1};
    struct drv_problem problem = {.text = ""};
    struct pool *pool = NULL;
    assert_int_equal(pool_new(&config, &problem, &pool), DROVER_INVALID);
    if (strstr(problem.text, part) == NULL) {
        fail_msg("'%s' without '%s'", problem.text, part);
    }
}

/* A rule that cannot be kept is refused at the start. */
static void test_rule_that_cannot_be_kept_is_refused(void **state)
{
    expect_refused(&(struct pool_rule){.type = "nobody"}, "no such handler");
    expect_refused(&(struct pool_rule){.type = "deaf", .model = POOL_MODEL_THREAD},
                   "DROVER_THREAD_SAFE");
    expect_refused(&(struct pool_rule){.type = "deaf", .model = POOL_MODEL_EXEC},
                   "a function cannot run as exec");
    expect_refused(&(struct pool_rule){.type = "true", .model = POOL_MODEL_FORK},
                   "a command cannot run as fork");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_thread_attempts_share_a_process),
    cmocka_unit_test(test_thread_unsafe_handler_runs_in_a_process),
    cmocka_unit_test(test_thread_crash_is_charged_to_one),
    cmocka_unit_test(test_thread_last_words_are_of_those_that_run),
    cmocka_unit_test(test_thread_unexplained_end_is_charged_alone),
    cmocka_unit_test(test_thread_deaf_handler_ends_the_process),
    cmocka_unit_test(test_thread_cancelled_neighbour_of_a_crash_is_cancelled),
    cmocka_unit_test(test_thread_unstarted_attempts_survive_a_crash),
    cmocka_unit_test(test_fork_attempt_has_a_fresh_process),
    cmocka_unit_test(test_rule_bounds_a_type),
    cmocka_unit_test(test_rule_that_cannot_be_kept_is_refused),
};

TEST_MAIN(tests)
