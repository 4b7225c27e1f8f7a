#include "queue.h"

#include "broker.h"
#include "check.h"
#include "history_queue.h"

#include <stdlib.h>
#include <string.h>

/* The moving mean of run times: each new one weighs 1/8. */
enum { RUN_TIME_WEIGHT = 8 };

static bool queue_is(const void *entry, const void *key)
{
    return str_equals(queue_name(entry), *(const struct drv_str *)key);
}

static bool type_is(const void *entry, const void *key)
{
    return str_equals(type_name(entry), *(const struct drv_str *)key);
}

static bool line_is(const void *entry, const void *key)
{
    const struct line *line = entry;
    const struct line_key *wanted = key;
    return line->queue == wanted->queue && line->type == wanted->type &&
           line->priority == wanted->priority &&
           str_equals(line_require(line), wanted->require) &&
           str_equals(line_needs(line), wanted->needs) &&
           str_equals(line_fairness(line), wanted->fairness);
}

void queue_tables_init(struct core *core)
{
    drv_table_init(&core->queues, core->config.seed, queue_is);
    drv_table_init(&core->types, core->config.seed, type_is);
    drv_table_init(&core->lines, core->config.seed, line_is);
    tenant_table_init(core);
}

/* --- queues ------------------------------------------------------------------------------ */

struct queue *queue_find(const struct core *core, struct drv_str name)
{
    uint64_t hash = drv_table_hash(&core->queues, name.ptr, name.len);
    return drv_table_find(&core->queues, hash, &name);
}

static struct queue *queue_new(struct core *core, struct drv_str name)
{
    struct queue *queue = core_alloc(core, sizeof *queue + name.len + 1);
    if (queue == NULL) {
        return NULL;
    }
    memcpy(queue->name, name.ptr, name.len);
    queue->name_len = (uint8_t)name.len;
    queue->references = 0;
    queue->weight = 1;
    queue->max_count = core->config.queue_count_max;
    queue->max_bytes = core->config.queue_bytes_max;
    drv_list_init(&queue->lines);
    drv_list_init(&queue->shares);
    drv_list_init(&queue->sweeps);
    uint64_t hash = drv_table_hash(&core->queues, name.ptr, name.len);
    if (drv_table_insert(&core->queues, hash, queue)) {
        core_free(core, queue, sizeof *queue + name.len + 1);
        return NULL;
    }
    queue_history_join(core, queue);
    return queue;
}

struct queue *queue_ensure(struct core *core, struct drv_str name)
{
    struct queue *queue = queue_find(core, name);
    if (queue == NULL) {
        queue = queue_new(core, name);
    }
    if (queue != NULL) {
        queue->references++;
    }
    return queue;
}

void queue_release(struct core *core, struct queue *queue)
{
    if (--queue->references > 0) {
        return;
    }
    queue_history_leave(core, queue);
    times_free(&core->history.times, &queue->times);
    throttle_free(core, queue);
    struct drv_str name = queue_name(queue);
    uint64_t hash = drv_table_hash(&core->queues, name.ptr, name.len);
    drv_table_remove_entry(&core->queues, hash, queue);
    core->memory_bytes -= sizeof *queue + name.len + 1;
    effects_bury(core, &queue->corpse); /* messages show its name */
}

void queue_keep(struct core *core, struct queue *queue, bool keep)
{
    if (keep == queue->has_settings) {
        return;
    }
    queue->has_settings = keep;
    if (keep) {
        queue->references++;
    } else {
        queue_release(core, queue);
    }
}

void queue_pause(struct core *core, struct queue *queue, bool pause)
{
    queue->is_paused = pause;
    DRV_LIST_EACH(link, &queue->shares)
    {
        struct share *share = DRV_LIST_ITEM(link, struct share, in_queue);
        if (pause) {
            share_rest(share);
        } else {
            share_wake(core, share);
        }
    }
}

/* --- types ------------------------------------------------------------------------------- */

struct type *type_find(const struct core *core, struct drv_str name)
{
    uint64_t hash = drv_table_hash(&core->types, name.ptr, name.len);
    return drv_table_find(&core->types, hash, &name);
}

static struct type *type_new(struct core *core, struct drv_str name)
{
    struct type *type = core_alloc(core, sizeof *type + name.len + 1);
    if (type == NULL) {
        return NULL;
    }
    memcpy(type->name, name.ptr, name.len);
    type->name_len = (uint8_t)name.len;
    type->run_us = -1;
    drv_list_init(&type->lines);
    drv_list_init(&type->offers);
    uint64_t hash = drv_table_hash(&core->types, name.ptr, name.len);
    if (drv_table_insert(&core->types, hash, type)) {
        core_free(core, type, sizeof *type + name.len + 1);
        return NULL;
    }
    return type;
}

