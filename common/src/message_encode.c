/*
 * message_encode.c: from typed messages to bytes; the mirror of message_decode.c. Every field
 * of version 1 is written, defaults too, so that equal messages are equal bytes.
 */
#include "message_codec.h"

#include "name.h"
#include "pack_bytes.h"
#include "utf8.h"

void drv_encode_fail(struct drv_encode *encode, drover_status status)
{
    if (encode->status == DROVER_OK) {
        encode->status = status;
    }
}

/* Whether writing goes on. */
static bool is_ok(const struct drv_encode *encode)
{
    return encode->status == DROVER_OK;
}

/* ---- messages ---------------------------------------------------------------------------- */

static size_t prefix_fields(enum drv_prefix prefix)
{
    switch (prefix) {
    case DRV_PREFIX_NONE:
        return 0;
    case DRV_PREFIX_QUESTION:
        return 1;
    case DRV_PREFIX_REQUEST:
        return 3;
    }
    return 0;
}

void drv_encode_head(struct drv_pack *pack, const struct drv_kind_row *row,
                     const struct drv_message *message)
{
    drv_pack_array(pack, 4 + prefix_fields(row->prefix) + row->fields);
    drv_pack_uint(pack, message->kind);
    drv_pack_uint(pack, message->epoch);
    drv_pack_uint(pack, message->seq);
    drv_pack_uint(pack, message->ack);
}

static void put_prefix(struct drv_encode *encode, enum drv_prefix prefix,
                       const struct drv_request *request)
{
    if (prefix == DRV_PREFIX_NONE) {
        return;
    }
    if (request->req == 0) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_uint(encode, request->req);
    if (prefix == DRV_PREFIX_REQUEST) {
        drv_put_uint(encode, request->floor);
        drv_put_uint(encode, request->budget_ms);
    }
}

static drover_status encode_fields(const struct drv_kind_row *row,
                                   const struct drv_message *message,
                                   const struct drv_transfers *transfers,
                                   struct drv_buffer *head, struct drv_buffer *blob)
{
    struct drv_encode encode = {.blob = blob, .transfers = transfers};
    drv_pack_init(&encode.pack, head);
    put_prefix(&encode, row->prefix, &message->request);
    row->encode(&encode, message);
    if (encode.status) {
        return encode.status;
    }
    drover_status status = drv_pack_status(&encode.pack);
    if (status) {
        return status;
    }
    if (head->len > DRV_HEAD_MAX - DRV_HEAD_PREFIX_MAX || blob->len > DRV_BLOB_MAX) {
        return DROVER_TOO_BIG;
    }
    return DROVER_OK;
}

drover_status drv_encode_fields(const struct drv_message *message,
                                const struct drv_transfers *transfers, struct drv_buffer *head,
                                struct drv_buffer *blob)
{
    const struct drv_kind_row *row = drv_kind_row(message->kind);
    if (row == NULL) {
        return DROVER_INVALID;
    }
    if (row->encode == NULL) {
        return DROVER_UNSUPPORTED;
    }
    return encode_fields(row, message, transfers, head, blob);
}

drover_status drv_message_encode(const struct drv_message *message,
                                 const struct drv_transfers *transfers, struct drv_buffer *head,
                                 struct drv_buffer *blob)
{
    const struct drv_kind_row *row = drv_kind_row(message->kind);
    if (row != NULL) {
        struct drv_pack pack;
        drv_pack_init(&pack, head);
        drv_encode_head(&pack, row, message);
        drover_status status = drv_pack_status(&pack);
        if (status) {
            return status;
        }
    }
    return drv_encode_fields(message, transfers, head, blob);
}

/* ---- simple types ------------------------------------------------------------------------ */

void drv_put_array(struct drv_encode *encode, size_t count)
{
    if (is_ok(encode)) {
        drv_pack_array(&encode->pack, count);
    }
}

void drv_put_nil(struct drv_encode *encode)
{
    if (is_ok(encode)) {
        drv_pack_nil(&encode->pack);
    }
}

void drv_put_uint(struct drv_encode *encode, uint64_t number)
{
    if (is_ok(encode)) {
        drv_pack_uint(&encode->pack, number);
    }
}

void drv_put_int(struct drv_encode *encode, int64_t number)
{
    if (is_ok(encode)) {
        drv_pack_int(&encode->pack, number);
    }
}

void drv_put_bool(struct drv_encode *encode, bool flag)
{
    if (is_ok(encode)) {
        drv_pack_bool(&encode->pack, flag);
    }
}

void drv_put_double(struct drv_encode *encode, double number)
{
    if (is_ok(encode)) {
        drv_pack_double(&encode->pack, number);
    }
}

