/* doc_schedule.c: topic schedules. */
#include "document.h"

#include "broker.h"
#include "guard.h"

void document_schedule_time(struct document *document, const char *key,
                            const struct schedule *schedule, int64_t wall_ms)
{
    char text[DRV_ZONE_TEXT_MAX];
    const struct plan *plan = schedule->plan;
    const struct zone *zone = plan == NULL ? NULL : plan->zone;
    drv_zone_format(zone == NULL ? NULL : zone->data, wall_ms / 1000, text);
    document_text(document, key, text);
}

static void put_plan(struct document *document, const struct plan *plan)
{
    static const char *const overlaps[DRV_OVERLAPS] = {"skip", "queue", "replace", "allow"};
    static const char *const missed[DRV_MISSED_POLICIES] = {"run", "skip"};
    if (plan->is_cron) {
        document_str(document, "cron", str_of(plan->cron_text, plan->cron_len));
        document_text(document, "zone", plan->zone == NULL ? "UTC" : plan->zone->name);
    } else {
        document_uint(document, "every_ms", plan->every_ms);
    }
    document_uint(document, "jitter_ms", plan->jitter_ms);
    document_text(document, "overlap", overlaps[plan->overlap]);
    document_text(document, "missed", missed[plan->missed]);
    document_uint(document, "late_ms", plan->late_ms);
    document_str(document, "type", type_name(plan->spec->line->type));
    document_str(document, "queue", queue_name(plan->spec->line->queue));
    document_int(document, "priority", plan->spec->numbers.priority);
    document_uint(document, "payload_bytes", body_len(plan->payload));
}

static void put_last(struct document *document, const struct schedule *schedule)
{
    const struct core *core = document->core;
    const struct task *task = task_peek(core, &schedule->last_id);
    uint32_t state = task == NULL ? schedule->last_state : task->unit.state;
    document_map(document, "last");
    document_id(document, "id", &schedule->last_id);
    document_schedule_time(document, "instant", schedule, schedule->last_ms);
    document_uint(document, "age_ms",
                  (uint64_t)(schedule_wall_ms(core) > schedule->last_fired_ms
                                 ? schedule_wall_ms(core) - schedule->last_fired_ms
                                 : 0));
    document_text(document, "state", drover_state_name((enum drover_state)state));
    if (schedule->last_ended_ms > 0) {
        document_int(document, "took_ms", schedule->last_ended_ms - schedule->last_fired_ms);
    }
    document_end(document);
}

static void put_schedule(struct document *document, const struct schedule *schedule)
{
    int64_t next_ms = schedule->next_ms;
    document_map(document, NULL);
    document_str(document, "name", schedule_name(schedule));
    document_str(document, "account", account_name(schedule->plan->spec->account));
    put_plan(document, schedule->plan);
    document_bool(document, "paused", schedule->is_paused);
    if (next_ms != SCHEDULE_NEVER && !schedule->is_paused && !schedule_lacks_zone(schedule)) {
        next_ms += schedule_jitter(document->core, schedule, next_ms);
        document_schedule_time(document, "next", schedule, next_ms);
        document_int(document, "next_in_ms", next_ms - schedule_wall_ms(document->core));
    }
    document_uint(document, "runs", schedule->runs);
    document_uint(document, "skipped", schedule->skipped);
    document_uint(document, "unfinished", schedule->unfinished);
    document_uint(document, "backlog", schedule->backlog_count);
    if (schedule_lacks_zone(schedule)) {
        document_text(document, "trouble", "its time zone is not known any more");
    } else if (schedule->trouble != NULL) {
        document_text(document, "trouble", schedule->trouble);
    }
    if (schedule->has_last) {
        put_last(document, schedule);
    }
    document_end(document);
}

bool document_schedules(struct document *document, struct drv_str name,
                        struct drv_table_cursor *cursor, uint32_t rows)
{
    if (name.ptr != NULL) {
        put_schedule(document, schedule_find(document->core, name));
        return false;
    }
    for (int scanned = 0; scanned < DOCUMENT_SCAN; scanned++) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        const struct schedule *schedule = drv_table_next(&document->core->schedules, cursor);
        if (schedule == NULL) {
            return false;
        }
        if (schedule->plan != NULL && guard_may_spec(document->core, schedule->plan->spec)) {
            put_schedule(document, schedule);
            rows--;
        }
    }
    return true;
}
