#include "roster.h"

#include "broker.h"
#include "check.h"
#include "placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names ------------------------------------------------------------------------------- */

static bool worker_is(const void *entry, const void *key)
{
    return str_equals(worker_name(entry), *(const struct drv_str *)key);
}

void roster_table_init(struct core *core)
{
    drv_table_init(&core->workers_by_name, core->config.seed, worker_is);
}

static uint64_t name_hash(const struct core *core, struct drv_str name)
{
    return drv_table_hash(&core->workers_by_name, name.ptr, name.len);
}

static struct worker *worker_by_name(const struct core *core, struct drv_str name)
{
    return drv_table_find(&core->workers_by_name, name_hash(core, name), &name);
}

struct worker *worker_find(const struct core *core, struct drv_str name)
{
    struct worker *worker = worker_by_name(core, name);
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id id;
    if (worker != NULL || name.len != DROVER_ID_TEXT_LEN) {
        return worker;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (drover_id_parse(text, &id)) {
        return NULL;
    }
    struct session *session = session_find(core, &id);
    return session == NULL ? NULL : session->worker;
}

/* The wanted name, or it with the first free number behind it. */
static struct drv_str free_name(const struct core *core, struct drv_str wanted,
                                char out_text[DRV_NAME_MAX + 1])
{
    struct worker *other = worker_by_name(core, wanted);
    if (other == NULL) {
        return wanted;
    }
    for (;;) {
        char suffix[16];
        int len = snprintf(suffix, sizeof suffix, "-%u", ++other->last_suffix + 1);
        size_t base = wanted.len + (size_t)len > DRV_NAME_MAX ? DRV_NAME_MAX - (size_t)len
                                                              : wanted.len;
        (void)snprintf(out_text, DRV_NAME_MAX + 1, "%.*s%s", (int)base, wanted.ptr, suffix);
        struct drv_str name = drv_str_of(out_text);
        if (worker_by_name(core, name) == NULL) {
            return name;
        }
    }
}

/* --- joining ----------------------------------------------------------------------------- */

static void worker_leave_class(struct core *core, struct worker *worker)
{
    struct class *class = worker->class;
    if (class == NULL) {
        return;
    }
    class->idle -= worker->counted_idle;
    worker->counted_idle = 0;
    drv_heap_remove(&class->workers, &worker->node);
    drv_list_remove(&worker->loaded);
    for (size_t i = 0; i < class->limited_count; i++) {
        drv_list_remove(&worker->rooms[i].link);
    }
    DRV_LIST_EACH(link, &worker->leases)
    {
        DRV_LIST_ITEM(link, struct lease, in_worker)->flags &= (uint8_t)~LEASE_ROOM;
    }
    core_free(core, worker->rooms, class->limited_count * sizeof *worker->rooms);
    worker->rooms = NULL;
    worker_unstock(core, worker);
    worker->class = NULL;
    class_release(core, class);
}

static bool worker_join_class(struct core *core, struct worker *worker, struct class *class,
                              const struct drv_worker_hello *hello)
{
    struct room *rooms = core_alloc(core, class->limited_count * sizeof *rooms);
    if (rooms == NULL) {
        return false;
    }
    worker->class = class;
    if (!worker_stock(core, worker, hello)) {
        worker->class = NULL;
        core_free(core, rooms, class->limited_count * sizeof *rooms);
        return false;
    }
    worker->rooms = rooms;
    for (size_t i = 0; i < class->offer_count; i++) {
        struct offer *offer = &class->offers[i];
        if (offer->concurrency > 0) {
            struct room *room = &rooms[offer->limited];
            room->worker = worker;
            room->offer = offer;
            drv_list_init(&room->link);
            drv_list_push_back(&offer->rooms, &room->link);
        }
    }
    return true;
}

struct room *worker_room(const struct worker *worker, const struct offer *offer)
{
    return offer->concurrency == 0 ? NULL : &worker->rooms[offer->limited];
}

static struct worker *worker_new(struct core *core, struct session *session)
{
    struct worker *worker = core_alloc(core, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    if (!timer_init(core, &worker->timer, TIMER_WORKER)) {
        core_free(core, worker, sizeof *worker);
        return NULL;
    }
    drv_heap_node_init(&worker->node);
    worker->headroom = 10;
    struct drv_list *lists[] = {&worker->link,    &worker->leases,  &worker->fresh,
                                &worker->notices, &worker->loaded,  &worker->shared,
                                &worker->parked,  &worker->touched, &worker->same_host};
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        drv_list_init(lists[i]);
    }
    worker->session = session;
    session->worker = worker;
    drv_list_push_back(&core->workers, &worker->link);
    return worker;
}

static void worker_free(struct core *core, struct worker *worker)
{
    history_forget(core, worker);
    DRV_ASSERT(worker->held == 0);
    shared_drop_worker(core, worker);
    worker_leave_class(core, worker);
    if (worker->who != NULL) {
        drv_table_remove_entry(&core->workers_by_name, name_hash(core, worker_name(worker)),
                               worker);
        worker->session->past = worker->who;
        worker->who = NULL;
    }
    if (worker->is_draining) {
        save_session(core, worker->session);
    }
    worker_set_details(core, worker, str_of(NULL, 0));
    core_free(core, worker->stale, worker->stale_capacity * sizeof *worker->stale);
    timer_fini(core, &worker->timer);
    placement_leave(worker);
    drv_list_remove(&worker->touched);
    alerts_pass(core, worker);
    drv_list_remove(&worker->link);
    worker->session->worker = NULL;
    core_free(core, worker, sizeof *worker);
}

static bool details_fit(const struct core *core, size_t len)
{
    return core->details_bytes + len <= core->config.details_bytes_max &&
           core_has_memory(core, len);
}

void worker_set_details(struct core *core, struct worker *worker, struct drv_str details)
{
    const struct drv_val val = {.bytes = (const uint8_t *)details.ptr, .len = details.len};
    core->details_bytes -= body_len(worker->details);
    body_release(core, &worker->details);
    if (details.len > 0 && details_fit(core, details.len) &&
        body_new(core, &val, &worker->details) == DROVER_OK) {
        core->details_bytes += details.len;
        worker->details_at_us = core->now_us;
    }
    worker->has_dropped_details = details.len > 0 && worker->details == NULL;
}

static bool worker_name_it(struct core *core, struct worker *worker,
                           const struct drv_hello *hello)
{
    char text[DRV_NAME_MAX + 1];
    if (worker->who != NULL) {
        return true; /* keeps its name while it is in the roster */
    }
    struct drv_str wanted = hello->name.len > 0 ? hello->name : drv_str_of("worker");
    struct drv_str name = free_name(core, wanted, text);
    worker->who = who_new(core, &worker->session->id, name, hello->worker.host);
    if (worker->who == NULL) {
        return false;
    }
    who_release(core, &worker->session->past);
    if (drv_table_insert(&core->workers_by_name, name_hash(core, name), worker)) {
        who_release(core, &worker->who);
        return false;
    }
    placement_join(core, worker);
    return session_set_name(core, worker->session, worker_name(worker));
}

/* Leases keep their room when the worker comes back with another class. */
static void worker_count_rooms(struct worker *worker)
{
    DRV_LIST_EACH(link, &worker->leases)
    {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        struct offer *offer = class_offer(worker->class, lease->task->spec->line->type);
        if (offer != NULL && offer->concurrency > 0) {
            lease_use_room(lease, offer);
        }
    }
}

static bool worker_enter(struct core *core, struct worker *worker,
                         const struct drv_hello *hello)
{
    if (!worker_name_it(core, worker, hello)) {
        return false;
    }
    struct class *class = class_ensure(core, &hello->worker);
    if (class == NULL) {
        return false;
    }
    worker_leave_class(core, worker);
    if (!worker_join_class(core, worker, class, &hello->worker)) {
        class_release(core, class);
        return false;
    }
    worker_count_rooms(worker);
    return true;
}

drover_status worker_hello(struct core *core, struct session *session,
                           const struct drv_hello *hello)
{
    struct worker *worker = session->worker;
    if (worker == NULL) {
        worker = worker_new(core, session);
    }
    if (worker == NULL) {
        return DROVER_NOMEM;
    }
    if (!worker_enter(core, worker, hello)) {
        if (worker->class == NULL) {
            worker_lose(core, worker);
        }
        return DROVER_NOMEM;
    }
    worker->slots = hello->worker.slots;
    worker->pid = hello->worker.pid;
    worker->attach_left = hello->worker.lease_count;
    worker->attach_count = 0;
    worker->attach_round++;
    worker->is_choked = false;
    worker->sends_output = session_hello_has(hello, "logs");
    worker->stale_count = 0;
    worker->drain_due = worker->is_draining;
    worker_heard(core, worker);
    worker_update(core, worker);
    return DROVER_OK;
}

struct worker *worker_restore(struct core *core, struct session *session)
{
    const struct who *past = session->past;
    struct drv_hello hello = {.role = DRV_ROLE_WORKER};
    if (past != NULL) {
        hello.name = str_of(past->text, past->name_len);
        hello.worker.host = str_of(past->text + past->name_len, past->host_len);
    }
    struct worker *worker = worker_new(core, session);
    if (worker != NULL && !worker_enter(core, worker, &hello)) {
        worker_free(core, worker);
        worker = NULL;
    }
    if (worker != NULL) {
        worker->is_draining = session->was_draining;
        worker->is_awaited = true;
        core->awaited++;
        worker->heard_us = core->now_us;
        timer_arm(core, &worker->timer, core->now_us + core->config.reattach_us);
    }
    return worker;
}

/* It is back, or will not come. The window closes with the last one, unless a lease waits for
 * its task to be submitted again. */
static void worker_arrived(struct core *core, struct worker *worker)
{
    if (!worker->is_awaited) {
        return;
    }
    worker->is_awaited = false;
    if (--core->awaited == 0 && core->is_reattach_open && drv_table_count(&core->parked) == 0) {
        timer_disarm(core, &core->reattach_timer);
        park_close(core);
    }
}

/* --- capacity ---------------------------------------------------------------------------- */

int32_t worker_free_slots(const struct core *core, const struct worker *worker)
{
    uint64_t credit = worker->session->credit_items;
    uint32_t limit = credit < worker->slots ? (uint32_t)credit : worker->slots;
    if (core->config.defects.ignore_credit) {
        limit = worker->slots + 2; /* defect: as if credit did not matter */
    }
    return (int32_t)limit - (int32_t)worker->held;
}

bool worker_may_work(const struct core *core, const struct worker *worker)
{
    uint64_t credit = worker->session->credit_items;
    return peer_is_open(worker->session->peer) && !worker->is_draining && !worker->is_choked &&
           !worker->is_heavy && !core->is_draining &&
           (worker->held < credit || core->config.defects.ignore_credit);
}

bool worker_may_prefetch(const struct core *core, const struct worker *worker,
                         const struct type *type)
{
    if (!sched_is_short(core, type) || worker->long_held >= worker->slots) {
        return false;
    }
    uint32_t excess_max = worker->slots + core->config.prefetch_max;
    if (worker->held >= excess_max || worker->held >= worker->session->credit_items) {
        return false;
    }
    /* So many of these fill a slot for the time aimed at. */
    int64_t run_us = type->run_us > 0 ? type->run_us : 1;
    int64_t depth = 1 + core->config.prefetch_work_us / run_us;
    int64_t short_held = (int64_t)worker->held - worker->long_held;
    int64_t short_slots = (int64_t)worker->slots - worker->long_held;
    return short_held < short_slots * depth;
}

/* Slots that are free, as far as the host has use of them; then, who has the least work in hand
 * per slot that is not taken by something long; then, who has waited longest. */
bool worker_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct worker *left = DRV_CONTAINER_OF((struct drv_heap_node *)a, struct worker,
                                                 node);
    const struct worker *right = DRV_CONTAINER_OF((struct drv_heap_node *)b, struct worker,
                                                  node);
    if (left->free_key != right->free_key) {
        return left->free_key > right->free_key;
    }
    if (left->load_key != right->load_key) {
        return left->load_key < right->load_key;
    }
    return left->turn < right->turn;
}

