/*
 * connection.h: one connection to a broker: a DEALER socket, its monitor, and the link's books.
 *
 * Made for one connection and destroyed with it; libzmq's own reconnect is forbidden, since it
 * would replay old messages before HELLO. The monitor tells at once when the other side is gone
 * or was never there. Nothing blocks but worker_connection_destroy with `flush`.
 */
#ifndef WORKER_CONNECTION_H
#define WORKER_CONNECTION_H

#include "arena.h"
#include "identity.h"
#include "link.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

enum {
    WORKER_CONNECTION_HWM = 64,          /* messages inside the socket */
    WORKER_CONNECTION_FLUSH_MS = 1000,   /* the end of a connection takes no longer */
    WORKER_CONNECTION_ACK_US = 1000,     /* an acknowledgement waits no longer for company */
    WORKER_CONNECTION_QUEUE_MAX = 4096,  /* messages waiting in the link */
    WORKER_CONNECTION_BACKLOG = 8 << 20, /* bytes in the link from which on REPORTs wait */
    WORKER_CONNECTION_LARGE = 32 * 1024, /* bytes of a large blob */
};

struct worker_connection {
    void *socket;          /* owned */
    void *monitor;         /* owned */
    struct drv_link *link; /* owned */
    zmq_msg_t head, blob;  /* of the message received last */
    int fd, monitor_fd;    /* borrowed: they tell that a question is worth its system call */
    uint64_t large_count;  /* messages received and sent whose blobs were large */
    bool may_read;         /* there may be something to receive */
    bool may_be_gone;      /* the monitor may have something to say */
    bool may_write;        /* is_full, but there is room again */
    bool is_full;          /* the socket refused */
    bool is_gone;
    bool has_key;    /* made with keys */
    bool is_denied;  /* gone, since the other side will not have us as we are */
    const char *why; /* static: what the monitor said about it; NULL: nothing yet */
};

/* Starts to connect, with keys if the identity has them. OK; INVALID (endpoint), NOMEM,
 * INTERNAL. */
DROVER_MUST_USE drover_status worker_connection_new(void *context, const char *endpoint,
                                                    const struct drv_identity *identity,
                                                    uint64_t window_in,
                                                    struct worker_connection **out_connection);

/* flush: what the link has goes out first, if that takes no longer than
 * WORKER_CONNECTION_FLUSH_MS; else it is dropped. */
void worker_connection_destroy(struct worker_connection **connection, bool flush);

/*
 * The next message. It is valid until the next call and as long as the arena; kind 0: contact,
 * but nothing for the session. Returns OK; NOT_READY: nothing is there; what drv_link_receive
 * returns, with a reason.
 */
DROVER_MUST_USE drover_status worker_connection_receive(struct worker_connection *connection,
                                                        int64_t now_us, struct drv_arena *arena,
                                                        struct drv_message *out_message,
                                                        const char **out_reason);

/*
 * How to wait: poll(2) with fds filled by _watch, unless _has_work says that there is something
 * already; then _saw. The descriptors tell of changes, not of states, as libzmq has it.
 */
enum { WORKER_CONNECTION_FDS = 2 };
void worker_connection_watch(const struct worker_connection *connection,
                             struct pollfd fds[WORKER_CONNECTION_FDS]);
void worker_connection_saw(struct worker_connection *connection,
                           const struct pollfd fds[WORKER_CONNECTION_FDS]);
bool worker_connection_has_work(const struct worker_connection *connection);

/* Hands to the socket what it takes. */
void worker_connection_send(struct worker_connection *connection);

/* Reads the monitor: whether the other side is gone, or could not be reached; `why` and
 * `is_denied` tell more. */
bool worker_connection_is_gone(struct worker_connection *connection);

/* Whether the link has so much to send that more should wait. */
bool worker_connection_is_blocked(const struct worker_connection *connection);

#endif
