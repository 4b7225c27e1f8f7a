/*
 * b64.h: base64 (RFC 4648, section 4, with padding).
 */
#ifndef DRV_B64_H
#define DRV_B64_H

#include "buffer.h"
#include "view.h"

/* Appends the base64 form of bytes. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_b64_encode(struct drv_view bytes, struct drv_buffer *out);

/* Appends the bytes that text stands for; strict: whole groups, no spaces, padding, no stray
 * bits. OK, MALFORMED (nothing is appended) or NOMEM. */
DROVER_MUST_USE drover_status drv_b64_decode(struct drv_view text, struct drv_buffer *out);

#endif
