#include "bridge.h"

#include "check.h"
#include "data.h"
#include "record.h"

#include <stdlib.h>

/* ---- from the pool --------------------------------------------------------------------------
 */

static struct drv_str text_of(struct drv_view view)
{
    return (struct drv_str){(const char *)view.bytes, view.len};
}

static struct drv_val val_of(const struct pool_value *value)
{
    if (value->data == NULL) {
        return (struct drv_val){.is_nil = true};
    }
    struct drv_val val = {
        .bytes = value->view.bytes, .len = value->view.len, .data = value->data};
    if (value->content_type.len > 0) {
        val.content_type = text_of(value->content_type);
    }
    return val;
}

static void on_finished(struct worker_bridge *bridge, const struct pool_event *event,
                        int64_t now_us)
{
    struct drv_result result = {
        .outcome = (uint32_t)event->finished.outcome,
        .val = val_of(&event->finished.value),
        .error = {.kind = (uint32_t)event->finished.error_kind,
                  .code = text_of(event->finished.code),
                  .text = text_of(event->finished.text),
                  .exit_code = event->finished.exit_code,
                  .signal = event->finished.signal,
                  .flags = event->finished.permanent ? DRV_ERROR_PERMANENT : 0,
                  .stderr_tail = text_of(event->finished.stderr_tail)},
        .run_us = event->finished.run_us,
        .has_usage = event->finished.has_usage,
        .usage = {.user_us = event->finished.usage.user_us,
                  .system_us = event->finished.usage.system_us,
                  .peak_rss_bytes = event->finished.usage.peak_rss_bytes,
                  .pid = event->finished.usage.pid,
                  .kept = event->finished.usage.kept},
    };
    worker_session_task_finished(bridge->session, event->token, &result, now_us);
}

static void on_part(struct worker_bridge *bridge, const struct pool_event *event,
                    int64_t now_us)
{
    struct drv_result result = {
        .outcome = DRV_OUTCOME_SUCCEEDED,
        .val = {.bytes = event->part.bytes.bytes,
                .len = event->part.bytes.len,
                .data = event->part.data},
        .error = {.exit_code = -1},
        .run_us = event->part.run_us,
        .has_usage = event->part.usage.pid != 0,
        .usage = {.user_us = event->part.usage.user_us,
                  .system_us = event->part.usage.system_us,
                  .peak_rss_bytes = event->part.usage.peak_rss_bytes,
                  .pid = event->part.usage.pid},
        .range = {event->part.count, text_of(event->part.lengths)},
    };
    worker_session_task_part(bridge->session, event->token, &result, now_us);
}

static void on_returned(struct worker_bridge *bridge, const struct pool_event *event,
                        int64_t now_us)
{
    if (event->returned.how == POOL_RETURN_UNSTARTED) {
        worker_session_task_returned(bridge->session, event->token, now_us);
    } else {
        worker_session_task_interrupted(bridge->session, event->token,
                                        event->returned.how == POOL_RETURN_LOST, now_us);
    }
}

static void on_kv(struct worker_bridge *bridge, const struct pool_event *event, int64_t now_us)
{
    const struct drv_kv kv = {
        .op = (uint32_t)event->kv.op,
        .key = text_of(event->kv.key),
        .val = val_of(&event->kv.value),
        .number = event->kv.number,
        .ttl_ms = event->kv.ttl_ms,
    };
    worker_session_task_kv(bridge->session, event->token, event->kv.request, &kv,
                           event->kv.timeout_ms, now_us);
}

struct pool_visit {
    struct worker_bridge *bridge;
    int64_t now_us;
};

static void on_pool_event(void *context, const struct pool_event *event)
{
    const struct pool_visit *visit = context;
    struct worker_bridge *bridge = visit->bridge;
    switch (event->kind) {
    case POOL_STARTED:
        worker_session_task_started(bridge->session, event->token, visit->now_us);
        return;
    case POOL_FINISHED:
        on_finished(bridge, event, visit->now_us);
        return;
    case POOL_RETURNED:
        on_returned(bridge, event, visit->now_us);
        return;
    case POOL_PROGRESS:
        worker_session_task_progress(bridge->session, event->token, event->progress.permille,
                                     text_of(event->progress.text), visit->now_us);
        return;
    case POOL_KV:
        on_kv(bridge, event, visit->now_us);
        return;
    case POOL_OUTPUT:
        worker_session_task_output(bridge->session, event->token,
                                   (enum drv_output)event->output.stream, event->output.missed,
                                   text_of(event->output.bytes));
        return;
    case POOL_PART:
        on_part(bridge, event, visit->now_us);
        return;
    case POOL_REST:
        worker_session_task_rest(bridge->session, event->token, event->rest.index,
                                 visit->now_us);
        return;
    }
}

void worker_bridge_poll(struct worker_bridge *bridge, int64_t now_us)
{
    struct pool_visit visit = {bridge, now_us};
    if (bridge->is_gone ||
        pool_poll(bridge->pool, now_us, on_pool_event, &visit) == DROVER_OK) {
        return;
    }
    /* What became of its leases is told to the broker before the end. */
    drv_log_error(bridge->log, "the executors are gone");
    bridge->is_gone = true;
    worker_session_drain(bridge->session, now_us);
    worker_session_drain(bridge->session, now_us);
}

/* ---- to the pool ----------------------------------------------------------------------------
 */

static void echo(struct worker_bridge *bridge, uint64_t key, uint32_t index,
                 drover_status refused)
{
    if (bridge->echo_count == bridge->echo_capacity) {
        size_t capacity = bridge->echo_capacity == 0 ? 64 : bridge->echo_capacity * 2;
        struct worker_echo *echoes = realloc(bridge->echoes, capacity * sizeof *echoes);
        if (echoes == NULL) {
            bridge->is_broke = true;
            return;
        }
        bridge->echoes = echoes;
        bridge->echo_capacity = capacity;
    }
    bridge->echoes[bridge->echo_count++] = (struct worker_echo){key, index, refused};
}

