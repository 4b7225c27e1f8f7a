/*
 * fuzz_journal.c: what a recovery makes of the bytes of a segment.
 *
 * The first byte of the input chooses:
 *   even  patches over a real log: (offset, length, bytes)... . Whatever is replayed must be a
 * prefix of what was appended, byte for byte, and what was synced is there or damage is told.
 *   odd   batches and records with any fields but right checksums: (fields)... . Nothing is
 * known of what should come out, but LSNs grow by one, nothing crashes, and what was replayed
 * once and started from is replayed the same again.
 */
#include "check.h"
#include "fault_disk.h"
#include "format.h"
#include "journal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT = 32 * 1024, RECORDS = 30 };

#define FIRST "journal-000000000001.seg"

static const drover_id store = {{7, 7, 7}};

struct input {
    const uint8_t *bytes;
    size_t len;
};

/* A number of that many bytes; zeros when the input is at its end. */
static uint32_t take(struct input *input, size_t bytes)
{
    uint32_t number = 0;
    for (size_t i = 0; i < bytes && input->len > 0; i++) {
        number |= (uint32_t)input->bytes[0] << (8U * i);
        input->bytes++;
        input->len--;
    }
    return number;
}

static struct journal_config config_of(struct fault_disk *disk)
{
    return (struct journal_config){.directory = "disk",
                                   .files = fault_disk_files(disk),
                                   .segment_bytes = SEGMENT,
                                   .reserve_bytes = SEGMENT,
                                   .store_id = store,
                                   .pumped = true};
}

/* What a replay saw. */
struct seen {
    uint64_t count;
    uint64_t last;
    uint64_t sum; /* over all there is */
    bool real;    /* it must be what make_log has appended */
};

static size_t body_of(uint64_t lsn, uint8_t *out_body)
{
    const size_t len = (size_t)(lsn * 97 % 3000);
    for (size_t i = 0; i < len; i++) {
        out_body[i] = (uint8_t)(lsn * 31 + i * 7);
    }
    return len;
}

static drover_status on_record(void *context, const struct journal_record *record)
{
    struct seen *seen = context;
    static uint8_t expected[3000];
    DRV_ASSERT(seen->count == 0 || record->lsn == seen->last + 1);
    DRV_ASSERT((record->body == NULL) == (record->len == 0));
    seen->count++;
    seen->last = record->lsn;
    seen->sum = seen->sum * 31 + record->lsn + record->kind + record->index + record->len;
    for (size_t i = 0; i < record->len; i++) {
        seen->sum = seen->sum * 31 + record->body[i];
    }
    if (seen->real) {
        DRV_ASSERT(record->lsn <= RECORDS && record->kind == 1 + record->lsn % 5);
        DRV_ASSERT(record->len == body_of(record->lsn, expected));
        DRV_ASSERT(record->len == 0 || memcmp(record->body, expected, record->len) == 0);
    }
    return DROVER_OK;
}

/* Opens and replays; a journal to be destroyed, or NULL. */
static struct journal *replay(struct fault_disk *disk, struct seen *seen)
{
    struct journal *journal = NULL;
    struct journal_recovery recovery;
    struct drv_problem problem = {""};
    const struct journal_config config = config_of(disk);
    drover_status status = journal_open(&config, &journal, &problem);
    if (status == DROVER_OK) {
        status = journal_replay(journal, on_record, seen, &recovery, &problem);
    }
    if (status == DROVER_OK) {
        DRV_ASSERT(recovery.records == seen->count);
        DRV_ASSERT(seen->count == 0 || recovery.last_lsn == seen->last);
        return journal;
    }
    DRV_ASSERT(problem.text[0] != '\0' && strchr(problem.text, '\n') == NULL);
    journal_destroy(&journal);
    return NULL;
}

/* A log of some batches in two segments; durable: stopped in order. */
static void make_log(struct fault_disk *disk, bool durable)
{
    struct seen seen = {0};
    static uint8_t body[3000];
    struct drv_problem problem = {""};
    struct journal *journal = replay(disk, &seen);
    DRV_ASSERT(journal != NULL && journal_start(journal, &problem) == DROVER_OK);
    for (uint64_t lsn = 1; lsn <= RECORDS; lsn++) {
        const struct drv_view part = drv_view_of(body, body_of(lsn, body));
        const struct journal_entry entry = {
            .kind = (uint16_t)(1 + lsn % 5), .parts = &part, .part_count = 1};
        (void)journal_append(journal, &entry);
        if (lsn % 4 == 0) {
            journal_publish(journal);
            while (journal_pump(journal)) {
            }
        }
    }
    if (durable) {
        DRV_ASSERT(journal_stop(journal) == DROVER_OK);
    }
    journal_destroy(&journal);
}

