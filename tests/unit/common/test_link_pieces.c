/* link.h, pieces.h: values that stay in the pieces they came in. */
#include "test.h"

#include "link_pair.h"
#include "pieces.h"

enum { CHUNK = 256 * 1024 };

/* Messages as a socket has them: memory that can be kept, or is gone with the next message. */
struct socket {
    struct drv_data *now; /* the one received last; NULL: it was kept */
    size_t kept, freed;
    bool is_broke; /* there is no memory */
};

struct owner {
    struct socket *socket;
    struct drv_data *data;
};

static void *keep(void *context, const uint8_t **out_bytes)
{
    struct socket *socket = context;
    if (socket->is_broke) {
        return NULL;
    }
    struct owner *owner = calloc(1, sizeof *owner);
    assert_non_null(owner);
    *owner = (struct owner){.socket = socket, .data = socket->now};
    socket->now = NULL;
    socket->kept++;
    *out_bytes = owner->data->bytes;
    return owner;
}

static void free_owner(void *context)
{
    struct owner *owner = context;
    owner->socket->freed++;
    drv_data_unref(&owner->data);
    free(owner);
}

static struct drv_lender lender_of(struct socket *socket)
{
    return (struct drv_lender){.keep = keep, .free_owner = free_owner, .context = socket};
}

static drover_status receive(struct link_pair *pair, struct socket *socket,
                             const struct drv_frames *frames)
{
    const struct drv_lender lender = lender_of(socket);
    size_t len = frames->blob_len;
    drv_data_unref(&socket->now);
    assert_ok(drv_data_new(len, &socket->now));
    if (len > 0) {
        memcpy(socket->now->bytes, frames->blob->bytes + frames->blob_offset, len);
    }
    return drv_link_receive_lent(pair->peer, frames->head->bytes, frames->head->len,
                                 socket->now->bytes, len, &lender, pair->now_us, &pair->arena,
                                 &pair->message, &pair->reason);
}

/* Everything that may leave; the last message is in pair->message. */
static void receive_all(struct link_pair *pair, struct socket *socket)
{
    struct drv_frames frames;
    while (drv_link_next(pair->broker, &frames)) {
        assert_ok(receive(pair, socket, &frames));
        link_drop(&frames);
    }
}

static int setup(void **state)
{
    int result = link_pair_setup(state);
    struct link_pair *pair = *state;
    pair->peer->config.pieces_kind = DRV_LEASE;
    drv_link_set_window_out(pair->broker, 4 * MIB);
    return result;
}

static bool is_content(struct drv_data *data, size_t len, unsigned seed)
{
    struct drv_data *joined = drv_data_ref(data);
    assert_ok(drv_pieces_join(&joined));
    struct drv_val val = {.bytes = joined->bytes, .len = joined->len};
    bool is = link_is_content(&val, len, seed);
    drv_data_unref(&joined);
    return is;
}

/* Nothing is copied but a short end, and what was kept is freed with the value. */
static void test_link_payload_stays_in_its_chunks(void **state)
{
    static const size_t ends[] = {0, 1, LINK_PIECE_MIN - 1, LINK_PIECE_MIN, CHUNK - 1};
    struct link_pair *pair = *state;
    for (unsigned i = 0; i < 5; i++) {
        struct socket socket = {0};
        size_t len = 2 * CHUNK + ends[i];
        link_send_lease(pair->broker, i, len);
        receive_all(pair, &socket);
        assert_int_equal(pair->message.kind, DRV_LEASE);
        const struct drv_val *val = &pair->message.lease.groups[0].entries[0].val;
        assert_true(drv_data_is_pieces(val->data));
        assert_null(val->bytes);
        assert_int_equal(drv_pieces_view(val->data).len, len);
        assert_int_equal(val->len, len);
        assert_int_equal(val->data->pieces->count, ends[i] == 0 ? 2 : 3);
        assert_int_equal(socket.kept, ends[i] >= LINK_PIECE_MIN ? 3 : 2);
        struct drv_data *data = drv_data_ref(val->data);
        link_release_taken(pair->peer);
        assert_int_equal(socket.freed, 0);
        assert_true(is_content(data, len, i));
        drv_data_unref(&data);
        assert_int_equal(socket.freed, socket.kept);
        drv_link_settle(pair->peer, pair->message.seq, pair->now_us);
        link_acknowledge(pair, pair->peer, pair->broker);
        drv_data_unref(&socket.now);
    }
}

