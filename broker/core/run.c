/*
 * run.c: the elements of one ITEMS message: taking them in, handing them out.
 */
#include "array.h"
#include "broker.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

/* Values that are at least this long and came as chunks are kept by reference. */
enum { RUN_SHARE_MIN = 4096 };

static bool item_is_large(const struct drv_val *val)
{
    return !val->is_nil && val->data != NULL && val->len >= RUN_SHARE_MIN;
}

static size_t item_type_len(const struct drv_val *val)
{
    return val->is_nil || val->content_type.ptr == NULL ? 0 : val->content_type.len;
}

struct drv_val element_payload(const struct array *array, const struct element *element)
{
    const struct run *run = array->runs[element->run];
    struct drv_val val = {.is_nil = (element->flags & ELEMENT_NIL) != 0};
    if (val.is_nil || element->flags & ELEMENT_FREED) {
        val.is_nil = true;
        return val;
    }
    if (element->flags & ELEMENT_LARGE) {
        return body_val(run->large[element->offset]);
    }
    const uint8_t *at = run->data->bytes + element->offset;
    if (element->type_len > 0) {
        val.content_type = str_of((const char *)at, element->type_len);
    }
    val.bytes = at + element->type_len;
    val.len = element->len;
    return val;
}

bool array_has_same(const struct core *core, const struct array *array, uint32_t index,
                    const struct drv_val *val)
{
    const struct element *element = array_element(array, index);
    if (element->len != val->len || ((element->flags & ELEMENT_NIL) != 0) != val->is_nil) {
        return false;
    }
    if (element->flags & ELEMENT_FREED) {
        return element->offset == (uint32_t)core_stable_hash(core, val->bytes, val->len);
    }
    struct drv_val kept = element_payload(array, element);
    return val_equals(&kept, val);
}

/* --- room -------------------------------------------------------------------------------- */

static bool array_reserve_pages(struct core *core, struct array *array, uint32_t end)
{
    uint32_t count = (end + ARRAY_PAGE - 1) / ARRAY_PAGE;
    if (count > array->page_count) {
        struct element **pages = realloc(array->pages, count * sizeof *pages);
        if (pages == NULL) {
            return false;
        }
        for (uint32_t i = array->page_count; i < count; i++) {
            pages[i] = NULL;
        }
        core->memory_bytes += (count - array->page_count) * sizeof *pages;
        array->pages = pages;
        array->page_count = count;
    }
    return true;
}

bool array_reserve_elements(struct core *core, struct array *array, uint32_t first,
                            uint32_t count)
{
    if (!array_reserve_pages(core, array, first + count)) {
        return false;
    }
    for (uint32_t page = first / ARRAY_PAGE; page <= (first + count - 1) / ARRAY_PAGE; page++) {
        if (array->pages[page] == NULL) {
            array->pages[page] = core_alloc(core, ARRAY_PAGE * sizeof(struct element));
        }
        if (array->pages[page] == NULL) {
            return false;
        }
    }
    return true;
}

bool array_reserve_order(struct core *core, struct array *array, uint32_t count)
{
    uint32_t pages = (count + ARRAY_PAGE - 1) / ARRAY_PAGE;
    while (array->order_count < pages) {
        if ((array->order_count & (array->order_count + 1)) == 0) {
            size_t room = 2 * ((size_t)array->order_count + 1);
            uint32_t **order = realloc(array->order, room * sizeof *order);
            if (order == NULL) {
                return false;
            }
            array->order = order;
        }
        uint32_t *page = core_alloc(core, ARRAY_PAGE * sizeof *page);
        if (page == NULL) {
            return false;
        }
        array->order[array->order_count++] = page;
    }
    return true;
}

