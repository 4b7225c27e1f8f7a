/*
 * Dependencies: a task waits for its parents, and learns what became of them.
 */
#include "after_story.h"
#include "rng.h"

#define NONE DROVER_INDEX_NONE

/* A task runs when the last of its parents has succeeded, and is told which they were. */
static void test_child_runs_after_its_parents(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "payload");
    bench_turn(bench);
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 2);
    struct drv_after after[] = {after_of(100, NONE, 1), after_of(101, NONE, 2)};
    submit_after(bench, 1, 200, after, 2);
    expect_ok(bench, 1);
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    assert_int_equal(counters(bench).waiting, 1);
    done(bench, 2, refs[0]);
    expect_none(bench, 2, DRV_LEASE);
    report_failed(bench, 2, refs[1], 0);
    bench_turn(bench);
    const struct drv_lease_entry *entry = lease_entry(bench, 2);
    assert_int_equal(number_of(entry->ref.id), 200);
    assert_int_equal(entry->parent_count, 2);
    assert_int_equal(number_of(entry->parents[0].id), 100);
    assert_int_equal(entry->parents[0].when, 1);
    assert_int_equal(entry->parents[0].state, DROVER_STATE_SUCCEEDED);
    assert_int_equal(entry->parents[1].state, DROVER_STATE_FAILED);
    struct drv_ref ref = entry->ref;
    const struct drv_reply *answer = fetch(bench, 2, 100, NONE);
    assert_ok(answer->code);
    assert_true(val_is(&answer->val, "done"));
    answer = fetch(bench, 2, 101, NONE);
    assert_int_equal(answer->number, DROVER_STATE_FAILED);
    assert_int_equal(answer->error.kind, DROVER_ERROR_HANDLER);
    assert_true(str_is(answer->error.text, "it failed"));
    done(bench, 2, ref);
    expect_state(bench, 1, 200, DROVER_STATE_SUCCEEDED);
}

/* Parents that have ended already hold nobody up. */
static void test_child_of_what_has_ended_is_queued_at_once(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    done(bench, 2, leased(bench, 2));
    submit_child(bench, 1, 200, 100);
    assert_int_equal(lease_entry(bench, 2)->parent_count, 1);
}

/* A parent that does not succeed ends what waited for its success, and so on downwards. */
static void test_failure_goes_down_to_all_that_wait(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    for (uint32_t i = 0; i < 20; i++) {
        submit_child(bench, 1, 200 + i, i == 0 ? 100 : 199 + i);
    }
    struct drv_after always = after_of(219, NONE, 2);
    submit_after(bench, 1, 300, &always, 1);
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    for (uint32_t i = 0; i < 20; i++) {
        expect_state(bench, 1, 200 + i, DROVER_STATE_FAILED);
    }
    const struct drv_reply *answer = fetch(bench, 1, 201, NONE);
    assert_int_equal(answer->error.kind, DROVER_ERROR_DEPENDENCY);
    char name[DROVER_ID_TEXT_LEN + 1];
    drover_id id = id_of(200);
    drover_id_format(&id, name);
    assert_non_null(memmem(answer->error.text.ptr, answer->error.text.len, name, strlen(name)));
    assert_int_equal(number_of(lease_entry(bench, 2)->ref.id), 300);
    /* And what comes too late for that. */
    submit_child(bench, 1, 400, 219);
    expect_state(bench, 1, 400, DROVER_STATE_FAILED);
}

/* A cancelled or expired parent counts as one that did not succeed. */
static void test_cancelled_and_expired_parents_fail_the_child(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    spec.expire_ms = 1000;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    submit_child(bench, 1, 200, 100);
    submit_child(bench, 1, 201, 101);
    cancel(bench, 1, 100);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_FAILED);
    bench_pass(bench, 2 * SECOND);
    expect_state(bench, 1, 201, DROVER_STATE_FAILED);
}

/* What waits can itself be cancelled, expire, and be purged. */
static void test_waiting_task_can_end_by_itself(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    submit_child(bench, 1, 200, 100);
    struct drv_after after = after_of(100, NONE, 1);
    spec.after = &after;
    spec.after_count = 1;
    spec.expire_ms = 1000;
    submit(bench, 1, &spec, 201);
    bench_turn(bench);
    cancel(bench, 1, 200);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_CANCELLED);
    bench_pass(bench, 2 * SECOND);
    expect_state(bench, 1, 201, DROVER_STATE_EXPIRED);
    submit_child(bench, 1, 202, 100);
    struct drv_message purge = request(bench, 1, DRV_QUEUE);
    purge.queue = (struct drv_queue_request){.op = DRV_QUEUE_PURGE, .queue = text("default")};
    speak(bench, 1, &purge);
    bench_turn(bench);
    expect_state(bench, 1, 202, DROVER_STATE_CANCELLED);
}

