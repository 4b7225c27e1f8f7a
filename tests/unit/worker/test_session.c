/* The connection of a worker's session: states, reconnects, contact, heartbeats. */
#include "session_fixture.h"

/* The first turn connects to the first endpoint and says HELLO with what the worker offers. */
static void test_session_start_says_hello(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    assert_int_equal(f->seen.connects, 1);
    assert_string_equal(f->seen.endpoint, "tcp://a:1");
    assert_int_equal(f->seen.hellos, 1);
    assert_false(f->seen.hello.resume);
    assert_int_equal(f->seen.hello.role, DRV_ROLE_WORKER);
    assert_int_equal(f->seen.hello.credit_items, 2 + 4);
    assert_int_equal(f->seen.hello.credit_bytes, 4 * 1024 * 1024);
    assert_int_equal(f->seen.hello.worker.slots, 2);
    assert_int_equal(f->seen.hello.worker.type_count, 3);
    assert_int_equal(f->seen.hello.worker.lease_count, 0);
    assert_int_equal(f->seen.attaches, 0);
    fixture_destroy(f);
}

/* Without WELCOME the connection is given up after the greeting time, and the next endpoint is
 * tried. */
static void test_session_without_welcome_tries_next_endpoint(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    assert_int_equal(f->next, f->now + 5 * SECOND);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.disconnects, 1);
    assert_int_equal(f->seen.losses, 1);
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_WAITING);
    f->now = f->next;
    fixture_turn(f);
    assert_string_equal(f->seen.endpoint, "tcp://b:2");
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_GREETING);
    fixture_destroy(f);
}

/* Waits between failing connections double from 50 ms to 2 s, each between half and all of it.
 */
static void test_session_backoff_doubles_up_to_two_seconds(void **state)
{
    struct fixture *f = fixture_new();
    uint64_t full = 50;
    fixture_start(f);
    for (int i = 0; i < 10; i++) {
        worker_session_broken(f->session, "refused", f->now);
        fixture_turn(f);
        assert_in_range(f->seen.retry_ms, full / 2, full);
        assert_int_equal(f->next, f->now + (int64_t)f->seen.retry_ms * MS);
        f->now = f->next;
        fixture_turn(f);
        assert_int_equal(f->seen.connects, 1);
        full = full * 2 > 2000 ? 2000 : full * 2;
    }
    fixture_destroy(f);
}

/* Details are told once, with the next heartbeat, and again to whoever is connected to next. */
static void test_session_tells_details_once_per_connection(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    fixture_welcome_as(f, false);
    worker_session_set_details(f->session, drv_view_of("\x81\xa1x\x07", 4));
    fixture_turn(f);
    assert_int_equal(f->seen.details_len, 4);
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + SECOND);
    f->now += SECOND;
    fixture_turn(f);
    assert_int_equal(f->seen.heartbeats, 1);
    assert_int_equal(f->seen.details_len, 0);
    fixture_reconnect(f);
    assert_true(worker_session_heartbeat_at_us(f->session) == INT64_MAX);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_int_equal(f->seen.details_len, 4);
    fixture_destroy(f);
}

static void told_next(struct fixture *f, uint64_t next_us)
{
    fixture_receive(f,
                    &(struct drv_message){.kind = DRV_HEARTBEAT, .heartbeat.next_us = next_us});
    fixture_turn(f);
}

/* The next heartbeat comes when the broker wants it, though the lease bounds that and the first
 * lease ends the silence of an idle worker. */
static void test_session_beats_when_told(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    told_next(f, 1234567);
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + 1234567);
    told_next(f, 0); /* of an older broker */
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + 1234567);
    told_next(f, UINT64_MAX);
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + 11250 * 1000);
    fixture_lease(f, 1, 0);
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + SECOND);
    told_next(f, UINT64_MAX);
    assert_int_equal(worker_session_heartbeat_at_us(f->session), f->now + 5 * SECOND);
    fixture_destroy(f);
}

/* Passes time, turn by turn, until the connection is lost: after how long. */
static int64_t until_lost(struct fixture *f)
{
    int64_t begin = f->now;
    while (f->seen.losses == 0) {
        assert_true(f->next > f->now && f->next < begin + 60 * SECOND);
        f->now = f->next;
        fixture_turn(f);
    }
    return f->now - begin;
}

