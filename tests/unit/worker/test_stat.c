/* The numbers of the host: parsers on fixtures, and plausibility of the real ones. */
#include "test.h"

#include "stat/cgroup.h"
#include "stat/host.h"
#include "stat/net.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a tree of fixtures ---------------------------------------------------------------------
 */

static void put(const char *root, const char *path, const char *text)
{
    char name[512];
    (void)snprintf(name, sizeof name, "%s%s", root, path);
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

static int make_tree(void **state)
{
    char template[] = "/tmp/drover-stat-XXXXXX";
    *state = mkdtemp(template) == NULL ? NULL : strdup(template);
    return *state == NULL ? -1 : 0;
}

static int remove_tree(void **state)
{
    int result = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

/* ---- network --------------------------------------------------------------------------------
 */

static const char net_dev[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
    "    lo:  999999    9999    0    0    0     0          0         0   999999    9999    0 "
    "0\n"
    "  eth0: 4294967296     807    0    0    0     0          0         0    43125     485    "
    "0\n"
    "wlan0:100 2 3 4 5 6 7 8 200 3 0 0 0 0 0 0\n"
    "  lo2: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";

/* All interfaces but lo are summed, with or without a space behind the colon. */
static void test_net_sums_all_but_lo(void **state)
{
    struct stat_net net;
    stat_net_parse(net_dev, &net);
    assert_int_equal(net.bytes_recv, 4294967296 + 100 + 1);
    assert_int_equal(net.packets_recv, 807 + 2 + 1);
    assert_int_equal(net.bytes_sent, 43125 + 200 + 1);
    assert_int_equal(net.packets_sent, 485 + 3 + 1);
}

/* Lines that are no interface are skipped, however they end. */
static void test_net_skips_what_it_does_not_know(void **state)
{
    struct stat_net net;
    stat_net_parse("", &net);
    assert_int_equal(net.bytes_recv, 0);
    stat_net_parse("eth0: 1 2 3\nnonsense\neth1: 5 1 0 0 0 0 0 0 6 1", &net);
    assert_int_equal(net.bytes_recv, 5);
    assert_int_equal(net.bytes_sent, 6);
}

/* The file is found below the root; without it the caller learns so. */
static void test_net_reads_below_the_root(void **state)
{
    struct stat_net net;
    assert_int_equal(stat_net_read(*state, &net), DROVER_UNKNOWN);
    put(*state, "/proc/net/dev", net_dev);
    assert_ok(stat_net_read(*state, &net));
    assert_int_equal(net.packets_sent, 489);
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

/* Share of busy ticks between two samples; odd samples give sane numbers. */
static void test_cpu_percent_between_two_samples(void **state)
{
    assert_true(stat_host_cpu_percent(100, 1000, 150, 1200, 7) == 25);
    assert_true(stat_host_cpu_percent(100, 1000, 100, 1200, 7) == 0);
    assert_true(stat_host_cpu_percent(100, 1000, 100, 1000, 7) == 7);
    assert_true(stat_host_cpu_percent(100, 1000, 50, 1100, 7) == 0);
    assert_true(stat_host_cpu_percent(100, 1000, 50, 900, 7) == 7);
    assert_true(stat_host_cpu_percent(0, 0, 300, 200, 7) == 100);
}

/* Directories with a number for a name are processes. */
static void test_process_count_counts_numbers(void **state)
{
    assert_int_equal(stat_host_process_count(*state), 0);
    put(*state, "/proc/1/stat", "");
    put(*state, "/proc/4711/stat", "");
    put(*state, "/proc/meminfo", "");
    assert_int_equal(stat_host_process_count(*state), 2);
}

/* A file system that is not there uses nothing. */
static void test_disk_percent_of_nothing_is_zero(void **state)
{
    assert_true(stat_host_disk_percent("/nowhere/at/all") == 0);
    double used = stat_host_disk_percent("/");
    assert_true(used > 0 && used <= 100);
}

/* The real numbers of this host are plausible. */
static void test_host_numbers_are_plausible(void **state)
{
    struct stat_host *host = NULL;
    struct drv_host numbers;
    assert_ok(stat_host_new(&host));
    stat_host_read(host, &numbers);
    assert_true(numbers.cpu_percent >= 0 && numbers.cpu_percent <= 100);
    assert_true(numbers.memory_total > 1024 * 1024);
    assert_in_range(numbers.memory_used, 1, numbers.memory_total);
    assert_true(numbers.memory_percent > 0 && numbers.memory_percent <= 100);
    assert_true(numbers.disk_percent > 0 && numbers.disk_percent <= 100);
    assert_true(numbers.process_count >= 1);
    assert_true(numbers.cpu_count >= 1);
    assert_true(numbers.uptime_ms > 0);
    assert_true(numbers.load1 >= 0);
    stat_host_destroy(&host);
    assert_null(host);
}

int main(void)
{
#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net_sums_all_but_lo),
        cmocka_unit_test(test_net_skips_what_it_does_not_know),
        WITH_TREE(test_net_reads_below_the_root),
        WITH_TREE(test_cgroup_without_files_sets_no_limit),
        WITH_TREE(test_cgroup_v2_takes_the_least_of_all_ancestors),
        WITH_TREE(test_cgroup_v2_of_a_container_is_at_the_root),
        WITH_TREE(test_cgroup_v1_reads_the_cpu_controller),
        WITH_TREE(test_usable_cpus_follow_the_quota),
        cmocka_unit_test(test_cpu_percent_between_two_samples),
        WITH_TREE(test_process_count_counts_numbers),
        cmocka_unit_test(test_disk_percent_of_nothing_is_zero),
        cmocka_unit_test(test_host_numbers_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