/* A delay counts from the submit, whatever happens before. */
static void test_delay_is_not_before(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_after after = after_of(100, NONE, 1);
    spec.after = &after;
    spec.after_count = 1;
    spec.delay_ms = 5000;
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    bench_pass(bench, SECOND);
    done(bench, 2, ref);
    expect_state(bench, 1, 200, DROVER_STATE_DELAYED);
    bench_pass(bench, 3 * SECOND);
    expect_none(bench, 2, DRV_LEASE);
    bench_pass(bench, 2 * SECOND);
    (void)leased(bench, 2);
}

static void expect_dependency(struct bench *bench, const char *words)
{
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].code, DROVER_DEPENDENCY);
    struct drv_str text = answer->notes[0].text;
    if (memmem(text.ptr, text.len, words, strlen(words)) == NULL) {
        fail_msg("%.*s", (int)text.len, text.ptr);
    }
}

/* Parents that are not there, or less durable, are refused by name. */
static void test_impossible_parents_are_refused(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_after after = after_of(100, NONE, 1);
    submit_after(bench, 1, 200, &after, 1);
    char name[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&after.id, name);
    expect_dependency(bench, name);
    struct drv_spec weak = spec_of("work");
    weak.durability = DROVER_DURABILITY_MEMORY;
    submit(bench, 1, &weak, 100);
    bench_turn(bench);
    expect_ok(bench, 1);
    submit_after(bench, 1, 200, &after, 1);
    expect_dependency(bench, "less durable");
    after.index = 3;
    submit_after(bench, 1, 200, &after, 1);
    expect_dependency(bench, ".3");
    assert_int_equal(counters(bench).submitted, 1);
}

/* The same submit again is the same task; with other parents it is another one. */
static void test_resubmit_compares_the_parents(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "payload");
    bench_turn(bench);
    submit_child(bench, 1, 200, 100);
    submit_child(bench, 1, 200, 100);
    struct drv_after after = after_of(101, NONE, 1);
    submit_after(bench, 1, 200, &after, 1);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
}

/* One element, or a whole array. */
static void test_parents_may_be_elements_and_arrays(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 3);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 100, 3);
    bench_turn(bench);
    struct drv_ref refs[3];
    assert_int_equal(leases(bench, 2, refs, 3), 3);
    struct drv_after after = after_of(100, 1, 1);
    submit_after(bench, 1, 200, &after, 1);
    submit_child(bench, 1, 201, 100);
    done(bench, 2, refs[0]);
    expect_none(bench, 2, DRV_LEASE);
    done(bench, 2, refs[1]);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(number_of(ref.id), 200);
    done(bench, 2, refs[2]);
    assert_int_equal(number_of(leased(bench, 2).id), 201);
}

/* An element whose result was given back is as good as forgotten. */
static void test_element_without_its_result_is_no_parent(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    struct drv_spec spec = spec_of("work");
    array_of(bench, 1, &spec, 100, 2);
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    done(bench, 2, refs[0]);
    done(bench, 2, refs[1]);
    targets_request(bench, 1, DRV_FORGET, 100, 0);
    bench_turn(bench);
    expect_ok(bench, 1);
    struct drv_after after = after_of(100, 0, 1);
    submit_after(bench, 1, 200, &after, 1);
    expect_note(bench, 1, 0, DROVER_DEPENDENCY);
    after = after_of(100, 1, 1);
    submit_after(bench, 1, 201, &after, 1);
    expect_ok(bench, 1);
}

/* A parent stays, with its result, while something that has not ended names it. */
static void test_parent_is_kept_for_its_children(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.keep_ms = 0;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    submit_child(bench, 1, 200, 100);
    done(bench, 2, ref);
    ref = leased(bench, 2);
    bench_pass(bench, 2 * 3600 * SECOND);
    targets_request(bench, 1, DRV_FORGET, 100, NONE);
    bench_turn(bench);
    const struct drv_reply *answer = fetch(bench, 1, 100, NONE);
    assert_true(val_is(&answer->val, "done"));
    bench->config.lease_us = 0;
    done(bench, 2, ref);
    if (state_of(bench, 1, 200) != DROVER_STATE_SUCCEEDED) {
        /* The worker was silent for hours: its lease went to nobody, and came back. */
        worker(bench, 3, "work", 1);
        bench_turn(bench);
        done(bench, 3, leased(bench, 3));
    }
    expect_state(bench, 1, 200, DROVER_STATE_SUCCEEDED);
    expect_state(bench, 1, 100, 0);
}