/* Whoever did not ask for pieces gets none: other messages, and other links. */
static void test_link_other_values_are_one_piece(void **state)
{
    struct link_pair *pair = *state;
    struct socket socket = {0};
    link_send_report(pair->broker, 1, 3 * CHUNK, 0);
    receive_all(pair, &socket);
    const struct drv_val *val = &pair->message.report.results[0].val;
    assert_false(drv_data_is_pieces(val->data));
    assert_true(link_is_content(val, 3 * CHUNK, 1));
    assert_int_equal(socket.freed, socket.kept);
    pair->peer->config.pieces_kind = 0;
    socket.kept = socket.freed = 0;
    link_send_lease(pair->broker, 2, 3 * CHUNK);
    receive_all(pair, &socket);
    val = &pair->message.lease.groups[0].entries[0].val;
    assert_true(link_is_content(val, 3 * CHUNK, 2));
    assert_int_equal(socket.kept, 0);
    drv_data_unref(&socket.now);
}

/* A chunk of a transfer, as somebody with other rules might send it. */
static drover_status send_chunk(struct link_pair *pair, struct socket *socket, uint64_t offset,
                                uint64_t total, size_t len)
{
    struct drv_data *data = link_content((size_t)total, 9);
    const struct drv_message message = {
        .kind = DRV_CHUNK,
        .epoch = LINK_EPOCH,
        .seq = pair->peer->seq_in + 1,
        .chunk = {1, offset, total, {(const char *)data->bytes + offset, len}}};
    struct drv_frames frames = link_forge(&message, NULL);
    drover_status status = receive(pair, socket, &frames);
    link_drop(&frames);
    drv_data_unref(&data);
    return status;
}

/* Many short chunks cost no more than what they have: they are put together. */
static void test_link_short_chunks_are_not_kept(void **state)
{
    struct link_pair *pair = *state;
    struct link_incoming *slot = &pair->peer->incoming[0];
    struct socket socket = {0};
    const size_t total = 200 * 1000;
    assert_ok(send_chunk(pair, &socket, 0, total, LINK_PIECE_MIN));
    assert_ok(send_chunk(pair, &socket, LINK_PIECE_MIN, total, LINK_PIECE_MIN));
    assert_int_equal(socket.kept, 2);
    assert_true(drv_data_is_pieces(slot->data));
    assert_ok(send_chunk(pair, &socket, 2 * LINK_PIECE_MIN, total, 100));
    assert_int_equal(socket.freed, 2);
    assert_false(drv_data_is_pieces(slot->data));
    size_t at = 2 * LINK_PIECE_MIN + 100;
    assert_ok(send_chunk(pair, &socket, at, total, LINK_PIECE_MIN)); /* and stay so */
    assert_int_equal(socket.kept, 2);
    at += LINK_PIECE_MIN;
    assert_ok(send_chunk(pair, &socket, at, total, total - at));
    assert_int_equal(slot->received, total);
    struct drv_val val = {.bytes = slot->data->bytes, .len = total};
    assert_true(link_is_content(&val, total, 9));
    drv_data_unref(&socket.now);
}

/* What nobody ever names is freed with the link, and so is what there is no memory for. */
static void test_link_unfinished_pieces_are_freed(void **state)
{
    struct link_pair *pair = *state;
    struct socket socket = {0};
    assert_ok(send_chunk(pair, &socket, 0, 200 * 1000, LINK_PIECE_MIN));
    socket.is_broke = true;
    assert_int_equal(send_chunk(pair, &socket, LINK_PIECE_MIN, 200 * 1000, LINK_PIECE_MIN),
                     DROVER_NOMEM);
    assert_int_equal(pair->peer->incoming[0].received, LINK_PIECE_MIN);
    assert_int_equal(socket.freed, 0);
    drv_link_destroy(&pair->peer);
    assert_int_equal(socket.freed, 1);
    drv_data_unref(&socket.now);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, link_pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_payload_stays_in_its_chunks),
        TEST(test_link_other_values_are_one_piece),
        TEST(test_link_short_chunks_are_not_kept),
        TEST(test_link_unfinished_pieces_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
