/*
 * share_order.h: what share.c and share_build.c know of each other.
 */
#ifndef CORE_SHARE_ORDER_H
#define CORE_SHARE_ORDER_H

#include "share.h"

/* Orders of the heaps, see share.h. */
bool fit_before(const struct drv_heap_node *a, const struct drv_heap_node *b);
bool lane_before(const struct drv_heap_node *a, const struct drv_heap_node *b);
bool band_before(const struct drv_heap_node *a, const struct drv_heap_node *b);

void lane_inactive(struct lane *lane); /* its turn counts it no more */
/* It has no work, or none that a worker has room for. */
void lane_leave(struct lane *lane);

#endif
