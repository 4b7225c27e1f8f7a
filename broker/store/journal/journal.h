/*
 * journal.h: an append-only, checksummed log of records in segment files, with group commit.
 *
 * It knows nothing of tasks: a record is a kind, an id, an index and a body. It promises that
 * after a crash a replay gives a prefix of what was appended, in order, which holds at least
 * everything that was reported synced, and nothing else; or that it refuses and says where the
 * damage is. It never deletes what it cannot read. ../README.md is the format and the manual.
 *
 *      loop                               journal thread
 *      ────                               ──────────────
 *      journal_append ──> queue ┐
 *      journal_publish ─────────┴──wake──> gather a batch ─ write ─ fdatasync ─┐
 *      journal_written, _synced  <──eventfd──────────────────┴──────────┴──────┘  (the next
 * batch gathers while this one syncs) Life: journal_open ─> journal_replay ─> journal_start ─>
 * append, publish ... ─> journal_stop journal_destroy
 *
 * Everything is called by one thread, the loop, but where it says otherwise. Only journal_open,
 * journal_replay, journal_start and journal_stop block on the disk (journal_pump as well, in
 * pumped mode).
 *
 * Compaction. The log is reclaimed in order, oldest segment first. When journal_compaction_due
 * says so, the loop reads with journal_compaction_read what the oldest segment holds and
 * appends the *whole state* of every object named there that is alive and was last written
 * whole at or before that segment; then it says journal_compaction_done. The journal reclaims
 * the segment when those copies are synced. From this follow the rules of a replay, which the
 * owner of the records must keep:
 *   - a record with a whole state replaces what there was of that object, or makes it;
 *   - a record with a change to an object that is not there (its whole state was in a segment
 *     that is gone) is skipped: either a later whole state or a forget record follows;
 *   - a record that forgets an object that is not there is skipped. It needs no care: in a log
 *     reclaimed in order it never outlives what it forgets.
 */
#ifndef STORE_JOURNAL_JOURNAL_H
#define STORE_JOURNAL_JOURNAL_H

#include "data.h"
#include "files.h"
#include "problem.h"
#include "view.h"

#include <drover/status.h>
#include <drover/task.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_FORMAT_VERSION 1

enum {
    JOURNAL_SEGMENT_BYTES = 64 * 1024 * 1024, /* of a segment file, when the config says 0 */
    JOURNAL_SEGMENT_MIN = 32 * 1024,
    JOURNAL_SEGMENT_MAX = 1024 * 1024 * 1024,
    JOURNAL_RESERVE_BYTES = 64 * 1024 * 1024, /* the reserve, when the config says 0 */
    JOURNAL_QUEUE_BYTES = 16 * 1024 * 1024,   /* queue_bytes, when the config says 0 */
    JOURNAL_BODY_MAX = 1024 * 1024 * 1024,    /* of one record */
    JOURNAL_REFERENCE_MIN = 16 *
                            1024, /* bytes from which struct drv_data is kept, not copied */
    JOURNAL_PARTS_MAX = 8,        /* of one body */
    JOURNAL_RECORD_OVERHEAD = 48, /* bytes of a record beside its body */
};

struct journal;

struct journal_config {
    const char *directory;     /* made if missing (0700); borrowed for journal_open */
    const struct files *files; /* borrowed for life; NULL: files_real */
    uint64_t segment_bytes;    /* multiple of 4096 within the limits; 0: the default. Of new
                                  segments: existing ones keep their size */
    uint64_t reserve_bytes; /* disk space held back for the time when the disk is full; rounded
                               up to whole segments; 0: the default */
    size_t queue_bytes;     /* journal_room counts down from here; 0: the default */
    drover_id store_id;     /* identity of a store that is new; all zero: random. A secret of
                               the directory: it never goes over the wire */
    bool pumped;            /* no thread: journal_pump does the work (tests, simulation) */
};

/*
 * Takes the directory and looks at what is there; an empty or missing directory becomes a
 * store. Blocks. A failure changes nothing that was there; the problem names the file, and the
 * offset where there is one. OK; BUSY: another process has the directory; IO: the disk, rights,
 * no space; MALFORMED: damaged, missing, doubled, foreign or empty files; VERSION: another
 * format; INVALID: the configuration; NOMEM.
 */
