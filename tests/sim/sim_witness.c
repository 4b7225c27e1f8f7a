/*
 * sim_witness.c: what workers and clients see, against the model.
 */
#include <string.h>

#include "sim_checker.h"
#include "sim_worker.h"
#include "sim_world.h"

static void accuse(struct sim *sim, uint32_t serial, const struct sim_peer *peer,
                   const char *what)
{
    char text[SIM_REASON_MAX / 2];
    sim_task_describe(sim, serial, text, sizeof text);
    sim_fail(sim, "peer %u: %s: %s", peer->number, what, text);
}

/* ---- workers
 * ------------------------------------------------------------------------------------ */

/* The task of this ref when the present broker knows it under this very attempt or a later. */
static struct sim_task *task_of(struct sim *sim, const struct drv_ref *ref,
                                uint32_t *out_serial)
{
    *out_serial = sim_model_find(&sim->model, &ref->id, ref->index);
    return *out_serial == SIM_NO_TASK ? NULL : sim_model_task(&sim->model, *out_serial);
}

static bool is_own(const struct sim_task *task, const struct sim_peer *peer)
{
    return task->holder == peer->number && task->holder_session == peer->session_number;
}

void sim_checker_on_lease(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                          uint32_t payload, bool confirm)
{
    uint32_t serial;
    const struct sim_task *task = task_of(sim, ref, &serial);
    if (task == NULL) {
        sim_fail(sim, "worker %u got a task that nobody submitted", peer->number);
        return;
    }
    if (payload != task->payload) {
        accuse(sim, serial, peer, "the payload is not what was submitted");
    } else if (ref->attempt > task->attempt && peer->epoch == sim->broker.epoch) {
        accuse(sim, serial, peer, "a lease that was not recorded");
    } else if (sim_checker_held(sim, peer) > peer->worker->credit_high) {
        accuse(sim, serial, peer, "holds more leases than its credit");
    } else if (task->suspect && ref->attempt == task->attempt && is_own(task, peer)) {
        sim_count(sim, SIM_SUSPECT_SEEN);
        if (!confirm) {
            accuse(sim, serial, peer, "a suspect that need not wait for GO");
        }
    } else {
        /* a lease as it should be */
    }
}

/* Leases in its book that are still its own as far as the broker is concerned. */
uint64_t sim_checker_held(struct sim *sim, const struct sim_peer *peer)
{
    const struct sim_worker *worker = peer->worker;
    uint64_t held = 0;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        const struct sim_lease *lease = &worker->book[i];
        uint32_t serial;
        const struct sim_task *task = task_of(sim, &lease->ref, &serial);
        held += task != NULL && task->hold == SIM_HOLD_LIVE &&
                task->attempt == lease->ref.attempt && task->holder == peer->number &&
                lease->state != SIM_ZOMBIE && (lease->state != SIM_DONE || lease->token == 0);
    }
    return held;
}

void sim_checker_on_start(struct sim *sim, struct sim_peer *peer, const struct sim_lease *lease)
{
    const struct drv_ref *ref = &lease->ref;
    uint32_t serial;
    struct sim_task *task = task_of(sim, ref, &serial);
    sim_trace(sim, "worker.start", peer->number, serial, ref->attempt);
    if (task == NULL || !task->known || lease->epoch != sim->broker.epoch ||
        task->epoch != lease->epoch || task->attempt != ref->attempt) {
        return; /* of a broker that is no more, or taken away meanwhile */
    }
    bool own = is_own(task, peer);
    if (task->hold == SIM_HOLD_RETURNED) {
        accuse(sim, serial, peer, "started after it was given back");
    } else if (!own && task->hold == SIM_HOLD_LIVE) {
        accuse(sim, serial, peer, "started by a worker that does not hold it");
    } else if (task->hold == SIM_HOLD_ENDED ||
               (task->cancel_acked && own && !task->started && task->hold == SIM_HOLD_LIVE)) {
        accuse(sim, serial, peer, "started after its cancel was acknowledged or it ended");
    } else if (task->started_attempt >= ref->attempt && own) {
        accuse(sim, serial, peer, "one attempt started twice");
    }
    if (ref->attempt > task->started_attempt) {
        task->started_attempt = ref->attempt;
    }
}

