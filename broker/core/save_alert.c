/*
 * save_alert.c: the records of alert rules that were added by request, of silences, and of what
 * fires. Each says first whether it is still there.
 */
#include "alert.h"
#include "broker.h"
#include "save_parts.h"

drover_id alert_saved_id(const struct core *core, struct drv_str first, struct drv_str second)
{
    char text[2 * DRV_TEXT_MAX + 1];
    size_t len = first.len + 1 + second.len;
    drover_id id = {{0}};
    if (len > sizeof text) {
        return id;
    }
    memset(text, 0, len);
    if (first.len > 0) {
        memcpy(text, first.ptr, first.len);
    }
    if (second.len > 0) {
        memcpy(text + first.len + 1, second.ptr, second.len);
    }
    uint64_t hash = core_stable_hash(core, text, len);
    memcpy(id.bytes, &hash, sizeof hash);
    return id;
}

static struct drv_str none(void)
{
    return str_of("", 0);
}

void save_alert_rule(struct core *core, struct alert_rule *rule, bool is_gone)
{
    if (!core->save.is_on || rule->origin != ALERT_OWN) {
        return;
    }
    const struct drv_alert_rule *what = &rule->what;
    drover_id id = alert_saved_id(core, alert_rule_name(rule), none());
    int64_t numbers[2];
    memcpy(&numbers[0], &what->threshold, sizeof numbers[0]);
    memcpy(&numbers[1], &what->clear, sizeof numbers[1]);
    struct record_writer writer = save_begin(core, CORE_SAVE_ALERT_RULE, &id, 0);
    record_put_u8(&writer, !is_gone);
    record_put_str(&writer, alert_rule_name(rule));
    record_put_str(&writer, alert_rule_subject(rule));
    record_put_uint(&writer, what->metric);
    record_put_u8(&writer, (uint8_t)what->comparison);
    record_put_fixed(&writer, numbers[0]);
    record_put_fixed(&writer, numbers[1]);
    record_put_uint(&writer, what->for_ms);
    record_put_uint(&writer, what->clear_ms);
    record_put_u8(&writer, (uint8_t)what->severity);
    save_end(core, &writer, NULL);
    rule->mark = save_mark(core);
}

void save_alert_silence(struct core *core, struct alert_silence *silence, bool is_gone)
{
    if (!core->save.is_on) {
        return;
    }
    struct drv_str rule = str_of(silence->text, silence->rule_len);
    struct drv_str subject = str_of(silence->text + silence->rule_len, silence->subject_len);
    drover_id id = alert_saved_id(core, rule, subject);
    int64_t left_us = silence->until_us - core->now_us;
    struct record_writer writer = save_begin(core, CORE_SAVE_ALERT_SILENCE, &id, 0);
    record_put_u8(&writer, !is_gone);
    record_put_str(&writer, rule);
    record_put_str(&writer, subject);
    record_put_fixed(&writer, save_wall(core, silence->until_us));
    record_put_uint(&writer, (uint64_t)(left_us > 0 ? left_us : 0));
    save_end(core, &writer, NULL);
    silence->mark = save_mark(core);
}

void save_alert(struct core *core, struct alert *alert, bool is_gone)
{
    if (!core->save.is_on) {
        return;
    }
    int64_t number;
    memcpy(&number, &alert->value, sizeof number);
    drover_id id = alert_saved_id(core, alert_rule_name(alert->rule), alert_subject(alert));
    struct record_writer writer = save_begin(core, CORE_SAVE_ALERT, &id, 0);
    record_put_u8(&writer, !is_gone);
    record_put_str(&writer, alert_rule_name(alert->rule));
    record_put_str(&writer, alert_subject(alert));
    record_put_u8(&writer, (uint8_t)((alert->is_acknowledged ? ALERT_PART_ACKNOWLEDGED : 0) |
                                     (alert->is_told ? ALERT_PART_TOLD : 0)));
    record_put_fixed(&writer, save_wall(core, alert->since_us));
    record_put_fixed(&writer, number);
    save_end(core, &writer, NULL);
    alert->mark = save_mark(core);
}

void alerts_rewrite(struct core *core, uint64_t lsn)
{
    DRV_LIST_EACH(link, &core->alerts.rules)
    {
        struct alert_rule *rule = DRV_LIST_ITEM(link, struct alert_rule, link);
        if (save_is_old(rule->mark, lsn)) {
            save_alert_rule(core, rule, false);
        }
    }
    DRV_LIST_EACH(link, &core->alerts.silences)
    {
        struct alert_silence *silence = DRV_LIST_ITEM(link, struct alert_silence, link);
        if (save_is_old(silence->mark, lsn)) {
            save_alert_silence(core, silence, false);
        }
    }
    DRV_LIST_EACH(link, &core->alerts.list)
    {
        struct alert *alert = DRV_LIST_ITEM(link, struct alert, link);
        if (alert_fires(alert) && save_is_old(alert->mark, lsn)) {
            save_alert(core, alert, false);
        }
    }
}
