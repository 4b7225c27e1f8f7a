/*
 * sim_peer.c: the life of a peer's connections, the same for clients and workers.
 */
#include "sim_peer.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim_client.h"
#include "sim_worker.h"
#include "sim_world.h"

enum {
    BACKOFF_MIN_US = 50000,
    BACKOFF_MAX_US = 2000000,
    SESSION_MARK = 0x53, /* a byte that tells our sessions from chance */
};

void sim_peer_fini(struct sim_peer *peer)
{
    sim_client_destroy(&peer->client);
    sim_worker_destroy(&peer->worker);
}

/* ---- sessions -----------------------------------------------------------------------------
 */

void sim_peer_new_session(struct sim *sim, struct sim_peer *peer)
{
    uint64_t random = drv_rng_next(&sim->rng);
    uint16_t number = (uint16_t)peer->number;
    peer->session_number++;
    peer->resume = false;
    memcpy(peer->session.bytes, &random, sizeof random);
    peer->session.bytes[8] = SESSION_MARK;
    peer->session.bytes[9] = (uint8_t)peer->role;
    memcpy(peer->session.bytes + 10, &number, sizeof number);
    memcpy(peer->session.bytes + 12, &peer->session_number, sizeof peer->session_number);
    sim_trace(sim, "peer.session", peer->number, peer->session_number, 0);
}

bool sim_session_read(const struct sim *sim, const drover_id *session, uint32_t *out_peer,
                      uint32_t *out_number)
{
    uint16_t peer;
    memcpy(&peer, session->bytes + 10, sizeof peer);
    if (session->bytes[8] != SESSION_MARK || peer >= sim->peer_count) {
        return false;
    }
    *out_peer = peer;
    memcpy(out_number, session->bytes + 12, sizeof *out_number);
    return true;
}

struct sim_peer *sim_peer_of_session(struct sim *sim, const drover_id *session)
{
    uint32_t peer, number;
    if (!sim_session_read(sim, session, &peer, &number)) {
        return NULL;
    }
    return drover_id_equal(&sim->peers[peer].session, session) ? &sim->peers[peer] : NULL;
}

/* ---- connections --------------------------------------------------------------------------
 */

static bool timer_is_of_connection(enum sim_event_kind kind)
{
    return kind == SIM_EVENT_PATIENCE || kind == SIM_EVENT_HEARTBEAT ||
           kind == SIM_EVENT_FLUSH || kind == SIM_EVENT_SETTLE || kind == SIM_EVENT_CONNECT;
}

void sim_peer_timer(struct sim *sim, const struct sim_peer *peer, enum sim_event_kind kind,
                    int64_t delay_us, uint64_t arg)
{
    sim_events_add(&sim->events,
                   (struct sim_event){.at_us = sim->now_us + (delay_us > 0 ? delay_us : 0),
                                      .kind = kind,
                                      .who = peer->number,
                                      .arg = arg,
                                      .generation = peer->generation});
}

void sim_peer_beat_in(struct sim *sim, struct sim_peer *peer, int64_t next_us)
{
    if (next_us > 0) {
        sim_peer_timer(sim, peer, SIM_EVENT_HEARTBEAT, next_us, ++peer->beat);
    }
}

struct sim_conn *sim_peer_conn(struct sim *sim, const struct sim_peer *peer)
{
    if (peer->state != SIM_GREETING && peer->state != SIM_READY) {
        return NULL;
    }
    struct sim_conn *conn = sim_net_find(sim, peer->conn);
    return conn != NULL && conn->ends[SIM_PEER_SIDE].open ? conn : NULL;
}

bool sim_peer_send(struct sim *sim, struct sim_peer *peer, const struct drv_message *message,
                   uint64_t token)
{
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (conn == NULL) {
        return false;
    }
    drover_status status = sim_net_send(sim, conn, SIM_PEER_SIDE, message, token);
    if (status != DROVER_OK && status != DROVER_BUSY && status != DROVER_CLOSED) {
        sim_fail(sim, "peer %u could not encode %s: %s", peer->number,
                 drv_kind_name(message->kind), drover_status_name(status));
    }
    return status == DROVER_OK;
}

void sim_peer_settle(struct sim *sim, struct sim_peer *peer)
{
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (conn != NULL) {
        sim_net_settle(sim, conn, SIM_PEER_SIDE, peer->received);
    }
}

void sim_peer_disconnect(struct sim *sim, struct sim_peer *peer, bool told)
{
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (conn != NULL) {
        sim_net_close(sim, conn, SIM_PEER_SIDE, told);
    }
    peer->generation++;
    if (peer->state == SIM_GREETING || peer->state == SIM_READY) {
        peer->state = SIM_IDLE;
        if (peer->role == SIM_CLIENT) {
            sim_client_on_disconnect(sim, peer);
        } else if (peer->role == SIM_WORKER) {
            sim_worker_on_disconnect(sim, peer);
        }
    }
}

