/* heap.h */
#include "test.h"

#include "check.h"
#include "heap.h"
#include "rng.h"

struct item {
    struct drv_heap_node node;
    uint64_t key;
    uint64_t sequence;
};

static const struct item *item_of(const struct drv_heap_node *node)
{
    return DRV_CONTAINER_OF(node, struct item, node);
}

static bool before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct item *x = item_of(a);
    const struct item *y = item_of(b);
    return x->key != y->key ? x->key < y->key : x->sequence < y->sequence;
}

static void assert_is_heap(const struct drv_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->nodes[i]->position, i);
        assert_false(i > 0 && before(heap->nodes[i], heap->nodes[(i - 1) / 2]));
    }
}

#define ITEMS 300

/* Whatever is inserted, changed and removed, the least comes out, equals in order of arrival.
 */
static void test_heap_random_operations_keep_order(void **state)
{
    struct drv_rng rng;
    struct drv_heap heap;
    static struct item items[ITEMS];
    drv_rng_init(&rng, test_seed());
    drv_heap_init(&heap, before);
    for (uint64_t i = 0; i < ITEMS; i++) {
        drv_heap_node_init(&items[i].node);
    }
    for (uint64_t step = 0; step < 20000; step++) {
        struct item *item = &items[drv_rng_below(&rng, ITEMS)];
        item->sequence = drv_heap_node_is_in(&item->node) ? item->sequence : step;
        if (!drv_heap_node_is_in(&item->node)) {
            item->key = drv_rng_below(&rng, 50);
            assert_ok(drv_heap_insert(&heap, &item->node));
        } else if (drv_rng_below(&rng, 2) == 0) {
            item->key = drv_rng_below(&rng, 50);
            drv_heap_update(&heap, &item->node);
        } else {
            drv_heap_remove(&heap, &item->node);
            assert_false(drv_heap_node_is_in(&item->node));
        }
        if (step % 64 == 0) {
            assert_is_heap(&heap);
        }
    }
    const struct drv_heap_node *previous = NULL;
    while (drv_heap_count(&heap) > 0) {
        const struct drv_heap_node *least = drv_heap_min(&heap);
        assert_ptr_equal(drv_heap_pop(&heap), least);
        assert_false(previous != NULL && before(least, previous));
        previous = least;
    }
    drv_heap_fini(&heap);
}

/* An empty heap has no least; removing what is in no heap does nothing. */
static void test_heap_empty_gives_null(void **state)
{
    struct drv_heap heap;
    struct item item;
    drv_heap_init(&heap, before);
    drv_heap_node_init(&item.node);
    assert_null(drv_heap_min(&heap));
    assert_null(drv_heap_pop(&heap));
    drv_heap_remove(&heap, &item.node);
    drv_heap_fini(&heap);
}

/* After a reserve, inserts up to it need no memory. */
static void test_heap_reserve_makes_inserts_certain(void **state)
{
    struct drv_heap heap;
    struct item item;
    drv_heap_init(&heap, before);
    assert_ok(drv_heap_reserve(&heap, 100));
    struct drv_heap_node **nodes = heap.nodes;
    drv_heap_node_init(&item.node);
    item.key = 1;
    assert_ok(drv_heap_insert(&heap, &item.node));
    assert_ptr_equal(heap.nodes, nodes);
    assert_true(heap.capacity >= 100);
    assert_int_equal(drv_heap_reserve(&heap, SIZE_MAX), DROVER_NOMEM);
    drv_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_random_operations_keep_order),
        cmocka_unit_test(test_heap_empty_gives_null),
        cmocka_unit_test(test_heap_reserve_makes_inserts_certain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
