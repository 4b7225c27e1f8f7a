/*
 * Death at the top: of the agent, of the zygote, and the end of the pool. Nothing is left.
 */
#include "pool_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

static const char *const LOOP[] = {
    "sh", "-c", "setsid sleep 1000 & echo $! > \"$1\"; exec sleep 1000", "sh", "{}"};
static const struct pool_command COMMANDS[] = {{.type = "loop", .argv = LOOP, .argc = 5}};

/* A pool that runs a handler with a family of its own; all their pids and the zygote's in text.
 */
static struct fixture *open_busy(const char *tmp_dir, char *text, size_t size)
{
    struct pool_config config = {
        .slots = 2, .commands = COMMANDS, .command_count = 1, .tmp_dir = tmp_dir};
    struct fixture *fixture = fixture_new(&config);
    char path[128];
    (void)snprintf(path, sizeof(path), "\"%s/pid\"", tmp_dir);
    fixture_submit(fixture, 1, "tree", NULL);
    fixture_submit(fixture, 2, "loop", path);
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count && fixture->seen[2].started);
    int written = snprintf(text, size, "%ld %s", (long)pool_zygote_pid(fixture->pool),
                           fixture->seen[1].progress);
    assert_in_range(written, 1, size - 1);
    for (size_t i = 0; i < pool_executor_count(fixture->pool); i++) {
        struct pool_executor_info info;
        pool_executor_at(fixture->pool, i, &info);
        if (info.pid != 0) {
            size_t len = strlen(text);
            (void)snprintf(text + len, size - len, " %ld", (long)info.pid);
        }
    }
    return fixture;
}

static size_t count_entries(const char *path, const char *prefix)
{
    DIR *directory = opendir(path);
    size_t count = 0;
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 ? 1 : 0;
    }
    (void)closedir(directory);
    return count;
}

static void remove_stage(const char *directory)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/pid", directory);
    (void)unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

/* Closing a pool that is at work ends every process and removes every directory. */
static void test_zygote_close_ends_everything(void **state)
{
    char directory[] = "/tmp/drover-test-XXXXXX";
    char text[512];
    struct pids pids = {.count = 0};
    assert_non_null(mkdtemp(directory));
    struct fixture *fixture = open_busy(directory, text, sizeof(text));
    pids_open(&pids, text);
    assert_true(pids.count >= 7);
    assert_int_equal(count_entries(directory, "drover-worker-"), 1);
    fixture_free(fixture);
    assert_true(pids_are_gone(&pids, 0));
    assert_int_equal(count_entries(directory, "drover-worker-"), 0);
    pids_close(&pids);
    remove_stage(directory);
}

/* An agent that is killed takes everything with it, and its directories too. */
static void test_zygote_death_of_agent_ends_everything(void **state)
{
    char directory[] = "/tmp/drover-test-XXXXXX";
    char text[512] = "";
    int link[2];
    struct pids pids = {.count = 0};
    assert_non_null(mkdtemp(directory));
    assert_int_equal(pipe(link), 0);
    pid_t agent = fork();
    assert_true(agent >= 0);
    if (agent == 0) {
        struct fixture *fixture = open_busy(directory, text, sizeof(text));
        (void)!write(link[1], text, strlen(text));
        for (;;) {
            (void)fixture_turn(fixture, INT64_MAX);
        }
    }
    (void)close(link[1]);
    struct pollfd fd = {.fd = link[0], .events = POLLIN};
    assert_int_equal(poll(&fd, 1, (int)test_deadline_ms(FIXTURE_WAIT_MS)), 1);
    assert_true(read(link[0], text, sizeof(text) - 1) > 0);
    pids_open(&pids, text);
    assert_int_equal(kill(agent, SIGKILL), 0);
    assert_true(pids_are_gone(&pids, (int)test_deadline_ms(FIXTURE_WAIT_MS)));
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_int_equal(count_entries(directory, "drover-worker-"), 0);
    (void)close(link[0]);
    pids_close(&pids);
    remove_stage(directory);
}

/* A zygote that is killed ends the pool: what ran is lost, what did not never started, nothing
 * is charged to anyone, nothing is left. */
static void test_zygote_death_of_zygote_is_reported(void **state)
{
    char directory[] = "/tmp/drover-test-XXXXXX";
    char text[512];
    struct pids pids = {.count = 0};
    assert_non_null(mkdtemp(directory));
    struct fixture *fixture = open_busy(directory, text, sizeof(text));
    fixture_submit(fixture, 3, "square", "1"); /* waits for a slot */
    pids_open(&pids, text);
    assert_int_equal(kill(pool_zygote_pid(fixture->pool), SIGKILL), 0);
    drover_status status = DROVER_OK;
    int64_t until_us = fixture_now_us() + test_deadline_ms(FIXTURE_WAIT_MS) * 1000;
    while (!status && fixture_now_us() < until_us) {
        status = fixture_turn(fixture, until_us);
    }
    assert_int_equal(status, DROVER_CLOSED);
    assert_true(pids_are_gone(&pids, 0));
    for (uint64_t token = 1; token <= 3; token++) {
        assert_int_equal(fixture->seen[token].returned, 1);
        assert_int_equal(fixture->seen[token].how,
                         token == 3 ? POOL_RETURN_UNSTARTED : POOL_RETURN_LOST);
    }
    struct pool_attempt attempt = fixture_attempt(4, "square");
    assert_int_equal(pool_submit(fixture->pool, &attempt), DROVER_CLOSED);
    fixture_free(fixture);
    assert_int_equal(count_entries(directory, "drover-worker-"), 0);
    pids_close(&pids);
    remove_stage(directory);
}

/* Children that the process had before are left alone. */
static void test_zygote_close_spares_other_children(void **state)
{
    struct pool_config config = {.slots = 1};
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        for (;;) {
            (void)pause();
        }
    }
    struct fixture *fixture = fixture_new(&config);
    fixture_submit(fixture, 1, "square", "1");
    (void)fixture_finish(fixture, 1);
    fixture_free(fixture);
    assert_int_equal(waitpid(other, NULL, WNOHANG), 0); /* lives */
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

/* Executors that die by themselves come back, even when one does so again and again. */
static void test_zygote_idle_executor_that_dies_is_replaced(void **state)
{
    struct pool_config config = {.slots = 1};
    struct fixture *fixture = fixture_new(&config);
    for (uint64_t token = 1; token <= 4; token++) {
        fixture_submit(fixture, token, "square", "3");
        struct seen *seen = fixture_finish(fixture, token);
        assert_int_equal(fixture_number(seen), 9);
        assert_int_equal(kill((pid_t)seen->usage.pid, SIGKILL), 0);
    }
    struct pool_executor_info info;
    FIXTURE_UNTIL(fixture, (pool_executor_at(fixture->pool, 0, &info), info.crashes >= 4));
    fixture_free(fixture);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_zygote_close_ends_everything),
    cmocka_unit_test(test_zygote_death_of_agent_ends_everything),
    cmocka_unit_test(test_zygote_death_of_zygote_is_reported),
    cmocka_unit_test(test_zygote_close_spares_other_children),
    cmocka_unit_test(test_zygote_idle_executor_that_dies_is_replaced),
};

TEST_MAIN(tests)
