/*
 * value_share.h: values whose bytes are somewhere else.
 *
 * A large payload is never copied because it changes hands: what a message has brought becomes
 * a value, and a value goes into a message, by reference. Such a value is read as any other; it
 * gets bytes of its own before it changes.
 */
#ifndef DRV_VALUE_SHARE_H
#define DRV_VALUE_SHARE_H

#include "data.h"

#include <drover/value.h>

/*
 * A value of these bytes, of which it takes a reference. content_type: NULL: they are msgpack,
 * and are checked. OK; NOMEM; what drover_value_from_msgpack and drover_value_new_raw return.
 */
DROVER_MUST_USE drover_status drv_value_from_data(struct drv_data *data,
                                                  const char *content_type,
                                                  drover_value **out_value);

/* The same of bytes that stay where they are for longer than the value, and are followed by a
 * NUL. A copy of the value is its own. */
DROVER_MUST_USE drover_status drv_value_lend(const uint8_t *bytes, size_t len,
                                             const char *content_type,
                                             drover_value **out_value);

/* What holds the encoded bytes, all of it, borrowed; NULL: nothing that could be shared. */
struct drv_data *drv_value_data(const drover_value *value);

#endif
