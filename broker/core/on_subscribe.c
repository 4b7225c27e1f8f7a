/*
 * on_subscribe.c: SUBSCRIBE and TAKEN.
 */
#include "broker.h"
#include "guard.h"
#include "handlers.h"

static drover_status begin_events(struct core *core, struct subscription *subscription,
                                  const char **out_text)
{
    (void)out_text;
    subscription->filter.only = guard_only(core);
    events_add_reader(core, subscription);
    return DROVER_OK;
}

static drover_status begin_output(struct core *core, struct subscription *subscription,
                                  const char **out_text)
{
    const struct stream_filter *filter = &subscription->filter;
    struct item item;
    if (!filter->has_id) {
        *out_text = "output of which task?";
        return DROVER_INVALID;
    }
    if (!item_find(core, &filter->id, filter->index, &item)) {
        *out_text = "no such task";
        return DROVER_UNKNOWN;
    }
    if (!guard_admits_task(core, item.task)) {
        *out_text = GUARD_FOREIGN;
        return DROVER_DENIED;
    }
    return output_join(core, subscription, &item);
}

static drover_status begin_shared_data(struct core *core, struct subscription *subscription,
                                       const char **out_text)
{
    if (subscription->filter.text.len == 0 && !(subscription->flags & DRV_SUBSCRIBE_PREFIX)) {
        *out_text = "a key is at least one byte long";
        return DROVER_INVALID;
    }
    events_add_reader(core, subscription);
    return DROVER_OK;
}

static drover_status subscribe(struct core *core, struct session *session,
                               const struct drv_subscribe *message, const char **out_text)
{
    static drover_status (*const begin[])(
        struct core * core, struct subscription * subscription, const char **out_text) = {
        [DRV_STREAM_EVENTS] = begin_events,
        [DRV_STREAM_LOGS] = begin_output,
        [DRV_STREAM_KV] = begin_shared_data,
    };
    struct subscription *subscription;
    if (message->stream > DRV_STREAM_KV) {
        return DROVER_UNSUPPORTED;
    }
    drover_status status = core_has_memory(core, sizeof *subscription)
                               ? subscription_new(core, session, message, &subscription)
                               : DROVER_BUSY;
    if (status == DROVER_BUSY) {
        *out_text = "too many subscriptions";
    }
    if (status) {
        return status;
    }
    status = begin[message->stream](core, subscription, out_text);
    if (status) {
        subscription_free(core, subscription);
    }
    return status;
}

void on_subscribe(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_subscribe *asked = &message->subscribe;
    struct reply *reply = request_ask(core, peer, message->request.req);
    if (reply == NULL) {
        return;
    }
    const char *text = NULL;
    drover_status status = DROVER_OK;
    struct subscription *known = subscription_find(peer->session, asked->subscription);
    if (asked->stream == DRV_STREAM_END) {
        if (known != NULL) {
            subscription_free(core, known);
        }
    } else if (known == NULL) {
        status = subscribe(core, peer->session, asked, &text);
    } else if (known->stream == (enum drv_stream)asked->stream) {
        known->filter.only = guard_only(core);
        subscription_resume(core, known, asked->taken);
        reply->number = 1;
    } else {
        status = DROVER_CONFLICT;
        text = "the subscription brings another stream";
    }
    reply->retry_after_ms = status == DROVER_BUSY ? RETRY_AFTER_MS : 0;
    reply_fail(core, reply, status, text);
}

void on_taken(struct core *core, struct peer *peer, const struct drv_message *message)
{
    for (size_t i = 0; i < message->taken.entry_count; i++) {
        const struct drv_taken_entry *entry = &message->taken.entries[i];
        struct subscription *subscription = subscription_find(peer->session,
                                                              entry->subscription);
        if (subscription != NULL) {
            subscription_taken(core, subscription, entry->number);
        }
    }
}
