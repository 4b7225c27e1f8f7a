/* test_journal_inspect.c: verify, repair and backup, on disks in memory. */
#include "inspect.h"
#include "journal_owner.h"

#include "format.h"

#define FIRST "journal-000000000001.seg"
#define SECOND "journal-000000000002.seg"

static void make_store(struct rig *rig, size_t records)
{
    rig_init(rig, test_seed());
    assert_ok(rig_start(rig));
    for (size_t i = 0; i < records; i += 10) {
        rig_append_synced(rig, 10);
    }
    rig_kill(rig);
}

static drover_status verify(struct rig *rig, struct inspect_report *report)
{
    return inspect_verify(fault_disk_files(rig->disk), "disk", NULL, report, &rig->problem);
}

static drover_status repair(struct rig *rig, struct inspect_repair *done)
{
    return inspect_repair(fault_disk_files(rig->disk), "disk", done, &rig->problem);
}

/* The report of a store that is well. */
static void test_inspect_verify_says_what_is_there(void **state)
{
    struct rig rig;
    struct inspect_report report;
    make_store(&rig, 200);
    const uint64_t writes = fault_disk_count(rig.disk, FAULT_WRITE);
    assert_ok(verify(&rig, &report));
    assert_int_equal(report.records, 200);
    assert_int_equal(report.first_lsn, 1);
    assert_int_equal(report.next_lsn, 201);
    assert_int_equal(report.durable, 190); /* the last batch names the one before */
    assert_int_equal(report.epoch, 1);
    assert_int_equal(report.oldest, 1);
    assert_true(report.newest > 1);
    assert_int_equal(report.disk_bytes, fault_disk_used(rig.disk) - FORMAT_STORE_BYTES);
    assert_false(report.torn);
    assert_int_equal(fault_disk_count(rig.disk, FAULT_WRITE), writes);
    rig_fini(&rig);
}

/* The records before damage are visited, and the damage is told. */
static void test_inspect_visits_what_stands_before_the_damage(void **state)
{
    struct rig rig;
    struct inspect_report report;
    make_store(&rig, 100);
    const struct inspect_visitor visitor = {.visit = rig_on_record, .context = &rig};
    fault_disk_flip(rig.disk, FIRST, FORMAT_SEGMENT_START + 3 * FORMAT_BLOCK + 70, 1);
    rig.first_seen = 0;
    assert_int_equal(
        inspect_verify(fault_disk_files(rig.disk), "disk", &visitor, &report, &rig.problem),
        DROVER_MALFORMED);
    assert_non_null(strstr(rig.problem.text, FIRST ": damaged at offset"));
    assert_int_equal(rig.last_seen, 30);
    assert_int_equal(report.next_lsn, 31);
    rig_fini(&rig);
}

/* It may run beside a broker that writes and compacts, between any two operations on its disk.
 */
static void on_operation(void *context, enum fault_op op, const char *name)
{
    static bool inside;
    (void)op;
    (void)name;
    struct owner *owner = context;
    struct inspect_report report;
    if (owner->rig.journal == NULL || inside) {
        return;
    }
    inside = true;
    const uint64_t synced = journal_synced(owner->rig.journal);
    assert_ok(inspect_verify(fault_disk_files(owner->rig.disk), "disk", NULL, &report,
                             &owner->rig.problem));
    assert_true(report.next_lsn > synced);
    inside = false;
}

static void test_inspect_verify_beside_a_running_broker(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    owner.size_max = 900;
    assert_ok(owner_start(&owner));
    fault_disk_set_hook(owner.rig.disk, on_operation, &owner);
    for (int i = 0; i < 150; i++) {
        owner_turn(&owner, 6);
        rig_settle(&owner.rig);
    }
    journal_stats_get(owner.rig.journal, &stats);
    assert_true(stats.reclaimed > 5);
    fault_disk_set_hook(owner.rig.disk, NULL, NULL);
    owner_fini(&owner);
}

/* ---- repair ---------------------------------------------------------------------------------
 */

/* A store that is well is not touched. */
static void test_inspect_repair_leaves_a_good_store_alone(void **state)
{
    struct rig rig;
    struct inspect_repair done;
    make_store(&rig, 200);
    const uint64_t writes = fault_disk_count(rig.disk, FAULT_WRITE);
    const uint64_t renames = fault_disk_count(rig.disk, FAULT_RENAME);
    assert_ok(repair(&rig, &done));
    assert_false(done.changed);
    assert_int_equal(done.last_lsn, 200);
    assert_int_equal(fault_disk_count(rig.disk, FAULT_WRITE), writes);
    assert_int_equal(fault_disk_count(rig.disk, FAULT_RENAME), renames);
    rig_fini(&rig);
}

/* The model after a repair: what is left is what may be replayed. */
static void accept_loss(struct rig *rig, uint64_t last)
{
    rig->synced = last;
    assert_ok(rig_start(rig));
    assert_int_equal(rig->recovery.last_lsn, last);
    rig_append_synced(rig, 20);
    rig_kill(rig);
    assert_ok(rig_start(rig));
    assert_int_equal(rig->recovery.last_lsn, last + 20);
}

