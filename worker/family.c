/*
 * family.c: what a job has waited for, tasks that it submits, and waiting for them.
 */
#include "child.h"
#include "clock.h"
#include "job.h"

#include <stdlib.h>
#include <string.h>

/* Between two tries when the broker is busy. */
enum { BUSY_PAUSE_MS = 50 };

/* ---- parents --------------------------------------------------------------------------------
 */

static struct record_parent parent_at(const drover_job *job, size_t position)
{
    struct record_parent parent;
    memcpy(&parent, job->parents.bytes + position * sizeof parent, sizeof parent);
    return parent;
}

size_t drover_job_parent_count(const drover_job *job)
{
    return job->parents.len / sizeof(struct record_parent);
}

bool drover_job_parent(const drover_job *job, size_t position, drover_parent *out_parent)
{
    if (position >= drover_job_parent_count(job)) {
        return false;
    }
    struct record_parent parent = parent_at(job, position);
    *out_parent = (drover_parent){.id = parent.id,
                                  .index = parent.index,
                                  .state = (drover_state)parent.state,
                                  .is_awaited = parent.when == 3};
    return true;
}

bool drover_job_is_resumed(const drover_job *job)
{
    size_t count = drover_job_parent_count(job);
    return count > 0 && parent_at(job, count - 1).when == 3; /* awaited ones come last */
}

static drover_status status_of(int64_t state)
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
    default:
        return DROVER_LOST;
    }
}

drover_status drover_job_fetch(drover_job *job, const drover_id *id, uint32_t index,
                               uint64_t timeout_ms, drover_value **out_value)
{
    const struct record_fetch fetch = {.id = *id, .index = index};
    struct record_kv request = {.kind = RECORD_KV,
                                .op = POOL_ASK_FETCH,
                                .serial = job->task.serial,
                                .timeout_ms = timeout_ms};
    struct executor_answer answer = {.value = NULL};
    if (job->executor == NULL) {
        return DROVER_UNAVAILABLE;
    }
    drover_status status = executor_ask(job->executor, &request,
                                        drv_view_of(&fetch, sizeof fetch), NULL, &answer);
    if (!status) {
        status = answer.status;
    }
    if (!status && answer.value == NULL) {
        status = drover_value_new_nil(&answer.value);
    }
    if (status) {
        drover_value_destroy(&answer.value);
        return status;
    }
    *out_value = answer.value;
    return status_of(answer.number);
}

drover_status drover_job_parent_result(drover_job *job, size_t position, uint64_t timeout_ms,
                                       drover_value **out_value)
{
    drover_parent parent;
    if (!drover_job_parent(job, position, &parent)) {
        return DROVER_UNKNOWN;
    }
    return drover_job_fetch(job, &parent.id, parent.index, timeout_ms, out_value);
}

/* ---- children -------------------------------------------------------------------------------
 */

drover_id drover_job_child_id(const drover_job *job, uint64_t n)
{
    return drover_child_id(&job->task.id, job->task.index, n);
}

static drover_status submit_once(drover_job *job, struct drv_view child,
                                 const drover_value *payload, uint64_t timeout_ms)
{
    struct record_kv request = {.kind = RECORD_KV,
                                .op = POOL_ASK_SUBMIT,
                                .serial = job->task.serial,
                                .timeout_ms = timeout_ms};
    struct executor_answer answer = {.value = NULL};
    drover_status status = executor_ask(job->executor, &request, child, payload, &answer);
    if (status) {
        return status;
    }
    drover_value_destroy(&answer.value);
    return answer.status;
}

/* A broker that is busy is asked again until the time is over. */
static drover_status submit(drover_job *job, struct drv_view child, const drover_value *payload,
                            uint64_t timeout_ms)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    int64_t until_us = timeout_ms < (uint64_t)(INT64_MAX - now_us) / 1000U
                           ? now_us + (int64_t)timeout_ms * 1000
                           : INT64_MAX;
    for (;;) {
        int64_t left_us = until_us - (int64_t)drv_clock_now_us();
        uint64_t left_ms = left_us > 1000 ? (uint64_t)left_us / 1000 : 1;
        drover_status status = submit_once(job, child, payload, left_ms);
        if (!drover_status_is_retryable(status) || left_us <= BUSY_PAUSE_MS * INT64_C(1000)) {
            return status;
        }
        status = drover_job_sleep_ms(job, BUSY_PAUSE_MS);
        if (status) {
            return status;
        }
    }
}

drover_status drover_job_submit(drover_job *job, uint64_t n, const char *type,
                                const drover_value *payload,
                                const drover_child_options *options, uint64_t timeout_ms,
                                drover_id *out_id)
{
    static const drover_child_options defaults = DROVER_CHILD_OPTIONS_INIT;
    drover_child_options all = defaults;
    if (options != NULL) {
        memcpy(&all, options, options->size < sizeof all ? options->size : sizeof all);
    }
    drover_id id = drover_job_child_id(job, n);
    struct drv_buffer child;
    drv_buffer_init(&child);
    drover_status status = child_write(&child, type, &all, &id);
    if (!status) {
        status = job->executor == NULL
                     ? DROVER_UNAVAILABLE
                     : submit(job, drv_buffer_view(&child), payload, timeout_ms);
    }
    drv_buffer_fini(&child);
    if (!status && out_id != NULL) {
        *out_id = id;
    }
    return status;
}

/* The ids, and a byte of flags behind them when there are any (session_send.c). */
static drover_status await(drover_job *job, const drover_id *ids, size_t count, uint8_t flags)
{
    drover_value *awaited = NULL;
    drover_id room[DROVER_JOB_AWAIT_MAX + 1];
    if (count == 0 || count > DROVER_JOB_AWAIT_MAX) {
        return drover_job_fail_permanent(job, "invalid", "a job awaits 1 to %d tasks, not %zu",
                                         DROVER_JOB_AWAIT_MAX, count);
    }
    memcpy(room, ids, count * sizeof *ids);
    room[count].bytes[0] = flags;
    size_t len = count * sizeof *ids + (flags != 0);
    if (drover_value_new_raw(room, len, "application/octet-stream", &awaited)) {
        return DROVER_NOMEM;
    }
    drover_value_destroy(&job->awaited);
    job->awaited = awaited;
    return DROVER_NOT_READY;
}

drover_status drover_job_await(drover_job *job, const drover_id *ids, size_t count)
{
    return await(job, ids, count, 0);
}

drover_status drover_job_await_owned(drover_job *job, const drover_id *ids, size_t count)
{
    return await(job, ids, count, DRV_AWAIT_ALONG);
}
