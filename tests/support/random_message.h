/*
 * random_message.h: random messages of every kind, all within the limits of the protocol.
 *
 * Everything comes from the arena and the generator that are passed in; the same seed gives the
 * same message.
 */
#ifndef RANDOM_MESSAGE_H
#define RANDOM_MESSAGE_H

#include "arena.h"
#include "message.h"
#include "rng.h"

struct random_source {
    struct drv_rng *rng;     /* borrowed */
    struct drv_arena *arena; /* borrowed */
    size_t entries_max;      /* in one list */
    size_t value_max;        /* bytes of a value; beyond DRV_INLINE_MAX some travel as chunks */
    bool is_plain;           /* most entries have nothing special: they can be rows */
};

/* Every kind that can be encoded; ends with 0. */
extern const unsigned random_kinds[];
/* How many these are. */
size_t random_kind_count(void);

/* Epoch, seq and ack are random, too. */
void random_message(const struct random_source *source, unsigned kind,
                    struct drv_message *out_message);

#endif
