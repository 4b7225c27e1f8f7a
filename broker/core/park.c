#include "park.h"

#include "broker.h"
#include "check.h"

struct park_key {
    drover_id id;
    uint32_t index;
};

static bool parked_is(const void *entry, const void *key)
{
    const struct parked *parked = entry;
    const struct park_key *wanted = key;
    return parked->index == wanted->index && drover_id_equal(&parked->id, &wanted->id);
}

static bool tomb_is(const void *entry, const void *key)
{
    const struct tomb *tomb = entry;
    const struct park_key *wanted = key;
    return tomb->index == wanted->index && drover_id_equal(&tomb->id, &wanted->id);
}

void park_tables_init(struct core *core)
{
    drv_table_init(&core->parked, core->config.seed, parked_is);
    drv_table_init(&core->tombs, core->config.seed, tomb_is);
}

static uint64_t park_hash(const struct core *core, const struct park_key *key)
{
    return drv_table_hash(&core->parked, key->id.bytes, sizeof key->id.bytes) + key->index;
}

/* --- parked leases ----------------------------------------------------------------------- */

bool park_is_open(const struct core *core)
{
    return core->is_reattach_open;
}

struct parked *park_find(const struct core *core, const drover_id *id, uint32_t index)
{
    if (drv_table_count(&core->parked) == 0) {
        return NULL;
    }
    struct park_key key = {*id, index};
    return drv_table_find(&core->parked, park_hash(core, &key), &key);
}

bool park_add(struct core *core, struct worker *worker, const struct drv_attached *attached)
{
    if (!park_is_open(core) || attached->state > 2) {
        return false;
    }
    struct park_key key = {attached->id, attached->index};
    struct parked *parked = park_find(core, &key.id, key.index);
    if (parked != NULL) {
        if (parked->worker != worker || parked->attempt != attached->attempt) {
            return false;
        }
        parked->is_started |= attached->state == 2; /* the same worker again */
        parked->may_wait = attached->state != 2;
        return true;
    }
    parked = core_alloc(core, sizeof *parked);
    if (parked == NULL) {
        return false;
    }
    parked->id = attached->id;
    parked->index = attached->index;
    parked->attempt = attached->attempt;
    parked->is_started = attached->state == 2;
    parked->may_wait = attached->state != 2;
    parked->worker = worker;
    if (drv_table_insert(&core->parked, park_hash(core, &key), parked)) {
        core_free(core, parked, sizeof *parked);
        return false;
    }
    drv_list_push_back(&worker->parked, &parked->in_worker);
    worker->held++;
    worker->long_held++; /* nobody knows how long it runs */
    worker_update(core, worker);
    return true;
}

void park_free(struct core *core, struct parked *parked)
{
    struct worker *worker = parked->worker;
    struct park_key key = {parked->id, parked->index};
    drv_table_remove_entry(&core->parked, park_hash(core, &key), parked);
    drv_list_remove(&parked->in_worker);
    worker->held--;
    worker->long_held--;
    core_free(core, parked, sizeof *parked);
    worker_update(core, worker);
}

/* A lease for what the worker holds. NULL: out of memory. */
static struct lease *adopted_lease(struct core *core, const struct item *item,
                                   struct worker *worker)
{
    struct array *array = task_is_array(item->task) ? item->task->array : NULL;
    if (array != NULL && !shared_use(core, worker, array)) {
        return NULL;
    }
    struct lease *lease = lease_new(core, item);
    if (lease == NULL && array != NULL) {
        shared_unuse(core, worker, array);
    }
    return lease;
}

/* Where it goes when it comes back. */
static void adopted_place(struct core *core, const struct item *item, struct lease *lease)
{
    if (item->index == DROVER_INDEX_NONE) {
        place_arrive(&item->task->place, ++core->arrival);
        return;
    }
    struct array *array = item->task->array;
    place_arrive(&lease->place, ++core->arrival);
    element_mark_taken(core, array, array_element(array, item->index));
}