/* Work in hand per free hand, in thousandths. */
static uint64_t worker_load(const struct worker *worker)
{
    if (worker->long_held >= worker->slots) {
        return UINT64_MAX;
    }
    return (uint64_t)(worker->held - worker->long_held) * 1000 /
           (worker->slots - worker->long_held);
}

static void worker_rank(struct core *core, struct worker *worker)
{
    struct class *class = worker->class;
    int32_t free_slots = worker_free_slots(core, worker);
    uint32_t idle = free_slots > 0 ? (uint32_t)free_slots : 0;
    bool has_more = idle > worker->counted_idle;
    class->idle = class->idle - worker->counted_idle + idle;
    worker->counted_idle = idle;
    worker->free_key = (uint64_t)idle * worker->headroom;
    worker->load_key = worker_load(worker);
    if (!drv_heap_node_is_in(&worker->node)) {
        drover_status status = drv_heap_insert(&class->workers, &worker->node);
        DRV_ASSERT(status == DROVER_OK); /* reserved by class_ensure */
        has_more = true;
    } else if (drv_heap_count(&class->workers) > 1) {
        drv_heap_update(&class->workers, &worker->node);
    }
    class->has_room = class->has_room || has_more;
    if ((has_more || worker->has_grown) && !drv_list_is_empty(&class->hungry)) {
        worker_feed(core, worker);
    }
    if (has_more || class->ring_count > 0) {
        class_touch(core, class);
    }
}

