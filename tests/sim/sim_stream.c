/*
 * sim_stream.c: see sim_stream.h.
 */
#include "sim_stream.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "reader.h"
#include "sim_client.h"
#include "sim_world.h"

enum { SUBSCRIPTION = 1, WINDOW_MAX = 60, TEXT_MAX = 40 };

/* ---- what has ended
 * ----------------------------------------------------------------------------- */

void sim_ends_add(struct sim *sim, uint32_t serial, uint32_t state)
{
    struct sim_ends *ends = &sim->ends;
    if (ends->count == ends->capacity) {
        ends->capacity = ends->capacity == 0 ? 256 : ends->capacity * 2;
        ends->items = realloc(ends->items, ends->capacity * sizeof *ends->items);
        DRV_ASSERT(ends->items != NULL);
    }
    ends->items[ends->count++] = (struct sim_ending){serial, state};
}

void sim_ends_fini(struct sim *sim)
{
    free(sim->ends.items);
}

/* ---- the subscription
 * --------------------------------------------------------------------------- */

void sim_stream_on_welcome(struct sim *sim, struct sim_peer *peer)
{
    struct sim_reader *reader = &peer->client->reader;
    const struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (!reader->is_reader || conn == NULL || conn->direct) {
        return;
    }
    struct drv_message message = {.kind = DRV_SUBSCRIBE};
    reader->req = ++peer->client->next_req;
    reader->asked = sim->ends.count;
    reader->since = reader->was_asked ? reader->since : reader->asked;
    reader->was_asked = true;
    message.request.req = reader->req;
    message.subscribe = (struct drv_subscribe){
        .subscription = SUBSCRIPTION,
        .stream = DRV_STREAM_EVENTS,
        .items = (uint64_t)sim_between(sim, 1, WINDOW_MAX),
        .taken = reader->received,
        .mask = UINT64_C(1) << DRV_EVENT_TASK_ENDED,
        .index = DROVER_INDEX_NONE,
    };
    (void)sim_peer_send(sim, peer, &message, 0);
}

void sim_stream_on_disconnect(struct sim_peer *peer)
{
    peer->client->reader.is_open = false;
    peer->client->reader.req = 0;
}

void sim_stream_on_session_lost(struct sim_peer *peer)
{
    bool is_reader = peer->client->reader.is_reader;
    peer->client->reader = (struct sim_reader){.is_reader = is_reader};
}

void sim_stream_on_reply(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply)
{
    struct sim_reader *reader = &peer->client->reader;
    if (reader->req == 0 || reply->req != reader->req) {
        return;
    }
    if (reply->code == DROVER_BUSY) {
        return; /* without memory it stays without events */
    }
    if (reply->code != DROVER_OK) {
        sim_fail(sim, "client %u: a subscription was answered %s", peer->number,
                 drover_status_name((drover_status)reply->code));
        return;
    }
    reader->is_open = true;
    sim_count_if(sim, reply->number == 1, SIM_SUBSCRIPTION_RESUMED_SEEN);
    if (reply->number == 0) {
        reader->received = 0;
        reader->has_place = false;
        reader->since = reader->asked;
    }
}

/* ---- what it is told
 * ---------------------------------------------------------------------------- */

static bool key_is(struct drv_view key, const char *text)
{
    return key.len == strlen(text) && memcmp(key.bytes, text, key.len) == 0;
}

