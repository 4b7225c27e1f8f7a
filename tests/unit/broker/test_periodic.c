/*
 * Schedules: what is due becomes tasks, once, whatever the clock does.
 */
#include "schedule_story.h"

#include "check.h"
#include "zone_file.h"

static int setup(void **state)
{
    (void)durable_setup(state);
    bench_turn(*state);
    client(*state, 1);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

static void finish(struct bench *bench)
{
    report_done(bench, 2, leased(bench, 2), "x");
    bench_turn(bench);
}

/* An interval is counted from when it was asked for; ids follow from schedule and instant. */
static void test_interval_runs_again_and_again(void **state)
{
    struct bench *bench = *state;
    worker(bench, 2, "work", 1);
    struct drv_plan plan = plan_every(10000);
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "tick", &plan, 0)->number, 10000);
    live(bench, 9 * SECOND);
    assert_int_equal(counters(bench).submitted, 0);
    live(bench, SECOND);
    assert_int_equal(counters(bench).submitted, 1);
    struct drv_ref ref = leased(bench, 2);
    int64_t instant_ms = bench_wall(bench) / 1000;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ref.id.bytes[i], (uint8_t)(instant_ms >> (8 * (5 - i))));
    }
    report_done(bench, 2, ref, "x");
    live(bench, 30 * SECOND);
    assert_true(map_has(schedules_told(bench), "\xa4runs\x02")); /* the second goes on */
    assert_true(map_has(schedules_told(bench), "\xa7skipped\x02"));
    assert_true(map_has(schedules_told(bench), "the run before had not ended"));
    finish(bench);
    live(bench, 10 * SECOND);
    assert_int_equal(counters(bench).submitted, 3);
    assert_int_equal(counters(bench).succeeded, 2);
    expect_restorable(bench);
}

/* Cron expressions are read, or refused with the field that is wrong. */
static void test_cron_is_due_by_the_wall_clock(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_cron("5 14 * * *");
    schedule_add(bench, "daily", &plan);
    live(bench, 99 * SECOND);
    assert_int_equal(counters(bench).submitted, 0);
    live(bench, SECOND);
    assert_int_equal(counters(bench).submitted, 1);
    assert_true(map_has(schedules_told(bench), "1970-01-13T14:05:00Z"));
    plan = plan_cron("5 24 * * *");
    const struct drv_reply *answer = schedule_ask(bench, DRV_SCHEDULE_ADD, "bad", &plan, 0);
    assert_int_equal(answer->code, DROVER_INVALID);
    assert_true(str_is(answer->text, "hour, position 3: not from 0 to 23"));
    expect_restorable(bench); /* the reply is kept with its text */
}

static void hand_in(struct bench *bench, const char *zone)
{
    struct drv_buffer bytes;
    drv_buffer_init(&bytes);
    assert_ok(drv_zone_file_read(zone, &bytes));
    assert_ok(core_set_zone(bench->core, zone, bytes.bytes, bytes.len));
    drv_buffer_fini(&bytes);
}

/* A zone is known once it was handed in; after a start schedules wait for theirs. */
static void test_zone_is_handed_in(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_cron("0 16 * * *");
    plan.zone = text("Europe/Berlin");
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "berlin", &plan, 0)->code,
                     DROVER_INVALID);
    hand_in(bench, "Asia/Kathmandu");
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "berlin", &plan, 0)->code,
                     DROVER_INVALID);
    hand_in(bench, "Europe/Berlin");
    schedule_add(bench, "berlin", &plan);
    assert_string_equal(core_zone(bench->core, 0), "Europe/Berlin");
    assert_null(core_zone(bench->core, 1)); /* nothing uses the other one */
    assert_true(map_has(schedules_told(bench), "1970-01-12T16:00:00+01:00"));
    expect_restorable(bench);
    come_back(bench);
    assert_string_equal(core_zone(bench->core, 0), "Europe/Berlin");
    assert_true(map_has(schedules_told(bench), "its time zone is not known any more"));
    bench_pass(bench, HOUR);
    assert_int_equal(counters(bench).submitted, 0);
    hand_in(bench, "Europe/Berlin"); /* 16:03 there: late, but missed runs are run */
    bench_turn(bench);
    assert_int_equal(counters(bench).submitted, 1);
}

