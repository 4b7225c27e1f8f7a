/*
 * AWAIT: what a worker runs waits for tasks, without its slot, and goes on when they have
 * ended.
 */
#include "after_story.h"
#include "stream_story.h"

#define NONE DROVER_INDEX_NONE

static void submit_one(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_spec spec = spec_of("work");
    submit(bench, peer, &spec, number);
    bench_turn(bench);
    expect_ok(bench, peer);
}

/* The parent's lease ends, its slot runs the child, and it is leased again with what it
 * awaited; nothing is charged. */
static void test_awaiting_frees_the_slot(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    submit_one(bench, 1, 100);
    struct drv_ref parent = leased(bench, 2);
    submit_one(bench, 2, 200);
    await(bench, 2, parent, (const uint32_t[]){200}, 1);
    expect_state(bench, 1, 100, DROVER_STATE_WAITING);
    struct drv_ref child = leased(bench, 2);
    assert_int_equal(number_of(child.id), 200);
    expect_restorable(bench);
    done(bench, 2, child);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 100);
    assert_int_equal(entry->ref.attempt, 2);
    assert_int_equal(entry->parent_count, 1);
    assert_int_equal(number_of(entry->parents[0].id), 200);
    assert_int_equal(entry->parents[0].when, 3);
    assert_int_equal(entry->parents[0].state, DROVER_STATE_SUCCEEDED);
    struct drv_ref again = entry->ref;
    done(bench, 2, again);
    expect_state(bench, 1, 100, DROVER_STATE_SUCCEEDED);
    assert_int_equal(counters(bench).charged, 0);
    assert_int_equal(counters(bench).retried, 0);
}

/* Whatever becomes of the children, the parent goes on; what has ended before does not hold it.
 */
static void test_any_end_of_a_child_counts(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    submit_one(bench, 1, 100);
    struct drv_ref parent = leased(bench, 2);
    submit_one(bench, 1, 200);
    submit_one(bench, 1, 201);
    struct drv_ref child = leased(bench, 2);
    report_failed(bench, 2, child, 0);
    bench_turn(bench);
    cancel(bench, 1, 201);
    bench_turn(bench);
    report_cancelled(bench, 2, leased(bench, 2));
    bench_turn(bench);
    await(bench, 2, parent, (const uint32_t[]){200, 201}, 2);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(entry->parents[0].state, DROVER_STATE_FAILED);
    assert_int_equal(entry->parents[1].state, DROVER_STATE_CANCELLED);
}

/* Children that are not there, and the task itself, fail the attempt for good. */
static void test_awaiting_nothing_that_is_fails(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.retries = 3;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    await(bench, 2, leased(bench, 2), (const uint32_t[]){200}, 1);
    expect_state(bench, 1, 100, DROVER_STATE_FAILED);
    assert_int_equal(fetch(bench, 1, 100, NONE)->error.kind, DROVER_ERROR_DEPENDENCY);
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    await(bench, 2, leased(bench, 2), (const uint32_t[]){101}, 1);
    expect_state(bench, 1, 101, DROVER_STATE_FAILED);
}

/* One that comes again, after a reconnect, was taken before; a late one is stale. */
static void test_repeated_await_changes_nothing(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    submit_one(bench, 1, 100);
    struct drv_ref parent = leased(bench, 2);
    submit_one(bench, 2, 200);
    await(bench, 2, parent, (const uint32_t[]){200}, 1);
    await(bench, 2, parent, (const uint32_t[]){200}, 1);
    assert_int_equal(counters(bench).duplicate_results, 1);
    done(bench, 2, leased(bench, 2));
    (void)leased(bench, 2);
    await(bench, 2, parent, (const uint32_t[]){200}, 1);
    assert_int_equal(counters(bench).stale_results, 1);
    expect_state(bench, 1, 100, DROVER_STATE_QUEUED);
}

/* A waiting parent can be cancelled; what it awaits with it, all the way down, if asked. */
static void test_cancel_can_take_the_children_along(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    for (uint32_t with_children = 0; with_children < 2; with_children++) {
        uint32_t base = 100 + with_children * 100;
        submit_one(bench, 1, base);
        struct drv_ref first = leased(bench, 2);
        submit_one(bench, 2, base + 1);
        submit_one(bench, 2, base + 2);
        await(bench, 2, first, (const uint32_t[]){base + 1}, 1);
        await(bench, 2, leased(bench, 2), (const uint32_t[]){base + 2}, 1);
        struct drv_ref last = leased(bench, 2);
        assert_int_equal(number_of(last.id), base + 2);
        struct drv_target target = {.id = id_of(base), .index = NONE};
        struct drv_message message = request(bench, 1, DRV_CANCEL);
        message.targets.targets = &target;
        message.targets.target_count = 1;
        message.targets.flags = with_children ? DRV_CANCEL_AWAITED : 0;
        speak(bench, 1, &message);
        bench_turn(bench);
        expect_state(bench, 1, base, DROVER_STATE_CANCELLED);
        expect_state(bench, 1, base + 1,
                     with_children ? DROVER_STATE_CANCELLED : DROVER_STATE_WAITING);
        if (with_children) {
            assert_int_equal(expect(bench, 2, DRV_ABORT)->abort.lease_count, 1);
            report_cancelled(bench, 2, last);
            bench_turn(bench);
        } else {
            done(bench, 2, last);
            done(bench, 2, leased(bench, 2));
        }
    }
}

