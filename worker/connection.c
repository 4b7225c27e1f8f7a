#include "connection.h"

#include "check.h"
#include "clock.h"
#include "data.h"
#include "pieces.h"
#include "tsan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life -----------------------------------------------------------------------------------
 */

static drover_status set_options(void *socket)
{
    static const struct {
        int name, value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_RCVHWM, WORKER_CONNECTION_HWM},
        {ZMQ_SNDHWM, WORKER_CONNECTION_HWM},
        {ZMQ_IPV6, 1},
        {ZMQ_RECONNECT_IVL, -1},
        {ZMQ_HANDSHAKE_IVL, 10000},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, DRV_KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, DRV_KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, DRV_KEEPALIVE_COUNT},
        {ZMQ_TCP_MAXRT, DRV_UNSENT_MAX_MS},
    };
    const int64_t max = DRV_FRAME_MAX;
    for (size_t i = 0; i < DRV_ARRAY_LEN(options); i++) {
        if (zmq_setsockopt(socket, options[i].name, &options[i].value,
                           sizeof options[i].value) != 0) {
            return DROVER_INTERNAL;
        }
    }
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0 ? DROVER_OK
                                                                         : DROVER_INTERNAL;
}

static bool set_key(void *socket, int option, const struct drv_curve_key *key)
{
    return zmq_setsockopt(socket, option, key->bytes, sizeof key->bytes) == 0;
}

static drover_status set_keys(void *socket, const struct drv_identity *identity)
{
    bool is_fine = !identity->has_own ||
                   (set_key(socket, ZMQ_CURVE_SERVERKEY, &identity->broker_key) &&
                    set_key(socket, ZMQ_CURVE_PUBLICKEY, &identity->public_key) &&
                    set_key(socket, ZMQ_CURVE_SECRETKEY, &identity->secret_key));
    return is_fine ? DROVER_OK : DROVER_INTERNAL;
}

static drover_status open_monitor(void *context, struct worker_connection *connection)
{
    const int events = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    const int linger = 0;
    char name[64];
    /* The name of a monitor that was closed is free only some time later, and the connection of
     * then may have stood where this one does. */
    (void)snprintf(name, sizeof name, "inproc://monitor-%" PRIxPTR "-%" PRIu64,
                   (uintptr_t)connection, drv_clock_now_us());
    if (zmq_socket_monitor(connection->socket, name, events) != 0) {
        return DROVER_INTERNAL;
    }
    connection->monitor = zmq_socket(context, ZMQ_PAIR);
    if (connection->monitor == NULL ||
        zmq_setsockopt(connection->monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_connect(connection->monitor, name) != 0) {
        return DROVER_INTERNAL;
    }
    return DROVER_OK;
}

static bool get_fd(void *socket, int *out_fd)
{
    size_t len = sizeof *out_fd;
    return zmq_getsockopt(socket, ZMQ_FD, out_fd, &len) == 0;
}

static drover_status open_all(void *context, const char *endpoint,
                              const struct drv_identity *identity, uint64_t window_in,
                              struct worker_connection *connection)
{
    const struct drv_link_config config = {
        .window_out = DRV_BLOB_MAX, /* until WELCOME tells; HELLO and ATTACH are not charged */
        .window_in = window_in,
        .ack_delay_us = WORKER_CONNECTION_ACK_US,
        .queue_max = WORKER_CONNECTION_QUEUE_MAX,
        .queue_bytes_max = WORKER_CONNECTION_BACKLOG + 4 * (size_t)DRV_PAYLOAD_MAX,
        .pieces_kind = DRV_LEASE, /* lane_file.h puts them together */
        .is_trusted = true,
    };
    connection->socket = zmq_socket(context, ZMQ_DEALER);
    if (connection->socket == NULL) {
        return DROVER_INTERNAL;
    }
    drover_status status = set_options(connection->socket);
    if (status == DROVER_OK) {
        status = set_keys(connection->socket, identity);
    }
    if (status == DROVER_OK) {
        status = open_monitor(context, connection);
    }
    if (status == DROVER_OK) {
        status = drv_link_new(&config, &connection->link);
    }
    if (status == DROVER_OK && (!get_fd(connection->socket, &connection->fd) ||
                                !get_fd(connection->monitor, &connection->monitor_fd))) {
        status = DROVER_INTERNAL;
    }
    if (status == DROVER_OK && zmq_connect(connection->socket, endpoint) != 0) {
        status = DROVER_INVALID;
    }
    return status;
}

drover_status worker_connection_new(void *context, const char *endpoint,
                                    const struct drv_identity *identity, uint64_t window_in,
                                    struct worker_connection **out_connection)
{
    struct worker_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return DROVER_NOMEM;
    }
    (void)zmq_msg_init(&connection->head);
    (void)zmq_msg_init(&connection->blob);
    connection->may_read = connection->may_be_gone =
        true; /* what was never read wakes nobody */
    connection->has_key = identity->has_own;
    drover_status status = open_all(context, endpoint, identity, window_in, connection);
    if (status != DROVER_OK) {
        worker_connection_destroy(&connection, false);
        return status;
    }
    *out_connection = connection;
    return DROVER_OK;
}

