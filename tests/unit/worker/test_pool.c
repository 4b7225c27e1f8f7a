/*
 * The pool with real executors: what comes out, who is charged, who is left.
 */
#include "pool_fixture.h"
#include "rng.h"

#include <dirent.h>
#include <signal.h>

static struct fixture *open_slots(size_t slots)
{
    struct pool_config config = {.slots = slots};
    return fixture_new(&config);
}

/* A handler of a module is called and its result comes back. */
static void test_pool_square_succeeds(void **state)
{
    struct fixture *fixture = open_slots(2);
    fixture_submit(fixture, 1, "square", "5");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_int_equal(fixture_number(seen), 25);
    assert_int_equal(seen->kind, DROVER_ERROR_NONE);
    assert_true(seen->usage.pid > 0 && seen->usage.peak_rss_bytes > 0);
    assert_int_equal(pool_attempt_count(fixture->pool), 0);
    fixture_free(fixture);
}

/* Many short attempts all end, each with its own result, whatever is placed behind what. */
static void test_pool_many_short_attempts_all_end(void **state)
{
    enum { COUNT = 500 };
    struct fixture *fixture = open_slots(3);
    for (unsigned i = 1; i <= COUNT; i++) {
        char json[16];
        (void)snprintf(json, sizeof(json), "%u", i);
        fixture_submit(fixture, i, "square", json);
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(fixture->seen[i].finished, 1);
        assert_int_equal(fixture_number(&fixture->seen[i]), i * i);
    }
    assert_int_equal(pool_idle_count(fixture->pool), 3);
    fixture_free(fixture);
}

/* A failure carries the handler's code and text, a null result is no value. */
static void test_pool_failure_carries_code_and_text(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "fail", "\"no luck\"");
    fixture_submit(fixture, 2, "noop", NULL);
    fixture_submit(fixture, 3, "alloc", "-1");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_HANDLER);
    assert_string_equal(seen->code, "demo");
    assert_string_equal(seen->text, "no luck");
    assert_false(seen->permanent);
    seen = fixture_finish(fixture, 2);
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_null(seen->value);
    seen = fixture_finish(fixture, 3);
    assert_string_equal(seen->code, "bad-arg");
    assert_true(seen->permanent);
    fixture_free(fixture);
}

/* A type that nobody has, a token twice, a payload that is no value. */
static void test_pool_bad_attempts_are_refused(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pool_attempt attempt = fixture_attempt(1, "squar");
    assert_int_equal(pool_submit(fixture->pool, &attempt), DROVER_UNKNOWN);
    fixture_submit(fixture, 1, "sleep", "100000");
    attempt = fixture_attempt(1, "square");
    assert_int_equal(pool_submit(fixture->pool, &attempt), DROVER_CONFLICT);
    assert_ok(pool_abort(fixture->pool, 1, 1000, 1000, fixture_now_us()));
    (void)fixture_finish(fixture, 1);

    struct drv_data *data;
    assert_ok(drv_data_copy("\xc1", 1, &data));
    attempt = fixture_attempt(2, "echo");
    attempt.payload = (struct pool_value){.data = data, .view = drv_data_view(data)};
    assert_ok(pool_submit(fixture->pool, &attempt));
    drv_data_unref(&data);
    assert_string_equal(fixture_finish(fixture, 2)->code, "bad-payload");
    fixture_free(fixture);
}

/* A crash is charged to the attempt that ran, with its signal and the last output; what was
 * placed behind it runs elsewhere. */
