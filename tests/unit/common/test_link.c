/* link.h: numbers, acknowledgements, window, chunks and order on one connection. */
#include "test.h"

#include "arena.h"
#include "buffer.h"
#include "data.h"
#include "link_private.h"
#include "random_message.h"

#define MIB ((uint64_t)1024 * 1024)
#define EPOCH 7

/* ---- two links and what lies between ----------------------------------------------------- */

struct pair {
    struct drv_link *broker; /* epoch 7 from the start */
    struct drv_link *peer;   /* epoch 7, unless a test says otherwise */
    struct drv_arena arena;
    struct drv_message message; /* received last */
    struct drv_data *blob;      /* what it borrows from */
    const char *reason;
    int64_t now_us;
};

static struct drv_link *new_link(uint64_t epoch, uint64_t window)
{
    const struct drv_link_config config = {
        .epoch = epoch, .window_out = window, .window_in = window, .ack_delay_us = 1000};
    struct drv_link *link = NULL;
    assert_ok(drv_link_new(&config, &link));
    return link;
}

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    drv_arena_init(&pair->arena, MIB);
    pair->broker = new_link(EPOCH, MIB);
    pair->peer = new_link(EPOCH, MIB);
    pair->now_us = 1000000;
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    drv_link_destroy(&pair->broker);
    drv_link_destroy(&pair->peer);
    drv_data_unref(&pair->blob);
    drv_arena_fini(&pair->arena);
    free(pair);
    return 0;
}

static void drop(struct drv_frames *frames)
{
    drv_data_unref(&frames->head);
    drv_data_unref(&frames->blob);
}

/* Gives the frames to a link as a socket would: as bytes of its own. */
static drover_status receive(struct pair *pair, struct drv_link *to,
                             const struct drv_frames *frames)
{
    drv_data_unref(&pair->blob);
    if (frames->blob_len > 0) {
        assert_ok(drv_data_copy(frames->blob->bytes + frames->blob_offset, frames->blob_len,
                                &pair->blob));
    }
    uint8_t *head = drv_arena_copy(&pair->arena, frames->head->bytes, frames->head->len);
    assert_non_null(head);
    pair->reason = NULL;
    drover_status status = drv_link_receive(to, head, frames->head->len, pair->blob,
                                            frames->blob_len, pair->now_us, &pair->arena,
                                            &pair->message, &pair->reason);
    assert_true(status == DROVER_OK || pair->reason != NULL);
    return status;
}

static struct drv_frames next(struct drv_link *link)
{
    struct drv_frames frames = {0};
    assert_true(drv_link_next(link, &frames));
    assert_non_null(frames.head);
    return frames;
}

/* One frame pair from one link to the other; returns the kind that left. */
static unsigned deliver(struct pair *pair, struct drv_link *from, struct drv_link *to)
{
    struct drv_frames frames = next(from);
    unsigned kind = frames.kind;
    assert_ok(receive(pair, to, &frames));
    drop(&frames);
    return kind;
}

static void nothing_to_send(struct drv_link *link)
{
    struct drv_frames frames;
    assert_false(drv_link_next(link, &frames));
}

static void send_drain(struct drv_link *link, uint64_t token)
{
    const struct drv_message message = {.kind = DRV_DRAIN, .drain = {.on = true}};
    assert_ok(drv_link_send(link, &message, token));
}

static drover_id id_of(unsigned number)
{
    drover_id id = {{0}};
    id.bytes[15] = (uint8_t)number;
    id.bytes[14] = (uint8_t)(number >> 8);
    return id;
}

/* A value of so many bytes whose content depends on the seed. */
static struct drv_data *content(size_t len, unsigned seed)
{
    struct drv_data *data = NULL;
    assert_ok(drv_data_new(len, &data));
    for (size_t i = 0; i < len; i++) {
        data->bytes[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
    }
    return data;
}

static bool is_content(const struct drv_val *val, size_t len, unsigned seed)
{
    if (val->is_nil || val->len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (val->bytes[i] != (uint8_t)(i * 31 + (i >> 8) + seed)) {
            return false;
        }
    }
    return true;
}

/* A REPORT with one result of so many bytes. */
static drover_status try_report(struct drv_link *link, unsigned number, size_t len,
                                uint64_t token)
{
    struct drv_data *data = content(len, number);
    const struct drv_result result = {
        .ref = {.id = id_of(number), .index = DROVER_INDEX_NONE, .attempt = 1},
        .outcome = DRV_OUTCOME_SUCCEEDED,
        .val = {.bytes = data->bytes, .len = len, .data = data}};
    const struct drv_message message = {.kind = DRV_REPORT,
                                        .report = {.results = &result, .result_count = 1}};
    drover_status status = drv_link_send(link, &message, token);
    drv_data_unref(&data);
    return status;
}

static void send_report(struct drv_link *link, unsigned number, size_t len, uint64_t token)
{
    assert_ok(try_report(link, number, len, token));
}

static void send_lease(struct drv_link *link, unsigned number, size_t len)
{
    struct drv_data *data = content(len, number);
    const struct drv_lease_entry entry = {
        .ref = {.handle = number, .id = id_of(number), .index = 3, .attempt = 1},
        .val = {.bytes = data->bytes, .len = len, .data = data}};
    const struct drv_lease_group group = {
        .type = drv_str_of("t"), .queue = drv_str_of("q"), .entries = &entry, .entry_count = 1};
    const struct drv_message message = {.kind = DRV_LEASE, .lease = {&group, 1}};
    assert_ok(drv_link_send(link, &message, 0));
    drv_data_unref(&data);
}

static void send_refs(struct drv_link *link, enum drv_kind kind, unsigned number)
{
    const struct drv_ref ref = {
        .handle = number, .id = id_of(number), .index = 3, .attempt = 1};
    const struct drv_message message = {.kind = kind, .leases = {&ref, 1}};
    assert_ok(drv_link_send(link, &message, 0));
}

/* Frames as a peer with other rules might make them. */
static struct drv_frames forge(const struct drv_message *message,
                               const struct drv_transfers *transfers)
{
    struct drv_frames frames = {.kind = message->kind};
    struct drv_buffer head, blob;
    drv_buffer_init(&head);
    drv_buffer_init(&blob);
    assert_ok(drv_message_encode(message, transfers, &head, &blob));
    assert_ok(drv_data_copy(head.bytes, head.len, &frames.head));
    if (blob.len > 0) {
        assert_ok(drv_data_copy(blob.bytes, blob.len, &frames.blob));
        frames.blob_len = blob.len;
    }
    drv_buffer_fini(&head);
    drv_buffer_fini(&blob);
    return frames;
}

static drover_status receive_forged(struct pair *pair, struct drv_link *to,
                                    const struct drv_message *message)
{
    struct drv_frames frames = forge(message, NULL);
    drover_status status = receive(pair, to, &frames);
    drop(&frames);
    return status;
}

static void expect_token(struct drv_link *link, uint64_t expected)
{
    uint64_t token = 0;
    assert_true(drv_link_settled(link, &token));
    assert_int_equal(token, expected);
}

static void expect_no_token(struct drv_link *link)
{
    uint64_t token = 0;
    assert_false(drv_link_settled(link, &token));
}

/* ---- numbers ----------------------------------------------------------------------------- */

/* Messages are numbered as they leave, and carry the epoch. */
static void test_link_numbers_messages_from_one(void **state)
{
    struct pair *pair = *state;
    for (uint64_t i = 1; i <= 3; i++) {
        send_drain(pair->broker, 0);
    }
    assert_int_equal(drv_link_queued(pair->broker), 3);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_DRAIN);
        assert_int_equal(pair->message.seq, i);
        assert_int_equal(pair->message.epoch, EPOCH);
    }
    nothing_to_send(pair->broker);
    assert_int_equal(drv_link_queued(pair->broker), 0);
}

