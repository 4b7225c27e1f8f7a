/* alert.c: alert rules, alerts and silences; see alert.h. */
#include "alert.h"

#include "broker.h"
#include "check.h"

#include <drover/drover.h>

#include <stdio.h>

/* --- registry ---------------------------------------------------------------------------- */

struct alert_key {
    const struct alert_rule *rule;
    struct drv_str subject;
};

static bool alert_is(const void *entry, const void *key)
{
    const struct alert *alert = entry;
    const struct alert_key *wanted = key;
    return alert->rule == wanted->rule && str_equals(alert_subject(alert), wanted->subject);
}

static uint64_t alert_hash(const struct core *core, const struct alert_rule *rule,
                           struct drv_str subject)
{
    uint64_t hash = drv_table_hash(&core->alerts.table, subject.ptr, subject.len);
    return hash ^ drv_table_hash(&core->alerts.table, rule->text, rule->name_len);
}

struct alert *alert_find(const struct core *core, const struct alert_rule *rule,
                         struct drv_str subject)
{
    struct alert_key key = {rule, subject};
    return drv_table_find(&core->alerts.table, alert_hash(core, rule, subject), &key);
}

struct alert *alert_new(struct core *core, struct alert_rule *rule, struct drv_str subject)
{
    struct alerts *alerts = &core->alerts;
    struct alert *alert = drv_table_count(&alerts->table) >= ALERTS_MAX
                              ? NULL
                              : core_alloc(core, sizeof *alert + subject.len);
    if (alert != NULL &&
        drv_table_insert(&alerts->table, alert_hash(core, rule, subject), alert)) {
        core_free(core, alert, sizeof *alert + subject.len);
        alert = NULL;
    }
    if (alert == NULL) {
        alerts->dropped++;
        return NULL;
    }
    alert->rule = rule;
    alert->state = ALERT_PENDING;
    alert->since_us = core->now_us;
    alert->subject_len = (uint16_t)subject.len;
    memcpy(alert->subject, subject.ptr, subject.len);
    drv_list_push_back(&alerts->list, &alert->link);
    rule->count++;
    rule->states[alert->state]++;
    return alert;
}

void alert_free(struct core *core, struct alert *alert)
{
    drv_table_remove_entry(&core->alerts.table,
                           alert_hash(core, alert->rule, alert_subject(alert)), alert);
    drv_list_remove(&alert->link);
    alert->rule->count--;
    alert->rule->states[alert->state]--;
    core_free(core, alert, sizeof *alert + alert->subject_len);
}

bool alerts_init(struct core *core)
{
    struct alerts *alerts = &core->alerts;
    struct drv_list *lists[] = {&alerts->rules, &alerts->list, &alerts->silences,
                                &alerts->lost};
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        drv_list_init(lists[i]);
    }
    drv_table_init(&alerts->table, core->config.seed, alert_is);
    alerts->worker = NULL;
    alerts->queues = alerts->types = DRV_TABLE_CURSOR_INIT;
    for (size_t i = 0; i < DRV_SCOPES; i++) {
        alerts->rounds[i] = 1;
    }
    if (!timer_init(core, &alerts->timer, TIMER_ALERT)) {
        return false;
    }
    if (core->config.alerts) {
        timer_arm(core, &alerts->timer, core->now_us + ALERT_TICK_US);
    }
    return true;
}

static void lost_clear(struct core *core)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&core->alerts.lost)) != NULL) {
        struct alert_lost *lost = DRV_LIST_ITEM(link, struct alert_lost, link);
        core_free(core, lost, sizeof *lost + lost->name_len);
    }
}

void alerts_fini(struct core *core)
{
    struct alerts *alerts = &core->alerts;
    struct drv_list *link;
    while ((link = drv_list_first(&alerts->rules)) != NULL) {
        alert_rule_remove(core, DRV_LIST_ITEM(link, struct alert_rule, link));
    }
    while ((link = drv_list_first(&alerts->silences)) != NULL) {
        alert_silence_free(core, DRV_LIST_ITEM(link, struct alert_silence, link));
    }
    lost_clear(core);
    timer_fini(core, &alerts->timer);
    drv_table_fini(&alerts->table);
}

