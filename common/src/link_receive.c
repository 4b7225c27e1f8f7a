/*
 * link_receive.c: what comes in: epoch, order, acknowledgements, then the message itself.
 */
#include "link_private.h"

static drover_status refuse(drover_status status, const char *reason, const char **out_reason)
{
    if (out_reason != NULL) {
        *out_reason = reason;
    }
    return status;
}

/* HELLO and ATTACH come before the peer knows the epoch, WELCOME tells it, and an ERROR may be
 * the answer to a message of another epoch. While a peer lists its leases the broker
 * acknowledges and asks whether it is there: that is of whatever epoch WELCOME will tell. */
static bool is_of_epoch(const struct drv_link *link, const struct drv_message *message)
{
    unsigned kind = message->kind;
    if (kind == DRV_HELLO || kind == DRV_WELCOME || kind == DRV_ERROR) {
        return true;
    }
    if (kind == DRV_ATTACH && message->epoch == 0) {
        return true;
    }
    if (link->config.epoch == 0 && (kind == DRV_ACK || kind == DRV_HEARTBEAT)) {
        return true;
    }
    return message->epoch != 0 && message->epoch == link->config.epoch;
}

/* Enters the message into the books. Chunks in a row share one record, so that a peer cannot
 * make the books grow with small ones. */
static void book(struct drv_link *link, const struct drv_message *message, uint64_t charge,
                 bool is_auto, int64_t now_us)
{
    uint64_t worthy = link_kind_is_worthy(message->kind) ? message->seq : 0;
    struct link_item *last = link_ring_back(&link->inbound);
    link->seq_in = message->seq;
    link->inbound_bytes += charge;
    if (is_auto && last != NULL && last->is_auto) {
        last->seq = message->seq;
        last->charge += charge;
        last->token = worthy != 0 ? worthy : last->token;
    } else {
        link_ring_push(&link->inbound, &(struct link_item){.seq = message->seq,
                                                           .charge = charge,
                                                           .token = worthy,
                                                           .is_auto = is_auto});
    }
    link_advance(link, now_us);
}

/* Whether the other side reads rows: it says so when the connection begins. */
static void note_rows(struct drv_link *link, const struct drv_message *message)
{
    if (message->kind == DRV_HELLO) {
        link->takes_rows = drv_names_include(message->hello.capabilities,
                                             message->hello.capability_count, DRV_ROWS_NAME);
    } else if (message->kind == DRV_WELCOME) {
        link->takes_rows = drv_names_include(message->welcome.capabilities,
                                             message->welcome.capability_count, DRV_ROWS_NAME);
    }
}

/* Reads the fields and sees to what is the link's own business; tells in *out_auto whether
 * there is nothing left to be dealt with. */
static drover_status take(struct drv_link *link, struct drv_decode *decode,
                          const struct link_blob *blob, struct drv_arena *arena,
                          struct drv_message *message, bool *out_auto, const char **out_reason)
{
    const struct drv_transfers transfers = {.take = link_take_transfer, .context = link};
    link->kind_in = message->kind;
    drover_status status = drv_decode_fields(decode, &transfers, arena, message, out_reason);
    *out_auto = status != DROVER_OK;
    if (status) {
        return status;
    }
    if (message->kind == DRV_CHUNK) {
        *out_auto = true;
        return link_take_chunk(link, &message->chunk, blob, out_reason);
    }
    if (message->kind == DRV_CREDIT) {
        link->config.window_out = message->credit.bytes;
    }
    if (message->kind == DRV_ACK) {
        *out_auto = true;
    }
    note_rows(link, message);
    return DROVER_OK;
}

/* Whether the caller has anything to do with it. */
static bool is_for_caller(const struct drv_message *message)
{
    if (message->kind == DRV_CHUNK) {
        return false;
    }
    return message->kind != DRV_ACK || message->ack_notes.note_count > 0;
}

/* The place of a message in the stream: OK, and *out_duplicate, or PROTOCOL. */
static drover_status check_order(struct drv_link *link, const struct drv_message *message,
                                 bool *out_duplicate, const char **out_reason)
{
    *out_duplicate = false;
    if (message->seq == 0 || message->seq > link->seq_in + 1) {
        return refuse(DROVER_PROTOCOL, "gap in the sequence", out_reason);
    }
    if (message->seq <= link->seq_in) {
        *out_duplicate = true;
        return DROVER_OK;
    }
    if (link_acknowledged(link, message->ack)) {
        return refuse(DROVER_PROTOCOL, "acknowledges what was not sent", out_reason);
    }
    return DROVER_OK;
}