void drv_put_enum(struct drv_encode *encode, uint32_t number, uint32_t min, uint32_t max)
{
    if (number < min || number > max) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_uint(encode, number);
}

void drv_put_int_range(struct drv_encode *encode, int64_t number, int64_t min, int64_t max)
{
    if (number < min || number > max) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_int(encode, number);
}

void drv_put_id(struct drv_encode *encode, const drover_id *id)
{
    if (is_ok(encode)) {
        drv_pack_bin(&encode->pack, id->bytes, sizeof id->bytes);
    }
}

void drv_put_id_optional(struct drv_encode *encode, bool has_id, const drover_id *id)
{
    if (has_id) {
        drv_put_id(encode, id);
    } else {
        drv_put_nil(encode);
    }
}

void drv_put_index(struct drv_encode *encode, uint32_t index)
{
    if (index == DROVER_INDEX_NONE) {
        drv_put_int(encode, -1);
    } else {
        drv_put_enum(encode, index, 0, DRV_ARRAY_MAX - 1);
    }
}

void drv_put_text(struct drv_encode *encode, struct drv_str text, size_t max)
{
    if (text.len > max) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    } else if (!drv_utf8_is_valid((const uint8_t *)text.ptr, text.len)) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    if (is_ok(encode)) {
        drv_pack_str(&encode->pack, text.ptr, text.len);
    }
}

void drv_put_text_optional(struct drv_encode *encode, struct drv_str text, size_t max)
{
    if (text.ptr == NULL) {
        drv_put_nil(encode);
    } else {
        drv_put_text(encode, text, max);
    }
}

void drv_put_name(struct drv_encode *encode, struct drv_str name)
{
    if (!drv_name_is_valid(drv_view_of(name.ptr, name.len))) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    if (is_ok(encode)) {
        drv_pack_str(&encode->pack, name.ptr, name.len);
    }
}

void drv_put_name_optional(struct drv_encode *encode, struct drv_str name)
{
    if (name.ptr == NULL) {
        drv_put_nil(encode);
    } else {
        drv_put_name(encode, name);
    }
}

void drv_put_binary(struct drv_encode *encode, struct drv_str bytes, size_t max)
{
    if (bytes.len > max) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    }
    if (is_ok(encode)) {
        drv_pack_bin(&encode->pack, bytes.ptr, bytes.len);
    }
}

void drv_put_binary_optional(struct drv_encode *encode, struct drv_str bytes, size_t max)
{
    if (bytes.ptr == NULL) {
        drv_put_nil(encode);
    } else {
        drv_put_binary(encode, bytes, max);
    }
}

/* ---- arrays ------------------------------------------------------------------------------ */

void drv_put_items(struct drv_encode *encode, size_t count, size_t max)
{
    if (count > max) {
        drv_encode_fail(encode, DROVER_LIMIT);
    }
    drv_put_array(encode, count);
}

void drv_put_batch(struct drv_encode *encode, size_t count)
{
    drv_put_items(encode, count, DRV_BATCH_MAX - encode->batch_count);
    if (is_ok(encode)) {
        encode->batch_count += count;
    }
}

/* ---- values ------------------------------------------------------------------------------ */

/* Copies the value into the blob; returns where it begins. */
static size_t put_slice(struct drv_encode *encode, const struct drv_val *val)
{
    struct drv_buffer *blob = encode->blob;
    size_t offset = blob->len;
    if (val->len > DRV_BLOB_MAX - offset) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
        return 0;
    }
    if (blob->capacity - offset > val->len && val->len > 0) {
        memcpy(blob->bytes + offset, val->bytes, val->len);
        blob->len += val->len;
        blob->bytes[blob->len] = '\0';
        return offset;
    }
    drover_status status = drv_buffer_append(encode->blob, val->bytes, val->len);
    if (status) {
        drv_encode_fail(encode, status);
        return 0;
    }
    return offset;
}

static void put_transfer(struct drv_encode *encode, const struct drv_val *val)
{
    const struct drv_transfers *transfers = encode->transfers;
    uint64_t transfer = 0;
    drover_status status = DROVER_TOO_BIG;
    if (val->len <= DRV_PAYLOAD_MAX && transfers != NULL && transfers->put != NULL) {
        status = transfers->put(transfers->context, val, &transfer);
    }
    if (status) {
        drv_encode_fail(encode, status);
        return;
    }
    drv_put_array(encode, 4);
    drv_put_uint(encode, 0);
    drv_put_uint(encode, val->len);
    drv_put_text_optional(encode, val->content_type, DRV_CONTENT_TYPE_MAX);
    drv_put_uint(encode, transfer);
}