void worker_update(struct core *core, struct worker *worker)
{
    struct class *class = worker->class;
    if (class == NULL) {
        return;
    }
    if (worker_may_work(core, worker)) {
        worker_rank(core, worker);
    } else {
        class->idle -= worker->counted_idle;
        worker->counted_idle = 0;
        drv_heap_remove(&class->workers, &worker->node);
    }
    bool is_loaded = worker->held > worker->slots;
    if (is_loaded && !drv_list_is_linked(&worker->loaded)) {
        drv_list_push_back(&core->loaded, &worker->loaded);
    } else if (!is_loaded) {
        drv_list_remove(&worker->loaded);
    }
}

void worker_touch(struct core *core, struct worker *worker)
{
    if (!drv_list_is_linked(&worker->touched)) {
        drv_list_push_back(&core->touched_workers, &worker->touched);
    }
}

void workers_settle(struct core *core)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&core->touched_workers)) != NULL) {
        worker_update(core, DRV_LIST_ITEM(link, struct worker, touched));
    }
}

/* --- attaching --------------------------------------------------------------------------- */

void worker_add_stale(struct core *core, struct worker *worker, const drover_id *id,
                      uint32_t index, uint32_t attempt)
{
    struct drv_ref ref = {.id = *id, .index = index, .attempt = attempt};
    session_touch(core, worker->session);
    if (worker->session->takes_ranges && worker->stale_count > 0 &&
        abort_extend(&worker->stale[worker->stale_count - 1], &ref)) {
        return;
    }
    if (worker->stale_count == worker->stale_capacity) {
        size_t capacity = worker->stale_capacity == 0 ? 64 : worker->stale_capacity * 2;
        struct drv_abort_entry *stale = realloc(worker->stale, capacity * sizeof *stale);
        if (stale == NULL) {
            worker->session->peer->is_broken = true; /* it lists them again */
            return;
        }
        core->memory_bytes += (capacity - worker->stale_capacity) * sizeof *stale;
        worker->stale = stale;
        worker->stale_capacity = capacity;
    }
    worker->stale[worker->stale_count++] = (struct drv_abort_entry){.ref = ref,
                                                                    .code = DROVER_STALE};
}

