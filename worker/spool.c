#include "spool.h"

#include "check.h"
#include "data.h"

#include <stdlib.h>
#include <string.h>

/* ---- one stream -----------------------------------------------------------------------------
 */

static struct worker_spool_piece *piece_at(const struct worker_spool_stream *stream, size_t i)
{
    return &stream->pieces[stream->first + i];
}

/* Bytes that the pieces hold. */
static size_t held(const struct worker_spool_stream *stream)
{
    return stream->bytes.len - stream->skip;
}

static size_t size_of(const struct worker_spool_stream *stream)
{
    return held(stream) + stream->count * WORKER_SPOOL_PIECE_COST;
}

/* Where the bytes of a piece begin: offsets have gaps, the bytes have none. */
static const char *bytes_at(const struct worker_spool_stream *stream, size_t i)
{
    size_t at = stream->skip;
    for (size_t before = 0; before < i; before++) {
        at += piece_at(stream, before)->len;
    }
    return (const char *)stream->bytes.bytes + at;
}

/* Room at the front is used again before more is asked for. */
static void close_up(struct worker_spool_stream *stream)
{
    if (stream->skip > held(stream)) {
        memmove(stream->bytes.bytes, stream->bytes.bytes + stream->skip, held(stream));
        stream->bytes.len -= stream->skip;
        stream->skip = 0;
    }
    if (stream->first > stream->count) {
        memmove(stream->pieces, stream->pieces + stream->first,
                stream->count * sizeof *stream->pieces);
        stream->first = 0;
    }
}

static void drop_first(struct worker_spool_stream *stream)
{
    stream->skip += piece_at(stream, 0)->len;
    stream->first++;
    stream->count--;
    stream->sent -= stream->sent > 0 ? 1 : 0;
}

static void cut_first(struct worker_spool_stream *stream, size_t len)
{
    struct worker_spool_piece *piece = piece_at(stream, 0);
    piece->offset += len;
    piece->len -= len;
    stream->skip += len;
}

static void trim(struct worker_spool_stream *stream, bool is_whole, size_t keep)
{
    while (stream->count > 0 && size_of(stream) > keep) {
        size_t excess = size_of(stream) - keep;
        if (is_whole && stream->count == 1) {
            break; /* the last value stays */
        }
        if (is_whole || excess >= piece_at(stream, 0)->len) {
            drop_first(stream);
        } else {
            cut_first(stream, excess);
        }
    }
    close_up(stream);
}

static drover_status reserve_piece(struct worker_spool_stream *stream)
{
    if (stream->first + stream->count < stream->capacity) {
        return DROVER_OK;
    }
    size_t capacity = stream->capacity == 0 ? 8 : stream->capacity * 2;
    struct worker_spool_piece *pieces = realloc(stream->pieces, capacity * sizeof *pieces);
    if (pieces == NULL) {
        return DROVER_NOMEM;
    }
    stream->pieces = pieces;
    stream->capacity = capacity;
    return DROVER_OK;
}

/* How much of what comes goes on in the last piece: what was sent, or stands before something
 * of another stream, is left as it is. */
static size_t room_in_last(const struct worker_spool *spool,
                           const struct worker_spool_stream *stream)
{
    if (stream->count == 0 || stream->sent == stream->count) {
        return 0;
    }
    const struct worker_spool_piece *last = piece_at(stream, stream->count - 1);
    bool goes_on = last->order + 1 == spool->orders && last->offset + last->len == stream->end;
    return goes_on && last->len < WORKER_SPOOL_PIECE ? WORKER_SPOOL_PIECE - last->len : 0;
}

/* ---- adding ---------------------------------------------------------------------------------
 */

static drover_status append(struct worker_spool *spool, struct worker_spool_stream *stream,
                            struct drv_str bytes, bool is_whole)
{
    while (bytes.len > 0) {
        size_t room = is_whole ? 0 : room_in_last(spool, stream);
        size_t most = room > 0 ? room : WORKER_SPOOL_PIECE;
        size_t len = is_whole || bytes.len < most ? bytes.len : most;
        drover_status status = room > 0 ? DROVER_OK : reserve_piece(stream);
        if (status == DROVER_OK) {
            status = drv_buffer_append(&stream->bytes, bytes.ptr, len);
        }
        if (status != DROVER_OK) {
            stream->end += bytes.len;
            return status;
        }
        if (room > 0) {
            piece_at(stream, stream->count - 1)->len += len;
        } else {
            stream->count++;
            *piece_at(stream, stream->count - 1) = (struct worker_spool_piece){
                .order = spool->orders++, .offset = stream->end, .len = len};
        }
        stream->end += len;
        bytes = (struct drv_str){bytes.ptr + len, bytes.len - len};
    }
    return DROVER_OK;
}

drover_status worker_spool_add(struct worker_spool *spool, enum drv_output stream,
                               uint64_t missed, struct drv_str bytes, size_t keep)
{
    struct worker_spool_stream *target = &spool->streams[stream - 1];
    bool is_whole = stream == DRV_OUTPUT_DATA;
    target->end += missed;
    if (!is_whole && bytes.len > keep) { /* it would go again at once */
        target->end += bytes.len - keep;
        bytes = (struct drv_str){bytes.ptr + bytes.len - keep, keep};
    }
    drover_status status = append(spool, target, bytes, is_whole);
    trim(target, is_whole, keep);
    return status;
}

void worker_spool_trim(struct worker_spool *spool, size_t keep)
{
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        trim(&spool->streams[i], i + 1 == DRV_OUTPUT_DATA, keep);
    }
}

void worker_spool_fini(struct worker_spool *spool)
{
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        drv_buffer_fini(&spool->streams[i].bytes);
        free(spool->streams[i].pieces);
    }
    memset(spool, 0, sizeof *spool);
}

