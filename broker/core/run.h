/*
 * run.h: the elements of one ITEMS message.
 *
 *   run ── data:    their values, one behind the other
 *       ── lengths: how long each is, packed; nothing when all are alike
 *       ── unit:    stands for all elements to which nothing has happened yet
 *
 * While an element waits like its neighbours it is a number in its run, and costs its value and
 * the byte or two that say how long that is. It gets a record of its own (struct element) when
 * it is dispatched, or when something is said of it alone: a watch, a cancel, a task that waits
 * for it. What happens to all that have none, such as the end of their delay or a cancel of
 * the array, happens to the unit that they share: one state, one error.
 */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "task.h"

struct array;

struct element {
    struct unit unit;
    uint32_t run;     /* number of its run */
    uint32_t offset;  /* of the payload in the run's data; or number of a large value */
    uint32_t len;     /* bytes of the payload */
    uint8_t type_len; /* of the content type, which stands before the payload */
    uint8_t flags;    /* ELEMENT_* */
};

enum { /* element flags */
       ELEMENT_NIL = 1,
       ELEMENT_LARGE = 2,
       ELEMENT_TAKEN = 4, /* dispatched or ended: its run does not count it as waiting */
       ELEMENT_FREED = 8, /* payload given up; offset holds a hash of it */
};

/* What there is to know of a value but its bytes. */
struct value_size {
    uint32_t len;
    uint32_t hash;    /* of one that is FREED */
    uint8_t type_len; /* of the content type */
    uint8_t flags;    /* ELEMENT_NIL, LARGE, FREED */
};

/* A place between two values of a run. */
struct spot {
    uint32_t index;  /* of the element behind it */
    uint32_t at;     /* in the lengths */
    uint32_t offset; /* in the data */
    uint32_t large;  /* values before it that are kept by reference */
};

struct run {
    struct place place;
    struct timer timer;
    struct task *task;
    struct unit unit;    /* of all elements without a record; never leased */
    struct body *data;   /* owned: gathered values */
    uint8_t *lengths;    /* owned: of all values, in order; NULL: they are all alike */
    struct body **large; /* owned: values that are kept by reference */
    uint32_t lengths_len;
    uint32_t alike_len; /* bytes of each value when they are alike: plain, without a type */
    uint32_t large_count;
    struct spot spot; /* where somebody looked last: the next is not far from there */
    uint32_t first, count;
    uint32_t next;         /* first index that was not dispatched */
    uint32_t waiting;      /* elements that were never dispatched and have not ended */
    uint32_t live;         /* elements whose payload may be needed */
    uint32_t shared;       /* elements that have no record */
    uint64_t shared_bytes; /* of their payloads */
    uint32_t number;
    bool is_delayed;
    bool is_held;  /* the array waits for its parents, or has not come to this run since */
    uint16_t mark; /* when it was last recorded (save.h) */
    int64_t arrived_us;
};

/* --- values --- */

/* An empty run with room for values of these sizes; NULL when out of memory. */
struct run *run_new(struct core *core, struct array *array, uint32_t first,
                    const struct value_size *sizes, uint32_t count);
/* The next value, in order, from spot {first}. OK or NOMEM. */
DROVER_MUST_USE drover_status run_put_value(struct core *core, struct run *run,
                                            struct spot *spot, const struct drv_val *val);
/* The record that an element would get, or was given first: its place in the run. */
struct element run_element(struct run *run, uint32_t index);
/* The record of one of its elements, made when there is none; NULL when out of memory. */
struct element *run_own(struct core *core, struct run *run, uint32_t index);
/* A new record, queued, whatever the others are; only for those who say at once what it is. */
struct element *run_give_record(struct core *core, struct run *run, uint32_t index);
/* Takes it out of its line and gives everything back. */
void run_free(struct core *core, struct run *run);

/* --- life --- */

/* The next element that was never dispatched becomes a lease. False: out of memory, and it
 * waits as before. */
bool run_take(struct core *core, struct run *run, struct item *out_item);
/* Bytes of its payload. */
uint32_t run_next_len(struct run *run);
/* Its elements are what they were in an earlier life; place.arrival is that of the first. */
void run_restore(struct core *core, struct run *run);
void run_due(struct core *core, struct run *run);
/* All that waited with the array may be dispatched, or wait for their delay. */
void run_release(struct core *core, struct run *run);
/* What its elements are in that were never dispatched and have not ended. */
enum drover_state run_state(const struct run *run);
/* On to the next element that was not dispatched. */
void run_skip_taken(struct run *run);

/* Change of the state of all elements without a record, with all counters (task.c). */
void run_set_state(struct core *core, struct run *run, enum drover_state state);

/* What waits in the run without a record ends in this state, all with one error. False: out of
 * memory, and nothing has changed. */
DROVER_MUST_USE bool run_end_shared(struct core *core, struct run *run, enum drover_state state,
                                    const struct drv_error *error);

#endif
