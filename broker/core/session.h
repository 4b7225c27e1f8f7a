/*
 * session.h: peers (connections) and sessions (what outlives them).
 *
 *      peer NEW ──HELLO──> ATTACHING ──last ATTACH──> OPEN ──GONE, takeover, error──> DEAD
 *                   └────────── no leases ─────────────^
 *
 * A session has at most one peer and a peer at most one session; both know it. A session
 * without a peer ends after session_us. Requests, their replies, watches and leases belong to
 * the session.
 */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "core.h"
#include "list.h"
#include "rate.h"
#include "sweep.h"
#include "timer.h"

struct access_grant;
struct account;
struct who;
struct worker;
struct body;

enum peer_state { PEER_NEW, PEER_ATTACHING, PEER_OPEN, PEER_DEAD };

/* A charged message that the peer has not settled. */
struct flight {
    struct drv_list link; /* in peer->flights, oldest first */
    uint64_t token;
    enum drover_durability level; /* at which it was sent: messages overtake across levels */
    uint64_t bytes;               /* charged against the window */
    uint64_t items;               /* entries of RESULTS */
    struct drv_list sent;         /* RESULTS: tasks of this session in it (task->place.link) */
    struct drv_list watches;      /* RESULTS: single targets in it (watch->in_session) */
    struct drv_list losses;       /* RESULTS: entries about tasks that a restart took */
    struct drv_list pieces;       /* RESULTS: parts of arrays (struct piece) */
};

struct peer {
    uint32_t number; /* the shell's */
    enum core_port port;
    enum peer_state state;
    struct session *session; /* ATTACHING and OPEN */
    bool is_blocked;
    bool is_broken;                      /* an effect for it was lost to lack of memory */
    bool is_dirty;                       /* to be flushed at the end of the turn */
    struct drv_list link;                /* in core->dirty_workers or dirty_clients */
    uint64_t seq;                        /* last message received */
    uint64_t settled;                    /* told to the shell */
    enum drover_durability settle_level; /* of what was reported since */
    uint64_t last_token;
    struct drv_list flights;
    uint64_t flight_bytes;
    struct drv_note *notes; /* owned: for the next ACK */
    size_t note_count;
    size_t note_capacity;
    const struct access_grant *grant; /* what its key may do; NULL: nobody is asked */
    bool is_inside, has_key;
    uint8_t key[32]; /* if it has one */
};

/* Tasks that end with their session; once it is gone they do so in slices. */
struct ties {
    struct sweep sweep;
    struct drv_list list; /* struct tie.link */
};

/* Names a session without pointing to it. */
struct handle {
    uint32_t slot;
    uint32_t generation; /* 0: nobody */
};

struct session {
    drover_id id;
    struct handle handle;
    enum drv_role role;
    struct peer *peer;       /* NULL: away */
    char *name;              /* owned, in force, NUL-terminated */
    struct account *account; /* referenced; NULL: nobody's */
    struct drv_list in_account;
    bool is_unclaimed;    /* of a life without keys: whoever knows its id goes on with it */
    bool is_resumed;      /* its last HELLO went on with it */
    struct drv_list away; /* in core->sessions.away while it has no peer */
    uint64_t credit_items, credit_bytes;
    bool takes_ranges;     /* one entry may speak of several elements (range.h) */
    int64_t heard_us;      /* last message */
    struct timer timer;    /* away: its end; here: when it should have settled something */
    struct worker *worker; /* a worker's entry in the roster while it is not lost */

    /* requests (request.h) */
    uint64_t floor;          /* replies below have been received */
    uint64_t req_max;        /* highest request seen */
    struct drv_list replies; /* struct reply, by req */
    uint32_t reply_count;
    uint64_t reply_bytes;
    uint32_t unkept_count; /* answers to questions that have not been sent */
    struct drv_list due;   /* replies to go out with the next flush */

    /* records (save.h) */
    struct drv_list unsaved;         /* in core->save.sessions when something has changed */
    struct drv_list unsaved_replies; /* struct reply.unsaved */
    bool is_saved;                   /* recorded as a whole */
    bool was_draining;               /* while it is restored: its worker */
    struct who *past;                /* referenced: its worker while it has none */
    uint16_t mark;

    /* what it submitted */
    uint64_t unfinished_tasks; /* elements included */
    uint64_t unfinished_bytes; /* their payloads */
    uint64_t keys;             /* of its tasks, those whose window is not over included */
    struct rate_bucket bucket; /* of its submits */
    struct drv_list arrays;    /* arrays that it opened and has not sealed */
    struct ties *ties;         /* owned: tasks to be cancelled with it; NULL: none yet */

