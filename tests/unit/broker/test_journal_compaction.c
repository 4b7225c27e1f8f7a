/*
 * test_journal_compaction.c: the log is reclaimed in order, and the disk stays under twice the
 * live data plus two segments plus the reserve, whatever dies when.
 */
#include "journal_owner.h"

static uint64_t bound(const struct owner *owner)
{
    return 2 * owner->live + 2 * owner->rig.segment + owner->rig.reserve;
}

static uint64_t disk(const struct owner *owner)
{
    struct journal_stats stats;
    journal_stats_get(owner->rig.journal, &stats);
    return stats.disk_bytes;
}

/* One turn and those that compaction brings about at once: the thread does its work, the loop
 * wakes and does its own. */
static void turn(struct owner *owner, size_t actions)
{
    owner_turn(owner, actions);
    rig_settle(&owner->rig);
    while (owner_compact(owner)) {
        journal_publish(owner->rig.journal);
        rig_settle(&owner->rig);
    }
}

static void assert_bound(struct owner *owner)
{
    journal_set_live(owner->rig.journal, owner->live);
    journal_tick(owner->rig.journal);
    rig_settle(&owner->rig);
    assert_true(disk(owner) <= bound(owner));
}

static void restart(struct owner *owner)
{
    rig_kill(&owner->rig);
    assert_ok(owner_start(owner));
}

/* Nothing is reclaimed while there is little. */
static void test_compaction_small_log_is_left_alone(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    assert_ok(owner_start(&owner));
    turn(&owner, 20);
    journal_stats_get(owner.rig.journal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(stats.reclaimed, 0);
    assert_int_equal(stats.disk_bytes, 2 * RIG_SEGMENT);
    assert_int_equal(stats.live_bytes, owner.live);
    owner_fini(&owner);
}

/* Objects come, change and go at random: the bound holds after every turn. */
static void test_compaction_random_life_stays_within_the_bound(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    owner.size_max = 2000;
    owner.object_count = 200;
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 4000; i++) {
        turn(&owner, 5);
        assert_bound(&owner);
    }
    journal_stats_get(owner.rig.journal, &stats);
    print_message("%" PRIu64 " reclaimed, %" PRIu64 " copies\n", stats.reclaimed, owner.copies);
    assert_true(stats.reclaimed > 50);
    restart(&owner);
    owner_fini(&owner);
}

/* One object is kept while many others pass: it is carried on, and the disk stays small. */
static void test_compaction_one_old_object_among_many_that_pass(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    assert_ok(owner_start(&owner));
    owner_make(&owner, 0, 300);
    const uint32_t version = owner.objects[0].version;
    for (int i = 0; i < 5000; i++) {
        const uint32_t number = 1 + (uint32_t)i % 20;
        owner_make(&owner, number, 150);
        owner_change(&owner, number);
        owner_forget(&owner, number);
        turn(&owner, 0);
        assert_bound(&owner);
    }
    journal_stats_get(owner.rig.journal, &stats);
    assert_true(stats.reclaimed > 50);
    assert_true(stats.segments <= 2);
    assert_true(owner.copies >= stats.reclaimed / 2 && owner.copies <= stats.reclaimed + 1);
    restart(&owner);
    assert_int_equal(owner.replayed[0], version);
    owner_fini(&owner);
}

/* Everything dies and nothing is written any more: the disk is given back all the same. */
static void test_compaction_gives_space_back_when_all_is_done(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    owner.object_count = OWNER_OBJECTS;
    assert_ok(owner_start(&owner));
    for (uint32_t i = 0; i < OWNER_OBJECTS; i++) {
        owner_make(&owner, i, 2000);
        turn(&owner, 0);
    }
    assert_true(disk(&owner) > (uint64_t)20 * RIG_SEGMENT);
    for (uint32_t i = 0; i < OWNER_OBJECTS; i++) {
        owner_forget(&owner, i);
    }
    turn(&owner, 0);
    assert_bound(&owner);
    assert_true(disk(&owner) <= (uint64_t)3 * RIG_SEGMENT);
    restart(&owner);
    owner_fini(&owner);
}

/* The live half of the log comes first, the dead half behind it: the worst order for a log that
 * is reclaimed in order. Compaction starts early enough. */
static void test_compaction_dead_data_behind_live_data(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    owner.object_count = OWNER_OBJECTS;
    assert_ok(owner_start(&owner));
    for (uint32_t i = 0; i < 300; i++) {
        owner_make(&owner, i, 3000);
        turn(&owner, 0);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        const uint32_t number = 300 + i % 100;
        owner_make(&owner, number, 1000);
        owner_forget(&owner, number);
        turn(&owner, 0);
        assert_bound(&owner);
    }
    restart(&owner);
    owner_fini(&owner);
}

/* Objects larger than segments are carried on like others. */
static void test_compaction_of_objects_larger_than_segments(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    owner.size_max = 60000;
    owner.object_count = 12;
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 400; i++) {
        turn(&owner, 2);
        assert_bound(&owner);
    }
    journal_stats_get(owner.rig.journal, &stats);
    assert_true(stats.reclaimed > 50);
    assert_true(owner.copies > 5);
    restart(&owner);
    owner_fini(&owner);
}

