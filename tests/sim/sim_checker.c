/*
 * sim_checker.c: the records of the core against the model.
 */
#include "sim_checker.h"

#include <stdio.h>
#include <string.h>

#include "sim_book.h"
#include "sim_deps.h"
#include "sim_line.h"
#include "sim_worker.h"
#include "sim_world.h"

void sim_checker_accuse(struct sim *sim, uint32_t serial, const char *what)
{
    char text[SIM_REASON_MAX / 2];
    sim_task_describe(sim, serial, text, sizeof text);
    sim_fail(sim, "%s: %s", what, text);
}

void sim_task_describe(struct sim *sim, uint32_t serial, char *out_text, size_t len)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&task->id, id);
    (void)snprintf(out_text, len,
                   "task %u (%s.%d, %s in %s, priority %d) state %s attempt %u hold %d by %u "
                   "started %d submit %d epoch %llu failures %u losses %u cancel %d/%d",
                   serial, id, (int)task->index, sim_type_name(task->spec.type),
                   sim_queue_name(task->spec.queue), task->spec.priority,
                   drover_state_name((drover_state)task->state), task->attempt, task->hold,
                   task->holder, task->started, task->submit, (unsigned long long)task->epoch,
                   task->failures, task->losses, task->cancel_asked, task->cancel_acked);
}

/* ---- states
 * ------------------------------------------------------------------------------------- */

static bool is_counted(const struct sim_task *task)
{
    return task->elements == 0; /* an array counts by its elements */
}

static bool stands_in_queue(uint32_t state)
{
    return state == DROVER_STATE_QUEUED || state == DROVER_STATE_DELAYED ||
           state == DROVER_STATE_WAITING;
}

static void set_state(struct sim *sim, struct sim_task *task, uint32_t state)
{
    struct sim_checker *checker = &sim->checker;
    if (is_counted(task)) {
        checker->by_state[task->state] -= task->state != 0;
        checker->by_state[state]++;
        checker->depth[task->spec.queue] += stands_in_queue(state);
        checker->depth[task->spec.queue] -= stands_in_queue(task->state);
    }
    task->state = state;
}

/* The lease is over: the worker's seat has one less. */
static void release_hold(struct sim *sim, struct sim_task *task, enum sim_hold how)
{
    struct sim_seat *seat = &sim->checker.seats[task->holder];
    if (task->hold == SIM_HOLD_LIVE && seat->live_session == task->holder_session) {
        seat->live--;
    }
    task->hold = how;
    task->started = false;
}

/* ---- one handler per record
 * ----------------------------------------------------------------------- */

static void check_limits(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    const struct core_config *core = &sim->profile.core;
    uint64_t limit = core->queue_count_max;
    if (task->spec.queue == SIM_TIGHT && sim->checker.limit_set) {
        return;
    }
    if (sim->checker.depth[task->spec.queue] > limit) {
        sim_checker_accuse(sim, serial, "taken into a queue beyond its limit");
    }
}

/* Nobody else has the key: neither a task that has not ended nor one within its window. */
static void check_key(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *other = sim_model_task(&sim->model, i);
        bool same = other->spec.key == task->spec.key && other->spec.queue == task->spec.queue;
        if (i == serial || !same || !other->known || other->array != SIM_NO_TASK ||
            other->epoch != sim->broker.epoch) {
            continue;
        }
        bool in_window = sim->now_us <
                         other->submitted_us + (int64_t)other->spec.key_window_ms * 1000;
        if (!sim_state_is_terminal(other->state) && !other->forgotten) {
            sim_checker_accuse(sim, i, "has not ended, and another one has the same key");
        } else if (in_window && !task->is_retry && !sim->profile.durable) {
            sim_checker_accuse(sim, i,
                               "is within its window, and another one has the same key");
        }
    }
    sim_count(sim, SIM_KEY_TAKEN_SEEN);
}

