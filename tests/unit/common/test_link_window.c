/* link.h: the byte window, and what may overtake what. */
#include "test.h"

#include "link_pair.h"

/* ---- the window -------------------------------------------------------------------------- */

/* Chunks stop at the window; what is small goes on past them; ACKs let them continue. */
static void test_link_window_holds_chunks_and_control_overtakes(void **state)
{
    struct link_pair *pair = *state;
    link_send_report(pair->peer, 1, 3 * MIB, 1);
    assert_int_equal(link_fill_window(pair, pair->peer, pair->broker), MIB);
    assert_int_equal(drv_link_in_flight_bytes(pair->peer), MIB);
    const struct drv_message heartbeat = {.kind = DRV_HEARTBEAT};
    assert_ok(drv_link_send(pair->peer, &heartbeat, 0));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_HEARTBEAT);
    link_expect_silence(pair->peer);
    /* The heartbeat is in front of nothing yet; the chunks before it are acknowledged. */
    link_acknowledge(pair, pair->broker, pair->peer);
    assert_int_equal(drv_link_in_flight_bytes(pair->peer), 0);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
    assert_ok(drv_link_send(pair->peer, &heartbeat, 0));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_HEARTBEAT);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CHUNK);
}

/* A value of 64 MiB goes through a window of 1 MiB, never more than that in flight. */
static void test_link_large_value_passes_a_small_window(void **state)
{
    struct link_pair *pair = *state;
    link_send_report(pair->peer, 9, DRV_PAYLOAD_MAX, 77);
    uint64_t total = 0;
    size_t rounds = 0;
    while (drv_link_queued(pair->peer) > 0) {
        uint64_t charged = link_fill_window(pair, pair->peer, pair->broker);
        assert_true(charged <= MIB);
        assert_int_equal(drv_link_in_flight_bytes(pair->peer), charged);
        total += charged;
        rounds++;
        if (drv_link_queued(pair->peer) > 0) {
            assert_int_equal(pair->message.kind, 0);
            link_acknowledge(pair, pair->broker, pair->peer);
        }
    }
    assert_int_equal(total, DRV_PAYLOAD_MAX);
    assert_true(rounds >= 64);
    assert_int_equal(pair->message.kind, DRV_REPORT);
    link_expect_no_token(pair->peer);
    drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
    link_acknowledge(pair, pair->broker, pair->peer);
    link_expect_token(pair->peer, 77);
    assert_true(drv_link_is_idle(pair->peer));
}

/* The value is the one that was sent, and lives until the next message; longer if referenced.
 */
static void test_link_value_of_chunks_is_whole_and_can_be_kept(void **state)
{
    struct link_pair *pair = *state;
    link_send_report(pair->peer, 5, 700001, 0);
    link_send_report(pair->peer, 6, 70001, 0);
    while (link_deliver(pair, pair->peer, pair->broker) != DRV_REPORT) {
        assert_int_equal(pair->message.kind, 0);
    }
    const struct drv_val *val = &pair->message.report.results[0].val;
    assert_true(link_is_content(val, 700001, 5));
    struct drv_data *kept = drv_data_ref(val->data);
    while (link_deliver(pair, pair->peer, pair->broker) != DRV_REPORT) {
    }
    assert_true(link_is_content(&pair->message.report.results[0].val, 70001, 6));
    const struct drv_val old = {.bytes = kept->bytes, .len = kept->len};
    assert_true(link_is_content(&old, 700001, 5));
    drv_data_unref(&kept);
}

/* Neither end copies a value that fits into one chunk. */
static void test_link_value_of_one_chunk_is_not_copied(void **state)
{
    struct link_pair *pair = *state;
    struct drv_data *data = link_content(100000, 3);
    const struct drv_message message = {
        .kind = DRV_SHARED,
        .shared = {link_id(1), {.bytes = data->bytes, .len = data->len, .data = data}}};
    assert_ok(drv_link_send(pair->broker, &message, 0));
    struct drv_frames chunk = link_next(pair->broker);
    assert_int_equal(chunk.kind, DRV_CHUNK);
    assert_ptr_equal(chunk.blob, data);
    assert_ok(drv_link_receive(pair->peer, chunk.head->bytes, chunk.head->len, chunk.blob,
                               chunk.blob_len, pair->now_us, &pair->arena, &pair->message,
                               &pair->reason));
    link_drop(&chunk);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_SHARED);
    assert_ptr_equal(pair->message.shared.val.data, data);
    drv_data_unref(&data);
}

/* A message larger than the window goes when nothing is in flight, and the next one waits. */
static void test_link_one_message_may_always_be_in_flight(void **state)
{
    struct link_pair *pair = *state;
    drv_link_set_window_out(pair->broker, 10);
    link_send_lease(pair->broker, 1, 1000);
    link_send_lease(pair->broker, 2, 5);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    link_expect_silence(pair->broker);
    drv_link_settle(pair->peer, 1, pair->now_us);
    link_acknowledge(pair, pair->peer, pair->broker);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
}

