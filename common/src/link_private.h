/*
 * link_private.h: the inside of a link, for link*.c alone.
 *
 *   link.c           life, acknowledgements in both directions
 *   link_send.c      queues, window, chunks on their way out
 *   link_order.c     which message may overtake which
 *   link_receive.c   order of what comes in
 *   link_transfer.c  chunks on their way in
 *   link_ring.c      first in, first out, of small records
 *
 * Sending. Two lanes, each first in first out. A control message leaves at once; the ordered
 * lane waits for the window, and for the chunks of its first message:
 *
 *      control   H  H  A                                next()
 *      ordered   [chunk chunk chunk LEASE] [LEASE] [GO]  │
 *                        └─ one piece at a time ──────────┴─> flight: seq, charge, token
 *                                                               └─ peer's ack ─> settled tokens
 * Receiving. Every message is entered into `inbound` until it was dealt with; chunks and ACKs
 * are dealt with at once, but the acknowledgement waits for what came before them.
 */
#ifndef DRV_LINK_PRIVATE_H
#define DRV_LINK_PRIVATE_H

#include "buffer.h"
#include "data.h"
#include "link.h"
#include "list.h"
#include "message_codec.h"
#include "pieces.h"

/* ---- ring -------------------------------------------------------------------------------- */

struct link_item {
    uint64_t seq;
    uint64_t charge; /* bytes of the window */
    uint64_t token;  /* flight, settled: the sender's; inbound: highest seq that wants an ack */
    bool is_auto;    /* inbound: dealt with already */
};

struct link_ring {
    struct link_item *items; /* owned; capacity is a power of two */
    size_t capacity;
    size_t first;
    size_t count;
};

void link_ring_fini(struct link_ring *ring);
/* Makes sure that `extra` pushes succeed. */
DROVER_MUST_USE drover_status link_ring_reserve(struct link_ring *ring, size_t extra);
/* Room must have been reserved. */
void link_ring_push(struct link_ring *ring, const struct link_item *item);
/* NULL when empty. */
struct link_item *link_ring_front(const struct link_ring *ring);
struct link_item *link_ring_back(const struct link_ring *ring);
void link_ring_pop(struct link_ring *ring);

/* ---- sending ----------------------------------------------------------------------------- */

struct link_piece {        /* a value that leaves as chunks */
    struct drv_data *data; /* owned reference */
    size_t offset;         /* of the value in data */
    size_t len;            /* of the value */
    size_t sent;
    uint64_t transfer;
};

/* A message that waits; its body is what follows the four common fields. A drv_link_held is one
 * that is in no lane. */
struct link_outgoing {
    struct drv_list link;
    const struct drv_kind_row *row;
    enum drv_kind kind;
    uint64_t token;
    struct drv_data *blob;     /* owned; NULL when empty */
    struct link_piece *pieces; /* owned */
    size_t piece_count;
    size_t piece_at; /* the first that has not left completely */
    uint64_t *keys;  /* owned; the tasks and leases it speaks of, see link_order.c */
    size_t key_count;
    size_t body_len;
    uint8_t body[];
};

/* ---- receiving --------------------------------------------------------------------------- */

struct link_incoming { /* a transfer that is being put together, or complete */
    uint64_t transfer; /* 0: free slot */
    uint64_t total;
    uint64_t received;
    struct drv_data *data; /* owned; its len is the room that there is, or what pieces it has */
};

struct drv_link {
    struct drv_link_config config;

    /* sending */
    struct drv_list control; /* struct link_outgoing */
    struct drv_list ordered; /* the same */
    size_t queued;           /* in both */
    size_t queued_bytes;     /* what they hold and has not left */
    size_t held;             /* messages that may not leave yet */
    size_t held_bytes;
    struct drv_buffer head;      /* scratch */
    struct drv_buffer blob;      /* scratch */
    size_t head_last, blob_last; /* what the last message took of them */
    struct link_piece *pieces;   /* owned; of the message being encoded */
    size_t piece_count;
    uint64_t transfer_out;                           /* number given out last */
    struct drv_frames returned[DRV_LINK_UNSEND_MAX]; /* the last one leaves first */
    size_t returned_count;
    uint64_t seq_out;        /* number of the last frame pair handed out */
    uint64_t worthy_out;     /* the last one that wants an acknowledgement */
    uint64_t acked;          /* by the peer */
    struct link_ring flight; /* handed out, not acknowledged; only those with charge or token */
    uint64_t flight_bytes;
    size_t flight_tokens;
    struct link_ring settled; /* tokens to be told */

