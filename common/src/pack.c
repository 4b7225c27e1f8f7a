/*
 * pack.c: see pack.h. msgpack-c's packer knows the format; a packer of its own is set up for
 * every call, which costs two stores and keeps its headers out of ours.
 */
#include "pack.h"

#include "check.h"

#include <msgpack/pack.h>

static int write_to_buffer(void *context, const char *bytes, size_t len)
{
    struct drv_pack *pack = (struct drv_pack *)context;
    if (!pack->failed && drv_buffer_append(pack->buffer, bytes, len) != DROVER_OK) {
        pack->failed = true;
    }
    return pack->failed ? -1 : 0;
}

static msgpack_packer packer_for(struct drv_pack *pack)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, pack, write_to_buffer);
    return packer;
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
    if (fits(pack, count)) {
        msgpack_packer packer = packer_for(pack);
        (void)msgpack_pack_array(&packer, count);
    }
}

void drv_pack_map(struct drv_pack *pack, size_t count)
{
    if (fits(pack, count)) {
        msgpack_packer packer = packer_for(pack);
        (void)msgpack_pack_map(&packer, count);
    }
}

void drv_pack_nil(struct drv_pack *pack)
{
    msgpack_packer packer = packer_for(pack);
    (void)msgpack_pack_nil(&packer);
}

void drv_pack_bool(struct drv_pack *pack, bool flag)
{
    msgpack_packer packer = packer_for(pack);
    (void)(flag ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void drv_pack_int(struct drv_pack *pack, int64_t number)
{
    msgpack_packer packer = packer_for(pack);
    (void)msgpack_pack_int64(&packer, number);
}

void drv_pack_uint(struct drv_pack *pack, uint64_t number)
{
    msgpack_packer packer = packer_for(pack);
    (void)msgpack_pack_uint64(&packer, number);
}

void drv_pack_double(struct drv_pack *pack, double number)
{
    msgpack_packer packer = packer_for(pack);
    (void)msgpack_pack_double(&packer, number);
}

void drv_pack_str_header(struct drv_pack *pack, size_t len)
{
    if (fits(pack, len)) {
        msgpack_packer packer = packer_for(pack);
        (void)msgpack_pack_str(&packer, len);
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
        msgpack_packer packer = packer_for(pack);
        (void)msgpack_pack_bin(&packer, len);
        drv_pack_raw(pack, bytes, len);
    }
}

void drv_pack_raw(struct drv_pack *pack, const void *bytes, size_t len)
{
    (void)write_to_buffer(pack, (const char *)bytes, len);
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
