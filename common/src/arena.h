/*
 * Arena: a bump allocator for things that live as long as one message or one step.
 *
 * drv_arena_reset keeps the memory for the next use (up to `keep` bytes), so a hot loop
 * allocates nothing. Not thread safe. Pointers are aligned for any type.
 */
#ifndef DRV_ARENA_H
#define DRV_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct drv_arena_block;

struct drv_arena {
    struct drv_arena_block *first; /* owned */
    struct drv_arena_block *current;
    size_t keep; /* bytes that a reset may keep */
};

void drv_arena_init(struct drv_arena *arena, size_t keep);
void drv_arena_fini(struct drv_arena *arena);

/* NULL when out of memory or when count * size overflows; zeroed. count 0 gives a valid
 * pointer. */
void *drv_arena_alloc(struct drv_arena *arena, size_t count, size_t size);

/* The same, not zeroed: for what is filled in at once. */
void *drv_arena_take(struct drv_arena *arena, size_t count, size_t size);

/* A copy of len bytes; NULL when out of memory. */
void *drv_arena_copy(struct drv_arena *arena, const void *bytes, size_t len);

void drv_arena_reset(struct drv_arena *arena);

#endif
