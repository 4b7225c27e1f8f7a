/*
 * sim_broker.c: the shell around the core in the simulation.
 */
#include "sim_broker.h"

#include <string.h>

#include "check.h"
#include "sim_keys.h"
#include "sim_world.h"

enum {
    DOWN_MIN_US = 50000,
    DOWN_MAX_US = 900000,
    DRAIN_PATIENCE_US = 2500000, /* a graceful end is cut short after this */
};

static const char *const client_endpoints[] = {"sim://clients"};
static const char *const worker_endpoints[] = {"sim://workers"};

/* ---- numbers
 * ------------------------------------------------------------------------------------ */

static bool number_assign(struct sim *sim, struct sim_conn *conn)
{
    for (uint32_t i = 0; i < SIM_NUMBERS_MAX; i++) {
        struct sim_number *number = &sim->broker.numbers[i];
        if (!number->used) {
            *number = (struct sim_number){.conn = conn->id, .used = true};
            conn->number = i;
            return true;
        }
    }
    sim_fail(sim, "%u connections are known to the core and never closed", SIM_NUMBERS_MAX);
    return false;
}

static struct sim_conn *conn_of(struct sim *sim, uint32_t number)
{
    if (number >= SIM_NUMBERS_MAX || !sim->broker.numbers[number].used) {
        sim_fail(sim, "an effect for connection %u, which the core was not told of", number);
        return NULL;
    }
    struct sim_conn *conn = sim_net_find(sim, sim->broker.numbers[number].conn);
    return conn != NULL && conn->ends[SIM_BROKER_SIDE].open ? conn : NULL;
}

/* ---- turns
 * -------------------------------------------------------------------------------------- */

static void broker_open_turn(struct sim *sim)
{
    if (!sim->broker.turn_open) {
        sim->broker.turn_open = true;
        sim_schedule(sim, SIM_EVENT_TURN, sim_between(sim, 0, sim->profile.turn_us), 0,
                     sim->broker.wire);
    }
}

static void broker_step(struct sim *sim, const struct core_event *event)
{
    core_step(sim->broker.core, event, sim->now_us);
    sim->broker.steps++;
    sim->stats.core_steps++;
    sim_checker_after_step(sim);
    broker_open_turn(sim);
}

static void broker_step_simple(struct sim *sim, enum core_event_kind kind, uint32_t number,
                               uint64_t token)
{
    struct core_event event = {.kind = kind, .peer = number, .token = token};
    broker_step(sim, &event);
}

void sim_broker_take_keys(struct sim *sim, struct access **access)
{
    struct core_event event = {.kind = CORE_EVENT_ACCESS, .access = access};
    broker_step(sim, &event);
}

/* ---- inputs
 * --------------------------------------------------------------------------------------- */

void sim_broker_on_message(struct sim *sim, struct sim_conn *conn,
                           const struct drv_message *message)
{
    if (sim->broker.core == NULL || (conn->number == UINT32_MAX && !number_assign(sim, conn))) {
        return;
    }
    if (sim->broker.numbers[conn->number].closing) {
        return;
    }
    sim_trace(sim, drv_kind_name(message->kind), conn->peer, message->seq, message->epoch);
    if (message->kind == DRV_HELLO) {
        uint32_t peer;
        (void)sim_session_read(sim, &message->hello.session, &peer, &conn->session);
        sim_net_agree(conn, SIM_BROKER_SIDE, sim->broker.wire, message->hello.credit_bytes);
    }
    sim_checker_on_heard(sim, conn, message);
    struct core_event event = {.kind = CORE_EVENT_MESSAGE,
                               .peer = conn->number,
                               .port = conn->port,
                               .message = message};
    sim_keys_show(sim, conn->peer, &event);
    broker_step(sim, &event);
}

void sim_broker_on_settled(struct sim *sim, struct sim_conn *conn, uint64_t token)
{
    if (sim->broker.core != NULL && conn->number != UINT32_MAX &&
        !sim->broker.numbers[conn->number].closing) {
        broker_step_simple(sim, CORE_EVENT_SETTLED, conn->number, token);
    }
}

