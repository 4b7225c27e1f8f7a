/*
 * alert_action.h: what the broker does when an alert fires or is over: a command, a webhook.
 *
 *   loop ──copy──> ring of ALERT_ACTIONS_MAX ──eventfd──> thread: command, webhook, one by one
 *
 * The loop never waits: when the ring is full, what comes is dropped, counted and
 * logged. The thread
 * waits for the command and for the other side of the webhook, each for a bounded time, and
 * tries the webhook again a few times. What waits when the broker ends is dropped.
 *
 * Commands and addresses come from the operator of the broker (command line, environment,
 * configuration file) and from nobody else. A command gets the alert as JSON on its stdin, and
 * in its environment DROVER_ALERT_RULE, _SUBJECT, _STATE, _SEVERITY, _TEXT; no shell is
 * involved.
 */
#ifndef BROKER_ALERT_ACTION_H
#define BROKER_ALERT_ACTION_H

#include "core.h"
#include "log.h"

#include <stdint.h>

enum {
    ALERT_ACTIONS_MAX = 64, /* that wait */
    ALERT_COMMAND_WORDS = 32,
    ALERT_COMMAND_MS = 30 * 1000, /* then it is killed, with its process group */
    ALERT_WEBHOOK_MS = 10 * 1000, /* a try */
    ALERT_WEBHOOK_TRIES = 4,
    ALERT_BACKOFF_MS = 1000, /* before the second try; doubles */
};

struct alert_actions;

struct alert_action_counts {
    uint64_t done, failed, dropped, waiting; /* waiting: now; the others since the start */
};

/* command, webhook: NULL or "": none. OK; INVALID: a command of too many words; IO, NOMEM. */
DROVER_MUST_USE drover_status alert_actions_new(const char *command, const char *webhook,
                                                const struct drv_log *log,
                                                struct alert_actions **out_actions);
/* Ends what is going on; takes a moment at most. NULL is fine. */
void alert_actions_destroy(struct alert_actions **actions);

/* Never waits. NULL: nothing to do. */
void alert_actions_tell(struct alert_actions *actions, const struct core_alert *alert);

struct alert_action_counts alert_actions_counts(const struct alert_actions *actions);

#endif
