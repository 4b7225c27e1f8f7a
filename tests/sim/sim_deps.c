/*
 * sim_deps.c: see sim_deps.h.
 */
#include "sim_deps.h"

#include "sim_book.h"
#include "sim_plan.h"
#include "sim_worker.h"
#include "sim_world.h"

enum { STILL_US = 1000000 };

/* ---- parents
 * ---------------------------------------------------------------------------------- */

static bool is_there(const struct sim *sim, const struct sim_task *task)
{
    return task->known && task->epoch == sim->broker.epoch && !task->forgotten;
}

static bool has_ended(const struct sim *sim, const struct sim_task *task)
{
    return is_there(sim, task) && sim_state_is_terminal(task->state);
}

static uint32_t level_of(const struct sim *sim, const struct sim_task *task)
{
    uint32_t wanted = task->spec.durability;
    if (wanted != DROVER_DURABILITY_DEFAULT) {
        return wanted;
    }
    return sim->profile.durable ? DROVER_DURABILITY_SYNCED : DROVER_DURABILITY_MEMORY;
}

static const struct sim_task *parent_of(struct sim *sim, const struct sim_task *task,
                                        uint32_t at)
{
    return sim_model_task(&sim->model, task->spec.after[at].parent);
}

bool sim_deps_may_be_refused(struct sim *sim, const struct sim_task *task, int64_t made_us)
{
    for (uint32_t i = 0; i < task->spec.after_count; i++) {
        const struct sim_task *parent = parent_of(sim, task, i);
        if (!is_there(sim, parent) || parent->submitted_us >= made_us ||
            level_of(sim, parent) < level_of(sim, task)) {
            return true;
        }
    }
    return false;
}

/* Itself, or the last of its retries, of those that the broker has taken. */
static uint32_t latest_of(struct sim *sim, uint32_t serial)
{
    for (;;) {
        const struct sim_task *task = sim_model_task(&sim->model, serial);
        const struct sim_task *next = sim_model_task(&sim->model, task->retried_as);
        bool is_taken = task->retried_as != 0 && next->known &&
                        next->epoch == sim->broker.epoch;
        if (!is_taken || !has_ended(sim, task) || task->state == DROVER_STATE_SUCCEEDED) {
            return serial;
        }
        serial = task->retried_as;
    }
}

bool sim_deps_retry_may_be_refused(struct sim *sim, const struct sim_task *task)
{
    const struct sim_task *origin = sim_model_task(&sim->model, task->origin);
    for (uint32_t i = 0; i < origin->spec.after_count && !task->is_alone; i++) {
        const struct sim_task *parent = parent_of(sim, origin, i);
        bool has_failed = has_ended(sim, parent) && parent->state != DROVER_STATE_SUCCEEDED;
        if (!is_there(sim, parent) || has_failed) {
            return true; /* it had failed, or so had its retry, or that is gone */
        }
    }
    return false;
}

/* It waits for what its origin waited for, or for the retries of that. */
static void inherit_parents(struct sim *sim, struct sim_task *task)
{
    const struct sim_task *origin = sim_model_task(&sim->model, task->origin);
    task->spec.after_count = 0;
    for (uint32_t i = 0; i < origin->spec.after_count && !task->is_alone; i++) {
        struct sim_after after = origin->spec.after[i];
        after.parent = latest_of(sim, after.parent);
        sim_count_if(sim, after.parent != origin->spec.after[i].parent, SIM_RETRY_FOLLOWS_SEEN);
        task->spec.after[task->spec.after_count++] = after;
    }
    sim_count_if(sim, task->spec.after_count > 0, SIM_RETRY_WAITS_SEEN);
}

/* The first parent that is not over as it should be; NULL: all are. */
static const struct sim_task *first_open(struct sim *sim, const struct sim_task *task)
{
    for (uint32_t i = 0; i < task->spec.after_count; i++) {
        const struct sim_task *parent = parent_of(sim, task, i);
        bool is_over = has_ended(sim, parent) && (task->spec.after[i].when != 1 ||
                                                  parent->state == DROVER_STATE_SUCCEEDED);
        if (!is_over) {
            return parent;
        }
    }
    return NULL;
}

static const struct sim_task *first_failed(struct sim *sim, const struct sim_task *task)
{
    for (uint32_t i = 0; i < task->spec.after_count; i++) {
        const struct sim_task *parent = parent_of(sim, task, i);
        if (has_ended(sim, parent) && task->spec.after[i].when == 1 &&
            parent->state != DROVER_STATE_SUCCEEDED) {
            return parent;
        }
    }
    return NULL;
}

