/* Processes and executors: trees of fixtures, whatever a process calls itself. */
#include "stat_fixture.h"

#include "stat/executor.h"
#include "stat/process.h"
#include "stat/rate.h"

enum { SECOND = 1000000 };

static uint64_t page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static const struct stat_process *find(const struct stat_processes *processes, int32_t pid)
{
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->list[i].pid == pid) {
            return &processes->list[i];
        }
    }
    return NULL;
}

static double cpu_of(const struct stat_processes *processes, int32_t pid)
{
    const struct stat_process *process = find(processes, pid);
    assert_non_null(process);
    return process->cpu_percent;
}

/* ---- one line -------------------------------------------------------------------------------
 */

/* Fields behind a plain name. */
static void test_process_line_is_parsed(void **state)
{
    struct stat_process process;
    assert_true(stat_process_parse("4711 (cat) R 12 4711 4711 34816 4711 4194304 1 2 3 4 "
                                   "150 50 30 20 20 0 3 0 12345 8192000 100 184467",
                                   &process));
    assert_int_equal(process.pid, 4711);
    assert_int_equal(process.parent, 12);
    assert_int_equal(process.state, 'R');
    assert_string_equal(process.name, "cat");
    assert_int_equal(process.ticks, 200);
    assert_int_equal(process.child_ticks, 50);
    assert_int_equal(process.threads, 3);
    assert_int_equal(process.started, 12345);
    assert_int_equal(process.rss_bytes, 100 * page());
    assert_false(stat_is_known(process.cpu_percent));
}

/* Names hold blanks, parentheses, line ends, and bytes that are no text. */
static void test_process_names_are_what_they_like(void **state)
{
    static const struct {
        const char *raw, *shown;
    } names[] = {
        {"a b", "a b"},
        {") S 1 (", ") S 1 ("},
        {"((", "(("},
        {"x)\n(y", "x)\n(y"},
        {"", ""},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"tsch\xc3\xbcss", "tsch\xc3\xbcss"},
        {"\xc3", "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[256];
        struct stat_process process;
        (void)snprintf(line, sizeof line,
                       "7 (%s) S 3 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 99 0 5 0", names[i].raw);
        assert_true(stat_process_parse(line, &process));
        assert_string_equal(process.name, names[i].shown);
        assert_int_equal(process.parent, 3);
        assert_int_equal(process.started, 99);
    }
}

/* Anything else is no process. */
static void test_process_lines_that_make_no_sense(void **state)
{
    static const char *const lines[] = {
        "",
        "1",
        "1 (a",
        "1 (a)",
        "1 (a) ",
        "1 (a) S",
        "1 (a) S 1 2 3",
        "x (a) S 3 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 99 0 5 0",
        "99999999999 (a) S 3 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 99 0 5 0",
        "1 (a) S 3 1 1 0 -1 0 0 0 0 0 x 2 3 4 20 0 1 0 99 0 5 0",
        ")(",
        "1 )(",
    };
    struct stat_process process;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_false(stat_process_parse(lines[i], &process));
    }
}

/* ---- scans ----------------------------------------------------------------------------------
 */

/* A share needs two scans of the same process: one that is new, or whose number was given to
 * another, or whose clock went backwards, has none. */
static void test_processes_cpu_needs_two_samples_of_one_process(void **state)
{
    struct stat_processes processes;
    uint64_t rate = stat_process_tick_rate();
    stat_processes_init(&processes, *state);
    put_process(*state, 1, 0, "init", 100, 1, 10);
    put_process(*state, 20, 1, "work", 100, 5, 10);
    put_process(*state, 30, 1, "reused", 100, 5, 10);
    put_process(*state, 40, 1, "odd", 100, 5, 10);
    put(*state, "/proc/self/stat", "1 (not counted) S");
    put(*state, "/proc/meminfo", "");
    assert_ok(stat_processes_scan(&processes, SECOND));
    assert_int_equal(processes.total, 4);
    assert_false(stat_is_known(cpu_of(&processes, 20)));
    put_process(*state, 20, 1, "work", 100 + (unsigned)rate, 5, 10);
    put_process(*state, 30, 1, "other", 5000, 700, 10);
    put_process(*state, 40, 1, "odd", 90, 5, 10);
    put_process(*state, 50, 1, "new", 5000, 800, 10);
    take_away(*state, "/proc/1");
    assert_ok(stat_processes_scan(&processes, 3 * SECOND));
    assert_null(find(&processes, 1));
    assert_true(cpu_of(&processes, 20) == 50);
    assert_false(stat_is_known(cpu_of(&processes, 30)));
    assert_false(stat_is_known(cpu_of(&processes, 40)));
    assert_false(stat_is_known(cpu_of(&processes, 50)));
    assert_ok(stat_processes_scan(&processes, 3 * SECOND)); /* no time has passed */
    assert_false(stat_is_known(cpu_of(&processes, 20)));
    stat_processes_fini(&processes);
}

