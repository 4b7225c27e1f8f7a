#include "record.h"

#include "text.h"

/* The longest number. */
enum { NUMBER_MAX = 10 };

/* --- writing ----------------------------------------------------------------------------- */

static uint8_t *room(struct record_writer *writer, size_t len)
{
    if (writer->failed || drv_buffer_reserve(writer->buffer, len) != DROVER_OK) {
        writer->failed = true;
        return NULL;
    }
    return writer->buffer->bytes + writer->buffer->len;
}

void record_put_u8(struct record_writer *writer, uint8_t byte)
{
    uint8_t *at = room(writer, 1);
    if (at != NULL) {
        *at = byte;
        writer->buffer->len++;
    }
}

void record_put_uint(struct record_writer *writer, uint64_t number)
{
    uint8_t *at = room(writer, NUMBER_MAX);
    if (at == NULL) {
        return;
    }
    size_t len = 0;
    for (; number >= 0x80; number >>= 7) {
        at[len++] = (uint8_t)(number | 0x80);
    }
    at[len++] = (uint8_t)number;
    writer->buffer->len += len;
}

void record_put_int(struct record_writer *writer, int64_t number)
{
    record_put_uint(writer, (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

void record_put_fixed(struct record_writer *writer, int64_t number)
{
    uint8_t *at = room(writer, 8);
    for (unsigned i = 0; at != NULL && i < 8; i++) {
        at[i] = (uint8_t)((uint64_t)number >> 8 * i);
    }
    writer->buffer->len += at != NULL ? 8 : 0;
}

void record_put_raw(struct record_writer *writer, const void *bytes, size_t len)
{
    uint8_t *at = len == 0 ? NULL : room(writer, len);
    if (at != NULL) {
        memcpy(at, bytes, len);
        writer->buffer->len += len;
    }
}

void record_put_id(struct record_writer *writer, const drover_id *id)
{
    record_put_raw(writer, id->bytes, sizeof id->bytes);
}

void record_put_str(struct record_writer *writer, struct drv_str text)
{
    record_put_uint(writer, text.len);
    record_put_raw(writer, text.ptr, text.len);
}

/* 0 is nil, else the length and one. */
void record_put_val_head(struct record_writer *writer, const struct drv_val *val)
{
    record_put_uint(writer, val->is_nil ? 0 : (uint64_t)val->len + 1);
    if (!val->is_nil) {
        struct drv_str type = val->content_type;
        record_put_str(writer, str_of(type.ptr, type.ptr == NULL ? 0 : type.len));
    }
}

void record_put_val(struct record_writer *writer, const struct drv_val *val)
{
    record_put_val_head(writer, val);
    record_put_raw(writer, val->bytes, val->is_nil ? 0 : val->len);
}

/* --- reading ----------------------------------------------------------------------------- */

void record_read(struct record_reader *reader, const uint8_t *bytes, size_t len)
{
    *reader = (struct record_reader){.at = bytes, .end = len == 0 ? bytes : bytes + len};
}

void record_fail(struct record_reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

uint8_t record_u8(struct record_reader *reader)
{
    return reader->at == reader->end ? 0 : *reader->at++;
}

uint64_t record_uint(struct record_reader *reader)
{
    uint64_t number = 0;
    if (reader->at == reader->end) {
        return 0;
    }
    for (unsigned shift = 0; reader->at != reader->end && shift < 64; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return number;
        }
    }
    record_fail(reader);
    return 0;
}

uint64_t record_uint_max(struct record_reader *reader, uint64_t max)
{
    uint64_t number = record_uint(reader);
    if (number > max) {
        record_fail(reader);
        return 0;
    }
    return number;
}

int64_t record_int(struct record_reader *reader)
{
    uint64_t number = record_uint(reader);
    return (int64_t)(number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
}

const uint8_t *record_raw(struct record_reader *reader, size_t len)
{
    if (len > record_left(reader)) {
        record_fail(reader);
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at = len == 0 ? at : at + len;
    return at;
}

int64_t record_fixed(struct record_reader *reader)
{
    const uint8_t *at = reader->at == reader->end ? NULL : record_raw(reader, 8);
    uint64_t number = 0;
    for (unsigned i = 0; at != NULL && i < 8; i++) {
        number |= (uint64_t)at[i] << 8 * i;
    }
    return (int64_t)number;
}

drover_id record_id(struct record_reader *reader)
{
    drover_id id = {{0}};
    const uint8_t *at = reader->at == reader->end ? NULL : record_raw(reader, sizeof id.bytes);
    if (at != NULL) {
        memcpy(id.bytes, at, sizeof id.bytes);
    }
    return id;
}

struct drv_str record_str(struct record_reader *reader, size_t max)
{
    size_t len = (size_t)record_uint_max(reader, max);
    const uint8_t *at = record_raw(reader, len);
    return at == NULL ? str_of(NULL, 0) : str_of((const char *)at, len);
}

struct drv_val record_val(struct record_reader *reader)
{
    struct drv_val val = {.is_nil = true};
    uint64_t len = record_uint_max(reader, (uint64_t)UINT32_MAX);
    if (len == 0) {
        return val;
    }
    struct drv_str type = record_str(reader, UINT8_MAX);
    const uint8_t *bytes = record_raw(reader, (size_t)len - 1);
    if (bytes == NULL) {
        return val;
    }
    val.is_nil = false;
    val.bytes = bytes;
    val.len = (size_t)len - 1;
    if (type.len > 0) {
        val.content_type = type;
    }
    return val;
}
