/*
 * core_check notices: every deliberate defect that leaves a broken structure behind is named.
 */
#include "array_story.h"

/* A core with one defect; the fixture's own checks would end the test too early. */
static void with_defect(struct bench *bench, struct core_defects defects)
{
    core_destroy(&bench->core);
    bench->config.defects = defects;
    bench_start(bench);
}

static void expect_broken(struct bench *bench, const char *what)
{
    const char *broken = core_check(bench->core);
    assert_non_null(broken);
    assert_string_equal(broken, what);
}

/* Sends without the fixture's check. */
static void send_blindly(struct bench *bench, uint32_t peer, struct drv_message *message)
{
    struct box *box = &bench->boxes[peer];
    message->epoch = box->epoch;
    message->seq = ++box->seq;
    struct core_event event = {
        .kind = CORE_EVENT_MESSAGE, .peer = peer, .port = box->port, .message = message};
    core_step(bench->core, &event, bench->now);
}

static void submit_blindly(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_entry entry = {.id = id_of(number), .val = val_of("payload")};
    struct drv_submit_group group = {
        .spec = spec_of("work"), .entries = &entry, .entry_count = 1};
    struct drv_message message = request(bench, peer, DRV_SUBMIT);
    message.submit = (struct drv_submit){.groups = &group, .group_count = 1};
    send_blindly(bench, peer, &message);
}

static void test_whole_core_passes(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    worker(bench, 2, "work", 2);
    array_of(bench, 1, &spec, 100, 5);
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    assert_null(core_check(bench->core));
}

/* A task that ended and was not counted. */
static void test_miscount_is_noticed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    with_defect(bench, (struct core_defects){.miscount = true});
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_result done = {
        .ref = leased(bench, 2), .outcome = DRV_OUTCOME_SUCCEEDED, .val = val_of("done")};
    struct drv_message message = {.kind = DRV_REPORT};
    message.report = (struct drv_report){.results = &done, .result_count = 1};
    send_blindly(bench, 2, &message);
    expect_broken(bench, "the counters do not add up");
}

/* The last comes first. */
static void test_wrong_order_is_noticed(void **state)
{
    struct bench *bench = *state;
    with_defect(bench, (struct core_defects){.lifo = true});
    client(bench, 1);
    submit_blindly(bench, 1, 100);
    assert_null(core_check(bench->core));
    submit_blindly(bench, 1, 101);
    expect_broken(bench, "a line is not in the order of arrival");
}

/* A task that a lost worker had is in no line. */
static void test_forgotten_task_is_noticed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    with_defect(bench, (struct core_defects){.forget_on_requeue = true});
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    report_started(bench, 2, leased(bench, 2));
    struct core_event event = {.kind = CORE_EVENT_GONE, .peer = 2};
    core_step(bench->core, &event, bench->now);
    (void)core_tick(bench->core, bench->now + 5 * SECOND);
    core_effects_clear(bench->core);
    expect_broken(bench, "a running task is held by nobody");
}

/* Work that no class of workers sees. */
static void test_stalled_work_is_noticed(void **state)
{
    struct bench *bench = *state;
    struct drv_result done = {.outcome = DRV_OUTCOME_SUCCEEDED, .val = val_of("done")};
    struct drv_message message = {.kind = DRV_REPORT};
    message.report = (struct drv_report){.results = &done, .result_count = 1};
    const char *broken = NULL;
    with_defect(bench, (struct core_defects){.stall_ready = true});
    client(bench, 1);
    worker(bench, 2, "work", 2);
    for (uint32_t i = 0; i < 16 && broken == NULL; i++) {
        submit_blindly(bench, 1, 100 + i);
        broken = core_check(bench->core);
        (void)core_tick(bench->core, bench->now);
        core_effects_clear(bench->core);
        done.ref = (struct drv_ref){
            .id = id_of(100 + i), .index = DROVER_INDEX_NONE, .attempt = 1};
        send_blindly(bench, 2, &message);
    }
    assert_non_null(broken);
    assert_string_equal(broken, "a class does not see that there is work");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_whole_core_passes),       BENCH_TEST(test_miscount_is_noticed),
        BENCH_TEST(test_wrong_order_is_noticed),  BENCH_TEST(test_forgotten_task_is_noticed),
        BENCH_TEST(test_stalled_work_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
