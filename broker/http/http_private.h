/*
 * http_private.h: the state of the HTTP thread, for the modules inside.
 */
#ifndef HTTP_HTTP_PRIVATE_H
#define HTTP_HTTP_PRIVATE_H

#include "http.h"
#include "inquiry.h"
#include "uplink.h"

#include "buffer.h"

#include <microhttpd.h>
#include <pthread.h>

enum {
    HTTP_CONNECTIONS_MAX = 256,
    HTTP_CONNECTION_BYTES = 16 << 10,    /* of a request's head; longer ones are refused */
    HTTP_BODY_MAX = 4 << 10,             /* of a request's body */
    HTTP_IDLE_S = 15,                    /* a connection on which nothing moves ends */
    HTTP_DEADLINE_US = 10 * 1000 * 1000, /* a request, from its first byte to the last of its
                                            answer */
    HTTP_PRESSED_US = 1000 * 1000,       /* the same while connections are scarce */
    HTTP_PRESSED_AT = HTTP_CONNECTIONS_MAX * 3 / 4,
    HTTP_STREAMS_MAX = 64,
    HTTP_STREAM_UNREAD_US = 15 * 1000 * 1000, /* a stream that nobody reads ends */
    HTTP_SNAPSHOT_US = 1000 * 1000,           /* a status is shared for so long */
    HTTP_STUCK_US = 5 * 1000 * 1000, /* a loop that has not turned for so long is not well */
    HTTP_FEED_MAX = 512,             /* events kept for streams */
    HTTP_FEED_RARE = 256,            /* of those, and older: what does not happen to tasks */
    HTTP_FEED_SOURCES = 2,
    HTTP_FEED_BATCH = 64,           /* events of one piece of a stream */
    HTTP_FEED_TAKE_US = 250 * 1000, /* how often more events are asked for */
    HTTP_LOGS_BYTES = 256 << 10,    /* output of a task in one answer */
};

/* A TCP connection. */
struct guest {
    struct MHD_Connection *connection;
    int fd;
    int64_t since_us;          /* its present request began, or the last one ended */
    struct drv_list link;      /* of http.guests, in that order; streams are in none */
    struct exchange *exchange; /* under way; NULL: none */
    bool is_shut;
};

/* A request and its answer. */
struct exchange {
    struct http *http;
    struct guest *guest;
    struct MHD_Connection *connection;
    struct inquiry request;
    struct ask ask;
    struct drv_target target;
    struct drv_list waiting; /* for the snapshot */
    struct logs *logs;       /* owned; NULL: none asked for */
    char body[HTTP_BODY_MAX + 1];
    size_t body_len;
    bool is_body_too_big;
    bool is_started;
    bool is_suspended;
    /* the answer */
    bool is_answered;
    bool must_close; /* where its body ends cannot be told */
    unsigned code;
    const char *type;      /* static */
    struct drv_data *text; /* owned */
};

struct snapshot {
    struct ask ask;
    bool is_asking;
    uint64_t number; /* of the status; 0: none yet */
    int64_t at_us;
    struct drv_data *msgpack, *json, *frame; /* owned; frame: as an event of a stream */
    struct drv_list waiting;                 /* struct exchange.waiting */
};

struct feed_entry {
    uint64_t number;
    struct drv_data *frame; /* owned: the event as a stream tells it */
};

enum { FEED_RARE, FEED_TASKS }; /* feed.sources */

/* A subscription of the broker. */
struct feed_source {
    struct ask ask;
    uint64_t mask; /* kinds of events */
    bool is_asking;
    bool is_subscribed;
    uint64_t next;  /* number of the next entry of the subscription */
    uint64_t taken; /* told the broker */
    int64_t take_at_us;
};

/* What happens in the broker: to tasks while somebody listens, everything else always. */
struct feed {
    struct feed_source sources[HTTP_FEED_SOURCES];
    uint64_t base;                           /* number before the first event */
    uint64_t number;                         /* of the newest event */
    struct feed_entry recent[HTTP_FEED_MAX]; /* by number */
    struct feed_entry rare[HTTP_FEED_RARE];
    uint64_t rare_count; /* that were ever put there */
};

struct http {
    const struct drv_log *log; /* borrowed */
    struct http_config config;
    struct channel channel;
    int listen_fd; /* owned until the daemon has it */
    char bound[HTTP_ADDRESS_MAX];
    pthread_t thread;
    bool has_thread;
    atomic_bool stop;

    /* of the thread */
    struct MHD_Daemon *daemon;
    int epoll_fd;
    int64_t now_us;
    struct uplink uplink;
    struct snapshot snapshot;
    struct feed feed;
    struct drv_list guests; /* struct guest.link: by since_us */
    size_t guest_count;
    int64_t pressed_until_us; /* connections are scarce, or were lately */
    struct drv_list streams;  /* struct stream.link */
    size_t stream_count;
    struct drv_list logs; /* struct logs.link */
    bool is_ending;
};

/* ---- exchange.c ---- */

enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection,
                                const char *url, const char *method, const char *version,
                                const char *upload, size_t *upload_len, void **state);
void exchange_completed(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how);
/* Answers; takes the text. Wakes the connection if it was put to sleep. */
void exchange_answer(struct exchange *exchange, unsigned code, const char *type,
                     struct drv_data **text);
/* The same with an error; text NULL: that of the status. */
void exchange_fail(struct exchange *exchange, drover_status status, const char *text);
/* Fails it if it waits for something, which will not be waited for any more. Fine with NULL. */
void exchange_abandon(struct exchange *exchange, drover_status status);
/* The same from a buffer, which is emptied; what could not be put into it fails. */
void exchange_answer_buffer(struct exchange *exchange, unsigned code, const char *type,
                            struct drv_buffer *buffer, drover_status status);
/* The headers of every answer. */
void exchange_headers(struct MHD_Response *response, const char *type);

#define TYPE_JSON "application/json"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* ---- snapshot.c ---- */

void snapshot_init(struct http *http);
void snapshot_fini(struct http *http);
/* Answers now, or when there is a new one. */
void snapshot_serve(struct http *http, struct exchange *exchange);
/* Asks for a new one if it is time and somebody looks. */
void snapshot_turn(struct http *http);
int64_t snapshot_deadline_us(const struct http *http);

/* ---- document.c ---- */

/* A document of the broker as JSON; a cursor becomes the key "cursor" of its map. OK, NOMEM,
 * MALFORMED. */
DROVER_MUST_USE drover_status document_json(const struct drv_document *document,
                                            struct drv_buffer *out);

#endif
