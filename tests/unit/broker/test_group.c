/*
 * Groups and tags: what is counted, listed, cancelled and told by them.
 */
#include "restore_story.h"

static struct drv_spec grouped(const char *group)
{
    struct drv_spec spec = watched("work");
    spec.group = text(group);
    return spec;
}

static void submitted(struct bench *bench, const struct drv_spec *spec, uint32_t number)
{
    submit(bench, 1, spec, number);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static const struct drv_document *asked(struct bench *bench, const struct drv_query *query)
{
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = *query;
    message.query.index = DROVER_INDEX_NONE;
    speak(bench, 1, &message);
    bench_turn(bench);
    return &expect(bench, 1, DRV_DOCUMENT)->document;
}

/* The number under a key of the one group that is asked for. */
static uint64_t number_in(struct bench *bench, const char *group, const char *key)
{
    struct drv_query query = {.topic = DRV_TOPIC_GROUPS, .name = text(group)};
    const struct drv_document *document = asked(bench, &query);
    assert_ok(document->code);
    const uint8_t *at = memmem(document->body.ptr, document->body.len, key, strlen(key));
    assert_non_null(at);
    at += strlen(key);
    assert_true(*at < 128); /* a small number */
    return *at;
}

static bool is_listed(const struct drv_document *document, uint32_t number)
{
    char wanted[DROVER_ID_TEXT_LEN + 1];
    drover_id id = id_of(number);
    drover_id_format(&id, wanted);
    return memmem(document->body.ptr, document->body.len, wanted, strlen(wanted)) != NULL;
}

static void done(struct bench *bench)
{
    report_done(bench, 2, leased(bench, 2), "result");
    bench_turn(bench);
}

static void forget(struct bench *bench, uint32_t number)
{
    targets_request(bench, 1, DRV_FORGET, number, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void ask_cancel(struct bench *bench, const char *group)
{
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.targets.group = text(group);
    speak(bench, 1, &message);
    bench_turn(bench);
}

/* Tasks and elements are counted by state, those that were forgotten, too; with the last task
 * the group goes. */
static void test_group_counts_what_it_has(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly"), array = spec_of("work");
    array.group = text("nightly");
    setup_peers(bench, 1);
    submitted(bench, &spec, 100);
    submitted(bench, &spec, 101);
    array_of(bench, 1, &array, 102, 3);
    assert_int_equal(number_in(bench, "nightly", "tasks"), 3);
    assert_int_equal(number_in(bench, "nightly", "submitted"), 5);
    assert_int_equal(number_in(bench, "nightly", "active"), 5);
    done(bench);
    assert_int_equal(number_in(bench, "nightly", "succeeded"), 1);
    assert_int_equal(number_in(bench, "nightly", "active"), 4);
    forget(bench, 100);
    assert_int_equal(number_in(bench, "nightly", "tasks"), 2);
    assert_int_equal(number_in(bench, "nightly", "succeeded"), 1);
    assert_int_equal(number_in(bench, "nightly", "forgotten"), 1);
    for (int i = 0; i < 4; i++) {
        done(bench);
    }
    assert_int_equal(number_in(bench, "nightly", "succeeded"), 5);
    forget(bench, 101);
    assert_int_equal(number_in(bench, "nightly", "forgotten"), 2);
    forget(bench, 102);
    struct drv_query query = {.topic = DRV_TOPIC_GROUPS, .name = text("nightly")};
    assert_int_equal(asked(bench, &query)->code, DROVER_UNKNOWN);
}

/* Lists by group look at its tasks alone; by tag they pass over the others; both page. */
static void test_tasks_are_listed_by_group_and_by_tag(void **state)
{
    struct bench *bench = *state;
    struct drv_pair tag = {text("customer"), text("7")};
    struct drv_spec nightly = grouped("nightly"), other = grouped("other");
    client(bench, 1);
    submitted(bench, &nightly, 100);
    nightly.tags = &tag;
    nightly.tag_count = 1;
    submitted(bench, &nightly, 101);
    other.tags = &tag;
    other.tag_count = 1;
    submitted(bench, &other, 102);
    struct drv_query by_group = {.topic = DRV_TOPIC_TASKS, .group = text("nightly")};
    const struct drv_document *document = asked(bench, &by_group);
    assert_true(is_listed(document, 100) && is_listed(document, 101));
    assert_false(is_listed(document, 102));
    struct drv_query by_tag = {
        .topic = DRV_TOPIC_TASKS, .tag_name = tag.name, .tag_value = tag.value};
    document = asked(bench, &by_tag);
    assert_true(is_listed(document, 101) && is_listed(document, 102));
    assert_false(is_listed(document, 100));
    by_tag.group = text("nightly");
    document = asked(bench, &by_tag);
    assert_true(is_listed(document, 101));
    assert_false(is_listed(document, 100) || is_listed(document, 102));
    by_tag.tag_value = text("8");
    document = asked(bench, &by_tag);
    assert_false(is_listed(document, 101));
    by_group.limit = 1;
    document = asked(bench, &by_group);
    bool first = is_listed(document, 100);
    assert_true(first != is_listed(document, 101));
    assert_true(document->cursor.len > 0 && document->cursor.len <= 8);
    char cursor[8];
    memcpy(cursor, document->cursor.ptr, document->cursor.len);
    by_group.cursor = (struct drv_str){cursor, document->cursor.len};
    document = asked(bench, &by_group);
    assert_true(is_listed(document, first ? 101 : 100));
    by_group.cursor.ptr = NULL;
    by_group.group = text("nobody");
    assert_false(is_listed(asked(bench, &by_group), 100));
}

/* All groups, one row each. */
static void test_groups_are_listed(void **state)
{
    struct bench *bench = *state;
    struct drv_spec a = grouped("alpha"), b = grouped("beta");
    client(bench, 1);
    submitted(bench, &a, 100);
    submitted(bench, &b, 101);
    struct drv_query query = {.topic = DRV_TOPIC_GROUPS};
    const struct drv_document *document = asked(bench, &query);
    assert_non_null(memmem(document->body.ptr, document->body.len, "alpha", 5));
    assert_non_null(memmem(document->body.ptr, document->body.len, "beta", 4));
}

/* A cancel of a group takes all of it that has not ended and nothing else: what waits, what
 * runs, whole arrays. The answer comes when nothing of it can start any more. */
static void test_cancel_takes_the_whole_group(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly"), other = watched("work"), array = spec_of("work");
    array.group = text("nightly");
    setup_peers(bench, 1);
    submitted(bench, &spec, 100);
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    submitted(bench, &spec, 101);
    submitted(bench, &other, 102);
    array_of(bench, 1, &array, 103, 3);
    ask_cancel(bench, "nightly");
    const struct drv_reply *answer = reply(bench, 1);
    assert_ok(answer->code);
    assert_int_equal(answer->number, 5);
    assert_int_equal(counters(bench).cancelled, 4);
    assert_int_equal(counters(bench).running, 1);
    expect(bench, 2, DRV_ABORT);
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 5);
    assert_int_equal(number_of(leased(bench, 2).id), 102);
    ask_cancel(bench, "nobody");
    assert_int_equal(reply(bench, 1)->code, DROVER_UNKNOWN);
}

/* What a worker holds and has not started is asked back first. */
static void test_cancel_of_group_waits_for_what_is_assigned(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly");
    setup_peers(bench, 1);
    submitted(bench, &spec, 100);
    struct drv_ref ref = leased(bench, 2);
    ask_cancel(bench, "nightly");
    expect_none(bench, 1, DRV_REPLY);
    report_returned(bench, 2, ref);
    bench_turn(bench);
    assert_ok(reply(bench, 1)->code);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* A large group is gone through in slices, and what comes meanwhile is not touched. */
static void test_cancel_of_large_group_goes_in_slices(void **state)
{
    enum { TASKS = 6000, BATCH = 1000 };
    struct bench *bench = *state;
    struct drv_spec spec = spec_of("work");
    spec.group = text("nightly");
    client(bench, 1);
    for (uint32_t i = 0; i < TASKS; i += BATCH) {
        submit_many(bench, 1, &spec, 1000 + i, BATCH, "x");
        bench_turn(bench);
        expect_ok(bench, 1);
    }
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.targets.group = text("nightly");
    speak(bench, 1, &message);
    uint64_t cancel = bench->boxes[1].req;
    bench_tick(bench);
    assert_in_range(counters(bench).cancelled, 1, TASKS - 1);
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, TASKS);
    assert_int_equal(counters(bench).queued, 1);
    bench->boxes[1].req = cancel;
    assert_int_equal(reply(bench, 1)->number, TASKS);
}

/* Either a group or tasks. */
static void test_cancel_of_group_and_tasks_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly");
    client(bench, 1);
    submitted(bench, &spec, 100);
    struct drv_target target = {.id = id_of(100), .index = DROVER_INDEX_NONE};
    struct drv_message message = request(bench, 1, DRV_CANCEL);
    message.targets = (struct drv_targets){
        .targets = &target, .target_count = 1, .group = text("nightly")};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->code, DROVER_INVALID);
    assert_int_equal(counters(bench).cancelled, 0);
}