/* The same frames again are nothing to the caller, and do no harm. */
static void test_link_duplicate_is_dropped(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->broker, 0);
    send_drain(pair->broker, 0);
    struct drv_frames first = next(pair->broker);
    struct drv_frames second = next(pair->broker);
    assert_ok(receive(pair, pair->peer, &first));
    assert_ok(receive(pair, pair->peer, &second));
    assert_int_equal(pair->message.kind, DRV_DRAIN);
    assert_ok(receive(pair, pair->peer, &first));
    assert_int_equal(pair->message.kind, 0);
    assert_ok(receive(pair, pair->peer, &second));
    assert_int_equal(pair->message.kind, 0);
    drop(&first);
    drop(&second);
}

/* A message that is missing breaks the connection. */
static void test_link_gap_breaks_the_protocol(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->broker, 0);
    send_drain(pair->broker, 0);
    struct drv_frames lost = next(pair->broker);
    struct drv_frames second = next(pair->broker);
    assert_int_equal(receive(pair, pair->peer, &second), DROVER_PROTOCOL);
    drop(&lost);
    drop(&second);
}

/* There is no message number 0. */
static void test_link_number_zero_breaks_the_protocol(void **state)
{
    const struct drv_message message = {.kind = DRV_DRAIN, .epoch = EPOCH};
    struct pair *pair = *state;
    assert_int_equal(receive_forged(pair, pair->peer, &message), DROVER_PROTOCOL);
}

/* Bytes that are no message are refused, and so is a message of another epoch, uncounted. */
static void test_link_message_of_another_epoch_is_not_counted(void **state)
{
    struct drv_message message = {.kind = DRV_DRAIN, .epoch = EPOCH + 1, .seq = 1};
    struct pair *pair = *state;
    assert_int_equal(receive_forged(pair, pair->peer, &message), DROVER_EPOCH);
    message.epoch = 0;
    assert_int_equal(receive_forged(pair, pair->peer, &message), DROVER_EPOCH);
    message.epoch = EPOCH;
    assert_ok(receive_forged(pair, pair->peer, &message));
}

/* Before it was welcomed a peer says HELLO and ATTACH with epoch 0, and nothing else. */
static void test_link_accepts_hello_and_attach_without_epoch(void **state)
{
    struct pair *pair = *state;
    drv_link_set_epoch(pair->peer, 0);
    const struct drv_message hello = {.kind = DRV_HELLO, .hello = {.role = DRV_ROLE_WORKER}};
    const struct drv_message attach = {.kind = DRV_ATTACH};
    assert_ok(drv_link_send(pair->peer, &hello, 0));
    assert_ok(drv_link_send(pair->peer, &attach, 0));
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_HELLO);
    assert_int_equal(pair->message.epoch, 0);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_ATTACH);
    send_drain(pair->peer, 0);
    struct drv_frames early = next(pair->peer);
    assert_int_equal(receive(pair, pair->broker, &early), DROVER_EPOCH);
    drop(&early);
}

/* A peer without epoch takes WELCOME and ERROR, and learns the epoch from WELCOME. */
static void test_link_accepts_welcome_and_error_of_any_epoch(void **state)
{
    struct pair *pair = *state;
    drv_link_set_epoch(pair->peer, 0);
    const struct drv_message welcome = {.kind = DRV_WELCOME};
    const struct drv_message error = {.kind = DRV_ERROR};
    assert_ok(drv_link_send(pair->broker, &error, 0));
    assert_ok(drv_link_send(pair->broker, &welcome, 0));
    send_drain(pair->broker, 0);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_ERROR);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_WELCOME);
    struct drv_frames drain = next(pair->broker);
    assert_int_equal(receive(pair, pair->peer, &drain), DROVER_EPOCH);
    drv_link_set_epoch(pair->peer, EPOCH);
    assert_ok(receive(pair, pair->peer, &drain));
    drop(&drain);
}

