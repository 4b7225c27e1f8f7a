#include "spec.h"

#include "broker.h"
#include "check.h"
#include "guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spec_key {
    const struct spec_numbers *numbers;
    const uint8_t *tail;
    size_t tail_len;
};

static bool spec_is(const void *entry, const void *key)
{
    const struct spec *spec = entry;
    const struct spec_key *wanted = key;
    return spec->tail_len == wanted->tail_len &&
           memcmp(&spec->numbers, wanted->numbers, sizeof spec->numbers) == 0 &&
           memcmp(spec->tail, wanted->tail, wanted->tail_len) == 0;
}

void spec_table_init(struct core *core)
{
    drv_table_init(&core->specs, core->config.seed, spec_is);
}

/* Whether something is needed twice, which is more likely a mistake than a sum. */
static bool needs_repeat(const struct drv_spec *spec)
{
    for (size_t i = 1; i < spec->need_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (str_equals(spec->needs[i].name, spec->needs[j].name)) {
                return true;
            }
        }
    }
    return false;
}

drover_status spec_check(const struct core *core, const struct drv_spec *spec,
                         const char **out_text)
{
    if (spec->type.len == 0) {
        *out_text = "the task has no type";
        return DROVER_INVALID;
    }
    if (spec->priority < -128 || spec->priority > 127) {
        *out_text = "the priority is not between -128 and 127";
        return DROVER_INVALID;
    }
    if (spec->loss_budget < 0) {
        *out_text = "the loss budget is negative";
        return DROVER_INVALID;
    }
    if (spec->durability > DROVER_DURABILITY_SYNCED) {
        *out_text = "no such durability";
        return DROVER_INVALID;
    }
    if (spec->durability > core->config.durability_max) {
        *out_text = "the store cannot give this durability";
        return DROVER_REFUSED;
    }
    if (spec->key.ptr != NULL && spec->key.len == 0) {
        *out_text = "the key is empty";
        return DROVER_INVALID;
    }
    if (spec->key.ptr == NULL && spec->key_window_ms > 0) {
        *out_text = "the window of a key, and no key";
        return DROVER_INVALID;
    }
    if (spec->meta.len > DRV_META_MAX) {
        *out_text = "the metadata is too long";
        return DROVER_TOO_BIG;
    }
    if (spec->expire_ms > 0 && spec->expire_ms <= spec->delay_ms) {
        *out_text = "expire is not longer than delay: it would expire before it is due";
        return DROVER_INVALID;
    }
    if (needs_repeat(spec)) {
        *out_text = "something is needed twice";
        return DROVER_INVALID;
    }
    return core->grant == NULL ? DROVER_OK : guard_spec(core, spec, out_text);
}

static int pair_compare(const void *left, const void *right)
{
    const struct drv_pair *a = left, *b = right;
    int order = str_compare(a->name, b->name);
    return order != 0 ? order : str_compare(a->value, b->value);
}

/* Appends "name\0value\0..." and returns the bytes written; sorted if the order means nothing.
 */
static uint32_t tail_pairs(struct drv_buffer *buffer, const struct drv_pair *pairs,
                           size_t count, bool sort, bool *failed)
{
    struct drv_pair sorted[DRV_LABELS_MAX];
    DRV_ASSERT(count <= DRV_LABELS_MAX);
    if (count > 0) {
        memcpy(sorted, pairs, count * sizeof *pairs);
    }
    if (sort) {
        qsort(sorted, count, sizeof *sorted, pair_compare);
    }
    size_t before = buffer->len;
    for (size_t i = 0; i < count; i++) {
        if (sort && i > 0 && pair_compare(&sorted[i - 1], &sorted[i]) == 0) {
            continue;
        }
        *failed |= drv_buffer_append(buffer, sorted[i].name.ptr, sorted[i].name.len) ||
                   drv_buffer_append_byte(buffer, 0) ||
                   drv_buffer_append(buffer, sorted[i].value.ptr, sorted[i].value.len) ||
                   drv_buffer_append_byte(buffer, 0);
    }
    return (uint32_t)(buffer->len - before);
}

static int need_compare(const void *left, const void *right)
{
    const struct drv_count *a = left, *b = right;
    return str_compare(a->name, b->name);
}

/* Appends "name\0decimal\0..." by name and returns the bytes written; to need nothing of
 * something is not to need it. */
