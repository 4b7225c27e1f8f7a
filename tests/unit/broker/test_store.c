/*
 * What every store promises, run against both; and what only the one with a journal can give.
 */
#include "fault_disk.h"
#include "restore_story.h"
#include "store.h"

#include <errno.h>

struct stage {
    struct bench *bench;
    struct store *store;
    struct fault_disk *disk; /* of the journal; NULL: the store in memory */
};

static struct store *journal_on(struct fault_disk *disk)
{
    struct store *store = NULL;
    struct drv_problem problem = {""};
    const struct store_journal_config config = {.directory = "data",
                                                .files = fault_disk_files(disk),
                                                .segment_bytes = 64 * 1024,
                                                .reserve_bytes = 64 * 1024,
                                                .pumped = true};
    if (store_journal_new(&config, &store, &problem) != DROVER_OK) {
        fail_msg("%s", problem.text);
    }
    return store;
}

static void recover(struct stage *stage)
{
    struct bench *bench = stage->bench;
    struct store_recovery recovery;
    struct drv_problem problem = {""};
    bench->config.durability_max = store_durability_max(stage->store);
    bench->config.salt = store_salt(stage->store);
    bench_start(bench);
    core_set_wall(bench->core, bench->now, bench->now + BENCH_WALL);
    drover_status status = store_recover(stage->store, bench->core, bench->now, &recovery,
                                         &problem);
    if (status != DROVER_OK) {
        fail_msg("%s", problem.text);
    }
    core_set_epoch(bench->core, ++bench->config.epoch);
}

static int memory_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    stage->bench = bench_new();
    assert_ok(store_memory_new(&stage->store));
    recover(stage);
    *state = stage;
    return 0;
}

static int journal_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    stage->bench = bench_new();
    stage->disk = fault_disk_new(true);
    stage->store = journal_on(stage->disk);
    recover(stage);
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    store_destroy(&stage->store);
    fault_disk_destroy(&stage->disk);
    bench_free(stage->bench);
    free(stage);
    return 0;
}

/* What the bench gathered goes to the store, as the shell would do it. */
static void hand_over(struct stage *stage, size_t *from)
{
    struct bench_log *log = &stage->bench->log;
    for (; *from < log->count; (*from)++) {
        const struct core_saved *saved = &log->records[*from];
        const struct core_save save = {.kind = saved->kind,
                                       .index = saved->index,
                                       .id = saved->id,
                                       .head = saved->body,
                                       .head_len = saved->len};
        stage->store->operations->append(stage->store, &save);
    }
    store_publish(stage->store, core_memory_bytes(stage->bench->core));
}

static void pump(struct stage *stage)
{
    while (stage->disk != NULL && store_journal_pump(stage->store)) {
    }
}

/* --- every store ------------------------------------------------------------------------- */

/* Records are numbered one by one; the best level that is given is reached in the end. */
static void test_numbers_grow_and_become_safe(void **state)
{
    struct stage *stage = *state;
    size_t from = 0;
    enum drover_durability best = store_durability_max(stage->store);
    client(stage->bench, 1);
    uint64_t before = store_last(stage->store);
    hand_over(stage, &from);
    assert_int_equal(store_last(stage->store), before + from);
    assert_int_equal(store_durable(stage->store, DROVER_DURABILITY_MEMORY),
                     store_last(stage->store));
    pump(stage);
    assert_int_equal(store_durable(stage->store, best), store_last(stage->store));
    assert_ok(store_health(stage->store, NULL));
    assert_true(store_has_room(stage->store));
    assert_false(store_is_full(stage->store));
}

/* A stronger level is never ahead of a weaker one. */
static void test_levels_follow_each_other(void **state)
{
    struct stage *stage = *state;
    size_t from = 0;
    for (uint32_t n = 1; n < 20; n++) {
        struct drv_spec spec = spec_of("work");
        if (n == 1) {
            client(stage->bench, 1);
        }
        submit(stage->bench, 1, &spec, n);
        bench_turn(stage->bench);
        hand_over(stage, &from);
        if (stage->disk != NULL) {
            (void)store_journal_pump(stage->store);
        }
        uint64_t memory = store_durable(stage->store, DROVER_DURABILITY_MEMORY);
        uint64_t written = store_durable(stage->store, DROVER_DURABILITY_WRITTEN);
        uint64_t synced = store_durable(stage->store, DROVER_DURABILITY_SYNCED);
        assert_true(synced <= written && written <= memory);
    }
}

/* A level that the store cannot give is refused, and the acknowledgement names what was given.
 */
static void test_levels_beyond_the_store_are_refused(void **state)
{
    struct stage *stage = *state;
    struct drv_spec spec = spec_of("work");
    enum drover_durability best = store_durability_max(stage->store);
    client(stage->bench, 1);
    for (uint32_t level = DROVER_DURABILITY_DEFAULT; level <= DROVER_DURABILITY_SYNCED;
         level++) {
        spec.durability = level;
        submit(stage->bench, 1, &spec, 1 + level);
        bench_turn(stage->bench);
        const struct drv_reply *answer = reply(stage->bench, 1);
        bool is_refused = level > (uint32_t)best;
        assert_int_equal(answer->note_count, is_refused);
        if (is_refused) {
            assert_int_equal(answer->notes[0].code, DROVER_REFUSED);
        } else {
            assert_int_equal(answer->number, level == 0 ? best : level);
        }
    }
}

