/*
 * Link: one connection's bookkeeping, pure: sequence numbers, acknowledgements, byte window,
 * chunks.
 *
 *                 typed messages                                   frames (head, blob)
 *   session/core ───drv_link_send──> [ control queue ]  ──drv_link_next──> socket
 *                                    [ bulk: chunks + their message ]
 *   session/core <──drv_link_receive── order, duplicates, gaps, chunk assembly <── socket
 *
 * Guarantees: charged bytes in flight stay within the peer's window (one message may always be
 * in flight); a value is complete before the message that names it; hostile chunks allocate
 * memory in proportion to what was received, and only that is touched. One link per connection;
 * a reconnect makes a new one. No sockets, no clock (now is passed), no threads.
 *
 * Order: there are two lanes, and each keeps its order. The ordered lane waits for the window
 * and for chunks: everything with chunks, SUBMIT, ARRAY_*, KV, LEASE, SHARED, REPORT, RESULTS,
 * LOG, AWAIT, GOODBYE. Everything else overtakes it, but no message overtakes another one that
 * speaks of the same task: a RECALL stays behind its LEASE, a CANCEL behind its SUBMIT.
 */
#ifndef DRV_LINK_H
#define DRV_LINK_H

#include "message.h"

struct drv_lender;
struct drv_link;

struct drv_link_config {
    uint64_t epoch;       /* put into every message sent; 0 until known */
    uint64_t window_out;  /* bytes the other side accepts unsettled; from HELLO or WELCOME */
    uint64_t window_in;   /* bytes we accept unsettled: a peer that exceeds it four times over
                             breaks the protocol */
    int64_t ack_delay_us; /* how long an acknowledgement may wait for company */
    size_t queue_max;     /* messages waiting to be sent beyond which drv_link_send refuses with
                             BUSY; 0: no bound */
    size_t queue_bytes_max;    /* the same in bytes; into an empty queue any message goes */
    enum drv_kind pieces_kind; /* values of such messages may stay in the pieces they came in,
                                  see drv_link_receive_lent; 0: none */
    bool is_trusted; /* we chose the other side: a value that is announced gets all of its
                        memory at once */
};

/*
 * How the kernel finds a peer that is gone without a word. ZMQ_HEARTBEAT_IVL is not used: when
 * a peer leaves whose queue is full, the next ping of libzmq 4.3.4 ends the whole process
 * (zeromq/libzmq issue 4364).
 */
enum {
    DRV_KEEPALIVE_IDLE_S = 10,
    DRV_KEEPALIVE_INTERVAL_S = 5,
    DRV_KEEPALIVE_COUNT = 4,
    DRV_UNSENT_MAX_MS = 30 * 1000, /* so long may something sent go unacknowledged */
};

/* How many frame pairs may be put back at a time. */
#define DRV_LINK_UNSEND_MAX 16

DROVER_MUST_USE drover_status drv_link_new(const struct drv_link_config *config,
                                           struct drv_link **out_link);
void drv_link_destroy(struct drv_link **link);
void drv_link_set_epoch(struct drv_link *link, uint64_t epoch);
void drv_link_set_window_out(struct drv_link *link, uint64_t bytes);

/*
 * Encode and queue a message. `token` (0: none) comes back from drv_link_settled when the other
 * side has settled it. Returns OK, BUSY (queue full; nothing was queued), INVALID for a CHUNK,
 * and what drv_message_encode returns (TOO_BIG too for more than DRV_TRANSFERS_MAX values that
 * travel as chunks). msg->epoch, seq, ack are ignored: the link fills them in when the message
 * leaves. A val whose `data` is set is kept by reference.
 */
DROVER_MUST_USE drover_status drv_link_send(struct drv_link *link,
                                            const struct drv_message *message, uint64_t token);

/*
 * The same in two steps, for a message that must not leave yet: it is encoded now, so that
 * nothing is borrowed any more, and counts against the bounds of the queue; drv_link_let puts
 * it into its lane, as if it were sent then. Values that travel as chunks are numbered when
 * they are encoded, and must leave in that order: while a held message has chunks, no later
 * one that has some may leave before it.
 */
struct drv_link_held;
DROVER_MUST_USE drover_status drv_link_hold(struct drv_link *link,
                                            const struct drv_message *message, uint64_t token,
                                            struct drv_link_held **out_held);
bool drv_link_held_has_chunks(const struct drv_link_held *held);
/* Takes it. */
void drv_link_let(struct drv_link *link, struct drv_link_held **held);
/* Without its link, which is gone. */
void drv_link_held_destroy(struct drv_link_held **held);

