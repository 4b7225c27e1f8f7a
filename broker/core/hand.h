/*
 * hand.h: which task the core is working on, told in memory that outlives a crash.
 *
 * Whatever looks a task up, leases it or wakes it takes it in hand; the end of a step or of a
 * tick puts it down. So after a crash the last task in hand is the one that was being handled.
 * One that was in hand at two crashes is set aside: it ends as failed, and is refused when it
 * is submitted again.
 */
#ifndef CORE_HAND_H
#define CORE_HAND_H

#include "broker.h"

static inline void hand_take(const struct core *core, const drover_id *id, uint32_t index)
{
    struct core_hand *hand = core->config.hand;
    if (hand != NULL) {
        hand->index = index;
        hand->id = *id;
        hand->is_held = 1;
        /* The stores must be made although nobody here reads them. */
        __asm__ volatile("" : : "r"(hand) : "memory");
    }
}

static inline void hand_put_down(const struct core *core)
{
    struct core_hand *hand = core->config.hand;
    if (hand != NULL) {
        hand->is_held = 0;
        __asm__ volatile("" : : "r"(hand) : "memory");
    }
}

/* Whether it was set aside. */
bool hand_is_aside(const struct core *core, const drover_id *id);

#endif
