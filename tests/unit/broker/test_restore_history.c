/*
 * Restore, whatever happened before: random histories, with compaction and restarts; and
 * whatever the bytes are, nothing worse than a refusal.
 */
#include "check.h"
#include "restore_story.h"
#include "rng.h"

/* --- compaction -------------------------------------------------------------------------- */

/* The oldest half goes away once what is alive in it has been written again. */
static void compact(struct bench *bench)
{
    size_t half = bench->log.count / 2;
    if (half == 0) {
        return;
    }
    /* Marks are coarse: all that was ever written is old. */
    uint64_t lsn = bench->log.lsn;
    for (size_t i = 0; i < half; i++) {
        const struct core_saved *saved = &bench->log.records[i];
        core_rewrite(bench->core, saved->kind, &saved->id, saved->index, lsn);
    }
    bench_tick(bench);
    for (size_t i = 0; i < half; i++) {
        free((void *)bench->log.records[i].body);
    }
    bench->log.count -= half;
    memmove(bench->log.records, bench->log.records + half,
            bench->log.count * sizeof *bench->log.records);
}

/* --- any history ------------------------------------------------------------------------- */

enum { TASKS = 40, ARRAYS = 4, STEPS = 260 };

struct history {
    struct bench *bench;
    struct drv_rng rng;
    struct drv_ref held[256];
    size_t held_count;
    bool is_here[5]; /* peers 1, 2: clients; 3, 4: workers */
};

static uint32_t below(struct history *history, uint32_t end)
{
    return (uint32_t)drv_rng_below(&history->rng, end);
}

static uint32_t some_task(struct history *history)
{
    return 1 + below(history, TASKS + ARRAYS);
}

static void come(struct history *history, uint32_t peer)
{
    struct bench *bench = history->bench;
    static const uint64_t epoch_unknown = 0;
    (void)epoch_unknown;
    if (peer <= 2) {
        hello_client(bench, peer, 9000 + peer, false);
    } else {
        struct worker_options options = {.types = {"work", "more"}, .slots = 3};
        hello_worker(bench, peer, 8000 + peer, &options);
    }
    (void)welcomed(bench, peer);
    bench->boxes[peer].req = 1000 * (uint64_t)bench->log.lsn; /* never one that was used */
    history->is_here[peer] = true;
}

static struct drv_spec some_spec(struct history *history)
{
    struct drv_spec spec = below(history, 2) == 0 ? watched("work") : spec_of("more");
    spec.retries = below(history, 3);
    spec.priority = (int32_t)below(history, 3) - 1;
    spec.delay_ms = below(history, 4) == 0 ? 50 : 0;
    spec.expire_ms = below(history, 6) == 0 ? 400 : 0;
    spec.flags |= below(history, 4) == 0 ? DRV_SPEC_RELEASE : 0;
    spec.flags |= below(history, 8) == 0 ? DRV_SPEC_CANCEL_WITH_SESSION : 0;
    spec.queue = below(history, 3) == 0 ? text("other") : text("default");
    spec.meta = below(history, 4) == 0 ? text("meta") : text(NULL);
    return spec;
}

