/*
 * link_send.c: what goes out: two lanes, the window, chunks.
 */
#include "check.h"
#include "link_private.h"

#include <stdlib.h>

/* Scratch buffers larger than this are not kept between messages. */
#define SCRATCH_KEEP ((size_t)16 * 1024)
/* Chunks are a quarter of the window, so that sending and acknowledging overlap, within these.
 */
#define PIECE_MIN ((uint64_t)16 * 1024)
#define PIECE_MAX ((uint64_t)DRV_BLOB_MAX)

static void free_pieces(struct link_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        drv_data_unref(&pieces[i].data);
    }
    free(pieces);
}

void link_outgoing_destroy(struct link_outgoing **outgoing)
{
    struct link_outgoing *gone = *outgoing;
    *outgoing = NULL;
    if (gone == NULL) {
        return;
    }
    drv_data_unref(&gone->blob);
    free_pieces(gone->pieces, gone->piece_count);
    free(gone->keys);
    free(gone);
}

/* ---- encoding ---------------------------------------------------------------------------- */

/* drv_transfers.put: notes a value of the message being encoded; kept by reference if it can
 * be. */
static drover_status put_transfer(void *context, const struct drv_val *val,
                                  uint64_t *out_transfer)
{
    struct drv_link *link = (struct drv_link *)context;
    uint64_t total = val->len;
    for (size_t i = 0; i < link->piece_count; i++) {
        total += link->pieces[i].len;
    }
    if (link->piece_count == DRV_TRANSFERS_MAX || total > (uint64_t)2 * DRV_PAYLOAD_MAX) {
        return DROVER_TOO_BIG;
    }
    if (link->pieces == NULL) {
        link->pieces = calloc(DRV_TRANSFERS_MAX, sizeof *link->pieces);
        if (link->pieces == NULL) {
            return DROVER_NOMEM;
        }
    }
    struct link_piece *piece = &link->pieces[link->piece_count];
    *piece = (struct link_piece){.len = val->len};
    if (val->data != NULL) {
        DRV_ASSERT(val->bytes >= val->data->bytes &&
                   val->bytes + val->len <= val->data->bytes + val->data->len);
        piece->data = drv_data_ref(val->data);
        piece->offset = (size_t)(val->bytes - val->data->bytes);
    } else {
        drover_status status = drv_data_copy(val->bytes, val->len, &piece->data);
        if (status) {
            return status;
        }
    }
    link->piece_count++;
    piece->transfer = link->transfer_out + link->piece_count;
    *out_transfer = piece->transfer;
    return DROVER_OK;
}

static void trim(struct drv_buffer *scratch, size_t *out_last)
{
    *out_last = scratch->len;
    if (scratch->capacity > SCRATCH_KEEP) {
        drv_buffer_fini(scratch);
        drv_buffer_init(scratch);
    } else {
        drv_buffer_clear(scratch);
    }
}

/* Leaves no trace of the message that was encoded, or of the attempt. */
static void end_encoding(struct drv_link *link)
{
    free_pieces(link->pieces, link->piece_count);
    link->pieces = NULL;
    link->piece_count = 0;
    trim(&link->head, &link->head_last);
    trim(&link->blob, &link->blob_last);
}

/* Large messages come in a row: room for another one like the last, at one go. */
static drover_status begin_encoding(struct drv_link *link)
{
    drover_status status = drv_buffer_reserve(&link->head, link->head_last);
    return status ? status : drv_buffer_reserve(&link->blob, link->blob_last);
}

/* What was encoded into the scratch buffers, as something that can wait. */
static drover_status outgoing_new(struct drv_link *link, const struct drv_message *message,
                                  uint64_t token, struct link_outgoing **out_outgoing)
{
    struct link_outgoing *outgoing = malloc(sizeof *outgoing + link->head.len);
    if (outgoing == NULL) {
        return DROVER_NOMEM;
    }
    memset(outgoing, 0, sizeof *outgoing);
    drv_list_init(&outgoing->link);
    outgoing->kind = message->kind;
    outgoing->row = drv_kind_row(message->kind);
    outgoing->token = token;
    outgoing->body_len = link->head.len;
    if (link->head.len != 0) {
        memcpy(outgoing->body, link->head.bytes, link->head.len);
    }
    drover_status status = link_keys_new(message, &outgoing->keys, &outgoing->key_count);
    if (status) {
        goto out;
    }
    if (link->blob.len != 0) {
        status = drv_data_copy(link->blob.bytes, link->blob.len, &outgoing->blob);
        if (status) {
            goto out;
        }
    }
    outgoing->pieces = link->pieces;
    outgoing->piece_count = link->piece_count;
    link->transfer_out += link->piece_count;
    link->pieces = NULL;
    link->piece_count = 0;
    *out_outgoing = outgoing;
    return DROVER_OK;
out:
    link_outgoing_destroy(&outgoing);
    return status;
}

