/* catalog.c: opening and judging a journal directory; catalog_change.c changes it. */
#include "catalog.h"

#include "check.h"
#include "journal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_NAME "journal.store"
#define SEGMENT_PREFIX "journal-"
#define SPARE_PREFIX "journal-spare-"
#define SEGMENT_SUFFIX ".seg"

enum { NUMBER_DIGITS = 12 };

void catalog_segment_name(uint64_t number, char *out_name)
{
    (void)snprintf(out_name, CATALOG_NAME_MAX, SEGMENT_PREFIX "%0*" PRIu64 SEGMENT_SUFFIX,
                   NUMBER_DIGITS, number);
}

void catalog_spare_name(const struct catalog_spare *spare, char *out_name)
{
    if (spare->dead) {
        catalog_segment_name(spare->number, out_name);
    } else {
        (void)snprintf(out_name, CATALOG_NAME_MAX, SPARE_PREFIX "%0*" PRIu64, NUMBER_DIGITS,
                       spare->number);
    }
}

drover_status catalog_io(const struct catalog *catalog, struct drv_problem *problem,
                         const char *what, const char *name, int error)
{
    return drv_problem_set(problem, error == ENOMEM ? DROVER_NOMEM : DROVER_IO,
                           "cannot %s %s/%s: %s", what, catalog->path, name, strerror(error));
}

/* ---- names ----------------------------------------------------------------------------------
 */

/* The number between prefix and suffix, written with the usual digits; 0: it is none. */
static uint64_t name_number(const char *name, const char *prefix, const char *suffix)
{
    size_t skip = strlen(prefix);
    if (strncmp(name, prefix, skip) != 0 ||
        strlen(name) != skip + NUMBER_DIGITS + strlen(suffix) ||
        strcmp(name + skip + NUMBER_DIGITS, suffix) != 0) {
        return 0;
    }
    uint64_t number = 0;
    for (size_t i = skip; i < skip + NUMBER_DIGITS; i++) {
        if (!isdigit((unsigned char)name[i])) {
            return 0;
        }
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    return number;
}

static void *grown(void *array, size_t count, size_t *capacity, size_t item)
{
    if (count < *capacity) {
        return array;
    }
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *larger = realloc(array, wanted * item);
    if (larger != NULL) {
        *capacity = wanted;
    }
    return larger;
}

int catalog_add_spare(struct catalog *catalog, const struct catalog_spare *spare)
{
    struct catalog_spare *spares = grown(catalog->spares, catalog->spare_count,
                                         &catalog->spare_capacity, sizeof(*spares));
    if (spares == NULL) {
        return ENOMEM;
    }
    catalog->spares = spares;
    spares[catalog->spare_count++] = *spare;
    if (!spare->dead && spare->number >= catalog->spare_next) {
        catalog->spare_next = spare->number + 1;
    }
    return 0;
}

int catalog_add_segment(struct catalog *catalog, const struct catalog_segment *segment)
{
    struct catalog_segment *segments = grown(catalog->segments, catalog->segment_count,
                                             &catalog->segment_capacity, sizeof(*segments));
    if (segments == NULL) {
        return ENOMEM;
    }
    catalog->segments = segments;
    segments[catalog->segment_count++] = *segment;
    return 0;
}

static int on_name(void *context, const char *name)
{
    struct catalog_listing *listing = context;
    uint64_t number = name_number(name, SEGMENT_PREFIX, SEGMENT_SUFFIX);
    if (number != 0) {
        uint64_t *numbers = grown(listing->numbers, listing->count, &listing->capacity,
                                  sizeof(*numbers));
        if (numbers == NULL) {
            return ENOMEM;
        }
        listing->numbers = numbers;
        numbers[listing->count++] = number;
        return 0;
    }
    number = name_number(name, SPARE_PREFIX, "");
    if (number != 0) {
        return catalog_add_spare(listing->catalog, &(struct catalog_spare){.number = number});
    }
    listing->has_store = listing->has_store || strcmp(name, STORE_NAME) == 0;
    size_t len = strlen(name);
    if (strncmp(name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) == 0 &&
        len >= strlen(SEGMENT_SUFFIX) &&
        strcmp(name + len - strlen(SEGMENT_SUFFIX), SEGMENT_SUFFIX) == 0) {
        (void)snprintf(listing->odd, sizeof(listing->odd), "%s", name);
    }
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ---- the store file ------------------------------------------------------------------------
 */

/* The better of the two slots into catalog->slot. */
static drover_status judge_slots(struct catalog *catalog, const uint8_t *bytes, size_t len,
                                 struct drv_problem *problem)
{
    if (len == 0) {
        return drv_problem_set(problem, DROVER_MALFORMED, "%s/" STORE_NAME " is empty",
                               catalog->path);
    }
    bool foreign = true;
    for (size_t i = 0; i < 2; i++) {
        struct format_slot slot;
        uint32_t version = 0;
        size_t at = i * FORMAT_SLOT_SPACING;
        enum format_verdict verdict = at + FORMAT_HEADER_BYTES <= len
                                          ? format_slot_read(bytes + at, &slot, &version)
                                          : FORMAT_DAMAGED;
        foreign = foreign && verdict == FORMAT_FOREIGN;
        if (verdict == FORMAT_VERSION) {
            return drv_problem_set(problem, DROVER_VERSION,
                                   "%s/" STORE_NAME " has format version %" PRIu32
                                   "; this drover reads version %d",
                                   catalog->path, version, JOURNAL_FORMAT_VERSION);
        }
        if (verdict == FORMAT_GOOD && slot.generation % 2 == i &&
            slot.generation > catalog->slot.generation) {
            catalog->slot = slot;
        }
    }
    if (catalog->slot.generation != 0) {
        return DROVER_OK;
    }
    return drv_problem_set(problem, DROVER_MALFORMED,
                           foreign ? "%s/" STORE_NAME " is no drover store"
                                   : "%s/" STORE_NAME ": damaged at offset 0",
                           catalog->path);
}

drover_status catalog_read_store(struct catalog *catalog, bool read_only,
                                 struct drv_problem *problem)
{
    uint8_t bytes[FORMAT_STORE_BYTES];
    size_t len = 0;
    struct files_file *file = NULL;
    int error = catalog->files->open(catalog->dir, STORE_NAME,
                                     read_only ? FILES_READ : FILES_WRITE, &file);
    if (error != 0) {
        return catalog_io(catalog, problem, "open", STORE_NAME, error);
    }
    error = catalog->files->read(file, 0, bytes, sizeof(bytes), &len);
    if (read_only) {
        catalog->files->close(file);
    } else {
        catalog->store = file;
    }
    if (error != 0) {
        return catalog_io(catalog, problem, "read", STORE_NAME, error);
    }
    return judge_slots(catalog, bytes, len, problem);
}

/* ---- the segments --------------------------------------------------------------------------
 */

static drover_status header_problem(const struct catalog *catalog, const char *name,
                                    enum format_verdict verdict, uint32_t version,
                                    struct drv_problem *problem)
{
    switch (verdict) {
    case FORMAT_FOREIGN:
        return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s is no drover segment",
                               catalog->path, name);
    case FORMAT_VERSION:
        return drv_problem_set(problem, DROVER_VERSION,
                               "%s/%s has format version %" PRIu32
                               "; this drover reads version %d",
                               catalog->path, name, version, JOURNAL_FORMAT_VERSION);
    case FORMAT_DAMAGED:
    case FORMAT_GOOD:
        break;
    }
    return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s: damaged at offset 0",
                           catalog->path, name);
}

