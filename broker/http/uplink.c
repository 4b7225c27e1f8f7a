/* uplink.c: see uplink.h. */
#include "uplink.h"

#include "check.h"

#include <drover/drover.h>

#include <string.h>

enum {
    ARENA_KEEP = 64 << 10,
    BURST = 64, /* frames taken in at a time */
};

void uplink_init(struct uplink *uplink, struct channel *channel, uplink_stream_fn on_stream,
                 uplink_anew_fn on_anew, void *context)
{
    memset(uplink, 0, sizeof(*uplink));
    uplink->channel = channel;
    uplink->on_stream = on_stream;
    uplink->on_anew = on_anew;
    uplink->context = context;
    drv_arena_init(&uplink->arena, ARENA_KEEP);
    drv_list_init(&uplink->asks);
}

/* Ends an ask; it may be asked again, or freed, by whoever is told. */
static void finish(struct uplink *uplink, struct ask *ask, drover_status status,
                   const struct drv_document *document, const struct drv_reply *reply)
{
    drv_list_remove(&ask->link);
    uplink->ask_count--;
    ask->done(ask, status, document, reply);
}

static void fail_all(struct uplink *uplink, drover_status status)
{
    struct drv_list failed;
    struct drv_list *link;
    drv_list_init(&failed);
    drv_list_splice_back(&failed, &uplink->asks);
    while ((link = drv_list_first(&failed)) != NULL) {
        finish(uplink, DRV_LIST_ITEM(link, struct ask, link), status, NULL, NULL);
    }
}

static void disconnect(struct uplink *uplink, int64_t now_us)
{
    drv_link_destroy(&uplink->link);
    uplink->is_open = false;
    uplink->again_at_us = now_us + UPLINK_AGAIN_US;
    fail_all(uplink, DROVER_UNAVAILABLE);
}

void uplink_fini(struct uplink *uplink)
{
    drv_link_destroy(&uplink->link);
    fail_all(uplink, DROVER_CLOSED);
    drv_arena_fini(&uplink->arena);
}

/* ---- out --------------------------------------------------------------------------------- */

static void pump(struct uplink *uplink)
{
    struct drv_frames frames;
    uplink->is_pressed = false;
    while (uplink->link != NULL && drv_link_next(uplink->link, &frames)) {
        struct channel_frames out = {.head = frames.head,
                                     .blob = frames.blob,
                                     .blob_offset = frames.blob_offset,
                                     .blob_len = frames.blob_len,
                                     .generation = uplink->generation};
        if (!channel_push(&uplink->channel->up, &out)) {
            drv_link_unsend(uplink->link, &frames);
            uplink->is_pressed = true;
            return;
        }
    }
}

/* Every connection is a session of its own: after one that broke nothing is resumed. */
static drover_status connect_anew(struct uplink *uplink)
{
    struct drv_link_config config = {.window_out = UPLINK_WINDOW_BYTES,
                                     .window_in = UPLINK_WINDOW_BYTES,
                                     .ack_delay_us = UPLINK_ACK_DELAY_US};
    drover_status status = drover_id_new(&uplink->session);
    if (status == DROVER_OK) {
        status = drv_link_new(&config, &uplink->link);
    }
    if (status != DROVER_OK) {
        return status;
    }
    uplink->generation++;
    uplink->req = 0;
    uplink->subscription = 0;
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){.version_min = DRV_PROTOCOL_VERSION,
                                       .version_max = DRV_PROTOCOL_VERSION,
                                       .role = DRV_ROLE_CLIENT,
                                       .session = uplink->session,
                                       .name = drv_str_of("http"),
                                       .software = drv_str_of("drover/" DROVER_VERSION_STRING),
                                       .credit_items = 64,
                                       .credit_bytes = UPLINK_WINDOW_BYTES};
    return drv_link_send(uplink->link, &message, 0);
}

static bool is_request(enum drv_kind kind)
{
    return kind >= DRV_SUBMIT && kind <= DRV_ALERT;
}

/* The replies to all requests below this number were received. */
static uint64_t floor_of(const struct uplink *uplink, uint64_t req)
{
    DRV_LIST_EACH(link, &uplink->asks)
    {
        const struct ask *ask = DRV_LIST_ITEM(link, struct ask, link);
        if (ask->req != 0 && ask->req < req) {
            req = ask->req;
        }
    }
    return req;
}