static void on_submit(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->known && task->epoch == sim->broker.epoch &&
        (!task->forgotten || sim_clock_was_run(sim, task))) {
        sim_checker_accuse(sim, serial,
                           task->is_scheduled ? "an instant was run twice" : "submitted twice");
        return;
    }
    sim_deps_on_submit(sim, serial);
    sim_model_begin(task, sim->broker.epoch);
    task->seal_heard = task->elements > 0 && task->graph != SIM_NO_TASK;
    task->attempt = record->attempt; /* goes on where an earlier broker stopped, if it knows */
    task->arrival = sim->checker.next_arrival++;
    task->submitted_us = sim->now_us;
    task->due_us = sim->now_us + (int64_t)task->spec.delay_ms * 1000;
    set_state(sim, task, record->state);
    if (task->spec.key != 0 && task->array == SIM_NO_TASK) {
        check_key(sim, serial);
    }
    if (!is_counted(task)) {
        return;
    }
    sim->checker.submitted++;
    sim_count(sim, record->state == DROVER_STATE_DELAYED   ? SIM_TO_DELAYED_SEEN
                   : record->state == DROVER_STATE_WAITING ? SIM_TO_WAITING_SEEN
                                                           : SIM_TO_QUEUED_SEEN);
    if (task->is_scheduled) {
        sim_clock_on_begun(sim);
    }
    check_limits(sim, serial);
    if (record->state == DROVER_STATE_QUEUED) {
        sim_line_push(sim, serial);
    }
}

/* What a worker brought along from an earlier broker is not handed out but taken over. */
static bool take_over(struct sim *sim, struct sim_task *task, const struct core_record *record,
                      struct sim_peer *worker)
{
    struct drv_ref ref = {.id = task->id, .index = task->index, .attempt = record->attempt};
    struct sim_lease *lease = worker->worker == NULL ? NULL
                                                     : sim_book_find(worker->worker, &ref);
    if (lease == NULL || lease->state == SIM_ZOMBIE || lease->epoch == sim->broker.epoch) {
        return false;
    }
    lease->epoch = sim->broker.epoch;
    if (lease->state != SIM_UNSTARTED) {
        task->told_attempt = record->attempt;
    }
    if (lease->state == SIM_DONE && lease->token != 0) {
        task->reported_attempt = record->attempt;
        task->reported_outcome = lease->outcome;
        task->reported_by = worker->number;
        task->reported_permanent = lease->permanent;
        task->await_attempt = lease->awaits ? record->attempt : 0;
    }
    sim_count(sim, SIM_ADOPTED_SEEN);
    return true;
}

static void check_lease(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (!task->known || task->epoch != sim->broker.epoch) {
        sim_checker_accuse(sim, serial, "leased before it was submitted");
    } else if (task->hold == SIM_HOLD_LIVE) {
        sim_checker_accuse(sim, serial, "leased while another lease is live");
    } else if (record->attempt < task->attempt ||
               (record->attempt == task->attempt && task->hold != SIM_HOLD_NONE)) {
        sim_checker_accuse(sim, serial, "leased under an attempt number that was used");
    } else if (sim_state_is_terminal(task->state)) {
        sim_checker_accuse(sim, serial, "leased after it ended");
    } else if (task->cancel_acked) {
        sim_checker_accuse(sim, serial, "leased after its cancel was acknowledged");
    }
}

/* Of those that are handed out. */
static void check_dispatch(struct sim *sim, uint32_t serial, const struct core_record *record,
                           uint32_t worker, uint32_t session)
{
    const struct sim_seat *seat = &sim->checker.seats[worker];
    bool present = session == seat->live_session;
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (record->attempt == task->attempt) {
        sim_checker_accuse(sim, serial,
                           "leased under an attempt number that an earlier broker used");
    }
    /* With tight limits a pause may have been refused. */
    if (sim->checker.paused[task->spec.queue] && !sim->profile.tight) {
        sim_checker_accuse(sim, serial, "leased from a paused queue");
    } else if (present && seat->live + 1 > seat->credit) {
        sim_checker_accuse(sim, serial, "leased beyond the worker's credit");
    } else {
        sim_line_check_order(sim, serial);
        sim_deps_on_lease(sim, serial);
        sim_checker_on_dispatch(sim, serial, worker, session);
    }
    bool delayed = task->due_us > task->submitted_us && task->attempt == 0;
    sim_count(sim, delayed ? SIM_DUE_SEEN : SIM_ASSIGNED_SEEN);
}

/* What a process had in its books cannot be asked once it is dead; the broker may not know. */
static bool process_is_alive(const struct sim *sim, uint32_t worker, uint32_t session)
{
    const struct sim_peer *peer = &sim->peers[worker];
    return peer->session_number == session && peer->state != SIM_DEAD;
}

