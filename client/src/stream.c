/*
 * stream.c: streams for the user: what came, in the order in which it came, until it is asked
 * for.
 */
#include "handle.h"
#include "utf8.h"

#include "check.h"

#include <drover/stream.h>

#include <stdlib.h>
#include <string.h>

struct item { /* something that came */
    struct drv_list link;
    drover_stream_item told;
    uint64_t entries; /* numbers that are taken with it */
    size_t len;       /* of bytes */
    uint8_t bytes[];
};

struct drover_stream {
    drover_client *client;
    struct drv_subscription subscription;
    struct drv_list items;
    struct item *current; /* owned: what the last call gave */
    drover_value *event;  /* owned: the same, as a value */
    bool has_ended;
    drover_status status; /* once it has */
    uint64_t missed;      /* without memory to note them */
    char text[DRV_TEXT_MAX];
    char *strings; /* owned: what the filter borrows */
};

/* ---- what comes -------------------------------------------------------------------------- */

static struct drover_stream *stream_of(struct drv_subscription *subscription)
{
    return DRV_CONTAINER_OF(subscription, struct drover_stream, subscription);
}

static struct item *item_new(struct drover_stream *stream, drover_item_kind kind,
                             const void *bytes, size_t len)
{
    struct item *item = calloc(1, sizeof(*item) + len);
    if (item == NULL) {
        stream->missed++;
        return NULL;
    }
    item->told.kind = kind;
    item->entries = 1;
    item->len = len;
    if (len > 0) {
        memcpy(item->bytes, bytes, len);
    }
    drv_list_push_back(&stream->items, &item->link);
    return item;
}

static void add_gap(struct drover_stream *stream, uint64_t missed)
{
    bool is_known = missed != DROVER_MISSED_UNKNOWN;
    struct item *item = missed > 0 ? item_new(stream, DROVER_ITEM_GAP, NULL, 0) : NULL;
    if (item != NULL) {
        item->told.missed = missed;
        item->entries = is_known ? missed : 0;
    } else if (missed > 0 && is_known) {
        stream->missed += missed - 1; /* and one that item_new has counted */
    }
}

static void add_events(struct drover_stream *stream, const struct drv_events *events,
                       size_t skip)
{
    size_t at = 0;
    for (size_t i = 0; i < events->entry_count; i++) {
        const struct drv_event_entry *entry = &events->entries[i];
        struct item *item = i < skip ? NULL
                                     : item_new(stream, DROVER_ITEM_EVENT,
                                                events->maps.ptr + at, entry->len);
        if (item != NULL) {
            item->told.age_ms = entry->age_ms;
        }
        at += entry->len;
    }
}

static void add_output(struct drover_stream *stream, const struct drv_logs *logs, size_t skip)
{
    size_t at = 0;
    for (size_t i = 0; i < logs->piece_count; i++) {
        const struct drv_piece *piece = &logs->pieces[i];
        struct item *item = i < skip ? NULL
                                     : item_new(stream, DROVER_ITEM_OUTPUT, logs->text.ptr + at,
                                                piece->len);
        if (item != NULL) {
            item->told.index = piece->index;
            item->told.attempt = piece->attempt;
            item->told.output = (drover_output)piece->stream;
            item->told.offset = piece->offset;
        }
        at += piece->len;
    }
    if (logs->state != 0) {
        struct item *item = item_new(stream, DROVER_ITEM_END, NULL, 0);
        if (item != NULL) {
            item->told.state = (drover_state)logs->state;
        }
    }
}

static void on_arrival(struct drv_subscription *subscription, const struct drv_arrival *arrival)
{
    struct drover_stream *stream = stream_of(subscription);
    uint64_t missed = stream->missed;
    stream->missed = 0;
    add_gap(stream, missed);
    if (arrival->is_anew) {
        /* What waits was numbered by the old broker: taking it must not count for the new. */
        DRV_LIST_EACH(link, &stream->items)
        {
            DRV_LIST_ITEM(link, struct item, link)->entries = 0;
        }
        if (stream->current != NULL) {
            stream->current->entries = 0;
        }
        add_gap(stream, DROVER_MISSED_UNKNOWN);
    }
    add_gap(stream, arrival->missed);
    if (arrival->message != NULL && arrival->message->kind == DRV_EVENTS) {
        add_events(stream, &arrival->message->events, arrival->skip);
    } else if (arrival->message != NULL) {
        add_output(stream, &arrival->message->logs, arrival->skip);
    }
    stream->client->progress++;
}

