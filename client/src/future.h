/*
 * future.h: one awaited task, behind every way to submit or wait.
 *
 * References: the user's, the session's while the submission is not answered, the library's
 * thread's while a callback is queued or runs. All fields are guarded by the client's lock.
 */
#ifndef DRV_CLIENT_FUTURE_H
#define DRV_CLIENT_FUTURE_H

#include "handle.h"

enum drv_callback_state { DRV_CALLBACK_NONE, DRV_CALLBACK_QUEUED, DRV_CALLBACK_RUNNING };

/* In the order in which it is used, so that the end of a task touches two lines of the cache.
 */
struct drover_future {
    struct drv_list owner_link; /* in the owner's lists */
    struct drv_list callback;   /* in client->callbacks */
    drover_client *client;
    drover_outcome *outcome;                       /* owned; NULL unless OK and wants_end */
    void (*on_done)(struct drover_future *future); /* the library's own; the lock is held */
    void *owner;
    struct drv_watcher watcher;
    unsigned references;
    bool wants_end; /* false: done when the submit was answered */
    bool is_done;
    bool is_kept;       /* somebody will take the outcome: it counts as unread */
    bool is_counted;    /* it does */
    bool is_submission; /* its submit is not answered */
    bool cancel_wanted; /* as soon as the submit was taken */
    bool has_callback;
    bool is_unattended; /* nobody holds it but its callback */
    enum drv_callback_state callback_state;
    char *text; /* owned; the refusal in words, or NULL */
    drover_id id;
    uint32_t index;
    drover_status status; /* when done: OK, or why there is no task */
    drover_durability level;
    drover_done_fn done;
    void *context;
    struct drv_submission submission;
};

enum drv_submit_how {
    DRV_SUBMIT_ONLY = 0,   /* done when taken */
    DRV_SUBMIT_VALUES = 1, /* done when ended */
    DRV_SUBMIT_STATES = 2, /* done when ended, without the value */
};

/* A submit that was checked and copied; needs no lock. */
struct drv_draft {
    drover_submit_options options; /* resolved */
    drover_id id;
    struct drv_payload payload;
};
DROVER_MUST_USE drover_status drv_draft_init(drover_client *client, struct drv_draft *draft,
                                             const drover_value *in,
                                             const drover_submit_options *options);
void drv_draft_fini(struct drv_draft *draft);

/* drv_draft_init, then drv_client_enter: OK with both, else with neither. */
DROVER_MUST_USE drover_status drv_draft_enter(drover_client *client, struct drv_draft *draft,
                                              const drover_value *in,
                                              const drover_submit_options *options);

/* It is done, unless it was before: with the outcome (borrowed), or why there is none. The lock
 * is held, as in what follows. */
void drv_future_complete(struct drover_future *future, drover_status status,
                         drover_outcome *outcome);

/* Has its callback run. */
void drv_future_queue_callback(struct drover_future *future);

/* Submits a draft (its payload is taken). The lock is held. OK, INVALID (type), NOMEM. */
DROVER_MUST_USE drover_status drv_future_submit(drover_client *client, const char *type,
                                                struct drv_draft *draft,
                                                enum drv_submit_how how,
                                                struct drover_future **out_future);

/* Waits for room for one more that nobody waits for. The lock is held. OK, BUSY, CLOSED. */
DROVER_MUST_USE drover_status drv_future_make_room(drover_client *client, int64_t wait_ms);

/* Watches a task that exists. The lock is held. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_future_watch(drover_client *client, const drover_id *id,
                                               uint32_t index, bool wants_value,
                                               struct drover_future **out_future);

/* Waits for its end. The lock is held. OK when it is done, else TIMEOUT, CLOSED. */
DROVER_MUST_USE drover_status drv_future_await(struct drover_future *future,
                                               int64_t deadline_us);

/* Takes a submission back that was never sent. True when it was; nothing was submitted then.
 * The lock is held. */
bool drv_future_take_back(struct drover_future *future);

/* Gives the user's reference up and stops watching. The lock is held. */
void drv_future_drop(struct drover_future **future);

/* The outcome was seen by the user: it is not unread any more. */
void drv_future_mark_read(struct drover_future *future);

/* The status of a future that is done, with its words said to the caller. */
drover_status drv_future_explain(struct drover_future *future);

/* An outcome's status, with its error said to the caller. */
drover_status drv_outcome_explain(drover_client *client, const drover_outcome *outcome);

#endif