static void test_pool_crash_is_charged_to_one(void **state)
{
    struct fixture *fixture = open_slots(1);
    for (unsigned i = 1; i <= 20; i++) { /* so that the types are known to be short */
        fixture_submit(fixture, i, "square", "1");
        fixture_submit(fixture, 100 + i, "fail", "\"x\"");
        (void)fixture_finish(fixture, 100 + i);
    }
    fixture_submit(fixture, 30, "crash", NULL);
    for (unsigned i = 31; i < 60; i++) {
        fixture_submit(fixture, i, "square", "3");
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    struct seen *seen = &fixture->seen[30];
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_int_equal(seen->signal, SIGSEGV);
    assert_int_equal(seen->exit_code, -1);
    assert_non_null(strstr(seen->text, "SEGV"));
    assert_non_null(strstr(seen->stderr_tail, "about to crash, attempt 1"));
    assert_true(seen->usage.peak_rss_bytes > 0);
    for (unsigned i = 31; i < 60; i++) {
        assert_int_equal(fixture->seen[i].outcome, POOL_SUCCEEDED);
        assert_int_equal(fixture_number(&fixture->seen[i]), 9);
    }
    fixture_free(fixture);
}

/* A handler that ends its process is a crash with an exit code. */
static void test_pool_exit_of_handler_is_a_crash(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "leave", "3");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_int_equal(seen->exit_code, 3);
    assert_int_equal(seen->signal, 0);
    assert_string_equal(seen->stderr_tail, "leaving now\n");
    fixture_free(fixture);
}

/* A handler that scribbles over all it shares with the agent costs its own attempt only. */
static void test_pool_scribbling_handler_hurts_itself_only(void **state)
{
    struct fixture *fixture = open_slots(2);
    fixture_submit(fixture, 1, "scribble", NULL);
    fixture_submit(fixture, 2, "sleep", "20");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_CRASH);
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_SUCCEEDED);
    fixture_submit(fixture, 3, "square", "4");
    fixture_submit(fixture, 4, "square", "5");
    assert_int_equal(fixture_number(fixture_finish(fixture, 3)), 16);
    assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 25);
    fixture_free(fixture);
}

/* What runs longer than a moment is reported as started while it runs. */
static void test_pool_long_attempt_is_reported_started(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "sleep", "100000");
    FIXTURE_UNTIL(fixture, fixture->seen[1].started);
    assert_int_equal(fixture->seen[1].finished, 0);
    assert_int_equal(pool_recall(fixture->pool, 1, fixture_now_us()), DROVER_BUSY);
    assert_ok(pool_abort(fixture->pool, 1, 10000, 10000, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    assert_int_equal(fixture->seen[1].started, 1);
    fixture_free(fixture);
}

/* Recall gives back what has not started, and only that; it is never heard of again. */
static void test_pool_recall_takes_back_unstarted(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "sleep", "100000");
    fixture_submit(fixture, 2, "square", "2");
    FIXTURE_UNTIL(fixture, fixture->seen[1].started);
    assert_ok(pool_recall(fixture->pool, 2, fixture_now_us()));
    assert_int_equal(pool_recall(fixture->pool, 2, fixture_now_us()), DROVER_UNKNOWN);
    assert_int_equal(pool_recall(fixture->pool, 1, fixture_now_us()), DROVER_BUSY);
    assert_ok(pool_abort(fixture->pool, 1, 10000, 10000, fixture_now_us()));
    (void)fixture_finish(fixture, 1);
    fixture_submit(fixture, 3, "square", "3");
    (void)fixture_finish(fixture, 3);
    assert_int_equal(fixture->seen[2].started + fixture->seen[2].finished, 0);
    fixture_free(fixture);
}

