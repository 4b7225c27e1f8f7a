/*
 * sim_stats.h: how often each fault, each transition and each corner was met.
 *
 * A run over many seeds must have met every one of them: a simulation that never exercises
 * something proves nothing about it.
 */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* X(NAME, "text") */
#define SIM_FAULT_MAP(X)                                                 \
    X(FAULT_DROP, "frame dropped")                                       \
    X(FAULT_DUPLICATE, "frame duplicated")                               \
    X(FAULT_REORDER, "frame overtaken")                                  \
    X(FAULT_GARBLE, "frame garbled")                                     \
    X(FAULT_DIRECT_DUPLICATE, "message delivered twice")                 \
    X(FAULT_DIRECT_REORDER, "message overtaken")                         \
    X(FAULT_BREAK_BOTH, "connection broken, both sides told")            \
    X(FAULT_BREAK_HALF, "connection broken, one side told")              \
    X(FAULT_PARTITION, "peer cut off both ways")                         \
    X(FAULT_PARTITION_IN, "peer cut off one way, to it")                 \
    X(FAULT_PARTITION_OUT, "peer cut off one way, from it")              \
    X(FAULT_STALL, "network held back")                                  \
    X(FAULT_SOCKET_FULL, "socket refused a frame")                       \
    X(FAULT_CLIENT_DEAF, "client does not read")                         \
    X(FAULT_WORKER_DEAF, "worker does not read")                         \
    X(FAULT_CLIENT_GONE, "client died, a new session follows")           \
    X(FAULT_CLIENT_BYE, "client said goodbye early")                     \
    X(FAULT_WORKER_CRASH, "worker died")                                 \
    X(FAULT_WORKER_CRASH_STARTED, "worker died with started leases")     \
    X(FAULT_WORKER_CRASH_UNSTARTED, "worker died with unstarted leases") \
    X(FAULT_EXECUTOR_SHARED, "executor ended under tasks that share it") \
    X(FAULT_EXECUTOR_GONE, "executor lost with its task")                \
    X(FAULT_WORKER_BYE, "worker ended gracefully")                       \
    X(FAULT_WORKER_HANG, "worker stopped for longer than the lease")     \
    X(FAULT_PEER_PAUSE, "peer stopped for a moment")                     \
    X(FAULT_BROKER_CRASH, "broker killed")                               \
    X(FAULT_BROKER_DRAIN, "broker ended gracefully")                     \
    X(FAULT_CLOCK, "wall clock set")                                     \
    X(TURN_KEPT, "broker died in a turn that the disk had")              \
    X(TURN_LOST, "broker died in a turn that the disk had not")          \
    X(FAULT_STRANGER, "stranger knocked")                                \
    X(FAULT_FORGED, "result forged")

#define SIM_TRANSITION_MAP(X)                                       \
    X(TO_DELAYED, "new -> delayed")                                 \
    X(TO_QUEUED, "new -> queued")                                   \
    X(TO_WAITING, "new -> waiting")                                 \
    X(WAITED, "waiting -> assigned")                                \
    X(DUE, "delayed -> assigned")                                   \
    X(ASSIGNED, "queued -> assigned")                               \
    X(STARTED, "assigned -> running")                               \
    X(RETURNED, "assigned -> queued: returned")                     \
    X(RELEASED, "assigned -> queued: worker lost, free")            \
    X(CHARGED, "running -> queued: worker lost, charged")           \
    X(INTERRUPTED, "running -> queued: interrupted, free")          \
    X(BROKEN_OFF, "running -> queued: executor lost, charged")      \
    X(RETRIED, "running -> delayed: retry")                         \
    X(AWAITS, "running -> waiting: awaits others")                  \
    X(AWAITED, "waiting -> assigned: what it awaits has ended")     \
    X(SUCCEEDED, "running -> succeeded")                            \
    X(FAILED, "running -> failed")                                  \
    X(FAILED_LOST, "running -> failed: worker lost once too often") \
    X(FAILED_PARENT, "waiting -> failed: a parent did not succeed") \
    X(FAILED_AWAIT, "running -> failed: awaits what is not there")  \
    X(CANCELLED_WAITING, "waiting -> cancelled")                    \
    X(CANCELLED_RUNNING, "running -> cancelled")                    \
    X(CANCELLED_ASSIGNED, "assigned -> cancelled")                  \
    X(CANCELLED_QUEUED, "queued -> cancelled")                      \
    X(CANCELLED_DELAYED, "delayed -> cancelled")                    \
    X(EXPIRED_QUEUED, "queued -> expired")                          \
    X(EXPIRED_WAITING, "waiting -> expired")                        \
    X(EXPIRED_DELAYED, "delayed -> expired")                        \
    X(LOST, "acknowledged -> lost with a broker")                   \
    X(FORGOTTEN, "terminal -> forgotten")

