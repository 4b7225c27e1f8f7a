/* format.c: see format.h and ../README.md. */
#include "format.h"

#include "journal.h"

#include <string.h>
#include <xxhash.h>

static const uint8_t slot_magic[8] = "DROVERST";
static const uint8_t segment_magic[8] = "DROVERSG";

enum { BATCH_MAGIC = 0x42565244 /* "DRVB" */, RECORD_CONTINUED = 1 };

static void put16(uint8_t *bytes, uint16_t number)
{
    bytes[0] = (uint8_t)number;
    bytes[1] = (uint8_t)(number >> 8U);
}

static void put32(uint8_t *bytes, uint32_t number)
{
    put16(bytes, (uint16_t)number);
    put16(bytes + 2, (uint16_t)(number >> 16U));
}

static void put64(uint8_t *bytes, uint64_t number)
{
    put32(bytes, (uint32_t)number);
    put32(bytes + 4, (uint32_t)(number >> 32U));
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)(bytes[1] << 8U));
}

static uint32_t get32(const uint8_t *bytes)
{
    return get16(bytes) | ((uint32_t)get16(bytes + 2) << 16U);
}

static uint64_t get64(const uint8_t *bytes)
{
    return get32(bytes) | ((uint64_t)get32(bytes + 4) << 32U);
}

uint64_t format_seed(const drover_id *store)
{
    return XXH3_64bits(store->bytes, sizeof(store->bytes));
}

/* ---- store slot and segment header: hash, magic, version, store, numbers
 * --------------------- */

static void header_write(const uint8_t *magic, const drover_id *store, const uint64_t *numbers,
                         size_t count, uint8_t *bytes)
{
    memset(bytes, 0, FORMAT_HEADER_BYTES);
    memcpy(bytes + 8, magic, 8);
    put32(bytes + 16, JOURNAL_FORMAT_VERSION);
    memcpy(bytes + 24, store->bytes, sizeof(store->bytes));
    for (size_t i = 0; i < count; i++) {
        put64(bytes + 40 + 8 * i, numbers[i]);
    }
    put64(bytes, XXH3_64bits(bytes + 8, FORMAT_HEADER_BYTES - 8));
}

/* A version that is not ours is told as such only when it cannot be a flipped bit of ours, that
 * is when the checksum, which stays where it is in every version, is right. */
static enum format_verdict header_read(const uint8_t *bytes, const uint8_t *magic,
                                       uint32_t *out_version)
{
    if (memcmp(bytes + 8, magic, 8) != 0) {
        return FORMAT_FOREIGN;
    }
    if (get64(bytes) != XXH3_64bits(bytes + 8, FORMAT_HEADER_BYTES - 8)) {
        return FORMAT_DAMAGED;
    }
    if (get32(bytes + 16) != JOURNAL_FORMAT_VERSION) {
        *out_version = get32(bytes + 16);
        return FORMAT_VERSION;
    }
    return FORMAT_GOOD;
}

void format_slot_write(const struct format_slot *slot, uint8_t *bytes)
{
    const uint64_t numbers[] = {slot->generation, slot->epoch, slot->oldest, slot->newest,
                                slot->durable};
    header_write(slot_magic, &slot->store, numbers, sizeof(numbers) / sizeof(numbers[0]),
                 bytes);
}

enum format_verdict format_slot_read(const uint8_t *bytes, struct format_slot *out_slot,
                                     uint32_t *out_version)
{
    enum format_verdict verdict = header_read(bytes, slot_magic, out_version);
    if (verdict != FORMAT_GOOD) {
        return verdict;
    }
    struct format_slot slot = {
        .generation = get64(bytes + 40),
        .epoch = get64(bytes + 48),
        .oldest = get64(bytes + 56),
        .newest = get64(bytes + 64),
        .durable = get64(bytes + 72),
    };
    memcpy(slot.store.bytes, bytes + 24, sizeof(slot.store.bytes));
    if (slot.generation == 0 || slot.oldest == 0 || slot.newest < slot.oldest - 1) {
        return FORMAT_DAMAGED;
    }
    *out_slot = slot;
    return FORMAT_GOOD;
}

void format_segment_write(const struct format_segment *segment, uint8_t *bytes)
{
    const uint64_t numbers[] = {segment->number, segment->first_lsn, segment->epoch,
                                segment->bytes};
    header_write(segment_magic, &segment->store, numbers, sizeof(numbers) / sizeof(numbers[0]),
                 bytes);
}