bool park_adopt(struct core *core, const struct item *item)
{
    struct parked *parked = park_find(core, &item->task->id, item->index);
    if (parked == NULL) {
        return false;
    }
    struct worker *worker = parked->worker;
    struct lease *lease = adopted_lease(core, item, worker);
    bool is_started = parked->is_started;
    bool may_wait = parked->may_wait;
    uint32_t attempt = parked->attempt;
    park_free(core, parked);
    if (lease == NULL) {
        item->unit->attempt = attempt; /* never to be given out again */
        return false;
    }
    adopted_place(core, item, lease);
    item_set_state(core, item, DROVER_STATE_QUEUED);
    lease_give(core, lease, worker);
    lease_excuse(lease);
    lease->unit->attempt = attempt;
    lease->attached = worker->attach_round; /* listed it is */
    lease->flags |= LEASE_GONE_OUT;
    /* Only the worker knows whether it has to ask; one that runs already passes over the GO. */
    lease->flags |= may_wait ? LEASE_CONFIRM : 0;
    struct offer *offer = class_offer(worker->class, item->task->spec->line->type);
    if (offer != NULL && offer->concurrency > 0) {
        lease_use_room(lease, offer);
    }
    effects_record_item(core, CORE_RECORD_LEASE, item, &worker->session->id);
    if (is_started) {
        lease_start(core, lease);
    }
    worker_update(core, worker);
    return true;
}

void park_lose(struct core *core, struct parked *parked)
{
    tomb_add(core, &parked->id, parked->index, parked->attempt);
    park_free(core, parked);
}

void park_close(struct core *core)
{
    core->is_reattach_open = false;
    DRV_LIST_EACH(link, &core->workers)
    {
        struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        worker_abort_parked(core, worker);
    }
}

/* --- tombstones -------------------------------------------------------------------------- */

static void tomb_free(struct core *core, struct tomb *tomb)
{
    struct park_key key = {tomb->id, tomb->index};
    drv_table_remove_entry(&core->tombs, park_hash(core, &key), tomb);
    drv_list_remove(&tomb->link);
    core_free(core, tomb, sizeof *tomb);
}

static struct tomb *tomb_find(const struct core *core, const drover_id *id, uint32_t index)
{
    struct park_key key = {*id, index};
    return drv_table_find(&core->tombs, park_hash(core, &key), &key);
}

/* The tombstone of a target, made when there is none; NULL when out of memory. */
static struct tomb *tomb_ensure(struct core *core, const drover_id *id, uint32_t index)
{
    struct tomb *tomb = tomb_find(core, id, index);
    if (tomb != NULL) {
        return tomb;
    }
    if (drv_table_count(&core->tombs) >= TOMBS_MAX) {
        tomb_free(core, DRV_LIST_ITEM(drv_list_first(&core->tombs_by_age), struct tomb, link));
    }
    tomb = core_alloc(core, sizeof *tomb);
    if (tomb == NULL) {
        return NULL;
    }
    struct park_key key = {*id, index};
    tomb->id = *id;
    tomb->index = index;
    if (drv_table_insert(&core->tombs, park_hash(core, &key), tomb)) {
        core_free(core, tomb, sizeof *tomb);
        return NULL;
    }
    drv_list_push_back(&core->tombs_by_age, &tomb->link);
    return tomb;
}

void tomb_remember(struct core *core, const drover_id *id, uint32_t index, uint32_t attempt)
{
    struct tomb *tomb = tomb_ensure(core, id, index);
    if (tomb != NULL && tomb->attempt < attempt) {
        tomb->attempt = attempt;
    }
}

void tomb_add(struct core *core, const drover_id *id, uint32_t index, uint32_t attempt)
{
    if (tomb_has(core, id, index)) {
        return;
    }
    core->counters.submitted++;
    core->counters.lost_at_restart++;
    tomb_remember(core, id, index, attempt);
    struct tomb *tomb = tomb_find(core, id, index);
    if (tomb != NULL) {
        tomb->is_lost = true;
    }
}

bool tomb_is_known(const struct core *core, const drover_id *id, uint32_t index)
{
    return tomb_find(core, id, index) != NULL;
}

bool tomb_has(const struct core *core, const drover_id *id, uint32_t index)
{
    const struct tomb *tomb = tomb_find(core, id, index);
    return tomb != NULL && tomb->is_lost;
}

void tomb_revive(struct core *core, const struct item *item)
{
    if (drv_table_count(&core->tombs) == 0) {
        return;
    }
    struct tomb *tomb = tomb_find(core, &item->task->id, item->index);
    if (tomb != NULL) {
        item->unit->attempt = tomb->attempt;
        save_item(core, item);
        tomb_free(core, tomb);
    }
}

void park_fini(struct core *core)
{
    struct drv_list *link;
    while ((link = drv_list_first(&core->tombs_by_age)) != NULL) {
        tomb_free(core, DRV_LIST_ITEM(link, struct tomb, link));
    }
    DRV_ASSERT(drv_table_count(&core->parked) == 0);
    drv_table_fini(&core->tombs);
    drv_table_fini(&core->parked);
}
