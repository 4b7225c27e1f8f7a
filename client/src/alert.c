/*
 * alert.c: alerts and their rules: one request and its answer each.
 */
#include "ask.h"

#include "alert_rule.h"

#include <string.h>

static bool optional_name_is_valid(const char *name)
{
    return name == NULL || drover_name_is_valid(name);
}

static drover_status init(struct drv_ask *ask, drover_client *client, enum drv_alert_op op,
                          const char *rule, const char *subject)
{
    if (!optional_name_is_valid(rule) || !optional_name_is_valid(subject)) {
        return DROVER_INVALID;
    }
    drv_ask_init(ask, client, DRV_ALERT);
    ask->pending.message.alert.op = op;
    ask->pending.message.alert.rule = drv_str_of(rule);
    ask->pending.message.alert.subject = drv_str_of(subject);
    return DROVER_OK;
}

static drover_status run(struct drv_ask *ask, int64_t timeout_ms)
{
    drover_status status = drv_ask_call(ask, timeout_ms);
    drv_ask_fini(ask);
    return status;
}

drover_status drover_alert_list(drover_client *client, int64_t timeout_ms,
                                drover_value **out_document)
{
    return drv_ask_rows(client, DRV_TOPIC_ALERTS, NULL, 0, NULL, timeout_ms, out_document);
}

drover_status drover_alert_rules(drover_client *client, int64_t timeout_ms,
                                 drover_value **out_document)
{
    return drv_ask_rows(client, DRV_TOPIC_ALERT_RULES, NULL, 0, NULL, timeout_ms, out_document);
}

/* Tells the client's words of what is wrong. */
static drover_status say(drover_client *client, const struct drv_problem *problem)
{
    drover_status status = drv_client_enter(client);
    if (status == DROVER_OK) {
        status = drv_client_say(client, DROVER_INVALID, "%s", problem->text);
        status = drv_client_leave(client, status);
    }
    return status;
}

drover_status drover_alert_rule_add(drover_client *client, const char *name,
                                    const char *condition, int64_t timeout_ms)
{
    struct drv_ask ask;
    struct drv_problem problem = {""};
    struct drv_alert_rule what;
    char subject[DRV_ALERT_TEXT_MAX];
    if (!drover_name_is_valid(name) || condition == NULL) {
        return DROVER_INVALID;
    }
    if (drv_alert_condition_parse(condition, &what, subject, &problem) != DROVER_OK) {
        return say(client, &problem);
    }
    drover_status status = init(&ask, client, DRV_ALERT_ADD, name,
                                subject[0] != '\0' ? subject : NULL);
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.alert.has_what = true;
    ask.pending.message.alert.what = what;
    return run(&ask, timeout_ms);
}

drover_status drover_alert_rule_remove(drover_client *client, const char *name,
                                       int64_t timeout_ms)
{
    struct drv_ask ask;
    if (name == NULL) {
        return DROVER_INVALID;
    }
    drover_status status = init(&ask, client, DRV_ALERT_REMOVE, name, NULL);
    return status == DROVER_OK ? run(&ask, timeout_ms) : status;
}

drover_status drover_alert_acknowledge(drover_client *client, const char *rule,
                                       const char *subject, int64_t timeout_ms,
                                       uint64_t *out_count)
{
    struct drv_ask ask;
    drover_status status = init(&ask, client, DRV_ALERT_ACK, rule, subject);
    if (status != DROVER_OK) {
        return status;
    }
    status = run(&ask, timeout_ms);
    if (status == DROVER_OK && out_count != NULL) {
        *out_count = (uint64_t)ask.number;
    }
    return status;
}

drover_status drover_alert_silence(drover_client *client, const char *rule, const char *subject,
                                   uint64_t time_ms, int64_t timeout_ms)
{
    struct drv_ask ask;
    drover_status status = init(&ask, client, DRV_ALERT_SILENCE, rule, subject);
    if (status != DROVER_OK) {
        return status;
    }
    ask.pending.message.alert.time_ms = time_ms;
    return run(&ask, timeout_ms);
}

drover_status drover_alert_test(drover_client *client, const char *rule, int64_t timeout_ms)
{
    struct drv_ask ask;
    if (rule == NULL) {
        return DROVER_INVALID;
    }
    drover_status status = init(&ask, client, DRV_ALERT_TEST, rule, NULL);
    return status == DROVER_OK ? run(&ask, timeout_ms) : status;
}
