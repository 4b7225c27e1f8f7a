/*
 * restore_story.h: brokers that come back from what they wrote down.
 */
#ifndef TESTS_BROKER_RESTORE_STORY_H
#define TESTS_BROKER_RESTORE_STORY_H

#include "array_story.h"

static inline int durable_setup(void **state)
{
    struct bench *bench = bench_new();
    bench->config.durability_max = DROVER_DURABILITY_SYNCED;
    *state = bench;
    bench_start(bench);
    return 0;
}

#define DURABLE_TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, bench_teardown)

/* A core out of the first `count` records; the wall clock goes on with the bench's. */
static inline drover_status restored(const struct bench *bench, size_t count,
                                     struct core **out_core, const char **out_text)
{
    assert_ok(core_new(&bench->config, bench->now, out_core));
    core_set_wall(*out_core, bench->now, bench_wall(bench));
    drover_status status = DROVER_OK;
    for (size_t i = 0; status == DROVER_OK && i < count; i++) {
        status = core_restore(*out_core, &bench->log.records[i], out_text);
    }
    return status ? status : core_restore_end(*out_core, bench->now, out_text);
}

static inline int record_order(const void *left, const void *right)
{
    const struct core_saved *a = left, *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    int order = memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
    if (order != 0) {
        return order;
    }
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    size_t len = a->len < b->len ? a->len : b->len;
    order = memcmp(a->body + 1, b->body + 1, len - 1);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Everything that is kept, object by object, in one order. */
static inline void whole_copy(struct core *core, int64_t now, struct bench_log *out_log)
{
    *out_log = (struct bench_log){0};
    core_save_all(core);
    (void)core_tick(core, now);
    log_take(out_log, core);
    core_effects_clear(core);
    assert_non_null(out_log->records); /* the broker's own record at least */
    qsort(out_log->records, out_log->count, sizeof *out_log->records, record_order);
}

static inline void expect_same_log(const struct bench_log *a, const struct bench_log *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (a->records[i].kind == CORE_SAVE_BROKER && b->records[i].kind == CORE_SAVE_BROKER) {
            continue; /* counters of what leaves no other record ride along when they can */
        }
        if (record_order(&a->records[i], &b->records[i]) != 0) {
            for (size_t at = 0; at < a->records[i].len && at < b->records[i].len; at++) {
                if (at > 0 && a->records[i].body[at] != b->records[i].body[at]) {
                    print_message("byte %zu of record %zu: %u, %u\n", at, i,
                                  a->records[i].body[at], b->records[i].body[at]);
                }
            }
            fail_msg("record %zu differs: kind %u index %u of %zu bytes, kind %u index %u of "
                     "%zu bytes",
                     i, a->records[i].kind, a->records[i].index, a->records[i].len,
                     b->records[i].kind, b->records[i].index, b->records[i].len);
        }
    }
    assert_int_equal(a->count, b->count);
}

/* Takes the place of the core: the broker was killed and started again at once. */
static inline void reborn(struct bench *bench)
{
    const char *why = NULL;
    bench->config.epoch++;
    struct core *core = NULL;
    drover_status status = restored(bench, bench->log.count, &core, &why);
    if (status) {
        fail_msg("not restored: %s", why);
    }
    core_destroy(&bench->core);
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        box_clear(&bench->boxes[i]);
        memset(&bench->boxes[i], 0, sizeof bench->boxes[i]);
    }
    bench->core = core;
    bench_check(bench);
}

/* What was written down so far makes the same broker again. */
static inline void expect_restorable(struct bench *bench)
{
    struct core *core = NULL;
    const char *why = NULL;
    drover_status status = restored(bench, bench->log.count, &core, &why);
    if (status) {
        fail_msg("not restored: %s", why);
    }
    const char *broken = core_check(core);
    if (broken != NULL) {
        fail_msg("invariant broken after a restore: %s", broken);
    }
    struct core_counters before, after;
    core_counters_get(bench->core, &before);
    core_counters_get(core, &after);
    struct bench_log original, copy;
    whole_copy(core, bench->now, &copy);
    core_destroy(&core);
    core_save_all(bench->core);
    size_t first = bench->log.count;
    bench_tick(bench);
    original = (struct bench_log){0};
    original.records = malloc((bench->log.count - first + 1) * sizeof *original.records);
    original.count = bench->log.count - first;
    memcpy(original.records, bench->log.records + first,
           original.count * sizeof *original.records);
    qsort(original.records, original.count, sizeof *original.records, record_order);
    expect_same_log(&original, &copy);
    free(original.records);
    log_fini(&copy);
    assert_int_equal(before.submitted, after.submitted);
    assert_int_equal(before.succeeded, after.succeeded);
    assert_int_equal(before.failed, after.failed);
    assert_int_equal(before.cancelled, after.cancelled);
    assert_int_equal(before.expired, after.expired);
    assert_int_equal(before.waiting, after.waiting);
    assert_int_equal(before.delayed, after.delayed);
    assert_int_equal(before.queued, after.queued);
    assert_int_equal(before.running, after.running);
}

#endif
