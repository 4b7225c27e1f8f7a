/* core/account.h: what an account may have at a time, and what a restart keeps of it. */
#include "guard_story.h"
#include "stream_story.h"

#include <drover/value.h>

/* ---- what is shown ----------------------------------------------------------------------- */

/* The document about one account, or all, as a value for destroy; NULL with the code. */
static drover_value *shown(struct bench *bench, uint32_t peer, const char *name,
                           drover_status wanted)
{
    struct drv_query query = {.topic = DRV_TOPIC_ACCOUNTS};
    struct drv_str body;
    drover_value *document = NULL, *accounts = NULL;
    if (name != NULL) {
        query.name = text(name);
    }
    assert_int_equal(ask(bench, peer, &query, &body), wanted);
    if (wanted == DROVER_OK) {
        assert_ok(drover_value_from_msgpack(body.ptr, body.len, &document));
        assert_ok(drover_value_map_get(document, "accounts", &accounts));
        drover_value_destroy(&document);
    }
    return accounts;
}

static size_t count_of(struct bench *bench, uint32_t peer)
{
    size_t count = 0;
    drover_value *accounts = shown(bench, peer, NULL, DROVER_OK);
    assert_ok(drover_value_array_len(accounts, &count));
    drover_value_destroy(&accounts);
    return count;
}

/* Whether the only account of the answer has this in its JSON. */
static void expect_shown(struct bench *bench, uint32_t peer, const char *name, const char *part)
{
    char *json = NULL;
    drover_value *accounts = shown(bench, peer, name, DROVER_OK);
    assert_ok(drover_value_to_json(accounts, DROVER_JSON_COMPACT, &json));
    if (strstr(json, part) == NULL) {
        fail_msg("not there: %s\n%s", part, json);
    }
    free(json);
    drover_value_destroy(&accounts);
}

static uint32_t refused_of(struct bench *bench, uint32_t peer, uint32_t first, uint32_t count);

/* Use, limits, what they have stopped; of all to who may see all, else of oneself. */
static void test_accounts_are_shown_with_what_they_have(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice tasks=3 sessions=2\n");
    come(bench, ALICE);
    come(bench, BOB);
    come(bench, WATCHER);
    assert_int_equal(count_of(bench, WATCHER), 6);
    assert_int_equal(count_of(bench, BOB), 1);
    assert_int_equal(refused_of(bench, ALICE, 100, 5), 2);
    expect_shown(bench, WATCHER, "alice",
                 "\"listed\":true,\"roles\":[\"submit\"],\"public_keys\":1,\"sessions\":1,"
                 "\"tasks\":3,\"bytes\":12,\"results\":0,\"keys\":0,\"submitted\":3,");
    expect_shown(bench, ALICE, "alice", "\"limits\":{\"tasks\":3,\"sessions\":2}");
    expect_shown(bench, ALICE, NULL,
                 "\"busy\":1,\"busy_reason\":\"this account has as many unf");
    expect_shown(bench, WATCHER, "bob", "\"busy\":0,\"limits\":{}");
    (void)shown(bench, BOB, "alice", DROVER_DENIED);
    (void)shown(bench, BOB, "nobody", DROVER_DENIED);
    (void)shown(bench, WATCHER, "nobody", DROVER_UNKNOWN);
    expect_shown(bench, WATCHER, "bob", "\"denied\":2");
}

/* Who is gone from the table is shown as long as there are tasks; who is new at once. */
static void test_accounts_follow_the_table(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "");
    come(bench, WATCHER);
    come(bench, BOB);
    put(bench, BOB, 100);
    set_table(
        bench, ALICE_KEY "submit\n",
        "key watcher 0500000000000000000000000000000000000000000000000000000000000000 "
        "observe\nkey new 0900000000000000000000000000000000000000000000000000000000000000 "
        "work,submit\n");
    assert_int_equal(count_of(bench, WATCHER), 4);
    expect_shown(bench, WATCHER, "bob", "\"listed\":false,\"roles\":[],\"public_keys\":0,");
    expect_shown(bench, WATCHER, "new", "\"roles\":[\"submit\",\"work\"]");
    (void)shown(bench, WATCHER, "root", DROVER_UNKNOWN);
}

/* Over the last seconds, and nothing when there was nothing. */
static void test_rate_of_an_account_is_of_the_last_seconds(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "");
    come(bench, ALICE);
    expect_shown(bench, ALICE, "alice", "\"rate\":0.0");
    assert_int_equal(refused_of(bench, ALICE, 100, 50), 0);
    expect_shown(bench, ALICE, "alice", "\"submitted\":50,\"rate\":10.0");
    bench_pass(bench, 5000 * 1000);
    assert_int_equal(refused_of(bench, ALICE, 200, 50), 0);
    expect_shown(bench, ALICE, "alice", "\"rate\":20.0");
    bench_pass(bench, 10000 * 1000);
    expect_shown(bench, ALICE, "alice", "\"submitted\":100,\"rate\":0.0");
}

/* ---- limits ------------------------------------------------------------------------------ */

