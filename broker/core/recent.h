/*
 * recent.h: the tasks that came last, in the order in which they came.
 *
 *     task_begin ──> ring of RECENT_MAX (id, instant) ──newest first──> lists of tasks
 *                        └──> floor: everything that came later than this is in the ring
 *
 * A list of tasks begins with the newest. To keep all of them in order would cost every task a
 * link; so those that came last are remembered by their ids, outside of the books and in a
 * fixed amount of memory, and what is older follows in the order of the table. What the ring
 * names may be forgotten: who looks it up finds nothing. A task costs a write of 24 bytes.
 *
 * A walk goes through the ring down to its floor, and from there on through the table, passing
 * over what is younger than the floor was when it left the ring. So every task that was there
 * during the whole walk is told, and told once; when more than RECENT_MAX tasks came between
 * two pages, the last one told, and
 * those that came in its microsecond, may be told again.
 *
 * After a restart the newest that are recorded are in the ring.
 */
#ifndef CORE_RECENT_H
#define CORE_RECENT_H

#include "table.h"

#include <drover/task.h>

#include <stdbool.h>
#include <stdint.h>

struct core;
struct task;

enum { RECENT_MAX = 8192 };

struct recent_entry {
    drover_id id;
    int64_t at_us; /* submitted */
};

struct recent {
    struct recent_entry *ring; /* owned; entry number n at n % RECENT_MAX */
    uint64_t next;             /* number of the next entry; while records are read: how many */
    int64_t floor_us;          /* what came later than this is in the ring */
};

/* Where a walk through all tasks stands. */
struct recent_walk {
    bool is_below;                 /* it has left the ring */
    uint64_t number;               /* entries below this one are to be told yet */
    int64_t bound_us;              /* of the last one told; below: what is younger was told */
    struct drv_table_cursor table; /* below */
};

/* False: out of memory. */
bool recent_init(struct core *core);
void recent_fini(struct core *core);

void recent_add(struct core *core, const struct task *task);
/* While records are read: in any order, the same one several times. */
void recent_restore(struct core *core, const struct task *task);
/* All records are in. */
void recent_restored(struct core *core);

struct recent_walk recent_walk_begin(const struct core *core);
/* One step: false: nothing is left. *out_task NULL: nothing to be told this time. */
bool recent_walk_next(const struct core *core, struct recent_walk *walk,
                      struct task **out_task);

#endif
