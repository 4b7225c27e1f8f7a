#include "dispatch.h"

#include "broker.h"
#include "check.h"
#include "placement.h"

#include <stdlib.h>

/* Leases made in one tick, a few milliseconds of work; the rest follows in the next, after the
 * effects have gone out and what came in was looked at. */
enum { LEASES_PER_TICK = 2048 };
/* Elements that go to one worker at once when nothing else waits. */
enum { ELEMENTS_AT_ONCE = 32 };
/* Loaded workers looked at for one class in one tick. */
enum { RECALL_WORKERS = 16 };

bool sched_is_short(const struct core *core, const struct type *type)
{
    return type->run_us >= 0 && type->run_us <= core->config.prefetch_run_us;
}

/* What a dispatch is about to do. */
struct choice {
    struct class *class;
    struct share *share;
    struct fit *fit;
    struct place *place;
    struct worker *worker;
};

static struct worker *class_freest(const struct class *class)
{
    struct drv_heap_node *node = drv_heap_min(&class->workers);
    return node == NULL ? NULL : DRV_CONTAINER_OF(node, struct worker, node);
}

static bool place_is_suspect(const struct place *place)
{
    struct place *at = (struct place *)place;
    switch ((enum place_kind)place->kind) {
    case PLACE_TASK:
        return DRV_CONTAINER_OF(at, struct task, place)->unit.flags & UNIT_SUSPECT;
    case PLACE_LEASE:
        return DRV_CONTAINER_OF(at, struct lease, place)->unit->flags & UNIT_SUSPECT;
    case PLACE_RUN:
        return false;
    }
    DRV_UNREACHABLE();
}

static bool is_ready(const struct core *core, const struct worker *worker,
                     const struct need *needs, size_t need_count)
{
    return worker_free_slots(core, worker) > 0 && worker_has(core, worker, needs, need_count);
}

/* A worker with room for a limited type, the first that has a free slot and what is needed. */
static struct worker *offer_worker(const struct core *core, const struct offer *offer,
                                   const struct need *needs, size_t need_count)
{
    DRV_LIST_EACH(link, &offer->rooms)
    {
        struct worker *worker = DRV_LIST_ITEM(link, struct room, link)->worker;
        if (worker_may_work(core, worker) && is_ready(core, worker, needs, need_count)) {
            return worker;
        }
    }
    return NULL;
}

/* The freest worker that has what is needed: mostly the first, else all are looked at. */
static struct worker *class_roomiest(const struct core *core, const struct class *class,
                                     const struct need *needs, size_t need_count)
{
    struct worker *best = class_freest(class);
    if (best == NULL || is_ready(core, best, needs, need_count)) {
        return best;
    }
    best = NULL;
    for (size_t i = 0; i < class->workers.count; i++) {
        struct worker *worker = DRV_CONTAINER_OF(class->workers.nodes[i], struct worker, node);
        if ((best == NULL || worker_before(&worker->node, &best->node)) &&
            is_ready(core, worker, needs, need_count)) {
            best = worker;
        }
    }
    return best;
}

/* What stands at the place, out of its line. False: out of memory, still there. */
static bool place_take(struct core *core, struct line *line, struct place *place,
                       struct item *out_item)
{
    switch ((enum place_kind)place->kind) {
    case PLACE_TASK:
        *out_item = item_of_task(DRV_CONTAINER_OF(place, struct task, place));
        break;
    case PLACE_LEASE:
        *out_item = lease_item(DRV_CONTAINER_OF(place, struct lease, place));
        break;
    case PLACE_RUN:
        return run_take(core, DRV_CONTAINER_OF(place, struct run, place), out_item);
    }
    if (out_item->unit->lease == NULL && lease_new(core, out_item) == NULL) {
        return false;
    }
    line_remove(line, place);
    return true;
}