/* A peer may overrun our window by mistake, but not without end. */
static bool is_over_window(const struct drv_link *link, uint64_t charge)
{
    uint64_t limit = link->config.window_in > UINT64_MAX / 8 ? UINT64_MAX / 2
                                                             : link->config.window_in * 4;
    return charge != 0 && link->inbound_bytes > limit;
}

/* An ERROR out of its turn, from a side that has lost count or begins anew: if it ends the
 * connection it counts all the same, else there would be no way to say that. */
static bool is_last_word(struct drv_link *link, struct drv_decode *decode,
                         struct drv_arena *arena, struct drv_message *message)
{
    const struct drv_transfers transfers = {.take = link_take_transfer, .context = link};
    if (message->kind != DRV_ERROR || message->seq == link->seq_in + 1 ||
        drv_decode_fields(decode, &transfers, arena, message, NULL) != DROVER_OK) {
        return false;
    }
    uint32_t code = message->failure.code;
    if (code == DROVER_UNSUPPORTED || code == DROVER_BUSY || code == DROVER_DRAINING) {
        return false;
    }
    message->seq = link->seq_in;
    return true;
}

static drover_status receive(struct drv_link *link, const uint8_t *head, size_t head_len,
                             const struct link_blob *blob, int64_t now_us,
                             struct drv_arena *arena, struct drv_message *out_message,
                             const char **out_reason)
{
    struct drv_decode decode;
    bool is_duplicate = false;
    bool is_auto = false;
    link_release_taken(link);
    link->is_fresh = false;
    drover_status status = drv_decode_head(&decode, head, head_len, blob->bytes, blob->len,
                                           out_message, out_reason);
    if (status) {
        return status;
    }
    if (!is_of_epoch(link, out_message)) {
        return refuse(DROVER_EPOCH, "message of another epoch", out_reason);
    }
    if (is_last_word(link, &decode, arena, out_message)) {
        link->is_fresh = true;
        return DROVER_OK;
    }
    status = check_order(link, out_message, &is_duplicate, out_reason);
    if (status) {
        return status;
    }
    if (is_duplicate) {
        out_message->kind = (enum drv_kind)0;
        return DROVER_OK;
    }
    uint64_t charge = drv_kind_is_charged(out_message->kind) ? blob->len : 0;
    if (is_over_window(link, charge)) {
        return refuse(DROVER_PROTOCOL, "far beyond the byte window", out_reason);
    }
    status = link_ring_reserve(&link->inbound, 1);
    if (status) {
        return refuse(status, "out of memory", out_reason);
    }
    status = take(link, &decode, blob, arena, out_message, &is_auto, out_reason);
    if (status && status != DROVER_UNSUPPORTED) {
        return status;
    }
    book(link, out_message, charge, is_auto, now_us);
    link->is_fresh = true;
    if (status == DROVER_OK && !is_for_caller(out_message)) {
        out_message->kind = (enum drv_kind)0;
    }
    return status;
}

drover_status drv_link_receive(struct drv_link *link, const uint8_t *head, size_t head_len,
                               struct drv_data *blob, size_t blob_len, int64_t now_us,
                               struct drv_arena *arena, struct drv_message *out_message,
                               const char **out_reason)
{
    const struct link_blob whole = {
        .bytes = blob == NULL ? NULL : blob->bytes, .len = blob_len, .data = blob};
    return receive(link, head, head_len, &whole, now_us, arena, out_message, out_reason);
}

drover_status drv_link_receive_bytes(struct drv_link *link, const uint8_t *head,
                                     size_t head_len, const uint8_t *blob, size_t blob_len,
                                     int64_t now_us, struct drv_arena *arena,
                                     struct drv_message *out_message, const char **out_reason)
{
    const struct link_blob borrowed = {.bytes = blob, .len = blob_len};
    return receive(link, head, head_len, &borrowed, now_us, arena, out_message, out_reason);
}

drover_status drv_link_receive_lent(struct drv_link *link, const uint8_t *head, size_t head_len,
                                    const uint8_t *blob, size_t blob_len,
                                    const struct drv_lender *lender, int64_t now_us,
                                    struct drv_arena *arena, struct drv_message *out_message,
                                    const char **out_reason)
{
    const struct link_blob lent = {.bytes = blob, .len = blob_len, .lender = lender};
    return receive(link, head, head_len, &lent, now_us, arena, out_message, out_reason);
}
