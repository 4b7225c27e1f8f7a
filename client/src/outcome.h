/*
 * outcome.h: the object behind drover_outcome, shared by reference.
 *
 * Built once from an entry of RESULTS, or from a status when a task never came to be; never
 * changed afterwards. One piece of memory: the outcome, a short value, the error.
 */
#ifndef DRV_CLIENT_OUTCOME_H
#define DRV_CLIENT_OUTCOME_H

#include "message.h"

#include <drover/outcome.h>

#include <stdatomic.h>

/* What is told beside the kind of an error; mostly there is nothing of it. */
struct drv_outcome_error {
    const char *code; /* NUL-terminated, as what follows */
    const char *text;
    const char *stderr_tail;
    size_t stderr_len;
    int32_t exit_code;
    uint32_t signal;
    uint32_t flags; /* DRV_ERROR_* */
};

/*
 * Memory of outcomes that are no more, for the next ones. One thread at a time takes from it;
 * any thread gives back, also when the client is closed: what it gave out keeps it.
 *
 *     outcome_new ──taken──┐            ┌──push── drover_outcome_destroy
 *                          └─ all of ─ spares
 */
struct drv_outcome_pool {
    atomic_size_t references;         /* its owner, and every outcome out of it */
    _Atomic(drover_outcome *) spares; /* a stack */
    atomic_size_t spare_count;        /* about as many as there are on it */
    drover_outcome *taken;            /* off it; for the taker alone */
};

DROVER_MUST_USE drover_status drv_outcome_pool_new(struct drv_outcome_pool **out_pool);
/* The owner is done with it. */
void drv_outcome_pool_release(struct drv_outcome_pool **pool);

struct drover_outcome {
    atomic_uint references;
    struct drv_outcome_pool *pool; /* shared; NULL: none */
    drover_outcome *next_spare;    /* while spare */
    uint32_t index;
    drover_id id;
    drover_state state;
    uint32_t attempt;
    drover_status status;
    drover_error_kind kind;
    drover_value *value;                   /* owned, or behind this; NULL when there is none */
    const struct drv_outcome_error *error; /* behind this, with its strings; or static */
    uint32_t cost; /* bytes of all of it, for the bound on unread results */
    bool has_placed_value;
};

/* From what the broker pushed; pool may be NULL. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_outcome_new(struct drv_outcome_pool *pool,
                                              const struct drv_outcome *entry,
                                              drover_outcome **out_outcome);

/* For a task that was never taken: state FAILED, kind REFUSED (LOST when the status is), the
 * given status and text. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_outcome_new_refused(const drover_id *id, uint32_t index,
                                                      drover_status status, const char *text,
                                                      drover_outcome **out_outcome);

drover_outcome *drv_outcome_ref(drover_outcome *outcome);

/* The value as an object of its own, NULL when there is none: taken out when nobody else holds
 * the outcome, which has none afterwards; else a copy. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_outcome_take_value(drover_outcome *outcome,
                                                     drover_value **out_value);

/* A terminal state as a status. */
drover_status drv_state_status(drover_state state);

/* A value that came in a message as an object of its own: nil for no value, raw for bytes that
 * are no msgpack. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_value_from_val(const struct drv_val *val,
                                                 drover_value **out_value);

#endif
