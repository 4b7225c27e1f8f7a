/*
 * Out of memory: allocations fail at random while the core works. Requests may be refused and
 * connections closed, but nothing breaks, nothing is lost track of, and in the end everything
 * is given back.
 *
 * The linker sends the allocations of the program through the wrappers below; they fail only
 * inside core_step and core_tick.
 */
#include "core.h"
#include "rng.h"

struct drv_slab; /* of the core; common has one of that name, too */

static bool is_failing;
static enum { AT_TIMES, NEVER, ALWAYS } how_often;
static struct drv_rng luck;
static unsigned long failures;

#define core_step(core, event, now) \
    (is_failing = true, (core_step)(core, event, now), is_failing = false)

#include "fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_drv_slab_alloc(struct drv_slab *slab);
void *__real_drv_slab_take(struct drv_slab *slab);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_drv_slab_alloc(struct drv_slab *slab);
void *__wrap_drv_slab_take(struct drv_slab *slab);

static bool fails(void)
{
    bool fail = is_failing && (how_often == ALWAYS ||
                               (how_often == AT_TIMES && drv_rng_below(&luck, 25) == 0));
    failures += fail;
    return fail;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_drv_slab_alloc(struct drv_slab *slab)
{
    return fails() ? NULL : __real_drv_slab_alloc(slab);
}

void *__wrap_drv_slab_take(struct drv_slab *slab)
{
    return fails() ? NULL : __real_drv_slab_take(slab);
}

struct story {
    struct bench *bench;
    struct drv_ref held[64];
    size_t held_count;
    uint32_t last; /* number of the newest task */
};

static void tick(struct story *story)
{
    struct bench *bench = story->bench;
    bench->now += 5 * MS;
    is_failing = true;
    bench->wants = core_tick(bench->core, bench->now);
    is_failing = false;
    bench_check(bench);
    size_t count;
    const struct core_effect *effects = core_effects(bench->core, &count);
    for (size_t i = 0; i < count; i++) {
        bench_deliver(bench, &effects[i]);
    }
    core_effects_clear(bench->core);
    for (uint32_t peer = 1; peer <= 2; peer++) {
        bench_settle(bench, peer);
        bench->boxes[peer].last_token = 0;
    }
}

/* What the broker said: welcomes and leases count, the rest is read and dropped. */
static void read_all(struct story *story, uint32_t peer)
{
    const struct drv_message *message;
    while ((message = next(story->bench, peer)) != NULL) {
        if (message->kind == DRV_WELCOME) {
            story->bench->boxes[peer].epoch = message->epoch;
        }
        if (message->kind != DRV_LEASE) {
            continue;
        }
        for (size_t g = 0; g < message->lease.group_count; g++) {
            for (size_t i = 0; i < message->lease.groups[g].entry_count; i++) {
                assert_true(story->held_count < 64);
                story->held[story->held_count++] = message->lease.groups[g].entries[i].ref;
            }
        }
    }
}

static void say_hello(struct story *story, uint32_t peer)
{
    struct drv_offer offer = {.name = text("work")};
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){.version_min = 1,
                                       .version_max = 1,
                                       .role = peer == 1 ? DRV_ROLE_CLIENT : DRV_ROLE_WORKER,
                                       .session = id_of(9000 + peer),
                                       .name = text("peer"),
                                       .credit_items = 20,
                                       .credit_bytes = 1 << 20,
                                       .has_worker = peer == 2};
    if (peer == 2) {
        message.hello.worker = (struct drv_worker_hello){
            .slots = 4, .types = &offer, .type_count = 1, .model = DRV_MODEL_PREFORK};
        story->held_count = 0; /* lists nothing: all goes back */
    }
    uint64_t req = story->bench->boxes[peer].req;
    gone(story->bench, peer);
    story->bench->boxes[peer].req = req;
    story->bench->boxes[peer].port = peer == 1 ? CORE_PORT_CLIENT : CORE_PORT_WORKER;
    speak(story->bench, peer, &message);
}

static void do_submit(struct story *story)
{
    struct drv_spec spec = spec_of("work");
    spec.flags = (uint32_t)drv_rng_below(&luck, 32) & ~(uint32_t)DRV_SPEC_STRICT;
    spec.delay_ms = drv_rng_below(&luck, 2) * 20;
    spec.expire_ms = drv_rng_below(&luck, 2) * 40;
    spec.retries = (uint32_t)drv_rng_below(&luck, 3);
    spec.backoff_ms = 10;
    submit_many(story->bench, 1, &spec, story->last + 1, 5, "payload");
    story->last += 5;
}

