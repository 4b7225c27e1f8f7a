/*
 * pack.c: see pack.h. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#include "pack.h"

#include "check.h"

#include <string.h>

/* First bytes of the format; the forms of a kind follow each other, shortest first. */
enum {
    FIX_MAP = 0x80,
    FIX_ARRAY = 0x90,
    FIX_STR = 0xa0,
    NIL = 0xc0,
    FALSE_BYTE = 0xc2,
    TRUE_BYTE = 0xc3,
    BIN_8 = 0xc4,
    DOUBLE = 0xcb,
    UINT_8 = 0xcc,
    INT_8 = 0xd0,
    STR_8 = 0xd9,
    ARRAY_16 = 0xdc,
    MAP_16 = 0xde,
};

/* Appends len bytes that the caller writes, and the NUL behind them; NULL: no memory. */
static uint8_t *extend(struct drv_pack *pack, size_t len)
{
    struct drv_buffer *buffer = pack->buffer;
    if (pack->failed) {
        return NULL;
    }
    if (len >= buffer->capacity - buffer->len && drv_buffer_reserve(buffer, len) != DROVER_OK) {
        pack->failed = true;
        return NULL;
    }
    uint8_t *at = buffer->bytes + buffer->len;
    buffer->len += len;
    at[len] = '\0';
    return at;
}

static void put_byte(struct drv_pack *pack, unsigned byte)
{
    uint8_t *at = extend(pack, 1);
    if (at != NULL) {
        *at = (uint8_t)byte;
    }
}

/* A first byte, and the number in so many bytes, the highest first. */
static void put_long(struct drv_pack *pack, unsigned first, uint64_t number, size_t bytes)
{
    uint8_t *at = extend(pack, 1 + bytes);
    if (at == NULL) {
        return;
    }
    at[0] = (uint8_t)first;
    for (size_t i = bytes; i > 0; i--) {
        at[i] = (uint8_t)number;
        number >>= 8;
    }
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

/* The header of an array or map. */
static void put_count(struct drv_pack *pack, unsigned fix, unsigned first, size_t count)
{
    if (!fits(pack, count)) {
        return;
    }
    if (count < 16) {
        put_byte(pack, fix | (unsigned)count);
    } else if (count <= UINT16_MAX) {
        put_long(pack, first, count, 2);
    } else {
        put_long(pack, first + 1, count, 4);
    }
}

/* The header of a bin, or of a str too long for the shortest form. */
static void put_len(struct drv_pack *pack, unsigned first, size_t len)
{
    if (len <= UINT8_MAX) {
        put_long(pack, first, len, 1);
    } else if (len <= UINT16_MAX) {
        put_long(pack, first + 1, len, 2);
    } else {
        put_long(pack, first + 2, len, 4);
    }
}

void drv_pack_array(struct drv_pack *pack, size_t count)
{
    put_count(pack, FIX_ARRAY, ARRAY_16, count);
}

void drv_pack_map(struct drv_pack *pack, size_t count)
{
    put_count(pack, FIX_MAP, MAP_16, count);
}

void drv_pack_nil(struct drv_pack *pack)
{
    put_byte(pack, NIL);
}

void drv_pack_bool(struct drv_pack *pack, bool flag)
{
    put_byte(pack, flag ? TRUE_BYTE : FALSE_BYTE);
}

void drv_pack_int(struct drv_pack *pack, int64_t number)
{
    if (number >= 0) {
        drv_pack_uint(pack, (uint64_t)number);
    } else if (number >= -32) {
        put_byte(pack, (uint8_t)number);
    } else if (number >= INT8_MIN) {
        put_long(pack, INT_8, (uint64_t)number, 1);
    } else if (number >= INT16_MIN) {
        put_long(pack, INT_8 + 1, (uint64_t)number, 2);
    } else if (number >= INT32_MIN) {
        put_long(pack, INT_8 + 2, (uint64_t)number, 4);
    } else {
        put_long(pack, INT_8 + 3, (uint64_t)number, 8);
    }
}

void drv_pack_uint(struct drv_pack *pack, uint64_t number)
{
    if (number < 128) {
        put_byte(pack, (unsigned)number);
    } else if (number <= UINT8_MAX) {
        put_long(pack, UINT_8, number, 1);
    } else if (number <= UINT16_MAX) {
        put_long(pack, UINT_8 + 1, number, 2);
    } else if (number <= UINT32_MAX) {
        put_long(pack, UINT_8 + 2, number, 4);
    } else {
        put_long(pack, UINT_8 + 3, number, 8);
    }
}

void drv_pack_double(struct drv_pack *pack, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_long(pack, DOUBLE, bits, sizeof bits);
}

void drv_pack_str_header(struct drv_pack *pack, size_t len)
{
    if (!fits(pack, len)) {
        return;
    }
    if (len < 32) {
        put_byte(pack, FIX_STR | (unsigned)len);
    } else {
        put_len(pack, STR_8, len);
    }
}

void drv_pack_str(struct drv_pack *pack, const void *text, size_t len)
{
    drv_pack_str_header(pack, len);
    drv_pack_raw(pack, text, len);
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
    if (fits(pack, len)) {
        put_len(pack, BIN_8, len);
        drv_pack_raw(pack, bytes, len);
    }
}

void drv_pack_raw(struct drv_pack *pack, const void *bytes, size_t len)
{
    uint8_t *at = extend(pack, len);
    if (at != NULL && len > 0) {
        memcpy(at, bytes, len);
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
