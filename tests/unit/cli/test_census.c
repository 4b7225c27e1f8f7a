/* The processes of the fleet, put together from what several workers tell. */
#include "test.h"

#include "census.h"
#include "worker_view.h"

static void add(struct census *census, const char *json)
{
    drover_value *worker = NULL;
    char why[256] = "";
    assert_ok(drover_value_from_json(json, strlen(json), &worker, why, sizeof(why)));
    assert_true(census_add(census, worker));
    drover_value_destroy(&worker);
}

/* "HOST:PID[*] ..." in the order of the rows; * marks executors. */
static const char *rows(const struct census *census, char *out_text, size_t size)
{
    size_t len = 0;
    out_text[0] = '\0';
    for (size_t i = 0; i < census->row_count; i++) {
        const struct census_row *row = &census->rows[i];
        len += (size_t)snprintf(out_text + len, size - len, "%s:%d%s ",
                                census->hosts[row->host].name, (int)row->pid,
                                row->executor != NULL ? "*" : "");
    }
    return out_text;
}

#define PROCESS(pid, name, cpu, rss)                                                \
    "{\"pid\":" #pid ",\"name\":\"" name "\",\"state\":\"S\",\"cpu_percent\":" #cpu \
    ",\"memory_percent\":1,\"rss_bytes\":" #rss ",\"threads\":1,\"user\":\"me\"}"
#define EXECUTOR(pid) "{\"pid\":" #pid ",\"state\":\"idle\",\"rss_bytes\":50,\"name\":\"ex\"}"
#define WORKER(name, host, space, age, processes, executors)                     \
    "{\"name\":\"" name "\",\"host\":\"" host "\",\"details_age_ms\":" #age      \
    ",\"details\":{\"pid_space\":\"" space "\",\"host\":{\"memory_total\":100}," \
    "\"processes\":{\"count\":99,\"list\":[" processes "],\"truncated\":false}," \
    "\"executors\":{\"list\":[" executors "]}}}"

/* Workers of one host tell the same processes: one list counts, the executors of all are found
 * in it or stand beside it. */
static void test_census_merges_the_workers_of_a_host(void **state)
{
    struct census census;
    char text[256];
    census_init(&census);
    add(&census, WORKER("w1", "a", "s", 900, PROCESS(1, "old", 1, 10), EXECUTOR(2)));
    add(&census, WORKER("w2", "a", "s", 100, PROCESS(2, "x", 5, 10) "," PROCESS(3, "y", 9, 5),
                        EXECUTOR(7)));
    add(&census, WORKER("w3", "a", "s", 500, PROCESS(4, "older", 1, 10), ""));
    assert_true(census_close(&census, CENSUS_BY_CPU));
    assert_string_equal(rows(&census, text, sizeof(text)), "a:3 a:2* a:7* ");
    assert_int_equal(census.host_count, 1);
    assert_int_equal(census.hosts[0].age_ms, 100);
    assert_int_equal(census.hosts[0].told, 2);
    assert_int_equal(census.hosts[0].count, 99);
    assert_string_equal(census.rows[1].worker, "w1");
    assert_string_equal(census.rows[2].worker, "w2");
    assert_string_equal(census.rows[2].name, "ex");
    assert_true(census.rows[2].memory_percent == 50);
    census_fini(&census);
}

/* The longest list counts, of equally long ones the freshest, and none that is out of date. */
static void test_census_takes_the_best_list(void **state)
{
    struct census census;
    char text[256];
    census_init(&census);
    add(&census, WORKER("w1", "a", "s", 50, PROCESS(1, "x", 1, 1), ""));
    add(&census,
        WORKER("w2", "a", "s", 5000, PROCESS(2, "x", 1, 1) "," PROCESS(3, "y", 1, 1), ""));
    add(&census,
        WORKER("w3", "a", "s", 4000, PROCESS(4, "x", 1, 1) "," PROCESS(5, "y", 1, 1), ""));
    add(&census,
        WORKER("w4", "a", "s", 70000,
               PROCESS(6, "x", 1, 1) "," PROCESS(7, "y", 1, 1) "," PROCESS(8, "z", 1, 1), ""));
    assert_true(census_close(&census, CENSUS_BY_PID));
    assert_string_equal(rows(&census, text, sizeof(text)), "a:4 a:5 ");
    census_fini(&census);
}

