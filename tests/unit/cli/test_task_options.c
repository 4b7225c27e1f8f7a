/* test_task_options.c: the options of a task become what the library is asked for. */
#include "test.h"

#include "check.h"
#include "command.h"
#include "task_options.h"

struct loaded {
    struct drv_program program;
    struct cli cli;
};

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static void load(struct loaded *loaded, int argc, const char *const *argv)
{
    struct drv_problem problem = {""};
    memset(loaded, 0, sizeof(*loaded));
    loaded->program = (struct drv_program){.name = "drover submit", .usage = ""};
    loaded->program.table_count = command_tables(&cmd_submit, loaded->program.tables);
    loaded->cli = (struct cli){.command = &cmd_submit, .words = 1};
    assert_ok(drv_options_new(&loaded->program, &loaded->cli.options));
    assert_ok(drv_options_load(loaded->cli.options, argc, argv, no_env, &problem));
}

#define LOAD(loaded, ...)                                                  \
    load(loaded, (int)DRV_ARRAY_LEN(((const char *const[]){__VA_ARGS__})), \
         (const char *const[]){__VA_ARGS__})

/* Nothing said is the library's own default. */
static void test_task_options_default_is_the_librarys(void **state)
{
    struct loaded loaded;
    struct task_options options;
    const drover_submit_options usual = DROVER_SUBMIT_OPTIONS_INIT;
    LOAD(&loaded, "drover", "submit", "square");
    assert_int_equal(task_options_init(&options, &loaded.cli, TASK_BUSY_MS), CLI_OK);
    assert_null(options.submit.queue);
    assert_int_equal(options.submit.priority, 0);
    assert_int_equal(options.submit.backoff_ms, usual.backoff_ms);
    assert_int_equal(options.submit.keep_ms, usual.keep_ms);
    assert_int_equal(options.submit.loss_budget, usual.loss_budget);
    assert_int_equal(options.submit.durability, DROVER_DURABILITY_DEFAULT);
    assert_int_equal(options.submit.wait_ms, TASK_BUSY_MS);
    task_options_fini(&options);
    drv_options_destroy(&loaded.cli.options);
}

/* Every option arrives in its field. */
static void test_task_options_all_arrive(void **state)
{
    struct loaded loaded;
    struct task_options options;
    LOAD(&loaded, "drover", "submit", "square", "-q", "fast", "--priority", "-5", "--delay",
         "1s", "--expire", "2m", "--timeout=3s", "--retries", "4", "--backoff", "90s", "--key",
         "k k", "--after", "01ARZ3NDEKTSV4RRFFQ69G5FAV.2", "--group", "g", "--tag", "a=b=c",
         "--tag", "d=", "--fairness-key", "f", "--need", "gpu=2", "--require", "os=linux",
         "--durability", "written", "--keep", "0", "--strict", "--meta", "m", "--busy-timeout",
         "0");
    assert_int_equal(task_options_init(&options, &loaded.cli, TASK_BUSY_MS), CLI_OK);
    const drover_submit_options *submit = &options.submit;
    assert_string_equal(submit->queue, "fast");
    assert_int_equal(submit->priority, -5);
    assert_int_equal(submit->delay_ms, 1000);
    assert_int_equal(submit->expire_ms, 120000);
    assert_int_equal(submit->timeout_ms, 3000);
    assert_int_equal(submit->retries, 4);
    assert_int_equal(submit->backoff_ms, 90000);
    assert_true(submit->backoff_max_ms >= 90000);
    assert_string_equal(submit->key, "k k");
    assert_int_equal(submit->after_count, 1);
    assert_int_equal(submit->after[0].index, 2);
    assert_false(submit->after[0].always);
    assert_string_equal(submit->group, "g");
    assert_int_equal(submit->tag_count, 2);
    assert_string_equal(submit->tags[0].name, "a");
    assert_string_equal(submit->tags[0].value, "b=c");
    assert_string_equal(submit->tags[1].value, "");
    assert_string_equal(submit->fairness, "f");
    assert_int_equal(submit->need_count, 1);
    assert_string_equal(submit->needs[0].name, "gpu");
    assert_int_equal(submit->needs[0].count, 2);
    assert_string_equal(submit->require[0].value, "linux");
    assert_int_equal(submit->durability, DROVER_DURABILITY_WRITTEN);
    assert_int_equal(submit->keep_ms, 0);
    assert_true(submit->strict);
    assert_int_equal(submit->meta_len, 1);
    assert_int_equal(submit->wait_ms, 0);
    task_options_fini(&options);
    drv_options_destroy(&loaded.cli.options);
}

/* `auto` is what holds when nothing is said. */
static void test_task_options_keep_is_a_time_or_auto(void **state)
{
    static const struct {
        const char *text;
        int64_t keep_ms;
    } times[] = {{"auto", -1}, {"0s", 0}, {"7d", INT64_C(604800000)}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(times); i++) {
        struct loaded loaded;
        struct task_options options;
        LOAD(&loaded, "drover", "submit", "square", "--keep", times[i].text);
        assert_int_equal(task_options_init(&options, &loaded.cli, 0), CLI_OK);
        assert_int_equal(options.submit.keep_ms, times[i].keep_ms);
        task_options_fini(&options);
        drv_options_destroy(&loaded.cli.options);
    }
}

/* What makes no sense is refused with a usage error. */
static void test_task_options_nonsense_is_refused(void **state)
{
    static const char *const bad[][2] = {
        {"--tag", "novalue"}, {"--tag", "=v"},     {"--tag", "bad name=v"}, {"--need", "gpu=x"},
        {"--need", "gpu="},   {"--require", "os"}, {"--after", "nobody"},   {"--queue", "a b"},
        {"--group", ""},      {"--keep", "long"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct loaded loaded;
        struct task_options options;
        LOAD(&loaded, "drover", "submit", "square", bad[i][0], bad[i][1]);
        assert_int_equal(task_options_init(&options, &loaded.cli, 0), CLI_USAGE);
        task_options_fini(&options);
        drv_options_destroy(&loaded.cli.options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_options_default_is_the_librarys),
        cmocka_unit_test(test_task_options_all_arrive),
        cmocka_unit_test(test_task_options_keep_is_a_time_or_auto),
        cmocka_unit_test(test_task_options_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