DROVER_MUST_USE drover_status journal_open(const struct journal_config *config,
                                           struct journal **out_journal,
                                           struct drv_problem *problem);

/* A record as it is read. */
struct journal_record {
    uint64_t lsn;     /* from 1, growing by 1 */
    uint64_t segment; /* number of the segment in which it begins */
    uint64_t offset;  /* in that segment, where it begins */
    drover_id id;
    uint32_t index;
    uint16_t kind;
    const uint8_t *body; /* valid for the call; NULL only when len is 0 */
    size_t len;
};

/* Gets every record in order; anything but OK ends the replay with that status. */
typedef drover_status (*journal_visit_fn)(void *context, const struct journal_record *record);

/* What a replay found. */
struct journal_recovery {
    uint64_t records;
    uint64_t bytes; /* of the log, segment headers and padding included */
    uint64_t segments;
    uint64_t first_lsn; /* of the oldest record; last_lsn + 1 when there is none */
    uint64_t last_lsn;  /* 0: there never was a record */
    uint64_t epoch;     /* the highest there was; 0: new */
    bool torn;          /* something unsynced stood behind the end and was cut off */
};

/*
 * Reads and checks the whole log, once, before journal_start; visit may be NULL. Blocks.
 * Changes nothing on the disk. OK; MALFORMED: damage at or below what is known to have been
 * synced, with file and offset; IO; NOMEM; or what visit returned. After a failure only
 * journal_destroy is allowed.
 */
DROVER_MUST_USE drover_status journal_replay(struct journal *journal, journal_visit_fn visit,
                                             void *context,
                                             struct journal_recovery *out_recovery,
                                             struct drv_problem *problem);

/*
 * Begins an epoch: cuts off the torn end, makes cut, epoch and reserve durable, starts the
 * thread (unless pumped). Blocks. OK; IO: disk full, read-only or broken: the log is as it was,
 * and so it stays; NOMEM. After a failure only journal_destroy is allowed.
 */
DROVER_MUST_USE drover_status journal_start(struct journal *journal,
                                            struct drv_problem *problem);

/* The identity of the store: a secret of the directory. */
drover_id journal_store_id(const struct journal *journal);

/* This start's epoch: from 1, higher than every one before it. After journal_start. */
uint64_t journal_epoch(const struct journal *journal);

/* A record to append: parts first, then the data. Everything is borrowed for the call. */
struct journal_entry {
    uint16_t kind; /* not 0 */
    uint32_t index;
    drover_id id;
    const struct drv_view *parts; /* at most JOURNAL_PARTS_MAX; copied */
    size_t part_count;
    bool copy;             /* written for compaction: does not speed it up */
    struct drv_data *data; /* or NULL; from JOURNAL_REFERENCE_MIN on kept by reference until
                              written, else copied */
};

/*
 * Queues a record; returns its LSN. Never blocks and never fails by itself: what goes wrong
 * shows in journal_health, and its LSN is never reported written then. The thread may begin
 * with it at the next journal_publish. The body is at most JOURNAL_BODY_MAX bytes, parts
 * together at most 2^31: more is a bug of the caller.
 */
uint64_t journal_append(struct journal *journal, const struct journal_entry *entry);

/* The LSN of the last record appended (or recovered). */
uint64_t journal_last(const struct journal *journal);

/* Hands over what was appended and wakes the thread: once per turn of the loop. */
void journal_publish(struct journal *journal);

/*
 * How many more bytes the queue should take; 0: it is full, and the loop stops reading its
 * sockets until there is room (the eventfd tells). Appending still works: one turn's own
 * consequences are never refused.
 */
size_t journal_room(const struct journal *journal);

/* All records up to this LSN were handed to the operating system, or are on the disk. Any
 * thread. */
uint64_t journal_written(const struct journal *journal);
uint64_t journal_synced(const struct journal *journal);

/*
 * An eventfd that becomes readable when written, synced, room, health, fullness or compaction
 * changed; journal_seen resets it, before the values are read. -1 when pumped. Owned by the
 * journal.
 */
