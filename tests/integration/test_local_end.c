/*
 * Private pools end with the program that opened them, however that ends. Each story is played
 * by a child of the test, which opens a pool and says so on a pipe; the test ends the child, or
 * watches it end, and waits until nothing is left: no process, no socket, no directory.
 */
#include "marked.h"
#include "test.h"

#include <drover/client.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON 20000

struct story {
    struct marked marked;
    pid_t host;
    int from_host; /* the child's words, one byte each */
};

/* ---- the child --------------------------------------------------------------------------- */

/* No check of cmocka may fail in a child: it says what is wrong and is gone. */
static void demand(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "host: %s\n", what);
        _exit(1);
    }
}

static drover_client *open_pool(void)
{
    char endpoint[1024];
    char text[512] = "";
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.connect_timeout_ms = (uint64_t)test_deadline_ms(SOON);
    options.error_text = text;
    options.error_size = sizeof(text);
    (void)snprintf(endpoint, sizeof(endpoint), "local://2?load=%s/demo.so",
                   getenv("DROVER_MODULE_DIR"));
    demand(drover_client_open(endpoint, &options, &client) == DROVER_OK, text);
    return client;
}

static void say(int out, char word)
{
    demand(write(out, &word, 1) == 1, "nobody listens");
}

/* A task that runs for as long as it may: the end of the pool is the end of it. */
static void submit_endless(drover_client *client)
{
    drover_value *in = NULL;
    drover_id id;
    demand(drover_value_new_int(3600000, &in) == DROVER_OK, "no value");
    demand(drover_submit(client, "sleep", in, NULL, &id) == DROVER_OK, "not taken");
    drover_value_destroy(&in);
}

static void host_that_waits(int out)
{
    submit_endless(open_pool());
    say(out, 'r');
    for (;;) {
        (void)pause();
    }
}

static void host_that_exits(int out)
{
    submit_endless(open_pool());
    say(out, 'r');
    exit(0);
}

static void host_that_execs(int out)
{
    char program[] = "cat";
    char *const arguments[] = {program, NULL};
    submit_endless(open_pool());
    say(out, 'r');
    (void)dup2(out, STDOUT_FILENO);
    (void)execvp(program, arguments); /* reads the test's stdin, which is what it waits for */
    demand(false, "no cat");
}

/* Its own child lives on with copies of all descriptors. */
static void host_that_forks(int out)
{
    drover_client *client = open_pool();
    pid_t child = fork();
    demand(child >= 0, "no fork");
    if (child == 0) {
        drover_value *in = NULL;
        demand(drover_value_new_int(1, &in) == DROVER_OK, "no value");
        demand(drover_call(client, "square", in, 1000, NULL) == DROVER_CLOSED, "not closed");
        drover_client_close(&client); /* does nothing to the parent's pool */
        say(out, 'c');
        for (;;) {
            (void)pause();
        }
    }
    say(out, 'r');
    for (;;) {
        (void)pause();
    }
}

/* Closes while a copy of the link is held by a child. */
static void host_that_closes(int out)
{
    drover_client *client = open_pool();
    pid_t child = fork();
    demand(child >= 0, "no fork");
    if (child == 0) {
        say(out, 'c');
        for (;;) {
            (void)pause();
        }
    }
    say(out, 'r');
    drover_client_close(&client);
    say(out, 'x');
    for (;;) {
        (void)pause();
    }
}

/* ---- the test ---------------------------------------------------------------------------- */

static void start(struct story *story, void (*host)(int out))
{
    int ends[2];
    marked_init(&story->marked);
    assert_int_equal(pipe(ends), 0);
    story->host = fork();
    assert_true(story->host >= 0);
    if (story->host == 0) {
        (void)signal(SIGSEGV,
                     SIG_DFL); /* cmocka would go on with the next test, in the child */
        (void)close(ends[0]);
        (void)setpgid(0, 0);
        host(ends[1]);
        _exit(0);
    }
    (void)setpgid(story->host, story->host);
    (void)close(ends[1]);
    story->from_host = ends[0];
}

static char hear(const struct story *story)
{
    char word = 0;
    assert_int_equal(read(story->from_host, &word, 1), 1);
    return word;
}

/* Ends what is left of the host, its children included. */
static void finish(struct story *story)
{
    assert_true(marked_until_gone(&story->marked));
    (void)kill(-story->host, SIGKILL);
    (void)waitpid(story->host, NULL, 0);
    (void)close(story->from_host);
    marked_fini(&story->marked);
}

static void kill_host(const struct story *story, int signal)
{
    assert_true(marked_count(&story->marked) >= 4);
    assert_int_equal(kill(story->host, signal), 0);
}

/* SIGKILL of the caller: nothing of it can run any more, and all the same nothing stays. */
static void test_pool_ends_when_the_caller_is_killed(void **state)
{
    struct story story;
    start(&story, host_that_waits);
    assert_int_equal(hear(&story), 'r');
    kill_host(&story, SIGKILL);
    finish(&story);
}

/* exit, or a return from main, without closing. */
static void test_pool_ends_when_the_caller_exits(void **state)
{
    struct story story;
    start(&story, host_that_exits);
    assert_int_equal(hear(&story), 'r');
    finish(&story);
}

/* A crash. */
static void test_pool_ends_when_the_caller_crashes(void **state)
{
    struct story story;
    start(&story, host_that_waits);
    assert_int_equal(hear(&story), 'r');
    kill_host(&story, SIGSEGV);
    finish(&story);
}

/* The process goes on as another program. */
static void test_pool_ends_when_the_caller_becomes_another_program(void **state)
{
    struct story story;
    start(&story, host_that_execs);
    assert_int_equal(hear(&story), 'r');
    finish(&story);
}

/* A child of the caller that holds copies of its descriptors does not keep the pool alive. */
static void test_pool_ends_when_a_child_of_the_caller_lives_on(void **state)
{
    struct story story;
    start(&story, host_that_forks);
    char first = hear(&story);
    char second = hear(&story);
    assert_true((first == 'r' && second == 'c') || (first == 'c' && second == 'r'));
    kill_host(&story, SIGKILL);
    finish(&story);
}

/* Nor does it keep close from seeing the end. */
static void test_close_ends_the_pool_when_a_child_holds_copies(void **state)
{
    struct story story;
    start(&story, host_that_closes);
    (void)hear(&story);
    (void)hear(&story);
    assert_int_equal(hear(&story), 'x');
    assert_int_equal(marked_count(&story.marked), 0);
    finish(&story);
}

/* A stopped caller is not a dead one. */
static void test_pool_stays_while_the_caller_is_stopped(void **state)
{
    struct story story;
    int status = 0;
    start(&story, host_that_waits);
    assert_int_equal(hear(&story), 'r');
    kill_host(&story, SIGSTOP);
    assert_int_equal(waitpid(story.host, &status, WUNTRACED), story.host);
    assert_true(WIFSTOPPED(status));
    assert_true(marked_count(&story.marked) >= 4);
    kill_host(&story, SIGKILL);
    finish(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_ends_when_the_caller_is_killed),
        cmocka_unit_test(test_pool_ends_when_the_caller_exits),
        cmocka_unit_test(test_pool_ends_when_the_caller_crashes),
        cmocka_unit_test(test_pool_ends_when_the_caller_becomes_another_program),
        cmocka_unit_test(test_pool_ends_when_a_child_of_the_caller_lives_on),
        cmocka_unit_test(test_close_ends_the_pool_when_a_child_holds_copies),
        cmocka_unit_test(test_pool_stays_while_the_caller_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