static struct pool_value value_of(const struct drv_val *val)
{
    struct pool_value value = {0};
    if (!val->is_nil) {
        DRV_ASSERT(val->data != NULL);
        value.data = val->data;
        value.view = drv_view_of(val->bytes, val->len);
        value.content_type = drv_view_of(val->content_type.ptr, val->content_type.len);
    }
    return value;
}

/* For the way to the executor. NULL when there are none, or no memory. */
static struct record_parent *parents_of(const struct worker_task *task)
{
    struct record_parent *parents = calloc(task->parent_count + 1, sizeof *parents);
    for (size_t i = 0; parents != NULL && i < task->parent_count; i++) {
        const struct drv_parent *parent = &task->parents[i];
        parents[i].id = parent->id;
        parents[i].index = parent->index;
        parents[i].when = (uint8_t)parent->when;
        parents[i].state = (uint8_t)parent->state;
    }
    return parents;
}

static void run(struct worker_bridge *bridge, const struct worker_task *task)
{
    struct record_parent *parents = task->parent_count == 0 ? NULL : parents_of(task);
    const struct pool_attempt attempt = {
        .token = task->key,
        .id = task->ref.id,
        .index = task->ref.index,
        .attempt = task->ref.attempt,
        .type = drv_view_of(task->type.ptr, task->type.len),
        .meta = drv_view_of(task->meta.ptr, task->meta.len),
        .needs = task->needs,
        .parents = parents,
        .parent_count = parents == NULL ? 0 : task->parent_count,
        .payload = value_of(&task->val),
        .shared = value_of(&task->shared),
        .timeout_ms = task->timeout_ms,
        .term_ms = task->term_ms,
        .kill_ms = task->kill_ms,
        .limits = task->limits,
        .is_alone = task->is_suspect,
        .count = task->range.count,
        .lengths = {.data = task->lengths,
                    .view = drv_view_of(task->range.lengths.ptr, task->range.lengths.len)},
    };
    drover_status status = bridge->is_gone ? DROVER_CLOSED
                                           : pool_submit(bridge->pool, &attempt);
    if (parents == NULL && task->parent_count > 0) {
        bridge->is_broke = true; /* it must not run without knowing them */
    }
    free(parents);
    if (status != DROVER_OK) {
        echo(bridge, task->key, 0, status);
    }
}

static void answer(struct worker_bridge *bridge, const struct worker_answer *answer)
{
    struct pool_value value = {0};
    struct drv_data *copy = NULL;
    drover_status status = (drover_status)answer->code;
    if (!answer->val.is_nil && answer->val.data == NULL) {
        if (drv_data_copy(answer->val.bytes, answer->val.len, &copy) == DROVER_OK) {
            value.data = copy;
            value.view = drv_data_view(copy);
            value.content_type = drv_view_of(answer->val.content_type.ptr,
                                             answer->val.content_type.len);
        } else {
            status = DROVER_NOMEM;
        }
    } else {
        value = value_of(&answer->val);
    }
    pool_kv_reply(bridge->pool, answer->call, status, &value, answer->number);
    drv_data_unref(&copy);
}

void worker_bridge_apply(struct worker_bridge *bridge, const struct worker_effect *effect,
                         int64_t now_us)
{
    if (effect->kind == WORKER_RUN) {
        run(bridge, effect->task);
    } else if (effect->kind == WORKER_ANSWER) {
        answer(bridge, effect->answer);
    } else if (effect->kind == WORKER_REVOKE) {
        /* BUSY: it has started, which the pool says by itself. */
        uint32_t index;
        if (pool_recall_range(bridge->pool, effect->key, (uint32_t)effect->number, now_us,
                              &index) == DROVER_OK) {
            echo(bridge, effect->key, index, DROVER_OK);
        }
    } else if (effect->kind == WORKER_CANCEL) {
        if (pool_abort(bridge->pool, effect->key, effect->term_ms, effect->kill_ms, now_us) !=
            DROVER_OK) {
            drv_log_debug(bridge->log, "nothing to cancel", drv_log_uint("key", effect->key));
        }
    }
}

/* ---- answers that waited ---- */

static void tell_refusal(struct worker_bridge *bridge, const struct worker_echo *one,
                         int64_t now_us)
{
    const struct drv_result result = {
        .outcome = DRV_OUTCOME_FAILED,
        .val = {.is_nil = true},
        .error = {.kind = DROVER_ERROR_REFUSED,
                  .code = drv_str_of(drover_status_name(one->refused)),
                  .text = drv_str_of("the worker could not run it"),
                  .exit_code = -1}};
    worker_session_task_finished(bridge->session, one->key, &result, now_us);
}

bool worker_bridge_tell(struct worker_bridge *bridge, int64_t now_us)
{
    bool had_some = bridge->echo_count > 0;
    for (size_t i = 0; i < bridge->echo_count; i++) {
        const struct worker_echo *one = &bridge->echoes[i];
        if (one->refused == DROVER_OK) {
            worker_session_task_rest(bridge->session, one->key, one->index, now_us);
        } else {
            tell_refusal(bridge, one, now_us);
        }
    }
    bridge->echo_count = 0;
    return had_some;
}

/* ---- the end ---- */

void worker_bridge_fini(struct worker_bridge *bridge)
{
    pool_close(&bridge->pool);
    free(bridge->echoes);
    bridge->echoes = NULL;
}