static drover_status judge_header(const struct catalog *catalog, uint64_t number,
                                  const char *name, const struct format_segment *header,
                                  uint64_t size, struct drv_problem *problem)
{
    if (!drover_id_equal(&header->store, &catalog->slot.store)) {
        return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s belongs to another store",
                               catalog->path, name);
    }
    if (header->number != number) {
        return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s is a copy of segment %" PRIu64,
                               catalog->path, name, header->number);
    }
    if (size < header->bytes) {
        return drv_problem_set(problem, DROVER_MALFORMED,
                               "%s/%s is cut off at offset %" PRIu64 " of %" PRIu64,
                               catalog->path, name, size, header->bytes);
    }
    return DROVER_OK;
}

/* The header of a segment file. */
struct found_header {
    char name[CATALOG_NAME_MAX];
    uint64_t size; /* of the file */
    size_t len;    /* bytes of the header that are there */
    enum format_verdict verdict;
    uint32_t version;
    struct format_segment header;
};

/* 0 or errno. */
static int find_header(const struct catalog *catalog, uint64_t number,
                       struct found_header *out_found)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct files_file *file = NULL;
    *out_found = (struct found_header){.verdict = FORMAT_DAMAGED};
    catalog_segment_name(number, out_found->name);
    int error = catalog->files->open(catalog->dir, out_found->name, FILES_READ, &file);
    if (error != 0) {
        return error;
    }
    error = catalog->files->size(file, &out_found->size);
    if (error == 0) {
        error = catalog->files->read(file, 0, bytes, sizeof(bytes), &out_found->len);
    }
    catalog->files->close(file);
    if (error == 0 && out_found->len == sizeof(bytes)) {
        out_found->verdict = format_segment_read(bytes, &out_found->header,
                                                 &out_found->version);
    }
    return error;
}

