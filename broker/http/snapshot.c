/* snapshot.c: the status, asked for at most once a second and shared; see http.h. */
#include "http_private.h"

#include "metrics.h"
#include "sse.h"

#include "check.h"

static void serve_one(struct http *http, struct exchange *exchange)
{
    if (exchange->request.route == ROUTE_STATUS) {
        struct drv_data *text = drv_data_ref(http->snapshot.json);
        exchange_answer(exchange, MHD_HTTP_OK, TYPE_JSON, &text);
        return;
    }
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    drover_status status = metrics_write(drv_data_view(http->snapshot.msgpack), &buffer);
    exchange_answer_buffer(exchange, MHD_HTTP_OK, TYPE_METRICS, &buffer, status);
}

static void serve_waiting(struct http *http, drover_status status)
{
    struct drv_list waiting;
    struct drv_list *link;
    drv_list_init(&waiting);
    drv_list_splice_back(&waiting, &http->snapshot.waiting);
    while ((link = drv_list_pop_front(&waiting)) != NULL) {
        struct exchange *exchange = DRV_LIST_ITEM(link, struct exchange, waiting);
        if (status == DROVER_OK) {
            serve_one(http, exchange);
        } else {
            exchange_fail(exchange, status, NULL);
        }
    }
}

/* "event: status", its data and an empty line. */
static drover_status make_frame(const struct drv_buffer *json, struct drv_data **out_frame)
{
    struct drv_buffer frame;
    drv_buffer_init(&frame);
    drover_status status = drv_buffer_append_text(&frame, "event: status\ndata: ");
    if (status == DROVER_OK) {
        status = drv_buffer_append(&frame, json->bytes, json->len);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append_text(&frame, "\n\n");
    }
    if (status == DROVER_OK) {
        status = drv_data_copy(frame.bytes, frame.len, out_frame);
    }
    drv_buffer_fini(&frame);
    return status;
}

static void drop(struct snapshot *snapshot)
{
    drv_data_unref(&snapshot->msgpack);
    drv_data_unref(&snapshot->json);
    drv_data_unref(&snapshot->frame);
}

static drover_status keep(struct snapshot *snapshot, const struct drv_document *document)
{
    struct drv_buffer json;
    drv_buffer_init(&json);
    drop(snapshot);
    drover_status status = document_json(document, &json);
    if (status == DROVER_OK) {
        status = drv_data_copy(document->body.ptr, document->body.len, &snapshot->msgpack);
    }
    if (status == DROVER_OK) {
        status = make_frame(&json, &snapshot->frame);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append_byte(&json, '\n');
    }
    if (status == DROVER_OK) {
        status = drv_data_copy(json.bytes, json.len, &snapshot->json);
    }
    drv_buffer_fini(&json);
    if (status != DROVER_OK) {
        drop(snapshot);
    }
    return status;
}

static void on_status(struct ask *ask, drover_status status,
                      const struct drv_document *document, const struct drv_reply *reply)
{
    struct http *http = ask->context;
    (void)reply;
    http->snapshot.is_asking = false;
    http->snapshot.at_us = http->now_us;
    if (status == DROVER_OK && document != NULL) {
        status = keep(&http->snapshot, document);
        http->snapshot.number++;
    }
    serve_waiting(http, status);
    if (status == DROVER_OK) {
        streams_wake(http);
    }
}

static void ask_anew(struct http *http)
{
    struct snapshot *snapshot = &http->snapshot;
    if (snapshot->is_asking) {
        return;
    }
    snapshot->ask.message = (struct drv_message){.kind = DRV_QUERY};
    snapshot->ask.message.query = (struct drv_query){.topic = DRV_TOPIC_STATUS,
                                                     .index = DROVER_INDEX_NONE};
    drover_status status = uplink_ask(&http->uplink, &snapshot->ask, http->now_us);
    snapshot->is_asking = status == DROVER_OK;
    if (status != DROVER_OK) {
        snapshot->at_us = http->now_us;
        serve_waiting(http, status);
    }
}

static bool is_fresh(const struct http *http)
{
    return http->snapshot.json != NULL &&
           http->now_us - http->snapshot.at_us < HTTP_SNAPSHOT_US;
}

void snapshot_init(struct http *http)
{
    ask_init(&http->snapshot.ask, on_status, http);
    drv_list_init(&http->snapshot.waiting);
}

void snapshot_fini(struct http *http)
{
    DRV_ASSERT(drv_list_is_empty(&http->snapshot.waiting));
    drop(&http->snapshot);
}

void snapshot_serve(struct http *http, struct exchange *exchange)
{
    if (is_fresh(http)) {
        serve_one(http, exchange);
        return;
    }
    drv_list_push_back(&http->snapshot.waiting, &exchange->waiting);
    ask_anew(http);
}

void snapshot_turn(struct http *http)
{
    if (http->stream_count > 0 && !http->is_ending &&
        http->now_us - http->snapshot.at_us >= HTTP_SNAPSHOT_US) {
        ask_anew(http);
    }
}

int64_t snapshot_deadline_us(const struct http *http)
{
    return http->stream_count == 0 || http->snapshot.is_asking
               ? INT64_MAX
               : http->snapshot.at_us + HTTP_SNAPSHOT_US;
}
