/* exchange.c: a request from its first line to its answer; see http.h. */
#include "http_private.h"

#include "action.h"
#include "asset.h"
#include "json.h"
#include "logs.h"
#include "sse.h"

#include "check.h"

#include <drover/drover.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- answers ----------------------------------------------------------------------------- */

void exchange_headers(struct MHD_Response *response, const char *type)
{
    static const struct {
        const char *name;
        const char *value;
    } headers[] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
         "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(headers); i++) {
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

static void free_text(void *context)
{
    struct drv_data *text = context;
    drv_data_unref(&text);
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
    struct drv_data *text = exchange->text;
    exchange->text = NULL;
    struct MHD_Response *response =
        text == NULL ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                     : MHD_create_response_from_buffer_with_free_callback_cls(
                           text->len, text->bytes, free_text, text);
    if (response == NULL) {
        drv_data_unref(&text);
        return MHD_NO;
    }
    exchange_headers(response, exchange->type);
    if (exchange->code == MHD_HTTP_UNAUTHORIZED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    } else if (exchange->code == MHD_HTTP_SERVICE_UNAVAILABLE) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    } else if (exchange->code == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                      exchange->request.route == ROUTE_ACTION ? "POST"
                                                                              : "GET, HEAD");
    }
    if (exchange->must_close) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result result = MHD_queue_response(exchange->connection, exchange->code, response);
    MHD_destroy_response(response);
    return result;
}

static void sleep_until_answered(struct exchange *exchange)
{
    if (!exchange->is_answered && !exchange->is_suspended) {
        exchange->is_suspended = true;
        MHD_suspend_connection(exchange->connection);
    }
}

void exchange_answer(struct exchange *exchange, unsigned code, const char *type,
                     struct drv_data **text)
{
    DRV_ASSERT(!exchange->is_answered);
    exchange->is_answered = true;
    exchange->code = code;
    exchange->type = type;
    exchange->text = *text;
    *text = NULL;
    if (exchange->is_suspended) {
        exchange->is_suspended = false;
        MHD_resume_connection(exchange->connection);
    }
}

