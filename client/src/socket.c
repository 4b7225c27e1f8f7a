#include "socket.h"

#include "check.h"
#include "data.h"
#include "message.h"
#include "tsan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SOCKET_HWM 64
#define SOCKET_HANDSHAKE_MS 10000
#define SOCKET_EVENTS                                                                   \
    (ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

drover_status drv_socket_init(struct drv_socket *socket)
{
    memset(socket, 0, sizeof(*socket));
    socket->fd = -1;
    socket->monitor_fd = -1;
    socket->context = zmq_ctx_new();
    return socket->context != NULL ? DROVER_OK : DROVER_LIMIT;
}

void drv_socket_fini(struct drv_socket *socket)
{
    drv_socket_disconnect(socket, 0);
    if (socket->context != NULL) {
        while (zmq_ctx_term(socket->context) != 0 && errno == EINTR) {
        }
        socket->context = NULL;
    }
    drv_identity_wipe(&socket->identity);
}

static bool set_key(void *socket, int option, const struct drv_curve_key *key)
{
    return zmq_setsockopt(socket, option, key->bytes, sizeof(key->bytes)) == 0;
}

static bool set_keys(void *socket, const struct drv_identity *identity)
{
    return !identity->has_own || (set_key(socket, ZMQ_CURVE_SERVERKEY, &identity->broker_key) &&
                                  set_key(socket, ZMQ_CURVE_PUBLICKEY, &identity->public_key) &&
                                  set_key(socket, ZMQ_CURVE_SECRETKEY, &identity->secret_key));
}

static bool set_options(void *socket)
{
    static const struct {
        int option;
        int value;
    } OPTIONS[] = {
        {ZMQ_SNDHWM, SOCKET_HWM},
        {ZMQ_RCVHWM, SOCKET_HWM},
        {ZMQ_LINGER, 0},
        {ZMQ_IPV6, 1},
        {ZMQ_RECONNECT_IVL, -1},
        {ZMQ_HANDSHAKE_IVL, SOCKET_HANDSHAKE_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, DRV_KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, DRV_KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, DRV_KEEPALIVE_COUNT},
        {ZMQ_TCP_MAXRT, DRV_UNSENT_MAX_MS},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(OPTIONS); i++) {
        int value = OPTIONS[i].value;
        if (zmq_setsockopt(socket, OPTIONS[i].option, &value, sizeof(value)) != 0) {
            return false;
        }
    }
    int64_t max = DRV_FRAME_MAX;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) == 0;
}

static bool get_fd(void *socket, int *out_fd)
{
    size_t len = sizeof(*out_fd);
    return zmq_getsockopt(socket, ZMQ_FD, out_fd, &len) == 0;
}

static bool open_monitor(struct drv_socket *socket)
{
    char name[64];
    int linger = 0;
    (void)snprintf(name, sizeof(name), "inproc://drover-monitor-%llu",
                   (unsigned long long)++socket->monitors);
    if (zmq_socket_monitor(socket->socket, name, SOCKET_EVENTS) != 0) {
        return false;
    }
    socket->monitor = zmq_socket(socket->context, ZMQ_PAIR);
    return socket->monitor != NULL &&
           zmq_setsockopt(socket->monitor, ZMQ_LINGER, &linger, sizeof(linger)) == 0 &&
           zmq_connect(socket->monitor, name) == 0;
}

drover_status drv_socket_connect(struct drv_socket *socket, const char *endpoint,
                                 uint64_t number)
{
    drover_status status = DROVER_LIMIT;
    DRV_ASSERT(socket->socket == NULL);
    socket->number = number;
    socket->has_heard = false;
    socket->socket = zmq_socket(socket->context, ZMQ_DEALER);
    if (socket->socket == NULL || !set_options(socket->socket) ||
        !set_keys(socket->socket, &socket->identity) || !open_monitor(socket) ||
        !get_fd(socket->socket, &socket->fd) || !get_fd(socket->monitor, &socket->monitor_fd)) {
        goto out;
    }
    if (zmq_connect(socket->socket, endpoint) != 0) {
        status = errno == EINVAL || errno == EPROTONOSUPPORT ? DROVER_INVALID : DROVER_LIMIT;
        goto out;
    }
    status = DROVER_OK;
out:
    if (status != DROVER_OK) {
        drv_socket_disconnect(socket, 0);
        socket->number = number; /* it was tried */
    }
    return status;
}

