/*
 * writer.c: the journal thread's work, one step at a time.
 *
 *            queue                head segment
 *      ... ──> gather ──> write ──> sync ──> synced = last ──> gather ...
 *                 └─ no room: next segment (a spare; a new file; the reserve)
 *
 * A batch is written only after the one before it is synced, so that what a crash may tear is
 * at most one batch, and each header can name what is durable.
 */
#include "journal_private.h"

#include "check.h"
#include "clock.h"

#include <errno.h>
#include <string.h>

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static void fail_head(struct journal *journal, const char *what, int error)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(journal->writer.head_number, name);
    journal_fail(journal, what, name, error);
}

/* ---- gathering ------------------------------------------------------------------------------
 */

struct gather {
    struct journal *journal;
    struct format_batch batch;
    size_t space; /* bytes that the batch may have */
};

static size_t item_len(const struct chain_item *item)
{
    return item->len + drv_data_view(item->data).len;
}

/* len bytes of the item's body from offset on. */
static void copy_body(const struct chain_item *item, size_t offset, size_t len, uint8_t *out)
{
    size_t front = 0;
    if (offset < item->len) {
        front = min_size(len, item->len - offset);
        memcpy(out, chain_bytes(item) + offset, front);
    }
    if (len > front) {
        memcpy(out + front, item->data->bytes + (offset + front - item->len), len - front);
    }
}

/* How much of a body with so many bytes goes into the batch; false: nothing of it, not even an
 * empty record. Records are split only when they are large, and never into crumbs. */
static bool share(const struct gather *gather, size_t left, size_t *out_len)
{
    const size_t space = gather->space - gather->batch.used;
    if (format_record_space(left) <= space) {
        *out_len = left;
        return true;
    }
    if (left < (size_t)2 * JOURNAL_PIECE_MIN ||
        space < FORMAT_RECORD_HEADER + JOURNAL_PIECE_MIN) {
        return false;
    }
    *out_len = (space - FORMAT_RECORD_HEADER) & ~(size_t)7U;
    return true;
}

/* Puts the item, or as much of it as fits, into the batch; false when nothing fits any more. */
static bool place(struct gather *gather, const struct chain_item *item)
{
    struct writer *writer = &gather->journal->writer;
    const size_t left = item_len(item) - writer->piece_done;
    size_t len = 0;
    if (!share(gather, left, &len)) {
        return false;
    }
    uint8_t *bytes = writer->batch + gather->batch.used;
    const size_t space = format_record_space(len);
    copy_body(item, writer->piece_done, len, bytes + FORMAT_RECORD_HEADER);
    memset(bytes + FORMAT_RECORD_HEADER + len, 0, space - FORMAT_RECORD_HEADER - len);
    const struct format_record record = {.lsn = item->lsn,
                                         .id = item->id,
                                         .index = item->index,
                                         .kind = item->kind,
                                         .continued = writer->piece_done > 0,
                                         .len = (uint32_t)len,
                                         .rest = (uint32_t)(left - len)};
    format_record_write(&record, gather->journal->catalog.seed, bytes);
    gather->batch.used += (uint32_t)space;
    gather->batch.count++;
    writer->piece_done += len;
    return true;
}

/* Fills the batch from the queue. */
static void fill(struct gather *gather)
{
    struct journal *journal = gather->journal;
    struct writer *writer = &journal->writer;
    const struct chain_item *item;
    while ((item = chain_peek(&journal->queue)) != NULL && place(gather, item)) {
        if (writer->piece_done < item_len(item)) {
            break;
        }
        DRV_ASSERT(item->lsn == writer->next);
        writer->piece_done = 0;
        writer->last = writer->next++;
        chain_pop(&journal->queue);
    }
}

static void gather_init(struct gather *gather, struct journal *journal)
{
    struct writer *writer = &journal->writer;
    *gather = (struct gather){
        .journal = journal,
        .space = min_size(FORMAT_BATCH_MAX, (size_t)(writer->head_bytes - writer->offset)),
        .batch = {.used = FORMAT_BATCH_HEADER,
                  .segment = writer->head_number,
                  .offset = writer->offset,
                  .epoch = writer->epoch,
                  .first_lsn = writer->next,
                  .durable = atomic_load_explicit(&journal->synced, memory_order_relaxed)},
    };
}

/* ---- writing --------------------------------------------------------------------------------
 */

/* The first use of a file's blocks costs the sync more than the data does: whole stretches of
 * zeros take that off most syncs. Recycled segments need none of it. */
