/*
 * intake.c: from frames to events.
 *
 * Everything here comes from strangers. A message that is not one costs its sender the
 * connection or is dropped and counted; nothing is allocated for a connection before its first
 * message decodes as a HELLO.
 */
#include "server.h"

#include "zone.h"

#include "check.h"
#include "data.h"
#include "identity.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

enum { PART_ROUTING_ID, PART_HEAD, PART_BLOB, PART_COUNT };

struct packet {
    zmq_msg_t parts[PART_COUNT];
    int count; /* frames seen; more than PART_COUNT were dropped */
};

static void packet_close(struct packet *packet)
{
    for (int i = 0; i < PART_COUNT; i++) {
        (void)zmq_msg_close(&packet->parts[i]);
    }
}

/* False when nothing is there. Frames beyond the third are read and dropped one at a time. */
static bool packet_receive(void *socket, struct packet *packet)
{
    packet->count = 0;
    for (int i = 0; i < PART_COUNT; i++) {
        (void)zmq_msg_init(&packet->parts[i]);
    }
    bool more = true;
    while (more) {
        zmq_msg_t extra;
        (void)zmq_msg_init(&extra);
        zmq_msg_t *part = packet->count < PART_COUNT ? &packet->parts[packet->count] : &extra;
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&extra);
            packet_close(packet);
            return false;
        }
        more = zmq_msg_more(part) != 0;
        packet->count += packet->count < PART_COUNT + 1 ? 1 : 0;
        (void)zmq_msg_close(&extra);
    }
    return true;
}

static struct drv_link_config link_config(const struct server *server)
{
    return (struct drv_link_config){
        .epoch = server->settings.core.epoch,
        .window_out = SERVER_WINDOW_IN, /* until HELLO tells */
        .window_in = SERVER_WINDOW_IN,
        .ack_delay_us = SERVER_ACK_DELAY_US,
        .queue_max = SERVER_QUEUE_MAX,
        .queue_bytes_max = SERVER_QUEUE_BYTES_MAX,
    };
}

static struct connection *ensure_peer(struct server *server, enum core_port port,
                                      const void *bytes, size_t len, int64_t now_us)
{
    struct connection *peer = connections_find(&server->peers, port, bytes, len);
    if (peer != NULL) {
        connection_heard(&server->peers, peer, now_us);
        return peer;
    }
    struct drv_link_config config = link_config(server);
    drover_status status = connections_add(&server->peers, port, bytes, len, &config, now_us,
                                           &peer);
    if (status != DROVER_OK) {
        drv_log_warn(server->log, "connection refused", drv_log_status("why", status));
        return NULL;
    }
    return peer;
}

static void step_settled(struct server *server, struct connection *peer, int64_t now_us)
{
    uint64_t token;
    while (drv_link_settled(peer->link, &token)) {
        struct core_event event = {.kind = CORE_EVENT_SETTLED,
                                   .peer = peer->number,
                                   .port = peer->port,
                                   .token = token};
        core_step(server->core, &event, now_us);
    }
}

/* A schedule that is about to be added counts by a zone: its file is read for the core. A zone
 * that there is not is the core's to refuse. */
static void offer_zone(struct server *server, const struct drv_schedule_request *schedule)
{
    char name[DRV_ZONE_NAME_MAX + 1];
    struct drv_str zone = schedule->plan.zone;
    if (schedule->has_plan && zone.len > 0 && zone.len < sizeof name) {
        memcpy(name, zone.ptr, zone.len);
        name[zone.len] = '\0';
        (void)server_read_zone(server, name);
    }
}

static void step_message(struct server *server, struct connection *peer,
                         const struct drv_message *message, int64_t now_us)
{
    if (message->kind == DRV_HELLO) {
        drv_link_set_window_out(peer->link, message->hello.credit_bytes);
    } else if (message->kind == DRV_CREDIT) {
        drv_link_set_window_out(peer->link, message->credit.bytes);
    } else if (message->kind == DRV_SCHEDULE) {
        offer_zone(server, &message->schedule);
    }
    struct core_event event = {.kind = CORE_EVENT_MESSAGE,
                               .peer = peer->number,
                               .port = peer->port,
                               .message = message,
                               .key = peer->has_key ? peer->key : NULL,
                               .is_inside = peer->is_inside};
    core_step(server->core, &event, now_us);
}

/* The key that the ZAP handler has named. libzmq 4.3.4 tells it with the frames that came over
 * the wire, and not with the routing id. */
static void read_key(struct connection *peer, zmq_msg_t *part)
{
    const char *text = zmq_msg_gets(part, "User-Id");
    struct drv_curve_key key;
    if (text != NULL && drv_curve_key_parse(text, strlen(text), &key)) {
        memcpy(peer->key, key.bytes, sizeof(peer->key));
        peer->has_key = true;
    }
}

/* Whether it is of a connection that was given up before it came, or of a broker that is no
 * more: what a cut link has held back is delivered when it is healed, and is nobody's mistake.
 * The connection is unknown by then, so that the first message of it is out of its place. */
static bool is_late(const struct connection *peer, drover_status status)
{
    return status == DROVER_EPOCH || (status == DROVER_PROTOCOL && !peer->has_begun);
}

