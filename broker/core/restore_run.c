/*
 * restore_run.c: reads the records of runs; see save_task.c.
 */
#include "broker.h"
#include "check.h"
#include "restore.h"
#include "save_parts.h"

#include <string.h>

/* Values from here on get a body of their own, so that they go when their element has ended. */
enum { RUN_OWN_MIN = 4096 };

bool restore_element(struct restore *restore, const drover_id *id, uint32_t index,
                     struct item *out_item)
{
    if (index >= DRV_ARRAY_MAX) {
        return restore_wrong(restore, "an element beyond any array");
    }
    struct array *array = restore_array(restore, id);
    if (array == NULL) {
        return false;
    }
    struct element *element = array_element(array, index);
    struct run *run = element != NULL ? NULL : array_run(array, index);
    if (run != NULL) {
        element = run_give_record(restore->core, run, index); /* its record is whole */
    } else if (element == NULL && array_reserve_record(restore->core, array, index)) {
        element = &array->pages[index / ARRAY_PAGE].elements[index % ARRAY_PAGE];
        element->run = RUN_NONE;
        array->claimed++;
        array->index_end = array->index_end > index + 1 ? array->index_end : index + 1;
    }
    if (element == NULL) {
        return false;
    }
    *out_item = (struct item){array->task, &element->unit, index};
    return true;
}

/* --- values ------------------------------------------------------------------------------ */

static bool has_bytes(const struct value_size *size)
{
    return !(size->flags & (ELEMENT_NIL | ELEMENT_FREED));
}

/* The sizes; the bytes that follow are theirs exactly. */
static bool read_sizes(struct restore *restore, struct record_reader *reader,
                       struct value_size *sizes, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct value_size *size = &sizes[i];
        size->flags = record_u8(reader) & (ELEMENT_NIL | ELEMENT_FREED);
        size->type_len = (uint8_t)record_uint_max(reader, UINT8_MAX);
        size->len = (uint32_t)record_uint_max(reader, DRV_PAYLOAD_MAX);
        size->hash = size->flags & ELEMENT_FREED ? record_u32(reader) : 0;
        bytes += has_bytes(size) ? (uint64_t)size->type_len + size->len : 0;
        if (has_bytes(size) && size->len >= RUN_OWN_MIN) {
            size->flags |= ELEMENT_LARGE;
        }
    }
    return (!reader->failed && bytes == record_left(reader)) ||
           restore_wrong(restore, "values that do not fill their record");
}

static struct drv_val next_value(struct record_reader *reader, const struct value_size *size)
{
    struct drv_val val = {.is_nil = !has_bytes(size)};
    if (val.is_nil) {
        return val;
    }
    const char *type = (const char *)record_raw(reader, size->type_len);
    if (size->type_len > 0) {
        val.content_type = str_of(type, size->type_len);
    }
    val.len = size->len;
    val.bytes = record_raw(reader, size->len);
    return val;
}

static bool put_values(struct core *core, struct run *run, const struct value_size *sizes,
                       struct record_reader *reader)
{
    struct spot spot = run->spot;
    for (uint32_t i = 0; i < run->count; i++) {
        struct drv_val val = next_value(reader, &sizes[i]);
        if (run_put_value(core, run, &spot, &val)) {
            return false;
        }
    }
    return true;
}

/* The record of an element that came before the run, or whose value is not kept any more. */
static bool fill_record(struct core *core, struct run *run, uint32_t index,
                        const struct value_size *size)
{
    struct array *array = run->task->array;
    struct element *record = array_element(array, index);
    if (record != NULL) {
        struct unit unit = record->unit;
        *record = run_element(run, index);
        record->unit = unit;
        run->shared--;
        run->shared_bytes -= record->len;
    } else if (size->flags & ELEMENT_FREED) {
        record = run_give_record(core, run, index);
    }
    if (record != NULL && size->flags & ELEMENT_FREED) {
        record->flags = size->flags;
        record->type_len = size->type_len;
        record->offset = size->hash;
    }
    return record != NULL || !(size->flags & ELEMENT_FREED);
}

/* --- runs -------------------------------------------------------------------------------- */

