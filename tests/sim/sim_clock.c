/*
 * sim_clock.c: see sim_clock.h.
 */
#include "sim_clock.h"

#include "check.h"
#include "sim_client.h"
#include "sim_plan.h"
#include "sim_world.h"

enum {
    SLACK_US = 200000, /* turns of the broker, and what it does within */
    STILL_US = 1000000,
    JUMP_MAX_US = 3000000,
    PAYLOAD_LEN = 24,
};
#define WALL_US INT64_C(1700000000)

/* ---- the clock
 * ---------------------------------------------------------------------------------- */

static struct sim_task_spec pattern_spec(const struct sim *sim)
{
    return (struct sim_task_spec){.type = sim->profile.clockwork.type,
                                  .queue = SIM_DEFAULT,
                                  .backoff_ms = 10,
                                  .loss_budget = 3,
                                  .keep_ms = 0,
                                  .payload_len = PAYLOAD_LEN};
}

/* One of its tasks, which belongs to nobody. */
static uint32_t clock_task(struct sim *sim, const drover_id *id)
{
    uint32_t serial = sim_model_add(&sim->model, id, DROVER_INDEX_NONE);
    struct sim_task *task = sim_model_task(&sim->model, serial);
    task->owner = UINT32_MAX;
    task->submit = SIM_SUBMIT_REFUSED;
    task->is_scheduled = true;
    task->spec = pattern_spec(sim);
    task->payload = sim->clock.pattern;
    return serial;
}

void sim_clock_init(struct sim *sim)
{
    drover_id id;
    sim->clock = (struct sim_clock){
        .wall_us = WALL_US, .pattern = SIM_NO_TASK, .calm_us = INT64_MAX, .last_ms = -1};
    if (sim->profile.has_schedule) {
        sim_new_id(sim, &id);
        sim->clock.pattern = sim->model.count;
        (void)clock_task(sim, &id);
    }
}

int64_t sim_clock_wall_us(const struct sim *sim)
{
    return sim->now_us + sim->clock.wall_us;
}

void sim_clock_disturb(struct sim *sim)
{
    sim->clock.calm_us = sim->clock.state == SIM_CLOCK_RUNS ? sim->now_us : INT64_MAX;
}

void sim_clock_jump(struct sim *sim)
{
    bool is_off = sim->clock.wall_us != WALL_US;
    int64_t by_us = is_off && sim_once_in(sim, 2) ? WALL_US - sim->clock.wall_us
                                                  : sim_between(sim, -JUMP_MAX_US, JUMP_MAX_US);
    int64_t before_us = sim_clock_wall_us(sim);
    sim->clock.high_us = before_us > sim->clock.high_us ? before_us : sim->clock.high_us;
    sim->clock.wall_us += by_us;
    sim->clock.ahead_us += by_us > 0 ? by_us : 0;
    sim_trace(sim, "fault.clock", (uint64_t)sim->clock.wall_us, 0, 0);
    sim_clock_disturb(sim);
}

/* What waits for a time waits for an instant of the wall clock, over a restart. */
static void shift_delays(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        uint64_t most_ms = task->spec.delay_ms > 8 * task->spec.backoff_ms
                               ? task->spec.delay_ms
                               : 8 * task->spec.backoff_ms;
        int64_t due_us = sim->now_us + (int64_t)most_ms * 1000;
        task->due_us = task->due_us > due_us ? task->due_us : due_us;
    }
}

int64_t sim_clock_ahead_us(const struct sim *sim)
{
    return sim->profile.durable ? sim->clock.ahead_us : 0;
}

void sim_clock_on_broker(struct sim *sim, bool goes_on)
{
    struct sim_clock *clock = &sim->clock;
    if (goes_on && clock->wall_us != WALL_US) {
        shift_delays(sim);
    }
    if (!goes_on) {
        clock->is_heard = clock->has_phase = false;
        clock->state = SIM_CLOCK_DOUBT;
        clock->last_ms = -1;
        clock->unfinished = 0;
    }
    sim_clock_disturb(sim);
}

/* ---- what is run
 * -------------------------------------------------------------------------------- */

static int64_t instant_of(const drover_id *id)
{
    int64_t instant_ms = 0;
    for (unsigned i = 0; i < 6; i++) {
        instant_ms = instant_ms << 8 | id->bytes[i];
    }
    return instant_ms;
}

static bool is_in_plan(struct sim *sim, int64_t instant_ms)
{
    const struct sim_clockwork *clockwork = &sim->profile.clockwork;
    struct sim_clock *clock = &sim->clock;
    if (clockwork->is_cron) {
        return instant_ms % clockwork->period_ms == 0;
    }
    if (!clock->has_phase) {
        clock->has_phase = true;
        clock->phase_ms = instant_ms;
    }
    return (instant_ms - clock->phase_ms) % clockwork->period_ms == 0;
}

/* Nothing has kept the schedule from running it at its time. What the clock had passed before
 * it was set back may have been dealt with then, by being left out. */
