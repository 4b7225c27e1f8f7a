/*
 * schedule_run.c: what is due becomes tasks; see schedule.h.
 */
#include "admit.h"
#include "broker.h"
#include "cancel.h"
#include "check.h"
#include "hand.h"
#include "schedule.h"

static const char TROUBLE_OVERLAP[] = "the run before had not ended";
static const char TROUBLE_BACKLOG[] = "too many runs wait already";
static const char TROUBLE_MISSED[] = "missed";

/* --- ids --------------------------------------------------------------------------------- */

/* As of a ULID: the milliseconds of the instant, then what nobody outside can foretell. */
drover_id schedule_task_id(const struct core *core, const struct schedule *schedule,
                           int64_t instant_ms)
{
    struct {
        drover_id schedule;
        int64_t instant_ms;
        uint64_t round;
    } text = {schedule_saved_id(core, schedule), instant_ms, 0};
    drover_id id;
    for (size_t i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)((uint64_t)instant_ms >> (8 * (5 - i)));
    }
    uint64_t low = core_stable_hash(core, &text, sizeof text);
    text.round = 1;
    uint64_t high = core_stable_hash(core, &text, sizeof text);
    memcpy(id.bytes + 6, &high, 2);
    memcpy(id.bytes + 8, &low, sizeof low);
    return id;
}

/* --- what was dealt with ------------------------------------------------------------------ */

static void span_remove(struct schedule *schedule, unsigned at)
{
    schedule->span_count--;
    memmove(&schedule->spans[at], &schedule->spans[at + 1],
            (schedule->span_count - at) * sizeof *schedule->spans);
}

/* It and the next one are one, with what lies between. */
static void span_join(struct schedule *schedule, unsigned at)
{
    schedule->spans[at].until = schedule->spans[at + 1].until;
    span_remove(schedule, at + 1);
}

/* Rather is an instant between two spans never run than one run twice: the two that are
 * closest to each other become one. */
static void spans_bound(struct schedule *schedule)
{
    const struct span *spans = schedule->spans;
    unsigned closest = 0;
    if (schedule->span_count <= SCHEDULE_SPANS_MAX) {
        return;
    }
    for (unsigned i = 1; i + 1 < schedule->span_count; i++) {
        if (spans[i + 1].from - spans[i].until <
            spans[closest + 1].from - spans[closest].until) {
            closest = i;
        }
    }
    span_join(schedule, closest);
}

void schedule_note(struct core *core, struct schedule *schedule, int64_t instant_ms)
{
    if (core->config.defects.forget_instant) {
        return; /* defect: it may come again */
    }
    struct span *spans = schedule->spans;
    unsigned at = 0; /* spans before it begin at or before the instant */
    while (at < schedule->span_count && spans[at].from <= instant_ms) {
        at++;
    }
    if (at > 0 && spans[at - 1].until >= instant_ms) {
        return;
    }
    bool joins = at > 0 && schedule_after(schedule, spans[at - 1].until) == instant_ms;
    if (joins) {
        spans[at - 1].until = instant_ms;
    } else {
        memmove(&spans[at + 1], &spans[at], (schedule->span_count - at) * sizeof *spans);
        spans[at++] = (struct span){instant_ms, instant_ms};
        schedule->span_count++;
    }
    if (at < schedule->span_count && schedule_after(schedule, instant_ms) == spans[at].from) {
        span_join(schedule, at - 1);
    }
    spans_bound(schedule);
}

/* --- tasks ------------------------------------------------------------------------------- */

drover_status schedule_submit(struct core *core, struct schedule *schedule, const drover_id *id,
                              int64_t instant_ms, const char **out_text)
{
    const struct plan *plan = schedule->plan;
    struct admission admission = {0};
    hand_take(core, id, DROVER_INDEX_NONE);
    if (task_peek(core, id) != NULL || hand_is_aside(core, id)) {
        return DROVER_OK; /* it has run, or must not */
    }
    drover_status status = admit(core, &admission, NULL, plan->spec->line,
                                 body_len(plan->payload), out_text);
    if (status != DROVER_OK) {
        return status;
    }
    *out_text = "the broker has no memory left";
    struct task *task = task_new(core, id, plan->spec);
    if (task == NULL) {
        return DROVER_NOMEM;
    }
    task->payload = body_ref(plan->payload);
    if (task->payload == NULL && plan->payload != NULL) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    task->payload_len = (uint32_t)body_len(task->payload);
    schedule->runs++;
    schedule->has_last = true;
    schedule->last_id = *id;
    schedule->last_ms = instant_ms;
    schedule->last_fired_ms = schedule_wall_ms(core);
    schedule->last_ended_ms = 0;
    schedule->last_state = DROVER_STATE_QUEUED;
    schedule->trouble = NULL;
    task_begin(core, task, NULL);
    return DROVER_OK;
}

