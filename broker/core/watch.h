/*
 * watch.h: who is told when something ends.
 *
 * The owner of a task watches it by a flag in the task. Every other watch is an object. Results
 * stay with their tasks: what waits for a client that does not read are links, and the client's
 * credit bounds what is in flight.
 *
 * A watch of a whole array follows the order in which elements ended: it is a position in that
 * order.
 */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "task.h"

enum {
    WATCH_STATES = 1,  /* without values */
    WATCH_RELEASE = 2, /* forget once settled */
};

struct watch {
    uint64_t serial; /* tells it from an earlier one on the same target */
    struct session *session;
    struct task *task;
    uint32_t index; /* DROVER_INDEX_NONE of an array: all elements, then the array */
    uint8_t flags;
    bool is_ready;              /* in ready_watches or in a flight */
    struct drv_list in_unit;    /* more->watches or array->watches */
    struct drv_list all;        /* session->watches */
    struct drv_list in_session; /* ready_watches or a flight; itself when idle */
    uint32_t sent;              /* arrays: ended elements that were put into messages */
    uint32_t settled;           /* arrays: ended elements that were settled */
    bool last_sent;             /* arrays: the entry of the array itself */
};

/* Part of an array in a RESULTS message. */
struct piece {
    struct drv_list link; /* in flight->pieces */
    drover_id id;
    uint64_t serial;     /* of the watch */
    uint32_t from, upto; /* in the order in which elements ended */
    bool has_last;       /* the array itself was in it */
};

/* A target that a restart took. */
struct loss {
    struct drv_list link; /* in session->ready_losses or flight->losses */
    drover_id id;
    uint32_t index;
    uint32_t level;
};

/* Watch a task, an element or an array. OK, UNKNOWN (an element whose result was dropped) or
 * NOMEM. */
DROVER_MUST_USE drover_status watch_add(struct core *core, struct session *session,
                                        const struct item *item, uint8_t flags);
DROVER_MUST_USE drover_status watch_add_lost(struct core *core, struct session *session,
                                             const struct drv_target *target);
void watch_remove(struct core *core, struct session *session, const struct item *item);
void watch_free(struct core *core, struct watch *watch);

/* It has ended in an earlier life: its owner, if it waits for it and still is, gets it. */
void watch_restore(struct core *core, struct task *task);
/* The submitting session wants the result. */
void watch_own(struct core *core, struct task *task, struct session *session, uint32_t flags);

/* It has ended. */
void watch_ended(struct core *core, const struct item *item);
/* An element has ended: those who watch the array. */
void watch_array(struct core *core, struct array *array, uint32_t count);
/* Nobody is to be told any more: the task is about to be forgotten. */
void watch_drop_task(struct core *core, struct task *task);
void watch_drop_unit(struct core *core, struct unit *unit);
/* Whether somebody has not got the result yet, or may still ask for it since it waited for it.
 */
bool watch_is_pending(const struct task *task);

/* Send what may be sent to a client. */
void watch_flush(struct core *core, struct session *session);
/* A RESULTS message was settled, or its connection is gone. */
void watch_settle(struct core *core, struct session *session, struct flight *flight);
void watch_revert(struct core *core, struct session *session, struct flight *flight);
/* All that the session watches. */
void watch_end_session(struct core *core, struct session *session);

#endif
