/* scan.c: a whole log, its end and its damage; see scan.h. */
#include "scan.h"

#include <errno.h>
#include <inttypes.h>

struct scan {
    struct catalog *catalog;
    scan_visit_fn visit; /* or NULL */
    void *context;
    struct scan_track track;
    struct scan_result result;
    struct journal_record record; /* being put together from pieces */
    struct drv_buffer body;
    bool assembling;
    struct drv_problem *problem;
};

static drover_status deliver(struct scan *scan, const struct journal_record *record)
{
    if (scan->result.records++ == 0) {
        scan->result.first_lsn = record->lsn;
    }
    return scan->visit == NULL ? DROVER_OK : scan->visit(scan->context, record);
}

/* The first piece of a record: kept until the others came. */
static drover_status begin(struct scan *scan, const struct journal_record *record,
                           const struct scan_piece *piece)
{
    scan->record = *record;
    scan->assembling = true;
    drv_buffer_clear(&scan->body);
    return drv_buffer_append(&scan->body, piece->body, piece->record.len);
}

static drover_status on_piece(struct scan *scan, const struct scan_piece *piece)
{
    const struct journal_record record = {.lsn = piece->record.lsn,
                                          .segment = piece->segment,
                                          .offset = piece->offset,
                                          .id = piece->record.id,
                                          .index = piece->record.index,
                                          .kind = piece->record.kind,
                                          .body = piece->record.len == 0 ? NULL : piece->body,
                                          .len = piece->record.len};
    if (!piece->record.continued && piece->record.rest == 0) {
        scan->assembling = false;
        return deliver(scan, &record);
    }
    if (!piece->record.continued) {
        return begin(scan, &record, piece);
    }
    if (!scan->assembling) {
        return DROVER_OK; /* its beginning is in a segment that is gone */
    }
    drover_status status = drv_buffer_append(&scan->body, piece->body, piece->record.len);
    if (status != DROVER_OK || piece->record.rest > 0) {
        return status;
    }
    scan->assembling = false;
    scan->record.body = scan->body.bytes;
    scan->record.len = scan->body.len;
    return deliver(scan, &scan->record);
}

static drover_status read_problem(const struct scan *scan, const struct scan_reader *reader,
                                  int error)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(reader->segment, name);
    return catalog_io(scan->catalog, scan->problem, "read", name, error);
}

static drover_status on_batch(struct scan *scan, struct scan_reader *reader)
{
    struct scan_result *result = &scan->result;
    struct scan_piece piece;
    drover_status status = DROVER_OK;
    result->last_batch = reader->batch.offset;
    if (reader->batch.durable > result->durable) {
        result->durable = reader->batch.durable;
    }
    while (status == DROVER_OK && scan_reader_piece(reader, &piece)) {
        status = on_piece(scan, &piece);
    }
    return status;
}

/* All good batches of a segment; bad is where they end. */
static drover_status read_segment(struct scan *scan, struct scan_reader *reader, uint64_t *bad)
{
    for (;;) {
        int error = 0;
        enum scan_step step = scan_reader_next(reader, &scan->track, bad, &error);
        if (step == SCAN_HOLE) {
            return DROVER_OK;
        }
        drover_status status = step == SCAN_ERROR ? read_problem(scan, reader, error)
                                                  : on_batch(scan, reader);
        if (status != DROVER_OK) {
            return status;
        }
    }
}

static void set_damage(struct scan *scan, const struct scan_reader *reader, uint64_t bad)
{
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(reader->segment, name);
    scan->result.damaged = true;
    scan->result.bad = bad;
    (void)drv_problem_set(scan->problem, DROVER_MALFORMED,
                          "%s/%s: damaged at offset %" PRIu64 ", where record %" PRIu64
                          " is due",
                          scan->catalog->path, name, bad, scan->track.next);
}

/* At the last segment's end: what stands behind it may tell that it is none. */
static drover_status judge_end(struct scan *scan, struct scan_reader *reader, uint64_t bad)
{
    struct scan_result *result = &scan->result;
    result->torn = scan->track.open;
    for (uint64_t at = reader->offset; at < reader->bytes; at += FORMAT_SECTOR) {
        struct format_batch batch;
        int error = 0;
        enum scan_step step = scan_reader_look(reader, at, &batch, &error);
        if (step == SCAN_ERROR) {
            return read_problem(scan, reader, error);
        }
        if (step == SCAN_BATCH) {
            result->torn = true;
            result->durable = batch.durable > result->durable ? batch.durable : result->durable;
        }
    }
    if (result->durable >= scan->track.next) {
        set_damage(scan, reader, bad);
    }
    return DROVER_OK;
}

static drover_status scan_segment(struct scan *scan, size_t index, struct scan_reader *reader)
{
    struct catalog_segment *segment = &scan->catalog->segments[index];
    struct scan_track *track = &scan->track;
    uint64_t bad = 0;
    track->epoch = segment->epoch > track->epoch ? segment->epoch : track->epoch;
    scan->result.last_segment = segment->number;
    scan->result.last_batch = 0;
    drover_status status = read_segment(scan, reader, &bad);
    segment->last_lsn = track->open ? track->next : track->next - 1;
    scan->result.end = reader->offset;
    scan->result.bytes += reader->offset;
    if (scan->result.last_batch == 0) {
        scan->result.last_batch = reader->offset;
    }
    if (status != DROVER_OK) {
        return status;
    }
    if (index + 1 == scan->catalog->segment_count) {
        return judge_end(scan, reader, bad);
    }
    if (segment[1].first_lsn != track->next) {
        set_damage(scan, reader, bad);
    }
    return DROVER_OK;
}

static drover_status scan_segments(struct scan *scan)
{
    drover_status status = DROVER_OK;
    const size_t count = scan->catalog->segment_count;
    for (size_t i = 0; i < count && status == DROVER_OK && !scan->result.damaged; i++) {
        struct scan_reader reader;
        int error = scan_reader_open(&reader, scan->catalog, &scan->catalog->segments[i]);
        if (error != 0) {
            char name[CATALOG_NAME_MAX];
            catalog_segment_name(scan->catalog->segments[i].number, name);
            return catalog_io(scan->catalog, scan->problem, "open", name, error);
        }
        status = scan_segment(scan, i, &reader);
        scan_reader_close(&reader);
    }
    return status;
}

drover_status scan_log(struct catalog *catalog, scan_visit_fn visit, void *context,
                       struct scan_result *out_result, struct drv_problem *problem)
{
    const uint64_t first = catalog->segment_count > 0 ? catalog->segments[0].first_lsn : 1;
    struct scan scan = {.catalog = catalog,
                        .visit = visit,
                        .context = context,
                        .track = {.next = first, .fresh = true},
                        .result = {.durable = catalog->slot.durable},
                        .problem = problem};
    drv_buffer_init(&scan.body);
    drover_status status = scan_segments(&scan);
    drv_buffer_fini(&scan.body);
    scan.result.next_lsn = scan.track.next;
    scan.result.epoch = catalog->slot.epoch > scan.track.epoch ? catalog->slot.epoch
                                                               : scan.track.epoch;
    if (scan.result.records == 0) {
        scan.result.first_lsn = scan.track.next;
    }
    if (status == DROVER_NOMEM) {
        (void)drv_problem_set(problem, status, "out of memory");
    }
    if (status == DROVER_OK) {
        *out_result = scan.result;
    }
    return status;
}