/* False: out of memory. */
static bool dispatch(struct core *core, const struct choice *choice)
{
    struct worker *worker = choice->worker;
    struct item item;
    if (!place_take(core, choice->fit->line, choice->place, &item)) {
        return false;
    }
    struct lease *lease = item.unit->lease;
    timer_disarm(core, &lease->timer);
    if (item.index == DROVER_INDEX_NONE) {
        timer_disarm(core, &item.task->timer);
    }
    if (task_is_array(item.task) && !shared_use(core, worker, item.task->array)) {
        item_queue(core, &item, true);
        return false;
    }
    lease_give(core, lease, worker);
    if (choice->fit->offer->concurrency > 0) {
        lease_use_room(lease, choice->fit->offer);
    }
    drv_list_push_back(&worker->fresh, &lease->link);
    worker->fresh_bytes += item_payload_len(&item);
    output_given(core, lease);
    session_touch(core, worker->session);
    effects_record_item(core, CORE_RECORD_LEASE, &item, &worker->session->id);
    return true;
}

static void dispatched(struct core *core, struct worker *worker)
{
    worker->turn = ++core->turn;
    worker_update(core, worker);
}

static uint32_t place_payload_len(struct place *place)
{
    switch ((enum place_kind)place->kind) {
    case PLACE_TASK:
        return DRV_CONTAINER_OF(place, struct task, place)->payload_len;
    case PLACE_LEASE: {
        struct item item = lease_item(DRV_CONTAINER_OF(place, struct lease, place));
        return item_payload_len(&item);
    }
    case PLACE_RUN: {
        struct run *run = DRV_CONTAINER_OF(place, struct run, place);
        return run_next_len(run);
    }
    }
    DRV_UNREACHABLE();
}

/* The share whose turn it is gives way after as many tasks as its queue weighs. */
static void share_charge(struct share *share)
{
    if (share->deficit == 0) {
        share->deficit = share->queue->weight;
    }
    if (--share->deficit == 0 && drv_list_is_linked(&share->ring)) {
        drv_list_remove(&share->ring);
        drv_list_push_back(&share->class->ring, &share->ring);
    }
}

/* Elements of a cancelled array are not dispatched any more, though they may still be in line.
 */
static bool place_is_void(const struct place *place)
{
    struct place *at = (struct place *)place;
    struct task *task = place->kind == PLACE_TASK ? NULL
                        : place->kind == PLACE_RUN
                            ? DRV_CONTAINER_OF(at, struct run, place)->task
                            : DRV_CONTAINER_OF(at, struct lease, place)->task;
    return task != NULL && task_is_array(task) && task->array->is_cancelled;
}

/* Out of the line; the elements of a run end in the slices of the cancel. */
static void place_drop(struct core *core, struct line *line, struct place *place)
{
    if (place->kind == PLACE_RUN) {
        line_remove(line, place);
        return;
    }
    struct item item = lease_item(DRV_CONTAINER_OF(place, struct lease, place));
    item_cancel(core, &item, array_cancel_text(item.task->array));
}

enum verdict { VERDICT_NONE, VERDICT_LEASED, VERDICT_DROPPED, VERDICT_AGAIN };

/* A worker for it, else it is put aside until one may be free. */
static bool choose_worker(const struct core *core, struct choice *choice)
{
    struct band *band = choice->fit->lane->band;
    const struct offer *offer = choice->fit->offer;
    uint32_t placement = choice->share->queue->placement;
    if (placement != DRV_PLACEMENT_AUTO) {
        choice->worker = placement_choose(core, offer, band->needs, band->need_count,
                                          placement);
        if (choice->worker == NULL && offer->concurrency > 0) {
            fit_park(choice->fit);
        } else if (choice->worker == NULL) {
            band_park(band);
        }
    } else if (offer->concurrency > 0) {
        choice->worker = offer_worker(core, offer, band->needs, band->need_count);
        if (choice->worker == NULL) {
            fit_park(choice->fit);
        }
    } else if (band->need_count > 0) {
        choice->worker = class_roomiest(core, choice->class, band->needs, band->need_count);
        if (choice->worker == NULL) {
            band_park(band);
        }
    }
    return choice->worker != NULL;
}

/* Behind a busy slot goes only what nothing else bounds. */
static bool choice_may_prefetch(const struct core *core, const struct choice *choice)
{
    return choice->fit->offer->concurrency == 0 && choice->fit->line->needs_len == 0 &&
           !place_is_suspect(choice->place) &&
           worker_may_prefetch(core, choice->worker, choice->fit->line->type);
}

/* More than the worker's window takes; one that is empty takes anything. */
static bool choice_is_too_big(const struct choice *choice)
{
    const struct worker *worker = choice->worker;
    uint64_t bytes = worker->fresh_bytes + place_payload_len(choice->place);
    return !peer_window_has(worker->session->peer, bytes) &&
           (worker->fresh_bytes > 0 || worker->session->peer->flight_bytes > 0);
}

