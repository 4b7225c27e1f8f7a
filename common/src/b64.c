#include "b64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

drover_status drv_b64_encode(struct drv_view bytes, struct drv_buffer *out)
{
    if (bytes.len / 3 > SIZE_MAX / 8) {
        return DROVER_NOMEM;
    }
    size_t groups = (bytes.len + 2) / 3;
    drover_status status = drv_buffer_reserve(out, groups * 4);
    for (size_t i = 0; !status && i < bytes.len; i += 3) {
        size_t count = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < count ? bytes.bytes[i + k] : 0U);
        }
        char group[4];
        for (size_t k = 0; k < 4; k++) {
            group[k] = k <= count ? digits[bits >> (18 - 6 * k) & 63U] : '=';
        }
        status = drv_buffer_append(out, group, sizeof group);
    }
    return status;
}

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes one group of four; returns how many bytes it stands for, 0 if malformed. */
static size_t decode_group(const uint8_t *group, bool is_last, uint8_t out_bytes[3])
{
    size_t count = 3;
    if (is_last && group[3] == '=') {
        count = group[2] == '=' ? 1 : 2;
    }
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; k++) {
        int value = k <= count ? digit_value(group[k]) : 0;
        if (value < 0) {
            return 0;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    if ((bits & ((UINT32_C(1) << (24 - 8 * count)) - 1)) != 0) {
        return 0; /* stray bits: two texts would stand for the same bytes */
    }
    for (size_t k = 0; k < 3; k++) {
        out_bytes[k] = (uint8_t)(bits >> (16 - 8 * k));
    }
    return count;
}

drover_status drv_b64_decode(struct drv_view text, struct drv_buffer *out)
{
    if (text.len % 4 != 0) {
        return DROVER_MALFORMED;
    }
    size_t before = out->len;
    drover_status status = drv_buffer_reserve(out, text.len / 4 * 3);
    for (size_t i = 0; !status && i < text.len; i += 4) {
        uint8_t bytes[3];
        size_t count = decode_group(text.bytes + i, i + 4 == text.len, bytes);
        status = count == 0 ? DROVER_MALFORMED : drv_buffer_append(out, bytes, count);
    }
    if (status) {
        out->len = before;
    }
    return status;
}
