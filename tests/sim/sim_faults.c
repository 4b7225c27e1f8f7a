/*
 * sim_faults.c: faults of peers, of their connections and of the broker.
 */
#include "sim_faults.h"

#include "check.h"
#include "sim_book.h"
#include "sim_client.h"
#include "sim_keys.h"
#include "sim_worker.h"
#include "sim_world.h"

static struct sim_peer *random_worker(struct sim *sim)
{
    return sim_worker_at(sim, (uint32_t)drv_rng_below(&sim->rng, sim->worker_count));
}

static struct sim_peer *random_client(struct sim *sim)
{
    return &sim->peers[drv_rng_below(&sim->rng, sim->client_count)];
}

static struct sim_peer *random_peer(struct sim *sim)
{
    return sim_once_in(sim, 3) ? random_client(sim) : random_worker(sim);
}

/* ---- connections
 * ---------------------------------------------------------------------------------- */

static void strike_break(struct sim *sim)
{
    struct sim_conn *conn = sim_peer_conn(sim, random_peer(sim));
    if (conn != NULL) {
        sim_net_break(sim, conn, sim_once_in(sim, 2));
    }
}

static void strike_partition(struct sim *sim)
{
    static const enum sim_stat stats[] = {SIM_FAULT_PARTITION_SEEN, SIM_FAULT_PARTITION_IN_SEEN,
                                          SIM_FAULT_PARTITION_OUT_SEEN};
    struct sim_peer *peer = random_peer(sim);
    unsigned way = (unsigned)drv_rng_below(&sim->rng, 3);
    if (peer->cut_in || peer->cut_out) {
        return;
    }
    peer->cut_in = way != 2;
    peer->cut_out = way != 1;
    sim_count(sim, stats[way]);
    sim_trace(sim, "fault.partition", peer->number, way, 0);
    sim_schedule(sim, SIM_EVENT_MEND,
                 sim_between(sim, 100000, sim->profile.core.lease_us * 3 / 2), peer->number, 0);
}

static void strike_stall(struct sim *sim)
{
    struct sim_peer *peer = random_peer(sim);
    sim_count(sim, SIM_FAULT_STALL_SEEN);
    int64_t until_us = sim->now_us +
                       sim_between(sim, 50000, sim->profile.core.lease_us * 5 / 4);
    peer->held_until_us = until_us > peer->held_until_us ? until_us : peer->held_until_us;
    sim_trace(sim, "fault.stall", peer->number, (uint64_t)peer->held_until_us, 0);
}

/* ---- processes
 * -------------------------------------------------------------------------------------- */

static void strike_pause(struct sim *sim)
{
    sim_count(sim, SIM_FAULT_PEER_PAUSE_SEEN);
    sim_peer_stop(sim, random_peer(sim), sim_between(sim, 5000, 800000));
}

static void strike_hang(struct sim *sim)
{
    int64_t lease_us = sim->profile.core.lease_us;
    struct sim_peer *worker = random_worker(sim);
    if (worker->state == SIM_READY && !worker->stopped) {
        sim_count(sim, SIM_FAULT_WORKER_HANG_SEEN);
        sim_peer_stop(sim, worker, sim_between(sim, lease_us + 1000, lease_us * 2));
    }
}

static void strike_crash(struct sim *sim)
{
    struct sim_peer *worker = random_worker(sim);
    if (worker->state == SIM_DEAD || worker->stopped) {
        return;
    }
    if (sim_once_in(sim, 3)) {
        worker->worker->doomed = true;
    } else {
        sim_worker_crash(sim, worker, sim_once_in(sim, 2));
    }
}

/* What runs the handlers ends, the worker does not: one task is lost with it, or all that
 * shared it are interrupted. */
