/* link.h: numbers, acknowledgements and the queue of one connection. */
#include "test.h"

#include "link_pair.h"

/* ---- numbers ----------------------------------------------------------------------------- */

/* Messages are numbered as they leave, and carry the epoch. */
static void test_link_numbers_messages_from_one(void **state)
{
    struct link_pair *pair = *state;
    for (uint64_t i = 1; i <= 3; i++) {
        link_send_drain(pair->broker, 0);
    }
    assert_int_equal(drv_link_queued(pair->broker), 3);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_DRAIN);
        assert_int_equal(pair->message.seq, i);
        assert_int_equal(pair->message.epoch, LINK_EPOCH);
    }
    link_expect_silence(pair->broker);
    assert_int_equal(drv_link_queued(pair->broker), 0);
}

/* The same frames again are nothing to the caller, and do no harm. */
static void test_link_duplicate_is_dropped(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 0);
    link_send_drain(pair->broker, 0);
    struct drv_frames first = link_next(pair->broker);
    struct drv_frames second = link_next(pair->broker);
    assert_ok(link_receive(pair, pair->peer, &first));
    assert_ok(link_receive(pair, pair->peer, &second));
    assert_int_equal(pair->message.kind, DRV_DRAIN);
    assert_ok(link_receive(pair, pair->peer, &first));
    assert_int_equal(pair->message.kind, 0);
    assert_ok(link_receive(pair, pair->peer, &second));
    assert_int_equal(pair->message.kind, 0);
    link_drop(&first);
    link_drop(&second);
}

/* Repetitions are no contact with the other side; what is new is, chunks and ACKs too. */
static void test_link_only_new_messages_are_fresh(void **state)
{
    struct link_pair *pair = *state;
    const struct drv_message ack = {.kind = DRV_ACK};
    link_send_drain(pair->broker, 0);
    struct drv_frames first = link_next(pair->broker);
    assert_ok(link_receive(pair, pair->peer, &first));
    assert_true(drv_link_is_fresh(pair->peer));
    assert_ok(link_receive(pair, pair->peer, &first));
    assert_false(drv_link_is_fresh(pair->peer));
    assert_ok(drv_link_send(pair->broker, &ack, 0));
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_ACK);
    assert_true(drv_link_is_fresh(pair->peer));
    link_drop(&first);
}

/* A side that has lost count can still say that the connection is over; what is about one
 * message alone has to come in its turn. */
static void test_link_error_that_ends_counts_out_of_turn(void **state)
{
    struct link_pair *pair = *state;
    struct drv_message error = {.kind = DRV_ERROR, .epoch = LINK_EPOCH, .seq = 1};
    link_send_drain(pair->broker, 0);
    link_send_drain(pair->broker, 0);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_DRAIN);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_DRAIN);
    error.failure.code = DROVER_BUSY;
    assert_ok(link_receive_forged(pair, pair->peer, &error));
    assert_int_equal(pair->message.kind, 0);
    error.failure.code = DROVER_PROTOCOL;
    assert_ok(link_receive_forged(pair, pair->peer, &error));
    assert_int_equal(pair->message.kind, DRV_ERROR);
    assert_int_equal(pair->message.seq, 2); /* what the caller may settle */
    assert_true(drv_link_is_fresh(pair->peer));
    error.seq = 77;
    assert_ok(link_receive_forged(pair, pair->peer, &error));
    assert_int_equal(pair->message.kind, DRV_ERROR);
    assert_int_equal(pair->message.seq, 2);
    drv_link_settle(pair->peer, pair->message.seq, pair->now_us);
    error.failure.code = DROVER_BUSY;
    assert_int_equal(link_receive_forged(pair, pair->peer, &error), DROVER_PROTOCOL);
}

/* A message that is missing breaks the connection. */
static void test_link_gap_breaks_the_protocol(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 0);
    link_send_drain(pair->broker, 0);
    struct drv_frames lost = link_next(pair->broker);
    struct drv_frames second = link_next(pair->broker);
    assert_int_equal(link_receive(pair, pair->peer, &second), DROVER_PROTOCOL);
    link_drop(&lost);
    link_drop(&second);
}

/* There is no message number 0. */
static void test_link_number_zero_breaks_the_protocol(void **state)
{
    const struct drv_message message = {.kind = DRV_DRAIN, .epoch = LINK_EPOCH};
    struct link_pair *pair = *state;
    assert_int_equal(link_receive_forged(pair, pair->peer, &message), DROVER_PROTOCOL);
}