static void on_end(struct drv_subscription *subscription, drover_status status,
                   struct drv_str text)
{
    struct drover_stream *stream = stream_of(subscription);
    size_t len = text.len < sizeof(stream->text) - 1 ? text.len : sizeof(stream->text) - 1;
    if (len > 0) {
        memcpy(stream->text, text.ptr, len);
    }
    stream->text[len] = '\0';
    stream->has_ended = true;
    stream->status = status;
    stream->client->progress++;
}

/* ---- opening ----------------------------------------------------------------------------- */

static bool name_is_valid(const char *name, size_t max)
{
    size_t len = name == NULL ? 0 : strlen(name);
    return len <= max && drv_utf8_is_valid((const uint8_t *)name, len);
}

/* Copies of the texts that the subscription borrows. */
static drover_status keep_strings(struct drover_stream *stream)
{
    struct drv_subscribe *wanted = &stream->subscription.wanted;
    struct drv_str *texts[] = {&wanted->queue, &wanted->type,     &wanted->worker,
                               &wanted->text,  &wanted->tag_name, &wanted->tag_value,
                               &wanted->group};
    size_t size = 1;
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        size += texts[i]->len;
    }
    stream->strings = malloc(size);
    if (stream->strings == NULL) {
        return DROVER_NOMEM;
    }
    char *at = stream->strings;
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        if (texts[i]->len > 0) {
            memcpy(at, texts[i]->ptr, texts[i]->len);
        }
        texts[i]->ptr = texts[i]->ptr == NULL ? NULL : at;
        at += texts[i]->len;
    }
    return DROVER_OK;
}

static drover_status stream_open(drover_client *client, const struct drv_subscribe *wanted,
                                 struct drover_stream **out_stream)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    struct drover_stream *stream = calloc(1, sizeof(*stream));
    status = stream == NULL ? DROVER_NOMEM : drv_client_ensure_thread(client);
    if (status == DROVER_OK) {
        stream->client = client;
        stream->subscription.wanted = *wanted;
        stream->subscription.on_arrival = on_arrival;
        stream->subscription.on_end = on_end;
        drv_list_init(&stream->items);
        status = keep_strings(stream);
    }
    if (status == DROVER_OK) {
        drv_session_subscribe(client->session, &stream->subscription);
        drv_client_nudge(client);
        *out_stream = stream;
    } else {
        free(stream);
    }
    return drv_client_leave(client, status);
}

/* The bits of the names that begin with this one, or are it. */
static uint64_t mask_of(const char *name, size_t len)
{
    uint64_t mask = 0;
    for (unsigned kind = 0; kind < DRV_EVENT_KV_PRESENT; kind++) {
        const char *known = drv_event_name(kind);
        if (known != NULL && strncmp(known, name, len) == 0 &&
            (known[len] == '\0' || known[len] == '.')) {
            mask |= UINT64_C(1) << kind;
        }
    }
    return mask;
}

static drover_status masks_of(const char *kinds, uint64_t *out_mask)
{
    uint64_t mask = 0;
    for (const char *at = kinds; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");
        uint64_t bits = len == 0 ? 0 : mask_of(at, len);
        if (bits == 0) {
            return DROVER_INVALID;
        }
        mask |= bits;
        at += len + (at[len] == ',' ? 1 : 0);
    }
    *out_mask = mask;
    return DROVER_OK;
}

drover_status drover_events_open(drover_client *client, const drover_event_filter *filter,
                                 drover_stream **out_stream)
{
    const drover_event_filter all = DROVER_EVENT_FILTER_INIT;
    filter = filter == NULL ? &all : filter;
    struct drv_subscribe wanted = {.stream = DRV_STREAM_EVENTS,
                                   .has_id = filter->task != NULL,
                                   .index = filter->index,
                                   .queue = drv_str_of(filter->queue),
                                   .type = drv_str_of(filter->type),
                                   .worker = drv_str_of(filter->worker),
                                   .tag_name = drv_str_of(filter->tag),
                                   .tag_value = drv_str_of(filter->tag_value),
                                   .group = drv_str_of(filter->group)};
    if (filter->size != sizeof(*filter) || !name_is_valid(filter->queue, DRV_NAME_MAX) ||
        !name_is_valid(filter->type, DRV_NAME_MAX) ||
        !name_is_valid(filter->worker, DRV_NAME_MAX) ||
        !name_is_valid(filter->tag, DRV_NAME_MAX) ||
        !name_is_valid(filter->group, DRV_NAME_MAX) ||
        !name_is_valid(filter->tag_value, DRV_LABEL_VALUE_MAX) ||
        (filter->tag != NULL) != (filter->tag_value != NULL) ||
        masks_of(filter->kinds, &wanted.mask) != DROVER_OK) {
        return DROVER_INVALID;
    }
    if (filter->task != NULL) {
        wanted.id = *filter->task;
    }
    return stream_open(client, &wanted, out_stream);
}

