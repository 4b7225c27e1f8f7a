/* schedule.c: schedules, their plans, zones and times; see schedule.h. */
#include "schedule.h"

#include "broker.h"
#include "check.h"

#include <stddef.h>
#include <stdlib.h>

/* --- registry ---------------------------------------------------------------------------- */

/* A schedule is named by its name, in records by a hash of it. */
struct schedule_key {
    struct drv_str text;
    const uint64_t *check; /* NULL: by its text */
};

static uint64_t name_check(struct drv_str name)
{
    const struct drv_table other = {.seed = 0};
    return drv_table_hash(&other, name.ptr, name.len);
}

static bool schedule_is(const void *entry, const void *key)
{
    const struct schedule *schedule = entry;
    const struct schedule_key *wanted = key;
    struct drv_str name = schedule_name(schedule);
    return wanted->check != NULL ? name_check(name) == *wanted->check
                                 : str_equals(name, wanted->text);
}

static uint64_t name_hash(const struct core *core, struct drv_str name)
{
    return core_stable_hash(core, name.ptr, name.len);
}

drover_id schedule_saved_id(const struct core *core, const struct schedule *schedule)
{
    struct drv_str name = schedule_name(schedule);
    uint64_t halves[2] = {name_hash(core, name), name_check(name)};
    drover_id id;
    memcpy(id.bytes, halves, sizeof id.bytes);
    return id;
}

struct schedule *schedule_find_saved(const struct core *core, const drover_id *id)
{
    uint64_t halves[2];
    memcpy(halves, id->bytes, sizeof halves);
    struct schedule_key key = {.check = &halves[1]};
    return drv_table_find(&core->schedules, halves[0], &key);
}

struct schedule *schedule_find(const struct core *core, struct drv_str name)
{
    struct schedule_key key = {.text = name};
    return drv_table_find(&core->schedules, name_hash(core, name), &key);
}

struct schedule *schedule_ensure(struct core *core, struct drv_str name)
{
    struct schedule *schedule = schedule_find(core, name);
    if (schedule != NULL) {
        return schedule;
    }
    size_t size = sizeof *schedule + name.len;
    schedule = core_alloc(core, size);
    if (schedule == NULL) {
        return NULL;
    }
    if (!timer_init(core, &schedule->timer, TIMER_SCHEDULE)) {
        core_free(core, schedule, size);
        return NULL;
    }
    schedule->next_ms = SCHEDULE_NEVER;
    schedule->name_len = (uint16_t)name.len;
    memcpy(schedule->name, name.ptr, name.len);
    if (drv_table_insert(&core->schedules, name_hash(core, name), schedule) != DROVER_OK) {
        timer_fini(core, &schedule->timer);
        core_free(core, schedule, size);
        return NULL;
    }
    return schedule;
}

static void schedule_free(struct core *core, struct schedule *schedule)
{
    drv_table_remove_entry(&core->schedules, name_hash(core, schedule_name(schedule)),
                           schedule);
    DRV_ASSERT(schedule->plan == NULL);
    timer_fini(core, &schedule->timer);
    core_free(core, schedule, sizeof *schedule + schedule->name_len);
}

struct schedule *schedule_ref(struct schedule *schedule)
{
    schedule->references++;
    return schedule;
}

void schedule_release(struct core *core, struct schedule **schedule)
{
    struct schedule *released = *schedule;
    *schedule = NULL;
    if (released != NULL && --released->references == 0 && released->plan == NULL) {
        schedule_free(core, released);
    }
}

void schedules_init(struct core *core)
{
    drv_table_init(&core->schedules, core->config.seed, schedule_is);
    drv_list_init(&core->zones);
}

void schedules_fini(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct schedule *schedule;
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        struct schedule *held = schedule_ref(schedule);
        plan_free(core, &schedule->plan);
        schedule_release(core, &held);
    }
    zone_release(core, &core->offered_zone);
    DRV_ASSERT(drv_list_is_empty(&core->zones));
    drv_table_fini(&core->schedules);
}

/* --- plans ------------------------------------------------------------------------------- */

struct plan *plan_new(struct core *core, struct drv_str cron_text, struct spec **spec,
                      struct body **payload)
{
    struct plan *plan = core_alloc(core, sizeof *plan + cron_text.len);
    if (plan == NULL) {
        spec_release(core, spec);
        body_release(core, payload);
        return NULL;
    }
    plan->spec = *spec;
    plan->payload = *payload;
    *spec = NULL;
    *payload = NULL;
    plan->cron_len = (uint16_t)cron_text.len;
    if (cron_text.len > 0) {
        memcpy(plan->cron_text, cron_text.ptr, cron_text.len);
    }
    return plan;
}

