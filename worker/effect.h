/*
 * Effects: what one turn of a session wants done, in order, with the memory for it.
 *
 * Out of memory is sticky (`failed`), so that the code that decides asks once at the end.
 */
#ifndef WORKER_EFFECT_H
#define WORKER_EFFECT_H

#include "arena.h"
#include "session.h"

#include <stdbool.h>
#include <stddef.h>

struct worker_effects {
    struct worker_effect *items; /* owned */
    size_t count, capacity;
    struct drv_arena arena; /* messages, tasks, answers, texts; until cleared */
    bool failed;
};

void worker_effects_init(struct worker_effects *effects);
void worker_effects_fini(struct worker_effects *effects);
void worker_effects_clear(struct worker_effects *effects);

/* Appends a copy of *effect. */
void worker_effects_add(struct worker_effects *effects, const struct worker_effect *effect);

/* Zeroed memory until the turn ends; NULL, and `failed` set, when there is none. */
void *worker_effects_alloc(struct worker_effects *effects, size_t count, size_t size);
/* The same, not zeroed: for what is filled in whole. */
void *worker_effects_take(struct worker_effects *effects, size_t count, size_t size);

/* A copy until the turn ends; nil when there is no memory. */
struct drv_str worker_effects_text(struct worker_effects *effects, struct drv_str text);

/* Appends SEND of a zeroed message of that kind, to be filled in by the caller at once; NULL
 * when there is no memory. */
struct drv_message *worker_effects_send(struct worker_effects *effects, enum drv_kind kind,
                                        uint64_t token);

#endif