/* A segment goes only when the copies of what it held are synced. */
static void test_compaction_waits_until_the_copies_are_synced(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    uint64_t through = 0;
    owner_init(&owner, 1);
    assert_ok(owner_start(&owner));
    owner_make(&owner, 0, 300);
    while (!journal_compaction_due(owner.rig.journal, &through)) {
        owner_make(&owner, 1, 2000);
        owner_make(&owner, 1, 2000);
        journal_publish(owner.rig.journal);
        rig_settle(&owner.rig);
        journal_set_live(owner.rig.journal, owner.live);
    }
    owner_write(&owner, OWNER_WHOLE, 0, true); /* the one that is old; known without reading */
    journal_compaction_done(owner.rig.journal);
    while (journal_pump(owner.rig.journal)) {
    }
    journal_stats_get(owner.rig.journal, &stats);
    assert_int_equal(stats.reclaimed, 0); /* the copy is not even published */
    assert_false(journal_compaction_due(owner.rig.journal, &through));
    journal_publish(owner.rig.journal);
    assert_true(journal_pump(owner.rig.journal)); /* written */
    journal_stats_get(owner.rig.journal, &stats);
    assert_int_equal(stats.reclaimed, 0);
    rig_settle(&owner.rig);
    journal_stats_get(owner.rig.journal, &stats);
    assert_int_equal(stats.reclaimed, 1);
    restart(&owner);
    owner_fini(&owner);
}

/* Reclaimed files are used again: none is made while some come back. */
static void test_compaction_recycles_files(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 500; i++) {
        turn(&owner, 5);
    }
    const uint64_t made = fault_disk_count(owner.rig.disk, FAULT_CREATE);
    struct journal_stats before;
    struct journal_stats after;
    journal_stats_get(owner.rig.journal, &before);
    for (int i = 0; i < 1000; i++) {
        turn(&owner, 5);
    }
    journal_stats_get(owner.rig.journal, &after);
    assert_true(after.reclaimed > before.reclaimed + 20);
    assert_true(fault_disk_count(owner.rig.disk, FAULT_CREATE) <= made + 3);
    restart(&owner);
    owner_fini(&owner);
}

/* An owner that tells too little: nothing can be gained, the bound cannot be kept, and
 * compaction ends all the same; what it does later is in proportion to what is appended. */
static void test_compaction_ends_when_there_is_nothing_to_gain(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    owner.object_count = OWNER_OBJECTS;
    assert_ok(owner_start(&owner));
    for (uint32_t i = 0; i < 300; i++) {
        owner_make(&owner, i, 3000);
        journal_publish(owner.rig.journal);
        rig_settle(&owner.rig);
    }
    owner.silent = true;
    turn(&owner, 0);
    assert_true(owner.copies >= 300 && owner.copies < (uint64_t)300 * 20);
    const uint64_t before = owner.copies;
    for (uint32_t i = 0; i < 30; i++) {
        owner_make(&owner, 300 + i, 3000);
        turn(&owner, 0);
    }
    assert_true(owner.copies - before < (uint64_t)30 * 20);
    restart(&owner);
    owner_fini(&owner);
}

/* A segment that went bad since it was written ends the journal; it is not given up. */
static void test_compaction_of_a_damaged_segment_ends_the_journal(void **state)
{
    static struct owner owner;
    owner_init(&owner, 1);
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 8; i++) {
        owner_make(&owner, 0, 2000);
        owner_make(&owner, 0, 2000);
        journal_publish(owner.rig.journal);
        rig_settle(&owner.rig);
    }
    fault_disk_flip(owner.rig.disk, "journal-000000000001.seg", 6000, 1);
    for (int i = 0; i < 100 && journal_health(owner.rig.journal, NULL) == DROVER_OK; i++) {
        owner_make(&owner, 0, 2000);
        turn(&owner, 0);
    }
    struct drv_problem problem = {""};
    assert_int_equal(journal_health(owner.rig.journal, &problem), DROVER_IO);
    assert_non_null(strstr(problem.text, "journal-000000000001.seg"));
    size_t len = 0;
    assert_non_null(fault_disk_bytes(owner.rig.disk, "journal-000000000001.seg", &len));
    owner_fini(&owner);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_compaction_small_log_is_left_alone),
    cmocka_unit_test(test_compaction_random_life_stays_within_the_bound),
    cmocka_unit_test(test_compaction_one_old_object_among_many_that_pass),
    cmocka_unit_test(test_compaction_gives_space_back_when_all_is_done),
    cmocka_unit_test(test_compaction_dead_data_behind_live_data),
    cmocka_unit_test(test_compaction_of_objects_larger_than_segments),
    cmocka_unit_test(test_compaction_waits_until_the_copies_are_synced),
    cmocka_unit_test(test_compaction_recycles_files),
    cmocka_unit_test(test_compaction_ends_when_there_is_nothing_to_gain),
    cmocka_unit_test(test_compaction_of_a_damaged_segment_ends_the_journal),
};

TEST_MAIN(tests)
