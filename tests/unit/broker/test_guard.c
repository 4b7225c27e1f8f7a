/* core/guard.h: who may do what, message by message. */
#include "guard_story.h"
#include "stream_story.h"

#include "check.h"

#include <drover/value.h>

/* ---- connections ------------------------------------------------------------------------- */

/* Without a key, or with one that is not in the table, HELLO is all that is heard of a peer. */
static void test_stranger_is_refused(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "");
    hello_client(bench, 20, 1, false);
    expect_closed(bench, 20, DROVER_DENIED);
    bench->boxes[21].key = keys[STRANGER];
    hello_client(bench, 21, 2, false);
    expect_closed(bench, 21, DROVER_DENIED);
    assert_int_equal(counters(bench).denied, 2);
}

/* A worker needs the role work; a client one of the others. */
static void test_role_of_the_connection_must_fit(void **state)
{
    struct bench *bench = *state;
    set_table(bench, TABLE, "");
    struct worker_options options = {.types = {"work"}, .slots = 1};
    bench->boxes[20].key = keys[ALICE];
    hello_worker(bench, 20, 1, &options);
    expect_closed(bench, 20, DROVER_DENIED);
    bench->boxes[21].key = keys[FLEET];
    hello_client(bench, 21, 2, false);
    expect_closed(bench, 21, DROVER_DENIED);
}

/* A key for some queues serves only those, and must name them. */
static void test_worker_serves_only_queues_of_its_key(void **state)
{
    struct bench *bench = *state;
    set_table(bench, "", FLEET_KEY "work queues=a-*");
    struct worker_options options = {.types = {"work"}, .slots = 1};
    const char *const queues[] = {NULL, "b", "a-1"};
    for (uint32_t i = 0; i < 3; i++) {
        bench->boxes[20 + i].key = keys[FLEET];
        options.queue = queues[i];
        hello_worker(bench, 20 + i, 1 + i, &options);
        if (i < 2) {
            expect_closed(bench, 20 + i, DROVER_DENIED);
        } else {
            (void)welcomed(bench, 20 + i);
        }
    }
}

/* A session is its account's: another key of it may go on with it, nobody else. */
static void test_session_of_another_account_is_refused(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    bench->boxes[20].key = keys[BOB];
    hello_client(bench, 20, 9000 + ALICE, true);
    expect_closed(bench, 20, DROVER_DENIED);
    put(bench, ALICE, 100);
    bench->boxes[21].key = keys[ALICE];
    hello_client(bench, 21, 9000 + ALICE, true);
    assert_true(welcomed(bench, 21)->resumed);
}

/* Out of the table: refused at once, and whatever comes is not dealt with. */
static void test_revoked_key_is_refused_at_once(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    put(bench, BOB, 100);
    set_table(bench, ALICE_KEY "submit", "");
    expect_closed(bench, BOB, DROVER_DENIED);
    uint64_t submitted = counters(bench).submitted;
    struct drv_spec spec = spec_of("work");
    submit(bench, BOB, &spec, 101);
    bench_turn(bench);
    assert_int_equal(counters(bench).submitted, submitted);
    put(bench, ALICE, 102);
}

/* A worker whose key is revoked gets nothing more, and what it holds goes to others. */
static void test_revoked_worker_gives_up_its_leases(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, FLEET);
    put(bench, ALICE, 100);
    (void)leased(bench, FLEET);
    set_table(bench, ALICE_KEY "submit",
              "\nkey other "
              "040000000000000000000000000000000000000000000000000000"
              "0000000000 work");
    expect_closed(bench, FLEET, DROVER_DENIED);
    bench->boxes[OTHER].key = keys[OTHER];
    worker(bench, OTHER, "work", 1);
    bench_pass(bench, 4 * SECOND);
    assert_int_equal(number_of(leased(bench, OTHER).id), 100);
}

/* Other rights count from then on: the connection is closed, the next one has them. */
static void test_changed_rights_close_the_connection(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    set_table(bench, ALICE_KEY "observe\n" BOB_KEY "submit", "");
    expect_closed(bench, ALICE, DROVER_CLOSED);
    expect_none(bench, BOB, DRV_ERROR);
    bench->boxes[20].key = keys[ALICE];
    hello_client(bench, 20, 9000 + ALICE, true);
    (void)welcomed(bench, 20);
    struct drv_spec spec = spec_of("work");
    submit(bench, 20, &spec, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 20)->code, DROVER_DENIED);
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Every kind that a role does not have is answered in its own way, and nothing happens. */
static void test_wrong_role_is_answered_denied(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, WATCHER);
    struct drv_spec spec = spec_of("work");
    submit(bench, WATCHER, &spec, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, WATCHER)->code, DROVER_DENIED);
    targets_request(bench, WATCHER, DRV_WATCH, 100, NONE);
    bench_turn(bench);
    assert_int_equal(reply(bench, WATCHER)->code, DROVER_DENIED);
    assert_int_equal(fetch(bench, WATCHER, 100, NONE)->code, DROVER_DENIED);
    struct drv_query query = {.topic = DRV_TOPIC_KV};
    assert_int_equal(ask(bench, WATCHER, &query, NULL), DROVER_DENIED);
    struct drv_message message = request(bench, ALICE, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE, .queue = text("default")};
    speak(bench, ALICE, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, ALICE)->code, DROVER_DENIED);
    assert_int_equal(counters(bench).submitted, 0);
    assert_int_equal(counters(bench).denied, 5);
}

