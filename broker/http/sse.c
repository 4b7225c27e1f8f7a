/* sse.c: see sse.h. */
#include "sse.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BLOCK_BYTES = 16 << 10 };

struct stream {
    struct drv_list link; /* of http.streams */
    struct http *http;
    struct guest *guest;
    struct MHD_Connection *connection;
    bool is_suspended;
    bool is_ending;
    int64_t read_at_us; /* last time that somebody took something, or had taken everything */
    uint64_t status;    /* number of the last one told */
    uint64_t event;     /* the same */
    struct drv_data *piece; /* owned: being told; NULL: none */
    size_t piece_at;
};

static void next_piece(struct stream *stream)
{
    struct http *http = stream->http;
    stream->piece_at = 0;
    if (http->snapshot.frame != NULL && http->snapshot.number > stream->status) {
        stream->status = http->snapshot.number;
        stream->piece = drv_data_ref(http->snapshot.frame);
    } else {
        stream->piece = feed_next(&http->feed, &stream->event);
    }
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t max)
{
    struct stream *stream = context;
    (void)position;
    stream->read_at_us = stream->http->now_us;
    if (stream->is_ending) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (stream->piece == NULL) {
        next_piece(stream);
    }
    if (stream->piece == NULL) {
        stream->is_suspended = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    size_t len = stream->piece->len - stream->piece_at;
    len = len < max ? len : max;
    memcpy(out, stream->piece->bytes + stream->piece_at, len);
    stream->piece_at += len;
    if (stream->piece_at == stream->piece->len) {
        drv_data_unref(&stream->piece);
    }
    return (ssize_t)len;
}

static void free_stream(void *context)
{
    struct stream *stream = context;
    drv_list_remove(&stream->link);
    stream->http->stream_count--;
    drv_data_unref(&stream->piece);
    free(stream);
}

bool streams_have_room(const struct http *http)
{
    return http->stream_count < HTTP_STREAMS_MAX && !http->is_ending;
}

enum MHD_Result stream_open(struct http *http, struct exchange *exchange)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct MHD_Response *response = NULL;
    if (stream != NULL) {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
                                                     stream, free_stream);
    }
    if (response == NULL) {
        free(stream);
        return MHD_NO;
    }
    stream->http = http;
    stream->guest = exchange->guest;
    stream->connection = exchange->connection;
    stream->read_at_us = http->now_us;
    stream->event = exchange->request.has_since
                        ? feed_resume(&http->feed, exchange->request.since)
                        : feed_begin(&http->feed);
    drv_list_push_back(&http->streams, &stream->link);
    http->stream_count++;
    drv_list_remove(&exchange->guest->link); /* no deadline: it has one of its own */
    exchange_headers(response, "text/event-stream");
    enum MHD_Result result = MHD_queue_response(exchange->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    snapshot_turn(http);
    return result;
}

static void wake(struct stream *stream)
{
    if (stream->is_suspended) {
        stream->is_suspended = false;
        stream->read_at_us = stream->http->now_us;
        MHD_resume_connection(stream->connection);
    }
}

void streams_wake(struct http *http)
{
    DRV_LIST_EACH(link, &http->streams)
    {
        wake(DRV_LIST_ITEM(link, struct stream, link));
    }
}

void streams_turn(struct http *http)
{
    DRV_LIST_EACH(link, &http->streams)
    {
        struct stream *stream = DRV_LIST_ITEM(link, struct stream, link);
        if (!stream->is_suspended && !stream->guest->is_shut &&
            http->now_us - stream->read_at_us > HTTP_STREAM_UNREAD_US) {
            stream->guest->is_shut = true;
            (void)shutdown(stream->guest->fd, SHUT_RDWR);
        }
    }
}

void streams_end(struct http *http)
{
    DRV_LIST_EACH(link, &http->streams)
    {
        struct stream *stream = DRV_LIST_ITEM(link, struct stream, link);
        stream->is_ending = true;
        wake(stream);
    }
}
