/*
 * link_transfer.c: values that come as chunks.
 *
 * Memory follows what was received, not what was announced, unless the other side is trusted:
 * there is room for LINK_TRANSFER_AHEAD times as much, up to the announced total, and what
 * nothing was written to yet takes no memory of the system. Where the owner of the link wants
 * pieces (config.pieces_kind), what came stays where it is, and nothing is copied.
 */
#include "link_private.h"

static drover_status refuse(drover_status status, const char *reason, const char **out_reason)
{
    if (out_reason != NULL) {
        *out_reason = reason;
    }
    return status;
}

static struct link_incoming *find(struct drv_link *link, uint64_t transfer)
{
    for (size_t i = 0; i < DRV_TRANSFERS_MAX; i++) {
        if (link->incoming[i].transfer == transfer) {
            return &link->incoming[i];
        }
    }
    return NULL;
}

/* The slot of a transfer that begins with this chunk; NULL, with a reason, when it may not. */
static struct link_incoming *begin(struct drv_link *link, const struct drv_chunk *chunk,
                                   const char **out_reason)
{
    struct link_incoming *slot = find(link, 0);
    if (chunk->transfer <= link->transfer_in || chunk->offset != 0) {
        (void)refuse(DROVER_PROTOCOL, "chunk of no open transfer", out_reason);
        return NULL;
    }
    if (slot == NULL || chunk->total > (uint64_t)2 * DRV_PAYLOAD_MAX - link->incoming_bytes) {
        (void)refuse(DROVER_PROTOCOL, "too many open transfers", out_reason);
        return NULL;
    }
    *slot = (struct link_incoming){.transfer = chunk->transfer, .total = chunk->total};
    link->transfer_in = chunk->transfer;
    link->incoming_bytes += chunk->total;
    return slot;
}

/* Makes room for len more bytes. */
static drover_status grow(const struct drv_link *link, struct link_incoming *slot, size_t len)
{
    uint64_t need = slot->received + len;
    if (slot->data != NULL && slot->data->len >= need) {
        return DROVER_OK;
    }
    uint64_t capacity = slot->total;
    if (!link->config.is_trusted && need <= slot->total / LINK_TRANSFER_AHEAD) {
        capacity = need * LINK_TRANSFER_AHEAD;
    }
    return slot->data == NULL ? drv_data_new((size_t)capacity, &slot->data)
                              : drv_data_resize(&slot->data, (size_t)capacity);
}

/* Whether a chunk is kept where it is: only the last one of a value may be short. */
static bool stays(const struct drv_link *link, const struct link_incoming *slot,
                  const struct link_blob *blob)
{
    return blob->lender != NULL && link->config.pieces_kind != 0 &&
           (slot->data == NULL || drv_data_is_pieces(slot->data)) &&
           (blob->len >= LINK_PIECE_MIN || blob->len == slot->total - slot->received);
}

static drover_status keep(struct link_incoming *slot, const struct link_blob *blob)
{
    drover_status status = slot->data == NULL ? drv_pieces_new(&slot->data) : DROVER_OK;
    if (status) {
        return status;
    }
    return blob->len < LINK_PIECE_MIN
               ? drv_pieces_copy(slot->data, drv_view_of(blob->bytes, blob->len))
               : drv_pieces_lend(slot->data, blob->lender, blob->len);
}

/* One piece of memory, and the chunk in it. */
static drover_status put(const struct drv_link *link, struct link_incoming *slot,
                         const struct link_blob *blob)
{
    drover_status status = drv_pieces_join(&slot->data);
    if (!status) {
        status = grow(link, slot, blob->len);
    }
    if (!status) {
        memcpy(slot->data->bytes + slot->received, blob->bytes, blob->len);
    }
    return status;
}

static drover_status append(const struct drv_link *link, struct link_incoming *slot,
                            const struct link_blob *blob)
{
    drover_status status = DROVER_OK;
    if (blob->data != NULL && blob->len == slot->total && blob->data->len == blob->len) {
        slot->data = drv_data_ref(blob->data); /* the whole value: no copy */
    } else {
        status = stays(link, slot, blob) ? keep(slot, blob) : put(link, slot, blob);
    }
    slot->received += status ? 0 : blob->len;
    return status;
}

drover_status link_take_chunk(struct drv_link *link, const struct drv_chunk *chunk,
                              const struct link_blob *blob, const char **out_reason)
{
    size_t len = blob->len;
    if (chunk->total > DRV_PAYLOAD_MAX) {
        return refuse(DROVER_TOO_BIG, "transfer longer than payload_max", out_reason);
    }
    if (chunk->transfer == 0 || chunk->total <= DRV_INLINE_MAX || len == 0) {
        return refuse(DROVER_PROTOCOL, "chunk without number, length or need", out_reason);
    }
    struct link_incoming *slot = find(link, chunk->transfer);
    if (slot == NULL) {
        slot = begin(link, chunk, out_reason);
        if (slot == NULL) {
            return DROVER_PROTOCOL;
        }
    }
    if (chunk->offset != slot->received || chunk->total != slot->total ||
        len > slot->total - slot->received) {
        return refuse(DROVER_PROTOCOL, "chunk does not continue its transfer", out_reason);
    }
    drover_status status = append(link, slot, blob);
    return status ? refuse(status, "out of memory", out_reason) : DROVER_OK;
}

drover_status link_take_transfer(void *context, uint64_t transfer, uint64_t total,
                                 struct drv_data **out_data)
{
    struct drv_link *link = (struct drv_link *)context;
    struct link_incoming *slot = find(link, transfer);
    if (slot == NULL || slot->total != total || slot->received != total) {
        return DROVER_PROTOCOL;
    }
    if (link->kind_in != link->config.pieces_kind) {
        drover_status status = drv_pieces_join(&slot->data);
        if (status) {
            return status;
        }
    }
    /* There are never more than slots, since slots are emptied by this message only. */
    link->taken[link->taken_count++] = slot->data;
    link->incoming_bytes -= slot->total;
    *out_data = slot->data;
    *slot = (struct link_incoming){0};
    return DROVER_OK;
}

void link_release_taken(struct drv_link *link)
{
    while (link->taken_count > 0) {
        drv_data_unref(&link->taken[--link->taken_count]);
    }
}

void link_transfers_fini(struct drv_link *link)
{
    link_release_taken(link);
    for (size_t i = 0; i < DRV_TRANSFERS_MAX; i++) {
        drv_data_unref(&link->incoming[i].data);
    }
}
