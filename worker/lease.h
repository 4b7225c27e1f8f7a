/*
 * Lease: the books of a worker: every attempt that it holds, where each stands, what it owes.
 *
 *    QUEUED ──> CONFIRMING ──> GIVEN ──> RUNNING ──> FINISHED ──> REPORTED ──> gone
 *
 * A lease is in exactly one list, that of its state; it is found by its fencing token
 * (id, index, attempt) when the broker names it and by its key when the pool does. Keys are
 * slot numbers with a generation, so one of an ended lease finds nothing.
 *
 * A lease may be a range: the elements index, index + 1, ... of an array. It is split where its
 * parts differ; every part is a lease of its own, with a key of its own. Any element of a range
 * finds it.
 *
 * Owns payloads until the attempt starts, the last of its output while it runs, and results
 * until they are settled, and counts all three. Knows nothing of messages going out, of the
 * connection, or of time. Pure.
 */
#ifndef WORKER_LEASE_H
#define WORKER_LEASE_H

#include "list.h"
#include "message.h"
#include "slab.h"
#include "spool.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum worker_lease_state {
    WORKER_LEASE_QUEUED,     /* here, not started */
    WORKER_LEASE_CONFIRMING, /* STARTED goes first, then GO comes, then it is given */
    WORKER_LEASE_GIVEN,      /* the pool has it and has not said that it started */
    WORKER_LEASE_RUNNING,
    WORKER_LEASE_FINISHED, /* result here, to be reported (again) */
    WORKER_LEASE_REPORTED, /* result in a REPORT of this connection, not settled */
};
enum { WORKER_LEASE_STATES = WORKER_LEASE_REPORTED + 1 };

/* Why a given lease was asked back; the first five are those of the protocol. */
enum worker_revoke {
    WORKER_REVOKE_NONE = 0,
    WORKER_REVOKE_RECALLED = DRV_RETURN_RECALLED,
    WORKER_REVOKE_DRAINING = DRV_RETURN_DRAINING,
    WORKER_REVOKE_ABORTED = DRV_RETURN_ABORTED,
    WORKER_REVOKE_NO_CONTACT = DRV_RETURN_NO_CONTACT,
    WORKER_REVOKE_HOLD = 100, /* keep it here until the connection is back */
};

struct worker_shared;

/* What the broker has said of single elements of a range that the pool has. */
enum worker_mark {
    WORKER_MARK_VOID = 1,    /* stale: nothing is reported of it any more */
    WORKER_MARK_ABORTED = 2, /* to be cancelled, should it run */
    WORKER_MARK_STREAMS = 3, /* bit n + 3: output stream n is followed */
};

struct worker_lease {
    struct drv_list link;   /* in its state's list */
    struct drv_list notice; /* in the book's notices while STARTED or progress is to be sent */
    uint64_t key, hash;
    bool is_indexed;    /* it can be found */
    struct drv_ref ref; /* of a range: its first element */
    uint32_t count;     /* elements; 1: no range */
    uint32_t end;       /* index behind the last element of the lease of the broker */
    enum worker_lease_state state;
    enum worker_revoke revoke; /* GIVEN: asked back, and why */
    uint32_t revoke_from;      /* index: from which element on */
    uint8_t *marks;            /* owned; GIVEN range: of each element; NULL: none */
    uint32_t marks_from;       /* index of the first of them */
    uint32_t type;             /* index into the types offered */
    uint32_t flags;            /* DRV_LEASE_* */
    bool is_confirmed;         /* GO has come */
    bool is_void;              /* stale: nothing is reported of it any more */
    bool is_cancelled;         /* the pool was told to cancel it */
    bool goes_back;            /* cancelled by a drain: returned, unless it succeeds */
    bool start_due;            /* STARTED is to be reported */
    bool progress_due;
    int64_t received_at_us, started_at_us, finished_at_us;
    uint64_t timeout_ms, term_ms, kill_ms;
    struct drv_bounds limits;
    uint64_t report; /* REPORTED: number of the message with its result */

    struct drv_data *payload;     /* owned; what val points into; NULL: nil, or dropped */
    struct drv_data *words;       /* owned; content type, meta; later the texts of the result */
    struct drv_val val;           /* into payload and words */
    struct drv_str meta;          /* into words */
    struct drv_str lengths;       /* into words; of the payloads of a range */
    struct drv_data *parents;     /* owned; struct drv_parent; NULL: none, or dropped */
    struct drv_data *needs;       /* owned; as in need.h; NULL: none, or dropped */
    struct worker_shared *shared; /* counted; what its array shares; NULL: nothing */
    struct drv_data *progress_text; /* owned; NULL: none */
    uint32_t progress_permille;

    struct worker_spool *spool; /* owned; what it printed lately; NULL: nothing, or it ended */
    struct drv_list unsent;     /* in the session's, while followers are to be told something */
    uint32_t followed;          /* streams, bit n: enum drv_output n */
    bool tail_is_due;           /* the end of what FOLLOW asked for was not sent yet */
    uint64_t tail_end;          /* first order in the spool that came after FOLLOW */