/* ---- lanes ------------------------------------------------------------------------------- */

static struct drv_list *lane_of(struct drv_link *link, struct link_outgoing *outgoing)
{
    if (outgoing->piece_count > 0 || outgoing->row->is_ordered ||
        link_must_wait(&link->ordered, outgoing)) {
        return &link->ordered;
    }
    return &link->control;
}

static size_t outgoing_bytes(const struct link_outgoing *outgoing)
{
    size_t bytes = outgoing->body_len + (outgoing->blob == NULL ? 0 : outgoing->blob->len);
    for (size_t i = outgoing->piece_at; i < outgoing->piece_count; i++) {
        bytes += outgoing->pieces[i].len - outgoing->pieces[i].sent;
    }
    return bytes;
}

static bool is_full(const struct drv_link *link, size_t bytes)
{
    size_t max = link->config.queue_bytes_max;
    size_t waiting = link->queued_bytes + link->held_bytes;
    return max != 0 && link->queued + link->held > 0 &&
           (waiting > max || bytes > max - waiting);
}

static void enqueue(struct drv_link *link, struct drv_list *lane,
                    struct link_outgoing *outgoing)
{
    drv_list_push_back(lane, &outgoing->link);
    link->queued++;
    link->queued_bytes += outgoing_bytes(outgoing);
}

/* The message, encoded, in no lane yet. */
static drover_status encode_message(struct drv_link *link, const struct drv_message *message,
                                    uint64_t token, bool is_bounded,
                                    struct link_outgoing **out_outgoing)
{
    const struct drv_transfers transfers = {
        .put = put_transfer, .context = link, .takes_rows = link->takes_rows};
    struct link_outgoing *outgoing = NULL;
    drover_status status = begin_encoding(link);
    if (status == DROVER_OK) {
        status = drv_encode_fields(message, &transfers, &link->head, &link->blob);
    }
    if (status) {
        goto out;
    }
    status = outgoing_new(link, message, token, &outgoing);
    if (status) {
        goto out;
    }
    if (is_bounded && is_full(link, outgoing_bytes(outgoing))) {
        link->transfer_out -= outgoing->piece_count;
        link_outgoing_destroy(&outgoing);
        status = DROVER_BUSY;
        goto out;
    }
    *out_outgoing = outgoing;
out:
    end_encoding(link);
    return status;
}

static drover_status queue_message(struct drv_link *link, const struct drv_message *message,
                                   uint64_t token, bool is_bounded)
{
    struct link_outgoing *outgoing = NULL;
    drover_status status = encode_message(link, message, token, is_bounded, &outgoing);
    if (status == DROVER_OK) {
        enqueue(link, lane_of(link, outgoing), outgoing);
    }
    return status;
}

static drover_status check_room(const struct drv_link *link, const struct drv_message *message)
{
    if (message->kind == DRV_CHUNK) {
        return DROVER_INVALID; /* chunks are made here */
    }
    bool is_full_up = link->config.queue_max != 0 &&
                      link->queued + link->held + link->returned_count >=
                          link->config.queue_max;
    return is_full_up ? DROVER_BUSY : DROVER_OK;
}

drover_status drv_link_send(struct drv_link *link, const struct drv_message *message,
                            uint64_t token)
{
    drover_status status = check_room(link, message);
    return status ? status : queue_message(link, message, token, true);
}

/* ---- held messages ----------------------------------------------------------------------- */

static struct link_outgoing *outgoing_of(struct drv_link_held *held)
{
    return (struct link_outgoing *)(void *)held;
}

