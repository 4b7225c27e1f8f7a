/* scan_reader.c: the batches of one segment; see scan.h. */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>

int scan_reader_open(struct scan_reader *reader, const struct catalog *catalog,
                     const struct catalog_segment *segment)
{
    *reader = (struct scan_reader){.files = catalog->files,
                                   .seed = catalog->seed,
                                   .segment = segment->number,
                                   .bytes = segment->bytes,
                                   .offset = FORMAT_SEGMENT_START};
    reader->window_max = segment->bytes < FORMAT_BATCH_MAX ? (size_t)segment->bytes
                                                           : FORMAT_BATCH_MAX;
    reader->window = malloc(reader->window_max);
    if (reader->window == NULL) {
        return ENOMEM;
    }
    char name[CATALOG_NAME_MAX];
    catalog_segment_name(segment->number, name);
    int error = catalog->files->open(catalog->dir, name, FILES_READ, &reader->file);
    if (error != 0) {
        scan_reader_close(reader);
    }
    return error;
}

void scan_reader_close(struct scan_reader *reader)
{
    if (reader->file != NULL) {
        reader->files->close(reader->file);
    }
    free(reader->window);
    *reader = (struct scan_reader){0};
}

/* Brings len bytes at offset into the window; out_bytes is NULL when the file has not as many.
 */
static int see(struct scan_reader *reader, uint64_t offset, size_t len,
               const uint8_t **out_bytes)
{
    *out_bytes = NULL;
    if (offset >= reader->bytes || len > reader->bytes - offset) {
        return 0;
    }
    if (offset < reader->window_offset ||
        offset + len > reader->window_offset + reader->window_len) {
        const uint64_t left = reader->bytes - offset;
        const size_t wanted = left < reader->window_max ? (size_t)left : reader->window_max;
        size_t got = 0;
        reader->window_len = 0;
        int error = reader->files->read(reader->file, offset, reader->window, wanted, &got);
        if (error != 0) {
            return error;
        }
        reader->window_offset = offset;
        reader->window_len = got;
    }
    if (offset + len <= reader->window_offset + reader->window_len) {
        *out_bytes = reader->window + (offset - reader->window_offset);
    }
    return 0;
}

bool scan_track_piece(struct scan_track *track, const struct format_record *record,
                      uint64_t epoch)
{
    if (record->lsn != track->next) {
        return false;
    }
    if (record->continued) {
        if (!track->open && !track->fresh) {
            return false;
        }
        if (track->open && (uint64_t)record->len + record->rest != track->rest) {
            return false;
        }
        track->orphan = track->orphan || !track->open;
    } else {
        /* A record begun before a crash is begun anew after it, and only then. */
        if (track->open && epoch <= track->open_epoch) {
            return false;
        }
        track->fresh = false;
        track->orphan = false;
    }
    track->open = record->rest != 0;
    track->rest = record->rest;
    track->open_epoch = epoch;
    if (!track->open) {
        track->next++;
        track->fresh = false;
    }
    return true;
}

static bool header_fits(const struct scan_reader *reader, const struct format_batch *batch,
                        uint64_t offset)
{
    return batch->segment == reader->segment && batch->offset == offset &&
           batch->length <= reader->bytes - offset;
}

/* Whether all records of the batch are good and in order; *out_bad: offset of the first bad. */
static bool records_fit(const struct scan_reader *reader, const struct format_batch *batch,
                        const uint8_t *bytes, struct scan_track *track, uint64_t *out_bad)
{
    size_t at = FORMAT_BATCH_HEADER;
    uint32_t count = 0;
    while (at < batch->used) {
        struct format_record record;
        *out_bad = reader->offset + at;
        if (!format_record_read(bytes + at, batch->used - at, reader->seed, &record) ||
            !scan_track_piece(track, &record, batch->epoch)) {
            return false;
        }
        at += format_record_space(record.len);
        count++;
    }
    return at == batch->used && count == batch->count;
}

enum scan_step scan_reader_next(struct scan_reader *reader, struct scan_track *track,
                                uint64_t *out_bad, int *out_error)
{
    const uint8_t *bytes = NULL;
    struct format_batch batch;
    *out_bad = reader->offset;
    *out_error = see(reader, reader->offset, FORMAT_BATCH_HEADER, &bytes);
    if (*out_error != 0) {
        return SCAN_ERROR;
    }
    if (bytes == NULL || !format_batch_read(bytes, reader->seed, &batch) ||
        !header_fits(reader, &batch, reader->offset) || batch.epoch < track->epoch ||
        batch.first_lsn != track->next) {
        return SCAN_HOLE;
    }
    *out_error = see(reader, reader->offset, batch.length, &bytes);
    if (*out_error != 0) {
        return SCAN_ERROR;
    }
    struct scan_track after = *track;
    if (bytes == NULL || !records_fit(reader, &batch, bytes, &after, out_bad)) {
        return SCAN_HOLE;
    }
    after.epoch = batch.epoch;
    *track = after;
    reader->batch = batch;
    reader->batch_bytes = bytes;
    reader->cursor = FORMAT_BATCH_HEADER;
    reader->offset += batch.length;
    return SCAN_BATCH;
}

bool scan_reader_piece(struct scan_reader *reader, struct scan_piece *out_piece)
{
    if (reader->batch_bytes == NULL || reader->cursor >= reader->batch.used) {
        return false;
    }
    const uint8_t *bytes = reader->batch_bytes + reader->cursor;
    out_piece->segment = reader->segment;
    out_piece->offset = reader->batch.offset + reader->cursor;
    out_piece->body = bytes + FORMAT_RECORD_HEADER;
    format_record_get(bytes, &out_piece->record);
    reader->cursor += format_record_space(out_piece->record.len);
    return true;
}

enum scan_step scan_reader_look(struct scan_reader *reader, uint64_t offset,
                                struct format_batch *out_batch, int *out_error)
{
    const uint8_t *bytes = NULL;
    *out_error = see(reader, offset, FORMAT_BATCH_HEADER, &bytes);
    if (*out_error != 0) {
        return SCAN_ERROR;
    }
    return bytes != NULL && format_batch_read(bytes, reader->seed, out_batch) &&
                   header_fits(reader, out_batch, offset)
               ? SCAN_BATCH
               : SCAN_HOLE;
}
