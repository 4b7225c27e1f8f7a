/*
 * peer.c: connections.
 */
#include "broker.h"
#include "check.h"

#include <stdlib.h>

enum { PEERS_MAX = 1 << 20, NOTES_MAX = 65536 };

struct peer *peer_find(const struct core *core, uint32_t number)
{
    return number < core->peers.count ? core->peers.slots[number] : NULL;
}

static bool peers_grow(struct peers *peers, uint32_t number)
{
    if (number < peers->count) {
        return true;
    }
    if (number >= PEERS_MAX) {
        return false;
    }
    size_t count = peers->count < 64 ? 64 : peers->count;
    while (count <= number) {
        count *= 2;
    }
    struct peer **slots = realloc(peers->slots, count * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = peers->count; i < count; i++) {
        slots[i] = NULL;
    }
    peers->slots = slots;
    peers->count = count;
    return true;
}

struct peer *peer_ensure(struct core *core, uint32_t number, enum core_port port)
{
    struct peer *peer = peer_find(core, number);
    if (peer != NULL || !peers_grow(&core->peers, number)) {
        return peer;
    }
    peer = core_alloc(core, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->number = number;
    peer->port = port;
    peer->state = PEER_NEW;
    drv_list_init(&peer->link);
    drv_list_init(&peer->flights);
    core->peers.slots[number] = peer;
    return peer;
}

/* --- flights ----------------------------------------------------------------------------- */

bool peer_window_has(const struct peer *peer, uint64_t bytes)
{
    uint64_t window = peer->session->credit_bytes;
    return peer->flight_bytes <= window && bytes <= window - peer->flight_bytes;
}

struct flight *peer_fly(struct core *core, struct peer *peer, uint64_t bytes,
                        enum drover_durability level)
{
    struct flight *flight = core_alloc(core, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    flight->token = ++peer->last_token;
    flight->level = level;
    flight->bytes = bytes;
    drv_list_init(&flight->sent);
    drv_list_init(&flight->watches);
    drv_list_init(&flight->losses);
    drv_list_init(&flight->pieces);
    drv_list_push_back(&peer->flights, &flight->link);
    peer->flight_bytes += bytes;
    return flight;
}

void peer_land(struct core *core, struct peer *peer, struct flight *flight)
{
    DRV_ASSERT(drv_list_is_empty(&flight->sent) && drv_list_is_empty(&flight->watches));
    peer->flight_bytes -= flight->bytes;
    drv_list_remove(&flight->link);
    core_free(core, flight, sizeof *flight);
}

/* The level at which the message left; nothing overtakes within it. */
static enum drover_durability level_of_token(const struct peer *peer, uint64_t token)
{
    enum drover_durability level = DROVER_DURABILITY_MEMORY;
    DRV_LIST_EACH(link, &peer->flights)
    {
        const struct flight *flight = DRV_LIST_ITEM(link, struct flight, link);
        if (flight->token > token) {
            break;
        }
        level = flight->level;
    }
    return level;
}

void peer_settled(struct core *core, struct peer *peer, uint64_t token)
{
    enum drover_durability level = level_of_token(peer, token);
    DRV_LIST_EACH_SAFE(link, &peer->flights)
    {
        struct flight *flight = DRV_LIST_ITEM(link, struct flight, link);
        if (flight->token > token) {
            break;
        }
        if (flight->level != level) {
            continue;
        }
        if (flight->items > 0) {
            watch_settle(core, peer->session, flight);
        }
        peer_land(core, peer, flight);
    }
    if (peer->session == NULL) {
        return;
    }
    peer_touch(core, peer);
    if (peer->session->worker != NULL) {
        peer->session->worker->is_choked = false;
        worker_update(core, peer->session->worker);
    }
}

/* Whatever was in flight is to be sent again. */
static void peer_revert(struct core *core, struct peer *peer)
{
    struct drv_list *link;
    while ((link = drv_list_last(&peer->flights)) != NULL) {
        struct flight *flight = DRV_LIST_ITEM(link, struct flight, link);
        if (flight->items > 0) {
            watch_revert(core, peer->session, flight);
        }
        peer_land(core, peer, flight);
    }
}

/* --- the end ----------------------------------------------------------------------------- */

void peer_kill(struct core *core, struct peer *peer)
{
    struct session *session = peer->session;
    if (session != NULL) {
        peer_revert(core, peer);
        session_unbind(core, session);
        peer->session = NULL;
    }
    peer->state = PEER_DEAD;
    peer->is_dirty = true; /* never flushed again */
    drv_list_remove(&peer->link);
    drv_list_push_back(&core->dead_peers, &peer->link);
}

void peer_gone(struct core *core, struct peer *peer)
{
    peer_kill(core, peer);
    drv_list_remove(&peer->link);
    core->peers.slots[peer->number] = NULL;
    core_free(core, peer->notes, peer->note_capacity * sizeof *peer->notes);
    core_free(core, peer, sizeof *peer);
}

void peer_error(struct core *core, struct peer *peer, drover_status code, const char *text)
{
    struct drv_message *message = effects_message(core, DRV_ERROR);
    if (message != NULL) {
        message->failure = (struct drv_failure){.code = (uint32_t)code,
                                                .text = drv_str_of(text)};
    }
    effects_send(core, peer, message, 0);
}

void peer_refuse(struct core *core, struct peer *peer, drover_status code, const char *text)
{
    peer_error(core, peer, code, text);
    peer_kill(core, peer);
    effects_close(core, peer);
}

/* --- flushing ---------------------------------------------------------------------------- */

void peer_touch(struct core *core, struct peer *peer)
{
    if (peer->is_dirty) {
        return;
    }
    peer->is_dirty = true;
    drv_list_push_back(peer->port == CORE_PORT_WORKER ? &core->dirty_workers
                                                      : &core->dirty_clients,
                       &peer->link);
}

bool peer_is_open(const struct peer *peer)
{
    return peer != NULL && peer->state == PEER_OPEN && !peer->is_blocked;
}

void peer_note(struct core *core, struct peer *peer, uint64_t seq, uint32_t position,
               drover_status code)
{
    if (peer->note_count == peer->note_capacity) {
        size_t capacity = peer->note_capacity == 0 ? 64 : peer->note_capacity * 2;
        struct drv_note *notes = capacity > NOTES_MAX
                                     ? NULL
                                     : realloc(peer->notes, capacity * sizeof *notes);
        if (notes == NULL) {
            return; /* notes are a courtesy: the sender drops its copy all the same */
        }
        core->memory_bytes += (capacity - peer->note_capacity) * sizeof *notes;
        peer->notes = notes;
        peer->note_capacity = capacity;
    }
    peer->notes[peer->note_count++] = (struct drv_note){
        .seq = seq, .position = position, .code = (uint32_t)code};
}

static void peer_flush_notes(struct core *core, struct peer *peer, enum drover_durability level)
{
    for (size_t at = 0; at < peer->note_count;) {
        size_t count = peer->note_count - at;
        count = count > DRV_BATCH_MAX ? DRV_BATCH_MAX : count;
        struct drv_message *message = effects_message(core, DRV_ACK);
        if (message != NULL) {
            message->ack_notes.notes = drv_arena_copy(&core->effects.arena, peer->notes + at,
                                                      count * sizeof *peer->notes);
            message->ack_notes.note_count = message->ack_notes.notes == NULL ? 0 : count;
        }
        effects_send_at(core, peer, message, 0, level);
        at += count;
    }
    peer->note_count = 0;
}

static void peer_flush(struct core *core, struct peer *peer)
{
    enum drover_durability level = peer->settle_level;
    peer->is_dirty = false;
    if (peer->settled < peer->seq) {
        effects_settle(core, peer, peer->seq);
    }
    if (!peer_is_open(peer)) {
        return;
    }
    peer_flush_notes(core, peer, level);
    replies_flush(core, peer->session);
    if (peer->session->role == DRV_ROLE_WORKER && peer->session->worker != NULL) {
        worker_flush(core, peer->session->worker);
    }
    watch_flush(core, peer->session);
    streams_flush(core, peer->session);
    if (peer->is_broken) {
        peer_kill(core, peer);
        effects_close(core, peer);
    }
}

void peers_flush(struct core *core)
{
    struct drv_list *lists[] = {&core->dirty_workers, &core->dirty_clients};
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        /* What a flush touches again is for the next turn. */
        struct drv_list now, *link;
        drv_list_init(&now);
        drv_list_splice_back(&now, lists[i]);
        while ((link = drv_list_pop_front(&now)) != NULL) {
            peer_flush(core, DRV_LIST_ITEM(link, struct peer, link));
        }
    }
    core->wants_tick |= !drv_list_is_empty(&core->dirty_workers) ||
                        !drv_list_is_empty(&core->dirty_clients);
}

void peers_bury(struct core *core)
{
    struct drv_list *link;
    while ((link = drv_list_first(&core->dead_peers)) != NULL) {
        peer_gone(core, DRV_LIST_ITEM(link, struct peer, link));
    }
}

void peers_fini(struct core *core)
{
    for (size_t i = 0; i < core->peers.count; i++) {
        if (core->peers.slots[i] != NULL) {
            peer_gone(core, core->peers.slots[i]);
        }
    }
    free(core->peers.slots);
}