/* Submits `count` tasks with 4 bytes each and gives how many were refused as busy. */
static uint32_t refused_of(struct bench *bench, uint32_t peer, uint32_t first, uint32_t count)
{
    struct drv_spec spec = spec_of("work");
    submit_many(bench, peer, &spec, first, count, "four");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, peer);
    for (size_t i = 0; i < answer->note_count; i++) {
        assert_int_equal(answer->notes[i].code, DROVER_BUSY);
        assert_true(answer->notes[i].retry_after_ms > 0);
    }
    return (uint32_t)answer->note_count;
}

/* Unfinished tasks and their bytes, over all sessions of an account; what ends makes room. */
static void test_limit_of_unfinished_tasks_and_bytes(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice tasks=3\nlimit bob bytes=10\n");
    come(bench, ALICE);
    come(bench, BOB);
    assert_int_equal(refused_of(bench, ALICE, 100, 5), 2);
    bench->boxes[20].key = keys[ALICE];
    client(bench, 20);
    assert_int_equal(refused_of(bench, 20, 110, 1), 1);
    cancel(bench, ALICE, 100);
    bench_turn(bench);
    expect_ok(bench, ALICE);
    assert_int_equal(refused_of(bench, 20, 111, 2), 1);
    assert_int_equal(refused_of(bench, BOB, 200, 5), 3);
}

/* Elements count, within one message, too. */
static void test_limit_of_tasks_counts_elements(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice tasks=3\n");
    come(bench, ALICE);
    struct drv_spec spec = spec_of("work");
    array_opened(bench, ALICE, &spec, 100);
    array_items(bench, ALICE, 100, 0, 5, "x");
    assert_int_equal(reply(bench, ALICE)->note_count, 2);
}

static uint32_t retried(struct bench *bench, uint32_t peer, uint32_t number, uint32_t as)
{
    struct drv_target target = {
        .id = id_of(number), .index = DROVER_INDEX_NONE, .new_id = id_of(as)};
    struct drv_message message = request(bench, peer, DRV_RETRY);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, peer, &message);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, peer);
    return answer->note_count == 0 ? DROVER_OK : answer->notes[0].code;
}

/* An array that is run again counts whole, and for whom it belongs to, whoever asks for it. */
static void test_limit_of_tasks_counts_an_array_that_is_run_again(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice tasks=4\nlimit root tasks=1\n");
    come(bench, ALICE);
    come(bench, ROOT);
    struct drv_spec spec = spec_of("work");
    array_of(bench, ALICE, &spec, 100, 3);
    cancel(bench, ALICE, 100);
    bench_turn(bench);
    expect_ok(bench, ALICE);
    assert_int_equal(retried(bench, ROOT, 100, 200), DROVER_OK);
    assert_int_equal(retried(bench, ALICE, 100, 300), DROVER_BUSY);
    assert_int_equal(refused_of(bench, ALICE, 110, 2), 1);
    assert_int_equal(refused_of(bench, ROOT, 120, 1), 0);
    set_table(bench, TABLE, "limit alice tasks=2\n");
    assert_int_equal(retried(bench, ALICE, 100, 300), DROVER_LIMIT);
}

/* As many as a second brings at once, then no faster than that. */
static void test_limit_of_rate_opens_with_time(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice rate=10\n");
    come(bench, ALICE);
    assert_int_equal(refused_of(bench, ALICE, 100, 20), 10);
    assert_int_equal(refused_of(bench, ALICE, 120, 1), 1);
    bench_pass(bench, 500 * MS);
    assert_int_equal(refused_of(bench, ALICE, 130, 20), 15);
    bench_pass(bench, 10 * SECOND);
    assert_int_equal(refused_of(bench, ALICE, 150, 20), 10);
}

/* Results that its sessions do not read hold an account back. */
static void test_limit_of_unread_results(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice results=1\n");
    come(bench, ALICE);
    come(bench, FLEET);
    bench->boxes[ALICE].holds_tokens = true;
    struct drv_spec spec = watched("work");
    for (uint32_t i = 0; i < 2; i++) {
        submit(bench, ALICE, &spec, 100 + i);
        bench_turn(bench);
        done(bench, FLEET, leased(bench, FLEET));
    }
    bench_pass(bench, 200 * MS);
    assert_int_equal(refused_of(bench, ALICE, 110, 1), 1);
}

/* Keys of tasks are counted for who submitted them, as long as they are kept. */
static void test_limit_of_keys(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice keys=1\n");
    come(bench, ALICE);
    come(bench, BOB);
    struct drv_spec spec = spec_of("work");
    spec.key = text("k1");
    submit(bench, ALICE, &spec, 100);
    bench_turn(bench);
    expect_ok(bench, ALICE);
    spec.key = text("k2");
    submit(bench, ALICE, &spec, 101);
    bench_turn(bench);
    expect_only_note(bench, ALICE, DROVER_BUSY);
    submit(bench, BOB, &spec, 102);
    bench_turn(bench);
    expect_ok(bench, BOB);
}

