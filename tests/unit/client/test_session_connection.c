/* The session and its connections: greeting, loss, silence, refusal, the end. */
#include "session_rig.h"

/* The first message is a HELLO of a client that resumes nothing. */
static void test_session_start_says_hello(void **state)
{
    struct rig rig;
    rig_open(&rig);
    assert_int_equal(drv_session_connection(rig.session), 0);
    rig_step(&rig, 0);
    assert_int_equal(rig.seen_count, 1);
    assert_int_equal(rig.seen[0].kind, DRV_HELLO);
    assert_int_equal(rig.seen[0].epoch, 0);
    assert_false(rig.seen[0].resume);
    assert_string_equal(drv_session_endpoint(rig.session), "tcp://here:1");
    assert_false(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* WELCOME makes it usable and tells epoch and capabilities. */
static void test_session_welcome_brings_it_up(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    rig_welcome(&rig, false);
    assert_true(drv_session_is_up(rig.session));
    assert_true(drv_session_was_up(rig.session));
    assert_true(drv_session_has_capability(rig.session, "keys"));
    assert_false(drv_session_has_capability(rig.session, "key"));
    struct rig_ask ask;
    rig_ask_init(&ask, DRV_QUERY, rig_id(1));
    drv_session_ask(rig.session, &ask.pending);
    rig_step(&rig, 0);
    assert_int_equal(rig_last(&rig, DRV_QUERY)->epoch, 3);
    rig_close(&rig);
}

/* Without an answer new connections are made, at first soon, never rarer than the patience and
 * two seconds apart. */
static void test_session_unanswered_hello_is_tried_again(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    rig_run(&rig, 2 * RIG_SECOND + 50000);
    assert_int_equal(rig.connections, 2);
    rig_run(&rig, 120 * RIG_SECOND);
    assert_in_range(rig.connections, 8, 20);
    assert_int_equal(rig_count(&rig, DRV_HELLO), rig.connections);
    assert_non_null(strstr(drv_session_problem(rig.session), "no answer"));
    rig_close(&rig);
}

/* A refused connection is tried again after 25 to 50 ms, later after up to two seconds. */
static void test_session_refused_connection_backs_off(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    drv_session_lost(rig.session, rig.connection, "refused", rig.now_us);
    rig_step(&rig, 24000);
    assert_int_equal(drv_session_connection(rig.session), 0);
    rig_step(&rig, 27000);
    assert_int_not_equal(drv_session_connection(rig.session), 0);
    int64_t started_us = rig.now_us;
    for (int i = 0; i < 20; i++) {
        drv_session_lost(rig.session, rig.connection, "refused", rig.now_us);
        rig.next_us = drv_session_tick(rig.session, rig.now_us);
        rig_step(&rig, rig.next_us - rig.now_us);
        assert_int_not_equal(rig.connection, 0);
    }
    assert_in_range(rig.now_us - started_us, 15 * RIG_SECOND, 40 * RIG_SECOND);
    rig_close(&rig);
}

/* News about a connection of the past is ignored. */
static void test_session_old_loss_is_ignored(void **state)
{
    struct rig rig;
    rig_up(&rig);
    drv_session_lost(rig.session, rig.connection - 1, "old news", rig.now_us);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* A lost connection is made again, for the same session. */
static void test_session_lost_connection_resumes(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    drover_id id = rig_last(&rig, DRV_HELLO)->id;
    rig_welcome(&rig, false);
    rig_reconnect(&rig, true);
    assert_true(drover_id_equal(&id, &rig_last(&rig, DRV_HELLO)->id));
    rig_close(&rig);
}

/* While something is awaited, heartbeats are sent, and silence for the lease breaks the
 * connection. */
static void test_session_silence_while_awaiting_reconnects(void **state)
{
    struct rig rig;
    struct rig_ask ask;
    rig_up(&rig);
    rig_ask_init(&ask, DRV_QUERY, rig_id(1));
    drv_session_ask(rig.session, &ask.pending);
    rig_step(&rig, 0);
    rig_run(&rig, 9 * RIG_SECOND + 500000);
    assert_true(drv_session_is_up(rig.session));
    assert_int_equal(rig_count(&rig, DRV_HEARTBEAT), 9);
    size_t connections = rig.connections;
    rig_run(&rig, RIG_SECOND);
    assert_int_equal(rig.connections, connections + 1);
    assert_non_null(strstr(drv_session_problem(rig.session), "silent"));
    rig_close(&rig);
}

/* Any message keeps the connection alive. */
static void test_session_heard_peer_is_kept(void **state)
{
    struct rig rig;
    struct rig_ask ask;
    struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    rig_up(&rig);
    rig_ask_init(&ask, DRV_QUERY, rig_id(1));
    drv_session_ask(rig.session, &ask.pending);
    rig_step(&rig, 0);
    for (int i = 0; i < 10; i++) {
        rig_run(&rig, 5 * RIG_SECOND);
        rig_send(&rig, &heartbeat);
    }
    assert_int_equal(rig.connections, 1);
    rig_close(&rig);
}

/* A session that awaits nothing says nothing and minds no silence. */
static void test_session_idle_is_quiet(void **state)
{
    struct rig rig;
    rig_up(&rig);
    rig_run(&rig, RIG_SECOND);
    rig.seen_count = 0;
    rig_run(&rig, 3600 * (int64_t)RIG_SECOND);
    assert_int_equal(rig.seen_count, 0);
    assert_true(drv_session_is_up(rig.session));
    assert_false(drv_session_is_awaiting(rig.session));
    rig_close(&rig);
}

/* A message that was lost on the way breaks the connection. */
static void test_session_gap_reconnects(void **state)
{
    struct rig rig;
    struct drv_frames frames;
    struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    rig_up(&rig);
    assert_ok(drv_link_send(rig.link, &heartbeat, 0));
    assert_true(drv_link_next(rig.link, &frames));
    drv_data_unref(&frames.head);
    drv_data_unref(&frames.blob);
    rig_send(&rig, &heartbeat);
    assert_false(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* Bytes that are no message break the connection and nothing else. */
static void test_session_garbage_reconnects(void **state)
{
    struct rig rig;
    uint8_t noise[64];
    uint64_t seed = test_seed();
    struct drv_rng rng;
    drv_rng_init(&rng, seed);
    rig_up(&rig);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (uint8_t)drv_rng_next(&rng);
        }
        drv_session_receive(rig.session, noise, drv_rng_below(&rng, sizeof(noise)), NULL, 0,
                            rig.now_us);
        if (!drv_session_is_up(rig.session)) {
            rig.next_us = 0;
            rig_run(&rig, 3 * RIG_SECOND);
            rig_welcome(&rig, true);
            rig.seen_count = 0;
        }
        assert_true(drv_session_is_up(rig.session));
    }
    rig_close(&rig);
}

/* The port for workers: given up at once, and the text names the right one. */
static void test_session_wrong_endpoint_fails_for_good(void **state)
{
    struct rig rig;
    struct rig_ask ask;
    rig_open(&rig);
    rig_step(&rig, 0);
    rig_ask_init(&ask, DRV_QUERY, rig_id(1));
    drv_session_ask(rig.session, &ask.pending);
    rig_error(&rig, DROVER_WRONG_ENDPOINT, "no", "tcp://there:2", DRV_HELLO);
    assert_int_equal(drv_session_fatal(rig.session), DROVER_WRONG_ENDPOINT);
    assert_non_null(strstr(drv_session_problem(rig.session), "tcp://there:2"));
    assert_int_equal(ask.answers, 1);
    assert_int_equal(ask.status, DROVER_WRONG_ENDPOINT);
    assert_int_equal(drv_session_connection(rig.session), 0);
    assert_int_equal(drv_session_tick(rig.session, rig.now_us + 60 * RIG_SECOND), INT64_MAX);
    rig_close(&rig);
}

/* A broker of another version: given up at once; but not after a broker of ours was there. */
static void test_session_version_refusal_counts_at_first_contact(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    rig_error(&rig, DROVER_VERSION, "versions 2 to 4", NULL, DRV_HELLO);
    assert_int_equal(drv_session_fatal(rig.session), DROVER_VERSION);
    assert_non_null(strstr(drv_session_problem(rig.session), "versions 2 to 4"));
    rig_close(&rig);

    rig_up(&rig);
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    rig.next_us = 0;
    rig_run(&rig, 60000);
    rig_error(&rig, DROVER_VERSION, "versions 2 to 4", NULL, DRV_HELLO);
    assert_int_equal(drv_session_fatal(rig.session), DROVER_OK);
    rig_run(&rig, RIG_SECOND);
    rig_welcome(&rig, true);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* A broker that is too busy for sessions is asked again when it said. */
static void test_session_busy_broker_is_asked_later(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    rig.retry_after_ms = 5000;
    rig_error(&rig, DROVER_BUSY, "too many sessions", NULL, DRV_HELLO);
    rig_run(&rig, 4900000);
    assert_int_equal(rig.connections, 1);
    rig_run(&rig, 200000);
    assert_int_equal(rig.connections, 2);
    rig_close(&rig);
}

/* MOVED: the next connection goes there, and when nobody answers there, back. */
static void test_session_moved_broker_is_followed(void **state)
{
    struct rig rig;
    struct drv_str there = drv_str_of("tcp://there:2");
    struct drv_message moved = {.kind = DRV_MOVED};
    moved.moved.client_endpoints = &there;
    moved.moved.client_endpoint_count = 1;
    rig_up(&rig);
    rig_send(&rig, &moved);
    assert_false(drv_session_is_up(rig.session));
    rig_run(&rig, 60000);
    assert_int_equal(rig.connections, 2);
    assert_string_equal(drv_session_endpoint(rig.session), "tcp://there:2");
    drv_session_lost(rig.session, rig.connection, "refused", rig.now_us);
    rig.next_us = 0;
    rig_run(&rig, 200000);
    assert_string_equal(drv_session_endpoint(rig.session), "tcp://here:1");
    rig_close(&rig);
}

/* GOODBYE from the broker: it is restarting, say. */
static void test_session_goodbye_reconnects(void **state)
{
    struct rig rig;
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    goodbye.goodbye.text = drv_str_of("upgrade");
    rig_up(&rig);
    rig_send(&rig, &goodbye);
    assert_false(drv_session_is_up(rig.session));
    assert_non_null(strstr(drv_session_problem(rig.session), "upgrade"));
    rig_run(&rig, 60000);
    assert_int_equal(rig.connections, 2);
    rig_close(&rig);
}

/* An expired session: another one at once, which resumes nothing. */
static void test_session_expired_starts_afresh(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig_step(&rig, 0);
    drover_id old = rig_last(&rig, DRV_HELLO)->id;
    rig_welcome(&rig, false);
    drv_session_lost(rig.session, rig.connection, "cut", rig.now_us);
    rig.next_us = 0;
    rig_run(&rig, 60000);
    size_t hellos = rig_count(&rig, DRV_HELLO);
    rig_error(&rig, DROVER_SESSION_EXPIRED, "unknown session", NULL, DRV_HELLO);
    rig_step(&rig, 0);
    assert_int_equal(rig_count(&rig, DRV_HELLO), hellos + 1);
    assert_false(rig_last(&rig, DRV_HELLO)->resume);
    assert_false(drover_id_equal(&old, &rig_last(&rig, DRV_HELLO)->id));
    rig_welcome(&rig, false);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* What comes before WELCOME belongs to no epoch and counts for nothing; WELCOME is then out of
 * order, and the connection is made again. */
static void test_session_early_message_reconnects(void **state)
{
    struct rig rig;
    struct drv_message drain = {.kind = DRV_DRAIN};
    rig_open(&rig);
    rig_step(&rig, 0);
    rig_send(&rig, &drain);
    rig_welcome(&rig, false);
    assert_false(drv_session_is_up(rig.session));
    rig_run(&rig, 100000);
    assert_int_equal(rig.connections, 2);
    rig_close(&rig);
}

/* A kind that is not for clients is answered with an error and changes nothing. */
static void test_session_foreign_kind_is_answered(void **state)
{
    struct rig rig;
    struct drv_message drain = {.kind = DRV_DRAIN};
    rig_up(&rig);
    rig_send(&rig, &drain);
    assert_int_equal(rig_last(&rig, DRV_ERROR)->code, DROVER_UNSUPPORTED);
    assert_true(drv_session_is_up(rig.session));
    rig_close(&rig);
}

/* The end: GOODBYE for the broker, CLOSED for what is outstanding. */
static void test_session_end_says_goodbye(void **state)
{
    struct rig rig;
    struct rig_ask ask;
    struct rig_task task;
    rig_up(&rig);
    rig_ask_init(&ask, DRV_QUERY, rig_id(1));
    drv_session_ask(rig.session, &ask.pending);
    rig_watcher_init(&task, true);
    drover_id id = rig_id(2);
    assert_ok(drv_session_watch(rig.session, &task.watcher, &id, DROVER_INDEX_NONE, false));
    rig_step(&rig, 0);
    drv_session_end(rig.session, DROVER_CLOSED, rig.now_us);
    rig_pump(&rig);
    assert_int_equal(rig_count(&rig, DRV_GOODBYE), 1);
    assert_int_equal(ask.status, DROVER_CLOSED);
    assert_int_equal(task.ended, 1);
    assert_int_equal(task.end_status, DROVER_CLOSED);
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_start_says_hello),
    cmocka_unit_test(test_session_welcome_brings_it_up),
    cmocka_unit_test(test_session_unanswered_hello_is_tried_again),
    cmocka_unit_test(test_session_refused_connection_backs_off),
    cmocka_unit_test(test_session_old_loss_is_ignored),
    cmocka_unit_test(test_session_lost_connection_resumes),
    cmocka_unit_test(test_session_silence_while_awaiting_reconnects),
    cmocka_unit_test(test_session_heard_peer_is_kept),
    cmocka_unit_test(test_session_idle_is_quiet),
    cmocka_unit_test(test_session_gap_reconnects),
    cmocka_unit_test(test_session_garbage_reconnects),
    cmocka_unit_test(test_session_wrong_endpoint_fails_for_good),
    cmocka_unit_test(test_session_version_refusal_counts_at_first_contact),
    cmocka_unit_test(test_session_busy_broker_is_asked_later),
    cmocka_unit_test(test_session_moved_broker_is_followed),
    cmocka_unit_test(test_session_goodbye_reconnects),
    cmocka_unit_test(test_session_expired_starts_afresh),
    cmocka_unit_test(test_session_early_message_reconnects),
    cmocka_unit_test(test_session_foreign_kind_is_answered),
    cmocka_unit_test(test_session_end_says_goodbye),
};

TEST_MAIN(tests)
