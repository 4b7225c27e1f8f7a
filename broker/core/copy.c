#include "copy.h"

#include "admit.h"
#include "broker.h"
#include "check.h"

struct copy {
    struct sweep sweep; /* at: index in the old array */
    drover_id from, to;
    size_t position; /* of the target in the request */
};

/* The elements of one run of the new array. */
struct batch {
    struct drv_val *vals;
    uint32_t count;
    struct admission admission;
};

uint32_t copy_count(const struct array *from)
{
    uint32_t succeeded = from->states[DROVER_STATE_SUCCEEDED];
    return from->keeps_payloads ? from->count : from->count - succeeded - from->retried;
}

static struct array *find_array(const struct core *core, const drover_id *id)
{
    struct task *task = task_find(core, id);
    return task != NULL && task_is_array(task) ? task->array : NULL;
}

/* The open copy; NULL when it is gone: its id may mean something else by now. */
static struct array *copy_target(const struct core *core, const drover_id *from,
                                 const drover_id *id)
{
    struct array *to = find_array(core, id);
    const struct more *more = to == NULL ? NULL : to->task->unit.more;
    bool is_ours = more != NULL && more->has_retry_of && drover_id_equal(&more->retry_of, from);
    return is_ours && !to->is_sealed ? to : NULL;
}

bool copy_goes_on(const struct core *core, const struct array *from)
{
    const struct more *more = from->task->unit.more;
    const struct array *to = more == NULL || !more->has_retried_as
                                 ? NULL
                                 : copy_target(core, &from->task->id, &more->retried_as);
    return to != NULL && !to->is_cancelled;
}

static void copy_end(struct core *core, struct copy *copy, drover_status status,
                     const char *text)
{
    DRV_LIST_EACH(link, &copy->sweep.waiters)
    {
        struct reply *reply = DRV_LIST_ITEM(link, struct waiter, in_cause)->reply;
        if (status) {
            reply_note(reply, copy->position, status, text,
                       drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0);
        }
    }
    sweep_done(core, &copy->sweep);
    core_free(core, copy, sizeof *copy);
}

static drover_status batch_flush(struct core *core, struct batch *batch, struct array *to)
{
    uint32_t count = batch->count;
    batch->count = 0;
    batch->admission.pending_count = 0;
    batch->admission.pending_bytes = 0;
    return count == 0 ? DROVER_OK : array_add(core, to, to->count, batch->vals, count);
}

static drover_status batch_take(struct core *core, struct batch *batch, struct array *to,
                                const struct drv_val *val, const char **out_text)
{
    const struct line *line = to->task->spec->line;
    struct session *session = session_by_handle(core, to->task->owner);
    uint64_t bytes = val->is_nil ? 0 : val->len;
    drover_status status = admit(core, &batch->admission, session, line, bytes, out_text);
    if (status) {
        return status;
    }
    batch->vals[batch->count++] = *val;
    batch->admission.pending_count++;
    batch->admission.pending_bytes += bytes;
    return batch->count == DRV_BATCH_MAX ? batch_flush(core, batch, to) : DROVER_OK;
}

static bool is_to_copy(const struct array *from, uint32_t index)
{
    const struct element *element = array_element(from, index);
    if (element == NULL) {
        return array_run(from, index) != NULL;
    }
    const struct more *more = element->unit.more;
    bool is_retried = more != NULL && more->has_retried_as;
    return from->keeps_payloads ||
           (element->unit.state != DROVER_STATE_SUCCEEDED && !is_retried);
}

/* A slice: up to `budget` elements of the old array. */
static drover_status copy_slice(struct core *core, struct copy *copy, const struct array *from,
                                struct array *to, uint32_t budget, const char **out_text)
{
    struct batch batch = {
        .vals = effects_alloc(core, DRV_BATCH_MAX, sizeof *batch.vals),
        .admission = {.is_copy = true, .is_again = true, .account = to->task->spec->account},
    };
    if (batch.vals == NULL) {
        return DROVER_NOMEM;
    }
    for (; budget > 0 && copy->sweep.at < from->index_end; budget--) {
        uint32_t index = (uint32_t)copy->sweep.at++;
        if (!is_to_copy(from, index)) {
            continue;
        }
        struct drv_val val = array_payload(from, index);
        drover_status status = batch_take(core, &batch, to, &val, out_text);
        if (status) {
            return status;
        }
    }
    return batch_flush(core, &batch, to);
}

static void copy_step(struct core *core, struct sweep *sweep, uint32_t budget)
{
    struct copy *copy = DRV_CONTAINER_OF(sweep, struct copy, sweep);
    struct array *from = find_array(core, &copy->from);
    struct array *to = copy_target(core, &copy->from, &copy->to);
    const char *text = NULL;
    if (to == NULL) {
        copy_end(core, copy, DROVER_CANCELLED, "the new array was cancelled");
        return;
    }
    drover_status status = DROVER_OK;
    if (from == NULL) {
        status = DROVER_UNKNOWN;
        text = "the array was forgotten while it was copied";
    } else {
        status = copy_slice(core, copy, from, to, budget, &text);
    }
    if (status) {
        array_cancel(core, to, "the array that it retries could not be copied");
        copy_end(core, copy, status, text);
    } else if (copy->sweep.at >= from->index_end) {
        array_seal(core, to, to->count);
        copy_end(core, copy, DROVER_OK, NULL);
    }
}

/* Where the first `count` that are to be copied end. */
static uint64_t index_after(const struct array *from, uint32_t count)
{
    uint32_t index = 0;
    for (; count > 0 && index < from->index_end; index++) {
        count -= is_to_copy(from, index);
    }
    return index;
}

void copy_resume(struct core *core, struct array *to)
{
    const struct more *more = to->task->unit.more;
    const struct array *from = find_array(core, &more->retry_of);
    struct copy *copy = from == NULL ? NULL : core_alloc(core, sizeof *copy);
    if (copy == NULL) {
        array_cancel(core, to, "the array that it retries could not be copied");
        return;
    }
    sweep_init(&copy->sweep, copy_step);
    copy->from = more->retry_of;
    copy->to = to->task->id;
    copy->sweep.at = index_after(from, to->count);
    sweep_start(core, &copy->sweep);
}

drover_status copy_start(struct core *core, const struct array *from, const struct array *to,
                         struct reply *reply, size_t position)
{
    struct copy *copy = core_alloc(core, sizeof *copy);
    if (copy == NULL) {
        return DROVER_NOMEM;
    }
    sweep_init(&copy->sweep, copy_step);
    if (!reply_wait(core, reply, &copy->sweep.waiters)) {
        core_free(core, copy, sizeof *copy);
        return DROVER_NOMEM;
    }
    copy->from = from->task->id;
    copy->to = to->task->id;
    copy->position = position;
    sweep_start(core, &copy->sweep);
    return DROVER_OK;
}
