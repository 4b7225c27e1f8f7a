/*
 * alert_private.h: what alert_action.c, alert_command.c and alert_webhook.c share.
 */
#ifndef BROKER_ALERT_PRIVATE_H
#define BROKER_ALERT_PRIVATE_H

#include "alert_action.h"

#include "buffer.h"
#include "list.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ALERT_VARIABLES = 5 };

struct action { /* an alert, copied; owned by who has it */
    struct drv_buffer json;
    char *variables[ALERT_VARIABLES]; /* owned: NAME=VALUE */
    char *subject;                    /* owned: rule and subject; NULL: a test */
    int64_t told_ms;                  /* monotonic */
    struct drv_list link;             /* where it waits for a try */
    int64_t due_ms, pause_ms;
    bool was_tried; /* a command */
    /* of the webhook */
    void *transfer;     /* CURL; NULL: it is not under way */
    bool is_superseded; /* another one waits for its end */
    bool is_last;       /* this try is: the broker ends */
};

struct alert_actions {
    const struct drv_log *log; /* borrowed */
    char *command;             /* owned, cut into words; NULL: none */
    char *words[ALERT_COMMAND_WORDS + 1];
    char *webhook;       /* owned; NULL: none */
    char *authorization; /* owned: the header; NULL: none */
    char *broker, *host; /* owned */
    uint32_t severity;
    int64_t backoff_ms, stop_ms;
    pthread_t thread;
    bool has_thread;
    int wake_fd, stop_fd; /* owned; stop_fd is readable once it is over */
    atomic_bool is_stopped;
    struct action *ring[ALERT_ACTIONS_MAX]; /* one side writes, the other one reads */
    atomic_size_t written, read;
    atomic_uint_fast64_t done, failed, dropped;
};

/* The next one of the ring, or NULL. */
struct action *alert_action_take(struct alert_actions *actions);
void alert_action_free(struct action *action);
/* They have the same rule and subject; a test is about nothing. */
bool alert_action_is_about_the_same(const struct action *a, const struct action *b);

/* alert_command.c and alert_webhook.c: until it is stopped. */
void alert_command_run(struct alert_actions *actions);
void alert_webhook_run(struct alert_actions *actions);

#endif
