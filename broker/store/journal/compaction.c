/*
 * compaction.c: reclaiming the log from its oldest end.
 *
 *        loop                                     thread
 *        due? ── box WANTED ────────────────────> reads a batch of the oldest
 * segment mentions <─────────────────── box FULL ──┘ appends whole states done:
 * reclaim = last LSN, after = last appended ──> when that is synced: slot,
 * rename
 *
 * When. With L live bytes as told, S a segment, C the bytes of closed segments,
 * the disk holds C + S (the head) + the reserve, and one spare more only while
 * C <= 2L. So C <= 2L + S keeps it under twice the live data plus two segments
 * plus the reserve. hard  C > 2L + S       as fast as the loop can soft  C
 * > 1.5L         so many bytes of the oldest segment per byte newly appended
 * that it is done before the appends that are left until `hard` are used up,
 * and at least PACE_MIN: with everything equally often dead, that many suffice
 * to stay below 2L for ever (each byte read frees half of itself). else  not at
 * all
 */
#include "journal_private.h"

#include "check.h"

#include <errno.h>
#include <string.h>

enum {
    PACE_MIN = 2,
    CREDIT = 4,             /* for each byte freed or new; one read costs 1 */
    CREDIT_MOST = 4,        /* times the bytes of closed segments */
    BOX_BYTES = 256 * 1024, /* of old segment, about, whose mentions are handed
                               over at a time */
};

/* ---- the thread's side
 * ----------------------------------------------------------------------
 */

static int open_reader(struct journal *journal)
{
    struct writer *writer = &journal->writer;
    const struct catalog_segment *oldest = &journal->catalog.segments[0];
    int error = scan_reader_open(&writer->reader, &journal->catalog, oldest);
    if (error == 0) {
        writer->reading = true;
        writer->track = (struct scan_track){
            .next = oldest->first_lsn, .epoch = oldest->epoch, .fresh = true};
    }
    return error;
}

static void close_reader(struct journal *journal)
{
    if (journal->writer.reading) {
        scan_reader_close(&journal->writer.reader);
        journal->writer.reading = false;
    }
}

void compaction_fini(struct journal *journal)
{
    close_reader(journal);
}

static void fail_oldest(struct journal *journal, int error)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(journal->catalog.segments[0].number, name);
    journal_fail(journal, "read back", name, error);
}

/* The segment's end is where the next one begins; anything else went bad since
 * it was written.
 */
static void end_box(struct journal *journal)
{
    if (journal->writer.track.next != journal->catalog.segments[1].first_lsn) {
        fail_oldest(journal, EIO);
    }
    journal->compaction.box.end = true;
    close_reader(journal);
}

static void mention_pieces(struct journal *journal)
{
    struct mention_box *box = &journal->compaction.box;
    struct scan_piece piece;
    while (box->count < JOURNAL_MENTIONS_MAX &&
           scan_reader_piece(&journal->writer.reader, &piece)) {
        if (!piece.record.continued) {
            box->mentions[box->count++] = (struct journal_mention){.lsn = piece.record.lsn,
                                                                   .id = piece.record.id,
                                                                   .index = piece.record.index,
                                                                   .kind = piece.record.kind};
        }
        box->position = piece.offset + format_record_space(piece.record.len);
    }
}

/* Reads the next batch; false at the end, or when it cannot be read
 * (out_error). */
static bool read_batch(struct journal *journal, int *out_error)
{
    uint64_t bad = 0;
    struct writer *writer = &journal->writer;
    enum scan_step step = scan_reader_next(&writer->reader, &writer->track, &bad, out_error);
    if (step == SCAN_HOLE) {
        end_box(journal);
    }
    return step == SCAN_BATCH;
}

/* Mentions into the box: of some batches, so that copies of what stood in many
 * small ones come to stand in one. */
static void fill_box(struct journal *journal)
{
    struct mention_box *box = &journal->compaction.box;
    struct writer *writer = &journal->writer;
    int error = writer->reading ? 0 : open_reader(journal);
    box->count = 0;
    box->end = false;
    if (error == 0) {
        const uint64_t until = writer->reader.offset + BOX_BYTES;
        mention_pieces(journal);
        while (box->count < JOURNAL_MENTIONS_MAX && writer->reader.offset < until &&
               read_batch(journal, &error)) {
            mention_pieces(journal);
        }
    }
    if (error != 0) {
        fail_oldest(journal, error);
        return;
    }
    atomic_store_explicit(&box->state, BOX_FULL, memory_order_release);
    journal_tell_loop(journal);
}