/* The worker may still hold that attempt, from an earlier life of the broker: the next one
 * given out must be another. */
static void pass_attempt(struct core *core, struct worker *worker, struct item *item,
                         uint32_t attempt)
{
    const struct lease *lease = unit_lease(item->unit);
    bool is_held = lease != NULL && lease->worker != NULL;
    if (unit_is_terminal(item->unit) || is_held || item->unit->attempt >= attempt) {
        return;
    }
    if (!item_own(core, item)) {
        worker->session->peer->is_broken = true; /* it lists it again */
        return;
    }
    item->unit->attempt = attempt;
    item->unit->flags &= (uint8_t)~UNIT_REPORTED;
    save_item(core, item);
}

/* One listed lease, not what may follow it; false when it is not this worker's. */
static bool worker_attach_one(struct core *core, struct worker *worker,
                              const struct drv_attached *attached)
{
    struct item item;
    if (attached->attempt == 0 || attached->attempt > ATTEMPT_MAX) {
        return false; /* never given out */
    }
    if (!item_find(core, &attached->id, attached->index, &item)) {
        if (attached->state != 3 && park_add(core, worker, attached)) {
            return true;
        }
        tomb_remember(core, &attached->id, attached->index, attached->attempt);
        return attached->state == 3; /* its result is sent again, and answered then */
    }
    struct lease *lease = unit_lease(item.unit);
    if (lease == NULL || lease->worker != worker || item.unit->attempt != attached->attempt) {
        pass_attempt(core, worker, &item, attached->attempt);
        /* A held result of an attempt that ended is sent again, and answered then. */
        return attached->state == 3;
    }
    if (core->config.defects.adopt_nothing) {
        return true; /* defect: not marked as listed, so it is requeued */
    }
    lease->attached = worker->attach_round;
    if (attached->state >= 2) {
        lease_start(core, lease);
    }
    if (item.unit->flags & UNIT_CANCELLING) {
        lease_notify(core, lease, NOTICE_ABORT);
    } else if (lease->flags & LEASE_CONFIRM && lease->flags & LEASE_STARTED) {
        lease_notify(core, lease, NOTICE_GO);
    } else if (lease->flags & LEASE_RECALLED) {
        lease_notify(core, lease, NOTICE_RECALL); /* it may never have heard of it */
    }
    return true;
}

