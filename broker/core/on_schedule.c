/*
 * on_schedule.c: SCHEDULE: what an operator asks of a schedule.
 */
#include "broker.h"
#include "guard.h"
#include "handlers.h"

#define DAY_MS ((uint64_t)24 * 3600 * 1000)
#define LONG_MS (DAY_MS * 366 * 10)

struct call { /* one request */
    struct core *core;
    const struct drv_schedule_request *request;
    struct reply *reply;
    struct schedule *schedule;  /* with a plan; NULL: there is none of this name */
    const char *text;           /* static: what is wrong */
    struct drv_problem problem; /* the same, made for the occasion; "": none */
};

static drover_status wrong(struct call *call, drover_status status, const char *text)
{
    call->text = text;
    return status;
}

/* --- add --------------------------------------------------------------------------------- */

static drover_status check_times(struct call *call)
{
    const struct drv_plan *plan = &call->request->plan;
    bool is_cron = plan->cron.ptr != NULL;
    if (is_cron == (plan->every_ms > 0)) {
        return wrong(call, DROVER_INVALID, "either a cron expression or an interval");
    }
    if (!is_cron && (plan->every_ms < SCHEDULE_EVERY_MIN_MS || plan->every_ms > LONG_MS)) {
        return wrong(call, DROVER_INVALID, "the interval is not between 1 s and 10 years");
    }
    if (!is_cron && plan->zone.ptr != NULL) {
        return wrong(call, DROVER_INVALID, "an interval has no time zone");
    }
    if (plan->jitter_ms > DAY_MS || plan->late_ms > LONG_MS) {
        return wrong(call, DROVER_INVALID,
                     "a jitter of more than a day, or a bound on lateness "
                     "of more than 10 years");
    }
    return DROVER_OK;
}

static drover_status check_task(struct call *call)
{
    const struct drv_plan *plan = &call->request->plan;
    const struct drv_spec *spec = &plan->spec;
    if ((spec->flags & ~(uint32_t)DRV_SPEC_STRICT) != 0) {
        return wrong(call, DROVER_INVALID, "tasks of a schedule belong to no session");
    }
    if (spec->after_count > 0 || spec->key.ptr != NULL) {
        return wrong(call, DROVER_UNSUPPORTED,
                     "tasks of a schedule have neither dependencies nor a key: its overlap "
                     "policy keeps its runs apart");
    }
    if (plan->val.len > SCHEDULE_VALUE_MAX) {
        return wrong(call, DROVER_TOO_BIG, "the payload of a schedule has at most 1 MiB");
    }
    return spec_check(call->core, spec, &call->text);
}

/* Cron expression and zone. */
static drover_status read_times(struct call *call, struct plan *plan)
{
    const struct drv_plan *wanted = &call->request->plan;
    plan->is_cron = wanted->cron.ptr != NULL;
    if (plan->is_cron) {
        drover_status status = drv_cron_parse(wanted->cron.ptr, wanted->cron.len, &plan->cron,
                                              &call->problem);
        if (status != DROVER_OK) {
            return status;
        }
    }
    if (wanted->zone.ptr != NULL) {
        plan->zone = zone_ref(call->core, wanted->zone);
    }
    return wanted->zone.ptr == NULL || plan->zone != NULL
               ? DROVER_OK
               : wrong(call, DROVER_INVALID, "the broker's machine knows no such time zone");
}

static drover_status make_plan(struct call *call, struct plan **out_plan)
{
    const struct drv_plan *wanted = &call->request->plan;
    struct core *core = call->core;
    struct spec *spec = NULL;
    struct body *payload = NULL;
    drover_status status = spec_ensure_scheduled(core, &wanted->spec, call->request->name,
                                                 &spec);
    if (status == DROVER_OK) {
        status = body_new(core, &wanted->val, &payload);
    }
    if (status != DROVER_OK) {
        spec_release(core, &spec);
        return status;
    }
    struct plan *plan = plan_new(core, wanted->cron, &spec, &payload);
    if (plan == NULL) {
        return DROVER_NOMEM;
    }
    plan->every_ms = wanted->every_ms;
    plan->jitter_ms = wanted->jitter_ms;
    plan->late_ms = wanted->late_ms;
    plan->overlap = (uint8_t)wanted->overlap;
    plan->missed = (uint8_t)wanted->missed;
    status = read_times(call, plan);
    if (status != DROVER_OK) {
        plan_free(core, &plan);
        return status;
    }
    *out_plan = plan;
    return DROVER_OK;
}

static bool plan_equals(const struct plan *a, const struct plan *b)
{
    struct drv_val payload = body_val(b->payload);
    return a->is_cron == b->is_cron && a->zone == b->zone && a->every_ms == b->every_ms &&
           a->jitter_ms == b->jitter_ms && a->late_ms == b->late_ms &&
           a->overlap == b->overlap && a->missed == b->missed && a->spec == b->spec &&
           body_equals(a->payload, &payload) &&
           str_equals(str_of(a->cron_text, a->cron_len), str_of(b->cron_text, b->cron_len));
}

