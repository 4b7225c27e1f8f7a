/*
 * array.h: many tasks of one type as one object.
 *
 *   array ── runs:  one per ITEMS message: range of indexes, gathered payloads, place in line
 *         ── pages: of 1024 indexes: which runs gave them, and records of 48 bytes
 *         ── order: indexes of ended elements in the order in which they ended
 *
 * Until it is dispatched an element is a number in its run (run.h); then it gets a record and
 * a lease. All memory that its end needs is there when it has a record: what never got one
 * ends with its run, which can wait for memory.
 */
#ifndef CORE_ARRAY_H
#define CORE_ARRAY_H

#include "run.h"
#include "sweep.h"
#include "task.h"

enum { ARRAY_PAGE = 1024 };

struct element_page {
    struct element *elements; /* owned: records; NULL: no element has one */
    struct run **runs;        /* owned: those with elements in the page, by first index */
    uint16_t run_count, run_capacity;
};

struct array {
    struct task *task;
    struct element_page *pages; /* owned, by index / ARRAY_PAGE */
    uint32_t page_count;
    struct run **runs; /* owned */
    uint32_t run_count, run_capacity;
    uint32_t **order; /* owned: pages of ARRAY_PAGE indexes */
    uint32_t order_count;
    uint32_t claimed;     /* elements that have a record, or ended without: `order` has room */
    uint32_t count;       /* elements that were given */
    uint32_t ended;       /* how many of them have ended */
    uint32_t index_end;   /* highest index given + 1 */
    uint32_t retried;     /* elements that were retried by themselves */
    uint32_t seal;        /* number of elements, once sealed */
    uint32_t dirty_count; /* changed elements that are to be recorded */
    bool is_sealed;
    bool is_cancelled;
    bool is_dismantled;      /* being taken apart */
    bool keeps_payloads;     /* of a graph: also those of what has succeeded, for a retry */
    struct failure *failure; /* owned: a parent did not succeed; NULL: none so far */
    char *cancel_text;       /* owned; NULL: not cancelled, or in an earlier life */
    uint32_t states[DROVER_STATE_LOST + 1]; /* elements by state */
    uint64_t result_bytes;
    struct body *with;         /* shared value */
    struct drv_list shares;    /* struct shared: workers that have it */
    struct drv_list watches;   /* struct watch on all elements */
    struct output *output;     /* owned: who reads what its elements print */
    uint32_t outputs;          /* that one, and those of elements */
    uint32_t pins;             /* edges to its elements (deps.h) */
    struct drv_list open_link; /* in session->arrays until sealed */
    struct sweep sweep;        /* cancelling, releasing, dismantling: in slices */
};

/* Make a task an array. OK or NOMEM. */
DROVER_MUST_USE drover_status array_open(struct core *core, struct task *task,
                                         const struct drv_val *with);

struct element *array_element(const struct array *array, uint32_t index); /* NULL: no record */
struct run *array_run(const struct array *array, uint32_t index);         /* NULL: none */
bool array_has(const struct array *array, uint32_t index);
/* It must exist; the unit may be shared: item_own before it is written to. */
struct item array_item(struct array *array, uint32_t index);
/* Of an element that exists; and when its run arrived. */
struct drv_val array_payload(const struct array *array, uint32_t index);
uint32_t array_payload_len(const struct array *array, uint32_t index);
int64_t array_since_us(const struct array *array, uint32_t index);
struct drv_val element_payload(const struct array *array, const struct element *element);
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
const char *array_cancel_text(const struct array *array); /* why it was cancelled */
/* Whether that is so: all is gone through, and workers have said what became of the rest. */
bool array_is_still(const struct array *array);
/* The parents of an array that waits have ended; and: it has failed with one of them. False:
 * out of memory. */
void array_release(struct core *core, struct array *array);
DROVER_MUST_USE bool array_fail(struct core *core, struct array *array, const char *text);
/* It waits for its parents: nothing of it begins, and it does not end. */
static inline bool array_holds_back(const struct array *array)
{
    return array->task->unit.state == DROVER_STATE_WAITING;
}
/* Elements have come. */
void array_note_run(struct core *core, struct array *array, const struct run *run);
/* An element has changed its state. */
void array_note_state(struct core *core, struct array *array);

/* The element does not wait in its run any more. */
void element_mark_taken(struct core *core, struct array *array, struct element *element);

/* Room for the record of an element, for one more run of these elements, and to write down
 * that so many have ended. False: out of memory. */
bool array_reserve_record(struct core *core, struct array *array, uint32_t index);
bool array_reserve_run(struct core *core, struct array *array, uint32_t first, uint32_t count);
bool array_reserve_order(struct core *core, struct array *array, uint32_t count);
/* There is room for it, and none of its elements is in another run. */
void array_insert_run(struct array *array, struct run *run);
/* Whether no run has one of these elements. */
bool array_is_free(const struct array *array, uint32_t first, uint32_t count);
/* An element has ended, as a record says. False: out of memory. */
bool array_restore_end(struct core *core, struct array *array, uint32_t index);

/* An element has ended; and: all of the run that has no record. */
void array_note_end(struct core *core, struct array *array, uint32_t index);
void array_note_run_end(struct core *core, struct array *array, struct run *run);
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
