/*
 * array.h: many tasks of one type as one object.
 *
 *   array ── runs:  one per ITEMS message: range of indexes, gathered payloads, place in line
 *         ── pages: element records of 48 bytes, by index
 *         ── order: indexes of ended elements in the order in which they ended
 *
 * An element becomes a lease when it is dispatched; before that it is a number in its run. All
 * memory that ending needs is allocated when the elements arrive.
 */
#ifndef CORE_ARRAY_H
#define CORE_ARRAY_H

#include "sweep.h"
#include "task.h"

enum { ARRAY_PAGE = 1024 };

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

struct run { /* the elements of one ITEMS message */
    struct place place;
    struct timer timer;
    struct task *task;
    struct body *data;   /* owned: gathered values */
    struct body **large; /* owned: values that are kept by reference */
    uint32_t large_count;
    uint32_t first, count;
    uint32_t next;    /* first index that was not dispatched */
    uint32_t waiting; /* elements that were never dispatched */
    uint32_t live;    /* elements whose payload may be needed */
    uint32_t number;
    bool is_delayed;
    uint16_t mark; /* when it was last recorded (save.h) */
    int64_t arrived_us;
};

struct array {
    struct task *task;
    struct element **pages; /* owned, by index / ARRAY_PAGE */
    uint32_t page_count;
    struct run **runs; /* owned */
    uint32_t run_count, run_capacity;
    uint32_t **order; /* owned: pages of ARRAY_PAGE indexes */
    uint32_t order_count;
    uint32_t count;       /* elements that were given */
    uint32_t ended;       /* how many of them have ended */
    uint32_t index_end;   /* highest index given + 1 */
    uint32_t seal;        /* number of elements, once sealed */
    uint32_t dirty_count; /* changed elements that are to be recorded */
    bool is_sealed;
    bool is_cancelled;
    bool is_dismantled; /* being taken apart */
    const char *cancel_text;
    uint32_t states[DROVER_STATE_LOST + 1]; /* elements by state */
    uint64_t result_bytes;
    struct body *with;         /* shared value */
    struct drv_list shares;    /* struct shared: workers that have it */
    struct drv_list watches;   /* struct watch on all elements */
    struct output *output;     /* owned: who reads what its elements print */
    uint32_t outputs;          /* that one, and those of elements */
    uint32_t pins;             /* edges to its elements (deps.h) */
    struct drv_list open_link; /* in session->arrays until sealed */
    struct sweep sweep;        /* cancelling or dismantling, in slices */
};

/* Make a task an array. OK or NOMEM. */
DROVER_MUST_USE drover_status array_open(struct core *core, struct task *task,
                                         const struct drv_val *with);

struct element *array_element(const struct array *array, uint32_t index); /* NULL: none */
struct item array_item(struct array *array, uint32_t index);              /* must exist */
struct drv_val element_payload(const struct array *array, const struct element *element);
/* When its run arrived. */
int64_t element_since_us(const struct array *array, const struct element *element);
/* Whether these are the values that were given before. */
bool array_has_same(const struct core *core, const struct array *array, uint32_t index,
                    const struct drv_val *val);

/* Elements first, first + 1, ..., none of which may exist. OK or NOMEM. */
DROVER_MUST_USE drover_status array_add(struct core *core, struct array *array, uint32_t first,
                                        const struct drv_val *items, uint32_t count);
void array_seal(struct core *core, struct array *array, uint32_t count);
/* Cancel all elements: dispatch stops at once, the rest is done in slices. A request that waits
 * for the sweep is told when nothing can start any more. */
void array_cancel(struct core *core, struct array *array, const char *text);
/* Whether that is so: all is gone through, and workers have said what became of the rest. */
bool array_is_still(const struct array *array);
/* An element has changed its state. */
void array_note_state(struct core *core, struct array *array);

/* An empty one with room for so many bytes and large values; NULL when out of memory. */
struct run *run_new(struct core *core, struct array *array, size_t bytes, uint32_t large);
/* The next element that was never dispatched becomes a lease. False: out of memory. */
bool run_take(struct core *core, struct run *run, struct item *out_item);
/* Its elements are what they were in an earlier life; place.arrival is that of the first. */
void run_restore(struct core *core, struct run *run);
void run_due(struct core *core, struct run *run);
void run_free(struct core *core, struct run *run);
/* On to the next element that was not dispatched. */
void run_skip_taken(struct run *run);
/* The element does not wait in its run any more. */
void element_mark_taken(struct core *core, struct array *array, struct element *element);

/* Room for elements, for one more run, and to write down in which order elements end, so that
 * ending never needs memory. False: out of memory. */
bool array_reserve_elements(struct core *core, struct array *array, uint32_t first,
                            uint32_t count);
bool array_reserve_run(struct core *core, struct array *array);
bool array_reserve_order(struct core *core, struct array *array, uint32_t count);
/* An element has ended, as a record says. False: out of memory. */
bool array_restore_end(struct core *core, struct array *array, uint32_t index);

/* An element has ended. */
void array_note_end(struct core *core, struct array *array, uint32_t index);
/* Its payload will not be needed any more. */
void element_release_payload(struct core *core, struct array *array, struct element *element);
void element_drop_result(struct core *core, struct array *array, uint32_t index);
/* The element that ended as number `position`. */
uint32_t array_ended_at(const struct array *array, uint32_t position);
/* As a whole. */
enum drover_state array_state(const struct array *array);

/* Gives everything back; false: goes on in slices and ends with task_dismantle. */
bool array_dismantle(struct core *core, struct array *array);

#endif