static void flush_within(struct worker_connection *connection, int64_t until_us)
{
    const int linger = WORKER_CONNECTION_FLUSH_MS;
    (void)zmq_setsockopt(connection->socket, ZMQ_LINGER, &linger, sizeof linger);
    worker_connection_send(connection);
    while (connection->is_full && !worker_connection_is_gone(connection)) {
        int64_t left_us = until_us - (int64_t)drv_clock_now_us();
        zmq_pollitem_t item = {.socket = connection->socket, .events = ZMQ_POLLOUT};
        if (left_us <= 0 || zmq_poll(&item, 1, (long)(left_us / 1000 + 1)) < 0) {
            return;
        }
        connection->may_be_gone = true;
        worker_connection_send(connection);
    }
}

void worker_connection_destroy(struct worker_connection **connection, bool flush)
{
    struct worker_connection *gone = *connection;
    *connection = NULL;
    if (gone == NULL) {
        return;
    }
    if (flush) {
        flush_within(gone,
                     (int64_t)drv_clock_now_us() + WORKER_CONNECTION_FLUSH_MS * (int64_t)1000);
    }
    if (gone->socket != NULL) {
        (void)zmq_socket_monitor(gone->socket, NULL, 0);
        (void)zmq_close(gone->socket);
    }
    if (gone->monitor != NULL) {
        (void)zmq_close(gone->monitor);
    }
    drv_link_destroy(&gone->link);
    (void)zmq_msg_close(&gone->head);
    (void)zmq_msg_close(&gone->blob);
    free(gone);
}

/* ---- receiving ------------------------------------------------------------------------------
 */

static void note_blob(struct worker_connection *connection, size_t len)
{
    connection->large_count += len > WORKER_CONNECTION_LARGE ? 1 : 0;
}

/* Frames of the next message: the first into head, the second into blob; how many there were, 0
 * when nothing is there. */
static int receive_frames(struct worker_connection *connection)
{
    int count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t extra;
        (void)zmq_msg_init(&extra);
        zmq_msg_t *part = count == 0   ? &connection->head
                          : count == 1 ? &connection->blob
                                       : &extra;
        if (zmq_msg_recv(part, connection->socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&extra);
            return 0;
        }
        more = zmq_msg_more(part) != 0;
        count += count < 3 ? 1 : 0;
        (void)zmq_msg_close(&extra);
    }
    return count;
}

static void free_message(void *owner)
{
    zmq_msg_t *message = owner;
    (void)zmq_msg_close(message);
    free(message);
}

/* drv_lender.keep: the blob of the message that was received last. */
static void *keep_blob(void *context, const uint8_t **out_bytes)
{
    struct worker_connection *connection = context;
    zmq_msg_t *message = malloc(sizeof *message);
    if (message == NULL) {
        return NULL;
    }
    (void)zmq_msg_init(message);
    (void)zmq_msg_move(message, &connection->blob); /* leaves an empty one */
    *out_bytes = zmq_msg_data(message);
    return message;
}

drover_status worker_connection_receive(struct worker_connection *connection, int64_t now_us,
                                        struct drv_arena *arena,
                                        struct drv_message *out_message,
                                        const char **out_reason)
{
    if (!connection->may_read) {
        return DROVER_NOT_READY;
    }
    int count = receive_frames(connection);
    if (count == 0) {
        connection->may_read = false;
        return DROVER_NOT_READY;
    }
    if (count != 2) {
        *out_reason = "a message is two frames";
        return DROVER_MALFORMED;
    }
    note_blob(connection, zmq_msg_size(&connection->blob));
    const struct drv_lender lender = {
        .keep = keep_blob, .free_owner = free_message, .context = connection};
    return drv_link_receive_lent(
        connection->link, zmq_msg_data(&connection->head), zmq_msg_size(&connection->head),
        zmq_msg_data(&connection->blob), zmq_msg_size(&connection->blob), &lender, now_us,
        arena, out_message, out_reason);
}

/* ---- sending --------------------------------------------------------------------------------
 */

static void free_data(void *bytes, void *hint)
{
    struct drv_data *data = hint;
    (void)bytes;
    DRV_TSAN_ACQUIRE(data);
    drv_data_unref(&data);
}

/* One frame, by reference; the caller keeps its own. 0, or the error number. */
static int send_frame(void *socket, struct drv_data *data, size_t offset, size_t len, int flags)
{
    zmq_msg_t part;
    if (len == 0) {
        return zmq_send(socket, "", 0, flags) < 0 ? errno : 0;
    }
    DRV_TSAN_RELEASE(data);
    if (zmq_msg_init_data(&part, data->bytes + offset, len, free_data, data) != 0) {
        return ENOMEM;
    }
    (void)drv_data_ref(data); /* given up by free_data, whatever becomes of the frame */
    if (zmq_msg_send(&part, socket, flags) < 0) {
        int error = errno;
        (void)zmq_msg_close(&part);
        return error;
    }
    return 0;
}

