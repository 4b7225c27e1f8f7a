/* selftest.c: see selftest.h. */
#include "selftest.h"

#include "check.h"
#include "identity.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

#define MONITOR "inproc://selftest"
#define EVENTS                                                                    \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |            \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | \
     ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED)

enum { Z85_LEN = 40, REFUSED = 400 };

struct attempt {
    void *context, *socket, *monitor;
};

static void attempt_fini(struct attempt *attempt)
{
    if (attempt->socket != NULL) {
        (void)zmq_socket_monitor(attempt->socket, NULL, 0);
        (void)zmq_close(attempt->socket);
    }
    if (attempt->monitor != NULL) {
        (void)zmq_close(attempt->monitor);
    }
    if (attempt->context != NULL) {
        (void)zmq_ctx_term(attempt->context);
    }
}

static bool set_keys(void *socket, const uint8_t public_key[ACCESS_KEY_BYTES])
{
    char own_public[Z85_LEN + 1], own_secret[Z85_LEN + 1];
    return zmq_curve_keypair(own_public, own_secret) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, public_key, ACCESS_KEY_BYTES) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own_public, sizeof(own_public)) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own_secret, sizeof(own_secret)) == 0;
}

static bool attempt_begin(struct attempt *attempt, const char *endpoint,
                          const uint8_t public_key[ACCESS_KEY_BYTES])
{
    const int none = 0, never = -1, on = 1, wait_ms = SELFTEST_WAIT_MS;
    attempt->context = zmq_ctx_new();
    attempt->socket = attempt->context == NULL ? NULL
                                               : zmq_socket(attempt->context, ZMQ_DEALER);
    attempt->monitor = attempt->socket == NULL ? NULL : zmq_socket(attempt->context, ZMQ_PAIR);
    return attempt->monitor != NULL &&
           zmq_setsockopt(attempt->socket, ZMQ_LINGER, &none, sizeof(none)) == 0 &&
           zmq_setsockopt(attempt->monitor, ZMQ_LINGER, &none, sizeof(none)) == 0 &&
           zmq_setsockopt(attempt->monitor, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)) == 0 &&
           zmq_setsockopt(attempt->socket, ZMQ_RECONNECT_IVL, &never, sizeof(never)) == 0 &&
           zmq_setsockopt(attempt->socket, ZMQ_IPV6, &on, sizeof(on)) == 0 &&
           set_keys(attempt->socket, public_key) &&
           zmq_socket_monitor(attempt->socket, MONITOR, EVENTS) == 0 &&
           zmq_connect(attempt->monitor, MONITOR) == 0 &&
           zmq_connect(attempt->socket, endpoint) == 0;
}

/* The first event; 0: none within the time. */
static uint16_t first_event(const struct attempt *attempt, uint32_t *out_value)
{
    uint8_t bytes[sizeof(uint16_t) + sizeof(uint32_t)];
    uint16_t event = 0;
    if (zmq_recv(attempt->monitor, bytes, sizeof(bytes), 0) == (int)sizeof(bytes)) {
        memcpy(&event, bytes, sizeof(event));
        memcpy(out_value, bytes + sizeof(event), sizeof(*out_value));
    }
    return event;
}

drover_status selftest_refuses(const char *endpoint, const uint8_t public_key[ACCESS_KEY_BYTES],
                               struct drv_problem *problem)
{
    struct attempt attempt = {NULL, NULL, NULL};
    uint32_t value = 0;
    if (!attempt_begin(&attempt, endpoint, public_key)) {
        drover_status status = drv_problem_set(problem, DROVER_INTERNAL,
                                               "self-test of the keys at %s: %s", endpoint,
                                               zmq_strerror(errno));
        attempt_fini(&attempt);
        return status;
    }
    uint16_t event = first_event(&attempt, &value);
    attempt_fini(&attempt);
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && value == REFUSED) {
        return DROVER_OK;
    }
    return drv_problem_set(
        problem, DROVER_DENIED, "self-test of the keys at %s: %s; not serving", endpoint,
        event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? "a stranger was let in"
        : event == 0                           ? "a stranger was not answered"
                     : "a stranger was turned away, but not by the broker's own handler");
}