static void on_lease(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    uint32_t worker, session;
    if (!sim_session_read(sim, &record->session, &worker, &session)) {
        sim_checker_accuse(sim, serial, "leased to a session that never was");
        return;
    }
    struct sim_seat *seat = &sim->checker.seats[worker];
    bool present = session == seat->live_session; /* else of a process that has died since */
    check_lease(sim, serial, record);
    if (process_is_alive(sim, worker, session) &&
        !take_over(sim, task, record, &sim->peers[worker])) {
        check_dispatch(sim, serial, record, worker, session);
    }
    sim->checker.leases[task->spec.queue][task->spec.type]++;
    seat->live += present;
    sim_line_remove(sim, task);
    task->attempt = record->attempt;
    task->hold = SIM_HOLD_LIVE;
    task->holder = worker;
    task->holder_session = session;
    task->leased_us = sim->now_us;
    task->started = false;
    set_state(sim, task, DROVER_STATE_QUEUED);
}

static bool is_of_live_attempt(struct sim *sim, uint32_t serial,
                               const struct core_record *record)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->hold != SIM_HOLD_LIVE || task->attempt != record->attempt) {
        sim_checker_accuse(sim, serial, "a change to an attempt that is not live");
        return false;
    }
    return true;
}

static void on_started(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (!is_of_live_attempt(sim, serial, record)) {
        return;
    }
    if (task->told_attempt < record->attempt && task->reported_attempt < record->attempt &&
        process_is_alive(sim, task->holder, task->holder_session)) {
        sim_checker_accuse(sim, serial, "recorded as started, which its worker never said");
    }
    sim_count(sim, SIM_STARTED_SEEN);
    task->started = true;
    task->ever_started = true;
    set_state(sim, task, DROVER_STATE_RUNNING);
}

static void on_returned(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (!is_of_live_attempt(sim, serial, record)) {
        return;
    }
    if (task->returned_attempt < record->attempt) {
        sim_checker_accuse(sim, serial, "taken back before its worker gave it back");
    }
    sim_count(sim, SIM_RETURNED_SEEN);
    sim_checker_on_refund(sim, task);
    release_hold(sim, task, SIM_HOLD_RETURNED);
    set_state(sim, task, DROVER_STATE_QUEUED);
}

static void on_retry(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->reported_attempt != task->attempt ||
        task->reported_outcome == DRV_OUTCOME_SUCCEEDED) {
        sim_checker_accuse(sim, serial, "retried without a failure");
    }
    task->failures++;
    if (task->failures > task->spec.retries) {
        sim_checker_accuse(sim, serial, "retried too often");
    }
    if (task->cancel_acked) {
        sim_checker_accuse(sim, serial, "retried after its cancel was acknowledged");
    }
    sim_count(sim, SIM_RETRIED_SEEN);
    task->suspect = false;
    /* Back-off at its longest, jitter included. */
    task->due_us = sim->now_us + (int64_t)task->spec.backoff_ms * 8000;
    release_hold(sim, task, SIM_HOLD_FAILED);
    set_state(sim, task, DROVER_STATE_DELAYED);
}

/* Why a lease may be taken from its worker. */
static bool worker_is_lost(struct sim *sim, const struct sim_task *task)
{
    const struct sim_peer *peer = &sim->peers[task->holder];
    const struct sim_seat *seat = &sim->checker.seats[task->holder];
    const struct core_config *core = &sim->profile.core;
    bool over = peer->session_number != task->holder_session || peer->state == SIM_DEAD ||
                seat->said_goodbye;
    bool silent = sim->now_us - seat->heard_us >= core->lease_us;
    bool away = seat->gone_us != INT64_MAX &&
                sim->now_us - seat->gone_us >= core->reconnect_grace_us;
    bool unlisted = task->leased_us <= seat->hello_us && task->listed_conn != seat->conn;
    return over || silent || away || unlisted;
}

/* Its worker said that it started and cannot be seen through; what came from it is charged
 * unless it was interrupted. False when that is not what the record tells of. */
static bool on_broken_off(struct sim *sim, struct sim_task *task, uint32_t serial,
                          const struct core_record *record)
{
    if (task->broken_attempt != record->attempt) {
        return false;
    }
    if (record->charged == task->interrupted) {
        if (!worker_is_lost(sim, task)) {
            sim_checker_accuse(sim, serial,
                               record->charged ? "charged although it was interrupted"
                                               : "not charged although what ran it was lost");
        }
        return false; /* lost with its worker before that was heard of */
    }
    sim_count(sim, task->interrupted ? SIM_INTERRUPTED_SEEN : SIM_BROKEN_OFF_SEEN);
    /* A return that was lost on the way says nothing: then the worker did not list it, and it
     * goes back as one that was never delivered. */
    task->suspect = task->suspect || (task->interrupted && !worker_is_lost(sim, task));
    return true;
}

