/*
 * restore_schedule.c: reads the records of schedules; see save_schedule.c.
 *
 * Zones come later: the shell reads the files of those that are named (core_zone).
 */
#include "broker.h"
#include "restore.h"
#include "save_parts.h"

static bool read_spans(struct restore *restore, struct record_reader *reader,
                       struct schedule *schedule)
{
    schedule->span_count = (uint8_t)record_uint_max(reader, SCHEDULE_SPANS_MAX);
    for (unsigned i = 0; i < schedule->span_count; i++) {
        struct span *span = &schedule->spans[i];
        *span = (struct span){record_fixed(reader), record_fixed(reader)};
        bool is_behind = i == 0 || span->from > schedule->spans[i - 1].until;
        if (span->from > span->until || !is_behind) {
            schedule->span_count = 0;
            return restore_wrong(restore, "a schedule with runs out of order");
        }
    }
    schedule->backlog_count = (uint8_t)record_uint_max(reader, SCHEDULE_BACKLOG_MAX);
    for (unsigned i = 0; i < schedule->backlog_count; i++) {
        schedule->backlog[i] = record_fixed(reader);
    }
    return true;
}

static bool read_state(struct restore *restore, struct record_reader *reader,
                       struct schedule *schedule)
{
    uint8_t bits = record_u8(reader);
    schedule->is_paused = (bits & SCHEDULE_PART_PAUSED) != 0;
    schedule->has_last = (bits & SCHEDULE_PART_LAST) != 0;
    schedule->next_ms = record_fixed(reader);
    schedule->runs = record_uint(reader);
    schedule->skipped = record_uint(reader);
    if (schedule->has_last) {
        schedule->last_id = record_id(reader);
        schedule->last_state = record_u8(reader);
        schedule->last_ms = record_fixed(reader);
        schedule->last_fired_ms = record_fixed(reader);
        schedule->last_ended_ms = record_fixed(reader);
        if (schedule->last_state < DROVER_STATE_WAITING ||
            schedule->last_state > DROVER_STATE_LOST) {
            schedule->last_state = DROVER_STATE_LOST;
            return restore_wrong(restore, "a schedule whose last run is in no state");
        }
    }
    return read_spans(restore, reader, schedule);
}

/* The times of a plan. */
static bool read_plan(struct restore *restore, struct record_reader *reader, struct plan *plan,
                      struct drv_str zone, int64_t *out_anchor_ms)
{
    plan->every_ms = record_uint_max(reader, (uint64_t)us_of_ms(UINT64_MAX));
    *out_anchor_ms = record_fixed(reader);
    plan->jitter_ms = record_uint_max(reader, (uint64_t)us_of_ms(UINT64_MAX));
    plan->late_ms = record_uint_max(reader, (uint64_t)us_of_ms(UINT64_MAX));
    plan->overlap = record_u8(reader);
    plan->missed = record_u8(reader);
    plan->is_cron = plan->cron_len > 0;
    bool is_fine = plan->is_cron ? drv_cron_parse(plan->cron_text, plan->cron_len, &plan->cron,
                                                  NULL) == DROVER_OK
                                 : plan->every_ms > 0;
    if (!is_fine || plan->overlap >= DRV_OVERLAPS || plan->missed >= DRV_MISSED_POLICIES ||
        (zone.len > 0 && !drv_zone_name_is_valid(zone.ptr, zone.len))) {
        return restore_wrong(restore, "a schedule whose plan is none");
    }
    plan->zone = zone.len > 0 ? zone_ensure(restore->core, zone) : NULL;
    return zone.len == 0 || plan->zone != NULL;
}

/* What stands behind the times: options, state, payload. The plan is whole then. */
static bool read_rest(struct restore *restore, struct record_reader *reader,
                      struct schedule *schedule, struct plan *plan)
{
    struct core *core = restore->core;
    plan->spec = restore_spec(restore, reader);
    if (plan->spec == NULL) {
        return false;
    }
    if (plan->spec->schedule != schedule) {
        return restore_wrong(restore, "a schedule whose tasks are of another one");
    }
    if (!read_state(restore, reader, schedule)) {
        return false;
    }
    struct drv_val val = record_val(reader);
    return body_new(core, &val, &plan->payload) == DROVER_OK;
}

bool restore_schedule(struct restore *restore, const struct core_saved *saved,
                      struct record_reader *reader)
{
    struct core *core = restore->core;
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    struct drv_str cron = record_str(reader, DRV_CRON_TEXT_MAX);
    struct drv_str zone = record_str(reader, DRV_ZONE_NAME_MAX);
    struct spec *none = NULL;
    struct body *nothing = NULL;
    (void)saved;
    if (name.len == 0 || reader->failed) {
        return restore_wrong(restore, "a schedule without a name");
    }
    struct schedule *schedule = schedule_ensure(core, name);
    if (schedule == NULL) {
        return false;
    }
    struct schedule *held = schedule_ref(schedule);
    struct plan *plan = plan_new(core, cron, &none, &nothing);
    bool is_fine = plan != NULL &&
                   read_plan(restore, reader, plan, zone, &schedule->anchor_ms) &&
                   read_rest(restore, reader, schedule, plan);
    if (is_fine) {
        plan_free(core, &schedule->plan);
        schedule->plan = plan;
        schedule->mark = restore->mark;
    } else {
        plan_free(core, &plan);
    }
    schedule_release(core, &held);
    return is_fine;
}

bool restore_schedule_run(struct restore *restore, const struct core_saved *saved,
                          struct record_reader *reader)
{
    struct schedule *schedule = schedule_find_saved(restore->core, &saved->id);
    return schedule == NULL || schedule->plan == NULL || read_state(restore, reader, schedule);
}

bool restore_schedule_end(struct restore *restore, const struct core_saved *saved,
                          struct record_reader *reader)
{
    (void)reader;
    struct schedule *schedule = schedule_find_saved(restore->core, &saved->id);
    if (schedule != NULL && schedule->plan != NULL) {
        schedule_remove(restore->core, schedule);
    }
    return true;
}
