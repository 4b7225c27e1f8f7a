/* Unit test of worker/connection.c. */
#include "connection.h"
#include "link_pair.h"
#include "pieces.h"
#include "test.h"

enum { TIMES = 200, PAYLOAD = 1024 * 1024 + 77, WAIT_MS = 20000 };

/* libzmq forgets the name of a monitor some time after it was closed: the next connection,
 * which may well stand at the same address in memory, does not stumble over it. */
static void test_connections_follow_each_other_at_once(void **state)
{
    (void)state;
    const struct drv_identity none = {.has_own = false};
    void *context = zmq_ctx_new();
    assert_non_null(context);
    for (int i = 0; i < TIMES; i++) {
        struct worker_connection *connection = NULL;
        /* Nobody is there: it does not matter. */
        assert_int_equal(worker_connection_new(context, "ipc:///dev/null/nobody", &none,
                                               1 << 20, &connection),
                         DROVER_OK);
        worker_connection_destroy(&connection, false);
    }
    assert_int_equal(zmq_ctx_term(context), 0);
}

/* The next message for the session, whenever it comes. */
static void receive(struct worker_connection *connection, struct drv_arena *arena,
                    struct drv_message *out_message)
{
    const char *reason = NULL;
    for (;;) {
        zmq_pollitem_t item = {.socket = connection->socket, .events = ZMQ_POLLIN};
        connection->may_read = true;
        drover_status status = worker_connection_receive(connection, 0, arena, out_message,
                                                         &reason);
        if (status == DROVER_NOT_READY) {
            assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
            continue;
        }
        assert_ok(status);
        if (out_message->kind != 0) {
            return;
        }
    }
}

/* Sends all that a link has to whoever has sent something to the router last. */
static void send_all(void *router, struct drv_link *link)
{
    struct drv_frames frames;
    uint8_t name[256];
    int len = zmq_recv(router, name, sizeof name, 0);
    assert_true(len > 0);
    while (drv_link_next(link, &frames)) {
        const uint8_t *blob = frames.blob == NULL ? NULL
                                                  : frames.blob->bytes + frames.blob_offset;
        assert_int_equal(zmq_send(router, name, (size_t)len, ZMQ_SNDMORE), len);
        assert_true(zmq_send(router, frames.head->bytes, frames.head->len, ZMQ_SNDMORE) > 0);
        assert_int_equal(zmq_send(router, blob, frames.blob_len, 0), frames.blob_len);
        link_drop(&frames);
    }
}

static void *open_router(void *context, char *endpoint, size_t size)
{
    const int linger = 0;
    const int wait_ms = WAIT_MS;
    void *router = zmq_socket(context, ZMQ_ROUTER);
    assert_non_null(router);
    assert_int_equal(zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(router, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    return router;
}

/* A large payload stays in the messages that brought it, and outlives the connection. */
static void test_connection_keeps_a_large_payload_where_it_came(void **state)
{
    (void)state;
    const struct drv_identity none = {.has_own = false};
    char endpoint[256];
    void *context = zmq_ctx_new();
    void *router = open_router(context, endpoint, sizeof endpoint);
    struct worker_connection *connection = NULL;
    struct drv_link *broker = link_make(LINK_EPOCH, 4 * MIB);
    struct drv_arena arena;
    struct drv_message message;
    drv_arena_init(&arena, MIB);
    assert_ok(worker_connection_new(context, endpoint, &none, 4 * MIB, &connection));
    drv_link_set_epoch(connection->link, LINK_EPOCH);
    link_send_drain(connection->link, 0); /* now the router knows who is there */
    worker_connection_send(connection);
    link_send_lease(broker, 1, PAYLOAD);
    send_all(router, broker);
    receive(connection, &arena, &message);
    assert_int_equal(message.kind, DRV_LEASE);
    struct drv_data *data = drv_data_ref(message.lease.groups[0].entries[0].val.data);
    worker_connection_destroy(&connection, false);
    assert_true(drv_data_is_pieces(data));
    assert_ok(drv_pieces_join(&data));
    const struct drv_val val = {.bytes = data->bytes, .len = data->len};
    assert_true(link_is_content(&val, PAYLOAD, 1));
    drv_data_unref(&data);
    drv_arena_fini(&arena);
    drv_link_destroy(&broker);
    assert_int_equal(zmq_close(router), 0);
    assert_int_equal(zmq_ctx_term(context), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_follow_each_other_at_once),
        cmocka_unit_test(test_connection_keeps_a_large_payload_where_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