/* Every attempt is either recalled or runs, whatever the moment: never both, never neither. */
static void test_pool_recall_races_with_start(void **state)
{
    enum { COUNT = 400 };
    struct fixture *fixture = open_slots(2);
    bool is_recalled[COUNT + 1] = {false};
    for (unsigned i = 1; i <= COUNT; i++) {
        fixture_submit(fixture, i, "square", "7");
        unsigned victim = i > 3 ? i - 3 : i;
        if (i % 2 == 0 && !is_recalled[victim]) {
            is_recalled[victim] = pool_recall(fixture->pool, victim, fixture_now_us()) ==
                                  DROVER_OK;
        }
        if (i % 8 == 0) {
            assert_ok(fixture_turn(fixture, fixture_now_us()));
        }
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    for (unsigned i = 1; i <= COUNT; i++) {
        assert_int_equal(fixture->seen[i].finished, is_recalled[i] ? 0 : 1);
    }
    fixture_free(fixture);
}

/* What waits behind a long attempt is taken back and goes to the next free executor. */
static void test_pool_short_attempt_does_not_wait_behind_long(void **state)
{
    struct fixture *fixture = open_slots(2);
    for (unsigned i = 1; i <= 20; i++) { /* sleep is known to be short now */
        fixture_submit(fixture, i, "sleep", "0");
        (void)fixture_finish(fixture, i);
    }
    fixture_submit(fixture, 30, "sleep", "100000");
    for (unsigned i = 31; i < 60; i++) {
        fixture_submit(fixture, i, "sleep", "0");
    }
    for (unsigned i = 31; i < 60; i++) {
        assert_int_equal(fixture_finish(fixture, i)->outcome, POOL_SUCCEEDED);
    }
    assert_int_equal(fixture->seen[30].finished, 0);
    assert_ok(pool_abort(fixture->pool, 30, 10000, 10000, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 30)->outcome, POOL_CANCELLED);
    fixture_free(fixture);
}

/* A handler that looks at its flag stops by itself, and its executor lives on. */
static void test_pool_cancel_of_cooperative_handler_keeps_executor(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "square", "1");
    uint32_t pid = fixture_finish(fixture, 1)->usage.pid;
    fixture_submit(fixture, 2, "spin", "100000");
    FIXTURE_UNTIL(fixture, fixture->seen[2].started);
    assert_ok(pool_abort(fixture->pool, 2, 100000, 100000, fixture_now_us()));
    struct seen *seen = fixture_finish(fixture, 2);
    assert_int_equal(seen->outcome, POOL_CANCELLED);
    assert_int_equal(seen->kind, DROVER_ERROR_CANCELLED);
    fixture_submit(fixture, 3, "square", "1");
    assert_int_equal(fixture_finish(fixture, 3)->usage.pid, pid);
    fixture_free(fixture);
}

/* One that does not is ended: by SIGTERM, or by SIGKILL when it ignores that. */
static void test_pool_cancel_of_deaf_handler_ends_it(void **state)
{
    static const char *const TYPES[] = {"deaf", "stubborn", "tree"};
    struct fixture *fixture = open_slots(1);
    for (unsigned i = 0; i < 3; i++) {
        struct pids pids = {.count = 0};
        uint64_t token = i + 1;
        fixture_submit(fixture, token, TYPES[i], NULL);
        FIXTURE_UNTIL(fixture, fixture->seen[token].progress_count);
        pids_open(&pids, fixture->seen[token].progress);
        assert_true(pids.count >= 1);
        assert_ok(pool_abort(fixture->pool, token, 30, 30, fixture_now_us()));
        struct seen *seen = fixture_finish(fixture, token);
        assert_int_equal(seen->outcome, POOL_CANCELLED);
        assert_int_equal(seen->signal, i == 1 ? SIGKILL : SIGTERM);
        assert_true(pids_are_gone(&pids, 0)); /* at once: that is what FINISHED says */
        pids_close(&pids);
    }
    fixture_submit(fixture, 10, "square", "6");
    assert_int_equal(fixture_number(fixture_finish(fixture, 10)), 36);
    fixture_free(fixture);
}

/* What a cooperative handler has left running is ended with the attempt. */
static void test_pool_cancel_ends_what_handler_left(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pids pids = {.count = 0};
    fixture_submit(fixture, 1, "careless", NULL);
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count);
    const char *family = strchr(fixture->seen[1].progress, ' '); /* without itself */
    assert_non_null(family);
    pids_open(&pids, family);
    assert_int_equal(pids.count, 3);
    assert_ok(pool_abort(fixture->pool, 1, 100000, 100000, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    assert_true(pids_are_gone(&pids, 0));
    pids_close(&pids);
    fixture_free(fixture);
}

/* An attempt that was aborted before it started is cancelled and never runs. */
static void test_pool_cancel_before_start(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "sleep", "100000");
    fixture_submit(fixture, 2, "crash", NULL);
    assert_ok(pool_abort(fixture->pool, 2, 0, 0, fixture_now_us()));
    struct seen *seen = fixture_finish(fixture, 2);
    assert_int_equal(seen->outcome, POOL_CANCELLED);
    assert_int_equal(seen->started, 0);
    assert_int_equal(pool_abort(fixture->pool, 2, 0, 0, fixture_now_us()), DROVER_UNKNOWN);
    assert_ok(pool_abort(fixture->pool, 1, 10000, 0, fixture_now_us()));
    (void)fixture_finish(fixture, 1);
    fixture_free(fixture);
}