void plan_free(struct core *core, struct plan **plan)
{
    struct plan *gone = *plan;
    *plan = NULL;
    if (gone == NULL) {
        return;
    }
    spec_release(core, &gone->spec);
    body_release(core, &gone->payload);
    zone_release(core, &gone->zone);
    core_free(core, gone, sizeof *gone + gone->cron_len);
}

void schedule_define(struct core *core, struct schedule *schedule, struct plan **plan)
{
    bool is_new = schedule->plan == NULL;
    plan_free(core, &schedule->plan);
    schedule->plan = *plan;
    *plan = NULL;
    schedule->anchor_ms = schedule_wall_ms(core);
    schedule->backlog_count = 0;
    schedule->retry_ms = 0;
    schedule->trouble = NULL;
    if (is_new) {
        schedule->runs = schedule->skipped = 0;
        schedule->has_last = false;
        schedule->span_count = 0;
    }
    schedule->next_ms = schedule_fresh_after(schedule, schedule->anchor_ms);
    schedule_arm(core, schedule);
}

void schedule_remove(struct core *core, struct schedule *schedule)
{
    struct schedule *held = schedule_ref(schedule); /* its own spec may be the last one */
    save_schedule_end(core, schedule);
    plan_free(core, &schedule->plan);
    timer_disarm(core, &schedule->timer);
    schedule->backlog_count = 0;
    schedule->next_ms = SCHEDULE_NEVER;
    schedule_release(core, &held);
}

void schedule_pause(struct core *core, struct schedule *schedule, bool is_paused)
{
    if (schedule->is_paused == is_paused) {
        return;
    }
    schedule->is_paused = is_paused;
    if (!is_paused) { /* what was due meanwhile was not wanted */
        schedule->next_ms = schedule_fresh_after(schedule, schedule_wall_ms(core));
    }
    schedule_arm(core, schedule);
}

/* --- zones ------------------------------------------------------------------------------- */

static struct zone *zone_find(const struct core *core, struct drv_str name)
{
    DRV_LIST_EACH(link, &core->zones)
    {
        struct zone *zone = DRV_LIST_ITEM(link, struct zone, link);
        if (str_equals(str_of(zone->name, zone->name_len), name)) {
            return zone;
        }
    }
    return NULL;
}

struct zone *zone_ref(struct core *core, struct drv_str name)
{
    struct zone *zone = zone_find(core, name);
    if (zone == NULL || zone->data == NULL) {
        return NULL;
    }
    zone->references++;
    return zone;
}

struct zone *zone_ensure(struct core *core, struct drv_str name)
{
    struct zone *zone = zone_find(core, name);
    if (zone == NULL) {
        zone = core_alloc(core, sizeof *zone + name.len + 1);
        if (zone == NULL) {
            return NULL;
        }
        zone->name_len = (uint16_t)name.len;
        memcpy(zone->name, name.ptr, name.len);
        drv_list_push_back(&core->zones, &zone->link);
    }
    zone->references++;
    return zone;
}

static void zone_drop_data(struct core *core, struct zone *zone)
{
    if (zone->data != NULL) {
        core->memory_bytes -= drv_zone_size(zone->data);
        drv_zone_destroy(&zone->data);
    }
}

void zone_release(struct core *core, struct zone **zone)
{
    struct zone *released = *zone;
    *zone = NULL;
    if (released == NULL || --released->references > 0) {
        return;
    }
    zone_drop_data(core, released);
    drv_list_remove(&released->link);
    core_free(core, released, sizeof *released + released->name_len + 1);
}

/* All schedules that wait for it, or that count by an older edition of it. */
static void zone_changed(struct core *core, const struct zone *zone)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct schedule *schedule;
    int64_t wall_ms = schedule_wall_ms(core);
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        if (schedule->plan == NULL || schedule->plan->zone != zone) {
            continue;
        }
        if (schedule->next_ms > wall_ms) { /* what was missed stays what it was */
            schedule->next_ms = schedule_fresh_after(schedule, wall_ms);
        }
        schedule_arm(core, schedule);
    }
}

drover_status core_set_zone(struct core *core, const char *name, const void *bytes, size_t len)
{
    struct drv_zone *data = NULL;
    if (!drv_zone_name_is_valid(name, strlen(name))) {
        return DROVER_INVALID;
    }
    drover_status status = drv_zone_new(bytes, len, &data);
    if (status != DROVER_OK) {
        return status;
    }
    struct zone *zone = zone_ensure(core, drv_str_of(name));
    if (zone == NULL) {
        drv_zone_destroy(&data);
        return DROVER_NOMEM;
    }
    zone_drop_data(core, zone);
    zone->data = data;
    core->memory_bytes += drv_zone_size(data);
    zone_release(core, &core->offered_zone); /* the one before, if nothing uses it */
    core->offered_zone = zone;
    if (zone->references > 1) {
        zone_changed(core, zone);
    }
    return DROVER_OK;
}