/* What is due while an earlier run goes on: skipped, in line, instead of it, or beside it. */
static void test_overlap_policies(void **state)
{
    static const struct {
        uint32_t overlap;
        uint64_t submitted, done; /* after three instants; after the first run has ended */
    } cases[] = {
        {DRV_OVERLAP_SKIP, 1, 1},
        {DRV_OVERLAP_QUEUE, 1, 2},
        {DRV_OVERLAP_ALLOW, 3, 3},
    };
    struct bench *bench = *state;
    worker(bench, 2, "work", 1);
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        uint64_t before = counters(bench).submitted;
        struct drv_plan plan = plan_every(10000);
        plan.overlap = cases[i].overlap;
        schedule_add(bench, "over", &plan);
        live(bench, 30 * SECOND);
        assert_int_equal(counters(bench).submitted - before, cases[i].submitted);
        struct drv_ref ref = leased(bench, 2);
        expect_restorable(bench);
        report_done(bench, 2, ref, "x");
        bench_turn(bench);
        assert_int_equal(counters(bench).submitted - before, cases[i].done);
        assert_ok(schedule_ask(bench, DRV_SCHEDULE_REMOVE, "over", NULL, 0)->code);
        struct drv_ref refs[8];
        while (leases(bench, 2, refs, 8) == 1) {
            report_done(bench, 2, refs[0], "x");
            bench_turn(bench);
        }
        assert_int_equal(counters(bench).queued + counters(bench).running, 0);
    }
}

/* Replace: the run before is cancelled, the next begins when it has ended, the last one due. */
static void test_overlap_replace_waits_for_the_cancelled(void **state)
{
    struct bench *bench = *state;
    worker(bench, 2, "work", 1);
    struct drv_plan plan = plan_every(10000);
    plan.overlap = DRV_OVERLAP_REPLACE;
    schedule_add(bench, "over", &plan);
    live(bench, 10 * SECOND);
    struct drv_ref first = leased(bench, 2);
    report_started(bench, 2, first);
    live(bench, 20 * SECOND);
    assert_int_equal(counters(bench).submitted, 1);
    (void)expect(bench, 2, DRV_ABORT);
    expect_restorable(bench);
    report_cancelled(bench, 2, first);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 1);
    assert_int_equal(counters(bench).submitted, 2);
    assert_true(map_has(schedules_told(bench), "\xa7skipped\x01"));
}

/* A lease of two hours, so that a day is not too long a story. */
static int setup_long(void **state)
{
    struct bench *bench = bench_new();
    *state = bench;
    bench->config.durability_max = DROVER_DURABILITY_SYNCED;
    bench->config.lease_us = 2 * HOUR;
    bench_start(bench);
    bench_turn(bench);
    client(bench, 1);
    return 0;
}

/* Hours pass; what came for the worker meanwhile is nothing new. */
static void live_long(struct bench *bench, int64_t us)
{
    for (int64_t until = bench->now + us; bench->now < until;) {
        int64_t left = until - bench->now;
        bench_pass(bench, left < HOUR / 2 ? left : HOUR / 2);
        heartbeat(bench, 2);
    }
}

/* F26: the wall clock jumps by a day, forwards and back: what was due runs once, no lease is
 * lost. */
static void test_clock_jumps_fire_once(void **state)
{
    struct bench *bench = *state;
    worker(bench, 2, "work", 1);
    struct drv_plan plan = plan_cron("0 * * * *");
    plan.overlap = DRV_OVERLAP_ALLOW;
    schedule_add(bench, "hourly", &plan);
    live_long(bench, HOUR);
    assert_int_equal(counters(bench).submitted, 1); /* 15:00 */
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    bench->wall_set += 24 * HOUR;
    live(bench, 5 * SECOND);
    assert_int_equal(counters(bench).submitted, 2); /* of the next day, 15:00 */
    bench->wall_set -= 24 * HOUR;
    live(bench, 5 * SECOND);
    assert_int_equal(counters(bench).submitted, 2);
    live_long(bench, 23 * HOUR); /* 16:00 to 14:00, which never ran */
    assert_int_equal(counters(bench).submitted, 25);
    live_long(bench, HOUR); /* 15:00 did */
    assert_int_equal(counters(bench).submitted, 25);
    live_long(bench, HOUR);
    assert_int_equal(counters(bench).submitted, 26);
    report_done(bench, 2, ref, "x");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).charged + counters(bench).requeued_free, 0);
    bench->wall_set -= 24 * HOUR; /* all of it has been */
    live_long(bench, 24 * HOUR - SECOND);
    assert_int_equal(counters(bench).submitted, 26);
}

