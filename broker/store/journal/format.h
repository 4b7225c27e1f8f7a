/*
 * format.h: the bytes of the journal's files: store file, segment header, batch, record.
 *
 * Pure: memory to structs and back; what is read is judged, never trusted. The layout itself is
 * described in ../README.md, which a unit test compares with these functions. All numbers are
 * little endian.
 */
#ifndef STORE_JOURNAL_FORMAT_H
#define STORE_JOURNAL_FORMAT_H

#include <drover/status.h>
#include <drover/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_SECTOR = 512,                /* what a disk writes whole or not at all */
    FORMAT_BLOCK = 4096,                /* segments and batches are multiples of it */
    FORMAT_HEADER_BYTES = 128,          /* store slot and segment header: meaningful bytes */
    FORMAT_SEGMENT_START = 4096,        /* the first batch of a segment */
    FORMAT_SLOT_SPACING = 4096,         /* between the two slots of the store file */
    FORMAT_STORE_BYTES = 8192,          /* of the store file */
    FORMAT_BATCH_HEADER = 64,           /* bytes */
    FORMAT_BATCH_MAX = 4 * 1024 * 1024, /* bytes of a batch, padding included */
    FORMAT_RECORD_HEADER = 48,          /* bytes */
};

/* What a slot of the store file says. */
struct format_slot {
    drover_id store;
    uint64_t generation; /* from 1; the slot is generation % 2; the higher one counts */
    uint64_t epoch;      /* the last one begun */
    uint64_t oldest;     /* number of the oldest segment of the log */
    uint64_t
        newest; /* and of the newest that may hold acknowledged records; oldest - 1: none */
    uint64_t durable; /* the last LSN known to be synced when it was written */
};

struct format_segment {
    drover_id store;
    uint64_t number;
    uint64_t first_lsn; /* of the first record or piece in it */
    uint64_t epoch;
    uint64_t bytes; /* of the file */
};

struct format_batch {
    uint32_t length;  /* bytes in the segment, padding included */
    uint32_t used;    /* header and records */
    uint32_t count;   /* records and pieces */
    uint64_t segment; /* number of the segment it was written for */
    uint64_t offset;  /* in it */
    uint64_t epoch;
    uint64_t first_lsn; /* of its first record or piece */
    uint64_t durable;   /* the last LSN known to be synced when it was written */
};

/* A record, or a piece of one that did not fit its batch. */
struct format_record {
    uint64_t lsn;
    drover_id id;
    uint32_t index;
    uint16_t kind;
    bool continued; /* not the first piece */
    uint32_t len;   /* bytes of the body here */
    uint32_t rest;  /* bytes of the body in later pieces; 0: the last or only one */
};

enum format_verdict {
    FORMAT_GOOD,
    FORMAT_FOREIGN, /* no file of ours: the magic is missing */
    FORMAT_DAMAGED,
    FORMAT_VERSION, /* of another format version */
};

/* Bytes that a record or piece with so many body bytes takes. */
static inline size_t format_record_space(size_t len)
{
    return FORMAT_RECORD_HEADER + ((len + 7U) & ~(size_t)7U);
}

/* What seeds the checksums of a store's batches and records. */
uint64_t format_seed(const drover_id *store);

/* Into FORMAT_HEADER_BYTES; and back: out_version is set for FORMAT_VERSION. */
void format_slot_write(const struct format_slot *slot, uint8_t *bytes);
enum format_verdict format_slot_read(const uint8_t *bytes, struct format_slot *out_slot,
                                     uint32_t *out_version);
void format_segment_write(const struct format_segment *segment, uint8_t *bytes);
enum format_verdict format_segment_read(const uint8_t *bytes,
                                        struct format_segment *out_segment,
                                        uint32_t *out_version);

/* Into FORMAT_BATCH_HEADER bytes; and back: false for anything but a batch of that store whose
 * lengths make sense in themselves. */
void format_batch_write(const struct format_batch *batch, uint64_t seed, uint8_t *bytes);
bool format_batch_read(const uint8_t *bytes, uint64_t seed, struct format_batch *out_batch);

/*
 * The header before record->len bytes of body that stand there already, followed by zeros up to
 * format_record_space: sets the header and the checksum over all.
 */
void format_record_write(const struct format_record *record, uint64_t seed, uint8_t *bytes);
/* False for anything but a whole record or piece within the space bytes; the body stands behind
 * its FORMAT_RECORD_HEADER. */
bool format_record_read(const uint8_t *bytes, size_t space, uint64_t seed,
                        struct format_record *out_record);

/* The header of a record that format_record_read has judged good before. */
void format_record_get(const uint8_t *bytes, struct format_record *out_record);

#endif