static bool awaits_something(struct sim *sim, const struct sim_task *task)
{
    for (uint32_t i = 0; task->awaits && i < task->child_count; i++) {
        if (!has_ended(sim, sim_model_task(&sim->model, task->children[i]))) {
            return true;
        }
    }
    return false;
}

bool sim_deps_are_over(struct sim *sim, const struct sim_task *task)
{
    return first_open(sim, task) == NULL && !awaits_something(sim, task);
}

/* ---- records
 * ---------------------------------------------------------------------------------- */

void sim_deps_on_submit(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->is_retry && !task->known) { /* else it comes anew, as what it was */
        inherit_parents(sim, task);
        if (first_failed(sim, task) != NULL) {
            sim_fail(sim, "retry %u was taken although what it waits for has failed", serial);
        }
    }
    for (uint32_t i = 0; i < task->spec.after_count; i++) {
        if (!is_there(sim, parent_of(sim, task, i))) {
            sim_fail(sim, "task %u was taken although its parent %u is not there", serial,
                     task->spec.after[i].parent);
        }
    }
}

void sim_deps_on_lease(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (first_open(sim, task) != NULL) {
        sim_checker_accuse(sim, serial, "leased before its parents had ended");
    } else if (awaits_something(sim, task)) {
        sim_checker_accuse(sim, serial, "leased before what it awaits had ended");
    }
    bool has_waited = task->state == DROVER_STATE_WAITING;
    sim_count_if(sim, has_waited && !task->awaits, SIM_WAITED_SEEN);
    sim_count_if(sim, has_waited && task->awaits, SIM_AWAITED_SEEN);
    task->awaits = false;
}

void sim_deps_on_awaits(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->await_attempt != record->attempt) {
        sim_checker_accuse(sim, serial, "waits for others, which its worker never said");
    } else if (record->charged) {
        sim_checker_accuse(sim, serial, "charged because it awaits others");
    }
    sim_count(sim, SIM_AWAITS_SEEN);
    task->awaits = true;
    task->suspect = false;
    task->due_us = sim->now_us;
}

bool sim_deps_on_failed(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->state != DROVER_STATE_WAITING || first_failed(sim, task) == NULL) {
        return false;
    }
    task->failed_by_parent = true;
    sim_count(sim, SIM_FAILED_PARENT_SEEN);
    return true;
}

bool sim_deps_await_fails(struct sim *sim, const struct sim_task *task)
{
    for (uint32_t i = 0; i < task->child_count; i++) {
        const struct sim_task *child = sim_model_task(&sim->model, task->children[i]);
        if (!is_there(sim, child) || level_of(sim, child) < level_of(sim, task)) {
            return true;
        }
    }
    return false;
}

/* Whether `task`, which has not ended, names the other or one of its elements. */
static bool names(const struct sim *sim, const struct sim_task *task, uint32_t serial,
                  uint32_t last)
{
    if (!is_there(sim, task) || sim_state_is_terminal(task->state)) {
        return false;
    }
    for (uint32_t i = 0; i < task->spec.after_count; i++) {
        if (task->spec.after[i].parent >= serial && task->spec.after[i].parent <= last) {
            return true;
        }
    }
    for (uint32_t i = 0; task->awaits && i < task->child_count; i++) {
        if (task->children[i] >= serial && task->children[i] <= last) {
            return true;
        }
    }
    return false;
}

void sim_deps_on_forgotten(struct sim *sim, uint32_t serial)
{
    uint32_t last = serial + sim_model_task(&sim->model, serial)->elements;
    for (uint32_t i = last + 1; i < sim->model.count; i++) {
        if (names(sim, sim_model_task(&sim->model, i), serial, last)) {
            sim_checker_accuse(sim, serial, "forgotten while something waits for it");
        }
    }
}

/* ---- workers
 * ---------------------------------------------------------------------------------- */

void sim_deps_on_told_await(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref)
{
    struct sim_task *task = sim_checker_task_held(sim, peer, ref);
    if (task != NULL) {
        task->await_attempt = ref->attempt;
        task->told_attempt = ref->attempt; /* that it had started */
    }
}

/* The lease is still what the broker thinks it is. */
static bool is_current(struct sim *sim, const struct sim_peer *peer, const struct drv_ref *ref)
{
    return sim_checker_task_held(sim, peer, ref) != NULL && peer->epoch == sim->broker.epoch;
}