/* A broker that dies in the very moment: one task, whether the records of it came or not. */
static void test_kill_at_the_firing_instant_runs_once(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(10000);
    plan.overlap = DRV_OVERLAP_ALLOW;
    schedule_add(bench, "tick", &plan);
    bench_pass(bench, 10 * SECOND - 1);
    size_t before = bench->log.count;
    bench_pass(bench, 1);
    assert_int_equal(counters(bench).submitted, 1);
    assert_true(bench->log.count > before);
    come_back(bench); /* with them */
    assert_int_equal(counters(bench).submitted, 1);
    /* And without: the store had not got them. */
    log_drop(&bench->log, before, bench->log.count - before);
    come_back(bench);
    assert_int_equal(counters(bench).submitted, 1);
    bench_pass(bench, 10 * SECOND);
    assert_int_equal(counters(bench).submitted, 2);
}

/* Runs of the time in which the broker was down: the last one, or none, or not too late. */
static void test_missed_runs(void **state)
{
    static const struct {
        uint32_t missed;
        uint64_t late_ms, runs;
    } cases[] = {
        {DRV_MISSED_RUN, 0, 1},
        {DRV_MISSED_SKIP, 0, 0},
        {DRV_MISSED_RUN, 600000, 0},
        {DRV_MISSED_RUN, 1800000, 1},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_plan plan = plan_cron("0 * * * *");
        plan.missed = cases[i].missed;
        plan.late_ms = cases[i].late_ms;
        plan.flags = DRV_PLAN_REPLACE;
        schedule_add(bench, "hourly", &plan);
        uint64_t before = counters(bench).submitted;
        int64_t to_half = 90 * 60 * SECOND - bench_wall(bench) % HOUR;
        bench->now += 3 * HOUR + to_half; /* nobody is there; back at half past */
        come_back(bench);
        assert_int_equal(counters(bench).submitted - before, cases[i].runs);
        assert_true(map_has(schedules_told(bench), "\xa7skipped"));
        while (counters(bench).queued > 0) { /* the next case finds nothing unfinished */
            worker(bench, 2, "work", 1);
            finish(bench);
            gone(bench, 2);
        }
    }
}

/* A bound on lateness holds from its first millisecond on; only to skip has a grace. */
static void test_late_runs(void **state)
{
    static const struct {
        uint32_t missed;
        uint64_t late_ms, runs;
        int64_t behind_ms;
    } cases[] = {
        {DRV_MISSED_RUN, 0, 1, 300000},      {DRV_MISSED_RUN, 1000, 1, 1000},
        {DRV_MISSED_RUN, 1000, 0, 1001},     {DRV_MISSED_RUN, 120000, 1, 120000},
        {DRV_MISSED_RUN, 120000, 0, 120001}, {DRV_MISSED_SKIP, 0, 1, 60000},
        {DRV_MISSED_SKIP, 0, 0, 60001},      {DRV_MISSED_SKIP, 1000, 0, 1001},
        {DRV_MISSED_SKIP, 120000, 0, 60001},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_plan plan = plan_every(600000);
        plan.overlap = DRV_OVERLAP_ALLOW;
        plan.missed = cases[i].missed;
        plan.late_ms = cases[i].late_ms;
        schedule_add(bench, "often", &plan);
        uint64_t before = counters(bench).submitted;
        bench->now += (600000 + cases[i].behind_ms) * MS; /* it stood still for so long */
        bench_turn(bench);
        assert_int_equal(counters(bench).submitted - before, cases[i].runs);
        const char *told = cases[i].runs > 0 ? "\xa7skipped\x00" : "\xa7skipped\x01";
        struct drv_str document = schedules_told(bench);
        assert_non_null(memmem(document.ptr, document.len, told, 9));
        assert_ok(schedule_ask(bench, DRV_SCHEDULE_REMOVE, "often", NULL, 0)->code);
        while (counters(bench).queued > 0) { /* a new one is counted from nothing */
            worker(bench, 2, "work", 1);
            finish(bench);
            gone(bench, 2);
        }
    }
}