static void broker_forget(struct sim *sim, struct sim_conn *conn, bool told)
{
    uint32_t number = conn->number;
    sim_net_close(sim, conn, SIM_BROKER_SIDE, told);
    if (sim->broker.core == NULL || number == UINT32_MAX ||
        sim->broker.numbers[number].closing) {
        return;
    }
    sim_trace(sim, "broker.gone", conn->peer, number, told);
    sim->broker.numbers[number].closing = true;
    sim_checker_on_gone(sim, conn);
    broker_step_simple(sim, CORE_EVENT_GONE, number, 0);
}

void sim_broker_on_broken(struct sim *sim, struct sim_conn *conn)
{
    broker_forget(sim, conn, false);
}

void sim_broker_on_bad(struct sim *sim, struct sim_conn *conn, drover_status status,
                       const struct drv_message *message)
{
    if (sim->broker.core == NULL) {
        return;
    }
    core_count_malformed(sim->broker.core);
    bool explained = sim_once_in(sim, 2);
    if (explained) {
        struct drv_message error = {.kind = DRV_ERROR,
                                    .failure = {.code = DROVER_PROTOCOL,
                                                .text = drv_str_of("broken"),
                                                .about_kind = message->kind,
                                                .about_seq = message->seq}};
        (void)sim_net_send(sim, conn, SIM_BROKER_SIDE, &error, 0);
    }
    (void)status;
    broker_forget(sim, conn, !explained || sim_once_in(sim, 2));
}

void sim_broker_on_room(struct sim *sim, struct sim_conn *conn)
{
    if (sim->broker.core == NULL || conn->number == UINT32_MAX) {
        return;
    }
    struct sim_number *number = &sim->broker.numbers[conn->number];
    size_t queued = sim_net_queued(sim, conn, SIM_BROKER_SIDE);
    if (number->blocked ? queued <= sim->profile.unblocked_at
                        : queued >= sim->profile.blocked_at) {
        number->look = true;
        broker_open_turn(sim);
    }
}

/* Peers whose queue has become long or short since. */
static void broker_look_at_rooms(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NUMBERS_MAX; i++) {
        struct sim_number *number = &sim->broker.numbers[i];
        if (!number->used || number->closing || !number->look) {
            continue;
        }
        number->look = false;
        struct sim_conn *conn = conn_of(sim, i);
        size_t queued = conn == NULL ? 0 : sim_net_queued(sim, conn, SIM_BROKER_SIDE);
        if (!number->blocked && queued >= sim->profile.blocked_at) {
            number->blocked = true;
            sim_count(sim, SIM_BLOCKED_SEEN);
            broker_step_simple(sim, CORE_EVENT_BLOCKED, i, 0);
        } else if (number->blocked && queued <= sim->profile.unblocked_at) {
            number->blocked = false;
            broker_step_simple(sim, CORE_EVENT_UNBLOCKED, i, 0);
        }
    }
}

/* ---- effects
 * ---------------------------------------------------------------------------------------- */

static void effect_send(struct sim *sim, const struct core_effect *effect)
{
    struct sim_conn *conn = conn_of(sim, effect->peer);
    if (conn == NULL || sim->broker.numbers[effect->peer].closing) {
        return;
    }
    sim_trace(sim, drv_kind_name(effect->message->kind), 1000 + conn->peer, effect->token, 0);
    sim_checker_on_send(sim, conn, effect->message);
    drover_status status = sim_net_send(sim, conn, SIM_BROKER_SIDE, effect->message,
                                        effect->token);
    if (status == DROVER_BUSY) {
        sim_fail(sim, "messages without bound pile up for peer %u", conn->peer);
    } else if (status != DROVER_OK && status != DROVER_CLOSED) {
        sim_fail(sim, "the broker could not send %s: %s", drv_kind_name(effect->message->kind),
                 drover_status_name(status));
    }
}

static void effect_close(struct sim *sim, const struct core_effect *effect)
{
    struct sim_conn *conn = conn_of(sim, effect->peer);
    if (conn != NULL) {
        sim_trace(sim, "broker.close", conn->peer, effect->peer, 0);
        sim_net_close(sim, conn, SIM_BROKER_SIDE, sim_once_in(sim, 2));
    }
    sim->broker.numbers[effect->peer].closing = true;
}

