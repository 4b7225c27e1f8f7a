/* action.c: see action.h. */
#include "action.h"

static drover_status write_outcome(const struct exchange *exchange, struct drv_buffer *out)
{
    char text[DROVER_ID_TEXT_LEN + 1];
    if (exchange->request.action != ACTION_RETRY) {
        return drv_buffer_append_text(out, "{\"ok\":true}\n");
    }
    drover_id_format(&exchange->target.new_id, text);
    return drv_buffer_printf(out, "{\"ok\":true,\"retried_as\":\"%s\"}\n", text);
}

static void on_reply(struct ask *ask, drover_status status, const struct drv_document *document,
                     const struct drv_reply *reply)
{
    struct exchange *exchange = ask->context;
    (void)document;
    if (status == DROVER_OK && reply != NULL && reply->note_count > 0) {
        status = (drover_status)reply->notes[0].code;
    }
    if (status != DROVER_OK) {
        exchange_fail(exchange, status, NULL);
        return;
    }
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    status = write_outcome(exchange, &buffer);
    exchange_answer_buffer(exchange, MHD_HTTP_OK, TYPE_JSON, &buffer, status);
}

static drover_status about_task(struct exchange *exchange, enum drv_kind kind)
{
    const struct inquiry *request = &exchange->request;
    exchange->target = (struct drv_target){.id = request->id, .index = request->index};
    exchange->ask.message.kind = kind;
    exchange->ask.message.targets = (struct drv_targets){.targets = &exchange->target,
                                                         .target_count = 1};
    if (kind == DRV_CANCEL) {
        exchange->ask.message.targets.text = drv_str_of("cancelled on the web page");
        return DROVER_OK;
    }
    return drover_id_new(&exchange->target.new_id);
}

/* A name that is mistyped makes no queue that stands in all lists from then on. */
static uint32_t queue_op(const struct inquiry *request)
{
    if (request->action == ACTION_PAUSE) {
        return request->may_create ? DRV_QUEUE_PAUSE : DRV_QUEUE_PAUSE_KNOWN;
    }
    return request->may_create ? DRV_QUEUE_RESUME : DRV_QUEUE_RESUME_KNOWN;
}

static drover_status fill(struct exchange *exchange)
{
    struct drv_message *message = &exchange->ask.message;
    struct drv_str name = drv_str_of(exchange->request.name);
    *message = (struct drv_message){.kind = DRV_QUEUE};
    switch (exchange->request.action) {
    case ACTION_NONE:
        return DROVER_INTERNAL;
    case ACTION_CANCEL:
        return about_task(exchange, DRV_CANCEL);
    case ACTION_RETRY:
        return about_task(exchange, DRV_RETRY);
    case ACTION_PAUSE:
    case ACTION_RESUME:
        message->queue.op = queue_op(&exchange->request);
        message->queue.queue = name;
        return DROVER_OK;
    case ACTION_DRAIN:
    case ACTION_UNDRAIN:
        message->kind = DRV_WORKER;
        message->worker.op = exchange->request.action == ACTION_DRAIN ? DRV_WORKER_DRAIN
                                                                      : DRV_WORKER_RESUME;
        message->worker.worker = name;
        return DROVER_OK;
    case ACTION_ACKNOWLEDGE:
    case ACTION_SILENCE:
    case ACTION_UNSILENCE:
        message->kind = DRV_ALERT;
        message->alert.op = exchange->request.action == ACTION_ACKNOWLEDGE ? DRV_ALERT_ACK
                                                                           : DRV_ALERT_SILENCE;
        message->alert.rule = name;
        message->alert.time_ms = exchange->request.time_ms;
        if (exchange->request.has_text) {
            message->alert.subject = drv_str_of(exchange->request.text);
        }
        return DROVER_OK;
    }
    return DROVER_INTERNAL;
}

void action_serve(struct http *http, struct exchange *exchange)
{
    exchange->ask.done = on_reply;
    drover_status status = fill(exchange);
    if (status == DROVER_OK) {
        status = uplink_ask(&http->uplink, &exchange->ask, http->now_us);
    }
    if (status != DROVER_OK) {
        exchange_fail(exchange, status, NULL);
    }
}
