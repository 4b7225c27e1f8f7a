/*
 * record.h: bytes of what the store keeps: a writer, and a bounded reader.
 *
 * Numbers are LEB128 (7 bits a byte, lowest first), signed ones zigzag; instants are 8 bytes,
 * little endian. A body begins with a byte of its own (RECORD_*). The reader believes nothing:
 * what is missing at the end reads as zero, so that a version may add fields there; what is cut
 * in the middle, or longer than what is left, fails for good.
 */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include "buffer.h"
#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {                           /* the first byte of a body */
       RECORD_VERSION = 1,       /* in the low bits */
       RECORD_VERSION_MASK = 63, /* higher versions are refused */
       RECORD_FIRST = 64, /* the first of a broker's life: what was left open before is void */
       RECORD_MORE = 128, /* more records belong to the same turn */
};

struct record_writer {
    struct drv_buffer *buffer; /* borrowed; appended to */
    bool failed;               /* sticky: out of memory */
};

void record_put_u8(struct record_writer *writer, uint8_t byte);
void record_put_uint(struct record_writer *writer, uint64_t number);
void record_put_int(struct record_writer *writer, int64_t number);
void record_put_fixed(struct record_writer *writer, int64_t number); /* 8 bytes */
void record_put_raw(struct record_writer *writer, const void *bytes, size_t len);
void record_put_id(struct record_writer *writer, const drover_id *id);
void record_put_str(struct record_writer *writer, struct drv_str text); /* length and bytes */
/* Type, length and bytes of a value, nil included. */
void record_put_val(struct record_writer *writer, const struct drv_val *val);
/* The same without the bytes, which must follow. */
void record_put_val_head(struct record_writer *writer, const struct drv_val *val);

struct record_reader {
    const uint8_t *at, *end; /* borrowed */
    bool failed;             /* sticky */
};

void record_read(struct record_reader *reader, const uint8_t *bytes, size_t len);
void record_fail(struct record_reader *reader);
static inline size_t record_left(const struct record_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

uint8_t record_u8(struct record_reader *reader);
uint64_t record_uint(struct record_reader *reader);
/* Anything above max fails and reads as 0. */
uint64_t record_uint_max(struct record_reader *reader, uint64_t max);
static inline uint32_t record_u32(struct record_reader *reader)
{
    return (uint32_t)record_uint_max(reader, UINT32_MAX);
}
int64_t record_int(struct record_reader *reader);
int64_t record_fixed(struct record_reader *reader);
/* len bytes, borrowed; NULL when they are not there. */
const uint8_t *record_raw(struct record_reader *reader, size_t len);
drover_id record_id(struct record_reader *reader);
struct drv_str record_str(struct record_reader *reader, size_t max);
/* A value, borrowed. */
struct drv_val record_val(struct record_reader *reader);

#endif