static drover_status send_ask(struct uplink *uplink, struct ask *ask)
{
    ask->req = ++uplink->req;
    if (ask->message.kind == DRV_SUBSCRIBE) {
        ask->message.subscribe.subscription = ++uplink->subscription;
    }
    if (ask->message.kind == DRV_SUBSCRIBE || ask->message.kind == DRV_QUERY) {
        ask->message.request = (struct drv_request){.req = ask->req};
    } else {
        DRV_ASSERT(is_request(ask->message.kind));
        ask->message.request = (struct drv_request){.req = ask->req,
                                                    .floor = floor_of(uplink, ask->req),
                                                    .budget_ms = UPLINK_ASK_US / 1000};
    }
    return drv_link_send(uplink->link, &ask->message, 0);
}

static void send_waiting(struct uplink *uplink)
{
    struct drv_list unsent;
    struct drv_list *link;
    drv_list_init(&unsent);
    drv_list_splice_back(&unsent, &uplink->asks);
    while ((link = drv_list_pop_front(&unsent)) != NULL) {
        struct ask *ask = DRV_LIST_ITEM(link, struct ask, link);
        drv_list_push_back(&uplink->asks, link);
        drover_status status = ask->req == 0 ? send_ask(uplink, ask) : DROVER_OK;
        if (status != DROVER_OK) {
            finish(uplink, ask, status, NULL, NULL);
        }
    }
}

drover_status uplink_ask(struct uplink *uplink, struct ask *ask, int64_t now_us)
{
    if (uplink->ask_count >= UPLINK_ASKS_MAX) {
        return DROVER_BUSY;
    }
    if (uplink->link == NULL) {
        if (now_us < uplink->again_at_us) {
            return DROVER_UNAVAILABLE;
        }
        uplink->heard_at_us = now_us;
        drover_status status = connect_anew(uplink);
        if (status != DROVER_OK) {
            drv_link_destroy(&uplink->link);
            return status;
        }
    }
    ask->req = 0;
    ask->deadline_us = now_us + UPLINK_ASK_US;
    if (uplink->is_open) {
        drover_status status = send_ask(uplink, ask);
        if (status != DROVER_OK) {
            return status;
        }
    }
    uplink->ask_count++;
    drv_list_push_back(&uplink->asks, &ask->link);
    pump(uplink);
    return DROVER_OK;
}

void uplink_forget(struct uplink *uplink, struct ask *ask)
{
    if (drv_list_is_linked(&ask->link)) {
        drv_list_remove(&ask->link);
        uplink->ask_count--;
    }
}

void uplink_take(struct uplink *uplink, uint64_t subscription, uint64_t number)
{
    struct drv_taken_entry entry = {.subscription = subscription, .number = number};
    struct drv_message message = {.kind = DRV_TAKEN};
    message.taken = (struct drv_taken){.entries = &entry, .entry_count = 1};
    if (uplink->is_open && drv_link_send(uplink->link, &message, 0) == DROVER_OK) {
        pump(uplink);
    }
}

void uplink_unsubscribe(struct uplink *uplink, uint64_t subscription)
{
    struct drv_message message = {.kind = DRV_SUBSCRIBE};
    message.subscribe = (struct drv_subscribe){
        .subscription = subscription, .stream = DRV_STREAM_END, .index = DROVER_INDEX_NONE};
    message.request.req = uplink->req + 1;
    if (uplink->is_open && drv_link_send(uplink->link, &message, 0) == DROVER_OK) {
        uplink->req++;
        pump(uplink);
    }
}

/* ---- in ---------------------------------------------------------------------------------- */

static struct ask *find(const struct uplink *uplink, uint64_t req)
{
    DRV_LIST_EACH(link, &uplink->asks)
    {
        struct ask *ask = DRV_LIST_ITEM(link, struct ask, link);
        if (ask->req == req) {
            return ask;
        }
    }
    return NULL;
}

static void on_document(struct uplink *uplink, const struct drv_document *document)
{
    struct ask *ask = find(uplink, document->req);
    if (ask != NULL) {
        finish(uplink, ask, (drover_status)document->code, document, NULL);
    }
}

static void on_replies(struct uplink *uplink, const struct drv_replies *replies)
{
    for (size_t i = 0; i < replies->reply_count; i++) {
        struct ask *ask = find(uplink, replies->replies[i].req);
        if (ask != NULL) {
            finish(uplink, ask, (drover_status)replies->replies[i].code, NULL,
                   &replies->replies[i]);
        }
    }
}

