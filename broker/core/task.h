/*
 * task.h: tasks, and the unit of work that a task shares with an element of an array.
 *
 * Where the state says which fields count:
 *
 *   WAITING   place OUT, timer armed for the expiry if it has one (deps.h)
 *   DELAYED   place OUT, timer armed (delay, or back-off of a retry)
 *   QUEUED    place in its line, or held by a worker that has not reported it as started
 *   RUNNING   held and started
 *   terminal  no place, no lease; result or error; timer armed for the end of the retention
 */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include "body.h"
#include "core.h"
#include "queue.h"
#include "session.h"
#include "spec.h"
#include "timer.h"

struct array;
struct claim;
struct deps;
struct lease;

enum {                      /* unit flags */
       UNIT_SUSPECT = 1,    /* came back from a lost worker: asks before it runs */
       UNIT_CANCELLING = 2, /* whatever comes, it ends cancelled */
       UNIT_STARTED = 4,    /* some attempt was started: the expiry is over */
       UNIT_REPORTED = 8,   /* the result of the last attempt was taken */
       UNIT_DROPPED = 16,   /* the result is not kept any more */
       UNIT_DIRTY = 32,     /* to be recorded at the end of the turn */
       UNIT_SAVED = 64,     /* how it ended is recorded */
       UNIT_SHARED = 128,   /* stands for many elements of a run (run.h): only read */
};

/* What can be leased: the task itself, or an element. */
struct unit {
    union {
        struct lease *lease; /* not terminal; NULL: none */
        struct body *result; /* terminal; owned */
    };
    struct more *more; /* owned; NULL while there is nothing of the kind */
    uint32_t attempt;  /* last one given out */
    uint32_t run_us;   /* of the attempt that ended it */
    uint16_t failures; /* charged to the retries */
    uint16_t losses;   /* charged to the loss budget */
    uint8_t state;     /* enum drover_state; 0: an element that was not given yet */
    uint8_t flags;
    uint16_t mark; /* when it was last recorded as a whole (save.h) */
};

enum { /* task flags */
       TASK_IS_ARRAY = 1,
       TASK_WATCHED = 2,  /* its owner gets the result pushed */
       TASK_STATES = 4,   /* without the value */
       TASK_RELEASE = 8,  /* forget it when the result was settled */
       TASK_DISCARD = 32, /* forget it as soon as nobody waits for it */
       TASK_READY = 16,   /* ended and in the owner's ready list, or in flight to it */
       TASK_SAVED = 64,   /* recorded as a whole */
       TASK_TIED = 128,   /* in records: ends with its session */
};

struct task {
    drover_id id;
    struct spec *spec; /* referenced */
    union {
        struct body *payload; /* referenced */
        struct array *array;  /* owned */
    };
    struct unit unit;    /* of an array: state as a whole */
    struct place place;  /* ended: link in the owner's ready list */
    struct handle owner; /* session that submitted it */
    int64_t submitted_us;
    struct timer timer;
    uint32_t payload_len;
    uint32_t payload_hash; /* once it is no longer kept */
    uint32_t dirty_at;     /* while the unit is dirty: its place among the changed */
    uint8_t flags;
};

/* One task or one element. */
struct item {
    struct task *task;
    struct unit *unit; /* of an element without a record: shared with others (run.h) */
    uint32_t index;    /* DROVER_INDEX_NONE: the task itself */
};

/* Who ran something: outlives the worker. */
struct who {
    struct corpse corpse;
    uint32_t references;
    drover_id session;
    uint8_t name_len;
    uint8_t host_len;
    char text[]; /* name, host */
};

/* After enum drv_attempt_outcome. AWAITED: it ended to wait for others. */
enum { OUTCOME_LOST = 4, OUTCOME_INTERRUPTED, OUTCOME_AWAITED };
enum { HISTORY_MAX = 16 };

struct attempt {     /* one line of the death certificate */
    struct who *who; /* referenced */
    uint64_t run_us, user_us, system_us, peak_rss_bytes;
    uint64_t queued_us;   /* from the submit, or the end of the attempt before, to the lease */
    uint64_t transfer_us; /* from the lease to the start */
    uint64_t return_us;   /* from the end to its acceptance */
    int64_t ended_us;
    uint32_t attempt;
    int32_t exit_code; /* -1: did not exit */
    uint32_t signal;
    uint8_t outcome; /* enum drv_attempt_outcome or OUTCOME_* */
    bool was_started;
    bool has_usage;
    uint8_t kept; /* enum drv_kept */
};