drover_status drv_link_hold(struct drv_link *link, const struct drv_message *message,
                            uint64_t token, struct drv_link_held **out_held)
{
    struct link_outgoing *outgoing = NULL;
    drover_status status = check_room(link, message);
    if (status == DROVER_OK) {
        status = encode_message(link, message, token, true, &outgoing);
    }
    if (status == DROVER_OK) {
        link->held++;
        link->held_bytes += outgoing_bytes(outgoing);
        *out_held = (struct drv_link_held *)(void *)outgoing;
    }
    return status;
}

bool drv_link_held_has_chunks(const struct drv_link_held *held)
{
    return outgoing_of((struct drv_link_held *)held)->piece_count > 0;
}

void drv_link_let(struct drv_link *link, struct drv_link_held **held)
{
    struct link_outgoing *outgoing = outgoing_of(*held);
    *held = NULL;
    DRV_ASSERT(link->held > 0);
    link->held--;
    link->held_bytes -= outgoing_bytes(outgoing);
    enqueue(link, lane_of(link, outgoing), outgoing);
}

void drv_link_held_destroy(struct drv_link_held **held)
{
    struct link_outgoing *outgoing = *held == NULL ? NULL : outgoing_of(*held);
    *held = NULL;
    link_outgoing_destroy(&outgoing);
}

drover_status link_queue_ack(struct drv_link *link)
{
    const struct drv_message message = {.kind = DRV_ACK};
    return queue_message(link, &message, 0, false);
}

/* ---- emission ---------------------------------------------------------------------------- */

static bool fits_window(const struct drv_link *link, uint64_t charge)
{
    return charge == 0 || link->flight_bytes == 0 ||
           (link->flight_bytes <= link->config.window_out &&
            charge <= link->config.window_out - link->flight_bytes);
}

static size_t piece_len(const struct drv_link *link, const struct link_piece *piece)
{
    uint64_t len = link->config.window_out / 4;
    len = len < PIECE_MIN ? PIECE_MIN : len;
    len = len > PIECE_MAX ? PIECE_MAX : len;
    return len < piece->len - piece->sent ? (size_t)len : piece->len - piece->sent;
}

static struct link_outgoing *first_of(const struct drv_list *lane)
{
    struct drv_list *first = drv_list_first(lane);
    return first == NULL ? NULL : DRV_LIST_ITEM(first, struct link_outgoing, link);
}

static uint64_t own_charge(const struct link_outgoing *outgoing)
{
    return outgoing->row->is_charged && outgoing->blob != NULL ? outgoing->blob->len : 0;
}

/* What the next frame pair of the ordered lane takes from the window. */
static uint64_t next_charge(const struct drv_link *link, const struct link_outgoing *outgoing)
{
    if (outgoing->piece_at < outgoing->piece_count) {
        return piece_len(link, &outgoing->pieces[outgoing->piece_at]);
    }
    return own_charge(outgoing);
}

bool link_can_send(const struct drv_link *link)
{
    const struct link_outgoing *ordered = first_of(&link->ordered);
    return !drv_list_is_empty(&link->control) ||
           (ordered != NULL && fits_window(link, next_charge(link, ordered)));
}

/* Head of a frame pair: the common fields, then the body. NULL: out of memory. */
static struct drv_data *make_head(struct drv_link *link, const struct drv_kind_row *row,
                                  enum drv_kind kind, const uint8_t *body, size_t body_len)
{
    const struct drv_message common = {.kind = kind,
                                       .epoch = link->config.epoch,
                                       .seq = link->seq_out + 1,
                                       .ack = link->settled_in};
    struct drv_data *head = NULL;
    struct drv_pack pack;
    drv_pack_init(&pack, &link->head);
    drv_encode_head(&pack, row, &common);
    if (drv_pack_status(&pack) == DROVER_OK &&
        drv_data_new(link->head.len + body_len, &head) == DROVER_OK) {
        memcpy(head->bytes, link->head.bytes, link->head.len);
        if (body_len != 0) {
            memcpy(head->bytes + link->head.len, body, body_len);
        }
    }
    drv_buffer_clear(&link->head);
    return head;
}

/* Books a frame pair as handed out; room in the rings was reserved. */
static void depart(struct drv_link *link, enum drv_kind kind, uint64_t charge, uint64_t token)
{
    link->seq_out++;
    if (link_kind_is_worthy(kind)) {
        link->worthy_out = link->seq_out;
    }
    if (charge != 0 || token != 0) {
        link_ring_push(
            &link->flight,
            &(struct link_item){.seq = link->seq_out, .charge = charge, .token = token});
        link->flight_bytes += charge;
        link->flight_tokens += token != 0;
    }
    link->ack_out = link->settled_in;
    link->ack_due_us = INT64_MAX;
}