/* An unknown kind is told to the caller, and the next message follows it without a gap. */
static void test_link_unknown_kind_counts(void **state)
{
    struct pair *pair = *state;
    uint8_t head[] = {0x95, 99, EPOCH, 1, 0, 0xc0};
    assert_int_equal(drv_link_receive(pair->peer, head, sizeof head, NULL, 0, pair->now_us,
                                      &pair->arena, &pair->message, &pair->reason),
                     DROVER_UNSUPPORTED);
    assert_int_equal(pair->message.kind, 99);
    assert_int_equal(pair->message.seq, 1);
    head[1] = 27; /* SCHEDULE, reserved: the number of the request can be told */
    head[3] = 2;
    head[5] = 55;
    assert_int_equal(drv_link_receive(pair->peer, head, sizeof head, NULL, 0, pair->now_us,
                                      &pair->arena, &pair->message, &pair->reason),
                     DROVER_UNSUPPORTED);
    assert_int_equal(pair->message.request.req, 55);
    const struct drv_message message = {.kind = DRV_DRAIN, .epoch = EPOCH, .seq = 3};
    assert_ok(receive_forged(pair, pair->peer, &message));
    assert_int_equal(drv_link_deadline_us(pair->peer), pair->now_us + 1000);
}

/* ---- acknowledgements -------------------------------------------------------------------- */

/* What was settled is acknowledged with the next message; tokens come back in order. */
static void test_link_tokens_come_back_in_order(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->broker, 11);
    send_drain(pair->broker, 0);
    send_drain(pair->broker, 12);
    send_drain(pair->broker, 13);
    for (size_t i = 0; i < 4; i++) {
        (void)deliver(pair, pair->broker, pair->peer);
    }
    send_drain(pair->peer, 0);
    (void)deliver(pair, pair->peer, pair->broker);
    expect_no_token(pair->broker);
    drv_link_settle(pair->peer, 3, pair->now_us);
    send_drain(pair->peer, 0);
    (void)deliver(pair, pair->peer, pair->broker);
    expect_token(pair->broker, 11);
    expect_token(pair->broker, 12);
    expect_no_token(pair->broker);
    assert_false(drv_link_is_idle(pair->broker));
    drv_link_settle(pair->peer, 2, pair->now_us); /* never backwards */
    drv_link_settle(pair->peer, 4, pair->now_us);
    send_drain(pair->peer, 0);
    (void)deliver(pair, pair->peer, pair->broker);
    expect_token(pair->broker, 13);
    assert_true(drv_link_is_idle(pair->broker));
}

/* With nothing to ride on, an acknowledgement goes on its own after the delay. */
static void test_link_acknowledges_after_the_delay(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->broker, 5);
    (void)deliver(pair, pair->broker, pair->peer);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    drv_link_settle(pair->peer, 1, pair->now_us);
    assert_int_equal(drv_link_deadline_us(pair->peer), pair->now_us + 1000);
    drv_link_tick(pair->peer, pair->now_us + 999);
    nothing_to_send(pair->peer);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_ACK);
    assert_int_equal(pair->message.kind, 0);
    expect_token(pair->broker, 5);

    /* An ACK asks for none in return. */
    assert_int_equal(drv_link_deadline_us(pair->broker), INT64_MAX);
    drv_link_tick(pair->broker, pair->now_us + 1000000);
    nothing_to_send(pair->broker);
    assert_true(drv_link_is_idle(pair->peer));
}

/* A message that leaves in time makes the ACK needless. */
static void test_link_acknowledgement_rides_along(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->broker, 5);
    (void)deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    send_drain(pair->peer, 0);
    drv_link_tick(pair->peer, pair->now_us + 5000);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_DRAIN);
    expect_token(pair->broker, 5);
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    nothing_to_send(pair->peer);
}

/* Notes reach the caller, and the ACK that brings them acknowledges as well. */
static void test_link_ack_with_notes_is_handed_on(void **state)
{
    const struct drv_note note = {.seq = 1, .position = 4, .code = DROVER_STALE};
    const struct drv_message message = {.kind = DRV_ACK, .ack_notes = {&note, 1}};
    struct pair *pair = *state;
    send_drain(pair->broker, 5);
    (void)deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    assert_ok(drv_link_send(pair->peer, &message, 0));
    (void)deliver(pair, pair->peer, pair->broker);
    assert_int_equal(pair->message.kind, DRV_ACK);
    assert_int_equal(pair->message.ack_notes.notes[0].position, 4);
    expect_token(pair->broker, 5);
}

/* An acknowledgement of what was never sent breaks the protocol. */
static void test_link_acknowledgement_of_the_future_is_refused(void **state)
{
    struct pair *pair = *state;
    struct drv_message message = {.kind = DRV_DRAIN, .epoch = EPOCH, .seq = 1, .ack = 1};
    assert_int_equal(receive_forged(pair, pair->broker, &message), DROVER_PROTOCOL);
    send_drain(pair->broker, 0);
    struct drv_frames frames = next(pair->broker);
    drv_link_unsend(pair->broker, &frames);
    assert_int_equal(receive_forged(pair, pair->broker, &message), DROVER_PROTOCOL);
    frames = next(pair->broker);
    assert_ok(receive_forged(pair, pair->broker, &message));
    drop(&frames);
}

