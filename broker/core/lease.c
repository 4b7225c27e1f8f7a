#include "lease.h"

#include "broker.h"
#include "cancel.h"
#include "check.h"
#include "hand.h"

#include <stdlib.h>

#define NO_SLOT UINT32_MAX

/* --- slots ------------------------------------------------------------------------------- */

static bool leases_grow(struct leases *leases)
{
    uint32_t capacity = leases->capacity == 0 ? 256 : leases->capacity * 2;
    struct lease_slot *slots = realloc(leases->slots, capacity * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    leases->slots = slots;
    leases->capacity = capacity;
    return true;
}

static bool lease_enter(struct leases *leases, struct lease *lease)
{
    if (leases->capacity == 0) {
        leases->first_free = NO_SLOT;
    }
    if (leases->first_free == NO_SLOT && leases->used == leases->capacity &&
        !leases_grow(leases)) {
        return false;
    }
    struct lease_slot *slot;
    if (leases->first_free != NO_SLOT) {
        lease->slot = leases->first_free;
        slot = &leases->slots[lease->slot];
        leases->first_free = slot->next_free;
    } else {
        lease->slot = leases->used++;
        slot = &leases->slots[lease->slot];
        slot->generation = 0;
    }
    slot->lease = lease;
    lease->generation = ++slot->generation;
    leases->count++;
    return true;
}

static void lease_leave(struct leases *leases, struct lease *lease)
{
    struct lease_slot *slot = &leases->slots[lease->slot];
    slot->lease = NULL;
    slot->next_free = leases->first_free;
    leases->first_free = lease->slot;
    leases->count--;
}

struct lease *lease_by_handle(const struct core *core, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    if (slot >= core->leases.used) {
        return NULL;
    }
    struct lease *lease = core->leases.slots[slot].lease;
    return lease != NULL && lease->generation == handle >> 32 ? lease : NULL;
}

const struct lease *lease_by_slot(const struct core *core, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    return slot < core->leases.used ? core->leases.slots[slot].lease : NULL;
}

void lease_prefetch_slot(const struct core *core, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    if (slot < core->leases.used) {
        __builtin_prefetch(&core->leases.slots[slot]);
    }
}

void leases_fini(struct core *core)
{
    DRV_ASSERT(core->leases.count == 0);
    free(core->leases.slots);
}

/* --- life -------------------------------------------------------------------------------- */

struct lease *lease_new(struct core *core, const struct item *item)
{
    DRV_ASSERT(item->unit->lease == NULL);
    hand_take(core, &item->task->id, item->index);
    struct lease *lease = drv_slab_alloc(&core->lease_slab);
    if (lease == NULL) {
        return NULL;
    }
    bool is_element = item->index != DROVER_INDEX_NONE; /* a task has a timer of its own */
    timer_none(&lease->timer);
    if (is_element && !timer_init(core, &lease->timer, TIMER_LEASE)) {
        drv_slab_free(&core->lease_slab, lease);
        return NULL;
    }
    if (!lease_enter(&core->leases, lease)) {
        if (is_element) {
            timer_fini(core, &lease->timer);
        }
        drv_slab_free(&core->lease_slab, lease);
        return NULL;
    }
    lease->task = item->task;
    lease->unit = item->unit;
    lease->index = item->index;
    drv_list_init(&lease->in_worker);
    drv_list_init(&lease->link);
    drv_list_init(&lease->waiters);
    place_init(&lease->place, PLACE_LEASE);
    item->unit->lease = lease;
    core->memory_bytes += sizeof *lease;
    return lease;
}

void lease_free(struct core *core, struct lease *lease)
{
    DRV_ASSERT(lease->worker == NULL && !place_is_in(&lease->place));
    waiters_release(core, &lease->waiters);
    if (lease->index != DROVER_INDEX_NONE) {
        timer_fini(core, &lease->timer);
    }
    lease_leave(&core->leases, lease);
    lease->unit->lease = NULL;
    drv_slab_free(&core->lease_slab, lease);
    core->memory_bytes -= sizeof *lease;
}

struct item lease_item(const struct lease *lease)
{
    return (struct item){.task = lease->task, .unit = lease->unit, .index = lease->index};
}

struct drv_ref lease_ref(const struct lease *lease)
{
    return (struct drv_ref){
        .handle = lease_handle(lease),
        .id = lease->task->id,
        .index = lease->index,
        .attempt = lease->unit->attempt,
    };
}

struct lease *lease_find(const struct core *core, const struct drv_ref *ref)
{
    struct lease *lease = lease_by_handle(core, ref->handle);
    if (lease == NULL || lease->index != ref->index ||
        !drover_id_equal(&lease->task->id, &ref->id)) {
        struct item item;
        if (!item_find(core, &ref->id, ref->index, &item)) {
            return NULL;
        }
        lease = unit_lease(item.unit);
    }
    if (lease == NULL || lease->worker == NULL || lease->unit->attempt != ref->attempt) {
        return NULL;
    }
    return lease;
}

void lease_give(struct core *core, struct lease *lease, struct worker *worker)
{
    struct type *type = lease->task->spec->line->type;
    bool keep_attempt = core->config.defects.reuse_attempt && lease->unit->attempt > 0;
    lease->unit->attempt += keep_attempt ? 0 : 1; /* defect: the token does not change */
    lease->unit->flags &= (uint8_t)~UNIT_REPORTED;
    lease->worker = worker;
    lease->flags = sched_is_short(core, type) ? 0 : LEASE_LONG;
    lease->notices = 0;
    lease->attached = 0;
    lease->since_us = core->now_us;
    lease->started_us = 0;
    if (lease->unit->flags & UNIT_SUSPECT && !core->config.defects.trust_suspects) {
        lease->flags |= LEASE_CONFIRM;
    }
    drv_list_push_back(&worker->leases, &lease->in_worker);
    worker->held++;
    worker->long_held += (lease->flags & LEASE_LONG) != 0;
    struct line *line = lease->task->spec->line;
    line_held(line);
    if (line->needs_len > 0) {
        worker_use(worker, line);
    }
}

void lease_restore(struct lease *lease, struct worker *worker)
{
    lease->worker = worker;
    lease->attached = 0;
    lease->flags |= LEASE_LONG | LEASE_GONE_OUT; /* nobody knows how long it runs */
    drv_list_push_back(&worker->leases, &lease->in_worker);
    worker->held++;
    worker->long_held++;
    worker->started += (lease->flags & LEASE_STARTED) != 0;
    line_held(lease->task->spec->line);
    worker_use(worker, lease->task->spec->line);
    lease_excuse(lease);
}

void lease_excuse(struct lease *lease)
{
    line_excuse(lease->task->spec->line);
    worker_excuse(lease->worker);
}

void lease_use_room(struct lease *lease, struct offer *offer)
{
    struct room *room = worker_room(lease->worker, offer);
    lease->flags |= LEASE_ROOM;
    if (++room->used >= offer->concurrency) {
        drv_list_remove(&room->link);
    }
}

static void lease_give_room_back(struct lease *lease)
{
    if ((lease->flags & LEASE_ROOM) == 0) {
        return;
    }
    struct offer *offer = class_offer(lease->worker->class, lease->task->spec->line->type);
    struct room *room = worker_room(lease->worker, offer);
    DRV_ASSERT(room != NULL && room->used > 0);
    if (--room->used < offer->concurrency && !drv_list_is_linked(&room->link)) {
        drv_list_push_back(&offer->rooms, &room->link);
    }
    lease->flags &= (uint8_t)~LEASE_ROOM;
    lease->worker->class->has_room = true;
}

void lease_take(struct core *core, struct lease *lease)
{
    struct worker *worker = lease->worker;
    DRV_ASSERT(worker != NULL);
    lease_give_room_back(lease);
    line_given_back(core, lease->task->spec->line);
    if (lease->task->spec->line->needs_len > 0) {
        worker_unuse(worker, lease->task->spec->line);
    }
    drv_list_remove(&lease->in_worker);
    drv_list_remove(&lease->link);
    worker->held--;
    worker->long_held -= (lease->flags & LEASE_LONG) != 0;
    worker->started -= (lease->flags & LEASE_STARTED) != 0;
    if (task_is_array(lease->task)) {
        shared_unuse(core, worker, lease->task->array);
    }
    lease->worker = NULL;
    lease->flags = 0;
    lease->notices = 0;
    output_taken(core, lease);
    waiters_release(core, &lease->waiters);
    worker_touch(core, worker);
}

/* --- what happens to it ------------------------------------------------------------------ */

void lease_start(struct core *core, struct lease *lease)
{
    if (lease->flags & LEASE_STARTED) {
        return;
    }
    struct item item = lease_item(lease);
    lease->flags |= LEASE_STARTED;
    lease->flags &= (uint8_t)~LEASE_RECALLED;
    lease->started_us = core->now_us;
    lease->worker->started++;
    lease->unit->flags |= UNIT_STARTED;
    item_set_state(core, &item, DROVER_STATE_RUNNING);
    effects_record_item(core, CORE_RECORD_STARTED, &item, &lease->worker->session->id);
    event_item(core, DRV_EVENT_TASK_STARTED, &item);
    waiters_release(core, &lease->waiters);
    lease_start_again(core, lease);
}

void lease_start_and_end(struct core *core, struct lease *lease)
{
    if (core->config.tells_records || event_is_wanted(core, DRV_EVENT_TASK_STARTED)) {
        lease_start(core, lease);
    } else {
        lease->unit->flags |= UNIT_STARTED; /* nobody sees the state between */
    }
}

void lease_start_again(struct core *core, struct lease *lease)
{
    if (lease->flags & LEASE_CONFIRM) {
        bool is_cancelling = (lease->unit->flags & UNIT_CANCELLING) != 0;
        lease_notify(core, lease, is_cancelling ? NOTICE_ABORT : NOTICE_GO);
    }
}

/* Back into line, or to its end when it is being cancelled. */
static void lease_put_back(struct core *core, struct lease *lease)
{
    struct item item = lease_item(lease);
    bool is_cancelling = (lease->unit->flags & UNIT_CANCELLING) != 0;
    core->counters.requeued_free++;
    lease_take(core, lease);
    line_refund(core, item.task->spec->line);
    if (is_cancelling) {
        item_cancel(core, &item, cancel_text_of(item.unit, "cancelled before it started"));
    } else {
        item_queue(core, &item, true);
    }
}

void lease_return(struct core *core, struct lease *lease)
{
    struct item item = lease_item(lease);
    effects_record_item(core, CORE_RECORD_RETURNED, &item, &lease->worker->session->id);
    lease_put_back(core, lease);
}

void lease_reclaim(struct core *core, struct lease *lease)
{
    if (lease->flags & LEASE_STARTED) {
        lease_lose(core, lease);
        return;
    }
    struct item item = lease_item(lease);
    effects_record_item(core, CORE_RECORD_REQUEUED, &item, &lease->worker->session->id);
    lease_put_back(core, lease);
}

void lease_interrupt(struct core *core, struct lease *lease)
{
    struct item item = lease_item(lease);
    struct who *who = lease->worker->who;
    who->references++;
    lease_start(core, lease); /* it says so only now, perhaps */
    lease_take(core, lease);
    item_interrupted(core, &item, who);
    who_release(core, &who);
}

void lease_lose(struct core *core, struct lease *lease)
{
    struct item item = lease_item(lease);
    struct who *who = lease->worker->who;
    bool was_started = (lease->flags & LEASE_STARTED) != 0;
    who->references++;
    lease_take(core, lease);
    core->reporter = who;
    item_lost(core, &item, was_started, who);
    core->reporter = NULL;
    who_release(core, &who);
}

void lease_notify(struct core *core, struct lease *lease, uint8_t notice)
{
    struct worker *worker = lease->worker;
    lease->notices |= notice;
    if (!drv_list_is_linked(&lease->link)) {
        drv_list_push_back(&worker->notices, &lease->link);
    }
    session_touch(core, worker->session);
}

void lease_abort(struct core *core, struct lease *lease)
{
    bool is_new = !(lease->unit->flags & UNIT_CANCELLING);
    lease->unit->flags |= UNIT_CANCELLING;
    lease->flags &= (uint8_t)~LEASE_RECALLED;
    if (is_new && lease->flags & LEASE_STARTED) {
        struct item item = lease_item(lease);
        event_item(core, DRV_EVENT_TASK_CANCELLING, &item);
    }
    lease->notices &= (uint8_t) ~(NOTICE_RECALL | NOTICE_GO);
    lease_notify(core, lease, NOTICE_ABORT);
}
