/* options.h */
#include "test.h"

#include "check.h"
#include "options.h"

#include <unistd.h>

/* ---- a program --------------------------------------------------------------------------- */

static const char *const models[] = {"prefork", "thread", "fork", NULL};

static const struct drv_option own[] = {
    {.name = "name", .kind = DRV_OPTION_STRING, .argument = "N", .help = "name of the worker"},
    {.name = "slots",
     .letter = 'n',
     .kind = DRV_OPTION_INT,
     .argument = "N",
     .help = "tasks at a time",
     .fallback = "1",
     .min = 1,
     .max = 64},
    {.name = "model",
     .kind = DRV_OPTION_CHOICE,
     .argument = "M",
     .help = "how handlers run",
     .fallback = "prefork",
     .choices = models},
    {.name = "max-memory", .kind = DRV_OPTION_SIZE, .argument = "SIZE", .help = "limit"},
    {.name = "grace",
     .kind = DRV_OPTION_DURATION,
     .argument = "D",
     .help = "time to end",
     .fallback = "5s",
     .min = 1000,
     .max = 60000},
    {.name = "queue",
     .letter = 'q',
     .kind = DRV_OPTION_STRING,
     .argument = "Q",
     .help = "a queue to serve",
     .fallback = "default",
     .repeatable = true},
    {.name = "broker",
     .kind = DRV_OPTION_STRING,
     .argument = "ENDPOINT",
     .help = "where the broker is",
     .env = "OTHER_BROKER"},
    {.name = "verbose", .letter = 'v', .help = "say more"},
    {.name = "quiet", .letter = 's', .help = "say less", .hidden = true},
    {.name = "follow",
     .help = "go on",
     .takes_duration = true,
     .min = 100,
     .max = 60000,
     .hidden = true},
};

static const struct drv_option call[] = {
    {.name = "once", .letter = '1', .help = "once only"},
};

/* What the section callback saw. */
struct seen {
    char text[200];
};

static drover_status see(void *context, const struct drv_config_entry *entry,
                         struct drv_problem *problem)
{
    struct seen *seen = context;
    if (strcmp(entry->key, "bad") == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'", entry->key);
    }
    size_t len = strlen(seen->text);
    (void)snprintf(seen->text + len, sizeof seen->text - len, "%s.%s=%s;", entry->section,
                   entry->key, entry->value);
    return DROVER_OK;
}

static struct drv_program make_program(const struct drv_option_section *sections)
{
    return (struct drv_program){
        .name = "drover-worker",
        .usage = "[options] [FILE...]",
        .about = "Runs handlers.",
        .epilog = "See also drover(1).",
        .section = "worker",
        .tables = {{.options = own,
                    .count = DRV_ARRAY_LEN(own),
                    .env_prefix = "DROVER_WORKER_",
                    .in_file = true},
                   {.title = "For calls", .options = call, .count = DRV_ARRAY_LEN(call)}},
        .table_count = 2,
        .sections = sections,
        .section_count = sections == NULL ? 0 : 1,
    };
}

/* ---- a load ------------------------------------------------------------------------------ */

struct load {
    struct seen seen;
    struct drv_option_section section;
    struct drv_program program;
    struct drv_options *options;
    struct drv_problem problem;
    char path[64];
};

static const char *no_env(const char *name)
{
    return NULL;
}

#define ARGV(...)                                                                         \
    (int)DRV_ARRAY_LEN(((const char *[]){"program", __VA_ARGS__})), (const char *const[]) \
    {                                                                                     \
        "program", __VA_ARGS__, NULL                                                      \
    }

static void load_init(struct load *load)
{
    *load = (struct load){.problem = {.text = ""}};
    load->section = (struct drv_option_section){
        .prefix = "handler.", .callback = see, .context = &load->seen};
    load->program = make_program(&load->section);
    assert_ok(drv_options_new(&load->program, &load->options));
}

static void load_fini(struct load *load)
{
    drv_options_destroy(&load->options);
    assert_null(load->options);
}