struct type *type_ensure(struct core *core, struct drv_str name)
{
    struct type *type = type_find(core, name);
    if (type == NULL) {
        type = type_new(core, name);
    }
    if (type != NULL) {
        type->references++;
    }
    return type;
}

void type_release(struct core *core, struct type *type)
{
    if (--type->references > 0) {
        return;
    }
    times_free(&core->history.times, &type->times);
    struct drv_str name = type_name(type);
    uint64_t hash = drv_table_hash(&core->types, name.ptr, name.len);
    drv_table_remove_entry(&core->types, hash, type);
    core->memory_bytes -= sizeof *type + name.len + 1;
    effects_bury(core, &type->corpse); /* messages show its name */
}

void type_measure(struct type *type, uint64_t run_us)
{
    int64_t run = run_us > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)run_us;
    if (type->run_us < 0) {
        type->run_us = run;
    } else {
        type->run_us += (run - type->run_us) / RUN_TIME_WEIGHT;
    }
}

/* --- lines ------------------------------------------------------------------------------- */

static bool place_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    return DRV_CONTAINER_OF((struct drv_heap_node *)a, struct place, node)->arrival <
           DRV_CONTAINER_OF((struct drv_heap_node *)b, struct place, node)->arrival;
}

static uint64_t line_hash(const struct core *core, const struct line_key *key)
{
    struct {
        const struct queue *queue;
        const struct type *type;
        int64_t priority;
    } fixed = {key->queue, key->type, key->priority};
    const struct drv_str texts[] = {key->require, key->needs, key->fairness};
    uint64_t hash = drv_table_hash(&core->lines, &fixed, sizeof fixed);
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        uint64_t part = drv_table_hash(&core->lines, texts[i].ptr, texts[i].len);
        hash = (hash << 1 | hash >> 63) ^ part; /* what stands where matters */
    }
    return hash;
}

static size_t line_size(const struct line *line)
{
    return sizeof *line + line->require_len + line->needs_len + line->fairness_len;
}

static char *put_text(char *at, struct drv_str text, uint32_t *out_len)
{
    *out_len = (uint32_t)text.len;
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    return at + text.len;
}

static struct line *line_new(struct core *core, const struct line_key *key, uint64_t hash)
{
    size_t size = sizeof(struct line) + key->require.len + key->needs.len + key->fairness.len;
    struct line *line = core_alloc(core, size);
    if (line == NULL) {
        return NULL;
    }
    line->queue = (struct queue *)key->queue;
    line->type = (struct type *)key->type;
    line->priority = key->priority;
    line->hash = hash;
    char *at = put_text(line->text, key->require, &line->require_len);
    at = put_text(at, key->needs, &line->needs_len);
    (void)put_text(at, key->fairness, &line->fairness_len);
    drv_list_init(&line->fits);
    drv_list_init(&line->fifo);
    drv_heap_init(&line->returned, place_before);
    if (key->fairness.len > 0) {
        line->tenant = tenant_ensure(core, line->queue, key->fairness);
    }
    bool is_whole = key->fairness.len == 0 || line->tenant != NULL;
    if (!is_whole || !line_fit(core, line) || drv_table_insert(&core->lines, hash, line)) {
        line_unfit(core, line);
        if (line->tenant != NULL) {
            tenant_release(core, line->tenant);
        }
        core_free(core, line, size);
        return NULL;
    }
    line->queue->references++;
    line->type->references++;
    drv_list_push_back(&line->queue->lines, &line->in_queue);
    drv_list_push_back(&line->type->lines, &line->in_type);
    return line;
}

struct line *line_ensure(struct core *core, const struct line_key *key)
{
    uint64_t hash = line_hash(core, key);
    struct line *line = drv_table_find(&core->lines, hash, key);
    if (line == NULL) {
        line = line_new(core, key, hash);
    }
    if (line != NULL) {
        line->references++;
    }
    return line;
}

void line_release(struct core *core, struct line *line)
{
    if (--line->references > 0) {
        return;
    }
    DRV_ASSERT(line_is_empty(line));
    drv_table_remove_entry(&core->lines, line->hash, line);
    line_unfit(core, line);
    if (line->tenant != NULL) {
        tenant_release(core, line->tenant);
    }
    drv_list_remove(&line->in_queue);
    drv_list_remove(&line->in_type);
    queue_release(core, line->queue);
    type_release(core, line->type);
    drv_heap_fini(&line->returned);
    core_free(core, line, line_size(line));
}