static void strike_executor(struct sim *sim)
{
    struct sim_peer *worker = random_worker(sim);
    bool shared = sim_once_in(sim, 2);
    if (worker->state == SIM_READY && !worker->stopped &&
        sim_book_break_off(sim, worker, shared ? DRV_RETURN_INTERRUPTED : DRV_RETURN_LOST)) {
        sim_count(sim, shared ? SIM_FAULT_EXECUTOR_SHARED_SEEN : SIM_FAULT_EXECUTOR_GONE_SEEN);
    }
}

static void strike_worker_bye(struct sim *sim)
{
    struct sim_peer *worker = random_worker(sim);
    if (worker->state == SIM_READY && !worker->stopped && !worker->worker->leaving) {
        sim_count(sim, SIM_FAULT_WORKER_BYE_SEEN);
        sim_worker_leave(sim, worker);
    }
}

static void strike_deaf(struct sim *sim, struct sim_peer *peer, enum sim_stat stat)
{
    if (peer->state != SIM_READY || peer->deaf) {
        return;
    }
    sim_count(sim, stat);
    sim_peer_set_deaf(sim, peer, true);
    sim_schedule(sim, SIM_EVENT_LISTEN,
                 sim_between(sim, 200000, sim->profile.core.lease_us * 3 / 2), peer->number, 0);
}

static void strike_client_end(struct sim *sim, bool goodbye)
{
    struct sim_peer *client = random_client(sim);
    if (client->stopped || client->state != SIM_READY) {
        return;
    }
    sim_count(sim, goodbye ? SIM_FAULT_CLIENT_BYE_SEEN : SIM_FAULT_CLIENT_GONE_SEEN);
    sim_trace(sim, "fault.client", client->number, goodbye, 0);
    sim_client_restart(sim, client, goodbye);
}

/* ---- strangers
 * --------------------------------------------------------------------------------------- */

static struct drv_message stranger_hello(struct sim *sim, enum drv_role role)
{
    struct drv_message message = {.kind = DRV_HELLO,
                                  .hello = {.version_min = 1,
                                            .version_max = 1,
                                            .role = role,
                                            .name = drv_str_of("stranger"),
                                            .software = drv_str_of("none"),
                                            .credit_items = 1,
                                            .credit_bytes = 1000}};
    sim_new_id(sim, &message.hello.session);
    if (role == DRV_ROLE_WORKER) {
        message.hello.has_worker = true;
        message.hello.worker.slots = 1;
        message.hello.worker.lease_count = 1; /* and no ATTACH ever comes */
    }
    return message;
}

static void strike_stranger(struct sim *sim)
{
    struct sim_peer *stranger = &sim->peers[sim->peer_count - 1];
    enum core_port port = sim_once_in(sim, 2) ? CORE_PORT_CLIENT : CORE_PORT_WORKER;
    unsigned trick = (unsigned)drv_rng_below(&sim->rng, 6);
    sim_peer_disconnect(sim, stranger, sim_once_in(sim, 2));
    struct sim_conn *conn = sim_net_connect(sim, stranger->number, port);
    stranger->conn = conn->id;
    stranger->state = SIM_GREETING;
    sim_count(sim, SIM_FAULT_STRANGER_SEEN);
    sim_trace(sim, "fault.stranger", trick, port, 0);
    enum drv_role role = sim_once_in(sim, 2) ? DRV_ROLE_CLIENT : DRV_ROLE_WORKER;
    struct drv_message message = stranger_hello(sim, role);
    if (trick == 0) {
        message.hello.version_min = 7;
        message.hello.version_max = 9;
    } else if (trick == 1) {
        message.hello.resume = true; /* a session that never was */
    } else if (trick == 2) {
        message = (struct drv_message){.kind = DRV_KV, .kv = {.op = DRV_KV_GET}};
        message.kv.key = drv_str_of("counter-0");
        message.kv.val.is_nil = true;
        message.request.req = 1;
    } else if (trick == 3) {
        message = (struct drv_message){.kind = DRV_HEARTBEAT};
    }
    (void)sim_peer_send(sim, stranger, &message, 0);
    if (trick == 4) {
        (void)sim_peer_send(sim, stranger, &message, 0); /* twice */
    }
}

