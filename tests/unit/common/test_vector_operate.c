/*
 * The fields of the test vectors of SCHEDULE and ALERT: that each position of the document is
 * the member of the message that the header says.
 */
#include "test.h"

#include "vectors.h"

static void assert_text(struct drv_str found, const char *expected)
{
    assert_int_equal(found.len, expected == NULL ? 0 : strlen(expected));
    assert_true((expected == NULL) == (found.ptr == NULL));
    if (expected != NULL) {
        assert_memory_equal(found.ptr, expected, found.len);
    }
}

static void test_fields_of_schedule(void **state)
{
    struct coded coded;
    const struct drv_schedule_request *schedule = &coded.message.schedule;
    const struct drv_plan *plan = &schedule->plan;
    vector_must_decode(vector_find(*state, "schedule-add"), &coded);
    assert_int_equal(coded.message.request.req, 20);
    assert_int_equal(schedule->op, DRV_SCHEDULE_ADD);
    assert_text(schedule->name, "nightly");
    assert_true(schedule->has_plan && !schedule->has_id);
    assert_text(plan->cron, "0 2 * * mon-fri");
    assert_text(plan->zone, "Europe/Berlin");
    assert_int_equal(plan->every_ms, 0);
    assert_int_equal(plan->jitter_ms, 30000);
    assert_int_equal(plan->overlap, DRV_OVERLAP_QUEUE);
    assert_int_equal(plan->missed, DRV_MISSED_SKIP);
    assert_int_equal(plan->late_ms, 3600000);
    assert_int_equal(plan->flags, DRV_PLAN_REPLACE);
    assert_text(plan->spec.type, "report");
    assert_text(plan->spec.queue, "bulk");
    assert_int_equal(plan->spec.retries, 2);
    assert_int_equal(plan->spec.loss_budget, 3);
    assert_int_equal(plan->val.len, 2);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "schedule-add-interval"), &coded);
    assert_int_equal(plan->every_ms, 90000);
    assert_text(plan->cron, NULL);
    assert_true(plan->val.is_nil);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "schedule-run"), &coded);
    assert_int_equal(schedule->op, DRV_SCHEDULE_RUN);
    assert_true(schedule->has_id && !schedule->has_plan);
    assert_int_equal(schedule->id.bytes[15], 0x10);
    coded_fini(&coded);
}

static void test_fields_of_alert(void **state)
{
    struct coded coded;
    const struct drv_alert_request *alert = &coded.message.alert;
    vector_must_decode(vector_find(*state, "alert-add"), &coded);
    assert_int_equal(alert->op, DRV_ALERT_ADD);
    assert_text(alert->rule, "hot");
    assert_text(alert->subject, "web-1");
    assert_true(alert->has_what);
    assert_int_equal(alert->what.metric, DRV_METRIC_HOST_CPU);
    assert_int_equal(alert->what.comparison, DRV_ABOVE);
    assert_true(alert->what.threshold == 90.0 && alert->what.clear == 80.0);
    assert_int_equal(alert->what.for_ms, 300000);
    assert_int_equal(alert->what.clear_ms, 60000);
    assert_int_equal(alert->what.severity, DRV_SEVERITY_CRITICAL);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "alert-acknowledge-all"), &coded);
    assert_text(alert->rule, NULL);
    assert_false(alert->has_what);
    coded_fini(&coded);
    vector_must_decode(vector_find(*state, "alert-silence"), &coded);
    assert_int_equal(alert->time_ms, 3600000);
    coded_fini(&coded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_schedule),
        cmocka_unit_test(test_fields_of_alert),
    };
    return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
