/* open.c: how a journal is opened, replayed and started; see journal.h. */
#include "journal_private.h"

#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

/* ---- open -----------------------------------------------------------------------------------
 */

static drover_status check_config(const struct journal_config *config,
                                  struct drv_problem *problem)
{
    const uint64_t segment = config->segment_bytes;
    if (segment != 0 && (segment < JOURNAL_SEGMENT_MIN || segment > JOURNAL_SEGMENT_MAX ||
                         segment % FORMAT_BLOCK != 0)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "the segment size is not a multiple of %d between %d and %d",
                               FORMAT_BLOCK, JOURNAL_SEGMENT_MIN, JOURNAL_SEGMENT_MAX);
    }
    return DROVER_OK;
}

static drover_status make(const struct journal_config *config, struct journal **out_journal)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return DROVER_NOMEM;
    }
    journal->files = config->files != NULL ? config->files : &files_real;
    journal->segment_bytes = config->segment_bytes != 0 ? config->segment_bytes
                                                        : JOURNAL_SEGMENT_BYTES;
    journal->reserve_bytes = config->reserve_bytes != 0 ? config->reserve_bytes
                                                        : JOURNAL_RESERVE_BYTES;
    journal->queue_bytes = config->queue_bytes != 0 ? config->queue_bytes : JOURNAL_QUEUE_BYTES;
    journal->pumped = config->pumped;
    journal->event_fd = -1;
    journal->wake_fd = -1;
    journal->writer.batch = malloc(FORMAT_BATCH_MAX);
    *out_journal = journal;
    return journal->writer.batch == NULL ? DROVER_NOMEM : chain_init(&journal->queue);
}

static drover_status choose_store_id(const struct journal_config *config, drover_id *out_id,
                                     struct drv_problem *problem)
{
    *out_id = config->store_id;
    if (drover_id_is_zero(out_id) &&
        getrandom(out_id->bytes, sizeof(out_id->bytes), 0) != (ssize_t)sizeof(out_id->bytes)) {
        return drv_problem_set(problem, DROVER_IO, "no random bytes: %s", strerror(errno));
    }
    return DROVER_OK;
}

drover_status journal_open(const struct journal_config *config, struct journal **out_journal,
                           struct drv_problem *problem)
{
    struct journal *journal = NULL;
    drover_id store_id = {{0}};
    drover_status status = check_config(config, problem);
    if (status == DROVER_OK) {
        status = choose_store_id(config, &store_id, problem);
    }
    if (status == DROVER_OK) {
        status = make(config, &journal);
        if (status != DROVER_OK) {
            (void)drv_problem_set(problem, status, "out of memory");
        }
    }
    if (status == DROVER_OK) {
        status = catalog_open(&journal->catalog, journal->files, config->directory, false,
                              &store_id, problem);
    }
    if (status != DROVER_OK) {
        journal_destroy(&journal);
        return status;
    }
    *out_journal = journal;
    return DROVER_OK;
}

/* ---- replay ---------------------------------------------------------------------------------
 */

drover_status journal_replay(struct journal *journal, journal_visit_fn visit, void *context,
                             struct journal_recovery *out_recovery, struct drv_problem *problem)
{
    DRV_ASSERT(!journal->replayed);
    struct scan_result *scan = &journal->scan;
    drover_status status = scan_log(&journal->catalog, visit, context, scan, problem);
    if (status != DROVER_OK) {
        return status;
    }
    if (scan->damaged) {
        return DROVER_MALFORMED;
    }
    journal->replayed = true;
    journal->appended = scan->next_lsn - 1;
    *out_recovery = (struct journal_recovery){.records = scan->records,
                                              .bytes = scan->bytes,
                                              .segments = journal->catalog.segment_count,
                                              .first_lsn = scan->first_lsn,
                                              .last_lsn = scan->next_lsn - 1,
                                              .epoch = scan->epoch,
                                              .torn = scan->torn};
    return DROVER_OK;
}

/* ---- start ----------------------------------------------------------------------------------
 */

/* Bytes of the head from the writer's batch buffer, which is free until the start. */
static int rewrite(struct journal *journal, uint64_t from, uint64_t until)
{
    struct writer *writer = &journal->writer;
    size_t len = 0;
    DRV_ASSERT(until - from <= FORMAT_BATCH_MAX);
    if (until == from) {
        return 0;
    }
    int error = journal->files->read(writer->head, from, writer->batch, (size_t)(until - from),
                                     &len);
    if (error == 0 && len != until - from) {
        error = EIO;
    }
    return error != 0 ? error
                      : catalog_write(journal->files, writer->head, from, writer->batch, len);
}

