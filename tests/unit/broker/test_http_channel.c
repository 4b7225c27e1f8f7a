/* Frames between the loop and the HTTP thread. */
#include "test.h"

#include "channel.h"

#include <poll.h>
#include <string.h>

static bool is_readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

static struct channel_frames frames_of(uint32_t generation)
{
    struct channel_frames frames = {.generation = generation};
    assert_int_equal(drv_data_copy(&generation, sizeof(generation), &frames.head), DROVER_OK);
    return frames;
}

/* What is pushed comes out in order, once; the descriptor says that there is something. */
static void test_channel_keeps_the_order_and_wakes(void **state)
{
    (void)state;
    struct channel channel;
    struct channel_frames out;
    assert_int_equal(channel_init(&channel), DROVER_OK);
    assert_false(is_readable(channel.up.event_fd));
    assert_false(channel_pop(&channel.up, &out));
    for (uint32_t i = 0; i < 3; i++) {
        struct channel_frames in = frames_of(i);
        assert_true(channel_push(&channel.up, &in));
    }
    assert_true(is_readable(channel.up.event_fd));
    assert_false(is_readable(channel.down.event_fd));
    channel_seen(&channel.up);
    assert_false(is_readable(channel.up.event_fd));
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(channel_pop(&channel.up, &out));
        assert_int_equal(out.generation, i);
        assert_memory_equal(out.head->bytes, &i, sizeof(i));
        channel_frames_fini(&out);
    }
    assert_true(channel_is_empty(&channel.up));
    channel_fini(&channel);
}

/* A full ring refuses, and what it refuses stays the caller's; it goes round for ever. */
static void test_channel_that_is_full_refuses(void **state)
{
    (void)state;
    struct channel channel;
    struct channel_frames out;
    assert_int_equal(channel_init(&channel), DROVER_OK);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CHANNEL_SLOTS; i++) {
            struct channel_frames in = frames_of(i);
            assert_true(channel_push(&channel.down, &in));
        }
        struct channel_frames more = frames_of(99);
        assert_false(channel_push(&channel.down, &more));
        channel_frames_fini(&more);
        for (uint32_t i = 0; i < CHANNEL_SLOTS; i++) {
            assert_true(channel_pop(&channel.down, &out));
            assert_int_equal(out.generation, i);
            channel_frames_fini(&out);
        }
    }
    struct channel_frames left = frames_of(1); /* freed with the channel */
    assert_true(channel_push(&channel.up, &left));
    channel_fini(&channel);
}

/* What stands for a routing id names the connection, and is no id of a socket. */
static void test_channel_routing_id_holds_the_generation(void **state)
{
    (void)state;
    uint8_t first[CHANNEL_ROUTING_ID_LEN];
    uint8_t second[CHANNEL_ROUTING_ID_LEN];
    channel_routing_id(7, first);
    channel_routing_id(8, second);
    assert_int_equal(channel_generation(first), 7);
    assert_memory_not_equal(first, second, sizeof(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_keeps_the_order_and_wakes),
        cmocka_unit_test(test_channel_that_is_full_refuses),
        cmocka_unit_test(test_channel_routing_id_holds_the_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
