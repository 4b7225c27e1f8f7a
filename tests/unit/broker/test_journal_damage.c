/* test_journal_damage.c: what a start says about a directory in which something is wrong. */
#include "journal_rig.h"

#include "format.h"

#include <errno.h>
#include <xxhash.h>

#define FIRST "journal-000000000001.seg"
#define SECOND "journal-000000000002.seg"
#define THIRD "journal-000000000003.seg"

/* A store with so many records, stopped in order or killed. */
static void make_store(struct rig *rig, size_t records, bool stop)
{
    rig_init(rig, test_seed());
    assert_ok(rig_start(rig));
    for (size_t i = 0; i < records; i += 10) {
        rig_append_synced(rig, records - i < 10 ? records - i : 10);
    }
    if (stop) {
        assert_ok(journal_stop(rig->journal));
    }
    rig_kill(rig);
}

static void assert_refused(struct rig *rig, drover_status status, const char *text)
{
    assert_int_equal(rig_start(rig), status);
    if (strstr(rig->problem.text, text) == NULL) {
        fail_msg("'%s' is not in '%s'", text, rig->problem.text);
    }
}

/* One flipped bit anywhere in what was synced: refused, and the file is named; nothing changed.
 */
static void test_damage_flipped_bit_below_the_mark_is_refused(void **state)
{
    struct rig rig;
    struct drv_rng rng;
    make_store(&rig, 400, true);
    drv_rng_init(&rng, rig.seed);
    size_t refused = 0;
    for (int i = 0; i < 400; i++) {
        size_t len = 0;
        const char *name = drv_rng_below(&rng, 2) == 0 ? FIRST : SECOND;
        assert_non_null(fault_disk_bytes(rig.disk, name, &len));
        const uint64_t offset = drv_rng_below(&rng, len);
        const uint8_t bit = (uint8_t)(1U << drv_rng_below(&rng, 8));
        fault_disk_flip(rig.disk, name, offset, bit);
        const uint64_t writes = fault_disk_count(rig.disk, FAULT_WRITE);
        const drover_status status = rig_start(&rig);
        if (status == DROVER_OK) { /* in padding: it does no harm */
            assert_int_equal(rig.last_seen, 400);
            rig_kill(&rig);
        } else {
            refused++;
            assert_int_equal(status, DROVER_MALFORMED);
            assert_non_null(strstr(rig.problem.text, name));
            assert_int_equal(fault_disk_count(rig.disk, FAULT_WRITE), writes);
        }
        fault_disk_flip(rig.disk, name, offset, bit);
    }
    assert_true(refused > 100);
    assert_ok(rig_start(&rig));
    rig_fini(&rig);
}

/* The message names the offset of the very record. */
static void test_damage_message_names_file_and_offset(void **state)
{
    struct rig rig;
    char text[64];
    rig_init(&rig, 1);
    rig.body_max = 0;
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 10);
    rig_append_synced(&rig, 10);
    rig_kill(&rig);
    const uint64_t offset = FORMAT_SEGMENT_START + FORMAT_BATCH_HEADER +
                            3U * FORMAT_RECORD_HEADER;
    fault_disk_flip(rig.disk, FIRST, offset + 20, 4);
    (void)snprintf(text, sizeof text, FIRST ": damaged at offset %" PRIu64, offset);
    assert_refused(&rig, DROVER_MALFORMED, text);
    rig_fini(&rig);
}

/* After a kill the last batch may have been torn: damage in it alone cuts it off. */
static void test_damage_in_the_last_batch_cuts_it_off(void **state)
{
    struct rig rig;
    make_store(&rig, 25, false);
    size_t len = 0;
    const uint8_t *bytes = fault_disk_bytes(rig.disk, FIRST, &len);
    uint64_t last = len - 1;
    while (bytes[last] == 0) {
        last--;
    }
    fault_disk_flip(rig.disk, FIRST, last, 0x10);
    rig.synced = 20;
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.recovery.last_lsn, 20);
    assert_true(rig.recovery.torn);
    rig_append_synced(&rig, 10);
    rig_kill(&rig);
    assert_ok(rig_start(&rig));
    assert_false(rig.recovery.torn);
    assert_int_equal(rig.recovery.last_lsn, 30);
    rig_fini(&rig);
}

/* What stood behind a cut never comes back, even when what was written since is lost. */
static void test_damage_what_was_cut_off_stays_away(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    assert_ok(rig_start(&rig));
    rig_append_synced(&rig, 10);
    rig_append_many(&rig, 60); /* one batch, of which only the first sector is lost */
    assert_true(journal_pump(rig.journal));
    rig_kill(&rig);
    size_t at = FORMAT_SEGMENT_START;
    size_t len = 0;
    const uint8_t *bytes = fault_disk_bytes(rig.disk, FIRST, &len);
    struct format_batch batch;
    const drover_id store = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};
    assert_true(format_batch_read(bytes + at, format_seed(&store), &batch));
    at += batch.length;
    fault_disk_flip(rig.disk, FIRST, at, 1);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, 10);
    rig_kill(&rig);
    bytes = fault_disk_bytes(rig.disk, FIRST, &len);
    for (size_t i = at; i < len; i++) {
        assert_int_equal(bytes[i], 0);
    }
    rig_fini(&rig);
}

