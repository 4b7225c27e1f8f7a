/* Host, network and control groups: readings of fixtures, and plausibility of the real ones. */
#include "stat_fixture.h"

#include "stat/cgroup.h"
#include "stat/host.h"
#include "stat/net.h"
#include "stat/rate.h"
#include "stat/text.h"

enum { SECOND = 1000000 };

/* ---- texts ----------------------------------------------------------------------------------
 */

/* What is not UTF-8 is replaced, byte by byte; characters are not cut in two. */
static void test_text_becomes_utf8(void **state)
{
    char text[16];
    assert_string_equal(stat_text_utf8("a\xff"
                                       "b",
                                       3, text, sizeof text),
                        "a\xef\xbf\xbd"
                        "b");
    assert_string_equal(stat_text_utf8("\xc3\xa4\xc3\xa4", 4, text, 4), "\xc3\xa4");
    assert_string_equal(stat_text_utf8("ab\0cd", 5, text, sizeof text), "ab");
    assert_string_equal(stat_text_utf8("", 0, text, sizeof text), "");
}

/* Rates and percentages say when they cannot be told. */
static void test_rates_without_two_samples_are_unknown(void **state)
{
    assert_true(stat_rate(100, 300, 2 * SECOND) == 100);
    assert_false(stat_is_known(stat_rate(100, 300, 0)));
    assert_false(stat_is_known(stat_rate(100, 300, -5)));
    assert_false(stat_is_known(stat_rate(300, 100, SECOND)));
    assert_true(stat_percent(1, 4) == 25);
    assert_true(stat_percent(5, 4) == 100);
    assert_false(stat_is_known(stat_percent(0, 0)));
}

/* ---- network --------------------------------------------------------------------------------
 */

#define NET_HEAD                                                                          \
    "Inter-|   Receive                                                |  Transmit\n"      \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets " \
    "errs\n"

static const char net_dev[] = NET_HEAD
    "    lo:  999999    9999    0    0    0     0          0         0   999999    "
    "9999    0 0\n"
    "  eth0: 4294967296     807    0    0    0     0          0         0    43125     "
    "485    0\n"
    "wlan0:100 2 3 4 5 6 7 8 200 3 0 0 0 0 0 0\n"
    "  lo2: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";

/* All interfaces but lo are summed, with or without a space behind the colon. */
static void test_net_sums_all_but_lo(void **state)
{
    struct stat_net net;
    put(*state, "/proc/net/dev", net_dev);
    stat_net_init(&net, *state);
    stat_net_read(&net, SECOND);
    assert_int_equal(net.total.bytes_recv, 4294967296 + 100 + 1);
    assert_int_equal(net.total.packets_recv, 807 + 2 + 1);
    assert_int_equal(net.total.bytes_sent, 43125 + 200 + 1);
    assert_int_equal(net.total.packets_sent, 485 + 3 + 1);
    assert_int_equal(net.count, 4);
    stat_net_fini(&net);
}

/* Lines that are no interface are skipped, however they end; so is a file that is not there. */
static void test_net_skips_what_it_does_not_know(void **state)
{
    struct stat_net net;
    stat_net_init(&net, *state);
    stat_net_read(&net, 0);
    assert_int_equal(net.count, 0);
    put(*state, "/proc/net/dev",
        "eth0: 1 2 3\nnonsense\n:1 2 3 4 5 6 7 8 9 10\n"
        "a-name-of-more-than-sixteen: 9 9 9 9 9 9 9 9 9 9\n"
        "eth1: 5 1 0 0 0 0 0 0 6 1");
    stat_net_read(&net, SECOND);
    assert_int_equal(net.count, 1);
    assert_int_equal(net.total.bytes_recv, 5);
    assert_int_equal(net.total.bytes_sent, 6);
    stat_net_fini(&net);
}