/* The plan is taken. */
static drover_status put_plan(struct call *call, struct plan **plan)
{
    struct core *core = call->core;
    uint32_t flags = call->request->plan.flags;
    struct schedule *known = call->schedule;
    if (known != NULL && plan_equals(known->plan, *plan)) {
        plan_free(core, plan);
        return DROVER_OK;
    }
    if (known != NULL && (flags & DRV_PLAN_REPLACE) == 0) {
        plan_free(core, plan);
        return wrong(call, DROVER_CONFLICT, "there is another schedule with this name");
    }
    struct schedule *schedule = (*plan)->spec->schedule;
    if (known == NULL) {
        schedule->is_paused = false;
    }
    schedule_define(core, schedule, plan);
    if (flags & DRV_PLAN_PAUSED) {
        schedule_pause(core, schedule, true);
    }
    call->schedule = schedule;
    save_schedule(core, schedule);
    event_schedule(core, DRV_EVENT_SCHEDULE_ADDED, schedule, 0);
    return DROVER_OK;
}

static drover_status add(struct call *call)
{
    struct core *core = call->core;
    struct plan *plan = NULL;
    if (!call->request->has_plan) {
        return wrong(call, DROVER_INVALID, "a schedule without a plan");
    }
    drover_status status = check_times(call);
    if (status == DROVER_OK) {
        status = check_task(call);
    }
    if (status != DROVER_OK) {
        return status;
    }
    if (core->is_full ||
        (call->schedule == NULL && drv_table_count(&core->schedules) >= SCHEDULES_MAX) ||
        !core_has_memory(core, sizeof *plan + call->request->plan.val.len)) {
        return wrong(call, DROVER_BUSY, "there is no room for another schedule");
    }
    status = make_plan(call, &plan);
    if (status == DROVER_OK && call->request->plan.spec.flags & DRV_SPEC_STRICT &&
        drv_list_is_empty(&plan->spec->line->fits)) {
        plan_free(core, &plan);
        return wrong(call, DROVER_REFUSED, "no connected worker offers this type");
    }
    return status == DROVER_OK ? put_plan(call, &plan) : status;
}

/* --- the others -------------------------------------------------------------------------- */

static drover_status remove_it(struct call *call)
{
    event_schedule(call->core, DRV_EVENT_SCHEDULE_REMOVED, call->schedule, 0);
    schedule_remove(call->core, call->schedule);
    call->schedule = NULL;
    return DROVER_OK;
}

static drover_status set_paused(struct call *call, bool is_paused)
{
    if (call->schedule->is_paused != is_paused) {
        schedule_pause(call->core, call->schedule, is_paused);
        save_schedule_run(call->core, call->schedule);
        event_schedule(call->core,
                       is_paused ? DRV_EVENT_SCHEDULE_PAUSED : DRV_EVENT_SCHEDULE_RESUMED,
                       call->schedule, 0);
    }
    return DROVER_OK;
}

static drover_status run(struct call *call)
{
    struct core *core = call->core;
    struct schedule *schedule = call->schedule;
    const drover_id *id = &call->request->id;
    if (!call->request->has_id || drover_id_is_zero(id)) {
        return wrong(call, DROVER_INVALID, "the task has no id");
    }
    const struct task *known = task_find(core, id);
    if (known != NULL && known->spec->schedule != schedule) {
        return wrong(call, DROVER_CONFLICT, "there is another task with this id");
    }
    uint64_t before = schedule->runs;
    drover_status status = schedule_submit(core, schedule, id, schedule_wall_ms(core),
                                           &call->text);
    if (status == DROVER_OK && schedule->runs != before) {
        save_schedule_run(core, schedule);
        event_schedule(core, DRV_EVENT_SCHEDULE_FIRED, schedule, 0);
    }
    return status;
}

static drover_status apply(struct call *call)
{
    switch (call->request->op) {
    case DRV_SCHEDULE_ADD:
        return add(call);
    case DRV_SCHEDULE_REMOVE:
    case DRV_SCHEDULE_PAUSE:
    case DRV_SCHEDULE_RESUME:
    case DRV_SCHEDULE_RUN:
        break;
    default:
        return wrong(call, DROVER_UNSUPPORTED, "no such operation");
    }
    if (call->schedule == NULL) {
        return wrong(call, DROVER_UNKNOWN, "there is no such schedule");
    }
    switch (call->request->op) {
    case DRV_SCHEDULE_REMOVE:
        return remove_it(call);
    case DRV_SCHEDULE_RUN:
        return run(call);
    default:
        return set_paused(call, call->request->op == DRV_SCHEDULE_PAUSE);
    }
}

void on_schedule(struct core *core, struct peer *peer, const struct drv_message *message,
                 struct reply *reply)
{
    (void)peer;
    struct call call = {.core = core, .request = &message->schedule, .reply = reply};
    call.schedule = schedule_find(core, message->schedule.name);
    if (call.schedule != NULL && call.schedule->plan == NULL) {
        call.schedule = NULL;
    }
    bool is_foreign = call.schedule != NULL &&
                      !guard_admits_spec(core, call.schedule->plan->spec);
    drover_status status = is_foreign ? wrong(&call, DROVER_DENIED,
                                              "the schedule belongs to another account")
                                      : apply(&call);
    reply->retry_after_ms = drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0;
    if (status == DROVER_OK) {
        int64_t next_ms = call.schedule == NULL || call.schedule->is_paused
                              ? SCHEDULE_NEVER
                              : call.schedule->next_ms;
        reply->number = next_ms == SCHEDULE_NEVER ? -1 : next_ms - schedule_wall_ms(core);
        reply_answer(core, reply);
    } else if (call.problem.text[0] != '\0') {
        reply_explain(core, reply, status, call.problem.text);
    } else {
        reply_fail(core, reply, status, call.text);
    }
}
