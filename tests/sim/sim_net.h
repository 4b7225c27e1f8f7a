/*
 * sim_net.h: the network between the peers and the broker.
 *
 *   peer end ── link ── frames ──(delay, loss, twice, overtaken, garbled, cut)── link ── broker
 * end
 *
 * Two kinds of connection. A *linked* one runs every message through drv_link on both ends:
 * what is lost or overtaken there is a sequence gap, which breaks the connection. A *direct*
 * one hands messages over without sequence checks: some arrive twice or are overtaken, so that
 * the broker's own idempotency is what is tested. Both encode and decode every message.
 *
 * A frame waits at an end that does not read; a number of waiting or travelling frames fill the
 * socket, and the sender's link holds the rest back.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "link.h"
#include "message.h"
#include "sim_events.h"

struct sim;

enum sim_side { SIM_PEER_SIDE = 0, SIM_BROKER_SIDE = 1 };

enum {
    SIM_LINK_QUEUE_MAX = 512, /* messages that a link holds back */
    SIM_MISSING_MAX = 128,    /* messages overtaken at a time */
};

struct sim_frame {
    struct sim_frame *next;
    struct drv_data *head, *blob; /* owned; blob may be NULL */
    size_t blob_offset, blob_len;
    unsigned kind;
    uint32_t conn;
    enum sim_side to;
    uint64_t direct_seq; /* of a direct connection */
};

struct sim_sent { /* of a direct connection: a message whose settlement is awaited */
    uint64_t seq, token;
};

struct sim_end {
    struct drv_link *link; /* owned; NULL: direct */
    bool open;
    struct sim_frame *first, *last; /* owned; arrived and not read */
    unsigned waiting, travelling;   /* frames not read; frames on their way to this end */
    int64_t last_arrival_us;
    int64_t tick_at_us; /* scheduled acknowledgement; INT64_MAX none */
    uint64_t window;    /* bytes that the other side takes unsettled */
    /* direct connections */
    uint64_t epoch;                    /* put into messages sent from here */
    uint64_t next_seq;                 /* of the next message sent from here */
    uint64_t settled;                  /* all received up to here has been settled */
    uint64_t want_settle;              /* what the owner wants settled */
    uint64_t received;                 /* the highest that has been received */
    uint64_t missing[SIM_MISSING_MAX]; /* lower ones that have not: overtaken on the way */
    size_t missing_count;
    struct sim_sent *sent; /* owned ring of awaited settlements */
    size_t sent_first, sent_count, sent_capacity;
};

struct sim_stash { /* direct connections: long values on their way */
    struct drv_data *data;
    uint64_t number;
};

struct sim_conn {
    uint32_t id;
    uint32_t peer;    /* which simulated peer made it */
    uint32_t number;  /* the broker's number for it, when open on that side */
    uint32_t session; /* number of the session that said HELLO on it */
    enum core_port port;
    bool direct;
    bool faulty; /* frames of it may be lost, doubled, overtaken, garbled */
    bool holed;  /* a frame was lost: what comes after shows the gap */
    struct sim_end ends[2];
    struct sim_stash *stash; /* owned */
    size_t stash_count;
};

struct sim_net {
    struct sim_conn **conns; /* owned; by id; NULL once both ends are closed */
    uint32_t count, capacity;
    uint32_t oldest;      /* all below are gone */
    bool anything_closed; /* reap has something to do */
};

void sim_net_fini(struct sim *sim);
/* Frees what was closed during the present event. */
void sim_net_reap(struct sim *sim);

/* A new connection; open on both sides at once, the broker knows it when something arrives. */
struct sim_conn *sim_net_connect(struct sim *sim, uint32_t peer, enum core_port port);
struct sim_conn *sim_net_find(struct sim *sim, uint32_t id); /* NULL: gone */

/* Encodes and sends. Returns what drv_link_send returns. */
drover_status sim_net_send(struct sim *sim, struct sim_conn *conn, enum sim_side from,
                           const struct drv_message *message, uint64_t token);
/* The receiver on `side` has dealt with everything up to `seq`. */
void sim_net_settle(struct sim *sim, struct sim_conn *conn, enum sim_side side, uint64_t seq);
/* WELCOME and HELLO told the epoch and the window. */
void sim_net_agree(struct sim_conn *conn, enum sim_side side, uint64_t epoch, uint64_t window);
size_t sim_net_queued(const struct sim *sim, const struct sim_conn *conn, enum sim_side side);

/* A side that did not read reads what has piled up. */
void sim_net_read(struct sim *sim, struct sim_conn *conn, enum sim_side side);

/* This side is done with the connection; the other learns of it soon (told); the broker
 * otherwise late, a peer never. */
void sim_net_close(struct sim *sim, struct sim_conn *conn, enum sim_side side, bool told);

/* Events; `id` names the connection, which may be gone. */
void sim_net_on_arrive(struct sim *sim, struct sim_frame *frame);
void sim_net_on_tick(struct sim *sim, uint32_t id, enum sim_side side);
void sim_net_on_ack(struct sim *sim, uint32_t id, enum sim_side side, uint64_t seq);
void sim_net_on_break(struct sim *sim, uint32_t id, enum sim_side side, bool quiet);
/* The connection breaks; with `half` one side, at random, never learns of it. */
void sim_net_break(struct sim *sim, struct sim_conn *conn, bool half);
void sim_net_free_frame(struct sim *sim, struct sim_frame *frame);

#endif
