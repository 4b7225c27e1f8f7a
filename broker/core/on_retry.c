/*
 * on_retry.c: a new task that does again what an ended one did not do.
 *
 * A task or an element becomes a new task with the same spec and payload; an array becomes an
 * array of its elements that did not succeed, numbered from 0 in the order of their indexes.
 */
#include "admit.h"
#include "broker.h"
#include "handlers.h"

/* Elements that one retry of an array may copy: it is done in one step. */
enum { RETRY_ELEMENTS_MAX = 65536 };

static bool remember_origin(struct core *core, struct task *task, const struct item *origin)
{
    struct more *more = unit_more(core, &task->unit);
    if (more == NULL) {
        return false;
    }
    more->has_retry_of = true;
    more->retry_of = origin->task->id;
    more->retry_of_index = origin->index;
    return true;
}

/* For those who ask for the old one and want the latest result. */
static void remember_retry(struct core *core, const struct item *origin,
                           const drover_id *new_id)
{
    struct more *more = unit_more(core, origin->unit);
    if (more != NULL) {
        more->has_retried_as = true;
        more->retried_as = *new_id;
    }
}

static bool is_retry_of(const struct task *task, const struct item *origin)
{
    const struct more *more = task->unit.more;
    return more != NULL && more->has_retry_of && more->retry_of_index == origin->index &&
           drover_id_equal(&more->retry_of, &origin->task->id);
}

static void record_submit(struct core *core, const struct task *task,
                          const struct session *session)
{
    struct core_record record = {.kind = CORE_RECORD_SUBMIT,
                                 .id = task->id,
                                 .index = DROVER_INDEX_NONE,
                                 .state = task->unit.state,
                                 .session = session->id};
    effects_record(core, &record);
}

static drover_status retry_single(struct core *core, struct session *session,
                                  const struct item *origin, const drover_id *new_id)
{
    struct drv_val val = item_payload(origin);
    struct body *payload = NULL;
    if (!task_is_array(origin->task)) {
        payload = body_ref(origin->task->payload);
    } else if (body_new(core, &val, &payload)) {
        return DROVER_NOMEM;
    }
    struct task *task = task_new(core, new_id, origin->task->spec);
    if (task == NULL || !remember_origin(core, task, origin)) {
        body_release(core, &payload);
        if (task != NULL) {
            task_free(core, task);
        }
        return DROVER_NOMEM;
    }
    task->payload = payload;
    task->payload_len = (uint32_t)body_len(payload);
    task->owner = session->handle;
    task_begin(core, task);
    record_submit(core, task, session);
    return DROVER_OK;
}

static bool element_is_wanted(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    return element != NULL && unit_is_terminal(&element->unit) &&
           element->unit.state != DROVER_STATE_SUCCEEDED;
}

/* Copies the payloads of what did not succeed, a batch at a time. */
static drover_status copy_elements(struct core *core, struct array *to,
                                   const struct array *from)
{
    struct drv_val *vals = effects_alloc(core, DRV_BATCH_MAX, sizeof *vals);
    if (vals == NULL) {
        return DROVER_NOMEM;
    }
    uint32_t count = 0, first = 0;
    for (uint32_t index = 0; index < from->index_end; index++) {
        if (element_is_wanted(from, index)) {
            vals[count++] = element_payload(from, array_element(from, index));
        }
        bool is_last = index + 1 == from->index_end;
        if (count == DRV_BATCH_MAX || (is_last && count > 0)) {
            if (array_add(core, to, first, vals, count)) {
                return DROVER_NOMEM;
            }
            first += count;
            count = 0;
        }
    }
    return DROVER_OK;
}

static drover_status retry_array(struct core *core, struct session *session,
                                 const struct item *origin, const drover_id *new_id)
{
    const struct array *from = origin->task->array;
    if (from->count - from->states[DROVER_STATE_SUCCEEDED] > RETRY_ELEMENTS_MAX) {
        return DROVER_LIMIT;
    }
    struct task *task = task_new(core, new_id, origin->task->spec);
    if (task == NULL) {
        return DROVER_NOMEM;
    }
    struct drv_val with = body_val(from->with);
    if (array_open(core, task, &with)) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    task->owner = session->handle;
    record_submit(core, task, session);
    if (!remember_origin(core, task, origin) || copy_elements(core, task->array, from)) {
        array_cancel(core, task->array, "no memory to retry all elements");
        return DROVER_NOMEM;
    }
    array_seal(core, task->array, task->array->count);
    return DROVER_OK;
}

static drover_status retry_target(struct core *core, struct session *session,
                                  const struct drv_target *target, const char **out_text)
{
    struct item item;
    if (!item_find(core, &target->id, target->index, &item)) {
        *out_text = "no such task";
        return DROVER_UNKNOWN;
    }
    if (!unit_is_terminal(item.unit)) {
        *out_text = "the task has not ended";
        return DROVER_NOT_READY;
    }
    if (item.unit->state == DROVER_STATE_SUCCEEDED) {
        *out_text = "the task has succeeded";
        return DROVER_CONFLICT;
    }
    struct task *known = task_find(core, &target->new_id);
    if (known != NULL || drover_id_is_zero(&target->new_id)) {
        bool is_same = known != NULL && is_retry_of(known, &item);
        *out_text = "the new id is taken";
        return is_same ? DROVER_OK : DROVER_CONFLICT;
    }
    struct admission admission = {0};
    struct drv_val payload = item.index == DROVER_INDEX_NONE && task_is_array(item.task)
                                 ? (struct drv_val){.is_nil = true}
                                 : item_payload(&item);
    drover_status status = admit(core, &admission, session, item.task->spec->line, payload.len,
                                 out_text);
    if (status) {
        return status;
    }
    bool is_array = task_is_array(item.task) && item.index == DROVER_INDEX_NONE;
    status = is_array ? retry_array(core, session, &item, &target->new_id)
                      : retry_single(core, session, &item, &target->new_id);
    if (!status) {
        remember_retry(core, &item, &target->new_id);
    }
    return status;
}

void on_retry(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply)
{
    const struct drv_targets *targets = &message->targets;
    for (size_t i = 0; i < targets->target_count; i++) {
        const char *text = NULL;
        drover_status status = retry_target(core, peer->session, &targets->targets[i], &text);
        if (status) {
            reply_note(reply, i, status, text,
                       drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0);
        }
    }
    reply_answer(core, reply);
}
