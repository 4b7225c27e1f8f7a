/*
 * message_stream.c: the codec of streams (PROTOCOL.md section 6, "Streams"), and of the output
 * of tasks that feeds them.
 */
#include "message_codec.h"

/* What has been read cannot hold more than the blob: lengths are of 32 bit, counts bounded. */
static void check_sum(struct drv_decode *decode, uint64_t sum, size_t len, const char *reason)
{
    if (sum != len) {
        drv_decode_fail(decode, DROVER_MALFORMED, reason);
    }
}

static struct drv_str blob_of(const struct drv_decode *decode)
{
    return (struct drv_str){(const char *)decode->blob, decode->blob_len};
}

static uint32_t get_output(struct drv_decode *decode)
{
    return drv_get_enum(decode, DRV_OUTPUT_STDOUT, DRV_OUTPUT_DATA, "unknown log stream");
}

static void put_output(struct drv_encode *encode, uint32_t stream)
{
    drv_put_enum(encode, stream, DRV_OUTPUT_STDOUT, DRV_OUTPUT_DATA);
}

/* ---- SUBSCRIBE --------------------------------------------------------------------------- */

/* The number of the stream is not checked: a broker answers one it does not know. */
void drv_decode_subscribe(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_subscribe *subscribe = &out_message->subscribe;
    subscribe->subscription = drv_get_u64(decode);
    subscribe->stream = drv_get_u32(decode);
    subscribe->items = drv_get_u64(decode);
    subscribe->bytes = drv_get_u64(decode);
    subscribe->taken = drv_get_u64(decode);
    subscribe->flags = drv_get_u32(decode);
    subscribe->mask = drv_get_u64(decode);
    subscribe->has_id = drv_get_id_optional(decode, &subscribe->id);
    subscribe->index = drv_get_index(decode);
    subscribe->queue = drv_get_name_optional(decode);
    subscribe->type = drv_get_name_optional(decode);
    subscribe->worker = drv_get_text_optional(decode, DRV_NAME_MAX);
    subscribe->text = drv_get_text_optional(decode, DRV_KEY_MAX);
    drv_get_tag(decode, &subscribe->tag_name, &subscribe->tag_value);
    subscribe->group = drv_get_name_optional(decode);
    if (subscribe->subscription == 0) {
        drv_decode_fail(decode, DROVER_MALFORMED, "subscription 0");
    }
}

void drv_encode_subscribe(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_subscribe *subscribe = &message->subscribe;
    if (subscribe->subscription == 0) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_uint(encode, subscribe->subscription);
    drv_put_uint(encode, subscribe->stream);
    drv_put_uint(encode, subscribe->items);
    drv_put_uint(encode, subscribe->bytes);
    drv_put_uint(encode, subscribe->taken);
    drv_put_uint(encode, subscribe->flags);
    drv_put_uint(encode, subscribe->mask);
    drv_put_id_optional(encode, subscribe->has_id, &subscribe->id);
    drv_put_index(encode, subscribe->index);
    drv_put_name_optional(encode, subscribe->queue);
    drv_put_name_optional(encode, subscribe->type);
    drv_put_text_optional(encode, subscribe->worker, DRV_NAME_MAX);
    drv_put_text_optional(encode, subscribe->text, DRV_KEY_MAX);
    drv_put_tag(encode, subscribe->tag_name, subscribe->tag_value);
    drv_put_name_optional(encode, subscribe->group);
}

/* ---- LOGS, EVENTS, TAKEN ----------------------------------------------------------------- */

void drv_decode_logs(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_logs *logs = &out_message->logs;
    struct drv_items items;
    uint64_t sum = 0;
    logs->subscription = drv_get_u64(decode);
    logs->first = drv_get_u64(decode);
    struct drv_piece *pieces = drv_get_batch(decode, sizeof *pieces, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        pieces[i].index = drv_get_index(decode);
        pieces[i].attempt = drv_get_u32(decode);
        pieces[i].stream = get_output(decode);
        pieces[i].offset = drv_get_u64(decode);
        pieces[i].len = drv_get_u32(decode);
        drv_get_close(decode, outer);
        sum += pieces[i].len;
    }
    drv_get_close(decode, items.outer);
    logs->pieces = pieces;
    logs->piece_count = items.count;
    logs->state = drv_get_enum(decode, 0, DROVER_STATE_LOST, "unknown state");
    logs->text = blob_of(decode);
    check_sum(decode, sum, decode->blob_len, "pieces are not the blob");
}

void drv_encode_logs(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_logs *logs = &message->logs;
    uint64_t sum = 0;
    drv_put_uint(encode, logs->subscription);
    drv_put_uint(encode, logs->first);
    drv_put_batch(encode, logs->piece_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < logs->piece_count; i++) {
        const struct drv_piece *piece = &logs->pieces[i];
        drv_put_array(encode, 5);
        drv_put_index(encode, piece->index);
        drv_put_uint(encode, piece->attempt);
        put_output(encode, piece->stream);
        drv_put_uint(encode, piece->offset);
        drv_put_uint(encode, piece->len);
        sum += piece->len;
    }
    drv_put_enum(encode, logs->state, 0, DROVER_STATE_LOST);
    drv_put_blob(encode, logs->text, DRV_BLOB_MAX);
    if (sum != logs->text.len) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
}

