/*
 * backup.c: a copy of a log that is being written; see inspect.h.
 *
 * A scan finds the end; everything before it is never written again, unless its segment is
 * recycled. So the segments are copied up to that end, and each copy's header is compared with
 * the original's afterwards: while they agree the segment was not recycled under the copy. If
 * one was, another round begins from what is the oldest now.
 */
#include "inspect.h"
#include "scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 10 };

struct backup {
    struct catalog from; /* as it is in this round */
    struct catalog to;
    struct scan_result scan;
    uint8_t *bytes;              /* FORMAT_BATCH_MAX */
    bool recycled;               /* a segment went while it was copied */
    struct drv_problem *problem; /* not NULL */
};

static int copy_bytes(struct backup *backup, struct files_file *from, struct files_file *to,
                      uint64_t end)
{
    for (uint64_t at = 0; at < end;) {
        const uint64_t left = end - at;
        size_t got = 0;
        int error = backup->from.files->read(
            from, at, backup->bytes, left < FORMAT_BATCH_MAX ? (size_t)left : FORMAT_BATCH_MAX,
            &got);
        if (error == 0 && got == 0) {
            error = EIO;
        }
        if (error == 0) {
            error = catalog_write(backup->to.files, to, at, backup->bytes, got);
        }
        if (error != 0) {
            return error;
        }
        at += got;
    }
    return 0;
}

/* Whether the original still has the header that was copied. */
static int compare_headers(struct backup *backup, struct files_file *from,
                           struct files_file *to)
{
    uint8_t original[FORMAT_HEADER_BYTES];
    uint8_t copy[FORMAT_HEADER_BYTES];
    size_t original_len = 0;
    size_t copy_len = 0;
    int error = backup->from.files->read(from, 0, original, sizeof(original), &original_len);
    if (error == 0) {
        error = backup->to.files->read(to, 0, copy, sizeof(copy), &copy_len);
    }
    if (error == 0 && (original_len != sizeof(original) || copy_len != sizeof(copy) ||
                       memcmp(original, copy, sizeof(copy)) != 0)) {
        backup->recycled = true;
    }
    return error;
}

static int copy_open(struct backup *backup, const struct catalog_segment *segment,
                     struct files_file *from, struct files_file *to)
{
    const uint64_t end = segment->number == backup->scan.last_segment ? backup->scan.end
                                                                      : segment->bytes;
    int error = backup->to.files->allocate(to, segment->bytes);
    if (error == 0) {
        error = copy_bytes(backup, from, to, end);
    }
    if (error == 0) {
        error = compare_headers(backup, from, to);
    }
    return error != 0 ? error : backup->to.files->sync(to);
}

static drover_status copy_segment(struct backup *backup, const struct catalog_segment *segment)
{
    struct files_file *from = NULL;
    struct files_file *to = NULL;
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(segment->number, name);
    int error = backup->from.files->open(backup->from.dir, name, FILES_READ, &from);
    if (error == ENOENT) {
        backup->recycled = true;
        return DROVER_OK;
    }
    if (error != 0) {
        return catalog_io(&backup->from, backup->problem, "open", name, error);
    }
    error = catalog_create_new(&backup->to, name, &to);
    if (error == 0) {
        error = copy_open(backup, segment, from, to);
        backup->to.files->close(to);
    }
    backup->from.files->close(from);
    return error == 0 ? DROVER_OK
                      : catalog_io(&backup->to, backup->problem, "copy to", name, error);
}

/* Makes the copied segments a store. */
static drover_status seal(struct backup *backup)
{
    const struct catalog *from = &backup->from;
    struct catalog *to = &backup->to;
    to->slot = (struct format_slot){.store = from->slot.store,
                                    .epoch = backup->scan.epoch,
                                    .oldest = from->slot.oldest,
                                    .newest = from->slot.oldest + from->segment_count - 1,
                                    .durable = backup->scan.next_lsn - 1};
    int error = to->files->sync_dir(to->dir);
    if (error == 0) {
        error = catalog_create_store(to);
    }
    return error == 0 ? DROVER_OK
                      : catalog_io(to, backup->problem, "write", "journal.store", error);
}