/* Bytes that are no message are refused, and so is a message of another epoch, uncounted. */
static void test_link_message_of_another_epoch_is_not_counted(void **state)
{
    struct drv_message message = {.kind = DRV_DRAIN, .epoch = LINK_EPOCH + 1, .seq = 1};
    struct link_pair *pair = *state;
    assert_int_equal(link_receive_forged(pair, pair->peer, &message), DROVER_EPOCH);
    message.epoch = 0;
    assert_int_equal(link_receive_forged(pair, pair->peer, &message), DROVER_EPOCH);
    message.epoch = LINK_EPOCH;
    assert_ok(link_receive_forged(pair, pair->peer, &message));
}

/* Before it was welcomed a peer says HELLO and ATTACH with epoch 0, and nothing else. */
static void test_link_accepts_hello_and_attach_without_epoch(void **state)
{
    struct link_pair *pair = *state;
    drv_link_set_epoch(pair->peer, 0);
    const struct drv_message hello = {.kind = DRV_HELLO, .hello = {.role = DRV_ROLE_WORKER}};
    const struct drv_message attach = {.kind = DRV_ATTACH};
    assert_ok(drv_link_send(pair->peer, &hello, 0));
    assert_ok(drv_link_send(pair->peer, &attach, 0));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_HELLO);
    assert_int_equal(pair->message.epoch, 0);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_ATTACH);
    link_send_drain(pair->peer, 0);
    struct drv_frames early = link_next(pair->peer);
    assert_int_equal(link_receive(pair, pair->broker, &early), DROVER_EPOCH);
    link_drop(&early);
}

/* A peer without epoch takes WELCOME and ERROR, and learns the epoch from WELCOME. */
static void test_link_accepts_welcome_and_error_of_any_epoch(void **state)
{
    struct link_pair *pair = *state;
    drv_link_set_epoch(pair->peer, 0);
    const struct drv_message welcome = {.kind = DRV_WELCOME};
    const struct drv_message error = {.kind = DRV_ERROR};
    assert_ok(drv_link_send(pair->broker, &error, 0));
    assert_ok(drv_link_send(pair->broker, &welcome, 0));
    link_send_drain(pair->broker, 0);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_ERROR);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_WELCOME);
    struct drv_frames drain = link_next(pair->broker);
    assert_int_equal(link_receive(pair, pair->peer, &drain), DROVER_EPOCH);
    drv_link_set_epoch(pair->peer, LINK_EPOCH);
    assert_ok(link_receive(pair, pair->peer, &drain));
    link_drop(&drain);
}

/* What the broker says before WELCOME, since ATTACH may take its time, counts; whoever knows
 * its epoch takes nothing of another. */
static void test_link_without_epoch_counts_acknowledgements(void **state)
{
    struct link_pair *pair = *state;
    const struct drv_message attach = {.kind = DRV_ATTACH};
    const struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    const struct drv_message welcome = {.kind = DRV_WELCOME};
    drv_link_set_epoch(pair->peer, 0);
    assert_ok(drv_link_send(pair->peer, &attach, 5));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_ATTACH);
    drv_link_settle(pair->broker, pair->message.seq, pair->now_us);
    link_acknowledge(pair, pair->broker, pair->peer);
    link_expect_token(pair->peer, 5);
    assert_ok(drv_link_send(pair->broker, &heartbeat, 0));
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_HEARTBEAT);
    assert_ok(drv_link_send(pair->broker, &welcome, 0));
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_WELCOME);
    drv_link_set_epoch(pair->peer, LINK_EPOCH + 1);
    assert_ok(drv_link_send(pair->broker, &heartbeat, 0));
    struct drv_frames late = link_next(pair->broker);
    assert_int_equal(link_receive(pair, pair->peer, &late), DROVER_EPOCH);
    link_drop(&late);
}

