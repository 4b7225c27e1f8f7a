/*
 * ring.h: records from one process to another through shared memory.
 *
 *          head (consumer)              tail (producer)
 *            v                            v
 *   [ free ] [len|record][len|record]...  [ free ]       positions only grow; capacity 2^n
 *
 * One producer, one consumer, each with an end of its own (private memory) over the shared
 * part. Records are copied in and out, so nothing that was read changes afterwards.
 *
 * Waking: the side that is about to block says so in shared memory and looks again; the other
 * side makes a wake-up call (an eventfd, which the ring knows nothing of) only if it is told
 * to.
 *
 *   consumer: while (!ring_reader_sleep(r)) read...     producer: ring_write(w); if
 *             block; ring_reader_wake(r)                          (ring_writer_must_wake(w))
 * call
 *
 * The peer is not trusted: positions and lengths from shared memory are checked against what is
 * possible before they are used; what is impossible is MALFORMED and the ring must be given up.
 * Leaves out: who the peer is, whether it lives, values too large for the ring (lane.h).
 */
#ifndef RING_H
#define RING_H

#include "buffer.h"
#include "view.h"

#include <drover/status.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring_shared {                    /* each side writes its own cache line */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever produced */
    _Atomic uint32_t producer_waits;    /* set before it blocks for space */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever consumed */
    _Atomic uint32_t consumer_sleeps;   /* set before it blocks for records */
    _Alignas(64) uint8_t bytes[];       /* capacity */
};

struct ring_writer {
    struct ring_shared *shared; /* borrowed */
    size_t capacity;
    uint64_t tail; /* own truth */
    uint64_t head; /* last seen of the other side */
};

struct ring_reader {
    struct ring_shared *shared; /* borrowed */
    size_t capacity;
    uint64_t head; /* own truth */
    uint64_t tail; /* last seen of the other side */
};

/* Bytes of shared memory for a ring; capacity: a power of two, 64 at least. */
size_t ring_size(size_t capacity);

/* Empties shared memory for use; before either end exists. */
void ring_init(struct ring_shared *shared);

void ring_writer_init(struct ring_writer *writer, struct ring_shared *shared, size_t capacity);
void ring_reader_init(struct ring_reader *reader, struct ring_shared *shared, size_t capacity);

/* The longest record that a ring can ever take. */
size_t ring_record_max(size_t capacity);

/* Whether a record of len bytes would be taken now: OK, BUSY, TOO_BIG, MALFORMED. */
DROVER_MUST_USE drover_status ring_writer_fits(struct ring_writer *writer, size_t len);

/* How much of the ring is in use, in bytes; the capacity when the peer's word is impossible. */
size_t ring_writer_used(struct ring_writer *writer);

/*
 * Appends one record made of `count` parts; it is visible at once.
 * Returns OK, BUSY (no room now), TOO_BIG (never), MALFORMED (the peer's position is
 * impossible).
 */
DROVER_MUST_USE drover_status ring_write(struct ring_writer *writer,
                                         const struct drv_view *parts, size_t count);

/* After writing: whether the consumer blocks and must be called. At most once per sleep. */
bool ring_writer_must_wake(struct ring_writer *writer);

/* Announces that the producer will block until len bytes fit; false: they fit now, do not. */
bool ring_writer_wait(struct ring_writer *writer, size_t len);

/*
 * Takes the next record, replacing the contents of out_record.
 * Returns OK, NOT_READY (empty), MALFORMED (impossible position or length), NOMEM (not taken).
 */
DROVER_MUST_USE drover_status ring_read(struct ring_reader *reader,
                                        struct drv_buffer *out_record);

/* After reading: whether the producer blocks for space and must be called. */
bool ring_reader_must_wake(struct ring_reader *reader);

/* Whether there is something to read, as far as the peer's word goes. */
bool ring_reader_has_record(const struct ring_reader *reader);

/* How far the producer has come, as far as its word goes, in bytes ever; and whether everything
 * before such a position was read. */
uint64_t ring_reader_position(const struct ring_reader *reader);
bool ring_reader_has_passed(const struct ring_reader *reader, uint64_t position);

/* Announces that the consumer will block; false: there is a record now, do not. */
bool ring_reader_sleep(struct ring_reader *reader);

/* Takes the announcement back. */
void ring_reader_wake(struct ring_reader *reader);

#endif
