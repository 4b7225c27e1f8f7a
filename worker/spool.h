/*
 * Spool: what one attempt has printed lately, the last of each of its streams.
 *
 *            oldest                              newest
 *    stdout    [piece]          [piece][piece]            pieces in the order of their arrival,
 *    stderr           [piece]                 [piece]     over all streams; each is consecutive
 *                         ^ sent so far                   bytes of one stream
 *
 * Every stream counts all that was ever printed, so a piece has an offset in its stream, and
 * what is missing between two of them shows. When a stream has more than it may keep its oldest
 * bytes go, sent or not; of the values of DATA whole ones go. Emptied of what was sent it still
 * has the tail that a result carries.
 *
 * Pure; one thread; allocates as it grows, nothing while nothing is printed.
 */
#ifndef WORKER_SPOOL_H
#define WORKER_SPOOL_H

#include "buffer.h"
#include "message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORKER_SPOOL_STREAMS = DRV_OUTPUT_DATA,
    WORKER_SPOOL_KEEP = 8 * 1024,  /* of a stream nobody follows, with what its pieces cost */
    WORKER_SPOOL_LAG = 64 * 1024,  /* of one that is followed */
    WORKER_SPOOL_PIECE = 4 * 1024, /* bytes of a piece, but for values of DATA */
    WORKER_SPOOL_PIECE_COST = 32,  /* what a piece counts for besides its bytes */
};

struct worker_spool_piece {
    uint64_t order;  /* of arrival, in the spool */
    uint64_t offset; /* in the stream */
    size_t len;
};

struct worker_spool_stream {
    struct drv_buffer bytes;           /* owned; `skip` of them are gone, then the pieces' */
    struct worker_spool_piece *pieces; /* owned; `first` of them are gone */
    size_t skip, first, count, capacity;
    size_t sent;  /* pieces, of count */
    uint64_t end; /* bytes ever, with those that were missed */
};

struct worker_spool {
    struct worker_spool_stream streams[WORKER_SPOOL_STREAMS]; /* by enum drv_output - 1 */
    uint64_t orders;                                          /* given so far */
};

/* All zero is an empty spool. */
void worker_spool_fini(struct worker_spool *spool);

/*
 * Appends. missed: bytes of the stream that were lost before these. keep: what the stream may
 * have afterwards; its last value, or as much of the bytes as that is, stays in any case.
 * OK; NOMEM, and these bytes count as missed.
 */
DROVER_MUST_USE drover_status worker_spool_add(struct worker_spool *spool,
                                               enum drv_output stream, uint64_t missed,
                                               struct drv_str bytes, size_t keep);

/* Lets the oldest go until no stream has more than `keep`. */
void worker_spool_trim(struct worker_spool *spool, size_t keep);

/* Everything that is there counts as not sent. */
void worker_spool_rewind(struct worker_spool *spool);

/* Consecutive bytes of one stream, borrowed until the spool changes. */
struct worker_spool_view {
    enum drv_output stream;
    uint64_t offset;
    uint64_t order; /* of the last piece in it */
    size_t pieces;
    struct drv_str text;
};

/*
 * The oldest that was not sent of the streams whose bits are set in `streams` (bit n: enum
 * drv_output n): one piece, and those that follow it immediately, within `max` bytes; a value
 * of DATA always comes alone. False: all was sent. _sent: it was.
 */
bool worker_spool_next(const struct worker_spool *spool, uint32_t streams, size_t max,
                       struct worker_spool_view *out_view);
void worker_spool_sent(struct worker_spool *spool, const struct worker_spool_view *view);

/* Bytes that it holds, with what the pieces cost. */
size_t worker_spool_size(const struct worker_spool *spool);

/*
 * The tail for a result: the newest pieces, at most DRV_TAIL_PIECES_MAX with DRV_TAIL_MAX
 * bytes, in order. *out_block (owned by the caller; NULL when there is nothing) is what
 * *out_tail points into. OK, NOMEM.
 */
DROVER_MUST_USE drover_status worker_spool_tail(const struct worker_spool *spool,
                                                struct drv_data **out_block,
                                                struct drv_tail *out_tail);

#endif