static bool had_to_run(const struct sim *sim, int64_t instant_ms)
{
    const struct sim_clock *clock = &sim->clock;
    const struct sim_clockwork *clockwork = &sim->profile.clockwork;
    int64_t due_us = instant_ms * 1000 - clock->wall_us;
    /* One that was due before the clock went back may have met another run then: it was dealt
     * with, and does not come again. */
    bool may_overlap = clockwork->overlap == DRV_OVERLAP_ALLOW ||
                       (clock->unfinished == 0 && clock->ended_us < due_us - SLACK_US &&
                        instant_ms * 1000 > clock->high_us);
    bool is_well = sim->broker.core != NULL && !sim->broker.draining && !sim->profile.tight;
    return clock->state == SIM_CLOCK_RUNS && !clock->is_changing && is_well && may_overlap &&
           instant_ms * 1000 > clock->high_us && clock->calm_us < due_us - SLACK_US &&
           due_us < sim->now_us;
}

static void check_left_out(struct sim *sim, int64_t instant_ms)
{
    const struct sim_clock *clock = &sim->clock;
    int64_t period_ms = sim->profile.clockwork.period_ms;
    if (clock->last_ms < 0) {
        return;
    }
    for (int64_t between = clock->last_ms + period_ms; between < instant_ms;
         between += period_ms) {
        if (had_to_run(sim, between)) {
            sim_fail(sim, "the schedule has left out an instant: ran %lld, then %lld",
                     (long long)clock->last_ms, (long long)instant_ms);
        }
    }
}

uint32_t sim_clock_adopt(struct sim *sim, const struct core_record *record)
{
    struct sim_clock *clock = &sim->clock;
    if (record->kind != CORE_RECORD_SUBMIT || !clock->is_heard) {
        return SIM_NO_TASK;
    }
    int64_t instant_ms = instant_of(&record->id);
    if (instant_ms * 1000 > clock->high_us && instant_ms * 1000 > sim_clock_wall_us(sim)) {
        sim_fail(sim, "an instant was run before its time");
    } else if (!is_in_plan(sim, instant_ms)) {
        sim_fail(sim, "an instant was run that the plan does not have");
    }
    if (instant_ms > clock->last_ms) {
        check_left_out(sim, instant_ms);
        clock->last_ms = instant_ms;
    } else {
        sim_count(sim, SIM_INSTANT_LATE_SEEN);
    }
    sim_count(sim, SIM_INSTANT_SEEN);
    return clock_task(sim, &record->id);
}

bool sim_clock_was_run(const struct sim *sim, const struct sim_task *task)
{
    return task->is_scheduled && task->submitted_us > sim->clock.removed_us;
}

void sim_clock_on_begun(struct sim *sim)
{
    sim_count_if(sim, sim->clock.unfinished > 0, SIM_OVERLAPPED_SEEN);
    sim->clock.unfinished++;
}

void sim_clock_on_ended(struct sim *sim)
{
    sim->clock.unfinished--;
    sim->clock.ended_us = sim->now_us;
}

/* The latest instant that is certainly over had to run, if nothing disturbed. */
void sim_clock_probe(struct sim *sim)
{
    const struct sim_clock *clock = &sim->clock;
    const struct sim_clockwork *clockwork = &sim->profile.clockwork;
    int64_t past_ms = (sim_clock_wall_us(sim) - STILL_US) / 1000 - clockwork->jitter_ms;
    int64_t phase_ms = clockwork->is_cron ? 0 : clock->phase_ms;
    if (clock->state != SIM_CLOCK_RUNS || (!clockwork->is_cron && !clock->has_phase)) {
        return;
    }
    int64_t instant_ms = past_ms - (past_ms - phase_ms) % clockwork->period_ms;
    if (instant_ms > clock->last_ms && had_to_run(sim, instant_ms)) {
        sim_fail(sim, "the schedule has left out an instant: ran %lld, not %lld",
                 (long long)clock->last_ms, (long long)instant_ms);
    }
}

/* ---- what clients do
 * ---------------------------------------------------------------------------- */

static void ask(struct sim *sim, struct sim_peer *peer, enum drv_schedule_op op)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_SCHEDULE);
    if (request == NULL) {
        return;
    }
    request->op = op;
    request->targets[request->count++] = sim->clock.pattern;
    if (op == DRV_SCHEDULE_RUN) {
        drover_id id;
        sim_new_id(sim, &id);
        request->targets[0] = clock_task(sim, &id);
    }
    sim->clock.is_asked = true;
    sim->clock.is_changing = op != DRV_SCHEDULE_RUN;
    sim_request_send(sim, peer, request);
}