/* A directory without a readable file is a process that has just ended. */
static void test_processes_that_end_during_the_scan(void **state)
{
    struct stat_processes processes;
    stat_processes_init(&processes, *state);
    put_process(*state, 7, 1, "stays", 1, 1, 1);
    put(*state, "/proc/8/cmdline", "");
    put(*state, "/proc/9/stat", "");
    assert_ok(stat_processes_scan(&processes, SECOND));
    assert_int_equal(processes.count, 1);
    assert_int_equal(processes.total, 3);
    assert_int_equal(stat_processes_count(*state), 3);
    stat_processes_fini(&processes);
}

/* Without /proc there are none. */
static void test_processes_without_proc(void **state)
{
    struct stat_processes processes;
    stat_processes_init(&processes, *state);
    assert_ok(stat_processes_scan(&processes, SECOND));
    assert_int_equal(processes.count, 0);
    assert_int_equal(stat_processes_count(*state), 0);
    assert_details(stat_processes_write(&processes, 5, 0, &details),
                   "{\"processes\":{\"count\":0,\"list\":[],\"truncated\":false}}");
    stat_processes_fini(&processes);
}

/* The pids in the order of the list. */
static void shown(struct stat_processes *processes, size_t top, char *out_text, size_t size)
{
    struct stat_details details;
    stat_details_init(&details);
    stat_details_begin(&details, 65536);
    stat_processes_write(processes, top, 0, &details);
    (void)stat_details_finish(&details);
    stat_details_fini(&details);
    size_t len = 0;
    out_text[0] = '\0';
    for (size_t i = 0; i < processes->count; i++) {
        len += (size_t)snprintf(out_text + len, size - len, "%d ", processes->list[i].pid);
    }
}

static void scan_twice(void *root, struct stat_processes *processes)
{
    stat_processes_init(processes, root);
    for (int pid = 1; pid <= 9; pid++) {
        put_process(root, pid, 1, "p", 0, 1, pid == 3 ? 500 : (unsigned)pid);
    }
    assert_ok(stat_processes_scan(processes, SECOND));
    put_process(root, 5, 1, "p", 50, 1, 5);
    put_process(root, 6, 1, "p", 90, 1, 6);
    put_process(root, 7, 1, "p", 10, 1, 7);
    assert_ok(stat_processes_scan(processes, 2 * SECOND));
}

/* The busiest and the largest, each as many as asked for, the busiest first. */
static void test_processes_top_by_cpu_and_memory(void **state)
{
    struct stat_processes processes;
    char pids[128];
    scan_twice(*state, &processes);
    shown(&processes, 2, pids, sizeof pids);
    assert_string_equal(pids, "6 5 3 9 ");
    stat_processes_fini(&processes);
    scan_twice(*state, &processes);
    shown(&processes, SIZE_MAX, pids, sizeof pids);
    assert_string_equal(pids, "6 5 7 3 9 8 4 2 1 ");
    stat_processes_fini(&processes);
    scan_twice(*state, &processes);
    shown(&processes, 6, pids, sizeof pids);
    assert_string_equal(pids, "6 5 7 3 9 8 4 2 1 ");
    stat_processes_fini(&processes);
}

