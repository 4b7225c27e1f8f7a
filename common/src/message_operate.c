/*
 * message_operate.c: the codec of SCHEDULE and ALERT (PROTOCOL.md section 6, "Requests").
 */
#include "cron.h"
#include "message_codec.h"

/* ---- SCHEDULE ---------------------------------------------------------------------------- */

static void get_plan(struct drv_decode *decode, struct drv_plan *plan)
{
    plan->cron = drv_get_text_optional(decode, DRV_CRON_TEXT_MAX);
    plan->zone = drv_get_text_optional(decode, DRV_ZONE_NAME_MAX);
    plan->every_ms = drv_get_u64(decode);
    plan->jitter_ms = drv_get_u64(decode);
    plan->overlap = drv_get_enum(decode, 0, DRV_OVERLAPS - 1, "no such overlap policy");
    plan->missed = drv_get_enum(decode, 0, DRV_MISSED_POLICIES - 1,
                                "no such policy for missed runs");
    plan->late_ms = drv_get_u64(decode);
    plan->flags = drv_get_u32(decode);
    drv_get_spec(decode, &plan->spec);
    plan->val = drv_get_val(decode);
}

static void put_plan(struct drv_encode *encode, const struct drv_plan *plan)
{
    drv_put_array(encode, 10);
    drv_put_text_optional(encode, plan->cron, DRV_CRON_TEXT_MAX);
    drv_put_text_optional(encode, plan->zone, DRV_ZONE_NAME_MAX);
    drv_put_uint(encode, plan->every_ms);
    drv_put_uint(encode, plan->jitter_ms);
    drv_put_enum(encode, plan->overlap, 0, DRV_OVERLAPS - 1);
    drv_put_enum(encode, plan->missed, 0, DRV_MISSED_POLICIES - 1);
    drv_put_uint(encode, plan->late_ms);
    drv_put_uint(encode, plan->flags);
    drv_put_spec(encode, &plan->spec);
    drv_put_val(encode, &plan->val);
}

void drv_decode_schedule(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_schedule_request *schedule = &out_message->schedule;
    uint32_t outer;
    *schedule = (struct drv_schedule_request){.op = drv_get_u32(decode)};
    schedule->name = drv_get_name(decode);
    schedule->has_plan = drv_get_open_optional(decode, &outer);
    if (schedule->has_plan) {
        get_plan(decode, &schedule->plan);
        drv_get_close(decode, outer);
    }
    schedule->has_id = drv_get_id_optional(decode, &schedule->id);
}

void drv_encode_schedule(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_schedule_request *schedule = &message->schedule;
    drv_put_uint(encode, schedule->op);
    drv_put_name(encode, schedule->name);
    if (schedule->has_plan) {
        put_plan(encode, &schedule->plan);
    } else {
        drv_put_nil(encode);
    }
    drv_put_id_optional(encode, schedule->has_id, &schedule->id);
}

/* ---- ALERT ------------------------------------------------------------------------------- */

/* Whether the rule makes sense is the broker's to judge. */
static void get_rule(struct drv_decode *decode, struct drv_alert_rule *rule)
{
    rule->metric = drv_get_u32(decode);
    rule->comparison = drv_get_u32(decode);
    rule->threshold = drv_get_double(decode);
    rule->clear = drv_get_double(decode);
    rule->for_ms = drv_get_u64(decode);
    rule->clear_ms = drv_get_u64(decode);
    rule->severity = drv_get_u32(decode);
}

static void put_rule(struct drv_encode *encode, const struct drv_alert_rule *rule)
{
    drv_put_array(encode, 7);
    drv_put_uint(encode, rule->metric);
    drv_put_uint(encode, rule->comparison);
    drv_put_double(encode, rule->threshold);
    drv_put_double(encode, rule->clear);
    drv_put_uint(encode, rule->for_ms);
    drv_put_uint(encode, rule->clear_ms);
    drv_put_uint(encode, rule->severity);
}

void drv_decode_alert(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_alert_request *alert = &out_message->alert;
    uint32_t outer;
    *alert = (struct drv_alert_request){.op = drv_get_u32(decode)};
    alert->rule = drv_get_name_optional(decode);
    alert->subject = drv_get_name_optional(decode);
    alert->has_what = drv_get_open_optional(decode, &outer);
    if (alert->has_what) {
        get_rule(decode, &alert->what);
        drv_get_close(decode, outer);
    }
    alert->time_ms = drv_get_u64(decode);
}

void drv_encode_alert(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_alert_request *alert = &message->alert;
    drv_put_uint(encode, alert->op);
    drv_put_name_optional(encode, alert->rule);
    drv_put_name_optional(encode, alert->subject);
    if (alert->has_what) {
        put_rule(encode, &alert->what);
    } else {
        drv_put_nil(encode);
    }
    drv_put_uint(encode, alert->time_ms);
}