bool catalog_peek_header(const struct catalog *catalog, uint64_t number,
                         struct format_segment *out_header)
{
    struct found_header found;
    if (find_header(catalog, number, &found) != 0 || found.verdict != FORMAT_GOOD ||
        found.header.number != number) {
        return false;
    }
    *out_header = found.header;
    return true;
}

static drover_status read_segment(const struct catalog *catalog, uint64_t number,
                                  struct catalog_segment *out_segment,
                                  struct drv_problem *problem)
{
    struct found_header found;
    int error = find_header(catalog, number, &found);
    if (error != 0) {
        return catalog_io(catalog, problem, "read", found.name, error);
    }
    if (found.len < FORMAT_HEADER_BYTES) {
        return drv_problem_set(problem, DROVER_MALFORMED,
                               found.len == 0 ? "%s/%s is empty"
                                              : "%s/%s is cut off in its header",
                               catalog->path, found.name);
    }
    if (found.verdict != FORMAT_GOOD) {
        return header_problem(catalog, found.name, found.verdict, found.version, problem);
    }
    drover_status status = judge_header(catalog, number, found.name, &found.header, found.size,
                                        problem);
    if (status == DROVER_OK) {
        *out_segment = (struct catalog_segment){.number = number,
                                                .first_lsn = found.header.first_lsn,
                                                .epoch = found.header.epoch,
                                                .bytes = found.header.bytes};
    }
    return status;
}

drover_status catalog_take_segment(struct catalog *catalog, uint64_t number,
                                   struct drv_problem *problem)
{
    struct catalog_segment segment = {0};
    drover_status status = read_segment(catalog, number, &segment, problem);
    if (status != DROVER_OK) {
        return status;
    }
    const struct catalog_segment *before = catalog->segment_count == 0
                                               ? NULL
                                               : &catalog->segments[catalog->segment_count - 1];
    if (before != NULL &&
        (segment.first_lsn < before->first_lsn || segment.epoch < before->epoch)) {
        char name[CATALOG_NAME_MAX];
        catalog_segment_name(number, name);
        return drv_problem_set(problem, DROVER_MALFORMED,
                               "%s/%s does not follow the segment before it", catalog->path,
                               name);
    }
    return catalog_add_segment(catalog, &segment) == 0
               ? DROVER_OK
               : drv_problem_set(problem, DROVER_NOMEM, "out of memory");
}

static drover_status missing(const struct catalog *catalog, uint64_t number,
                             struct drv_problem *problem)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(number, name);
    return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s is missing", catalog->path, name);
}

/*
 * Every segment that the slot names must be there. One more may be: a crash came between its
 * rename and the slot. Those below the oldest are dead: a crash came before their rename.
 */
static drover_status take_segments(struct catalog *catalog, struct catalog_listing *listing,
                                   struct drv_problem *problem)
{
    uint64_t expected = catalog->slot.oldest;
    drover_status status = DROVER_OK;
    for (size_t i = 0; i < listing->count && status == DROVER_OK; i++) {
        uint64_t number = listing->numbers[i];
        if (number < catalog->slot.oldest) {
            const struct catalog_spare dead = {.number = number, .dead = true};
            status = catalog_add_spare(catalog, &dead) == 0 ? DROVER_OK : DROVER_NOMEM;
        } else if (number == expected && number <= catalog->slot.newest + 1) {
            status = catalog_take_segment(catalog, number, problem);
            expected++;
        } else if (expected <= catalog->slot.newest) {
            status = missing(catalog, expected, problem);
        } else {
            char name[CATALOG_NAME_MAX];
            catalog_segment_name(number, name);
            status = drv_problem_set(problem, DROVER_MALFORMED,
                                     "%s/%s is not part of the store, whose newest is %" PRIu64,
                                     catalog->path, name, catalog->slot.newest);
        }
    }
    if (status == DROVER_OK && expected <= catalog->slot.newest) {
        status = missing(catalog, expected, problem);
    }
    return status;
}

