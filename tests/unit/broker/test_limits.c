/*
 * Fairness keys, limits of queues, needs and resources, and how hosts are: who is next, who has
 * to wait for what, and that why says so.
 */
#include "restore_story.h"

#include <msgpack.h>

static const struct drv_queue_settings UNCHANGED = {-1, -1, -1, -1, -1, -1, -1, -1, -1};

static void submit_keyed(struct bench *bench, uint32_t first, uint32_t count, const char *key)
{
    struct drv_spec spec = spec_of("work");
    spec.fairness = text(key);
    submit_many(bench, 1, &spec, first, count, "x");
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void set_limits(struct bench *bench, int64_t rate, int64_t concurrency, int64_t per_key)
{
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_SET,
                                               .queue = text("default"),
                                               .has_settings = true,
                                               .settings = UNCHANGED};
    message.queue.settings.rate = rate;
    message.queue.settings.concurrency = concurrency;
    message.queue.settings.per_key = per_key;
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
}

/* One after the other, as the only worker gets them. */
static void expect_run(struct bench *bench, const uint32_t *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(number_of(ref.id), wanted[i]);
        report_done(bench, 2, ref, "");
        bench_turn(bench);
    }
}

static void expect_why(struct bench *bench, uint32_t number, const char *reason,
                       const char *words)
{
    drop_all(bench, 1);
    struct drv_message message = {.kind = DRV_QUERY};
    message.request.req = ++bench->boxes[1].req;
    message.query.topic = DRV_TOPIC_WHY;
    message.query.has_id = true;
    message.query.id = id_of(number);
    message.query.index = DROVER_INDEX_NONE;
    speak(bench, 1, &message);
    bench_turn(bench);
    const struct drv_document *document = &expect(bench, 1, DRV_DOCUMENT)->document;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    assert_int_equal(
        msgpack_unpack_next(&unpacked, document->body.ptr, document->body.len, NULL),
        MSGPACK_UNPACK_SUCCESS);
    char told[1024] = "";
    for (uint32_t i = 0; i < unpacked.data.via.map.size; i++) {
        const msgpack_object_kv *pair = &unpacked.data.via.map.ptr[i];
        if (pair->val.type == MSGPACK_OBJECT_STR) {
            size_t len = strlen(told);
            (void)snprintf(told + len, sizeof told - len, "[%.*s]", (int)pair->val.via.str.size,
                           pair->val.via.str.ptr);
        }
    }
    msgpack_unpacked_destroy(&unpacked);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "[%s]", reason);
    if (strstr(told, wanted) == NULL || strstr(told, words) == NULL) {
        fail_msg("%s says neither %s nor '%s'", told, reason, words);
    }
}

/* In a queue with aging it is told what waiting was worth. */
static void test_why_tells_what_waiting_is_worth(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    submit_keyed(bench, 100, 1, "a");
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_SET,
                                               .queue = text("default"),
                                               .has_settings = true,
                                               .settings = UNCHANGED};
    message.queue.settings.aging_ms = 1000;
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    bench_pass(bench, 3500000);
    expect_why(bench, 100, "no_type",
               "no worker offers type work; its priority has risen from 0 to 3 by waiting");
}

/* --- fairness keys ----------------------------------------------------------------------- */

/* Who comes late to a long line of somebody else is served within one round. */
static void test_keys_take_turns(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    submit_keyed(bench, 100, 5, "a");
    submit_keyed(bench, 200, 2, "b");
    worker(bench, 2, "work", 1);
    const uint32_t wanted[] = {100, 200, 101};
    expect_run(bench, wanted, 3);
    submit_keyed(bench, 300, 1, "c");
    const uint32_t rest[] = {201, 102, 300, 103, 104};
    expect_run(bench, rest, 5);
}

/* Tasks without a key are together one more key. */
static void test_tasks_without_a_key_are_a_key(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    submit_keyed(bench, 200, 2, "b");
    worker(bench, 2, "work", 1);
    const uint32_t wanted[] = {100, 200, 101, 201, 102};
    expect_run(bench, wanted, 5);
}

