/*
 * stream.h: what happens, told while it happens: events, the output of tasks, changes of
 * shared data.
 *
 *     drover_stream *stream = NULL;
 *     drover_stream_item item;
 *     drover_status status = drover_logs_open(client, &id, DROVER_INDEX_NONE, NULL, &stream);
 *     while (status == DROVER_OK) {
 *         status = drover_stream_next(stream, DROVER_FOREVER, &item);
 *         if (status == DROVER_OK && item.kind == DROVER_ITEM_OUTPUT)
 *             fwrite(item.bytes, 1, item.len, stdout);
 *         if (status != DROVER_OK || item.kind == DROVER_ITEM_END)
 *             break;
 *     }
 *     drover_stream_close(&stream);
 *
 * Included by <drover/client.h>, which says what holds for every call: threads, timeouts,
 * ownership and the statuses that any call may return.
 *
 * Gaps. A stream never holds the broker up and never grows without bound. The broker keeps for
 * it what fits into a window (4,096 entries and 1 MiB); the library holds as much again; what
 * happens while both are full is dropped, and told by an item of the kind DROVER_ITEM_GAP where
 * it is missing, with the number of what was dropped. Over a connection that breaks nothing is
 * lost. When the broker has started anew, nobody knows what was missed: the gap's number is
 * DROVER_MISSED_UNKNOWN, and the stream goes on with what happens from then on (output: with
 * what is kept of it, some of it for the second time perhaps, told by its offset).
 *
 * Threads. A stream is for one thread at a time. Others may use the client meanwhile.
 */
#ifndef DROVER_STREAM_H
#define DROVER_STREAM_H

#include <drover/operate.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something that is told, see above. */
typedef struct drover_stream drover_stream;

typedef enum drover_item_kind {
    DROVER_ITEM_EVENT = 1, /* `event`, `age_ms` */
    DROVER_ITEM_OUTPUT,    /* `index`, `attempt`, `output`, `offset`, `bytes`, `len` */
    DROVER_ITEM_GAP,       /* `missed` entries before the next item */
    DROVER_ITEM_END        /* of the output of a task: `state`; nothing comes after it */
} drover_item_kind;

/* What a task said, and where. */
typedef enum drover_output {
    DROVER_OUTPUT_STDOUT = 1,
    DROVER_OUTPUT_STDERR,
    DROVER_OUTPUT_LOG, /* lines that the handler logged */
    DROVER_OUTPUT_DATA /* partial data; an item is what the handler gave in one call */
} drover_output;

#define DROVER_MISSED_UNKNOWN UINT64_MAX

/* One thing that was told. Pointers are borrowed until the next call on the stream. */
typedef struct drover_stream_item {
    drover_item_kind kind;
    uint64_t missed;           /* GAP: how many; DROVER_MISSED_UNKNOWN */
    const drover_value *event; /* EVENT: a map; its keys are listed in common/PROTOCOL.md,
                                  section 8. The key `event` has the name: "task.ended"... */
    uint64_t age_ms;           /* EVENT: how long ago it happened when the broker sent it */
    uint32_t index;            /* OUTPUT: of the element, or DROVER_INDEX_NONE */
    uint32_t attempt;          /* OUTPUT: of the task, from 1 */
    drover_output output;      /* OUTPUT */
    uint64_t offset;    /* OUTPUT: bytes of this sort in this attempt before it. When it is
                           more than was told, the rest was dropped on the way */
    const void *bytes;  /* OUTPUT: not terminated */
    size_t len;         /* OUTPUT */
    drover_state state; /* END: of the task */
} drover_stream_item;

/* ---- opening ----------------------------------------------------------------------------- */

/* Which events. What is NULL or 0 lets all through; all that is given must fit. Start with
 * DROVER_EVENT_FILTER_INIT. */
typedef struct drover_event_filter {
    size_t size;       /* sizeof(drover_event_filter) */
    const char *kinds; /* names with commas between: "task.ended,worker.lost"; a name before
                          the point alone stands for all of them: "task" */
    const char *queue;
    const char *type;
    const char *worker;    /* name or id text */
    const drover_id *task; /* of this task or array */
    uint32_t index;        /* of this element; DROVER_INDEX_NONE: the task and all elements */
    const char *tag;       /* of tasks with the tag... */
    const char *tag_value; /* ...that has this value */
    const char *group;     /* of tasks in the group */
} drover_event_filter;
#define DROVER_EVENT_FILTER_INIT                                                            \
    {                                                                                       \
        sizeof(drover_event_filter), NULL, NULL, NULL, NULL, NULL, DROVER_INDEX_NONE, NULL, \
            NULL, NULL,                                                                     \
    }

/*
 * Events from now on. filter may be NULL. None of the calls here waits for the broker: what it
 * refuses (DROVER_BUSY: too many streams; DROVER_UNSUPPORTED; DROVER_UNKNOWN: no such task) is
 * told by drover_stream_next. Returns DROVER_OK or DROVER_INVALID (a name that is none).
 */
DROVER_API DROVER_MUST_USE drover_status drover_events_open(drover_client *client,
                                                            const drover_event_filter *filter,
                                                            drover_stream **out_stream);

/* Which output, and for how long. Start with DROVER_LOGS_OPTIONS_INIT. */
typedef struct drover_logs_options {
    size_t size;      /* sizeof(drover_logs_options) */
    uint32_t outputs; /* sum of 1 << DROVER_OUTPUT_...; 0: all */
    bool once;        /* what there is now, and the end; else until the task has ended */
} drover_logs_options;
#define DROVER_LOGS_OPTIONS_INIT               \
    {                                          \
        sizeof(drover_logs_options), 0, false, \
    }

/*
 * The output of a task or element; index DROVER_INDEX_NONE of an array: of all its elements.
 * What is kept of it comes first, then what is said, then DROVER_ITEM_END. A task that waits
 * is waited for, and a retry is followed as well. options may be NULL.
 */
DROVER_API DROVER_MUST_USE drover_status drover_logs_open(drover_client *client,
                                                          const drover_id *id, uint32_t index,
                                                          const drover_logs_options *options,
                                                          drover_stream **out_stream);

enum { DROVER_KV_WATCH_PREFIX = 1, DROVER_KV_WATCH_PRESENT = 2 };

/*
 * Changes of shared data: of one key, or with DROVER_KV_WATCH_PREFIX of all that begin with it.
 * With DROVER_KV_WATCH_PRESENT what is there comes first ("kv.present"), then "kv.ready". The
 * events are "kv.set", "kv.deleted", "kv.expired"; a set has the value when it has at most 64
 * KiB, a longer one is for drover_kv_get.
 */
DROVER_API DROVER_MUST_USE drover_status drover_kv_watch(drover_client *client, const char *key,
                                                         unsigned flags,
                                                         drover_stream **out_stream);

/* ---- reading ----------------------------------------------------------------------------- */

/*
 * The next item, waited for. Returns DROVER_OK; DROVER_TIMEOUT; DROVER_UNKNOWN after the end,
 * or when there is no such task; what the broker refused it with.
 */
DROVER_API DROVER_MUST_USE drover_status drover_stream_next(drover_stream *stream,
                                                            int64_t timeout_ms,
                                                            drover_stream_item *out_item);

/* Ends it and gives everything back. */
DROVER_API void drover_stream_close(drover_stream **stream);

#ifdef __cplusplus
}
#endif

#endif