/* An unknown kind is told to the caller, and the next message follows it without a gap. */
static void test_link_unknown_kind_counts(void **state)
{
    struct link_pair *pair = *state;
    uint8_t head[] = {0x95, 99, LINK_EPOCH, 1, 0, 0xc0};
    assert_int_equal(drv_link_receive(pair->peer, head, sizeof head, NULL, 0, pair->now_us,
                                      &pair->arena, &pair->message, &pair->reason),
                     DROVER_UNSUPPORTED);
    assert_int_equal(pair->message.kind, 99);
    assert_int_equal(pair->message.seq, 1);
    const struct drv_message message = {.kind = DRV_DRAIN, .epoch = LINK_EPOCH, .seq = 2};
    assert_ok(link_receive_forged(pair, pair->peer, &message));
    assert_int_equal(drv_link_deadline_us(pair->peer), pair->now_us + 1000);
}

/* ---- acknowledgements -------------------------------------------------------------------- */

/* What was settled is acknowledged with the next message; tokens come back in order. */
static void test_link_tokens_come_back_in_order(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 11);
    link_send_drain(pair->broker, 0);
    link_send_drain(pair->broker, 12);
    link_send_drain(pair->broker, 13);
    for (size_t i = 0; i < 4; i++) {
        (void)link_deliver(pair, pair->broker, pair->peer);
    }
    link_send_drain(pair->peer, 0);
    (void)link_deliver(pair, pair->peer, pair->broker);
    link_expect_no_token(pair->broker);
    drv_link_settle(pair->peer, 3, pair->now_us);
    link_send_drain(pair->peer, 0);
    (void)link_deliver(pair, pair->peer, pair->broker);
    link_expect_token(pair->broker, 11);
    link_expect_token(pair->broker, 12);
    link_expect_no_token(pair->broker);
    assert_false(drv_link_is_idle(pair->broker));
    drv_link_settle(pair->peer, 2, pair->now_us); /* never backwards */
    drv_link_settle(pair->peer, 4, pair->now_us);
    link_send_drain(pair->peer, 0);
    (void)link_deliver(pair, pair->peer, pair->broker);
    link_expect_token(pair->broker, 13);
    assert_true(drv_link_is_idle(pair->broker));
}

/* With nothing to ride on, an acknowledgement goes on its own after the delay. */
static void test_link_acknowledges_after_the_delay(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 5);
    (void)link_deliver(pair, pair->broker, pair->peer);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    drv_link_settle(pair->peer, 1, pair->now_us);
    assert_int_equal(drv_link_deadline_us(pair->peer), pair->now_us + 1000);
    drv_link_tick(pair->peer, pair->now_us + 999);
    link_expect_silence(pair->peer);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_ACK);
    assert_int_equal(pair->message.kind, 0);
    link_expect_token(pair->broker, 5);

    /* An ACK asks for none in return. */
    assert_int_equal(drv_link_deadline_us(pair->broker), INT64_MAX);
    drv_link_tick(pair->broker, pair->now_us + 1000000);
    link_expect_silence(pair->broker);
    assert_true(drv_link_is_idle(pair->peer));
}

/* Nor does a HEARTBEAT: the next one brings it along. */
static void test_link_heartbeat_asks_for_no_acknowledgement(void **state)
{
    struct link_pair *pair = *state;
    const struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    assert_int_equal(drv_link_send(pair->broker, &heartbeat, 0), DROVER_OK);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_HEARTBEAT);
    assert_true(drv_link_is_idle(pair->broker));
    drv_link_settle(pair->peer, 1, pair->now_us);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    drv_link_tick(pair->peer, pair->now_us + 1000000);
    link_expect_silence(pair->peer);

    link_send_drain(pair->broker, 5);
    (void)link_deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 2, pair->now_us);
    assert_int_equal(drv_link_send(pair->peer, &heartbeat, 0), DROVER_OK);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_HEARTBEAT);
    link_expect_token(pair->broker, 5);
}

/* A message that leaves in time makes the ACK needless. */
static void test_link_acknowledgement_rides_along(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 5);
    (void)link_deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    link_send_drain(pair->peer, 0);
    drv_link_tick(pair->peer, pair->now_us + 5000);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_DRAIN);
    link_expect_token(pair->broker, 5);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    link_expect_silence(pair->peer);
}

/* Notes reach the caller, and the ACK that brings them acknowledges as well. */
static void test_link_ack_with_notes_is_handed_on(void **state)
{
    const struct drv_note note = {.seq = 1, .position = 4, .code = DROVER_STALE};
    const struct drv_message message = {.kind = DRV_ACK, .ack_notes = {&note, 1}};
    struct link_pair *pair = *state;
    link_send_drain(pair->broker, 5);
    (void)link_deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    assert_ok(drv_link_send(pair->peer, &message, 0));
    (void)link_deliver(pair, pair->peer, pair->broker);
    assert_int_equal(pair->message.kind, DRV_ACK);
    assert_int_equal(pair->message.ack_notes.notes[0].position, 4);
    link_expect_token(pair->broker, 5);
}

