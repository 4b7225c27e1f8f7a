/*
 * lane.h: everything between the agent and one executor: two rings, claims, a cancel word,
 * wake-up calls, and a socket for values that are too large for a ring.
 *
 *            ┌──────────────── shared memory ───────────────┐
 *   agent ───┤ cancel │ claims │ ring down ──> │ <── ring up ├─── executor
 *            └───────────────────────────────────────────────┘
 *      up_event <── "there is something"      down_event <── the same
 *      values <── memory files, see lane_file.h ──> values
 *
 * Claims decide who has an attempt. The agent puts (serial, PLACED) into a claim before the
 * record goes into the ring; whoever first changes it to TAKEN (the executor, which then runs
 * it) or REVOKED (the agent, which then has it back) has it. Serials are never reused, so a
 * record of the past claims nothing.
 *
 * The lane of the agent reads nothing from the executor without a check (ring.h; memory files
 * must be sealed, of the right size, and what is in them is copied), and never blocks.
 */
#ifndef LANE_H
#define LANE_H

#include "data.h"
#include "lane_range.h"
#include "pool.h"
#include "record.h"
#include "ring.h"

enum {
    LANE_RING_BYTES = 128 * 1024,
};

enum lane_claim { LANE_PLACED = 1, LANE_TAKEN = 2, LANE_REVOKED = 3 };

enum { LANE_FILES = 2 }; /* memory files that a sender keeps: one is read, one is written */

enum { LANE_PIPES = 2 }; /* what a process prints: stdout, stderr */

/* How much of a pipe the agent has read; written by the agent alone. */
struct lane_pipe {
    _Atomic uint64_t turn; /* odd while it reads */
    _Atomic uint64_t read; /* bytes ever */
};

struct lane_shared {
    _Alignas(64) _Atomic uint64_t cancel; /* serial of the attempt that must stop; 0: none */
    _Atomic int64_t taken_at_us;          /* when the executor last began an attempt */
    _Atomic uint64_t cancel_kill_ms;      /* grace from SIGTERM to SIGKILL, for commands */
    _Atomic uint64_t blame;               /* serial of the attempt that ended the process */
    _Alignas(64) struct lane_pipe pipes[LANE_PIPES];
    _Alignas(64) _Atomic uint64_t claims[POOL_DEPTH_MAX]; /* serial << 2 | enum lane_claim */
    _Alignas(64) _Atomic uint32_t files[2][LANE_FILES];   /* enum lane_file_state; down, up */
    struct lane_range range;                              /* the one that was taken last */
};

struct lane_file {  /* one that is kept */
    int fd;         /* owned; -1: not there yet */
    uint8_t *map;   /* where it is mapped, by whom that helps; NULL: not yet */
    bool is_passed; /* the other side has it */
    size_t filled;  /* so much of it has memory, as far as is known */
    size_t touched; /* so much of it has pages in the sender's mapping */
    size_t recent;  /* so much was used since lane_trim */
};

struct lane {
    struct lane_shared *shared; /* mapped */
    struct ring_writer out;     /* own end */
    struct ring_reader in;      /* own end */
    int wake_fd;                /* an eventfd: the executor waits on it, the agent writes */
    int call_fd;                /* an eventfd: the agent waits on it, the executor writes */
    bool is_broken;             /* the peer broke the rules: nothing more is read */
    int values_fd;              /* owned; sequenced-packet socket, own end */
    bool is_agent;
    bool may_map;   /* touching a file cannot fail; else it is written and read by calls */
    bool has_spare; /* kept files have memory that lane_trim could give back */
    struct lane_file sent[LANE_FILES], taken[LANE_FILES];
};

/* What a thread of an executor inherits. In the agent wake_fd and call_fd are borrowed. */
struct lane_ends {
    int memory_fd, wake_fd, call_fd, values_fd;
};

/*
 * The agent's side; `call_fd` is borrowed. out_ends: for the executor, to be sent there and
 * closed; not longer than the lane. OK, NOMEM, IO.
 */
DROVER_MUST_USE drover_status lane_open(struct lane *lane, int call_fd,
                                        struct lane_ends *out_ends);

