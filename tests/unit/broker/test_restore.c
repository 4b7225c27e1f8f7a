/*
 * Restore: what was written down makes the same broker again, whatever happened before; and
 * whatever the bytes are, nothing worse than a refusal.
 */
#include "check.h"
#include "restore_story.h"
#include "rng.h"

/* --- stories ----------------------------------------------------------------------------- */

/* A task that waits is there again, with its options and its payload, and runs. */
static void test_task_waiting_runs_after_restart(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.priority = -7;
    spec.retries = 3;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = leased(bench, 2);
    assert_int_equal(number_of(ref.id), 1);
    report_done(bench, 2, ref, "answer");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    expect_restorable(bench);
}

/* The owner gets the result of what ended while it was away, once. */
static void test_result_unread_is_delivered_after_restart(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    bench->boxes[1].holds_tokens = true;
    report_done(bench, 2, leased(bench, 2), "answer");
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    assert_true(welcomed(bench, 1)->resumed);
    assert_true(val_is(&result(bench, 1)->val, "answer"));
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    expect_none(bench, 1, DRV_RESULTS);
}

static void attach(struct bench *bench, uint32_t peer, const struct drv_attached *leases,
                   size_t count)
{
    struct worker_options options = {
        .types = {"work"}, .slots = 4, .lease_count = (uint32_t)count};
    hello_worker(bench, peer, 8002, &options);
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach.leases = leases;
    message.attach.lease_count = count;
    speak(bench, peer, &message);
    bench_turn(bench);
    (void)welcomed(bench, peer);
}

/* Running work is adopted; what was never delivered goes back free of charge. */
static void test_lease_listed_is_adopted_unlisted_is_free(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 2);
    struct drv_spec spec = watched("work");
    submit_many(bench, 1, &spec, 1, 2, "payload");
    bench_turn(bench);
    struct drv_ref refs[2];
    assert_int_equal(leases(bench, 2, refs, 2), 2);
    report_started(bench, 2, refs[0]);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).running, 1);
    struct drv_attached listed = {
        .id = refs[0].id, .index = refs[0].index, .attempt = refs[0].attempt, .state = 2};
    attach(bench, 3, &listed, 1);
    assert_int_equal(counters(bench).running, 1);
    assert_int_equal(counters(bench).requeued_free, 1);
    struct drv_ref again = leased(bench, 3);
    assert_int_equal(number_of(again.id), number_of(refs[1].id));
    assert_int_equal(again.attempt, 2);
    report_done(bench, 3, refs[0], "answer");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).charged, 0);
    expect_restorable(bench);
}

/* A worker that does not come back is lost when the window closes: what ran is charged. */
static void test_worker_missing_is_lost_after_window(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    report_started(bench, 2, leased(bench, 2));
    bench_turn(bench);
    reborn(bench);
    bench_pass(bench, bench->config.reattach_us - SECOND);
    assert_int_equal(counters(bench).running, 1);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).queued, 1);
    assert_int_equal(counters(bench).charged, 1);
    expect_restorable(bench);
}

/* A request that is sent again is answered from what was kept, and has no second effect. */
static void test_request_resent_takes_effect_once(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 5};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 5);
    expect_restorable(bench);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 5};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 5);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_INCREMENT, .key = text("n"), .number = 1};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, 6);
    expect_restorable(bench);
}

/* An array is opened and watched in one request; sent again after a restart it is not opened
 * again, but watched. */
static void test_request_resent_watches_again(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    array_open_with(bench, 1, &spec, 1, val_nil());
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    array_open_with(bench, 1, &spec, 1, val_nil());
    expect_ok(bench, 1);
    array_filled(bench, 1, 1, 0, 1);
    array_sealed(bench, 1, 1, 1);
    cancel(bench, 1, 1);
    bench_turn(bench);
    struct drv_outcome ends[4];
    assert_int_equal(outcomes(bench, 1, ends, 4), 2);
}

/* Remarks of a refused entry come again with their texts. */
static void test_reply_keeps_remarks(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    drop_all(bench, 1);
    submit_many(bench, 1, &spec, 1, 2, "another");
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
    reborn(bench);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench->boxes[1].req = 1;
    submit_many(bench, 1, &spec, 1, 2, "another");
    bench_turn(bench);
    const struct drv_reply *answer = reply(bench, 1);
    assert_int_equal(answer->note_count, 1);
    assert_true(str_is(answer->notes[0].text, "there is another task with this id"));
}