static drover_status run(struct load *load, int argc, const char *const *argv,
                         drv_options_env_fn env)
{
    load_init(load);
    return drv_options_load(load->options, argc, argv, env == NULL ? no_env : env,
                            &load->problem);
}

static void assert_refused(int argc, const char *const *argv, const char *expected)
{
    struct load load;
    assert_int_equal(run(&load, argc, argv, NULL), DROVER_INVALID);
    assert_string_equal(load.problem.text, expected);
    load_fini(&load);
}

/* ---- command line ------------------------------------------------------------------------ */

/* Without anything said the defaults hold, and nothing counts as set. */
static void test_options_defaults_hold(void **state)
{
    struct load load;
    const char *const argv[] = {"program", NULL};
    assert_ok(run(&load, 1, argv, NULL));
    assert_int_equal(drv_options_int(load.options, "slots"), 1);
    assert_int_equal(drv_options_int(load.options, "grace"), 5000);
    assert_int_equal(drv_options_int(load.options, "max-memory"), 0);
    assert_int_equal(drv_options_choice(load.options, "model"), 0);
    assert_string_equal(drv_options_string(load.options, "queue"), "default");
    assert_null(drv_options_string(load.options, "name"));
    assert_false(drv_options_flag(load.options, "verbose"));
    assert_false(drv_options_is_set(load.options, "slots"));
    assert_int_equal(drv_options_operand_count(load.options), 0);
    load_fini(&load);
}

/* All the usual spellings, with operands in between. */
static void test_options_spellings_and_operands(void **state)
{
    struct load load;
    assert_ok(run(&load,
                  ARGV("one", "--slots", "4", "--name=w=1", "-", "-vqa", "-q", "b", "-5",
                       "--model=fork", "--grace=1m", "--max-memory", "2G", "--", "--two", "-v"),
                  NULL));
    assert_int_equal(drv_options_int(load.options, "slots"), 4);
    assert_string_equal(drv_options_string(load.options, "name"), "w=1");
    assert_true(drv_options_flag(load.options, "verbose"));
    assert_int_equal(drv_options_choice(load.options, "model"), 2);
    assert_string_equal(drv_options_string(load.options, "model"), "fork");
    assert_int_equal(drv_options_int(load.options, "grace"), 60000);
    assert_int_equal(drv_options_int(load.options, "max-memory"), INT64_C(2) << 30);
    assert_int_equal(drv_options_count(load.options, "queue"), 2); /* default replaced */
    assert_string_equal(drv_options_at(load.options, "queue", 0), "a");
    assert_string_equal(drv_options_at(load.options, "queue", 1), "b");
    static const char *const operands[] = {"one", "-", "-5", "--two", "-v"};
    assert_int_equal(drv_options_operand_count(load.options), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(drv_options_operand(load.options, i), operands[i]);
    }
    load_fini(&load);
}

/* The last of several wins, unless the option keeps them all; a flag can be taken back. */
static void test_options_last_one_wins(void **state)
{
    struct load load;
    assert_ok(run(&load, ARGV("--slots=2", "-n3", "-v", "--verbose=no", "--name", ""), NULL));
    assert_int_equal(drv_options_int(load.options, "slots"), 3);
    assert_int_equal(drv_options_count(load.options, "slots"), 1);
    assert_false(drv_options_flag(load.options, "verbose"));
    assert_string_equal(drv_options_string(load.options, "name"), "");
    load_fini(&load);
}