/* Zeros where a torn batch may stand. */
static int wipe(struct journal *journal, uint64_t from)
{
    struct writer *writer = &journal->writer;
    const uint64_t left = writer->head_bytes - from;
    const size_t len = left < FORMAT_BATCH_MAX ? (size_t)left : FORMAT_BATCH_MAX;
    size_t got = 0;
    int error = journal->files->read(writer->head, from, writer->batch, len, &got);
    if (error != 0) {
        return error;
    }
    bool clean = got == len;
    for (size_t i = 0; i < got && clean; i++) {
        clean = writer->batch[i] == 0;
    }
    if (clean) {
        return 0;
    }
    memset(writer->batch, 0, len);
    return catalog_write(journal->files, writer->head, from, writer->batch, len);
}

/*
 * Makes the end of the log what the replay saw, on the disk and for good. The last batch is
 * written again, since it may be that it was read from memory which a failed sync had left
 * behind and declared clean.
 */
static int settle_head(struct journal *journal, const struct scan_result *scan)
{
    struct writer *writer = &journal->writer;
    const struct catalog *catalog = &journal->catalog;
    const struct catalog_segment *segment = &catalog->segments[catalog->segment_count - 1];
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(segment->number, name);
    int error = journal->files->open(catalog->dir, name, FILES_WRITE, &writer->head);
    if (error != 0) {
        return error;
    }
    writer->head_number = segment->number;
    writer->head_bytes = segment->bytes;
    writer->offset = scan->end;
    writer->zeroed = scan->end;
    error = rewrite(journal, scan->last_batch, scan->end);
    if (error == 0) {
        error = wipe(journal, scan->end);
    }
    return error != 0 ? error : journal->files->sync(writer->head);
}

static int begin_first_segment(struct journal *journal)
{
    struct writer *writer = &journal->writer;
    struct catalog *catalog = &journal->catalog;
    int error = catalog_make_spare(catalog, journal->segment_bytes);
    if (error == 0) {
        error = catalog_next_segment(catalog, writer->next, writer->epoch, writer->next - 1,
                                     &writer->head);
    }
    if (error == 0) {
        writer->head_number = catalog->segments[0].number;
        writer->head_bytes = catalog->segments[0].bytes;
        writer->offset = FORMAT_SEGMENT_START;
        writer->zeroed = FORMAT_SEGMENT_START;
    }
    return error;
}

static int begin_epoch(struct journal *journal)
{
    struct catalog *catalog = &journal->catalog;
    struct format_slot slot = catalog->slot;
    int error = journal->files->sync_dir(catalog->dir);
    if (error == 0) {
        slot.epoch = journal->writer.epoch;
        slot.newest = catalog->segments[catalog->segment_count - 1].number;
        slot.durable = journal->writer.last;
        error = catalog_write_slot(catalog, &slot);
    }
    return error;
}

/* What needs space comes first, so that a full disk changes nothing. */
static int settle(struct journal *journal)
{
    struct catalog *catalog = &journal->catalog;
    int error = 0;
    if (catalog->slot.generation == 0) {
        error = catalog_create_store(catalog);
    }
    if (error == 0) {
        error = catalog_bury_dead(catalog);
    }
    if (error == 0) {
        error = writer_make_reserve(journal);
    }
    if (error == 0) {
        error = catalog->segment_count == 0 ? begin_first_segment(journal)
                                            : settle_head(journal, &journal->scan);
    }
    return error != 0 ? error : begin_epoch(journal);
}

drover_status journal_start(struct journal *journal, struct drv_problem *problem)
{
    struct writer *writer = &journal->writer;
    DRV_ASSERT(journal->replayed && writer->epoch == 0);
    writer->epoch = journal->scan.epoch + 1;
    writer->next = journal->appended + 1;
    writer->last = journal->appended;
    int error = settle(journal);
    if (error != 0) {
        return drv_problem_set(problem, error == ENOMEM ? DROVER_NOMEM : DROVER_IO,
                               "cannot begin to write in %s: %s", journal->catalog.path,
                               strerror(error));
    }
    atomic_store(&journal->written, journal->appended);
    atomic_store(&journal->synced, journal->appended);
    writer_count(journal);
    journal->compaction.credit = INT64_MAX / 2; /* see limit_credit */
    if (journal->pumped) {
        return DROVER_OK;
    }
    journal->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = journal->event_fd < 0 ? errno : journal_run_thread(journal);
    return error == 0 ? DROVER_OK
                      : drv_problem_set(problem, DROVER_IO, "cannot start the journal: %s",
                                        strerror(error));
}
