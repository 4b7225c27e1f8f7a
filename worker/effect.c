#include "effect.h"

#include <stdlib.h>
#include <string.h>

enum { EFFECTS_ARENA_KEEP = 1024 * 1024 };

void worker_effects_init(struct worker_effects *effects)
{
    memset(effects, 0, sizeof *effects);
    drv_arena_init(&effects->arena, EFFECTS_ARENA_KEEP);
}

void worker_effects_fini(struct worker_effects *effects)
{
    drv_arena_fini(&effects->arena);
    free(effects->items);
    memset(effects, 0, sizeof *effects);
}

void worker_effects_clear(struct worker_effects *effects)
{
    effects->count = 0;
    drv_arena_reset(&effects->arena);
}

void worker_effects_add(struct worker_effects *effects, const struct worker_effect *effect)
{
    if (effects->count == effects->capacity) {
        size_t capacity = effects->capacity == 0 ? 32 : effects->capacity * 2;
        struct worker_effect *items = realloc(effects->items, capacity * sizeof *items);
        if (items == NULL) {
            effects->failed = true;
            return;
        }
        effects->items = items;
        effects->capacity = capacity;
    }
    effects->items[effects->count++] = *effect;
}

void *worker_effects_alloc(struct worker_effects *effects, size_t count, size_t size)
{
    void *memory = drv_arena_alloc(&effects->arena, count, size);
    if (memory == NULL) {
        effects->failed = true;
    }
    return memory;
}

void *worker_effects_take(struct worker_effects *effects, size_t count, size_t size)
{
    void *memory = drv_arena_take(&effects->arena, count, size);
    if (memory == NULL) {
        effects->failed = true;
    }
    return memory;
}

struct drv_str worker_effects_text(struct worker_effects *effects, struct drv_str text)
{
    struct drv_str copy = {NULL, 0};
    if (text.ptr != NULL) {
        copy.ptr = drv_arena_copy(&effects->arena, text.ptr, text.len);
        copy.len = copy.ptr == NULL ? 0 : text.len;
        effects->failed |= copy.ptr == NULL;
    }
    return copy;
}

struct drv_message *worker_effects_send(struct worker_effects *effects, enum drv_kind kind,
                                        uint64_t token)
{
    struct drv_message *message = worker_effects_alloc(effects, 1, sizeof *message);
    if (message == NULL) {
        return NULL;
    }
    message->kind = kind;
    worker_effects_add(effects, &(struct worker_effect){
                                    .kind = WORKER_SEND, .token = token, .message = message});
    return message;
}