/* Each mistake has one line that names it. */
static void test_options_mistakes_are_named(void **state)
{
    assert_refused(ARGV("--bogus"), "unknown option --bogus");
    assert_refused(ARGV("--bogus=1"), "unknown option --bogus");
    assert_refused(ARGV("--slot", "1"), "unknown option --slot");
    assert_refused(ARGV("-vx"), "unknown option -x");
    assert_refused(ARGV("--slots"), "--slots needs an argument");
    assert_refused(ARGV("-n"), "-n needs an argument");
    assert_refused(ARGV("--slots", "many"), "--slots: 'many' is not a whole number");
    assert_refused(ARGV("--slots=0"), "--slots: must be from 1 to 64");
    assert_refused(ARGV("-n65"), "-n: must be from 1 to 64");
    assert_refused(ARGV("--grace=5"),
                   "--grace: '5' is not a duration such as 250ms, 5s, 2m, 1h");
    assert_refused(ARGV("--grace=2m"), "--grace: must be from 1s to 1m");
    assert_refused(ARGV("--max-memory=1k"),
                   "--max-memory: '1k' is not a size such as 512, 64K, 16M, 1G");
    assert_refused(
        ARGV("--max-memory=9223372036854775808"),
        "--max-memory: '9223372036854775808' is not a size such as 512, 64K, 16M, 1G");
    assert_refused(ARGV("--model=bogus"),
                   "--model: 'bogus' is not one of prefork, thread, fork");
    assert_refused(ARGV("--verbose=maybe"), "--verbose: 'maybe' is not yes or no");
    assert_refused(ARGV("--\x1b[2J"), "unknown option --\\x1b[2J");
}

/* A flag may be given a duration, joined to it alone. */
static void test_options_flag_takes_a_duration(void **state)
{
    static const struct {
        const char *word;
        bool flag;
        int64_t ms;
    } cases[] = {{"--follow", true, 0},
                 {"--follow=5s", true, 5000},
                 {"--follow=yes", true, 0},
                 {"--follow=no", false, 0},
                 {"--follow=100ms", true, 100}};
    struct load load;
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        assert_ok(run(&load, ARGV(cases[i].word, "7s"), NULL));
        assert_int_equal(drv_options_flag(load.options, "follow"), cases[i].flag);
        assert_int_equal(drv_options_flag_ms(load.options, "follow"), cases[i].ms);
        assert_int_equal(drv_options_operand_count(load.options), 1);
        load_fini(&load);
    }
    assert_refused(ARGV("--follow=soon"),
                   "--follow: 'soon' is not a duration such as 250ms, 5s, 2m, 1h");
    assert_refused(ARGV("--follow=1ms"), "--follow: must be from 100ms to 1m");
}

/* A program may end its options at an operand: the rest belongs to a command. */
static void test_options_stop_after_an_operand(void **state)
{
    struct load load;
    load_init(&load);
    load.program.stop_after = 2;
    assert_ok(drv_options_load(load.options, ARGV("xargs", "-v", "grep", "-n", "--", "--x"),
                               no_env, &load.problem));
    assert_true(drv_options_flag(load.options, "verbose"));
    assert_int_equal(drv_options_operand_count(load.options), 5);
    assert_string_equal(drv_options_operand(load.options, 2), "-n");
    assert_string_equal(drv_options_operand(load.options, 3), "--");
    assert_false(drv_options_is_set(load.options, "slots"));
    load_fini(&load);
}

/* A command is found behind options with and without arguments. */
static void test_options_find_operand(void **state)
{
    const struct drv_program program = make_program(NULL);
    static const struct {
        const char *argv[8];
        size_t nth;
        int expected;
    } cases[] = {
        {{"p", "status", NULL}, 0, 1},
        {{"p", "--slots", "3", "status", NULL}, 0, 3},
        {{"p", "--slots=3", "status", NULL}, 0, 2},
        {{"p", "-v", "-n", "3", "status", NULL}, 0, 4},
        {{"p", "-n3", "status", "-v", "ls", NULL}, 1, 4},
        {{"p", "-vn", "3", "status", NULL}, 0, 3},
        {{"p", "--config", "f", "status", NULL}, 0, 3},
        {{"p", "--bogus", "status", NULL}, 0, 2},
        {{"p", "--", "--slots", NULL}, 0, 2},
        {{"p", "-v", NULL}, 0, 2},
        {{"p", "a", NULL}, 1, 2},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        int argc = 0;
        while (cases[i].argv[argc] != NULL) {
            argc++;
        }
        assert_int_equal(drv_options_find_operand(program.tables, program.table_count, argc,
                                                  cases[i].argv, cases[i].nth),
                         cases[i].expected);
    }
}

/* ---- environment and file ---------------------------------------------------------------- */

