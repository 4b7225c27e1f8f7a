/*
 * A hundred thousand tasks that are due in the same instant: each tick takes a bounded part of
 * them, and whoever says something in between is answered in the tick after that.
 *
 * The walk over all invariants would look at every task in every tick, so it is done at the
 * ends.
 */
#include "fixture.h"

enum {
    TASKS = 100000,
    BATCH = 1000,
    PART_MAX = 4096, /* of one tick, see timer.c */
    SLOTS = 8000,
    LEASES_MAX = 2048, /* the same, see dispatch.c */
};

/* As speak, without the walk. */
static void say(struct bench *bench, uint32_t peer, struct drv_message *message)
{
    struct box *box = &bench->boxes[peer];
    message->epoch = box->epoch;
    message->seq = ++box->seq;
    struct core_event event = {
        .kind = CORE_EVENT_MESSAGE, .peer = peer, .port = box->port, .message = message};
    core_step(bench->core, &event, bench->now);
}

/* What a tick has sent. */
struct sent {
    size_t beats;  /* to the worker */
    size_t leases; /* entries */
};

static size_t entries_of(const struct drv_message *message)
{
    size_t count = 0;
    for (size_t i = 0; i < message->lease.group_count; i++) {
        count += message->lease.groups[i].entry_count;
    }
    return count;
}

/* As bench_tick, without the walk. */
static struct sent tick(struct bench *bench)
{
    struct sent sent = {0, 0};
    size_t count = 0;
    bench->wants = core_tick(bench->core, bench->now);
    const struct core_effect *effects = core_effects(bench->core, &count);
    for (size_t i = 0; i < count; i++) {
        if (effects[i].kind == CORE_SEND && effects[i].peer == 2) {
            sent.beats += effects[i].message->kind == DRV_HEARTBEAT;
            sent.leases += effects[i].message->kind == DRV_LEASE
                               ? entries_of(effects[i].message)
                               : 0;
        }
        bench_deliver(bench, &effects[i]);
    }
    core_effects_clear(bench->core);
    return sent;
}

/* As bench_settle, without the walk. */
static void settle_peer(struct bench *bench, uint32_t peer)
{
    struct box *box = &bench->boxes[peer];
    struct core_event event = {
        .kind = CORE_EVENT_SETTLED, .peer = peer, .port = box->port, .token = box->last_token};
    core_step(bench->core, &event, bench->now);
}

/* Everything that the core wants to do now. */
static void settle(struct bench *bench)
{
    do {
        (void)tick(bench);
    } while (bench->wants <= bench->now);
    settle_peer(bench, 1);
    drop_all(bench, 1);
}

static void submit_all(struct bench *bench)
{
    static struct drv_entry entries[BATCH];
    struct drv_spec spec = spec_of("work");
    struct drv_submit_group group = {.spec = spec, .entries = entries, .entry_count = BATCH};
    group.spec.delay_ms = 60 * 1000;
    for (uint32_t first = 0; first < TASKS; first += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            entries[i] = (struct drv_entry){.id = id_of(10000 + first + i), .val = val_of("x")};
        }
        struct drv_message message = request(bench, 1, DRV_SUBMIT);
        message.submit.groups = &group;
        message.submit.group_count = 1;
        say(bench, 1, &message);
        settle(bench);
    }
}

/* F25: bounded work per tick, and a heartbeat is answered by the next one. */
static void test_many_tasks_due_at_once_leave_room_for_others(void **state)
{
    struct bench *bench = *state;
    struct drv_message beat = {.kind = DRV_HEARTBEAT};
    uint64_t queued = 0;
    int ticks = 0;
    client(bench, 1);
    worker(bench, 2, "other", 1);
    submit_all(bench);
    assert_int_equal(counters(bench).delayed, TASKS);
    bench->now += 61 * SECOND;
    do {
        say(bench, 2, &beat);
        assert_int_equal(tick(bench).beats, 1);
        uint64_t now_queued = counters(bench).queued;
        assert_in_range(now_queued - queued, 1, PART_MAX);
        queued = now_queued;
        ticks++;
    } while (queued < TASKS);
    assert_true(ticks >= TASKS / PART_MAX);
    bench_check(bench);
}

/* The same when there are slots for all of them: leases, too, come in parts. */
static void test_many_tasks_due_at_once_are_leased_in_parts(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {.types = {"work"}, .slots = SLOTS, .credit = SLOTS};
    struct drv_message beat = {.kind = DRV_HEARTBEAT};
    size_t leases = 0;
    client(bench, 1);
    worker_with(bench, 2, &options);
    submit_all(bench);
    bench->now += 61 * SECOND;
    for (int i = 0; i < 8; i++) {
        say(bench, 2, &beat);
        struct sent sent = tick(bench);
        assert_int_equal(sent.beats, 1);
        assert_true(sent.leases <= LEASES_MAX);
        leases += sent.leases;
        drop_all(bench, 2);
        settle_peer(bench, 2);
    }
    assert_true(leases > LEASES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_tasks_due_at_once_leave_room_for_others),
        TEST(test_many_tasks_due_at_once_are_leased_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
