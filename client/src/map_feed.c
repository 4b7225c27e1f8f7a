/*
 * map_feed.c: items from the source into the array.
 */
#include "map.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_HEAD_BYTES 8

static void feed_free(struct map_feed *feed)
{
    for (size_t i = 0; i < feed->count; i++) {
        drv_payload_fini(&feed->payloads[i]);
    }
    free(feed->payloads);
    free(feed->vals);
    free(feed);
}

static void feed_remove(struct map_feed *feed)
{
    drv_list_remove(&feed->link);
    feed->map->feed_count--;
    feed->map->feed_bytes -= feed->bytes;
    feed_free(feed);
}

void map_feeds_drop(struct drover_map *map)
{
    struct drv_list *link;
    while ((link = drv_list_first(&map->feeds)) != NULL) {
        struct map_feed *feed = DRV_LIST_ITEM(link, struct map_feed, link);
        drv_session_withdraw(map->client->session, &feed->pending);
        feed_remove(feed);
    }
}

/* ---- answers ----------------------------------------------------------------------------- */

static void note_busy(struct drover_map *map, uint64_t retry_after_ms)
{
    int64_t now_us = drv_now_us();
    int64_t ms = retry_after_ms > 0 && retry_after_ms < 10000 ? (int64_t)retry_after_ms : 100;
    map->busy_retry_at_us = now_us + ms * 1000;
    if (map->busy_since_us == INT64_MAX) {
        map->busy_since_us = now_us;
    }
    if (map->wait_ms >= 0 && now_us - map->busy_since_us >= map->wait_ms * 1000) {
        map_break(map, DROVER_BUSY, (struct drv_str){NULL, 0});
    }
}

static struct map_feed *feed_new(struct drover_map *map, uint32_t first, size_t max)
{
    struct map_feed *feed = calloc(1, sizeof(*feed));
    if (feed == NULL) {
        return NULL;
    }
    drv_list_init(&feed->link);
    drv_list_init(&feed->pending.link);
    feed->map = map;
    feed->first = first;
    feed->payloads = calloc(max, sizeof(*feed->payloads));
    feed->vals = calloc(max, sizeof(*feed->vals));
    if (feed->payloads == NULL || feed->vals == NULL) {
        feed_free(feed);
        return NULL;
    }
    return feed;
}

static void feed_add(struct map_feed *feed, struct drv_payload *payload)
{
    struct drv_payload *own = &feed->payloads[feed->count];
    drv_payload_move(own, payload);
    feed->vals[feed->count] = drv_payload_val(own);
    feed->bytes += drv_payload_len(own);
    feed->count++;
}

static void feed_insert(struct drover_map *map, struct map_feed *feed)
{
    map->feed_count++;
    map->feed_bytes += feed->bytes;
    drv_list_push_back(&map->feeds, &feed->link);
}

/* Moves the items from `from` up to, not including, `to` into a feed that waits. */
static void requeue_run(struct map_feed *feed, size_t from, size_t to)
{
    struct drover_map *map = feed->map;
    struct map_feed *run = feed_new(map, feed->first + (uint32_t)from, to - from);
    if (run == NULL) {
        map_break(map, DROVER_NOMEM, (struct drv_str){NULL, 0});
        return;
    }
    for (size_t i = from; i < to; i++) {
        feed_add(run, &feed->payloads[i]);
    }
    run->is_waiting = true;
    map->taken -= to - from;
    feed_insert(map, run);
}

/* Marks the busy items of a reply; any other refusal breaks the map. */
static void mark_busy(struct map_feed *feed, const struct drv_reply *reply, bool *busy)
{
    for (size_t i = 0; i < reply->note_count; i++) {
        const struct drv_note *note = &reply->notes[i];
        if (note->code == DROVER_OK || note->position >= feed->count) {
            continue;
        }
        if (note->code == DROVER_BUSY) {
            busy[note->position] = true;
            note_busy(feed->map, note->retry_after_ms);
        } else {
            map_break(feed->map, (drover_status)note->code, note->text);
        }
    }
}

/* Some items were refused: those that are busy go again, in runs. */
static void on_notes(struct map_feed *feed, const struct drv_reply *reply)
{
    struct drover_map *map = feed->map;
    bool busy[DRV_BATCH_MAX + 1] = {false};
    mark_busy(feed, reply, busy);
    map->taken += feed->count;
    for (size_t from = 0; from < feed->count && map->broken == DROVER_OK;) {
        size_t to = from;
        while (to < feed->count && busy[to]) {
            to++;
        }
        if (to > from) {
            requeue_run(feed, from, to);
        }
        from = to + 1;
    }
    feed_remove(feed);
}

static void on_items_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct map_feed *feed = DRV_CONTAINER_OF(pending, struct map_feed, pending);
    struct drover_map *map = feed->map;
    map->client->progress++;
    if (answer->status == DROVER_BUSY) {
        feed->is_waiting = true;
        note_busy(map, answer->retry_after_ms);
        return;
    }
    if (answer->status == DROVER_OK && answer->reply != NULL && answer->reply->note_count > 0) {
        on_notes(feed, answer->reply);
        return;
    }
    if (answer->status != DROVER_OK) {
        map_break(map, answer->status, answer->text);
    } else {
        map->taken += feed->count;
        map->busy_since_us = INT64_MAX;
    }
    feed_remove(feed);
}

static void on_seal_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct drover_map *map = DRV_CONTAINER_OF(pending, struct drover_map, seal);
    map->client->progress++;
    if (answer->status == DROVER_OK) {
        map->is_sealed = true;
    } else if (answer->status == DROVER_BUSY) {
        map->seal_asked = false;
        note_busy(map, answer->retry_after_ms);
    } else {
        map_break(map, answer->status, answer->text);
    }
}