bool worker_attach(struct core *core, struct worker *worker, const struct drv_attach *attach)
{
    for (size_t i = 0; i < attach->lease_count; i++) {
        worker->attach_count += 1 + attach->leases[i].more;
    }
    if (worker->attach_count > ATTACH_MAX) {
        return false;
    }
    for (size_t i = 0; i < attach->lease_count; i++) {
        struct drv_attached one = attach->leases[i];
        for (uint32_t last = one.index + one.more;; one.index++) {
            if (!worker_attach_one(core, worker, &one)) {
                worker_add_stale(core, worker, &one.id, one.index, one.attempt);
            }
            if (one.index == last) {
                break;
            }
        }
    }
    worker->attach_left -= attach->lease_count < worker->attach_left
                               ? (uint32_t)attach->lease_count
                               : worker->attach_left;
    return true;
}

void worker_attached(struct core *core, struct worker *worker)
{
    /* Youngest first: each then goes to the very front of what came back. */
    struct drv_list *link = worker->leases.prev;
    while (link != &worker->leases) {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        link = link->prev;
        if (lease->attached != worker->attach_round) {
            lease_reclaim(core, lease);
        } else {
            output_attached(core, lease);
        }
    }
    worker_arrived(core, worker);
    worker_update(core, worker);
}

