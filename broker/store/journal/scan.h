/*
 * scan.h: reads a log from its oldest segment to its end, and tells an end from damage.
 *
 * A batch counts whole or not at all. The first place where no good batch stands is
 *   - the end of a segment, when the next segment begins with just the LSN that is due;
 *   - the end of the log, when nothing says that the LSN due there was ever synced;
 *   - damage otherwise. What can say so: the store file, the durable LSN in any batch before or
 *     behind that place, a following segment (made only when all before it is synced).
 *
 * One scan at a time uses its catalog; blocks on the disk.
 */
#ifndef STORE_JOURNAL_SCAN_H
#define STORE_JOURNAL_SCAN_H

#include "buffer.h"
#include "catalog.h"
#include "journal.h"

/* Where in the order of records a reader is. */
struct scan_track {
    uint64_t next;  /* LSN of the record due */
    uint64_t epoch; /* of the last batch */
    bool open;      /* the record due has begun: pieces of it were read */
    bool orphan;    /* its beginning is in a segment that is gone */
    bool fresh;     /* nothing was read yet: an orphan may come */
    uint32_t rest;  /* open: bytes still to come */
    uint64_t open_epoch;
};

/* A record or piece where it stands; gets every one of a good batch. */
struct scan_piece {
    struct format_record record;
    const uint8_t *body;
    uint64_t segment;
    uint64_t offset; /* of its header, in the segment */
};

/* Reads the batches of one segment file. */
struct scan_reader {
    const struct files *files;
    struct files_file *file; /* owned */
    uint64_t seed;
    uint64_t segment;
    uint64_t bytes;         /* of the file */
    uint64_t offset;        /* of the next batch */
    uint64_t window_offset; /* what of the file is in the window */
    size_t window_len;
    size_t window_max;
    uint8_t *window;            /* owned; window_max bytes */
    struct format_batch batch;  /* the one read last */
    const uint8_t *batch_bytes; /* in the window */
    size_t cursor;              /* in it, of the next record */
};

enum scan_step {
    SCAN_BATCH, /* a good one: reader->batch, and records to walk with scan_reader_piece */
    SCAN_HOLE,  /* no good batch at reader->offset */
    SCAN_ERROR, /* errno in out_error */
};

int scan_reader_open(struct scan_reader *reader, const struct catalog *catalog,
                     const struct catalog_segment *segment);
void scan_reader_close(struct scan_reader *reader);

/*
 * Reads and checks the batch at reader->offset against the track, all of it, and moves both
 * behind it; the pieces can then be had one by one. For a hole out_bad is the offset of what is
 * wrong: the batch or the record in it.
 */
enum scan_step scan_reader_next(struct scan_reader *reader, struct scan_track *track,
                                uint64_t *out_bad, int *out_error);
bool scan_reader_piece(struct scan_reader *reader, struct scan_piece *out_piece);

/* Whether the header of a batch of this segment stands at an offset, whatever its records are.
 */
enum scan_step scan_reader_look(struct scan_reader *reader, uint64_t offset,
                                struct format_batch *out_batch, int *out_error);

/* Takes one piece into account; false when it cannot stand there. */
bool scan_track_piece(struct scan_track *track, const struct format_record *record,
                      uint64_t epoch);

/* What a whole scan found. */
struct scan_result {
    uint64_t records;
    uint64_t bytes;
    uint64_t first_lsn;
    uint64_t next_lsn;     /* due at the end */
    uint64_t epoch;        /* highest of all batches and headers */
    uint64_t durable;      /* highest LSN known to be synced */
    uint64_t last_segment; /* the one in which it ended */
    uint64_t end;          /* offset in it: where the next batch goes */
    uint64_t last_batch;   /* offset of the last good batch in it; end: none */
    bool torn;             /* something that was not synced stands at the end */
    bool damaged;          /* the end is damage: */
    uint64_t bad;          /* offset of the damage in last_segment */
};

/* Gets every whole record; anything but OK ends the scan with that status. */
typedef drover_status (*scan_visit_fn)(void *context, const struct journal_record *record);

/*
 * Scans the whole log; sets last_lsn of the catalog's segments. OK, also for a damaged log: see
 * out_result->damaged, with the line in problem; IO, NOMEM; or what visit returned.
 */
DROVER_MUST_USE drover_status scan_log(struct catalog *catalog, scan_visit_fn visit,
                                       void *context, struct scan_result *out_result,
                                       struct drv_problem *problem);

#endif
