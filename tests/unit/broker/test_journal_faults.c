/* test_journal_faults.c: a journal at work on a disk that fills up, fails, or takes its time.
 */
#include "journal_owner.h"

#include <errno.h>

/* Whatever fails first (write or sync, of data or of the store file), the journal ends: no
 * later report, and a restart finds what was reported. */
static void fail_each(enum fault_op op, int error)
{
    for (uint64_t nth = 1;; nth++) {
        static struct owner owner;
        owner_init(&owner, test_seed());
        owner.size_max = 1000;
        assert_ok(owner_start(&owner));
        fault_disk_fail(owner.rig.disk, op, nth, error);
        const uint64_t before = fault_disk_count(owner.rig.disk, op);
        struct drv_problem problem = {""};
        for (int i = 0; i < 60; i++) {
            const bool failed = journal_health(owner.rig.journal, &problem) != DROVER_OK;
            const uint64_t synced = journal_synced(owner.rig.journal);
            owner_turn(&owner, 5);
            rig_settle(&owner.rig);
            assert_true(!failed || journal_synced(owner.rig.journal) == synced);
        }
        const bool reached = fault_disk_count(owner.rig.disk, op) - before >= nth;
        if (reached) {
            assert_int_equal(journal_health(owner.rig.journal, &problem), DROVER_IO);
            assert_non_null(strstr(problem.text, strerror(error)));
            assert_int_equal(journal_stop(owner.rig.journal), DROVER_IO);
        } else {
            assert_ok(journal_health(owner.rig.journal, NULL));
        }
        rig_kill(&owner.rig);
        assert_ok(owner_start(&owner));
        owner_fini(&owner);
        if (!reached || nth > 60) {
            assert_true(nth > 10);
            return;
        }
    }
}

static void test_faults_write_error_ends_the_journal(void **state)
{
    fail_each(FAULT_WRITE, EIO);
}

static void test_faults_sync_error_ends_the_journal(void **state)
{
    fail_each(FAULT_SYNC, EIO);
}

/* The sync is not tried again: after the failure the disk is not touched. */
static void test_faults_sync_is_never_retried(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    fault_disk_fail(rig.disk, FAULT_SYNC, 1, EIO);
    rig_append_many(&rig, 5);
    rig_settle(&rig);
    const uint64_t syncs = fault_disk_count(rig.disk, FAULT_SYNC);
    const uint64_t writes = fault_disk_count(rig.disk, FAULT_WRITE);
    for (int i = 0; i < 10; i++) {
        rig_append_many(&rig, 5);
        rig_settle(&rig);
        journal_tick(rig.journal);
    }
    assert_int_equal(journal_stop(rig.journal), DROVER_IO);
    assert_int_equal(fault_disk_count(rig.disk, FAULT_SYNC), syncs);
    assert_int_equal(fault_disk_count(rig.disk, FAULT_WRITE), writes);
    assert_int_equal(journal_synced(rig.journal), 0);
    rig_fini(&rig);
}

/*
 * What a failed sync left in memory, clean as far as the system knows, is found by the next
 * start: it may count, but then it is on the disk before anybody hears of it.
 */
static void test_faults_restart_after_a_failed_sync_writes_again(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 5);
    fault_disk_fail(rig.disk, FAULT_SYNC, 1, EIO);
    rig_append_many(&rig, 20);
    rig_settle(&rig);
    rig_kill(&rig);
    assert_ok(rig_start(&rig)); /* asserts synced <= last */
    const uint64_t found = rig.recovery.last_lsn;
    assert_true(found == 5 || found == 25);
    rig_crash(&rig, fault_disk_crash_bits(rig.disk, 0));
    assert_ok(rig_start(&rig)); /* asserts that what was served is there */
    assert_int_equal(rig.recovery.last_lsn, found);
    rig_fini(&rig);
}

/* Writes that take only a part of what they are given. */
static void test_faults_short_writes_are_continued(void **state)
{
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct rig rig;
        rig_init(&rig, nth);
        assert_ok(rig_start(&rig));
        for (int i = 0; i < 10; i++) {
            fault_disk_fail(rig.disk, FAULT_WRITE, nth, 0);
            rig_append_synced(&rig, 10);
        }
        rig_kill(&rig);
        assert_ok(rig_start(&rig));
        assert_int_equal(rig.last_seen, 100);
        rig_fini(&rig);
    }
}

/* ---- a full disk ----------------------------------------------------------------------------
 */