/* Sessions of an account, those that are away included. */
static void test_limit_of_sessions(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice sessions=1\n");
    come(bench, ALICE);
    bench->boxes[20].key = keys[ALICE];
    hello_client(bench, 20, 1, false);
    expect_closed(bench, 20, DROVER_BUSY);
}

/* A limit that is lowered counts at once, and one that is lifted, too. */
static void test_limits_follow_the_table(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "limit alice tasks=1\n");
    come(bench, ALICE);
    assert_int_equal(refused_of(bench, ALICE, 100, 2), 1);
    set_table(bench, TABLE, "");
    assert_int_equal(refused_of(bench, ALICE, 110, 2), 0);
    set_table(bench, TABLE, "limit alice tasks=3\n");
    assert_int_equal(refused_of(bench, ALICE, 120, 2), 2);
}

/* ---- records ----------------------------------------------------------------------------- */

/* Owners of tasks, sessions and schedules are as they were after a restart. */
static void test_owners_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    put(bench, ALICE, 100);
    struct drv_spec spec = spec_of("work");
    spec.key = text("key");
    submit(bench, ALICE, &spec, 101);
    bench_turn(bench);
    expect_ok(bench, ALICE);
    struct drv_message add = request(bench, ALICE, DRV_SCHEDULE);
    add.schedule = (struct drv_schedule_request){
        .op = DRV_SCHEDULE_ADD, .name = text("nightly"), .has_plan = true};
    add.schedule.plan = (struct drv_plan){
        .every_ms = 3600000, .spec = spec_of("work"), .val = val_of("x")};
    speak(bench, ALICE, &add);
    bench_turn(bench);
    assert_ok(reply(bench, ALICE)->code);
    expect_restorable(bench);
    reborn(bench);
    set_table(bench, TABLE, "");
    bench->boxes[BOB].key = keys[BOB];
    hello_client(bench, BOB, 9000 + ALICE, true);
    expect_closed(bench, BOB, DROVER_DENIED);
    gone(bench, BOB);
    come(bench, BOB);
    cancel(bench, BOB, 100);
    bench_turn(bench);
    expect_only_note(bench, BOB, DROVER_DENIED);
    struct drv_message remove = request(bench, BOB, DRV_SCHEDULE);
    remove.schedule = (struct drv_schedule_request){.op = DRV_SCHEDULE_REMOVE,
                                                    .name = text("nightly")};
    speak(bench, BOB, &remove);
    bench_turn(bench);
    assert_int_equal(reply(bench, BOB)->code, DROVER_DENIED);
    bench->boxes[ALICE].key = keys[ALICE];
    hello_client(bench, ALICE, 9000 + ALICE, true);
    assert_true(welcomed(bench, ALICE)->resumed);
    bench->boxes[ALICE].req = 10;
    cancel(bench, ALICE, 100);
    bench_turn(bench);
    expect_ok(bench, ALICE);
}

/* Keys come: who knows a session of the life without them goes on with it, once. */
static void test_session_of_a_life_without_keys_is_claimed(void **state)
{
    struct bench *bench = *state;
    client(bench, ALICE);
    put(bench, ALICE, 100);
    reborn(bench);
    set_table(bench, TABLE, "");
    bench->boxes[ALICE].key = keys[ALICE];
    hello_client(bench, ALICE, 9000 + ALICE, true);
    assert_true(welcomed(bench, ALICE)->resumed);
    bench->boxes[20].key = keys[BOB];
    hello_client(bench, 20, 9000 + ALICE, true);
    expect_closed(bench, 20, DROVER_DENIED);
}

/* A broker without a table asks nobody, and its tasks are nobody's. */
static void test_without_a_table_nobody_is_asked(void **state)
{
    struct bench *bench = *state;
    client(bench, ALICE);
    put(bench, ALICE, 100);
    struct drv_query query = {
        .topic = DRV_TOPIC_TASK, .has_id = true, .id = id_of(100), .index = NONE};
    struct drv_str body;
    assert_ok(ask(bench, ALICE, &query, &body));
    assert_true(map_has(body, "\xa7"
                              "account\xa4"
                              "none"));
    assert_int_equal(counters(bench).denied, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_accounts_are_shown_with_what_they_have),
        BENCH_TEST(test_accounts_follow_the_table),
        BENCH_TEST(test_rate_of_an_account_is_of_the_last_seconds),
        BENCH_TEST(test_limit_of_unfinished_tasks_and_bytes),
        BENCH_TEST(test_limit_of_tasks_counts_elements),
        BENCH_TEST(test_limit_of_tasks_counts_an_array_that_is_run_again),
        BENCH_TEST(test_limit_of_rate_opens_with_time),
        BENCH_TEST(test_limit_of_unread_results),
        BENCH_TEST(test_limit_of_keys),
        BENCH_TEST(test_limit_of_sessions),
        BENCH_TEST(test_limits_follow_the_table),
        DURABLE_TEST(test_owners_survive_a_restart),
        DURABLE_TEST(test_session_of_a_life_without_keys_is_claimed),
        BENCH_TEST(test_without_a_table_nobody_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