static bool is_within_bound(const struct journal *journal)
{
    const uint64_t live = atomic_load_explicit(&journal->compaction.live_bytes,
                                               memory_order_relaxed);
    return catalog_disk_bytes(&journal->catalog) <=
           2 * live + 2 * journal->segment_bytes + journal->reserve_bytes;
}

/* Whether the file of the oldest segment is kept when it goes. */
static bool is_wanted_as_spare(const struct journal *journal)
{
    const uint64_t spares = writer_spare_bytes(journal);
    return spares < journal->reserve_bytes ||
           (spares < journal->reserve_bytes + journal->segment_bytes &&
            is_within_bound(journal));
}

/* The spare beside the reserve goes when what was alive is so no more. */
static void drop_spare(struct journal *journal)
{
    struct catalog *catalog = &journal->catalog;
    if (catalog->spare_count == 0 || is_within_bound(journal) ||
        writer_spare_bytes(journal) - catalog->spares[catalog->spare_count - 1].bytes <
            journal->reserve_bytes) {
        return;
    }
    int error = catalog_drop_spare(catalog);
    if (error != 0) {
        journal_fail(journal, "unlink a spare segment in", "", error);
    }
    writer_count(journal);
}

static void reclaim(struct journal *journal, uint64_t synced)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(journal->catalog.segments[0].number, name);
    close_reader(journal);
    int error = catalog_reclaim_oldest(&journal->catalog, synced, is_wanted_as_spare(journal));
    if (error != 0) {
        journal_fail(journal, "reclaim", name, error);
        return;
    }
    if (writer_spare_bytes(journal) >= journal->reserve_bytes) {
        writer_set_full(journal, false);
    }
    atomic_store_explicit(&journal->compaction.reclaim, 0, memory_order_relaxed);
    writer_count(journal);
    /* last: who sees it sees what is the oldest now */
    atomic_fetch_add_explicit(&journal->counters.reclaimed, 1, memory_order_release);
    journal_tell_loop(journal);
}

bool compaction_step(struct journal *journal)
{
    struct compaction *compaction = &journal->compaction;
    const uint64_t through = atomic_load_explicit(&compaction->reclaim, memory_order_acquire);
    const uint64_t synced = atomic_load_explicit(&journal->synced, memory_order_relaxed);
    if (through != 0 && synced >= compaction->reclaim_after) {
        DRV_ASSERT(journal->catalog.segments[0].last_lsn == through);
        reclaim(journal, synced);
        return true;
    }
    drop_spare(journal);
    if (atomic_load_explicit(&compaction->box.state, memory_order_acquire) == BOX_WANTED) {
        fill_box(journal);
        return true;
    }
    return false;
}

/* ---- the loop's side
 * ------------------------------------------------------------------------
 */

void journal_set_live(struct journal *journal, uint64_t bytes)
{
    atomic_store_explicit(&journal->compaction.live_bytes, bytes, memory_order_relaxed);
}

/* Bytes that may be appended before there are so many closed segments that it
 * is `hard`. */
static uint64_t appends_left(const struct journal *journal, uint64_t closed, uint64_t hard)
{
    const uint64_t segments = (hard - closed) / journal->segment_bytes;
    return atomic_load_explicit(&journal->compaction.head_left, memory_order_relaxed) +
           segments * journal->segment_bytes;
}

/*
 * Bytes by which the log grew since the last look, but for the part that copies
 * had in it. Also keeps the credit: reading costs, what is freed and what is
 * new give it back many times. So the work is in proportion to what dies and to
 * what is written, and ends when there is nothing to gain, even if the bound
 * cannot be kept (a live size told too small, say).
 */
static uint64_t fresh_bytes(struct journal *journal)
{
    struct compaction *compaction = &journal->compaction;
    const uint64_t bytes = atomic_load_explicit(&journal->counters.bytes, memory_order_relaxed);
    const uint64_t grown = bytes - compaction->bytes_seen;
    const uint64_t all = compaction->fresh + compaction->copied;
    if (grown == 0 || all == 0) {
        return 0;
    }
    const uint64_t fresh = (uint64_t)((double)grown * (double)compaction->fresh / (double)all);
    compaction->bytes_seen = bytes;
    compaction->fresh = 0;
    compaction->copied = 0;
    compaction->credit += CREDIT * (int64_t)fresh - CREDIT * (int64_t)(grown - fresh);
    return fresh;
}

/* Enough to go through a log that begins with everything that is alive. */
static void limit_credit(struct compaction *compaction, uint64_t closed)
{
    const int64_t most = CREDIT_MOST * (int64_t)closed;
    if (compaction->credit > most) {
        compaction->credit = most;
    }
}