static void try_patches(struct input input)
{
    struct fault_disk *disk = fault_disk_new(true);
    const bool durable = (take(&input, 1) & 1U) != 0;
    make_log(disk, durable);
    while (input.len > 0) {
        const uint32_t offset = take(&input, 2) % SEGMENT;
        const uint32_t len = take(&input, 1);
        for (uint32_t i = 0; i < len && offset + i < SEGMENT && input.len > 0; i++) {
            fault_disk_flip(disk, FIRST, offset + i, (uint8_t)take(&input, 1));
        }
    }
    struct seen seen = {.real = true};
    struct journal *journal = replay(disk, &seen);
    DRV_ASSERT(journal == NULL || !durable || seen.last == RECORDS);
    journal_destroy(&journal);
    fault_disk_destroy(&disk);
}

/* One batch with records as the input wants them, and right checksums. */
static size_t craft(struct input *input, uint8_t *segment, size_t at)
{
    const uint64_t seed = format_seed(&store);
    size_t used = FORMAT_BATCH_HEADER;
    uint32_t count = 0;
    const uint32_t first = take(input, 1);
    for (uint32_t records = take(input, 1) % 8; records > 0; records--) {
        struct format_record record = {.lsn = take(input, 1),
                                       .kind = (uint16_t)take(input, 1),
                                       .continued = (take(input, 1) & 1U) != 0,
                                       .len = take(input, 2) % 5000,
                                       .rest = take(input, 4)};
        if (at + used + format_record_space(record.len) > SEGMENT) {
            break;
        }
        format_record_write(&record, seed, segment + at + used);
        used += format_record_space(record.len);
        count++;
    }
    const uint32_t length = ((uint32_t)used + FORMAT_SECTOR - 1U) / FORMAT_SECTOR;
    const struct format_batch batch = {.length = (length + take(input, 1) % 3) * FORMAT_SECTOR,
                                       .used = (uint32_t)used + (take(input, 1) == 0 ? 8U : 0U),
                                       .count = count + (take(input, 1) == 0 ? 1U : 0U),
                                       .segment = 1,
                                       .offset = at,
                                       .epoch = take(input, 1) % 4,
                                       .first_lsn = first,
                                       .durable = take(input, 1) % 16};
    format_batch_write(&batch, seed, segment + at);
    return batch.length;
}

static void try_crafted(struct input input)
{
    static uint8_t segment[SEGMENT];
    struct fault_disk *disk = fault_disk_new(true);
    make_log(disk, false);
    memset(segment, 0, sizeof(segment));
    const struct format_segment header = {
        .store = store, .number = 1, .first_lsn = 1, .epoch = 1, .bytes = SEGMENT};
    format_segment_write(&header, segment);
    fault_disk_remove(disk, "journal-000000000002.seg");
    for (size_t at = FORMAT_SEGMENT_START; input.len > 0 && at + FORMAT_BLOCK <= SEGMENT;) {
        at += craft(&input, segment, at);
    }
    fault_disk_put(disk, FIRST, segment, sizeof(segment));
    uint8_t slots[FORMAT_STORE_BYTES] = {0};
    const struct format_slot slot = {
        .store = store, .generation = 2, .epoch = 1, .oldest = 1, .newest = 1};
    format_slot_write(&slot, slots);
    fault_disk_put(disk, "journal.store", slots, sizeof(slots));

    struct seen seen = {0};
    struct seen again = {0};
    struct drv_problem problem = {""};
    struct journal *journal = replay(disk, &seen);
    if (journal != NULL) {
        DRV_ASSERT(journal_start(journal, &problem) == DROVER_OK);
        journal_destroy(&journal);
        journal = replay(disk, &again);
        DRV_ASSERT(journal != NULL && again.count == seen.count && again.sum == seen.sum);
        journal_destroy(&journal);
    }
    fault_disk_destroy(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct input input = {.bytes = data + 1, .len = size - 1};
    if (data[0] % 2 == 0) {
        try_patches(input);
    } else {
        try_crafted(input);
    }
    return 0;
}