static void on_loss(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (on_broken_off(sim, task, serial, record)) {
        /* fine */
    } else if (!worker_is_lost(sim, task)) {
        sim_checker_accuse(sim, serial, "taken from a worker that is there and holds it");
    } else if (record->charged != task->started) {
        sim_checker_accuse(sim, serial,
                           record->charged ? "charged although it had not started"
                                           : "not charged although it had started");
    }
    task->losses += record->charged;
    if (!task->started) {
        sim_checker_on_refund(sim, task);
    }
    sim_count(sim, record->charged ? SIM_CHARGED_SEEN : SIM_RELEASED_SEEN);
    release_hold(sim, task, SIM_HOLD_LOST);
    set_state(sim, task, DROVER_STATE_QUEUED);
}

static void on_requeued(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (!is_of_live_attempt(sim, serial, record)) {
        return;
    }
    if (record->state == DROVER_STATE_WAITING) {
        sim_deps_on_awaits(sim, serial, record);
        release_hold(sim, task, SIM_HOLD_AWAITS);
        set_state(sim, task, DROVER_STATE_WAITING);
    } else if (record->state == DROVER_STATE_DELAYED) {
        on_retry(sim, serial);
    } else {
        on_loss(sim, serial, record);
    }
}

/* ---- ends
 * --------------------------------------------------------------------------------------- */

static void check_succeeded(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->hold != SIM_HOLD_LIVE || task->reported_attempt != task->attempt ||
        task->reported_outcome != DRV_OUTCOME_SUCCEEDED || task->reported_by != task->holder) {
        sim_checker_accuse(sim, serial, "succeeded without a result of its present attempt");
    }
    sim_count(sim, SIM_SUCCEEDED_SEEN);
}

static void check_failed(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->hold == SIM_HOLD_LOST) {
        if ((int64_t)task->losses <= task->spec.loss_budget) {
            sim_checker_accuse(sim, serial, "failed within its loss budget");
        }
        sim_count(sim, SIM_FAILED_LOST_SEEN);
        return;
    }
    if (sim_deps_on_failed(sim, serial)) {
        return;
    }
    if (task->hold == SIM_HOLD_LIVE && task->await_attempt == task->attempt &&
        sim_deps_await_fails(sim, task)) {
        sim_count(sim, SIM_FAILED_AWAIT_SEEN);
        return;
    }
    bool reported = task->hold == SIM_HOLD_LIVE && task->reported_attempt == task->attempt &&
                    task->reported_outcome != DRV_OUTCOME_SUCCEEDED &&
                    task->reported_by == task->holder;
    if (!reported) {
        sim_checker_accuse(sim, serial, "failed without a failure of its present attempt");
    } else if (task->failures < task->spec.retries && !task->reported_permanent) {
        sim_checker_accuse(sim, serial, "failed although retries were left");
    }
    sim_count(sim, SIM_FAILED_SEEN);
}

static bool has_reason_to_be_cancelled(struct sim *sim, const struct sim_task *task)
{
    const struct sim_task *whole = task->array == SIM_NO_TASK
                                       ? task
                                       : sim_model_task(&sim->model, task->array);
    bool session_over = (task->spec.flags & DRV_SPEC_CANCEL_WITH_SESSION) != 0 ||
                        (whole->elements > 0 && !whole->sealed_acked);
    bool is_replaced = task->is_scheduled &&
                       sim->profile.clockwork.overlap == DRV_OVERLAP_REPLACE;
    return task->cancel_asked || whole->cancel_asked || task->cascade_asked || session_over ||
           is_replaced || sim->checker.purged[task->spec.queue];
}