void drv_decode_events(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_events *events = &out_message->events;
    struct drv_items items;
    uint64_t sum = 0;
    events->subscription = drv_get_u64(decode);
    events->first = drv_get_u64(decode);
    struct drv_event_entry *entries = drv_get_batch(decode, sizeof *entries, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        entries[i].age_ms = drv_get_u64(decode);
        entries[i].len = drv_get_u32(decode);
        drv_get_close(decode, outer);
        sum += entries[i].len;
    }
    drv_get_close(decode, items.outer);
    events->entries = entries;
    events->entry_count = items.count;
    events->maps = blob_of(decode);
    check_sum(decode, sum, decode->blob_len, "entries are not the blob");
}

void drv_encode_events(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_events *events = &message->events;
    uint64_t sum = 0;
    drv_put_uint(encode, events->subscription);
    drv_put_uint(encode, events->first);
    drv_put_batch(encode, events->entry_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < events->entry_count; i++) {
        drv_put_array(encode, 2);
        drv_put_uint(encode, events->entries[i].age_ms);
        drv_put_uint(encode, events->entries[i].len);
        sum += events->entries[i].len;
    }
    drv_put_blob(encode, events->maps, DRV_BLOB_MAX);
    if (sum != events->maps.len) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
}

void drv_decode_taken(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_taken_entry *entries = drv_get_batch(decode, sizeof *entries, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        entries[i].subscription = drv_get_u64(decode);
        entries[i].number = drv_get_u64(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->taken = (struct drv_taken){entries, items.count};
}

void drv_encode_taken(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_taken *taken = &message->taken;
    drv_put_batch(encode, taken->entry_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < taken->entry_count; i++) {
        drv_put_array(encode, 2);
        drv_put_uint(encode, taken->entries[i].subscription);
        drv_put_uint(encode, taken->entries[i].number);
    }
}

/* ---- LOG, FOLLOW ------------------------------------------------------------------------- */

void drv_decode_log(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_log_chunk *log = &out_message->log;
    drv_get_ref(decode, &log->ref);
    log->stream = get_output(decode);
    log->offset = drv_get_u64(decode);
    log->flags = drv_get_u32(decode);
    log->text = blob_of(decode);
}

void drv_encode_log(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_log_chunk *log = &message->log;
    drv_put_ref(encode, &log->ref);
    put_output(encode, log->stream);
    drv_put_uint(encode, log->offset);
    drv_put_uint(encode, log->flags);
    drv_put_blob(encode, log->text, DRV_BLOB_MAX);
}

void drv_decode_follow(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_follow_entry *leases = drv_get_batch(decode, sizeof *leases, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &leases[i].ref);
        leases[i].streams = drv_get_u32(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->follow = (struct drv_follow){leases, items.count};
}

void drv_encode_follow(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_follow *follow = &message->follow;
    drv_put_batch(encode, follow->lease_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < follow->lease_count; i++) {
        drv_put_array(encode, 5);
        drv_put_ref(encode, &follow->leases[i].ref);
        drv_put_uint(encode, follow->leases[i].streams);
    }
}

/* ---- the tail of a result ---------------------------------------------------------------- */

void drv_get_tail(struct drv_decode *decode, struct drv_tail *out_tail)
{
    uint32_t outer;
    struct drv_items items;
    uint64_t sum = 0;
    *out_tail = (struct drv_tail){0};
    if (!drv_get_open_optional(decode, &outer)) {
        return;
    }
    struct drv_val text = drv_get_val(decode);
    struct drv_piece *pieces = drv_get_items(decode, DRV_TAIL_PIECES_MAX, sizeof *pieces,
                                             &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t inner = drv_get_open(decode);
        pieces[i].stream = get_output(decode);
        pieces[i].offset = drv_get_u64(decode);
        pieces[i].len = drv_get_u32(decode);
        drv_get_close(decode, inner);
        sum += pieces[i].len;
    }
    drv_get_close(decode, items.outer);
    drv_get_close(decode, outer);
    if (text.len > DRV_TAIL_MAX) {
        drv_decode_fail(decode, DROVER_TOO_BIG, "tail too long");
    }
    check_sum(decode, sum, text.len, "pieces are not the tail");
    out_tail->pieces = pieces;
    out_tail->piece_count = items.count;
    out_tail->text = (struct drv_str){(const char *)text.bytes, text.len};
}

void drv_put_tail(struct drv_encode *encode, const struct drv_tail *tail)
{
    uint64_t sum = 0;
    if (tail->piece_count == 0) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 2);
    drv_put_val(encode, &(struct drv_val){.bytes = (const uint8_t *)tail->text.ptr,
                                          .len = tail->text.len});
    drv_put_items(encode, tail->piece_count, DRV_TAIL_PIECES_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < tail->piece_count; i++) {
        drv_put_array(encode, 3);
        put_output(encode, tail->pieces[i].stream);
        drv_put_uint(encode, tail->pieces[i].offset);
        drv_put_uint(encode, tail->pieces[i].len);
        sum += tail->pieces[i].len;
    }
    if (tail->text.len > DRV_TAIL_MAX) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    } else if (sum != tail->text.len) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
}