/* --- places ------------------------------------------------------------------------------ */

void place_init(struct place *place, enum place_kind kind)
{
    drv_list_init(&place->link);
    place->arrival = 0;
    place->kind = (uint64_t)kind & 0xfU;
    place->where = PLACE_OUT;
}

void line_push(struct core *core, struct line *line, struct place *place)
{
    DRV_ASSERT(place->where == PLACE_OUT);
    place_arrive(place, ++core->arrival);
    place->where = PLACE_FIFO;
    if (core->config.defects.lifo) {
        drv_list_push_front(&line->fifo, &place->link); /* defect: the last comes first */
    } else {
        drv_list_push_back(&line->fifo, &place->link);
    }
    if (line_head(line) == place) {
        line_wake(core, line);
    }
}

void line_return(struct core *core, struct line *line, struct place *place)
{
    DRV_ASSERT(place->where == PLACE_OUT && place->arrival > 0);
    if (core->config.defects.starve_one && place->arrival % 4 == 0) {
        return; /* defect: one that came back, and nobody sees it any more */
    }
    drv_heap_node_init(&place->node);
    place->where = PLACE_BACK;
    if (drv_heap_insert(&line->returned, &place->node)) {
        /* Out of memory: at the front is nearly right, losing it would be wrong. */
        place->where = PLACE_FIFO;
        drv_list_push_front(&line->fifo, &place->link);
    }
    if (line_head(line) == place) {
        line_wake(core, line);
    }
}

void line_restore(struct core *core, struct line *line, struct place *place)
{
    struct drv_list *last = drv_list_last(&line->fifo);
    if (last != NULL && DRV_LIST_ITEM(last, struct place, link)->arrival >= place->arrival) {
        line_return(core, line, place);
        return;
    }
    DRV_ASSERT(place->where == PLACE_OUT && place->arrival > 0 && line->fifo.prev != NULL);
    place->where = PLACE_FIFO;
    drv_list_push_back(&line->fifo, &place->link);
    if (line_head(line) == place) {
        line_wake(core, line);
    }
}

void line_remove(struct line *line, struct place *place)
{
    if (place->where == PLACE_FIFO) {
        drv_list_remove(&place->link);
    } else if (place->where == PLACE_BACK) {
        drv_heap_remove(&line->returned, &place->node);
    }
    drv_list_init(&place->link);
    place->where = PLACE_OUT;
    if (line->queue->aging_us > 0) {
        line_doubt(line);
    }
}

struct place *line_head(const struct line *line)
{
    struct drv_list *link = drv_list_first(&line->fifo);
    struct drv_heap_node *node = drv_heap_min(&line->returned);
    struct place *first = link == NULL ? NULL : DRV_LIST_ITEM(link, struct place, link);
    struct place *back = node == NULL ? NULL : DRV_CONTAINER_OF(node, struct place, node);
    if (first == NULL || back == NULL) {
        return first == NULL ? back : first;
    }
    return back->arrival < first->arrival ? back : first;
}

int64_t place_since_us(const struct place *place)
{
    struct place *at = (struct place *)place;
    switch ((enum place_kind)place->kind) {
    case PLACE_TASK:
        return DRV_CONTAINER_OF(at, struct task, place)->submitted_us;
    case PLACE_RUN:
        return DRV_CONTAINER_OF(at, struct run, place)->arrived_us;
    case PLACE_LEASE:
        return DRV_CONTAINER_OF(at, struct lease, place)->task->submitted_us;
    }
    DRV_UNREACHABLE();
}

int64_t place_aged_us(const struct place *place)
{
    struct place *at = (struct place *)place;
    if (place->kind == PLACE_RUN) { /* as an element of it that comes back */
        return DRV_CONTAINER_OF(at, struct run, place)->task->submitted_us;
    }
    if (place->kind == PLACE_LEASE) {
        return place_since_us(place);
    }
    const struct task *task = DRV_CONTAINER_OF(at, struct task, place);
    return task->submitted_us + task->spec->numbers.delay_us;
}

int64_t queue_oldest_us(const struct queue *queue)
{
    int64_t oldest = 0;
    DRV_LIST_EACH(link, &queue->lines)
    {
        const struct line *line = DRV_LIST_ITEM(link, struct line, in_queue);
        const struct place *head = line_head(line);
        int64_t since_us = head == NULL ? 0 : place_since_us(head);
        if (head != NULL && (oldest == 0 || since_us < oldest)) {
            oldest = since_us;
        }
    }
    return oldest;
}