void sim_peer_connect_later(struct sim *sim, struct sim_peer *peer, int64_t delay_us)
{
    peer->state = SIM_IDLE;
    peer->generation++;
    sim_peer_timer(sim, peer, SIM_EVENT_CONNECT, delay_us, 0);
}

void sim_peer_reconnect(struct sim *sim, struct sim_peer *peer, bool told)
{
    if (peer->state == SIM_DEAD || peer->state == SIM_FINISHED || peer->role == SIM_STRANGER) {
        return;
    }
    int64_t backoff = BACKOFF_MIN_US;
    for (unsigned i = 0; i < peer->attempts && backoff < BACKOFF_MAX_US; i++) {
        backoff *= 2;
    }
    peer->attempts++;
    sim_trace(sim, "peer.reconnect", peer->number, peer->attempts, told);
    sim_peer_disconnect(sim, peer, told);
    sim_peer_connect_later(sim, peer, sim_between(sim, backoff / 2, backoff));
}

static void peer_connect(struct sim *sim, struct sim_peer *peer)
{
    struct sim_conn *conn = sim_net_connect(
        sim, peer->number, peer->role == SIM_WORKER ? CORE_PORT_WORKER : CORE_PORT_CLIENT);
    peer->conn = conn->id;
    peer->state = SIM_GREETING;
    peer->generation++;
    peer->received = 0;
    sim_trace(sim, "peer.connect", peer->number, conn->id, conn->direct);
    sim_peer_timer(sim, peer, SIM_EVENT_PATIENCE, sim->profile.core.lease_us, 0);
    if (peer->role == SIM_WORKER) {
        sim_worker_greet(sim, peer);
    } else {
        sim_client_greet(sim, peer);
    }
}

void sim_peer_goodbye(struct sim *sim, struct sim_peer *peer)
{
    struct drv_message message = {.kind = DRV_GOODBYE};
    (void)sim_peer_send(sim, peer, &message, 0);
}

/* ---- messages ------------------------------------------------------------------------------
 */

static void peer_on_welcome(struct sim *sim, struct sim_peer *peer,
                            const struct drv_message *message)
{
    const struct drv_welcome *welcome = &message->welcome;
    if (peer->state != SIM_GREETING) {
        sim_fail(sim, "peer %u was welcomed twice", peer->number);
        return;
    }
    bool resumed = peer->resume && welcome->resumed;
    if (welcome->resumed && !peer->resume) {
        sim_fail(sim, "peer %u: a new session was resumed", peer->number);
    }
    sim_net_agree(sim_net_find(sim, peer->conn), SIM_PEER_SIDE, message->epoch,
                  welcome->credit_bytes);
    peer->state = SIM_READY;
    bool is_new_broker = peer->wire != message->epoch;
    peer->epoch = sim_broker_life(sim, message->epoch);
    peer->wire = message->epoch;
    peer->attempts = 0;
    peer->heartbeat_us = (int64_t)welcome->heartbeat_ms * 1000;
    peer->lease_us = (int64_t)welcome->lease_ms * 1000;
    sim_peer_beat_in(sim, peer, sim_between(sim, 1, peer->heartbeat_us));
    sim_trace(sim, "peer.welcome", peer->number, message->epoch, resumed);
    if (peer->role == SIM_WORKER) {
        sim_worker_on_welcome(sim, peer, resumed);
    } else {
        if (is_new_broker) {
            sim_client_watch_anew(sim, peer);
            sim_stream_on_session_lost(peer); /* its numbers mean nothing any more */
        }
        sim_client_on_welcome(sim, peer, resumed);
    }
    peer->resume = true;
}

static void peer_on_error(struct sim *sim, struct sim_peer *peer,
                          const struct drv_failure *failure)
{
    sim_trace(sim, "peer.error", peer->number, failure->code, failure->about_kind);
    switch (failure->code) {
    case DROVER_SESSION_EXPIRED:
        if (peer->role != SIM_CLIENT) {
            sim_fail(sim, "worker %u was told that its session expired", peer->number);
            return;
        }
        sim_client_on_session_lost(sim, peer);
        sim_peer_new_session(sim, peer);
        sim_peer_reconnect(sim, peer, true);
        break;
    case DROVER_CLOSED:
    case DROVER_PROTOCOL:
    case DROVER_MALFORMED:
    case DROVER_BUSY:
    case DROVER_DRAINING:
        sim_peer_reconnect(sim, peer, true);
        break;
    default:
        sim_fail(sim, "peer %u got error %s: %.*s", peer->number,
                 drover_status_name((drover_status)failure->code), (int)failure->text.len,
                 failure->text.ptr == NULL ? "" : failure->text.ptr);
        break;
    }
}

