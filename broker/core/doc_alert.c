/* doc_alert.c: topics alerts and alert rules, and what the status tells of them. */
#include "document.h"

#include "broker.h"

static void put_alert(struct document *document, const struct alert *alert)
{
    char line[ALERT_LINE_MAX];
    alert_line(alert, line);
    document_map(document, NULL);
    document_str(document, "rule", alert_rule_name(alert->rule));
    document_str(document, "subject", alert_subject(alert));
    document_text(document, "severity", drv_severity_name(alert->rule->what.severity));
    document_text(document, "state", alert_state_name(alert->state));
    document_age(document, "since_age_ms", alert->since_us);
    document_double(document, "value", alert->value);
    document_double(document, "threshold", alert->rule->what.threshold);
    document_str(document, "text", drv_str_of(line));
    document_bool(document, "acknowledged", alert->is_acknowledged);
    document_bool(document, "silenced", alert_is_silenced(document->core, alert));
    document_end(document);
}

/* What fires comes first. */
bool document_alerts(struct document *document, uint32_t rows)
{
    static const enum alert_state order[] = {ALERT_FIRING, ALERT_CLEARING, ALERT_PENDING,
                                             ALERT_RESOLVED};
    for (size_t i = 0; i < DRV_ARRAY_LEN(order); i++) {
        DRV_LIST_EACH(link, &document->core->alerts.list)
        {
            const struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
            if (alert->state != order[i]) {
                continue;
            }
            if (rows == 0 || document_is_full(document)) {
                return true;
            }
            put_alert(document, alert);
            rows--;
        }
    }
    return false;
}

void document_alert_counts(struct document *document)
{
    const struct core *core = document->core;
    document_array(document, "alert_counts");
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        const struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        document_map(document, NULL);
        document_str(document, "rule", alert_rule_name(rule));
        document_text(document, "severity", drv_severity_name(rule->what.severity));
        document_uint(document, "pending", rule->states[ALERT_PENDING]);
        document_uint(document, "firing",
                      rule->states[ALERT_FIRING] + rule->states[ALERT_CLEARING]);
        document_end(document);
    }
    document_end(document);
    document_map(document, "alert_actions");
    document_uint(document, "done", core->self.alerts_done);
    document_uint(document, "failed", core->self.alerts_failed);
    document_uint(document, "dropped", core->self.alerts_dropped);
    document_uint(document, "waiting", core->self.alerts_waiting);
    document_end(document);
    document_uint(document, "alerts_dropped", core->alerts.dropped);
}

static void put_rule(struct document *document, const struct alert_rule *rule)
{
    static const char *const origins[] = {"built-in", "configuration", "request", ""};
    const struct drv_alert_rule *what = &rule->what;
    document_map(document, NULL);
    document_str(document, "name", alert_rule_name(rule));
    document_text(document, "metric", drv_metric_name(what->metric));
    document_text(document, "unit", drv_metric_unit(what->metric));
    document_text(document, "scope", drv_scope_name(drv_metric_scope(what->metric)));
    document_text(document, "comparison", what->comparison == DRV_ABOVE ? ">" : "<");
    document_double(document, "threshold", what->threshold);
    document_double(document, "clear", what->clear);
    document_uint(document, "for_ms", what->for_ms);
    document_uint(document, "clear_for_ms", what->clear_ms);
    document_text(document, "severity", drv_severity_name(what->severity));
    if (rule->subject_len > 0) {
        document_str(document, "subject", alert_rule_subject(rule));
    }
    document_text(document, "origin", origins[rule->origin]);
    document_uint(document, "alerts", rule->count);
    document_end(document);
}

void document_alert_rules(struct document *document)
{
    const struct core *core = document->core;
    document_array(document, "rules");
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        put_rule(document, DRV_LIST_ITEM(link, struct alert_rule, link));
    }
    document_end(document);
    document_array(document, "silences");
    DRV_LIST_EACH(link, &core->alerts.silences)
    {
        const struct alert_silence *silence = DRV_LIST_ITEM(link, struct alert_silence, link);
        document_map(document, NULL);
        document_str(document, "rule", str_of(silence->text, silence->rule_len));
        document_str(document, "subject",
                     str_of(silence->text + silence->rule_len, silence->subject_len));
        document_uint(document, "left_ms", ms_of_us(silence->until_us - core->now_us));
        document_end(document);
    }
    document_end(document);
    document_uint(document, "dropped", core->alerts.dropped);
}