/* What can go from the share that is first in the ring; LEASED: all is chosen. */
static enum verdict choose(struct core *core, struct choice *choice, bool prefetch)
{
    choice->fit = share_best(core, choice->share);
    if (choice->fit == NULL) {
        return VERDICT_AGAIN; /* the share left the ring */
    }
    choice->place = line_head(choice->fit->line);
    if (place_is_void(choice->place)) {
        place_drop(core, choice->fit->line, choice->place);
        return VERDICT_DROPPED;
    }
    if (prefetch) {
        return choice_may_prefetch(core, choice) ? VERDICT_LEASED : VERDICT_NONE;
    }
    if (worker_free_slots(core, choice->worker) <= 0) {
        return VERDICT_NONE;
    }
    return choose_worker(core, choice) ? VERDICT_LEASED : VERDICT_AGAIN;
}

/* Whether nothing else waits for the class, so that nobody's turn comes next. */
static bool choice_is_alone(const struct choice *choice)
{
    const struct lane *lane = choice->fit->lane;
    return choice->place->kind == PLACE_RUN && choice->class->ring_count == 1 &&
           lane->turn->tenant == NULL && drv_heap_count(&choice->share->bands) == 1 &&
           drv_heap_count(&lane->band->lanes) == 1 && drv_heap_count(&lane->fits) == 1;
}

/* The elements behind the one that was just leased, as far as the same goes for them. */
static uint32_t dispatch_more(struct core *core, const struct choice *choice)
{
    uint32_t count = 0;
    while (count < ELEMENTS_AT_ONCE && line_head(choice->fit->line) == choice->place &&
           choice_may_prefetch(core, choice) && !choice_is_too_big(choice) &&
           dispatch(core, choice)) {
        count++;
    }
    return count;
}

/* One try with the share that is first in the ring. */
static enum verdict class_try(struct core *core, struct class *class, bool prefetch,
                              uint32_t *out_count)
{
    struct choice choice = {.class = class, .worker = class_freest(class)};
    struct drv_list *link = drv_list_first(&class->ring);
    if (link == NULL || choice.worker == NULL) {
        return VERDICT_NONE;
    }
    choice.share = DRV_LIST_ITEM(link, struct share, ring);
    struct throttle *throttle = choice.share->queue->throttle;
    if (throttle != NULL && !throttle_is_open(core, throttle)) {
        throttle_shut(core, choice.share);
        return VERDICT_AGAIN;
    }
    enum verdict verdict = choose(core, &choice, prefetch);
    if (verdict != VERDICT_LEASED) {
        return verdict;
    }
    if (choice_is_too_big(&choice)) {
        choice.worker->is_choked = true; /* until something is settled */
        worker_update(core, choice.worker);
        return VERDICT_AGAIN;
    }
    if (!dispatch(core, &choice)) {
        core->is_starved = true;
        return VERDICT_NONE;
    }
    *out_count = 1;
    if (throttle != NULL) {
        throttle_take(core, throttle);
    } else if (prefetch && choice_is_alone(&choice)) {
        *out_count += dispatch_more(core, &choice);
    }
    dispatched(core, choice.worker);
    share_served(choice.fit);
    share_charge(choice.share);
    return VERDICT_LEASED;
}

/*
 * True when a lease was made, or something dropped that costs as much. What stands behind busy
 * slots comes from the queue whose turn it is, too: were another one taken because its work is
 * short, it would fill every slot that becomes free, and a queue with long work would never
 * have its turn.
 */
static bool class_lease_one(struct core *core, struct class *class, bool prefetch,
                            uint32_t *budget)
{
    enum verdict verdict;
    uint32_t count = 1;
    do {
        verdict = class_try(core, class, prefetch, &count);
    } while (verdict == VERDICT_AGAIN);
    if (verdict == VERDICT_NONE) {
        return false;
    }
    *budget -= count < *budget ? count : *budget;
    return true;
}

