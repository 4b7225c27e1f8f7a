#include "escape.h"

#include "check.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

struct code_range {
    uint32_t first;
    uint32_t last;
};

/* What reorders, hides or breaks text on a terminal. */
static const struct code_range special[] = {
    {0x0000, 0x001f},   {0x005c, 0x005c},    {0x007f, 0x009f}, {0x00ad, 0x00ad},
    {0x034f, 0x034f},   {0x061c, 0x061c},    {0x115f, 0x1160}, {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},    {0x2028, 0x202e}, {0x2060, 0x206f},
    {0x3164, 0x3164},   {0xd800, 0xf8ff},    {0xfdd0, 0xfdef}, {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},   {0xfff0, 0xfffb},    {0xfffe, 0xffff}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
};

bool drv_escape_is_plain(uint32_t code)
{
    if (code >= 0x20 && code < 0x7f) {
        return code != '\\';
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(special); i++) {
        if (code >= special[i].first && code <= special[i].last) {
            return false;
        }
    }
    /* The last two code points of every plane are noncharacters. */
    return code <= 0x10ffff && (code & 0xfffe) != 0xfffe;
}

/*
 * Escapes the first character of text (not empty) into piece; returns how many bytes of text
 * it took.
 */
static size_t escape_one(struct drv_view text, char piece[DRV_ESCAPE_GROWTH_MAX + 1],
                         size_t *out_len)
{
    static const char named[] = "\nn\rr\tt\\\\";
    uint32_t code;
    size_t size = DRV_ESCAPE_GROWTH_MAX + 1;
    int len;
    size_t taken = drv_utf8_decode(text.bytes, text.len, &code);
    if (taken > 0 && drv_escape_is_plain(code)) {
        memcpy(piece, text.bytes, taken);
        *out_len = taken;
        return taken;
    }
    if (taken == 0) {
        len = snprintf(piece, size, "\\x%02x", text.bytes[0]);
        taken = 1;
    } else if (code >= 0x7f) {
        len = snprintf(piece, size, "\\u{%x}", (unsigned)code);
    } else {
        len = snprintf(piece, size, "\\x%02x", (unsigned)code);
        for (size_t i = 0; named[i] != '\0'; i += 2) {
            if (code == (uint32_t)named[i]) {
                len = snprintf(piece, size, "\\%c", named[i + 1]);
            }
        }
    }
    *out_len = (size_t)len;
    return taken;
}

size_t drv_escape(struct drv_view text, char *out, size_t size)
{
    DRV_ASSERT(size > 0);
    static const char dots[] = "...";
    const size_t dots_len = sizeof dots - 1;
    size_t len = 0;
    size_t cut = 0; /* where the dots would go: the last place that leaves room for them */
    for (size_t at = 0; at < text.len;) {
        char piece[DRV_ESCAPE_GROWTH_MAX + 1];
        size_t piece_len;
        at += escape_one(drv_view_of(text.bytes + at, text.len - at), piece, &piece_len);
        if (len + piece_len >= size) {
            len = cut;
            if (cut + dots_len < size) {
                memcpy(out + cut, dots, dots_len);
                len += dots_len;
            }
            break;
        }
        memcpy(out + len, piece, piece_len);
        len += piece_len;
        if (len + dots_len < size) {
            cut = len;
        }
    }
    out[len] = '\0';
    return len;
}

drover_status drv_escape_append(struct drv_view text, struct drv_buffer *buffer)
{
    for (size_t at = 0; at < text.len;) {
        char piece[DRV_ESCAPE_GROWTH_MAX + 1];
        size_t piece_len;
        at += escape_one(drv_view_of(text.bytes + at, text.len - at), piece, &piece_len);
        drover_status status = drv_buffer_append(buffer, piece, piece_len);
        if (status) {
            return status;
        }
    }
    return DROVER_OK;
}