/* Everything comes back from the records, at every step of the way. */
static void test_waiting_survives_a_restart(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    (void)leased(bench, 2);
    struct drv_after after[] = {after_of(100, NONE, 1), after_of(100, NONE, 2)};
    submit_after(bench, 1, 200, after, 2);
    submit_child(bench, 1, 201, 200);
    expect_restorable(bench);
    reborn(bench);
    client(bench, 1);
    expect_state(bench, 1, 200, DROVER_STATE_WAITING);
    bench_pass(bench, 20 * SECOND);
    worker(bench, 3, "work", 1);
    done(bench, 3, leased(bench, 3));
    expect_restorable(bench);
    const struct drv_lease_entry *entry = lease_entry(bench, 3);
    assert_int_equal(number_of(entry->ref.id), 200);
    assert_int_equal(entry->parent_count, 2);
    reborn(bench);
    client(bench, 1);
    bench_pass(bench, 20 * SECOND);
    worker(bench, 4, "work", 1);
    done(bench, 4, leased(bench, 4));
    done(bench, 4, leased(bench, 4));
    expect_state(bench, 1, 201, DROVER_STATE_SUCCEEDED);
    expect_restorable(bench);
}

/* A retry can be given parents of its own. */
static void test_retry_with_parents_waits(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 2, "payload");
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_failed(bench, 2, refs[0], 0);
    bench_turn(bench);
    struct drv_after after = after_of(101, NONE, 1);
    struct drv_target target = {.id = id_of(100),
                                .index = NONE,
                                .new_id = id_of(300),
                                .after = &after,
                                .after_count = 1};
    struct drv_message message = request(bench, 1, DRV_RETRY);
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_state(bench, 1, 300, DROVER_STATE_WAITING);
    done(bench, 2, refs[1]);
    assert_int_equal(number_of(leased(bench, 2).id), 300);
}

/* Five thousand children of one task take several ticks, and all of them get their turn. */
static void test_many_children_are_told_in_slices(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_after after = after_of(100, NONE, 1);
    spec.after = &after;
    spec.after_count = 1;
    for (uint32_t i = 0; i < 5; i++) {
        submit_many(bench, 1, &spec, 1000 + i * 1000, 1000, "payload");
    }
    bench_turn(bench);
    assert_int_equal(counters(bench).waiting, 5000);
    report_failed(bench, 2, ref, 0);
    bench_tick(bench);
    assert_true(counters(bench).waiting > 0);
    assert_true(counters(bench).failed > 1000);
    bench_turn(bench);
    assert_int_equal(counters(bench).failed, 5001);
}

/* --- random graphs ----------------------------------------------------------------------- */

enum { DAG_TASKS = 60, DAG_CHILD = 1000, DAG_HELD = 8 };

struct dag {
    uint64_t parents[DAG_TASKS]; /* bit n: waits for n */
    uint64_t always[DAG_TASKS];  /* of those: whatever becomes of it */
    uint64_t awaiting;           /* bit n: has awaited a child, number DAG_CHILD + n */
    uint64_t leased;             /* bit n: ran */
    struct drv_ref held[DAG_HELD];
    size_t held_count;
    struct drv_rng rng;
};

static void dag_submit(struct bench *bench, struct dag *dag)
{
    for (uint32_t i = 0; i < DAG_TASKS; i++) {
        struct drv_after after[DAG_TASKS];
        size_t count = 0;
        for (uint32_t j = 0; j < i; j++) {
            if (drv_rng_below(&dag->rng, i) < 2) {
                bool always = drv_rng_below(&dag->rng, 3) == 0;
                dag->parents[i] |= UINT64_C(1) << j;
                dag->always[i] |= (uint64_t)always << j;
                after[count++] = after_of(100 + j, NONE, always ? 2 : 1);
            }
        }
        submit_after(bench, 1, 100 + i, after, count);
        expect_ok(bench, 1);
    }
}

/* What runs now must have had all its parents end, and end well where that was asked. */
static void dag_expect_order(struct bench *bench, struct dag *dag, const struct drv_ref *ref)
{
    uint32_t number = number_of(ref->id);
    uint32_t i = number - 100;
    if (number >= DAG_CHILD) {
        return;
    }
    dag->leased |= UINT64_C(1) << i;
    for (uint32_t j = 0; j < DAG_TASKS; j++) {
        if (dag->parents[i] >> j & 1) {
            uint32_t parent = state_of(bench, 1, 100 + j);
            assert_true(parent >= DROVER_STATE_SUCCEEDED);
            assert_true(parent == DROVER_STATE_SUCCEEDED || (dag->always[i] >> j & 1));
        }
    }
    if (dag->awaiting >> i & 1 && ref->attempt > 1 &&
        state_of(bench, 1, DAG_CHILD + i) < DROVER_STATE_SUCCEEDED) {
        dag->awaiting &= ~(UINT64_C(1) << i); /* the await did not count: it was lost first */
    }
}

