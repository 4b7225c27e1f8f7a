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
    assert_ok(alert_actions_new(command, NULL, &quiet, &actions));
    alert_actions_tell(actions, &alert);
    read_line(fd, line, sizeof line);
    assert_string_equal(line, "{\"rule\":\"disk\",\"subject\":\"web\\n1\",\"state\":\"firing\","
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

/* A webhook that never answers holds up its own thread: what comes is kept as far as there is
 * room, then counted, and the end does not wait for it. */
static void test_mute_webhook_stalls_nothing(void **state)
{
    char url[64];
    struct alert_actions *actions = NULL;
    int fd = listen_somewhere(url);
    assert_ok(alert_actions_new(NULL, url, &quiet, &actions));
    alert_actions_tell(actions, &alert);
    assert_true(is_readable(fd)); /* it is there, and is not accepted */
    for (int i = 0; i < 3 * ALERT_ACTIONS_MAX; i++) {
        alert_actions_tell(actions, &alert);
    }
    struct alert_action_counts counts = alert_actions_counts(actions);
    assert_int_equal(counts.dropped, 2 * ALERT_ACTIONS_MAX);
    assert_int_equal(counts.done + counts.failed, 0);
    uint64_t begin_ms = drv_clock_now_ms();
    alert_actions_destroy(&actions);
    assert_true((int64_t)(drv_clock_now_ms() - begin_ms) < test_deadline_ms(5000));
    (void)close(fd);
}

/* The answer of one connection, and the request that it had. */
static void serve(int listener, const char *answer, char *out_line, size_t size)
{
    char rest[2048];
    assert_true(is_readable(listener));
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    read_line(fd, out_line, size);
    for (size_t len = 0; len + 1 < sizeof rest; len++) { /* up to the end of the JSON */
        assert_true(is_readable(fd));
        assert_true(read(fd, rest + len, 1) == 1);
        if (rest[len] == '\n' && len > 0 && rest[len - 1] == '}') {
            break;
        }
    }
    assert_true(write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
    (void)close(fd);
}

/* An answer that may be another one later is asked for again. */
static void test_webhook_is_tried_again(void **state)
{
    char url[64], line[256];
    struct alert_actions *actions = NULL;
    int fd = listen_somewhere(url);
    assert_ok(alert_actions_new("", url, &quiet, &actions));
    alert_actions_tell(actions, &alert);
    serve(fd, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line,
          sizeof line);
    assert_string_equal(line, "POST /hook HTTP/1.1\r\n");
    serve(fd, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n", line, sizeof line);
    alert_actions_tell(actions, &alert); /* the next one comes when that is done */
    serve(fd, "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line,
          sizeof line);
    assert_int_equal(alert_actions_counts(actions).done, 1);
    alert_actions_destroy(&actions);
    (void)close(fd);
}

/* Nothing is asked for: nothing is made. */
static void test_nothing_is_made_for_nothing(void **state)
{
    struct alert_actions *actions = (struct alert_actions *)state;
    assert_ok(alert_actions_new(NULL, "", &quiet, &actions));
    assert_null(actions);
    alert_actions_tell(actions, &alert);
    alert_actions_destroy(&actions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_gets_the_alert),
        cmocka_unit_test(test_mute_webhook_stalls_nothing),
        cmocka_unit_test(test_webhook_is_tried_again),
        cmocka_unit_test(test_nothing_is_made_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