/* ---- which one
 * ----------------------------------------------------------------------------------------- */

static void strike_broker(struct sim *sim, bool drain)
{
    if (sim->broker.ends + sim->broker.draining >= sim->profile.broker_ends_max) {
        return;
    }
    if (drain) {
        sim_broker_drain(sim);
    } else {
        sim_broker_crash(sim);
    }
}

static void strike(struct sim *sim, enum sim_fault_kind kind)
{
    switch (kind) {
    case SIM_FAULT_BREAK:
        strike_break(sim);
        break;
    case SIM_FAULT_PARTITION:
        strike_partition(sim);
        break;
    case SIM_FAULT_STALL:
        strike_stall(sim);
        break;
    case SIM_FAULT_PAUSE:
        strike_pause(sim);
        break;
    case SIM_FAULT_HANG:
        strike_hang(sim);
        break;
    case SIM_FAULT_CRASH:
        strike_crash(sim);
        break;
    case SIM_FAULT_EXECUTOR:
        strike_executor(sim);
        break;
    case SIM_FAULT_WORKER_BYE:
        strike_worker_bye(sim);
        break;
    case SIM_FAULT_WORKER_DEAF:
        strike_deaf(sim, random_worker(sim), SIM_FAULT_WORKER_DEAF_SEEN);
        break;
    case SIM_FAULT_CLIENT_DEAF:
        strike_deaf(sim, random_client(sim), SIM_FAULT_CLIENT_DEAF_SEEN);
        break;
    case SIM_FAULT_CLIENT_GONE:
    case SIM_FAULT_CLIENT_BYE:
        strike_client_end(sim, kind == SIM_FAULT_CLIENT_BYE);
        break;
    case SIM_FAULT_STRANGER:
        strike_stranger(sim);
        break;
    case SIM_FAULT_FORGE:
        sim_worker_forge(sim, random_worker(sim));
        break;
    case SIM_FAULT_BROKER_CRASH:
    case SIM_FAULT_BROKER_DRAIN:
        strike_broker(sim, kind == SIM_FAULT_BROKER_DRAIN);
        break;
    case SIM_FAULT_CLOCK:
        sim_count(sim, SIM_FAULT_CLOCK_SEEN);
        sim_clock_jump(sim);
        break;
    case SIM_FAULT_KIND_COUNT:
        DRV_UNREACHABLE();
    }
}

void sim_faults_strike(struct sim *sim)
{
    if (sim->phase != SIM_ACTIVE || sim->profile.faults == 0) {
        return;
    }
    if (sim->now_us % 4 == 0) {
        sim_keys_hand_out(sim); /* as after a SIGHUP */
    }
    unsigned kind = (unsigned)drv_rng_below(&sim->rng, SIM_FAULT_KIND_COUNT);
    while ((sim->profile.faults & 1u << kind) == 0) {
        kind = (kind + 1) % SIM_FAULT_KIND_COUNT;
    }
    strike(sim, (enum sim_fault_kind)kind);
    sim_schedule(sim, SIM_EVENT_FAULT, sim_between(sim, 1, 2 * sim->profile.fault_gap_us), 0,
                 0);
}

void sim_faults_mend(struct sim *sim, struct sim_peer *peer)
{
    sim_trace(sim, "fault.mended", peer->number, 0, 0);
    peer->cut_in = false;
    peer->cut_out = false;
}

void sim_faults_heal(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->peer_count; i++) {
        struct sim_peer *peer = &sim->peers[i];
        sim_faults_mend(sim, peer);
        if (peer->worker != NULL) {
            peer->worker->doomed = false;
        }
        if (peer->deaf) {
            sim_peer_set_deaf(sim, peer, false);
        }
    }
    sim_peer_disconnect(sim, &sim->peers[sim->peer_count - 1], true); /* the stranger */
}