void drv_put_val(struct drv_encode *encode, const struct drv_val *val)
{
    if (!is_ok(encode)) {
        return;
    }
    if (val->is_nil) {
        drv_put_nil(encode);
        return;
    }
    if (val->len > DRV_INLINE_MAX) {
        put_transfer(encode, val);
        return;
    }
    size_t offset = put_slice(encode, val);
    bool has_type = val->content_type.ptr != NULL;
    uint8_t *at = is_ok(encode) ? drv_pack_room(&encode->pack, 3 * DRV_PACK_HEAD_MAX) : NULL;
    if (at != NULL) {
        size_t len = 1;
        at[0] = has_type ? 0x93 : 0x92;
        len += drv_put_uint_bytes(at + len, offset);
        len += drv_put_uint_bytes(at + len, val->len);
        drv_pack_took(&encode->pack, len);
    }
    if (has_type) {
        drv_put_text(encode, val->content_type, DRV_CONTENT_TYPE_MAX);
    }
}

void drv_put_next_val(struct drv_encode *encode, const struct drv_val *val)
{
    if (val->is_nil || val->content_type.ptr != NULL || val->len > DRV_INLINE_MAX) {
        drv_put_val(encode, val);
    } else if (is_ok(encode)) {
        (void)put_slice(encode, val); /* slices lie one behind the other: a length will do */
        drv_put_uint(encode, val->len);
    }
}

void drv_put_blob(struct drv_encode *encode, struct drv_str bytes, size_t max)
{
    if (bytes.len > max) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    }
    if (is_ok(encode)) {
        drover_status status = drv_buffer_append(encode->blob, bytes.ptr, bytes.len);
        if (status) {
            drv_encode_fail(encode, status);
        }
    }
}

/* ---- lists and records ------------------------------------------------------------------- */

void drv_put_ref(struct drv_encode *encode, const struct drv_ref *ref)
{
    enum { REF_MAX = 4 * DRV_PACK_HEAD_MAX + sizeof ref->id.bytes };
    bool is_element = ref->index != DROVER_INDEX_NONE;
    if (is_element && ref->index >= DRV_ARRAY_MAX) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    uint8_t *at = is_ok(encode) ? drv_pack_room(&encode->pack, REF_MAX) : NULL;
    if (at == NULL) {
        return;
    }
    size_t len = drv_put_uint_bytes(at, ref->handle);
    len += drv_put_len_bytes(at + len, 0xc4, sizeof ref->id.bytes);
    memcpy(at + len, ref->id.bytes, sizeof ref->id.bytes);
    len += sizeof ref->id.bytes;
    if (is_element) {
        len += drv_put_uint_bytes(at + len, ref->index);
    } else {
        at[len++] = 0xff; /* -1: the task itself */
    }
    len += drv_put_uint_bytes(at + len, ref->attempt);
    drv_pack_took(&encode->pack, len);
}

void drv_put_refs(struct drv_encode *encode, const struct drv_ref *refs, size_t count)
{
    drv_put_batch(encode, count);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        drv_put_array(encode, 4);
        drv_put_ref(encode, &refs[i]);
    }
}

void drv_put_texts(struct drv_encode *encode, const struct drv_str *texts, size_t count,
                   size_t max)
{
    drv_put_items(encode, count, max);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        drv_put_text(encode, texts[i], DRV_TEXT_MAX);
    }
}

void drv_put_pairs(struct drv_encode *encode, const struct drv_pair *pairs, size_t count)
{
    drv_put_items(encode, count, DRV_LABELS_MAX);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        drv_put_array(encode, 2);
        drv_put_name(encode, pairs[i].name);
        drv_put_text(encode, pairs[i].value, DRV_LABEL_VALUE_MAX);
    }
}

void drv_put_counts(struct drv_encode *encode, const struct drv_count *counts, size_t count)
{
    drv_put_items(encode, count, DRV_LABELS_MAX);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        drv_put_array(encode, 2);
        drv_put_name(encode, counts[i].name);
        drv_put_uint(encode, counts[i].count);
    }
}

void drv_put_notes(struct drv_encode *encode, const struct drv_note *notes, size_t count,
                   bool is_ack)
{
    drv_put_items(encode, count, DRV_BATCH_MAX - encode->note_count);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        const struct drv_note *note = &notes[i];
        drv_put_array(encode, is_ack ? 3 : note->has_id ? 5 : 4);
        if (is_ack) {
            drv_put_uint(encode, note->seq);
        }
        drv_put_uint(encode, note->position);
        drv_put_uint(encode, note->code);
        if (!is_ack) {
            drv_put_text_optional(encode, note->text, DRV_TEXT_MAX);
            drv_put_uint(encode, note->retry_after_ms);
        }
        if (!is_ack && note->has_id) {
            drv_put_id(encode, &note->id);
        }
    }
    if (is_ok(encode)) {
        encode->note_count += count;
    }
}