static const char *test_env(const char *name)
{
    static const char *const variables[][2] = {
        {"DROVER_WORKER_SLOTS", "7"},     {"DROVER_WORKER_QUEUE", "x,,y"},
        {"DROVER_WORKER_VERBOSE", "yes"}, {"DROVER_WORKER_NAME", ""},
        {"OTHER_BROKER", "tcp://other"},  {"DROVER_WORKER_ONCE", "yes"},
        {"DROVER_WORKER_MODEL", "thread"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(variables); i++) {
        if (strcmp(variables[i][0], name) == 0) {
            return variables[i][1];
        }
    }
    return NULL;
}

/* Variables set what the command line does not; empty ones and other tables' do not. */
static void test_options_environment(void **state)
{
    struct load load;
    assert_ok(run(&load, ARGV("--model", "fork"), test_env));
    assert_int_equal(drv_options_int(load.options, "slots"), 7);
    assert_int_equal(drv_options_count(load.options, "queue"), 2);
    assert_string_equal(drv_options_at(load.options, "queue", 1), "y");
    assert_true(drv_options_flag(load.options, "verbose"));
    assert_false(drv_options_is_set(load.options, "name"));
    assert_string_equal(drv_options_string(load.options, "broker"), "tcp://other");
    assert_false(drv_options_flag(load.options, "once"));
    assert_string_equal(drv_options_string(load.options, "model"), "fork");
    load_fini(&load);
}

static const char *bad_env(const char *name)
{
    return strcmp(name, "DROVER_WORKER_SLOTS") == 0 ? "many" : NULL;
}

/* A bad variable is named, also when the command line would have won. */
static void test_options_bad_variable_is_named(void **state)
{
    struct load load;
    assert_int_equal(run(&load, ARGV("--slots=1"), bad_env), DROVER_INVALID);
    assert_string_equal(load.problem.text, "DROVER_WORKER_SLOTS: 'many' is not a whole number");
    load_fini(&load);
}

static drover_status run_with_file(struct load *load, const char *text, const char *option,
                                   drv_options_env_fn env)
{
    load_init(load);
    (void)snprintf(load->path, sizeof load->path, "/tmp/drover-test-options-XXXXXX");
    int fd = mkstemp(load->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    drover_status status = drv_options_load(load->options, ARGV("--config", load->path, option),
                                            env, &load->problem);
    assert_int_equal(unlink(load->path), 0);
    return status;
}

/* Command line over environment over file over default, each option by itself. */
static void test_options_precedence(void **state)
{
    struct load load;
    assert_ok(run_with_file(&load,
                            "slots = 9\nmodel = fork\nqueue = f1\nqueue = f2\n[worker]\n"
                            "grace = 9s\nmax-memory = 1K\n",
                            "--grace=3s", test_env));
    assert_int_equal(drv_options_int(load.options, "grace"), 3000);
    assert_int_equal(drv_options_int(load.options, "slots"), 7);
    assert_int_equal(drv_options_int(load.options, "max-memory"), 1024);
    assert_string_equal(drv_options_at(load.options, "queue", 0), "x");
    load_fini(&load);
    assert_ok(run_with_file(&load, "queue = f1\nqueue = f2\nverbose = yes\n", "x", no_env));
    assert_int_equal(drv_options_count(load.options, "queue"), 2);
    assert_string_equal(drv_options_at(load.options, "queue", 1), "f2");
    assert_true(drv_options_flag(load.options, "verbose"));
    load_fini(&load);
}

static void assert_file_refused(const char *text, const char *expected)
{
    struct load load;
    char whole[300];
    assert_int_equal(run_with_file(&load, text, "x", no_env), DROVER_INVALID);
    (void)snprintf(whole, sizeof whole, "%s:%s", load.path, expected);
    assert_string_equal(load.problem.text, whole);
    load_fini(&load);
}

/* Everything in the file must be known, and said once. */
static void test_options_file_mistakes_name_file_and_line(void **state)
{
    assert_file_refused("slots = 2\nbogus = 1\n", "2: unknown key 'bogus'");
    assert_file_refused("once = yes\n", "1: unknown key 'once'");
    assert_file_refused("config = x\n", "1: unknown key 'config'");
    assert_file_refused("[broker]\nbind = x\n", "2: unknown section [broker]");
    assert_file_refused("slots = 2\nslots = 3\n", "2: slots: given twice");
    assert_file_refused("\nslots = 99\n", "2: slots: must be from 1 to 64");
    assert_file_refused("[handler.]\na=1\n", "2: unknown section [handler.]");
    assert_file_refused("[handler.x]\nbad=1\n", "2: unknown key 'bad'");
    assert_file_refused("nonsense\n", "1: expected key = value or [section]");
}

/* Sections beside the program's own go to whoever asked for them. */
static void test_options_sections_go_to_their_callback(void **state)
{
    struct load load;
    assert_ok(run_with_file(
        &load, "[handler.resize]\ncommand = convert\narg = -x\n[worker]\nslots=2\n", "x",
        no_env));
    assert_string_equal(load.seen.text,
                        "handler.resize.command=convert;handler.resize.arg=-x;");
    assert_int_equal(drv_options_int(load.options, "slots"), 2);
    load_fini(&load);
}

/* A file that is not there is an error of its own. */
static void test_options_missing_file(void **state)
{
    struct load load;
    assert_int_equal(run(&load, ARGV("--config=/nonexistent/x.ini"), NULL), DROVER_IO);
    assert_string_equal(load.problem.text, "/nonexistent/x.ini: No such file or directory");
    load_fini(&load);
}

static const char *config_env(const char *name)
{
    return strcmp(name, "DROVER_WORKER_CONFIG") == 0 ? "/nonexistent/y.ini" : NULL;
}

/* The file may be named by a variable; with --help nothing is read at all. */
static void test_options_file_from_environment_and_help(void **state)
{
    struct load load;
    assert_int_equal(run(&load, ARGV("x"), config_env), DROVER_IO);
    load_fini(&load);
    assert_ok(run(&load, ARGV("--help"), config_env));
    assert_true(drv_options_flag(load.options, "help"));
    assert_int_equal(drv_options_int(load.options, "slots"), 1);
    load_fini(&load);
}

/* ---- help -------------------------------------------------------------------------------- */

/* The help text names every option but hidden ones, with argument, choices and default. */
static void test_options_help_text(void **state)
{
    struct load load;
    char *text = NULL;
    size_t size = 0;
    load_init(&load);
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    drv_options_help(load.options, stream);
    assert_int_equal(fclose(stream), 0);
    assert_ptr_equal(
        strstr(text, "Usage: drover-worker [options] [FILE...]\n\nRuns handlers.\n"), text);
    assert_non_null(
        strstr(text, "\n  -n, --slots N               tasks at a time (default: 1)\n"));
    assert_non_null(strstr(text, "how handlers run: prefork, thread, fork (default:\n"));
    assert_non_null(strstr(text, "a queue to serve; may be repeated (default:"));
    assert_non_null(strstr(text, "\nFor calls:\n  -1, --once "));
    assert_non_null(strstr(text, "--check-config "));
    assert_non_null(strstr(text, "DROVER_WORKER_NAME"));
    assert_null(strstr(text, "--quiet"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    free(text);
    load_fini(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults_hold),
        cmocka_unit_test(test_options_spellings_and_operands),
        cmocka_unit_test(test_options_last_one_wins),
        cmocka_unit_test(test_options_mistakes_are_named),
        cmocka_unit_test(test_options_flag_takes_a_duration),
        cmocka_unit_test(test_options_stop_after_an_operand),
        cmocka_unit_test(test_options_find_operand),
        cmocka_unit_test(test_options_environment),
        cmocka_unit_test(test_options_bad_variable_is_named),
        cmocka_unit_test(test_options_precedence),
        cmocka_unit_test(test_options_file_mistakes_name_file_and_line),
        cmocka_unit_test(test_options_sections_go_to_their_callback),
        cmocka_unit_test(test_options_missing_file),
        cmocka_unit_test(test_options_file_from_environment_and_help),
        cmocka_unit_test(test_options_help_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
