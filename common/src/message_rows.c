/*
 * message_rows.c: see message_rows.h.
 */
#include "message_rows.h"

#include "pack_bytes.h"

/* nil, offset, rows, and perhaps a level. */
enum { ROWS_FIELDS = 3 };

/* Whether the list that was opened begins with rows: an array that begins with nil, which no
 * entry does. */
static bool are_next(const struct drv_decode *decode)
{
    const uint8_t *at = decode->cursor.at;
    return decode->left > 0 && decode->cursor.end - at >= 2 && (at[0] & 0xf0) == 0x90 &&
           (at[0] & 0x0f) >= ROWS_FIELDS && at[1] == 0xc0;
}

static void get_rows(struct drv_decode *decode, size_t row_size, struct drv_rows *out_rows,
                     uint32_t *out_level)
{
    uint32_t outer = drv_get_open(decode);
    (void)drv_cursor_take_nil(&decode->cursor);
    decode->left--;
    uint64_t offset = drv_get_u64(decode);
    struct drv_str rows = drv_get_binary(decode, DRV_BATCH_MAX * row_size);
    if (out_level != NULL) {
        *out_level = drv_get_u32(decode);
    }
    drv_get_close(decode, outer);
    if (decode->cursor.failed) {
        return;
    }
    if (rows.len == 0 || rows.len % row_size != 0 || offset > decode->blob_len) {
        drv_decode_fail(decode, DROVER_MALFORMED, "rows of another length");
        return;
    }
    *out_rows = (struct drv_rows){
        .at = (const uint8_t *)rows.ptr,
        .count = rows.len / row_size,
        .bytes = decode->blob == NULL ? NULL : decode->blob + offset,
        .left = decode->blob_len - (size_t)offset,
    };
}

void *drv_get_rows_and_batch(struct drv_decode *decode, size_t size, size_t row_size,
                             struct drv_rows *out_rows, uint32_t *out_level,
                             struct drv_items *out_items)
{
    *out_rows = (struct drv_rows){0};
    *out_items = (struct drv_items){.outer = decode->left};
    if (!drv_get_open_optional(decode, &out_items->outer)) {
        out_items->outer = decode->left; /* empty, closed like any other */
        decode->left = 0;
        return NULL;
    }
    size_t count = decode->left;
    if (are_next(decode)) {
        uint32_t left = decode->left - 1;
        get_rows(decode, row_size, out_rows, out_level);
        if (decode->cursor.failed) {
            return NULL;
        }
        decode->left = left;
        count += out_rows->count - 1;
    }
    if (count > DRV_BATCH_MAX - decode->batch_count) {
        drv_decode_fail(decode, DROVER_LIMIT, "too many entries in a list");
        return NULL;
    }
    void *entries = drv_arena_take(decode->arena, count, size);
    if (entries == NULL) {
        drv_decode_fail(decode, DROVER_NOMEM, "out of memory");
        return NULL;
    }
    decode->batch_count += count;
    out_items->count = count;
    return entries;
}

uint8_t *drv_put_rows_and_batch(struct drv_encode *encode, size_t count, size_t rows,
                                size_t row_size, size_t bytes, bool has_level)
{
    struct drv_buffer *blob = encode->blob;
    if (rows == 0) {
        drv_put_batch(encode, count);
        return NULL;
    }
    if (count > DRV_BATCH_MAX - encode->batch_count) {
        drv_encode_fail(encode, DROVER_LIMIT);
    } else if (bytes > DRV_BLOB_MAX - blob->len) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    } else if (drv_buffer_reserve(blob, bytes)) {
        drv_encode_fail(encode, DROVER_NOMEM);
    } else {
        encode->batch_count += count;
    }
    drv_put_array(encode, 1 + count - rows);
    drv_put_array(encode, has_level ? ROWS_FIELDS + 1 : ROWS_FIELDS);
    drv_put_nil(encode);
    drv_put_uint(encode, blob->len);
    size_t len = rows * row_size;
    uint8_t *at = encode->status == DROVER_OK
                      ? drv_pack_room(&encode->pack, DRV_PACK_HEAD_MAX + len)
                      : NULL;
    if (at == NULL) {
        return NULL;
    }
    size_t head = drv_put_len_bytes(at, 0xc4, len);
    drv_pack_took(&encode->pack, head + len);
    return at + head;
}