/* Damage in the middle: cut before it; the segments from there on are kept, byte for byte. */
static void test_inspect_repair_cuts_before_the_damage(void **state)
{
    struct rig rig;
    struct inspect_repair done;
    static uint8_t before[RIG_SEGMENT];
    size_t len = 0;
    make_store(&rig, 200);
    fault_disk_flip(rig.disk, FIRST, FORMAT_SEGMENT_START + 3 * FORMAT_BLOCK + 70, 1);
    memcpy(before, fault_disk_bytes(rig.disk, FIRST, &len), sizeof before);
    assert_int_equal(rig_start(&rig), DROVER_MALFORMED);
    assert_ok(repair(&rig, &done));
    assert_true(done.changed);
    assert_int_equal(done.last_lsn, 30);
    assert_true(done.set_aside >= 2);
    assert_memory_equal(before, fault_disk_bytes(rig.disk, FIRST ".damaged", &len), len);
    assert_non_null(fault_disk_bytes(rig.disk, SECOND ".damaged", &len));
    rig_crash(&rig, fault_disk_crash_bits(rig.disk, 0)); /* all of it is durable */
    accept_loss(&rig, 30);
    rig_fini(&rig);
}

/* A missing segment: what follows the gap is set aside. */
static void test_inspect_repair_after_a_lost_segment(void **state)
{
    struct rig rig;
    struct inspect_repair done;
    make_store(&rig, 300);
    fault_disk_remove(rig.disk, SECOND);
    assert_int_equal(rig_start(&rig), DROVER_MALFORMED);
    assert_ok(repair(&rig, &done));
    assert_int_equal(done.last_lsn, 70); /* seven batches fill a segment */
    accept_loss(&rig, 70);
    rig_fini(&rig);
}

/* A store file that is lost or damaged is made from the segments, without any loss. */
static void test_inspect_repair_makes_a_store_file(void **state)
{
    for (int damaged = 0; damaged < 2; damaged++) {
        struct rig rig;
        struct inspect_repair done;
        size_t len = 0;
        make_store(&rig, 200);
        fault_disk_remove(rig.disk, "journal.store");
        if (damaged != 0) {
            fault_disk_put(rig.disk, "journal.store", "no", 2);
        }
        assert_int_equal(rig_start(&rig), DROVER_MALFORMED);
        assert_ok(repair(&rig, &done));
        assert_int_equal(done.last_lsn, 200);
        assert_int_equal(fault_disk_bytes(rig.disk, "journal.store.damaged", &len) != NULL,
                         damaged != 0);
        accept_loss(&rig, 200);
        rig_fini(&rig);
    }
}

/* Nothing to build on, a foreign format, a broker at work: refused. */
static void test_inspect_repair_refuses_what_it_cannot(void **state)
{
    struct rig rig;
    struct inspect_repair done;
    rig_init(&rig, 1);
    assert_int_equal(repair(&rig, &done), DROVER_MALFORMED);
    assert_non_null(strstr(rig.problem.text, "holds no drover store"));
    assert_ok(rig_start(&rig));
    assert_int_equal(repair(&rig, &done), DROVER_BUSY);
    rig_kill(&rig);
    fault_disk_put(rig.disk, "journal.store", "", 0);
    fault_disk_put(rig.disk, FIRST, "", 0);
    assert_int_equal(repair(&rig, &done), DROVER_MALFORMED);
    assert_non_null(strstr(rig.problem.text, "can be read"));
    rig_fini(&rig);
}

struct cut {
    struct fault_disk *disk;
    uint64_t at;
    uint64_t count;
    uint64_t seed;
    struct fault_disk *image;
};

static void on_change(void *context, enum fault_op op, const char *name)
{
    (void)op;
    (void)name;
    struct cut *cut = context;
    if (++cut->count == cut->at) {
        cut->image = fault_disk_crash_seed(cut->disk, cut->seed);
    }
}

/* The power fails during the repair: it can be run again, and loses nothing more. */
static void test_inspect_repair_can_be_interrupted(void **state)
{
    const uint64_t seed = test_seed();
    for (uint64_t at = 1;; at++) {
        for (uint64_t sample = 0; sample < 8; sample++) {
            struct rig rig;
            struct inspect_repair done;
            make_store(&rig, 200);
            fault_disk_flip(rig.disk, FIRST, FORMAT_SEGMENT_START + 3 * FORMAT_BLOCK + 70, 1);
            struct cut cut = {.disk = rig.disk, .at = at, .seed = seed + at * 8 + sample};
            fault_disk_set_hook(rig.disk, on_change, &cut);
            assert_ok(repair(&rig, &done));
            if (cut.image == NULL) {
                assert_true(at > 5);
                rig_fini(&rig);
                return;
            }
            rig_crash(&rig, cut.image);
            assert_ok(repair(&rig, &done));
            assert_int_equal(done.last_lsn, 30);
            accept_loss(&rig, 30);
            rig_fini(&rig);
        }
    }
}

