/*
 * mailbox.h: hands one pointer at a time from one thread to another, newest first.
 *
 *     giver ──put──> [ slot ] ──take──> taker
 *
 * No lock and no waiting: putting replaces what was not taken and gives it back, for the giver
 * to release; who gave something may also take it back.
 */
#ifndef WORKER_STAT_MAILBOX_H
#define WORKER_STAT_MAILBOX_H

#include <stdatomic.h>
#include <stddef.h>

struct stat_mailbox {
    _Atomic(void *) slot;
};

/* Returns what had not been taken; NULL: nothing. */
static inline void *stat_mailbox_put(struct stat_mailbox *mailbox, void *item)
{
    return atomic_exchange_explicit(&mailbox->slot, item, memory_order_acq_rel);
}

/* NULL: nothing new. */
static inline void *stat_mailbox_take(struct stat_mailbox *mailbox)
{
    return atomic_exchange_explicit(&mailbox->slot, NULL, memory_order_acq_rel);
}

#endif
