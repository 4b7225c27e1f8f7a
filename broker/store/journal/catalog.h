/*
 * catalog.h: the files of a journal directory: which segments form the log, which are spare.
 *
 *      journal.store                 two slots: identity, epoch, oldest and newest segment
 *      journal-000000000042.seg      a segment of the log
 *      journal-spare-000000000007    preallocated space: the next segment, the reserve
 *      *.tmp                         being made; without meaning after a crash
 *
 * Opening judges names and headers and changes nothing. What changes the directory is called by
 * the writer later, in an order that leaves a legal directory after a crash at any point:
 *
 *   next segment   header into a spare file, sync; rename it, sync directory; slot, sync; use
 * it reclaim        slot without it, sync; rename it to a spare name
 *
 * One thread at a time.
 */
#ifndef STORE_JOURNAL_CATALOG_H
#define STORE_JOURNAL_CATALOG_H

#include "files.h"
#include "format.h"
#include "problem.h"

enum {
    CATALOG_NAME_MAX = 48,
    CATALOG_PATH_MAX = 256, /* of the directory, as shown in messages; cut beyond */
};

struct catalog_segment {
    uint64_t number;
    uint64_t first_lsn;
    uint64_t last_lsn; /* the last record that begins in it; known once it was scanned */
    uint64_t epoch;    /* in its header */
    uint64_t bytes;    /* of the file */
};

struct catalog_spare {
    uint64_t number; /* in its name, or the segment's that it was */
    uint64_t bytes;
    bool dead; /* still has the name of a segment below the oldest */
    bool used; /* all its blocks were written before, so a sync need not make them */
};

struct catalog {
    const struct files *files; /* borrowed */
    struct files_dir *dir;     /* owned */
    struct files_file *store;  /* owned; NULL: read only, or new */
    char path[CATALOG_PATH_MAX];
    struct format_slot slot; /* as it is on the disk; generation 0: a new store */
    uint64_t seed;
    struct catalog_segment *segments; /* owned; the log, oldest first */
    size_t segment_count;
    size_t segment_capacity;
    struct catalog_spare *spares; /* owned */
    size_t spare_count;
    size_t spare_capacity;
    uint64_t spare_next; /* number of the next spare name */
};

/* Names in a directory. */
struct catalog_listing {
    struct catalog *catalog;
    uint64_t *numbers; /* of segment files, ascending; owned: to be freed */
    size_t count;
    size_t capacity;
    bool has_store;
    char odd[CATALOG_NAME_MAX]; /* a name that looks like a segment's but is none; "" */
};

/*
 * Opens and judges the directory. read_only: makes and locks nothing; otherwise a missing
 * directory is made and the directory is taken. store_id names a store that is new. An empty
 * catalog on failure. The statuses are those of journal_open.
 */
DROVER_MUST_USE drover_status catalog_open(struct catalog *catalog, const struct files *files,
                                           const char *directory, bool read_only,
                                           const drover_id *store_id,
                                           struct drv_problem *problem);
void catalog_fini(struct catalog *catalog);

/* "journal-000000000042.seg", "journal-spare-000000000007" */
void catalog_segment_name(uint64_t number, char *out_name);
void catalog_spare_name(const struct catalog_spare *spare, char *out_name);

/* Status and line for an errno number of an operation on a file. */
drover_status catalog_io(const struct catalog *catalog, struct drv_problem *problem,
                         const char *what, const char *name, int error);

/*
 * The steps of catalog_open, for those who must go on where it refuses (repair): open and,
 * unless read_only, lock; names, with spares into the catalog; the store file into
 * catalog->slot; a segment's header, which must follow the one before. Statuses of
 * journal_open.
 */
DROVER_MUST_USE drover_status catalog_take_dir(struct catalog *catalog,
                                               const struct files *files, const char *directory,
                                               bool read_only, struct drv_problem *problem);
DROVER_MUST_USE drover_status catalog_list(struct catalog *catalog,
                                           struct catalog_listing *listing,
                                           struct drv_problem *problem);
DROVER_MUST_USE drover_status catalog_read_store(struct catalog *catalog, bool read_only,
                                                 struct drv_problem *problem);
DROVER_MUST_USE drover_status catalog_take_segment(struct catalog *catalog, uint64_t number,
                                                   struct drv_problem *problem);
/* Whether a segment has a good header, of whatever store. */
bool catalog_peek_header(const struct catalog *catalog, uint64_t number,
                         struct format_segment *out_header);

/* Adds one to the lists in memory. 0 or ENOMEM. */
int catalog_add_segment(struct catalog *catalog, const struct catalog_segment *segment);
int catalog_add_spare(struct catalog *catalog, const struct catalog_spare *spare);

/* Opens a new file; one of that name, left behind by a crash, is unlinked first. 0 or errno. */
int catalog_create_new(struct catalog *catalog, const char *name, struct files_file **out_file);

/* Makes the store file of a new store, with no segment yet. 0 or errno. */
int catalog_create_store(struct catalog *catalog);

/* Writes the slot with the next generation and syncs it. 0 or errno; then the old slot counts.
 */
int catalog_write_slot(struct catalog *catalog, const struct format_slot *slot);

/* Makes one more spare file of that size, all zeros. 0 or errno. */
int catalog_make_spare(struct catalog *catalog, uint64_t bytes);

/* Turns dead segments into spares by name, and unlinks spares too small to be one (an
 * interrupted start of another size). 0 or errno. */
int catalog_bury_dead(struct catalog *catalog);

/*
 * Makes a spare, whatever its size, the segment after the newest; out_file is open for writing
 * and the caller's. There must be one. 0 or errno.
 */
int catalog_next_segment(struct catalog *catalog, uint64_t first_lsn, uint64_t epoch,
                         uint64_t durable, struct files_file **out_file);

/* Takes the oldest segment out of the log; keep: as a spare, else it is unlinked. 0 or errno.
 */
int catalog_reclaim_oldest(struct catalog *catalog, uint64_t durable, bool keep);

/* Unlinks the last spare. 0 or errno. */
int catalog_drop_spare(struct catalog *catalog);

/* Of all files, the log's and the spares'. */
uint64_t catalog_disk_bytes(const struct catalog *catalog);

/* Writes all of it. 0 or errno. */
int catalog_write(const struct files *files, struct files_file *file, uint64_t offset,
                  const void *bytes, size_t len);

#endif
