/*
 * sim_events.c: a binary heap of values ordered by (at, order).
 */
#include "sim_events.h"

#include <stdlib.h>

#include "check.h"

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_events_init(struct sim_events *events)
{
    *events = (struct sim_events){.heap = NULL};
}

void sim_events_fini(struct sim_events *events)
{
    free(events->heap);
    sim_events_init(events);
}

void sim_events_add(struct sim_events *events, struct sim_event event)
{
    if (events->count == events->capacity) {
        size_t capacity = events->capacity == 0 ? 256 : events->capacity * 2;
        struct sim_event *heap = realloc(events->heap, capacity * sizeof *heap);
        DRV_ASSERT(heap != NULL);
        events->heap = heap;
        events->capacity = capacity;
    }
    event.order = events->next_order++;
    size_t i = events->count++;
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!event_before(&event, &events->heap[parent])) {
            break;
        }
        events->heap[i] = events->heap[parent];
        i = parent;
    }
    events->heap[i] = event;
}

bool sim_events_next(struct sim_events *events, struct sim_event *out_event)
{
    if (events->count == 0) {
        return false;
    }
    *out_event = events->heap[0];
    struct sim_event last = events->heap[--events->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= events->count) {
            break;
        }
        if (child + 1 < events->count &&
            event_before(&events->heap[child + 1], &events->heap[child])) {
            child++;
        }
        if (!event_before(&events->heap[child], &last)) {
            break;
        }
        events->heap[i] = events->heap[child];
        i = child;
    }
    events->heap[i] = last;
    return true;
}
