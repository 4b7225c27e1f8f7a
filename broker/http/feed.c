/* feed.c: events of the broker, kept for the streams; see sse.h. */
#include "sse.h"

#include "clock.h"
#include "json.h"
#include "reader.h"

#include <inttypes.h>
#include <string.h>

/* Everything but shared data, which has readers of its own. */
static const uint64_t EVENT_MASK = (UINT64_C(1) << DRV_EVENT_KV_PRESENT) - 2;

static void put(struct feed *feed, struct drv_data *frame)
{
    struct feed_entry *entry = &feed->entries[++feed->number % HTTP_FEED_MAX];
    drv_data_unref(&entry->frame);
    entry->frame = frame;
}

static uint64_t oldest(const struct feed *feed)
{
    return feed->number > HTTP_FEED_MAX ? feed->number - HTTP_FEED_MAX + 1 : 1;
}

uint64_t feed_begin(const struct feed *feed)
{
    uint64_t before = oldest(feed) - 1;
    return feed->number - before > HTTP_FEED_BATCH ? feed->number - HTTP_FEED_BATCH : before;
}

static drover_status put_gap(struct drv_buffer *out, uint64_t missed)
{
    return drv_buffer_printf(out,
                             "event: event\ndata: {\"time_ms\":%" PRIu64
                             ",\"event\":\"gap\",\"missed\":%" PRIu64 "}\n\n",
                             drv_clock_wall_ms(), missed);
}

struct drv_data *feed_next(const struct feed *feed, uint64_t *number)
{
    struct drv_buffer out;
    struct drv_data *piece = NULL;
    drover_status status = DROVER_OK;
    if (*number >= feed->number) {
        return NULL;
    }
    drv_buffer_init(&out);
    if (*number + 1 < oldest(feed)) {
        status = put_gap(&out, oldest(feed) - 1 - *number);
        *number = oldest(feed) - 1;
    }
    for (int i = 0; status == DROVER_OK && i < HTTP_FEED_BATCH && *number < feed->number; i++) {
        const struct drv_data *frame = feed->entries[++*number % HTTP_FEED_MAX].frame;
        if (frame != NULL) {
            status = drv_buffer_append(&out, frame->bytes, frame->len);
        }
    }
    if (status == DROVER_OK && out.len > 0) {
        status = drv_data_copy(out.bytes, out.len, &piece);
    }
    drv_buffer_fini(&out);
    return status == DROVER_OK ? piece : NULL;
}

static uint64_t number_of(const struct feed *feed)
{
    return feed->ask.message.subscribe.subscription;
}

/* ---- from the broker --------------------------------------------------------------------- */

/* The map with the wall clock before its keys. */
static drover_status write_event(struct drv_view map, uint64_t age_ms, struct drv_buffer *out)
{
    struct drv_buffer json;
    drv_buffer_init(&json);
    drover_status status = drv_validate((const uint8_t *)map.bytes, map.len,
                                        &DRV_VALIDATE_HEAD);
    if (status == DROVER_OK) {
        status = drv_json_write(map, false, &json);
    }
    if (status == DROVER_OK && (json.len < 3 || json.bytes[0] != '{')) {
        status = DROVER_MALFORMED;
    }
    if (status == DROVER_OK) {
        status = drv_buffer_printf(out, "event: event\ndata: {\"time_ms\":%" PRIu64 ",",
                                   drv_clock_wall_ms() - age_ms);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append(out, json.bytes + 1, json.len - 1);
    }
    drv_buffer_fini(&json);
    return status != DROVER_OK ? status : drv_buffer_append_text(out, "\n\n");
}

static void keep(struct feed *feed, struct drv_buffer *buffer, drover_status status)
{
    struct drv_data *frame = NULL;
    if (status == DROVER_OK && drv_data_copy(buffer->bytes, buffer->len, &frame) == DROVER_OK) {
        put(feed, frame);
    }
    drv_buffer_fini(buffer);
}

void feed_on_events(struct http *http, const struct drv_events *events)
{
    struct feed *feed = &http->feed;
    struct drv_buffer buffer;
    size_t at = 0;
    if (events->subscription != number_of(feed) || !(feed->is_subscribed || feed->is_asking)) {
        return;
    }
    if (events->first > feed->next) {
        drv_buffer_init(&buffer);
        keep(feed, &buffer, put_gap(&buffer, events->first - feed->next));
    }
    for (size_t i = 0; i < events->entry_count; i++) {
        const struct drv_event_entry *entry = &events->entries[i];
        drv_buffer_init(&buffer);
        keep(feed, &buffer,
             write_event(drv_view_of(events->maps.ptr + at, entry->len), entry->age_ms,
                         &buffer));
        at += entry->len;
    }
    feed->next = events->first + events->entry_count;
    streams_wake(http);
}

/* ---- the subscription -------------------------------------------------------------------- */

static void on_subscribed(struct ask *ask, drover_status status,
                          const struct drv_document *document, const struct drv_reply *reply)
{
    struct http *http = ask->context;
    (void)document;
    (void)reply;
    http->feed.is_asking = false;
    http->feed.is_subscribed = status == DROVER_OK;
    http->feed.take_at_us = http->now_us + HTTP_FEED_TAKE_US;
}

static void subscribe(struct http *http)
{
    struct feed *feed = &http->feed;
    feed->ask.message = (struct drv_message){.kind = DRV_SUBSCRIBE};
    feed->ask.message.subscribe = (struct drv_subscribe){.stream = DRV_STREAM_EVENTS,
                                                         .items = HTTP_FEED_MAX,
                                                         .mask = EVENT_MASK,
                                                         .index = DROVER_INDEX_NONE};
    feed->next = 1;
    feed->taken = 0;
    feed->take_at_us = http->now_us + HTTP_FEED_TAKE_US; /* not again before */
    feed->is_asking = uplink_ask(&http->uplink, &feed->ask, http->now_us) == DROVER_OK;
}

static bool has_news(const struct feed *feed)
{
    return feed->is_subscribed && feed->next - 1 > feed->taken;
}

void feed_turn(struct http *http)
{
    struct feed *feed = &http->feed;
    bool is_wanted = http->stream_count > 0 && !http->is_ending;
    if (feed->is_asking) {
        return;
    }
    if (!is_wanted && feed->is_subscribed) {
        uplink_unsubscribe(&http->uplink, number_of(feed));
        feed->is_subscribed = false;
    } else if (http->now_us < feed->take_at_us) {
        /* later */
    } else if (is_wanted && !feed->is_subscribed) {
        subscribe(http);
    } else if (has_news(feed)) {
        feed->taken = feed->next - 1;
        feed->take_at_us = http->now_us + HTTP_FEED_TAKE_US;
        uplink_take(&http->uplink, number_of(feed), feed->taken);
    } else {
        /* as it should be */
    }
}

int64_t feed_deadline_us(const struct http *http)
{
    const struct feed *feed = &http->feed;
    bool is_due = has_news(feed) || (http->stream_count > 0 && !feed->is_subscribed);
    return is_due && !feed->is_asking ? feed->take_at_us : INT64_MAX;
}

void feed_anew(struct http *http)
{
    http->feed.is_subscribed = false;
    http->feed.take_at_us = 0;
}

void feed_init(struct http *http)
{
    ask_init(&http->feed.ask, on_subscribed, http);
}

void feed_fini(struct http *http)
{
    for (size_t i = 0; i < HTTP_FEED_MAX; i++) {
        drv_data_unref(&http->feed.entries[i].frame);
    }
}
