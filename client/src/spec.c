#include "spec.h"

#include "check.h"
#include "utf8.h"
#include "value_share.h"

#include <stdlib.h>
#include <string.h>

#define SPEC_KEEP 4096
#define SPEC_AFTER_MAX 64
/* Bytes that options of a later version of this header may have. */
#define SPEC_OPTIONS_MAX 4096

static const drover_submit_options DEFAULTS = DROVER_SUBMIT_OPTIONS_INIT;

static bool text_is_valid(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len <= max && drv_utf8_is_valid((const uint8_t *)text, len);
}

static bool pairs_are_valid(const drover_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!drover_name_is_valid(pairs[i].name) || pairs[i].value == NULL ||
            !text_is_valid(pairs[i].value, DRV_LABEL_VALUE_MAX)) {
            return false;
        }
    }
    return true;
}

static bool needs_are_valid(const drover_need *needs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!drover_name_is_valid(needs[i].name)) {
            return false;
        }
    }
    return true;
}

static const char *find_invalid(const drover_submit_options *o)
{
    if (o->queue != NULL && !drover_name_is_valid(o->queue)) {
        return "the queue's name is no name";
    }
    if (o->group != NULL && !drover_name_is_valid(o->group)) {
        return "the group's name is no name";
    }
    if (o->priority < -128 || o->priority > 127) {
        return "the priority is not from -128 to 127";
    }
    if ((o->key != NULL && !text_is_valid(o->key, DRV_TEXT_MAX)) ||
        (o->fairness != NULL && !text_is_valid(o->fairness, DRV_TEXT_MAX))) {
        return "a key is too long or not UTF-8";
    }
    if ((unsigned)o->durability > DROVER_DURABILITY_SYNCED) {
        return "no such durability";
    }
    if (o->keep_ms < -1 || o->wait_ms < -1 || o->ack_timeout_ms < -1) {
        return "a negative duration";
    }
    if (!pairs_are_valid(o->tags, o->tag_count) ||
        !pairs_are_valid(o->require, o->require_count)) {
        return "a tag or label is no name, too long or not UTF-8";
    }
    if (!needs_are_valid(o->needs, o->need_count)) {
        return "a need's name is no name";
    }
    if (o->id != NULL && drover_id_is_zero(o->id)) {
        return "the id is zero";
    }
    return NULL;
}

drover_status drv_options_resolve(const drover_submit_options *options,
                                  drover_submit_options *out_options, const char **out_reason)
{
    if (options == NULL) {
        *out_options = DEFAULTS;
        return DROVER_OK;
    }
    if (options->size < sizeof(options->size) || options->size > SPEC_OPTIONS_MAX) {
        *out_reason = "submit options without DROVER_SUBMIT_OPTIONS_INIT";
        return DROVER_INVALID;
    }
    if (options->size >= sizeof(DEFAULTS)) {
        memcpy(out_options, options, sizeof(DEFAULTS));
    } else {
        *out_options = DEFAULTS;
        memcpy(out_options, options, options->size);
    }
    if (out_options->tag_count > DRV_LABELS_MAX || out_options->need_count > DRV_LABELS_MAX ||
        out_options->require_count > DRV_LABELS_MAX ||
        out_options->after_count > SPEC_AFTER_MAX) {
        *out_reason = "too many tags, needs, labels or dependencies";
        return DROVER_LIMIT;
    }
    if (out_options->meta_len > DRV_META_MAX) {
        *out_reason = "metadata over 1024 bytes";
        return DROVER_TOO_BIG;
    }
    const char *reason = find_invalid(out_options);
    if (reason != NULL) {
        *out_reason = reason;
        return DROVER_INVALID;
    }
    return DROVER_OK;
}

/* The scalars and the borrowed strings; the lists are left out. */
static struct drv_spec spec_of(const char *type, const drover_submit_options *o, uint32_t flags)
{
    struct drv_spec spec;
    drv_spec_init(&spec, drv_str_of(type));
    spec.queue = drv_str_of(o->queue);
    spec.priority = o->priority;
    spec.delay_ms = o->delay_ms;
    spec.expire_ms = o->expire_ms;
    spec.timeout_ms = o->timeout_ms;
    spec.retries = o->retries;
    spec.backoff_ms = o->backoff_ms;
    spec.backoff_max_ms = o->backoff_max_ms;
    spec.loss_budget = o->loss_budget;
    spec.durability = (uint32_t)o->durability;
    spec.keep_ms = o->keep_ms;
    spec.flags = flags | (o->strict ? DRV_SPEC_STRICT : 0U) |
                 (o->cancel_on_disconnect ? DRV_SPEC_CANCEL_WITH_SESSION : 0U);
    spec.key = drv_str_of(o->key);
    spec.key_window_ms = o->key_window_ms;
    spec.group = drv_str_of(o->group);
    spec.fairness = drv_str_of(o->fairness);
    spec.limit_memory_bytes = o->limit_memory_bytes;
    spec.limit_cpu_ms = o->limit_cpu_ms;
    spec.limit_output_bytes = o->limit_output_bytes;
    spec.limit_processes = o->limit_processes;
    spec.limit_files = o->limit_files;
    spec.meta = (struct drv_str){o->meta, o->meta_len};
    return spec;
}

