/* channel.c: see channel.h. */
#include "channel.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static drover_status ring_init(struct channel_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ring->event_fd < 0 ? DROVER_IO : DROVER_OK;
}

drover_status channel_init(struct channel *channel)
{
    memset(channel, 0, sizeof(*channel));
    channel->down.event_fd = -1;
    drover_status status = ring_init(&channel->up);
    if (status == DROVER_OK) {
        status = ring_init(&channel->down);
    }
    if (status != DROVER_OK) {
        channel_fini(channel);
    }
    return status;
}

static void ring_fini(struct channel_ring *ring)
{
    struct channel_frames frames;
    while (channel_pop(ring, &frames)) {
        channel_frames_fini(&frames);
    }
    if (ring->event_fd >= 0) {
        (void)close(ring->event_fd);
        ring->event_fd = -1;
    }
}

void channel_fini(struct channel *channel)
{
    ring_fini(&channel->up);
    ring_fini(&channel->down);
}

bool channel_push(struct channel_ring *ring, const struct channel_frames *frames)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - head == CHANNEL_SLOTS) {
        return false;
    }
    ring->slots[tail % CHANNEL_SLOTS] = *frames;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    channel_wake(ring);
    return true;
}

bool channel_is_empty(const struct channel_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) ==
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

bool channel_pop(struct channel_ring *ring, struct channel_frames *out_frames)
{
    if (channel_is_empty(ring)) {
        return false;
    }
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    *out_frames = ring->slots[head % CHANNEL_SLOTS];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

void channel_seen(struct channel_ring *ring)
{
    uint64_t count;
    (void)!read(ring->event_fd, &count, sizeof(count));
}

void channel_wake(struct channel_ring *ring)
{
    const uint64_t one = 1;
    (void)!write(ring->event_fd, &one, sizeof(one));
}

static const char routing_prefix[] = "inside"; /* and the generation */

void channel_routing_id(uint32_t generation, uint8_t out_id[CHANNEL_ROUTING_ID_LEN])
{
    memcpy(out_id, routing_prefix, sizeof(routing_prefix) - 1);
    memcpy(out_id + sizeof(routing_prefix) - 1, &generation, sizeof(generation));
}

uint32_t channel_generation(const uint8_t id[CHANNEL_ROUTING_ID_LEN])
{
    uint32_t generation;
    memcpy(&generation, id + sizeof(routing_prefix) - 1, sizeof(generation));
    return generation;
}

void channel_frames_fini(struct channel_frames *frames)
{
    drv_data_unref(&frames->head);
    drv_data_unref(&frames->blob);
}