/* ---- backup ---------------------------------------------------------------------------------
 */

/* A copy of a store is a store with the same records, and durable. */
static void test_inspect_backup_is_the_same_store(void **state)
{
    struct rig rig;
    struct inspect_report report;
    struct fault_disk *copy = fault_disk_new(false);
    make_store(&rig, 200);
    assert_ok(inspect_backup(fault_disk_files(rig.disk), "disk", fault_disk_files(copy), "copy",
                             &report, &rig.problem));
    assert_int_equal(report.records, 200);
    assert_int_equal(report.durable, 200);
    struct inspect_report again;
    assert_int_equal(inspect_backup(fault_disk_files(rig.disk), "disk", fault_disk_files(copy),
                                    "copy", &again, &rig.problem),
                     DROVER_CONFLICT);
    rig_crash(&rig, fault_disk_crash_bits(copy, 0));
    fault_disk_destroy(&copy);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.recovery.last_lsn, 200);
    rig_fini(&rig);
}

/* A broker at work while its disk is copied: it takes a turn before every fourth read. */
struct busy {
    struct owner *owner;
    struct files files; /* of the owner's disk, with the turn before a read */
    bool inside;
    uint64_t synced; /* when the backup began */
    uint64_t reads;
};

static struct busy *busy;

static int busy_read(struct files_file *file, uint64_t offset, void *bytes, size_t len,
                     size_t *out_len)
{
    const struct files *files = fault_disk_files(busy->owner->rig.disk);
    if (!busy->inside && ++busy->reads % 4 == 0) {
        busy->inside = true;
        owner_turn(busy->owner, 3);
        rig_settle(&busy->owner->rig);
        busy->inside = false;
    }
    return files->read(file, offset, bytes, len, out_len);
}

static void test_inspect_backup_of_a_running_broker(void **state)
{
    static struct owner owner;
    static struct owner restored;
    struct busy own = {.owner = &owner};
    owner_init(&owner, test_seed());
    owner.size_max = 900;
    assert_ok(owner_start(&owner));
    busy = &own;
    own.files = *fault_disk_files(owner.rig.disk);
    own.files.read = busy_read;
    size_t backups = 0;
    for (int i = 0; i < 40; i++) {
        struct inspect_report report;
        struct drv_problem problem = {""};
        struct fault_disk *copy = fault_disk_new(false);
        owner_turn(&owner, 20);
        rig_settle(&owner.rig);
        own.synced = owner.rig.synced;
        const drover_status status = inspect_backup(&own.files, "disk", fault_disk_files(copy),
                                                    "copy", &report, &problem);
        if (status == DROVER_BUSY) { /* honest: recycled faster than copied */
            fault_disk_destroy(&copy);
            continue;
        }
        assert_ok(status);
        backups++;
        restored = owner; /* its memory of what was said; another disk, another journal */
        restored.rig.disk = copy;
        restored.rig.journal = NULL;
        restored.rig.epochs = NULL;
        restored.rig.synced = own.synced;
        assert_ok(owner_start(&restored)); /* the objects are those of some instant since */
        rig_fini(&restored.rig);
    }
    assert_true(backups > 10);
    owner_fini(&owner);
}

/* A damaged store is not copied into a store that looks well. */
static void test_inspect_backup_of_a_damaged_store_is_refused(void **state)
{
    struct rig rig;
    struct inspect_report report;
    struct fault_disk *copy = fault_disk_new(false);
    size_t len = 0;
    make_store(&rig, 200);
    fault_disk_flip(rig.disk, FIRST, FORMAT_SEGMENT_START + 70, 1);
    assert_int_equal(inspect_backup(fault_disk_files(rig.disk), "disk", fault_disk_files(copy),
                                    "copy", &report, &rig.problem),
                     DROVER_MALFORMED);
    assert_non_null(strstr(rig.problem.text, FIRST));
    assert_null(fault_disk_bytes(copy, "journal.store", &len));
    fault_disk_destroy(&copy);
    rig_fini(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_inspect_verify_says_what_is_there),
    cmocka_unit_test(test_inspect_visits_what_stands_before_the_damage),
    cmocka_unit_test(test_inspect_verify_beside_a_running_broker),
    cmocka_unit_test(test_inspect_repair_leaves_a_good_store_alone),
    cmocka_unit_test(test_inspect_repair_cuts_before_the_damage),
    cmocka_unit_test(test_inspect_repair_after_a_lost_segment),
    cmocka_unit_test(test_inspect_repair_makes_a_store_file),
    cmocka_unit_test(test_inspect_repair_refuses_what_it_cannot),
    cmocka_unit_test(test_inspect_repair_can_be_interrupted),
    cmocka_unit_test(test_inspect_backup_is_the_same_store),
    cmocka_unit_test(test_inspect_backup_of_a_running_broker),
    cmocka_unit_test(test_inspect_backup_of_a_damaged_store_is_refused),
};

TEST_MAIN(tests)
