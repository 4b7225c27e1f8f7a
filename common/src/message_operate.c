/*
 * message_operate.c: the codec of SCHEDULE (PROTOCOL.md section 6, "Requests").
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