drover_status drover_logs_open(drover_client *client, const drover_id *id, uint32_t index,
                               const drover_logs_options *options, drover_stream **out_stream)
{
    const drover_logs_options standard = DROVER_LOGS_OPTIONS_INIT;
    options = options == NULL ? &standard : options;
    if (id == NULL || options->size != sizeof(*options) ||
        (index >= DRV_ARRAY_MAX && index != DROVER_INDEX_NONE)) {
        return DROVER_INVALID;
    }
    struct drv_subscribe wanted = {.stream = DRV_STREAM_LOGS,
                                   .flags = options->once ? 0 : DRV_SUBSCRIBE_FOLLOW,
                                   .mask = options->outputs,
                                   .has_id = true,
                                   .id = *id,
                                   .index = index};
    return stream_open(client, &wanted, out_stream);
}

drover_status drover_kv_watch(drover_client *client, const char *key, unsigned flags,
                              drover_stream **out_stream)
{
    size_t len = key == NULL ? 0 : strlen(key);
    bool is_prefix = (flags & DROVER_KV_WATCH_PREFIX) != 0;
    if (key == NULL || len > DRV_KEY_MAX || (len == 0 && !is_prefix) ||
        !drv_utf8_is_valid((const uint8_t *)key, len)) {
        return DROVER_INVALID;
    }
    struct drv_subscribe wanted = {
        .stream = DRV_STREAM_KV,
        .flags = (is_prefix ? DRV_SUBSCRIBE_PREFIX : 0u) |
                 (flags & DROVER_KV_WATCH_PRESENT ? DRV_SUBSCRIBE_PRESENT : 0u),
        .index = DROVER_INDEX_NONE,
        .text = drv_str_of(key)};
    return stream_open(client, &wanted, out_stream);
}

/* ---- reading ----------------------------------------------------------------------------- */

static bool has_something(void *context)
{
    const struct drover_stream *stream = context;
    return !drv_list_is_empty(&stream->items) || stream->has_ended;
}

/* What the last call gave is taken: the broker may send as much again. */
static void take_current(struct drover_stream *stream)
{
    struct item *item = stream->current;
    stream->current = NULL;
    drover_value_destroy(&stream->event);
    if (item != NULL) {
        drv_session_take(&stream->subscription, item->entries, item->len);
        free(item);
    }
}

static drover_status give(struct drover_stream *stream, struct item *item,
                          drover_stream_item *out_item)
{
    stream->current = item;
    if (item->told.kind == DROVER_ITEM_EVENT) {
        drover_status status = drover_value_from_msgpack(item->bytes, item->len,
                                                         &stream->event);
        if (status != DROVER_OK) {
            return status;
        }
        item->told.event = stream->event;
    }
    item->told.bytes = item->bytes;
    item->told.len = item->len;
    if (item->told.kind == DROVER_ITEM_END) {
        stream->has_ended = true;
        stream->status = DROVER_UNKNOWN;
    }
    *out_item = item->told;
    return DROVER_OK;
}

static drover_status why_ended(struct drover_stream *stream)
{
    if (stream->text[0] != '\0') {
        return drv_client_say(stream->client, stream->status, "%s: %s",
                              drover_status_text(stream->status), stream->text);
    }
    return stream->status;
}

drover_status drover_stream_next(drover_stream *stream, int64_t timeout_ms,
                                 drover_stream_item *out_item)
{
    drover_client *client = stream->client;
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    take_current(stream);
    if (!has_something(stream)) {
        status = drv_client_wait(client, has_something, stream, drv_deadline_us(timeout_ms));
    }
    if (status == DROVER_OK) {
        struct drv_list *link = drv_list_pop_front(&stream->items);
        status = link != NULL ? give(stream, DRV_LIST_ITEM(link, struct item, link), out_item)
                              : why_ended(stream);
    }
    return drv_client_leave(client, status);
}

void drover_stream_close(drover_stream **stream)
{
    if (stream == NULL || *stream == NULL) {
        return;
    }
    struct drover_stream *s = *stream;
    *stream = NULL;
    if (drv_client_is_foreign(s->client)) {
        return;
    }
    drv_client_enter_always(s->client);
    take_current(s);
    drv_session_unsubscribe(s->client->session, &s->subscription);
    drv_client_nudge(s->client);
    drv_client_end_call(s->client, DROVER_OK);
    DRV_LIST_EACH_SAFE(link, &s->items)
    {
        free(DRV_LIST_ITEM(link, struct item, link));
    }
    free(s->strings);
    free(s);
}