/* One lease per class and round, so that classes which can do the same work share it. */
static bool dispatch_rounds(struct core *core, bool prefetch, uint32_t *budget)
{
    struct drv_list active, idle;
    drv_list_init(&active);
    drv_list_init(&idle);
    drv_list_splice_back(&active, &core->dirty_classes);
    struct drv_list *link;
    while (*budget > 0 && (link = drv_list_pop_front(&active)) != NULL) {
        struct class *class = DRV_LIST_ITEM(link, struct class, dirty);
        if (class_lease_one(core, class, prefetch, budget)) {
            drv_list_remove(&class->dirty); /* dispatching touched it */
            drv_list_push_back(&active, &class->dirty);
        } else {
            drv_list_remove(&class->dirty);
            drv_list_push_back(&idle, &class->dirty);
        }
    }
    bool is_done = drv_list_is_empty(&active);
    drv_list_splice_back(&active, &idle);
    drv_list_splice_back(&core->dirty_classes, &active);
    return is_done;
}

void sched_dispatch(struct core *core)
{
    if (core->is_draining) {
        return;
    }
    uint32_t budget = LEASES_PER_TICK;
    core->is_starved = false;
    DRV_LIST_EACH(link, &core->dirty_classes)
    {
        struct class *class = DRV_LIST_ITEM(link, struct class, dirty);
        if (class->has_room) {
            class_unpark(core, class);
        }
    }
    if (!dispatch_rounds(core, false, &budget) || !dispatch_rounds(core, true, &budget)) {
        core->wants_tick = true;
        return;
    }
    while (!core->is_starved && drv_list_pop_front(&core->dirty_classes) != NULL) {
    }
}

/* --- recall ------------------------------------------------------------------------------ */

static void recall(struct core *core, struct lease *lease)
{
    lease->flags |= LEASE_RECALLED;
    lease_notify(core, lease, NOTICE_RECALL);
    if (core->config.defects.double_lease) {
        lease_return(core, lease); /* defect: its worker may just be starting it */
    }
}

/* Whether a worker of the class could run it now. */
static bool class_could_run(const struct core *core, const struct class *class,
                            const struct line *line)
{
    if (!class_fits(core, class, line)) {
        return false;
    }
    const struct offer *offer = class_offer(class, line->type);
    return offer->concurrency == 0 || offer_worker(core, offer, NULL, 0) != NULL;
}

/* Asks back up to `wanted` leases of one worker, the youngest first; those asked before count.
 * Returns how many; lowers *next_us to when one of them will have waited long enough. */
static uint64_t worker_recall(struct core *core, struct worker *worker,
                              const struct class *class, uint64_t wanted, int64_t *next_us)
{
    uint64_t asked = 0;
    uint32_t excess = worker->held > worker->slots ? worker->held - worker->slots : 0;
    struct drv_list *link = worker->leases.prev;
    while (link != &worker->leases && asked < wanted && excess > 0) {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        link = link->prev;
        if (lease->flags & LEASE_STARTED) {
            continue; /* whichever it began with: what does not run is what it has beyond */
        }
        excess--;
        if (lease->flags & LEASE_RECALLED) {
            asked++;
            continue;
        }
        if (lease->unit->flags & UNIT_CANCELLING ||
            !class_could_run(core, class, lease->task->spec->line)) {
            continue;
        }
        int64_t ripe_us = lease->since_us + RECALL_AFTER_US;
        if (ripe_us > core->now_us) {
            *next_us = ripe_us < *next_us ? ripe_us : *next_us;
            continue;
        }
        recall(core, lease);
        asked++;
    }
    return asked;
}

int64_t sched_recall(struct core *core)
{
    int64_t next_us = INT64_MAX;
    if (drv_list_is_empty(&core->loaded) || core->is_draining) {
        return next_us;
    }
    DRV_LIST_EACH(class_link, &core->classes)
    {
        struct class *class = DRV_LIST_ITEM(class_link, struct class, link);
        if (class->idle == 0 || class->ring_count > 0) {
            continue;
        }
        uint64_t wanted = class->idle;
        int looked = 0;
        DRV_LIST_EACH_SAFE(link, &core->loaded)
        {
            if (wanted == 0 || looked++ == RECALL_WORKERS) {
                break;
            }
            struct worker *worker = DRV_LIST_ITEM(link, struct worker, loaded);
            if (worker->session->peer != NULL) {
                wanted -= worker_recall(core, worker, class, wanted, &next_us);
            }
        }
    }
    return next_us;
}