/* Of one key it is the earliest, whatever its type; types do not multiply its turns. */
static void test_types_of_a_key_share_its_turn(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("other");
    spec.fairness = text("a");
    submit_keyed(bench, 100, 2, "a");
    submit_many(bench, 1, &spec, 150, 2, "x");
    submit_keyed(bench, 102, 1, "a");
    submit_keyed(bench, 200, 3, "b");
    struct worker_options options = {.types = {"work", "other"}, .slots = 1};
    worker_with(bench, 2, &options);
    const uint32_t wanted[] = {100, 200, 101, 201, 150, 202, 151, 102};
    expect_run(bench, wanted, 8);
}

/* Keys that come and go, hundreds of them one after the other, leave nothing behind. */
static void test_keys_that_are_gone_cost_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    uint64_t before = 0;
    for (uint32_t i = 0; i < 900; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "tenant-%u", i);
        struct drv_spec spec = spec_of("work");
        spec.fairness = text(key);
        spec.keep_ms = 0;
        submit(bench, 1, &spec, 100 + i);
        bench_turn(bench);
        report_done(bench, 2, leased(bench, 2), "");
        bench_turn(bench);
        drop_all(bench, 1);
        before = i == 450 ? core_memory_bytes(bench->core) : before;
    }
    assert_true(core_memory_bytes(bench->core) < before + 450 * 300);
}

/* Priority comes before turns. */
static void test_priority_comes_before_turns(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.fairness = text("a");
    submit_keyed(bench, 100, 1, "b");
    spec.priority = 5;
    submit_many(bench, 1, &spec, 200, 3, "x");
    worker(bench, 2, "work", 1);
    const uint32_t wanted[] = {200, 201, 202, 100};
    expect_run(bench, wanted, 4);
}

/* Elements of arrays have the key of their array; needs do not multiply turns. */
static void test_needs_do_not_multiply_turns(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_count need = {text("gpu"), 1};
    struct drv_spec spec = spec_of("work");
    spec.fairness = text("a");
    spec.needs = &need;
    spec.need_count = 1;
    submit_keyed(bench, 100, 2, "a");
    submit_many(bench, 1, &spec, 150, 2, "x");
    submit_keyed(bench, 200, 4, "b");
    struct drv_count has = {text("gpu"), 1};
    struct worker_options options = {
        .types = {"work"}, .slots = 1, .resources = &has, .resource_count = 1};
    worker_with(bench, 2, &options);
    const uint32_t wanted[] = {100, 200, 101, 201, 150, 202, 151, 203};
    expect_run(bench, wanted, 8);
}

/* --- limits of queues -------------------------------------------------------------------- */

/* No more leases than allowed, and a free place is used at once. */
static void test_concurrency_bounds_leases(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    set_limits(bench, -1, 2, -1);
    worker(bench, 2, "work", 4);
    worker(bench, 3, "work", 4);
    submit_keyed(bench, 100, 5, NULL);
    size_t count = leases(bench, 2, refs, 8);
    count += leases(bench, 3, refs + count, 8 - count);
    assert_int_equal(count, 2);
    expect_why(bench, 104, "concurrency", "concurrency 2 of 2 in queue default, 2 ahead of it");
    /* Other queues do not wait for it. */
    struct drv_spec other = spec_of("work");
    other.queue = text("other");
    submit(bench, 1, &other, 200);
    bench_turn(bench);
    struct drv_ref extra[2];
    count = leases(bench, 2, extra, 2);
    count += leases(bench, 3, extra + count, 2 - count);
    assert_int_equal(count, 1);
    assert_int_equal(number_of(extra[0].id), 200);
    set_limits(bench, -1, 3, -1);
    count = leases(bench, 2, extra, 2);
    count += leases(bench, 3, extra + count, 2 - count);
    assert_int_equal(count, 1);
    set_limits(bench, -1, 0, -1);
    count = leases(bench, 2, refs, 8);
    count += leases(bench, 3, refs + count, 8 - count);
    assert_int_equal(count, 2);
}

/* What stands behind a busy slot counts, too. */
static void test_prefetched_leases_count(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[64];
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1, .credit = 64};
    worker_with(bench, 2, &options);
    submit_keyed(bench, 100, 1, NULL);
    report_done(bench, 2, leased(bench, 2), ""); /* it is short: 50 us */
    bench_turn(bench);
    set_limits(bench, -1, 5, -1);
    submit_keyed(bench, 200, 30, NULL);
    assert_int_equal(leases(bench, 2, refs, 64), 5);
}

