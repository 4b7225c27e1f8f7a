/*
 * What is done when an alert fires: commands, webhooks, and that nobody waits for them.
 */
#include "test.h"

#include "alert_action.h"
#include "clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct drv_log quiet = {.level = DRV_LOG_OFF};

static const struct core_alert alert = {
    .rule = {"disk", 4},
    .subject = {"web\n1", 5},
    .text = {"host_disk of host \"web\"", 23},
    .severity = "critical",
    .metric = "host_disk",
    .state = "firing",
    .value = 97.5,
    .threshold = 90,
};

static bool is_readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, (int)test_deadline_ms(10000)) == 1;
}

/* Everything up to the end of a line. */
static void read_line(int fd, char *out_line, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && (len == 0 || out_line[len - 1] != '\n')) {
        assert_true(is_readable(fd));
        ssize_t got = read(fd, out_line + len, 1);
        assert_true(got == 1);
        len++;
    }
    out_line[len] = '\0';
}

/* The command gets the alert as JSON, in which nothing is as it was that could do harm. */
static void test_command_gets_the_alert(void **state)
{
    char folder[] = "/tmp/drover-test-XXXXXX";
    char fifo[64], command[128], line[1024];
    struct alert_actions *actions = NULL;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    (void)snprintf(command, sizeof command, "  tee  %s", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(fifo, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const struct alert_actions_config config = {
        .command = command, .broker = "BROKER", .host = "box", .log = &quiet};
    assert_ok(alert_actions_new(&config, &actions));
    alert_actions_tell(actions, &alert);
    read_line(fd, line, sizeof line);
    static const char begin[] = "{\"time\":\"20";
    const char *after_time = strstr(line, "Z\",");
    assert_memory_equal(line, begin, sizeof begin - 1);
    assert_non_null(after_time);
    assert_int_equal(after_time - line, strlen("{\"time\":\"2026-11-28T05:00:00.000"));
    assert_string_equal(after_time,
                        "Z\",\"broker\":\"BROKER\",\"broker_host\":\"box\","
                        "\"rule\":\"disk\",\"subject\":\"web\\n1\",\"state\":\"firing\","
                        "\"severity\":\"critical\",\"metric\":\"host_disk\","
                        "\"text\":\"host_disk of host \\\"web\\\"\",\"value\":97.5,"
                        "\"threshold\":90,\"test\":false}\n");
    alert_actions_destroy(&actions);
    (void)close(fd);
    (void)unlink(fifo);
    (void)rmdir(folder);
}

static int listen_somewhere(char out_url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(out_url, 64, "http://127.0.0.1:%u/hook", ntohs(address.sin_port));
    return fd;
}

static struct alert_actions *hook_to(const char *url, int64_t backoff_ms)
{
    struct alert_actions *actions = NULL;
    const struct alert_actions_config config = {.webhook = url,
                                                .command = "",
                                                .authorization = "Bearer s3cret",
                                                .backoff_ms = backoff_ms,
                                                .stop_ms = 50,
                                                .log = &quiet};
    assert_ok(alert_actions_new(&config, &actions));
    return actions;
}

/* Until nothing is under way any more. */
static struct alert_action_counts settled(const struct alert_actions *actions)
{
    uint64_t until_ms = drv_clock_now_ms() + (uint64_t)test_deadline_ms(10000);
    struct alert_action_counts counts = alert_actions_counts(actions);
    while (counts.waiting > 0 && drv_clock_now_ms() < until_ms) {
        (void)poll(NULL, 0, 1);
        counts = alert_actions_counts(actions);
    }
    return counts;
}

/* A command that may also be tried again: a script, whose runs leave a line each. */
struct script {
    char folder[32], path[64], told[64];
    struct alert_actions *actions;
};

static void script_open(struct script *script, const char *text, int64_t backoff_ms)
{
    *script = (struct script){.folder = "/tmp/drover-test-XXXXXX"};
    assert_non_null(mkdtemp(script->folder));
    (void)snprintf(script->path, sizeof script->path, "%s/run", script->folder);
    (void)snprintf(script->told, sizeof script->told, "%s/told", script->folder);
    FILE *file = fopen(script->path, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\ncd %s\n%s\n", script->folder, text) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(script->path, 0700), 0);
    const struct alert_actions_config config = {
        .command = script->path, .backoff_ms = backoff_ms, .log = &quiet};
    assert_ok(alert_actions_new(&config, &script->actions));
}

/* What the runs have left. */
static const char *script_told(const struct script *script, char out_text[256])
{
    FILE *file = fopen(script->told, "re");
    size_t len = file == NULL ? 0 : fread(out_text, 1, 255, file);
    out_text[len] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    return out_text;
}

/* Until just that is there, and so many of the runs have ended well. */
static void script_until(const struct script *script, const char *text, uint64_t done)
{
    char told[256];
    uint64_t until_ms = drv_clock_now_ms() + (uint64_t)test_deadline_ms(10000);
    while ((strcmp(script_told(script, told), text) != 0 ||
            alert_actions_counts(script->actions).done < done) &&
           drv_clock_now_ms() < until_ms) {
        (void)poll(NULL, 0, 1);
    }
    assert_string_equal(script_told(script, told), text);
}

static void script_close(struct script *script)
{
    alert_actions_destroy(&script->actions);
    (void)unlink(script->path);
    (void)unlink(script->told);
    assert_int_equal(rmdir(script->folder), 0);
}

/* A command that fails is run again until it does not; one that is not there is not. */
static void test_command_is_tried_again(void **state)
{
    struct script script;
    script_open(&script,
                "echo $DROVER_ALERT_STATE >>told\n"
                "test $(wc -l <told) -ge 3",
                1);
    alert_actions_tell(script.actions, &alert);
    script_until(&script, "firing\nfiring\nfiring\n", 1);
    assert_int_equal(settled(script.actions).failed, 0);
    script_close(&script);
    struct alert_actions *actions = NULL;
    const struct alert_actions_config config = {.command = "/nowhere/at/all", .log = &quiet};
    assert_ok(alert_actions_new(&config, &actions));
    alert_actions_tell(actions, &alert);
    assert_int_equal(settled(actions).failed, 1);
    alert_actions_destroy(&actions);
}

/* What waits for another try keeps nothing else from the first one, and makes way for what is
 * newer of the same; what still waits when the broker ends is run once more. */
static void test_command_that_waits_makes_way(void **state)
{
    char told[256];
    struct script script;
    struct core_alert over = alert, other = alert;
    over.state = "resolved";
    over.subject = other.subject = (struct drv_str){"db", 2};
    script_open(&script,
                "echo $DROVER_ALERT_RULE $DROVER_ALERT_STATE >>told\n"
                "test $DROVER_ALERT_STATE = resolved",
                600000);
    alert_actions_tell(script.actions, &other);
    script_until(&script, "disk firing\n", 0);
    other.rule = (struct drv_str){"cpu", 3};
    alert_actions_tell(script.actions, &other);
    script_until(&script, "disk firing\ncpu firing\n", 0);
    alert_actions_tell(script.actions, &over);
    script_until(&script, "disk firing\ncpu firing\ndisk resolved\n", 1);
    struct alert_action_counts counts = alert_actions_counts(script.actions);
    assert_int_equal(counts.done, 1);
    assert_int_equal(counts.failed, 1); /* the older one of the same */
    assert_int_equal(counts.waiting, 1);
    alert_actions_destroy(&script.actions);
    assert_string_equal(script_told(&script, told),
                        "disk firing\ncpu firing\ndisk resolved\ncpu firing\n");
    script_close(&script);
}

/* A webhook that never answers is asked for several at a time; what comes is kept as far as
 * there is room, then counted, and the end does not wait for it. */
static void test_mute_webhook_stalls_nothing(void **state)
{
    enum { ROOM = ALERT_ACTIONS_MAX + ALERT_PENDING_MAX, COUNT = 2 * ROOM };
    char url[64], subject[16];
    int fds[ALERT_WEBHOOKS_AT_ONCE];
    int fd = listen_somewhere(url);
    struct alert_actions *actions = hook_to(url, 0);
    struct core_alert one = alert;
    for (int i = 0; i < COUNT; i++) {
        one.subject.len = (size_t)snprintf(subject, sizeof subject, "web%d", i);
        one.subject.ptr = subject;
        alert_actions_tell(actions, &one);
    }
    for (size_t i = 0; i < ALERT_WEBHOOKS_AT_ONCE; i++) {
        assert_true(is_readable(fd)); /* none of them is answered */
        fds[i] = accept(fd, NULL, NULL);
        assert_true(fds[i] >= 0);
    }
    struct alert_action_counts counts = alert_actions_counts(actions);
    assert_in_range(counts.dropped, COUNT - ROOM, COUNT);
    assert_int_equal(counts.dropped + counts.waiting, COUNT);
    assert_int_equal(counts.done + counts.failed, 0);
    uint64_t begin_ms = drv_clock_now_ms();
    alert_actions_destroy(&actions);
    assert_true((int64_t)(drv_clock_now_ms() - begin_ms) < test_deadline_ms(5000));
    for (size_t i = 0; i < ALERT_WEBHOOKS_AT_ONCE; i++) {
        (void)close(fds[i]);
    }
    (void)close(fd);
}

/* The answer of one connection, and the request that it had. */
static void serve(int listener, const char *answer, char *out_request, size_t size)
{
    size_t len = 0;
    assert_true(is_readable(listener));
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    for (; len + 1 < size; len++) { /* up to the end of the JSON */
        assert_true(is_readable(fd));
        assert_true(read(fd, out_request + len, 1) == 1);
        if (out_request[len] == '\n' && len > 0 && out_request[len - 1] == '}') {
            break;
        }
    }
    out_request[len] = '\0';
    assert_true(write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
    (void)close(fd);
}

#define BUSY "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define FINE "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n"
#define NO "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

/* An answer that may be another one later is asked for again, more often than a few times; one
 * that will not be is not. The secret goes along. */
static void test_webhook_is_tried_again(void **state)
{
    char url[64], text[4096];
    int fd = listen_somewhere(url);
    struct alert_actions *actions = hook_to(url, 1);
    alert_actions_tell(actions, &alert);
    for (int i = 0; i < 6; i++) {
        serve(fd, BUSY, text, sizeof text);
    }
    assert_memory_equal(text, "POST /hook HTTP/1.1\r\n", 21);
    assert_non_null(strstr(text, "\r\nAuthorization: Bearer s3cret\r\n"));
    serve(fd, FINE, text, sizeof text);
    assert_int_equal(settled(actions).done, 1);
    alert_actions_tell(actions, &alert);
    serve(fd, NO, text, sizeof text);
    assert_int_equal(settled(actions).failed, 1);
    alert_actions_destroy(&actions);
    (void)close(fd);
}

/* What is over takes the place of its beginning, which was not told and waits: nobody is told
 * of what fires after it is over. */
static void test_news_take_the_place_of_what_waits(void **state)
{
    char url[64], text[4096];
    int fd = listen_somewhere(url);
    struct alert_actions *actions = hook_to(url, 600000);
    struct core_alert over = alert, other = alert;
    over.state = "resolved";
    other.subject = (struct drv_str){"db", 2};
    alert_actions_tell(actions, &alert);
    serve(fd, BUSY, text, sizeof text);
    alert_actions_tell(actions, &other); /* does not wait for the other one's pause */
    serve(fd, FINE, text, sizeof text);
    assert_non_null(strstr(text, "\"subject\":\"db\""));
    alert_actions_tell(actions, &over);
    serve(fd, FINE, text, sizeof text);
    assert_non_null(strstr(text, "\"state\":\"resolved\""));
    struct alert_action_counts counts = settled(actions);
    assert_int_equal(counts.done, 2);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(counts.waiting, 0);
    alert_actions_destroy(&actions);
    (void)close(fd);
}

/* What waits when the broker ends is tried once more, at once. */
static void test_end_tries_once_more(void **state)
{
    char url[64], text[4096];
    int fd = listen_somewhere(url);
    struct alert_actions *actions = NULL;
    const struct alert_actions_config config = {
        .webhook = url, .backoff_ms = 600000, .log = &quiet};
    assert_ok(alert_actions_new(&config, &actions));
    alert_actions_tell(actions, &alert);
    serve(fd, BUSY, text, sizeof text);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* answers whoever comes next */
        serve(fd, FINE, text, sizeof text);
        _exit(0);
    }
    alert_actions_destroy(&actions);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(fd);
}

/* What is below the severity that is wanted is told nobody. */
static void test_severity_is_a_filter(void **state)
{
    char url[64], text[4096];
    int fd = listen_somewhere(url);
    struct alert_actions *actions = NULL;
    const struct alert_actions_config config = {
        .webhook = url, .severity = DRV_SEVERITY_CRITICAL, .stop_ms = 50, .log = &quiet};
    struct core_alert minor = alert;
    minor.severity = "warning";
    assert_ok(alert_actions_new(&config, &actions));
    alert_actions_tell(actions, &minor);
    assert_int_equal(alert_actions_counts(actions).waiting, 0);
    alert_actions_tell(actions, &alert);
    serve(fd, FINE, text, sizeof text);
    assert_int_equal(settled(actions).done, 1);
    alert_actions_destroy(&actions);
    (void)close(fd);
}

/* Nothing is asked for: nothing is made. */
static void test_nothing_is_made_for_nothing(void **state)
{
    struct alert_actions *actions = (struct alert_actions *)state;
    const struct alert_actions_config config = {.webhook = "", .log = &quiet};
    assert_ok(alert_actions_new(&config, &actions));
    assert_null(actions);
    alert_actions_tell(actions, &alert);
    alert_actions_destroy(&actions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_gets_the_alert),
        cmocka_unit_test(test_command_is_tried_again),
        cmocka_unit_test(test_command_that_waits_makes_way),
        cmocka_unit_test(test_mute_webhook_stalls_nothing),
        cmocka_unit_test(test_webhook_is_tried_again),
        cmocka_unit_test(test_news_take_the_place_of_what_waits),
        cmocka_unit_test(test_end_tries_once_more),
        cmocka_unit_test(test_severity_is_a_filter),
        cmocka_unit_test(test_nothing_is_made_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
