#include "outcome.h"

#include "check.h"
#include "reader.h"
#include "value_place.h"
#include "value_share.h"

#include <stdlib.h>
#include <string.h>

#define OUTCOME_RAW_TYPE "application/octet-stream"
/* Longer values have memory of their own, so that they can be taken out without a copy. */
#define OUTCOME_PLACED_MAX 1024
/* Outcomes of up to this size come out of the pool, which keeps so many. */
#define OUTCOME_POOLED_SIZE 256
#define OUTCOME_SPARES_MAX 4096

drover_status drv_state_status(drover_state state)
{
    switch (state) {
    case DROVER_STATE_SUCCEEDED:
        return DROVER_OK;
    case DROVER_STATE_FAILED:
        return DROVER_FAILED;
    case DROVER_STATE_CANCELLED:
        return DROVER_CANCELLED;
    case DROVER_STATE_EXPIRED:
        return DROVER_EXPIRED;
    case DROVER_STATE_LOST:
        return DROVER_LOST;
    case DROVER_STATE_WAITING:
    case DROVER_STATE_DELAYED:
    case DROVER_STATE_QUEUED:
    case DROVER_STATE_RUNNING:
        return DROVER_NOT_READY;
    }
    return DROVER_PROTOCOL;
}

/* type NULL: msgpack. What has come as chunks is not copied again. */
static drover_status value_of(const struct drv_val *val, const char *type,
                              drover_value **out_value)
{
    if (val->data != NULL && val->bytes == val->data->bytes && val->len == val->data->len) {
        return drv_value_from_data(val->data, type, out_value);
    }
    return type == NULL ? drover_value_from_msgpack(val->bytes, val->len, out_value)
                        : drover_value_new_raw(val->bytes, val->len, type, out_value);
}

static drover_status value_from_raw(const struct drv_val *val, drover_value **out_value)
{
    char type[DROVER_CONTENT_TYPE_MAX + 1];
    const struct drv_str *given = &val->content_type;
    if (given->ptr != NULL && given->len > 0 && given->len < sizeof(type)) {
        memcpy(type, given->ptr, given->len);
        type[given->len] = '\0';
        drover_status status = value_of(val, type, out_value);
        if (status != DROVER_INVALID) {
            return status;
        }
    }
    return value_of(val, OUTCOME_RAW_TYPE, out_value);
}

drover_status drv_value_from_val(const struct drv_val *val, drover_value **out_value)
{
    if (val->is_nil) {
        return drover_value_new_nil(out_value);
    }
    if (val->content_type.ptr == NULL) {
        drover_status status = value_of(val, NULL, out_value);
        if (status != DROVER_MALFORMED && status != DROVER_LIMIT) {
            return status;
        }
    }
    return value_from_raw(val, out_value);
}

static const struct drv_outcome_error NO_ERROR = {
    .code = "", .text = "", .stderr_tail = "", .exit_code = -1};

static const char *put(char **at, struct drv_str str)
{
    char *start = *at;
    if (str.len > 0) {
        memcpy(start, str.ptr, str.len);
    }
    start[str.len] = '\0';
    *at = start + str.len + 1;
    return start;
}

static bool says_nothing(const struct drv_error *error)
{
    return error->code.len == 0 && error->text.len == 0 && error->stderr_tail.len == 0 &&
           error->exit_code == -1 && error->signal == 0 && error->flags == 0;
}

static size_t error_size(const struct drv_error *error)
{
    return says_nothing(error) ? 0
                               : sizeof(struct drv_outcome_error) + error->code.len +
                                     error->text.len + error->stderr_tail.len + 3;
}

static const struct drv_outcome_error *put_error(char *memory, const struct drv_error *error)
{
    if (says_nothing(error)) {
        return &NO_ERROR;
    }
    struct drv_outcome_error *own = (struct drv_outcome_error *)(void *)memory;
    char *at = memory + sizeof(*own);
    own->code = put(&at, error->code);
    own->text = put(&at, error->text);
    own->stderr_tail = put(&at, error->stderr_tail);
    own->stderr_len = error->stderr_tail.len;
    own->exit_code = error->exit_code;
    own->signal = error->signal;
    own->flags = error->flags;
    return own;
}

/* ---- memory ------------------------------------------------------------------------------ */

drover_status drv_outcome_pool_new(struct drv_outcome_pool **out_pool)
{
    struct drv_outcome_pool *pool = malloc(sizeof(*pool));
    if (pool == NULL) {
        return DROVER_NOMEM;
    }
    atomic_init(&pool->references, 1);
    atomic_init(&pool->spares, NULL);
    atomic_init(&pool->spare_count, 0);
    pool->taken = NULL;
    *out_pool = pool;
    return DROVER_OK;
}

