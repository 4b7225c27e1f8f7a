#include "lane_range.h"

#include "check.h"
#include "data.h"
#include "lengths.h"

#include <string.h>

enum {
    COUNT_BITS = 16,
    CUT_TRIES = 64,
};
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static uint64_t word_of(uint32_t serial, uint32_t limit, uint32_t next)
{
    return (uint64_t)serial << 32 | (uint64_t)limit << COUNT_BITS | next;
}

static uint32_t serial_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint32_t limit_of(uint64_t word)
{
    return (uint32_t)(word >> COUNT_BITS & COUNT_MASK);
}

static uint32_t next_of(uint64_t word)
{
    return (uint32_t)(word & COUNT_MASK);
}

/* ---- the executor ---------------------------------------------------------------------------
 */

void lane_range_begin(struct lane_range *range, uint64_t serial, uint32_t n,
                      struct lane_range_writer *out_writer)
{
    DRV_ASSERT(n <= LANE_RANGE_MAX);
    *out_writer = (struct lane_range_writer){.range = range, .serial = (uint32_t)serial};
    /* The word comes last: who sees this serial in it finds no results of another range. */
    atomic_store(&range->done, word_of((uint32_t)serial, 0, 0));
    atomic_store(&range->word, word_of((uint32_t)serial, n, 0));
}

bool lane_range_claim(struct lane_range_writer *writer, uint32_t *out_left)
{
    uint64_t word = atomic_load_explicit(&writer->range->word, memory_order_relaxed);
    do {
        if (next_of(word) >= limit_of(word)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&writer->range->word, &word, word + 1));
    *out_left = limit_of(word) - next_of(word) - 1;
    return true;
}

bool lane_range_put(struct lane_range_writer *writer, struct drv_view value, bool is_nil)
{
    struct lane_range *range = writer->range;
    size_t len = is_nil ? 0 : value.len;
    if (len > LANE_RANGE_BYTES - writer->bytes_len || writer->done == LANE_RANGE_MAX) {
        return false;
    }
    writer->lengths_len += drv_lengths_put(range->lengths + writer->lengths_len, is_nil, len);
    if (len > 0) {
        memcpy(range->bytes + writer->bytes_len, value.bytes, len);
        writer->bytes_len += len;
    }
    writer->done++;
    atomic_store_explicit(&range->done, word_of(writer->serial, 0, writer->done),
                          memory_order_release);
    return true;
}

/* ---- the agent ------------------------------------------------------------------------------
 */

static drover_status check_place(uint64_t word, uint64_t done, uint64_t serial, uint32_t n,
                                 struct lane_range_place *out_place)
{
    struct lane_range_place place = {
        .done = next_of(done), .next = next_of(word), .limit = limit_of(word)};
    if (serial_of(word) != (uint32_t)serial || serial_of(done) != (uint32_t)serial) {
        return DROVER_NOT_READY;
    }
    if (place.done > place.next || place.next > n || place.limit < place.next ||
        place.limit > LANE_RANGE_MAX) {
        return DROVER_MALFORMED;
    }
    *out_place = place;
    return DROVER_OK;
}

drover_status lane_range_look(const struct lane_range *range, uint64_t serial, uint32_t n,
                              struct lane_range_place *out_place)
{
    uint64_t done = atomic_load(&range->done); /* first: it is never ahead of the other */
    return check_place(atomic_load(&range->word), done, serial, n, out_place);
}

drover_status lane_range_cut(struct lane_range *range, uint64_t serial, uint32_t n,
                             uint32_t keep, uint32_t *out_kept)
{
    uint64_t word = atomic_load(&range->word);
    for (int i = 0; i < CUT_TRIES; i++) {
        struct lane_range_place place;
        drover_status status = check_place(word, word_of((uint32_t)serial, 0, 0), serial, n,
                                           &place);
        if (status) {
            return status;
        }
        uint32_t limit = place.next > keep ? place.next : keep;
        limit = limit < place.limit ? limit : place.limit;
        limit = limit < n ? limit : n;
        if (atomic_compare_exchange_strong(&range->word, &word,
                                           word_of((uint32_t)serial, limit, place.next))) {
            *out_kept = limit;
            return DROVER_OK;
        }
    }
    return DROVER_BUSY;
}

/* Walks over `count` lengths of values that lie within *left bytes. */
static bool skip(struct drv_lengths *walk, uint32_t count)
{
    struct drv_val val;
    for (uint32_t i = 0; i < count; i++) {
        if (!drv_lengths_next(walk, &val)) {
            return false;
        }
    }
    return true;
}

/* Copies what lies between two places of a walk. */
static drover_status copy_between(const struct drv_lengths *from, const struct drv_lengths *to,
                                  struct lane_range_results *out_results)
{
    size_t lengths_len = (size_t)(to->at - from->at);
    size_t len = from->left - to->left;
    struct drv_data *data = NULL;
    drover_status status = drv_data_new(lengths_len + len, &data);
    if (status) {
        return status;
    }
    memcpy(data->bytes, from->at, lengths_len);
    if (len > 0) {
        memcpy(data->bytes + lengths_len, from->bytes, len);
    }
    *out_results = (struct lane_range_results){
        .data = data,
        .lengths = drv_view_of(data->bytes, lengths_len),
        .bytes = drv_view_of(data->bytes + lengths_len, len)};
    return DROVER_OK;
}

drover_status lane_range_pick(struct drv_view lengths, struct drv_view bytes, uint32_t from,
                              uint32_t to, struct lane_range_results *out_results)
{
    const struct drv_str text = {(const char *)lengths.bytes, lengths.len};
    struct drv_lengths walk = drv_lengths_of(text, bytes.bytes, bytes.len);
    if (from > to || !skip(&walk, from)) {
        return DROVER_MALFORMED;
    }
    struct drv_lengths begin = walk;
    if (!skip(&walk, to - from) || walk.at != walk.end || walk.left != 0) {
        return DROVER_MALFORMED;
    }
    return copy_between(&begin, &walk, out_results);
}

/* The copy is looked at again: while it was made the executor may have changed everything. */
drover_status lane_range_read(const struct lane_range *range, uint64_t serial, uint32_t from,
                              uint32_t to, struct lane_range_results *out_results)
{
    const struct drv_str lengths = {(const char *)range->lengths, sizeof(range->lengths)};
    struct drv_lengths walk = drv_lengths_of(lengths, range->bytes, sizeof(range->bytes));
    struct lane_range_results copy = {.data = NULL};
    drover_status status = DROVER_MALFORMED;
    bool was_read = from <= to && skip(&walk, from);
    struct drv_lengths begin = walk;
    was_read = was_read && skip(&walk, to - from);
    if (was_read) {
        status = copy_between(&begin, &walk, &copy);
    }
    atomic_thread_fence(memory_order_acquire);
    uint64_t done = atomic_load(&range->done);
    if (status != DROVER_NOMEM && (serial_of(done) != (uint32_t)serial || next_of(done) < to)) {
        status = DROVER_NOT_READY;
    }
    if (!status) {
        struct drv_str copied = {(const char *)copy.lengths.bytes, copy.lengths.len};
        if (drv_lengths_count(copied, copy.bytes.len) != to - from) {
            status = DROVER_MALFORMED;
        }
    }
    if (status) {
        drv_data_unref(&copy.data);
        return status;
    }
    *out_results = copy;
    return DROVER_OK;
}
