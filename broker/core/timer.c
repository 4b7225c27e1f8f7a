#include "timer.h"

#include "broker.h"
#include "check.h"

#include <stdlib.h>

/* Work done by the timers of one tick: a million tasks that are due in the same second must not
 * stall the loop. */
enum { TIMERS_PER_TICK = 4096 };

enum { CHILDREN = 4 };

static bool entry_before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

void timers_init(struct timers *timers)
{
    *timers = (struct timers){.entries = NULL};
}

void timers_fini(struct timers *timers)
{
    DRV_ASSERT(timers->reserved == 0 && timers->count == 0);
    free(timers->entries);
    timers_init(timers);
}

static bool timers_reserve(struct timers *timers, size_t count)
{
    if (count <= timers->capacity) {
        return true;
    }
    size_t capacity = timers->capacity < 32 ? 64 : timers->capacity * 2;
    if (count > TIMER_OUT) {
        return false;
    }
    struct timer_entry *entries = realloc(timers->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    timers->entries = entries;
    timers->capacity = capacity;
    return true;
}

bool timer_init(struct core *core, struct timer *timer, enum timer_kind kind)
{
    struct timers *timers = &core->timers;
    if (!timers_reserve(timers, timers->reserved + 1)) {
        return false;
    }
    timers->reserved++;
    timer->position = TIMER_OUT;
    timer->kind = (uint32_t)kind & 0xfU;
    return true;
}

void timer_fini(struct core *core, struct timer *timer)
{
    timer_disarm(core, timer);
    DRV_ASSERT(core->timers.reserved > 0);
    core->timers.reserved--;
}

int64_t timer_at_us(const struct core *core, const struct timer *timer)
{
    DRV_ASSERT(timer_is_armed(timer));
    return core->timers.entries[timer->position].at_us;
}

uint64_t timer_sequence(const struct core *core, const struct timer *timer)
{
    DRV_ASSERT(timer_is_armed(timer));
    return core->timers.entries[timer->position].sequence;
}

static void entry_put(struct timers *timers, size_t position, const struct timer_entry *entry)
{
    timers->entries[position] = *entry;
    entry->timer->position = (uint32_t)position & TIMER_OUT;
}

/* Moves an entry from the hole at position to where it belongs. */
static void sift_up(struct timers *timers, size_t position, const struct timer_entry *entry)
{
    while (position > 0) {
        size_t parent = (position - 1) / CHILDREN;
        if (!entry_before(entry, &timers->entries[parent])) {
            break;
        }
        entry_put(timers, position, &timers->entries[parent]);
        position = parent;
    }
    entry_put(timers, position, entry);
}

static size_t first_child(const struct timers *timers, size_t position)
{
    size_t first = position * CHILDREN + 1;
    size_t end = first + CHILDREN < timers->count ? first + CHILDREN : timers->count;
    size_t best = first;
    for (size_t child = first + 1; child < end; child++) {
        if (entry_before(&timers->entries[child], &timers->entries[best])) {
            best = child;
        }
    }
    return best;
}

static void sift_down(struct timers *timers, size_t position, const struct timer_entry *entry)
{
    for (;;) {
        size_t child = first_child(timers, position);
        if (child >= timers->count || !entry_before(&timers->entries[child], entry)) {
            break;
        }
        entry_put(timers, position, &timers->entries[child]);
        position = child;
    }
    entry_put(timers, position, entry);
}

static void sift(struct timers *timers, size_t position, const struct timer_entry *entry)
{
    bool is_earlier = position > 0 &&
                      entry_before(entry, &timers->entries[(position - 1) / CHILDREN]);
    if (is_earlier) {
        sift_up(timers, position, entry);
    } else {
        sift_down(timers, position, entry);
    }
}

void timer_arm(struct core *core, struct timer *timer, int64_t at_us)
{
    struct timers *timers = &core->timers;
    const struct timer_entry entry = {
        .at_us = at_us, .sequence = ++timers->sequence, .timer = timer};
    if (timer_is_armed(timer)) {
        sift(timers, timer->position, &entry);
        return;
    }
    DRV_ASSERT(timers->count < timers->capacity); /* the place was reserved */
    sift_up(timers, timers->count++, &entry);
}

void timer_take(struct core *core, struct timer *timer)
{
    struct timers *timers = &core->timers;
    size_t position = timer->position;
    DRV_ASSERT(position < timers->count && timers->entries[position].timer == timer);
    timer->position = TIMER_OUT;
    struct timer_entry last = timers->entries[--timers->count];
    if (last.timer != timer) {
        sift(timers, position, &last);
    }
}

bool timers_run(struct core *core)
{
    struct timers *timers = &core->timers;
    for (uint32_t done = 0; done < TIMERS_PER_TICK; done += 1 + timers->extra) {
        if (timers_deadline_us(core) > core->now_us || timers->count == 0) {
            return false;
        }
        struct timer *timer = timers->entries[0].timer;
        timer_disarm(core, timer);
        timers->extra = 0;
        timer_fire(core, timer);
    }
    return timers_deadline_us(core) <= core->now_us;
}

int64_t timers_deadline_us(const struct core *core)
{
    const struct timers *timers = &core->timers;
    return timers->count == 0 ? INT64_MAX : timers->entries[0].at_us;
}