/* The broker is killed while a parent waits; and its worker is lost before it could. */
static void test_awaiting_survives_broker_and_worker(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    submit_one(bench, 1, 100);
    submit_one(bench, 1, 200);
    await(bench, 2, leased(bench, 2), (const uint32_t[]){200}, 1);
    (void)leased(bench, 2);
    reborn(bench);
    client(bench, 1);
    expect_state(bench, 1, 100, DROVER_STATE_WAITING);
    bench_pass(bench, 20 * SECOND);
    worker(bench, 3, "work", 1);
    done(bench, 3, leased(bench, 3));
    struct drv_ref parent = leased(bench, 3);
    assert_int_equal(number_of(parent.id), 100);
    report_started(bench, 3, parent);
    bench_turn(bench);
    gone(bench, 3);
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).charged, 1);
    worker(bench, 4, "work", 1);
    const struct drv_lease_entry *entry = lease_entry(bench, 4);
    assert_int_equal(entry->parent_count, 1);
    expect_restorable(bench);
}

/* An element of an array can wait, too. */
static void test_elements_can_wait(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 100, 2);
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    submit_one(bench, 2, 200);
    await(bench, 2, refs[1], (const uint32_t[]){200}, 1);
    assert_int_equal(counters(bench).waiting, 1);
    expect_restorable(bench);
    done(bench, 2, leased(bench, 2));
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(entry->ref.index, 1);
    assert_int_equal(entry->parent_count, 1);
    struct drv_ref again = entry->ref;
    done(bench, 2, again);
    done(bench, 2, refs[0]);
    expect_state(bench, 1, 100, DROVER_STATE_SUCCEEDED);
}

static void await_flagged(struct bench *bench, uint32_t peer, struct drv_ref ref,
                          uint32_t number, uint32_t flags)
{
    drover_id child = id_of(number);
    struct drv_message message = {.kind = DRV_AWAIT, .await = {ref, &child, 1, flags}};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* AWAIT itself can say that its children are cancelled along, also over a restart. */
static void test_await_can_say_that_children_are_cancelled_along(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    for (uint32_t along = 0; along < 2; along++) {
        uint32_t base = 100 + along * 100;
        submit_one(bench, 1, base);
        struct drv_ref parent = leased(bench, 2);
        submit_one(bench, 2, base + 1);
        await_flagged(bench, 2, parent, base + 1, along ? DRV_AWAIT_ALONG : 0);
        struct drv_ref child = leased(bench, 2);
        uint32_t canceller = along ? 5 : 1;
        if (along) {
            reborn(bench);
            client(bench, canceller);
        }
        cancel(bench, canceller, base);
        bench_turn(bench);
        expect_state(bench, canceller, base, DROVER_STATE_CANCELLED);
        if (along) {
            bench_pass(bench, 20 * SECOND); /* its worker does not come back */
            expect_state(bench, canceller, base + 1, DROVER_STATE_CANCELLED);
        } else {
            done(bench, 2, child);
            expect_state(bench, canceller, base + 1, DROVER_STATE_SUCCEEDED);
        }
    }
}

/* --- circles ------------------------------------------------------------------------------ */

/* The task failed because of a circle that leads through the child. */
static void expect_circle(struct bench *bench, uint32_t task, uint32_t child)
{
    char name[DROVER_ID_TEXT_LEN + 1], wanted[64];
    drover_id id = id_of(child);
    drover_id_format(&id, name);
    (void)snprintf(wanted, sizeof wanted, "a circle through task %s", name);
    const struct drv_reply *answer = fetch(bench, 1, task, NONE);
    assert_int_equal(answer->number, DROVER_STATE_FAILED);
    assert_int_equal(answer->error.kind, DROVER_ERROR_DEPENDENCY);
    if (answer->error.text.len < strlen(wanted) ||
        memcmp(answer->error.text.ptr, wanted, strlen(wanted)) != 0) {
        fail_msg("'%.*s' is not '%s'", (int)answer->error.text.len, answer->error.text.ptr,
                 wanted);
    }
}

/* What waits for the task, itself or through others, is not awaited; nobody is left waiting. */
static void test_child_that_waits_for_its_parent_fails_it(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    submit_one(bench, 1, 100);
    struct drv_ref parent = leased(bench, 2);
    submit_one(bench, 1, 150); /* innocent */
    submit_child(bench, 1, 200, 100);
    submit_child(bench, 1, 201, 200);
    await(bench, 2, parent, (const uint32_t[]){150, 201}, 2);
    expect_circle(bench, 100, 201);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    expect_state(bench, 1, 201, DROVER_STATE_FAILED);
    assert_int_equal(counters(bench).waiting, 0);
    expect_restorable(bench);
}

/* Two that await each other: the second one fails, and the first goes on. */
static void test_two_that_await_each_other_do_not_wait_for_ever(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    submit_one(bench, 1, 100);
    submit_one(bench, 1, 101);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    await(bench, 2, refs[0], (const uint32_t[]){101}, 1);
    await(bench, 2, refs[1], (const uint32_t[]){100}, 1);
    expect_circle(bench, 101, 100);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 100);
    assert_int_equal(entry->parents[0].state, DROVER_STATE_FAILED);
}