/* The task when this very attempt is the worker's by the records, else NULL: what is said
 * about any other cannot back a record. */
struct sim_task *sim_checker_task_held(struct sim *sim, const struct sim_peer *peer,
                                       const struct drv_ref *ref)
{
    uint32_t serial;
    struct sim_task *task = task_of(sim, ref, &serial);
    bool held = task != NULL && task->known && task->epoch == sim->broker.epoch &&
                task->hold == SIM_HOLD_LIVE && task->attempt == ref->attempt &&
                is_own(task, peer);
    return held ? task : NULL;
}

void sim_checker_on_told_started(struct sim *sim, struct sim_peer *peer,
                                 const struct drv_ref *ref)
{
    struct sim_task *task = sim_checker_task_held(sim, peer, ref);
    if (task != NULL) {
        task->told_attempt = ref->attempt;
    }
}

void sim_checker_on_told_returned(struct sim *sim, struct sim_peer *peer,
                                  const struct drv_returned *returned)
{
    const struct drv_ref *ref = &returned->ref;
    struct sim_task *task = sim_checker_task_held(sim, peer, ref);
    sim_trace(sim, "worker.return", peer->number, ref->handle, ref->attempt);
    if (task == NULL) {
        return;
    }
    if (returned->reason == DRV_RETURN_INTERRUPTED || returned->reason == DRV_RETURN_LOST) {
        task->broken_attempt = ref->attempt;
        task->interrupted = returned->reason == DRV_RETURN_INTERRUPTED;
        task->told_attempt = ref->attempt; /* that it had started */
    } else {
        task->returned_attempt = ref->attempt;
    }
}

void sim_checker_on_told_result(struct sim *sim, struct sim_peer *peer,
                                const struct sim_lease *lease)
{
    struct sim_task *task = sim_checker_task_held(sim, peer, &lease->ref);
    if (task != NULL) {
        task->reported_attempt = lease->ref.attempt;
        task->reported_outcome = lease->outcome;
        task->reported_by = peer->number;
        task->reported_permanent = lease->permanent;
    }
}

void sim_checker_on_attach(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                           uint32_t state)
{
    struct sim_task *task = sim_checker_task_held(sim, peer, ref);
    if (task == NULL) {
        return;
    }
    task->listed_conn = peer->conn;
    if (state > 1) {
        task->told_attempt = ref->attempt;
    }
}

void sim_checker_on_shared(struct sim *sim, const struct drv_shared *shared)
{
    uint32_t serial = sim_model_find(&sim->model, &shared->id, DROVER_INDEX_NONE);
    if (serial == SIM_NO_TASK ||
        sim_payload_read(shared->val.bytes, shared->val.len) != serial) {
        sim_fail(sim, "a shared value is not what was submitted with array %u", serial);
    }
}

bool sim_checker_pick_foreign_lease(struct sim *sim, struct sim_peer *peer,
                                    struct drv_ref *out_ref)
{
    uint32_t count = sim->model.count;
    uint32_t from = count == 0 ? 0 : (uint32_t)drv_rng_below(&sim->rng, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, (from + i) % count);
        if (task->hold == SIM_HOLD_LIVE && task->holder != peer->number &&
            task->epoch == sim->broker.epoch) {
            *out_ref = (struct drv_ref){
                .id = task->id, .index = task->index, .attempt = task->attempt};
            return true;
        }
    }
    return false;
}

/* ---- clients
 * -------------------------------------------------------------------------------------- */

void sim_checker_on_promise(struct sim *sim, struct sim_task *task)
{
    if (!task->known || task->epoch != task->acked_epoch) {
        sim_fail(sim, "task %u was acknowledged and is not in the records",
                 (unsigned)(task - sim->model.tasks));
    }
}

static bool val_is_right(const struct sim_task *task, const struct drv_outcome *entry)
{
    if (entry->state != DROVER_STATE_SUCCEEDED || task->elements > 0) {
        return entry->val.is_nil || entry->val.len == 0;
    }
    bool released = (task->spec.flags & DRV_SPEC_RELEASE) != 0 && task->seen;
    if (entry->val.is_nil && (task->states_watched || released)) {
        return true;
    }
    return sim_result_is(entry->val.bytes, entry->val.len,
                         sim_name_hash(&task->id, task->index), entry->attempt);
}