/* --- the journal ------------------------------------------------------------------------- */

/* Another broker, after this one has come to its end. */
static void restart(struct stage *stage)
{
    core_destroy(&stage->bench->core);
    store_destroy(&stage->store);
    log_clear(&stage->bench->log);
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        box_clear(&stage->bench->boxes[i]);
        memset(&stage->bench->boxes[i], 0, sizeof stage->bench->boxes[i]);
    }
    stage->store = journal_on(stage->disk);
    recover(stage);
}

/* What was synced is there again, the payload of a large task too; the epoch is a higher one.
 */
static void test_journal_gives_back_what_was_synced(void **state)
{
    struct stage *stage = *state;
    size_t from = 0;
    uint64_t epoch = store_epoch(stage->store);
    uint64_t salt = store_salt(stage->store);
    struct drv_spec spec = spec_of("work");
    char *large = malloc(200001);
    memset(large, 'x', 200000);
    large[200000] = '\0';
    client(stage->bench, 1);
    submit_many(stage->bench, 1, &spec, 1, 1, large);
    submit_many(stage->bench, 1, &spec, 2, 20, "small");
    bench_turn(stage->bench);
    hand_over(stage, &from);
    pump(stage);
    assert_ok(store_stop(stage->store));
    restart(stage);
    assert_int_equal(counters(stage->bench).queued, 21);
    assert_true(store_epoch(stage->store) > epoch);
    assert_int_equal(store_salt(stage->store), salt);
    worker(stage->bench, 2, "work", 1);
    const struct drv_message *message = expect(stage->bench, 2, DRV_LEASE);
    assert_true(val_is(&message->lease.groups[0].entries[0].val, large));
    free(large);
}

/* An error of the disk ends the store: nothing of that batch, or later, is ever called safe. */
static void test_journal_error_ends_the_store(void **state)
{
    struct stage *stage = *state;
    size_t from = 0;
    struct drv_problem problem = {""};
    client(stage->bench, 1);
    hand_over(stage, &from);
    pump(stage);
    uint64_t safe = store_durable(stage->store, DROVER_DURABILITY_SYNCED);
    struct drv_spec spec = spec_of("work");
    submit(stage->bench, 1, &spec, 1);
    bench_turn(stage->bench);
    fault_disk_fail(stage->disk, FAULT_SYNC, 1, EIO);
    hand_over(stage, &from);
    pump(stage);
    assert_int_equal(store_health(stage->store, &problem), DROVER_IO);
    assert_int_not_equal(strlen(problem.text), 0);
    assert_int_equal(store_durable(stage->store, DROVER_DURABILITY_SYNCED), safe);
}

/* A full disk refuses new work as busy; what ends work goes on. */
static void test_full_store_refuses_new_work_only(void **state)
{
    struct stage *stage = *state;
    struct bench *bench = stage->bench;
    setup_peers(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 1, 2, "payload");
    bench_turn(bench);
    drop_all(bench, 1);
    core_set_full(bench->core, true);
    submit(bench, 1, &spec, 3);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_BUSY);
    report_done(bench, 2, leased(bench, 2), "answer");
    bench_turn(bench);
    cancel(bench, 1, 2);
    bench_turn(bench);
    report_cancelled(bench, 2, leased(bench, 2));
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).cancelled, 1);
    core_set_full(bench->core, false);
    drop_all(bench, 1);
    submit(bench, 1, &spec, 4);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void submit_two(struct bench *bench, uint32_t number,
                       const enum drover_durability *levels)
{
    struct drv_entry entries[2];
    struct drv_submit_group groups[2];
    for (uint32_t i = 0; i < 2; i++) {
        entries[i] = (struct drv_entry){.id = id_of(number + i), .val = val_of("payload")};
        groups[i] = (struct drv_submit_group){
            .spec = spec_of("work"), .entries = &entries[i], .entry_count = 1};
        groups[i].spec.durability = levels[i];
    }
    struct drv_message message = request(bench, 1, DRV_SUBMIT);
    message.submit.groups = groups;
    message.submit.group_count = 2;
    speak(bench, 1, &message);
    bench_turn(bench);
}

/* The acknowledgement of tasks of different levels names the lowest, in whatever order they
 * come; that of a retry names the level of the task. */
