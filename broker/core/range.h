/*
 * range.h: elements that travel together (PROTOCOL.md section 5, "Ranges").
 *
 *   leases of elements 7, 8, 9 ──> one entry of LEASE ──> worker ──> one result ──> three ends
 *
 * A range is only a way to say many things at once: each of its elements has a lease of its
 * own, and everything that becomes of one is decided for it alone.
 */
#ifndef CORE_RANGE_H
#define CORE_RANGE_H

#include "lease.h"
#include "lengths.h"
#include "roster.h"

/* One entry being filled with what follows its first element. */
struct range_fill {
    const struct lease *last; /* of the entry; NULL: nothing can follow */
    uint32_t room;            /* elements that the entry may have */
    uint8_t *lengths;         /* room for those of all entries of the message; NULL: none */
    size_t lengths_used, lengths_max;
};

/* A new entry begins with this lease. `waiting`: leases that are to be sent to its worker. */
void range_begin(const struct core *core, struct range_fill *fill, const struct worker *worker,
                 const struct lease *lease, size_t waiting);
/* The lease becomes part of the entry that was begun last; false: it needs its own. */
bool range_extend(struct range_fill *fill, struct drv_meter *meter,
                  struct drv_lease_entry *entry, const struct lease *lease);

/* The elements of a result with a range, as if each had come on its own. */
struct range_walk {
    struct drv_result result; /* of the present one */
    struct drv_lengths lengths;
    bool is_begun;
};

struct range_walk range_walk(const struct drv_result *result);
/* On to the next one, first to the first. False: there are no more. */
bool range_next(struct range_walk *walk);

#endif