/* --- rules ------------------------------------------------------------------------------- */

struct alert_rule *alert_rule_find(const struct core *core, struct drv_str name)
{
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        if (str_equals(alert_rule_name(rule), name)) {
            return rule;
        }
    }
    return NULL;
}

drover_status alert_rule_put(struct core *core, struct drv_str name, struct drv_str subject,
                             const struct drv_alert_rule *what, enum alert_origin origin,
                             struct alert_rule **out_rule)
{
    struct alert_rule *known = alert_rule_find(core, name);
    if (known == NULL && core->alerts.rule_count >= ALERT_RULES_MAX) {
        return DROVER_BUSY;
    }
    struct alert_rule *rule = core_alloc(core, sizeof *rule + name.len + subject.len);
    if (rule == NULL) {
        return DROVER_NOMEM;
    }
    if (known != NULL) {
        alert_rule_remove(core, known);
    }
    rule->what = *what;
    rule->origin = origin;
    rule->name_len = (uint16_t)name.len;
    rule->subject_len = (uint16_t)subject.len;
    memcpy(rule->text, name.ptr, name.len);
    if (subject.len > 0) {
        memcpy(rule->text + name.len, subject.ptr, subject.len);
    }
    drv_list_push_back(&core->alerts.rules, &rule->link);
    core->alerts.rule_count++;
    *out_rule = rule;
    return DROVER_OK;
}

void alert_rule_remove(struct core *core, struct alert_rule *rule)
{
    DRV_LIST_EACH_SAFE(link, &core->alerts.list)
    {
        struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        if (alert->rule == rule) {
            alert_free(core, alert);
        }
    }
    DRV_ASSERT(rule->count == 0);
    drv_list_remove(&rule->link);
    core->alerts.rule_count--;
    core_free(core, rule, sizeof *rule + rule->name_len + rule->subject_len);
}

drover_status core_add_alert_rule(struct core *core, const char *name, const char *subject,
                                  const struct drv_alert_rule *what)
{
    const char *reason = NULL;
    struct alert_rule *rule;
    if (!drover_name_is_valid(name) || drv_alert_rule_check(what, &reason) != DROVER_OK) {
        return DROVER_INVALID;
    }
    return alert_rule_put(core, drv_str_of(name), drv_str_of(subject), what, ALERT_CONFIGURED,
                          &rule);
}

drover_status core_add_default_alerts(struct core *core)
{
    static const char *const texts[] = {
        "worker-lost worker_lost > 0 clear-for 1m",
        "host-cpu host_cpu > 95 clear 85 for 5m clear-for 1m",
        "host-memory host_memory > 90 clear 85 for 1m clear-for 1m",
        "host-disk host_disk > 90 clear 85 for 1m clear-for 1m",
        "queue-oldest queue_oldest > 600 clear 300 for 1m clear-for 30s",
        "failed failed > 100 clear 20 clear-for 1m",
        "failure-rate failure_rate > 50 clear 25 for 1m clear-for 1m",
        "journal-slow journal > 1000 clear 200 for 30s clear-for 1m",
        "loop-slow loop > 500 clear 200 for 30s clear-for 1m",
        "type-unserved type_unserved > 0 for 1m",
        "broker-disk broker_disk > 90 clear 88 for 30s clear-for 1m severity critical",
        "broker-memory broker_memory > 85 clear 75 for 30s clear-for 1m severity critical",
        "disk-full disk_full > 0 clear-for 10s severity critical",
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        char name[DRV_ALERT_TEXT_MAX], subject[DRV_ALERT_TEXT_MAX];
        struct drv_alert_rule what;
        struct alert_rule *rule;
        drover_status status = drv_alert_rule_parse(texts[i], &what, name, subject, NULL);
        DRV_ASSERT(status == DROVER_OK);
        if (alert_rule_find(core, drv_str_of(name)) != NULL) {
            continue; /* the configuration has its own */
        }
        status = alert_rule_put(core, drv_str_of(name), drv_str_of(subject), &what,
                                ALERT_BUILT_IN, &rule);
        if (status != DROVER_OK) {
            return status;
        }
    }
    return DROVER_OK;
}