/* Files of a round that did not succeed; all of them are ours. */
static drover_status drop_copies(struct backup *backup)
{
    for (size_t i = 0; i < backup->from.segment_count; i++) {
        char name[CATALOG_NAME_MAX];
        catalog_segment_name(backup->from.segments[i].number, name);
        int error = backup->to.files->unlink(backup->to.dir, name);
        if (error != 0 && error != ENOENT) {
            return catalog_io(&backup->to, backup->problem, "unlink", name, error);
        }
    }
    return DROVER_OK;
}

/* One round: OK with recycled unset when the copy is complete. */
static drover_status copy_all(struct backup *backup, const struct files *files,
                              const char *directory)
{
    backup->recycled = false;
    drover_status status = catalog_open(&backup->from, files, directory, true, NULL,
                                        backup->problem);
    if (status == DROVER_OK) {
        status = scan_log(&backup->from, NULL, NULL, &backup->scan, backup->problem);
    }
    if (status == DROVER_OK && backup->scan.damaged) {
        status = DROVER_MALFORMED;
    }
    for (size_t i = 0; i < backup->from.segment_count && status == DROVER_OK; i++) {
        if (!backup->recycled) {
            status = copy_segment(backup, &backup->from.segments[i]);
        }
    }
    return status;
}

/*
 * Rounds until one is complete. What looks damaged or missing may be a file between two names,
 * or two looks at different times; it is believed when two rounds in a row say the same.
 */
static drover_status run(struct backup *backup, const struct files *files,
                         const char *directory)
{
    struct drv_problem before = {""};
    for (int i = 0; i < ROUNDS_MAX; i++) {
        drover_status status = copy_all(backup, files, directory);
        if (status == DROVER_OK && !backup->recycled) {
            status = seal(backup);
            catalog_fini(&backup->from);
            return status;
        }
        drover_status dropped = drop_copies(backup);
        catalog_fini(&backup->from);
        if (dropped != DROVER_OK) {
            return dropped;
        }
        const bool doubtful = status == DROVER_OK || status == DROVER_MALFORMED ||
                              status == DROVER_IO;
        if (!doubtful ||
            (status != DROVER_OK && strcmp(before.text, backup->problem->text) == 0)) {
            return status;
        }
        before = *backup->problem;
    }
    return drv_problem_set(backup->problem, DROVER_BUSY,
                           "%s: segments are recycled faster than they can be copied",
                           directory);
}

static drover_status open_target(struct backup *backup, const struct files *files,
                                 const char *directory)
{
    struct catalog_listing listing = {0};
    drover_status status = catalog_take_dir(&backup->to, files, directory, false,
                                            backup->problem);
    if (status == DROVER_OK) {
        status = catalog_list(&backup->to, &listing, backup->problem);
    }
    if (status == DROVER_OK && (listing.has_store || listing.count > 0)) {
        status = drv_problem_set(backup->problem, DROVER_CONFLICT,
                                 "%s holds a store, or a part of one, already", directory);
    }
    free(listing.numbers);
    return status;
}

drover_status inspect_backup(const struct files *from_files, const char *from,
                             const struct files *to_files, const char *to,
                             struct inspect_report *out_report, struct drv_problem *problem)
{
    struct backup backup = {.problem = problem, .bytes = malloc(FORMAT_BATCH_MAX)};
    drover_status status = backup.bytes == NULL
                               ? drv_problem_set(problem, DROVER_NOMEM, "out of memory")
                               : open_target(&backup, to_files, to);
    if (status == DROVER_OK) {
        status = run(&backup, from_files, from);
    }
    catalog_fini(&backup.from);
    catalog_fini(&backup.to);
    free(backup.bytes);
    return status == DROVER_OK ? inspect_verify(to_files, to, NULL, out_report, problem)
                               : status;
}
