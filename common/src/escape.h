/*
 * escape.h: text from peers made safe for logs, tables and terminals.
 *
 * Printable UTF-8 stays as it is. Escaped are the backslash (\\), control characters (\n \r
 * \t, else \xHH; C1 as \u{HH}), bytes that are not UTF-8 (\xHH), and the code points that
 * reorder, hide or break lines: bidirectional controls, zero-width and line separators, tags,
 * noncharacters (\u{HHHH}).
 */
#ifndef DRV_ESCAPE_H
#define DRV_ESCAPE_H

#include "buffer.h"
#include "view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes one input byte can become. */
#define DRV_ESCAPE_GROWTH_MAX 10

/* Whether a code point is shown as it is (also false for the backslash). */
bool drv_escape_is_plain(uint32_t code);

/*
 * Writes the escaped text with a NUL into out (size bytes, at least 1) and returns its
 * length. What does not fit is cut between characters and, if size allows, ends in "...".
 */
size_t drv_escape(struct drv_view text, char *out, size_t size);

/* Appends the escaped text whole. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_escape_append(struct drv_view text,
                                                struct drv_buffer *buffer);

#endif
