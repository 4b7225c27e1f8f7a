/*
 * heap.h: intrusive binary min-heap.
 *
 * A node knows its position, so removal and change of any node cost O(log n). Order among
 * equal nodes is whatever `before` says: give it a sequence number to compare for first in,
 * first out. The heap borrows its nodes.
 */
#ifndef DRV_HEAP_H
#define DRV_HEAP_H

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>

#define DRV_HEAP_OUT ((size_t)-1)

struct drv_heap_node {
    size_t position; /* index in the heap, DRV_HEAP_OUT when in none */
};

/* Whether a must come out before b; a strict weak order. */
typedef bool (*drv_heap_before_fn)(const struct drv_heap_node *a,
                                   const struct drv_heap_node *b);

struct drv_heap {
    struct drv_heap_node **nodes; /* owned array of borrowed nodes */
    size_t count;
    size_t capacity;
    drv_heap_before_fn before;
};

void drv_heap_init(struct drv_heap *heap, drv_heap_before_fn before);

/* Frees the array; nodes still inside are forgotten, their positions left as they are. */
void drv_heap_fini(struct drv_heap *heap);

/* Must be called once before a node is used. */
static inline void drv_heap_node_init(struct drv_heap_node *node)
{
    node->position = DRV_HEAP_OUT;
}

static inline bool drv_heap_node_is_in(const struct drv_heap_node *node)
{
    return node->position != DRV_HEAP_OUT;
}

static inline size_t drv_heap_count(const struct drv_heap *heap)
{
    return heap->count;
}

/* The least node or NULL. */
static inline struct drv_heap_node *drv_heap_min(const struct drv_heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

/* Room for count nodes in all, so that inserts up to there cannot fail: OK or NOMEM. */
DROVER_MUST_USE drover_status drv_heap_reserve(struct drv_heap *heap, size_t count);

/* Adds a node that is in no heap: OK or NOMEM. */
DROVER_MUST_USE drover_status drv_heap_insert(struct drv_heap *heap,
                                              struct drv_heap_node *node);

/* Takes a node out; harmless when it is in no heap. */
void drv_heap_remove(struct drv_heap *heap, struct drv_heap_node *node);

/* Restores the order after the key of a node in the heap has changed. */
void drv_heap_reorder(struct drv_heap *heap, struct drv_heap_node *node);
static inline void drv_heap_update(struct drv_heap *heap, struct drv_heap_node *node)
{
    if (heap->count > 1) {
        drv_heap_reorder(heap, node);
    }
}

/* Removes and returns the least node, or NULL. */
struct drv_heap_node *drv_heap_pop(struct drv_heap *heap);

#endif