static bool reserve(struct drv_link *link)
{
    return link_ring_reserve(&link->flight, 1) == DROVER_OK &&
           link_ring_reserve(&link->settled, link->flight_tokens + 1) == DROVER_OK;
}

static bool send_piece(struct drv_link *link, struct link_outgoing *outgoing,
                       struct drv_frames *out_frames)
{
    struct link_piece *piece = &outgoing->pieces[outgoing->piece_at];
    size_t len = piece_len(link, piece);
    const struct drv_message chunk = {
        .kind = DRV_CHUNK,
        .chunk = {.transfer = piece->transfer, .offset = piece->sent, .total = piece->len}};
    struct drv_buffer body;
    drv_buffer_init(&body);
    struct drv_data *head = NULL;
    if (drv_encode_fields(&chunk, NULL, &body, &link->blob) == DROVER_OK) {
        head = make_head(link, drv_kind_row(DRV_CHUNK), DRV_CHUNK, body.bytes, body.len);
    }
    drv_buffer_fini(&body);
    if (head == NULL) {
        return false;
    }
    *out_frames = (struct drv_frames){.head = head,
                                      .blob = drv_data_ref(piece->data),
                                      .blob_offset = piece->offset + piece->sent,
                                      .blob_len = len,
                                      .kind = DRV_CHUNK};
    depart(link, DRV_CHUNK, len, 0);
    piece->sent += len;
    link->queued_bytes -= len;
    if (piece->sent == piece->len) {
        drv_data_unref(&piece->data);
        outgoing->piece_at++;
    }
    return true;
}

static bool send_message(struct drv_link *link, struct link_outgoing *outgoing,
                         struct drv_frames *out_frames)
{
    struct drv_data *head = make_head(link, outgoing->row, outgoing->kind, outgoing->body,
                                      outgoing->body_len);
    if (head == NULL) {
        return false;
    }
    depart(link, outgoing->kind, own_charge(outgoing), outgoing->token);
    link->queued--;
    link->queued_bytes -= outgoing_bytes(outgoing);
    *out_frames = (struct drv_frames){.head = head,
                                      .blob = outgoing->blob,
                                      .blob_len = outgoing->blob == NULL ? 0
                                                                         : outgoing->blob->len,
                                      .kind = outgoing->kind};
    outgoing->blob = NULL;
    drv_list_remove(&outgoing->link);
    link_outgoing_destroy(&outgoing);
    return true;
}

/* Its acknowledgement may be an old one by now: have drv_link_tick look at once. */
static void take_returned(struct drv_link *link, struct drv_frames *out_frames)
{
    *out_frames = link->returned[--link->returned_count];
    if (link->worthy_in > link->ack_out && link->ack_due_us == INT64_MAX) {
        link->ack_due_us = 0;
    }
}

bool drv_link_next(struct drv_link *link, struct drv_frames *out_frames)
{
    if (link->returned_count > 0) {
        take_returned(link, out_frames);
        return true;
    }
    if (!reserve(link)) {
        return false;
    }
    struct link_outgoing *outgoing = first_of(&link->control);
    if (outgoing != NULL) {
        return send_message(link, outgoing, out_frames);
    }
    outgoing = first_of(&link->ordered);
    if (outgoing == NULL || !fits_window(link, next_charge(link, outgoing))) {
        return false;
    }
    if (outgoing->piece_at < outgoing->piece_count) {
        return send_piece(link, outgoing, out_frames);
    }
    return send_message(link, outgoing, out_frames);
}

void drv_link_unsend(struct drv_link *link, struct drv_frames *frames)
{
    DRV_ASSERT(link->returned_count < DRV_LINK_UNSEND_MAX);
    link->returned[link->returned_count++] = *frames;
    *frames = (struct drv_frames){0};
}

size_t drv_link_queued(const struct drv_link *link)
{
    return link->queued + link->returned_count;
}

size_t drv_link_queued_bytes(const struct drv_link *link)
{
    size_t bytes = link->queued_bytes;
    for (size_t i = 0; i < link->returned_count; i++) {
        bytes += link->returned[i].head->len + link->returned[i].blob_len;
    }
    return bytes;
}
