/*
 * check_core.h: what the parts of core_check share.
 *
 * core_check walks all registries once and counts, per owner, what it finds; then it compares
 * these tallies with what the owners believe.
 *
 *   check_task.c   tasks, elements, arrays, results that are kept
 *   check_deps.c   who waits for whom
 *   check_work.c   queues, lines, leases, workers, classes
 *   check_share.c  whose turn it is, limits on leases, resources
 *   check_peer.c   connections, sessions, replies, watches
 *   check_stream.c subscriptions, and output that is kept
 *   check_name.c   keys and groups
 */
#ifndef CORE_CHECK_CORE_H
#define CORE_CHECK_CORE_H

#include "broker.h"

/* What was found that belongs to one owner; which fields count depends on the owner. */
struct tally {
    const void *owner;
    uint64_t references;
    uint64_t waiting, delayed, queued, running;
    uint64_t bytes;
    uint64_t places; /* lines: what says that it stands there */
    uint64_t held, long_held, started;
};

struct tallies {         /* sorted by owner */
    struct tally *items; /* owned */
    size_t count;
};

struct census { /* of the members of a group */
    uint64_t tasks;
    uint64_t states[DROVER_STATE_LOST + 1];
};

struct check {
    const struct core *core;
    const char *broken; /* static: the first thing that does not hold, NULL so far */
    bool is_exact;      /* nothing is being taken apart in slices */
    struct tallies queues, types, lines, specs, sessions, workers, keys, groups, tenants,
        accounts;
    uint64_t states[DROVER_STATE_LOST + 1]; /* tasks and elements */
    struct census *groups_found;            /* owned: as many as there are groups, and one */
    uint64_t leases;
    uint64_t timers, timers_armed;
    uint64_t kept_count, kept_bytes;
    uint64_t edges, edges_named; /* as children and as parents count them */
    uint64_t deps_due;
    uint64_t stream_bytes;
    uint64_t scheduled; /* tasks of schedules that have not ended */
};

static inline void expect(struct check *check, bool holds, const char *text)
{
    if (!holds && check->broken == NULL) {
        check->broken = text;
    }
}

/* What belongs to an owner; an owner that is in no registry breaks the check and gives a tally
 * that nobody looks at. */
struct tally *tally_of(struct check *check, const struct tallies *tallies, const void *owner);

/* An owner's timer: counted, and in the heap where it says. */
void check_timer(struct check *check, const struct timer *timer, enum timer_kind kind);
size_t check_list_count(const struct drv_list *list);
/* Every node knows its position and comes after its parent. */
void check_heap(struct check *check, const struct drv_heap *heap, const char *text);

/* What the unit waits for and what waits for it. */
void check_deps(struct check *check, const struct task *task, const struct unit *unit,
                uint32_t index);
/* All edges are known to both sides. */
void check_edges(struct check *check);
void check_tasks(struct check *check);
void check_schedules(struct check *check);
void check_scheduled(struct check *check);
void check_alerts(struct check *check);
void check_kept(struct check *check);
void check_names(struct check *check);
/* What a task says about its key, and about its group. */
void check_claim(struct check *check, const struct task *task);
void check_member(struct check *check, const struct task *task);
void check_fits(struct check *check, const struct line *line);
void check_share(struct check *check, const struct class *class, const struct share *share);
void check_throttle(struct check *check, const struct queue *queue);
void check_stocks(struct check *check, const struct worker *worker);
void check_tenants(struct check *check);
void check_lines(struct check *check);
void check_leases(struct check *check);
void check_workers(struct check *check);
void check_classes(struct check *check);
void check_queues(struct check *check);
void check_parked(struct check *check);
void check_peers(struct check *check);
void check_sessions(struct check *check);
void check_streams(struct check *check, const struct session *session);
void check_output(struct check *check);

#endif