struct run_head {
    bool is_delayed, has_ended;
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

static struct value_size *sizes_of(struct restore *restore, uint32_t count)
{
    struct value_size *sizes;
    drv_buffer_clear(&restore->scratch);
    if (drv_buffer_reserve(&restore->scratch, count * sizeof *sizes)) {
        return NULL;
    }
    sizes = (struct value_size *)(void *)restore->scratch.bytes;
    memset(sizes, 0, count * sizeof *sizes);
    return sizes;
}

static struct run *run_add(struct restore *restore, struct array *array,
                           const struct run_head *head, struct record_reader *reader)
{
    struct core *core = restore->core;
    struct value_size *sizes = sizes_of(restore, head->count);
    if (sizes == NULL || !array_reserve_run(core, array, head->first, head->count) ||
        !read_sizes(restore, reader, sizes, head->count)) {
        return NULL;
    }
    struct run *run = run_new(core, array, head->first, sizes, head->count);
    if (run == NULL) {
        return NULL;
    }
    if (!put_values(core, run, sizes, reader)) {
        run_free(core, run);
        return NULL;
    }
    array_insert_run(array, run);
    drv_list_push_back(&restore->order, &run->place.link);
    run->unit.state = DROVER_STATE_QUEUED; /* or delayed: at the end */
    for (uint32_t i = 0; i < run->count; i++) {
        if (!fill_record(core, run, run->first + i, &sizes[i])) {
            return NULL;
        }
    }
    return run;
}

/* How all has ended that has no record. */
static bool read_end(struct restore *restore, struct unit *end, struct record_reader *reader)
{
    end->state = record_u8(reader);
    int64_t ended_us = restore_instant(restore, record_fixed(reader));
    if (end->state <= DROVER_STATE_SUCCEEDED || end->state > DROVER_STATE_EXPIRED) {
        return restore_wrong(restore, "elements in an impossible state");
    }
    struct failure *error = restore_failure(restore, reader);
    struct more *more = error == NULL ? NULL : unit_more(restore->core, end);
    if (more == NULL) {
        failure_free(restore->core, &error);
        return false;
    }
    more->error = error;
    more->ended_us = ended_us;
    return true;
}

/* What has ended stays so. */
static bool run_finish(struct restore *restore, struct run *run, struct unit *end)
{
    if (unit_is_terminal(&run->unit) && run->unit.state != end->state) {
        unit_drop_more(restore->core, end);
        return restore_wrong(restore, "elements in an impossible state");
    }
    unit_drop_more(restore->core, &run->unit);
    run->unit.more = end->more;
    run->unit.state = end->state;
    return true;
}

static bool read_head(struct restore *restore, struct record_reader *reader,
                      struct run_head *head)
{
    uint8_t bits = record_u8(reader);
    head->is_delayed = (bits & RUN_DELAYED) != 0;
    head->has_ended = (bits & RUN_ENDED) != 0;
    head->count = (uint32_t)record_uint_max(reader, DRV_BATCH_MAX);
    head->arrival = record_uint_max(reader, PLACE_ARRIVAL_MAX);
    head->arrived_us = restore_instant(restore, record_fixed(reader));
    return (head->count > 0 && head->first < DRV_ARRAY_MAX &&
            head->count <= DRV_ARRAY_MAX - head->first) ||
           restore_wrong(restore, "elements beyond any array");
}

/* The run of the record; NULL: wrong, or out of memory. Of a copy the values are the same. */
static struct run *run_of_record(struct restore *restore, struct array *array,
                                 const struct run_head *head, struct record_reader *reader)
{
    struct run *run = array_run(array, head->first);
    if (run == NULL && array_is_free(array, head->first, head->count)) {
        return run_add(restore, array, head, reader);
    }
    if (run == NULL || run->first != head->first || run->count != head->count) {
        (void)restore_wrong(restore, "elements that came twice");
        return NULL;
    }
    return run;
}

bool restore_run(struct restore *restore, const struct core_saved *saved,
                 struct record_reader *reader)
{
    struct run_head head = {.first = saved->index};
    struct unit end = {.state = 0}; /* what the record says */
    if (!read_head(restore, reader, &head) ||
        (head.has_ended && !read_end(restore, &end, reader))) {
        return false;
    }
    struct array *array = restore_array(restore, &saved->id);
    struct run *run = array == NULL ? NULL : run_of_record(restore, array, &head, reader);
    if (run == NULL) {
        unit_drop_more(restore->core, &end);
        return false;
    }
    run_set(restore, run, &head);
    return !head.has_ended || run_finish(restore, run, &end);
}

/* A run that begins with the element; NULL: there is none. */
static struct run *run_named(const struct restore *restore, const struct core_saved *saved)
{
    struct task *task = task_find(restore->core, &saved->id);
    struct run *run = task == NULL || !task_is_array(task)
                          ? NULL
                          : array_run(task->array, saved->index);
    return run != NULL && run->first == saved->index ? run : NULL;
}

bool restore_run_end(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    struct run *run = run_named(restore, saved);
    struct unit end = {.state = 0};
    return run == NULL || /* as below */
           (read_end(restore, &end, reader) && run_finish(restore, run, &end));
}

bool restore_run_due(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    uint64_t arrival = record_uint_max(reader, PLACE_ARRIVAL_MAX);
    struct run *run = run_named(restore, saved);
    if (run == NULL) {
        return true; /* a younger copy follows, or it is forgotten */
    }
    struct run_head head = {
        .count = run->count, .arrival = arrival, .arrived_us = run->arrived_us};
    uint16_t mark = run->mark;
    run_set(restore, run, &head);
    run->mark = mark;
    return true;
}
