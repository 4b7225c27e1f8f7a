/*
 * message_question.c: the codec of questions and of all answers (PROTOCOL.md section 6,
 * "Questions").
 */
#include "message_rows.h"

/* ---- WATCH ------------------------------------------------------------------------------- */

void drv_decode_watch(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    uint32_t flags = drv_get_u32(decode);
    struct drv_target *targets = drv_get_batch(decode, sizeof *targets, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &targets[i].id);
        targets[i].index = drv_get_index(decode);
        targets[i].epoch = drv_get_u64(decode);
        targets[i].level = drv_get_enum(decode, 0, DROVER_DURABILITY_SYNCED,
                                        "unknown durability level");
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->targets = (struct drv_targets){
        .targets = targets, .target_count = items.count, .flags = flags};
}

void drv_encode_watch(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_targets *targets = &message->targets;
    drv_put_uint(encode, targets->flags);
    drv_put_batch(encode, targets->target_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < targets->target_count; i++) {
        drv_put_array(encode, 4);
        drv_put_id(encode, &targets->targets[i].id);
        drv_put_index(encode, targets->targets[i].index);
        drv_put_uint(encode, targets->targets[i].epoch);
        drv_put_enum(encode, targets->targets[i].level, 0, DROVER_DURABILITY_SYNCED);
    }
}

/* ---- QUERY, DOCUMENT --------------------------------------------------------------------- */

/* Numbers of topics are not checked: a broker answers one it does not know. */
void drv_decode_query(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_query *query = &out_message->query;
    query->topic = drv_get_u32(decode);
    query->has_id = drv_get_id_optional(decode, &query->id);
    query->index = drv_get_index(decode);
    query->name = drv_get_text_optional(decode, DRV_TEXT_MAX);
    query->text = drv_get_text_optional(decode, DRV_TEXT_MAX);
    query->states = drv_get_u32(decode);
    query->cursor = drv_get_binary_optional(decode, DRV_TEXT_MAX);
    query->limit = drv_get_u32(decode);
    query->group = drv_get_name_optional(decode);
    drv_get_tag(decode, &query->tag_name, &query->tag_value);
}

void drv_encode_query(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_query *query = &message->query;
    drv_put_uint(encode, query->topic);
    drv_put_id_optional(encode, query->has_id, &query->id);
    drv_put_index(encode, query->index);
    drv_put_text_optional(encode, query->name, DRV_TEXT_MAX);
    drv_put_text_optional(encode, query->text, DRV_TEXT_MAX);
    drv_put_uint(encode, query->states);
    drv_put_binary_optional(encode, query->cursor, DRV_TEXT_MAX);
    drv_put_uint(encode, query->limit);
    drv_put_name_optional(encode, query->group);
    drv_put_tag(encode, query->tag_name, query->tag_value);
}

void drv_decode_document(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_document *document = &out_message->document;
    document->req = drv_get_u64(decode);
    document->code = drv_get_u32(decode);
    document->text = drv_get_text(decode, DRV_TEXT_MAX);
    document->cursor = drv_get_binary_optional(decode, DRV_TEXT_MAX);
    document->body = (struct drv_str){(const char *)decode->blob, decode->blob_len};
}

void drv_encode_document(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_document *document = &message->document;
    drv_put_uint(encode, document->req);
    drv_put_uint(encode, document->code);
    drv_put_text(encode, document->text, DRV_TEXT_MAX);
    drv_put_binary_optional(encode, document->cursor, DRV_TEXT_MAX);
    drv_put_blob(encode, document->body, DRV_BLOB_MAX);
}

/* ---- REPLY ------------------------------------------------------------------------------- */

