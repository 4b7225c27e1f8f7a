#include "ring.h"

#include "check.h"

#include <string.h>

/* Every record begins at a multiple of this, so that its length never wraps. */
#define RING_ALIGN 8U
#define RING_LENGTH 4U

static size_t padded(size_t len)
{
    return (RING_LENGTH + len + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1);
}

size_t ring_size(size_t capacity)
{
    return sizeof(struct ring_shared) + capacity;
}

size_t ring_record_max(size_t capacity)
{
    return capacity - RING_ALIGN;
}

void ring_init(struct ring_shared *shared)
{
    atomic_init(&shared->tail, 0);
    atomic_init(&shared->producer_waits, 0);
    atomic_init(&shared->head, 0);
    atomic_init(&shared->consumer_sleeps, 0);
}

void ring_writer_init(struct ring_writer *writer, struct ring_shared *shared, size_t capacity)
{
    DRV_ASSERT(capacity >= 64 && (capacity & (capacity - 1)) == 0);
    *writer = (struct ring_writer){.shared = shared, .capacity = capacity};
}

void ring_reader_init(struct ring_reader *reader, struct ring_shared *shared, size_t capacity)
{
    DRV_ASSERT(capacity >= 64 && (capacity & (capacity - 1)) == 0);
    *reader = (struct ring_reader){.shared = shared, .capacity = capacity};
}

/* ---- producer -----------------------------------------------------------------------------
 */

static drover_status see_head(struct ring_writer *writer)
{
    uint64_t head = atomic_load_explicit(&writer->shared->head, memory_order_acquire);
    if (head < writer->head || head > writer->tail || head % RING_ALIGN != 0) {
        return DROVER_MALFORMED;
    }
    writer->head = head;
    return DROVER_OK;
}

static bool has_room(const struct ring_writer *writer, size_t len)
{
    return writer->capacity - (size_t)(writer->tail - writer->head) >= padded(len);
}

drover_status ring_writer_fits(struct ring_writer *writer, size_t len)
{
    if (len > ring_record_max(writer->capacity)) {
        return DROVER_TOO_BIG;
    }
    if (has_room(writer, len)) {
        return DROVER_OK;
    }
    drover_status status = see_head(writer);
    if (status) {
        return status;
    }
    return has_room(writer, len) ? DROVER_OK : DROVER_BUSY;
}

size_t ring_writer_used(struct ring_writer *writer)
{
    return see_head(writer) ? writer->capacity : (size_t)(writer->tail - writer->head);
}

static void copy_in(struct ring_writer *writer, uint64_t position, const void *bytes,
                    size_t len)
{
    size_t offset = (size_t)position & (writer->capacity - 1);
    size_t first = writer->capacity - offset;
    if (first >= len) {
        memcpy(writer->shared->bytes + offset, bytes, len);
        return;
    }
    memcpy(writer->shared->bytes + offset, bytes, first);
    memcpy(writer->shared->bytes, (const uint8_t *)bytes + first, len - first);
}

drover_status ring_write(struct ring_writer *writer, const struct drv_view *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > writer->capacity - len) {
            return DROVER_TOO_BIG;
        }
        len += parts[i].len;
    }
    drover_status status = ring_writer_fits(writer, len);
    if (status) {
        return status;
    }
    uint32_t prefix = (uint32_t)len;
    uint64_t position = writer->tail;
    copy_in(writer, position, &prefix, sizeof(prefix));
    position += sizeof(prefix);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len != 0) {
            copy_in(writer, position, parts[i].bytes, parts[i].len);
            position += parts[i].len;
        }
    }
    writer->tail += padded(len);
    atomic_store_explicit(&writer->shared->tail, writer->tail, memory_order_release);
    return DROVER_OK;
}

bool ring_writer_must_wake(struct ring_writer *writer)
{
    /* Orders our tail before the look at their flag; its counterpart is in ring_reader_sleep.
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&writer->shared->consumer_sleeps, memory_order_relaxed) == 0) {
        return false;
    }
    return atomic_exchange(&writer->shared->consumer_sleeps, 0) != 0;
}

bool ring_writer_wait(struct ring_writer *writer, size_t len)
{
    (void)atomic_exchange_explicit(&writer->shared->producer_waits, 1, memory_order_acq_rel);
    if (ring_writer_fits(writer, len) == DROVER_BUSY) {
        return true;
    }
    atomic_store_explicit(&writer->shared->producer_waits, 0, memory_order_relaxed);
    return false;
}

/* ---- consumer -----------------------------------------------------------------------------
 */

static drover_status see_tail(struct ring_reader *reader)
{
    uint64_t tail = atomic_load_explicit(&reader->shared->tail, memory_order_acquire);
    if (tail < reader->tail || tail - reader->head > reader->capacity ||
        tail % RING_ALIGN != 0) {
        return DROVER_MALFORMED;
    }
    reader->tail = tail;
    return DROVER_OK;
}

static void copy_out(const struct ring_reader *reader, uint64_t position, void *out, size_t len)
{
    size_t offset = (size_t)position & (reader->capacity - 1);
    size_t first = reader->capacity - offset;
    if (first >= len) {
        memcpy(out, reader->shared->bytes + offset, len);
        return;
    }
    memcpy(out, reader->shared->bytes + offset, first);
    memcpy((uint8_t *)out + first, reader->shared->bytes, len - first);
}

drover_status ring_read(struct ring_reader *reader, struct drv_buffer *out_record)
{
    if (reader->head == reader->tail) {
        drover_status status = see_tail(reader);
        if (status) {
            return status;
        }
        if (reader->head == reader->tail) {
            return DROVER_NOT_READY;
        }
    }
    uint32_t len;
    copy_out(reader, reader->head, &len, sizeof(len));
    if (len > ring_record_max(reader->capacity) || padded(len) > reader->tail - reader->head) {
        return DROVER_MALFORMED;
    }
    drv_buffer_clear(out_record);
    drover_status status = drv_buffer_reserve(out_record, (size_t)len + 1);
    if (status) {
        return status;
    }
    copy_out(reader, reader->head + RING_LENGTH, out_record->bytes, len);
    out_record->len = len;
    reader->head += padded(len);
    atomic_store_explicit(&reader->shared->head, reader->head, memory_order_release);
    return DROVER_OK;
}

bool ring_reader_must_wake(struct ring_reader *reader)
{
    return atomic_exchange_explicit(&reader->shared->producer_waits, 0, memory_order_acq_rel) !=
           0;
}

uint64_t ring_reader_position(const struct ring_reader *reader)
{
    return atomic_load_explicit(&reader->shared->tail, memory_order_acquire);
}

bool ring_reader_has_passed(const struct ring_reader *reader, uint64_t position)
{
    return reader->head >= position;
}

bool ring_reader_has_record(const struct ring_reader *reader)
{
    return atomic_load_explicit(&reader->shared->tail, memory_order_acquire) != reader->head;
}

bool ring_reader_sleep(struct ring_reader *reader)
{
    (void)atomic_exchange_explicit(&reader->shared->consumer_sleeps, 1, memory_order_acq_rel);
    if (!ring_reader_has_record(reader)) {
        return true;
    }
    ring_reader_wake(reader);
    return false;
}

void ring_reader_wake(struct ring_reader *reader)
{
    atomic_store_explicit(&reader->shared->consumer_sleeps, 0, memory_order_relaxed);
}