static uint32_t tail_needs(struct drv_buffer *buffer, const struct drv_spec *spec, bool *failed)
{
    struct drv_count sorted[DRV_LABELS_MAX];
    DRV_ASSERT(spec->need_count <= DRV_LABELS_MAX);
    if (spec->need_count > 0) {
        memcpy(sorted, spec->needs, spec->need_count * sizeof *sorted);
    }
    qsort(sorted, spec->need_count, sizeof *sorted, need_compare);
    size_t before = buffer->len;
    for (size_t i = 0; i < spec->need_count; i++) {
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%" PRIu64, sorted[i].count);
        if (sorted[i].count > 0) {
            *failed |= drv_buffer_append(buffer, sorted[i].name.ptr, sorted[i].name.len) ||
                       drv_buffer_append_byte(buffer, 0) ||
                       drv_buffer_append(buffer, digits, (size_t)len + 1);
        }
    }
    return (uint32_t)(buffer->len - before);
}

const char *needs_next(const char *at, struct drv_str *out_name, uint64_t *out_count)
{
    *out_name = drv_str_of(at);
    const char *digits = at + out_name->len + 1;
    *out_count = strtoull(digits, NULL, 10);
    return digits + strlen(digits) + 1;
}

/* A number from 1 as it is printed; NULL: something else. */
static const char *skip_count(const char *at, const char *end)
{
    uint64_t count = 0;
    if (at == end || *at == '0') {
        return NULL;
    }
    for (; at < end && *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, (uint64_t)(*at - '0'), &count)) {
            return NULL;
        }
    }
    return at < end && count > 0 ? at + 1 : NULL;
}

bool needs_are_fine(const char *at, size_t len)
{
    const char *end = at + len;
    struct drv_str last = str_of(NULL, 0);
    size_t count = 0;
    while (at < end) {
        const char *zero = memchr(at, 0, (size_t)(end - at));
        struct drv_str name = str_of(at, zero == NULL ? 0 : (size_t)(zero - at));
        if (name.len == 0 || name.len > DRV_NAME_MAX || ++count > DRV_LABELS_MAX ||
            (last.len > 0 && str_compare(last, name) >= 0)) {
            return false;
        }
        last = name;
        at = skip_count(zero + 1, end);
        if (at == NULL) {
            return false;
        }
    }
    return true;
}

static drover_status spec_tail(const struct core *core, struct drv_buffer *tail,
                               const struct drv_spec *spec, struct drv_str queue,
                               struct drv_str schedule, struct spec_numbers *numbers)
{
    bool failed = drv_buffer_append(tail, spec->type.ptr, spec->type.len) ||
                  drv_buffer_append(tail, queue.ptr, queue.len);
    numbers->type_len = (uint32_t)spec->type.len;
    numbers->queue_len = (uint32_t)queue.len;
    numbers->require_len = tail_pairs(tail, spec->require, spec->require_count, true, &failed);
    numbers->needs_len = tail_needs(tail, spec, &failed);
    if (spec->fairness.len > 0) {
        failed |= drv_buffer_append(tail, spec->fairness.ptr, spec->fairness.len) != DROVER_OK;
    }
    numbers->fairness_len = (uint32_t)spec->fairness.len;
    numbers->tags_len = tail_pairs(tail, spec->tags, spec->tag_count, false, &failed);
    numbers->tag_count = (uint32_t)spec->tag_count;
    if (core->actor != NULL) { /* what is submitted belongs to who submits it */
        struct drv_str owner = account_name(core->actor);
        failed |= drv_buffer_append(tail, owner.ptr, owner.len) != DROVER_OK;
        numbers->owner_len = (uint32_t)owner.len;
    }
    failed |= drv_buffer_append(tail, spec->group.ptr, spec->group.len) != DROVER_OK;
    numbers->group_len = (uint32_t)spec->group.len;
    numbers->schedule_len = (uint32_t)schedule.len;
    if (schedule.len > 0) {
        failed |= drv_buffer_append(tail, schedule.ptr, schedule.len) != DROVER_OK;
    }
    if (spec->meta.len > 0) {
        failed |= drv_buffer_append(tail, spec->meta.ptr, spec->meta.len) != DROVER_OK;
    }
    numbers->meta_len = (uint32_t)spec->meta.len;
    return failed ? DROVER_NOMEM : DROVER_OK;
}

static size_t needs_at(const struct spec_numbers *numbers)
{
    return (size_t)numbers->type_len + numbers->queue_len + numbers->require_len;
}

static size_t fairness_at(const struct spec_numbers *numbers)
{
    return needs_at(numbers) + numbers->needs_len;
}

static const char *spec_part(const struct spec *spec, size_t offset)
{
    return (const char *)spec->tail + offset;
}