/* A segment that is not there. */
static void test_damage_missing_segment_is_refused(void **state)
{
    static const char *const names[] = {FIRST, SECOND, THIRD};
    for (size_t i = 0; i < 3; i++) {
        struct rig rig;
        make_store(&rig, 500, false);
        assert_true(fault_disk_bytes(rig.disk, THIRD, &(size_t){0}) != NULL);
        fault_disk_remove(rig.disk, names[i]);
        assert_refused(&rig, DROVER_MALFORMED, names[i]);
        assert_non_null(strstr(rig.problem.text, "missing"));
        rig_fini(&rig);
    }
}

/* Segments without the store file are not made into a new store. */
static void test_damage_missing_store_file_is_refused(void **state)
{
    struct rig rig;
    make_store(&rig, 10, false);
    fault_disk_remove(rig.disk, "journal.store");
    assert_refused(&rig, DROVER_MALFORMED, "journal.store is missing");
    rig_fini(&rig);
}

/* A segment or store file of no bytes. */
static void test_damage_empty_file_is_refused(void **state)
{
    static const char *const names[] = {FIRST, SECOND, "journal.store"};
    for (size_t i = 0; i < 3; i++) {
        struct rig rig;
        make_store(&rig, 300, false);
        fault_disk_put(rig.disk, names[i], "", 0);
        assert_refused(&rig, DROVER_MALFORMED, "is empty");
        assert_non_null(strstr(rig.problem.text, names[i]));
        rig_fini(&rig);
    }
}

/* A segment that lost its end. */
static void test_damage_cut_segment_is_refused(void **state)
{
    static uint8_t half[RIG_SEGMENT / 2];
    struct rig rig;
    size_t len = 0;
    make_store(&rig, 300, false);
    memcpy(half, fault_disk_bytes(rig.disk, FIRST, &len), sizeof half);
    fault_disk_put(rig.disk, FIRST, half, sizeof half);
    assert_refused(&rig, DROVER_MALFORMED, "is cut off at offset 16384 of 32768");
    rig_fini(&rig);
}

static void copy_file(struct fault_disk *from, const char *name, struct fault_disk *to,
                      const char *as)
{
    size_t len = 0;
    const uint8_t *bytes = fault_disk_bytes(from, name, &len);
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    fault_disk_put(to, as, copy, len);
    free(copy);
}

/* A copy of a segment under another number, or another name. */
static void test_damage_doubled_segment_is_refused(void **state)
{
    struct rig rig;
    make_store(&rig, 100, false);
    copy_file(rig.disk, FIRST, rig.disk, THIRD);
    assert_refused(&rig, DROVER_MALFORMED, THIRD " is a copy of segment 1");
    fault_disk_remove(rig.disk, THIRD);
    copy_file(rig.disk, FIRST, rig.disk, "journal-000000000001 (copy).seg");
    assert_refused(&rig, DROVER_MALFORMED, "(copy).seg has no segment's name");
    fault_disk_remove(rig.disk, "journal-000000000001 (copy).seg");
    copy_file(rig.disk, FIRST, rig.disk, "journal-000000000009.seg");
    assert_refused(&rig, DROVER_MALFORMED, "journal-000000000009.seg is not part of the store");
    fault_disk_remove(rig.disk, "journal-000000000009.seg");
    assert_ok(rig_start(&rig));
    rig_fini(&rig);
}

/* A segment of another store. */
static void test_damage_foreign_segment_is_refused(void **state)
{
    struct rig rig;
    struct rig other;
    char letter[200]; /* long enough to be taken for a header by its length */
    make_store(&rig, 300, false);
    rig_init(&other, 1);
    struct journal_config config = rig_config(&other);
    config.store_id.bytes[0] = 99;
    assert_ok(journal_open(&config, &other.journal, &other.problem));
    assert_ok(journal_replay(other.journal, NULL, NULL, &other.recovery, &other.problem));
    assert_ok(journal_start(other.journal, &other.problem));
    rig_kill(&other);
    copy_file(other.disk, FIRST, rig.disk, FIRST);
    assert_refused(&rig, DROVER_MALFORMED, FIRST " belongs to another store");
    memset(letter, 'x', sizeof letter);
    fault_disk_put(rig.disk, FIRST, letter, sizeof letter);
    assert_refused(&rig, DROVER_MALFORMED, FIRST " is no drover segment");
    rig_fini(&other);
    rig_fini(&rig);
}

/* A later format: a gate, not a guess. */
static void test_damage_other_format_version_is_refused(void **state)
{
    struct rig rig;
    uint8_t header[FORMAT_HEADER_BYTES];
    make_store(&rig, 10, false);
    const struct format_segment segment = {
        .store = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}, .number = 1, .first_lsn = 1, .bytes = 32768};
    format_segment_write(&segment, header);
    size_t len = 0;
    const uint8_t *bytes = fault_disk_bytes(rig.disk, FIRST, &len);
    assert_memory_equal(bytes + 8, header + 8, 48);
    header[16] = 7; /* the version; and the checksum over it */
    const uint64_t hash = XXH3_64bits(header + 8, sizeof header - 8);
    memcpy(header, &hash, sizeof hash);
    for (size_t i = 0; i < sizeof header; i++) {
        fault_disk_flip(rig.disk, FIRST, i, bytes[i] ^ header[i]);
    }
    assert_refused(&rig, DROVER_VERSION,
                   FIRST " has format version 7; this drover reads version 1");
    rig_fini(&rig);
}

