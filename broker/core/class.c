#include "class.h"

#include "broker.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

struct class_header { /* first bytes of the canonical form */
    uint32_t type_count, queue_count, label_count, resource_count, model;
};

/* --- canonical form ---------------------------------------------------------------------- */

static int offer_compare(const void *left, const void *right)
{
    return str_compare(((const struct drv_offer *)left)->name,
                       ((const struct drv_offer *)right)->name);
}

static int name_compare(const void *left, const void *right)
{
    return str_compare(*(const struct drv_str *)left, *(const struct drv_str *)right);
}

static int label_compare(const void *left, const void *right)
{
    return str_compare(((const struct drv_pair *)left)->name,
                       ((const struct drv_pair *)right)->name);
}

/* A sorted copy that lives until the end of the turn. */
static void *sorted_copy(struct core *core, const void *items, size_t count, size_t size,
                         int (*compare)(const void *, const void *))
{
    void *copy = effects_alloc(core, count, size);
    if (copy != NULL && count > 0) {
        memcpy(copy, items, count * size);
        qsort(copy, count, size, compare);
    }
    return copy;
}

static bool key_text(struct drv_buffer *key, struct drv_str text)
{
    return drv_buffer_append(key, text.ptr, text.len) == DROVER_OK &&
           drv_buffer_append_byte(key, 0) == DROVER_OK;
}

static bool key_number(struct drv_buffer *key, uint32_t number)
{
    return drv_buffer_append(key, &number, sizeof number) == DROVER_OK;
}

static bool key_offers(struct drv_buffer *key, const struct drv_offer *offers, size_t count,
                       uint32_t *out_count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && str_equals(offers[i].name, offers[i - 1].name)) {
            continue;
        }
        if (!key_text(key, offers[i].name) || !key_number(key, offers[i].model) ||
            !key_number(key, offers[i].concurrency)) {
            return false;
        }
        (*out_count)++;
    }
    return true;
}

static bool key_names(struct drv_buffer *key, const struct drv_str *names, size_t count,
                      uint32_t *out_count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && str_equals(names[i], names[i - 1])) {
            continue;
        }
        if (!key_text(key, names[i])) {
            return false;
        }
        (*out_count)++;
    }
    return true;
}

static bool key_labels(struct drv_buffer *key, const struct drv_pair *labels, size_t count,
                       uint32_t *out_count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && str_equals(labels[i].name, labels[i - 1].name)) {
            continue;
        }
        if (!key_text(key, labels[i].name) || !key_text(key, labels[i].value)) {
            return false;
        }
        (*out_count)++;
    }
    return true;
}

static int count_compare(const void *left, const void *right)
{
    return str_compare(((const struct drv_count *)left)->name,
                       ((const struct drv_count *)right)->name);
}

/* The names of those that it has something of. */
static bool key_resources(struct drv_buffer *key, const struct drv_count *resources,
                          size_t count, uint32_t *out_count)
{
    struct drv_str last = str_of(NULL, 0);
    for (size_t i = 0; i < count; i++) {
        if (resources[i].count == 0 || (last.len > 0 && str_equals(last, resources[i].name))) {
            continue;
        }
        last = resources[i].name;
        if (!key_text(key, last)) {
            return false;
        }
        (*out_count)++;
    }
    return true;
}

static bool class_key(struct core *core, const struct drv_worker_hello *hello,
                      struct drv_buffer *key)
{
    struct drv_offer *types = sorted_copy(core, hello->types, hello->type_count,
                                          sizeof *hello->types, offer_compare);
    struct drv_str *queues = sorted_copy(core, hello->queues, hello->queue_count,
                                         sizeof *hello->queues, name_compare);
    struct drv_pair *labels = sorted_copy(core, hello->labels, hello->label_count,
                                          sizeof *hello->labels, label_compare);
    struct drv_count *resources = sorted_copy(core, hello->resources, hello->resource_count,
                                              sizeof *hello->resources, count_compare);
    struct class_header header = {.model = hello->model};
    drv_buffer_clear(key);
    if (types == NULL || queues == NULL || labels == NULL || resources == NULL ||
        drv_buffer_append(key, &header, sizeof header) ||
        !key_offers(key, types, hello->type_count, &header.type_count) ||
        !key_names(key, queues, hello->queue_count, &header.queue_count) ||
        !key_labels(key, labels, hello->label_count, &header.label_count) ||
        !key_resources(key, resources, hello->resource_count, &header.resource_count)) {
        return false;
    }
    memcpy(key->bytes, &header, sizeof header);
    return true;
}

/* --- building ---------------------------------------------------------------------------- */

static const char *read_text(const char *at, struct drv_str *out_text)
{
    *out_text = str_of(at, strlen(at));
    return at + out_text->len + 1;
}