static void client_acts(struct history *history, uint32_t peer)
{
    struct bench *bench = history->bench;
    struct drv_spec spec = some_spec(history);
    uint32_t array = TASKS + 1 + below(history, ARRAYS);
    struct drv_val vals[6] = {val_of("one"), val_nil(),   val_of("three"),
                              val_of(""),    val_of("5"), val_of("six")};
    struct drv_message message;
    switch (below(history, 12)) {
    case 0:
    case 1:
    case 2:
        submit_many(bench, peer, &spec, 1 + below(history, TASKS - 3), 1 + below(history, 3),
                    "payload");
        break;
    case 3:
        array_open_with(bench, peer, &spec, array,
                        below(history, 2) == 0 ? val_nil() : val_of("with"));
        break;
    case 4:
        array_vals(bench, peer, array, 6 * below(history, 4), vals, 6);
        break;
    case 5:
        array_seal_as(bench, peer, array, 6 * below(history, 5));
        break;
    case 6:
        cancel(bench, peer, some_task(history));
        break;
    case 7:
        targets_request(bench, peer, DRV_FORGET, some_task(history), DROVER_INDEX_NONE);
        break;
    case 8: {
        struct drv_target target = {.id = id_of(some_task(history)),
                                    .index = DROVER_INDEX_NONE,
                                    .new_id = id_of(some_task(history))};
        message = request(bench, peer, DRV_RETRY);
        message.targets = (struct drv_targets){.targets = &target, .target_count = 1};
        speak(bench, peer, &message);
        break;
    }
    case 9:
        message = request(bench, peer, DRV_KV);
        message.kv = (struct drv_kv){.op = 1 + below(history, 5),
                                     .key = text(below(history, 2) == 0 ? "k" : "l"),
                                     .val = val_of("\x07"),
                                     .number = 1,
                                     .ttl_ms = below(history, 2) * 300};
        speak(bench, peer, &message);
        break;
    case 10:
        message = request(bench, peer, DRV_QUEUE);
        message.queue = (struct drv_queue_request){
            .op = below(history, 2) == 0 ? DRV_QUEUE_PAUSE : DRV_QUEUE_RESUME,
            .queue = text("other")};
        speak(bench, peer, &message);
        break;
    default:
        targets_request(bench, peer, DRV_WATCH, some_task(history), DROVER_INDEX_NONE);
        break;
    }
}

static void worker_acts(struct history *history, uint32_t peer)
{
    struct bench *bench = history->bench;
    size_t room = DRV_ARRAY_LEN(history->held) - history->held_count;
    history->held_count += leases(bench, peer, history->held + history->held_count, room);
    if (history->held_count == 0) {
        return;
    }
    size_t at = below(history, (uint32_t)history->held_count);
    struct drv_ref ref = history->held[at];
    switch (below(history, 6)) {
    case 0:
        report_started(bench, peer, ref);
        return;
    case 1:
        report_returned(bench, peer, ref);
        break;
    case 2:
        report_failed(bench, peer, ref, below(history, 2));
        break;
    case 3:
        report_cancelled(bench, peer, ref);
        break;
    default:
        report_done(bench, peer, ref, "result");
        break;
    }
    history->held[at] = history->held[--history->held_count];
}

static void history_step(struct history *history)
{
    uint32_t peer = 1 + below(history, 4);
    struct bench *bench = history->bench;
    if (!history->is_here[peer]) {
        come(history, peer);
    } else if (below(history, 25) == 0) {
        history->is_here[peer] = false;
        if (below(history, 2) == 0) {
            struct drv_message message = {.kind = DRV_GOODBYE};
            speak(bench, peer, &message);
        }
        bench_turn(bench);
        gone(bench, peer);
    } else if (peer <= 2) {
        client_acts(history, peer);
    } else {
        worker_acts(history, peer);
    }
    if (below(history, 3) == 0) {
        bench_turn(bench);
    }
    if (below(history, 10) == 0) {
        bench_pass(bench, below(history, 200) * MS);
    }
    for (uint32_t client = 1; client <= 2; client++) {
        drop_all(bench, client);
    }
}

static void history_restart(struct history *history)
{
    reborn(history->bench);
    memset(history->is_here, 0, sizeof history->is_here);
    history->held_count = 0;
}

/* Whatever happened: a restore gives the same state, before and after compaction and after
 * restarts. */
