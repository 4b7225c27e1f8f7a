/*
 * Schedules of a broker that dies at any moment, under a clock that jumps: from a seed.
 *
 * The oracle is what the broker has told of what it submitted, as far as the store had got it:
 * no instant of a schedule is ever submitted twice, however short tasks are remembered, and
 * every instant of an undisturbed hour is.
 */
#include "schedule_story.h"

#include "check.h"
#include "rng.h"

enum { STEPS = 80, INSTANTS_MAX = 8192, ROUNDS = 8, SCHEDULES = 3 };

struct oracle {
    drover_id ids[INSTANTS_MAX]; /* that count: their records were kept */
    size_t count;
    size_t told; /* of the bench's history that were looked at */
    bool twice;  /* an instant was run again */
};

static void oracle_take(struct bench *bench, struct oracle *oracle)
{
    for (; oracle->told < bench->record_count; oracle->told++) {
        const struct core_record *record = &bench->records[oracle->told];
        if (record->kind != CORE_RECORD_SUBMIT) {
            continue;
        }
        for (size_t i = 0; i < oracle->count; i++) {
            if (drover_id_equal(&oracle->ids[i], &record->id)) {
                oracle->twice = true;
            }
        }
        assert_true(oracle->count < INSTANTS_MAX);
        oracle->ids[oracle->count++] = record->id;
    }
    bench->record_count = oracle->told = 0;
}

/* The worker ends everything that it gets; what ended is forgotten soon. */
static void work(struct bench *bench)
{
    struct drv_ref refs[256];
    size_t count;
    if (bench->boxes[2].epoch == 0) {
        return;
    }
    while ((count = leases(bench, 2, refs, DRV_ARRAY_LEN(refs))) > 0) {
        for (size_t i = 0; i < count; i++) {
            report_done(bench, 2, refs[i], "x");
        }
        bench_turn(bench);
    }
}

static void pass(struct bench *bench, struct oracle *oracle, int64_t us)
{
    for (int64_t until = bench->now + us; bench->now < until;) {
        int64_t left = until - bench->now;
        bench_pass(bench, left < HOUR / 4 ? left : HOUR / 4);
        work(bench);
        if (bench->boxes[2].epoch != 0) {
            heartbeat(bench, 2);
        }
        oracle_take(bench, oracle);
    }
}

/* The store had got everything up to some moment of the last turns: what came later has never
 * been. */
static void die(struct bench *bench, struct oracle *oracle, struct drv_rng *rng)
{
    size_t kept_ids = oracle->count;
    size_t kept_records = bench->log.count;
    if (drv_rng_below(rng, 2) == 0) { /* a turn is lost */
        bench_pass(bench, (int64_t)drv_rng_below(rng, 600) * SECOND);
        bench->record_count = oracle->told = 0; /* nobody was told of it */
        while (bench->log.count > kept_records) {
            free((void *)bench->log.records[--bench->log.count].body);
        }
        oracle->count = kept_ids;
    }
    bench->now += (int64_t)drv_rng_below(rng, 3) * HOUR;
    come_back(bench);
    worker(bench, 2, "work", 4);
    bench_turn(bench);
    work(bench);
    oracle_take(bench, oracle);
}

static void add_one(struct bench *bench, struct drv_rng *rng, unsigned number)
{
    static const char *const crons[] = {"*/5 * * * *", "0 * * * *", "30 3 * * *",
                                        "15,45 */2 * * mon-fri", "0 0 */6 * * *"};
    char name[16];
    (void)snprintf(name, sizeof name, "s%u", number);
    struct drv_plan plan = drv_rng_below(rng, 3) == 0
                               ? plan_every((1 + drv_rng_below(rng, 60)) * 60000)
                               : plan_cron(crons[drv_rng_below(rng, DRV_ARRAY_LEN(crons))]);
    plan.overlap = (uint32_t)drv_rng_below(rng, DRV_OVERLAPS);
    plan.missed = (uint32_t)drv_rng_below(rng, DRV_MISSED_POLICIES);
    plan.jitter_ms = drv_rng_below(rng, 2) * 20000;
    plan.spec.keep_ms = 0;
    schedule_add(bench, name, &plan);
}

static struct bench *begin(bool forgets)
{
    struct bench *bench = bench_new();
    bench->config.durability_max = DROVER_DURABILITY_SYNCED;
    bench->config.lease_us = 8 * HOUR;
    bench->config.session_us = 24 * HOUR;
    bench->config.defects.forget_instant = forgets;
    bench_start(bench);
    bench_turn(bench);
    client(bench, 1);
    worker(bench, 2, "work", 4);
    return bench;
}

/* What was written makes a sound broker. */
static void look_at_restored(const struct bench *bench)
{
    struct core *core = NULL;
    const char *why = NULL;
    assert_ok(restored(bench, bench->log.count, &core, &why));
    assert_null(core_check(core));
    core_destroy(&core);
}

static void step(struct bench *bench, struct oracle *oracle, struct drv_rng *rng)
{
    switch (drv_rng_below(rng, 8)) {
    case 0:
        die(bench, oracle, rng);
        break;
    case 1: /* the clock is set, up to a day either way */
        bench->wall_set += ((int64_t)drv_rng_below(rng, 48) - 24) * HOUR;
        bench_turn(bench);
        break;
    case 2:
        look_at_restored(bench);
        break;
    default:
        pass(bench, oracle, (int64_t)drv_rng_below(rng, 180) * 60 * SECOND);
        break;
    }
}

/* One life of many lives; whether an instant was run twice. */
static bool live_on(struct drv_rng *rng, bool forgets)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    struct bench *bench = begin(forgets);
    assert_non_null(oracle);
    for (unsigned i = 0; i < SCHEDULES; i++) {
        add_one(bench, rng, i);
    }
    for (int i = 0; i < STEPS; i++) {
        step(bench, oracle, rng);
    }
    assert_true(oracle->count > 0);
    bool is_twice = oracle->twice;
    bench_free(bench);
    free(oracle);
    return is_twice;
}

static void test_no_instant_runs_twice(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < ROUNDS; round++) {
        assert_false(live_on(&rng, false));
    }
}

/* It would be noticed. */
static void test_forgotten_instant_is_noticed(void **state)
{
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    for (int round = 0; round < 10 * ROUNDS; round++) {
        if (live_on(&rng, true)) {
            return;
        }
    }
    fail_msg("nobody has seen that instants ran twice");
}

/* Where nothing disturbs, every instant is run. */
static void test_every_instant_of_a_calm_time_runs(void **state)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    struct bench *bench = begin(false);
    struct drv_plan plan = plan_cron("*/10 * * * *");
    assert_non_null(oracle);
    plan.spec.keep_ms = 0;
    plan.overlap = DRV_OVERLAP_ALLOW;
    schedule_add(bench, "calm", &plan);
    pass(bench, oracle, 10 * HOUR);
    assert_int_equal(oracle->count, 60);
    bench_free(bench);
    free(oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_instant_runs_twice),
        cmocka_unit_test(test_forgotten_instant_is_noticed),
        cmocka_unit_test(test_every_instant_of_a_calm_time_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