static void effect_apply(struct sim *sim, const struct core_effect *effect)
{
    struct sim_conn *conn;
    switch (effect->kind) {
    case CORE_SEND:
        effect_send(sim, effect);
        break;
    case CORE_CLOSE:
        effect_close(sim, effect);
        break;
    case CORE_SETTLE:
        conn = conn_of(sim, effect->peer);
        if (conn != NULL) {
            sim_net_settle(sim, conn, SIM_BROKER_SIDE, effect->seq);
        }
        break;
    case CORE_RECORD:
        sim_checker_on_record(sim, &effect->record);
        break;
    case CORE_ALERT:
    case CORE_NOTICE: /* for people */
        break;
    }
}

static void broker_apply(struct sim *sim)
{
    size_t count;
    const struct core_effect *effects = core_effects(sim->broker.core, &count);
    for (size_t i = 0; i < count && !sim->failed; i++) {
        effect_apply(sim, &effects[i]);
    }
    core_effects_clear(sim->broker.core);
}

/* What was closed in this turn may be named anew in the next. */
static void broker_tidy(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NUMBERS_MAX; i++) {
        struct sim_number *number = &sim->broker.numbers[i];
        if (number->closing) {
            number->used = false;
        }
    }
}

static void broker_schedule_wake(struct sim *sim, int64_t deadline_us)
{
    struct sim_broker *broker = &sim->broker;
    if (deadline_us <= sim->now_us) {
        deadline_us = sim->now_us + 1; /* a bounded amount was done, more is due */
    }
    if (deadline_us == INT64_MAX ||
        (broker->wake_at_us > sim->now_us && broker->wake_at_us <= deadline_us)) {
        return;
    }
    broker->wake_at_us = deadline_us;
    sim_schedule(sim, SIM_EVENT_WAKE, deadline_us - sim->now_us, 0, ++broker->wake);
}

static void broker_end(struct sim *sim);

/* What may leave before the records are safe. */
static bool is_early(const struct core_effect *effect)
{
    return effect->kind == CORE_SEND && effect->level == DROVER_DURABILITY_MEMORY &&
           effect->message->kind == DRV_REPLY;
}

/* The power goes while the turn's records are on their way to the disk. */
static void broker_die_in_turn(struct sim *sim)
{
    size_t count;
    const struct core_effect *effects = core_effects(sim->broker.core, &count);
    for (size_t i = 0; i < count && !sim->failed; i++) {
        if (is_early(&effects[i])) {
            effect_send(sim, &effects[i]);
        }
    }
    bool is_kept = sim_store_crash(sim);
    sim_count(sim, is_kept ? SIM_TURN_KEPT_SEEN : SIM_TURN_LOST_SEEN);
    for (size_t i = 0; is_kept && i < count && !sim->failed; i++) {
        if (effects[i].kind == CORE_RECORD) {
            sim_checker_on_record(sim, &effects[i].record);
        }
    }
    core_effects_clear(sim->broker.core);
    broker_end(sim);
}

/* As the shell tells it once a second: the history looks at everything. */
static void broker_tell_self(struct sim *sim)
{
    enum { SELF_US = 1000 * 1000 };
    struct sim_broker *broker = &sim->broker;
    if (sim->now_us < broker->self_at_us) {
        return;
    }
    broker->self_at_us = sim->now_us + SELF_US;
    const struct core_event event = {.kind = CORE_EVENT_SELF,
                                     .self = {.rss_bytes = 1, .loop_us = 1}};
    core_step(broker->core, &event, sim->now_us);
    sim_checker_after_step(sim);
}

void sim_broker_on_turn(struct sim *sim)
{
    struct sim_broker *broker = &sim->broker;
    if (broker->core == NULL) {
        return;
    }
    broker_look_at_rooms(sim);
    broker->turn_open = false;
    if (broker->kept.store != NULL) {
        (void)store_compact(broker->kept.store, broker->core);
    }
    broker_tell_self(sim);
    core_set_wall(broker->core, sim->now_us, sim_clock_wall_us(sim));
    int64_t deadline_us = core_tick(broker->core, sim->now_us);
    sim_checker_after_step(sim);
    if (!sim_store_keep(sim)) {
        broker_die_in_turn(sim);
        return;
    }
    broker_apply(sim);
    if (sim->failed) {
        return;
    }
    sim_checker_after_turn(sim);
    broker_tidy(sim);
    broker_schedule_wake(sim, deadline_us);
    if (broker->draining && core_is_drained(broker->core) && sim->phase < SIM_LEAVING) {
        broker_end(sim);
    }
}