void worker_abort_parked(struct core *core, struct worker *worker)
{
    struct drv_list *link;
    while ((link = drv_list_first(&worker->parked)) != NULL) {
        struct parked *parked = DRV_LIST_ITEM(link, struct parked, in_worker);
        if (worker->session->peer != NULL) {
            worker_add_stale(core, worker, &parked->id, parked->index, parked->attempt);
        }
        park_lose(core, parked);
    }
}

/* --- leaving ----------------------------------------------------------------------------- */

void worker_heard(struct core *core, struct worker *worker)
{
    worker->heard_us = core->now_us;
    if (!timer_is_armed(&worker->timer)) {
        timer_arm(core, &worker->timer, core->now_us + core->config.lease_us);
    }
}

/* When its silence makes it lost. In a large fleet one that holds nothing speaks more seldom
 * than every lease time; what it is given meanwhile waits for it no longer than that. */
static int64_t worker_lost_at(const struct core *core, const struct worker *worker)
{
    int64_t lease_us = core->config.lease_us;
    const struct drv_list *oldest = drv_list_first(&worker->leases);
    if (worker->silence_us <= lease_us) {
        return worker->heard_us + lease_us;
    }
    if (oldest == NULL) {
        return worker->heard_us + worker->silence_us;
    }
    int64_t since_us = DRV_LIST_ITEM(oldest, struct lease, in_worker)->since_us;
    return (since_us > worker->heard_us ? since_us : worker->heard_us) + lease_us;
}

void worker_away(struct core *core, struct worker *worker)
{
    int64_t lost_us = worker_lost_at(core, worker);
    int64_t grace_us = core->now_us + core->config.reconnect_grace_us;
    timer_arm(core, &worker->timer, grace_us < lost_us ? grace_us : lost_us);
    worker->is_choked = false;
    worker->attach_left = 0;
    while (drv_list_pop_front(&worker->fresh) != NULL) {
        /* Leased in this turn and never sent: the next HELLO will not list them. */
    }
    worker->fresh_bytes = 0;
    shared_forget_worker(core, worker);
    worker_update(core, worker);
}

void worker_due(struct core *core, struct worker *worker)
{
    bool is_connected = worker->session->peer != NULL;
    int64_t lost_us = worker_lost_at(core, worker);
    if (is_connected && lost_us > core->now_us) {
        int64_t look_us = core->now_us + core->config.lease_us; /* what it was given since */
        timer_arm(core, &worker->timer, lost_us < look_us ? lost_us : look_us);
        return;
    }
    if (is_connected) {
        peer_refuse(core, worker->session->peer, DROVER_CLOSED,
                    "nothing was heard of the worker for too long");
    }
    worker_lose(core, worker);
}

void worker_lose(struct core *core, struct worker *worker)
{
    struct drv_list *link;
    effects_notice(core, worker->held > 0 ? "worker lost" : "worker gone", worker);
    event_worker(core, worker->is_leaving ? DRV_EVENT_WORKER_LEFT : DRV_EVENT_WORKER_LOST,
                 worker);
    while ((link = drv_list_last(&worker->leases)) != NULL) {
        lease_lose(core, DRV_LIST_ITEM(link, struct lease, in_worker));
    }
    while ((link = drv_list_first(&worker->parked)) != NULL) {
        park_lose(core, DRV_LIST_ITEM(link, struct parked, in_worker));
    }
    worker_arrived(core, worker);
    worker_free(core, worker);
}

void worker_give_back(struct core *core, struct worker *worker)
{
    struct drv_list *link = worker->leases.prev;
    while (link != &worker->leases) {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        link = link->prev;
        if (!(lease->flags & LEASE_STARTED)) {
            lease_reclaim(core, lease);
        }
    }
}

void worker_drain(struct core *core, struct worker *worker, bool on)
{
    if (worker->is_draining == on) {
        return;
    }
    worker->is_draining = on;
    save_session(core, worker->session);
    worker->drain_due = true;
    event_worker(core, on ? DRV_EVENT_WORKER_DRAINING : DRV_EVENT_WORKER_RESUMED, worker);
    session_touch(core, worker->session);
    worker_update(core, worker);
}
