/*
 * park.h: what only others remember after a restart.
 *
 * A worker that comes back with leases of tasks that this broker does not know keeps them until
 * the reattach window is over: a submit that is sent again attaches to the running attempt.
 * After that they are aborted and counted as lost at the restart. A tombstone remembers that
 * (for a while; the number is bounded), so that nothing is counted twice and a watch is
 * answered `lost`.
 */
#ifndef CORE_PARK_H
#define CORE_PARK_H

#include "roster.h"

enum { TOMBS_MAX = 65536 };

struct parked {
    drover_id id;
    uint32_t index;
    uint32_t attempt;
    bool is_started;
    bool may_wait; /* was not listed as running: if it says started, it may wait for GO */
    struct worker *worker;
    struct drv_list in_worker;
};

struct tomb {
    drover_id id;
    uint32_t index;
    uint32_t attempt;     /* highest that a worker has shown, 0: none */
    bool is_lost;         /* counted as lost at the restart */
    struct drv_list link; /* in core->tombs_by_age, oldest first */
};

bool park_is_open(const struct core *core);
/* A listed lease of an unknown task. False: not parked, abort it. */
bool park_add(struct core *core, struct worker *worker, const struct drv_attached *attached);
/* The task has come back: its parked lease becomes a real one. False: there is none. */
bool park_adopt(struct core *core, const struct item *item);
struct parked *park_find(const struct core *core, const drover_id *id, uint32_t index);
/* The worker is done with it, or gone: lost for good. */
void park_lose(struct core *core, struct parked *parked);
/* Without counting: forgotten. */
void park_free(struct core *core, struct parked *parked);
/* The window is over. */
void park_close(struct core *core);
/* A target that a restart took: counted once. attempt 0: not known. */
void tomb_add(struct core *core, const drover_id *id, uint32_t index, uint32_t attempt);
/* A worker has shown this attempt of an unknown task; nothing is counted. */
void tomb_remember(struct core *core, const drover_id *id, uint32_t index, uint32_t attempt);
/* Whether it was counted as lost. */
bool tomb_is_known(const struct core *core, const drover_id *id, uint32_t index);
bool tomb_has(const struct core *core, const drover_id *id, uint32_t index);
/* It is submitted again: the tombstone goes, its attempt is the last one given out. */
void tomb_revive(struct core *core, const struct item *item);
void park_fini(struct core *core);

#endif