/* The executor's side; takes the descriptors, on failure too. OK, IO. */
DROVER_MUST_USE drover_status lane_join(struct lane *lane, const struct lane_ends *ends);

/* Either side. The borrowed call_fd stays open. */
void lane_close(struct lane *lane);
void lane_ends_close(struct lane_ends *ends);

/* A value to be sent with a record, borrowed. */
struct lane_value {
    struct drv_view bytes;
    const struct drv_data *pieces; /* where they are, if that is not one place (pieces.h); bytes
                                      says how many. NULL: in bytes */
    struct drv_view content_type;
    bool is_nil;
};

/*
 * Sends one record: `head` (a fixed struct of record.h that contains `slot`, which is filled
 * in; both NULL: no value), then `count` parts, then the value. Does not block. OK, BUSY (ring
 * or socket full), TOO_BIG, MALFORMED (peer), IO, NOMEM.
 */
struct lane_record {
    void *head;
    size_t head_len;
    const struct drv_view *parts;
    size_t count; /* at most LANE_PARTS_MAX */
    struct record_value *slot;
    const struct lane_value *value;
};
enum { LANE_PARTS_MAX = 5 };
DROVER_MUST_USE drover_status lane_send(struct lane *lane, const struct lane_record *record);

/* Bytes that the record needs in the ring. */
size_t lane_record_len(const struct lane_record *record);

/*
 * The value of a received record: `rest` begins with it and is moved behind it. For RECORD_NIL
 * *out_data is NULL. *out_content_type borrows from rest. wait: block until a memory file comes
 * (executor); else it must be there already.
 * OK, MALFORMED (lengths, missing or unsealed file), TOO_BIG, NOMEM, IO.
 */
DROVER_MUST_USE drover_status lane_take_value(struct lane *lane,
                                              const struct record_value *slot, bool wait,
                                              struct drv_view *rest, struct drv_data **out_data,
                                              struct drv_view *out_content_type);

/*
 * The same without a copy, for an executor: the bytes stay in a kept file until lane_release,
 * and are followed by a NUL. For values of form RECORD_KEPT. OK, MALFORMED, TOO_BIG, IO.
 */
DROVER_MUST_USE drover_status lane_borrow_value(struct lane *lane,
                                                const struct record_value *slot,
                                                struct drv_view *rest,
                                                struct drv_view *out_bytes,
                                                struct drv_view *out_content_type);
void lane_release(struct lane *lane, uint32_t number);

/* Gives back the memory of kept files, but for what was used since the last call; the agent's
 * business. False: there is nothing left to be given back. */
bool lane_trim(struct lane *lane);

/* Copies a fixed struct off the front of `rest`; false when there is not enough. */
bool lane_take_head(struct drv_view *rest, void *out_head, size_t len);

/* Takes `len` bytes off the front of `rest`; false when there are not as many. */
bool lane_take_bytes(struct drv_view *rest, size_t len, struct drv_view *out_bytes);

/* Tries to change a claim from (serial, PLACED) to (serial, `to`). */
bool lane_claim(struct lane *lane, uint32_t claim, uint64_t serial, enum lane_claim to);

void lane_place(struct lane *lane, uint32_t claim, uint64_t serial);
bool lane_is_taken(const struct lane *lane, uint32_t claim, uint64_t serial);

/*
 * How many bytes have ever been printed into a pipe: those the agent has read and those that
 * are still in it. So an attempt that ends can say which of them are its own, although the pipe
 * is one and the agent reads when it likes.
 *
 * The agent: read(2) between _begin and _end. It never waits.
 * The executor: _printed, with any descriptor of the pipe; LANE_PRINTED_UNKNOWN when the agent
 * was stopped within its read for longer than a few milliseconds.
 */
#define LANE_PRINTED_UNKNOWN UINT64_MAX
void lane_read_begin(struct lane *lane, size_t pipe);
void lane_read_end(struct lane *lane, size_t pipe, size_t len);
uint64_t lane_printed(const struct lane *lane, size_t pipe, int fd);

/* Adds to an eventfd, and empties it. */
void lane_signal(int event_fd);
void lane_clear(int event_fd);

#endif
