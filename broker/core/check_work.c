/*
 * check_work.c: queues and lines, leases and workers, and the classes that bring them together.
 */
#include "check_core.h"

/* --- lines ------------------------------------------------------------------------------- */

static const struct task *place_task(const struct place *place)
{
    struct place *at = (struct place *)place;
    switch ((enum place_kind)place->kind) {
    case PLACE_TASK:
        return DRV_CONTAINER_OF(at, struct task, place);
    case PLACE_RUN:
        return DRV_CONTAINER_OF(at, struct run, place)->task;
    case PLACE_LEASE:
        return DRV_CONTAINER_OF(at, struct lease, place)->task;
    }
    DRV_UNREACHABLE();
}

static void check_place(struct check *check, const struct line *line, const struct place *place,
                        enum place_where where)
{
    expect(check, place->where == (uint8_t)where, "a place is not where it says");
    expect(check, place->arrival > 0 && place->arrival <= check->core->arrival,
           "a place has an arrival number that was never given");
    expect(check, place_task(place)->spec->line == line, "a task stands in a wrong line");
}

/* In the order of arrival: promise 6. */
static uint64_t check_places(struct check *check, const struct line *line)
{
    uint64_t count = 0, last = 0;
    DRV_LIST_EACH(link, &line->fifo)
    {
        const struct place *place = DRV_LIST_ITEM(link, struct place, link);
        check_place(check, line, place, PLACE_FIFO);
        expect(check, place->arrival > last, "a line is not in the order of arrival");
        last = place->arrival;
        count++;
    }
    check_heap(check, &line->returned, "what came back to a line is out of order");
    for (size_t i = 0; i < line->returned.count; i++) {
        const struct drv_heap_node *node = line->returned.nodes[i];
        check_place(check, line, DRV_CONTAINER_OF(node, struct place, node), PLACE_BACK);
        count++;
    }
    return count;
}

static void check_line(struct check *check, const struct line *line)
{
    struct tally *tally = tally_of(check, &check->lines, line);
    uint64_t count = check_places(check, line);
    check_fits(check, line);
    if (line->tenant != NULL) {
        tally_of(check, &check->tenants, line->tenant)->references++;
        expect(check, line->tenant->queue == line->queue,
               "a line has the key of another queue");
    }
    if (check->is_exact) {
        expect(check, count == tally->places, "somebody stands in a line and does not know it");
    }
    tally_of(check, &check->queues, line->queue)->references++;
    tally_of(check, &check->types, line->type)->references++;
}

void check_lines(struct check *check)
{
    for (size_t i = 0; i < check->specs.count; i++) {
        const struct tally *tally = &check->specs.items[i];
        const struct spec *spec = tally->owner;
        bool holds = check->is_exact ? spec->references == tally->references
                                     : spec->references >= tally->references;
        expect(check, holds, "the options of tasks have a wrong number of references");
        tally_of(check, &check->lines, spec->line)->references++;
    }
    for (size_t i = 0; i < check->lines.count && check->broken == NULL; i++) {
        const struct line *line = check->lines.items[i].owner;
        expect(check, line->references == check->lines.items[i].references,
               "a line has a wrong number of references");
        check_line(check, line);
    }
}

/* --- leases ------------------------------------------------------------------------------ */

static void check_held(struct check *check, const struct lease *lease)
{
    const struct worker *worker = lease->worker;
    struct tally *tally = tally_of(check, &check->workers, worker);
    tally->held++;
    tally->long_held += (lease->flags & LEASE_LONG) != 0;
    tally->started += (lease->flags & LEASE_STARTED) != 0;
    const struct line *line = lease->task->spec->line;
    tally_of(check, &check->queues, line->queue)->held++;
    if (line->tenant != NULL) {
        tally_of(check, &check->tenants, line->tenant)->held++;
    }
    expect(check, drv_list_is_linked(&lease->in_worker), "a worker does not know of its lease");
    expect(check, !unit_is_terminal(lease->unit), "an ended task is held");
    expect(check, !place_is_in(&lease->place), "a held element stands in line");
    expect(check, !(lease->flags & LEASE_STARTED) || !(lease->flags & LEASE_RECALLED),
           "what runs is asked back");
    expect(check, !(lease->notices & NOTICE_ABORT) || lease->unit->flags & UNIT_CANCELLING,
           "something is aborted that nobody cancelled");
}

void check_leases(struct check *check)
{
    const struct leases *leases = &check->core->leases;
    uint32_t count = 0, free = 0;
    for (uint32_t slot = 0; slot < leases->used; slot++) {
        const struct lease *lease = leases->slots[slot].lease;
        if (lease == NULL) {
            continue;
        }
        count++;
        expect(check,
               lease->slot == slot && lease->generation == leases->slots[slot].generation,
               "a lease is in the slot of another");
        if (lease->worker != NULL) {
            check_held(check, lease);
        } else {
            expect(check,
                   !drv_list_is_linked(&lease->in_worker) && !drv_list_is_linked(&lease->link),
                   "a worker has a lease that was taken from it");
            expect(check, drv_list_is_empty(&lease->waiters),
                   "a request waits for a worker that holds nothing");
        }
    }
    for (uint32_t slot = leases->first_free;
         count < leases->used && slot != UINT32_MAX && free <= leases->used;
         slot = leases->slots[slot].next_free) {
        free++;
    }
    expect(check, count == leases->count && count + free == leases->used,
           "slots of leases are lost");
    if (check->is_exact) {
        expect(check, count == check->leases, "a lease is about nothing");
    }
}

