/*
 * Arrays that wait for others, as a whole.
 */
#include "after_story.h"

#define NONE DROVER_INDEX_NONE

/* What was only asked leaves no record: something that is recorded goes before. */
static void expect_kept(struct bench *bench)
{
    targets_request(bench, 1, DRV_FORGET, 999, NONE);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_UNKNOWN);
    expect_restorable(bench);
}

static void open_after(struct bench *bench, const struct drv_spec *spec, uint32_t number,
                       const struct drv_after *after, size_t count)
{
    struct drv_spec with = *spec;
    with.after = after;
    with.after_count = count;
    array_open_with(bench, 1, &with, number, val_nil());
    bench_turn(bench);
}

/* Task 100, leased by worker 2, and array 200 of `count` elements that waits for its success.
 */
static struct drv_ref array_waits(struct bench *bench, const struct drv_spec *spec,
                                  uint32_t count)
{
    struct drv_spec parent = spec_of("work");
    setup_peers(bench, 4);
    submit(bench, 1, &parent, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_ref ref = leased(bench, 2);
    struct drv_after after = after_of(100, NONE, 1);
    open_after(bench, spec, 200, &after, 1);
    expect_ok(bench, 1);
    array_filled(bench, 1, 200, 0, count);
    array_sealed(bench, 1, 200, count);
    bench_turn(bench);
    assert_int_equal(counters(bench).waiting, count);
    expect_none(bench, 2, DRV_LEASE);
    return ref;
}

static const char *why(struct bench *bench, uint32_t number, uint32_t index)
{
    static char text[2048];
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = (struct drv_query){
        .topic = DRV_TOPIC_WHY, .id = id_of(number), .index = index, .has_id = true};
    speak(bench, 1, &message);
    bench_tick(bench);
    const struct drv_message *answer = expect(bench, 1, DRV_DOCUMENT);
    assert_true(answer->document.body.len < sizeof text);
    for (size_t i = 0; i < answer->document.body.len; i++) {
        uint8_t byte = (uint8_t)answer->document.body.ptr[i];
        text[i] = byte >= ' ' && byte < 0x7f ? (char)byte : ' ';
    }
    text[answer->document.body.len] = '\0';
    return text;
}

/* When the parent has succeeded the elements queue, in order, and each knows the parent. */
static void test_array_begins_when_its_parent_has_ended(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = array_waits(bench, &spec, 4);
    assert_non_null(strstr(why(bench, 200, NONE), "waits for task"));
    assert_non_null(strstr(why(bench, 200, 3), "waits for task"));
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    expect_kept(bench);
    done(bench, 2, ref);
    expect_kept(bench);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_int_equal(group->entry_count, 4);
    struct drv_ref refs[4];
    for (uint32_t i = 0; i < 4; i++) {
        refs[i] = group->entries[i].ref;
        assert_int_equal(refs[i].index, i);
        assert_int_equal(group->entries[i].parent_count, 1);
        assert_int_equal(number_of(group->entries[i].parents[0].id), 100);
        assert_int_equal(group->entries[i].parents[0].state, DROVER_STATE_SUCCEEDED);
    }
    for (uint32_t i = 0; i < 4; i++) {
        done(bench, 2, refs[i]);
    }
    expect_state(bench, 1, 200, DROVER_STATE_SUCCEEDED);
}

/* A parent fails: all elements fail with it, those that come later, too, with one error. */
static void test_array_fails_with_its_parent(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_peers(bench, 1);
    struct drv_spec parent = spec_of("work");
    submit(bench, 1, &parent, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_after after = after_of(100, NONE, 1);
    open_after(bench, &spec, 200, &after, 1);
    drop_all(bench, 1);
    array_filled(bench, 1, 200, 0, 1000);
    submit_child(bench, 1, 300, 200);
    uint64_t before = core_memory_bytes(bench->core);
    report_failed(bench, 2, ref, 0);
    bench->boxes[1].holds_tokens = true;
    for (int i = 0; i < 10; i++) {
        bench_tick(bench);
    }
    assert_int_equal(counters(bench).failed, 1001);
    assert_true(core_memory_bytes(bench->core) < before + 1000 * 8 + 20000);
    bench->boxes[1].holds_tokens = false;
    bench_settle(bench, 1);
    expect_kept(bench);
    array_filled(bench, 1, 200, 1000, 24);
    bench_turn(bench);
    assert_int_equal(counters(bench).failed, 1025);
    drop_all(bench, 1);
    array_sealed(bench, 1, 200, 1024);
    bench_turn(bench);
    expect_kept(bench);
    drop_all(bench, 1);
    const struct drv_reply *answer = fetch(bench, 1, 200, NONE);
    assert_int_equal(answer->number, DROVER_STATE_FAILED);
    assert_int_equal(answer->error.kind, DROVER_ERROR_DEPENDENCY);
    answer = fetch(bench, 1, 200, 7);
    assert_int_equal(answer->number, DROVER_STATE_FAILED);
    assert_int_equal(answer->error.kind, DROVER_ERROR_DEPENDENCY);
    expect_state(bench, 1, 300, DROVER_STATE_FAILED);
}

/* A parent that has ended, or fails to exist, before the array comes. */
static void test_array_of_parents_that_have_ended(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    setup_peers(bench, 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_after after[] = {after_of(100, NONE, 2), after_of(101, NONE, 1)};
    drop_all(bench, 1);
    open_after(bench, &spec, 200, after, 2);
    expect_refused(bench, 1, DROVER_DEPENDENCY);
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    open_after(bench, &spec, 200, after, 1); /* whatever the end */
    expect_ok(bench, 1);
    open_after(bench, &spec, 200, after, 1); /* once more */
    expect_ok(bench, 1);
    open_after(bench, &spec, 200, NULL, 0);
    expect_refused(bench, 1, DROVER_CONFLICT);
    array_filled(bench, 1, 200, 0, 1);
    bench_turn(bench);
    done(bench, 2, leased(bench, 2));
    array_sealed(bench, 1, 200, 1);
    after[0].when = 1;
    open_after(bench, &spec, 201, after, 1);
    expect_ok(bench, 1);
    array_sealed(bench, 1, 201, 0);
    bench_turn(bench);
    expect_state(bench, 1, 201, DROVER_STATE_FAILED); /* with no elements at all */
}

/* An array waits for an array: for all of its elements; an empty one does not end before. */
static void test_array_waits_for_an_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref refs[4];
    setup_peers(bench, 2);
    array_of(bench, 1, &spec, 100, 2);
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    struct drv_after after = after_of(100, NONE, 1);
    open_after(bench, &spec, 200, &after, 1);
    expect_ok(bench, 1);
    array_sealed(bench, 1, 200, 0);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    submit_child(bench, 1, 300, 200);
    expect_kept(bench);
    done(bench, 2, refs[0]);
    expect_none(bench, 2, DRV_LEASE);
    done(bench, 2, refs[1]);
    expect_state(bench, 1, 200, DROVER_STATE_SUCCEEDED);
    assert_int_equal(number_of(leased(bench, 2).id), 300);
    expect_kept(bench);
}

/* Cancelled while it waits, as a whole and one by one. */
static void test_array_that_waits_is_cancelled(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    (void)array_waits(bench, &spec, 10);
    targets_request(bench, 1, DRV_CANCEL, 200, 3);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).waiting, 9);
    expect_kept(bench);
    cancel(bench, 1, 200);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).cancelled, 10);
    expect_state(bench, 1, 200, DROVER_STATE_CANCELLED);
    expect_kept(bench);
}

