/*
 * pack.h: writes msgpack into a drv_buffer.
 *
 * Always the shortest form (but for drv_pack_array_open). Running out of memory is sticky: it
 * sets `failed`, later calls do nothing, and the encoding code asks once at the end.
 */
#ifndef DRV_PACK_H
#define DRV_PACK_H

#include "buffer.h"
#include "view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drv_pack {
    struct drv_buffer *buffer; /* borrowed; everything is appended to it */
    bool failed;               /* sticky: out of memory, or a length beyond 32 bits */
};

void drv_pack_init(struct drv_pack *pack, struct drv_buffer *buffer);

/* OK, or NOMEM when anything could not be written. */
DROVER_MUST_USE drover_status drv_pack_status(const struct drv_pack *pack);

/* Headers: count items, or count pairs, must follow. */
void drv_pack_array(struct drv_pack *pack, size_t count);
void drv_pack_map(struct drv_pack *pack, size_t count);

void drv_pack_nil(struct drv_pack *pack);
void drv_pack_bool(struct drv_pack *pack, bool flag);
void drv_pack_int(struct drv_pack *pack, int64_t number);
void drv_pack_uint(struct drv_pack *pack, uint64_t number);
void drv_pack_double(struct drv_pack *pack, double number);

/* A str; the caller vouches for UTF-8. */
void drv_pack_str(struct drv_pack *pack, const void *text, size_t len);
void drv_pack_text(struct drv_pack *pack, const char *text);
/* A str from a view: the same. */
void drv_pack_view(struct drv_pack *pack, struct drv_view text);
/* The header of a str alone: len bytes must follow by drv_pack_raw. */
void drv_pack_str_header(struct drv_pack *pack, size_t len);
/* A key of a map: the same as drv_pack_text, named for the reader. */
void drv_pack_key(struct drv_pack *pack, const char *key);

void drv_pack_bin(struct drv_pack *pack, const void *bytes, size_t len);

/* Bytes that are msgpack already. */
void drv_pack_raw(struct drv_pack *pack, const void *bytes, size_t len);

/*
 * An array whose count is known later: writes a header of five bytes and returns where it
 * is; drv_pack_array_close fills the count in.
 */
size_t drv_pack_array_open(struct drv_pack *pack);
void drv_pack_array_close(struct drv_pack *pack, size_t position, size_t count);

#endif
