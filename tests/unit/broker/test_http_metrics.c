/* The status document as Prometheus' text. */
#include "test.h"

#include "metrics.h"

#include <drover/value.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *metrics_of(const char *json)
{
    drover_value *value = NULL;
    struct drv_buffer out;
    const void *bytes = NULL;
    size_t len = 0;
    uint8_t *text = NULL;
    assert_int_equal(drover_value_from_json(json, strlen(json), &value, NULL, 0), DROVER_OK);
    drover_value_bytes(value, &bytes, &len);
    drv_buffer_init(&out);
    assert_int_equal(metrics_write(drv_view_of(bytes, len), &out), DROVER_OK);
    drover_value_destroy(&value);
    assert_int_equal(drv_buffer_detach(&out, &text, &len), DROVER_OK);
    return (char *)text;
}

/* Counters and states become samples in base units, each family with its head. */
static void test_metrics_are_families_with_heads(void **state)
{
    (void)state;
    char *text = metrics_of("{\"broker\":{\"version\":\"1\",\"uptime_ms\":2500},"
                            "\"tasks\":{\"submitted\":7,\"succeeded\":5,\"running\":2},"
                            "\"queues\":[{\"name\":\"a\",\"depth\":3,\"paused\":true},"
                            "{\"name\":\"b\",\"depth\":4,\"paused\":false}]}");
    assert_non_null(strstr(text, "\ndrover_uptime_seconds 2.5\n"));
    assert_non_null(strstr(text, "# TYPE drover_submitted_total counter\n"
                                 "drover_submitted_total 7.0\n"));
    assert_non_null(strstr(text, "drover_tasks{state=\"running\"} 2.0\n"));
    assert_non_null(strstr(text, "drover_tasks_ended_total{state=\"succeeded\"} 5.0\n"));
    assert_non_null(strstr(text, "# TYPE drover_queue_depth gauge\n"
                                 "drover_queue_depth{queue=\"a\"} 3.0\n"
                                 "drover_queue_depth{queue=\"b\"} 4.0\n"));
    assert_non_null(strstr(text, "drover_queue_paused{queue=\"a\"} 1.0\n"));
    assert_null(strstr(text, "drover_worker_slots")); /* no worker, no family */
    free(text);
}

/* Text of peers cannot leave its label. */
static void test_metrics_labels_are_escaped(void **state)
{
    (void)state;
    char *text = metrics_of("{\"broker\":{},\"tasks\":{},\"workers\":[{\"name\":\"w\","
                            "\"host\":\"a\\\"} 1\\nevil \\\\\",\"slots\":4}]}");
    assert_non_null(strstr(text, "drover_worker_slots{worker=\"w\",host=\"a\\\"} 1\\nevil "
                                 "\\\\\"} 4.0\n"));
    free(text);
}

/* Alerts are counted by rule, severity and state: subjects, of which there may be any number,
 * make no series. What became of the actions stands beside them. */
static void test_metrics_count_alerts_by_rule(void **state)
{
    (void)state;
    char *text = metrics_of(
        "{\"broker\":{\"disk_percent\":25},\"tasks\":{},\"alert_counts\":["
        "{\"rule\":\"cpu\",\"severity\":\"warning\",\"pending\":2,\"firing\":"
        "3}],\"alerts\":[{\"rule\":\"cpu\",\"subject\":\"host-1\"}],"
        "\"alert_actions\":{\"done\":4,\"failed\":5,\"dropped\":6,"
        "\"waiting\":7},\"alerts_dropped\":8}");
    assert_non_null(strstr(text, "# TYPE drover_alerts gauge\n"
                                 "drover_alerts{rule=\"cpu\",severity=\"warning\",state="
                                 "\"pending\"} 2.0\n"
                                 "drover_alerts{rule=\"cpu\",severity=\"warning\",state="
                                 "\"firing\"} 3.0\n"));
    assert_null(strstr(text, "host-1"));
    assert_non_null(strstr(text, "\ndrover_alert_actions_done_total 4.0\n"));
    assert_non_null(strstr(text, "\ndrover_alert_actions_failed_total 5.0\n"));
    assert_non_null(strstr(text, "\ndrover_alert_actions_dropped_total 6.0\n"));
    assert_non_null(strstr(text, "\ndrover_alert_actions_waiting 7.0\n"));
    assert_non_null(strstr(text, "\ndrover_alerts_dropped_total 8.0\n"));
    assert_non_null(strstr(text, "\ndrover_disk_ratio 0.25\n"));
    free(text);
}