    /* results (watch.h) */
    struct drv_list watches;       /* struct watch: all that it has */
    struct drv_list ready_tasks;   /* ended tasks of its own (task->place.link) */
    struct drv_list ready_watches; /* watches with something to hand out */
    struct drv_list ready_losses;  /* targets that a restart took */
    uint64_t unread;               /* results that ended and are not settled */
    uint64_t items_in_flight;      /* unsettled RESULTS entries */

    /* streams (stream.h) */
    struct drv_list subscriptions; /* struct subscription.in_session */
    struct drv_list ready_streams; /* those with something to do */
    uint32_t subscription_count;
    uint64_t stream_bytes; /* their windows */
};

struct peers {
    struct peer **slots; /* owned, by the shell's number */
    size_t count;
};

struct sessions {
    struct session **slots; /* owned; NULL: free */
    uint32_t slot_count;
    uint32_t *free_slots; /* owned */
    uint32_t free_count;
    uint32_t generation;  /* last one given */
    struct drv_list away; /* struct session.away, longest away first */
};

/* --- peers --- */
struct peer *peer_find(const struct core *core, uint32_t number);
/* The peer with this number, made when it is new; NULL when out of memory. */
struct peer *peer_ensure(struct core *core, uint32_t number, enum core_port port);
/* Connection over: whatever was in flight goes back, the session is away. Frees it. */
void peer_gone(struct core *core, struct peer *peer);
/* The connection does not count any more. The number stays until the turn is over, so that
 * nothing that comes in the same turn is taken for a new peer. */
void peer_kill(struct core *core, struct peer *peer);
/* Tell it what was wrong. */
void peer_error(struct core *core, struct peer *peer, drover_status code, const char *text);
/* Tell it why and close it; its session is away. */
void peer_refuse(struct core *core, struct peer *peer, drover_status code, const char *text);
/* To be flushed at the end of the turn. */
void peer_touch(struct core *core, struct peer *peer);
/* Whether messages may be sent to it now. */
bool peer_is_open(const struct peer *peer);
/* Whether `bytes` more may be in flight. */
bool peer_window_has(const struct peer *peer, uint64_t bytes);
/* A charged message is about to be sent; NULL when out of memory. */
struct flight *peer_fly(struct core *core, struct peer *peer, uint64_t bytes,
                        enum drover_durability level);
/* It was settled, or is given up. Its lists are empty. */
void peer_land(struct core *core, struct peer *peer, struct flight *flight);
/* All messages of its level up to this token are settled. */
void peer_settled(struct core *core, struct peer *peer, uint64_t token);
/* The entry `position` of message `seq` was not taken. */
void peer_note(struct core *core, struct peer *peer, uint64_t seq, uint32_t position,
               drover_status code);
void peers_flush(struct core *core);
/* The turn is over: forget those that were killed. */
void peers_bury(struct core *core);
void peers_fini(struct core *core);

/* --- sessions --- */
struct session *session_find(const struct core *core, const drover_id *id);
struct session *session_by_handle(const struct core *core, struct handle handle);
struct session *session_new(struct core *core, const drover_id *id, enum drv_role role);
/* Whether the peer named this capability. */
bool session_hello_has(const struct drv_hello *hello, const char *capability);
void session_bind(struct core *core, struct session *session, struct peer *peer);
/* The peer is gone: the session waits for another one. */
void session_unbind(struct core *core, struct session *session);
/* It says that it is over: what a worker has not started goes back. */
void session_goodbye(struct core *core, struct session *session);
/* Everything that belongs to it ends. */
void session_end(struct core *core, struct session *session);
/* Results were sent: a client that waits for them is heard of, or its connection is dead. */
void session_expect(struct core *core, struct session *session);
/* Whether there is room for one more session. When there is none, the one that is away for the
 * longest ends before its time, if it has been away for the lease time at least. */
bool sessions_make_room(struct core *core);
/* Its timer. */
void session_due(struct core *core, struct session *session);
/* Where tasks that end with it are tied to; NULL when out of memory. */
struct ties *session_ties(struct core *core, struct session *session);
/* Cancel tasks (struct tie.link) whose session has ended, in slices. Takes the list. */
void ties_cancel(struct core *core, struct drv_list *list);
/* It belongs to this account from now on; the reference is taken. */
void session_own(struct session *session, struct account *account);
void session_touch(struct core *core, struct session *session);
bool session_set_name(struct core *core, struct session *session, struct drv_str name);
void sessions_fini(struct core *core);

#endif