/* A chunk is dealt with on arrival, but its acknowledgement waits for the message before it. */
static void test_link_acknowledgement_does_not_pass_an_unsettled_message(void **state)
{
    struct pair *pair = *state;
    send_report(pair->peer, 1, 100, 1);
    send_report(pair->peer, 2, 100000, 2);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_REPORT);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_int_equal(drv_link_deadline_us(pair->broker), INT64_MAX);
    send_drain(pair->broker, 0);
    (void)deliver(pair, pair->broker, pair->peer);
    assert_int_equal(pair->message.ack, 0);
    drv_link_settle(pair->broker, 1, pair->now_us);
    send_drain(pair->broker, 0);
    (void)deliver(pair, pair->broker, pair->peer);
    assert_int_equal(pair->message.ack, 2);
    expect_token(pair->peer, 1);
    expect_no_token(pair->peer);
}

/* ---- the socket refuses ------------------------------------------------------------------ */

/* Frames that were put back come again first, unchanged. */
static void test_link_unsend_keeps_number_and_order(void **state)
{
    struct pair *pair = *state;
    for (size_t i = 0; i < 3; i++) {
        send_drain(pair->broker, i + 1);
    }
    struct drv_frames first = next(pair->broker);
    struct drv_frames second = next(pair->broker);
    drv_link_unsend(pair->broker, &second);
    drv_link_unsend(pair->broker, &first);
    assert_null(first.head);
    assert_int_equal(drv_link_queued(pair->broker), 3);
    assert_true(drv_link_queued_bytes(pair->broker) > 0);
    assert_false(drv_link_is_idle(pair->broker));
    send_drain(pair->broker, 4);
    for (uint64_t i = 1; i <= 4; i++) {
        (void)deliver(pair, pair->broker, pair->peer);
        assert_int_equal(pair->message.seq, i);
    }
    assert_int_equal(drv_link_queued_bytes(pair->broker), 0);
}

/* An acknowledgement that became due while the socket was full still goes out. */
static void test_link_unsend_does_not_lose_an_acknowledgement(void **state)
{
    struct pair *pair = *state;
    send_drain(pair->peer, 0);
    struct drv_frames stuck = next(pair->peer);
    drv_link_unsend(pair->peer, &stuck);
    send_drain(pair->broker, 9);
    (void)deliver(pair, pair->broker, pair->peer);
    drv_link_settle(pair->peer, 1, pair->now_us);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    /* No use in trying while nothing leaves. */
    assert_int_equal(drv_link_deadline_us(pair->peer), INT64_MAX);
    (void)deliver(pair, pair->peer, pair->broker);
    expect_no_token(pair->broker);
    assert_true(drv_link_deadline_us(pair->peer) <= pair->now_us + 1000);
    drv_link_tick(pair->peer, pair->now_us + 1000);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_ACK);
    expect_token(pair->broker, 9);
}

/* ---- the queue --------------------------------------------------------------------------- */

static struct drv_link *bounded_link(size_t queue_max, size_t queue_bytes_max)
{
    const struct drv_link_config config = {.epoch = EPOCH,
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
    struct drv_frames frames = next(link);
    drv_link_unsend(link, &frames);
    assert_int_equal(drv_link_send(link, &message, 0), DROVER_BUSY);
    frames = next(link);
    drop(&frames);
    assert_ok(drv_link_send(link, &message, 0));
    assert_int_equal(drv_link_queued(link), 3);
    drv_link_destroy(&link);
}

/* The same in bytes, chunks included; but an empty queue takes any message. */
static void test_link_queue_is_bounded_in_bytes(void **state)
{
    struct drv_link *link = bounded_link(0, 100000);
    assert_ok(try_report(link, 1, 300000, 0));
    assert_true(drv_link_queued_bytes(link) >= 300000);
    assert_int_equal(try_report(link, 2, 100, 0), DROVER_BUSY);
    assert_int_equal(drv_link_queued(link), 1);
    for (struct drv_frames frames; drv_link_next(link, &frames);) {
        drop(&frames);
    }
    assert_int_equal(drv_link_queued_bytes(link), 0);
    assert_ok(try_report(link, 3, 50000, 0));
    assert_int_equal(try_report(link, 4, 50000, 0), DROVER_BUSY);
    assert_ok(try_report(link, 5, 1000, 0));
    drv_link_destroy(&link);
}

/* A message that cannot be encoded leaves no trace. */
static void test_link_failed_send_leaves_no_trace(void **state)
{
    enum { COUNT = DRV_TRANSFERS_MAX + 1 };
    struct pair *pair = *state;
    static struct drv_result results[COUNT];
    struct drv_data *data = content(70000, 1);
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
    nothing_to_send(pair->peer);
    drv_data_unref(&data);
    send_report(pair->peer, 2, 70000, 0);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_REPORT);
    assert_true(is_content(&pair->message.report.results[0].val, 70000, 2));
}

/* ---- the window -------------------------------------------------------------------------- */

/* Sends what may leave without an acknowledgement; returns its charged bytes. */
static uint64_t fill_window(struct pair *pair, struct drv_link *from, struct drv_link *to)
{
    uint64_t charged = 0;
    for (struct drv_frames frames; drv_link_next(from, &frames);) {
        charged += drv_kind_is_charged(frames.kind) ? frames.blob_len : 0;
        assert_ok(receive(pair, to, &frames));
        drop(&frames);
    }
    drv_arena_reset(&pair->arena);
    return charged;
}

/* A bare ACK for everything that was settled. */
static void acknowledge(struct pair *pair, struct drv_link *from, struct drv_link *to)
{
    pair->now_us += 1000;
    drv_link_tick(from, pair->now_us);
    assert_int_equal(deliver(pair, from, to), DRV_ACK);
}

/* Chunks stop at the window; what is small goes on past them; ACKs let them continue. */
static void test_link_window_holds_chunks_and_control_overtakes(void **state)
{
    struct pair *pair = *state;
    send_report(pair->peer, 1, 3 * MIB, 1);
    assert_int_equal(fill_window(pair, pair->peer, pair->broker), MIB);
    assert_int_equal(drv_link_in_flight_bytes(pair->peer), MIB);
    const struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    assert_ok(drv_link_send(pair->peer, &heartbeat, 0));
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_HEARTBEAT);
    nothing_to_send(pair->peer);
    /* The heartbeat is in front of nothing yet; the chunks before it are acknowledged. */
    acknowledge(pair, pair->broker, pair->peer);
    assert_int_equal(drv_link_in_flight_bytes(pair->peer), 0);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_ok(drv_link_send(pair->peer, &heartbeat, 0));
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_HEARTBEAT);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
}