static int zero_ahead(struct journal *journal, uint64_t end)
{
    struct writer *writer = &journal->writer;
    if (end <= writer->zeroed) {
        return 0;
    }
    static const uint8_t zeros[64 * 1024];
    const uint64_t until = end + JOURNAL_ZERO_AHEAD < writer->head_bytes
                               ? end + JOURNAL_ZERO_AHEAD
                               : writer->head_bytes;
    int error = 0;
    for (uint64_t at = end; at < until && error == 0; at += sizeof(zeros)) {
        const uint64_t left = until - at;
        error = catalog_write(journal->files, writer->head, at, zeros,
                              left < sizeof(zeros) ? (size_t)left : sizeof(zeros));
    }
    writer->zeroed = until;
    return error;
}

static void write_batch(struct journal *journal, struct gather *gather)
{
    struct writer *writer = &journal->writer;
    struct format_batch *batch = &gather->batch;
    batch->length = (batch->used + FORMAT_BLOCK - 1U) & ~(uint32_t)(FORMAT_BLOCK - 1U);
    memset(writer->batch + batch->used, 0, batch->length - batch->used);
    format_batch_write(batch, journal->catalog.seed, writer->batch);
    int error = catalog_write(journal->files, writer->head, writer->offset, writer->batch,
                              batch->length);
    if (error == 0) {
        error = zero_ahead(journal, writer->offset + batch->length);
    }
    if (error != 0) {
        fail_head(journal, "write", error);
        return;
    }
    writer->offset += batch->length;
    writer->unsynced = true;
    atomic_fetch_add_explicit(&journal->counters.batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&journal->counters.bytes, batch->length, memory_order_relaxed);
    atomic_store_explicit(&journal->compaction.head_left, writer->head_bytes - writer->offset,
                          memory_order_relaxed);
    atomic_store_explicit(&journal->written, writer->last, memory_order_release);
    journal_tell_loop(journal);
}

static void sync_batch(struct journal *journal)
{
    struct writer *writer = &journal->writer;
    const uint64_t before = journal->pumped ? 0 : drv_clock_now_us();
    int error = journal->files->sync(writer->head);
    if (error != 0) {
        fail_head(journal, "sync", error);
        return;
    }
    const uint64_t took = journal->pumped ? 0 : drv_clock_now_us() - before;
    struct journal_counters *counters = &journal->counters;
    writer->unsynced = false;
    atomic_fetch_add_explicit(&counters->syncs, 1, memory_order_relaxed);
    atomic_store_explicit(&counters->sync_last_us, took, memory_order_relaxed);
    if (took > atomic_load_explicit(&counters->sync_max_us, memory_order_relaxed)) {
        atomic_store_explicit(&counters->sync_max_us, took, memory_order_relaxed);
    }
    atomic_store_explicit(&journal->synced, writer->last, memory_order_release);
    journal_tell_loop(journal);
}

/* ---- segments and the reserve ---------------------------------------------------------------
 */

uint64_t writer_spare_bytes(const struct journal *journal)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < journal->catalog.spare_count; i++) {
        bytes += journal->catalog.spares[i].bytes;
    }
    return bytes;
}

void writer_count(struct journal *journal)
{
    const struct catalog *catalog = &journal->catalog;
    struct compaction *compaction = &journal->compaction;
    const size_t closed = catalog->segment_count == 0 ? 0 : catalog->segment_count - 1;
    uint64_t closed_bytes = 0;
    for (size_t i = 0; i < closed; i++) {
        closed_bytes += catalog->segments[i].bytes;
    }
    const uint64_t head_left = journal->writer.head_bytes - journal->writer.offset;
    atomic_store_explicit(&journal->counters.segments, catalog->segment_count,
                          memory_order_relaxed);
    atomic_store_explicit(&journal->counters.disk_bytes, catalog_disk_bytes(catalog),
                          memory_order_relaxed);
    atomic_store_explicit(&compaction->head_left, head_left, memory_order_relaxed);
    atomic_store_explicit(&compaction->closed_bytes, closed_bytes, memory_order_relaxed);
    atomic_store_explicit(&compaction->oldest_bytes,
                          closed == 0 ? 0 : catalog->segments[0].bytes, memory_order_relaxed);
    atomic_store_explicit(&compaction->oldest_last,
                          closed == 0 ? 0 : catalog->segments[0].last_lsn,
                          memory_order_release);
}