void sim_deps_on_parents(struct sim *sim, struct sim_peer *peer,
                         const struct drv_lease_entry *entry)
{
    uint32_t serial = sim_model_find(&sim->model, &entry->ref.id, entry->ref.index);
    const struct sim_task *task = serial == SIM_NO_TASK ? NULL
                                                        : sim_model_task(&sim->model, serial);
    if (task == NULL || !is_current(sim, peer, &entry->ref)) {
        return;
    }
    if (entry->parent_count < task->spec.after_count) {
        sim_checker_accuse(sim, serial, "its lease does not name its parents");
    }
    for (size_t i = 0; i < entry->parent_count; i++) {
        const struct drv_parent *parent = &entry->parents[i];
        uint32_t named = sim_model_find(&sim->model, &parent->id, parent->index);
        const struct sim_task *known = named == SIM_NO_TASK
                                           ? NULL
                                           : sim_model_task(&sim->model, named);
        if (known == NULL || !has_ended(sim, known) || known->state != parent->state) {
            sim_checker_accuse(sim, serial, "its lease tells another end of a parent");
        }
    }
}

/* One of them, when there are any. The question's number says which lease it is about. */
void sim_deps_fetch(struct sim *sim, struct sim_peer *peer, const struct sim_lease *lease)
{
    uint32_t serial = sim_model_find(&sim->model, &lease->ref.id, lease->ref.index);
    if (serial == SIM_NO_TASK || lease->parent_count == 0) {
        return;
    }
    const struct sim_task *parent = sim_model_task(
        &sim->model, lease->parents[drv_rng_below(&sim->rng, lease->parent_count)]);
    struct sim_worker *worker = peer->worker;
    worker->question = (struct sim_question){.req = ++worker->next_req,
                                             .ref = lease->ref,
                                             .parent = (uint32_t)(parent - sim->model.tasks)};
    struct drv_message message = {
        .kind = DRV_FETCH,
        .request = {.req = worker->next_req, .floor = worker->next_req},
        .fetch = {.id = parent->id, .index = parent->index}};
    (void)sim_peer_send(sim, peer, &message, 0);
}

void sim_deps_on_fetched(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply)
{
    const struct sim_question *question = &peer->worker->question;
    if (reply->req != question->req || !is_current(sim, peer, &question->ref)) {
        return; /* an older one, or its lease is void */
    }
    const struct sim_task *parent = sim_model_task(&sim->model, question->parent);
    bool has_result = parent->state == DROVER_STATE_SUCCEEDED && parent->elements == 0;
    if (reply->code != DROVER_OK || (uint32_t)reply->number != parent->state) {
        sim_checker_accuse(sim, question->parent, "a handler cannot fetch how it ended");
    } else if (has_result && !sim_result_is(reply->val.bytes, reply->val.len,
                                            sim_name_hash(&parent->id, parent->index),
                                            parent->ended_attempt)) {
        sim_checker_accuse(sim, question->parent, "a handler fetches another result");
    }
    sim_count(sim, SIM_FETCHED_SEEN);
}

/* ---- the whole
 * -------------------------------------------------------------------------------- */

static void probe_failed_parent(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    bool is_open = task->elements > 0 && !task->seal_heard; /* ends when it is sealed */
    bool waits = is_there(sim, task) && task->state == DROVER_STATE_WAITING && !is_open;
    const struct sim_task *parent = waits ? first_failed(sim, task) : NULL;
    if (parent != NULL && sim->now_us - parent->ended_us > STILL_US &&
        sim->now_us - sim->broker.started_us > STILL_US) {
        sim_checker_accuse(sim, serial, "stands still although a parent has failed");
    }
}

static void probe_graph(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    for (uint32_t i = task->graph; i < serial; i++) {
        const struct sim_task *other = sim_model_task(&sim->model, i);
        bool is_same = other->known == task->known &&
                       (!task->known || other->epoch == task->epoch);
        if (other->graph == task->graph && !is_same) {
            sim_checker_accuse(sim, serial, "only a part of a graph was taken");
        }
    }
}

void sim_deps_probe(struct sim *sim)
{
    if (sim->broker.core == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sim->model.count; i++) {
        probe_failed_parent(sim, i);
        if (sim_model_task(&sim->model, i)->graph != SIM_NO_TASK) {
            probe_graph(sim, i);
        }
    }
}
