/*
 * test_journal_scan.c: logs that no journal would write in this order, with right checksums:
 * which records a replay takes, and where it ends.
 */
#include "fault_disk.h"
#include "format.h"
#include "journal.h"
#include "test.h"

enum { SEGMENT = 64 * 1024 };

#define FIRST "journal-000000000001.seg"

static const drover_id store = {{7, 7, 7}};

/* A record or piece of a batch. */
struct piece {
    uint64_t lsn;
    uint32_t len;
    uint32_t rest;
    bool continued;
};

/* A segment that is being put together. */
struct craft {
    uint8_t bytes[SEGMENT];
    size_t at;
    int32_t count_off; /* added to the counts that batches tell */
    uint32_t used_off;
    drover_id store; /* whose seed the batches have */
};

static void begin(struct craft *craft, uint64_t first_lsn)
{
    memset(craft, 0, sizeof *craft);
    craft->store = store;
    const struct format_segment header = {
        .store = store, .number = 1, .first_lsn = first_lsn, .epoch = 1, .bytes = SEGMENT};
    format_segment_write(&header, craft->bytes);
    craft->at = FORMAT_SEGMENT_START;
}

static void add(struct craft *craft, uint64_t epoch, uint64_t durable,
                const struct piece *pieces, size_t count)
{
    const uint64_t seed = format_seed(&craft->store);
    uint32_t used = FORMAT_BATCH_HEADER;
    for (size_t i = 0; i < count; i++) {
        const struct format_record record = {.lsn = pieces[i].lsn,
                                             .kind = 1,
                                             .continued = pieces[i].continued,
                                             .len = pieces[i].len,
                                             .rest = pieces[i].rest};
        format_record_write(&record, seed, craft->bytes + craft->at + used);
        used += (uint32_t)format_record_space(record.len);
    }
    const struct format_batch batch = {.length = (used + FORMAT_SECTOR - 1) / FORMAT_SECTOR *
                                                 FORMAT_SECTOR,
                                       .used = used + craft->used_off,
                                       .count = (uint32_t)((int32_t)count + craft->count_off),
                                       .segment = 1,
                                       .offset = craft->at,
                                       .epoch = epoch,
                                       .first_lsn = count > 0 ? pieces[0].lsn : 1,
                                       .durable = durable};
    format_batch_write(&batch, seed, craft->bytes + craft->at);
    craft->at += batch.length;
}

#define ADD(craft, epoch, durable, ...)                                   \
    add((craft), (epoch), (durable), (const struct piece[]){__VA_ARGS__}, \
        sizeof((const struct piece[]){__VA_ARGS__}) / sizeof(struct piece))

static drover_status on_record(void *context, const struct journal_record *record)
{
    uint64_t *bytes = context;
    *bytes += record->len;
    return DROVER_OK;
}

/* Replays the one segment: the status, the last LSN, bytes of all bodies. */
static drover_status replay(const struct craft *craft, uint64_t *out_last, uint64_t *out_bytes)
{
    struct fault_disk *disk = fault_disk_new(true);
    struct journal *journal = NULL;
    struct journal_recovery recovery = {0};
    struct drv_problem problem = {""};
    uint8_t slots[FORMAT_STORE_BYTES] = {0};
    const struct format_slot slot = {
        .store = store, .generation = 2, .epoch = 1, .oldest = 1, .newest = 1};
    const struct journal_config config = {
        .directory = "disk", .files = fault_disk_files(disk), .pumped = true};
    format_slot_write(&slot, slots);
    fault_disk_put(disk, "journal.store", slots, sizeof slots);
    fault_disk_put(disk, FIRST, craft->bytes, SEGMENT);
    *out_bytes = 0;
    assert_ok(journal_open(&config, &journal, &problem));
    const drover_status status = journal_replay(journal, on_record, out_bytes, &recovery,
                                                &problem);
    *out_last = recovery.last_lsn;
    journal_destroy(&journal);
    fault_disk_destroy(&disk);
    return status;
}

static void assert_replay(const struct craft *craft, uint64_t last, uint64_t bytes)
{
    uint64_t found_last = 0;
    uint64_t found_bytes = 0;
    assert_ok(replay(craft, &found_last, &found_bytes));
    assert_int_equal(found_last, last);
    assert_int_equal(found_bytes, bytes);
}

static void assert_damaged(const struct craft *craft)
{
    uint64_t last = 0;
    uint64_t bytes = 0;
    assert_int_equal(replay(craft, &last, &bytes), DROVER_MALFORMED);
}

/* Batches in order. */
static void test_scan_plain_batches(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 10}, {.lsn = 2, .len = 20});
    ADD(&craft, 1, 2, {.lsn = 3, .len = 5});
    ADD(&craft, 4, 3, {.lsn = 4, .len = 7});
    assert_replay(&craft, 4, 42);
}

