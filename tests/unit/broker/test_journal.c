/* test_journal.c: the journal in everyday life: appending, reporting, replaying, ending. */
#include "journal_rig.h"

#include "format.h"

/* A directory that is not there becomes a store without records, whose epoch is 1. */
static void test_journal_missing_directory_becomes_a_store(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.recovery.records, 0);
    assert_int_equal(rig.recovery.last_lsn, 0);
    assert_int_equal(journal_epoch(rig.journal), 1);
    assert_int_equal(journal_synced(rig.journal), 0);
    rig_fini(&rig);
}

/* What was appended is replayed, body for body, and every start has a higher epoch. */
static void test_journal_replay_gives_what_was_appended(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    for (uint64_t epoch = 1; epoch <= 5; epoch++) {
        assert_ok(rig_start(&rig));
        assert_int_equal(journal_epoch(rig.journal), epoch);
        assert_int_equal(rig.recovery.records, (epoch - 1) * 300);
        rig_append_synced(&rig, 300);
        rig_kill(&rig);
    }
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, 1500);
    assert_true(rig.recovery.segments > 5);
    rig_fini(&rig);
}

/* A record is written after one step and synced after the next, not earlier. */
static void test_journal_reports_written_before_synced(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    rig_append_many(&rig, 10);
    assert_int_equal(journal_written(rig.journal), 0);
    assert_true(journal_pump(rig.journal));
    assert_int_equal(journal_written(rig.journal), 10);
    assert_int_equal(journal_synced(rig.journal), 0);
    assert_true(journal_pump(rig.journal));
    assert_int_equal(journal_synced(rig.journal), 10);
    assert_false(journal_pump(rig.journal));
    rig_fini(&rig);
}

/* What gathers while a batch waits for its sync becomes one batch, with one sync. */
static void test_journal_gathers_a_batch_while_one_syncs(void **state)
{
    struct rig rig;
    struct journal_stats stats;
    rig_init(&rig, 1);
    rig.body_max = 20;
    assert_ok(rig_start(&rig));
    rig_append_many(&rig, 1);
    assert_true(journal_pump(rig.journal));
    for (int i = 0; i < 50; i++) {
        rig_append_many(&rig, 1);
    }
    rig_settle(&rig);
    journal_stats_get(rig.journal, &stats);
    assert_int_equal(stats.records, 51);
    assert_int_equal(stats.batches, 2);
    assert_int_equal(stats.syncs, 2);
    rig_fini(&rig);
}

/* Nothing is handed over before it is published. */
static void test_journal_unpublished_stays_with_the_loop(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    rig_append(&rig);
    assert_false(journal_pump(rig.journal));
    journal_publish(rig.journal);
    assert_true(journal_pump(rig.journal));
    rig_fini(&rig);
}

/* Bodies larger than batches and segments are split, and come back whole. */
static void test_journal_splits_bodies_larger_than_segments(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    rig.body_max = 12 * 1024;
    rig.large_one_in = 10;
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 300);
    rig_kill(&rig);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, 300);
    assert_true(rig.recovery.segments > 30);
    rig_fini(&rig);
}

/* The queue's room goes down to nothing and comes back; appending works all the same. */
static void test_journal_room_tells_when_to_stop_reading(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    const size_t room = journal_room(rig.journal);
    assert_int_equal(room, JOURNAL_QUEUE_BYTES);
    rig.body_max = 100 * 1024;
    while (journal_room(rig.journal) > 0) {
        rig_append(&rig);
    }
    rig_append_many(&rig, 3);
    rig_settle(&rig);
    assert_int_equal(journal_room(rig.journal), room);
    assert_int_equal(rig.synced, rig.appended);
    rig_fini(&rig);
}

/* Stopping writes and syncs what was appended and marks the end, so that damage is seen. */
static void test_journal_stop_makes_everything_durable(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    rig.body_max = 100;
    assert_ok(rig_start(&rig));
    rig_append(&rig);
    rig_append(&rig);
    assert_ok(journal_stop(rig.journal));
    assert_int_equal(journal_synced(rig.journal), 2);
    rig.synced = 2;
    rig_crash(&rig, fault_disk_crash_bits(rig.disk, 0));
    assert_ok(rig_start(&rig));
    assert_ok(journal_stop(rig.journal));
    rig_kill(&rig);
    fault_disk_flip(rig.disk, "journal-000000000001.seg", FORMAT_SEGMENT_START + 100, 1);
    assert_int_equal(rig_start(&rig), DROVER_MALFORMED);
    rig_fini(&rig);
}