struct failure { /* why it did not succeed */
    struct corpse corpse;
    uint32_t kind; /* enum drover_error_kind */
    uint32_t flags;
    int32_t exit_code;
    uint32_t signal;
    uint16_t code_len, text_len, stderr_len;
    char bytes[]; /* code, text, stderr */
};

struct progress {
    uint32_t permille;
    uint16_t len;
    char text[];
};

/* A task that is to be cancelled when its session ends. */
struct tie {
    struct drv_list link; /* in ties->list of the session */
    struct task *task;
};

/* What most units never need while they wait. */
struct more {
    struct drv_list watches;   /* struct watch.in_unit */
    struct drv_list kept;      /* in core->kept or a shelf: ended tasks, oldest first */
    struct task *task;         /* once it is in there */
    struct failure *error;     /* owned */
    struct attempt *history;   /* oldest first: `first`, or owned when there were more */
    struct deps *deps;         /* owned: what it waits for, and what waits for it */
    struct progress *progress; /* owned */
    struct output *output;     /* owned: who reads what it prints */
    struct tail *tail;         /* owned: the last of what it printed */
    struct tie *tie;           /* owned */
    struct claim *claim;       /* owned: its key (key.h) */
    char *cancel_text;         /* owned: why what runs is cancelled; NULL: nothing was said */
    int64_t ended_us;
    uint8_t history_count;
    bool has_retry_of;
    bool has_retried_as;
    bool has_lost_tail; /* there was one */
    uint8_t rounds; /* of an array: how often it was retried, up to 255; of an element that was
                       retried by itself: what that was then, for the first time */
    uint32_t retry_of_index;
    drover_id retry_of;
    drover_id retried_as; /* the last retry of this one */
    struct attempt first; /* where the history of most begins and ends */
};

static inline bool unit_is_terminal(const struct unit *unit)
{
    return unit->state >= DROVER_STATE_SUCCEEDED;
}
static inline bool unit_is_shared(const struct unit *unit)
{
    return (unit->flags & UNIT_SHARED) != 0;
}
static inline struct lease *unit_lease(const struct unit *unit)
{
    return unit_is_terminal(unit) ? NULL : unit->lease;
}
static inline bool task_is_array(const struct task *task)
{
    return (task->flags & TASK_IS_ARRAY) != 0;
}

/* --- finding --- */
struct task *task_find(const struct core *core, const drover_id *id);
/* The same without taking it in hand (hand.h). */
struct task *task_peek(const struct core *core, const drover_id *id);
uint64_t task_hash(const struct core *core, const drover_id *id);
/* False when there is no such task or element. index NONE of an array gives the whole. */
bool item_find(const struct core *core, const drover_id *id, uint32_t index,
               struct item *out_item);

/* A unit that is the item's alone, to be written to. False: out of memory. */
DROVER_MUST_USE bool item_own(struct core *core, struct item *item);

/* Whether there is a later attempt of what this names; of one that has just ended a last word
 * may come. */
bool item_is_superseded(const struct core *core, const struct drv_ref *ref);
struct item item_of_task(struct task *task);
struct drv_val item_payload(const struct item *item);
uint32_t item_payload_len(const struct item *item);
/* `more` is the item's; an array counts those of its elements. */
void item_set_retried(const struct item *item, struct more *more, bool is_retried);

/* --- life --- */
/* In the table, in no state yet; NULL when out of memory. */
struct task *task_new(struct core *core, const drover_id *id, struct spec *spec);
/* Out of the table and gone; nothing may point to it any more. Not counted anew. */
void task_free(struct core *core, struct task *task);
/* Ended and dropped: all that still names it is told nothing. */
void task_forget(struct core *core, struct task *task);
/* Recorded, and in its first state: DELAYED or QUEUED, or what a parked lease says. session:
 * that submits it, NULL: nobody's. */
void task_begin(struct core *core, struct task *task, const struct session *session);
/* Its timer, and that of an element that waits for another attempt. */
void task_due(struct core *core, struct task *task);
void lease_due(struct core *core, struct lease *lease);
/* Second half of task_free: gives everything back; a large array in slices. */
void task_dismantle(struct core *core, struct task *task);
/* Whether a submit that came again has the payload of the first. */
/* A succeeded task is never run again: a hash of its payload is enough to tell conflicts. */
void task_give_up_payload(struct core *core, struct task *task);
bool task_payload_equals(const struct core *core, const struct task *task,
                         const struct drv_val *val);

/* Change of state with all counters. */
void item_set_state(struct core *core, const struct item *item, enum drover_state state);

