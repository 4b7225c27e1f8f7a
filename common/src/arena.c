/*
 * arena.c: see arena.h.
 *
 * A chain of blocks, each filled from its start; the block in use is `current`. Blocks behind
 * it are empty ones that a reset kept.
 */
#include "arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Blocks double from the first size to the second, unless one allocation wants more. */
#define ARENA_BLOCK_MIN ((size_t)4 * 1024)
#define ARENA_BLOCK_MAX ((size_t)1024 * 1024)

struct drv_arena_block {
    struct drv_arena_block *next; /* owned by the chain */
    size_t size;                  /* of bytes */
    size_t used;                  /* of bytes, a multiple of the alignment */
    alignas(max_align_t) uint8_t bytes[];
};

void drv_arena_init(struct drv_arena *arena, size_t keep)
{
    *arena = (struct drv_arena){.keep = keep};
}

static void free_chain(struct drv_arena_block *block)
{
    while (block != NULL) {
        struct drv_arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void drv_arena_fini(struct drv_arena *arena)
{
    free_chain(arena->first);
    *arena = (struct drv_arena){.keep = arena->keep};
}

static void *take(struct drv_arena_block *block, size_t len)
{
    void *bytes = block->bytes + block->used;
    block->used += len;
    return bytes;
}

static bool has_room(const struct drv_arena_block *block, size_t len)
{
    return block->size - block->used >= len;
}

/* A new block that holds at least len bytes, in the chain right behind the current one. */
static struct drv_arena_block *add_block(struct drv_arena *arena, size_t len)
{
    size_t size = ARENA_BLOCK_MIN;
    if (arena->current != NULL && arena->current->size >= ARENA_BLOCK_MIN) {
        size = arena->current->size < ARENA_BLOCK_MAX / 2 ? arena->current->size * 2
                                                          : ARENA_BLOCK_MAX;
    }
    if (size < len) {
        size = len;
    }
    if (size > SIZE_MAX - sizeof(struct drv_arena_block)) {
        return NULL;
    }
    struct drv_arena_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    block->used = 0;
    if (arena->current == NULL) {
        block->next = NULL;
        arena->first = block;
    } else {
        block->next = arena->current->next;
        arena->current->next = block;
    }
    return block;
}

void *drv_arena_take(struct drv_arena *arena, size_t count, size_t size)
{
    const size_t mask = alignof(max_align_t) - 1;
    if (size != 0 && count > (SIZE_MAX - mask) / size) {
        return NULL;
    }
    size_t len = (count * size + mask) & ~mask;
    struct drv_arena_block *block = arena->current;
    if (block != NULL && !has_room(block, len) && block->next != NULL) {
        block = block->next; /* empty: reset left it so */
    }
    if (block == NULL || !has_room(block, len)) {
        block = add_block(arena, len);
        if (block == NULL) {
            return NULL;
        }
    }
    arena->current = block;
    return take(block, len);
}

void *drv_arena_alloc(struct drv_arena *arena, size_t count, size_t size)
{
    void *bytes = drv_arena_take(arena, count, size);
    if (bytes != NULL) {
        memset(bytes, 0, count * size);
    }
    return bytes;
}

void *drv_arena_copy(struct drv_arena *arena, const void *bytes, size_t len)
{
    void *copy = drv_arena_take(arena, len, 1);
    if (copy != NULL && len != 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

void drv_arena_reset(struct drv_arena *arena)
{
    size_t kept = 0;
    struct drv_arena_block **link = &arena->first;
    while (*link != NULL) {
        struct drv_arena_block *block = *link;
        if (block->size > arena->keep - kept) {
            *link = block->next;
            free(block);
            continue;
        }
        kept += block->size;
        block->used = 0;
        link = &block->next;
    }
    arena->current = arena->first;
}
