#include "buffer.h"

#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 32

void drv_buffer_init(struct drv_buffer *buffer)
{
    *buffer = (struct drv_buffer){0};
}

void drv_buffer_fini(struct drv_buffer *buffer)
{
    free(buffer->bytes);
    drv_buffer_init(buffer);
}

drover_status drv_buffer_reserve(struct drv_buffer *buffer, size_t extra)
{
    if (extra > SIZE_MAX / 2 - buffer->len) {
        return DROVER_NOMEM;
    }
    size_t needed = buffer->len + extra + 1; /* the NUL */
    if (needed <= buffer->capacity) {
        return DROVER_OK;
    }
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity * 2;
    if (capacity < needed) {
        capacity = needed;
    }
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        return DROVER_NOMEM;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return DROVER_OK;
}

drover_status drv_buffer_append(struct drv_buffer *buffer, const void *bytes, size_t len)
{
    drover_status status = drv_buffer_reserve(buffer, len);
    if (status) {
        return status;
    }
    if (len > 0) {
        memcpy(buffer->bytes + buffer->len, bytes, len);
    }
    buffer->len += len;
    buffer->bytes[buffer->len] = '\0';
    return DROVER_OK;
}

drover_status drv_buffer_append_text(struct drv_buffer *buffer, const char *text)
{
    return drv_buffer_append(buffer, text, strlen(text));
}

drover_status drv_buffer_append_byte(struct drv_buffer *buffer, uint8_t byte)
{
    return drv_buffer_append(buffer, &byte, 1);
}

drover_status drv_buffer_printf(struct drv_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len < 0) {
        return DROVER_INVALID;
    }
    drover_status status = drv_buffer_reserve(buffer, (size_t)len);
    if (status) {
        return status;
    }
    va_start(arguments, format);
    (void)vsnprintf((char *)buffer->bytes + buffer->len, (size_t)len + 1, format, arguments);
    va_end(arguments);
    buffer->len += (size_t)len;
    return DROVER_OK;
}

drover_status drv_buffer_splice(struct drv_buffer *buffer, size_t offset, size_t cut,
                                const void *bytes, size_t len)
{
    DRV_ASSERT(offset <= buffer->len && cut <= buffer->len - offset);
    drover_status status = drv_buffer_reserve(buffer, len);
    if (status) {
        return status;
    }
    uint8_t *at = buffer->bytes + offset;
    memmove(at + len, at + cut, buffer->len - offset - cut);
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    buffer->len = buffer->len - cut + len;
    buffer->bytes[buffer->len] = '\0';
    return DROVER_OK;
}

drover_status drv_buffer_detach(struct drv_buffer *buffer, uint8_t **out_bytes, size_t *out_len)
{
    drover_status status = drv_buffer_append(buffer, NULL, 0);
    if (status) {
        return status;
    }
    *out_bytes = buffer->bytes;
    if (out_len != NULL) {
        *out_len = buffer->len;
    }
    drv_buffer_init(buffer);
    return DROVER_OK;
}