/*
 * The disk is full: the journal says so before anything is lost, goes on into the reserve,
 * stands still at its end without an error, and is well again when there is space.
 */
static void test_faults_full_disk_goes_into_the_reserve_and_recovers(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    rig.reserve = (uint64_t)2 * RIG_SEGMENT;
    assert_ok(rig_start(&rig));
    fault_disk_set_space(rig.disk, fault_disk_used(rig.disk));
    while (!journal_is_full(rig.journal)) {
        rig_append_synced(&rig, 10);
    }
    const uint64_t at_full = rig.synced;
    while (rig.synced == rig.appended) { /* what ends work still passes */
        rig_append_many(&rig, 10);
        rig_settle(&rig);
    }
    assert_true(rig.synced >= at_full + 100);
    assert_ok(journal_health(rig.journal, NULL));
    const uint64_t made = fault_disk_count(rig.disk, FAULT_CREATE);
    rig_append_many(&rig, 10);
    rig_settle(&rig); /* stands still, and does not try again and again */
    assert_int_equal(fault_disk_count(rig.disk, FAULT_CREATE), made);
    journal_tick(rig.journal);
    rig_settle(&rig);
    assert_true(journal_is_full(rig.journal));
    assert_true(rig.synced < rig.appended);

    fault_disk_set_space(rig.disk, UINT64_MAX);
    journal_tick(rig.journal);
    rig_settle(&rig);
    assert_int_equal(rig.synced, rig.appended);
    journal_tick(rig.journal);
    rig_settle(&rig);
    assert_false(journal_is_full(rig.journal));
    rig_kill(&rig);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, rig.appended);
    rig_fini(&rig);
}

/* Compaction alone can make a full disk well again: what is reclaimed fills the reserve. */
static void test_faults_full_disk_is_helped_by_compaction(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    owner.rig.reserve = (uint64_t)2 * RIG_SEGMENT;
    owner.size_max = 2000;
    assert_ok(owner_start(&owner));
    uint64_t full = 0;
    for (int i = 0; i < 2000 && full < 3; i++) {
        fault_disk_set_space(owner.rig.disk, (uint64_t)9 * RIG_SEGMENT);
        const bool before = journal_is_full(owner.rig.journal);
        owner_turn(&owner, before ? 0 : 5);
        rig_settle(&owner.rig);
        if (journal_is_full(owner.rig.journal) && !before) {
            full++;
            for (uint32_t object = 0; object < owner.object_count; object++) {
                if (owner.objects[object].version != 0) {
                    owner_forget(&owner, object); /* the work is done */
                }
            }
            journal_publish(owner.rig.journal);
        }
        if (before && !journal_is_full(owner.rig.journal)) {
            owner.size_max = 4000;
        }
    }
    rig_settle(&owner.rig);
    assert_ok(journal_health(owner.rig.journal, NULL));
    assert_int_equal(owner.rig.synced, owner.rig.appended);
    rig_kill(&owner.rig);
    assert_ok(owner_start(&owner));
    owner_fini(&owner);
}

/* The disk stays full until the end: stopping says that something is missing. */
static void test_faults_stop_on_a_full_disk_tells(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    assert_ok(rig_start(&rig));
    fault_disk_set_space(rig.disk, fault_disk_used(rig.disk));
    while (rig.synced == rig.appended) {
        rig_append_many(&rig, 10);
        rig_settle(&rig);
    }
    assert_int_equal(journal_stop(rig.journal), DROVER_IO);
    assert_int_equal(journal_health(rig.journal, &rig.problem), DROVER_IO);
    assert_non_null(strstr(rig.problem.text, "disk is full"));
    rig_kill(&rig);
    fault_disk_set_space(rig.disk, UINT64_MAX);
    assert_ok(rig_start(&rig));
    rig_fini(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_faults_write_error_ends_the_journal),
    cmocka_unit_test(test_faults_sync_error_ends_the_journal),
    cmocka_unit_test(test_faults_sync_is_never_retried),
    cmocka_unit_test(test_faults_restart_after_a_failed_sync_writes_again),
    cmocka_unit_test(test_faults_short_writes_are_continued),
    cmocka_unit_test(test_faults_full_disk_goes_into_the_reserve_and_recovers),
    cmocka_unit_test(test_faults_full_disk_is_helped_by_compaction),
    cmocka_unit_test(test_faults_stop_on_a_full_disk_tells),
};

TEST_MAIN(tests)
