/*
 * schedule.c: schedules: one request and its answer each.
 */
#include "ask.h"
#include "spec.h"

#include "cron.h"

#include <string.h>

static drover_status init(struct drv_ask *ask, drover_client *client, enum drv_schedule_op op,
                          const char *name)
{
    if (!drover_name_is_valid(name)) {
        return DROVER_INVALID;
    }
    drv_ask_init(ask, client, DRV_SCHEDULE);
    ask->pending.message.schedule.op = op;
    ask->pending.message.schedule.name = drv_str_of(name);
    return DROVER_OK;
}

static drover_status run(struct drv_ask *ask, int64_t timeout_ms, int64_t *out_number)
{
    drover_status status = drv_ask_call(ask, timeout_ms);
    if (status == DROVER_OK && out_number != NULL) {
        *out_number = ask->number;
    }
    drv_ask_fini(ask);
    return status;
}

static bool plan_is_valid(const drover_schedule_plan *plan)
{
    return plan != NULL && plan->size >= sizeof(*plan) &&
           (unsigned)plan->overlap < DRV_OVERLAPS &&
           (unsigned)plan->missed < DRV_MISSED_POLICIES &&
           (plan->cron == NULL || strlen(plan->cron) <= DRV_CRON_TEXT_MAX) &&
           (plan->zone == NULL || drv_zone_name_is_valid(plan->zone, strlen(plan->zone)));
}

/* What the plan says, borrowed from it and from spec. */
static struct drv_plan plan_of(const drover_schedule_plan *plan,
                               const struct drv_task_spec *spec)
{
    return (struct drv_plan){
        .cron = drv_str_of(plan->cron),
        .zone = drv_str_of(plan->zone),
        .every_ms = plan->every_ms,
        .jitter_ms = plan->jitter_ms,
        .late_ms = plan->late_ms,
        .overlap = (uint32_t)plan->overlap,
        .missed = (uint32_t)plan->missed,
        .flags = (plan->replace ? DRV_PLAN_REPLACE : 0U) |
                 (plan->paused ? DRV_PLAN_PAUSED : 0U),
        .spec = spec->spec,
        .val = drv_ask_val(plan->payload),
    };
}

drover_status drover_schedule_add(drover_client *client, const char *name,
                                  const drover_schedule_plan *plan, int64_t timeout_ms,
                                  int64_t *out_next_ms)
{
    struct drv_ask ask;
    struct drv_task_spec *spec = NULL;
    drover_submit_options options;
    const char *reason = NULL;
    drover_status status = plan_is_valid(plan) ? init(&ask, client, DRV_SCHEDULE_ADD, name)
                                               : DROVER_INVALID;
    if (status == DROVER_OK) {
        status = drv_options_resolve(plan->options, &options, &reason);
    }
    if (status == DROVER_OK) {
        status = drv_task_spec_ensure(NULL, plan->type, &options, 0, &spec);
    }
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.schedule.has_plan = true;
    ask.pending.message.schedule.plan = plan_of(plan, spec);
    status = run(&ask, timeout_ms, out_next_ms);
    drv_task_spec_unref(&spec);
    return status;
}

static drover_status change(drover_client *client, enum drv_schedule_op op, const char *name,
                            int64_t timeout_ms)
{
    struct drv_ask ask;
    drover_status status = init(&ask, client, op, name);
    return status == DROVER_OK ? run(&ask, timeout_ms, NULL) : status;
}

drover_status drover_schedule_remove(drover_client *client, const char *name,
                                     int64_t timeout_ms)
{
    return change(client, DRV_SCHEDULE_REMOVE, name, timeout_ms);
}

drover_status drover_schedule_pause(drover_client *client, const char *name, int64_t timeout_ms)
{
    return change(client, DRV_SCHEDULE_PAUSE, name, timeout_ms);
}

drover_status drover_schedule_resume(drover_client *client, const char *name,
                                     int64_t timeout_ms)
{
    return change(client, DRV_SCHEDULE_RESUME, name, timeout_ms);
}

drover_status drover_schedule_run(drover_client *client, const char *name, int64_t timeout_ms,
                                  drover_id *out_id)
{
    struct drv_ask ask;
    drover_id id;
    drover_status status = init(&ask, client, DRV_SCHEDULE_RUN, name);
    if (status == DROVER_OK) {
        status = drover_id_new(&id);
    }
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.schedule.has_id = true;
    ask.pending.message.schedule.id = id;
    status = run(&ask, timeout_ms, NULL);
    if (status == DROVER_OK) {
        *out_id = id;
    }
    return status;
}

drover_status drover_schedule_list(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                   int64_t timeout_ms, drover_value **out_document)
{
    return drv_ask_rows(client, DRV_TOPIC_SCHEDULES, NULL, limit, cursor, timeout_ms,
                        out_document);
}

drover_status drover_schedule_show(drover_client *client, const char *name, int64_t timeout_ms,
                                   drover_value **out_document)
{
    if (!drover_name_is_valid(name)) {
        return DROVER_INVALID;
    }
    return drv_ask_rows(client, DRV_TOPIC_SCHEDULES, name, 1, NULL, timeout_ms, out_document);
}