static void on_welcome(struct uplink *uplink, const struct drv_message *message)
{
    drv_link_set_epoch(uplink->link, message->epoch);
    drv_link_set_window_out(uplink->link, message->welcome.credit_bytes);
    uplink->is_open = true;
    uplink->on_anew(uplink->context);
    send_waiting(uplink);
}

/* An error that speaks of one message fails the question that it was. */
static bool is_about_one(const struct drv_failure *failure)
{
    return failure->about_kind != 0 &&
           (failure->code == DROVER_UNSUPPORTED || failure->code == DROVER_BUSY ||
            failure->code == DROVER_DRAINING);
}

static void dispatch(struct uplink *uplink, const struct drv_message *message, int64_t now_us)
{
    drv_link_settle(uplink->link, message->seq, now_us);
    if (message->kind == DRV_DOCUMENT) {
        on_document(uplink, &message->document);
    } else if (message->kind == DRV_REPLY) {
        on_replies(uplink, &message->reply);
    } else if (message->kind == DRV_WELCOME) {
        on_welcome(uplink, message);
    } else if (message->kind == DRV_EVENTS || message->kind == DRV_LOGS) {
        uplink->on_stream(uplink->context, message);
    } else if (message->kind == DRV_GOODBYE ||
               (message->kind == DRV_ERROR && !is_about_one(&message->failure))) {
        disconnect(uplink, now_us);
    } else {
        /* heartbeats, and what a client of this kind has no use for */
    }
}

static void receive(struct uplink *uplink, const struct channel_frames *frames, int64_t now_us)
{
    struct drv_message message;
    const char *reason = NULL;
    const uint8_t *blob = frames->blob == NULL ? NULL
                                               : frames->blob->bytes + frames->blob_offset;
    uint64_t token;
    memset(&message, 0, offsetof(struct drv_message, hello));
    drv_arena_reset(&uplink->arena);
    drover_status status = drv_link_receive_bytes(uplink->link, frames->head->bytes,
                                                  frames->head->len, blob, frames->blob_len,
                                                  now_us, &uplink->arena, &message, &reason);
    while (drv_link_settled(uplink->link, &token)) {
        /* nothing waits for that */
    }
    if (status != DROVER_OK && status != DROVER_UNSUPPORTED && status != DROVER_EPOCH) {
        disconnect(uplink, now_us);
    } else if (status == DROVER_OK && message.kind != 0) {
        dispatch(uplink, &message, now_us);
    }
}

/* A broker that answers nothing may have given the connection up: it is made anew then. */
static void end_late(struct uplink *uplink, int64_t now_us)
{
    struct drv_list *link;
    bool is_late = false;
    while ((link = drv_list_first(&uplink->asks)) != NULL &&
           DRV_LIST_ITEM(link, struct ask, link)->deadline_us <= now_us) {
        finish(uplink, DRV_LIST_ITEM(link, struct ask, link), DROVER_TIMEOUT, NULL, NULL);
        is_late = true;
    }
    if (is_late && uplink->link != NULL && now_us - uplink->heard_at_us >= UPLINK_ASK_US) {
        disconnect(uplink, now_us);
    }
}

void uplink_turn(struct uplink *uplink, int64_t now_us)
{
    struct channel_frames frames;
    channel_seen(&uplink->channel->down);
    for (int i = 0; i < BURST && channel_pop(&uplink->channel->down, &frames); i++) {
        if (uplink->link != NULL && frames.generation == uplink->generation) {
            uplink->heard_at_us = now_us;
            receive(uplink, &frames, now_us);
        }
        channel_frames_fini(&frames);
    }
    if (!channel_is_empty(&uplink->channel->down)) {
        channel_wake(&uplink->channel->down);
    }
    end_late(uplink, now_us);
    if (uplink->link != NULL) {
        drv_link_tick(uplink->link, now_us);
        pump(uplink);
    }
}

int64_t uplink_deadline_us(const struct uplink *uplink, int64_t now_us)
{
    int64_t deadline_us = uplink->link == NULL ? INT64_MAX : drv_link_deadline_us(uplink->link);
    const struct drv_list *link = drv_list_first(&uplink->asks);
    if (link != NULL && DRV_LIST_ITEM(link, struct ask, link)->deadline_us < deadline_us) {
        deadline_us = DRV_LIST_ITEM(link, struct ask, link)->deadline_us;
    }
    if (uplink->is_pressed && now_us + UPLINK_PRESSED_US < deadline_us) {
        deadline_us = now_us + UPLINK_PRESSED_US;
    }
    return deadline_us;
}