/* One client does all of it, one thing after the other, and so knows how things are. */
void sim_deed_schedule(struct sim *sim, struct sim_peer *peer)
{
    struct sim_clock *clock = &sim->clock;
    if (peer->number != 0 || clock->is_asked) {
        return;
    }
    unsigned dice = (unsigned)drv_rng_below(&sim->rng, 100);
    if (clock->state == SIM_CLOCK_DOUBT) {
        ask(sim, peer, DRV_SCHEDULE_ADD);
    } else if (clock->state == SIM_CLOCK_STANDS) {
        ask(sim, peer, dice < 70 ? DRV_SCHEDULE_RESUME : DRV_SCHEDULE_ADD);
    } else if (dice < 40) {
        ask(sim, peer,
            dice < 28   ? DRV_SCHEDULE_RUN
            : dice < 34 ? DRV_SCHEDULE_PAUSE
            : dice < 38 ? DRV_SCHEDULE_ADD
                        : DRV_SCHEDULE_REMOVE);
    }
}

void sim_clock_remove(struct sim *sim, struct sim_peer *peer)
{
    if (sim->clock.is_heard && !sim->clock.is_asked) {
        ask(sim, peer, DRV_SCHEDULE_REMOVE);
    }
}

static const char *cron_text(const struct sim_clockwork *clockwork)
{
    return clockwork->period_ms == 1000 ? "* * * * * *" : "*/2 * * * * *";
}

void sim_clock_build(struct sim *sim, const struct sim_request *request, struct drv_val val,
                     struct drv_message *message)
{
    const struct sim_clockwork *clockwork = &sim->profile.clockwork;
    const struct sim_task *task = sim_model_task(&sim->model, request->targets[0]);
    struct drv_schedule_request *schedule = &message->schedule;
    *schedule = (struct drv_schedule_request){.op = request->op, .name = drv_str_of("tick")};
    if (request->op == DRV_SCHEDULE_RUN) {
        schedule->has_id = true;
        schedule->id = task->id;
    }
    if (request->op == DRV_SCHEDULE_ADD) {
        schedule->has_plan = true;
        schedule->plan = (struct drv_plan){.jitter_ms = (uint64_t)clockwork->jitter_ms,
                                           .overlap = clockwork->overlap,
                                           .missed = clockwork->missed,
                                           .val = val};
        if (clockwork->is_cron) {
            schedule->plan.cron = drv_str_of(cron_text(clockwork));
        } else {
            schedule->plan.every_ms = (uint64_t)clockwork->period_ms;
        }
        sim_spec_build(&task->spec, &schedule->plan.spec);
    }
}

/* Not known any more how it stands. */
static void clock_doubt(struct sim *sim)
{
    sim->clock.state = SIM_CLOCK_DOUBT;
    sim->clock.has_phase = false;
    sim->clock.last_ms = -1;
    sim_clock_disturb(sim);
}

void sim_clock_on_heard(struct sim *sim, uint32_t op, bool is_late)
{
    sim->clock.heard_op = op;
    sim->clock.is_heard |= op == DRV_SCHEDULE_ADD;
    if (op == DRV_SCHEDULE_REMOVE) {
        sim->clock.removed_us = sim->now_us;
    }
    if (is_late) {
        clock_doubt(sim);
    }
}

void sim_clock_on_lost(struct sim *sim)
{
    sim->clock.is_asked = sim->clock.is_changing = false;
    clock_doubt(sim);
}

static bool is_fair(const struct sim_request *request, const struct drv_reply *reply)
{
    switch (reply->code) {
    case DROVER_OK:
    case DROVER_BUSY:
    case DROVER_DRAINING:
        return true;
    case DROVER_UNKNOWN:
        return request->op != DRV_SCHEDULE_ADD;
    default:
        return false;
    }
}

void sim_clock_answered(struct sim *sim, const struct sim_peer *peer,
                        const struct sim_request *request, const struct drv_reply *reply)
{
    struct sim_clock *clock = &sim->clock;
    clock->is_asked = clock->is_changing = false;
    if (!is_fair(request, reply)) {
        sim_fail(sim, "operation %u on the schedule was answered %s", request->op,
                 drover_status_name((drover_status)reply->code));
    } else if (reply->code == DROVER_UNKNOWN && request->op == DRV_SCHEDULE_REMOVE &&
               peer->epoch == sim->broker.epoch) {
        clock_doubt(sim);
        clock->is_heard = clock->heard_op != DRV_SCHEDULE_REMOVE; /* it is gone already */
    } else if (reply->code != DROVER_OK || peer->epoch != sim->broker.epoch) {
        clock_doubt(sim);
    } else if (request->op == DRV_SCHEDULE_REMOVE) {
        clock_doubt(sim);
        clock->is_heard = clock->heard_op != DRV_SCHEDULE_REMOVE;
        sim_count(sim, SIM_SCHEDULE_REMOVED_SEEN);
    } else if (request->op == DRV_SCHEDULE_PAUSE) {
        clock->state = SIM_CLOCK_STANDS;
        sim_count(sim, SIM_SCHEDULE_PAUSED_SEEN);
    } else if (request->op == DRV_SCHEDULE_RESUME) {
        clock->state = SIM_CLOCK_RUNS;
    } else if (request->op == DRV_SCHEDULE_ADD) {
        clock->state = reply->number >= 0 ? SIM_CLOCK_RUNS : SIM_CLOCK_STANDS;
    } else {
        return; /* RUN: changes nothing */
    }
    sim_clock_disturb(sim);
}
