/*
 * inspect.h: looking at a journal directory without opening it for work: verify, dump, repair,
 * backup.
 *
 * problem is never NULL here. All but repair take no lock and may run beside a broker that
 * writes; then they judge the log as it was at some instant meanwhile. All block on the disk.
 */
#ifndef STORE_JOURNAL_INSPECT_H
#define STORE_JOURNAL_INSPECT_H

#include "files.h"
#include "journal.h"

/* What a store is like. */
struct inspect_report {
    drover_id store;
    uint64_t epoch;
    uint64_t records;
    uint64_t first_lsn; /* of the oldest record */
    uint64_t next_lsn;  /* where the log ends */
    uint64_t durable;   /* the highest LSN that is known to have been synced */
    uint64_t oldest;    /* segment numbers */
    uint64_t newest;
    uint64_t end;        /* offset in the newest, of the end */
    uint64_t bytes;      /* of the log */
    uint64_t disk_bytes; /* of all files */
    bool torn;           /* something unsynced stands behind the end */
};

struct inspect_visitor {
    journal_visit_fn visit;
    void *context;
};

/*
 * Reads and checks everything; then the visitor (or NULL) gets the records, up to the end or
 * the damage. OK; MALFORMED, VERSION: damage, with file and offset in problem, and the report
 * of what stands before it when the files could be opened at all; IO; NOMEM; or what visit
 * returned.
 */
DROVER_MUST_USE drover_status inspect_verify(const struct files *files, const char *directory,
                                             const struct inspect_visitor *visitor,
                                             struct inspect_report *out_report,
                                             struct drv_problem *problem);

/* What a repair did. */
struct inspect_repair {
    bool changed;       /* false: there was nothing to repair */
    uint64_t last_lsn;  /* the last record that is left */
    uint64_t set_aside; /* files that were renamed to NAME.damaged */
};

/*
 * Cuts the log before the first damage, with the directory taken. Deletes nothing: files that
 * are no part of the log any more are renamed to NAME.damaged; of the one with the damage the
 * good part is copied first. A store file that is lost or damaged is made anew from the
 * segments. Interrupted, it can be run again. OK; BUSY; MALFORMED: there is nothing to build on
 * (problem says why); VERSION; IO; NOMEM.
 */
DROVER_MUST_USE drover_status inspect_repair(const struct files *files, const char *directory,
                                             struct inspect_repair *out_repair,
                                             struct drv_problem *problem);

/*
 * Copies the log as it is now into another directory, which is made; it must hold no store. The
 * copy is synced, then checked; its journal.store comes last. OK; MALFORMED: the source is
 * damaged; CONFLICT: there is a store already; BUSY: segments were recycled faster than they
 * were copied; IO; NOMEM.
 */
DROVER_MUST_USE drover_status inspect_backup(const struct files *from_files, const char *from,
                                             const struct files *to_files, const char *to,
                                             struct inspect_report *out_report,
                                             struct drv_problem *problem);

#endif