    /* receiving */
    uint64_t seq_in;     /* received last */
    bool takes_rows;     /* the other side reads rows (message_rows.h) */
    bool is_fresh;       /* what drv_link_receive was given last was no repetition */
    uint64_t caller_in;  /* the caller has dealt with these */
    uint64_t settled_in; /* everything up to here is dealt with */
    uint64_t worthy_in;  /* the last of them that wants an acknowledgement */
    uint64_t ack_out;    /* the last acknowledgement given */
    int64_t ack_due_us;  /* INT64_MAX: none */
    struct link_ring inbound;
    uint64_t inbound_bytes;
    struct link_incoming incoming[DRV_TRANSFERS_MAX];
    uint64_t incoming_bytes;                   /* sum of their totals */
    uint64_t transfer_in;                      /* highest number seen */
    enum drv_kind kind_in;                     /* of the message being decoded */
    struct drv_data *taken[DRV_TRANSFERS_MAX]; /* owned; values of the message decoded last */
    size_t taken_count;
};

/* The peer has settled everything up to `ack`: PROTOCOL when that was never sent. */
DROVER_MUST_USE drover_status link_acknowledged(struct drv_link *link, uint64_t ack);

/* Moves settled_in over what is dealt with, and sets the time of an acknowledgement. */
void link_advance(struct drv_link *link, int64_t now_us);

/* The keys of a message; NULL and 0 when it speaks of no task. */
DROVER_MUST_USE drover_status link_keys_new(const struct drv_message *message,
                                            uint64_t **out_keys, size_t *out_count);
/* Whether a message must not overtake what is in the ordered lane; sorts its keys. */
bool link_must_wait(const struct drv_list *ordered, struct link_outgoing *message);

/* Queues a bare ACK. */
DROVER_MUST_USE drover_status link_queue_ack(struct drv_link *link);
/* Whether drv_link_next would give something that was not refused before. */
bool link_can_send(const struct drv_link *link);
void link_outgoing_destroy(struct link_outgoing **outgoing);

struct link_blob {
    const uint8_t *bytes; /* borrowed */
    size_t len;
    struct drv_data *data;           /* borrowed: may be kept by reference; NULL: may not */
    const struct drv_lender *lender; /* borrowed: its memory may be kept; NULL: may not */
};

/* Takes one piece. OK, PROTOCOL, TOO_BIG, NOMEM. */
DROVER_MUST_USE drover_status link_take_chunk(struct drv_link *link,
                                              const struct drv_chunk *chunk,
                                              const struct link_blob *blob,
                                              const char **out_reason);
/* drv_transfers.take */
drover_status link_take_transfer(void *context, uint64_t transfer, uint64_t total,
                                 struct drv_data **out_data);
/* Lets go of the values of the message decoded last. */
void link_release_taken(struct drv_link *link);
void link_transfers_fini(struct drv_link *link);

/* Room for a value that comes in chunks is at most so many times what has come of it. */
enum { LINK_TRANSFER_AHEAD = 16 };

/* Shorter chunks are not kept where they are, so that keeping costs no more than they have. */
enum { LINK_PIECE_MIN = 16 * 1024 };

/* Whether this side asks for an acknowledgement of it within ack_delay_us. A HEARTBEAT is
 * followed by another one, which brings it along: a fleet that only lives says two messages per
 * beat, not three. */
static inline bool link_kind_is_worthy(enum drv_kind kind)
{
    return kind != DRV_ACK && kind != DRV_HEARTBEAT;
}

#endif