void drv_put_tag(struct drv_encode *encode, struct drv_str name, struct drv_str value)
{
    if (name.ptr == NULL) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 2);
    drv_put_name(encode, name);
    drv_put_text(encode, value, DRV_LABEL_VALUE_MAX);
}

void drv_put_error(struct drv_encode *encode, const struct drv_error *error)
{
    if (error->kind == DROVER_ERROR_NONE) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 7);
    drv_put_enum(encode, error->kind, DROVER_ERROR_HANDLER, DROVER_ERROR_EXPIRED);
    drv_put_text(encode, error->code, DRV_TEXT_MAX);
    drv_put_text(encode, error->text, DRV_ERROR_TEXT_MAX);
    drv_put_int(encode, error->exit_code);
    drv_put_uint(encode, error->signal);
    drv_put_uint(encode, error->flags);
    drv_put_binary(encode, error->stderr_tail, DRV_STDERR_MAX);
}

/* ---- spec -------------------------------------------------------------------------------- */

/* Lists of a spec are nil when they are empty; true when they are not. */
static bool put_nil_if_empty(struct drv_encode *encode, size_t count)
{
    if (count == 0) {
        drv_put_nil(encode);
    }
    return count != 0;
}

void drv_put_after(struct drv_encode *encode, const struct drv_after *after, size_t count)
{
    if (!put_nil_if_empty(encode, count)) {
        return;
    }
    drv_put_items(encode, count, DRV_AFTER_MAX);
    for (size_t i = 0; is_ok(encode) && i < count; i++) {
        drv_put_array(encode, 3);
        drv_put_id(encode, &after[i].id);
        drv_put_index(encode, after[i].index);
        drv_put_enum(encode, after[i].when, 1, 2);
    }
}

void drv_put_bounds(struct drv_encode *encode, const struct drv_bounds *limits)
{
    if (drv_bounds_are_none(limits)) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 5);
    drv_put_uint(encode, limits->memory_bytes);
    drv_put_uint(encode, limits->cpu_ms);
    drv_put_uint(encode, limits->output_bytes);
    drv_put_uint(encode, limits->processes);
    drv_put_uint(encode, limits->files);
}

static void put_limits(struct drv_encode *encode, const struct drv_spec *spec)
{
    const struct drv_bounds limits = {spec->limit_memory_bytes, spec->limit_cpu_ms,
                                      spec->limit_output_bytes, spec->limit_processes,
                                      spec->limit_files};
    drv_put_bounds(encode, &limits);
}

static void put_retry_of(struct drv_encode *encode, const struct drv_spec *spec)
{
    if (!spec->has_retry_of) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 2);
    drv_put_id(encode, &spec->retry_of.id);
    drv_put_index(encode, spec->retry_of.index);
}

static void put_spec_numbers(struct drv_encode *encode, const struct drv_spec *spec)
{
    drv_put_int_range(encode, spec->priority, INT8_MIN, INT8_MAX);
    drv_put_uint(encode, spec->delay_ms);
    drv_put_uint(encode, spec->expire_ms);
    drv_put_uint(encode, spec->timeout_ms);
    drv_put_uint(encode, spec->retries);
    drv_put_uint(encode, spec->backoff_ms);
    drv_put_uint(encode, spec->backoff_max_ms);
    drv_put_int(encode, spec->loss_budget);
    drv_put_enum(encode, spec->durability, 0, DROVER_DURABILITY_SYNCED);
    drv_put_int_range(encode, spec->keep_ms, -1, INT64_MAX);
    drv_put_uint(encode, spec->flags);
    drv_put_text_optional(encode, spec->key, DRV_TEXT_MAX);
    drv_put_uint(encode, spec->key_window_ms);
}

void drv_put_spec(struct drv_encode *encode, const struct drv_spec *spec)
{
    drv_put_array(encode, 24);
    drv_put_name(encode, spec->type);
    drv_put_name_optional(encode, spec->queue);
    put_spec_numbers(encode, spec);
    drv_put_after(encode, spec->after, spec->after_count);
    drv_put_name_optional(encode, spec->group);
    if (put_nil_if_empty(encode, spec->tag_count)) {
        drv_put_pairs(encode, spec->tags, spec->tag_count);
    }
    drv_put_text_optional(encode, spec->fairness, DRV_TEXT_MAX);
    if (put_nil_if_empty(encode, spec->need_count)) {
        drv_put_counts(encode, spec->needs, spec->need_count);
    }
    if (put_nil_if_empty(encode, spec->require_count)) {
        drv_put_pairs(encode, spec->require, spec->require_count);
    }
    put_limits(encode, spec);
    drv_put_binary_optional(encode, spec->meta, DRV_META_MAX);
    put_retry_of(encode, spec);
}