    struct drv_data *result_data; /* owned; what result.val points into; NULL: nil */
    struct drv_data *tail;        /* owned; what result.tail points into; NULL: none */
    struct drv_result result;     /* FINISHED and later; texts into words */
    size_t held_bytes;            /* what it counts for in the book's */
};

struct worker_lease_slot {
    struct worker_lease *lease; /* owned; NULL: free */
    uint32_t generation;        /* of the present or the last lease in it */
    uint32_t next_free;         /* slot number + 1; 0: none */
};

struct worker_book {
    struct drv_list lists[WORKER_LEASE_STATES];
    size_t counts[WORKER_LEASE_STATES];
    struct drv_list notices;
    struct drv_table table;       /* of single ones, by (id, index, attempt) */
    size_t elements;              /* of arrays among them */
    struct worker_lease **ranges; /* owned; by (id, attempt, index) */
    size_t range_count, range_capacity;
    struct drv_pages pages;
    struct drv_slab slab;            /* of leases */
    struct worker_lease_slot *slots; /* owned */
    size_t slot_count;
    uint32_t free_slot; /* slot number + 1; 0: none */
    uint64_t payload_bytes, held_bytes;
    uint64_t output_bytes; /* of all spools */
};

void worker_book_init(struct worker_book *book, uint64_t seed);
void worker_book_fini(struct worker_book *book);

/* Takes an entry of a LEASE into the books, QUEUED, with a copy of its payload (or a reference,
 * when it came as chunks). Returns OK; CONFLICT when that attempt, or one of a range, is here
 * already; NOMEM. */
DROVER_MUST_USE drover_status worker_book_add(struct worker_book *book,
                                              const struct drv_lease_group *group,
                                              const struct drv_lease_entry *entry,
                                              uint32_t type, struct worker_lease **out_lease);

/* Splits a range: that is not running or finished: *out_front are its first `count` elements,
 * right before it; `lease` is the rest, with its key. Returns OK or NOMEM. */
DROVER_MUST_USE drover_status worker_book_split_front(struct worker_book *book,
                                                      struct worker_lease *lease,
                                                      uint32_t count,
                                                      struct worker_lease **out_front);
/* The same; *out_back is what comes behind its first `count` elements, right behind it. */
DROVER_MUST_USE drover_status worker_book_split_back(struct worker_book *book,
                                                     struct worker_lease *lease, uint32_t count,
                                                     struct worker_lease **out_back);

/* Marks of an element, 0: none. _mark takes some off and puts others on; returns OK or NOMEM.
 */
uint8_t worker_lease_marks(const struct worker_lease *lease, uint32_t index);
DROVER_MUST_USE drover_status worker_lease_mark(struct worker_lease *lease, uint32_t index,
                                                uint8_t off, uint8_t on);

/* Nobody follows an element any more. */
void worker_lease_unmark_streams(struct worker_lease *lease);

/* Leases in all. */
size_t worker_book_count(const struct worker_book *book);

/* NULL when it is not here. */
struct worker_lease *worker_book_find(const struct worker_book *book,
                                      const struct drv_ref *ref);
struct worker_lease *worker_book_find_key(const struct worker_book *book, uint64_t key);

/* First of a state's list, NULL when there is none. */
struct worker_lease *worker_book_first(const struct worker_book *book,
                                       enum worker_lease_state state);

/* To the end of that state's list; _back to its front. */
void worker_book_move(struct worker_book *book, struct worker_lease *lease,
                      enum worker_lease_state state);
void worker_book_move_back(struct worker_book *book, struct worker_lease *lease,
                           enum worker_lease_state state);

/* All of FINISHED and REPORTED, in order, to FINISHED. */
void worker_book_unreport(struct worker_book *book);

/* Payload and meta are not needed any more. */
void worker_book_drop_payload(struct worker_book *book, struct worker_lease *lease);

/* Output, see worker_spool_add; what there is no memory for is missed. */
void worker_book_add_output(struct worker_book *book, struct worker_lease *lease,
                            enum drv_output stream, uint64_t missed, struct drv_str bytes,
                            size_t keep);
void worker_book_trim_output(struct worker_book *book, struct worker_lease *lease, size_t keep);

/* Keeps a copy of the result (a reference to val.data if there is one) with the tail of the
 * output, moves it to FINISHED. Returns OK or NOMEM. */
DROVER_MUST_USE drover_status worker_book_keep_result(struct worker_book *book,
                                                      struct worker_lease *lease,
                                                      const struct drv_result *result);

DROVER_MUST_USE drover_status worker_lease_set_progress(struct worker_book *book,
                                                        struct worker_lease *lease,
                                                        uint32_t permille, struct drv_str text);

/* Ends it: forgotten and freed, nulls the pointer. */
void worker_book_remove(struct worker_book *book, struct worker_lease **lease);

/* NULL when all invariants hold, else what does not. O(n). */
const char *worker_book_check(const struct worker_book *book);

#endif