void writer_set_full(struct journal *journal, bool full)
{
    if (atomic_exchange_explicit(&journal->full, full, memory_order_release) != (int)full) {
        journal_tell_loop(journal);
    }
}

int writer_make_reserve(struct journal *journal)
{
    int error = 0;
    while (error == 0 && writer_spare_bytes(journal) < journal->reserve_bytes) {
        error = catalog_make_spare(&journal->catalog, journal->segment_bytes);
    }
    return error;
}

/* After a full disk: is there space again? */
static void restore_reserve(struct journal *journal)
{
    int error = writer_make_reserve(journal);
    if (error == 0) {
        writer_set_full(journal, false);
    } else if (!is_no_space(error)) {
        journal_fail(journal, "make a spare segment in", "", error);
    }
    writer_count(journal);
}

/* A spare to take, at best beside the reserve, else from it; false: there is none for now. */
static bool ensure_spare(struct journal *journal)
{
    struct catalog *catalog = &journal->catalog;
    if (catalog->spare_count > 0 &&
        writer_spare_bytes(journal) - catalog->spares[catalog->spare_count - 1].bytes >=
            journal->reserve_bytes) {
        return true;
    }
    if (atomic_load_explicit(&journal->full, memory_order_relaxed) != 0) {
        return catalog->spare_count > 0; /* making one is tried again once per tick */
    }
    int error = catalog_make_spare(catalog, journal->segment_bytes);
    if (error == 0) {
        return true;
    }
    if (!is_no_space(error)) {
        journal_fail(journal, "make a spare segment in", "", error);
        return false;
    }
    writer_set_full(journal, true);
    return catalog->spare_count > 0;
}

/* Everything so far is synced. False: nothing can be written for now. */
static bool next_segment(struct journal *journal)
{
    struct writer *writer = &journal->writer;
    struct catalog *catalog = &journal->catalog;
    if (!ensure_spare(journal)) {
        return false;
    }
    const bool used = catalog->spares[catalog->spare_count - 1].used;
    struct files_file *head = NULL;
    catalog->segments[catalog->segment_count - 1].last_lsn = writer->piece_done > 0
                                                                 ? writer->next
                                                                 : writer->last;
    int error = catalog_next_segment(
        catalog, writer->next, writer->epoch,
        atomic_load_explicit(&journal->synced, memory_order_relaxed), &head);
    if (error != 0) {
        journal_fail(journal, "begin a segment in", "", error);
        return false;
    }
    const struct catalog_segment *segment = &catalog->segments[catalog->segment_count - 1];
    journal->files->close(writer->head);
    writer->head = head;
    writer->head_number = segment->number;
    writer->head_bytes = segment->bytes;
    writer->offset = FORMAT_SEGMENT_START;
    writer->zeroed = used ? segment->bytes : FORMAT_SEGMENT_START;
    writer_count(journal);
    journal_tell_loop(journal);
    return true;
}

/* ---- one step -------------------------------------------------------------------------------
 */

static bool write_some(struct journal *journal)
{
    struct gather gather;
    if (chain_peek(&journal->queue) == NULL) {
        return false;
    }
    gather_init(&gather, journal);
    if (gather.space > FORMAT_BATCH_HEADER) {
        fill(&gather);
    }
    if (gather.batch.count == 0) {
        return next_segment(journal);
    }
    write_batch(journal, &gather);
    return true;
}

bool writer_step(struct journal *journal)
{
    if (journal_has_failed(journal)) {
        return false;
    }
    if (journal->writer.unsynced) {
        sync_batch(journal);
        return !journal_has_failed(journal);
    }
    if (atomic_exchange_explicit(&journal->retry, 0, memory_order_acquire) != 0 &&
        atomic_load_explicit(&journal->full, memory_order_relaxed) != 0) {
        restore_reserve(journal);
    }
    const bool compacted = compaction_step(journal);
    const bool wrote = write_some(journal);
    return (compacted || wrote) && !journal_has_failed(journal);
}

void writer_finish(struct journal *journal)
{
    while (writer_step(journal)) {
    }
    if (journal_has_failed(journal)) {
        return;
    }
    struct format_slot slot = journal->catalog.slot;
    slot.durable = atomic_load_explicit(&journal->synced, memory_order_relaxed);
    int error = catalog_write_slot(&journal->catalog, &slot);
    if (error != 0) {
        journal_fail(journal, "write", "journal.store", error);
    }
}
