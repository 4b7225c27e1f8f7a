/*
 * utf8.h: strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef DRV_UTF8_H
#define DRV_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRV_UTF8_LEN_MAX 4

bool drv_utf8_is_valid(const uint8_t *bytes, size_t len);

/* Reads one code point; returns how many bytes it takes, 0 when they are not valid. */
size_t drv_utf8_decode(const uint8_t *bytes, size_t len, uint32_t *out_code);

/* Writes one valid code point; returns how many bytes it takes. */
size_t drv_utf8_encode(uint32_t code, uint8_t out_bytes[DRV_UTF8_LEN_MAX]);

#endif
