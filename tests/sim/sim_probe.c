/*
 * sim_probe.c: the state of the whole: counters, limits, the end.
 */
#include <string.h>

#include "sim_book.h"
#include "sim_checker.h"
#include "sim_deps.h"
#include "sim_worker.h"
#include "sim_world.h"

enum {
    MEMORY_SLACK = 2 << 20, /* one message beyond the limit */
    EMPTY_MEMORY = 64 << 10,
};

/* ---- the broker's side of the peers
 * ------------------------------------------------------------- */

/* Nobody is connected, and nothing is stuck yet. */
static void all_are_away(struct sim *sim)
{
    struct sim_checker *checker = &sim->checker;
    sim_checker_forget_stuck(sim);
    for (unsigned i = 0; i < SIM_SEATS; i++) {
        checker->seats[i].gone_us = INT64_MAX;
        checker->seats[i].conn = UINT32_MAX;
        checker->seats[i].heard_us = sim->now_us;
    }
}

void sim_checker_on_broker_start(struct sim *sim, bool goes_on)
{
    struct sim_checker *checker = &sim->checker;
    if (goes_on) {
        all_are_away(sim);
        checker->tokens = 0; /* a new life begins without */
        checker->tokens_us = sim->now_us;
        return;
    }
    uint64_t arrival = checker->next_arrival;
    memset(checker, 0, sizeof *checker);
    checker->next_arrival = arrival;
    all_are_away(sim);
    for (unsigned queue = 0; queue < SIM_QUEUE_COUNT; queue++) {
        for (unsigned type = 0; type < SIM_TYPE_COUNT; type++) {
            for (unsigned i = 0; i < SIM_PRIORITIES; i++) {
                for (unsigned kind = 0; kind < SIM_KINDS; kind++) {
                    checker->lines[queue][type][i][kind] = (struct sim_line){
                        .first = SIM_NO_TASK, .last = SIM_NO_TASK};
                }
            }
        }
    }
    for (uint32_t i = 0; i < sim->model.count; i++) {
        sim_model_task(&sim->model, i)->hold = SIM_HOLD_NONE;
        sim_model_task(&sim->model, i)->in_line = false;
    }
}

/* Remembered until the record of its reply says that it has taken effect. */
static void on_queue_heard(struct sim *sim, const struct sim_conn *conn,
                           const struct drv_message *message)
{
    struct sim_checker *checker = &sim->checker;
    const struct drv_queue_request *request = &message->queue;
    for (unsigned queue = 0; queue < SIM_QUEUE_COUNT; queue++) {
        const char *name = sim_queue_name(queue);
        if (request->queue.len != strlen(name) ||
            memcmp(request->queue.ptr, name, request->queue.len) != 0) {
            continue;
        }
        sim_trace(sim, "broker.queue", queue, request->op, message->request.req);
        checker->purged[queue] = checker->purged[queue] || request->op == DRV_QUEUE_PURGE;
        checker->limit_set = checker->limit_set || request->op == DRV_QUEUE_SET;
        checker->limits_heard = checker->limits_heard ||
                                (request->op == DRV_QUEUE_SET && queue == SIM_LIMITED);
        checker->controls[checker->control_count++ % SIM_CONTROLS_MAX] = (struct sim_control){
            .peer = conn->peer,
            .session = conn->session,
            .req = message->request.req,
            .queue = queue,
            .op = request->op};
    }
}

/* What an earlier session of this seat holds does not count for the new one. */
static void on_session_heard(struct sim *sim, struct sim_seat *seat, const drover_id *session)
{
    uint32_t peer, number;
    if (sim_session_read(sim, session, &peer, &number) && seat->live_session != number) {
        seat->live_session = number;
        seat->live = 0;
    }
}

void sim_checker_on_heard(struct sim *sim, const struct sim_conn *conn,
                          const struct drv_message *message)
{
    struct sim_seat *seat = &sim->checker.seats[conn->peer];
    if (message->kind == DRV_ARRAY_SEAL) {
        uint32_t array = sim_model_find(&sim->model, &message->array_seal.id,
                                        DROVER_INDEX_NONE);
        if (array != SIM_NO_TASK) {
            sim_model_task(&sim->model, array)->seal_heard = true;
        }
    }
    if (message->kind == DRV_SCHEDULE) {
        sim_clock_on_heard(sim, message->schedule.op,
                           conn->session != sim->peers[conn->peer].session_number);
    }
    if (message->kind == DRV_QUEUE) {
        on_queue_heard(sim, conn, message);
    }
    if (message->kind == DRV_HELLO) {
        seat->conn = conn->id;
        seat->hello_us = sim->now_us;
        seat->gone_us = INT64_MAX;
        seat->credit = message->hello.credit_items;
        seat->said_goodbye = false;
        seat->is_heavy = false;
        on_session_heard(sim, seat, &message->hello.session);
    }
    if (conn->id != seat->conn) {
        return; /* of a connection that was replaced */
    }
    seat->heard_us = sim->now_us;
    if (message->kind == DRV_CREDIT) {
        seat->credit = message->credit.items;
    } else if (message->kind == DRV_GOODBYE) {
        seat->said_goodbye = true;
    } else if (message->kind == DRV_HEARTBEAT && message->heartbeat.has_host) {
        seat->is_heavy = message->heartbeat.host.memory_percent >
                         sim->profile.core.memory_mark_percent;
        seat->was_heavy = seat->is_heavy;
        sim_count_if(sim, seat->is_heavy, SIM_HEAVY_SEEN);
    }
}

