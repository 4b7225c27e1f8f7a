#include "sim_range.h"

#include "check.h"

struct sim_range sim_range_of(const struct drv_range *range, struct drv_val *val)
{
    struct sim_range walk = {.left = 0};
    if (range->count > 0) {
        walk.left = range->count - 1;
        walk.lengths = drv_lengths_of(range->lengths, val->bytes, val->is_nil ? 0 : val->len);
        bool has_first = drv_lengths_next(&walk.lengths, val);
        DRV_ASSERT(has_first);
    }
    return walk;
}

bool sim_range_next(struct sim_range *range, uint32_t *index, struct drv_val *val)
{
    if (range->left == 0) {
        return false;
    }
    bool has_next = drv_lengths_next(&range->lengths, val);
    DRV_ASSERT(has_next);
    range->left--;
    ++*index;
    return true;
}

static bool ref_follows(const struct drv_ref *first, uint32_t count, const struct drv_ref *ref)
{
    return ref->index != DROVER_INDEX_NONE && first->index + count == ref->index &&
           first->attempt == ref->attempt && drover_id_equal(&first->id, &ref->id);
}

static bool is_plain(const struct drv_result *result)
{
    return result->outcome == DRV_OUTCOME_SUCCEEDED && result->val.content_type.ptr == NULL;
}

static void put(const struct drv_val *val, struct drv_range *range, struct drv_buffer *bytes,
                struct drv_buffer *lengths)
{
    uint8_t length[DRV_LENGTH_BYTES_MAX];
    size_t used = drv_lengths_put(length, val->is_nil, val->len);
    drover_status status = drv_buffer_append(lengths, length, used);
    if (status == DROVER_OK && !val->is_nil) {
        status = drv_buffer_append(bytes, val->bytes, val->len);
    }
    DRV_ASSERT(status == DROVER_OK);
    range->count++;
}

size_t sim_range_join_results(struct drv_result *results, size_t count,
                              struct drv_buffer *bytes, struct drv_buffer *lengths)
{
    size_t used = 0, total = 0;
    for (size_t i = 0; i < count; i++) {
        total += results[i].val.len;
    }
    /* Nothing moves while it is pointed into. */
    if (drv_buffer_reserve(bytes, total + 1) || drv_buffer_reserve(lengths, count * 5 + 1)) {
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        struct drv_result *last = used == 0 ? NULL : &results[used - 1];
        uint32_t length = last == NULL || last->range.count == 0 ? 1 : last->range.count;
        if (last == NULL || !is_plain(last) || !is_plain(&results[i]) ||
            !ref_follows(&last->ref, length, &results[i].ref)) {
            results[used++] = results[i];
            continue;
        }
        if (last->range.count == 0) {
            struct drv_val first = last->val;
            last->val = (struct drv_val){.bytes = bytes->bytes + bytes->len};
            last->range.lengths.ptr = (const char *)lengths->bytes + lengths->len;
            put(&first, &last->range, bytes, lengths);
        }
        put(&results[i].val, &last->range, bytes, lengths);
        last->run_us += results[i].run_us;
        last->val.len = (size_t)(bytes->bytes + bytes->len - last->val.bytes);
        last->range.lengths.len = (size_t)((const char *)lengths->bytes + lengths->len -
                                           last->range.lengths.ptr);
    }
    return used;
}

size_t sim_range_join_returned(struct drv_returned *returned, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct drv_returned *last = used == 0 ? NULL : &returned[used - 1];
        bool joins = last != NULL && last->reason == returned[i].reason;
        if (joins && ref_follows(&last->ref, last->more + 1, &returned[i].ref)) {
            last->more++;
        } else if (joins && ref_follows(&returned[i].ref, 1, &last->ref)) {
            last->ref = returned[i].ref; /* they come back from the last one on */
            last->more++;
        } else {
            returned[used++] = returned[i];
        }
    }
    return used;
}

size_t sim_range_join_attached(struct drv_attached *attached, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct drv_attached *last = used == 0 ? NULL : &attached[used - 1];
        const struct drv_attached *next = &attached[i];
        if (last != NULL && last->state == next->state && last->attempt == next->attempt &&
            next->index != DROVER_INDEX_NONE && last->index + last->more + 1 == next->index &&
            drover_id_equal(&last->id, &next->id)) {
            last->more++;
        } else {
            attached[used++] = *next;
        }
    }
    return used;
}

size_t sim_range_count(const struct drv_results *results)
{
    size_t count = 0;
    for (size_t i = 0; i < results->entry_count; i++) {
        uint32_t length = results->entries[i].range.count;
        count += length == 0 ? 1 : length;
    }
    return count;
}
