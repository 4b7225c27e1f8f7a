/* What an HTTP request asks for, and whether it may. */
#include "test.h"

#include "inquiry.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "01M8FEVNRK97V9YBDH4M1GD3VP"

static struct inquiry parsed(const char *path)
{
    struct inquiry request;
    assert_int_equal(inquiry_path(path, &request), DROVER_OK);
    return request;
}

/* Each path of the API leads to its topic, with the operand that it names. */
static void test_inquiry_path_names_topic_and_operand(void **state)
{
    (void)state;
    struct inquiry request = parsed("/api/v1/tasks");
    assert_int_equal(request.route, ROUTE_QUERY);
    assert_int_equal(request.topic, DRV_TOPIC_TASKS);
    request = parsed("/api/v1/task/" ID ".17");
    assert_int_equal(request.topic, DRV_TOPIC_TASK);
    assert_true(request.has_id);
    assert_int_equal(request.index, 17);
    request = parsed("/api/v1/why/" ID);
    assert_int_equal(request.topic, DRV_TOPIC_WHY);
    assert_int_equal(request.index, DROVER_INDEX_NONE);
    request = parsed("/api/v1/worker/w-1:x");
    assert_string_equal(request.name, "w-1:x");
    request = parsed("/api/v1/queue/q-1");
    assert_int_equal(request.topic, DRV_TOPIC_QUEUES);
    assert_string_equal(request.name, "q-1");
    request = parsed("/api/v1/history");
    assert_int_equal(inquiry_parameter(&request, "queue", "q"), DROVER_OK);
    assert_int_equal(request.topic, DRV_TOPIC_QUEUE_HISTORY);
    assert_int_equal(inquiry_parameter(&request, "worker", "w"), DROVER_INVALID); /* or */
    assert_int_equal(parsed("/metrics").route, ROUTE_METRICS);
    assert_int_equal(parsed("/").route, ROUTE_FILE);
    request = parsed("/api/v1/events");
    assert_int_equal(request.route, ROUTE_EVENTS);
    assert_int_equal(inquiry_parameter(&request, "since", "9007199254740991"), DROVER_OK);
    assert_true(request.has_since && request.since == INQUIRY_SINCE_MAX);
    assert_int_equal(inquiry_parameter(&request, "since", "9007199254740992"), DROVER_INVALID);
    assert_int_equal(inquiry_parameter(&request, "since", "-1"), DROVER_INVALID);
    assert_int_equal(inquiry_parameter(&request, "limit", "1"), DROVER_INVALID);
    request = parsed("/api/v1/elements/" ID);
    assert_int_equal(request.topic, DRV_TOPIC_ELEMENTS);
    assert_int_equal(inquiry_parameter(&request, "state", "failed,expired"), DROVER_OK);
    assert_int_equal(inquiry_parameter(&request, "queue", "q"), DROVER_INVALID);
    request = parsed("/api/v1/status");
    assert_int_equal(inquiry_parameter(&request, "since", "1"), DROVER_INVALID);
}

/* What changes something is named by what it is about and a verb. */
static void test_inquiry_path_names_action(void **state)
{
    (void)state;
    assert_int_equal(parsed("/api/v1/task/" ID "/cancel").action, ACTION_CANCEL);
    assert_int_equal(parsed("/api/v1/task/" ID ".3/cancel").index, 3);
    assert_int_equal(parsed("/api/v1/queue/bulk/pause").action, ACTION_PAUSE);
    assert_int_equal(parsed("/api/v1/worker/w/resume").action, ACTION_UNDRAIN);
    assert_string_equal(parsed("/api/v1/queue/bulk/resume").name, "bulk");
    struct inquiry inquiry = parsed("/api/v1/alert/worker-lost/acknowledge");
    assert_int_equal(inquiry.action, ACTION_ACKNOWLEDGE);
    assert_int_equal(inquiry_parameter(&inquiry, "subject", "w1"), DROVER_OK);
    assert_int_equal(inquiry_parameter(&inquiry, "subject", "a b"), DROVER_INVALID);
    inquiry = parsed("/api/v1/queue/bulk/resume");
    assert_int_equal(inquiry_parameter(&inquiry, "subject", "w1"), DROVER_INVALID);
    assert_int_equal(inquiry_parameter(&inquiry, "create", "0"), DROVER_INVALID);
    assert_false(inquiry.may_create);
    assert_int_equal(inquiry_parameter(&inquiry, "create", "1"), DROVER_OK);
    assert_true(inquiry.may_create);
    inquiry = parsed("/api/v1/alert/worker-lost/silence");
    assert_int_equal(inquiry.action, ACTION_SILENCE);
    assert_int_equal(inquiry.time_ms, 3600000);
    assert_int_equal(inquiry_parameter(&inquiry, "for", "30m"), DROVER_OK);
    assert_int_equal(inquiry.time_ms, 1800000);
    assert_int_equal(inquiry_parameter(&inquiry, "for", "0s"), DROVER_INVALID);
    assert_int_equal(inquiry_parameter(&inquiry, "for", "9000h"), DROVER_INVALID);
    assert_int_equal(inquiry_parameter(&inquiry, "for", "soon"), DROVER_INVALID);
    inquiry = parsed("/api/v1/alert/worker-lost/unsilence");
    assert_int_equal(inquiry.action, ACTION_UNSILENCE);
    assert_int_equal(inquiry.time_ms, 0);
    assert_int_equal(inquiry_parameter(&inquiry, "for", "1h"), DROVER_INVALID);
    assert_int_equal(parsed("/api/v1/alert-rules").topic, DRV_TOPIC_ALERT_RULES);
}