/* Elements in every state: succeeded, failed, held, waiting for another attempt, not begun. */
static void test_array_in_all_states_is_restored(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 4);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    array_open_with(bench, 1, &spec, 1, val_of("shared"));
    expect_ok(bench, 1);
    array_filled(bench, 1, 1, 0, 10);
    array_filled(bench, 1, 1, 10, 3);
    bench_turn(bench);
    struct drv_ref refs[4];
    assert_int_equal(leases(bench, 2, refs, 4), 4);
    report_done(bench, 2, refs[0], "result");
    report_failed(bench, 2, refs[1], DRV_ERROR_PERMANENT);
    report_failed(bench, 2, refs[2], 0);
    report_started(bench, 2, refs[3]);
    bench_turn(bench);
    expect_restorable(bench);
    array_sealed(bench, 1, 1, 13);
    expect_restorable(bench);
    reborn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).failed, 1);
    hello_client(bench, 1, 9001, true);
    (void)welcomed(bench, 1);
    bench->boxes[1].req = 100;
    targets_request(bench, 1, DRV_CANCEL, 1, DROVER_INDEX_NONE);
    bench_turn(bench);
    expect_restorable(bench);
    bench_pass(bench, bench->config.reattach_us + SECOND);
    assert_int_equal(counters(bench).cancelled, 11);
    expect_restorable(bench);
}

/* An array whose client is gone for good before it was sealed is cancelled, also when the
 * broker died before it had come to that. */
static void test_array_open_of_ended_session_is_cancelled(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    array_opened(bench, 1, &spec, 1);
    array_filled(bench, 1, 1, 0, 5);
    size_t count = bench->log.count;
    struct drv_message message = {.kind = DRV_GOODBYE};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_true(bench->log.count > count);
    expect_restorable(bench);
    reborn(bench);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 5);
    expect_restorable(bench);
}

/* Delays go on by the wall clock, and never for longer than they were. */
static void test_delay_goes_on_by_the_wall_clock(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.delay_ms = 10000;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    bench->now += 4 * SECOND; /* the broker is down */
    reborn(bench);
    assert_int_equal(counters(bench).delayed, 1);
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(counters(bench).delayed, 1);
    bench_pass(bench, 2 * SECOND);
    assert_int_equal(counters(bench).queued, 1);
    expect_restorable(bench);
}

/* Shared data keep version and time to live; a deleted key does not come back, and its
 * versions are not used again. */
static void test_shared_data_keep_versions(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){
        .op = DRV_KV_SET, .key = text("a"), .val = val_of("1"), .ttl_ms = 5000};
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("b"), .val = val_of("2")};
    speak(bench, 1, &message);
    message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_DELETE, .key = text("b"), .val = val_nil()};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_restorable(bench);
    reborn(bench);
    client(bench, 3);
    message = request(bench, 3, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text("b"), .val = val_of("3")};
    speak(bench, 3, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 3)->number, 3);
    bench_pass(bench, 6 * SECOND);
    message = request(bench, 3, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_GET, .key = text("a"), .val = val_nil()};
    speak(bench, 3, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 3)->code, DROVER_UNKNOWN);
}

/* A paused queue stays paused. */
static void test_queue_settings_are_kept(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE, .queue = text("default")};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_restorable(bench);
    reborn(bench);
    worker(bench, 2, "work", 1);
    client(bench, 3);
    struct drv_spec spec = spec_of("work");
    submit(bench, 3, &spec, 1);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    expect_restorable(bench);
}

/* Tasks of level memory cost the store nothing, and do not wait for it. */
static void test_memory_task_is_not_recorded(void **state)
{
    struct bench *bench = *state;
    setup_peers(bench, 1);
    struct drv_spec spec = watched("work");
    spec.durability = DROVER_DURABILITY_MEMORY;
    size_t before = bench->log.count;
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    for (size_t i = before; i < bench->log.count; i++) {
        assert_int_not_equal(bench->log.records[i].kind, CORE_SAVE_TASK);
    }
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_MEMORY);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
}

/* A turn of which not all records are there did not happen; nor does it happen later. */
static void test_turn_cut_short_did_not_happen(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    size_t before = bench->log.count;
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 1, 3, "payload");
    bench_turn(bench);
    assert_true(bench->log.count >= before + 4); /* three tasks and the reply */
    while (bench->log.count > before + 2) {
        free((void *)bench->log.records[--bench->log.count].body);
        bench->log.lsn--;
    }
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
    bench_turn(bench);
    reborn(bench);
    assert_int_equal(counters(bench).queued, 0);
}

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
        DURABLE_TEST(test_task_waiting_runs_after_restart),
        DURABLE_TEST(test_result_unread_is_delivered_after_restart),
        DURABLE_TEST(test_lease_listed_is_adopted_unlisted_is_free),
        DURABLE_TEST(test_worker_missing_is_lost_after_window),
        DURABLE_TEST(test_request_resent_takes_effect_once),
        DURABLE_TEST(test_request_resent_watches_again),
        DURABLE_TEST(test_reply_keeps_remarks),
        DURABLE_TEST(test_array_in_all_states_is_restored),
        DURABLE_TEST(test_array_open_of_ended_session_is_cancelled),
        DURABLE_TEST(test_delay_goes_on_by_the_wall_clock),
        DURABLE_TEST(test_shared_data_keep_versions),
        DURABLE_TEST(test_queue_settings_are_kept),
        DURABLE_TEST(test_memory_task_is_not_recorded),
        DURABLE_TEST(test_turn_cut_short_did_not_happen),
        DURABLE_TEST(test_any_history_is_restored),
        DURABLE_TEST(test_spoiled_records_never_break),
        DURABLE_TEST(test_newer_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