/* A value of 64 MiB goes through a window of 1 MiB, never more than that in flight. */
static void test_link_large_value_passes_a_small_window(void **state)
{
    struct pair *pair = *state;
    send_report(pair->peer, 9, DRV_PAYLOAD_MAX, 77);
    uint64_t total = 0;
    size_t rounds = 0;
    while (drv_link_queued(pair->peer) > 0) {
        uint64_t charged = fill_window(pair, pair->peer, pair->broker);
        assert_true(charged <= MIB);
        assert_int_equal(drv_link_in_flight_bytes(pair->peer), charged);
        total += charged;
        rounds++;
        if (drv_link_queued(pair->peer) > 0) {
            assert_int_equal(pair->message.kind, 0);
            acknowledge(pair, pair->broker, pair->peer);
        }
    }
    assert_int_equal(total, DRV_PAYLOAD_MAX);
    assert_true(rounds >= 64);
    assert_int_equal(pair->message.kind, DRV_REPORT);
    expect_no_token(pair->peer);
    drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
    acknowledge(pair, pair->broker, pair->peer);
    expect_token(pair->peer, 77);
    assert_true(drv_link_is_idle(pair->peer));
}

/* The value is the one that was sent, and lives until the next message; longer if referenced.
 */
static void test_link_value_of_chunks_is_whole_and_can_be_kept(void **state)
{
    struct pair *pair = *state;
    send_report(pair->peer, 5, 700001, 0);
    send_report(pair->peer, 6, 70001, 0);
    while (deliver(pair, pair->peer, pair->broker) != DRV_REPORT) {
        assert_int_equal(pair->message.kind, 0);
    }
    const struct drv_val *val = &pair->message.report.results[0].val;
    assert_true(is_content(val, 700001, 5));
    struct drv_data *kept = drv_data_ref(val->data);
    while (deliver(pair, pair->peer, pair->broker) != DRV_REPORT) {
    }
    assert_true(is_content(&pair->message.report.results[0].val, 70001, 6));
    const struct drv_val old = {.bytes = kept->bytes, .len = kept->len};
    assert_true(is_content(&old, 700001, 5));
    drv_data_unref(&kept);
}

/* Neither end copies a value that fits into one chunk. */
static void test_link_value_of_one_chunk_is_not_copied(void **state)
{
    struct pair *pair = *state;
    struct drv_data *data = content(100000, 3);
    const struct drv_message message = {
        .kind = DRV_SHARED,
        .shared = {id_of(1), {.bytes = data->bytes, .len = data->len, .data = data}}};
    assert_ok(drv_link_send(pair->broker, &message, 0));
    struct drv_frames chunk = next(pair->broker);
    assert_int_equal(chunk.kind, DRV_CHUNK);
    assert_ptr_equal(chunk.blob, data);
    assert_ok(drv_link_receive(pair->peer, chunk.head->bytes, chunk.head->len, chunk.blob,
                               chunk.blob_len, pair->now_us, &pair->arena, &pair->message,
                               &pair->reason));
    drop(&chunk);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_SHARED);
    assert_ptr_equal(pair->message.shared.val.data, data);
    drv_data_unref(&data);
}

/* A message larger than the window goes when nothing is in flight, and the next one waits. */
static void test_link_one_message_may_always_be_in_flight(void **state)
{
    struct pair *pair = *state;
    drv_link_set_window_out(pair->broker, 10);
    send_lease(pair->broker, 1, 1000);
    send_lease(pair->broker, 2, 5);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    nothing_to_send(pair->broker);
    drv_link_settle(pair->peer, 1, pair->now_us);
    acknowledge(pair, pair->peer, pair->broker);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
}

/* CREDIT moves the window, and is handed on for its items. */
static void test_link_credit_moves_the_window(void **state)
{
    struct pair *pair = *state;
    const struct drv_message credit = {.kind = DRV_CREDIT,
                                       .credit = {.items = 4, .bytes = 3000}};
    drv_link_set_window_out(pair->broker, 1000);
    send_lease(pair->broker, 1, 1000);
    send_lease(pair->broker, 2, 2000);
    send_lease(pair->broker, 3, 1);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    nothing_to_send(pair->broker);
    assert_ok(drv_link_send(pair->peer, &credit, 0));
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CREDIT);
    assert_int_equal(pair->message.credit.items, 4);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    nothing_to_send(pair->broker);
}

/* A sender that ignores the window is cut off at four times its size. */
static void test_link_overrun_of_the_window_breaks_the_protocol(void **state)
{
    struct pair *pair = *state;
    drv_link_set_window_out(pair->broker, 100 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        send_lease(pair->broker, i, 60000);
    }
    uint64_t charged = 0;
    drover_status status = DROVER_OK;
    while (status == DROVER_OK) {
        struct drv_frames frames = next(pair->broker);
        status = receive(pair, pair->peer, &frames);
        charged += frames.blob_len;
        drop(&frames);
    }
    assert_int_equal(status, DROVER_PROTOCOL);
    assert_true(charged > 4 * MIB && charged < 5 * MIB);
}

/* ---- order ------------------------------------------------------------------------------- */

