/*
 * restore_run.c: reads the records of runs; see save_task.c.
 */
#include "broker.h"
#include "check.h"
#include "restore.h"
#include "save_parts.h"

/* Values from here on get a body of their own, so that they go when their element has ended. */
enum { RUN_OWN_MIN = 4096 };

bool restore_element(struct restore *restore, const drover_id *id, uint32_t index,
                     struct item *out_item)
{
    if (index >= DRV_ARRAY_MAX) {
        return restore_wrong(restore, "an element beyond any array");
    }
    struct array *array = restore_array(restore, id);
    if (array == NULL || !array_reserve_elements(restore->core, array, index, 1)) {
        return false;
    }
    struct element *element = &array->pages[index / ARRAY_PAGE][index % ARRAY_PAGE];
    if (element->unit.state == 0) {
        element->run = RUN_NONE;
        array->index_end = array->index_end > index + 1 ? array->index_end : index + 1;
    }
    *out_item = (struct item){array->task, &element->unit, index};
    return true;
}

/* --- values ------------------------------------------------------------------------------ */

/* What the record says of one value. */
struct described {
    uint32_t len, hash;
    uint8_t flags, type_len;
};

static bool has_bytes(const struct described *value)
{
    return !(value->flags & (ELEMENT_NIL | ELEMENT_FREED));
}

static bool is_own(const struct described *value)
{
    return has_bytes(value) && value->len >= RUN_OWN_MIN;
}

/* The sizes; the bytes that follow are theirs exactly. */
static bool read_values(struct restore *restore, struct record_reader *reader,
                        struct described *values, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct described *value = &values[i];
        value->flags = record_u8(reader) & (ELEMENT_NIL | ELEMENT_FREED);
        value->type_len = (uint8_t)record_uint_max(reader, UINT8_MAX);
        value->len = (uint32_t)record_uint_max(reader, DRV_PAYLOAD_MAX);
        value->hash = value->flags & ELEMENT_FREED ? record_u32(reader) : 0;
        bytes += has_bytes(value) ? (uint64_t)value->type_len + value->len : 0;
    }
    return (!reader->failed && bytes == record_left(reader)) ||
           restore_wrong(restore, "values that do not fill their record");
}

static struct run *run_make(struct core *core, struct array *array,
                            const struct described *values, uint32_t count)
{
    size_t bytes = 0;
    uint32_t large = 0;
    for (uint32_t i = 0; i < count; i++) {
        large += is_own(&values[i]);
        bytes += has_bytes(&values[i]) && !is_own(&values[i])
                     ? (size_t)values[i].type_len + values[i].len
                     : 0;
    }
    return run_new(core, array, bytes, large);
}

static struct drv_val next_value(struct record_reader *reader, const struct described *value)
{
    struct drv_val val = {.is_nil = false, .len = value->len};
    const char *type = (const char *)record_raw(reader, value->type_len);
    if (value->type_len > 0) {
        val.content_type = str_of(type, value->type_len);
    }
    val.bytes = record_raw(reader, value->len);
    return val;
}

/* Everything an element has from its run. */
static bool fill_element(struct core *core, struct run *run, struct element *element,
                         const struct described *value, struct record_reader *reader,
                         uint32_t *offset, uint32_t *large)
{
    element->run = run->number;
    element->len = value->len;
    element->type_len = value->type_len;
    element->flags = value->flags;
    if (value->flags & ELEMENT_FREED) {
        element->offset = value->hash;
    }
    if (!has_bytes(value)) {
        return true;
    }
    struct drv_val val = next_value(reader, value);
    if (is_own(value)) {
        element->flags |= ELEMENT_LARGE;
        element->offset = *large;
        return body_new(core, &val, &run->large[(*large)++]) == DROVER_OK;
    }
    element->offset = *offset;
    if (value->type_len > 0) {
        memcpy(run->data->bytes + *offset, val.content_type.ptr, value->type_len);
    }
    if (value->len > 0) {
        memcpy(run->data->bytes + *offset + value->type_len, val.bytes, value->len);
    }
    *offset += value->type_len + value->len;
    return true;
}

