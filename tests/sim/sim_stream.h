/*
 * sim_stream.h: clients that are told of every end, and the witness that they are told the
 * truth.
 *
 * The checker writes down every end in the order of the records. The numbers of a subscription
 * count ends, those that were dropped included; so the entries that a client gets must stand as
 * far apart in that list as their numbers are. Subscriptions go over linked connections only:
 * elsewhere answers and events overtake each other.
 */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

struct sim;
struct sim_peer;

struct sim_ending { /* a task has ended */
    uint32_t serial;
    uint32_t state;
};

struct sim_ends {             /* all of them, in the order of the records */
    struct sim_ending *items; /* owned */
    size_t count, capacity;
};

struct sim_reader { /* a client's subscription to ends */
    bool is_reader;
    bool is_open;      /* answered on this connection */
    uint64_t req;      /* of the SUBSCRIBE under way */
    uint64_t received; /* number of the last entry */
    bool has_place;    /* the next two are known */
    uint64_t last;     /* number of the last entry that was looked at */
    size_t place;      /* where it stands in the list of ends */
    bool was_asked;    /* SUBSCRIBE was sent in this session; perhaps nobody heard it */
    size_t asked;      /* length of the list of ends when it was sent last */
    size_t since;      /* the same when the subscription began, at the earliest */
};

void sim_ends_add(struct sim *sim, uint32_t serial, uint32_t state);
void sim_ends_fini(struct sim *sim);

void sim_stream_on_welcome(struct sim *sim, struct sim_peer *peer);
void sim_stream_on_disconnect(struct sim_peer *peer);
void sim_stream_on_session_lost(struct sim_peer *peer);
void sim_stream_on_reply(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply);
void sim_stream_on_events(struct sim *sim, struct sim_peer *peer,
                          const struct drv_events *events);

#endif