/* A limit that comes later takes nothing back. */
static void test_limit_leaves_what_is_held(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    worker(bench, 2, "work", 4);
    submit_keyed(bench, 100, 6, "a");
    assert_int_equal(leases(bench, 2, refs, 8), 4);
    set_limits(bench, -1, 1, 1);
    for (int i = 0; i < 4; i++) {
        expect_none(bench, 2, DRV_LEASE);
        report_done(bench, 2, refs[i], "");
        bench_turn(bench);
    }
    assert_int_equal(number_of(leased(bench, 2).id), 104);
}

/* Each key for itself; tasks without one are not bounded. */
static void test_per_key_bounds_each_key(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[16];
    client(bench, 1);
    set_limits(bench, -1, -1, 2);
    worker(bench, 2, "work", 16);
    submit_keyed(bench, 100, 4, "a");
    submit_keyed(bench, 200, 1, "b");
    submit_keyed(bench, 300, 3, NULL);
    assert_int_equal(leases(bench, 2, refs, 16), 6);
    expect_why(bench, 102, "per_key", "concurrency of fairness key a: 2 of 2");
    report_done(bench, 2, refs[0], "");
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 2).id), 102);
}

/* So often, after a burst of what a second brings; asleep in between. */
static void test_rate_opens_by_the_clock(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[64];
    client(bench, 1);
    set_limits(bench, 10 * 3600, -1, -1); /* 10/s */
    struct worker_options options = {.types = {"work"}, .slots = 64};
    worker_with(bench, 2, &options);
    submit_keyed(bench, 100, 40, NULL);
    assert_int_equal(leases(bench, 2, refs, 64), 10);
    assert_int_equal(bench->wants, bench->now + 100 * MS);
    expect_why(bench, 110, "rate", "opens in 0.1 s");
    bench_pass(bench, 100 * MS);
    assert_int_equal(leases(bench, 2, refs, 64), 1);
    heartbeat(bench, 2);
    bench_pass(bench, 950 * MS);
    assert_int_equal(leases(bench, 2, refs, 64), 9);
    /* What came back unstarted was no start. */
    report_returned(bench, 2, refs[0]);
    bench_turn(bench);
    assert_int_equal(leases(bench, 2, refs, 64), 1);
}

/* A rate below one a second lets one through at once and then one after the other. */
static void test_slow_rate(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    set_limits(bench, 1800, -1, -1); /* one in two seconds */
    worker(bench, 2, "work", 8);
    submit_keyed(bench, 100, 3, NULL);
    assert_int_equal(number_of(leased(bench, 2).id), 100);
    expect_why(bench, 101, "rate", "opens in 2.0 s");
    bench_pass(bench, 1999 * MS);
    expect_none(bench, 2, DRV_LEASE);
    bench_pass(bench, 1 * MS);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
}

/* One an hour is one an hour. */
static void test_hourly_rate(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    set_limits(bench, 1, -1, -1);
    worker(bench, 2, "work", 8);
    submit_keyed(bench, 100, 2, NULL);
    assert_int_equal(number_of(leased(bench, 2).id), 100);
    expect_why(bench, 101, "rate", "opens in 3600.0 s");
}

/* Settings outlive a restart, and what was held counts on; the bucket begins empty. */
static void test_limits_outlive_a_restart(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    set_limits(bench, 3600, 3, 2);
    struct worker_options options = {.types = {"work"}, .slots = 8, .lease_count = 0};
    worker_with(bench, 2, &options);
    submit_keyed(bench, 100, 4, "a");
    assert_int_equal(leases(bench, 2, refs, 8), 1);
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    options.lease_count = 1;
    hello_worker(bench, 2, 8002, &options);
    struct drv_attached attached = {
        .id = refs[0].id, .index = DROVER_INDEX_NONE, .attempt = 1, .state = 2};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach.leases = &attached;
    message.attach.lease_count = 1;
    speak(bench, 2, &message);
    bench_turn(bench);
    (void)welcomed(bench, 2);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    bench_pass(bench, 1000 * MS);
    assert_int_equal(leases(bench, 2, refs, 8), 1); /* the second of key a */
    heartbeat(bench, 2);
    bench_pass(bench, 5000 * MS);
    assert_int_equal(leases(bench, 2, refs, 8), 0);
}

/* --- needs ------------------------------------------------------------------------------- */

