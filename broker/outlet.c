/*
 * outlet.c: from effects to frames.
 *
 * Sends never block. A peer whose socket refuses waits in its own queue and is tried again on
 * its next message and every SERVER_RETRY_US; a peer whose queue overflows, or that takes
 * nothing for a whole lease time, loses its connection. A peer that is silent is probed, since
 * a ROUTER socket tells only a sender that the other side is gone.
 */
#include "server.h"

#include "check.h"
#include "data.h"
#include "tsan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

static void drop(struct server *server, struct connection *peer, const char *why)
{
    drv_log_info(server->log, "connection dropped", drv_log_uint("peer", peer->number),
                 drv_log_str("port", peer->port == CORE_PORT_WORKER ? "worker" : "client"),
                 drv_log_str("why", why));
    peer->closing = true;
    connection_mark_gone(&server->peers, peer);
}

static void send_message(struct server *server, struct connection *peer,
                         const struct drv_message *message, uint64_t token,
                         enum drover_durability level)
{
    drover_status status = gate_send(&server->gate, peer, message, token, level,
                                     store_last(server->store), server->store);
    if (status == DROVER_OK) {
        connection_mark_dirty(&server->peers, peer);
    } else if (status == DROVER_BUSY) {
        drop(server, peer, "does not read");
    } else {
        drv_log_error(server->log, "message not sent", drv_log_status("status", status),
                      drv_log_str("kind", drv_kind_name(message->kind)));
        drop(server, peer, drover_status_text(status));
    }
}

void outlet_refuse(struct server *server, struct connection *peer, drover_status code,
                   const char *text, const struct drv_message *about)
{
    struct drv_message message = {.kind = DRV_ERROR};
    message.failure.code = (uint32_t)code;
    message.failure.text = drv_str_of(text);
    message.failure.about_kind = (uint32_t)about->kind;
    message.failure.about_seq = about->seq;
    if (drv_link_send(peer->link, &message, 0) == DROVER_OK) {
        connection_mark_dirty(&server->peers, peer);
    }
}

static void tell_alert(struct server *server, const struct core_alert *alert)
{
    bool is_over = strcmp(alert->state, "resolved") == 0;
    const struct drv_log_field fields[] = {
        drv_log_str("state", alert->state),
        drv_log_str("severity", alert->severity),
        drv_log_view("rule", drv_view_of(alert->rule.ptr, alert->rule.len)),
        drv_log_view("subject", drv_view_of(alert->subject.ptr, alert->subject.len)),
        drv_log_view("text", drv_view_of(alert->text.ptr, alert->text.len)),
        drv_log_end(),
    };
    drv_log_write(server->log, is_over ? DRV_LOG_INFO : DRV_LOG_WARN,
                  alert->is_test ? "alert (a test)" : "alert", fields);
    alert_actions_tell(server->commands, alert);
    alert_actions_tell(server->webhooks, alert);
}

static void tell_operator(const struct server *server, const struct core_notice *notice)
{
    if (notice->denied != NULL) {
        drv_log_warn(server->log, notice->text,
                     drv_log_view("account", drv_view_of(notice->name.ptr, notice->name.len)),
                     drv_log_str("message", notice->denied));
        return;
    }
    drv_log_info(server->log, notice->text,
                 drv_log_view("name", drv_view_of(notice->name.ptr, notice->name.len)),
                 drv_log_view("host", drv_view_of(notice->host.ptr, notice->host.len)),
                 drv_log_uint("leases", notice->leases));
}

static void apply_one(struct server *server, const struct core_effect *effect, int64_t now_us)
{
    struct connection *peer = effect->kind == CORE_RECORD
                                  ? NULL
                                  : connections_at(&server->peers, effect->peer);
    switch (effect->kind) {
    case CORE_SEND:
        if (peer != NULL && !peer->closing) {
            send_message(server, peer, effect->message, effect->token, effect->level);
        }
        break;
    case CORE_CLOSE:
        if (peer != NULL) {
            peer->closing = true;
            connection_mark_gone(&server->peers, peer);
            connection_mark_dirty(&server->peers, peer);
        }
        break;
    case CORE_SETTLE:
        if (peer != NULL && gate_settle(&server->gate, peer, effect->seq, effect->level,
                                        store_last(server->store), server->store, now_us)) {
            connection_mark_acking(&server->peers, peer);
        }
        break;
    case CORE_RECORD:
        break; /* a history, for those who follow it */
    case CORE_ALERT:
        tell_alert(server, &effect->alert);
        break;
    case CORE_NOTICE:
        tell_operator(server, &effect->notice);
        break;
    }
}

void outlet_apply(struct server *server, int64_t now_us)
{
    size_t count = 0;
    const struct core_effect *effects = core_effects(server->core, &count);
    store_append(server->store, server->core);
    store_publish(server->store, core_memory_bytes(server->core));
    for (size_t i = 0; i < count; i++) {
        apply_one(server, &effects[i], now_us);
    }
    core_effects_clear(server->core);
    gate_open(&server->gate, &server->peers, server->store, now_us);
}