static struct line *spec_line(struct core *core, const struct spec_numbers *numbers,
                              const char *tail)
{
    struct drv_str type_text = str_of(tail, numbers->type_len);
    struct drv_str queue_text = str_of(tail + numbers->type_len, numbers->queue_len);
    struct line_key key = {
        .queue = queue_ensure(core, queue_text),
        .type = type_ensure(core, type_text),
        .priority = numbers->priority,
        .require = str_of(tail + numbers->type_len + numbers->queue_len, numbers->require_len),
        .needs = str_of(tail + needs_at(numbers), numbers->needs_len),
        .fairness = str_of(tail + fairness_at(numbers), numbers->fairness_len),
    };
    struct line *line = NULL;
    if (key.queue != NULL && key.type != NULL) {
        line = line_ensure(core, &key);
    }
    if (key.queue != NULL) {
        queue_release(core, (struct queue *)key.queue);
    }
    if (key.type != NULL) {
        type_release(core, (struct type *)key.type);
    }
    return line;
}

/* The name of the schedule stands before the metadata. False: out of memory. */
static bool spec_find_schedule(struct core *core, struct spec *spec)
{
    const struct spec_numbers *numbers = &spec->numbers;
    if (numbers->schedule_len == 0) {
        return true;
    }
    const char *end = (const char *)spec->tail + spec->tail_len - numbers->meta_len;
    struct drv_str name = str_of(end - numbers->schedule_len, numbers->schedule_len);
    struct schedule *schedule = schedule_ensure(core, name);
    spec->schedule = schedule == NULL ? NULL : schedule_ref(schedule);
    return schedule != NULL;
}

/* The name of the owner stands behind the tags. */
static bool spec_find_owner(struct core *core, struct spec *spec)
{
    const struct spec_numbers *numbers = &spec->numbers;
    if (numbers->owner_len == 0) {
        return true;
    }
    size_t offset = fairness_at(numbers) + numbers->fairness_len + numbers->tags_len;
    spec->account = account_ensure(core, str_of(spec_part(spec, offset), numbers->owner_len));
    return spec->account != NULL;
}

/* Line and group, with a reference each. False: out of memory. */
static bool spec_resolve(struct core *core, struct spec *spec)
{
    const struct spec_numbers *numbers = &spec->numbers;
    spec->line = spec_line(core, numbers, (const char *)spec->tail);
    if (spec->line != NULL && numbers->group_len > 0) {
        size_t offset = (size_t)spec->tail_len - numbers->meta_len - numbers->schedule_len -
                        numbers->group_len;
        spec->group = group_ensure(core, str_of(spec_part(spec, offset), numbers->group_len));
    }
    return spec->line != NULL && (numbers->group_len == 0 || spec->group != NULL) &&
           spec_find_owner(core, spec) && spec_find_schedule(core, spec);
}

static void spec_unresolve(struct core *core, struct spec *spec)
{
    if (spec->line != NULL) {
        line_release(core, spec->line);
    }
    group_release(core, spec->group);
    account_release(core, spec->account);
    schedule_release(core, &spec->schedule);
}

static struct spec *spec_new(struct core *core, const struct spec_key *key, uint64_t hash)
{
    struct spec *spec = core_alloc(core, sizeof *spec + key->tail_len);
    if (spec == NULL) {
        return NULL;
    }
    spec->references = 1;
    spec->hash = hash;
    spec->numbers = *key->numbers;
    spec->tail_len = (uint32_t)key->tail_len;
    memcpy(spec->tail, key->tail, key->tail_len);
    if (!spec_resolve(core, spec) || drv_table_insert(&core->specs, hash, spec)) {
        spec_unresolve(core, spec);
        core_free(core, spec, sizeof *spec + key->tail_len);
        return NULL;
    }
    return spec;
}

/* What is asked, else what the queue prescribes, else the best. A level that the store of an
 * earlier life could give and this one cannot does not count. */
static uint32_t spec_level(const struct core *core, const struct drv_spec *wanted,
                           struct drv_str name)
{
    if (wanted->durability != DROVER_DURABILITY_DEFAULT) {
        return wanted->durability;
    }
    const struct queue *queue = queue_find(core, name);
    uint32_t most = (uint32_t)core->config.durability_max;
    return queue == NULL || queue->level == 0 || queue->level > most ? most : queue->level;
}

drover_status spec_ensure(struct core *core, const struct drv_spec *wanted,
                          struct spec **out_spec)
{
    return spec_ensure_scheduled(core, wanted, str_of(NULL, 0), out_spec);
}

