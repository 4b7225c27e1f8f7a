/* What drover-worker makes of its command line, environment and file. */
#include "settings.h"
#include "stat/host.h"
#include "test.h"

#include <unistd.h>

struct reading {
    struct worker_settings settings;
    struct drv_problem problem;
    enum worker_order order;
    drover_status status;
};

static const char *no_environment(const char *name)
{
    return NULL;
}

static const char *one_variable(const char *name)
{
    if (strcmp(name, "DROVER_WORKER_BROKER") == 0) {
        return "tcp://from-environment:1";
    }
    return strcmp(name, "DROVER_WORKER_SLOTS") == 0 ? "7" : NULL;
}

/* Words of the command line, up to a NULL. */
static struct reading read_with(drv_options_env_fn environment, const char *const *words)
{
    struct reading reading;
    const char *argv[32] = {"drover-worker"};
    int argc = 1;
    memset(&reading, 0, sizeof reading);
    while (words[argc - 1] != NULL) {
        argv[argc] = words[argc - 1];
        argc++;
    }
    reading.status = worker_settings_load(&reading.settings, NULL, argc, argv, environment,
                                          &reading.order, &reading.problem);
    return reading;
}

#define READ(...) read_with(no_environment, (const char *const[]){__VA_ARGS__, NULL})