static void test_acknowledgement_names_the_lowest_level(void **state)
{
    static const enum drover_durability pairs[][2] = {
        {DROVER_DURABILITY_MEMORY, DROVER_DURABILITY_SYNCED},
        {DROVER_DURABILITY_SYNCED, DROVER_DURABILITY_WRITTEN},
        {DROVER_DURABILITY_DEFAULT, DROVER_DURABILITY_SYNCED}};
    static const enum drover_durability expected[] = {
        DROVER_DURABILITY_MEMORY, DROVER_DURABILITY_WRITTEN, DROVER_DURABILITY_SYNCED};
    struct stage *stage = *state;
    struct bench *bench = stage->bench;
    client(bench, 1);
    for (uint32_t i = 0; i < 3; i++) {
        submit_two(bench, 1 + 2 * i, pairs[i]);
        assert_int_equal(reply(bench, 1)->number, expected[i]);
    }
    cancel(bench, 1, 4);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_message message = request(bench, 1, DRV_RETRY);
    struct drv_target target = {
        .id = id_of(4), .index = DROVER_INDEX_NONE, .new_id = id_of(100)};
    message.targets.targets = &target;
    message.targets.target_count = 1;
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_WRITTEN);
}

/* What a queue prescribes holds for tasks that ask for nothing, also in the next life of the
 * broker; a task that comes again after it has changed is still the same task. */
static void test_queue_prescribes_a_level(void **state)
{
    struct stage *stage = *state;
    struct bench *bench = stage->bench;
    struct drv_message message;
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_SYNCED);
    message = request(bench, 1, DRV_QUEUE);
    message.queue = (struct drv_queue_request){
        .op = DRV_QUEUE_SET,
        .queue = text("default"),
        .has_settings = true,
        .settings = {-1, -1, -1, -1, -1, -1, DROVER_DURABILITY_WRITTEN, -1, -1}};
    speak(bench, 1, &message);
    bench_turn(bench);
    drop_all(bench, 1);
    submit(bench, 1, &spec, 1);
    bench_turn(bench);
    expect_ok(bench, 1);
    submit(bench, 1, &spec, 2);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->number, DROVER_DURABILITY_WRITTEN);
    spec.durability = DROVER_DURABILITY_SYNCED;
    submit(bench, 1, &spec, 2);
    bench_turn(bench);
    expect_note(bench, 1, 0, DROVER_CONFLICT);
}

/* A submit of a client that has received all replies before. */
static void submit_received(struct bench *bench, const struct drv_spec *spec, uint32_t number)
{
    struct drv_entry entry = {.id = id_of(number), .val = val_of("payload")};
    struct drv_submit_group group = {.spec = *spec, .entries = &entry, .entry_count = 1};
    struct drv_message message = request(bench, 1, DRV_SUBMIT);
    message.request.floor = message.request.req;
    message.submit.groups = &group;
    message.submit.group_count = 1;
    speak(bench, 1, &message);
}

/* One turn of a shell that compacts. */
static void compact_turn(struct stage *stage, size_t *from)
{
    (void)store_compact(stage->store, stage->bench->core);
    bench_tick(stage->bench);
    hand_over(stage, from);
    pump(stage);
}

/* A task that stays while thousands pass is still there after the segments of its time have
 * gone; the disk does not grow with what has passed. */
static void test_journal_keeps_what_stays_while_much_passes(void **state)
{
    struct stage *stage = *state;
    struct bench *bench = stage->bench;
    size_t from = 0;
    client(bench, 1);
    struct drv_spec stays = spec_of("nobody");
    submit(bench, 1, &stays, 1);
    bench_turn(bench);
    drop_all(bench, 1);
    array_of(bench, 1, &stays, 2, 5);
    worker(bench, 2, "work", 1);
    struct drv_spec passes = watched("work");
    passes.flags |= DRV_SPEC_RELEASE;
    for (uint32_t n = 0; n < 3000; n++) {
        submit_received(bench, &passes, 100 + n);
        bench_turn(bench);
        report_done(bench, 2, leased(bench, 2), "answer");
        bench_turn(bench);
        drop_all(bench, 1);
        hand_over(stage, &from);
        compact_turn(stage, &from);
        compact_turn(stage, &from);
    }
    assert_true(fault_disk_used(stage->disk) < (uint64_t)12 * 64 * 1024);
    assert_ok(store_health(stage->store, NULL));
    assert_ok(store_stop(stage->store));
    restart(stage);
    assert_int_equal(counters(bench).queued, 6);
    assert_int_equal(counters(bench).succeeded, 3000);
    assert_int_equal(counters(bench).submitted, 3006);
}

#define BOTH(name)                                              \
    {#name " (memory)", name, memory_setup, teardown, NULL},    \
    {                                                           \
#name " (journal)", name, journal_setup, teardown, NULL \
    }
#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, journal_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_numbers_grow_and_become_safe),
        BOTH(test_levels_follow_each_other),
        BOTH(test_levels_beyond_the_store_are_refused),
        BOTH(test_full_store_refuses_new_work_only),
        JOURNAL_TEST(test_acknowledgement_names_the_lowest_level),
        JOURNAL_TEST(test_queue_prescribes_a_level),
        JOURNAL_TEST(test_journal_gives_back_what_was_synced),
        JOURNAL_TEST(test_journal_error_ends_the_store),
        JOURNAL_TEST(test_journal_keeps_what_stays_while_much_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