/* The run time limit ends the whole tree of processes, also those that have left the group. */
static void test_pool_timeout_ends_the_whole_tree(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pids pids = {.count = 0};
    struct pool_attempt attempt = fixture_attempt(1, "tree");
    attempt.timeout_ms = 300;
    fixture_submit_as(fixture, &attempt, NULL);
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count);
    pids_open(&pids, fixture->seen[1].progress);
    assert_int_equal(pids.count, 4);
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_FAILED);
    assert_int_equal(seen->kind, DROVER_ERROR_TIMEOUT);
    assert_non_null(strstr(seen->text, "300 ms"));
    assert_true(pids_are_gone(&pids, 0));
    pids_close(&pids);
    fixture_free(fixture);
}

static size_t chain_links(const char *wanted)
{
    char path[300], name[32];
    size_t count = 0;
    DIR *processes = opendir("/proc");
    assert_non_null(processes);
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        (void)snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        bool is_named = file != NULL && fgets(name, sizeof name, file) != NULL;
        count += is_named && strcmp(name, wanted) == 0 ? 1 : 0;
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    (void)closedir(processes);
    return count;
}

/* Children that fork on and are gone before they can be killed are ended all the same, and the
 * slot is free for the next. */
static void test_pool_children_that_fork_on_and_on_are_ended(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pool_attempt attempt = fixture_attempt(1, "chain");
    char number[16], name[32];
    (void)snprintf(number, sizeof number, "%ld", (long)getpid());
    (void)snprintf(name, sizeof name, "chain-%s\n", number);
    attempt.timeout_ms = 200;
    fixture_submit_as(fixture, &attempt, number);
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_TIMEOUT);
    assert_int_equal(chain_links(name), 0);
    fixture_submit(fixture, 2, "square", "4");
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_SUCCEEDED);
    fixture_free(fixture);
}

/* One that takes every descriptor takes its own, and the next attempt has as many again. */
static void test_pool_handler_that_keeps_files_open_has_its_own_alone(void **state)
{
    const struct pool_rule rule = {.type = "opens", .confine = {.files_max = 64}};
    struct pool_config config = {.slots = 1, .rules = &rule, .rule_count = 1};
    struct fixture *fixture = fixture_new(&config);
    int64_t opened = 0;
    for (unsigned i = 1; i <= 3; i++) {
        fixture_submit(fixture, i, "opens", NULL);
        struct seen *seen = fixture_finish(fixture, i);
        assert_int_equal(seen->outcome, POOL_SUCCEEDED);
        opened = i == 1 ? fixture_number(seen) : opened;
        assert_true(opened > 0 && opened < 64);
        assert_int_equal(fixture_number(seen), opened);
    }
    fixture_free(fixture);
}

/* A handler that sees its flag at the limit also ends with kind timeout. */
static void test_pool_timeout_of_cooperative_handler(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct pool_attempt attempt = fixture_attempt(1, "sleep");
    attempt.timeout_ms = 20;
    attempt.term_ms = attempt.kill_ms = 100000;
    fixture_submit_as(fixture, &attempt, "100000");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->kind, DROVER_ERROR_TIMEOUT);
    assert_true(seen->run_us >= 20 * 1000);
    fixture_free(fixture);
}

