/*
 * Alerts: what fires, when, for whom, and what does not.
 */
#include "schedule_story.h"

#include "alert.h"
#include "broker.h"
#include "check.h"
#include "clock.h"

static int setup(void **state)
{
    struct bench *bench = bench_new();
    *state = bench;
    bench->config.durability_max = DROVER_DURABILITY_SYNCED;
    bench->config.alerts = true;
    bench_start(bench);
    bench_turn(bench);
    client(bench, 1);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

static const struct drv_reply *ask(struct bench *bench, uint32_t op, const char *rule,
                                   const char *subject, const char *condition, uint64_t time_ms)
{
    char only[DRV_ALERT_TEXT_MAX] = "";
    struct drv_message message = request(bench, 1, DRV_ALERT);
    message.alert = (struct drv_alert_request){
        .op = op, .rule = text(rule), .subject = text(subject), .time_ms = time_ms};
    if (condition != NULL) {
        message.alert.has_what = true;
        assert_ok(drv_alert_condition_parse(condition, &message.alert.what, only, NULL));
    }
    speak(bench, 1, &message);
    bench_turn(bench);
    return reply(bench, 1);
}

static void rule_add(struct bench *bench, const char *name, const char *condition)
{
    assert_ok(ask(bench, DRV_ALERT_ADD, name, NULL, condition, 0)->code);
}

static struct drv_str told(struct bench *bench, enum drv_topic topic)
{
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = (struct drv_query){.topic = topic, .index = DROVER_INDEX_NONE};
    speak(bench, 1, &message);
    bench_turn(bench);
    return expect(bench, 1, DRV_DOCUMENT)->document.body;
}

static bool is_told(struct bench *bench, const char *bytes)
{
    return map_has(told(bench, DRV_TOPIC_ALERTS), bytes);
}

#define FIRING      \
    "\xa5state\xa6" \
    "firing"
#define PENDING "\xa5state\xa7pending"
#define RESOLVED "\xa5state\xa8resolved"

/* The shell tells how slow the journal is. */
static void journal_ms(struct bench *bench, double ms)
{
    struct core_event event = {.kind = CORE_EVENT_SELF,
                               .self = {.journal_us = (uint64_t)(ms * 1000)}};
    bench_event(bench, &event);
    bench_pass(bench, SECOND);
}

/* Every state, every verdict, with the times over and not. */
static void test_state_machine_every_cell(void **state)
{
    static const struct {
        enum alert_state from;
        enum alert_verdict verdict;
        bool waited, cleared;
        enum alert_state to;
        bool lives;
    } cells[] = {
        {ALERT_PENDING, ALERT_BAD, false, false, ALERT_PENDING, true},
        {ALERT_PENDING, ALERT_BAD, true, false, ALERT_FIRING, true},
        {ALERT_PENDING, ALERT_BETWEEN, true, true, ALERT_PENDING, false},
        {ALERT_PENDING, ALERT_GOOD, true, true, ALERT_PENDING, false},
        {ALERT_FIRING, ALERT_BAD, true, true, ALERT_FIRING, true},
        {ALERT_FIRING, ALERT_BETWEEN, true, true, ALERT_FIRING, true},
        {ALERT_FIRING, ALERT_GOOD, true, false, ALERT_CLEARING, true},
        {ALERT_CLEARING, ALERT_BAD, true, true, ALERT_FIRING, true},
        {ALERT_CLEARING, ALERT_BETWEEN, true, true, ALERT_FIRING, true},
        {ALERT_CLEARING, ALERT_GOOD, true, false, ALERT_CLEARING, true},
        {ALERT_CLEARING, ALERT_GOOD, true, true, ALERT_RESOLVED, true},
        {ALERT_RESOLVED, ALERT_BAD, true, true, ALERT_PENDING, true},
        {ALERT_RESOLVED, ALERT_BETWEEN, true, true, ALERT_RESOLVED, true},
        {ALERT_RESOLVED, ALERT_GOOD, true, true, ALERT_RESOLVED, true},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cells); i++) {
        bool lives = false;
        assert_int_equal(alert_next(cells[i].from, cells[i].verdict, cells[i].waited,
                                    cells[i].cleared, &lives),
                         cells[i].to);
        assert_int_equal(lives, cells[i].lives);
    }
}

