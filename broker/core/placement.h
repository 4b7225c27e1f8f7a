/*
 * placement.h: which host gets the work of a queue that asks for one.
 *
 *   spread   the emptiest: fewest leases per slot, over all workers of the host
 *   pack     the fullest that has a slot free, so that others can be left empty
 *
 * Queues that do not ask are served by the freest worker (roster.h), for nothing. For those
 * that do, each lease looks at all workers of its class, and at the others of their hosts. Of
 * equal hosts it is the freest worker. Workers are of one host when they have told the same
 * name of it. What goes behind busy slots (short work) is not placed.
 */
#ifndef CORE_PLACEMENT_H
#define CORE_PLACEMENT_H

#include "class.h"

struct worker;

/* It is in the roster now, and has told its host; it leaves it. */
void placement_join(struct core *core, struct worker *worker);
void placement_leave(struct worker *worker);

/* Who is to have it: with a free slot, room for a limited offer, and what is needed. NULL:
 * nobody. */
struct worker *placement_choose(const struct core *core, const struct offer *offer,
                                const struct need *needs, size_t need_count,
                                uint32_t placement);

#endif