/* Pause, resume, remove, and a run by hand, which is one task however often it is asked for. */
static void test_operators(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(10000);
    schedule_add(bench, "tick", &plan);
    schedule_add(bench, "tick", &plan); /* the same: nothing happens */
    plan.every_ms = 5000;
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "tick", &plan, 0)->code,
                     DROVER_CONFLICT);
    plan.flags = DRV_PLAN_REPLACE;
    schedule_add(bench, "tick", &plan);
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_PAUSE, "tick", NULL, 0)->number, -1);
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).submitted, 0);
    come_back(bench);
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).submitted, 0);
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_RESUME, "tick", NULL, 0)->number, 5000);
    assert_ok(schedule_ask(bench, DRV_SCHEDULE_RUN, "tick", NULL, 77)->code);
    assert_ok(schedule_ask(bench, DRV_SCHEDULE_RUN, "tick", NULL, 77)->code);
    assert_int_equal(counters(bench).submitted, 1);
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_RUN, "tock", NULL, 78)->code,
                     DROVER_UNKNOWN);
    assert_int_equal(schedule_ask(bench, 99, "tick", NULL, 0)->code, DROVER_UNSUPPORTED);
    assert_ok(schedule_ask(bench, DRV_SCHEDULE_REMOVE, "tick", NULL, 0)->code);
    bench_pass(bench, 20 * SECOND);
    assert_int_equal(counters(bench).submitted, 1);
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_PAUSE, "tick", NULL, 0)->code,
                     DROVER_UNKNOWN);
    schedule_add(bench, "tick", &plan); /* it knows of the task that has not ended */
    assert_true(map_has(schedules_told(bench), "\xaaunfinished\x01"));
    expect_restorable(bench);
}

/* What nobody can mean is refused. */
static void test_plans_that_make_no_sense_are_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plans[6];
    for (size_t i = 0; i < DRV_ARRAY_LEN(plans); i++) {
        plans[i] = plan_every(10000);
    }
    plans[0].cron = text("* * * * *");
    plans[1].every_ms = 0;
    plans[2].every_ms = 999;
    plans[3].zone = text("UTC");
    plans[4].jitter_ms = UINT64_MAX;
    plans[5].spec.flags = DRV_SPEC_WATCH;
    for (size_t i = 0; i < DRV_ARRAY_LEN(plans); i++) {
        assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "x", &plans[i], 0)->code,
                         DROVER_INVALID);
    }
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "x", NULL, 0)->code, DROVER_INVALID);
    plans[1] = plan_every(10000);
    plans[1].spec.flags = DRV_SPEC_STRICT;
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "x", &plans[1], 0)->code,
                     DROVER_REFUSED);
    assert_false(map_has(schedules_told(bench), "\xa4name"));
}

/* A run that is refused for want of room is tried again, and lost only to the next one. */
static void test_run_without_room_is_tried_again(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(60000);
    schedule_add(bench, "tick", &plan);
    core_set_full(bench->core, true);
    bench_pass(bench, 65 * SECOND);
    size_t records = bench->log.count;
    bench_pass(bench, 10 * SECOND);
    assert_int_equal(bench->log.count, records); /* trying is not worth a record */
    assert_int_equal(counters(bench).submitted, 0);
    assert_true(map_has(schedules_told(bench), "the disk of the broker is full"));
    core_set_full(bench->core, false);
    bench_pass(bench, SECOND);
    assert_int_equal(counters(bench).submitted, 1);
}

/* The jitter of an instant is always the same, and within its bound. */
static void test_jitter_moves_runs(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(60000);
    plan.jitter_ms = 30000;
    plan.overlap = DRV_OVERLAP_ALLOW;
    schedule_add(bench, "tick", &plan);
    bench_pass(bench, 60 * SECOND - 1);
    assert_int_equal(counters(bench).submitted, 0);
    bench_pass(bench, 30 * SECOND + 1);
    assert_int_equal(counters(bench).submitted, 1);
    for (uint64_t i = 2; i <= 6; i++) {
        int64_t wants = bench->wants;
        expect_restorable(bench);
        bench_tick(bench);
        assert_int_equal(bench->wants, wants); /* also when it is asked again */
        bench_pass(bench, 60 * SECOND);
        assert_int_equal(counters(bench).submitted, i);
    }
}

