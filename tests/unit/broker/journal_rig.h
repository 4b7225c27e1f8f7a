/*
 * journal_rig.h: a pumped journal on a disk in memory, and a model of what it must hold.
 *
 * What a record holds follows from the seed, its LSN and the epoch in which it was appended, so
 * that the model only remembers the epochs, and a replay can tell a record from one that had
 * the same LSN before a crash.
 */
#ifndef JOURNAL_RIG_H
#define JOURNAL_RIG_H

#include "fault_disk.h"
#include "journal.h"
#include "rng.h"
#include "test.h"

enum { RIG_RECORDS_MAX = 200000, RIG_SEGMENT = 32 * 1024, RIG_BODY_MAX = 400 * 1024 };

struct rig {
    struct fault_disk *disk; /* owned */
    struct journal *journal; /* owned; NULL: closed */
    uint64_t seed;
    size_t body_max;                  /* of most bodies */
    size_t large_one_in;              /* one in so many is up to ten times as large; 0: none */
    uint64_t reserve;                 /* bytes; RIG_SEGMENT at first */
    uint64_t segment;                 /* bytes; RIG_SEGMENT at first */
    bool threaded;                    /* with a thread, not pumped */
    uint32_t *epochs;                 /* owned; by LSN */
    uint64_t appended;                /* last LSN, as the model has it */
    uint64_t synced;                  /* the highest ever reported */
    struct journal_recovery recovery; /* of the last start */
    struct drv_problem problem;       /* of the last failure */
    uint64_t first_seen;              /* by the last replay */
    uint64_t last_seen;
};

static inline void rig_init(struct rig *rig, uint64_t seed)
{
    *rig = (struct rig){.disk = fault_disk_new(false),
                        .seed = seed,
                        .body_max = 300,
                        .reserve = RIG_SEGMENT,
                        .segment = RIG_SEGMENT,
                        .epochs = calloc(RIG_RECORDS_MAX, sizeof(uint32_t))};
    assert_non_null(rig->epochs);
}

static inline void rig_fini(struct rig *rig)
{
    journal_destroy(&rig->journal);
    fault_disk_destroy(&rig->disk);
    free(rig->epochs);
}

/* The body of a record into bytes, at most RIG_BODY_MAX; returns its length. */
static inline size_t rig_body(const struct rig *rig, uint64_t lsn, uint32_t epoch,
                              uint8_t *bytes)
{
    struct drv_rng rng;
    drv_rng_init(&rng, rig->seed ^ (lsn * 0x9E3779B97F4A7C15U) ^ epoch);
    size_t len = (size_t)drv_rng_below(&rng, rig->body_max + 1);
    if (rig->large_one_in != 0 && drv_rng_below(&rng, rig->large_one_in) == 0) {
        len *= 10;
    }
    assert_true(len <= RIG_BODY_MAX);
    for (size_t i = 0; i < len; i += 8) {
        const uint64_t word = drv_rng_next(&rng);
        memcpy(bytes + i, &word, len - i < 8 ? len - i : 8);
    }
    return len;
}

static inline struct journal_entry rig_entry(uint64_t lsn)
{
    struct journal_entry entry = {.kind = (uint16_t)(1 + lsn % 9), .index = (uint32_t)lsn * 7};
    memcpy(entry.id.bytes, &lsn, sizeof lsn);
    return entry;
}

static inline drover_status rig_on_record(void *context, const struct journal_record *record)
{
    static uint8_t expected[RIG_BODY_MAX + 8];
    struct rig *rig = context;
    const struct journal_entry entry = rig_entry(record->lsn);
    assert_true(record->lsn <= rig->appended);
    assert_true(rig->first_seen == 0 || record->lsn == rig->last_seen + 1);
    rig->first_seen = rig->first_seen == 0 ? record->lsn : rig->first_seen;
    rig->last_seen = record->lsn;
    const size_t len = rig_body(rig, record->lsn, rig->epochs[record->lsn], expected);
    assert_int_equal(record->kind, entry.kind);
    assert_int_equal(record->index, entry.index);
    assert_true(drover_id_equal(&record->id, &entry.id));
    assert_int_equal(record->len, len);
    assert_true(len == 0 || memcmp(record->body, expected, len) == 0);
    return DROVER_OK;
}

static inline struct journal_config rig_config(struct rig *rig)
{
    return (struct journal_config){.directory = "disk",
                                   .files = fault_disk_files(rig->disk),
                                   .segment_bytes = rig->segment,
                                   .reserve_bytes = rig->reserve,
                                   .store_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                   .pumped = !rig->threaded};
}

/* Opens, replays against the model and starts; on failure the journal is gone and problem set.
 */
static inline drover_status rig_start(struct rig *rig)
{
    const struct journal_config config = rig_config(rig);
    rig->problem.text[0] = '\0';
    rig->first_seen = 0;
    rig->last_seen = 0;
    drover_status status = journal_open(&config, &rig->journal, &rig->problem);
    if (status == DROVER_OK) {
        status = journal_replay(rig->journal, rig_on_record, rig, &rig->recovery,
                                &rig->problem);
    }
    if (status == DROVER_OK) {
        status = journal_start(rig->journal, &rig->problem);
    }
    if (status != DROVER_OK) {
        assert_true(rig->problem.text[0] != '\0');
        journal_destroy(&rig->journal);
        return status;
    }
    assert_true(rig->recovery.last_lsn >= rig->synced);
    rig->appended = rig->recovery.last_lsn;
    rig->synced = rig->recovery.last_lsn;
    return DROVER_OK;
}

static inline void rig_append(struct rig *rig)
{
    static uint8_t bytes[RIG_BODY_MAX + 8];
    const uint64_t lsn = ++rig->appended;
    assert_true(lsn < RIG_RECORDS_MAX);
    rig->epochs[lsn] = (uint32_t)journal_epoch(rig->journal);
    struct journal_entry entry = rig_entry(lsn);
    const size_t len = rig_body(rig, lsn, rig->epochs[lsn], bytes);
    const size_t half = len / 2;
    struct drv_view parts[] = {drv_view_of(bytes, half), drv_view_of(bytes + half, len - half)};
    struct drv_data *data = NULL;
    entry.parts = parts;
    entry.part_count = 2;
    if (lsn % 3 == 0) { /* the same body, its second half by reference */
        assert_ok(drv_data_copy(bytes + half, len - half, &data));
        entry.part_count = 1;
        entry.data = data;
    }
    assert_int_equal(journal_append(rig->journal, &entry), lsn);
    drv_data_unref(&data);
}

static inline void rig_append_many(struct rig *rig, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rig_append(rig);
    }
    journal_publish(rig->journal);
}

/* Pumps until there is nothing to do. */
static inline void rig_settle(struct rig *rig)
{
    while (journal_pump(rig->journal)) {
    }
    const uint64_t synced = journal_synced(rig->journal);
    rig->synced = synced > rig->synced ? synced : rig->synced;
}

static inline void rig_append_synced(struct rig *rig, size_t count)
{
    rig_append_many(rig, count);
    rig_settle(rig);
    assert_int_equal(rig->synced, rig->appended);
}

/* The process dies: what was written stays on the disk as it is. */
static inline void rig_kill(struct rig *rig)
{
    journal_destroy(&rig->journal);
}

/* The machine dies: the disk is one of those it may be found as. */
static inline void rig_crash(struct rig *rig, struct fault_disk *image)
{
    journal_destroy(&rig->journal);
    fault_disk_destroy(&rig->disk);
    rig->disk = image;
}

#endif