/* The keys of the details; users by the names of the host's file, else by number. */
static void test_processes_details_have_their_keys(void **state)
{
    struct stat_processes processes;
    char passwd[64];
    char expected[512];
    stat_processes_init(&processes, *state);
    put_process(*state, 7, 3, "a)b", 1, 1, 2);
    assert_ok(stat_processes_scan(&processes, SECOND));
    (void)snprintf(passwd, sizeof passwd, "x:x:12345:1\n#odd\nme:x:%u:0:\n",
                   (unsigned)getuid());
    put(*state, "/etc/passwd", passwd);
    (void)snprintf(expected, sizeof expected,
                   "{\"processes\":{\"count\":1,\"list\":[{\"pid\":7,\"parent\":3,"
                   "\"name\":\"a)b\",\"state\":\"S\",\"cpu_percent\":null,"
                   "\"memory_percent\":50,\"rss_bytes\":%u,\"threads\":5,\"user\":\"me\"}],"
                   "\"truncated\":false}}",
                   (unsigned)(2 * page()));
    assert_details(stat_processes_write(&processes, 5, 4 * page(), &details), expected);
    take_away(*state, "/etc");
    (void)snprintf(passwd, sizeof passwd, "\"user\":\"%u\"", (unsigned)getuid());
    struct stat_details details;
    stat_details_init(&details);
    stat_details_begin(&details, 65536);
    stat_processes_write(&processes, 5, 0, &details);
    char *json = json_of(stat_details_finish(&details));
    assert_non_null(strstr(json, passwd));
    free(json);
    stat_details_fini(&details);
    stat_processes_fini(&processes);
}

/* More than fit are cut off, the idlest and smallest first, and it says so. */
static void test_processes_beyond_the_bound_are_truncated(void **state)
{
    enum { MANY = 1200 };
    struct stat_processes processes;
    struct stat_details details;
    stat_processes_init(&processes, *state);
    for (int pid = 1; pid <= MANY; pid++) {
        put_process(*state, pid, 1, "some process", 0, 1, (unsigned)pid);
    }
    assert_ok(stat_processes_scan(&processes, SECOND));
    stat_details_init(&details);
    stat_details_begin(&details, 65536);
    stat_processes_write(&processes, SIZE_MAX, 0, &details);
    struct drv_view bytes = stat_details_finish(&details);
    assert_in_range(bytes.len, 60000, 65536);
    char *json = json_of(bytes);
    assert_non_null(strstr(json, "\"truncated\":true"));
    assert_non_null(strstr(json, "\"count\":1200"));
    assert_non_null(strstr(json, "\"pid\":1200,"));
    assert_null(strstr(json, "\"pid\":1,"));
    free(json);
    stat_details_fini(&details);
    stat_processes_fini(&processes);
}

/* The real ones: this process is among them, and what it does is seen. */
static void test_processes_of_this_host(void **state)
{
    struct stat_processes processes;
    stat_processes_init(&processes, "");
    assert_ok(stat_processes_scan(&processes, SECOND));
    const struct stat_process *self = find(&processes, (int32_t)getpid());
    assert_non_null(self);
    assert_int_equal(self->state, 'R');
    assert_int_equal(self->parent, getppid());
    assert_true(self->rss_bytes > 100000);
    stat_processes_fini(&processes);
}

/* ---- executors ------------------------------------------------------------------------------
 */

static struct stat_roll *roll_of(size_t count)
{
    struct stat_roll *roll = calloc(1, sizeof *roll + count * sizeof roll->list[0]);
    assert_non_null(roll);
    roll->count = count;
    for (size_t i = 0; i < count; i++) {
        roll->list[i] = (struct stat_executor){.pid = (int32_t)(10 + i),
                                               .state = "idle",
                                               .model = "prefork",
                                               .done = 4,
                                               .uptime_ms = 1000};
    }
    return roll;
}