/* An acknowledgement of what was never sent breaks the protocol. */
static void test_link_acknowledgement_of_the_future_is_refused(void **state)
{
    struct link_pair *pair = *state;
    struct drv_message message = {.kind = DRV_DRAIN, .epoch = LINK_EPOCH, .seq = 1, .ack = 1};
    assert_int_equal(link_receive_forged(pair, pair->broker, &message), DROVER_PROTOCOL);
    link_send_drain(pair->broker, 0);
    struct drv_frames frames = link_next(pair->broker);
    drv_link_unsend(pair->broker, &frames);
    assert_int_equal(link_receive_forged(pair, pair->broker, &message), DROVER_PROTOCOL);
    frames = link_next(pair->broker);
    assert_ok(link_receive_forged(pair, pair->broker, &message));
    link_drop(&frames);
}

/* A chunk is dealt with on arrival, but its acknowledgement waits for the message before it. */
static void test_link_acknowledgement_does_not_pass_an_unsettled_message(void **state)
{
    struct link_pair *pair = *state;
    link_send_report(pair->peer, 1, 100, 1);
    link_send_report(pair->peer, 2, 100000, 2);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_REPORT);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_int_equal(drv_link_deadline_us(pair->broker), INT64_MAX);
    link_send_drain(pair->broker, 0);
    (void)link_deliver(pair, pair->broker, pair->peer);
    assert_int_equal(pair->message.ack, 0);
    drv_link_settle(pair->broker, 1, pair->now_us);
    link_send_drain(pair->broker, 0);
    (void)link_deliver(pair, pair->broker, pair->peer);
    assert_int_equal(pair->message.ack, 2);
    link_expect_token(pair->peer, 1);
    link_expect_no_token(pair->peer);
}

/* ---- the socket refuses ------------------------------------------------------------------ */

/* Frames that were put back come again first, unchanged. */
static void test_link_unsend_keeps_number_and_order(void **state)
{
    struct link_pair *pair = *state;
    for (size_t i = 0; i < 3; i++) {
        link_send_drain(pair->broker, i + 1);
    }
    struct drv_frames first = link_next(pair->broker);
    struct drv_frames second = link_next(pair->broker);
    drv_link_unsend(pair->broker, &second);
    drv_link_unsend(pair->broker, &first);
    assert_null(first.head);
    assert_int_equal(drv_link_queued(pair->broker), 3);
    assert_true(drv_link_queued_bytes(pair->broker) > 0);
    assert_false(drv_link_is_idle(pair->broker));
    link_send_drain(pair->broker, 4);
    for (uint64_t i = 1; i <= 4; i++) {
        (void)link_deliver(pair, pair->broker, pair->peer);
        assert_int_equal(pair->message.seq, i);
    }
    assert_int_equal(drv_link_queued_bytes(pair->broker), 0);
}

/* An acknowledgement that became due while the socket was full still goes out. */
static void test_link_unsend_does_not_lose_an_acknowledgement(void **state)
{
    struct link_pair *pair = *state;
    link_send_drain(pair->peer, 0);
    struct drv_frames stuck = link_next(pair->peer);
    drv_link_unsend(pair->peer, &stuck);
    link_send_drain(pair->broker, 9);
    (void)link_deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    /* No use in trying while nothing leaves. */
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    (void)link_deliver(pair, pair->peer, pair->broker);
    link_expect_no_token(pair->broker);
    assert_true(drv_link_deadline_us(pair->peer) <= pair->now_us + 1000);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_ACK);
    link_expect_token(pair->broker, 9);
}

/* ---- the queue --------------------------------------------------------------------------- */

static struct drv_link *bounded_link(size_t queue_max, size_t queue_bytes_max)
{
    const struct drv_link_config config = {.epoch = LINK_EPOCH,
                                           .window_out = MIB,
                                           .window_in = MIB,
                                           .queue_max = queue_max,
                                           .queue_bytes_max = queue_bytes_max};
    struct drv_link *link = NULL;
    assert_ok(drv_link_new(&config, &link));
    return link;
}

