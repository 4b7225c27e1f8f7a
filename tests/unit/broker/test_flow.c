/*
 * The main road: submit, lease, result, and its surroundings.
 */
#include "fixture.h"

/* A task goes to a worker that offers its type, and its result to the client that submitted it.
 */
static void test_task_runs_and_its_result_comes_back(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "square", 1);
    struct drv_spec spec = watched("square");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_ok(answer->code);
    assert_int_equal(answer->number, DROVER_DURABILITY_MEMORY);

    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_true(str_is(group->type, "square"));
    assert_true(str_is(group->queue, "default"));
    assert_true(val_is(&group->entries[0].val, "payload"));
    struct drv_ref ref = group->entries[0].ref;
    assert_int_equal(number_of(ref.id), 100);
    assert_int_equal(ref.attempt, 1);

    report_done(bench, 2, ref, "25");
    bench_turn(bench);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(number_of(outcome->id), 100);
    assert_int_equal(outcome->state, DROVER_STATE_SUCCEEDED);
    assert_true(val_is(&outcome->val, "25"));
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).submitted, 1);
}

/* Without a worker for it a task waits, and starts when one comes. */
static void test_task_waits_for_a_worker_of_its_type(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "other", 1);
    struct drv_spec spec = watched("square");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    assert_int_equal(counters(bench).queued, 1);
    worker(bench, 3, "square", 1);
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 3).id), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_task_runs_and_its_result_comes_back),
        BENCH_TEST(test_task_waits_for_a_worker_of_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
