/*
 * broker.h: the whole state of a core, for the modules inside.
 */
#ifndef CORE_BROKER_H
#define CORE_BROKER_H

#include "account.h"
#include "alert.h"
#include "array.h"
#include "body.h"
#include "class.h"
#include "core.h"
#include "deps.h"
#include "dispatch.h"
#include "effects.h"
#include "event.h"
#include "group.h"
#include "history.h"
#include "key.h"
#include "kv.h"
#include "lease.h"
#include "output.h"
#include "pack.h"
#include "park.h"
#include "queue.h"
#include "recent.h"
#include "request.h"
#include "rng.h"
#include "roster.h"
#include "save.h"
#include "schedule.h"
#include "session.h"
#include "slab.h"
#include "spec.h"
#include "stream.h"
#include "sweep.h"
#include "table.h"
#include "task.h"
#include "text.h"
#include "throttle.h"
#include "timer.h"
#include "watch.h"

/* Time after which a busy peer should try again. */
enum { RETRY_AFTER_MS = 100 };

struct core {
    struct core_config config;
    int64_t now_us;
    int64_t started_us;
    struct drv_rng rng;
    int64_t wall_offset_us;  /* wall clock minus ours */
    int64_t clock_offset_us; /* the same, as the timers of schedules have it */
    struct effects effects;
    struct save save;
    struct restore *restore;  /* owned; NULL but while records are taken in */
    struct corpse *dead;      /* freed when the turn is over */
    struct body *dead_bodies; /* the same */
    struct drv_pages pages;   /* of all slabs */
    struct drv_slab body_slabs[BODY_SLABS];
    struct drv_buffer scratch; /* documents and canonical texts are made here */
    uint64_t memory_bytes;     /* accounted */
    struct core_counters counters;
    uint64_t gone[DROVER_STATE_LOST + 1]; /* of those: forgotten, by state */
    struct core_self self;

    struct timers timers;
    struct timer reattach_timer;
    bool is_reattach_open;
    uint32_t awaited; /* workers of an earlier life that have not come back */
    bool is_draining;
    bool is_full; /* the store is */
    /* who may do what (guard.h) */
    struct access *access;            /* owned; NULL: nobody is asked for a key */
    enum access_scope scope;          /* of the message at hand */
    const struct access_grant *grant; /* of its sender; NULL: none is needed */
    struct account *actor;            /* in whose name it is dealt with; NULL: nobody's */
    const struct peer *sender;        /* who sent it; NULL: there is none at hand */
    enum drv_kind sent;
    bool has_denied; /* something that it names was refused */
    int64_t stranger_told_us;

    drover_id aside[CORE_ASIDE_MAX]; /* tasks that were set aside (hand.h) */
    size_t aside_count;
    struct drv_list sweeps;

    /* registries */
    struct drv_table tasks, specs, queues, types, lines, sessions_by_id, workers_by_name, kv,
        parked, tombs, keys, groups, tenants, accounts;
    struct drv_slab task_slab, more_slab, lease_slab, watch_slab;
    struct peers peers;
    struct sessions sessions;
    struct leases leases;
    struct drv_list classes;
    struct drv_list workers; /* struct worker.link */
    struct drv_list tombs_by_age;

    /* schedules */
    struct drv_table schedules;
    struct drv_list zones;     /* struct zone.link */
    struct zone *offered_zone; /* referenced: the last one that was handed in */

    /* dependencies (deps.h) */
    struct drv_list deps_due;     /* struct deps.due: something has come to an end */
    struct drv_list deps_unsaved; /* struct deps.unsaved */
    struct sweep deps_sweep;
    uint64_t deps_searches; /* for circles, so far */

    struct alerts alerts;
    uint64_t workers_lost; /* since the start */

    /* scheduling */
    uint64_t arrival; /* last arrival number given */
    uint64_t turn;    /* of workers that got work */
    struct drv_list dirty_classes;
    struct drv_list touched_workers; /* struct worker.touched */
    bool is_starved; /* a lease could not be made for lack of memory: again soon */
    struct drv_list loaded;

    /* retention */
    struct shelf shelves[SHELVES];
    struct drv_list kept; /* struct more.kept: those with a timer of their own */
    uint64_t kept_count, kept_bytes;

    uint64_t key_serial; /* of the last claim */
    uint64_t kv_version, kv_bytes;
    uint64_t details_bytes; /* of all workers */
    struct history history; /* outside the books, and bounded */
    struct recent recent;   /* the same */
    uint64_t watch_serial;  /* last one given */

    /* streams */
    struct drv_list event_readers, kv_readers; /* struct subscription.in_source */
    uint64_t event_mask;                       /* kinds that some reader may want */
    uint64_t stream_bytes;                     /* windows granted */
    uint64_t reader_serial;                    /* of readers of output: last one given */
    struct drv_list tails;                     /* struct tail.link, oldest first */
    uint64_t tail_bytes;
    struct event_limit limits[EVENT_LIMITS]; /* told last */
    const struct who *reporter;              /* whose report is dealt with; NULL: nobody's */

    /* flushing */
    struct drv_list dirty_workers, dirty_clients; /* struct peer.link */
    struct drv_list dead_peers;                   /* the same: until the turn is over */
    bool wants_tick; /* something bounded was left over: call again at once */
};

/* Accounted memory, zeroed; NULL when out of memory. */
void *core_alloc(struct core *core, size_t size);
void core_free(struct core *core, void *block, size_t size);

/* Whether so much more may be taken into the books. */
static inline bool core_has_memory(const struct core *core, uint64_t bytes)
{
    return core->memory_bytes + bytes <= core->config.memory_max;
}

/* A hash that is the same in every life of the store. */
uint64_t core_stable_hash(const struct core *core, const void *bytes, size_t len);

void timer_fire(struct core *core, struct timer *timer);

/* The hash tables of the modules. */
void task_table_init(struct core *core);
void spec_table_init(struct core *core);
void queue_tables_init(struct core *core);
void key_table_init(struct core *core);
void tenant_table_init(struct core *core);
void session_table_init(struct core *core);
void roster_table_init(struct core *core);
void kv_table_init(struct core *core);
void group_table_init(struct core *core);
void park_tables_init(struct core *core);

#endif