static const char *read_number(const char *at, uint32_t *out_number)
{
    memcpy(out_number, at, sizeof *out_number);
    return at + sizeof *out_number;
}

/* But for its type. */
static bool class_takes(const struct core *core, const struct class *class,
                        const struct line *line)
{
    struct need needs[DRV_LABELS_MAX];
    size_t count;
    return class_has_queue(class, queue_name(line->queue)) &&
           (class_has_labels(class, line) || core->config.defects.ignore_labels) &&
           class_needs(class, line, needs, &count);
}

bool line_fit(struct core *core, struct line *line)
{
    DRV_LIST_EACH(link, &line->type->offers)
    {
        struct offer *offer = DRV_LIST_ITEM(link, struct offer, in_type);
        if (class_takes(core, offer->class, line) && !fit_new(core, offer, line)) {
            line_unfit(core, line);
            return false;
        }
    }
    return true;
}

void line_unfit(struct core *core, struct line *line)
{
    DRV_LIST_EACH_SAFE(link, &line->fits)
    {
        fit_free(core, DRV_LIST_ITEM(link, struct fit, in_line));
    }
}

/* The lines that exist already. */
static bool offer_fit(struct core *core, struct offer *offer)
{
    DRV_LIST_EACH(link, &offer->type->lines)
    {
        struct line *line = DRV_LIST_ITEM(link, struct line, in_type);
        if (class_takes(core, offer->class, line) && !fit_new(core, offer, line)) {
            return false;
        }
    }
    return true;
}

static const char *class_read_offers(struct core *core, struct class *class, const char *at,
                                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct offer *offer = &class->offers[i];
        struct drv_str name;
        at = read_text(at, &name);
        at = read_number(at, &offer->model);
        at = read_number(at, &offer->concurrency);
        offer->class = class;
        offer->type = type_ensure(core, name);
        if (offer->type == NULL) {
            return NULL;
        }
        drv_list_init(&offer->rooms);
        drv_list_push_back(&offer->type->offers, &offer->in_type);
        offer->limited = (uint32_t) class->limited_count;
        class->limited_count += offer->concurrency > 0;
        class->offer_count++;
    }
    return at;
}

static bool class_read(struct core *core, struct class *class)
{
    struct class_header header;
    memcpy(&header, class->key, sizeof header);
    class->model = header.model;
    class->offers = core_alloc(core, header.type_count * sizeof *class->offers);
    class->queues = core_alloc(core, header.queue_count * sizeof *class->queues);
    class->labels = core_alloc(core, header.label_count * sizeof *class->labels);
    class->resources = core_alloc(core, header.resource_count * sizeof *class->resources);
    if (class->offers == NULL || class->queues == NULL || class->labels == NULL ||
        class->resources == NULL) {
        return false;
    }
    const char *at = class_read_offers(core, class, class->key + sizeof header,
                                       header.type_count);
    if (at == NULL) {
        return false;
    }
    for (; class->queue_count < header.queue_count; class->queue_count++) {
        at = read_text(at, &class->queues[class->queue_count]);
    }
    for (; class->label_count < header.label_count; class->label_count++) {
        at = read_text(at, &class->labels[class->label_count].name);
        at = read_text(at, &class->labels[class->label_count].value);
    }
    for (; class->resource_count < header.resource_count; class->resource_count++) {
        at = read_text(at, &class->resources[class->resource_count]);
    }
    for (size_t i = 0; i < class->offer_count; i++) {
        if (!offer_fit(core, &class->offers[i])) {
            return false;
        }
    }
    return true;
}

static void class_free(struct core *core, struct class *class)
{
    struct class_header header;
    memcpy(&header, class->key, sizeof header);
    struct drv_list *link;
    while ((link = drv_list_first(&class->shares)) != NULL) {
        struct share *share = DRV_LIST_ITEM(link, struct share, in_class);
        fit_free(core, DRV_LIST_ITEM(drv_list_first(&share->fits), struct fit, in_share));
    }
    for (size_t i = 0; i < class->offer_count; i++) {
        DRV_ASSERT(drv_list_is_empty(&class->offers[i].rooms));
        drv_list_remove(&class->offers[i].in_type);
        type_release(core, class->offers[i].type);
    }
    DRV_ASSERT(drv_list_is_empty(&class->shares));
    drv_list_remove(&class->link);
    drv_list_remove(&class->dirty);
    drv_heap_fini(&class->workers);
    core_free(core, class->offers, header.type_count * sizeof *class->offers);
    core_free(core, class->queues, header.queue_count * sizeof *class->queues);
    core_free(core, class->resources, header.resource_count * sizeof *class->resources);
    core_free(core, class->labels, header.label_count * sizeof *class->labels);
    core_free(core, class, sizeof *class + class->key_len);
}

