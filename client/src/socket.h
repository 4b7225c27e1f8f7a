/*
 * socket.h: the one place of the client that calls libzmq: a context, and one DEALER per
 * connection with a monitor that tells when the connection cannot be made or breaks.
 *
 * libzmq never reconnects here (it would replay old messages before HELLO): every connection
 * has a socket of its own. Nothing blocks but drv_socket_fini, for at most the linger time. One
 * thread at a time; the thread may change under a lock.
 */
#ifndef DRV_CLIENT_SOCKET_H
#define DRV_CLIENT_SOCKET_H

#include "identity.h"
#include "link.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

struct drv_socket {
    void *context;
    void *socket;      /* NULL: no connection */
    void *monitor;     /* PAIR; NULL with socket */
    int fd;            /* becomes readable when something may have changed; edge-triggered */
    int monitor_fd;    /* the same */
    uint64_t number;   /* of the connection, given by the session */
    uint64_t monitors; /* made so far, to name them */
    bool has_heard;    /* a message came over this connection */
    struct drv_identity identity; /* nothing in it: connections without keys */
};

/* OK, or LIMIT when the system has no more threads or descriptors. */
DROVER_MUST_USE drover_status drv_socket_init(struct drv_socket *socket);
void drv_socket_fini(struct drv_socket *socket);

/* Starts to connect. OK, INVALID (endpoint), LIMIT. */
DROVER_MUST_USE drover_status drv_socket_connect(struct drv_socket *socket,
                                                 const char *endpoint, uint64_t number);

/* linger_ms: how long what was sent may still leave, after this call. */
void drv_socket_disconnect(struct drv_socket *socket, int linger_ms);

/* Sends one message: 0 (the frames are taken), EAGAIN (they are not), or another errno: the
 * connection is unusable. */
int drv_socket_send(struct drv_socket *socket, struct drv_frames *frames);

struct drv_packet {
    zmq_msg_t head, blob;
};

/* One message: 0, EAGAIN (there is none), or another errno: the connection is unusable. */
int drv_socket_receive(struct drv_socket *socket, struct drv_packet *out_packet);
void drv_packet_fini(struct drv_packet *packet);

/* Whether drv_socket_receive would give something. */
bool drv_socket_is_readable(const struct drv_socket *socket);
/* Whether a send that was refused may succeed now. */
bool drv_socket_is_writable(const struct drv_socket *socket);

/* Why the connection is gone, a static text; NULL while it may be there. *out_denied: the other
 * side will not have us as we are, with this key or without one. */
const char *drv_socket_lost(struct drv_socket *socket, bool *out_denied);

#endif