static void free_stack(drover_outcome *top)
{
    while (top != NULL) {
        drover_outcome *next = top->next_spare;
        free(top);
        top = next;
    }
}

void drv_outcome_pool_release(struct drv_outcome_pool **pool)
{
    struct drv_outcome_pool *p = *pool;
    *pool = NULL;
    if (p != NULL && atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) == 1) {
        free_stack(atomic_load_explicit(&p->spares, memory_order_relaxed));
        free_stack(p->taken);
        free(p);
    }
}

/* Memory out of the pool. All spares are taken at once: popping one would need its successor,
 * which may be another one by then. */
static drover_outcome *pool_take(struct drv_outcome_pool *pool)
{
    if (pool->taken == NULL) {
        pool->taken = atomic_exchange_explicit(&pool->spares, NULL, memory_order_acquire);
        atomic_store_explicit(&pool->spare_count, 0, memory_order_relaxed);
    }
    drover_outcome *outcome = pool->taken;
    if (outcome != NULL) {
        pool->taken = outcome->next_spare;
    } else {
        outcome = malloc(OUTCOME_POOLED_SIZE);
    }
    if (outcome != NULL) {
        (void)atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
    }
    return outcome;
}

static void outcome_free(drover_outcome *outcome)
{
    struct drv_outcome_pool *pool = outcome->pool;
    if (pool == NULL) {
        free(outcome);
        return;
    }
    if (atomic_load_explicit(&pool->spare_count, memory_order_relaxed) >= OUTCOME_SPARES_MAX) {
        free(outcome);
    } else {
        (void)atomic_fetch_add_explicit(&pool->spare_count, 1, memory_order_relaxed);
        outcome->next_spare = atomic_load_explicit(&pool->spares, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&pool->spares, &outcome->next_spare,
                                                      outcome, memory_order_release,
                                                      memory_order_relaxed)) {
        }
    }
    drv_outcome_pool_release(&pool);
}

