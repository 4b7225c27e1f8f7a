/*
 * message_request.c: the codec of the kinds that change what the broker holds (PROTOCOL.md
 * section 6, "Requests").
 */
#include "message_rows.h"

/* ---- SUBMIT ------------------------------------------------------------------------------ */

enum { ENTRY_ROW = 20 }; /* id, length + 1 */

static void get_entry_row(struct drv_decode *decode, struct drv_rows *rows,
                          struct drv_entry *entry)
{
    const uint8_t *at = rows->at;
    memcpy(entry->id.bytes, at, sizeof entry->id.bytes);
    entry->val = drv_rows_val(decode, rows, drv_be32(at + 16));
    rows->at += ENTRY_ROW;
}

static void get_entries(struct drv_decode *decode, struct drv_submit_group *group)
{
    struct drv_items items;
    struct drv_rows rows;
    struct drv_entry *entries = drv_get_rows_and_batch(decode, sizeof *entries, ENTRY_ROW,
                                                       &rows, NULL, &items);
    for (size_t i = 0; i < rows.count && !decode->cursor.failed; i++) {
        get_entry_row(decode, &rows, &entries[i]);
    }
    for (size_t i = rows.count; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &entries[i].id);
        entries[i].val = drv_get_val(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    if (items.count == 0) {
        drv_decode_fail(decode, DROVER_MALFORMED, "group without entries");
    }
    group->entries = entries;
    group->entry_count = items.count;
}

void drv_decode_submit(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_items items;
    struct drv_submit_group *groups = drv_get_items(decode, DRV_BATCH_MAX, sizeof *groups,
                                                    &items);
    for (size_t i = 0; !decode->cursor.failed && i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_spec(decode, &groups[i].spec);
        get_entries(decode, &groups[i]);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    out_message->submit.groups = groups;
    out_message->submit.group_count = items.count;
}

static size_t entry_rows(const struct drv_encode *encode, const struct drv_submit_group *group,
                         size_t *out_bytes)
{
    size_t count = 0;
    *out_bytes = 0;
    while (drv_rows_are_read(encode) && count < group->entry_count &&
           drv_val_is_plain(&group->entries[count].val)) {
        *out_bytes += group->entries[count].val.len;
        count++;
    }
    return drv_rows_of(count);
}

static void put_group(struct drv_encode *encode, const struct drv_submit_group *group)
{
    if (group->entry_count == 0) {
        drv_encode_fail(encode, DROVER_INVALID);
    }
    drv_put_array(encode, 2);
    drv_put_spec(encode, &group->spec);
    size_t bytes = 0, rows = entry_rows(encode, group, &bytes);
    uint8_t *row = drv_put_rows_and_batch(encode, group->entry_count, rows, ENTRY_ROW, bytes,
                                          false);
    for (size_t i = 0; row != NULL && i < rows; i++) {
        row = drv_put_row_id(row, &group->entries[i].id);
        row = drv_put_be32(row, drv_rows_number(&group->entries[i].val));
        drv_put_row_val(encode, &group->entries[i].val);
    }
    for (size_t i = rows; encode->status == DROVER_OK && i < group->entry_count; i++) {
        drv_put_array(encode, 2);
        drv_put_id(encode, &group->entries[i].id);
        drv_put_val(encode, &group->entries[i].val);
    }
}

void drv_encode_submit(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_submit *submit = &message->submit;
    drv_put_items(encode, submit->group_count, DRV_BATCH_MAX);
    for (size_t i = 0; encode->status == DROVER_OK && i < submit->group_count; i++) {
        put_group(encode, &submit->groups[i]);
    }
}

/* ---- arrays ------------------------------------------------------------------------------ */

void drv_decode_array_open(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_array_open *open = &out_message->array_open;
    drv_get_id(decode, &open->id);
    drv_get_spec(decode, &open->spec);
    open->with = drv_get_val(decode);
}

void drv_encode_array_open(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_array_open *open = &message->array_open;
    drv_put_id(encode, &open->id);
    drv_put_spec(encode, &open->spec);
    drv_put_val(encode, &open->with);
}

void drv_decode_array_items(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_array_items *array = &out_message->array_items;
    struct drv_items items;
    drv_get_id(decode, &array->id);
    array->first = drv_get_enum(decode, 0, DRV_ARRAY_MAX - 1, "index beyond array_max");
    struct drv_val *vals = drv_get_batch(decode, sizeof *vals, &items);
    for (size_t i = 0; i < items.count; i++) {
        vals[i] = drv_get_next_val(decode);
    }
    drv_get_close(decode, items.outer);
    if (items.count > DRV_ARRAY_MAX - array->first) {
        drv_decode_fail(decode, DROVER_LIMIT, "index beyond array_max");
    }
    array->items = vals;
    array->item_count = items.count;
}

void drv_encode_array_items(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_array_items *array = &message->array_items;
    drv_put_id(encode, &array->id);
    drv_put_enum(encode, array->first, 0, DRV_ARRAY_MAX - 1);
    drv_put_batch(encode, array->item_count);
    if (encode->status == DROVER_OK && array->item_count > DRV_ARRAY_MAX - array->first) {
        drv_encode_fail(encode, DROVER_LIMIT);
    }
    for (size_t i = 0; encode->status == DROVER_OK && i < array->item_count; i++) {
        drv_put_next_val(encode, &array->items[i]);
    }
}

void drv_decode_array_seal(struct drv_decode *decode, struct drv_message *out_message)
{
    drv_get_id(decode, &out_message->array_seal.id);
    out_message->array_seal.count = drv_get_enum(decode, 0, DRV_ARRAY_MAX,
                                                 "more elements than array_max");
}

void drv_encode_array_seal(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_id(encode, &message->array_seal.id);
    drv_put_enum(encode, message->array_seal.count, 0, DRV_ARRAY_MAX);
}

/* ---- CANCEL, RETRY, FORGET, UNWATCH ------------------------------------------------------ */

static void get_targets(struct drv_decode *decode, bool with_new_id,
                        struct drv_targets *out_targets)
{
    struct drv_items items;
    struct drv_target *targets = drv_get_batch(decode, sizeof *targets, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &targets[i].id);
        targets[i].index = drv_get_index(decode);
        if (with_new_id) {
            drv_get_id(decode, &targets[i].new_id);
            targets[i].after = drv_get_after(decode, &targets[i].after_count);
            targets[i].flags = drv_get_u32(decode);
        }
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    *out_targets = (struct drv_targets){.targets = targets, .target_count = items.count};
}

static void put_targets(struct drv_encode *encode, const struct drv_targets *targets,
                        bool with_new_id)
{
    drv_put_batch(encode, targets->target_count);
    for (size_t i = 0; encode->status == DROVER_OK && i < targets->target_count; i++) {
        const struct drv_target *target = &targets->targets[i];
        bool with_flags = with_new_id && target->flags != 0;
        bool with_after = with_flags || (with_new_id && target->after_count > 0);
        drv_put_array(encode, with_flags ? 5 : with_after ? 4 : with_new_id ? 3 : 2);
        drv_put_id(encode, &target->id);
        drv_put_index(encode, target->index);
        if (with_new_id) {
            drv_put_id(encode, &target->new_id);
        }
        if (with_after) {
            drv_put_after(encode, target->after, target->after_count);
        }
        if (with_flags) {
            drv_put_uint(encode, target->flags);
        }
    }
}

void drv_decode_cancel(struct drv_decode *decode, struct drv_message *out_message)
{
    get_targets(decode, false, &out_message->targets);
    out_message->targets.text = drv_get_text(decode, DRV_TEXT_MAX);
    out_message->targets.flags = drv_get_u32(decode);
    out_message->targets.group = drv_get_name_optional(decode);
}

void drv_encode_cancel(struct drv_encode *encode, const struct drv_message *message)
{
    put_targets(encode, &message->targets, false);
    drv_put_text(encode, message->targets.text, DRV_TEXT_MAX);
    drv_put_uint(encode, message->targets.flags);
    drv_put_name_optional(encode, message->targets.group);
}

void drv_decode_retry(struct drv_decode *decode, struct drv_message *out_message)
{
    get_targets(decode, true, &out_message->targets);
}

void drv_encode_retry(struct drv_encode *encode, const struct drv_message *message)
{
    put_targets(encode, &message->targets, true);
}

void drv_decode_forget(struct drv_decode *decode, struct drv_message *out_message)
{
    get_targets(decode, false, &out_message->targets);
}

void drv_encode_forget(struct drv_encode *encode, const struct drv_message *message)
{
    put_targets(encode, &message->targets, false);
}

/* ---- KV ---------------------------------------------------------------------------------- */

/* Numbers of operations are not checked: a broker answers one it does not know. */
void drv_decode_kv(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_kv *kv = &out_message->kv;
    uint32_t outer;
    kv->op = drv_get_u32(decode);
    kv->key = drv_get_text(decode, DRV_KEY_MAX);
    kv->val = drv_get_val(decode);
    kv->number = drv_get_int(decode, INT64_MIN, INT64_MAX, 0);
    kv->ttl_ms = drv_get_u64(decode);
    kv->fence = (struct drv_ref){.index = DROVER_INDEX_NONE};
    kv->has_fence = drv_get_open_optional(decode, &outer);
    if (kv->has_fence) {
        drv_get_id(decode, &kv->fence.id);
        kv->fence.index = drv_get_index(decode);
        kv->fence.attempt = drv_get_u32(decode);
        drv_get_close(decode, outer);
    }
}

void drv_encode_kv(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_kv *kv = &message->kv;
    if (!kv->val.is_nil && kv->val.len > DRV_KV_VALUE_MAX) {
        drv_encode_fail(encode, DROVER_TOO_BIG);
    }
    drv_put_uint(encode, kv->op);
    drv_put_text(encode, kv->key, DRV_KEY_MAX);
    drv_put_val(encode, &kv->val);
    drv_put_int(encode, kv->number);
    drv_put_uint(encode, kv->ttl_ms);
    if (!kv->has_fence) {
        drv_put_nil(encode);
        return;
    }
    drv_put_array(encode, 3);
    drv_put_id(encode, &kv->fence.id);
    drv_put_index(encode, kv->fence.index);
    drv_put_uint(encode, kv->fence.attempt);
}

/* ---- QUEUE, WORKER ----------------------------------------------------------------------- */

static int64_t get_setting(struct drv_decode *decode)
{
    return drv_get_int(decode, -1, INT64_MAX, -1);
}

void drv_decode_queue(struct drv_decode *decode, struct drv_message *out_message)
{
    struct drv_queue_request *queue = &out_message->queue;
    struct drv_queue_settings *settings = &queue->settings;
    uint32_t outer;
    queue->op = drv_get_u32(decode);
    queue->queue = drv_get_name(decode);
    *settings = (struct drv_queue_settings){-1, -1, -1, -1, -1, -1, -1, -1, -1};
    queue->has_settings = drv_get_open_optional(decode, &outer);
    if (queue->has_settings) {
        settings->weight = get_setting(decode);
        settings->max_count = get_setting(decode);
        settings->max_bytes = get_setting(decode);
        settings->rate = get_setting(decode);
        settings->concurrency = get_setting(decode);
        settings->per_key = get_setting(decode);
        settings->durability = get_setting(decode);
        settings->aging_ms = get_setting(decode);
        settings->placement = get_setting(decode);
        drv_get_close(decode, outer);
    }
}

void drv_encode_queue(struct drv_encode *encode, const struct drv_message *message)
{
    const struct drv_queue_request *queue = &message->queue;
    const struct drv_queue_settings *settings = &queue->settings;
    drv_put_uint(encode, queue->op);
    drv_put_name(encode, queue->queue);
    if (!queue->has_settings) {
        drv_put_nil(encode);
        return;
    }
    bool has_more = settings->aging_ms >= 0 || settings->placement >= 0;
    drv_put_array(encode, has_more ? 9 : settings->durability >= 0 ? 7 : 6);
    drv_put_int_range(encode, settings->weight, -1, INT64_MAX);
    drv_put_int_range(encode, settings->max_count, -1, INT64_MAX);
    drv_put_int_range(encode, settings->max_bytes, -1, INT64_MAX);
    drv_put_int_range(encode, settings->rate, -1, INT64_MAX);
    drv_put_int_range(encode, settings->concurrency, -1, INT64_MAX);
    drv_put_int_range(encode, settings->per_key, -1, INT64_MAX);
    if (has_more || settings->durability >= 0) { /* judged by the broker */
        drv_put_int_range(encode, settings->durability, -1, INT64_MAX);
    }
    if (has_more) {
        drv_put_int_range(encode, settings->aging_ms, -1, INT64_MAX);
        drv_put_int_range(encode, settings->placement, -1, INT64_MAX);
    }
}

void drv_decode_worker(struct drv_decode *decode, struct drv_message *out_message)
{
    out_message->worker.op = drv_get_u32(decode);
    out_message->worker.worker = drv_get_text(decode, DRV_TEXT_MAX);
}

void drv_encode_worker(struct drv_encode *encode, const struct drv_message *message)
{
    drv_put_uint(encode, message->worker.op);
    drv_put_text(encode, message->worker.worker, DRV_TEXT_MAX);
}