/* Bad for a time: fires, once; good for a time: over, once. */
static void test_alert_fires_and_is_over(void **state)
{
    struct bench *bench = *state;
    subscribe_events(bench, 1, 1, UINT64_C(7) << DRV_EVENT_ALERT_FIRING);
    rule_add(bench, "slow", "journal > 100 clear 50 for 5s clear-for 3s severity critical");
    for (int i = 0; i < 5; i++) {
        journal_ms(bench, 120);
    }
    assert_true(is_told(bench, PENDING));
    expect_none(bench, 1, DRV_EVENTS);
    journal_ms(bench, 120);
    const struct drv_events *events = EXPECT_EVENTS(bench, 1, "alert.firing");
    assert_true(map_has(event_map(events, 0), "\xa4rule\xa4slow"));
    assert_true(map_has(event_map(events, 0), "journal is 120 ms (above 100)"));
    assert_int_equal(bench->alert_count, 1);
    assert_true(is_told(bench, FIRING) && is_told(bench, "\xa8severity\xa8"
                                                         "critical"));
    assert_true(map_has(told(bench, DRV_TOPIC_STATUS), FIRING));
    journal_ms(bench, 70); /* between: it fires on */
    assert_true(is_told(bench, FIRING) && is_told(bench, "is 70 ms (no longer above 100)"));
    for (int i = 0; i < 3; i++) {
        journal_ms(bench, 40);
        assert_true(is_told(bench, FIRING));
    }
    journal_ms(bench, 40);
    events = EXPECT_EVENTS(bench, 1, "alert.resolved");
    assert_true(map_has(event_map(events, 0), "journal is 40 ms (no longer above 100)"));
    assert_int_equal(bench->alert_count, 2);
    assert_true(is_told(bench, RESOLVED));
    bench_pass(bench, 601 * SECOND);
    assert_false(is_told(bench, "\xa4rule"));
}

/* What swings about the threshold neither begins again and again nor ends. */
static void test_oscillation_does_not_flap(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "slow", "journal > 100 clear 50 clear-for 3s");
    for (int i = 0; i < 200; i++) {
        journal_ms(bench, i % 2 == 0 ? 130 : 70); /* never under 50 */
    }
    assert_int_equal(bench->alert_count, 1);
    for (int i = 0; i < 200; i++) {
        journal_ms(bench, i % 3 == 0 ? 130 : 10); /* never good for long enough */
    }
    assert_int_equal(bench->alert_count, 1);
    rule_add(bench, "pending", "journal > 100 for 3s");
    for (int i = 0; i < 200; i++) {
        journal_ms(bench, i % 3 == 0 ? 10 : 130); /* never bad for long enough */
    }
    assert_int_equal(bench->alert_count, 1);
}

/* Acknowledged, silenced: no action; and told when the silence is over. */
static void test_acknowledgements_and_silences_hold_actions_back(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "slow", "journal > 100");
    assert_int_equal(ask(bench, DRV_ALERT_ACK, "slow", NULL, NULL, 0)->code, DROVER_UNKNOWN);
    assert_ok(ask(bench, DRV_ALERT_SILENCE, NULL, "broker", NULL, 10000)->code);
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 0);
    assert_true(is_told(bench, FIRING) && is_told(bench, "\xa8silenced\xc3"));
    bench_pass(bench, 5 * SECOND);
    assert_int_equal(bench->alert_count, 0);
    bench_pass(bench, 6 * SECOND);
    assert_int_equal(bench->alert_count, 1); /* it is still so */
    assert_int_equal(ask(bench, DRV_ALERT_ACK, "slow", NULL, NULL, 0)->number, 1);
    assert_int_equal(ask(bench, DRV_ALERT_ACK, NULL, NULL, NULL, 0)->number, 0);
    assert_true(is_told(bench, "\xac"
                               "acknowledged\xc3"));
    journal_ms(bench, 10);
    assert_int_equal(bench->alert_count, 2); /* who was told hears the end */
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 3); /* this is another one */
    assert_true(is_told(bench, "\xac"
                               "acknowledged\xc2"));
}

static void host_says(struct bench *bench, double cpu)
{
    struct drv_message message = {.kind = DRV_HEARTBEAT};
    message.heartbeat.has_host = true;
    message.heartbeat.host.cpu_percent = cpu;
    speak(bench, 2, &message);
    bench_pass(bench, SECOND);
}

