/*
 * view.h: bytes that belong to someone else.
 */
#ifndef DRV_VIEW_H
#define DRV_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct drv_view {
    const uint8_t *bytes; /* borrowed; may be NULL only when len is 0 */
    size_t len;
};

static inline struct drv_view drv_view_of(const void *bytes, size_t len)
{
    return (struct drv_view){.bytes = (const uint8_t *)bytes, .len = len};
}

static inline struct drv_view drv_view_text(const char *text)
{
    return drv_view_of(text, strlen(text));
}

static inline bool drv_view_equal(struct drv_view a, struct drv_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
}

static inline bool drv_view_is_text(struct drv_view view, const char *text)
{
    return drv_view_equal(view, drv_view_text(text));
}

#endif
