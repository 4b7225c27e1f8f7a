/*
 * deps.h: who waits for whom.
 *
 *    parent ── deps ── waiting ─┬─ edge ── deps ── child: 2 left
 *    parent ── deps ── waiting ─┘  edge ──────────┘
 *    parent ── deps ── told ────── edge ── deps ── child: 0 left, may run
 *
 * An edge says that one unit, the child, waits for another, the parent: a task, an element, or
 * a whole array. The edges of a child are one block of its deps; each stands in a list of its
 * parent, first among those that are to be told of its end, then among those that were told,
 * until the child has ended: so long the parent and its result are not forgotten (it is
 * pinned). Units without edges have no deps: they cost a pointer in what most units never need
 * (struct more).
 *
 *   WAITING ──the last parent has ended──────────────────> DELAYED or QUEUED
 *      └─────a parent that had to succeed did not──> FAILED (dependency), and so on downwards
 *
 * There are two ways to come by edges: a task is submitted with parents (`after`), or what a
 * worker runs awaits tasks (its children, though on this side of the house they are parents as
 * well): its lease ends, and it is leased again when all of them have ended in whatever way.
 *
 * Whatever follows from an end is done by one sweep, in slices, never by recursion. A parent is
 * at least as durable as what waits for it, so a restart never takes a parent alone. Edges are
 * recorded with the child; how many are left follows from the states of the parents.
 *
 * A child that has ended lets its parents go. Of one that did not succeed it stays known, while
 * it is kept, which tasks it was submitted with (the edges are past): a retry waits for these.
 */
#ifndef CORE_DEPS_H
#define CORE_DEPS_H

#include "task.h"

enum deps_when {
    DEPS_SUCCEEDED = 1, /* the parent must succeed */
    DEPS_ENDED = 2,     /* it must end */
    DEPS_AWAITED = 3,   /* the same, named by AWAIT */
};

enum { DEPS_EDGES_MAX = DRV_AFTER_MAX + DRV_BATCH_MAX }; /* of one child */

struct edge {
    union {
        struct drv_list link; /* in waiting or told of the parent */
        drover_id id;         /* past: of the parent */
    };
    struct deps *child;
    struct task *parent; /* pinned; past: NULL */
    uint32_t index;      /* of the parent */
    uint8_t when;        /* enum deps_when */
    bool is_over;        /* the parent has ended, and this has been counted */
};

struct deps {
    struct drv_list waiting; /* struct edge.link: children to be told of the end */
    struct drv_list told;    /* struct edge.link: children that were, and have not ended */
    struct drv_list due;     /* in core->deps_due */
    struct drv_list unsaved; /* in core->deps_unsaved */
    struct task *task;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself */
    uint32_t edge_count;
    uint32_t left;      /* edges that are not over */
    uint16_t mark;      /* when the edges were last recorded (save.h) */
    bool has_failed;    /* a parent did not succeed that had to */
    bool is_cascade;    /* when it is cancelled, so is what it awaits */
    bool is_copy;       /* its next record says nothing new */
    bool is_past;       /* the edges only say what it was submitted with */
    struct edge *edges; /* owned: what it named; NULL: nothing, or it has ended */
    uint64_t seen;      /* number of the last search that came here (circle.c) */
    struct deps *next;  /* in that search; valid while it goes on */
};

/* Parents as they were looked up. */
struct parents {
    size_t count;
    struct item items[DEPS_EDGES_MAX];
    uint8_t when[DEPS_EDGES_MAX];
};

enum { DEPS_TEXT_MAX = 128, CIRCLE_WAITS_MAX = 4096 };

void deps_init(struct core *core);

/*
 * Looks one more parent up for what has this level. OK; NOMEM, without a text; DEPENDENCY with
 * one that names it: there is none, or it is less durable.
 */
DROVER_MUST_USE drover_status deps_look_up(struct core *core, const drover_id *id,
                                           uint32_t index, uint8_t when, uint32_t level,
                                           struct parents *parents,
                                           char out_text[DEPS_TEXT_MAX]);
/* The item names these parents, and those that it had been submitted with (when only awaited
 * ones are given). False: out of memory, and nothing has changed. */
bool deps_set(struct core *core, const struct item *item, const struct parents *parents);
/* Whether the unit, which has not ended, was submitted with just these. */
bool deps_are(const struct unit *unit, const struct drv_after *after, size_t count);

/*
 * Whether one of these waits for the item, itself or through others: then the item must not
 * wait for it. At most CIRCLE_WAITS_MAX waits are looked at: a circle that is longer is not
 * seen. Returns the position of the first parent from which the way leads back, or -1
 * (circle.c).
 */
int deps_find_circle(struct core *core, const struct item *item, const struct parents *parents);

/* Whether something keeps it from being ready. */
bool deps_hold(const struct unit *unit);
/* It waits: in no line, until its parents have ended. */
void deps_wait(struct core *core, const struct item *item);
/* An item with deps has ended. */
void deps_ended(struct core *core, const struct item *item);
/* It has ended, and nothing waits for it: its parents are let go at once. */
void deps_settle(struct core *core, const struct item *item);
/* When the item is cancelled, what it awaits is, too. False: out of memory. */
bool deps_cascade(struct core *core, const struct item *item);

/* Whether something that has not ended names the task or one of its elements. */
bool task_is_pinned(const struct task *task);
/* The same of one element. */
bool element_is_pinned(const struct task *task, const struct unit *unit);

/* The level that a lease must have before it goes out: that of its parents, too. */
enum drover_durability deps_level(const struct core *core, const struct item *item);
/* The edges of an item; 0: none. */
size_t deps_edges(const struct unit *unit, const struct edge **out_edges);
struct item edge_parent(const struct edge *edge);
/* How many tasks that have not ended name the unit. */
size_t deps_child_count(const struct unit *unit);
/* Which tasks a unit was submitted with (`after`), also when it has ended, unless it has
 * succeeded: number i of them. False: there are no more. */
bool deps_origin(const struct unit *unit, size_t i, struct drv_after *out_after);

/* As records say, before anything is at work: the same as deps_set. */
bool deps_restore(struct core *core, const struct item *item, const struct parents *parents,
                  bool is_cascade, uint16_t mark);

/* The same for one that has ended and did not succeed. */
bool deps_restore_past(struct core *core, const struct item *item,
                       const struct drv_after *after, size_t count, uint16_t mark);

/* Gone with its unit. */
void deps_drop(struct core *core, struct more *more);

/* To be recorded with this turn (save_deps.c). */
void save_deps(struct core *core, struct deps *deps);
void save_flush_deps(struct core *core);

#endif