/* Hosts, queues and lost workers are subjects of their own. */
static void test_subjects_of_workers_hosts_and_queues(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "cpu", "host_cpu > 90");
    rule_add(bench, "old", "queue_oldest > 5");
    rule_add(bench, "lost", "worker_lost > 0");
    worker(bench, 2, "work", 1);
    host_says(bench, 95);
    assert_true(is_told(bench, "host_cpu of host host is 95 % (above 90)"));
    host_says(bench, 50);
    assert_true(is_told(bench, RESOLVED));
    host_says(bench, 95);
    struct drv_spec spec = spec_of("nobody");
    submit(bench, 1, &spec, 5);
    live(bench, 8 * SECOND);
    assert_true(is_told(bench, "queue_oldest of queue default is"));
    cancel(bench, 1, 5);
    gone(bench, 2); /* its host is, too */
    bench_pass(bench, 5 * SECOND);
    assert_true(is_told(bench, "worker_lost of worker worker is 1 (above 0)"));
    assert_int_equal(bench->alert_count, 7); /* cpu twice and over, the queue, lost */
    worker(bench, 2, "work", 1);
    bench_pass(bench, 2 * SECOND);
    assert_false(is_told(bench, FIRING));
    assert_true(is_told(bench, "worker_lost of worker worker was 1 (no longer above 0)"));
}

/* A look that rests between two slices goes on behind a worker that has left. */
static void test_look_goes_on_behind_a_worker_that_left(void **state)
{
    struct bench *bench = *state;
    struct core *core = bench->core;
    rule_add(bench, "cpu", "host_cpu > 90");
    worker(bench, 2, "work", 1);
    worker(bench, 3, "work", 1);
    host_says(bench, 95);
    assert_true(is_told(bench, FIRING));
    core->alerts.worker = drv_list_first(&core->workers); /* as a slice may leave it */
    struct drv_message bye = {.kind = DRV_GOODBYE};
    speak(bench, 2, &bye);
    bench_turn(bench);
    assert_ptr_equal(core->alerts.worker, drv_list_first(&core->workers));
    uint64_t rounds = core->alerts.rounds[DRV_SCOPE_HOST];
    bench_pass(bench, 3 * SECOND);
    assert_null(core->alerts.worker);
    assert_true(core->alerts.rounds[DRV_SCOPE_HOST] > rounds);
}

/* The shell tells how its disk and its loop are. */
static void shell_says(struct bench *bench, const struct core_self *self, int seconds)
{
    struct core_event event = {.kind = CORE_EVENT_SELF, .self = *self};
    for (int i = 0; i < seconds; i++) {
        bench_event(bench, &event);
        bench_pass(bench, SECOND);
    }
}

/* What comes with the broker: tasks that wait for a type which nobody offers fire after a
 * minute, and are over once a worker does. */
static void test_default_rules_tell_of_a_type_that_nobody_offers(void **state)
{
    struct bench *bench = *state;
    assert_ok(core_add_default_alerts(bench->core));
    struct drv_spec spec = spec_of("nobody");
    submit(bench, 1, &spec, 5);
    live(bench, 10 * SECOND);
    assert_false(is_told(bench, "type_unserved")); /* they may come back until then */
    live(bench, 30 * SECOND);
    assert_true(is_told(bench, "type_unserved of type nobody is 1 (above 0)"));
    assert_true(is_told(bench, PENDING));
    assert_int_equal(bench->alert_count, 0);
    live(bench, 60 * SECOND);
    assert_true(is_told(bench, FIRING));
    assert_int_equal(bench->alert_count, 1);
    static const char counts[] = "\xa4rule\xadtype-unserved\xa8severity\xa7warning"
                                 "\xa7pending\x00\xa6"
                                 "firing\x01";
    struct drv_str status = told(bench, DRV_TOPIC_STATUS);
    assert_non_null(memmem(status.ptr, status.len, counts, sizeof counts - 1));
    worker(bench, 2, "nobody", 1);
    live(bench, 2 * SECOND);
    assert_false(is_told(bench, FIRING));
}

/* A worker in a crash loop is one alert, not one for each time. */
static void test_default_rule_tells_a_crash_loop_once(void **state)
{
    struct bench *bench = *state;
    assert_ok(core_add_default_alerts(bench->core));
    for (int i = 0; i < 3; i++) {
        worker(bench, 2, "work", 1);
        live(bench, 5 * SECOND);
        gone(bench, 2);
        live(bench, 15 * SECOND);
        assert_true(is_told(bench, "worker_lost of worker worker is 1 (above 0)"));
        assert_int_equal(bench->alert_count, 1);
    }
    worker(bench, 2, "work", 1);
    live(bench, 58 * SECOND);
    assert_true(is_told(bench, FIRING));
    live(bench, 5 * SECOND);
    assert_false(is_told(bench, FIRING));
    assert_int_equal(bench->alert_count, 2); /* its end */
}