/* A file that has nothing to do with the journal is left alone, an empty directory is a store.
 */
static void test_damage_other_files_are_left_alone(void **state)
{
    struct rig rig;
    size_t len = 0;
    rig_init(&rig, 1);
    fault_disk_put(rig.disk, "lost+found.txt", "x", 1);
    assert_ok(rig_start(&rig));
    assert_non_null(fault_disk_bytes(rig.disk, "lost+found.txt", &len));
    rig_fini(&rig);
}

/* One slot of the store file may be torn; with both gone it is damage. */
static void test_damage_one_slot_is_enough(void **state)
{
    struct rig rig;
    make_store(&rig, 10, false);
    fault_disk_flip(rig.disk, "journal.store", 50, 1);
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, 10);
    rig_kill(&rig); /* which wrote over the damaged one */
    fault_disk_flip(rig.disk, "journal.store", FORMAT_SLOT_SPACING + 50, 1);
    assert_ok(rig_start(&rig));
    rig_kill(&rig);
    fault_disk_flip(rig.disk, "journal.store", 50, 1);
    fault_disk_flip(rig.disk, "journal.store", FORMAT_SLOT_SPACING + 50, 1);
    assert_refused(&rig, DROVER_MALFORMED, "journal.store: damaged at offset 0");
    rig_fini(&rig);
}

/* Full or read-only at the start: a message, and not a byte is different. */
static void test_damage_full_or_read_only_at_start_changes_nothing(void **state)
{
    static const int errors[] = {ENOSPC, EROFS, EIO};
    for (size_t i = 0; i < 3; i++) {
        struct rig rig;
        size_t len = 0;
        static uint8_t before[RIG_SEGMENT];
        make_store(&rig, 100, false);
        memcpy(before, fault_disk_bytes(rig.disk, FIRST, &len), sizeof before);
        fault_disk_fail_all(rig.disk, errors[i]);
        assert_refused(&rig, DROVER_IO, strerror(errors[i]));
        assert_memory_equal(before, fault_disk_bytes(rig.disk, FIRST, &len), sizeof before);
        assert_int_equal(len, RIG_SEGMENT);
        fault_disk_fail_all(rig.disk, 0);
        assert_ok(rig_start(&rig));
        assert_int_equal(rig.last_seen, 100);
        rig_fini(&rig);
    }
}

/* A new store on a full disk: a message; when there is space again it is made. */
static void test_damage_new_store_on_a_full_disk_is_refused(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    fault_disk_set_space(rig.disk, RIG_SEGMENT + 10000);
    assert_refused(&rig, DROVER_IO, strerror(ENOSPC));
    fault_disk_set_space(rig.disk, 1000000);
    assert_ok(rig_start(&rig));
    rig_fini(&rig);
}

/* A disk that cannot be read is an error of the disk, not damage. */
static void test_damage_read_error_is_io(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        struct rig rig;
        make_store(&rig, 100, true);
        fault_disk_fail(rig.disk, FAULT_READ, nth, EIO);
        const uint64_t before = fault_disk_count(rig.disk, FAULT_READ);
        const drover_status status = rig_start(&rig);
        const bool reached = fault_disk_count(rig.disk, FAULT_READ) - before >= nth;
        if (reached) {
            assert_int_equal(status, DROVER_IO);
        }
        rig_fini(&rig);
        if (!reached) {
            assert_true(nth > 3);
            return;
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_damage_flipped_bit_below_the_mark_is_refused),
    cmocka_unit_test(test_damage_message_names_file_and_offset),
    cmocka_unit_test(test_damage_in_the_last_batch_cuts_it_off),
    cmocka_unit_test(test_damage_what_was_cut_off_stays_away),
    cmocka_unit_test(test_damage_missing_segment_is_refused),
    cmocka_unit_test(test_damage_missing_store_file_is_refused),
    cmocka_unit_test(test_damage_empty_file_is_refused),
    cmocka_unit_test(test_damage_cut_segment_is_refused),
    cmocka_unit_test(test_damage_doubled_segment_is_refused),
    cmocka_unit_test(test_damage_foreign_segment_is_refused),
    cmocka_unit_test(test_damage_other_format_version_is_refused),
    cmocka_unit_test(test_damage_other_files_are_left_alone),
    cmocka_unit_test(test_damage_one_slot_is_enough),
    cmocka_unit_test(test_damage_full_or_read_only_at_start_changes_nothing),
    cmocka_unit_test(test_damage_new_store_on_a_full_disk_is_refused),
    cmocka_unit_test(test_damage_read_error_is_io),
};

TEST_MAIN(tests)