static void do_array(struct story *story)
{
    struct bench *bench = story->bench;
    struct drv_val items[5];
    for (size_t i = 0; i < 5; i++) {
        items[i] = val_of("item");
    }
    drover_id id = id_of(++story->last);
    struct drv_message message = request(bench, 1, DRV_ARRAY_OPEN);
    message.array_open.id = id;
    message.array_open.spec = watched("work");
    message.array_open.with = val_of("shared");
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_ARRAY_ITEMS);
    message.array_items = (struct drv_array_items){.id = id, .items = items, .item_count = 5};
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_ARRAY_SEAL);
    message.array_seal = (struct drv_array_seal){.id = id, .count = 5};
    speak(bench, 1, &message);
}

static void do_target(struct story *story)
{
    static const enum drv_kind kinds[] = {DRV_CANCEL, DRV_FORGET, DRV_WATCH, DRV_UNWATCH};
    uint32_t number = 1 + (uint32_t)drv_rng_below(&luck, story->last + 1);
    uint32_t index = drv_rng_below(&luck, 3) == 0 ? (uint32_t)drv_rng_below(&luck, 5)
                                                  : DROVER_INDEX_NONE;
    targets_request(story->bench, 1, kinds[drv_rng_below(&luck, 4)], number, index);
}

static void do_kv(struct story *story)
{
    struct drv_message message = request(story->bench, 1, DRV_KV);
    message.request.floor = message.request.req > 20 ? message.request.req - 20 : 0;
    message.kv = (struct drv_kv){.op = 1 + (uint32_t)drv_rng_below(&luck, 5),
                                 .key = text("key"),
                                 .val = val_of("\x01"),
                                 .number = (int64_t)drv_rng_below(&luck, 3),
                                 .ttl_ms = drv_rng_below(&luck, 2) * 30};
    speak(story->bench, 1, &message);
}

static void do_report(struct story *story)
{
    struct bench *bench = story->bench;
    while (story->held_count > 0) {
        struct drv_ref ref = story->held[--story->held_count];
        switch (drv_rng_below(&luck, 4)) {
        case 0:
            report_returned(bench, 2, ref);
            break;
        case 1:
            report_failed(bench, 2, ref, 0);
            break;
        default:
            report_done(bench, 2, ref, "result");
            break;
        }
    }
}

static bool is_welcome(const struct bench *bench, uint32_t peer)
{
    return bench->boxes[peer].epoch != 0 && !bench->boxes[peer].is_closed;
}

/* One step of the story: each peer does something, or comes (again). */
static void act(struct story *story)
{
    static void (*const deeds[])(struct story *) = {do_submit, do_array, do_target, do_target,
                                                    do_kv};
    if (is_welcome(story->bench, 1)) {
        deeds[drv_rng_below(&luck, sizeof deeds / sizeof *deeds)](story);
    } else {
        say_hello(story, 1);
    }
    if (is_welcome(story->bench, 2)) {
        do_report(story);
    } else {
        say_hello(story, 2);
    }
    if (drv_rng_below(&luck, 300) == 0) {
        say_hello(story, 1 + (uint32_t)drv_rng_below(&luck, 2));
    }
    tick(story);
    read_all(story, 1);
    read_all(story, 2);
}

/* Hundreds of failed allocations, and the broker still does its work. */
static void test_core_survives_failing_allocations(void **state)
{
    struct story story = {.bench = *state};
    drv_rng_init(&luck, test_seed());
    for (int i = 0; i < 500; i++) {
        story.bench->record_count = 0;
        act(&story);
    }
    assert_true(failures > 60);
    assert_true(counters(story.bench).succeeded > 30);
}

/* Elements find no memory when they are to be dispatched: they wait as before, and lose
 * nothing. */
static void test_elements_without_memory_stay_queued(void **state)
{
    struct story story = {.bench = *state};
    struct bench *bench = story.bench;
    how_often = NEVER;
    client(bench, 1);
    worker(bench, 2, "work", 5);
    do_array(&story);
    how_often = ALWAYS;
    for (int i = 0; i < 5; i++) {
        tick(&story);
        assert_int_equal(counters(bench).queued, 5);
        assert_false(core_has_failed(bench->core));
    }
    how_often = NEVER;
    gone(bench, 2);
    worker(bench, 2, "work", 5);
    bench_turn(bench);
    struct drv_ref refs[8];
    assert_int_equal(leases(bench, 2, refs, 8), 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(refs[i].index, i);
        report_done(bench, 2, refs[i], "done");
    }
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 5);
    how_often = AT_TIMES;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_elements_without_memory_stay_queued),
        BENCH_TEST(test_core_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
