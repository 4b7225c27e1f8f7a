/*
 * sim_client.h: a client: a session with numbered requests, tasks of its own, an appetite.
 *
 * It sends every unanswered request again after a reconnect with the same number. When its
 * session is gone it does not: what it had asked for then has an unknown outcome, or is
 * submitted anew under the same ids, as a careful user would.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "sim_peer.h"
#include "sim_stream.h"

struct sim;
struct sim_event;
struct sim_task;
struct sim_task_spec;

enum {
    SIM_TARGETS_MAX = 16,
    SIM_REQUESTS_OPEN = 48, /* unanswered requests of one client */
    SIM_COUNTERS = 3,       /* shared counters */
};

struct sim_request {
    uint64_t req;
    enum drv_kind kind;
    uint64_t budget_ms;
    int64_t made_us;
    unsigned times_sent;
    uint32_t targets[SIM_TARGETS_MAX]; /* serials of tasks, also those that RETRY names */
    uint32_t count;
    uint32_t first_new; /* RETRY: serial of the first new task; ITEMS: first index */
    bool other_content; /* SUBMIT: deliberately not what was submitted before */
    bool again;         /* SUBMIT: of tasks that are acknowledged already */
    uint32_t op;        /* KV, QUEUE, WORKER; QUERY: topic */
    unsigned key;       /* KV: number of the counter */
    bool deletes_swap;  /* KV delete: the key that is swapped */
    int64_t number;     /* KV; QUEUE SET: most tasks */
    unsigned queue;
    drover_id worker; /* WORKER */
};

struct sim_client {
    uint32_t quota; /* tasks still to be submitted */
    uint64_t next_req;
    struct sim_request requests[SIM_REQUESTS_OPEN];
    uint32_t request_count; /* in order of their numbers */
    uint64_t swap_version;  /* last seen version of the key that is swapped */
    uint64_t credit_items, credit_high, credit_bytes;
    uint32_t unsettled;       /* RESULTS entries */
    unsigned settles_pending; /* timers of a slow reader */
    int64_t settle_at_us;
    uint32_t step; /* how far it is in the end phase */
    int64_t repaired_us;
    uint32_t counters_read, keys_deleted;
    struct sim_reader reader;
};

struct sim_client *sim_client_new(struct sim *sim, uint32_t quota);
void sim_client_destroy(struct sim_client **client);

/* The process dies and starts over with a new session. */
void sim_client_restart(struct sim *sim, struct sim_peer *peer, bool goodbye);
void sim_client_on_session_lost(struct sim *sim, struct sim_peer *peer);
/* All it wanted was done and all it waits for was told. */
bool sim_client_is_content(struct sim *sim, const struct sim_peer *peer);
/* What it still waits for, for a failure's text; SIM_NO_TASK: nothing. */
uint32_t sim_client_waits_for(struct sim *sim, const struct sim_peer *peer);

void sim_client_greet(struct sim *sim, struct sim_peer *peer);
void sim_client_on_welcome(struct sim *sim, struct sim_peer *peer, bool resumed);
/* Watches do not outlive a broker: what is still wanted is asked for again. */
void sim_client_watch_anew(struct sim *sim, struct sim_peer *peer);
void sim_client_on_disconnect(struct sim *sim, struct sim_peer *peer);
void sim_client_on_message(struct sim *sim, struct sim_peer *peer,
                           const struct drv_message *message);
void sim_client_on_event(struct sim *sim, struct sim_peer *peer, const struct sim_event *event);

/* sim_request.c: a free request to be filled, NULL when too many are open; and off it goes. */
struct sim_request *sim_request_new(struct sim *sim, struct sim_peer *peer, enum drv_kind kind);
void sim_request_send(struct sim *sim, struct sim_peer *peer, struct sim_request *request);
struct sim_request *sim_request_find(struct sim_client *client, uint64_t req);
void sim_request_remove(struct sim_client *client, struct sim_request *request);

/* sim_reply.c: an answer. */
void sim_reply_take(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply);

/* sim_deeds.c: something to do. */
void sim_deed_next(struct sim *sim, struct sim_peer *peer);
void sim_deed_resubmit(struct sim *sim, struct sim_peer *peer, uint32_t serial);
void sim_deed_grow(struct sim *sim, struct sim_peer *peer, uint32_t array);
void sim_deed_abandon_arrays(struct sim *sim, struct sim_peer *peer);
/* A random spec; a new task with it, and how long its payload is. */
struct sim_task_spec sim_deed_spec(struct sim *sim);
uint32_t sim_deed_task(struct sim *sim, const struct sim_peer *peer,
                       const struct sim_task_spec *spec);

/* sim_graph.c: what waits for what. `first`: of the tasks that go in the same message. */
void sim_deed_parents(struct sim *sim, struct sim_peer *peer, uint32_t serial, uint32_t first);
void sim_deed_children(struct sim *sim, struct sim_peer *peer, uint32_t serial, uint32_t first);
void sim_deed_graph(struct sim *sim, struct sim_peer *peer);
/* What is cancelled along with this one, which is to be cancelled with all it awaits. */
void sim_deed_cascade(struct sim *sim, uint32_t serial);

/* sim_end.c: the same, once the faults are healed. */
void sim_end_next(struct sim *sim, struct sim_peer *peer);
/* Something of the present broker that has not been forgotten. */
bool sim_end_is_kept(const struct sim *sim, const struct sim_task *task);
bool sim_end_is_done(struct sim *sim, const struct sim_peer *peer);

#endif
