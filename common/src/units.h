/*
 * units.h: durations, sizes and numbers as people write them.
 *
 * Strict: the whole text must be one number in decimal digits and one unit; no sign, space or
 * fraction; overflow is refused. All parsers return OK or INVALID.
 */
#ifndef DRV_UNITS_H
#define DRV_UNITS_H

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text of the two formatters, with the NUL. */
#define DRV_UNITS_TEXT_MAX 32

/* "250ms", "5s", "2m", "1h", "1d", or "0", to milliseconds. */
DROVER_MUST_USE drover_status drv_duration_parse(const char *text, uint64_t *out_ms);

/* The same notation, exact, in the largest unit that divides the duration ("90s"). */
void drv_duration_format(uint64_t ms, char out_text[DRV_UNITS_TEXT_MAX]);

/* "512" (bytes), "64K", "16M", "1G", "2T" (powers of 1024) to bytes. */
DROVER_MUST_USE drover_status drv_size_parse(const char *text, uint64_t *out_bytes);

/* The same notation, exact, in the largest unit that divides the size. */
void drv_size_format(uint64_t bytes, char out_text[DRV_UNITS_TEXT_MAX]);

/* Decimal integers; drv_int_parse allows a leading '-'. */
DROVER_MUST_USE drover_status drv_uint_parse(const char *text, uint64_t *out_number);
DROVER_MUST_USE drover_status drv_int_parse(const char *text, int64_t *out_number);

/* "1", "true", "yes", "on" or "0", "false", "no", "off". */
DROVER_MUST_USE drover_status drv_bool_parse(const char *text, bool *out_flag);

#endif