bool array_reserve_run(struct core *core, struct array *array)
{
    if (array->run_count < array->run_capacity) {
        return true;
    }
    uint32_t capacity = array->run_capacity == 0 ? 4 : array->run_capacity * 2;
    struct run **runs = realloc(array->runs, capacity * sizeof *runs);
    if (runs == NULL) {
        return false;
    }
    core->memory_bytes += (capacity - array->run_capacity) * sizeof *runs;
    array->runs = runs;
    array->run_capacity = capacity;
    return true;
}

struct run *run_new(struct core *core, struct array *array, size_t bytes, uint32_t large)
{
    struct run *run = core_alloc(core, sizeof *run);
    if (run == NULL) {
        return NULL;
    }
    run->data = body_new_room(core, bytes);
    run->large = core_alloc(core, large * sizeof(struct body *));
    if (run->data == NULL || run->large == NULL || !timer_init(core, &run->timer, TIMER_RUN)) {
        body_release(core, &run->data);
        core_free(core, run->large, large * sizeof(struct body *));
        core_free(core, run, sizeof *run);
        return NULL;
    }
    run->large_count = large;
    run->task = array->task;
    place_init(&run->place, PLACE_RUN);
    return run;
}

static struct run *run_for(struct core *core, struct array *array, const struct drv_val *items,
                           uint32_t count)
{
    size_t bytes = 0;
    uint32_t large = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (item_is_large(&items[i])) {
            large++;
        } else {
            bytes += items[i].is_nil ? 0 : items[i].len + item_type_len(&items[i]);
        }
    }
    return run_new(core, array, bytes, large);
}

/* Copies the values. False when out of memory. */
static bool run_fill(struct core *core, struct run *run, const struct drv_val *items,
                     struct element *records)
{
    uint32_t offset = 0, large = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct drv_val *val = &items[i];
        struct element *record = &records[i];
        record->run = run->number;
        record->len = val->is_nil ? 0 : (uint32_t)val->len;
        if (val->is_nil) {
            record->flags = ELEMENT_NIL;
        } else if (item_is_large(val)) {
            record->flags = ELEMENT_LARGE;
            record->offset = large;
            if (body_new(core, val, &run->large[large++])) {
                return false;
            }
        } else {
            record->type_len = (uint8_t)item_type_len(val);
            record->offset = offset;
            if (record->type_len > 0) {
                memcpy(run->data->bytes + offset, val->content_type.ptr, record->type_len);
            }
            if (val->len > 0) {
                memcpy(run->data->bytes + offset + record->type_len, val->bytes, val->len);
            }
            offset += record->type_len + record->len;
        }
    }
    return true;
}

/* --- taking in --------------------------------------------------------------------------- */

/* Its end of waiting: of the delay, or of all patience. */
static void run_arm(struct core *core, struct run *run)
{
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    int64_t expires_us = numbers->expire_us > 0 ? run->arrived_us + numbers->expire_us
                                                : INT64_MAX;
    int64_t due_us = run->is_delayed ? run->arrived_us + numbers->delay_us : INT64_MAX;
    due_us = expires_us < due_us ? expires_us : due_us;
    if (due_us != INT64_MAX) {
        timer_arm(core, &run->timer, due_us);
    }
}

/* Into line, or asleep until the delay is over. */
static void run_enter(struct core *core, struct run *run)
{
    if (!run->is_delayed) {
        line_push(core, run->task->spec->line, &run->place);
        core->arrival += run->count; /* one number for each element */
    }
    run_arm(core, run);
}

void run_restore(struct core *core, struct run *run)
{
    run->next = run->first;
    run_skip_taken(run);
    if (run->waiting == 0) {
        return;
    }
    if (!run->is_delayed && run->place.arrival > 0) {
        line_restore(core, run->task->spec->line, &run->place);
    } else if (!run->is_delayed) {
        line_push(core, run->task->spec->line, &run->place);
        core->arrival += run->count;
    }
    run_arm(core, run);
}