/* The sizes of spares, dead segments included; one that cannot be used is no error. */
static drover_status measure_spares(struct catalog *catalog, struct drv_problem *problem)
{
    for (size_t i = 0; i < catalog->spare_count; i++) {
        struct catalog_spare *spare = &catalog->spares[i];
        char name[CATALOG_NAME_MAX];
        struct files_file *file = NULL;
        catalog_spare_name(spare, name);
        int error = catalog->files->open(catalog->dir, name, FILES_READ, &file);
        if (error == 0) {
            error = catalog->files->size(file, &spare->bytes);
            catalog->files->close(file);
        }
        if (error != 0) {
            return catalog_io(catalog, problem, "open", name, error);
        }
        spare->bytes -= spare->bytes % FORMAT_BLOCK;
    }
    return DROVER_OK;
}

/* ---- all of it -----------------------------------------------------------------------------
 */

static drover_status judge(struct catalog *catalog, struct catalog_listing *listing,
                           bool read_only, const drover_id *store_id,
                           struct drv_problem *problem)
{
    if (listing->odd[0] != '\0') {
        return drv_problem_set(problem, DROVER_MALFORMED, "%s/%s has no segment's name",
                               catalog->path, listing->odd);
    }
    if (!listing->has_store && listing->count > 0) {
        return drv_problem_set(problem, DROVER_MALFORMED,
                               "%s has segments, but " STORE_NAME " is missing", catalog->path);
    }
    if (!listing->has_store && read_only) {
        return drv_problem_set(problem, DROVER_MALFORMED, "%s holds no drover store",
                               catalog->path);
    }
    drover_status status = DROVER_OK;
    if (listing->has_store) {
        status = catalog_read_store(catalog, read_only, problem);
    } else {
        catalog->slot = (struct format_slot){.store = *store_id, .oldest = 1, .newest = 0};
    }
    catalog->seed = format_seed(&catalog->slot.store);
    if (status == DROVER_OK) {
        status = take_segments(catalog, listing, problem);
    }
    return status == DROVER_OK ? measure_spares(catalog, problem) : status;
}

drover_status catalog_take_dir(struct catalog *catalog, const struct files *files,
                               const char *directory, bool read_only,
                               struct drv_problem *problem)
{
    *catalog = (struct catalog){.files = files, .spare_next = 1};
    (void)snprintf(catalog->path, sizeof(catalog->path), "%s", directory);
    int error = files->open_dir(files->context, directory, !read_only, &catalog->dir);
    if (error != 0) {
        return drv_problem_set(problem, error == ENOMEM ? DROVER_NOMEM : DROVER_IO,
                               "cannot open the directory %s: %s", directory, strerror(error));
    }
    error = read_only ? 0 : files->lock_dir(catalog->dir);
    if (error == EWOULDBLOCK) {
        return drv_problem_set(problem, DROVER_BUSY, "%s is in use by another broker",
                               directory);
    }
    return error == 0 ? DROVER_OK : catalog_io(catalog, problem, "lock", ".", error);
}

drover_status catalog_list(struct catalog *catalog, struct catalog_listing *listing,
                           struct drv_problem *problem)
{
    *listing = (struct catalog_listing){.catalog = catalog};
    int error = catalog->files->list(catalog->dir, on_name, listing);
    if (error != 0) {
        return catalog_io(catalog, problem, "list", ".", error);
    }
    if (listing->count > 0) {
        qsort(listing->numbers, listing->count, sizeof(*listing->numbers), compare_numbers);
    }
    return DROVER_OK;
}

drover_status catalog_open(struct catalog *catalog, const struct files *files,
                           const char *directory, bool read_only, const drover_id *store_id,
                           struct drv_problem *problem)
{
    struct catalog_listing listing = {0};
    drover_status status = catalog_take_dir(catalog, files, directory, read_only, problem);
    if (status == DROVER_OK) {
        status = catalog_list(catalog, &listing, problem);
    }
    if (status == DROVER_OK) {
        status = judge(catalog, &listing, read_only, store_id, problem);
    }
    free(listing.numbers);
    if (status != DROVER_OK) {
        catalog_fini(catalog);
    }
    return status;
}

void catalog_fini(struct catalog *catalog)
{
    if (catalog->store != NULL) {
        catalog->files->close(catalog->store);
    }
    if (catalog->dir != NULL) {
        catalog->files->close_dir(catalog->dir);
    }
    free(catalog->segments);
    free(catalog->spares);
    *catalog = (struct catalog){0};
}

uint64_t catalog_disk_bytes(const struct catalog *catalog)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < catalog->segment_count; i++) {
        bytes += catalog->segments[i].bytes;
    }
    for (size_t i = 0; i < catalog->spare_count; i++) {
        bytes += catalog->spares[i].bytes;
    }
    return bytes;
}