/* The time to start is counted from the submit; so is the delay. */
static void test_time_passes_while_an_array_waits(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_after after = after_of(100, NONE, 1);
    spec.expire_ms = 5000;
    spec.delay_ms = 2000;
    struct drv_ref ref = array_waits(bench, &spec, 2);
    spec.expire_ms = 0;
    open_after(bench, &spec, 201, &after, 1);
    expect_ok(bench, 1);
    array_filled(bench, 1, 201, 0, 2);
    bench_pass(bench, 1 * SECOND);
    heartbeat(bench, 2);
    done(bench, 2, ref);
    assert_int_equal(counters(bench).delayed, 4);
    expect_kept(bench);
    bench_pass(bench, 1500 * MS);
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 4);
}

static void test_array_expires_while_it_waits(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.expire_ms = 500;
    struct drv_ref ref = array_waits(bench, &spec, 5);
    bench_pass(bench, 1 * SECOND);
    assert_int_equal(counters(bench).expired, 5);
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    expect_kept(bench);
    done(bench, 2, ref);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
}

/* A broker that comes back in between goes on where it was. */
static void test_waiting_array_survives_restarts(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    (void)array_waits(bench, &spec, 3);
    reborn(bench);
    assert_int_equal(counters(bench).waiting, 3);
    client(bench, 1);
    worker(bench, 2, "work", 4);
    bench_turn(bench);
    done(bench, 2, leased(bench, 2));
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    reborn(bench);
    bench_turn(bench);
    assert_int_equal(counters(bench).waiting, 0);
    assert_int_equal(counters(bench).queued, 3);
}