/* Two containers may share a host's name and the numbers of their processes. */
static void test_census_keeps_name_spaces_apart(void **state)
{
    struct census census;
    char text[256];
    census_init(&census);
    add(&census, WORKER("w1", "a", "s1", 1, PROCESS(1, "x", 1, 10), ""));
    add(&census, WORKER("w2", "a", "s2", 2, PROCESS(1, "y", 1, 10), EXECUTOR(1)));
    assert_true(census_close(&census, CENSUS_BY_CPU));
    assert_string_equal(rows(&census, text, sizeof(text)), "a:1 a:1* ");
    assert_string_equal(census.rows[1].name, "y");
    census_fini(&census);
}

/* By host, and within it by each key; what is not known comes last. */
static void test_census_orders(void **state)
{
    static const struct {
        enum census_order order;
        const char *rows;
    } cases[] = {{CENSUS_BY_CPU, "a:9 b:2 b:3 b:4 b:1 "},
                 {CENSUS_BY_MEMORY, "a:9 b:3 b:1 b:4 b:2 "},
                 {CENSUS_BY_PID, "a:9 b:1 b:2 b:3 b:4 "},
                 {CENSUS_BY_NAME, "a:9 b:4 b:3 b:2 b:1 "}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct census census;
        char text[256];
        census_init(&census);
        add(&census, WORKER("w", "b", "s", 1,
                            PROCESS(1, "d", null, 30) "," PROCESS(2, "c", 7, 10) "," PROCESS(
                                3, "b", 2, 40) "," PROCESS(4, "a", 2, 20),
                            ""));
        add(&census, WORKER("v", "a", "s", 1, PROCESS(9, "z", 1, 1), ""));
        assert_true(census_close(&census, cases[i].order));
        assert_string_equal(rows(&census, text, sizeof(text)), cases[i].rows);
        census_fini(&census);
    }
}

/* The short form has the first of each host, and every executor. */
static void test_census_is_shortened_by_host(void **state)
{
    struct census census;
    char text[256];
    census_init(&census);
    add(&census, WORKER("w", "a", "s", 1,
                        PROCESS(1, "a", 9, 1) "," PROCESS(2, "b", 8, 1) "," PROCESS(
                            3, "c", 7, 1) "," PROCESS(4, "d", 6, 1),
                        EXECUTOR(4) "," EXECUTOR(1)));
    add(&census, WORKER("v", "b", "s", 1, PROCESS(5, "z", 1, 1) "," PROCESS(6, "z", 1, 1), ""));
    assert_true(census_close(&census, CENSUS_BY_CPU));
    census_shorten(&census, 1);
    assert_string_equal(rows(&census, text, sizeof(text)), "a:1* a:2 a:4* b:5 ");
    census_fini(&census);
}

/* Workers that tell nothing, or nonsense, are passed over; text from them is escaped. */
static void test_census_trusts_nobody(void **state)
{
    struct census census;
    char text[256];
    census_init(&census);
    add(&census, "{\"name\":\"w\",\"host\":\"a\"}");
    add(&census, "{\"details\":7}");
    add(&census, "{\"details\":{\"processes\":[1],\"executors\":\"x\"}}");
    add(&census, "{\"details\":{\"processes\":{\"list\":[1,null,{}]},\"executors\":{\"list\":"
                 "[[],{\"pid\":\"x\"}]}}}");
    add(&census, WORKER("w", "a\\u001b[2J", "s", 1, PROCESS(1, "n\\u001b[0m", 1, 1), ""));
    assert_true(census_close(&census, CENSUS_BY_NAME));
    for (size_t i = 0; i < census.row_count; i++) {
        assert_null(strchr(census.rows[i].name, '\033'));
    }
    assert_null(strchr(rows(&census, text, sizeof(text)), '\033'));
    census_fini(&census);
}

/* Bars are never wider than their frame, and unknown is no bar. */
static void test_bars(void **state)
{
    char text[WORKER_BAR_MAX];
    assert_string_equal(worker_view_bar(0, text), "[..........]   0.0 %");
    assert_string_equal(worker_view_bar(44, text), "[####......]  44.0 %");
    assert_string_equal(worker_view_bar(100, text), "[##########] 100.0 %");
    assert_string_equal(worker_view_bar(250, text), "[##########] 250.0 %");
    assert_string_equal(worker_view_bar(-1, text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_census_merges_the_workers_of_a_host),
        cmocka_unit_test(test_census_takes_the_best_list),
        cmocka_unit_test(test_census_keeps_name_spaces_apart),
        cmocka_unit_test(test_census_orders),
        cmocka_unit_test(test_census_is_shortened_by_host),
        cmocka_unit_test(test_census_trusts_nobody),
        cmocka_unit_test(test_bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