/* Ids, indexes and names that are none, and paths that are not there, are told apart. */
static void test_inquiry_path_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        drover_status status;
    } cases[] = {
        {"/api/v1/", DROVER_UNKNOWN},
        {"/api/v1/nothing", DROVER_UNKNOWN},
        {"/api/v1/status/", DROVER_UNKNOWN},
        {"/api/v1/task/", DROVER_INVALID},
        {"/api/v1/task/short", DROVER_INVALID},
        {"/api/v1/task/" ID ".", DROVER_INVALID},
        {"/api/v1/task/" ID ".-1", DROVER_INVALID},
        {"/api/v1/task/" ID ".10000000", DROVER_INVALID},
        {"/api/v1/task/" ID "x", DROVER_INVALID},
        {"/api/v1/worker/a b", DROVER_INVALID},
        {"/api/v1/worker/", DROVER_INVALID},
        {"/api/v1/queue//pause", DROVER_INVALID},
        {"/api/v1/queue/../pause", DROVER_OK}, /* a name like any other */
        {"/api/v1/queue/a%2f/pause", DROVER_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct inquiry request;
        assert_int_equal(inquiry_path(cases[i].path, &request), cases[i].status);
    }
}

static drover_status parameter(const char *path, const char *key, const char *value)
{
    struct inquiry request = parsed(path);
    return inquiry_parameter(&request, key, value);
}

/* A path takes its own parameters, within their bounds, and no others. */
static void test_inquiry_parameters_are_those_of_the_path(void **state)
{
    (void)state;
    struct inquiry request = parsed("/api/v1/tasks");
    assert_int_equal(inquiry_parameter(&request, "state", "failed,running"), DROVER_OK);
    assert_int_equal(request.states, 1U << DROVER_STATE_FAILED | 1U << DROVER_STATE_RUNNING);
    assert_int_equal(inquiry_parameter(&request, "limit", "50"), DROVER_OK);
    assert_int_equal(inquiry_parameter(&request, "cursor", "00fF"), DROVER_OK);
    assert_int_equal(request.cursor_len, 2);
    assert_int_equal(request.cursor[1], 0xff);
    struct drv_query query;
    inquiry_query(&request, &query);
    assert_int_equal(query.limit, 50);
    assert_null(query.name.ptr);
    assert_int_equal(parameter("/api/v1/tasks", "limit", "0"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "limit", "1001"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "limit", "99999999999999999999"),
                     DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "limit", NULL), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "cursor", "abc"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "cursor", "zz"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "state", "dead"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/tasks", "queue", "a b"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/queues", "queue", "a"), DROVER_INVALID);
    assert_int_equal(parameter("/api/v1/status", "limit", "5"), DROVER_INVALID);
}

/* A name that anybody could have pointed here does not reach the page. */
static void test_inquiry_host_must_be_an_address_or_allowed(void **state)
{
    (void)state;
    struct drv_problem problem = {""};
    struct http_config config = {.host = "127.0.0.1"};
    assert_int_equal(http_config_allow(&config, "drover.example", &problem), DROVER_OK);
    static const char *const fine[] = {
        "127.0.0.1:7780", "127.0.0.1",        "localhost:7780", "LOCALHOST",
        "[::1]:80",       "192.168.0.7:7780", "Drover.Example", "drover.example:443"};
    static const char *const foreign[] = {"evil.example",
                                          "evil.example:7780",
                                          "drover.example.evil",
                                          "127.0.0.1.evil.example",
                                          "",
                                          ":7780",
                                          "[::1",
                                          "[::1]x",
                                          "localhost:",
                                          "localhost:port",
                                          "127.0.0.",
                                          "localhost:7780/../"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        assert_true(inquiry_host_is_ours(&config, fine[i]));
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_false(inquiry_host_is_ours(&config, foreign[i]));
    }
    assert_false(inquiry_host_is_ours(&config, NULL));
}