/* A record in pieces counts when the last one is there. */
static void test_scan_pieces_make_a_record(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 100, .rest = 50});
    assert_replay(&craft, 0, 0);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 20, .rest = 30, .continued = true});
    assert_replay(&craft, 0, 0);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 30, .continued = true}, {.lsn = 2, .len = 1});
    assert_replay(&craft, 2, 151);
}

/* Pieces that do not fit together end the log. */
static void test_scan_pieces_must_fit(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 100, .rest = 50});
    ADD(&craft, 1, 0, {.lsn = 1, .len = 20, .rest = 31, .continued = true});
    ADD(&craft, 1, 0, {.lsn = 1, .len = 31, .continued = true});
    assert_replay(&craft, 0, 0);
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 1});
    ADD(&craft, 1, 0, {.lsn = 2, .len = 9, .continued = true});
    assert_replay(&craft, 1, 1);
}

/* After a crash a record that had begun is begun anew; before one it is not. */
static void test_scan_a_record_begins_anew_in_a_higher_epoch_only(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 100, .rest = 50});
    ADD(&craft, 2, 0, {.lsn = 1, .len = 5});
    assert_replay(&craft, 1, 5);
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 100, .rest = 50});
    ADD(&craft, 1, 0, {.lsn = 1, .len = 5});
    assert_replay(&craft, 0, 0);
}

/* Pieces whose beginning was reclaimed are skipped at the very start, and only there. */
static void test_scan_orphaned_pieces_at_the_start_are_skipped(void **state)
{
    static struct craft craft;
    begin(&craft, 9);
    ADD(&craft, 1, 0, {.lsn = 9, .len = 100, .rest = 50, .continued = true});
    ADD(&craft, 1, 0, {.lsn = 9, .len = 50, .continued = true}, {.lsn = 10, .len = 3});
    assert_replay(&craft, 10, 3);
}

/* An epoch lower than the one before ends the log; it is damage where more was synced. */
static void test_scan_a_lower_epoch_ends_the_log(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 3, 0, {.lsn = 1, .len = 10});
    ADD(&craft, 2, 0, {.lsn = 2, .len = 20});
    assert_replay(&craft, 1, 10);
    ADD(&craft, 3, 2, {.lsn = 3, .len = 20});
    assert_damaged(&craft);
}

/* A batch is what its header says, to the byte and the record, or it is none. */
static void test_scan_a_batch_counts_whole_or_not_at_all(void **state)
{
    static struct craft craft;
    for (int off = -1; off <= 1; off += 2) {
        begin(&craft, 1);
        craft.count_off = off;
        ADD(&craft, 1, 0, {.lsn = 1, .len = 10});
        assert_replay(&craft, 0, 0);
    }
    begin(&craft, 1);
    craft.used_off = 8;
    ADD(&craft, 1, 0, {.lsn = 1, .len = 10});
    assert_replay(&craft, 0, 0);
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 10}, {.lsn = 3, .len = 10});
    assert_replay(&craft, 0, 0);
}

/* A batch that was written for another place, or by another store, is none. */
static void test_scan_a_batch_belongs_to_its_place_and_store(void **state)
{
    static struct craft craft;
    static struct craft other;
    begin(&other, 1);
    ADD(&other, 1, 0, {.lsn = 1, .len = 600});
    ADD(&other, 1, 0, {.lsn = 2, .len = 20});
    assert_replay(&other, 2, 620);
    begin(&craft, 1);
    ADD(&craft, 1, 0, {.lsn = 1, .len = 10});
    memcpy(craft.bytes + craft.at, other.bytes + craft.at + FORMAT_SECTOR, FORMAT_SECTOR);
    assert_replay(&craft, 1, 10);
    craft.store.bytes[5] = 1;
    ADD(&craft, 1, 0, {.lsn = 2, .len = 20});
    assert_replay(&craft, 1, 10);
}

/* A log whose batches name more as synced than there is. */
static void test_scan_what_was_synced_is_missed(void **state)
{
    static struct craft craft;
    begin(&craft, 1);
    ADD(&craft, 1, 1, {.lsn = 1, .len = 10});
    assert_replay(&craft, 1, 10);
    begin(&craft, 1);
    ADD(&craft, 1, 2, {.lsn = 1, .len = 10});
    assert_damaged(&craft);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_scan_plain_batches),
    cmocka_unit_test(test_scan_pieces_make_a_record),
    cmocka_unit_test(test_scan_pieces_must_fit),
    cmocka_unit_test(test_scan_a_record_begins_anew_in_a_higher_epoch_only),
    cmocka_unit_test(test_scan_orphaned_pieces_at_the_start_are_skipped),
    cmocka_unit_test(test_scan_a_lower_epoch_ends_the_log),
    cmocka_unit_test(test_scan_a_batch_counts_whole_or_not_at_all),
    cmocka_unit_test(test_scan_a_batch_belongs_to_its_place_and_store),
    cmocka_unit_test(test_scan_what_was_synced_is_missed),
};

TEST_MAIN(tests)
