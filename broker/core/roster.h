/*
 * roster.h: the workers.
 *
 *   HELLO (ATTACH...) ──> connected ──connection gone──> away ──HELLO──> connected
 *                             └──silent for lease_us──> lost <──grace over──┘
 *
 * A worker is in the roster from its HELLO until it is lost, says GOODBYE, or its session ends.
 * Its leases follow its session.
 */
#ifndef CORE_ROSTER_H
#define CORE_ROSTER_H

#include "class.h"
#include "lease.h"
#include "session.h"

enum {
    SHARED_PER_WORKER_MAX = 64, /* shared values kept by a worker, but for those in use */
    ATTEMPT_MAX = 1 << 30,      /* attempts that a worker may claim to hold */
    ATTACH_MAX = 65536,         /* leases of one HELLO */
};

struct worker_history;

/* What a worker has of a resource of its class. */
struct stock {
    uint64_t total;
    uint64_t used;   /* by its leases */
    uint64_t excess; /* used when it came, perhaps with less than it had */
};

struct worker {
    struct session *session;
    struct who *who; /* referenced: name and host */
    uint32_t slots;
    uint32_t pid;
    struct class *class;       /* referenced */
    struct drv_heap_node node; /* in class->workers while it may get work */
    uint32_t counted_idle;     /* its part of class->idle */
    uint64_t free_key;         /* order in the heap: free slots times headroom */
    uint64_t load_key;         /* and work in hand per slot */
    uint32_t last_suffix;      /* last number given to another worker of this name */
    uint64_t turn;             /* when it last got work: ties go to who waited longest */
    struct drv_list link;      /* in core->workers */
    struct drv_list same_host; /* ring of the workers of its host, without a head */
    struct drv_list leases;    /* struct lease.in_worker, oldest first */
    uint32_t held;             /* leases, those parked included */
    uint32_t long_held;        /* of types that are not known to be short */
    uint32_t started;          /* reported as started */
    struct drv_list fresh;     /* leases to be sent in this turn */
    uint64_t fresh_bytes;      /* their payloads */
    struct drv_list notices;   /* leases with something to be told */
    struct drv_list loaded;    /* in core->loaded while it holds more than its slots */
    struct drv_list touched;   /* in core->touched_workers: to be updated */
    struct drv_list shared;    /* struct shared: values of arrays that it has */
    uint32_t shared_count;
    struct drv_list parked;        /* struct parked */
    struct drv_abort_entry *stale; /* owned: leases that it must stop, to be told */
    size_t stale_count, stale_capacity;
    struct room *rooms;    /* owned: limited offers of the class */
    struct stock *stocks;  /* owned: resources of the class */
    bool has_grown;        /* it may have what it had not */
    bool is_heavy;         /* the memory of its host is over the mark: nothing new */
    uint8_t headroom;      /* tenths of its host that are idle, 1 to 10 */
    struct timer timer;    /* silence */
    int64_t heard_us;      /* last message */
    int64_t silence_us;    /* that it may keep while it holds nothing, if more than a lease's */
    bool is_draining;      /* by request */
    bool is_awaited;       /* of an earlier life, and has not come back */
    bool drain_due;        /* to be told */
    bool is_choked;        /* the window is full */
    bool is_leaving;       /* it has said so */
    bool sends_output;     /* it knows FOLLOW */
    uint32_t attach_left;  /* entries of leases that it will still list */
    uint64_t attach_count; /* leases that it has listed over this connection */
    uint32_t attach_round;
    uint64_t tasks_done;
    bool has_host;
    struct drv_host host;
    struct body *details;           /* further statistics, msgpack; NULL: none */
    int64_t details_at_us;          /* when they came */
    struct worker_history *history; /* owned; NULL: none yet */
    bool has_dropped_details;       /* the last ones were not kept: no room */
};

/* The value of an array at a worker. */
struct shared {
    struct drv_list in_worker;
    struct drv_list in_array;
    struct worker *worker;
    struct array *array;
    uint32_t uses; /* leases of the array at this worker */
    bool is_sent;
};

static inline struct drv_str worker_name(const struct worker *worker)
{
    return (struct drv_str){.ptr = worker->who->text, .len = worker->who->name_len};
}
static inline struct drv_str worker_host(const struct worker *worker)
{
    return (struct drv_str){.ptr = worker->who->text + worker->who->name_len,
                            .len = worker->who->host_len};
}

