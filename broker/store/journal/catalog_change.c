/* catalog_change.c: what changes a journal directory, crash-safe at every step; see catalog.h.
 */
#include "catalog.h"
#include "check.h"
#include "journal.h"

#include <errno.h>
#include <string.h>

#define STORE_NAME "journal.store"
#define STORE_NEW_NAME "journal.store.tmp"
#define SPARE_NEW_NAME "journal.spare.tmp"

int catalog_write(const struct files *files, struct files_file *file, uint64_t offset,
                  const void *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        size_t put = 0;
        int error = files->write(file, offset + done, (const uint8_t *)bytes + done, len - done,
                                 &put);
        if (error != 0) {
            return error;
        }
        done += put;
    }
    return 0;
}

int catalog_create_new(struct catalog *catalog, const char *name, struct files_file **out_file)
{
    int error = catalog->files->open(catalog->dir, name, FILES_CREATE, out_file);
    if (error != EEXIST) {
        return error;
    }
    error = catalog->files->unlink(catalog->dir, name);
    return error != 0 ? error
                      : catalog->files->open(catalog->dir, name, FILES_CREATE, out_file);
}

static int write_slot(struct catalog *catalog, struct files_file *file,
                      const struct format_slot *slot)
{
    uint8_t sector[FORMAT_SECTOR] = {0};
    format_slot_write(slot, sector);
    return catalog_write(catalog->files, file, slot->generation % 2 * FORMAT_SLOT_SPACING,
                         sector, sizeof(sector));
}

int catalog_create_store(struct catalog *catalog)
{
    struct format_slot slot = catalog->slot;
    struct files_file *file = NULL;
    slot.generation = 1;
    int error = catalog_create_new(catalog, STORE_NEW_NAME, &file);
    if (error != 0) {
        return error;
    }
    error = catalog->files->allocate(file, FORMAT_STORE_BYTES);
    if (error == 0) {
        error = write_slot(catalog, file, &slot);
    }
    if (error == 0) {
        error = catalog->files->sync(file);
    }
    if (error == 0) {
        error = catalog->files->rename(catalog->dir, STORE_NEW_NAME, STORE_NAME);
    }
    if (error == 0) {
        error = catalog->files->sync_dir(catalog->dir);
    }
    if (error != 0) {
        catalog->files->close(file);
        return error;
    }
    if (catalog->store != NULL) {
        catalog->files->close(catalog->store);
    }
    catalog->store = file;
    catalog->slot = slot;
    return 0;
}

int catalog_write_slot(struct catalog *catalog, const struct format_slot *slot)
{
    struct format_slot next = *slot;
    next.generation = catalog->slot.generation + 1;
    int error = write_slot(catalog, catalog->store, &next);
    if (error == 0) {
        error = catalog->files->sync(catalog->store);
    }
    if (error == 0) {
        catalog->slot = next;
    }
    return error;
}

int catalog_make_spare(struct catalog *catalog, uint64_t bytes)
{
    struct files_file *file = NULL;
    int error = catalog_create_new(catalog, SPARE_NEW_NAME, &file);
    if (error != 0) {
        return error;
    }
    error = catalog->files->allocate(file, bytes);
    if (error == 0) {
        error = catalog->files->sync(file);
    }
    catalog->files->close(file);
    const struct catalog_spare spare = {.number = catalog->spare_next, .bytes = bytes};
    char name[CATALOG_NAME_MAX];
    catalog_spare_name(&spare, name);
    if (error == 0) {
        error = catalog->files->rename(catalog->dir, SPARE_NEW_NAME, name);
    }
    if (error != 0) {
        (void)catalog->files->unlink(catalog->dir, SPARE_NEW_NAME); /* its space is needed */
        return error;
    }
    return catalog_add_spare(catalog, &spare);
}

/* Gives a dead segment, or the segment being reclaimed, the next spare name. */
static int rename_to_spare(struct catalog *catalog, struct catalog_spare *spare)
{
    char from[CATALOG_NAME_MAX];
    char to[CATALOG_NAME_MAX];
    const struct catalog_spare renamed = {
        .number = catalog->spare_next, .bytes = spare->bytes, .used = spare->used};
    catalog_spare_name(spare, from);
    catalog_spare_name(&renamed, to);
    int error = catalog->files->rename(catalog->dir, from, to);
    if (error == 0) {
        *spare = renamed;
        catalog->spare_next++;
    }
    return error;
}

