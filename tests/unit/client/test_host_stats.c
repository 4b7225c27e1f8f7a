/* The numbers of a host out of the documents that have them. */
#include "test.h"

#include <drover/operate.h>

static drover_status read_from(const char *json, drover_host_stats *out_stats)
{
    drover_value *worker = NULL;
    char why[256] = "";
    assert_ok(drover_value_from_json(json, strlen(json), &worker, why, sizeof(why)));
    drover_status status = drover_host_stats_read(worker, out_stats);
    drover_value_destroy(&worker);
    return status;
}

/* Every key of the document has its field. */
static void test_host_stats_are_read(void **state)
{
    drover_host_stats stats = DROVER_HOST_STATS_INIT;
    assert_ok(read_from("{\"name\":\"w\",\"stats\":{\"cpu_percent\":12.5,\"memory_percent\":3,"
                        "\"disk_percent\":4.25,\"process_count\":5,\"load1\":0.5,"
                        "\"bytes_sent\":18446744073709551615,\"bytes_recv\":7,"
                        "\"packets_sent\":8,\"packets_recv\":9,\"memory_total\":10,"
                        "\"memory_used\":11,\"cpu_count\":12,\"uptime_ms\":13,\"new\":14}}",
                        &stats));
    assert_true(stats.cpu_percent == 12.5 && stats.memory_percent == 3);
    assert_true(stats.disk_percent == 4.25 && stats.load1 == 0.5);
    assert_int_equal(stats.process_count, 5);
    assert_true(stats.bytes_sent == UINT64_MAX);
    assert_int_equal(stats.bytes_recv, 7);
    assert_int_equal(stats.packets_sent, 8);
    assert_int_equal(stats.packets_recv, 9);
    assert_int_equal(stats.memory_total, 10);
    assert_int_equal(stats.memory_used, 11);
    assert_int_equal(stats.cpu_count, 12);
    assert_int_equal(stats.uptime_ms, 13);
}

/* What is not there, or of another type, is 0. */
static void test_host_stats_that_are_missing_are_zero(void **state)
{
    drover_host_stats stats = DROVER_HOST_STATS_INIT;
    stats.load1 = 7;
    assert_ok(read_from("{\"stats\":{\"cpu_percent\":\"x\",\"process_count\":-1}}", &stats));
    assert_true(stats.cpu_percent == 0 && stats.load1 == 0);
    assert_int_equal(stats.process_count, 0);
}

/* A worker without them, a value that is no worker, a struct of another size. */
static void test_host_stats_that_are_none(void **state)
{
    drover_host_stats stats = DROVER_HOST_STATS_INIT;
    stats.load1 = 7;
    assert_int_equal(read_from("{\"name\":\"w\"}", &stats), DROVER_UNKNOWN);
    assert_int_equal(read_from("{\"stats\":[1]}", &stats), DROVER_UNKNOWN);
    assert_int_equal(read_from("[1]", &stats), DROVER_INVALID);
    assert_int_equal(drover_host_stats_read(NULL, &stats), DROVER_INVALID);
    assert_true(stats.load1 == 7);
    stats.size = 4;
    assert_int_equal(read_from("{\"stats\":{}}", &stats), DROVER_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_stats_are_read),
        cmocka_unit_test(test_host_stats_that_are_missing_are_zero),
        cmocka_unit_test(test_host_stats_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