/* By name in force, or by the text of its session id. */
struct worker *worker_find(const struct core *core, struct drv_str name);

/* A HELLO: new worker, or the known one again. OK, NOMEM, BUSY. */
DROVER_MUST_USE drover_status worker_hello(struct core *core, struct session *session,
                                           const struct drv_hello *hello);
/* The one of an earlier life (session->past): away until the reattach window is over, with a
 * class that fits nothing. NULL when out of memory. */
struct worker *worker_restore(struct core *core, struct session *session);
/* One ATTACH; entries that are not its own are aborted as stale. */
bool worker_attach(struct core *core, struct worker *worker, const struct drv_attach *attach);
/* All is listed: what was not listed goes back free. */
void worker_attached(struct core *core, struct worker *worker);

/* The window after the start is over: what is parked is lost. */
void worker_abort_parked(struct core *core, struct worker *worker);
/* Its connection is gone: it has the grace to come back. */
void worker_away(struct core *core, struct worker *worker);
/* Nobody knows what it does: its leases are taken. */
void worker_lose(struct core *core, struct worker *worker);
/* It leaves in order: what it has not started goes back free. */
void worker_give_back(struct core *core, struct worker *worker);
/* The timer of its silence. */
void worker_due(struct core *core, struct worker *worker);
void worker_heard(struct core *core, struct worker *worker);
void worker_drain(struct core *core, struct worker *worker, bool on);

/* An attempt that the worker holds and must stop, since another one counts: it is told. */
/* Whether the entry can speak of this one, too: then it does. */
bool abort_extend(struct drv_abort_entry *entry, const struct drv_ref *ref);
void worker_add_stale(struct core *core, struct worker *worker, const drover_id *id,
                      uint32_t index, uint32_t attempt);

/* Replaces its further statistics, as far as details_bytes_max and memory allow; empty: drops
 * them. */
void worker_set_details(struct core *core, struct worker *worker, struct drv_str details);

/* Capacity may have changed: where it stands in its class. */
void worker_update(struct core *core, struct worker *worker);
/* The same, once for all that happens in a step. */
void worker_touch(struct core *core, struct worker *worker);
void workers_settle(struct core *core);
/* Free slots; negative: holds more than it has slots. */
int32_t worker_free_slots(const struct core *core, const struct worker *worker);
bool worker_may_work(const struct core *core, const struct worker *worker);
/* Whether another short task may be queued behind its slots. */
bool worker_may_prefetch(const struct core *core, const struct worker *worker,
                         const struct type *type);
bool worker_before(const struct drv_heap_node *a, const struct drv_heap_node *b);
/* Whether the worker has what such work needs, in the resources of its class. */
bool worker_has(const struct core *core, const struct worker *worker, const struct need *needs,
                size_t count);
/* A lease of the line takes what it needs, and gives it back. */
void worker_use(struct worker *worker, const struct line *line);
void worker_unuse(struct worker *worker, const struct line *line);
/* What is used by now may be more than there is. */
void worker_excuse(struct worker *worker);
/* Joining a class: what it has, and what its leases use of it. False when out of memory. */
bool worker_stock(struct core *core, struct worker *worker,
                  const struct drv_worker_hello *hello);
void worker_unstock(struct core *core, struct worker *worker);
/* Those that wait for what it may have got are looked at again. */
void worker_feed(struct core *core, struct worker *worker);
/* How its host is, by its last heartbeat. */
void worker_weigh(struct core *core, struct worker *worker);
struct room *worker_room(const struct worker *worker, const struct offer *offer);

/* Everything to be told to workers. */
void worker_flush(struct core *core, struct worker *worker);
/* What it knew of shared values is void. */
void shared_forget_worker(struct core *core, struct worker *worker);
void shared_drop_worker(struct core *core, struct worker *worker);
void shared_drop_array(struct core *core, struct array *array);
/* The value is at the worker, or goes with this turn. False when out of memory. */
bool shared_use(struct core *core, struct worker *worker, struct array *array);
/* The value, if the worker has not got it. */
void shared_send(struct core *core, struct worker *worker, struct array *array);
void shared_unuse(struct core *core, struct worker *worker, struct array *array);

#endif
