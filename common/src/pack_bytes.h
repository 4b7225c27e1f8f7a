/*
 * pack_bytes.h: the heads of msgpack values, written to where there is room for them; for
 * pack.c and the hottest encoders. Each returns how many bytes it wrote, DRV_PACK_HEAD_MAX at
 * most, always the shortest form.
 */
#ifndef DRV_PACK_BYTES_H
#define DRV_PACK_BYTES_H

#include "pack.h"

#define DRV_PACK_HEAD_MAX ((size_t)9) /* a type and eight bytes */

/* Where `len` more bytes go; NULL: out of memory, now or before. drv_pack_took ends it. */
static inline uint8_t *drv_pack_room(struct drv_pack *pack, size_t len)
{
    struct drv_buffer *buffer = pack->buffer;
    if (pack->failed) {
        return NULL;
    }
    if (buffer->capacity - buffer->len <= len && drv_buffer_reserve(buffer, len)) {
        pack->failed = true;
        return NULL;
    }
    return buffer->bytes + buffer->len;
}

static inline void drv_pack_took(struct drv_pack *pack, size_t len)
{
    struct drv_buffer *buffer = pack->buffer;
    buffer->len += len;
    buffer->bytes[buffer->len] = '\0';
}

/* A type and a big-endian number of so many bytes behind it; written out, so that compilers
 * make one store of each. */
static inline size_t drv_put_head_bytes(uint8_t *at, uint8_t type, uint64_t number,
                                        unsigned width)
{
    at[0] = type;
    if (width == 1) {
        at[1] = (uint8_t)number;
    } else if (width == 2) {
        at[1] = (uint8_t)(number >> 8);
        at[2] = (uint8_t)number;
    } else if (width == 4) {
        at[1] = (uint8_t)(number >> 24);
        at[2] = (uint8_t)(number >> 16);
        at[3] = (uint8_t)(number >> 8);
        at[4] = (uint8_t)number;
    } else {
        at[1] = (uint8_t)(number >> 56);
        at[2] = (uint8_t)(number >> 48);
        at[3] = (uint8_t)(number >> 40);
        at[4] = (uint8_t)(number >> 32);
        at[5] = (uint8_t)(number >> 24);
        at[6] = (uint8_t)(number >> 16);
        at[7] = (uint8_t)(number >> 8);
        at[8] = (uint8_t)number;
    }
    return 1 + width;
}

/* The types of one family lie one behind the other: one, two and four bytes of length. */
static inline size_t drv_put_len_bytes(uint8_t *at, uint8_t first_type, size_t len)
{
    if (len < 0x100) {
        return drv_put_head_bytes(at, first_type, len, 1);
    }
    if (len < 0x10000) {
        return drv_put_head_bytes(at, (uint8_t)(first_type + 1), len, 2);
    }
    return drv_put_head_bytes(at, (uint8_t)(first_type + 2), len, 4);
}

static inline size_t drv_put_uint_bytes(uint8_t *at, uint64_t number)
{
    if (number < 0x80) {
        at[0] = (uint8_t)number;
        return 1;
    }
    if (number < 0x100) {
        return drv_put_head_bytes(at, 0xcc, number, 1);
    }
    if (number < 0x10000) {
        return drv_put_head_bytes(at, 0xcd, number, 2);
    }
    if (number <= UINT32_MAX) {
        return drv_put_head_bytes(at, 0xce, number, 4);
    }
    return drv_put_head_bytes(at, 0xcf, number, 8);
}

#endif