/* So many messages wait and no more; each that leaves makes room for one. */
static void test_link_queue_is_bounded_in_messages(void **state)
{
    const struct drv_message message = {.kind = DRV_DRAIN};
    struct drv_link *link = bounded_link(3, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(drv_link_send(link, &message, 0));
    }
    assert_int_equal(drv_link_send(link, &message, 0), DROVER_BUSY);
    struct drv_frames frames = link_next(link);
    drv_link_unsend(link, &frames);
    assert_int_equal(drv_link_send(link, &message, 0), DROVER_BUSY);
    frames = link_next(link);
    link_drop(&frames);
    assert_ok(drv_link_send(link, &message, 0));
    assert_int_equal(drv_link_queued(link), 3);
    drv_link_destroy(&link);
}

/* The same in bytes, chunks included; but an empty queue takes any message. */
static void test_link_queue_is_bounded_in_bytes(void **state)
{
    struct drv_link *link = bounded_link(0, 100000);
    assert_ok(link_try_report(link, 1, 300000, 0));
    assert_true(drv_link_queued_bytes(link) >= 300000);
    assert_int_equal(link_try_report(link, 2, 100, 0), DROVER_BUSY);
    assert_int_equal(drv_link_queued(link), 1);
    for (struct drv_frames frames; drv_link_next(link, &frames);) {
        link_drop(&frames);
    }
    assert_int_equal(drv_link_queued_bytes(link), 0);
    assert_ok(link_try_report(link, 3, 50000, 0));
    assert_int_equal(link_try_report(link, 4, 50000, 0), DROVER_BUSY);
    assert_ok(link_try_report(link, 5, 1000, 0));
    drv_link_destroy(&link);
}

/* A message that cannot be encoded leaves no trace. */
static void test_link_failed_send_leaves_no_trace(void **state)
{
    enum { COUNT = DRV_TRANSFERS_MAX + 1 };
    struct link_pair *pair = *state;
    static struct drv_result results[COUNT];
    struct drv_data *data = link_content(70000, 1);
    for (size_t i = 0; i < COUNT; i++) {
        results[i] = (struct drv_result){.outcome = 1,
                                         .val = {.bytes = data->bytes, .len = data->len}};
    }
    struct drv_message message = {.kind = DRV_REPORT,
                                  .report = {.results = results, .result_count = COUNT}};
    assert_int_equal(drv_link_send(pair->peer, &message, 0), DROVER_TOO_BIG);
    message = (struct drv_message){.kind = DRV_CHUNK};
    assert_int_equal(drv_link_send(pair->peer, &message, 0), DROVER_INVALID);
    assert_int_equal(drv_link_queued(pair->peer), 0);
    assert_int_equal(drv_link_queued_bytes(pair->peer), 0);
    link_expect_silence(pair->peer);
    drv_data_unref(&data);
    link_send_report(pair->peer, 2, 70000, 0);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_REPORT);
    assert_true(link_is_content(&pair->message.report.results[0].val, 70000, 2));
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, link_pair_setup, link_pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_numbers_messages_from_one),
        TEST(test_link_duplicate_is_dropped),
        TEST(test_link_only_new_messages_are_fresh),
        TEST(test_link_error_that_ends_counts_out_of_turn),
        TEST(test_link_gap_breaks_the_protocol),
        TEST(test_link_number_zero_breaks_the_protocol),
        TEST(test_link_message_of_another_epoch_is_not_counted),
        TEST(test_link_accepts_hello_and_attach_without_epoch),
        TEST(test_link_accepts_welcome_and_error_of_any_epoch),
        TEST(test_link_without_epoch_counts_acknowledgements),
        TEST(test_link_unknown_kind_counts),
        TEST(test_link_tokens_come_back_in_order),
        TEST(test_link_acknowledges_after_the_delay),
        TEST(test_link_heartbeat_asks_for_no_acknowledgement),
        TEST(test_link_acknowledgement_rides_along),
        TEST(test_link_ack_with_notes_is_handed_on),
        TEST(test_link_acknowledgement_of_the_future_is_refused),
        TEST(test_link_acknowledgement_does_not_pass_an_unsettled_message),
        TEST(test_link_unsend_keeps_number_and_order),
        TEST(test_link_unsend_does_not_lose_an_acknowledgement),
        TEST(test_link_queue_is_bounded_in_messages),
        TEST(test_link_queue_is_bounded_in_bytes),
        TEST(test_link_failed_send_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
