/*
 * link_ring.c: first in, first out, of small records; see link_private.h.
 */
#include "check.h"
#include "link_private.h"

#include <stdlib.h>

#define RING_FIRST 16

void link_ring_fini(struct link_ring *ring)
{
    free(ring->items);
    *ring = (struct link_ring){0};
}

static struct link_item *item_at(const struct link_ring *ring, size_t position)
{
    return &ring->items[(ring->first + position) & (ring->capacity - 1)];
}

drover_status link_ring_reserve(struct link_ring *ring, size_t extra)
{
    size_t capacity = ring->capacity == 0 ? RING_FIRST : ring->capacity;
    while (capacity - ring->count < extra) {
        if (capacity > SIZE_MAX / 4 / sizeof(struct link_item)) {
            return DROVER_NOMEM;
        }
        capacity *= 2;
    }
    if (capacity == ring->capacity) {
        return DROVER_OK;
    }
    struct link_item *items = malloc(capacity * sizeof *items);
    if (items == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < ring->count; i++) {
        items[i] = *item_at(ring, i);
    }
    free(ring->items);
    ring->items = items;
    ring->capacity = capacity;
    ring->first = 0;
    return DROVER_OK;
}

void link_ring_push(struct link_ring *ring, const struct link_item *item)
{
    DRV_ASSERT(ring->count < ring->capacity);
    ring->count++;
    *item_at(ring, ring->count - 1) = *item;
}

struct link_item *link_ring_front(const struct link_ring *ring)
{
    return ring->count == 0 ? NULL : item_at(ring, 0);
}

struct link_item *link_ring_back(const struct link_ring *ring)
{
    return ring->count == 0 ? NULL : item_at(ring, ring->count - 1);
}

void link_ring_pop(struct link_ring *ring)
{
    DRV_ASSERT(ring->count > 0);
    ring->first = (ring->first + 1) & (ring->capacity - 1);
    ring->count--;
}
