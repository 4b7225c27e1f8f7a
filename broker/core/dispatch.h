/*
 * dispatch.h: which work goes to which worker, and back.
 */
#ifndef CORE_DISPATCH_H
#define CORE_DISPATCH_H

#include "class.h"
#include "roster.h"

/* Work that waited so long behind a busy slot is asked back when another slot is free. */
#define RECALL_AFTER_US ((int64_t)2000)

/* Leases for all that can run now. */
void sched_dispatch(struct core *core);
/* Asks back what stands behind busy slots while others are free. Returns when to look again. */
int64_t sched_recall(struct core *core);

/* Whether the type is known to be short. */
bool sched_is_short(const struct core *core, const struct type *type);

#endif