static unsigned code_of(drover_status status)
{
    static const struct {
        drover_status status;
        unsigned code;
    } codes[] = {
        {DROVER_INVALID, MHD_HTTP_BAD_REQUEST},
        {DROVER_MALFORMED, MHD_HTTP_BAD_REQUEST},
        {DROVER_UNKNOWN, MHD_HTTP_NOT_FOUND},
        {DROVER_CONFLICT, MHD_HTTP_CONFLICT},
        {DROVER_NOT_READY, MHD_HTTP_CONFLICT},
        {DROVER_REFUSED, MHD_HTTP_CONFLICT},
        {DROVER_DENIED, MHD_HTTP_FORBIDDEN},
        {DROVER_TOO_BIG, MHD_HTTP_CONTENT_TOO_LARGE},
        {DROVER_UNSUPPORTED, MHD_HTTP_NOT_IMPLEMENTED},
        {DROVER_BUSY, MHD_HTTP_SERVICE_UNAVAILABLE},
        {DROVER_DRAINING, MHD_HTTP_SERVICE_UNAVAILABLE},
        {DROVER_UNAVAILABLE, MHD_HTTP_SERVICE_UNAVAILABLE},
        {DROVER_CLOSED, MHD_HTTP_SERVICE_UNAVAILABLE},
        {DROVER_TIMEOUT, MHD_HTTP_GATEWAY_TIMEOUT},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(codes); i++) {
        if (codes[i].status == status) {
            return codes[i].code;
        }
    }
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void exchange_answer_buffer(struct exchange *exchange, unsigned code, const char *type,
                            struct drv_buffer *buffer, drover_status status)
{
    struct drv_data *text = NULL;
    if (status == DROVER_OK) {
        status = drv_data_copy(buffer->bytes, buffer->len, &text);
    }
    drv_buffer_fini(buffer);
    if (status == DROVER_OK) {
        exchange_answer(exchange, code, type, &text);
    } else {
        exchange_fail(exchange, status, NULL);
    }
}

static void refuse(struct exchange *exchange, unsigned code, const char *name, const char *text)
{
    struct drv_buffer buffer;
    struct drv_data *data = NULL;
    drv_buffer_init(&buffer);
    drover_status status = drv_buffer_printf(&buffer,
                                             "{\"error\":{\"code\":\"%s\",\"text\":", name);
    if (status == DROVER_OK) {
        status = drv_json_write_string(drv_view_text(text), &buffer);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append_text(&buffer, "}}\n");
    }
    if (status == DROVER_OK && drv_data_copy(buffer.bytes, buffer.len, &data) != DROVER_OK) {
        data = NULL; /* out of memory: without a text */
    }
    drv_buffer_fini(&buffer);
    exchange_answer(exchange, code, TYPE_JSON, &data);
}

void exchange_fail(struct exchange *exchange, drover_status status, const char *text)
{
    refuse(exchange, code_of(status), drover_status_name(status),
           text != NULL ? text : drover_status_text(status));
}

static void forget_questions(struct exchange *exchange)
{
    uplink_forget(&exchange->http->uplink, &exchange->ask);
    drv_list_remove(&exchange->waiting);
    logs_close(exchange->http, &exchange->logs);
}

void exchange_abandon(struct exchange *exchange, drover_status status)
{
    if (exchange != NULL && exchange->is_suspended) {
        forget_questions(exchange);
        exchange_fail(exchange, status, NULL);
    }
}

/* ---- routes ------------------------------------------------------------------------------ */

static void on_document(struct ask *ask, drover_status status,
                        const struct drv_document *document, const struct drv_reply *reply)
{
    struct exchange *exchange = ask->context;
    (void)reply;
    if (status != DROVER_OK || document == NULL) {
        exchange_fail(exchange, status, NULL);
        return;
    }
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    status = document_json(document, &buffer);
    exchange_answer_buffer(exchange, MHD_HTTP_OK, TYPE_JSON, &buffer, status);
}

static void serve_query(struct http *http, struct exchange *exchange)
{
    exchange->ask.message = (struct drv_message){.kind = DRV_QUERY};
    inquiry_query(&exchange->request, &exchange->ask.message.query);
    exchange->ask.done = on_document;
    drover_status status = uplink_ask(&http->uplink, &exchange->ask, http->now_us);
    if (status != DROVER_OK) {
        exchange_fail(exchange, status, NULL);
    }
}

static enum inquiry_right right_of(const struct http *http, const struct exchange *exchange)
{
    return inquiry_right(&http->config,
                         MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_AUTHORIZATION));
}

static void serve_about(struct http *http, struct exchange *exchange)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    drover_status status = drv_buffer_printf(
        &buffer,
        "{\"version\":\"" DROVER_VERSION_STRING "\",\"actions\":%s,\"token\":%s,"
        "\"may_act\":%s,\"has\":[\"schedules\",\"alerts\",\"graphs\"]}\n",
        http->config.token_len > 0 ? "true" : "false", http->config.is_open ? "true" : "false",
        right_of(http, exchange) == RIGHT_GIVEN ? "true" : "false");
    exchange_answer_buffer(exchange, MHD_HTTP_OK, TYPE_JSON, &buffer, status);
}

static void serve_health(struct http *http, struct exchange *exchange, bool wants_ready)
{
    struct channel_pulse *pulse = &http->channel.pulse;
    int64_t turned_at_us = atomic_load(&pulse->turned_at_us);
    bool turns = turned_at_us != 0 && http->now_us - turned_at_us < HTTP_STUCK_US;
    bool store = !atomic_load(&pulse->has_failed);
    bool serving = atomic_load(&pulse->is_serving);
    bool draining = atomic_load(&pulse->is_draining);
    bool full = atomic_load(&pulse->is_full);
    bool is_well = turns && store && (!wants_ready || (serving && !draining));
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    drover_status status = drv_buffer_printf(
        &buffer,
        "{\"ok\":%s,\"loop\":%s,\"store\":%s,\"serving\":%s,\"draining\":%s,\"disk_full\":%s}"
        "\n",
        is_well ? "true" : "false", turns ? "true" : "false", store ? "true" : "false",
        serving ? "true" : "false", draining ? "true" : "false", full ? "true" : "false");
    exchange_answer_buffer(exchange, is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                           TYPE_JSON, &buffer, status);
}

