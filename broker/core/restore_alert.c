/*
 * restore_alert.c: reads the records of alert rules, silences and alerts; see save_alert.c.
 *
 * Rules of the configuration are there before the records. An alert may come before the rule
 * that was added by request: a rule without meaning stands in for it, and goes at the end if it
 * has not come.
 */
#include "alert.h"
#include "broker.h"
#include "restore.h"
#include "save_parts.h"

static bool names_are_fine(struct record_reader *reader, struct drv_str rule, bool must_have)
{
    return !reader->failed && (rule.len > 0 || !must_have);
}

static bool put(struct restore *restore, struct drv_str name, struct drv_str subject,
                const struct drv_alert_rule *what, enum alert_origin origin,
                struct alert_rule **out_rule)
{
    drover_status status = alert_rule_put(restore->core, name, subject, what, origin, out_rule);
    return status == DROVER_OK ||
           (status == DROVER_BUSY && restore_wrong(restore, "more alert rules than allowed"));
}

/* The rule that was a stand-in becomes what it is; its alerts stay. */
static void become(struct alert_rule *rule, const struct drv_alert_rule *what)
{
    rule->what = *what;
    rule->origin = ALERT_OWN;
}

bool restore_alert_rule(struct restore *restore, const struct core_saved *saved,
                        struct record_reader *reader)
{
    bool is_there = record_u8(reader) != 0;
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    struct drv_str subject = record_str(reader, DRV_NAME_MAX);
    struct drv_alert_rule what = {.metric = record_u32(reader)};
    const char *reason = NULL;
    int64_t numbers[2];
    what.comparison = record_u8(reader);
    numbers[0] = record_fixed(reader);
    numbers[1] = record_fixed(reader);
    memcpy(&what.threshold, &numbers[0], sizeof numbers[0]);
    memcpy(&what.clear, &numbers[1], sizeof numbers[1]);
    what.for_ms = record_uint(reader);
    what.clear_ms = record_uint(reader);
    what.severity = record_u8(reader);
    (void)saved;
    if (!names_are_fine(reader, name, true) ||
        drv_alert_rule_check(&what, &reason) != DROVER_OK) {
        return restore_wrong(restore, "an alert rule that is none");
    }
    struct alert_rule *known = alert_rule_find(restore->core, name);
    if (known != NULL && known->origin < ALERT_OWN) {
        return true; /* the configuration has one of this name now */
    }
    if (!is_there) {
        if (known != NULL) {
            alert_rule_remove(restore->core, known);
        }
        return true;
    }
    if (known != NULL && known->subject_len == 0 && subject.len == 0) {
        become(known, &what);
    } else if (!put(restore, name, subject, &what, ALERT_OWN, &known)) {
        return false;
    }
    known->mark = restore->mark;
    return true;
}

bool restore_alert_silence(struct restore *restore, const struct core_saved *saved,
                           struct record_reader *reader)
{
    bool is_there = record_u8(reader) != 0;
    struct drv_str rule = record_str(reader, DRV_NAME_MAX);
    struct drv_str subject = record_str(reader, DRV_NAME_MAX);
    int64_t wall_us = record_fixed(reader);
    uint64_t left_us = record_uint(reader);
    struct alert_silence *silence;
    (void)saved;
    if (!names_are_fine(reader, rule, false)) {
        return restore_wrong(restore, "a silence that is none");
    }
    silence = alert_silence_find(restore->core, rule, subject);
    if (!is_there) {
        if (silence != NULL) {
            alert_silence_free(restore->core, silence);
        }
        return true;
    }
    drover_status status = alert_silence_put(restore->core, rule, subject,
                                             restore_due(restore, wall_us, left_us), &silence);
    if (status == DROVER_BUSY) {
        return restore_wrong(restore, "more silences than allowed");
    }
    if (status == DROVER_OK) {
        silence->mark = restore->mark;
    }
    return status == DROVER_OK;
}

/* The rule, or something that stands in for it. */
static struct alert_rule *rule_of(struct restore *restore, struct drv_str name)
{
    static const struct drv_alert_rule nothing = {
        .metric = DRV_METRIC_WORKERS, .comparison = DRV_BELOW, .severity = DRV_SEVERITY_INFO};
    struct alert_rule *rule = alert_rule_find(restore->core, name);
    if (rule == NULL && !put(restore, name, str_of("", 0), &nothing, ALERT_MISSING, &rule)) {
        return NULL;
    }
    return rule;
}

bool restore_alert(struct restore *restore, const struct core_saved *saved,
                   struct record_reader *reader)
{
    struct core *core = restore->core;
    bool is_there = record_u8(reader) != 0;
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    struct drv_str subject = record_str(reader, DRV_TEXT_MAX);
    uint8_t bits = record_u8(reader);
    int64_t since_us = restore_instant(restore, record_fixed(reader));
    int64_t number = record_fixed(reader);
    (void)saved;
    if (!names_are_fine(reader, name, true) || subject.len == 0) {
        return restore_wrong(restore, "an alert without rule or subject");
    }
    struct alert_rule *rule = is_there ? rule_of(restore, name) : alert_rule_find(core, name);
    if (rule == NULL) {
        return !is_there;
    }
    struct alert *alert = alert_find(core, rule, subject);
    if (!is_there) {
        if (alert != NULL) {
            alert_free(core, alert);
        }
        return true;
    }
    alert = alert == NULL ? alert_new(core, rule, subject) : alert;
    if (alert == NULL) {
        return true; /* counted as dropped: it fires again if it is still so */
    }
    alert_set_state(alert, ALERT_FIRING);
    alert->since_us = since_us;
    alert->is_acknowledged = (bits & ALERT_PART_ACKNOWLEDGED) != 0;
    alert->is_told = (bits & ALERT_PART_TOLD) != 0;
    memcpy(&alert->value, &number, sizeof number);
    alert->mark = restore->mark;
    return true;
}

void alerts_restored(struct core *core)
{
    DRV_LIST_EACH_SAFE(link, &core->alerts.rules)
    {
        struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        if (rule->origin == ALERT_MISSING) {
            alert_rule_remove(core, rule);
        }
    }
}