/* While one has the directory, a second is refused; afterwards not. */
static void test_journal_second_on_the_directory_is_refused(void **state)
{
    struct rig rig;
    struct journal *second = NULL;
    struct drv_problem problem = {""};
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    const struct journal_config config = rig_config(&rig);
    assert_int_equal(journal_open(&config, &second, &problem), DROVER_BUSY);
    assert_non_null(strstr(problem.text, "in use by another broker"));
    rig_kill(&rig);
    assert_ok(rig_start(&rig));
    rig_fini(&rig);
}

/* A segment size that makes no sense is refused. */
static void test_journal_odd_segment_size_is_refused(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    rig.segment = RIG_SEGMENT + 512;
    assert_int_equal(rig_start(&rig), DROVER_INVALID);
    rig.segment = 4096;
    assert_int_equal(rig_start(&rig), DROVER_INVALID);
    rig_fini(&rig);
}

/* Another segment size counts for new segments; old ones keep theirs. */
static void test_journal_segment_size_may_change(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 500);
    rig_kill(&rig);
    rig.segment = (uint64_t)3 * RIG_SEGMENT;
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 1000);
    rig_kill(&rig);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, 1500);
    rig_fini(&rig);
}

/* The changes of the disk as text: "write journal.store, sync journal.store". */
static void story(const struct rig *rig, char *out, size_t size)
{
    static const char *const verbs[FAULT_OP_COUNT] = {
        [FAULT_CREATE] = "create", [FAULT_WRITE] = "write",       [FAULT_ALLOCATE] = "allocate",
        [FAULT_SYNC] = "sync",     [FAULT_RENAME] = "rename",     [FAULT_UNLINK] = "unlink",
        [FAULT_SYNC_DIR] = "sync", [FAULT_TRUNCATE] = "truncate",
    };
    size_t count = 0;
    size_t at = 0;
    const struct fault_record *records = fault_disk_records(rig->disk, &count);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *verb = verbs[records[i].op];
        if (verb != NULL && at < size) {
            at += (size_t)snprintf(out + at, size - at, "%s %s%s%s\n", verb, records[i].name,
                                   records[i].to[0] != '\0' ? " " : "", records[i].to);
        }
    }
}

/* Everything that matters is synced before it is relied upon: the header before the name, the
 * name before the slot, the slot before the first batch. */
static void test_journal_next_segment_is_durable_step_by_step(void **state)
{
    struct rig rig;
    char text[4096];
    rig_init(&rig, 1);
    rig.body_max = 0;
    assert_ok(rig_start(&rig));
    rig_append_many(&rig, 590); /* of 596 that fit */
    rig_settle(&rig);
    fault_disk_record(rig.disk);
    rig_append_synced(&rig, 1);
    story(&rig, text, sizeof text);
    assert_string_equal(text, "create journal.spare.tmp\n"
                              "allocate journal.spare.tmp\n"
                              "sync journal.spare.tmp\n"
                              "rename journal.spare.tmp journal-spare-000000000003\n"
                              "write journal-spare-000000000003\n"
                              "sync journal-spare-000000000003\n"
                              "rename journal-spare-000000000003 journal-000000000002.seg\n"
                              "sync \n"
                              "write journal.store\n"
                              "sync journal.store\n"
                              "write journal-000000000002.seg\n"
                              "write journal-000000000002.seg\n"
                              "sync journal-000000000002.seg\n");
    rig_fini(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_journal_missing_directory_becomes_a_store),
    cmocka_unit_test(test_journal_replay_gives_what_was_appended),
    cmocka_unit_test(test_journal_reports_written_before_synced),
    cmocka_unit_test(test_journal_gathers_a_batch_while_one_syncs),
    cmocka_unit_test(test_journal_unpublished_stays_with_the_loop),
    cmocka_unit_test(test_journal_splits_bodies_larger_than_segments),
    cmocka_unit_test(test_journal_room_tells_when_to_stop_reading),
    cmocka_unit_test(test_journal_stop_makes_everything_durable),
    cmocka_unit_test(test_journal_second_on_the_directory_is_refused),
    cmocka_unit_test(test_journal_odd_segment_size_is_refused),
    cmocka_unit_test(test_journal_segment_size_may_change),
    cmocka_unit_test(test_journal_next_segment_is_durable_step_by_step),
};

TEST_MAIN(tests)