void schedule_task_begun(struct core *core, const struct task *task)
{
    (void)core;
    task->spec->schedule->unfinished++;
}

void schedule_task_ended(struct core *core, const struct task *task)
{
    struct schedule *schedule = task->spec->schedule;
    DRV_ASSERT(schedule->unfinished > 0);
    schedule->unfinished--;
    if (schedule->plan == NULL) {
        return;
    }
    if (schedule->has_last && drover_id_equal(&schedule->last_id, &task->id)) {
        schedule->last_state = task->unit.state;
        schedule->last_ended_ms = schedule_wall_ms(core);
        save_schedule_run(core, schedule);
    }
    if (schedule->backlog_count > 0 && schedule->unfinished == 0) {
        schedule->retry_ms = 0;
        schedule_arm(core, schedule);
    }
}

/* --- skipping ---------------------------------------------------------------------------- */

static void skip(struct core *core, struct schedule *schedule, uint64_t count,
                 const char *trouble)
{
    schedule->skipped += count;
    schedule->trouble = trouble;
    event_schedule(core, DRV_EVENT_SCHEDULE_SKIPPED, schedule, count);
}

/* --- one run ----------------------------------------------------------------------------- */

/* Submits, or says when to try again. False: not now. */
static bool run_now(struct core *core, struct schedule *schedule, int64_t instant_ms)
{
    const char *text = NULL;
    uint64_t before = schedule->runs;
    drover_id id = schedule_task_id(core, schedule, instant_ms);
    drover_status status = schedule_submit(core, schedule, &id, instant_ms, &text);
    if (status != DROVER_OK) {
        schedule->trouble = text;
        schedule->retry_ms = schedule_wall_ms(core) + SCHEDULE_RETRY_MS;
        return false;
    }
    schedule->retry_ms = 0;
    if (schedule->runs != before) {
        event_schedule(core, DRV_EVENT_SCHEDULE_FIRED, schedule, 0);
    }
    return true;
}

static void cancel_last(struct core *core, const struct schedule *schedule)
{
    struct item item;
    if (schedule->has_last && item_find(core, &schedule->last_id, DROVER_INDEX_NONE, &item)) {
        (void)cancel_item(core, &item, "replaced by the next run of its schedule");
    }
}

static void backlog_push(struct core *core, struct schedule *schedule, int64_t instant_ms)
{
    if (schedule->backlog_count == SCHEDULE_BACKLOG_MAX) {
        skip(core, schedule, 1, TROUBLE_BACKLOG);
        return;
    }
    schedule->backlog[schedule->backlog_count++] = instant_ms;
}

/* An earlier run has not ended. */
static void run_overlapping(struct core *core, struct schedule *schedule, int64_t instant_ms)
{
    if (schedule->plan->overlap == DRV_OVERLAP_QUEUE) {
        backlog_push(core, schedule, instant_ms);
    } else if (schedule->plan->overlap == DRV_OVERLAP_REPLACE) {
        uint64_t waiting = schedule->backlog_count;
        if (waiting > 0) { /* what waits to replace is replaced itself */
            skip(core, schedule, waiting, TROUBLE_OVERLAP);
        }
        schedule->backlog_count = 0;
        backlog_push(core, schedule, instant_ms);
        cancel_last(core, schedule);
    } else {
        skip(core, schedule, 1, TROUBLE_OVERLAP);
    }
}

