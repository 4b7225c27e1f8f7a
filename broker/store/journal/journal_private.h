/*
 * journal_private.h: the journal's inside, shared by its files.
 *
 *   open.c        open, replay, start
 *   journal.c     the loop's side: append, publish, what it may ask; the thread
 *   writer.c      the thread's side: batches, segments, the reserve
 *   compaction.c  both sides of compaction
 *   chain.c       between the two       catalog*.c  the directory
 *   scan*.c       reading               format.c    bytes
 *
 * Fields belong to the loop or to the thread (in pumped mode both are the loop); what both
 * touch is atomic. The thread starts at the end of journal_start and ends in journal_stop or
 * journal_destroy.
 */
#ifndef STORE_JOURNAL_JOURNAL_PRIVATE_H
#define STORE_JOURNAL_JOURNAL_PRIVATE_H

#include "catalog.h"
#include "chain.h"
#include "journal.h"
#include "scan.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    JOURNAL_MENTIONS_MAX = 4096,      /* handed over at a time */
    JOURNAL_ZERO_AHEAD = 1024 * 1024, /* of a fresh segment, written before it is used */
    JOURNAL_PIECE_MIN = 4096,         /* body bytes for which a record is split */
};

/* What the thread is to do and to say. */
struct writer {
    struct files_file *head; /* owned; the newest segment */
    uint64_t head_number;
    uint64_t head_bytes;
    uint64_t offset; /* where the next batch goes */
    uint64_t zeroed; /* up to here the head has been written before */
    uint64_t epoch;
    uint64_t next;     /* LSN of the record due; begun if piece_done > 0 */
    size_t piece_done; /* bytes of the queue's first item that are written */
    bool unsynced;     /* a batch is written, not synced */
    uint64_t last;     /* last whole record written */
    uint8_t *batch;    /* owned; FORMAT_BATCH_MAX */
    bool reading;      /* the reader below is open, on the oldest segment */
    struct scan_reader reader;
    struct scan_track track;
};

enum box_state {
    BOX_IDLE,   /* the loop's; nothing asked */
    BOX_WANTED, /* the thread's */
    BOX_FULL,   /* the loop's */
};

/* Mentions on their way from the thread to the loop; belongs to the one that state names. */
struct mention_box {
    _Atomic int state; /* enum box_state */
    struct journal_mention mentions[JOURNAL_MENTIONS_MAX];
    size_t count;
    uint64_t position; /* offset in the segment behind them */
    bool end;
};

struct compaction {
    /* the thread says */
    _Atomic uint64_t oldest_last; /* last LSN of the oldest closed segment; 0: none is closed */
    _Atomic uint64_t oldest_bytes; /* its size */
    _Atomic uint64_t closed_bytes; /* of all closed segments */
    _Atomic uint64_t head_left;    /* bytes until the head is full */
    /* the loop says */
    _Atomic uint64_t reclaim;    /* last LSN of the segment that may go; 0: none */
    uint64_t reclaim_after;      /* once this LSN is synced; written before reclaim */
    _Atomic uint64_t live_bytes; /* as told */
    /* the loop's */
    bool begun;          /* mentions of the oldest were asked for */
    bool box_end;        /* all were handed out */
    size_t box_taken;    /* of the box */
    uint64_t said;       /* how many segments may go, since the start */
    uint64_t position;   /* in the oldest, of what was handed out */
    uint64_t allowed;    /* position up to which the pace lets it go */
    uint64_t fresh;      /* bytes appended since the last look that are no copies */
    uint64_t copied;     /* and that are */
    uint64_t bytes_seen; /* of the log written, at the last look */
    int64_t credit;      /* bytes of old segments that may be read */
    struct mention_box box;
};

struct journal_counters {
    _Atomic uint64_t segments, disk_bytes, batches, syncs, records, bytes, reclaimed,
        sync_last_us, sync_max_us;
};

struct journal {
    const struct files *files;
    uint64_t segment_bytes;
    uint64_t reserve_bytes;
    size_t queue_bytes;
    bool pumped;
    struct catalog catalog; /* the thread's, once it runs */
    struct scan_result scan;
    bool replayed;

    /* loop */
    uint64_t appended; /* last LSN */
    bool threaded;     /* the thread was made and not joined */
    pthread_t thread;
    int event_fd; /* to the loop */
    int wake_fd;  /* to the thread */

    struct chain queue;
    struct writer writer;
    struct compaction compaction;
    struct journal_counters counters;

    _Atomic uint64_t written;
    _Atomic uint64_t synced;
    _Atomic uint64_t work; /* grows when there is news for the thread */
    _Atomic int asleep;    /* the thread waits for wake_fd */
    _Atomic int quit;      /* enum journal_quit */
    _Atomic int health;    /* drover_status; set once */
    _Atomic int failing;   /* the one who sets problem and health */
    _Atomic int full;
    _Atomic int retry;          /* try again to make the reserve whole */
    struct drv_problem problem; /* written before health */
};

enum journal_quit { QUIT_NO, QUIT_FINISH, QUIT_NOW };

/* Both sides: the journal has ended for good. error: errno, what and name as for catalog_io. */
void journal_fail(struct journal *journal, const char *what, const char *name, int error);
void journal_fail_text(struct journal *journal, drover_status status, const char *text);
bool journal_has_failed(const struct journal *journal);

/* To the loop: something changed. To the thread: there is work. */
void journal_tell_loop(struct journal *journal);
void journal_wake(struct journal *journal);

/* Makes the thread. 0 or errno. */
int journal_run_thread(struct journal *journal);

/* writer.c: one step; true when there is more to do at once. */
bool writer_step(struct journal *journal);
/* Spares for reserve and, if there is none, the first segment. 0 or errno, with what failed. */
int writer_make_reserve(struct journal *journal);
void writer_set_full(struct journal *journal, bool full);
uint64_t writer_spare_bytes(const struct journal *journal);
void writer_count(struct journal *journal); /* publishes what catalog and head are like */
/* The end that a clean stop leaves. */
void writer_finish(struct journal *journal);

/* compaction.c, the thread's side: true when it did something. */
bool compaction_step(struct journal *journal);
void compaction_fini(struct journal *journal);

#endif