/* CREDIT moves the window, and is handed on for its items. */
static void test_link_credit_moves_the_window(void **state)
{
    struct link_pair *pair = *state;
    const struct drv_message credit = {.kind = DRV_CREDIT,
                                       .credit = {.items = 4, .bytes = 3000}};
    drv_link_set_window_out(pair->broker, 1000);
    link_send_lease(pair->broker, 1, 1000);
    link_send_lease(pair->broker, 2, 2000);
    link_send_lease(pair->broker, 3, 1);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    link_expect_silence(pair->broker);
    assert_ok(drv_link_send(pair->peer, &credit, 0));
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CREDIT);
    assert_int_equal(pair->message.credit.items, 4);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    link_expect_silence(pair->broker);
}

/* A sender that ignores the window is cut off at four times its size. */
static void test_link_overrun_of_the_window_breaks_the_protocol(void **state)
{
    struct link_pair *pair = *state;
    drv_link_set_window_out(pair->broker, 100 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        link_send_lease(pair->broker, i, 60000);
    }
    uint64_t charged = 0;
    drover_status status = DROVER_OK;
    while (status == DROVER_OK) {
        struct drv_frames frames = link_next(pair->broker);
        status = link_receive(pair, pair->peer, &frames);
        charged += frames.blob_len;
        link_drop(&frames);
    }
    assert_int_equal(status, DROVER_PROTOCOL);
    assert_true(charged > 4 * MIB && charged < 5 * MIB);
}

/* ---- order ------------------------------------------------------------------------------- */

/* With the window full, a RECALL waits behind the LEASE it speaks of, and only behind that. */
static void test_link_recall_stays_behind_its_lease(void **state)
{
    struct link_pair *pair = *state;
    drv_link_set_window_out(pair->broker, 10);
    link_send_lease(pair->broker, 1, 1000);
    link_send_lease(pair->broker, 2, 1000);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    link_send_refs(pair->broker, DRV_RECALL, 2);
    link_send_refs(pair->broker, DRV_RECALL, 1);
    link_send_refs(pair->broker, DRV_GO, 2);
    /* The lease 1 has left: its recall overtakes. */
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_RECALL);
    assert_int_equal(pair->message.leases.leases[0].handle, 1);
    link_expect_silence(pair->broker);
    drv_link_settle(pair->peer, 2, pair->now_us);
    link_acknowledge(pair, pair->peer, pair->broker);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_LEASE);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_RECALL);
    assert_int_equal(pair->message.leases.leases[0].handle, 2);
    assert_int_equal(link_deliver(pair, pair->broker, pair->peer), DRV_GO);
}

/* A CANCEL waits behind the SUBMIT of its task; one of another task overtakes. */
static void test_link_cancel_stays_behind_its_submit(void **state)
{
    struct link_pair *pair = *state;
    struct drv_data *data = link_content(2 * MIB, 1);
    struct drv_submit_group group = {.entry_count = 1};
    const struct drv_entry entry = {
        .id = link_id(1), .val = {.bytes = data->bytes, .len = data->len, .data = data}};
    drv_spec_init(&group.spec, drv_str_of("t"));
    group.entries = &entry;
    const struct drv_message submit = {
        .kind = DRV_SUBMIT, .request = {.req = 1}, .submit = {&group, 1}};
    assert_ok(drv_link_send(pair->peer, &submit, 0));
    drv_data_unref(&data);
    for (unsigned number = 1; number <= 2; number++) {
        const struct drv_target target = {.id = link_id(number), .index = DROVER_INDEX_NONE};
        const struct drv_message cancel = {.kind = DRV_CANCEL,
                                           .request = {.req = number + 1},
                                           .targets = {.targets = &target, .target_count = 1}};
        assert_ok(drv_link_send(pair->peer, &cancel, 0));
    }
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CANCEL);
    assert_int_equal(pair->message.request.req, 3);
    unsigned kind = DRV_CHUNK;
    while (kind == DRV_CHUNK) {
        struct drv_frames frames = {0};
        if (!drv_link_next(pair->peer, &frames)) {
            drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
            link_acknowledge(pair, pair->broker, pair->peer);
            continue;
        }
        kind = frames.kind;
        assert_ok(link_receive(pair, pair->broker, &frames));
        link_drop(&frames);
    }
    assert_int_equal(kind, DRV_SUBMIT);
    assert_int_equal(link_deliver(pair, pair->peer, pair->broker), DRV_CANCEL);
    assert_int_equal(pair->message.request.req, 2);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, link_pair_setup, link_pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_window_holds_chunks_and_control_overtakes),
        TEST(test_link_large_value_passes_a_small_window),
        TEST(test_link_value_of_chunks_is_whole_and_can_be_kept),
        TEST(test_link_value_of_one_chunk_is_not_copied),
        TEST(test_link_one_message_may_always_be_in_flight),
        TEST(test_link_credit_moves_the_window),
        TEST(test_link_overrun_of_the_window_breaks_the_protocol),
        TEST(test_link_recall_stays_behind_its_lease),
        TEST(test_link_cancel_stays_behind_its_submit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
