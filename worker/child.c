#include "child.h"

#include <string.h>

struct record_child {
    drover_id id;
    uint64_t delay_ms, expire_ms, timeout_ms, backoff_ms, backoff_max_ms;
    int64_t keep_ms;
    int32_t priority;
    uint32_t retries;
    uint32_t durability;
    uint32_t type_len, queue_len, after_count;
};

struct record_after {
    drover_id id;
    uint32_t index, when;
};

static size_t text_len(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

static bool options_are_fine(const char *type, const drover_child_options *options)
{
    if (type == NULL || !drover_name_is_valid(type) ||
        (options->queue != NULL && !drover_name_is_valid(options->queue)) ||
        options->priority < -128 || options->priority > 127 || options->keep_ms < -1 ||
        options->after_count > DRV_AFTER_MAX ||
        options->durability > DROVER_DURABILITY_SYNCED) {
        return false;
    }
    for (size_t i = 0; i < options->after_count; i++) {
        uint32_t index = options->after[i].index;
        if (index != DROVER_INDEX_NONE && index >= DRV_ARRAY_MAX) {
            return false;
        }
    }
    return true;
}

drover_status child_write(struct drv_buffer *buffer, const char *type,
                          const drover_child_options *options, const drover_id *id)
{
    if (!options_are_fine(type, options)) {
        return DROVER_INVALID;
    }
    const struct record_child head = {
        .id = *id,
        .delay_ms = options->delay_ms,
        .expire_ms = options->expire_ms,
        .timeout_ms = options->timeout_ms,
        .backoff_ms = options->backoff_ms,
        .backoff_max_ms = options->backoff_max_ms,
        .keep_ms = options->keep_ms,
        .priority = options->priority,
        .retries = options->retries,
        .durability = (uint32_t)options->durability,
        .type_len = (uint32_t)strlen(type),
        .queue_len = (uint32_t)text_len(options->queue),
        .after_count = (uint32_t)options->after_count,
    };
    drover_status status = drv_buffer_append(buffer, &head, sizeof head);
    if (!status) {
        status = drv_buffer_append(buffer, type, head.type_len);
    }
    if (!status && head.queue_len > 0) {
        status = drv_buffer_append(buffer, options->queue, head.queue_len);
    }
    for (size_t i = 0; !status && i < options->after_count; i++) {
        const drover_child_after *after = &options->after[i];
        const struct record_after record = {
            .id = after->id, .index = after->index, .when = after->always ? 2 : 1};
        status = drv_buffer_append(buffer, &record, sizeof record);
    }
    return status;
}

static bool is_name(struct drv_str text)
{
    char name[DRV_NAME_MAX + 1];
    if (text.len == 0 || text.len > DRV_NAME_MAX) {
        return false;
    }
    memcpy(name, text.ptr, text.len);
    name[text.len] = '\0';
    return strlen(name) == text.len && drover_name_is_valid(name);
}

static bool read_after(const uint8_t *at, size_t count, struct drv_after *after)
{
    for (size_t i = 0; i < count; i++) {
        struct record_after record;
        memcpy(&record, at + i * sizeof record, sizeof record);
        after[i] = (struct drv_after){record.id, record.index, record.when};
        if (record.when < 1 || record.when > 2 ||
            (record.index != DROVER_INDEX_NONE && record.index >= DRV_ARRAY_MAX)) {
            return false;
        }
    }
    return true;
}

bool child_read(struct drv_view bytes, drover_id *out_id, struct drv_spec *out_spec,
                struct drv_after after[DRV_AFTER_MAX])
{
    struct record_child head;
    if (bytes.len < sizeof head) {
        return false;
    }
    memcpy(&head, bytes.bytes, sizeof head);
    const char *texts = (const char *)bytes.bytes + sizeof head;
    if (head.type_len > DRV_NAME_MAX || head.queue_len > DRV_NAME_MAX ||
        head.after_count > DRV_AFTER_MAX ||
        bytes.len != sizeof head + head.type_len + head.queue_len +
                         head.after_count * sizeof(struct record_after)) {
        return false;
    }
    struct drv_str type = {texts, head.type_len};
    struct drv_str queue = {texts + head.type_len, head.queue_len};
    if (!is_name(type) || (queue.len > 0 && !is_name(queue)) || head.priority < -128 ||
        head.priority > 127 || head.keep_ms < -1 ||
        head.durability > DROVER_DURABILITY_SYNCED ||
        !read_after((const uint8_t *)queue.ptr + queue.len, head.after_count, after)) {
        return false;
    }
    drv_spec_init(out_spec, type);
    if (queue.len > 0) {
        out_spec->queue = queue;
    }
    out_spec->delay_ms = head.delay_ms;
    out_spec->expire_ms = head.expire_ms;
    out_spec->timeout_ms = head.timeout_ms;
    out_spec->backoff_ms = head.backoff_ms;
    out_spec->backoff_max_ms = head.backoff_max_ms;
    out_spec->keep_ms = head.keep_ms;
    out_spec->priority = head.priority;
    out_spec->retries = head.retries;
    out_spec->durability = head.durability;
    out_spec->after = after;
    out_spec->after_count = head.after_count;
    *out_id = head.id;
    return true;
}
