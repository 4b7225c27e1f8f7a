/*
 * alert.h: rules that watch a fleet, and the alerts that they raise.
 *
 * Included by <drover/client.h>, which says what holds for every call: threads, timeouts,
 * ownership and the statuses that any call may return.
 */
#ifndef DROVER_ALERT_H
#define DROVER_ALERT_H

#include <drover/operate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `alerts`: what fires, is pending, or was over a moment ago; what fires first. */
DROVER_API DROVER_MUST_USE drover_status drover_alert_list(drover_client *client,
                                                           int64_t timeout_ms,
                                                           drover_value **out_document);

/* `rules` and `silences`. */
DROVER_API DROVER_MUST_USE drover_status drover_alert_rules(drover_client *client,
                                                            int64_t timeout_ms,
                                                            drover_value **out_document);

/*
 * Adds a rule, or changes one that was added so. condition: "METRIC > NUMBER [clear NUMBER]
 * [for TIME] [clear-for TIME] [severity info|warning|critical] [only SUBJECT]", such as
 * "host_cpu > 90 clear 80 for 5m"; common/PROTOCOL.md lists the metrics. Returns DROVER_OK;
 * DROVER_INVALID: drover_client_error_text says what is wrong; DROVER_CONFLICT: the broker's
 * configuration has one of this name; DROVER_BUSY: there are too many.
 */
DROVER_API DROVER_MUST_USE drover_status drover_alert_rule_add(drover_client *client,
                                                               const char *name,
                                                               const char *condition,
                                                               int64_t timeout_ms);

/* DROVER_OK, DROVER_UNKNOWN; DROVER_DENIED: it comes with the broker, or from its
 * configuration. */
DROVER_API DROVER_MUST_USE drover_status drover_alert_rule_remove(drover_client *client,
                                                                  const char *name,
                                                                  int64_t timeout_ms);

/* Somebody knows: no action any more for what fires now. rule and subject NULL: all. out_count
 * (may be NULL): how many were not acknowledged before. DROVER_OK; DROVER_UNKNOWN: nothing
 * fires.
 */
DROVER_API DROVER_MUST_USE drover_status drover_alert_acknowledge(drover_client *client,
                                                                  const char *rule,
                                                                  const char *subject,
                                                                  int64_t timeout_ms,
                                                                  uint64_t *out_count);

/* No actions for time_ms, at most a year; 0 ends a silence. rule and subject NULL: all.
 * DROVER_OK; DROVER_UNKNOWN: there is no such silence. */
DROVER_API DROVER_MUST_USE drover_status drover_alert_silence(drover_client *client,
                                                              const char *rule,
                                                              const char *subject,
                                                              uint64_t time_ms,
                                                              int64_t timeout_ms);

/* Does what the broker does when the rule fires, marked as a test. DROVER_OK, DROVER_UNKNOWN.
 */
DROVER_API DROVER_MUST_USE drover_status drover_alert_test(drover_client *client,
                                                           const char *rule,
                                                           int64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
