/*
 * metrics.h: the status document as Prometheus' text (exposition format 0.0.4). Pure.
 *
 * Names begin with drover_. Labels come from peers and are escaped; a family has as many series
 * as the status has rows, so their number is bounded, and drover_truncated says that some were
 * left out.
 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "buffer.h"
#include "view.h"

/* Appends to out. OK; MALFORMED: not a status document; NOMEM. */
DROVER_MUST_USE drover_status metrics_write(struct drv_view status, struct drv_buffer *out);

struct metrics_family { /* all static */
    const char *name, *type, *labels, *help;
};
typedef void (*metrics_tell_fn)(void *context, const struct metrics_family *family);

/* Every family that there may be, in the order in which they are written. */
void metrics_describe(metrics_tell_fn function, void *context);

#endif
