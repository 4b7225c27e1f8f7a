/* link.h: everything at once, and whatever strangers send. */
#include "test.h"

#include "link_pair.h"
#include "random_message.h"

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
    if (link_try_report(way->from, number & 0xffff, len, way->tokens_sent + 1) == DROVER_OK) {
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
        assert_true(link_is_content(val, val->len, (unsigned)way->got_ordered & 0xffff));
    }
    if ((unsigned)message->kind != 0) {
        way->settle_at = message->seq;
    }
}

static void traffic_deliver(struct link_pair *pair, struct direction *way, struct drv_rng *rng)
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
    link_drop(&frames);
    drv_arena_reset(&pair->arena);
}

static void traffic_settle(struct link_pair *pair, struct direction *way)
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
    struct link_pair *pair = *state;
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
    struct link_pair *pair = *state;
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    const struct random_source source = {
        .rng = &rng, .arena = &pair->arena, .entries_max = 5, .value_max = 200};
    for (size_t round = 0; round < 3000; round++) {
        struct drv_message message;
        random_message(&source, random_kinds[drv_rng_below(&rng, random_kind_count())],
                       &message);
        message.epoch = drv_rng_below(&rng, 10) == 0 ? 0 : LINK_EPOCH;
        message.seq = pair->broker->seq_in + drv_rng_below(&rng, 3);
        message.ack = drv_rng_below(&rng, 2);
        struct drv_frames frames = link_forge(&message, NULL);
        if (drv_rng_below(&rng, 3) == 0) {
            frames.head->bytes[drv_rng_below(&rng, frames.head->len)] ^=
                (uint8_t)(1U << drv_rng_below(&rng, 8));
        }
        (void)link_receive(pair, pair->broker, &frames);
        link_drop(&frames);
        drv_link_settle(pair->broker, pair->broker->seq_in, pair->now_us);
        drv_arena_reset(&pair->arena);
    }
    assert_true(pair->broker->seq_in > 100);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, link_pair_setup, link_pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_random_traffic_arrives_in_order_and_is_settled),
        TEST(test_link_lives_through_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