/* Groups and their counts are as they were after a restart, and after another one. */
static void test_groups_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly"), once = grouped("once");
    spec.flags = 0; /* nobody waits for them in the next life */
    client(bench, 1);
    submitted(bench, &once, 99);
    cancel(bench, 1, 99);
    bench_turn(bench);
    forget(bench, 99);
    submitted(bench, &spec, 100);
    submitted(bench, &spec, 101);
    cancel(bench, 1, 100);
    bench_turn(bench);
    forget(bench, 100);
    expect_restorable(bench);
    for (uint32_t life = 0; life < 2; life++) {
        reborn(bench);
        hello_client(bench, 1, 9100 + life, false);
        (void)welcomed(bench, 1);
        assert_int_equal(number_in(bench, "nightly", "tasks"), 1);
        assert_int_equal(number_in(bench, "nightly", "cancelled"), 1);
        assert_int_equal(number_in(bench, "nightly", "forgotten"), 1);
        assert_int_equal(number_in(bench, "nightly", "queued"), 1);
        struct drv_query query = {.topic = DRV_TOPIC_GROUPS, .name = text("once")};
        assert_int_equal(asked(bench, &query)->code, DROVER_UNKNOWN);
    }
    cancel(bench, 1, 101);
    bench_turn(bench);
    forget(bench, 101);
    submitted(bench, &spec, 102);
    reborn(bench);
    hello_client(bench, 1, 9200, false);
    (void)welcomed(bench, 1);
    assert_int_equal(number_in(bench, "nightly", "submitted"), 1);
    expect_restorable(bench);
}

/* Another group is other content. */
static void test_same_id_in_another_group_is_a_conflict(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = grouped("nightly"), other = grouped("other");
    client(bench, 1);
    submitted(bench, &spec, 100);
    submit(bench, 1, &other, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_group_counts_what_it_has),
        BENCH_TEST(test_tasks_are_listed_by_group_and_by_tag),
        BENCH_TEST(test_groups_are_listed),
        BENCH_TEST(test_cancel_takes_the_whole_group),
        BENCH_TEST(test_cancel_of_group_waits_for_what_is_assigned),
        BENCH_TEST(test_cancel_of_large_group_goes_in_slices),
        BENCH_TEST(test_cancel_of_group_and_tasks_is_refused),
        DURABLE_TEST(test_groups_survive_a_restart),
        BENCH_TEST(test_same_id_in_another_group_is_a_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
