/*
 * save_schedule.c: the records of schedules: what was asked for, and what has run.
 */
#include "broker.h"
#include "save_parts.h"

static void put_state(struct record_writer *writer, const struct schedule *schedule)
{
    record_put_u8(writer, (uint8_t)((schedule->is_paused ? SCHEDULE_PART_PAUSED : 0) |
                                    (schedule->has_last ? SCHEDULE_PART_LAST : 0)));
    record_put_fixed(writer, schedule->next_ms);
    record_put_uint(writer, schedule->runs);
    record_put_uint(writer, schedule->skipped);
    if (schedule->has_last) {
        record_put_id(writer, &schedule->last_id);
        record_put_u8(writer, schedule->last_state);
        record_put_fixed(writer, schedule->last_ms);
        record_put_fixed(writer, schedule->last_fired_ms);
        record_put_fixed(writer, schedule->last_ended_ms);
    }
    record_put_u8(writer, schedule->span_count);
    for (unsigned i = 0; i < schedule->span_count; i++) {
        record_put_fixed(writer, schedule->spans[i].from);
        record_put_fixed(writer, schedule->spans[i].until);
    }
    record_put_u8(writer, schedule->backlog_count);
    for (unsigned i = 0; i < schedule->backlog_count; i++) {
        record_put_fixed(writer, schedule->backlog[i]);
    }
}

void save_schedule(struct core *core, struct schedule *schedule)
{
    if (!core->save.is_on) {
        return;
    }
    const struct plan *plan = schedule->plan;
    const struct zone *zone = plan->zone;
    struct drv_val payload = body_val(plan->payload);
    drover_id id = schedule_saved_id(core, schedule);
    struct record_writer writer = save_begin(core, CORE_SAVE_SCHEDULE, &id, 0);
    record_put_str(&writer, schedule_name(schedule));
    record_put_str(&writer, str_of(plan->cron_text, plan->cron_len));
    record_put_str(&writer, zone == NULL ? str_of("", 0) : str_of(zone->name, zone->name_len));
    record_put_uint(&writer, plan->every_ms);
    record_put_fixed(&writer, schedule->anchor_ms);
    record_put_uint(&writer, plan->jitter_ms);
    record_put_uint(&writer, plan->late_ms);
    record_put_u8(&writer, plan->overlap);
    record_put_u8(&writer, plan->missed);
    save_put_spec(&writer, plan->spec, NULL);
    put_state(&writer, schedule);
    record_put_val_head(&writer, &payload);
    save_end(core, &writer, &payload);
    schedule->mark = save_mark(core);
}

void save_schedule_run(struct core *core, const struct schedule *schedule)
{
    if (!core->save.is_on) {
        return;
    }
    drover_id id = schedule_saved_id(core, schedule);
    struct record_writer writer = save_begin(core, CORE_SAVE_SCHEDULE_RUN, &id, 0);
    put_state(&writer, schedule);
    save_end(core, &writer, NULL);
}

void save_schedule_end(struct core *core, const struct schedule *schedule)
{
    if (core->save.is_on) {
        drover_id id = schedule_saved_id(core, schedule);
        struct record_writer writer = save_begin(core, CORE_SAVE_SCHEDULE_END, &id, 0);
        save_end(core, &writer, NULL);
    }
}
