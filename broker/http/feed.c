/* feed.c: events of the broker, kept for the streams; see sse.h. */
#include "sse.h"

#include "clock.h"
#include "json.h"
#include "reader.h"

#include <inttypes.h>
#include <string.h>

/* Every kind but shared data, which has readers of its own. */
static const uint64_t EVENT_MASK = (UINT64_C(1) << DRV_EVENT_KV_PRESENT) - 2;
/* What happens to tasks: as much as there is work. */
static const uint64_t TASK_MASK = (UINT64_C(1) << DRV_EVENT_WORKER_CONNECTED) - 2;

/* ---- what is kept ------------------------------------------------------------------------ */

static void put(struct feed *feed, struct drv_data *frame, bool is_rare)
{
    struct feed_entry entry = {++feed->number, frame};
    struct feed_entry *recent = &feed->recent[entry.number % HTTP_FEED_MAX];
    drv_data_unref(&recent->frame);
    *recent = entry;
    if (is_rare) {
        struct feed_entry *rare = &feed->rare[feed->rare_count++ % HTTP_FEED_RARE];
        drv_data_unref(&rare->frame);
        *rare = (struct feed_entry){entry.number, drv_data_ref(frame)};
    }
}

/* Number of the first that `recent` has. */
static uint64_t oldest(const struct feed *feed)
{
    return feed->number - feed->base > HTTP_FEED_MAX ? feed->number - HTTP_FEED_MAX + 1
                                                     : feed->base + 1;
}

uint64_t feed_begin(const struct feed *feed)
{
    uint64_t before = oldest(feed) - 1;
    return feed->number - before > HTTP_FEED_BATCH ? feed->number - HTTP_FEED_BATCH : before;
}

uint64_t feed_resume(const struct feed *feed, uint64_t since)
{
    return since > feed->number ? 0 : since;
}

static drover_status put_gap(struct drv_buffer *out, uint64_t number, uint64_t missed)
{
    return drv_buffer_printf(out,
                             "id: %" PRIu64 "\nevent: event\ndata: {\"time_ms\":%" PRIu64
                             ",\"event\":\"gap\",\"missed\":%" PRIu64 "}\n\n",
                             number, drv_clock_wall_ms(), missed);
}

/* The rare ones from behind this number to before the oldest of all. How many. */
static uint64_t put_rare(const struct feed *feed, uint64_t number, struct drv_buffer *out,
                         drover_status *status)
{
    uint64_t at = feed->rare_count > HTTP_FEED_RARE ? feed->rare_count - HTTP_FEED_RARE : 0;
    uint64_t told = 0;
    for (; *status == DROVER_OK && at < feed->rare_count; at++) {
        const struct feed_entry *entry = &feed->rare[at % HTTP_FEED_RARE];
        if (entry->number > number && entry->number < oldest(feed)) {
            *status = drv_buffer_append(out, entry->frame->bytes, entry->frame->len);
            told++;
        }
    }
    return told;
}

/* What lies before the oldest; a gap where some of it is gone. Whoever begins misses nothing.
 */
static drover_status put_backlog(const struct feed *feed, uint64_t number,
                                 struct drv_buffer *out)
{
    drover_status status = DROVER_OK;
    uint64_t told = put_rare(feed, number, out, &status);
    uint64_t missed = number < feed->base ? 0 : oldest(feed) - 1 - number - told;
    return status == DROVER_OK && missed > 0 ? put_gap(out, oldest(feed) - 1, missed) : status;
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
        status = put_backlog(feed, *number, &out);
        *number = oldest(feed) - 1;
    }
    for (int i = 0; status == DROVER_OK && i < HTTP_FEED_BATCH && *number < feed->number; i++) {
        const struct drv_data *frame = feed->recent[++*number % HTTP_FEED_MAX].frame;
        status = drv_buffer_append(&out, frame->bytes, frame->len);
    }
    if (status == DROVER_OK && out.len > 0) {
        status = drv_data_copy(out.bytes, out.len, &piece);
    }
    drv_buffer_fini(&out);
    return status == DROVER_OK ? piece : NULL;
}

static uint64_t number_of(const struct feed_source *source)
{
    return source->ask.message.subscribe.subscription;
}

/* ---- from the broker --------------------------------------------------------------------- */

/* The map with the wall clock before its keys. */
static drover_status write_event(uint64_t number, struct drv_view map, uint64_t age_ms,
                                 struct drv_buffer *out)
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
        status = drv_buffer_printf(
            out, "id: %" PRIu64 "\nevent: event\ndata: {\"time_ms\":%" PRIu64 ",", number,
            drv_clock_wall_ms() - age_ms);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append(out, json.bytes + 1, json.len - 1);
    }
    drv_buffer_fini(&json);
    return status != DROVER_OK ? status : drv_buffer_append_text(out, "\n\n");
}

static void keep(struct feed *feed, struct drv_buffer *buffer, drover_status status,
                 bool is_rare)
{
    struct drv_data *frame = NULL;
    if (status == DROVER_OK && drv_data_copy(buffer->bytes, buffer->len, &frame) == DROVER_OK) {
        put(feed, frame, is_rare);
    }
    drv_buffer_fini(buffer);
}

static struct feed_source *find(struct feed *feed, uint64_t subscription)
{
    for (size_t i = 0; i < HTTP_FEED_SOURCES; i++) {
        struct feed_source *source = &feed->sources[i];
        if (number_of(source) == subscription && (source->is_subscribed || source->is_asking)) {
            return source;
        }
    }
    return NULL;
}

