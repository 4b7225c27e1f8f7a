/*
 * map.h: the inside of a map, for map*.c alone.
 *
 *   source ──pull──> feed: ARRAY_ITEMS ──> broker ──RESULTS──> slots ──in order──> caller
 *           window, batch, bytes           │ busy: again       (a ring of `window`)
 *   end of source, all feeds taken ──> ARRAY_SEAL
 *
 *   0 <= head <= next <= head + window:   delivered | ended or outstanding | not pulled
 *
 * Guarded by the client's lock, which is released while the source runs. An attached map has no
 * source: it watches the elements of its window one by one.
 */
#ifndef DRV_CLIENT_MAP_H
#define DRV_CLIENT_MAP_H

#include "ask.h"
#include "future.h"

#define MAP_WINDOW 16384
#define MAP_WINDOW_MAX (1024 * 1024)
#define MAP_ATTACHED_WINDOW 1024
#define MAP_ROOM_MIN 256
#define MAP_FEEDS_MAX 16
#define MAP_FEED_BYTES_MAX (16u * 1024 * 1024)
#define MAP_RESULT_BYTES_MAX (64u * 1024 * 1024)
#define MAP_SOURCE_RETRY_US 20000
#define MAP_RECOUNT_US 200000
#define MAP_STOP_US 200000

struct map_feed {         /* one ARRAY_ITEMS */
    struct drv_list link; /* in map.feeds */
    struct drv_pending pending;
    struct drover_map *map;
    bool is_waiting; /* was busy, is to be sent again */
    uint32_t first;
    size_t count;
    uint64_t bytes;
    struct drv_payload *payloads; /* owned, each and together */
    struct drv_val *vals;         /* owned */
};

struct map_element { /* of an attached map */
    struct drv_watcher watcher;
    struct drover_map *map;
    uint32_t index;
};

struct drover_map {
    drover_client *client;
    drover_id id;
    struct drv_watcher watcher;  /* of the array; not when attached */
    struct drv_task_spec *spec;  /* owned reference; NULL when attached */
    struct drv_payload with;     /* owned */
    drover_map_source_fn source; /* NULL when attached */
    void *context;
    struct map_element *elements; /* owned; NULL unless attached */
    drover_outcome **slots;       /* owned ring of owned outcomes */
    uint32_t window;
    uint32_t batch; /* 0 none */

    uint64_t head;  /* delivered */
    uint64_t next;  /* pulled, or watched */
    uint64_t taken; /* by the broker */
    uint64_t ended;
    uint64_t failed;
    uint64_t group_end; /* items before it may be pulled; UINT64_MAX without batch */
    uint64_t count;     /* attached: elements known */
    uint64_t slot_bytes;

    bool has_carry;           /* an item that did not fit into the last feed */
    struct drv_payload carry; /* owned */
    bool input_ended;         /* nothing is pulled any more */
    bool is_cancelled;        /* what is refused from now on is no surprise */
    bool stops;               /* is cancelled when an element does not succeed */
    int64_t stop_at_us;       /* so long that may take to be told in its turn */
    bool is_attached;         /* another array had the key: it is read instead */
    bool is_sealed;
    bool seal_asked;
    bool array_ended;
    drover_status broken;    /* why it cannot go on */
    char text[DRV_TEXT_MAX]; /* the broker's words about it */
    struct drv_list feeds;   /* of struct map_feed */
    size_t feed_count;
    uint64_t feed_bytes;
    struct drv_pending seal;
    int64_t source_retry_at_us; /* the source had nothing */
    int64_t busy_retry_at_us;   /* INT64_MAX: nothing waits */
    int64_t busy_since_us;      /* INT64_MAX: not busy */
    int64_t wait_ms;            /* -1 for ever */
    int64_t recount_at_us;      /* attached and not sealed */
};

/* map.c */
void map_cancel(struct drover_map *map, const char *reason); /* NULL: none */
void map_break(struct drover_map *map, drover_status status, struct drv_str text);
void map_put(struct drover_map *map, uint32_t index, drover_outcome *outcome);
void map_fill_missing(struct drover_map *map, drover_status status, const char *text);

/* map_feed.c */

/* Whether another item may be pulled now. */
bool map_may_pull(const struct drover_map *map, int64_t now_us);

/* Pulls what is ready, up to one message, and sends it. The lock is released while the source
 * runs. */
void map_pull(struct drover_map *map);

/* Sends again what was busy and is due; seals when all was taken. */
void map_push(struct drover_map *map, int64_t now_us);
void map_feeds_drop(struct drover_map *map);

#endif
