/*
 * json.h: msgpack from JSON and JSON from msgpack, streaming, without a tree in between.
 *
 * jansson serves where documents are built or searched; it does not serve here, because it
 * keeps integers in an int64 (uint64 must survive) and nests 2048 deep by recursion. The
 * unit tests compare both.
 */
#ifndef DRV_JSON_H
#define DRV_JSON_H

#include "buffer.h"
#include "problem.h"
#include "view.h"

#include <stdbool.h>

/*
 * Appends the msgpack form of exactly one JSON text (RFC 8259) to out. The rules are those of
 * drover_value_from_json. On failure out may hold a part of it, and problem names line and
 * column. OK, MALFORMED, LIMIT (depth) or NOMEM.
 */
DROVER_MUST_USE drover_status drv_json_read(struct drv_view text, struct drv_buffer *out,
                                            struct drv_problem *problem);

/*
 * Appends the JSON form of exactly one msgpack value, which must have passed drv_validate with
 * DRV_VALIDATE_VALUE or stricter. The rules are those of drover_value_to_json.
 * OK, MALFORMED or NOMEM.
 */
DROVER_MUST_USE drover_status drv_json_write(struct drv_view msgpack, bool pretty,
                                             struct drv_buffer *out);

/* Appends text (UTF-8; other bytes become U+FFFD) as a JSON string with its quotes. */
DROVER_MUST_USE drover_status drv_json_write_string(struct drv_view text,
                                                    struct drv_buffer *out);

/* Appends a number as JSON, shortest form that reads back equal; null unless finite. */
DROVER_MUST_USE drover_status drv_json_write_double(double number, struct drv_buffer *out);

#endif