/* A disk that fills up is told before it is full, a loop that is slow as well. */
static void test_default_rules_tell_of_disk_and_loop(void **state)
{
    struct bench *bench = *state;
    assert_ok(core_add_default_alerts(bench->core));
    shell_says(bench, &(struct core_self){.disk_percent = 90, .loop_us = 500000}, 60);
    assert_int_equal(bench->alert_count, 0);
    shell_says(bench, &(struct core_self){.disk_percent = 90.5}, 29);
    assert_int_equal(bench->alert_count, 0);
    shell_says(bench, &(struct core_self){.disk_percent = 90.5}, 3);
    assert_int_equal(bench->alert_count, 1);
    assert_true(is_told(bench, "broker_disk is 90.5 % (above 90)"));
    assert_true(is_told(bench, "\xa8"
                               "critical"));
    shell_says(bench, &(struct core_self){.disk_percent = 50, .loop_us = 600000}, 32);
    assert_true(is_told(bench, "loop is 600 ms (above 500)"));
    assert_int_equal(bench->alert_count, 2);
    shell_says(bench, &(struct core_self){.disk_percent = 50}, 62);
    assert_int_equal(bench->alert_count, 4);
    assert_false(is_told(bench, FIRING));
}

/* What became of commands and webhooks is in the status. */
static void test_status_counts_what_became_of_actions(void **state)
{
    struct bench *bench = *state;
    shell_says(
        bench,
        &(struct core_self){
            .alerts_done = 3, .alerts_failed = 2, .alerts_dropped = 5, .alerts_waiting = 1},
        1);
    assert_true(map_has(told(bench, DRV_TOPIC_STATUS), "\xa4"
                                                       "done\x03\xa6"
                                                       "failed\x02\xa7"
                                                       "dropped\x05\xa7waiting\x01"));
}

/* Told once: a later life that finds the alert in its records tells its end only. */
static void test_nothing_is_told_again_after_a_restart(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "slow", "journal > 100 clear 50");
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 1);
    come_back(bench);
    journal_ms(bench, 200);
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 1);
    assert_true(is_told(bench, FIRING));
    journal_ms(bench, 10);
    assert_int_equal(bench->alert_count, 2);
}

/* Failures are counted over five minutes. */
static void test_failures_are_counted(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "failed", "failed > 15");
    rule_add(bench, "rate", "failure_rate > 40");
    worker(bench, 2, "work", 1);
    bench_pass(bench, 2 * SECOND);
    for (uint32_t i = 0; i < 20; i++) {
        struct drv_spec spec = spec_of("work");
        submit(bench, 1, &spec, 100 + i);
        bench_turn(bench);
        struct drv_ref ref = leased(bench, 2);
        if (i % 2 == 0) {
            report_failed(bench, 2, ref, 0);
        } else {
            report_done(bench, 2, ref, "x");
        }
        bench_turn(bench);
    }
    live(bench, 2 * SECOND);
    assert_true(is_told(bench, "failure_rate is 50 % (above 40)"));
    assert_false(is_told(bench, "\xa6"
                                "failed\xa7"));
    assert_int_equal(bench->alert_count, 1);
    live(bench, 301 * SECOND);
    assert_int_equal(bench->alert_count, 2); /* forgotten */
}

/* Own rules, silences and what fires with its acknowledgement are there after a restart, and
 * nothing is told again. */
