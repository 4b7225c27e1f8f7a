/*
 * message_rows.h: many entries that differ in little, as rows of one length (PROTOCOL.md
 * section 5, "Rows").
 *
 *   entries  [ [nil, offset, rows], entry, entry ... ]
 *   rows     aaaaaaaabbbbcccc aaaaaaaabbbbcccc ...      big-endian numbers, no types
 *   blob     ........ value value value ...             from offset on, one behind the other
 *
 * Nine tenths of what an ordinary entry costs is finding out that it is ordinary. Whoever reads
 * rows gets the same structs as from entries, so that nobody else knows of them.
 */
#ifndef DRV_MESSAGE_ROWS_H
#define DRV_MESSAGE_ROWS_H

#include "message_codec.h"

/* Fewer than this many are entries like any others. */
enum { DRV_ROWS_MIN = 2 };

static inline uint32_t drv_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t drv_be64(const uint8_t *at)
{
    return (uint64_t)drv_be32(at) << 32 | drv_be32(at + 4);
}

static inline uint8_t *drv_put_be32(uint8_t *at, uint32_t number)
{
    at[0] = (uint8_t)(number >> 24);
    at[1] = (uint8_t)(number >> 16);
    at[2] = (uint8_t)(number >> 8);
    at[3] = (uint8_t)number;
    return at + 4;
}

static inline uint8_t *drv_put_be64(uint8_t *at, uint64_t number)
{
    return drv_put_be32(drv_put_be32(at, (uint32_t)(number >> 32)), (uint32_t)number);
}

static inline uint8_t *drv_put_row_id(uint8_t *at, const drover_id *id)
{
    memcpy(at, id->bytes, sizeof id->bytes);
    return at + sizeof id->bytes;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The rows at the head of a list. */
struct drv_rows {
    const uint8_t *at;    /* the next row */
    size_t count;         /* rows in all; 0: the list has none */
    const uint8_t *bytes; /* of the next value */
    size_t left;          /* bytes of the blob from there on */
};

/*
 * Opens a list of entries that may begin with rows of row_size bytes, and gives room for all of
 * them, unwritten: first out_rows->count rows, then the other entries. Close it with
 * drv_get_close(decode, out_items->outer). Counts against batch_max of the message. out_level
 * (NULL: there is none) is the field behind the rows.
 */
void *drv_get_rows_and_batch(struct drv_decode *decode, size_t size, size_t row_size,
                             struct drv_rows *out_rows, uint32_t *out_level,
                             struct drv_items *out_items);

/* The next value, which the row says is `number` - 1 bytes long; 0: nil. */
static inline struct drv_val drv_rows_val(struct drv_decode *decode, struct drv_rows *rows,
                                          uint32_t number)
{
    struct drv_val val = {.is_nil = number == 0};
    size_t len = number == 0 ? 0 : number - 1;
    if (len > rows->left || len > DRV_INLINE_MAX) {
        drv_decode_fail(decode, DROVER_MALFORMED, "rows and their values do not add up");
        return val;
    }
    if (number != 0) {
        val.bytes = rows->bytes;
        val.len = len;
        rows->bytes = rows->bytes == NULL ? NULL : rows->bytes + len;
        rows->left -= len;
    }
    return val;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Whether the other side reads rows. */
static inline bool drv_rows_are_read(const struct drv_encode *encode)
{
    return encode->transfers != NULL && encode->transfers->takes_rows;
}

static inline bool drv_val_is_plain(const struct drv_val *val)
{
    return val->content_type.ptr == NULL && (val->is_nil || val->len <= DRV_INLINE_MAX);
}

/* Of so many plain entries, how many become rows. */
static inline size_t drv_rows_of(size_t plain)
{
    return plain < DRV_ROWS_MIN ? 0 : plain;
}

/* What the row of a value says of it. */
static inline uint32_t drv_rows_number(const struct drv_val *val)
{
    return val->is_nil ? 0 : (uint32_t)val->len + 1;
}

/*
 * Begins a list of `count` entries, the first `rows` of which are rows (0: none), whose values
 * take `bytes` in the blob. Returns where the rows go; NULL: there are none, or it has failed.
 * Every row is to be written then, and drv_put_row_val called for its value; then, with
 * has_level, a level follows; then the other entries.
 */
uint8_t *drv_put_rows_and_batch(struct drv_encode *encode, size_t count, size_t rows,
                                size_t row_size, size_t bytes, bool has_level);

/* The value of a row, into room that was made for all of them. */
static inline void drv_put_row_val(struct drv_encode *encode, const struct drv_val *val)
{
    struct drv_buffer *blob = encode->blob;
    if (!val->is_nil && val->len > 0) {
        memcpy(blob->bytes + blob->len, val->bytes, val->len);
        blob->len += val->len;
        blob->bytes[blob->len] = '\0';
    }
}

#endif
