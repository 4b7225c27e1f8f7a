/*
 * auth/zap.h, auth/selftest.h: who is let in, and that a broker which lets anybody in does not
 * serve.
 */
#include "test.h"

#include "check.h"
#include "identity.h"
#include "rng.h"
#include "selftest.h"
#include "text.h"
#include "zap.h"

#include <pthread.h>
#include <zmq.h>

enum { WAIT_MS = 10000, ROUNDS = 300, FRAMES_MAX = 12 };

struct pair {
    uint8_t public_key[ACCESS_KEY_BYTES], secret_key[ACCESS_KEY_BYTES];
};

struct yard {
    void *context;
    struct zap *zap; /* NULL: nobody answers */
    void *server;
    struct pair broker;
    char endpoint[128];
};

static void make_pair(struct pair *pair)
{
    char public_text[41], secret_text[41];
    assert_int_equal(zmq_curve_keypair(public_text, secret_text), 0);
    assert_non_null(zmq_z85_decode(pair->public_key, public_text));
    assert_non_null(zmq_z85_decode(pair->secret_key, secret_text));
}

static struct access *table_of(const struct pair *pairs, size_t count)
{
    struct access *access = NULL;
    assert_ok(access_new(1, &access));
    for (size_t i = 0; i < count; i++) {
        assert_ok(access_add_key(access, drv_str_of("alice"), pairs[i].public_key,
                                 ACCESS_SUBMIT, NULL, 0));
    }
    return access;
}

static void set_keys(struct yard *yard, const struct pair *pairs, size_t count)
{
    struct access *access = table_of(pairs, count);
    assert_ok(zap_set(yard->zap, access));
    access_destroy(&access);
}

/* A guarded socket, with our handler or without any. */
static void yard_open(struct yard *yard, bool has_handler, bool is_guarded)
{
    struct drv_problem problem = {""};
    size_t len = sizeof yard->endpoint;
    const int linger = 0;
    *yard = (struct yard){.context = zmq_ctx_new()};
    assert_non_null(yard->context);
    make_pair(&yard->broker);
    if (has_handler) {
        assert_ok(zap_start(yard->context, &yard->zap, &problem));
        set_keys(yard, NULL, 0);
    }
    yard->server = zmq_socket(yard->context, ZMQ_ROUTER);
    assert_non_null(yard->server);
    assert_int_equal(zmq_setsockopt(yard->server, ZMQ_LINGER, &linger, sizeof linger), 0);
    if (is_guarded) {
        assert_ok(zap_guard(yard->server, yard->broker.secret_key, &problem));
    }
    assert_int_equal(zmq_bind(yard->server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(yard->server, ZMQ_LAST_ENDPOINT, yard->endpoint, &len), 0);
}

static void yard_close(struct yard *yard)
{
    assert_int_equal(zmq_close(yard->server), 0);
    zap_stop(&yard->zap);
    assert_int_equal(zmq_ctx_term(yard->context), 0);
}

/* A message from who has this key, or a refusal: whether the server heard it. The User-Id is
 * checked on the way. */
static bool is_heard(struct yard *yard, const struct pair *pair)
{
    const int linger = 0, never = -1;
    void *context = zmq_ctx_new();
    void *client = zmq_socket(context, ZMQ_DEALER);
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    assert_int_equal(zmq_setsockopt(client, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_RECONNECT_IVL, &never, sizeof never), 0);
    assert_int_equal(
        zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, yard->broker.public_key, ACCESS_KEY_BYTES),
        0);
    assert_int_equal(
        zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, pair->public_key, ACCESS_KEY_BYTES), 0);
    assert_int_equal(
        zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, pair->secret_key, ACCESS_KEY_BYTES), 0);
    assert_int_equal(zmq_socket_monitor(client, "inproc://m", ZMQ_EVENT_HANDSHAKE_FAILED_AUTH),
                     0);
    assert_int_equal(zmq_connect(monitor, "inproc://m"), 0);
    assert_int_equal(zmq_connect(client, yard->endpoint), 0);
    assert_int_equal(zmq_send(client, "x", 1, 0), 1);
    zmq_pollitem_t items[] = {{.socket = yard->server, .events = ZMQ_POLLIN},
                              {.socket = monitor, .events = ZMQ_POLLIN}};
    assert_true(zmq_poll(items, 2, WAIT_MS) > 0);
    bool heard = (items[0].revents & ZMQ_POLLIN) != 0;
    if (heard) {
        zmq_msg_t part;
        struct drv_curve_key key;
        (void)zmq_msg_init(&part);
        assert_true(zmq_msg_recv(&part, yard->server, 0) >= 0);
        assert_true(zmq_msg_recv(&part, yard->server, 0) >= 0);
        const char *user = zmq_msg_gets(&part, "User-Id");
        assert_non_null(user);
        assert_true(drv_curve_key_parse(user, strlen(user), &key));
        assert_memory_equal(key.bytes, pair->public_key, ACCESS_KEY_BYTES);
        (void)zmq_msg_close(&part);
    }
    (void)zmq_socket_monitor(client, NULL, 0);
    (void)zmq_close(client);
    (void)zmq_close(monitor);
    (void)zmq_ctx_term(context);
    return heard;
}

