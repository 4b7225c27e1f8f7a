/*
 * on_alert.c: ALERT: what an operator asks of rules and alerts.
 */
#include "alert.h"
#include "broker.h"
#include "handlers.h"

struct call { /* one request */
    struct core *core;
    const struct drv_alert_request *request;
    struct reply *reply;
    const char *text; /* static: what is wrong */
};

static drover_status wrong(struct call *call, drover_status status, const char *text)
{
    call->text = text;
    return status;
}

/* Why a rule cannot be changed or removed by request, and who can. */
static const char *whose(const struct alert_rule *rule)
{
    return rule->origin == ALERT_BUILT_IN
               ? "this rule comes with the broker: an alert-rule of this name in its "
                 "configuration replaces it, no-default-alerts drops all that come with it"
               : "this rule comes from the configuration of the broker: change it there";
}

static drover_status add(struct call *call)
{
    const struct drv_alert_request *request = call->request;
    struct alert_rule *known = alert_rule_find(call->core, request->rule);
    struct alert_rule *rule;
    if (request->rule.len == 0 || !request->has_what) {
        return wrong(call, DROVER_INVALID, "a rule without a name, or without a condition");
    }
    if (drv_alert_rule_check(&request->what, &call->text) != DROVER_OK) {
        return DROVER_INVALID;
    }
    if (known != NULL && known->origin != ALERT_OWN) {
        return wrong(call, DROVER_CONFLICT, whose(known));
    }
    if (call->core->is_full) {
        return wrong(call, DROVER_BUSY, "the disk of the broker is full");
    }
    drover_status status = alert_rule_put(call->core, request->rule, request->subject,
                                          &request->what, ALERT_OWN, &rule);
    if (status != DROVER_OK) {
        return wrong(call, status, "there is no room for another rule");
    }
    save_alert_rule(call->core, rule, false);
    return DROVER_OK;
}

static drover_status remove_rule(struct call *call)
{
    struct alert_rule *rule = alert_rule_find(call->core, call->request->rule);
    if (rule == NULL) {
        return wrong(call, DROVER_UNKNOWN, "there is no such rule");
    }
    if (rule->origin != ALERT_OWN) {
        return wrong(call, DROVER_DENIED, whose(rule));
    }
    DRV_LIST_EACH(link, &call->core->alerts.list)
    {
        struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        if (alert->rule == rule && alert_fires(alert)) {
            save_alert(call->core, alert, true);
        }
    }
    save_alert_rule(call->core, rule, true);
    alert_rule_remove(call->core, rule);
    return DROVER_OK;
}

static bool is_meant(struct drv_str wanted, struct drv_str found)
{
    return wanted.len == 0 || str_equals(wanted, found);
}

static drover_status acknowledge(struct call *call)
{
    struct core *core = call->core;
    bool is_any = false;
    DRV_LIST_EACH(link, &core->alerts.list)
    {
        struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        if (!alert_fires(alert) ||
            !is_meant(call->request->rule, alert_rule_name(alert->rule)) ||
            !is_meant(call->request->subject, alert_subject(alert))) {
            continue;
        }
        is_any = true;
        if (!alert->is_acknowledged) {
            alert->is_acknowledged = true;
            call->reply->number++;
            save_alert(core, alert, false);
            event_alert(core, DRV_EVENT_ALERT_ACKNOWLEDGED, alert);
        }
    }
    return is_any ? DROVER_OK : wrong(call, DROVER_UNKNOWN, "no such alert fires");
}

static drover_status silence(struct call *call)
{
    struct core *core = call->core;
    const struct drv_alert_request *request = call->request;
    struct alert_silence *made;
    if (request->time_ms == 0) {
        made = alert_silence_find(core, request->rule, request->subject);
        if (made == NULL) {
            return wrong(call, DROVER_UNKNOWN, "there is no such silence");
        }
        save_alert_silence(core, made, true);
        alert_silence_free(core, made);
        return DROVER_OK;
    }
    if (request->time_ms > (uint64_t)366 * 24 * 3600 * 1000) {
        return wrong(call, DROVER_INVALID, "a silence of more than a year");
    }
    drover_status status = alert_silence_put(core, request->rule, request->subject,
                                             core->now_us + us_of_ms(request->time_ms), &made);
    if (status != DROVER_OK) {
        return wrong(call, status, "there is no room for another silence");
    }
    save_alert_silence(core, made, false);
    return DROVER_OK;
}

static drover_status test(struct call *call)
{
    const struct alert_rule *rule = alert_rule_find(call->core, call->request->rule);
    if (rule == NULL) {
        return wrong(call, DROVER_UNKNOWN, "there is no such rule");
    }
    alert_tell(call->core, rule, NULL, true);
    return DROVER_OK;
}

void on_alert(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply)
{
    static drover_status (*const operations[])(struct call *) = {
        [DRV_ALERT_ADD] = add,         [DRV_ALERT_REMOVE] = remove_rule,
        [DRV_ALERT_ACK] = acknowledge, [DRV_ALERT_SILENCE] = silence,
        [DRV_ALERT_TEST] = test,
    };
    struct call call = {.core = core, .request = &message->alert, .reply = reply};
    uint32_t op = message->alert.op;
    drover_status status = DROVER_UNSUPPORTED;
    (void)peer;
    if (!core->config.alerts) {
        call.text = "this broker has no alerts";
    } else if (op < sizeof operations / sizeof *operations && operations[op] != NULL) {
        status = operations[op](&call);
    }
    if (status == DROVER_OK) {
        reply_answer(core, reply);
    } else {
        reply->retry_after_ms = drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0;
        reply_fail(core, reply, status, call.text);
    }
}