/* --- texts ------------------------------------------------------------------------------- */

const char *alert_state_name(enum alert_state state)
{
    static const char *const names[ALERT_STATES] = {"pending", "firing", "firing", "resolved"};
    return names[state];
}

void alert_line(const struct alert *alert, char out_line[ALERT_LINE_MAX])
{
    const struct alert_rule *rule = alert->rule;
    const char *unit = drv_metric_unit(rule->what.metric);
    const char *blank = unit[0] == '\0' ? "" : " ";
    enum drv_scope scope = drv_metric_scope(rule->what.metric);
    bool is_bad = alert_judge(&rule->what, alert->value) == ALERT_BAD;
    bool is_over = alert->state == ALERT_CLEARING || alert->state == ALERT_RESOLVED;
    int len = snprintf(out_line, ALERT_LINE_MAX, "%s", drv_metric_name(rule->what.metric));
    if (scope != DRV_SCOPE_BROKER) {
        len += snprintf(out_line + len, ALERT_LINE_MAX - (size_t)len, " of %s %.*s",
                        drv_scope_name(scope),
                        alert->subject_len > 300 ? 300 : alert->subject_len, alert->subject);
    }
    (void)snprintf(out_line + len, ALERT_LINE_MAX - (size_t)len, " %s %.4g%s%s (%s%s %.4g)",
                   is_over && is_bad ? "was" : "is", alert->value, blank, unit,
                   is_over || !is_bad ? "no longer " : "",
                   rule->what.comparison == DRV_ABOVE ? "above" : "below",
                   rule->what.threshold);
}

/* --- silences ---------------------------------------------------------------------------- */

static bool matches(struct drv_str wanted, struct drv_str found)
{
    return wanted.len == 0 || str_equals(wanted, found);
}

bool alert_is_silenced(const struct core *core, const struct alert *alert)
{
    DRV_LIST_EACH(link, &core->alerts.silences)
    {
        const struct alert_silence *silence = DRV_LIST_ITEM(link, struct alert_silence, link);
        if (silence->until_us > core->now_us &&
            matches(str_of(silence->text, silence->rule_len), alert_rule_name(alert->rule)) &&
            matches(str_of(silence->text + silence->rule_len, silence->subject_len),
                    alert_subject(alert))) {
            return true;
        }
    }
    return false;
}

struct alert_silence *alert_silence_find(const struct core *core, struct drv_str rule,
                                         struct drv_str subject)
{
    DRV_LIST_EACH(link, &core->alerts.silences)
    {
        struct alert_silence *silence = DRV_LIST_ITEM(link, struct alert_silence, link);
        if (str_equals(str_of(silence->text, silence->rule_len), rule) &&
            str_equals(str_of(silence->text + silence->rule_len, silence->subject_len),
                       subject)) {
            return silence;
        }
    }
    return NULL;
}

drover_status alert_silence_put(struct core *core, struct drv_str rule, struct drv_str subject,
                                int64_t until_us, struct alert_silence **out_silence)
{
    struct alert_silence *silence = alert_silence_find(core, rule, subject);
    if (silence == NULL && core->alerts.silence_count >= ALERT_SILENCES_MAX) {
        return DROVER_BUSY;
    }
    if (silence == NULL) {
        silence = core_alloc(core, sizeof *silence + rule.len + subject.len);
        if (silence == NULL) {
            return DROVER_NOMEM;
        }
        silence->rule_len = (uint16_t)rule.len;
        silence->subject_len = (uint16_t)subject.len;
        if (rule.len > 0) {
            memcpy(silence->text, rule.ptr, rule.len);
        }
        if (subject.len > 0) {
            memcpy(silence->text + rule.len, subject.ptr, subject.len);
        }
        drv_list_push_back(&core->alerts.silences, &silence->link);
        core->alerts.silence_count++;
    }
    silence->until_us = until_us;
    *out_silence = silence;
    return DROVER_OK;
}

void alert_silence_free(struct core *core, struct alert_silence *silence)
{
    drv_list_remove(&silence->link);
    core->alerts.silence_count--;
    core_free(core, silence, sizeof *silence + silence->rule_len + silence->subject_len);
}
