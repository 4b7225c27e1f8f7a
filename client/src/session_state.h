/*
 * session_state.h: the inside of a session, for session*.c alone.
 */
#ifndef DRV_CLIENT_SESSION_STATE_H
#define DRV_CLIENT_SESSION_STATE_H

#include "arena.h"
#include "backoff.h"
#include "problem.h"
#include "rng.h"
#include "session.h"
#include "table.h"

#define SESSION_ENDPOINT_MAX 512
#define SESSION_CREDIT_ITEMS 16384
#define SESSION_CREDIT_BYTES (16u * 1024 * 1024)
#define SESSION_QUEUE_MAX 256
#define SESSION_QUEUE_BYTES_MAX (2u * DRV_PAYLOAD_MAX)
#define SESSION_ACK_DELAY_US 1000
#define SESSION_ARENA_KEEP (256 * 1024)
#define SESSION_BACKOFF_MIN_MS 50
#define SESSION_BACKOFF_MAX_MS 2000
#define SESSION_STABLE_US 1000000 /* a connection this old ended for a new reason */
#define SESSION_HELLO_US 2000000  /* first patience for WELCOME; doubles */
#define SESSION_HEARTBEAT_US 1000000
#define SESSION_LEASE_US 10000000
#define SESSION_SUBMITS_MAX 64 /* SUBMIT messages unanswered at once */
#define SESSION_BUSY_MS 100    /* pause when the broker names none */
#define SESSION_BUSY_MAX_MS 10000
#define SESSION_BUSY_WHY_MAX 160
#define SESSION_SPARE_WATCHES 4096 /* whose memory is kept */
#define SESSION_WATCH_BITS 13      /* of a table that has room for so many */

enum session_state {
    SESSION_DOWN,
    SESSION_CONNECTING,
    SESSION_UP,
    SESSION_FATAL,
    SESSION_ENDED
};

struct drv_watch_key {
    drover_id id;
    uint32_t index;
};

struct drv_watch {
    struct drv_watch_key key;
    uint64_t epoch; /* under which the submit was acknowledged; 0 unknown */
    uint32_t level;
    bool is_new; /* the submit is not answered yet: there is nothing to ask */
    bool wants_value;
    bool was_states; /* was asked for states before, so that a nil may be no value */
    bool release;
    bool is_asked;            /* the broker knows of it, in this session */
    struct drv_list dirty;    /* in session.dirty: to be asked */
    struct drv_list watchers; /* of struct drv_watcher */
    uint64_t hash;
};

struct drv_session {
    enum session_state state;
    struct drv_session_config config;
    char endpoint[SESSION_ENDPOINT_MAX]; /* configured */
    char moved_to[SESSION_ENDPOINT_MAX]; /* by MOVED; "" none */
    bool use_moved;                      /* which of the two is tried */
    char name[DRV_NAME_MAX + 1];
    struct drv_rng rng;
    struct drv_arena arena; /* one received or sent message */
    struct drv_problem problem;
    drover_status fatal;

    /* connection */
    uint64_t connection;    /* number; grows */
    struct drv_link *link;  /* owned; NULL when DOWN */
    uint32_t attempts;      /* failed since the last stable connection */
    int64_t retry_at_us;    /* DOWN */
    int64_t hello_until_us; /* CONNECTING */
    int64_t up_at_us;       /* UP */
    int64_t heard_at_us;
    int64_t heartbeat_at_us; /* when the next is due */
    int64_t awaiting_since_us;
    bool was_awaiting;
    uint64_t epoch;
    uint64_t welcomed_epoch; /* of the last WELCOME; 0: none */
    uint64_t received_seq;   /* to be settled */
    int64_t heartbeat_us, lease_us;
    struct drv_limits limits;
    char *capabilities[DRV_CAPABILITIES_MAX]; /* owned */
    size_t capability_count;

    /* session */
    drover_id id;
    bool is_known; /* welcomed under this id: HELLO resumes */
    bool was_up;   /* welcomed under any id */
    uint64_t next_req;
    struct drv_list unsent; /* of struct drv_pending; numbered ones first */
    struct drv_list sent;   /* by req */
    struct drv_pending *by_req[DRV_REQUESTS_MAX];

    /* submissions */
    struct drv_list waiting; /* of struct drv_submission, by order */
    uint64_t next_order;
    size_t submission_count; /* waiting and sent */
    uint64_t submission_bytes;
    size_t submits_sent;                 /* SUBMIT messages unanswered */
    bool is_busy;                        /* the last answer refused something for now */
    int64_t busy_hold_us;                /* no SUBMIT before */
    char busy_why[SESSION_BUSY_WHY_MAX]; /* what the broker said last, cut; NUL-terminated */
    int64_t give_up_us; /* a submission that waits is refused then; INT64_MAX none */

    /* watches */
    struct drv_table watches;      /* by (id, index) */
    uint64_t watches_ended;        /* how many have left it */
    size_t element_watches;        /* of elements, among them */
    struct drv_watch *array;       /* whose element came last; NULL: none, or not known */
    uint64_t array_at;             /* it is known while watches_ended is this */
    struct drv_list dirty;         /* to be asked */
    struct drv_list unwatched;     /* to be told; not in the table any more */
    struct drv_list spare_watches; /* memory for the next ones, by dirty */
    size_t spare_watch_count;

    /* streams */
    struct drv_list subscriptions; /* of struct drv_subscription */
    uint64_t next_subscription;

    /* results */
    struct drv_outcome_pool *outcomes; /* owned */
    uint64_t unread_bytes;
    int readers;
};

/* session.c */
void session_break(struct drv_session *session, const char *why, int64_t now_us);
uint64_t session_ms_left(int64_t deadline_us, int64_t now_us);

/* session_request.c */
/* As drv_session_ask, but in the place of what was asked as number `order`. */
void session_ask_before(struct drv_session *session, struct drv_pending *pending,
                        uint64_t order);
void session_flush_requests(struct drv_session *session, int64_t now_us);
void session_requests_rewind(struct drv_session *session); /* the connection is gone */
void session_requests_expire(struct drv_session *session); /* the session is gone */
void session_requests_end(struct drv_session *session, drover_status status);
void session_on_reply(struct drv_session *session, const struct drv_replies *replies);
void session_on_document(struct drv_session *session, const struct drv_document *document);
/* The oldest unanswered request of this kind is refused; false when there is none. */
bool session_refuse_kind(struct drv_session *session, uint32_t kind, drover_status status,
                         struct drv_str text);

/* session_submit.c */
void session_flush_submissions(struct drv_session *session, int64_t now_us);
void session_submissions_end(struct drv_session *session, drover_status status);
int64_t session_submissions_deadline(const struct drv_session *session);

/* session_watch.c */
void session_flush_watches(struct drv_session *session);
void session_watches_rewind(struct drv_session *session); /* a fresh session: ask again */
void session_unwatched_drop(struct drv_session *session);
void session_spare_watches_drop(struct drv_session *session);
void session_watches_end(struct drv_session *session, drover_status status);
void session_on_results(struct drv_session *session, const struct drv_results *results);

/* session_stream.c */
void session_streams_rewind(struct drv_session *session); /* the connection is gone */
void session_streams_anew(struct drv_session *session);   /* another life of the broker */
void session_streams_end(struct drv_session *session, drover_status status);
void session_flush_streams(struct drv_session *session);
void session_on_stream(struct drv_session *session, const struct drv_message *message);

#endif
