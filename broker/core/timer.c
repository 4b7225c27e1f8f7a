#include "timer.h"

#include "broker.h"
#include "check.h"

/* Work done by the timers of one tick: a million tasks that are due in the same second must not
 * stall the loop. */
enum { TIMERS_PER_TICK = 4096 };

static bool timer_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct timer *left = DRV_CONTAINER_OF((struct drv_heap_node *)a, struct timer, node);
    const struct timer *right = DRV_CONTAINER_OF((struct drv_heap_node *)b, struct timer, node);
    if (left->at_us != right->at_us) {
        return left->at_us < right->at_us;
    }
    return left->order < right->order;
}

void timers_init(struct timers *timers)
{
    drv_heap_init(&timers->heap, timer_before);
    timers->reserved = 0;
    timers->sequence = 0;
    timers->extra = 0;
}

void timers_fini(struct timers *timers)
{
    DRV_ASSERT(timers->reserved == 0);
    drv_heap_fini(&timers->heap);
}

bool timer_init(struct core *core, struct timer *timer, enum timer_kind kind)
{
    struct timers *timers = &core->timers;
    if (timers->reserved + 1 > timers->heap.capacity) {
        size_t room = timers->heap.capacity < 64 ? 64 : timers->heap.capacity * 2;
        if (drv_heap_reserve(&timers->heap, room)) {
            return false;
        }
    }
    timers->reserved++;
    drv_heap_node_init(&timer->node);
    timer->at_us = 0;
    timer->order = (uint64_t)kind;
    return true;
}

void timer_fini(struct core *core, struct timer *timer)
{
    timer_disarm(core, timer);
    DRV_ASSERT(core->timers.reserved > 0);
    core->timers.reserved--;
}

void timer_arm(struct core *core, struct timer *timer, int64_t at_us)
{
    struct timers *timers = &core->timers;
    timer->at_us = at_us;
    timer->order = ++timers->sequence << 8 | (timer->order & 0xff);
    if (timer_is_armed(timer)) {
        drv_heap_update(&timers->heap, &timer->node);
        return;
    }
    drover_status status = drv_heap_insert(&timers->heap, &timer->node);
    DRV_ASSERT(status == DROVER_OK); /* the place was reserved */
}

void timer_disarm(struct core *core, struct timer *timer)
{
    drv_heap_remove(&core->timers.heap, &timer->node);
}

bool timers_run(struct core *core)
{
    for (uint32_t done = 0; done < TIMERS_PER_TICK; done += 1 + core->timers.extra) {
        struct drv_heap_node *node = drv_heap_min(&core->timers.heap);
        if (node == NULL) {
            return false;
        }
        struct timer *timer = DRV_CONTAINER_OF(node, struct timer, node);
        if (timer->at_us > core->now_us) {
            return false;
        }
        drv_heap_remove(&core->timers.heap, node);
        core->timers.extra = 0;
        timer_fire(core, timer);
    }
    return timers_deadline_us(core) <= core->now_us;
}

int64_t timers_deadline_us(const struct core *core)
{
    struct drv_heap_node *node = drv_heap_min(&core->timers.heap);
    return node == NULL ? INT64_MAX : DRV_CONTAINER_OF(node, struct timer, node)->at_us;
}