/* Subscribers are told; a task says whose it is. */
static void test_events_and_documents_name_the_schedule(void **state)
{
    struct bench *bench = *state;
    uint64_t mask = 0;
    for (unsigned kind = DRV_EVENT_SCHEDULE_ADDED; kind <= DRV_EVENT_SCHEDULE_SKIPPED; kind++) {
        mask |= UINT64_C(1) << kind;
    }
    subscribe_events(bench, 1, 1, mask);
    struct drv_plan plan = plan_every(10000);
    struct drv_message message = request(bench, 1, DRV_SCHEDULE);
    message.schedule = (struct drv_schedule_request){
        .op = DRV_SCHEDULE_ADD, .name = text("tick"), .has_plan = true, .plan = plan};
    speak(bench, 1, &message);
    bench_turn(bench);
    (void)EXPECT_EVENTS(bench, 1, "schedule.added");
    bench_pass(bench, 10 * SECOND);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "schedule.fired");
    assert_true(map_has(event_map(events, 0), "\xa8schedule\xa4tick"));
    assert_true(map_has(event_map(events, 0), "1970-01-12T14:03:30Z"));
    bench_pass(bench, 10 * SECOND);
    events = EXPECT_EVENTS(bench, 1, "schedule.skipped");
    assert_true(map_has(event_map(events, 0), "\xa5"
                                              "count\x01"));
    worker(bench, 2, "work", 1);
    struct drv_ref ref = leased(bench, 2);
    for (uint32_t topic = DRV_TOPIC_TASK; topic <= DRV_TOPIC_WHY; topic++) {
        message = request(bench, 1, DRV_QUERY);
        message.query = (struct drv_query){
            .topic = topic, .has_id = true, .id = ref.id, .index = DROVER_INDEX_NONE};
        speak(bench, 1, &message);
        bench_turn(bench);
        assert_true(
            map_has(expect(bench, 1, DRV_DOCUMENT)->document.body, "\xa8schedule\xa4tick"));
    }
}

/* Compaction carries a schedule on, with what it has run. */
static void test_schedule_survives_compaction(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(10000);
    schedule_add(bench, "tick", &plan);
    bench_pass(bench, 25 * SECOND);
    size_t count = bench->log.count;
    for (size_t i = 0; i < count; i++) {
        const struct core_saved *saved = &bench->log.records[i];
        core_rewrite(bench->core, saved->kind, &saved->id, saved->index, bench->log.lsn);
    }
    bench_turn(bench);
    log_drop(&bench->log, 0, count);
    come_back(bench);
    assert_true(map_has(schedules_told(bench), "\xa4runs\x01"));
    assert_int_equal(counters(bench).submitted, 1);
}

/* Neither a key nor parents make sense for what the clock submits; it says so. */
static void test_plans_have_neither_keys_nor_parents(void **state)
{
    struct bench *bench = *state;
    struct drv_plan plan = plan_every(5000);
    plan.spec.key = text("only-one");
    const struct drv_reply *answer = schedule_ask(bench, DRV_SCHEDULE_ADD, "tick", &plan, 0);
    assert_int_equal(answer->code, DROVER_UNSUPPORTED);
    assert_true(str_is(answer->text, "tasks of a schedule have neither dependencies nor a key: "
                                     "its overlap policy keeps its runs apart"));
    const struct drv_after after = {id_of(100), DROVER_INDEX_NONE, 1};
    plan = plan_every(5000);
    plan.spec.after = &after;
    plan.spec.after_count = 1;
    assert_int_equal(schedule_ask(bench, DRV_SCHEDULE_ADD, "tick", &plan, 0)->code,
                     DROVER_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_interval_runs_again_and_again),
        STORY(test_cron_is_due_by_the_wall_clock),
        STORY(test_zone_is_handed_in),
        STORY(test_overlap_policies),
        STORY(test_overlap_replace_waits_for_the_cancelled),
        cmocka_unit_test_setup_teardown(test_clock_jumps_fire_once, setup_long, bench_teardown),
        STORY(test_kill_at_the_firing_instant_runs_once),
        STORY(test_missed_runs),
        STORY(test_late_runs),
        STORY(test_operators),
        STORY(test_plans_that_make_no_sense_are_refused),
        STORY(test_run_without_room_is_tried_again),
        STORY(test_jitter_moves_runs),
        STORY(test_events_and_documents_name_the_schedule),
        STORY(test_schedule_survives_compaction),
        STORY(test_plans_have_neither_keys_nor_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