/* Exactly the keys of the table get in, and each message names its key; a new table counts for
 * the next connection. */
static void test_keys_of_the_table_are_let_in(void **state)
{
    struct yard yard;
    struct pair pairs[2];
    yard_open(&yard, true, true);
    make_pair(&pairs[0]);
    make_pair(&pairs[1]);
    assert_false(is_heard(&yard, &pairs[0]));
    set_keys(&yard, pairs, 1);
    assert_true(is_heard(&yard, &pairs[0]));
    assert_false(is_heard(&yard, &pairs[1]));
    set_keys(&yard, pairs + 1, 1);
    assert_false(is_heard(&yard, &pairs[0]));
    assert_true(is_heard(&yard, &pairs[1]));
    assert_int_equal(zap_take_refused(yard.zap), 3);
    assert_int_equal(zap_take_refused(yard.zap), 0);
    yard_close(&yard);
}

/* Whatever is asked gets one whole answer, and only a well-formed question with a known key a
 * yes. */
static void test_odd_requests_are_refused(void **state)
{
    struct yard yard;
    struct pair pair;
    struct drv_rng rng;
    const int wait = WAIT_MS, linger = 0;
    yard_open(&yard, true, true);
    make_pair(&pair);
    set_keys(&yard, &pair, 1);
    drv_rng_init(&rng, test_seed());
    void *asker = zmq_socket(yard.context, ZMQ_REQ);
    assert_int_equal(zmq_setsockopt(asker, ZMQ_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(zmq_setsockopt(asker, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_connect(asker, "inproc://zeromq.zap.01"), 0);
    for (int round = 0; round < ROUNDS; round++) {
        const void *parts[FRAMES_MAX] = {"1.0", "1",     "drover",       "127.0.0.1",
                                         "",    "CURVE", pair.public_key};
        size_t lens[FRAMES_MAX] = {3, 1, 6, 9, 0, 5, ACCESS_KEY_BYTES};
        static const uint8_t noise[5000] = {1, 2, 3};
        size_t count = 7;
        bool is_fine = round == 0;
        if (!is_fine) {
            size_t at = (size_t)drv_rng_below(&rng, 8);
            size_t len = (size_t)drv_rng_below(&rng, 2) == 0
                             ? drv_rng_below(&rng, 40)
                             : drv_rng_below(&rng, sizeof noise);
            if (at == 7) {
                count = 1 + (size_t)drv_rng_below(&rng, FRAMES_MAX - 1);
                is_fine = count == 7;
            } else if (at == 1 || at == 3 || at == 4) {
                parts[at] = noise; /* says nothing, but must not be too long */
                lens[at] = len;
                is_fine = len <= 256;
            } else {
                parts[at] = noise;
                lens[at] = len;
            }
        }
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(zmq_send(asker, parts[i] == NULL ? "" : parts[i], lens[i],
                                      i + 1 < count ? ZMQ_SNDMORE : 0),
                             (int)lens[i]);
        }
        char frames[6][300];
        for (size_t i = 0; i < DRV_ARRAY_LEN(frames); i++) {
            int more = 0;
            size_t size = sizeof more;
            int len = zmq_recv(asker, frames[i], sizeof frames[i] - 1, 0);
            assert_true(len >= 0 && len < (int)sizeof frames[i]);
            frames[i][len] = '\0';
            assert_int_equal(zmq_getsockopt(asker, ZMQ_RCVMORE, &more, &size), 0);
            assert_int_equal(more, i + 1 < DRV_ARRAY_LEN(frames));
        }
        assert_string_equal(frames[0], "1.0");
        assert_string_equal(frames[2], is_fine ? "200" : "400");
        assert_int_equal(strlen(frames[4]), is_fine ? DRV_KEY_TEXT_LEN : 0);
    }
    assert_int_equal(zmq_close(asker), 0);
    yard_close(&yard);
}

/* ---- the self-test ----------------------------------------------------------------------- */

static drover_status tried(const struct yard *yard, struct drv_problem *problem)
{
    return selftest_refuses(yard->endpoint, yard->broker.public_key, problem);
}

/* Our handler, and nobody it knows: as it must be. */
static void test_selftest_passes_with_our_handler(void **state)
{
    struct yard yard;
    struct drv_problem problem = {""};
    yard_open(&yard, true, true);
    assert_ok(tried(&yard, &problem));
    yard_close(&yard);
}

/* The handler is not there: libzmq turns everybody away then, since the domain is enforced, but
 * it is not the table that does. */
static void test_selftest_fails_without_handler(void **state)
{
    struct yard yard;
    struct drv_problem problem = {""};
    yard_open(&yard, false, true);
    assert_int_equal(tried(&yard, &problem), DROVER_DENIED);
    assert_non_null(strstr(problem.text, "not serving"));
    yard_close(&yard);
}

/* The sockets do not ask for keys at all. */
static void test_selftest_fails_without_guard(void **state)
{
    struct yard yard;
    struct drv_problem problem = {""};
    yard_open(&yard, true, false);
    assert_int_equal(tried(&yard, &problem), DROVER_DENIED);
    yard_close(&yard);
}

/* Somebody's handler lets everybody in. */
static void *yes_man(void *context)
{
    static const char *const answer[] = {"1.0", "1", "200", "OK", "anybody", ""};
    void *socket = context;
    zmq_msg_t part;
    (void)zmq_msg_init(&part);
    do {
        if (zmq_msg_recv(&part, socket, 0) < 0) {
            return NULL;
        }
    } while (zmq_msg_more(&part) != 0);
    (void)zmq_msg_close(&part);
    for (size_t i = 0; i < DRV_ARRAY_LEN(answer); i++) {
        (void)zmq_send(socket, answer[i], strlen(answer[i]),
                       i + 1 < DRV_ARRAY_LEN(answer) ? ZMQ_SNDMORE : 0);
    }
    return NULL;
}

static void test_selftest_fails_when_a_stranger_is_let_in(void **state)
{
    struct yard yard;
    struct drv_problem problem = {""};
    pthread_t thread;
    const int wait = WAIT_MS, linger = 0;
    yard_open(&yard, false, true);
    void *handler = zmq_socket(yard.context, ZMQ_REP);
    assert_int_equal(zmq_setsockopt(handler, ZMQ_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(zmq_setsockopt(handler, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_bind(handler, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(pthread_create(&thread, NULL, yes_man, handler), 0);
    assert_int_equal(tried(&yard, &problem), DROVER_DENIED);
    assert_non_null(strstr(problem.text, "a stranger was let in"));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(zmq_close(handler), 0);
    yard_close(&yard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_the_table_are_let_in),
        cmocka_unit_test(test_odd_requests_are_refused),
        cmocka_unit_test(test_selftest_passes_with_our_handler),
        cmocka_unit_test(test_selftest_fails_without_handler),
        cmocka_unit_test(test_selftest_fails_without_guard),
        cmocka_unit_test(test_selftest_fails_when_a_stranger_is_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