/* --- parked leases ----------------------------------------------------------------------- */

void check_parked(struct check *check)
{
    const struct core *core = check->core;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct parked *parked;
    while ((parked = drv_table_next(&core->parked, &cursor)) != NULL) {
        struct tally *tally = tally_of(check, &check->workers, parked->worker);
        tally->held++;
        tally->long_held++;
        expect(check, park_find(core, &parked->id, parked->index) == parked,
               "a parked lease is not found");
        expect(check, drv_list_is_linked(&parked->in_worker),
               "a worker does not know of its parked lease");
        expect(check, park_is_open(core), "leases are parked for ever");
    }
    expect(check,
           check_list_count(&core->tombs_by_age) == drv_table_count(&core->tombs) &&
               drv_table_count(&core->tombs) <= TOMBS_MAX,
           "tombstones are miscounted");
}

/* --- workers ----------------------------------------------------------------------------- */

static void check_worker_lists(struct check *check, const struct worker *worker)
{
    DRV_LIST_EACH(link, &worker->leases)
    {
        expect(check, DRV_LIST_ITEM(link, struct lease, in_worker)->worker == worker,
               "a worker lists the lease of another");
    }
    uint64_t bytes = 0;
    DRV_LIST_EACH(link, &worker->fresh)
    {
        const struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
        struct item item = lease_item(lease);
        expect(check, lease->worker == worker && !(lease->flags & LEASE_GONE_OUT),
               "a lease is sent twice or to another worker");
        bytes += item_payload_len(&item);
    }
    expect(check, bytes <= worker->fresh_bytes, "the bytes of new leases are miscounted");
    DRV_LIST_EACH(link, &worker->notices)
    {
        const struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
        expect(check, lease->worker == worker && lease->notices != 0,
               "a worker is told nothing, or of another's lease");
    }
}

static struct drv_str host_name(const struct worker *worker)
{
    const struct who *who = worker->who;
    return who == NULL ? str_of(NULL, 0) : str_of(who->text + who->name_len, who->host_len);
}

/* One step of the ring, so that all of them together see all of it. */
static void check_host(struct check *check, const struct worker *worker)
{
    const struct worker *other = DRV_LIST_ITEM(worker->same_host.next, struct worker,
                                               same_host);
    expect(check,
           other->same_host.prev == &worker->same_host &&
               str_equals(host_name(worker), host_name(other)),
           "workers of two hosts are taken for those of one");
}

static void check_rooms(struct check *check, const struct worker *worker)
{
    for (size_t i = 0; i < worker->class->offer_count; i++) {
        const struct offer *offer = &worker->class->offers[i];
        const struct room *room = worker_room(worker, offer);
        if (room == NULL) {
            continue;
        }
        uint32_t used = 0;
        DRV_LIST_EACH(link, &worker->leases)
        {
            const struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
            used += lease->flags & LEASE_ROOM && lease->task->spec->line->type == offer->type;
        }
        expect(check, room->worker == worker && room->offer == offer, "a room is of another");
        expect(check, room->used == used, "the room for a limited type is miscounted");
        expect(check, drv_list_is_linked(&room->link) == (used < offer->concurrency),
               "a worker with room for a limited type is not known");
    }
}

static void check_shared(struct check *check, const struct worker *worker)
{
    uint32_t count = 0;
    DRV_LIST_EACH(link, &worker->shared)
    {
        const struct shared *shared = DRV_LIST_ITEM(link, struct shared, in_worker);
        uint32_t uses = 0;
        DRV_LIST_EACH(held, &worker->leases)
        {
            const struct task *task = DRV_LIST_ITEM(held, struct lease, in_worker)->task;
            uses += task_is_array(task) && task->array == shared->array;
        }
        expect(check, shared->worker == worker && shared->array->with != NULL,
               "a shared value is of another worker");
        expect(check, shared->uses == uses, "the uses of a shared value are miscounted");
        count++;
    }
    expect(check, count == worker->shared_count, "shared values are miscounted");
}

static void check_capacity(struct check *check, const struct worker *worker)
{
    bool may_work = worker_may_work(check->core, worker);
    int32_t free_slots = worker_free_slots(check->core, worker);
    uint32_t idle = may_work && free_slots > 0 ? (uint32_t)free_slots : 0;
    expect(check, drv_heap_node_is_in(&worker->node) == may_work,
           "a worker that may work is not known, or one that may not is");
    expect(check, worker->counted_idle == idle, "the free slots of a worker are miscounted");
    expect(check, drv_list_is_linked(&worker->loaded) == (worker->held > worker->slots),
           "a worker with more than its slots is not known");
}

