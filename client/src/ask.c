#include "ask.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep_text(struct drv_ask *ask, struct drv_str text)
{
    size_t len = text.len < sizeof(ask->text) - 1 ? text.len : sizeof(ask->text) - 1;
    if (len > 0) {
        memcpy(ask->text, text.ptr, len);
    }
    ask->text[len] = '\0';
}

static drover_status take_reply(struct drv_ask *ask, const struct drv_reply *reply)
{
    ask->number = reply->number;
    if (reply->note_count > 0 && reply->notes[0].has_id) {
        ask->has_id = true;
        ask->id = reply->notes[0].id;
    }
    if (ask->status == DROVER_OK && reply->note_count > 0 &&
        reply->notes[0].code != DROVER_OK) {
        ask->status = (drover_status)reply->notes[0].code;
        ask->has_note = true;
        ask->position = reply->notes[0].position;
        keep_text(ask, reply->notes[0].text);
    }
    if (ask->status != DROVER_OK || !ask->wants_value) {
        return ask->status;
    }
    return drv_value_from_val(&reply->val, &ask->value);
}

static drover_status take_document(struct drv_ask *ask, const struct drv_document *document)
{
    if (ask->status != DROVER_OK) {
        return ask->status;
    }
    if (ask->cursor != NULL) {
        size_t len = document->cursor.len <= DROVER_CURSOR_MAX ? document->cursor.len : 0;
        ask->cursor->len = len;
        if (len > 0) {
            memcpy(ask->cursor->bytes, document->cursor.ptr, len);
        }
    }
    return drover_value_from_msgpack(document->body.ptr, document->body.len, &ask->value);
}

static void on_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct drv_ask *ask = DRV_CONTAINER_OF(pending, struct drv_ask, pending);
    ask->is_done = true;
    ask->status = answer->status;
    ask->retry_after_ms = answer->retry_after_ms;
    ask->client->progress++;
    keep_text(ask, answer->text);
    if (answer->reply != NULL) {
        ask->status = take_reply(ask, answer->reply);
    } else if (answer->document != NULL) {
        ask->status = take_document(ask, answer->document);
    } else {
        /* the session's own answer */
    }
}

void drv_ask_init(struct drv_ask *ask, drover_client *client, enum drv_kind kind)
{
    memset(ask, 0, offsetof(struct drv_ask, text));
    ask->text[0] = '\0';
    drv_pending_init(&ask->pending, kind, on_answer);
    ask->client = client;
}

void drv_ask_fini(struct drv_ask *ask)
{
    drover_value_destroy(&ask->value);
}

static bool is_done(void *context)
{
    const struct drv_ask *ask = context;
    return ask->is_done;
}

drover_status drv_ask_run(struct drv_ask *ask, int64_t deadline_us)
{
    drover_client *client = ask->client;
    ask->pending.deadline_us = deadline_us;
    drv_session_ask(client->session, &ask->pending);
    drover_status status = drv_client_wait(client, is_done, ask, deadline_us);
    if (status != DROVER_OK) {
        drv_session_withdraw(client->session, &ask->pending);
        return status;
    }
    if (ask->status != DROVER_OK && ask->text[0] != '\0') {
        return drv_client_say(client, ask->status, "%s: %s", drover_status_text(ask->status),
                              ask->text);
    }
    return ask->status;
}

drover_status drv_ask_call(struct drv_ask *ask, int64_t timeout_ms)
{
    drover_status status = drv_client_enter(ask->client);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_ask_run(ask, drv_answer_deadline_us(timeout_ms));
    return drv_client_leave(ask->client, status);
}

struct unattended {
    struct drv_pending pending;
    struct drv_target target;
};

static void on_unattended(struct drv_pending *pending, const struct drv_answer *answer)
{
    (void)answer;
    free(DRV_CONTAINER_OF(pending, struct unattended, pending));
}

void drv_ask_cancel_unattended(drover_client *client, const drover_id *id, uint32_t index,
                               const char *reason)
{
    struct unattended *cancel = calloc(1, sizeof(*cancel));
    if (cancel == NULL) {
        return;
    }
    drv_pending_init(&cancel->pending, DRV_CANCEL, on_unattended);
    cancel->target.id = *id;
    cancel->target.index = index;
    cancel->pending.message.targets.targets = &cancel->target;
    cancel->pending.message.targets.target_count = 1;
    cancel->pending.message.targets.text = drv_str_of(reason);
    drv_session_ask(client->session, &cancel->pending);
}

struct drv_val drv_ask_val(const drover_value *value)
{
    struct drv_val val = {.is_nil = value == NULL};
    if (value != NULL) {
        const void *bytes;
        drover_value_bytes(value, &bytes, &val.len);
        val.bytes = bytes;
        const char *type = drover_value_content_type(value);
        val.content_type = type[0] != '\0' ? drv_str_of(type) : (struct drv_str){NULL, 0};
    }
    return val;
}
