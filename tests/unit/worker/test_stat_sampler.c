/* The sampler: groups as asked for, samples from its thread, bounds and cost. */
#include "stat_fixture.h"

#include "stat/process.h"
#include "stat/sampler.h"

#include <errno.h>
#include <time.h>

/* ---- groups ---------------------------------------------------------------------------------
 */

static struct stat_groups groups_of(const char *text)
{
    struct stat_groups groups;
    struct drv_problem problem = {""};
    assert_ok(stat_groups_parse(text, &groups, &problem));
    return groups;
}

/* Each group by its name, all and none. */
static void test_groups_are_chosen_by_name(void **state)
{
    struct stat_groups groups = groups_of("host,cgroup");
    assert_true(groups.host && groups.cgroup && !groups.net && !groups.disk);
    assert_int_equal(groups.processes, 0);
    assert_true(stat_groups_is_none(&(struct stat_groups){0}));
    groups = groups_of("none");
    assert_true(stat_groups_is_none(&groups));
    groups = groups_of("all");
    assert_true(groups.host && groups.net && groups.disk && groups.cgroup && groups.executors);
    assert_int_equal(groups.processes, STAT_PROCESSES_TOP);
    groups = groups_of("processes");
    assert_int_equal(groups.processes, STAT_PROCESSES_TOP);
    assert_false(groups.host);
    groups = groups_of("processes:all");
    assert_int_equal(groups.processes, SIZE_MAX);
    groups = groups_of("all,processes:25");
    assert_int_equal(groups.processes, 25);
    assert_true(groups.net);
}

/* What is no group is named in one line. */
static void test_groups_that_are_none(void **state)
{
    static const char *const texts[] = {"",
                                        "gpu",
                                        "host,",
                                        ",host",
                                        "host net",
                                        "Host",
                                        "none,host",
                                        "host,none",
                                        "processes:0",
                                        "processes:",
                                        "processes:1001",
                                        "processes:many",
                                        "host:5",
                                        "all:5",
                                        "hostt",
                                        "processes:-1",
                                        "a-word-that-is-longer-than-any-group-could-ever-be"};
    struct stat_groups groups;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct drv_problem problem = {""};
        assert_int_equal(stat_groups_parse(texts[i], &groups, &problem), DROVER_INVALID);
        assert_int_equal(strncmp(problem.text, "--stats ", 8), 0);
        assert_null(strchr(problem.text, '\n'));
    }
}

/* ---- samples --------------------------------------------------------------------------------
 */

static void fill_tree(const char *root)
{
    put(root, "/proc/stat", "cpu  1 0 0 9\ncpu0 1 0 0 9\n");
    put(root, "/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 750 kB\n");
    put(root, "/proc/loadavg", "0.25 1.50 10.75 1/300 4711\n");
    put(root, "/proc/uptime", "12.5 99.9\n");
    put(root, "/proc/net/dev", "eth0: 100 1 0 0 0 0 0 0 50 2\n");
    put(root, "/proc/self/mountinfo", "26 1 254:0 / / rw - ext4 /dev/vda1 rw\n");
    put(root, "/proc/self/cgroup", "0::/\n");
    put(root, "/proc/sys/kernel/random/boot_id", "the-boot\n");
    put_process(root, 7, 1, "one", 1, 1, 1);
    put_process(root, 8, 1, "two", 1, 1, 1);
}

static int ask_healthy(const char *path, struct statvfs *out_numbers)
{
    *out_numbers = (struct statvfs){
        .f_frsize = 1024, .f_blocks = 100, .f_bfree = 40, .f_bavail = 20};
    return 0;
}

static struct stat_sampler *sampler_of(const char *root, const char *groups,
                                       int64_t interval_us, stat_disk_ask_fn ask)
{
    struct stat_sampler *sampler = NULL;
    const struct stat_sampler_config config = {
        .root = root, .groups = groups_of(groups), .interval_us = interval_us, .ask = ask};
    assert_ok(stat_sampler_new(&config, &sampler));
    assert_ok(stat_sampler_start(sampler));
    return sampler;
}

/* Asks, and waits for the answer. */
static struct stat_sample *sample_of(struct stat_sampler *sampler)
{
    struct stat_roll *roll = NULL;
    stat_sampler_ask(sampler, &roll);
    assert_true(stat_sampler_wait(sampler, (int)test_deadline_ms(20000)));
    struct stat_sample *sample = stat_sampler_take(sampler);
    assert_non_null(sample);
    return sample;
}

static char *details_of(const struct stat_sample *sample)
{
    return json_of(drv_view_of(sample->details, sample->details_len));
}