/* A queue is purged of what waits in it, too. */
static void test_purge_takes_what_waits(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = array_waits(bench, &spec, 6);
    report_started(bench, 2, ref);
    bench_turn(bench);
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PURGE, .queue = text("default")};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 6);
    assert_int_equal(counters(bench).waiting, 0);
    expect_kept(bench);
}

/* A task that awaits what waits for it would wait for ever: the attempt fails. */
static void test_circle_through_a_waiting_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = array_waits(bench, &spec, 2);
    const uint32_t array = 200;
    report_started(bench, 2, ref);
    await(bench, 2, ref, &array, 1);
    expect_state(bench, 1, 100, DROVER_STATE_FAILED);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
}

/* A graph: task 100, array 200 of three elements after it, task 300 after the array. */
static void send_graph_by(struct bench *bench, uint32_t peer, const char *last,
                          uint32_t element_id, uint32_t flags)
{
    struct drv_after after[] = {after_of(100, NONE, 1), after_of(200, NONE, 1)};
    struct drv_entry first = {.id = id_of(100), .val = val_of("first")};
    struct drv_entry third = {.id = id_of(300), .val = val_of("third")};
    struct drv_entry array[] = {{.id = id_of(200), .val = val_of("shared")},
                                {.val = val_of("a")},
                                {.val = val_of("b")},
                                {.val = val_of(last)}};
    if (element_id != 0) {
        array[1].id = id_of(element_id);
    }
    struct drv_submit_group groups[] = {{spec_of("work"), &first, 1},
                                        {spec_of("work"), array, 4},
                                        {spec_of("work"), &third, 1}};
    groups[1].spec.flags = DRV_SPEC_ARRAY | flags;
    groups[1].spec.after = &after[0];
    groups[1].spec.after_count = 1;
    groups[2].spec.after = &after[1];
    groups[2].spec.after_count = 1;
    struct drv_message message = request(bench, peer, DRV_GRAPH);
    message.submit = (struct drv_submit){groups, 3};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static void send_graph(struct bench *bench, const char *last, uint32_t element_id)
{
    send_graph_by(bench, 1, last, element_id, 0);
}

/* Who sends a graph again, in another session say, is told how its arrays end. */
static void test_array_of_a_graph_that_comes_again_is_watched(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[4];
    setup_peers(bench, 4);
    send_graph(bench, "c", 0);
    expect_ok(bench, 1);
    client(bench, 4);
    send_graph_by(bench, 4, "c", 0, DRV_SPEC_WATCH);
    expect_ok(bench, 4);
    done(bench, 2, leased(bench, 2));
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    for (size_t i = 0; i < 3; i++) {
        done(bench, 2, refs[i]);
    }
    const struct drv_message *message = expect(bench, 4, DRV_RESULTS);
    assert_int_equal(number_of(message->results.entries[0].id), 200);
}

static void test_graph_has_an_array(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    send_graph(bench, "c", 999);
    const struct drv_reply *refused = reply(bench, 1); /* elements have no ids */
    assert_int_equal(refused->notes[0].position, 1);
    assert_int_equal(refused->notes[0].code, DROVER_INVALID);
    assert_int_equal(counters(bench).submitted, 0);
    send_graph(bench, "c", 0);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).submitted, 5);
    send_graph(bench, "c", 0); /* once more */
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).submitted, 5);
    send_graph(bench, "d", 0);
    expect_note(bench, 1, 1, DROVER_CONFLICT);
    expect_kept(bench);
    done(bench, 2, leased(bench, 2));
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    done(bench, 2, refs[0]);
    done(bench, 2, refs[2]);
    expect_none(bench, 2, DRV_LEASE);
    done(bench, 2, refs[1]);
    assert_int_equal(number_of(leased(bench, 2).id), 300);
    expect_kept(bench);
    const struct drv_reply *answer = fetch(bench, 1, 200, NONE);
    assert_true(answer->val.len > 20 &&
                memmem(answer->val.bytes, answer->val.len, "\xa9succeeded\x03", 11) != NULL);
}

