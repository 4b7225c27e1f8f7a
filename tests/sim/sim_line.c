/*
 * sim_line.c: see sim_line.h.
 */
#include "sim_line.h"

#include "sim_checker.h"
#include "sim_world.h"

static unsigned priority_slot(int32_t priority)
{
    return priority < 0 ? 0 : priority == 0 ? 1 : priority < 100 ? 2 : 3;
}

/* Keys take turns, and what wants something of its worker may have to wait for it. */
static unsigned kind_of(const struct sim_task_spec *spec)
{
    return (spec->tenant * SIM_ZONES + spec->zone) * 2 + spec->needs_gpu;
}

static bool is_picky(unsigned kind)
{
    return kind % 2 == 1 || kind / 2 % SIM_ZONES != 0;
}

static struct sim_line *line_of(struct sim *sim, const struct sim_task *task)
{
    return &sim->checker.lines[task->spec.queue][task->spec.type]
                              [priority_slot(task->spec.priority)][kind_of(&task->spec)];
}

void sim_line_push(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    struct sim_line *line = line_of(sim, task);
    task->in_line = true;
    task->next_waiting = SIM_NO_TASK;
    task->prev_waiting = line->last;
    if (line->last == SIM_NO_TASK) {
        line->first = serial;
    } else {
        sim_model_task(&sim->model, line->last)->next_waiting = serial;
    }
    line->last = serial;
}

void sim_line_remove(struct sim *sim, struct sim_task *task)
{
    struct sim_line *line = line_of(sim, task);
    if (!task->in_line) {
        return;
    }
    task->in_line = false;
    if (task->prev_waiting == SIM_NO_TASK) {
        line->first = task->next_waiting;
    } else {
        sim_model_task(&sim->model, task->prev_waiting)->next_waiting = task->next_waiting;
    }
    if (task->next_waiting == SIM_NO_TASK) {
        line->last = task->prev_waiting;
    } else {
        sim_model_task(&sim->model, task->next_waiting)->prev_waiting = task->prev_waiting;
    }
}

/* Elements of a cancelled array stand in line until they are swept away; nobody gets them. */
static uint32_t line_head(struct sim *sim, const struct sim_line *line)
{
    uint32_t serial = line->first;
    for (; serial != SIM_NO_TASK; serial = sim_model_task(&sim->model, serial)->next_waiting) {
        const struct sim_task *task = sim_model_task(&sim->model, serial);
        if (task->array == SIM_NO_TASK || !sim_model_task(&sim->model, task->array)->voided) {
            break;
        }
    }
    return serial;
}

/* ---- aging ---- */

static int64_t rank_of(const struct sim_task *task)
{
    int64_t since_us = task->submitted_us + (int64_t)task->spec.delay_ms * 1000;
    return since_us - task->spec.priority * (int64_t)SIM_LIMIT_AGING_MS * 1000;
}

static int64_t slack_of(const struct sim *sim)
{
    return 2 * sim->profile.turn_us + 3000;
}

/* Another key of that priority has work, also such as came back: whose turn it is is not known
 * here. */
static bool has_other_keys(struct sim *sim, const struct sim_task *task, unsigned slot)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *other = sim_model_task(&sim->model, i);
        if (other->known && other->epoch == sim->broker.epoch &&
            !sim_state_is_terminal(other->state) && other->spec.queue == SIM_LIMITED &&
            priority_slot(other->spec.priority) == slot &&
            other->spec.tenant != task->spec.tenant &&
            other->spec.needs_gpu == task->spec.needs_gpu) {
            return true;
        }
    }
    return false;
}

/* Where a step of priority is worth some waiting, the head comes first that has most of both
 * together. Wall clocks, by which arrivals are known again, may jump between two lives. */
static void check_aging(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    unsigned kind = kind_of(&task->spec);
    unsigned own = priority_slot(task->spec.priority);
    int64_t slack_us = slack_of(sim);
    if (!sim->checker.limits_in_force || sim->clock.high_us != 0 || !task->in_line ||
        task->array != SIM_NO_TASK || has_other_keys(sim, task, own)) {
        return;
    }
    for (unsigned i = 0; i < SIM_PRIORITIES; i++) {
        uint32_t head = line_head(sim,
                                  &sim->checker.lines[SIM_LIMITED][task->spec.type][i][kind]);
        const struct sim_task *other = head == SIM_NO_TASK ? NULL
                                                           : sim_model_task(&sim->model, head);
        if (i == own || other == NULL || other->array != SIM_NO_TASK ||
            has_other_keys(sim, task, i)) {
            continue;
        }
        if (rank_of(other) + slack_us < rank_of(task)) {
            sim_checker_accuse(sim, serial, "leased before one that has aged more");
            return;
        }
        sim_count_if(sim, i > own, SIM_AGED_SEEN);
    }
}

void sim_line_check_order(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->in_line && line_head(sim, line_of(sim, task)) != serial) {
        sim_checker_accuse(sim, serial, "leased before one that came earlier");
        return;
    }
    if (task->spec.queue == SIM_LIMITED && sim->checker.limits_heard) {
        check_aging(sim, serial);
        return;
    }
    unsigned slot = priority_slot(task->spec.priority);
    for (unsigned i = slot + 1; i < SIM_PRIORITIES; i++) {
        struct sim_line *lines = sim->checker.lines[task->spec.queue][task->spec.type][i];
        for (unsigned kind = 0; kind < SIM_KINDS; kind++) {
            bool may_wait = is_picky(kind) || task->spec.queue == SIM_LIMITED;
            if (may_wait && kind != kind_of(&task->spec)) {
                continue;
            }
            if (line_head(sim, &lines[kind]) != SIM_NO_TASK) {
                sim_checker_accuse(sim, serial, "leased before one of higher priority");
                return;
            }
        }
    }
}