/* A shared value reaches every element of its array, and those of no other. */
static void test_pool_shared_value_belongs_to_its_array(void **state)
{
    struct fixture *fixture = open_slots(1);
    struct drv_data *data[2];
    assert_ok(drv_data_copy("\xa3one", 4, &data[0]));
    assert_ok(drv_data_copy("\xa3two", 4, &data[1]));
    for (unsigned i = 1; i <= 40; i++) {
        struct pool_attempt attempt = fixture_attempt(i, "shared");
        attempt.id.bytes[14] = attempt.id.bytes[15] = (uint8_t)(i % 3);
        attempt.index = i;
        attempt.meta = drv_view_text("meta");
        if (i % 3 < 2) {
            attempt.shared = (struct pool_value){.data = data[i % 3],
                                                 .view = drv_data_view(data[i % 3])};
        }
        fixture_submit_as(fixture, &attempt, NULL);
    }
    static const char *const EXPECTED[] = {"\"one\"", "\"two\"", "4"};
    for (unsigned i = 1; i <= 40; i++) {
        fixture_assert_json(fixture_finish(fixture, i)->value, EXPECTED[i % 3]);
    }
    drv_data_unref(&data[0]);
    drv_data_unref(&data[1]);
    fixture_free(fixture);
}

/* Progress and log lines come while they can and never block the handler. */
static void test_pool_chatter_is_bounded(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "chatter", "100000");
    struct seen *seen = fixture_finish(fixture, 1);
    assert_int_equal(seen->outcome, POOL_SUCCEEDED);
    assert_true(seen->progress_count > 0 && seen->log_count > 0);
    assert_string_equal(seen->progress, "still at it");
    assert_int_equal(strncmp(seen->log, "line ", 5), 0);
    fixture_free(fixture);
}

static void reply(struct fixture *fixture, uint64_t token, drover_status status,
                  const char *msgpack, int64_t number)
{
    struct pool_value value = {.data = NULL};
    struct drv_data *data = NULL;
    if (msgpack != NULL) {
        assert_ok(drv_data_copy(msgpack, strlen(msgpack), &data));
        value = (struct pool_value){.data = data, .view = drv_data_view(data)};
    }
    fixture->seen[token].is_asking = false;
    pool_kv_reply(fixture->pool, fixture->seen[token].request, status, &value, number);
    drv_data_unref(&data);
}

/* Requests for shared data reach the agent and its answers the handler. */
static void test_pool_shared_data_is_answered(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "kv_get", "\"colour\"");
    FIXTURE_UNTIL(fixture, fixture->seen[1].is_asking);
    assert_int_equal(fixture->seen[1].op, POOL_KV_GET);
    assert_string_equal(fixture->seen[1].key, "colour");
    reply(fixture, 1, DROVER_OK,
          "\xa4"
          "blue",
          3);
    fixture_assert_json(fixture_finish(fixture, 1)->value, "\"blue\"");

    fixture_submit(fixture, 2, "kv_get", "\"colour\"");
    FIXTURE_UNTIL(fixture, fixture->seen[2].is_asking);
    reply(fixture, 2, DROVER_UNKNOWN, NULL, 0);
    assert_string_equal(fixture_finish(fixture, 2)->code, "unknown");

    fixture_submit(fixture, 3, "compare", "7");
    FIXTURE_UNTIL(fixture, fixture->seen[3].is_asking);
    assert_int_equal(fixture->seen[3].op, POOL_KV_CAS);
    assert_int_equal(fixture->seen[3].number, 7);
    reply(fixture, 3, DROVER_CONFLICT, NULL, 9);
    assert_int_equal(fixture_number(fixture_finish(fixture, 3)), -9);

    fixture_submit(fixture, 4, "kv_add", "{\"key\": \"n\", \"by\": -2}");
    FIXTURE_UNTIL(fixture, fixture->seen[4].is_asking);
    assert_int_equal(fixture->seen[4].op, POOL_KV_INCR);
    assert_int_equal(fixture->seen[4].number, -2);
    reply(fixture, 4, DROVER_OK, NULL, 40);
    assert_int_equal(fixture_number(fixture_finish(fixture, 4)), 40);
    fixture_free(fixture);
}

