#include "placement.h"

#include "broker.h"

/* --- hosts ------------------------------------------------------------------------------- */

static struct drv_str host_of(const struct worker *worker)
{
    const struct who *who = worker->who;
    return who == NULL ? str_of(NULL, 0) : str_of(who->text + who->name_len, who->host_len);
}

void placement_join(struct core *core, struct worker *worker)
{
    struct drv_str host = host_of(worker);
    DRV_LIST_EACH(link, &core->workers)
    {
        struct worker *other = DRV_LIST_ITEM(link, struct worker, link);
        if (other != worker && str_equals(host_of(other), host)) {
            drv_list_push_back(&other->same_host, &worker->same_host);
            return;
        }
    }
}

void placement_leave(struct worker *worker)
{
    drv_list_remove(&worker->same_host);
}

/* Leases per slot of its host, in thousandths. */
static uint64_t host_load(const struct worker *worker)
{
    uint64_t held = worker->held;
    uint64_t slots = worker->slots;
    for (const struct drv_list *link = worker->same_host.next; link != &worker->same_host;
         link = link->next) {
        const struct worker *other = DRV_LIST_ITEM((struct drv_list *)link, struct worker,
                                                   same_host);
        held += other->held;
        slots += other->slots;
    }
    return slots == 0 ? 0 : held * 1000 / slots;
}

/* --- choosing ---------------------------------------------------------------------------- */

static bool may_have(const struct core *core, const struct worker *worker,
                     const struct offer *offer, const struct need *needs, size_t need_count)
{
    const struct room *room = worker_room(worker, offer);
    return worker_free_slots(core, worker) > 0 &&
           (room == NULL || room->used < offer->concurrency) &&
           worker_has(core, worker, needs, need_count);
}

struct worker *placement_choose(const struct core *core, const struct offer *offer,
                                const struct need *needs, size_t need_count, uint32_t placement)
{
    const struct drv_heap *workers = &offer->class->workers;
    struct worker *best = NULL;
    uint64_t best_load = 0;
    for (size_t i = 0; i < workers->count; i++) {
        struct worker *worker = DRV_CONTAINER_OF(workers->nodes[i], struct worker, node);
        if (!may_have(core, worker, offer, needs, need_count)) {
            continue;
        }
        uint64_t load = host_load(worker);
        bool is_better = placement == DRV_PLACEMENT_PACK ? load > best_load : load < best_load;
        if (best == NULL || is_better ||
            (load == best_load && worker_before(&worker->node, &best->node))) {
            best = worker;
            best_load = load;
        }
    }
    return best;
}
