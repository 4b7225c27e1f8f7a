/*
 * lease_index.h: how an element of a range finds its lease, for lease.c alone.
 *
 * Ranges stand in an array in the order of (id, attempt, first index). They never overlap, so
 * the one that an element is in, if any, is the last that does not begin behind it. There are
 * few of them: each is up to 1,024 elements.
 */
#ifndef WORKER_LEASE_INDEX_H
#define WORKER_LEASE_INDEX_H

#include "lease.h"

/* OK or NOMEM. */
DROVER_MUST_USE drover_status worker_index_add(struct worker_book *book,
                                               struct worker_lease *lease);
void worker_index_remove(struct worker_book *book, const struct worker_lease *lease);

/* The range that this attempt is in; NULL: none. */
struct worker_lease *worker_index_find(const struct worker_book *book,
                                       const struct drv_ref *ref);

/* Whether a range has one of these `count` elements. */
bool worker_index_overlaps(const struct worker_book *book, const struct drv_ref *ref,
                           uint32_t count);

#endif