/* A handler waits no longer than it said, and a late answer does not disturb the next one. */
static void test_pool_shared_data_late_answer_is_dropped(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "forget", "10");
    FIXTURE_UNTIL(fixture, fixture->seen[1].is_asking);
    uint64_t late = fixture->seen[1].request;
    assert_string_equal(fixture_finish(fixture, 1)->code, "timeout");
    fixture_submit(fixture, 2, "forget", "100000");
    FIXTURE_UNTIL(fixture, fixture->seen[2].is_asking);
    pool_kv_reply(fixture->pool, late, DROVER_BUSY, NULL, 0);
    reply(fixture, 2, DROVER_OK, NULL, 0);
    assert_int_equal(fixture_finish(fixture, 2)->outcome, POOL_SUCCEEDED);
    fixture_free(fixture);
}

/* A handler that waits for an answer still hears that it was cancelled. */
static void test_pool_cancel_reaches_a_waiting_handler(void **state)
{
    struct fixture *fixture = open_slots(1);
    fixture_submit(fixture, 1, "kv_get", "\"k\"");
    FIXTURE_UNTIL(fixture, fixture->seen[1].is_asking);
    assert_ok(pool_abort(fixture->pool, 1, 100000, 100000, fixture_now_us()));
    assert_int_equal(fixture_finish(fixture, 1)->outcome, POOL_CANCELLED);
    fixture_free(fixture);
}

/* Whatever is mixed, aborted and recalled at whatever moment: every attempt that was not
 * recalled is finished exactly once, and short ones that nobody touched succeed. */
static void test_pool_random_mix_finishes_everything(void **state)
{
    enum { COUNT = 300 };
    static const char *const TYPES[] = {"square", "square", "square", "square", "sleep",
                                        "fail",   "crash",  "leave",  "deaf",   "stubborn"};
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    struct fixture *fixture = open_slots(3);
    bool is_recalled[COUNT + 1] = {false};
    bool is_aborted[COUNT + 1] = {false};
    size_t types[COUNT + 1];
    for (uint64_t token = 1; token <= COUNT; token++) {
        types[token] = (size_t)drv_rng_below(&rng, 10);
        struct pool_attempt attempt = fixture_attempt(token, TYPES[types[token]]);
        attempt.term_ms = attempt.kill_ms = 2;
        attempt.timeout_ms = types[token] < 8 ? 0 : 5;
        fixture_submit_as(fixture, &attempt, "7");
        uint64_t other = 1 + drv_rng_below(&rng, token);
        switch (drv_rng_below(&rng, 6)) {
        case 0:
            is_recalled[other] |= pool_recall(fixture->pool, other, fixture_now_us()) ==
                                  DROVER_OK;
            break;
        case 1:
            is_aborted[other] |= pool_abort(fixture->pool, other, drv_rng_below(&rng, 3),
                                            drv_rng_below(&rng, 3),
                                            fixture_now_us()) == DROVER_OK;
            break;
        case 2:
            assert_ok(fixture_turn(fixture, fixture_now_us()));
            break;
        case 3:
            (void)fixture_turn(fixture, fixture_now_us() + 1000);
            break;
        default:
            break;
        }
    }
    FIXTURE_UNTIL(fixture, pool_attempt_count(fixture->pool) == 0);
    for (uint64_t token = 1; token <= COUNT; token++) {
        const struct seen *seen = &fixture->seen[token];
        assert_int_equal(seen->finished, is_recalled[token] ? 0 : 1);
        if (!is_recalled[token] && !is_aborted[token] && types[token] < 5) {
            assert_int_equal(seen->outcome, POOL_SUCCEEDED);
        } else if (!is_recalled[token] && types[token] >= 8 && !is_aborted[token]) {
            assert_int_equal(seen->kind, DROVER_ERROR_TIMEOUT);
        }
    }
    assert_int_equal(pool_idle_count(fixture->pool), 3);
    fixture_free(fixture);
}

