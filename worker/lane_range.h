/*
 * lane_range.h: a range: elements that an executor runs one after the other under one claim,
 * and how far it is. In the shared memory of a lane:
 *
 *            0 ............ done ... next ............ limit ........ n
 *            results are here  runs      not started        given back
 *
 *   word   serial | limit | next. The executor claims an element before it runs it: next + 1,
 *          while next < limit. The agent gives back what was not claimed: limit = next, or
 * more. Both by exchange of the whole word, so an element is run or given back, never both.
 *   done   serial | elements whose results are in `lengths` and `bytes`
 *
 * So the agent knows at any time, without a message and after a crash too, which elements have
 * succeeded, with what, and which one is in progress. What it reads is checked and copied, and
 * counts only if the executor was still at that range afterwards.
 */
#ifndef LANE_RANGE_H
#define LANE_RANGE_H

#include "record.h"
#include "view.h"

#include <drover/status.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANE_RANGE_MAX = 1024,                /* elements */
    LANE_RANGE_BYTES = RECORD_INLINE_MAX, /* of their results; one more ends the range */
    LANE_RANGE_LENGTHS = 3 *
                         LANE_RANGE_MAX, /* of their lengths: LEB128 of length + 1, 0: nil */
};

struct lane_range { /* in lane_shared; serials: their low halves */
    _Alignas(64) _Atomic uint64_t word;
    _Alignas(64) _Atomic uint64_t done;
    _Alignas(64) uint8_t lengths[LANE_RANGE_LENGTHS];
    uint8_t bytes[LANE_RANGE_BYTES];
};

/* ---- the executor --------------------------------------------------------------------------
 */

struct lane_range_writer {
    struct lane_range *range;
    uint32_t serial;
    uint32_t done; /* results put */
    size_t lengths_len, bytes_len;
};

/* Begins with n elements, none of them claimed. */
void lane_range_begin(struct lane_range *range, uint64_t serial, uint32_t n,
                      struct lane_range_writer *out_writer);

/* Claims the next element. False: there is none any more. *out_left: how many follow it. */
bool lane_range_claim(struct lane_range_writer *writer, uint32_t *out_left);

/* Keeps the result of the element that was claimed last; is_nil: it has none. False: there is
 * no room. */
bool lane_range_put(struct lane_range_writer *writer, struct drv_view value, bool is_nil);

/* ---- the agent -----------------------------------------------------------------------------
 */

struct lane_range_place {
    uint32_t done, next, limit; /* done <= next <= limit, next <= n */
};

/* Where the executor is. NOT_READY: it is not (or no more) at this range; MALFORMED: what it
 * says cannot be. */
DROVER_MUST_USE drover_status lane_range_look(const struct lane_range *range, uint64_t serial,
                                              uint32_t n, struct lane_range_place *out_place);

/*
 * Gives back what was not claimed, but for the first `keep` elements of the range. *out_kept:
 * so many have been or will be run. OK; NOT_READY; MALFORMED; BUSY: the executor is too fast,
 * try again.
 */
DROVER_MUST_USE drover_status lane_range_cut(struct lane_range *range, uint64_t serial,
                                             uint32_t n, uint32_t keep, uint32_t *out_kept);

/*
 * The results of the elements from `from` on to before `to`, copied: their lengths, then their
 * bytes, in one piece. OK, NOT_READY (not at this range any more), MALFORMED, NOMEM.
 */
struct lane_range_results {
    struct drv_data *data; /* owned by the caller; what the views point into */
    struct drv_view lengths, bytes;
};
DROVER_MUST_USE drover_status lane_range_read(const struct lane_range *range, uint64_t serial,
                                              uint32_t from, uint32_t to,
                                              struct lane_range_results *out_results);

/* The same out of lengths and bytes that came in another way. OK, MALFORMED (not exactly `to`
 * elements, or other bytes than they say), NOMEM. */
DROVER_MUST_USE drover_status lane_range_pick(struct drv_view lengths, struct drv_view bytes,
                                              uint32_t from, uint32_t to,
                                              struct lane_range_results *out_results);

#endif