static void serve_file(struct exchange *exchange, const char *path)
{
    const struct asset *asset = asset_find(path);
    struct drv_data *text = NULL;
    if (asset == NULL) {
        exchange_fail(exchange, DROVER_UNKNOWN, "there is nothing at this path");
    } else if (drv_data_copy(asset->bytes, asset->len, &text) != DROVER_OK) {
        exchange_fail(exchange, DROVER_NOMEM, NULL);
    } else {
        exchange_answer(exchange, MHD_HTTP_OK, asset->type, &text);
    }
}

static void start(struct http *http, struct exchange *exchange, const char *path)
{
    switch (exchange->request.route) {
    case ROUTE_NONE:
    case ROUTE_FILE:
        serve_file(exchange, path);
        break;
    case ROUTE_ABOUT:
        serve_about(http, exchange);
        break;
    case ROUTE_STATUS:
    case ROUTE_METRICS:
        snapshot_serve(http, exchange);
        break;
    case ROUTE_QUERY:
        serve_query(http, exchange);
        break;
    case ROUTE_LOGS:
        logs_serve(http, exchange);
        break;
    case ROUTE_EVENTS: /* those that have room answer by themselves */
        exchange_fail(exchange, DROVER_BUSY, "as many streams are open as there may be");
        break;
    case ROUTE_HEALTHZ:
    case ROUTE_READYZ:
        serve_health(http, exchange, exchange->request.route == ROUTE_READYZ);
        break;
    case ROUTE_ACTION:
        action_serve(http, exchange);
        break;
    }
}

/* ---- the first look ---------------------------------------------------------------------- */

static enum MHD_Result read_parameter(void *context, enum MHD_ValueKind kind, const char *key,
                                      size_t key_len, const char *value, size_t value_len)
{
    struct exchange *exchange = context;
    bool has_nul = strlen(key) != key_len || (value != NULL && strlen(value) != value_len);
    (void)kind;
    if (!exchange->is_answered &&
        (has_nul || inquiry_parameter(&exchange->request, key, value) != DROVER_OK)) {
        refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid",
               "a parameter is not known here, or its value makes no sense");
    }
    return exchange->is_answered ? MHD_NO : MHD_YES;
}

static bool is_data(enum inquiry_route route)
{
    return route != ROUTE_FILE && route != ROUTE_NONE && route != ROUTE_HEALTHZ &&
           route != ROUTE_READYZ;
}

static void check_right(struct http *http, struct exchange *exchange)
{
    bool is_action = exchange->request.route == ROUTE_ACTION;
    if (!is_action && !(http->config.is_open && is_data(exchange->request.route))) {
        return;
    }
    if (http->config.token_len == 0) {
        refuse(exchange, MHD_HTTP_FORBIDDEN, "denied",
               "this broker takes no actions over HTTP: it has no --http-token-file");
        return;
    }
    enum inquiry_right right = right_of(http, exchange);
    if (right == RIGHT_NONE) {
        refuse(exchange, MHD_HTTP_UNAUTHORIZED, "denied", "a bearer token is needed");
    } else if (right == RIGHT_WRONG) {
        refuse(exchange, MHD_HTTP_FORBIDDEN, "denied", "the bearer token is wrong");
    } else if (right == RIGHT_METRICS && exchange->request.route != ROUTE_METRICS) {
        refuse(exchange, MHD_HTTP_FORBIDDEN, "denied", "this token is for /metrics alone");
    } else {
        /* it may */
    }
}

struct framing { /* how often each is there */
    unsigned host, origin, authorization, length, transfer;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    struct framing *framing = context;
    struct {
        const char *name;
        unsigned *count;
    } const once[] = {
        {MHD_HTTP_HEADER_HOST, &framing->host},
        {MHD_HTTP_HEADER_ORIGIN, &framing->origin},
        {MHD_HTTP_HEADER_AUTHORIZATION, &framing->authorization},
        {MHD_HTTP_HEADER_CONTENT_LENGTH, &framing->length},
        {MHD_HTTP_HEADER_TRANSFER_ENCODING, &framing->transfer},
    };
    (void)kind;
    (void)value;
    for (size_t i = 0; i < DRV_ARRAY_LEN(once); i++) {
        *once[i].count += strcasecmp(key, once[i].name) == 0;
    }
    return MHD_YES;
}

/* Whether somebody before us could have understood this head in another way: which of two is
 * meant, or where the body ends. */
