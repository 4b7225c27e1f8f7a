#include "stream.h"

#include "broker.h"
#include "check.h"
#include "event.h"
#include "output.h"

#include <string.h>

/* --- data and entries -------------------------------------------------------------------- */

struct stream_data *stream_data_new(struct core *core, size_t len)
{
    struct stream_data *data = core_alloc(core, sizeof *data + len);
    if (data != NULL) {
        data->references = 1;
        data->len = (uint32_t)len;
        data->at_us = core->now_us;
    }
    return data;
}

void stream_data_release(struct core *core, struct stream_data **data)
{
    struct stream_data *released = *data;
    *data = NULL;
    if (released != NULL && --released->references == 0) {
        core_free(core, released, sizeof *released + released->len);
    }
}

static uint64_t entry_cost(const struct stream_entry *entry)
{
    return DRV_STREAM_ENTRY_BYTES + (entry->data == NULL ? 0 : entry->data->len);
}

static void entry_free(struct core *core, struct subscription *subscription,
                       struct stream_entry *entry)
{
    if (subscription->unsent == &entry->link) {
        subscription->unsent = entry->link.next;
    }
    subscription->count--;
    subscription->bytes -= entry_cost(entry);
    drv_list_remove(&entry->link);
    stream_data_release(core, &entry->data);
    core_free(core, entry, sizeof *entry);
}

static bool entry_add(struct core *core, struct subscription *subscription,
                      struct stream_data *data)
{
    struct stream_entry *entry = core_alloc(core, sizeof *entry);
    if (entry == NULL) {
        return false;
    }
    entry->number = subscription->last;
    entry->data = data;
    if (data != NULL) {
        data->references++;
    }
    drv_list_push_back(&subscription->entries, &entry->link);
    if (subscription->unsent == &subscription->entries) {
        subscription->unsent = &entry->link;
    }
    subscription->count++;
    subscription->bytes += entry_cost(entry);
    return true;
}

/* --- life -------------------------------------------------------------------------------- */

static uint64_t window_of(uint64_t asked, uint64_t standard, uint64_t max)
{
    uint64_t window = asked == 0 ? standard : asked;
    return window < max ? window : max;
}

/* Copies a text behind the subscription. */
static struct drv_str keep_text(char **at, struct drv_str text)
{
    if (text.ptr == NULL) {
        return text;
    }
    struct drv_str kept = str_of(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    *at += text.len;
    return kept;
}

static size_t texts_len(const struct drv_subscribe *subscribe)
{
    return subscribe->queue.len + subscribe->type.len + subscribe->worker.len +
           subscribe->text.len + subscribe->tag_name.len + subscribe->tag_value.len +
           subscribe->group.len;
}

static void filter_fill(struct stream_filter *filter, const struct drv_subscribe *subscribe,
                        char *at)
{
    filter->mask = subscribe->mask == 0 ? UINT64_MAX : subscribe->mask;
    filter->has_id = subscribe->has_id;
    filter->id = subscribe->id;
    filter->index = subscribe->index;
    filter->queue = keep_text(&at, subscribe->queue);
    filter->type = keep_text(&at, subscribe->type);
    filter->worker = keep_text(&at, subscribe->worker);
    filter->text = keep_text(&at, subscribe->text);
    filter->tag_name = keep_text(&at, subscribe->tag_name);
    filter->tag_value = keep_text(&at, subscribe->tag_value);
    filter->group = keep_text(&at, subscribe->group);
}

static bool may_grant(const struct core *core, const struct session *session, uint64_t bytes)
{
    return session->subscription_count < DRV_SUBSCRIPTIONS_MAX &&
           session->stream_bytes + bytes <= STREAM_SESSION_BYTES &&
           core->stream_bytes + bytes <= core->config.stream_bytes_max;
}

drover_status subscription_new(struct core *core, struct session *session,
                               const struct drv_subscribe *subscribe,
                               struct subscription **out_subscription)
{
    uint64_t bytes = window_of(subscribe->bytes, DRV_STREAM_BYTES, DRV_STREAM_BYTES_MAX);
    size_t size = sizeof(struct subscription) + texts_len(subscribe);
    if (!may_grant(core, session, bytes)) {
        return DROVER_BUSY;
    }
    struct subscription *subscription = core_alloc(core, size);
    if (subscription == NULL) {
        return DROVER_NOMEM;
    }
    subscription->number = subscribe->subscription;
    subscription->session = session;
    subscription->stream = (enum drv_stream)subscribe->stream;
    subscription->flags = subscribe->flags;
    subscription->items_max = window_of(subscribe->items, DRV_STREAM_ITEMS,
                                        DRV_STREAM_ITEMS_MAX);
    subscription->bytes_max = bytes;
    subscription->size = size;
    filter_fill(&subscription->filter, subscribe, (char *)(subscription + 1));
    drv_list_init(&subscription->in_source);
    drv_list_init(&subscription->ready);
    drv_list_init(&subscription->entries);
    subscription->unsent = &subscription->entries;
    subscription->cursor = DRV_TABLE_CURSOR_INIT;
    drv_list_push_back(&session->subscriptions, &subscription->in_session);
    session->subscription_count++;
    session->stream_bytes += bytes;
    core->stream_bytes += bytes;
    *out_subscription = subscription;
    return DROVER_OK;
}

void subscription_free(struct core *core, struct subscription *subscription)
{
    struct session *session = subscription->session;
    struct drv_list *link;
    while ((link = drv_list_first(&subscription->entries)) != NULL) {
        entry_free(core, subscription, DRV_LIST_ITEM(link, struct stream_entry, link));
    }
    session->subscription_count--;
    session->stream_bytes -= subscription->bytes_max;
    core->stream_bytes -= subscription->bytes_max;
    drv_list_remove(&subscription->in_session);
    drv_list_remove(&subscription->ready);
    if (subscription->output != NULL) {
        (void)output_leave(core, subscription);
    }
    drv_list_remove(&subscription->in_source);
    if (subscription->stream == DRV_STREAM_EVENTS) {
        events_count_readers(core);
    }
    core_free(core, subscription, subscription->size);
}

struct subscription *subscription_find(const struct session *session, uint64_t number)
{
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        struct subscription *subscription = DRV_LIST_ITEM(link, struct subscription,
                                                          in_session);
        if (subscription->number == number) {
            return subscription;
        }
    }
    return NULL;
}

