/*
 * alert_rule.h: what alert rules can look at, and how they are written.
 *
 *   NAME METRIC > NUMBER [clear NUMBER] [for TIME] [clear-for TIME] [severity LEVEL]
 *        [only SUBJECT]
 *
 * A metric has a value for each of its subjects: each worker, host, queue or type, or the
 * broker. A rule becomes an alert for a subject once its value has been beyond the threshold
 * for a time, and is over once it has been on the other side of `clear` for a time.
 */
#ifndef DRV_ALERT_RULE_H
#define DRV_ALERT_RULE_H

#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum drv_metric { /* names and units in drv_metric_name, drv_metric_unit */
                  DRV_METRIC_WORKER_LOST = 1,
                  DRV_METRIC_HOST_CPU,
                  DRV_METRIC_HOST_MEMORY,
                  DRV_METRIC_HOST_DISK,
                  DRV_METRIC_QUEUE_OLDEST,
                  DRV_METRIC_QUEUE_DEPTH,
                  DRV_METRIC_FAILED,
                  DRV_METRIC_FAILURE_RATE,
                  DRV_METRIC_JOURNAL,
                  DRV_METRIC_BROKER_MEMORY,
                  DRV_METRIC_DISK_FULL,
                  DRV_METRIC_WORKERS,
                  DRV_METRIC_TYPE_UNSERVED,
                  DRV_METRIC_BROKER_DISK,
                  DRV_METRIC_LOOP,
                  DRV_METRIC_END
};

enum drv_scope { /* what its subjects are */
                 DRV_SCOPE_BROKER,
                 DRV_SCOPE_WORKER,
                 DRV_SCOPE_HOST,
                 DRV_SCOPE_QUEUE,
                 DRV_SCOPE_TYPE,
                 DRV_SCOPES
};

enum drv_severity { DRV_SEVERITY_INFO = 1, DRV_SEVERITY_WARNING, DRV_SEVERITY_CRITICAL };
enum drv_comparison { DRV_ABOVE = 1, DRV_BELOW };

struct drv_alert_rule {
    uint32_t metric;     /* enum drv_metric */
    uint32_t comparison; /* enum drv_comparison */
    double threshold;    /* beyond it is bad */
    double clear;        /* on the other side of it is good; between is neither */
    uint64_t for_ms;     /* bad for so long: an alert */
    uint64_t clear_ms;   /* good for so long: over */
    uint32_t severity;   /* enum drv_severity */
};

enum { DRV_ALERT_TEXT_MAX = 512, DRV_ALERT_TIME_MAX_MS = 24 * 3600 * 1000 };

/* NULL for a number that there is not. */
const char *drv_metric_name(unsigned metric);
const char *drv_metric_unit(unsigned metric); /* "%", "s", "ms", "" */
enum drv_scope drv_metric_scope(unsigned metric);
const char *drv_scope_name(enum drv_scope scope); /* "host" */
const char *drv_severity_name(unsigned severity);

/* OK, or INVALID with a static reason. */
DROVER_MUST_USE drover_status drv_alert_rule_check(const struct drv_alert_rule *rule,
                                                   const char **out_reason);

/*
 * Reads a rule. out_name and out_subject ("" for all) are NUL-terminated. OK; INVALID with a
 * problem.
 */
DROVER_MUST_USE drover_status drv_alert_rule_parse(const char *text,
                                                   struct drv_alert_rule *out_rule,
                                                   char out_name[DRV_ALERT_TEXT_MAX],
                                                   char out_subject[DRV_ALERT_TEXT_MAX],
                                                   struct drv_problem *problem);

/* The same without the name: "METRIC > NUMBER clear ...". */
DROVER_MUST_USE drover_status drv_alert_condition_parse(const char *text,
                                                        struct drv_alert_rule *out_rule,
                                                        char out_subject[DRV_ALERT_TEXT_MAX],
                                                        struct drv_problem *problem);

#endif