static int send_frames(void *socket, const struct drv_frames *frames)
{
    int error = send_frame(socket, frames->head, 0, frames->head->len,
                           ZMQ_DONTWAIT | ZMQ_SNDMORE);
    if (error == 0) {
        /* The first frame was taken, so the rest of the message is. */
        error = send_frame(socket, frames->blob, frames->blob_offset, frames->blob_len,
                           ZMQ_DONTWAIT) == 0
                    ? 0
                    : EPROTO;
    }
    return error;
}

/* Sending may swallow the signal that something has come, or that there is room. */
static void look_again(struct worker_connection *connection)
{
    int events = 0;
    size_t len = sizeof events;
    if (zmq_getsockopt(connection->socket, ZMQ_EVENTS, &events, &len) == 0) {
        connection->may_read = connection->may_read || (events & ZMQ_POLLIN) != 0;
        connection->may_write = connection->is_full && (events & ZMQ_POLLOUT) != 0;
    }
}

static bool send_some(struct worker_connection *connection)
{
    struct drv_frames frames;
    bool has_tried = false;
    connection->is_full = false;
    while (!connection->is_gone && drv_link_next(connection->link, &frames)) {
        int error = send_frames(connection->socket, &frames);
        has_tried = true;
        note_blob(connection, frames.blob_len);
        if (error == EAGAIN) {
            drv_link_unsend(connection->link, &frames);
            connection->is_full = true;
            break;
        }
        drv_data_unref(&frames.head);
        drv_data_unref(&frames.blob);
        connection->is_gone = connection->is_gone || error != 0;
    }
    return has_tried;
}

void worker_connection_send(struct worker_connection *connection)
{
    if (send_some(connection)) {
        look_again(connection);
    }
}

/* ---- state ----------------------------------------------------------------------------------
 */

/* What the handshake failed of says more than that the connection is gone then. */
static void note_event(struct worker_connection *connection, zmq_msg_t *part)
{
    uint16_t event;
    uint32_t value;
    const uint8_t *bytes = zmq_msg_data(part);
    if (zmq_msg_more(part) == 0 || zmq_msg_size(part) < sizeof event + sizeof value) {
        return; /* the address */
    }
    memcpy(&event, bytes, sizeof event);
    memcpy(&value, bytes + sizeof event, sizeof value);
    bool has_key = connection->has_key;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        connection->is_denied = true;
        connection->why = has_key ? "the broker does not know this key"
                                  : "the broker wants a key";
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
               value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        connection->is_denied = true;
        connection->why =
            has_key ? "the broker has no keys, and --identity and --broker-key were given"
                    : "the broker wants a key, and none was given (--identity)";
    } else if (has_key && !connection->is_denied &&
               (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ||
                event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)) {
        connection->why = "the handshake failed: is --broker-key the key of this broker?";
    } else if (!connection->is_denied && event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
        connection->why = "the connection broke at once: if the broker wants a key, name it "
                          "(--identity)";
    }
}

bool worker_connection_is_gone(struct worker_connection *connection)
{
    /* Every event that was asked for ends the connection. */
    zmq_msg_t part;
    if (!connection->may_be_gone) {
        return connection->is_gone;
    }
    connection->may_be_gone = false;
    (void)zmq_msg_init(&part);
    while (zmq_msg_recv(&part, connection->monitor, ZMQ_DONTWAIT) >= 0) {
        connection->is_gone = true;
        note_event(connection, &part);
    }
    (void)zmq_msg_close(&part);
    return connection->is_gone;
}

void worker_connection_watch(const struct worker_connection *connection,
                             struct pollfd fds[WORKER_CONNECTION_FDS])
{
    fds[0] = (struct pollfd){.fd = connection->fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = connection->monitor_fd, .events = POLLIN};
}

void worker_connection_saw(struct worker_connection *connection,
                           const struct pollfd fds[WORKER_CONNECTION_FDS])
{
    connection->may_read = connection->may_read || fds[0].revents != 0;
    connection->may_write = connection->may_write || fds[0].revents != 0;
    connection->may_be_gone = connection->may_be_gone || fds[1].revents != 0;
}

bool worker_connection_has_work(const struct worker_connection *connection)
{
    return connection->may_read || connection->may_be_gone ||
           (connection->is_full && connection->may_write);
}

bool worker_connection_is_blocked(const struct worker_connection *connection)
{
    return drv_link_queued_bytes(connection->link) >= WORKER_CONNECTION_BACKLOG ||
           drv_link_queued(connection->link) >= WORKER_CONNECTION_QUEUE_MAX / 2;
}