static void submit_needy(struct bench *bench, uint32_t number, const char *name, uint64_t count)
{
    struct drv_count need = {text(name), count};
    struct drv_spec spec = spec_of("work");
    spec.needs = &need;
    spec.need_count = 1;
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void worker_having(struct bench *bench, uint32_t peer, uint32_t slots, const char *name,
                          uint64_t count)
{
    struct drv_count has = {text(name), count};
    struct worker_options options = {
        .types = {"work"}, .slots = slots, .resources = &has, .resource_count = 1};
    worker_with(bench, peer, &options);
}

/* Only where there is enough, taken while it is held, given back after. */
static void test_needs_take_resources(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 8);
    submit_needy(bench, 100, "gpu", 1);
    expect_none(bench, 2, DRV_LEASE);
    expect_why(bench, 100, "no_resource", "no worker for type work has gpu=1");
    worker_having(bench, 3, 8, "gpu", 2);
    struct drv_ref first = leased(bench, 3);
    submit_needy(bench, 101, "gpu", 2);
    submit_needy(bench, 102, "gpu", 1);
    expect_why(bench, 101, "no_slot",
               "1 of the 1 worker(s) for type work have a slot free, but not gpu=2");
    /* Two do not fit beside the first, one does: who needs less is not held up. */
    struct drv_ref third = leased(bench, 3);
    assert_int_equal(number_of(third.id), 102);
    /* Work without needs goes on. */
    submit_keyed(bench, 110, 1, NULL);
    struct drv_ref plain[2];
    size_t count = leases(bench, 2, plain, 2);
    count += leases(bench, 3, plain + count, 2 - count);
    assert_int_equal(count, 1);
    report_done(bench, 3, first, "");
    bench_turn(bench);
    expect_none(bench, 3, DRV_LEASE);
    report_done(bench, 3, third, "");
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 3).id), 101);
}

/* More than anybody has: why tells it from being busy. */
static void test_need_that_nobody_can_meet(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker_having(bench, 2, 8, "gpu", 2);
    submit_needy(bench, 100, "gpu", 3);
    expect_why(bench, 100, "no_resource", "no worker for type work has gpu=3");
    worker_having(bench, 3, 1, "gpu", 4);
    assert_int_equal(number_of(leased(bench, 3).id), 100);
}

/* A worker whose slots are free is passed over for one that has what is needed. */
static void test_needs_look_beyond_the_freest(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker_having(bench, 2, 8, "memory", 100);
    worker_having(bench, 3, 2, "memory", 1000);
    submit_needy(bench, 100, "memory", 600);
    assert_int_equal(number_of(leased(bench, 3).id), 100);
    submit_needy(bench, 101, "memory", 600);
    expect_none(bench, 3, DRV_LEASE);
    expect_none(bench, 2, DRV_LEASE);
    submit_needy(bench, 102, "memory", 100);
    assert_int_equal(number_of(leased(bench, 2).id), 102);
}

/* Never two of one name, and to need nothing is no need. */
static void test_needs_that_make_no_sense(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_count needs[] = {{text("gpu"), 1}, {text("gpu"), 2}};
    struct drv_spec spec = spec_of("work");
    spec.needs = needs;
    spec.need_count = 2;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_INVALID);
    submit_needy(bench, 101, "gpu", 0);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
}

/* What a worker holds over a restart is taken; it comes back with less and is given nothing. */
static void test_needs_outlive_a_restart(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker_having(bench, 2, 8, "gpu", 2);
    submit_needy(bench, 100, "gpu", 2);
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    submit_needy(bench, 101, "gpu", 1);
    expect_restorable(bench);
    reborn(bench);
    struct drv_count has = {text("gpu"), 1};
    struct worker_options options = {.types = {"work"},
                                     .slots = 8,
                                     .lease_count = 1,
                                     .resources = &has,
                                     .resource_count = 1};
    hello_worker(bench, 2, 8002, &options);
    struct drv_attached attached = {
        .id = ref.id, .index = DROVER_INDEX_NONE, .attempt = 1, .state = 2};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach.leases = &attached;
    message.attach.lease_count = 1;
    speak(bench, 2, &message);
    bench_turn(bench);
    (void)welcomed(bench, 2);
    expect_none(bench, 2, DRV_LEASE);
    ref.handle = 0;
    report_done(bench, 2, ref, "");
    bench_turn(bench);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
}

