/*
 * class.h: workers that are alike, and what fits them.
 *
 *   class (types, queues, labels, names of resources) ── share per queue (share.h) ── line
 *                                                    └── heap of workers, the freest first
 *
 * All workers that offer the same types, queues and labels, and that have something of the same
 * resources, form a class; how much they have is theirs. So what a dispatch costs does not grow
 * with the number of workers; only work with needs that the freest one has not got looks
 * through the others.
 */
#ifndef CORE_CLASS_H
#define CORE_CLASS_H

#include "heap.h"
#include "list.h"
#include "message.h"

#include "queue.h"
#include "share.h"

struct core;
struct worker;

/* A type offered by a class. */
struct offer {
    struct class *class;
    struct type *type; /* referenced */
    struct drv_list in_type;
    uint32_t model;        /* enum drv_model */
    uint32_t concurrency;  /* of one worker, 0: no limit but its slots */
    uint32_t limited;      /* number among the offers with a limit */
    struct drv_list rooms; /* struct room: workers with room for this type; limited ones only */
};

/* What a worker has left of a limited offer. */
struct room {
    struct worker *worker;
    struct offer *offer;
    uint32_t used;
    struct drv_list link; /* in offer->rooms while used < concurrency */
};

struct class
{
    uint32_t references;   /* workers */
    struct drv_list link;  /* in core->classes */
    struct drv_list dirty; /* in core->dirty_classes: look for work */
    struct offer *offers;  /* owned, by name */
    size_t offer_count;
    size_t limited_count;
    struct drv_str *queues; /* into key: sorted; none: all */
    size_t queue_count;
    struct drv_pair *labels; /* into key: sorted */
    size_t label_count;
    struct drv_str *resources; /* into key: sorted names */
    size_t resource_count;
    struct drv_list shares; /* struct share.in_class */
    struct drv_list ring;   /* shares with work, in turn */
    size_t ring_count;
    struct drv_list parked;  /* fits that wait for room of their type */
    bool has_room;           /* some may have come since they were parked */
    struct drv_list hungry;  /* struct band.hungry: no worker has what they need */
    struct drv_heap workers; /* those that may get work, the freest first */
    uint64_t idle;           /* free slots of the workers in the heap */
    uint64_t hash;
    uint32_t model;
    uint32_t key_len;
    char key[]; /* canonical text of everything above */
};

/* The class of such a worker, with a reference; NULL when out of memory. */
struct class *class_ensure(struct core *core, const struct drv_worker_hello *hello);
void class_release(struct core *core, struct class *class);

struct offer *class_offer(const struct class *class, const struct type *type);
bool class_has_queue(const struct class *class, struct drv_str queue);
bool class_has_labels(const struct class *class, const struct line *line);
/* What the line needs, by resource of the class; false: the class has none of something. */
bool class_needs(const struct class *class, const struct line *line,
                 struct need out_needs[DRV_LABELS_MAX], size_t *out_count);
bool class_fits(const struct core *core, const struct class *class, const struct line *line);

/* A new line: make the fits. False when out of memory; the line then has none. */
bool line_fit(struct core *core, struct line *line);
void line_unfit(struct core *core, struct line *line);
/* The line has got work, or a better head. */
void line_wake(struct core *core, struct line *line);

/* Look for work at the end of the turn. */
void class_touch(struct core *core, struct class *class);
/* Those that were parked are looked at again. */
void class_unpark(struct core *core, struct class *class);

#endif