/* The host's numbers with every sample, the further groups at the first, at the second, for
 * what is the difference of two, and then when their interval is over. */
static void test_sampler_gives_host_always_and_details_in_time(void **state)
{
    fill_tree(*state);
    struct stat_sampler *sampler = sampler_of(*state, "all", 3600 * 1000000LL, ask_healthy);
    put(*state, "/proc/stat", "cpu  2 0 0 9\ncpu0 2 0 0 9\n");
    struct stat_sample *sample = sample_of(sampler);
    assert_true(sample->has_host);
    assert_true(sample->host.cpu_percent == 100);
    assert_true(sample->host.memory_percent == 25);
    assert_true(sample->host.disk_percent == 75);
    assert_int_equal(sample->host.process_count, 2);
    assert_int_equal(sample->host.bytes_recv, 100);
    assert_int_equal(sample->host.packets_sent, 2);
    assert_int_equal(sample->host.cpu_count, 1);
    assert_int_equal(sample->host.uptime_ms, 12500);
    char *json = details_of(sample);
    static const char *const keys[] = {"\"pid_space\":\"the-boot/\"",
                                       "\"interval_ms\":3600000",
                                       "\"host\":{",
                                       "\"net\":{",
                                       "\"disk\":{",
                                       "\"cgroup\":{",
                                       "\"executors\":{",
                                       "\"processes\":{"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_non_null(strstr(json, keys[i]));
    }
    free(json);
    free(sample);
    sample = sample_of(sampler);
    assert_true(sample->details_len > 0);
    free(sample);
    sample = sample_of(sampler);
    assert_true(sample->has_host);
    assert_int_equal(sample->details_len, 0);
    free(sample);
    stat_sampler_destroy(&sampler);
    assert_null(sampler);
}

/* Only the groups that were asked for. */
static void test_sampler_leaves_out_what_is_not_wanted(void **state)
{
    fill_tree(*state);
    struct stat_sampler *sampler = sampler_of(*state, "net", 1, ask_healthy);
    struct stat_sample *sample = sample_of(sampler);
    assert_false(sample->has_host);
    char *json = details_of(sample);
    assert_non_null(strstr(json, "\"net\":{"));
    assert_null(strstr(json, "\"host\":{"));
    assert_null(strstr(json, "\"processes\":{"));
    assert_null(strstr(json, "\"disk\":{"));
    free(json);
    free(sample);
    stat_sampler_destroy(&sampler);
}

/* Details that were not taken in time are not lost with the next sample. */
static void test_sampler_keeps_details_that_nobody_took(void **state)
{
    fill_tree(*state);
    struct stat_sampler *sampler = sampler_of(*state, "host", 3600 * 1000000LL, ask_healthy);
    free(sample_of(sampler));
    for (int i = 0; i < 3; i++) {
        struct stat_roll *roll = NULL;
        stat_sampler_ask(sampler, &roll);
        assert_true(stat_sampler_wait(sampler, (int)test_deadline_ms(20000)));
    }
    struct stat_sample *sample = stat_sampler_take(sampler);
    assert_non_null(sample);
    assert_true(sample->details_len > 0);
    free(sample);
    assert_null(stat_sampler_take(sampler));
    stat_sampler_destroy(&sampler);
}

/* The executors of the question are told; those of a question that nobody read are freed. */
static void test_sampler_tells_the_executors_of_the_question(void **state)
{
    fill_tree(*state);
    struct stat_sampler *sampler = sampler_of(*state, "executors", 1, ask_healthy);
    struct stat_roll *roll = calloc(1, sizeof *roll + sizeof roll->list[0]);
    assert_non_null(roll);
    roll->count = 1;
    roll->list[0] = (struct stat_executor){.pid = 7, .state = "idle", .model = "fork"};
    stat_sampler_ask(sampler, &roll);
    assert_null(roll);
    assert_true(stat_sampler_wait(sampler, (int)test_deadline_ms(20000)));
    struct stat_sample *sample = stat_sampler_take(sampler);
    char *json = details_of(sample);
    assert_non_null(strstr(json, "\"model\":\"fork\""));
    free(json);
    free(sample);
    roll = calloc(1, sizeof *roll);
    stat_sampler_ask(sampler, &roll);
    stat_sampler_destroy(&sampler);
}

static int gate[2];

static int ask_gated(const char *path, struct statvfs *out_numbers)
{
    char byte;
    while (read(gate[0], &byte, 1) < 0 && errno == EINTR) {
    }
    return ask_healthy(path, out_numbers);
}