static void run_begin(struct core *core, struct run *run)
{
    struct array *array = run->task->array;
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    run->arrived_us = core->now_us;
    run->is_delayed = numbers->delay_us > 0;
    run->waiting = run->live = run->count;
    run->next = run->first;
    for (uint32_t i = 0; i < run->count; i++) {
        struct element *element =
            &array->pages[(run->first + i) / ARRAY_PAGE][(run->first + i) % ARRAY_PAGE];
        struct item item = {array->task, &element->unit, run->first + i};
        item_set_state(core, &item,
                       run->is_delayed ? DROVER_STATE_DELAYED : DROVER_STATE_QUEUED);
        tomb_revive(core, &item);
        effects_record_item(core, CORE_RECORD_SUBMIT, &item, NULL);
    }
    run_enter(core, run);
    save_run(core, run);
    for (uint32_t i = 0; drv_table_count(&core->parked) > 0 && i < run->count; i++) {
        struct item item = array_item(array, run->first + i);
        (void)park_adopt(core, &item);
    }
}

drover_status array_add(struct core *core, struct array *array, uint32_t first,
                        const struct drv_val *items, uint32_t count)
{
    struct element *records = effects_alloc(core, count, sizeof *records);
    if (records == NULL || !array_reserve_elements(core, array, first, count) ||
        !array_reserve_order(core, array, array->count + count) ||
        !array_reserve_run(core, array)) {
        return DROVER_NOMEM;
    }
    struct run *run = run_for(core, array, items, count);
    if (run == NULL) {
        return DROVER_NOMEM;
    }
    run->first = first;
    run->count = count;
    run->number = array->run_count;
    if (!run_fill(core, run, items, records)) {
        run_free(core, run);
        return DROVER_NOMEM;
    }
    array->runs[array->run_count++] = run;
    for (uint32_t i = 0; i < count; i++) {
        array->pages[(first + i) / ARRAY_PAGE][(first + i) % ARRAY_PAGE] = records[i];
    }
    array->count += count;
    array->index_end = array->index_end > first + count ? array->index_end : first + count;
    run_begin(core, run);
    return DROVER_OK;
}

void run_free(struct core *core, struct run *run)
{
    line_remove(run->task->spec->line, &run->place);
    timer_fini(core, &run->timer);
    body_release(core, &run->data);
    for (uint32_t i = 0; i < run->large_count; i++) {
        body_release(core, &run->large[i]);
    }
    core_free(core, run->large, run->large_count * sizeof(struct body *));
    core_free(core, run, sizeof *run);
}

/* --- waiting ----------------------------------------------------------------------------- */

static void run_expire(struct core *core, struct run *run)
{
    struct array *array = run->task->array;
    while (run->waiting > 0) {
        struct item item = array_item(array, run->next);
        item_expire(core, &item);
    }
}

void run_due(struct core *core, struct run *run)
{
    const struct spec_numbers *numbers = &run->task->spec->numbers;
    core->timers.extra = run->waiting;
    if (numbers->expire_us > 0 && run->arrived_us + numbers->expire_us <= core->now_us) {
        run_expire(core, run);
        return;
    }
    run->is_delayed = false;
    for (uint32_t index = run->next; index < run->first + run->count; index++) {
        struct item item = array_item(run->task->array, index);
        if (item.unit->state == DROVER_STATE_DELAYED && item.unit->lease == NULL) {
            item_set_state(core, &item, DROVER_STATE_QUEUED);
            event_item(core, DRV_EVENT_TASK_QUEUED, &item);
        }
    }
    run_enter(core, run);
    save_run_due(core, run);
}

bool run_take(struct core *core, struct run *run, struct item *out_item)
{
    struct array *array = run->task->array;
    DRV_ASSERT(run->waiting > 0);
    *out_item = array_item(array, run->next);
    struct lease *lease = lease_new(core, out_item);
    if (lease == NULL) {
        return false;
    }
    lease->place.arrival = run->place.arrival;
    element_mark_taken(core, array, array_element(array, run->next));
    return true;
}
