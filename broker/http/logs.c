/* logs.c: see logs.h. */
#include "logs.h"

#include "b64.h"
#include "check.h"
#include "json.h"
#include "reader.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>

struct logs {
    struct drv_list link; /* of http.logs */
    struct exchange *exchange;
    uint64_t next; /* number of the next piece */
    uint64_t missed;
    size_t text_len; /* bytes of output so far */
    struct drv_buffer out;
    drover_status status;
};

static uint64_t number_of(const struct logs *logs)
{
    return logs->exchange->ask.message.subscribe.subscription;
}

static const char *stream_name(uint32_t stream)
{
    static const char *const names[] = {"", "stdout", "stderr", "log", "data"};
    return stream < DRV_ARRAY_LEN(names) ? names[stream] : "";
}

static void add(struct logs *logs, drover_status status)
{
    logs->status = logs->status != DROVER_OK ? logs->status : status;
}

/* Partial data is a value by convention; everything else is text, or bytes. */
static void put_text(struct logs *logs, uint32_t stream, struct drv_view text)
{
    if (stream == DRV_OUTPUT_DATA &&
        drv_validate((const uint8_t *)text.bytes, text.len, &DRV_VALIDATE_HEAD) == DROVER_OK) {
        add(logs, drv_buffer_append_text(&logs->out, "\"value\":"));
        add(logs, drv_json_write(text, false, &logs->out));
    } else if (text.len == 0 || drv_utf8_is_valid((const uint8_t *)text.bytes, text.len)) {
        add(logs, drv_buffer_append_text(&logs->out, "\"text\":"));
        add(logs, drv_json_write_string(text, &logs->out));
    } else {
        add(logs, drv_buffer_append_text(&logs->out, "\"text_base64\":\""));
        add(logs, drv_b64_encode(text, &logs->out));
        add(logs, drv_buffer_append_byte(&logs->out, '"'));
    }
}

static void put_piece(struct logs *logs, const struct drv_piece *piece, struct drv_view text)
{
    add(logs, drv_buffer_printf(&logs->out, "%s{", logs->text_len == 0 ? "" : ","));
    if (piece->index != DROVER_INDEX_NONE) {
        add(logs, drv_buffer_printf(&logs->out, "\"index\":%" PRIu32 ",", piece->index));
    }
    add(logs,
        drv_buffer_printf(&logs->out,
                          "\"attempt\":%" PRIu32 ",\"stream\":\"%s\",\"offset\":%" PRIu64 ",",
                          piece->attempt, stream_name(piece->stream), piece->offset));
    put_text(logs, piece->stream, text);
    add(logs, drv_buffer_append_byte(&logs->out, '}'));
    logs->text_len += piece->len > 0 ? piece->len : 1;
}

static void finish(struct logs *logs, uint32_t state, bool is_truncated)
{
    struct exchange *exchange = logs->exchange;
    add(logs, drv_buffer_printf(&logs->out,
                                "],\"state\":\"%s\",\"missed\":%" PRIu64 ",\"truncated\":%s}\n",
                                state == 0 ? "" : drover_state_name((enum drover_state)state),
                                logs->missed, is_truncated ? "true" : "false"));
    exchange_answer_buffer(exchange, MHD_HTTP_OK, TYPE_JSON, &logs->out, logs->status);
    logs_close(exchange->http, &exchange->logs);
}

void logs_on_logs(struct http *http, const struct drv_logs *message)
{
    struct logs *logs = NULL;
    DRV_LIST_EACH(link, &http->logs)
    {
        struct logs *item = DRV_LIST_ITEM(link, struct logs, link);
        if (number_of(item) == message->subscription) {
            logs = item;
        }
    }
    if (logs == NULL) {
        return;
    }
    logs->missed += message->first > logs->next ? message->first - logs->next : 0;
    logs->next = message->first + message->piece_count;
    size_t at = 0;
    for (size_t i = 0; i < message->piece_count && logs->text_len < HTTP_LOGS_BYTES; i++) {
        const struct drv_piece *piece = &message->pieces[i];
        put_piece(logs, piece, drv_view_of(message->text.ptr + at, piece->len));
        at += piece->len;
    }
    if (message->state != 0 || logs->text_len >= HTTP_LOGS_BYTES) {
        finish(logs, message->state, logs->text_len >= HTTP_LOGS_BYTES);
    } else {
        uplink_take(&http->uplink, number_of(logs), logs->next - 1);
    }
}

static void on_subscribed(struct ask *ask, drover_status status,
                          const struct drv_document *document, const struct drv_reply *reply)
{
    struct exchange *exchange = ask->context;
    (void)document;
    (void)reply;
    if (status != DROVER_OK && !exchange->is_answered) {
        logs_close(exchange->http, &exchange->logs);
        exchange_fail(exchange, status, NULL);
    }
}

void logs_serve(struct http *http, struct exchange *exchange)
{
    struct logs *logs = calloc(1, sizeof(*logs));
    if (logs == NULL) {
        exchange_fail(exchange, DROVER_NOMEM, NULL);
        return;
    }
    logs->exchange = exchange;
    logs->next = 1;
    drv_buffer_init(&logs->out);
    add(logs, drv_buffer_append_text(&logs->out, "{\"pieces\":["));
    drv_list_push_back(&http->logs, &logs->link);
    exchange->logs = logs;
    exchange->ask.done = on_subscribed;
    exchange->ask.message = (struct drv_message){.kind = DRV_SUBSCRIBE};
    exchange->ask.message.subscribe = (struct drv_subscribe){
        .stream = DRV_STREAM_LOGS,
        .bytes = HTTP_LOGS_BYTES,
        .has_id = true,
        .id = exchange->request.id,
        .index = exchange->request.index,
    };
    drover_status status = uplink_ask(&http->uplink, &exchange->ask, http->now_us);
    if (status != DROVER_OK) {
        logs_close(http, &exchange->logs);
        exchange_fail(exchange, status, NULL);
    }
}

void logs_close(struct http *http, struct logs **logs)
{
    struct logs *l = *logs;
    *logs = NULL;
    if (l == NULL) {
        return;
    }
    if (l->exchange->ask.req != 0) {
        uplink_unsubscribe(&http->uplink, number_of(l));
    }
    drv_list_remove(&l->link);
    drv_buffer_fini(&l->out);
    free(l);
}
