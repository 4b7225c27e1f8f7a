/*
 * handlers.h: one handler per message kind. The file on_<kind>.c holds it.
 */
#ifndef CORE_HANDLERS_H
#define CORE_HANDLERS_H

#include "message.h"
#include "request.h"

void on_hello(struct core *core, struct peer *peer, const struct drv_message *message);
void on_attach(struct core *core, struct peer *peer, const struct drv_message *message);
void on_goodbye(struct core *core, struct peer *peer, const struct drv_message *message);
void on_error(struct core *core, struct peer *peer, const struct drv_message *message);
void on_credit(struct core *core, struct peer *peer, const struct drv_message *message);
void on_heartbeat(struct core *core, struct peer *peer, const struct drv_message *message);
void on_report(struct core *core, struct peer *peer, const struct drv_message *message);
void on_watch(struct core *core, struct peer *peer, const struct drv_message *message);
void on_unwatch(struct core *core, struct peer *peer, const struct drv_message *message);
void on_subscribe(struct core *core, struct peer *peer, const struct drv_message *message);
void on_taken(struct core *core, struct peer *peer, const struct drv_message *message);
void on_log(struct core *core, struct peer *peer, const struct drv_message *message);
void on_fetch(struct core *core, struct peer *peer, const struct drv_message *message);
void on_await(struct core *core, struct peer *peer, const struct drv_message *message);
void on_query(struct core *core, struct peer *peer, const struct drv_message *message);

/* How a message of a kind is answered. */
enum handler_sort {
    HANDLER_PLAIN,    /* not at all, or with an ERROR */
    HANDLER_REQUEST,  /* with a REPLY that is kept */
    HANDLER_QUESTION, /* with a REPLY */
    HANDLER_QUERY,    /* with a DOCUMENT */
};
enum handler_sort handler_sort(enum drv_kind kind);

/* The lease that this worker holds and means; NULL when it does not hold it. */
struct lease *report_lease(const struct core *core, const struct peer *peer,
                           const struct drv_ref *ref);
/* Why what it says of a lease is not taken: OK when it was taken before. The worker drops its
 * copy when the message is settled: not before what it did is safe. */
drover_status report_verdict(struct core *core, struct peer *peer, const struct drv_ref *ref);
void report_settles(struct peer *peer, enum drover_durability level);

/* Requests: recorded, answered once. */
void on_submit(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply);
void on_graph(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply);
void on_array_open(struct core *core, struct peer *peer, const struct drv_message *message,
                   struct reply *reply);
void on_array_items(struct core *core, struct peer *peer, const struct drv_message *message,
                    struct reply *reply);
void on_array_seal(struct core *core, struct peer *peer, const struct drv_message *message,
                   struct reply *reply);
void on_cancel(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply);
void on_retry(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply);
void on_kv(struct core *core, struct peer *peer, const struct drv_message *message,
           struct reply *reply);
void on_queue(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply);
void on_worker(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply);
void on_alert(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply);
void on_schedule(struct core *core, struct peer *peer, const struct drv_message *message,
                 struct reply *reply);
void on_forget(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply);

/* A request that an earlier life of the broker has answered came again: its watches. With
 * `tells` what was forgotten since is UNKNOWN: nothing would come of it. */
void submit_watch_again(struct core *core, struct reply *reply, const struct drv_submit *submit,
                        bool tells);
void array_watch_again(struct core *core, struct reply *reply,
                       const struct drv_array_open *open);

#endif
