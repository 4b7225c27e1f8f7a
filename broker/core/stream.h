/*
 * stream.h: subscriptions: what clients are told while it happens.
 *
 *   events, shared data, output ──subscription_put──> [ entries, numbered ] ──flush──> client
 *                                     no room: the number is passed over        <──TAKEN──
 *
 * An entry stays until the client has taken it, so that a connection that breaks loses nothing;
 * entries that are kept never exceed the window of the subscription. What comes while it is
 * full is dropped, and the gap in the numbers tells how much. The windows of a session, and of
 * all together, are bounded, so that readers cost what they were granted and no more.
 *
 * Bytes are shared by all subscriptions that tell the same.
 */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include "core.h"
#include "list.h"
#include "session.h"
#include "table.h"

struct account;
struct lease;
struct output;

/* Windows of one session, together. */
#define STREAM_SESSION_BYTES ((uint64_t)16 * 1024 * 1024)

/* Something that was told; counted. */
struct stream_data {
    uint32_t references;
    uint32_t len;
    int64_t at_us;
    struct drv_piece piece; /* output only */
    char bytes[];
};

struct stream_entry {
    struct drv_list link; /* in subscription->entries */
    uint64_t number;
    struct stream_data *data; /* referenced; NULL: the end of an output */
};

/* What an event must have; texts with ptr NULL: anything. Texts lie behind the subscription. */
struct stream_filter {
    uint64_t mask; /* bit n: events of kind n, output of stream n */
    bool has_id;
    drover_id id;
    uint32_t index;
    struct drv_str queue, type, worker, text, tag_name, tag_value, group;
    const struct account *only; /* of its session: events of its tasks alone; NULL: all */
};

struct subscription {
    uint64_t number;
    struct session *session;
    enum drv_stream stream;
    uint32_t flags; /* DRV_SUBSCRIBE_* */
    struct stream_filter filter;
    uint64_t items_max, bytes_max;  /* window */
    uint64_t size;                  /* of this block */
    struct drv_list in_session;     /* session->subscriptions */
    struct drv_list in_source;      /* core->event_readers, kv_readers, or output->readers */
    struct drv_list ready;          /* session->ready_streams while there is something to do */
    struct drv_list entries;        /* struct stream_entry, what has not been taken */
    struct drv_list *unsent;        /* the first of them to be sent; &entries: none */
    uint64_t count, bytes;          /* of the entries */
    uint64_t last;                  /* number given last, to an entry or to what was dropped */
    uint64_t told;                  /* up to here the client knows what there was */
    bool is_waiting;                /* for the client to ask for it over its new connection */
    bool is_filling;                /* what was there before is still being put in */
    struct drv_table_cursor cursor; /* shared data: how far that is */

    /* output.h */
    struct output *output; /* whose readers it is among; NULL: its task is gone, or never was */
    uint64_t serial;       /* order among all readers of output */
    uint32_t at;           /* arrays: the element at which filling is */
    uint32_t piece;        /* and the next piece of its tail */
    bool is_at;            /* it has begun with that element */
    bool has_end;          /* its last entry is the end */
    uint32_t end_state;    /* enum drover_state, for the end */
};

/* New data of len bytes to be filled in, with one reference; NULL when out of memory. */
struct stream_data *stream_data_new(struct core *core, size_t len);
void stream_data_release(struct core *core, struct stream_data **data);

/* OK, BUSY (too many, or windows too large), NOMEM. In no source yet. */
DROVER_MUST_USE drover_status subscription_new(struct core *core, struct session *session,
                                               const struct drv_subscribe *subscribe,
                                               struct subscription **out_subscription);
void subscription_free(struct core *core, struct subscription *subscription);
struct subscription *subscription_find(const struct session *session, uint64_t number);

/* Tell it; dropped and counted when the window is full. */
void subscription_put(struct core *core, struct subscription *subscription,
                      struct stream_data *data);
/* Something could not be told: it is counted. */
void subscription_miss(struct core *core, struct subscription *subscription);
/* There will be no more; told even when the window is full. */
void subscription_put_end(struct core *core, struct subscription *subscription, uint32_t state);
/* Whether the window takes this many bytes more. */
bool subscription_has_room(const struct subscription *subscription, size_t len);
/* To be looked at with the next flush of its session. */
void subscription_touch(struct core *core, struct subscription *subscription);

/* The client has everything up to this number. May free the subscription, at its end. */
void subscription_taken(struct core *core, struct subscription *subscription, uint64_t number);
/* The client goes on over another connection; it has everything up to `taken`. */
void subscription_resume(struct core *core, struct subscription *subscription, uint64_t taken);

/* The connection is gone: nothing is sent until the client asks. */
void streams_pause(struct session *session);
void streams_end_session(struct core *core, struct session *session);
/* Send what may be sent (stream_flush.c). */
void streams_flush(struct core *core, struct session *session);

#endif
