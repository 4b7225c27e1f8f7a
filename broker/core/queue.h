/*
 * queue.h: queues, task types, and the lines in which work stands.
 *
 *   queue "default" ──┬── line (priority 5, type "resize")    ── place ─ place ─ place
 *                     ├── line (priority 0, type "resize")    ── place
 *                     └── line (priority 0, type "mail")      ── place ─ place
 *
 * A line holds places in the order of arrival at the broker; a place is a task, the elements
 * of one ITEMS message, or an element that came back. What comes back takes its old place
 * again. Within a queue the head with the highest priority, then the earliest arrival, is next.
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include "effects.h"
#include "heap.h"
#include "list.h"
#include "message.h"

struct core;
struct queue_history;
struct times;
struct tenant;
struct throttle;

enum place_kind { PLACE_TASK, PLACE_RUN, PLACE_LEASE };
enum place_where { PLACE_OUT, PLACE_FIFO, PLACE_BACK };

struct place {
    union {
        struct drv_list link;      /* in line->fifo */
        struct drv_heap_node node; /* in line->returned */
    };
    uint64_t arrival : 56; /* grows with every arrival, 0: none yet */
    uint64_t kind : 4;     /* enum place_kind */
    uint64_t where : 4;    /* enum place_where */
};
#define PLACE_ARRIVAL_MAX ((UINT64_C(1) << 56) - 1)

struct queue {
    struct corpse corpse;
    uint32_t references; /* lines; a queue with settings of its own holds one itself */
    bool has_settings;
    bool is_paused;
    uint32_t weight;
    uint32_t placement;            /* enum drv_placement */
    uint64_t aging_us;             /* so much waiting is worth a step of priority; 0: none is */
    uint64_t max_count, max_bytes; /* limits in force, UINT64_MAX: none */
    uint32_t level; /* of tasks that ask for none, enum drover_durability; DEFAULT:
                       the broker's */
    uint64_t waiting, delayed, queued, running;
    uint64_t bytes;                /* payloads of tasks that have not ended */
    uint64_t held;                 /* leases */
    struct throttle *throttle;     /* owned; NULL: no limits on leases */
    struct drv_list lines;         /* struct line.in_queue */
    struct drv_list shares;        /* struct share.in_queue */
    struct drv_list sweeps;        /* purges going on */
    struct times *times;           /* owned by the history; NULL: none yet */
    struct queue_history *history; /* the same */
    uint16_t mark;                 /* when its settings were last recorded (save.h) */
    uint8_t name_len;
    char name[]; /* NUL-terminated */
};

struct type {
    struct corpse corpse;
    uint32_t references; /* lines and offers */
    uint64_t queued, running;
    int64_t run_us;         /* moving mean of the run time, -1 unknown */
    struct times *times;    /* owned by the history; NULL: none yet */
    struct drv_list lines;  /* struct line.in_type */
    struct drv_list offers; /* struct offer.in_type */
    uint8_t name_len;
    char name[]; /* NUL-terminated */
};

struct line {
    uint32_t references; /* specs */
    struct queue *queue;
    struct type *type;
    struct tenant *tenant; /* fairness key, referenced; NULL: none */
    int32_t priority;
    struct drv_list in_queue;
    struct drv_list in_type;
    struct drv_list fits;     /* struct fit.in_line */
    struct drv_list fifo;     /* struct place */
    struct drv_heap returned; /* places that came back, by arrival */
    uint64_t hash;
    uint32_t require_len, needs_len, fairness_len;
    char text[]; /* require, needs and fairness, as in the spec */
};

struct line_key {
    const struct queue *queue;
    const struct type *type;
    int32_t priority;
    struct drv_str require;  /* wanted worker labels, canonical: name\0value\0... sorted */
    struct drv_str needs;    /* canonical (spec.h) */
    struct drv_str fairness; /* empty: none */
};

static inline struct drv_str line_require(const struct line *line)
{
    return (struct drv_str){.ptr = line->text, .len = line->require_len};
}

static inline struct drv_str line_needs(const struct line *line)
{
    return (struct drv_str){.ptr = line->text + line->require_len, .len = line->needs_len};
}

static inline struct drv_str line_fairness(const struct line *line)
{
    return (struct drv_str){.ptr = line->text + line->require_len + line->needs_len,
                            .len = line->fairness_len};
}

static inline struct drv_str queue_name(const struct queue *queue)
{
    return (struct drv_str){.ptr = queue->name, .len = queue->name_len};
}

static inline struct drv_str type_name(const struct type *type)
{
    return (struct drv_str){.ptr = type->name, .len = type->name_len};
}

struct queue *queue_find(const struct core *core, struct drv_str name);
struct queue *queue_ensure(struct core *core, struct drv_str name); /* with a reference */
void queue_release(struct core *core, struct queue *queue);
/* Keep the queue although it is empty (or no longer). */
void queue_keep(struct core *core, struct queue *queue, bool keep);
void queue_pause(struct core *core, struct queue *queue, bool pause);
static inline uint64_t queue_count(const struct queue *queue)
{
    return queue->waiting + queue->delayed + queue->queued;
}

struct type *type_find(const struct core *core, struct drv_str name);
struct type *type_ensure(struct core *core, struct drv_str name); /* with a reference */
void type_release(struct core *core, struct type *type);
/* An attempt of this type ran so long. */
void type_measure(struct type *type, uint64_t run_us);

/* The line for this key with a reference; NULL when out of memory. */
struct line *line_ensure(struct core *core, const struct line_key *key);
void line_release(struct core *core, struct line *line);

void place_init(struct place *place, enum place_kind kind);
static inline bool place_is_in(const struct place *place)
{
    return place->where != PLACE_OUT;
}
static inline void place_arrive(struct place *place, uint64_t arrival)
{
    place->arrival = arrival & PLACE_ARRIVAL_MAX;
}
/* At the end, with a new arrival number. */
void line_push(struct core *core, struct line *line, struct place *place);
/* Where it was before. */
void line_return(struct core *core, struct line *line, struct place *place);
/* Where it was in an earlier life: cheap when places come in the order of their arrival. */
void line_restore(struct core *core, struct line *line, struct place *place);
void line_remove(struct line *line, struct place *place);
struct place *line_head(const struct line *line);
static inline bool line_is_empty(const struct line *line)
{
    return drv_list_is_empty(&line->fifo) && drv_heap_count(&line->returned) == 0;
}
/* When the thing at this place arrived. */
int64_t place_since_us(const struct place *place);
/* Since when it has waited, as aging counts it: from the submit, of an array that of the array,
 * without its own delay. */
int64_t place_aged_us(const struct place *place);

/* The earliest arrival among the heads of its lines; 0: nothing waits. */
int64_t queue_oldest_us(const struct queue *queue);

#endif
