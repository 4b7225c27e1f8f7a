/*
 * connection.h: the connections of the broker: who is behind a routing id.
 *
 *      routing id ──hash──> peer ──> link (sequence, window, chunks)
 *      peer number ─array─>  │
 *                            ├─ dirty    has frames to send           (list per port)
 *                            ├─ acking   owes an acknowledgement      (list, in order of
 * deadlines) ├─ waiting  refused by its socket        (list) └─ quiet    by time of last
 * message      (list per port, longest first)
 *
 * A peer exists from the first message of a connection to its end. The core knows it by its
 * number, which is reused only after the core was told that it is gone. Routing ids never leave
 * this module and the socket calls beside it.
 */
#ifndef BROKER_CONNECTION_H
#define BROKER_CONNECTION_H

#include "core.h"
#include "link.h"
#include "list.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_ROUTING_ID_MAX 32 /* ours has 5 bytes; the socket makes it */

struct connection {
    uint32_t number;
    enum core_port port;
    uint8_t routing_id[CONNECTION_ROUTING_ID_MAX];
    size_t routing_id_len;
    struct drv_link *link;    /* owned */
    struct drv_list dirty;    /* in peers.dirty[port] */
    struct drv_list acking;   /* in peers.acking */
    struct drv_list waiting;  /* in peers.waiting */
    struct drv_list quiet;    /* in peers.quiet[port] */
    struct drv_list gone;     /* in peers.gone: the core must be told */
    int64_t heard_at_us;      /* last message */
    int64_t probed_at_us;     /* last message or probe */
    int64_t waiting_since_us; /* the socket refuses since */
    int64_t went_at_us;       /* the socket knows of nobody to take what is sent; 0: it does */
    bool has_key;
    uint8_t key[32]; /* that it has proved to have, if it had to */
    bool is_inside;  /* our own HTTP thread: frames pass the channel */
    bool closing;    /* forget it when its queue is empty */
    bool has_begun;  /* a message came in its place */
    uint64_t serial; /* tells it from an earlier one with this number */
    uint32_t gated_welcomes, gated_chunks, gated_settles; /* wait for the store (gate.h) */
    uint32_t gated[2]; /* messages that wait, by queue of the gate */
};

struct connections {
    struct drv_table by_routing_id;
    struct connection **by_number; /* owned; NULL: free */
    uint32_t *free_numbers;        /* owned */
    size_t free_count, capacity, count, max;
    uint64_t serial; /* last one given */
    struct drv_list dirty[CORE_PORT_WORKER + 1];
    struct drv_list quiet[CORE_PORT_WORKER + 1];
    struct drv_list acking, waiting, gone;
};

DROVER_MUST_USE drover_status connections_init(struct connections *peers, uint64_t seed,
                                               size_t max);
void connections_fini(struct connections *peers);

struct connection *connections_find(const struct connections *peers, enum core_port port,
                                    const void *routing_id, size_t len);
struct connection *connections_at(const struct connections *peers,
                                  uint32_t number); /* NULL when there is none */

/* A new peer with its link. OK, LIMIT (max reached), INVALID (odd routing id), NOMEM. */
DROVER_MUST_USE drover_status connections_add(struct connections *peers, enum core_port port,
                                              const void *routing_id, size_t len,
                                              const struct drv_link_config *config,
                                              int64_t now_us, struct connection **out_peer);

/* Removes and frees it; the core must know. */
void connections_remove(struct connections *peers, struct connection **peer);

/* Puts it on a list once. */
void connection_mark_dirty(struct connections *peers, struct connection *peer);
void connection_mark_gone(struct connections *peers, struct connection *peer);
void connection_mark_acking(struct connections *peers, struct connection *peer);
void connection_heard(struct connections *peers, struct connection *peer, int64_t now_us);

#endif
