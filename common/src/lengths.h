/*
 * lengths.h: where one value ends and the next begins, for the elements of a range (PROTOCOL.md
 * section 5, "Ranges").
 *
 *   lengths  [3] [0] [130 1]      LEB128 of (length + 1), lowest bits first; 0: nil
 *   bytes    aa  -   bbbb...      the values one after the other
 *
 * Readers trust nothing: what does not add up was refused by the codec, and drv_lengths_next
 * never leaves the bytes it was given.
 */
#ifndef DRV_LENGTHS_H
#define DRV_LENGTHS_H

#include "check.h"
#include "message_basic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DRV_LENGTH_BYTES_MAX = 5 };

/* Writes the length of a value, or nil; returns how many bytes (at most DRV_LENGTH_BYTES_MAX).
 */
static inline size_t drv_lengths_put(uint8_t *at, bool is_nil, size_t len)
{
    DRV_ASSERT(len < UINT32_MAX);
    uint32_t rest = is_nil ? 0 : (uint32_t)len + 1;
    size_t used = 0;
    while (rest >= 0x80) {
        at[used++] = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    at[used++] = (uint8_t)rest;
    return used;
}

/* A walk over the values of a range. */
struct drv_lengths {
    const uint8_t *at, *end; /* the lengths that are left */
    const uint8_t *bytes;    /* where the next value begins */
    size_t left;             /* bytes from there on */
};

static inline struct drv_lengths drv_lengths_of(struct drv_str lengths, const uint8_t *bytes,
                                                size_t len)
{
    return (struct drv_lengths){.at = (const uint8_t *)lengths.ptr,
                                .end = (const uint8_t *)lengths.ptr + lengths.len,
                                .bytes = bytes,
                                .left = len};
}

/* The number in front; false: there is none, or it is longer than one can be. */
static inline bool drv_lengths_number(struct drv_lengths *walk, uint64_t *out_number)
{
    uint64_t number = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        if (walk->at == walk->end || shift > 7 * (DRV_LENGTH_BYTES_MAX - 1)) {
            return false;
        }
        byte = *walk->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *out_number = number;
    return true;
}

/* The next value, borrowed; false: none is left, or what is left makes no sense. */
static inline bool drv_lengths_next(struct drv_lengths *walk, struct drv_val *out_val)
{
    uint64_t number;
    if (!drv_lengths_number(walk, &number)) {
        return false;
    }
    size_t len = number == 0 ? 0 : (size_t)(number - 1);
    if (len > walk->left) {
        return false;
    }
    *out_val = (struct drv_val){.bytes = walk->bytes, .len = len, .is_nil = number == 0};
    walk->bytes += len;
    walk->left -= len;
    return true;
}

/* How many values lie in `len` bytes; 0: none, or not exactly. */
static inline size_t drv_lengths_count(struct drv_str lengths, size_t len)
{
    struct drv_lengths walk = drv_lengths_of(lengths, NULL, len);
    size_t count = 0;
    uint64_t number;
    while (drv_lengths_number(&walk, &number)) {
        if (number > walk.left + 1) {
            return 0;
        }
        walk.left -= number > 0 ? (size_t)(number - 1) : 0;
        count++;
    }
    return walk.at == walk.end && walk.left == 0 ? count : 0;
}

#endif
