/*
 * share.h: in which order the work of one queue goes to the workers of one class.
 *
 *   share (class, queue) ── heap of bands: priority, then whose turn, then arrival
 *     band (priority, needs) ── heap of lanes: whose turn, then arrival
 *       lane (fairness key) ── heap of fits: arrival
 *         fit ── line
 *   tier (priority) ── turn (fairness key): when the key was last served, for all its lanes
 *
 * With aging a step of priority is worth so much waiting. All heads age alike, so which of two
 * comes first does not change while they wait: the one whose time of arrival, less what its
 * priority is worth, is earlier. Nothing has to be looked at again because time goes by. What
 * counts of a priority is the head whose turn it is; when another one comes to be that, it may
 * have waited longer, so the band is looked at before the next choice (share->doubted).
 *
 * Within a priority fairness keys take turns; tasks without a key count as one key. Within a
 * key the earliest arrival is next, whatever its type and needs. Each level is a heap whose
 * order is lazy: what leaves, and a turn that was taken, make places only worse, which is
 * repaired when they come to the top; what comes is announced at once. So what a dispatch costs
 * grows neither with the depth of queues nor with the number of keys; where several keys have
 * work, it may take a repair for each needs that those of one priority have.
 *
 * What cannot go on is put aside as a whole, and comes back when that may have changed: a band
 * that no worker has room for (class->hungry), a lane whose key holds as much as it may
 * (key->full), a fit of a type that no worker has room for (class->parked), a share whose queue
 * does (throttle.h).
 */
#ifndef CORE_SHARE_H
#define CORE_SHARE_H

#include "heap.h"
#include "list.h"

#include "queue.h"

struct class;
struct offer;

struct share {
    struct class *class;
    struct queue *queue;
    struct drv_list in_queue;
    struct drv_list in_class;
    struct drv_list ring;    /* in class->ring while it has work and the queue is open */
    struct drv_list shut;    /* in throttle->shut while the queue may start nothing more */
    struct drv_list fits;    /* struct fit.in_share: all lines of the queue that fit */
    struct drv_list tiers;   /* struct tier.in_share */
    struct drv_list doubted; /* struct band.doubted */
    size_t fit_count, band_count;
    struct drv_heap bands; /* those with work */
    uint32_t deficit;      /* tasks that the queue may still start in this round */
};

/* One priority. */
struct tier {
    struct share *share;
    int32_t priority;
    uint64_t serial;      /* of turns taken */
    size_t active;        /* turns of keys that have work */
    uint32_t references;  /* bands and turns */
    struct turn *keyless; /* NULL: no lines without a key */
    struct drv_list in_share;
    struct drv_list bands; /* struct band.in_tier */
};

/* A key's place in the round. */
struct turn {
    struct tier *tier;
    struct tenant *tenant; /* NULL: of tasks without one */
    uint64_t number;       /* the lowest is next */
    uint32_t active;       /* lanes with work */
    struct drv_list in_tenant;
    struct drv_list lanes; /* struct lane.in_turn */
};

/* So much of what a worker has: the number among the resources of the class. */
struct need { /* no padding: compared as bytes */
    uint64_t resource;
    uint64_t count;
};

struct band {
    struct tier *tier;
    struct drv_list in_tier;
    struct drv_list hungry;  /* in class->hungry: no worker has what it needs */
    struct drv_list doubted; /* in share->doubted: to be looked at before anything is chosen */
    struct drv_heap_node node;
    uint64_t turn, arrival; /* of the best lane when last looked at */
    int64_t since_us;       /* with aging: since when the head of that has waited; exact unless
                               in doubt */
    struct drv_heap lanes;  /* those with work */
    size_t lane_count;
    size_t need_count;
    struct need needs[]; /* by resource */
};

struct lane {
    struct band *band;
    struct turn *turn;
    struct drv_list in_turn;
    struct drv_list full; /* in key->full: the key holds as much as it may */
    struct drv_heap_node node;
    uint64_t number, arrival; /* of its turn and its best fit when last looked at */
    struct drv_heap fits;     /* those with work */
    size_t fit_count;
};

/* A line that fits a class. */
struct fit {
    struct lane *lane;
    struct offer *offer;
    struct line *line;
    struct drv_list in_line;
    struct drv_list in_share;
    struct drv_heap_node node; /* in lane->fits while the line has work */
    struct drv_list parked;    /* in class->parked: no worker has room for the type */
    uint64_t arrival;          /* of the head when last looked at */
};

static inline struct share *fit_share(const struct fit *fit)
{
    return fit->lane->band->tier->share;
}

/* The line fits the offer's class, whose resources its needs name. False when out of memory. */
bool fit_new(struct core *core, struct offer *offer, struct line *line);
void fit_free(struct core *core, struct fit *fit);
/* Its line has got work, or a better head. */
void fit_enter(struct core *core, struct fit *fit);
/* With aging: its head has left, and the next may have waited longer. */
void line_doubt(const struct line *line);
/* The same of all of them: other keys may hold as much as they may now. */
void queue_doubt(const struct queue *queue);
/* No worker has room for its type: until class_unpark. */
void fit_park(struct fit *fit);

/* The best fit with all keys up to date, NULL when there is no work (it left the ring). */
struct fit *share_best(struct core *core, struct share *share);
/* Work of this fit was leased: it is the next key's turn. */
void share_served(const struct fit *fit);
void share_rest(struct share *share); /* out of the ring */
void share_wake(struct core *core, struct share *share);

/* So much waiting is worth a step of priority from now on; 0: none is. */
void queue_age(struct core *core, struct queue *queue, uint64_t aging_us);

/* No worker has what it needs: until band_feed. */
void band_park(struct band *band);
void band_feed(struct core *core, struct band *band);
/* The key may start something again. */
void tenant_wake(struct core *core, struct tenant *tenant);

#endif