/* A file system that never answers: everything else is told all the same. */
static void test_sampler_goes_on_while_a_disk_hangs(void **state)
{
    assert_int_equal(pipe(gate), 0);
    fill_tree(*state);
    struct stat_sampler *sampler = sampler_of(*state, "all", 1, ask_gated);
    for (int i = 0; i < 3; i++) {
        struct stat_sample *sample = sample_of(sampler);
        assert_true(sample->host.memory_percent == 25);
        assert_true(sample->host.disk_percent == 0);
        free(sample);
    }
    stat_sampler_destroy(&sampler);
    assert_int_equal(close(gate[1]), 0);
}

/* With every list as long as can be, the details stay within a heartbeat, and the executors
 * leave room to the processes. */
static void test_sampler_details_are_bounded(void **state)
{
    fill_tree(*state);
    for (int pid = 1; pid <= 1500; pid++) {
        put_process(*state, pid, 1, "name of it", 0, 1, (unsigned)pid);
    }
    struct stat_sampler *sampler = sampler_of(*state, "all,processes:all", 1, ask_healthy);
    struct stat_roll *roll = calloc(1,
                                    sizeof *roll + STAT_EXECUTORS_MAX * sizeof roll->list[0]);
    assert_non_null(roll);
    roll->count = STAT_EXECUTORS_MAX;
    for (int i = 0; i < STAT_EXECUTORS_MAX; i++) {
        roll->list[i] = (struct stat_executor){
            .pid = i + 1, .state = "busy", .model = "prefork", .has_task = true};
        memset(roll->list[i].type, 'x', DRV_NAME_MAX);
    }
    stat_sampler_ask(sampler, &roll);
    assert_true(stat_sampler_wait(sampler, (int)test_deadline_ms(20000)));
    struct stat_sample *sample = stat_sampler_take(sampler);
    assert_in_range(sample->details_len, 60000, DRV_HEARTBEAT_BLOB_MAX);
    char *json = details_of(sample);
    const char *executors = strstr(json, "\"executors\":{\"count\":1024,");
    const char *processes = strstr(json, "\"processes\":{\"count\":1500,");
    assert_true(executors != NULL && processes != NULL);
    assert_non_null(strstr(executors, "\"truncated\":true"));
    assert_non_null(strstr(processes, "\"truncated\":true"));
    assert_true(strlen(processes) > 10000);
    free(json);
    free(sample);
    stat_sampler_destroy(&sampler);
}

/* ---- cost -----------------------------------------------------------------------------------
 */

static int64_t cpu_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Prints what the real statistics of this host cost a worker at the default interval: one
 * sample a second, all groups every five. Never fails on time. */
static void measure(const char *groups)
{
    enum { ROUNDS = 6, LIGHT = 5 };
    int64_t full_us = 0;
    int64_t light_us = 0;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct stat_sampler *sampler = sampler_of("", groups, 3600 * 1000000LL, NULL);
        free(sample_of(sampler));
        int64_t begun_us = cpu_us();
        struct stat_sample *sample = sample_of(sampler);
        int64_t middle_us = cpu_us();
        bytes = sample->details_len;
        free(sample);
        for (int i = 0; i < LIGHT; i++) {
            free(sample_of(sampler));
        }
        full_us += middle_us - begun_us;
        light_us += cpu_us() - middle_us;
        stat_sampler_destroy(&sampler);
    }
    full_us /= ROUNDS;
    light_us /= ROUNDS * LIGHT;
    print_message(
        "statistics: --stats %s: %lld us each second, %lld us every 5 s for %zu bytes "
        "about %llu processes: %.3f %% of a processor\n",
        groups, (long long)light_us, (long long)full_us, bytes,
        (unsigned long long)stat_processes_count(""),
        (double)(light_us * 4 + full_us) / 5 / 1e6 * 100);
}

static void test_sampler_cost(void **state)
{
    measure("host");
    measure("all");
    measure("all,processes:all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_are_chosen_by_name),
        cmocka_unit_test(test_groups_that_are_none),
        WITH_TREE(test_sampler_gives_host_always_and_details_in_time),
        WITH_TREE(test_sampler_leaves_out_what_is_not_wanted),
        WITH_TREE(test_sampler_keeps_details_that_nobody_took),
        WITH_TREE(test_sampler_tells_the_executors_of_the_question),
        WITH_TREE(test_sampler_goes_on_while_a_disk_hangs),
        WITH_TREE(test_sampler_details_are_bounded),
        cmocka_unit_test(test_sampler_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