/*
 * One frame pair that may be sent now. *out_head is owned by the caller afterwards (a
 * drv_data), *out_blob too (never NULL; may be empty; chunks are slices: offset and length are
 * given). Returns false when there is nothing (or the window is full). The frame counts as
 * sent. Acknowledgements ride along; sending an ACK of its own is drv_link_tick's business.
 */
struct drv_frames {
    struct drv_data *head; /* owned */
    struct drv_data *blob; /* owned; may be NULL when empty */
    size_t blob_offset, blob_len;
    unsigned kind;
};
bool drv_link_next(struct drv_link *link, struct drv_frames *out_frames);
/* Put back the frame pair that the socket refused (EAGAIN): it comes first again, with the same
 * sequence number. Takes *frames. Several (DRV_LINK_UNSEND_MAX) are put back last one first. */
void drv_link_unsend(struct drv_link *link, struct drv_frames *frames);

/*
 * Take a received frame pair. out_message->kind is 0 when there is nothing for the caller
 * (chunk, bare ACK without notes, duplicate; CREDIT's bytes are applied here but CREDIT is
 * still handed on). The message borrows from head, blob and arena; values that came as chunks
 * live until the next drv_link_receive (val.data can be referenced for longer). `blob` (NULL:
 * empty) is a drv_data so that large chunks are kept by reference; it is borrowed (the link
 * takes its own reference) and holds at least blob_len bytes.
 *
 * Returns OK; UNSUPPORTED (answer ERROR, or REPLY when out_message->request.req is not 0; the
 * message is dealt with); EPOCH (drop it; it was not counted as received. HELLO, WELCOME, ERROR
 * and an ATTACH with epoch 0 are exempt). An ERROR that ends the connection is handed out
 * whatever its number, since the other side may have lost count. Anything else breaks the
 * connection: PROTOCOL (gap, transfer misuse, acknowledgement of what was not sent, window
 * overrun four times), MALFORMED, LIMIT, TOO_BIG, NOMEM.
 */
DROVER_MUST_USE drover_status drv_link_receive(struct drv_link *link, const uint8_t *head,
                                               size_t head_len, struct drv_data *blob,
                                               size_t blob_len, int64_t now_us,
                                               struct drv_arena *arena,
                                               struct drv_message *out_message,
                                               const char **out_reason);

/* The same for a blob whose bytes are borrowed for the lifetime of the message: nothing is kept
 * by reference, chunks are copied once to where their value is put together. */
DROVER_MUST_USE drover_status drv_link_receive_bytes(struct drv_link *link, const uint8_t *head,
                                                     size_t head_len, const uint8_t *blob,
                                                     size_t blob_len, int64_t now_us,
                                                     struct drv_arena *arena,
                                                     struct drv_message *out_message,
                                                     const char **out_reason);

/* The same for a blob that its owner would leave to us: pieces of values that belong to
 * messages of config.pieces_kind are kept where they are; val.data is made of them then
 * (pieces.h). */
DROVER_MUST_USE drover_status drv_link_receive_lent(
    struct drv_link *link, const uint8_t *head, size_t head_len, const uint8_t *blob,
    size_t blob_len, const struct drv_lender *lender, int64_t now_us, struct drv_arena *arena,
    struct drv_message *out_message, const char **out_reason);

/* Whether what drv_link_receive was given last was a new message of the other side: contact.
 * One that repeats a number is none: it may come from a side that begins anew. */
bool drv_link_is_fresh(const struct drv_link *link);

/* Every message received with seq <= `seq` has been dealt with. Monotonic. Chunks and ACKs
 * settle themselves, but no acknowledgement passes a message that the caller still has to
 * settle. */
void drv_link_settle(struct drv_link *link, uint64_t seq, int64_t now_us);

/* Tokens of messages that the other side has settled, in order. False when there are no more.
 */
bool drv_link_settled(struct drv_link *link, uint64_t *out_token);

/* Queue an ACK when one is due and nothing else that could carry it may leave. */
void drv_link_tick(struct drv_link *link, int64_t now_us);
int64_t drv_link_deadline_us(const struct drv_link *link); /* INT64_MAX: none */

size_t drv_link_queued(const struct drv_link *link);       /* messages waiting */
size_t drv_link_queued_bytes(const struct drv_link *link); /* bytes waiting, chunks included */
uint64_t drv_link_in_flight_bytes(const struct drv_link *link);
bool drv_link_is_idle(const struct drv_link *link); /* nothing queued, nothing unsettled */

#endif
