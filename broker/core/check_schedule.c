/* check_schedule.c: schedules, their tasks, times and zones. */
#include "check_core.h"

static void check_spans(struct check *check, const struct schedule *schedule)
{
    for (unsigned i = 0; i < schedule->span_count; i++) {
        const struct span *span = &schedule->spans[i];
        expect(check,
               span->from <= span->until &&
                   (i == 0 || span->from > schedule->spans[i - 1].until),
               "what a schedule has run is out of order");
        expect(check, schedule->next_ms < span->from || schedule->next_ms > span->until,
               "a schedule is about to run something again");
    }
}

static void check_schedule(struct check *check, const struct schedule *schedule)
{
    bool is_defined = schedule->plan != NULL;
    check_timer(check, &schedule->timer, TIMER_SCHEDULE);
    expect(check, is_defined || schedule->references > 0, "a schedule that nothing needs");
    expect(check, is_defined || !timer_is_armed(&schedule->timer),
           "a schedule without a plan runs");
    expect(check, schedule->span_count <= SCHEDULE_SPANS_MAX, "too many spans of a schedule");
    expect(check, schedule->backlog_count <= SCHEDULE_BACKLOG_MAX,
           "too many runs of a schedule wait");
    check_spans(check, schedule);
    if (is_defined) {
        expect(check, schedule->plan->spec->schedule == schedule,
               "the tasks of a schedule are of another one");
        tally_of(check, &check->specs, schedule->plan->spec)->references++;
    }
}

void check_schedules(struct check *check)
{
    const struct core *core = check->core;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct schedule *schedule;
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        check_schedule(check, schedule);
    }
}

/* What the specs say of them. */
void check_scheduled(struct check *check)
{
    const struct core *core = check->core;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct schedule *schedule;
    uint64_t references = 0, unfinished = 0;
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        references += schedule->references;
        unfinished += schedule->unfinished;
    }
    cursor = DRV_TABLE_CURSOR_INIT;
    const struct spec *spec;
    while ((spec = drv_table_next(&core->specs, &cursor)) != NULL) {
        references -= spec->schedule != NULL;
    }
    expect(check, references == 0, "the specs of schedules are miscounted");
    expect(check, unfinished == check->scheduled, "the tasks of schedules are miscounted");
}
