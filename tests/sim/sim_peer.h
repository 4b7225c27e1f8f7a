/*
 * sim_peer.h: what clients and workers have in common: a session and the life of its
 * connections.
 *
 *   IDLE ──connect──> GREETING ──WELCOME──> READY
 *    ^  <──patience, ERROR, break, silence──┘ (back-off, then again)
 *   DEAD: the process does not exist at present
 */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "sim_net.h"

struct sim;
struct sim_client;
struct sim_worker;

enum sim_role { SIM_CLIENT, SIM_WORKER, SIM_STRANGER };
enum sim_peer_state { SIM_IDLE, SIM_GREETING, SIM_READY, SIM_DEAD, SIM_FINISHED };

struct sim_peer {
    uint32_t number;
    enum sim_role role;
    struct sim_client *client; /* owned */
    struct sim_worker *worker; /* owned */
    enum sim_peer_state state;

    drover_id session;
    uint32_t session_number; /* how many sessions this peer has had */
    bool resume;             /* the session has been welcomed before */
    uint32_t conn;           /* when GREETING or READY */
    uint64_t generation;     /* of its timers; grows with every connection */
    uint64_t epoch;          /* of the last WELCOME: the broker's life */
    uint64_t wire;           /* the same as it stood in the message */
    unsigned attempts;       /* connections in a row that failed */
    uint64_t received;       /* highest message number received on this connection */
    bool repeated;           /* the present message has been here before, or is late */
    int64_t heartbeat_us, lease_us;
    uint64_t beat; /* number of the heartbeat that is due: an earlier one was put off */
    int64_t last_contact_us; /* something arrived */

    bool stopped; /* SIGSTOP: nothing happens until it goes on */
    int64_t stopped_until_us;
    bool deaf;            /* does not read */
    bool cut_in, cut_out; /* partition */
    int64_t cut_until_us;
    int64_t held_until_us; /* nothing arrives before, in either direction */
};

void sim_peer_fini(struct sim_peer *peer);

/* Begins a new session (a new process or a client that starts over). */
void sim_peer_new_session(struct sim *sim, struct sim_peer *peer);
void sim_peer_connect_later(struct sim *sim, struct sim_peer *peer, int64_t delay_us);
/* Drops the connection and makes a new one after the back-off. `told`: the broker sees it. */
void sim_peer_reconnect(struct sim *sim, struct sim_peer *peer, bool told);
/* Drops the connection for good or until sim_peer_connect_later. */
void sim_peer_disconnect(struct sim *sim, struct sim_peer *peer, bool told);
void sim_peer_goodbye(struct sim *sim, struct sim_peer *peer);
/* Sends on the connection; false when there is none or it refused. */
bool sim_peer_send(struct sim *sim, struct sim_peer *peer, const struct drv_message *message,
                   uint64_t token);
struct sim_conn *sim_peer_conn(struct sim *sim, const struct sim_peer *peer);
/* Everything received so far is dealt with. */
void sim_peer_settle(struct sim *sim, struct sim_peer *peer);
/* Puts the next heartbeat so far away; nothing with 0. */
void sim_peer_beat_in(struct sim *sim, struct sim_peer *peer, int64_t next_us);
void sim_peer_timer(struct sim *sim, const struct sim_peer *peer, enum sim_event_kind kind,
                    int64_t delay_us, uint64_t arg);
/* The worker or client with this session, or NULL. */
struct sim_peer *sim_peer_of_session(struct sim *sim, const drover_id *session);

/* Peer and number of a session that one of ours made, present or past. */
bool sim_session_read(const struct sim *sim, const drover_id *session, uint32_t *out_peer,
                      uint32_t *out_number);

/* SIGSTOP until then; SIGCONT comes as an event. */
void sim_peer_stop(struct sim *sim, struct sim_peer *peer, int64_t duration_us);
void sim_peer_set_deaf(struct sim *sim, struct sim_peer *peer, bool deaf);

/* Events; called by the world and the network. */
void sim_peer_on_event(struct sim *sim, const struct sim_event *event);
void sim_peer_on_message(struct sim *sim, struct sim_peer *peer,
                         const struct drv_message *message);
void sim_peer_on_settled(struct sim *sim, struct sim_peer *peer, uint64_t token);
/* The connection is gone; `told`: the broker learns of it too. */
void sim_peer_on_broken(struct sim *sim, struct sim_peer *peer, bool told);

#endif
