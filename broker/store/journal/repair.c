/* repair.c: cutting a damaged log; see inspect.h. */
#include "inspect.h"
#include "scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct repair {
    struct catalog catalog;
    struct catalog_listing listing;
    struct scan_result scan;
    bool oldest_lost;
    uint8_t *bytes; /* owned; FORMAT_BATCH_MAX */
    struct inspect_repair done;
    struct drv_problem *problem;
};

static drover_status io(struct repair *repair, const char *what, const char *name, int error)
{
    return error == 0 ? DROVER_OK
                      : catalog_io(&repair->catalog, repair->problem, what, name, error);
}

static drover_status set_aside(struct repair *repair, const char *name)
{
    char aside[CATALOG_NAME_MAX + 16];
    (void)snprintf(aside, sizeof(aside), "%s.damaged", name);
    int error = repair->catalog.files->rename(repair->catalog.dir, name, aside);
    if (error == 0) {
        repair->done.changed = true;
        repair->done.set_aside++;
    }
    return io(repair, "rename", name, error);
}

/* The store's identity, from the store file or, if that is lost, from the first segment that
 * has a header. */
static drover_status find_identity(struct repair *repair)
{
    struct catalog *catalog = &repair->catalog;
    struct drv_problem why = {""};
    if (repair->listing.has_store) {
        drover_status status = catalog_read_store(catalog, false, &why);
        if (status != DROVER_MALFORMED) {
            if (repair->problem != NULL) {
                *repair->problem = why;
            }
            return status;
        }
    }
    for (size_t i = 0; i < repair->listing.count; i++) {
        struct format_segment header;
        if (catalog_peek_header(catalog, repair->listing.numbers[i], &header)) {
            catalog->slot = (struct format_slot){
                .store = header.store, .oldest = header.number, .newest = header.number - 1};
            return DROVER_OK;
        }
    }
    return drv_problem_set(repair->problem, DROVER_MALFORMED,
                           "%s: neither journal.store nor any segment can be read",
                           catalog->path);
}

/* The segments from the oldest up to the first that is missing or has no good header. */
static drover_status take_good_segments(struct repair *repair)
{
    struct catalog *catalog = &repair->catalog;
    const struct catalog_listing *listing = &repair->listing;
    uint64_t expected = catalog->slot.oldest;
    for (size_t i = 0; i < listing->count; i++) {
        struct drv_problem ignored;
        if (listing->numbers[i] < expected) {
            continue;
        }
        if (listing->numbers[i] != expected && catalog->segment_count == 0) {
            /* the oldest is lost: what follows may still be read */
            expected = listing->numbers[i];
            catalog->slot.oldest = expected;
        }
        if (listing->numbers[i] != expected) {
            return DROVER_OK;
        }
        drover_status status = catalog_take_segment(catalog, expected, &ignored);
        if (status != DROVER_OK) {
            return status == DROVER_NOMEM ? status : DROVER_OK;
        }
        expected++;
    }
    return DROVER_OK;
}

static int copy_bytes(struct repair *repair, struct files_file *from, struct files_file *to,
                      uint64_t end)
{
    const struct files *files = repair->catalog.files;
    for (uint64_t at = 0; at < end;) {
        const uint64_t left = end - at;
        size_t got = 0;
        int error = files->read(from, at, repair->bytes,
                                left < FORMAT_BATCH_MAX ? (size_t)left : FORMAT_BATCH_MAX,
                                &got);
        if (error == 0 && got == 0) {
            error = EIO;
        }
        if (error == 0) {
            error = catalog_write(files, to, at, repair->bytes, got);
        }
        if (error != 0) {
            return error;
        }
        at += got;
    }
    return 0;
}

/* Makes a copy of the first bytes of a file, synced, and gives it its name in one step. */
static drover_status copy_file(struct repair *repair, const char *name, uint64_t end,
                               uint64_t bytes, const char *as)
{
    static const char temporary[] = "journal.repair.tmp";
    const struct files *files = repair->catalog.files;
    struct files_file *from = NULL;
    struct files_file *to = NULL;
    int error = files->open(repair->catalog.dir, name, FILES_READ, &from);
    if (error == 0) {
        error = catalog_create_new(&repair->catalog, temporary, &to);
    }
    if (error == 0) {
        error = files->allocate(to, bytes);
    }
    if (error == 0) {
        error = copy_bytes(repair, from, to, end);
    }
    if (error == 0) {
        error = files->sync(to);
    }
    if (from != NULL) {
        files->close(from);
    }
    if (to != NULL) {
        files->close(to);
    }
    if (error == 0) {
        error = files->rename(repair->catalog.dir, temporary, as);
    }
    if (error == 0) {
        error = files->sync_dir(repair->catalog.dir);
    }
    return io(repair, "copy", name, error);
}

/* Keeps the damaged segment under another name, then puts its good part in its place. */
static drover_status replace(struct repair *repair, const struct catalog_segment *segment,
                             uint64_t end)
{
    char name[CATALOG_NAME_MAX];
    char aside[CATALOG_NAME_MAX + 16];
    catalog_segment_name(segment->number, name);
    (void)snprintf(aside, sizeof(aside), "%s.damaged", name);
    drover_status status = copy_file(repair, name, segment->bytes, segment->bytes, aside);
    if (status == DROVER_OK) {
        repair->done.set_aside++;
        status = copy_file(repair, name, end, segment->bytes, name);
    }
    return status;
}