/* ---- sending ----------------------------------------------------------------------------- */

static void feed_ask(struct map_feed *feed)
{
    struct drover_map *map = feed->map;
    feed->is_waiting = false;
    drv_pending_init(&feed->pending, DRV_ARRAY_ITEMS, on_items_answer);
    feed->pending.message.array_items = (struct drv_array_items){
        .id = map->id, .first = feed->first, .items = feed->vals, .item_count = feed->count};
    drv_session_ask(map->client->session, &feed->pending);
}

static void ask_seal(struct drover_map *map)
{
    map->seal_asked = true;
    drv_pending_init(&map->seal, DRV_ARRAY_SEAL, on_seal_answer);
    map->seal.message.array_seal = (struct drv_array_seal){.id = map->id,
                                                           .count = (uint32_t)map->next};
    drv_session_ask(map->client->session, &map->seal);
}

void map_push(struct drover_map *map, int64_t now_us)
{
    if (map->broken != DROVER_OK || map->source == NULL || map->array_ended) {
        return;
    }
    if (now_us >= map->busy_retry_at_us) {
        map->busy_retry_at_us = INT64_MAX;
        DRV_LIST_EACH(link, &map->feeds)
        {
            struct map_feed *feed = DRV_LIST_ITEM(link, struct map_feed, link);
            if (feed->is_waiting) {
                feed_ask(feed);
            }
        }
    }
    if (map->input_ended && !map->is_cancelled && map->feed_count == 0 && !map->seal_asked &&
        map->busy_retry_at_us == INT64_MAX) {
        ask_seal(map);
    }
}

/* ---- pulling ----------------------------------------------------------------------------- */

/* Room for so many that it makes a message worth sending, or all there will be. */
static bool has_room(const struct drover_map *map)
{
    uint64_t room = map->head + map->window - map->next;
    return room >= MAP_ROOM_MIN || room >= map->window / 4 + 1;
}

bool map_may_pull(const struct drover_map *map, int64_t now_us)
{
    return map->source != NULL && !map->input_ended && map->broken == DROVER_OK &&
           has_room(map) && map->next < map->group_end && map->feed_count < MAP_FEEDS_MAX &&
           map->feed_bytes < MAP_FEED_BYTES_MAX && map->slot_bytes < MAP_RESULT_BYTES_MAX &&
           map->busy_retry_at_us == INT64_MAX && now_us >= map->source_retry_at_us;
}

/* The next item: the one left over, or one from the source. Runs without the lock, as the
 * fields it touches belong to the caller of drover_map_next. */
static drover_status pull_one(struct drover_map *map, struct drv_payload *out_payload)
{
    if (map->has_carry) {
        drv_payload_move(out_payload, &map->carry);
        map->has_carry = false;
        return DROVER_OK;
    }
    drover_value *item = NULL;
    drover_status status = map->source(map->context, &item);
    if (status == DROVER_OK) {
        status = drv_payload_init(out_payload, item);
    }
    drover_value_destroy(&item);
    return status;
}

/* Fills the feed until it is full or the source has nothing; tells what the source said last.
 */
static drover_status pull_some(struct drover_map *map, struct map_feed *feed, size_t max)
{
    struct drv_meter meter;
    drv_meter_reset(&meter);
    while (feed->count < max) {
        struct drv_payload payload;
        drover_status status = pull_one(map, &payload);
        if (status != DROVER_OK) {
            return status;
        }
        struct drv_val val = drv_payload_val(&payload);
        if (!drv_meter_fits(&meter, ITEM_HEAD_BYTES, &val)) {
            drv_payload_move(&map->carry, &payload);
            map->has_carry = true;
            return DROVER_OK;
        }
        feed_add(feed, &payload);
    }
    return DROVER_OK;
}

static size_t room_of(const struct drover_map *map)
{
    uint64_t room = map->head + map->window - map->next;
    room = map->group_end - map->next < room ? map->group_end - map->next : room;
    room = DRV_ARRAY_MAX - map->next < room ? DRV_ARRAY_MAX - map->next : room;
    return room < DRV_BATCH_MAX ? (size_t)room : DRV_BATCH_MAX;
}

/* What the source said after the last item. */
static void take_verdict(struct drover_map *map, drover_status said)
{
    if (said == DROVER_OK) {
        return;
    }
    if (said == DROVER_NOT_READY) {
        map->source_retry_at_us = drv_now_us() + MAP_SOURCE_RETRY_US;
        return;
    }
    map->input_ended = true;
    if (said != DROVER_UNKNOWN) {
        map_break(map, said, drv_str_of("the source of items failed"));
    }
}

void map_pull(struct drover_map *map)
{
    drover_client *client = map->client;
    size_t max = room_of(map);
    if (max == 0) { /* only by array_max: there is room otherwise */
        map_break(map, DROVER_LIMIT, drv_str_of("an array has at most 10,000,000 elements"));
        return;
    }
    struct map_feed *feed = feed_new(map, (uint32_t)map->next, max);
    if (feed == NULL) {
        map_break(map, DROVER_NOMEM, (struct drv_str){NULL, 0});
        return;
    }
    drv_driver_hand_over(client); /* the source may take its time */
    (void)pthread_mutex_unlock(&client->lock);
    drover_status said = pull_some(map, feed, max);
    (void)pthread_mutex_lock(&client->lock);
    if (feed->count == 0) {
        feed_free(feed);
    } else {
        map->next += feed->count;
        feed_insert(map, feed);
        feed_ask(feed);
        drv_client_nudge(client);
    }
    take_verdict(map, said);
}
