/*
 * child.h: a task that a handler submits, in the form in which it goes from the executor to the
 * agent: a fixed struct, then the type, the queue, and what it waits for.
 */
#ifndef CHILD_H
#define CHILD_H

#include "buffer.h"
#include "message.h"
#include "view.h"

#include <drover/worker.h>

/* OK; INVALID: an option that makes no sense; NOMEM. */
DROVER_MUST_USE drover_status child_write(struct drv_buffer *buffer, const char *type,
                                          const drover_child_options *options,
                                          const drover_id *id);

/* False when it is none. Texts are borrowed from the bytes; what it waits for is copied to
 * `after`, which the spec then points to. */
bool child_read(struct drv_view bytes, drover_id *out_id, struct drv_spec *out_spec,
                struct drv_after after[DRV_AFTER_MAX]);

#endif