static void check_worker(struct check *check, const struct worker *worker)
{
    const struct tally *tally = tally_of(check, &check->workers, worker);
    expect(check, worker->session->worker == worker, "a worker is of another session");
    expect(check, worker->held == tally->held, "the leases of a worker are miscounted");
    expect(check, worker->long_held == tally->long_held, "its long leases are miscounted");
    expect(check, worker->started == tally->started, "its started leases are miscounted");
    expect(check, worker->class != NULL && worker->who != NULL, "a worker is half made");
    if (check->broken != NULL) {
        return;
    }
    expect(check, worker_find(check->core, worker_name(worker)) == worker,
           "a worker is not found by its name");
    expect(check, timer_is_armed(&worker->timer), "a silent worker is never lost");
    check_timer(check, &worker->timer, TIMER_WORKER);
    check_worker_lists(check, worker);
    check_host(check, worker);
    check_rooms(check, worker);
    check_stocks(check, worker);
    check_shared(check, worker);
    check_capacity(check, worker);
}

void check_workers(struct check *check)
{
    size_t count = 0;
    DRV_LIST_EACH(link, &check->core->workers)
    {
        check_worker(check, DRV_LIST_ITEM(link, struct worker, link));
        count++;
    }
    expect(check, count == drv_table_count(&check->core->workers_by_name),
           "workers are miscounted");
}

/* --- classes ----------------------------------------------------------------------------- */

static void check_class(struct check *check, const struct class *class)
{
    uint64_t workers = 0, idle = 0;
    size_t ready = 0;
    DRV_LIST_EACH(link, &check->core->workers)
    {
        const struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        if (worker->class == class) {
            workers++;
            idle += worker->counted_idle;
            ready += drv_heap_node_is_in(&worker->node);
        }
    }
    DRV_LIST_EACH(link, &class->shares)
    {
        check_share(check, class, DRV_LIST_ITEM(link, struct share, in_class));
    }
    check_heap(check, &class->workers, "the workers of a class are out of order");
    expect(check, class->references == workers, "the workers of a class are miscounted");
    expect(check, class->idle == idle, "the free slots of a class are miscounted");
    expect(check, drv_heap_count(&class->workers) == ready, "a worker is in another class");
    expect(check, check_list_count(&class->ring) == class->ring_count,
           "the queues in turn are miscounted");
    bool is_stalled = class->ring_count > 0 && class->idle > 0 &&
                      !drv_list_is_linked(&class->dirty) && !check->core->is_draining;
    expect(check, !is_stalled, "there is work and a free slot, and nobody looks");
    for (size_t i = 0; i < class->offer_count; i++) {
        tally_of(check, &check->types, class->offers[i].type)->references++;
    }
}

void check_classes(struct check *check)
{
    DRV_LIST_EACH(link, &check->core->classes)
    {
        check_class(check, DRV_LIST_ITEM(link, struct class, link));
    }
}

/* --- queues and types -------------------------------------------------------------------- */

static void check_queue(struct check *check, const struct tally *tally)
{
    const struct queue *queue = tally->owner;
    uint64_t references = tally->references + queue->has_settings +
                          check_list_count(&queue->sweeps);
    expect(check, queue_find(check->core, queue_name(queue)) == queue,
           "a queue is not found by its name");
    expect(check, queue->references == references && references > 0,
           "a queue has a wrong number of references");
    expect(check, check_list_count(&queue->lines) == tally->references,
           "the lines of a queue are miscounted");
    expect(check,
           queue->waiting == tally->waiting && queue->delayed == tally->delayed &&
               queue->queued == tally->queued && queue->running == tally->running,
           "a queue miscounts its tasks");
    expect(check, queue->bytes == tally->bytes, "a queue miscounts its bytes");
    expect(check, queue->weight >= 1, "a queue never has a turn");
    expect(check, queue->held == tally->held, "a queue miscounts its leases");
    check_throttle(check, queue);
}

static void check_type(struct check *check, const struct tally *tally)
{
    const struct type *type = tally->owner;
    expect(check, type_find(check->core, type_name(type)) == type,
           "a type is not found by its name");
    expect(check, type->references == tally->references && tally->references > 0,
           "a type has a wrong number of references");
    expect(check,
           check_list_count(&type->lines) + check_list_count(&type->offers) ==
               tally->references,
           "the lines and offers of a type are miscounted");
    expect(check, type->queued == tally->queued && type->running == tally->running,
           "a type miscounts its tasks");
}

void check_queues(struct check *check)
{
    for (size_t i = 0; i < check->queues.count; i++) {
        check_queue(check, &check->queues.items[i]);
    }
    for (size_t i = 0; i < check->types.count; i++) {
        check_type(check, &check->types.items[i]);
    }
}
