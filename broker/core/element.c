/*
 * element.c: elements of arrays: finding them, and the records that some have.
 */
#include "array.h"
#include "broker.h"
#include "check.h"

#include <stdlib.h>

/* --- finding ----------------------------------------------------------------------------- */

static struct element_page *page_of(const struct array *array, uint32_t index)
{
    uint32_t page = index / ARRAY_PAGE;
    return page < array->page_count ? &array->pages[page] : NULL;
}

struct element *array_element(const struct array *array, uint32_t index)
{
    if (index / ARRAY_PAGE >= array->page_count) {
        return NULL;
    }
    struct element *elements = array->pages[index / ARRAY_PAGE].elements;
    if (elements == NULL || elements[index % ARRAY_PAGE].unit.state == 0) {
        return NULL;
    }
    return &elements[index % ARRAY_PAGE];
}

/* Where a run with this first index stands in the page, or would: behind those before it. */
static uint32_t page_position(const struct element_page *page, uint32_t first)
{
    uint32_t low = 0, high = page->run_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (page->runs[middle]->first <= first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct run *array_run(const struct array *array, uint32_t index)
{
    const struct element_page *page = page_of(array, index);
    uint32_t position = page == NULL ? 0 : page_position(page, index);
    struct run *run = position == 0 ? NULL : page->runs[position - 1];
    return run != NULL && index - run->first < run->count ? run : NULL;
}

bool array_is_free(const struct array *array, uint32_t first, uint32_t count)
{
    uint32_t last = first + count - 1;
    for (uint32_t i = first / ARRAY_PAGE; i <= last / ARRAY_PAGE && i < array->page_count;
         i++) {
        const struct element_page *page = &array->pages[i];
        uint32_t position = page_position(page, last);
        const struct run *run = position == 0 ? NULL : page->runs[position - 1];
        if (run != NULL && run->first + run->count > first) {
            return false;
        }
    }
    return true;
}

bool array_has(const struct array *array, uint32_t index)
{
    return array_element(array, index) != NULL || array_run(array, index) != NULL;
}

struct item array_item(struct array *array, uint32_t index)
{
    struct element *element = array_element(array, index);
    struct item item = {.task = array->task, .index = index};
    if (element != NULL) {
        item.unit = &element->unit;
        return item;
    }
    struct run *run = array_run(array, index);
    DRV_ASSERT(run != NULL);
    item.unit = &run->unit;
    return item;
}

struct drv_val array_payload(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    if (element != NULL) {
        return element_payload(array, element);
    }
    struct element look = run_element(array_run(array, index), index);
    return element_payload(array, &look);
}

uint32_t array_payload_len(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    return element != NULL ? element->len : run_element(array_run(array, index), index).len;
}

int64_t array_since_us(const struct array *array, uint32_t index)
{
    const struct element *element = array_element(array, index);
    const struct run *run = element != NULL ? array->runs[element->run]
                                            : array_run(array, index);
    return run->arrived_us;
}

struct drv_val element_payload(const struct array *array, const struct element *element)
{
    const struct run *run = array->runs[element->run];
    struct drv_val val = {.is_nil = (element->flags & (ELEMENT_NIL | ELEMENT_FREED)) != 0};
    if (val.is_nil) {
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
    const struct element *record = array_element(array, index);
    struct element element = record != NULL ? *record
                                            : run_element(array_run(array, index), index);
    if (element.len != val->len || ((element.flags & ELEMENT_NIL) != 0) != val->is_nil) {
        return false;
    }
    if (element.flags & ELEMENT_FREED) {
        return element.offset == (uint32_t)core_stable_hash(core, val->bytes, val->len);
    }
    struct drv_val kept = element_payload(array, &element);
    return val_equals(&kept, val);
}

/* --- room -------------------------------------------------------------------------------- */

static bool reserve_pages(struct core *core, struct array *array, uint32_t end)
{
    uint32_t count = (end + ARRAY_PAGE - 1) / ARRAY_PAGE;
    if (count <= array->page_count) {
        return true;
    }
    struct element_page *pages = realloc(array->pages, count * sizeof *pages);
    if (pages == NULL) {
        return false;
    }
    for (uint32_t i = array->page_count; i < count; i++) {
        pages[i] = (struct element_page){0};
    }
    core->memory_bytes += (count - array->page_count) * sizeof *pages;
    array->pages = pages;
    array->page_count = count;
    return true;
}

bool array_reserve_record(struct core *core, struct array *array, uint32_t index)
{
    if (!reserve_pages(core, array, index + 1) ||
        !array_reserve_order(core, array, array->claimed + 1)) {
        return false;
    }
    struct element_page *page = page_of(array, index);
    if (page->elements == NULL) {
        page->elements = core_alloc(core, ARRAY_PAGE * sizeof *page->elements);
    }
    return page->elements != NULL;
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

/* Room for one more run in the page. */
static bool page_reserve(struct core *core, struct element_page *page)
{
    if (page->run_count < page->run_capacity) {
        return true;
    }
    uint32_t capacity = page->run_capacity == 0 ? 1 : page->run_capacity * 2U;
    struct run **runs = realloc(page->runs, capacity * sizeof *runs);
    if (runs == NULL) {
        return false;
    }
    core->memory_bytes += (capacity - page->run_capacity) * sizeof *runs;
    page->runs = runs;
    page->run_capacity = (uint16_t)capacity;
    return true;
}

bool array_reserve_run(struct core *core, struct array *array, uint32_t first, uint32_t count)
{
    if (!reserve_pages(core, array, first + count)) {
        return false;
    }
    for (uint32_t i = first / ARRAY_PAGE; i <= (first + count - 1) / ARRAY_PAGE; i++) {
        if (!page_reserve(core, &array->pages[i])) {
            return false;
        }
    }
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

void array_insert_run(struct array *array, struct run *run)
{
    uint32_t end = run->first + run->count;
    array->runs[array->run_count++] = run;
    array->count += run->count;
    array->index_end = array->index_end > end ? array->index_end : end;
    for (uint32_t i = run->first / ARRAY_PAGE; i <= (end - 1) / ARRAY_PAGE; i++) {
        struct element_page *page = &array->pages[i];
        uint32_t position = page_position(page, run->first);
        for (uint32_t at = page->run_count; at > position; at--) {
            page->runs[at] = page->runs[at - 1];
        }
        page->runs[position] = run;
        page->run_count++;
    }
}

/* --- records ----------------------------------------------------------------------------- */

/* What all of the run has ended with, for one that gets a record. False: out of memory. */
static bool copy_end(struct core *core, const struct run *run, struct unit *unit)
{
    const struct more *from = run->unit.more;
    struct drv_error error = failure_view(from->error);
    struct more *more = unit_more(core, unit);
    struct failure *failure = more == NULL ? NULL : failure_new(core, &error);
    if (failure == NULL) {
        unit_drop_more(core, unit);
        return false;
    }
    more->error = failure;
    more->ended_us = from->ended_us;
    return true;
}

struct element *run_give_record(struct core *core, struct run *run, uint32_t index)
{
    struct array *array = run->task->array;
    uint32_t page = index / ARRAY_PAGE;
    bool has_room = array->pages[page].elements != NULL &&
                    array->claimed < array->order_count * (uint32_t)ARRAY_PAGE;
    if (!has_room && !array_reserve_record(core, array, index)) {
        return NULL;
    }
    struct element *record = &array->pages[page].elements[index % ARRAY_PAGE];
    *record = run_element(run, index);
    record->unit.state = DROVER_STATE_QUEUED;
    run->shared--;
    run->shared_bytes -= record->len;
    array->claimed++;
    return record;
}

/* A record for what has ended with its run, and goes on being recorded by itself. */
static struct element *own_ended(struct core *core, struct run *run, uint32_t index)
{
    struct array *array = run->task->array;
    struct unit unit = {.state = run->unit.state};
    if (!copy_end(core, run, &unit)) {
        return NULL;
    }
    struct element *record = run_give_record(core, run, index);
    if (record == NULL) {
        unit_drop_more(core, &unit);
        return NULL;
    }
    array->claimed--; /* it had claimed its end before */
    record->unit = unit;
    record->flags |= ELEMENT_TAKEN;
    struct item item = {array->task, &record->unit, index};
    save_item(core, &item);
    return record;
}

struct element *run_own(struct core *core, struct run *run, uint32_t index)
{
    struct element *known = array_element(run->task->array, index);
    if (known != NULL) {
        return known;
    }
    if (unit_is_terminal(&run->unit)) {
        return own_ended(core, run, index);
    }
    struct element *record = run_give_record(core, run, index);
    if (record != NULL) {
        record->unit.state = run->unit.state;
    }
    return record;
}

bool item_own(struct core *core, struct item *item)
{
    if (!unit_is_shared(item->unit)) {
        return true;
    }
    struct run *run = DRV_CONTAINER_OF(item->unit, struct run, unit);
    struct element *element = run_own(core, run, item->index);
    if (element == NULL) {
        return false;
    }
    item->unit = &element->unit;
    return true;
}