void sim_checker_on_gone(struct sim *sim, const struct sim_conn *conn)
{
    struct sim_seat *seat = &sim->checker.seats[conn->peer];
    if (conn->id == seat->conn) {
        seat->gone_us = sim->now_us;
    }
}

/* ---- what the broker says
 * -------------------------------------------------------------------------- */

static void on_cancel_reply(struct sim *sim, const struct sim_request *request,
                            const struct drv_reply *reply)
{
    for (uint32_t i = 0; i < request->count && reply->code == DROVER_OK; i++) {
        bool noted = false;
        for (size_t j = 0; j < reply->note_count; j++) {
            noted = noted || reply->notes[j].position == i;
        }
        uint32_t serial = request->targets[i];
        uint32_t elements = sim_model_task(&sim->model, serial)->elements;
        for (uint32_t j = 0; j <= elements && !noted; j++) {
            sim_model_task(&sim->model, serial + j)->cancel_acked = true;
        }
    }
}

void sim_checker_on_send(struct sim *sim, const struct sim_conn *conn,
                         const struct drv_message *message)
{
    struct sim_peer *peer = &sim->peers[conn->peer];
    if (message->kind != DRV_REPLY || peer->role != SIM_CLIENT || peer->conn != conn->id) {
        return;
    }
    for (size_t i = 0; i < message->reply.reply_count; i++) {
        const struct drv_reply *reply = &message->reply.replies[i];
        const struct sim_request *request = sim_request_find(peer->client, reply->req);
        if (request != NULL && request->kind == DRV_CANCEL) {
            on_cancel_reply(sim, request, reply);
        }
    }
}

/* ---- counters
 * ----------------------------------------------------------------------------------------- */

void sim_checker_after_step(struct sim *sim)
{
    struct core_counters c;
    core_counters_get(sim->broker.core, &c);
    uint64_t sum = c.waiting + c.delayed + c.queued + c.running + c.succeeded + c.failed +
                   c.cancelled + c.expired + c.lost_at_restart;
    if (c.submitted != sum) {
        sim_fail(sim, "conservation law: submitted %llu, the states make %llu",
                 (unsigned long long)c.submitted, (unsigned long long)sum);
    }
    if (sim->broker.steps % sim->config.check_every == 0) {
        const char *broken = core_check(sim->broker.core);
        if (broken != NULL) {
            sim_fail(sim, "core_check: %s", broken);
        }
    }
}

static void check_count(struct sim *sim, const char *name, uint64_t counted, uint64_t recorded)
{
    if (counted != recorded) {
        sim_fail(sim, "counter %s is %llu, the records make %llu", name,
                 (unsigned long long)counted, (unsigned long long)recorded);
    }
}

void sim_checker_after_turn(struct sim *sim)
{
    const uint64_t *by_state = sim->checker.by_state;
    struct core_counters c;
    core_counters_get(sim->broker.core, &c);
    check_count(sim, "submitted", c.submitted - c.lost_at_restart, sim->checker.submitted);
    check_count(sim, "waiting, delayed, queued", c.waiting + c.delayed + c.queued,
                by_state[DROVER_STATE_WAITING] + by_state[DROVER_STATE_DELAYED] +
                    by_state[DROVER_STATE_QUEUED]);
    check_count(sim, "running", c.running, by_state[DROVER_STATE_RUNNING]);
    check_count(sim, "succeeded", c.succeeded, by_state[DROVER_STATE_SUCCEEDED]);
    check_count(sim, "failed", c.failed, by_state[DROVER_STATE_FAILED]);
    check_count(sim, "cancelled", c.cancelled, by_state[DROVER_STATE_CANCELLED]);
    check_count(sim, "expired", c.expired, by_state[DROVER_STATE_EXPIRED]);
    uint64_t memory = core_memory_bytes(sim->broker.core);
    if (memory > sim->profile.core.memory_max + MEMORY_SLACK) {
        sim_fail(sim, "memory is %llu, its limit %llu", (unsigned long long)memory,
                 (unsigned long long)sim->profile.core.memory_max);
    }
}

/* ---- the end
 * -------------------------------------------------------------------------------------------
 */

static bool has_ended(struct sim *sim, const struct sim_task *task)
{
    return !task->known || task->epoch != sim->broker.epoch ||
           sim_state_is_terminal(task->state);
}

bool sim_checker_all_ended(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        if (!has_ended(sim, sim_model_task(&sim->model, i))) {
            return false;
        }
    }
    return true;
}

void sim_checker_final(struct sim *sim)
{
    uint64_t memory = core_memory_bytes(sim->broker.core);
    if (memory > EMPTY_MEMORY) {
        sim_fail(sim, "an empty broker accounts %llu bytes", (unsigned long long)memory);
    }
}