#define SIM_CORNER_MAP(X)                                         \
    X(LINKED, "connections with sequence numbers")                \
    X(DIRECT, "connections without")                              \
    X(CHUNKS, "chunks sent")                                      \
    X(RESUMED_CLIENT, "client sessions resumed")                  \
    X(RESUMED_WORKER, "worker sessions resumed")                  \
    X(SESSION_EXPIRED, "client sessions expired")                 \
    X(REQUEST_RESENT, "requests sent again")                      \
    X(REQUEST_RESUBMITTED, "submits repeated in a new session")   \
    X(REQUEST_TIMEOUT, "requests whose budget ran out")           \
    X(BUSY, "submits refused as busy")                            \
    X(CLIENT_LIMIT, "of them for what their client has already")  \
    X(CONFLICT, "same id with other content")                     \
    X(REFUSED_LEVEL, "durability refused")                        \
    X(REFUSED_TYPE, "strict submit of a type that nobody offers") \
    X(DRAINING, "submits refused by a draining broker")           \
    X(CANCEL_ANSWERED, "cancels acknowledged")                    \
    X(RECALL_RETURNED, "recalls answered: returned")              \
    X(RECALL_STARTED, "recalls answered: started")                \
    X(ABORT_CANCELLED, "aborts of running work")                  \
    X(ABORT_STALE, "aborts of void leases")                       \
    X(KILLED, "handlers killed after a cancel")                   \
    X(TIMED_OUT, "attempts that timed out")                       \
    X(HANDLER_FAILED, "attempts that failed")                     \
    X(HANDLER_CRASHED, "attempts that crashed")                   \
    X(RESULT_STALE, "results answered stale")                     \
    X(RESULT_UNKNOWN, "results answered unknown")                 \
    X(RESULT_DENIED, "results answered denied")                   \
    X(RESULT_REPEATED, "results sent again after a reconnect")    \
    X(ATTACHED, "leases attached")                                \
    X(KEPT, "leases kept over a reconnect")                       \
    X(ADOPTED, "leases of an earlier broker taken over")          \
    X(RECOVERED, "brokers that went on with what was kept")       \
    X(CONFIRMED, "leases that waited for GO")                     \
    X(SUSPECT, "leases of suspects")                              \
    X(NO_CONTACT, "workers that gave up for lack of contact")     \
    X(WORKER_DRAINED, "workers drained")                          \
    X(CREDIT_CHANGED, "credit changed")                           \
    X(BLOCKED, "peers reported blocked")                          \
    X(ARRAY_SEALED, "arrays sealed")                              \
    X(ARRAY_ABANDONED, "arrays left unsealed")                    \
    X(ARRAY_ENDED, "arrays whose end was told")                   \
    X(SHARED, "values shared by an array")                        \
    X(RANGE_LEASED, "elements leased in a range")                 \
    X(RANGE_REPORTED, "results in a range")                       \
    X(RANGE_RETURNED, "elements back in a range")                 \
    X(RANGE_ATTACHED, "elements listed in a range")               \
    X(RANGE_ABORTED, "elements aborted in a range")               \
    X(RANGE_TOLD, "results told in a range")                      \
    X(RETRY, "tasks retried by request")                          \
    X(RETRY_WAITS, "retries that wait for what was waited for")   \
    X(RETRY_FOLLOWS, "retries that wait for other retries")       \
    X(RETRY_REFUSED, "retries refused for want of a parent")      \
    X(KEY_ATTACHED, "submits attached by their key")              \
    X(KEY_TAKEN, "keys given to a task")                          \
    X(GRAPH_TAKEN, "graphs taken")                                \
    X(GRAPH_REFUSED, "graphs refused as a whole")                 \
    X(REFUSED_PARENT, "tasks refused for want of a parent")       \
    X(FETCHED, "results of parents fetched by a handler")         \
    X(CANCELLED_ALONG, "cancelled with what awaited it")          \
    X(INSTANT, "instants of a schedule run")                      \
    X(INSTANT_LATE, "instants run after later ones")              \
    X(AGED, "leases before one of higher priority, by aging")     \
    X(OVERLAPPED, "runs of a schedule that overlap")              \
    X(REPLACED, "runs of a schedule replaced")                    \
    X(SCHEDULE_PAUSED, "schedules paused")                        \
    X(SCHEDULE_REMOVED, "schedules removed")                      \
    X(FORGET, "tasks forgotten by request")                       \
    X(PAUSED, "queues paused")                                    \
    X(LIMITED, "queues limited in leases")                        \
    X(CONCURRENCY, "leases that reached the concurrency")         \
    X(PER_KEY, "leases that reached that of a key")               \
    X(NEEDY, "leases with needs")                                 \
    X(GRAPH_ARRAY, "arrays in graphs")                            \
    X(ZONED, "leases with labels")                                \
    X(HEAVY, "hosts over the memory mark")                        \
    X(PURGED, "queues purged")                                    \
    X(KV_INCREMENT, "increments acknowledged")                    \
    X(KV_CONFLICT, "compare-and-set conflicts")                   \
    X(KV_SWAPPED, "compare-and-set successes")                    \
    X(QUERY, "questions answered")                                \
    X(RESULT_TOLD, "results told to clients")                     \
    X(RESULT_TOLD_AGAIN, "results told to clients again")         \
    X(LOST_TOLD, "losses told to clients")                        \
    X(EVENT_TOLD, "events told")                                  \
    X(EVENT_MISSED, "events that a slow reader missed")           \
    X(SUBSCRIPTION_RESUMED, "subscriptions resumed")

#define SIM_STAT_MAP(X) SIM_FAULT_MAP(X) SIM_TRANSITION_MAP(X) SIM_CORNER_MAP(X)

enum sim_stat {
#define SIM_STAT_ENUM(NAME, text) SIM_##NAME##_SEEN,
    SIM_STAT_MAP(SIM_STAT_ENUM)
#undef SIM_STAT_ENUM
        SIM_STAT_COUNT
};

struct sim_stats {
    uint64_t counts[SIM_STAT_COUNT];
    uint64_t runs, tasks, events, messages, core_steps;
    int64_t virtual_us;
};

void sim_stats_add(struct sim_stats *to, const struct sim_stats *from);
void sim_stats_print(const struct sim_stats *stats, FILE *out);
/* How many of the counts are zero; each is named on `out`. */
unsigned sim_stats_missing(const struct sim_stats *stats, FILE *out);

#endif