static void dag_await(struct bench *bench, struct dag *dag, struct drv_ref ref)
{
    uint32_t i = number_of(ref.id) - 100;
    struct drv_spec spec = spec_of("work");
    submit(bench, 2, &spec, DAG_CHILD + i);
    bench_turn(bench);
    expect_ok(bench, 2);
    dag->awaiting |= UINT64_C(1) << i;
    await(bench, 2, ref, (const uint32_t[]){DAG_CHILD + i}, 1);
}

static void dag_end(struct bench *bench, struct dag *dag, struct drv_ref ref)
{
    uint32_t i = number_of(ref.id) - 100;
    bool may_await = number_of(ref.id) < DAG_CHILD && !(dag->awaiting >> i & 1);
    if (may_await && drv_rng_below(&dag->rng, 4) == 0) {
        dag_await(bench, dag, ref);
    } else if (drv_rng_below(&dag->rng, 5) == 0) {
        report_failed(bench, 2, ref, 0);
    } else {
        report_done(bench, 2, ref, "done");
    }
    if (drv_rng_below(&dag->rng, 15) == 0) {
        cancel(bench, 1, 100 + (uint32_t)drv_rng_below(&dag->rng, DAG_TASKS));
    }
    bench_turn(bench);
}

/* The broker is killed; the worker comes back with nothing in its hands. */
static void dag_crash(struct bench *bench, struct dag *dag)
{
    uint64_t client_req = bench->boxes[1].req, worker_req = bench->boxes[2].req;
    reborn(bench);
    bench->boxes[1].req = client_req; /* their sessions go on */
    bench->boxes[2].req = worker_req;
    client(bench, 1);
    worker(bench, 2, "work", 4);
    dag->held_count = 0;
    bench_turn(bench);
}

/* Who did not run had a reason. */
static void dag_check(struct bench *bench, const struct dag *dag)
{
    for (uint32_t i = 0; i < DAG_TASKS; i++) {
        uint32_t ended = state_of(bench, 1, 100 + i);
        assert_true(ended >= DROVER_STATE_SUCCEEDED);
        if (dag->leased >> i & 1 || ended == DROVER_STATE_CANCELLED) {
            continue;
        }
        bool has_reason = false;
        for (uint32_t j = 0; j < DAG_TASKS; j++) {
            has_reason = has_reason || ((dag->parents[i] & ~dag->always[i]) >> j & 1 &&
                                        state_of(bench, 1, 100 + j) != DROVER_STATE_SUCCEEDED);
        }
        assert_int_equal(ended, DROVER_STATE_FAILED);
        assert_true(has_reason);
    }
}

/* Random graphs whose tasks await others, with failures, cancels and crashes of the broker: the
 * order holds, and everything ends. */
static void test_random_graphs_keep_the_order_and_end(void **state)
{
    struct bench *bench = *state;
    struct dag dag;
    memset(&dag, 0, sizeof dag);
    drv_rng_init(&dag.rng, test_seed());
    setup_peers(bench, 4);
    dag_submit(bench, &dag);
    for (;;) {
        if (drv_rng_below(&dag.rng, 12) == 0) {
            dag_crash(bench, &dag);
        }
        dag.held_count += leases(bench, 2, dag.held + dag.held_count,
                                 DAG_HELD - dag.held_count);
        if (dag.held_count == 0) {
            break;
        }
        size_t pick = (size_t)drv_rng_below(&dag.rng, dag.held_count);
        struct drv_ref ref = dag.held[pick];
        dag.held[pick] = dag.held[--dag.held_count];
        dag_expect_order(bench, &dag, &ref);
        dag_end(bench, &dag, ref);
    }
    dag_check(bench, &dag);
    assert_int_equal(counters(bench).waiting, 0);
    expect_restorable(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_child_runs_after_its_parents),
        DURABLE_TEST(test_child_of_what_has_ended_is_queued_at_once),
        DURABLE_TEST(test_failure_goes_down_to_all_that_wait),
        DURABLE_TEST(test_cancelled_and_expired_parents_fail_the_child),
        DURABLE_TEST(test_waiting_task_can_end_by_itself),
        DURABLE_TEST(test_delay_is_not_before),
        DURABLE_TEST(test_impossible_parents_are_refused),
        DURABLE_TEST(test_resubmit_compares_the_parents),
        DURABLE_TEST(test_parents_may_be_elements_and_arrays),
        DURABLE_TEST(test_element_without_its_result_is_no_parent),
        DURABLE_TEST(test_parent_is_kept_for_its_children),
        DURABLE_TEST(test_waiting_survives_a_restart),
        DURABLE_TEST(test_retry_with_parents_waits),
        DURABLE_TEST(test_many_children_are_told_in_slices),
        DURABLE_TEST(test_random_graphs_keep_the_order_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