size_t worker_spool_size(const struct worker_spool *spool)
{
    size_t size = 0;
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        size += size_of(&spool->streams[i]);
    }
    return size;
}

/* ---- sending --------------------------------------------------------------------------------
 */

void worker_spool_rewind(struct worker_spool *spool)
{
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        spool->streams[i].sent = 0;
    }
}

/* The stream whose first unsent piece is the oldest; NULL: none. */
static const struct worker_spool_stream *oldest_unsent(const struct worker_spool *spool,
                                                       uint32_t streams)
{
    const struct worker_spool_stream *oldest = NULL;
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        const struct worker_spool_stream *stream = &spool->streams[i];
        bool is_wanted = (streams >> (i + 1) & 1) != 0 && stream->sent < stream->count;
        if (is_wanted && (oldest == NULL || piece_at(stream, stream->sent)->order <
                                                piece_at(oldest, oldest->sent)->order)) {
            oldest = stream;
        }
    }
    return oldest;
}

bool worker_spool_next(const struct worker_spool *spool, uint32_t streams, size_t max,
                       struct worker_spool_view *out_view)
{
    const struct worker_spool_stream *stream = oldest_unsent(spool, streams);
    if (stream == NULL) {
        return false;
    }
    const struct worker_spool_piece *piece = piece_at(stream, stream->sent);
    bool is_whole = stream == &spool->streams[DRV_OUTPUT_DATA - 1];
    *out_view = (struct worker_spool_view){
        .stream = (enum drv_output)(stream - spool->streams + 1),
        .offset = piece->offset,
        .order = piece->order,
        .pieces = 1,
        .text = {bytes_at(stream, stream->sent), piece->len}};
    while (!is_whole && stream->sent + out_view->pieces < stream->count) {
        const struct worker_spool_piece *next = piece_at(stream,
                                                         stream->sent + out_view->pieces);
        if (next->order != out_view->order + 1 || out_view->text.len + next->len > max ||
            next->offset != out_view->offset + out_view->text.len) {
            break;
        }
        out_view->text.len += next->len;
        out_view->order = next->order;
        out_view->pieces++;
    }
    return true;
}

void worker_spool_sent(struct worker_spool *spool, const struct worker_spool_view *view)
{
    struct worker_spool_stream *stream = &spool->streams[view->stream - 1];
    stream->sent += view->pieces;
    DRV_ASSERT(stream->sent <= stream->count);
}

/* ---- the tail -------------------------------------------------------------------------------
 */

/* A choice of pieces: the last `taken` of every stream. */
struct choice {
    size_t taken[WORKER_SPOOL_STREAMS];
    size_t pieces, bytes;
};

/* Takes the newest piece that is left into the choice; false when it does not fit. */
static bool choose_newest(const struct worker_spool *spool, struct choice *choice)
{
    const struct worker_spool_piece *newest = NULL;
    size_t from = 0;
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        const struct worker_spool_stream *stream = &spool->streams[i];
        size_t left = stream->count - choice->taken[i];
        if (left > 0 && (newest == NULL || piece_at(stream, left - 1)->order > newest->order)) {
            newest = piece_at(stream, left - 1);
            from = i;
        }
    }
    if (newest == NULL || choice->pieces == DRV_TAIL_PIECES_MAX ||
        choice->bytes + newest->len > DRV_TAIL_MAX) {
        return false;
    }
    choice->taken[from]++;
    choice->pieces++;
    choice->bytes += newest->len;
    return true;
}

/* Takes the oldest piece out of the choice again. */
static struct drv_piece take_oldest(const struct worker_spool *spool, struct choice *choice,
                                    const char **out_bytes)
{
    const struct worker_spool_piece *oldest = NULL;
    size_t from = 0;
    for (size_t i = 0; i < WORKER_SPOOL_STREAMS; i++) {
        const struct worker_spool_stream *stream = &spool->streams[i];
        if (choice->taken[i] == 0) {
            continue;
        }
        const struct worker_spool_piece *piece = piece_at(stream,
                                                          stream->count - choice->taken[i]);
        if (oldest == NULL || piece->order < oldest->order) {
            oldest = piece;
            from = i;
        }
    }
    DRV_ASSERT(oldest != NULL);
    const struct worker_spool_stream *stream = &spool->streams[from];
    *out_bytes = bytes_at(stream, stream->count - choice->taken[from]);
    choice->taken[from]--;
    return (struct drv_piece){.index = DROVER_INDEX_NONE,
                              .stream = (uint32_t)from + 1,
                              .offset = oldest->offset,
                              .len = (uint32_t)oldest->len};
}

drover_status worker_spool_tail(const struct worker_spool *spool, struct drv_data **out_block,
                                struct drv_tail *out_tail)
{
    struct choice choice = {.pieces = 0};
    while (choose_newest(spool, &choice)) {
    }
    if (choice.pieces == 0) {
        *out_block = NULL;
        *out_tail = (struct drv_tail){.piece_count = 0};
        return DROVER_OK;
    }
    size_t head = choice.pieces * sizeof(struct drv_piece);
    drover_status status = drv_data_new(head + choice.bytes, out_block);
    if (status != DROVER_OK) {
        return status;
    }
    struct drv_piece *pieces = (struct drv_piece *)(void *)(*out_block)->bytes;
    char *text = (char *)(*out_block)->bytes + head;
    *out_tail = (struct drv_tail){
        .pieces = pieces, .piece_count = choice.pieces, .text = {text, choice.bytes}};
    for (size_t i = 0; i < out_tail->piece_count; i++) {
        const char *bytes;
        pieces[i] = take_oldest(spool, &choice, &bytes);
        memcpy(text, bytes, pieces[i].len);
        text += pieces[i].len;
    }
    return DROVER_OK;
}