/* Lets the pace go on; false: there is no need to compact. */
static bool set_pace(struct journal *journal)
{
    struct compaction *compaction = &journal->compaction;
    const uint64_t live = atomic_load_explicit(&compaction->live_bytes, memory_order_relaxed);
    const uint64_t closed = atomic_load_explicit(&compaction->closed_bytes,
                                                 memory_order_relaxed);
    const uint64_t oldest = atomic_load_explicit(&compaction->oldest_bytes,
                                                 memory_order_relaxed);
    const uint64_t hard = 2 * live + journal->segment_bytes;
    const uint64_t fresh = fresh_bytes(journal);
    limit_credit(compaction, closed);
    const uint64_t left = oldest -
                          (compaction->position < oldest ? compaction->position : oldest);
    const uint64_t appends = closed > hard ? 0 : appends_left(journal, closed, hard);
    if (appends <= left) { /* that many may the copies alone be */
        compaction->allowed = oldest + 1;
        return true;
    }
    if (closed + journal->segment_bytes <= live + live / 2 && !compaction->begun) {
        return false;
    }
    const uint64_t pace = left / (appends - left) + 1;
    compaction->allowed += fresh * (pace < PACE_MIN ? PACE_MIN : pace);
    return true;
}

/* The last segment that may go has not gone yet. */
static bool is_waiting(const struct journal *journal)
{
    return atomic_load_explicit(&journal->counters.reclaimed, memory_order_acquire) <
           journal->compaction.said;
}

bool journal_compaction_due(struct journal *journal, uint64_t *out_lsn)
{
    struct compaction *compaction = &journal->compaction;
    const bool waits = is_waiting(journal);
    const uint64_t oldest = atomic_load_explicit(&compaction->oldest_last,
                                                 memory_order_acquire);
    if (waits || oldest == 0 || journal_has_failed(journal)) {
        (void)fresh_bytes(journal);
        return false;
    }
    if (!set_pace(journal) || compaction->position >= compaction->allowed ||
        (compaction->credit <= 0 && !compaction->begun)) {
        return false;
    }
    *out_lsn = oldest;
    return true;
}

/* So much of the oldest segment has been seen to. */
static void move_to(struct compaction *compaction, uint64_t position)
{
    if (position > compaction->position) {
        compaction->credit += (CREDIT - 1) * (int64_t)(position - compaction->position);
        compaction->position = position;
    }
}

size_t journal_compaction_read(struct journal *journal, struct journal_mention *mentions,
                               size_t max, bool *out_end)
{
    struct compaction *compaction = &journal->compaction;
    struct mention_box *box = &compaction->box;
    size_t count = 0;
    compaction->begun = true;
    if (!compaction->box_end &&
        atomic_load_explicit(&box->state, memory_order_acquire) == BOX_FULL) {
        count = box->count - compaction->box_taken;
        count = count < max ? count : max;
        memcpy(mentions, box->mentions + compaction->box_taken, count * sizeof(*mentions));
        compaction->box_taken += count;
        if (compaction->box_taken == box->count) {
            move_to(compaction, box->position);
            compaction->box_end = box->end;
            compaction->box_taken = 0;
            atomic_store_explicit(&box->state, BOX_IDLE, memory_order_relaxed);
        }
    }
    if (!compaction->box_end &&
        atomic_load_explicit(&box->state, memory_order_relaxed) == BOX_IDLE) {
        atomic_store_explicit(&box->state, BOX_WANTED, memory_order_release);
        journal_wake(journal);
    }
    *out_end = compaction->box_end;
    return count;
}

void journal_compaction_done(struct journal *journal)
{
    struct compaction *compaction = &journal->compaction;
    DRV_ASSERT(!is_waiting(journal) && (!compaction->begun || compaction->box_end));
    const uint64_t oldest = atomic_load_explicit(&compaction->oldest_last,
                                                 memory_order_acquire);
    DRV_ASSERT(oldest != 0);
    if (!compaction->begun) { /* all of it, by an owner who need not read it */
        move_to(compaction,
                atomic_load_explicit(&compaction->oldest_bytes, memory_order_relaxed));
    }
    compaction->said++;
    compaction->begun = false;
    compaction->box_end = false;
    compaction->box_taken = 0;
    compaction->position = 0;
    compaction->allowed = 0;
    compaction->reclaim_after = journal->appended;
    atomic_store_explicit(&compaction->reclaim, oldest, memory_order_release);
    journal_wake(journal);
}