static void test_alerts_survive_a_restart(void **state)
{
    struct bench *bench = *state;
    rule_add(bench, "slow", "journal > 100 clear 50");
    assert_ok(ask(bench, DRV_ALERT_SILENCE, "other", NULL, NULL, 60000)->code);
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 1);
    assert_ok(ask(bench, DRV_ALERT_ACK, "slow", "broker", NULL, 0)->code);
    expect_restorable(bench);
    come_back(bench);
    assert_true(is_told(bench, "\xac"
                               "acknowledged\xc3"));
    assert_true(map_has(told(bench, DRV_TOPIC_ALERT_RULES), "other"));
    journal_ms(bench, 200);
    journal_ms(bench, 200);
    assert_int_equal(bench->alert_count, 1);
    journal_ms(bench, 10);
    assert_int_equal(bench->alert_count, 2);
    come_back(bench);
    assert_false(is_told(bench, FIRING));
    assert_ok(ask(bench, DRV_ALERT_REMOVE, "slow", NULL, NULL, 0)->code);
    assert_ok(ask(bench, DRV_ALERT_SILENCE, "other", NULL, NULL, 0)->code);
    come_back(bench);
    assert_false(map_has(told(bench, DRV_TOPIC_ALERT_RULES), "slow"));
    assert_false(map_has(told(bench, DRV_TOPIC_ALERT_RULES), "other"));
}

/* Rules of the configuration can be neither changed nor removed by request. */
static void test_rules_of_the_configuration_stay(void **state)
{
    struct bench *bench = *state;
    struct drv_alert_rule what = {.metric = DRV_METRIC_HOST_CPU,
                                  .comparison = DRV_ABOVE,
                                  .threshold = 50,
                                  .clear = 40,
                                  .severity = DRV_SEVERITY_INFO};
    assert_ok(core_add_alert_rule(bench->core, "host-cpu", "", &what));
    assert_ok(core_add_default_alerts(bench->core));
    assert_int_equal(ask(bench, DRV_ALERT_ADD, "host-cpu", NULL, "host_cpu > 1", 0)->code,
                     DROVER_CONFLICT);
    assert_int_equal(ask(bench, DRV_ALERT_REMOVE, "disk-full", NULL, NULL, 0)->code,
                     DROVER_DENIED);
    assert_int_equal(ask(bench, DRV_ALERT_REMOVE, "nothing", NULL, NULL, 0)->code,
                     DROVER_UNKNOWN);
    assert_int_equal(ask(bench, 77, "x", NULL, NULL, 0)->code, DROVER_UNSUPPORTED);
    core_set_full(bench->core, true);
    bench_pass(bench, 2 * SECOND);
    assert_true(is_told(bench, "disk_full is 1 (above 0)"));
    assert_ok(ask(bench, DRV_ALERT_TEST, "host-cpu", NULL, NULL, 0)->code);
    assert_int_equal(bench->alert_count, 2);
}

/* Texts of rules: what is right, and why the rest is not. */
static void test_rules_are_read(void **state)
{
    static const char *const wrong[] = {
        "",
        "cpu > 1",
        "host_cpu = 1",
        "host_cpu > x",
        "host_cpu > 90 clear 95",
        "host_cpu < 10 clear 5",
        "host_cpu > 90 for",
        "host_cpu > 90 for 2d",
        "host_cpu > 90 severity bad",
        "host_cpu > nan",
        "host_cpu > 90 sometimes yes",
    };
    struct drv_alert_rule rule;
    char name[DRV_ALERT_TEXT_MAX], subject[DRV_ALERT_TEXT_MAX];
    assert_ok(drv_alert_rule_parse("x workers < 3 for 90s clear 5 only broker severity info",
                                   &rule, name, subject, NULL));
    assert_string_equal(name, "x");
    assert_string_equal(subject, "broker");
    assert_int_equal(rule.for_ms, 90000);
    assert_int_equal(rule.comparison, DRV_BELOW);
    for (size_t i = 0; i < DRV_ARRAY_LEN(wrong); i++) {
        struct drv_problem problem = {""};
        assert_int_equal(drv_alert_condition_parse(wrong[i], &rule, subject, &problem),
                         DROVER_INVALID);
        assert_true(problem.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_machine_every_cell),
        cmocka_unit_test(test_rules_are_read),
        STORY(test_alert_fires_and_is_over),
        STORY(test_oscillation_does_not_flap),
        STORY(test_acknowledgements_and_silences_hold_actions_back),
        STORY(test_subjects_of_workers_hosts_and_queues),
        STORY(test_look_goes_on_behind_a_worker_that_left),
        STORY(test_failures_are_counted),
        STORY(test_default_rules_tell_of_a_type_that_nobody_offers),
        STORY(test_default_rule_tells_a_crash_loop_once),
        STORY(test_default_rules_tell_of_disk_and_loop),
        STORY(test_status_counts_what_became_of_actions),
        STORY(test_nothing_is_told_again_after_a_restart),
        STORY(test_alerts_survive_a_restart),
        STORY(test_rules_of_the_configuration_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