static void free_data(void *bytes, void *hint)
{
    (void)bytes;
    struct drv_data *data = hint;
    DRV_TSAN_ACQUIRE(data);
    drv_data_unref(&data);
}

/* A frame that borrows the bytes by reference. False when out of memory. */
static bool make_part(zmq_msg_t *part, struct drv_data *data, size_t offset, size_t len)
{
    if (len == 0) {
        return zmq_msg_init(part) == 0;
    }
    DRV_TSAN_RELEASE(data);
    if (zmq_msg_init_data(part, data->bytes + offset, len, free_data, data) != 0) {
        return false;
    }
    (void)drv_data_ref(data); /* given up by free_data, whatever becomes of the message */
    return true;
}

/* ROUTER decides on the first frame whether the whole message goes: only that one can be
 * refused. */
static int send_parts(void *socket, const struct connection *peer, zmq_msg_t *head,
                      zmq_msg_t *blob)
{
    if (zmq_send(socket, peer->routing_id, peer->routing_id_len, ZMQ_DONTWAIT | ZMQ_SNDMORE) <
        0) {
        return errno;
    }
    if (zmq_msg_send(head, socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_msg_send(blob, socket, ZMQ_DONTWAIT) < 0) {
        return EHOSTUNREACH;
    }
    return 0;
}

/* Both frames are made before the first leaves: half a message would take the next one along.
 */
static int send_frames(struct server *server, struct connection *peer,
                       struct drv_frames *frames)
{
    zmq_msg_t head;
    zmq_msg_t blob;
    if (!make_part(&head, frames->head, 0, frames->head->len)) {
        return ENOMEM;
    }
    if (!make_part(&blob, frames->blob, frames->blob_offset, frames->blob_len)) {
        (void)zmq_msg_close(&head);
        return ENOMEM;
    }
    int error = send_parts(server->sockets[peer->port], peer, &head, &blob);
    server->must_ask[peer->port] = true;
    (void)zmq_msg_close(&head); /* empty when it was sent */
    (void)zmq_msg_close(&blob);
    return error;
}

/* The same for the HTTP thread: it takes the frames, or its ring is full. */
static int send_inside(struct server *server, const struct connection *peer,
                       const struct drv_frames *frames)
{
    struct channel_frames inside = {.head = drv_data_ref(frames->head),
                                    .blob = drv_data_ref(frames->blob),
                                    .blob_offset = frames->blob_offset,
                                    .blob_len = frames->blob_len,
                                    .generation = channel_generation(peer->routing_id)};
    if (!channel_push(&server->channel->down, &inside)) {
        channel_frames_fini(&inside);
        return EAGAIN;
    }
    return 0;
}

static void tell_blocked(struct server *server, struct connection *peer, bool blocked,
                         int64_t now_us)
{
    struct core_event event = {.kind = blocked ? CORE_EVENT_BLOCKED : CORE_EVENT_UNBLOCKED,
                               .peer = peer->number,
                               .port = peer->port};
    core_step(server->core, &event, now_us);
}

/* It reads no more for now; `progress`: it has read something since it was asked last. */
static void wait_for_socket(struct server *server, struct connection *peer, bool progress,
                            int64_t now_us)
{
    if (!drv_list_is_linked(&peer->waiting)) {
        drv_list_push_back(&server->peers.waiting, &peer->waiting);
        peer->waiting_since_us = now_us;
        tell_blocked(server, peer, true, now_us);
    } else if (progress) {
        peer->waiting_since_us = now_us;
    } else if (now_us - peer->waiting_since_us > server->settings.core.lease_us) {
        drop(server, peer, "does not read");
    }
}

/*
 * Nobody takes what is sent to it any more. What it said before it went may still stand in the
 * socket, its GOODBYE last: until a turn has found the socket empty, and no longer than a lease
 * time, the connection stays.
 */
static void peer_went(struct server *server, struct connection *peer, int64_t now_us)
{
    bool is_new = peer->went_at_us == 0;
    if (peer->closing) { /* it has said goodbye, or was told why */
        connection_mark_gone(&server->peers, peer);
        return;
    }
    if (is_new) {
        peer->went_at_us = now_us;
    }
    bool may_have_said = is_new || server->unread[peer->port];
    if (may_have_said && now_us - peer->went_at_us <= server->settings.core.lease_us) {
        connection_mark_dirty(&server->peers, peer); /* for the next turn */
    } else {
        drop(server, peer, "gone");
    }
}

static void flush_peer(struct server *server, struct connection *peer, int64_t now_us)
{
    struct drv_frames frames;
    bool progress = false;
    if (peer->went_at_us != 0) {
        peer_went(server, peer, now_us);
        return;
    }
    while (drv_link_next(peer->link, &frames)) {
        int error = peer->is_inside ? send_inside(server, peer, &frames)
                                    : send_frames(server, peer, &frames);
        if (error == EAGAIN) {
            drv_link_unsend(peer->link, &frames);
            wait_for_socket(server, peer, progress, now_us);
            return;
        }
        drv_data_unref(&frames.head);
        drv_data_unref(&frames.blob);
        if (error == EHOSTUNREACH) {
            peer_went(server, peer, now_us);
            return;
        }
        if (error != 0) {
            drop(server, peer, zmq_strerror(error));
            return;
        }
        progress = true;
    }
    if (drv_list_is_linked(&peer->waiting)) {
        drv_list_remove(&peer->waiting);
        tell_blocked(server, peer, false, now_us);
    }
}

static void flush_port(struct server *server, enum core_port port, int64_t now_us)
{
    struct drv_list batch;
    drv_list_init(&batch);
    drv_list_splice_back(&batch, &server->peers.dirty[port]);
    struct drv_list *link;
    while ((link = drv_list_pop_front(&batch)) != NULL) {
        flush_peer(server, DRV_LIST_ITEM(link, struct connection, dirty), now_us);
    }
}

static void tick_acks(struct server *server, int64_t now_us)
{
    struct drv_list *link;
    while ((link = drv_list_first(&server->peers.acking)) != NULL) {
        struct connection *peer = DRV_LIST_ITEM(link, struct connection, acking);
        int64_t deadline_us = drv_link_deadline_us(peer->link);
        if (deadline_us != INT64_MAX && deadline_us > now_us) {
            return;
        }
        drv_list_remove(link);
        drv_link_tick(peer->link, now_us);
        connection_mark_dirty(&server->peers, peer);
    }
}

static int64_t quiet_us(const struct server *server, enum core_port port)
{
    return port == CORE_PORT_WORKER ? core_idle_heartbeat_us(server->core) * 3 / 2
                                    : server->settings.core.lease_us;
}

/* Sends a HEARTBEAT to whom nothing was heard of; the socket says when there is nobody. */
static void probe_port(struct server *server, enum core_port port, int64_t now_us)
{
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    struct drv_list *link;
    while ((link = drv_list_first(&server->peers.quiet[port])) != NULL) {
        struct connection *peer = DRV_LIST_ITEM(link, struct connection, quiet);
        if (now_us - peer->probed_at_us < quiet_us(server, port)) {
            return;
        }
        peer->probed_at_us = now_us;
        drv_list_remove(link);
        drv_list_push_back(&server->peers.quiet[port], link);
        if (drv_link_queued(peer->link) == 0) {
            send_message(server, peer, &message, 0, DROVER_DURABILITY_MEMORY);
        }
        connection_mark_dirty(&server->peers, peer);
    }
}

static void retry_waiting(struct server *server)
{
    DRV_LIST_EACH(link, &server->peers.waiting)
    {
        connection_mark_dirty(&server->peers, DRV_LIST_ITEM(link, struct connection, waiting));
    }
}

bool outlet_flush(struct server *server, int64_t now_us)
{
    tick_acks(server, now_us);
    probe_port(server, CORE_PORT_WORKER, now_us);
    probe_port(server, CORE_PORT_CLIENT, now_us);
    retry_waiting(server);
    flush_port(server, CORE_PORT_WORKER, now_us);
    flush_port(server, CORE_PORT_CLIENT, now_us);
    return !drv_list_is_empty(&server->peers.dirty[CORE_PORT_WORKER]) ||
           !drv_list_is_empty(&server->peers.dirty[CORE_PORT_CLIENT]);
}

void outlet_goodbye(struct server *server)
{
    struct drv_message message = {.kind = DRV_GOODBYE};
    message.goodbye.code = DROVER_DRAINING;
    message.goodbye.text = drv_str_of("the broker is going down");
    for (size_t i = 0; i < server->peers.capacity; i++) {
        struct connection *peer = server->peers.by_number[i];
        if (peer != NULL && !peer->closing) {
            send_message(server, peer, &message, 0, DROVER_DURABILITY_MEMORY);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t probe_deadline_us(const struct server *server, enum core_port port)
{
    const struct drv_list *link = drv_list_first(&server->peers.quiet[port]);
    if (link == NULL) {
        return INT64_MAX;
    }
    return DRV_LIST_ITEM(link, struct connection, quiet)->probed_at_us + quiet_us(server, port);
}

int64_t outlet_deadline_us(const struct server *server)
{
    int64_t deadline_us = earlier(probe_deadline_us(server, CORE_PORT_WORKER),
                                  probe_deadline_us(server, CORE_PORT_CLIENT));
    const struct drv_list *link = drv_list_first(&server->peers.acking);
    if (link != NULL) {
        const struct connection *peer = DRV_LIST_ITEM(link, struct connection, acking);
        deadline_us = earlier(deadline_us, drv_link_deadline_us(peer->link));
    }
    if (!drv_list_is_empty(&server->peers.gone)) {
        deadline_us = 0;
    }
    return deadline_us;
}