/* Segments behind the cut, from the last to the first: interrupted, what is left has no gap. */
static drover_status drop_followers(struct repair *repair, uint64_t last)
{
    drover_status status = DROVER_OK;
    for (size_t i = repair->listing.count; i > 0 && status == DROVER_OK; i--) {
        char name[CATALOG_NAME_MAX];
        if (repair->listing.numbers[i - 1] > last) {
            catalog_segment_name(repair->listing.numbers[i - 1], name);
            status = set_aside(repair, name);
        }
    }
    if (status != DROVER_OK) {
        return status;
    }
    int error = repair->catalog.files->sync_dir(repair->catalog.dir);
    return io(repair, "sync", ".", error);
}

static drover_status write_store(struct repair *repair, uint64_t last)
{
    struct catalog *catalog = &repair->catalog;
    struct format_slot slot = catalog->slot;
    int error = catalog->files->sync_dir(catalog->dir);
    if (error == 0 && slot.generation == 0) {
        if (repair->listing.has_store) {
            drover_status status = set_aside(repair, "journal.store");
            if (status != DROVER_OK) {
                return status;
            }
        }
        error = catalog_create_store(catalog);
        slot = catalog->slot;
    }
    slot.newest = last;
    slot.durable = repair->scan.next_lsn - 1;
    slot.epoch = repair->scan.epoch;
    if (error == 0) {
        error = catalog_write_slot(catalog, &slot);
    }
    return io(repair, "write", "journal.store", error);
}

/* Whether the store is good as it is. */
static bool is_good(const struct repair *repair)
{
    const struct catalog *catalog = &repair->catalog;
    const size_t count = catalog->segment_count;
    const uint64_t last = count == 0 ? catalog->slot.newest
                                     : catalog->segments[count - 1].number;
    const uint64_t highest = repair->listing.count == 0
                                 ? 0
                                 : repair->listing.numbers[repair->listing.count - 1];
    return catalog->slot.generation != 0 && !repair->oldest_lost && !repair->scan.damaged &&
           last >= catalog->slot.newest && highest <= last && repair->listing.odd[0] == '\0';
}

static drover_status cut(struct repair *repair)
{
    const struct catalog *catalog = &repair->catalog;
    const struct scan_result *scan = &repair->scan;
    const size_t count = catalog->segment_count;
    if (count == 0) {
        return drv_problem_set(repair->problem, DROVER_MALFORMED,
                               "%s: the oldest segment cannot be read", catalog->path);
    }
    size_t index = 0;
    while (catalog->segments[index].number != scan->last_segment) {
        index++;
    }
    const struct catalog_segment last = catalog->segments[index];
    drover_status status = drop_followers(repair, last.number);
    if (status == DROVER_OK && scan->damaged) {
        status = replace(repair, &last, scan->end);
    }
    if (status == DROVER_OK && repair->listing.odd[0] != '\0') {
        status = set_aside(repair, repair->listing.odd);
    }
    if (status == DROVER_OK) {
        repair->done.changed = true;
        status = write_store(repair, last.number);
    }
    return status;
}

static drover_status run(struct repair *repair, const struct files *files,
                         const char *directory)
{
    drover_status status = catalog_take_dir(&repair->catalog, files, directory, false,
                                            repair->problem);
    if (status == DROVER_OK) {
        status = catalog_list(&repair->catalog, &repair->listing, repair->problem);
    }
    if (status == DROVER_OK && !repair->listing.has_store && repair->listing.count == 0) {
        status = drv_problem_set(repair->problem, DROVER_MALFORMED, "%s holds no drover store",
                                 directory);
    }
    if (status == DROVER_OK) {
        status = find_identity(repair);
    }
    if (status != DROVER_OK) {
        return status;
    }
    const uint64_t oldest = repair->catalog.slot.oldest;
    repair->catalog.seed = format_seed(&repair->catalog.slot.store);
    status = take_good_segments(repair);
    repair->oldest_lost = repair->catalog.slot.oldest != oldest;
    if (status == DROVER_OK) {
        struct drv_problem ignored;
        status = scan_log(&repair->catalog, NULL, NULL, &repair->scan, &ignored);
    }
    repair->done.last_lsn = repair->scan.next_lsn - 1;
    return status != DROVER_OK || is_good(repair) ? status : cut(repair);
}

drover_status inspect_repair(const struct files *files, const char *directory,
                             struct inspect_repair *out_repair, struct drv_problem *problem)
{
    struct repair repair = {.problem = problem, .bytes = malloc(FORMAT_BATCH_MAX)};
    drover_status status = repair.bytes == NULL
                               ? drv_problem_set(problem, DROVER_NOMEM, "out of memory")
                               : run(&repair, files, directory);
    if (status == DROVER_OK) {
        *out_repair = repair.done;
    }
    free(repair.listing.numbers);
    free(repair.bytes);
    catalog_fini(&repair.catalog);
    return status;
}
