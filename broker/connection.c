/* connection.c: see connection.h. */
#include "connection.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

struct routing_key {
    enum core_port port;
    const void *bytes;
    size_t len;
};

static bool has_routing_id(const void *entry, const void *key)
{
    const struct connection *peer = entry;
    const struct routing_key *wanted = key;
    return peer->port == wanted->port && peer->routing_id_len == wanted->len &&
           memcmp(peer->routing_id, wanted->bytes, wanted->len) == 0;
}

drover_status connections_init(struct connections *peers, uint64_t seed, size_t max)
{
    memset(peers, 0, sizeof(*peers));
    drv_table_init(&peers->by_routing_id, seed, has_routing_id);
    peers->max = max;
    for (size_t i = 0; i < DRV_ARRAY_LEN(peers->dirty); i++) {
        drv_list_init(&peers->dirty[i]);
        drv_list_init(&peers->quiet[i]);
    }
    drv_list_init(&peers->acking);
    drv_list_init(&peers->waiting);
    drv_list_init(&peers->gone);
    return DROVER_OK;
}

void connections_fini(struct connections *peers)
{
    for (size_t i = 0; i < peers->capacity; i++) {
        if (peers->by_number[i] != NULL) {
            struct connection *peer = peers->by_number[i];
            connections_remove(peers, &peer);
        }
    }
    drv_table_fini(&peers->by_routing_id);
    free(peers->by_number);
    free(peers->free_numbers);
    memset(peers, 0, sizeof(*peers));
}

struct connection *connections_find(const struct connections *peers, enum core_port port,
                                    const void *routing_id, size_t len)
{
    struct routing_key key = {port, routing_id, len};
    uint64_t hash = drv_table_hash(&peers->by_routing_id, routing_id, len);
    return drv_table_find(&peers->by_routing_id, hash, &key);
}

struct connection *connections_at(const struct connections *peers, uint32_t number)
{
    return number < peers->capacity ? peers->by_number[number] : NULL;
}

static drover_status grow(struct connections *peers)
{
    size_t capacity = peers->capacity == 0 ? 64 : peers->capacity * 2;
    struct connection **by_number = realloc(peers->by_number,
                                            capacity * sizeof(struct connection *));
    if (by_number == NULL) {
        return DROVER_NOMEM;
    }
    peers->by_number = by_number;
    uint32_t *free_numbers = realloc(peers->free_numbers, capacity * sizeof(uint32_t));
    if (free_numbers == NULL) {
        return DROVER_NOMEM;
    }
    peers->free_numbers = free_numbers;
    for (size_t i = capacity; i > peers->capacity; i--) {
        by_number[i - 1] = NULL;
        free_numbers[peers->free_count++] = (uint32_t)(i - 1);
    }
    peers->capacity = capacity;
    return DROVER_OK;
}

drover_status connections_add(struct connections *peers, enum core_port port,
                              const void *routing_id, size_t len,
                              const struct drv_link_config *config, int64_t now_us,
                              struct connection **out_peer)
{
    if (peers->count >= peers->max) {
        return DROVER_LIMIT;
    }
    if (len == 0 || len > CONNECTION_ROUTING_ID_MAX) {
        return DROVER_INVALID;
    }
    if (peers->free_count == 0 && grow(peers) != DROVER_OK) {
        return DROVER_NOMEM;
    }
    struct connection *peer = calloc(1, sizeof(*peer));
    if (peer == NULL || drv_link_new(config, &peer->link) != DROVER_OK) {
        free(peer);
        return DROVER_NOMEM;
    }
    peer->port = port;
    peer->serial = ++peers->serial;
    memcpy(peer->routing_id, routing_id, len);
    peer->routing_id_len = len;
    uint64_t hash = drv_table_hash(&peers->by_routing_id, routing_id, len);
    if (drv_table_insert(&peers->by_routing_id, hash, peer) != DROVER_OK) {
        drv_link_destroy(&peer->link);
        free(peer);
        return DROVER_NOMEM;
    }
    peer->number = peers->free_numbers[--peers->free_count];
    peers->by_number[peer->number] = peer;
    peers->count++;
    drv_list_init(&peer->dirty);
    drv_list_init(&peer->acking);
    drv_list_init(&peer->waiting);
    drv_list_init(&peer->quiet);
    drv_list_init(&peer->gone);
    connection_heard(peers, peer, now_us);
    *out_peer = peer;
    return DROVER_OK;
}

void connections_remove(struct connections *peers, struct connection **peer)
{
    struct connection *p = *peer;
    *peer = NULL;
    uint64_t hash = drv_table_hash(&peers->by_routing_id, p->routing_id, p->routing_id_len);
    drv_table_remove_entry(&peers->by_routing_id, hash, p);
    drv_list_remove(&p->dirty);
    drv_list_remove(&p->acking);
    drv_list_remove(&p->waiting);
    drv_list_remove(&p->quiet);
    drv_list_remove(&p->gone);
    DRV_ASSERT(peers->by_number[p->number] == p);
    peers->by_number[p->number] = NULL;
    peers->free_numbers[peers->free_count++] = p->number;
    peers->count--;
    drv_link_destroy(&p->link);
    free(p);
}

void connection_mark_dirty(struct connections *peers, struct connection *peer)
{
    if (!drv_list_is_linked(&peer->dirty)) {
        drv_list_push_back(&peers->dirty[peer->port], &peer->dirty);
    }
}

void connection_mark_gone(struct connections *peers, struct connection *peer)
{
    if (!drv_list_is_linked(&peer->gone)) {
        drv_list_push_back(&peers->gone, &peer->gone);
    }
}

void connection_mark_acking(struct connections *peers, struct connection *peer)
{
    if (!drv_list_is_linked(&peer->acking) && drv_link_deadline_us(peer->link) != INT64_MAX) {
        drv_list_push_back(&peers->acking, &peer->acking);
    }
}

void connection_heard(struct connections *peers, struct connection *peer, int64_t now_us)
{
    peer->heard_at_us = now_us;
    peer->probed_at_us = now_us;
    drv_list_remove(&peer->quiet);
    drv_list_push_back(&peers->quiet[peer->port], &peer->quiet);
}
