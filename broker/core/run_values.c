/*
 * run_values.c: the values of a run: their bytes one behind the other, their lengths packed.
 *
 * Of every value the lengths say four times its length plus its sort, in seven bits a byte,
 * the lowest first; a byte with the length of the content type follows where there is one.
 * Most runs have plain values of one length and need none of this.
 */
#include "array.h"
#include "broker.h"
#include "check.h"

#include <string.h>

enum { SORT_PLAIN, SORT_NONE, SORT_LARGE, SORT_TYPED, SORT_BITS = 2 };

/* The bytes of a length of 32 bits with its sort, and of a content type. */
enum { PACKED_MAX = 6 };

static unsigned sort_of(const struct value_size *size)
{
    if (size->flags & (ELEMENT_NIL | ELEMENT_FREED)) {
        return SORT_NONE;
    }
    if (size->flags & ELEMENT_LARGE) {
        return SORT_LARGE;
    }
    return size->type_len > 0 ? SORT_TYPED : SORT_PLAIN;
}

static size_t pack(uint8_t *at, const struct value_size *size)
{
    unsigned sort = sort_of(size);
    uint64_t number = (uint64_t)size->len << SORT_BITS | sort;
    size_t used = 0;
    for (; number >= 0x80; number >>= 7) {
        at[used++] = (uint8_t)(number | 0x80);
    }
    at[used++] = (uint8_t)number;
    if (sort == SORT_TYPED) {
        at[used++] = size->type_len;
    }
    return used;
}

/* The value behind the spot, which moves on. */
static struct element read_value(const struct run *run, struct spot *spot)
{
    struct element element = {.run = run->number, .offset = spot->offset};
    spot->index++;
    if (run->lengths == NULL) {
        element.len = run->alike_len;
        spot->offset += run->alike_len;
        return element;
    }
    uint64_t number = 0;
    uint8_t byte;
    unsigned shift = 0;
    do {
        DRV_ASSERT(spot->at < run->lengths_len);
        byte = run->lengths[spot->at++];
        number |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    element.len = (uint32_t)(number >> SORT_BITS);
    switch (number & ((1U << SORT_BITS) - 1)) {
    case SORT_NONE:
        element.flags = ELEMENT_NIL;
        break;
    case SORT_LARGE:
        element.flags = ELEMENT_LARGE;
        element.offset = spot->large++;
        break;
    case SORT_TYPED:
        element.type_len = run->lengths[spot->at++];
        spot->offset += element.type_len + element.len;
        break;
    default:
        spot->offset += element.len;
        break;
    }
    return element;
}

struct element run_element(struct run *run, uint32_t index)
{
    DRV_ASSERT(index >= run->first && index < run->first + run->count);
    if (run->lengths == NULL) {
        struct spot spot = {.index = index, .offset = (index - run->first) * run->alike_len};
        return read_value(run, &spot);
    }
    if (index < run->spot.index) {
        run->spot = (struct spot){.index = run->first};
    }
    while (run->spot.index < index) {
        (void)read_value(run, &run->spot);
    }
    struct spot spot = run->spot; /* it stays before this one, which is asked for again */
    return read_value(run, &spot);
}

static bool are_alike(const struct value_size *sizes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sort_of(&sizes[i]) != SORT_PLAIN || sizes[i].len != sizes[0].len) {
            return false;
        }
    }
    return true;
}

/* False: out of memory. */
static bool pack_all(struct core *core, struct run *run, const struct value_size *sizes)
{
    uint8_t packed[PACKED_MAX];
    size_t len = 0;
    if (are_alike(sizes, run->count)) {
        run->alike_len = sizes[0].len;
        return true;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        len += pack(packed, &sizes[i]);
    }
    run->lengths = core_alloc(core, len);
    if (run->lengths == NULL) {
        return false;
    }
    run->lengths_len = (uint32_t)len;
    uint8_t *at = run->lengths;
    for (uint32_t i = 0; i < run->count; i++) {
        at += pack(at, &sizes[i]);
    }
    return true;
}

static void values_free(struct core *core, struct run *run)
{
    body_release(core, &run->data);
    for (uint32_t i = 0; run->large != NULL && i < run->large_count; i++) {
        body_release(core, &run->large[i]);
    }
    core_free(core, run->large, run->large_count * sizeof(struct body *));
    core_free(core, run->lengths, run->lengths_len);
}

struct run *run_new(struct core *core, struct array *array, uint32_t first,
                    const struct value_size *sizes, uint32_t count)
{
    size_t bytes = 0;
    struct run *run = core_alloc(core, sizeof *run);
    if (run == NULL) {
        return NULL;
    }
    run->task = array->task;
    run->first = run->next = run->spot.index = first;
    run->count = run->shared = count;
    run->unit.flags = UNIT_SHARED;
    run->number = array->run_count;
    for (uint32_t i = 0; i < count; i++) {
        unsigned sort = sort_of(&sizes[i]);
        run->large_count += sort == SORT_LARGE;
        run->shared_bytes += sizes[i].len;
        bytes += sort == SORT_PLAIN || sort == SORT_TYPED
                     ? (size_t)sizes[i].type_len + sizes[i].len
                     : 0;
    }
    run->data = body_new_room(core, bytes);
    if (run->large_count > 0) {
        run->large = core_alloc(core, run->large_count * sizeof(struct body *));
    }
    if (run->data == NULL || (run->large_count > 0 && run->large == NULL) ||
        !pack_all(core, run, sizes) || !timer_init(core, &run->timer, TIMER_RUN)) {
        values_free(core, run);
        core_free(core, run, sizeof *run);
        return NULL;
    }
    place_init(&run->place, PLACE_RUN);
    return run;
}

drover_status run_put_value(struct core *core, struct run *run, struct spot *spot,
                            const struct drv_val *val)
{
    struct element element = read_value(run, spot);
    if (element.flags & ELEMENT_NIL) {
        return DROVER_OK;
    }
    if (element.flags & ELEMENT_LARGE) {
        return body_new(core, val, &run->large[element.offset]);
    }
    uint8_t *at = run->data->bytes + element.offset;
    if (element.type_len > 0) {
        memcpy(at, val->content_type.ptr, element.type_len);
    }
    if (element.len > 0) {
        memcpy(at + element.type_len, val->bytes, element.len);
    }
    return DROVER_OK;
}

void run_free(struct core *core, struct run *run)
{
    line_remove(run->task->spec->line, &run->place);
    timer_fini(core, &run->timer);
    unit_drop_more(core, &run->unit);
    values_free(core, run);
    core_free(core, run, sizeof *run);
}
