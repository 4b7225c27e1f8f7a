/* chain.c: see chain.h. */
#include "chain.h"

#include "check.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BLOCK_BYTES = 256 * 1024, /* of an ordinary block */
    BLOCKS_KEPT = 64,         /* for reuse; more are freed */
};

struct chain_block {
    _Atomic(struct chain_block *) next; /* set once no more comes into this one */
    atomic_size_t published;            /* bytes the consumer may read */
    size_t used;                        /* producer */
    size_t capacity;
    struct chain_block *free_next; /* in the stack of returned blocks */
    alignas(16) uint8_t bytes[];
};

static size_t item_space(size_t len)
{
    return (sizeof(struct chain_item) + len + 15U) & ~(size_t)15U;
}

static uint64_t item_weight(const struct chain_item *item)
{
    return item_space(item->len) + drv_data_view(item->data).len;
}

static struct chain_block *block_new(size_t capacity)
{
    struct chain_block *block = aligned_alloc(16, sizeof(*block) + capacity);
    if (block != NULL) {
        block->capacity = capacity;
        block->used = 0;
        atomic_init(&block->published, 0);
        atomic_init(&block->next, NULL);
    }
    return block;
}

drover_status chain_init(struct chain *chain)
{
    *chain = (struct chain){.tail = block_new(BLOCK_BYTES)};
    chain->head = chain->tail;
    return chain->tail == NULL ? DROVER_NOMEM : DROVER_OK;
}

static void free_stack(struct chain_block *block)
{
    while (block != NULL) {
        struct chain_block *next = block->free_next;
        free(block);
        block = next;
    }
}

void chain_fini(struct chain *chain)
{
    if (chain->head == NULL) {
        return;
    }
    (void)chain_publish(chain);
    while (chain_peek(chain) != NULL) {
        chain_pop(chain);
    }
    free(chain->head);
    free_stack(atomic_load_explicit(&chain->returned, memory_order_acquire));
    *chain = (struct chain){0};
}

static void give_back(struct chain *chain, struct chain_block *block)
{
    if (block->capacity != BLOCK_BYTES) {
        free(block);
        return;
    }
    block->free_next = atomic_load_explicit(&chain->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&chain->returned, &block->free_next, block,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

/* Of the blocks in a stack of our own so many stay for reuse; the others are freed. Returns how
 * many stayed. */
static size_t put_back(struct chain *chain, struct chain_block *stack, size_t most)
{
    size_t kept = 0;
    while (stack != NULL) {
        struct chain_block *one = stack;
        stack = one->free_next;
        if (kept < most) {
            give_back(chain, one);
            kept++;
        } else {
            free(one);
        }
    }
    return kept;
}

size_t chain_trim(struct chain *chain)
{
    struct chain_block *all = atomic_exchange_explicit(&chain->returned, NULL,
                                                       memory_order_acquire);
    size_t count = 0;
    for (const struct chain_block *one = all; one != NULL; one = one->free_next) {
        count++;
    }
    return put_back(chain, all, count / 2);
}

/* A block for the producer: the newest that came back, else a new one. */
static struct chain_block *next_block(struct chain *chain, size_t space)
{
    if (space > BLOCK_BYTES) {
        return block_new(space);
    }
    struct chain_block *all = atomic_exchange_explicit(&chain->returned, NULL,
                                                       memory_order_acquire);
    if (all == NULL) {
        return block_new(BLOCK_BYTES);
    }
    (void)put_back(chain, all->free_next, BLOCKS_KEPT);
    all->used = 0;
    atomic_store_explicit(&all->published, 0, memory_order_relaxed);
    atomic_store_explicit(&all->next, NULL, memory_order_relaxed);
    return all;
}

drover_status chain_push(struct chain *chain, const struct chain_item *item,
                         uint8_t **out_bytes)
{
    const size_t space = item_space(item->len);
    struct chain_block *block = chain->tail;
    if (space > block->capacity - block->used) {
        struct chain_block *next = next_block(chain, space);
        if (next == NULL) {
            return DROVER_NOMEM;
        }
        atomic_store_explicit(&block->published, block->used, memory_order_release);
        atomic_store_explicit(&block->next, next, memory_order_release);
        chain->tail = next;
        block = next;
    }
    struct chain_item *place = (struct chain_item *)(void *)(block->bytes + block->used);
    *place = *item;
    block->used += space;
    chain->pushed += item_weight(item);
    *out_bytes = (uint8_t *)(place + 1);
    return DROVER_OK;
}

bool chain_publish(struct chain *chain)
{
    atomic_store_explicit(&chain->tail->published, chain->tail->used, memory_order_release);
    const bool any = chain->pushed != chain->told;
    chain->told = chain->pushed;
    return any;
}

uint64_t chain_len(const struct chain *chain)
{
    return chain->pushed - atomic_load_explicit(&chain->popped, memory_order_acquire);
}

struct chain_item *chain_peek(struct chain *chain)
{
    struct chain_block *block = chain->head;
    for (;;) {
        /* next first: once it is set, published is final */
        struct chain_block *next = atomic_load_explicit(&block->next, memory_order_acquire);
        if (chain->head_read < atomic_load_explicit(&block->published, memory_order_acquire)) {
            return (struct chain_item *)(void *)(block->bytes + chain->head_read);
        }
        if (next == NULL) {
            return NULL;
        }
        chain->head = next;
        chain->head_read = 0;
        give_back(chain, block);
        block = next;
    }
}

void chain_pop(struct chain *chain)
{
    struct chain_item *item = chain_peek(chain);
    DRV_ASSERT(item != NULL);
    const uint64_t weight = item_weight(item);
    chain->head_read += item_space(item->len);
    drv_data_unref(&item->data);
    atomic_fetch_add_explicit(&chain->popped, weight, memory_order_release);
}
