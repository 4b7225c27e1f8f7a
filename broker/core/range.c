#include "range.h"

#include "array.h"
#include "broker.h"

/* Every slot gets a few of them, so that all are done at the same time. */
enum { RANGES_PER_SLOT = 2 };

/* --- leases ------------------------------------------------------------------------------ */

/* Whether elements of the array may travel together. */
static bool array_is_plain(const struct core *core, const struct task *task)
{
    const struct spec_numbers *numbers = &task->spec->numbers;
    const struct type *type = task->spec->line->type;
    for (size_t i = 0; i < SPEC_LIMITS; i++) {
        if (numbers->limits[i] != 0) {
            return false;
        }
    }
    return task_is_array(task) && numbers->timeout_ms == 0 && type->run_us >= 0 &&
           type->run_us <= core->config.range_run_us;
}

/* Whether there is nothing to be said of this one alone. */
static bool is_plain(const struct lease *lease)
{
    return lease->unit->more == NULL && lease->follow == NULL &&
           !(lease->flags & LEASE_CONFIRM) && !(lease->unit->flags & UNIT_CANCELLING);
}

static uint32_t room_for(const struct core *core, const struct worker *worker,
                         const struct type *type, size_t waiting)
{
    uint64_t work_us = (uint64_t)core->config.range_work_us;
    uint64_t by_work = 2 * work_us / (2 * (uint64_t)type->run_us + 1);
    uint64_t parts = (uint64_t)worker->slots * RANGES_PER_SLOT;
    uint64_t share = (waiting + parts - 1) / parts;
    uint64_t room = by_work < share ? by_work : share;
    return room < DRV_RANGE_MAX ? (uint32_t)room : DRV_RANGE_MAX;
}

void range_begin(const struct core *core, struct range_fill *fill, const struct worker *worker,
                 const struct lease *lease, size_t waiting)
{
    bool may_grow = worker->session->takes_ranges && fill->lengths != NULL && is_plain(lease) &&
                    array_is_plain(core, lease->task);
    fill->last = may_grow ? lease : NULL;
    fill->room = may_grow ? room_for(core, worker, lease->task->spec->line->type, waiting) : 1;
}

static bool follows(const struct lease *last, const struct lease *lease)
{
    return last != NULL && last->task == lease->task && last->index + 1 == lease->index &&
           last->unit->attempt == lease->unit->attempt;
}

/* Whether the value lies right behind what the entry has. */
static bool is_adjacent(const struct drv_val *val, const struct drv_val *next)
{
    if (val->data != NULL || val->content_type.ptr != NULL || next->data != NULL ||
        next->content_type.ptr != NULL) {
        return false;
    }
    return next->is_nil || val->is_nil || val->bytes + val->len == next->bytes;
}

static void put_length(struct range_fill *fill, struct drv_range *range,
                       const struct drv_val *val)
{
    uint8_t *at = fill->lengths + fill->lengths_used;
    if (range->count == 0) {
        range->lengths = (struct drv_str){(const char *)at, 0};
    }
    size_t used = drv_lengths_put(at, val->is_nil, val->len);
    fill->lengths_used += used;
    range->lengths.len += used;
    range->count++;
}

bool range_extend(struct range_fill *fill, struct drv_meter *meter,
                  struct drv_lease_entry *entry, const struct lease *lease)
{
    uint32_t count = entry->range.count == 0 ? 1 : entry->range.count;
    bool has_room = fill->lengths_used + 2 * DRV_LENGTH_BYTES_MAX <= fill->lengths_max;
    if (count >= fill->room || !has_room || !follows(fill->last, lease) || !is_plain(lease)) {
        return false;
    }
    struct item item = lease_item(lease);
    struct drv_val next = item_payload(&item);
    struct drv_val whole = entry->val;
    if (!is_adjacent(&whole, &next) || whole.len + next.len > DRV_INLINE_MAX ||
        !drv_meter_grows(meter, DRV_LENGTH_BYTES_MAX, next.len)) {
        return false;
    }
    if (entry->range.count == 0) {
        put_length(fill, &entry->range, &whole);
    }
    put_length(fill, &entry->range, &next);
    if (whole.is_nil) {
        entry->val = next;
    } else {
        entry->val.len += next.len;
    }
    fill->last = lease;
    return true;
}

/* --- results ----------------------------------------------------------------------------- */

struct range_walk range_walk(const struct drv_result *result)
{
    struct range_walk walk = {.result = *result};
    size_t len = result->val.is_nil ? 0 : result->val.len;
    walk.lengths = drv_lengths_of(result->range.lengths, result->val.bytes, len);
    walk.result.range = (struct drv_range){0};
    walk.result.run_us /= result->range.count;
    walk.result.has_usage = false; /* of all together: it cannot be told apart */
    return walk;
}

bool range_next(struct range_walk *walk)
{
    if (!drv_lengths_next(&walk->lengths, &walk->result.val)) {
        return false;
    }
    if (walk->is_begun) {
        walk->result.ref.handle = 0; /* that of the first */
        walk->result.ref.index++;
    }
    walk->is_begun = true;
    return true;
}