/* With the window full, a RECALL waits behind the LEASE it speaks of, and only behind that. */
static void test_link_recall_stays_behind_its_lease(void **state)
{
    struct pair *pair = *state;
    drv_link_set_window_out(pair->broker, 10);
    send_lease(pair->broker, 1, 1000);
    send_lease(pair->broker, 2, 1000);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    send_refs(pair->broker, DRV_RECALL, 2);
    send_refs(pair->broker, DRV_RECALL, 1);
    send_refs(pair->broker, DRV_GO, 2);
    /* The lease 1 has left: its recall overtakes. */
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_RECALL);
    assert_int_equal(pair->message.leases.leases[0].handle, 1);
    nothing_to_send(pair->broker);
    drv_link_settle(pair->peer, 2, pair->now_us);
    acknowledge(pair, pair->peer, pair->broker);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_RECALL);
    assert_int_equal(pair->message.leases.leases[0].handle, 2);
    assert_int_equal(deliver(pair, pair->broker, pair->peer), DRV_GO);
}

/* A CANCEL waits behind the SUBMIT of its task; one of another task overtakes. */
static void test_link_cancel_stays_behind_its_submit(void **state)
{
    struct pair *pair = *state;
    struct drv_data *data = content(2 * MIB, 1);
    struct drv_submit_group group = {.entry_count = 1};
    const struct drv_entry entry = {
        .id = id_of(1), .val = {.bytes = data->bytes, .len = data->len, .data = data}};
    drv_spec_init(&group.spec, drv_str_of("t"));
    group.entries = &entry;
    const struct drv_message submit = {
        .kind = DRV_SUBMIT, .request = {.req = 1}, .submit = {&group, 1}};
    assert_ok(drv_link_send(pair->peer, &submit, 0));
    drv_data_unref(&data);
    for (unsigned number = 1; number <= 2; number++) {
        const struct drv_target target = {.id = id_of(number), .index = DROVER_INDEX_NONE};
        const struct drv_message cancel = {.kind = DRV_CANCEL,
                                           .request = {.req = number + 1},
                                           .targets = {.targets = &target, .target_count = 1}};
        assert_ok(drv_link_send(pair->peer, &cancel, 0));
    }
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CANCEL);
    assert_int_equal(pair->message.request.req, 3);
    unsigned kind = DRV_CHUNK;
    while (kind == DRV_CHUNK) {
        struct drv_frames frames = {0};
        if (!drv_link_next(pair->peer, &frames)) {
            drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
            acknowledge(pair, pair->broker, pair->peer);
            continue;
        }
        kind = frames.kind;
        assert_ok(receive(pair, pair->broker, &frames));
        drop(&frames);
    }
    assert_int_equal(kind, DRV_SUBMIT);
    assert_int_equal(deliver(pair, pair->peer, pair->broker), DRV_CANCEL);
    assert_int_equal(pair->message.request.req, 2);
}

/* ---- transfers from strangers ------------------------------------------------------------ */

static const char piece[100];

/* A chunk of up to 100 bytes as the next message. */
static drover_status receive_chunk(struct pair *pair, uint64_t transfer, uint64_t offset,
                                   uint64_t total, size_t len)
{
    const struct drv_message message = {
        .kind = DRV_CHUNK,
        .epoch = EPOCH,
        .seq = pair->broker->seq_in + 1,
        .chunk = {transfer, offset, total, {len == 0 ? NULL : piece, len}}};
    return receive_forged(pair, pair->broker, &message);
}

/* Chunks that do not continue a transfer, or begin none that may begin. */
static void test_link_misused_transfers_break_the_protocol(void **state)
{
    struct pair *pair = *state;
    assert_ok(receive_chunk(pair, 3, 0, 70000, 100));
    assert_ok(receive_chunk(pair, 3, 100, 70000, 100));
    assert_int_equal(receive_chunk(pair, 3, 100, 70000, 100), DROVER_PROTOCOL); /* again */
    assert_int_equal(receive_chunk(pair, 3, 300, 70000, 100), DROVER_PROTOCOL); /* gap */
    assert_int_equal(receive_chunk(pair, 3, 200, 70001, 100), DROVER_PROTOCOL); /* total */
    assert_int_equal(receive_chunk(pair, 3, 200, 70000, 0), DROVER_PROTOCOL);   /* nothing */
    assert_int_equal(receive_chunk(pair, 4, 1, 70000, 100), DROVER_PROTOCOL);   /* no begin */
    assert_int_equal(receive_chunk(pair, 2, 0, 70000, 100), DROVER_PROTOCOL); /* not growing */
    assert_int_equal(receive_chunk(pair, 0, 0, 70000, 100), DROVER_PROTOCOL); /* no number */
    assert_int_equal(receive_chunk(pair, 4, 0, 65536, 100), DROVER_PROTOCOL); /* no need */
    assert_int_equal(receive_chunk(pair, 4, 0, DRV_PAYLOAD_MAX + 1, 100), DROVER_TOO_BIG);
    assert_ok(receive_chunk(pair, 3, 200, 70000, 100)); /* the link itself lived through it */
}

/* More bytes than were announced. */
static void test_link_transfer_longer_than_its_total_breaks_the_protocol(void **state)
{
    struct pair *pair = *state;
    uint64_t offset = 0;
    for (; offset + 100 <= 65600; offset += 100) {
        assert_ok(receive_chunk(pair, 1, offset, 65601, 100));
    }
    assert_int_equal(receive_chunk(pair, 1, offset, 65601, 100), DROVER_PROTOCOL);
    assert_ok(receive_chunk(pair, 1, offset, 65601, 1));
    assert_int_equal(receive_chunk(pair, 1, 65601, 65601, 1), DROVER_PROTOCOL);
}

