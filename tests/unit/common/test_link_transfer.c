/* link.h: values that come as chunks from strangers. */
#include "test.h"

#include "link_pair.h"

/* ---- transfers from strangers ------------------------------------------------------------ */

static const char piece[100];

/* A chunk of up to 100 bytes as the next message. */
static drover_status receive_chunk(struct link_pair *pair, uint64_t transfer, uint64_t offset,
                                   uint64_t total, size_t len)
{
    const struct drv_message message = {
        .kind = DRV_CHUNK,
        .epoch = LINK_EPOCH,
        .seq = pair->broker->seq_in + 1,
        .chunk = {transfer, offset, total, {len == 0 ? NULL : piece, len}}};
    return link_receive_forged(pair, pair->broker, &message);
}

/* Chunks that do not continue a transfer, or begin none that may begin. */
static void test_link_misused_transfers_break_the_protocol(void **state)
{
    struct link_pair *pair = *state;
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
    struct link_pair *pair = *state;
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
    struct link_pair *pair = *state;
    for (uint64_t i = 1; i <= DRV_TRANSFERS_MAX; i++) {
        assert_ok(receive_chunk(pair, i, 0, 70000, 1));
    }
    assert_int_equal(receive_chunk(pair, DRV_TRANSFERS_MAX + 1, 0, 70000, 1), DROVER_PROTOCOL);
    drv_link_destroy(&pair->broker);
    pair->broker = link_make(LINK_EPOCH, MIB);
    assert_ok(receive_chunk(pair, 1, 0, DRV_PAYLOAD_MAX, 1));
    assert_ok(receive_chunk(pair, 2, 0, DRV_PAYLOAD_MAX, 1));
    assert_int_equal(receive_chunk(pair, 3, 0, 70000, 1), DROVER_PROTOCOL);
}

/* An announcement alone makes no room for all of it. */
static void test_link_memory_follows_what_was_received(void **state)
{
    struct link_pair *pair = *state;
    for (uint64_t offset = 0; offset < 5000; offset += 100) {
        assert_ok(receive_chunk(pair, 1, offset, DRV_PAYLOAD_MAX, 100));
        const struct link_incoming *incoming = &pair->broker->incoming[0];
        assert_int_equal(incoming->received, offset + 100);
        assert_true(incoming->data->len <= 16 * incoming->received);
    }
    assert_int_equal(pair->broker->inbound.count, 0);
}

/* Whom we have chosen is believed, so that nothing has to move. */
static void test_link_trusted_announcement_gets_room_at_once(void **state)
{
    struct link_pair *pair = *state;
    pair->broker->config.is_trusted = true;
    assert_ok(receive_chunk(pair, 1, 0, DRV_PAYLOAD_MAX, 100));
    assert_int_equal(pair->broker->incoming[0].data->len, DRV_PAYLOAD_MAX);
}

static drover_status give_number(void *context, const struct drv_val *val,
                                 uint64_t *out_transfer)
{
    *out_transfer = *(uint64_t *)context;
    return DROVER_OK;
}

/* A SHARED that refers to a transfer, as the next message. */
static drover_status receive_reference(struct link_pair *pair, uint64_t transfer, size_t len)
{
    struct drv_data *data = link_content(len, 0);
    const struct drv_transfers transfers = {.put = give_number, .context = &transfer};
    const struct drv_message message = {
        .kind = DRV_SHARED,
        .epoch = LINK_EPOCH,
        .seq = pair->broker->seq_in + 1,
        .shared = {link_id(1), {.bytes = data->bytes, .len = len}}};
    struct drv_frames frames = link_forge(&message, &transfers);
    drover_status status = link_receive(pair, pair->broker, &frames);
    link_drop(&frames);
    drv_data_unref(&data);
    return status;
}

/* A message may refer to a complete transfer, once. */
static void test_link_transfer_is_referred_to_once_and_when_complete(void **state)
{
    struct link_pair *pair = *state;
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

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, link_pair_setup, link_pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_misused_transfers_break_the_protocol),
        TEST(test_link_transfer_longer_than_its_total_breaks_the_protocol),
        TEST(test_link_open_transfers_are_bounded),
        TEST(test_link_memory_follows_what_was_received),
        TEST(test_link_trusted_announcement_gets_room_at_once),
        TEST(test_link_transfer_is_referred_to_once_and_when_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