/* Who may speak seldom bears as much silence, until it holds something. */
static void test_session_idle_bears_silence_as_told(void **state)
{
    struct fixture *f = fixture_serving();
    told_next(f, 9 * SECOND);
    assert_int_equal(until_lost(f), 18 * SECOND);
    fixture_destroy(f);
    f = fixture_serving();
    told_next(f, 9 * SECOND);
    fixture_lease(f, 1, 0);
    fixture_turn(f);
    assert_int_equal(until_lost(f), 10 * SECOND);
    fixture_destroy(f);
}

/* WELCOME makes it serve, at once with a heartbeat. */
static void test_session_welcome_serves_and_beats(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    fixture_welcome_as(f, false);
    assert_true(worker_session_wants_stats(f->session, f->now));
    worker_session_set_host(f->session, &(struct drv_host){.cpu_percent = 12.5});
    fixture_turn(f);
    assert_int_equal(f->seen.welcomes, 1);
    assert_string_equal(f->seen.text, "w1");
    assert_int_equal(f->seen.heartbeats, 1);
    assert_true(f->seen.has_host);
    assert_true(f->seen.host.cpu_percent == 12.5);
    assert_int_equal(f->next, f->now + SECOND);
    assert_false(worker_session_wants_stats(f->session, f->now));
    fixture_destroy(f);
}

/* Heartbeats go every interval and name what runs and for how long. */
static void test_session_heartbeat_names_running(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 3);
    fixture_pass(f, SECOND);
    assert_int_equal(f->seen.heartbeats, 1);
    assert_int_equal(f->seen.running_count, 1);
    assert_int_equal(f->seen.running[0].ref.id.bytes[15], 3);
    assert_int_equal(f->seen.running[0].elapsed_ms, 1000);
    fixture_destroy(f);
}

/* Messages that were received are settled in the same turn. */
static void test_session_settles_what_it_received(void **state)
{
    struct fixture *f = fixture_serving();
    assert_int_equal(f->seen.settled, 1);
    fixture_lease(f, 1, 0);
    fixture_lease(f, 2, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.settled, 3);
    fixture_turn(f);
    assert_int_equal(f->seen.settled, 0);
    fixture_destroy(f);
}

/* Silence for the lease time breaks the connection. */
static void test_session_silence_for_lease_time_reconnects(void **state)
{
    struct fixture *f = fixture_serving();
    assert_int_equal(until_lost(f), 10 * SECOND);
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_WAITING);
    fixture_destroy(f);
}

/* A connection that lasted goes back to the same endpoint; the session asks to be resumed. */
static void test_session_reconnect_resumes_at_same_endpoint(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_pass(f, 2 * SECOND);
    fixture_reconnect(f);
    assert_string_equal(f->seen.endpoint, "tcp://a:1");
    assert_true(f->seen.hello.resume);
    assert_int_equal(f->seen.hello.session.bytes[0], 9);
    fixture_welcome_as(f, true);
    fixture_turn(f);
    assert_true(f->seen.resumed);
    fixture_destroy(f);
}

/* Endpoints of WELCOME are tried after the configured ones; those known already come once, and
 * those that name every address not at all. */
static void test_session_tries_endpoints_of_welcome(void **state)
{
    struct fixture *f = fixture_new();
    const struct drv_str told[] = {
        {"tcp://b:2", 9}, {"tcp://0.0.0.0:3", 15}, {"tcp://[::]:3", 12}, {"tcp://c:3", 9}};
    static const char *const order[] = {"tcp://b:2", "tcp://c:3", "tcp://a:1"};
    fixture_start(f);
    struct drv_message welcome = {
        .kind = DRV_WELCOME, .welcome = {.worker_endpoints = told, .worker_endpoint_count = 4}};
    fixture_receive(f, &welcome);
    fixture_turn(f);
    for (size_t i = 0; i < 3; i++) {
        fixture_reconnect(f);
        assert_string_equal(f->seen.endpoint, order[i]);
    }
    fixture_destroy(f);
}

/* MOVED leads to the endpoint that it names. */
static void test_session_moved_goes_to_new_endpoint(void **state)
{
    struct fixture *f = fixture_serving();
    const struct drv_str told[] = {{"tcp://new:4", 11}};
    struct drv_message moved = {
        .kind = DRV_MOVED, .moved = {.worker_endpoints = told, .worker_endpoint_count = 1}};
    fixture_receive(f, &moved);
    fixture_turn(f);
    assert_int_equal(f->seen.disconnects, 1);
    f->now = f->next;
    fixture_turn(f);
    assert_string_equal(f->seen.endpoint, "tcp://new:4");
    fixture_destroy(f);
}