drover_status spec_ensure_scheduled(struct core *core, const struct drv_spec *wanted,
                                    struct drv_str schedule, struct spec **out_spec)
{
    struct spec_numbers numbers = {
        .delay_us = us_of_ms(wanted->delay_ms),
        .expire_us = us_of_ms(wanted->expire_ms),
        .timeout_ms = wanted->timeout_ms,
        .backoff_ms = wanted->backoff_ms,
        .backoff_max_ms = wanted->backoff_max_ms,
        .keep_us = wanted->keep_ms < 0 ? -1 : us_of_ms((uint64_t)wanted->keep_ms),
        .retries = wanted->retries,
        .loss_budget = wanted->loss_budget,
        .priority = wanted->priority,
        .limits = {wanted->limit_memory_bytes, wanted->limit_cpu_ms, wanted->limit_output_bytes,
                   wanted->limit_processes, wanted->limit_files},
    };
    struct drv_str queue = wanted->queue.ptr == NULL ? drv_str_of("default") : wanted->queue;
    numbers.level = spec_level(core, wanted, queue);
    drv_buffer_clear(&core->scratch);
    if (spec_tail(core, &core->scratch, wanted, queue, schedule, &numbers)) {
        return DROVER_NOMEM;
    }
    return spec_intern(core, &numbers, core->scratch.bytes, core->scratch.len, out_spec);
}

drover_status spec_intern(struct core *core, const struct spec_numbers *numbers,
                          const void *tail, size_t tail_len, struct spec **out_spec)
{
    struct spec_key key = {numbers, tail, tail_len};
    uint64_t hash = drv_table_hash(&core->specs, key.tail, key.tail_len) ^
                    drv_table_hash(&core->specs, numbers, sizeof *numbers);
    struct spec *spec = drv_table_find(&core->specs, hash, &key);
    spec = spec != NULL ? spec_ref(spec) : spec_new(core, &key, hash);
    if (spec == NULL) {
        return DROVER_NOMEM;
    }
    *out_spec = spec;
    return DROVER_OK;
}

bool spec_differs_in_level_only(const struct spec *left, const struct spec *right)
{
    struct spec_numbers numbers = left->numbers;
    numbers.level = right->numbers.level;
    return left->tail_len == right->tail_len &&
           memcmp(&numbers, &right->numbers, sizeof numbers) == 0 &&
           memcmp(left->tail, right->tail, left->tail_len) == 0;
}

struct spec *spec_ref(struct spec *spec)
{
    spec->references++;
    return spec;
}

void spec_release(struct core *core, struct spec **spec)
{
    struct spec *released = *spec;
    *spec = NULL;
    if (released == NULL || --released->references > 0) {
        return;
    }
    drv_table_remove_entry(&core->specs, released->hash, released);
    spec_unresolve(core, released);
    core->memory_bytes -= sizeof *released + released->tail_len;
    effects_bury(core, &released->corpse); /* a LEASE may show its metadata */
}

struct drv_str spec_tags(const struct spec *spec)
{
    const struct spec_numbers *numbers = &spec->numbers;
    size_t offset = fairness_at(numbers) + numbers->fairness_len;
    return str_of(spec_part(spec, offset), numbers->tags_len);
}

struct drv_str spec_needs(const struct spec *spec)
{
    return str_of(spec_part(spec, needs_at(&spec->numbers)), spec->numbers.needs_len);
}

struct drv_str spec_fairness(const struct spec *spec)
{
    return str_of(spec_part(spec, fairness_at(&spec->numbers)), spec->numbers.fairness_len);
}

/* Tags are kept as name\0value\0... */
bool spec_has_tag(const struct spec *spec, struct drv_str name, struct drv_str value)
{
    struct drv_str tags = spec_tags(spec);
    for (size_t at = 0; at < tags.len;) {
        size_t name_len = strnlen(tags.ptr + at, tags.len - at);
        size_t value_at = at + name_len + 1;
        size_t value_len = value_at < tags.len
                               ? strnlen(tags.ptr + value_at, tags.len - value_at)
                               : 0;
        if (str_equals(name, str_of(tags.ptr + at, name_len)) &&
            str_equals(value, str_of(tags.ptr + value_at, value_len))) {
            return true;
        }
        at = value_at + value_len + 1;
    }
    return false;
}

struct drv_str spec_meta(const struct spec *spec)
{
    const struct spec_numbers *numbers = &spec->numbers;
    if (numbers->meta_len == 0) {
        return str_of(NULL, 0);
    }
    size_t offset = (size_t)spec->tail_len - numbers->meta_len;
    return str_of(spec_part(spec, offset), numbers->meta_len);
}