/* False: it could not be submitted and is still due. */
static bool run(struct core *core, struct schedule *schedule, int64_t instant_ms)
{
    bool overlaps = schedule->unfinished > 0 || schedule->backlog_count > 0;
    if (overlaps && schedule->plan->overlap != DRV_OVERLAP_ALLOW) {
        run_overlapping(core, schedule, instant_ms);
        return true;
    }
    return run_now(core, schedule, instant_ms);
}

/* What waited for the end of a run. */
static void run_backlog(struct core *core, struct schedule *schedule)
{
    if (schedule->backlog_count == 0 || schedule->unfinished > 0 ||
        !run_now(core, schedule, schedule->backlog[0])) {
        return;
    }
    schedule->backlog_count--;
    memmove(schedule->backlog, schedule->backlog + 1,
            schedule->backlog_count * sizeof *schedule->backlog);
    save_schedule_run(core, schedule);
}

/* --- what is due -------------------------------------------------------------------------- */

static bool is_due(const struct core *core, const struct schedule *schedule, int64_t instant_ms,
                   int64_t wall_ms)
{
    return instant_ms != SCHEDULE_NEVER && instant_ms <= wall_ms &&
           instant_ms + schedule_jitter(core, schedule, instant_ms) <= wall_ms;
}

/* The latest instant up to now, given that `first` is one. */
static int64_t latest_due(const struct schedule *schedule, int64_t first_ms, int64_t wall_ms)
{
    int64_t low = first_ms, high = wall_ms; /* there is one after low - 1, none after high */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (schedule_after(schedule, middle) <= wall_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == first_ms ? first_ms : schedule_after(schedule, low - 1);
}

/* How many instants before `last`, from `first` on. */
static uint64_t count_before(const struct schedule *schedule, int64_t first_ms, int64_t last_ms)
{
    uint64_t count = 0;
    while (first_ms < last_ms && count < SCHEDULE_MISSED_MAX) {
        first_ms = schedule_fresh_after(schedule, first_ms);
        count++;
    }
    return count;
}

/* Too late to run: beyond its own bound; where what was missed is skipped, beyond the grace. */
static bool is_missed(const struct core *core, const struct schedule *schedule,
                      int64_t instant_ms, int64_t wall_ms)
{
    int64_t late_ms = wall_ms - instant_ms - schedule_jitter(core, schedule, instant_ms);
    const struct plan *plan = schedule->plan;
    return (plan->missed == DRV_MISSED_SKIP && late_ms > SCHEDULE_GRACE_MS) ||
           (plan->late_ms > 0 && late_ms > (int64_t)plan->late_ms);
}

static void run_latest(struct core *core, struct schedule *schedule, int64_t wall_ms)
{
    int64_t last_ms = latest_due(schedule, schedule->next_ms, wall_ms);
    bool is_fresh = schedule_fresh_after(schedule, last_ms - 1) == last_ms;
    if (!is_fresh || !is_due(core, schedule, last_ms, wall_ms)) {
        last_ms = schedule->next_ms; /* it has run; or its jitter is not over yet */
    }
    uint64_t missed = count_before(schedule, schedule->next_ms, last_ms);
    bool is_too_late = is_missed(core, schedule, last_ms, wall_ms);
    if (missed > 0 || is_too_late) {
        skip(core, schedule, missed + (is_too_late ? 1 : 0), TROUBLE_MISSED);
    }
    bool is_left_out = core->config.defects.skip_instant && schedule->runs % 2 == 1 &&
                       schedule->skipped++ % 2 == 0; /* defect */
    bool is_done = is_too_late || is_left_out || run(core, schedule, last_ms);
    if (is_done) {
        schedule_note(core, schedule, last_ms);
    }
    schedule->next_ms = is_done ? schedule_fresh_after(schedule, last_ms) : last_ms;
    if (is_done || missed > 0) {
        save_schedule_run(core, schedule);
    }
}

void schedule_due(struct core *core, struct schedule *schedule)
{
    int64_t wall_ms = schedule_wall_ms(core);
    if (schedule->plan == NULL || core->is_draining) {
        return; /* the next life goes on */
    }
    if (wall_ms >= schedule->retry_ms) {
        run_backlog(core, schedule);
        if (!schedule->is_paused && is_due(core, schedule, schedule->next_ms, wall_ms)) {
            run_latest(core, schedule, wall_ms);
        }
    }
    schedule_arm(core, schedule);
}