/* A rate needs two samples of one interface; counters that go backwards have none. */
static void test_net_rates_need_two_samples(void **state)
{
    struct stat_net net;
    put(*state, "/proc/net/dev", "a: 100 1 0 0 0 0 0 0 50 2\n");
    stat_net_init(&net, *state);
    stat_net_read(&net, SECOND);
    assert_false(stat_is_known(net.rates.bytes_recv));
    assert_false(stat_is_known(net.interfaces[0].rates.bytes_sent));
    put(*state, "/proc/net/dev", "b: 7 1 0 0 0 0 0 0 7 1\na: 300 5 0 0 0 0 0 0 50 4\n");
    stat_net_read(&net, 3 * SECOND);
    assert_true(net.interfaces[1].rates.bytes_recv == 100);
    assert_true(net.interfaces[1].rates.packets_sent == 1);
    assert_true(net.interfaces[1].rates.bytes_sent == 0);
    assert_false(stat_is_known(net.interfaces[0].rates.bytes_recv));
    assert_true(net.rates.bytes_recv == 103.5);
    put(*state, "/proc/net/dev", "a: 10 1 0 0 0 0 0 0 50 4\n");
    stat_net_read(&net, 4 * SECOND);
    assert_false(stat_is_known(net.interfaces[0].rates.bytes_recv));
    assert_false(stat_is_known(net.rates.bytes_recv));
    stat_net_read(&net, 4 * SECOND);
    assert_false(stat_is_known(net.rates.bytes_sent));
    stat_net_fini(&net);
}

/* The keys of the details are those of the protocol. */
static void test_net_details_have_their_keys(void **state)
{
    struct stat_net net;
    put(*state, "/proc/net/dev", "lo: 9 9 0 0 0 0 0 0 9 9\nb: 7 1 0 0 0 0 0 0 8 2\n");
    stat_net_init(&net, *state);
    stat_net_read(&net, SECOND);
    stat_net_read(&net, 2 * SECOND);
    assert_details(
        stat_net_write(&net, &details),
        "{\"net\":{\"bytes_sent\":8,\"bytes_recv\":7,\"packets_sent\":2,\"packets_recv\":1,"
        "\"bytes_sent_per_s\":0,\"bytes_recv_per_s\":0,\"packets_sent_per_s\":0,"
        "\"packets_recv_per_s\":0,\"interfaces\":["
        "{\"name\":\"lo\",\"bytes_sent\":9,\"bytes_recv\":9,\"packets_sent\":9,"
        "\"packets_recv\":9,\"bytes_sent_per_s\":0,\"bytes_recv_per_s\":0,"
        "\"packets_sent_per_s\":0,\"packets_recv_per_s\":0},"
        "{\"name\":\"b\",\"bytes_sent\":8,\"bytes_recv\":7,\"packets_sent\":2,"
        "\"packets_recv\":1,\"bytes_sent_per_s\":0,\"bytes_recv_per_s\":0,"
        "\"packets_sent_per_s\":0,\"packets_recv_per_s\":0}],\"truncated\":false}}");
    stat_net_fini(&net);
}

/* ---- control groups -------------------------------------------------------------------------
 */

/* No group, no quota. */
static void test_cgroup_without_files_sets_no_limit(void **state)
{
    assert_true(stat_cgroup_cpus(*state) == 0);
    put(*state, "/proc/self/cgroup", "0::/user\n");
    assert_true(stat_cgroup_cpus(*state) == 0);
    put(*state, "/sys/fs/cgroup/user/cpu.max", "max 100000\n");
    assert_true(stat_cgroup_cpus(*state) == 0);
}