/* Nothing can be done with a task of another account; an admin may, and the owner. */
static void test_foreign_task_is_left_alone(void **state)
{
    static const enum drv_kind kinds[] = {DRV_CANCEL, DRV_FORGET, DRV_WATCH, DRV_RETRY};
    struct bench *bench = *state;
    begin(bench);
    come(bench, ROOT);
    put(bench, ALICE, 100);
    for (size_t i = 0; i < DRV_ARRAY_LEN(kinds); i++) {
        targets_request(bench, BOB, kinds[i], 100, NONE);
        bench_turn(bench);
        expect_only_note(bench, BOB, DROVER_DENIED);
    }
    assert_int_equal(fetch(bench, BOB, 100, NONE)->code, DROVER_DENIED);
    struct drv_query query = {.has_id = true, .id = id_of(100), .index = NONE};
    static const uint32_t topics[] = {DRV_TOPIC_TASK, DRV_TOPIC_WHY, DRV_TOPIC_VALUES};
    for (size_t i = 0; i < DRV_ARRAY_LEN(topics); i++) {
        query.topic = topics[i];
        assert_int_equal(ask(bench, BOB, &query, NULL), DROVER_DENIED);
        assert_ok(ask(bench, ROOT, &query, NULL));
        assert_ok(ask(bench, ALICE, &query, NULL));
    }
    struct drv_subscribe logs = {.subscription = 1,
                                 .stream = DRV_STREAM_LOGS,
                                 .has_id = true,
                                 .id = id_of(100),
                                 .index = NONE};
    assert_int_equal(subscribe(bench, BOB, &logs)->code, DROVER_DENIED);
    assert_int_equal(counters(bench).queued, 1);
    cancel(bench, ROOT, 100);
    bench_turn(bench);
    expect_ok(bench, ROOT);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* What depends on a task reads its result: so a foreign one cannot be waited for. */
static void test_foreign_parent_is_refused(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    put(bench, ALICE, 100);
    struct drv_after after = after_of(100, NONE, 2);
    submit_after(bench, BOB, 101, &after, 1);
    expect_only_note(bench, BOB, DROVER_DENIED);
    submit_after(bench, ALICE, 102, &after, 1);
    expect_ok(bench, ALICE);
}

/* The same id from another account is another task, which there cannot be. */
static void test_foreign_id_is_a_conflict(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    put(bench, ALICE, 100);
    struct drv_spec spec = spec_of("work");
    submit(bench, BOB, &spec, 100);
    bench_turn(bench);
    expect_only_note(bench, BOB, DROVER_CONFLICT);
}

/* An array is its owner's, elements included. */
static void test_foreign_array_is_left_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    array_opened(bench, ALICE, &spec, 100);
    array_items(bench, BOB, 100, 0, 3, "x");
    assert_int_equal(reply(bench, BOB)->code, DROVER_DENIED);
    struct drv_message seal = request(bench, BOB, DRV_ARRAY_SEAL);
    seal.array_seal = (struct drv_array_seal){.id = id_of(100), .count = 0};
    speak(bench, BOB, &seal);
    bench_turn(bench);
    assert_int_equal(reply(bench, BOB)->code, DROVER_DENIED);
    array_items(bench, ALICE, 100, 0, 3, "x");
    expect_ok(bench, ALICE);
}

/* Queues that the patterns of a key leave out cannot be submitted to, nor paused. */
static void test_foreign_queue_is_refused(void **state)
{
    struct bench *bench = *state;
    set_table(bench, ALICE_KEY "submit,admin queues=a-*,b", "");
    come(bench, ALICE);
    struct drv_spec spec = spec_of("work");
    submit(bench, ALICE, &spec, 100);
    bench_turn(bench);
    expect_only_note(bench, ALICE, DROVER_DENIED);
    spec.queue = text("a-7");
    submit(bench, ALICE, &spec, 101);
    bench_turn(bench);
    expect_ok(bench, ALICE);
    const char *const names[] = {"default", "b"};
    for (size_t i = 0; i < 2; i++) {
        struct drv_message message = request(bench, ALICE, DRV_QUEUE);
        message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE,
                                                   .queue = text(names[i])};
        speak(bench, ALICE, &message);
        bench_turn(bench);
        assert_int_equal(reply(bench, ALICE)->code, i == 0 ? DROVER_DENIED : DROVER_OK);
    }
}

