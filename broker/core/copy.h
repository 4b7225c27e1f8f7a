/*
 * copy.h: copies the elements of an array that did not succeed into a new array, in slices.
 *
 * Element n of the copy is the n-th that did not succeed and was not retried by itself; while
 * elements are copied none can be. An array that keeps the payloads of all (of a graph) is
 * copied whole: what waits for it means all of its elements. The copy is open until it is
 * complete: when the old array is forgotten meanwhile, or there is no room any more, it is
 * cancelled and the request is told.
 */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include "array.h"

struct reply;

/* How many elements a copy would have. */
uint32_t copy_count(const struct array *from);
/* Whether its last retry is not complete yet. */
bool copy_goes_on(const struct core *core, const struct array *from);

/*
 * Begin; `to` is new and empty. The reply waits and gets a note at `position` when it comes to
 * nothing. OK or NOMEM.
 */
DROVER_MUST_USE drover_status copy_start(struct core *core, const struct array *from,
                                         const struct array *to, struct reply *reply,
                                         size_t position);

/* Go on with one that an earlier life of the broker had begun: `to` is open and says what it
 * retries. */
void copy_resume(struct core *core, struct array *to);

#endif
