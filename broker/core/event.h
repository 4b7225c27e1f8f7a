/*
 * event.h: what subscribers to events and to shared data are told.
 *
 * While nobody subscribes to a kind of event, it costs one branch. An event is written once,
 * when the first subscription that wants it is found, and shared by all.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core.h"
#include "stream.h"
#include "task.h"

struct alert;
struct kv_entry;
struct queue;
struct schedule;
struct worker;

/* How often the same limit is told, and how many are told apart. */
#define EVENT_LIMIT_US ((int64_t)1000 * 1000)
enum { EVENT_LIMITS = 8 };

struct event_limit {    /* a limit that submits ran into */
    const char *reason; /* static */
    int64_t told_us;
};

/* Whether somebody may want this kind. */
bool event_is_wanted(const struct core *core, enum drv_event kind);

/* SUBMITTED, QUEUED, STARTED, PROGRESS, CANCELLING, ENDED. */
void event_item(struct core *core, enum drv_event kind, const struct item *item);
void event_retried(struct core *core, const struct item *item, uint32_t error_kind,
                   uint64_t delay_ms);
void event_requeued(struct core *core, const struct item *item, bool charged);
void event_worker(struct core *core, enum drv_event kind, const struct worker *worker);
/* PAUSED, RESUMED, SET; PURGED with the number of tasks. */
void event_queue(struct core *core, enum drv_event kind, const struct queue *queue,
                 uint64_t count);
void event_draining(struct core *core);
/* A submit is refused for this reason, which is a static text. */
void event_limit(struct core *core, const char *reason, const struct queue *queue);
/* A message of this kind was refused, in the name of this account. */
void event_denied(struct core *core, struct drv_str account, const char *kind);
/* ADDED, REMOVED, PAUSED, RESUMED, FIRED; SKIPPED with the number of runs. */
void event_schedule(struct core *core, enum drv_event kind, const struct schedule *schedule,
                    uint64_t count);
/* FIRING, RESOLVED, ACKNOWLEDGED. */
void event_alert(struct core *core, enum drv_event kind, const struct alert *alert);
/* SET, DELETED, EXPIRED. */
void event_kv(struct core *core, enum drv_event kind, const struct kv_entry *entry);

/* A reader comes, or has gone. */
void events_add_reader(struct core *core, struct subscription *subscription);
void events_count_readers(struct core *core);
/* The entries that are there, as far as the window takes them; then `kv.ready`. */
void events_fill(struct core *core, struct subscription *subscription);

#endif