void drv_socket_disconnect(struct drv_socket *socket, int linger_ms)
{
    if (socket->socket != NULL) {
        (void)zmq_setsockopt(socket->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
        (void)zmq_socket_monitor(socket->socket, NULL, 0);
        (void)zmq_close(socket->socket);
    }
    if (socket->monitor != NULL) {
        (void)zmq_close(socket->monitor);
    }
    socket->socket = NULL;
    socket->monitor = NULL;
    socket->fd = -1;
    socket->monitor_fd = -1;
    socket->number = 0;
}

static void free_data(void *bytes, void *hint)
{
    (void)bytes;
    struct drv_data *data = hint;
    DRV_TSAN_ACQUIRE(data);
    drv_data_unref(&data);
}

/* Hands bytes over by reference; 0 or an errno. */
static int send_part(void *socket, struct drv_data *data, size_t offset, size_t len, int flags)
{
    zmq_msg_t part;
    if (len == 0) {
        return zmq_send(socket, "", 0, flags) < 0 ? errno : 0;
    }
    DRV_TSAN_RELEASE(data);
    if (zmq_msg_init_data(&part, data->bytes + offset, len, free_data, data) != 0) {
        return ENOMEM;
    }
    (void)drv_data_ref(data); /* given up by free_data, whatever becomes of the message */
    if (zmq_msg_send(&part, socket, flags) < 0) {
        int error = errno;
        (void)zmq_msg_close(&part);
        return error;
    }
    return 0;
}

int drv_socket_send(struct drv_socket *socket, struct drv_frames *frames)
{
    int error = send_part(socket->socket, frames->head, 0, frames->head->len,
                          ZMQ_DONTWAIT | ZMQ_SNDMORE);
    if (error != 0) {
        return error;
    }
    error = send_part(socket->socket, frames->blob, frames->blob_offset, frames->blob_len,
                      ZMQ_DONTWAIT);
    drv_data_unref(&frames->head);
    drv_data_unref(&frames->blob);
    return error == EAGAIN ? EPIPE : error; /* half a message has left */
}

static bool has_more(zmq_msg_t *part)
{
    return zmq_msg_more(part) != 0;
}

/* A message with another number of frames: takes it off the socket. */
static int drain(void *socket, zmq_msg_t *part)
{
    while (has_more(part)) {
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            break;
        }
    }
    return EPROTO;
}

int drv_socket_receive(struct drv_socket *socket, struct drv_packet *out_packet)
{
    (void)zmq_msg_init(&out_packet->head);
    (void)zmq_msg_init(&out_packet->blob);
    int error = 0;
    if (zmq_msg_recv(&out_packet->head, socket->socket, ZMQ_DONTWAIT) < 0) {
        error = errno;
    } else if (!has_more(&out_packet->head)) {
        error = EPROTO;
    } else if (zmq_msg_recv(&out_packet->blob, socket->socket, ZMQ_DONTWAIT) < 0) {
        error = EPIPE;
    } else if (has_more(&out_packet->blob)) {
        error = drain(socket->socket, &out_packet->blob);
    } else {
        error = 0;
        socket->has_heard = true;
    }
    if (error != 0) {
        drv_packet_fini(out_packet);
    }
    return error == EINTR ? EAGAIN : error;
}

void drv_packet_fini(struct drv_packet *packet)
{
    (void)zmq_msg_close(&packet->head);
    (void)zmq_msg_close(&packet->blob);
}

static bool has_event(const struct drv_socket *socket, int event)
{
    int events = 0;
    size_t len = sizeof(events);
    return socket->socket != NULL &&
           zmq_getsockopt(socket->socket, ZMQ_EVENTS, &events, &len) == 0 &&
           (events & event) != 0;
}

bool drv_socket_is_readable(const struct drv_socket *socket)
{
    return has_event(socket, ZMQ_POLLIN);
}

bool drv_socket_is_writable(const struct drv_socket *socket)
{
    return has_event(socket, ZMQ_POLLOUT);
}

/* What a monitor says about the end of a connection. */
static const char *why_lost(const struct drv_socket *socket, uint16_t event, uint32_t value,
                            bool *out_denied)
{
    static const char WRONG_KEY[] = "the handshake failed: is the broker's key the right one?";
    bool has_key = socket->identity.has_own;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        *out_denied = true;
        return has_key ? "the broker does not know this key" : "the broker wants a key";
    }
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        *out_denied = true;
        return has_key ? "the broker has no keys, and an own key and its key were given"
                       : "the broker wants a key, and none was given (--identity)";
    }
    if (event == ZMQ_EVENT_CLOSED) {
        return "the connection cannot be made";
    }
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        return has_key ? WRONG_KEY : "the other side does not speak ZeroMQ as expected";
    }
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL && has_key) {
        return WRONG_KEY;
    }
    /* Who closes for want of a key may do so before its side of the greeting has come. */
    return socket->has_heard || has_key ? "the connection broke"
                                        : "the connection broke at once: if the broker wants a "
                                          "key, name it (--identity)";
}

/* A monitor's message: number and value, then the address. */
static void read_event(zmq_msg_t *part, uint16_t *out_event, uint32_t *out_value)
{
    const uint8_t *bytes = zmq_msg_data(part);
    if (zmq_msg_size(part) >= sizeof(*out_event) + sizeof(*out_value)) {
        memcpy(out_event, bytes, sizeof(*out_event));
        memcpy(out_value, bytes + sizeof(*out_event), sizeof(*out_value));
    }
}

const char *drv_socket_lost(struct drv_socket *socket, bool *out_denied)
{
    const char *why = NULL;
    zmq_msg_t part;
    *out_denied = false;
    (void)zmq_msg_init(&part);
    while (socket->monitor != NULL && zmq_msg_recv(&part, socket->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        uint32_t value = 0;
        read_event(&part, &event, &value);
        if (has_more(&part)) { /* the address */
            (void)drain(socket->monitor, &part);
        }
        /* What failed in the handshake says more than that the connection is gone then. */
        bool is_better = why == NULL || (event != ZMQ_EVENT_DISCONNECTED &&
                                         event != ZMQ_EVENT_CLOSED && !*out_denied);
        if (event != ZMQ_EVENT_MONITOR_STOPPED && is_better) {
            why = why_lost(socket, event, value, out_denied);
        }
    }
    (void)zmq_msg_close(&part);
    return why;
}