int journal_fd(const struct journal *journal);
void journal_seen(struct journal *journal);

/*
 * OK, or what ended the journal for good (IO, NOMEM): nothing is written or reported any more,
 * and what was not reported synced may or may not be found after a restart. The problem then
 * holds a line. problem may be NULL. Never OK again.
 */
drover_status journal_health(const struct journal *journal, struct drv_problem *problem);

/*
 * The disk is full: what is written now goes into the reserve. The broker refuses what brings
 * new data (submits) and lets pass what ends work (results, cancels). When even the reserve is
 * used up the journal waits, without an error, until there is space (the queue fills,
 * journal_room goes to 0). It becomes false by itself when the reserve is whole again.
 */
bool journal_is_full(const struct journal *journal);

/* Tries again what a full disk prevented, gives back space that is needed no more: to be called
 * about once a second. Cheap. */
void journal_tick(struct journal *journal);

/*
 * Pumped mode: one step of what the thread does, with at most one batch written or one sync.
 * True while there is more to do at once.
 */
bool journal_pump(struct journal *journal);

/* ---- compaction -----------------------------------------------------------------------------
 */

/* Bytes that a record with such a body takes in the log, padding of its batch aside. */
static inline uint64_t journal_record_bytes(size_t body_len)
{
    return JOURNAL_RECORD_OVERHEAD + (((uint64_t)body_len + 7U) & ~(uint64_t)7U);
}

/*
 * Tells how many bytes (journal_record_bytes) a whole copy of everything alive takes now; at
 * start and whenever it changed, once per turn. The log is compacted so that the disk stays
 * under twice that, plus two segments and the reserve.
 */
void journal_set_live(struct journal *journal, uint64_t bytes);

/*
 * Whether the oldest segment is to be reclaimed. out_lsn: its last record; what is alive and
 * was last written whole at or before it must be appended whole again. False too when the last
 * copies are not synced yet, or when the pace (so many bytes of compaction per byte appended)
 * allows no more for now.
 */
bool journal_compaction_due(struct journal *journal, uint64_t *out_lsn);

/* What the log says about one record of the oldest segment. */
struct journal_mention {
    uint64_t lsn;
    drover_id id;
    uint32_t index;
    uint16_t kind;
};

/*
 * The next mentions of the oldest segment, at most max. The thread reads the segment; 0 with
 * *out_end false means that more comes later (the eventfd tells), 0 with *out_end true that all
 * were handed out. An object may be mentioned many times. Only while compaction is due. A read
 * error ends the journal (journal_health).
 */
size_t journal_compaction_read(struct journal *journal, struct journal_mention *mentions,
                               size_t max, bool *out_end);

/*
 * Everything alive up to out_lsn of journal_compaction_due has been appended whole again. The
 * segment is reclaimed when what was appended so far is synced. Those who keep their objects in
 * the order of their last whole record need no journal_compaction_read.
 */
void journal_compaction_done(struct journal *journal);

/* ---- the end --------------------------------------------------------------------------------
 */

/*
 * Writes and syncs what was appended, marks the end, ends the thread. Blocks. OK, or the
 * health. Only journal_destroy and the reading functions are allowed afterwards.
 */
DROVER_MUST_USE drover_status journal_stop(struct journal *journal);

/*
 * Frees everything and gives the directory back; without a journal_stop before, what was not
 * written is lost, as in a crash.
 */
void journal_destroy(struct journal **journal);

/* What the journal says about itself, for status and metrics. */
struct journal_stats {
    uint64_t segments;   /* in the log */
    uint64_t disk_bytes; /* all files: log, spare segments, reserve */
    uint64_t live_bytes; /* as told */
    uint64_t batches;    /* this and the rest since journal_start */
    uint64_t syncs;
    uint64_t records;
    uint64_t bytes;        /* written to segments */
    uint64_t reclaimed;    /* segments */
    uint64_t sync_last_us; /* how long the last fdatasync took; 0 when pumped */
    uint64_t sync_max_us;
};
void journal_stats_get(const struct journal *journal, struct journal_stats *out_stats);

#endif