/* A broker that ends says GOODBYE: the worker comes back. */
static void test_session_goodbye_of_broker_reconnects(void **state)
{
    struct fixture *f = fixture_serving();
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    fixture_receive(f, &goodbye);
    fixture_turn(f);
    assert_int_equal(f->seen.losses, 1);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.hellos, 1);
    fixture_destroy(f);
}

/* An ERROR to the HELLO that nothing can cure ends the worker with its words. */
static void test_session_incurable_error_stops(void **state)
{
    static const drover_status codes[] = {DROVER_WRONG_ENDPOINT, DROVER_VERSION, DROVER_DENIED};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_new();
        fixture_start(f);
        fixture_error(f, codes[i], "the worker endpoint is tcp://x:1");
        fixture_turn(f);
        assert_int_equal(f->seen.stops, 1);
        assert_int_equal(f->seen.status, codes[i]);
        assert_string_equal(f->seen.text, "the worker endpoint is tcp://x:1");
        assert_int_equal(f->next, INT64_MAX);
        fixture_destroy(f);
    }
}

/* The same to a worker that was welcomed before does not: it may have work to keep. */
static void test_session_incurable_error_later_is_tried_again(void **state)
{
    struct fixture *f = fixture_serving();
    (void)fixture_run(f, 1);
    fixture_reconnect(f);
    fixture_error(f, DROVER_WRONG_ENDPOINT, "the worker endpoint is tcp://x:1");
    fixture_turn(f);
    assert_int_equal(f->seen.stops, 0);
    assert_int_equal(f->seen.losses, 1);
    fixture_destroy(f);
}

/* Every other ERROR to the HELLO is tried again, not before the time that it asks for. */
static void test_session_busy_broker_is_tried_later(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    struct drv_message busy = {.kind = DRV_ERROR,
                               .failure = {.code = DROVER_BUSY, .retry_after_ms = 30000}};
    fixture_receive(f, &busy);
    fixture_turn(f);
    assert_int_equal(f->seen.retry_ms, 30000);
    assert_int_equal(f->next, f->now + 30 * SECOND);
    fixture_destroy(f);
}

/* While serving, an ERROR about one message is logged; one about the connection ends it. */
static void test_session_error_while_serving(void **state)
{
    struct fixture *f = fixture_serving();
    fixture_error(f, DROVER_UNSUPPORTED, "no such kind");
    fixture_turn(f);
    assert_int_equal(f->seen.complaints, 1);
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_SERVING);
    fixture_error(f, DROVER_PROTOCOL, "sequence gap");
    fixture_turn(f);
    assert_string_equal(f->seen.text, "sequence gap");
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_WAITING);
    fixture_destroy(f);
}

/* A second WELCOME on a connection breaks it; work that comes before WELCOME is ignored. */
static void test_session_messages_out_of_turn(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    fixture_lease(f, 1, 0);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    assert_int_equal(f->seen.losses, 1);
    fixture_destroy(f);
}

/* What arrives between two connections is nobody's. */
static void test_session_ignores_messages_without_connection(void **state)
{
    struct fixture *f = fixture_serving();
    worker_session_broken(f->session, "cut", f->now);
    fixture_lease(f, 1, 0);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 0);
    assert_int_equal(worker_session_get_state(f->session), WORKER_SESSION_WAITING);
    fixture_destroy(f);
}

/* A connection that lasted forgives the failures before it. */
static void test_session_lasting_connection_resets_backoff(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    for (int i = 0; i < 6; i++) {
        fixture_reconnect(f);
    }
    fixture_welcome_as(f, false);
    fixture_turn(f);
    fixture_pass(f, 2 * SECOND);
    worker_session_broken(f->session, "cut", f->now);
    fixture_turn(f);
    assert_in_range(f->seen.retry_ms, 25, 50);
    fixture_destroy(f);
}

enum event { OPEN, WELCOME, BREAK, STOP };