int catalog_bury_dead(struct catalog *catalog)
{
    size_t kept = 0;
    int error = 0;
    for (size_t i = 0; i < catalog->spare_count && error == 0; i++) {
        struct catalog_spare spare = catalog->spares[i];
        if (spare.bytes < JOURNAL_SEGMENT_MIN) {
            char name[CATALOG_NAME_MAX];
            catalog_spare_name(&spare, name);
            error = catalog->files->unlink(catalog->dir, name);
            continue;
        }
        if (spare.dead) {
            error = rename_to_spare(catalog, &spare);
        }
        catalog->spares[kept++] = spare;
    }
    if (error == 0) {
        catalog->spare_count = kept;
    }
    return error;
}

static int write_header(struct catalog *catalog, struct files_file *file,
                        const struct catalog_segment *segment)
{
    uint8_t sector[FORMAT_SECTOR] = {0};
    const struct format_segment header = {.store = catalog->slot.store,
                                          .number = segment->number,
                                          .first_lsn = segment->first_lsn,
                                          .epoch = segment->epoch,
                                          .bytes = segment->bytes};
    format_segment_write(&header, sector);
    int error = catalog_write(catalog->files, file, 0, sector, sizeof(sector));
    return error != 0 ? error : catalog->files->sync(file);
}

/* Header, rename, slot, each durable before the next. */
static int publish_segment(struct catalog *catalog, const char *spare_name,
                           const struct catalog_segment *segment, uint64_t durable,
                           struct files_file *file)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(segment->number, name);
    int error = write_header(catalog, file, segment);
    if (error == 0) {
        error = catalog->files->rename(catalog->dir, spare_name, name);
    }
    if (error == 0) {
        error = catalog->files->sync_dir(catalog->dir);
    }
    if (error == 0) {
        struct format_slot slot = catalog->slot;
        slot.newest = segment->number;
        slot.durable = durable;
        error = catalog_write_slot(catalog, &slot);
    }
    return error != 0 ? error : catalog_add_segment(catalog, segment);
}

int catalog_next_segment(struct catalog *catalog, uint64_t first_lsn, uint64_t epoch,
                         uint64_t durable, struct files_file **out_file)
{
    DRV_ASSERT(catalog->spare_count > 0);
    const struct catalog_spare spare = catalog->spares[catalog->spare_count - 1];
    const uint64_t last = catalog->segment_count == 0
                              ? catalog->slot.newest
                              : catalog->segments[catalog->segment_count - 1].number;
    const struct catalog_segment segment = {
        .number = last + 1, .first_lsn = first_lsn, .epoch = epoch, .bytes = spare.bytes};
    char name[CATALOG_NAME_MAX];
    struct files_file *file = NULL;
    catalog_spare_name(&spare, name);
    int error = catalog->files->open(catalog->dir, name, FILES_WRITE, &file);
    if (error != 0) {
        return error;
    }
    error = publish_segment(catalog, name, &segment, durable, file);
    if (error != 0) {
        catalog->files->close(file);
        return error;
    }
    catalog->spare_count--;
    *out_file = file;
    return 0;
}

int catalog_reclaim_oldest(struct catalog *catalog, uint64_t durable, bool keep)
{
    DRV_ASSERT(catalog->segment_count > 1);
    struct catalog_spare gone = {.number = catalog->segments[0].number,
                                 .bytes = catalog->segments[0].bytes,
                                 .dead = true,
                                 .used = true};
    struct format_slot slot = catalog->slot;
    slot.oldest = gone.number + 1;
    slot.durable = durable;
    int error = catalog_write_slot(catalog, &slot);
    if (error != 0) {
        return error;
    }
    catalog->segment_count--;
    memmove(catalog->segments, catalog->segments + 1,
            catalog->segment_count * sizeof(catalog->segments[0]));
    if (!keep) {
        char name[CATALOG_NAME_MAX];
        catalog_spare_name(&gone, name);
        return catalog->files->unlink(catalog->dir, name);
    }
    error = rename_to_spare(catalog, &gone);
    return error != 0 ? error : catalog_add_spare(catalog, &gone);
}

int catalog_drop_spare(struct catalog *catalog)
{
    char name[CATALOG_NAME_MAX];
    DRV_ASSERT(catalog->spare_count > 0);
    catalog_spare_name(&catalog->spares[--catalog->spare_count], name);
    return catalog->files->unlink(catalog->dir, name);
}
