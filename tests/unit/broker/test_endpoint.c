/* Where the broker may listen: loopback and ipc, everything else only when asked for. */
#include "test.h"

#include "endpoint.h"

#include <string.h>

struct sample {
    const char *text;
    bool insecure;
    drover_status status;
    const char *want; /* the endpoint for the socket */
};

static const struct sample samples[] = {
    {"tcp://127.0.0.1:7710", false, DROVER_OK, "tcp://127.0.0.1:7710"},
    {"tcp://127.0.0.1:0", false, DROVER_OK, "tcp://127.0.0.1:*"},
    {"tcp://127.0.0.1:*", false, DROVER_OK, "tcp://127.0.0.1:*"},
    {"tcp://[::1]:7710", false, DROVER_OK, "tcp://[::1]:7710"},
    {"tcp://localhost:7710", false, DROVER_OK, "tcp://localhost:7710"},
    {"tcp://127.8.9.1:1", false, DROVER_OK, "tcp://127.8.9.1:1"},
    {"ipc:///run/drover.sock", false, DROVER_OK, "ipc:///run/drover.sock"},
    {"tcp://127.0.0.1.example.org:7710", false, DROVER_REFUSED, NULL},
    {"tcp://127.evil:7710", false, DROVER_REFUSED, NULL},
    {"tcp://0.0.0.0:7710", false, DROVER_REFUSED, NULL},
    {"tcp://*:7710", false, DROVER_REFUSED, NULL},
    {"tcp://[::]:7710", false, DROVER_REFUSED, NULL},
    {"tcp://0.0.0.0:7710", true, DROVER_OK, "tcp://0.0.0.0:7710"},
    {"tcp://127.0.0.1", false, DROVER_INVALID, NULL},
    {"tcp://127.0.0.1:", false, DROVER_INVALID, NULL},
    {"tcp://127.0.0.1:65536", false, DROVER_INVALID, NULL},
    {"tcp://127.0.0.1:77x", false, DROVER_INVALID, NULL},
    {"tcp://:7710", true, DROVER_INVALID, NULL},
    {"udp://127.0.0.1:7710", true, DROVER_INVALID, NULL},
    {"ipc://", true, DROVER_INVALID, NULL},
    {"", true, DROVER_INVALID, NULL},
};

/* Every row of the table is judged as it says, and a refusal comes with a reason. */
static void test_endpoint_table_is_judged_row_by_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char endpoint[ENDPOINT_MAX] = "untouched";
        struct drv_problem problem = {""};
        drover_status status = endpoint_check(samples[i].text, samples[i].insecure, endpoint,
                                              &problem);
        if (status != samples[i].status) {
            fail_msg("%s: %s", samples[i].text, drover_status_name(status));
        }
        if (status == DROVER_OK) {
            assert_string_equal(endpoint, samples[i].want);
        } else {
            assert_true(problem.text[0] != '\0');
        }
    }
}

/* An endpoint that does not fit is refused, not cut. */
static void test_endpoint_too_long_is_invalid(void **state)
{
    (void)state;
    char text[2 * ENDPOINT_MAX];
    char endpoint[ENDPOINT_MAX];
    struct drv_problem problem = {""};
    memset(text, 'a', sizeof(text));
    memcpy(text, "ipc://", 6);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(endpoint_check(text, true, endpoint, &problem), DROVER_INVALID);
}

/* Numbers are IPv4; names, brackets and the wildcard serve both families. */
static void test_endpoint_ipv4_is_told_from_names_and_ipv6(void **state)
{
    (void)state;
    assert_true(endpoint_is_ipv4("tcp://127.0.0.1:7710"));
    assert_true(endpoint_is_ipv4("tcp://0.0.0.0:*"));
    assert_false(endpoint_is_ipv4("tcp://[::1]:7710"));
    assert_false(endpoint_is_ipv4("tcp://localhost:7710"));
    assert_false(endpoint_is_ipv4("tcp://*:7710"));
    assert_false(endpoint_is_ipv4("ipc:///run/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_table_is_judged_row_by_row),
        cmocka_unit_test(test_endpoint_too_long_is_invalid),
        cmocka_unit_test(test_endpoint_ipv4_is_told_from_names_and_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