static void check_cancelled(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    if (!has_reason_to_be_cancelled(sim, task)) {
        sim_checker_accuse(sim, serial, "cancelled without being asked");
    }
    sim_count_if(sim, task->cascade_asked && !task->cancel_asked, SIM_CANCELLED_ALONG_SEEN);
    sim_count_if(sim, task->is_scheduled, SIM_REPLACED_SEEN);
    if (task->hold != SIM_HOLD_LIVE) {
        sim_count(sim, task->hold == SIM_HOLD_RETURNED       ? SIM_CANCELLED_ASSIGNED_SEEN
                       : task->state == DROVER_STATE_DELAYED ? SIM_CANCELLED_DELAYED_SEEN
                       : task->state == DROVER_STATE_WAITING ? SIM_CANCELLED_WAITING_SEEN
                                                             : SIM_CANCELLED_QUEUED_SEEN);
        return;
    }
    sim_count(sim, SIM_CANCELLED_RUNNING_SEEN);
    if (task->reported_attempt != task->attempt && task->broken_attempt != task->attempt &&
        task->await_attempt != task->attempt && !worker_is_lost(sim, task)) {
        sim_checker_accuse(sim, serial, "cancelled while its worker may still run it");
    }
}

static void check_expired(struct sim *sim, uint32_t serial)
{
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    int64_t due = task->submitted_us + (int64_t)task->spec.expire_ms * 1000;
    if (task->spec.expire_ms == 0 ||
        sim->now_us + sim->profile.turn_us + sim_clock_ahead_us(sim) < due) {
        sim_checker_accuse(sim, serial, "expired before its time");
    } else if (task->ever_started) {
        sim_checker_accuse(sim, serial, "expired although it had started");
    } else if (task->hold == SIM_HOLD_LIVE && !worker_is_lost(sim, task)) {
        sim_checker_accuse(sim, serial, "expired while its worker may still start it");
    }
    sim_count(sim, task->state == DROVER_STATE_DELAYED   ? SIM_EXPIRED_DELAYED_SEEN
                   : task->state == DROVER_STATE_WAITING ? SIM_EXPIRED_WAITING_SEEN
                                                         : SIM_EXPIRED_QUEUED_SEEN);
}

static void on_ended(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (sim_state_is_terminal(task->state)) {
        sim_checker_accuse(sim, serial, "ended twice");
        return;
    }
    /* Unleased, its number may have been raised above what some worker still has. */
    bool fits = task->hold == SIM_HOLD_LIVE ? record->attempt == task->attempt
                                            : record->attempt >= task->attempt;
    if (!fits && is_counted(task)) {
        sim_checker_accuse(sim, serial, "ended by another attempt");
    }
    if (is_counted(task)) {
        switch (record->state) {
        case DROVER_STATE_SUCCEEDED:
            check_succeeded(sim, serial);
            break;
        case DROVER_STATE_FAILED:
            check_failed(sim, serial);
            break;
        case DROVER_STATE_CANCELLED:
            check_cancelled(sim, serial);
            break;
        case DROVER_STATE_EXPIRED:
            check_expired(sim, serial);
            break;
        default:
            sim_checker_accuse(sim, serial, "ended in a state that is no end");
            break;
        }
    }
    sim_line_remove(sim, task);
    if (task->hold == SIM_HOLD_LIVE) {
        release_hold(sim, task, worker_is_lost(sim, task) ? SIM_HOLD_LOST : SIM_HOLD_ENDED);
    }
    if (task->is_scheduled) {
        sim_clock_on_ended(sim);
    }
    task->ended_us = sim->now_us;
    task->ended_attempt = record->attempt;
    set_state(sim, task, record->state);
}

static void on_forgotten(struct sim *sim, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    const struct core_config *core = &sim->profile.core;
    if (!sim_state_is_terminal(task->state)) {
        sim_checker_accuse(sim, serial, "forgotten before it ended");
        return;
    }
    int64_t keep = task->state == DROVER_STATE_FAILED ? core->keep_failed_us : core->keep_us;
    bool asked = task->forget_asked || task->is_scheduled ||
                 (task->spec.flags & DRV_SPEC_RELEASE) != 0;
    /* Records are seen at the end of their turn. */
    int64_t over_us = sim->profile.turn_us + sim_clock_ahead_us(sim);
    bool kept = sim->now_us + over_us - task->ended_us < keep;
    /* Retention auto: until the submitting client has acknowledged the result. */
    bool settled = task->seen || (task->spec.flags & DRV_SPEC_WATCH) != 0;
    if (!asked && kept && !settled && !sim->profile.tight) {
        sim_checker_accuse(sim, serial, "forgotten before its time");
    }
    sim_count(sim, SIM_FORGOTTEN_SEEN);
    sim_deps_on_forgotten(sim, serial);
    for (uint32_t i = 0; i <= task->elements; i++) {
        sim_model_task(&sim->model, serial + i)->forgotten = true;
    }
}

/* ---- requests
 * --------------------------------------------------------------------------------------- */