static bool error_is_right(const struct sim_task *task, const struct drv_outcome *entry)
{
    switch (entry->state) {
    case DROVER_STATE_SUCCEEDED:
        return entry->error.kind == DROVER_ERROR_NONE;
    case DROVER_STATE_CANCELLED:
        return entry->error.kind == DROVER_ERROR_CANCELLED || task->elements > 0;
    case DROVER_STATE_EXPIRED:
        return entry->error.kind == DROVER_ERROR_EXPIRED || task->elements > 0;
    case DROVER_STATE_FAILED:
        return (entry->error.kind != DROVER_ERROR_NONE &&
                (!task->failed_by_parent || entry->error.kind == DROVER_ERROR_DEPENDENCY)) ||
               task->elements > 0;
    default:
        return false;
    }
}

static void on_lost_outcome(struct sim *sim, const struct sim_peer *peer, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    bool promised = task->submit == SIM_SUBMIT_ACKED && task->acked_epoch < peer->epoch;
    bool recorded = task->known && task->epoch < peer->epoch;
    if (!promised && !recorded) {
        accuse(sim, serial, peer, "told that it was lost with a broker, which it was not");
    }
    sim_count(sim, SIM_LOST_SEEN);
    sim_count(sim, SIM_LOST_TOLD_SEEN);
}

void sim_checker_on_outcome(struct sim *sim, struct sim_peer *peer, uint32_t serial,
                            const struct drv_outcome *entry)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (entry->state == DROVER_STATE_LOST) {
        on_lost_outcome(sim, peer, serial);
        return;
    }
    struct sim_outcome_seen now = {
        .state = entry->state, .attempt = entry->attempt, .error_kind = entry->error.kind};
    if (!task->known || task->epoch != peer->epoch || !sim_state_is_terminal(task->state) ||
        entry->state != task->state) {
        accuse(sim, serial, peer, "told of an end that is not recorded");
    } else if (entry->attempt != task->ended_attempt) {
        accuse(sim, serial, peer, "told of another attempt than the one that ended it");
    } else if (!val_is_right(task, entry)) {
        accuse(sim, serial, peer, "the result is not what the worker gave");
    } else if (!error_is_right(task, entry)) {
        accuse(sim, serial, peer, "the error does not fit the state");
    } else if (task->seen && task->seen_epoch == peer->epoch &&
               memcmp(&task->outcome, &now, sizeof now) != 0) {
        accuse(sim, serial, peer, "the outcome changed");
    }
    sim_count(sim, task->seen ? SIM_RESULT_TOLD_AGAIN_SEEN : SIM_RESULT_TOLD_SEEN);
    task->seen = true;
    task->seen_epoch = peer->epoch;
    task->outcome = now;
}

/* ---- shared data
 * ------------------------------------------------------------------------------------ */

void sim_checker_on_increment(struct sim *sim, struct sim_peer *peer, unsigned key,
                              int64_t number, int64_t value)
{
    struct sim_checker *checker = &sim->checker;
    if (peer->epoch != sim->broker.epoch) {
        return;
    }
    checker->increments[key] += number;
    int64_t least = checker->increments[key];
    int64_t most = least + checker->increments_unknown[key];
    if (number == 0 && (value < least || value > most)) {
        sim_fail(sim, "counter %u is %lld, the acknowledged increments make %lld to %lld", key,
                 (long long)value, (long long)least, (long long)most);
    }
}

void sim_checker_on_increment_unknown(struct sim *sim, struct sim_peer *peer, unsigned key,
                                      int64_t number)
{
    if (peer->epoch == sim->broker.epoch) {
        sim->checker.increments_unknown[key] += number;
    }
}

void sim_checker_on_swap(struct sim *sim, struct sim_peer *peer, uint64_t expected)
{
    struct sim_checker *checker = &sim->checker;
    if (peer->epoch != sim->broker.epoch || checker->swapped_count == SIM_SWAPS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < checker->swapped_count; i++) {
        if (checker->swapped[i] == expected) {
            sim_fail(sim, "version %llu was swapped twice", (unsigned long long)expected);
        }
    }
    checker->swapped[checker->swapped_count++] = expected;
}