static bool is_ambiguous(struct exchange *exchange)
{
    struct framing framing = {0};
    (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_header,
                                    &framing);
    return framing.host > 1 || framing.origin > 1 || framing.authorization > 1 ||
           framing.length > 1 || framing.transfer > 1 ||
           (framing.length > 0 && framing.transfer > 0);
}

/* Everything that can be told from the head. */
static void look(struct http *http, struct exchange *exchange, const char *url,
                 const char *method)
{
    const char *host = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND,
                                                   MHD_HTTP_HEADER_HOST);
    const char *origin = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_ORIGIN);
    drover_status status = inquiry_path(url, &exchange->request);
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (is_ambiguous(exchange)) {
        exchange->must_close = true;
        refuse(exchange, MHD_HTTP_BAD_REQUEST, "malformed",
               "a header is there twice, or both Content-Length and Transfer-Encoding");
    } else if (!inquiry_host_is_ours(&http->config, host)) {
        refuse(exchange, MHD_HTTP_MISDIRECTED_REQUEST, "denied",
               "this Host is not served here, see --http-allow-host");
    } else if (!inquiry_origin_is_ours(origin, host)) {
        refuse(exchange, MHD_HTTP_FORBIDDEN, "denied", "this comes from a foreign page");
    } else if (status != DROVER_OK) {
        exchange_fail(exchange, status,
                      status == DROVER_UNKNOWN ? "there is nothing at this path"
                                               : "the path names nothing that could be there");
    } else if (exchange->request.route == ROUTE_ACTION ? strcmp(method, "POST") != 0
                                                       : !is_read) {
        refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "unsupported",
               "not a method of this path");
    } else {
        check_right(http, exchange);
    }
    if (!exchange->is_answered && exchange->request.route != ROUTE_FILE) {
        (void)MHD_get_connection_values_n(exchange->connection, MHD_GET_ARGUMENT_KIND,
                                          read_parameter, exchange);
    }
}

static struct exchange *begin(struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL || info == NULL || info->socket_context == NULL) {
        free(exchange);
        return NULL;
    }
    exchange->http = http;
    exchange->connection = connection;
    exchange->guest = info->socket_context;
    exchange->guest->exchange = exchange;
    exchange->guest->since_us = http->now_us;
    drv_list_remove(&exchange->guest->link);
    drv_list_push_back(&http->guests, &exchange->guest->link);
    ask_init(&exchange->ask, on_document, exchange);
    drv_list_init(&exchange->waiting);
    return exchange;
}

static void take_body(struct exchange *exchange, const char *bytes, size_t len)
{
    if (len > HTTP_BODY_MAX - exchange->body_len) {
        exchange->is_body_too_big = true;
        return;
    }
    memcpy(exchange->body + exchange->body_len, bytes, len);
    exchange->body_len += len;
}

enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection,
                                const char *url, const char *method, const char *version,
                                const char *upload, size_t *upload_len, void **state)
{
    struct http *http = context;
    struct exchange *exchange = *state;
    (void)version;
    if (exchange == NULL) {
        exchange = begin(http, connection);
        *state = exchange;
        if (exchange == NULL) {
            return MHD_NO;
        }
        look(http, exchange, url, method);
        return exchange->is_answered ? send_answer(exchange) : MHD_YES;
    }
    if (*upload_len > 0) {
        take_body(exchange, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (!exchange->is_started) {
        exchange->is_started = true;
        if (exchange->is_body_too_big) {
            exchange_fail(exchange, DROVER_TOO_BIG, NULL);
        } else if (exchange->request.route == ROUTE_EVENTS && streams_have_room(http)) {
            return stream_open(http, exchange);
        } else {
            start(http, exchange, url);
        }
    }
    if (exchange->is_answered) {
        return send_answer(exchange);
    }
    sleep_until_answered(exchange);
    return MHD_YES;
}

void exchange_completed(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how)
{
    struct http *http = context;
    struct exchange *exchange = *state;
    (void)connection;
    (void)how;
    *state = NULL;
    if (exchange == NULL) {
        return;
    }
    forget_questions(exchange);
    drv_data_unref(&exchange->text);
    exchange->guest->exchange = NULL;
    exchange->guest->since_us = http->now_us;
    drv_list_remove(&exchange->guest->link);
    drv_list_push_back(&http->guests, &exchange->guest->link);
    free(exchange);
}
