/*
 * server.h: the shell around the core: sockets, signals, time. One thread.
 *
 *     one turn:  read the clock
 *                tell the core who is gone
 *                drain up to SERVER_BURST messages of each port, workers first   intake.c
 *                and SERVER_BURST_INSIDE of the HTTP thread
 *                   frames -> link -> core_step
 *                core_tick
 *                the turn's records to the store                                 outlet.c
 *                apply the effects in order
 *                   message, settle -> gate -> link; close
 *                let out what the store has by now                               gate.c
 *                flush the links to the sockets, workers first, unless heartbeats gather
 *                wait for input, the store, a signal, or the next deadline
 *
 * The server owns the core, the store, the peers and the sockets. It never decides anything
 * about tasks.
 */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include "alert_action.h"
#include "arena.h"
#include "channel.h"
#include "connection.h"
#include "core.h"
#include "gate.h"
#include "hand_page.h"
#include "http.h"
#include "identity.h"
#include "log.h"
#include "problem.h"
#include "self.h"
#include "settings.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SERVER_BURST = 64,              /* messages of a port in one turn */
    SERVER_BURST_BYTES = 128 << 10, /* and of their heads, about a microsecond for 50 of them */
    SERVER_BURST_INSIDE = 4,        /* messages of the HTTP thread in one turn: questions, which
                                       cost up to a millisecond each */
    SERVER_QUEUE_MAX =
        1024, /* messages waiting for one peer; beyond it the connection is dropped */
    SERVER_QUEUE_BYTES_MAX =
        (16 << 20) + 4 * DRV_PAYLOAD_MAX, /* the same in bytes; the largest message, twice, and
                                             what need not wait for a window beside it */
    SERVER_WINDOW_IN = 4 << 20,           /* byte window given to every peer */
    SERVER_TRIM_US = 10 * 1000 * 1000,    /* what nobody accounts for is looked for so seldom */
    SERVER_TRIM_BYTES = 4 << 20,          /* a load below this leaves nothing worth it */
    SERVER_HWM = 64,                      /* messages inside the socket, per peer */
    SERVER_ACK_DELAY_US = 1000,
    SERVER_RETRY_US = 10 * 1000,        /* sockets that refuse are tried again this often */
    SERVER_SELF_US = 1000 * 1000,       /* own resource use is read this often */
    SERVER_STORE_US = 1000 * 1000,      /* the store is tended this often */
    SERVER_WAIT_MAX_MS = 1000,          /* a turn begins at least so often */
    SERVER_GATHER_US = 5 * 1000,        /* heartbeats that nobody waits for gather so long */
    SERVER_MESSAGE_MAX = DRV_FRAME_MAX, /* bytes of a frame; larger ones end the connection */
};

struct access;
struct zap;

struct server {
    const struct drv_log *log; /* borrowed */
    struct settings settings;
    struct core *core;                         /* owned */
    struct store *store;                       /* owned */
    struct alert_actions *commands, *webhooks; /* of alerts; owned; NULL: none are wanted */
    struct hand_page *hand;                    /* mapped; NULL: nothing is kept */
    struct store_recovery recovery;
    int64_t recovery_us; /* how long it took */
    struct gate gate;
    struct drv_identity identity; /* own, until the sockets have it */
    struct zap *zap;              /* owned; NULL: no keys (security.h) */
    struct access *access;        /* owned, on its way to the core; NULL: it has it */
    struct connections peers;
    struct drv_arena arena;                             /* the message being decoded */
    void *context;                                      /* owned, ZeroMQ */
    void *sockets[CORE_PORT_WORKER + 1];                /* owned, by port */
    int socket_fds[CORE_PORT_WORKER + 1];               /* they become readable */
    bool may_read[CORE_PORT_WORKER + 1];                /* something may have come */
    bool must_ask[CORE_PORT_WORKER + 1];                /* its descriptor may not say so */
    char endpoints[CORE_PORT_WORKER + 1][ENDPOINT_MAX]; /* as bound */
    const char *endpoint_list[CORE_PORT_WORKER + 1];
    struct http *http;          /* owned; NULL: not served */
    struct channel *channel;    /* its, borrowed; NULL with it */
    uint32_t inside_generation; /* of its connection */
    int signal_fd;              /* owned */
    struct self_meter meter;
    int64_t self_at_us;      /* next reading */
    int64_t store_at_us;     /* next time that the store is tended */
    int64_t turn_due_us;     /* when the next turn begins at the latest; 0: none yet */
    uint32_t heartbeats;     /* of workers, in this turn */
    uint32_t others;         /* other messages in this turn */
    int64_t gather_until_us; /* workers are not listened to before; 0: they are */
    bool was_full;           /* the disk: said so */
    int64_t drain_until_us;  /* 0: not draining */
    uint64_t peak_bytes;     /* accounted memory at most since it was given back last */
    bool unread[CORE_PORT_WORKER + 1]; /* the last turn has left something in the socket */
    uint64_t other_bytes; /* resident and not accounted for, the least so far; 0: unknown */
    int64_t trim_at_us;   /* not looked for before */
    bool stop;
};

/* Binds both ports, makes store and core, and recovers what is kept. OK; IO: an endpoint, the
 * disk; BUSY: another broker has the data; MALFORMED, VERSION: the data cannot be read;
 * INVALID, INTERNAL, NOMEM, with a problem. SIGTERM, SIGINT, SIGHUP are blocked from here on.
 */
DROVER_MUST_USE drover_status server_new(const struct settings *settings,
                                         const struct drv_log *log, struct server **out_server,
                                         struct drv_problem *problem);
void server_destroy(struct server **server);

/* Serves until a signal ends it. OK or IO (polling, or the store, has failed). */
DROVER_MUST_USE drover_status server_run(struct server *server);

/* Hands a time zone of this machine to the core: the status of core_set_zone, or of reading. */
drover_status server_read_zone(struct server *server, const char *name);

/* alert_setup.c: rules and actions, as the settings have them. */
DROVER_MUST_USE drover_status alert_setup(struct server *server, struct drv_problem *problem);

/* What became of the actions, all together. */
void alert_count(const struct server *server, struct core_self *self);

/* What SIGTERM, SIGINT and SIGHUP ask for. */
void server_on_signals(struct server *server, int64_t now_us);

/* wait.c: until there is something to do, at most until this instant. OK or IO. */
DROVER_MUST_USE drover_status wait_for_input(struct server *server, int64_t next_us);
/* Whether what this turn wants to tell workers can wait for the next one, which comes soon;
 * more: it comes at once. */
bool wait_gathers(struct server *server, bool more, int64_t now_us);

/* intake.c: receives and steps up to SERVER_BURST messages of one port; true when there may be
 * more. */
bool intake_drain(struct server *server, enum core_port port, int64_t now_us);

/* The same for the HTTP thread, which must be there. */
bool intake_drain_inside(struct server *server, int64_t now_us);

/* outlet.c */
void outlet_apply(struct server *server, int64_t now_us); /* the core's effects */
/* What may leave does. True: somebody comes again in the next turn, which is due at once. */
bool outlet_flush(struct server *server, int64_t now_us);
void outlet_refuse(struct server *server, struct connection *peer, drover_status code,
                   const char *text, const struct drv_message *about); /* one ERROR */
void outlet_goodbye(struct server *server); /* GOODBYE to all, best effort */
int64_t outlet_deadline_us(const struct server *server);

#endif