/* With `room` bytes right behind it, and the error behind these. */
static drover_outcome *outcome_alloc(struct drv_outcome_pool *pool,
                                     const struct drv_error *error, size_t room)
{
    size_t rounded = (room + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    size_t size = sizeof(drover_outcome) + rounded + error_size(error);
    bool is_pooled = pool != NULL && size <= OUTCOME_POOLED_SIZE;
    drover_outcome *outcome = is_pooled ? pool_take(pool) : malloc(size);
    if (outcome == NULL) {
        return NULL;
    }
    memset(outcome, 0, sizeof(*outcome));
    atomic_init(&outcome->references, 1);
    outcome->pool = is_pooled ? pool : NULL;
    outcome->error = put_error((char *)(outcome + 1) + rounded, error);
    outcome->cost = (uint32_t)size;
    return outcome;
}

/* The kind that goes with a state when the broker gave none. */
static drover_error_kind kind_of(const struct drv_outcome *entry)
{
    if (entry->error.kind != 0) {
        return (drover_error_kind)entry->error.kind;
    }
    switch ((drover_state)entry->state) {
    case DROVER_STATE_FAILED:
        return DROVER_ERROR_HANDLER;
    case DROVER_STATE_CANCELLED:
        return DROVER_ERROR_CANCELLED;
    case DROVER_STATE_EXPIRED:
        return DROVER_ERROR_EXPIRED;
    case DROVER_STATE_LOST:
        return DROVER_ERROR_LOST;
    case DROVER_STATE_WAITING:
    case DROVER_STATE_DELAYED:
    case DROVER_STATE_QUEUED:
    case DROVER_STATE_RUNNING:
    case DROVER_STATE_SUCCEEDED:
        break;
    }
    return DROVER_ERROR_NONE;
}

/* Whether the value is msgpack, and short enough to lie in the outcome. */
static bool is_placeable(const struct drv_val *val)
{
    return !val->is_nil && val->content_type.ptr == NULL && val->len <= OUTCOME_PLACED_MAX &&
           drv_validate(val->bytes, val->len, &DRV_VALIDATE_VALUE) == DROVER_OK;
}

drover_status drv_outcome_new(struct drv_outcome_pool *pool, const struct drv_outcome *entry,
                              drover_outcome **out_outcome)
{
    struct drv_error error = entry->error;
    if (error.kind == 0) {
        error.exit_code = -1;
        if (entry->state == DROVER_STATE_LOST) {
            error.text = drv_str_of("the broker restarted and had not kept this task");
        }
    }
    bool is_placed = is_placeable(&entry->val);
    drover_outcome *outcome = outcome_alloc(
        pool, &error, is_placed ? drv_value_place_size(entry->val.len) : 0);
    if (outcome == NULL) {
        return DROVER_NOMEM;
    }
    outcome->id = entry->id;
    outcome->index = entry->index;
    outcome->state = (drover_state)entry->state;
    outcome->attempt = entry->attempt;
    outcome->status = drv_state_status(outcome->state);
    outcome->kind = kind_of(entry);
    if (is_placed) {
        outcome->has_placed_value = true;
        outcome->value = drv_value_place(outcome + 1, entry->val.bytes, entry->val.len);
    } else if (outcome->status == DROVER_OK || !entry->val.is_nil) {
        drover_status status = drv_value_from_val(&entry->val, &outcome->value);
        if (status != DROVER_OK) {
            drover_outcome_destroy(&outcome);
            return status;
        }
        outcome->cost += (uint32_t)entry->val.len;
    } else {
        /* it has none */
    }
    *out_outcome = outcome;
    return DROVER_OK;
}

drover_status drv_outcome_new_refused(const drover_id *id, uint32_t index, drover_status status,
                                      const char *text, drover_outcome **out_outcome)
{
    struct drv_error error = {.exit_code = -1, .text = drv_str_of(text)};
    drover_outcome *outcome = outcome_alloc(NULL, &error, 0);
    if (outcome == NULL) {
        return DROVER_NOMEM;
    }
    outcome->id = *id;
    outcome->index = index;
    outcome->status = status;
    bool lost = status == DROVER_LOST || status == DROVER_OUTCOME_UNKNOWN;
    outcome->state = status == DROVER_LOST        ? DROVER_STATE_LOST
                     : status == DROVER_CANCELLED ? DROVER_STATE_CANCELLED
                                                  : DROVER_STATE_FAILED;
    outcome->kind = lost                         ? DROVER_ERROR_LOST
                    : status == DROVER_CANCELLED ? DROVER_ERROR_CANCELLED
                                                 : DROVER_ERROR_REFUSED;
    *out_outcome = outcome;
    return DROVER_OK;
}

drover_outcome *drv_outcome_ref(drover_outcome *outcome)
{
    if (outcome != NULL) {
        atomic_fetch_add_explicit(&outcome->references, 1, memory_order_relaxed);
    }
    return outcome;
}

static bool is_alone(const drover_outcome *outcome)
{
    return atomic_load_explicit(&outcome->references, memory_order_acquire) == 1;
}

void drover_outcome_destroy(drover_outcome **outcome)
{
    if (outcome == NULL || *outcome == NULL) {
        return;
    }
    drover_outcome *last = *outcome;
    *outcome = NULL;
    /* Who holds the only reference need not count: nobody else can make another one. */
    if (is_alone(last) ||
        atomic_fetch_sub_explicit(&last->references, 1, memory_order_acq_rel) == 1) {
        if (!last->has_placed_value) {
            drover_value_destroy(&last->value);
        }
        outcome_free(last);
    }
}

drover_status drv_outcome_take_value(drover_outcome *outcome, drover_value **out_value)
{
    if (outcome->value != NULL && (outcome->has_placed_value || !is_alone(outcome))) {
        return drover_value_copy(outcome->value, out_value);
    }
    *out_value = outcome->value;
    outcome->value = NULL;
    return DROVER_OK;
}

drover_id drover_outcome_id(const drover_outcome *outcome)
{
    return outcome->id;
}

uint32_t drover_outcome_index(const drover_outcome *outcome)
{
    return outcome->index;
}

drover_state drover_outcome_state(const drover_outcome *outcome)
{
    return outcome->state;
}

uint32_t drover_outcome_attempt(const drover_outcome *outcome)
{
    return outcome->attempt;
}

drover_status drover_outcome_status(const drover_outcome *outcome)
{
    return outcome->status;
}

const drover_value *drover_outcome_value(const drover_outcome *outcome)
{
    return outcome->value;
}

drover_error_kind drover_outcome_error_kind(const drover_outcome *outcome)
{
    return outcome->kind;
}

const char *drover_outcome_error_code(const drover_outcome *outcome)
{
    return outcome->error->code;
}

const char *drover_outcome_error_text(const drover_outcome *outcome)
{
    return outcome->error->text;
}

int drover_outcome_exit_code(const drover_outcome *outcome)
{
    return outcome->error->exit_code;
}

int drover_outcome_signal(const drover_outcome *outcome)
{
    return (int)outcome->error->signal;
}

bool drover_outcome_is_permanent(const drover_outcome *outcome)
{
    return (outcome->error->flags & DRV_ERROR_PERMANENT) != 0;
}

bool drover_outcome_is_unconfirmed(const drover_outcome *outcome)
{
    return (outcome->error->flags & DRV_ERROR_UNCONFIRMED) != 0;
}

void drover_outcome_stderr(const drover_outcome *outcome, const void **out_bytes,
                           size_t *out_len)
{
    *out_bytes = outcome->error->stderr_tail;
    *out_len = outcome->error->stderr_len;
}
