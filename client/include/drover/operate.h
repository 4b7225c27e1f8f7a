/*
 * operate.h: look into a broker and run it: documents, queues, workers.
 *
 * Included by <drover/client.h>, which says what holds for every call: threads, timeouts,
 * ownership and the statuses that any call may return.
 */
#ifndef DROVER_OPERATE_H
#define DROVER_OPERATE_H

#include <drover/status.h>
#include <drover/task.h>
#include <drover/value.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A session with a broker, see client.h. */
typedef struct drover_client drover_client;

/* ---- documents --------------------------------------------------------------------------- */

/*
 * What the broker knows, as map values. Keys are stable and listed in common/PROTOCOL.md,
 * section 8; new ones may come.
 */

/* `broker`, `tasks`, `queues`, `workers`, `types`. */
DROVER_API DROVER_MUST_USE drover_status drover_status_get(drover_client *client,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/* The numbers of a host, as each of its workers tells them with every heartbeat. Start with
 * DROVER_HOST_STATS_INIT. */
typedef struct drover_host_stats {
    size_t size;           /* sizeof(drover_host_stats) */
    double cpu_percent;    /* busy share of all processors, 0 to 100 */
    double memory_percent; /* what is not available for programs, 0 to 100 */
    double disk_percent;   /* of the file system at `/`, as df shows it */
    double load1;          /* mean of the last minute */
    uint64_t process_count;
    uint64_t cpu_count;
    uint64_t memory_total, memory_used; /* bytes */
    uint64_t bytes_sent, bytes_recv;    /* since its boot, over all interfaces but lo */
    uint64_t packets_sent, packets_recv;
    uint64_t uptime_ms;
} drover_host_stats;
#define DROVER_HOST_STATS_INIT                                           \
    {                                                                    \
        sizeof(drover_host_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

/*
 * Reads them out of a worker: one of the `workers` of drover_status_get or drover_worker_list,
 * or the document of drover_worker_show. A number that is not there is 0. Never blocks.
 * Returns DROVER_OK; DROVER_UNKNOWN when the worker tells none (--stats without host), or
 * DROVER_INVALID: then *out_stats is as it was.
 */
DROVER_API DROVER_MUST_USE drover_status drover_host_stats_read(const drover_value *worker,
                                                                drover_host_stats *out_stats);

/* Everything about one task or array. Returns DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_task_show(drover_client *client,
                                                          const drover_id *id, uint32_t index,
                                                          int64_t timeout_ms,
                                                          drover_value **out_document);

/* Why it is where it is: `reason`, `text`. Returns DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_task_why(drover_client *client,
                                                         const drover_id *id, uint32_t index,
                                                         int64_t timeout_ms,
                                                         drover_value **out_document);

/* Where a list that comes in pages goes on. Start with DROVER_CURSOR_INIT. */
#define DROVER_CURSOR_MAX 1024
typedef struct drover_cursor {
    size_t len;                       /* 0: at the beginning, or there is no more */
    uint8_t bytes[DROVER_CURSOR_MAX]; /* private */
} drover_cursor;
#define DROVER_CURSOR_INIT \
    {                      \
        0,                 \
        {                  \
            0              \
        }                  \
    }

/* Which tasks to list. Start with DROVER_TASK_FILTER_INIT. */
typedef struct drover_task_filter {
    size_t size;           /* sizeof(drover_task_filter) */
    const char *queue;     /* NULL: all */
    const char *type;      /* NULL: all */
    uint32_t states;       /* 0: all; else the sum of 1 << DROVER_STATE_... */
    uint32_t limit;        /* rows per page, at most 1000; 0: 1000 */
    const char *group;     /* NULL: all; else the list looks at the tasks of the group alone */
    const char *tag;       /* NULL: all; else of tasks with the tag... */
    const char *tag_value; /* ...that has this value */
} drover_task_filter;
#define DROVER_TASK_FILTER_INIT                                         \
    {                                                                   \
        sizeof(drover_task_filter), NULL, NULL, 0, 0, NULL, NULL, NULL, \
    }

/*
 * One page of `tasks`. filter may be NULL. cursor says where to begin and is moved on; when its
 * len is 0 afterwards there are no more pages. cursor may be NULL: the first page alone.
 */
DROVER_API DROVER_MUST_USE drover_status drover_task_list(drover_client *client,
                                                          const drover_task_filter *filter,
                                                          drover_cursor *cursor,
                                                          int64_t timeout_ms,
                                                          drover_value **out_document);

/*
 * One page of `accounts`: what each has, does and may have; empty where the broker asks for no
 * keys. Without the role observe or admin one's own alone. limit and cursor as for
 * drover_task_list.
 */
DROVER_API DROVER_MUST_USE drover_status drover_account_list(drover_client *client,
                                                             uint32_t limit,
                                                             drover_cursor *cursor,
                                                             int64_t timeout_ms,
                                                             drover_value **out_document);

/* The same for one account alone, in `accounts`. DROVER_OK, DROVER_UNKNOWN, DROVER_DENIED. */
DROVER_API DROVER_MUST_USE drover_status drover_account_show(drover_client *client,
                                                             const char *account,
                                                             int64_t timeout_ms,
                                                             drover_value **out_document);

/*
 * One page of `groups`: each with its tasks and elements by state, those that were forgotten
 * included; limit and cursor as for drover_task_list.
 */
DROVER_API DROVER_MUST_USE drover_status drover_group_list(drover_client *client,
                                                           uint32_t limit,
                                                           drover_cursor *cursor,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/* The same for one group alone, in `groups`. Returns DROVER_OK or DROVER_UNKNOWN: a group goes
 * with the last of its tasks. */
DROVER_API DROVER_MUST_USE drover_status drover_group_show(drover_client *client,
                                                           const char *group,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/*
 * The latest task that was submitted with a key, ended or not. queue NULL: "default". Returns
 * DROVER_OK; DROVER_UNKNOWN: there is none; DROVER_INVALID: no queue's name, or an empty key.
 */
DROVER_API DROVER_MUST_USE drover_status drover_key_find(drover_client *client,
                                                         const char *queue, const char *key,
                                                         int64_t timeout_ms, drover_id *out_id);

/* `queues`, all of them. */
DROVER_API DROVER_MUST_USE drover_status drover_queue_list(drover_client *client,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/* One page of `workers`; limit and cursor as for drover_task_list. */
DROVER_API DROVER_MUST_USE drover_status drover_worker_list(drover_client *client,
                                                            uint32_t limit,
                                                            drover_cursor *cursor,
                                                            int64_t timeout_ms,
                                                            drover_value **out_document);

/* One worker, by name or id text, with its leases and the details of its host. Returns
 * DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_worker_show(drover_client *client,
                                                            const char *worker,
                                                            int64_t timeout_ms,
                                                            drover_value **out_document);

/*
 * One page of `workers` with everything their hosts tell: `details` with the groups host (per
 * core), net, disk, cgroup, executors and processes, as far as each worker was told to gather
 * them, and `details_age_ms`; limit and cursor as for drover_task_list. Pages have fewer rows
 * than those of drover_worker_list: a row may have 64 KiB.
 */
DROVER_API DROVER_MUST_USE drover_status drover_worker_statistics(drover_client *client,
                                                                  uint32_t limit,
                                                                  drover_cursor *cursor,
                                                                  int64_t timeout_ms,
                                                                  drover_value **out_document);

/* One page of `entries` of the shared data whose key begins with prefix (NULL: all). */
DROVER_API DROVER_MUST_USE drover_status drover_kv_list(drover_client *client,
                                                        const char *prefix, uint32_t limit,
                                                        drover_cursor *cursor,
                                                        int64_t timeout_ms,
                                                        drover_value **out_document);

/* ---- queues and workers ------------------------------------------------------------------ */

/* A paused queue takes tasks and starts none. All return DROVER_OK or DROVER_UNKNOWN. */
DROVER_API DROVER_MUST_USE drover_status drover_queue_pause(drover_client *client,
                                                            const char *queue,
                                                            int64_t timeout_ms);
DROVER_API DROVER_MUST_USE drover_status drover_queue_resume(drover_client *client,
                                                             const char *queue,
                                                             int64_t timeout_ms);

/* Cancels what waits in the queue, not what runs. out_count (may be NULL): how many. */
DROVER_API DROVER_MUST_USE drover_status drover_queue_purge(drover_client *client,
                                                            const char *queue,
                                                            int64_t timeout_ms,
                                                            uint64_t *out_count);

/* Which of the workers that are alike (types, queues, labels) get the tasks of a queue. */
typedef enum drover_placement {
    DROVER_PLACEMENT_AUTO,   /* the least loaded worker */
    DROVER_PLACEMENT_SPREAD, /* one of the emptiest host */
    DROVER_PLACEMENT_PACK,   /* one of the fullest host that has a slot free */
} drover_placement;

/* -1 leaves a setting as it is, 0 lifts it. Start with DROVER_QUEUE_SETTINGS_INIT: all -1. */
typedef struct drover_queue_settings {
    size_t size;         /* sizeof(drover_queue_settings) */
    int64_t weight;      /* share of the workers, against other queues */
    int64_t max_count;   /* tasks in it, beyond which submits are busy */
    int64_t max_bytes;   /* the same in bytes */
    int64_t rate;        /* leases per hour; as many as a second brings may come at once */
    int64_t concurrency; /* leases at once, those that wait behind busy slots included */
    int64_t per_key;     /* the same per fairness key */
    int64_t durability;  /* a drover_durability for tasks that ask for none of their own */
    int64_t aging_ms;    /* so much waiting is worth a step of priority; 30 days at most */
    int64_t placement;   /* a drover_placement */
} drover_queue_settings;
#define DROVER_QUEUE_SETTINGS_INIT                                         \
    {                                                                      \
        sizeof(drover_queue_settings), -1, -1, -1, -1, -1, -1, -1, -1, -1, \
    }

DROVER_API DROVER_MUST_USE drover_status drover_queue_set(drover_client *client,
                                                          const char *queue,
                                                          const drover_queue_settings *settings,
                                                          int64_t timeout_ms);

/*
 * A drained worker takes no new tasks and returns what it has not started. worker is a name or
 * id text. Both return DROVER_OK or DROVER_UNKNOWN.
 */
DROVER_API DROVER_MUST_USE drover_status drover_worker_drain(drover_client *client,
                                                             const char *worker,
                                                             int64_t timeout_ms);
DROVER_API DROVER_MUST_USE drover_status drover_worker_resume(drover_client *client,
                                                              const char *worker,
                                                              int64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
