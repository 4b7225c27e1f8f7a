/*
 * test_replay.c: a seed is a run: it repeats exactly, and another seed is another run.
 */
#include "sim_world.h"
#include "test.h"

static void run(uint64_t seed, struct sim_outcome *out_outcome)
{
    struct sim_config config = {.seed = seed, .check_every = 64};
    sim_run(&config, out_outcome);
    if (out_outcome->failed) {
        fail_msg("seed %llu failed %s", (unsigned long long)seed, out_outcome->reason);
    }
}

/* Every event of a run, and what was met in it, follows from the seed. */
static void test_replay_same_seed_same_trace(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct sim_outcome first, second;
        run(seed, &first);
        run(seed, &second);
        assert_true(first.trace_hash == second.trace_hash);
        assert_memory_equal(&first.stats, &second.stats, sizeof first.stats);
    }
}

/* The hash sees what happens. */
static void test_replay_other_seed_other_trace(void **state)
{
    struct sim_outcome first, second;
    run(1, &first);
    run(2, &second);
    assert_true(first.trace_hash != second.trace_hash);
}

/* A run is worth its name: it brings the promised amount of work to its end. */
static void test_replay_run_has_two_hundred_tasks(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct sim_outcome outcome;
        run(seed, &outcome);
        assert_true(outcome.stats.tasks >= 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_same_seed_same_trace),
        cmocka_unit_test(test_replay_other_seed_other_trace),
        cmocka_unit_test(test_replay_run_has_two_hundred_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
