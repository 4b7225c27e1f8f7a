/*
 * pack.c: see pack.h. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 * Written by hand since a field costs a few instructions so, and a hundred through msgpack-c,
 * whose packer calls back for every head and body. The tests hold both against each other.
 */
#include "check.h"
#include "pack_bytes.h"

#include <string.h>

/* An array or map: the count in the head, or in two or four bytes. */
static inline size_t put_count(uint8_t *at, uint8_t fix, uint8_t type, size_t count)
{
    if (count < 0x10) {
        at[0] = (uint8_t)(fix | count);
        return 1;
    }
    if (count < 0x10000) {
        return drv_put_head_bytes(at, type, count, 2);
    }
    return drv_put_head_bytes(at, (uint8_t)(type + 1), count, 4);
}

static inline size_t put_negative(uint8_t *at, int64_t number)
{
    uint64_t bits = (uint64_t)number;
    if (number >= -32) {
        at[0] = (uint8_t)bits;
        return 1;
    }
    if (number >= INT8_MIN) {
        return drv_put_head_bytes(at, 0xd0, bits, 1);
    }
    if (number >= INT16_MIN) {
        return drv_put_head_bytes(at, 0xd1, bits, 2);
    }
    if (number >= INT32_MIN) {
        return drv_put_head_bytes(at, 0xd2, bits, 4);
    }
    return drv_put_head_bytes(at, 0xd3, bits, 8);
}

static inline size_t put_str_head(uint8_t *at, size_t len)
{
    if (len < 0x20) {
        at[0] = (uint8_t)(0xa0 | len);
        return 1;
    }
    return drv_put_len_bytes(at, 0xd9, len);
}

/* Lengths and counts have 32 bits in the format. */
static bool fits(struct drv_pack *pack, size_t count)
{
    if (count > UINT32_MAX) {
        pack->failed = true;
    }
    return !pack->failed;
}

void drv_pack_init(struct drv_pack *pack, struct drv_buffer *buffer)
{
    *pack = (struct drv_pack){.buffer = buffer};
}

drover_status drv_pack_status(const struct drv_pack *pack)
{
    return pack->failed ? DROVER_NOMEM : DROVER_OK;
}

void drv_pack_array(struct drv_pack *pack, size_t count)
{
    uint8_t *at = fits(pack, count) ? drv_pack_room(pack, DRV_PACK_HEAD_MAX) : NULL;
    if (at != NULL) {
        drv_pack_took(pack, put_count(at, 0x90, 0xdc, count));
    }
}

void drv_pack_map(struct drv_pack *pack, size_t count)
{
    uint8_t *at = fits(pack, count) ? drv_pack_room(pack, DRV_PACK_HEAD_MAX) : NULL;
    if (at != NULL) {
        drv_pack_took(pack, put_count(at, 0x80, 0xde, count));
    }
}

static void pack_byte(struct drv_pack *pack, uint8_t byte)
{
    uint8_t *at = drv_pack_room(pack, 1);
    if (at != NULL) {
        at[0] = byte;
        drv_pack_took(pack, 1);
    }
}

void drv_pack_nil(struct drv_pack *pack)
{
    pack_byte(pack, 0xc0);
}

void drv_pack_bool(struct drv_pack *pack, bool flag)
{
    pack_byte(pack, flag ? 0xc3 : 0xc2);
}

void drv_pack_int(struct drv_pack *pack, int64_t number)
{
    uint8_t *at = drv_pack_room(pack, DRV_PACK_HEAD_MAX);
    if (at != NULL) {
        drv_pack_took(pack, number < 0 ? put_negative(at, number)
                                       : drv_put_uint_bytes(at, (uint64_t)number));
    }
}

void drv_pack_uint(struct drv_pack *pack, uint64_t number)
{
    uint8_t *at = drv_pack_room(pack, DRV_PACK_HEAD_MAX);
    if (at != NULL) {
        drv_pack_took(pack, drv_put_uint_bytes(at, number));
    }
}

void drv_pack_double(struct drv_pack *pack, double number)
{
    uint64_t bits;
    uint8_t *at = drv_pack_room(pack, DRV_PACK_HEAD_MAX);
    if (at != NULL) {
        memcpy(&bits, &number, sizeof bits);
        drv_pack_took(pack, drv_put_head_bytes(at, 0xcb, bits, 8));
    }
}

void drv_pack_str_header(struct drv_pack *pack, size_t len)
{
    uint8_t *at = fits(pack, len) ? drv_pack_room(pack, DRV_PACK_HEAD_MAX) : NULL;
    if (at != NULL) {
        drv_pack_took(pack, put_str_head(at, len));
    }
}

static void pack_body(struct drv_pack *pack, uint8_t *at, size_t head, const void *bytes,
                      size_t len)
{
    if (len > 0) {
        memcpy(at + head, bytes, len);
    }
    drv_pack_took(pack, head + len);
}

void drv_pack_str(struct drv_pack *pack, const void *text, size_t len)
{
    uint8_t *at = fits(pack, len) ? drv_pack_room(pack, DRV_PACK_HEAD_MAX + len) : NULL;
    if (at != NULL) {
        pack_body(pack, at, put_str_head(at, len), text, len);
    }
}

void drv_pack_text(struct drv_pack *pack, const char *text)
{
    drv_pack_str(pack, text, strlen(text));
}

void drv_pack_view(struct drv_pack *pack, struct drv_view text)
{
    drv_pack_str(pack, text.bytes, text.len);
}

void drv_pack_key(struct drv_pack *pack, const char *key)
{
    drv_pack_text(pack, key);
}

void drv_pack_bin(struct drv_pack *pack, const void *bytes, size_t len)
{
    uint8_t *at = fits(pack, len) ? drv_pack_room(pack, DRV_PACK_HEAD_MAX + len) : NULL;
    if (at != NULL) {
        pack_body(pack, at, drv_put_len_bytes(at, 0xc4, len), bytes, len);
    }
}

void drv_pack_raw(struct drv_pack *pack, const void *bytes, size_t len)
{
    uint8_t *at = drv_pack_room(pack, len);
    if (at != NULL) {
        pack_body(pack, at, 0, bytes, len);
    }
}

size_t drv_pack_array_open(struct drv_pack *pack)
{
    static const uint8_t header[5] = {0xdd};
    size_t position = pack->buffer->len;
    drv_pack_raw(pack, header, sizeof header);
    return position;
}

void drv_pack_array_close(struct drv_pack *pack, size_t position, size_t count)
{
    if (!fits(pack, count)) {
        return;
    }
    DRV_ASSERT(position + 5 <= pack->buffer->len && pack->buffer->bytes[position] == 0xdd);
    for (size_t i = 4; i >= 1; i--) {
        pack->buffer->bytes[position + i] = (uint8_t)count;
        count >>= 8;
    }
}