/* The task and the state that an event names; false: it names none of ours. */
static bool read_end(const struct sim *sim, const char *map, size_t len,
                     struct sim_ending *out_end)
{
    struct drv_cursor cursor;
    drover_id id = {{0}};
    uint32_t index = DROVER_INDEX_NONE;
    char text[TEXT_MAX] = "";
    *out_end = (struct sim_ending){SIM_NO_TASK, 0};
    drv_cursor_init(&cursor, (const uint8_t *)map, len);
    for (uint32_t pairs = drv_cursor_map(&cursor); pairs > 0; pairs--) {
        struct drv_view key = drv_cursor_str(&cursor);
        if (key_is(key, "index")) {
            index = (uint32_t)drv_cursor_uint(&cursor);
            continue;
        }
        if (!key_is(key, "id") && !key_is(key, "state")) {
            drv_cursor_skip_many(&cursor, 1);
            continue;
        }
        struct drv_view value = drv_cursor_str(&cursor);
        if (value.len >= sizeof text) {
            return false;
        }
        memcpy(text, value.bytes, value.len);
        text[value.len] = '\0';
        for (unsigned state = 0; key_is(key, "state") && state <= DROVER_STATE_LOST; state++) {
            const char *name = drover_state_name((drover_state)state);
            if (name != NULL && strcmp(text, name) == 0) {
                out_end->state = state;
            }
        }
        if (key_is(key, "id") && drover_id_parse(text, &id) != DROVER_OK) {
            return false;
        }
    }
    out_end->serial = sim_model_find(&sim->model, &id, index);
    return drv_cursor_is_ok(&cursor) && out_end->serial != SIM_NO_TASK;
}

static bool is_end(const struct sim *sim, size_t place, const struct sim_ending *end)
{
    return place < sim->ends.count && sim->ends.items[place].serial == end->serial &&
           sim->ends.items[place].state == end->state;
}

/* The first one since the subscription that fits; the length of the list: none. */
static size_t find_end(const struct sim *sim, size_t since, const struct sim_ending *end)
{
    while (since < sim->ends.count && !is_end(sim, since, end)) {
        since++;
    }
    return since;
}

static void check_entry(struct sim *sim, struct sim_peer *peer, uint64_t number,
                        const struct sim_ending *end)
{
    struct sim_reader *reader = &peer->client->reader;
    size_t place = reader->has_place ? reader->place + (size_t)(number - reader->last)
                                     : find_end(sim, reader->since, end);
    if (!is_end(sim, place, end)) {
        sim_fail(sim,
                 "client %u was told as number %llu that task %u is in state %u; the end at "
                 "that place is another",
                 peer->number, (unsigned long long)number, end->serial, end->state);
    }
    reader->has_place = true;
    reader->place = place;
    reader->last = number;
    sim_count(sim, SIM_EVENT_TOLD_SEEN);
}

/* At its leisure; some take only now and then, and miss much. */
static void take(struct sim *sim, struct sim_peer *peer)
{
    struct drv_taken_entry entry = {SUBSCRIPTION, peer->client->reader.received};
    const struct drv_message message = {.kind = DRV_TAKEN, .taken = {&entry, 1}};
    if (sim_once_in(sim, sim->profile.slow_reader ? 6 : 2)) {
        (void)sim_peer_send(sim, peer, &message, 0);
    }
}

void sim_stream_on_events(struct sim *sim, struct sim_peer *peer,
                          const struct drv_events *events)
{
    struct sim_reader *reader = &peer->client->reader;
    size_t at = 0;
    if (!reader->is_open || events->subscription != SUBSCRIPTION) {
        sim_fail(sim, "client %u was told of what it did not ask for", peer->number);
        return;
    }
    sim_count_if(sim, events->first > reader->received + 1, SIM_EVENT_MISSED_SEEN);
    for (size_t i = 0; i < events->entry_count && !sim->failed; i++) {
        struct sim_ending end;
        uint64_t number = events->first + i;
        if (!read_end(sim, events->maps.ptr + at, events->entries[i].len, &end)) {
            sim_fail(sim, "client %u was told of a task that nobody submitted", peer->number);
            return;
        }
        if (number > reader->received) {
            check_entry(sim, peer, number, &end);
        }
        at += events->entries[i].len;
    }
    uint64_t last = events->first + events->entry_count - 1;
    reader->received = last > reader->received ? last : reader->received;
    take(sim, peer);
}