static void test_any_history_is_restored(void **state)
{
    struct drv_rng seeds;
    drv_rng_init(&seeds, test_seed());
    for (int round = 0; round < 20; round++) {
        (void)bench_teardown(state);
        (void)durable_setup(state);
        struct history history = {.bench = *state};
        drv_rng_init(&history.rng, drv_rng_next(&seeds));
        history.bench->config.reattach_us = 2 * SECOND;
        history.bench->config.session_us = 2 * SECOND;
        for (int step = 0; step < STEPS; step++) {
            history_step(&history);
            if (step % 10 == 9) {
                bench_turn(history.bench);
                expect_restorable(history.bench);
            }
            if (below(&history, 40) == 0) {
                bench_turn(history.bench);
                compact(history.bench);
                expect_restorable(history.bench);
            }
            if (below(&history, 60) == 0) {
                bench_turn(history.bench);
                history_restart(&history);
            }
        }
    }
}

/* --- any bytes --------------------------------------------------------------------------- */

/* Some bytes of a record are others, or it is shorter, or of another kind. */
static void spoil(struct drv_rng *rng, struct core_saved *saved, uint8_t *bytes)
{
    memcpy(bytes, saved->body, saved->len);
    saved->body = bytes;
    switch (drv_rng_below(rng, 4)) {
    case 0:
        saved->len = (size_t)drv_rng_below(rng, saved->len + 1);
        break;
    case 1:
        saved->kind = (uint16_t)drv_rng_below(rng, CORE_SAVE_KINDS + 1);
        break;
    case 2:
        saved->index = (uint32_t)drv_rng_below(rng, 40);
        break;
    default:
        for (int i = 0; saved->len > 1 && i < 3; i++) {
            bytes[1 + drv_rng_below(rng, saved->len - 1)] = (uint8_t)drv_rng_below(rng, 256);
        }
        break;
    }
}

static void restore_spoiled(const struct bench *bench, struct drv_rng *rng)
{
    static uint8_t bytes[1 << 20];
    struct core *core = NULL;
    const char *why = NULL;
    assert_ok(core_new(&bench->config, bench->now, &core));
    core_set_wall(core, bench->now, bench->now + BENCH_WALL);
    size_t spoiled = (size_t)drv_rng_below(rng, bench->log.count);
    drover_status status = DROVER_OK;
    for (size_t i = 0; status == DROVER_OK && i < bench->log.count; i++) {
        struct core_saved saved = bench->log.records[i];
        if (i == spoiled) {
            spoil(rng, &saved, bytes);
        }
        status = core_restore(core, &saved, &why);
    }
    if (status == DROVER_OK) {
        status = core_restore_end(core, bench->now, &why);
    }
    if (status == DROVER_OK) {
        const char *broken = core_check(core);
        if (broken != NULL) {
            fail_msg("spoiled records were taken and break: %s", broken);
        }
        (void)core_tick(core, bench->now + 3600 * SECOND);
    } else {
        assert_non_null(why);
    }
    core_effects_clear(core);
    core_destroy(&core);
}

/* Spoiled records are refused with a reason, or taken; nothing breaks. */
static void test_spoiled_records_never_break(void **state)
{
    struct history history = {.bench = *state};
    drv_rng_init(&history.rng, test_seed());
    for (int step = 0; step < 200; step++) {
        history_step(&history);
    }
    bench_turn(history.bench);
    for (int round = 0; round < 1500; round++) {
        restore_spoiled(history.bench, &history.rng);
    }
}

/* A version that is not known is not guessed at. */
static void test_newer_version_is_refused(void **state)
{
    struct bench *bench = *state;
    struct core *core = NULL;
    const char *why = NULL;
    static const uint8_t body[] = {9};
    struct core_saved saved = {.lsn = 1, .kind = CORE_SAVE_BROKER, .body = body, .len = 1};
    assert_ok(core_new(&bench->config, bench->now, &core));
    assert_int_equal(core_restore(core, &saved, &why), DROVER_VERSION);
    assert_string_equal(why, "a newer broker has written this");
    core_destroy(&core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(test_any_history_is_restored),
        DURABLE_TEST(test_spoiled_records_never_break),
        DURABLE_TEST(test_newer_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