/* A page of another origin may not ask in the reader's name. */
static void test_inquiry_origin_must_be_the_host(void **state)
{
    (void)state;
    assert_true(inquiry_origin_is_ours(NULL, "localhost:7780"));
    assert_true(inquiry_origin_is_ours("http://localhost:7780", "localhost:7780"));
    assert_true(inquiry_origin_is_ours("https://drover.example", "drover.example"));
    assert_false(inquiry_origin_is_ours("http://evil.example", "localhost:7780"));
    assert_false(inquiry_origin_is_ours("http://localhost:7781", "localhost:7780"));
    assert_false(inquiry_origin_is_ours("null", "localhost:7780"));
    assert_false(inquiry_origin_is_ours("ftp://localhost:7780", "localhost:7780"));
}

/* Only the whole token is right. */
static void test_inquiry_right_needs_the_whole_token(void **state)
{
    (void)state;
    struct http_config config = {.token = "0123456789abcdef", .token_len = 16};
    struct http_config none = {.token_len = 0};
    struct http_config two = {.token = "0123456789abcdef",
                              .token_len = 16,
                              .metrics_token = "fedcba9876543210",
                              .metrics_token_len = 16};
    assert_int_equal(inquiry_right(&two, "Bearer 0123456789abcdef"), RIGHT_GIVEN);
    assert_int_equal(inquiry_right(&two, "Bearer fedcba9876543210"), RIGHT_METRICS);
    assert_int_equal(inquiry_right(&two, "Bearer fedcba987654321"), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, "Bearer fedcba9876543210"), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, NULL), RIGHT_NONE);
    assert_int_equal(inquiry_right(&config, "Bearer 0123456789abcdef"), RIGHT_GIVEN);
    assert_int_equal(inquiry_right(&config, "bearer 0123456789abcdef"), RIGHT_GIVEN);
    assert_int_equal(inquiry_right(&config, "Bearer 0123456789abcdeg"), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, "Bearer 0123456789abcde"), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, "Bearer 0123456789abcdef0123456789abcdef"),
                     RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, "Bearer "), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&config, "Basic 0123456789abcdef"), RIGHT_WRONG);
    assert_int_equal(inquiry_right(&none, "Bearer "), RIGHT_WRONG);
}

/* HOST:PORT with brackets for IPv6, or off. */
static void test_http_config_address_is_host_and_port(void **state)
{
    (void)state;
    struct drv_problem problem = {""};
    struct http_config config = {.is_off = false};
    assert_int_equal(http_config_address(&config, "127.0.0.1:7780", &problem), DROVER_OK);
    assert_true(http_config_is_loopback(&config));
    assert_int_equal(http_config_address(&config, "[::1]:*", &problem), DROVER_OK);
    assert_string_equal(config.host, "::1");
    assert_string_equal(config.port, "0");
    assert_true(http_config_is_loopback(&config));
    assert_int_equal(http_config_address(&config, "0.0.0.0:80", &problem), DROVER_OK);
    assert_false(http_config_is_loopback(&config));
    assert_int_equal(http_config_address(&config, "off", &problem), DROVER_OK);
    assert_true(config.is_off);
    static const char *const wrong[] = {
        "", "7780", ":7780", "host:", "host:99999", "a b:1", "::1:80", "host:80x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(http_config_address(&config, wrong[i], &problem), DROVER_INVALID);
    }
}

static drover_status read_token(struct http_config *config, const char *text, mode_t mode)
{
    char path[] = "/tmp/drover-token-XXXXXX";
    struct drv_problem problem = {""};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    drover_status status = http_config_token(config, path, &problem);
    assert_int_equal(unlink(path), 0);
    return status;
}

/* The token is a line that nobody guesses, in a file that nobody else reads. */
static void test_http_config_token_is_long_and_private(void **state)
{
    (void)state;
    struct http_config config = {.token_len = 0};
    assert_int_equal(read_token(&config, "short\n", 0600), DROVER_INVALID);
    assert_int_equal(read_token(&config, "0123456789 bcdef\n", 0600), DROVER_INVALID);
    assert_int_equal(read_token(&config, "0123456789abcdef\n", 0644), DROVER_REFUSED);
    assert_int_equal(config.token_len, 0);
    assert_int_equal(read_token(&config, "0123456789abcdef\nmore\n", 0600), DROVER_OK);
    assert_string_equal(config.token, "0123456789abcdef");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inquiry_path_names_topic_and_operand),
        cmocka_unit_test(test_inquiry_path_names_action),
        cmocka_unit_test(test_inquiry_path_refuses_what_it_does_not_know),
        cmocka_unit_test(test_inquiry_parameters_are_those_of_the_path),
        cmocka_unit_test(test_inquiry_host_must_be_an_address_or_allowed),
        cmocka_unit_test(test_inquiry_origin_must_be_the_host),
        cmocka_unit_test(test_inquiry_right_needs_the_whole_token),
        cmocka_unit_test(test_http_config_address_is_host_and_port),
        cmocka_unit_test(test_http_config_token_is_long_and_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
