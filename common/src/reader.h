/*
 * reader.h: msgpack from strangers.
 *
 * First drv_validate looks at every byte once, without recursion and without allocating;
 * then a cursor reads. Every read of the cursor checks bounds and type again and fails softly:
 * after the first mismatch `failed` is set, all further reads return zero values, and the
 * decoding code asks once at the end.
 */
#ifndef DRV_READER_H
#define DRV_READER_H

#include "view.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No limits may ask for more nesting than this. */
#define DRV_VALIDATE_DEPTH_MAX 64

struct drv_validate_limits {
    uint32_t depth; /* arrays and maps inside each other; 0: scalars only */
    uint32_t nodes; /* values in all, containers and map keys included */
};

/* For message heads: depth 16, 65536 nodes. */
extern const struct drv_validate_limits DRV_VALIDATE_HEAD;
/* For payload values: depth DROVER_VALUE_DEPTH_MAX, 64 Mi nodes. */
extern const struct drv_validate_limits DRV_VALIDATE_VALUE;

/*
 * Checks that bytes are exactly one msgpack value: complete, nothing behind it, no ext and no
 * 0xc1, UTF-8 in str, no container that claims more items than bytes follow.
 * Returns OK, MALFORMED, or LIMIT when depth or nodes are exceeded.
 */
DROVER_MUST_USE drover_status drv_validate(const uint8_t *bytes, size_t len,
                                           const struct drv_validate_limits *limits);

enum drv_type {
    DRV_TYPE_END, /* no bytes left, or the cursor has failed */
    DRV_TYPE_NIL,
    DRV_TYPE_BOOL,
    DRV_TYPE_INT,
    DRV_TYPE_DOUBLE,
    DRV_TYPE_STR,
    DRV_TYPE_BIN,
    DRV_TYPE_ARRAY,
    DRV_TYPE_MAP,
    DRV_TYPE_BAD, /* ext or 0xc1 */
};

struct drv_cursor {
    const uint8_t *at; /* borrowed, as end */
    const uint8_t *end;
    bool failed; /* sticky */
};

static inline void drv_cursor_init(struct drv_cursor *cursor, const void *bytes, size_t len)
{
    cursor->at = (const uint8_t *)bytes;
    cursor->end = len == 0 ? cursor->at : cursor->at + len;
    cursor->failed = false;
}

/* Marks the cursor failed, for range checks by the decoding code. */
static inline void drv_cursor_fail(struct drv_cursor *cursor)
{
    cursor->failed = true;
    cursor->at = cursor->end;
}

/* Whether everything was read without a mismatch so far. */
static inline bool drv_cursor_is_ok(const struct drv_cursor *cursor)
{
    return !cursor->failed;
}

static inline bool drv_cursor_is_at_end(const struct drv_cursor *cursor)
{
    return cursor->at == cursor->end;
}

/* The kind of the next value, which stays unread. */
enum drv_type drv_cursor_peek(const struct drv_cursor *cursor);

/* Whether the next value is nil; if so it is consumed. */
bool drv_cursor_take_nil(struct drv_cursor *cursor);

/* Whether the next value is nil; it stays unread. */
static inline bool drv_cursor_is_nil(const struct drv_cursor *cursor)
{
    return cursor->at != cursor->end && *cursor->at == 0xc0;
}

/* Private: everything but the one-byte forms. */
uint32_t drv_cursor_array_slow(struct drv_cursor *cursor);
uint64_t drv_cursor_uint_slow(struct drv_cursor *cursor);
int64_t drv_cursor_int_slow(struct drv_cursor *cursor);
struct drv_view drv_cursor_str_slow(struct drv_cursor *cursor);

/* The number of items of an array; they follow. */
static inline uint32_t drv_cursor_array(struct drv_cursor *cursor)
{
    if (cursor->at != cursor->end && (*cursor->at & 0xf0) == 0x90) {
        return *cursor->at++ & 0x0fU;
    }
    return drv_cursor_array_slow(cursor);
}

/* The number of pairs of a map; key, value, key, value follow. */
uint32_t drv_cursor_map(struct drv_cursor *cursor);

/* An integer from 0 to UINT64_MAX, in whatever width it was packed. */
static inline uint64_t drv_cursor_uint(struct drv_cursor *cursor)
{
    if (cursor->at != cursor->end && *cursor->at < 0x80) {
        return *cursor->at++;
    }
    return drv_cursor_uint_slow(cursor);
}

/* The same, but anything above max fails. */
static inline uint64_t drv_cursor_uint_max(struct drv_cursor *cursor, uint64_t max)
{
    uint64_t number = drv_cursor_uint(cursor);
    if (number > max) {
        drv_cursor_fail(cursor);
        return 0;
    }
    return number;
}

static inline uint32_t drv_cursor_u32(struct drv_cursor *cursor)
{
    return (uint32_t)drv_cursor_uint_max(cursor, UINT32_MAX);
}

/* An integer in the range of int64. */
static inline int64_t drv_cursor_int(struct drv_cursor *cursor)
{
    if (cursor->at != cursor->end && *cursor->at < 0x80) {
        return *cursor->at++;
    }
    return drv_cursor_int_slow(cursor);
}

/* An integer from min to max; anything else fails and reads as 0. */
static inline int64_t drv_cursor_int_range(struct drv_cursor *cursor, int64_t min, int64_t max)
{
    int64_t number = drv_cursor_int(cursor);
    if (number < min || number > max) {
        drv_cursor_fail(cursor);
        return 0;
    }
    return number;
}

bool drv_cursor_bool(struct drv_cursor *cursor);

/* A float of either width, or an integer. */
double drv_cursor_double(struct drv_cursor *cursor);

/* Consumes a nil; anything else fails. */
void drv_cursor_nil(struct drv_cursor *cursor);

/* A str, borrowed from the bytes read; UTF-8 if they were validated. */
static inline struct drv_view drv_cursor_str(struct drv_cursor *cursor)
{
    if (cursor->at != cursor->end && (*cursor->at & 0xe0) == 0xa0) {
        size_t len = *cursor->at & 0x1fU;
        if ((size_t)(cursor->end - cursor->at) > len) {
            struct drv_view view = {.bytes = cursor->at + 1, .len = len};
            cursor->at += 1 + len;
            return view;
        }
    }
    return drv_cursor_str_slow(cursor);
}

/* A bin, borrowed from the bytes read. */
struct drv_view drv_cursor_bin(struct drv_cursor *cursor);

/* A bin of exactly len bytes copied to out_bytes; untouched when it fails. */
void drv_cursor_bin_exact(struct drv_cursor *cursor, void *out_bytes, size_t len);

/* The next whole value, still encoded, borrowed. */
struct drv_view drv_cursor_value(struct drv_cursor *cursor);

/* Steps over the next value, whatever it is. */
void drv_cursor_skip(struct drv_cursor *cursor);

/* Steps over count values: fields of a newer version, say. */
void drv_cursor_skip_many(struct drv_cursor *cursor, uint64_t count);

#endif
