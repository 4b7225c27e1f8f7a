/*
 * alert_action.h: what the broker does when an alert fires or is over: a command, a webhook.
 *
 *   loop ──copy──> ring of ALERT_ACTIONS_MAX ──eventfd──> thread ─┬─ command, one by one
 *                                                                 └─ webhook, up to 8 at a time
 *
 * The loop never waits: when the ring is full, what comes is dropped, counted and logged. What
 * fails is tried again after a pause that doubles up to a minute, for ten minutes: a webhook
 * that does not answer or may answer otherwise later, a command that exits otherwise than with
 * 0 or takes too long, not one that is not there. What is newer about the same rule and subject
 * takes the place of what waits for another try, and never overtakes what is under way. When
 * the broker ends, what waits is tried once more for ALERT_STOP_MS; what is not told then is
 * logged.
 *
 * Commands and addresses come from the operator of the broker (command line, environment,
 * configuration file) and from nobody else. A command gets the alert as JSON on its stdin, and
 * in its environment DROVER_ALERT_RULE, _SUBJECT, _STATE, _SEVERITY, _TEXT; no shell is
 * involved. The JSON says when it was (RFC 3339, UTC) and which broker says so.
 */
#ifndef BROKER_ALERT_ACTION_H
#define BROKER_ALERT_ACTION_H

#include "alert_rule.h"
#include "core.h"
#include "log.h"

#include <stdint.h>

enum {
    ALERT_ACTIONS_MAX = 64,  /* in the ring */
    ALERT_PENDING_MAX = 256, /* taken out of it: under way, or to be tried (again) */
    ALERT_COMMAND_WORDS = 32,
    ALERT_COMMAND_MS = 30 * 1000, /* then it is killed, with its process group */
    ALERT_WEBHOOK_MS = 10 * 1000, /* a try */
    ALERT_WEBHOOKS_AT_ONCE = 8,
    ALERT_BACKOFF_MS = 1000, /* before the second try; doubles */
    ALERT_BACKOFF_MAX_MS = 60 * 1000,
    ALERT_RETRY_MS = 10 * 60 * 1000, /* then it is given up */
    ALERT_STOP_MS = 2000,
    ALERT_AUTHORIZATION_MAX = 4096, /* bytes */
};

struct alert_actions;

struct alert_actions_config {  /* all borrowed for the call, but for the log */
    const char *command;       /* NULL, "": none */
    const char *webhook;       /* the same */
    const char *authorization; /* value of that header for the webhook; NULL: none */
    uint32_t severity;         /* enum drv_severity: what is below it is not told; 0: all is */
    const char *broker, *host; /* who says so */
    int64_t backoff_ms, stop_ms; /* 0: ALERT_BACKOFF_MS, ALERT_STOP_MS */
    const struct drv_log *log;
};

struct alert_action_counts {
    uint64_t done, failed, dropped, waiting; /* waiting: now; the others since the start */
};

/* OK, *out_actions NULL when there is nothing to do; INVALID: a command of too many words; IO,
 * NOMEM. */
DROVER_MUST_USE drover_status alert_actions_new(const struct alert_actions_config *config,
                                                struct alert_actions **out_actions);
/* Ends what is going on; takes ALERT_STOP_MS and a moment at most. NULL is fine. */
void alert_actions_destroy(struct alert_actions **actions);

/* Never waits. NULL: nothing to do. */
void alert_actions_tell(struct alert_actions *actions, const struct core_alert *alert);

struct alert_action_counts alert_actions_counts(const struct alert_actions *actions);

#endif
