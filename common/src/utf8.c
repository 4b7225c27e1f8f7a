#include "utf8.h"

#include <string.h>

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

size_t drv_utf8_decode(const uint8_t *bytes, size_t len, uint32_t *out_code)
{
    /* The least code point of each length: anything below is overlong. */
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0) {
        return 0;
    }
    uint8_t lead = bytes[0];
    if (lead < 0x80) {
        *out_code = lead;
        return 1;
    }
    size_t count = (lead & 0xe0) == 0xc0   ? 2
                   : (lead & 0xf0) == 0xe0 ? 3
                   : (lead & 0xf8) == 0xf0 ? 4
                                           : 0;
    if (count == 0 || count > len) {
        return 0;
    }
    uint32_t code = lead & (0x7fU >> count);
    for (size_t i = 1; i < count; i++) {
        if (!is_continuation(bytes[i])) {
            return 0;
        }
        code = code << 6 | (bytes[i] & 0x3fU);
    }
    if (code < least[count] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *out_code = code;
    return count;
}

bool drv_utf8_is_valid(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint64_t word;
        if (len - at >= sizeof word) { /* eight ASCII bytes at a time */
            memcpy(&word, bytes + at, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof word;
                continue;
            }
        }
        uint32_t code;
        size_t count = drv_utf8_decode(bytes + at, len - at, &code);
        if (count == 0) {
            return false;
        }
        at += count;
    }
    return true;
}

size_t drv_utf8_encode(uint32_t code, uint8_t out_bytes[DRV_UTF8_LEN_MAX])
{
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i > 0; i--) {
        out_bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out_bytes[0] = (uint8_t)(leads[count] | code);
    return count;
}
