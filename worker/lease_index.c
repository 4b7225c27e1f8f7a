#include "lease_index.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_FIRST = 64 };

/* Order of the array of an attempt, then of its number. */
static int compare_arrays(const struct drv_ref *a, const struct drv_ref *b)
{
    int order = memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
    return order != 0 ? order : (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

/* Position of the first range that begins behind the element. */
static size_t position_behind(const struct worker_book *book, const struct drv_ref *ref)
{
    size_t low = 0;
    size_t high = book->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct drv_ref *other = &book->ranges[middle]->ref;
        int order = compare_arrays(other, ref);
        if (order < 0 || (order == 0 && other->index <= ref->index)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

drover_status worker_index_add(struct worker_book *book, struct worker_lease *lease)
{
    if (book->range_count == book->range_capacity) {
        size_t capacity = book->range_capacity == 0 ? INDEX_FIRST : book->range_capacity * 2;
        struct worker_lease **ranges = realloc(book->ranges, capacity * sizeof *ranges);
        if (ranges == NULL) {
            return DROVER_NOMEM;
        }
        book->ranges = ranges;
        book->range_capacity = capacity;
    }
    size_t at = position_behind(book, &lease->ref);
    memmove(&book->ranges[at + 1], &book->ranges[at],
            (book->range_count - at) * sizeof *book->ranges);
    book->ranges[at] = lease;
    book->range_count++;
    return DROVER_OK;
}

void worker_index_remove(struct worker_book *book, const struct worker_lease *lease)
{
    size_t at = position_behind(book, &lease->ref);
    DRV_ASSERT(at > 0 && book->ranges[at - 1] == lease);
    memmove(&book->ranges[at - 1], &book->ranges[at],
            (book->range_count - at) * sizeof *book->ranges);
    book->range_count--;
}

struct worker_lease *worker_index_find(const struct worker_book *book,
                                       const struct drv_ref *ref)
{
    size_t at = position_behind(book, ref);
    if (at == 0) {
        return NULL;
    }
    struct worker_lease *lease = book->ranges[at - 1];
    bool is_in = compare_arrays(&lease->ref, ref) == 0 &&
                 ref->index - lease->ref.index < lease->count;
    return is_in ? lease : NULL;
}

bool worker_index_overlaps(const struct worker_book *book, const struct drv_ref *ref,
                           uint32_t count)
{
    struct drv_ref last = *ref;
    last.index += count - 1;
    size_t at = position_behind(book, &last);
    if (at == 0) {
        return false;
    }
    const struct worker_lease *lease = book->ranges[at - 1];
    return compare_arrays(&lease->ref, ref) == 0 &&
           lease->ref.index + (lease->count - 1) >= ref->index;
}

/* ---- marks ----------------------------------------------------------------------------------
 */

uint8_t worker_lease_marks(const struct worker_lease *lease, uint32_t index)
{
    return lease->marks == NULL ? 0 : lease->marks[index - lease->marks_from];
}

drover_status worker_lease_mark(struct worker_lease *lease, uint32_t index, uint8_t off,
                                uint8_t on)
{
    if (lease->marks == NULL && on == 0) {
        return DROVER_OK;
    }
    if (lease->marks == NULL) {
        lease->marks = calloc(lease->count, sizeof *lease->marks);
        if (lease->marks == NULL) {
            return DROVER_NOMEM;
        }
        lease->marks_from = lease->ref.index;
    }
    uint8_t *marks = &lease->marks[index - lease->marks_from];
    *marks = (uint8_t)((*marks & ~off) | on);
    return DROVER_OK;
}

void worker_lease_unmark_streams(struct worker_lease *lease)
{
    for (uint32_t i = 0; lease->marks != NULL && i < lease->count; i++) {
        lease->marks[lease->ref.index - lease->marks_from + i] &= WORKER_MARK_VOID |
                                                                  WORKER_MARK_ABORTED;
    }
}