/* A cancel of a group ends what is in it of one's own. */
static void test_group_cancel_ends_own_tasks_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    struct drv_spec spec = spec_of("work");
    spec.group = text("g");
    submit_many(bench, ALICE, &spec, 100, 3, "a");
    submit_many(bench, BOB, &spec, 200, 2, "b");
    bench_turn(bench);
    drop_all(bench, ALICE);
    struct drv_message message = request(bench, ALICE, DRV_CANCEL);
    message.targets.group = text("g");
    speak(bench, ALICE, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, ALICE)->number, 3);
    assert_int_equal(counters(bench).cancelled, 3);
    assert_int_equal(counters(bench).queued, 2);
}

/* Lists show what is one's own; who observes sees all of them with their accounts. */
static void test_lists_show_own_tasks_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, WATCHER);
    put(bench, ALICE, 100);
    put(bench, BOB, 101);
    struct drv_query query = {.topic = DRV_TOPIC_TASKS};
    struct drv_str body;
    assert_ok(ask(bench, BOB, &query, &body));
    assert_true(map_has(body, "\xa7"
                              "account\xa3"
                              "bob"));
    assert_false(map_has(body, "alice"));
    assert_ok(ask(bench, WATCHER, &query, &body));
    assert_true(map_has(body, "alice") && map_has(body, "bob"));
}

/* Ids in a graph may be anybody's: whose tasks they are is looked at. */
static void test_graph_tells_of_own_tasks_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_query query = {.topic = DRV_TOPIC_GRAPH, .name = text("spy")};
    struct drv_str body;
    char id[DROVER_ID_TEXT_LEN + 1], json[256];
    drover_value *value = NULL;
    const void *bytes;
    size_t len;
    drover_id task = id_of(100);
    begin(bench);
    come(bench, WATCHER);
    come(bench, FLEET);
    put(bench, ALICE, 100);
    drover_id_format(&task, id);
    (void)snprintf(
        json, sizeof json,
        "{\"id\":\"%s\",\"name\":\"spy\",\"nodes\":[{\"name\":\"a\",\"type\":\"work\","
        "\"id\":\"%s\",\"after\":[]}]}",
        id, id);
    assert_ok(drover_value_from_json(json, strlen(json), &value, NULL, 0));
    drover_value_bytes(value, &bytes, &len);
    struct drv_message message = request(bench, BOB, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("graph/spy")};
    message.kv.val = (struct drv_val){.bytes = bytes, .len = len};
    speak(bench, BOB, &message);
    bench_turn(bench);
    expect_ok(bench, BOB);
    drover_value_destroy(&value);
    assert_ok(ask(bench, BOB, &query, &body));
    assert_true(map_has(body, "unknown"));
    assert_ok(ask(bench, ALICE, &query, &body));
    assert_false(map_has(body, "unknown"));
    assert_ok(ask(bench, WATCHER, &query, &body));
    assert_false(map_has(body, "unknown"));
    query = (struct drv_query){.topic = DRV_TOPIC_GRAPHS};
    assert_ok(ask(bench, BOB, &query, &body));
    assert_true(map_has(body, "unknown"));
    assert_int_equal(access_scope(ACCESS_WORK, DRV_QUERY, DRV_TOPIC_GRAPHS), ACCESS_NOTHING);
}

/* Events tell of one's own tasks, and of nothing else. */
static void test_events_tell_of_own_tasks_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, WATCHER);
    subscribe_events(bench, BOB, 1, 0);
    subscribe_events(bench, WATCHER, 1, 0);
    put(bench, ALICE, 100);
    put(bench, BOB, 101);
    come(bench, FLEET);
    const struct drv_events *events = &expect(bench, BOB, DRV_EVENTS)->events;
    assert_int_equal(events->entry_count, 1);
    assert_true(event_is(events, 0, "task.submitted"));
    size_t seen = 0;
    for (const struct drv_message *message; (message = find(bench, WATCHER, DRV_EVENTS));) {
        seen += message->events.entry_count;
    }
    assert_true(seen >= 3);
}

