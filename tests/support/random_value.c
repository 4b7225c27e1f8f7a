/*
 * random_value.c: see random_value.h.
 */
#include "random_value.h"

#include "lengths.h"

#include "check.h"

#include <string.h>

/* ---- simple types ------------------------------------------------------------------------ */

bool random_chance(source *s, unsigned percent)
{
    return drv_rng_below(s->rng, 100) < percent;
}

/* Small numbers often, any number of so many bits sometimes. */
uint64_t random_number(source *s, unsigned bits)
{
    uint64_t any = drv_rng_next(s->rng);
    return any >> (64 - (unsigned)drv_rng_between(s->rng, 1, bits));
}

uint32_t random_number32(source *s)
{
    return (uint32_t)random_number(s, 32);
}

uint32_t random_between(source *s, uint32_t min, uint32_t max)
{
    return (uint32_t)drv_rng_between(s->rng, min, max);
}

int64_t random_signed_number(source *s, unsigned bits)
{
    int64_t value = (int64_t)random_number(s, bits - 1);
    return random_chance(s, 50) ? value : -value - 1;
}

void *random_items(source *s, size_t count, size_t size)
{
    void *memory = drv_arena_alloc(s->arena, count, size);
    DRV_ASSERT(memory != NULL);
    return memory;
}

size_t random_count(source *s, size_t max)
{
    size_t bound = max < s->entries_max ? max : s->entries_max;
    return (size_t)drv_rng_below(s->rng, bound + 1);
}

drover_id random_id(source *s)
{
    drover_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)drv_rng_next(s->rng);
    }
    return id;
}

uint32_t random_index(source *s)
{
    return random_chance(s, 50) ? DROVER_INDEX_NONE : random_between(s, 0, DRV_ARRAY_MAX - 1);
}

struct drv_str random_name(source *s)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    size_t len = (size_t)drv_rng_between(s->rng, 1, random_chance(s, 10) ? DRV_NAME_MAX : 12);
    char *text = random_items(s, len, 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = alphabet[drv_rng_below(s->rng, sizeof alphabet - 1)];
    }
    return (struct drv_str){text, len};
}

struct drv_str random_text(source *s, size_t max)
{
    static const char *const pieces[] = {"a", " ", "\303\244", "\342\202\254",
                                         "\360\237\220\242"};
    size_t bound = random_chance(s, 5) ? max : (max < 20 ? max : 20);
    size_t wanted = (size_t)drv_rng_below(s->rng, bound + 1);
    char *bytes = random_items(s, wanted + 1, 1);
    size_t len = 0;
    for (;;) {
        const char *piece = pieces[drv_rng_below(s->rng, DRV_ARRAY_LEN(pieces))];
        if (len + strlen(piece) > wanted) {
            break;
        }
        memcpy(bytes + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return (struct drv_str){bytes, len};
}

struct drv_str random_bytes(source *s, size_t max)
{
    size_t len = (size_t)drv_rng_below(s->rng, max + 1);
    uint8_t *at = random_items(s, len, 1);
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)drv_rng_next(s->rng);
    }
    return (struct drv_str){(const char *)at, len};
}

struct drv_str random_optional(source *s, struct drv_str value)
{
    return random_chance(s, 50) ? value : (struct drv_str){NULL, 0};
}

struct drv_val random_val(source *s)
{
    if (random_chance(s, 20)) {
        return (struct drv_val){.is_nil = true};
    }
    struct drv_str content = random_bytes(s, random_chance(s, 5) ? s->value_max : 40);
    return (struct drv_val){.bytes = (const uint8_t *)content.ptr,
                            .len = content.len,
                            .content_type = random_chance(s, 20)
                                                ? random_text(s, DRV_CONTENT_TYPE_MAX)
                                                : (struct drv_str){NULL, 0}};
}

bool random_is_plain(source *s)
{
    return s->is_plain && random_chance(s, 97);
}

struct drv_val random_plain_val(source *s)
{
    struct drv_str bytes = random_bytes(s, 100);
    if (random_chance(s, 20)) {
        return (struct drv_val){.is_nil = true};
    }
    return (struct drv_val){.bytes = (const uint8_t *)bytes.ptr, .len = bytes.len};
}

/* ---- records ----------------------------------------------------------------------------- */

struct drv_range random_range(source *s, uint32_t index, struct drv_val *val)
{
    enum { COUNT = 6 };
    if (random_chance(s, 50) || index > DROVER_INDEX_NONE - 1 - COUNT) {
        return (struct drv_range){0};
    }
    struct drv_str bytes = random_bytes(s, 400);
    struct drv_range range = {.count = random_between(s, 2, COUNT)};
    uint8_t *lengths = random_items(s, COUNT, DRV_LENGTH_BYTES_MAX);
    size_t left = bytes.len;
    for (uint32_t i = 0; i < range.count; i++) {
        bool is_last = i + 1 == range.count;
        bool is_nil = is_last ? left == 0 : random_chance(s, 20);
        size_t len = is_nil ? 0 : is_last ? left : random_count(s, left);
        range.lengths.len += drv_lengths_put(lengths + range.lengths.len, is_nil, len);
        left -= len;
    }
    range.lengths.ptr = (const char *)lengths;
    *val = (struct drv_val){.bytes = (const uint8_t *)bytes.ptr, .len = bytes.len};
    return range;
}

uint32_t random_more(source *s, uint32_t index)
{
    bool has_room = index <= DROVER_INDEX_NONE - DRV_RANGE_MAX;
    return has_room && random_chance(s, 50)
               ? random_between(s, 1, DRV_FURTHER_MAX / DRV_BATCH_MAX)
               : 0;
}

