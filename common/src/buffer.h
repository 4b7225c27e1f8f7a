/*
 * buffer.h: growable bytes.
 *
 * Growth doubles, so that appending is amortised O(len). The bytes are always followed by a
 * NUL that len does not count once something was appended.
 */
#ifndef DRV_BUFFER_H
#define DRV_BUFFER_H

#include "view.h"

#include <drover/status.h>

#include <stddef.h>
#include <stdint.h>

struct drv_buffer {
    uint8_t *bytes; /* owned; NULL before the first append */
    size_t len;
    size_t capacity;
};

void drv_buffer_init(struct drv_buffer *buffer);
void drv_buffer_fini(struct drv_buffer *buffer);

/* Forgets the bytes, keeps the memory. */
static inline void drv_buffer_clear(struct drv_buffer *buffer)
{
    buffer->len = 0;
}

static inline struct drv_view drv_buffer_view(const struct drv_buffer *buffer)
{
    return drv_view_of(buffer->bytes, buffer->len);
}

/* Makes room for extra bytes beyond len: OK or NOMEM. */
DROVER_MUST_USE drover_status drv_buffer_reserve(struct drv_buffer *buffer, size_t extra);

/* Appends a copy; bytes must not point into the buffer. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_buffer_append(struct drv_buffer *buffer, const void *bytes,
                                                size_t len);
DROVER_MUST_USE drover_status drv_buffer_append_text(struct drv_buffer *buffer,
                                                     const char *text);
DROVER_MUST_USE drover_status drv_buffer_append_byte(struct drv_buffer *buffer, uint8_t byte);
DROVER_MUST_USE drover_status drv_buffer_printf(struct drv_buffer *buffer, const char *format,
                                                ...) DROVER_PRINTF(2, 3);

/* Cuts cut bytes at offset out and puts a copy of bytes in their place. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_buffer_splice(struct drv_buffer *buffer, size_t offset,
                                                size_t cut, const void *bytes, size_t len);

/*
 * Hands the memory over, NUL-terminated, to be released with free(); the buffer is empty
 * afterwards. out_len may be NULL. OK or NOMEM.
 */
DROVER_MUST_USE drover_status drv_buffer_detach(struct drv_buffer *buffer, uint8_t **out_bytes,
                                                size_t *out_len);

#endif