static struct class *class_new(struct core *core, struct drv_str key, uint64_t hash)
{
    struct class *class = core_alloc(core, sizeof *class + key.len);
    if (class == NULL) {
        return NULL;
    }
    class->hash = hash;
    class->key_len = (uint32_t)key.len;
    memcpy(class->key, key.ptr, key.len);
    drv_list_init(&class->shares);
    drv_list_init(&class->ring);
    drv_list_init(&class->parked);
    drv_list_init(&class->dirty);
    drv_list_init(&class->hungry);
    drv_heap_init(&class->workers, worker_before);
    drv_list_push_back(&core->classes, &class->link);
    if (!class_read(core, class)) {
        class_free(core, class);
        return NULL;
    }
    return class;
}

struct class *class_ensure(struct core *core, const struct drv_worker_hello *hello)
{
    struct drv_buffer *key = &core->scratch;
    if (!class_key(core, hello, key)) {
        return NULL;
    }
    uint64_t hash = drv_table_hash(&core->types, key->bytes, key->len);
    struct class *class = NULL;
    DRV_LIST_EACH(link, &core->classes)
    {
        struct class *other = DRV_LIST_ITEM(link, struct class, link);
        if (other->hash == hash && other->key_len == key->len &&
            memcmp(other->key, key->bytes, key->len) == 0) {
            class = other;
            break;
        }
    }
    if (class == NULL) {
        class = class_new(core, str_of((const char *)key->bytes, key->len), hash);
    }
    if (class == NULL) {
        return NULL;
    }
    if (drv_heap_reserve(&class->workers, class->references + 1)) {
        if (class->references == 0) {
            class_free(core, class);
        }
        return NULL;
    }
    class->references++;
    return class;
}

void class_release(struct core *core, struct class *class)
{
    if (--class->references == 0) {
        class_free(core, class);
    }
}

/* --- what fits --------------------------------------------------------------------------- */

struct offer *class_offer(const struct class *class, const struct type *type)
{
    struct drv_str name = type_name(type);
    size_t low = 0, high = class->offer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(type_name(class->offers[middle].type), name);
        if (order == 0) {
            return &class->offers[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool class_has_queue(const struct class *class, struct drv_str queue)
{
    return class->queue_count == 0 || bsearch(&queue, class->queues, class->queue_count,
                                              sizeof queue, name_compare) != NULL;
}

static bool class_has_label(const struct class *class, struct drv_str name,
                            struct drv_str value)
{
    struct drv_pair key = {.name = name};
    const struct drv_pair *label = bsearch(&key, class->labels, class->label_count, sizeof key,
                                           label_compare);
    return label != NULL && str_equals(label->value, value);
}

bool class_has_labels(const struct class *class, const struct line *line)
{
    const char *at = line_require(line).ptr;
    const char *end = at + line->require_len;
    while (at < end) {
        struct drv_str name, value;
        at = read_text(at, &name);
        at = read_text(at, &value);
        if (!class_has_label(class, name, value)) {
            return false;
        }
    }
    return true;
}

bool class_needs(const struct class *class, const struct line *line,
                 struct need out_needs[DRV_LABELS_MAX], size_t *out_count)
{
    const char *at = line_needs(line).ptr;
    const char *end = at + line->needs_len;
    size_t count = 0;
    while (at < end) {
        struct drv_str name;
        uint64_t wanted;
        at = needs_next(at, &name, &wanted);
        const struct drv_str *found = bsearch(&name, class->resources, class->resource_count,
                                              sizeof name, name_compare);
        if (found == NULL) {
            return false;
        }
        out_needs[count++] = (struct need){.resource = (uint64_t)(found - class->resources),
                                           .count = wanted};
    }
    *out_count = count;
    return true;
}

bool class_fits(const struct core *core, const struct class *class, const struct line *line)
{
    return class_offer(class, line->type) != NULL && class_takes(core, class, line);
}

/* --- what is ready ----------------------------------------------------------------------- */

void line_wake(struct core *core, struct line *line)
{
    if (core->config.defects.stall_ready && core->arrival % 8 == 0) {
        return; /* defect: work that nobody sees */
    }
    DRV_LIST_EACH(link, &line->fits)
    {
        fit_enter(core, DRV_LIST_ITEM(link, struct fit, in_line));
    }
}

void class_touch(struct core *core, struct class *class)
{
    if (!drv_list_is_linked(&class->dirty)) {
        drv_list_push_back(&core->dirty_classes, &class->dirty);
    }
}

void class_unpark(struct core *core, struct class *class)
{
    struct drv_list *link;
    class->has_room = false;
    while ((link = drv_list_pop_front(&class->parked)) != NULL) {
        fit_enter(core, DRV_LIST_ITEM(link, struct fit, parked));
    }
}
