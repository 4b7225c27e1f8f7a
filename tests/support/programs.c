#include "programs.h"

#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 10000

static int64_t now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fail_msg("%s is not set: run through ctest", name);
    }
    return value;
}

/* In the child: stdout to the pipe, stderr to a file, and an end with the test. */
static void become(const struct test_fleet *fleet, char *const *arguments, int out)
{
    char log[160];
    (void)snprintf(log, sizeof(log), "%s/stderr", fleet->directory);
    int error = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(error, STDERR_FILENO);
    (void)execv(arguments[0], arguments);
    _exit(127);
}

static void show_log(const struct test_fleet *fleet)
{
    char log[160];
    char line[1024];
    (void)snprintf(log, sizeof(log), "%s/stderr", fleet->directory);
    FILE *file = fopen(log, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)fputs(line, stderr);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* Waits for the line that begins with "ready". */
static void await_ready(const struct test_fleet *fleet, int in, const char *program)
{
    char text[4096] = "";
    size_t len = 0;
    int64_t deadline_ms = now_ms() + test_deadline_ms(READY_MS);
    while (strstr(text, "ready") == NULL || strchr(strstr(text, "ready"), '\n') == NULL) {
        struct pollfd fd = {.fd = in, .events = POLLIN};
        int64_t left_ms = deadline_ms - now_ms();
        ssize_t got = 0;
        if (left_ms > 0 && poll(&fd, 1, (int)left_ms) > 0) {
            got = read(in, text + len, sizeof(text) - 1 - len);
        }
        if (got <= 0) {
            show_log(fleet);
            fail_msg("%s did not get ready", program);
        }
        len += (size_t)got;
        text[len] = '\0';
    }
}

static pid_t spawn(const struct test_fleet *fleet, char *const *arguments)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        become(fleet, arguments, ends[1]);
    }
    (void)close(ends[1]);
    await_ready(fleet, ends[0], arguments[0]);
    (void)close(ends[0]);
    return child;
}

static void program_path(char *path, size_t size, const char *name)
{
    (void)snprintf(path, size, "%s/%s", environment("DROVER_BIN_DIR"), name);
}

void test_fleet_start_broker(struct test_fleet *fleet)
{
    char program[512];
    char bind[160];
    char bind_workers[160];
    char memory[] = "--memory";
    program_path(program, sizeof(program), "drover-broker");
    (void)snprintf(bind, sizeof(bind), "--bind=%s", fleet->endpoint);
    (void)snprintf(bind_workers, sizeof(bind_workers), "--bind-workers=%s",
                   fleet->worker_endpoint);
    char *const arguments[] = {program, memory, bind, bind_workers, NULL};
    fleet->broker = spawn(fleet, arguments);
}

void test_fleet_kill_broker(struct test_fleet *fleet)
{
    (void)kill(fleet->broker, SIGKILL);
    (void)waitpid(fleet->broker, NULL, 0);
    fleet->broker = 0;
}

void test_fleet_add_worker(struct test_fleet *fleet, const char *slots)
{
    char program[512];
    char broker[160];
    char load[600];
    char count[32];
    program_path(program, sizeof(program), "drover-worker");
    (void)snprintf(broker, sizeof(broker), "--broker=%s", fleet->worker_endpoint);
    (void)snprintf(load, sizeof(load), "--load=%s/demo.so", environment("DROVER_MODULE_DIR"));
    (void)snprintf(count, sizeof(count), "--slots=%s", slots);
    char *const arguments[] = {program, broker, load, count, NULL};
    assert_true(fleet->worker_count < TEST_FLEET_WORKERS_MAX);
    fleet->workers[fleet->worker_count++] = spawn(fleet, arguments);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0;
}

/*
 * A process that removes the directory once this one lets go of the pipe: in test_fleet_stop,
 * or by dying, for a check that fails leaves the test where it stands.
 */
static void start_sweeper(struct test_fleet *fleet)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fleet->sweeper = fork();
    assert_true(fleet->sweeper >= 0);
    if (fleet->sweeper == 0) {
        (void)setsid(); /* who kills the test by its group is not to stop this one */
        (void)close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
        (void)nftw(fleet->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        _exit(0);
    }
    (void)close(ends[0]);
    fleet->held = ends[1];
}

void test_fleet_start(struct test_fleet *fleet, size_t workers, const char *slots)
{
    memset(fleet, 0, sizeof(*fleet));
    (void)snprintf(fleet->directory, sizeof(fleet->directory), "/tmp/drover-test-XXXXXX");
    assert_non_null(mkdtemp(fleet->directory));
    start_sweeper(fleet);
    (void)snprintf(fleet->endpoint, sizeof(fleet->endpoint), "ipc://%s/clients",
                   fleet->directory);
    (void)snprintf(fleet->worker_endpoint, sizeof(fleet->worker_endpoint), "ipc://%s/workers",
                   fleet->directory);
    test_fleet_start_broker(fleet);
    for (size_t i = 0; i < workers; i++) {
        test_fleet_add_worker(fleet, slots);
    }
}

/* Tests leave long tasks running, so that waiting for a graceful end would take long, too. */
static void end(pid_t process)
{
    if (process != 0) {
        (void)kill(process, SIGKILL);
        (void)waitpid(process, NULL, 0);
    }
}

void test_fleet_stop(struct test_fleet *fleet)
{
    for (size_t i = 0; i < fleet->worker_count; i++) {
        end(fleet->workers[i]);
    }
    end(fleet->broker);
    (void)close(fleet->held);
    (void)waitpid(fleet->sweeper, NULL, 0);
}