const char *core_zone(const struct core *core, size_t index)
{
    DRV_LIST_EACH(link, &core->zones)
    {
        if (index-- == 0) {
            return DRV_LIST_ITEM(link, struct zone, link)->name;
        }
    }
    return NULL;
}

/* --- time -------------------------------------------------------------------------------- */

int64_t schedule_wall_ms(const struct core *core)
{
    return save_wall(core, core->now_us) / 1000;
}

bool schedule_lacks_zone(const struct schedule *schedule)
{
    const struct plan *plan = schedule->plan;
    return plan != NULL && plan->zone != NULL && plan->zone->data == NULL;
}

int64_t schedule_after(const struct schedule *schedule, int64_t after_ms)
{
    const struct plan *plan = schedule->plan;
    if (plan == NULL || schedule_lacks_zone(schedule)) {
        return SCHEDULE_NEVER;
    }
    if (plan->is_cron) {
        int64_t after_s = after_ms / 1000 - (after_ms % 1000 < 0 ? 1 : 0);
        int64_t due_s = drv_cron_next(&plan->cron, plan->zone == NULL ? NULL : plan->zone->data,
                                      after_s);
        return due_s == INT64_MAX ? SCHEDULE_NEVER : due_s * 1000;
    }
    int64_t every = (int64_t)plan->every_ms, due;
    int64_t steps = after_ms < schedule->anchor_ms ? 0
                                                   : (after_ms - schedule->anchor_ms) / every;
    if (__builtin_mul_overflow(steps + 1, every, &due) ||
        __builtin_add_overflow(due, schedule->anchor_ms, &due)) {
        return SCHEDULE_NEVER;
    }
    return due;
}

int64_t schedule_fresh_after(const struct schedule *schedule, int64_t after_ms)
{
    int64_t due = schedule_after(schedule, after_ms);
    for (unsigned i = 0; i < schedule->span_count; i++) { /* they are in order */
        const struct span *span = &schedule->spans[i];
        if (due != SCHEDULE_NEVER && due >= span->from && due <= span->until) {
            due = schedule_after(schedule, span->until);
        }
    }
    return due;
}

int64_t schedule_jitter(const struct core *core, const struct schedule *schedule,
                        int64_t instant_ms)
{
    if (schedule->plan == NULL || schedule->plan->jitter_ms == 0) {
        return 0;
    }
    drover_id id = schedule_task_id(core, schedule, instant_ms);
    uint64_t number;
    memcpy(&number, id.bytes + 8, sizeof number);
    return (int64_t)(number % (schedule->plan->jitter_ms + 1));
}

/* An instant of the wall clock as one of ours. */
static int64_t monotonic_us(const struct core *core, int64_t wall_ms)
{
    int64_t wall_us, at_us;
    if (__builtin_mul_overflow(wall_ms, 1000, &wall_us) ||
        __builtin_sub_overflow(wall_us, core->wall_offset_us, &at_us)) {
        return INT64_MAX;
    }
    return at_us;
}

void schedule_arm(struct core *core, struct schedule *schedule)
{
    int64_t due_ms = schedule->next_ms;
    timer_disarm(core, &schedule->timer);
    if (schedule->plan == NULL || schedule_lacks_zone(schedule)) {
        return;
    }
    if (due_ms != SCHEDULE_NEVER) {
        due_ms += schedule_jitter(core, schedule, due_ms);
    }
    if (schedule->is_paused) {
        due_ms = SCHEDULE_NEVER;
    }
    if (schedule->backlog_count > 0 && schedule->unfinished == 0) {
        due_ms = 0;
    }
    due_ms = due_ms < schedule->retry_ms ? schedule->retry_ms : due_ms;
    if (due_ms != SCHEDULE_NEVER) {
        timer_arm(core, &schedule->timer, monotonic_us(core, due_ms));
    }
}

void schedules_clock_set(struct core *core, bool went_back)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct schedule *schedule;
    int64_t wall_ms = schedule_wall_ms(core);
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        int64_t fresh_ms = went_back ? schedule_fresh_after(schedule, wall_ms) : SCHEDULE_NEVER;
        if (fresh_ms < schedule->next_ms) {
            schedule->next_ms = fresh_ms;
            save_schedule_run(core, schedule);
        }
        schedule->retry_ms = 0;
        schedule_arm(core, schedule);
    }
}

void schedules_restored(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct schedule *schedule;
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        if (schedule->has_last && schedule->last_state < DROVER_STATE_SUCCEEDED) {
            const struct task *task = task_peek(core, &schedule->last_id);
            bool has_ended = task == NULL || unit_is_terminal(&task->unit);
            uint8_t ended = task == NULL ? DROVER_STATE_LOST : task->unit.state;
            schedule->last_state = has_ended ? ended : DROVER_STATE_QUEUED;
        }
        schedule_arm(core, schedule);
    }
}