void feed_on_events(struct http *http, const struct drv_events *events)
{
    struct feed *feed = &http->feed;
    struct feed_source *source = find(feed, events->subscription);
    struct drv_buffer buffer;
    size_t at = 0;
    if (source == NULL) {
        return;
    }
    bool is_rare = source == &feed->sources[FEED_RARE];
    if (events->first > source->next) {
        drv_buffer_init(&buffer);
        keep(feed, &buffer, put_gap(&buffer, feed->number + 1, events->first - source->next),
             is_rare);
    }
    for (size_t i = 0; i < events->entry_count; i++) {
        const struct drv_event_entry *entry = &events->entries[i];
        drv_buffer_init(&buffer);
        keep(feed, &buffer,
             write_event(feed->number + 1, drv_view_of(events->maps.ptr + at, entry->len),
                         entry->age_ms, &buffer),
             is_rare);
        at += entry->len;
    }
    source->next = events->first + events->entry_count;
    streams_wake(http);
}

/* ---- the subscriptions ------------------------------------------------------------------- */

static void on_subscribed(struct ask *ask, drover_status status,
                          const struct drv_document *document, const struct drv_reply *reply)
{
    struct http *http = ask->context;
    struct feed_source *source = DRV_CONTAINER_OF(ask, struct feed_source, ask);
    (void)document;
    (void)reply;
    source->is_asking = false;
    source->is_subscribed = status == DROVER_OK;
    source->take_at_us = http->now_us + HTTP_FEED_TAKE_US;
}

static void subscribe(struct http *http, struct feed_source *source)
{
    source->ask.message = (struct drv_message){.kind = DRV_SUBSCRIBE};
    source->ask.message.subscribe = (struct drv_subscribe){.stream = DRV_STREAM_EVENTS,
                                                           .items = HTTP_FEED_MAX,
                                                           .mask = source->mask,
                                                           .index = DROVER_INDEX_NONE};
    source->next = 1;
    source->taken = 0;
    source->take_at_us = http->now_us + HTTP_FEED_TAKE_US; /* not again before */
    source->is_asking = uplink_ask(&http->uplink, &source->ask, http->now_us) == DROVER_OK;
}

static bool has_news(const struct feed_source *source)
{
    return source->is_subscribed && source->next - 1 > source->taken;
}

/* What is rare is kept for whoever comes; what happens to tasks is told to who is there. */
static bool is_wanted(const struct http *http, const struct feed_source *source)
{
    bool is_rare = source == &http->feed.sources[FEED_RARE];
    return !http->is_ending && (http->stream_count > 0 ||
                                (is_rare && atomic_load(&http->channel.pulse.is_serving)));
}

static void turn_source(struct http *http, struct feed_source *source)
{
    bool wanted = is_wanted(http, source);
    if (source->is_asking) {
        return;
    }
    if (http->uplink.link == NULL) {
        source->is_subscribed = false; /* it ended with the connection */
    }
    if (!wanted && source->is_subscribed) {
        uplink_unsubscribe(&http->uplink, number_of(source));
        source->is_subscribed = false;
    } else if (http->now_us < source->take_at_us) {
        /* later */
    } else if (wanted && !source->is_subscribed) {
        subscribe(http, source);
    } else if (has_news(source)) {
        source->taken = source->next - 1;
        source->take_at_us = http->now_us + HTTP_FEED_TAKE_US;
        uplink_take(&http->uplink, number_of(source), source->taken);
    } else {
        /* as it should be */
    }
}

void feed_turn(struct http *http)
{
    for (size_t i = 0; i < HTTP_FEED_SOURCES; i++) {
        turn_source(http, &http->feed.sources[i]);
    }
}

int64_t feed_deadline_us(const struct http *http)
{
    int64_t first_us = INT64_MAX;
    for (size_t i = 0; i < HTTP_FEED_SOURCES; i++) {
        const struct feed_source *source = &http->feed.sources[i];
        bool is_due = has_news(source) || (is_wanted(http, source) && !source->is_subscribed);
        if (is_due && !source->is_asking && source->take_at_us < first_us) {
            first_us = source->take_at_us;
        }
    }
    return first_us;
}

void feed_anew(struct http *http)
{
    for (size_t i = 0; i < HTTP_FEED_SOURCES; i++) {
        http->feed.sources[i].is_subscribed = false;
        http->feed.sources[i].take_at_us = 0;
    }
}

void feed_init(struct http *http)
{
    struct feed *feed = &http->feed;
    /* Numbers of another life of the broker are below those of this one: fewer than one
     * event a microsecond happens. */
    feed->base = drv_clock_wall_ms() * 1000;
    feed->number = feed->base;
    feed->sources[FEED_RARE].mask = EVENT_MASK & ~TASK_MASK;
    feed->sources[FEED_TASKS].mask = TASK_MASK;
    for (size_t i = 0; i < HTTP_FEED_SOURCES; i++) {
        ask_init(&feed->sources[i].ask, on_subscribed, http);
    }
}

void feed_fini(struct http *http)
{
    for (size_t i = 0; i < HTTP_FEED_MAX; i++) {
        drv_data_unref(&http->feed.recent[i].frame);
    }
    for (size_t i = 0; i < HTTP_FEED_RARE; i++) {
        drv_data_unref(&http->feed.rare[i].frame);
    }
}
