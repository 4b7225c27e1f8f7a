/*
 * error.h: one line for a person about what went wrong, beside a drover_status.
 */
#ifndef DRV_ERROR_H
#define DRV_ERROR_H

#include <drover/status.h>

#include <stdarg.h>

#define DRV_ERROR_LINE_MAX 512

struct drv_error {
    char text[DRV_ERROR_LINE_MAX]; /* NUL-terminated, escaped, no newline; "" for none */
};

/*
 * Sets the text, printf-like, cut to fit and escaped for a terminal; returns status, so that
 * one can write `return drv_error_set(error, DROVER_INVALID, ...)`. error may be NULL.
 */
drover_status drv_error_set(struct drv_error *error, drover_status status, const char *format,
                            ...) DROVER_PRINTF(3, 4);

#endif
