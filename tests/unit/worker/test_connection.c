/* Unit test of worker/connection.c. */
#include "connection.h"
#include "test.h"

enum { TIMES = 200 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_follow_each_other_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