static bool fill_run(struct restore *restore, struct run *run, const struct described *values,
                     struct record_reader *reader)
{
    struct array *array = run->task->array;
    uint32_t offset = 0, large = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        uint32_t index = run->first + i;
        struct element *element = &array->pages[index / ARRAY_PAGE][index % ARRAY_PAGE];
        if (element->unit.state != 0 && element->run != RUN_NONE) {
            return restore_wrong(restore, "elements that came twice");
        }
        if (element->unit.state == 0) {
            element->unit.state = DROVER_STATE_QUEUED; /* or delayed with its run: at the end */
        }
        if (!fill_element(restore->core, run, element, &values[i], reader, &offset, &large)) {
            return false;
        }
    }
    return true;
}

/* --- runs -------------------------------------------------------------------------------- */

struct run_head {
    bool is_delayed;
    uint32_t first, count;
    uint64_t arrival;
    int64_t arrived_us;
};

static void run_set(struct restore *restore, struct run *run, const struct run_head *head)
{
    struct core *core = restore->core;
    run->is_delayed = head->is_delayed;
    place_arrive(&run->place, head->arrival);
    run->arrived_us = head->arrived_us;
    run->mark = restore->mark;
    if (head->arrival > 0 && core->arrival < head->arrival + head->count) {
        core->arrival = head->arrival + head->count;
    }
}

static bool run_add(struct restore *restore, struct array *array, const struct run_head *head,
                    struct record_reader *reader)
{
    struct core *core = restore->core;
    struct described *values;
    drv_buffer_clear(&restore->scratch);
    if (drv_buffer_reserve(&restore->scratch, head->count * sizeof *values)) {
        return false;
    }
    values = (struct described *)(void *)restore->scratch.bytes;
    if (!array_reserve_elements(core, array, head->first, head->count) ||
        !array_reserve_order(core, array, array->count + head->count) ||
        !array_reserve_run(core, array)) {
        return false;
    }
    if (!read_values(restore, reader, values, head->count)) {
        return false;
    }
    struct run *run = run_make(core, array, values, head->count);
    if (run == NULL) {
        return false;
    }
    run->first = head->first;
    run->count = head->count;
    run->number = array->run_count;
    array->runs[array->run_count++] = run;
    drv_list_push_back(&restore->order, &run->place.link);
    run_set(restore, run, head);
    uint32_t end = head->first + head->count;
    array->index_end = array->index_end > end ? array->index_end : end;
    array->count += head->count;
    return fill_run(restore, run, values, reader);
}

/* The run that gave this element; NULL: none did. */
static struct run *run_of(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    return element == NULL || element->run == RUN_NONE ? NULL : array->runs[element->run];
}

bool restore_run(struct restore *restore, const struct core_saved *saved,
                 struct record_reader *reader)
{
    struct run_head head = {.first = saved->index};
    head.is_delayed = record_u8(reader) & RUN_DELAYED;
    head.count = (uint32_t)record_uint_max(reader, DRV_BATCH_MAX);
    head.arrival = record_uint_max(reader, PLACE_ARRIVAL_MAX);
    head.arrived_us = restore_instant(restore, record_fixed(reader));
    if (head.count == 0 || head.first >= DRV_ARRAY_MAX ||
        head.count > DRV_ARRAY_MAX - head.first) {
        return restore_wrong(restore, "elements beyond any array");
    }
    struct array *array = restore_array(restore, &saved->id);
    if (array == NULL) {
        return false;
    }
    struct run *known = run_of(array, head.first);
    if (known == NULL) {
        return run_add(restore, array, &head, reader);
    }
    if (known->first != head.first || known->count != head.count) {
        return restore_wrong(restore, "elements that came twice");
    }
    run_set(restore, known, &head); /* a copy: its values are the same */
    return true;
}

bool restore_run_due(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    struct task *task = task_find(restore->core, &saved->id);
    struct run *run = task == NULL || !task_is_array(task) ? NULL
                                                           : run_of(task->array, saved->index);
    uint64_t arrival = record_uint_max(reader, PLACE_ARRIVAL_MAX);
    if (run == NULL || run->first != saved->index) {
        return true; /* a younger copy follows, or it is forgotten */
    }
    struct run_head head = {false, run->first, run->count, arrival, run->arrived_us};
    uint16_t mark = run->mark;
    run_set(restore, run, &head);
    run->mark = mark;
    return true;
}