enum format_verdict format_segment_read(const uint8_t *bytes,
                                        struct format_segment *out_segment,
                                        uint32_t *out_version)
{
    enum format_verdict verdict = header_read(bytes, segment_magic, out_version);
    if (verdict != FORMAT_GOOD) {
        return verdict;
    }
    struct format_segment segment = {
        .number = get64(bytes + 40),
        .first_lsn = get64(bytes + 48),
        .epoch = get64(bytes + 56),
        .bytes = get64(bytes + 64),
    };
    memcpy(segment.store.bytes, bytes + 24, sizeof(segment.store.bytes));
    if (segment.number == 0 || segment.first_lsn == 0 ||
        segment.bytes < FORMAT_SEGMENT_START + FORMAT_BLOCK ||
        segment.bytes % FORMAT_BLOCK != 0) {
        return FORMAT_DAMAGED;
    }
    *out_segment = segment;
    return FORMAT_GOOD;
}

/* ---- batch ---------------------------------------------------------------------------------
 */

void format_batch_write(const struct format_batch *batch, uint64_t seed, uint8_t *bytes)
{
    put32(bytes + 8, BATCH_MAGIC);
    put32(bytes + 12, batch->length);
    put64(bytes + 16, batch->segment);
    put32(bytes + 24, (uint32_t)(batch->offset / FORMAT_SECTOR));
    put32(bytes + 28, batch->used);
    put64(bytes + 32, batch->epoch);
    put64(bytes + 40, batch->first_lsn);
    put64(bytes + 48, batch->durable);
    put32(bytes + 56, batch->count);
    put32(bytes + 60, 0);
    put64(bytes, XXH3_64bits_withSeed(bytes + 8, FORMAT_BATCH_HEADER - 8, seed));
}

bool format_batch_read(const uint8_t *bytes, uint64_t seed, struct format_batch *out_batch)
{
    if (get32(bytes + 8) != BATCH_MAGIC ||
        get64(bytes) != XXH3_64bits_withSeed(bytes + 8, FORMAT_BATCH_HEADER - 8, seed)) {
        return false;
    }
    struct format_batch batch = {
        .length = get32(bytes + 12),
        .segment = get64(bytes + 16),
        .offset = (uint64_t)get32(bytes + 24) * FORMAT_SECTOR,
        .used = get32(bytes + 28),
        .epoch = get64(bytes + 32),
        .first_lsn = get64(bytes + 40),
        .durable = get64(bytes + 48),
        .count = get32(bytes + 56),
    };
    if (batch.length == 0 || batch.length % FORMAT_SECTOR != 0 ||
        batch.length > FORMAT_BATCH_MAX || batch.used < FORMAT_BATCH_HEADER ||
        batch.used > batch.length) {
        return false;
    }
    *out_batch = batch;
    return true;
}

/* ---- record --------------------------------------------------------------------------------
 */

void format_record_write(const struct format_record *record, uint64_t seed, uint8_t *bytes)
{
    put32(bytes + 8, record->len);
    put32(bytes + 12, record->rest);
    put64(bytes + 16, record->lsn);
    memcpy(bytes + 24, record->id.bytes, sizeof(record->id.bytes));
    put32(bytes + 40, record->index);
    put16(bytes + 44, record->kind);
    put16(bytes + 46, record->continued ? RECORD_CONTINUED : 0);
    put64(bytes, XXH3_64bits_withSeed(bytes + 8, FORMAT_RECORD_HEADER - 8 + record->len, seed));
}

void format_record_get(const uint8_t *bytes, struct format_record *out_record)
{
    *out_record = (struct format_record){
        .len = get32(bytes + 8),
        .rest = get32(bytes + 12),
        .lsn = get64(bytes + 16),
        .index = get32(bytes + 40),
        .kind = get16(bytes + 44),
        .continued = (get16(bytes + 46) & RECORD_CONTINUED) != 0,
    };
    memcpy(out_record->id.bytes, bytes + 24, sizeof(out_record->id.bytes));
}

bool format_record_read(const uint8_t *bytes, size_t space, uint64_t seed,
                        struct format_record *out_record)
{
    if (space < FORMAT_RECORD_HEADER) {
        return false;
    }
    const uint32_t len = get32(bytes + 8);
    if (len > space - FORMAT_RECORD_HEADER ||
        (uint64_t)len + get32(bytes + 12) > JOURNAL_BODY_MAX ||
        get64(bytes) != XXH3_64bits_withSeed(bytes + 8, FORMAT_RECORD_HEADER - 8 + len, seed)) {
        return false;
    }
    format_record_get(bytes, out_record);
    return true;
}