/* At most 16 at a time, at most twice payload_max announced. */
static void test_link_open_transfers_are_bounded(void **state)
{
    struct pair *pair = *state;
    for (uint64_t i = 1; i <= DRV_TRANSFERS_MAX; i++) {
        assert_ok(receive_chunk(pair, i, 0, 70000, 1));
    }
    assert_int_equal(receive_chunk(pair, DRV_TRANSFERS_MAX + 1, 0, 70000, 1), DROVER_PROTOCOL);
    drv_link_destroy(&pair->broker);
    pair->broker = new_link(EPOCH, MIB);
    assert_ok(receive_chunk(pair, 1, 0, DRV_PAYLOAD_MAX, 1));
    assert_ok(receive_chunk(pair, 2, 0, DRV_PAYLOAD_MAX, 1));
    assert_int_equal(receive_chunk(pair, 3, 0, 70000, 1), DROVER_PROTOCOL);
}

/* An announcement alone costs no memory. */
static void test_link_memory_follows_what_was_received(void **state)
{
    struct pair *pair = *state;
    for (uint64_t offset = 0; offset < 5000; offset += 100) {
        assert_ok(receive_chunk(pair, 1, offset, DRV_PAYLOAD_MAX, 100));
        const struct link_incoming *incoming = &pair->broker->incoming[0];
        assert_int_equal(incoming->received, offset + 100);
        assert_true(incoming->data->len <= 2 * incoming->received);
    }
    assert_int_equal(pair->broker->inbound.count, 0);
}

static drover_status give_number(void *context, const struct drv_val *val,
                                 uint64_t *out_transfer)
{
    *out_transfer = *(uint64_t *)context;
    return DROVER_OK;
}

/* A SHARED that refers to a transfer, as the next message. */
static drover_status receive_reference(struct pair *pair, uint64_t transfer, size_t len)
{
    struct drv_data *data = content(len, 0);
    const struct drv_transfers transfers = {.put = give_number, .context = &transfer};
    const struct drv_message message = {
        .kind = DRV_SHARED,
        .epoch = EPOCH,
        .seq = pair->broker->seq_in + 1,
        .shared = {id_of(1), {.bytes = data->bytes, .len = len}}};
    struct drv_frames frames = forge(&message, &transfers);
    drover_status status = receive(pair, pair->broker, &frames);
    drop(&frames);
    drv_data_unref(&data);
    return status;
}

/* A message may refer to a complete transfer, once. */
static void test_link_transfer_is_referred_to_once_and_when_complete(void **state)
{
    struct pair *pair = *state;
    uint64_t offset = 0;
    assert_int_equal(receive_reference(pair, 1, 65600), DROVER_PROTOCOL);
    for (; offset < 65600; offset += 100) {
        assert_ok(receive_chunk(pair, 1, offset, 65600, 100));
        if (offset == 100) {
            assert_int_equal(receive_reference(pair, 1, 65600), DROVER_PROTOCOL);
        }
    }
    assert_int_equal(receive_reference(pair, 1, 65599), DROVER_PROTOCOL);
    assert_int_equal(receive_reference(pair, 2, 65600), DROVER_PROTOCOL);
    assert_ok(receive_reference(pair, 1, 65600));
    assert_int_equal(receive_reference(pair, 1, 65600), DROVER_PROTOCOL);
    assert_int_equal(pair->broker->incoming_bytes, 0);
}

/* ---- everything at once ------------------------------------------------------------------ */

/*
 * One direction of random traffic. Each message carries its number; what was sent with large
 * values keeps its order, what is small keeps its own.
 */
struct direction {
    struct drv_link *from, *to;
    uint64_t sent_ordered, sent_control; /* numbers given out */
    uint64_t got_ordered, got_control;   /* numbers that arrived last */
    uint64_t tokens_sent, tokens_back;
    uint64_t settle_at; /* numbers that the receiver has taken, not settled yet */
};

static void traffic_send(struct direction *way, struct drv_rng *rng)
{
    if (drv_rng_below(rng, 3) == 0) {
        const struct drv_message message = {.kind = DRV_CREDIT,
                                            .credit = {way->sent_control + 1, MIB}};
        if (drv_link_send(way->from, &message, way->tokens_sent + 1) == DROVER_OK) {
            way->sent_control++;
            way->tokens_sent++;
        }
        return;
    }
    size_t len = (size_t)drv_rng_below(rng, drv_rng_below(rng, 10) == 0 ? 1500000 : 3000);
    unsigned number = (unsigned)way->sent_ordered + 1;
    if (try_report(way->from, number & 0xffff, len, way->tokens_sent + 1) == DROVER_OK) {
        way->sent_ordered++;
        way->tokens_sent++;
    }
}

static void traffic_take(struct direction *way, const struct drv_message *message)
{
    if (message->kind == DRV_CREDIT) {
        way->got_control++;
        assert_int_equal(message->credit.items, way->got_control);
    } else if (message->kind == DRV_REPORT) {
        const struct drv_val *val = &message->report.results[0].val;
        way->got_ordered++;
        assert_true(is_content(val, val->len, (unsigned)way->got_ordered & 0xffff));
    }
    if ((unsigned)message->kind != 0) {
        way->settle_at = message->seq;
    }
}

static void traffic_deliver(struct pair *pair, struct direction *way, struct drv_rng *rng)
{
    struct drv_frames frames;
    if (!drv_link_next(way->from, &frames)) {
        return;
    }
    assert_true(drv_link_in_flight_bytes(way->from) <= MIB);
    if (drv_rng_below(rng, 10) == 0) {
        drv_link_unsend(way->from, &frames);
        return;
    }
    const char *reason = NULL;
    struct drv_data *blob = NULL;
    struct drv_message message;
    if (frames.blob_len > 0) {
        assert_ok(
            drv_data_copy(frames.blob->bytes + frames.blob_offset, frames.blob_len, &blob));
    }
    size_t times = drv_rng_below(rng, 10) == 0 ? 2 : 1;
    for (size_t i = 0; i < times; i++) {
        assert_ok(drv_link_receive(way->to, frames.head->bytes, frames.head->len, blob,
                                   frames.blob_len, pair->now_us, &pair->arena, &message,
                                   &reason));
        assert_true(i == 0 || (unsigned)message.kind == 0);
        traffic_take(way, &message);
    }
    drv_data_unref(&blob);
    drop(&frames);
    drv_arena_reset(&pair->arena);
}

