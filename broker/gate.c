#include "gate.h"

#include "check.h"

#include <stdlib.h>

enum { GATE_FIRST = 64 };

/* --- queues ------------------------------------------------------------------------------ */

static drover_status queue_grow(struct gate_queue *queue)
{
    size_t capacity = queue->capacity == 0 ? GATE_FIRST : queue->capacity * 2;
    struct gated *items = malloc(capacity * sizeof *items);
    if (items == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < queue->count; i++) {
        items[i] = queue->items[(queue->first + i) & (queue->capacity - 1)];
    }
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->first = 0;
    return DROVER_OK;
}

static drover_status queue_reserve(struct gate_queue *queue)
{
    return queue->count < queue->capacity ? DROVER_OK : queue_grow(queue);
}

static void queue_push(struct gate_queue *queue, const struct gated *item)
{
    queue->items[(queue->first + queue->count++) & (queue->capacity - 1)] = *item;
}

static struct gated *queue_front(const struct gate_queue *queue)
{
    return queue->count == 0 ? NULL : &queue->items[queue->first];
}

static void queue_pop(struct gate_queue *queue)
{
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->count--;
}

static size_t queue_number(enum drover_durability level)
{
    return level == DROVER_DURABILITY_WRITTEN ? 0 : 1;
}

static struct gate_queue *queue_of(struct gate *gate, enum drover_durability level)
{
    return &gate->queues[queue_number(level)];
}

void gate_fini(struct gate *gate)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(gate->queues); i++) {
        struct gate_queue *queue = &gate->queues[i];
        struct gated *item;
        for (; (item = queue_front(queue)) != NULL; queue_pop(queue)) {
            drv_link_held_destroy(&item->held);
        }
        free(queue->items);
        *queue = (struct gate_queue){0};
    }
}

size_t gate_count(const struct gate *gate)
{
    return gate->queues[0].count + gate->queues[1].count;
}

/* --- in ---------------------------------------------------------------------------------- */

static bool is_safe(const struct store *store, enum drover_durability level, uint64_t lsn)
{
    return level == DROVER_DURABILITY_MEMORY || store_durable(store, level) >= lsn;
}

/* Whether something of the connection waits that a message of this level must not pass. */
static bool has_ahead(const struct connection *peer, enum drover_durability level)
{
    return peer->gated_chunks > 0 || peer->gated_welcomes > 0 ||
           (level != DROVER_DURABILITY_MEMORY && peer->gated[queue_number(level)] > 0);
}

drover_status gate_send(struct gate *gate, struct connection *peer,
                        const struct drv_message *message, uint64_t token,
                        enum drover_durability level, uint64_t lsn, const struct store *store)
{
    level = peer->gated_welcomes > 0 ? DROVER_DURABILITY_SYNCED : level;
    if (!has_ahead(peer, level) && is_safe(store, level, lsn)) {
        return drv_link_send(peer->link, message, token);
    }
    struct gated item = {.lsn = lsn, .connection = peer->serial, .number = peer->number};
    drover_status status = drv_link_hold(peer->link, message, token, &item.held);
    if (status != DROVER_OK) {
        return status;
    }
    bool has_chunks = drv_link_held_has_chunks(item.held);
    level = has_chunks && peer->gated_chunks > 0 ? DROVER_DURABILITY_SYNCED : level;
    if (level == DROVER_DURABILITY_MEMORY) {
        drv_link_let(peer->link, &item.held);
        return DROVER_OK;
    }
    struct gate_queue *queue = queue_of(gate, level);
    if (queue_reserve(queue) != DROVER_OK) {
        drv_link_held_destroy(&item.held);
        return DROVER_NOMEM;
    }
    item.is_welcome = message->kind == DRV_WELCOME;
    peer->gated_welcomes += item.is_welcome;
    peer->gated_chunks += has_chunks;
    peer->gated[queue_number(level)]++;
    queue_push(queue, &item);
    return DROVER_OK;
}

bool gate_settle(struct gate *gate, struct connection *peer, uint64_t seq,
                 enum drover_durability level, uint64_t lsn, const struct store *store,
                 int64_t now_us)
{
    level = peer->gated_settles > 0 ? DROVER_DURABILITY_SYNCED : level;
    struct gate_queue *queue = queue_of(gate, level);
    if (is_safe(store, level, lsn) && peer->gated_settles == 0) {
        drv_link_settle(peer->link, seq, now_us);
        return true;
    }
    if (queue_reserve(queue) != DROVER_OK) {
        return false; /* the next one stands for it */
    }
    struct gated item = {
        .lsn = lsn, .connection = peer->serial, .number = peer->number, .seq = seq};
    peer->gated_settles++;
    queue_push(queue, &item);
    return false;
}

/* --- out --------------------------------------------------------------------------------- */

static void let_out(struct connections *peers, struct connection *peer, size_t number,
                    struct gated *item, int64_t now_us)
{
    if (item->held == NULL) {
        peer->gated_settles--;
        drv_link_settle(peer->link, item->seq, now_us);
        connection_mark_acking(peers, peer);
        return;
    }
    peer->gated_chunks -= drv_link_held_has_chunks(item->held);
    peer->gated_welcomes -= item->is_welcome;
    peer->gated[number]--;
    drv_link_let(peer->link, &item->held);
    connection_mark_dirty(peers, peer);
}

static void queue_open(struct gate *gate, struct connections *peers, size_t number,
                       uint64_t safe, int64_t now_us)
{
    struct gate_queue *queue = &gate->queues[number];
    struct gated *item;
    for (; (item = queue_front(queue)) != NULL && item->lsn <= safe; queue_pop(queue)) {
        struct connection *peer = connections_at(peers, item->number);
        if (peer != NULL && peer->serial == item->connection && !peer->closing) {
            let_out(peers, peer, number, item, now_us);
        } else {
            drv_link_held_destroy(&item->held);
        }
    }
}

void gate_open(struct gate *gate, struct connections *peers, const struct store *store,
               int64_t now_us)
{
    if (gate_count(gate) == 0 || store_health(store, NULL) != DROVER_OK) {
        return;
    }
    queue_open(gate, peers, 0, store_durable(store, DROVER_DURABILITY_WRITTEN), now_us);
    queue_open(gate, peers, 1, store_durable(store, DROVER_DURABILITY_SYNCED), now_us);
}