static void assert_text(struct drv_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

/* A configuration file; its name is to be freed and removed. */
static char *write_file(const char *text)
{
    char template[] = "/tmp/drover-settings-XXXXXX";
    int fd = mkstemp(template);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    return strdup(template);
}

static struct reading read_file(const char *text)
{
    char *name = write_file(text);
    struct reading reading = READ("--config", name);
    assert_int_equal(unlink(name), 0);
    free(name);
    return reading;
}

static void assert_refused(struct reading reading, const char *part)
{
    if (reading.status == DROVER_OK || strstr(reading.problem.text, part) == NULL) {
        fail_msg("status %d, '%s' without '%s'", (int)reading.status, reading.problem.text,
                 part);
    }
    worker_settings_fini(&reading.settings);
}

/* Defaults are those of the manual; the host gives name and slots. */
static void test_settings_defaults(void **state)
{
    struct reading r = READ("--load", "demo.so");
    assert_ok(r.status);
    assert_int_equal(r.order, WORKER_ORDER_SERVE);
    assert_int_equal(r.settings.broker_count, 1);
    assert_text(r.settings.brokers[0], "tcp://127.0.0.1:7711");
    assert_true(drover_name_is_valid(r.settings.name));
    assert_true(r.settings.slots >= 1);
    assert_int_equal(r.settings.prefetch, 1024);
    assert_int_equal(r.settings.grace_us, 30000000);
    assert_true(r.settings.stats.host && r.settings.stats.disk);
    assert_int_equal(r.settings.stats.processes, 10);
    assert_int_equal(r.settings.stats_interval_us, 5000000);
    assert_int_equal(r.settings.module_count, 1);
    assert_string_equal(r.settings.modules[0], "demo.so");
    worker_settings_fini(&r.settings);
}

/* Every option arrives. */
static void test_settings_options(void **state)
{
    struct reading r = READ("--broker", "tcp://a:1", "-b", "ipc:///run/x", "--name", "w-1",
                            "-n", "3", "--queue", "fast", "--queue", "slow", "--label",
                            "zone=eu 1", "--resource", "gpu=2", "--allow-exec", "/bin/true",
                            "--prefetch", "0", "--grace", "2m", "--stats", "net,processes:all",
                            "--stats-interval", "250ms", "--log-level", "debug");
    assert_ok(r.status);
    assert_int_equal(r.settings.broker_count, 2);
    assert_text(r.settings.brokers[1], "ipc:///run/x");
    assert_string_equal(r.settings.name, "w-1");
    assert_int_equal(r.settings.slots, 3);
    assert_int_equal(r.settings.queue_count, 2);
    assert_text(r.settings.queues[1], "slow");
    assert_text(r.settings.labels[0].name, "zone");
    assert_text(r.settings.labels[0].value, "eu 1");
    assert_text(r.settings.resources[0].name, "gpu");
    assert_int_equal(r.settings.resources[0].count, 2);
    assert_int_equal(r.settings.resource_count, 3);
    assert_text(r.settings.resources[1].name, "cpus");
    assert_int_equal(r.settings.resources[1].count, stat_host_usable_cpus(""));
    assert_text(r.settings.resources[2].name, "memory");
    assert_true(r.settings.resources[2].count > 0);
    assert_string_equal(r.settings.allow_exec[0], "/bin/true");
    assert_int_equal(r.settings.prefetch, 0);
    assert_int_equal(r.settings.grace_us, 120000000);
    assert_true(r.settings.stats.net && !r.settings.stats.host);
    assert_int_equal(r.settings.stats.processes, SIZE_MAX);
    assert_int_equal(r.settings.stats_interval_us, 250000);
    assert_int_equal(r.settings.log_level, DRV_LOG_DEBUG);
    worker_settings_fini(&r.settings);
}

/* The environment stands behind the command line. */
static void test_settings_environment(void **state)
{
    struct reading r = read_with(one_variable,
                                 (const char *const[]){"--load", "x.so", "-n", "2", NULL});
    assert_ok(r.status);
    assert_text(r.settings.brokers[0], "tcp://from-environment:1");
    assert_int_equal(r.settings.slots, 2);
    worker_settings_fini(&r.settings);
}

/* Values that make no sense are refused by name. */
static void test_settings_refuses_nonsense(void **state)
{
    assert_refused(READ("--load", "x", "--broker", "7711"), "--broker 7711");
    assert_refused(READ("--load", "x", "--broker", "tcp://host"), "tcp://HOST:PORT");
    assert_refused(READ("--load", "x", "--broker", "tcp://*:7711"), "tcp://*:7711");
    assert_refused(READ("--load", "x", "--broker", "tcp://host:0"), "tcp://host:0");
    assert_refused(READ("--load", "x", "--broker", "tcp://host:99999"), "99999");
    assert_refused(READ("--load", "x", "--name", "a b"), "--name");
    assert_refused(READ("--load", "x", "--slots", "0"), "slots");
    assert_refused(READ("--load", "x", "--slots", "5000"), "slots");
    assert_refused(READ("--load", "x", "--queue", "a/b"), "--queue a/b");
    assert_refused(READ("--load", "x", "--label", "zone"), "NAME=VALUE");
    assert_refused(READ("--load", "x", "--label", "=eu"), "NAME=VALUE");
    assert_refused(READ("--load", "x", "--resource", "gpu=many"), "gpu=many");
    assert_refused(READ("--load", "x", "--prefetch", "some"), "--prefetch some");
    assert_refused(READ("--load", "x", "--grace", "soon"), "grace");
    assert_refused(READ("--load", "x", "--stats", "gpu"), "--stats gpu");
    assert_refused(READ("--load", "x", "extra"), "extra");
    assert_refused(READ("--nonsense"), "nonsense");
    assert_refused(READ("--load", ""), "--load is empty");
}

/* Models, and how executors come and go. */
static void test_settings_executors(void **state)
{
    struct reading r = READ("--load", "x");
    assert_ok(r.status);
    assert_int_equal(r.settings.model, POOL_MODEL_PREFORK);
    assert_int_equal(r.settings.threads, POOL_THREADS_DEFAULT);
    assert_int_equal(r.settings.executors_min, POOL_EXECUTORS_ALL);
    assert_int_equal(r.settings.idle_ms, 60000);
    assert_int_equal(r.settings.tasks_max, 0);
    assert_int_equal(r.settings.memory_max, 0);
    worker_settings_fini(&r.settings);
    r = READ("--load", "x", "--model", "thread", "--threads", "4", "--min-executors", "0",
             "--idle-timeout", "2s", "--max-tasks", "1000", "--max-memory", "512M");
    assert_ok(r.status);
    assert_int_equal(r.settings.model, POOL_MODEL_THREAD);
    assert_int_equal(r.settings.threads, 4);
    assert_int_equal(r.settings.executors_min, 0);
    assert_int_equal(r.settings.idle_ms, 2000);
    assert_int_equal(r.settings.tasks_max, 1000);
    assert_int_equal(r.settings.memory_max, 512 << 20);
    worker_settings_fini(&r.settings);
    assert_refused(READ("--load", "x", "--model", "exec"), "exec");
    assert_refused(READ("--load", "x", "--threads", "33"), "from 1 to 32");
}

static void assert_rule(const struct pool_rule *rule, const char *type, enum pool_model model,
                        uint32_t concurrency)
{
    assert_string_equal(rule->type, type);
    assert_int_equal(rule->model, model);
    assert_int_equal(rule->concurrency, concurrency);
}

/* Rules of single types come from the file and from options, which win. */
static void test_settings_rules(void **state)
{
    char *name = write_file("[worker]\nload = x\n[type.exec:tr]\nconcurrency = 3\n"
                            "[type.square]\nmodel = fork\nconcurrency = 9\n");
    struct reading r = READ("--config", name, "--type", "exec:tr:model=exec", "--type",
                            "square:concurrency=2,model=thread");
    assert_int_equal(unlink(name), 0);
    free(name);
    assert_ok(r.status);
    assert_int_equal(r.settings.rules.count, 2);
    assert_rule(&r.settings.rules.items[0], "exec:tr", POOL_MODEL_EXEC, 3);
    assert_rule(&r.settings.rules.items[1], "square", POOL_MODEL_THREAD, 2);
    worker_settings_fini(&r.settings);
    assert_refused(READ("--load", "x", "--type", "square"), "expected NAME:KEY=VALUE");
    assert_refused(READ("--load", "x", "--type", "square:model"), "expected NAME:KEY=VALUE");
    assert_refused(READ("--load", "x", "--type", "a=b:model=fork"), "expected NAME:KEY=VALUE");
    assert_refused(READ("--load", "x", "--type", "square:model=fast"), "not 'fast'");
    assert_refused(READ("--load", "x", "--type", "square:concurrency=0"), "not '0'");
    assert_refused(READ("--load", "x", "--type", "square:colour=red"), "unknown key 'colour'");
    assert_refused(READ("--load", "x", "--type", " :model=fork"), "no name");
    assert_refused(read_file("[type.x]\nspeed = 1\n"), "unknown key 'speed'");
}

/* A worker without a single handler is a mistake. */
static void test_settings_refuses_nothing_to_run(void **state)
{
    assert_refused(READ("--slots", "2"), "nothing to run");
}

/* Help and version are given whatever else is missing. */
static void test_settings_orders(void **state)
{
    static const struct {
        const char *word;
        enum worker_order order;
    } orders[] = {{"--help", WORKER_ORDER_HELP}, {"--version", WORKER_ORDER_VERSION}};
    for (size_t i = 0; i < 2; i++) {
        struct reading r = READ(orders[i].word);
        assert_ok(r.status);
        assert_int_equal(r.order, orders[i].order);
        worker_settings_fini(&r.settings);
    }
    struct reading r = READ("--load", "x", "--check-config");
    assert_int_equal(r.order, WORKER_ORDER_CHECK);
    worker_settings_fini(&r.settings);
    r = READ("--load", "x", "--call", "square", "7");
    assert_int_equal(r.order, WORKER_ORDER_CALL);
    assert_string_equal(r.settings.call_type, "square");
    assert_string_equal(r.settings.call_json, "7");
    worker_settings_fini(&r.settings);
}

/* Handlers of the file become commands. */
static void test_handlers_of_the_file(void **state)
{
    struct reading r = read_file("[worker]\n"
                                 "slots = 4\n"
                                 "[handler.thumb]\n"
                                 "command = convert \"a b\" 'c\\d' e\\ f {}\n"
                                 "argument = one argument; with spaces\n"
                                 "stdin = text\n"
                                 "stdout = raw\n"
                                 "content-type = image/png\n"
                                 "cwd = /srv\n"
                                 "environment = LANG HOME\n"
                                 "max-output = 2M\n"
                                 "[handler.py]\n"
                                 "command = python3 handler.py\n"
                                 "persist = yes\n");
    assert_ok(r.status);
    assert_int_equal(r.settings.slots, 4);
    assert_int_equal(r.settings.handlers.count, 2);
    const struct pool_command *thumb = &r.settings.handlers.commands[0];
    static const char *const words[] = {"convert", "a b", "c\\d",
                                        "e f",     "{}",  "one argument; with spaces"};
    assert_string_equal(thumb->type, "thumb");
    assert_int_equal(thumb->argc, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(thumb->argv[i], words[i]);
    }
    assert_int_equal(thumb->stdin_mode, POOL_STDIN_TEXT);
    assert_int_equal(thumb->stdout_mode, POOL_STDOUT_RAW);
    assert_string_equal(thumb->content_type, "image/png");
    assert_string_equal(thumb->cwd, "/srv");
    assert_int_equal(thumb->environment_count, 2);
    assert_string_equal(thumb->environment[1], "HOME");
    assert_int_equal(thumb->output_max, 2 * 1024 * 1024);
    assert_false(thumb->persist);
    assert_true(r.settings.handlers.commands[1].persist);
    assert_int_equal(r.settings.handlers.commands[1].argc, 2);
    worker_settings_fini(&r.settings);
}

/* Mistakes in the file are refused with file and line. */
static void test_handlers_refuse_mistakes(void **state)
{
    assert_refused(read_file("[handler.x]\ncommand = a\nfoo = 1\n"), ":3: unknown key 'foo'");
    assert_refused(read_file("[handler.x]\ncommand = \"a\n"), "left open");
    assert_refused(read_file("[handler.x]\nargument = a\n"), "after command");
    assert_refused(read_file("[handler.x]\nstdin = text\n"), "[handler.x] has no command");
    assert_refused(read_file("[handler.x/y]\ncommand = a\n"), "no name for a task type");
    assert_refused(read_file("[handler.x]\ncommand = a\nstdin = xml\n"), "not 'xml'");
    assert_refused(read_file("[handler.x]\ncommand = a\nstdout = xml\n"), "not 'xml'");
    assert_refused(read_file("[handler.x]\ncommand = a\npersist = maybe\n"), "maybe");
    assert_refused(read_file("[handler.x]\ncommand = a\ncwd = here\n"), "absolute");
    assert_refused(read_file("[handler.x]\ncommand = a\nmax-output = 1T\n"), "max-output");
    assert_refused(read_file("[handler.x]\ncommand = a\ncontent-type = a/b\n"), "stdout = raw");
    assert_refused(read_file("[handlers]\nx = 1\n"), "unknown section");
    assert_refused(read_file("[worker]\nspeed = 9\n"), "unknown key 'speed'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_defaults),
        cmocka_unit_test(test_settings_options),
        cmocka_unit_test(test_settings_environment),
        cmocka_unit_test(test_settings_refuses_nonsense),
        cmocka_unit_test(test_settings_executors),
        cmocka_unit_test(test_settings_rules),
        cmocka_unit_test(test_settings_refuses_nothing_to_run),
        cmocka_unit_test(test_settings_orders),
        cmocka_unit_test(test_handlers_of_the_file),
        cmocka_unit_test(test_handlers_refuse_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
