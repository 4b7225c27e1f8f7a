/*
 * Shared: the values that all elements of an array share, kept once per worker.
 *
 * The broker sends a value before the first lease that needs it, and says when to drop it.
 * Until then it stays, but when more than `bytes_max` are here, those that no waiting lease
 * needs are forgotten, the longest unused first. Counted references: a value lives as long as a
 * lease needs it. Pure; one thread.
 */
#ifndef WORKER_SHARED_H
#define WORKER_SHARED_H

#include "list.h"
#include "message.h"
#include "table.h"

#include <stddef.h>
#include <stdint.h>

struct worker_shared {
    struct drv_list link; /* in the shelf, longest unused first; unlinked when dropped */
    uint64_t hash;
    size_t references; /* of leases, and one of the shelf while it stands there */
    drover_id id;      /* of the array */
    struct drv_val val;
    struct drv_data *data;         /* owned; what val points into */
    struct drv_data *content_type; /* owned; the same; NULL: none */
};

struct worker_shelf {
    struct drv_table table; /* by id */
    struct drv_list values;
    uint64_t bytes, bytes_max;
};

void worker_shelf_init(struct worker_shelf *shelf, uint64_t seed, uint64_t bytes_max);
void worker_shelf_fini(struct worker_shelf *shelf);

/* Keeps a value (a reference when it came as chunks), in the place of an older one; a nil one
 * drops it. Returns OK or NOMEM. */
DROVER_MUST_USE drover_status worker_shelf_put(struct worker_shelf *shelf, const drover_id *id,
                                               const struct drv_val *val);

/* A reference of the caller's own, or NULL when it is not here. */
struct worker_shared *worker_shelf_take(struct worker_shelf *shelf, const drover_id *id);

/* One more reference; returns it. NULL gives NULL. */
struct worker_shared *worker_shared_ref(struct worker_shared *shared);

/* Gives a reference back and nulls the pointer; NULLs are fine. */
void worker_shared_unref(struct worker_shared **shared);

#endif