/* What was refused is told to operators once a second, and counted always. */
static void test_refusals_are_counted_and_told(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, ROOT);
    subscribe_events(bench, ROOT, 1, (uint64_t)1 << DRV_EVENT_BROKER_DENIED);
    put(bench, ALICE, 100);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fetch(bench, BOB, 100, NONE)->code, DROVER_DENIED);
    }
    bench_turn(bench);
    assert_int_equal(counters(bench).denied, 10);
    const struct drv_events *events = &expect(bench, ROOT, DRV_EVENTS)->events;
    assert_int_equal(events->entry_count, 1);
    assert_true(event_is(events, 0, "broker.denied"));
    assert_true(map_has(event_map(events, 0), "bob"));
    assert_true(map_has(event_map(events, 0), "FETCH"));
    assert_string_equal(bench->notice, "denied");
}

/* The program's own HTTP thread may do everything, and belongs to no account. */
static void test_inside_may_everything(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    put(bench, ALICE, 100);
    bench->boxes[20].is_inside = true;
    client(bench, 20);
    cancel(bench, 20, 100);
    bench_turn(bench);
    expect_ok(bench, 20);
    bench->boxes[21].key = keys[ROOT];
    hello_client(bench, 21, 9020, true);
    expect_closed(bench, 21, DROVER_DENIED);
}

/* ---- workers ----------------------------------------------------------------------------- */

/* A result counts from the worker that holds the lease; another one changes nothing. */
static void test_forged_result_is_refused(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, FLEET);
    come(bench, OTHER);
    put(bench, ALICE, 100);
    struct drv_ref ref = leased(bench, FLEET);
    report_done(bench, OTHER, ref, "forged");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 0);
    const struct drv_message *note = expect(bench, OTHER, DRV_ACK);
    assert_int_equal(note->ack_notes.note_count, 1);
    assert_int_not_equal(note->ack_notes.notes[0].code, DROVER_OK);
    done(bench, FLEET, ref);
    assert_int_equal(counters(bench).succeeded, 1);
}

/* A worker reads the results that what it runs has waited for, and no others; it does not
 * submit. */
static void test_worker_reads_parents_of_its_leases_alone(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, FLEET);
    put(bench, ALICE, 100);
    put(bench, ALICE, 101);
    struct drv_ref parent = leased(bench, FLEET);
    submit_child(bench, ALICE, 102, 100);
    done(bench, FLEET, parent);
    done(bench, FLEET, leased(bench, FLEET));
    assert_int_equal(number_of(lease_entry(bench, FLEET)->ref.id), 102);
    assert_ok(fetch(bench, FLEET, 100, NONE)->code);
    assert_int_equal(fetch(bench, FLEET, 101, NONE)->code, DROVER_DENIED);
    struct drv_spec spec = spec_of("work");
    submit(bench, FLEET, &spec, 103);
    bench_turn(bench);
    assert_int_equal(reply(bench, FLEET)->code, DROVER_DENIED);
}

/* A task cannot be made to wait for one of another account. */
static void test_await_of_foreign_task_fails_the_attempt(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    come(bench, FLEET);
    put(bench, ALICE, 100);
    struct drv_ref ref = leased(bench, FLEET);
    put(bench, BOB, 200);
    await(bench, FLEET, ref, (const uint32_t[]){200}, 1);
    assert_int_equal(counters(bench).failed, 1);
    assert_int_equal(counters(bench).waiting, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_stranger_is_refused),
        BENCH_TEST(test_role_of_the_connection_must_fit),
        BENCH_TEST(test_worker_serves_only_queues_of_its_key),
        BENCH_TEST(test_session_of_another_account_is_refused),
        BENCH_TEST(test_revoked_key_is_refused_at_once),
        BENCH_TEST(test_revoked_worker_gives_up_its_leases),
        BENCH_TEST(test_changed_rights_close_the_connection),
        BENCH_TEST(test_wrong_role_is_answered_denied),
        BENCH_TEST(test_foreign_task_is_left_alone),
        BENCH_TEST(test_foreign_parent_is_refused),
        BENCH_TEST(test_foreign_id_is_a_conflict),
        BENCH_TEST(test_foreign_array_is_left_alone),
        BENCH_TEST(test_foreign_queue_is_refused),
        BENCH_TEST(test_group_cancel_ends_own_tasks_alone),
        BENCH_TEST(test_lists_show_own_tasks_alone),
        BENCH_TEST(test_graph_tells_of_own_tasks_alone),
        BENCH_TEST(test_events_tell_of_own_tasks_alone),
        BENCH_TEST(test_refusals_are_counted_and_told),
        BENCH_TEST(test_inside_may_everything),
        BENCH_TEST(test_forged_result_is_refused),
        BENCH_TEST(test_worker_reads_parents_of_its_leases_alone),
        BENCH_TEST(test_await_of_foreign_task_fails_the_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
