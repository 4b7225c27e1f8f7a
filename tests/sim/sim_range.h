/*
 * sim_range.h: entries that speak of several elements, taken apart and put together.
 */
#ifndef SIM_RANGE_H
#define SIM_RANGE_H

#include "buffer.h"
#include "lengths.h"
#include "message.h"

/* The elements of an entry one after the other. Handles are those of the first element, 0 for
 * the others: nobody knows them. */
struct sim_range {
    struct drv_lengths lengths;
    uint32_t left; /* elements behind the present one */
};

struct sim_range sim_range_of(const struct drv_range *range, struct drv_val *val);
/* On to the next element. False: there is none. */
bool sim_range_next(struct sim_range *range, uint32_t *index, struct drv_val *val);

/* Results of elements that succeeded one behind the other become one entry, in place. Returns
 * how many entries are left; bytes and lengths hold what they point into. */
size_t sim_range_join_results(struct drv_result *results, size_t count,
                              struct drv_buffer *bytes, struct drv_buffer *lengths);
/* The same for what comes back, and for what is listed. */
size_t sim_range_join_returned(struct drv_returned *returned, size_t count);
size_t sim_range_join_attached(struct drv_attached *attached, size_t count);

/* How many elements the entries speak of. */
size_t sim_range_count(const struct drv_results *results);

#endif
