/*
 * sim_broker.h: the shell around the real core: connections in, effects out.
 *
 * Plays the part of the broker's loop: gathers inputs for a turn, steps the core, ticks it,
 * applies the effects in order. Every effect passes the checker before it leaves. A restart
 * is a new core with a higher epoch and empty memory, or one that recovers (sim_store.h).
 */
#ifndef SIM_BROKER_H
#define SIM_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "sim_net.h"
#include "sim_store.h"

struct sim;

enum { SIM_NUMBERS_MAX = 256 };

struct sim_number { /* a connection as the core knows it */
    uint32_t conn;
    bool used;
    bool blocked;
    bool look;    /* its queue may have become long or short */
    bool closing; /* gone or to be closed; free again when the turn is over */
};

struct sim_broker {
    struct core *core; /* owned; NULL while the broker is down */
    uint64_t epoch;    /* life: goes on over a restart that forgets nothing */
    uint64_t wire;     /* the epoch in its messages; the same if nothing is kept */
    struct sim_store kept;
    drover_id id;
    struct sim_number numbers[SIM_NUMBERS_MAX];
    bool turn_open; /* a turn is being gathered */
    bool draining;
    uint64_t wake; /* generation of the scheduled wake */
    int64_t wake_at_us;
    unsigned ends; /* times it went down */
    int64_t started_us;
    int64_t self_at_us; /* when it is told again how it does */
    uint64_t steps;
};

void sim_broker_start(struct sim *sim);
void sim_broker_crash(struct sim *sim);
void sim_broker_drain(struct sim *sim);
void sim_broker_fini(struct sim *sim);

/* The life to which an epoch on the wire belongs. */
uint64_t sim_broker_life(const struct sim *sim, uint64_t wire);

/* Another table of keys, which is taken. */
void sim_broker_take_keys(struct sim *sim, struct access **access);

/* Inputs from the network. */
void sim_broker_on_message(struct sim *sim, struct sim_conn *conn,
                           const struct drv_message *message);
void sim_broker_on_settled(struct sim *sim, struct sim_conn *conn, uint64_t token);
void sim_broker_on_broken(struct sim *sim, struct sim_conn *conn); /* seen to be gone */
void sim_broker_on_bad(struct sim *sim, struct sim_conn *conn, drover_status status,
                       const struct drv_message *message);
void sim_broker_on_room(struct sim *sim, struct sim_conn *conn); /* its queue became shorter */

/* Events. */
void sim_broker_on_turn(struct sim *sim);
void sim_broker_on_wake(struct sim *sim, uint64_t wake);
void sim_broker_on_restart(struct sim *sim, uint64_t ends);

#endif