struct table {
    char *readme;
    size_t rows;
    FILE *wanted; /* all rows, as they should be */
};

static void expect_row(void *context, const struct metrics_family *family)
{
    struct table *table = context;
    char row[512];
    (void)snprintf(row, sizeof row, "\n| `%s` | %s | %s | %s |\n", family->name, family->type,
                   family->labels, family->help);
    (void)fputs(row + 1, table->wanted);
    if (strstr(table->readme, row) == NULL) {
        print_message("missing: %s", row + 1);
    }
    table->rows++;
}

/* The table of all metrics in the README is what the code has: no more, no less. */
static void test_metrics_table_of_the_readme_is_that_of_the_code(void **state)
{
    (void)state;
    char path[4096];
    char *wanted = NULL;
    size_t wanted_len = 0, len;
    const char *source = getenv("DROVER_SOURCE_DIR");
    assert_non_null(source);
    (void)snprintf(path, sizeof path, "%s/broker/http/README.md", source);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    struct table table = {.readme = calloc(1, 1 << 18),
                          .wanted = open_memstream(&wanted, &wanted_len)};
    assert_non_null(table.readme);
    assert_non_null(table.wanted);
    len = fread(table.readme, 1, (1 << 18) - 1, file);
    assert_true(len > 0);
    (void)fclose(file);
    metrics_describe(expect_row, &table);
    (void)fclose(table.wanted);
    size_t told = 0;
    for (const char *at = table.readme; (at = strstr(at, "\n| `drover_")) != NULL; at++) {
        told++;
    }
    assert_int_equal(told, table.rows);
    assert_non_null(strstr(table.readme, wanted));
    free(wanted);
    free(table.readme);
}

/* Counts and sums go on when no attempt was measured lately. */
static void test_metrics_summaries_have_sum_and_count(void **state)
{
    (void)state;
    char *text = metrics_of("{\"broker\":{},\"tasks\":{},\"queues\":[{\"name\":\"a\",\"run\":{"
                            "\"p50_ms\":2},\"run_total\":3,\"run_sum_ms\":4500},"
                            "{\"name\":\"b\",\"run_total\":1,\"run_sum_ms\":500}]}");
    assert_non_null(strstr(text,
                           "# TYPE drover_queue_run_seconds summary\n"
                           "drover_queue_run_seconds{queue=\"a\",quantile=\"0.5\"} 0.002\n"
                           "drover_queue_run_seconds_sum{queue=\"a\"} 4.5\n"
                           "drover_queue_run_seconds_count{queue=\"a\"} 3.0\n"
                           "drover_queue_run_seconds_sum{queue=\"b\"} 0.5\n"
                           "drover_queue_run_seconds_count{queue=\"b\"} 1.0\n"));
    free(text);
}

/* What is no document is refused. */
static void test_metrics_of_no_map_are_refused(void **state)
{
    (void)state;
    struct drv_buffer out;
    drv_buffer_init(&out);
    assert_int_equal(metrics_write(drv_view_of("\x07", 1), &out), DROVER_MALFORMED);
    assert_int_not_equal(metrics_write(drv_view_of("\xc1", 1), &out), DROVER_OK);
    drv_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_are_families_with_heads),
        cmocka_unit_test(test_metrics_labels_are_escaped),
        cmocka_unit_test(test_metrics_count_alerts_by_rule),
        cmocka_unit_test(test_metrics_summaries_have_sum_and_count),
        cmocka_unit_test(test_metrics_table_of_the_readme_is_that_of_the_code),
        cmocka_unit_test(test_metrics_of_no_map_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