struct drv_ref random_ref(source *s)
{
    return (struct drv_ref){.handle = random_number(s, 64),
                            .id = random_id(s),
                            .index = random_index(s),
                            .attempt = random_number32(s)};
}

const struct drv_ref *random_refs(source *s, size_t *out_count)
{
    *out_count = random_count(s, 300);
    struct drv_ref *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = random_ref(s);
    }
    return list;
}

const struct drv_str *random_texts(source *s, size_t max, size_t *out_count)
{
    *out_count = random_count(s, max);
    struct drv_str *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = random_text(s, 100);
    }
    return list;
}

const struct drv_pair *random_pairs(source *s, size_t *out_count)
{
    *out_count = random_count(s, DRV_LABELS_MAX);
    struct drv_pair *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_pair){random_name(s), random_text(s, DRV_LABEL_VALUE_MAX)};
    }
    return list;
}

const struct drv_count *random_counts(source *s, size_t *out_count)
{
    *out_count = random_count(s, DRV_LABELS_MAX);
    struct drv_count *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_count){random_name(s), random_number(s, 64)};
    }
    return list;
}

const struct drv_note *random_notes(source *s, bool is_ack, size_t *out_count)
{
    *out_count = random_count(s, 20);
    struct drv_note *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_note){.position = random_number32(s), .code = random_number32(s)};
        if (is_ack) {
            list[i].seq = random_number(s, 64);
        } else {
            list[i].text = random_optional(s, random_text(s, DRV_TEXT_MAX));
            list[i].retry_after_ms = random_number(s, 64);
            list[i].has_id = random_chance(s, 30);
            list[i].id = list[i].has_id ? random_id(s) : (drover_id){{0}};
        }
    }
    return list;
}

struct drv_error random_error(source *s)
{
    if (random_chance(s, 60)) {
        return (struct drv_error){.kind = DROVER_ERROR_NONE};
    }
    return (struct drv_error){
        .kind = random_between(s, DROVER_ERROR_HANDLER, DROVER_ERROR_EXPIRED),
        .code = random_text(s, 40),
        .text = random_text(s, 200),
        .exit_code = (int32_t)random_signed_number(s, 32),
        .signal = random_number32(s),
        .flags = random_number32(s),
        .stderr_tail = random_bytes(s, 100)};
}

struct drv_spec random_spec(source *s)
{
    struct drv_spec out;
    drv_spec_init(&out, random_name(s));
    if (random_chance(s, 40)) {
        return out;
    }
    out.queue = random_optional(s, random_name(s));
    out.priority = (int32_t)random_signed_number(s, 8);
    out.delay_ms = random_number(s, 64);
    out.expire_ms = random_number(s, 64);
    out.timeout_ms = random_number(s, 64);
    out.retries = random_number32(s);
    out.backoff_ms = random_number(s, 64);
    out.backoff_max_ms = random_number(s, 64);
    out.loss_budget = (int32_t)random_signed_number(s, 32);
    out.durability = random_between(s, 0, 3);
    out.keep_ms = random_chance(s, 50) ? -1 : (int64_t)random_number(s, 63);
    out.flags = random_number32(s);
    out.key = random_optional(s, random_text(s, DRV_TEXT_MAX));
    out.key_window_ms = random_number(s, 64);
    out.after = random_after(s, &out.after_count);
    out.group = random_optional(s, random_name(s));
    out.tags = random_pairs(s, &out.tag_count);
    out.fairness = random_optional(s, random_text(s, DRV_TEXT_MAX));
    out.needs = random_counts(s, &out.need_count);
    out.require = random_pairs(s, &out.require_count);
    out.limit_memory_bytes = random_chance(s, 50) ? 0 : random_number(s, 64);
    out.limit_output_bytes = random_chance(s, 50) ? 0 : random_number(s, 64);
    out.limit_processes = random_chance(s, 50) ? 0 : random_number(s, 64);
    out.limit_files = random_chance(s, 50) ? 0 : random_number(s, 64);
    out.meta = random_optional(s, random_bytes(s, 100));
    out.has_retry_of = random_chance(s, 30);
    out.retry_of = (struct drv_target){.id = random_id(s), .index = random_index(s)};
    return out;
}

const struct drv_after *random_after(source *s, size_t *out_count)
{
    *out_count = random_count(s, DRV_LABELS_MAX);
    struct drv_after *list = random_items(s, *out_count, sizeof *list);
    for (size_t i = 0; i < *out_count; i++) {
        list[i] = (struct drv_after){random_id(s), random_index(s), random_between(s, 1, 2)};
    }
    return list;
}

struct drv_targets random_targets(source *s)
{
    struct drv_targets out = {.text = random_text(s, DRV_TEXT_MAX),
                              .flags = random_number32(s)};
    out.target_count = random_count(s, 1000);
    struct drv_target *list = random_items(s, out.target_count, sizeof *list);
    for (size_t i = 0; i < out.target_count; i++) {
        list[i] = (struct drv_target){.id = random_id(s),
                                      .index = random_index(s),
                                      .epoch = random_number(s, 64),
                                      .level = random_between(s, 0, 3),
                                      .new_id = random_id(s)};
        if (random_chance(s, 5)) {
            list[i].after = random_after(s, &list[i].after_count);
        }
    }
    out.targets = list;
    return out;
}

const struct drv_parent *random_parents(source *s, size_t *out_count)
{
    *out_count = random_chance(s, 20) ? random_count(s, 20) : 0;
    struct drv_parent *parents = random_items(s, *out_count, sizeof *parents);
    for (size_t i = 0; i < *out_count; i++) {
        parents[i] = (struct drv_parent){
            .id = random_id(s),
            .index = random_index(s),
            .when = random_between(s, 1, 3),
            .state = random_between(s, DROVER_STATE_SUCCEEDED, DROVER_STATE_LOST)};
    }
    return parents;
}