void sim_peer_on_message(struct sim *sim, struct sim_peer *peer,
                         const struct drv_message *message)
{
    if (peer->role == SIM_STRANGER) { /* it never listens */
        if (message->kind == DRV_WELCOME && sim->profile.has_keys) {
            sim_fail(sim, "a stranger was let in");
        }
        return;
    }
    peer->last_contact_us = sim->now_us;
    peer->repeated = message->seq <= peer->received;
    if (message->seq > peer->received) {
        peer->received = message->seq;
    }
    sim_trace(sim, drv_kind_name(message->kind), peer->number, message->seq, message->epoch);
    if (message->kind == DRV_WELCOME) {
        peer_on_welcome(sim, peer, message);
    } else if (message->kind == DRV_ERROR) {
        peer_on_error(sim, peer, &message->failure);
    } else if (message->kind == DRV_GOODBYE) {
        sim_peer_reconnect(sim, peer, true);
    } else if (peer->state != SIM_READY) {
        sim_fail(sim, "peer %u got %s before WELCOME", peer->number,
                 drv_kind_name(message->kind));
    } else if (peer->role == SIM_CLIENT) {
        sim_client_on_message(sim, peer, message);
        return; /* settles by itself */
    } else {
        sim_worker_on_message(sim, peer, message);
    }
    sim_peer_settle(sim, peer);
}

void sim_peer_on_settled(struct sim *sim, struct sim_peer *peer, uint64_t token)
{
    if (peer->role == SIM_WORKER) {
        sim_worker_on_settled(sim, peer, token);
    }
}

void sim_peer_on_broken(struct sim *sim, struct sim_peer *peer, bool told)
{
    sim_peer_reconnect(sim, peer, told);
}

/* ---- timers ---------------------------------------------------------------------------------
 */

static bool peer_is_out_of_touch(const struct sim *sim, const struct sim_peer *peer)
{
    return peer->state == SIM_READY && sim->now_us - peer->last_contact_us > peer->lease_us;
}

static void peer_heartbeat(struct sim *sim, struct sim_peer *peer)
{
    if (peer_is_out_of_touch(sim, peer)) {
        sim_peer_reconnect(sim, peer, sim_once_in(sim, 2));
        return;
    }
    sim_peer_beat_in(sim, peer, peer->heartbeat_us);
    if (peer->role == SIM_WORKER) {
        sim_worker_heartbeat(sim, peer);
    } else {
        struct drv_message message = {.kind = DRV_HEARTBEAT};
        (void)sim_peer_send(sim, peer, &message, 0);
    }
}

void sim_peer_stop(struct sim *sim, struct sim_peer *peer, int64_t duration_us)
{
    if (peer->stopped) {
        return;
    }
    peer->stopped = true;
    peer->stopped_until_us = sim->now_us + duration_us;
    sim_trace(sim, "peer.stop", peer->number, (uint64_t)duration_us, 0);
    sim_schedule(sim, SIM_EVENT_AWAKE, duration_us, peer->number, 0);
}

static void peer_awake(struct sim *sim, struct sim_peer *peer)
{
    peer->stopped = false;
    sim_trace(sim, "peer.awake", peer->number, 0, 0);
    if (peer_is_out_of_touch(sim, peer)) {
        /* It looks at the clock before it reads what has piled up meanwhile. */
        sim_peer_reconnect(sim, peer, sim_once_in(sim, 2));
        return;
    }
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (conn != NULL) {
        sim_net_read(sim, conn, SIM_PEER_SIDE);
    }
}

void sim_peer_set_deaf(struct sim *sim, struct sim_peer *peer, bool deaf)
{
    sim_trace(sim, "peer.deaf", peer->number, deaf, 0);
    peer->deaf = deaf;
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (!deaf && conn != NULL) {
        sim_net_read(sim, conn, SIM_PEER_SIDE);
    }
}

static void peer_revive(struct sim *sim, struct sim_peer *peer)
{
    if (peer->state != SIM_DEAD) {
        return;
    }
    sim_peer_new_session(sim, peer);
    peer->attempts = 0;
    sim_peer_connect_later(sim, peer, 0);
}

void sim_peer_on_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_peer *peer = &sim->peers[event->who];
    if (timer_is_of_connection(event->kind) && event->generation != peer->generation) {
        return;
    }
    if (peer->stopped && event->kind != SIM_EVENT_AWAKE) {
        struct sim_event later = *event;
        later.at_us = peer->stopped_until_us + 1;
        sim_events_add(&sim->events, later);
        return;
    }
    switch ((unsigned)event->kind) {
    case SIM_EVENT_CONNECT:
        peer_connect(sim, peer);
        break;
    case SIM_EVENT_PATIENCE:
        if (peer->state == SIM_GREETING) {
            sim_peer_reconnect(sim, peer, sim_once_in(sim, 2));
        }
        break;
    case SIM_EVENT_HEARTBEAT:
        if (event->arg == peer->beat) {
            peer_heartbeat(sim, peer);
        }
        break;
    case SIM_EVENT_AWAKE:
        peer_awake(sim, peer);
        break;
    case SIM_EVENT_LISTEN:
        sim_peer_set_deaf(sim, peer, false);
        break;
    case SIM_EVENT_REVIVE:
        peer_revive(sim, peer);
        break;
    default:
        if (peer->role == SIM_WORKER) {
            sim_worker_on_event(sim, peer, event);
        } else {
            sim_client_on_event(sim, peer, event);
        }
        break;
    }
}