/* An executor counts with all below it, and with what has ended there. */
static void test_executors_count_what_is_below_them(void **state)
{
    struct stat_executors executors;
    struct stat_roll *roll = roll_of(2);
    char expected[1024];
    uint64_t rate = stat_process_tick_rate();
    stat_executors_init(&executors, *state);
    put_process(*state, 10, 1, "executor", 5, 1, 1);
    put(*state, "/proc/10/task/10/children", "77 ");
    put_process(*state, 77, 10, "command", 0, 5, 2);
    put(*state, "/proc/77/task/77/children", "78 79 ");
    put_process(*state, 78, 77, "deeper", 0, 5, 4); /* 79 has ended */
    (void)snprintf(expected, sizeof expected,
                   "{\"executors\":{\"count\":2,\"list\":[{\"pid\":10,\"state\":\"idle\","
                   "\"model\":\"prefork\",\"done\":4,\"crashes\":0,\"name\":\"executor\","
                   "\"uptime_ms\":1000,"
                   "\"cpu_percent\":null,\"rss_bytes\":%u},{\"pid\":11,\"state\":\"idle\","
                   "\"model\":\"prefork\",\"done\":4,\"crashes\":0}],\"truncated\":false}}",
                   (unsigned)(7 * page()));
    assert_details(stat_executors_write(&executors, roll, SECOND, &details), expected);
    put_process(*state, 78, 77, "deeper", (unsigned)rate, 5, 4);
    roll->count = 1;
    roll->list[0].state = "busy";
    roll->list[0].has_task = true;
    (void)snprintf(roll->list[0].type, sizeof roll->list[0].type, "square");
    roll->list[0].index = 17;
    roll->list[0].attempt = 2;
    roll->list[0].task_ms = 30;
    (void)snprintf(expected, sizeof expected,
                   "{\"executors\":{\"count\":1,\"list\":[{\"pid\":10,\"state\":\"busy\","
                   "\"model\":\"prefork\",\"done\":4,\"crashes\":0,\"name\":\"executor\","
                   "\"uptime_ms\":1000,"
                   "\"cpu_percent\":50,\"rss_bytes\":%u,\"type\":\"square\","
                   "\"id\":\"00000000000000000000000000\",\"index\":17,\"attempt\":2,"
                   "\"task_ms\":30}],\"truncated\":false}}",
                   (unsigned)(7 * page()));
    assert_details(stat_executors_write(&executors, roll, 3 * SECOND, &details), expected);
    free(roll);
}

/* What a process with threads uses is told once, with the first of them. */
static void test_executors_with_threads_count_once(void **state)
{
    struct stat_executors executors;
    struct stat_roll *roll = roll_of(2);
    char expected[1024];
    stat_executors_init(&executors, *state);
    put_process(*state, 10, 1, "executor", 5, 1, 1);
    roll->list[1].pid = roll->list[0].pid;
    roll->list[1].thread = 1;
    (void)snprintf(expected, sizeof expected,
                   "{\"executors\":{\"count\":2,\"list\":[{\"pid\":10,\"state\":\"idle\","
                   "\"model\":\"prefork\",\"done\":4,\"crashes\":0,\"name\":\"executor\","
                   "\"uptime_ms\":1000,"
                   "\"cpu_percent\":null,\"rss_bytes\":%u},{\"pid\":10,\"thread\":1,"
                   "\"state\":\"idle\",\"model\":\"prefork\",\"done\":4,\"crashes\":0}],"
                   "\"truncated\":false}}",
                   (unsigned)page());
    assert_details(stat_executors_write(&executors, roll, SECOND, &details), expected);
    free(roll);
}

/* Nothing is known of them: none. */
static void test_executors_without_a_roll(void **state)
{
    struct stat_executors executors;
    stat_executors_init(&executors, *state);
    assert_details(stat_executors_write(&executors, NULL, SECOND, &details),
                   "{\"executors\":{\"count\":0,\"list\":[],\"truncated\":false}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_line_is_parsed),
        cmocka_unit_test(test_process_names_are_what_they_like),
        cmocka_unit_test(test_process_lines_that_make_no_sense),
        WITH_TREE(test_processes_cpu_needs_two_samples_of_one_process),
        WITH_TREE(test_processes_that_end_during_the_scan),
        WITH_TREE(test_processes_without_proc),
        WITH_TREE(test_processes_top_by_cpu_and_memory),
        WITH_TREE(test_processes_details_have_their_keys),
        WITH_TREE(test_processes_beyond_the_bound_are_truncated),
        cmocka_unit_test(test_processes_of_this_host),
        WITH_TREE(test_executors_count_what_is_below_them),
        WITH_TREE(test_executors_with_threads_count_once),
        WITH_TREE(test_executors_without_a_roll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
