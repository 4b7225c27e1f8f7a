/*
 * chain.h: records on their way from the loop to the journal thread.
 *
 * A chain of blocks; one producer (the loop), one consumer (the thread), no locks. The producer
 * fills the last block and publishes how far; the consumer reads the first and hands blocks
 * that it has finished back for the next round. There is no fixed end: chain_len tells how much
 * waits, and the owner of the producing side decides when that is too much. Large bodies ride
 * along by reference.
 */
#ifndef STORE_JOURNAL_CHAIN_H
#define STORE_JOURNAL_CHAIN_H

#include "data.h"

#include <drover/status.h>
#include <drover/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain_block;

struct chain_item {
    uint64_t lsn;
    drover_id id;
    uint32_t index;
    uint16_t kind;
    uint32_t len;          /* of the bytes behind this struct */
    struct drv_data *data; /* follows them; owned by the item; or NULL */
};

struct chain {
    /* producer */
    struct chain_block *tail;
    uint64_t pushed; /* bytes, data included */
    uint64_t told;   /* of them, at the last publish */
    /* consumer */
    struct chain_block *head;
    size_t head_read; /* bytes of the head block that were popped */
    /* both */
    _Atomic uint64_t popped;                /* bytes, as pushed counts them */
    _Atomic(struct chain_block *) returned; /* blocks handed back, a stack */
};

/* OK or NOMEM. */
DROVER_MUST_USE drover_status chain_init(struct chain *chain);
/* Neither side is active any more. Gives references back. */
void chain_fini(struct chain *chain);

/*
 * Producer: room for an item with item->len bytes behind it, which the caller fills before the
 * next call of chain_publish or chain_push; takes over item->data. OK or NOMEM.
 */
DROVER_MUST_USE drover_status chain_push(struct chain *chain, const struct chain_item *item,
                                         uint8_t **out_bytes);
/* Producer: lets the consumer see what was pushed; whether that is anything new. */
bool chain_publish(struct chain *chain);
/* Producer: bytes that were pushed and not popped. */
uint64_t chain_len(const struct chain *chain);

/* Producer: frees half of the blocks that wait for reuse; called now and then, so that what a
 * rush has left goes. Returns how many still wait. */
size_t chain_trim(struct chain *chain);

/* Consumer: the oldest item, or NULL; its bytes stand behind it. Stays until chain_pop. */
struct chain_item *chain_peek(struct chain *chain);
static inline const uint8_t *chain_bytes(const struct chain_item *item)
{
    return (const uint8_t *)(item + 1);
}
/* Consumer: drops the item that chain_peek gave, and its reference. */
void chain_pop(struct chain *chain);

#endif