/* The table of executors tells who runs what. */
static void test_pool_executor_table(void **state)
{
    struct fixture *fixture = open_slots(2);
    struct pool_executor_info info;
    fixture_submit(fixture, 1, "deaf", NULL);
    FIXTURE_UNTIL(fixture, fixture->seen[1].progress_count);
    unsigned busy = 0;
    assert_int_equal(pool_executor_count(fixture->pool), 2);
    for (size_t i = 0; i < 2; i++) {
        pool_executor_at(fixture->pool, i, &info);
        if (info.token == 1) {
            busy++;
            assert_string_equal(info.type, "deaf");
            assert_string_equal(pool_executor_state_name(info.state), "busy");
            assert_int_equal(info.pid, strtol(fixture->seen[1].progress, NULL, 10));
        }
    }
    assert_int_equal(busy, 1);
    assert_int_equal(pool_idle_count(fixture->pool), 1);
    fixture_free(fixture); /* which ends it */
}

/* One call in this very process, for debuggers. */
static void test_pool_call_runs_here(void **state)
{
    char path[1024];
    const char *modules[] = {fixture_module("DROVER_MODULE_DIR", "demo", path, sizeof(path))};
    struct pool_config config = {.modules = modules, .module_count = 1, .slots = 1};
    struct drv_problem problem = {.text = ""};
    drover_value *in;
    drover_value *out = NULL;
    int64_t number;
    assert_ok(drover_value_new_int(12, &in));
    assert_ok(pool_call(&config, "square", in, &problem, &out));
    assert_ok(drover_value_get_int(out, &number));
    assert_int_equal(number, 144);
    assert_int_equal(pool_call(&config, "nobody", in, &problem, &out), DROVER_UNKNOWN);
    assert_int_equal(pool_call(&config, "fail", in, &problem, &out), DROVER_FAILED);
    assert_string_equal(problem.text, "demo: failed as asked");
    drover_value_destroy(&in);
    drover_value_destroy(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pool_square_succeeds),
    cmocka_unit_test(test_pool_many_short_attempts_all_end),
    cmocka_unit_test(test_pool_failure_carries_code_and_text),
    cmocka_unit_test(test_pool_bad_attempts_are_refused),
    cmocka_unit_test(test_pool_crash_is_charged_to_one),
    cmocka_unit_test(test_pool_exit_of_handler_is_a_crash),
    cmocka_unit_test(test_pool_scribbling_handler_hurts_itself_only),
    cmocka_unit_test(test_pool_long_attempt_is_reported_started),
    cmocka_unit_test(test_pool_recall_takes_back_unstarted),
    cmocka_unit_test(test_pool_recall_races_with_start),
    cmocka_unit_test(test_pool_short_attempt_does_not_wait_behind_long),
    cmocka_unit_test(test_pool_cancel_of_cooperative_handler_keeps_executor),
    cmocka_unit_test(test_pool_cancel_of_deaf_handler_ends_it),
    cmocka_unit_test(test_pool_cancel_ends_what_handler_left),
    cmocka_unit_test(test_pool_cancel_before_start),
    cmocka_unit_test(test_pool_timeout_ends_the_whole_tree),
    cmocka_unit_test(test_pool_children_that_fork_on_and_on_are_ended),
    cmocka_unit_test(test_pool_handler_that_keeps_files_open_has_its_own_alone),
    cmocka_unit_test(test_pool_timeout_of_cooperative_handler),
    cmocka_unit_test(test_pool_shared_value_belongs_to_its_array),
    cmocka_unit_test(test_pool_chatter_is_bounded),
    cmocka_unit_test(test_pool_shared_data_is_answered),
    cmocka_unit_test(test_pool_shared_data_late_answer_is_dropped),
    cmocka_unit_test(test_pool_cancel_reaches_a_waiting_handler),
    cmocka_unit_test(test_pool_random_mix_finishes_everything),
    cmocka_unit_test(test_pool_executor_table),
    cmocka_unit_test(test_pool_call_runs_here),
};

TEST_MAIN(tests)
