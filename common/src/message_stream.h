/*
 * message_stream.h: messages of streams (PROTOCOL.md section 6, "Streams"), and of the output
 * of tasks that feeds them.
 */
#ifndef DRV_MESSAGE_STREAM_H
#define DRV_MESSAGE_STREAM_H

#include "message_basic.h"

/* What a subscription brings; 0 ends it. */
enum drv_stream { DRV_STREAM_END, DRV_STREAM_EVENTS, DRV_STREAM_LOGS, DRV_STREAM_KV };
enum {                            /* subscribe flags */
       DRV_SUBSCRIBE_FOLLOW = 1,  /* logs: go on until the task has ended */
       DRV_SUBSCRIBE_PREFIX = 1,  /* shared data: text is a prefix */
       DRV_SUBSCRIBE_PRESENT = 2, /* shared data: begin with what is there */
};
struct drv_subscribe {
    uint64_t subscription; /* from 1, never reused in the session */
    uint32_t stream;       /* enum drv_stream */
    uint64_t items, bytes; /* window; 0: the defaults */
    uint64_t taken;        /* entries up to this number have arrived: resume behind it */
    uint32_t flags;        /* DRV_SUBSCRIBE_* */
    uint64_t mask;         /* bit n: events of kind n, output of stream n; 0 all */
    bool has_id;
    drover_id id;
    uint32_t index;
    struct drv_str queue, type;         /* nil: any */
    struct drv_str worker;              /* name, or id text; nil: any */
    struct drv_str text;                /* shared data: key or prefix */
    struct drv_str tag_name, tag_value; /* events of tasks with this tag; name nil: any */
    struct drv_str group;               /* events of tasks of this group; nil: any */
};

enum drv_event { /* what happened: bits of a subscription's mask, names in drv_event_name */
                 DRV_EVENT_TASK_SUBMITTED = 1,
                 DRV_EVENT_TASK_QUEUED,
                 DRV_EVENT_TASK_STARTED,
                 DRV_EVENT_TASK_PROGRESS,
                 DRV_EVENT_TASK_RETRIED,
                 DRV_EVENT_TASK_REQUEUED,
                 DRV_EVENT_TASK_CANCELLING,
                 DRV_EVENT_TASK_ENDED,
                 DRV_EVENT_TASK_WAITING,
                 DRV_EVENT_TASK_RELEASED,
                 DRV_EVENT_WORKER_CONNECTED = 16,
                 DRV_EVENT_WORKER_AWAY,
                 DRV_EVENT_WORKER_BACK,
                 DRV_EVENT_WORKER_LOST,
                 DRV_EVENT_WORKER_LEFT,
                 DRV_EVENT_WORKER_DRAINING,
                 DRV_EVENT_WORKER_RESUMED,
                 DRV_EVENT_SCHEDULE_ADDED = 24,
                 DRV_EVENT_SCHEDULE_REMOVED,
                 DRV_EVENT_SCHEDULE_PAUSED,
                 DRV_EVENT_SCHEDULE_RESUMED,
                 DRV_EVENT_SCHEDULE_FIRED,
                 DRV_EVENT_SCHEDULE_SKIPPED,
                 DRV_EVENT_QUEUE_PAUSED = 32,
                 DRV_EVENT_QUEUE_RESUMED,
                 DRV_EVENT_QUEUE_PURGED,
                 DRV_EVENT_QUEUE_SET,
                 DRV_EVENT_BROKER_DRAINING = 48,
                 DRV_EVENT_BROKER_LIMIT,
                 DRV_EVENT_BROKER_DENIED,
                 DRV_EVENT_ALERT_FIRING = 52,
                 DRV_EVENT_ALERT_RESOLVED,
                 DRV_EVENT_ALERT_ACKNOWLEDGED,
                 DRV_EVENT_KV_PRESENT = 56,
                 DRV_EVENT_KV_SET,
                 DRV_EVENT_KV_DELETED,
                 DRV_EVENT_KV_EXPIRED,
                 DRV_EVENT_KV_READY, /* what was there has been told */
                 DRV_EVENT_KINDS
};

struct drv_piece {    /* of a task's output */
    uint32_t index;   /* LOGS only */
    uint32_t attempt; /* LOGS only */
    uint32_t stream;  /* enum drv_output */
    uint64_t offset;  /* bytes of this stream in this attempt before it */
    uint32_t len;     /* bytes; the texts stand one after the other */
};
enum drv_output { DRV_OUTPUT_STDOUT = 1, DRV_OUTPUT_STDERR, DRV_OUTPUT_LOG, DRV_OUTPUT_DATA };
struct drv_logs {
    uint64_t subscription;
    uint64_t first; /* number of the first piece; of the one to come when there are none */
    const struct drv_piece *pieces;
    size_t piece_count;
    uint32_t state;      /* enum drover_state: there is no more; 0: there may be */
    struct drv_str text; /* the blob: the pieces, one after the other */
};
struct drv_event_entry {
    uint64_t age_ms; /* before the message was made */
    uint32_t len;    /* bytes of its map */
};
struct drv_events {
    uint64_t subscription;
    uint64_t first; /* number of the first entry; of the one to come when there are none */
    const struct drv_event_entry *entries;
    size_t entry_count;
    struct drv_str maps; /* the blob: the maps, one after the other */
};
struct drv_taken_entry {
    uint64_t subscription;
    uint64_t number; /* entries up to this one have been taken, or were missed */
};
struct drv_taken {
    const struct drv_taken_entry *entries;
    size_t entry_count;
};

/* ---- output ------------------------------------------------------------------------------ */

struct drv_tail {
    const struct drv_piece *pieces; /* in the order in which they came */
    size_t piece_count;
    struct drv_str text; /* the pieces, one after the other */
};

enum { DRV_LOG_TAIL_END = 1 };
struct drv_log_chunk {
    struct drv_ref ref;
    uint32_t stream; /* enum drv_output */
    uint64_t offset;
    uint32_t flags;      /* DRV_LOG_TAIL_END: the tail that FOLLOW asked for ends here */
    struct drv_str text; /* blob */
};
struct drv_follow_entry {
    struct drv_ref ref;
    uint32_t streams; /* bit n: enum drv_output n; 0: nobody follows any more */
};
struct drv_follow {
    const struct drv_follow_entry *leases;
    size_t lease_count;
};

/* Name of an event as its map says it ("task.ended"); NULL when the number means nothing. */
const char *drv_event_name(unsigned kind);

#endif