void drv_decode_reply(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_reply *replies = drv_get_batch(decode, sizeof *replies, &items);
    for (size_t i = 0; !decode->cursor.failed && i < items.count; i++) {
        struct drv_reply *reply = &replies[i];
        uint32_t outer = drv_get_open(decode);
        reply->req = drv_get_u64(decode);
        reply->code = drv_get_u32(decode);
        reply->number = drv_get_int(decode, INT64_MIN, INT64_MAX, 0);
        reply->text = drv_get_text_optional(decode, DRV_TEXT_MAX);
        reply->retry_after_ms = drv_get_u64(decode);
        reply->notes = drv_get_notes(decode, false, &reply->note_count);
        reply->val = drv_get_val(decode);
        drv_get_error(decode, &reply->error);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->reply.replies = replies;
    out_message->reply.reply_count = items.count;
}

static void put_reply(struct drv_encode *encode, const struct drv_reply *reply)
{
    bool has_error = reply->error.kind != DROVER_ERROR_NONE;
    drv_put_array(encode, has_error ? 8 : 7);
    drv_put_uint(encode, reply->req);
    drv_put_uint(encode, reply->code);
    drv_put_int(encode, reply->number);
    drv_put_text_optional(encode, reply->text, DRV_TEXT_MAX);
    drv_put_uint(encode, reply->retry_after_ms);
    if (reply->note_count == 0) {
        drv_put_nil(encode);
    } else {
        drv_put_notes(encode, reply->notes, reply->note_count, false);
    }
    drv_put_val(encode, &reply->val);
    if (has_error) {
        drv_put_error(encode, &reply->error);
    }
}

void drv_encode_reply(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_replies *replies = &message->reply;
    drv_put_batch(encode, replies->reply_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < replies->reply_count; i++) {
        put_reply(encode, &replies->replies[i]);
    }
}

/* ---- FETCH ------------------------------------------------------------------------------- */

void drv_decode_fetch(struct drv_decode *decode, struct drv_message *out_message)
{
    drv_get_id(decode, &out_message->fetch.id);
    out_message->fetch.index = drv_get_index(decode);
}

void drv_encode_fetch(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_id(encode, &message->fetch.id);
    drv_put_index(encode, message->fetch.index);
}

/* ---- RESULTS ----------------------------------------------------------------------------- */

enum { OUTCOME_ROW = 24 }; /* id, attempt, length + 1: tasks that succeeded */

static void get_outcome_row(struct drv_decode *decode, struct drv_rows *rows, uint32_t level,
                            struct drv_outcome *entry)
{
    const uint8_t *at = rows->at;
    *entry = (struct drv_outcome){
        .index = DROVER_INDEX_NONE,
        .state = DROVER_STATE_SUCCEEDED,
        .attempt = drv_be32(at + 16),
        .error = {.exit_code = -1},
        .level = level,
    };
    memcpy(entry->id.bytes, at, sizeof entry->id.bytes);
    entry->val = drv_rows_val(decode, rows, drv_be32(at + 20));
    rows->at += OUTCOME_ROW;
}

static void get_outcome(struct drv_decode *decode, struct drv_outcome *entry)
{
    uint32_t outer = drv_get_open(decode);
    drv_get_id(decode, &entry->id);
    entry->index = drv_get_index(decode);
    entry->state = drv_get_enum(decode, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST,
                                "a result's state is not terminal");
    entry->attempt = drv_get_u32(decode);
    entry->val = drv_get_val(decode);
    drv_get_error(decode, &entry->error);
    entry->level = drv_get_enum(decode, 0, DROVER_DURABILITY_SYNCED,
                                "unknown durability level");
    drv_get_range(decode, entry->index, &entry->val, &entry->range);
    drv_get_close(decode, outer);
}

void drv_decode_results(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_rows rows;
    uint32_t level = 0;
    struct drv_outcome *entries = drv_get_rows_and_batch(decode, sizeof *entries, OUTCOME_ROW,
                                                         &rows, &level, &items);
    if (level > DROVER_DURABILITY_SYNCED) {
        drv_decode_fail(decode, DROVER_MALFORMED, "unknown durability level");
    }
    for (size_t i = 0; i < rows.count && !decode->cursor.failed; i++) {
        get_outcome_row(decode, &rows, level, &entries[i]);
    }
    for (size_t i = rows.count; !decode->cursor.failed && i < items.count; i++) {
        get_outcome(decode, &entries[i]);
    }
    drv_get_close(decode, items.outer);
    out_message->results.entries = entries;
    out_message->results.entry_count = items.count;
}

static bool outcome_is_plain(const struct drv_outcome *entry, uint32_t level)
{
    return entry->index == DROVER_INDEX_NONE && entry->state == DROVER_STATE_SUCCEEDED &&
           entry->error.kind == DROVER_ERROR_NONE && entry->range.count == 0 &&
           entry->level == level && drv_val_is_plain(&entry->val);
}

static size_t outcome_rows(const struct drv_encode *encode, const struct drv_results *results,
                           size_t *out_bytes)
{
    size_t count = 0;
    *out_bytes = 0;
    while (drv_rows_are_read(encode) && count < results->entry_count &&
           results->entries[0].level <= DROVER_DURABILITY_SYNCED &&
           outcome_is_plain(&results->entries[count], results->entries[0].level)) {
        *out_bytes += results->entries[count].val.len;
        count++;
    }
    return drv_rows_of(count);
}

static void put_outcome(struct drv_encode *encode, const struct drv_outcome *entry)
{
    drv_put_array(encode, entry->range.count > 0 ? 8 : 7);
    drv_put_id(encode, &entry->id);
    drv_put_index(encode, entry->index);
    drv_put_enum(encode, entry->state, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST);
    drv_put_uint(encode, entry->attempt);
    drv_put_val(encode, &entry->val);
    drv_put_error(encode, &entry->error);
    drv_put_enum(encode, entry->level, 0, DROVER_DURABILITY_SYNCED);
    drv_put_range(encode, entry->index, &entry->val, &entry->range);
}

void drv_encode_results(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_results *results = &message->results;
    size_t bytes = 0, rows = outcome_rows(encode, results, &bytes);
    uint8_t *row = drv_put_rows_and_batch(encode, results->entry_count, rows, OUTCOME_ROW,
                                          bytes, true);
    for (size_t i = 0; row != NULL && i < rows; i++) {
        const struct drv_outcome *entry = &results->entries[i];
        row = drv_put_row_id(row, &entry->id);
        row = drv_put_be32(row, entry->attempt);
        row = drv_put_be32(row, drv_rows_number(&entry->val));
        drv_put_row_val(encode, &entry->val);
    }
    if (rows > 0) {
        drv_put_uint(encode, results->entries[0].level);
    }
    for (size_t i = rows; encode->status == DROVER_OK && i < results->entry_count; i++) {
        put_outcome(encode, &results->entries[i]);
    }
}