/* A whole array waits for each of its elements, and for what those await. */
static void test_circles_through_arrays_are_seen(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 300, 2);
    bench_turn(bench);
    submit_one(bench, 1, 100);
    struct drv_ref refs[3];
    assert_int_equal(leases(bench, 2, refs, 3), 3);
    submit_child(bench, 1, 200, 300); /* waits for the whole array */
    await(bench, 2, refs[0], (const uint32_t[]){200}, 1);
    assert_int_equal(counters(bench).failed, 1); /* the element */
    await(bench, 2, refs[1], (const uint32_t[]){100}, 1);
    await(bench, 2, refs[2], (const uint32_t[]){300}, 1); /* whose second element awaits it */
    expect_circle(bench, 100, 300);
}

enum { CHAIN_PART = 1000 };

/* Each waits for the end of the one before, the first for that before it. */
static void submit_chain(struct bench *bench, uint32_t first)
{
    static struct drv_submit_group groups[CHAIN_PART];
    static struct drv_entry entries[CHAIN_PART];
    static struct drv_after after[CHAIN_PART];
    for (uint32_t i = 0; i < CHAIN_PART; i++) {
        after[i] = after_of(first + i - 1, NONE, 2);
        entries[i] = (struct drv_entry){id_of(first + i), val_nil()};
        groups[i] = (struct drv_submit_group){spec_of("work"), &entries[i], 1};
        groups[i].spec.after = &after[i];
        groups[i].spec.after_count = 1;
    }
    struct drv_message message = request(bench, 1, DRV_SUBMIT);
    message.submit = (struct drv_submit){.groups = groups, .group_count = CHAIN_PART};
    speak(bench, 1, &message);
}

/* A chain that is longer than the search does not hold up the broker: it is taken for no
 * circle, and ends with a cancel. */
static void test_search_for_circles_is_bounded(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    submit_one(bench, 1, 1000);
    struct drv_ref parent = leased(bench, 2);
    uint32_t last = 1000 + 5 * CHAIN_PART; /* more than CIRCLE_WAITS_MAX */
    for (uint32_t first = 1001; first <= last; first += CHAIN_PART) {
        submit_chain(bench, first);
        bench_turn(bench);
        expect_ok(bench, 1);
    }
    await(bench, 2, parent, (const uint32_t[]){last}, 1);
    expect_state(bench, 1, 1000, DROVER_STATE_WAITING);
    cancel(bench, 1, 1000);
    bench_turn(bench);
    drop_all(bench, 1);
    assert_int_equal(number_of(leased(bench, 2).id), 1001);
}

/* Waiting and going on are told. */
static void test_waiting_is_told_to_subscribers(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    subscribe_events(bench, 1, 1,
                     UINT64_C(1) << DRV_EVENT_TASK_WAITING | UINT64_C(1)
                                                                 << DRV_EVENT_TASK_RELEASED);
    submit_one(bench, 1, 100);
    struct drv_ref parent = leased(bench, 2);
    submit_one(bench, 2, 200);
    await(bench, 2, parent, (const uint32_t[]){200}, 1);
    (void)EXPECT_EVENTS(bench, 1, "task.waiting");
    done(bench, 2, leased(bench, 2));
    (void)EXPECT_EVENTS(bench, 1, "task.released");
}

/* --- graphs ------------------------------------------------------------------------------ */

static struct drv_submit_group graph_group(struct drv_spec *spec, struct drv_entry *entry,
                                           uint32_t number, const struct drv_after *after,
                                           size_t count)
{
    *entry = (struct drv_entry){.id = id_of(number), .val = val_of("x")};
    spec->after = after;
    spec->after_count = count;
    return (struct drv_submit_group){.spec = *spec, .entries = entry, .entry_count = 1};
}