static void traffic_settle(struct pair *pair, struct direction *way)
{
    drv_link_settle(way->to, way->settle_at, pair->now_us);
    for (uint64_t token; drv_link_settled(way->from, &token);) {
        way->tokens_back++;
    }
}

/* Whatever happens in between, everything arrives once and in order, and all of it is settled.
 */
static void test_link_random_traffic_arrives_in_order_and_is_settled(void **state)
{
    struct pair *pair = *state;
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    struct direction ways[2] = {{.from = pair->peer, .to = pair->broker},
                                {.from = pair->broker, .to = pair->peer}};
    for (size_t step = 0; step < 6000; step++) {
        struct direction *way = &ways[drv_rng_below(&rng, 2)];
        uint64_t what = drv_rng_below(&rng, 10);
        if (what < 2 && step < 4000 && drv_link_queued(way->from) < 50) {
            traffic_send(way, &rng);
        } else if (what < 8) {
            traffic_deliver(pair, way, &rng);
        } else {
            pair->now_us += (int64_t)drv_rng_below(&rng, 700);
            traffic_settle(pair, way);
            drv_link_tick(way->to, pair->now_us);
        }
    }
    for (size_t step = 0; step < 100000; step++) {
        struct direction *way = &ways[step % 2];
        if (drv_link_is_idle(way->from) && way->tokens_back == way->tokens_sent &&
            drv_link_is_idle(way->to)) {
            break;
        }
        pair->now_us += 100;
        traffic_deliver(pair, way, &rng);
        traffic_settle(pair, way);
        drv_link_tick(way->to, pair->now_us);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(ways[i].sent_ordered > 100 && ways[i].sent_control > 50);
        assert_int_equal(ways[i].got_ordered, ways[i].sent_ordered);
        assert_int_equal(ways[i].got_control, ways[i].sent_control);
        assert_int_equal(ways[i].tokens_back, ways[i].tokens_sent);
        assert_true(drv_link_is_idle(ways[i].from));
        assert_int_equal(drv_link_in_flight_bytes(ways[i].from), 0);
        assert_int_equal(ways[i].to->inbound_bytes, 0);
    }
}

/* Random bytes and random messages into a link: refused or taken, never more. */
static void test_link_lives_through_strangers(void **state)
{
    struct pair *pair = *state;
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    const struct random_source source = {
        .rng = &rng, .arena = &pair->arena, .entries_max = 5, .value_max = 200};
    for (size_t round = 0; round < 3000; round++) {
        struct drv_message message;
        random_message(&source, random_kinds[drv_rng_below(&rng, random_kind_count())],
                       &message);
        message.epoch = drv_rng_below(&rng, 10) == 0 ? 0 : EPOCH;
        message.seq = pair->broker->seq_in + drv_rng_below(&rng, 3);
        message.ack = drv_rng_below(&rng, 2);
        struct drv_frames frames = forge(&message, NULL);
        if (drv_rng_below(&rng, 3) == 0) {
            frames.head->bytes[drv_rng_below(&rng, frames.head->len)] ^=
                (uint8_t)(1U << drv_rng_below(&rng, 8));
        }
        (void)receive(pair, pair->broker, &frames);
        drop(&frames);
        drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
        drv_arena_reset(&pair->arena);
    }
    assert_true(pair->broker->seq_in > 100);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_numbers_messages_from_one),
        TEST(test_link_duplicate_is_dropped),
        TEST(test_link_gap_breaks_the_protocol),
        TEST(test_link_number_zero_breaks_the_protocol),
        TEST(test_link_message_of_another_epoch_is_not_counted),
        TEST(test_link_accepts_hello_and_attach_without_epoch),
        TEST(test_link_accepts_welcome_and_error_of_any_epoch),
        TEST(test_link_unknown_kind_counts),
        TEST(test_link_tokens_come_back_in_order),
        TEST(test_link_acknowledges_after_the_delay),
        TEST(test_link_acknowledgement_rides_along),
        TEST(test_link_ack_with_notes_is_handed_on),
        TEST(test_link_acknowledgement_of_the_future_is_refused),
        TEST(test_link_acknowledgement_does_not_pass_an_unsettled_message),
        TEST(test_link_unsend_keeps_number_and_order),
        TEST(test_link_unsend_does_not_lose_an_acknowledgement),
        TEST(test_link_queue_is_bounded_in_messages),
        TEST(test_link_queue_is_bounded_in_bytes),
        TEST(test_link_failed_send_leaves_no_trace),
        TEST(test_link_window_holds_chunks_and_control_overtakes),
        TEST(test_link_large_value_passes_a_small_window),
        TEST(test_link_value_of_chunks_is_whole_and_can_be_kept),
        TEST(test_link_value_of_one_chunk_is_not_copied),
        TEST(test_link_one_message_may_always_be_in_flight),
        TEST(test_link_credit_moves_the_window),
        TEST(test_link_overrun_of_the_window_breaks_the_protocol),
        TEST(test_link_recall_stays_behind_its_lease),
        TEST(test_link_cancel_stays_behind_its_submit),
        TEST(test_link_misused_transfers_break_the_protocol),
        TEST(test_link_transfer_longer_than_its_total_breaks_the_protocol),
        TEST(test_link_open_transfers_are_bounded),
        TEST(test_link_memory_follows_what_was_received),
        TEST(test_link_transfer_is_referred_to_once_and_when_complete),
        TEST(test_link_random_traffic_arrives_in_order_and_is_settled),
        TEST(test_link_lives_through_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
