/* When workers are to speak, how long they may be silent. */
#include "fixture.h"

static struct drv_ref begin(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    drop_all(bench, 1);
    return leased(bench, peer);
}

/* In a large fleet each worker speaks more seldom, though often enough for its lease. */
static void test_heartbeats_of_a_large_fleet_are_fewer(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {.name = "w", .types = {"work"}, .slots = 1};
    const struct {
        uint32_t workers;
        uint64_t heartbeat_ms;
    } rows[] = {{400, 1000}, {401, 1002}, {420, 1050}, {430, 1050}};
    uint32_t count = 0;
    bench->config.lease_us = 4200 * 1000;
    bench_restart(bench);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (; count < rows[i].workers; count++) { /* one connection, a new worker every time */
            hello_worker(bench, 2, 8002 + count, &options);
            if (count + 1 < rows[i].workers) {
                gone(bench, 2);
            }
        }
        assert_int_equal(welcomed(bench, 2)->heartbeat_ms, rows[i].heartbeat_ms);
        gone(bench, 2);
    }
}

static uint64_t told_next_us(struct bench *bench)
{
    heartbeat(bench, 2);
    bench_turn(bench);
    return expect(bench, 2, DRV_HEARTBEAT)->heartbeat.next_us;
}

/* Heartbeats of one worker come at one place in its interval, which is a multiple of the
 * moments in which those of all come. */
static void test_heartbeats_come_at_common_moments(void **state)
{
    struct bench *bench = *state;
    bench->config.heartbeat_us = 1520 * 1000;
    bench_restart(bench);
    worker(bench, 2, "work", 1);
    bench->now += 12345;
    bench_turn(bench);
    uint64_t next_us = told_next_us(bench);
    int64_t at_us = bench->now + (int64_t)next_us;
    assert_int_equal(at_us % (250 * MS), 0);
    assert_in_range(next_us, 1500 * MS / 8, 1500 * MS * 9 / 8);
    bench_pass(bench, (int64_t)next_us + 4321); /* on its way */
    assert_int_equal(bench->now + (int64_t)told_next_us(bench), at_us + 1500 * MS);
    bench_pass(bench, 1500 * MS - 8642); /* too early is the same */
    assert_int_equal(bench->now + (int64_t)told_next_us(bench), at_us + 3000 * MS);
}

/* Connection 2 is that of the last of so many workers; the others are away. */
static void large_fleet(struct bench *bench, uint32_t count)
{
    struct worker_options options = {.name = "w", .types = {"work"}, .slots = 1};
    for (uint32_t i = 0; i < count; i++) {
        hello_worker(bench, 2, 8002 + i, &options);
        (void)welcomed(bench, 2);
        if (i + 1 < count) {
            gone(bench, 2);
        }
    }
}

/* In a large fleet a worker without a lease is asked a quarter as often. */
static void test_heartbeats_of_idle_workers_are_fewer(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    large_fleet(bench, 600);
    assert_in_range(told_next_us(bench), 6000 * MS / 8, 6000 * MS * 9 / 8);
    int64_t idle_us = core_idle_heartbeat_us(bench->core);
    assert_int_equal(idle_us, 6000 * MS);
    (void)begin(bench, 2, 100);
    assert_in_range(told_next_us(bench), 1500 * MS / 8, 1500 * MS * 9 / 8);
}

/* One that was told so may be silent for twice as long, also when the fleet has become small.
 */
static void test_idle_worker_of_a_large_fleet_may_be_silent(void **state)
{
    struct bench *bench = *state;
    bench->config.lease_us = 4200 * MS;
    bench_restart(bench);
    large_fleet(bench, 450);
    assert_in_range(told_next_us(bench), 4200 * MS / 9, 4200 * MS * 9 / 8);
    assert_int_equal(core_idle_heartbeat_us(bench->core), 4200 * MS);
    bench_pass(bench, 8399 * MS);
    assert_int_equal(core_idle_heartbeat_us(bench->core), SECOND);
    assert_false(bench->boxes[2].is_closed);
    bench_pass(bench, MS);
    assert_true(bench->boxes[2].is_closed);
}

/* What it is given while it is silent waits for it for the lease time, and no longer. */
static void test_silent_worker_of_a_large_fleet_holds_a_task_for_its_lease_time(void **state)
{
    struct bench *bench = *state;
    bench->config.lease_us = 4200 * MS;
    bench_restart(bench);
    client(bench, 1);
    large_fleet(bench, 450);
    (void)told_next_us(bench);
    bench_pass(bench, 3500 * MS);
    (void)begin(bench, 2, 100);
    bench_pass(bench, 4199 * MS);
    assert_false(bench->boxes[2].is_closed);
    worker(bench, 3, "work", 1);
    expect_none(bench, 3, DRV_LEASE);
    bench_pass(bench, MS);
    assert_true(bench->boxes[2].is_closed);
    assert_int_equal(leased(bench, 3).attempt, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_heartbeats_of_a_large_fleet_are_fewer),
        BENCH_TEST(test_heartbeats_come_at_common_moments),
        BENCH_TEST(test_heartbeats_of_idle_workers_are_fewer),
        BENCH_TEST(test_idle_worker_of_a_large_fleet_may_be_silent),
        BENCH_TEST(test_silent_worker_of_a_large_fleet_holds_a_task_for_its_lease_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