static void put_into(struct fixture *f, enum worker_session_state state)
{
    assert_ok(worker_session_new(&f->config, &f->session));
    if (state == WORKER_SESSION_IDLE) {
        return;
    }
    worker_session_start(f->session, f->now);
    fixture_turn(f);
    if (state == WORKER_SESSION_SERVING) {
        fixture_welcome_as(f, false);
    } else if (state == WORKER_SESSION_WAITING) {
        worker_session_broken(f->session, "cut", f->now);
    } else if (state == WORKER_SESSION_STOPPED) {
        worker_session_drain(f->session, f->now);
    }
    fixture_turn(f);
    assert_int_equal(worker_session_get_state(f->session), state);
}

static void happen(struct fixture *f, enum event event)
{
    switch (event) {
    case OPEN:
        f->now += 3 * SECOND; /* longer than any back-off, shorter than any other limit */
        break;
    case WELCOME:
        fixture_welcome_as(f, false);
        break;
    case BREAK:
        worker_session_broken(f->session, "cut", f->now);
        break;
    case STOP:
        worker_session_drain(f->session, f->now);
        break;
    }
    fixture_turn(f);
}

/* Every state meets every event as the picture in session.h says. */
static void test_session_every_state_meets_every_event(void **state)
{
    static const enum worker_session_state after[][4] = {
        [WORKER_SESSION_WAITING] = {WORKER_SESSION_GREETING, WORKER_SESSION_WAITING,
                                    WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
        [WORKER_SESSION_GREETING] = {WORKER_SESSION_GREETING, WORKER_SESSION_SERVING,
                                     WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
        [WORKER_SESSION_SERVING] = {WORKER_SESSION_SERVING, WORKER_SESSION_WAITING,
                                    WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
        [WORKER_SESSION_STOPPED] = {WORKER_SESSION_STOPPED, WORKER_SESSION_STOPPED,
                                    WORKER_SESSION_STOPPED, WORKER_SESSION_STOPPED},
    };
    for (int from = WORKER_SESSION_WAITING; from <= WORKER_SESSION_STOPPED; from++) {
        for (int event = OPEN; event <= STOP; event++) {
            struct fixture *f = fixture_new();
            put_into(f, (enum worker_session_state)from);
            happen(f, (enum event)event);
            assert_int_equal(worker_session_get_state(f->session), after[from][event]);
            fixture_destroy(f);
        }
    }
}

/* A session without an endpoint or without a slot is refused. */
static void test_session_needs_endpoint_and_slot(void **state)
{
    struct fixture *f = fixture_new();
    f->config.endpoint_count = 0;
    assert_int_equal(worker_session_new(&f->config, &f->session), DROVER_INVALID);
    f->config.endpoint_count = 1;
    f->config.slots = 0;
    assert_int_equal(worker_session_new(&f->config, &f->session), DROVER_INVALID);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_start_says_hello),
        cmocka_unit_test(test_session_without_welcome_tries_next_endpoint),
        cmocka_unit_test(test_session_backoff_doubles_up_to_two_seconds),
        cmocka_unit_test(test_session_welcome_serves_and_beats),
        cmocka_unit_test(test_session_tells_details_once_per_connection),
        cmocka_unit_test(test_session_heartbeat_names_running),
        cmocka_unit_test(test_session_beats_when_told),
        cmocka_unit_test(test_session_settles_what_it_received),
        cmocka_unit_test(test_session_idle_bears_silence_as_told),
        cmocka_unit_test(test_session_silence_for_lease_time_reconnects),
        cmocka_unit_test(test_session_reconnect_resumes_at_same_endpoint),
        cmocka_unit_test(test_session_tries_endpoints_of_welcome),
        cmocka_unit_test(test_session_moved_goes_to_new_endpoint),
        cmocka_unit_test(test_session_goodbye_of_broker_reconnects),
        cmocka_unit_test(test_session_incurable_error_stops),
        cmocka_unit_test(test_session_incurable_error_later_is_tried_again),
        cmocka_unit_test(test_session_busy_broker_is_tried_later),
        cmocka_unit_test(test_session_error_while_serving),
        cmocka_unit_test(test_session_messages_out_of_turn),
        cmocka_unit_test(test_session_ignores_messages_without_connection),
        cmocka_unit_test(test_session_every_state_meets_every_event),
        cmocka_unit_test(test_session_needs_endpoint_and_slot),
        cmocka_unit_test(test_session_lasting_connection_resets_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