void sim_broker_on_wake(struct sim *sim, uint64_t wake)
{
    if (wake == sim->broker.wake && !sim->broker.turn_open) {
        sim_broker_on_turn(sim);
    }
}

/* ---- life
 * --------------------------------------------------------------------------------------------
 */

uint64_t sim_broker_life(const struct sim *sim, uint64_t wire)
{
    return sim->broker.kept.disk == NULL ? wire : sim->broker.epoch;
}

void sim_broker_start(struct sim *sim)
{
    struct sim_broker *broker = &sim->broker;
    struct core_config config = sim->profile.core;
    bool goes_on = broker->kept.disk != NULL && broker->epoch > 0;
    broker->epoch += goes_on ? 0 : 1;
    broker->wire = broker->epoch;
    if (broker->epoch == 1 && !goes_on) {
        sim_new_id(sim, &broker->id);
    }
    config.seed = drv_rng_next(&sim->rng);
    config.broker_id = broker->id;
    config.epoch = broker->epoch;
    config.software = "sim";
    config.store_name = "memory";
    config.client_endpoints = client_endpoints;
    config.client_endpoint_count = DRV_ARRAY_LEN(client_endpoints);
    config.worker_endpoints = worker_endpoints;
    config.worker_endpoint_count = DRV_ARRAY_LEN(worker_endpoints);
    sim_store_open(sim, &config);
    config.defects = sim->config.defects;
    sim_trace(sim, "broker.start", broker->epoch, 0, 0);
    memset(broker->numbers, 0, sizeof broker->numbers);
    broker->turn_open = false;
    broker->draining = false;
    broker->wake_at_us = 0;
    broker->started_us = broker->self_at_us = sim->now_us;
    drover_status status = core_new(&config, sim->now_us, &broker->core);
    DRV_ASSERT(status == DROVER_OK);
    sim_store_recover(sim);
    sim_checker_on_broker_start(sim, goes_on);
    sim_keys_hand_out(sim);
    sim_clock_on_broker(sim, goes_on);
    broker_open_turn(sim);
}

void sim_broker_fini(struct sim *sim)
{
    core_destroy(&sim->broker.core);
    sim_store_fini(sim);
}

static void broker_end(struct sim *sim)
{
    struct sim_broker *broker = &sim->broker;
    sim_trace(sim, "broker.end", broker->epoch, broker->draining, 0);
    sim_store_end(sim);
    core_destroy(&broker->core);
    broker->ends++;
    broker->wake++;
    broker->draining = false;
    bool told = sim_once_in(sim, 2);
    for (uint32_t i = sim->net.oldest; i < sim->net.count; i++) {
        if (sim->net.conns[i] != NULL) {
            sim_net_close(sim, sim->net.conns[i], SIM_BROKER_SIDE, told);
        }
    }
    sim_schedule(sim, SIM_EVENT_RESTART, sim_between(sim, DOWN_MIN_US, DOWN_MAX_US), 0,
                 broker->ends);
}

void sim_broker_crash(struct sim *sim)
{
    if (sim->broker.core == NULL) {
        return;
    }
    sim_count(sim, SIM_FAULT_BROKER_CRASH_SEEN);
    if (sim->broker.kept.store != NULL && !sim_once_in(sim, 3)) {
        sim->broker.kept.dies = true; /* soon, in the middle of something */
        return;
    }
    (void)sim_store_crash(sim);
    broker_end(sim);
}

void sim_broker_drain(struct sim *sim)
{
    struct sim_broker *broker = &sim->broker;
    if (broker->core == NULL || broker->draining) {
        return;
    }
    sim_count(sim, SIM_FAULT_BROKER_DRAIN_SEEN);
    sim_trace(sim, "broker.drain", broker->epoch, 0, 0);
    broker->draining = true;
    core_drain(broker->core, sim->now_us);
    sim_checker_after_step(sim);
    broker_open_turn(sim);
    sim_schedule(sim, SIM_EVENT_RESTART, DRAIN_PATIENCE_US, 0, broker->ends);
}

/* Back again, or the end of the patience with a drain. */
void sim_broker_on_restart(struct sim *sim, uint64_t ends)
{
    if (ends != sim->broker.ends) {
        return;
    }
    if (sim->broker.core == NULL) {
        sim_broker_start(sim);
    } else if (sim->broker.draining && sim->phase < SIM_LEAVING) {
        broker_end(sim);
    }
}