/* --- telling ----------------------------------------------------------------------------- */

void subscription_touch(struct core *core, struct subscription *subscription)
{
    if (!drv_list_is_linked(&subscription->ready)) {
        drv_list_push_back(&subscription->session->ready_streams, &subscription->ready);
    }
    session_touch(core, subscription->session);
}

bool subscription_has_room(const struct subscription *subscription, size_t len)
{
    return subscription->count == 0 ||
           (subscription->count < subscription->items_max &&
            subscription->bytes + DRV_STREAM_ENTRY_BYTES + len <= subscription->bytes_max);
}

void subscription_put(struct core *core, struct subscription *subscription,
                      struct stream_data *data)
{
    subscription->last++;
    if (subscription_has_room(subscription, data->len)) {
        (void)entry_add(core, subscription, data); /* without memory: missed */
    }
    subscription_touch(core, subscription);
}

void subscription_miss(struct core *core, struct subscription *subscription)
{
    subscription->last++;
    subscription_touch(core, subscription);
}

void subscription_put_end(struct core *core, struct subscription *subscription, uint32_t state)
{
    DRV_ASSERT(!subscription->has_end);
    subscription->end_state = state;
    subscription->last++;
    subscription->has_end = entry_add(core, subscription, NULL);
    subscription_touch(core, subscription);
    if (!subscription->has_end && subscription->session->peer != NULL) {
        subscription->session->peer->is_broken = true; /* it asks again, and is told then */
    }
}

/* --- what the client says ---------------------------------------------------------------- */

void subscription_taken(struct core *core, struct subscription *subscription, uint64_t number)
{
    struct drv_list *link;
    uint64_t upto = number < subscription->told ? number : subscription->told;
    while ((link = drv_list_first(&subscription->entries)) != NULL) {
        struct stream_entry *entry = DRV_LIST_ITEM(link, struct stream_entry, link);
        if (entry->number > upto) {
            break;
        }
        entry_free(core, subscription, entry);
    }
    if (subscription->has_end && drv_list_is_empty(&subscription->entries)) {
        subscription_free(core, subscription);
        return;
    }
    if (subscription->is_filling || subscription->told < subscription->last) {
        subscription_touch(core, subscription);
    }
}

void subscription_resume(struct core *core, struct subscription *subscription, uint64_t taken)
{
    subscription->told = taken < subscription->told ? taken : subscription->told;
    struct drv_list *link;
    while ((link = drv_list_first(&subscription->entries)) != NULL) {
        struct stream_entry *entry = DRV_LIST_ITEM(link, struct stream_entry, link);
        if (entry->number > subscription->told) {
            break;
        }
        entry_free(core, subscription, entry);
    }
    subscription->unsent = subscription->entries.next;
    subscription->is_waiting = false;
    if (subscription->end_state != 0 && !subscription->has_end) {
        subscription_put_end(core, subscription, subscription->end_state);
    }
    subscription_touch(core, subscription);
}

void streams_pause(struct session *session)
{
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        DRV_LIST_ITEM(link, struct subscription, in_session)->is_waiting = true;
    }
}

void streams_end_session(struct core *core, struct session *session)
{
    struct drv_list *link;
    while ((link = drv_list_first(&session->subscriptions)) != NULL) {
        subscription_free(core, DRV_LIST_ITEM(link, struct subscription, in_session));
    }
}
