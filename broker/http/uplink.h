/*
 * uplink.h: the HTTP thread as a client of the broker.
 *
 * It speaks the protocol of common/PROTOCOL.md over the channel instead of a socket: the same
 * links, sequence numbers, credits, and the same gate before what it is told. So nothing about
 * tasks is decided here and nothing of the core is touched. The connection is made when the
 * first question is asked, which is when the broker serves: feed.c keeps what happens seldom.
 *
 * One thread; never blocks; time is passed in.
 */
#ifndef HTTP_UPLINK_H
#define HTTP_UPLINK_H

#include "channel.h"

#include "arena.h"
#include "link.h"
#include "list.h"
#include "message.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    UPLINK_ASKS_MAX = 64,             /* questions under way at a time; more are busy */
    UPLINK_ASK_US = 5 * 1000 * 1000,  /* a question that has no answer by then fails */
    UPLINK_AGAIN_US = 500 * 1000,     /* between two attempts at a connection */
    UPLINK_ACK_DELAY_US = 200 * 1000, /* acknowledgements wait for company */
    UPLINK_PRESSED_US = 5 * 1000,     /* a full ring is tried again after this */
    UPLINK_WINDOW_BYTES = 1 << 20,
};

struct uplink;
struct ask;

/* The answer to a question: a DOCUMENT or a REPLY (one entry of it), borrowed for the call;
 * NULL: there was none, status says why. The ask is free again. */
typedef void (*ask_fn)(struct ask *ask, drover_status status,
                       const struct drv_document *document, const struct drv_reply *reply);

/* A question; embedded in whoever asks, who keeps what the message borrows until it is done. */
struct ask {
    struct drv_message message; /* QUERY, SUBSCRIBE, CANCEL, RETRY, QUEUE, WORKER; a new
                                   subscription gets its number when it is sent */
    ask_fn done;
    void *context;

    struct drv_list link; /* of the uplink's; in the order of the deadlines */
    uint64_t req;         /* 0: not sent yet */
    int64_t deadline_us;
};

static inline void ask_init(struct ask *ask, ask_fn done, void *context)
{
    ask->done = done;
    ask->context = context;
    drv_list_init(&ask->link);
}

/* What comes unasked: EVENTS, LOGS; borrowed for the call. */
typedef void (*uplink_stream_fn)(void *context, const struct drv_message *message);
/* The session is new: nothing of before is known to the broker any more. */
typedef void (*uplink_anew_fn)(void *context);

struct uplink {
    struct channel *channel; /* borrowed */
    struct drv_link *link;   /* owned; NULL: no connection */
    struct drv_arena arena;
    drover_id session;
    bool is_open; /* WELCOME has come */
    uint32_t generation;
    uint64_t req;          /* last one given, in this session */
    uint64_t subscription; /* the same */
    struct drv_list asks;  /* struct ask.link */
    size_t ask_count;
    int64_t again_at_us; /* no new connection before */
    int64_t heard_at_us; /* something came */
    bool is_pressed;     /* the ring was full */
    uplink_stream_fn on_stream;
    uplink_anew_fn on_anew;
    void *context;
};

void uplink_init(struct uplink *uplink, struct channel *channel, uplink_stream_fn on_stream,
                 uplink_anew_fn on_anew, void *context);
/* Asks that are under way are told (CLOSED). */
void uplink_fini(struct uplink *uplink);

/* Asks. `done` is called once, later, unless this fails: BUSY. */
DROVER_MUST_USE drover_status uplink_ask(struct uplink *uplink, struct ask *ask,
                                         int64_t now_us);
/* Whoever asked goes away: `done` is not called. Fine for an ask that is not under way. */
void uplink_forget(struct uplink *uplink, struct ask *ask);

/* Entries of a subscription up to this number were taken. */
void uplink_take(struct uplink *uplink, uint64_t subscription, uint64_t number);
/* Ends a subscription of this session; nobody waits for the answer. */
void uplink_unsubscribe(struct uplink *uplink, uint64_t subscription);

/* Takes in what has come, lets out what is due, ends what took too long. */
void uplink_turn(struct uplink *uplink, int64_t now_us);
/* When to call uplink_turn again at the latest; INT64_MAX: when something comes. */
int64_t uplink_deadline_us(const struct uplink *uplink, int64_t now_us);

#endif
