#include "heap.h"

#include "check.h"

#include <stdint.h>
#include <stdlib.h>

#define CAPACITY_MIN 16

void drv_heap_init(struct drv_heap *heap, drv_heap_before_fn before)
{
    *heap = (struct drv_heap){.before = before};
}

void drv_heap_fini(struct drv_heap *heap)
{
    free((void *)heap->nodes);
    *heap = (struct drv_heap){.before = heap->before};
}

static void put(struct drv_heap *heap, size_t position, struct drv_heap_node *node)
{
    heap->nodes[position] = node;
    node->position = position;
}

/* Moves node from the hole at position towards the root until it fits. */
static void sift_up(struct drv_heap *heap, size_t position, struct drv_heap_node *node)
{
    while (position > 0) {
        size_t parent = (position - 1) / 2;
        if (!heap->before(node, heap->nodes[parent])) {
            break;
        }
        put(heap, position, heap->nodes[parent]);
        position = parent;
    }
    put(heap, position, node);
}

/* Moves node from the hole at position towards the leaves until it fits. */
static void sift_down(struct drv_heap *heap, size_t position, struct drv_heap_node *node)
{
    for (;;) {
        size_t child = 2 * position + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            heap->before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!heap->before(heap->nodes[child], node)) {
            break;
        }
        put(heap, position, heap->nodes[child]);
        position = child;
    }
    put(heap, position, node);
}

drover_status drv_heap_reserve(struct drv_heap *heap, size_t count)
{
    if (count <= heap->capacity) {
        return DROVER_OK;
    }
    size_t capacity = heap->capacity < CAPACITY_MIN ? CAPACITY_MIN : heap->capacity * 2;
    if (capacity < count) {
        capacity = count;
    }
    if (capacity > SIZE_MAX / sizeof(struct drv_heap_node *)) {
        return DROVER_NOMEM;
    }
    void *nodes = realloc((void *)heap->nodes, capacity * sizeof(struct drv_heap_node *));
    if (nodes == NULL) {
        return DROVER_NOMEM;
    }
    heap->nodes = (struct drv_heap_node **)nodes;
    heap->capacity = capacity;
    return DROVER_OK;
}

drover_status drv_heap_insert(struct drv_heap *heap, struct drv_heap_node *node)
{
    DRV_ASSERT(!drv_heap_node_is_in(node));
    drover_status status = drv_heap_reserve(heap, heap->count + 1);
    if (status) {
        return status;
    }
    sift_up(heap, heap->count++, node);
    return DROVER_OK;
}

void drv_heap_remove(struct drv_heap *heap, struct drv_heap_node *node)
{
    if (!drv_heap_node_is_in(node)) {
        return;
    }
    size_t position = node->position;
    DRV_ASSERT(position < heap->count && heap->nodes[position] == node);
    node->position = DRV_HEAP_OUT;
    struct drv_heap_node *last = heap->nodes[--heap->count];
    if (last != node) {
        put(heap, position, last);
        drv_heap_update(heap, last);
    }
}

void drv_heap_reorder(struct drv_heap *heap, struct drv_heap_node *node)
{
    size_t position = node->position;
    DRV_ASSERT(position < heap->count && heap->nodes[position] == node);
    if (position > 0 && heap->before(node, heap->nodes[(position - 1) / 2])) {
        sift_up(heap, position, node);
    } else {
        sift_down(heap, position, node);
    }
}

struct drv_heap_node *drv_heap_pop(struct drv_heap *heap)
{
    struct drv_heap_node *node = drv_heap_min(heap);
    if (node != NULL) {
        drv_heap_remove(heap, node);
    }
    return node;
}