/* A request about a queue has taken effect. */
static void on_control_recorded(struct sim *sim, uint32_t peer, uint32_t session, uint64_t req)
{
    struct sim_checker *checker = &sim->checker;
    uint32_t count = checker->control_count < SIM_CONTROLS_MAX ? checker->control_count
                                                               : SIM_CONTROLS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_control *control = &checker->controls[i];
        if (control->peer == peer && control->session == session && control->req == req &&
            (control->op == DRV_QUEUE_PAUSE || control->op == DRV_QUEUE_RESUME)) {
            checker->paused[control->queue] = control->op == DRV_QUEUE_PAUSE;
            sim_trace(sim, "broker.pause", control->queue, control->op, req);
        }
        if (control->peer == peer && control->session == session && control->req == req &&
            control->op == DRV_QUEUE_SET && control->queue == SIM_LIMITED) {
            sim_checker_on_limits(sim);
        }
    }
}

/* A request has one reply; what is sent again is answered from the books. */
static void on_reply_recorded(struct sim *sim, const struct core_record *record)
{
    uint32_t peer, session;
    if (!sim_session_read(sim, &record->session, &peer, &session)) {
        return; /* a stranger */
    }
    on_control_recorded(sim, peer, session, record->req);
    struct sim_seat *seat = &sim->checker.seats[peer];
    if (session != sim->peers[peer].session_number || record->req >= SIM_REQUEST_BITS) {
        return;
    }
    if (seat->effects_session != session) {
        seat->effects_session = session;
        memset(seat->effects, 0, sizeof seat->effects);
    }
    uint8_t bit = (uint8_t)(1u << (record->req % 8));
    if ((seat->effects[record->req / 8] & bit) != 0) {
        sim_fail(sim, "request %llu of client %u took effect twice",
                 (unsigned long long)record->req, peer);
    }
    seat->effects[record->req / 8] |= bit;
}

/* An array that is cancelled, or whose session ended before it was sealed. */
static void on_voided(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    bool sealed = record->kind == CORE_RECORD_ARRAY_SEALED && task->seal_heard;
    task->voided = task->voided || (task->elements > 0 && !sealed);
}

static void on_task_record(struct sim *sim, uint32_t serial, const struct core_record *record)
{
    switch ((unsigned)record->kind) {
    case CORE_RECORD_SUBMIT:
        on_submit(sim, serial, record);
        break;
    case CORE_RECORD_LEASE:
        on_lease(sim, serial, record);
        break;
    case CORE_RECORD_STARTED:
        on_started(sim, serial, record);
        break;
    case CORE_RECORD_RETURNED:
        on_returned(sim, serial, record);
        break;
    case CORE_RECORD_REQUEUED:
        on_requeued(sim, serial, record);
        break;
    case CORE_RECORD_ENDED:
        sim_ends_add(sim, serial, record->state);
        on_ended(sim, serial, record);
        break;
    case CORE_RECORD_FORGOTTEN:
        on_forgotten(sim, serial);
        break;
    case CORE_RECORD_CANCEL:
    case CORE_RECORD_ARRAY_SEALED:
        on_voided(sim, serial, record);
        break;
    default:
        break;
    }
}

void sim_checker_on_record(struct sim *sim, const struct core_record *record)
{
    switch (record->kind) {
    case CORE_RECORD_REPLY:
        on_reply_recorded(sim, record);
        break;
    case CORE_RECORD_SESSION:
    case CORE_RECORD_SESSION_END:
    case CORE_RECORD_KV:
    case CORE_RECORD_QUEUE:
        break;
    case CORE_RECORD_SUBMIT:
    case CORE_RECORD_LEASE:
    case CORE_RECORD_STARTED:
    case CORE_RECORD_RETURNED:
    case CORE_RECORD_REQUEUED:
    case CORE_RECORD_ENDED:
    case CORE_RECORD_FORGOTTEN:
    case CORE_RECORD_ARRAY_SEALED:
    case CORE_RECORD_CANCEL: {
        uint32_t serial = sim_model_find(&sim->model, &record->id, record->index);
        if (serial == SIM_NO_TASK) {
            serial = sim_clock_adopt(sim, record);
        }
        sim_trace(sim, "record", record->kind, serial, record->state);
        if (serial == SIM_NO_TASK) {
            sim_fail(sim, "a record about a task that nobody submitted");
        } else {
            on_task_record(sim, serial, record);
        }
        break;
    }
    }
}
