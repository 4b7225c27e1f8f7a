/*
 * output.h: what handlers print, log and hand over while they run: who follows it, and the last
 * of it that is kept with the task.
 *
 *   worker ──LOG──────────────> output_log ──┐
 *     ^    ──REPORT, tail──> output_result ──┼──> readers (struct subscription)
 *     │                         │ keep       │
 *   FOLLOW <── output_ask    struct tail ────┘ output_fill, for those who come later
 *
 * Readers are of one task, of one element, or of an array and so of all its elements. A worker
 * sends output only for attempts that somebody follows. When it is asked, its tail comes first
 * and goes to those for whom it was asked; what follows goes to all, and what a reader has got
 * already is cut off by its offset. Readers are numbered as they come (`serial`), so that
 * "those for whom it was asked" is a number.
 *
 * What is kept is bounded for all tasks together: the oldest goes first.
 */
#ifndef CORE_OUTPUT_H
#define CORE_OUTPUT_H

#include "core.h"
#include "list.h"
#include "stream.h"
#include "task.h"

/* The readers of one task, element or whole array; exists while there are some. */
struct output {
    struct drv_list readers; /* struct subscription.in_source */
    struct task *task;
    uint32_t index; /* DROVER_INDEX_NONE: the task itself or the whole array */
};

/* The last output of the last attempt that reported. */
struct tail {
    struct drv_list link; /* in core->tails, oldest first */
    struct more *more;    /* which owns it */
    uint64_t serial;      /* readers up to this one have been told */
    uint32_t attempt;
    uint32_t piece_count, len;
    struct drv_piece pieces[]; /* then len bytes */
};

/* A lease whose worker was asked for output. */
struct follow {
    uint64_t asked;  /* readers up to this one wanted it when the worker was asked */
    uint64_t served; /* readers up to this one have got the worker's tail */
    bool is_pending; /* the tail is to come, or coming */
    uint64_t end[DRV_OUTPUT_DATA + 1]; /* by stream: offset up to which it has come */
};

/* Become a reader of this; OK or NOMEM. */
DROVER_MUST_USE drover_status output_join(struct core *core, struct subscription *reader,
                                          const struct item *item);
/* It is no reader any more. False: there are no others. */
bool output_leave(struct core *core, struct subscription *reader);
/* What is there already, as far as the window takes it. */
void output_fill(struct core *core, struct subscription *reader);
/* No readers any more: their task is forgotten in this state. */
void output_close(struct core *core, struct output *output, enum drover_state state);

/* The lease goes to its worker. */
void output_given(struct core *core, struct lease *lease);
/* Its worker is back and has forgotten what it was asked. */
void output_attached(struct core *core, struct lease *lease);
/* The lease is nobody's any more. */
void output_taken(struct core *core, struct lease *lease);
/* Streams that somebody reads, for FOLLOW; when there are none, the lease is not followed any
 * more. */
uint32_t output_wanted(struct core *core, struct lease *lease);

/* What the worker sent. */
void output_log(struct core *core, struct lease *lease, const struct drv_log_chunk *log);
/* What came with the result of the attempt; the lease is still held. */
void output_result(struct core *core, struct lease *lease, const struct drv_tail *tail);
/* It has ended. */
void output_ended(struct core *core, const struct item *item);

void tail_drop(struct core *core, struct more *more);

#endif