/* --- limits of attempts ------------------------------------------------------------------ */

/* They go to the worker with the lease, also after a restart; others are in another group. */
static void test_limits_travel_with_leases(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    spec.limit_memory_bytes = 1 << 20;
    spec.limit_cpu_ms = 300;
    spec.limit_output_bytes = 4;
    spec.limit_processes = 5;
    spec.limit_files = 6;
    submit(bench, 1, &spec, 101);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    worker(bench, 2, "work", 2);
    bench_turn(bench);
    const struct drv_lease *lease = &expect(bench, 2, DRV_LEASE)->lease;
    assert_int_equal(lease->group_count, 2);
    assert_true(drv_bounds_are_none(&lease->groups[0].limits));
    const struct drv_bounds *limits = &lease->groups[1].limits;
    assert_int_equal(limits->memory_bytes, 1 << 20);
    assert_int_equal(limits->cpu_ms, 300);
    assert_int_equal(limits->output_bytes, 4);
    assert_int_equal(limits->processes, 5);
    assert_int_equal(limits->files, 6);
}

/* --- hosts ------------------------------------------------------------------------------- */

static void heartbeat_of(struct bench *bench, uint32_t peer, double cpu, double memory)
{
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    message.heartbeat.has_host = true;
    message.heartbeat.host = (struct drv_host){.cpu_percent = cpu, .memory_percent = memory};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* Among workers with as many free slots it is the one whose host has least to do. */
static void test_idle_hosts_come_first(void **state)
{
    struct bench *bench = *state;
    struct drv_ref refs[8];
    client(bench, 1);
    worker(bench, 2, "work", 4);
    worker(bench, 3, "work", 4);
    heartbeat_of(bench, 2, 80, 10);
    heartbeat_of(bench, 3, 5, 10);
    submit_keyed(bench, 100, 3, NULL);
    assert_int_equal(leases(bench, 3, refs, 8), 3);
    expect_none(bench, 2, DRV_LEASE);
    submit_keyed(bench, 200, 5, NULL);
    assert_int_equal(leases(bench, 3, refs, 8), 1);
    assert_int_equal(leases(bench, 2, refs, 8), 4);
}

/* A host over the mark gets nothing new until it is well below it. */
static void test_heavy_hosts_get_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 4);
    heartbeat_of(bench, 2, 10, 95);
    submit_keyed(bench, 100, 1, NULL);
    expect_none(bench, 2, DRV_LEASE);
    expect_why(bench, 100, "memory", "over 95 % of their memory");
    heartbeat_of(bench, 2, 10, 92);
    expect_none(bench, 2, DRV_LEASE);
    heartbeat_of(bench, 2, 10, 89);
    assert_int_equal(number_of(leased(bench, 2).id), 100);
    heartbeat_of(bench, 2, 10, 93); /* not over the mark yet */
    submit_keyed(bench, 101, 1, NULL);
    assert_int_equal(number_of(leased(bench, 2).id), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_keys_take_turns),
        BENCH_TEST(test_tasks_without_a_key_are_a_key),
        BENCH_TEST(test_types_of_a_key_share_its_turn),
        BENCH_TEST(test_keys_that_are_gone_cost_nothing),
        BENCH_TEST(test_priority_comes_before_turns),
        BENCH_TEST(test_needs_do_not_multiply_turns),
        BENCH_TEST(test_concurrency_bounds_leases),
        BENCH_TEST(test_prefetched_leases_count),
        BENCH_TEST(test_limit_leaves_what_is_held),
        BENCH_TEST(test_per_key_bounds_each_key),
        BENCH_TEST(test_why_tells_what_waiting_is_worth),
        BENCH_TEST(test_rate_opens_by_the_clock),
        BENCH_TEST(test_slow_rate),
        BENCH_TEST(test_hourly_rate),
        DURABLE_TEST(test_limits_outlive_a_restart),
        BENCH_TEST(test_needs_take_resources),
        BENCH_TEST(test_need_that_nobody_can_meet),
        BENCH_TEST(test_needs_look_beyond_the_freest),
        BENCH_TEST(test_needs_that_make_no_sense),
        DURABLE_TEST(test_needs_outlive_a_restart),
        DURABLE_TEST(test_limits_travel_with_leases),
        BENCH_TEST(test_idle_hosts_come_first),
        BENCH_TEST(test_heavy_hosts_get_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
