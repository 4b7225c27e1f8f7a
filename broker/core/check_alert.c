/* check_alert.c: alert rules, alerts, silences. */
#include "check_core.h"

static void check_alert(struct check *check, const struct alert *alert)
{
    const struct core *core = check->core;
    expect(check, alert_find(core, alert->rule, alert_subject(alert)) == alert,
           "an alert is not found by its rule and subject");
    expect(check, alert->state < ALERT_STATES, "an alert is in no state");
    expect(check, alert_fires(alert) || !alert->is_acknowledged,
           "an alert that does not fire is acknowledged");
    expect(check, alert_rule_find(core, alert_rule_name(alert->rule)) == alert->rule,
           "an alert of a rule that is not there");
}

void check_alerts(struct check *check)
{
    const struct alerts *alerts = &check->core->alerts;
    uint64_t of_rules = 0, of_list = 0, of_states[ALERT_STATES] = {0};
    check_timer(check, &alerts->timer, TIMER_ALERT);
    DRV_LIST_EACH(link, &alerts->rules)
    {
        const struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        of_rules += rule->count;
        for (size_t i = 0; i < ALERT_STATES; i++) {
            of_states[i] += rule->states[i];
        }
    }
    DRV_LIST_EACH(link, &alerts->list)
    {
        const struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        check_alert(check, alert);
        of_list++;
        of_states[alert->state]--;
    }
    expect(check, of_rules == of_list && of_list == drv_table_count(&alerts->table),
           "alerts are miscounted");
    for (size_t i = 0; i < ALERT_STATES; i++) {
        expect(check, of_states[i] == 0, "alerts of a state are miscounted");
    }
    expect(check, of_list <= ALERTS_MAX, "more alerts than allowed");
    expect(check,
           check_list_count(&alerts->rules) == alerts->rule_count &&
               alerts->rule_count <= ALERT_RULES_MAX,
           "alert rules are miscounted");
    expect(check,
           check_list_count(&alerts->silences) == alerts->silence_count &&
               alerts->silence_count <= ALERT_SILENCES_MAX,
           "silences are miscounted");
    expect(check,
           check_list_count(&alerts->lost) == alerts->lost_count &&
               alerts->lost_count <= ALERT_LOST_MAX,
           "lost workers are miscounted");
}
