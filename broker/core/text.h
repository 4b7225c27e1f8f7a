/*
 * text.h: small helpers on borrowed text and values.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "message.h"

#include <string.h>

static inline struct drv_str str_of(const char *text, size_t len)
{
    return (struct drv_str){.ptr = text, .len = len};
}

static inline bool str_equals(struct drv_str a, struct drv_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Byte order; shorter first. */
static inline int str_compare(struct drv_str a, struct drv_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool val_equals(const struct drv_val *a, const struct drv_val *b)
{
    return a->is_nil == b->is_nil && a->len == b->len &&
           (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0) &&
           str_equals(a->content_type, b->content_type);
}

/* Milliseconds of the wire as microseconds; a hundred years are for ever. */
static inline int64_t us_of_ms(uint64_t ms)
{
    const uint64_t forever = 100ull * 365 * 24 * 3600 * 1000;
    return (int64_t)(ms < forever ? ms : forever) * 1000;
}

/* Microseconds as whole milliseconds, never negative. */
static inline uint64_t ms_of_us(int64_t us)
{
    return us < 0 ? 0 : (uint64_t)us / 1000;
}

#endif