static void submit_graph(struct bench *bench, const struct drv_submit_group *groups,
                         size_t count)
{
    struct drv_message message = request(bench, 1, DRV_GRAPH);
    message.submit = (struct drv_submit){groups, count};
    speak(bench, 1, &message);
    bench_turn(bench);
}

/* A graph is taken whole; again it is the same; and what is wrong with one node refuses all. */
static void test_graph_is_taken_whole_or_not_at_all(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    struct drv_spec spec = spec_of("work");
    struct drv_entry entries[3];
    struct drv_after after[] = {after_of(100, NONE, 1), after_of(101, NONE, 1),
                                after_of(999, NONE, 1)};
    struct drv_submit_group groups[3] = {
        graph_group(&spec, &entries[0], 100, NULL, 0),
        graph_group(&spec, &entries[1], 101, after, 1),
        graph_group(&spec, &entries[2], 102, after, 3),
    };
    submit_graph(bench, groups, 3);
    expect_note(bench, 1, 2, DROVER_DEPENDENCY);
    assert_int_equal(counters(bench).submitted, 0);
    groups[2].spec.after_count = 2;
    submit_graph(bench, groups, 3);
    expect_ok(bench, 1);
    submit_graph(bench, groups, 3);
    expect_ok(bench, 1);
    assert_int_equal(counters(bench).submitted, 3);
    assert_int_equal(counters(bench).waiting, 2);
    for (int i = 0; i < 3; i++) {
        done(bench, 2, leased(bench, 2));
    }
    expect_state(bench, 1, 102, DROVER_STATE_SUCCEEDED);
}

/* Parents come first, ids once, and a queue has room for all or for none. */
static void test_graph_is_judged_before_anything_is_made(void **state)
{
    struct bench *bench = *state;
    bench->config.queue_count_max = 3;
    core_destroy(&bench->core);
    bench_start(bench);
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    struct drv_entry entries[3];
    struct drv_after after = after_of(101, NONE, 1);
    struct drv_submit_group groups[3] = {
        graph_group(&spec, &entries[0], 100, &after, 1),
        graph_group(&spec, &entries[1], 101, NULL, 0),
        graph_group(&spec, &entries[2], 102, NULL, 0),
    };
    submit_graph(bench, groups, 2);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
    entries[1].id = id_of(100);
    submit_graph(bench, &groups[1], 1);
    expect_ok(bench, 1);
    struct drv_submit_group twice[2] = {groups[2], groups[2]};
    submit_graph(bench, twice, 2);
    expect_note(bench, 1, 1, DROVER_CONFLICT);
    entries[0].id = id_of(104);
    entries[1].id = id_of(103);
    groups[0].spec.after_count = 0;
    submit_graph(bench, groups, 3);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 3);
    assert_int_equal(answer->notes[0].code, DROVER_BUSY);
    assert_int_equal(counters(bench).submitted, 1);
}

/* A node with a key could turn out to be another task: it is refused, and says why. */
static void test_graph_has_no_keys(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_entry entries[2] = {{id_of(100), val_nil()}, {id_of(101), val_nil()}};
    struct drv_submit_group groups[2] = {{spec_of("work"), &entries[0], 1},
                                         {spec_of("work"), &entries[1], 1}};
    groups[1].spec.key = text("only-one");
    submit_graph(bench, groups, 2);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].position, 1);
    assert_int_equal(answer->notes[0].code, DROVER_UNSUPPORTED);
    assert_true(str_is(answer->notes[0].text, "a task of a graph has no key"));
    assert_int_equal(counters(bench).submitted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_awaiting_frees_the_slot),
        DURABLE_TEST(test_any_end_of_a_child_counts),
        DURABLE_TEST(test_awaiting_nothing_that_is_fails),
        DURABLE_TEST(test_repeated_await_changes_nothing),
        DURABLE_TEST(test_cancel_can_take_the_children_along),
        DURABLE_TEST(test_awaiting_survives_broker_and_worker),
        DURABLE_TEST(test_elements_can_wait),
        DURABLE_TEST(test_await_can_say_that_children_are_cancelled_along),
        DURABLE_TEST(test_child_that_waits_for_its_parent_fails_it),
        DURABLE_TEST(test_two_that_await_each_other_do_not_wait_for_ever),
        DURABLE_TEST(test_circles_through_arrays_are_seen),
        DURABLE_TEST(test_search_for_circles_is_bounded),
        DURABLE_TEST(test_waiting_is_told_to_subscribers),
        DURABLE_TEST(test_graph_is_taken_whole_or_not_at_all),
        DURABLE_TEST(test_graph_is_judged_before_anything_is_made),
        DURABLE_TEST(test_graph_has_no_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