/* Version 2: the least quota on the way to the root is in force. */
static void test_cgroup_v2_takes_the_least_of_all_ancestors(void **state)
{
    put(*state, "/proc/self/cgroup", "0::/a/b/c\n");
    put(*state, "/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
    put(*state, "/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    assert_true(stat_cgroup_cpus(*state) == 1.5);
}

/* Inside a container the mounted root is the group. */
static void test_cgroup_v2_of_a_container_is_at_the_root(void **state)
{
    put(*state, "/proc/self/cgroup", "0::/../../elsewhere\n");
    put(*state, "/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_true(stat_cgroup_cpus(*state) == 0.5);
}

/* Version 1: the group of the cpu controller, whichever others share its line. */
static void test_cgroup_v1_reads_the_cpu_controller(void **state)
{
    put(*state, "/proc/self/cgroup",
        "5:cpuset:/x\n4:cpu,cpuacct:/docker/1\n3:memory:/y\n1:name=systemd:/\n");
    put(*state, "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "300000\n");
    put(*state, "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    put(*state, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put(*state, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(stat_cgroup_cpus(*state) == 3);
    put(*state, "/proc/self/cgroup", "5:cpuset:/docker/1\n");
    assert_true(stat_cgroup_cpus(*state) == 0);
}

/* Version 2: the limit in force is an ancestor's, and so is the use beside it. */
static void test_cgroup_v2_tells_limits_and_use(void **state)
{
    struct stat_cgroup group;
    put(*state, "/proc/self/cgroup", "0::/slice/job\n");
    put(*state, "/sys/fs/cgroup/slice/job/memory.current", "1000\n");
    put(*state, "/sys/fs/cgroup/slice/job/memory.max", "max\n");
    put(*state, "/sys/fs/cgroup/slice/memory.current", "3000\n");
    put(*state, "/sys/fs/cgroup/slice/memory.max", "4000\n");
    put(*state, "/sys/fs/cgroup/slice/job/pids.current", "12\n");
    put(*state, "/sys/fs/cgroup/slice/job/pids.max", "max\n");
    put(*state, "/sys/fs/cgroup/slice/job/cpu.max", "200000 100000\n");
    put(*state, "/sys/fs/cgroup/slice/job/cpu.stat",
        "usage_usec 1000000\nuser_usec 1\nnr_throttled 3\nthrottled_usec 70\n");
    stat_cgroup_init(&group, *state);
    stat_cgroup_read(&group, SECOND);
    assert_false(stat_is_known(group.cpu_percent));
    put(*state, "/sys/fs/cgroup/slice/job/cpu.stat",
        "usage_usec 4000000\nnr_throttled 4\nthrottled_usec 80\n");
    stat_cgroup_read(&group, 3 * SECOND);
    assert_details(stat_cgroup_write(&group, &details),
                   "{\"cgroup\":{\"version\":2,\"cpus\":2,\"cpu_percent\":150,"
                   "\"cpu_us\":4000000,\"throttled\":4,\"throttled_us\":80,"
                   "\"memory\":{\"used\":3000,\"limit\":4000,\"percent\":75},"
                   "\"pids\":{\"used\":12}}}");
}

/* Version 1: the same from its own files; the largest number of pages is no limit. */
static void test_cgroup_v1_tells_limits_and_use(void **state)
{
    struct stat_cgroup group;
    put(*state, "/proc/self/cgroup", "4:cpu,cpuacct:/d\n3:memory:/d/1\n2:pids:/d\n0::/\n");
    put(*state, "/sys/fs/cgroup/memory/d/1/memory.limit_in_bytes", "9223372036854771712\n");
    put(*state, "/sys/fs/cgroup/memory/d/1/memory.usage_in_bytes", "500\n");
    put(*state, "/sys/fs/cgroup/memory/d/memory.limit_in_bytes", "9223372036854771712\n");
    put(*state, "/sys/fs/cgroup/memory/d/memory.usage_in_bytes", "700\n");
    put(*state, "/sys/fs/cgroup/pids/d/pids.max", "100\n");
    put(*state, "/sys/fs/cgroup/pids/d/pids.current", "25\n");
    put(*state, "/sys/fs/cgroup/cpu,cpuacct/d/cpuacct.usage", "5000000000\n");
    put(*state, "/sys/fs/cgroup/cpu,cpuacct/d/cpu.stat",
        "nr_periods 9\nnr_throttled 2\nthrottled_time 3000\n");
    stat_cgroup_init(&group, *state);
    stat_cgroup_read(&group, SECOND);
    assert_details(stat_cgroup_write(&group, &details),
                   "{\"cgroup\":{\"version\":1,\"cpu_percent\":null,\"cpu_us\":5000000,"
                   "\"throttled\":2,\"throttled_us\":3,\"memory\":{\"used\":500},"
                   "\"pids\":{\"used\":25,\"limit\":100,\"percent\":25}}}");
}

/* Without control groups there is nothing to tell. */
static void test_cgroup_without_any_tells_so(void **state)
{
    struct stat_cgroup group;
    stat_cgroup_init(&group, *state);
    stat_cgroup_read(&group, SECOND);
    assert_details(stat_cgroup_write(&group, &details), "{\"cgroup\":{\"version\":0}}");
}

/* A quota lowers the usable processors, rounded up, never below one. */
static void test_usable_cpus_follow_the_quota(void **state)
{
    uint32_t all = stat_host_usable_cpus(*state);
    assert_true(all >= 1);
    put(*state, "/proc/self/cgroup", "0::/\n");
    put(*state, "/sys/fs/cgroup/cpu.max", "10000 100000\n");
    assert_int_equal(stat_host_usable_cpus(*state), 1);
    put(*state, "/sys/fs/cgroup/cpu.max", "900000000 100000\n");
    assert_int_equal(stat_host_usable_cpus(*state), all);
}

/* ---- host -----------------------------------------------------------------------------------
 */

static struct stat_ticks ticks(uint64_t busy, uint64_t all)
{
    return (struct stat_ticks){busy, all};
}

/* Share of busy ticks between two samples; odd samples give sane numbers. */
static void test_cpu_percent_between_two_samples(void **state)
{
    assert_true(stat_host_cpu_percent(ticks(100, 1000), ticks(150, 1200), 7) == 25);
    assert_true(stat_host_cpu_percent(ticks(100, 1000), ticks(100, 1200), 7) == 0);
    assert_true(stat_host_cpu_percent(ticks(100, 1000), ticks(100, 1000), 7) == 7);
    assert_true(stat_host_cpu_percent(ticks(100, 1000), ticks(50, 1100), 7) == 0);
    assert_true(stat_host_cpu_percent(ticks(100, 1000), ticks(50, 900), 7) == 7);
    assert_true(stat_host_cpu_percent(ticks(0, 0), ticks(300, 200), 7) == 100);
}

/* The first reading tells what happened since the start; processors that come and go are told
 * as unknown; guests are not counted twice; waiting for disks is idleness. */
static void test_host_cpu_per_core(void **state)
{
    struct stat_host host;
    put(*state, "/proc/stat",
        "cpu  100 0 0 900 0 0 0 0 50 0\ncpu0 50 0 0 450 0 0 0 0 50 0\n"
        "cpu2 50 0 0 450 0 0 0 0 0 0\nintr 1 2 3\n");
    stat_host_init(&host, *state);
    assert_true(host.cpu_percent == 0);
    put(*state, "/proc/stat",
        "cpu  150 10 20 1000 100 5 5 10 90 0\ncpu0 100 0 0 450 50 0 0 0 90 0\n"
        "cpu1 5 0 0 5 0 0 0 0\ncpu2 50 0 0 550 0 0 0 0 0 0\nintr 1 2 3\n");
    stat_host_read(&host);
    assert_true(host.cpu_percent == 100.0 * 100 / 300);
    assert_int_equal(host.core_count, 3);
    assert_int_equal(host.cpu_count, 3);
    assert_true(host.core_percent[0] == 50);
    assert_false(stat_is_known(host.core_percent[1]));
    assert_true(host.core_percent[2] == 0);
    put(*state, "/proc/stat", "cpu  150 10 20 1000 100 5 5 10 90 0\ncpu0 100 0 0 450 50\n");
    stat_host_read(&host);
    assert_true(host.cpu_percent == 100.0 * 100 / 300);
    assert_int_equal(host.cpu_count, 1);
    assert_false(stat_is_known(host.core_percent[2]));
    stat_host_fini(&host);
}

/* Memory, swap, load and uptime as the kernel writes them. */
static void test_host_details_have_their_keys(void **state)
{
    struct stat_host host;
    put(*state, "/proc/stat", "cpu  1 0 0 9\ncpu0 1 0 0 9\n");
    stat_host_init(&host, *state);
    put(*state, "/proc/stat", "cpu  2 0 0 11\ncpu0 2 0 0 11\n");
    put(*state, "/proc/meminfo",
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"
        "Buffers:          10 kB\nCached:          200 kB\nSwapTotal:        50 kB\n"
        "SwapFree:         20 kB\n");
    put(*state, "/proc/loadavg", "0.25 1.50 10.75 1/300 4711\n");
    put(*state, "/proc/uptime", "12.5 99.9\n");
    stat_host_read(&host);
    assert_details(stat_host_write(&host, &details),
                   "{\"host\":{\"core_percent\":[33.33],\"cpu_count\":1,\"load1\":0.25,"
                   "\"load5\":1.5,\"load15\":10.75,\"memory_total\":1024000,"
                   "\"memory_used\":614400,\"memory_free\":102400,\"memory_available\":409600,"
                   "\"memory_cached\":204800,\"swap_total\":51200,\"swap_used\":30720,"
                   "\"uptime_ms\":12500}}");
    stat_host_fini(&host);
}

/* Without any file everything is 0, and nothing fails. */
static void test_host_without_files_is_zero(void **state)
{
    struct stat_host host;
    stat_host_init(&host, *state);
    stat_host_read(&host);
    assert_true(host.cpu_percent == 0 && host.load1 == 0);
    assert_int_equal(host.memory_total + host.swap_used + host.uptime_ms + host.core_count, 0);
    stat_host_fini(&host);
}

/* The real numbers of this host are plausible. */
static void test_host_numbers_are_plausible(void **state)
{
    struct stat_host host;
    stat_host_init(&host, "");
    stat_host_read(&host);
    assert_true(host.cpu_percent >= 0 && host.cpu_percent <= 100);
    assert_true(host.memory_total > 1024 * 1024);
    assert_in_range(host.memory_used, 1, host.memory_total);
    assert_true(host.cpu_count >= 1 && host.core_count >= host.cpu_count);
    assert_true(host.uptime_ms > 0);
    assert_true(host.load1 >= 0);
    stat_host_fini(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_becomes_utf8),
        cmocka_unit_test(test_rates_without_two_samples_are_unknown),
        WITH_TREE(test_net_sums_all_but_lo),
        WITH_TREE(test_net_skips_what_it_does_not_know),
        WITH_TREE(test_net_rates_need_two_samples),
        WITH_TREE(test_net_details_have_their_keys),
        WITH_TREE(test_cgroup_without_files_sets_no_limit),
        WITH_TREE(test_cgroup_v2_takes_the_least_of_all_ancestors),
        WITH_TREE(test_cgroup_v2_of_a_container_is_at_the_root),
        WITH_TREE(test_cgroup_v1_reads_the_cpu_controller),
        WITH_TREE(test_cgroup_v2_tells_limits_and_use),
        WITH_TREE(test_cgroup_v1_tells_limits_and_use),
        WITH_TREE(test_cgroup_without_any_tells_so),
        WITH_TREE(test_usable_cpus_follow_the_quota),
        cmocka_unit_test(test_cpu_percent_between_two_samples),
        WITH_TREE(test_host_cpu_per_core),
        WITH_TREE(test_host_details_have_their_keys),
        WITH_TREE(test_host_without_files_is_zero),
        cmocka_unit_test(test_host_numbers_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