static bool str_equal(struct drv_str a, struct drv_str b)
{
    if (a.ptr == NULL || b.ptr == NULL) {
        return a.ptr == b.ptr;
    }
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool plain_equal(const struct drv_spec *a, const struct drv_spec *b)
{
    return str_equal(a->type, b->type) && str_equal(a->queue, b->queue) &&
           a->priority == b->priority && a->delay_ms == b->delay_ms &&
           a->expire_ms == b->expire_ms && a->timeout_ms == b->timeout_ms &&
           a->retries == b->retries && a->backoff_ms == b->backoff_ms &&
           a->backoff_max_ms == b->backoff_max_ms && a->loss_budget == b->loss_budget &&
           a->durability == b->durability && a->keep_ms == b->keep_ms && a->flags == b->flags &&
           str_equal(a->key, b->key) && a->key_window_ms == b->key_window_ms &&
           str_equal(a->group, b->group) && str_equal(a->fairness, b->fairness) &&
           a->limit_memory_bytes == b->limit_memory_bytes &&
           a->limit_cpu_ms == b->limit_cpu_ms &&
           a->limit_output_bytes == b->limit_output_bytes &&
           a->limit_processes == b->limit_processes && a->limit_files == b->limit_files;
}

static bool is_plain(const drover_submit_options *o)
{
    return o->after_count == 0 && o->tag_count == 0 && o->need_count == 0 &&
           o->require_count == 0 && o->meta_len == 0;
}

static bool copy_str(struct drv_task_spec *spec, struct drv_str *str)
{
    if (str->ptr == NULL) {
        return true;
    }
    str->ptr = drv_arena_copy(&spec->arena, str->ptr, str->len);
    spec->head_bytes += str->len + 5;
    return str->ptr != NULL;
}

static bool copy_text(struct drv_task_spec *spec, const char *text, struct drv_str *out_str)
{
    *out_str = drv_str_of(text);
    return copy_str(spec, out_str);
}

static bool copy_pairs(struct drv_task_spec *spec, const drover_pair *pairs, size_t count,
                       const struct drv_pair **out_pairs)
{
    struct drv_pair *copy = drv_arena_alloc(&spec->arena, count, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        if (!copy_text(spec, pairs[i].name, &copy[i].name) ||
            !copy_text(spec, pairs[i].value, &copy[i].value)) {
            return false;
        }
    }
    *out_pairs = copy;
    return copy != NULL;
}

static bool copy_needs(struct drv_task_spec *spec, const drover_need *needs, size_t count,
                       const struct drv_count **out_needs)
{
    struct drv_count *copy = drv_arena_alloc(&spec->arena, count, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        if (!copy_text(spec, needs[i].name, &copy[i].name)) {
            return false;
        }
        copy[i].count = needs[i].count;
        spec->head_bytes += 16;
    }
    *out_needs = copy;
    return copy != NULL;
}

static bool copy_after(struct drv_task_spec *spec, const drover_dependency *after, size_t count,
                       const struct drv_after **out_after)
{
    struct drv_after *copy = drv_arena_alloc(&spec->arena, count, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = (struct drv_after){after[i].id, after[i].index, after[i].always ? 2 : 1};
        spec->head_bytes += 32;
    }
    *out_after = copy;
    return copy != NULL;
}

static bool copy_lists(struct drv_task_spec *spec, const drover_submit_options *o)
{
    struct drv_spec *s = &spec->spec;
    s->tag_count = o->tag_count;
    s->require_count = o->require_count;
    s->need_count = o->need_count;
    s->after_count = o->after_count;
    return copy_pairs(spec, o->tags, o->tag_count, &s->tags) &&
           copy_pairs(spec, o->require, o->require_count, &s->require) &&
           copy_needs(spec, o->needs, o->need_count, &s->needs) &&
           copy_after(spec, o->after, o->after_count, &s->after);
}

static bool text_equal(struct drv_str known, const char *text)
{
    return known.ptr == NULL || text == NULL
               ? known.ptr == text
               : strncmp(known.ptr, text, known.len) == 0 && text[known.len] == '\0';
}

/* Padding is compared, too: a difference there costs another look, no more. */
static bool bytes_equal(const void *a, const void *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

/* Whether the very same is asked for once more, as it mostly is. */
static bool is_repeated(const struct drv_task_spec *last, const char *type,
                        const drover_submit_options *options, uint32_t flags)
{
    return last != NULL && type != NULL && last->is_plain && last->flags == flags &&
           bytes_equal(&last->given, options, sizeof(*options)) &&
           text_equal(last->spec.type, type) && text_equal(last->spec.queue, options->queue) &&
           options->key == NULL && options->group == NULL && options->fairness == NULL;
}

drover_status drv_task_spec_ensure(struct drv_task_spec *last, const char *type,
                                   const drover_submit_options *options, uint32_t flags,
                                   struct drv_task_spec **out_spec)
{
    if (is_repeated(last, type, options, flags)) {
        *out_spec = drv_task_spec_ref(last);
        return DROVER_OK;
    }
    if (!drover_name_is_valid(type)) {
        return DROVER_INVALID;
    }
    struct drv_spec wanted = spec_of(type, options, flags);
    bool plain = is_plain(options);
    if (last != NULL && plain && last->is_plain && last->wait_ms == options->wait_ms &&
        plain_equal(&wanted, &last->spec)) {
        *out_spec = drv_task_spec_ref(last);
        return DROVER_OK;
    }
    struct drv_task_spec *spec = malloc(sizeof(*spec));
    if (spec == NULL) {
        return DROVER_NOMEM;
    }
    spec->references = 1;
    drv_arena_init(&spec->arena, SPEC_KEEP);
    spec->spec = wanted;
    spec->head_bytes = 160; /* the fixed positions */
    spec->is_plain = plain;
    spec->wait_ms = options->wait_ms;
    memcpy(&spec->given, options, sizeof(*options)); /* padding too: it is compared */
    spec->flags = flags;
    struct drv_spec *s = &spec->spec;
    if (!copy_str(spec, &s->type) || !copy_str(spec, &s->queue) || !copy_str(spec, &s->key) ||
        !copy_str(spec, &s->group) || !copy_str(spec, &s->fairness) ||
        !copy_str(spec, &s->meta) || (!plain && !copy_lists(spec, options))) {
        drv_task_spec_unref(&spec);
        return DROVER_NOMEM;
    }
    *out_spec = spec;
    return DROVER_OK;
}

struct drv_task_spec *drv_task_spec_ref(struct drv_task_spec *spec)
{
    spec->references++;
    return spec;
}

void drv_task_spec_unref(struct drv_task_spec **spec)
{
    struct drv_task_spec *last = *spec;
    *spec = NULL;
    if (last == NULL || --last->references > 0) {
        return;
    }
    drv_arena_fini(&last->arena);
    free(last);
}

drover_status drv_payload_init(struct drv_payload *payload, const drover_value *value)
{
    *payload = DRV_PAYLOAD_NONE;
    if (value == NULL) {
        return DROVER_OK;
    }
    const void *bytes;
    size_t len;
    drover_value_bytes(value, &bytes, &len);
    if (len > DRV_PAYLOAD_MAX) {
        return DROVER_TOO_BIG;
    }
    drover_status status = DROVER_OK;
    if (len > 0 && len <= DRV_PAYLOAD_SMALL) {
        payload->small_len = (uint8_t)len;
        memcpy(payload->small, bytes, len);
    } else {
        payload->data = drv_data_ref(drv_value_data(value));
        if (payload->data == NULL) {
            status = drv_data_copy(bytes, len, &payload->data);
        }
    }
    const char *type = drover_value_content_type(value);
    if (status == DROVER_OK && type[0] != '\0') {
        payload->content_type = strdup(type);
        status = payload->content_type != NULL ? DROVER_OK : DROVER_NOMEM;
    }
    if (status != DROVER_OK) {
        drv_payload_fini(payload);
    }
    return status;
}

void drv_payload_fini(struct drv_payload *payload)
{
    drv_data_unref(&payload->data);
    free(payload->content_type);
    payload->content_type = NULL;
    payload->small_len = 0;
}

void drv_payload_move(struct drv_payload *to, struct drv_payload *from)
{
    to->data = from->data;
    to->content_type = from->content_type;
    to->small_len = from->small_len;
    memcpy(to->small, from->small, sizeof(to->small));
    from->data = NULL;
    from->content_type = NULL;
    from->small_len = 0;
}

struct drv_val drv_payload_val(const struct drv_payload *payload)
{
    if (payload->data == NULL && payload->small_len == 0) {
        return (struct drv_val){.is_nil = true};
    }
    if (payload->data == NULL) {
        return (struct drv_val){.bytes = payload->small,
                                .len = payload->small_len,
                                .content_type = drv_str_of(payload->content_type)};
    }
    return (struct drv_val){
        .bytes = payload->data->bytes,
        .len = payload->data->len,
        .content_type = drv_str_of(payload->content_type),
        .data = payload->data,
    };
}
