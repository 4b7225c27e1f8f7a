/*
 * value_private.h: the inside of a value, for value.c and value_build.c alone.
 *
 * The encoded bytes are always complete, so that readers need no preparation and change
 * nothing. They begin at `start`, never before HEADROOM in a buffer that can grow, and the
 * header of an array or map lies right before its body: when the count grows, a longer header
 * fits in front and the body stays where it is.
 *
 * Where the bytes are (enum value_store): a short value of known length is one piece of memory.
 * A long one lies in a drv_data, so that copies of it, messages that carry it and the outcome
 * that brought it share the bytes. Both move into a buffer of their own when they grow.
 */
#ifndef DRV_VALUE_PRIVATE_H
#define DRV_VALUE_PRIVATE_H

#include "buffer.h"
#include "reader.h"

#include <drover/value.h>

/* The longest header of a container has five bytes, the shortest one. */
#define VALUE_HEADROOM 4

enum value_store {
    STORE_ROOM,   /* in `room` */
    STORE_OWN,    /* a buffer that can grow */
    STORE_SHARED, /* in a drv_data, of which this is a reference; starts at 0 */
    STORE_LENT,   /* in memory that outlives the value; starts at 0 */
};

struct drover_value {
    struct drv_buffer buffer; /* HEADROOM unused bytes if it starts behind them, the encoded
                                 value, a NUL */
    uint32_t start;           /* of the encoded value in it */
    uint32_t store;           /* enum value_store */
    char *content_type;       /* owned; NULL: msgpack */
    uint8_t room[];           /* what was known when it was made; nothing ever grows here */
};

static inline struct drv_view value_view(const drover_value *value)
{
    return drv_view_of(value->buffer.bytes + value->start, value->buffer.len - value->start);
}

static inline struct drv_cursor value_cursor(const drover_value *value)
{
    struct drv_view view = value_view(value);
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, view.bytes, view.len);
    return cursor;
}

static inline bool value_is_raw(const drover_value *value)
{
    return value->content_type != NULL;
}

/* Moves the bytes to where they can grow. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_value_open(drover_value *value);

/* A value of bytes that are known to be one msgpack value, or anything if it is to be raw. OK,
 * NOMEM or TOO_BIG. */
DROVER_MUST_USE drover_status drv_value_new_encoded(const void *bytes, size_t len,
                                                    drover_value **out_value);

/* Steps a cursor behind a map's header to the item under key; false and at the end if none. */
bool drv_value_find_key(struct drv_cursor *cursor, size_t count, struct drv_view key);

#endif