/* Whether it must start by an instant, and has not yet. */
bool item_expires(const struct item *item, int64_t *out_at_us);

/* From DELAYED, or after it was returned: into line. */
void item_queue(struct core *core, const struct item *item, bool keeps_place);
void item_delay(struct core *core, const struct item *item, int64_t until_us);
/* Until what it waits for has ended; and: that is so. */
void item_wait(struct core *core, const struct item *item);
void item_release(struct core *core, const struct item *item);
/* Where it stood in an earlier life: its place says when it arrived, its timer until when it is
 * delayed. */
void item_restore_place(struct core *core, const struct item *item);
/* Out of line and timers; the lease stays. */
void item_unplace(struct core *core, const struct item *item);

/*
 * End it. result and error are taken (NULL: none). The lease, if any, must have been taken
 * from its worker already.
 */
void item_end(struct core *core, const struct item *item, enum drover_state state,
              struct body **result, struct failure **error);
/* End a unit that nobody holds with an error of our own making. */
void item_end_with(struct core *core, const struct item *item, enum drover_state state,
                   enum drover_error_kind kind, uint32_t flags, const char *text);
/* The result of the present attempt; the lease was taken. */
void item_result(struct core *core, const struct item *item, const struct drv_result *result,
                 struct body **val, struct who *who);
/* Only for a defect: a terminal state turns into another one. */
void item_overwrite_state(struct core *core, const struct item *item, enum drover_state state);
/* A lost attempt; the lease was taken. */
void item_lost(struct core *core, const struct item *item, bool was_started, struct who *who);
/* An attempt that ended to wait for others; the lease was taken. */
void item_awaits(struct core *core, const struct item *item, struct who *who);
/* An attempt that ran and was ended through no fault of its own; the lease was taken. */
void item_interrupted(struct core *core, const struct item *item, struct who *who);
void item_cancel(struct core *core, const struct item *item, const char *text);
void item_expire(struct core *core, const struct item *item);
#define ITEM_EXPIRED_TEXT "did not start in time"

/* --- more --- */
struct more *unit_more(struct core *core, struct unit *unit); /* NULL when out of memory */
void unit_drop_more(struct core *core, struct unit *unit);
/* Cancel the task when the session ends. False when out of memory. */
bool unit_tie(struct core *core, struct task *task, struct session *session);
void unit_untie(struct core *core, struct unit *unit);
struct failure *failure_new(struct core *core, const struct drv_error *error);
struct failure *failure_of(struct core *core, enum drover_error_kind kind, uint32_t flags,
                           const char *text);
void failure_free(struct core *core, struct failure **failure);
static inline struct drv_error error_of(enum drover_error_kind kind, const char *text)
{
    return (struct drv_error){.kind = kind, .text = drv_str_of(text), .exit_code = -1};
}
struct drv_error failure_view(const struct failure *failure);
void history_add(struct core *core, struct unit *unit, const struct attempt *attempt);
void history_clear(struct core *core, struct more *more);
/* The end of the attempt before the present one, or the submit. */
int64_t item_ready_us(const struct item *item);
struct who *who_new(struct core *core, const drover_id *session, struct drv_str name,
                    struct drv_str host);
void who_release(struct core *core, struct who **who);
void progress_set(struct core *core, struct unit *unit, uint32_t permille, struct drv_str text);

/* --- retention (retain.c) --- */
/* Ended tasks that are all kept for the same time, oldest first: one timer for all. */
struct shelf {
    struct drv_list list; /* struct more.kept */
    struct timer timer;   /* armed while the list is not empty, never too late */
    int64_t keep_us;
};
enum { SHELF_ENDED, SHELF_FAILED, SHELVES };

bool shelves_init(struct core *core);
void shelves_fini(struct core *core);
/* The oldest of a shelf may have outlived its time. */
void shelf_due(struct core *core, struct shelf *shelf);
/* The task has ended for good: how long it is kept. */
void task_retain(struct core *core, struct task *task);
/* The same for one that ended before. */
void task_retain_since(struct core *core, struct task *task, int64_t ended_us);
void task_unretain(struct core *core, struct task *task);
/* It is forgotten as soon as nobody waits for it. */
void task_discard_later(struct core *core, struct task *task);
/* Its time is over: it is forgotten, unless somebody still waits for it. */
void task_outlived(struct core *core, struct task *task);
/* Bytes of what is kept of one that has ended: its results, and payloads for a retry. They do
 * not change while it is kept, but by element_drop_result. */
uint64_t task_kept_bytes(const struct task *task);
/* The oldest results go while there are too many. */
void retention_enforce(struct core *core);

#endif