/* The message cannot be used: what becomes of the connection. */
static void refuse(struct server *server, struct connection *peer, drover_status status,
                   const char *reason, const struct drv_message *message)
{
    if (is_late(peer, status)) {
        core_count_late(server->core);
    } else {
        core_count_malformed(server->core);
    }
    drv_log_debug(server->log, "message refused", drv_log_uint("peer", peer->number),
                  drv_log_status("status", status), drv_log_str("reason", reason));
    if (status == DROVER_EPOCH || status == DROVER_NOMEM) {
        return;
    }
    outlet_refuse(server, peer, status, reason != NULL ? reason : drover_status_text(status),
                  message);
    peer->closing = true;
    connection_mark_gone(&server->peers, peer);
}

/* Head and blob of a message, borrowed for the call. */
struct frames {
    const uint8_t *head;
    size_t head_len;
    const uint8_t *blob;
    size_t blob_len;
};

static void handle(struct server *server, struct connection *peer, const struct frames *frames,
                   int64_t now_us)
{
    struct drv_message message;
    const char *reason = NULL;
    memset(&message, 0, offsetof(struct drv_message, hello));
    drv_arena_reset(&server->arena);
    drover_status status = drv_link_receive_bytes(peer->link, frames->head, frames->head_len,
                                                  frames->blob, frames->blob_len, now_us,
                                                  &server->arena, &message, &reason);
    step_settled(server, peer, now_us);
    if (status != DROVER_OK && status != DROVER_UNSUPPORTED) {
        refuse(server, peer, status, reason, &message);
    } else if (message.kind != 0) { /* the core answers kinds that it does not know */
        step_message(server, peer, &message, now_us);
    }
    bool is_beat = status == DROVER_OK && message.kind == DRV_HEARTBEAT &&
                   peer->port == CORE_PORT_WORKER && !peer->closing;
    server->heartbeats += is_beat;
    server->others += !is_beat;
    peer->has_begun = true;
    connection_mark_acking(&server->peers, peer);
    connection_mark_dirty(&server->peers,
                          peer); /* its acknowledgements may have opened the window */
}

bool intake_drain(struct server *server, enum core_port port, int64_t now_us)
{
    size_t head_bytes = 0;
    for (int i = 0; i < SERVER_BURST && head_bytes < SERVER_BURST_BYTES; i++) {
        struct packet packet;
        if (!server->may_read[port]) {
            return false;
        }
        if (!packet_receive(server->sockets[port], &packet)) {
            server->may_read[port] = errno == EINTR;
            server->must_ask[port] = false; /* whoever finds nothing has asked */
            return server->may_read[port];
        }
        head_bytes += zmq_msg_size(&packet.parts[PART_HEAD]);
        struct connection *peer = ensure_peer(
            server, port, zmq_msg_data(&packet.parts[PART_ROUTING_ID]),
            zmq_msg_size(&packet.parts[PART_ROUTING_ID]), now_us);
        if (peer == NULL) {
            core_count_malformed(server->core);
        } else if (peer->closing) {
            core_count_late(server->core);
        } else if (packet.count != PART_COUNT) {
            struct drv_message none;
            memset(&none, 0, sizeof(none));
            refuse(server, peer, DROVER_MALFORMED, "a message is two frames", &none);
        } else {
            if (server->zap != NULL && !peer->has_key) {
                read_key(peer, &packet.parts[PART_BLOB]);
            }
            struct frames frames = {
                zmq_msg_data(&packet.parts[PART_HEAD]), zmq_msg_size(&packet.parts[PART_HEAD]),
                zmq_msg_data(&packet.parts[PART_BLOB]), zmq_msg_size(&packet.parts[PART_BLOB])};
            handle(server, peer, &frames, now_us);
        }
        packet_close(&packet);
    }
    return true;
}

/* ---- from our own HTTP thread ------------------------------------------------------------ */

/* The HTTP thread has one connection at a time: a new one ends the one before. */
static struct connection *ensure_inside(struct server *server, uint32_t generation,
                                        int64_t now_us)
{
    uint8_t id[CHANNEL_ROUTING_ID_LEN];
    if (generation != server->inside_generation) {
        channel_routing_id(server->inside_generation, id);
        struct connection *old = connections_find(&server->peers, CORE_PORT_CLIENT, id,
                                                  sizeof(id));
        if (old != NULL) {
            old->closing = true;
            connection_mark_gone(&server->peers, old);
        }
        server->inside_generation = generation;
    }
    channel_routing_id(generation, id);
    struct connection *peer = ensure_peer(server, CORE_PORT_CLIENT, id, sizeof(id), now_us);
    if (peer != NULL) {
        peer->is_inside = true;
    }
    return peer;
}

bool intake_drain_inside(struct server *server, int64_t now_us)
{
    struct channel_frames inside;
    channel_seen(&server->channel->up);
    for (int i = 0; i < SERVER_BURST_INSIDE; i++) {
        if (!channel_pop(&server->channel->up, &inside)) {
            return false;
        }
        struct connection *peer = ensure_inside(server, inside.generation, now_us);
        if (peer != NULL && !peer->closing) {
            struct frames frames = {
                inside.head->bytes, inside.head->len,
                inside.blob == NULL ? NULL : inside.blob->bytes + inside.blob_offset,
                inside.blob_len};
            handle(server, peer, &frames, now_us);
        }
        channel_frames_fini(&inside);
    }
    return !channel_is_empty(&server->channel->up);
}