/* Outside of a graph there is another way. */
static void test_submit_takes_no_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    spec.flags = DRV_SPEC_ARRAY;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_INVALID);
}

/* What failed with its parent is done again behind the retry of that. */
static void test_retry_of_an_array_with_parents(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    struct drv_ref ref = array_waits(bench, &spec, 3);
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    struct drv_after after = after_of(101, NONE, 1);
    struct drv_target targets[] = {{.id = id_of(100), .index = NONE, .new_id = id_of(101)},
                                   {.id = id_of(200),
                                    .index = NONE,
                                    .new_id = id_of(201),
                                    .after = &after,
                                    .after_count = 1}};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = targets, .target_count = 2};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).waiting, 3);
    expect_kept(bench);
    done(bench, 2, leased(bench, 2));
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 3);
}

static void retry_array(struct bench *bench, uint32_t number, uint32_t new_number)
{
    struct drv_target target = {
        .id = id_of(number), .index = NONE, .new_id = id_of(new_number)};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* An array of a graph is done again whole, however often: others read it by index. */
static void test_array_of_a_graph_is_retried_whole(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    send_graph(bench, "c", 0);
    expect_ok(bench, 1);
    done(bench, 2, leased(bench, 2));
    for (uint32_t number = 200; number < 203; number++) {
        struct drv_ref refs[4];
        assert_int_equal(leases(bench, 2, refs, 4), 3);
        done(bench, 2, refs[0]);
        report_failed(bench, 2, refs[1], 0);
        bench_turn(bench);
        done(bench, 2, refs[2]);
        expect_state(bench, 1, number, DROVER_STATE_FAILED);
        expect_kept(bench);
        retry_array(bench, number, number + 1);
    }
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    uint32_t index = 0;
    for (size_t i = 0; i < message->lease.group_count; i++) {
        const struct drv_lease_group *group = &message->lease.groups[i];
        for (size_t j = 0; j < group->entry_count; j++, index++) {
            assert_int_equal(group->entries[j].ref.index, index);
            assert_memory_equal(group->entries[j].val.bytes, &"abc"[index], 1);
        }
    }
    assert_int_equal(index, 3);
}

/* Elements of a graph keep their payloads, and these are what makes room for others. */
static void test_payloads_of_an_array_of_a_graph_count_as_kept(void **state)
{
    struct bench *bench = *state;
    core_destroy(&bench->core);
    bench->config.keep_bytes_max = 20; /* "done" five times, and no more */
    bench_start(bench);
    setup_peers(bench, 4);
    send_graph(bench, "c", 0);
    expect_ok(bench, 1);
    done(bench, 2, leased(bench, 2));
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 3);
    for (size_t i = 0; i < 3; i++) {
        done(bench, 2, refs[i]);
    }
    done(bench, 2, leased(bench, 2));
    bench_turn(bench);
    expect_state(bench, 1, 100, 0); /* the oldest had to go for "abc" */
    expect_state(bench, 1, 200, DROVER_STATE_SUCCEEDED);
    expect_state(bench, 1, 300, DROVER_STATE_SUCCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_payloads_of_an_array_of_a_graph_count_as_kept),
        DURABLE_TEST(test_array_of_a_graph_that_comes_again_is_watched),
        DURABLE_TEST(test_array_begins_when_its_parent_has_ended),
        DURABLE_TEST(test_array_fails_with_its_parent),
        DURABLE_TEST(test_array_of_parents_that_have_ended),
        DURABLE_TEST(test_array_waits_for_an_array),
        DURABLE_TEST(test_array_that_waits_is_cancelled),
        DURABLE_TEST(test_time_passes_while_an_array_waits),
        DURABLE_TEST(test_array_expires_while_it_waits),
        DURABLE_TEST(test_waiting_array_survives_restarts),
        DURABLE_TEST(test_purge_takes_what_waits),
        DURABLE_TEST(test_graph_has_an_array),
        BENCH_TEST(test_submit_takes_no_array),
        DURABLE_TEST(test_retry_of_an_array_with_parents),
        DURABLE_TEST(test_array_of_a_graph_is_retried_whole),
        DURABLE_TEST(test_circle_through_a_waiting_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
